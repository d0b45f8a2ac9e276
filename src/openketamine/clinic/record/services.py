"""The only writer of the record, and the check that nobody else has written to it."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from openketamine.clinic.accounts.models import User
from openketamine.clinic.errors import Refused

from . import clock
from .models import GENESIS, ChainHead, Event, Source, canonical

# A tablet's clock may run a little fast; anything further ahead is a mistake.
FUTURE_TOLERANCE = timedelta(minutes=2)


def lock() -> ChainHead:
    """Wait until no other transaction writes, and keep others waiting until this one ends."""
    ChainHead.objects.get_or_create(id=1)
    return ChainHead.objects.select_for_update().get(id=1)


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
    with transaction.atomic():
        head = lock()
        recorded_at = clock.not_before(head.recorded_at)
        if occurred_at and occurred_at > recorded_at + FUTURE_TOLERANCE:
            raise Refused(
                f"The time {occurred_at:%H:%M on %d %B %Y} lies in the future. "
                "Enter when it happened.",
                field="occurred_at",
            )
        if client_id and (stored := Event.objects.filter(client_id=client_id).first()):
            return stored
        event = Event(
            seq=head.seq + 1,
            stream=stream,
            person_id=person_id,
            kind=kind,
            body=canonical(data),
            occurred_at=occurred_at or recorded_at,
            recorded_at=recorded_at,
            actor=actor if isinstance(actor, User) else None,
            actor_name=str(actor),
            source=source,
            corrects=corrects,
            client_id=client_id,
            previous_hash=head.hash,
        )
        event.hash = event.digest()
        event.save(force_insert=True)
        ChainHead.objects.filter(id=1).update(
            seq=event.seq, hash=event.hash, recorded_at=recorded_at
        )
    return event


@dataclass(frozen=True)
class Verification:
    """What `verify` found: how many events, and the first fault in words, if any."""

    events: int
    fault: str | None

    @property
    def intact(self) -> bool:
        return self.fault is None


def verify() -> Verification:
    """Walk the whole chain and say where it first breaks."""
    previous, count = GENESIS, 0
    for event in Event.objects.order_by("seq").iterator(chunk_size=2000):
        count += 1
        if event.seq != count:
            return Verification(count, f"event {count} is missing: {event.seq} follows {count - 1}")
        if event.previous_hash != previous:
            return Verification(count, f"event {event.seq} does not follow the one before it")
        if event.digest() != event.hash:
            return Verification(count, f"event {event.seq} ({event.kind}) was altered")
        previous = event.hash
    head = ChainHead.objects.filter(id=1).first()
    if head and (head.seq, head.hash) != (count, previous):
        return Verification(count, f"the record ends at {count}, but its head says {head.seq}")
    return Verification(count, None)
