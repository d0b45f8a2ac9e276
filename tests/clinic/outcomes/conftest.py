"""A session that has ended, and the form of the day after, on the day after."""

from datetime import timedelta

import pytest

from openketamine.clinic.outcomes.models import FormRequest
from openketamine.clinic.record import clock
from openketamine.clinic.sessions import queries as session_queries
from openketamine.clinic.sessions import services as sessions

from ..conftest import HOME

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
