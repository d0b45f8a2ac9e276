"""Reads for consent, plan and calendar."""

from openketamine.clinic.people.models import Course, Measurement, MeasurementKind

from .models import Consent, Plan


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


def latest_weight(course: Course) -> Measurement | None:
    return (
        course.person.measurements.filter(kind=MeasurementKind.WEIGHT_KG)
        .order_by("-taken_at", "-pk")
        .first()
    )
