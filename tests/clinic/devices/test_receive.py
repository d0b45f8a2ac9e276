"""Where what a device sends goes: to its patient, or to those that are held. Never a guess."""

from dataclasses import replace
from datetime import timedelta

import pytest

from openketamine.clinic.devices import services
from openketamine.clinic.devices.delivery import State
from openketamine.clinic.devices.models import Device, HeldReading, Why
from openketamine.clinic.errors import Refused
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event, Source
from openketamine.clinic.sessions import queries
from openketamine.clinic.sessions import services as sessions

from .conftest import Monitor, value


def readings(session):
    """What monitors have put into a session, by its events."""
    events = Event.objects.filter(
        stream=session.stream, kind="session.vitals_recorded", source=Source.MONITOR
    )
    return list(events.order_by("seq"))


def held():
    return list(HeldReading.objects.filter(settled_at=None).order_by("pk"))


def test_it_works(at_chair, running):
    receipt = at_chair.reads(heart_rate_bpm=72, spo2_percent=98)
    assert (receipt.stored, receipt.held) == (1, [])
    (event,) = readings(running)
    assert event.data["heart_rate_bpm"] == 72.0
    assert event.data["from"] == {"heart_rate_bpm": "Heart rate (ECG)", "spo2_percent": "SpO2"}
    assert event.actor_name == "MONITOR (00AA)"
    assert record.verify().intact


def test_a_reading_for_an_unassigned_monitor_is_held_and_not_guessed(monitor, running):
    receipt = monitor.reads(heart_rate_bpm=72)
    assert receipt.held == [(Why.UNASSIGNED, "The device is not assigned to a chair.")]
    assert readings(running) == []
    (waiting,) = held()
    assert waiting.values == {"heart_rate_bpm": 72.0}


def test_a_device_that_names_its_chair_needs_no_assignment(monitor, running):
    receipt = monitor.reads(heart_rate_bpm=72, more={"location": "WARD^2^chair  1"})
    assert receipt.stored == 1


def test_a_device_that_names_the_patient_alone_is_believed(monitor, running):
    mrn = running.person.mrn
    assert monitor.reads(heart_rate_bpm=72, more={"patient_ids": (mrn,)}).stored == 1


def test_a_device_that_names_nobody_here_is_at_no_chair(monitor, running):
    receipt = monitor.reads(heart_rate_bpm=72, more={"patient_ids": ("9999",)})
    assert receipt.held[0][0] == Why.UNASSIGNED


@pytest.mark.parametrize("number", ["9999", "other"])
def test_a_device_that_names_another_patient_than_its_chair_holds_is_held(
    at_chair, running, in_another_chair, number
):
    number = in_another_chair.person.mrn if number == "other" else number
    receipt = at_chair.reads(heart_rate_bpm=72, more={"patient_ids": (number,)})
    assert receipt.held[0][0] == Why.CONFLICT
    assert number in receipt.held[0][1]
    assert readings(running) == readings(in_another_chair) == []


def test_a_device_that_names_another_chair_than_it_is_assigned_to_is_held(
    at_chair, running, in_another_chair
):
    more = {"location": in_another_chair.chair.name}
    assert at_chair.reads(heart_rate_bpm=72, more=more).held[0][0] == Why.CONFLICT
    assert readings(running) == readings(in_another_chair) == []


def test_a_nurse_who_knows_whom_the_number_means_says_so_for_this_session_only(
    at_chair, running, nurse
):
    more = {"patient_ids": ("9999",)}
    assert at_chair.reads(heart_rate_bpm=72, more=more).held
    services.confirm_patient(nurse, at_chair.device, running)
    assert at_chair.reads(heart_rate_bpm=73, more=more).stored == 1
    assert at_chair.reads(heart_rate_bpm=74, more={"patient_ids": ("8888",)}).held


def test_a_number_of_somebody_else_here_cannot_be_confirmed(
    at_chair, running, in_another_chair, nurse
):
    at_chair.reads(heart_rate_bpm=72, more={"patient_ids": (in_another_chair.person.mrn,)})
    with pytest.raises(Refused, match="sits in"):
        services.confirm_patient(nurse, at_chair.device, running)


def test_a_chair_in_which_nobody_sits_holds_its_readings(at_chair, running, nurse):
    running.__class__.objects.filter(pk=running.pk).update(
        phase="discharged", closed_at=clock.now()
    )
    assert at_chair.reads(heart_rate_bpm=72).held[0][0] == Why.EMPTY


def test_a_cuff_value_older_than_the_message_stands_at_its_own_time_and_once(in_chair, nurse):
    session, monitor = in_chair(1), Monitor()
    monitor.send()
    services.assign(nurse, monitor.device, session.chair)
    monitor.device.assignments.update(from_at=session.opened_at)
    cuff_at = clock.now() - timedelta(minutes=3)
    cuff = [value("systolic_mmhg", 147, cuff_at), value("diastolic_mmhg", 90, cuff_at)]
    for spo2 in (98, 97, 99):
        monitor.send(value("spo2_percent", spo2, clock.now()), *cuff)
    stored = readings(session)
    assert [event.data.get("systolic_mmhg") for event in stored].count(147.0) == 1
    assert [e.occurred_at for e in stored if "systolic_mmhg" in e.data] == [cuff_at]
    assert len(stored) == 4
    assert monitor.device.repeats == 2


def test_a_value_from_before_the_session_may_be_somebody_elses_and_is_held_once(at_chair, running):
    old = value("systolic_mmhg", 147, running.opened_at - timedelta(minutes=4))
    for _ in range(3):
        at_chair.send(old, value("spo2_percent", 98, clock.now()))
    assert [(h.why, h.values) for h in held()] == [(Why.EARLIER, {"systolic_mmhg": 147.0})]


def test_the_same_message_sent_again_is_stored_once(at_chair, running):
    message = at_chair.message(value("spo2_percent", 98, clock.now()))
    first, again = services.receive([message])[0], services.receive([message])[0]
    assert (first.stored, first.repeated) == (1, 0)
    assert (again.stored, again.repeated) == (0, 1)
    assert len(readings(running)) == 1


def test_a_message_without_any_time_is_known_by_itself(at_chair, running):
    message = at_chair.message(value("spo2_percent", 98, None), sent_at=None)
    other = at_chair.message(value("spo2_percent", 98, None), sent_at=None)
    for delivery in (message, message, other):
        services.receive([delivery])
    assert len(readings(running)) == 2


def test_the_same_message_twice_in_one_batch_is_stored_once(at_chair, running):
    message = at_chair.message(value("spo2_percent", 98, clock.now()))
    services.receive([message, message])
    assert len(readings(running)) == 1


def test_of_several_sources_the_best_counts_and_the_others_are_kept(at_chair, running):
    now = clock.now()
    at_chair.send(
        value("heart_rate_bpm", 90, now, rank=2, code="149530", label="Pulse (oximeter)"),
        value("heart_rate_bpm", 72, now, rank=1),
        value("heart_rate_bpm", 75, now, rank=1),
    )
    (event,) = readings(running)
    assert event.data["heart_rate_bpm"] == 72.0
    assert [row[2] for row in event.data["other"]] == ["90", "75"]


def test_values_of_one_code_at_two_times_are_two_readings(at_chair, running):
    now = clock.now()
    running.__class__.objects.filter(pk=running.pk).update(opened_at=now - timedelta(minutes=5))
    at_chair.device.assignments.update(from_at=now - timedelta(minutes=5))
    at_chair.send(
        value("spo2_percent", 97, now - timedelta(seconds=20)), value("spo2_percent", 98, now)
    )
    assert [e.data["spo2_percent"] for e in readings(running)] == [97.0, 98.0]


def test_a_sensor_that_is_off_is_no_reading_and_is_shown(at_chair, running):
    off = value("spo2_percent", 0, clock.now(), state=State.OFF, value=None, raw="-999")
    receipt = at_chair.send(off)
    assert (receipt.stored, receipt.held, readings(running)) == (0, [], [])
    assert at_chair.device.latest["SpO2"] == ["-999", "", "off"]


def test_a_code_that_nobody_knows_is_kept_and_the_list_has_an_end(at_chair, running):
    now = clock.now()
    for number in range(services.UNKNOWN_KEPT + 5):
        unknown = replace(
            value("spo2_percent", 1, now, code=str(number)),
            state=State.UNKNOWN,
            quantity="",
            value=None,
        )
        at_chair.send(unknown, value("heart_rate_bpm", 72, clock.now()))
    unknown = at_chair.device.unknown
    assert len(unknown) == services.UNKNOWN_KEPT
    assert str(services.UNKNOWN_KEPT + 4) in unknown
    assert readings(running)[0].data["heart_rate_bpm"] == 72.0


def test_a_value_that_the_device_takes_back_waits_for_somebody(at_chair, running):
    at = clock.now()
    at_chair.send(value("spo2_percent", 88, at))
    at_chair.send(value("spo2_percent", 88, at, state=State.WITHDRAWN))
    assert len(readings(running)) == 1
    assert [h.why for h in held()] == [Why.WITHDRAWN]


def test_a_unit_that_was_assumed_stands_in_the_record(at_chair, running):
    at_chair.send(value("spo2_percent", 98, clock.now(), assumed_unit="%"))
    assert readings(running)[0].data["unit_assumed"] == {"spo2_percent": "%"}


def test_a_doubt_of_the_device_marks_the_value(at_chair, running):
    at_chair.send(value("spo2_percent", 85, clock.now(), doubt="the monitor calls it questionable"))
    mark = queries.timeline_of(running).vitals[-1].artefacts["spo2_percent"]
    assert (mark.kind, mark.value) == ("questionable", 85.0)


def test_a_clock_that_is_a_little_off_is_corrected(in_chair, nurse):
    session, monitor = in_chair(1), Monitor(fast_s=70)
    monitor.send()
    services.assign(nurse, monitor.device, session.chair)
    monitor.reads(spo2_percent=98)
    (event,) = readings(session)
    assert abs(event.occurred_at - clock.now()) < timedelta(seconds=3)
    assert monitor.device.skew_s == pytest.approx(70, abs=1)


def test_a_clock_that_is_far_off_holds_its_readings_until_it_is_known(in_chair, nurse):
    session, monitor = in_chair(1), Monitor(fast_s=-5 * 3600)
    monitor.send(ago_s=40)
    services.assign(nurse, monitor.device, session.chair)
    monitor.device.assignments.update(from_at=session.opened_at)
    assert monitor.reads(spo2_percent=98, ago_s=30).held[0][0] == Why.CLOCK
    assert monitor.reads(spo2_percent=97, ago_s=15).stored == 1  # three in 25 seconds agree
    (event,) = readings(session)
    assert abs(event.occurred_at - clock.now()) < timedelta(seconds=20)


def test_a_message_that_was_delayed_keeps_its_own_time(in_chair, nurse):
    session, monitor = in_chair(1), Monitor()
    monitor.send(ago_s=300)
    services.assign(nurse, monitor.device, session.chair)
    monitor.device.assignments.update(from_at=session.opened_at)
    monitor.reads(spo2_percent=98, delayed_s=240)
    (event,) = readings(session)
    assert clock.now() - event.occurred_at == pytest.approx(
        timedelta(seconds=240), abs=timedelta(seconds=3)
    )
    assert monitor.device.skew_s == pytest.approx(0, abs=1)


def test_a_reading_from_the_future_is_held(at_chair):
    receipt = at_chair.send(value("spo2_percent", 98, clock.now() + timedelta(minutes=4)))
    assert receipt.held[0][0] == Why.CLOCK
    assert "ahead" in receipt.held[0][1]


def test_many_messages_cost_the_same_queries(at_chair, running, django_assert_num_queries):
    def messages(number):
        now = clock.now()
        return [
            at_chair.message(value("spo2_percent", 98, now + timedelta(milliseconds=n)))
            for n in range(number)
        ]

    for number in (1, 30):
        batch = messages(number)
        with django_assert_num_queries(22):
            services.receive(batch)
    assert len(readings(running)) == 31


def test_what_is_held_of_a_device_has_an_end_and_what_is_let_go_is_counted(monitor, monkeypatch):
    monkeypatch.setattr(services, "HELD_AT_MOST", 10)
    monkeypatch.setattr(services, "HELD_KEPT", 5)
    for number in range(11):
        monitor.reads(spo2_percent=90 + number / 10)
    assert [h.values["spo2_percent"] for h in held()] == [90.6, 90.7, 90.8, 90.9, 91.0]
    assert Event.objects.get(kind="device.held_expired").data["readings"] == 6


def test_what_is_held_for_a_day_is_let_go(monitor):
    monitor.reads(spo2_percent=98)
    HeldReading.objects.update(received_at=clock.now() - timedelta(hours=25))
    assert services.expire_held(monitor.device.pk) == 1


def test_ever_new_devices_are_refused_at_some_point(monitor, monkeypatch):
    monkeypatch.setattr(services, "DEVICES_AT_MOST", 2)
    Monitor("one").send()
    Monitor("two").send()
    with pytest.raises(Refused, match="ever new names"):
        Monitor("three").send()
    assert Device.objects.count() == 2


def test_a_session_that_ends_while_a_reading_is_on_its_way_keeps_what_was_measured_before(
    at_chair, running, nurse
):
    sessions.end_infusion(nurse, running, reason="a test")
    assert at_chair.reads(spo2_percent=98).stored == 1
