"""Scoring questionnaires."""

from collections.abc import Mapping
from dataclasses import dataclass

from .schema import CutOff, RedFlagRule
from .schema import InstrumentFile as Instrument


@dataclass(frozen=True)
class Score:
    """What the answers come to. `total` and `band` are None while an item is unanswered.

    `total` is also None for a triage, whose level is the `band`; `band` where none is published.
    `clusters_met` is None where the instrument has no clusters or is unfinished.
    """

    total: int | float | None
    band: str | None
    unanswered: tuple[str, ...]
    red_flags: tuple[RedFlagRule, ...]
    cut_offs: tuple[CutOff, ...] = ()
    clusters_met: bool | None = None

    @property
    def complete(self) -> bool:
        return not self.unanswered


def score(instrument: Instrument, answers: Mapping[str, int | None]) -> Score:
    """Score the answers, and raise the flags that an answer demands, complete or not.

    A missing answer is never guessed: there is no total until every item that is asked has one.

    Raises:
        ValueError: an answer is not one of the options, or belongs to no item.
    """
    items = {item.id: item for item in instrument.items}
    given: dict[str, int] = {}
    for key, value in answers.items():
        if key not in items:
            raise ValueError(f"{instrument.short_name} has no item {key!r}")
        if value is None:
            continue
        values = {option.value for option in instrument.options_of(items[key])}
        if value not in values:
            allowed = ", ".join(str(v) for v in sorted(values))
            raise ValueError(f"{instrument.short_name} {key}: {value} is not one of {allowed}")
        given[key] = value
    # What a No closes is not asked, and an answer to it from before does not count.
    asked = [
        key for key, item in items.items() if item.asked_if is None or given.get(item.asked_if) != 0
    ]
    given = {key: value for key, value in given.items() if key in asked}
    unanswered = tuple(key for key in asked if key not in given)
    flags = tuple(
        rule for rule in instrument.red_flags if given.get(rule.item, -1) >= rule.at_least
    )
    if unanswered:
        return Score(None, None, unanswered, flags)
    if instrument.scoring == "triage":
        reached = (
            level.label
            for level in instrument.levels
            if any(given.get(name) for name in level.any_of)
        )
        return Score(None, next(reached, "none"), (), flags)
    total = _total(instrument, given)
    return Score(
        total=total,
        band=next((b.label for b in instrument.bands if b.low <= total <= b.high), None),
        unanswered=(),
        red_flags=flags,
        cut_offs=tuple(cut for cut in instrument.cut_offs if total >= cut.at_least),
        clusters_met=_clusters_met(instrument, given),
    )


def _total(instrument: Instrument, given: Mapping[str, int]) -> int | float:
    if instrument.scoring == "highest of groups":
        return sum(max(given[name] for name in group) for group in instrument.groups)
    counted = [given[item.id] for item in instrument.items if item.counts and item.id in given]
    return sum(counted) / len(counted) if instrument.scoring == "mean" else sum(counted)


def _clusters_met(instrument: Instrument, given: Mapping[str, int]) -> bool | None:
    if not instrument.clusters:
        return None
    return all(
        sum(given[name] >= cluster.item_at_least for name in cluster.items) >= cluster.needed
        for cluster in instrument.clusters
    )


def has_responded(instrument: Instrument, *, baseline: float, total: float) -> bool:
    """Whether the fall from a baseline above zero counts as a response.

    Raises:
        ValueError: the instrument has no published rule of response.
    """
    if instrument.response is None:
        raise ValueError(f"{instrument.short_name} has no rule of response")
    if baseline <= 0:
        return False
    return 100 * (baseline - total) / baseline >= instrument.response.fall_percent


def is_remission(instrument: Instrument, total: float) -> bool:
    """Whether a total counts as remission.

    Raises:
        ValueError: the instrument has no published rule of remission.
    """
    if instrument.remission is None:
        raise ValueError(f"{instrument.short_name} has no rule of remission")
    return total < instrument.remission.below
