"""Reads for follow-up: what is due, how the patient fares."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from openketamine.clinic.intake.models import InstrumentResponse
from openketamine.clinic.people.models import Course, Person
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.sessions.models import Phase, Session
from openketamine.protocols.instruments import has_responded, is_remission

from .models import FormRequest

State = Literal["not due", "due", "overdue", "answered", "missed"]
OVERDUE_AFTER_H = 24


def state_of(request: FormRequest, now: datetime | None = None) -> State:
    """Where a form stands."""
    now = now or clock.now()
    if request.completed_at:
        return "answered"
    if now > request.closes_at:
        return "missed"
    if now < request.due_at:
        return "not due"
    late_h = (now - request.due_at).total_seconds() / 3600
    return "overdue" if late_h > OVERDUE_AFTER_H else "due"


def waiting_forms() -> list[FormRequest]:
    """Every form that is due and not answered, the longest waiting first."""
    now = clock.now()
    return list(
        FormRequest.objects.filter(completed_at=None, due_at__lte=now, closes_at__gte=now)
        .select_related("person", "course")
        .order_by("due_at")
    )


def coming_forms(limit: int = 20) -> list[FormRequest]:
    return list(
        FormRequest.objects.filter(completed_at=None, due_at__gt=clock.now())
        .select_related("person", "course")
        .order_by("due_at")[:limit]
    )


def missed_forms(limit: int = 20) -> list[FormRequest]:
    """Forms that closed unanswered: calls to make."""
    return list(
        FormRequest.objects.filter(completed_at=None, closes_at__lt=clock.now())
        .select_related("person", "course")
        .order_by("-closes_at")[:limit]
    )


@dataclass(frozen=True)
class Point:
    at: datetime
    total: int
    band: str
    occasion: str
    off_window: bool
    session_number: int | None


@dataclass(frozen=True)
class Trajectory:
    """One questionnaire over a course, with the doses, and what it comes to."""

    instrument: str
    name: str
    maximum: int
    points: Sequence[Point]
    doses: Sequence[tuple[datetime, int]]
    response_at_or_below: float | None
    remission_below: float
    summary: str
    responded: bool
    remitted: bool


def trajectory(course: Course, instrument: str = "phq9") -> Trajectory:
    """Scores over time beside the doses. Response and remission are judged on in-window scores."""
    definition = library().instruments[instrument]
    responses = list(
        InstrumentResponse.objects.filter(
            course=course, instrument=instrument, total__isnull=False
        ).order_by("taken_at")
    )
    points = [
        Point(r.taken_at, r.total, r.band, r.occasion, r.off_window, r.session_number)
        for r in responses
    ]
    sessions = Session.objects.filter(course=course, phase=Phase.DISCHARGED).select_related(
        "planned"
    )
    doses = [(s.opened_at, s.planned.number) for s in sessions.order_by("opened_at")]
    baseline = next((p.total for p in points if p.occasion == "intake"), None)
    judged = [p for p in points if not p.off_window and p.occasion != "intake"]
    responded = remitted = False
    summary = "No score after the start yet."
    if baseline is not None and judged:
        last = judged[-1]
        responded = has_responded(definition, baseline=baseline, total=last.total)
        remitted = is_remission(definition, last.total)
        change = 100 * (baseline - last.total) / baseline if baseline else 0
        verdict = "remission" if remitted else "response" if responded else "no response yet"
        summary = (
            f"{definition.short_name} {baseline} at intake, {last.total} at the last in-window "
            f"score ({change:+.0f} % improvement): {verdict}."
        )
    share = definition.response.fall_percent / 100
    return Trajectory(
        instrument=instrument,
        name=definition.short_name,
        maximum=definition.bands[-1].high,
        points=points,
        doses=doses,
        response_at_or_below=None if baseline is None else baseline * (1 - share),
        remission_below=definition.remission.below,
        summary=summary,
        responded=responded,
        remitted=remitted,
    )


@dataclass(frozen=True)
class PatientPage:
    """What a patient sees of the own course."""

    person: Person
    course: Course | None
    forms: list[FormRequest]
    next_session: datetime | None


def patient_page(person: Person) -> PatientPage:
    now = clock.now()
    course = person.courses.filter(closed_at=None).first()
    forms = list(
        FormRequest.objects.filter(
            person=person, completed_at=None, due_at__lte=now, closes_at__gte=now
        )
    )
    upcoming = (
        course.planned_sessions.filter(
            done_at=None, cancelled_at=None, planned_for__gte=now
        ).first()
        if course
        else None
    )
    return PatientPage(person, course, forms, upcoming.planned_for if upcoming else None)
