"""Reads for reviews and continuity: what is due, what is known, who is about to be lost."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from openketamine.clinic.athome.models import FirstDoseReview
from openketamine.clinic.intake.models import InstrumentResponse
from openketamine.clinic.intake.queries import jurisdiction
from openketamine.clinic.outcomes.lifeline import Mark
from openketamine.clinic.outcomes.models import FormRequest
from openketamine.clinic.people.models import Course, Stage
from openketamine.clinic.plans.models import PlannedSession
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.therapy.models import TherapyVisit
from openketamine.protocols import Library, reviews
from openketamine.protocols.reviews import CheckState, Due, Weighed
from openketamine.protocols.schema import ContinuityRule, MisuseSign

from .measures import Known, known_of, last_checks
from .models import CourseReview, LooseEndStep, MisuseNote

WAITING = Q(done_at=None, cancelled_at=None)
# How far back forms are looked at, to see how many in a row went unanswered.
FORMS_LOOKED_AT = timedelta(days=120)


def _latest(rows: QuerySet[Any], field: str) -> Subquery:
    """The greatest value of a field of the rows that belong to a course."""
    found = rows.filter(course=OuterRef("pk"), **{f"{field}__isnull": False})
    return Subquery(found.order_by(f"-{field}").values(field)[:1])


def _with_reviews(courses: QuerySet[Course]) -> QuerySet[Course]:
    """Courses with all that says when their next review falls due."""
    done = PlannedSession.objects.filter(course=OuterRef("pk"), done_at__isnull=False)
    return courses.select_related("person", "prescriber").annotate(
        first_done=Subquery(done.order_by("done_at").values("done_at")[:1]),
        last_done=_latest(PlannedSession.objects.all(), "done_at"),
        has_waiting=Exists(PlannedSession.objects.filter(WAITING, course=OuterRef("pk"))),
        last_review=_latest(CourseReview.objects.all(), "held_at"),
        next_review=Subquery(
            CourseReview.objects.filter(course=OuterRef("pk"))
            .order_by("-held_at")
            .values("next_on")[:1]
        ),
    )


def _day(moment: datetime | None) -> date | None:
    return timezone.localdate(moment) if moment else None


def _due(course: Any, current: Library) -> Due | None:
    return reviews.next_review(
        current,
        route=course.route,
        first_dose_on=_day(course.first_done),
        induction_ended_on=None if course.has_waiting else _day(course.last_done),
        last_review_on=_day(course.last_review),
        next_set_for=course.next_review,
    )


@dataclass(frozen=True)
class DueRow:
    """A review that is due, with how late it is.

    Attributes:
        level: 0 in its time, 1 late enough for the prescriber to be told, 2 for the director.
    """

    course: Course
    due: Due
    overdue_days: int
    level: int


def reviews_due(ahead_days: int = 0) -> list[DueRow]:
    """Every open course whose review is due, the latest first. Two queries.

    Args:
        ahead_days: those of so many days to come as well.
    """
    today, current = clock.today(), library()
    rule = current.reviews.overdue
    rows = []
    for course in _with_reviews(Course.objects.filter(closed_at=None)):
        due = _due(course, current)
        if due and (due.on - today).days <= ahead_days:
            late = due.overdue_days(today)
            level = (late > rule.after_days) + (late > rule.director_after_days)
            rows.append(DueRow(course, due, late, level))
    return sorted(rows, key=lambda row: row.due.on)


TOLD = "reviews.overdue_told"


def steps_told(courses: Sequence[Course]) -> set[tuple[uuid.UUID, str]]:
    """(Course, step) of each step of these courses' overdue reviews that has been taken."""
    streams = {course.stream: course.pk for course in courses}
    events = Event.objects.filter(kind=TOLD, stream__in=streams) if streams else ()
    return {(streams[event.stream], event.data["key"]) for event in events}


@dataclass(frozen=True)
class ReviewPage:
    """Everything on which a review is decided."""

    course: Course
    due: Due | None
    known: Known
    checks: list[CheckState]
    noted: list[tuple[MisuseSign, MisuseNote]]
    shown: list[MisuseSign]
    options: list[Weighed]
    earlier: list[CourseReview]

    def as_kept(self) -> dict[str, Any]:
        """What is kept with the decision: facts, outcomes, and what spoke for what."""
        return {
            "facts": self.known.facts,
            "outcomes": {
                each.instrument.id: {
                    "baseline": each.baseline,
                    "last": each.last,
                    "change_percent": each.change_percent,
                    "responded": each.responded,
                    "remitted": each.remitted,
                    "important_change": each.changed,
                }
                for each in self.known.outcomes
            },
            "signs": [sign.id for sign, _ in self.noted] + [sign.id for sign in self.shown],
            "checks_due": [state.check.id for state in self.checks if state.due is not False],
            "for": {w.option.id: [says.id for says in w.pros] for w in self.options},
            "against": {w.option.id: [says.id for says in w.cons] for w in self.options},
        }


def misuse_notes(course: Course) -> list[tuple[MisuseSign, MisuseNote]]:
    """The signs noted within the clinic's window and not taken back, the newest first."""
    current = library().reviews
    rules = {sign.id: sign for sign in current.misuse}
    since = clock.today() - timedelta(days=current.misuse_within_days.value)
    rows = course.misuse_notes.filter(taken_back_at=None, seen_on__gte=since)
    return [(rules[row.sign], row) for row in rows.select_related("noted_by") if row.sign in rules]


def review_page(course: Course) -> ReviewPage:
    """All that a review looks at. A number of queries that does not grow with the course."""
    current = library()
    standing = _with_reviews(Course.objects.filter(pk=course.pk)).get()
    noted = misuse_notes(course)
    known = known_of(course, noted_signs=len({sign.id for sign, _ in noted}))
    shown = reviews.signs_shown(current, known.facts)
    known.facts["misuse_signs"] += len(shown)
    return ReviewPage(
        course=course,
        due=_due(standing, current),
        known=known,
        checks=reviews.checks(
            current,
            known.facts,
            last_checks(course),
            today=clock.today(),
            jurisdiction=jurisdiction(),
        ),
        noted=noted,
        shown=shown,
        options=reviews.weigh(current, known.facts),
        earlier=list(course.reviews.select_related("decided_by").order_by("-held_at")),
    )


def review_marks(course: Course) -> list[Mark]:
    """The reviews held, for the course's timeline."""
    held = [
        Mark("review", review.held_at, review.get_decision_display(), review.reason)
        for review in course.reviews.all()
    ]
    held += [
        Mark(
            "review",
            review.held_at,
            _("First dose at home: may go on")
            if review.may_go_on
            else _("First dose at home: not to go on"),
            review.words,
        )
        for review in FirstDoseReview.objects.filter(enrolment__course=course)
    ]
    return held


# ----------------------------------------------------------------------------------- continuity


@dataclass(frozen=True)
class LooseEnd:
    """A patient who is about to fall out of follow-up, and why.

    Attributes:
        key: what it is about; the next one of the kind has another.
        taken_up: the last step taken, whose day has come again.
    """

    course: Course
    rule: ContinuityRule
    key: str
    since: date
    words: str
    taken_up: LooseEndStep | None


# The kinds of `ContinuityRule`, in words.
KINDS = (
    gettext_noop("no next step"),
    gettext_noop("missed visit"),
    gettext_noop("missed forms"),
    gettext_noop("lost contact"),
    gettext_noop("stalled before treatment"),
)
_BEFORE = (Stage.REFERRED, Stage.SCREENING, Stage.CONSENT, Stage.PLANNING)


def loose_ends(courses: Iterable[uuid.UUID] | None = None) -> list[LooseEnd]:
    """Every loose end of the clinic that nobody has taken up, the oldest first. Four queries.

    Args:
        courses: only of these.
    """
    now, today, current = clock.now(), clock.today(), library()
    listed = Course.objects.filter(closed_at=None)
    if courses is not None:
        listed = listed.filter(pk__in=list(courses))
    sessions, visits = PlannedSession.objects.all(), TherapyVisit.objects.all()
    past = Q(planned_for__lt=now) & WAITING & Q(started_at=None) | Q(missed=True)
    annotated = _with_reviews(listed).annotate(
        session_ahead=Exists(sessions.filter(WAITING, course=OuterRef("pk"), planned_for__gte=now)),
        session_on=Exists(
            sessions.filter(WAITING, course=OuterRef("pk"), started_at__isnull=False)
        ),
        visit_ahead=Exists(
            visits.filter(course=OuterRef("pk"), held_at=None, cancelled_at=None).filter(
                Q(planned_for__gte=now) | Q(planned_for=None, closes_at__gte=now)
            )
        ),
        missed_id=Subquery(
            sessions.filter(past, course=OuterRef("pk")).order_by("-planned_for").values("pk")[:1]
        ),
        missed_for=Subquery(
            sessions.filter(past, course=OuterRef("pk"))
            .order_by("-planned_for")
            .values("planned_for")[:1]
        ),
        last_answer=_latest(InstrumentResponse.objects.all(), "taken_at"),
        last_visit=_latest(visits, "held_at"),
        last_event=Subquery(
            Event.objects.filter(person_id=OuterRef("person_id"))
            .order_by("-seq")
            .values("occurred_at")[:1]
        ),
    )
    found = list(annotated)
    forms = _unanswered(found, now)
    rules = {rule.kind: rule for rule in current.reviews.continuity}
    ends: list[LooseEnd] = []
    for course in found:
        for kind, key, since, words in _of(course, forms.get(course.pk, []), today, current):
            rule = rules.get(kind)
            if rule is None or (today - since).days < rule.after_days:
                continue
            if kind == "missed forms" and len(forms[course.pk]) < rule.at_least:
                continue
            ends.append(LooseEnd(course, rule, key, since, words, None))
    return _not_taken_up(ends, today)


def _unanswered(courses: Sequence[Course], now: datetime) -> dict[uuid.UUID, list[FormRequest]]:
    """By course, the forms that closed unanswered since the last answer, the newest first."""
    rows: dict[uuid.UUID, list[FormRequest]] = defaultdict(list)
    settled: set[uuid.UUID] = set()
    known = {course.pk for course in courses}
    closed = FormRequest.objects.filter(
        course__closed_at=None, closes_at__gte=now - FORMS_LOOKED_AT, due_at__lte=now
    )
    if len(known) == 1:
        closed = closed.filter(course__in=known)
    for form in closed.order_by("-closes_at", "pk"):
        if form.course_id in settled:
            continue
        if form.completed_at:
            settled.add(form.course_id)
        elif form.closes_at < now:
            rows[form.course_id].append(form)
    return rows


def _said(day: date) -> str:
    return date_format(day, "d M Y")


def _of(
    course: Any, forms: list[FormRequest], today: date, current: Library
) -> Iterable[tuple[str, str, date, str]]:
    """What may be loose in one course: (kind, key, since, words)."""
    if course.stage in _BEFORE:
        day = _day(course.last_event) or _day(course.opened_at)
        assert day is not None
        yield "stalled before treatment", f"{course.stage}:{day}", day, course.get_stage_display()
    due = _due(course, current)
    ahead = course.session_ahead or course.session_on or course.visit_ahead
    if course.stage in {Stage.TREATMENT, Stage.FOLLOW_UP} and not ahead:
        since = max(
            d
            for d in (
                _day(course.last_done),
                _day(course.last_visit),
                _day(course.last_review),
                _day(course.opened_at),
            )
            if d
        )
        if due is None:
            yield "no next step", f"none:{since}", since, _("Nothing is planned.")
        elif due.on < today:
            yield (
                "no next step",
                f"review:{due.on}",
                max(since, due.on),
                _("Nothing is planned, and the review of %(day)s is overdue.")
                % {"day": _said(due.on)},
            )
    if course.missed_id and (course.last_done is None or course.last_done < course.missed_for):
        day = _day(course.missed_for)
        assert day is not None
        words = _("Did not come on %(day)s.") % {"day": _said(day)}
        yield "missed visit", str(course.missed_id), day, words
    if forms:
        day = _day(forms[0].closes_at)
        assert day is not None
        count = len(forms)
        yield (
            "missed forms",
            str(forms[0].pk),
            day,
            ngettext(
                "%(n)d form in a row closed unanswered.",
                "%(n)d forms in a row closed unanswered.",
                count,
            )
            % {"n": count},
        )
    heard = [m for m in (course.last_answer, course.last_done, course.last_visit) if m]
    if course.stage in {Stage.TREATMENT, Stage.FOLLOW_UP} and heard:
        day = _day(max(heard))
        assert day is not None
        words = _("Last heard or seen on %(day)s.") % {"day": _said(day)}
        yield "lost contact", f"heard:{day}", day, words


def _not_taken_up(ends: list[LooseEnd], today: date) -> list[LooseEnd]:
    """Those that nobody has taken up, or whose day has come again."""
    steps: dict[tuple[uuid.UUID, str, str], LooseEndStep] = {}
    rows = LooseEndStep.objects.filter(course__closed_at=None).select_related("taken_by")
    if len({end.course.pk for end in ends}) == 1:
        rows = rows.filter(course=ends[0].course)
    for step in rows.order_by("taken_at"):
        steps[step.course_id, step.rule, step.key] = step
    waiting = []
    for end in ends:
        step = steps.get((end.course.pk, end.rule.id, end.key))
        if step is None:
            waiting.append(end)
        elif step.again_on is not None and step.again_on <= today:
            waiting.append(LooseEnd(end.course, end.rule, end.key, end.since, end.words, step))
    return sorted(waiting, key=lambda end: (end.since, end.rule.id))
