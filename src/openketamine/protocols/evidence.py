"""Published outcomes of ketamine and esketamine: what a clinic's own figures stand beside.

One row per study, arm, time and endpoint, each with its source and how far it was checked. An empty
value means that only the direction was published or seen; it is never zero.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

from openketamine.words import _noop

Endpoint = Literal[
    "mean_change", "mean_score", "response", "remission", "relapse", "relapse_hr", "event"
]
SpreadKind = Literal["sd", "se", "ci95", ""]
# The normal quantile of a two-sided 95 % interval.
_Z95 = 1.959963984540054


@dataclass(frozen=True)
class Interval:
    low: float
    high: float
    how: str  # "published", "from the standard error" or "Wilson, from n"


@dataclass(frozen=True)
class Result:
    """One published figure. Numbers that were not seen are None.

    `time_h` counts from the first dose; None where the study gives a window. `spread` is of `value`
    itself: one number (sd, se), or two of an interval (ci95).
    """

    trial: str
    year: int | None
    design: str
    population: str
    condition: str
    n_arm: int | None
    arm: str
    route: str
    dose: str
    dose_unit: str
    schedule: str
    instrument: str
    endpoint: Endpoint
    time_h: float | None
    value: float | None
    unit: str
    spread: tuple[float, ...]
    spread_kind: SpreadKind
    comparison: str
    source: str
    certainty: Literal["verified", "recalled"]
    notes: str

    @property
    def is_contrast(self) -> bool:
        """Whether it is a difference between two arms."""
        return self.arm.startswith("contrast: ")

    @property
    def is_control(self) -> bool:
        return self.comparison == "control"

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of the value: as published, or as can be worked out from the row.

        A percentage of a known number of people has a Wilson interval; without the number it has
        none.
        """
        if self.value is None:
            return None
        if self.spread_kind == "ci95":
            return Interval(self.spread[0], self.spread[1], _noop("published"))
        if self.spread_kind == "se":
            half = _Z95 * self.spread[0]
            return Interval(self.value - half, self.value + half, _noop("from the standard error"))
        if self.spread_kind == "sd" and self.n_arm:
            half = _Z95 * self.spread[0] / math.sqrt(self.n_arm)
            return Interval(self.value - half, self.value + half, _noop("from the spread and n"))
        if self.unit == "percent" and self.n_arm:
            low, high = wilson(self.value / 100 * self.n_arm, self.n_arm)
            return Interval(100 * low, 100 * high, _noop("Wilson, from n"))
        return None


def wilson(count: float, n: int, *, z: float = _Z95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927), without continuity correction.

    Args:
        count: how many of `n`, 0 <= count <= n; a published share times n need not be whole.
        z: the normal quantile of the two-sided level; 95 % where left out.

    Returns:
        (low, high), each from 0 to 1.

    Raises:
        ValueError: there is nobody, or the count is not among them.
    """
    if n <= 0 or not 0 <= count <= n:
        raise ValueError(f"{count:g} of {n} is no proportion")
    share = count / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (
        0.0 if count == 0 else max(centre - half, 0.0),
        1.0 if count == n else min(centre + half, 1.0),
    )


@cache
def results() -> tuple[Result, ...]:
    """Every published figure that comes with the package, in the order of its file.

    Raises:
        ValueError: a row cannot be read; the message names its line.
    """
    path = files("openketamine.protocols") / "library" / "evidence" / "trials.csv"
    return read(path.read_text(encoding="utf-8"))


def read(text: str) -> tuple[Result, ...]:
    """The rows of a table of published results, as CSV with a header.

    Raises:
        ValueError: a row cannot be read; the message names its line.
    """
    reader = csv.DictReader(io.StringIO(text))
    found = []
    for row in reader:
        try:
            found.append(_result(row))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"published results, line {reader.line_num}: {error}") from error
    return tuple(found)


def _result(row: dict[str, str]) -> Result:
    def number(name: str) -> float | None:
        return float(row[name]) if row[name] else None

    def whole(name: str) -> int | None:
        return int(row[name]) if row[name] else None

    def one_of(name: str, allowed: tuple[str, ...]) -> str:
        if row[name] not in allowed:
            raise ValueError(f"{name} {row[name]!r} is not one of {', '.join(allowed)}")
        return row[name]

    kind = one_of("spread_kind", get_args(SpreadKind))
    spread = tuple(float(part) for part in row["spread"].split(" to ")) if row["spread"] else ()
    if len(spread) != {"": 0, "ci95": 2}.get(kind, 1):
        raise ValueError(f"spread {row['spread']!r} does not fit its kind {kind!r}")
    if not row["source"]:
        raise ValueError("a figure without a source")
    return Result(
        trial=row["trial"],
        year=whole("year"),
        design=row["design"],
        population=row["population"],
        condition=row["condition"],
        n_arm=whole("n_arm"),
        arm=row["arm"],
        route=row["route"],
        dose=row["dose"],
        dose_unit=row["dose_unit"],
        schedule=row["schedule"],
        instrument=row["instrument"],
        endpoint=one_of("endpoint", get_args(Endpoint)),  # type: ignore[arg-type]
        time_h=number("time_h"),
        value=number("value"),
        unit=row["unit"],
        spread=spread,
        spread_kind=kind,  # type: ignore[arg-type]
        comparison=row["comparison"],
        source=row["source"],
        certainty=one_of("certainty", ("verified", "recalled")),  # type: ignore[arg-type]
        notes=row["notes"],
    )


@dataclass(frozen=True)
class Caveat:
    """A reason why a clinic's figure and a published one may differ."""

    id: str
    title: str
    words: str


# They belong beside every comparison with a published figure.
CAVEATS = (
    Caveat(
        "unblinded",
        "Patients know what they got",
        "Ketamine unblinds itself, so differences from saline are inflated. Against midazolam they "
        "shrink: 64 v 28 % response in 2013, and no significant difference for inpatients in "
        "KARMA-Dep 2 (2025). Given under anaesthesia, where nobody could tell, response at day 1 "
        "was 60 % on ketamine and 50 % on placebo (20 each, 2023). A clinic has no control arm.",
    ),
    Caveat(
        "controls",
        "Controls improve too",
        "52 % responded on placebo spray plus a newly started antidepressant in TRANSFORM-2, 3 % "
        "on placebo in Daly 2018 at 24 h. What a treatment adds is the difference, which a clinic "
        "cannot measure.",
    ),
    Caveat(
        "population",
        "Other people were treated",
        "Trials mostly exclude psychosis, substance use, unstable hypertension, often bipolar "
        "depression and suicidal intent. “Treatment-resistant” means two failed drugs in one trial "
        "and referral for ECT in another.",
    ),
    Caveat(
        "enriched",
        "Some trials kept only those who did well",
        "SUSTAIN-1 and BEDROC randomise people who already responded. Their relapse rates are not "
        "those of everybody who starts.",
    ),
    Caveat(
        "completers",
        "Those who stayed are not those who began",
        "The largest infusion cohort had enough data on 537 of 9,016 people, the at-home cohort on "
        "1,247 of some 4,300. “After ten infusions” counts those who stayed. Hold the clinic's own "
        "missing scores beside every figure.",
    ),
    Caveat(
        "fading",
        "The effect fades",
        "One infusion fades over about a week; after six the median to relapse was 18 days. A "
        "figure at another time is another figure.",
    ),
    Caveat(
        "asked",
        "Adverse events depend on how they are asked for",
        "The US label groups terms (dissociation 41 %), a monograph does not (27 %), and reports "
        "that nobody asked for give 16.7 % in the first week. Published rates are of patients in "
        "a whole trial; a rate per session is lower by nature.",
    ),
    Caveat(
        "scale",
        "Another scale, another rater",
        "A clinician's rating (MADRS, HAM-D) and a form that patients fill in (PHQ-9) do not "
        "respond alike, and each has its own cut for remission. Different cuts are never pooled.",
    ),
    Caveat(
        "small",
        "Small trials, run by makers and sellers",
        "Several figures rest on fewer than 25 people an arm. Almost all esketamine trials were "
        "run by its maker, the at-home cohort by its seller.",
    ),
)
