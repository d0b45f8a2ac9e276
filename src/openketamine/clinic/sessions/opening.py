"""Before the dose: the chair, the checks of the day, and the decision to go on."""

import uuid
from collections.abc import Mapping
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext, override
from django.utils.translation import gettext as _

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.errors import Barred, Refused, require_reason
from openketamine.clinic.people.models import MeasurementKind
from openketamine.clinic.people.services import check_plausible, record_measurement
from openketamine.clinic.plans import queries as plans
from openketamine.clinic.plans.models import PlannedSession
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event
from openketamine.clinic.sites import scope as sites
from openketamine.clinic.sites.queries import home
from openketamine.protocols import monitoring
from openketamine.protocols.eligibility import evaluate, rule_of
from openketamine.protocols.schema import MonitoringFile

from . import queries
from .acts import (
    BEDSIDE,
    act,
    append,
    plausible,
    require_open,
    require_programme,
    require_role,
    require_same_plan,
    require_treatable,
)
from .models import Chair, Phase, Session
from .timeline import BASELINE, Timeline

MAY_ADD_CHAIRS = BEDSIDE | {Role.DIRECTOR}


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
                {"planned": str(planned.pk), "because": refusal.for_record},
                person_id=planned.person_id,
            )
        raise


def _open_session(actor: User, planned: PlannedSession, chair: Chair) -> Session:
    require_role(actor, BEDSIDE, _("Your role does not open sessions."))
    record.lock()
    planned = PlannedSession.objects.select_related("course", "person", "plan").get(pk=planned.pk)
    approval = require_treatable(planned.course)
    require_programme(planned.course)
    if planned.cancelled_at or planned.done_at or hasattr(planned, "session"):
        raise Refused(_("This session was opened or cancelled already."))
    if chair.site_id != planned.person.site_id:
        raise Refused(
            _("%(chair)s stands at another site than the patient's.") % {"chair": chair},
            field="chair",
        )
    if (taken := Session.objects.filter(chair=chair, closed_at=None).first()) is not None:
        raise Refused(
            _("%(chair)s is taken by %(person)s.") % {"chair": chair, "person": taken.person},
            field="chair",
        )
    if Session.objects.filter(person=planned.person, closed_at=None).exists():
        raise Refused(_("Another session of this patient is still open. Close it first."))
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
    with override("en"):  # for the record
        how = plan.how
    append(
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
            "how": how,
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
    require_role(actor, BEDSIDE, _("Your role does not do the pre-session check."))
    session = require_open(session)
    require_treatable(session.course)
    require_same_plan(session)
    protocol = queries.protocol_of(session)
    for item in protocol.presession:
        if not confirmed.get(item.item):
            raise Refused(
                _("Not confirmed: %(question)s.") % {"question": gettext(item.question)},
                field=item.item,
            )
    if not escort_name.strip():
        raise Refused(
            _("Name the adult who takes the patient home. Without an escort nothing is given."),
            field="escort_name",
        )
    if not medicines_today.strip():
        raise Refused(
            _("Write down today's medicines, alcohol and drugs, or 'none'."),
            field="medicines_today",
        )
    if safety_concern:
        raise Refused(
            _(
                "A concern about safety stops the session here. Call the prescriber, do a PHQ-9 "
                "and record the safety review."
            ),
            field="safety_concern",
        )
    check_plausible(MeasurementKind.WEIGHT_KG, weight_kg)
    readings = plausible(session, vitals)
    for name in BASELINE:
        if name not in readings:
            raise Refused(_("The baseline needs pressure, heart rate and SpO2."), field=name)
    per_kg = _dose_per_kg(session, weight_kg)
    last_times = _waits_told(protocol, waits or {})
    event = append(
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
            _(
                "At %(weight)s kg the ordered %(dose)s mg would be %(per_kg)s mg/kg, outside the "
                "clinic's policy of %(least)s to %(most)s mg/kg. The prescriber must order the "
                "plan anew."
            )
            % {
                "weight": f"{weight_kg:g}",
                "dose": f"{plan.dose_mg:g}",
                "per_kg": f"{per_kg:.2f}",
                "least": f"{limit.minimum:g}",
                "most": f"{limit.maximum:g}",
            },
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
                _("%(what)s: enter the time, or say that there was none since yesterday.")
                % {"what": gettext(wait.label)},
                field=f"wait_{wait.fact}",
            )
        moment = waits[wait.fact]
        if moment is not None and moment > clock.now():
            raise Refused(
                _("%(what)s: that lies in the future.") % {"what": gettext(wait.label)},
                field=f"wait_{wait.fact}",
            )
        told[wait.fact] = moment.isoformat() if moment else None
    return told


def pressure_asks(session: Session, readings: Mapping[str, float]) -> str:
    """The pre-dose pressure rule that these readings trip, in English words, or nothing."""
    protocol = queries.protocol_of(session)
    if protocol.before:
        crossed = monitoring.before_dose(protocol, readings)[0]
        return "; ".join(threshold.statement for threshold in crossed)
    rule = rule_of(queries.library_of(session), "PR-1", session.course.route)
    if rule is None:
        return ""
    holds = evaluate(rule.when, readings)[0]
    return rule.statement if holds else ""


@act
def decide_go(
    prescriber: User, session: Session, *, reason: str, client_id: uuid.UUID | None = None
) -> Event:
    """The prescriber lets the session go on although the pressure before it is high.

    Raises:
        Refused: not a prescriber, nothing to decide, or no reason.
    """
    require_role(prescriber, frozenset({Role.PRESCRIBER}), _("Your role does not decide this."))
    session = require_open(session)
    timeline = queries.timeline_of(session)
    about = undecided(session, timeline)
    if not about:
        raise Refused(_("There is nothing to decide: do the pre-session check first."))
    reason = require_reason(reason)
    return append(
        prescriber,
        session,
        "session.go_decided",
        {"about": about, "reason": reason},
        client_id=client_id,
    )


def undecided(session: Session, timeline: Timeline) -> str:
    """What of the pressure before the dose waits for the prescriber's decision, or nothing.

    In English, as it goes into the record; `said_of` puts it into the reader's words.
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


def said_of(statements: str) -> str:
    """Statements of the protocol that stand in one line, in the words of whoever reads them."""
    return "; ".join(gettext(statement) for statement in statements.split("; "))


@transaction.atomic
def add_chair(actor: User, *, name: str) -> Chair:
    """Set up one more chair.

    Raises:
        Refused: the name is empty or taken.
    """
    require_role(actor, MAY_ADD_CHAIRS, _("Your role does not set up chairs."))
    if not name.strip():
        raise Refused(_("Name the chair."), field="name")
    site = home()
    with sites.everything():
        if Chair.objects.filter(name__iexact=name.strip()).exists():
            raise Refused(
                _("There is a chair %(name)s already.") % {"name": repr(name.strip())},
                field="name",
            )
        position = Chair.objects.count() + 1
    chair = Chair.objects.create(name=name.strip(), position=position, site_id=site)
    record.append(actor, "clinic", "clinic.chair_added", {"chair": chair.pk, "name": chair.name})
    return chair
