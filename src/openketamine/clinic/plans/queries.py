"""Reads for consent, plan and calendar."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

from django.conf import settings
from django.db.models import Max, Q
from django.utils import timezone

from openketamine.clinic.intake.queries import jurisdiction
from openketamine.clinic.people.models import Course, Measurement, MeasurementKind, Setting
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.protocols import regimens
from openketamine.protocols.calendar import (
    Calendar,
    Choices,
    OpenDays,
    PastSession,
    Review,
    propose,
)
from openketamine.protocols.regimens import NextDose, next_dose
from openketamine.protocols.schema import Document, Phase, Regimen, Rhythm

from .models import Consent, GivenAs, Plan, PlannedSession

# When people are asked to come, one after the other: two nurses cannot check eight people at nine.
# A proposal, like the day itself; whoever keeps the calendar moves it.
FIRST_ARRIVAL, LAST_ARRIVAL = time(9, 0), time(15, 0)
BETWEEN_ARRIVALS = timedelta(minutes=30)


def consent_texts_for(course: Course) -> dict[str, Document]:
    """The consent that a patient signs for the route of a course, in each of its languages."""
    return {
        document.language: document
        for document in library().documents.values()
        if (document.kind, document.route) == ("consent", course.route)
    }


def consent_in_force(course: Course) -> Consent | None:
    return course.consents.filter(withdrawn_at=None).select_related("presented_by").first()


def current_plan(course: Course) -> Plan | None:
    """The newest plan, verified or not."""
    return (
        course.plans.filter(superseded_at=None).select_related("ordered_by", "verified_by").first()
    )


def plan_in_force(course: Course) -> Plan | None:
    """The plan by which a patient may be treated: current, and verified by a second person."""
    plan = current_plan(course)
    return plan if plan and plan.is_verified else None


# The routes by which this program plans and runs sessions, by where the patient is then.
RUN: dict[str, frozenset[str]] = {
    Setting.CLINIC: frozenset({"IV", "IM", "IN_ESKETAMINE", "IN_RACEMIC"}),
    Setting.HOME: frozenset({"SL", "ORAL"}),
}


def way_of(regimen: Regimen) -> GivenAs | None:
    """How a regimen's dose goes in; None where it cannot be ordered here."""
    dose = regimen.dose
    if dose is None or dose.parts:
        return None
    if dose.kind == "devices":
        return GivenAs.DEVICES
    if dose.kind == "fixed":
        return GivenAs.PIECES if regimen.units_mg else GivenAs.SPRAYS
    if dose.kind == "by weight":
        return GivenAs.INFUSION if dose.duration_min else GivenAs.AT_ONCE
    return None


def stated_by(regimen: Regimen) -> frozenset[str]:
    """The quantities that an order by this regimen states, each within a limit that is signed."""
    by_way = {
        GivenAs.INFUSION: {"dose_mg_per_kg", "duration_min"},
        GivenAs.AT_ONCE: {"dose_mg_per_kg"},
    }
    way = way_of(regimen)
    counted = set() if regimen.sessions is None else {"sessions"}
    return frozenset((by_way.get(way, {"dose_mg"}) if way else set()) | counted)


def plannable(course: Course) -> list[Regimen]:
    """The regimens by which this course can be planned: whole, for this place, this age.

    Every quantity that an order states has a limit that the clinic has signed, and the program can
    run the sessions that follow.
    """
    if course.route not in RUN.get(course.setting, frozenset()):
        return []
    return [
        regimen
        for regimen in regimens.suited(
            library(),
            route=course.route,
            condition=course.condition,
            jurisdiction=jurisdiction(),
            age_years=course.person.age_years(),
        )
        if regimen.is_set
        and regimen.setting == course.setting
        and (way := way_of(regimen)) is not None
        and (regimen.vials or way != GivenAs.INFUSION)
        and stated_by(regimen) <= (limited := {limit.quantity for limit in regimen.limits})
        and limited <= stated_by(regimen) | {"sessions_per_week"}
    ]


def rhythm_choices(regimen: Regimen) -> list[tuple[Phase, list[Rhythm]]]:
    """The phases in which the prescriber chooses how often, each with what it offers."""
    known = library().rhythms
    return [
        (phase, [known[name] for name in phase.rhythms])
        for phase in regimen.phases
        if len(phase.rhythms) > 1
    ]


def history_of(course: Course) -> list[PastSession]:
    """What was given and what was missed, a day at most once, the oldest first."""
    found: dict[date, PastSession] = {}
    rows = course.planned_sessions.filter(Q(started_at__isnull=False) | Q(missed=True))
    for row in rows.select_related("plan").order_by("planned_for"):
        if row.missed:
            day = timezone.localtime(row.planned_for).date()
            found.setdefault(day, PastSession(day, "missed"))
        elif row.cancelled_at is None:
            day = timezone.localtime(row.started_at).date()
            found[day] = PastSession(day, "done", row.plan.dose_mg)
    return [found[day] for day in sorted(found)]


def following_dose(
    course: Course, regimen: Regimen, *, tolerated: bool | None = None
) -> NextDose | None:
    """The doses open at the next session; None where the regimen does not count in mg.

    Args:
        tolerated: whether the last dose was; None keeps the next one from rising.
    """
    if regimen.dose is None or regimen.dose.unit != "mg":
        return None
    given = [past.dose for past in history_of(course) if past.dose is not None]
    return next_dose(regimen, given, tolerated=tolerated)


def has_missed_lately(course: Course) -> bool:
    """Whether a session was missed since the last one was given or the days were laid out."""
    planned = course.planned_sessions.aggregate(
        missed=Max("cancelled_at", filter=Q(missed=True)),
        given=Max("started_at", filter=Q(cancelled_at=None)),
    )
    missed, given = planned["missed"], planned["given"]
    if missed is None or (given is not None and given > missed):
        return False
    plan = current_plan(course)
    return plan is not None and (plan.laid_out_at is None or plan.laid_out_at < missed)


def asks_worsened(course: Course, regimen: Regimen) -> bool:
    """Whether the regimen's rule for the sessions missed lately asks how the patient has been."""
    if not any(rule.worsened is not None for rule in regimen.missed):
        return False
    history = history_of(course)
    return bool(history) and history[-1].state == "missed"


def reviews_ahead(plan: Plan) -> tuple[Review, ...]:
    """The decisions that the regimen asks for from today on."""
    try:
        return proposal(plan, today=clock.today()).reviews
    except (ValueError, KeyError):  # no open day, no schedule, or a regimen that is gone
        return ()


def is_open_ended(plan: Plan) -> bool:
    """Whether the course goes on until the prescriber ends it."""
    regimen = library().regimens.get(plan.regimen)
    last = regimen.phases[-1] if regimen and regimen.phases else None
    return plan.sessions is None and last is not None and last.last_week is None


def proposal(plan: Plan, *, today: date) -> Calendar:
    """The days that a plan asks for from a day on, after what was given and missed so far.

    Raises:
        ValueError: the clinic never opens, or the regimen has no schedule. KeyError: the library
            lost the regimen.
    """
    history = history_of(plan.course)
    counted = None
    if plan.sessions is not None:
        # What has begun keeps its number and counts towards the series.
        done = len([past for past in history if past.state == "done"])
        counted = done + max(plan.begins_after + plan.sessions - highest_begun(plan.course), 0)
    return propose(
        library(),
        library().regimens[plan.regimen],
        start=plan.first_on,
        today=today,
        condition=plan.course.condition,
        choices=Choices(rhythms=plan.rhythms, sessions=counted),
        open_days=open_days(),
        history=history,
        worsened=plan.worsened,
    )


def highest_begun(course: Course) -> int:
    begun = course.planned_sessions.filter(cancelled_at=None, started_at__isnull=False)
    return begun.aggregate(highest=Max("number"))["highest"] or 0


def open_days() -> OpenDays:
    """When this clinic gives sessions."""
    return OpenDays(settings.OPEN_WEEKDAYS, settings.CLOSED_ON)


def free_arrivals(days: Sequence[date]) -> list[datetime]:
    """For each day, the first time at which nobody else is to arrive; on a full day, the emptiest.

    Args:
        days: in order, none twice.
    """
    if not days:
        return []

    def at(day: date, hour: time) -> datetime:
        return timezone.make_aware(datetime.combine(day, hour))

    taken = Counter(
        PlannedSession.objects.filter(
            planned_for__gte=at(days[0], FIRST_ARRIVAL),
            planned_for__lte=at(days[-1], LAST_ARRIVAL),
            cancelled_at=None,
        ).values_list("planned_for", flat=True)
    )
    arrivals = []
    for day in days:
        first, last = at(day, FIRST_ARRIVAL), at(day, LAST_ARRIVAL)
        times = [
            first + BETWEEN_ARRIVALS * n for n in range((last - first) // BETWEEN_ARRIVALS + 1)
        ]
        arrivals.append(min(times, key=lambda moment: taken[moment]))
    return arrivals


def latest_weight(course: Course) -> Measurement | None:
    return (
        course.person.measurements.filter(kind=MeasurementKind.WEIGHT_KG)
        .order_by("-taken_at", "-pk")
        .first()
    )
