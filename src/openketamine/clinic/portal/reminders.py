"""Forms fall due by the clock, and the patient is told: by the chosen way, never in quiet hours.

Nothing is scheduled ahead. On each round it is asked anew who has a form that waits unanswered, so
that nobody is reminded of what is done. Where no way was chosen, or none can be sent by, nobody is
written to, and the follow-up page says so.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.dispatch import receiver

from openketamine.clinic.notices import services as notices
from openketamine.clinic.notices import signals, wordings
from openketamine.clinic.notices.models import Channel
from openketamine.clinic.outcomes.models import FormRequest
from openketamine.clinic.outcomes.schedule import plan_due_forms
from openketamine.clinic.people.models import Person
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.protocols.schema import ReminderRule

from . import services

ACTOR = "reminders"
# Forms are due by the hour; nobody gains by a look every two seconds.
_round = signals.Every(timedelta(minutes=1))


@receiver(signals.tick)
def look_at_the_clock(sender: Any, now: datetime, **kwargs: Any) -> None:
    """Once a minute: what has fallen due, and whom to remind."""
    if _round.is_due(now):
        plan_due_forms()
        remind()


def remind() -> int:
    """Write to every patient who has a form that waits, as often as the clinic's policy says.

    Returns:
        How many were written to.
    """
    now = clock.now()
    protocols = library()
    rules = protocols.measurements.reminders
    if not rules:
        return 0
    due = Q()
    for rule in rules:
        due |= Q(reminded_h__lt=rule.after_hours, due_at__lte=now - _after(rule))
    by_patient = [name for name, each in protocols.instruments.items() if each.by_patient]
    waiting = (
        FormRequest.objects.filter(due, completed_at=None, closes_at__gt=now)
        .filter(instrument__in=by_patient, course__closed_at=None)
        .filter(person__contact_choice__channel__in=Channel.values)
        .select_related("person__contact_choice")
        .order_by("person_id", "due_at")
    )
    by_person: dict[Person, list[FormRequest]] = {}
    for form in waiting:
        by_person.setdefault(form.person, []).append(form)
    return sum(_remind(person, forms, rules, now) for person, forms in by_person.items())


def _after(rule: ReminderRule) -> timedelta:
    return timedelta(hours=rule.after_hours)


def _remind(
    person: Person, forms: list[FormRequest], rules: tuple[ReminderRule, ...], now: datetime
) -> bool:
    """One message for all that wait; True where it is laid in the outbox."""
    choice = person.contact_choice
    to = services.address_of(person, choice.channel)
    if not to or not services.can_send(choice.channel):
        return False
    if services.end_of_quiet(choice, now) > now:
        return False  # the first round after the quiet hours looks again
    with transaction.atomic():
        still = FormRequest.objects.select_for_update(of=("self",)).filter(
            pk__in=[form.pk for form in forms], completed_at=None
        )
        reached = []
        for form in still:
            hours = max(rule.after_hours for rule in rules if form.due_at + _after(rule) <= now)
            if form.reminded_h < hours:
                form.reminded_h = hours
                reached.append(form)
        if not reached:
            return False
        FormRequest.objects.bulk_update(reached, ["reminded_h"])
        closes_at = max(form.closes_at for form in reached)
        link = services.make_link(ACTOR, person, expires_at=closes_at)
        notices.send(
            ACTOR,
            key=f"form-due:{link.pk}",
            channel="text" if choice.channel == Channel.TEXT else "email",
            to=to,
            to_name=str(person),
            wording="form_due",
            values={"link": wordings.link_to("patient_link", services.token_for(link))},
            language=choice.language,
            person_id=person.pk,
            expires_at=closes_at,
        )
    return True
