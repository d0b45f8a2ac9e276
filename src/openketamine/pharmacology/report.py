"""A forecast put together for a reader: table, plot, CSV, PNG, JSON."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from openketamine.pharmacology.dosing import Dose, RateSegment, dose_warnings, total_dose_mg
from openketamine.pharmacology.forecast import LONGEST_MIN, Outlook, outlook
from openketamine.pharmacology.kinetics import Exposure, Kinetics, exposure
from openketamine.pharmacology.models import Model
from openketamine.pharmacology.people import (
    Person,
    person_warnings,
    sample_parameters,
    typical_parameters,
)

Array = npt.NDArray[np.float64]

# People solved at a time: what is kept of each is small, what is computed on the way is not.
_AT_A_TIME = 8192
_METRICS = {
    "cmax": ("cmax_ng_per_ml", "ng/mL"),
    "tmax_min": ("tmax_min", "min"),
    "auc_inf": ("auc_inf_ng_h_per_ml", "ng*h/mL"),
    "auc_0_24h": ("auc_0_24h_ng_h_per_ml", "ng*h/mL"),
}


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure read off the curves.

    Attributes:
        median: of the median person, whose every random effect is at its median. Published tables
            of a model's predictions are of this person.
        low, high: ends of the interval over the plausible versions of the person.
        ensemble_median: the median over those versions. Random effects that bend the curve move it
            a few percent off the median person's.
        unit: of all of these.
    """

    median: float
    low: float
    high: float
    ensemble_median: float
    unit: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a forecast says.

    Attributes:
        quantiles: the probabilities of each quantity's rows, such as (0.05, 0.25, 0.5, 0.75, 0.95).
        quantities: name -> (unit, shape (quantiles, t)): the analytes, then the effects.
        analytes: name -> name of the metric -> what was read off.
        effects: what to expect; None where the times reach farther than effects are forecast.
    """

    model: Model
    person: Person
    route: str
    dose_mg: float
    interval: float
    people: int
    warnings: tuple[str, ...]
    times_min: Array
    quantiles: tuple[float, ...]
    quantities: dict[str, tuple[str, Array]]
    analytes: dict[str, dict[str, Metric]]
    effects: Outlook | None

    def as_json(self) -> dict[str, Any]:
        """For machines: ng/mL, min, ng*h/mL."""
        return {
            "model": self.model.id,
            "source": self.model.source.model_dump(),
            "matrix": self.model.matrix,
            "certainty": self.model.certainty,
            "dose_mg": self.dose_mg,
            "people": self.people,
            "interval": self.interval,
            "warnings": list(self.warnings),
            "times_min": self.times_min.tolist(),
            "quantities": {
                name: {
                    "unit": unit,
                    "quantiles": {
                        f"{q:g}": [float(f"{v:.6g}") for v in row]
                        for q, row in zip(self.quantiles, rows, strict=True)
                    },
                }
                for name, (unit, rows) in self.quantities.items()
            },
            "analytes": {
                name: {
                    metric: {
                        "median": found.median,
                        "interval": [found.low, found.high],
                        "ensemble_median": found.ensemble_median,
                        "unit": found.unit,
                    }
                    for metric, found in metrics.items()
                }
                for name, metrics in self.analytes.items()
            },
            **({} if self.effects is None else _expected(self.effects)),
        }


def _expected(effects: Outlook) -> dict[str, Any]:
    return {
        "milestones": {
            name: {
                "probability": found.probability,
                "median_min": found.median_min,
                "interval_min": [found.low_min, found.high_min],
            }
            for name, found in effects.milestones.items()
        },
        "peaks": {
            name: {
                "median": found.median,
                "interval": [found.low, found.high],
                "median_min": found.median_min,
                "interval_min": [found.low_min, found.high_min],
            }
            for name, found in effects.peaks.items()
        },
        "chances": {name.replace(" ", "_"): chance for name, chance in effects.chances.items()},
    }


def make_report(
    model: Model,
    person: Person,
    doses: Sequence[Dose | RateSegment],
    *,
    route: str,
    until_min: float,
    step_min: float,
    people: int,
    interval: float,
    seed: int,
    baseline: Mapping[str, float | None] | None = None,
) -> Report:
    """Forecast a session: concentrations, what is read off them, and effects.

    Args:
        baseline: vital signs before the dose, see `Forecast.start`.

    Raises:
        ValueError: the doses do not fit the model, or the times are too many.
    """
    if step_min > until_min:
        raise ValueError(
            "The spacing of the times is longer than the forecast; use a shorter --step."
        )
    count = int(np.floor(until_min / step_min + 1e-9)) + 1
    if count > 5000:
        raise ValueError(f"{count} times are too many to show; use a longer --step.")
    times: Array = np.arange(count, dtype=np.float64) * step_min
    tail = (1 - interval) / 2
    quantiles = (round(tail, 6), 0.25, 0.5, 0.75, round(1 - tail, 6))
    parameters = sample_parameters(model, person, people, seed=seed, route=route)
    conc: dict[str, list[Array]] = {name: [] for name in model.analytes}
    exposures: dict[str, list[Exposure]] = {name: [] for name in model.analytes}
    for first in range(0, people, _AT_A_TIME):
        kinetics = Kinetics(model, parameters.take(slice(first, first + _AT_A_TIME)))
        for name, values in kinetics.at(doses, times).items():
            conc[name].append(values.astype(np.float32))
        for name, found in exposure(kinetics, doses, step_min=1.0).items():
            exposures[name].append(found)
    usual = exposure(Kinetics(model, typical_parameters(model, person, route)), doses)
    quantities = {
        name: ("ng/mL", np.quantile(np.concatenate(parts), quantiles, axis=0))
        for name, parts in conc.items()
    }
    analytes = {}
    for name, found_parts in exposures.items():
        metrics = {}
        for metric, (attribute, unit) in _METRICS.items():
            values = np.concatenate([getattr(part, attribute) for part in found_parts])
            low, middle, high = (float(v) for v in np.quantile(values, [tail, 0.5, 1 - tail]))
            median = float(getattr(usual[name], attribute)[0])
            metrics[metric] = Metric(median, low, high, middle, unit)
        analytes[name] = metrics
    effects = None
    beyond = ("Effects are forecast for at most a week; shorten --until to see them.",)
    if until_min <= LONGEST_MIN:
        effects = outlook(
            model,
            person,
            doses,
            times,
            baseline=baseline or {},
            quantiles=quantiles,
            interval=interval,
            people=people,
            seed=seed,
        )
        quantities |= effects.quantities
    return Report(
        model=model,
        person=person,
        route=route,
        dose_mg=total_dose_mg(doses),
        interval=interval,
        people=people,
        warnings=(
            *dose_warnings(model, doses),
            *person_warnings(model, person, route),
            *model.warnings,
            *(beyond if effects is None else effects.warnings),
        ),
        times_min=times,
        quantiles=quantiles,
        quantities=quantities,
        analytes=analytes,
        effects=effects,
    )


def print_report(report: Report) -> None:
    """A table of times, what is read off the curves, a plot, and the warnings."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    model = report.model
    console.print(f"[bold]{model.title}[/bold]")
    console.print(
        f"{report.dose_mg:.4g} mg by {report.route}; {_of(report.person)}; {model.matrix} plasma; "
        f"{report.people} plausible versions of this person",
        markup=False,
    )
    console.print(
        f"{model.source.citation} ({model.id}); weakest value: {model.certainty}", markup=False
    )
    percent = f"{100 * report.interval:g} %"
    table = Table(title=f"Concentration, ng/mL: median ({percent} interval)", title_justify="left")
    table.add_column("min", justify="right")
    for name in model.analytes:
        table.add_column(name, justify="right")
    every = max(1, round(len(report.times_min) / 12))
    for i in range(0, len(report.times_min), every):
        cells = [
            f"{rows[2, i]:.1f} ({rows[0, i]:.1f}-{rows[4, i]:.1f})"
            for _, rows in (report.quantities[name] for name in model.analytes)
        ]
        table.add_row(f"{report.times_min[i]:g}", *cells)
    console.print(table)
    summary = Table(title=f"Median person ({percent} interval)", title_justify="left")
    for heading in ("", "Cmax, ng/mL", "Tmax, min", "AUC to infinity, ng*h/mL", "AUC 0-24 h"):
        summary.add_column(heading, justify="right" if heading else "left")
    for name, metrics in report.analytes.items():
        summary.add_row(
            name,
            *(
                f"{_figure(found.median)} ({_figure(found.low)}-{_figure(found.high)})"
                for found in (metrics[m] for m in _METRICS)
            ),
        )
    console.print(summary)
    if report.effects is not None:
        console.print(_effects_table(report, report.effects, percent))
    name, (_, rows) = next(iter(report.quantities.items()))
    console.print(f"{name}, ng/mL: [bold]•[/bold] median, ░ {percent} interval")
    for line in plot(report.times_min, rows[0], rows[2], rows[4]):
        console.print(line, markup=False)
    for warning in report.warnings:
        console.print(f"! {warning}", markup=False)


def _effects_table(report: Report, effects: Outlook, percent: str) -> Any:
    from rich.table import Table

    table = Table(title=f"What to expect: median ({percent} interval)", title_justify="left")
    table.add_column("")
    table.add_column("", justify="right")
    for name, found in effects.milestones.items():
        when = "hardly ever"
        if found.median_min is not None:
            when = f"{found.median_min:.0f} min ({found.low_min:.0f}-{found.high_min:.0f})"
            if found.probability < 0.995:
                when += f", if at all ({100 * found.probability:.0f} %)"
        table.add_row(name.replace("_", " "), when)
    for name in ("systolic_rise_mmhg", "diastolic_rise_mmhg", "heart_rate_rise_bpm"):
        unit, rows = report.quantities[name]
        at = int(rows[2].argmax())
        table.add_row(
            f"rise of {name.split('_rise')[0].replace('_', ' ')} at {report.times_min[at]:g} min",
            f"{rows[2, at]:+.0f} {unit} ({rows[0, at]:+.0f} to {rows[4, at]:+.0f})",
        )
    for name, chance in effects.chances.items():
        table.add_row(f"{name} at any time", f"{100 * chance:.0f} %")
    return table


def _figure(value: float) -> str:
    """Three significant digits, and never a power of ten."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _of(person: Person) -> str:
    parts = [f"{person.age_years:g} years", f"{person.weight_kg:g} kg"]
    if person.height_cm is not None:
        parts.append(f"{person.height_cm:g} cm")
    parts += [part for part in (person.sex, person.ancestry) if part is not None]
    if person.hepatic not in (None, "none"):
        parts.append(f"{person.hepatic} hepatic impairment")
    return ", ".join([*parts, *(f"with {name}" for name in person.drugs)])


def plot(
    times_min: Array, low: Array, median: Array, high: Array, *, width: int = 64, height: int = 12
) -> list[str]:
    """A curve with its interval in characters, one string a line."""
    top = float(high.max()) or 1.0
    at = np.linspace(times_min[0], times_min[-1], width)
    rows = [
        np.clip(np.round(np.interp(at, times_min, v) / top * (height - 1)), 0, height - 1)
        for v in (low, median, high)
    ]
    lines = []
    for level in range(height - 1, -1, -1):
        cells = "".join(
            "•" if mid == level else "░" if lo <= level <= hi else " "
            for lo, mid, hi in zip(*rows, strict=True)
        )
        label = f"{top * level / (height - 1):.0f}" if level % 3 == 2 or level == 0 else ""
        lines.append(f"{label:>6} │{cells.rstrip()}")
    lines.append(" " * 7 + "└" + "─" * width)
    end = f"{times_min[-1]:g} min"
    lines.append(" " * 8 + f"{times_min[0]:g}" + end.rjust(width - len(f"{times_min[0]:g}")))
    return lines


def write_csv(report: Report, out: TextIO) -> None:
    """One row for each time and quantity."""
    writer = csv.writer(out)
    writer.writerow(["time_min", "quantity", "unit", *(f"q{q:g}" for q in report.quantiles)])
    for name, (unit, rows) in report.quantities.items():
        for i, time in enumerate(report.times_min):
            writer.writerow([f"{time:g}", name, unit, *(f"{v:.6g}" for v in rows[:, i])])


def write_png(report: Report, path: Path) -> None:
    """A picture of every analyte with its interval.

    Raises:
        ValueError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ValueError(
            "A picture needs matplotlib. Install it with: pip install 'openketamine[plot]'."
        ) from None
    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    for name, colour in zip(report.model.analytes, ("#0b6e6e", "#5b6770", "#9aa5ab"), strict=False):
        _, rows = report.quantities[name]
        axes.fill_between(report.times_min, rows[0], rows[4], color=colour, alpha=0.15, lw=0)
        axes.plot(report.times_min, rows[2], color=colour, label=name)
    axes.set_xlabel("Time, min")
    axes.set_ylabel(f"Concentration in {report.model.matrix} plasma, ng/mL")
    axes.set_title(
        f"{report.dose_mg:.4g} mg by {report.route}: median and "
        f"{100 * report.interval:g} % interval",
        loc="left",
    )
    axes.set_ylim(bottom=0)
    axes.set_xlim(report.times_min[0], report.times_min[-1])
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, format="png")


def describe_model(model: Model) -> dict[str, Any]:
    """A model's entry in the list, for machines."""
    return {
        "id": model.id,
        "title": model.title,
        "drugs": model.drugs,
        "routes": list(model.routes),
        "analytes": list(model.analytes),
        "matrix": model.matrix,
        "population": model.population,
        "source": model.source.model_dump(),
        "certainty": model.certainty,
        "certainties": model.certainties,
        "warnings": list(model.warnings),
    }


def describe_model_fully(model: Model) -> dict[str, Any]:
    """All that a model's file says and what follows from it, for machines."""
    return {
        **describe_model(model),
        "summary": model.summary,
        **model.model_dump(
            mode="json",
            include={
                "time_unit",
                "reference",
                "studied",
                "parameters",
                "covariates",
                "variability",
                "analytes",
                "routes_of_dose",
                "figures",
            },
        ),
        "states": list(model.all_states),
        "flows": [flow.model_dump(by_alias=True) for flow in model.all_flows],
    }


def print_models(models: Sequence[Model]) -> None:
    """The list of models with source and certainty."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for model in models:
        console.print(f"[bold]{model.id}[/bold]")
        console.print(f"  {model.title}", markup=False)
        console.print(
            f"  {', '.join(model.drugs)} | {', '.join(model.routes)} | {model.matrix} plasma | "
            f"{', '.join(model.analytes)}",
            markup=False,
        )
        doi = f", doi {model.source.doi}" if model.source.doi else ""
        console.print(f"  {model.source.citation}{doi}", markup=False)
        counts = ", ".join(f"{count} {mark}" for mark, count in model.certainties.items())
        console.print(f"  values: {counts}", markup=False)


def print_model(model: Model) -> None:
    """One model in full."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    print_models([model])
    console.print(f"  {model.population}\n\n{model.summary}\n", markup=False)
    table = Table()
    for heading in ("parameter", "value", "unit", "meaning", "certainty"):
        table.add_column(heading)
    for name, p in model.parameters.items():
        table.add_row(name, f"{p.value:g}", p.unit, p.meaning, p.certainty)
    console.print(table)
    for warning in model.warnings:
        console.print(f"! {warning}", markup=False)
