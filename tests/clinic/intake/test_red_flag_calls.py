"""An alarming answer calls a clinician, louder and louder, until one has recorded the review."""

from datetime import timedelta

import pytest

from openketamine.clinic.accounts.models import Role
from openketamine.clinic.errors import Refused
from openketamine.clinic.intake import services
from openketamine.clinic.intake.models import SafetyReview
from openketamine.clinic.notices import runner
from openketamine.clinic.notices import services as notices
from openketamine.clinic.notices.models import Call, Reached
from openketamine.clinic.outcomes import services as outcomes
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event, Source

from ..conftest import PHQ9, make_user
from ..outcomes.conftest import discharged, form  # noqa: F401  (fixtures)


@pytest.fixture
def flagged(form, prescriber):  # noqa: F811
    """The patient, alone at home, answers item 9 of the PHQ-9 and puts the phone away."""
    form.course.prescriber = prescriber
    form.course.save()
    outcomes.save_answer(form, item="q9", value=2)
    return form


def test_it_works(flagged):
    call, review = Call.objects.get(), SafetyReview.objects.get()
    assert (call.priority, call.headline) == ("red", review.statement)
    assert call.link == f"/safety-reviews/{review.pk}/"
    assert call.responsible == flagged.course.prescriber
    assert call.person_id == flagged.person_id
    assert call.is_open


def test_the_same_alarm_calls_once(flagged):
    outcomes.save_answer(flagged, item="q9", value=3)
    outcomes.save_answer(flagged, item="q9", value=0)
    outcomes.save_answer(flagged, item="q9", value=1)
    assert Call.objects.count() == 1


def test_with_nobody_answering_it_climbs_to_the_last_step_and_rings_on(
    flagged, nurse, second_nurse, director, therapist
):
    """End to end: from the answer on the phone to the medical director, and again after that."""
    raised = Call.objects.get().raised_at
    on_call, second = (make_user(Role.NURSE, username=name) for name in ("first", "second"))
    with clock.at(raised):
        for user, line in ((on_call, 1), (second, 2)):
            notices.add_shift(
                nurse, user=user, line=line, starts_at=raised, ends_at=raised + timedelta(hours=8)
            )
    steps = library().calls.steps("red")
    reached_by: dict[str, set[str]] = {}
    minute = 0
    last = max(step.after_min for step in steps)
    while minute <= last + 1:
        with clock.at(raised + timedelta(minutes=minute)):
            runner.run_once()
        minute += 1
    for each in Reached.objects.select_related("user"):
        reached_by.setdefault(each.step, set()).add(each.user.username)
    assert reached_by["CALL-RED-1"] == {"prescriber"}, "first on call came onto the rota later"
    assert reached_by["CALL-RED-2"] == {"second"}
    assert {"nurse", "nurse2", "first"} <= reached_by["CALL-RED-3"]
    assert reached_by["CALL-RED-4"] == {"director"}
    call = Call.objects.get()
    assert call.step == len(steps)
    assert call.is_open
    again = library().calls.again_min("red")
    with clock.at(raised + timedelta(minutes=last + 2 * again + 1)):
        runner.run_once()
    call.refresh_from_db()
    assert call.rung >= 1, "it rings on"
    assert SafetyReview.objects.filter(closed_at=None).exists()
    with pytest.raises(Refused, match="safety review is open"):
        services.require_no_open_safety_review(flagged.course)


def test_recording_the_review_closes_the_call(flagged, nurse):
    (review,) = SafetyReview.objects.all()
    services.close_safety_review(nurse, review, outcome="safe", note="Spoke.")
    call = Call.objects.get()
    assert call.closed_by == nurse
    assert call.closing_words == "Safe to go on with the course: Spoke."
    said = Event.objects.filter(stream=call.stream).order_by("seq")
    kinds = list(said.values_list("kind", flat=True))
    assert kinds[-2:] == ["notices.call_answered", "notices.call_closed"]


def test_the_call_cannot_be_closed_while_the_review_is_open(client, flagged, nurse):
    call = notices.answer_call(nurse, Call.objects.get())
    with pytest.raises(Refused, match="Record the safety review"):
        notices.close_call(nurse, call, words="Nobody picked up the telephone.")
    call.refresh_from_db()
    assert call.is_open


def test_a_call_that_was_answered_and_left_comes_back(flagged, nurse):
    call = notices.answer_call(nurse, Call.objects.get())
    left = library().calls.left_open_min("red")
    with clock.at(call.answered_at + timedelta(minutes=left + 1)):
        runner.run_once()
    call.refresh_from_db()
    assert call.answered_at is None
    assert call.round == 2


def test_who_asked_in_person_has_the_call(course, nurse):
    services.record_response(
        nurse, course, instrument="phq9", answers={**PHQ9, "q9": 1}, occasion="intake"
    )
    call = Call.objects.get()
    assert call.answered_by == nurse
    assert call.is_open


def test_a_positive_c_ssrs_calls_as_well(course, coordinator, nurse):
    answers = {item.id: 0 for item in library().instruments["cssrs-screener"].items}
    first = next(iter(answers))
    services.record_response(
        nurse,
        course,
        instrument="cssrs-screener",
        answers={**answers, first: 1},
        occasion="intake",
    )
    assert Call.objects.filter(priority="red").exists()


def test_a_medical_alarm_calls_less_loudly(discharged):  # noqa: F811
    services.record_response(
        "Maria (by link)",
        discharged.course,
        instrument="side-effects",
        answers={"urine": 3},
        occasion="weekly",
        source=Source.PATIENT,
        finished=False,
    )
    assert Call.objects.get().priority == "amber"


def test_urgent_care_leaves_a_review_open_and_calls_nobody_else(flagged, nurse):
    services.close_safety_review(
        nurse, SafetyReview.objects.get(), outcome="urgent", note="The ambulance is with her."
    )
    assert SafetyReview.objects.filter(closed_at=None).count() == 1
    assert not Call.objects.filter(closed_at=None).exists()
