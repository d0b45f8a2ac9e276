"""Reads for follow-up: what is due, how the patient fares."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from django.db.models import Count, Q
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from openketamine.clinic.intake.models import InstrumentResponse
from openketamine.clinic.people.models import Course
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.sessions.models import Phase, Session
from openketamine.protocols.instruments import (
    has_responded,
    is_important_change,
    is_remission,
    result_in_words,
)
from openketamine.protocols.schema import InstrumentFile

from .models import FormRequest

State = Literal["not due", "due", "overdue", "answered", "missed"]
OVERDUE_AFTER_H = 24
# Words that the record keeps as they are here, translated where they are shown: occasions, names of
# questionnaires that are words and not abbreviations.
_KEPT = (
    gettext_noop("intake"),
    gettext_noop("before"),
    gettext_noop("weekly"),
    gettext_noop("monthly"),
    gettext_noop("4-weekly"),
    gettext_noop("3-monthly"),
    gettext_noop("visit"),
    gettext_noop("Bladder"),
    gettext_noop("Dissociation"),
    gettext_noop("Pain 0-10"),
    gettext_noop("Side effects"),
)


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
    """Forms that closed unanswered: calls to make, but for those that are worth none."""
    quiet = [each.id for each in library().measurements.occasions if not each.call_when_missed]
    return list(
        FormRequest.objects.filter(completed_at=None, closes_at__lt=clock.now())
        .exclude(occasion__in=quiet)
        .select_related("person", "course")
        .order_by("-closes_at")[:limit]
    )


@dataclass(frozen=True)
class Completion:
    """How often a form was answered in time, of those whose time is over or that are answered."""

    label: str
    instrument: InstrumentFile
    asked: int
    answered: int
    waiting: int

    @property
    def percent(self) -> int | None:
        return round(100 * self.answered / self.asked) if self.asked else None


COMPLETION_DAYS = 90


def completion() -> list[Completion]:
    """Of the forms that fell due in the last 90 days, by occasion and instrument. One query.

    What still waits counts neither for nor against.
    """
    now = clock.now()
    rows = (
        FormRequest.objects.filter(
            due_at__gt=now - timedelta(days=COMPLETION_DAYS), due_at__lte=now
        )
        .order_by()
        .values("occasion", "instrument")
        .annotate(
            answered=Count("pk", filter=Q(completed_at__isnull=False)),
            missed=Count("pk", filter=Q(completed_at=None, closes_at__lt=now)),
            waiting=Count("pk", filter=Q(completed_at=None, closes_at__gte=now)),
        )
    )
    protocols = library()
    order = {each.id: number for number, each in enumerate(protocols.measurements.occasions)}
    labels = {each.id: each.label for each in protocols.measurements.occasions}
    return [
        Completion(
            _(labels[row["occasion"]]) if row["occasion"] in labels else _("Out of turn"),
            protocols.instruments[row["instrument"]],
            row["answered"] + row["missed"],
            row["answered"],
            row["waiting"],
        )
        for row in sorted(
            rows, key=lambda row: (order.get(row["occasion"], len(order)), row["instrument"])
        )
        if row["instrument"] in protocols.instruments
    ]


@dataclass(frozen=True)
class Point:
    at: datetime
    total: float | None
    result: str
    occasion: str
    off_window: bool
    session_number: int | None
    library_version: str

    @property
    def total_in_words(self) -> str:
        return in_words(self.total)

    @property
    def result_in_words(self) -> str:
        """The result as it was kept, "16, moderate", in the language of whoever reads it."""
        return result_in_words(self.result)


def in_words(total: float | None) -> str:
    return "" if total is None else f"{round(total, 2):g}"


@dataclass(frozen=True)
class Line:
    """A level that a score is held against."""

    at: float
    label: str


@dataclass(frozen=True)
class Trajectory:
    """One questionnaire over a course, with the doses, and what it comes to.

    `rules` are the rules that judge it, in words, each with its certainty.
    """

    instrument: InstrumentFile
    points: Sequence[Point]
    doses: Sequence[tuple[datetime, int]]
    lines: Sequence[Line]
    rules: Sequence[str]
    summary: str
    responded: bool = False
    remitted: bool = False
    changed: bool = False

    @property
    def name(self) -> str:
        return _(self.instrument.short_name)


def trajectories(course: Course) -> list[Trajectory]:
    """Every questionnaire that has been answered, in the order of the plan. Two queries."""
    answered: dict[str, list[Point]] = {}
    for r in InstrumentResponse.objects.filter(course=course, complete=True).order_by("taken_at"):
        point = Point(
            r.taken_at,
            r.total,
            r.result,
            r.occasion,
            r.off_window,
            r.session_number,
            r.library_version,
        )
        answered.setdefault(r.instrument, []).append(point)
    treated = (Phase.DISCHARGED, Phase.TRANSFERRED)
    sessions = Session.objects.filter(course=course, phase__in=treated).select_related("planned")
    doses = [(s.opened_at, s.planned.number) for s in sessions.order_by("opened_at")]
    instruments = library().instruments
    order = library().measurements.instruments_for(course.condition)
    names = [name for name in order if name in answered]
    names += [name for name in answered if name not in names and name in instruments]
    return [_judged(instruments[name], answered[name], doses) for name in names]


def _judged(
    instrument: InstrumentFile, points: list[Point], doses: list[tuple[datetime, int]]
) -> Trajectory:
    """Hold the last in-window score against the score at intake, by the instrument's own rules."""
    first = next((p.total for p in points if p.occasion == "intake"), None)
    judged = [
        p.total
        for p in points
        if not p.off_window and p.occasion != "intake" and p.total is not None
    ]
    lines = []
    response, remission, change = (
        instrument.response,
        instrument.remission,
        instrument.important_change,
    )
    if response and first:
        lines.append(Line(first * (1 - response.fall_percent / 100), _("response")))
    if remission:
        lines.append(Line(remission.below, _("remission")))
    if change and change.points is not None and not response and first:
        lines.append(Line(first - change.points, _("important change")))
    rules = [
        _("%(kind)s: %(statement)s (%(certainty)s)")
        % {"kind": name, "statement": _(rule.statement), "certainty": _(rule.certainty)}
        for name, rule in (
            (_("Response"), response),
            (_("Remission"), remission),
            (_("Important change"), change),
        )
        if rule
    ]
    found = Trajectory(instrument, points, doses, lines, rules, _newest(instrument, points))
    if first is None or not judged:
        return found
    last = judged[-1]
    responded = bool(response) and has_responded(instrument, baseline=first, total=last)
    remitted = bool(remission) and is_remission(instrument, last)
    changed = bool(change) and is_important_change(instrument, baseline=first, total=last)
    verdict = (
        _("remission")
        if remitted
        else _("response")
        if responded
        else _("important change")
        if changed
        else _("no response yet")
        if response
        else _("no important change yet")
        if change
        else ""
    )
    words = {
        "name": found.name,
        "first": in_words(first),
        "last": in_words(last),
        "percent": f"{100 * (first - last) / first if first else 0:+.0f}",
        "verdict": verdict,
    }
    if verdict:
        summary = _(
            "%(name)s %(first)s at intake, %(last)s at the last in-window score "
            "(%(percent)s %% improvement): %(verdict)s."
        )
    else:
        summary = _("%(name)s %(first)s at intake, %(last)s at the last in-window score.")
    return replace(
        found, summary=summary % words, responded=responded, remitted=remitted, changed=changed
    )


def _newest(instrument: InstrumentFile, points: list[Point]) -> str:
    last = points[-1]
    words = f"{_(instrument.short_name)}: {last.result_in_words}, {date_format(last.at, 'd M Y')}."
    if last.total is None:
        return words
    return f"{words} {_('Not yet two in-window scores to compare.')}"
