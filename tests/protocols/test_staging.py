"""Antidepressant trials: counted row by row, and staged."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openketamine import protocols
from openketamine.protocols.staging import Trial, count_failed, stage

LIBRARY = protocols.load()
TODAY = date(2026, 11, 24)
FAILED = Trial(
    "Sertraline",
    started=date(2026, 1, 1),
    stopped=date(2026, 3, 1),
    in_this_episode=True,
    adequate_dose=True,
    adequate_duration=True,
    outcome="no_response",
)


def counted(*trials):
    count = count_failed(LIBRARY, trials, on=TODAY)
    return count.at_least, count.at_most


def test_it_works():
    assert counted(FAILED, replace(FAILED, drug="Venlafaxine", outcome="partial")) == (2, 2)


@pytest.mark.parametrize(
    "change",
    [
        {"in_this_episode": False},
        {"adequate_dose": False},
        {"adequate_duration": False},
        {"outcome": "response"},
        {"outcome": "not_tolerated"},
    ],
)
def test_a_trial_that_falls_short_in_one_point_does_not_count(change):
    count = count_failed(LIBRARY, [replace(FAILED, **change)], on=TODAY)
    assert (count.at_least, count.at_most) == (0, 0)
    assert count.judged[0].why.startswith("does not count")


@pytest.mark.parametrize(
    "change", [{"in_this_episode": None}, {"adequate_dose": None}, {"outcome": "unknown"}]
)
def test_what_is_not_known_leaves_the_count_open(change):
    count = count_failed(LIBRARY, [replace(FAILED, **change)], on=TODAY)
    assert (count.at_least, count.at_most) == (0, 1)
    assert count.settled(2) is None
    assert count.judged[0].why.startswith("not known")


def test_the_days_decide_about_the_duration_where_nobody_did():
    for days, at_least in ((27, 0), (28, 1)):
        trial = replace(
            FAILED, adequate_duration=None, stopped=FAILED.started + timedelta(days=days)
        )
        assert counted(trial)[0] == at_least
    ongoing = replace(FAILED, adequate_duration=None, stopped=None)
    assert counted(ongoing) == (1, 1)
    assert counted(replace(ongoing, started=None)) == (0, 1)


def test_two_certain_failures_settle_the_question_whatever_the_third_was():
    count = count_failed(LIBRARY, [FAILED, FAILED, replace(FAILED, outcome="unknown")], on=TODAY)
    assert (count.at_least, count.at_most) == (2, 3)
    assert count.settled(2) == 2
    assert count.settled(3) is None


TRIALS = st.builds(
    Trial,
    drug=st.just("Drug"),
    started=st.none() | st.dates(date(2024, 1, 1), date(2026, 6, 1)),
    in_this_episode=st.none() | st.booleans(),
    adequate_dose=st.none() | st.booleans(),
    adequate_duration=st.none() | st.booleans(),
    outcome=st.sampled_from(sorted(LIBRARY.staging.outcomes)),
)


@given(trials=st.lists(TRIALS, max_size=6))
def test_knowing_more_only_narrows_the_count(trials):
    low, high = counted(*trials)
    assert 0 <= low <= high <= len(trials)
    known = [
        replace(
            trial,
            in_this_episode=True if trial.in_this_episode is None else trial.in_this_episode,
            adequate_dose=True if trial.adequate_dose is None else trial.adequate_dose,
            adequate_duration=(
                True
                if trial.adequate_duration is None and trial.started is None
                else trial.adequate_duration
            ),
            outcome="partial" if trial.outcome == "unknown" else trial.outcome,
        )
        for trial in trials
    ]
    settled_low, settled_high = counted(*known)
    assert settled_low == settled_high == high


MAUDSLEY = LIBRARY.staging.scores[0]


@pytest.mark.parametrize(
    ("answers", "total", "band"),
    [
        ((6, "subsyndromal", 1, "no", "no"), 3, "mild"),
        ((12, "moderate", 2, "no", "no"), 5, "mild"),
        ((13, "moderate", 3, "yes", "no"), 8, "moderate"),
        ((30, "severe", 6, "yes", "yes"), 12, "severe"),
        ((25, "severe with psychosis", 11, "yes", "yes"), 15, "severe"),
    ],
)
def test_the_staging_adds_up_from_3_to_15(answers, total, band):
    names = ("duration_months", "severity", "failed_antidepressants", "augmentation", "ect")
    result = stage(MAUDSLEY, dict(zip(names, answers, strict=True)))
    assert (result.total, result.band) == (total, band)


def test_a_missing_part_leaves_the_staging_open():
    assert stage(MAUDSLEY, {"duration_months": 6}).total is None


@pytest.mark.parametrize("answers", [{"severity": "awful"}, {"duration_months": -1}])
def test_an_impossible_answer_is_refused(answers):
    with pytest.raises(ValueError, match="is not"):
        stage(MAUDSLEY, answers)


def test_the_staging_is_marked_as_recalled_and_read_by_no_rule():
    assert (MAUDSLEY.certainty, MAUDSLEY.authority) == ("recalled", "clinic policy")
    assert "maudsley" not in LIBRARY.facts
