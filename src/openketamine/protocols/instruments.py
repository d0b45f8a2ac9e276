"""Scoring questionnaires."""

from collections.abc import Mapping
from dataclasses import dataclass

from .schema import InstrumentFile as Instrument
from .schema import RedFlagRule


@dataclass(frozen=True)
class Score:
    """What the answers come to. `total` and `band` are None while an item is unanswered."""

    total: int | None
    band: str | None
    unanswered: tuple[str, ...]
    red_flags: tuple[RedFlagRule, ...]

    @property
    def complete(self) -> bool:
        return not self.unanswered


def score(instrument: Instrument, answers: Mapping[str, int | None]) -> Score:
    """Add the items up, and raise the flags that an answer demands, complete or not.

    Raises:
        ValueError: an answer is not one of the options, or belongs to no item.
    """
    values = {option.value for option in instrument.options}
    items = [item.id for item in instrument.items]
    for key, value in answers.items():
        if key not in items:
            raise ValueError(f"{instrument.short_name} has no item {key!r}")
        if value is not None and value not in values:
            allowed = ", ".join(str(v) for v in sorted(values))
            raise ValueError(f"{instrument.short_name} {key}: {value} is not one of {allowed}")
    given = {key: value for key, value in answers.items() if value is not None}
    unanswered = tuple(key for key in items if key not in given)
    flags = tuple(
        rule for rule in instrument.red_flags if given.get(rule.item, -1) >= rule.at_least
    )
    if unanswered:
        return Score(None, None, unanswered, flags)
    total = sum(given.values())
    band = next(band.label for band in instrument.bands if band.low <= total <= band.high)
    return Score(total, band, (), flags)


def has_responded(instrument: Instrument, *, baseline: int, total: int) -> bool:
    """Whether the fall from a baseline above zero counts as a response."""
    if baseline <= 0:
        return False
    return 100 * (baseline - total) / baseline >= instrument.response.fall_percent


def is_remission(instrument: Instrument, total: int) -> bool:
    """Whether a total counts as remission."""
    return total < instrument.remission.below
