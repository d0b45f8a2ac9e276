"""ORU^R01 as bedside monitors send it (IHE PCD-01), versions 2.3 to 2.6, as a `Delivery`. Pure."""

import hashlib
from dataclasses import replace
from datetime import datetime, tzinfo

from openketamine.clinic.devices.delivery import Delivery, Measured, State

from .. import vitalsigns
from ..vitalsigns import Coded
from .message import Message, NotTaken, Segment, moment

VERSIONS = ("2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6")
MAX_VALUES = 500
# OBX-11: what the status of a result makes of its value. Every other one is a value.
NOTHING = frozenset("XNI")
TAKEN_BACK = frozenset("DW")


def read(message: Message, raw: bytes, *, zone: tzinfo, received_at: datetime) -> Delivery:
    """What a message says, with every value that it holds.

    Args:
        zone: the clinic's, for times without an offset.

    Raises:
        NotTaken: not an ORU^R01 of a version that is spoken here, not from production, without a
            control id, of several patients at once, or with more values than any monitor sends.
    """
    msh = message.msh
    kind, trigger = msh.component(9), msh.component(9, 2)
    if not message.control_id:
        raise NotTaken("AR", 101, "MSH-10, the message control id, is missing.")
    if kind != "ORU":
        raise NotTaken("AR", 200, f"Message type {kind or 'missing'}: only ORU^R01 is taken here.")
    if trigger not in {"R01", ""}:
        raise NotTaken("AR", 201, f"Event {trigger}: only ORU^R01 is taken here.")
    if message.version not in VERSIONS:
        raise NotTaken(
            "AR",
            203,
            f"Version {message.version or 'missing'}: {', '.join(VERSIONS)} are spoken here.",
        )
    if msh.component(11) not in {"P", ""}:
        raise NotTaken(
            "AR",
            202,
            f"Processing id {msh.component(11)}: only P (production) belongs in a record.",
        )
    if sum(segment.name == "PID" for segment in message.segments) > 1:
        raise NotTaken("AR", 100, "Several patients in one message: send one message for each.")
    values = [segment for segment in message.segments if segment.name == "OBX"]
    if len(values) > MAX_VALUES:
        raise NotTaken("AR", 102, f"{len(values)} values in one message: at most {MAX_VALUES}.")
    if not values:
        raise NotTaken("AR", 100, "The message holds no OBX segment.")
    location = _location(message)
    sent_text = msh.component(7)
    return Delivery(
        identity=_identity(message, location),
        name=msh.component(3)[:80] or "monitor without a name",
        control_id=message.control_id[:80],
        digest=hashlib.sha256(raw).hexdigest(),
        received_at=received_at,
        sent_at=moment(sent_text, zone, near=received_at),
        location=location,
        patient_ids=_patients(message),
        measured=tuple(_measured(message, zone, received_at)),
    )


def _identity(message: Message, location: str) -> str:
    """The equipment's own id where it names one; else the application, and the place if given.

    A gateway speaks for many monitors under one name: without an id of each, the place tells them
    apart, and a monitor that moves is a new device, which is safe.
    """
    named: list[str] = []
    for segment in message.segments:
        number = {"OBX": 18, "PRT": 10}.get(segment.name)
        if number and (found := segment.component(number, 3) or segment.component(number)):
            named.append(found)
    if named and len(set(named)) == 1:
        return named[0][:120]
    msh = message.msh
    sender = msh.component(3, 2) or "|".join(
        filter(None, (msh.component(3), msh.component(4) or msh.component(4, 2)))
    )
    return "|".join(filter(None, (sender or "unnamed", location)))[:120]


def _location(message: Message) -> str:
    visit = message.first("PV1")
    parts = [visit.component(3, part).strip() for part in (1, 2, 3)] if visit else []
    return "^".join(part for part in parts if part)[:120]


def _patients(message: Message) -> tuple[str, ...]:
    patient = message.first("PID")
    if patient is None:
        return ()
    numbers = (
        patient.component(3, 1, repetition).strip()[:40]
        for repetition in range(min(len(patient.repetitions(3)), 5))
    )
    return tuple(dict.fromkeys(number for number in numbers if number))


def _measured(message: Message, zone: tzinfo, received_at: datetime) -> list[Measured]:
    order_time = ""
    found: list[Measured] = []
    for segment in message.segments:
        if segment.name == "OBR":
            order_time = segment.component(7)
        elif segment.name == "OBX" and (
            item := _value(segment, message, order_time, zone, received_at)
        ):
            found.append(item)
    return found


def _value(
    obx: Segment, message: Message, order_time: str, zone: tzinfo, received_at: datetime
) -> Measured | None:
    """One OBX. Its own time (OBX-14) goes before the order's (OBR-7), that before the message's."""
    at, at_text = None, ""
    for text in (obx.component(14), order_time, message.msh.component(7)):
        if (at := moment(text, zone, near=received_at)) is not None:
            at_text = text
            break
    raw = obx.component(5)
    if obx.component(2) == "SN" and raw in {"", "="}:  # comparator ^ number
        raw = obx.component(5, 2)
    item = vitalsigns.read(
        Coded(obx.component(3), obx.component(3, 2), obx.component(3, 3)),
        raw,
        Coded(obx.component(6), obx.component(6, 2), obx.component(6, 3)),
        at=at,
        at_text=at_text[:40],
    )
    if item is None:
        return None
    status = obx.component(11).strip().upper()
    flags = {obx.component(8, 1, n).strip().upper() for n in range(min(len(obx.repetitions(8)), 8))}
    known = vitalsigns.tables().flags
    if flags & set(known.not_patient):
        return replace(item, state=State.NOT_PATIENT, value=None)
    if status in NOTHING or flags & set(known.off):
        return replace(item, state=State.OFF, value=None)
    if item.state != State.VALUE:
        return item
    if status in TAKEN_BACK:
        return replace(item, state=State.WITHDRAWN)
    doubts = [known.doubt[flag] for flag in sorted(flags & set(known.doubt))]
    return replace(item, doubt=f"the monitor calls it {' and '.join(doubts)}") if doubts else item
