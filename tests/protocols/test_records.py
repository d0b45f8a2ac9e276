"""What a referral states by its codes, and what it never states."""

import pytest

from openketamine import protocols
from openketamine.protocols.eligibility import ICD10, SNOMED, Coding


def facts(library, conditions=(), medications=(), allergies=()):
    return protocols.facts_from_record(
        library, conditions=conditions, medications=medications, allergies=allergies
    )


@pytest.mark.parametrize(
    ("system", "code", "fact"),
    [
        (SNOMED, "38341003", "cardiovascular_disease"),
        (SNOMED, "13746004", "mania"),
        (ICD10, "I10", "cardiovascular_disease"),
        (ICD10, "F31.81", "mania"),
        (ICD10, "N30.10", "urinary_symptoms"),
        (ICD10, "F10.20", "alcohol_use_disorder"),
        (ICD10, "F14.20", "substance_use_disorder"),
    ],
)
def test_a_coded_condition_states_its_fact_with_the_evidence(library, system, code, fact):
    found = facts(library, [Coding(system, code, "As referred")])
    assert found[fact].value is True
    assert found[fact].because == "condition: As referred"


def test_no_record_ever_states_that_something_is_not_there(library):
    everything = [
        Coding(system, code, "x")
        for concept in library.facts_file.concepts
        for system, codes in ((SNOMED, concept.snomed), (ICD10, concept.icd10))
        for code in codes
    ]
    assert facts(library) == {}
    assert all(evidence.value is True for evidence in facts(library, everything).values())


def test_a_code_counts_only_in_its_own_system(library):
    assert facts(library, [Coding("http://loinc.org", "38341003", "x")]) == {}
    assert facts(library, [Coding(SNOMED, "I10", "x")]) == {}


def test_a_past_pregnancy_is_not_a_pregnancy_and_a_past_mania_is_one(library):
    past = [
        Coding(SNOMED, "72892002", "Normal pregnancy", active=False),
        Coding(SNOMED, "13746004", "Bipolar disorder", active=False),
    ]
    assert facts(library, past).keys() == {"mania"}


@pytest.mark.parametrize(
    ("drug", "expected"),
    [
        ("Alprazolam 0.25 MG Oral Tablet", {"takes_benzodiazepine", "takes_cns_depressant"}),
        ("acetaminophen 325 MG / oxycodone 5 MG", {"takes_cns_depressant"}),
        ("24 HR methylphenidate hydrochloride 18 MG", {"takes_stimulant"}),
        ("lisdexamfetamine dimesylate 30 MG", {"takes_stimulant"}),
        ("Phenelzine 15 MG", {"takes_maoi"}),
        ("Levothyroxine 50 MCG", {"hyperthyroidism"}),
        ("Sertraline 100 MG", set()),
    ],
)
def test_medicines_are_known_by_ingredient(library, drug, expected):
    assert facts(library, medications=[Coding("", "", drug)]).keys() == expected


def test_a_medicine_that_was_stopped_states_nothing(library):
    assert facts(library, medications=[Coding("", "", "Phenelzine 15 MG", active=False)]) == {}


def test_every_benzodiazepine_is_a_depressant_too(library):
    (item,) = [c for c in library.ingredients.classes if c.id == "benzodiazepine"]
    assert {"takes_benzodiazepine", "takes_cns_depressant"} == set(item.facts)


def test_an_allergy_to_ketamine_bars(library):
    found = facts(library, allergies=[Coding("", "", "Ketamine hydrochloride")])
    assert found.keys() == {"ketamine_hypersensitivity"}
