"""The forecast of a session: plausible versions of this person, weighed by every reading.

    forecast = Forecast.start(model, person, baseline, planned_doses, seed=1)
    forecast.update(doses, readings)                             # given, and still planned
    forecast.quantiles().quantities["systolic_mmhg"].values      # (q, t)
    forecast.milestones()["ready_to_go_home"].median_min
    forecast.probability_above("systolic_mmhg", 180, within_min=10)
    carried = forecast.carry_over()                              # JSON, for the next session

A forecast is a pure function of what it was started with, of the doses and of the readings: give
it the whole of both each time. What it has seen already is not worked out again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from openketamine.pharmacology import forecast_kernels as kernels
from openketamine.pharmacology.dosing import Dose, RateSegment
from openketamine.pharmacology.effects import (
    SIGNALS,
    SYMPTOMS,
    load_effects,
    symptom_probability,
)
from openketamine.pharmacology.ensemble import SCORES, Ensemble, Reading, interval_of
from openketamine.pharmacology.models import Model
from openketamine.pharmacology.people import Person, person_warnings
from openketamine.words import _

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Singles = npt.NDArray[np.float32]

#: Quantiles given by default: the median, and the limits of the 50 % and 90 % intervals.
PROBABILITIES = (0.05, 0.25, 0.5, 0.75, 0.95)
_UNITS = {"systolic_mmhg": "mmHg", "diastolic_mmhg": "mmHg", "heart_rate_bpm": "/min"}
_STEP_MIN = 5.0
# Of the peak of the effect site, gone when it is wearing off.
_WORN_OFF = 0.25
# Rows of standard normals drawn at a time.
_NORMALS = 64
# Sets of times whose curves are kept sorted.
_SHEETS = 4
#: How far ahead a forecast can look.
LONGEST_MIN = 10_080.0


@dataclass(frozen=True, slots=True)
class Quantity:
    """Quantiles of one quantity over time.

    Attributes:
        unit: ng/mL, mmHg, /min, or probability.
        values: shape (q, t), a row for each probability of the `Curves`.
        mean: shape (t,). Of a probability this is the forecast itself; its quantiles say how much
            it differs among plausible versions of the person.
    """

    unit: str
    values: Array
    mean: Array


@dataclass(frozen=True, slots=True)
class Curves:
    """Every quantity of a forecast.

    Attributes:
        times_min: shape (t,).
        probabilities: of the rows of each quantity's values.
        quantities: each analyte by its name in the model (ng/mL in plasma), effect_site
            (ng/mL of S-ketamine), systolic_mmhg, diastolic_mmhg, heart_rate_bpm,
            p_dissociation, p_strong_dissociation, p_sedation, p_nausea, and p_clear (neither
            dissociation nor sedation).
    """

    times_min: Array
    probabilities: tuple[float, ...]
    quantities: dict[str, Quantity]


@dataclass(frozen=True, slots=True)
class Milestone:
    """When something happens, in minutes from the start of the session.

    Attributes:
        probability: that it happens within the forecast at all.
        median_min, low_min, high_min: given that it happens; None where it hardly ever does.
    """

    probability: float
    median_min: float | None
    low_min: float | None
    high_min: float | None


@dataclass(frozen=True, slots=True)
class Peak:
    """The highest true level of a vital sign from now on, and when; looked at every 5 min."""

    median: float
    low: float
    high: float
    median_min: float
    low_min: float
    high_min: float


@dataclass(frozen=True, slots=True)
class Judged:
    """A reading as the forecast took it: the probability that it is an artefact (vital signs)."""

    reading: Reading
    artefact: float


@dataclass(frozen=True, slots=True)
class _Sheet:
    """Curves of the versions at the times asked for, sorted where they are not to be worked out
    from the Gaussians: name, unit, values (t, n) in order, and whose they are."""

    times: Array
    shape: Singles
    ranked: tuple[tuple[str, str, Singles, npt.NDArray[np.uint16]], ...]


class Forecast:
    """A session's forecast for one person. Begin with `Forecast.start`.

    Attributes:
        cautions: gives what a reader has to know, in words; in the reader's language when it is
            called, and without holding on to the forecast.
        now_min: the time of the forecast.
    """

    def __init__(self, ensemble: Ensemble, baseline: tuple[Reading, ...], horizon_min: float):
        self.cautions: Callable[[], tuple[str, ...]] = tuple
        self.now_min = 0.0
        self._ensemble = ensemble
        self._baseline = baseline
        self._asked = horizon_min
        self._horizon = horizon_min
        self._started = False
        self._weights: Array | None = None
        self._curves_made: dict[bytes, _Sheet] = {}
        self._marks: Rows | None = None
        self._for_versions: object = None
        self._noise: dict[int, Singles] = {}
        self._error: dict[int, Singles] = {}

    @classmethod
    def start(
        cls,
        model: Model,
        person: Person,
        baseline: Mapping[str, float | None],
        planned_doses: Sequence[Dose | RateSegment],
        *,
        seed: int = 1,
        n: int = 4096,
        carried: Mapping[str, Any] | None = None,
        horizon_min: float = 240.0,
    ) -> Forecast:
        """A forecast before the first dose.

        Args:
            baseline: the vital signs before the dose, such as {"systolic_mmhg": 128}; one that is
                missing or None widens the forecast. Leave out those given as readings.
            planned_doses: what is to be given, minutes from the session's start; at least one,
                of routes that the model covers.
            n: plausible versions of the person, 64 to 65535.
            carried: what `carry_over` returned after an earlier session.
            horizon_min: how far ahead to look, at most a week; grows with doses and readings.

        Raises:
            ValueError: no dose, a route the model lacks, an impossible baseline, or `carried` is
                not what `carry_over` returned.
        """
        if not 64 <= n <= 65_535:
            raise ValueError(f"Ask for 64 to 65535 versions of the person, not {n}.")
        if not (math.isfinite(horizon_min) and 1 <= horizon_min <= LONGEST_MIN):
            raise ValueError(f"The horizon of a forecast is from 1 to {LONGEST_MIN:g} minutes.")
        _check(model, planned_doses)
        unknown = sorted(set(baseline) - set(SIGNALS))
        if unknown:
            raise ValueError(f"Unknown baseline '{unknown[0]}'. Use: {', '.join(SIGNALS)}.")
        route = planned_doses[0].route
        before = min(min(_begin(dose) for dose in planned_doses), 0.0) - 5.0
        known = []
        for name in SIGNALS:
            value = baseline.get(name)
            if value is not None:
                if not (math.isfinite(value) and 20 <= value <= 320):
                    raise ValueError(
                        f"A baseline {name} of {value:g} is not possible. Enter 20 to 320, or "
                        "leave it out if it is not known."
                    )
                known.append(Reading(before, name, float(value)))
        effects = load_effects()
        ensemble = Ensemble(model, person, route, effects, n, seed, carried)
        self = cls(ensemble, tuple(known), float(horizon_min))
        missing = tuple(name for name in SIGNALS if baseline.get(name) is None)
        self.cautions = partial(_cautions, model, person, route, missing)
        return self.update(planned_doses, ())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader has to know, in words."""
        return self.cautions()

    def update(
        self,
        doses: Sequence[Dose | RateSegment],
        readings: Iterable[Reading],
        *,
        now_min: float | None = None,
    ) -> Forecast:
        """Take in what has been given (and is still planned), and every reading so far.

        Args:
            doses: the whole history with what is still planned; a pump that was paused is two
                `RateSegment` with a gap. It may differ from the last as often as the pump does.
            readings: all so far, in any order; of one quantity, the first in each minute counts.
            now_min: the time now; by default that of the last reading.

        Returns:
            this forecast, updated.

        Raises:
            ValueError: an unknown quantity or route; then nothing has changed.
        """
        ensemble = self._ensemble
        items = self._in_order(readings)
        _check(ensemble.model, doses)
        latest = items[-1].time_min if items else 0.0
        horizon = self._reach(doses, latest)
        taken = len(ensemble.taken)
        if (
            not self._started
            or tuple(doses) != ensemble.doses
            or horizon != self._horizon
            or list(items[:taken]) != ensemble.taken
        ):
            self._horizon = horizon
            ensemble.begin(doses, horizon)
            self._started, taken = True, 0
        for item in items[taken:]:
            ensemble.take_in(item)
        self.now_min = max(latest, 0.0) if now_min is None else float(now_min)
        self._weights = ensemble.weights()
        if self._for_versions is not ensemble.state.versions:
            self._for_versions = ensemble.state.versions
            self._curves_made.clear()
            self._marks = None
        return self

    # --- what it says ---

    def quantiles(
        self,
        times_min: npt.ArrayLike | None = None,
        *,
        probabilities: Sequence[float] = PROBABILITIES,
        of_readings: bool = True,
    ) -> Curves:
        """Quantiles of every quantity.

        Args:
            times_min: shape (t,), within the forecast; every 5 min by default.
            probabilities: rising, between 0 and 1.
            of_readings: vital signs as a cuff would show them, with its error; otherwise the true
                level.
        """
        wanted = np.asarray(probabilities, dtype=np.float64)
        if not ((wanted > 0) & (wanted < 1)).all() or (np.diff(wanted) <= 0).any():
            raise ValueError("Probabilities must rise, from above 0 to below 1.")
        sheet = self._sheet(times_min)
        weight = self._weight.astype(np.float32)
        size = (len(wanted), len(sheet.times))
        found: dict[str, Quantity] = {}
        for name, unit, ranked, order in sheet.ranked:
            rows, mean = np.empty(size), np.empty(size[1])
            kernels.sorted_quantiles(ranked, order, weight, wanted, rows, mean)
            found[name] = Quantity(unit, rows, mean)
        vital = self._ensemble.signals
        state_at = self._ensemble.state.time_min or 0.0
        phi = np.exp(-np.abs(sheet.times - state_at) / vital.wandering_min)
        for k, name in enumerate(SIGNALS):
            rows, mean = np.empty(size), np.empty(size[1])
            kernels.signal_quantiles(
                self._moments(k),
                sheet.shape,
                phi,
                float(self._ensemble.wandering_var[k]),
                self._errors(k, of_readings),
                self._normals(k, 1)[0],
                weight,
                wanted,
                rows,
                mean,
            )
            found[name] = Quantity(_UNITS[name], rows, mean)
        names = (*self._ensemble.model.analytes, "effect_site", *SIGNALS, *_chances())
        return Curves(
            sheet.times, tuple(float(p) for p in wanted), {name: found[name] for name in names}
        )

    def rises(
        self,
        times_min: npt.ArrayLike | None = None,
        *,
        probabilities: Sequence[float] = PROBABILITIES,
    ) -> dict[str, Quantity]:
        """How far the drug raises each vital sign: the part of it that follows the effect site."""
        sheet = self._sheet(times_min)
        found = {}
        for k, name in enumerate(SIGNALS):
            moments = self._moments(k)
            gain = moments[2] + np.sqrt(np.maximum(moments[5], 0)) * self._normals(k, 3)[2]
            rise = sheet.shape * gain
            order = np.argsort(rise, axis=1)
            reached = np.cumsum(self._weight[order], axis=1)
            rows = np.empty((len(probabilities), len(sheet.times)))
            for q, probability in enumerate(probabilities):
                at = (reached < probability * reached[:, -1:]).sum(axis=1).clip(0, len(gain) - 1)
                column = np.take_along_axis(order, at[:, None], axis=1)
                rows[q] = np.take_along_axis(rise, column, axis=1)[:, 0]
            found[name] = Quantity(_UNITS[name], rows, rise @ self._weight)
        return found

    def milestones(
        self, *, interval: float = 0.9, earliest_home_min: float = 0.0
    ) -> dict[str, Milestone]:
        """When to expect onset, peak, wearing_off, recovered and ready_to_go_home.

        onset: the effect is first felt; peak: of the effect site; wearing_off: a quarter of that
        peak is gone; recovered: wearing off, and below the thresholds of dissociation and sedation
        for good, all doses given; ready_to_go_home: recovered, and pressure back near its resting
        level for good, and not before `earliest_home_min`. A forecast: a person releases.

        Args:
            interval: width of the interval; 0.9 for 5 to 95 %.
            earliest_home_min: the clinic's own minimum.
        """
        ensemble = self._ensemble
        grid = ensemble.grid_min
        last = len(grid)
        ahead = np.append(grid, grid[-1])
        marks = self._landmarks()
        settled = np.zeros(ensemble.n, dtype=np.int64)
        rows = np.empty(ensemble.n, dtype=np.int64)
        share = ensemble.effects["going home"].value("pressure_share")
        for k in range(2):
            kernels.settles(
                self._moments(k), ensemble.state.versions.shape, self._normals(k, 3), share, rows
            )
            settled = np.maximum(settled, rows)
        given = max(_finish(dose) for dose in ensemble.doses)
        recovered = np.maximum(np.maximum(ahead[marks[3]], ahead[marks[2]]), given)
        home = np.maximum(np.maximum(recovered, ahead[settled]), earliest_home_min)
        happens = {
            "onset": (ahead[marks[0]], marks[0] >= 0),
            "peak": (ahead[marks[1]], np.ones(ensemble.n, dtype=bool)),
            "wearing_off": (ahead[marks[2]], marks[2] < last),
            "recovered": (recovered, marks[2:].max(axis=0) < last),
            "ready_to_go_home": (home, np.maximum(marks[2:].max(axis=0), settled) < last),
        }
        return {
            name: _milestone(times, known, self._weight, interval)
            for name, (times, known) in happens.items()
        }

    def peaks(self, *, interval: float = 0.9) -> dict[str, Peak]:
        """The highest systolic and diastolic pressure and heart rate from now on."""
        start = max(self.now_min, 0.0)
        times = np.arange(start, self._horizon + 1e-9, _STEP_MIN)
        found = {}
        for k, name in enumerate(SIGNALS):
            highest, when = self._paths(k, times)
            low, middle, high = interval_of(highest, self._weight, interval)
            low_min, middle_min, high_min = interval_of(times[when], self._weight, interval)
            found[name] = Peak(middle, low, high, middle_min, low_min, high_min)
        return found

    def chances(self) -> dict[str, float]:
        """Probability of each symptom at any time of the session, by the names of `SYMPTOMS`."""
        ensemble = self._ensemble
        versions = ensemble.state.versions
        highest = versions.site.max(axis=0).astype(np.float64) * ensemble.model.s_fraction
        return {
            symptom: float(
                self._weight
                @ symptom_probability(
                    highest, versions.thresholds[row], float(ensemble.moment_sd[row])
                )
            )
            for row, symptom in enumerate(SYMPTOMS)
        }

    def peak_concentrations(self) -> Array:
        """Highest plasma concentration of the drug itself in each version, ng/mL, shape (n,)."""
        highest: Array = self._ensemble.state.versions.plasma[0].max(axis=0).astype(np.float64)
        return highest

    def probability_above(self, quantity: str, limit: float, *, within_min: float = 10.0) -> float:
        """Probability that the true level of a vital sign passes a limit between now and then.

        Args:
            quantity: systolic_mmhg, diastolic_mmhg or heart_rate_bpm.
            limit: in its unit.
            within_min: how far ahead, minute by minute.
        """
        if quantity not in SIGNALS:
            raise ValueError(f"Unknown vital sign '{quantity}'. Use one of: {', '.join(SIGNALS)}.")
        if not within_min > 0:
            raise ValueError("Look ahead by more than 0 minutes.")
        end = max(min(self.now_min + within_min, self._horizon), self.now_min)
        times = np.arange(self.now_min, end + 1e-9, 1.0)
        highest, _ = self._paths(SIGNALS.index(quantity), times)
        return float(self._weight @ (highest > limit))

    def carry_over(self) -> dict[str, Any]:
        """What this session taught of the person, for `Forecast.start` of the next.

        Mean and covariance of the person's own random effects (kinetics, thresholds) and of the
        usual resting level and gain of each vital sign, as JSON. What belongs to the day is left
        out. Where the next session uses another model, effects are taken over and kinetics are not.
        """
        return self._ensemble.summary()

    @property
    def judged(self) -> tuple[Judged, ...]:
        """Every reading that was used, in order of time, baseline first."""
        pairs = zip(self._ensemble.taken, self._ensemble.artefact, strict=True)
        return tuple(Judged(reading, artefact) for reading, artefact in pairs)

    @property
    def weights(self) -> Array:
        """Weight of each version, together 1, shape (n,)."""
        return self._weight.copy()

    @property
    def effective_people(self) -> float:
        """How many versions carry the weight: 1 / sum of squared weights."""
        return float(1.0 / (self._weight @ self._weight))

    @property
    def sessions_learned_from(self) -> int:
        """Earlier sessions in what was carried over."""
        return self._ensemble.prior.sessions

    # --- how ---

    @property
    def _weight(self) -> Array:
        assert self._weights is not None
        return self._weights

    def _in_order(self, readings: Iterable[Reading]) -> tuple[Reading, ...]:
        known = (*SIGNALS, *SCORES, *self._ensemble.model.analytes)
        first: dict[tuple[str, int], Reading] = {}
        for reading in readings:
            if reading.quantity not in known:
                raise ValueError(
                    f"Unknown quantity '{reading.quantity}'. Use one of: {', '.join(known)}."
                )
            if not math.isfinite(reading.time_min):
                raise ValueError("The time of a reading must be a number of minutes.")
            if reading.value is None or not math.isfinite(reading.value):
                continue
            # A monitor that repeats itself every few seconds says nothing new.
            key = (reading.quantity, math.floor(reading.time_min))
            if key not in first or reading.time_min < first[key].time_min:
                first[key] = reading
        everything = [*self._baseline, *first.values()]
        return tuple(sorted(everything, key=lambda r: (r.time_min, known.index(r.quantity))))

    def _reach(self, doses: Sequence[Dose | RateSegment], latest_min: float) -> float:
        """How far to look: as was asked, past the doses and past the readings, in whole hours."""
        if latest_min > LONGEST_MIN - 90:
            raise ValueError(
                f"A reading at {latest_min:g} min is beyond what a forecast covers. Give times in "
                "minutes from the start of the session."
            )
        past = max(latest_min + 30, min(max(_finish(d) for d in doses) + 180, LONGEST_MIN - 60))
        return self._asked + 60 * max(math.ceil((past - self._asked) / 60), 0)

    def _sheet(self, times_min: npt.ArrayLike | None) -> _Sheet:
        ensemble = self._ensemble
        if times_min is None:
            times = np.arange(0.0, self._horizon + 1e-9, _STEP_MIN)
        else:
            times = np.array(times_min, dtype=np.float64)
        if times.ndim != 1 or not np.isfinite(times).all():
            raise ValueError("Times must be a row of numbers, in minutes.")
        if times.size and times.max() > ensemble.grid_min[-1]:
            raise ValueError(
                f"This forecast reaches to {ensemble.grid_min[-1]:g} min; start it with a longer "
                "horizon_min."
            )
        key = times.tobytes()
        if key not in self._curves_made:
            if len(self._curves_made) >= _SHEETS:
                self._curves_made.clear()
            self._curves_made[key] = self._made(times)
        return self._curves_made[key]

    def _made(self, times: Array) -> _Sheet:
        ensemble = self._ensemble
        versions = ensemble.state.versions
        site = self._at(versions.site, times) * np.float32(ensemble.model.s_fraction)
        chances = {}
        for row, symptom in enumerate(SYMPTOMS):
            chance = symptom_probability(
                site.astype(np.float64), versions.thresholds[row], float(ensemble.moment_sd[row])
            )
            # Less than one in a million is none: such rows need not be ranked.
            chances[_chance(symptom)] = np.where(chance < 1e-6, 0.0, chance)
        clear = (1 - chances["p_dissociation"]) * (1 - chances["p_sedation"])
        curves: list[tuple[str, str, Singles]] = [
            (name, "ng/mL", self._at(curve, times))
            for name, curve in zip(ensemble.model.analytes, versions.plasma, strict=True)
        ]
        curves.append(("effect_site", "ng/mL", site))
        curves += [(n, "probability", v.astype(np.float32)) for n, v in chances.items()]
        curves.append(("p_clear", "probability", np.maximum(clear, 0).astype(np.float32)))
        ranked = []
        for name, unit, values in curves:
            order = np.empty(values.shape, dtype=np.uint16)
            sorted_values = np.empty_like(values)
            kernels.sort_rows(values, order, sorted_values)
            ranked.append((name, unit, sorted_values, order))
        return _Sheet(times, self._at(versions.shape, times), tuple(ranked))

    def _at(self, curve: Singles, times: Array) -> Singles:
        rows = np.empty((len(times), curve.shape[1]), dtype=np.float32)
        for row, time in enumerate(times):
            rows[row] = self._ensemble.at(curve, float(time))
        return rows

    def _moments(self, signal: int) -> Singles:
        state = self._ensemble.state
        moments = np.empty((kernels.STATES, self._ensemble.n), dtype=np.float32)
        kernels.signal_moments(state.mean, state.cov, signal, moments)
        return moments

    def _normals(self, signal: int, rows: int) -> Singles:
        """Standard normals of the versions for one vital sign, the same at every update."""
        held = self._noise.get(signal)
        if held is None or len(held) < rows:
            rng = np.random.default_rng([self._ensemble.seed, 2, signal])
            # More rows begin with the same ones.
            size = (_NORMALS * math.ceil(rows / _NORMALS), self._ensemble.n)
            held = self._noise[signal] = rng.standard_normal(size, dtype=np.float32)
        return held[:rows]

    def _errors(self, signal: int, of_readings: bool) -> Singles:
        if not of_readings:
            return np.zeros(self._ensemble.n, dtype=np.float32)
        if signal not in self._error:
            rng = np.random.default_rng([self._ensemble.seed, 3, signal])
            chances = rng.random(self._ensemble.n, dtype=np.float32)
            self._error[signal] = self._ensemble.reading_var(signal, chances)
        return self._error[signal]

    def _paths(self, signal: int, times: Array) -> tuple[Array, Rows]:
        ensemble = self._ensemble
        vital = ensemble.signals
        since = 0.0 if ensemble.state.time_min is None else times[0] - ensemble.state.time_min
        highest = np.empty(ensemble.n)
        when = np.empty(ensemble.n, dtype=np.int64)
        kernels.paths(
            self._moments(signal),
            self._at(ensemble.state.versions.shape, times),
            np.diff(times, prepend=times[0] - max(since, 0.0)),
            vital.wandering_min,
            float(ensemble.wandering_var[signal]),
            self._normals(signal, 3),
            self._normals(signal, len(times) + 3)[3:],
            highest,
            when,
        )
        return highest, when

    def _landmarks(self) -> Rows:
        if self._marks is None:
            ensemble = self._ensemble
            versions = ensemble.state.versions
            dissociated, _, sedated, _ = versions.thresholds
            felt = ensemble.effects["going home"].value("onset_share") * dissociated
            site = versions.site * np.float32(ensemble.model.s_fraction)
            self._marks = np.empty((4, ensemble.n), dtype=np.int64)
            kernels.landmarks(
                site, felt, np.minimum(dissociated, sedated), 1 - _WORN_OFF, self._marks
            )
        return self._marks


def _chance(symptom: str) -> str:
    return f"p_{symptom.replace(' ', '_')}"


def _chances() -> tuple[str, ...]:
    return (*(_chance(symptom) for symptom in SYMPTOMS), "p_clear")


def _check(model: Model, doses: Sequence[Dose | RateSegment]) -> None:
    if not doses:
        raise ValueError("Say what is given: at least one dose.")
    for dose in doses:
        if dose.route not in model.routes_of_dose:
            raise ValueError(
                f"Model {model.id} has no route '{dose.route}'. It covers: "
                f"{', '.join(model.routes)}."
            )


def _cautions(
    model: Model, person: Person, route: str, missing: tuple[str, ...]
) -> tuple[str, ...]:
    found = (*model.warnings, *person_warnings(model, person, route), *load_effects().warnings)
    if not missing:
        return found
    names = ", ".join(_(name) for name in missing)
    return (
        *found,
        _("No baseline of %(names)s: what is usual in adults is used.") % {"names": names},
    )


def _begin(dose: Dose | RateSegment) -> float:
    return dose.start_min if isinstance(dose, RateSegment) else dose.time_min


def _finish(dose: Dose | RateSegment) -> float:
    if isinstance(dose, RateSegment):
        return dose.end_min
    return dose.time_min + dose.duration_min


def _milestone(
    times: Array, happens: npt.NDArray[np.bool_], weights: Array, interval: float
) -> Milestone:
    chance = float(weights @ happens)
    if chance < 0.01:
        return Milestone(chance, None, None, None)
    low, middle, high = interval_of(times[happens], weights[happens], interval)
    return Milestone(min(chance, 1.0), middle, low, high)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What to expect of a session besides concentrations in plasma.

    Attributes:
        quantities: name -> (unit, shape (quantiles, t)): effect site, vital signs and their rise,
            and probabilities.
        milestones, peaks, chances: of `Forecast`.
        warnings: of the effects alone.
    """

    quantities: dict[str, tuple[str, Array]]
    milestones: dict[str, Milestone]
    peaks: dict[str, Peak]
    chances: dict[str, float]
    warnings: tuple[str, ...]


def outlook(
    model: Model,
    person: Person,
    doses: Sequence[Dose | RateSegment],
    times_min: Array,
    *,
    baseline: Mapping[str, float | None],
    quantiles: Sequence[float],
    interval: float,
    people: int,
    seed: int,
) -> Outlook:
    """The effects of a session before it begins, for a report.

    Args:
        times_min: shape (t,), from 0 and up to `LONGEST_MIN`.
        quantiles: rising; the rows of each quantity.
        people: versions of the person; at least 64 and at most 8,192 are used.
    """
    forecast = Forecast.start(
        model,
        person,
        baseline,
        doses,
        seed=seed,
        n=min(max(people, 64), 8192),
        horizon_min=max(float(times_min[-1]), 240.0),
    )
    curves = forecast.quantiles(times_min, probabilities=quantiles).quantities
    rises = forecast.rises(times_min, probabilities=quantiles)
    quantities = {
        name: (found.unit, found.values)
        for name, found in curves.items()
        if name not in model.analytes
    }
    for name, found in rises.items():
        stem, unit = name.rsplit("_", 1)
        quantities[f"{stem}_rise_{unit}"] = (found.unit, found.values)
    plain = (*model.warnings, *person_warnings(model, person, doses[0].route))
    return Outlook(
        quantities,
        forecast.milestones(interval=interval),
        forecast.peaks(interval=interval),
        forecast.chances(),
        tuple(warning for warning in forecast.warnings if warning not in plain),
    )
