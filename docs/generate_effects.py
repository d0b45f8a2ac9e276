"""Write the page on effects from the relations' own file, with what they make of published figures.

python docs/generate_effects.py            writes it
python docs/generate_effects.py --check    says which file is out of date, and fails where one is
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from openketamine.pharmacology import Person, Target, guide, load_effects, load_model
from openketamine.pharmacology.effect_checks import (
    MINUTES,
    Checked,
    checked,
    mean_rise,
    present,
    rise_sd,
)
from openketamine.pharmacology.effects import Relation

FOLDER = Path(__file__).parent / "pharmacology"
NOTE = (
    "<!-- Generated from effects/adult.yaml by docs/generate_effects.py. Edit that instead. -->\n\n"
)
TEAL, AMBER, VIOLET, GREY = "#0b6e6e", "#8a5a00", "#5b4a8a", "#6b7378"
_LEFT, _TOP, _WIDE, _HIGH = 52, 34, 640, 300


def texts() -> dict[str, str]:
    """Every generated file by its path below docs/pharmacology."""
    return {
        "effects.md": "".join(_page()),
        "effects-pressure.svg": _pressure(),
        "effects-symptoms.svg": _symptoms(),
        "guidance.svg": _trade_off(),
    }


def _page() -> Iterator[str]:
    effects = load_effects()
    found = list(checked())
    yield NOTE + "# Effects over time\n\n"
    yield effects.summary.strip() + "\n\n"
    yield (
        "`DESIGN` marks what was chosen or fitted here and is published nowhere; `recalled` was "
        "not read again. Neither is a label's or a guideline's figure.\n\n"
    )
    yield "![Rise of systolic pressure over time](effects-pressure.svg)\n\n"
    yield "![Symptoms over time](effects-symptoms.svg)\n\n"
    yield "## Against the published figures\n\n"
    yield (
        "Worked out on 4,096 simulated people with all the variability of models and relations "
        "(0.5 mg/kg by vein over 40 min; 56 and 84 mg by spray, half of the people each). `fitted` "
        "rows set the relations, the others check them. Where no range is claimed the difference "
        "stands as it is.\n\n"
    )
    yield "| effect | figure | published | here | claimed | | source, certainty |\n"
    yield "|---|---|---|---|---|---|---|\n"
    for row in found:
        yield _row(row)
    yield (
        "\nCentres differ: the same 0.5 mg/kg raised systolic pressure by 16.0, 12.6 (pooled), 7.4 "
        "and 3.3 mmHg on average. The forecast starts from the largest, the one with a published "
        "spread, and its gain is widened by "
        f"{effects['systolic'].sd('uncertainty', of='gain'):g} mmHg (SD) for it; readings of the "
        "person then move it.\n\n"
    )
    yield "## The relations\n\n"
    for name, relation in effects.relations.items():
        yield from _relation(name, relation)
    yield "## What is not modelled\n\n"
    yield (
        "- Adaptation from session to session: symptoms are reported most in the first week.\n"
        "- Age and hypertension, which raise the odds of severe hypertension (1.04 per year), "
        "other than through the resting level and what the person's readings show.\n"
        "- Effects of other medicines, of music and of setting on pressure.\n"
        "- The R-enantiomer's own effects on pressure: all ketamine is taken alike, which lets one "
        "gain serve the racemate by vein and esketamine by spray.\n"
        "- Norketamine and other metabolites: they contributed nothing to the drug high (Simons "
        "2022, part 2); by mouth, where they are most of what circulates, this is least certain.\n"
        "- Placebo responses: on placebo trials report dissociation in up to 9 %, nausea in up to "
        "14 % of people.\n"
    )


def _row(row: Checked) -> str:
    figure = row.figure
    claimed = "" if figure.within is None else f"{figure.within[0]:g} to {figure.within[1]:g}"
    kind = "fitted" if figure.fitted else "check"
    held = {True: ", holds", False: ", **misses**", None: ""}[row.holds]
    return (
        f"| {row.relation} | {figure.what} | {figure.published:g} {figure.unit} | "
        f"{row.predicted:.1f} {figure.unit} | {claimed} | {kind}{held} | {figure.source}; "
        f"{figure.certainty} |\n"
    )


def _relation(name: str, relation: Relation) -> Iterator[str]:
    yield f"### {relation.title}\n\n{relation.structure.strip()}\n\n"
    yield "| parameter | value | meaning | certainty | source |\n|---|---|---|---|---|\n"
    for key, p in relation.parameters.items():
        yield (
            f"| `{key}` | {p.value:g} {p.unit} | {p.meaning} | {p.certainty} | {p.source or ''} |\n"
        )
    if relation.variability:
        yield "\n| differs | by (SD) | between | certainty | source |\n|---|---|---|---|---|\n"
        between = {
            "person": "people",
            "occasion": "days",
            "moment": "moments",
            "uncertainty": "what is known (widening)",
        }
        for s in relation.variability:
            yield (
                f"| {s.of} | {s.sd:g} ({s.scale}) | {between[s.level]} | {s.certainty} | "
                f"{s.source or ''} |\n"
            )
    yield "\n"


class _Plot:
    """A plain picture: axes, curves, bands and points, as SVG."""

    def __init__(
        self,
        title: str,
        x_max: float,
        y_max: float,
        x_label: str,
        every: float,
        *,
        keys_at: float = 372,
    ) -> None:
        self.x_max, self.y_max, self.keys_at = x_max, y_max, _LEFT + keys_at
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 400" role="img" '
            f'aria-label="{escape(title)}" font-family="sans-serif" font-size="13">',
            '<rect width="720" height="400" fill="#ffffff"/>',
            f'<text x="{_LEFT}" y="20" fill="#222222">{escape(title)}</text>',
        ]
        step = next(s for s in (0.1, 0.2, 5, 10, 20) if y_max / s <= 8)
        for k in range(round(y_max / step) + 1):
            y = self._y(k * step)
            self.parts.append(
                f'<line x1="{_LEFT}" x2="{_LEFT + _WIDE}" y1="{y:.1f}" y2="{y:.1f}" '
                f'stroke="#dddddd"/><text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" '
                f'fill="#444444">{k * step:g}</text>'
            )
        for k in range(int(x_max / every) + 1):
            self.parts.append(
                f'<text x="{self._x(k * every):.1f}" y="{_TOP + _HIGH + 20}" '
                f'text-anchor="middle" fill="#444444">{k * every:g}</text>'
            )
        self.parts.append(
            f'<text x="{_LEFT + _WIDE}" y="{_TOP + _HIGH + 38}" text-anchor="end" '
            f'fill="#444444">{escape(x_label)}</text>'
        )
        self.keys = 0

    def _x(self, value: float) -> float:
        return _LEFT + _WIDE * value / self.x_max

    def _y(self, value: float) -> float:
        return _TOP + _HIGH * (1 - min(max(value, 0.0), self.y_max) / self.y_max)

    def _points(self, x: Sequence[float], y: Sequence[float]) -> str:
        return " ".join(f"{self._x(a):.1f},{self._y(b):.1f}" for a, b in zip(x, y, strict=True))

    def band(self, x: Sequence[float], low: Sequence[float], high: Sequence[float], c: str) -> None:
        there, back = self._points(x, high), self._points(x[::-1], low[::-1])
        self.parts.append(f'<polygon points="{there} {back}" fill="{c}" fill-opacity="0.13"/>')

    def curve(
        self, x: Sequence[float], y: Sequence[float], c: str, name: str, dash: str = ""
    ) -> None:
        pattern = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<polyline points="{self._points(x, y)}" fill="none" stroke="{c}" '
            f'stroke-width="2"{pattern}/>'
        )
        y_key = _TOP + 14 + 19 * self.keys
        self.keys += 1
        self.parts.append(
            f'<line x1="{self.keys_at}" x2="{self.keys_at + 28}" y1="{y_key - 4}" y2="{y_key - 4}" '
            f'stroke="{c}" stroke-width="2"{pattern}/>'
            f'<text x="{self.keys_at + 36}" y="{y_key}" fill="#222222">{escape(name)}</text>'
        )

    def mark(
        self, x: float, y: float, low: float, high: float, c: str, name: str, *, left: bool = False
    ) -> None:
        beside = self._x(x) - 9 if left else self._x(x) + 9
        self.parts.append(
            f'<line x1="{self._x(x):.1f}" x2="{self._x(x):.1f}" y1="{self._y(low):.1f}" '
            f'y2="{self._y(high):.1f}" stroke="{c}" stroke-width="1.5"/>'
            f'<circle cx="{self._x(x):.1f}" cy="{self._y(y):.1f}" r="4.5" fill="#ffffff" '
            f'stroke="{c}" stroke-width="2"/>'
            f'<text x="{beside:.1f}" y="{self._y(y) - 5:.1f}" fill="{c}" font-size="12" '
            f'text-anchor="{"end" if left else "start"}">{escape(name)}</text>'
        )

    def text(self) -> str:
        return "\n".join([*self.parts, "</svg>"]) + "\n"


def _pressure() -> str:
    plot = _Plot(
        "Systolic pressure, mean rise in mmHg; band: 90 % of sessions, as a forecast has them",
        240,
        40,
        "min from the start of the dose",
        30,
    )
    shown = slice(0, 241, 4)
    x = MINUTES[shown].tolist()
    for kind, colour, name in (
        ("infusion", TEAL, "0.5 mg/kg by vein over 40 min"),
        ("spray", AMBER, "56 or 84 mg by spray"),
    ):
        mean = mean_rise(kind, "systolic_mmhg")[shown]
        if kind == "infusion":
            spread = 1.645 * rise_sd(kind, "systolic_mmhg", widened=True)[shown]
            plot.band(x, (mean - spread).tolist(), (mean + spread).tolist(), colour)
        plot.curve(x, mean.tolist(), colour, name)
    plot.mark(40, 16.0, 16 - 11.2, 16 + 11.2, TEAL, "2,342 infusions, ±1 SD")
    plot.mark(41, 12.6, 10.4, 14.8, GREY, "pooled (95 % CI)")
    plot.mark(35, 7.4, 7.4, 7.4, GREY, "741 infusions", left=True)
    plot.mark(30, 3.3, 3.3, 3.3, GREY, "684 infusions")
    plot.mark(44, 8.0, 7, 9, AMBER, "label of the spray")
    return plot.text()


def _symptoms() -> str:
    plot = _Plot(
        "Share of people with the symptom, at each moment of one session",
        180,
        1.0,
        "min from the start of the dose",
        30,
    )
    shown = slice(0, 181, 3)
    x = MINUTES[shown].tolist()
    for symptom, colour in (("dissociation", TEAL), ("sedation", VIOLET), ("nausea", AMBER)):
        for kind, dash, how in (("infusion", "", "by vein"), ("spray", "6 4", "spray")):
            share = present(kind, symptom)[shown].tolist()
            plot.curve(x, share, colour, f"{symptom}, {how}", dash)
    return plot.text()


def _trade_off() -> str:
    found = guide(
        load_model("racemic-iv"),
        Person(age_years=43, weight_kg=80, sex="female"),
        {"systolic_mmhg": 128, "diastolic_mmhg": 79, "heart_rate_bpm": 72},
        Target(dissociation_at_least=0.5, systolic_limit_mmhg=160, systolic_at_most=0.2),
        durations_min=[40],
        doses_mg=[float(d) for d in range(8, 89, 8)],
        n=2048,
    )
    curve = found.curve(40)
    plot = _Plot(
        "Probability against dose, racemic ketamine by vein over 40 min, an 80 kg person at 128/79",
        88,
        1.0,
        "dose, mg",
        8,
        keys_at=24,
    )
    x = curve["dose_mg"]
    plot.curve(x, curve["p_dissociation"], TEAL, "meaningful dissociation")
    plot.curve(x, curve["p_sedation"], VIOLET, "sedation")
    plot.curve(x, curve["p_systolic_above"], AMBER, "systolic above 160 at any time")
    plot.curve(x, curve["p_nausea"], GREY, "nausea", "6 4")
    plot.curve(x, curve["p_strong_dissociation"], TEAL, "strong dissociation", "2 4")
    return plot.text()


def alike(one: str, other: str) -> bool:
    """The same but for the last digit of what was simulated: processors round differently."""
    number = re.compile(r"-?\d+\.\d+")
    if number.sub("#", one) != number.sub("#", other):
        return False
    pairs = zip(number.findall(one), number.findall(other), strict=True)
    return all(abs(float(a) - float(b)) <= 1.0 for a, b in pairs)


def main(arguments: list[str]) -> int:
    stale = []
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in texts().items():
        path = FOLDER / name
        if "--check" in arguments:
            if not (path.exists() and alike(path.read_text(encoding="utf-8"), text)):
                stale.append(str(path))
        else:
            path.write_text(text, encoding="utf-8")
    for path in stale:
        sys.stderr.write(f"{path} is out of date; run: make docs\n")
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
