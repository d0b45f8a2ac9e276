"""Compiled kernels of effects: the effect site and the crossing of a threshold."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from openketamine.pharmacology.kernels import compiled

Array = npt.NDArray[np.float64]


@compiled
def site(
    plasma: Array,
    step: float,
    lag: float,
    lead: float,
    slow: float,
    ratio: float,
    pace: Array,
    out: Array,
) -> None:
    """Delay by `lag`, less `lead` of that delayed by `slow`; half-lives in minutes, times `pace`.

    Exact for plasma that is straight between grid points.
    """
    people, count = plasma.shape
    for i in range(people):
        a = math.log(2.0) / (lag * pace[i]) * step
        b = math.log(2.0) / (slow * pace[i]) * step
        # Response of a first-order delay over one step to a straight line from x0 to x1.
        ea = math.exp(-a)
        eb = math.exp(-b)
        a1 = 1.0 - (1.0 - ea) / a
        a0 = 1.0 - ea - a1
        b1 = 1.0 - (1.0 - eb) / b
        b0 = 1.0 - eb - b1
        d = 0.0
        v = 0.0
        before = 0.0
        for j in range(count):
            now = plasma[i, j]
            if j == 0:
                before = now
            delayed = ea * d + a0 * before + a1 * now
            v = eb * v + b0 * d + b1 * delayed
            d = delayed
            before = now
            out[i, j] = max(d - lead * v, 0.0) / ratio


@compiled
def exceeds(level: Array, threshold: Array, sd: float, out: Array) -> None:
    """Probability that a log-normal threshold is below each level; six sd off it is 0 or 1."""
    far = math.exp(6.0 * sd)
    for i in range(level.shape[0]):
        ratio = level[i] / threshold[i]
        if ratio * far <= 1.0:
            out[i] = 0.0
        elif ratio >= far:
            out[i] = 1.0
        else:
            out[i] = 0.5 * math.erfc(-math.log(ratio) / sd / math.sqrt(2.0))
