"""Reads for the patient's own page, and for the staff who answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max, Min, Q
from django.utils.translation import gettext_lazy as _

from openketamine.clinic.intake.services import CALL_KEY
from openketamine.clinic.notices.models import Call
from openketamine.clinic.outcomes.models import FormRequest
from openketamine.clinic.people.models import Course, Person
from openketamine.clinic.plans.models import PlannedSession
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock

from .models import Message, MoodEntry

MOOD_DAYS = 14

# What a form is about, as a person would say it: the names of instruments are the clinic's.
FORM_TITLES = {
    "phq9": _("Your mood in the last two weeks"),
    "gad7": _("Worry and nerves"),
    "side-effects": _("How the medicine agreed with you"),
    "asq": _("Are you safe?"),
    "bladder": _("Your bladder"),
    "pcl5": _("What still troubles you"),
    "pcptsd5": _("What still troubles you"),
    "peg": _("Your pain"),
    "nrs-pain": _("Your pain"),
    "sidas": _("Are you safe?"),
    "dissociation": _("How it felt"),
}


@dataclass(frozen=True)
class DueForm:
    request: FormRequest
    title: str
    questions: int
    begun: bool


@dataclass(frozen=True)
class Home:
    """What stands on the first page."""

    forms: Sequence[DueForm]
    next_session: PlannedSession | None
    next_visit: datetime | None
    mood: MoodEntry | None
    moods: Sequence[MoodEntry]
    new_answers: int
    homework_open: int
    worried: bool


def due_forms(person: Person) -> list[DueForm]:
    """The forms that the patient can answer now. One query."""
    now = clock.now()
    instruments = library().instruments
    waiting = FormRequest.objects.filter(
        person=person, completed_at=None, due_at__lte=now, closes_at__gte=now
    ).select_related("course")
    return [
        DueForm(
            form,
            str(FORM_TITLES.get(form.instrument, _("A few questions"))),
            len(instruments[form.instrument].items),
            bool(form.draft),
        )
        for form in waiting
        if instruments[form.instrument].by_patient
    ]


def next_session(course: Course | None) -> PlannedSession | None:
    """The session that comes, or the one of today that has not begun."""
    if course is None:
        return None
    return (
        course.planned_sessions.filter(
            done_at=None,
            cancelled_at=None,
            planned_for__gte=clock.now() - timedelta(hours=6),
        )
        .select_related("plan")
        .order_by("planned_for")
        .first()
    )


def home(person: Person, course: Course | None) -> Home:
    """Seven queries."""
    today = clock.today()
    moods = list(person.moods.filter(day__gt=today - timedelta(days=MOOD_DAYS)))
    visit = (
        course.therapy_visits.filter(held_at=None, cancelled_at=None, planned_for__gte=clock.now())
        .order_by("planned_for")
        .first()
        if course
        else None
    )
    return Home(
        forms=due_forms(person),
        next_session=next_session(course),
        next_visit=visit.planned_for if visit else None,
        mood=moods[-1] if moods and moods[-1].day == today else None,
        moods=moods,
        new_answers=person.messages.filter(from_patient=False, seen_at=None).count(),
        homework_open=course.homework.filter(shared=True, done_at=None).count() if course else 0,
        # Not only on the form that alarmed: help stays in sight until somebody has spoken to them.
        worried=Call.objects.filter(
            person_id=person.pk, closed_at=None, priority="red", key__startswith=CALL_KEY
        ).exists(),
    )


@dataclass(frozen=True)
class Waiting:
    """A patient whose message nobody has answered."""

    person: Person
    since: datetime
    count: int


def waiting_messages() -> list[Waiting]:
    """Who waits for an answer, the longest first. Two queries."""
    rows = list(
        Message.objects.filter(from_patient=True, settled_at=None)
        .values("person")
        .annotate(since=Min("sent_at"), count=Count("pk"))
        .order_by("since")
    )
    people = Person.objects.in_bulk([row["person"] for row in rows])
    return [Waiting(people[row["person"]], row["since"], row["count"]) for row in rows]


@dataclass(frozen=True)
class Reminded:
    """How the patient is written to, as the staff see it."""

    without_choice: int
    refused: int
    by_text: int
    by_email: int


def contact_choices() -> Reminded:
    """How the patients in open courses want to be written to. One query."""
    count = Course.objects.filter(closed_at=None).aggregate(
        without=Count("pk", filter=Q(person__contact_choice=None)),
        refused=Count("pk", filter=Q(person__contact_choice__channel="")),
        text=Count("pk", filter=Q(person__contact_choice__channel="text")),
        email=Count("pk", filter=Q(person__contact_choice__channel="email")),
        newest=Max("opened_at"),
    )
    return Reminded(count["without"], count["refused"], count["text"], count["email"])
