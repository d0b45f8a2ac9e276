"""What the forecast says of each route for one person, drawn as small multiples on one scale.

The strength of every route is shown in the same unit: S-ketamine at the site of effect, which
every model works out whatever the drug. Nothing here orders a dose.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from openketamine.clinic.people.models import Course
from openketamine.clinic.plans import queries as plans
from openketamine.clinic.plans.models import Plan
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.sessions.forecasts import SIGNALS, carried_before, person_of
from openketamine.pharmacology import Dose, Forecast, Person, RateSegment, model_for
from openketamine.protocols.schema import Device, Regimen

# A route of the protocols as the models know it, with the drug that is given by it.
MODELS = {
    "IV": ("racemic", "iv"),
    "IM": ("racemic", "im"),
    "SC": ("racemic", "sc"),
    "IN_RACEMIC": ("racemic", "nasal"),
    "IN_ESKETAMINE": ("esketamine", "nasal"),
    "SL": ("racemic", "sublingual"),
    "ORAL": ("racemic", "oral"),
}
HORIZON_MIN, STEP_MIN = 240.0, 5.0
PROBABILITIES = (0.05, 0.25, 0.5, 0.75, 0.95)
PEOPLE = 1024  # plausible versions of the person: enough for a drawing of this size
WIDTH, HEIGHT = 280, 150
LEFT, RIGHT, TOP, BOTTOM = 34, 8, 22, 26


@dataclass(frozen=True)
class Basis:
    """Which dose a route is drawn with, and why that one. `amount` needs no translation."""

    doses: tuple[Dose | RateSegment, ...]
    amount: str
    in_words: str
    why: str
    certainty: str


@dataclass(frozen=True)
class Told:
    """The forecast of one route, in figures: (median, low, high) with nine of ten in between.

    Attributes:
        strength: quantiles of S-ketamine at the effect site in ng/mL, shape (5, times).
        felt_percent: the chance that dissociation is felt, at each time; `felt_most` its highest.
        spread: how many times as high the 95th percentile of the peak is as the 5th.
        certainty: of the model's weakest value.
    """

    basis: Basis
    times_min: tuple[float, ...]
    strength: tuple[tuple[float, ...], ...]
    felt_percent: tuple[float, ...]
    felt_most: int
    systolic_mmhg: tuple[int, int, int]
    first_felt_min: tuple[int, int, int] | None
    home_min: tuple[int, int, int] | None
    spread: float
    certainty: str
    learned_from: int

    @property
    def sentences(self) -> list[str]:
        """The figures as whoever reads them is told."""
        most = {"most": self.felt_most}
        if self.first_felt_min:
            words = _("Felt at most %(most)s %%, from about %(mid)s min (%(low)s–%(high)s).")
            felt = words % {**most, **_span(self.first_felt_min)}
        else:
            felt = _("Felt at most %(most)s %%.") % most
        if self.home_min:
            words = _("Effects gone after %(mid)s min (%(low)s–%(high)s).")
            gone = words % _span(self.home_min)
        else:
            gone = _("Effects gone after more than 4 h, or not foreseen.")
        words = _("Highest systolic %(mid)s mmHg (%(low)s–%(high)s).")
        highest = words % _span(self.systolic_mmhg)
        spread = _("Between people the peak differs %(times)s-fold.") % {"times": self.spread}
        return [felt, gone, highest, spread]


def _span(figures: tuple[int, int, int]) -> dict[str, int]:
    return dict(zip(("mid", "low", "high"), figures, strict=True))


@dataclass(frozen=True)
class Small:
    """One small drawing. Polygons and lines are point lists in the drawing's own units."""

    outer: str
    inner: str
    median: str
    felt: str
    home: float | None


@dataclass(frozen=True)
class Scale:
    """What all the small drawings share."""

    highest: float
    ticks: list[tuple[float, int]]
    grid: list[tuple[float, str]]
    shares: list[tuple[float, str]]
    width: int = WIDTH
    height: int = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


def basis_of(
    plan: Plan | None, route: str, regimen: Regimen | None, weight_kg: float
) -> Basis | None:
    """The dose to draw: what is ordered for this patient, else where the regimen begins.

    None where no dose is ordered and the library states none.
    """
    name = MODELS[route][1]
    if plan is not None and plan.route == route:
        words = whole = f"{plan.dose_mg:g} mg"
        given: tuple[Dose | RateSegment, ...] = (Dose(0.0, plan.dose_mg, name),)
        ordered = library().regimens.get(plan.regimen)
        if plan.duration_min and plan.rate_mg_per_h:
            given = (RateSegment(0.0, plan.duration_min, plan.rate_mg_per_h, name),)
            words = _over(words, plan.duration_min)
        elif ordered and ordered.device:
            given = _devices(plan.dose_mg, ordered.device, name)
            words = _apart(words, len(given), ordered.device)
        return Basis(given, whole, words, _("as ordered"), "")
    dose = regimen.dose if regimen else None
    if regimen is None or dose is None or dose.kind == "rate":
        return None
    amount = dose.amount if dose.amount is not None else (*dose.first, dose.lowest)[0]
    amount_mg = round(amount * weight_kg, 1) if dose.unit == "mg/kg" else amount
    words = f"{amount_mg:g} mg"
    if dose.unit == "mg/kg":
        words += f" ({amount:g} mg/kg)"
    if dose.duration_min and name in {"iv", "sc"}:
        given = (RateSegment(0.0, dose.duration_min, amount_mg * 60 / dose.duration_min, name),)
        words = _over(words, dose.duration_min)
    elif regimen.device:
        given = _devices(amount_mg, regimen.device, name)
        words = _apart(words, len(given), regimen.device)
    else:
        given = (Dose(0.0, amount_mg, name),)
    why = _("where %(regimen)s begins") % {"regimen": _(regimen.name)}
    return Basis(given, f"{amount_mg:g} mg", words, why, regimen.certainty)


def _over(dose: str, minutes: float) -> str:
    return _("%(dose)s over %(minutes)s min") % {"dose": dose, "minutes": f"{minutes:g}"}


def _apart(dose: str, count: int, device: Device) -> str:
    return _("%(dose)s, %(count)s devices %(minutes)s min apart") % {
        "dose": dose,
        "count": count,
        "minutes": f"{device.rest_min:g}",
    }


def _devices(dose_mg: float, device: Device, route: str) -> tuple[Dose, ...]:
    count = round(dose_mg / device.content_mg)
    return tuple(Dose(n * device.rest_min, device.content_mg, route) for n in range(count))


@dataclass(frozen=True)
class Patient:
    """The patient of a course as the forecasts of all routes need them, read once."""

    course: Course
    weight_kg: float | None
    plan: Plan | None
    person: Person | None
    signals: dict[str, float | None]
    carried: Mapping[str, Any] | None
    learned_from: int
    why_not: str = ""


def patient_of(course: Course) -> Patient:
    """Read what is known of a patient; `why_not` where the models do not cover such a person."""
    weight = plans.latest_weight(course)
    if weight is None:
        return Patient(course, None, None, None, {}, None, 0, _("The weight is unknown."))
    try:
        person, why_not = person_of(course, weight.value), ""
    except ValueError as error:
        person, why_not = None, str(error)
    carried, sessions = carried_before(course.person_id, clock.now())
    latest = {
        item.kind: item.value
        for item in course.person.measurements.filter(kind__in=SIGNALS).order_by("taken_at")
    }
    signals = {name: latest.get(name) for name in SIGNALS}
    plan = plans.current_plan(course)
    return Patient(course, weight.value, plan, person, signals, carried, sessions, why_not)


def told(patient: Patient, route: str, regimen: Regimen | None) -> Told | str:
    """The forecast of a route for a patient, or why there is none."""
    if patient.person is None or patient.weight_kg is None:
        return patient.why_not
    basis = basis_of(patient.plan, route, regimen, patient.weight_kg)
    if basis is None:
        return _("No dose is published for this route and condition, and none is ordered.")
    model = model_for(*MODELS[route])
    try:
        forecast = Forecast.start(
            model,
            patient.person,
            patient.signals,
            basis.doses,
            seed=patient.course.pk.int % 2**32,
            n=PEOPLE,
            carried=patient.carried,
            horizon_min=HORIZON_MIN,
        )
    except ValueError as error:
        return str(error)
    times = [STEP_MIN * n for n in range(int(HORIZON_MIN / STEP_MIN) + 1)]
    curves = forecast.quantiles(times, probabilities=PROBABILITIES)
    strength = curves.quantities["effect_site"].values
    felt = 100 * curves.quantities["p_dissociation"].mean
    milestones = forecast.milestones()
    peak = forecast.peaks()["systolic_mmhg"]
    highest = strength.max(axis=1)

    def minutes(name: str) -> tuple[int, int, int] | None:
        found = milestones[name]
        if found.probability < 0.5 or None in (found.median_min, found.low_min, found.high_min):
            return None
        assert found.median_min is not None
        assert found.low_min is not None
        assert found.high_min is not None
        return round(found.median_min), round(found.low_min), round(found.high_min)

    return Told(
        basis=basis,
        times_min=tuple(times),
        strength=tuple(tuple(float(v) for v in row) for row in strength),
        felt_percent=tuple(float(v) for v in felt),
        felt_most=round(float(felt.max())),
        systolic_mmhg=(round(peak.median), round(peak.low), round(peak.high)),
        first_felt_min=minutes("onset"),
        home_min=minutes("ready_to_go_home"),
        spread=round(float(highest[-1] / highest[0]), 1) if highest[0] > 0 else 0.0,
        certainty=model.certainty,
        learned_from=patient.learned_from,
    )


def scale_of(forecasts: Sequence[Told]) -> Scale:
    """One scale for all of them: the highest 95th percentile decides its height."""
    top = max((max(each.strength[-1]) for each in forecasts), default=1.0)
    step = next((s for s in (5, 10, 20, 25, 50, 100, 200, 500) if top / s <= 4), 1000)
    highest = float(step * max(-(-int(top) // step), 1))
    if highest < top:
        highest += step
    marks = [n * step for n in range(int(highest / step) + 1)]
    return Scale(
        highest=highest,
        ticks=[(_x(m), m // 60) for m in range(0, int(HORIZON_MIN) + 1, 60)],
        grid=[(_y(mark, highest), f"{mark:g}") for mark in marks],
        shares=[(_y(percent, 100.0), f"{percent:g} %") for percent in (0, 50, 100)],
    )


def small(each: Told, scale: Scale) -> Small:
    """One route on the scale of all."""
    xs = [_x(minute) for minute in each.times_min]

    def line(values: Sequence[float], highest: float) -> list[tuple[float, float]]:
        return [(x, _y(value, highest)) for x, value in zip(xs, values, strict=True)]

    def area(low: int, high: int) -> str:
        above = line(each.strength[high], scale.highest)
        below = line(each.strength[low], scale.highest)
        return _points([*above, *reversed(below)])

    return Small(
        outer=area(0, 4),
        inner=area(1, 3),
        median=_points(line(each.strength[2], scale.highest)),
        felt=_points(line(each.felt_percent, 100.0)),
        home=_x(each.home_min[0]) if each.home_min and each.home_min[0] <= HORIZON_MIN else None,
    )


def _x(minute: float) -> float:
    return round(LEFT + minute / HORIZON_MIN * (WIDTH - LEFT - RIGHT), 1)


def _y(value: float, highest: float) -> float:
    return round(TOP + (1 - min(value / highest, 1.0)) * (HEIGHT - TOP - BOTTOM), 1)


def _points(pairs: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in pairs)
