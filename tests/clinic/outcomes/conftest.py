"""A session that has ended, and the form of the day after, on the day after."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.outcomes import summaries
from openketamine.clinic.outcomes.models import FormRequest
from openketamine.clinic.policy import services as policy
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.sessions import queries as session_queries
from openketamine.clinic.sessions import services as sessions
from openketamine.demo.earlier import Simulation

from ..conftest import HOME, make_user

VITALS = {"systolic_mmhg": 130, "diastolic_mmhg": 80, "heart_rate_bpm": 72, "spo2_percent": 98}


@pytest.fixture
def discharged(running, nurse):
    start = session_queries.timeline_of(running).started_at
    with clock.at(start + timedelta(minutes=40)):
        sessions.end_infusion(nurse, running)
    with clock.at(start + timedelta(minutes=105)):
        sessions.record_vitals(nurse, running, **VITALS)
        sessions.discharge(nurse, running, answers=HOME, escort_name="Ines Example")
    running.refresh_from_db()
    return running


@pytest.fixture
def form(discharged):
    request = FormRequest.objects.get(occasion="24h", instrument="phq9")
    with clock.at(request.due_at + timedelta(hours=1)):
        yield request


NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def earlier_years(django_db_setup, django_db_blocker):
    """A clinic with a signed policy and 110 courses of earlier years, counted; once a module.

    Every test sees it as it was: what a test writes is rolled back to here.
    """
    with django_db_blocker.unblock(), transaction.atomic(), clock.at(NOW):
        policy.sign_policy(make_user(Role.DIRECTOR), digest=library().policy_digest)
        Simulation(11, until=NOW).run(110)
        summaries.rebuild()
        yield
        transaction.set_rollback(True)


@pytest.fixture
def years(earlier_years, db):
    """The same, for one test, at the moment for which it was made."""
    with clock.at(NOW):
        yield User.objects.get(role=Role.DIRECTOR, username="director")
