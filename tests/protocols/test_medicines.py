"""Medicines by ingredient, as lists really write them."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openketamine import protocols

LIBRARY = protocols.load()


def recognise(text):
    return protocols.recognise(LIBRARY, text)


@pytest.mark.parametrize(
    ("text", "ingredients", "classes"),
    [
        ("Hydrochlorothiazide 25 MG Oral Tablet", ("hydrochlorothiazide",), set()),
        (
            "Acetaminophen 325 MG / Oxycodone Hydrochloride 10 MG Oral Tablet",
            ("acetaminophen", "oxycodone"),
            {"opioid"},
        ),
        ("Percocet 5/325 every 6 hours as needed", ("oxycodone", "acetaminophen"), {"opioid"}),
        ("24 HR methylphenidate hydrochloride 18 MG", ("methylphenidate",), {"stimulant"}),
        ("Paracetamol 500mg tablets", ("acetaminophen",), set()),
        ("St. John’s wort 300 mg", ("st john's wort",), {"enzyme-inducer"}),
        (
            "NDA020800 0.3 ML Epinephrine 1 MG/ML Auto-Injector",
            ("epinephrine",),
            {"sympathomimetic"},
        ),
        (
            "{21 (ethinyl estradiol 0.03 MG / levonorgestrel 0.15 MG Oral Tablet) / "
            "7 (inert 1 MG Oral Tablet) } Pack [Levora]",
            ("ethinyl estradiol", "levonorgestrel"),
            set(),
        ),
        ("Nardil", ("phenelzine",), {"mao-inhibitor"}),
        ("LORAZEPAM 0.5 mg as needed", ("lorazepam",), {"benzodiazepine"}),
    ],
)
def test_it_works(text, ingredients, classes):
    found = recognise(text)
    assert (found.ingredients, set(found.classes)) == (ingredients, classes)
    assert found.is_whole


def test_every_medicine_of_the_real_records_is_known(shared_data):
    names = set()
    for path in sorted((shared_data / "fhir").glob("*.json")):
        for entry in json.loads(path.read_text(encoding="utf-8"))["entry"]:
            concept = entry["resource"].get("medicationCodeableConcept")
            if concept:
                names.add(concept.get("text") or concept["coding"][0]["display"])
    assert len(names) > 40
    strangers = {name: recognise(name).unknown for name in names if not recognise(name).is_whole}
    assert strangers == {}
    opioids = {name for name in names if "opioid" in recognise(name).classes}
    words = ("oxycodone", "hydrocodone", "meperidine")
    assert opioids == {name for name in names if any(word in name.lower() for word in words)}


@pytest.mark.parametrize(
    "text", ["Zorkamine 5 MG Oral Tablet", "oxycodone zorkamine", "250 MG Oral Tablet", "", "???"]
)
def test_a_name_that_is_not_known_never_passes(text):
    assert not recognise(text).is_whole


def test_what_is_known_beside_a_stranger_is_still_read():
    found = recognise("oxycodone zorkamine")
    assert found.classes == {"opioid"}
    assert found.unknown == ("zorkamine",)


def test_a_salt_is_no_medicine_beside_one_and_one_alone():
    assert recognise("atorvastatin calcium 20 mg").ingredients == ("atorvastatin",)
    assert recognise("calcium 500 mg").ingredients == ("calcium carbonate",)


def test_a_corticosteroid_is_nasal_only_where_the_name_says_so():
    assert recognise("fluticasone 110 mcg inhaler").classes == frozenset()
    assert recognise("fluticasone nasal spray").classes == {"nasal"}
    assert recognise("Flonase").classes == {"nasal"}


@pytest.mark.parametrize("item", LIBRARY.ingredients.ingredients, ids=lambda item: item.name)
def test_every_name_leads_to_its_ingredient(item):
    for name in (item.name, *item.also, *item.brands):
        assert recognise(f"{name} 10 MG Oral Tablet").ingredients == (item.name,), name


def test_every_class_that_rules_read_has_members_and_every_medicine_fact_its_class():
    members = {name for item in LIBRARY.ingredients.ingredients for name in item.classes}
    assert {item.id for item in LIBRARY.ingredients.classes} == members
    read = {fact for entry in LIBRARY.screening for fact in entry.facts}
    stated = {fact for item in LIBRARY.ingredients.classes for fact in item.facts}
    assert {f for f in read if f.startswith("takes_")} <= stated


@settings(max_examples=200, deadline=None)
@given(
    known=st.lists(
        st.sampled_from([i.name for i in LIBRARY.ingredients.ingredients if " " not in i.name]),
        min_size=1,
        max_size=3,
        unique=True,
    ),
    form=st.sampled_from(["Oral Tablet", "Injection", "Oral Solution"]),
    strength=st.integers(1, 900),
    upper=st.booleans(),
)
def test_any_product_of_known_parts_is_known_in_all_its_parts(known, form, strength, upper):
    text = " / ".join(f"{name} {strength} MG" for name in known) + f" {form}"
    found = recognise(text.upper() if upper else text)
    salts = set(LIBRARY.ingredients.salts)
    named = set(known) - salts if set(known) - salts else set(known)
    assert set(found.ingredients) >= named
    assert found.is_whole


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=60))
def test_no_text_breaks_it_and_none_passes_without_an_ingredient(text):
    found = recognise(text)
    assert found.is_whole == (bool(found.ingredients) and not found.unknown)
    assert found.ingredients or found.unknown
