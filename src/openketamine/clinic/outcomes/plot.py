"""Scores over time as the coordinates of a small drawing; the template draws it as SVG."""

from dataclasses import dataclass
from datetime import datetime

from .queries import Trajectory

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
            f"{p.result}, {p.at:%d %b %Y}",
        )
        for p in drawn
    ]
    in_window = [dot for dot in dots if not dot.off_window]
    ticks = [(x(first), f"{first:%d %b}")]
    if (last - first).days >= 2:
        ticks.append((x(last), f"{last:%d %b}"))
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
