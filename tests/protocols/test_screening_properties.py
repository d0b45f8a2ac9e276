"""What must hold for everybody: more risk never reads as less, and silence never as safety."""

import dataclasses
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openketamine import protocols
from openketamine.protocols import eligibility, schema

from .conftest import TODAY

LIBRARY = protocols.load()
SETTINGS = settings(max_examples=150, deadline=None)


def values_of(fact: schema.FactDefinition) -> st.SearchStrategy[Any]:
    if fact.kind == "boolean":
        known: st.SearchStrategy[Any] = st.booleans()
    elif fact.kind == "choice":
        known = st.sampled_from(fact.choices)
    elif fact.kind == "list":
        known = st.lists(st.sampled_from(["Zorkamine", "Unheardof"]), max_size=2)
    else:
        known = st.floats(fact.minimum, fact.maximum)
    return st.none() | known


PEOPLE = st.fixed_dictionaries({fact.id: values_of(fact) for fact in LIBRARY.facts.values()})
DAYS = st.dates(date(2025, 1, 1), date(2027, 12, 31))
PROGRAMMES = st.fixed_dictionaries(
    {
        "route": st.sampled_from(schema.ROUTES),
        "condition": st.sampled_from([c.id for c in LIBRARY.programmes.conditions]),
        "jurisdiction": st.sampled_from(["US", "US-CA", "EU", "GB", "AU", "JP"]),
        "on": DAYS,
        # Days of the tests: some long ago, some left out.
        "dates": st.none()
        | st.dictionaries(st.sampled_from([f.id for f in LIBRARY.facts.values() if f.test]), DAYS),
    }
)
FACTS = st.sampled_from(sorted(LIBRARY.facts))
ENTRIES = LIBRARY.screening
RULES = [e.item for e in ENTRIES if isinstance(e.item, schema.EligibilityRule)]


def screen(facts, programme, library=LIBRARY):
    return protocols.screen(library, facts, **programme)


def standing(findings) -> int:
    """0 barred, 1 not to be judged yet, 2 for the prescriber to decide, 3 free."""
    order = ["contraindication", "missing", "caution"]
    return min((order.index(finding.kind) for finding in findings), default=3)


def decisive(condition: schema.Condition) -> dict[str, Any]:
    """Facts that make a rule of this library hold."""
    ((key, value),) = condition.items()
    if key == "any":
        return decisive(value[0])
    if key == "all":
        return {name: fact for part in value for name, fact in decisive(part).items()}
    if isinstance(value, bool):
        return {key: value}
    ((operator, bound),) = value.items()
    return {
        key: bound[0] if operator == "in" else bound + {"below": -1, "above": 1}.get(operator, 0)
    }


def bars(programme):
    """The contraindications of a programme, as it stands on its day."""
    found = [
        rule
        for rule in RULES
        if (stance := rule.stance(programme["route"]))
        and rule.finding_of(stance) == "contraindication"
        and (not rule.conditions or programme["condition"] in rule.conditions)
        and rule.applies_in(programme["jurisdiction"])
        and rule.in_force(programme["on"])
    ]
    in_force = {r.id for r in RULES if r.in_force(programme["on"])}
    return [rule for rule in found if rule.suspended_by not in in_force]


@SETTINGS
@given(person=PEOPLE, programme=PROGRAMMES, data=st.data())
def test_adding_a_contraindication_never_makes_anybody_more_eligible(person, programme, data):
    rule = data.draw(st.sampled_from(bars(programme)))
    added = decisive(rule.when)
    before = screen(person, programme)
    after = screen({**person, **added}, programme)
    assert rule.id in {f.rule_id for f in after if f.kind == "contraindication"}
    assert standing(after) == 0 <= standing(before)
    # Whatever else was found stays found, but for what another value of the same fact settles
    # (an age that bars is not an age of 65; a video visit is not a telephone call).
    replaced = {name for name, value in added.items() if person[name] != value}
    kept = {f.rule_id for f in before if not replaced & concerned(f)}
    assert kept <= {f.rule_id for f in after}


def concerned(finding):
    """Every fact that bears on a finding: read, or deciding whether what is read is asked."""
    read = {*finding.facts_read, *finding.missing}
    rule = next((e for e in ENTRIES if e.item.key == finding.rule_id), None)
    read |= rule.facts if rule else set()
    for name in list(read):
        if (asked_if := LIBRARY.facts[name].asked_if) is not None:
            read |= schema.facts_of(asked_if)
    return read


@SETTINGS
@given(person=PEOPLE, programme=PROGRAMMES, wording=st.sampled_from(RULES))
def test_a_new_contraindication_in_an_overlay_never_removes_a_finding(person, programme, wording):
    file = LIBRARY.eligibility[0]
    added = wording.model_copy(
        update={
            "id": "ADDED",
            "finding": "contraindication",
            "stances": tuple(s.model_copy(update={"finding": None}) for s in wording.stances),
        }
    )
    stricter = dataclasses.replace(
        LIBRARY,
        eligibility=(
            file.model_copy(update={"rules": (*file.rules, added)}),
            *LIBRARY.eligibility[1:],
        ),
    )
    before, after = screen(person, programme), screen(person, programme, stricter)
    assert [f for f in after if f.rule_id != "ADDED"] == before
    assert standing(after) <= standing(before)


@SETTINGS
@given(person=PEOPLE, programme=PROGRAMMES, removed=FACTS)
def test_removing_a_fact_never_turns_a_finding_into_a_pass(person, programme, removed):
    without = {name: value for name, value in person.items() if name != removed}
    # A question that does not concern the person (pregnancy, of a man) is answered by that.
    known, _, _ = eligibility._known(
        LIBRARY,
        {name: value for name, value in without.items() if value is not None},
        programme["dates"],
        programme["on"],
    )
    if known.get(removed) is eligibility.NOT_CONCERNED:
        return
    before = {finding.rule_id for finding in screen(person, programme)}
    after = {finding.rule_id: finding.kind for finding in screen(without, programme)}
    assert before <= after.keys()
    for rule_id in before:
        if after[rule_id] != "missing":
            assert after[rule_id] in {
                f.kind for f in screen(person, programme) if f.rule_id == rule_id
            }


@SETTINGS
@given(person=PEOPLE, programme=PROGRAMMES)
def test_an_old_test_never_counts_for_more_than_none(person, programme):
    dates = dict.fromkeys(LIBRARY.facts_file.ages.days, date(2000, 1, 1))
    without = {k: v for k, v in person.items() if k not in dates}
    aged = screen(person, {**programme, "dates": dates})
    assert [(f.rule_id, f.kind) for f in aged] == [
        (f.rule_id, f.kind) for f in screen(without, {**programme, "dates": dates})
    ]


@SETTINGS
@given(person=PEOPLE, programme=PROGRAMMES)
def test_an_absent_fact_and_one_that_is_none_are_the_same(person, programme):
    stated = {k: v for k, v in person.items() if v is not None}
    assert screen(person, programme) == screen(stated, programme)


@pytest.mark.parametrize("route", schema.ROUTES)
def test_of_somebody_unknown_every_single_rule_of_a_route_asks(route):
    for condition in LIBRARY.programmes.conditions:
        programme = {"route": route, "condition": condition.id, "on": TODAY, "jurisdiction": "US"}
        findings = screen({}, programme)
        assert {finding.kind for finding in findings} == {"missing"}
        in_force = {
            entry.item.key
            for entry in ENTRIES
            if route in entry.stances
            and eligibility._applies(entry.item, condition.id, TODAY, "US")
            and getattr(entry.item, "suspended_by", None) != "TH-2"
        }
        assert {finding.rule_id for finding in findings} == in_force


NAMES = ("a", "b", "c")
CONDITIONS = st.recursive(
    st.builds(lambda name, value: {name: value}, st.sampled_from(NAMES), st.booleans()),
    lambda inner: st.one_of(
        st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=8,
)


@SETTINGS
@given(
    condition=CONDITIONS, facts=st.fixed_dictionaries({n: st.none() | st.booleans() for n in NAMES})
)
def test_what_is_judged_on_partial_knowledge_holds_however_the_rest_turns_out(condition, facts):
    schema.check_condition(condition)
    result, needs = eligibility.evaluate(condition, facts)
    unknown = [name for name in NAMES if facts[name] is None]
    assert (result is None) == bool(needs)
    assert needs <= set(unknown)
    for bits in range(2 ** len(unknown)):
        full = {**facts, **{name: bool(bits >> i & 1) for i, name in enumerate(unknown)}}
        truth, still_needed = eligibility.evaluate(condition, full)
        assert truth is not None
        assert not still_needed
        if result is not None:
            assert truth is result
