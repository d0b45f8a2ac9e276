"""Questionnaires: every possible answer sheet against the published rule, stated independently."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


# The other instruments, each against its rule stated a second time.

LIBRARY = protocols.load()


def sheet(*values: int, first: int = 1) -> dict[str, int]:
    return {f"q{number}": value for number, value in enumerate(values, start=first)}


def scored(name: str, answers: dict[str, int]) -> protocols.Score:
    return protocols.score(LIBRARY.instruments[name], answers)


def test_the_peg_is_a_mean_and_not_a_sum():
    for values in product(range(11), repeat=3):
        assert scored("peg", sheet(*values)).total == pytest.approx(sum(values) / 3)


def test_every_pc_ptsd_5_counts_the_yeses_after_the_gate():
    for values in product((0, 1), repeat=5):
        score = scored("pcptsd5", {"exposure": 1, **sheet(*values)})
        assert score.total == sum(values)
        assert [cut.at_least for cut in score.cut_offs] == [c for c in (3, 4) if sum(values) >= c]


def test_without_a_trauma_the_pc_ptsd_5_stops_at_zero():
    score = scored("pcptsd5", {"exposure": 0})
    assert (score.total, score.complete) == (0, True)
    assert scored("pcptsd5", {"exposure": 0, **sheet(1, 1, 1, 1, 1)}).total == 0
    assert scored("pcptsd5", {"exposure": 1, **sheet(1, 1, 1, 1)}).unanswered == ("q5",)
    assert scored("pcptsd5", sheet(1, 1, 1, 1, 1)).total is None


@settings(max_examples=300, deadline=None)
@given(values=st.lists(st.integers(0, 4), min_size=20, max_size=20))
def test_the_pcl_5_adds_up_and_counts_its_clusters(values):
    score = scored("pcl5", sheet(*values))
    present = [value >= 2 for value in values]
    assert score.total == sum(values)
    assert score.band is None
    assert score.clusters_met is (
        sum(present[0:5]) >= 1
        and sum(present[5:7]) >= 1
        and sum(present[7:14]) >= 2
        and sum(present[14:20]) >= 2
    )
    assert bool(score.cut_offs) is (sum(values) >= 31)


@pytest.mark.parametrize("missing", ["q2", "q6", "q8", "q15"])
def test_one_symptom_short_in_a_cluster_is_not_the_pattern_of_ptsd(missing):
    """One intrusion, one avoidance, two of mood, two of arousal: no fewer."""
    pattern = {f"q{n}": 2 if n in {2, 6, 8, 9, 15, 16} else 0 for n in range(1, 21)}
    assert scored("pcl5", pattern).clusters_met is True
    assert scored("pcl5", {**pattern, missing: 1}).clusters_met is False


@settings(max_examples=300, deadline=None)
@given(values=st.lists(st.integers(0, 3), min_size=16, max_size=16))
def test_the_qids_counts_the_highest_of_sleep_of_appetite_and_of_movement(values):
    score = scored("qids-sr16", sheet(*values))
    q = [0, *values]
    total = max(q[1:5]) + q[5] + max(q[6:10]) + sum(q[10:15]) + max(q[15], q[16])
    bands = {0: "none", 6: "mild", 11: "moderate", 16: "severe", 21: "very severe"}
    assert score.total == total
    assert score.band == bands[max(low for low in bands if low <= total)]
    assert bool(score.red_flags) is (q[12] > 0)


@pytest.mark.parametrize(
    ("total", "band"),
    [
        (0, "none"),
        (6, "none"),
        (7, "mild"),
        (19, "mild"),
        (20, "moderate"),
        (34, "moderate"),
        (35, "severe"),
        (60, "severe"),
    ],
)
def test_the_madrs_bands(total, band):
    full, rest = divmod(total, 6)
    values = [6] * full + ([rest] if rest else [])
    assert scored("madrs", sheet(*values, *[0] * (10 - len(values)))).band == band


def test_every_dast_10_counts_its_points():
    bands = {0: "none", 1: "low", 3: "moderate", 6: "substantial", 9: "severe"}
    for values in product((0, 1), repeat=10):
        score = scored("dast-10", sheet(*values))
        assert score.total == sum(values)
        assert score.band == bands[max(low for low in bands if low <= sum(values))]


def test_item_three_of_the_dast_10_has_its_point_for_a_no():
    third = LIBRARY.instruments["dast-10"].items[2]
    assert {option.label: option.value for option in third.options} == {"Yes": 0, "No": 1}


def test_every_audit_c_names_both_cut_offs():
    for values in product(range(5), repeat=3):
        score = scored("audit-c", sheet(*values))
        assert score.total == sum(values)
        assert [cut.at_least for cut in score.cut_offs] == [c for c in (3, 4) if sum(values) >= c]


def test_every_wsas_and_cadss_6_is_a_sum_without_bands():
    assert scored("wsas", sheet(8, 8, 8, 8, 8)).total == 40
    numbers = (1, 2, 6, 7, 15, 22)
    score = scored("cadss-6", {f"cadss{n}": 4 for n in numbers})
    assert (score.total, score.band, score.cut_offs) == (24, None, ())


def test_every_c_ssrs_screen_has_its_level():
    names = ("q1", "q2", "q3", "q4", "q5", "q6", "q6_past_3_months")
    for values in product((0, 1), repeat=7):
        answers = dict(zip(names, values, strict=True))
        score = scored("cssrs-screener", answers)
        deep = {n: answers[n] and answers["q2"] for n in ("q3", "q4", "q5")}
        recent = answers["q6_past_3_months"] and answers["q6"]
        if deep["q4"] or deep["q5"] or recent:
            level = "high"
        elif deep["q3"] or answers["q6"]:
            level = "moderate"
        elif answers["q1"] or answers["q2"]:
            level = "low"
        else:
            level = "none"
        assert (score.total, score.band) == (None, level)
        assert bool(score.red_flags) is (level != "none")


def test_a_no_to_question_two_closes_three_to_five_and_never_six():
    score = scored("cssrs-screener", {"q1": 1, "q2": 0})
    assert score.unanswered == ("q6", "q6_past_3_months")
    assert scored("cssrs-screener", {"q1": 0, "q2": 0, "q6": 0}).band == "none"


def test_wording_stands_only_where_the_licence_allows_it():
    shipped = {name for name, item in LIBRARY.instruments.items() if item.text_shipped}
    assert shipped == {"phq9", "gad7", "pcl5", "pcptsd5", "peg"}
    for name, item in LIBRARY.instruments.items():
        assert all(bool(question.text) is (name in shipped) for question in item.items)
        assert item.licence


def test_an_instrument_without_a_published_rule_has_no_response_and_no_remission():
    wsas = LIBRARY.instruments["wsas"]
    with pytest.raises(ValueError, match="no rule of response"):
        has_responded(wsas, baseline=30, total=10)
    with pytest.raises(ValueError, match="no rule of remission"):
        is_remission(wsas, 3)
