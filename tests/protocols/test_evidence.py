"""Published results come with the package, each with its source; an unread figure is no zero."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from openketamine.protocols import evidence

HEADER = (
    "trial,year,design,population,condition,n_arm,arm,route,dose,dose_unit,schedule,instrument,"
    "endpoint,time_h,value,unit,spread,spread_kind,comparison,source,certainty,notes\n"
)


def test_it_works():
    found = evidence.results()
    assert len(found) > 300
    assert all(each.source for each in found)
    assert {each.certainty for each in found} == {"verified", "recalled"}


def test_six_infusions_of_2013_carry_their_n_and_their_interval():
    (result,) = (
        each
        for each in evidence.results()
        if each.trial.startswith("Murrough 2013")
        and each.endpoint == "response"
        and each.value == 70.8
    )
    assert result.n_arm == 24
    low, high = binomtest(17, 24).proportion_ci(method="wilson")
    assert result.interval.how == "Wilson, from n"
    assert result.interval.low == pytest.approx(100 * low, abs=0.1)
    assert result.interval.high == pytest.approx(100 * high, abs=0.1)


def test_a_figure_that_was_not_seen_is_none_and_has_no_interval():
    unseen = [each for each in evidence.results() if each.value is None]
    assert unseen
    assert all("left out" in each.notes and each.interval is None for each in unseen)


def test_a_percentage_without_n_has_no_interval():
    without = [
        each
        for each in evidence.results()
        if each.unit == "percent" and each.n_arm is None and not each.spread
    ]
    assert without
    assert all(each.interval is None for each in without)


@given(n=st.integers(1, 2000), share=st.floats(0, 1))
def test_wilson_agrees_with_scipy(n, share):
    count = round(share * n)
    low, high = evidence.wilson(count, n)
    reference = binomtest(count, n).proportion_ci(method="wilson")
    assert math.isclose(low, reference.low, abs_tol=1e-12)
    assert math.isclose(high, reference.high, abs_tol=1e-12)


GOOD = "A,2020,d,p,TRD,10,k,iv,0.5,mg/kg,once,MADRS,response,24,70,percent,,,none,s,verified,"


@pytest.mark.parametrize(
    ("part", "broken", "because"),
    [
        ("response", "cure", "cure"),
        ("none,s,", "none,,", "without a source"),
        (",,,none", ",3,ci95,none", "spread"),
        (",70,", ",x,", "x"),
        ("verified", "surely", "surely"),
    ],
)
def test_a_broken_row_is_refused_with_its_line(part, broken, because):
    assert len(evidence.read(HEADER + GOOD)) == 1
    with pytest.raises(ValueError, match="line 2") as refusal:
        evidence.read(HEADER + GOOD.replace(part, broken))
    assert because in str(refusal.value)


def test_nobody_is_no_proportion():
    with pytest.raises(ValueError, match="0 of 0"):
        evidence.wilson(0, 0)
