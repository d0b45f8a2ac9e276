"""A dose taken at home counts like one in the clinic, and what was lost is a sign."""

from datetime import timedelta

from openketamine.clinic.athome import from_home
from openketamine.clinic.athome import services as athome
from openketamine.clinic.outcomes.given import doses_given
from openketamine.clinic.outcomes.lifeline import lifeline
from openketamine.clinic.portal import services as portal
from openketamine.clinic.record import clock
from openketamine.clinic.reviews import queries

from ..athome.conftest import (  # noqa: F401
    enrolled,
    home_course,
    may_take,
    now,
    on,
    ready,
    session,
    supervised,
    taken,
)


def test_it_works(taken):  # noqa: F811
    doses = doses_given(taken.course)
    assert [(dose.dose_mg, dose.route, dose.at_home) for dose in doses][-1] == (150, "SL", True)
    assert "150 mg SL" in [mark.title for mark in lifeline(taken.course).marks]
    assert queries.review_page(taken.course).known.facts["doses_given"] == len(doses) == 2


def test_the_first_dose_watched_in_the_clinic_stands_on_the_timeline_and_in_the_review(
    supervised,  # noqa: F811
):
    (dose,) = doses_given(supervised.course)
    assert (dose.at, dose.dose_mg, dose.number) == (supervised.supervised_at, 150, None)
    (mark,) = [mark for mark in lifeline(supervised.course).marks if mark.lane == "dose"]
    assert "watched in the clinic" in mark.detail
    assert queries.review_page(supervised.course).known.tolerated.sessions == 1


def test_side_effects_told_from_home_stand_on_the_timeline_and_in_the_review(taken):  # noqa: F811
    from_home.how(
        taken,
        by="patient",
        data={"feeling": "unwell", "effects": [["nausea", "moderate"], ["headache", "mild"]]},
    )
    marks = [mark for mark in lifeline(taken.course).marks if mark.lane == "effect"]
    assert {mark.title for mark in marks} == {"Nausea, moderate", "Headache, mild"}
    tolerated = queries.review_page(taken.course).known.tolerated
    assert (tolerated.with_effect, tolerated.with_moderate) == (1, 1)


def test_the_patients_daily_mood_has_a_lane_of_its_own(taken):  # noqa: F811
    with clock.at(clock.now() + timedelta(minutes=5)):
        for mood in (2, 7):  # said again on the same day: the last one stands
            portal.record_mood(taken.person, mood_0_10=mood)
        drawn = lifeline(taken.course)
    (mark,) = [mark for mark in drawn.marks if mark.lane == "mood"]
    assert (mark.title, mark.size) == ("Mood 7 of 10", 0.7)
    assert "Mood, daily" in [words for _, words in drawn.lanes]


def test_what_was_reported_lost_is_a_sign_of_the_record(taken, nurse):  # noqa: F811
    assert queries.review_page(taken.course).shown == []
    athome.take_back(
        nurse, taken.enrolment, kind="lost", pieces={50: 1}, note="Not in the box on Monday."
    )
    page = queries.review_page(taken.course)
    assert [sign.id for sign in page.shown] == ["MU-COUNT"]
    assert page.known.facts["misuse_signs"] == 1
