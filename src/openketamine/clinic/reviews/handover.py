"""What whoever takes a patient over has to know: one account, for paper and for machines."""

from dataclasses import dataclass
from datetime import date

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from openketamine.clinic.intake import queries as intake
from openketamine.clinic.intake.models import AntidepressantTrial, SafetyReview
from openketamine.clinic.outcomes.lifeline import Mark, doses_and_effects
from openketamine.clinic.people.models import Allergy, Condition, Course, Medication
from openketamine.clinic.people.queries import problems
from openketamine.clinic.plans import queries as plans
from openketamine.clinic.plans.models import Consent, Plan
from openketamine.clinic.policy.queries import contacts, library
from openketamine.clinic.record import clock
from openketamine.protocols import Finding
from openketamine.protocols.schema import Contact

from . import queries
from .queries import ReviewPage


@dataclass(frozen=True)
class Handover:
    """One course as it stands on a day.

    Psychotherapy notes are kept apart from the record, and are not in it.
    """

    course: Course
    on: date
    condition: str
    route: str
    problems: list[Condition]
    medications: list[Medication]
    allergies: list[Allergy]
    trials: list[tuple[AntidepressantTrial, str]]
    findings: list[Finding]
    page: ReviewPage
    doses: list[Mark]
    effects: list[Mark]
    plan: Plan | None
    ahead: list[str]
    consent: Consent | None
    open_safety: list[SafetyReview]
    contacts: tuple[Contact, ...]


def tried_before(course: Course) -> list[tuple[AntidepressantTrial, str]]:
    """What was tried before this course, the earliest first, with what came of it in words."""
    outcomes = library().staging.outcomes
    return [
        (trial, _(outcomes.get(trial.outcome, trial.outcome)).lower())
        for trial in course.trials.filter(withdrawn_at=None).order_by("started", "pk")
    ]


def handover_of(course: Course) -> Handover:
    """Gather what is known. A number of queries that does not grow with the course."""
    person, programmes = course.person, library().programmes
    marks = doses_and_effects(course)
    waiting = course.planned_sessions.filter(queries.WAITING, planned_for__gte=clock.now())
    return Handover(
        course=course,
        on=clock.today(),
        condition=next(
            (_(c.name) for c in programmes.conditions if c.id == course.condition), course.condition
        ),
        route=next((_(r.name) for r in programmes.routes if r.id == course.route), course.route),
        problems=problems(person),
        medications=[m for m in person.medications.all() if m.status == "active"],
        allergies=list(person.allergys.all()),
        trials=tried_before(course),
        findings=[
            finding
            for finding in intake.findings_for(course)
            if finding.kind in {"contraindication", "caution"}
        ],
        page=queries.review_page(course),
        doses=[mark for mark in marks if mark.lane == "dose"],
        effects=[mark for mark in marks if mark.lane == "effect"],
        plan=plans.current_plan(course),
        ahead=[date_format(session.planned_for, "d F Y, H:i") for session in waiting[:6]],
        consent=plans.consent_in_force(course),
        open_safety=intake.open_safety_reviews(course),
        contacts=tuple(contacts()),
    )
