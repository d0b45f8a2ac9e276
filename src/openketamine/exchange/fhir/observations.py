"""Vital signs as FHIR R4 Observations: a second way in, by the same rules as the monitor feed."""

import hashlib
import json
from datetime import datetime
from typing import Any

from fhir.resources.R4B.observation import Observation
from pydantic import ValidationError

from openketamine.clinic.devices.delivery import Delivery, Measured, State
from openketamine.clinic.devices.models import Device
from openketamine.clinic.record import clock

from .. import vitalsigns
from ..vitalsigns import Coded

MAX_BYTES = 64 * 1024
MDC_URI = "urn:iso:std:iso:11073:10101"
LOINC_URI = "http://loinc.org"
TAKEN = frozenset({"final", "preliminary", "amended", "corrected"})


class BadObservation(Exception):  # noqa: N818 - an answer to the sender
    """It cannot be taken; `code` is of FHIR's issue types, `place` a FHIRPath."""

    def __init__(self, code: str, text: str, place: str = "Observation") -> None:
        super().__init__(text)
        self.code, self.text, self.place = code, text, place


def read(raw: bytes, device: Device) -> Delivery:
    """One Observation as a message of the device whose token it came with.

    Its identity is its first identifier, so that the same one sent again is stored once.

    Raises:
        BadObservation: not a FHIR R4 Observation, without identifier or time, or not a result.
    """
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadObservation("structure", f"Not JSON: {error}") from error
    if not isinstance(data, dict) or data.get("resourceType") != "Observation":
        raise BadObservation("structure", "Only the resource Observation is taken here.")
    try:
        observation = Observation.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(["Observation", *map(str, first["loc"])])
        raise BadObservation("structure", first["msg"], place) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise BadObservation("structure", str(error)[:200]) from error
    if observation.status not in TAKEN:
        raise BadObservation(
            "business-rule", f"Status {observation.status} is no result.", "Observation.status"
        )
    identifiers = [f"{i.system or ''}|{i.value}" for i in observation.identifier or () if i.value]
    if not identifiers:
        raise BadObservation("required", "An identifier makes it one and the same when it is sent "
                             "again.", "Observation.identifier")  # fmt: skip
    at = _moment(observation)
    if at is None:
        raise BadObservation(
            "required",
            "effectiveDateTime or effectiveInstant with a time and an offset is needed.",
            "Observation.effective",
        )
    now = clock.now()
    parts = [("", observation)] if observation.valueQuantity else []
    parts += [(f".component[{n}]", c) for n, c in enumerate(observation.component or ())]
    measured = [
        item for place, part in parts if (item := _measured(place, part, at, identifiers[0]))
    ]
    if not measured:
        raise BadObservation("required", "It holds no valueQuantity.", "Observation.value")
    return Delivery(
        identity=device.identity,
        name=device.name,
        control_id=identifiers[0][:80],
        digest=hashlib.sha256(identifiers[0].encode()).hexdigest(),
        received_at=now,
        measured=tuple(measured),
        patient_ids=_patients(observation),
    )


def _moment(observation: Any) -> datetime | None:
    for value in (observation.effectiveDateTime, observation.effectiveInstant):
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value
    return None


def _measured(place: str, part: Any, at: datetime, identifier: str) -> Measured | None:
    """The first coding that is known here; else the first of all, to be kept as it was sent."""
    quantity = part.valueQuantity
    if quantity is None or quantity.value is None:
        return None
    codings = [
        Coded(c.code or "", c.display or "", "LN" if c.system == LOINC_URI else "MDC")
        for c in part.code.coding or ()
        if c.code and c.system in {LOINC_URI, MDC_URI}
    ]
    known = [c for c in codings if vitalsigns.lookup(_bare(c))]
    chosen = (known or codings or [Coded(part.code.text or "", "")])[0]
    if getattr(quantity, "comparator", None):
        return Measured(
            State.UNREADABLE,
            chosen.identifier,
            chosen.text or chosen.identifier,
            f"{quantity.comparator}{quantity.value}"[:60],
            problem="is not one value",
            at=at,
            at_text=f"{identifier}{place}"[:200],
        )
    return vitalsigns.read(
        _bare(chosen),
        str(quantity.value),
        Coded(quantity.code or "", "" if quantity.code else quantity.unit or ""),
        at=at,
        at_text=identifier[:200],
    )


def _bare(code: Coded) -> Coded:
    """Without the display text, which is free in FHIR, where the code alone counts."""
    return code if code.system == "" else Coded(code.identifier, "", code.system)


def _patients(observation: Any) -> tuple[str, ...]:
    subject = observation.subject
    if subject is None:
        return ()
    if subject.identifier and subject.identifier.value:
        return (str(subject.identifier.value)[:40],)
    if subject.reference:
        return (str(subject.reference).removeprefix("Patient/")[:40],)
    return ()
