"""The forest plot of a question: every row on one axis, its control beside it, the gain on another.

Shapes and line styles carry the meaning, so that it survives a printer without colours.
"""

from collections.abc import Callable
from dataclasses import dataclass

from openketamine.protocols.evidence import Interval
from openketamine.protocols.questions import Question, Row

WIDTH = 980
LABELS, LEFT, RIGHT = 8, 330, 650
GAIN_LEFT, GAIN_RIGHT = 700, 960
TOP, LINE, TITLE, BOTTOM = 58, 40, 34, 40
GAIN_LOW, GAIN_HIGH = -40.0, 100.0


@dataclass(frozen=True)
class Mark:
    """A point with its interval, in the drawing's own units; None where there is no interval."""

    x: float
    low: float | None
    high: float | None
    published: bool


@dataclass(frozen=True)
class Line:
    """One row of the plot at its height."""

    row: Row
    y: float
    arm: Mark
    control: Mark | None
    gain: Mark | None


@dataclass(frozen=True)
class Forest:
    lines: list[Line]
    titles: list[tuple[float, str]]
    ticks: list[tuple[float, int]]
    gain_ticks: list[tuple[float, int]]
    zero: float
    height: float
    bottom: float
    width: int = WIDTH
    labels: int = LABELS
    left: int = LEFT
    right: int = RIGHT
    gain_left: int = GAIN_LEFT
    gain_right: int = GAIN_RIGHT
    top: int = TOP


def forest(question: Question) -> Forest:
    """Lay the rows of a question out, group under group."""

    def x(percent: float) -> float:
        return round(LEFT + percent / 100 * (RIGHT - LEFT), 1)

    def gain_x(points: float) -> float:
        inside = min(max(points, GAIN_LOW), GAIN_HIGH)
        share = (inside - GAIN_LOW) / (GAIN_HIGH - GAIN_LOW)
        return round(GAIN_LEFT + share * (GAIN_RIGHT - GAIN_LEFT), 1)

    lines, titles, y = [], [], float(TOP)
    for group in question.groups:
        titles.append((y + 22, group.title))
        y += TITLE
        for row in group.rows:
            middle = y + LINE / 2
            other = row.control_result
            arm = _mark(row.result.value, row.result.interval, x)
            assert arm is not None
            lines.append(
                Line(
                    row,
                    middle,
                    arm,
                    _mark(other.value, other.interval, x) if other else None,
                    _mark(row.gain_points, row.gain, gain_x),
                )
            )
            y += LINE
    return Forest(
        lines=lines,
        titles=titles,
        ticks=[(x(percent), percent) for percent in (0, 25, 50, 75, 100)],
        gain_ticks=[(gain_x(points), points) for points in (-25, 0, 25, 50, 75)],
        zero=gain_x(0),
        height=y + BOTTOM,
        bottom=y,
    )


def _mark(
    value: float | None, interval: Interval | None, x: Callable[[float], float]
) -> Mark | None:
    if value is None:
        return None
    return Mark(
        x(value),
        x(interval.low) if interval else None,
        x(interval.high) if interval else None,
        bool(interval and interval.how == "published"),
    )
