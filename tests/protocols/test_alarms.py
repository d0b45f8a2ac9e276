"""Alarms: rare, never lost, over only when they are over, and unanswered for nobody's long."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openketamine import protocols
from openketamine.protocols import alarms, monitoring
from openketamine.protocols.alarms import Sample

START = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)
LIBRARY = protocols.load()
PLAN, POLICY = LIBRARY.monitoring["IV"], LIBRARY.alarms


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def heard(*values: tuple[float, float], by_hand: bool = False) -> list[Sample]:
    """Samples at (seconds, value)."""
    return [Sample(at(s), v, by_hand, n) for n, (s, v) in enumerate(values, start=1)]


def told(quantity: str, samples: list[Sample], now_s: float = 3600, baseline: float | None = None):
    return alarms.episodes(POLICY, PLAN, quantity, samples, baseline, at(now_s))


def test_it_works():
    found, waiting = told("spo2_percent", heard((0, 98), (10, 88), (20, 87), (30, 87)), 31)
    assert [(e.threshold.priority, e.over_at) for e in found] == [("red", None), ("amber", None)]
    assert not waiting


def test_one_reading_of_a_monitor_alone_raises_nothing_but_asks_to_be_repeated():
    found, (waiting,) = told("systolic_mmhg", heard((0, 130), (60, 186)), 61)
    assert not found
    assert (waiting.value, waiting.threshold.priority) == (186, "red")
    assert waiting.counts_at == at(60 + 180)


def test_a_second_reading_confirms_the_first():
    found, _ = told("systolic_mmhg", heard((0, 130), (60, 186), (90, 184)), 91)
    assert {(e.raised_at, e.since, e.worst) for e in found} == {(at(90), at(60), 186)}


def test_a_second_reading_within_limits_refutes_the_first():
    found, waiting = told("systolic_mmhg", heard((0, 130), (60, 186), (90, 131)), 3600)
    assert (found, waiting) == ([], [])


def test_a_reading_that_nothing_refutes_counts_in_the_end():
    samples = heard((0, 130), (60, 186))
    assert not told("systolic_mmhg", samples, 60 + 179)[0]
    found, waiting = told("systolic_mmhg", samples, 60 + 180)
    assert [e.raised_at for e in found] == [at(240)] * 2
    assert not waiting
    # And it was raised then, whatever was read later.
    later, _ = told("systolic_mmhg", [*samples, *heard((400, 130)), *heard((500, 130))], 3600)
    assert {(e.raised_at, e.over_at) for e in later} == {(at(240), at(500))}


def test_what_a_person_has_entered_counts_at_once_both_ways():
    found, _ = told("systolic_mmhg", heard((0, 186), (60, 150), by_hand=True), 61)
    assert {(e.raised_at, e.over_at) for e in found} == {(at(0), at(60))}


def test_a_value_that_hovers_at_the_limit_is_one_alarm():
    hovering = [(60 * n, 161 if n % 2 else 158) for n in range(20)]
    assert len(told("systolic_mmhg", heard(*hovering, by_hand=True))[0]) == 1
    naive = [bool(monitoring.assess(PLAN, {"systolic_mmhg": v})) for _, v in hovering]
    assert sum(b and not a for a, b in zip([False, *naive], naive, strict=False)) == 10


def test_it_is_over_only_when_back_inside_by_the_margin():
    held = heard((0, 165), (60, 156), (120, 155), by_hand=True)
    assert told("systolic_mmhg", held)[0][0].over_at is None
    over = heard((0, 165), (60, 154), by_hand=True)
    assert told("systolic_mmhg", over)[0][0].over_at == at(60)


def test_a_red_alarm_that_eases_leaves_the_amber_one_standing():
    found, _ = told("systolic_mmhg", heard((0, 185), (60, 170), by_hand=True))
    assert {(e.threshold.priority, e.over_at) for e in found} == {("red", at(60)), ("amber", None)}


def test_a_rise_above_baseline_settles_as_the_absolute_limit_does():
    samples = heard((0, 151), (60, 148), by_hand=True)
    (episode,), _ = told("systolic_mmhg", samples, baseline=110)
    assert (episode.threshold.id, episode.over_at) == ("IV-SYS-AR", None)


def test_nothing_after_now_is_known_yet():
    assert told("systolic_mmhg", heard((600, 200), by_hand=True), 599) == ([], [])


def test_an_unanswered_alarm_reaches_more_people_as_time_passes():
    def reached(priority, minutes):
        steps = alarms.steps_reached(POLICY, priority, START, at(60 * minutes))
        return {role for _, step in steps for role in step.reaches}

    assert reached("amber", 4.9) == set()
    assert reached("amber", 5) == {"prescriber"}
    assert reached("amber", 10) == {"prescriber", "nurse"}
    assert reached("red", 0) == {"nurse", "prescriber", "therapist"}
    assert reached("red", 2) == {"nurse", "prescriber", "therapist", "coordinator", "director"}


@pytest.mark.parametrize(
    ("effect", "severity", "times", "state", "rule"),
    [
        ("panic", "mild", 1, {}, "AL-PANIC"),
        ("vomiting", "mild", 1, {}, None),
        ("vomiting", "mild", 2, {}, "AL-VOMIT"),
        ("vomiting", "mild", 1, {"sedation_moaas": 4}, "AL-VOMIT-SED"),
        ("vomiting", "mild", 1, {"sedation_moaas": 5}, None),
        ("headache", "severe", 1, {}, "AL-SEVERE"),
        ("panic", "severe", 1, {}, "AL-PANIC"),
        ("headache", "mild", 1, {}, None),
    ],
)
def test_signs_that_a_person_sees_are_alarms(effect, severity, times, state, rule):
    assert (
        alarms.signs_told(POLICY, effect=effect, severity=severity, times=times, state=state)
        == rule
    )


def test_a_policy_that_would_leave_an_alarm_with_nobody_is_refused():
    data = POLICY.model_dump()
    for priority in ("red", "amber"):
        steps = [s for s in data["escalation"] if s["priority"] != priority]
        with pytest.raises(ValueError, match="must reach somebody"):
            protocols.schema.AlarmsFile.model_validate({**data, "escalation": steps})


values = st.lists(
    st.tuples(st.floats(1, 400), st.floats(100, 220), st.booleans()), min_size=1, max_size=40
)


@given(values)
def test_an_alarm_is_never_lost_and_never_told_twice_at_once(moves):
    """Whatever comes: what lasts is raised, episodes of one priority do not overlap."""
    seconds, samples = 0.0, []
    for n, (wait, value, by_hand) in enumerate(moves):
        seconds += wait
        samples.append(Sample(at(seconds), value, by_hand, n))
    now_s = seconds + 181
    found, waiting = told("systolic_mmhg", samples, now_s)
    assert not waiting  # by now everything has been decided
    for priority in ("amber", "red"):
        of_one = [e for e in found if e.threshold.priority == priority]
        ends = [e.over_at or at(now_s) for e in of_one]
        assert all(e.since <= e.raised_at <= end for e, end in zip(of_one, ends, strict=True))
        assert all(end <= e.since for e, end in zip(of_one[1:], ends, strict=False))
    limit = next(t.at_least for t in PLAN.thresholds if t.id == "IV-SYS-R")
    last = samples[-1]
    assert not (last.value >= limit) or any(
        e.over_at is None and e.threshold.priority == "red" for e in found
    )
    for sample in samples:
        if sample.by_hand and sample.value >= limit:
            assert any(
                e.threshold.priority == "red"
                and e.raised_at <= sample.at
                and (e.over_at is None or e.over_at > sample.at)
                for e in found
            )


@given(values)
def test_the_past_does_not_change_as_time_goes_on(moves):
    """What had been raised by a moment is still told, as raised then, at any later one."""
    seconds, samples = 0.0, []
    for n, (wait, value, by_hand) in enumerate(moves):
        seconds += wait
        samples.append(Sample(at(seconds), value, by_hand, n))
    half = samples[len(samples) // 2].at
    early, _ = alarms.episodes(POLICY, PLAN, "systolic_mmhg", samples, None, half)
    late, _ = told("systolic_mmhg", samples, seconds + 500)
    seen = {(e.threshold.id, e.raised_at) for e in late}
    assert {(e.threshold.id, e.raised_at) for e in early} <= seen


@pytest.mark.shared_data
def test_real_numerics_alarm_far_less_often_and_lose_no_lasting_danger(shared_data: Path):
    """1,936 minutes of a real monitor, dropouts and artefacts left in."""
    rarity = alarm_rarity(shared_data / "vitals" / "icu_numerics_60f.csv")
    assert rarity["minutes"] == 1936
    assert rarity["settled"] * 2 < rarity["at once"]
    assert rarity["lasting and missed"] == 0


def alarm_rarity(file: Path) -> dict[str, int]:
    """Alarms of a patient's numerics, with and without settling.

    Zeros and empty cells are the monitor's dropouts and no readings, as in the feed.
    """
    columns = {
        "HR": "heart_rate_bpm",
        "ABPSys": "systolic_mmhg",
        "ABPDias": "diastolic_mmhg",
        "SpO2": "spo2_percent",
        "RESP": "respiratory_rate_bpm",
    }
    with file.open() as rows:
        table = list(csv.DictReader(rows))
    end = START + timedelta(minutes=len(table))
    count = {"minutes": len(table), "at once": 0, "settled": 0, "lasting and missed": 0}
    for column, quantity in columns.items():
        samples = [
            Sample(START + timedelta(minutes=float(row["minute"])), float(row[column]), False, n)
            for n, row in enumerate(table)
            if row[column]
            and float(row[column]) != 0
            and monitoring.impossible(PLAN, quantity, float(row[column])) is None
        ]
        found, _ = alarms.episodes(POLICY, PLAN, quantity, samples, None, end)
        count["settled"] += len(found)
        for priority in ("amber", "red"):
            limits = [
                t for t in PLAN.thresholds if (t.quantity, t.priority) == (quantity, priority)
            ]
            beyond = [any(t.is_crossed(s.value, None) for t in limits) for s in samples]
            edges = zip([False, *beyond], beyond, strict=False)
            count["at once"] += sum(now and not before for before, now in edges)
            run: list[Sample] = []
            for sample, out in [*zip(samples, beyond, strict=True), (samples[-1], False)]:
                run = [*run, sample] if out else []
                if len(run) >= 2 and not any(
                    e.threshold.priority == priority
                    and e.raised_at <= sample.at
                    and (e.over_at is None or e.over_at > sample.at)
                    for e in found
                ):
                    count["lasting and missed"] += 1
    return count
