"""A patient's own page speaks Spanish, and what the library says to a patient does."""

from datetime import timedelta

import pytest

from openketamine.clinic.portal import services
from openketamine.clinic.portal.queries import FORM_TITLES
from openketamine.clinic.portal.templatetags.portal import _LABELS
from openketamine.clinic.record import clock
from openketamine.clinic.therapy.content import INTEGRATION, PREPARATION
from openketamine.protocols import load

from .conftest import BORN, address


def test_every_word_of_the_library_that_a_patient_reads_has_its_spanish():
    therapy = load().therapy
    for each in (*therapy.touch.kinds, *therapy.goals):
        assert each.in_language("es") != each.label, each.id


def test_every_field_that_can_be_shared_has_a_heading_for_the_patient():
    shareable = {field.name for field in (*PREPARATION, *INTEGRATION) if field.shareable}
    assert shareable == set(_LABELS)


def test_every_form_that_a_patient_answers_has_a_title_of_its_own():
    library = load()
    asked = {
        name
        for occasion in library.measurements.occasions
        for name in occasion.every_instrument
        if library.instruments[name].by_patient
    }
    assert asked <= set(FORM_TITLES)


@pytest.fixture
def spanish(client):
    client.post("/language/", {"language": "es", "next": "/"})
    return client


def test_the_pages_speak_spanish(spanish, at_home, nurse):
    with clock.at(at_home.sessions.get().closed_at + timedelta(hours=25)):
        page = spanish.get(address(services.make_link(nurse, at_home))).content.decode()
        assert "¿Es usted?" in page
        spanish.post(address(services.make_link(nurse, at_home)), BORN)
        expected = {
            "/me/": "¿Cómo está hoy?",
            "/me/expect/": "Qué puede esperar",
            "/me/goals/": "Mis objetivos",
            "/me/messages/": "No es para emergencias.",
            "/me/documents/": "Mi consentimiento, firmado el",
            "/me/documents/aftercare/": "Después de su sesión",
            "/me/reminders/": "Todavía no ha elegido",
        }
        for where, words in expected.items():
            page = spanish.get(where).content.decode()
            assert '<html lang="es"' in page, where
            assert words in page, where
        assert "Su ánimo en las últimas dos semanas" in spanish.get("/me/").content.decode()
        spanish.post("/me/mood/", {"mood": "6"})
        assert "Hoy: 6 de 10" in spanish.get("/me/").content.decode()
        refused = spanish.post("/me/messages/", {"text": " "}).content.decode()
        assert "Este campo es obligatorio" in refused


def test_what_to_expect_is_that_of_the_patients_own_route(phone, planned_course):
    planned_course.route = "IN_ESKETAMINE"
    planned_course.save()
    page = phone.get("/me/expect/").content.decode()
    assert "One device holds two sprays" in page
    assert "The drip runs" not in page
