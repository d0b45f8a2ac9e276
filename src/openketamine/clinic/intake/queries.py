"""Reads for screening: what is known of a person, why, and what the rules make of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from openketamine import protocols
from openketamine.clinic.people.models import Course, MeasurementKind
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.protocols.schema import InstrumentFile

from .models import FindingDecision, InstrumentResponse, SafetyReview

_ACTIVE = {"active", "recurrence", "relapse", "on-hold", "draft"}


@dataclass(frozen=True)
class Fact:
    """One fact about one person, with the reason why the clinic believes it."""

    id: str
    value: Any
    because: str


@dataclass(frozen=True)
class QuestionnaireRow:
    """An instrument that can be asked, and what it came to last."""

    instrument: InstrumentFile
    response: InstrumentResponse | None


def facts_for(course: Course) -> dict[str, Fact]:
    """Everything known that a rule may read. What nobody has stated is absent."""
    person = course.person
    found = {
        "age_years": Fact("age_years", person.age_years(), f"born {person.birth_date:%d %b %Y}"),
        "sex": Fact("sex", person.sex, "demographics"),
    }
    latest: dict[str, Any] = {}
    for item in person.measurements.order_by("taken_at"):
        latest[item.kind] = item
    for kind in (
        MeasurementKind.WEIGHT_KG,
        MeasurementKind.SYSTOLIC_MMHG,
        MeasurementKind.DIASTOLIC_MMHG,
    ):
        if kind in latest:
            item = latest[kind]
            found[kind] = Fact(str(kind), item.value, f"measured {item.taken_at:%d %b %Y}")
    for name, evidence in protocols.facts_from_record(
        library(),
        conditions=_codings(person.conditions.all()),
        medications=_codings(person.medications.all()),
        allergies=_codings(person.allergys.all()),
    ).items():
        found[name] = Fact(name, evidence.value, evidence.because)
    history = getattr(course, "history", None)
    if history:
        because = f"asked {history.taken_at:%d %b %Y} by {history.taken_by}"
        for name, value in history.answers.items():
            stated = found.get(name)
            contradicted = value is False and stated is not None and stated.value is True
            # A "no" does not erase what the referral says: the finding stands, with both.
            found[name] = (
                Fact(name, True, f"{stated.because}; but “no” was {because}")
                if stated and contradicted
                else Fact(name, value, because)
            )
    for response in latest_responses(course, occasion="intake").values():
        if not response.complete:
            continue
        because = f"{response.taken_at:%d %b %Y}"
        if response.total is not None:
            total = f"{response.instrument.replace('-', '_')}_total"
            whole = response.total.is_integer()
            found[total] = Fact(total, int(response.total) if whole else response.total, because)
        if response.instrument == "phq9":
            found["phq9_item9"] = Fact("phq9_item9", response.answers["q9"], because)
    return found


def _codings(items: Iterable[Any]) -> list[protocols.Coding]:
    return [
        protocols.Coding(item.system, item.code, item.display, active=item.status in _ACTIVE)
        for item in items
    ]


def latest_responses(
    course: Course, *, occasion: str | None = None
) -> dict[str, InstrumentResponse]:
    """The newest response per instrument."""
    responses = course.responses.order_by("taken_at", "pk")
    if occasion:
        responses = responses.filter(occasion=occasion)
    return {response.instrument: response for response in responses}


def findings_for(course: Course, facts: dict[str, Fact] | None = None) -> list[protocols.Finding]:
    """What the rules say today about what is known today."""
    facts = facts if facts is not None else facts_for(course)
    return protocols.screen(
        library(),
        {name: fact.value for name, fact in facts.items()},
        route=course.route,
        condition=course.condition,
        on=clock.today(),
    )


def standing_decisions(
    course: Course, findings: Iterable[protocols.Finding]
) -> dict[str, FindingDecision]:
    """The decisions that still hold: made on the facts that the finding reads now."""
    read = {finding.rule_id: finding.facts_read for finding in findings}
    decisions = course.finding_decisions.select_related("by")
    return {d.rule_id: d for d in decisions if d.facts_read == read.get(d.rule_id)}


def open_safety_reviews(course: Course) -> list[SafetyReview]:
    return list(course.safety_reviews.filter(closed_at=None).order_by("opened_at"))


def open_beside(review: SafetyReview) -> QuerySet[SafetyReview]:
    """The other open reviews of the same questionnaire in the same course, the oldest first."""
    return (
        SafetyReview.objects.filter(
            course_id=review.course_id,
            response__instrument=review.response.instrument,
            closed_at=None,
        )
        .exclude(pk=review.pk)
        .order_by("opened_at", "pk")
    )


def questionnaires_for(course: Course) -> tuple[list[QuestionnaireRow], list[QuestionnaireRow]]:
    """Every instrument with its newest response: those of the course's plan, and the rest."""
    current = library()
    newest = latest_responses(course)
    planned = current.measurements.instruments_for(course.condition)
    rows = {
        name: QuestionnaireRow(instrument, newest.get(name))
        for name, instrument in current.instruments.items()
    }
    return (
        [rows[name] for name in planned],
        [row for name, row in rows.items() if name not in planned],
    )


def all_open_safety_reviews() -> list[SafetyReview]:
    """Every open safety review of the clinic, the oldest first."""
    return list(
        SafetyReview.objects.filter(closed_at=None)
        .select_related("course__person")
        .order_by("opened_at")
    )
