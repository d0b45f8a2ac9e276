"""Reads for the list of people and the patient's page."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from openketamine.clinic.record.models import Event
from openketamine.protocols import instruments

from .models import Condition, Course, Measurement, MeasurementKind, Person, Stage
from .words import alarm_in_words

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
    "person.referred": gettext_noop("Referred"),
    "person.referral_updated": gettext_noop("Referral updated"),
    "person.transferred": gettext_noop("Transferred to {to_name}: {reason}"),
    "person.statements_taken": gettext_noop("Added to the chart from another system"),
    "person.demographics_corrected": gettext_noop("Demographics corrected"),
    "course.team_assigned": gettext_noop("Team assigned"),
    "intake.questionnaire_answered": gettext_noop("{name}: {result}"),
    "intake.safety_review_opened": gettext_noop("Safety review opened"),
    "intake.safety_review_recorded": gettext_noop("Safety review recorded"),
    "intake.history_taken": gettext_noop("Medical history taken"),
    "intake.finding_decided": gettext_noop("Finding decided"),
    "intake.screening_signed": gettext_noop("Screening signed: {outcome}"),
    "plans.consent_signed": gettext_noop("Consent signed"),
    "plans.consent_withdrawn": gettext_noop("Consent withdrawn"),
    "plans.plan_ordered": gettext_noop(
        "Plan ordered: {dose_mg} mg over {duration_min} min, sessions: {sessions}"
    ),
    "plans.plan_verified": gettext_noop("Dose checked by a second person"),
    "plans.plan_check_failed": gettext_noop("Dose check did not agree"),
    "plans.session_moved": gettext_noop("Session moved"),
    "plans.session_cancelled": gettext_noop("Session cancelled"),
    "therapy.preparation_recorded": gettext_noop("Preparation visit"),
    "therapy.integration_recorded": gettext_noop("Integration visit"),
    "therapy.therapy_recorded": gettext_noop("Talk therapy"),
    "therapy.touch_agreed": gettext_noop("Touch agreement signed"),
    "therapy.touch_withdrawn": gettext_noop("Touch agreement withdrawn"),
    "therapy.life_event_recorded": gettext_noop("Life event recorded"),
    "reviews.held": gettext_noop("Course reviewed: {decision}"),
    "reviews.misuse_noted": gettext_noop("Sign of misuse noted"),
    "reviews.loose_end_taken_up": gettext_noop("Followed up: {step}"),
    "reviews.course_closed": gettext_noop("Course closed"),
    "session.infusion_ended": gettext_noop("Session: {given_mg} mg given"),
    "session.injection_given": gettext_noop("Session: {dose_mg} mg injected"),
    "session.discharged": gettext_noop("Discharged"),
    "session.transferred": gettext_noop("Transferred to {where}"),
    "session.cancelled": gettext_noop("Session cancelled"),
    "sessions.transfer_decided": gettext_noop("After the transfer to hospital: {way}"),
}
_INJECTED = gettext_noop("Plan ordered: {dose_mg} mg, sessions: {sessions}")
# Titles by what stands in one field of the event; another value stands as it is.
_TITLES_BY = {
    "intake.screening_signed": (
        "outcome",
        {
            "eligible": gettext_noop("Screening signed: eligible"),
            "not_eligible": gettext_noop("Screening signed: not eligible"),
        },
    ),
    "reviews.held": (
        "decision",
        {
            "continue": gettext_noop("Course reviewed: continue"),
            "space out": gettext_noop("Course reviewed: space out"),
            "change": gettext_noop("Course reviewed: change"),
            "stop": gettext_noop("Course reviewed: stop"),
            "refer": gettext_noop("Course reviewed: refer"),
        },
    ),
    "reviews.loose_end_taken_up": (
        "step",
        {
            "reached": gettext_noop("Followed up: reached"),
            "tried": gettext_noop("Followed up: tried"),
            "booked": gettext_noop("Followed up: booked"),
            "closed": gettext_noop("Followed up: closed"),
        },
    ),
    "sessions.transfer_decided": (
        "way",
        {
            "go_on": gettext_noop("After the transfer to hospital: go on"),
            "pause": gettext_noop("After the transfer to hospital: pause"),
            "stop": gettext_noop("After the transfer to hospital: stop"),
        },
    ),
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


def _title(event: Event) -> str:
    """What happened, in the language of whoever reads it."""
    field, titles = _TITLES_BY.get(event.kind, ("", {}))
    return _(titles.get(str(event.data.get(field)), _TITLES[event.kind]))


def _detail(name: str, text: str) -> str:
    """What people wrote as they wrote it; what this program says in the reader's language."""
    if name == "statement":
        return alarm_in_words(text)
    return _(text) if name == "origin" else text


def _moment(event: Event) -> Moment:
    data: dict[str, Any] = event.data
    values = {
        name: f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")
        for name, value in data.items()
    }
    if event.kind == "intake.questionnaire_answered":
        values["name"] = _(str(data["name"]))
        values["result"] = instruments.result_in_words(str(data["result"]))
    title = _title(event)
    if event.kind == "plans.plan_ordered" and not data.get("duration_min"):
        title = _(_INJECTED)  # it is given over no time
    details = [_detail(name, str(data[name])) for name in _DETAILS if data.get(name)]
    css = "alarm" if event.kind in _ALARMS else "dose" if event.kind in _DOSES else ""
    return Moment(
        event.occurred_at,
        event.kind,
        title.format_map(values),
        " · ".join(details),
        event.actor_name,
        css,
    )
