"""What must hold for everybody: more risk never reads as less, and silence never as safety."""

import dataclasses
from typing import Any

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
    else:
        known = st.floats(fact.minimum, fact.maximum)
    return st.none() | known


PEOPLE = st.fixed_dictionaries({fact.id: values_of(fact) for fact in LIBRARY.facts.values()})
FACTS = st.sampled_from(sorted(LIBRARY.facts))
RULES = [rule for file in LIBRARY.eligibility for rule in file.rules]
BARS = [rule for rule in RULES if rule.finding == "contraindication"]


def screen(facts, library=LIBRARY):
    return protocols.screen(library, facts, route="IV", condition="TRD", on=TODAY)


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


@SETTINGS
@given(person=PEOPLE, rule=st.sampled_from(BARS))
def test_adding_a_contraindication_never_makes_anybody_more_eligible(person, rule):
    before, after = screen(person), screen({**person, **decisive(rule.when)})
    assert rule.id in {f.rule_id for f in after if f.kind == "contraindication"}
    assert standing(after) == 0 <= standing(before)
    # Whatever else was found stays found. (The age that bars also settles rules of age and of
    # whom a question concerns.)
    if "age_years" not in decisive(rule.when):
        assert {f.rule_id for f in before} <= {f.rule_id for f in after}


@SETTINGS
@given(person=PEOPLE, wording=st.sampled_from(RULES))
def test_a_new_contraindication_in_an_overlay_never_removes_a_finding(person, wording):
    (file,) = LIBRARY.eligibility
    added = wording.model_copy(update={"id": "ADDED", "finding": "contraindication"})
    stricter = dataclasses.replace(
        LIBRARY, eligibility=(file.model_copy(update={"rules": (*file.rules, added)}),)
    )
    before, after = screen(person), screen(person, stricter)
    assert [f for f in after if f.rule_id != "ADDED"] == before
    assert standing(after) <= standing(before)


@SETTINGS
@given(person=PEOPLE, removed=FACTS)
def test_removing_a_fact_never_turns_a_finding_into_a_pass(person, removed):
    without = {name: value for name, value in person.items() if name != removed}
    # A question that does not concern the person (pregnancy, of a man) is answered by that.
    settled = eligibility._not_concerned(LIBRARY, person)
    if removed in settled:
        return
    before = {finding.rule_id for finding in screen(person)}
    after = {finding.rule_id: finding.kind for finding in screen(without)}
    assert before <= after.keys()


@SETTINGS
@given(person=PEOPLE)
def test_an_absent_fact_and_one_that_is_none_are_the_same(person):
    assert screen(person) == screen({k: v for k, v in person.items() if v is not None})


def test_of_somebody_unknown_every_single_rule_asks():
    findings = screen({})
    assert {finding.kind for finding in findings} == {"missing"}
    required = {f"REQ-{need.fact}" for file in LIBRARY.eligibility for need in file.required}
    assert {finding.rule_id for finding in findings} == {rule.id for rule in RULES} | required


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
