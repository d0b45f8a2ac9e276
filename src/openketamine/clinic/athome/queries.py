"""Reads for treatment at home: the switch, the gates, the counts, the sessions of today."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from openketamine.clinic.accounts.models import Role
from openketamine.clinic.intake.queries import jurisdiction, open_safety_reviews
from openketamine.clinic.people.models import Course, Setting, Stage
from openketamine.clinic.plans import queries as plans
from openketamine.clinic.plans.models import GivenAs, Plan, PlannedSession
from openketamine.clinic.policy.queries import governing, library, library_under
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.record.told import retold
from openketamine.clinic.said import asked, say
from openketamine.protocols import Library
from openketamine.protocols.monitoring import Observation
from openketamine.protocols.schema import AtHomeFile, Contact, HomeWarning, MonitoringFile

from . import counts
from .gates import Gate, is_fresh, screening_is_valid
from .models import (
    AFTER_DOSE,
    OPEN,
    Enrolment,
    FirstDoseReview,
    HomeProgramme,
    HomeScreening,
    HomeSession,
    Movement,
    Phase,
)
from .timeline import Timeline, fold, times_after_dose

# What is observed at home is written once, for all that is taken by mouth there.
PROTOCOL = "SL"


def programme() -> HomeProgramme | None:
    """The signature by which treatment at home is on in this clinic's jurisdiction, if it is."""
    return (
        HomeProgramme.objects.filter(jurisdiction=jurisdiction(), off_at=None)
        .select_related("signed_by")
        .first()
    )


def warnings() -> tuple[HomeWarning, ...]:
    """What is to be read before treatment at home is switched on here."""
    return library().athome.warnings_in(jurisdiction())


def library_of(session: HomeSession) -> Library:
    """The protocols that govern a session: those under which it was opened."""
    return library_under(session.approval_id, timezone.localtime(session.opened_at).date())


def protocol_of(session: HomeSession) -> MonitoringFile:
    return library_of(session).monitoring[PROTOCOL]


def enrolment_of(course: Course) -> Enrolment | None:
    return Enrolment.objects.select_related("doctor").filter(course=course).first()


def newest_screening(course: Course) -> HomeScreening | None:
    return course.home_screenings.select_related("signed_by").first()


def review_opens_on(first_dose_at: datetime, home: AtHomeFile) -> date:
    """From which day on the first dose at home can be reviewed."""
    after = timedelta(days=home.rule("review_from_days").value)
    return timezone.localdate(first_dose_at + after)


def review_closes_at(first_dose_at: datetime, home: AtHomeFile) -> datetime:
    """Until when it is reviewed: the end of that day."""
    last = timezone.localdate(first_dose_at) + timedelta(days=home.rule("review_within_days").value)
    return timezone.make_aware(datetime.combine(last, time.max))


def review_of(enrolment: Enrolment | None) -> FirstDoseReview | None:
    """The newest review of the first dose at home."""
    return enrolment.reviews.select_related("held_by").first() if enrolment else None


@dataclass(frozen=True)
class DueReview:
    """A first dose at home that a prescriber has to review. `late`: its time has passed."""

    enrolment: Enrolment
    opens_on: date
    late: bool


def reviews_due() -> list[DueReview]:
    """First doses at home that nobody has reviewed, the oldest first. One query."""
    home, now = library().athome, clock.now()
    rows = (
        Enrolment.objects.filter(first_dose_at__isnull=False, course__closed_at=None, reviews=None)
        .select_related("course__person", "doctor")
        .order_by("first_dose_at")
    )
    return [
        DueReview(
            row,
            review_opens_on(row.first_dose_at, home),
            row.review_by is not None and now > row.review_by,
        )
        for row in rows
        if row.first_dose_at is not None
    ]


def counts_of(enrolment: Enrolment | None) -> counts.Counts:
    """What was handed out, and where it is."""
    rows = Movement.objects.filter(enrolment=enrolment) if enrolment else ()
    return counts.fold(counts.Moved(row.kind, row.piece_mg, row.pieces) for row in rows)


def still_needed(course: Course, plan: Plan) -> dict[float, int]:
    """The pieces that the sessions still ahead need."""
    ahead = course.planned_sessions.filter(
        plan=plan, started_at=None, cancelled_at=None, done_at=None
    ).count()
    ahead += (
        HomeSession.objects.filter(course=course, planned__plan=plan)
        .filter(phase__in=(Phase.CHECK, Phase.DECIDE, Phase.GO))
        .count()
    )
    return counts.needed(plan.units, ahead)


def last_dose_at(course: Course) -> datetime | None:
    """When this patient last took a dose, at home or in the clinic."""
    home = (
        Movement.objects.filter(enrolment__course__person_id=course.person_id, kind="taken")
        .order_by("-at")
        .values_list("at", flat=True)
        .first()
    )
    given = (
        Event.objects.filter(
            person_id=course.person_id,
            kind__in=(
                "session.infusion_started",
                "session.injection_given",
                "session.spray_taken",
                "athome.first_dose_supervised",
            ),
        )
        .order_by("-occurred_at")
        .values_list("occurred_at", flat=True)
        .first()
    )
    return max((moment for moment in (home, given) if moment), default=None)


def gates_for(
    course: Course,
    planned: PlannedSession | None,
    *,
    watched_live: bool,
    policy: Library,
    now: datetime,
) -> list[Gate]:
    """All that must be so before a dose at home, in the order in which it is looked at.

    Args:
        planned: the session on the calendar; None where none is chosen yet.
        watched_live: whether a clinician watches this one by video.
        policy: whose figures count: today's, or those of the session.
    """
    home = policy.athome
    plan, enrolment = plans.plan_in_force(course), enrolment_of(course)
    screening, on = newest_screening(course), programme()
    reviews = open_safety_reviews(course)
    found = [
        Gate(
            "programme",
            say(gettext_noop("The programme is switched on in this jurisdiction")),
            on is not None,
            say(
                gettext_noop(
                    "Treatment at home is not switched on in %(place)s. The medical director reads "
                    "the warnings and signs under Home sessions."
                ),
                place=jurisdiction(),
            ),
        ),
        Gate(
            "policy",
            say(gettext_noop("The clinic's policy is signed")),
            governing().approval is not None,
            say(
                gettext_noop(
                    "The clinic's policy is not signed. The medical director must sign it first."
                )
            ),
        ),
        Gate(
            "review",
            say(gettext_noop("No safety review is open")),
            not reviews,
            say(
                gettext_noop(
                    "A safety review is open: %(what)s. A clinician must record it first."
                ),
                what=say(reviews[0].statement),
            )
            if reviews
            else "",
        ),
        Gate(
            "course",
            say(gettext_noop("The course is one at home, under treatment")),
            course.setting == Setting.HOME and course.stage == Stage.TREATMENT,
            say(gettext_noop("This course is not one at home under treatment.")),
        ),
        Gate(
            "consent",
            say(gettext_noop("A consent is in force")),
            plans.consent_in_force(course) is not None,
            say(gettext_noop("No consent is in force. Without it nothing can be taken.")),
        ),
        _doctor(enrolment),
        _screening(home.rule("screening_valid_days").value, screening, now, policy),
        _plan(plan, planned),
    ]
    if plan:
        cap = home.rule("cap_mg")
        found.append(
            Gate(
                "cap",
                say(gettext_noop("The dose is at most %(cap)s mg"), cap=f"{cap.value:g}"),
                plan.dose_mg <= cap.value,
                say(
                    gettext_noop(
                        "%(dose)s mg is above the ceiling of %(cap)s mg for a dose at home (clinic "
                        "policy, %(rule)s)."
                    ),
                    dose=f"{plan.dose_mg:g}",
                    cap=f"{cap.value:g}",
                    rule=cap.id,
                ),
            )
        )
    supervised = bool(enrolment and enrolment.supervised_at)
    found.append(
        Gate(
            "supervised",
            say(gettext_noop("A clinician has watched the first dose")),
            supervised or watched_live,
            say(
                gettext_noop(
                    "The first dose is taken while a clinician watches, in the clinic or by video. "
                    "Record that first, or open this session as watched by video."
                )
            ),
        )
    )
    found.append(_reviewed(enrolment, home))
    found.append(_gap(home.rule("least_days_between").value, last_dose_at(course), now))
    if plan and plan.given_as == GivenAs.PIECES:
        held = counts_of(enrolment).held
        short = {float(mg): count for mg, count in plan.units if held.get(float(mg), 0) < count}
        found.append(
            Gate(
                "held",
                say(gettext_noop("The pieces of this dose are at home")),
                not short,
                say(
                    gettext_noop(
                        "The dose needs %(needed)s, and %(held)s should be at home. Hand them out "
                        "first."
                    ),
                    needed=counts.in_words(counts.needed(plan.units, 1)),
                    held=counts.in_words(held),
                ),
            )
        )
    return found


def _doctor(enrolment: Enrolment | None) -> Gate:
    doctor = enrolment.doctor if enrolment else None
    there = doctor is not None and doctor.is_active and doctor.role == Role.PRESCRIBER
    why = ""
    if doctor is None:
        why = say(
            gettext_noop("No doctor is assigned, and there is no session at home without one.")
        )
    elif not there:
        why = say(
            gettext_noop("%(doctor)s no longer works here as a prescriber. Assign another doctor."),
            doctor=doctor,
        )
    return Gate("doctor", say(gettext_noop("A doctor is assigned")), there, why)


def _screening(
    days: float, screening: HomeScreening | None, now: datetime, policy: Library
) -> Gate:
    valid = screening_is_valid(policy.athome, screening.signed_at if screening else None, now)
    why = say(gettext_noop("Nobody has signed a screening for home. A prescriber does so first."))
    if screening and not valid:
        why = say(
            gettext_noop(
                "The screening for home is %(age)s days old, and holds for %(days)s (clinic "
                "policy, %(rule)s). A prescriber screens anew first."
            ),
            age=(now - screening.signed_at).days,
            days=f"{days:g}",
            rule=policy.athome.rule("screening_valid_days").id,
        )
    statement = say(
        gettext_noop("A screening for home, at most %(days)s days old"), days=f"{days:g}"
    )
    return Gate("screening", statement, valid, why)


def _plan(plan: Plan | None, planned: PlannedSession | None) -> Gate:
    why = ""
    if plan is None:
        why = say(
            gettext_noop("The plan is not in force: a second person has to check the dose first.")
        )
    elif plan.given_as != GivenAs.PIECES:
        why = say(
            gettext_noop(
                "Only what is counted out in lozenges, tablets or capsules is taken at home."
            )
        )
    elif planned is not None and planned.plan_id != plan.pk:
        why = say(
            gettext_noop("The plan has been ordered anew since. Take the session of the new plan.")
        )
    statement = say(gettext_noop("A plan in force, counted out in pieces"))
    return Gate("plan", statement, not why, why)


def _reviewed(enrolment: Enrolment | None, home: AtHomeFile) -> Gate:
    """The prescriber's review between the first dose at home and the second."""
    rule, why = home.rule("review_within_days"), ""
    statement = say(gettext_noop("No first dose at home waits for its review"))
    if enrolment and enrolment.first_dose_at:
        statement = say(gettext_noop("A prescriber has reviewed the first dose at home"))
        review = review_of(enrolment)
        taken = timezone.localtime(enrolment.first_dose_at)
        if review is None:
            why = say(
                gettext_noop(
                    "The first dose at home, of %(day)s, has not been reviewed by a prescriber "
                    "(clinic policy, %(rule)s)."
                ),
                day=asked(lambda: date_format(taken, "d F")),
                rule=rule.id,
            )
        elif not review.may_go_on:
            why = say(
                gettext_noop("%(by)s reviewed the first dose: not to go on. %(words)s"),
                by=review.held_by,
                words=review.words,
            )
    return Gate("reviewed", statement, not why, why)


def _gap(days: float, last: datetime | None, now: datetime) -> Gate:
    since = (
        (timezone.localtime(now).date() - timezone.localtime(last).date()).days if last else None
    )
    why = ""
    if last is not None:
        given = timezone.localtime(last)
        why = say(
            gettext_noop(
                "The last dose was on %(at)s, and %(days)s days lie between two doses at home "
                "(clinic policy, HOME-GAP)."
            ),
            at=asked(lambda: date_format(given, "d F, H:i")),
            days=f"{days:g}",
        )
    statement = say(gettext_noop("At least %(days)s days since the last dose"), days=f"{days:g}")
    return Gate("gap", statement, since is None or since >= days, why)


def timeline_of(session: HomeSession) -> Timeline:
    """What the record says of a session. One query."""
    return fold(Event.objects.filter(stream=session.stream).order_by("seq"))


def timelines_of(sessions: Sequence[HomeSession]) -> dict[uuid.UUID, Timeline]:
    """The same for many sessions, in one query."""
    streams = {session.stream: session.pk for session in sessions}
    events: dict[str, list[Event]] = {stream: [] for stream in streams}
    for event in Event.objects.filter(stream__in=streams).order_by("seq"):
        events[event.stream].append(event)
    return {streams[stream]: fold(found) for stream, found in events.items()}


def wanting(session: HomeSession, line: Timeline, now: datetime) -> list[Observation]:
    """Check-ins that are due, late or missed, and the one that is next."""
    return line.due(protocol_of(session), now)


def last_check_in_at(session: HomeSession, line: Timeline) -> datetime | None:
    """When the last planned check-in falls due."""
    if line.dose_at is None:
        return None
    times = times_after_dose(protocol_of(session))
    return line.dose_at + timedelta(minutes=times[-1] if times else 0)


def ready_min(session: HomeSession) -> float:
    """How many minutes after the dose the patient can say that the session is over."""
    criteria = library_of(session).discharge[PROTOCOL].criteria
    return next((c.at_least for c in criteria if c.fact == "minutes_since_dose"), None) or 0.0


def ready_at(session: HomeSession, line: Timeline) -> datetime | None:
    """From when the patient can say that the session is over."""
    return line.dose_at + timedelta(minutes=ready_min(session)) if line.dose_at else None


def go_until(session: HomeSession, line: Timeline) -> datetime | None:
    """Until when a dose may be taken after a go: as long as the answers before it hold."""
    if line.phase != Phase.GO or line.answered is None:
        return None
    return line.answered.at + timedelta(
        minutes=library_of(session).athome.rule("check_valid_min").value
    )


def adult_is_here(session: HomeSession, line: Timeline, now: datetime) -> bool:
    valid = library_of(session).athome.rule("adult_valid_min").value
    return is_fresh(line.adult_here_at, now, valid)


@dataclass(frozen=True)
class Row:
    """One session on the clinic's screen. `state` is what it wants of the clinic, in words."""

    session: HomeSession
    line: Timeline
    state: str
    urgency: int
    next_at: datetime | None

    @property
    def css(self) -> str:
        return {0: "alert-red", 1: "alert-red", 2: "alert-amber"}.get(self.urgency, "")


def todays_rows() -> list[Row]:
    """Every session at home that is open or of today: missed check-ins first. Two queries."""
    start = timezone.localtime(clock.now()).replace(hour=0, minute=0, second=0, microsecond=0)
    sessions = list(
        HomeSession.objects.filter(Q(closed_at=None) | Q(opened_at__gte=start)).select_related(
            "person", "planned__plan", "enrolment__doctor", "course"
        )
    )
    lines = timelines_of(sessions)
    now = clock.now()
    rows = [_row(session, lines[session.pk], now) for session in sessions]
    return sorted(rows, key=lambda row: (row.urgency, row.next_at or row.session.opened_at))


def _row(session: HomeSession, line: Timeline, now: datetime) -> Row:
    phase = Phase(session.phase)
    if phase not in OPEN:
        return Row(session, line, phase.label, 9, None)
    if phase in AFTER_DOSE:
        found = wanting(session, line, now)
        late = [each for each in found if each.state in {"late", "missed"}]
        following = next((each for each in found if each.state in {"next", "due"}), None)
        next_at = (
            line.dose_at + timedelta(minutes=following.at_min)
            if following and line.dose_at
            else None
        )
        if late:
            state = _("No check-in since %(minutes)s min") % {"minutes": f"{late[0].at_min:g}"}
            return Row(session, line, state, 0, next_at)
        if line.latest and line.latest.alarms:
            return Row(session, line, retold(line.latest.alarms[0]), 1, next_at)
        if phase == Phase.FINISHED:
            return Row(session, line, _("Waits for the last call"), 2, None)
        if following:
            return Row(session, line, phase.label, 4, next_at)
        return Row(session, line, _("All check-ins made"), 4, None)
    if phase == Phase.DECIDE:
        return Row(session, line, _("Waits for your decision"), 2, None)
    if line.refusals:
        state = _("Refused: %(reason)s") % {"reason": retold(line.refusals[-1][2])}
        return Row(session, line, state, 3, None)
    return Row(session, line, phase.label, 5, go_until(session, line))


def planned_today() -> list[PlannedSession]:
    """Sessions at home that are on the calendar for today or before, and not opened."""
    end = timezone.localtime(clock.now()).replace(hour=0, minute=0, second=0, microsecond=0)
    return list(
        PlannedSession.objects.filter(
            course__setting=Setting.HOME,
            course__stage=Stage.TREATMENT,
            planned_for__lt=end + timedelta(days=1),
            started_at=None,
            done_at=None,
            cancelled_at=None,
        )
        .select_related("person", "plan", "course__enrolment__doctor")
        .order_by("planned_for")[:50]
    )


def courses_at_home() -> list[Course]:
    """Open courses at home, for the programme's own list."""
    return list(
        Course.objects.filter(setting=Setting.HOME, closed_at=None)
        .exclude(stage=Stage.DECLINED)
        .select_related("person", "enrolment__doctor")
        .order_by("person__family_name")
    )


def emergency_contact(language: str = "en") -> Contact | None:
    """The emergency services of the clinic's region."""
    for contact in library().contacts[settings.REGION]:
        if contact.label == "Emergency services":
            return contact.in_language(language)
    return None
