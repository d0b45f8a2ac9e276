"""Simulated sessions of simulated patients: the truth that a forecast is held against.

Written from the relations' file, minute by minute, without the ensemble's own code.
"""

from dataclasses import dataclass

import numpy as np

from openketamine.pharmacology import (
    SIGNALS,
    Dose,
    Kinetics,
    Model,
    Person,
    RateSegment,
    Reading,
    load_effects,
)
from openketamine.pharmacology.effects import effect_site, rise_shape, signals
from openketamine.pharmacology.people import individual_parameters, random_effects


@dataclass
class Patient:
    """What stays from session to session."""

    model: Model
    person: Person
    normals: np.ndarray
    pace: float
    resting: np.ndarray
    gain: np.ndarray

    @classmethod
    def drawn(cls, model: Model, person: Person, rng: np.random.Generator) -> "Patient":
        effects = load_effects()
        vital = signals(effects)
        site = effects["effect site"]
        spread = np.hypot(
            site.sd("person", of="half-lives"), site.sd("uncertainty", of="half-lives")
        )
        return cls(
            model,
            person,
            rng.standard_normal((1, len(random_effects(model)))),
            float(np.exp(spread * rng.standard_normal())),
            # Clinics take people near the usual; narrower than what the forecast allows for.
            rng.multivariate_normal(vital.resting_mean, 0.5 * vital.resting_person_cov),
            rng.multivariate_normal(vital.gain_mean, vital.gain_person_cov),
        )


@dataclass
class Session:
    """One session: every minute's true level, and readings as a clinic would have them."""

    doses: list[Dose | RateSegment]
    baseline: dict[str, float]
    times_min: np.ndarray
    truth: np.ndarray  # (3, t)
    readings: list[Reading]
    sound: list[bool]  # of each reading: neither rough nor artefact


def session(
    patient: Patient,
    doses: list[Dose | RateSegment],
    at_min: list[float],
    rng: np.random.Generator,
    *,
    artefacts: bool = True,
    dropout: float = 0.1,
) -> Session:
    """A session of this patient, on a day of its own."""
    effects = load_effects()
    vital = signals(effects)
    share = {name: p.value for name, p in effects["readings"].parameters.items()}
    normals = patient.normals.copy()
    for column, effect in enumerate(random_effects(patient.model)):
        if effect.level == "occasion":
            normals[:, column] = rng.standard_normal()
    times = np.arange(-5.0, 241.0)
    parameters = individual_parameters(patient.model, patient.person, normals, doses[0].route)
    plasma = Kinetics(patient.model, parameters).at(doses, times)[patient.model.parent]
    site = effect_site(effects, patient.model, plasma, 1.0, patient.pace)
    shape = rise_shape(effects, site)[0]
    gain = rng.multivariate_normal(patient.gain, vital.gain_occasion_cov)
    resting = rng.multivariate_normal(patient.resting, vital.resting_occasion_cov)
    keep = np.exp(-1.0 / vital.wandering_min)
    wandering = np.empty((3, len(times)))
    now = rng.multivariate_normal(np.zeros(3), vital.wandering_cov)
    for t in range(len(times)):
        fresh = rng.multivariate_normal(np.zeros(3), (1 - keep**2) * vital.wandering_cov)
        now = keep * now + fresh if t else now
        for k in range(3):
            if artefacts and rng.random() < 1.0 / share["jump_every_min"]:
                size = share["jump_factor"] * np.sqrt(vital.wandering_cov[k, k])
                now = now.copy()
                now[k] += size * rng.standard_normal()
        wandering[:, t] = now
    truth = resting[:, None] + gain[:, None] * shape + wandering
    baseline = {
        name: float(truth[k, 0] + vital.reading_sd[k] * rng.standard_normal())
        for k, name in enumerate(SIGNALS)
    }
    readings, sound = [], []
    for time in at_min:
        for k, name in enumerate(SIGNALS):
            if rng.random() < dropout:
                readings.append(Reading(time, name, None))
                sound.append(False)
                continue
            level = float(np.interp(time, times, truth[k]))
            kind = rng.random() if artefacts else 1.0
            if kind < share["artefact_share"]:
                value = 30 + share["artefact_range"] * rng.random()
            elif kind < share["artefact_share"] + share["rough_share"]:
                value = level + share["rough_factor"] * vital.reading_sd[k] * rng.standard_normal()
            else:
                value = level + vital.reading_sd[k] * rng.standard_normal()
            readings.append(Reading(time, name, value))
            sound.append(kind >= share["artefact_share"] + share["rough_share"])
    return Session(doses, baseline, times, truth, readings, sound)
