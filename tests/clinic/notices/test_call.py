"""A call reaches one person after the other until somebody answers, and is closed with words."""

import pytest

from openketamine.clinic.errors import Refused
from openketamine.clinic.notices import queries, runner, services
from openketamine.clinic.notices.models import Call, Notice
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event

from .conftest import START, minutes, raised

pytestmark = pytest.mark.django_db


def run_at(minute: float) -> runner.Round:
    with clock.at(minutes(minute)):
        return runner.run_once()


def names(call: Call) -> list[str]:
    return [each.user.username for each in call.reached.select_related("user")]


def test_it_works(rota, texts, nurse):
    with clock.at(START):
        call = raised()
        runner.run_once()
    assert names(call) == ["nurse"]
    assert [to for to, _, _ in texts.sent] == ["+15550101"]


def test_each_is_called_in_the_language_that_they_chose(rota, texts, nurse, prescriber):
    nurse.language = "es"
    nurse.save(update_fields=["language"])
    with clock.at(START):
        call = raised(responsible=prescriber)
        runner.run_once()
    assert names(call) == ["nurse", "prescriber"]
    said = {to: body for to, body, _ in texts.sent}
    assert said["+15550101"].startswith("OpenKetamine: un aviso espera su respuesta.")
    assert said["+15550102"].startswith("OpenKetamine: a call waits for your answer.")


def test_nobody_answers_until_the_last_step_and_then_it_rings_again(
    rota, texts, nurse, second_nurse, prescriber, director
):
    with clock.at(START):
        call = raised(responsible=None)
    for minute in range(10):
        run_at(minute)
    assert names(call) == ["nurse", "prescriber", "nurse2"]
    run_at(10)
    assert names(call) == ["nurse", "prescriber", "nurse2", "director"]
    before = len(texts.sent)
    run_at(14)
    assert len(texts.sent) == before
    run_at(15)  # all of them again, every five minutes
    assert {to for to, _, _ in texts.sent[before:]} == {"+15550101", "+15550102", "+15550103"}
    run_at(20)
    assert len(texts.sent) == before + 6
    call.refresh_from_db()
    assert call.is_open
    assert call.answered_at is None
    rules = [
        event.data["rule"]
        for event in Event.objects.filter(stream=call.stream, kind="notices.call_reached")
    ]
    assert rules == ["CALL-RED-1", "CALL-RED-2", "CALL-RED-3", "CALL-RED-4", "again", "again"]


def test_a_step_that_reaches_nobody_is_not_waited_for(nurse, director, texts):
    with clock.at(START):
        call = raised()  # no rota and no responsible clinician: the third step is taken at once
    assert names(call) == ["nurse"]


def test_the_responsible_clinician_is_reached_at_once(rota, second_nurse):
    with clock.at(START):
        call = raised(responsible=second_nurse)
    assert names(call) == ["nurse", "nurse2"]


def test_an_answer_ends_the_ringing_and_takes_back_what_has_not_gone_out(rota, nurse, texts):
    with clock.at(START):
        call = raised()
        services.answer_call(nurse, call)
    for minute in range(29):
        run_at(minute)
    assert names(call) == ["nurse"]
    assert texts.sent == []
    assert set(call.notices.values_list("state", flat=True)) == {Notice.State.WITHDRAWN}


def test_a_call_that_is_answered_and_left_is_unanswered_again(rota, nurse, texts):
    with clock.at(START):
        call = raised()
        services.answer_call(nurse, call)
    run_at(30)
    call.refresh_from_db()
    assert call.answered_at is None
    assert call.round == 2
    assert texts.sent[-1][1].startswith("OpenKetamine: a call is still unanswered")
    run_at(33)
    assert "prescriber" in names(call)


def test_it_is_closed_with_words_by_somebody_who_has_answered(rota, nurse, coordinator):
    with clock.at(START):
        call = raised()
        with pytest.raises(Refused, match="Answer the call first"):
            services.close_call(nurse, call, words="She is well, her phone was off.")
        with pytest.raises(Refused, match="answers calls"):
            services.answer_call(coordinator, call)
        services.answer_call(nurse, call)
        with pytest.raises(Refused, match="answered this call already"):
            services.answer_call(nurse, call)
        with pytest.raises(Refused, match="in a sentence"):
            services.close_call(nurse, call, words="ok")
        services.close_call(nurse, call, words="She is well, her phone was off.")
        with pytest.raises(Refused, match="closed this call already"):
            services.close_call(nurse, call, words="She is well, her phone was off.")
    for minute in (5, 31, 300):
        run_at(minute)
    call.refresh_from_db()
    assert not call.is_open
    assert call.closed_by == nurse
    assert [e.kind for e in Event.objects.filter(stream=call.stream)] == [
        "notices.call_raised",
        "notices.message_planned",
        "notices.message_planned",
        "notices.call_reached",
        "notices.call_answered",
        "notices.call_closed",
    ]


def test_the_same_cause_calls_once(rota):
    with clock.at(START):
        assert raised() == raised()
        assert Call.objects.count() == 1


def test_a_runner_that_was_down_takes_every_step_that_it_missed(rota, director):
    with clock.at(START):
        call = raised()
    run_at(60)
    assert "director" in names(call)
    assert run_at(61).idle


def test_the_loudest_call_stands_first(rota, nurse):
    with clock.at(START):
        amber = raised("a", "amber")
    with clock.at(minutes(1)):
        answered = raised("b")
        services.answer_call(nurse, answered)
        red = raised("c")
    assert queries.open_calls() == [red, amber, answered]


def test_a_call_that_reached_nobody_stands_on_every_clinicians_screen(therapist, coordinator):
    with clock.at(START):
        call = raised()
    assert names(call) == []
    assert queries.calls_reaching(therapist) == [call]
    assert queries.calls_reaching(coordinator) == []


@pytest.mark.django_db(transaction=True)
def test_a_call_outside_of_its_causes_transaction_is_a_mistake():
    with pytest.raises(RuntimeError, match="transaction of its cause"):
        services.raise_call("a test", key="x", priority="red", headline="x")
