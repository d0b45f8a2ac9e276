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
    total: int
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
    response_y: float | None
    remission_y: float
    right: float = WIDTH - RIGHT
    bottom: float = HEIGHT - BOTTOM
    left: float = LEFT


def scores(trajectory: Trajectory) -> Plot | None:
    """Lay a trajectory out; None where there is nothing to draw."""
    moments = [p.at for p in trajectory.points] + [at for at, _ in trajectory.doses]
    if not trajectory.points:
        return None
    first, last = min(moments), max(moments)
    span = max((last - first).total_seconds(), 86_400.0)

    def x(at: datetime) -> float:
        share = (at - first).total_seconds() / span
        return round(LEFT + 8 + share * (WIDTH - LEFT - RIGHT - 16), 1)

    def y(value: float) -> float:
        return round(TOP + (1 - value / trajectory.maximum) * (HEIGHT - TOP - BOTTOM), 1)

    dots = [
        Dot(
            x(p.at),
            y(p.total),
            p.total,
            p.off_window,
            f"{p.total}, {p.band}, {p.at:%d %b %Y}",
        )
        for p in trajectory.points
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
        grid=[(y(value), value) for value in range(0, trajectory.maximum + 1, 9)],
        response_y=None
        if trajectory.response_at_or_below is None
        else y(trajectory.response_at_or_below),
        remission_y=y(trajectory.remission_below),
    )
