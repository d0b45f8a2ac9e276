"""May the patient go home? Criteria in, an answer per criterion out; a person decides."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .schema import DischargeCriterion, DischargeFile


@dataclass(frozen=True)
class CriterionResult:
    """One criterion and how it stands. Unknown is not met."""

    criterion: DischargeCriterion
    state: Literal["met", "not met", "unknown"]
    value: Any

    @property
    def because(self) -> str:
        if self.state == "unknown":
            return "not known yet"
        if isinstance(self.value, bool):
            return "yes" if self.value else "no"
        return f"{self.value:.0f} {self.criterion.unit}".strip()


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
