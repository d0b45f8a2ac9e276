"""Staff read a session at home in Spanish; the record keeps what it always kept, in English."""

import pytest
from django.utils import translation

from openketamine.clinic.athome import from_home, services, watch
from openketamine.clinic.errors import Refused
from openketamine.clinic.notices.models import Call
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event

from .conftest import DOSE, WELL, go, minutes


@pytest.fixture
def enfermera(nurse):
    nurse.language = "es"
    nurse.save()
    return nurse


def page_of(client, user, session) -> str:
    client.force_login(user)
    return client.get(f"/home-sessions/{session.pk}/").content.decode()


def kept(session, kind: str) -> dict:
    return Event.objects.filter(stream=session.stream, kind=f"athome.{kind}").latest("seq").data


def test_what_is_in_doubt_is_kept_in_english_and_read_in_spanish(client, session, enfermera):
    with translation.override("es"):
        from_home.check_in(session, data={**WELL, "mood_0_10": 2, "counted": [[100.0, 1]]})
    doubts = kept(session, "check_in")["doubts"]
    assert "Mood 2 of 10" in doubts
    assert "Counts 1 of 100 mg at home; 2 of 100 mg and 2 of 50 mg should be there" in doubts
    page = page_of(client, enfermera, session)
    assert "Ánimo 2 de 10" in page
    assert "Cuenta 1 de 100 mg en casa; debería haber 2 de 100 mg y 2 de 50 mg" in page
    assert "should be there" not in page


def test_a_refusal_is_said_in_spanish_and_kept_in_english(client, session, enfermera):
    with translation.override("es"), pytest.raises(Refused, match="preguntas"):
        from_home.take_dose(session, pieces=DOSE)
    assert "answers before the dose" in kept(session, "refused")["reason"]
    with translation.override("es"), pytest.raises(Refused, match="El paciente cuenta"):
        services.dispense(enfermera, session.enrolment, pieces={100: 1}, counted={}, lot="L8")
    event = Event.objects.filter(kind="athome.refused").latest("seq")
    assert event.data["reason"].startswith("The patient counts none, and 2 of 100 mg and 2 of 50")
    assert "Rechazado: Las respuestas anteriores a la dosis" in page_of(client, enfermera, session)


def test_calls_from_home_are_read_in_spanish(client, on_call, may_take, enfermera):
    with translation.override("es"):
        from_home.take_dose(may_take, pieces=DOSE)
        from_home.ask_for_help(may_take, by="adult", words="Está muy pálido.")
    with clock.at(minutes(50)):
        watch.look_at(may_take)
        page = page_of(client, enfermera, may_take)
    assert "Help is asked for" not in page
    assert "No check-in" not in page
    assert "La persona adulta que acompaña pide ayuda en casa" in page
    assert "Sin control desde casa 30 minutos después de la dosis" in page


def test_a_decision_in_spanish_closes_its_call_in_english(client, on_call, session, enfermera):
    with translation.override("es"):
        from_home.check_in(session, data=WELL)
        go(enfermera, session)
    call = Call.objects.get(person_id=session.person_id)
    assert call.detail == "Nothing in doubt. 128/79 mmHg, pulse 72 /min."
    assert call.closing_words == "Decided: go."
    page = page_of(client, enfermera, session)
    assert "Respondió antes de la dosis: 128/79 mmHg, pulso 72 /min, ánimo 5 de 10" in page
