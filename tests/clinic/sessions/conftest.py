"""More than one patient at a time."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from openketamine.clinic.intake import services as intake
from openketamine.clinic.people import services as people
from openketamine.clinic.plans import services as plans
from openketamine.clinic.plans.models import PlannedSession
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.sessions import services
from openketamine.clinic.sessions.models import Session

from ..conftest import CHECK, ORDER, consent, draw_up, nothing_found, referral


@pytest.fixture
def arrive(coordinator, nurse, prescriber, signed_policy) -> Callable[[int], PlannedSession]:
    """Bring patient `number` up to the day of the first session."""

    def make(number: int) -> PlannedSession:
        data = referral(number, given_name=f"Number{number}")
        course = people.receive_referral(coordinator, data, origin="a test").person.courses.get()
        nothing_found(course, nurse)
        intake.sign_screening(prescriber, course, outcome="eligible")
        course.refresh_from_db()
        consent(course, nurse)
        plan = plans.order_plan(prescriber, course, first_on=clock.today(), **ORDER)
        plans.verify_plan(nurse, plan, dose_mg=plan.dose_mg, volume_ml=plan.volume_ml)
        return course.planned_sessions.get(number=1)

    return make


@pytest.fixture
def in_chair(arrive, nurse, prescriber) -> Callable[[int], Session]:
    """A patient whose infusion has been running for ten minutes, with three readings."""

    def make(number: int) -> Session:
        planned = arrive(number)
        now = clock.now()
        with clock.at(now - timedelta(minutes=15)):
            chair = services.add_chair(nurse, name=f"Chair {number}")
            session = services.open_session(nurse, planned, chair)
            services.complete_check(nurse, session, **CHECK)
            draw_up(session, nurse, prescriber)
        with clock.at(now - timedelta(minutes=10)):
            services.start_infusion(nurse, session)
        for minute in (6, 4, 2):
            with clock.at(now - timedelta(minutes=minute)):
                services.record_vitals(
                    nurse, session, systolic_mmhg=130, diastolic_mmhg=80, heart_rate_bpm=75
                )
        session.refresh_from_db()
        return session

    return make


@pytest.fixture
def unchanged():
    """Check that whatever was refused has left no trace in the record."""

    class Unchanged:
        def __enter__(self):
            self.before = Event.objects.count()

        def __exit__(self, *_):
            assert Event.objects.count() == self.before

    return Unchanged()


@pytest.fixture
def only_the_attempt():
    """Check that of what a guarding rule barred nothing is in the record but that it was tried."""

    class OnlyTheAttempt:
        def __enter__(self):
            self.before = set(Event.objects.values_list("seq", flat=True))

        def __exit__(self, *_):
            kinds = Event.objects.exclude(seq__in=self.before).values_list("kind", flat=True)
            assert set(kinds) == {"session.attempt_refused"}

    return OnlyTheAttempt()
