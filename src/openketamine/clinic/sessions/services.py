"""The acts of a session, as a nurse or a prescriber would name them.

Each is one transaction and one event in the record. Whatever an act would make of the session is
folded before it is written, so an act that does not fit is refused and nothing is half-done.
"""

import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from django.db import transaction
from django.utils import timezone

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.errors import Barred, Refused
from openketamine.clinic.intake.services import require_no_open_safety_review
from openketamine.clinic.people.models import Course, MeasurementKind, Stage
from openketamine.clinic.people.services import check_plausible, move_to, record_measurement
from openketamine.clinic.plans import queries as plans
from openketamine.clinic.plans.models import PlannedSession
from openketamine.clinic.policy.models import Approval
from openketamine.clinic.policy.queries import library
from openketamine.clinic.policy.services import require_signed_policy
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event, Source
from openketamine.clinic.rems import queries as rems
from openketamine.protocols import monitoring
from openketamine.protocols.eligibility import evaluate, rule_of
from openketamine.protocols.schema import MonitoringFile

from . import queries, signals, transfers
from .models import (
    OPEN,
    UNDER_THE_DRUG,
    Chair,
    MonitoringForm,
    Phase,
    Session,
    TransferDecision,
    VerbalOrder,
)
from .timeline import (
    BASELINE,
    CORRECTABLE,
    OBSERVATIONS,
    PUMP_AND_PHASE,
    RETIMABLE,
    VITALS,
    OutOfOrderError,
    Syringe,
    Timeline,
    fold,
)

BEDSIDE = frozenset({Role.NURSE, Role.PRESCRIBER})
ENTRY = BEDSIDE | {Role.THERAPIST}
MAY_ADD_CHAIRS = BEDSIDE | {Role.DIRECTOR}
# A pump rounds to a tenth; less than this left to run is a finished infusion.
ROUNDING_MG = 0.15
LONGEST_BACKDATING = timedelta(hours=12)
# The safety programme's own rule for outpatients (clinical reference 4.5, verified).
MONITORING_FORM_WITHIN = timedelta(days=7)


@dataclass(frozen=True)
class _Draft:
    """An event that is not written yet, for folding beforehand."""

    seq: int
    kind: str
    occurred_at: datetime
    recorded_at: datetime
    actor_name: str
    source: str
    corrects_id: int | None
    data: dict[str, Any]


def stored(session: Session, client_id: uuid.UUID | None) -> Event | None:
    """The event that an earlier sending of the same entry has made, if there was one."""
    if client_id is None:
        return None
    return Event.objects.filter(stream=session.stream, client_id=client_id).first()


A = TypeVar("A", bound=User | str)
E = TypeVar("E")
P = ParamSpec("P")


def act(
    function: Callable[Concatenate[A, Session, P], Event | Refused],
) -> Callable[Concatenate[A, Session, P], Event]:
    """An act of a session: one transaction, after those before it, done once however often sent.

    An entry that is sent again with its `client_id`, as its answer was lost, is answered with the
    event that the first sending stored: also where by now the act itself would be refused. An act
    that returns a refusal has written what was tried; the refusal follows once that is stored.
    """

    @wraps(function)
    def done(actor: A, session: Session, *given: P.args, **entry: P.kwargs) -> Event:
        client_id: Any = entry.get("client_id")
        outcome = _once(session, client_id, lambda: function(actor, session, *given, **entry))
        if isinstance(outcome, Refused):
            raise outcome
        return outcome

    return done


def _once(session: Session, client_id: uuid.UUID | None, do: Callable[[], E]) -> E | Event:
    """Do it in one transaction, unless an earlier sending has done it."""
    with transaction.atomic():
        # The head before the session's row, as the monitors do: two that wait for each other would
        # wait for ever.
        record.lock()
        return stored(session, client_id) or do()


def _append(
    actor: User | str,
    session: Session,
    kind: str,
    data: dict[str, Any],
    *,
    at: datetime | None = None,
    source: Source = Source.HAND,
    corrects: Event | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """Write the event if it fits the rest of the session, which is folded to see.

    A reading, an observation or a note fits any open session: for those nothing is folded, so
    that a monitor's thousandth reading costs no more than its first.
    """
    head = record.lock()
    now = clock.not_before(head.recorded_at)
    occurred_at = at or now
    if occurred_at < session.opened_at - LONGEST_BACKDATING:
        raise Refused(
            f"{occurred_at:%d %b %H:%M} lies long before this session. Check date and time.",
            field="at",
        )
    phase = session.phase
    if kind in PUMP_AND_PHASE:
        events: list[Any] = list(Event.objects.filter(stream=session.stream).order_by("seq"))
        draft = _Draft(
            seq=(events[-1].seq if events else 0) + 1,
            kind=kind,
            occurred_at=occurred_at,
            recorded_at=now,
            actor_name=str(actor),
            source=source,
            corrects_id=corrects.pk if corrects else None,
            data=data,
        )
        try:
            phase = fold([*events, draft]).phase
        except OutOfOrderError as error:
            raise Refused(f"Not possible: {error}.") from error
    event = record.append(
        actor,
        session.stream,
        kind,
        data,
        person_id=session.person_id,
        occurred_at=occurred_at,
        source=source,
        corrects=corrects,
        client_id=client_id,
    )
    if phase != session.phase:
        session.phase = phase
        session.save(update_fields=["phase"])
    return event


def _require_way(session: Session, way: str) -> None:
    if session.way != way:
        raise Refused(f"This course is {session.course.route}: it has no {way}.")


def tried(
    actor: User,
    session: Session,
    what: str,
    act: Callable[[], Event],
    client_id: uuid.UUID | None = None,
) -> Event:
    """Do an act in one transaction, once; where a guarding rule bars it, write that it was tried.

    Raises:
        Refused: as the act does; `Barred` once the attempt is in the record.
    """
    try:
        return _once(session, client_id, act)
    except Barred as refusal:
        with transaction.atomic():
            record.append(
                actor,
                session.stream,
                "session.attempt_refused",
                {"act": what, "because": refusal.message},
                person_id=session.person_id,
            )
        raise


def _require_role(actor: User, roles: frozenset[Role], act: str) -> None:
    if actor.role not in roles:
        raise Refused(f"Your role does not {act}.")


def _require_open(session: Session, written_for: datetime | None = None) -> Session:
    """The session, locked. What was written for a moment before it closed still belongs to it."""
    session = (
        Session.objects.select_for_update(of=("self",))
        .select_related("course__person", "person", "planned__plan", "chair")
        .get(pk=session.pk)
    )
    if session.closed_at and written_for and written_for <= session.closed_at:
        return session
    if session.phase not in OPEN:
        raise Refused(f"This session is {Phase(session.phase).label.lower()}.")
    return session


def _require_treatable(course: Course) -> Approval:
    """The signature under which this course may be treated now."""
    approval = require_signed_policy()
    require_no_open_safety_review(course)
    transfers.require_decided(course)
    if plans.consent_in_force(course) is None:
        raise Refused("No consent is in force. Without it nothing can be given.")
    if plans.plan_in_force(course) is None:
        raise Refused("The plan is not in force: a second person has to check the dose first.")
    return approval


def _require_programme(course: Course) -> None:
    """What the drug's own safety programme asks for: a certified site, an enrolled patient."""
    if missing := rems.what_is_missing(course):
        raise Barred(missing)


def _require_same_plan(session: Session) -> None:
    """The dose of this chair is the one that is ordered now."""
    current = plans.plan_in_force(session.course)
    if current is None or current.pk != session.planned.plan_id:
        raise Refused(
            "The plan has been ordered anew since this session was opened. Cancel this session; "
            "the next one on the calendar carries the new dose."
        )


def _plausible(session: Session, values: Mapping[str, float | None]) -> dict[str, float]:
    """The values that are there, or a refusal naming the first that cannot be true."""
    protocol = queries.protocol_of(session)
    given = {name: value for name, value in values.items() if value is not None}
    for name, value in given.items():
        if reason := monitoring.impossible(protocol, name, value):
            raise Refused(reason, field=name)
    systolic, diastolic = given.get("systolic_mmhg"), given.get("diastolic_mmhg")
    if systolic is not None and diastolic is not None and diastolic >= systolic:
        raise Refused(
            f"Diastolic {diastolic:g} cannot be as high as systolic {systolic:g} mmHg. Check both.",
            field="diastolic_mmhg",
        )
    return given


def open_session(actor: User, planned: PlannedSession, chair: Chair) -> Session:
    """The patient has arrived and takes a chair.

    Raises:
        Refused: something that must be in force is not, the chair is taken, another session of this
            patient is open, or this one was opened already.
        Barred: the safety programme of the drug still asks for something.
    """
    try:
        with transaction.atomic():
            return _open_session(actor, planned, chair)
    except Barred as refusal:
        with transaction.atomic():
            record.append(
                actor,
                planned.course.stream,
                "sessions.open_refused",
                {"planned": str(planned.pk), "because": refusal.message},
                person_id=planned.person_id,
            )
        raise


def _open_session(actor: User, planned: PlannedSession, chair: Chair) -> Session:
    _require_role(actor, BEDSIDE, "open sessions")
    record.lock()
    planned = PlannedSession.objects.select_related("course", "person", "plan").get(pk=planned.pk)
    approval = _require_treatable(planned.course)
    _require_programme(planned.course)
    if planned.cancelled_at or planned.done_at or hasattr(planned, "session"):
        raise Refused("This session was opened or cancelled already.")
    if (taken := Session.objects.filter(chair=chair, closed_at=None).first()) is not None:
        raise Refused(f"{chair} is taken by {taken.person}.", field="chair")
    if Session.objects.filter(person=planned.person, closed_at=None).exists():
        raise Refused("Another session of this patient is still open. Close it first.")
    session = Session.objects.create(
        planned=planned,
        course=planned.course,
        person=planned.person,
        chair=chair,
        approval=approval,
    )
    planned.started_at = session.opened_at
    planned.save(update_fields=["started_at"])
    plan = plans.plan_in_force(planned.course)
    assert plan is not None
    _append(
        actor,
        session,
        "session.opened",
        {
            "chair": chair.name,
            "planned": str(planned.pk),
            "number": planned.number,
            "plan": plan.pk,
            "route": planned.course.route,
            "dose_mg": plan.dose_mg,
            "dose_mg_per_kg": plan.dose_mg_per_kg,
            "duration_min": plan.duration_min,
            "how": plan.how,
            "drug": plan.drug,
            "units": plan.units,
            "rate_mg_per_h": plan.rate_mg_per_h,
            "concentration_mg_per_ml": plan.concentration_mg_per_ml,
            **queries.stamp_of(session),
        },
    )
    return session


@act
def complete_check(
    actor: User,
    session: Session,
    *,
    confirmed: Mapping[str, bool],
    weight_kg: float,
    vitals: Mapping[str, float | None],
    escort_name: str,
    escort_relation: str = "",
    escort_phone: str = "",
    medicines_today: str,
    waits: Mapping[str, datetime | None] | None = None,
    safety_concern: bool = False,
    client_id: uuid.UUID | None = None,
) -> Event:
    """The pre-session check. Pressure above the policy's figures asks the prescriber first.

    Args:
        confirmed: for each item of the protocol's checklist, whether it was confirmed.
        waits: for each wait of the checklist when that was last, or None where not since yesterday.

    Raises:
        Refused: an item is not confirmed, a value impossible, the escort unnamed, or the dose per
            kilogram at today's weight outside policy.
    """
    _require_role(actor, BEDSIDE, "do the pre-session check")
    session = _require_open(session)
    _require_treatable(session.course)
    _require_same_plan(session)
    protocol = queries.protocol_of(session)
    for item in protocol.presession:
        if not confirmed.get(item.item):
            raise Refused(f"Not confirmed: {item.question}.", field=item.item)
    if not escort_name.strip():
        raise Refused(
            "Name the adult who takes the patient home. Without an escort nothing is given.",
            field="escort_name",
        )
    if not medicines_today.strip():
        raise Refused(
            "Write down today's medicines, alcohol and drugs, or 'none'.", field="medicines_today"
        )
    if safety_concern:
        raise Refused(
            "A concern about safety stops the session here. Call the prescriber, do a PHQ-9 and "
            "record the safety review.",
            field="safety_concern",
        )
    check_plausible(MeasurementKind.WEIGHT_KG, weight_kg)
    readings = _plausible(session, vitals)
    for name in BASELINE:
        if name not in readings:
            raise Refused("The baseline needs pressure, heart rate and SpO2.", field=name)
    per_kg = _dose_per_kg(session, weight_kg)
    last_times = _waits_told(protocol, waits or {})
    event = _append(
        actor,
        session,
        "session.check_completed",
        {
            "confirmed": sorted(name for name, yes in confirmed.items() if yes),
            "weight_kg": weight_kg,
            "dose_mg_per_kg_today": round(per_kg, 3),
            **({"waits": last_times} if last_times else {}),
            "vitals": readings,
            "escort": {
                "name": escort_name.strip(),
                "relation": escort_relation.strip(),
                "phone": escort_phone.strip(),
            },
            "medicines_today": medicines_today.strip(),
            "asks_prescriber": pressure_asks(session, readings),
        },
        client_id=client_id,
    )
    record_measurement(actor, session.person, kind=MeasurementKind.WEIGHT_KG, value=weight_kg)
    return event


def _dose_per_kg(session: Session, weight_kg: float) -> float:
    """The ordered dose by today's weight; where it was ordered by weight, within the policy."""
    plan = session.planned.plan
    per_kg = plan.dose_mg / weight_kg
    if plan.dose_mg_per_kg is None:
        return per_kg
    limit = queries.library_of(session).regimens[plan.regimen].limit("dose_mg_per_kg")
    if not limit.minimum <= round(per_kg, 2) <= limit.maximum:
        raise Refused(
            f"At {weight_kg:g} kg the ordered {plan.dose_mg:g} mg would be {per_kg:.2f} mg/kg, "
            f"outside the clinic's policy of {limit.minimum:g} to {limit.maximum:g} mg/kg. "
            "The prescriber must order the plan anew.",
            field="weight_kg",
        )
    return per_kg


def _waits_told(
    protocol: MonitoringFile, waits: Mapping[str, datetime | None]
) -> dict[str, str | None]:
    """When each thing was last that has to lie some time back; an unanswered one is refused."""
    told: dict[str, str | None] = {}
    for wait in (wait for item in protocol.presession for wait in item.waits):
        if wait.fact not in waits:
            raise Refused(
                f"{wait.label}: enter the time, or say that there was none since yesterday.",
                field=f"wait_{wait.fact}",
            )
        moment = waits[wait.fact]
        if moment is not None and moment > clock.now():
            raise Refused(f"{wait.label}: that lies in the future.", field=f"wait_{wait.fact}")
        told[wait.fact] = moment.isoformat() if moment else None
    return told


def pressure_asks(session: Session, readings: Mapping[str, float]) -> str:
    """The pre-dose pressure rule that these readings trip, in words, or nothing."""
    protocol = queries.protocol_of(session)
    if protocol.before:
        crossed, _ = monitoring.before_dose(protocol, readings)
        return "; ".join(threshold.statement for threshold in crossed)
    rule = rule_of(queries.library_of(session), "PR-1", session.course.route)
    if rule is None:
        return ""
    holds, _ = evaluate(rule.when, readings)
    return rule.statement if holds else ""


@act
def decide_go(
    prescriber: User, session: Session, *, reason: str, client_id: uuid.UUID | None = None
) -> Event:
    """The prescriber lets the session go on although the pressure before it is high.

    Raises:
        Refused: not a prescriber, nothing to decide, or no reason.
    """
    _require_role(prescriber, frozenset({Role.PRESCRIBER}), "decide this")
    session = _require_open(session)
    timeline = queries.timeline_of(session)
    about = undecided(session, timeline)
    if not about:
        raise Refused("There is nothing to decide: do the pre-session check first.")
    if not reason.strip():
        raise Refused("Give the reason.", field="reason")
    return _append(
        prescriber,
        session,
        "session.go_decided",
        {"about": about, "reason": reason.strip()},
        client_id=client_id,
    )


def undecided(session: Session, timeline: Timeline) -> str:
    """What of the pressure before the dose waits for the prescriber's decision, or nothing.

    It is the latest pressure that counts, that of the check or one taken since.
    """
    if timeline.check is None or timeline.phase not in {Phase.CHECK, Phase.READY}:
        return ""
    if timeline.phase == Phase.CHECK:
        return str(timeline.check["asks_prescriber"])
    if not queries.protocol_of(session).before:
        return ""
    latest: dict[str, float] = {}
    taken_at = None
    for reading in timeline.vitals:
        if {"systolic_mmhg", "diastolic_mmhg"} & reading.values.keys():
            latest, taken_at = latest | reading.values, reading.at
    if timeline.go is not None and taken_at is not None and timeline.go.at >= taken_at:
        return ""
    return pressure_asks(session, latest)


@act
def start_infusion(
    actor: User,
    session: Session,
    *,
    at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """Start the pump with the ordered dose at the ordered rate.

    Raises:
        Refused: the check is not done, or something that must be in force no longer is.
    """
    _require_role(actor, BEDSIDE, "start infusions")
    session = _require_open(session)
    _require_way(session, "infusion")
    _require_treatable(session.course)
    _require_same_plan(session)
    timeline = queries.timeline_of(session)
    _require_checked(timeline)
    plan = session.planned.plan
    # In any other phase the fold says why the pump cannot be started.
    syringe = _require_prepared(session, timeline) if timeline.phase == Phase.READY else None
    return _append(
        actor,
        session,
        "session.infusion_started",
        {
            "programmed_mg": plan.dose_mg,
            "rate_mg_per_h": plan.rate_mg_per_h,
            **({"syringe": syringe.seq} if syringe else {}),
        },
        at=at,
        client_id=client_id,
    )


def _require_prepared(session: Session, timeline: Timeline) -> Syringe | None:
    """The syringe or vial that goes in now, drawn up and checked as the clinic's policy asks."""
    drawn_up, policy = timeline.drawn_up, queries.protocol_of(session).preparation
    if policy and policy.second_person:
        if drawn_up is None:
            raise Refused("Prepare the syringe first; then a second person checks it.")
        if drawn_up.checked is None:
            raise Refused(
                f"The syringe that {drawn_up.line.actor_name} prepared has not been checked by a "
                "second person."
            )
    return drawn_up


@act
def prepare_syringe(
    actor: User,
    session: Session,
    *,
    volume_ml: float,
    concentration_mg_per_ml: float,
    lot: str,
    note: str = "",
    at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """Draw up a syringe or vial for this session.

    Args:
        concentration_mg_per_ml: as drawn up, after any dilution.

    Raises:
        Refused: an amount is not above zero, the lot is missing, or a strength that has to be
            diluted for this route is not.
    """
    _require_role(actor, BEDSIDE, "prepare doses")
    session = _require_open(session)
    for name, value in (
        ("volume_ml", volume_ml),
        ("concentration_mg_per_ml", concentration_mg_per_ml),
    ):
        if not (value > 0 and math.isfinite(value)):
            raise Refused("An amount is a number above zero.", field=name)
    if not lot.strip():
        raise Refused("Enter the lot that stands on the vial.", field="lot")
    for vial in queries.library_of(session).regimens[session.planned.plan.regimen].vials:
        if vial.dilute and concentration_mg_per_ml >= vial.concentration_mg_per_ml:
            raise Refused(
                f"{concentration_mg_per_ml:g} mg/mL: {vial.note or 'dilute it first.'}",
                field="concentration_mg_per_ml",
            )
    return _append(
        actor,
        session,
        "session.syringe_prepared",
        {
            "volume_ml": volume_ml,
            "concentration_mg_per_ml": concentration_mg_per_ml,
            "amount_mg": round(volume_ml * concentration_mg_per_ml, 2),
            "lot": lot.strip(),
            "note": note.strip(),
        },
        at=at,
        client_id=client_id,
    )


@act
def check_syringe(
    second: User,
    session: Session,
    *,
    volume_ml: float,
    concentration_mg_per_ml: float,
    client_id: uuid.UUID | None = None,
) -> Event | Refused:
    """A second person reads the syringe alone; only the same figures let it be given.

    A mismatch is recorded and refused: somebody must find out who was wrong.

    Raises:
        Refused: nothing waits, the same person, or other figures.
    """
    _require_role(second, BEDSIDE, "check doses")
    session = _require_open(session)
    drawn_up = queries.timeline_of(session).drawn_up
    if drawn_up is None or drawn_up.checked is not None:
        raise Refused("No syringe waits for a check.")
    prepared = Event.objects.get(stream=session.stream, seq=drawn_up.seq)
    if prepared.actor_id == second.pk:
        raise Refused("You prepared this syringe. A second person must check it.")
    agrees = (
        round(volume_ml, 2) == round(drawn_up.volume_ml, 2)
        and round(concentration_mg_per_ml, 2) == round(drawn_up.concentration_mg_per_ml, 2)
    )  # fmt: skip
    if not agrees and client_id:
        # The sheet stays open under its id for what is read next: these figures have one of theirs.
        read = f"{volume_ml:g} mL of {concentration_mg_per_ml:g} mg/mL, {drawn_up.seq}"
        client_id = uuid.uuid5(client_id, read)
    event = _append(
        second,
        session,
        "session.syringe_checked" if agrees else "session.syringe_check_failed",
        {
            "syringe": drawn_up.seq,
            "volume_ml": volume_ml,
            "concentration_mg_per_ml": concentration_mg_per_ml,
        },
        client_id=client_id,
    )
    if agrees:
        return event
    return Refused(
        f"You read {volume_ml:g} mL of {concentration_mg_per_ml:g} mg/mL; that is not what "
        "was written down. Look at the syringe together, then prepare it anew.",
        field="volume_ml",
    )


@act
def change_syringe(
    actor: User,
    session: Session,
    *,
    wasted_mg: float,
    reason: str,
    at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """Put the syringe that was prepared into the paused pump.

    Args:
        wasted_mg: what was left in the old one and is thrown away, with a witness.

    Raises:
        Refused: the pump is not paused, no checked syringe is there, or no reason.
    """
    _require_role(actor, BEDSIDE, "change syringes")
    session = _require_open(session)
    timeline = queries.timeline_of(session)
    if timeline.phase != Phase.PAUSED:
        raise Refused("Pause the pump first; then change the syringe.")
    if not (wasted_mg >= 0 and math.isfinite(wasted_mg)):
        raise Refused("What is thrown away is zero or more.", field="wasted_mg")
    if not reason.strip():
        raise Refused("Give the reason for the change.", field="reason")
    syringe = _require_prepared(session, timeline)
    if syringe is None:
        raise Refused("Prepare the new syringe first.")
    return _append(
        actor,
        session,
        "session.syringe_changed",
        {"syringe": syringe.seq, "wasted_mg": wasted_mg, "reason": reason.strip()},
        at=at,
        client_id=client_id,
    )


@act
def pause_infusion(
    actor: User,
    session: Session,
    *,
    reason: str,
    at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """Hold the pump.

    Raises:
        Refused: it does not run, or no reason is given.
    """
    _require_role(actor, BEDSIDE, "pause infusions")
    session = _require_open(session)
    if not reason.strip():
        raise Refused("Give the reason for the pause.", field="reason")
    return _append(
        actor,
        session,
        "session.infusion_paused",
        {"reason": reason.strip()},
        at=at,
        client_id=client_id,
    )


@act
def resume_infusion(
    actor: User,
    session: Session,
    *,
    at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """Let the pump run on at the rate it had before the pause.

    Raises:
        Refused: it is not paused, or something that must be in force no longer is.
    """
    _require_role(actor, BEDSIDE, "resume infusions")
    session = _require_open(session)
    _require_treatable(session.course)
    timeline = queries.timeline_of(session)
    rate = timeline.segments[-1].rate_mg_per_h if timeline.segments else 0.0
    return _append(
        actor,
        session,
        "session.infusion_resumed",
        {"rate_mg_per_h": rate},
        at=at,
        client_id=client_id,
    )


@act
def change_rate(
    actor: User,
    session: Session,
    *,
    rate_mg_per_h: float,
    reason: str,
    ordered_by: User | None = None,
    read_back: bool = False,
    at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """Set the pump to a new rate from now on.

    A nurse may go slower than ordered. Faster than ordered takes a prescriber's order, and is never
    faster than the clinic's policy: the ordered dose over the shortest time allowed.

    Args:
        ordered_by: the prescriber who ordered it by voice, where no order is on the screen.
        read_back: whether that order was read back and confirmed.

    Raises:
        Refused: the pump does not run, the rate is not above zero, or it lies beyond the order.
    """
    _require_role(actor, BEDSIDE, "change rates")
    session = _require_open(session)
    plan = session.planned.plan
    if not rate_mg_per_h > 0:
        raise Refused("A rate is above zero. To hold the pump, pause it.", field="rate_mg_per_h")
    if not reason.strip():
        raise Refused("Give the reason for the change.", field="reason")
    _require_within_policy(session, "rate", rate_mg_per_h, field="rate_mg_per_h")
    order = None
    if rate_mg_per_h > plan.rate_mg_per_h:
        order = _covering_order(
            actor, session, "rate", rate_mg_per_h, reason, ordered_by, read_back, "rate_mg_per_h"
        )
    return _append(
        actor,
        session,
        "session.rate_changed",
        {
            "rate_mg_per_h": rate_mg_per_h,
            "reason": reason.strip(),
            **({"order": order} if order else {}),
        },
        at=at,
        client_id=client_id,
    )


_UNITS = {
    "rate": "mg/h",
    "bolus": "mg",
    "total": "mg",
    "injection": "mg",
    "device": "mg",
}
_NAMES = {
    "rate": "a rate of",
    "bolus": "a bolus of",
    "total": "a total of",
    "injection": "a further injection of",
    "device": "a further device or spray of",
}


def _require_within_policy(session: Session, what: str, amount: float, *, field: str) -> None:
    """Refuse what no order makes right: beyond the clinic's signed limits for this regimen."""
    if not (amount > 0 and math.isfinite(amount)):
        raise Refused("An amount is a number above zero.", field=field)
    plan = session.planned.plan
    regimen = queries.library_of(session).regimens[plan.regimen]
    if what == "rate":
        fastest = round(plan.dose_mg / regimen.limit("duration_min").minimum * 60, 1)
        fastest = max(fastest, plan.rate_mg_per_h)
        if amount > fastest:
            raise Refused(
                f"{amount:g} mg/h is above the clinic's policy for this dose: at most "
                f"{fastest:g} mg/h.",
                field=field,
            )
        return
    timeline = queries.timeline_of(session)
    if what == "device":
        most = regimen.limit("dose_mg").maximum
        taken = sum(dose.dose_mg for dose in timeline.sprays)
        if taken + amount > most:
            raise Refused(
                f"With this the session would come to {taken + amount:g} mg, above the limit of "
                f"{most:g} mg.",
                field=field,
            )
        return
    boluses = sum(dose.dose_mg for dose in timeline.boluses)
    in_all = {
        "total": amount + boluses,
        "bolus": timeline.programmed_mg + boluses + amount,
        "injection": sum(dose.dose_mg for dose in timeline.injections) + amount,
    }[what]
    limit = regimen.limit("dose_mg_per_kg")
    weight_kg = timeline.check["weight_kg"] if timeline.check else plan.weight_kg
    if round(in_all / weight_kg, 2) > limit.maximum:
        raise Refused(
            f"With this the session would come to {in_all:g} mg = {in_all / weight_kg:.2f} mg/kg, "
            f"above the clinic's policy of at most {limit.maximum:g} mg/kg.",
            field=field,
        )


def _covering_order(
    actor: User,
    session: Session,
    what: str,
    amount: float,
    reason: str,
    ordered_by: User | None,
    read_back: bool,
    field: str,
) -> int:
    """The event of the order that covers an act outside the plan: one that stands, or a new one."""
    for order in queries.timeline_of(session).orders.values():
        if order.used_by is None and order.what == what and amount <= order.amount:
            return order.line.seq
    if actor.role != Role.PRESCRIBER and ordered_by is None:
        raise Refused(
            f"{_NAMES[what].capitalize()} {amount:g} {_UNITS[what]} is outside the plan. The "
            "prescriber has to order it: on the screen, or by voice, read back and confirmed.",
            field=field,
        )
    return give_order(
        actor,
        session,
        what=what,
        amount=amount,
        reason=reason,
        ordered_by=ordered_by,
        read_back=read_back,
    ).seq


@act
def give_order(
    actor: User,
    session: Session,
    *,
    what: str,
    amount: float,
    reason: str,
    ordered_by: User | None = None,
    read_back: bool = False,
    client_id: uuid.UUID | None = None,
) -> Event:
    """Order something outside the plan: by the prescriber on the screen, or by voice.

    An order by voice is written down by whoever took it, who has read it back; the prescriber who
    gave it signs it later (`cosign_order`).

    Args:
        what: "rate" (mg/h), "bolus", "total", "injection" or "device" (mg).
        amount: at most so much.

    Raises:
        Refused: not a prescriber's, not read back, without a reason, or beyond clinic policy.
    """
    _require_role(actor, BEDSIDE, "take orders")
    session = _require_open(session)
    if what not in _UNITS:
        raise Refused("Choose what is ordered.", field="what")
    if not reason.strip():
        raise Refused("Give the reason.", field="reason")
    _require_within_policy(session, what, amount, field="amount")
    verbal = actor.role != Role.PRESCRIBER or (ordered_by is not None and ordered_by != actor)
    prescriber = ordered_by if verbal else actor
    if prescriber is None or prescriber.role != Role.PRESCRIBER or not prescriber.is_active:
        raise Refused("Name the prescriber who ordered it.", field="ordered_by")
    if verbal and not read_back:
        raise Refused(
            "Read the order back to the prescriber, and confirm here that it was right.",
            field="read_back",
        )
    event = _append(
        actor,
        session,
        "session.order_given",
        {
            "what": what,
            "amount": amount,
            "unit": _UNITS[what],
            "prescriber": prescriber.pk,
            "prescriber_name": str(prescriber),
            "verbal": verbal,
            "read_back": verbal and read_back,
            "reason": reason.strip(),
        },
        client_id=client_id,
    )
    if verbal:
        VerbalOrder.objects.create(
            session=session,
            event_seq=event.seq,
            prescriber=prescriber,
            statement=f"{_NAMES[what].capitalize()} {amount:g} {_UNITS[what]}: {reason.strip()}",
            given_at=event.occurred_at,
        )
    return event


@transaction.atomic
def cosign_order(prescriber: User, order: VerbalOrder) -> Event:
    """The prescriber signs an order that was given by voice. Also when the session is over.

    Raises:
        Refused: it is another prescriber's.
    """
    record.lock()
    order = VerbalOrder.objects.select_for_update().select_related("session").get(pk=order.pk)
    if order.prescriber_id != prescriber.pk:
        raise Refused(f"Only {order.prescriber} can sign this order.")
    if order.cosigned_at:  # pressed twice, or the answer was lost
        signed = Event.objects.filter(
            stream=order.session.stream, kind="session.order_cosigned", seq__gt=order.event_seq
        )
        return next(event for event in signed if event.data["order"] == order.event_seq)
    event = _append(prescriber, order.session, "session.order_cosigned", {"order": order.event_seq})
    order.cosigned_at = event.recorded_at
    order.save(update_fields=["cosigned_at"])
    return event


@act
def give_bolus(
    actor: User,
    session: Session,
    *,
    dose_mg: float,
    reason: str,
    ordered_by: User | None = None,
    read_back: bool = False,
    at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """Give a bolus by the pump, on top of what it was programmed with. Always by order.

    Raises:
        Refused: the infusion does not run, no order covers it, or it passes the clinic's policy.
    """
    _require_role(actor, BEDSIDE, "give boluses")
    session = _require_open(session)
    if session.phase not in {Phase.INFUSION, Phase.PAUSED}:
        raise Refused("A bolus is given during an infusion.")
    if not reason.strip():
        raise Refused("Give the reason for the bolus.", field="reason")
    _require_within_policy(session, "bolus", dose_mg, field="dose_mg")
    order = _covering_order(
        actor, session, "bolus", dose_mg, reason, ordered_by, read_back, "dose_mg"
    )
    return _append(
        actor,
        session,
        "session.bolus_given",
        {"dose_mg": dose_mg, "reason": reason.strip(), "order": order},
        at=at,
        client_id=client_id,
    )


@act
def give_injection(
    actor: User,
    session: Session,
    *,
    dose_mg: float,
    site: str,
    reason: str = "",
    ordered_by: User | None = None,
    read_back: bool = False,
    at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """Inject a dose from the syringe that was prepared. A planned dose may be split.

    What goes beyond the planned dose takes a prescriber's order with its reason.

    Raises:
        Refused: before the check, without a checked syringe, more than it holds, without a site, no
            order for what is beyond the plan, or above the clinic's policy.
    """
    _require_role(actor, BEDSIDE, "give injections")
    session = _require_open(session)
    _require_way(session, "injection")
    _require_treatable(session.course)
    _require_same_plan(session)
    timeline = queries.timeline_of(session)
    _require_checked(timeline)
    if not (dose_mg > 0 and math.isfinite(dose_mg)):
        raise Refused("A dose is a number above zero.", field="dose_mg")
    if not site.strip():
        raise Refused("Say where it was injected, with the side.", field="site")
    syringe = _require_prepared(session, timeline)
    if syringe is None:
        raise Refused("Prepare the syringe first.")
    if dose_mg > syringe.amount_mg + ROUNDING_MG:
        raise Refused(
            f"{dose_mg:g} mg is more than the syringe holds: {syringe.amount_mg:g} mg.",
            field="dose_mg",
        )
    given = sum(dose.dose_mg for dose in timeline.injections)
    order = None
    if given + dose_mg > session.planned.plan.dose_mg + ROUNDING_MG:
        if not reason.strip():
            raise Refused(
                f"With {given:g} mg given, {dose_mg:g} mg goes beyond the planned "
                f"{session.planned.plan.dose_mg:g} mg. Give the reason and the order.",
                field="reason",
            )
        _require_within_policy(session, "injection", dose_mg, field="dose_mg")
        order = _covering_order(
            actor, session, "injection", dose_mg, reason, ordered_by, read_back, "dose_mg"
        )
    return _append(
        actor,
        session,
        "session.injection_given",
        {
            "dose_mg": dose_mg,
            "volume_ml": round(dose_mg / syringe.concentration_mg_per_ml, 2),
            "syringe": syringe.seq,
            "lot": syringe.lot,
            "site": site.strip(),
            "reason": reason.strip(),
            **({"order": order} if order else {}),
        },
        at=at,
        client_id=client_id,
    )


def _require_checked(timeline: Timeline) -> None:
    if timeline.phase == Phase.CHECK:
        waiting = timeline.check and timeline.check["asks_prescriber"]
        raise Refused(
            f"{waiting}: the prescriber has to decide first." if waiting else "Do the check first."
        )


@act
def change_total(
    actor: User,
    session: Session,
    *,
    total_mg: float,
    reason: str,
    ordered_by: User | None = None,
    read_back: bool = False,
    at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """Program the pump with another total. Less is the nurse's to set, more takes an order.

    Raises:
        Refused: no infusion, less than has run in, no order, or beyond the clinic's policy.
    """
    _require_role(actor, BEDSIDE, "change totals")
    session = _require_open(session)
    if session.phase not in {Phase.INFUSION, Phase.PAUSED}:
        raise Refused("The total is changed during an infusion.")
    if not reason.strip():
        raise Refused("Give the reason for the change.", field="reason")
    timeline = queries.timeline_of(session)
    pumped = timeline.pumped_mg(at or clock.now())
    if total_mg < pumped:
        raise Refused(
            f"{pumped:.1f} mg have run in already. To give no more, stop the infusion.",
            field="total_mg",
        )
    _require_within_policy(session, "total", total_mg, field="total_mg")
    order = None
    if total_mg > session.planned.plan.dose_mg:
        order = _covering_order(
            actor, session, "total", total_mg, reason, ordered_by, read_back, "total_mg"
        )
    return _append(
        actor,
        session,
        "session.total_changed",
        {
            "programmed_mg": total_mg,
            "reason": reason.strip(),
            **({"order": order} if order else {}),
        },
        at=at,
        client_id=client_id,
    )


@act
def end_infusion(
    actor: User,
    session: Session,
    *,
    reason: str = "",
    at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """The infusion is over: run in, or stopped before that with the reason.

    Raises:
        Refused: it has not started, or drug is left and no reason is given.
    """
    _require_role(actor, BEDSIDE, "end infusions")
    session = _require_open(session)
    timeline = queries.timeline_of(session)
    moment = at or clock.now()
    given = timeline.given_mg(moment)
    left = timeline.programmed_mg - timeline.pumped_mg(moment)
    if left > ROUNDING_MG and not reason.strip():
        raise Refused(
            f"{left:.1f} of {timeline.programmed_mg:g} mg have not run in. "
            "Give the reason for stopping now.",
            field="reason",
        )
    return _append(
        actor,
        session,
        "session.infusion_ended",
        {
            "given_mg": round(given, 2),
            "wasted_mg": round(max(left, 0.0), 2),
            "reason": reason.strip() or "complete",
        },
        at=at,
        client_id=client_id,
    )


@act
def record_vitals(
    actor: User | str,
    session: Session,
    *,
    at: datetime | None = None,
    source: Source = Source.HAND,
    client_id: uuid.UUID | None = None,
    **values: float | None,
) -> Event:
    """Keep vital signs that somebody has read. Those of monitors: `record_from_monitors`.

    Raises:
        Refused: nothing is given, or a value is impossible.
    """
    if isinstance(actor, User):
        _require_role(actor, ENTRY, "record vital signs")
    session = _require_open(session, at)
    readings = _plausible(session, {name: values.get(name) for name in VITALS})
    if not readings:
        raise Refused("Enter at least one vital sign.")
    return _append(
        actor,
        session,
        "session.vitals_recorded",
        dict(readings),
        at=at,
        source=source,
        client_id=client_id,
    )


@dataclass(frozen=True)
class MonitorReading:
    """What one device measured at one moment, as `record_from_monitors` takes it.

    Args:
        actor: the device's name, or whoever took a reading that was held.
        doubted: quantity to reason, where the device itself marks a value as doubtful.
        more: what else the record keeps with it, e.g. values of codes that nobody knows.
    """

    actor: User | str
    session: Session
    at: datetime
    values: Mapping[str, float]
    client_id: uuid.UUID
    doubted: Mapping[str, str]
    more: Mapping[str, Any]


@transaction.atomic
def record_from_monitors(readings: Sequence[MonitorReading]) -> list[Event | Refused]:
    """Keep what monitors have measured, of many chairs at once. Five queries, however many.

    Nothing a monitor sends is thrown away for being unlikely: values that no body has, that
    contradict each other or that the device doubts are kept and marked (`artefacts`).

    Returns:
        For each reading its event (the earlier one where it is in the record already), or why it
        was refused: its session has ended, or its time lies long before it.
    """
    record.lock()
    found = {
        session.pk: session
        for session in Session.objects.select_for_update(of=("self",))
        .select_related("course")
        .filter(pk__in={reading.session.pk for reading in readings})
        .order_by("pk")
    }
    outcomes: list[Event | Refused] = []
    entries: dict[int, record.Entry] = {}
    for index, reading in enumerate(readings):
        session = found[reading.session.pk]
        if session.phase not in OPEN and reading.at > (session.closed_at or session.opened_at):
            outcomes.append(Refused(f"This session is {Phase(session.phase).label.lower()}."))
            continue
        if reading.at < session.opened_at - LONGEST_BACKDATING:
            outcomes.append(Refused(f"{reading.at:%d %b %H:%M} lies long before this session."))
            continue
        marks = _marks(queries.protocol_of(session), reading)
        entries[index] = record.Entry(
            reading.actor,
            session.stream,
            "session.vitals_recorded",
            {**reading.values, **reading.more, **({"artefacts": marks} if marks else {})},
            session.person_id,
            reading.at,
            Source.MONITOR,
            client_id=reading.client_id,
        )
        outcomes.append(Refused(""))
    events = record.append_many(list(entries.values()))
    for index, event in zip(entries, events, strict=True):
        outcomes[index] = event
    return outcomes


@transaction.atomic
def retract_readings(
    actor: User, session: Session, events: Sequence[Event], *, reason: str
) -> list[Event]:
    """Take back readings that were never this patient's, each by a correction that names it.

    Raises:
        Refused: not a role that may, no reason, or one of them is no reading of this session.
    """
    _require_role(actor, BEDSIDE, "correct entries")
    if not reason.strip():
        raise Refused("A correction needs its reason.", field="reason")
    for event in events:
        if event.stream != session.stream or event.kind != "session.vitals_recorded":
            raise Refused("There is no such reading in this session.")
    return record.append_many(
        [
            record.Entry(
                actor,
                session.stream,
                "session.corrected",
                {"action": "retract", "reason": reason.strip()},
                session.person_id,
                None,
                corrects=event,
            )
            for event in events
        ]
    )


def _marks(protocol: MonitoringFile, reading: MonitorReading) -> dict[str, dict[str, str]]:
    """What of a monitor's reading cannot be true, or is doubted, each with kind and reason."""
    marks: dict[str, dict[str, str]] = {}
    for name, value in reading.values.items():
        if reason := monitoring.impossible(protocol, name, value):
            # The second sentence of it asks whoever enters by hand for another value.
            marks[name] = {"kind": "impossible", "reason": reason.split(" Enter ")[0]}
        elif reason := reading.doubted.get(name):
            marks[name] = {"kind": "questionable", "reason": reason}
    systolic = reading.values.get("systolic_mmhg")
    diastolic = reading.values.get("diastolic_mmhg")
    if systolic is not None and diastolic is not None and diastolic >= systolic:
        reason = f"diastolic {diastolic:g} is not below systolic {systolic:g} mmHg"
        for name in ("systolic_mmhg", "diastolic_mmhg"):
            marks.setdefault(name, {"kind": "contradictory", "reason": reason})
    return marks


@act
def record_observation(
    actor: User,
    session: Session,
    *,
    note: str = "",
    at: datetime | None = None,
    client_id: uuid.UUID | None = None,
    **values: float | None,
) -> Event:
    """Keep how the patient is: sedation, dissociation, nausea, distress.

    Raises:
        Refused: nothing is given, or a value is impossible.
    """
    _require_role(actor, ENTRY, "record observations")
    session = _require_open(session, at)
    observed = _plausible(session, {name: values.get(name) for name in OBSERVATIONS})
    if not observed:
        raise Refused("Enter at least one observation.")
    return _append(
        actor,
        session,
        "session.observed",
        {**observed, "note": note.strip()},
        at=at,
        client_id=client_id,
    )


@act
def record_side_effect(
    actor: User,
    session: Session,
    *,
    effect: str,
    severity: str,
    note: str = "",
    at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """Keep a side effect with its severity.

    Raises:
        Refused: it is not on the list, or 'another' comes without words.
    """
    _require_role(actor, ENTRY, "record side effects")
    session = _require_open(session, at)
    listed = queries.protocol_of(session).side_effects
    labels = {item.id: item.label for item in listed.items}
    if effect not in labels:
        raise Refused("Choose a side effect from the list.", field="effect")
    if severity not in listed.severities:
        raise Refused(f"Choose how bad: {', '.join(listed.severities)}.", field="severity")
    if effect == "other" and not note.strip():
        raise Refused("Say in words what it is.", field="note")
    return _append(
        actor,
        session,
        "session.side_effect_noted",
        {"effect": effect, "label": labels[effect], "severity": severity, "note": note.strip()},
        at=at,
        client_id=client_id,
    )


@act
def give_medicine(
    actor: User,
    session: Session,
    *,
    medicine: str,
    dose: float,
    route: str,
    reason: str,
    at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """Keep a rescue medicine or antiemetic that was given.

    Raises:
        Refused: it is not in the clinic's list, by a route not listed, above the policy's dose, or
            without a reason.
    """
    _require_role(actor, BEDSIDE, "give medicines")
    session = _require_open(session, at)
    listed = {item.id: item for item in queries.protocol_of(session).medicines.items}
    item = listed.get(medicine)
    if item is None:
        raise Refused("Choose a medicine from the clinic's list.", field="medicine")
    if not (dose > 0 and math.isfinite(dose)):
        raise Refused("A dose is a number above zero.", field="dose")
    if item.maximum is not None and dose > item.maximum:
        raise Refused(
            f"{item.label} {dose:g} {item.unit} is above the clinic's policy of "
            f"{item.maximum:g} {item.unit}.",
            field="dose",
        )
    if route not in item.routes:
        raise Refused(f"{item.label} is listed for {', '.join(item.routes)}.", field="route")
    if not reason.strip():
        raise Refused("Say what it is given for.", field="reason")
    return _append(
        actor,
        session,
        "session.medicine_given",
        {
            "medicine": medicine,
            "label": item.label,
            "dose": dose,
            "unit": item.unit,
            "route": route,
            "reason": reason.strip(),
        },
        at=at,
        client_id=client_id,
    )


@act
def write_note(
    actor: User,
    session: Session,
    *,
    text: str,
    at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """Keep a note.

    Raises:
        Refused: it is empty.
    """
    _require_role(actor, ENTRY, "write session notes")
    session = _require_open(session, at)
    if not text.strip():
        raise Refused("The note is empty.", field="text")
    return _append(
        actor, session, "session.note_written", {"text": text.strip()}, at=at, client_id=client_id
    )


@act
def acknowledge_alert(
    actor: User,
    session: Session,
    *,
    rule_id: str,
    reason: str,
    client_id: uuid.UUID | None = None,
) -> Event:
    """Quiet one alert, with a name and a reason.

    Raises:
        Refused: it does not stand open, or no reason is given.
    """
    _require_role(actor, BEDSIDE, "acknowledge alerts")
    session = _require_open(session)
    if not reason.strip():
        raise Refused("An alert is acknowledged with a reason.", field="reason")
    timeline = queries.timeline_of(session)
    standing = queries.alerts_of(session, timeline, clock.now())
    alert = next((a for a in standing if a.rule_id == rule_id and not a.acknowledged), None)
    if alert is None:
        raise Refused("This alert no longer stands open.")
    return _append(
        actor,
        session,
        "session.alert_acknowledged",
        {
            "rule_id": rule_id,
            "quantity": alert.quantity,
            "priority": alert.priority,
            "statement": alert.statement,
            "reason": reason.strip(),
            **queries.stamp_of(session),
        },
        client_id=client_id,
    )


@act
def call_emergency(
    actor: User,
    session: Session,
    *,
    sign: str,
    note: str = "",
    at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """A sign of an emergency is seen: a red alert on every staff screen until it is over.

    Raises:
        Refused: the sign is not on the policy's list.
    """
    _require_role(actor, ENTRY, "call emergencies")
    session = _require_open(session)
    labels = {item.id: item.label for item in queries.library_of(session).alarms.emergency.signs}
    if sign not in labels:
        raise Refused("Choose a sign from the list.", field="sign")
    return _append(
        actor,
        session,
        "session.emergency_called",
        {"sign": sign, "label": labels[sign], "note": note.strip()},
        at=at,
        client_id=client_id,
    )


@act
def end_emergency(
    actor: User,
    session: Session,
    *,
    emergency: int,
    reason: str,
    client_id: uuid.UUID | None = None,
) -> Event:
    """The emergency is over, or was none: who says so, and why.

    Args:
        emergency: the number of the event that called it.

    Raises:
        Refused: it does not stand, or no reason is given.
    """
    _require_role(actor, BEDSIDE, "end emergencies")
    session = _require_open(session)
    timeline = queries.timeline_of(session)
    called = {line.seq for line in timeline.emergencies}
    if emergency not in called or emergency in timeline.emergencies_over:
        raise Refused("This emergency is over already.")
    if not reason.strip():
        raise Refused("Say what was done, or why it was none.", field="reason")
    return _append(
        actor,
        session,
        "session.emergency_over",
        {"emergency": emergency, "reason": reason.strip()},
        client_id=client_id,
    )


@transaction.atomic
def silence_sound(
    actor: User,
    *,
    device: uuid.UUID,
    minutes: float,
    reason: str,
    alarms: Sequence[str],
    client_id: uuid.UUID | None = None,
) -> Event:
    """One device is quiet for a while about the alarms that sound on it now.

    The screens go on showing them, other devices go on sounding, and a new alarm sounds here too.

    Args:
        device: the id that the device has given itself.
        alarms: the keys of the alarms about which it is quiet.

    Raises:
        Refused: for longer than the policy allows, without a reason, or about nothing.
    """
    _require_role(actor, ENTRY, "silence alarms")
    policy = library().alarms.quiet
    if not 0 < minutes <= policy.longest_min:
        raise Refused(
            f"A device is silenced for at most {policy.longest_min:g} minutes.", field="minutes"
        )
    if not reason.strip():
        raise Refused("Say why the sound is silenced.", field="reason")
    if not alarms:
        raise Refused("No alarm sounds here.")
    return record.append(
        actor,
        "clinic",
        "sessions.sound_silenced",
        {
            "device": str(device),
            "minutes": minutes,
            "reason": reason.strip(),
            "alarms": sorted(alarms),
        },
        client_id=client_id,
    )


@act
def correct_event(
    actor: User,
    session: Session,
    *,
    seq: int,
    reason: str,
    data: Mapping[str, Any] | None = None,
    occurred_at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """Correct an earlier entry by a new event that names it. The entry itself stays as it is.

    With `data` it is restated, with `occurred_at` its time is put right, with neither it is taken
    back.

    Raises:
        Refused: no such entry, of a kind that cannot be corrected so, no reason, or the result
            would contradict the rest of the session.
    """
    _require_role(actor, BEDSIDE, "correct entries")
    session = (
        Session.objects.select_for_update(of=("self",)).select_related("course").get(pk=session.pk)
    )
    target = Event.objects.filter(stream=session.stream, seq=seq).first()
    if target is None:
        raise Refused("There is no such entry in this session.")
    if not reason.strip():
        raise Refused("A correction needs its reason.", field="reason")
    correction: dict[str, Any]
    if occurred_at is not None:
        if target.kind not in CORRECTABLE | RETIMABLE:
            raise Refused("The time of this entry cannot be corrected.")
        if occurred_at > clock.now():
            raise Refused("The time lies in the future.", field="occurred_at")
        if occurred_at < session.opened_at - LONGEST_BACKDATING:
            raise Refused("The time lies long before this session.", field="occurred_at")
        correction = {"action": "retime", "occurred_at": occurred_at.isoformat()}
    elif target.kind not in CORRECTABLE:
        raise Refused("What the pump did cannot be taken back. Correct its time, or write a note.")
    elif data is not None:
        correction = {"action": "restate", "data": _restated(session, target, data)}
    else:
        correction = {"action": "retract"}
    return _append(
        actor,
        session,
        "session.corrected",
        {**correction, "reason": reason.strip()},
        corrects=target,
        client_id=client_id,
    )


def _restated(session: Session, target: Event, data: Mapping[str, Any]) -> dict[str, Any]:
    """The whole new content of an entry, checked as the entry itself would have been."""
    if target.kind == "session.vitals_recorded":
        return dict(_plausible(session, {name: data.get(name) for name in VITALS}))
    if target.kind in {"session.bolus_given", "session.injection_given"}:
        dose_mg = data.get("dose_mg")
        if dose_mg is None or not (dose_mg > 0 and math.isfinite(dose_mg)):
            raise Refused("A dose is a number above zero.", field="dose_mg")
        return {**target.data, "dose_mg": dose_mg}
    raise Refused("Take the entry back and enter it anew.")


def discharge(
    actor: User,
    session: Session,
    *,
    answers: Mapping[str, bool],
    escort_name: str,
    note: str = "",
    client_id: uuid.UUID | None = None,
) -> Event:
    """The patient goes home with the escort, once every criterion of the protocol is met.

    Raises:
        Refused: not in recovery, or the escort is unnamed.
        Barred: a criterion is not met or not known, or an alert is unanswered, with the reason.
    """
    return tried(
        actor,
        session,
        "going home",
        lambda: _discharge(
            actor,
            session,
            answers=answers,
            escort_name=escort_name,
            note=note,
            client_id=client_id,
        ),
        client_id,
    )


def _discharge(
    actor: User,
    session: Session,
    *,
    answers: Mapping[str, bool],
    escort_name: str,
    note: str,
    client_id: uuid.UUID | None,
) -> Event:
    _require_role(actor, BEDSIDE, "discharge patients")
    session = _require_open(session)
    timeline = queries.timeline_of(session)
    if timeline.phase != Phase.RECOVERY:
        raise Refused(
            "The patient is not in recovery yet. "
            + (
                "Devices are left: take them, or end the spray first."
                if session.is_sprayed
                else "End the infusion first."
            )
        )
    if not escort_name.strip():
        raise Refused("Name the adult who takes the patient home.", field="escort_name")
    now = clock.now()
    assessment = queries.assess_discharge(session, timeline, dict(answers), now)
    if not assessment.ready:
        open_items = "; ".join(f"{r.criterion.statement} ({r.because})" for r in assessment.open)
        raise Barred(f"Not yet: {open_items}.")
    if unanswered := [a for a in queries.alerts_of(session, timeline, now) if not a.acknowledged]:
        raise Barred(
            f"Not yet: an alert is unanswered ({unanswered[0].statement}). Acknowledge it with "
            "what was done."
        )
    event = _append(
        actor,
        session,
        "session.discharged",
        {
            "criteria": [
                {"id": r.criterion.id, "statement": r.criterion.statement, "value": r.because}
                for r in assessment.results
            ],
            "escort_name": escort_name.strip(),
            "given_mg": round(timeline.given_mg(now), 2),
            "note": note.strip(),
            **queries.stamp_of(session),
        },
        client_id=client_id,
    )
    _treated(actor, session, now, home=True)
    return event


@act
def transfer_to_hospital(
    actor: User,
    session: Session,
    *,
    where: str,
    why: str,
    accompanied_by: str,
    at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """The patient is taken to a hospital: the session ends, whatever is still open.

    No criterion for going home is asked, and no alert holds this back. A pump that runs is taken to
    have been stopped then.

    Raises:
        Refused: nothing has been given yet, or it is not said where to, why and with whom.
    """
    _require_role(actor, BEDSIDE, "transfer patients")
    session = _require_open(session)
    if session.phase not in UNDER_THE_DRUG:
        raise Refused("Nothing has been given yet: cancel the session, and say why.")
    for name, text, missing in (
        ("where", where, "Say to which hospital or service."),
        ("why", why, "Say why the patient is transferred."),
        ("accompanied_by", accompanied_by, "Say who goes with the patient."),
    ):
        if not text.strip():
            raise Refused(missing, field=name)
    timeline = queries.timeline_of(session)
    event = _append(
        actor,
        session,
        "session.transferred",
        {
            "where": where.strip(),
            "why": why.strip(),
            "accompanied_by": accompanied_by.strip(),
            "given_mg": round(timeline.given_mg(at or clock.now()), 2),
        },
        at=at,
        client_id=client_id,
    )
    _treated(actor, session, clock.now(), home=False)
    return event


def _treated(actor: User, session: Session, now: datetime, *, home: bool) -> None:
    """The session counts as given; what follows it is asked, and after the last the course.

    After a transfer to hospital a prescriber decides first whether it does (`transfers`).
    """
    _close(session, now)
    session.planned.done_at = now
    session.planned.save(update_fields=["done_at"])
    if session.course.route == rems.ROUTE and rems.forms_are_due():
        MonitoringForm.objects.create(
            session=session, due_on=timezone.localdate(now) + MONITORING_FORM_WITHIN
        )
    if not home:
        TransferDecision.objects.create(session=session, course=session.course, raised_at=now)
        return
    signals.discharged.send(sender=Session, session=session, actor=actor)
    remaining = session.course.planned_sessions.filter(done_at=None, cancelled_at=None)
    if not remaining.exists() and not plans.is_open_ended(session.planned.plan):
        move_to(actor, session.course, Stage.FOLLOW_UP)


@act
def cancel_session(
    actor: User, session: Session, *, reason: str, client_id: uuid.UUID | None = None
) -> Event:
    """Send the patient home without the drug.

    Raises:
        Refused: the infusion has started, or no reason is given.
    """
    _require_role(actor, BEDSIDE, "cancel sessions")
    session = _require_open(session)
    if session.phase not in {Phase.CHECK, Phase.READY}:
        raise Refused(
            "The dose has started. Discharge the patient, or record the transfer to a hospital."
        )
    if not reason.strip():
        raise Refused("Give the reason.", field="reason")
    event = _append(
        actor, session, "session.cancelled", {"reason": reason.strip()}, client_id=client_id
    )
    _close(session, clock.now())
    session.planned.cancelled_at = clock.now()
    session.planned.cancel_reason = reason.strip()
    session.planned.save(update_fields=["cancelled_at", "cancel_reason"])
    return event


def _close(session: Session, now: datetime) -> None:
    session.closed_at = now
    session.save(update_fields=["closed_at"])


@transaction.atomic
def add_chair(actor: User, *, name: str) -> Chair:
    """Set up one more chair.

    Raises:
        Refused: the name is empty or taken.
    """
    _require_role(actor, MAY_ADD_CHAIRS, "set up chairs")
    if not name.strip():
        raise Refused("Name the chair.", field="name")
    if Chair.objects.filter(name__iexact=name.strip()).exists():
        raise Refused(f"There is a chair {name.strip()!r} already.", field="name")
    chair = Chair.objects.create(name=name.strip(), position=Chair.objects.count() + 1)
    record.append(actor, "clinic", "clinic.chair_added", {"chair": chair.pk, "name": chair.name})
    return chair
