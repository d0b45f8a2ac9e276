"""What a session is likely to feel like for this person, before it begins, in a few round figures.

The forecast of the ordered dose with what earlier sessions of this patient have taught. It is kept
for a day: it changes only with the order and with a further session.
"""

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from django.conf import settings
from django.core.cache import cache

from openketamine.clinic.people.models import Course, Setting
from openketamine.clinic.plans.models import GivenAs, Plan
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.sessions.queries import SINCE_THE_DRUG

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 360, 170, 10, 10, 18, 30
_STEP_MIN = 5
_KEPT_S = 86_400


@dataclass(frozen=True)
class Expected:
    """Minutes from the first of the drug, rounded to five; None where it hardly ever happens.

    Attributes:
        felt_from_min, strongest_min, fading_min, home_min: the middle of the forecast.
        home_early_min, home_late_min: between these, nine times in ten.
        felt_of_ten: of ten people like this one, how many feel floaty or unreal at some time.
        curve: (minute, share of people who feel it), every five minutes.
    """

    felt_from_min: int | None
    strongest_min: int | None
    fading_min: int | None
    home_min: int | None
    home_early_min: int | None
    home_late_min: int | None
    felt_of_ten: int
    curve: list[list[float]]
    learned_from: int

    @property
    def end_min(self) -> float:
        return self.curve[-1][0]


def expected(course: Course, plan: Plan) -> Expected | None:
    """The forecast for the next session of a plan; None where no model covers it or is ready."""
    if not settings.FORECASTS:
        return None
    done = course.sessions.filter(closed_at__isnull=False).count()
    done += course.home_sessions.filter(closed_at__isnull=False).count()
    key = f"expected:{plan.pk}:{done}:{library().digest[:16]}"
    known: dict[str, Any] | None = cache.get(key)
    if known is not None:
        return Expected(**known) if known else None
    from openketamine.clinic.sessions import forecasts  # loads the pharmacology

    if not forecasts.is_ready(wait_s=0.0):
        return None
    try:
        found = _forecast(course, plan)
    except ValueError:  # no model covers this route or this person
        found = None
    cache.set(key, asdict(found) if found else {}, timeout=_KEPT_S)
    return found


def _forecast(course: Course, plan: Plan) -> Expected:
    from openketamine.clinic.choices.multiples import MODELS
    from openketamine.clinic.plans.queries import latest_weight
    from openketamine.clinic.sessions import forecasts
    from openketamine.pharmacology import Forecast, model_for

    if plan.route not in MODELS:
        raise ValueError(f"No model covers the route {plan.route} here.")
    drug, route = MODELS[plan.route]
    doses, given_min = _doses(plan, route)
    weight = latest_weight(course)
    if weight is None:
        raise ValueError("The weight is unknown.")
    carried, learned = forecasts.carried_before(course.person_id, clock.now())
    latest = {
        item.kind: item.value
        for item in course.person.measurements.filter(kind__in=forecasts.SIGNALS).order_by(
            "taken_at"
        )
    }
    forecast = Forecast.start(
        model_for(drug, route),
        forecasts.person_of(course, weight.value),
        {name: latest.get(name) for name in forecasts.SIGNALS},
        doses,
        seed=plan.pk,
        n=2048,
        carried=carried,
    )
    criteria = library().discharge[plan.route].criteria
    least = max((c.at_least or 0.0 for c in criteria if c.fact in SINCE_THE_DRUG), default=0.0)
    marks = forecast.milestones(earliest_home_min=given_min + least)

    def minute(name: str, which: str = "median_min") -> int | None:
        mark = marks[name]
        value = getattr(mark, which)
        if mark.probability < 0.5 or value is None:
            return None
        return int(_STEP_MIN * round(value / _STEP_MIN))

    late = minute("ready_to_go_home", "high_min")
    # At home nobody leaves: a clinician speaks with the patient and closes the session.
    away = course.setting != Setting.HOME
    end = max(120.0, min(float(late or 180) + 10, 240.0))
    times = [float(t) for t in range(0, int(end) + 1, _STEP_MIN)]
    felt = forecast.quantiles(times).quantities["p_dissociation"].mean
    return Expected(
        felt_from_min=minute("onset"),
        strongest_min=minute("peak"),
        fading_min=minute("wearing_off"),
        home_min=minute("ready_to_go_home") if away else None,
        home_early_min=minute("ready_to_go_home", "low_min") if away else None,
        home_late_min=late if away else None,
        felt_of_ten=round(10 * float(felt.max())),
        curve=[[t, round(float(share), 3)] for t, share in zip(times, felt, strict=True)],
        learned_from=learned,
    )


def _doses(plan: Plan, route: str) -> tuple[list[Any], float]:
    """One session of a plan as the models take it, and when the last of the drug is given, in min.

    Devices follow each other by the rest that the regimen asks for. The sprays of a compounded
    bottle count as one dose, as the model was made of doses taken together.
    """
    from openketamine.pharmacology import Dose, RateSegment

    if plan.duration_min and plan.rate_mg_per_h:
        return [RateSegment(0.0, plan.duration_min, plan.rate_mg_per_h, route)], plan.duration_min
    if plan.given_as == GivenAs.DEVICES:
        device = library().regimens[plan.regimen].device
        rest_min = device.rest_min if device else 0.0
        each_mg = [float(mg) for mg, count in plan.units for _ in range(count)]
        doses = [Dose(rest_min * place, mg, route) for place, mg in enumerate(each_mg)]
        return doses, rest_min * (len(doses) - 1)
    return [Dose(0.0, plan.dose_mg, route)], 0.0


@dataclass(frozen=True)
class Drawing:
    """The soft curve, in the units of its own drawing."""

    area: str
    line: str
    marks: list[tuple[float, float]]
    ticks: list[tuple[float, int]]
    home: tuple[float, float, float] | None
    bottom: float = HEIGHT - BOTTOM


def drawn(found: Expected) -> Drawing:
    """Lay it out. The height is a shape and no figure: it carries no axis."""
    end = found.end_min
    highest = max(share for _, share in found.curve) or 1.0

    def x(minute: float) -> float:
        return round(LEFT + min(minute, end) / end * (WIDTH - LEFT - RIGHT), 1)

    def y(share: float) -> float:
        return round(HEIGHT - BOTTOM - share / highest * (HEIGHT - TOP - BOTTOM), 1)

    points = [(x(t), y(share)) for t, share in found.curve]
    line = _soft(points)
    base = HEIGHT - BOTTOM
    home = None
    if found.home_min and found.home_early_min and found.home_late_min:
        home = (x(found.home_early_min), x(found.home_min), x(found.home_late_min))
    by_minute = {t: share for t, share in found.curve}  # noqa: C416 - of lists, not pairs
    marks = [
        (x(minute), y(by_minute.get(float(minute), 0.0)))
        for minute in (found.felt_from_min, found.strongest_min)
        if minute is not None
    ]
    return Drawing(
        area=f"{line} L{points[-1][0]:g},{base} L{points[0][0]:g},{base} Z",
        line=line,
        marks=marks,
        ticks=[(x(t), t) for t in range(0, int(end) + 1, 30 if end <= 150 else 60)],
        home=home,
    )


def _soft(points: list[tuple[float, float]]) -> str:
    """A path through the points by quadratic curves between their middles."""
    path = f"M{points[0][0]:g},{points[0][1]:g}"
    for (x0, y0), (x1, y1) in pairwise(points):
        path += f" Q{x0:g},{y0:g} {(x0 + x1) / 2:g},{(y0 + y1) / 2:g}"
    return path + f" L{points[-1][0]:g},{points[-1][1]:g}"
