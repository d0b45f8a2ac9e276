"""What is due, when it is late, by every route; the two branches of a high pressure."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openketamine import protocols
from openketamine.protocols import monitoring
from openketamine.protocols.schema import MonitoringFile, ObservationRule

LIBRARY = protocols.load()
SPRAY = LIBRARY.monitoring["IN_ESKETAMINE"]
ROUTES = sorted(LIBRARY.monitoring)
PRESSURE = ("systolic_mmhg", "diastolic_mmhg")


def pressures(*times):
    return {key: list(times) for key in PRESSURE}


def states(found, statement):
    return [(o.at_min, o.state) for o in found if statement in o.statement]


# Section 4.1, stated again: the times proposed for each route after the dose.
@pytest.mark.parametrize(
    ("route", "times"),
    [
        ("IN_ESKETAMINE", {20, 40, 60, 80, 100, 120}),
        ("IM", {5, 10, 15, 30, 45, 60, 90, 120}),
        ("IN_RACEMIC", {20, 40, 60, 90, 120}),
        ("ORAL", {20, 40, 60, 90, 120}),
        ("SL", {30, 60, 120}),
        ("SC", {30, 60, 90, 120}),
    ],
)
def test_pressure_is_taken_at_the_times_of_the_route(route, times):
    plan = LIBRARY.monitoring[route]
    stated = {
        at
        for rule in plan.schedule
        if rule.phase == "observation" and "systolic_mmhg" in rule.quantities
        for at in rule.at_min
    }
    assert stated == times


@pytest.mark.parametrize("route", [route for route in ROUTES if route != "IV"])
def test_every_route_looks_before_it_gives(route):
    found = monitoring.due(LIBRARY.monitoring[route], "before", now_min=0, done={})
    assert {"systolic_mmhg", "diastolic_mmhg"} <= {q for o in found for q in o.quantities}


@pytest.mark.parametrize(
    ("now_min", "state", "late"),
    [(34, "next", 0), (40, "due", 0), (45, "due", 0), (45.1, "late", 5.1), (300, "late", 260)],
)
def test_the_check_at_forty_minutes_is_next_then_due_then_late(now_min, state, late):
    found = monitoring.due(SPRAY, "observation", now_min=now_min, done={})
    (check,) = [o for o in found if "40 minutes after the dose" in o.statement]
    assert (check.state, check.authority) == (state, "label")
    assert check.late_by_min == pytest.approx(late)


def test_a_reading_at_thirty_minutes_does_not_stand_for_the_check_at_forty():
    found = monitoring.due(SPRAY, "observation", now_min=41, done=pressures(20, 30))
    assert states(found, "40 minutes after") == [(40, "due")]


@pytest.mark.parametrize("when", [35, 38, 40, 52])
def test_a_reading_a_little_early_or_late_counts(when):
    found = monitoring.due(SPRAY, "observation", now_min=60, done=pressures(when))
    assert states(found, "40 minutes after") == []


def test_half_a_pressure_is_no_pressure():
    found = monitoring.due(SPRAY, "observation", now_min=41, done={"systolic_mmhg": [40]})
    (check,) = [o for o in found if "40 minutes after" in o.statement]
    assert check.quantities == ("diastolic_mmhg",)


def test_what_cannot_be_made_up_is_missed_and_stays_told():
    plan = LIBRARY.monitoring["IM"]
    found = monitoring.due(plan, "observation", now_min=31, done={})
    assert states(found, "Pressure, pulse and SpO2 at 5")[:4] == [
        (5, "missed"),
        (10, "missed"),
        (15, "missed"),
        (30, "due"),
    ]


def test_by_vein_the_next_is_so_long_after_the_last():
    plan = LIBRARY.monitoring["IV"]
    done = {key: [0, 9] for key in ("systolic_mmhg", "heart_rate_bpm", "spo2_percent")}
    (found,) = monitoring.due(plan, "infusion", now_min=12, done=done)
    assert (found.at_min, found.state) == (19, "next")
    (found,) = monitoring.due(plan, "infusion", now_min=24.5, done=done)
    assert (found.state, found.late_by_min) == ("late", pytest.approx(5.5))


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(ROUTES),
    st.floats(0, 300),
    st.lists(st.floats(0, 300), max_size=12),
    st.floats(0, 300),
)
def test_a_further_reading_never_makes_more_due(route, now_min, times, further):
    plan = LIBRARY.monitoring[route]
    phase = "infusion" if route == "IV" else "observation"
    quantities = {q for rule in plan.schedule for q in rule.quantities}

    def late(readings):
        done = {key: [t for t in readings if t <= now_min] for key in quantities}
        found = monitoring.due(plan, phase, now_min=now_min, done=done)
        assert [o.at_min for o in found] == sorted(o.at_min for o in found)
        return {(o.at_min, q) for o in found if o.state in {"late", "missed"} for q in o.quantities}

    if route == "IV":
        # At an interval the time itself moves on, so only the number can be compared.
        assert len(late([*times, further])) <= max(len(late(times)), len(quantities))
    else:
        assert late([*times, further]) <= late(times)


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_has_limits_branches_and_values_that_can_be_true(route):
    plan = LIBRARY.monitoring[route]
    bounded = {item.quantity for item in plan.plausible}
    assert {limit.quantity for limit in plan.thresholds} <= bounded
    assert {q for rule in plan.schedule for q in rule.quantities} <= bounded
    assert {branch.symptoms for branch in plan.branches} == {True, False}
    assert set(plan.responses) == {"amber", "red"}
    assert plan.side_effects.items


@pytest.mark.parametrize("route", ROUTES)
def test_no_limit_of_a_session_is_shown_as_label_or_guideline(route):
    for limit in LIBRARY.monitoring[route].thresholds:
        assert (limit.authority, limit.certainty) == ("clinic policy", "DESIGN")


def test_only_the_spray_says_that_its_threshold_before_the_dose_is_the_label():
    crossed, unknown = monitoring.before_dose(SPRAY, {"systolic_mmhg": 141, "diastolic_mmhg": 90})
    assert [gate.id for gate in crossed] == ["ESK-PRE-SYS"]
    assert crossed[0].authority == "label"
    assert unknown == []
    crossed, _ = monitoring.before_dose(SPRAY, {"systolic_mmhg": 140, "diastolic_mmhg": 91})
    assert [gate.id for gate in crossed] == ["ESK-PRE-DIA"]


def test_a_pressure_that_was_not_taken_before_the_dose_is_asked_for():
    crossed, unknown = monitoring.before_dose(SPRAY, {"systolic_mmhg": None})
    assert (crossed, unknown) == ([], ["systolic_mmhg", "diastolic_mmhg"])


def test_a_high_pressure_asks_for_signs_before_anything_else():
    plan = LIBRARY.monitoring["IV"]
    asked = monitoring.branch_for(plan, "systolic_mmhg", symptoms=None)
    assert asked.branch is None
    assert asked.question.startswith("Look first: Chest pain")
    grave = monitoring.branch_for(plan, "systolic_mmhg", symptoms=True)
    assert grave.branch.steps[0].startswith("Emergency care at once")
    calm = monitoring.branch_for(plan, "diastolic_mmhg", symptoms=False)
    assert "prescriber's decision" in calm.branch.steps[-1]
    assert monitoring.branch_for(plan, "spo2_percent", symptoms=None) is None


def test_at_home_red_means_the_emergency_services():
    for route in ("SL", "SC"):
        assert "emergency services" in LIBRARY.monitoring[route].responses["red"]


@pytest.mark.parametrize(
    "broken",
    [{}, {"every_min": 5, "at_min": [5]}, {"at_min": [10, 5]}, {"at_min": [-1]}, {"every_min": 0}],
)
def test_an_observation_has_one_clock(broken):
    with pytest.raises(ValueError, match=r"every_min|at_min"):
        ObservationRule.model_validate(
            {
                "phase": "observation",
                "statement": "x",
                "source": "clinic",
                "certainty": "DESIGN",
                "authority": "clinic policy",
                **broken,
            }
        )


def test_a_session_without_limits_of_its_own_must_share_them():
    plan = SPRAY.model_dump(by_alias=True) | {"shares": None, "thresholds": ()}
    with pytest.raises(ValueError, match="or share a route's"):
        MonitoringFile.model_validate(plan)
