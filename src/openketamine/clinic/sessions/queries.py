"""Reads for the day's list and the session screen."""

import threading
import uuid
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from time import monotonic as time_monotonic
from typing import Any

from django.db.models import Exists, OuterRef, Prefetch, Q
from django.shortcuts import get_object_or_404
from django.utils import timezone

from openketamine.clinic.intake.models import SafetyReview
from openketamine.clinic.people.models import Allergy, Setting
from openketamine.clinic.plans.models import Consent, PlannedSession
from openketamine.clinic.policy.queries import library_under, stamp
from openketamine.clinic.record import clock
from openketamine.clinic.rems.models import Enrolment
from openketamine.protocols import Library, discharge
from openketamine.protocols.schema import MonitoringFile

from . import alerts
from .kept import kept
from .models import OPEN, Chair, Phase, Session, TransferDecision, VerbalOrder
from .timeline import Timeline


def timeline_of(session: Session) -> Timeline:
    """The session as its events tell it."""
    return kept.timelines([session.stream])[session.stream]


def session_for_screen(session_id: uuid.UUID) -> Session:
    """A session with everything that its screens name. Two queries.

    Raises:
        Http404: there is none.
    """
    allergies = Prefetch("person__allergys", Allergy.objects.order_by("display"))
    return get_object_or_404(
        Session.objects.select_related(
            "person",
            "course",
            "chair",
            "planned__plan",
            "approval__approved_by",
            "approval__overlay",
            "monitoring_form",
        )
        .defer("approval__entries", "approval__overlay__text")
        .prefetch_related(allergies),
        pk=session_id,
    )


def consent_of(session: Session) -> Consent | None:
    """The consent in force for this session's course."""
    return (
        Consent.objects.filter(course_id=session.course_id, withdrawn_at=None)
        .select_related("presented_by")
        .first()
    )


def free_chairs() -> list[Chair]:
    """The chairs in which nobody sits."""
    taken = Session.objects.filter(chair=OuterRef("pk"), closed_at=None)
    return list(Chair.objects.filter(~Exists(taken)))


def library_of(session: Session) -> Library:
    """The protocols that govern this session: those signed when it was opened, as of that day."""
    return library_under(session.approval_id, timezone.localdate(session.opened_at))


def stamp_of(session: Session) -> dict[str, Any]:
    """What governs its findings, to be kept with them."""
    return stamp(session.approval_id)


def protocol_of(session: Session) -> MonitoringFile:
    """The monitoring protocol of this session's route."""
    return library_of(session).monitoring[session.course.route]


# Clocks of the discharge criteria that run from the last of the drug: end, injection or device.
SINCE_THE_DRUG = ("minutes_since_end", "minutes_since_dose", "minutes_since_last_device")


def minutes_before_home(session: Session) -> float:
    """How long after the last of the drug the clinic's policy keeps everybody, in minutes."""
    criteria = library_of(session).discharge[session.course.route].criteria
    return max((c.at_least or 0.0 for c in criteria if c.fact in SINCE_THE_DRUG), default=0.0)


def alerts_of(session: Session, timeline: Timeline, now: datetime) -> list[alerts.Alert]:
    """Every alert of a session that stands now."""
    return alerts.alerts(timeline, protocol_of(session), library_of(session).alarms, now)


@dataclass(frozen=True)
class ChairRow:
    """One chair of the day's list."""

    session: Session
    timeline: Timeline
    alerts: list[alerts.Alert]
    now: datetime

    @property
    def open_alerts(self) -> list[alerts.Alert]:
        return [alert for alert in self.alerts if not alert.acknowledged]

    @property
    def priority(self) -> str:
        return self.open_alerts[0].priority if self.open_alerts else ""

    @property
    def given_mg(self) -> float:
        return round(self.timeline.given_mg(self.now), 1)

    @property
    def elapsed_min(self) -> int | None:
        elapsed = self.timeline.elapsed_min(self.now)
        return None if elapsed is None else int(elapsed)

    @property
    def remaining_min(self) -> int | None:
        """Minutes until the pump has delivered what it can, at the present rate."""
        rate = self.timeline.rate_mg_per_h
        if not rate:
            return None
        return round(self.timeline.to_run_mg(self.now) / rate * 60)

    @property
    def systolic_series(self) -> list[float]:
        return [r.values["systolic_mmhg"] for r in self.timeline.series("systolic_mmhg")[-10:]]


@dataclass(frozen=True)
class Call:
    """An alert that reaches people away from the chair."""

    session: Session
    alert: alerts.Alert


# Every open page of the clinic asks every few seconds: in this time they share one answer, and
# while one of them works out the next, the others take the last.
CALLS_SHARED_S = 2.0
CALLS_OLDEST_S = 6.0
_calls: tuple[float, list[Call]] = (float("-inf"), [])
_calls_lock = threading.Lock()


def calls() -> list[Call]:
    """Every alert that reaches anybody away from its chair. Hardly older than two seconds."""
    global _calls
    made, found = _calls
    age_s = time_monotonic() - made
    if age_s <= CALLS_SHARED_S:
        return found
    if not _calls_lock.acquire(blocking=age_s > CALLS_OLDEST_S):
        return found
    try:
        if _calls[0] == made:  # nobody has done it while this one waited
            found = [
                Call(row.session, alert)
                for row in todays_board()
                for alert in row.alerts
                if alert.reaches
            ]
            _calls = (time_monotonic(), found)
        return _calls[1]
    finally:
        _calls_lock.release()


def _urgency(row: ChairRow) -> tuple[int, int, datetime]:
    by_alert = {"red": 0, "amber": 1, "": 2}[row.priority]
    order = [
        Phase.PAUSED,
        Phase.INFUSION,
        Phase.SPRAYING,
        Phase.RECOVERY,
        Phase.READY,
        Phase.CHECK,
    ]
    return by_alert, order.index(Phase(row.session.phase)), row.session.opened_at


def todays_board() -> list[ChairRow]:
    """Every open session, in the order in which it needs attention. Two queries."""
    sessions = list(
        Session.objects.filter(phase__in=OPEN).select_related(
            "person", "course", "chair", "planned__plan"
        )
    )
    timelines = kept.timelines([session.stream for session in sessions])
    now = clock.now()
    rows = []
    for session in sessions:
        timeline = timelines[session.stream]
        rows.append(ChairRow(session, timeline, alerts_of(session, timeline, now), now))
    return sorted(rows, key=_urgency)


def arrivals() -> list[PlannedSession]:
    """Today's sessions that have not been opened yet, and earlier ones that nobody has closed.

    Each says by `has_consent`, `has_open_review` and `waits_after_transfer` what still stands in
    its way. One query.
    """
    end_of_day = timezone.make_aware(datetime.combine(clock.today(), time.max))
    course = OuterRef("course_id")
    return list(
        PlannedSession.objects.filter(
            Q(session__isnull=True), planned_for__lte=end_of_day, cancelled_at=None, done_at=None
        )
        .exclude(course__setting=Setting.HOME)  # nobody arrives; see the sessions at home
        .select_related("person", "course", "plan")
        .annotate(
            has_consent=Exists(Consent.objects.filter(course=course, withdrawn_at=None)),
            has_open_review=Exists(SafetyReview.objects.filter(course=course, closed_at=None)),
            waits_after_transfer=Exists(
                TransferDecision.objects.filter(course=course).exclude(way__in=["go_on", "stop"])
            ),
            is_enrolled=Exists(
                Enrolment.objects.filter(person=OuterRef("person_id"), ended_on=None)
            ),
        )
    )


def coming(days: int = 7) -> list[PlannedSession]:
    """The sessions of the next days, the soonest first."""
    end_of_day = timezone.make_aware(datetime.combine(clock.today(), time.max))
    return list(
        PlannedSession.objects.filter(
            planned_for__gt=end_of_day,
            planned_for__lte=end_of_day + timedelta(days=days),
            cancelled_at=None,
            done_at=None,
        ).select_related("person", "plan")
    )


def orders_to_cosign() -> list[VerbalOrder]:
    """Orders by voice that their prescribers have not signed yet, the oldest first. One query."""
    return list(
        VerbalOrder.objects.filter(cosigned_at=None).select_related(
            "prescriber", "session__person", "session__chair"
        )
    )


def finished_today() -> list[Session]:
    start_of_day = timezone.make_aware(datetime.combine(clock.today(), time.min))
    return list(
        Session.objects.filter(closed_at__gte=start_of_day)
        .select_related("person", "planned", "chair")
        .order_by("-closed_at")[:50]
    )


def discharge_facts(timeline: Timeline, now: datetime) -> dict[str, float | bool | None]:
    """What the record itself knows of the discharge criteria; the rest a person answers."""
    facts: dict[str, float | bool | None] = {}
    if timeline.ended_at:
        since_min = (now - timeline.ended_at).total_seconds() / 60
        facts |= dict.fromkeys(SINCE_THE_DRUG, since_min)
    if timeline.started_at:
        facts["minutes_since_first_device"] = (now - timeline.started_at).total_seconds() / 60
    baseline = timeline.baseline
    for quantity, name in (
        ("systolic_mmhg", "systolic_change_percent"),
        ("diastolic_mmhg", "diastolic_change_percent"),
        ("heart_rate_bpm", "heart_rate_change_percent"),
    ):
        series = timeline.series(quantity)
        after = [r for r in series if timeline.ended_at and r.at >= timeline.ended_at]
        if after and baseline.get(quantity):
            change = after[-1].values[quantity] / baseline[quantity] - 1
            facts[name] = abs(change) * 100
    if timeline.latest_vitals:
        age = now - timeline.latest_vitals.at
        facts["vitals_age_min"] = age.total_seconds() / 60
    return facts


def assess_discharge(
    session: Session, timeline: Timeline, answers: dict[str, bool], now: datetime
) -> discharge.DischargeAssessment:
    """How each criterion stands: figures from the record, the rest from the person who asks."""
    protocol = library_of(session).discharge[session.course.route]
    asked = {c.fact for c in protocol.criteria if c.question}
    stated = {name: value for name, value in answers.items() if name in asked}
    return discharge.assess(protocol, {**stated, **discharge_facts(timeline, now)})
