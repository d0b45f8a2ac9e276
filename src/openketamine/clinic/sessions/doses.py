"""What other doses are forecast to do in this patient: information for the prescriber.

It knows the models and this patient's earlier sessions. It knows nothing of the label or of the
indication, sets nothing and orders nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.translation import gettext as _

from openketamine.clinic.people.models import Course
from openketamine.clinic.plans import queries as plans
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.pharmacology.guidance import Guidance, Option, Target, guide
from openketamine.pharmacology.models import model_for
from openketamine.protocols.schema import Limit, Regimen

from .forecasts import MODELS, ROUTES, SIGNALS, carried_before, person_of

WIDTH, HEIGHT = 640, 250
LEFT, RIGHT, TOP, BOTTOM = 50, 24, 12, 34
STEPS_MG_PER_KG = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0)
# Sprays of a bottle: the doses of the trial that the model was made of, and those between.
STEPS_MG = (10.0, 20.0, 30.0, 40.0, 50.0)


@dataclass(frozen=True)
class Row:
    """One dose of the table; `inside` where the clinic's policy would take it."""

    option: Option
    inside: bool
    ordered: bool

    @property
    def chance(self) -> dict[str, float]:
        """In percent."""
        option = self.option
        return {
            "dissociation": 100 * option.p_dissociation,
            "strong": 100 * option.p_strong_dissociation,
            "sedation": 100 * option.p_sedation,
            "nausea": 100 * option.p_nausea,
            "systolic": 100 * (option.p_systolic_above or 0.0),
        }


@dataclass(frozen=True)
class Curve:
    """One chance over dose, in the drawing's own units."""

    name: str
    css: str
    points: str
    end: tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """The trade-off over dose for one duration.

    Attributes:
        unit: of the axis: mg/kg, or mg where the dose is not by weight.
        low_mg, high_mg: doses forecast to meet the target, or None where none of those tried does.
        ticks: (x, dose in that unit); grid: (y, percent).
        policy: (x from, x to) of the clinic's policy.
    """

    rows: list[Row]
    guidance: Guidance
    curves: list[Curve]
    ticks: list[tuple[float, float]]
    grid: list[tuple[float, int]]
    policy: tuple[float, float] | None
    low_mg: float | None
    high_mg: float | None
    learned_from: int
    unit: str
    left: float = LEFT
    right: float = WIDTH - RIGHT

    @property
    def policy_width(self) -> float:
        return self.policy[1] - self.policy[0] if self.policy else 0.0


def compare(course: Course, regimen: Regimen, asked: Mapping[str, float | None]) -> Comparison:
    """Try a row of doses over one duration in this patient.

    Args:
        asked: duration_min, systolic_limit_mmhg, and bounds in percent: systolic_at_most,
            dissociation_at_least and strong_at_most, where the last two may be None.

    Raises:
        ValueError: no model covers this route or this person.
    """
    target = Target(
        dissociation_at_least=_share(asked["dissociation_at_least"]),
        strong_dissociation_at_most=_share(asked["strong_at_most"]),
        systolic_limit_mmhg=asked["systolic_limit_mmhg"],
        systolic_at_most=_share(asked["systolic_at_most"]) or 0.0,
    )
    duration_min = asked.get("duration_min") or regimen.duration_min
    weight = plans.latest_weight(course)
    if weight is None:
        raise ValueError(_("The weight is unknown. Measure it first."))
    if course.route not in ROUTES:
        raise ValueError(_("No model covers the route %(route)s here.") % {"route": course.route})
    drug, route = MODELS[course.route]
    person = person_of(course, weight.value)
    current = plans.current_plan(course)
    by_weight = regimen.dose is not None and regimen.dose.unit == "mg/kg"
    per = weight.value if by_weight else 1.0  # mg to one step of the axis
    limit = _limit(regimen, "dose_mg_per_kg" if by_weight else "dose_mg")
    ordered = current and (current.dose_mg_per_kg if by_weight else current.dose_mg)
    steps = sorted(
        {*_tried(regimen), *((limit.minimum, limit.maximum) if limit else ())}
        | ({round(ordered, 3)} if ordered else set())
    )
    carried, sessions = carried_before(course.person_id, clock.now())
    latest = {
        item.kind: item.value
        for item in course.person.measurements.filter(kind__in=SIGNALS).order_by("taken_at")
    }
    found = guide(
        model_for(drug, route),
        person,
        {name: latest.get(name) for name in SIGNALS},
        target,
        route=route,
        doses_mg=[round(step * per, 1) for step in steps],
        durations_min=[duration_min] if route == "iv" else [0.0],
        seed=course.pk.int % 2**32,
        carried=carried,
    )
    rows = [
        Row(
            option,
            limit is None or limit.minimum <= round(option.dose_mg / per, 2) <= limit.maximum,
            bool(ordered) and abs(option.dose_mg / per - ordered) < 0.005,
        )
        for option in found.options
    ]
    highest = max(step for step in steps)

    def x(step: float) -> float:
        return round(LEFT + step / highest * (WIDTH - LEFT - RIGHT), 1)

    def y(percent: float) -> float:
        return round(TOP + (100 - percent) / 100 * (HEIGHT - TOP - BOTTOM), 1)

    def curve(name: str, key: str) -> Curve:
        points = [(x(row.option.dose_mg / per), y(row.chance[key])) for row in rows]
        return Curve(name, key, " ".join(f"{a},{b}" for a, b in points), points[-1])

    curves = [
        curve(_("dissociation felt"), "dissociation"),
        curve(_("strong dissociation"), "strong"),
        curve(_("sedation"), "sedation"),
    ]
    if target.systolic_limit_mmhg is not None:
        above = _("systolic above %(limit)s") % {"limit": f"{target.systolic_limit_mmhg:g}"}
        curves.append(curve(above, "systolic"))
    ranges = found.ranges
    return Comparison(
        rows=rows,
        guidance=found,
        curves=curves,
        ticks=[(x(step), step) for step in (_TICKS if by_weight else (0.0, *steps))],
        grid=[(y(percent), percent) for percent in (0, 25, 50, 75, 100)],
        policy=(x(limit.minimum), x(limit.maximum)) if limit else None,
        low_mg=min((r.low_mg for r in ranges), default=None),
        high_mg=max((r.high_mg for r in ranges), default=None),
        learned_from=sessions,
        unit="mg/kg" if by_weight else "mg",
    )


_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)  # the steps tried reach 1 mg/kg


def _tried(regimen: Regimen) -> tuple[float, ...]:
    """The doses that are tried, in the unit of the axis."""
    if regimen.dose is None or regimen.dose.unit == "mg/kg":
        return STEPS_MG_PER_KG
    if regimen.device is None:
        return STEPS_MG
    most = round(regimen.dose.highest / regimen.device.content_mg)
    return tuple(regimen.device.content_mg * count for count in range(1, most + 1))


def _share(percent: float | None) -> float | None:
    return None if percent is None else percent / 100


def _limit(regimen: Regimen, quantity: str) -> Limit | None:
    return next((limit for limit in regimen.limits if limit.quantity == quantity), None)


def default_limit_mmhg(course: Course) -> float:
    """The clinic's own red limit of systolic pressure."""
    thresholds = library().monitoring[course.route].thresholds
    found = [
        t.at_least
        for t in thresholds
        if t.quantity == "systolic_mmhg" and t.priority == "red" and t.at_least is not None
    ]
    return min(found, default=180.0)
