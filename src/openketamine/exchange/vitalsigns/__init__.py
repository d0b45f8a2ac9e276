"""Which code is which vital sign, in which unit, and what means "no reading": for every way in.

The tables are in `codes.yaml`, each line with its source. `read` never raises and never guesses:
what it cannot place is given back as it was sent, to be kept and shown.
"""

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict

from openketamine.clinic.devices.delivery import Measured, State

MDC = "MDC"
LOINC = "LN"
# Longest text of a value, code or unit that is kept of what nobody knows.
KEPT = 60


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Code(_Strict):
    label: str
    source: str
    certainty: str
    quantity: str = ""
    mdc: int | None = None
    loinc: str | None = None
    names: tuple[str, ...] = ()
    unit: str = ""
    rank: int = 9


class Unit(_Strict):
    to: str
    mdc: int
    names: tuple[str, ...]
    factor: float
    source: str
    certainty: str
    offset: float = 0.0


class Quantity(_Strict):
    quantity: str
    unit: str
    unitless_from: float
    unitless_to: float


class Structure(_Strict):
    prefixes: tuple[str, ...]
    names: tuple[str, ...]
    mdc: tuple[int, ...]


class NoReading(_Strict):
    values: tuple[float, ...]
    texts: tuple[str, ...]
    source: str
    certainty: str


class Flags(_Strict):
    off: tuple[str, ...]
    doubt: dict[str, str]
    not_patient: tuple[str, ...]
    source: str
    certainty: str


class Tables(_Strict):
    sources: dict[str, str]
    codes: tuple[Code, ...]
    structure: Structure
    units: tuple[Unit, ...]
    quantities: tuple[Quantity, ...]
    no_reading: NoReading
    flags: Flags


@cache
def tables() -> Tables:
    """The tables, checked once."""
    text = Path(__file__).with_name("codes.yaml").read_text(encoding="utf-8")
    return Tables.model_validate(yaml.safe_load(text))


@cache
def _codes() -> dict[tuple[str, str], Code]:
    found: dict[tuple[str, str], Code] = {}
    for code in tables().codes:
        if code.mdc is not None:
            found["number", str(code.mdc)] = code
        if code.loinc is not None:
            found["loinc", code.loinc] = code
        for name in code.names:
            found["name", name] = code
    return found


@cache
def _units() -> dict[str, Unit]:
    return {name: unit for unit in tables().units for name in (str(unit.mdc), *unit.names)}


@cache
def _quantities() -> dict[str, Quantity]:
    return {item.quantity: item for item in tables().quantities}


@dataclass(frozen=True)
class Coded:
    """A code as it was sent: identifier, text, and the system that it says it is from."""

    identifier: str = ""
    text: str = ""
    system: str = ""


def lookup(code: Coded) -> Code | Literal["structure"] | None:
    """What is measured; "structure" where the code measures nothing, None where nobody knows it.

    A number and a text id that name different things are nobody's code.
    """
    found = _codes()
    identifier, text = code.identifier.strip(), code.text.strip()
    if code.system.strip().upper() in {LOINC, "LOINC", "HTTP://LOINC.ORG"}:
        return found.get(("loinc", identifier))
    if (
        text.startswith(tables().structure.prefixes)
        or text in tables().structure.names
        or identifier in {str(number) for number in tables().structure.mdc}
    ):
        return "structure"
    by_number = found.get(("number", identifier))
    by_name = found.get(("name", text)) or found.get(("name", identifier))
    if by_number and by_name and by_number is not by_name:
        return None
    if by_number and text.startswith("MDC_") and by_name is None:
        return None
    return by_number or by_name


def unit_of(code: Coded) -> Unit | Literal["unknown"] | None:
    """The unit; None where none was sent, "unknown" where nobody knows it or two are named."""
    named = {_units().get(name.strip()) for name in (code.identifier, code.text) if name.strip()}
    if not named:
        return None
    known = {unit for unit in named if unit}
    return known.pop() if len(known) == 1 else "unknown"


def number(text: str) -> float | None:
    """A finite number, or None."""
    try:
        value = float(text.strip())
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None


def read(code: Coded, raw: str, unit: Coded, **more: Any) -> Measured | None:
    """One value as a device sent it; None where its code measures nothing.

    Args:
        more: passed on to `Measured`, e.g. the time.
    """
    meaning = lookup(code)
    if meaning == "structure":
        return None
    sent: dict[str, Any] = {
        "code": (code.identifier or code.text)[:KEPT],
        "label": (meaning.label if meaning else code.text or code.identifier)[:KEPT],
        "raw": raw[:KEPT],
        "unit": (unit.text or unit.identifier)[:KEPT],
        **more,
    }
    if meaning is None:
        return Measured(state=State.UNKNOWN, **sent)
    sent |= {"quantity": meaning.quantity, "rank": meaning.rank}
    nothing = tables().no_reading
    value = number(raw)
    if raw.strip() in nothing.texts or value in nothing.values:
        return Measured(state=State.OFF, **sent)
    if value is None:
        return Measured(state=State.UNREADABLE, problem="is not a number", **sent)
    if value < 0:
        return Measured(state=State.UNREADABLE, problem="is below zero", **sent)
    known = unit_of(unit)
    target = _quantities().get(meaning.quantity)
    wanted = target.unit if target else meaning.unit
    if known == "unknown" or (known and known.to != wanted):
        problem = f"is in {sent['unit'] or unit.identifier}, not in {wanted}"
        return Measured(state=State.UNREADABLE, problem=problem, **sent)
    if known:
        value = round(value * known.factor + known.offset, 1)
        return Measured(state=State.VALUE, value=value, in_unit=wanted, **sent)
    if target is None:
        return Measured(state=State.UNREADABLE, problem="came without a unit", **sent)
    if not target.unitless_from <= value <= target.unitless_to:
        problem = f"came without a unit and might not be in {wanted}"
        return Measured(state=State.UNREADABLE, problem=problem, **sent)
    return Measured(state=State.VALUE, value=value, in_unit=wanted, assumed_unit=wanted, **sent)
