"""Published models as data: the format, its checks, and the library that comes with the package.

A model file is written to be held against the paper: population, structure, each parameter with
unit, value and certainty, covariate relations, variability, residual error and source. Nothing in
the solver knows a drug's name; a model of your own in the same format works as these do
(`read_model`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from openketamine.pharmacology.expressions import FUNCTIONS, evaluate, names_in
from openketamine.words import _

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
_Place = tuple[str | int, ...]


class _FieldError(ValueError):
    """What is wrong with a model file, and at which field."""

    def __init__(self, place: _Place, reason: str) -> None:
        super().__init__(reason)
        self.place = place
        self.reason = reason


#: What a published figure may be a figure of (see `validation`).
Metric = Literal["Cmax", "Tmax", "AUCinf", "AUC0-24", "F", "CL", "Vss", "half-life"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


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
        size = len(self.omega)
        full = np.zeros((size, size))
        for i, row in enumerate(self.omega):
            full[i, : i + 1] = full[: i + 1, i] = row
        # Variances that are zero, and covariances larger than the variances allow.
        if np.linalg.eigvalsh(full).min() <= 0:
            raise ValueError(
                f"omega of {', '.join(self.parameters)} is not a covariance matrix: its variances "
                "must be above 0 and its covariances smaller than they allow"
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
    """How a dose by one route enters the body.

    A spray that comes in devices says how much one holds (`device_mg`) and the rest between two
    (`device_every_min`); each device then counts as a dose of its own. `scale_by_auc_ratio` says
    which parameters take a published AUC ratio of another drug, so that the parent's AUC by this
    route changes by just that ratio.
    """

    paths: list[Entry] = Field(min_length=1)
    device_mg: float | None = Field(default=None, gt=0)
    device_every_min: float = Field(default=0.0, ge=0)
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


class Given(_Part):
    """One dose of a study."""

    dose_mg: float | None = Field(default=None, gt=0)
    dose_mg_per_kg: float | None = Field(default=None, gt=0)
    route: Route
    at_min: float = 0.0
    over_min: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _one_amount(self) -> Self:
        if (self.dose_mg is None) == (self.dose_mg_per_kg is None):
            raise ValueError("say either dose_mg or dose_mg_per_kg")
        return self


class Figure(_Part):
    """A published figure that the model is held against in the documentation.

    `calibrated` figures served to choose a value of the model, so that they prove nothing about it;
    `model_based` ones are the paper's own model's, so that they prove only that it is carried over
    rightly. A half-life is that of the decline between the two times of `between_min`.
    """

    study: str
    people: str
    metric: Metric
    analyte: str
    given: list[Given] = Field(default_factory=list)
    published: float = Field(gt=0)
    unit: str
    spread: str | None = None
    between_min: tuple[float, float] | None = None
    calibrated: bool = False
    model_based: bool = False
    source: str
    certainty: Certainty
    note: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.metric not in ("CL", "Vss") and not self.given:
            raise ValueError(f"a {self.metric} needs the doses that were given")
        if (self.metric == "half-life") != (self.between_min is not None):
            raise ValueError("between_min belongs to a half-life, and a half-life needs it")
        return self


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
    studied: dict[str, tuple[float, float]] = Field(default_factory=dict)
    parameters: dict[str, Parameter] = Field(min_length=1)
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
        found = [_(flaw) for flaw in self.known_flaws]
        weak: dict[Certainty, list[str]] = {}
        for name, parameter in self.parameters.items():
            if parameter.certainty in ("recalled", "DESIGN"):
                weak.setdefault(parameter.certainty, []).append(name)
        if "recalled" in weak:
            found.append(
                _("Recalled and not checked: %(names)s.") % {"names": ", ".join(weak["recalled"])}
            )
        if "DESIGN" in weak:
            found.append(
                _("Chosen in the design and not published: %(names)s.")
                % {"names": ", ".join(weak["DESIGN"])}
            )
        if self.matrix == "arterial":
            found.append(
                _(
                    "Predicts arterial concentrations; venous ones during an infusion are about "
                    "half."
                )
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
        for name in self.parameters:
            if not name.isidentifier() or name in FUNCTIONS | set(COVARIATES) | set(DOSE_NAMES):
                raise _FieldError(("parameters", name), f"a parameter cannot be called '{name}'")
        for where, names in (("reference", self.reference), ("studied", self.studied)):
            for name in names:
                if name not in COVARIATES and (where, name) != ("studied", "dose_mg"):
                    raise _FieldError(
                        (where, name),
                        f"'{name}' is not a covariate; use {', '.join(COVARIATES)}",
                    )
        twice = [n for n in self.all_states if self.all_states.count(n) > 1]
        if twice:
            raise _FieldError(("states",), f"'{twice[0]}' is there twice")
        states = set(self.all_states)
        parameters = set(self.parameters)
        entered = states | {chain.name for chain in self.chains}
        for i, flow in enumerate(self.flows):
            if flow.from_ not in states:
                raise _FieldError(("flows", i, "from"), f"'{flow.from_}' is not a state")
            if flow.to is not None and flow.to not in entered:
                raise _FieldError(("flows", i, "to"), f"'{flow.to}' is not a state")
            if flow.to == flow.from_:
                raise _FieldError(("flows", i, "to"), f"'{flow.to}' cannot flow into itself")
            self._known(("flows", i, "rate"), flow.rate, parameters)
        for i, chain in enumerate(self.chains):
            if chain.to not in entered or chain.to == chain.name:
                raise _FieldError(("chains", i, "to"), f"'{chain.to}' is not a state")
            self._known(("chains", i, "rate"), chain.rate, parameters)
            self._known(("chains", i, "fraction"), chain.fraction, parameters)
        for i, relation in enumerate(self.covariates):
            if relation.parameter not in parameters:
                raise _FieldError(
                    ("covariates", i, "parameter"), f"'{relation.parameter}' is not a parameter"
                )
            at = ("covariates", i, "value")
            self._known(at, relation.value, parameters | set(COVARIATES))
            missing = names_in(relation.value) & set(COVARIATES) - set(self.reference)
            if missing:
                raise _FieldError(at, f"the reference person lacks {', '.join(sorted(missing))}")
        for i, block in enumerate(self.variability):
            for name in block.parameters:
                if name not in parameters:
                    raise _FieldError(
                        ("variability", i, "parameters"), f"'{name}' is not a parameter"
                    )
                if block.scale == "logit" and not 0 < self.parameters[name].value < 1:
                    raise _FieldError(
                        ("variability", i, "scale"),
                        f"{name} is {self.parameters[name].value:g}; a logit needs 0 to 1",
                    )
        for where, route in self.routes_of_dose.items():
            for i, path in enumerate(route.paths):
                at_path = ("routes_of_dose", where, "paths", i)
                if path.to not in entered:
                    raise _FieldError((*at_path, "to"), f"'{path.to}' is not a state")
                self._known((*at_path, "fraction"), path.fraction, parameters | set(DOSE_NAMES))
                for key, extra in (("over", path.over), ("lag", path.lag)):
                    if extra is not None:
                        self._known((*at_path, key), extra, parameters)
            for name, text in route.scale_by_auc_ratio.items():
                at_scale = ("routes_of_dose", where, "scale_by_auc_ratio", name)
                if name not in parameters:
                    raise _FieldError(at_scale, f"'{name}' is not a parameter")
                self._known(at_scale, text, parameters | {"auc_ratio"})
        for name, analyte in self.analytes.items():
            if analyte.state not in states:
                raise _FieldError(("analytes", name, "state"), f"'{analyte.state}' is not a state")
            self._known(("analytes", name, "volume"), analyte.volume, parameters)
        for i, figure in enumerate(self.figures):
            if figure.analyte not in self.analytes:
                raise _FieldError(
                    ("figures", i, "analyte"), f"'{figure.analyte}' is not an analyte"
                )
            for given in figure.given:
                if given.route not in self.routes_of_dose:
                    raise _FieldError(("figures", i, "given"), f"there is no route '{given.route}'")
        self._computable()
        return self

    def _computable(self) -> None:
        """Every expression gives a possible value for the reference person."""
        values: dict[str, Any] = {n: p.value for n, p in self.parameters.items()}
        values |= self.reference
        for i, relation in enumerate(self.covariates):
            value = _one(relation.value, values)
            if not math.isfinite(value):
                raise _FieldError(
                    ("covariates", i, "value"), "gives no number for the reference person"
                )
            values[relation.parameter] = value
        checks: list[tuple[_Place, str, float, float]] = []
        for i, flow in enumerate(self.flows):
            checks.append((("flows", i, "rate"), flow.rate, 0.0, math.inf))
        for i, chain in enumerate(self.chains):
            checks.append((("chains", i, "rate"), chain.rate, 0.0, math.inf))
            checks.append((("chains", i, "fraction"), chain.fraction, 0.0, 1.0))
        for where, route in self.routes_of_dose.items():
            for i, path in enumerate(route.paths):
                at = ("routes_of_dose", where, "paths", i)
                checks.append(((*at, "fraction"), path.fraction, 0.0, 10.0))
                for key, extra in (("over", path.over), ("lag", path.lag)):
                    if extra is not None:
                        checks.append(((*at, key), extra, 0.0, math.inf))
            for name, text in route.scale_by_auc_ratio.items():
                at_scale = ("routes_of_dose", where, "scale_by_auc_ratio", name)
                checks.append((at_scale, text, -math.inf, math.inf))
        for name, analyte in self.analytes.items():
            checks.append((("analytes", name, "volume"), analyte.volume, 1e-9, math.inf))
        known = values | {"dose_mg": 10.0, "dose_number": 1.0, "auc_ratio": 2.0}
        for place, text, low, high in checks:
            value = _one(text, known)
            if not (math.isfinite(value) and low <= value <= high):
                raise _FieldError(
                    place,
                    f"'{text}' is {value:g} for the reference person, which cannot be",
                )

    @staticmethod
    def _known(place: _Place, text: str, allowed: set[str]) -> None:
        try:
            unknown = names_in(text) - allowed
        except ValueError as error:
            raise _FieldError(place, str(error).rstrip(".")) from None
        if unknown:
            raise _FieldError(
                place, f"'{text}' uses {', '.join(sorted(unknown))}, which is not defined"
            )


def _one(text: str, values: dict[str, Any]) -> float:
    return float(evaluate(text, values, 1)[0])


def _flow(from_: str | None, to: str | None, rate: str) -> Flow:
    return Flow.model_validate({"from": from_, "to": to, "rate": rate})


def chain_state(chain: Chain, i: int) -> str:
    """The name of compartment `i` (from 0) of a chain."""
    return f"{chain.name} {i + 1}"


def read_model(path: Path | str) -> Model:
    """A model from a file of your own.

    Raises:
        ValueError: the file cannot be read or does not follow the format; the message names the
            file, the line, the field and the reason.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"Cannot read the model file {path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file in UTF-8.") from None
    return _parse(text, str(path))


class _Loader(yaml.SafeLoader):
    """YAML in which a key that is there twice is an error, and not the last one wins."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"'{key.value}' is there twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _parse(text: str, where: str) -> Model:
    try:
        content = yaml.load(text, _Loader)  # noqa: S506 - derived from the safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f", line {mark.line + 1}" if mark else ""
        raise ValueError(f"{where}{at}: {error.problem}.") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{where} is not YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(content, dict):
        raise ValueError(
            f"{where} is not a model file: it must have fields such as 'id: my-model'."
        )
    try:
        return Model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        cause = first.get("ctx", {}).get("error")
        place: Sequence[str | int] = first["loc"]
        reason = first["msg"].removeprefix("Value error, ")
        if isinstance(cause, _FieldError):
            place, reason = cause.place, cause.reason
        field = ".".join(str(part) for part in place) or "the file"
        line = _line_of(text, place)
        raise ValueError(f"{where}, line {line}: {field}: {reason}.") from error


def _line_of(text: str, place: Sequence[str | int]) -> int:
    """The line of a field, or of the nearest one around it that is there."""
    node = yaml.compose(text, yaml.SafeLoader)
    line = 1
    for part in place:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if k.value == str(part)]
            if not found:
                break
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            if part >= len(node.value):
                break
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line


_FOLDER = files("openketamine.pharmacology") / "models"


@lru_cache(maxsize=1)
def _ids() -> tuple[str, ...]:
    """Ids of the package's models; each file is called by its model's id."""
    names = (entry.name for entry in _FOLDER.iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


@lru_cache(maxsize=64)
def _read(model_id: str) -> Model:
    name = f"{model_id}.yaml"
    model = _parse((_FOLDER / name).read_text(encoding="utf-8"), name)
    if model.id != model_id:
        raise ValueError(f"{name}: its id must be '{model_id}', not '{model.id}'.")
    return model


def list_models() -> list[Model]:
    """Every model that comes with the package, by id."""
    return [_read(model_id) for model_id in _ids()]


def load_model(model_id: str) -> Model:
    """One model of the package.

    Raises:
        ValueError: there is none of that id.
    """
    if model_id not in _ids():
        raise ValueError(f"There is no model '{model_id}'. Use one of: {', '.join(_ids())}.")
    return _read(model_id)


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
