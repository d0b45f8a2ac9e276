"""Scoring questionnaires."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from openketamine.words import _, _noop

from .schema import CutOff, RedFlagRule
from .schema import InstrumentFile as Instrument


@dataclass(frozen=True)
class Score:
    """What the answers come to. Nothing is concluded while an item that is asked is unanswered.

    `total` is None for an unfinished form, and for a triage or means of subscales, whose results
    are the `band` (the level) and the `subscores`. `band` is None where none is published;
    `clusters_met` where the instrument has no clusters.
    """

    total: int | float | None
    band: str | None
    unanswered: tuple[str, ...]
    red_flags: tuple[RedFlagRule, ...]
    cut_offs: tuple[CutOff, ...] = ()
    clusters_met: bool | None = None
    subscores: Mapping[str, float] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()  # unanswered, and the published rule allows it

    @property
    def complete(self) -> bool:
        return not self.unanswered

    def in_words(self, instrument: Instrument) -> str:
        """The result as a line of the chart has it: "16, moderate"; "acute positive"."""
        if self.unanswered:
            return "not complete"
        if self.subscores:
            parts = [
                f"{scale.label.lower()} {self.subscores[scale.id]:.2g}"
                for scale in instrument.subscales
            ]
            if self.left_out:
                parts.append(f"{len(self.left_out)} answers left out")
            return ", ".join(parts)
        total = "" if self.total is None else f"{round(self.total, 2):g}"
        return ", ".join(part for part in (total, self.band) if part)


# The subscales of the library's instruments, as a result names them.
SUBSCALES = (_noop("pain severity"), _noop("pain interference"))


def result_in_words(result: str) -> str:
    """A result that `Score.in_words` gave, which is kept in English, in the reader's language."""
    return ", ".join(_part_in_words(part) for part in result.split(", "))


def _part_in_words(part: str) -> str:
    if part == "not complete":
        return _("not complete")
    if part == "an answer alarmed":
        return _("an answer alarmed")
    if left_out := re.fullmatch(r"(\d+) answers left out", part):
        return _("%(count)d answers left out") % {"count": int(left_out[1])}
    if scale := re.fullmatch(r"(\D+) ([\d.]+)", part):
        return f"{_(scale[1])} {scale[2]}"
    return _(part)


def asked(instrument: Instrument, answers: Mapping[str, int | None]) -> tuple[str, ...]:
    """The items to ask, in order: all but those that the answers so far have closed.

    An item waits on others. Until one of them is answered otherwise than 0 it stays open; when all
    of them are 0 (or closed themselves) it is closed, and an answer to it from before is not read.
    """
    open_items: list[str] = []
    for item in instrument.items:
        closed = item.asked_if and all(
            name not in open_items or answers.get(name) == 0 for name in item.asked_if
        )
        if not closed:
            open_items.append(item.id)
    return tuple(open_items)


def score(instrument: Instrument, answers: Mapping[str, int | None]) -> Score:
    """Score the answers, and raise the flags that an answer demands, complete or not.

    A missing answer is never guessed: there is no total until every item that is asked has one.

    Raises:
        ValueError: an answer is not one of the options, or belongs to no item; or only the total
            of the instrument can be entered.
    """
    if not instrument.items:
        raise ValueError(
            _("%(instrument)s: only its total can be entered")
            % {"instrument": instrument.short_name}
        )
    given = _checked(instrument, answers)
    to_ask = asked(instrument, given)
    given = {key: given[key] for key in to_ask if key in given}
    unanswered = tuple(key for key in to_ask if key not in given)
    flags = _flags(instrument, given)
    if instrument.scoring == "means of subscales":
        return _means(instrument, given, unanswered, flags)
    if unanswered:
        return Score(None, None, unanswered, flags)
    if instrument.scoring == "triage":
        reached = (
            level.label
            for level in instrument.levels
            if any(given.get(name, 0) >= level.at_least for name in level.any_of)
        )
        return Score(None, next(reached, instrument.otherwise), (), flags)
    points = {
        item.id: instrument.points(item, given[item.id])
        for item in instrument.items
        if item.counts and item.id in given
    }
    return _concluded(
        instrument, _total(instrument, points), flags, _clusters_met(instrument, given)
    )


def score_total(
    instrument: Instrument, total: float, answers: Mapping[str, int | None] | None = None
) -> Score:
    """Take the total of a form that was filled in and added up elsewhere.

    The items that can raise a flag are asked for all the same: a total does not show them.

    Args:
        answers: the items that the flags read.

    Raises:
        ValueError: no total can be entered here, or it is outside its range.
    """
    if not instrument.total_may_be_entered:
        raise ValueError(
            _("%(instrument)s: enter its answers, not its total")
            % {"instrument": instrument.short_name}
        )
    assert instrument.total_range is not None
    low, high = instrument.total_range
    if not low <= total <= high or (instrument.scoring != "mean" and total != int(total)):
        raise ValueError(
            _("%(instrument)s: a total is from %(lowest)s to %(highest)s")
            % {
                "instrument": instrument.short_name,
                "lowest": f"{low:g}",
                "highest": f"{high:g}",
            }
        )
    given = _checked(instrument, answers or {})
    flags = _flags(instrument, given)
    needed = dict.fromkeys(rule.item for rule in instrument.red_flags)
    if unanswered := tuple(name for name in needed if name not in given):
        return Score(None, None, unanswered, flags)
    return _concluded(instrument, total, flags, None)


def _checked(instrument: Instrument, answers: Mapping[str, int | None]) -> dict[str, int]:
    items = {item.id: item for item in instrument.items}
    given: dict[str, int] = {}
    for key, value in answers.items():
        if key not in items:
            raise ValueError(
                _("%(instrument)s has no item %(item)r")
                % {"instrument": instrument.short_name, "item": key}
            )
        if value is None:
            continue
        values = {option.value for option in instrument.options_of(items[key])}
        if value not in values:
            allowed = ", ".join(str(v) for v in sorted(values))
            raise ValueError(
                _("%(instrument)s %(item)s: %(value)s is not one of %(allowed)s")
                % {
                    "instrument": instrument.short_name,
                    "item": key,
                    "value": value,
                    "allowed": allowed,
                }
            )
        given[key] = value
    return given


def _flags(instrument: Instrument, given: Mapping[str, int]) -> tuple[RedFlagRule, ...]:
    """The flags that are raised. Of several for one item only the gravest stands."""
    raised: dict[str, RedFlagRule] = {}
    for rule in instrument.red_flags:
        if rule.item in given and given[rule.item] >= rule.at_least:
            graver = raised.get(rule.item)
            if graver is None or rule.at_least > graver.at_least:
                raised[rule.item] = rule
    return tuple(raised.values())


def _concluded(
    instrument: Instrument,
    total: int | float,
    flags: tuple[RedFlagRule, ...],
    clusters_met: bool | None,
) -> Score:
    return Score(
        total=total,
        band=next((b.label for b in instrument.bands if b.low <= total <= b.high), None),
        unanswered=(),
        red_flags=flags,
        cut_offs=tuple(cut for cut in instrument.cut_offs if total >= cut.at_least),
        clusters_met=clusters_met,
    )


def _means(
    instrument: Instrument,
    given: Mapping[str, int],
    unanswered: tuple[str, ...],
    flags: tuple[RedFlagRule, ...],
) -> Score:
    """Each subscale's mean, over the answers there are where the rule allows some to lack."""
    means: dict[str, float] = {}
    left_out: list[str] = []
    for scale in instrument.subscales:
        answers = [given[name] for name in scale.items if name in given]
        if len(answers) >= (scale.needs or len(scale.items)):
            means[scale.id] = sum(answers) / len(answers)
            left_out += [name for name in scale.items if name not in given]
    if len(means) < len(instrument.subscales):
        return Score(None, None, unanswered, flags)
    return Score(None, None, (), flags, subscores=means, left_out=tuple(left_out))


def _total(instrument: Instrument, points: Mapping[str, int]) -> int | float:
    if instrument.scoring == "highest of groups":
        return sum(max(points[name] for name in group) for group in instrument.groups)
    total = sum(points.values())
    return total / len(points) if instrument.scoring == "mean" else total


def _clusters_met(instrument: Instrument, given: Mapping[str, int]) -> bool | None:
    if not instrument.clusters:
        return None
    return all(
        sum(given[name] >= cluster.item_at_least for name in cluster.items) >= cluster.needed
        for cluster in instrument.clusters
    )


def is_off_window(instrument: Instrument, *, after_hours: float) -> bool:
    """Whether the questions look back past the session that they follow by so many hours.

    The PHQ-9 asks about two weeks; a day after a session most of them lie before it. An instrument
    whose window is not established is never called off-window by this rule.
    """
    return instrument.recall_days is not None and instrument.recall_days * 24 > after_hours


def has_responded(instrument: Instrument, *, baseline: float, total: float) -> bool:
    """Whether the fall from a baseline above zero counts as a response.

    Raises:
        ValueError: the instrument has no published rule of response.
    """
    if instrument.response is None:
        raise ValueError(f"{instrument.short_name} has no rule of response")
    return _fall_percent(baseline, total) >= instrument.response.fall_percent


def is_remission(instrument: Instrument, total: float) -> bool:
    """Whether a total counts as remission.

    Raises:
        ValueError: the instrument has no published rule of remission.
    """
    if instrument.remission is None:
        raise ValueError(f"{instrument.short_name} has no rule of remission")
    return total < instrument.remission.below


def is_important_change(instrument: Instrument, *, baseline: float, total: float) -> bool:
    """Whether a fall reaches the smallest change that matters.

    Raises:
        ValueError: the instrument has no such rule.
    """
    change = instrument.important_change
    if change is None:
        raise ValueError(f"{instrument.short_name} has no rule of important change")
    if change.points is not None:
        return round(baseline - total, 6) >= change.points
    assert change.percent is not None
    return _fall_percent(baseline, total) >= change.percent


def _fall_percent(baseline: float, total: float) -> float:
    """Rounded, so that a mean of thirds does not miss a limit by its last binary digit."""
    return round(100 * (baseline - total) / baseline, 6) if baseline > 0 else 0.0
