"""Reads for the list of people and the patient's page."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import OuterRef, Q, QuerySet, Subquery

from openketamine.clinic.record.models import Event

from .models import Condition, Course, Measurement, MeasurementKind, Person, Stage

PER_PAGE = 25


def people(*, search: str = "", stage: str = "", page: int = 1) -> Page[Person]:
    """People by name, each with the stage of the newest course. Always two queries."""
    newest = Course.objects.filter(person=OuterRef("pk")).order_by("-opened_at")
    found: QuerySet[Person] = Person.objects.annotate(
        stage=Subquery(newest.values("stage")[:1]),
        course_id=Subquery(newest.values("pk")[:1]),
        prescriber_name=Subquery(newest.values("prescriber__display_name")[:1]),
    ).order_by("family_name", "given_name", "pk")
    for word in search.split():
        found = found.filter(
            Q(given_name__icontains=word) | Q(family_name__icontains=word) | Q(mrn__icontains=word)
        )
    if stage in Stage.values:
        found = found.filter(stage=stage)
    return Paginator(found, PER_PAGE).get_page(page)


@dataclass(frozen=True)
class Moment:
    """One line of the course's story."""

    at: datetime
    kind: str
    title: str
    detail: str
    actor: str
    css: str


def latest_measurements(person: Person) -> list[Measurement]:
    """The newest value of each kind, in the order of `MeasurementKind`."""
    latest: dict[str, Measurement] = {}
    for item in person.measurements.order_by("taken_at", "pk"):
        latest[item.kind] = item
    return [latest[kind] for kind in MeasurementKind.values if kind in latest]


def problems(person: Person) -> list[Condition]:
    """Medical conditions, active ones first."""
    listed = person.conditions.exclude(category=Condition.Category.SOCIAL).exclude(
        category=Condition.Category.PROCEDURE
    )
    return sorted(listed, key=lambda c: (c.status not in {"active", "recurrence"}, c.display))


# What the story tells, in a clinician's words. Bookkeeping events stay in the record.
_TITLES = {
    "person.referred": "Referred",
    "person.referral_updated": "Referral updated",
    "person.transferred": "Transferred to {to_name}: {reason}",
    "person.statements_taken": "Added to the chart from another system",
    "person.demographics_corrected": "Demographics corrected",
    "course.team_assigned": "Team assigned",
    "intake.questionnaire_answered": "{name}: {result}",
    "intake.safety_review_opened": "Safety review opened",
    "intake.safety_review_recorded": "Safety review recorded",
    "intake.history_taken": "Medical history taken",
    "intake.finding_decided": "Finding decided",
    "intake.screening_signed": "Screening signed: {outcome}",
    "plans.consent_signed": "Consent signed",
    "plans.consent_withdrawn": "Consent withdrawn",
    "plans.plan_ordered": "Plan ordered: {dose_mg} mg{over}, sessions: {sessions}",
    "plans.plan_verified": "Dose checked by a second person",
    "plans.plan_check_failed": "Dose check did not agree",
    "plans.session_moved": "Session moved",
    "plans.session_cancelled": "Session cancelled",
    "therapy.preparation_recorded": "Preparation visit",
    "therapy.integration_recorded": "Integration visit",
    "therapy.therapy_recorded": "Talk therapy",
    "therapy.touch_agreed": "Touch agreement signed",
    "therapy.touch_withdrawn": "Touch agreement withdrawn",
    "therapy.life_event_recorded": "Life event recorded",
    "reviews.held": "Course reviewed: {decision}",
    "reviews.misuse_noted": "Sign of misuse noted",
    "reviews.loose_end_taken_up": "Followed up: {step}",
    "reviews.course_closed": "Course closed",
    "session.infusion_ended": "Session: {given_mg} mg given",
    "session.injection_given": "Session: {dose_mg} mg injected",
    "session.discharged": "Discharged",
    "session.transferred": "Transferred to {where}",
    "session.cancelled": "Session cancelled",
    "sessions.transfer_decided": "After the transfer to hospital: {way}",
}
_ALARMS = {
    "intake.safety_review_opened",
    "plans.plan_check_failed",
    "plans.consent_withdrawn",
    "session.transferred",
}
_DOSES = {"session.infusion_ended", "session.injection_given"}
_DETAILS = ("reason", "note", "statement", "about", "origin", "words", "refer_to")


def story(person: Person) -> list[Moment]:
    """The person's life with the programme, newest first. One query."""
    events = Event.objects.filter(person_id=person.pk, kind__in=_TITLES)
    events = events.order_by("-occurred_at", "-seq")
    return [_moment(event) for event in events]


def _moment(event: Event) -> Moment:
    data: dict[str, Any] = event.data
    values = {
        name: f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")
        for name, value in data.items()
    }
    # An injection is given over no time.
    values["over"] = f" over {values['duration_min']} min" if data.get("duration_min") else ""
    details = [str(data[name]) for name in _DETAILS if data.get(name)]
    css = "alarm" if event.kind in _ALARMS else "dose" if event.kind in _DOSES else ""
    return Moment(
        event.occurred_at,
        event.kind,
        _TITLES[event.kind].format_map(values),
        " · ".join(details),
        event.actor_name,
        css,
    )
