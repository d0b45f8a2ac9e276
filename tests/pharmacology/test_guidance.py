"""Dose guidance: what it says of a target, and that it says it as information."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openketamine.cli import main
from openketamine.pharmacology import Forecast, Person, RateSegment, Target, guide, load_model
from openketamine.pharmacology.guidance import Option, _ranges

PERSON = Person(age_years=43, weight_kg=80, sex="female")
BASELINE = {"systolic_mmhg": 128, "diastolic_mmhg": 79, "heart_rate_bpm": 72}
MODEL = load_model("racemic-iv")
HUNDREDTHS = st.integers(-100, 100).map(lambda k: k / 100)


def guided(target: Target, **more):
    given = {"n": 512, "durations_min": [40], "doses_mg": [8, 24, 40, 56, 72]} | more
    return guide(MODEL, PERSON, BASELINE, target, **given)


def test_it_finds_doses_for_a_range_of_the_peak():
    found = guided(Target(peak_low_ng_per_ml=150, peak_high_ng_per_ml=300))
    (only,) = found.ranges
    assert only.duration_min == 40
    assert 24 < only.low_mg < only.high_mg < 60
    # The dose in the middle does what was asked, in a forecast of its own.
    middle = (only.low_mg + only.high_mg) / 2
    peaks = Forecast.start(
        MODEL, PERSON, BASELINE, [RateSegment(0, 40, middle * 1.5)], n=1024, seed=9
    ).peak_concentrations()
    assert np.mean((peaks >= 150) & (peaks <= 300)) >= 0.5


def test_bounds_on_dissociation_and_pressure_leave_a_window():
    found = guided(
        Target(dissociation_at_least=0.5, systolic_limit_mmhg=180, systolic_at_most=0.05)
    )
    (only,) = found.ranges
    assert all(only.low_mg <= option.dose_mg <= only.high_mg for option in found.meeting)
    lower, upper = only.low_mg, only.high_mg
    assert 24 < lower < upper
    for option in found.options:
        inside = lower <= option.dose_mg <= upper
        assert option.meets == inside


def test_more_drug_raises_every_chance_and_slower_is_gentler():
    found = guided(
        Target(systolic_limit_mmhg=160), durations_min=[20, 40, 90], doses_mg=[20, 40, 60]
    )
    for duration in (20, 40, 90):
        curve = found.curve(duration)
        assert len(curve["dose_mg"]) == 3
        for name, values in curve.items():
            assert values == sorted(values), name
    fast, slow = found.curve(20), found.curve(90)
    for name in ("p_dissociation", "p_systolic_above", "peak_median_ng_per_ml"):
        assert all(a > b for a, b in zip(fast[name], slow[name], strict=True))


def test_rates_are_those_of_the_pump():
    for option in guided(Target(dissociation_at_least=0.1)).options:
        assert option.rate_mg_per_h == pytest.approx(option.dose_mg * 60 / 40)
        assert option.dose_mg_per_kg == pytest.approx(option.dose_mg / 80)


def test_a_spray_is_looked_at_by_whole_devices():
    found = guide(
        load_model("perez-ruixo-2021-esketamine"),
        PERSON,
        BASELINE,
        Target(dissociation_at_least=0.3),
        n=256,
    )
    assert [option.dose_mg for option in found.options] == [28, 56, 84]
    assert all(option.rate_mg_per_h is None for option in found.options)


def test_what_an_earlier_session_taught_changes_the_guidance():
    first = Forecast.start(MODEL, PERSON, BASELINE, [RateSegment(0, 40, 60)], n=512)
    from .test_forecast import vitals

    rise = {10: 14, 20: 24, 30: 31, 40: 36, 60: 20, 90: 9}
    first.update(
        [RateSegment(0, 40, 60)],
        [r for t, up in rise.items() for r in vitals(t, 128 + up, 79 + 0.7 * up, 74)],
    )
    target = Target(systolic_limit_mmhg=170, systolic_at_most=0.1)
    before = guided(target).options[3].p_systolic_above
    after = guided(target, carried=first.carry_over()).options[3].p_systolic_above
    assert after > before + 0.03


def test_it_says_that_it_is_no_order():
    for target in (Target(dissociation_at_least=0.3), Target(dissociation_at_least=1.0)):
        found = guided(target)
        assert "not an order" in found.words[0]
        assert "policy" in found.words[0]
    assert found.ranges == ()
    assert "None of the doses" in found.words[1]
    assert "dissociation at least" in found.words[1]
    assert found.warnings


@given(
    st.lists(st.tuples(HUNDREDTHS, HUNDREDTHS), min_size=2, max_size=8),
)
@settings(max_examples=100, deadline=None)
def test_ranges_hold_just_the_doses_whose_margins_are_kept(margins):
    row = [
        Option(
            10.0 * i,
            0,
            40,
            None,
            (0, 0, 0),
            None,
            0,
            0,
            0,
            0,
            None,
            (0, 0, 0),
            None,
            {"one": a, "two": b},
        )
        for i, (a, b) in enumerate(margins)
    ]
    found = _ranges(row)
    assert all(r.low_mg <= r.high_mg for r in found)
    assert all(a.high_mg <= b.low_mg for a, b in pairwise(found))
    for option in row:
        inside = any(r.low_mg - 1e-9 <= option.dose_mg <= r.high_mg + 1e-9 for r in found)
        if option.meets:
            assert inside
        elif min(option.margins.values()) < -1e-6:
            assert not inside


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({}, "Say what the session should reach"),
        ({"dissociation_at_least": 50}, "probability from 0 to 1"),
        ({"peak_low_ng_per_ml": 300, "peak_high_ng_per_ml": 200}, "must rise"),
        ({"systolic_limit_mmhg": 1800}, "not possible"),
    ],
)
def test_a_target_that_cannot_be_is_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        Target(**wrong)


def test_a_route_the_model_lacks_is_refused():
    with pytest.raises(ValueError, match="no route 'oral'"):
        guided(Target(dissociation_at_least=0.3), route="oral")


COMMAND = [
    "guidance",
    *["--drug", "racemic", "--route", "iv", "--weight", "80", "--age", "43"],
    *["--pressure", "128/79", "--pulse", "72", "--over", "40min", "--people", "256"],
    *["--dose", "0.3mg/kg", "--dose", "0.5mg/kg", "--dose", "1mg/kg"],
]


def test_the_command_prints_the_words_before_the_table(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main([*COMMAND, "--dissociation-at-least", "50", "--systolic-limit", "170"]) == 0
    out = capsys.readouterr().out
    assert out.index("not an order") < out.index("Forecast of each option")
    assert "60 mg/h" in out
    assert "above 170" in out


def test_the_command_speaks_json(capsys):
    assert main([*COMMAND, "--peak", "150-300", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [option["dose_mg"] for option in found["options"]] == [24, 40, 80]
    assert [option["meets"] for option in found["options"]] == [False, True, False]
    assert found["target"]["peak_low_ng_per_ml"] == 150
    assert found["ranges"][0]["low_mg"] < 40 < found["ranges"][0]["high_mg"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], "Say what the session should reach"),
        (["--peak", "300"], "Write a range in ng/mL, such as 150-300"),
        (["--dissociation-at-least", "150"], "from 0 to 100"),
        (["--sedation-at-most", "few"], "Write a number alone"),
        (["--sedation-at-most", "5", "--dose", "40"], "Write an amount and its unit"),
    ],
)
def test_the_command_refuses_in_one_line(more, says, capsys):
    assert main([*COMMAND, *more]) == 2
    err = capsys.readouterr().err
    assert err.startswith("openketamine guidance: ")
    assert err.count("\n") == 1
    assert says in err
