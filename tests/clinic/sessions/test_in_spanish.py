"""One session, watched in two languages: each screen speaks its reader's, the record English."""

import asyncio
import json
import uuid
from datetime import timedelta

import pytest
from django.test import AsyncClient
from django.urls import reverse
from django.utils import translation

from openketamine.clinic.errors import Barred
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.said import in_english, retold, say
from openketamine.clinic.sessions import queries, services, spray
from openketamine.clinic.sessions.models import Session
from openketamine.clinic.sessions.wording import describe

from .test_live import heard, in_thread


@pytest.fixture
def enfermera(second_nurse):
    second_nurse.language = "es"
    second_nurse.save()
    return second_nurse


@pytest.fixture
def screens(nurse, enfermera, client):
    """What an address shows to the English nurse and to the Spanish one."""

    def look(address, **asked):
        shown = []
        for user in (nurse, enfermera):
            client.force_login(user)
            shown.append(client.get(address, **asked).content.decode())
        return shown

    return look


@pytest.mark.django_db(transaction=True)
def test_each_of_two_who_watch_hears_of_a_change_and_is_shown_it_in_their_own_language(
    running, nurse, enfermera
):
    address = [reverse(name, args=[running.pk]) for name in ("session_stream", "session_state")]
    written = []

    def call():
        written.append(services.call_emergency(enfermera, running, sign="chest_pain"))

    async def watch():
        watching = []
        for user in (nurse, enfermera):
            client = AsyncClient()
            await client.aforce_login(user)
            stream = (await client.get(address[0])).streaming_content
            await heard(stream, "beat")
            watching.append((client, stream))
        await asyncio.to_thread(in_thread, call)
        shown = []
        for client, stream in watching:
            assert await heard(stream, "changed") == {"seq": written[0].seq}  # and no words
            await stream.aclose()
            shown.append((await client.get(address[1])).content.decode())
        return shown

    english, spanish = asyncio.run(watch())
    assert "Emergency: chest pain" in english
    assert "Emergencia: " in spanish
    assert "EMERGENCY: " in english
    assert "EMERGENCIA: " in spanish
    assert "Emergency: " not in spanish
    assert "Emergencia" not in english


def test_all_pages_share_one_look_at_the_alarms_and_each_tells_them_in_its_own_language(
    running, enfermera, screens, monkeypatch
):
    monkeypatch.setattr(queries, "_calls", (float("-inf"), []))
    monkeypatch.setattr(queries, "CALLS_SHARED_S", 60.0)
    services.call_emergency(enfermera, running, sign="chest_pain")
    english, spanish = screens(reverse("alarms"))
    assert "Emergency: chest pain" in english
    assert "called by " in english
    assert "Emergencia: " in spanish
    assert "la declaró " in spanish
    assert "called by " not in spanish


def test_an_alert_that_a_spanish_nurse_answers_stands_in_the_record_in_english(
    running, enfermera, client, screens
):
    services.call_emergency(enfermera, running, sign="chest_pain")
    seq = queries.timeline_of(running).emergencies[0].seq
    client.force_login(enfermera)
    answer = client.post(
        reverse("alert_acknowledge", args=[running.pk, f"emergency-{seq}"]),
        {"reason": "junto al paciente, observando", "client_id": uuid.uuid4()},
    )
    assert answer.status_code == 302
    told = Event.objects.get(stream=running.stream, kind="session.alert_acknowledged").data
    assert told["statement"] == "Emergency: chest pain"
    # A reason that was tapped is one of the list, and so is read in both languages.
    assert told["reason"] == "at the bedside, watching"
    english, spanish = screens(reverse("session_state", args=[running.pk]))
    assert "Alert acknowledged (Emergency: chest pain): at the bedside, watching" in english
    assert "): junto al paciente, observando" in spanish
    assert "at the bedside" not in spanish


def test_what_people_write_stands_as_they_wrote_it(running, enfermera, screens):
    services.write_note(enfermera, running, text="Paciente tranquila")
    english, spanish = screens(reverse("session_state", args=[running.pk]))
    assert "Note: Paciente tranquila" in english
    assert "Nota: Paciente tranquila" in spanish


def test_what_was_barred_is_told_in_the_language_of_whoever_tried_and_kept_in_english(
    running, enfermera, nurse
):
    services.end_infusion(nurse, running, reason="complete")
    running.refresh_from_db()
    with translation.override("es"), pytest.raises(Barred, match="Todavía no"):
        services.discharge(enfermera, running, answers={}, escort_name="Ana Ejemplo")
    tried = Event.objects.get(stream=running.stream, kind="session.attempt_refused").data
    assert tried["act"] == "going home"
    assert tried["because"].startswith("Not yet: ")
    (line,) = queries.timeline_of(running).attempts
    assert describe(line).startswith("Refused: going home. Not yet: ")
    with translation.override("es"):
        told = describe(line)
    assert told.startswith("Rechazado: irse a casa. Todavía no: ")
    assert "not known yet" not in told
    for criterion in queries.library_of(running).discharge["IV"].criteria:
        assert criterion.statement not in told


def test_a_late_observation_is_late_in_both_languages(running, screens):
    with clock.at(running.opened_at + timedelta(hours=1)):
        english, spanish = screens(reverse("session_state", args=[running.pk]))
    assert "Vital signs late" in english
    assert "Con retraso: signos vitales" in spanish.replace("Signos", "signos")


def test_no_words_of_a_language_are_kept_with_a_timeline(running, nurse):
    """A timeline is kept for all who look; the first of them must not choose its language."""
    services.correct_event(
        nurse,
        running,
        seq=services.write_note(nurse, running, text="wrong").seq,
        reason="another patient",
    )
    for language, says in (("es", "retirada: "), ("en", "retract: "), ("es", "retirada: ")):
        with translation.override(language):
            line = next(x for x in queries.timeline_of(running).lines if x.correction)
            assert str(line.correction).startswith(says)


def test_the_chart_speaks_the_language_of_its_screen(running, screens):
    english, spanish = map(json.loads, screens(reverse("session_chart", args=[running.pk])))
    assert english["events"][0]["label"].startswith("Infusion started: ")
    assert spanish["events"][0]["label"].startswith("Infusión iniciada: ")
    assert english["events"][0]["letter"] == spanish["events"][0]["letter"] == "S"


def test_a_sentence_of_the_record_is_told_again_with_its_figures():
    with translation.override("es"):
        assert retold("device 2", spray.DEVICE_NUMBER) == "dispositivo 2"
        assert retold("Something else entirely", spray.DEVICE_NUMBER) == "Something else entirely"
        text = say(spray.USED_BEFORE, serial="4711")
        assert str(text) == "El dispositivo con el número de serie 4711 ya se usó."
        assert in_english(text) == "The device with the serial number 4711 has been used."
        assert retold(in_english(text), *spray.BARRED) == str(text)


def test_the_phase_of_a_session_is_a_code_and_its_name_a_word(running):
    assert Session.objects.filter(phase="infusion").exists()
    with translation.override("es"):
        assert running.get_phase_display() == "Infusión"
