"""An alarming answer is looked at by a clinician before anything else is done."""

import pytest

from openketamine.clinic.errors import Refused
from openketamine.clinic.intake import services
from openketamine.clinic.intake.models import InstrumentResponse, SafetyReview
from openketamine.clinic.plans import services as plans
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.sessions import services as sessions

from ..conftest import CHECK, NO_HISTORY, ORDER, PHQ9


def alarm(actor, course, **answers):
    return services.record_response(
        actor,
        course,
        instrument="phq9",
        answers={**PHQ9, "q9": 1, **answers},
        occasion="intake",
    )


def close(actor, course, outcome="safe"):
    review = course.safety_reviews.filter(closed_at=None).get()
    services.close_safety_review(actor, review, outcome=outcome, note="Asked; no plan.")
    return review


def test_it_works(nurse, course):
    alarm(nurse, course)
    review = SafetyReview.objects.get()
    assert "item 9" in review.statement
    close(nurse, course)
    review.refresh_from_db()
    assert review.reviewer == nurse
    services.require_no_open_safety_review(course)


def test_no_alarm_no_review(nurse, course):
    services.record_response(nurse, course, instrument="phq9", answers=PHQ9, occasion="intake")
    assert not SafetyReview.objects.exists()


def test_an_incomplete_form_keeps_its_alarm(nurse, course):
    response = alarm(nurse, course, q3=None)
    assert response.total is None
    assert SafetyReview.objects.count() == 1


def test_an_incomplete_form_without_alarm_is_refused(nurse, course):
    with pytest.raises(Refused, match="1 question not answered"):
        services.record_response(
            nurse, course, instrument="phq9", answers={**PHQ9, "q3": None}, occasion="intake"
        )
    assert not InstrumentResponse.objects.exists()


def test_the_same_alarm_twice_opens_one_review(nurse, course):
    alarm(nurse, course)
    alarm(nurse, course)
    assert SafetyReview.objects.count() == 1


def test_urgent_care_keeps_the_course_waiting_until_a_further_review(nurse, course):
    alarm(nurse, course)
    close(nurse, course, outcome="urgent")
    with pytest.raises(Refused, match="Urgent care was arranged"):
        services.record_history(nurse, course, NO_HISTORY)
    close(nurse, course, outcome="safe")
    services.record_history(nurse, course, NO_HISTORY)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"outcome": "maybe"}, "Choose what came"), ({"note": "  "}, "Write what you asked")],
)
def test_a_review_without_outcome_or_note_is_refused(nurse, course, change, message):
    alarm(nurse, course)
    review = SafetyReview.objects.get()
    with pytest.raises(Refused, match=message):
        services.close_safety_review(
            nurse, review, **{"outcome": "safe", "note": "Asked.", **change}
        )
    review.refresh_from_db()
    assert review.closed_at is None


def test_a_coordinator_cannot_close_a_review(coordinator, course):
    alarm(coordinator, course)
    with pytest.raises(Refused, match="by a clinician"):
        close(coordinator, course)


def test_it_holds_every_step_of_care(planned_course, nurse, prescriber, chair):
    """Whatever moves care forward is refused, and refusing it writes nothing."""
    course = planned_course
    first = course.planned_sessions.get(number=1)
    session = sessions.open_session(nurse, first, chair)
    sessions.complete_check(nurse, session, **CHECK)
    alarm(nurse, course)
    before = Event.objects.count()
    second = course.planned_sessions.get(number=2)
    acts = [
        lambda: services.record_history(nurse, course, NO_HISTORY),
        lambda: services.decide_finding(
            prescriber, course, rule_id="TRD-COUNT", decision="proceed", reason="x"
        ),
        lambda: services.sign_screening(prescriber, course, outcome="eligible"),
        lambda: plans.sign_consent(
            nurse, course, signed_name="x", document_digest="x", agrees=True
        ),
        lambda: plans.order_plan(prescriber, course, first_on=clock.today(), **ORDER),
        lambda: plans.reschedule(nurse, second, planned_for=second.planned_for),
        lambda: sessions.complete_check(nurse, session, **CHECK),
        lambda: sessions.start_infusion(nurse, session),
    ]
    for act in acts:
        with pytest.raises(Refused, match="safety review is open"):
            act()
    assert Event.objects.count() == before


def test_it_is_announced_on_the_pages_of_the_patient(client, nurse, course):
    alarm(nurse, course)
    client.force_login(nurse)
    for address in (f"/courses/{course.pk}/safety/", f"/courses/{course.pk}/screening/"):
        assert "Safety review open" in client.get(address).content.decode()
    assert "safety review" in client.get(f"/courses/{course.pk}/next/").content.decode()


def test_staff_are_sent_straight_to_the_review(client, nurse, course):
    client.force_login(nurse)
    answers = {**PHQ9, "q9": 2}
    response = client.post(f"/courses/{course.pk}/questionnaires/phq9/", answers)
    review = SafetyReview.objects.get()
    assert response.url == f"/safety-reviews/{review.pk}/"
    page = client.post(response.url, {"outcome": "safe", "note": "Asked."}, follow=True)
    assert "The safety review is recorded." in page.content.decode()
