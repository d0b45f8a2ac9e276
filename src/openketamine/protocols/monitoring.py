"""During the session: is a reading possible, does it cross a limit, is an observation late."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from openketamine.words import _

from .schema import Branch, MonitoringFile, ObservationRule, Plausible, Threshold

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
    return _(
        "%(quantity)s %(value)s is not possible. Enter a value from %(lowest)s to %(highest)s."
    ) % {
        "quantity": _(bounds.label),
        "value": f"{value:g} {_(bounds.unit)}".rstrip(),
        "lowest": f"{bounds.minimum:g}",
        "highest": f"{bounds.maximum:g}",
    }


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


def before_dose(
    protocol: MonitoringFile, reading: Mapping[str, float | None]
) -> tuple[list[Threshold], list[str]]:
    """What a reading before the dose asks the prescriber to decide, and what is not known.

    Nothing here cancels a session: a person decides. An unknown quantity never passes.
    """
    crossed = []
    unknown: dict[str, None] = {}
    for threshold in protocol.before:
        value = reading.get(threshold.quantity)
        if value is None:
            unknown[threshold.quantity] = None
        elif threshold.is_crossed(value, None):
            crossed.append(threshold)
    return crossed, list(unknown)


@dataclass(frozen=True)
class BranchAnswer:
    """What to do about a reading. While it is not known whether there are symptoms, a question."""

    branch: Branch | None
    question: str = ""


def branch_for(
    protocol: MonitoringFile, quantity: str, *, symptoms: bool | None
) -> BranchAnswer | None:
    """The branch for a reading that crossed a limit; None where the protocol has none for it."""
    branches = [branch for branch in protocol.branches if quantity in branch.quantities]
    if not branches:
        return None
    with_signs = next(branch for branch in branches if branch.symptoms)
    if symptoms is None:
        asked = _("Look first: %(signs)s?") % {"signs": _(with_signs.statement)}
        return BranchAnswer(None, asked)
    return BranchAnswer(next(branch for branch in branches if branch.symptoms is symptoms))


State = Literal["next", "due", "late", "missed"]


@dataclass(frozen=True)
class Observation:
    """An observation not made yet, wholly or in part. Minutes count from the phase's start.

    Attributes:
        quantities: those that are still wanting.
        state: `next` is to come, `due` is within the grace, `late` is past it, `missed` cannot be
            made up any more because the one after it is due.
    """

    at_min: float
    quantities: tuple[str, ...]
    state: State
    late_by_min: float
    statement: str
    authority: str
    certainty: str


def due(
    protocol: MonitoringFile,
    phase: str,
    *,
    now_min: float,
    done: Mapping[str, Sequence[float]],
) -> list[Observation]:
    """What is wanting in a phase, in the order of time, and of each rule the next that is to come.

    A reading counts for the time to come where it was taken up to the grace early, and otherwise
    for the time that has passed. So the check at 40 minutes stays due whatever was read at 30.

    Args:
        now_min: minutes since the phase began.
        done: when each quantity was read, in minutes since the phase began.
    """
    grace = protocol.late_after_min.value
    found: list[Observation] = []
    for rule in protocol.schedule:
        if rule.phase == phase:
            slots = _fixed(rule, grace, done) if rule.at_min else _repeated(rule, done)
            found += _wanting(rule, slots, grace, now_min)
    return sorted(found, key=lambda observation: observation.at_min)


_Slot = tuple[float, tuple[str, ...], float | None]  # when, what is wanting, when it is too late


def _fixed(
    rule: ObservationRule, grace: float, done: Mapping[str, Sequence[float]]
) -> Iterator[_Slot]:
    times = rule.at_min
    opens = [
        at - min(grace, (at - times[index - 1]) / 2 if index else grace)
        for index, at in enumerate(times)
    ]
    for index, at in enumerate(times):
        closes = opens[index + 1] if index + 1 < len(times) else None
        wanting = tuple(
            quantity
            for quantity in rule.quantities
            if not any(
                opens[index] <= when and (closes is None or when < closes)
                for when in done.get(quantity, ())
            )
        )
        if wanting:
            yield at, wanting, closes


def _repeated(rule: ObservationRule, done: Mapping[str, Sequence[float]]) -> Iterator[_Slot]:
    assert rule.every_min is not None
    next_at = {
        quantity: max(done.get(quantity, ()), default=0.0) + rule.every_min
        for quantity in rule.quantities
    }
    at = min(next_at.values())
    yield at, tuple(q for q, when in next_at.items() if when <= at + 1), None


def _wanting(
    rule: ObservationRule, slots: Iterator[_Slot], grace: float, now_min: float
) -> Iterator[Observation]:
    for at, quantities, closes in slots:
        if closes is not None and now_min >= closes:
            state: State = "missed"
        elif now_min > at + grace:
            state = "late"
        elif now_min >= at:
            state = "due"
        else:
            state = "next"
        late = max(now_min - at, 0.0) if state in {"late", "missed"} else 0.0
        yield Observation(
            at, quantities, state, late, rule.statement, rule.authority, rule.certainty
        )
        if state == "next":
            return
