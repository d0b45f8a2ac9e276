"""Screening one person: what is found, what is asked, and what is not."""

import dataclasses
from datetime import date

import pytest

from openketamine import protocols
from openketamine.protocols import eligibility, schema

from .conftest import TODAY, healthy


def kinds(findings):
    return {(finding.rule_id, finding.kind) for finding in findings}


def test_a_person_whom_no_rule_concerns_has_no_finding(screened):
    assert screened() == []


@pytest.mark.parametrize(
    ("fact", "rule"),
    [
        ("aneurysmal_vascular_disease", "CI-1"),
        ("arteriovenous_malformation", "CI-2"),
        ("intracerebral_haemorrhage", "CI-3"),
        ("ketamine_hypersensitivity", "CI-4"),
        ("pressure_rise_hazard", "CI-5"),
        ("cardiovascular_event_6_weeks", "CI-6"),
    ],
)
def test_each_contraindication_bars_and_asks_when_unknown(screened, fact, rule):
    assert kinds(screened(**{fact: True})) == {(rule, "contraindication")}
    assert (rule, "missing") in kinds(screened(**{fact: None}))


@pytest.mark.parametrize(
    ("systolic", "diastolic", "found"),
    [(140, 90, False), (141, 90, True), (140, 91, True), (139.9, 60, False)],
)
def test_pressure_needs_a_decision_only_above_the_limit(screened, systolic, diastolic, found):
    findings = screened(systolic_mmhg=systolic, diastolic_mmhg=diastolic)
    assert bool(findings) is found


def test_a_high_systolic_is_found_though_the_diastolic_is_unknown(screened):
    assert ("PR-1", "caution") in kinds(screened(systolic_mmhg=150, diastolic_mmhg=None))


def test_a_normal_systolic_does_not_hide_an_unknown_diastolic(screened):
    assert kinds(screened(systolic_mmhg=120, diastolic_mmhg=None)) == {("PR-1", "missing")}


@pytest.mark.parametrize(
    ("grade", "rule"),
    [("none", None), ("mild", None), ("moderate", "PR-7-MODERATE"), ("severe", "PR-7-SEVERE")],
)
def test_the_liver_is_judged_by_its_grade(screened, grade, rule):
    assert {f.rule_id for f in screened(hepatic_impairment=grade)} == ({rule} if rule else set())


@pytest.mark.parametrize(("age", "rule"), [(17, "AGE"), (18, None), (64, None), (65, "PR-14")])
def test_age_bars_below_18_and_warns_from_65(screened, age, rule):
    assert {f.rule_id for f in screened(age_years=age)} == ({rule} if rule else set())


def test_a_man_is_not_asked_about_pregnancy_even_if_the_form_left_it_blank(screened):
    assert screened(sex="male", pregnant=None, breastfeeding=None) == []


def test_pregnancy_is_asked_of_everybody_whose_sex_is_not_known(screened):
    for sex in ("other", "unknown", None):
        assert ("PR-5", "missing") in kinds(screened(sex=sex, pregnant=None))


def test_a_stated_pregnancy_counts_whatever_the_record_says_of_sex(screened):
    assert ("PR-5", "caution") in kinds(screened(sex="male", pregnant=True))


def test_contraindications_come_first_then_questions_then_cautions(screened):
    findings = screened(
        psychosis=True,
        psychosis_active=False,
        arteriovenous_malformation=True,
        seizure_disorder=None,
        takes_maoi=True,
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
    findings = screened(substance_use_disorder=True, substance_use_active=None)
    assert [f.missing for f in findings if f.kind == "missing"] == [("substance_use_active",)]


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
    with pytest.raises(KeyError, match="RECTAL"):
        protocols.screen(library, {}, route="RECTAL", condition="TRD", on=TODAY)


def test_a_rule_of_law_holds_in_its_place_and_time_only(library):
    file = library.eligibility[0]
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


# Which authority a rule has depends on the route.


@pytest.mark.parametrize("fact", ["aneurysmal_vascular_disease", "arteriovenous_malformation"])
@pytest.mark.parametrize("route", schema.ROUTES)
def test_what_is_a_label_contraindication_of_the_spray_is_policy_elsewhere(screened, fact, route):
    finding = next(f for f in screened(route, **{fact: True}) if f.kind == "contraindication")
    label = route == "IN_ESKETAMINE"
    assert finding.authority == ("label" if label else "clinic policy")
    assert finding.certainty == ("verified" if label else "DESIGN")
    assert ("extended to this route" in finding.explanation) is not label


def test_no_unchecked_statement_is_ever_shown_as_more_than_policy(library):
    for entry in library.screening:
        for stance in entry.item.stances:
            if stance.certainty in schema.UNCHECKED:
                assert stance.authority == "clinic policy", entry.item.key


def test_the_guideline_on_infusions_speaks_as_a_guideline_of_the_vein_alone(library):
    for entry in library.screening:
        for route, stance in entry.stances.items():
            if (stance.source or entry.item.source) == "asra-2018" and route != "IV":
                assert stance.authority != "guideline", (entry.item.key, route)


def test_every_rule_cites_its_row_but_those_that_have_none(library):
    without = {entry.item.key for entry in library.screening if not entry.item.ref}
    assert without == {"DI-0"}


def test_an_inhibitor_is_a_caution_where_ketamine_is_swallowed_and_not_by_vein(screened):
    for route, found in (("ORAL", True), ("SL", True), ("IV", False), ("IM", False)):
        findings = kinds(screened(route, takes_enzyme_inhibitor=True))
        assert (("DI-6", "caution") in findings) is found, route


def test_a_nasal_spray_matters_to_a_nose_and_to_nothing_else(screened):
    for route in schema.ROUTES:
        found = "DI-5" in {f.rule_id for f in screened(route, uses_nasal_spray=True)}
        assert found is route.startswith("IN_"), route


# Treatment at home.


def test_esketamine_spray_never_goes_home(screened):
    (finding,) = screened("IN_ESKETAMINE", at_home=True)[:1]
    assert (finding.rule_id, finding.kind) == ("TH-7", "contraindication")
    assert finding.authority == "regulator"


def test_a_video_visit_is_enough_until_the_law_lapses_and_then_bars(screened):
    def found(on):
        findings = screened("SL", on=on, at_home=True, evaluation_by="video")
        return {f.rule_id: f for f in findings if f.rule_id.startswith("TH-")}

    for day in (date(2026, 1, 1), TODAY, date(2026, 12, 31)):
        assert found(day)["TH-2"].kind == "caution"
        assert found(day)["TH-2"].lapses_on == "2026-12-31"
        assert "TH-1" not in found(day)
    for day in (date(2025, 12, 31), date(2027, 1, 1)):
        assert found(day).keys() == {"TH-1"}
        assert found(day)["TH-1"].kind == "contraindication"
        assert found(day)["TH-1"].authority == "law"


def test_whoever_was_seen_in_person_needs_no_extension(screened):
    for on in (TODAY, date(2027, 1, 1)):
        assert not [f for f in screened("SL", on=on, at_home=True) if f.rule_id.startswith("TH-")]


def test_the_telephone_alone_bars_at_home(screened):
    findings = screened("SL", at_home=True, evaluation_by="audio")
    assert ("TH-5", "contraindication") in kinds(findings)


def test_federal_law_holds_in_its_states_and_not_abroad(screened):
    def laws(place):
        findings = screened("SL", place=place, at_home=True, evaluation_by="video")
        return {f.rule_id for f in findings} & {"TH-1", "TH-2"}

    assert laws("US") == laws("US-CA") == {"TH-2"}
    assert laws("GB") == laws("AU") == set()


def test_a_law_that_lapses_is_announced_ninety_days_ahead(library):
    def days(on, place="US"):
        found = eligibility.laws_lapsing(library, on=on, jurisdiction=place)
        return [(item.rule.id, item.days_left) for item in found]

    assert days(date(2026, 10, 1)) == []
    assert days(date(2026, 10, 2)) == [("TH-2", 90)]
    assert days(TODAY) == [("TH-2", 37)]
    assert days(date(2026, 12, 31)) == [("TH-2", 0)]
    assert days(date(2027, 1, 1)) == []
    assert days(TODAY, "GB") == []


def test_a_sedative_or_intent_bars_at_home_and_is_a_decision_in_the_clinic(screened):
    for fact, rule in (
        ("takes_cns_depressant", "HOME-DEPRESSANT"),
        ("suicidal_intent", "HOME-INTENT"),
    ):
        assert (rule, "contraindication") in kinds(screened("SL", at_home=True, **{fact: True}))
        assert not [f for f in screened("SL", **{fact: True}) if f.kind == "contraindication"]


@pytest.mark.parametrize(
    ("place", "condition", "route", "on", "standing"),
    [
        ("US", "TRD", "IV", TODAY, ["off-label"]),
        ("US", "TRD", "IN_ESKETAMINE", TODAY, ["approved"]),
        ("US", "MDSI", "IN_ESKETAMINE", TODAY, ["approved"]),
        ("US", "PTSD", "IN_ESKETAMINE", TODAY, ["off-label"]),
        ("GB", "TRD", "IN_ESKETAMINE", TODAY, ["not recommended"]),
        ("GB", "PAIN", "IV", TODAY, []),
        ("AU", "TRD", "IN_ESKETAMINE", date(2025, 4, 30), []),
        ("AU", "TRD", "IN_ESKETAMINE", date(2025, 5, 1), ["subsidised"]),
    ],
)
def test_what_regulators_say_depends_on_place_time_and_condition(
    library, place, condition, route, on, standing
):
    found = eligibility.standing(
        library, route=route, condition=condition, on=on, jurisdiction=place
    )
    assert [status.standing for status in found] == standing


def test_the_spray_was_approved_alone_for_resistant_depression_in_january_2025(library):
    def says(on):
        (status,) = eligibility.standing(
            library, route="IN_ESKETAMINE", condition="TRD", on=on, jurisdiction="US"
        )
        return status.statement

    assert "or alone" not in says(date(2025, 1, 16))
    assert "or alone" in says(date(2025, 1, 17))


# Tests and their days.


def test_a_test_that_is_too_old_is_asked_for_again_and_says_why(library):
    facts = {**healthy(library), "cardiovascular_disease": True, "ecg": "normal"}

    def found(day):
        dates = {fact.id: TODAY for fact in library.facts.values() if fact.test}
        findings = protocols.screen(
            library, facts, route="IV", condition="TRD", on=TODAY, dates={**dates, "ecg": day}
        )
        return {f.rule_id: f for f in findings if f.kind == "missing"}

    assert found(date(2025, 11, 24)) == {}
    late = found(date(2025, 11, 23))
    assert set(late) == {"REQ-ecg", "LAB-2-ECG"}
    assert "ECG of 23 November 2025 is older than 365 days" in late["REQ-ecg"].explanation
    assert late["REQ-ecg"].authority == "guideline"


def test_a_test_without_a_day_does_not_count(library):
    findings = protocols.screen(
        library, healthy(library), route="IV", condition="TRD", on=TODAY, dates={}
    )
    assert "has no date" in next(f for f in findings if f.rule_id == "REQ-weight_kg").explanation


def test_no_test_is_asked_of_a_healthy_person_beyond_weight_pressure_and_pregnancy(library):
    facts = healthy(library)
    untested = {name: facts[name] for name in facts if not library.facts[name].test}
    asked = eligibility.asked_tests(
        library, untested, route="IV", condition="TRD", on=TODAY, jurisdiction="US"
    )
    assert {fact.id for fact in asked} == {
        "weight_kg",
        "systolic_mmhg",
        "diastolic_mmhg",
        "pregnancy_test",
    }


def test_liver_tests_are_asked_of_who_drinks_and_judged_by_sex(screened):
    drinks = {"alcohol_use_disorder": True}
    missing = {f.rule_id for f in screened(ast_u_per_l=None, **drinks) if f.kind == "missing"}
    assert missing == {"PR-7-TESTS"}
    for sex, found in (("female", True), ("male", False)):
        ids = {f.rule_id for f in screened(sex=sex, ggt_u_per_l=180, **drinks)}
        assert ("PR-7-TESTS" in ids) is found


def test_the_history_form_asks_what_the_programme_reads_and_nothing_else(library):
    def asked(route, **facts):
        sections = protocols.questions_for(
            library, facts, route=route, condition="TRD", on=TODAY, jurisdiction="US"
        )
        return {question.id for _, _, questions in sections for question in questions}

    assert "rems_enrolled" in asked("IN_ESKETAMINE")
    assert "rems_enrolled" not in asked("IV")
    assert "takes_enzyme_inhibitor" in asked("ORAL")
    assert "takes_enzyme_inhibitor" not in asked("IV")
    assert "home_adult_present" in asked("SL", at_home=True)
    assert "home_adult_present" not in asked("SL", at_home=False)
    assert "pregnant" not in asked("IV", sex="male")
    assert "psychosis_active" not in asked("IV", psychosis=False)


def test_routes_side_by_side_are_the_same_as_one_by_one(library):
    facts = {
        **healthy(library),
        "psychosis": None,
        "takes_maoi": True,
        "hepatic_impairment": "severe",
    }
    homes = {"SL": True}
    side = protocols.screen_routes(
        library, facts, condition="GAD", on=TODAY, jurisdiction="US", at_home=homes
    )
    for route in schema.ROUTES:
        own = {**facts, "at_home": homes.get(route, False)}
        alone = protocols.screen(
            library, own, route=route, condition="GAD", on=TODAY, jurisdiction="US"
        )
        assert side[route] == alone


# Three deliberately complicated people.


def test_high_pressure_an_maoi_and_a_past_psychosis_are_three_decisions_by_vein(screened):
    findings = screened(
        systolic_mmhg=172,
        diastolic_mmhg=104,
        cardiovascular_disease=True,
        takes_maoi=True,
        psychosis=True,
        psychosis_active=False,
        ecg=None,
    )
    assert kinds(findings) == {
        ("PR-1", "caution"),
        ("PR-2", "caution"),
        ("PR-3", "caution"),
        ("DI-3", "caution"),
        ("REQ-ecg", "missing"),
        ("LAB-2-ECG", "missing"),
    }


def test_a_possible_pregnancy_alcohol_child_pugh_b_and_a_bladder_after_misuse(screened):
    findings = screened(
        "IN_ESKETAMINE",
        condition="AUD",
        pregnant=True,
        pregnancy_test=None,
        alcohol_use_disorder=True,
        substance_use_active=True,
        alcohol_free_24_h=False,
        hepatic_impairment="moderate",
        urinary_symptoms=True,
        ketamine_misuse_or_reaction=True,
        urinalysis=None,
        alt_u_per_l=160,
    )
    assert kinds(findings) == {
        *(
            (rule, "caution")
            for rule in ("PR-5", "PR-6", "PR-6-ACTIVE", "PR-7-MODERATE", "PR-7-TESTS", "PR-11")
        ),
        ("PR-17", "caution"),
        ("AUD-ABSTINENT", "caution"),
        *((rule, "missing") for rule in ("REQ-pregnancy_test", "REQ-urinalysis", "LAB-6-URINE")),
    }
    label = {f.rule_id for f in findings if f.authority == "label"}
    assert label == {"PR-5", "PR-6", "PR-11"}


def test_a_repaired_aneurysm_sedatives_and_apnoea_at_71_with_much_unknown(screened):
    findings = screened(
        "SL",
        age_years=71,
        sex="male",
        aneurysmal_vascular_disease=True,
        cardiovascular_disease=True,
        takes_benzodiazepine=True,
        takes_cns_depressant=True,
        respiratory_disease=True,
        sleep_apnoea_untreated=True,
        at_home=True,
        evaluation_by="video",
        psychosis=None,
        psychosis_active=None,
        suicidal_intent=None,
        unrecognised_medicines=["Zorkamine 5 mg"],
    )
    stops = {f.rule_id for f in findings if f.kind == "contraindication"}
    assert stops == {"CI-1", "HOME-DEPRESSANT", "HOME-APNOEA"}
    unknown = {f.rule_id for f in findings if f.kind == "missing"}
    assert unknown == {"PR-3", "PR-3-ACTIVE", "PR-16", "HOME-INTENT"}
    (stranger,) = [f for f in findings if f.rule_id == "DI-0"]
    assert stranger.facts_read == {"unrecognised_medicines": ["Zorkamine 5 mg"]}
    assert {"PR-14", "PR-12", "DI-1", "DI-4", "TH-2"} <= {f.rule_id for f in findings}
