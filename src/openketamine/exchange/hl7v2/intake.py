"""Messages as bytes in, answers as bytes out; between them everything is durably stored."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import DatabaseError, DataError, connection, transaction

from openketamine.clinic.devices import services as devices
from openketamine.clinic.devices.delivery import Delivery
from openketamine.clinic.errors import Refused
from openketamine.clinic.record import clock

from . import ack, oru
from .message import Message, NotTaken, parse

log = logging.getLogger(__name__)
_numbers = count(1)
BUSY = "The clinic's database cannot store this now. Send it again."


@dataclass
class Answer:
    """What goes back to the sender, and what became of its message."""

    reply: bytes | None
    code: str
    reason: str = ""


def take(batch: Sequence[tuple[bytes, datetime]]) -> list[Answer]:
    """Store many messages in one transaction, and answer each.

    A message that cannot be read is refused alone. When the transaction fails, each is tried in one
    of its own, so that no message can keep the others out; what the database does not take is
    answered with AE and may be sent again. Never raises.

    Args:
        batch: messages as they came, with the time at which they came.
    """
    zone = ZoneInfo(settings.TIME_ZONE)
    parsed = [_parse(raw, zone, received_at) for raw, received_at in batch]
    good = [item.delivery for item in parsed if item.delivery is not None]
    refusals = iter(_store(good))
    answers = []
    for item in parsed:
        refusal, note = item.refusal, ""
        if item.delivery is not None:
            refusal, note = next(refusals)
        answers.append(_answer(item.message, refusal, note))
    return answers


@dataclass
class _Parsed:
    message: Message | None = None
    delivery: Delivery | None = None
    refusal: NotTaken | None = None


def _parse(raw: bytes, zone: ZoneInfo, received_at: datetime) -> _Parsed:
    item = _Parsed()
    try:
        item.message = parse(raw)
        item.delivery = oru.read(item.message, raw, zone=zone, received_at=received_at)
    except NotTaken as refusal:
        item.refusal = refusal
    except Exception:
        log.exception("a message could not be read")
        item.refusal = NotTaken("AE", 207, "The message could not be read.")
    return item


def _store(deliveries: list[Delivery]) -> list[tuple[NotTaken | None, str]]:
    if not deliveries:
        return []
    try:
        receipts = devices.receive(deliveries)
        return [(None, receipt.held_because) for receipt in receipts]
    except Refused as refusal:
        if len(deliveries) == 1:
            return [(NotTaken("AE", 207, refusal.message), "")]
    except (DataError, ValueError) as error:
        # Not the database's fault but this message's: sent again it would fare the same.
        log.warning("a monitor message does not fit: %s", error)
        if len(deliveries) == 1:
            return [(NotTaken("AR", 102, "A value does not fit the clinic's record."), "")]
    except DatabaseError as error:
        # Locked, full or gone: each message would fare the same, and waiting again would take long.
        log.warning("monitor messages not stored: %s", error)
        _forget_connection()
        return [(NotTaken("AE", 207, BUSY), "") for _ in deliveries]
    except Exception:
        log.exception("monitor messages could not be stored")
        if len(deliveries) == 1:
            return [(NotTaken("AE", 207, "The message could not be stored."), "")]
    return [outcome for delivery in deliveries for outcome in _store([delivery])]


def _forget_connection() -> None:
    if not transaction.get_connection().in_atomic_block:
        connection.close()


def _answer(message: Message | None, refusal: NotTaken | None, note: str) -> Answer:
    now = clock.now()
    number = f"OK{now:%Y%m%d%H%M%S}{next(_numbers) % 1_000_000:06d}"
    reply = ack.answer(message, refusal, now=now, number=number, note=note)
    return Answer(reply, refusal.code if refusal else "AA", refusal.text if refusal else note)
