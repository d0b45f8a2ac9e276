"""The only writer of the record, and the check that nobody else has written to it."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, models, transaction
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from openketamine.clinic.accounts.models import User
from openketamine.clinic.errors import Refused

from . import clock
from .models import GENESIS, ChainHead, Event, Source, canonical

# A tablet's clock may run a little fast; anything further ahead is a mistake.
FUTURE_TOLERANCE = timedelta(minutes=2)


M = TypeVar("M", bound=models.Model)


def locked_row(model: type[M]) -> M:
    """The only row of its table, held until the transaction ends; made where there is none yet."""
    rows = model._default_manager.select_for_update().filter(pk=1)
    row = rows.first()
    if row is None:
        model._default_manager.get_or_create(pk=1)
        row = rows.get()
    return row


def lock() -> ChainHead:
    """Wait until no other transaction writes, and keep others waiting until this one ends."""
    return locked_row(ChainHead)


def append(
    actor: User | str,
    stream: str,
    kind: str,
    data: dict[str, Any],
    *,
    person_id: uuid.UUID | None = None,
    occurred_at: datetime | None = None,
    source: Source = Source.HAND,
    corrects: Event | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """Add one fact to the end of the record.

    Call it inside the transaction of the act that it records. A `client_id` that is already in the
    record returns the event stored then, and adds nothing.

    Args:
        actor: a user, or the name of a device, patient link or program.
        occurred_at: when it happened; now where left out.

    Raises:
        Refused: `occurred_at` lies in the future.
    """
    entry = Entry(actor, stream, kind, data, person_id, occurred_at, source, corrects, client_id)
    return append_many([entry])[0]


@dataclass(frozen=True)
class Entry:
    """One fact that is to be added; the fields are those of `append`."""

    actor: User | str
    stream: str
    kind: str
    data: dict[str, Any]
    person_id: uuid.UUID | None
    occurred_at: datetime | None
    source: Source = Source.HAND
    corrects: Event | None = None
    client_id: uuid.UUID | None = None


def append_many(entries: Sequence[Entry]) -> list[Event]:
    """Add many facts in their order, with a number of queries that does not grow with them.

    Those whose `client_id` is in the record already are given as they were stored then. Call it
    inside the transaction of the act.

    Raises:
        Refused: one of them lies in the future; nothing is added.
    """
    with transaction.atomic():
        head = lock()
        now = clock.not_before(head.recorded_at)
        for entry in entries:
            if entry.occurred_at and entry.occurred_at > now + FUTURE_TOLERANCE:
                raise Refused(
                    _("The time %(time)s on %(day)s lies in the future. Enter when it happened.")
                    % {
                        "time": date_format(entry.occurred_at, "H:i"),
                        "day": date_format(entry.occurred_at, "d F Y"),
                    },
                    field="occurred_at",
                )
        ids = [entry.client_id for entry in entries if entry.client_id]
        earlier = Event.objects.filter(client_id__in=ids) if ids else ()
        stored = {event.client_id: event for event in earlier}
        seq, link = head.seq, head.hash
        fresh: list[Event] = []
        events: list[Event] = []
        for entry in entries:
            event = stored.get(entry.client_id) if entry.client_id else None
            if event is None:
                event = _linked(entry, now, seq, link)
                seq, link = event.seq, event.hash
                fresh.append(event)
                if entry.client_id:
                    stored[entry.client_id] = event
            events.append(event)
        if fresh:
            Event.objects.bulk_create(fresh)
            ChainHead.objects.filter(id=1).update(seq=seq, hash=link, recorded_at=now)
    return events


def _linked(entry: Entry, recorded_at: datetime, seq: int, previous_hash: str) -> Event:
    """The event that an entry makes as the link after `seq`."""
    event = Event(
        seq=seq + 1,
        stream=entry.stream,
        person_id=entry.person_id,
        kind=entry.kind,
        body=canonical(entry.data),
        occurred_at=entry.occurred_at or recorded_at,
        recorded_at=recorded_at,
        actor=entry.actor if isinstance(entry.actor, User) else None,
        actor_name=str(entry.actor),
        source=entry.source,
        corrects=entry.corrects,
        client_id=entry.client_id,
        previous_hash=previous_hash,
    )
    event.hash = event.digest()
    return event


@dataclass(frozen=True)
class Verification:
    """What `verify` found: how many events, and the first fault in words, if any."""

    events: int
    fault: str | None

    @property
    def intact(self) -> bool:
        return self.fault is None


def verify(using: str = DEFAULT_DB_ALIAS) -> Verification:
    """Walk the whole chain of a database and say where it first breaks."""
    previous, count = GENESIS, 0
    for event in Event.objects.using(using).order_by("seq").iterator(chunk_size=2000):
        count += 1
        if event.seq != count:
            return Verification(count, f"event {count} is missing: {event.seq} follows {count - 1}")
        if event.previous_hash != previous:
            return Verification(count, f"event {event.seq} does not follow the one before it")
        if event.digest() != event.hash:
            return Verification(count, f"event {event.seq} ({event.kind}) was altered")
        previous = event.hash
    head = ChainHead.objects.using(using).filter(id=1).first()
    if head and (head.seq, head.hash) != (count, previous):
        return Verification(count, f"the record ends at {count}, but its head says {head.seq}")
    return Verification(count, None)
