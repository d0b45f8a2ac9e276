"""The patient's pages in Spanish; the staff's in what each of them chose."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from django.utils import translation
from django.utils.formats import date_format, localize

import openketamine
from openketamine.clinic.intake.models import InstrumentResponse
from openketamine.clinic.outcomes import services
from openketamine.clinic.outcomes.models import FormRequest
from openketamine.clinic.policy.queries import contacts
from openketamine.clinic.record import clock

SITE = Path(openketamine.__file__).parent
CATALOGUE = SITE / "site" / "locale" / "es" / "LC_MESSAGES" / "django.po"


def link(request):
    return f"/f/{services.token_for(request)}/"


def spanish(client, target="/"):
    return client.post("/language/", {"language": "es", "next": target})


def test_it_works(client, form):
    address = link(form)  # once: a link is signed anew every second
    assert spanish(client, address).url == address
    page = client.get(address).content.decode()
    assert '<html lang="es"' in page
    assert "Hola, Maria" in page
    assert "Las preguntas se refieren a los últimos 14 días." in page
    page = client.get(link(form) + "?q=q9").content.decode()
    assert "Pregunta 9 de 9" in page
    assert "Pensamientos de que estaría mejor muerto(a)" in page
    assert "Casi todos los días" in page


def test_what_was_answered_in_spanish_says_so(client, form):
    spanish(client)
    for item, value in ({f"q{n}": 1 for n in range(1, 9)} | {"q9": 1}).items():
        client.post(link(form), {"item": item, "value": value})
    page = client.post(link(form), {"send": "1"}, follow=True).content.decode()
    assert "Gracias" in page
    assert "No está solo(a) con esto" in page
    assert "Línea 988 de Prevención del Suicidio y Crisis" in page
    kept = InstrumentResponse.objects.get(occasion="24h", complete=True)
    assert (kept.language, kept.result) == ("es", "9, mild")


@pytest.mark.parametrize(
    ("stated", "asked", "language"),
    [
        ("es", "", "es"),
        ("es-MX", "", "es"),
        ("Spanish", "", "es"),
        ("en-US", "es", "en"),
        ("", "es-MX,es;q=0.9", "es"),
        ("", "fr,de", "en"),
        ("fr", "es", "es"),
    ],
)
def test_the_chart_and_then_the_device_choose(client, form, stated, asked, language):
    form.person.language = stated
    form.person.save()
    page = client.get(link(form), headers={"accept-language": asked}).content.decode()
    assert f'<html lang="{language}"' in page


def test_a_choice_on_the_page_stands_above_the_chart(client, form):
    form.person.language = "es"
    form.person.save()
    client.post("/language/", {"language": "en", "next": "/"})
    assert '<html lang="en"' in client.get(link(form)).content.decode()


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:x"])
def test_the_language_switch_leads_nowhere_else_and_knows_its_languages(client, target):
    response = client.post("/language/", {"language": "xx", "next": target})
    assert response.url == "/"
    assert "django_language" not in client.cookies


def test_a_form_without_a_translation_says_so_and_marks_its_english(client, form):
    form.instrument = "pcl5"
    form.save()
    spanish(client)
    assert "solo están en inglés" in client.get(link(form)).content.decode()
    page = client.get(link(form) + "?q=q1").content.decode()
    assert '<div lang="en">' in page
    assert "Repeated, disturbing, and unwanted memories" in page


def test_refusals_are_in_the_patients_language(client, form):
    spanish(client)
    client.post(link(form), {"item": "q1", "value": "9"})
    assert "Elija una de las respuestas." in client.get(link(form) + "?q=q1").content.decode()
    client.post(link(form), {"item": "q1", "value": "1"})
    client.post(link(form), {"send": "1"})
    assert "Faltan 8 respuestas." in client.get(link(form) + "?q=q2").content.decode()
    assert "Este enlace no funciona" in client.get("/f/forged/").content.decode()
    with clock.at(form.closes_at + timedelta(hours=1)):
        assert "Este cuestionario está cerrado" in client.get(link(form)).content.decode()


def test_the_staffs_pages_are_in_the_language_that_each_of_them_chose(client, form, nurse):
    client.force_login(nurse)
    page = client.get("/follow-up/", headers={"accept-language": "es"}).content.decode()
    assert '<html lang="en"' in page
    assert "Sign out" in page
    spanish(client)
    nurse.refresh_from_db()
    assert nurse.language == "es"
    page = client.get("/follow-up/", headers={"accept-language": "en"}).content.decode()
    assert '<html lang="es"' in page
    client.post("/language/", {"language": "xx"})
    nurse.refresh_from_db()
    assert nurse.language == "es"
    assert "django_language" not in client.cookies


def test_a_figure_keeps_its_decimal_point():
    with translation.override("es"):
        assert localize(12.5) == "12.5"
        assert date_format(date(2026, 11, 5), "j M Y") == "5 Nov 2026"


def test_every_region_has_its_crisis_lines(settings, db):
    for region, number in (("US", "988"), ("CA", "988"), ("GB", "116123"), ("AU", "131114")):
        settings.REGION = region
        assert contacts()[0].phone == number
        assert contacts("es")[1].label == "Servicios de emergencia"


def test_a_region_without_crisis_lines_stops_the_start(settings, db):
    from openketamine.clinic.policy.queries import check_that_the_region_has_crisis_lines

    assert check_that_the_region_has_crisis_lines() == []
    settings.REGION = "XX"
    (error,) = check_that_the_region_has_crisis_lines()
    assert "OPENKETAMINE_REGION" in error.hint


def test_the_form_of_a_region_shows_its_numbers(client, form, settings):
    settings.REGION = "GB"
    client.post(link(form), {"item": "q9", "value": 1})
    assert 'href="tel:116123"' in client.get(link(form)).content.decode()
    assert FormRequest.objects.get(pk=form.pk).alarmed_at
