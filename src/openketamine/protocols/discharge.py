"""May the patient go home? Criteria in, an answer per criterion out; a person decides."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from openketamine.words import _

from .schema import DischargeCriterion, DischargeFile, DischargeScore


@dataclass(frozen=True)
class CriterionResult:
    """One criterion and how it stands. Unknown is not met."""

    criterion: DischargeCriterion
    state: Literal["met", "not met", "unknown"]
    value: Any

    @property
    def because(self) -> str:
        if self.state == "unknown":
            return _("not known yet")
        if isinstance(self.value, bool):
            return _("Yes").lower() if self.value else _("No").lower()
        return f"{self.value:.0f} {_(self.criterion.unit)}".strip()


@dataclass(frozen=True)
class DischargeAssessment:
    results: tuple[CriterionResult, ...]

    @property
    def ready(self) -> bool:
        return all(result.state == "met" for result in self.results)

    @property
    def open(self) -> tuple[CriterionResult, ...]:
        return tuple(result for result in self.results if result.state != "met")


def assess(protocol: DischargeFile, facts: Mapping[str, Any]) -> DischargeAssessment:
    """How every criterion stands on these facts; an absent or None fact is unknown."""
    return DischargeAssessment(
        tuple(_judge(criterion, facts.get(criterion.fact)) for criterion in protocol.criteria)
    )


def _judge(criterion: DischargeCriterion, value: Any) -> CriterionResult:
    if value is None:
        return CriterionResult(criterion, "unknown", None)
    met = (
        (criterion.must_be is None or value is criterion.must_be)
        and (criterion.at_least is None or value >= criterion.at_least)
        and (criterion.at_most is None or value <= criterion.at_most)
    )
    return CriterionResult(criterion, "met" if met else "not met", value)


def clocks(*, first_device_min: float, last_device_min: float, now_min: float) -> dict[str, float]:
    """Both clocks of a spray session, as facts: from the first device and from the last.

    The monitoring form asks for the first, the clinic's gate opens by the last. Neither releases
    anybody: other criteria stand beside them.

    Args:
        first_device_min, last_device_min, now_min: minutes on one and the same clock.

    Raises:
        ValueError: the times are not in order.
    """
    if not first_device_min <= last_device_min <= now_min:
        raise ValueError(
            f"the first device ({first_device_min:g}), the last ({last_device_min:g}) and now "
            f"({now_min:g} min) are not in order"
        )
    return {
        "minutes_since_first_device": now_min - first_device_min,
        "minutes_since_last_device": now_min - last_device_min,
    }


@dataclass(frozen=True)
class ScoreResult:
    """A score of fitness. Without every answer there is no total, and nobody is fit."""

    total: int | None
    fit: bool | None
    unanswered: tuple[str, ...]


def score(form: DischargeScore, points: Mapping[str, int | None]) -> ScoreResult:
    """The total of a score, and whether it reaches what the score asks for.

    Raises:
        ValueError: an item that the score does not have, or points that it does not give.
    """
    items = {item.id: item for item in form.items}
    if strangers := sorted(set(points) - set(items)):
        raise ValueError(f"{form.name} has no item {strangers[0]!r}")
    for name, given in points.items():
        allowed = [option.points for option in items[name].options]
        if given is not None and given not in allowed:
            raise ValueError(
                f"{form.name}, {items[name].label}: {given} is not one of "
                f"{', '.join(map(str, sorted(allowed)))}"
            )
    unanswered = tuple(name for name in items if points.get(name) is None)
    if unanswered:
        return ScoreResult(None, None, unanswered)
    total = sum(points[name] or 0 for name in items)
    return ScoreResult(total, total >= form.fit_at_least, ())


def points_for_change(form: DischargeScore, item_id: str, change_percent: float) -> int:
    """The points that a change from baseline earns, for items that are scored by one.

    Raises:
        KeyError: the score has no such item. ValueError: the item is not scored by a change.
    """
    item = next((item for item in form.items if item.id == item_id), None)
    if item is None:
        raise KeyError(f"{form.name} has no item {item_id!r}")
    options = sorted(item.options, key=lambda option: -option.points)
    if all(option.within_percent is None for option in options):
        raise ValueError(f"{item.label} is not scored by a change from baseline")
    for option in options:
        if option.within_percent is not None and abs(change_percent) <= option.within_percent:
            return option.points
    return options[-1].points
