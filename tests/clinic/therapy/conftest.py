"""A course that a therapist accompanies, and a session of it that has ended."""

from datetime import timedelta

import pytest

from openketamine.clinic.accounts.models import Role
from openketamine.clinic.people import services as people
from openketamine.clinic.record import clock
from openketamine.clinic.sessions import queries as session_queries
from openketamine.clinic.sessions import services as sessions
from openketamine.clinic.therapy import services

from ..conftest import HOME, make_user
from ..outcomes.conftest import VITALS

WORDS = {
    "intention": "To meet the grief, not to run from it.",
    "fears": "To lose control.",
    "what_helps": "A calm voice; say where I am.",
    "music": "Cello, nothing with words.",
    "safe_word": "harbour",
    "for_team": "Startles when approached from the left.",
}


@pytest.fixture
def second_therapist(db):
    return make_user(Role.THERAPIST, username="therapist2")


@pytest.fixture
def accompanied(planned_course, coordinator, prescriber, therapist):
    people.assign_team(coordinator, planned_course, prescriber=prescriber, therapist=therapist)
    planned_course.refresh_from_db()
    return planned_course


@pytest.fixture
def prepared(accompanied, therapist):
    return services.record_preparation(
        therapist,
        accompanied,
        words=WORDS,
        topics=["music", "frame"],
        shared=["intention", "safe_word", "for_team"],
    )


@pytest.fixture
def left(accompanied, running, nurse):
    """The first session, from which the patient went home."""
    start = session_queries.timeline_of(running).started_at
    with clock.at(start + timedelta(minutes=40)):
        sessions.end_infusion(nurse, running)
    with clock.at(start + timedelta(minutes=105)):
        sessions.record_vitals(nurse, running, **VITALS)
        sessions.discharge(nurse, running, answers=HOME, escort_name="Ines Example")
    running.refresh_from_db()
    return running


@pytest.fixture
def discharged(running, nurse):
    """The same session where nobody accompanies the course."""
    start = session_queries.timeline_of(running).started_at
    with clock.at(start + timedelta(minutes=105)):
        sessions.end_infusion(nurse, running)
        sessions.record_vitals(nurse, running, **VITALS)
    with clock.at(start + timedelta(minutes=170)):
        sessions.record_vitals(nurse, running, **VITALS)
        sessions.discharge(nurse, running, answers=HOME, escort_name="Ines Example")
    running.refresh_from_db()
    return running
