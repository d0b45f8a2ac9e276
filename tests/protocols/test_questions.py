"""The claims are traced to rows that exist; what is computed says so and agrees with its method."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openketamine.protocols import evidence, load, questions


def test_it_works():
    file = questions.load()
    assert {each.id for each in file.questions} == {"oral-suicidality", "trd-seventy-percent"}
    assert all(row.result.source for each in file.questions for row in each.rows)


def test_two_thirds_come_from_32_people_without_a_control_arm():
    first = questions.question("oral-suicidality").traced[0].figure
    assert (first.result.value, first.result.n_arm, first.control_result) == (69, 32, None)
    assert first.result.interval.how == "Wilson, from n"
    assert first.result.interval.low == pytest.approx(51.7, abs=0.1)
    assert first.result.interval.high == pytest.approx(82.2, abs=0.1)
    assert first.gain is None
    assert first.gain_points is None


def test_seventy_percent_stands_with_its_control_arm_and_the_published_difference():
    spray = questions.question("trd-seventy-percent").traced[0].figure
    assert (spray.result.value, spray.control_result.value) == (69.3, 52.0)
    assert spray.gain_points == 17.3
    assert (spray.gain.low, spray.gain.high, spray.gain.how) == (4.01, 30.6, "published")


def test_newcombe_agrees_with_the_example_of_its_paper():
    """Newcombe 1998, table II, contrast (a): 56/70 against 48/80."""
    low, high = questions.newcombe(56 / 70, 70, 48 / 80, 80)
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)


@given(
    st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
)
def test_a_difference_lies_in_its_interval_and_turns_with_its_sides(one, other):
    low, high = questions.newcombe(one[0] / one[1], one[1], other[0] / other[1], other[1])
    difference = one[0] / one[1] - other[0] / other[1]
    assert -1 - 1e-9 <= low <= difference + 1e-9
    assert difference - 1e-9 <= high <= 1 + 1e-9
    back = questions.newcombe(other[0] / other[1], other[1], one[0] / one[1], one[1])
    assert back == pytest.approx((-high, -low))


@pytest.mark.parametrize("figure", [r for q in questions.load().questions for r in q.rows])
def test_a_figure_without_people_has_no_interval(figure):
    if figure.result.n_arm is None:
        assert figure.result.interval is None
        assert figure.gain is None


ROW = {"trial": "OKTOS (Can)", "arm": "ketamine", "instrument": "BSS", "endpoint": "response"}


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"time_h": 5}, "0 published results"),
        ({"trial": "Nobody"}, "0 published results"),
        ({"time_h": 1008, "control": "ketamine"}, "no control arm"),
        ({"time_h": 1008, "difference": (1, 0, 2)}, "needs its control"),
    ],
)
def test_a_row_that_points_nowhere_is_refused(changes, because):
    questions.Figure.model_validate({**ROW, "time_h": 1008})
    with pytest.raises(ValueError, match=because):
        questions.Figure.model_validate({**ROW, **changes})


def test_a_published_difference_must_be_that_of_its_arms():
    spray = questions.question("trd-seventy-percent").traced[0].figure
    wrong = {**spray.model_dump(), "difference": (30.0, 20.0, 40.0)}
    with pytest.raises(ValueError, match="is not 30"):
        questions.Figure.model_validate(wrong)


@pytest.mark.parametrize("language", questions.LANGUAGES)
def test_every_headline_is_said_with_its_own_figures(language):
    for headline in questions.load().headlines:
        words = headline.in_words(language)
        assert "{" not in words
        if headline.figure.result.unit == "percent":
            assert f"{headline.figure.result.value:.0f}" in words


def test_what_was_found_in_a_neighbouring_condition_says_so():
    (home,) = questions.headlines("SL", "TRD")
    assert home[0].figure.trial.startswith("At-home")
    assert home[1]
    assert questions.headlines("IN_RACEMIC", "TRD") == []


def test_what_is_recalled_says_so():
    fixed = next(h for h in questions.load().headlines if h.id == "sc-trd-fixed")
    assert fixed.figure.certainty == "recalled"


def test_the_sheet_speaks_of_every_route_condition_and_status_in_both_languages():
    programmes, words = load().programmes, questions.plain_words()
    assert {route.id for route in programmes.routes} == set(words.routes)
    assert {each.id for each in programmes.conditions} == set(words.conditions)
    assert {status.id for status in programmes.status} == set(words.status)


def test_the_caveats_that_a_question_names_are_there():
    known = {caveat.id for caveat in evidence.CAVEATS}
    for each in questions.load().questions:
        assert set(each.caveats) <= known
        assert len(each.beside) == len(each.caveats)
