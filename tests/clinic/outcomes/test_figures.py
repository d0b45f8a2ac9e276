"""Who counts, when, and why somebody does not: always with everybody who began."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openketamine import protocols
from openketamine.clinic.outcomes import figures
from openketamine.clinic.outcomes.cohort import Cohort, Scores
from openketamine.protocols.instruments import has_responded, is_important_change, is_remission

LIBRARY = protocols.load()
PHQ9, PCL5, PEG = (LIBRARY.instruments[name] for name in ("phq9", "pcl5", "peg"))
WEEK_4 = LIBRARY.outcomes.main


def cohort(*people: dict) -> tuple[Cohort, Scores]:
    """Each person: baseline, points {day: total}, asked [(due, closes, answered)], followed."""
    n = len(people)
    zero = np.zeros(n, np.int64)
    points = [
        (i, d, t) for i, p in enumerate(people) for d, t in sorted(p.get("points", {}).items())
    ]
    asked = [(i, *form) for i, p in enumerate(people) for form in p.get("asked", [])]
    return (
        Cohort(
            ids=tuple(range(n)),
            followed_days=np.array([p.get("followed", 400.0) for p in people]),
            closed_day=np.array([p.get("closed", math.nan) for p in people]),
            prescribers=zero, therapists=zero, sessions=zero, with_effect=zero,
            with_moderate=zero, transfers=zero, emergencies=zero, effects=("{}",) * n,
        ),
        Scores(
            baseline=np.array([p.get("baseline", math.nan) for p in people]),
            owner=np.array([p[0] for p in points], np.int64),
            day=np.array([p[1] for p in points], float),
            total=np.array([p[2] for p in points], float),
            asked_owner=np.array([a[0] for a in asked], np.int64),
            due_day=np.array([a[1] for a in asked], float),
            closing_day=np.array([a[2] for a in asked], float),
            answered=np.array([a[3] for a in asked], bool),
        ),
    )  # fmt: skip


def at_week_4(*people: dict) -> figures.Figure:
    courses, scores = cohort(*people)
    at = figures.at_landmark(courses, scores, WEEK_4)
    return figures.figure("response", PHQ9, scores, at)


def test_it_works():
    found = at_week_4(
        {"baseline": 20, "points": {27: 8}},
        {"baseline": 20, "points": {30: 15}},
        {"baseline": 20},
    )
    assert (found.began, found.reached, found.measured) == (3, 3, 2)
    assert (found.counted.count, found.counted.share) == (1, 0.5)
    assert (found.if_none, found.if_all) == (pytest.approx(1 / 3), pytest.approx(2 / 3))


def test_the_score_nearest_to_the_day_counts():
    found = at_week_4({"baseline": 20, "points": {25: 5, 29: 19, 33: 5}})
    assert found.counted.count == 0


def test_a_score_on_the_edge_of_two_windows_counts_in_one():
    courses, scores = cohort({"baseline": 20, "points": {10.5: 5}})
    found = [figures.at_landmark(courses, scores, each) for each in LIBRARY.outcomes.landmarks[:2]]
    assert [bool(at.measured[0]) for at in found] == [False, True]


def test_whoever_has_not_come_so_far_is_not_counted_though_measured():
    found = at_week_4({"baseline": 20, "points": {27: 8}, "followed": 30.0})
    assert (found.began, found.reached, found.measured, found.unmeasured) == (1, 0, 0, 0)


@pytest.mark.parametrize(
    ("person", "because"),
    [
        ({"points": {28: 8}}, figures.NO_BASELINE),
        ({"baseline": 20, "asked": [(24, 31, False)]}, figures.UNANSWERED),
        ({"baseline": 20, "asked": [(24, 31, True)], "points": {24.2: 9}}, figures.OTHER_TIME),
        ({"baseline": 20, "closed": 20.0}, figures.LEFT),
        ({"baseline": 20, "asked": [(1, 3, False)]}, figures.NOT_ASKED),
        ({"baseline": 20}, figures.NOT_ASKED),
    ],
)
def test_everybody_who_is_missing_is_missing_for_one_reason(person, because):
    found = at_week_4(person)
    assert {reason for reason, count in found.missing.items() if count} == {because}
    assert (found.unmeasured, found.measured) == (1, 0)


def test_nobody_comes_into_remission_who_was_never_above_its_cut():
    courses, scores = cohort(
        {"baseline": 4, "points": {28: 2}}, {"baseline": 18, "points": {28: 2}}
    )
    at = figures.at_landmark(courses, scores, WEEK_4)
    found = figures.figure("remission", PHQ9, scores, at)
    assert (found.counted.count, found.counted.n) == (1, 1)


@given(
    st.lists(st.tuples(st.integers(0, 27), st.integers(0, 27)), min_size=1, max_size=30),
    st.sampled_from([PHQ9, PCL5, PEG]),
)
def test_arrays_are_judged_as_the_protocols_judge_one_score(pairs, instrument):
    before, after = (np.array(column, float) for column in zip(*pairs, strict=True))
    if instrument.scoring == "mean":
        before, after = before / 3, after / 3
    for i, (b, a) in enumerate(zip(before, after, strict=True)):
        if instrument.response:
            assert figures.responds(instrument, before, after)[i] == has_responded(
                instrument, baseline=b, total=a
            )
        if instrument.remission:
            assert figures.remits(instrument, after)[i] == is_remission(instrument, a)
        if instrument.important_change:
            assert figures.changes(instrument, before, after)[i] == is_important_change(
                instrument, baseline=b, total=a
            )


def test_a_response_comes_at_the_first_score_that_meets_it_and_others_are_followed_to_their_last():
    found = figures.time_to_response(
        PHQ9,
        *cohort(
            {"baseline": 20, "points": {7: 15, 14: 9, 21: 3}},
            {"baseline": 20, "points": {7: 15, 28: 14}},
            {"baseline": 20},
            {"points": {7: 1}},
        ),
    )
    assert (found.n, found.events) == (2, 1)
    assert found.survival.days.tolist() == [0, 14, 28]
    assert found.survival.survival.tolist() == [1, 0.5, 0.5]
    assert sum(found.left_out.values()) == 2


@pytest.mark.parametrize(
    ("points", "days", "relapsed"),
    [
        ({7: 9, 14: 9, 28: 8}, 21, False),
        ({7: 9, 14: 15, 28: 16, 56: 4}, 7, True),  # dated on the first of the two
        ({7: 9, 14: 15, 28: 9, 56: 15}, 49, False),  # never two in a row
        ({7: 9, 14: 9, 28: 15, 56: 16}, 21, True),
    ],
)
def test_a_relapse_is_two_scores_in_a_row_without_response(points, days, relapsed):
    found = figures.time_to_relapse(PHQ9, *cohort({"baseline": 20, "points": points}), in_a_row=2)
    assert (found.n, found.events) == (1, int(relapsed))
    assert found.survival.days[-1] == days


def test_two_people_in_a_row_are_no_two_scores_in_a_row():
    found = figures.time_to_relapse(
        PHQ9,
        *cohort(
            {"baseline": 20, "points": {7: 9, 14: 15}}, {"baseline": 20, "points": {7: 15, 14: 9}}
        ),
        in_a_row=2,
    )
    assert (found.n, found.events) == (1, 0)
    assert found.left_out["Responded, no score since"] == 1


def test_a_mean_change_is_of_those_who_have_both_scores():
    courses, scores = cohort(
        {"baseline": 20, "points": {28: 8}}, {"baseline": 18, "points": {28: 10}}, {"baseline": 27}
    )
    found = figures.mean_change(scores, figures.at_landmark(courses, scores, WEEK_4))
    assert (found.baseline.mean, found.total.mean, found.change.mean) == (19, 9, -10)
    assert found.change.n == 2
