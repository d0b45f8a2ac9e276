"""During the session: is a reading possible, does it cross a limit, is an observation late."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .schema import MonitoringFile, ObservationRule, Plausible

Priority = Literal["amber", "red"]


@dataclass(frozen=True)
class MonitoringFinding:
    """A reading beyond a limit of the clinic's policy."""

    rule_id: str
    priority: Priority
    quantity: str
    value: float
    statement: str
    response: str
    source: str
    certainty: str
    authority: str


def impossible(protocol: MonitoringFile, quantity: str, value: float) -> str | None:
    """Why a value cannot be true, in words, or None where it can."""
    bounds = _bounds(protocol, quantity)
    if bounds.minimum <= value <= bounds.maximum:
        return None
    unit = "" if bounds.unit == "%" else f" {bounds.unit}"
    percent = " %" if bounds.unit == "%" else unit
    return (
        f"{bounds.label} {value:g}{percent} is not possible. "
        f"Enter a value from {bounds.minimum:g} to {bounds.maximum:g}."
    )


def _bounds(protocol: MonitoringFile, quantity: str) -> Plausible:
    for item in protocol.plausible:
        if item.quantity == quantity:
            return item
    raise KeyError(f"no plausible range for {quantity!r}")


def assess(
    protocol: MonitoringFile,
    reading: Mapping[str, float | None],
    baseline: Mapping[str, float | None] | None = None,
) -> list[MonitoringFinding]:
    """The limits that a reading crosses, the graver first, one per quantity."""
    worst: dict[str, MonitoringFinding] = {}
    for threshold in protocol.thresholds:
        value = reading.get(threshold.quantity)
        if value is None:
            continue
        if not threshold.is_crossed(value, (baseline or {}).get(threshold.quantity)):
            continue
        known = worst.get(threshold.quantity)
        if known and (known.priority == "red" or threshold.priority == "amber"):
            continue
        worst[threshold.quantity] = MonitoringFinding(
            rule_id=threshold.id,
            priority=threshold.priority,
            quantity=threshold.quantity,
            value=value,
            statement=threshold.statement,
            response=protocol.responses[threshold.priority],
            source=threshold.source,
            certainty=threshold.certainty,
            authority=threshold.authority,
        )
    return sorted(worst.values(), key=lambda finding: finding.priority != "red")


def schedule_of(protocol: MonitoringFile, phase: str) -> ObservationRule | None:
    """What has to be observed in a phase, and how often; None where nothing is due."""
    return next((rule for rule in protocol.schedule if rule.phase == phase), None)


def every_min(protocol: MonitoringFile, phase: str) -> float | None:
    """How many minutes may lie between observations in a phase; None where none are due."""
    rule = schedule_of(protocol, phase)
    return rule.every_min if rule else None


def late_by_min(protocol: MonitoringFile, phase: str, since_last_min: float) -> float:
    """How many minutes an observation is late beyond what policy allows; 0 where it is not."""
    interval = every_min(protocol, phase)
    if interval is None:
        return 0.0
    overdue = since_last_min - interval
    return overdue if overdue > protocol.late_after_min.value else 0.0
