"""Acts about who may see a chart, and how long it is kept."""

from collections.abc import Iterable
from datetime import date

from django.db import transaction
from django.utils.translation import gettext as _

from openketamine.clinic.accounts.models import STAFF, User
from openketamine.clinic.errors import Refused
from openketamine.clinic.people.models import Person
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.sites import scope as sites

from . import queries
from .models import GLASS_OPEN, BrokenGlass, ChartRestriction, LegalHold, Purpose

REASON_LETTERS = 10


def _reason(text: str, field: str = "reason") -> str:
    text = " ".join(text.split())
    if len(text) < REASON_LETTERS:
        words = _("Say why, in at least %(count)d letters.")
        raise Refused(words % {"count": REASON_LETTERS}, field=field)
    return text[:300]


@transaction.atomic
def restrict_chart(
    actor: User, person: Person, *, reason: str, team: Iterable[User] = ()
) -> ChartRestriction:
    """Let only its team open a chart: the people named, and the course's prescriber and therapist.

    Raises:
        Refused: no reason, or it is restricted already.
    """
    reason = _reason(reason)
    record.lock()
    if queries.restriction_of(person):
        raise Refused(_("This chart is restricted already."))
    restriction = ChartRestriction.objects.create(person=person, reason=reason, placed_by=actor)
    members = [user for user in team if user.role in STAFF]
    restriction.team.set(members)
    record.append(
        actor,
        person.stream,
        "chart.restricted",
        {"reason": reason, "team": sorted(user.pk for user in members)},
        person_id=person.pk,
    )
    return restriction


@transaction.atomic
def lift_restriction(actor: User, person: Person, *, reason: str) -> None:
    """Open a chart to the staff again.

    Raises:
        Refused: no reason, or it is not restricted.
    """
    reason = _reason(reason)
    record.lock()
    restriction = queries.restriction_of(person)
    if restriction is None:
        raise Refused(_("This chart is not restricted."))
    restriction.lifted_by, restriction.lifted_at = actor, clock.now()
    restriction.save(update_fields=["lifted_by", "lifted_at"])
    record.append(
        actor,
        person.stream,
        "chart.restriction_lifted",
        {"reason": reason},
        person_id=person.pk,
    )


@transaction.atomic
def break_glass(actor: User, person: Person, *, purpose: str, reason: str) -> BrokenGlass:
    """Open a restricted chart from outside its team, for four hours, under the director's eye.

    Raises:
        Refused: no purpose or no reason.
    """
    if purpose not in Purpose.values:
        raise Refused(_("Choose what you open the chart for."), field="purpose")
    reason = _reason(reason)
    now = clock.now()
    glass = BrokenGlass.objects.create(
        person=person, user=actor, purpose=purpose, reason=reason, at=now, until=now + GLASS_OPEN
    )
    record.append(
        actor,
        person.stream,
        "chart.glass_broken",
        {"purpose": purpose, "reason": reason, "until": glass.until.isoformat()},
        person_id=person.pk,
    )
    return glass


def break_glass_elsewhere(
    actor: User, *, mrn: str, birth_date: date, purpose: str, reason: str
) -> BrokenGlass:
    """Open the chart of a patient of another site, whom one names by number and date of birth.

    Raises:
        Refused: there is nobody of both, no purpose or no reason. An attempt at nobody is recorded.
    """
    with sites.everything():
        person = Person.objects.filter(mrn=mrn.strip(), birth_date=birth_date).first()
        if person is not None:
            return break_glass(actor, person, purpose=purpose, reason=reason)
    record.append(actor, "clinic", "chart.not_found_elsewhere", {"mrn": mrn.strip()[:12]})
    raise Refused(_("There is nobody with this number and date of birth."), field="mrn")


@transaction.atomic
def review_glass(actor: User, glass: BrokenGlass, *, justified: bool, review: str) -> None:
    """Say whether opening the chart was justified.

    Raises:
        Refused: one's own, one that was reviewed already, or no words.
    """
    review = _reason(review, "review")
    glass = BrokenGlass.objects.select_for_update().get(pk=glass.pk)
    if glass.user_id == actor.pk:
        raise Refused(_("You opened this chart yourself. Another director reviews it."))
    if glass.reviewed_at:
        raise Refused(_("It was reviewed already."))
    glass.reviewed_by, glass.reviewed_at = actor, clock.now()
    glass.justified, glass.review = justified, review
    glass.save(update_fields=["reviewed_by", "reviewed_at", "justified", "review"])
    record.append(
        actor,
        glass.person.stream,
        "chart.glass_reviewed",
        {"by": glass.user_id, "justified": justified, "review": review},
        person_id=glass.person_id,
    )


@transaction.atomic
def place_hold(actor: User, person: Person, *, reason: str) -> LegalHold:
    """Keep everything of a person, whatever the period of keeping, until the hold is lifted.

    Raises:
        Refused: no reason, or there is one.
    """
    reason = _reason(reason)
    record.lock()
    if queries.hold_of(person):
        raise Refused(_("A legal hold stands already."))
    hold = LegalHold.objects.create(person=person, reason=reason, placed_by=actor)
    record.append(
        actor, person.stream, "chart.hold_placed", {"reason": reason}, person_id=person.pk
    )
    return hold


@transaction.atomic
def lift_hold(actor: User, person: Person, *, reason: str) -> None:
    """End a legal hold.

    Raises:
        Refused: no reason, or there is none.
    """
    reason = _reason(reason)
    record.lock()
    hold = queries.hold_of(person)
    if hold is None:
        raise Refused(_("There is no legal hold."))
    hold.lifted_by, hold.lifted_at = actor, clock.now()
    hold.save(update_fields=["lifted_by", "lifted_at"])
    record.append(
        actor, person.stream, "chart.hold_lifted", {"reason": reason}, person_id=person.pk
    )
