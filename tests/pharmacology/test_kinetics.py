"""The solver against an independent integrator, closed forms, and itself."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from openketamine.pharmacology import (
    EFFECT_SITE,
    Dose,
    Kinetics,
    Model,
    Parameters,
    Person,
    RateSegment,
    concentrations,
    exposure,
    load_model,
    population,
    repeat,
    sample_parameters,
    typical_parameters,
)

PERSON = Person(age_years=43, weight_kg=82, sex="female", ancestry="other")


def model_of(
    rates: dict[tuple[str, str | None], float],
    *,
    analytes: dict[str, str],
    entries: dict[str, list[dict[str, Any]]],
    chains: list[dict[str, Any]] | None = None,
) -> Model:
    """A model in the same format as the published ones, with these rates per minute."""
    states = list(dict.fromkeys(s for pair in rates for s in pair if s is not None))
    chains = chains or []
    states = [s for s in states if s not in {c["name"] for c in chains}]
    return Model.model_validate(
        {
            "id": "made-up",
            "title": "made up",
            "drugs": ["racemic"],
            "matrix": "venous",
            "population": "none",
            "source": {"citation": "none"},
            "summary": "for a test",
            "time_unit": "min",
            "reference": {},
            "s_fraction": 0.5,
            "parameters": {
                "one": {"value": 1, "unit": "L", "meaning": "unit volume", "certainty": "DESIGN"}
            },
            "states": states,
            "flows": [
                {"from": a, "to": b, "rate": repr(float(rate))} for (a, b), rate in rates.items()
            ],
            "chains": chains,
            "routes_of_dose": {route: {"paths": paths} for route, paths in entries.items()},
            "analytes": {
                name: {
                    "state": state,
                    "volume": "one",
                    "meaning": name,
                    "residual": {"certainty": "DESIGN"},
                }
                for name, state in analytes.items()
            },
        }
    )


def integrated(kinetics: Kinetics, doses: list[Dose | RateSegment], times: np.ndarray) -> dict:
    """The same question to SciPy's stiff integrator, written from the model file's own flows."""
    from openketamine.pharmacology.dosing import elementary_inputs
    from openketamine.pharmacology.expressions import evaluate

    model, parameters = kinetics.model, kinetics.parameters
    assert len(parameters) == 1
    named = parameters.named()
    states = list(model.all_states)
    unit = model.minutes_per_unit
    k = np.zeros((len(states), len(states)))
    for flow in model.all_flows:
        rate = evaluate(flow.rate, named, 1)[0] / unit
        k[states.index(flow.from_), states.index(flow.from_)] -= rate
        if flow.to is not None:
            k[states.index(flow.to), states.index(flow.from_)] += rate
    inputs = elementary_inputs(model, parameters, doses)
    begin, lasts = inputs.start_min[:, 0], inputs.duration_min[:, 0]
    turns = sorted({*begin, *(begin + lasts), times[-1] + 1e-9})
    x = np.zeros(len(states))
    seen = np.zeros((len(states), times.size))
    for at, until in itertools.pairwise(turns):
        given = np.zeros(len(states))
        for e, target in enumerate(inputs.target):
            if lasts[e] == 0 and begin[e] == at:
                x[target] += inputs.amount_mg[e, 0]
            if lasts[e] > 0 and begin[e] <= at < begin[e] + lasts[e]:
                given[target] += inputs.amount_mg[e, 0] / lasts[e]
        inside = (times >= at) & (times < until)
        found = solve_ivp(
            lambda t, y, given=given: k @ y + given,
            (at, until),
            x,
            method="LSODA",
            jac=lambda t, y: k,
            t_eval=np.append(times[inside], until),
            rtol=1e-12,
            atol=1e-14,
        )
        assert found.success
        seen[:, inside] = found.y[:, :-1]
        x = found.y[:, -1]
    return {
        name: 1000 * a.factor * seen[states.index(a.state)] / evaluate(a.volume, named, 1)[0]
        for name, a in model.analytes.items()
    }


def assert_agrees(
    kinetics: Kinetics, doses: list[Dose | RateSegment], times: np.ndarray, **found: np.ndarray
) -> None:
    """To 1e-8 of the curve's peak, which is looked for between the times, too."""
    fine = np.union1d(times, np.arange(times[0], times[-1], 0.5))
    at = np.searchsorted(fine, times)
    for name, wanted in integrated(kinetics, doses, fine).items():
        peak = max(float(wanted.max()), 1e-9)
        assert np.abs(found[name][0] - wanted[at]).max() <= 1e-8 * peak, name


def clock_minutes(most: float) -> st.SearchStrategy[float]:
    """Moments as a clock can tell them: an integrator cannot step over 1e-196 of a minute."""
    return st.floats(0, most).map(lambda minute: round(minute, 6))


# Per minute: half-lives from half a minute to two days.
rate = st.floats(min_value=2.5e-4, max_value=1.5)


@st.composite
def regimens(draw: st.DrawFn) -> tuple[Model, list[Dose | RateSegment]]:
    peripherals = draw(st.integers(0, 3))
    loops = draw(st.booleans())
    rates: dict[tuple[str, str | None], float] = {("depot", "central"): draw(rate)}
    for i in range(peripherals):
        rates["central", f"p{i}"] = draw(rate)
        rates[f"p{i}", "central"] = draw(rate)
    if loops and peripherals >= 2:
        rates["p0", "p1"] = draw(rate)
    rates["central", "made"] = draw(rate)
    rates["central", None] = draw(rate)
    rates["made", None] = draw(rate)
    if draw(st.booleans()):
        rates["made", "held"] = draw(rate)
        rates["held", "made"] = draw(rate)
    transit = draw(st.integers(1, 4))
    chain = {
        "name": "transit",
        "compartments": transit,
        "rate": repr(draw(rate)),
        "to": "made",
        "fraction": repr(draw(st.floats(0.1, 1.0))),
    }
    # Equal rates in a row are the hard case of a modal solver, so they come up often.
    if draw(st.booleans()):
        rates["depot", "central"] = rates["central", None]
    model = model_of(
        rates,
        analytes={"parent": "central", "metabolite": "made"},
        entries={
            "iv": [{"to": "central", "fraction": "1"}],
            "oral": [
                {"to": "depot", "fraction": "0.3", "lag": repr(draw(clock_minutes(20)))},
                {"to": "transit", "fraction": "0.5"},
            ],
            "nasal": [
                {"to": "depot", "fraction": "0.6", "over": repr(draw(st.floats(0.5, 60)))},
            ],
        },
        chains=[chain],
    )
    minutes = clock_minutes(200)
    mg = st.floats(0.5, 200)
    dose = st.one_of(
        st.builds(Dose, minutes, mg, st.just("iv"), st.one_of(st.just(0.0), st.floats(0.5, 120))),
        st.builds(Dose, minutes, mg, st.sampled_from(["oral", "nasal"])),
        st.builds(
            lambda start, length, mg_per_h: RateSegment(start, start + length, mg_per_h),
            minutes,
            st.floats(0.5, 90),
            # Far below 1 mg/h the integrator's own absolute tolerance would be what is seen.
            st.one_of(st.just(0.0), st.floats(1, 200)),
        ),
    )
    return model, draw(st.lists(dose, min_size=1, max_size=5))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(regimens())
def test_agrees_with_a_stiff_integrator(case: tuple[Model, list[Dose | RateSegment]]) -> None:
    model, doses = case
    kinetics = Kinetics(model, typical_parameters(model, PERSON))
    for times in (np.linspace(0, 480, 61), np.array([0.0, 1.0, 7.5, 31.0, 200.0, 479.0])):
        assert_agrees(kinetics, doses, times, **kinetics.at(doses, times))


def loop_of(rates: dict[tuple[str, str | None], float]) -> Model:
    return model_of(
        rates,
        analytes={"drug": "a", "other": "c"},
        entries={"iv": [{"to": "x" if ("x", "y") in rates else "a", "fraction": "1"}]},
    )


@pytest.mark.parametrize(
    ("model", "by_modes"),
    [
        (load_model("racemic-iv"), True),
        (load_model("perez-ruixo-2021-esketamine"), True),
        # Two pairs of equal compartments in a row: told apart, they would cost too many digits.
        (load_model("simons-2022-s-ketamine-film"), False),
        # Exchange round a cycle has no symmetric form.
        (loop_of({("a", "b"): 0.3, ("b", "c"): 0.2, ("c", "a"): 0.1, ("a", None): 0.05}), False),
        # Three equal rates in a row are one mode three times.
        (loop_of({("a", "b"): 0.1, ("b", "c"): 0.1, ("c", None): 0.1}), False),
        # One pair of equal ones is told apart symmetrically.
        (loop_of({("x", "y"): 0.1, ("y", "a"): 0.1, ("a", "c"): 0.02, ("c", None): 0.3}), True),
        # All but equal, and seen between: no split is allowed.
        (loop_of({("a", "c"): 0.1, ("c", "b"): 0.1 + 1e-9, ("b", None): 0.02}), False),
    ],
)
def test_each_way_of_solving_is_used_where_it_serves_and_agrees(
    model: Model, by_modes: bool
) -> None:
    kinetics = Kinetics(model, typical_parameters(model, PERSON))
    route = model.routes[0]
    over = 30.0 if route == "iv" else 0.0
    doses: list[Dose | RateSegment] = [Dose(0, 28, route, over), Dose(45, 10, route)]
    times = np.linspace(0, 300, 61)
    found = kinetics.at(doses, times)
    assert kinetics._modes is not None
    assert bool(kinetics._modes.good[0]) is by_modes
    assert_agrees(kinetics, doses, times, **found)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(regimens(), st.floats(200, 1440), st.floats(1, 200))
def test_steady_state_is_the_fixed_point_of_one_interval(
    case: tuple[Model, list[Dose | RateSegment]], every_min: float, dose_mg: float
) -> None:
    """Against SciPy's matrix exponential: what one interval leaves is what it began with."""
    from openketamine.pharmacology.dosing import elementary_inputs
    from openketamine.pharmacology.expressions import evaluate

    model, _ = case
    parameters = typical_parameters(model, PERSON)
    kinetics = Kinetics(model, parameters)
    states = list(model.all_states)
    k = np.zeros((len(states), len(states)))
    for flow in model.all_flows:
        rate_per_min = evaluate(flow.rate, parameters.named(), 1)[0]
        k[states.index(flow.from_), states.index(flow.from_)] -= rate_per_min
        if flow.to is not None:
            k[states.index(flow.to), states.index(flow.from_)] += rate_per_min
    dose = Dose(0, dose_mg, "nasal", every_min=every_min)
    entry = 0
    inputs = elementary_inputs(model, parameters, [dose])
    lasts = inputs.duration_min[entry, 0]
    # dx/dt = k x + b while it enters, then k x: one interval by the augmented exponential.
    b = np.zeros(len(states))
    b[inputs.target[entry]] = inputs.amount_mg[entry, 0] / lasts
    augmented = np.zeros((len(states) + 1, len(states) + 1))
    augmented[:-1, :-1], augmented[:-1, -1] = k, b
    entered = expm(augmented * lasts)[:-1, -1]
    left = expm(k * (every_min - lasts)) @ entered
    start = np.linalg.solve(np.eye(len(states)) - expm(k * every_min), left)
    times = np.array([0.0, lasts, lasts + 40.0, lasts + 120.0])
    at_end = expm(k * lasts) @ start + entered
    wanted = np.array([start, at_end, expm(k * 40.0) @ at_end, expm(k * 120.0) @ at_end])
    found = kinetics.at([dose], times)
    for name, analyte in model.analytes.items():
        curve = 1000 * wanted[:, states.index(analyte.state)]
        np.testing.assert_allclose(found[name][0], curve, rtol=0, atol=1e-8 * curve.max())


@pytest.mark.parametrize(
    ("model_id", "doses"),
    [
        ("perez-ruixo-2021-esketamine", [Dose(0, 28, "nasal"), Dose(5, 28, "nasal")]),
        ("perez-ruixo-2021-esketamine", [Dose(0, 84, "oral")]),
        ("otto-2021-s-ketamine-iv", [RateSegment(0, 20, 52.5), RateSegment(25, 45, 30)]),
        ("simons-2022-s-ketamine-film", [Dose(0, 50, "sublingual"), Dose(30, 5, "iv")]),
        ("racemic-nasal", [Dose(0, 30, "nasal"), Dose(15, 10, "iv", 10)]),
    ],
)
def test_published_models_agree_with_a_stiff_integrator(
    model_id: str, doses: list[Dose | RateSegment]
) -> None:
    model = load_model(model_id)
    people = sample_parameters(model, PERSON, 6, seed=3)
    times = np.linspace(0, 600, 121)
    together = Kinetics(model, people).at(doses, times)
    for i in range(6):
        alone = Kinetics(model, people.take(slice(i, i + 1)))
        own = {name: conc[i : i + 1] for name, conc in together.items()}
        assert_agrees(alone, doses, times, **own)


def one_compartment(elimination: float = 0.02) -> Model:
    return model_of(
        {("central", None): elimination},
        analytes={"drug": "central"},
        entries={"iv": [{"to": "central", "fraction": "1"}]},
    )


def test_bolus_is_the_closed_form() -> None:
    model = one_compartment()
    times = np.linspace(0, 300, 31)
    found = concentrations(model, typical_parameters(model, PERSON), [Dose(0, 10, "iv")], times)
    np.testing.assert_allclose(found["drug"][0], 1e4 * np.exp(-0.02 * times), rtol=1e-13)


def test_infusion_climbs_to_rate_over_clearance() -> None:
    model = one_compartment()
    found = concentrations(
        model, typical_parameters(model, PERSON), [RateSegment(0, 5000, 60)], [0, 50, 4999]
    )
    np.testing.assert_allclose(
        found["drug"][0], [0, 5e4 * -np.expm1(-1.0), 5e4 * -np.expm1(-0.02 * 4999)], rtol=1e-12
    )


def test_nothing_is_there_before_the_first_dose_and_a_dose_counts_at_once() -> None:
    model = one_compartment()
    found = concentrations(
        model, typical_parameters(model, PERSON), [Dose(10, 10, "iv")], [0, 9.999, 10]
    )
    assert found["drug"][0].tolist() == [0, 0, 1e4]


def test_a_pause_is_the_same_as_two_infusions() -> None:
    model = load_model("racemic-iv")
    parameters = sample_parameters(model, PERSON, 5, seed=1)
    times = np.arange(0, 200, 5.0)
    paused = [RateSegment(0, 20, 60), RateSegment(20, 30, 0), RateSegment(30, 50, 60)]
    twice = [Dose(0, 20, "iv", 20), Dose(30, 20, "iv", 20)]
    a = concentrations(model, parameters, paused, times)
    b = concentrations(model, parameters, twice, times)
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-10, atol=1e-12)


def test_times_may_come_in_any_order() -> None:
    model = load_model("racemic-iv")
    parameters = sample_parameters(model, PERSON, 3, seed=1)
    doses = [Dose(0, 35, "iv", 40)]
    times = np.array([60.0, 5.0, 40.0, 5.0])
    mixed = concentrations(model, parameters, doses, times)["ketamine"]
    for i, time in enumerate(times):
        alone = concentrations(model, parameters, doses, [time])["ketamine"][:, 0]
        np.testing.assert_allclose(mixed[:, i], alone, rtol=1e-12)


@pytest.mark.parametrize(
    ("model_id", "dose"),
    [
        ("otto-2021-s-ketamine-iv", Dose(0, 35, "iv", 40, every_min=720)),
        ("racemic-oral", Dose(0, 50, "oral", every_min=480)),
        ("simons-2022-s-ketamine-film", Dose(0, 50, "sublingual", every_min=720)),
    ],
)
def test_steady_state_is_where_repeated_doses_lead(model_id: str, dose: Dose) -> None:
    model = load_model(model_id)
    people = sample_parameters(model, PERSON, 4, seed=9)
    assert dose.every_min is not None
    times = np.arange(0, dose.every_min, 30.0)
    steady = concentrations(model, people, [dose], times)
    first = Dose(-400 * dose.every_min, dose.dose_mg, dose.route, dose.duration_min)
    history = repeat(first, every_min=dose.every_min, times=401)
    repeated = concentrations(model, people, history, times)
    for name in steady:
        peak = repeated[name].max()
        np.testing.assert_allclose(steady[name], repeated[name], rtol=1e-7, atol=1e-8 * peak)


def test_effect_site_lags_the_blood_and_meets_it_at_rest() -> None:
    model = one_compartment(0.01)
    parameters = typical_parameters(model, PERSON)
    kinetics = Kinetics(model, parameters, ke0_per_min=0.0835)
    found = kinetics.at([RateSegment(0, 5000, 60)], [5, 4999.0])
    assert found[EFFECT_SITE][0, 0] < 0.5 * found["drug"][0, 0]
    np.testing.assert_allclose(found[EFFECT_SITE][0, 1], found["drug"][0, 1], rtol=1e-9)
    bolus = kinetics.at([Dose(0, 10, "iv")], [20.0])[EFFECT_SITE][0, 0]
    closed = 1e4 * 0.0835 / (0.0835 - 0.01) * (np.exp(-0.2) - np.exp(-0.0835 * 20))
    np.testing.assert_allclose(bolus, closed, rtol=1e-10)


def test_areas_are_dose_over_clearance_and_grow_to_it() -> None:
    model = load_model("otto-2021-s-ketamine-iv")
    parameters = sample_parameters(model, PERSON, 20, seed=2)
    kinetics = Kinetics(model, parameters)
    doses = [Dose(0, 35, "iv", 40)]
    whole = kinetics.auc_inf(doses)["S-ketamine"]
    np.testing.assert_allclose(whole, 35_000 / parameters.column("CL"), rtol=1e-10)
    times = np.linspace(0, 600, 60_001)
    conc = kinetics.at(doses, times)["S-ketamine"]
    sampled = np.trapezoid(conc, times, axis=1) / 60
    np.testing.assert_allclose(kinetics.auc_until(doses, 600)["S-ketamine"], sampled, rtol=1e-6)


def test_area_until_the_middle_of_an_infusion_counts_what_was_given() -> None:
    model = load_model("racemic-iv")
    kinetics = Kinetics(model, sample_parameters(model, PERSON, 3, seed=2))
    doses = [RateSegment(0, 60, 50)]
    times = np.linspace(0, 30, 30_001)
    sampled = np.trapezoid(kinetics.at(doses, times)["ketamine"], times, axis=1) / 60
    np.testing.assert_allclose(kinetics.auc_until(doses, 30)["ketamine"], sampled, rtol=1e-6)


def test_exposure_finds_the_peak_of_an_infusion_at_its_end() -> None:
    model = load_model("racemic-iv")
    kinetics = Kinetics(model, sample_parameters(model, PERSON, 50, seed=4))
    found = exposure(kinetics, [Dose(0, 35, "iv", 40)])["ketamine"]
    assert (found.tmax_min == 40).all()
    np.testing.assert_allclose(
        found.cmax_ng_per_ml, kinetics.at([Dose(0, 35, "iv", 40)], [40.0])["ketamine"][:, 0]
    )


def test_people_taken_from_an_ensemble_keep_their_curves() -> None:
    model = load_model("simons-2022-s-ketamine-film")
    kinetics = Kinetics(model, sample_parameters(model, PERSON, 40, seed=5))
    doses, times = [Dose(0, 50, "sublingual")], np.arange(0, 240, 10.0)
    before = kinetics.at(doses, times)
    chosen = np.array([3, 3, 39, 0])
    after = kinetics.take(chosen).at(doses, times)
    for name in before:
        np.testing.assert_array_equal(after[name], before[name][chosen])


def test_threads_and_pieces_do_not_change_the_answer() -> None:
    model = load_model("racemic-iv")
    parameters = sample_parameters(model, PERSON, 1000, seed=6)
    doses, times = [Dose(0, 35, "iv", 40)], np.arange(0, 1440, 5.0)
    one = Kinetics(model, parameters).at(doses, times, threads=1)
    two = Kinetics(model, parameters).at(doses, times, threads=2)
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])


def test_a_population_in_chunks_has_the_people_asked_for() -> None:
    model = load_model("racemic-iv")
    chunks = list(
        population(model, PERSON, 250, [Dose(0, 35, "iv", 40)], [40.0, 80.0], seed=1, chunk=100)
    )
    assert [len(chunk["ketamine"]) for chunk in chunks] == [100, 100, 50]
    assert not np.array_equal(chunks[0]["ketamine"], chunks[1]["ketamine"])


def test_a_model_without_elimination_keeps_everything() -> None:
    model = model_of(
        {("central", "tissue"): 0.1, ("tissue", "central"): 0.1},
        analytes={"drug": "central"},
        entries={"iv": [{"to": "central", "fraction": "1"}]},
    )
    found = concentrations(model, typical_parameters(model, PERSON), [Dose(0, 1, "iv")], [0, 1e4])
    np.testing.assert_allclose(found["drug"][0], [1000, 500], rtol=1e-9)


def test_parameters_of_another_model_are_refused() -> None:
    otto = load_model("otto-2021-s-ketamine-iv")
    with pytest.raises(ValueError, match="not of model racemic-iv"):
        Kinetics(load_model("racemic-iv"), typical_parameters(otto, PERSON))


def test_a_negative_rate_is_refused() -> None:
    model = load_model("otto-2021-s-ketamine-iv")
    good = typical_parameters(model, PERSON)
    for name in ("CL", "Q1", "Vp1"):
        values = good.values.copy()
        values[:, good.names.index(name)] *= -1
        with pytest.raises(ValueError, match="negative or not a number"):
            Kinetics(model, Parameters(good.names, values, values))


def test_a_volume_must_be_above_nothing() -> None:
    model = load_model("otto-2021-s-ketamine-iv")
    good = typical_parameters(model, PERSON)
    with pytest.raises(ValueError, match="not above 0"):
        Kinetics(model, Parameters(good.names, -good.values, -good.values))


def test_times_must_be_numbers() -> None:
    model = load_model("racemic-iv")
    kinetics = Kinetics(model, typical_parameters(model, PERSON))
    with pytest.raises(ValueError, match="row of numbers"):
        kinetics.at([Dose(0, 1, "iv")], [0.0, np.nan])
