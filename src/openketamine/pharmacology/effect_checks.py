"""The relations of effects held against the published figures that their file names.

Each figure is worked out on simulated people with all the variability of models and relations;
the documentation prints them and the tests hold them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from openketamine.pharmacology.dosing import Dose
from openketamine.pharmacology.effects import (
    EFFECT_NORMALS,
    SIGNALS,
    SYMPTOMS,
    HeldAgainst,
    effect_site,
    load_effects,
    members,
    rise_shape,
    signals,
)
from openketamine.pharmacology.kinetics import Kinetics
from openketamine.pharmacology.models import load_model
from openketamine.pharmacology.people import Person, sample_parameters

Array = npt.NDArray[np.float64]

#: Minutes at which the curves below are given.
MINUTES = np.arange(0.0, 301.0)
_PERSON = Person(age_years=45, weight_kg=75, ancestry="other")
_PEOPLE = 4096
# A reading before the dose and one at 40 min.
_APART_MIN = 45.0
_INFUSION = (Dose(0, 0.5 * 75, "iv", 40),)
_SPRAYS = (
    (Dose(0, 28, "nasal"), Dose(5, 28, "nasal")),
    (Dose(0, 28, "nasal"), Dose(5, 28, "nasal"), Dose(10, 28, "nasal")),
)


@dataclass(frozen=True, slots=True)
class Group:
    """People who were given the same, or half of them each.

    Attributes:
        site: effect site of all of the drug, ng/mL, shape (n, t) at `MINUTES`.
        s_fraction: of it that is S-ketamine.
        normals: of `EFFECT_NORMALS`, shape (n, k).
    """

    site: Array
    s_fraction: float
    normals: Array


@dataclass(frozen=True, slots=True)
class Checked:
    """A published figure with what the relations make of it."""

    relation: str
    figure: HeldAgainst
    predicted: float

    @property
    def holds(self) -> bool | None:
        """Whether it lies in the range claimed; None where none is."""
        if self.figure.within is None:
            return None
        low, high = self.figure.within
        return low <= self.predicted <= high


@lru_cache(maxsize=2)
def group(kind: str) -> Group:
    """The people of one kind of trial: 'infusion' (0.5 mg/kg over 40 min) or 'spray' (56, 84 mg).

    Raises:
        ValueError: there is no such kind.
    """
    if kind == "infusion":
        return _given("racemic-iv", _INFUSION, _PEOPLE, 1)
    if kind == "spray":
        low, high = (
            _given("perez-ruixo-2021-esketamine", doses, _PEOPLE // 2, seed)
            for seed, doses in enumerate(_SPRAYS, start=2)
        )
        return Group(
            np.vstack([low.site, high.site]),
            low.s_fraction,
            np.vstack([low.normals, high.normals]),
        )
    raise ValueError(f"Unknown kind '{kind}'. Use infusion or spray.")


def _given(model_id: str, doses: tuple[Dose, ...], n: int, seed: int) -> Group:
    model, effects = load_model(model_id), load_effects()
    parameters = sample_parameters(model, _PERSON, n, seed=seed, route=doses[0].route)
    plasma = Kinetics(model, parameters).at(doses, MINUTES)[model.parent]
    normals = np.random.default_rng([seed, 1]).standard_normal((n, len(EFFECT_NORMALS)))
    pace = members(effects, normals).pace
    return Group(effect_site(effects, model, plasma, 1.0, pace), model.s_fraction, normals)


def mean_rise(kind: str, signal: str) -> Array:
    """Mean rise of a vital sign over `MINUTES` in a group, shape (t,)."""
    gain = signals(load_effects()).gain_mean[SIGNALS.index(signal)]
    result: Array = gain * rise_shape(load_effects(), group(kind).site).mean(axis=0)
    return result


def rise_sd(kind: str, signal: str, *, widened: bool) -> Array:
    """Spread between sessions of the change from a reading before the dose, shape (t,).

    Gain of person and day, kinetics, wandering, and the error of both readings; `widened` adds what
    a forecast adds because the relation was fitted and not published.
    """
    effects = load_effects()
    vital, k = signals(effects), SIGNALS.index(signal)
    name = {"systolic_mmhg": "systolic", "diastolic_mmhg": "diastolic"}.get(signal, "heart rate")
    shape = rise_shape(effects, group(kind).site)
    gain = vital.gain_person_cov[k, k] + vital.gain_occasion_cov[k, k]
    if not widened:
        gain -= effects[name].sd("uncertainty", of="gain") ** 2
    apart = 1 - np.exp(-_APART_MIN / vital.wandering_min)
    variance = (
        gain * (shape**2).mean(axis=0)
        + vital.gain_mean[k] ** 2 * shape.var(axis=0)
        + 2 * apart * vital.wandering_cov[k, k]
        + 2 * vital.reading_sd[k] ** 2
    )
    result: Array = np.sqrt(variance)
    return result


def ever(kind: str, symptom: str, sessions: int) -> float:
    """Percent of people with a symptom in at least one of so many sessions."""
    people, row = group(kind), SYMPTOMS.index(symptom)
    highest = people.site.max(axis=1) * people.s_fraction
    rng = np.random.default_rng(5)
    days = [i for i, (_, level) in enumerate(EFFECT_NORMALS) if level == "occasion"]
    had = np.zeros(len(highest), dtype=bool)
    for _ in range(sessions):
        normals = people.normals.copy()
        normals[:, days] = rng.standard_normal((len(highest), len(days)))
        had |= highest > members(load_effects(), normals).thresholds[row]
    return 100 * float(had.mean())


def present(kind: str, symptom: str) -> Array:
    """Share of people with a symptom at each of `MINUTES`, shape (t,)."""
    people = group(kind)
    limit = members(load_effects(), people.normals).thresholds[SYMPTOMS.index(symptom)]
    result: Array = (people.site * people.s_fraction > limit[:, None]).mean(axis=0)
    return result


def ready(kind: str, time_min: int) -> float:
    """Percent of people below the thresholds of dissociation and sedation at a time."""
    people = group(kind)
    limits = members(load_effects(), people.normals).thresholds
    limit = np.minimum(limits[0], limits[2])
    return 100 * float((people.site[:, time_min] * people.s_fraction <= limit).mean())


def severe() -> float:
    """Percent of infusions with 180 or 120 mmHg and above at 40 min.

    In people whose pressure before is at or below 160/100, with resting levels that spread by half
    the variance that a forecast allows for.
    """
    vital = signals(load_effects())
    rng = np.random.default_rng(7)
    n = 200_000
    shape = rng.choice(rise_shape(load_effects(), group("infusion").site[:, 40]), n)
    rest = rng.multivariate_normal(vital.resting_mean, 0.5 * vital.resting_cov, n)
    gain_cov = vital.gain_person_cov + vital.gain_occasion_cov
    gain = rng.multivariate_normal(vital.gain_mean, gain_cov, n)
    keep = np.exp(-_APART_MIN / vital.wandering_min)
    before, fresh = (rng.multivariate_normal(np.zeros(3), vital.wandering_cov, n) for _ in "12")
    error = vital.reading_sd * rng.standard_normal((2, n, 3))
    first = rest + before + error[0]
    later = rest + keep * before + np.sqrt(1 - keep**2) * fresh + gain * shape[:, None] + error[1]
    taken = (first[:, 0] <= 160) & (first[:, 1] <= 100)
    return 100 * float(((later[:, 0] >= 180) | (later[:, 1] >= 120))[taken].mean())


def checked() -> Iterator[Checked]:
    """Every published figure of the relations' file, with what the relations make of it."""
    for name, relation in load_effects().relations.items():
        for figure in relation.held_against:
            yield Checked(name, figure, _predicted(name, figure.measure))


def _predicted(relation: str, measure: str) -> float:
    signal = {
        "systolic": "systolic_mmhg",
        "diastolic": "diastolic_mmhg",
        "heart rate": "heart_rate_bpm",
    }.get(relation)
    if measure.startswith("ever in "):
        return ever("spray", relation, int(measure.removeprefix("ever in ")))
    if measure.startswith("ready at "):
        return ready("spray", int(measure.removeprefix("ready at ")))
    if measure == "severe infusions":
        return severe()
    if signal is not None and measure == "infusion mean":
        return float(mean_rise("infusion", signal)[40])
    if signal is not None and measure == "infusion sd":
        return float(rise_sd("infusion", signal, widened=False)[40])
    if signal is not None and measure == "spray mean":
        return float(mean_rise("spray", signal).max())
    raise ValueError(f"'{measure}' of {relation} is not something that can be worked out.")
