"""Doses and rates, and the elementary inputs that a model makes of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openketamine.pharmacology import (
    Dose,
    Kinetics,
    Person,
    RateSegment,
    load_model,
    repeat,
    typical_parameters,
)
from openketamine.pharmacology.dosing import (
    begins_min,
    dose_warnings,
    elementary_inputs,
    ends_min,
    total_dose_mg,
)

PERSON = Person(age_years=40, weight_kg=70, ancestry="other")
SPRAY = load_model("perez-ruixo-2021-esketamine")


def inputs_of(model_id: str, doses: list[Dose | RateSegment]):
    model = load_model(model_id)
    return elementary_inputs(model, typical_parameters(model, PERSON, doses[0].route), doses)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"dose_mg": 0.0}, "above 0 mg"),
        ({"dose_mg": -5.0}, "above 0 mg"),
        ({"dose_mg": float("nan")}, "above 0 mg"),
        ({"dose_mg": 35_000.0}, "Check its unit"),
        ({"route": "rectal"}, "iv, im, sc, nasal, sublingual, oral"),
        ({"time_min": float("inf")}, "number of minutes"),
        ({"duration_min": -1.0}, "0 minutes or more"),
        ({"route": "im", "duration_min": 5.0}, "leave it out for im"),
        ({"duration_min": 40.0, "every_min": 30.0}, "longer than each one takes"),
    ],
)
def test_an_impossible_dose_is_refused(values: dict, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Dose(**({"time_min": 0.0, "dose_mg": 35.0, "route": "iv"} | values))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"end_min": 0.0}, "end after it starts"),
        ({"end_min": float("inf")}, "time at which the rate ends"),
        ({"rate_mg_per_h": -1.0}, "0 mg/h or more"),
        ({"rate_mg_per_h": 1e6}, "Check its unit"),
        ({"route": "oral"}, "Only iv and sc"),
    ],
)
def test_an_impossible_rate_is_refused(values: dict, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        RateSegment(**({"start_min": 0.0, "end_min": 10.0, "rate_mg_per_h": 30.0} | values))


def test_a_spray_of_two_devices_is_given_five_minutes_apart() -> None:
    together = inputs_of(SPRAY.id, [Dose(3, 56, "nasal")])
    apart = inputs_of(SPRAY.id, [Dose(3, 28, "nasal"), Dose(8, 28, "nasal")])
    for name in ("target", "start_min", "duration_min", "amount_mg"):
        np.testing.assert_array_equal(getattr(together, name), getattr(apart, name))
    assert dose_warnings(SPRAY, [Dose(3, 56, "nasal")])[0].startswith(
        "56 mg is taken as 2 devices of 28 mg, 5 min apart"
    )
    assert not dose_warnings(SPRAY, [Dose(3, 28, "nasal"), Dose(8, 28, "nasal")])


def test_a_dose_that_is_no_whole_number_of_devices_is_refused() -> None:
    with pytest.raises(ValueError, match=r"1 of 28 mg and one of 12 mg"):
        inputs_of(SPRAY.id, [Dose(0, 40, "nasal")])


def test_later_devices_contribute_less_and_a_new_session_starts_afresh() -> None:
    one, two, again = (
        inputs_of(SPRAY.id, doses).amount_mg[0::2, 0]
        for doses in (
            [Dose(0, 28, "nasal")],
            [Dose(0, 28, "nasal"), Dose(5, 28, "nasal")],
            [Dose(0, 28, "nasal"), Dose(3 * 1440, 28, "nasal")],
        )
    )
    assert one[0] == pytest.approx(28 * 0.54)
    assert two.tolist() == pytest.approx([28 * 0.54, 28 * 0.54 * 0.62])
    assert again.tolist() == pytest.approx([28 * 0.54, 28 * 0.54])


def test_a_swallowed_part_meets_the_gut_wall_and_takes_its_time() -> None:
    found = inputs_of(SPRAY.id, [Dose(0, 28, "nasal")])
    assert found.amount_mg[:, 0].tolist() == pytest.approx([28 * 0.54, 28 * 0.46 * 0.64])
    assert found.duration_min[:, 0].tolist() == pytest.approx([0, 60 * 0.53])


def test_bioavailability_of_the_racemic_spray_falls_with_the_dose() -> None:
    fractions = [
        inputs_of("racemic-nasal", [Dose(0, mg, "nasal")]).amount_mg[0, 0] / mg
        for mg in (10, 30, 50)
    ]
    assert fractions == pytest.approx([0.17, 0.13, 0.11], rel=0.05)


def test_a_route_the_model_lacks_names_those_it_has() -> None:
    with pytest.raises(ValueError, match=r"no route 'oral'. It covers: iv"):
        inputs_of("racemic-iv", [Dose(0, 35, "iv"), Dose(0, 35, "oral")])


def test_doses_beyond_those_studied_are_said_to_be() -> None:
    assert not dose_warnings(load_model("racemic-nasal"), [Dose(0, 30, "nasal")])
    warned = dose_warnings(load_model("racemic-nasal"), [Dose(0, 150, "nasal")])
    assert "outside the doses studied (10 to 50 mg)" in warned[0]


def test_a_repeated_dose_keeps_its_interval() -> None:
    assert [d.time_min for d in repeat(Dose(5, 50, "oral"), every_min=480, times=3)] == [
        5,
        485,
        965,
    ]
    with pytest.raises(ValueError, match="at least once"):
        repeat(Dose(0, 50, "oral"), every_min=480, times=0)


moments = st.floats(-100, 500)
routes = st.sampled_from(["iv", "nasal"])
durations = st.floats(0, 120)
regimens = st.lists(
    st.one_of(
        st.builds(Dose, moments, st.floats(0.1, 28), routes),
        st.builds(Dose, moments, st.floats(0.1, 500), st.just("iv"), durations),
        st.builds(
            lambda start, lasts, rate: RateSegment(start, start + lasts, rate),
            moments,
            st.floats(0.1, 120),
            st.floats(0, 300),
        ),
    ),
    min_size=1,
    max_size=5,
)


@given(regimens)
def test_what_enters_is_what_is_given_less_what_the_routes_lose(doses: list) -> None:
    parameters = typical_parameters(SPRAY, PERSON)
    inputs = elementary_inputs(SPRAY, parameters, doses)
    assert (inputs.amount_mg >= 0).all()
    entered = inputs.amount_mg.sum()
    assert entered <= total_dose_mg(doses) * (1 + 1e-12)
    if all(d.route == "iv" for d in doses):
        assert entered == pytest.approx(total_dose_mg(doses), rel=1e-12, abs=1e-12)
    if inputs.target.size:
        assert inputs.start_min.min() >= min(begins_min(d) for d in doses) - 1e-9
        assert max(ends_min(d) for d in doses) >= min(begins_min(d) for d in doses)


@given(regimens, st.floats(0.1, 3.0))
def test_concentrations_are_in_proportion_to_what_is_given(doses: list, factor: float) -> None:
    model = load_model("otto-2021-s-ketamine-iv")
    doses = [d for d in doses if d.route == "iv"]
    more = [
        RateSegment(d.start_min, d.end_min, d.rate_mg_per_h * factor)
        if isinstance(d, RateSegment)
        else Dose(d.time_min, d.dose_mg * factor, "iv", d.duration_min)
        for d in doses
    ]
    kinetics = Kinetics(model, typical_parameters(model, PERSON))
    times = np.arange(0, 600, 20.0)
    once, scaled = kinetics.at(doses, times), kinetics.at(more, times)
    for name in once:
        rounding = 1e-9 * max(1.0, float(scaled[name].max()))
        np.testing.assert_allclose(scaled[name], once[name] * factor, rtol=1e-9, atol=rounding)
