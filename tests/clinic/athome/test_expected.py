"""What a patient is told of the hours ahead, in the figures of the pharmacology."""

import pytest

from openketamine.clinic.athome import expected, from_home, links, queries
from openketamine.clinic.athome.models import HomeSession
from openketamine.clinic.athome.pages import state_of
from openketamine.clinic.record import clock

from .conftest import minutes

pytestmark = pytest.mark.django_db
HIGH = {"systolic_mmhg": 158.0, "diastolic_mmhg": 92.0, "heart_rate_bpm": 96.0}


def test_it_works(taken, client):
    expected.keep(taken.pk)
    taken.refresh_from_db()
    found = taken.expected
    assert 0 < found["onset_min"] <= found["peak_min"] <= found["over_min"] <= 240
    assert max(found["shares"]) == 1
    assert expected.work_out(taken)[0] == found  # the same for the same session
    page = client.get(f"/h/{links.token_for(taken, 'patient')}/").content.decode()
    assert f"most at about {found['peak_min']}" in page
    assert "You may feel more, less, or nothing." in page
    assert "feel like themselves again by about" in page


def test_a_reading_from_home_makes_the_forecast_anew(taken):
    assert taken.expect_anew  # of the dose
    expected.keep(taken.pk)
    taken.refresh_from_db()
    before = taken.expected
    assert (taken.expect_anew, before["readings"]) == (False, 0)
    with clock.at(minutes(20)):
        from_home.how(taken, by="adult", data={"awake": "awake", **HIGH})
        taken.refresh_from_db()
        assert taken.expect_anew
        expected.keep(taken.pk)
    taken.refresh_from_db()
    after = taken.expected
    assert (taken.expect_anew, after["readings"]) == (False, 1)
    # A pressure far above what was expected: more is expected to come, too.
    assert after["systolic_mmhg"][0] > before["systolic_mmhg"][0]
    # And the phone that asks for the state is told so.
    told = state_of(taken)["expected"]
    assert "What you measured has been taken in." in told["words"]
    assert told["curve"].startswith("M0,88")


def test_words_alone_ask_for_no_other_forecast(taken):
    HomeSession.objects.update(expect_anew=False)
    from_home.how(taken, by="patient", data={"feeling": "fine"})
    taken.refresh_from_db()
    assert not taken.expect_anew


def test_what_a_session_taught_is_where_the_next_one_begins(taken, nurse, prescriber):
    expected.keep(taken.pk)
    with clock.at(minutes(30)):
        from_home.how(taken, by="adult", data=HIGH)
        expected.keep(taken.pk)
    taken.refresh_from_db()
    later = HomeSession(person=taken.person, opened_at=minutes(7 * 24 * 60))
    assert expected._carried(later) == taken.learned
    assert expected._carried(taken) is None  # its own lesson is none for itself


def test_what_is_not_known_is_not_guessed(session):
    assert expected.work_out(session) is None  # no reading before the dose yet
    assert expected.drawn(None)["curve"] == ""
    assert expected.in_words(session, None) == ""
    assert queries.timeline_of(session).dose_at is None
