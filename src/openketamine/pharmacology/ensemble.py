"""Plausible versions of one person, and how readings weigh them. The machinery of `forecast`.

Kinetics and thresholds differ between the versions, which are weighed by likelihood; resting
level, gain and wandering of each vital sign are a Gaussian of each version, updated in closed
form (a Rao-Blackwellised particle filter; Doucet et al. 2000, UAI, 176-183). Where the weights
degenerate, the versions are resampled systematically and moved by steps that leave their posterior
as it is (resample-move, Gilks and Berzuini 2001, JRSS B 63:127-146, with steps that leave the
prior as it is, Cotter et al. 2013, Stat Sci 28:424-446).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from openketamine.pharmacology import forecast_kernels as kernels
from openketamine.pharmacology.dosing import Dose, RateSegment
from openketamine.pharmacology.effects import (
    EFFECT_NORMALS,
    SIGNALS,
    SYMPTOMS,
    Effects,
    Signals,
    effect_site,
    members,
    moment_sd,
    rise_shape,
    signals,
    symptom_probability,
)
from openketamine.pharmacology.kinetics import Kinetics
from openketamine.pharmacology.models import Model
from openketamine.pharmacology.people import (
    Person,
    individual_parameters,
    random_effects,
)

Array = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

#: Scores that staff record and a forecast learns from.
SCORES = ("dissociation_0_10", "sedation_moaas", "nausea_0_10")

# What is usual in a person besides random effects; the last six numbers of each Gaussian.
_USUAL = (*(f"resting {name}" for name in SIGNALS), *(f"gain {name}" for name in SIGNALS))
_MOVES = 2
# How far a move goes: 0 stays, 1 draws anew from the prior.
_MOVE = 0.35
# Below this share of effective versions they are resampled.
_DEGENERATE = 0.3
# How much of what was learned is forgotten from one session to the next.
_FORGET = 0.1
# An assay that has nothing to do with the model's residual error.
_STRAY_ASSAY = (0.05, 6.0)
# Points of the grid, at most about so many.
_GRID_POINTS = 900
# Doses given longer ago than this count from then on.
_LOOK_BACK_MIN = 1440.0
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Reading:
    """Something measured or asked, at a time.

    Args:
        time_min: minutes from the start of the session; negative or 0 before the first dose.
        quantity: systolic_mmhg, diastolic_mmhg, heart_rate_bpm, dissociation_0_10,
            sedation_moaas, nausea_0_10, or an analyte of the model (ng/mL in plasma).
        value: None or not a number where the reading failed: a dropout, passed over.
    """

    time_min: float
    quantity: str
    value: float | None


@dataclass(frozen=True, slots=True)
class Prior:
    """What is believed of a person before a session.

    Attributes:
        names: of every column of the standard normals.
        lasting: columns that stay from day to day.
        mean, factor: of those learned before, shape (k,) and (k, k); `learned` are their columns.
        usual_mean, usual_slope, usual_cov: the person's resting levels and gains (rows as
            `_USUAL`) given those, shape (6,), (6, k), (6, 6).
        sessions: how many have been learned from.
    """

    names: tuple[str, ...]
    lasting: npt.NDArray[np.int64]
    learned: npt.NDArray[np.int64]
    mean: Array
    factor: Array
    usual_mean: Array
    usual_slope: Array
    usual_cov: Array
    sessions: int

    def spread(self, normals: Array) -> Array:
        """Random effects from independent standard normals, shape (n, columns)."""
        if not self.learned.size:
            return normals
        effects = normals.copy()
        effects[:, self.learned] = self.mean + normals[:, self.learned] @ self.factor.T
        return effects

    def usual(self, effects: Array) -> Array:
        """Mean of resting levels and gains given the other random effects, shape (6, n)."""
        off = effects[:, self.learned] - self.mean
        result: Array = self.usual_mean[:, None] + self.usual_slope @ off.T
        return result


def prior_of(model: Model, effects: Effects, carried: Mapping[str, Any] | None) -> Prior:
    """The population's prior, or one that an earlier session of this person has narrowed.

    Raises:
        ValueError: `carried` is not what `Forecast.carry_over` returns.
    """
    own = random_effects(model)
    named = [(e.name, e.level) for e in own] + [(f"effects/{n}", lv) for n, lv in EFFECT_NORMALS]
    names = tuple(name for name, _ in named)
    lasting = np.array([i for i, (_, level) in enumerate(named) if level != "occasion"], np.int64)
    vital = signals(effects)
    usual_cov = _both(vital.resting_person_cov, vital.gain_person_cov)
    plain = Prior(
        names=names,
        lasting=lasting,
        learned=np.empty(0, np.int64),
        mean=np.empty(0),
        factor=np.empty((0, 0)),
        usual_mean=np.concatenate([vital.resting_mean, vital.gain_mean]),
        usual_slope=np.empty((len(_USUAL), 0)),
        usual_cov=usual_cov,
        sessions=0,
    )
    if carried is None:
        return plain
    try:
        known = [str(name) for name in carried["names"]]
        mean = np.array(carried["mean"], dtype=np.float64)
        cov = np.array(carried["covariance"], dtype=np.float64)
        sound = (
            carried["format"] == _FORMAT
            and mean.shape == (len(known),)
            and cov.shape == (len(known), len(known))
            and np.isfinite(mean).all()
            and np.isfinite(cov).all()
            and known[-len(_USUAL) :] == list(_USUAL)
        )
        sessions = int(carried["sessions"])
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise ValueError(
            "What was carried over from an earlier session cannot be read. Start without it, or "
            "carry it over anew."
        )
    u = len(_USUAL)
    kept = [i for i, name in enumerate(known[:-u]) if name in names]
    columns = np.array([names.index(known[i]) for i in kept], dtype=np.int64)
    k = len(kept)
    chosen = [*kept, *range(len(known) - u, len(known))]
    before = _both(np.eye(k), usual_cov)
    now = (1 - _FORGET) * cov[np.ix_(chosen, chosen)] + _FORGET * before
    now = 0.5 * (now + now.T)
    values, vectors = np.linalg.eigh(now)
    now = (vectors * np.maximum(values, 1e-6)) @ vectors.T
    slope = np.linalg.solve(now[:k, :k], now[:k, k:]).T if k else np.empty((u, 0))
    return Prior(
        names=names,
        lasting=lasting,
        learned=columns,
        mean=mean[kept],
        factor=np.linalg.cholesky(now[:k, :k]) if k else np.empty((0, 0)),
        usual_mean=mean[-u:],
        usual_slope=slope,
        usual_cov=now[k:, k:] - slope @ now[:k, k:],
        sessions=sessions,
    )


def _both(first: Array, second: Array) -> Array:
    """Covariance of two things that do not go together."""
    one = len(first)
    whole = np.zeros((one + len(second), one + len(second)))
    whole[:one, :one], whole[one:, one:] = first, second
    return whole


@dataclass(frozen=True, slots=True)
class Versions:
    """n versions of a person and their curves on the grid; n is the last axis of the curves.

    Attributes:
        normals: independent standard normals, shape (n, columns).
        thresholds: of symptoms, ng/mL of S-ketamine at the effect site, shape (4, n).
        plasma: of each analyte, ng/mL, (t, n).
        site: effect site of all of the parent, ng/mL, (t, n).
        shape: the curve that gains multiply, (t, n).
        usual: mean of the person's resting levels and gains before any reading, (6, n).
    """

    normals: Array
    thresholds: Array
    plasma: tuple[Singles, ...]
    site: Singles
    shape: Singles
    usual: Array

    def take(self, rows: npt.NDArray[np.int64]) -> Versions:
        """These versions, repeats allowed."""
        return Versions(
            self.normals[rows],
            np.ascontiguousarray(self.thresholds[:, rows]),
            tuple(np.ascontiguousarray(p[:, rows]) for p in self.plasma),
            np.ascontiguousarray(self.site[:, rows]),
            np.ascontiguousarray(self.shape[:, rows]),
            np.ascontiguousarray(self.usual[:, rows]),
        )

    def replaced(self, by: Versions, where: npt.NDArray[np.bool_]) -> Versions:
        """Those of `by` where it says so."""
        return Versions(
            np.where(where[:, None], by.normals, self.normals),
            np.where(where, by.thresholds, self.thresholds),
            tuple(np.where(where, b, a) for a, b in zip(self.plasma, by.plasma, strict=True)),
            np.where(where, by.site, self.site),
            np.where(where, by.shape, self.shape),
            np.where(where, by.usual, self.usual),
        )


@dataclass(slots=True)
class State:
    """The versions with what readings have said of each.

    Attributes:
        mean, cov: Gaussian of each version, (9, n) and (45, n), see `forecast_kernels`.
        loglik: log likelihood of all readings, (n,); base: of those before the last resampling.
        time_min: to which the Gaussians refer, None before any reading of a vital sign.
    """

    versions: Versions
    mean: Array
    cov: Array
    loglik: Array
    base: Array
    time_min: float | None = None


class Ensemble:
    """Versions of a person, taken from the prior through the readings, one after the other."""

    def __init__(
        self,
        model: Model,
        person: Person,
        route: str,
        effects: Effects,
        n: int,
        seed: int,
        carried: Mapping[str, Any] | None,
    ) -> None:
        self.model = model
        self.person = person
        self.route = route
        self.effects = effects
        self.n = n
        self.seed = seed
        self.prior = prior_of(model, effects, carried)
        self.signals: Signals = signals(effects)
        self.moment_sd = moment_sd(effects)
        readings = effects["readings"]
        self._rough = (readings.value("rough_share"), readings.value("rough_factor"))
        self._artefact = (readings.value("artefact_share"), readings.value("artefact_range"))
        self._jump = (readings.value("jump_every_min"), readings.value("jump_factor"))
        self._misreport = readings.value("misreport_share")
        self._present_from = {
            "dissociation_0_10": readings.value("dissociation_from"),
            "nausea_0_10": readings.value("nausea_from"),
        }
        # What jumps add, in the long run, to the variance of the wandering.
        every, factor = self._jump
        more = factor**2 * self.signals.wandering_min / (2 * every)
        self.wandering_var = (1 + more) * np.diagonal(self.signals.wandering_cov)
        rng = np.random.default_rng([seed, 0])
        self._drawn = rng.standard_normal((n, len(self.prior.names)))
        self._kinetics: Kinetics | None = None
        self._start: Versions | None = None
        self.doses: tuple[Dose | RateSegment, ...] = ()
        self.grid_min: Array = np.empty(0)
        self.step_min = 1.0
        self.taken: list[Reading] = []
        self.artefact: list[float] = []
        self.moves = 0
        self.state: State

    def begin(self, doses: Sequence[Dose | RateSegment], horizon_min: float) -> None:
        """Back to before any reading; curves are worked out anew if the doses or grid differ."""
        begins = min(d.start_min if isinstance(d, RateSegment) else d.time_min for d in doses)
        first = math.floor(max(min(begins, 0.0), -_LOOK_BACK_MIN))
        # Minute by minute over a session; coarser where somebody looks days ahead.
        step = max(1, math.ceil((horizon_min - first) / _GRID_POINTS))
        grid = first + step * np.arange(math.ceil((horizon_min - first) / step) + 1.0)
        if self._start is None or tuple(doses) != self.doses or len(grid) != len(self.grid_min):
            self.doses, self.grid_min, self.step_min = tuple(doses), grid, float(step)
            if self._kinetics is None:
                self._kinetics = self._kinetics_of(self.prior.spread(self._drawn))
            self._start = self._curves(self._drawn, self._kinetics)
        self.state = self._fresh(self._start)
        self.taken = []
        self.artefact = []
        self.moves = 0

    def reading_var(self, signal: int, chances: Singles) -> Singles:
        """Variance of a reading in each version: rough for those whose chance is small enough."""
        sound = float(self.signals.reading_sd[signal]) ** 2
        share, factor = self._rough
        rough: Singles = np.where(chances < share, sound * factor**2, sound).astype(np.float32)
        return rough

    def take_in(self, reading: Reading) -> None:
        """One more reading; `reading.value` is a finite number and times do not go back."""
        self.artefact.append(self._advance(self.state, reading))
        self.taken.append(reading)
        weights = self.weights()
        if 1.0 / (weights @ weights) < _DEGENERATE * self.n:
            self._resample_and_move(weights)

    def weights(self) -> Array:
        """Weight of each version, together 1, shape (n,)."""
        log = self.state.loglik - self.state.base
        weights = np.exp(log - log.max())
        result: Array = weights / weights.sum()
        return result

    def at(self, curve: Singles, time_min: float) -> Singles:
        """A curve of the grid at any time, straight between its points; 0 before it, shape (n,)."""
        place = (time_min - self.grid_min[0]) / self.step_min
        if place < 0:
            return np.zeros(curve.shape[1], dtype=np.float32)
        low = min(int(place), curve.shape[0] - 1)
        high = min(low + 1, curve.shape[0] - 1)
        part = np.float32(min(place - low, 1.0))
        between: Singles = curve[low]
        if part > 0:
            between = between + part * (curve[high] - between)
        return between

    def person_usual(self) -> tuple[Array, Array]:
        """The person's part of resting levels and gains: mean (6, n), covariance (n, 6, 6).

        What was learned of today's is the person's and the day's in proportion to their spread.
        """
        person = self.prior.usual_cov
        today = _both(self.signals.resting_occasion_cov, self.signals.gain_occasion_cov)
        share = person @ np.linalg.inv(person + today)
        before = self.state.versions.usual
        mean = before + share @ (self.state.mean[3:] - before)
        u = len(_USUAL)
        cov = np.empty((self.n, u, u))
        for a in range(u):
            for b in range(a + 1):
                high, low = 3 + a, 3 + b
                cov[:, a, b] = cov[:, b, a] = self.state.cov[high * (high + 1) // 2 + low]
        return mean, (person - share @ person) + share @ cov @ share.T

    def summary(self) -> dict[str, Any]:
        """What `prior_of` takes for the next session: JSON."""
        weights = self.weights()
        lasting = self.prior.lasting
        effects = self.prior.spread(self.state.versions.normals)[:, lasting]
        usual_mean, usual_cov = self.person_usual()
        everything = np.hstack([effects, usual_mean.T])
        mean = weights @ everything
        off = everything - mean
        cov = (off * weights[:, None]).T @ off
        u = len(_USUAL)
        cov[-u:, -u:] += np.einsum("n,nij->ij", weights, usual_cov)
        return {
            "format": _FORMAT,
            "effects": self.effects.id,
            "sessions": self.prior.sessions + 1,
            "names": [*(self.prior.names[i] for i in lasting), *_USUAL],
            "mean": mean.tolist(),
            "covariance": cov.tolist(),
        }

    def _kinetics_of(self, effects: Array) -> Kinetics:
        own = effects[:, : len(self.prior.names) - len(EFFECT_NORMALS)]
        return Kinetics(self.model, individual_parameters(self.model, self.person, own, self.route))

    def _curves(self, normals: Array, kinetics: Kinetics | None = None) -> Versions:
        effects = self.prior.spread(normals)
        if kinetics is None:
            kinetics = self._kinetics_of(effects)
        conc = kinetics.at(self.doses, self.grid_min)
        own = members(self.effects, effects[:, -len(EFFECT_NORMALS) :])
        site = effect_site(
            self.effects, self.model, conc[self.model.parent], self.step_min, own.pace
        )
        shape = rise_shape(self.effects, site)
        return Versions(
            normals=normals,
            thresholds=own.thresholds,
            plasma=tuple(
                np.ascontiguousarray(conc[name].T, dtype=np.float32) for name in self.model.analytes
            ),
            site=np.ascontiguousarray(site.T, dtype=np.float32),
            shape=np.ascontiguousarray(shape.T, dtype=np.float32),
            usual=self.prior.usual(effects),
        )

    def _fresh(self, versions: Versions) -> State:
        """Versions before any reading."""
        vital = self.signals
        mean = np.zeros((kernels.STATES, self.n))
        mean[3:] = versions.usual
        full = np.zeros((kernels.STATES, kernels.STATES))
        full[:3, :3] = vital.wandering_cov
        np.fill_diagonal(full[:3, :3], self.wandering_var)
        full[3:, 3:] = self.prior.usual_cov + _both(
            vital.resting_occasion_cov, vital.gain_occasion_cov
        )
        lower = full[np.tril_indices(kernels.STATES)]
        cov = np.repeat(lower[:, None], self.n, axis=1)
        return State(versions, mean, cov, np.zeros(self.n), np.zeros(self.n))

    def _advance(self, state: State, reading: Reading) -> float:
        """Take a reading into a state; the probability that it is an artefact."""
        value = reading.value
        assert value is not None
        if reading.quantity in SIGNALS:
            return self._vital(state, reading, value)
        if reading.quantity in SCORES:
            self._score(state, reading, value)
        else:
            self._assay(state, reading, value)
        return 0.0

    def _vital(self, state: State, reading: Reading, value: float) -> float:
        k = SIGNALS.index(reading.quantity)
        passed = 0.0 if state.time_min is None else reading.time_min - state.time_min
        if passed > 0:
            phi = math.exp(-passed / self.signals.wandering_min)
            kernels.wander(state.mean, state.cov, phi, self.signals.wandering_cov)
        state.time_min = reading.time_min
        sound = float(self.signals.reading_sd[k]) ** 2
        # A jump may have come since the last look, of this sign or another, or a while before.
        jumped = -math.expm1(-max(passed, 2.0) / self._jump[0])
        rough, false = self._rough[0], self._artefact[0]
        shares = np.array([1 - rough - false - jumped, rough, jumped, false])
        before = self.weights()
        artefact = np.empty(self.n)
        kernels.assimilate(
            state.mean,
            state.cov,
            state.loglik,
            self.at(state.versions.shape, reading.time_min),
            k,
            # Beyond this any value is as surely an artefact, and its square would overflow.
            min(max(value, -1000.0), 1000.0),
            sound,
            sound * self._rough[1] ** 2,
            float(self.signals.wandering_cov[k, k]) * self._jump[1] ** 2,
            shares,
            1.0 / self._artefact[1],
            artefact,
        )
        return float(before @ artefact) if state is self.state else 0.0

    def _score(self, state: State, reading: Reading, value: float) -> None:
        if reading.quantity == "sedation_moaas":
            symptom, present = "sedation", value < 5
        else:
            symptom = "nausea" if reading.quantity == "nausea_0_10" else "dissociation"
            present = value >= self._present_from[reading.quantity]
        row = SYMPTOMS.index(symptom)
        site = self.at(state.versions.site, reading.time_min).astype(np.float64)
        chance = symptom_probability(
            site * self.model.s_fraction,
            state.versions.thresholds[row],
            float(self.moment_sd[row]),
        )
        told = chance if present else 1.0 - chance
        state.loglik += np.log(self._misreport + (1 - 2 * self._misreport) * told)

    def _assay(self, state: State, reading: Reading, value: float) -> None:
        names = list(self.model.analytes)
        residual = self.model.analytes[reading.quantity].residual
        curve = state.versions.plasma[names.index(reading.quantity)]
        expected = self.at(curve, reading.time_min).astype(np.float64)
        relative = math.hypot(residual.proportional, residual.log_sd)
        sd = np.hypot(relative * expected, residual.additive_ng_per_ml) + 0.1
        share, wide = _STRAY_ASSAY
        square = (np.minimum(np.abs(value - expected), 1e9) / sd) ** 2
        usual = (1 - share) * np.exp(-0.5 * square) / sd
        # Never below a floor, however far off: such an assay says nothing.
        stray = share * np.exp(-0.5 * np.minimum(square / wide**2, 50.0)) / (wide * sd)
        state.loglik += np.log(usual + stray)

    def _resample_and_move(self, weights: Array) -> None:
        self.moves += 1
        rng = np.random.default_rng([self.seed, 1, self.moves, len(self.taken)])
        rows = systematic(weights, rng)
        old = self.state
        state = State(
            old.versions.take(rows),
            np.ascontiguousarray(old.mean[:, rows]),
            np.ascontiguousarray(old.cov[:, rows]),
            old.loglik[rows],
            old.base[rows],
            old.time_min,
        )
        for _ in range(_MOVES):
            shift = rng.standard_normal(state.versions.normals.shape)
            normals = math.sqrt(1 - _MOVE**2) * state.versions.normals + _MOVE * shift
            proposed = self._fresh(self._curves(normals))
            for reading in self.taken:
                self._advance(proposed, reading)
            accept = np.log(rng.random(self.n)) < proposed.loglik - state.loglik
            state = State(
                state.versions.replaced(proposed.versions, accept),
                np.where(accept, proposed.mean, state.mean),
                np.where(accept, proposed.cov, state.cov),
                np.where(accept, proposed.loglik, state.loglik),
                state.base,
                state.time_min,
            )
        self.state = replace(state, base=state.loglik.copy())


def systematic(weights: Array, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Systematic resampling: rows chosen in proportion to their weights, shape (n,)."""
    n = len(weights)
    places = (np.arange(n) + rng.random()) / n
    return np.minimum(np.searchsorted(np.cumsum(weights), places), n - 1)


def interval_of(values: Array, weights: Array, interval: float) -> tuple[float, float, float]:
    """Weighted quantiles: the interval's lower limit, the median, the upper limit.

    Raises:
        ValueError: the interval is not between 0 and 1.
    """
    if not 0 < interval < 1:
        raise ValueError("An interval is from above 0 to below 1, such as 0.9.")
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    tail = (1 - interval) / 2
    aims = np.array([tail, 0.5, 1 - tail]) * reached[-1]
    low, middle, high = values[order[np.searchsorted(reached, aims).clip(0, len(values) - 1)]]
    return float(low), float(middle), float(high)
