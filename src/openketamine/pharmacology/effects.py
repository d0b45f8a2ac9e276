"""Effects over time from concentrations: effect site, pressure, dissociation, sedation, nausea.

The relations are data (`effects/adult.yaml`): structure, parameters, variability, certainty and
the published figures each is held against. One effect site drives them all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Literal

import numpy as np
import numpy.typing as npt
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from openketamine.pharmacology import effect_kernels
from openketamine.pharmacology.models import CERTAINTIES, Certainty, Model
from openketamine.words import _, _noop

Array = npt.NDArray[np.float64]

#: Vital signs that are forecast, in the order of every array of signals.
SIGNALS = (_noop("systolic_mmhg"), _noop("diastolic_mmhg"), _noop("heart_rate_bpm"))
_RELATION_OF = {
    "systolic_mmhg": _noop("systolic"),
    "diastolic_mmhg": _noop("diastolic"),
    "heart_rate_bpm": _noop("heart rate"),
}
#: Effects that are present or not, each with a probability.
SYMPTOMS = (
    _noop("dissociation"),
    _noop("strong dissociation"),
    _noop("sedation"),
    _noop("nausea"),
)

Level = Literal["person", "occasion", "moment", "uncertainty"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EffectParameter(_Part):
    """One value of a relation."""

    value: float
    unit: str
    meaning: str
    certainty: Certainty
    source: str | None = None


class Spread(_Part):
    """How much something differs between people, days, moments, or is not known."""

    of: str
    sd: float = Field(gt=0)
    scale: Literal["log", "additive"]
    level: Level
    certainty: Certainty
    source: str | None = None


class HeldAgainst(_Part):
    """A published figure; `fitted` where the relation was fitted to it, else it is a check.

    `measure` names how `effect_checks` works it out; `within` is what it has to lie in, where the
    relation claims to reproduce the figure.
    """

    what: str
    measure: str
    within: tuple[float, float] | None = None
    published: float
    unit: str
    source: str
    certainty: Certainty
    fitted: bool


class Relation(_Part):
    """One effect: how it follows the concentration."""

    title: str
    structure: str
    parameters: dict[str, EffectParameter]
    variability: list[Spread] = Field(default_factory=list)
    held_against: list[HeldAgainst] = Field(default_factory=list)

    def value(self, name: str) -> float:
        """A parameter's value."""
        return self.parameters[name].value

    def sd(self, level: Level, *, of: str) -> float:
        """Standard deviation of a thing at a level; 0 where none is stated."""
        variance = sum(s.sd**2 for s in self.variability if s.level == level and s.of == of)
        return math.sqrt(variance)

    @property
    def certainty(self) -> Certainty:
        """The weakest certainty among its values."""
        marks: list[Certainty] = [p.certainty for p in self.parameters.values()]
        marks += [s.certainty for s in self.variability]
        return max(marks, key=CERTAINTIES.index)


class Effects(_Part):
    """The relations between concentration and effect, as their file says."""

    id: str
    title: str
    summary: str
    relations: dict[str, Relation]

    def __getitem__(self, name: str) -> Relation:
        return self.relations[name]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of any effect has to know."""
        fitted = [
            _(name) for name, r in self.relations.items() if any(h.fitted for h in r.held_against)
        ]
        return (
            _(
                "Fitted to published figures, not published as relations: %(names)s; "
                "their intervals are widened for it."
            )
            % {"names": ", ".join(fitted)},
            _(
                "Effects of other medicines taken that day (such as clonidine or benzodiazepines) "
                "are not forecast."
            ),
            _(
                "Readiness to go home is a forecast; a person releases, by the clinic's own "
                "criteria."
            ),
        )


@lru_cache(maxsize=1)
def load_effects() -> Effects:
    """The relations that come with the package.

    Raises:
        ValueError: the file does not follow the format.
    """
    entry = files("openketamine.pharmacology") / "effects" / "adult.yaml"
    try:
        return Effects.model_validate(yaml.safe_load(entry.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{entry.name}: {at}: {first['msg']}.") from error


#: Standard normal variables of an ensemble member that shape its effects, with their level.
#: Those of pressure and heart rate are not among them: they are carried in closed form.
EFFECT_NORMALS: tuple[tuple[str, Level], ...] = (
    ("effect site half-lives", "person"),
    ("dissociation threshold", "person"),
    ("sedation threshold", "person"),
    ("nausea threshold", "person"),
    ("dissociation threshold today", "occasion"),
    ("sedation threshold today", "occasion"),
    ("nausea threshold today", "occasion"),
)


@dataclass(frozen=True, slots=True)
class Members:
    """What shapes the effects in each of n versions of a person.

    Attributes:
        pace: factor on the half-lives of the effect site, shape (n,).
        thresholds: effect site above which a symptom is present, ng/mL; rows as `SYMPTOMS`,
            shape (4, n), of S-ketamine.
    """

    pace: Array
    thresholds: Array


def members(effects: Effects, normals: Array) -> Members:
    """Effect parameters from standard normals.

    Args:
        normals: shape (n, len(EFFECT_NORMALS)), in that order.
    """
    site = effects["effect site"]
    lasting = {
        "dissociation": effects["dissociation"].value("c50_ng_per_ml")
        * effects["dissociation"].value("fold"),
        "sedation": effects["sedation"].value("threshold_ng_per_ml"),
        "nausea": effects["nausea"].value("threshold_ng_per_ml"),
    }
    found = {}
    for i, (name, median) in enumerate(lasting.items()):
        relation = effects[name]
        known = _enduring(relation, "threshold")
        if name == "dissociation":
            known = math.hypot(known, relation.sd("uncertainty", of="c50"))
        today = relation.sd("occasion", of="threshold")
        found[name] = median * np.exp(known * normals[:, 1 + i] + today * normals[:, 4 + i])
    strong = found["dissociation"] * effects["strong dissociation"].value("fold")
    return Members(
        pace=np.exp(_enduring(site, "half-lives") * normals[:, 0]),
        thresholds=np.ascontiguousarray(
            np.stack([found["dissociation"], strong, found["sedation"], found["nausea"]])
        ),
    )


def _enduring(relation: Relation, of: str) -> float:
    """Spread of what stays from day to day: between people, and what is not known of all."""
    return math.hypot(relation.sd("person", of=of), relation.sd("uncertainty", of=of))


def moment_sd(effects: Effects) -> Array:
    """Spread of each symptom's threshold from moment to moment, log scale, shape (4,)."""
    names = ("dissociation", "dissociation", "sedation", "nausea")
    return np.array([effects[name].sd("moment", of="threshold") for name in names])


def effect_site(
    effects: Effects, model: Model, plasma_ng_per_ml: Array, step_min: float, pace: npt.ArrayLike
) -> Array:
    """Effect-site concentration of all that the model's parent analyte holds.

    S-ketamine's part is the model's `s_fraction` of it.

    Args:
        plasma_ng_per_ml: of the parent, shape (n, t), on an even grid.
        step_min: spacing of the grid; taken as a straight line between its points.
        pace: factor on the half-lives, shape (n,) or a number.

    Returns:
        ng/mL at the effect site, as of arterial plasma, shape (n, t).
    """
    site = effects["effect site"]
    plasma = np.ascontiguousarray(plasma_ng_per_ml, dtype=np.float64)
    paces = np.ascontiguousarray(np.broadcast_to(np.asarray(pace, np.float64), plasma.shape[:1]))
    out = np.empty_like(plasma)
    if model.matrix == "arterial":
        lag, lead, slow, ratio = site.value("half_life_min"), 0.0, 1.0, 1.0
    else:
        lag, lead = site.value("venous_half_life_min"), site.value("lead")
        slow, ratio = site.value("lead_half_life_min"), site.value("ratio")
    effect_kernels.site(plasma, step_min, lag, lead, slow, ratio, paces, out)
    return out


def rise_shape(effects: Effects, site_ng_per_ml: Array) -> Array:
    """The curve of pressure and heart rate, 1 at the reference, same shape as given."""
    shape = effects["pressure shape"]
    half, reference = shape.value("ec50_ng_per_ml"), shape.value("reference_ng_per_ml")
    result: Array = site_ng_per_ml / (half + site_ng_per_ml) * ((half + reference) / reference)
    return result


def symptom_probability(site_ng_per_ml: Array, threshold: npt.ArrayLike, sd_log: float) -> Array:
    """Probability that a symptom is present.

    Args:
        site_ng_per_ml: any shape.
        threshold: broadcast against it.
        sd_log: spread of the threshold from moment to moment.
    """
    out = np.empty(np.broadcast_shapes(site_ng_per_ml.shape, np.shape(threshold)))
    effect_kernels.exceeds(
        np.ascontiguousarray(np.broadcast_to(site_ng_per_ml, out.shape)).reshape(-1),
        np.ascontiguousarray(np.broadcast_to(np.asarray(threshold), out.shape)).reshape(-1),
        sd_log,
        out.reshape(-1),
    )
    return out


@dataclass(frozen=True, slots=True)
class Signals:
    """Prior of the three vital signs; arrays are in the order of `SIGNALS`.

    Attributes:
        gain_mean: rise at the reference, shape (3,).
        gain_person_cov, gain_occasion_cov: of the gains, shape (3, 3); the person's holds what is
            not known of all people, too.
        resting_mean: resting level, shape (3,).
        resting_person_cov, resting_occasion_cov: between people and from day to day, shape (3, 3).
        wandering_cov: stationary covariance of the wandering, shape (3, 3).
        wandering_min: its time constant.
        reading_sd: error of a sound reading, shape (3,).
    """

    gain_mean: Array
    gain_person_cov: Array
    gain_occasion_cov: Array
    resting_mean: Array
    resting_person_cov: Array
    resting_occasion_cov: Array
    wandering_cov: Array
    wandering_min: float
    reading_sd: Array

    @property
    def resting_cov(self) -> Array:
        """Of the resting level of somebody not seen before, shape (3, 3)."""
        return self.resting_person_cov + self.resting_occasion_cov


def signals(effects: Effects) -> Signals:
    """The vital signs' relations as arrays."""
    together = effects["signals"]
    both, rate = together.value("systolic_diastolic"), together.value("pressure_rate")
    correlation = np.array([[1, both, rate], [both, 1, rate], [rate, rate, 1]])
    relations = [effects[_RELATION_OF[name]] for name in SIGNALS]

    def sds(level: Level, of: str) -> Array:
        return np.array([r.sd(level, of=of) for r in relations])

    def covariance(sd: Array) -> Array:
        return np.asarray(correlation * sd[:, None] * sd[None, :], dtype=np.float64)

    units = ("mmhg", "mmhg", "bpm")
    return Signals(
        gain_mean=np.array([r.value(f"gain_{u}") for r, u in zip(relations, units, strict=True)]),
        gain_person_cov=covariance(sds("person", "gain")) + covariance(sds("uncertainty", "gain")),
        gain_occasion_cov=covariance(sds("occasion", "gain")),
        resting_mean=np.array(
            [r.value(f"resting_{u}") for r, u in zip(relations, units, strict=True)]
        ),
        resting_person_cov=covariance(sds("person", "resting level")),
        resting_occasion_cov=covariance(sds("occasion", "resting level")),
        wandering_cov=covariance(sds("moment", "wandering")),
        wandering_min=relations[0].value("wandering_min"),
        reading_sd=sds("moment", "reading"),
    )
