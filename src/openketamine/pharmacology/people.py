"""People: covariates to individual parameters, interactions, and sampling of virtual people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt
import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from openketamine.pharmacology.expressions import evaluate, names_in
from openketamine.pharmacology.models import COVARIATES, Certainty, Model, Variability
from openketamine.words import _, _noop

Array = npt.NDArray[np.float64]

# What a person is asked for, and the covariates that it gives.
_ASKED = {
    _noop("Age"): ("age_years",),
    _noop("Weight"): ("weight_kg",),
    _noop("Height"): ("height_cm",),
    _noop("Sex"): ("female",),
    _noop("Ancestry"): ("asian", "japanese"),
}
# What is put into sentences, beside the certainties: covariates, routes, what acts on the drug.
NAMES = (
    _noop("age years"),
    _noop("weight kg"),
    _noop("height cm"),
    _noop("female"),
    _noop("asian"),
    _noop("japanese"),
    _noop("years"),
    _noop("iv"),
    _noop("im"),
    _noop("sc"),
    _noop("nasal"),
    _noop("sublingual"),
    _noop("oral"),
    _noop("clarithromycin"),
    _noop("ticlopidine"),
    _noop("itraconazole"),
    _noop("rifampicin"),
    _noop("grapefruit juice"),
    _noop("st john's wort"),
    _noop("hepatic impairment, moderate"),
)
SEXES = ("female", "male")
ANCESTRIES = ("asian", "japanese", "other")
HEPATIC = ("none", "mild", "moderate", "severe")


@dataclass(frozen=True, slots=True)
class Person:
    """Who is in the chair. Unknown is None, and is never taken for a value without saying so.

    Args:
        age_years: 18-110; the models are of adults.
        weight_kg: 30-300.
        height_cm: 100-250.
        sex: female or male.
        ancestry: asian, japanese or other; a covariate of the esketamine model.
        hepatic: impairment of the liver: none, mild, moderate or severe (Child-Pugh A, B, C).
        drugs: names of other medicines, as in the interaction list; others are passed over.
    """

    age_years: float
    weight_kg: float
    height_cm: float | None = None
    sex: str | None = None
    ancestry: str | None = None
    hepatic: str | None = None
    drugs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _within("Age", self.age_years, 18, 110, "years")
        _within("Weight", self.weight_kg, 30, 300, "kg")
        if self.height_cm is not None:
            _within("Height", self.height_cm, 100, 250, "cm")
        _one_of("Sex", self.sex, SEXES)
        _one_of("Ancestry", self.ancestry, ANCESTRIES)
        _one_of("Hepatic impairment", self.hepatic, HEPATIC)
        object.__setattr__(self, "drugs", tuple(self.drugs))

    def covariates(self) -> dict[str, float | None]:
        """The names that covariate relations use; None where unknown."""
        return {
            "age_years": self.age_years,
            "weight_kg": self.weight_kg,
            "height_cm": self.height_cm,
            "female": None if self.sex is None else float(self.sex == "female"),
            "asian": None
            if self.ancestry is None
            else float(self.ancestry in ("asian", "japanese")),
            "japanese": None if self.ancestry is None else float(self.ancestry == "japanese"),
        }


def _within(what: str, value: float, low: float, high: float, unit: str) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise ValueError(
            _(
                "%(what)s %(value)s %(unit)s is not possible here. "
                "Enter a value from %(low)s to %(high)s %(unit)s."
            )
            % {
                "what": _(what),
                "value": f"{value:g}",
                "low": f"{low:g}",
                "high": f"{high:g}",
                "unit": _(unit),
            }
        )


def _one_of(what: str, value: str | None, known: Sequence[str]) -> None:
    if value is not None and value not in known:
        raise ValueError(f"{what} '{value}' is unknown. Use one of: {', '.join(known)}.")


class Interaction(BaseModel):
    """A published ratio of the drug's AUC with another drug (or condition) to that without."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    also: list[str] = Field(default_factory=list)
    kind: str
    route: str
    auc_ratio: float = Field(gt=0)
    cmax_ratio: float | None = Field(default=None, gt=0)
    note: str | None = None
    source: str
    certainty: Certainty


@lru_cache(maxsize=1)
def interactions() -> tuple[Interaction, ...]:
    """The published interactions that come with the package."""
    text = (files("openketamine.pharmacology") / "interactions.yaml").read_text(encoding="utf-8")
    return tuple(TypeAdapter(list[Interaction]).validate_python(yaml.safe_load(text)))


def interactions_of(person: Person, route: str) -> tuple[Interaction, ...]:
    """Those of this person's drugs and liver that were measured for a route."""
    return tuple(i for i in _concerning(person) if i.route == route)


def _concerning(person: Person) -> tuple[Interaction, ...]:
    names = {_plain(name) for name in person.drugs}
    if person.hepatic is not None:
        names.add(f"hepatic impairment, {person.hepatic}")
    return tuple(i for i in interactions() if names & {_plain(n) for n in (i.name, *i.also)})


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("’", "'").split())


def person_warnings(model: Model, person: Person, route: str) -> tuple[str, ...]:
    """What the forecast of this person leaves open, in words for its reader."""
    found = []
    known = person.covariates()
    used = {name for r in model.covariates for name in names_in(r.value) if name in COVARIATES}
    for what, names in _ASKED.items():
        missing = [name for name in names if name in used and known[name] is None]
        if missing:
            reference = ", ".join(
                f"{_(name.replace('_', ' '))} {model.reference[name]:g}" for name in missing
            )
            found.append(
                _("%(what)s is not known; the model's reference (%(reference)s) is used.")
                % {"what": _(what), "reference": reference}
            )
    acting = interactions_of(person, route)
    if person.ancestry is not None and not used & {"asian", "japanese"}:
        found.append(_("Ancestry changes nothing: this model has no such covariate."))
    for name, (low, high) in model.studied.items():
        value = known.get(name)
        if value is not None and not low <= value <= high:
            what = name.rsplit("_", 1)[0].replace("_", " ").capitalize()
            found.append(
                _(
                    "%(what)s %(value)s is outside the people studied (%(low)s to %(high)s); "
                    "the model is carried beyond its data."
                )
                % {
                    "what": _(what),
                    "value": f"{value:g}",
                    "low": f"{low:g}",
                    "high": f"{high:g}",
                }
            )
    for interaction in acting:
        found.append(
            _("%(drug)s: published AUC ratio %(ratio)s by %(route)s (%(source)s; %(certainty)s).")
            % {
                "drug": _(interaction.name).capitalize(),
                "ratio": f"{interaction.auc_ratio:g}",
                "route": _(route),
                "source": interaction.source,
                "certainty": _(interaction.certainty),
            }
        )
    for name in sorted({i.name for i in _concerning(person)} - {i.name for i in acting}):
        found.append(
            _("%(drug)s: no published ratio by %(route)s; none is applied.")
            % {"drug": _(name).capitalize(), "route": _(route)}
        )
    listed = {_plain(n) for i in interactions() for n in (i.name, *i.also)}
    for name in person.drugs:
        if _plain(name) not in listed:
            found.append(
                _("%(drug)s: not in the list of interactions; none is applied.") % {"drug": name}
            )
    if person.hepatic == "severe":
        found.append(
            _(
                "Severe hepatic impairment was not studied; esketamine is not recommended "
                "(label). None is applied."
            )
        )
    if person.hepatic == "mild":
        found.append(_("Mild hepatic impairment: no published ratio; none is applied."))
    if len(acting) > 1:
        found.append(_("The ratios of several interactions are multiplied, which is a guess."))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Individual parameters, in the model's own units.

    Attributes:
        names: of the columns.
        values: shape (n, p), of this occasion.
        person_values: shape (n, p), without the effects of one occasion.
    """

    names: tuple[str, ...]
    values: Array
    person_values: Array

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def column(self, name: str) -> Array:
        """One parameter for each person, shape (n,)."""
        return self.values[:, self.names.index(name)]

    def named(self) -> dict[str, Array | float]:
        """Every parameter by name, each of shape (n,)."""
        return {name: self.values[:, i] for i, name in enumerate(self.names)}

    def take(self, indices: npt.NDArray[np.int64] | slice) -> Parameters:
        """The people of these indices, in this order."""
        return replace(self, values=self.values[indices], person_values=self.person_values[indices])


def typical_parameters(model: Model, person: Person, route: str | None = None) -> Parameters:
    """The typical person of these covariates, shape (1, p).

    Args:
        route: for drug interactions, which differ by route; the model's main route by default.
    """
    typical = _typical(model, person)[np.newaxis, :]
    scaled = _interact(model, person, route, typical)
    return Parameters(tuple(model.parameters), scaled, scaled)


@dataclass(frozen=True, slots=True)
class RandomEffect:
    """One random effect of a model: a standard normal of each plausible version of a person."""

    name: str
    level: str


def random_effects(model: Model) -> tuple[RandomEffect, ...]:
    """The random effects of a model: of the person and of what is uncertain, then of the occasion.

    Their order is that of the columns of `normals` in `individual_parameters`.
    """
    return tuple(
        RandomEffect(f"{model.id}/{number}/{name}", block.level)
        for number, block in _blocks(model)
        for name in block.parameters
    )


def individual_parameters(
    model: Model, person: Person, normals: Array, route: str | None = None
) -> Parameters:
    """Parameters of plausible versions of one person from standard normals.

    Args:
        normals: shape (n, number of `random_effects`).
        route: for drug interactions; the model's main route by default.
    """
    base = np.tile(_typical(model, person), (normals.shape[0], 1))
    lasting = [block for _number, block in _blocks(model) if block.level != "occasion"]
    passing = [block for _number, block in _blocks(model) if block.level == "occasion"]
    done = 0
    for block in lasting:
        _vary(model, block, base, normals[:, done : done + len(block.parameters)])
        done += len(block.parameters)
    base = _interact(model, person, route, base)
    values = base.copy()
    for block in passing:
        _vary(model, block, values, normals[:, done : done + len(block.parameters)])
        done += len(block.parameters)
    return Parameters(tuple(model.parameters), values, base)


def sample_parameters(
    model: Model, person: Person, n: int, *, seed: int, route: str | None = None
) -> Parameters:
    """Plausible versions of one person, shape (n, p), drawn with correlated variability.

    Draws between people, between occasions, and the uncertainty of the typical values where the
    model file states one.

    Raises:
        ValueError: n is below 1.
    """
    if n < 1:
        raise ValueError("Ask for at least one person.")
    rng = np.random.default_rng(seed)
    drawn = [rng.standard_normal((n, len(block.parameters))) for _number, block in _blocks(model)]
    normals = np.hstack(drawn) if drawn else np.empty((n, 0))
    return individual_parameters(model, person, normals, route)


def new_occasion(model: Model, parameters: Parameters, *, seed: int) -> Parameters:
    """The same people on another day: effects of the occasion drawn anew."""
    rng = np.random.default_rng(seed)
    values = parameters.person_values.copy()
    for _number, block in _blocks(model):
        if block.level == "occasion":
            _vary(model, block, values, rng.standard_normal((len(values), len(block.parameters))))
    return Parameters(tuple(model.parameters), values, parameters.person_values)


def _blocks(model: Model) -> list[tuple[int, Variability]]:
    """Blocks of variability with their number in the file, those of the occasion last."""
    return sorted(enumerate(model.variability), key=lambda item: item[1].level == "occasion")


def _typical(model: Model, person: Person) -> Array:
    values: dict[str, Array | float] = {n: p.value for n, p in model.parameters.items()}
    covariates: Mapping[str, float | None] = person.covariates()
    for name in COVARIATES:
        known = covariates[name]
        if known is not None:
            values[name] = known
        elif name in model.reference:
            values[name] = model.reference[name]
    for relation in model.covariates:
        values[relation.parameter] = evaluate(relation.value, values, 1)[0]
    return np.array([float(values[name]) for name in model.parameters])


@lru_cache(maxsize=256)
def _cholesky(rows: tuple[tuple[float, ...], ...]) -> Array:
    size = len(rows)
    full = np.zeros((size, size))
    for i, row in enumerate(rows):
        full[i, : i + 1] = row
        full[: i + 1, i] = row
    return np.linalg.cholesky(full).astype(np.float64)


def _vary(model: Model, block: Variability, values: Array, normals: Array) -> None:
    eta = normals @ _cholesky(tuple(tuple(row) for row in block.omega)).T
    names = list(model.parameters)
    for j, name in enumerate(block.parameters):
        i = names.index(name)
        if block.scale == "log":
            values[:, i] *= np.exp(eta[:, j])
        elif block.scale == "logit":
            values[:, i] = 1.0 / (1.0 + (1.0 / values[:, i] - 1.0) * np.exp(-eta[:, j]))
        else:
            values[:, i] += eta[:, j]


def _interact(model: Model, person: Person, route: str | None, values: Array) -> Array:
    chosen = model.routes[0] if route is None else route
    if chosen not in model.routes_of_dose:
        raise ValueError(
            f"Model {model.id} has no route '{chosen}'. It covers: {', '.join(model.routes)}."
        )
    ratio = math.prod(i.auc_ratio for i in interactions_of(person, chosen))
    scales = model.routes_of_dose[chosen].scale_by_auc_ratio
    if ratio == 1.0 or not scales:
        return values
    names = list(model.parameters)
    before: dict[str, Array | float] = {n: values[:, i] for i, n in enumerate(names)}
    before["auc_ratio"] = ratio
    scaled = values.copy()
    for name, text in scales.items():
        scaled[:, names.index(name)] = evaluate(text, before, values.shape[0])
    return scaled
