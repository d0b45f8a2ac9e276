"""The dose itself: syringes, the infusion and its changes, boluses and injections."""

import math
import uuid
from datetime import datetime

from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext as _

from openketamine.clinic.accounts.models import User
from openketamine.clinic.errors import Refused, require_reason
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event

from . import queries
from .acts import (
    BEDSIDE,
    act,
    append,
    require_open,
    require_role,
    require_same_plan,
    require_treatable,
    require_way,
)
from .models import Phase, Session
from .opening import said_of
from .orders import covering_order, require_within_policy
from .timeline import Syringe, Timeline

# A pump rounds to a tenth; less than this left to run is a finished infusion.
ROUNDING_MG = 0.15


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
    require_role(actor, BEDSIDE, _("Your role does not start infusions."))
    session = require_open(session)
    require_way(session, "infusion")
    require_treatable(session.course)
    require_same_plan(session)
    timeline = queries.timeline_of(session)
    _require_checked(timeline)
    plan = session.planned.plan
    # In any other phase the fold says why the pump cannot be started.
    syringe = _require_prepared(session, timeline) if timeline.phase == Phase.READY else None
    return append(
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
            raise Refused(_("Prepare the syringe first; then a second person checks it."))
        if drawn_up.checked is None:
            raise Refused(
                _("The syringe that %(name)s prepared has not been checked by a second person.")
                % {"name": drawn_up.line.actor_name}
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
    require_role(actor, BEDSIDE, _("Your role does not prepare doses."))
    session = require_open(session)
    for name, value in (
        ("volume_ml", volume_ml),
        ("concentration_mg_per_ml", concentration_mg_per_ml),
    ):
        if not (value > 0 and math.isfinite(value)):
            raise Refused(_("An amount is a number above zero."), field=name)
    if not lot.strip():
        raise Refused(_("Enter the lot that stands on the vial."), field="lot")
    for vial in queries.library_of(session).regimens[session.planned.plan.regimen].vials:
        if vial.dilute and concentration_mg_per_ml >= vial.concentration_mg_per_ml:
            raise Refused(
                _("%(strength)s mg/mL: %(note)s")
                % {
                    "strength": f"{concentration_mg_per_ml:g}",
                    "note": gettext(vial.note) if vial.note else _("dilute it first."),
                },
                field="concentration_mg_per_ml",
            )
    return append(
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
    require_role(second, BEDSIDE, _("Your role does not check doses."))
    session = require_open(session)
    drawn_up = queries.timeline_of(session).drawn_up
    if drawn_up is None or drawn_up.checked is not None:
        raise Refused(_("No syringe waits for a check."))
    prepared = Event.objects.get(stream=session.stream, seq=drawn_up.seq)
    if prepared.actor_id == second.pk:
        raise Refused(_("You prepared this syringe. A second person must check it."))
    agrees = (
        round(volume_ml, 2) == round(drawn_up.volume_ml, 2)
        and round(concentration_mg_per_ml, 2) == round(drawn_up.concentration_mg_per_ml, 2)
    )  # fmt: skip
    if not agrees and client_id:
        # The sheet stays open under its id for what is read next: these figures have one of theirs.
        read = f"{volume_ml:g} mL of {concentration_mg_per_ml:g} mg/mL, {drawn_up.seq}"
        client_id = uuid.uuid5(client_id, read)
    event = append(
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
        _(
            "You read %(volume)s mL of %(strength)s mg/mL; that is not what was written down. "
            "Look at the syringe together, then prepare it anew."
        )
        % {"volume": f"{volume_ml:g}", "strength": f"{concentration_mg_per_ml:g}"},
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
    require_role(actor, BEDSIDE, _("Your role does not change syringes."))
    session = require_open(session)
    timeline = queries.timeline_of(session)
    if timeline.phase != Phase.PAUSED:
        raise Refused(_("Pause the pump first; then change the syringe."))
    if not (wasted_mg >= 0 and math.isfinite(wasted_mg)):
        raise Refused(_("What is thrown away is zero or more."), field="wasted_mg")
    reason = require_reason(reason, _("Give the reason for the change."))
    syringe = _require_prepared(session, timeline)
    if syringe is None:
        raise Refused(_("Prepare the new syringe first."))
    return append(
        actor,
        session,
        "session.syringe_changed",
        {"syringe": syringe.seq, "wasted_mg": wasted_mg, "reason": reason},
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
    require_role(actor, BEDSIDE, _("Your role does not pause infusions."))
    session = require_open(session)
    reason = require_reason(reason, _("Give the reason for the pause."))
    return append(
        actor,
        session,
        "session.infusion_paused",
        {"reason": reason},
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
    require_role(actor, BEDSIDE, _("Your role does not resume infusions."))
    session = require_open(session)
    require_treatable(session.course)
    timeline = queries.timeline_of(session)
    rate = timeline.segments[-1].rate_mg_per_h if timeline.segments else 0.0
    return append(
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
    require_role(actor, BEDSIDE, _("Your role does not change rates."))
    session = require_open(session)
    plan = session.planned.plan
    if not rate_mg_per_h > 0:
        raise Refused(_("A rate is above zero. To hold the pump, pause it."), field="rate_mg_per_h")
    reason = require_reason(reason, _("Give the reason for the change."))
    require_within_policy(session, "rate", rate_mg_per_h, field="rate_mg_per_h")
    order = None
    if rate_mg_per_h > plan.rate_mg_per_h:
        order = covering_order(
            actor, session, "rate", rate_mg_per_h, reason, ordered_by, read_back, "rate_mg_per_h"
        )
    return append(
        actor,
        session,
        "session.rate_changed",
        {
            "rate_mg_per_h": rate_mg_per_h,
            "reason": reason,
            **({"order": order} if order else {}),
        },
        at=at,
        client_id=client_id,
    )


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
    require_role(actor, BEDSIDE, _("Your role does not give boluses."))
    session = require_open(session)
    if session.phase not in {Phase.INFUSION, Phase.PAUSED}:
        raise Refused(_("A bolus is given during an infusion."))
    reason = require_reason(reason, _("Give the reason for the bolus."))
    require_within_policy(session, "bolus", dose_mg, field="dose_mg")
    order = covering_order(
        actor, session, "bolus", dose_mg, reason, ordered_by, read_back, "dose_mg"
    )
    return append(
        actor,
        session,
        "session.bolus_given",
        {"dose_mg": dose_mg, "reason": reason, "order": order},
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
    require_role(actor, BEDSIDE, _("Your role does not give injections."))
    session = require_open(session)
    require_way(session, "injection")
    require_treatable(session.course)
    require_same_plan(session)
    timeline = queries.timeline_of(session)
    _require_checked(timeline)
    if not (dose_mg > 0 and math.isfinite(dose_mg)):
        raise Refused(_("A dose is a number above zero."), field="dose_mg")
    if not site.strip():
        raise Refused(_("Say where it was injected, with the side."), field="site")
    syringe = _require_prepared(session, timeline)
    if syringe is None:
        raise Refused(_("Prepare the syringe first."))
    if dose_mg > syringe.amount_mg + ROUNDING_MG:
        raise Refused(
            _("%(dose)s mg is more than the syringe holds: %(amount)s mg.")
            % {"dose": f"{dose_mg:g}", "amount": f"{syringe.amount_mg:g}"},
            field="dose_mg",
        )
    given = sum(dose.dose_mg for dose in timeline.injections)
    order = None
    if given + dose_mg > session.planned.plan.dose_mg + ROUNDING_MG:
        if not reason.strip():
            raise Refused(
                _(
                    "With %(given)s mg given, %(dose)s mg goes beyond the planned %(planned)s mg. "
                    "Give the reason and the order."
                )
                % {
                    "given": f"{given:g}",
                    "dose": f"{dose_mg:g}",
                    "planned": f"{session.planned.plan.dose_mg:g}",
                },
                field="reason",
            )
        require_within_policy(session, "injection", dose_mg, field="dose_mg")
        order = covering_order(
            actor, session, "injection", dose_mg, reason, ordered_by, read_back, "dose_mg"
        )
    return append(
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
            _("%(statement)s: the prescriber has to decide first.")
            % {"statement": said_of(waiting)}
            if waiting
            else _("Do the check first.")
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
    require_role(actor, BEDSIDE, _("Your role does not change totals."))
    session = require_open(session)
    if session.phase not in {Phase.INFUSION, Phase.PAUSED}:
        raise Refused(_("The total is changed during an infusion."))
    reason = require_reason(reason, _("Give the reason for the change."))
    timeline = queries.timeline_of(session)
    pumped = timeline.pumped_mg(at or clock.now())
    if total_mg < pumped:
        raise Refused(
            _("%(given)s mg have run in already. To give no more, stop the infusion.")
            % {"given": f"{pumped:.1f}"},
            field="total_mg",
        )
    require_within_policy(session, "total", total_mg, field="total_mg")
    order = None
    if total_mg > session.planned.plan.dose_mg:
        order = covering_order(
            actor, session, "total", total_mg, reason, ordered_by, read_back, "total_mg"
        )
    return append(
        actor,
        session,
        "session.total_changed",
        {
            "programmed_mg": total_mg,
            "reason": reason,
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
    require_role(actor, BEDSIDE, _("Your role does not end infusions."))
    session = require_open(session)
    timeline = queries.timeline_of(session)
    moment = at or clock.now()
    given = timeline.given_mg(moment)
    left = timeline.programmed_mg - timeline.pumped_mg(moment)
    if left > ROUNDING_MG and not reason.strip():
        raise Refused(
            _("%(left)s of %(total)s mg have not run in. Give the reason for stopping now.")
            % {"left": f"{left:.1f}", "total": f"{timeline.programmed_mg:g}"},
            field="reason",
        )
    return append(
        actor,
        session,
        "session.infusion_ended",
        {
            "given_mg": round(given, 2),
            "wasted_mg": round(max(left, 0.0), 2),
            "reason": reason.strip() or gettext_noop("complete"),
        },
        at=at,
        client_id=client_id,
    )
