"""How long a visit takes by a route: what the regimen and the rules of leaving make of it.

It adds up what is written and guesses nothing else: check-in, talking and the way home come on top.
"""

from __future__ import annotations

from dataclasses import dataclass

from .library import Library
from .schema import Regimen

# Clocks of the rules of leaving that begin with the first of the drug; the others begin with its
# end.
_FROM_FIRST = frozenset({"minutes_since_first_device"})
_CLOCK = "minutes_since_"


@dataclass(frozen=True)
class Part:
    """One stretch of a visit, in minutes, with the statement that it comes from."""

    minutes: float
    statement: str
    source: str
    certainty: str
    authority: str


@dataclass(frozen=True)
class Visit:
    """A visit for one dose.

    Attributes:
        giving_min: over how long the drug is given; 0 for what is given at once.
        least_min: from the first of the drug to the earliest moment of leaving; None where no
            rule says when somebody may leave.
        parts: what it is made of.
        sessions: visits of the first phase of the regimen; None where it does not say.
    """

    giving_min: float
    least_min: float | None
    parts: tuple[Part, ...]
    sessions: int | None

    @property
    def total_min(self) -> float | None:
        """Of the whole first phase."""
        if self.least_min is None or self.sessions is None:
            return None
        return self.least_min * self.sessions

    @property
    def total_hours(self) -> float | None:
        """The same in hours."""
        return None if self.total_min is None else self.total_min / 60


def visit(library: Library, route: str, regimen: Regimen | None) -> Visit:
    """How long one dose by a route keeps a patient, by the protocols as they stand."""
    giving, parts = 0.0, []
    dose = regimen.dose if regimen else None
    if regimen and dose:
        if dose.duration_min:
            giving = dose.duration_min
        elif regimen.device:
            devices = (dose.amount or dose.lowest) / regimen.device.content_mg
            giving = max(devices - 1, 0) * regimen.device.rest_min
        if giving:
            parts.append(
                Part(
                    giving, regimen.statement, regimen.source, regimen.certainty, regimen.authority
                )
            )
    leaving = library.discharge.get(route)
    ends = []
    for rule in leaving.criteria if leaving else ():
        if rule.fact.startswith(_CLOCK) and rule.at_least is not None:
            ends.append(rule.at_least + (0.0 if rule.fact in _FROM_FIRST else giving))
            parts.append(
                Part(rule.at_least, rule.statement, rule.source, rule.certainty, rule.authority)
            )
    return Visit(giving, max(ends, default=None), tuple(parts), _sessions(library, regimen))


def _sessions(library: Library, regimen: Regimen | None) -> int | None:
    if regimen is None or not regimen.phases:
        return None
    first = regimen.phases[0]
    if first.sessions is not None:
        return first.sessions
    if first.first_week is None or first.last_week is None:
        return None
    rhythm = library.rhythms[first.rhythms[0]]
    days = 7 * (first.last_week - first.first_week + 1)
    return sum(
        1 for day in range(days) for on in rhythm.on_days if (day % rhythm.period_days) == on
    )
