"""What whoever takes over has to know, on paper and as a FHIR document that validates."""

import json

import pytest
from fhir.resources.R4B.bundle import Bundle

from tests.clinic.outcomes.conftest import discharged  # noqa: F401
from tests.clinic.reviews.conftest import treated  # noqa: F401


@pytest.fixture
def document(client, treated, prescriber):  # noqa: F811
    client.force_login(prescriber)
    response = client.get(f"/courses/{treated.pk}/handover.json")
    assert response["Content-Type"] == "application/fhir+json"
    return json.loads(response.content)


def references(node):
    if isinstance(node, dict):
        if isinstance(node.get("reference"), str):
            yield node["reference"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_it_works(document):
    bundle = Bundle.model_validate(document)
    assert bundle.type == "document"
    assert document["entry"][0]["resource"]["resourceType"] == "Composition"
    assert bundle.identifier.value.startswith("urn:uuid:")
    assert bundle.timestamp


def test_everything_that_the_composition_names_is_in_the_document(document):
    there = {"/".join(entry["fullUrl"].split("/")[-2:]) for entry in document["entry"]}
    named = set(references(document["entry"][0]["resource"]))
    assert named
    assert named <= there
    urls = [entry["fullUrl"] for entry in document["entry"]]
    assert len(urls) == len(set(urls))


def test_every_section_has_a_text_for_people(document):
    for section in document["entry"][0]["resource"]["section"]:
        assert "<p>" in section["text"]["div"]
        assert section["title"]


def test_doses_scores_and_what_is_due_are_in_it(document):
    kinds = {entry["resource"]["resourceType"] for entry in document["entry"]}
    assert {"Patient", "MedicationAdministration", "QuestionnaireResponse"} <= kinds
    text = json.dumps(document["entry"][0])
    assert "Bladder: due." in text
    assert "1 sessions given" in text


def test_the_paper_says_the_same(client, treated, prescriber):  # noqa: F811
    client.force_login(prescriber)
    page = client.get(f"/courses/{treated.pk}/handover.pdf?format=html").content.decode()
    assert "41 mg IV" in page
    assert "Sertraline: no response" in page
    assert "Psychotherapy notes are kept apart" in page
    assert client.get(f"/courses/{treated.pk}/handover.pdf").content.startswith(b"%PDF")


def test_a_course_that_has_not_begun_can_be_handed_over(client, course, coordinator):
    client.force_login(coordinator)
    page = client.get(f"/courses/{course.pk}/handover.pdf?format=html").content.decode()
    assert "None given." in page
    document = json.loads(client.get(f"/courses/{course.pk}/handover.json").content)
    assert Bundle.model_validate(document).type == "document"


def test_programs_are_told_in_english_whoever_hands_over(client, treated, prescriber):  # noqa: F811
    prescriber.language = "es"
    prescriber.save()
    client.force_login(prescriber)
    told = client.get(f"/courses/{treated.pk}/handover.json").json()["entry"][0]["resource"]
    assert "Bladder: due." in json.dumps(told)


def test_the_paper_speaks_the_language_of_whoever_hands_over(client, treated, prescriber):  # noqa: F811
    prescriber.language = "es"
    prescriber.save()
    client.force_login(prescriber)
    page = client.get(f"/courses/{treated.pk}/handover.pdf?format=html").content.decode()
    assert '<html lang="es">' in page
    assert "Resumen de traspaso" in page
