"""How the bodies of the demonstration patients behave during an infusion.

A demonstration, not a model to learn from: one delay between dose and effect, scaled so that a
standard infusion ends at the rise which the cast drew for this person. The forecast on the screen
comes from `openketamine.pharmacology` and knows nothing of this file.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .cast import Character

DELAY_MIN = 25.0
STANDARD_MIN = 40.0


@dataclass(frozen=True)
class Vitals:
    systolic_mmhg: float
    diastolic_mmhg: float
    heart_rate_bpm: float
    spo2_percent: float


def effect(
    segments: Iterable[tuple[float, float, float]], time_min: float, planned_mg_per_h: float
) -> float:
    """The drug's effect at a time, 1.0 being the end of a standard 40-minute infusion.

    Args:
        segments: pump segments as (start_min, end_min, rate_mg_per_h), past ones only.
    """
    total = 0.0
    for start, end, rate in segments:
        if start < time_min:
            end = min(end, time_min)
            total += (rate / planned_mg_per_h) * (
                math.exp(-(time_min - end) / DELAY_MIN) - math.exp(-(time_min - start) / DELAY_MIN)
            )
    return total / (1 - math.exp(-STANDARD_MIN / DELAY_MIN))


def vitals(who: Character, effect: float, rng: np.random.Generator) -> Vitals:
    """What the monitor reads at this level of effect, with its noise."""
    systolic = who.systolic_mmhg + who.pressure_rise_mmhg * effect + rng.normal(0, 3)
    diastolic = who.diastolic_mmhg + 0.69 * who.pressure_rise_mmhg * effect + rng.normal(0, 2)
    return Vitals(
        systolic_mmhg=round(systolic),
        diastolic_mmhg=round(min(diastolic, systolic - 15)),
        heart_rate_bpm=round(who.heart_rate_bpm + 7 * effect + rng.normal(0, 2)),
        spo2_percent=round(min(100.0, 98.2 - 0.9 * effect + rng.normal(0, 0.6))),
    )


def dissociation_0_10(who: Character, effect: float, rng: np.random.Generator) -> int:
    """How far away the patient feels, 0 to 10."""
    depth = (who.number % 5 + 4) * effect**1.3
    return int(np.clip(round(depth + rng.normal(0, 0.6)), 0, 10))
