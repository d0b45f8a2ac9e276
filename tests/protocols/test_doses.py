"""Doses by every route: devices, injections, lozenges, long infusions, and what may come next."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openketamine import protocols
from openketamine.protocols import regimens
from openketamine.protocols.schema import Dose

LIBRARY = protocols.load()
DEVICE = LIBRARY.regimens["esketamine-trd-us"].device


# The label: 28 mg (32.3 mg of the hydrochloride) in 0.2 mL, two sprays, five minutes' rest.
@pytest.mark.parametrize(
    ("dose_mg", "count", "sprays", "volume_ml", "salt_mg", "at_least_min"),
    [(28, 1, 2, 0.2, 32.3, 0), (56, 2, 4, 0.4, 64.6, 5), (84, 3, 6, 0.6, 96.9, 10)],
)
def test_a_dose_of_esketamine_is_so_many_devices(
    dose_mg, count, sprays, volume_ml, salt_mg, at_least_min
):
    worked = regimens.devices(DEVICE, dose_mg=dose_mg)
    assert (worked.devices, worked.sprays, worked.at_least_min) == (count, sprays, at_least_min)
    assert (worked.volume_ml, worked.salt_mg) == (volume_ml, salt_mg)
    assert worked.steps[0].startswith(f"{dose_mg} mg ÷ 28 mg a device = {count}")


@pytest.mark.parametrize("dose_mg", [30, 55.9, 1])
def test_half_a_device_is_no_dose(dose_mg):
    with pytest.raises(ValueError, match="not a whole number of devices of 28 mg"):
        regimens.devices(DEVICE, dose_mg=dose_mg)


@settings(max_examples=200, deadline=None)
@given(
    per_kg=st.integers(1, 300).map(lambda n: n / 100),
    weight_kg=st.integers(3000, 25000).map(lambda n: n / 100),
    strength=st.sampled_from([10.0, 50.0, 100.0]),
)
def test_an_injection_is_drawn_up_as_it_was_worked_out(per_kg, weight_kg, strength):
    worked = regimens.injection(
        dose_mg_per_kg=per_kg, weight_kg=weight_kg, concentration_mg_per_ml=strength
    )
    dose = Fraction(str(worked.dose_mg))
    assert abs(dose - Fraction(str(per_kg)) * Fraction(str(weight_kg))) <= Fraction(5, 100)
    assert abs(Fraction(str(worked.volume_ml)) - dose / Fraction(strength)) <= Fraction(5, 1000)
    assert len(worked.steps) == 2


@pytest.mark.parametrize(
    ("dose_mg", "units"),
    [
        (50, ((50.0, 1),)),
        (100, ((100.0, 1),)),
        (150, ((100.0, 1), (50.0, 1))),
        (400, ((100.0, 4),)),
    ],
)
def test_lozenges_are_counted_in_as_few_as_can_be(dose_mg, units):
    assert regimens.counted([50, 100], dose_mg=dose_mg).units == units


def test_a_dose_between_two_lozenges_names_its_neighbours():
    with pytest.raises(ValueError, match="the nearest are 100 mg and 150 mg"):
        regimens.counted([50, 100], dose_mg=125)
    with pytest.raises(ValueError, match="the nearest are nothing and 50 mg"):
        regimens.counted([50, 100], dose_mg=20)
    with pytest.raises(ValueError, match="no strength"):
        regimens.counted([], dose_mg=20)


@given(st.integers(1, 12), st.lists(st.sampled_from([10, 25, 50, 100]), min_size=1, unique=True))
def test_what_is_counted_out_is_the_dose(pieces, strengths):
    dose_mg = pieces * max(strengths)
    worked = regimens.counted(strengths, dose_mg=dose_mg)
    assert sum(strength * count for strength, count in worked.units) == dose_mg
    assert sum(count for _, count in worked.units) == pieces


def test_a_long_infusion_is_worked_out_with_its_bolus():
    worked = regimens.infusion_at_rate(
        rate=0.5,
        unit="mg/kg/h",
        weight_kg=80,
        duration_min=180,
        concentration_mg_per_ml=10,
        bolus_mg_per_kg=0.35,
    )
    assert (worked.rate_mg_per_h, worked.bolus_mg, worked.total_mg) == (40, 28, 148)
    assert worked.volume_ml == 14.8
    pain = LIBRARY.regimens["pain-iv"]
    assert regimens.check_rate(pain, worked, duration_min=180) == []


def test_a_long_infusion_that_falls_short_of_the_guideline_says_by_how_much():
    worked = regimens.infusion_at_rate(
        rate=0.5, unit="mg/kg/h", weight_kg=60, duration_min=120, concentration_mg_per_ml=10
    )
    short = regimens.check_rate(LIBRARY.regimens["pain-iv"], worked, duration_min=120)
    assert short[0].startswith("60 mg in all is less than the 80 mg")
    assert short[1].startswith("120 min is not longer than the 120 min")


def test_twenty_two_milligrams_an_hour_for_four_days_need_no_weight():
    dose = LIBRARY.regimens["pain-crps-days"].dose
    worked = regimens.infusion_at_rate(
        rate=dose.amount,
        unit=dose.unit,
        weight_kg=None,
        duration_min=dose.duration_min,
        concentration_mg_per_ml=10,
    )
    assert worked.total_mg == 22 * 96


@pytest.mark.parametrize(
    "wrong", [{"weight_kg": None}, {"rate": 0}, {"duration_min": -1}, {"bolus_mg_per_kg": -0.1}]
)
def test_a_long_infusion_without_its_figures_is_refused(wrong):
    quantities = {
        "rate": 0.5,
        "unit": "mg/kg/h",
        "weight_kg": 70,
        "duration_min": 180,
        "concentration_mg_per_ml": 10,
    }
    with pytest.raises(ValueError, match=r"above zero|below zero|weight is unknown"):
        regimens.infusion_at_rate(**{**quantities, **wrong})


# Day 1 by the label and by place, then the doses open afterwards.
@pytest.mark.parametrize(
    ("regimen", "first", "then"),
    [
        ("esketamine-trd-us", (56,), (56, 84)),
        ("esketamine-trd-eu", (56,), (56, 84)),
        ("esketamine-trd-eu-65", (28,), (28, 56)),
        ("esketamine-mdsi-us", (84,), (56, 84)),
        ("esketamine-emergency-eu", (84,), (56, 84)),
    ],
)
def test_the_doses_of_the_spray_on_day_1_and_after(regimen, first, then):
    plan = LIBRARY.regimens[regimen]
    start = regimens.next_dose(plan)
    assert (start.options, start.proposed) == (first, first[0])
    assert regimens.next_dose(plan, [first[0]], tolerated=True).options == then


def test_from_65_in_the_eu_the_third_dose_may_be_84_mg():
    plan = LIBRARY.regimens["esketamine-trd-eu-65"]
    assert regimens.next_dose(plan, [28, 56], tolerated=True).options == (28, 56, 84)


def test_a_dose_that_was_not_tolerated_is_proposed_lower_and_never_higher():
    plan = LIBRARY.regimens["esketamine-trd-us"]
    after = regimens.next_dose(plan, [56, 84], tolerated=False)
    assert (after.options, after.proposed) == ((56, 84), 56)


def test_whether_a_dose_was_tolerated_is_asked_before_it_may_rise():
    after = regimens.next_dose(LIBRARY.regimens["esketamine-trd-us"], [56])
    assert after.options == (56,)
    assert after.questions == ("Was the last dose tolerated?",)


def test_the_oral_trial_climbs_from_half_to_three_milligrams_per_kilogram():
    plan = LIBRARY.regimens["oral-suicidality"]
    assert regimens.next_dose(plan).proposed == 0.5
    reached, given_ = [], [0.5]
    for _ in range(8):
        given_.append(regimens.next_dose(plan, given_, tolerated=True).highest)
        reached.append(given_[-1])
    assert reached == [1.0, 1.5, 2.0, 2.5, 3.0, 3.0, 3.0, 3.0]


WITH_DOSE = [r for r in LIBRARY.regimens.values() if r.dose]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(WITH_DOSE), st.lists(st.sampled_from([True, False, None]), max_size=8))
def test_no_dose_passes_the_highest_or_rises_unasked(regimen, answers):
    given_ = []
    for tolerated in [None, *answers]:
        before = regimens.next_dose(regimen, given_, tolerated=tolerated)
        assert regimen.dose.lowest <= before.lowest <= before.highest <= regimen.dose.highest
        assert before.reasons
        if given_ and tolerated is not True:
            assert before.highest <= given_[-1]
        given_.append(before.highest)


def test_a_regimen_that_leaves_its_dose_unset_says_why():
    for name in ("im-kap", "sl-home-tablet", "sc-home"):
        regimen = LIBRARY.regimens[name]
        assert not regimen.is_set
        with pytest.raises(ValueError, match="medical director"):
            regimens.next_dose(regimen)


def test_the_place_and_the_age_choose_the_regimen_and_an_unknown_age_leaves_both():
    def names(**kwargs):
        found = regimens.suited(LIBRARY, route="IN_ESKETAMINE", condition="TRD", **kwargs)
        return [regimen.id for regimen in found]

    assert names(jurisdiction="US", age_years=70) == ["esketamine-trd-us"]
    assert names(jurisdiction="US-CA") == ["esketamine-trd-us"]
    assert names(jurisdiction="EU", age_years=64.9) == ["esketamine-trd-eu"]
    assert names(jurisdiction="EU", age_years=65) == ["esketamine-trd-eu-65"]
    assert names(jurisdiction="EU") == ["esketamine-trd-eu", "esketamine-trd-eu-65"]


@pytest.mark.parametrize(
    "broken",
    [
        {"kind": "devices", "unit": "mg", "lowest": 28, "highest": 84},
        {"kind": "by weight", "unit": "mg", "lowest": 1, "highest": 2},
        {"kind": "by weight", "unit": "mg/kg", "lowest": 2, "highest": 1},
        {"kind": "by weight", "unit": "mg/kg", "lowest": 1, "highest": 2, "amount": 3},
        {"kind": "by weight", "unit": "mg/kg", "lowest": 1, "highest": 2, "step_least": 1},
        {
            "kind": "by weight",
            "unit": "mg/kg",
            "lowest": 1,
            "highest": 2,
            "amount": 1,
            "duration_min": 40,
            "parts": [{"dose_mg_per_kg": 0.9, "duration_min": 40}],
        },
    ],
)
def test_a_dose_that_does_not_hang_together_is_refused(broken):
    with pytest.raises(ValueError, match="validation error"):
        Dose.model_validate(broken)


def test_every_unchecked_figure_of_a_dose_is_clinic_policy():
    signed = {entry.id for entry in LIBRARY.policy}
    for regimen in LIBRARY.regimens.values():
        if regimen.certainty in {"recalled", "DESIGN"}:
            assert regimen.id in signed
        for item in (*regimen.limits, *regimen.missed, *regimen.stop):
            assert (item.id in signed) == (item.authority == "clinic policy")
