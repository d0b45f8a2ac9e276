"""Doses and rates of a session, and what a model makes of them: elementary inputs.

An elementary input puts an amount into one state, at once or at a constant rate. Every regimen
(bolus, infusion with changing rates and pauses, devices of a spray, a swallowed fraction, repeated
doses, steady state) is a list of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from openketamine.pharmacology.expressions import evaluate
from openketamine.pharmacology.models import ROUTES, Model, RouteOfDose
from openketamine.pharmacology.people import Parameters
from openketamine.words import _

Array = npt.NDArray[np.float64]

_INFUSED = ("iv", "sc")
# Well above what is ever given at once to an adult; beyond it a unit has been mistaken.
_MOST_MG = 3000.0
# What lasts less is taken as given at once: as a rate it would only cost digits.
_SHORTEST_MIN = 0.001
# Doses farther apart than this are of two sessions, and are numbered from 1 again.
_SESSION_MIN = 240.0
_MOST_MG_PER_H = 10_000.0


@dataclass(frozen=True, slots=True)
class Dose:
    """One dose: given at once, or evenly over a duration (iv and sc only).

    Args:
        time_min: when it starts, minutes from the start of the session; may be negative.
        dose_mg: amount, of the drug as labelled (base).
        route: iv, im, sc, nasal, sublingual or oral.
        duration_min: 0 for a dose given at once.
        every_min: for steady state: this dose has been given at this interval for ever before.
    """

    time_min: float
    dose_mg: float
    route: str
    duration_min: float = 0.0
    every_min: float | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.time_min):
            raise ValueError("The time of a dose must be a number of minutes.")
        if not (math.isfinite(self.dose_mg) and self.dose_mg > 0):
            raise ValueError(f"A dose must be above 0 mg, not {self.dose_mg:g}.")
        if self.dose_mg > _MOST_MG:
            raise ValueError(
                f"A dose of {self.dose_mg:g} mg is not possible here. Check its unit; the largest "
                f"is {_MOST_MG:g} mg."
            )
        if self.route not in ROUTES:
            raise ValueError(f"Unknown route '{self.route}'. Use one of: {', '.join(ROUTES)}.")
        if not (math.isfinite(self.duration_min) and self.duration_min >= 0):
            raise ValueError("The duration of a dose must be 0 minutes or more.")
        if self.duration_min > 0 and self.route not in _INFUSED:
            raise ValueError(
                f"Only iv and sc doses are given over a time; leave it out for {self.route}."
            )
        if self.every_min is not None and not (
            math.isfinite(self.every_min) and self.every_min > self.duration_min
        ):
            raise ValueError("Doses must be repeated at an interval longer than each one takes.")


@dataclass(frozen=True, slots=True)
class RateSegment:
    """An infusion at one rate from `start_min` to `end_min`; a pause is a gap between segments."""

    start_min: float
    end_min: float
    rate_mg_per_h: float
    route: str = "iv"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_min) and self.end_min > self.start_min):
            raise ValueError("A rate must end after it starts.")
        if not math.isfinite(self.end_min):
            raise ValueError("Give the time at which the rate ends, in minutes.")
        if not (math.isfinite(self.rate_mg_per_h) and self.rate_mg_per_h >= 0):
            raise ValueError(f"A rate must be 0 mg/h or more, not {self.rate_mg_per_h:g}.")
        if self.rate_mg_per_h > _MOST_MG_PER_H:
            raise ValueError(
                f"A rate of {self.rate_mg_per_h:g} mg/h is not possible here. Check its unit; the "
                f"largest is {_MOST_MG_PER_H:g} mg/h."
            )
        if self.route not in _INFUSED:
            raise ValueError(f"Only iv and sc doses are infused, not {self.route}.")


def repeat(dose: Dose, *, every_min: float, times: int) -> list[Dose]:
    """The same dose given several times.

    Raises:
        ValueError: the interval is not positive, or `times` is below 1.
    """
    if not every_min > 0 or times < 1:
        raise ValueError("Repeat a dose at least once, at an interval above 0 minutes.")
    return [replace(dose, time_min=dose.time_min + k * every_min) for k in range(times)]


@dataclass(frozen=True, slots=True)
class Inputs:
    """Elementary inputs of a regimen.

    Attributes:
        target: index of the state each enters, shape (e,).
        start_min, duration_min, amount_mg: shape (e, n) or (e, 1) when alike for everyone.
        every_min: interval of steady state, 0 for none, shape (e,).
    """

    target: npt.NDArray[np.int64]
    start_min: Array
    duration_min: Array
    amount_mg: Array
    every_min: Array


@dataclass(slots=True)
class _Collected:
    target: list[int] = field(default_factory=list)
    start: list[Array] = field(default_factory=list)
    duration: list[Array] = field(default_factory=list)
    amount: list[Array] = field(default_factory=list)
    every: list[float] = field(default_factory=list)


def _devices(dose: Dose, route: RouteOfDose) -> Iterable[tuple[float, float]]:
    """Minutes after the dose's start and mg of each part that counts as a dose of its own."""
    device_mg = route.device_mg
    if device_mg is None or dose.dose_mg <= device_mg * (1 + 1e-9):
        yield 0.0, dose.dose_mg
        return
    count = round(dose.dose_mg / device_mg)
    if abs(count * device_mg - dose.dose_mg) > 1e-6 * dose.dose_mg:
        whole = int(dose.dose_mg // device_mg)
        left = dose.dose_mg - whole * device_mg
        raise ValueError(
            f"{dose.dose_mg:g} mg is not a whole number of {device_mg:g} mg devices. Give each "
            f"device as a dose of its own: {whole} of {device_mg:g} mg and one of {left:g} mg."
        )
    for number in range(count):
        yield number * route.device_every_min, device_mg


def dose_warnings(model: Model, doses: Sequence[Dose | RateSegment]) -> tuple[str, ...]:
    """What the reader of a forecast has to know of how these doses were taken."""
    found = []
    for dose in doses:
        if isinstance(dose, RateSegment) or dose.route not in model.routes_of_dose:
            continue
        route = model.routes_of_dose[dose.route]
        parts = list(_devices(dose, route))
        if len(parts) > 1:
            found.append(
                _(
                    "%(dose)s mg is taken as %(count)s devices of %(device)s mg, %(every)s min "
                    "apart. For other times give each device as a dose of its own."
                )
                % {
                    "dose": f"{dose.dose_mg:g}",
                    "count": len(parts),
                    "device": f"{route.device_mg:g}",
                    "every": f"{route.device_every_min:g}",
                }
            )
    if "dose_mg" in model.studied:
        low, high = model.studied["dose_mg"]
        total_mg = total_dose_mg(doses)
        if not low <= total_mg <= high:
            found.append(
                _(
                    "%(dose)s mg is outside the doses studied (%(low)s to %(high)s mg); "
                    "the model is carried beyond its data."
                )
                % {"dose": f"{total_mg:.4g}", "low": f"{low:g}", "high": f"{high:g}"}
            )
    return tuple(found)


def elementary_inputs(
    model: Model, parameters: Parameters, doses: Sequence[Dose | RateSegment]
) -> Inputs:
    """What each dose puts where, and when, for each person.

    Raises:
        ValueError: the model has no such route.
    """
    states = model.all_states
    people = parameters.values.shape[0]
    named = parameters.named()
    unit = model.minutes_per_unit
    out = _Collected()
    number: dict[str, int] = {}
    last_min: dict[str, float] = {}
    for dose in sorted(doses, key=begins_min):
        if dose.route not in model.routes_of_dose:
            raise ValueError(
                f"Model {model.id} has no route '{dose.route}'. It covers: "
                f"{', '.join(model.routes)}."
            )
        route = model.routes_of_dose[dose.route]
        if isinstance(dose, RateSegment):
            if dose.rate_mg_per_h == 0:
                continue
            length = dose.end_min - dose.start_min
            parts = [(0.0, dose.rate_mg_per_h * length / 60.0)]
            start, duration, every = dose.start_min, length, 0.0
        else:
            parts = list(_devices(dose, route))
            start, duration, every = dose.time_min, dose.duration_min, dose.every_min or 0.0
        for after_min, amount_mg in parts:
            if start + after_min - last_min.get(dose.route, -np.inf) > _SESSION_MIN:
                number[dose.route] = 0
            last_min[dose.route] = start + after_min
            number[dose.route] += 1
            values = named | {"dose_mg": amount_mg, "dose_number": float(number[dose.route])}
            for path in route.paths:
                fraction = evaluate(path.fraction, values, people)
                begin = np.full(people, start + after_min)
                if path.lag is not None:
                    begin = begin + unit * evaluate(path.lag, values, people)
                if path.over is not None:
                    if duration > 0:
                        raise ValueError(
                            f"Model {model.id} takes a dose by {dose.route} at once, "
                            "not over a time."
                        )
                    over = unit * evaluate(path.over, values, people)
                else:
                    over = np.full(people, duration)
                out.target.append(states.index(model.entry(path)))
                out.start.append(begin)
                out.duration.append(np.where(over < _SHORTEST_MIN, 0.0, over))
                out.amount.append(fraction * amount_mg)
                out.every.append(every)
    shape = (len(out.target), people)
    return Inputs(
        target=np.array(out.target, dtype=np.int64),
        start_min=np.array(out.start, dtype=np.float64).reshape(shape),
        duration_min=np.array(out.duration, dtype=np.float64).reshape(shape),
        amount_mg=np.array(out.amount, dtype=np.float64).reshape(shape),
        every_min=np.array(out.every, dtype=np.float64),
    )


def begins_min(dose: Dose | RateSegment) -> float:
    """When a dose or rate starts, minutes from the start of the session."""
    return dose.start_min if isinstance(dose, RateSegment) else dose.time_min


def ends_min(dose: Dose | RateSegment) -> float:
    """When all of a dose or rate has been given, minutes from the start of the session."""
    return dose.end_min if isinstance(dose, RateSegment) else dose.time_min + dose.duration_min


def total_dose_mg(doses: Sequence[Dose | RateSegment]) -> float:
    """All that is given, in mg."""
    return sum(
        d.rate_mg_per_h * (d.end_min - d.start_min) / 60.0
        if isinstance(d, RateSegment)
        else d.dose_mg
        for d in doses
    )
