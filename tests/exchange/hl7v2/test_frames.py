"""MLLP frames: cut in pieces, cut off, with rubbish between them, too long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openketamine.exchange.hl7v2.mllp import BadFrame, Deframer, frame

bodies = st.lists(st.binary(min_size=1, max_size=60).filter(lambda b: not set(b) & {11, 28}))
rubbish = st.binary(max_size=10).filter(lambda b: 11 not in b)


@given(bodies, rubbish, st.data())
def test_messages_come_out_as_they_went_in_however_the_bytes_are_cut(messages, between, data):
    stream = between.join([b"", *map(frame, messages), b""])
    deframer, found = Deframer(), []
    while stream:
        size = data.draw(st.integers(1, max(len(stream), 1)))
        found += deframer.feed(stream[:size])
        stream = stream[size:]
    assert found == messages
    assert not deframer.unfinished


def test_a_frame_that_was_cut_off_is_forgotten_when_a_new_one_begins():
    deframer = Deframer()
    assert deframer.feed(b"\x0bMSH|half a mess" + frame(b"MSH|whole")) == [b"MSH|whole"]
    assert deframer.cut_off == 1


def test_an_unfinished_message_is_held_and_not_given_out():
    deframer = Deframer()
    assert deframer.feed(frame(b"one") + b"\x0btw") == [b"one"]
    assert deframer.unfinished
    assert deframer.feed(b"o\x1c") == []
    assert deframer.feed(b"\r") == [b"two"]


@pytest.mark.parametrize("step", [1, 7, 4096])
def test_a_message_that_grows_without_end_is_refused(step):
    deframer = Deframer(max_message=1000)
    deframer.feed(b"\x0b")
    with pytest.raises(BadFrame):  # noqa: PT012 - somewhere on the way
        for _ in range(0, 5000, step):
            deframer.feed(b"x" * step)
    assert len(deframer._buffer) <= 1000 + step


def test_too_much_between_messages_is_refused_and_nothing_of_it_is_kept():
    deframer = Deframer(max_garbage=1000)
    for _ in range(9):
        assert deframer.feed(b"x" * 100) == []
    assert len(deframer._buffer) == 0
    with pytest.raises(BadFrame):
        deframer.feed(b"x" * 200)
