"""A small clinic: one person of each role, and a patient with an open course."""

from datetime import UTC, date, datetime, timedelta

import pytest

from openketamine import protocols
from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.intake import services as intake
from openketamine.clinic.intake.queries import findings_for
from openketamine.clinic.people import services as people
from openketamine.clinic.people.models import Course, Person
from openketamine.clinic.people.referral import ReferralData, ReferredMeasurement
from openketamine.clinic.plans import services as plans
from openketamine.clinic.policy import services as policy
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.rems import services as rems
from openketamine.clinic.sessions import services as sessions
from openketamine.clinic.sessions import spray
from openketamine.clinic.sessions.models import Chair, Session
from openketamine.protocols import eligibility


def make_user(role: Role, *, username: str | None = None) -> User:
    return User.objects.create_user(
        username=username or role.value,
        password="a long enough password",
        role=role,
        display_name=f"{role.label} Example",
        credentials={Role.PRESCRIBER: "MD", Role.NURSE: "RN"}.get(role, ""),
    )


@pytest.fixture
def coordinator(db) -> User:
    return make_user(Role.COORDINATOR)


@pytest.fixture
def prescriber(db) -> User:
    return make_user(Role.PRESCRIBER)


@pytest.fixture
def nurse(db) -> User:
    return make_user(Role.NURSE)


@pytest.fixture
def second_nurse(db) -> User:
    return make_user(Role.NURSE, username="nurse2")


@pytest.fixture
def therapist(db) -> User:
    return make_user(Role.THERAPIST)


@pytest.fixture
def director(db) -> User:
    return make_user(Role.DIRECTOR)


@pytest.fixture
def patient_user(db) -> User:
    return make_user(Role.PATIENT)


def referral(number: int = 1, **changes) -> ReferralData:
    """A synthetic referral; `number` makes it another person."""
    values = {
        "source_system": "https://referrer.example",
        "source_id": f"referral-{number}",
        "given_name": "Maria",
        "family_name": f"Example{number}",
        "birth_date": date(1983, 3, 14),
        "sex": "female",
        "measurements": (
            ReferredMeasurement("w", "weight_kg", 82.0, datetime(2026, 10, 1, 9, tzinfo=UTC)),
            ReferredMeasurement("h", "height_cm", 168.0, datetime(2026, 10, 1, 9, tzinfo=UTC)),
        ),
    }
    return ReferralData(**{**values, **changes})


@pytest.fixture
def person(coordinator) -> Person:
    return people.receive_referral(coordinator, referral(), origin="a test").person


@pytest.fixture
def course(person) -> Course:
    return person.courses.get()


def no_history(route: str) -> dict[str, object]:
    """An answer to every question of a route's screening, so that nothing is found."""
    return {
        fact.id: fact.choices[0] if fact.kind == "choice" else False
        for _, _, questions in eligibility.questions_for(
            protocols.load(),
            {"sex": "female", "age_years": 43, "at_home": False},
            route=route,
            condition="TRD",
            on=date(2026, 11, 24),
        )
        for fact in questions
        if fact.id not in {"psychosis_active", "mood_stabiliser", "substance_use_active"}
    } | {"antidepressant_tried": True}


NO_HISTORY = no_history("IV")


def nothing_found(course: Course, nurse: User) -> None:
    """Ask, measure and test everything, so that no rule finds anything."""
    people.record_measurements(
        nurse, course.person, {"weight_kg": 82.0, "systolic_mmhg": 128, "diastolic_mmhg": 79}
    )
    intake.record_response(nurse, course, instrument="phq9", answers=PHQ9, occasion="intake")
    intake.record_response(nurse, course, instrument="gad7", answers=GAD7, occasion="intake")
    intake.record_history(nurse, course, no_history(course.route))
    intake.record_test_result(
        nurse, course, fact="pregnancy_test", value="negative", done_on=clock.today()
    )
    for drug in ("Sertraline", "Venlafaxine"):
        intake.record_trial(nurse, course, drug=drug, **FAILED)
    course.refresh_from_db()


FAILED = {
    "outcome": "no_response",
    "source": "letter",
    "in_this_episode": True,
    "adequate_dose": True,
    "adequate_duration": True,
}
PHQ9 = {f"q{n}": 2 for n in range(1, 9)} | {"q9": 0}
GAD7 = {f"q{n}": 1 for n in range(1, 8)}
CHECK = {
    "confirmed": {item.item: True for item in protocols.load().monitoring["IV"].presession},
    "weight_kg": 82.0,
    "vitals": {
        "systolic_mmhg": 128,
        "diastolic_mmhg": 79,
        "heart_rate_bpm": 72,
        "spo2_percent": 98,
    },
    "escort_name": "Ines Example",
    "escort_relation": "sister",
    "medicines_today": "sertraline 100 mg at 7",
}
HOME = {c.fact: True for c in protocols.load().discharge["IV"].criteria if c.question}


@pytest.fixture
def signed_policy(director):
    return policy.sign_policy(director, digest=library().policy_digest)


@pytest.fixture
def screened(course, nurse, prescriber, signed_policy) -> Course:
    """A course whose screening is signed as eligible."""
    nothing_found(course, nurse)
    intake.sign_screening(prescriber, course, outcome="eligible")
    course.refresh_from_db()
    return course


def consent(course: Course, presenter: User):
    document = library().document("consent", course.route)
    return plans.sign_consent(
        presenter,
        course,
        signed_name=str(course.person),
        document_digest=library().document_digest(document),
        agrees=True,
    )


ORDER = {
    "dose_mg_per_kg": 0.5,
    "duration_min": 40,
    "sessions": 6,
    "concentration_mg_per_ml": 10.0,
}


@pytest.fixture
def planned_course(screened, nurse, prescriber) -> Course:
    """A course with consent, a verified plan and six sessions on the calendar, the first today."""
    consent(screened, nurse)
    plan = plans.order_plan(prescriber, screened, first_on=clock.today(), **ORDER)
    plans.verify_plan(nurse, plan, dose_mg=plan.dose_mg, volume_ml=plan.volume_ml)
    screened.refresh_from_db()
    return screened


@pytest.fixture
def im_consented(course, nurse, prescriber, signed_policy) -> Course:
    """A course screened and signed for an injection into a muscle, with its own consent."""
    intake.choose_programme(prescriber, course, condition="TRD", route="IM", setting="clinic")
    course.refresh_from_db()
    nothing_found(course, nurse)
    intake.sign_screening(prescriber, course, outcome="eligible")
    course.refresh_from_db()
    consent(course, nurse)
    course.refresh_from_db()
    return course


@pytest.fixture
def chair(nurse) -> Chair:
    return sessions.add_chair(nurse, name="Chair 1")


@pytest.fixture
def session(planned_course, nurse, chair) -> Session:
    """A session that has just been opened."""
    return sessions.open_session(nurse, planned_course.planned_sessions.get(number=1), chair)


SYRINGE = {"volume_ml": 4.1, "concentration_mg_per_ml": 10.0}


def draw_up(session: Session, actor: User, second: User, **syringe: float) -> None:
    """A syringe prepared by one person and checked by another."""
    figures = {**SYRINGE, **syringe}
    sessions.prepare_syringe(actor, session, **figures, lot="L1")
    sessions.check_syringe(second, session, **figures)


@pytest.fixture
def ready(session, nurse, prescriber) -> Session:
    """A session that only waits for the pump to be started."""
    sessions.complete_check(nurse, session, **CHECK)
    draw_up(session, nurse, prescriber)
    session.refresh_from_db()
    return session


@pytest.fixture
def running(ready, nurse) -> Session:
    """A session whose infusion has just been started."""
    sessions.start_infusion(nurse, ready)
    ready.refresh_from_db()
    return ready


IM_ORDER = {
    "dose_mg_per_kg": 0.5,
    "sessions": 1,
    "concentration_mg_per_ml": 50.0,
    "regimen": "im-depression",
}
IM_SYRINGE = {"volume_ml": 0.82, "concentration_mg_per_ml": 50.0}
IM_CHECK = {
    **CHECK,
    "confirmed": {item.item: True for item in protocols.load().monitoring["IM"].presession},
}


@pytest.fixture
def im_planned(im_consented, nurse, prescriber) -> Course:
    """A course with one injection on the calendar, checked by a second person."""
    plan = plans.order_plan(prescriber, im_consented, first_on=clock.today(), **IM_ORDER)
    plans.verify_plan(nurse, plan, dose_mg=41.0, volume_ml=0.82)
    im_consented.refresh_from_db()
    return im_consented


@pytest.fixture
def im_opened(im_planned, nurse, chair) -> Session:
    return sessions.open_session(nurse, im_planned.planned_sessions.get(), chair)


@pytest.fixture
def im_drawn(im_opened, nurse, prescriber) -> Session:
    """A session that only waits for the injection."""
    sessions.complete_check(nurse, im_opened, **IM_CHECK)
    draw_up(im_opened, nurse, prescriber, **IM_SYRINGE)
    im_opened.refresh_from_db()
    return im_opened


@pytest.fixture
def im_injected(im_drawn, nurse) -> Session:
    sessions.give_injection(nurse, im_drawn, dose_mg=41, site="deltoid left")
    im_drawn.refresh_from_db()
    return im_drawn


# By nasal spray

# A device's own drug code with the check digit that belongs to it; lot and serial are invented.
PACK = "(01)00350458028003(17)290131(10)21LK(21)S1"


def _checked(route: str) -> dict:
    items = protocols.load().monitoring[route].presession
    return {
        **CHECK,
        "confirmed": {item.item: True for item in items},
        "waits": {wait.fact: None for item in items for wait in item.waits},
    }


SPRAY_CHECK = _checked("IN_ESKETAMINE")
SPRAY_HOME = {
    c.fact: True for c in protocols.load().discharge["IN_ESKETAMINE"].criteria if c.question
}


@pytest.fixture
def certified(director):
    """The site, certified by the programme."""
    return rems.record_certification(
        director,
        kind="outpatient",
        reference="REMS-0001",
        setting_name="Example Clinic",
        address="1 Example Street, Exampleton",
        representative="Dana Example",
        certified_on=clock.today(),
    )


@pytest.fixture
def spray_consented(course, nurse, prescriber, signed_policy, certified) -> Course:
    """A course screened and signed for the esketamine spray, enrolled, with its own consent."""
    intake.choose_programme(
        prescriber, course, condition="TRD", route="IN_ESKETAMINE", setting="clinic"
    )
    course.refresh_from_db()
    rems.enrol_patient(
        nurse, course.person, prescriber=prescriber, enrolled_on=clock.today(), counselled=True
    )
    nothing_found(course, nurse)
    intake.sign_screening(prescriber, course, outcome="eligible")
    course.refresh_from_db()
    consent(course, nurse)
    course.refresh_from_db()
    return course


@pytest.fixture
def spray_planned(spray_consented, nurse, prescriber) -> Course:
    """A course by the label's table, 56 mg in two devices, the first session today."""
    plan = plans.order_plan(
        prescriber,
        spray_consented,
        first_on=clock.today(),
        regimen="esketamine-trd-us",
        dose_mg=56,
    )
    plans.verify_plan(nurse, plan, dose_mg=56, count=2)
    spray_consented.refresh_from_db()
    return spray_consented


@pytest.fixture
def spray_opened(spray_planned, nurse, chair) -> Session:
    return sessions.open_session(nurse, spray_planned.planned_sessions.get(number=1), chair)


@pytest.fixture
def spray_ready(spray_opened, nurse) -> Session:
    """A session that only waits for the first device."""
    sessions.complete_check(nurse, spray_opened, **SPRAY_CHECK)
    spray_opened.refresh_from_db()
    return spray_opened


def take(session: Session, actor: User, **change):
    """One device, as it should be."""
    whole = {
        "left": "full",
        "right": "full",
        "lot": "21LK",
        "expires_on": date(2029, 1, 31),
    }
    return spray.take_device(actor, session, **{**whole, **change})


@pytest.fixture
def spray_taken(spray_ready, nurse) -> Session:
    """Both devices are taken, the second five minutes after the first, which was just now."""
    first = take(spray_ready, nurse)
    with clock.at(first.occurred_at + timedelta(minutes=5)):
        take(spray_ready, nurse)
    spray_ready.refresh_from_db()
    return spray_ready


@pytest.fixture
def bottle_ready(course, nurse, prescriber, signed_policy, chair) -> Session:
    """A session by a compounded bottle, five sprays of 10 mg, that only waits for the first."""
    intake.choose_programme(
        prescriber, course, condition="TRD", route="IN_RACEMIC", setting="clinic"
    )
    course.refresh_from_db()
    nothing_found(course, nurse)
    for finding in findings_for(course):
        if finding.kind == "caution":
            intake.decide_finding(
                prescriber, course, rule_id=finding.rule_id, decision="proceed", reason="Discussed."
            )
    intake.sign_screening(prescriber, course, outcome="eligible")
    course.refresh_from_db()
    consent(course, nurse)
    course.refresh_from_db()
    plan = plans.order_plan(
        prescriber,
        course,
        first_on=clock.today(),
        regimen="in-racemic-depression",
        dose_mg=50,
        sessions=1,
        mg_per_spray=10,
    )
    plans.verify_plan(nurse, plan, dose_mg=50, count=5)
    session = sessions.open_session(nurse, course.planned_sessions.get(), chair)
    sessions.complete_check(nurse, session, **_checked("IN_RACEMIC"))
    session.refresh_from_db()
    return session
