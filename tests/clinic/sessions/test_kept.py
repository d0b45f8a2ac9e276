"""A timeline kept between requests is always the one that a full fold would give."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from openketamine import protocols
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event, Source
from openketamine.clinic.sessions import alerts, services
from openketamine.clinic.sessions.kept import Kept
from openketamine.clinic.sessions.timeline import OutOfOrderError, extend, fold

from .test_timeline import START, Story

VALUES = st.sampled_from([60.0, 75.0, 78.0, 120.0, 190.0])
PLAIN = ("observed", "side_effect_noted", "medicine_given", "note_written", "alert_acknowledged")
PUMP = ("infusion_paused", "infusion_resumed", "rate_changed", "infusion_ended", "bolus_given")
SLIPS = ("retract", "retime", "restate")

happenings = st.lists(
    st.tuples(
        st.sampled_from(["vitals"] * 6 + [*PLAIN, *PUMP, *SLIPS]),
        st.floats(-3.0, 6.0),  # minutes after the one before; some come late
        VALUES,
        st.sampled_from(["monitor", "hand"]),
        st.integers(0, 30),
    ),
    max_size=25,
)


def tell(story: Story, minute: float, kind: str, value: float, source: str, number: int) -> None:
    if kind == "vitals":
        values = {"heart_rate_bpm": value, "systolic_mmhg": value + 40}
        story.tell(minute, "vitals_recorded", source=source, **values)
    elif kind in SLIPS:
        readings = [f for f in story.facts if f.kind == "session.vitals_recorded"]
        wrong = readings[number % len(readings)] if readings else story.facts[0]
        moved = (START + timedelta(minutes=minute - 2)).isoformat()
        story.tell(
            minute,
            "corrected",
            corrects=wrong.seq,
            action=kind,
            reason="slip",
            occurred_at=moved,
            data={**wrong.data, "heart_rate_bpm": value},
        )
    else:
        data = {"rate_mg_per_h": value, "dose_mg": 1.0, "reason": "test", "sedation_moaas": 4.0}
        data |= {"effect": "nausea", "severity": "mild", "label": "Nausea", "note": ""}
        data |= {"rule_id": "IV-SYS-A", "priority": "amber", "quantity": "systolic_mmhg"}
        story.tell(minute, kind, **data)


@given(happenings)
@settings(deadline=None, max_examples=200)
def test_events_added_one_by_one_give_what_a_fold_of_them_all_gives(happened):
    story = Story()
    story.start()
    kept = fold(story.facts)
    minute = 1.0
    for kind, later, value, source, number in happened:
        minute += later
        tell(story, minute, kind, value, source, number)
        try:
            whole = fold(story.facts)
        except OutOfOrderError:  # services refuse such an event before it is written
            story.facts.pop()
            continue
        before = kept.copy()
        grown = extend(kept, story.facts[-1:])
        assert kept == before
        if grown is not None:
            assert grown == whole
        kept = grown or whole


@given(st.lists(st.tuples(st.floats(0.1, 2.0), VALUES), min_size=2, max_size=20), st.data())
@settings(deadline=None)
def test_readings_of_a_monitor_are_added_without_a_new_fold(readings, data):
    story = Story()
    story.start()
    known = fold(story.facts)
    minute = 1.0
    for later, value in readings:
        minute += later
        tell(story, minute, "vitals", value, "monitor", 0)
    cut = data.draw(st.integers(1, len(readings)))
    first = extend(known, story.facts[2 : 2 + cut])
    assert extend(first, story.facts[2 + cut :]) == fold(story.facts)


def test_what_may_change_what_came_before_is_folded_anew():
    story = Story()
    story.start()
    tell(story, 5, "vitals", 75.0, "monitor", 0)
    known = fold(story.facts)
    late = Story()
    late.facts = list(story.facts)
    tell(late, 4, "vitals", 75.0, "monitor", 0)
    assert extend(known, late.facts[-1:]) is None
    tell(story, 6, "infusion_paused", 0.0, "hand", 0)
    assert extend(known, story.facts[-1:]) is None


def folded(session):
    return fold(list(Event.objects.filter(stream=session.stream).order_by("seq")))


def read(session, value):
    services.record_vitals("monitor 1", session, source=Source.MONITOR, heart_rate_bpm=value)


def test_it_costs_one_query_whatever_has_happened(running, nurse, django_assert_num_queries):
    kept = Kept()
    acts = [
        lambda: read(running, 75),
        lambda: services.pause_infusion(nurse, running, reason="nausea"),
        lambda: read(running, 76),
        lambda: None,
    ]
    for act in acts:
        act()
        with django_assert_num_queries(1):
            timeline = kept.timelines([running.stream])[running.stream]
        assert timeline == folded(running)


def test_what_was_rolled_back_is_not_remembered(running):
    kept = Kept()
    with transaction.atomic():
        read(running, 75)
        assert len(kept.timelines([running.stream])[running.stream].vitals) == 2
        transaction.set_rollback(True)
    assert kept.timelines([running.stream])[running.stream] == folded(running)
    with transaction.atomic():
        read(running, 75)
        kept.timelines([running.stream])
        transaction.set_rollback(True)
    read(running, 140)  # takes the place of the one that is gone
    timeline = kept.timelines([running.stream])[running.stream]
    assert timeline == folded(running)
    assert timeline.vitals[-1].artefacts or timeline.vitals[-1].values["heart_rate_bpm"] == 140


def test_nobody_can_change_what_others_are_given(running):
    kept = Kept()
    mine = kept.timelines([running.stream])[running.stream]
    mine.vitals.clear()
    mine.lines.clear()
    mine.segments.clear()
    mine.opened["chair"] = "mine"
    assert kept.timelines([running.stream])[running.stream] == folded(running)


def test_many_sessions_are_one_query_and_the_oldest_are_forgotten(
    in_chair, django_assert_num_queries
):
    sessions = [in_chair(number) for number in (2, 3, 4)]
    streams = [session.stream for session in sessions]
    for kept in (Kept(), Kept(facts_kept=20), Kept(facts_kept=0)):
        for _ in range(3):
            with django_assert_num_queries(1):
                timelines = kept.timelines(streams)
            assert timelines == {s.stream: folded(s) for s in sessions}
        assert kept._facts <= kept._facts_kept
        assert kept._facts == sum(len(one.facts) for one in kept._held.values())
    assert Kept().timelines([]) == {}


@pytest.mark.django_db(transaction=True)
def test_threads_that_look_at_once_see_the_same(running):
    from django.db import connection

    kept = Kept()
    read(running, 75)
    expected = folded(running)

    def look(_):
        try:
            return [kept.timelines([running.stream])[running.stream] for _ in range(5)]
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        seen = [timeline for some in pool.map(look, range(8)) for timeline in some]
    assert seen == [expected] * 40
    assert clock.now() >= expected.latest_at


LIBRARY = protocols.load()


def told(timeline, now):
    """All that asks for attention, worked out of a timeline."""
    plan, policy = LIBRARY.monitoring["IV"], LIBRARY.alarms
    return (
        alerts.alerts(timeline, plan, policy, now),
        alerts.history(timeline, plan, policy, now),
        alerts.to_confirm(timeline, plan, policy, now),
    )


@given(happenings, st.lists(st.integers(0, 25), max_size=6))
@settings(deadline=None, max_examples=200)
def test_alerts_looked_at_again_and_again_are_those_of_a_fold_of_everything(happened, looked_back):
    """What is kept of an earlier look changes nothing, nor does a look at an earlier moment."""
    story = Story()
    story.start()
    minute, grown, older = 0.0, fold(story.facts), []
    for kind, step, value, source, number in happened:
        minute = max(minute + step, 0.0)
        tell(story, minute, kind, value, source, number)
        try:
            whole = fold(story.facts)
        except OutOfOrderError:
            story.facts.pop()
            continue
        older.append(grown)
        grown = extend(grown, story.facts[-1:]) or whole
        now = START + timedelta(minutes=minute + 1)
        assert told(grown, now) == told(fold(story.facts), now)
        if number in looked_back:  # another request holds an earlier state, or asks about the past
            earlier = older[number % len(older)]
            assert told(earlier, now) == told(fold(story.facts[: earlier.last_seq]), now)
            past = START + timedelta(minutes=minute / 2)
            assert told(grown, past) == told(fold(story.facts), past)
