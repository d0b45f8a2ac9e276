"""Questionnaires: every possible answer sheet against the published rule, stated independently."""

from itertools import product

import pytest

from openketamine import protocols
from openketamine.protocols.instruments import has_responded, is_remission

# Kroenke 2001 and Spitzer 2006: lowest total of each band.
PHQ9 = {0: "minimal", 5: "mild", 10: "moderate", 15: "moderately severe", 20: "severe"}
GAD7 = {0: "minimal", 5: "mild", 10: "moderate", 15: "severe"}


@pytest.mark.parametrize(("name", "items", "bands"), [("phq9", 9, PHQ9), ("gad7", 7, GAD7)])
def test_every_answer_sheet_scores_as_published(library, name, items, bands):
    instrument = library.instruments[name]
    keys = [f"q{number}" for number in range(1, items + 1)]
    assert [item.id for item in instrument.items] == keys
    band_of = {
        total: bands[max(low for low in bands if low <= total)] for total in range(3 * items + 1)
    }
    # The first items in every order of answers; the rest by their number, as only it can matter.
    for answers in product(range(4), repeat=min(items, 7)):
        sheet = (*answers, *answers[: items - len(answers)])
        score = protocols.score(instrument, dict(zip(keys, sheet, strict=True)))
        total = sum(sheet)
        assert (score.total, score.band, score.unanswered) == (total, band_of[total], ())


def test_every_item_of_the_phq9_counts_its_own_points(library):
    instrument = library.instruments["phq9"]
    for item, value in product(range(1, 10), range(4)):
        answers = {f"q{n}": value if n == item else 0 for n in range(1, 10)}
        assert protocols.score(instrument, answers).total == value


@pytest.mark.parametrize("value", [1, 2, 3])
def test_item_nine_above_zero_demands_a_human_look_even_on_an_unfinished_form(library, value):
    score = protocols.score(library.instruments["phq9"], {"q9": value})
    assert [flag.item for flag in score.red_flags] == ["q9"]
    assert "safety review" in score.red_flags[0].demands
    assert score.total is None


def test_item_nine_at_zero_and_high_scores_elsewhere_raise_no_flag(library):
    answers = {f"q{n}": 3 for n in range(1, 9)} | {"q9": 0}
    assert protocols.score(library.instruments["phq9"], answers).red_flags == ()


@pytest.mark.parametrize("name", ["phq9", "gad7"])
def test_a_missing_answer_leaves_no_total_and_is_never_guessed(library, name):
    instrument = library.instruments[name]
    for missing in instrument.items:
        for gap in ({}, {missing.id: None}):
            answers = {item.id: 3 for item in instrument.items if item.id != missing.id} | gap
            score = protocols.score(instrument, answers)
            assert (score.total, score.band, score.complete) == (None, None, False)
            assert score.unanswered == (missing.id,)


@pytest.mark.parametrize(
    ("answers", "words"),
    [({"q1": 4}, "q1: 4 is not one of 0, 1, 2, 3"), ({"q10": 0}, "has no item 'q10'")],
)
def test_an_answer_that_the_form_does_not_offer_is_refused(library, answers, words):
    with pytest.raises(ValueError, match=words):
        protocols.score(library.instruments["phq9"], answers)


@pytest.mark.parametrize(
    ("baseline", "total", "responded"),
    [(18, 9, True), (18, 10, False), (17, 8, True), (17, 9, False), (0, 0, False), (20, 24, False)],
)
def test_response_is_a_fall_of_at_least_half(library, baseline, total, responded):
    phq9 = library.instruments["phq9"]
    assert has_responded(phq9, baseline=baseline, total=total) is responded


@pytest.mark.parametrize(("total", "remitted"), [(0, True), (4, True), (5, False)])
def test_remission_is_a_total_below_five(library, total, remitted):
    assert is_remission(library.instruments["phq9"], total) is remitted


def test_the_phq9_a_day_after_the_session_is_marked_as_outside_its_window(library):
    occasion = library.occasion("24h")
    assert occasion.off_window
    assert occasion.after_hours / 24 < library.instruments["phq9"].recall_days
    assert "outside its window" in occasion.statement


def test_loinc_codes_carry_their_check_digit(library):
    """LOINC numbers end in a mod-10 (Luhn) check digit; a slip of the finger breaks it."""
    for instrument in library.instruments.values():
        codes = [instrument.loinc_panel, instrument.loinc_total]
        codes += [item.loinc for item in instrument.items]
        for code in filter(None, codes):
            digits, check = code.split("-")
            doubled = [
                sum(divmod(2 * int(digit), 10)) if place % 2 == 0 else int(digit)
                for place, digit in enumerate(reversed(digits))
            ]
            assert (10 - sum(doubled) % 10) % 10 == int(check), code
