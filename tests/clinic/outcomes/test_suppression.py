"""Small cells stay hidden, and nothing that is shown gives them away."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openketamine.clinic.outcomes.statistics import proportion
from openketamine.clinic.outcomes.suppression import (
    hidden,
    is_small,
    may_be_shown,
    proportion_shown,
    shown,
)


def test_it_works():
    assert shown({"IV": 40, "IM": 12, "SC": 2}, 5) == {"IV": 40, "IM": None, "SC": None}


def test_nothing_is_hidden_where_nothing_is_small():
    assert shown({"IV": 40, "IM": 12, "SC": 0}, 5) == {"IV": 40, "IM": 12, "SC": 0}
    assert shown({"IV": 1}, 1) == {"IV": 1}


def test_two_small_counts_that_are_small_together_take_a_third_with_them():
    assert hidden([30, 9, 1, 2], 5) == [False, True, True, True]


@given(st.lists(st.integers(0, 12), min_size=1, max_size=5), st.integers(2, 6))
def test_whoever_knows_the_sum_and_what_is_shown_cannot_tell_a_small_count(counts, fewer_than):
    marks = hidden(counts, fewer_than)
    assert all(
        hide for count, hide in zip(counts, marks, strict=True) if is_small(count, fewer_than)
    )
    inside = [count for count, hide in zip(counts, marks, strict=True) if hide]
    if not inside or all(marks):
        # All of them hidden: their sum alone is shown, and it is the size of the cohort.
        return
    total = sum(inside)
    possible = [
        each
        for each in itertools.product(range(total + 1), repeat=len(inside) - 1)
        if sum(each) <= total
    ]
    for place in range(len(inside) - 1):
        assert len({each[place] for each in possible}) > 1
    assert len({total - sum(each) for each in possible}) > 1


@given(st.integers(0, 40), st.integers(0, 40), st.integers(2, 8))
def test_a_proportion_shows_neither_few_who_did_nor_few_who_did_not(count, others, fewer_than):
    found = proportion_shown(proportion(count, count + others), fewer_than)
    if found.count is not None:
        assert not is_small(count, fewer_than)
        assert not is_small(others, fewer_than)
    else:
        assert found.share is found.low is found.high is None


def test_a_rare_event_is_said_to_be_fewer_than_the_limit():
    found = proportion_shown(proportion(2, 600), 5, both_sides=False)
    assert (found.n, found.count, found.under) == (600, None, 5)
    assert proportion_shown(proportion(598, 600), 5, both_sides=False).count == 598


@pytest.mark.parametrize(
    ("n", "wider", "may"),
    [
        (40, [], True),
        (3, [], False),
        (0, [100], True),
        (40, [42], False),
        (40, [40], True),
        (40, [46], True),
        (40, [46, 41], False),
    ],
)
def test_a_cohort_that_leaves_a_small_rest_is_not_shown_either(n, wider, may):
    assert may_be_shown(n, wider, 5) is may
