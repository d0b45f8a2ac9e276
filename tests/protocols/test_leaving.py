"""Going home by every route: no clock alone, two hours for the spray, scores, after-care."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openketamine import protocols
from openketamine.protocols import discharge

LIBRARY = protocols.load()
ROUTES = sorted(LIBRARY.discharge)
SPRAY = LIBRARY.discharge["IN_ESKETAMINE"]


def fit(route):
    """Facts of somebody who may go, whatever the route asks."""
    facts = {}
    for criterion in LIBRARY.discharge[route].criteria:
        if criterion.must_be is not None:
            facts[criterion.fact] = criterion.must_be
        else:
            value = criterion.at_most if criterion.at_least is None else criterion.at_least
            facts[criterion.fact] = value
    return facts


@pytest.mark.parametrize("route", ROUTES)
def test_whoever_meets_everything_is_ready(route):
    assert discharge.assess(LIBRARY.discharge[route], fit(route)).ready


@pytest.mark.parametrize("route", ROUTES)
def test_a_clock_alone_releases_nobody(route):
    plan = LIBRARY.discharge[route]
    clock = {c.fact: 10_000 for c in plan.criteria if c.fact.startswith("minutes_since")}
    assert clock
    assert not discharge.assess(plan, clock).ready
    assert [c for c in plan.criteria if c.question]


@pytest.mark.parametrize("route", ROUTES)
def test_one_thing_wanting_or_unknown_holds_the_patient(route):
    plan, facts = LIBRARY.discharge[route], fit(route)
    for criterion in plan.criteria:
        for wrong in (None, not facts[criterion.fact]):
            if wrong is None or criterion.must_be is not None:
                held = discharge.assess(plan, {**facts, criterion.fact: wrong})
                assert not held.ready, criterion.id


@pytest.mark.parametrize(
    ("now_min", "ready"), [(90, False), (119.9, False), (120, False), (129.9, False), (130, True)]
)
def test_the_spray_holds_two_hours_from_the_last_device(now_min, ready):
    clocks = discharge.clocks(first_device_min=0, last_device_min=10, now_min=now_min)
    result = discharge.assess(SPRAY, {**fit("IN_ESKETAMINE"), **clocks})
    assert result.ready is ready


def test_both_clocks_are_kept_and_only_one_is_the_programmes():
    facts = discharge.clocks(first_device_min=5, last_device_min=15, now_min=127)
    assert facts == {"minutes_since_first_device": 122, "minutes_since_last_device": 112}
    by_fact = {criterion.fact: criterion for criterion in SPRAY.criteria}
    assert by_fact["minutes_since_first_device"].authority == "label"
    assert by_fact["minutes_since_last_device"].authority == "clinic policy"


@pytest.mark.parametrize("times", [(10, 5, 20), (0, 10, 9)])
def test_clocks_out_of_order_are_refused(times):
    first, last, now = times
    with pytest.raises(ValueError, match="not in order"):
        discharge.clocks(first_device_min=first, last_device_min=last, now_min=now)


def test_two_hours_and_resolution_without_a_clinicians_judgement_are_not_enough():
    facts = fit("IN_ESKETAMINE") | {"clinician_judges_ready": None}
    (open_,) = discharge.assess(SPRAY, facts).open
    assert open_.criterion.id == "ESK-DC-JUDGED"


def test_the_spray_asks_about_each_thing_once():
    facts = [criterion.fact for criterion in SPRAY.criteria]
    assert len(set(facts)) == len(facts)
    assert "minutes_since_end" not in facts


# DC-1 and DC-2, stated again.
PADSS = ("vital_signs", "activity", "pain_nausea", "bleeding", "intake_output")
MPADSS = ("vital_signs", "walking", "nausea", "pain", "bleeding")


@pytest.mark.parametrize(("name", "items"), [("padss", PADSS), ("mpadss", MPADSS)])
@given(data=st.data())
def test_nine_of_ten_is_fit_for_home(name, items, data):
    form = LIBRARY.scores[name]
    points = {item: data.draw(st.integers(0, 2)) for item in items}
    result = discharge.score(form, points)
    assert result.total == sum(points.values())
    assert result.fit is (sum(points.values()) >= 9)


@pytest.mark.parametrize("name", ["padss", "mpadss"])
def test_without_every_answer_there_is_no_total(name):
    form = LIBRARY.scores[name]
    points = {item.id: 2 for item in form.items}
    for item in form.items:
        result = discharge.score(form, {**points, item.id: None})
        assert (result.total, result.fit, result.unanswered) == (None, None, (item.id,))


@pytest.mark.parametrize("wrong", [{"gait": 2}, {"vital_signs": 3}])
def test_points_that_the_score_does_not_give_are_refused(wrong):
    with pytest.raises(ValueError, match=r"has no item|is not one of"):
        discharge.score(LIBRARY.scores["padss"], wrong)


@pytest.mark.parametrize(
    ("change", "points"), [(0, 2), (20, 2), (-20, 2), (20.1, 1), (40, 1), (-40.1, 0), (90, 0)]
)
def test_vital_signs_earn_points_by_their_change_from_baseline(change, points):
    assert discharge.points_for_change(LIBRARY.scores["padss"], "vital_signs", change) == points


def test_only_what_is_scored_by_a_change_can_be():
    with pytest.raises(ValueError, match="not scored by a change"):
        discharge.points_for_change(LIBRARY.scores["padss"], "activity", 3)
    with pytest.raises(KeyError, match="no item"):
        discharge.points_for_change(LIBRARY.scores["padss"], "mood", 3)


@pytest.mark.parametrize("route", ROUTES)
def test_after_care_says_no_driving_no_drink_and_who_calls(route):
    rules = LIBRARY.discharge[route].aftercare
    text = " ".join(rule.statement for rule in rules)
    for words in ("No driving", "No alcohol", "no important decisions", "calls the next day"):
        assert words in text
    until = {rule.until for rule in rules if "driving" in rule.statement}
    assert until == {"next day after sleep"}
    assert [rule for rule in rules if rule.contact_within_h == 24]


def test_only_the_sprays_after_care_is_the_labels():
    for route in ROUTES:
        for rule in LIBRARY.discharge[route].aftercare:
            assert (rule.authority == "label") == (rule.id in {"ESK-AC-DRIVE", "ESK-AC-SEDATIVES"})
