"""A prescriber reviews a course and decides; what was known is kept beside the reason."""

from datetime import timedelta

import pytest

from openketamine.clinic.errors import Refused
from openketamine.clinic.intake import services as intake
from openketamine.clinic.people.models import Stage
from openketamine.clinic.plans import services as plans
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event
from openketamine.clinic.reviews import queries, services
from openketamine.clinic.reviews.models import CourseReview

from ..conftest import IM_ORDER
from .conftest import score


def decide(prescriber, course, **changes):
    given = {
        "decision": "continue",
        "reason": "Half better after one session; go on.",
        "next_on": clock.today() + timedelta(days=28),
    }
    return services.hold_review(prescriber, course, **{**given, **changes})


def test_it_works(followed_up, prescriber, nurse):
    score(followed_up, nurse, 6, days=7)
    with clock.at(clock.now() + timedelta(days=8)):
        review = decide(prescriber, followed_up)
        event = Event.objects.get(kind="reviews.held")
    assert event.actor == prescriber
    assert event.data["reason"] == review.reason
    assert review.rule == "RV-INDUCTION"
    assert review.known["facts"]["responded"] is True
    assert review.known["outcomes"]["phq9"]["baseline"] == 16
    assert "RO-CONTINUE-1" in review.known["for"]["continue"]
    assert record.verify().intact


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decision": "cure"}, "Choose a decision"),
        ({"reason": "  "}, "Give the reason"),
        ({"decision": "refer"}, "Say where"),
        ({"next_on": -1}, "after today"),
        ({"next_on": 85}, "after today and by"),
        ({"decision": "stop", "order_more": True}, "orders no further"),
    ],
)
def test_a_decision_that_does_not_hold_is_refused_whole(followed_up, prescriber, changes, message):
    if "next_on" in changes:
        changes = {**changes, "next_on": clock.today() + timedelta(days=changes["next_on"])}
    with pytest.raises(Refused, match=message):
        decide(prescriber, followed_up, **changes)
    assert not CourseReview.objects.exists()
    assert not Event.objects.filter(kind="reviews.held").exists()


def test_only_a_prescriber_decides(followed_up, nurse, director):
    for actor in (nurse, director):
        with pytest.raises(Refused, match="Only a prescriber"):
            decide(actor, followed_up)


def test_nothing_is_reviewed_before_anything_was_given(planned_course, prescriber):
    with pytest.raises(Refused, match="Nothing was given yet"):
        decide(prescriber, planned_course)


def test_an_open_safety_review_comes_first(followed_up, prescriber, nurse):
    answers = {f"q{n}": 0 for n in range(1, 9)} | {"q9": 1}
    intake.record_response(nurse, followed_up, instrument="phq9", answers=answers, occasion="7d")
    with pytest.raises(Refused):
        decide(prescriber, followed_up)
    assert not CourseReview.objects.exists()


def test_to_stop_ends_the_treatment_and_drops_what_was_planned(treated, prescriber):
    decide(prescriber, treated, decision="stop", reason="No benefit and not wanted any more.")
    treated.refresh_from_db()
    assert treated.stage == Stage.FOLLOW_UP
    assert not treated.planned_sessions.filter(done_at=None, cancelled_at=None).exists()
    assert Event.objects.filter(kind="plans.treatment_ended").count() == 1


def test_to_go_on_from_follow_up_leads_back_to_an_order(followed_up, prescriber, nurse):
    decide(prescriber, followed_up, order_more=True)
    followed_up.refresh_from_db()
    assert followed_up.stage == Stage.PLANNING
    plan = plans.order_plan(prescriber, followed_up, first_on=clock.today(), **IM_ORDER)
    plans.verify_plan(nurse, plan, dose_mg=41.0, volume_ml=0.82)
    followed_up.refresh_from_db()
    assert followed_up.stage == Stage.TREATMENT
    (coming,) = followed_up.planned_sessions.filter(done_at=None, cancelled_at=None)
    assert coming.place == "session 2 of 2"


def test_a_course_closes_only_after_a_review_that_stops_or_refers(followed_up, prescriber, nurse):
    with pytest.raises(Refused, match="Hold a review first"):
        services.close_course(prescriber, followed_up, reason="Moved away.")
    decide(prescriber, followed_up, decision="refer", refer_to="Dr Example, urology")
    with pytest.raises(Refused, match="Only a prescriber"):
        services.close_course(nurse, followed_up, reason="Moved away.")
    with pytest.raises(Refused, match="Say how the patient"):
        services.close_course(prescriber, followed_up, reason=" ")
    services.close_course(prescriber, followed_up, reason="Back to Dr Example, who has agreed.")
    followed_up.refresh_from_db()
    assert followed_up.stage == Stage.CLOSED
    assert followed_up.closed_at is not None
    with pytest.raises(Refused, match="closed"):
        decide(prescriber, followed_up)


def test_a_course_in_treatment_is_not_closed(treated, prescriber):
    with pytest.raises(Refused, match="from follow-up"):
        services.close_course(prescriber, treated, reason="x")


def test_the_next_review_is_due_on_the_day_that_this_one_set(followed_up, prescriber):
    review = decide(prescriber, followed_up, next_on=clock.today() + timedelta(days=14))
    assert queries.review_page(followed_up).due.on == review.next_on
    assert queries.reviews_due() == []
    with clock.at(clock.now() + timedelta(days=14)):
        (row,) = queries.reviews_due()
    assert row.due.rule.id == "RV-REGULAR"
