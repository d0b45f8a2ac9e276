"""What every act of a session rests on: who may, in which phase, once, and written as one event.

Whatever an act would make of the session is folded before it is written, so an act that does not
fit is refused and nothing is half-done.
"""

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from django.db import transaction
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.errors import Barred, Refused
from openketamine.clinic.intake.services import require_no_open_safety_review
from openketamine.clinic.people.models import Course
from openketamine.clinic.plans import queries as plans
from openketamine.clinic.policy.models import Approval
from openketamine.clinic.policy.services import require_signed_policy
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event, Source
from openketamine.clinic.rems import queries as rems
from openketamine.clinic.said import asked, say
from openketamine.protocols import monitoring

from . import queries, transfers
from .kept import Fact
from .models import OPEN, Phase, Session
from .timeline import PUMP_AND_PHASE, OutOfOrderError, fold

BEDSIDE = frozenset({Role.NURSE, Role.PRESCRIBER})
ENTRY = BEDSIDE | {Role.THERAPIST}
LONGEST_BACKDATING = timedelta(hours=12)


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


def append(
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
            _("%(moment)s lies long before this session. Check date and time.")
            % {"moment": moment_in_words(occurred_at)},
            field="at",
        )
    phase = session.phase
    if kind in PUMP_AND_PHASE:
        events: list[Any] = list(Event.objects.filter(stream=session.stream).order_by("seq"))
        draft = Fact(
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
            raise Refused(_("Not possible: %(because)s.") % {"because": error}) from error
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


def require_way(session: Session, way: str) -> None:
    if session.way != way:
        raise Refused(
            {
                "infusion": _("This course is %(route)s: it has no infusion."),
                "injection": _("This course is %(route)s: it has no injection."),
                "spray": _("This course is %(route)s: it has no spray."),
            }[way]
            % {"route": session.course.route}
        )


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
                {"act": what, "because": refusal.for_record},
                person_id=session.person_id,
            )
        raise


def require_role(actor: User, roles: frozenset[Role], refusal: str) -> None:
    """Refuse, in these words, whoever has none of the roles."""
    if actor.role not in roles:
        raise Refused(refusal)


def require_open(session: Session, written_for: datetime | None = None) -> Session:
    """The session, locked. What was written for a moment before it closed still belongs to it."""
    session = (
        Session.objects.select_for_update(of=("self",))
        .select_related("course__person", "person", "planned__plan", "chair")
        .get(pk=session.pk)
    )
    if session.closed_at and written_for and written_for <= session.closed_at:
        return session
    if session.phase not in OPEN:
        raise Refused(closed_in_words(session))
    return session


def closed_in_words(session: Session) -> Any:
    """That a session is over, and how it ended."""
    return say(SESSION_IS[Phase(session.phase)])


SESSION_IS = {
    Phase.DISCHARGED: gettext_noop("This session is discharged."),
    Phase.TRANSFERRED: gettext_noop("This session is transferred to hospital."),
    Phase.CANCELLED: gettext_noop("This session is cancelled."),
}


def moment_in_words(moment: datetime) -> str:
    """Day and time, e.g. "05 Mar 14:05"."""
    return date_format(moment, "d M H:i")


def require_treatable(course: Course) -> Approval:
    """The signature under which this course may be treated now."""
    approval = require_signed_policy()
    require_no_open_safety_review(course)
    transfers.require_decided(course)
    if plans.consent_in_force(course) is None:
        raise Refused(_("No consent is in force. Without it nothing can be given."))
    if plans.plan_in_force(course) is None:
        raise Refused(_("The plan is not in force: a second person has to check the dose first."))
    return approval


def require_programme(course: Course) -> None:
    """What the drug's own safety programme asks for: a certified site, an enrolled patient."""
    if rems.what_is_missing(course):
        raise Barred(asked(rems.what_is_missing, course))


def require_same_plan(session: Session) -> None:
    """The dose of this chair is the one that is ordered now."""
    current = plans.plan_in_force(session.course)
    if current is None or current.pk != session.planned.plan_id:
        raise Refused(
            _(
                "The plan has been ordered anew since this session was opened. Cancel this "
                "session; the next one on the calendar carries the new dose."
            )
        )


def plausible(session: Session, values: Mapping[str, float | None]) -> dict[str, float]:
    """The values that are there, or a refusal naming the first that cannot be true."""
    protocol = queries.protocol_of(session)
    given = {name: value for name, value in values.items() if value is not None}
    for name, value in given.items():
        if reason := monitoring.impossible(protocol, name, value):
            raise Refused(reason, field=name)
    systolic, diastolic = given.get("systolic_mmhg"), given.get("diastolic_mmhg")
    if systolic is not None and diastolic is not None and diastolic >= systolic:
        raise Refused(
            _(
                "Diastolic %(diastolic)s cannot be as high as systolic %(systolic)s mmHg. Check "
                "both."
            )
            % {"diastolic": f"{diastolic:g}", "systolic": f"{systolic:g}"},
            field="diastolic_mmhg",
        )
    return given
