"""The forecast of a session: what it says, what it learns, and that its intervals hold."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openketamine.pharmacology import (
    Dose,
    Forecast,
    Person,
    RateSegment,
    Reading,
    load_model,
    model_for,
)

from .simulated import Patient, session

PERSON = Person(age_years=43, weight_kg=82, sex="female")
BASELINE = {"systolic_mmhg": 128, "diastolic_mmhg": 79, "heart_rate_bpm": 72}
INFUSION = [RateSegment(0, 40, 61.5)]
SCORES = ("dissociation_0_10", "sedation_moaas", "nausea_0_10")
VITALS = ("systolic_mmhg", "diastolic_mmhg", "heart_rate_bpm")


def begun(**more) -> Forecast:
    given = {"seed": 1, "n": 512} | more
    return Forecast.start(load_model("racemic-iv"), PERSON, BASELINE, INFUSION, **given)


def vitals(time: float, systolic: float, diastolic: float, rate: float) -> list[Reading]:
    return [
        Reading(time, name, value)
        for name, value in zip(VITALS, (systolic, diastolic, rate), strict=True)
    ]


def width(forecast: Forecast, quantity: str, time: float, *, of_readings: bool = False) -> float:
    curve = forecast.quantiles([time], of_readings=of_readings).quantities[quantity]
    return float(curve.values[4, 0] - curve.values[0, 0])


def median(forecast: Forecast, quantity: str, time: float) -> float:
    return float(forecast.quantiles([time]).quantities[quantity].values[2, 0])


def test_it_says_what_to_expect_before_the_start():
    forecast = begun()
    curves = forecast.quantiles()
    assert list(curves.quantities) == [
        "ketamine",
        "norketamine",
        "effect_site",
        *VITALS,
        "p_dissociation",
        "p_strong_dissociation",
        "p_sedation",
        "p_nausea",
        "p_clear",
    ]
    for name, quantity in curves.quantities.items():
        assert quantity.values.shape == (5, 49), name
        assert (np.diff(quantity.values, axis=0) >= 0).all(), name
        assert np.isfinite(quantity.values).all(), name
    assert 12 < median(forecast, "systolic_mmhg", 40) - 128 < 20
    marks = forecast.milestones()
    order = [mark.median_min for mark in marks.values()]
    assert list(marks) == ["onset", "peak", "wearing_off", "recovered", "ready_to_go_home"]
    assert order == sorted(order)
    assert 38 <= marks["peak"].median_min <= 43


def test_going_home_waits_for_the_clinics_own_minimum():
    marks = begun().milestones(earliest_home_min=120)
    assert marks["ready_to_go_home"].low_min >= 120


@pytest.mark.parametrize(
    ("drug", "route", "dose"),
    [
        ("racemic", "iv", Dose(0, 41, "iv", 40)),
        ("racemic", "im", Dose(0, 41, "im")),
        ("racemic", "sc", Dose(0, 41, "sc")),
        ("racemic", "nasal", Dose(0, 50, "nasal")),
        ("racemic", "sublingual", Dose(0, 100, "sublingual")),
        ("racemic", "oral", Dose(0, 100, "oral")),
        ("s-ketamine", "iv", Dose(0, 20, "iv", 40)),
        ("esketamine", "nasal", Dose(0, 84, "nasal")),
        ("esketamine", "sublingual", Dose(0, 50, "sublingual")),
    ],
)
def test_every_drug_and_route_has_a_forecast(drug, route, dose):
    forecast = Forecast.start(model_for(drug, route), PERSON, BASELINE, [dose], n=256)
    forecast.update([dose], vitals(30, 139, 84, 77))
    for name, quantity in forecast.quantiles().quantities.items():
        assert np.isfinite(quantity.values).all(), name
        assert quantity.values[4].max() > 0 or name.startswith("p_"), name
    assert forecast.weights.sum() == pytest.approx(1)


def test_a_reading_moves_the_forecast_towards_itself_and_narrows_it():
    forecast = begun()
    before, spread = median(forecast, "systolic_mmhg", 40), width(forecast, "systolic_mmhg", 40)
    forecast.update(INFUSION, [*vitals(10, 146, 90, 80), *vitals(20, 160, 99, 84)])
    assert median(forecast, "systolic_mmhg", 40) > before + 5
    assert width(forecast, "systolic_mmhg", 40) < 0.85 * spread


def test_diastolic_alone_teaches_of_systolic():
    forecast = begun()
    before = median(forecast, "systolic_mmhg", 40)
    forecast.update(INFUSION, [Reading(20, "diastolic_mmhg", 105)])
    assert median(forecast, "systolic_mmhg", 40) > before + 2


def test_a_wild_artefact_is_seen_for_what_it_is():
    forecast = begun().update(INFUSION, vitals(20, 140, 86, 77))
    before = median(forecast, "systolic_mmhg", 40)
    forecast.update(INFUSION, [*vitals(20, 140, 86, 77), Reading(25, "systolic_mmhg", 255)])
    assert abs(median(forecast, "systolic_mmhg", 40) - before) < 1.0
    assert forecast.judged[-1].artefact > 0.95
    assert max(judged.artefact for judged in forecast.judged[:-1]) < 0.05


def test_a_rise_that_stays_is_believed_though_its_first_reading_was_doubted():
    readings = vitals(20, 140, 86, 77)
    forecast = begun().update(INFUSION, readings)
    for time in (25, 28, 31, 34):
        readings.append(Reading(time, "systolic_mmhg", 192))
    forecast.update(INFUSION, readings)
    assert median(forecast, "systolic_mmhg", 36) > 175
    assert forecast.probability_above("systolic_mmhg", 180, within_min=5) > 0.5


def test_dropouts_are_passed_over():
    some = vitals(10, 140, 86, 77)
    gaps = [Reading(12, "systolic_mmhg", None), Reading(14, "heart_rate_bpm", float("nan"))]
    np.testing.assert_array_equal(
        begun().update(INFUSION, some).quantiles([40]).quantities["systolic_mmhg"].values,
        begun().update(INFUSION, some + gaps).quantiles([40]).quantities["systolic_mmhg"].values,
    )


def test_a_pause_is_followed_and_what_was_learned_is_kept():
    readings = vitals(15, 155, 95, 84)
    running = begun().update(INFUSION, readings)
    paused = begun().update(INFUSION, readings)
    paused.update([RateSegment(0, 16, 61.5), RateSegment(30, 54, 61.5)], readings)
    assert median(paused, "ketamine", 29) < 0.7 * median(running, "ketamine", 29)
    assert median(paused, "ketamine", 54) > 0.9 * median(running, "ketamine", 40)
    assert paused.milestones()["peak"].median_min == pytest.approx(54, abs=2)
    assert median(paused, "systolic_mmhg", 54) > 150
    stopped = begun().update([RateSegment(0, 16, 61.5)], readings)
    assert median(stopped, "systolic_mmhg", 54) < median(paused, "systolic_mmhg", 54) - 8


def test_a_forecast_of_days_has_a_coarser_grid_and_the_same_curves():
    long, usual = begun(horizon_min=4320), begun()
    for name in ("ketamine", "systolic_mmhg", "p_dissociation"):
        assert median(long, name, 40) == pytest.approx(median(usual, name, 40), rel=0.05)
    assert 0 < median(long, "norketamine", 1440) < median(long, "norketamine", 480)


def test_the_rise_is_the_drugs_part_of_a_vital_sign():
    rises = begun().rises([0, 40, 240])
    assert rises["systolic_mmhg"].values[2, 0] == 0
    assert rises["systolic_mmhg"].mean[1] == pytest.approx(16, abs=1.5)
    assert abs(rises["systolic_mmhg"].values[2, 2]) < 3


def test_a_faster_rate_raises_what_is_ahead_and_not_what_was():
    faster = begun().update([RateSegment(0, 20, 61.5), RateSegment(20, 40, 123)], ())
    usual = begun()
    assert median(faster, "ketamine", 15) == pytest.approx(median(usual, "ketamine", 15))
    assert median(faster, "ketamine", 40) > 1.4 * median(usual, "ketamine", 40)
    assert faster.probability_above("systolic_mmhg", 150, within_min=60) > (
        usual.probability_above("systolic_mmhg", 150, within_min=60)
    )


def test_it_is_the_same_whether_told_piece_by_piece_or_at_once():
    readings = [*vitals(10, 141, 86, 80), *vitals(20, 152, 92, 81), *vitals(30, 158, 95, 82)]
    slowly = begun()
    for count in (3, 6, 9):
        slowly.update(INFUSION, readings[:count])
    at_once = begun().update(INFUSION, readings[::-1])
    for name, quantity in at_once.quantiles().quantities.items():
        np.testing.assert_array_equal(quantity.values, slowly.quantiles().quantities[name].values)


def test_a_corrected_reading_leaves_no_trace():
    wrong = begun().update(INFUSION, vitals(20, 190, 118, 80))
    wrong.update(INFUSION, vitals(20, 140, 86, 80))
    right = begun().update(INFUSION, vitals(20, 140, 86, 80))
    np.testing.assert_array_equal(
        wrong.quantiles().quantities["systolic_mmhg"].values,
        right.quantiles().quantities["systolic_mmhg"].values,
    )


def test_a_reading_at_a_wrong_time_leaves_no_trace_either():
    right = begun().update(INFUSION, vitals(20, 140, 86, 80))
    wrong = begun().update(INFUSION, vitals(900, 140, 86, 80))
    assert wrong.quantiles().times_min[-1] >= 930
    wrong.update(INFUSION, vitals(20, 140, 86, 80))
    np.testing.assert_array_equal(wrong.quantiles().times_min, right.quantiles().times_min)
    np.testing.assert_array_equal(
        wrong.quantiles().quantities["systolic_mmhg"].values,
        right.quantiles().quantities["systolic_mmhg"].values,
    )
    with pytest.raises(ValueError, match="in minutes from the start"):
        wrong.update(INFUSION, vitals(1e9, 140, 86, 80))


def test_a_late_dose_is_looked_past():
    late = begun().update([*INFUSION, RateSegment(400, 440, 61.5)], ())
    assert late.quantiles().times_min[-1] >= 600
    assert late.milestones()["recovered"].median_min > 440


def test_the_seed_decides():
    one, same, other = begun(seed=4), begun(seed=4), begun(seed=5)
    assert median(one, "ketamine", 40) == median(same, "ketamine", 40)
    assert median(one, "ketamine", 40) != median(other, "ketamine", 40)


def test_what_is_felt_and_said_teaches_of_this_person():
    asked = [Reading(t, "dissociation_0_10", 0) for t in (20, 30, 40)]
    calm = begun().update(INFUSION, asked)
    deep = begun().update(INFUSION, [Reading(t, "dissociation_0_10", 8) for t in (20, 30, 40)])

    def chance(forecast: Forecast) -> float:
        return float(forecast.quantiles([40]).quantities["p_dissociation"].mean[0])

    assert chance(calm) < chance(begun()) - 0.15
    assert chance(deep) > chance(begun()) + 0.1
    assert deep.milestones()["recovered"].median_min > calm.milestones()["recovered"].median_min


def test_a_measured_concentration_teaches_of_kinetics():
    forecast = begun().update(INFUSION, [Reading(40, "ketamine", 400)])
    assert median(forecast, "ketamine", 40) > 1.15 * median(begun(), "ketamine", 40)
    assert width(forecast, "ketamine", 60) < 1.3 * width(begun(), "ketamine", 60)


def test_weights_that_degenerate_are_resampled_and_moved():
    # Ten assays far from the usual leave few versions alive.
    readings = [
        Reading(t, "ketamine", 1.7 * v)
        for t, v in zip((10, 20, 30, 40, 50, 60), (135, 195, 235, 240, 170, 150), strict=True)
    ]
    forecast = begun(n=1024).update(INFUSION, readings)
    assert forecast.effective_people > 300
    assert median(forecast, "ketamine", 40) == pytest.approx(1.7 * 240, rel=0.12)
    values = forecast.quantiles([40]).quantities["ketamine"].values[:, 0]
    assert len(np.unique(values)) == 5


def test_what_was_learned_is_carried_over_as_json_and_the_second_forecast_is_narrower():
    first = begun(n=1024)
    rise = {10: 12, 20: 19, 30: 24, 40: 27, 55: 15, 70: 10, 90: 6, 120: 3}
    readings = [r for t, up in rise.items() for r in vitals(t, 128 + up, 79 + 0.7 * up, 75)]
    first.update(INFUSION, readings)
    carried = json.loads(json.dumps(first.carry_over()))
    second = begun(n=1024, carried=carried)
    fresh = begun(n=1024)
    assert second.sessions_learned_from == 1
    for name in ("systolic_mmhg", "diastolic_mmhg"):
        assert width(second, name, 40) < 0.96 * width(fresh, name, 40)
        assert median(second, name, 40) > median(fresh, name, 40) + 2
    assert len(json.dumps(carried)) < 10_000


def test_another_route_next_time_takes_over_effects_and_not_kinetics():
    first = begun().update(INFUSION, [*vitals(20, 165, 100, 88), *vitals(40, 175, 105, 90)])
    spray = [Dose(0, 84, "nasal")]
    model = model_for("esketamine", "nasal")
    known = Forecast.start(model, PERSON, BASELINE, spray, n=512, carried=first.carry_over())
    fresh = Forecast.start(model, PERSON, BASELINE, spray, n=512)
    assert median(known, "systolic_mmhg", 40) > median(fresh, "systolic_mmhg", 40) + 1
    assert median(known, "esketamine", 40) == pytest.approx(median(fresh, "esketamine", 40))


def test_intervals_hold_over_simulated_patients_and_sessions():
    """90 % intervals cover 85-95 % of held-back readings, artefacts and dropouts and all.

    A larger study is in benchmarks/forecast_calibration.py.
    """
    model = load_model("racemic-iv")
    at = [10.0, 20, 30, 40, 55, 70, 90, 120]
    rng = np.random.default_rng(20)
    inside: dict[object, list[bool]] = {}
    widths: dict[int, list[float]] = {0: [], 1: []}
    for number in range(70):
        patient = Patient.drawn(model, PERSON, rng)
        carried = None
        for which in (0, 1):
            done = session(patient, INFUSION, at, rng)
            forecast = Forecast.start(
                model, PERSON, done.baseline, INFUSION, seed=number, n=256, carried=carried
            )
            widths[which].append(width(forecast, "systolic_mmhg", 40))
            for known_until in (0.0, 25.0, 60.0):
                seen = [r for r in done.readings if r.time_min <= known_until]
                forecast.update(INFUSION, seen)
                curves = forecast.quantiles(at)
                for reading in done.readings:
                    if reading.value is None or reading.time_min <= known_until:
                        continue
                    row = curves.quantities[reading.quantity].values
                    column = at.index(reading.time_min)
                    holds = bool(row[0, column] <= reading.value <= row[4, column])
                    for group in ("all", which, known_until, reading.quantity):
                        inside.setdefault(group, []).append(holds)
            carried = forecast.update(INFUSION, done.readings).carry_over()
    for group, held in inside.items():
        assert 0.85 <= np.mean(held) <= 0.95, (group, np.mean(held), len(held))
    assert np.mean(widths[1]) < 0.93 * np.mean(widths[0])


@given(
    values=st.lists(
        st.tuples(
            st.floats(-30, 200),
            st.sampled_from(
                [*VITALS, "dissociation_0_10", "sedation_moaas", "nausea_0_10", "ketamine"]
            ),
            st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True)),
        ),
        max_size=12,
    )
)
@settings(max_examples=40, deadline=None)
def test_no_readings_however_mad_break_the_weights(values):
    forecast = begun(n=64).update(INFUSION, [Reading(*value) for value in values])
    assert np.isfinite(forecast.weights).all()
    assert forecast.weights.sum() == pytest.approx(1)
    for name, quantity in forecast.quantiles([0, 40, 100]).quantities.items():
        assert np.isfinite(quantity.values).all(), name
        assert (np.diff(quantity.values, axis=0) >= 0).all(), name


@given(
    pump=st.lists(
        st.tuples(st.floats(0, 20), st.floats(0.5, 40), st.floats(0, 400)), min_size=1, max_size=5
    ),
    systolic=st.floats(90, 190),
)
@settings(max_examples=25, deadline=None)
def test_any_history_of_the_pump_has_a_forecast(pump, systolic):
    doses, time = [], 0.0
    for pause, length, rate in pump:
        doses.append(RateSegment(time + pause, time + pause + length, rate))
        time += pause + length
    forecast = begun(n=64).update(doses, [Reading(15, "systolic_mmhg", systolic)])
    for name, quantity in forecast.quantiles().quantities.items():
        assert np.isfinite(quantity.values).all(), name
    ready = forecast.milestones()["ready_to_go_home"]
    assert ready.median_min is None or ready.median_min >= doses[-1].end_min
    # What a pump that stopped for good has not given, nobody has.
    assert forecast.quantiles().quantities["ketamine"].values.min() >= 0


@given(limit=st.floats(60, 260), more=st.floats(0, 60), within=st.floats(1, 120))
@settings(max_examples=30, deadline=None)
def test_a_higher_limit_is_never_likelier_to_be_passed(limit, more, within):
    forecast = begun(n=64)
    low = forecast.probability_above("systolic_mmhg", limit, within_min=within)
    high = forecast.probability_above("systolic_mmhg", limit + more, within_min=within)
    assert 0 <= high <= low <= 1 + 1e-12


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda: begun(n=3), "64 to 65535"),
        (lambda: begun(horizon_min=0), "horizon"),
        (lambda: begun(carried={"format": 9}), "carry it over anew"),
        (lambda: begun().update([], ()), "at least one dose"),
        (lambda: begun().update([Dose(0, 40, "oral")], ()), "no route 'oral'"),
        (lambda: begun().update(INFUSION, [Reading(1, "spo2", 98)]), "Unknown quantity 'spo2'"),
        (lambda: begun().quantiles([0, 500]), "reaches to 240"),
        (lambda: begun().quantiles(probabilities=[0.5, 0.1]), "rise"),
        (lambda: begun().probability_above("mood", 3), "Unknown vital sign"),
        (
            lambda: Forecast.start(
                load_model("racemic-iv"), PERSON, {"systolic_mmhg": 1280}, INFUSION
            ),
            "1280 is not possible",
        ),
    ],
)
def test_errors_say_what_was_wrong(act, says):
    with pytest.raises(ValueError, match=says):
        act()


def test_a_refused_update_changes_nothing():
    forecast = begun().update(INFUSION, vitals(10, 141, 86, 80))
    before = forecast.quantiles().quantities["systolic_mmhg"].values
    with pytest.raises(ValueError, match="Unknown quantity"):
        forecast.update(INFUSION, [Reading(20, "mood", 3)])
    np.testing.assert_array_equal(before, forecast.quantiles().quantities["systolic_mmhg"].values)


def test_an_unknown_baseline_widens_the_forecast_and_is_said():
    nothing = Forecast.start(load_model("racemic-iv"), PERSON, {}, INFUSION, n=512)
    assert width(nothing, "systolic_mmhg", 40) > 1.5 * width(begun(), "systolic_mmhg", 40)
    assert any("No baseline" in warning for warning in nothing.warnings)
