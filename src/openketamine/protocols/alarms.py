"""When crossed limits become alarms, and whom they reach: readings and policy in, episodes out.

An alarm is rare where a single reading of a monitor does not raise it and a reading that hovers
at the limit does not raise it again and again. So a monitor's reading counts when a second one
confirms it or nothing refutes it for a while, and an alarm is over only when readings have come
back inside by a margin. What a person has entered counts at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
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
    watch = Watch(policy, protocol, quantity, baseline)
    for sample in samples:
        if sample.at <= now:
            watch.take(sample)
    return watch.at(now)


class Watch:
    """The alarms of one quantity, reading by reading, so that what is settled is read once."""

    def __init__(
        self,
        policy: AlarmsFile,
        protocol: MonitoringFile,
        quantity: str,
        baseline: float | None,
    ) -> None:
        settling = settling_of(policy, quantity)
        self._walks: list[_Walk] = []
        for priority in PRIORITIES:
            limits = tuple(
                limit
                for limit in protocol.thresholds
                if limit.quantity == quantity and limit.priority == priority
            )
            if limits:
                self._walks.append(_Walk(limits, settling, baseline))

    def copy(self) -> Watch:
        """One that has read the same and goes its own way."""
        other = copy(self)
        other._walks = [copy(walk) for walk in self._walks]
        return other

    def take(self, sample: Sample) -> None:
        """Read the next sample, none of which is older than the last."""
        for walk in self._walks:
            walk.take(sample)

    def at(self, now: datetime) -> tuple[list[Episode], list[Unconfirmed]]:
        """Every episode up to now, both priorities, and what waits to be confirmed."""
        found: list[Episode] = []
        waiting: list[Unconfirmed] = []
        for walk in self._walks:
            done, pending = walk.at(now)
            found += done
            waiting += [pending] if pending else []
        # A red one that waits says all that the amber one beside it would.
        return sorted(found, key=lambda episode: (episode.raised_at, episode.known)), waiting[:1]


class _Walk:
    """One priority of one quantity. Nothing that it holds is changed in place: a copy is cheap."""

    def __init__(
        self, limits: tuple[Threshold, ...], settling: Settling | None, baseline: float | None
    ) -> None:
        self.limits, self.baseline = limits, baseline
        self.confirm = timedelta(seconds=settling.confirm_s) if settling else AT_ONCE
        self.alone = timedelta(seconds=settling.alone_s) if settling else AT_ONCE
        self.clear = timedelta(seconds=settling.clear_s) if settling else AT_ONCE
        self.margin = settling.margin if settling else 0.0
        self.done: tuple[Episode, ...] = ()
        self.standing: Episode | None = None
        self.first: tuple[Sample, Threshold] | None = None  # beyond the limit, not yet confirmed
        self.last: Sample | None = None
        self.inside_since: datetime | None = None

    def _unrefuted(self, until: datetime) -> Episode | None:
        """The first reading has been left alone for so long that it counts."""
        if self.first is None or self.last is None or until < self.first[0].at + self.alone:
            return None
        (sample, limit), last = self.first, self.last
        return Episode(
            limit,
            sample.at,
            max(sample.at + self.alone, last.at),
            last.known,
            last.value,
            _worse(limit, sample, last),
            last.at,
        )

    def take(self, sample: Sample) -> None:
        if self.standing is None and self.first and (left_alone := self._unrefuted(sample.at)):
            self.standing, self.first, self.inside_since = left_alone, None, None
        standing = self.standing
        if standing is not None:
            if _crossed(self.limits, sample.value, self.baseline, self.margin) is not None:
                self.inside_since = None
                worst = _worse(standing.threshold, Sample(sample.at, standing.worst, True), sample)
                self.standing = replace(standing, value=sample.value, worst=worst, at=sample.at)
                return
            self.inside_since = self.inside_since or sample.at
            if sample.by_hand or sample.at - self.inside_since >= self.clear:
                self.done = (*self.done, replace(standing, over_at=sample.at))
                self.standing, self.inside_since = None, None
            return
        limit = _crossed(self.limits, sample.value, self.baseline, 0.0)
        if limit is None:
            self.first = None
            return
        begun = self.first or (sample, limit)
        if sample.by_hand or self.confirm == AT_ONCE or sample.at - begun[0].at >= self.confirm:
            worst = _worse(limit, begun[0], sample)
            self.standing = Episode(
                limit, begun[0].at, sample.at, sample.known, sample.value, worst, sample.at
            )
            self.first = None
        else:
            self.first, self.last = begun, sample

    def at(self, now: datetime) -> tuple[list[Episode], Unconfirmed | None]:
        standing = self.standing or self._unrefuted(now)
        if standing is not None:
            return [*self.done, standing], None
        if self.first is None or self.last is None:
            return list(self.done), None
        sample, limit = self.first
        return list(self.done), Unconfirmed(
            limit, self.last.value, self.last.at, sample.at + self.alone
        )


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
