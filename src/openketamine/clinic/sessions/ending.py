"""How a session ends: home, to hospital, or not at all."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext, gettext_noop, override
from django.utils.translation import gettext as _

from openketamine.clinic.accounts.models import User
from openketamine.clinic.errors import Barred, Refused, require_reason
from openketamine.clinic.people.models import Stage
from openketamine.clinic.people.services import move_to
from openketamine.clinic.plans import queries as plans
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.rems import queries as rems
from openketamine.clinic.said import asked, say
from openketamine.protocols.discharge import CriterionResult

from . import queries, signals
from .acts import BEDSIDE, act, append, require_open, require_role, tried
from .models import UNDER_THE_DRUG, MonitoringForm, Phase, Session, TransferDecision

# The safety programme's own rule for outpatients (clinical reference 4.5, verified).
MONITORING_FORM_WITHIN = timedelta(days=7)
NOT_YET = gettext_noop("Not yet: %(open)s.")
UNANSWERED = gettext_noop(
    "Not yet: an alert is unanswered (%(alert)s). Acknowledge it with what was done."
)


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
        gettext_noop("going home"),
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


def _items(results: Iterable[CriterionResult]) -> str:
    """What is open yet, each with how it stands."""
    return "; ".join(f"{gettext(r.criterion.statement)} ({r.because})" for r in results)


def _discharge(
    actor: User,
    session: Session,
    *,
    answers: Mapping[str, bool],
    escort_name: str,
    note: str,
    client_id: uuid.UUID | None,
) -> Event:
    require_role(actor, BEDSIDE, _("Your role does not discharge patients."))
    session = require_open(session)
    timeline = queries.timeline_of(session)
    if timeline.phase != Phase.RECOVERY:
        raise Refused(
            _(
                "The patient is not in recovery yet. Devices are left: take them, or end the "
                "spray first."
            )
            if session.is_sprayed
            else _("The patient is not in recovery yet. End the infusion first.")
        )
    if not escort_name.strip():
        raise Refused(_("Name the adult who takes the patient home."), field="escort_name")
    now = clock.now()
    assessment = queries.assess_discharge(session, timeline, dict(answers), now)
    if not assessment.ready:
        raise Barred(say(NOT_YET, open=asked(_items, assessment.open)))
    if unanswered := [a for a in queries.alerts_of(session, timeline, now) if not a.acknowledged]:
        raise Barred(say(UNANSWERED, alert=unanswered[0].statement))
    with override("en"):
        criteria = [
            {"id": r.criterion.id, "statement": r.criterion.statement, "value": r.because}
            for r in assessment.results
        ]
    event = append(
        actor,
        session,
        "session.discharged",
        {
            "criteria": criteria,
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
    require_role(actor, BEDSIDE, _("Your role does not transfer patients."))
    session = require_open(session)
    if session.phase not in UNDER_THE_DRUG:
        raise Refused(_("Nothing has been given yet: cancel the session, and say why."))
    for name, text, missing in (
        ("where", where, _("Say to which hospital or service.")),
        ("why", why, _("Say why the patient is transferred.")),
        ("accompanied_by", accompanied_by, _("Say who goes with the patient.")),
    ):
        if not text.strip():
            raise Refused(missing, field=name)
    timeline = queries.timeline_of(session)
    event = append(
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
    require_role(actor, BEDSIDE, _("Your role does not cancel sessions."))
    session = require_open(session)
    if session.phase not in {Phase.CHECK, Phase.READY}:
        raise Refused(
            _("The dose has started. Discharge the patient, or record the transfer to a hospital.")
        )
    reason = require_reason(reason)
    event = append(actor, session, "session.cancelled", {"reason": reason}, client_id=client_id)
    _close(session, clock.now())
    session.planned.cancelled_at = clock.now()
    session.planned.cancel_reason = reason
    session.planned.save(update_fields=["cancelled_at", "cancel_reason"])
    return event


def _close(session: Session, now: datetime) -> None:
    session.closed_at = now
    session.save(update_fields=["closed_at"])
