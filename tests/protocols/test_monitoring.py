"""Readings during a session: at the limit, beyond it, impossible, late."""

import pytest

from openketamine.protocols import monitoring


@pytest.fixture
def plan(library):
    return library.monitoring["IV"]


# The starter policy of the clinic, stated again: (quantity, value, priority).
LIMITS = [
    ("systolic_mmhg", 159, None),
    ("systolic_mmhg", 160, "amber"),
    ("systolic_mmhg", 179, "amber"),
    ("systolic_mmhg", 180, "red"),
    ("diastolic_mmhg", 99, None),
    ("diastolic_mmhg", 100, "amber"),
    ("diastolic_mmhg", 110, "red"),
    ("heart_rate_bpm", 120, None),
    ("heart_rate_bpm", 121, "amber"),
    ("heart_rate_bpm", 141, "red"),
    ("heart_rate_bpm", 50, None),
    ("heart_rate_bpm", 49, "amber"),
    ("heart_rate_bpm", 40, "amber"),
    ("heart_rate_bpm", 39, "red"),
    ("spo2_percent", 94, None),
    ("spo2_percent", 93, "amber"),
    ("spo2_percent", 90, "amber"),
    ("spo2_percent", 89, "red"),
    ("respiratory_rate_bpm", 10, None),
    ("respiratory_rate_bpm", 9, "amber"),
    ("respiratory_rate_bpm", 24, None),
    ("respiratory_rate_bpm", 25, "amber"),
    ("respiratory_rate_bpm", 7, "red"),
    ("sedation_moaas", 5, None),
    ("sedation_moaas", 4, "amber"),
    ("sedation_moaas", 3, "amber"),
    ("sedation_moaas", 2, "red"),
    ("sedation_moaas", 0, "red"),
    ("nausea_0_10", 3, None),
    ("nausea_0_10", 4, "amber"),
    ("distress_0_10", 4, None),
    ("distress_0_10", 5, "amber"),
]


@pytest.mark.parametrize(("quantity", "value", "priority"), LIMITS)
def test_each_limit_begins_where_policy_says(plan, quantity, value, priority):
    findings = monitoring.assess(plan, {quantity: value})
    assert [finding.priority for finding in findings] == ([priority] if priority else [])
    for finding in findings:
        assert finding.authority == "clinic policy"
        assert finding.certainty == "DESIGN"
        assert finding.response == plan.responses[finding.priority]


@pytest.mark.parametrize(
    ("quantity", "baseline", "value", "found"),
    [
        ("systolic_mmhg", 110, 149, False),
        ("systolic_mmhg", 110, 150, True),
        ("diastolic_mmhg", 70, 94, False),
        ("diastolic_mmhg", 70, 95, True),
    ],
)
def test_a_rise_above_baseline_counts_below_the_absolute_limit(
    plan, quantity, baseline, value, found
):
    findings = monitoring.assess(plan, {quantity: value}, {quantity: baseline})
    assert bool(findings) is found


def test_without_a_baseline_only_the_absolute_limits_speak(plan):
    assert monitoring.assess(plan, {"systolic_mmhg": 155}, None) == []
    assert monitoring.assess(plan, {"systolic_mmhg": 155}, {"systolic_mmhg": None}) == []


def test_the_gravest_limit_of_each_quantity_is_told_once_and_red_comes_first(plan):
    reading = {"systolic_mmhg": 165, "spo2_percent": 85, "diastolic_mmhg": 115}
    findings = monitoring.assess(plan, reading, {"systolic_mmhg": 110, "diastolic_mmhg": 70})
    assert [finding.priority for finding in findings] == ["red", "red", "amber"]
    assert len({finding.quantity for finding in findings}) == 3


def test_what_was_not_measured_raises_nothing_by_itself(plan):
    assert monitoring.assess(plan, {"systolic_mmhg": None}) == []


def test_an_impossible_value_is_told_with_what_may_be_entered(plan):
    assert monitoring.impossible(plan, "systolic_mmhg", 1200) == (
        "Systolic 1200 mmHg is not possible. Enter a value from 40 to 300."
    )
    assert monitoring.impossible(plan, "spo2_percent", float("nan"))
    assert monitoring.impossible(plan, "systolic_mmhg", 300) is None


def test_every_threshold_can_be_reached_by_a_possible_value(plan):
    for limit in plan.thresholds:
        bound = next(
            b
            for b in (limit.at_least, limit.above, limit.below, limit.above_baseline_by)
            if b is not None
        )
        if limit.above_baseline_by is None:
            assert monitoring.impossible(plan, limit.quantity, bound) is None, limit.id
        assert f"{bound:g}" in limit.statement or limit.quantity == "sedation_moaas", limit.id


@pytest.mark.parametrize(
    ("phase", "since_min", "late_min"),
    [
        ("infusion", 10, 0),
        ("infusion", 15, 0),
        ("infusion", 15.5, 5.5),
        ("recovery", 20, 0),
        ("recovery", 21, 6),
        ("ready", 500, 0),
    ],
)
def test_an_observation_is_late_beyond_five_minutes_of_grace(plan, phase, since_min, late_min):
    assert monitoring.late_by_min(plan, phase, since_min) == pytest.approx(late_min)
