"""When crossed limits become alarms, and whom they reach: readings and policy in, episodes out.

An alarm is rare where a single reading of a monitor does not raise it and a reading that hovers
at the limit does not raise it again and again. So a monitor's reading counts when a second one
confirms it or nothing refutes it for a while, and an alarm is over only when readings have come
back inside by a margin. What a person has entered counts at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from .schema import AlarmsFile, EscalationStep, MonitoringFile, Settling, Threshold

Priority = Literal["amber", "red"]
PRIORITIES: tuple[Priority, ...] = ("red", "amber")  # the graver first
# A quantity of which policy says nothing: the limit itself, each reading at once.
AT_ONCE = timedelta()


@dataclass(frozen=True)
class Sample:
    """One value of one quantity. `known` orders what the record learnt, not what happened."""

    at: datetime
    value: float
    by_hand: bool
    known: int = 0


@dataclass(frozen=True)
class Episode:
    """One stretch of time for which a quantity stood beyond a limit of one priority."""

    threshold: Threshold
    since: datetime  # the first reading beyond the limit
    raised_at: datetime
    known: int  # what the record had learnt when the alarm was raised
    value: float  # the latest
    worst: float
    at: datetime  # of the latest
    over_at: datetime | None = None


@dataclass(frozen=True)
class Unconfirmed:
    """A monitor's reading beyond a limit that nothing has confirmed yet."""

    threshold: Threshold
    value: float
    at: datetime
    counts_at: datetime


def settling_of(policy: AlarmsFile, quantity: str) -> Settling | None:
    """What the policy says of a quantity, if anything."""
    return next((item for item in policy.settling if item.quantity == quantity), None)


def episodes(
    policy: AlarmsFile,
    protocol: MonitoringFile,
    quantity: str,
    samples: Sequence[Sample],
    baseline: float | None,
    now: datetime,
) -> tuple[list[Episode], list[Unconfirmed]]:
    """Every episode of one quantity up to now, both priorities, and what waits to be confirmed.

    Args:
        samples: without artefacts, in time order; those after `now` count for nothing.
        baseline: of this quantity before the drug, None where unknown.
    """
    found: list[Episode] = []
    waiting: list[Unconfirmed] = []
    settling = settling_of(policy, quantity)
    counted = [sample for sample in samples if sample.at <= now]
    for priority in PRIORITIES:
        limits = [
            limit
            for limit in protocol.thresholds
            if limit.quantity == quantity and limit.priority == priority
        ]
        if limits:
            done, pending = _walk(limits, settling, counted, baseline, now)
            found += done
            waiting += [pending] if pending else []
    # A red one that waits says all that the amber one beside it would.
    return sorted(found, key=lambda episode: (episode.raised_at, episode.known)), waiting[:1]


def _walk(
    limits: list[Threshold],
    settling: Settling | None,
    samples: Sequence[Sample],
    baseline: float | None,
    now: datetime,
) -> tuple[list[Episode], Unconfirmed | None]:
    """One priority of one quantity, reading by reading."""
    confirm = timedelta(seconds=settling.confirm_s) if settling else AT_ONCE
    alone = timedelta(seconds=settling.alone_s) if settling else AT_ONCE
    clear = timedelta(seconds=settling.clear_s) if settling else AT_ONCE
    margin = settling.margin if settling else 0.0
    done: list[Episode] = []
    standing: Episode | None = None
    first: tuple[Sample, Threshold] | None = None  # beyond the limit, not yet confirmed
    last: Sample | None = None
    inside_since: datetime | None = None

    def unrefuted(until: datetime) -> Episode | None:
        """The first reading has been left alone for so long that it counts."""
        if first is None or last is None or until < first[0].at + alone:
            return None
        sample, limit = first
        raised_at = max(sample.at + alone, last.at)
        return Episode(
            limit,
            sample.at,
            raised_at,
            last.known,
            last.value,
            _worse(limit, sample, last),
            last.at,
        )

    for sample in samples:
        if standing is None and (left_alone := unrefuted(sample.at)):
            standing, first, inside_since = left_alone, None, None
        if standing is not None:
            if _crossed(limits, sample.value, baseline, margin) is not None:
                inside_since = None
                worst = _worse(standing.threshold, Sample(sample.at, standing.worst, True), sample)
                standing = replace(standing, value=sample.value, worst=worst, at=sample.at)
                continue
            inside_since = inside_since or sample.at
            if sample.by_hand or sample.at - inside_since >= clear:
                done.append(replace(standing, over_at=sample.at))
                standing, inside_since = None, None
            continue
        limit = _crossed(limits, sample.value, baseline, 0.0)
        if limit is None:
            first = None
            continue
        begun = first or (sample, limit)
        if sample.by_hand or confirm == AT_ONCE or sample.at - begun[0].at >= confirm:
            worst = _worse(limit, begun[0], sample)
            standing = Episode(
                limit, begun[0].at, sample.at, sample.known, sample.value, worst, sample.at
            )
            first = None
        else:
            first, last = begun, sample
    if standing is None and (left_alone := unrefuted(now)):
        standing, first = left_alone, None
    if standing is not None:
        return [*done, standing], None
    if first is None or last is None:
        return done, None
    return done, Unconfirmed(first[1], last.value, last.at, first[0].at + alone)


def _crossed(
    limits: Iterable[Threshold], value: float, baseline: float | None, margin: float
) -> Threshold | None:
    return next((limit for limit in limits if limit.is_crossed(value, baseline, margin)), None)


def _worse(limit: Threshold, one: Sample, other: Sample) -> float:
    """The value further beyond the limit."""
    values = (one.value, other.value)
    return min(values) if limit.below is not None else max(values)


def steps_reached(
    policy: AlarmsFile, priority: Priority, raised_at: datetime, until: datetime
) -> list[tuple[datetime, EscalationStep]]:
    """The steps that an alarm has climbed by a moment without an answer, and when it did."""
    climbed = [
        (raised_at + timedelta(minutes=step.after_min), step)
        for step in policy.escalation
        if step.priority == priority
    ]
    return sorted(
        ((at, step) for at, step in climbed if at <= until), key=lambda reached: reached[0]
    )


def signs_told(
    policy: AlarmsFile,
    *,
    effect: str,
    severity: str,
    times: int,
    state: Mapping[str, float | None],
) -> str | None:
    """The id of the gravest sign that a noted side effect is, or None.

    Args:
        times: how often this effect has been noted in the session, this time included.
        state: the latest observations, for signs that count only beside another.
    """
    told = [
        sign
        for sign in policy.signs
        if (sign.effect is None or sign.effect == effect)
        and (sign.severity is None or sign.severity == severity)
        and times >= sign.times
        and all(
            (value := state.get(name)) is not None and value < bound
            for name, bound in sign.while_below.items()
        )
    ]
    return min(told, key=lambda sign: sign.priority != "red").id if told else None
