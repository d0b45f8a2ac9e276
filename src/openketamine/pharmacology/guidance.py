"""Dose guidance: which doses are forecast to meet a target, and what each would cost.

Information for a prescriber, never an order: it knows nothing of the label, of the clinic's policy,
of the indication or of the patient's history, and says so in every answer.

    target = Target(dissociation_at_least=0.5, systolic_limit_mmhg=180, systolic_at_most=0.02)
    found = guide(model, person, baseline, target, route="iv")
    found.ranges        # per duration, the doses that meet the target
    found.options       # the whole trade-off, to be drawn
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from openketamine.pharmacology.dosing import Dose
from openketamine.pharmacology.ensemble import interval_of
from openketamine.pharmacology.forecast import Forecast
from openketamine.pharmacology.models import Model
from openketamine.pharmacology.people import Person
from openketamine.words import _, _noop

# What is looked at when the caller does not say: a range to draw, not a recommendation.
_MG_PER_KG = {
    "iv": (0.1, 1.0),
    "im": (0.1, 1.5),
    "sc": (0.1, 1.5),
    "nasal": (0.2, 1.5),
    "sublingual": (0.5, 4.0),
    "oral": (0.5, 4.0),
}
_STEPS = 10
_DURATIONS_MIN = {"iv": (20.0, 40.0, 60.0, 90.0)}
_DEVICES = 3
# The bounds of a target, as sentences name them.
BOUNDS = (
    _noop("peak at least"),
    _noop("peak in range"),
    _noop("dissociation at least"),
    _noop("dissociation at most"),
    _noop("strong dissociation at most"),
    _noop("sedation at most"),
    _noop("systolic at most"),
)


@dataclass(frozen=True, slots=True)
class Target:
    """What a session should reach and stay below. None leaves a bound out; give at least one.

    Args:
        peak_low_ng_per_ml, peak_high_ng_per_ml: range for the drug's peak in plasma (of the
            model's matrix), to be met with at least `peak_at_least` probability.
        dissociation_at_least, dissociation_at_most: bounds on the probability of clinically
            meaningful dissociation at any time.
        strong_dissociation_at_most: bound on the probability of an experience that crosses the
            threshold of severe.
        sedation_at_most: bound on the probability of sedation.
        systolic_limit_mmhg, systolic_at_most: the probability that systolic pressure passes the
            limit at any time stays at or below the bound.
    """

    peak_low_ng_per_ml: float | None = None
    peak_high_ng_per_ml: float | None = None
    peak_at_least: float = 0.5
    dissociation_at_least: float | None = None
    dissociation_at_most: float | None = None
    strong_dissociation_at_most: float | None = None
    sedation_at_most: float | None = None
    systolic_limit_mmhg: float | None = None
    systolic_at_most: float = 0.05

    def __post_init__(self) -> None:
        for name in (
            "peak_at_least",
            "dissociation_at_least",
            "dissociation_at_most",
            "strong_dissociation_at_most",
            "sedation_at_most",
            "systolic_at_most",
        ):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(
                    _("%(what)s is a probability from 0 to 1, not %(value)s.")
                    % {
                        "what": _(name.replace("_", " ")).capitalize(),
                        "value": f"{value:g}",
                    }
                )
        low, high = self.peak_low_ng_per_ml, self.peak_high_ng_per_ml
        for value in (low, high):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ValueError(
                    _("A peak of %(value)s ng/mL is not possible.") % {"value": f"{value:g}"}
                )
        if low is not None and high is not None and low >= high:
            raise ValueError(
                _("The peak's range must rise: %(low)s is not below %(high)s ng/mL.")
                % {"low": f"{low:g}", "high": f"{high:g}"}
            )
        limit = self.systolic_limit_mmhg
        if limit is not None and not 60 <= limit <= 300:
            raise ValueError(
                _("A systolic limit of %(limit)s mmHg is not possible; use 60 to 300.")
                % {"limit": f"{limit:g}"}
            )
        if not self._bounds():
            raise ValueError(
                _(
                    "Say what the session should reach: a range for the peak, or a bound on "
                    "dissociation, sedation or systolic pressure."
                )
            )

    def _bounds(self) -> list[str]:
        return [
            name
            for name in (
                "peak_low_ng_per_ml",
                "peak_high_ng_per_ml",
                "dissociation_at_least",
                "dissociation_at_most",
                "strong_dissociation_at_most",
                "sedation_at_most",
                "systolic_limit_mmhg",
            )
            if getattr(self, name) is not None
        ]


@dataclass(frozen=True, slots=True)
class Option:
    """One way of giving the drug, and what is forecast of it.

    Attributes:
        dose_mg, dose_mg_per_kg, duration_min: what is given, and over how long (0: at once).
        rate_mg_per_h: of the pump; None for a dose given at once.
        peak_ng_per_ml: 5 %, median and 95 % of the drug's peak in plasma.
        p_peak_in_range: None where no range was asked for.
        p_dissociation, p_strong_dissociation, p_sedation, p_nausea: at any time of the session.
        p_systolic_above: of passing the limit at any time; None where none was asked for.
        systolic_peak_mmhg: 5 %, median and 95 % of the highest true systolic pressure.
        ready_to_go_home_min: median; None where it lies beyond the forecast.
        margins: bound -> how far it is kept (below 0: broken), in probability.
    """

    dose_mg: float
    dose_mg_per_kg: float
    duration_min: float
    rate_mg_per_h: float | None
    peak_ng_per_ml: tuple[float, float, float]
    p_peak_in_range: float | None
    p_dissociation: float
    p_strong_dissociation: float
    p_sedation: float
    p_nausea: float
    p_systolic_above: float | None
    systolic_peak_mmhg: tuple[float, float, float]
    ready_to_go_home_min: float | None
    margins: dict[str, float]

    @property
    def meets(self) -> bool:
        """Whether every bound of the target is kept."""
        return all(margin >= 0 for margin in self.margins.values())


@dataclass(frozen=True, slots=True)
class DoseRange:
    """Doses over one duration that are forecast to meet the target, between those looked at."""

    duration_min: float
    low_mg: float
    high_mg: float


@dataclass(frozen=True, slots=True)
class Guidance:
    """What was looked at, what meets the target, and the words that belong beside it.

    Attributes:
        options: every combination, by duration and then dose; rows of the trade-off.
        ranges: doses that meet the target, by linear interpolation between the options.
        words: to be shown with it.
    """

    target: Target
    route: str
    options: tuple[Option, ...]
    ranges: tuple[DoseRange, ...]
    words: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def meeting(self) -> tuple[Option, ...]:
        """The options that meet the target."""
        return tuple(option for option in self.options if option.meets)

    def curve(self, duration_min: float) -> dict[str, list[float]]:
        """The trade-off over dose for one duration, for drawing: name -> one value per dose."""
        rows = [o for o in self.options if o.duration_min == duration_min]
        found = {
            "dose_mg": [o.dose_mg for o in rows],
            "peak_median_ng_per_ml": [o.peak_ng_per_ml[1] for o in rows],
            "p_dissociation": [o.p_dissociation for o in rows],
            "p_strong_dissociation": [o.p_strong_dissociation for o in rows],
            "p_sedation": [o.p_sedation for o in rows],
            "p_nausea": [o.p_nausea for o in rows],
            "systolic_peak_median_mmhg": [o.systolic_peak_mmhg[1] for o in rows],
        }
        above = [o.p_systolic_above for o in rows if o.p_systolic_above is not None]
        if rows and len(above) == len(rows):
            found["p_systolic_above"] = above
        return found


def guide(
    model: Model,
    person: Person,
    baseline: Mapping[str, float | None],
    target: Target,
    *,
    route: str | None = None,
    doses_mg: Sequence[float] | None = None,
    durations_min: Sequence[float] | None = None,
    seed: int = 1,
    n: int = 1024,
    carried: Mapping[str, Any] | None = None,
    horizon_min: float = 240.0,
) -> Guidance:
    """Which doses are forecast to meet a target in this person, and the trade-off among them.

    Args:
        route: one the model covers; its main one by default.
        doses_mg: to look at, at least two for ranges; by default ten over what is in use for the
            route, or up to three devices of a spray.
        durations_min: for iv and sc; 0 gives at once. By default 20, 40, 60 and 90 min by vein.
        n: versions of the person; every option is tried on the same ones.
        carried: of an earlier session, see `Forecast.carry_over`.

    Raises:
        ValueError: a route the model lacks, or a dose or duration that cannot be.
    """
    chosen = model.routes[0] if route is None else route
    if chosen not in model.routes_of_dose:
        raise ValueError(
            f"Model {model.id} has no route '{chosen}'. It covers: {', '.join(model.routes)}."
        )
    doses = _doses(model, person, chosen) if doses_mg is None else sorted(set(doses_mg))
    durations = (
        _DURATIONS_MIN.get(chosen, (0.0,)) if durations_min is None else sorted(set(durations_min))
    )
    if not doses or not durations:
        raise ValueError(_("Give at least one dose and one duration to look at."))
    forecast: Forecast | None = None
    options = []
    for duration in durations:
        for dose in doses:
            given = [Dose(0.0, float(dose), chosen, float(duration))]
            if forecast is None:
                forecast = Forecast.start(
                    model,
                    person,
                    baseline,
                    given,
                    seed=seed,
                    n=n,
                    carried=carried,
                    horizon_min=horizon_min,
                )
            else:
                forecast.update(given, ())
            options.append(_option(forecast, person, target, given[0]))
    assert forecast is not None
    ranges = tuple(
        found
        for duration in durations
        for found in _ranges([o for o in options if o.duration_min == duration])
    )
    return Guidance(
        target=target,
        route=chosen,
        options=tuple(options),
        ranges=ranges,
        words=_words(options, ranges),
        warnings=forecast.warnings,
    )


def _doses(model: Model, person: Person, route: str) -> list[float]:
    device = model.routes_of_dose[route].device_mg  # type: ignore[index]
    if device is not None:
        return [device * (k + 1) for k in range(_DEVICES)]
    low, high = _MG_PER_KG[route]
    return [float(d) for d in np.round(np.linspace(low, high, _STEPS) * person.weight_kg, 1)]


def _option(forecast: Forecast, person: Person, target: Target, dose: Dose) -> Option:
    weights = forecast.weights
    peaks = forecast.peak_concentrations()
    chances = forecast.chances()
    low, high = target.peak_low_ng_per_ml, target.peak_high_ng_per_ml
    within = None
    if low is not None or high is not None:
        inside = (peaks >= (low or 0.0)) & (peaks <= (math.inf if high is None else high))
        within = float(weights @ inside)
    above = None
    if target.systolic_limit_mmhg is not None:
        above = forecast.probability_above(
            "systolic_mmhg", target.systolic_limit_mmhg, within_min=2880.0
        )
    margins = {}
    if within is not None:
        margins["peak_in_range"] = within - target.peak_at_least
    if target.dissociation_at_least is not None:
        margins["dissociation_at_least"] = chances["dissociation"] - target.dissociation_at_least
    for name, symptom in (
        ("dissociation_at_most", "dissociation"),
        ("strong_dissociation_at_most", "strong dissociation"),
        ("sedation_at_most", "sedation"),
    ):
        bound = getattr(target, name)
        if bound is not None:
            margins[name] = bound - chances[symptom]
    if above is not None:
        margins["systolic_at_most"] = target.systolic_at_most - above
    systolic = forecast.peaks()["systolic_mmhg"]
    return Option(
        dose_mg=dose.dose_mg,
        dose_mg_per_kg=dose.dose_mg / person.weight_kg,
        duration_min=dose.duration_min,
        rate_mg_per_h=60 * dose.dose_mg / dose.duration_min if dose.duration_min else None,
        peak_ng_per_ml=interval_of(peaks, weights, 0.9),
        p_peak_in_range=within,
        p_dissociation=chances["dissociation"],
        p_strong_dissociation=chances["strong dissociation"],
        p_sedation=chances["sedation"],
        p_nausea=chances["nausea"],
        p_systolic_above=above,
        systolic_peak_mmhg=(systolic.low, systolic.median, systolic.high),
        ready_to_go_home_min=forecast.milestones()["ready_to_go_home"].median_min,
        margins=margins,
    )


def _ranges(row: list[Option]) -> list[DoseRange]:
    """Where, along the doses of one duration, the least margin is not below 0."""
    if len(row) < 2:
        return [DoseRange(o.duration_min, o.dose_mg, o.dose_mg) for o in row if o.meets]
    found: list[DoseRange] = []
    begin: float | None = row[0].dose_mg if row[0].meets else None
    for left, right in pairwise(row):
        # Between two doses each margin is a straight line; all are kept on one stretch.
        enter, leave = 0.0, 1.0
        for name, a in left.margins.items():
            b = right.margins[name]
            if a < 0 and b < 0:
                enter, leave = 1.0, 0.0
            elif a < 0 <= b:
                enter = max(enter, a / (a - b))
            elif b < 0 <= a:
                leave = min(leave, a / (a - b))
        step = right.dose_mg - left.dose_mg
        if enter > leave:
            continue
        if begin is None:
            begin = left.dose_mg + enter * step
        if leave < 1.0:
            found.append(DoseRange(left.duration_min, begin, left.dose_mg + leave * step))
            begin = None
    if begin is not None:
        found.append(DoseRange(row[-1].duration_min, begin, row[-1].dose_mg))
    return found


def _words(options: Sequence[Option], ranges: Sequence[DoseRange]) -> tuple[str, ...]:
    words = [
        _(
            "Information for the prescriber, not an order and not a recommendation: label, clinic "
            "policy, order limits, indication and history are not considered here."
        )
    ]
    if not ranges:
        missed = {name for o in options for name, margin in o.margins.items() if margin < 0}
        never = [
            _(name.replace("_", " "))
            for name in sorted(missed)
            if all(o.margins[name] < 0 for o in options)
        ]
        words.append(
            _("None of the doses looked at is forecast to meet the target; never kept: %(bounds)s.")
            % {"bounds": ", ".join(never)}
            if never
            else _(
                "None of the doses looked at is forecast to meet the target: its bounds exclude "
                "another."
            )
        )
        return tuple(words)
    for found in ranges:
        span = (
            f"{found.low_mg:.3g} mg"
            if found.high_mg - found.low_mg < 0.05
            else _("%(low)s to %(high)s mg")
            % {"low": f"{found.low_mg:.3g}", "high": f"{found.high_mg:.3g}"}
        )
        if found.duration_min:
            words.append(
                _(
                    "%(doses)s over %(minutes)s min (%(low)s to %(high)s mg/h) is forecast to meet "
                    "the target."
                )
                % {
                    "doses": span,
                    "minutes": f"{found.duration_min:g}",
                    "low": f"{60 * found.low_mg / found.duration_min:.3g}",
                    "high": f"{60 * found.high_mg / found.duration_min:.3g}",
                }
            )
        else:
            words.append(_("%(doses)s at once is forecast to meet the target.") % {"doses": span})
    return tuple(words)


def as_json(found: Guidance) -> dict[str, Any]:
    """For machines; probabilities from 0 to 1."""
    return {
        "route": found.route,
        "words": list(found.words),
        "warnings": list(found.warnings),
        "target": {k: v for k, v in asdict(found.target).items() if v is not None},
        "ranges": [asdict(span) for span in found.ranges],
        "options": [asdict(option) | {"meets": option.meets} for option in found.options],
    }


def print_guidance(found: Guidance) -> None:
    """The words first, then the trade-off as a table, a row for each dose and duration."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    for sentence in found.words:
        console.print(sentence, markup=False)
    table = Table(title="Forecast of each option: median (90 % interval)", title_justify="left")
    for heading in ("dose", "over", "rate", "peak, ng/mL", "dissociation", "strong", "sedation"):
        table.add_column(heading, justify="right")
    above = found.target.systolic_limit_mmhg
    table.add_column("nausea", justify="right")
    table.add_column("peak systolic", justify="right")
    if above is not None:
        table.add_column(f"above {above:g}", justify="right")
    table.add_column("home, min", justify="right")
    table.add_column("target")
    for o in found.options:
        cells = [
            f"{o.dose_mg:.3g} mg",
            f"{o.duration_min:g} min" if o.duration_min else "at once",
            "" if o.rate_mg_per_h is None else f"{o.rate_mg_per_h:.3g} mg/h",
            "{1:.0f} ({0:.0f}-{2:.0f})".format(*o.peak_ng_per_ml),
            *(
                f"{100 * chance:.0f} %"
                for chance in (o.p_dissociation, o.p_strong_dissociation, o.p_sedation, o.p_nausea)
            ),
            "{1:.0f} ({0:.0f}-{2:.0f})".format(*o.systolic_peak_mmhg),
        ]
        if o.p_systolic_above is not None:
            cells.append(f"{100 * o.p_systolic_above:.0f} %")
        cells.append("" if o.ready_to_go_home_min is None else f"{o.ready_to_go_home_min:.0f}")
        broken = [name.replace("_", " ") for name, margin in o.margins.items() if margin < 0]
        cells.append("met" if o.meets else "not met: " + ", ".join(broken))
        table.add_row(*cells)
    console.print(table)
    for warning in found.warnings:
        console.print(f"! {warning}", markup=False)
