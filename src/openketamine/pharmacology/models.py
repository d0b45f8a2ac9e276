"""Published models as data: the format, its checks, and the library that comes with the package.

A model file is written to be held against the paper: population, structure, each parameter with
unit, value and certainty, covariate relations, variability, residual error and source. Nothing in
the solver knows a drug's name; a model of your own in the same format works as these do
(`read_model`).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from openketamine.pharmacology.expressions import names_in

Certainty = Literal["verified", "verified (abstract)", "verified (secondary)", "recalled", "DESIGN"]
Drug = Literal["racemic", "s-ketamine", "esketamine"]
Route = Literal["iv", "im", "sc", "nasal", "sublingual", "oral"]

DRUGS: tuple[Drug, ...] = ("racemic", "s-ketamine", "esketamine")
ROUTES: tuple[Route, ...] = ("iv", "im", "sc", "nasal", "sublingual", "oral")

# From the firmest to the weakest: a model is as certain as its weakest value.
CERTAINTIES: tuple[Certainty, ...] = (
    "verified",
    "verified (abstract)",
    "verified (secondary)",
    "recalled",
    "DESIGN",
)

#: Names a covariate relation may use. Those of a person whose value is unknown take the model's
#: own reference person, and the forecast says so.
COVARIATES = (
    "age_years",
    "weight_kg",
    "height_cm",
    "female",
    "asian",
    "japanese",
)
#: Names an input may use besides: of the dose itself.
DOSE_NAMES = ("dose_mg", "dose_number")

Expression = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Part):
    """Where a model, a value or an interaction comes from."""

    citation: str
    doi: str | None = None
    note: str | None = None


class Parameter(_Part):
    """One typical value, in the unit of the paper."""

    value: float
    unit: str
    meaning: str
    certainty: Certainty
    source: str | None = None


class Relation(_Part):
    """A covariate relation: the individual's typical value of one parameter."""

    parameter: str
    value: Expression
    meaning: str
    certainty: Certainty
    source: str | None = None


class Variability(_Part):
    """Random effects, correlated within one block.

    `omega` is the lower triangle of the covariance matrix on the scale named: `log` multiplies by
    exp(eta), `logit` adds eta to the logit, `additive` adds eta.
    """

    parameters: list[str] = Field(min_length=1)
    omega: list[list[float]]
    scale: Literal["log", "logit", "additive"] = "log"
    level: Literal["person", "occasion", "uncertainty"] = "person"
    certainty: Certainty
    source: str | None = None

    @model_validator(mode="after")
    def _lower_triangle(self) -> Self:
        if [len(row) for row in self.omega] != list(range(1, len(self.parameters) + 1)):
            raise ValueError(
                f"omega of {', '.join(self.parameters)} must be a lower triangle with "
                f"{len(self.parameters)} row(s)"
            )
        return self


class Flow(_Part):
    """First-order transfer between two states; without `to` it leaves the body."""

    from_: str = Field(alias="from")
    to: str | None = None
    rate: Expression


class Chain(_Part):
    """A row of equal transit compartments; what leaves the last arrives at `to`, in part."""

    name: str
    compartments: int = Field(ge=1, le=20)
    rate: Expression
    to: str
    fraction: Expression = "1"


class Entry(_Part):
    """One way in for a dose: a fraction of it, into one state, at once or at a constant rate."""

    to: str
    fraction: Expression
    over: Expression | None = None
    lag: Expression | None = None


class RouteOfDose(_Part):
    """How a dose by one route enters the body."""

    paths: list[Entry] = Field(min_length=1)
    device_mg: float | None = Field(default=None, gt=0)
    scale_by_auc_ratio: dict[str, Expression] = Field(default_factory=dict)
    note: str | None = None


class Residual(_Part):
    """Residual error of a measured concentration."""

    proportional: float = Field(default=0.0, ge=0)
    additive_ng_per_ml: float = Field(default=0.0, ge=0)
    log_sd: float = Field(default=0.0, ge=0)
    certainty: Certainty


class Analyte(_Part):
    """A concentration one can measure: amount in a state over a volume."""

    state: str
    volume: Expression
    factor: float = 1.0
    residual: Residual
    meaning: str


class Figure(_Part):
    """A published figure the model is held against, on its page of the documentation."""

    what: str
    published: float
    unit: str
    source: str


class Model(_Part):
    """One population model, as its file says."""

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    title: str
    drugs: list[Drug] = Field(min_length=1)
    matrix: Literal["venous", "arterial"]
    population: str
    source: Source
    summary: str
    time_unit: Literal["h", "min"]
    reference: dict[str, float]
    parameters: dict[str, Parameter]
    covariates: list[Relation] = Field(default_factory=list)
    variability: list[Variability] = Field(default_factory=list)
    states: list[str] = Field(min_length=1)
    flows: list[Flow] = Field(min_length=1)
    chains: list[Chain] = Field(default_factory=list)
    routes_of_dose: dict[Route, RouteOfDose] = Field(min_length=1)
    analytes: dict[str, Analyte] = Field(min_length=1)
    s_fraction: float = Field(ge=0, le=1)
    known_flaws: list[str] = Field(default_factory=list)
    figures: list[Figure] = Field(default_factory=list)

    @property
    def drug(self) -> Drug:
        """The drug this model was made for."""
        return self.drugs[0]

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes it covers, the main one first."""
        return tuple(self.routes_of_dose)

    @property
    def parent(self) -> str:
        """The analyte that is the drug itself."""
        return next(iter(self.analytes))

    @property
    def minutes_per_unit(self) -> float:
        """Minutes in the model's own unit of time."""
        return 60.0 if self.time_unit == "h" else 1.0

    @property
    def certainty(self) -> Certainty:
        """The weakest certainty among the model's values."""
        marks = [part.certainty for part in self._marked()]
        return max(marks, key=CERTAINTIES.index)

    @property
    def certainties(self) -> dict[Certainty, int]:
        """How many of the model's values carry each certainty, the firmest first."""
        marks = [part.certainty for part in self._marked()]
        return {mark: marks.count(mark) for mark in CERTAINTIES if mark in marks}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of any figure from this model has to know."""
        found = list(self.known_flaws)
        weak: dict[Certainty, list[str]] = {}
        for name, parameter in self.parameters.items():
            if parameter.certainty in ("recalled", "DESIGN"):
                weak.setdefault(parameter.certainty, []).append(name)
        if "recalled" in weak:
            found.append(f"Recalled and not checked: {', '.join(weak['recalled'])}.")
        if "DESIGN" in weak:
            found.append(f"Chosen in the design and not published: {', '.join(weak['DESIGN'])}.")
        if self.matrix == "arterial":
            found.append(
                "Predicts arterial concentrations; venous ones during an infusion are about half."
            )
        return tuple(found)

    def _marked(self) -> Iterator[Parameter | Relation | Variability]:
        yield from self.parameters.values()
        yield from self.covariates
        yield from self.variability

    @property
    def all_states(self) -> tuple[str, ...]:
        """States with the compartments of every chain written out."""
        names = list(self.states)
        for chain in self.chains:
            names += [chain_state(chain, i) for i in range(chain.compartments)]
        return tuple(names)

    @property
    def all_flows(self) -> tuple[Flow, ...]:
        """Flows with those of every chain written out."""
        flows = [_flow(self._first(f.from_), self._first(f.to), f.rate) for f in self.flows]
        for chain in self.chains:
            for i in range(chain.compartments - 1):
                flows.append(_flow(chain_state(chain, i), chain_state(chain, i + 1), chain.rate))
            last = chain_state(chain, chain.compartments - 1)
            to = self._first(chain.to)
            flows.append(_flow(last, to, f"({chain.rate}) * ({chain.fraction})"))
            if chain.fraction != "1":
                flows.append(_flow(last, None, f"({chain.rate}) * (1 - ({chain.fraction}))"))
        return tuple(flows)

    def entry(self, path: Entry) -> str:
        """The state that a path leads into."""
        return self._first(path.to) or path.to

    def _first(self, name: str | None) -> str | None:
        """A chain is entered at its first compartment."""
        for chain in self.chains:
            if chain.name == name:
                return chain_state(chain, 0)
        return name

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        states = set(self.all_states)
        parameters = set(self.parameters)
        for flow in self.all_flows:
            for name in (flow.from_, flow.to):
                if name is not None and name not in states:
                    raise ValueError(f"a flow names '{name}', which is not a state")
            self._known(flow.rate, parameters)
        for relation in self.covariates:
            if relation.parameter not in parameters:
                raise ValueError(f"a covariate relation names '{relation.parameter}'")
            self._known(relation.value, parameters | set(COVARIATES))
            missing = names_in(relation.value) & set(COVARIATES) - set(self.reference)
            if missing:
                raise ValueError(f"the reference person lacks {', '.join(sorted(missing))}")
        for block in self.variability:
            for name in block.parameters:
                if name not in parameters:
                    raise ValueError(f"variability names '{name}', which is not a parameter")
        for route in self.routes_of_dose.values():
            for path in route.paths:
                if self.entry(path) not in states:
                    raise ValueError(f"a dose enters '{path.to}', which is not a state")
                self._known(path.fraction, parameters | set(DOSE_NAMES))
                for extra in (path.over, path.lag):
                    if extra is not None:
                        self._known(extra, parameters)
            for name, text in route.scale_by_auc_ratio.items():
                if name not in parameters:
                    raise ValueError(f"an interaction scales '{name}', which is not a parameter")
                self._known(text, parameters | {"auc_ratio"})
        for analyte in self.analytes.values():
            if analyte.state not in states:
                raise ValueError(f"an analyte names '{analyte.state}', which is not a state")
            self._known(analyte.volume, parameters)
        return self

    @staticmethod
    def _known(text: str, allowed: set[str]) -> None:
        unknown = names_in(text) - allowed
        if unknown:
            raise ValueError(f"'{text}' uses {', '.join(sorted(unknown))}, which is not defined")


def _flow(from_: str | None, to: str | None, rate: str) -> Flow:
    return Flow.model_validate({"from": from_, "to": to, "rate": rate})


def chain_state(chain: Chain, i: int) -> str:
    """The name of compartment `i` (from 0) of a chain."""
    return f"{chain.name} {i + 1}"


def read_model(path: Path | str) -> Model:
    """A model from a file of your own.

    Raises:
        ValueError: the file does not follow the format; the message says where.
    """
    return _parse(Path(path).read_text(encoding="utf-8"), str(path))


def _parse(text: str, where: str) -> Model:
    try:
        return Model.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise ValueError(f"{where} is not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ValueError(f"{where}: {at}: {first['msg']}.") from error


@lru_cache(maxsize=1)
def _library() -> dict[str, Model]:
    folder = files("openketamine.pharmacology") / "models"
    found = {}
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".yaml"):
            model = _parse(entry.read_text(encoding="utf-8"), entry.name)
            found[model.id] = model
    return found


def list_models() -> list[Model]:
    """Every model that comes with the package, by id."""
    return list(_library().values())


def load_model(model_id: str) -> Model:
    """One model of the package.

    Raises:
        ValueError: there is none of that id.
    """
    try:
        return _library()[model_id]
    except KeyError:
        raise ValueError(
            f"There is no model '{model_id}'. Use one of: {', '.join(_library())}."
        ) from None


# Where several models cover a drug and route, the clinic's default comes first: venous before
# arterial, and a model of the route's own data before one carried over.
_DEFAULTS: dict[tuple[str, str], str] = {
    ("racemic", "iv"): "racemic-iv",
    ("racemic", "im"): "racemic-im-sc",
    ("racemic", "sc"): "racemic-im-sc",
    ("racemic", "nasal"): "racemic-nasal",
    ("racemic", "sublingual"): "racemic-sublingual",
    ("racemic", "oral"): "racemic-oral",
    ("s-ketamine", "iv"): "otto-2021-s-ketamine-iv",
    ("s-ketamine", "im"): "s-ketamine-im-sc",
    ("s-ketamine", "sc"): "s-ketamine-im-sc",
    ("s-ketamine", "nasal"): "perez-ruixo-2021-esketamine",
    ("s-ketamine", "sublingual"): "simons-2022-s-ketamine-film",
    ("s-ketamine", "oral"): "s-ketamine-oral",
    ("esketamine", "iv"): "perez-ruixo-2021-esketamine",
    ("esketamine", "im"): "s-ketamine-im-sc",
    ("esketamine", "sc"): "s-ketamine-im-sc",
    ("esketamine", "nasal"): "perez-ruixo-2021-esketamine",
    ("esketamine", "sublingual"): "simons-2022-s-ketamine-film",
    ("esketamine", "oral"): "perez-ruixo-2021-esketamine",
}


def model_for(drug: str, route: str) -> Model:
    """The model used for a drug by a route.

    Args:
        drug: racemic, s-ketamine or esketamine (the same molecule as S-ketamine, as the spray).
        route: iv, im, sc, nasal, sublingual or oral.

    Raises:
        ValueError: unknown drug or route; the message lists those known.
    """
    if drug not in DRUGS:
        raise ValueError(f"Unknown drug '{drug}'. Use one of: {', '.join(DRUGS)}.")
    if route not in ROUTES:
        raise ValueError(f"Unknown route '{route}'. Use one of: {', '.join(ROUTES)}.")
    return load_model(_DEFAULTS[drug, route])
