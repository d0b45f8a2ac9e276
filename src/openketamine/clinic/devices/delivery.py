"""What a monitor has sent, in the clinic's words: the form in which every way in hands it over."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """What one value of a message is."""

    VALUE = "value"
    OFF = "off"  # the sensor is off, or has no signal
    UNKNOWN = "unknown"  # nobody here knows the code
    UNREADABLE = "unreadable"  # known, but not a number, or in a unit that does not fit
    WITHDRAWN = "withdrawn"  # the device takes an earlier value back
    NOT_PATIENT = "not patient"  # a test, demonstration or calibration


@dataclass(frozen=True)
class Measured:
    """One value.

    Attributes:
        quantity: one of `timeline.VITALS`, or nothing for what is kept but not charted.
        value, in_unit: in the clinic's unit; None and nothing unless `state` is VALUE.
        raw, unit: as sent.
        at: by the device's clock, aware; None where neither it nor its message says.
        at_text: `at` as sent, which names the measurement even when the clock was wrong.
        rank: of several sources of a quantity in one message the lowest counts.
        doubt: why the device itself doubts the value, or nothing.
        assumed_unit: the unit that was taken where none was sent, or nothing.
        problem: what is wrong with it, where `state` is UNREADABLE.
    """

    state: State
    code: str
    label: str
    raw: str
    unit: str = ""
    quantity: str = ""
    value: float | None = None
    in_unit: str = ""
    at: datetime | None = None
    at_text: str = ""
    rank: int = 9
    doubt: str = ""
    assumed_unit: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Delivery:
    """One message.

    Attributes:
        identity: the device, as it names itself; unique and lasting, e.g. its EUI-64.
        name: what people call it, e.g. its model.
        location, patient_ids: where and on whom it says that it measures; empty where it does not.
        control_id, digest: of the message, to know it again.
        sent_at: by the device's clock, aware; None where it does not say.
        received_at: by ours.
    """

    identity: str
    name: str
    control_id: str
    digest: str
    received_at: datetime
    measured: tuple[Measured, ...]
    sent_at: datetime | None = None
    location: str = ""
    patient_ids: tuple[str, ...] = ()
