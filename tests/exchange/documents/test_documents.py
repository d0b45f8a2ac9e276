"""What is handed over and filed says everything that happened, and loads nothing from outside."""

import re
from datetime import timedelta
from io import BytesIO

import pytest
from pypdf import PdfReader

from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.sessions import queries, services
from openketamine.exchange.documents import render

from ...clinic.conftest import HOME

VITALS = {"systolic_mmhg": 131, "diastolic_mmhg": 82, "heart_rate_bpm": 75, "spo2_percent": 97}


@pytest.fixture
def discharged(running, nurse):
    start = queries.timeline_of(running).started_at
    with clock.at(start + timedelta(minutes=10)):
        wrong = services.record_vitals(nurse, running, **{**VITALS, "systolic_mmhg": 113})
        services.correct_event(nurse, running, seq=wrong.seq, data=VITALS, reason="typed wrongly")
        services.record_side_effect(nurse, running, effect="nausea", severity="mild")
        services.give_medicine(
            nurse, running, medicine="ondansetron", dose=4, route="IV", reason="nausea"
        )
        services.write_note(nurse, running, text="Asked for a blanket.")
    with clock.at(start + timedelta(minutes=40)):
        services.end_infusion(nurse, running)
    with clock.at(start + timedelta(minutes=105)):
        services.record_vitals(nurse, running, **VITALS)
        services.discharge(nurse, running, answers=HOME, escort_name="Ines Example")
    running.refresh_from_db()
    return running


def text_of(response) -> str:
    assert response.status_code == 200, response.content[:500]
    assert response["Content-Type"] == "application/pdf"
    pages = PdfReader(BytesIO(response.content)).pages
    return re.sub(r"\s+", " ", " ".join(page.extract_text() for page in pages))


def test_the_session_note_holds_every_event(client, nurse, discharged):
    client.force_login(nurse)
    text = text_of(client.get(f"/sessions/{discharged.pk}/note.pdf"))
    for said in (
        "Maria Example1",
        "Given 41.0 mg (4.1 mL)",
        "0.5 mg/kg × 82 kg = 41 mg",
        "Nausea, mild",
        "Ondansetron 4",
        "Asked for a blanket.",
        "typed wrongly",
        "113/82",  # what was entered first stays readable
        "Ines Example",
        "sertraline 100 mg at 7",
    ):
        assert said in text, said
    for event in Event.objects.filter(stream=discharged.stream):
        assert event.hash[:10] in text.replace(" ", ""), event


def test_the_after_care_sheet_says_what_not_to_do_and_whom_to_call(
    client, nurse, discharged, settings
):
    settings.CLINIC_PHONE = "555-0142"
    client.force_login(nurse)
    response = client.get(f"/sessions/{discharged.pk}/aftercare.pdf")
    text = text_of(response)
    assert "Do not drive" in text
    assert "after a restful sleep" in text
    assert "988" in text
    assert "telephone: 555-0142" in text
    reader = PdfReader(BytesIO(response.content))
    assert reader.metadata.title == "After your session: Maria Example1"
    assert reader.trailer["/Root"]["/Lang"] == "en"
    assert reader.trailer["/Root"]["/MarkInfo"]["/Marked"]


def test_the_consent_carries_the_text_as_signed(client, nurse, discharged):
    client.force_login(nurse)
    consent = discharged.course.consents.get()
    text = text_of(client.get(f"/consents/{consent.pk}/consent.pdf"))
    assert "off-label" in text
    assert "Signed by Maria Example1" in text
    assert consent.document_digest in text.replace(" ", "")


def test_each_document_is_a_page_too(client, nurse, discharged):
    client.force_login(nurse)
    for name in ("note", "aftercare"):
        response = client.get(f"/sessions/{discharged.pk}/{name}.pdf?format=html")
        assert response["Content-Type"].startswith("text/html")
        assert "Maria Example1" in response.content.decode()


def test_without_pango_the_page_says_what_to_install(client, nurse, discharged, monkeypatch):
    def missing(template, context):
        raise render.PdfUnavailable("PDF documents need Pango.")

    monkeypatch.setattr("openketamine.exchange.documents.views.pdf", missing)
    client.force_login(nurse)
    response = client.get(f"/sessions/{discharged.pk}/note.pdf")
    assert response.status_code == 503
    assert "need Pango" in response.content.decode()


@pytest.mark.parametrize(
    "url", ["https://example.org/a.png", "file:///etc/passwd", "static:///../../settings.py"]
)
def test_a_document_loads_nothing_from_outside(url):
    with pytest.raises(ValueError, match="load nothing from outside"):
        render._fetcher().fetch(url)


def test_a_therapist_does_not_read_the_session_note(client, therapist, discharged):
    client.force_login(therapist)
    assert client.get(f"/sessions/{discharged.pk}/note.pdf").status_code == 403


def test_the_session_note_speaks_the_language_of_whoever_asks_for_it(client, nurse, discharged):
    nurse.language = "es"
    nurse.save()
    client.force_login(nurse)
    page = client.get(f"/sessions/{discharged.pk}/note.pdf?format=html").content.decode()
    assert '<html lang="es">' in page
    assert "Signos vitales" in page
    assert "typed wrongly" in page  # a reason stands as it was written


@pytest.mark.parametrize(
    ("chart", "asked", "language", "said"),
    [
        ("English", "", "en", "The clinic’s telephone:"),
        ("Spanish", "", "es", "Teléfono de la clínica:"),
        ("Spanish", "?language=en", "en", "The clinic’s telephone:"),
    ],
)
def test_the_after_care_sheet_speaks_the_patient_s_language(
    client, nurse, discharged, chart, asked, language, said
):
    discharged.person.language = chart
    discharged.person.save()
    client.force_login(nurse)
    address = f"/sessions/{discharged.pk}/aftercare.pdf{asked or '?'}&format=html"
    page = client.get(address).content.decode()
    assert f'<html lang="{language}">' in page
    assert f'<div lang="{language}">' in page
    assert said in page
