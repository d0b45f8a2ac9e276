"""Questionnaires: every possible answer sheet against the published rule, stated independently."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openketamine import protocols
from openketamine.protocols.instruments import (
    has_responded,
    is_important_change,
    is_off_window,
    is_remission,
)

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
    assert scored("cssrs-screener", {"q1": 1, "q2": 0, "q6": 0}).band == "low"
    assert scored("cssrs-screener", {"q1": 0, "q2": 0, "q6": 0}).band == "none"


def test_wording_stands_only_where_the_licence_allows_it():
    shipped = {name for name, item in LIBRARY.instruments.items() if item.text_shipped}
    free = {"phq9", "gad7", "pcl5", "pcptsd5", "peg", "asq", "nrs-pain"}
    assert shipped == free | {"moaas", "bladder", "side-effects", "dissociation"}
    own = {n for n, item in LIBRARY.instruments.items() if item.licence.terms == "OWN WORDING"}
    assert own == shipped - free
    for name, item in LIBRARY.instruments.items():
        assert all(bool(question.text) is (name in shipped) for question in item.items)
        assert item.licence.statement
        assert item.licence.source in LIBRARY.sources


def test_an_instrument_without_a_published_rule_has_no_response_and_no_remission():
    wsas = LIBRARY.instruments["wsas"]
    with pytest.raises(ValueError, match="no rule of response"):
        has_responded(wsas, baseline=30, total=10)
    with pytest.raises(ValueError, match="no rule of remission"):
        is_remission(wsas, 3)


HAMD_TO_TWO = {4, 5, 6, 12, 13, 14, 16, 17}


@settings(max_examples=200, deadline=None)
@given(
    values=st.tuples(*(st.integers(0, 2 if item in HAMD_TO_TWO else 4) for item in range(1, 18)))
)
def test_the_hamilton_adds_seventeen_items_of_their_own_height(values):
    score = scored("hamd17", sheet(*values))
    bands = {0: "none", 8: "mild", 17: "moderate", 24: "severe"}
    assert score.total == sum(values)
    assert score.band == bands[max(low for low in bands if low <= sum(values))]
    assert bool(score.red_flags) is (values[2] > 0)


def test_no_item_of_the_hamilton_goes_above_its_own_height():
    for item in range(1, 18):
        answers = {f"q{n}": 0 for n in range(1, 18)} | {f"q{item}": 3}
        if item in HAMD_TO_TWO:
            with pytest.raises(ValueError, match="3 is not one of 0, 1, 2"):
                scored("hamd17", answers)
        else:
            assert scored("hamd17", answers).total == 3


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(st.integers(0, 4), min_size=8, max_size=8),
    last=st.lists(st.sampled_from([0, 2, 4]), min_size=2, max_size=2),
)
def test_the_last_two_questions_of_the_audit_have_three_answers(values, last):
    score = scored("audit", sheet(*values, *last))
    bands = {0: "low risk", 8: "hazardous", 16: "harmful", 20: "likely dependence"}
    total = sum(values) + sum(last)
    assert (score.total, score.band) == (total, bands[max(low for low in bands if low <= total)])


@settings(max_examples=200, deadline=None)
@given(
    severity=st.lists(st.integers(0, 10), min_size=4, max_size=4),
    interference=st.lists(st.none() | st.integers(0, 10), min_size=7, max_size=7),
)
def test_the_brief_pain_inventory_is_two_means_and_allows_three_gaps_in_interference(
    severity, interference
):
    answers = {f"s{n}": value for n, value in enumerate(severity, start=1)}
    answers |= {f"i{n}": value for n, value in enumerate(interference, start=1)}
    score = scored("bpi-sf", answers)
    given_answers = [value for value in interference if value is not None]
    assert score.total is None
    if len(given_answers) < 4:
        assert (score.subscores, score.complete) == ({}, False)
        return
    assert score.subscores["severity"] == pytest.approx(sum(severity) / 4)
    assert score.subscores["interference"] == pytest.approx(sum(given_answers) / len(given_answers))
    assert score.complete
    assert len(score.left_out) == 7 - len(given_answers)


def test_a_gap_in_the_severity_of_pain_leaves_no_result():
    answers = {f"s{n}": 5 for n in range(1, 4)} | {f"i{n}": 5 for n in range(1, 8)}
    score = scored("bpi-sf", answers)
    assert (score.subscores, score.unanswered) == ({}, ("s4",))


@settings(max_examples=200, deadline=None)
@given(values=st.lists(st.integers(0, 10), min_size=5, max_size=5))
def test_the_sidas_turns_its_second_item_and_ends_at_never(values):
    score = scored("sidas", sheet(*values))
    often, control, *others = values
    total = often + (10 - control) + sum(others) if often else 0
    assert score.total == total
    assert bool(score.red_flags) is (often > 0)
    assert bool(score.cut_offs) is (total >= 21)


def test_never_to_the_first_item_of_the_sidas_is_a_whole_form():
    assert scored("sidas", {"q1": 0}).total == 0
    assert scored("sidas", {"q1": 1}).unanswered == ("q2", "q3", "q4", "q5")


def test_every_asq_is_positive_after_any_answer_but_no():
    for values in product((0, 1, 2), repeat=5):
        score = scored("asq", sheet(*values))
        first, right_now = values[:4], values[4]
        if not any(first):
            assert (score.band, score.red_flags) == ("negative", ())
        else:
            assert score.band == ("acute positive" if right_now else "non-acute positive")
            assert {flag.item for flag in score.red_flags} == {
                f"q{n}" for n, value in enumerate(values, start=1) if value
            }


def test_the_asq_asks_whether_it_is_now_only_after_a_yes():
    assert scored("asq", sheet(0, 0, 0, 0)).complete
    assert scored("asq", sheet(0, 0, 1, 0)).unanswered == ("q5",)
    # A single yes calls for a clinician before the rest is answered.
    assert scored("asq", {"q3": 1}).red_flags


@pytest.mark.parametrize(
    ("value", "band"),
    [(0, "loss of consciousness"), (1, "sedated"), (4, "sedated"), (5, "alert")],
)
def test_alertness_is_best_at_five(value, band):
    assert scored("moaas", {"q1": value}).band == band


def test_every_bladder_checklist_calls_for_a_look_at_blood_and_for_no_crisis_line():
    for values in product((0, 1, 2), repeat=6):
        score = scored("bladder", sheet(*values))
        *others, blood = values
        if blood:
            level = "to be looked at"
        else:
            level = {0: "no symptoms", 1: "some symptoms", 2: "frequent symptoms"}[max(others)]
        assert (score.total, score.band) == (None, level)
        assert bool(score.red_flags) is (blood > 0 or values[3] == 2)
        assert {flag.concern for flag in score.red_flags} <= {"medical"}


def test_the_sums_without_bands():
    for name, items, highest in (("icsi", 4, 5), ("icpi", 4, 4), ("cadss-23", 23, 4)):
        top = scored(name, sheet(*[highest] * items))
        assert (top.total, top.band) == (items * highest, None)
    assert scored("cadss-23", sheet(4, *[0] * 22)).cut_offs == ()
    assert scored("cadss-23", sheet(4, 1, *[0] * 21)).cut_offs
    assert scored("nrs-pain", {"q1": 7}).total == 7
    assert scored("dissociation", sheet(3, 3, 3, 3)).total == 12
    # The Beck scale's last two items are about attempts and are not added.
    assert scored("bss", sheet(*[2] * 21)).total == 38


def answers_to(instrument, *, some=False):
    """A strategy for whole answer sheets; with `some`, for those with gaps."""
    options = {
        item.id: st.sampled_from([option.value for option in instrument.options_of(item)])
        for item in instrument.items
    }
    if some:
        return st.fixed_dictionaries({}, optional=options)
    return st.fixed_dictionaries(options)


ANSWERABLE = sorted(name for name, item in LIBRARY.instruments.items() if item.items)


@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("name", ANSWERABLE)
@given(data=st.data())
def test_a_total_is_within_its_range_whatever_the_answers_and_their_order(name, data):
    instrument = LIBRARY.instruments[name]
    answers = data.draw(answers_to(instrument))
    score = protocols.score(instrument, answers)
    assert score.complete
    if instrument.total_range:
        low, high = instrument.total_range
        assert low <= score.total <= high
    else:
        assert score.total is None
        assert score.band or score.subscores
    shuffled = data.draw(st.permutations(list(answers.items())))
    assert protocols.score(instrument, dict(shuffled)) == score


@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("name", ANSWERABLE)
@given(data=st.data())
def test_a_missing_answer_yields_no_result_unless_the_rule_allows_it(name, data):
    instrument = LIBRARY.instruments[name]
    answers = data.draw(answers_to(instrument, some=True))
    score = protocols.score(instrument, answers)
    missing = [
        item for item in protocols.instruments.asked(instrument, answers) if item not in answers
    ]
    if score.complete:
        assert list(score.left_out) == missing
        assert not missing or instrument.scoring == "means of subscales"
    else:
        assert (score.total, score.band, score.subscores) == (None, None, {})
        assert list(score.unanswered) == missing


@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize(
    "name", sorted(name for name, item in LIBRARY.instruments.items() if item.red_flags)
)
@given(data=st.data())
def test_no_gap_hides_an_answer_that_demands_a_look(name, data):
    """Whatever else is unanswered: the flags of the answers that there are are raised."""
    instrument = LIBRARY.instruments[name]
    answers = data.draw(answers_to(instrument, some=True))
    raised = {flag.item for flag in protocols.score(instrument, answers).red_flags}
    open_items = protocols.instruments.asked(instrument, answers)
    alarming = {
        rule.item
        for rule in instrument.red_flags
        if rule.item in open_items and answers.get(rule.item, -1) >= rule.at_least
    }
    assert raised == alarming


def test_a_total_from_the_clinics_own_form_needs_the_items_that_can_alarm():
    madrs = LIBRARY.instruments["madrs"]
    whole = protocols.score_total(madrs, 24, {"q10": 0})
    assert (whole.total, whole.band, whole.red_flags) == (24, "moderate", ())
    unsaid = protocols.score_total(madrs, 24)
    assert (unsaid.total, unsaid.unanswered) == (None, ("q10",))
    assert protocols.score_total(madrs, 24, {"q10": 3}).red_flags


@pytest.mark.parametrize(
    ("name", "total", "words"),
    [
        ("madrs", 61, "a total is from 0 to 60"),
        ("madrs", -1, "a total is from 0 to 60"),
        ("madrs", 12.5, "a total is from 0 to 60"),
        ("bpic-ss", 39, "a total is from 0 to 38"),
        ("phq9", 12, "enter its answers, not its total"),
        ("cssrs-screener", 1, "enter its answers, not its total"),
    ],
)
def test_an_impossible_total_is_refused(name, total, words):
    with pytest.raises(ValueError, match=words):
        protocols.score_total(LIBRARY.instruments[name], total)


def test_the_bpic_ss_is_a_total_and_nothing_else():
    bpic = LIBRARY.instruments["bpic-ss"]
    assert protocols.score_total(bpic, 19).cut_offs
    assert not protocols.score_total(bpic, 18).cut_offs
    with pytest.raises(ValueError, match="only its total can be entered"):
        protocols.score(bpic, {})


@pytest.mark.parametrize(
    ("name", "baseline", "total", "changed"),
    [
        ("phq9", 15, 10, True),
        ("phq9", 15, 11, False),
        ("pcl5", 50, 38, True),
        ("pcl5", 50, 39, False),
        ("peg", 6.0, 4.2, True),
        ("peg", 6.0, 4.3, False),
        ("peg", 0, 0, False),
    ],
)
def test_the_smallest_change_that_matters(name, baseline, total, changed):
    instrument = LIBRARY.instruments[name]
    assert is_important_change(instrument, baseline=baseline, total=total) is changed


def test_a_questionnaire_is_off_its_window_while_it_looks_back_past_the_session():
    for name, hours, off in (("phq9", 24, True), ("nrs-pain", 24, False), ("peg", 168, False)):
        assert is_off_window(LIBRARY.instruments[name], after_hours=hours) is off


@pytest.mark.parametrize("name", ["phq9", "gad7", "asq", "bladder", "side-effects", "dissociation"])
def test_in_spanish_every_question_and_answer_is_another_and_scores_alike(name):
    english = LIBRARY.instruments[name]
    spanish = english.in_language("es")
    for one, other in zip(english.items, spanish.items, strict=True):
        assert one.text != other.text
        pairs = zip(english.options_of(one), spanish.options_of(other), strict=True)
        assert all(a.value == b.value for a, b in pairs)
    answers = {item.id: 1 for item in english.items}
    assert protocols.score(english, answers) == protocols.score(spanish, answers)


def test_a_language_that_an_instrument_does_not_have_leaves_it_as_it_is():
    assert LIBRARY.instruments["pcl5"].in_language("es") is LIBRARY.instruments["pcl5"]


def test_the_results_in_words():
    def words(name, answers):
        return scored(name, answers).in_words(LIBRARY.instruments[name])

    assert words("phq9", sheet(*[2] * 8, 0)) == "16, moderately severe"
    assert words("pcl5", sheet(*[2] * 20)) == "40"
    assert words("peg", sheet(3, 4, 4)) == "3.67"
    assert words("asq", sheet(0, 0, 0, 0)) == "negative"
    assert words("phq9", {"q1": 1}) == "not complete"
    pain = {f"s{n}": 5 for n in range(1, 5)} | {f"i{n}": 4 for n in range(1, 6)}
    assert words("bpi-sf", pain) == "pain severity 5, pain interference 4, 2 answers left out"


def test_what_is_asked_follows_the_condition():
    intake = LIBRARY.occasion("intake")
    for condition, name in (("PTSD", "pcl5"), ("PAIN", "peg"), ("AUD", "audit")):
        assert name in intake.instruments_for(condition)
        assert name not in intake.instruments_for("TRD")
    assert {"phq9", "gad7", "asq"} <= set(intake.instruments_for("TRD"))
