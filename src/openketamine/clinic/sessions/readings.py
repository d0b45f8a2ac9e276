"""Readings by hand and from monitors."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, override

from openketamine.clinic.accounts.models import User
from openketamine.clinic.errors import Refused, require_reason
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event, Source
from openketamine.clinic.said import asked, say
from openketamine.protocols import monitoring
from openketamine.protocols.schema import MonitoringFile

from . import queries
from .acts import (
    BEDSIDE,
    ENTRY,
    LONGEST_BACKDATING,
    act,
    append,
    closed_in_words,
    moment_in_words,
    plausible,
    require_open,
    require_role,
)
from .models import OPEN, Session
from .timeline import NOT_BELOW, VITALS

LONG_BEFORE = gettext_noop("%(moment)s lies long before this session.")


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
        require_role(actor, ENTRY, _("Your role does not record vital signs."))
    session = require_open(session, at)
    readings = plausible(session, {name: values.get(name) for name in VITALS})
    if not readings:
        raise Refused(_("Enter at least one vital sign."))
    return append(
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
            outcomes.append(Refused(closed_in_words(session)))
            continue
        if reading.at < session.opened_at - LONGEST_BACKDATING:
            moment = asked(moment_in_words, reading.at)
            outcomes.append(Refused(say(LONG_BEFORE, moment=moment)))
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
    require_role(actor, BEDSIDE, _("Your role does not correct entries."))
    reason = require_reason(reason, _("A correction needs its reason."))
    for event in events:
        if event.stream != session.stream or event.kind != "session.vitals_recorded":
            raise Refused(_("There is no such reading in this session."))
    return record.append_many(
        [
            record.Entry(
                actor,
                session.stream,
                "session.corrected",
                {"action": "retract", "reason": reason},
                session.person_id,
                None,
                corrects=event,
            )
            for event in events
        ]
    )


@override("en")  # for the record
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
        reason = NOT_BELOW % {"diastolic": f"{diastolic:g}", "systolic": f"{systolic:g}"}
        for name in ("systolic_mmhg", "diastolic_mmhg"):
            marks.setdefault(name, {"kind": "contradictory", "reason": reason})
    return marks
