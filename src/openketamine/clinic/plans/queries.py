"""Reads for consent, plan and calendar."""

from django.conf import settings

from openketamine.clinic.people.models import Course, Measurement, MeasurementKind
from openketamine.clinic.policy.queries import library
from openketamine.protocols import regimens
from openketamine.protocols.calendar import OpenDays
from openketamine.protocols.schema import Document, Regimen

from .models import Consent, Plan


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


# What an order for infusions states, each within limits that the clinic has signed.
ORDERED = frozenset({"dose_mg_per_kg", "duration_min", "sessions"})


def plannable(course: Course) -> list[Regimen]:
    """The regimens by which this course can be planned: whole, and infusions by weight."""
    return [
        regimen
        for regimen in regimens.suited(library(), route=course.route, condition=course.condition)
        if regimen.is_set and {limit.quantity for limit in regimen.limits} == ORDERED
    ]


def open_days() -> OpenDays:
    """When this clinic gives sessions."""
    return OpenDays(settings.OPEN_WEEKDAYS, settings.CLOSED_ON)


def latest_weight(course: Course) -> Measurement | None:
    return (
        course.person.measurements.filter(kind=MeasurementKind.WEIGHT_KG)
        .order_by("-taken_at", "-pk")
        .first()
    )
