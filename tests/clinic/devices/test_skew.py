"""A device's clock: how far it is off is measured, and not believed at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openketamine.clinic.devices.skew import AGREE_S, AT_ONCE_S, Clock


def hear(clock, *messages):
    """(our time, the device's time) -> whether each was believed."""
    return [clock.hear(sent, received) for received, sent in messages]


def test_a_small_offset_is_believed_at_once_and_a_very_small_one_not_corrected():
    clock = Clock()
    assert hear(clock, (0, 3)) == [True]
    assert (clock.skew_s, clock.correction_s) == (3.0, 0.0)


def test_a_large_one_is_believed_when_it_has_gone_on():
    clock = Clock()
    assert hear(clock, (0, -9000), (10, -8990), (20, -8980)) == [False, False, True]
    assert clock.correction_s == -9000.0


def test_a_burst_of_late_messages_is_no_clock():
    """A monitor that was cut off sends three old messages within a second."""
    clock = Clock()
    hear(clock, (0, 0))
    assert hear(clock, (600, 400), (600.1, 401), (600.2, 402)) == [True, True, True]
    assert clock.skew_s == 0.0


def test_a_clock_that_was_set_ahead_is_not_believed_until_it_is_confirmed():
    clock = Clock()
    hear(clock, (0, 0), (10, 10))
    assert hear(clock, (20, 3620), (30, 3630), (40, 3640)) == [False, False, True]
    assert clock.skew_s == 3600.0


def test_a_clock_that_was_set_back_is_known_after_a_while():
    clock = Clock()
    hear(clock, (0, 0))
    hear(clock, *((t, t - 3600) for t in range(10, 140, 10)))
    assert clock.skew_s == -3600.0


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1e9, 1e9)), max_size=60))
def test_whatever_it_hears_it_keeps_little_and_never_a_wild_estimate_from_one_message(messages):
    clock = Clock()
    for count, (received, offset) in enumerate(sorted(messages), start=1):
        clock.hear(received + offset, received)
        assert len(clock.samples) <= 9
        assert len(clock.pending) <= 9
        if count < 3 and clock.skew_s is not None:
            assert abs(clock.skew_s) <= AT_ONCE_S + AGREE_S


@given(st.floats(-1e6, 1e6), st.lists(st.floats(-1, 1), min_size=4, max_size=30))
def test_a_steady_clock_is_found_to_the_second(skew, jitter):
    clock = Clock()
    for number, noise in enumerate(jitter):
        clock.hear(number * 10 + skew + noise, number * 10)
    assert clock.skew_s == pytest.approx(skew, abs=1.1)
