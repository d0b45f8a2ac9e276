"""Going home: every criterion met, and known to be met."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openketamine import protocols
from openketamine.protocols import discharge

FIT = {
    "minutes_since_end": 60,
    "systolic_change_percent": 20,
    "diastolic_change_percent": 4,
    "heart_rate_change_percent": 0,
    "vitals_age_min": 15,
    "oriented": True,
    "steady_gait": True,
    "nausea_controlled": True,
    "dissociation_resolved": True,
    "escort_present": True,
    "safety_asked": True,
    "aftercare_given": True,
}
RULES = protocols.load().discharge["IV"]


def test_a_person_who_meets_every_criterion_may_go():
    assessment = discharge.assess(RULES, FIT)
    assert assessment.ready
    assert assessment.open == ()
    assert {criterion.fact for criterion in RULES.criteria} == FIT.keys()


@pytest.mark.parametrize("fact", sorted(FIT))
def test_what_is_not_known_is_not_met(fact):
    for facts in ({**FIT, fact: None}, {k: v for k, v in FIT.items() if k != fact}):
        assessment = discharge.assess(RULES, facts)
        assert not assessment.ready
        assert [(r.criterion.fact, r.state) for r in assessment.open] == [(fact, "unknown")]
        assert assessment.open[0].because == "not known yet"


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("minutes_since_end", 59.9),
        ("systolic_change_percent", 20.1),
        ("diastolic_change_percent", 21),
        ("heart_rate_change_percent", 40),
        ("vitals_age_min", 16),
        *((name, False) for name, value in FIT.items() if value is True),
        ("oriented", 1),
        ("minutes_since_end", float("nan")),
    ],
)
def test_one_criterion_that_is_not_met_holds_the_person_back(fact, value):
    assessment = discharge.assess(RULES, {**FIT, fact: value})
    assert [(r.criterion.fact, r.state) for r in assessment.open] == [(fact, "not met")]


@settings(max_examples=100, deadline=None)
@given(known=st.fixed_dictionaries({k: st.none() | st.just(v) for k, v in FIT.items()}))
def test_a_clock_alone_never_releases_anybody(known):
    assert discharge.assess(RULES, known).ready is all(v is not None for v in known.values())
