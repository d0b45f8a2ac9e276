"""Scores and outcomes as the coordinates of small drawings; the templates draw them as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from .queries import Trajectory
from .statistics import Survival

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 36, 12, 14, 30


@dataclass(frozen=True)
class Dot:
    x: float
    y: float
    total: str
    off_window: bool
    label: str


@dataclass(frozen=True)
class Plot:
    """A drawing of `WIDTH` by `HEIGHT`, in its own units."""

    dots: list[Dot]
    line: str
    doses: list[tuple[float, int]]
    ticks: list[tuple[float, str]]
    grid: list[tuple[float, int]]
    rules: list[tuple[float, str]]
    right: float = WIDTH - RIGHT
    bottom: float = HEIGHT - BOTTOM
    left: float = LEFT


def scores(trajectory: Trajectory) -> Plot | None:
    """Lay a trajectory out; None where there is nothing to draw."""
    drawn = [p for p in trajectory.points if p.total is not None]
    span = trajectory.instrument.total_range
    if not drawn or span is None:
        return None
    low, high = span
    moments = [p.at for p in drawn] + [at for at, _ in trajectory.doses]
    first, last = min(moments), max(moments)
    duration_s = max((last - first).total_seconds(), 86_400.0)

    def x(at: datetime) -> float:
        share = (at - first).total_seconds() / duration_s
        return round(LEFT + 8 + share * (WIDTH - LEFT - RIGHT - 16), 1)

    def y(value: float) -> float:
        return round(TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    dots = [
        Dot(
            x(p.at),
            y(p.total or 0),
            p.total_in_words,
            p.off_window,
            f"{p.result_in_words}, {date_format(p.at, 'd M Y')}",
        )
        for p in drawn
    ]
    in_window = [dot for dot in dots if not dot.off_window]
    ticks = [(x(first), date_format(first, "d M"))]
    if (last - first).days >= 2:
        ticks.append((x(last), date_format(last, "d M")))
    return Plot(
        dots=dots,
        line=" ".join(f"{dot.x},{dot.y}" for dot in in_window),
        doses=[(x(at), number) for at, number in trajectory.doses],
        ticks=ticks,
        grid=[(y(value), value) for value in range(int(low), int(high) + 1, _step(high - low))],
        rules=[(y(line.at), line.label) for line in trajectory.lines if low <= line.at <= high],
    )


def _step(height: float) -> int:
    """Between the lines of the grid: a whole number that leaves at most four of them."""
    whole = int(height)
    return next(step for step in range(1, whole + 1) if whole % step == 0 and whole / step <= 4)


# The clinic's outcomes. What is the clinic's own is filled, what was published is outlined, and a
# second series has another shape and another line: none of it needs colour to be told apart.


@dataclass(frozen=True)
class Mark:
    """`shape`: circle, diamond or square. `kind`: own, published or other."""

    x: float
    y: float
    shape: str
    kind: str
    title: str

    @property
    def points(self) -> str:
        """The corners of a diamond or a square."""
        x, y, r = self.x, self.y, 6.0
        if self.shape == "diamond":
            corners = [(x, y - r), (x + r, y), (x, y + r), (x - r, y)]
        else:
            half = r - 1
            corners = [
                (x - half, y - half),
                (x + half, y - half),
                (x + half, y + half),
                (x - half, y + half),
            ]
        return " ".join(f"{a:g},{b:g}" for a, b in corners)


@dataclass(frozen=True)
class Stroke:
    x1: float
    y1: float
    x2: float
    y2: float
    kind: str


@dataclass(frozen=True)
class Chart:
    """A drawing of `width` by `height`, in its own units. The template draws it as SVG."""

    label: str
    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    x_title: str = ""
    y_title: str = ""
    y_grid: bool = True
    bands: list[tuple[str, str]] = field(default_factory=list)  # (points, kind)
    lines: list[tuple[str, str]] = field(default_factory=list)
    strokes: list[Stroke] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    texts: list[tuple[float, float, str]] = field(default_factory=list)

    @property
    def x_axis_label_y(self) -> float:
        return self.height - 4


class _Frame:
    """Places values of two axes in a chart's rectangle."""

    def __init__(
        self,
        x_range: tuple[float, float],
        y_range: tuple[float, float],
        *,
        height: float = 300,
        left: float = 66,
        bottom: float = 52,
    ) -> None:
        self.width, self.height = float(WIDTH), height
        self.left, self.right, self.top, self.bottom = left, WIDTH - 28.0, 14.0, height - bottom
        self.x_range, self.y_range = x_range, y_range

    def x(self, value: float) -> float:
        low, high = self.x_range
        share = (value - low) / ((high - low) or 1.0)
        return round(self.left + share * (self.right - self.left), 1)

    def y(self, value: float) -> float:
        low, high = self.y_range
        share = (value - low) / ((high - low) or 1.0)
        return round(self.bottom - share * (self.bottom - self.top), 1)

    def chart(self, label: str, **drawn: Any) -> Chart:
        return Chart(
            label, self.width, self.height, self.left, self.right, self.top, self.bottom, **drawn
        )

    def path(self, points: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{self.x(a):g},{self.y(b):g}" for a, b in points)


@dataclass(frozen=True)
class Share:
    """A share in percent with its interval, drawn at a place on the x axis. None is not drawn."""

    place: float
    percent: float | None
    low: float | None
    high: float | None
    title: str


PERCENT = [0, 20, 40, 60, 80, 100]


def shares_over_time(
    label: str,
    names: Sequence[str],
    own: Sequence[Share],
    published: Sequence[Share],
    *,
    unit: str = "of those measured",
) -> Chart:
    """Shares at each landmark, side by side with what was published for about that time.

    Args:
        names: of the landmarks; the place of a share is an index into them.
    """
    frame = _Frame((-0.5, len(names) - 0.5), (0, 100))
    strokes, marks = _drawn(frame, own, -0.12, "circle", "own")
    beside: dict[float, int] = {}
    for share in published:
        nth = beside[share.place] = beside.get(share.place, -1) + 1
        more = _drawn(frame, [share], 0.12 + 0.14 * nth, "diamond", "published")
        strokes, marks = strokes + more[0], marks + more[1]
    return frame.chart(
        label,
        x_ticks=[(frame.x(i), name) for i, name in enumerate(names)],
        y_ticks=[(frame.y(each), f"{each} %") for each in PERCENT],
        y_title=unit,
        strokes=strokes,
        marks=marks,
    )


def _drawn(
    frame: _Frame, shares: Sequence[Share], shift: float, shape: str, kind: str
) -> tuple[list[Stroke], list[Mark]]:
    strokes, marks = [], []
    for share in shares:
        if share.percent is None:
            continue
        x = frame.x(share.place + shift)
        if share.low is not None and share.high is not None:
            strokes.append(Stroke(x, frame.y(share.low), x, frame.y(share.high), kind))
        marks.append(Mark(x, frame.y(share.percent), shape, kind, share.title))
    return strokes, marks


def shares_by_row(
    label: str, names: Sequence[str], own: Sequence[Share], published: Sequence[Share]
) -> Chart:
    """One row for each name, the share along it: for side effects."""
    highest = max((s.high or s.percent or 0 for s in (*own, *published)), default=10)
    top = next(step for step in (10, 20, 40, 60, 80, 100) if step >= min(highest, 100))
    frame = _Frame((0, top), (0, 1), height=44 + 34 * max(len(names), 1), left=244, bottom=30)
    spacing = (frame.bottom - frame.top) / max(len(names), 1)

    def row(place: float, shift: float) -> float:
        return round(frame.top + (place + 0.5) * spacing + shift, 1)

    strokes, marks = [], []
    for shares, shift, shape, kind in (
        (own, -4.0, "circle", "own"),
        (published, 7.0, "diamond", "published"),
    ):
        for share in shares:
            if share.percent is None:
                continue
            y = row(share.place, shift)
            if share.low is not None and share.high is not None:
                strokes.append(
                    Stroke(frame.x(share.low), y, frame.x(min(share.high, top)), y, kind)
                )
            marks.append(Mark(frame.x(share.percent), y, shape, kind, share.title))
    return frame.chart(
        label,
        x_ticks=[(frame.x(v), f"{v:g} %") for v in (0, top / 4, top / 2, 3 * top / 4, top)],
        y_ticks=[(row(i, 0), name) for i, name in enumerate(names)],
        y_grid=False,
        strokes=strokes,
        marks=marks,
    )


def survival(label: str, found: Survival, *, until_day: float, rising: bool, y_title: str) -> Chart:
    """A Kaplan-Meier curve as steps within its band.

    Args:
        until_day: where it is cut off: too few are left beyond.
        rising: draw the share that had the event, not the share that had not.
    """
    days = [float(day) for day in found.days if day <= until_day]
    n = len(days)

    def percent(values: Any) -> list[float]:
        shown = [100 * float(v) for v in values[:n]]
        return [100 - value for value in shown] if rising else shown

    def steps(values: Sequence[float]) -> list[tuple[float, float]]:
        path = [(days[0], values[0])]
        for i in range(1, n):
            path += [(days[i], values[i - 1]), (days[i], values[i])]
        return [*path, (until_day, values[-1])]

    def known(values: Any) -> list[float]:
        """Beyond the last known limit, that limit."""
        kept: list[float] = []
        for value in percent(values):
            kept.append(kept[-1] if value != value and kept else value)
        return kept

    frame = _Frame((0, max(until_day, 1.0)), (0, 100))
    low, high = steps(known(found.low)), steps(known(found.high))
    ticks = [t for t in (0, 7, 14, 28, 42, 56, 84, 112, 140, 182, 273, 365) if t <= until_day]
    spread = [t for i, t in enumerate(ticks) if not i or frame.x(t) - frame.x(ticks[i - 1]) > 22]
    return frame.chart(
        label,
        x_ticks=[(frame.x(t), f"{t}") for t in spread],
        y_ticks=[(frame.y(each), f"{each} %") for each in PERCENT],
        x_title=_("days"),
        y_title=y_title,
        bands=[(frame.path([*low, *reversed(high)]), "own")],
        lines=[(frame.path(steps(percent(found.survival))), "own")],
    )


@dataclass(frozen=True)
class Limits:
    """Control limits in percent at each size."""

    n: Sequence[float]
    inner_low: Sequence[float]
    inner_high: Sequence[float]
    outer_low: Sequence[float]
    outer_high: Sequence[float]


def funnel(
    label: str, centre: float, limits: Limits, points: Sequence[tuple[float, float, str, int]]
) -> Chart:
    """Shares against the number that they rest on, between their control limits.

    Args:
        centre: the share of all together, percent.
        points: (n, percent, name, how many of the two pairs of limits it lies outside of).
    """
    most = max((n for n, *_ in points), default=10) * 1.08
    highest = max([centre, *limits.inner_high, *(p for _, p, *_ in points)], default=100)
    top = next(each for each in (10, 20, 40, 60, 80, 100) if each >= min(highest, 100))
    frame = _Frame((0, most), (0, top))

    def line(values: Sequence[float], kind: str) -> tuple[str, str]:
        inside = [(n, min(v, top)) for n, v in zip(limits.n, values, strict=True)]
        return frame.path(inside), kind

    step = _round_step(most)
    return frame.chart(
        label,
        x_ticks=[(frame.x(v), f"{v:g}") for v in range(0, int(most) + 1, step)],
        y_ticks=[(frame.y(top * i / 4), f"{top * i / 4:g} %") for i in range(5)],
        x_title=_("number that the share rests on"),
        lines=[
            line(limits.outer_low, "outer"),
            line(limits.outer_high, "outer"),
            line(limits.inner_low, "inner"),
            line(limits.inner_high, "inner"),
            (frame.path([(0, centre), (most, centre)]), "centre"),
        ],
        marks=[
            Mark(
                frame.x(n), frame.y(min(p, top)), "diamond" if out > 1 else "circle",
                "outside" if out > 1 else "own", name,
            )
            for n, p, name, out in points
        ],
        texts=[
            (frame.x(n) + 9, frame.y(min(p, top)) + 4, name)
            for n, p, name, out in points
            if out
        ],
    )  # fmt: skip


def _round_step(most: float) -> int:
    """Between ticks: a round number that leaves at most eight of them."""
    return next(
        base * ten
        for ten in (1, 10, 100, 1000, 10_000)
        for base in (1, 2, 5)
        if most / (base * ten) <= 8
    )


@dataclass(frozen=True)
class Level:
    """A mean score with its interval at a landmark. None is not drawn."""

    place: float
    mean: float | None
    low: float | None
    high: float | None
    title: str


def means(
    label: str,
    names: Sequence[str],
    highest: float,
    modelled: Sequence[Level],
    observed: Sequence[Level],
    *,
    unit: str,
) -> Chart:
    """Mean scores over time: the model's filled and joined, those of the measured outlined."""
    frame = _Frame((-0.5, len(names) - 0.5), (0, highest))
    strokes, marks = [], []
    for levels, shift, shape, kind in (
        (modelled, -0.08, "circle", "own"),
        (observed, 0.14, "square", "other"),
    ):
        for level in levels:
            if level.mean is None:
                continue
            x = frame.x(level.place + shift)
            if level.low is not None and level.high is not None:
                strokes.append(Stroke(x, frame.y(level.low), x, frame.y(level.high), kind))
            marks.append(Mark(x, frame.y(level.mean), shape, kind, level.title))
    joined = [(level.place - 0.08, level.mean) for level in modelled if level.mean is not None]
    step = _step(highest)
    return frame.chart(
        label,
        x_ticks=[(frame.x(i), name) for i, name in enumerate(names)],
        y_ticks=[(frame.y(v), f"{v:g}") for v in range(0, int(highest) + 1, step)],
        y_title=unit,
        lines=[(frame.path(joined), "own")] if len(joined) > 1 else [],
        strokes=strokes,
        marks=marks,
    )
