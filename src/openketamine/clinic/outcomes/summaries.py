"""The rows that the outcomes pages count: worked out from the record with set-based queries.

The record itself says what has changed: its events are numbered without gaps, so the summaries
remember up to which one they stand, and only the courses of people with a later event are worked
out again. A summary that is missing or old is a summary to be made, never a fact that was lost.
"""

import json
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.models import Count, Q
from django.dispatch import receiver

from openketamine.clinic.athome.models import Enrolment, HomeSession
from openketamine.clinic.athome.models import Phase as HomePhase
from openketamine.clinic.athome.told import DEGREES, Told, told_of
from openketamine.clinic.intake.models import InstrumentResponse
from openketamine.clinic.notices import signals
from openketamine.clinic.people.models import Course
from openketamine.clinic.plans.models import Plan
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import ChainHead, Event
from openketamine.clinic.sessions.models import Phase, Session
from openketamine.clinic.sessions.timeline import corrected
from openketamine.clinic.sites import scope as sites
from openketamine.protocols.instruments import is_off_window

from .models import CourseSummary, FormRequest, ScoreSummary, SummaryState

# How many courses are worked out in one transaction: it holds the database's one write lock.
CHUNK = 250
# How many a page brings up to date by itself before it is shown.
AT_ONCE = 100
_round = signals.Every(timedelta(minutes=1))
_NOTED = (
    "session.side_effect_noted",
    "session.emergency_called",
    "session.corrected",
)
_COPIED = (
    "seq", "condition", "route", "regimen", "prescriber", "therapist", "sex", "age_years",
    "first_dose_at", "last_dose_at", "closed_at", "sessions_planned", "sessions_given",
    "home_doses",
    "sessions_with_effect", "sessions_with_moderate", "transfers", "emergencies", "effects",
)  # fmt: skip


@dataclass(frozen=True)
class Freshness:
    """How far the summaries stand. `waiting` courses have changed since."""

    seq: int
    at: datetime | None
    waiting: int


@sites.everything()
def freshen() -> Freshness:
    """Bring the summaries up to date where little has changed; else say how much waits.

    A constant number of queries.
    """
    state = SummaryState.objects.filter(id=1).first() or SummaryState()
    head = ChainHead.objects.filter(id=1).values_list("seq", flat=True).first() or 0
    if state.seq >= head:
        return Freshness(state.seq, state.at, 0)
    changed = _changed_since(state.seq)[: AT_ONCE + 1]
    ids = list(changed)
    if len(ids) > AT_ONCE:
        return Freshness(state.seq, state.at, _changed_since(state.seq).count())
    at = clock.now()
    _make(ids, head)
    _remember(head, at)
    return Freshness(head, at, 0)


@sites.everything()
def rebuild(*, everything: bool = False) -> int:
    """Bring all summaries up to date, however many; returns how many courses were worked out.

    Args:
        everything: work out every course again, changed or not.
    """
    state = SummaryState.objects.filter(id=1).first() or SummaryState()
    head = ChainHead.objects.filter(id=1).values_list("seq", flat=True).first() or 0
    at = clock.now()
    since = 0 if everything else state.seq
    courses = Course.objects.order_by("pk") if since == 0 else _changed_since(since).order_by("pk")
    ids = iter(list(courses.values_list("pk", flat=True)))
    done = 0
    while chunk := list(islice(ids, CHUNK)):
        _make(chunk, head)
        done += len(chunk)
    _remember(head, at)
    return done


def _changed_since(seq: int) -> Any:
    """The courses of people of whom the record has something newer."""
    people = Event.objects.filter(seq__gt=seq, person_id__isnull=False).values("person_id")
    return Course.objects.filter(person_id__in=people).values_list("pk", flat=True)


@receiver(signals.tick)
def look_at_the_clock(sender: Any, now: datetime, **kwargs: Any) -> None:
    """Once a minute: work out what has changed, so that no page has to wait for it."""
    if _round.is_due(now):
        rebuild()


@transaction.atomic
def _remember(seq: int, at: datetime) -> None:
    SummaryState.objects.get_or_create(id=1)
    # Another page may have come further meanwhile.
    SummaryState.objects.filter(id=1, seq__lte=seq).update(seq=seq, at=at)


@transaction.atomic
def _make(ids: Sequence[uuid.UUID], seq: int) -> None:
    """Work out the summaries of some courses, and put them in the place of the earlier ones."""
    if not ids:
        return
    made = list(_summaries(ids, seq))
    CourseSummary.objects.bulk_create(
        [summary for summary, _ in made],
        update_conflicts=True,
        unique_fields=["course"],
        update_fields=list(_COPIED),
    )
    ScoreSummary.objects.filter(summary__in=ids).delete()
    ScoreSummary.objects.bulk_create([score for _, scores in made for score in scores])


def _summaries(
    ids: Sequence[uuid.UUID], seq: int
) -> Iterator[tuple[CourseSummary, list[ScoreSummary]]]:
    """Each course with its scores. Ten queries, however many courses there are."""
    courses = list(
        Course.objects.filter(pk__in=ids)
        .select_related("person")
        .annotate(planned=Count("planned_sessions", filter=Q(planned_sessions__cancelled_at=None)))
    )
    regimens = dict(
        Plan.objects.filter(course__in=ids).order_by("version").values_list("course", "regimen")
    )
    sessions = defaultdict(list)
    for session in (
        Session.objects.filter(course__in=ids, phase__in=(Phase.DISCHARGED, Phase.TRANSFERRED))
        .order_by("opened_at")
        .only("id", "course_id", "opened_at", "phase")
    ):
        sessions[session.course_id].append(session)
    at_home = defaultdict(list)
    for home in HomeSession.objects.filter(course__in=ids, phase=HomePhase.CLOSED).only(
        "id", "course_id", "opened_at"
    ):
        at_home[home.course_id].append(home)
    told = told_of([home for each in at_home.values() for home in each])
    watched_first = dict(
        Enrolment.objects.filter(course__in=ids, supervised_mg__isnull=False).values_list(
            "course", "supervised_at"
        )
    )
    noted = _noted([s for each in sessions.values() for s in each])
    answered = defaultdict(list)
    for row in (
        InstrumentResponse.objects.filter(course__in=ids, complete=True, total__isnull=False)
        .order_by("taken_at", "pk")
        .values_list("course", "instrument", "taken_at", "total", "off_window")
    ):
        answered[row[0]].append(row[1:])
    asked = defaultdict(list)
    for row in (
        FormRequest.objects.filter(course__in=ids)
        .order_by("due_at")
        .values_list("course", "instrument", "occasion", "due_at", "closes_at", "completed_at")
    ):
        asked[row[0]].append(row[1:])
    off_window = _Windows()
    for course in courses:
        given = sessions[course.pk]
        home_given = at_home[course.pk]
        doses = sorted(
            [
                *(session.opened_at for session in given),
                *(session.opened_at for session in home_given),
                # The first dose of a programme at home, taken in the clinic.
                *(moment for moment in [watched_first.get(course.pk)] if moment),
            ]
        )
        first = doses[0] if doses else None
        summary = CourseSummary(
            course=course,
            seq=seq,
            condition=course.condition,
            route=course.route,
            regimen=regimens.get(course.pk, ""),
            prescriber_id=course.prescriber_id,
            therapist_id=course.therapist_id,
            sex=course.person.sex,
            age_years=course.person.age_years(first.date()) if first else None,
            first_dose_at=first,
            last_dose_at=doses[-1] if doses else None,
            closed_at=course.closed_at,
            sessions_planned=course.planned,
            sessions_given=len(given),
            home_doses=len(home_given),
            transfers=sum(session.phase == Phase.TRANSFERRED for session in given)
            + sum(told[session.pk].handed_over for session in home_given),
        )
        _count_effects(
            summary,
            [
                *(noted[session.pk] for session in given),
                *(_as_noted(told[session.pk]) for session in home_given),
            ],
        )
        yield summary, _scores(summary, answered[course.pk], asked[course.pk], off_window)


@dataclass
class _Noted:
    """What went wrong in one session: the worst degree of each side effect, and emergencies."""

    effects: dict[str, int]
    emergencies: int = 0


def _as_noted(told: Told) -> _Noted:
    """What was told from home, counted like what was noted in the clinic."""
    effects = {name: DEGREES.index(each.severity) for name, each in told.effects.items()}
    return _Noted(effects, emergencies=int(told.emergency))


def _noted(sessions: Sequence[Session]) -> dict[uuid.UUID, _Noted]:
    found = {session.pk: _Noted({}) for session in sessions}
    by_stream = {session.stream: session.pk for session in sessions}
    events: dict[str, list[Event]] = defaultdict(list)
    for event in _events_of(list(by_stream)):
        events[event.stream].append(event)
    for stream, some in events.items():
        kept = {event.seq for event in some}
        # Corrections of what is not read here are of no concern here.
        relevant = [e for e in some if e.kind != "session.corrected" or e.corrects_id in kept]
        noted = found[by_stream[stream]]
        for line in corrected(relevant):
            if line.retracted:
                continue
            if line.kind == "session.emergency_called":
                noted.emergencies += 1
            elif line.kind == "session.side_effect_noted":
                effect, severity = line.data["effect"], line.data["severity"]
                degree = DEGREES.index(severity) if severity in DEGREES else 0
                noted.effects[effect] = max(noted.effects.get(effect, 0), degree)
    return found


def _events_of(streams: Sequence[str]) -> Iterable[Event]:
    if not streams:
        return ()
    return (
        Event.objects.filter(stream__in=streams, kind__in=_NOTED)
        .order_by("seq")
        .only("seq", "stream", "kind", "body", "occurred_at", "recorded_at", "actor_name",
              "source", "corrects_id")
    )  # fmt: skip


def _count_effects(summary: CourseSummary, noted: Sequence[_Noted]) -> None:
    counts: dict[str, list[int]] = {}
    for session in noted:
        for effect, degree in session.effects.items():
            counts.setdefault(effect, [0] * len(DEGREES))[degree] += 1
    summary.effects = json.dumps(counts, sort_keys=True, separators=(",", ":"))
    summary.sessions_with_effect = sum(bool(session.effects) for session in noted)
    summary.sessions_with_moderate = sum(
        any(degree > 0 for degree in session.effects.values()) for session in noted
    )
    summary.emergencies = sum(bool(session.emergencies) for session in noted)


class _Windows:
    """Whether a questionnaire looks back past the session that it follows, on an occasion."""

    def __init__(self) -> None:
        self.library = library()
        self.known: dict[tuple[str, str], bool] = {}

    def __call__(self, instrument: str, occasion: str) -> bool:
        key = (instrument, occasion)
        if key not in self.known:
            self.known[key] = self._off(instrument, occasion)
        return self.known[key]

    def _off(self, instrument: str, occasion: str) -> bool:
        definition = self.library.instruments.get(instrument)
        planned = {each.id: each for each in self.library.measurements.occasions}.get(occasion)
        if definition is None or planned is None or not planned.after_hours:
            return False
        return planned.off_window and is_off_window(definition, after_hours=planned.after_hours)


def _scores(
    summary: CourseSummary,
    answered: Sequence[tuple[str, datetime, float, bool]],
    asked: Sequence[tuple[str, str, datetime, datetime, datetime | None]],
    off_window: _Windows,
) -> list[ScoreSummary]:
    first = summary.first_dose_at
    found: dict[str, ScoreSummary] = {}
    points: dict[str, list[list[float]]] = defaultdict(list)
    forms: dict[str, list[list[float]]] = defaultdict(list)

    def of(instrument: str) -> ScoreSummary:
        return found.setdefault(
            instrument, ScoreSummary(summary_id=summary.pk, instrument=instrument)
        )

    for instrument, taken_at, total, off in answered:
        score = of(instrument)
        if first is None or taken_at < first:
            score.baseline = total  # the last one stands
        elif not off:
            points[instrument].append([_days(first, taken_at), total])
    for instrument, occasion, due_at, closes_at, completed_at in asked:
        if first is None or off_window(instrument, occasion):
            continue
        of(instrument)
        forms[instrument].append(
            [_days(first, due_at), _days(first, closes_at), int(completed_at is not None)]
        )
    for instrument, score in found.items():
        score.points = json.dumps(points[instrument], separators=(",", ":"))
        score.asked = json.dumps(forms[instrument], separators=(",", ":"))
    return list(found.values())


def _days(first: datetime, moment: datetime) -> float:
    return round((moment - first).total_seconds() / 86_400, 3)
