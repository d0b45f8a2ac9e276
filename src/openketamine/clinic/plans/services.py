"""The acts of planning: consent, order, double-check, calendar."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.errors import Refused, require_reason
from openketamine.clinic.intake.services import require_no_open_safety_review
from openketamine.clinic.people.models import Course, Stage
from openketamine.clinic.people.services import check_plausible, move_to
from openketamine.clinic.policy.queries import library
from openketamine.clinic.policy.services import require_signed_policy
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.told import any_of, retold
from openketamine.protocols import calendar
from openketamine.protocols.calendar import Calendar
from openketamine.protocols.regimens import (
    Amount,
    DoseArithmetic,
    check_plan,
    counted,
    devices,
    dose_arithmetic,
    injection,
    sprays,
)
from openketamine.protocols.schema import Regimen

from . import queries
from .models import DRAWN_UP, Consent, GivenAs, Plan, PlannedSession

MAY_PRESENT = frozenset({Role.PRESCRIBER, Role.NURSE, Role.THERAPIST, Role.COORDINATOR})
MAY_VERIFY = frozenset({Role.PRESCRIBER, Role.NURSE})
MAY_SCHEDULE = frozenset({Role.COORDINATOR, Role.PRESCRIBER, Role.NURSE})
# No liquid to give holds more; beyond it a unit has been mistaken.
HIGHEST_MG_PER_ML = 500.0


@transaction.atomic
def sign_consent(
    presenter: User, course: Course, *, signed_name: str, document_digest: str, agrees: bool
) -> Consent:
    """The patient signs the text on the screen, by typing the full name, before a member of staff.

    Args:
        document_digest: of the text that was on the screen, in whichever of its languages.

    Raises:
        Refused: the wrong step, not agreed, another name, or the text has changed since.
    """
    require_no_open_safety_review(course)
    if course.stage not in {Stage.CONSENT, Stage.PLANNING, Stage.TREATMENT}:
        raise Refused(_("Consent follows the signed screening."))
    if presenter.role not in MAY_PRESENT:
        raise Refused(_("Your role does not present consents."))
    if queries.consent_in_force(course):
        raise Refused(_("A consent is in force already."))
    texts = queries.consent_texts_for(course).values()
    if not texts:
        raise Refused(
            _(
                "The library has no consent text for this route. The medical director can add one "
                "in the clinic's own files."
            )
        )
    digests = {library().document_digest(text): text for text in texts}
    document = digests.get(document_digest)
    if document is None:
        raise Refused(_("The text has changed since it was opened. Read it again, then sign."))
    if not agrees:
        raise Refused(
            _("Tick the box only if you agree; without it there is no consent."), field="agrees"
        )
    typed, name = " ".join(signed_name.split()), str(course.person)
    if typed.casefold() != name.casefold():
        raise Refused(
            _("Type the full name as it stands in the chart: %(name)s.") % {"name": name},
            field="signed_name",
        )
    consent = Consent.objects.create(
        course=course,
        document_id=document.id,
        document_version=document.version,
        document_digest=document_digest,
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
            "digest": document_digest,
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
        raise Refused(_("This consent is withdrawn already."))
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
    first_on: date,
    regimen: str = "iv-depression",
    dose_mg_per_kg: float | None = None,
    dose_mg: float | None = None,
    duration_min: float | None = None,
    sessions: int | None = None,
    concentration_mg_per_ml: float | None = None,
    mg_per_spray: float | None = None,
    rhythms: Mapping[str, str] | None = None,
    tolerated: bool | None = None,
    worsened: bool | None = None,
) -> Plan:
    """Order a course, by any route. A later order replaces the earlier one for sessions to come.

    What is stated follows from the regimen (`queries.stated_by`): a dose by weight or in mg, a
    duration where a pump runs it in, a number of sessions where the course is counted in sessions.

    Args:
        dose_mg_per_kg: where the regimen doses by weight.
        dose_mg: where it is given in devices, sprays, lozenges or tablets.
        duration_min: over how long one dose runs in; None for what is given at once.
        concentration_mg_per_ml: of what is drawn up: one of the regimen's vials where it lists any.
        mg_per_spray: what one spray of a compounded bottle holds, by the pharmacy's label.
        rhythms: by phase, one of those that the regimen offers; its first where not given.
        tolerated: whether the last dose was, where doses are listed; None keeps it from rising.
        worsened: whether symptoms worsened since a missed session, where the regimen asks.

    Raises:
        Refused: not a prescriber, no weight, a quantity outside the clinic's policy, an unknown
            vial, a dose that cannot be counted out or is not open yet, a day in the past.
    """
    require_no_open_safety_review(course)
    require_signed_policy()
    if prescriber.role != Role.PRESCRIBER:
        raise Refused(_("Only a prescriber orders a plan."))
    if course.stage not in {Stage.PLANNING, Stage.TREATMENT}:
        raise Refused(_("A plan follows the signed screening and the consent."))
    _require_consent(course)
    definition = next((r for r in queries.plannable(course) if r.id == regimen), None)
    way = queries.way_of(definition) if definition else None
    if definition is None or way is None:
        raise Refused(
            _("There is no regimen '%(regimen)s' by which this course can be planned.")
            % {"regimen": regimen},
            field="regimen",
        )
    weight = queries.latest_weight(course)
    if weight is not None and weight.taken_at < course.opened_at:
        if way in DRAWN_UP:
            # LAB-7: a weight of each course. What the referral says may be years old.
            raise Refused(
                _(
                    "The newest weight is of %(day)s, before this course began. Weigh the patient "
                    "first."
                )
                % {"day": date_format(weight.taken_at, "d F Y")}
            )
        weight = None
    if weight is not None:
        check_plausible(weight.kind, weight.value)
    elif way in DRAWN_UP:
        raise Refused(_("The weight is unknown. Weigh the patient first."))
    quantities = _stated(
        definition,
        dose_mg_per_kg=dose_mg_per_kg,
        dose_mg=dose_mg,
        duration_min=duration_min,
        sessions=sessions,
    )
    chosen = _chosen_rhythms(definition, rhythms or {})
    most_a_week = max(library().rhythms[name].per_week for name in chosen.values())
    outside = check_plan(definition, {**quantities, "sessions_per_week": most_a_week})
    if outside:
        raise Refused(outside[0].message, field=outside[0].limit.quantity)
    _require_open_dose(definition, course, quantities, tolerated)
    if first_on < clock.today():
        raise Refused(_("The first session cannot lie in the past."), field="first_on")

    def work_out() -> DoseArithmetic | Amount:
        return _worked(
            definition,
            way,
            quantities,
            weight_kg=weight.value if weight else None,
            concentration_mg_per_ml=concentration_mg_per_ml,
            mg_per_spray=mg_per_spray,
        )

    worked = work_out()
    if current := queries.current_plan(course):
        current.superseded_at = clock.now()
        current.save(update_fields=["superseded_at"])
    pump = worked if isinstance(worked, DoseArithmetic) else None
    with translation.override("en"):  # the record keeps the sum
        steps = list(work_out().steps)
    plan = Plan.objects.create(
        course=course,
        version=course.plans.count() + 1,
        regimen=regimen,
        route=course.route,
        drug=definition.drug,
        given_as=way,
        dose_mg_per_kg=dose_mg_per_kg,
        weight_kg=weight.value if weight else None,
        weight_taken_at=weight.taken_at if weight else None,
        concentration_mg_per_ml=concentration_mg_per_ml,
        duration_min=duration_min,
        dose_mg=worked.dose_mg,
        volume_ml=worked.volume_ml if way in DRAWN_UP else None,
        rate_mg_per_h=pump and pump.rate_mg_per_h,
        rate_ml_per_h=pump and pump.rate_ml_per_h,
        units=[] if isinstance(worked, DoseArithmetic) else [list(unit) for unit in worked.units],
        arithmetic=steps,
        sessions=sessions,
        begins_after=_begins_after(course),
        rhythms=chosen,
        worsened=worsened,
        first_on=first_on,
        library_version=library().version,
        ordered_by=prescriber,
    )
    with suppress(calendar.NoOpenDayError):  # said when the days are laid out
        _require_answered(queries.proposal(plan, today=first_on))
    record.append(
        prescriber,
        course.stream,
        "plans.plan_ordered",
        {
            **_plan_facts(plan),
            "arithmetic": plan.arithmetic,
            "tolerated": tolerated,
        },
        person_id=course.person_id,
    )
    return plan


_MISSING = {
    "dose_mg_per_kg": gettext_lazy("State the dose in mg/kg."),
    "dose_mg": gettext_lazy("State the dose in mg."),
    "duration_min": gettext_lazy("Say over how long the dose runs in."),
    "sessions": gettext_lazy("Say how many sessions."),
}
_STRANGE = {
    "dose_mg_per_kg": gettext_lazy("This regimen does not dose by weight: state the dose in mg."),
    "dose_mg": gettext_lazy("This regimen doses by weight: state the dose in mg/kg."),
    "duration_min": gettext_lazy("It is given at once: it has no duration."),
    "sessions": gettext_lazy("This regimen is counted in weeks: it has no number of sessions."),
}


def _begins_after(course: Course) -> int:
    """A course that comes back to planning begins a new series; a changed order goes on with its
    own."""
    if course.stage == Stage.PLANNING:
        return queries.highest_begun(course)
    earlier = course.plans.order_by("-version").first()
    return earlier.begins_after if earlier else 0


def _stated(definition: Regimen, **given: float | None) -> dict[str, float]:
    """What the order states, no less and no more than the regimen asks for."""
    asked = queries.stated_by(definition)
    for name, value in given.items():
        if name in asked and value is None:
            raise Refused(str(_MISSING[name]), field=name)
        if name not in asked and value is not None:
            raise Refused(str(_STRANGE[name]), field=name)
    return {name: value for name, value in given.items() if value is not None}


def _chosen_rhythms(definition: Regimen, chosen: Mapping[str, str]) -> dict[str, str]:
    """How often, for every phase of the regimen."""
    known = {phase.id: phase for phase in definition.phases}
    for name, rhythm in chosen.items():
        if name not in known or rhythm not in known[name].rhythms:
            raise Refused(
                _("%(regimen)s does not offer '%(rhythm)s' there.")
                % {"regimen": _(definition.name), "rhythm": _(rhythm)},
                field=f"rhythm_{name}",
            )
    return {name: chosen.get(name) or phase.rhythms[0] for name, phase in known.items()}


def _require_open_dose(
    definition: Regimen,
    course: Course,
    quantities: Mapping[str, float],
    tolerated: bool | None,
) -> None:
    """Where the regimen lists its doses: is this one open at the next session."""
    if definition.dose is None or not definition.dose.options:
        return
    following = queries.following_dose(course, definition, tolerated=tolerated)
    assert following is not None
    if quantities["dose_mg"] not in following.options:
        raise Refused(
            _("%(dose)s mg is not open at the next session; %(offered)s mg is. %(why)s")
            % {
                "dose": f"{quantities['dose_mg']:g}",
                "offered": any_of([f"{option:g}" for option in following.options]),
                "why": " ".join((*following.reasons, *following.questions)),
            },
            field="dose_mg",
        )


def _require_answered(proposed: Calendar) -> None:
    if proposed.questions:
        questions = {"questions": " ".join(_(question) for question in proposed.questions)}
        raise Refused(_("Answer first: %(questions)s") % questions, field="worsened")


def _worked(
    definition: Regimen,
    way: GivenAs,
    quantities: Mapping[str, float],
    *,
    weight_kg: float | None,
    concentration_mg_per_ml: float | None,
    mg_per_spray: float | None,
) -> DoseArithmetic | Amount:
    """The dose as it is drawn up, sprayed or counted out, and the pump's rates."""
    if way in DRAWN_UP:
        strength = _strength(definition, concentration_mg_per_ml)
        assert weight_kg is not None
        by_weight = {
            "dose_mg_per_kg": quantities["dose_mg_per_kg"],
            "weight_kg": weight_kg,
            "concentration_mg_per_ml": strength,
        }
        if way == GivenAs.INFUSION:
            return dose_arithmetic(**by_weight, duration_min=quantities["duration_min"])
        return injection(**by_weight)
    if concentration_mg_per_ml is not None:
        raise Refused(_("Nothing is drawn up here."), field="concentration_mg_per_ml")
    dose_mg = quantities["dose_mg"]
    try:
        if way == GivenAs.DEVICES:
            assert definition.device is not None
            return devices(definition.device, dose_mg=dose_mg)
        if way == GivenAs.PIECES:
            return counted(definition.units_mg, dose_mg=dose_mg)
        if not (mg_per_spray is not None and 0 < mg_per_spray <= dose_mg):
            raise Refused(
                _("Enter what one spray of this bottle holds, from the pharmacy's label, in mg."),
                field="mg_per_spray",
            )
        return sprays(dose_mg=dose_mg, mg_per_spray=mg_per_spray)
    except ValueError as error:
        field = "mg_per_spray" if way == GivenAs.SPRAYS else "dose_mg"
        raise Refused(f"{error}.", field=field) from error


def _strength(definition: Regimen, concentration_mg_per_ml: float | None) -> float:
    vials = {vial.concentration_mg_per_ml for vial in definition.vials}
    if vials and concentration_mg_per_ml not in vials:
        raise Refused(
            _("Choose a vial that exists: %(vials)s mg/mL.")
            % {"vials": ", ".join(f"{vial:g}" for vial in sorted(vials))},
            field="concentration_mg_per_ml",
        )
    if concentration_mg_per_ml is None or not 0 < concentration_mg_per_ml <= HIGHEST_MG_PER_ML:
        raise Refused(
            _("Enter the strength that stands on the label, in mg/mL."),
            field="concentration_mg_per_ml",
        )
    return concentration_mg_per_ml


def _plan_facts(plan: Plan) -> dict[str, Any]:
    return {
        "plan": plan.pk,
        "version": plan.version,
        "regimen": plan.regimen,
        "route": plan.route,
        "drug": plan.drug,
        "given_as": plan.given_as,
        "dose_mg_per_kg": plan.dose_mg_per_kg,
        "weight_kg": plan.weight_kg,
        "concentration_mg_per_ml": plan.concentration_mg_per_ml,
        "duration_min": plan.duration_min,
        "dose_mg": plan.dose_mg,
        "volume_ml": plan.volume_ml,
        "units": plan.units,
        "rate_mg_per_h": plan.rate_mg_per_h,
        "rate_ml_per_h": plan.rate_ml_per_h,
        "sessions": plan.sessions,
        "rhythms": plan.rhythms,
        "worsened": plan.worsened,
        "first_on": plan.first_on.isoformat(),
        "library": plan.library_version,
    }


def verify_plan(
    verifier: User,
    plan: Plan,
    *,
    dose_mg: float,
    volume_ml: float | None = None,
    count: int | None = None,
) -> Plan:
    """A second person works the dose out alone; only the same result puts the plan in force.

    A mismatch is recorded and refused: somebody must find out who was wrong.

    Args:
        volume_ml: of what is drawn up.
        count: how many devices, sprays or pieces, where the dose is counted out.

    Raises:
        Refused: the wrong person, no longer current, or another result.
    """
    with transaction.atomic():
        plan = Plan.objects.select_for_update().select_related("course__person").get(pk=plan.pk)
        require_no_open_safety_review(plan.course)
        _require_consent(plan.course)
        if verifier.role not in MAY_VERIFY:
            raise Refused(_("A nurse or a prescriber checks the dose."))
        if verifier.pk == plan.ordered_by_id:
            raise Refused(_("You ordered this plan. A second person must check it."))
        if plan.is_verified or plan.superseded_at:
            raise Refused(_("This plan is no longer waiting for a check."))
        agrees = round(dose_mg, 1) == plan.dose_mg and (
            (volume_ml is not None and round(volume_ml, 2) == plan.volume_ml)
            if plan.is_drawn_up
            else count == plan.unit_count
        )
        record.append(
            verifier,
            plan.course.stream,
            "plans.plan_verified" if agrees else "plans.plan_check_failed",
            {"plan": plan.pk, "dose_mg": dose_mg, "volume_ml": volume_ml, "count": count},
            person_id=plan.course.person_id,
        )
        if agrees:
            plan.verified_by, plan.verified_at = verifier, clock.now()
            plan.save(update_fields=["verified_by", "verified_at"])
            _put_on_calendar(verifier, plan)
    if not agrees:
        amount = (
            f"{volume_ml:g} mL"
            if volume_ml is not None
            else _("%(count)s pieces") % {"count": count}
        )
        # The failed check itself stays in the record, so the refusal comes after the transaction.
        raise Refused(
            _(
                "Your result (%(dose)s mg, %(amount)s) is not the ordered one. Nothing is in "
                "force. Work it out again together with the prescriber."
            )
            % {"dose": f"{dose_mg:g}", "amount": amount},
            field="dose_mg",
        )
    return plan


def _put_on_calendar(actor: User, plan: Plan, *, today: date | None = None) -> None:
    """Plan the days: sessions that have begun stay, all others follow the plan as it is now.

    Where only the dose has changed, the days stand, so that what was moved by hand stays moved.
    """
    course = plan.course
    waiting = course.planned_sessions.filter(cancelled_at=None, started_at=None)
    if today is None and _same_days(plan, list(waiting.select_related("plan"))):
        waiting.update(plan=plan)
        plan.laid_out_at = clock.now()
        plan.save(update_fields=["laid_out_at"])
        return
    dropped_numbers = list(waiting.values_list("number", flat=True))

    def propose() -> Calendar:
        return queries.proposal(plan, today=today or plan.first_on)

    try:
        with translation.override("en"):  # its reasons go into the record
            proposed = propose()
    except ValueError as error:  # no open day, or a regimen that has no schedule
        why = {"why": retold(str(error)).rstrip(".")}
        raise Refused(_("The calendar cannot be filled: %(why)s.") % why) from error
    if proposed.questions:
        _require_answered(propose())
    waiting.update(cancelled_at=clock.now(), cancel_reason=f"plan version {plan.version}")
    standing = course.planned_sessions.filter(cancelled_at=None)
    done = standing.aggregate(highest=Max("number"))["highest"] or 0
    plan.laid_out_at = clock.now()
    plan.save(update_fields=["laid_out_at"])
    days = [session.on for session in proposed.sessions]
    phases = {phase.id: phase.label for phase in library().regimens[plan.regimen].phases}
    PlannedSession.objects.bulk_create(
        PlannedSession(
            plan=plan,
            course=course,
            person_id=course.person_id,
            number=done + index,
            planned_for=arrival,
            phase=phases[session.phase][:40],
        )
        for index, (arrival, session) in enumerate(
            zip(queries.free_arrivals(days), proposed.sessions, strict=True), start=1
        )
    )
    record.append(
        actor,
        course.stream,
        "plans.sessions_planned",
        {
            "plan": plan.pk,
            "days": [day.isoformat() for day in days],
            "because": [" ".join(session.reasons) for session in proposed.sessions],
            "notes": list(proposed.notes),
            "instead_of": dropped_numbers,
        },
        person_id=course.person_id,
    )
    if course.stage == Stage.PLANNING:
        move_to(actor, course, Stage.TREATMENT)


def _same_days(plan: Plan, waiting: list[PlannedSession]) -> bool:
    """Whether an order changes the dose alone of what waits on the calendar."""
    last = max((item.number for item in waiting), default=0)
    whole = plan.begins_after + plan.sessions if plan.sessions else last
    return last == whole > 0 and all(
        item.plan.regimen == plan.regimen
        and item.plan.rhythms == plan.rhythms
        and item.plan.sessions == plan.sessions
        and timezone.localtime(item.planned_for).date() >= plan.first_on
        for item in waiting
    )


@transaction.atomic
def mark_missed(actor: User, planned: PlannedSession, *, reason: str = "") -> None:
    """Nobody came to a session: it falls off the calendar, and the schedule is looked at anew.

    Raises:
        Refused: it has begun or is cancelled, or its time has not come.
    """
    planned = _waiting(actor, planned)
    if planned.planned_for > clock.now():
        raise Refused(_("Its time has not come yet. Move it or cancel it."))
    planned.cancelled_at, planned.missed = clock.now(), True
    planned.cancel_reason = reason.strip() or "Nobody came."
    planned.save(update_fields=["cancelled_at", "missed", "cancel_reason"])
    record.append(
        actor,
        planned.course.stream,
        "plans.session_missed",
        {"planned": str(planned.pk), "reason": planned.cancel_reason},
        person_id=planned.person_id,
    )


@transaction.atomic
def plan_again(
    prescriber: User, course: Course, *, from_on: date, worsened: bool | None = None
) -> None:
    """Lay the days of the plan in force anew: after a missed session, or further ahead.

    The dose stays as it was ordered and checked.

    Args:
        worsened: whether symptoms worsened since the missed session; the regimen may ask.

    Raises:
        Refused: not a prescriber, no plan in force, a day in the past, or a question is open.
    """
    require_no_open_safety_review(course)
    if prescriber.role != Role.PRESCRIBER:
        raise Refused(_("Only a prescriber lays a course out anew."))
    plan = queries.plan_in_force(course)
    if plan is None or course.stage != Stage.TREATMENT:
        raise Refused(_("No plan is in force."))
    if from_on < clock.today():
        raise Refused(_("A session cannot be planned into the past."), field="from_on")
    record.append(
        prescriber,
        course.stream,
        "plans.planned_again",
        {"plan": plan.pk, "from": from_on.isoformat(), "worsened": worsened},
        person_id=course.person_id,
    )
    plan.worsened = worsened
    plan.save(update_fields=["worsened"])
    _put_on_calendar(prescriber, plan, today=from_on)


@transaction.atomic
def end_treatment(prescriber: User, course: Course, *, reason: str) -> None:
    """No further session is given: what waits falls off the calendar, and follow-up begins.

    Raises:
        Refused: not a prescriber, not in treatment, a session is in progress, or no reason.
    """
    if prescriber.role != Role.PRESCRIBER:
        raise Refused(_("Only a prescriber ends a course."))
    if course.stage != Stage.TREATMENT:
        raise Refused(_("This course is not in treatment."))
    reason = require_reason(reason)
    standing = course.planned_sessions.select_for_update().filter(cancelled_at=None, done_at=None)
    if standing.filter(started_at__isnull=False).exists():
        raise Refused(_("A session is in progress. Let it end first."))
    dropped = list(standing.values_list("number", flat=True))
    standing.update(cancelled_at=clock.now(), cancel_reason=reason)
    record.append(
        prescriber,
        course.stream,
        "plans.treatment_ended",
        {"reason": reason, "sessions_dropped": dropped},
        person_id=course.person_id,
    )
    move_to(prescriber, course, Stage.FOLLOW_UP, reason=reason)


@transaction.atomic
def reschedule(actor: User, planned: PlannedSession, *, planned_for: datetime) -> None:
    """Move one session on the calendar.

    Raises:
        Refused: it is over or cancelled, lies in the past, or out of order with its neighbours.
    """
    planned = _waiting(actor, planned)
    require_no_open_safety_review(planned.course)
    if timezone.localtime(planned_for).date() < clock.today():
        raise Refused(_("A session cannot be moved into the past."), field="planned_for")
    others = planned.course.planned_sessions.filter(cancelled_at=None).exclude(pk=planned.pk)
    day = timezone.localtime(planned_for).date()
    for other in others:
        other_day = timezone.localtime(other.planned_for).date()
        if other_day == day:
            raise Refused(
                _("Session %(number)s is on that day already.") % {"number": other.number},
                field="planned_for",
            )
        if (other.number < planned.number) != (other_day < day):
            raise Refused(
                _("It would fall out of order with session %(number)s.") % {"number": other.number},
                field="planned_for",
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
    reason = require_reason(reason)
    planned.cancelled_at, planned.cancel_reason = clock.now(), reason
    planned.save(update_fields=["cancelled_at", "cancel_reason"])
    record.append(
        actor,
        planned.course.stream,
        "plans.session_cancelled",
        {"planned": str(planned.pk), "reason": reason},
        person_id=planned.person_id,
    )


def _waiting(actor: User, planned: PlannedSession) -> PlannedSession:
    """The session, locked, if it still waits on the calendar and the actor may change it."""
    if actor.role not in MAY_SCHEDULE:
        raise Refused(_("Your role does not change the calendar."))
    planned = PlannedSession.objects.select_for_update().get(pk=planned.pk)
    if planned.started_at or planned.cancelled_at:
        raise Refused(_("This session has begun or is cancelled."))
    return planned


def _require_consent(course: Course) -> None:
    if queries.consent_in_force(course) is None:
        raise Refused(_("No consent is in force. Without it nothing is planned."))
