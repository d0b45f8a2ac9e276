"""A course in treatment with one session given, and one in follow-up after its only injection."""

from datetime import timedelta

import pytest

from openketamine.clinic.intake import services as intake
from openketamine.clinic.record import clock
from openketamine.clinic.sessions import queries as session_queries
from openketamine.clinic.sessions import services as sessions

from ..conftest import HOME
from ..outcomes.conftest import VITALS, discharged  # noqa: F401


def score(course, nurse, total, *, days, occasion="7d", instrument="phq9"):
    """A PHQ-9 that adds up to a total, so many days after now."""
    answers = {f"q{n}": 0 for n in range(1, 10)}
    for n in range(1, 9):
        answers[f"q{n}"] = min(3, max(total - 3 * (n - 1), 0))
    with clock.at(clock.now() + timedelta(days=days)):
        return intake.record_response(
            nurse, course, instrument=instrument, answers=answers, occasion=occasion
        )


@pytest.fixture
def treated(discharged):  # noqa: F811
    """In treatment: one of six sessions given."""
    discharged.course.refresh_from_db()
    return discharged.course


@pytest.fixture
def followed_up(im_injected, nurse):
    """In follow-up: the only session planned is given."""
    start = session_queries.timeline_of(im_injected).started_at
    with clock.at(start + timedelta(minutes=125)):
        sessions.record_vitals(nurse, im_injected, **VITALS)
        sessions.record_observation(
            nurse, im_injected, sedation_moaas=5, dissociation_0_10=0, nausea_0_10=0
        )
        sessions.discharge(nurse, im_injected, answers=HOME, escort_name="Ines Example")
    course = im_injected.course
    course.refresh_from_db()
    with clock.at(start + timedelta(minutes=130)):
        yield course
