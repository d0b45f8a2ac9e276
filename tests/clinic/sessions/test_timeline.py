"""The fold: whatever the order of events, the dose given so far is right."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openketamine.clinic.sessions.models import Phase
from openketamine.clinic.sessions.timeline import OutOfOrderError, fold
from openketamine.clinic.sessions.wording import describe

START = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)
PROGRAMMED_MG = 41.0


@dataclass
class Fact:
    seq: int
    kind: str
    occurred_at: datetime
    data: dict[str, Any] = field(default_factory=dict)
    corrects_id: int | None = None
    actor_name: str = "Nurse Example, RN"
    source: str = "hand"

    @property
    def recorded_at(self) -> datetime:
        return self.occurred_at


class Story:
    """Events at minutes after the start."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        check = {"vitals": {"systolic_mmhg": 128.0}, "asks_prescriber": "", "weight_kg": 82.0}
        self.tell(-5, "check_completed", **check)

    def tell(
        self,
        minute: float,
        kind: str,
        *,
        corrects: int | None = None,
        source: str = "hand",
        **data: Any,
    ) -> Fact:
        at = START + timedelta(minutes=minute)
        fact = Fact(len(self.facts) + 1, f"session.{kind}", at, data, corrects, source=source)
        self.facts.append(fact)
        return fact

    def start(self, rate_mg_per_h: float = 61.5) -> Fact:
        return self.tell(
            0, "infusion_started", programmed_mg=PROGRAMMED_MG, rate_mg_per_h=rate_mg_per_h
        )

    def given_mg(self, minute: float) -> float:
        return fold(self.facts).given_mg(START + timedelta(minutes=minute))


steps = st.lists(
    st.tuples(
        st.floats(0.1, 30),
        st.sampled_from(["pause", "rate", "wait"]),
        st.floats(1, 120),
    ),
    max_size=8,
)


def told(moves: list[tuple[float, str, float]]) -> tuple[Story, list[tuple[float, float]]]:
    """A story, and by hand: (minute, rate that runs from then on)."""
    story, minute, rate, running = Story(), 0.0, 61.5, True
    story.start()
    rates = [(0.0, rate)]
    for wait, move, value in moves:
        minute += wait
        if move == "pause" and running:
            story.tell(minute, "infusion_paused", reason="test")
            running = False
            rates.append((minute, 0.0))
        elif move == "pause":
            story.tell(minute, "infusion_resumed", rate_mg_per_h=rate)
            running = True
            rates.append((minute, rate))
        elif move == "rate" and running:
            rate = value
            story.tell(minute, "rate_changed", rate_mg_per_h=rate, reason="test")
            rates.append((minute, rate))
    return story, rates


@given(steps, st.floats(-10, 300))
@settings(deadline=None)
def test_given_so_far_is_the_integral_of_what_the_pump_did(moves, minute):
    story, rates = told(moves)
    expected = 0.0
    for (since, rate), (until, _) in zip(rates, [*rates[1:], (1e9, 0.0)], strict=True):
        expected += rate / 60 * max(0.0, min(until, minute) - since)
    assert story.given_mg(minute) == pytest.approx(min(expected, PROGRAMMED_MG), abs=1e-6)


@given(steps, st.lists(st.floats(-10, 600), min_size=2, max_size=6))
@settings(deadline=None)
def test_given_so_far_never_falls_and_never_passes_what_was_programmed(moves, instants):
    story, _ = told(moves)
    given = [story.given_mg(minute) for minute in sorted(instants)]
    assert given == sorted(given)
    assert given[0] >= 0.0
    assert given[-1] <= PROGRAMMED_MG


@given(st.permutations([3, 9, 15, 21, 27]))
def test_readings_that_arrive_out_of_order_stand_in_the_order_in_which_they_were_taken(order):
    story = Story()
    story.start()
    for minute in order:
        story.tell(minute, "vitals_recorded", systolic_mmhg=float(100 + minute))
    timeline = fold(story.facts)
    taken = [reading.values["systolic_mmhg"] for reading in timeline.vitals]
    assert taken == [128.0, 103.0, 109.0, 115.0, 121.0, 127.0]
    assert timeline.latest_vitals.values["systolic_mmhg"] == 127.0


@given(st.integers(1, 25), st.integers(1, 25))
def test_a_start_put_right_moves_the_whole_dose(minute, shift):
    story = Story()
    started = story.start()
    moved = started.occurred_at + timedelta(minutes=shift)
    story.tell(
        40,
        "corrected",
        corrects=started.seq,
        action="retime",
        occurred_at=moved.isoformat(),
        reason="tapped early",
    )
    assert story.given_mg(minute + shift) == pytest.approx(61.5 * minute / 60)


def test_a_reading_taken_back_is_gone_from_the_chart_and_struck_in_the_log():
    story = Story()
    story.start()
    wrong = story.tell(5, "vitals_recorded", systolic_mmhg=214.0)
    story.tell(6, "corrected", corrects=wrong.seq, action="retract", reason="wrong patient")
    timeline = fold(story.facts)
    assert timeline.latest_vitals.values == {"systolic_mmhg": 128.0}
    struck = next(line for line in timeline.lines if line.seq == wrong.seq)
    assert struck.retracted
    assert "wrong patient" in struck.correction
    assert describe(struck) == "Vital signs 214/– mmHg"


def test_the_last_correction_of_an_entry_counts():
    story = Story()
    wrong = story.tell(5, "vitals_recorded", systolic_mmhg=214.0)
    for systolic in (124.0, 142.0):
        story.tell(
            6,
            "corrected",
            corrects=wrong.seq,
            action="restate",
            data={"systolic_mmhg": systolic},
            reason="read again",
        )
    assert fold(story.facts).latest_vitals.values == {"systolic_mmhg": 142.0}


@pytest.mark.parametrize(
    "kinds",
    [
        ["infusion_paused"],
        ["infusion_resumed"],
        ["infusion_ended"],
        ["discharged"],
        ["infusion_started", "infusion_started"],
        ["infusion_started", "infusion_resumed"],
        ["infusion_started", "discharged"],
        ["infusion_started", "infusion_ended", "rate_changed"],
    ],
)
def test_acts_that_contradict_each_other_do_not_fold(kinds):
    story = Story()
    for minute, kind in enumerate(kinds):
        story.tell(minute, kind, programmed_mg=PROGRAMMED_MG, rate_mg_per_h=61.5, reason="test")
    with pytest.raises(OutOfOrderError, match="does not fit"):
        fold(story.facts)


def test_without_a_check_nothing_is_ready():
    assert fold([]).phase == Phase.CHECK
    assert fold([]).given_mg(START) == 0.0
