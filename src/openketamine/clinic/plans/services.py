"""The acts of planning: consent, order, double-check, calendar."""

from datetime import date, datetime
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.errors import Refused
from openketamine.clinic.intake.services import require_no_open_safety_review
from openketamine.clinic.people.models import Course, Stage
from openketamine.clinic.people.services import check_plausible, move_to
from openketamine.clinic.policy.queries import library
from openketamine.clinic.policy.services import require_signed_policy
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.protocols import calendar
from openketamine.protocols.regimens import (
    Amount,
    DoseArithmetic,
    check_plan,
    dose_arithmetic,
    injection,
)

from . import queries
from .models import Consent, Plan, PlannedSession

MAY_PRESENT = frozenset({Role.PRESCRIBER, Role.NURSE, Role.THERAPIST, Role.COORDINATOR})
MAY_VERIFY = frozenset({Role.PRESCRIBER, Role.NURSE})
MAY_SCHEDULE = frozenset({Role.COORDINATOR, Role.PRESCRIBER, Role.NURSE})


@transaction.atomic
def sign_consent(
    presenter: User, course: Course, *, signed_name: str, document_digest: str, agrees: bool
) -> Consent:
    """The patient signs the text on the screen, by typing the full name, before a member of staff.

    Raises:
        Refused: the wrong step, not agreed, another name, or the text has changed since.
    """
    require_no_open_safety_review(course)
    if course.stage not in {Stage.CONSENT, Stage.PLANNING, Stage.TREATMENT}:
        raise Refused("Consent follows the signed screening.")
    if presenter.role not in MAY_PRESENT:
        raise Refused("Your role does not present consents.")
    if queries.consent_in_force(course):
        raise Refused("A consent is in force already.")
    document = queries.consent_text_for(course)
    if document is None:
        raise Refused(
            "The library has no consent text for this route. The medical director can add one in "
            "the clinic's own files."
        )
    digest = library().document_digest(document)
    if document_digest != digest:
        raise Refused("The text has changed since it was opened. Read it again, then sign.")
    if not agrees:
        raise Refused(
            "Tick the box only if you agree; without it there is no consent.", field="agrees"
        )
    typed, name = " ".join(signed_name.split()), str(course.person)
    if typed.casefold() != name.casefold():
        raise Refused(f"Type the full name as it stands in the chart: {name}.", field="signed_name")
    consent = Consent.objects.create(
        course=course,
        document_id=document.id,
        document_version=document.version,
        document_digest=digest,
        document=document.model_dump(mode="json"),
        signed_name=typed,
        presented_by=presenter,
    )
    record.append(
        presenter,
        course.stream,
        "plans.consent_signed",
        {
            "document": document.id,
            "version": document.version,
            "digest": digest,
            "signed_name": typed,
        },
        person_id=course.person_id,
    )
    if course.stage == Stage.CONSENT:
        move_to(presenter, course, Stage.PLANNING)
    return consent


@transaction.atomic
def withdraw_consent(actor: User, consent: Consent, *, reason: str) -> None:
    """The patient no longer agrees. No further session can start; a reason need not be given.

    Nothing holds this back, an open safety review neither: whoever withdraws is free at once.

    Raises:
        Refused: it is withdrawn already.
    """
    consent = Consent.objects.select_for_update().get(pk=consent.pk)
    if consent.withdrawn_at:
        raise Refused("This consent is withdrawn already.")
    consent.withdrawn_at = clock.now()
    consent.withdrawn_reason = reason.strip()
    consent.withdrawn_recorded_by = actor
    consent.save()
    record.append(
        actor,
        consent.course.stream,
        "plans.consent_withdrawn",
        {"consent": consent.pk, "reason": reason.strip()},
        person_id=consent.course.person_id,
    )


@transaction.atomic
def order_plan(
    prescriber: User,
    course: Course,
    *,
    dose_mg_per_kg: float,
    duration_min: float | None = None,
    sessions: int,
    concentration_mg_per_ml: float,
    first_on: date,
    regimen: str = "iv-depression",
) -> Plan:
    """Order a course. A later order replaces the earlier one for sessions to come.

    Args:
        duration_min: over how long one dose runs in; None for what is injected at once.

    Raises:
        Refused: not a prescriber, no weight, a quantity outside the clinic's policy, an unknown
            vial, a day in the past.
    """
    require_no_open_safety_review(course)
    require_signed_policy()
    if prescriber.role != Role.PRESCRIBER:
        raise Refused("Only a prescriber orders a plan.")
    if course.stage not in {Stage.PLANNING, Stage.TREATMENT}:
        raise Refused("A plan follows the signed screening and the consent.")
    _require_consent(course)
    weight = queries.latest_weight(course)
    if weight is None:
        raise Refused("The weight is unknown. Weigh the patient first.")
    if weight.taken_at < course.opened_at:
        # LAB-7: a weight of each course. What the referral says may be years old.
        raise Refused(
            f"The newest weight is of {weight.taken_at:%d %B %Y}, before this course began. "
            "Weigh the patient first."
        )
    check_plausible(weight.kind, weight.value)
    definition = next((r for r in queries.plannable(course) if r.id == regimen), None)
    if definition is None:
        raise Refused(
            f"There is no regimen {regimen!r} by which this course can be planned.", field="regimen"
        )
    quantities: dict[str, float] = {"dose_mg_per_kg": dose_mg_per_kg, "sessions": sessions}
    if duration_min is not None:
        quantities["duration_min"] = duration_min
    stated = queries.ORDERED[course.route]
    if "duration_min" in stated - quantities.keys():
        raise Refused("Say over how long the dose runs in.", field="duration_min")
    if "duration_min" in quantities.keys() - stated:
        raise Refused("An injection is given at once: it has no duration.", field="duration_min")
    if outside := check_plan(definition, quantities):
        raise Refused(outside[0].message, field=outside[0].limit.quantity)
    vials = {vial.concentration_mg_per_ml for vial in definition.vials}
    if concentration_mg_per_ml not in vials:
        raise Refused(
            f"Choose a vial that exists: {', '.join(f'{vial:g}' for vial in sorted(vials))} mg/mL.",
            field="concentration_mg_per_ml",
        )
    if first_on < clock.today():
        raise Refused("The first session cannot lie in the past.", field="first_on")
    worked = _worked(dose_mg_per_kg, weight.value, concentration_mg_per_ml, duration_min)
    if current := queries.current_plan(course):
        current.superseded_at = clock.now()
        current.save(update_fields=["superseded_at"])
    plan = Plan.objects.create(
        course=course,
        version=course.plans.count() + 1,
        regimen=regimen,
        route=course.route,
        dose_mg_per_kg=dose_mg_per_kg,
        weight_kg=weight.value,
        weight_taken_at=weight.taken_at,
        concentration_mg_per_ml=concentration_mg_per_ml,
        duration_min=duration_min,
        dose_mg=worked.dose_mg,
        volume_ml=worked.volume_ml,
        rate_mg_per_h=worked.rate_mg_per_h if isinstance(worked, DoseArithmetic) else None,
        rate_ml_per_h=worked.rate_ml_per_h if isinstance(worked, DoseArithmetic) else None,
        sessions=sessions,
        first_on=first_on,
        library_version=library().version,
        ordered_by=prescriber,
    )
    record.append(
        prescriber,
        course.stream,
        "plans.plan_ordered",
        {**_plan_facts(plan), "arithmetic": list(worked.steps)},
        person_id=course.person_id,
    )
    return plan


def arithmetic(plan: Plan) -> DoseArithmetic | Amount:
    """The plan's sum, step by step."""
    return _worked(
        plan.dose_mg_per_kg, plan.weight_kg, plan.concentration_mg_per_ml, plan.duration_min
    )


def _worked(
    dose_mg_per_kg: float,
    weight_kg: float,
    concentration_mg_per_ml: float,
    duration_min: float | None,
) -> DoseArithmetic | Amount:
    """mg and mL, and the pump's rates where the dose runs in over a time."""
    if duration_min is None:
        return injection(
            dose_mg_per_kg=dose_mg_per_kg,
            weight_kg=weight_kg,
            concentration_mg_per_ml=concentration_mg_per_ml,
        )
    return dose_arithmetic(
        dose_mg_per_kg=dose_mg_per_kg,
        weight_kg=weight_kg,
        concentration_mg_per_ml=concentration_mg_per_ml,
        duration_min=duration_min,
    )


def _plan_facts(plan: Plan) -> dict[str, Any]:
    return {
        "plan": plan.pk,
        "version": plan.version,
        "regimen": plan.regimen,
        "route": plan.route,
        "dose_mg_per_kg": plan.dose_mg_per_kg,
        "weight_kg": plan.weight_kg,
        "concentration_mg_per_ml": plan.concentration_mg_per_ml,
        "duration_min": plan.duration_min,
        "dose_mg": plan.dose_mg,
        "volume_ml": plan.volume_ml,
        "rate_mg_per_h": plan.rate_mg_per_h,
        "rate_ml_per_h": plan.rate_ml_per_h,
        "sessions": plan.sessions,
        "first_on": plan.first_on.isoformat(),
        "library": plan.library_version,
    }


def verify_plan(verifier: User, plan: Plan, *, dose_mg: float, volume_ml: float) -> Plan:
    """A second person works the dose out alone; only the same result puts the plan in force.

    A mismatch is recorded and refused: somebody must find out who was wrong.

    Raises:
        Refused: the wrong person, no longer current, or another result.
    """
    with transaction.atomic():
        plan = Plan.objects.select_for_update().select_related("course__person").get(pk=plan.pk)
        require_no_open_safety_review(plan.course)
        _require_consent(plan.course)
        if verifier.role not in MAY_VERIFY:
            raise Refused("A nurse or a prescriber checks the dose.")
        if verifier.pk == plan.ordered_by_id:
            raise Refused("You ordered this plan. A second person must check it.")
        if plan.is_verified or plan.superseded_at:
            raise Refused("This plan is no longer waiting for a check.")
        agrees = round(dose_mg, 1) == plan.dose_mg and round(volume_ml, 2) == plan.volume_ml
        record.append(
            verifier,
            plan.course.stream,
            "plans.plan_verified" if agrees else "plans.plan_check_failed",
            {"plan": plan.pk, "dose_mg": dose_mg, "volume_ml": volume_ml},
            person_id=plan.course.person_id,
        )
        if agrees:
            plan.verified_by, plan.verified_at = verifier, clock.now()
            plan.save(update_fields=["verified_by", "verified_at"])
            _put_on_calendar(verifier, plan)
    if not agrees:
        # The failed check itself stays in the record, so the refusal comes after the transaction.
        raise Refused(
            f"Your result ({dose_mg:g} mg, {volume_ml:g} mL) is not the ordered one. Nothing is in "
            "force. Work it out again together with the prescriber.",
            field="dose_mg",
        )
    return plan


def _put_on_calendar(actor: User, plan: Plan) -> None:
    """Plan the days: sessions that have begun stay, all others follow the new plan."""
    course = plan.course
    standing = course.planned_sessions.filter(cancelled_at=None)
    dropped = standing.filter(started_at=None)
    dropped_numbers = list(dropped.values_list("number", flat=True))
    dropped.update(cancelled_at=clock.now(), cancel_reason=f"plan version {plan.version}")
    # What has begun keeps its number and counts towards the course.
    done = standing.aggregate(highest=Max("number"))["highest"] or 0
    begun = [timezone.localtime(when).date() for when in standing.values_list("started_at", flat=1)]
    try:
        proposed = calendar.propose(
            library(),
            library().regimens[plan.regimen],
            start=plan.first_on,
            today=plan.first_on,
            choices=calendar.Choices(sessions=len(begun) + max(plan.sessions - done, 0)),
            open_days=queries.open_days(),
            history=[calendar.PastSession(day, "done") for day in sorted(set(begun))],
        )
    except calendar.NoOpenDayError as error:
        raise Refused(f"The calendar cannot be filled: {error}.") from error
    days = [session.on for session in proposed.sessions]
    PlannedSession.objects.bulk_create(
        PlannedSession(
            plan=plan,
            course=course,
            person_id=course.person_id,
            number=done + index,
            planned_for=arrival,
        )
        for index, arrival in enumerate(queries.free_arrivals(days), start=1)
    )
    record.append(
        actor,
        course.stream,
        "plans.sessions_planned",
        {
            "plan": plan.pk,
            "days": [day.isoformat() for day in days],
            "because": [" ".join(session.reasons) for session in proposed.sessions],
            "instead_of": dropped_numbers,
        },
        person_id=course.person_id,
    )
    if course.stage == Stage.PLANNING:
        move_to(actor, course, Stage.TREATMENT)


@transaction.atomic
def reschedule(actor: User, planned: PlannedSession, *, planned_for: datetime) -> None:
    """Move one session on the calendar.

    Raises:
        Refused: it is over or cancelled, lies in the past, or out of order with its neighbours.
    """
    planned = _waiting(actor, planned)
    require_no_open_safety_review(planned.course)
    if timezone.localtime(planned_for).date() < clock.today():
        raise Refused("A session cannot be moved into the past.", field="planned_for")
    others = planned.course.planned_sessions.filter(cancelled_at=None).exclude(pk=planned.pk)
    day = timezone.localtime(planned_for).date()
    for other in others:
        other_day = timezone.localtime(other.planned_for).date()
        if other_day == day:
            raise Refused(f"Session {other.number} is on that day already.", field="planned_for")
        if (other.number < planned.number) != (other_day < day):
            raise Refused(
                f"It would fall out of order with session {other.number}.", field="planned_for"
            )
    before, planned.planned_for = planned.planned_for, planned_for
    planned.save(update_fields=["planned_for"])
    record.append(
        actor,
        planned.course.stream,
        "plans.session_moved",
        {
            "planned": str(planned.pk),
            "from": before.isoformat(),
            "to": planned_for.isoformat(),
        },
        person_id=planned.person_id,
    )


@transaction.atomic
def cancel_planned(actor: User, planned: PlannedSession, *, reason: str) -> None:
    """Take one session off the calendar, with the reason.

    Raises:
        Refused: it is over or cancelled, or no reason is given.
    """
    planned = _waiting(actor, planned)
    if not reason.strip():
        raise Refused("Give the reason.", field="reason")
    planned.cancelled_at, planned.cancel_reason = clock.now(), reason.strip()
    planned.save(update_fields=["cancelled_at", "cancel_reason"])
    record.append(
        actor,
        planned.course.stream,
        "plans.session_cancelled",
        {"planned": str(planned.pk), "reason": reason.strip()},
        person_id=planned.person_id,
    )


def _waiting(actor: User, planned: PlannedSession) -> PlannedSession:
    """The session, locked, if it still waits on the calendar and the actor may change it."""
    if actor.role not in MAY_SCHEDULE:
        raise Refused("Your role does not change the calendar.")
    planned = PlannedSession.objects.select_for_update().get(pk=planned.pk)
    if planned.started_at or planned.cancelled_at:
        raise Refused("This session has begun or is cancelled.")
    return planned


def _require_consent(course: Course) -> None:
    if queries.consent_in_force(course) is None:
        raise Refused("No consent is in force. Without it nothing is planned.")
