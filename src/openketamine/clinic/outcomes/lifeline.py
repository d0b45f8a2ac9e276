"""A patient's life with the programme on one line: scores above, what happened beneath.

What can stand on it is open. A marker is a function of a course that gives marks; whoever has a
further kind of thing writes one, names its lane in `LANES` and adds it to `MARKERS`, or hands it
to `lifeline` as one of `also`. Shapes and lanes carry the meaning, never colour alone, and every
mark has its row in the table.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from openketamine.clinic.people.models import Course
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.therapy import queries as therapy

from .given import TOLD, doses_given
from .queries import Trajectory, trajectories

WIDTH, LEFT, RIGHT = 1080, 144, 24
TOP, SCORES, LANE, AXIS = 16, 170, 40, 34
# The lanes beneath the scores, from above.
LANES = {
    "dose": gettext_noop("Doses"),
    "therapy": gettext_noop("Therapy visits"),
    "effect": gettext_noop("Side effects"),
    "mood": gettext_noop("Mood, daily"),
    "life": gettext_noop("Life events"),
    "review": gettext_noop("Reviews"),
}
SHAPES = {
    "dose": "bar",
    "therapy": "square",
    "effect": "triangle",
    "mood": "point",
    "life": "dot",
    "review": "rhomb",
}
DEGREES = {gettext_noop("mild"): 0.4, gettext_noop("moderate"): 0.7, gettext_noop("severe"): 1.0}
# Those codes of routes that are words; the others are alike in every language.
_ROUTES = (gettext_noop("ORAL"), gettext_noop("IN_ESKETAMINE"), gettext_noop("IN_RACEMIC"))


@dataclass(frozen=True)
class Mark:
    """One thing that happened.

    Attributes:
        lane: one of `LANES`.
        title: what it was, in a few words; `detail` more of it, for the table.
        size: from 0 to 1: the dose beside the largest one, the degree of a side effect.
        url: where it can be looked at.
    """

    lane: str
    at: datetime
    title: str
    detail: str = ""
    size: float = 0.6
    url: str = ""


Marker = Callable[[Course], Iterable[Mark]]


def doses_and_effects(course: Course) -> list[Mark]:
    """Each dose with its route, in the clinic and at home, and the side effects noted."""
    given = doses_given(course)
    largest = max((dose.dose_mg for dose in given), default=0.0) or 1.0
    marks = []
    for dose in given:
        more = (
            _("First dose, watched in the clinic before those at home.")
            if dose.number is None
            else _("Session %(number)d, ordered %(mg)s mg.")
            % {"number": dose.number, "mg": f"{dose.ordered_mg:g}"}
        )
        if dose.at_home:
            more += " " + _("At home.")
        if dose.transferred:
            more += " " + _("Transferred to hospital.")
        title = f"{dose.dose_mg:.4g} mg {_(dose.route)}"
        marks.append(Mark("dose", dose.at, title, more, dose.dose_mg / largest, url=dose.url))
        marks += [
            Mark(
                "effect",
                effect.at,
                f"{_(effect.label)}, {_(effect.severity)}",
                _(effect.note) if effect.note == TOLD else effect.note,
                DEGREES.get(effect.severity, 0.4),
            )
            for effect in dose.effects
        ]
    return marks


_THERAPY = {"visit": "therapy", "goal": "therapy", "life": "life"}


def therapy_and_life(course: Course) -> list[Mark]:
    """Therapy visits, goals reached, and what happened in the patient's life."""
    return [Mark(_THERAPY[mark.kind], mark.at, mark.label) for mark in therapy.marks(course)]


def daily_mood(course: Course) -> list[Mark]:
    """What the patient said of each day on the own page, 0 the worst and 10 the best."""
    entries = Event.objects.filter(person_id=course.person_id, kind="portal.mood_recorded")
    # Asked again on one day, the last answer is that day's.
    by_day = {event.data["day"]: event for event in entries.order_by("seq")}
    last = course.closed_at or clock.now()
    return [
        Mark("mood", event.occurred_at, _("Mood %(mood)s of 10") % {"mood": mood}, size=mood / 10)
        for event in by_day.values()
        for mood in (event.data["mood_0_10"],)
        if course.opened_at <= event.occurred_at <= last
    ]


MARKERS: tuple[Marker, ...] = (doses_and_effects, therapy_and_life, daily_mood)


@dataclass(frozen=True)
class Placed:
    """A mark with its place in the drawing."""

    mark: Mark
    shape: str
    x: float
    y: float
    path: str


@dataclass(frozen=True)
class Lifeline:
    """The whole drawing, in its own units, and the marks in the order of time for the table.

    Attributes:
        scores: (x, y, words, off window) of the questionnaire; `line` joins those in window.
        rules: (y, words): response, remission.
        months: (x, words) of the axis.
    """

    trajectory: Trajectory | None
    scores: list[tuple[float, float, str, bool]]
    line: str
    rules: list[tuple[float, str]]
    grid: list[tuple[float, str]]
    placed: list[Placed]
    lanes: list[tuple[float, str]]
    months: list[tuple[float, str]]
    now: float
    height: float
    marks: list[Mark]
    width: int = WIDTH
    left: int = LEFT
    right: int = WIDTH - RIGHT
    floor: int = TOP + SCORES


def lifeline(
    course: Course,
    *,
    instrument: str = "",
    also: Iterable[Marker] = (),
    without: Collection[str] = (),
) -> Lifeline:
    """Draw a course from its opening to today, or to its closing.

    Args:
        instrument: whose scores stand above; the first of the plan where left out.
        also: further markers, of steps that come after this one.
        without: lanes whose marks the reader has no business with; the lanes stay empty.
    """
    every = (mark for marker in (*MARKERS, *also) for mark in marker(course))
    marks = sorted((mark for mark in every if mark.lane not in without), key=lambda m: m.at)
    found = [each for each in trajectories(course) if each.instrument.total_range]
    chosen = next((each for each in found if each.instrument.id == instrument), None)
    chosen = chosen or next(iter(found), None)
    points = [p for p in chosen.points if p.total is not None] if chosen else []
    end = course.closed_at or clock.now()
    moments = [course.opened_at, end, *(m.at for m in marks), *(p.at for p in points)]
    first, last = min(moments), max(moments)
    span_s = max((last - first).total_seconds(), 7 * 86_400.0)

    def x(at: datetime) -> float:
        share = (at - first).total_seconds() / span_s
        return round(LEFT + 10 + share * (WIDTH - LEFT - RIGHT - 20), 1)

    low, high = (chosen.instrument.total_range or (0, 1)) if chosen else (0, 1)

    def y(value: float) -> float:
        return round(TOP + (high - value) / (high - low) * SCORES, 1)

    scores = [
        (
            x(p.at),
            y(p.total or 0),
            f"{p.result_in_words}, {date_format(p.at, 'd M Y')}",
            p.off_window,
        )
        for p in points
    ]
    tops = {lane: TOP + SCORES + 18 + n * LANE for n, lane in enumerate(LANES)}
    bottom = TOP + SCORES + 18 + len(LANES) * LANE
    step = max(int((high - low) / 3), 1)
    return Lifeline(
        trajectory=chosen,
        scores=scores,
        line=" ".join(f"{a},{b}" for a, b, _, off in scores if not off),
        rules=[(y(line.at), line.label) for line in chosen.lines if low <= line.at <= high]
        if chosen
        else [],
        grid=[(y(v), f"{v}") for v in range(int(low), int(high) + 1, step)] if chosen else [],
        placed=[_place(mark, x(mark.at), tops[mark.lane]) for mark in marks],
        lanes=[(tops[lane] + LANE / 2, _(words)) for lane, words in LANES.items()],
        months=_ticks(first, last, x),
        now=x(end),
        height=bottom + AXIS,
        marks=marks,
    )


def _place(mark: Mark, x: float, top: float) -> Placed:
    """Its shape at its place; size shows in the shape, and the lane says what it is."""
    middle, r = top + LANE / 2, round(4 + 5 * max(min(mark.size, 1.0), 0.0), 1)
    shape = SHAPES[mark.lane]
    if shape == "bar":
        tall = round(6 + 20 * max(min(mark.size, 1.0), 0.0), 1)
        base = top + LANE - 6
        path = f"M{x - 3:g} {base:g} V{base - tall:g} H{x + 3:g} V{base:g} Z"
    elif shape == "square":
        path = f"M{x - 6:g} {middle - 6:g} h12 v12 h-12 Z"
    elif shape == "triangle":
        path = f"M{x:g} {middle - r:g} L{x + r:g} {middle + r:g} H{x - r:g} Z"
    elif shape == "rhomb":
        path = f"M{x:g} {middle - 9:g} l8 9 l-8 9 l-8 -9 Z"
    elif shape == "point":
        # As high in its lane as the mood was: together the points are a line of days.
        level = round(top + LANE - 7 - (LANE - 14) * max(min(mark.size, 1.0), 0.0), 1)
        path = f"M{x - 2.5:g} {level:g} a2.5 2.5 0 1 0 5 0 a2.5 2.5 0 1 0 -5 0 Z"
    else:
        path = f"M{x - 6:g} {middle:g} a6 6 0 1 0 12 0 a6 6 0 1 0 -12 0 Z"
    return Placed(mark, shape, x, middle, path)


def _ticks(
    first: datetime, last: datetime, x: Callable[[datetime], float]
) -> list[tuple[float, str]]:
    """The first of each month, as many as have room; for a short course, each week."""
    days = (last - first).days
    found = []
    if days < 62:
        moment, step = first, timedelta(days=7)
        while moment <= last:
            found.append((x(moment), date_format(moment, "j M")))
            moment += step
    else:
        for day in range(days + 1):
            moment = first + timedelta(days=day)
            if moment.day == 1:
                found.append((x(moment), date_format(moment, "M Y")))
    kept_ticks = found[:1]
    for tick in found[1:]:
        if tick[0] - kept_ticks[-1][0] >= 64:
            kept_ticks.append(tick)
    assert all(b[0] > a[0] for a, b in pairwise(kept_ticks))
    return kept_ticks
