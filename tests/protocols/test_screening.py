"""Screening one person: what is found, what is asked, and what is not."""

import dataclasses
from datetime import date

import pytest

from openketamine import protocols

from .conftest import TODAY, healthy


def kinds(findings):
    return {(finding.rule_id, finding.kind) for finding in findings}


def test_a_person_whom_no_rule_concerns_has_no_finding(screened):
    assert screened() == []


@pytest.mark.parametrize(
    ("fact", "rule"),
    [
        ("aneurysmal_vascular_disease", "IV-CI-1"),
        ("arteriovenous_malformation", "IV-CI-2"),
        ("intracerebral_haemorrhage", "IV-CI-3"),
        ("ketamine_hypersensitivity", "IV-CI-4"),
        ("pressure_rise_hazard", "IV-CI-5"),
        ("cardiovascular_event_6_weeks", "IV-CI-6"),
    ],
)
def test_each_contraindication_bars_and_asks_when_unknown(screened, fact, rule):
    assert kinds(screened(**{fact: True})) == {(rule, "contraindication")}
    assert kinds(screened(**{fact: None})) == {(rule, "missing")}


@pytest.mark.parametrize(
    ("systolic", "diastolic", "found"),
    [(140, 90, False), (141, 90, True), (140, 91, True), (139.9, 60, False)],
)
def test_pressure_needs_a_decision_only_above_the_limit(screened, systolic, diastolic, found):
    findings = screened(systolic_mmhg=systolic, diastolic_mmhg=diastolic)
    assert bool(findings) is found


def test_a_high_systolic_is_found_though_the_diastolic_is_unknown(screened):
    assert ("IV-PR-1", "caution") in kinds(screened(systolic_mmhg=150, diastolic_mmhg=None))


def test_a_normal_systolic_does_not_hide_an_unknown_diastolic(screened):
    assert kinds(screened(systolic_mmhg=120, diastolic_mmhg=None)) == {("IV-PR-1", "missing")}


@pytest.mark.parametrize(
    ("grade", "rule"),
    [("none", None), ("mild", None), ("moderate", "IV-PR-7B"), ("severe", "IV-PR-7A")],
)
def test_the_liver_is_judged_by_its_grade(screened, grade, rule):
    assert {f.rule_id for f in screened(hepatic_impairment=grade)} == ({rule} if rule else set())


@pytest.mark.parametrize(
    ("age", "rule"), [(17, "IV-AGE"), (18, None), (64, None), (65, "IV-PR-14")]
)
def test_age_bars_below_18_and_warns_from_65(screened, age, rule):
    assert {f.rule_id for f in screened(age_years=age)} == ({rule} if rule else set())


def test_a_man_is_not_asked_about_pregnancy_even_if_the_form_left_it_blank(screened):
    assert screened(sex="male", pregnant=None, breastfeeding=None) == []


def test_pregnancy_is_asked_of_everybody_whose_sex_is_not_known(screened):
    for sex in ("other", "unknown", None):
        assert ("IV-PR-5", "missing") in kinds(screened(sex=sex, pregnant=None))


def test_a_stated_pregnancy_counts_whatever_the_record_says_of_sex(screened):
    assert ("IV-PR-5", "caution") in kinds(screened(sex="male", pregnant=True))


def test_contraindications_come_first_then_questions_then_cautions(screened):
    findings = screened(
        psychosis=True, arteriovenous_malformation=True, mania=None, takes_maoi=True
    )
    assert [finding.kind for finding in findings] == [
        "contraindication",
        "missing",
        "caution",
        "caution",
    ]


def test_a_finding_explains_itself_to_prescriber_and_patient_apart(screened):
    (finding,) = screened(psychosis=True)
    assert finding.facts_read == {"psychosis": True}
    assert "guideline" in finding.explanation
    assert finding.patient_explanation
    assert finding.patient_explanation != finding.explanation
    assert (finding.source, finding.certainty, finding.authority) == (
        "asra-2018",
        "verified",
        "guideline",
    )


def test_a_question_says_which_facts_it_needs(screened):
    (finding,) = screened(substance_use_disorder=True, substance_use_active=None)[:1]
    assert finding.kind == "missing"
    assert finding.missing == ("substance_use_active",)


@pytest.mark.parametrize(
    ("fact", "value", "words"),
    [
        ("psychosis", "yes", "not yes or no"),
        ("psychosis", 1, "not yes or no"),
        ("age_years", "41", "not a number"),
        ("age_years", True, "not a number"),
        ("systolic_mmhg", float("nan"), "not a number"),
        ("hepatic_impairment", "Severe", "none or mild or moderate or severe"),
    ],
)
def test_a_fact_that_a_rule_would_misread_is_refused(screened, fact, value, words):
    with pytest.raises(ValueError, match=words):
        screened(**{fact: value})


def test_a_route_without_rules_is_refused_and_not_passed(library):
    with pytest.raises(KeyError, match="SC"):
        protocols.screen(library, {}, route="SC", condition="TRD", on=TODAY)


def test_a_rule_of_law_holds_in_its_place_and_time_only(library):
    (file,) = library.eligibility
    rule = file.rules[0].model_copy(
        update={
            "id": "LAW",
            "when": {"age_years": {"above": 0}},
            "jurisdiction": "US",
            "effective_from": date(2026, 1, 1),
            "effective_to": date(2026, 12, 31),
        }
    )
    with_law = dataclasses.replace(
        library, eligibility=(file.model_copy(update={"rules": (*file.rules, rule)}),)
    )

    def in_force(on: date, jurisdiction: str) -> bool:
        findings = protocols.screen(
            with_law,
            healthy(library),
            route="IV",
            condition="TRD",
            on=on,
            jurisdiction=jurisdiction,
        )
        return any(finding.rule_id == "LAW" for finding in findings)

    assert in_force(date(2026, 1, 1), "US")
    assert in_force(date(2026, 12, 31), "US")
    assert not in_force(date(2025, 12, 31), "US")
    assert not in_force(date(2027, 1, 1), "US")
    assert not in_force(date(2026, 6, 1), "DE")


def test_a_rule_of_one_condition_does_not_touch_another(library):
    facts = {**healthy(library), "failed_adequate_trials": 0}
    assert not protocols.screen(library, facts, route="IV", condition="PTSD", on=TODAY)


# Three deliberately complicated people.


def test_an_older_man_with_a_busy_heart_and_medicines_is_decided_point_by_point(screened):
    findings = screened(
        age_years=71,
        sex="male",
        systolic_mmhg=158,
        cardiovascular_disease=True,
        takes_benzodiazepine=True,
        takes_cns_depressant=True,
        respiratory_disease=True,
    )
    assert kinds(findings) == {
        (rule, "caution")
        for rule in ("IV-PR-1", "IV-PR-2", "IV-PR-12", "IV-PR-14", "IV-DI-1", "IV-DI-4")
    }


def test_a_bleed_in_the_past_bars_whatever_else_is_unknown(screened):
    findings = screened(
        intracerebral_haemorrhage=True, psychosis=None, pregnant=None, weight_kg=None
    )
    assert findings[0].rule_id == "IV-CI-3"
    assert {f.rule_id for f in findings if f.kind == "missing"} == {
        "IV-PR-3",
        "IV-PR-5",
        "REQ-weight_kg",
    }


def test_drinking_now_with_intent_and_an_earlier_reaction_is_three_decisions(screened):
    findings = screened(
        substance_use_disorder=True,
        substance_use_active=True,
        suicidal_intent=True,
        ketamine_misuse_or_reaction=True,
    )
    assert {finding.rule_id for finding in findings} == {
        "IV-PR-6",
        "IV-PR-6B",
        "IV-PR-16",
        "IV-PR-17",
    }
