"""The demonstration's programme at home: switched on, with one session that runs now."""

from contextlib import AbstractContextManager
from datetime import timedelta
from importlib.resources import files

from openketamine import protocols
from openketamine.clinic.accounts.models import User
from openketamine.clinic.athome import from_home, services
from openketamine.clinic.notices import services as notices
from openketamine.clinic.notices.models import Line, Notice
from openketamine.clinic.people.models import Course
from openketamine.clinic.plans import services as plans
from openketamine.clinic.policy import services as policy
from openketamine.clinic.policy.models import OverlayVersion
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock

REGIMEN, DOSE_MG, PIECES = "sl-home-lozenge", 150, {100.0: 1, 50.0: 1}
SESSIONS = 4
ADULT, ADULT_PHONE = "Robin Invented", "+15550190"


def own_policy(director: User) -> tuple[OverlayVersion, str]:
    """The clinic's own text on lozenges, proposed, with the digest under which it is signed."""
    text = (files("openketamine.demo") / "home_programme.yaml").read_text()
    version = policy.propose_overlay(director, text=text, note="How often lozenges are taken.")
    return version, protocols.load(version.overlay).policy_digest


def switch_on(director: User) -> None:
    services.switch_on(
        director, signed_name=director.display_name, digest=services.warnings_digest()
    )


def put_on_call(director: User, first: User, second: User) -> None:
    """Somebody is on call now and for the next days, and can be reached."""
    now = clock.now()
    for number, (user, line) in enumerate(((first, Line.FIRST), (second, Line.SECOND))):
        notices.add_shift(
            director,
            user=user,
            line=line,
            starts_at=now,
            ends_at=now + timedelta(days=3),
        )
        notices.set_address(
            user, phone=f"+1555018{number}", email=f"{user.username}@clinic.example"
        )


def session_now(course: Course, nurse: User, prescriber: User) -> None:
    """A consented course, from the plan to a dose half an hour ago and the first check-in.

    Call it at the present moment of the demonstration.
    """
    now = clock.now()
    with clock.at(now - timedelta(days=9)):
        plan = plans.order_plan(
            prescriber,
            course,
            regimen=REGIMEN,
            dose_mg=DOSE_MG,
            sessions=SESSIONS,
            first_on=clock.today() + timedelta(days=9),
        )
        plans.verify_plan(nurse, plan, dose_mg=DOSE_MG, count=sum(PIECES.values()))
        course.refresh_from_db()
        services.sign_home_screening(
            prescriber, course, how="video", note="Seen by video; the adult at hand was there."
        )
        enrolment = services.enrol(
            prescriber, course, doctor=prescriber, hold_min=10, after_hold="spit"
        )
    with clock.at(now - timedelta(days=7)):
        services.record_supervised_dose(
            nurse,
            enrolment,
            taken_at=clock.now(),
            dose_mg=DOSE_MG,
            note="In the clinic: floaty for an hour, 136/82 mmHg at most, well at 2 hours.",
        )
    with clock.at(now - timedelta(days=2)):
        services.dispense(
            nurse,
            enrolment,
            pieces={mg: 2 * count for mg, count in PIECES.items()},
            counted={},
            lot="DEMO-L1",
        )
    planned = course.planned_sessions.order_by("number")[0]
    planned.planned_for = now - timedelta(minutes=60)
    planned.save(update_fields=["planned_for"])

    def at(minutes_ago: float) -> AbstractContextManager[None]:
        return clock.at(now - timedelta(minutes=minutes_ago))

    with at(60):
        session = services.open_session(nurse, planned, adult_name=ADULT, adult_phone=ADULT_PHONE)
    with at(52):
        from_home.check_in(
            session,
            data={
                "systolic_mmhg": 126.0,
                "diastolic_mmhg": 78.0,
                "heart_rate_bpm": 70.0,
                "last_food": "breakfast, five hours ago",
                "fasting": True,
                "adult_present": True,
                "place": "12 Invented Street, second floor",
                "no_depressant": True,
                "medicines_today": "the antidepressant, in the morning",
                "counted": [[mg, 2 * count] for mg, count in PIECES.items()],
                "mood_0_10": 4,
                "safety_question": "no",
                "no_plans": True,
            },
        )
    with at(45):
        items = library().monitoring["SL"].presession
        services.decide(nurse, session, go=True, confirmed={item.item: True for item in items})
    with at(38):
        from_home.adult_here(session)
    with at(35):
        from_home.take_dose(session, pieces=PIECES)
    with at(25):
        from_home.end_hold(session, after_hold="spit")
    with at(4):
        from_home.how(
            session,
            by="adult",
            data={
                "awake": "sleepy",
                "systolic_mmhg": 134.0,
                "diastolic_mmhg": 82.0,
                "heart_rate_bpm": 76.0,
                "words": "Lies down, smiles, answers.",
            },
        )
    # Sent at the time, by whoever sent then: not all at once when the demonstration starts.
    Notice.objects.filter(state=Notice.State.WAITING, due_at__lt=now).update(
        state=Notice.State.SENT, sent_at=now, next_attempt_at=None
    )
