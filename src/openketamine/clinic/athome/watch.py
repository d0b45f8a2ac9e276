"""What the clinic's clock does for sessions at home: a check-in that did not come calls."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.dispatch import receiver

from openketamine.clinic.notices.signals import tick
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Source

from . import queries, services
from .models import AFTER_DOSE, Enrolment, HomeSession


@receiver(tick)
def look_at_sessions(sender: Any, now: datetime, **kwargs: Any) -> None:
    """Every session whose time has come, and every first dose that was not reviewed in time."""
    for enrolment in Enrolment.objects.filter(
        review_by__lt=now, review_called_at=None, reviews=None, course__closed_at=None
    ).select_related("course__person", "doctor"):
        with transaction.atomic():
            services.call_for_review(enrolment)
    due = HomeSession.objects.filter(look_at__lte=now, closed_at=None).values_list("pk", flat=True)
    for key in list(due):
        with transaction.atomic():
            look_at(HomeSession.objects.get(pk=key))


def look_at(session: HomeSession) -> None:
    """Write down check-ins that were missed, and call; call for a session that nobody closes."""
    found, line = services.locked(session)
    if found.phase not in AFTER_DOSE:
        found.look_at = None
        found.save(update_fields=["look_at"])
        return
    now = clock.now()
    for each in queries.wanting(found, line, now):
        if each.state not in {"late", "missed"} or each.at_min in line.missed_at_min:
            continue
        services.append(
            found,
            "OpenKetamine",
            "check_in_missed",
            {"at_min": each.at_min, "rule": "late_after_min"},
            source=Source.SYSTEM,
        )
        services.call_about(
            found,
            "OpenKetamine",
            key=f"home:{found.pk}:missed:{each.at_min:g}",
            priority="red",
            headline=f"No check-in from home {each.at_min:g} minutes after the dose",
            detail=f"Patient {found.person.phone or 'without number'}; {found.adult_name}, the "
            f"adult at hand, {found.adult_phone}. Place: {_place(line)}.",
        )
    last = queries.last_check_in_at(found, line)
    within = queries.library_of(found).athome.rule("close_within_min")
    if last and (now - last).total_seconds() / 60 >= within.value:
        services.call_about(
            found,
            "OpenKetamine",
            key=f"home:{found.pk}:unclosed",
            priority="amber",
            headline="A session at home is still open: speak with the patient and close it",
            detail=within.statement,
        )
    services.refresh(found)
    line = queries.timeline_of(found)
    if found.look_at and found.look_at <= now:  # all that was due is called for
        found.look_at = None
        found.save(update_fields=["look_at"])


def _place(line: Any) -> str:
    return str(line.answered.data.get("place", "not stated")) if line.answered else "not stated"
