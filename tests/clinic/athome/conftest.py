"""A clinic whose programme at home is on, and a patient with lozenges for two sessions."""

from datetime import UTC, datetime, timedelta
from importlib.resources import files

import pytest

from openketamine import protocols
from openketamine.clinic.athome import from_home, queries, services
from openketamine.clinic.athome.models import Enrolment, HomeSession
from openketamine.clinic.intake import services as intake
from openketamine.clinic.notices import services as notices
from openketamine.clinic.notices.models import Line
from openketamine.clinic.people.models import Course
from openketamine.clinic.plans import services as plans
from openketamine.clinic.policy import services as policy
from openketamine.clinic.record import clock
from openketamine.protocols import eligibility

from ..conftest import consent, nothing_found

START = datetime(2026, 11, 25, 14, 0, tzinfo=UTC)
WELL = {
    "systolic_mmhg": 128.0,
    "diastolic_mmhg": 79.0,
    "heart_rate_bpm": 72.0,
    "last_food": "8:00",
    "fasting": True,
    "adult_present": True,
    "place": "12 Example Street, at home",
    "no_depressant": True,
    "medicines_today": "sertraline",
    "counted": [[100.0, 2], [50.0, 2]],
    "mood_0_10": 5,
    "safety_question": "no",
    "no_plans": True,
}
DOSE = {100.0: 1, 50.0: 1}


def minutes(count: float) -> datetime:
    return START + timedelta(minutes=count)


@pytest.fixture
def now():
    with clock.at(START):
        yield START


def home_policy(director) -> None:
    """The clinic's own text that says how often lozenges are taken, signed."""
    text = (files("openketamine.demo") / "home_programme.yaml").read_text()
    version = policy.propose_overlay(director, text=text, note="Lozenges once a week.")
    digest = protocols.load(version.overlay).policy_digest
    policy.sign_policy(director, digest=digest, version=version)


def answer_home_questions(course: Course, nurse) -> None:
    """Everything that a rule of this programme asks for, with the answer that raises nothing."""
    from openketamine.clinic.intake.queries import facts_for, programme_of
    from openketamine.clinic.policy.queries import library

    known = {name: fact.value for name, fact in facts_for(course).items()}
    answers = {}
    for _, _, questions in eligibility.questions_for(library(), known, **programme_of(course)):
        for fact in questions:
            answers[fact.id] = GOOD.get(fact.id, False if fact.kind == "boolean" else None)
            if answers[fact.id] is None and fact.kind == "choice":
                answers[fact.id] = fact.choices[0]
    answers |= {"antidepressant_tried": True}
    intake.record_history(nurse, course, {k: v for k, v in answers.items() if v is not None})


GOOD = {
    "home_adult_present": True,
    "home_first_dose_supervised": True,
    "home_cuff": True,
    "home_contact_known": True,
    "home_lockable_storage": True,
    "home_duties": False,
    "evaluation_by": "in person",
    "state_rules_checked": True,
    "pdmp_checked": True,
    "contraception_planned": True,
    "mood_stabiliser": True,
    "alcohol_free_24_h": True,
}


def admitted(course: Course, nurse, prescriber, *, route: str) -> None:
    """A course at home by a route: chosen, screened, consented."""
    intake.choose_programme(prescriber, course, condition="TRD", route=route, setting="home")
    course.refresh_from_db()
    nothing_found(course, nurse)
    intake.record_test_result(
        nurse, course, fact="urine_drug_screen", value="negative", done_on=clock.today()
    )
    answer_home_questions(course, nurse)
    course.refresh_from_db()
    for finding in intake.queries.findings_for(course):
        if finding.kind == "caution":
            intake.decide_finding(
                prescriber, course, rule_id=finding.rule_id, decision="proceed", reason="Discussed."
            )
    intake.sign_screening(prescriber, course, outcome="eligible")
    course.refresh_from_db()
    consent(course, nurse)
    course.refresh_from_db()


@pytest.fixture
def home_course(now, course, nurse, prescriber, director) -> Course:
    """A course at home, screened, consented, planned: 150 mg in a lozenge of 100 and one of 50."""
    home_policy(director)
    admitted(course, nurse, prescriber, route="SL")
    plan = plans.order_plan(
        prescriber,
        course,
        regimen="sl-home-lozenge",
        dose_mg=150,
        sessions=4,
        first_on=clock.today(),
    )
    plans.verify_plan(nurse, plan, dose_mg=150, count=2)
    course.refresh_from_db()
    return course


@pytest.fixture
def on(home_course, director):
    return services.switch_on(
        director, signed_name=director.display_name, digest=services.warnings_digest()
    )


@pytest.fixture
def enrolled(home_course, prescriber) -> Enrolment:
    services.sign_home_screening(prescriber, home_course, how="video")
    return services.enrol(
        prescriber, home_course, doctor=prescriber, hold_min=10, after_hold="spit"
    )


@pytest.fixture
def supervised(enrolled, nurse) -> Enrolment:
    return services.record_supervised_dose(
        nurse,
        enrolled,
        taken_at=START - timedelta(days=7),
        dose_mg=150,
        note="Watched in the clinic, floaty for an hour, no rise of pressure.",
    )


@pytest.fixture
def ready(on, supervised, nurse) -> Enrolment:
    """Everything is there for a session: lozenges for two of them at home."""
    services.dispense(nurse, supervised, pieces={100: 2, 50: 2}, counted={}, lot="L7")
    return supervised


def open_today(actor, course: Course, **changes) -> HomeSession:
    planned = course.planned_sessions.order_by("planned_for").first()
    values = {"adult_name": "Ines Example", "adult_phone": "+15550150", **changes}
    return services.open_session(actor, planned, **values)


@pytest.fixture
def session(ready, home_course, nurse) -> HomeSession:
    return open_today(nurse, home_course)


CONFIRMED = {"identity": True, "clinician_contact": True}


def go(clinician, session: HomeSession, **changes) -> HomeSession:
    return services.decide(clinician, session, **{"go": True, "confirmed": CONFIRMED, **changes})


@pytest.fixture
def may_take(session, nurse) -> HomeSession:
    """Answered, decided, and the adult is there: the dose may be taken."""
    from_home.check_in(session, data=WELL)
    go(nurse, session)
    from_home.adult_here(session)
    session.refresh_from_db()
    return session


@pytest.fixture
def taken(may_take) -> HomeSession:
    """The dose is in the mouth, since `START`."""
    from_home.take_dose(may_take, pieces=DOSE)
    may_take.refresh_from_db()
    return may_take


@pytest.fixture
def on_call(director, nurse, prescriber, now):
    for user, line in ((nurse, Line.FIRST), (prescriber, Line.SECOND)):
        notices.add_shift(director, user=user, line=line, starts_at=START, ends_at=minutes(12 * 60))


def line_of(session: HomeSession):
    return queries.timeline_of(session)
