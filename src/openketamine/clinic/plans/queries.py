"""Reads for consent, plan and calendar."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

from django.conf import settings
from django.utils import timezone

from openketamine.clinic.people.models import Course, Measurement, MeasurementKind
from openketamine.clinic.policy.queries import library
from openketamine.protocols import regimens
from openketamine.protocols.calendar import OpenDays
from openketamine.protocols.schema import Document, Regimen

from .models import Consent, Plan, PlannedSession

# When people are asked to come, one after the other: two nurses cannot check eight people at nine.
# A proposal, like the day itself; whoever keeps the calendar moves it.
FIRST_ARRIVAL, LAST_ARRIVAL = time(9, 0), time(15, 0)
BETWEEN_ARRIVALS = timedelta(minutes=30)


def consent_text_for(course: Course) -> Document | None:
    """The consent that a patient signs for the route of a course; None where there is no text."""
    try:
        return library().document("consent", course.route)
    except KeyError:
        return None


def consent_in_force(course: Course) -> Consent | None:
    return course.consents.filter(withdrawn_at=None).select_related("presented_by").first()


def current_plan(course: Course) -> Plan | None:
    """The newest plan, verified or not."""
    return (
        course.plans.filter(superseded_at=None).select_related("ordered_by", "verified_by").first()
    )


def plan_in_force(course: Course) -> Plan | None:
    """The plan by which a patient may be treated: current, and verified by a second person."""
    plan = current_plan(course)
    return plan if plan and plan.is_verified else None


# What an order states by the routes that this clinic plans, each within limits that it has signed.
ORDERED = {
    "IV": frozenset({"dose_mg_per_kg", "duration_min", "sessions"}),
    "IM": frozenset({"dose_mg_per_kg", "sessions"}),
}


def plannable(course: Course) -> list[Regimen]:
    """The regimens by which this course can be planned: whole, by weight, from vials."""
    return [
        regimen
        for regimen in regimens.suited(library(), route=course.route, condition=course.condition)
        if regimen.is_set
        and regimen.vials
        and {limit.quantity for limit in regimen.limits} == ORDERED.get(course.route)
    ]


def open_days() -> OpenDays:
    """When this clinic gives sessions."""
    return OpenDays(settings.OPEN_WEEKDAYS, settings.CLOSED_ON)


def free_arrivals(days: Sequence[date]) -> list[datetime]:
    """For each day, the first time at which nobody else is to arrive; on a full day, the emptiest.

    Args:
        days: in order, none twice.
    """
    if not days:
        return []

    def at(day: date, hour: time) -> datetime:
        return timezone.make_aware(datetime.combine(day, hour))

    taken = Counter(
        PlannedSession.objects.filter(
            planned_for__gte=at(days[0], FIRST_ARRIVAL),
            planned_for__lte=at(days[-1], LAST_ARRIVAL),
            cancelled_at=None,
        ).values_list("planned_for", flat=True)
    )
    arrivals = []
    for day in days:
        first, last = at(day, FIRST_ARRIVAL), at(day, LAST_ARRIVAL)
        times = [
            first + BETWEEN_ARRIVALS * n for n in range((last - first) // BETWEEN_ARRIVALS + 1)
        ]
        arrivals.append(min(times, key=lambda moment: taken[moment]))
    return arrivals


def latest_weight(course: Course) -> Measurement | None:
    return (
        course.person.measurements.filter(kind=MeasurementKind.WEIGHT_KG)
        .order_by("-taken_at", "-pk")
        .first()
    )
