"""The session's vital signs as a small drawing for paper."""

from dataclasses import dataclass

from openketamine.clinic.sessions.timeline import Timeline

WIDTH, HEIGHT = 640, 200
LEFT, RIGHT, TOP, BOTTOM = 36, 8, 8, 24
LOW, HIGH = 40, 200  # the range of the axis, in mmHg and beats a minute


@dataclass(frozen=True)
class Sketch:
    series: list[tuple[str, list[tuple[float, float]]]]
    grid: list[tuple[float, int]]
    ticks: list[tuple[float, int]]
    pump: list[tuple[float, float]]


def vitals_sketch(timeline: Timeline) -> Sketch | None:
    """Lay the vital signs out over the minutes of the session; None where there are none."""
    if not timeline.vitals:
        return None
    zero = timeline.started_at or timeline.vitals[0].at
    moments = [(reading.at - zero).total_seconds() / 60 for reading in timeline.vitals]
    first, last = min([0.0, *moments]), max([*moments, 10.0])

    def x(minute: float) -> float:
        return round(LEFT + (minute - first) / (last - first) * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        inside = min(max(value, LOW), HIGH)
        return round(TOP + (HIGH - inside) / (HIGH - LOW) * (HEIGHT - TOP - BOTTOM), 1)

    def points(quantity: str) -> list[tuple[float, float]]:
        return [
            (x((r.at - zero).total_seconds() / 60), y(r.values[quantity]))
            for r in timeline.series(quantity)
        ]

    return Sketch(
        series=[
            ("systolic", points("systolic_mmhg")),
            ("diastolic", points("diastolic_mmhg")),
            ("heart", points("heart_rate_bpm")),
        ],
        grid=[(y(value), value) for value in range(LOW, HIGH + 1, 40)],
        ticks=[(x(minute), minute) for minute in range(0, int(last) + 1, 20)],
        pump=[
            (
                x((s.start - zero).total_seconds() / 60),
                x(((s.end or timeline.vitals[-1].at) - zero).total_seconds() / 60),
            )
            for s in timeline.segments
        ],
    )
