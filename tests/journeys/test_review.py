"""A prescriber reviews a course and decides; a coordinator takes up a loose end."""

import re
from datetime import timedelta

import pytest

from openketamine.clinic.record import clock
from openketamine.clinic.reviews.models import CourseReview, LooseEndStep
from openketamine.clinic.sessions import queries as session_queries
from openketamine.clinic.sessions import services as sessions

from ..clinic.conftest import HOME
from ..clinic.outcomes.conftest import VITALS
from ..clinic.reviews.conftest import score


@pytest.fixture
def reviewed_course(im_injected, nurse, request):
    """An injection given 15 days ago, better since: its review is due a week after it."""
    start = session_queries.timeline_of(im_injected).started_at
    with clock.at(start + timedelta(minutes=20)):
        sessions.record_side_effect(nurse, im_injected, effect="nausea", severity="mild")
    with clock.at(start + timedelta(minutes=125)):
        sessions.record_vitals(nurse, im_injected, **VITALS)
        sessions.record_observation(
            nurse, im_injected, sedation_moaas=5, dissociation_0_10=0, nausea_0_10=0
        )
        sessions.discharge(nurse, im_injected, answers=HOME, escort_name="Ines Example")
    score(im_injected.course, nurse, 6, days=8)
    # Only now: while the clock is turned for the browser, nothing can be dated by hand.
    request.getfixturevalue("turn_clock").forward(days=15)
    return im_injected.course


def test_a_course_is_reviewed_and_the_decision_stands_on_its_line(
    visitor, reviewed_course, prescriber
):
    for device in ("desktop", "phone"):
        seat = visitor(device)
        seat.sign_in("prescriber")
        page = seat.open("/today/")
        page.locator(".reviews-due").wait_for()
        seat.look("today-with-reviews")
        page.locator(".reviews-due").get_by_role("link", name=str(reviewed_course.person)).click()
        page.get_by_role("heading", name="Course review").wait_for()
        page.get_by_text("There is a response, and not yet a remission").wait_for()
        seat.look("course-review")
        if device == "desktop":
            page.get_by_role("button", name="Decide as").click()
            page.get_by_role("radio", name="Space the sessions out").check()
            page.get_by_label("Why").fill("Well for two weeks after one injection.")
            page.get_by_role("button", name="Decide as").click()
            page.get_by_text("Decided: space the sessions out.").wait_for()
            page.locator("ol.timeline").get_by_text("Well for two weeks").wait_for()
        else:
            page = seat.open(f"/courses/{reviewed_course.pk}/")
        page.locator("svg.lifeline").wait_for()
        page.get_by_text("Everything on the line, as a table").click()
        seat.look("course-on-one-line")
        if device == "desktop":
            CourseReview.objects.update(next_on=clock.today())
    assert CourseReview.objects.get().decision == "space out"


def test_a_loose_end_is_taken_up(visitor, reviewed_course, coordinator):
    for device in ("desktop", "phone"):
        seat = visitor(device)
        seat.sign_in("coordinator")
        page = seat.open("/continuity/")
        page.get_by_text("no next step").first.wait_for()
        seat.look("continuity")
        if device == "phone":
            page.get_by_role("link", name=re.compile("Take up.*no next step")).click()
            seat.look("take-up")
            page.get_by_label("What was done").select_option("booked")
            page.get_by_label("In words").fill("Review booked for Thursday at ten.")
            again = clock.today() + timedelta(days=3)
            page.get_by_label("Look again on").fill(again.isoformat())
            page.get_by_role("button", name="Keep").click()
            page.get_by_text("Maria Example1: kept.").wait_for()
    assert LooseEndStep.objects.get().taken_by == coordinator


def test_a_sign_of_misuse_is_noted_by_a_nurse(visitor, reviewed_course, nurse):
    seat = visitor("phone")
    seat.sign_in("nurse")
    page = seat.open(f"/courses/{reviewed_course.pk}/review/")
    page.get_by_role("link", name="Note a sign").click()
    page.get_by_label("What was seen or said").fill("Two lozenges missing from the count")
    page.get_by_label("What", exact=True).select_option("MU-LOST")
    seat.look("note-misuse")
    page.get_by_role("button", name="Keep").click()
    page.get_by_text("Two lozenges missing").wait_for()
