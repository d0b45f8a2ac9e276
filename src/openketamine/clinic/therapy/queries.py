"""Reads for the therapist's list, the therapy page, the session screen and the patient's page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Literal

from django.db.models import Exists, Min, OuterRef, Q, QuerySet, TextChoices
from django.utils import timezone
from django.utils.translation import get_language, pgettext_lazy
from django.utils.translation import gettext as _

from openketamine.clinic.accounts.models import User
from openketamine.clinic.people.models import Course, Stage
from openketamine.clinic.plans.models import PlannedSession
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.protocols.schema import VisitRule

from .content import Field, fields_of
from .models import Goal, Homework, LifeEvent, TherapyVisit, TouchAgreement, title_of


class State(TextChoices):
    """Where a visit with the therapist stands."""

    TO_COME = "to come", pgettext_lazy("a visit", "to come")
    DUE = "due", pgettext_lazy("a visit", "due")
    OVERDUE = "overdue", pgettext_lazy("a visit", "overdue")
    LAPSED = "lapsed", pgettext_lazy("a visit", "lapsed")
    HELD = "held", pgettext_lazy("a visit", "held")
    CANCELLED = "cancelled", pgettext_lazy("a visit", "cancelled")


def state_of(visit: TherapyVisit, now: datetime) -> State:
    """Where a visit stands against its window, or its hour where it has none."""
    if visit.held_at:
        return State.HELD
    if visit.cancelled_at:
        return State.CANCELLED
    if visit.closes_at and now > visit.closes_at:
        rule = rule_of(visit)
        lapses = rule.lapses_hours if rule and not visit.planned_for else None
        after = now - visit.closes_at
        if lapses is not None and after > timedelta(hours=lapses):
            return State.LAPSED
        return State.OVERDUE
    if visit.opens_at and now < visit.opens_at:
        return State.TO_COME
    if visit.planned_for and not visit.opens_at:
        late = now - visit.planned_for
        if late > timedelta(hours=2):
            return State.OVERDUE
        return State.DUE if late >= -DAY else State.TO_COME
    return State.DUE


DAY = timedelta(days=1)


@dataclass(frozen=True)
class DueVisit:
    """A visit on the therapist's list; `visit` is None for a preparation that nobody planned."""

    course: Course
    kind: str
    state: State
    opens_at: datetime | None
    closes_at: datetime | None
    planned_for: datetime | None
    session_number: int | None
    visit: TherapyVisit | None
    rule: VisitRule | None

    @property
    def urgency(self) -> tuple[int, datetime]:
        first = self.planned_for or self.closes_at or self.opens_at
        assert first is not None
        return {State.OVERDUE: 0, State.DUE: 1}.get(self.state, 2), first

    @property
    def title(self) -> str:
        return title_of(self.kind, self.session_number)

    @property
    def kind_name(self) -> str:
        """What it is, inside a sentence."""
        return str(TherapyVisit.Kind(self.kind).label).lower()


def rule_of(visit: TherapyVisit) -> VisitRule | None:
    """The protocol's rule that made it due, as it stands today."""
    return next((rule for rule in library().therapy.visits if rule.id == visit.rule), None)


def due_visits(*, therapist: User | None = None, ahead_days: float = 7) -> list[DueVisit]:
    """What is due, overdue or to come soon, the most urgent first. Two queries.

    What has lapsed is no longer asked for; the patient's page still shows that it was not held.

    Args:
        therapist: only the courses that this person accompanies.
    """
    now = clock.now()
    soon = now + timedelta(days=ahead_days)
    courses = Q(course__therapist=therapist) if therapist else Q()
    waiting = (
        TherapyVisit.objects.filter(courses, held_at=None, cancelled_at=None)
        .filter(course__closed_at=None)
        .filter(Q(opens_at__lte=soon) | Q(planned_for__lte=soon))
        .select_related("course__person", "course__therapist", "after")
    )
    found = [
        DueVisit(
            visit.course,
            visit.kind,
            state_of(visit, now),
            visit.opens_at,
            visit.closes_at,
            visit.planned_for,
            visit.after.number if visit.after else None,
            visit,
            rule_of(visit),
        )
        for visit in waiting
    ]
    found = [each for each in found if each.state != State.LAPSED]
    found += _unprepared(therapist, now, soon)
    return sorted(found, key=lambda each: each.urgency)


def _unprepared(therapist: User | None, now: datetime, soon: datetime) -> list[DueVisit]:
    """Courses whose first session comes and that nobody has prepared, nor planned to. One query."""
    rule = next((r for r in library().therapy.visits if r.kind == "preparation"), None)
    if rule is None:
        return []
    prepared = TherapyVisit.objects.filter(
        course=OuterRef("pk"), kind=TherapyVisit.Kind.PREPARATION, cancelled_at=None
    )
    treated = PlannedSession.objects.filter(course=OuterRef("pk"), done_at__isnull=False)
    courses = (
        Course.objects.filter(closed_at=None, therapist__isnull=False)
        .exclude(stage__in=[Stage.CLOSED, Stage.DECLINED])
        .filter(~Exists(prepared), ~Exists(treated))
        .annotate(
            first_session=Min(
                "planned_sessions__planned_for",
                filter=Q(planned_sessions__cancelled_at=None, planned_sessions__done_at=None),
            )
        )
        .filter(first_session__isnull=False)
        .select_related("person", "therapist")
    )
    if therapist:
        courses = courses.filter(therapist=therapist)
    found = []
    for course in courses:
        first: datetime = course.first_session
        opens = first - timedelta(hours=rule.opens_hours)
        closes = first - timedelta(hours=rule.closes_hours)
        if opens > soon:
            continue
        state = State.OVERDUE if now > closes else State.DUE if now >= opens else State.TO_COME
        found.append(DueVisit(course, rule.kind, state, opens, closes, None, None, None, rule))
    return found


@dataclass(frozen=True)
class ListedCourse:
    """One patient of the therapist's list."""

    course: Course
    next_session: datetime | None
    sessions_done: int
    goals_open: int
    homework_open: int
    prepared: bool


def accompanied(therapist: User | None = None) -> list[ListedCourse]:
    """The open courses with a therapist, by the patient's name. Five queries."""
    courses: QuerySet[Course] = Course.objects.filter(
        closed_at=None, therapist__isnull=False
    ).select_related("person", "therapist")
    if therapist:
        courses = courses.filter(therapist=therapist)
    listed = list(courses.order_by("person__family_name", "person__given_name"))
    ids = [course.pk for course in listed]
    now = clock.now()
    nexts: dict[Any, datetime] = dict(
        PlannedSession.objects.filter(
            course__in=ids, cancelled_at=None, done_at=None, planned_for__gte=now - DAY
        )
        .order_by()
        .values_list("course")
        .annotate(first=Min("planned_for"))
    )
    done = _counted(PlannedSession.objects.filter(course__in=ids, done_at__isnull=False))
    goals = _counted(Goal.objects.filter(course__in=ids, state=Goal.State.OPEN))
    homework = _counted(Homework.objects.filter(course__in=ids, done_at=None))
    prepared = set(
        TherapyVisit.objects.filter(
            course__in=ids, kind=TherapyVisit.Kind.PREPARATION, held_at__isnull=False
        ).values_list("course", flat=True)
    )
    return [
        ListedCourse(
            course,
            nexts.get(course.pk),
            done.get(course.pk, 0),
            goals.get(course.pk, 0),
            homework.get(course.pk, 0),
            course.pk in prepared,
        )
        for course in listed
    ]


def _counted(rows: QuerySet[Any]) -> dict[Any, int]:
    counts: dict[Any, int] = {}
    for course_id in rows.order_by().values_list("course", flat=True):
        counts[course_id] = counts.get(course_id, 0) + 1
    return counts


def written(visit: TherapyVisit) -> list[tuple[Field, str]]:
    """What a recorded visit says, field by field, in the order of the form."""
    return [
        (field, visit.content[field.name])
        for field in fields_of(visit.kind)
        if field.name in visit.content
    ]


def preparation_of(course: Course) -> TherapyVisit | None:
    """The newest preparation that was recorded."""
    return (
        course.therapy_visits.filter(kind=TherapyVisit.Kind.PREPARATION, held_at__isnull=False)
        .select_related("held_by")
        .order_by("-held_at")
        .first()
    )


def touch_of(course: Course) -> TouchAgreement | None:
    """The newest touch agreement, whether it is in force or has been withdrawn."""
    return course.touch_agreements.order_by("-signed_at", "-pk").first()


def kinds_in_words(agreement: TouchAgreement, language: str = "") -> list[str]:
    """The kinds agreed to; a kind that the protocol has since dropped by its id.

    Args:
        language: the reader's, where left out.
    """
    language = language or get_language() or "en"
    words = {kind.id: kind.in_language(language) for kind in library().therapy.touch.kinds}
    return [words.get(name, name) for name in agreement.kinds]


@dataclass(frozen=True)
class Support:
    """What the team at the chair has to know: how to help, and what was agreed."""

    preparation: TherapyVisit | None
    rows: Sequence[tuple[Field, str]]
    touch: TouchAgreement | None
    touch_words: Sequence[str]

    @property
    def safe_word(self) -> str:
        return str(self.preparation.content.get("safe_word", "")) if self.preparation else ""


def support_of(course: Course) -> Support:
    """Two queries."""
    preparation, touch = preparation_of(course), touch_of(course)
    rows = written(preparation) if preparation else []
    return Support(
        preparation,
        [(f, text) for f, text in rows if f.team and f.name != "safe_word"],
        touch,
        kinds_in_words(touch) if touch else [],
    )


@dataclass(frozen=True)
class Shared:
    """What the therapist lets the patient read on the own page."""

    goals: list[Goal]
    homework: list[Homework]
    visits: list[tuple[TherapyVisit, list[tuple[Field, str]]]]
    touch: TouchAgreement | None
    next_visit: datetime | None


def shared_with_patient(course: Course) -> Shared:
    """Five queries."""
    recorded = course.therapy_visits.filter(held_at__isnull=False).order_by("-held_at")[:20]
    visits = [
        (visit, [(f, text) for f, text in written(visit) if f.name in visit.shared])
        for visit in recorded
        if visit.shared
    ]
    touch = touch_of(course)
    upcoming = (
        course.therapy_visits.filter(held_at=None, cancelled_at=None, planned_for__gte=clock.now())
        .order_by("planned_for")
        .first()
    )
    return Shared(
        list(course.goals.filter(shared=True).exclude(state=Goal.State.DROPPED)),
        list(course.homework.filter(shared=True).select_related("goal")),
        visits,
        touch if touch and not touch.ended_at else None,
        upcoming.planned_for if upcoming else None,
    )


@dataclass(frozen=True)
class Mark:
    """One thing of the talk therapy on a timeline."""

    at: datetime
    kind: Literal["visit", "life", "goal"]
    label: str


def marks(course: Course) -> list[Mark]:
    """Visits held, life events, and goals reached, for whoever draws the course over time."""
    found = [
        Mark(visit.held_at, "visit", visit.get_kind_display())
        for visit in course.therapy_visits.filter(held_at__isnull=False)
        if visit.held_at
    ]
    found += [
        Mark(_noon(event.happened_on), "life", event.title)
        for event in LifeEvent.objects.filter(course=course)
    ]
    found += [
        Mark(goal.ended_at, "goal", _("Goal reached"))
        for goal in course.goals.filter(state=Goal.State.REACHED)
        if goal.ended_at
    ]
    return sorted(found, key=lambda mark: mark.at)


def _noon(day: date) -> datetime:
    """A day as a moment, so that no time zone moves it to another."""
    return timezone.make_aware(datetime.combine(day, time(12)))
