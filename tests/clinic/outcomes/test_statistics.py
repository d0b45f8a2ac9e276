"""Every figure against an independent computation, and against published worked examples."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from openketamine.clinic.outcomes import statistics

# Freireich and others 1963, as printed by Gehan 1965 and in every textbook of survival since:
# weeks of remission of acute leukaemia on 6-mercaptopurine; 0 marks those still in remission.
SIX_MP = (
    [6, 6, 6, 7, 10, 13, 16, 22, 23, 6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35],
    [1] * 9 + [0] * 12,
)
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]


def test_it_works():
    found = statistics.proportion(17, 24)
    assert found.share == pytest.approx(0.7083333)
    assert 0 < found.low < found.share < found.high < 1


@given(n=st.integers(1, 500), share=st.floats(0, 1))
def test_the_exact_interval_agrees_with_scipy(n, share):
    count = round(share * n)
    found = statistics.exact_proportion(count, n)
    reference = stats.binomtest(count, n).proportion_ci(method="exact")
    assert math.isclose(found.low, reference.low, abs_tol=1e-6)
    assert math.isclose(found.high, reference.high, abs_tol=1e-6)


def test_no_event_in_a_hundred_sessions_has_an_upper_limit_of_three_point_six_percent():
    found = statistics.exact_proportion(0, 100)
    assert (found.low, found.high) == (0.0, pytest.approx(1 - 0.025 ** (1 / 100)))


def test_of_nobody_nothing_is_said():
    for of_nobody in (statistics.proportion(0, 0), statistics.exact_proportion(0, 0)):
        assert of_nobody.share is of_nobody.low is of_nobody.high is None
    assert statistics.kaplan_meier([], []) is None


def test_kaplan_meier_gives_the_textbook_remission_table_of_six_mercaptopurine():
    found = statistics.kaplan_meier(*SIX_MP)
    # Printed in Kleinbaum and Klein, and in Collett: week, at risk, S.
    for week, at_risk, survival in (
        (6, 21, 0.8571), (7, 17, 0.8067), (10, 15, 0.7529), (13, 12, 0.6902),
        (16, 11, 0.6275), (22, 7, 0.5378), (23, 6, 0.4482),
    ):  # fmt: skip
        place = found.days.tolist().index(week)
        assert found.at_risk[place] == at_risk
        assert found.survival[place] == pytest.approx(survival, abs=5e-5)
    median, low, high = found.median
    assert (median, low, high) == (23, 13, None)  # R, survfit(conf.type = "log-log")
    assert found.n == 21


def test_kaplan_meier_of_the_placebo_arm_falls_to_nothing_at_week_23():
    found = statistics.kaplan_meier(PLACEBO, [1] * 21)
    assert found.median[0] == 8
    assert found.survival[-1] == 0
    assert math.isnan(found.low[-1])


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=2, max_size=80).filter(
        lambda pairs: any(event for _, event in pairs)
    )
)
def test_kaplan_meier_agrees_with_lifelines(pairs):
    from lifelines import KaplanMeierFitter

    days, events = zip(*pairs, strict=True)
    found = statistics.kaplan_meier(days, events)
    reference = KaplanMeierFitter().fit(days, events)
    lows, highs = (reference.confidence_interval_.iloc[:, i].to_numpy() for i in (0, 1))
    for day, survival, low, high in zip(
        reference.survival_function_.index,
        reference.survival_function_["KM_estimate"],
        lows,
        highs,
        strict=True,
    ):
        ours = found.at(day)
        assert ours[0] == pytest.approx(survival, abs=1e-6)
        if 0 < survival < 1:
            assert ours[1:3] == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))
    # Where just half are left, rounding decides which day lifelines takes.
    if not np.any(np.isclose(found.survival, 0.5)):
        assert (found.median[0] or math.inf) == reference.median_survival_time_
    table = reference.event_table
    mine = dict(
        zip(found.days, zip(found.at_risk, found.events, found.censored, strict=True), strict=True)
    )
    for day in set(days):
        row = table.loc[day]
        assert mine[day] == (row["at_risk"], row["observed"], row["censored"])


@pytest.mark.parametrize("days", [[-1, 2], [math.nan, 2], [math.inf, 2]])
def test_a_time_that_cannot_be_is_refused(days):
    with pytest.raises(ValueError, match="negative or no number"):
        statistics.kaplan_meier(days, [1, 1])


def _limit_by_counting(centre: float, n: int, probability: float) -> float:
    """Spiegelhalter's definition, word for word, one count after the other."""
    for count in range(n + 1):
        reached = stats.binom.cdf(count, n, centre)
        if reached >= probability:
            below = stats.binom.cdf(count - 1, n, centre)
            return min(max((count - (reached - probability) / (reached - below)) / n, 0), 1)
    raise AssertionError


@settings(max_examples=60)
@given(
    centre=st.floats(0.01, 0.99),
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=12),
    level=st.sampled_from([0.95, 0.998]),
)
def test_control_limits_are_exact(centre, sizes, level):
    lower, upper = statistics.binomial_limits(centre, sizes, level)
    for i, n in enumerate(sizes):
        tail = (1 - level) / 2
        assert lower[i] == pytest.approx(_limit_by_counting(centre, n, tail), abs=1e-6)
        assert upper[i] == pytest.approx(_limit_by_counting(centre, n, 1 - tail), abs=1e-6)


def test_a_funnel_about_nothing_has_no_width():
    assert statistics.binomial_limits(0.0, [5, 10], 0.95)[1].tolist() == [0, 0]
    with pytest.raises(ValueError, match="denominators above 0"):
        statistics.binomial_limits(0.5, [0], 0.95)


def test_a_mean_has_the_interval_of_student():
    sample = [3.0, 5.0, 4.5, 7.0, 1.0]
    found = statistics.mean(sample)
    low, high = stats.t.interval(0.95, 4, loc=np.mean(sample), scale=stats.sem(sample))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert statistics.mean([2.0]).low is None
    assert statistics.mean([]).mean is None


# Potthoff and Roy 1964: the distance from the pituitary to the pterygomaxillary fissure, mm, of 27
# children at 8, 10, 12 and 14 years. `Orthodont` in R's nlme.
ORTHODONT = (
    "26 25 29 31|21.5 22.5 23 26.5|23 22.5 24 27.5|25.5 27.5 26.5 27|20 23.5 22.5 26|"
    "24.5 25.5 27 28.5|22 22 24.5 26.5|24 21.5 24.5 25.5|23 20.5 31 26|27.5 28 31 31.5|"
    "23 23 23.5 25|21.5 23.5 24 28|17 24.5 26 29.5|22.5 25.5 25.5 26|23 24.5 26 30|"
    "22 21.5 23.5 25|21 20 21.5 23|21 21.5 24 25.5|20.5 24 24.5 26|23.5 24.5 25 26.5|"
    "21.5 23 22.5 23.5|20 21 21 22.5|21.5 22.5 23 25|23 23 23.5 24|20 21 22 21.5|"
    "16.5 19 19 19.5|24.5 25 28 28"
)


def _orthodont() -> tuple[list[int], list[int], list[float]]:
    rows = [[float(v) for v in row.split()] for row in ORTHODONT.split("|")]
    return (
        [i for i in range(27) for _ in range(4)],
        [j for _ in range(27) for j in range(4)],
        [v for row in rows for v in row],
    )


def test_the_mixed_model_of_balanced_data_is_the_analysis_of_variance():
    """With nothing missing, restricted likelihood gives the means and the ANOVA's own variances."""
    people, visits, values = _orthodont()
    found = statistics.mixed_model(people, visits, values, ["8", "10", "12", "14"])
    table = np.array(values).reshape(27, 4)
    assert found.means == pytest.approx(table.mean(axis=0), abs=1e-6)
    residual = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    within = (residual**2).sum() / (26 * 3)
    between = (4 * table.mean(1).var(ddof=1) - within) / 4
    assert found.sd_within**2 == pytest.approx(within, rel=1e-6)
    assert found.sd_between**2 == pytest.approx(between, rel=1e-6)
    assert (found.n_people, found.n_scores, found.counts) == (27, 108, (27, 27, 27, 27))


def _restricted_likelihood(
    people: np.ndarray, design: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float, float, float]:
    """By the definition, with whole covariance matrices, and nothing of any library's model."""

    def solve(log_between: float, log_within: float):
        v = np.exp(2 * log_within) * np.eye(len(values))
        v += np.exp(2 * log_between) * (people[:, None] == people[None, :])
        inverse = np.linalg.inv(v)
        information = design.T @ inverse @ design
        beta = np.linalg.solve(information, design.T @ inverse @ values)
        rest = values - design @ beta
        minus_twice = (
            np.linalg.slogdet(v)[1] + np.linalg.slogdet(information)[1] + rest @ inverse @ rest
        )
        return minus_twice, beta, np.linalg.inv(information)

    best = optimize.minimize(
        lambda theta: solve(*theta)[0], [0.5, 0.5], method="Nelder-Mead",
        options={"xatol": 1e-10, "fatol": 1e-12, "maxiter": 4000},
    )  # fmt: skip
    _, beta, spread = solve(*best.x)
    free = len(values) - design.shape[1]
    likelihood = -0.5 * (best.fun + free * math.log(2 * math.pi))
    return beta, spread, math.exp(best.x[0]), math.exp(best.x[1]), likelihood


def test_the_mixed_model_agrees_with_the_likelihood_written_out_where_scores_are_missing():
    people, visits, values = (np.array(column) for column in _orthodont())
    kept = np.random.default_rng(7).random(len(values)) > 0.25
    people, visits, values = people[kept], visits[kept], values[kept]
    found = statistics.mixed_model(people, visits, values, ["8", "10", "12", "14"])
    beta, spread, between, within, likelihood = _restricted_likelihood(
        people, np.eye(4)[visits], values
    )
    assert found.log_likelihood == pytest.approx(likelihood, abs=1e-6)
    assert found.means == pytest.approx(beta, abs=1e-6)
    assert (found.sd_between, found.sd_within) == (
        pytest.approx(between, abs=1e-6),
        pytest.approx(within, abs=1e-6),
    )
    half = 1.959963984540054 * math.sqrt(spread[3, 3] + spread[0, 0] - 2 * spread[0, 3])
    assert found.change_high[3] - found.change[3] == pytest.approx(half, abs=1e-6)
    assert found.change[0] == found.change_low[0] == 0


def test_the_mixed_model_is_what_statsmodels_gives_for_the_same_formula():
    import pandas as pd
    from statsmodels.formula.api import mixedlm

    people, visits, values = (np.array(column) for column in _orthodont())
    kept = np.random.default_rng(11).random(len(values)) > 0.3
    frame = pd.DataFrame({"y": values[kept], "v": visits[kept].astype(str), "who": people[kept]})
    reference = mixedlm("y ~ 0 + C(v)", frame, groups=frame["who"]).fit(method="bfgs", gtol=1e-7)
    found = statistics.mixed_model(
        people[kept], visits[kept], values[kept], ["8", "10", "12", "14"]
    )
    assert found.means == pytest.approx(reference.fe_params.to_numpy(), abs=1e-6)
    assert found.log_likelihood == pytest.approx(reference.llf, abs=1e-6)


@pytest.mark.parametrize(
    ("people", "visits", "scores", "because"),
    [
        ([], [], [], "two scores"),
        ([1, 2, 3], [0, 0, 1], [1.0, 2.0, 3.0], "two scores"),
        ([1, 1, 2, 2], [0, 1, 0, 1], [1.0, 2.0, 3.0, 4.0], "too few people"),
        (list(range(6)) * 2, [0] * 6 + [1] * 6, [3.0] * 12, "too few people"),
    ],
)
def test_what_cannot_be_fitted_says_why(people, visits, scores, because):
    with pytest.raises(statistics.CannotFitError, match=because):
        statistics.mixed_model(people, visits, scores, ["before", "after"])
