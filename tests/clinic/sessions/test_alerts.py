"""Alerts of a session: answered by name, opened anew, escalated, loud when the feed is silent."""

import uuid
from datetime import timedelta

import pytest

from openketamine.clinic.errors import Refused
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event, Source
from openketamine.clinic.sessions import alerts, queries, services


@pytest.fixture
def start(running):
    return queries.timeline_of(running).started_at


def read(session, at, *, source=Source.HAND, actor="monitor bed 1", **values):
    with clock.at(at):
        return services.record_vitals(actor, session, source=source, **values)


def standing(session, at):
    return queries.alerts_of(session, queries.timeline_of(session), at)


def minutes(number):
    return timedelta(minutes=number)


def test_it_works(running, nurse, start):
    read(running, start + minutes(5), systolic_mmhg=165)
    (alert,) = standing(running, start + minutes(6))
    assert (alert.rule_id, alert.priority, alert.detail) == ("IV-SYS-A", "amber", "165 mmHg")


def test_a_monitor_reading_alone_asks_for_a_second_before_it_alarms(running, start):
    read(running, start + minutes(1), systolic_mmhg=130, source=Source.MONITOR)
    read(running, start + minutes(2), systolic_mmhg=186, source=Source.MONITOR)
    now = start + minutes(3)
    assert standing(running, now) == []
    (alone,) = alerts.to_confirm(
        queries.timeline_of(running), queries.protocol_of(running), library().alarms, now
    )
    assert alone.detail == "186 mmHg"
    read(running, now, systolic_mmhg=184, source=Source.MONITOR)
    assert [a.priority for a in standing(running, now)] == ["red"]


def test_an_answer_to_amber_does_not_answer_red(running, nurse, start):
    read(running, start + minutes(5), systolic_mmhg=165)
    with clock.at(start + minutes(6)):
        services.acknowledge_alert(nurse, running, rule_id="IV-SYS-A", reason="told")
    read(running, start + minutes(8), systolic_mmhg=185)
    (alert,) = standing(running, start + minutes(8))
    assert (alert.priority, alert.acknowledged) == ("red", None)
    with clock.at(start + minutes(9)):
        services.acknowledge_alert(nurse, running, rule_id="IV-SYS-R", reason="paused, called")
    read(running, start + minutes(12), systolic_mmhg=168)
    (alert,) = standing(running, start + minutes(12))
    assert (alert.priority, alert.acknowledged.data["reason"]) == ("amber", "told")


def test_an_answer_to_red_answers_for_the_amber_beneath_it(running, nurse, start):
    read(running, start + minutes(5), systolic_mmhg=185)
    with clock.at(start + minutes(6)):
        services.acknowledge_alert(nurse, running, rule_id="IV-SYS-R", reason="paused, called")
    read(running, start + minutes(12), systolic_mmhg=168)
    (alert,) = standing(running, start + minutes(12))
    assert (alert.priority, alert.acknowledged.data["reason"]) == ("amber", "paused, called")


def test_a_reading_entered_late_is_not_answered_by_an_earlier_acknowledgement(
    running, nurse, start
):
    """The nurse who answered could not have known of it."""
    read(running, start + minutes(5), systolic_mmhg=165)
    with clock.at(start + minutes(6)):
        services.acknowledge_alert(nurse, running, rule_id="IV-SYS-A", reason="told")
    read(running, start + minutes(7), systolic_mmhg=140)
    with clock.at(start + minutes(8)):
        services.record_vitals(
            nurse, running, systolic_mmhg=188, at=start + minutes(5) + timedelta(seconds=30)
        )
    reds = [a for a in standing(running, start + minutes(8)) if a.priority == "red"]
    assert [a.acknowledged for a in reds] == [None]


def test_a_red_alert_that_passed_by_itself_stays_without_sound_until_answered(
    running, nurse, start
):
    read(running, start + minutes(5), spo2_percent=86)
    read(running, start + minutes(6), spo2_percent=97)
    (alert,) = standing(running, start + minutes(7))
    assert (alert.priority, alert.sounds, alert.over_at) == ("red", False, start + minutes(6))
    assert not alert.reaches
    with clock.at(start + minutes(8)):
        services.acknowledge_alert(nurse, running, rule_id="IV-O2-R", reason="probe had slipped")
    assert standing(running, start + minutes(8)) == []


def test_unanswered_alerts_climb_and_an_answer_stops_them(running, nurse, start):
    read(running, start + minutes(5), systolic_mmhg=165)

    def reaches(at):
        (alert,) = standing(running, start + at)
        return alert.reaches

    assert reaches(minutes(9)) == set()
    assert reaches(minutes(10)) == {"prescriber"}
    with clock.at(start + minutes(11)):
        services.acknowledge_alert(nurse, running, rule_id="IV-SYS-A", reason="prescriber told")
    assert reaches(minutes(12)) == set()
    (told,) = alerts.history(
        queries.timeline_of(running),
        queries.protocol_of(running),
        library().alarms,
        start + minutes(14),
    )
    assert [(at, step.id) for at, step in told.steps] == [(start + minutes(10), "AL-AMBER-1")]


def test_a_lost_feed_is_as_loud_as_a_bad_reading(running, nurse, start):
    for second in range(60, 360, 60):
        at = start + timedelta(seconds=second)
        read(running, at, heart_rate_bpm=72, spo2_percent=98, source=Source.MONITOR)
    silent = start + minutes(5)
    assert standing(running, silent + minutes(3)) == []
    (alert,) = standing(running, silent + minutes(3.1))
    assert (alert.rule_id, alert.priority, alert.sounds) == ("feed-lost", "red", True)
    assert "therapist" in alert.reaches
    with clock.at(silent + minutes(4)):
        services.acknowledge_alert(nurse, running, rule_id="feed-lost", reason="cable; by hand")
    (alert,) = standing(running, silent + minutes(5))
    assert not alert.sounds
    read(running, silent + minutes(6), heart_rate_bpm=72, source=Source.MONITOR)
    assert standing(running, silent + minutes(6)) == []
    # Lost again, it is an alert again.
    (alert,) = [a for a in standing(running, silent + minutes(9.5)) if a.rule_id == "feed-lost"]
    assert alert.sounds


def test_a_session_without_a_monitor_has_no_feed_to_lose(running, start):
    read(running, start + minutes(1), heart_rate_bpm=72, spo2_percent=98, systolic_mmhg=120)
    assert standing(running, start + minutes(10)) == []


def test_the_pressure_is_late_although_the_oximeter_sends_every_minute(running, start):
    for minute in range(1, 18):
        read(
            running,
            start + minutes(minute),
            heart_rate_bpm=72,
            spo2_percent=98,
            source=Source.MONITOR,
        )
    (alert,) = standing(running, start + minutes(17))
    assert (alert.rule_id, alert.statement) == ("late", "Systolic late")


def test_a_late_observation_that_was_answered_and_not_taken_asks_again(running, nurse, start):
    with clock.at(start + minutes(16)):
        services.acknowledge_alert(nurse, running, rule_id="late", reason="patient in the bathroom")
    (alert,) = standing(running, start + minutes(25))
    assert not alert.sounds
    (alert,) = standing(running, start + minutes(27))
    assert alert.sounds
    read(running, start + minutes(28), systolic_mmhg=120, heart_rate_bpm=70, spo2_percent=98)
    assert standing(running, start + minutes(28)) == []


def test_one_tap_calls_an_emergency_on_every_screen_until_somebody_ends_it(
    running, nurse, therapist, start, unchanged
):
    with unchanged, pytest.raises(Refused, match="sign from the list"):
        services.call_emergency(nurse, running, sign="hiccups")
    with clock.at(start + minutes(3)):
        called = services.call_emergency(therapist, running, sign="chest_pain")
    (alert,) = standing(running, start + minutes(4))
    assert (alert.statement, alert.priority) == ("Emergency: chest pain", "red")
    assert alert.reaches >= {"nurse", "prescriber", "therapist"}
    with clock.at(start + minutes(5)):
        services.acknowledge_alert(nurse, running, rule_id=alert.rule_id, reason="ambulance called")
    (alert,) = standing(running, start + minutes(12))
    assert not alert.sounds
    with unchanged, pytest.raises(Refused, match="what was done"):
        services.end_emergency(nurse, running, emergency=called.seq, reason="")
    with clock.at(start + minutes(13)):
        services.end_emergency(nurse, running, emergency=called.seq, reason="ECG normal, reflux")
    assert standing(running, start + minutes(13)) == []
    with unchanged, pytest.raises(Refused, match="over already"):
        services.end_emergency(nurse, running, emergency=called.seq, reason="again")


def test_panic_is_red_until_somebody_has_answered_it(running, nurse, start):
    with clock.at(start + minutes(3)):
        services.record_side_effect(nurse, running, effect="panic", severity="severe")
    (alert,) = standing(running, start + minutes(4))
    assert (alert.rule_id, alert.priority) == ("AL-PANIC", "red")
    with clock.at(start + minutes(5)):
        services.acknowledge_alert(nurse, running, rule_id="AL-PANIC", reason="stopped; with her")
    assert standing(running, start + minutes(6)) == []
    with clock.at(start + minutes(7)):
        services.record_side_effect(nurse, running, effect="panic", severity="severe")
    assert [a.sounds for a in standing(running, start + minutes(7))] == [True]


def test_nobody_goes_home_past_an_unanswered_alert(running, nurse, start, only_the_attempt):
    from ..conftest import HOME

    with clock.at(start + minutes(5)):
        services.end_infusion(nurse, running, reason="panic")
        services.record_side_effect(nurse, running, effect="panic", severity="severe")
    calm = {"systolic_mmhg": 128, "diastolic_mmhg": 79, "heart_rate_bpm": 72, "spo2_percent": 98}
    for minute in range(15, 75, 12):
        read(running, start + minutes(minute), **calm)
    with clock.at(start + minutes(70)):
        with only_the_attempt, pytest.raises(Refused, match=r"an alert is unanswered \(Panic"):
            services.discharge(nurse, running, answers=HOME, escort_name="Ines")
        services.acknowledge_alert(nurse, running, rule_id="AL-PANIC", reason="settled with voice")
        services.discharge(nurse, running, answers=HOME, escort_name="Ines")
    assert standing(running, start + minutes(300)) == []


def test_a_device_is_silenced_by_name_with_a_reason_for_a_while(running, nurse, unchanged):
    device, keys = uuid.uuid4(), ["IV-SYS-R.12"]
    with unchanged:
        with pytest.raises(Refused, match="why the sound"):
            services.silence_sound(nurse, device=device, minutes=2, reason=" ", alarms=keys)
        with pytest.raises(Refused, match="at most 5 minutes"):
            services.silence_sound(nurse, device=device, minutes=60, reason="x", alarms=keys)
        with pytest.raises(Refused, match="No alarm sounds"):
            services.silence_sound(nurse, device=device, minutes=2, reason="x", alarms=[])
    services.silence_sound(
        nurse, device=device, minutes=2, reason="talking to the patient", alarms=keys
    )
    event = Event.objects.get(kind="sessions.sound_silenced")
    assert event.actor == nurse
    assert event.data["reason"] == "talking to the patient"
