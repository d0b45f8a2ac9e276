"""Doses and limits of an infusion."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openketamine import protocols

REGIMEN = protocols.load().regimens["iv-depression"]


def hundredths(low: int, high: int) -> st.SearchStrategy[float]:
    return st.integers(low, high).map(lambda number: number / 100)


def test_the_course_is_half_a_milligram_per_kilogram_over_forty_minutes_six_times():
    assert (REGIMEN.dose_mg_per_kg, REGIMEN.duration_min, REGIMEN.sessions) == (0.5, 40, 6)


def test_the_sum_is_shown_as_one_works_it_by_hand():
    worked = protocols.dose_arithmetic(
        dose_mg_per_kg=0.5, weight_kg=80.3, concentration_mg_per_ml=10, duration_min=40
    )
    assert (worked.dose_mg, worked.volume_ml, worked.rate_mg_per_h) == (40.2, 4.02, 60.3)
    assert worked.steps == [
        "0.5 mg/kg × 80.3 kg = 40.15, rounded 40.2 mg",
        "40.2 mg ÷ 10 mg/mL = 4.02 mL",
        "40.2 mg ÷ 40 min × 60 = 60.3 mg/h",
        "40.2 mg ÷ 10 mg/mL ÷ 40 min × 60 = 6.03, rounded 6 mL/h",
    ]


@settings(max_examples=300, deadline=None)
@given(
    dose_mg_per_kg=hundredths(10, 75),
    weight_kg=hundredths(3000, 25000),
    concentration_mg_per_ml=st.sampled_from([10.0, 50.0, 100.0]),
    duration_min=st.integers(40, 100).map(float),
)
def test_what_is_drawn_up_and_pumped_is_the_dose(
    dose_mg_per_kg, weight_kg, concentration_mg_per_ml, duration_min
):
    worked = protocols.dose_arithmetic(
        dose_mg_per_kg=dose_mg_per_kg,
        weight_kg=weight_kg,
        concentration_mg_per_ml=concentration_mg_per_ml,
        duration_min=duration_min,
    )
    exact = Fraction(str(dose_mg_per_kg)) * Fraction(str(weight_kg))
    dose = Fraction(str(worked.dose_mg))
    assert abs(dose - exact) <= Fraction(5, 100)
    strength = Fraction(concentration_mg_per_ml)
    assert abs(Fraction(str(worked.volume_ml)) - dose / strength) <= Fraction(5, 1000)
    rate = dose * 60 / Fraction(duration_min)
    assert abs(Fraction(str(worked.rate_mg_per_h)) - rate) <= Fraction(5, 100)
    assert abs(Fraction(str(worked.rate_ml_per_h)) - rate / strength) <= Fraction(5, 100)
    # A half goes up, as on paper.
    assert dose == Fraction((exact * 10 + Fraction(1, 2)).__floor__(), 10)


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf")])
@pytest.mark.parametrize(
    "name", ["dose_mg_per_kg", "weight_kg", "concentration_mg_per_ml", "duration_min"]
)
def test_a_quantity_that_is_not_above_zero_is_refused(name, wrong):
    quantities = {
        "dose_mg_per_kg": 0.5,
        "weight_kg": 80,
        "concentration_mg_per_ml": 10,
        "duration_min": 40,
    }
    with pytest.raises(ValueError, match="must be above zero"):
        protocols.dose_arithmetic(**{**quantities, name: wrong})


@pytest.mark.parametrize(
    ("quantity", "value", "rule"),
    [
        ("dose_mg_per_kg", 0.1, None),
        ("dose_mg_per_kg", 0.75, None),
        ("dose_mg_per_kg", 0.76, "IV-LIMIT-DOSE"),
        ("dose_mg_per_kg", 0.09, "IV-LIMIT-DOSE"),
        ("dose_mg_per_kg", float("nan"), "IV-LIMIT-DOSE"),
        ("duration_min", 2, "IV-LIMIT-TIME"),
        ("duration_min", 101, "IV-LIMIT-TIME"),
        ("sessions", 9, "IV-LIMIT-COUNT"),
        ("sessions", 0, "IV-LIMIT-COUNT"),
    ],
)
def test_a_plan_outside_policy_is_told_in_words(quantity, value, rule):
    plan = {"dose_mg_per_kg": 0.5, "duration_min": 40, "sessions": 6, quantity: value}
    findings = protocols.check_plan(REGIMEN, plan)
    assert [finding.limit.id for finding in findings] == ([rule] if rule else [])
    for finding in findings:
        assert "outside the clinic's policy" in finding.message
        assert finding.limit.unit in finding.message


def test_a_dose_above_policy_names_the_limits():
    (finding,) = protocols.check_plan(
        REGIMEN, {"dose_mg_per_kg": 2, "duration_min": 40, "sessions": 6}
    )
    assert finding.message == (
        "Dose 2 mg/kg is outside the clinic's policy of 0.1 to 0.75 mg/kg (IV-LIMIT-DOSE)."
    )
