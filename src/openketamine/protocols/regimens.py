"""Plans: is a dose within policy, what is it in mg and mL, and on which days."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

from .schema import Limit, Regimen


@dataclass(frozen=True)
class PlanFinding:
    """A quantity of a plan outside the clinic's policy."""

    limit: Limit
    value: float

    @property
    def message(self) -> str:
        limit = self.limit
        return (
            f"{limit.label} {self.value:g} {limit.unit} is outside the clinic's policy of "
            f"{limit.minimum:g} to {limit.maximum:g} {limit.unit} ({limit.id})."
        )


def check_plan(regimen: Regimen, quantities: Mapping[str, float]) -> list[PlanFinding]:
    """The quantities that lie outside the regimen's limits."""
    return [
        PlanFinding(limit, quantities[limit.quantity])
        for limit in regimen.limits
        if not limit.minimum <= quantities[limit.quantity] <= limit.maximum
    ]


@dataclass(frozen=True)
class DoseArithmetic:
    """A dose by weight with every step shown.

    Reckoned in decimals as one does by hand, and a half is rounded up: doses to 0.1 mg, volumes to
    0.01 mL, rates to 0.1. Volume and rates follow from the rounded dose, so that what is shown
    multiplies out.
    """

    dose_mg_per_kg: float
    weight_kg: float
    concentration_mg_per_ml: float
    duration_min: float
    dose_mg: float
    volume_ml: float
    rate_mg_per_h: float
    rate_ml_per_h: float

    @property
    def steps(self) -> list[str]:
        """The sum as one works it by hand, a line each, with what was rounded."""
        dose, strength = _exact(self.dose_mg), _exact(self.concentration_mg_per_ml)
        minutes = _exact(self.duration_min)
        by_weight = _exact(self.dose_mg_per_kg) * _exact(self.weight_kg)
        lines = (
            (
                f"{self.dose_mg_per_kg:g} mg/kg × {self.weight_kg:g} kg",
                by_weight,
                self.dose_mg,
                "mg",
            ),
            (
                f"{dose:f} mg ÷ {self.concentration_mg_per_ml:g} mg/mL",
                dose / strength,
                self.volume_ml,
                "mL",
            ),
            (
                f"{dose:f} mg ÷ {self.duration_min:g} min × 60",
                dose * 60 / minutes,
                self.rate_mg_per_h,
                "mg/h",
            ),
            (
                f"{dose:f} mg ÷ {self.concentration_mg_per_ml:g} mg/mL ÷ {self.duration_min:g} min"
                f" × 60",
                dose * 60 / (strength * minutes),
                self.rate_ml_per_h,
                "mL/h",
            ),
        )
        return [f"{sum_} = {_worked(exact, shown, unit)}" for sum_, exact, shown, unit in lines]


def dose_arithmetic(
    *,
    dose_mg_per_kg: float,
    weight_kg: float,
    concentration_mg_per_ml: float,
    duration_min: float,
) -> DoseArithmetic:
    """Work a dose out.

    Raises:
        ValueError: a quantity is not above zero.
    """
    for name, value in (
        ("dose", dose_mg_per_kg),
        ("weight", weight_kg),
        ("concentration", concentration_mg_per_ml),
        ("duration", duration_min),
    ):
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"the {name} must be above zero, not {value:g}")
    dose = _rounded(_exact(dose_mg_per_kg) * _exact(weight_kg), "0.1")
    concentration, duration = _exact(concentration_mg_per_ml), _exact(duration_min)
    return DoseArithmetic(
        dose_mg_per_kg=dose_mg_per_kg,
        weight_kg=weight_kg,
        concentration_mg_per_ml=concentration_mg_per_ml,
        duration_min=duration_min,
        dose_mg=float(dose),
        volume_ml=float(_rounded(dose / concentration, "0.01")),
        rate_mg_per_h=float(_rounded(dose * 60 / duration, "0.1")),
        rate_ml_per_h=float(_rounded(dose * 60 / (concentration * duration), "0.1")),
    )


def _exact(value: float) -> Decimal:
    """The number as written: 80.3, not the nearest binary fraction."""
    return Decimal(str(value))


def _worked(exact: Decimal, rounded: float, unit: str) -> str:
    """A result, and what it was before it was rounded."""
    if exact == _exact(rounded):
        return f"{rounded:g} {unit}"
    return f"{_rounded(exact, '0.001').normalize():f}, rounded {rounded:g} {unit}"


def _rounded(value: Decimal, step: str) -> Decimal:
    return value.quantize(Decimal(step), rounding=ROUND_HALF_UP)


def schedule(regimen: Regimen, *, first_on: date, sessions: int) -> list[date]:
    """Proposed days of a course: two or three a week, never at a weekend, spread over its span.

    Sessions keep at least the whole days apart that the regimen's shortest course gives, so none
    fall on consecutive days; a weekend pushes a session to the next working day.
    """
    gap = regimen.course.shortest_days / regimen.course.sessions
    days: list[date] = []
    for number in range(sessions):
        day = first_on + timedelta(days=round(number * gap))
        if days:
            day = max(day, days[-1] + timedelta(days=int(gap)))
        while day.weekday() >= 5:
            day += timedelta(days=1)
        days.append(day)
    return days
