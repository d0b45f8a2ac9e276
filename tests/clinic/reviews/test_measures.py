"""What a course has come to, by each questionnaire's own rules; what is unknown is None."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openketamine import protocols
from openketamine.clinic.intake import services as intake
from openketamine.clinic.outcomes.queries import Point, Trajectory
from openketamine.clinic.people import services as people
from openketamine.clinic.record import clock
from openketamine.clinic.reviews import queries
from openketamine.clinic.reviews.measures import known_of, last_checks, outcome_of
from openketamine.protocols import reviews

from .conftest import score

PHQ9 = protocols.load().instruments["phq9"]
START = datetime(2026, 11, 2, 10, tzinfo=UTC)


def trajectory(*scores, instrument=PHQ9):
    """Scores as (day, total) or (day, total, "off"); day None is at intake."""
    points = [
        Point(
            START + timedelta(days=-3 if day is None else day),
            total,
            f"{total}",
            "intake" if day is None else "7d",
            bool(off),
            1,
            "",
        )
        for day, total, *off in scores
    ]
    return Trajectory(instrument, points, [], [], [], "")


def test_it_works():
    found = outcome_of(trajectory((None, 18), (8, 12), (15, 9), (22, 4)), START)
    assert (found.responded, found.remitted, found.changed) == (True, True, True)
    assert (found.onset_days, found.held_days, found.lost) == (15, 7, False)
    assert found.change_percent == pytest.approx(77.8)


def test_a_response_that_was_lost_says_how_long_it_held():
    found = outcome_of(trajectory((None, 18), (8, 8), (15, 9), (36, 14)), START)
    assert (found.responded, found.lost, found.onset_days, found.held_days) == (False, True, 8, 28)


def test_a_score_outside_its_window_is_not_judged():
    found = outcome_of(trajectory((None, 18), (1, 2, "off")), START)
    assert (found.responded, found.last) == (None, None)


def test_a_score_before_the_first_dose_says_nothing_of_it():
    assert outcome_of(trajectory((None, 18), (-1, 4)), START).responded is None


def test_without_a_score_at_intake_nothing_is_concluded():
    found = outcome_of(trajectory((8, 4)), START)
    assert (found.last, found.responded, found.remitted, found.changed) == (4, None, None, None)


def test_worse_by_an_important_change_says_so():
    found = outcome_of(trajectory((None, 12), (8, 18)), START)
    assert (found.worsened, found.changed) == (True, False)


@given(
    st.integers(1, 27),
    st.lists(st.tuples(st.integers(1, 200), st.integers(0, 27)), min_size=1, max_size=12),
)
def test_what_is_said_agrees_with_itself(baseline, later):
    later = sorted(dict(later).items())
    found = outcome_of(trajectory((None, baseline), *later), START)
    assert found.last == later[-1][1]
    assert not (found.changed and found.worsened)
    assert not (found.responded and found.lost)
    reached = found.onset_days is not None
    assert reached == any(2 * total <= baseline for _, total in later)
    assert (found.held_days is not None) == reached
    if reached:
        assert 0 <= found.held_days <= later[-1][0] - found.onset_days


def test_exposure_and_tolerability_come_from_the_sessions(treated, nurse):
    found = known_of(treated, noted_signs=0)
    assert found.facts["doses_given"] == 1
    assert found.facts["doses_84_days"] == 1
    assert found.facts["dose_rise_percent"] is None
    assert found.tolerated.well is True
    assert found.facts["urinary_symptoms"] is None


def test_urinary_symptoms_are_read_from_either_checklist(treated, nurse):
    answers = {f"q{n}": 0 for n in range(1, 7)}
    intake.record_response(nurse, treated, instrument="bladder", answers=answers, occasion="7d")
    assert known_of(treated, noted_signs=0).facts["urinary_symptoms"] is False
    with clock.at(clock.now() + timedelta(days=1)):
        intake.record_response(
            nurse, treated, instrument="bladder", answers={**answers, "q2": 2}, occasion="7d"
        )
        assert known_of(treated, noted_signs=0).facts["urinary_symptoms"] is True
        page = queries.review_page(treated)
    assert [sign.id for sign in page.shown] == ["MU-URINE"]
    assert page.known.facts["misuse_signs"] == 1
    due = {state.check.id: state.due for state in page.checks}
    assert due["RC-URINE"] is True
    assert due["RC-BLADDER"] is False


def test_a_test_that_was_done_counts_as_done(treated, nurse):
    assert "RC-LIVER-RISK" not in last_checks(treated)
    people.record_measurements(nurse, treated.person, {"alt_u_per_l": 30})
    assert last_checks(treated)["RC-LIVER-RISK"] == clock.today()


def test_the_review_knows_the_alarming_answer(treated, nurse):
    assert known_of(treated, noted_signs=0).facts["suicidal_flag"] is False
    answers = {f"q{n}": 0 for n in range(1, 9)} | {"q9": 1}
    intake.record_response(nurse, treated, instrument="phq9", answers=answers, occasion="7d")
    assert known_of(treated, noted_signs=0).facts["suicidal_flag"] is True


def test_the_page_costs_the_same_however_long_the_course(
    treated, nurse, django_assert_max_num_queries
):
    with django_assert_max_num_queries(45):
        queries.review_page(treated)
    for days in range(7, 70, 7):
        score(treated, nurse, 10, days=days)
    with clock.at(clock.now() + timedelta(days=70)), django_assert_max_num_queries(45):
        assert queries.review_page(treated).known.facts["responded"] is False


def test_pieces_reported_lost_at_home_show_as_a_sign(treated):
    facts = known_of(treated, noted_signs=0).facts
    assert facts["pieces_lost"] == 0
    shown = reviews.signs_shown(protocols.load(), {**facts, "pieces_lost": 2})
    assert [sign.id for sign in shown] == ["MU-COUNT"]
