"""What a monitor sends and no body has, or nothing confirms: kept, marked, and not counted."""

import csv
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event, Source
from openketamine.clinic.sessions import alerts, queries, services
from openketamine.clinic.sessions.artefacts import ISOLATED, UNCONFIRMED, Sieve
from openketamine.clinic.sessions.timeline import fold

from .test_timeline import START, Story

MINUTE = timedelta(minutes=1)


def story_of(values, *, every_s=20, quantity="heart_rate_bpm", source=Source.MONITOR):
    """A session in which a monitor reads one quantity at a steady pace."""
    story = Story()
    story.start()
    for number, value in enumerate(values):
        story.tell(number * every_s / 60, "vitals_recorded", source=source, **{quantity: value})
    return fold(story.facts).vitals[1:]


def kinds(readings, quantity="heart_rate_bpm"):
    return [r.artefacts[quantity].kind if quantity in r.artefacts else "" for r in readings]


def test_a_value_that_stands_alone_is_kept_and_does_not_count():
    readings = story_of([72.0, 74.0, 140.0, 73.0, 72.0])
    assert kinds(readings) == ["", "", ISOLATED, "", ""]
    assert readings[2].artefacts["heart_rate_bpm"].value == 140.0
    assert "73 /min" in readings[2].artefacts["heart_rate_bpm"].reason
    assert readings[2].values == {}


def test_a_change_that_the_next_value_confirms_counts_from_its_first_value():
    readings = story_of([72.0, 74.0, 120.0, 124.0, 122.0])
    assert kinds(readings) == ["", "", "", "", ""]
    assert readings[2].values == {"heart_rate_bpm": 120.0}


def test_a_fall_that_goes_on_falling_is_confirmed_by_its_second_value():
    readings = story_of([97.0, 97.0, 90.0, 82.0, 75.0, 70.0], quantity="spo2_percent")
    assert kinds(readings[:4], "spo2_percent") == ["", "", "", ""]
    assert kinds(readings, "spo2_percent") == [""] * 6


def test_values_that_jump_to_both_sides_confirm_nothing():
    readings = story_of([72.0, 74.0, 140.0, 30.0, 150.0, 25.0])
    assert kinds(readings) == ["", "", ISOLATED, ISOLATED, ISOLATED, UNCONFIRMED]


def test_the_latest_value_waits_for_the_next_one():
    readings = story_of([72.0, 74.0, 120.0])
    assert kinds(readings) == ["", "", UNCONFIRMED]
    assert "from 73 to 120 /min" in readings[2].artefacts["heart_rate_bpm"].reason


def test_a_cuff_that_measures_every_few_minutes_is_never_held_up():
    readings = story_of([130.0, 205.0, 132.0], every_s=300, quantity="systolic_mmhg")
    assert kinds(readings, "systolic_mmhg") == ["", "", ""]


def test_what_somebody_enters_by_hand_always_counts():
    assert kinds(story_of([72.0, 140.0, 73.0], source=Source.HAND)) == ["", "", ""]


def test_a_nurse_confirms_what_the_monitor_saw():
    story = Story()
    story.start()
    for second, value, source in (
        (0, 72.0, Source.MONITOR),
        (20, 130.0, Source.MONITOR),
        (40, 128.0, Source.HAND),
    ):
        story.tell(second / 60, "vitals_recorded", source=source, heart_rate_bpm=value)
    assert kinds(fold(story.facts).vitals[1:]) == ["", "", ""]


def test_a_reading_with_nothing_that_counts_is_not_the_latest_vital_sign():
    story = Story()
    story.start()
    for second, value in ((0, 72.0), (20, 140.0)):
        story.tell(second / 60, "vitals_recorded", source=Source.MONITOR, heart_rate_bpm=value)
    assert fold(story.facts).latest_vitals.values == {"heart_rate_bpm": 72.0}


@given(
    st.lists(st.floats(20, 250), min_size=1, max_size=40),
    st.lists(st.floats(0.5, 200), min_size=40, max_size=40),
)
def test_whatever_arrives_each_value_is_either_counted_or_marked_and_none_is_lost(values, gaps):
    sieve, now, marked = Sieve(), START, {}
    for index, (value, gap) in enumerate(zip(values, gaps, strict=False)):
        now += timedelta(seconds=gap)
        alone, revisions = sieve.take(index, now, {"heart_rate_bpm": value}, by_hand=False)
        for revision in revisions:
            assert marked[revision.index] == UNCONFIRMED
            assert revision.value == values[revision.index]
            marked[revision.index] = revision.artefact.kind if revision.artefact else ""
        marked[index] = alone["heart_rate_bpm"].kind if alone else ""
    assert list(marked) == list(range(len(values)))
    assert list(marked.values()).count(UNCONFIRMED) <= 1  # at most the last one waits
    assert set(marked.values()) <= {"", ISOLATED, UNCONFIRMED}


@pytest.mark.shared_data
def test_of_real_numerics_few_values_are_marked(shared_data):
    with (shared_data / "vitals" / "icu_numerics_60f.csv").open() as file:
        rows = list(csv.DictReader(file))
    columns = {"HR": "heart_rate_bpm", "SpO2": "spo2_percent", "RESP": "respiratory_rate_bpm"}
    for column, quantity in columns.items():
        values = [(int(r["minute"]), float(r[column])) for r in rows if float(r[column] or 0)]
        sieve, marked = Sieve(), {}
        for index, (minute, value) in enumerate(values):
            alone, revisions = sieve.take(
                index, START + minute * MINUTE, {quantity: value}, by_hand=False
            )
            marked |= {r.index: r.artefact for r in revisions}
            marked |= {index: alone[quantity]} if alone else {}
        isolated = [values[i] for i, artefact in marked.items() if artefact]
        assert len(values) > 1000
        assert len(isolated) <= 0.002 * len(values), isolated


def monitor(session, *, doubted=None, at=None, **values):
    reading = services.MonitorReading(
        actor="a monitor",
        session=session,
        at=at or clock.now(),
        values=values,
        client_id=uuid.uuid4(),
        doubted=doubted or {},
        more={},
    )
    return services.record_from_monitors([reading])[0]


@pytest.mark.parametrize(
    ("values", "doubted", "marked"),
    [
        ({"heart_rate_bpm": 11.5}, {}, {"heart_rate_bpm": "impossible"}),
        ({"spo2_percent": 127.0}, {}, {"spo2_percent": "impossible"}),
        (
            {"systolic_mmhg": 90.0, "diastolic_mmhg": 118.0},
            {},
            {"systolic_mmhg": "contradictory", "diastolic_mmhg": "contradictory"},
        ),
        ({"spo2_percent": 85.0}, {"spo2_percent": "weak"}, {"spo2_percent": "questionable"}),
    ],
)
def test_what_a_monitor_cannot_mean_is_kept_and_raises_no_alert(running, values, doubted, marked):
    event = monitor(running, doubted=doubted, **values)
    assert {name: event.data[name] for name in values} == values
    timeline = queries.timeline_of(running)
    assert {n: a.kind for n, a in timeline.vitals[-1].artefacts.items()} == marked
    assert timeline.vitals[-1].values == {}
    assert not standing(running)


def standing(session):
    """The alerts of a session as they stand now."""
    timeline = queries.timeline_of(session)
    return alerts.alerts(timeline, queries.protocol_of(session), library().alarms, clock.now())


def test_a_confirmed_fall_of_oxygen_raises_the_alert_and_a_single_one_asks_to_measure(in_chair):
    running = in_chair(1)
    now = clock.now()
    for second, spo2 in ((60, 98.0), (40, 97.0), (20, 86.0)):
        monitor(running, at=now - timedelta(seconds=second), spo2_percent=spo2)
    limits = [alert for alert in standing(running) if alert.kind == "limit"]
    assert not limits
    timeline = queries.timeline_of(running)
    (asked,) = alerts.to_confirm(timeline, queries.protocol_of(running), library().alarms, now)
    assert asked.detail == "86 %"
    monitor(running, at=now, spo2_percent=85.0)
    assert [a.priority for a in standing(running) if a.kind == "limit"] == ["red"]


def test_readings_of_many_chairs_cost_the_same_queries(in_chair, django_assert_num_queries):
    sessions = [in_chair(number) for number in (1, 2)]

    def readings(each):
        return [
            services.MonitorReading(
                "m", s, clock.now(), {"spo2_percent": 97.0}, uuid.uuid4(), {}, {}
            )
            for s in sessions
            for _ in range(each)
        ]

    services.record_from_monitors(readings(1))  # reads the clinic's protocols once
    for each in (1, 30):
        with django_assert_num_queries(10):
            stored = services.record_from_monitors(readings(each))
        assert all(isinstance(event, Event) for event in stored)
    assert record.verify().intact


def test_a_resent_reading_is_stored_once_and_one_for_an_ended_session_is_refused(running):
    reading = services.MonitorReading(
        "m", running, clock.now(), {"spo2_percent": 97.0}, uuid.uuid4(), {}, {}
    )
    first, second = services.record_from_monitors([reading, reading])
    again = services.record_from_monitors([reading])[0]
    assert first.seq == second.seq == again.seq
    type(running).objects.filter(pk=running.pk).update(phase="discharged", closed_at=clock.now())
    late = replace(reading, at=clock.now(), client_id=uuid.uuid4())
    assert "discharged" in services.record_from_monitors([late])[0].message
    before = replace(late, at=reading.at)
    assert isinstance(services.record_from_monitors([before])[0], Event)


def test_an_entry_that_cannot_contradict_the_session_is_written_without_folding_it(
    running, nurse, django_assert_num_queries
):
    """However many readings a session has, the next one costs the same."""
    for _ in range(3):
        services.record_vitals(nurse, running, heart_rate_bpm=72)
    with django_assert_num_queries(10):
        services.record_vitals(nurse, running, heart_rate_bpm=72)


def test_what_does_not_count_is_drawn_and_stands_in_the_flow_sheet_with_its_reason(
    in_chair, nurse, client
):
    session = in_chair(1)
    monitor(session, heart_rate_bpm=11.5)
    client.force_login(nurse)
    page = client.get(f"/sessions/{session.pk}/").content.decode()
    assert "not counted" in page
    assert "Heart rate 11.5 /min is not possible" in page
    drawn = client.get(f"/sessions/{session.pk}/chart/").json()
    assert [mark[1:] for mark in drawn["artefacts"]["heart_rate_bpm"]] == [[11.5, "impossible"]]
    assert 11.5 not in [point[1] for point in drawn["series"]["heart_rate_bpm"]]
