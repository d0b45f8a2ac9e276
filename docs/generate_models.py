"""Write the pages on the pharmacology models from the model files themselves.

python docs/generate_models.py            writes them
python docs/generate_models.py --check    says which are out of date, and fails where one is
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from openketamine.pharmacology import (
    Dose,
    Kinetics,
    Model,
    interactions,
    list_models,
    sample_parameters,
    typical_parameters,
)
from openketamine.pharmacology.models import DRUGS, ROUTES, Figure, model_for
from openketamine.pharmacology.validation import (
    MEDIAN_PERSON,
    Comparison,
    compare,
    doses_of,
    geometric_mean_fold_error,
)

FOLDER = Path(__file__).parent / "pharmacology"
NOTE = "<!-- Generated from the model files by docs/generate_models.py. Edit those instead. -->\n\n"
# What each model's picture shows: what is given, and for how long it is followed.
SHOWN: dict[str, tuple[str, list[Dose], float]] = {
    "otto-2021-s-ketamine-iv": (
        "17.5 mg (0.25 mg/kg) by vein over 40 min",
        [Dose(0, 17.5, "iv", 40)],
        240,
    ),
    "perez-ruixo-2021-esketamine": (
        "two devices of 28 mg, 5 min apart",
        [Dose(0, 28, "nasal"), Dose(5, 28, "nasal")],
        240,
    ),
    "racemic-im-sc": ("35 mg (0.5 mg/kg) into muscle", [Dose(0, 35, "im")], 240),
    "racemic-iv": ("35 mg (0.5 mg/kg) by vein over 40 min", [Dose(0, 35, "iv", 40)], 240),
    "racemic-nasal": ("30 mg by nasal spray", [Dose(0, 30, "nasal")], 240),
    "racemic-oral": ("25 mg by mouth", [Dose(0, 25, "oral")], 360),
    "racemic-sublingual": ("25 mg under the tongue", [Dose(0, 25, "sublingual")], 360),
    "s-ketamine-im-sc": ("35 mg (0.5 mg/kg) into muscle", [Dose(0, 35, "im")], 240),
    "s-ketamine-oral": ("17.5 mg (0.25 mg/kg) by mouth", [Dose(0, 17.5, "oral")], 480),
    "simons-2022-s-ketamine-film": ("20 mg by vein over 20 min", [Dose(0, 20, "iv", 20)], 240),
}
PEOPLE = 4096
COLOURS = ("#0b6e6e", "#8a5a00", "#5b4a8a")


def pages() -> dict[str, str]:
    """Every generated file: its name under docs/pharmacology and its text."""
    models = list_models()
    compared = {model.id: compare(model) for model in models}
    made = {
        "models/README.md": _front(models),
        "observed.md": _observed(compared),
        "interactions.md": _interactions(),
    }
    texts = {name: NOTE + text.rstrip() + "\n" for name, text in made.items()}
    for model in models:
        texts[f"models/{model.id}.md"] = NOTE + _page(model, compared[model.id]).rstrip() + "\n"
        texts[f"models/{model.id}.svg"] = _picture(model)
    return texts


def _table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    for row in rows:
        cells = (str(cell).replace("|", "\\|").replace("\n", " ") for cell in row)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _front(models: Sequence[Model]) -> str:
    rows = [
        (
            f"[{model.title}]({model.id}.md)",
            ", ".join(model.drugs),
            ", ".join(model.routes),
            model.matrix,
            ", ".join(model.analytes),
            ", ".join(f"{count} {mark}" for mark, count in model.certainties.items()),
        )
        for model in models
    ]
    used = [
        (
            drug,
            *(f"[{model_for(drug, route).id}]({model_for(drug, route).id}.md)" for route in ROUTES),
        )
        for drug in DRUGS
    ]
    return (
        "# The models\n\n"
        + _table(("model", "drugs", "routes", "plasma", "analytes", "its values are"), rows)
        + "\n## Which is used for what\n\nEvery drug by every route has one model that is used "
        "unless another is named.\n\n" + _table(("drug", *ROUTES), used)
    )


def _page(model: Model, compared: Sequence[Comparison]) -> str:
    source = model.source
    doi = f" [doi:{source.doi}](https://doi.org/{source.doi})" if source.doi else ""
    counts = ", ".join(f"{count} {mark}" for mark, count in model.certainties.items())
    what, _, _ = SHOWN[model.id]
    text = f"""# {model.title}

`{model.id}` · {", ".join(model.drugs)} · {", ".join(model.routes)} · {model.matrix} plasma

{model.summary}

**Population**: {model.population}. **Source**: {source.citation}.{doi}
**Certainty of its values**: {counts}.

![Predicted concentrations over time]({model.id}.svg)

{what[0].upper() + what[1:]}, for a person of 40 years and 70 kg: the median person and the 90 %
interval over {PEOPLE} plausible versions of that person. Points are published figures for the same
dose, at their published time where there is one and else at the predicted one.

## What a reader has to know

"""
    text += (
        "".join(f"- {warning}\n" for warning in model.warnings)
        or "- Nothing is known against it.\n"
    )
    text += "\n## Against published figures\n\n"
    if compared:
        text += _table(
            ("study", "people", "given", "analyte", "metric", "published", "predicted", "fold", ""),
            [_row(c) for c in compared],
        )
        text += _remarks(compared)
    else:
        text += "No published figure was found for these routes of this drug.\n"
    text += f"\n## Parameters\n\nTime in {model.time_unit}.\n\n"
    text += _table(
        ("name", "value", "unit", "meaning", "certainty", "source"),
        [
            (f"`{n}`", f"{p.value:g}", p.unit, p.meaning, p.certainty, p.source or "as the model")
            for n, p in model.parameters.items()
        ],
    )
    if model.covariates:
        text += "\n## Covariates\n\n"
        text += _table(
            ("parameter", "relation", "meaning", "certainty"),
            [
                (f"`{r.parameter}`", f"`{r.value}`", r.meaning, r.certainty)
                for r in model.covariates
            ],
        )
    if model.variability:
        text += "\n## Variability\n\nLower triangles of covariance matrices.\n\n"
        text += _table(
            ("parameters", "omega", "scale", "between", "certainty", "source"),
            [
                (
                    ", ".join(f"`{name}`" for name in v.parameters),
                    "; ".join(", ".join(f"{x:g}" for x in row) for row in v.omega),
                    v.scale,
                    {
                        "person": "people",
                        "occasion": "occasions",
                        "uncertainty": "studies (of the typical value)",
                    }[v.level],
                    v.certainty,
                    v.source or "as the model",
                )
                for v in model.variability
            ],
        )
    text += "\n## Structure\n\n"
    text += _table(
        ("from", "to", "rate"),
        [(f.from_, f.to or "out of the body", f"`{f.rate}`") for f in model.all_flows],
    )
    text += "\n"
    text += _table(
        ("route", "enters", "fraction", "over", "note"),
        [
            (
                route,
                model.entry(path),
                f"`{path.fraction}`",
                f"`{path.over}`" if path.over else "at once",
                way.note or (f"devices of {way.device_mg:g} mg" if way.device_mg else ""),
            )
            for route, way in model.routes_of_dose.items()
            for path in way.paths
        ],
    )
    text += "\n"
    text += _table(
        ("analyte", "what it is", "volume", "residual error", "certainty"),
        [
            (
                name,
                a.meaning,
                f"`{a.volume}`",
                ", ".join(
                    part
                    for part in (
                        f"proportional {a.residual.proportional:g}"
                        if a.residual.proportional
                        else "",
                        f"{a.residual.additive_ng_per_ml:g} ng/mL"
                        if a.residual.additive_ng_per_ml
                        else "",
                        f"SD {a.residual.log_sd:g} of the logarithm" if a.residual.log_sd else "",
                    )
                    if part
                ),
                a.residual.certainty,
            )
            for name, a in model.analytes.items()
        ],
    )
    return text


def _given(figure: Figure) -> str:
    if not figure.given:
        return "–"
    parts = []
    for given in figure.given:
        dose = (
            f"{given.dose_mg:g} mg"
            if given.dose_mg is not None
            else f"{given.dose_mg_per_kg:g} mg/kg"
        )
        over = f" over {given.over_min:g} min" if given.over_min else ""
        at = f" at {given.at_min:g} min" if given.at_min else ""
        parts.append(f"{dose} {given.route}{over}{at}")
    return ", ".join(parts)


def _row(c: Comparison) -> tuple[str, ...]:
    figure = c.figure
    spread = f" ({figure.spread})" if figure.spread else ""
    return (
        figure.study,
        figure.people,
        _given(figure),
        figure.analyte,
        figure.metric,
        f"{figure.published:g} {figure.unit}{spread}",
        _number(c.predicted),
        f"{c.fold_error:.2f}",
        "calibrated" if figure.calibrated else "model-based" if figure.model_based else "",
    )


def _remarks(compared: Sequence[Comparison]) -> str:
    notes = [
        f"- {c.figure.study}, {c.figure.metric}: {c.figure.note}" for c in compared if c.figure.note
    ]
    sources = sorted(
        {f"{c.figure.study}: {c.figure.source} ({c.figure.certainty})" for c in compared}
    )
    text = (
        "\n*Calibrated*: the figure served to choose a value of the model, and so proves nothing. "
        "*Model-based*: the paper's own model says so, and agreement shows only that it was "
        "carried over rightly.\n\n"
    )
    text += "".join(f"{note}\n" for note in dict.fromkeys(notes))
    return text + "".join(f"- {source}\n" for source in sources)


def _observed(compared: dict[str, list[Comparison]]) -> str:
    everything = [c for found in compared.values() for c in found]
    free = [c for c in everything if not (c.figure.calibrated or c.figure.model_based)]
    verified = [c for c in everything if c.figure.certainty == "verified"]
    far = [c for c in everything if c.fold_error > 1.6]
    text = f"""# Predicted against observed

Every published figure that a model is held against. Predictions are of the median person of 40
years and 70 kg, not Asian; fold is predicted over published or the reverse, whichever is above 1.

- Geometric mean fold error over all {len(everything)} figures:
  **{geometric_mean_fold_error(everything):.2f}**
- over the {len(free)} observations that the models never saw:
  **{geometric_mean_fold_error(free):.2f}**
- over the {len(verified)} verified ones: **{geometric_mean_fold_error(verified):.2f}**
- farther off than 1.6-fold: {len(far)}

"""
    rows = [
        (f"[{name}](models/{name}.md)", *_row(c)) for name, found in compared.items() for c in found
    ]
    text += _table(
        (
            "model",
            "study",
            "people",
            "given",
            "analyte",
            "metric",
            "published",
            "predicted",
            "fold",
            "",
        ),
        rows,
    )
    text += _remarks(everything)
    if far:
        text += "\n## Farther off than 1.6-fold\n\n"
        for c in far:
            text += (
                f"- {c.figure.study}, {c.figure.metric} of {c.figure.analyte} after "
                f"{_given(c.figure)}: published {c.figure.published:g}, predicted "
                f"{_number(c.predicted)} {c.figure.unit} ({c.fold_error:.2f}-fold). "
                f"{FAR.get((c.figure.study, c.figure.metric), '')}".rstrip()
                + "\n"
            )
    return text


# Why a figure is missed, where that is known.
FAR = {
    ("Intranasal ketamine trial 2022", "Tmax"): (
        "Five to seven people, geometric SD 3.0; the trial's larger doses peaked at 14 and 16 min, "
        "and one speed of absorption serves all three."
    ),
    ("Grant 1981", "Cmax"): (
        "Another study of the route (Chong 2006) found about 30 % less for each mg; the model is "
        "calibrated to that one."
    ),
}


def _interactions() -> str:
    rows = [
        (
            ", ".join((i.name, *i.also)),
            i.kind,
            i.route,
            f"{i.auc_ratio:g}",
            f"{i.cmax_ratio:g}" if i.cmax_ratio else "–",
            i.source,
            i.certainty,
            i.note or "",
        )
        for i in interactions()
    ]
    return (
        "# Interactions\n\nThe ratio of the parent's AUC with another drug (or condition) to that "
        "without. Each was measured with S-ketamine or esketamine. A ratio is applied to the route "
        "it was measured for and to no other; a drug that is not here changes nothing, and the "
        "forecast says so.\n\n"
    ) + _table(
        ("name", "kind", "route", "AUC ratio", "Cmax ratio", "source", "certainty", "note"), rows
    )


def _picture(model: Model) -> str:
    what, doses, until_min = SHOWN[model.id]
    route = doses[0].route
    times = np.linspace(0, until_min, 121)
    drawn = sample_parameters(model, MEDIAN_PERSON, PEOPLE, seed=1, route=route)
    many = Kinetics(model, drawn).at(doses, times)
    one = Kinetics(model, typical_parameters(model, MEDIAN_PERSON, route)).at(doses, times)
    bands = {name: np.quantile(conc, (0.05, 0.95), axis=0) for name, conc in many.items()}
    points = _points(model, doses)
    top = max(*(float(b.max()) for b in bands.values()), *(p[2] for p in points), 1e-9) * 1.05
    left, right, upper, lower = 56.0, 704.0, 34.0, 330.0

    def x(minutes: float) -> float:
        return left + (right - left) * minutes / until_min

    def y(conc: float) -> float:
        return lower - (lower - upper) * conc / top

    def path(conc: Sequence[float]) -> str:
        return " ".join(f"{x(t):.1f},{y(c):.1f}" for t, c in zip(times, conc, strict=True))

    title = f"{model.title}: {what}"
    out = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 400" role="img" '
        f'aria-label="{escape(title)}" font-family="sans-serif" font-size="13">',
        '<rect width="720" height="400" fill="#ffffff"/>',
        f'<text x="{left:g}" y="20" fill="#222222">{escape(what[0].upper() + what[1:])}; '
        f"{model.matrix} plasma, ng/mL</text>",
    ]
    step = _tick(top)
    for k in range(int(top / step) + 1):
        at = y(k * step)
        out.append(
            f'<line x1="{left:g}" x2="{right:g}" y1="{at:.1f}" y2="{at:.1f}" stroke="#dddddd"/>'
            f'<text x="{left - 8:g}" y="{at + 4:.1f}" text-anchor="end" fill="#444444">'
            f"{k * step:g}</text>"
        )
    for minutes in range(0, int(until_min) + 1, 60):
        out.append(
            f'<text x="{x(minutes):.1f}" y="{lower + 20:g}" text-anchor="middle" fill="#444444">'
            f"{minutes}</text>"
        )
    out.append(
        f'<text x="{right:g}" y="{lower + 38:g}" text-anchor="end" fill="#444444">minutes</text>'
    )
    for (name, (low, high)), colour, dash in zip(
        bands.items(), COLOURS, ("", "8 4", "2 3"), strict=False
    ):
        back = " ".join(
            f"{x(t):.1f},{y(c):.1f}" for t, c in zip(times[::-1], high[::-1], strict=True)
        )
        out.append(f'<polygon points="{path(low)} {back}" fill="{colour}" fill-opacity="0.13"/>')
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        out.append(
            f'<polyline points="{path(one[name][0])}" fill="none" stroke="{colour}" '
            f'stroke-width="2"{dashed}/>'
        )
    for name, minutes, published, study in points:
        colour = COLOURS[list(bands).index(name)]
        out.append(
            f'<circle cx="{x(minutes):.1f}" cy="{y(published):.1f}" r="4.5" fill="#ffffff" '
            f'stroke="{colour}" stroke-width="2"><title>{escape(study)}</title></circle>'
        )
    along = left
    for name, colour, dash in zip(bands, COLOURS, ("", "8 4", "2 3"), strict=False):
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        out.append(
            f'<line x1="{along:g}" x2="{along + 28:g}" y1="384" y2="384" stroke="{colour}" '
            f'stroke-width="2"{dashed}/><text x="{along + 34:g}" y="388" fill="#222222">'
            f"{escape(name)}</text>"
        )
        along += 60 + 8 * len(name)
    if points:
        out.append(
            f'<circle cx="{along + 10:g}" cy="384" r="4.5" fill="#ffffff" stroke="#222222" '
            f'stroke-width="2"/><text x="{along + 22:g}" y="388" fill="#222222">'
            "published peak</text>"
        )
    return "\n".join([*out, "</svg>"]) + "\n"


def _tick(top: float) -> float:
    """A round spacing that makes four to nine ticks."""
    size = 10.0 ** np.floor(np.log10(top))
    return float(next(step for step in (0.2 * size, 0.5 * size, size, 2 * size) if top / step < 8))


def _points(model: Model, doses: Sequence[Dose]) -> list[tuple[str, float, float, str]]:
    """Published peaks of the doses in the picture: analyte, minutes, ng/mL, study."""
    shown = [(d.time_min, d.dose_mg, d.route, d.duration_min) for d in doses]
    same = [
        figure
        for figure in model.figures
        if [(d.time_min, d.dose_mg, d.route, d.duration_min) for d in doses_of(figure)] == shown
    ]
    times = {(f.study, f.analyte): f.published for f in same if f.metric == "Tmax"}
    found = []
    for figure in same:
        if figure.metric != "Cmax":
            continue
        fine = np.arange(0, 480, 0.5)
        kinetics = Kinetics(model, typical_parameters(model, MEDIAN_PERSON, doses[0].route))
        predicted = fine[kinetics.at(doses, fine)[figure.analyte][0].argmax()]
        minutes = times.get((figure.study, figure.analyte), float(predicted))
        found.append((figure.analyte, minutes, figure.published, figure.study))
    return found


def main(arguments: Sequence[str]) -> int:
    wanted = pages()
    there = {
        path.relative_to(FOLDER).as_posix(): path
        for path in FOLDER.rglob("*")
        # Pages written by hand or by others stand beside these.
        if path.suffix in {".md", ".svg"}
        and (path.parent != FOLDER or path.read_text(encoding="utf-8").startswith(NOTE))
    }
    stale = sorted(
        {
            name
            for name, text in wanted.items()
            if name not in there or there[name].read_text(encoding="utf-8") != text
        }
        | set(there) - set(wanted)
    )
    if "--check" in arguments:
        sys.stdout.writelines(f"docs/pharmacology/{name} is out of date\n" for name in stale)
        return 1 if stale else 0
    for name in stale:
        path = FOLDER / name
        if name in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[name], encoding="utf-8")
        else:
            path.unlink()
    sys.stdout.write(f"{len(wanted)} files, {len(stale)} written anew\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
