"""Each kind of resource: valid by FHIR's rules, and with what its profile must have."""

import uuid
from datetime import date, timedelta

from django.db import connection
from django.test.utils import CaptureQueriesContext

from openketamine.clinic.people import services as people
from openketamine.clinic.people.referral import Coded, ReferredCondition
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Source
from openketamine.clinic.sessions import services as sessions
from openketamine.clinic.sessions.models import Phase
from openketamine.exchange.fhir import projection
from openketamine.exchange.fhir.kinds import KINDS
from openketamine.exchange.fhir.models import Resource
from openketamine.exchange.fhir.resources import people as said
from openketamine.exchange.fhir.resources import sessions as told
from tests.clinic.conftest import referral

from .server import Fhir, valid

MUST_HAVE = {
    "Patient": {"identifier", "name", "gender"},
    "Practitioner": {"identifier", "name"},
    "Organization": {"active", "name"},
    "Condition": {"category", "code", "subject"},
    "AllergyIntolerance": {"code", "patient", "clinicalStatus"},
    "MedicationRequest": {"status", "intent", "subject", "medicationCodeableConcept"},
    "MedicationAdministration": {"status", "subject", "medicationCodeableConcept", "context"},
    "Observation": {"status", "category", "code", "subject", "effectiveDateTime"},
    "Questionnaire": {"status", "url"},
    "QuestionnaireResponse": {"status", "questionnaire", "subject", "authored"},
    "Consent": {"status", "scope", "category", "patient", "policyRule"},
    "CarePlan": {"status", "intent", "category", "subject", "text"},
    "Encounter": {"status", "class", "type", "subject"},
    "Procedure": {"status", "code", "subject"},
    "AdverseEvent": {"actuality", "subject", "event", "date"},
    "DocumentReference": {"status", "type", "category", "subject", "content"},
    "Provenance": {"target", "recorded", "agent"},
    "AuditEvent": {"type", "recorded", "agent", "source"},
}


def test_it_works(fhir, person):
    patient = fhir.read(f"Patient/{person.pk}")
    assert patient["name"] == [{"use": "official", "family": "Example1", "given": ["Maria"]}]
    assert patient["identifier"][0]["value"] == person.mrn
    assert patient["meta"]["versionId"] == "1"


def test_every_resource_of_a_treated_course_is_valid_and_has_what_its_profile_asks(
    fhir, charted, treated
):
    for name in KINDS:
        rows = fhir.found(f"{name}?_count=500")
        assert rows, f"no {name}"
        for row in rows:
            valid(row)
            missing = MUST_HAVE[name] - row.keys()
            assert not missing, f"{name}/{row['id']} lacks {missing}"


def test_the_note_of_a_session_is_fetched_as_the_pdf_that_it_names(fhir, treated):
    (note,) = fhir.found(f"DocumentReference?encounter={treated.pk}")
    where = next(
        part["attachment"]["url"] for part in note["content"] if "url" in part["attachment"]
    )
    answer = fhir.get(where)
    assert answer["Content-Type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF")
    assert fhir.read(where, Accept="application/fhir+json")["contentType"] == "application/pdf"
    fhir.read("Binary/session-note-00000000-0000-4000-8000-000000000000", status=404)
    fhir.read("Binary/..", status=404)


def test_a_note_of_another_patient_is_not_there(director, nurse, treated, coordinator):
    other = people.receive_referral(coordinator, referral(2), origin="a test").person
    narrow = Fhir(director, scope="patient/*.rs", user=nurse, person=other, name="Narrow")
    narrow.read(f"Binary/session-note-{treated.pk}", status=404)
    narrow.read(f"Encounter/{treated.pk}", status=404)
    subjects = {row["subject"]["reference"] for row in narrow.found("Observation")}
    assert subjects == {f"Patient/{other.pk}"}


def test_what_was_taken_back_says_so(fhir, running, nurse):
    event = sessions.record_vitals(nurse, running, heart_rate_bpm=188)
    assert fhir.read(f"Observation/e{event.pk}-heart")["status"] == "final"
    sessions.correct_event(nurse, running, seq=event.pk, reason="another patient's")
    taken_back = fhir.read(f"Observation/e{event.pk}-heart")
    assert taken_back["status"] == "entered-in-error"
    assert taken_back["meta"]["versionId"] == "2"
    told = fhir.found(f"Provenance?target=Observation/e{event.pk}-heart")
    assert [row["activity"]["coding"][0]["code"] for row in told] == [
        "session.vitals_recorded",
        "session.corrected",
    ]
    assert told[1]["entity"][0]["what"]["reference"] == f"Provenance/event-{event.pk}"


def test_a_monitor_is_told_once_a_minute(fhir, running):
    start = clock.now()
    readings = [
        sessions.MonitorReading(
            "Monitor 1", running, start + timedelta(seconds=5 * n), {"heart_rate_bpm": 70.0 + n},
            uuid.uuid4(), {}, {},
        )
        for n in range(24)
    ]  # fmt: skip
    with clock.at(start + timedelta(minutes=3)):
        sessions.record_from_monitors(readings)
        told = [
            row
            for row in fhir.found(f"Observation?encounter={running.pk}&code=8867-4")
            if "device" in row
        ]
    minutes = {row["effectiveDateTime"][:16] for row in told}
    assert len(told) == len(minutes) <= 3


def test_wording_travels_only_where_its_licence_lets_it(fhir, course, nurse):
    shipped = fhir.read("Questionnaire/phq9")
    assert all(item.get("text") for item in shipped["item"])
    kept_back = fhir.read("Questionnaire/hamd17")
    assert not any(item.get("text") for item in kept_back["item"] if item["linkId"] != "total")
    assert "CHECK" in kept_back["copyright"]
    instruments = library().instruments
    for questionnaire in fhir.found("Questionnaire?_count=100"):
        instrument = instruments[questionnaire["id"]]
        texts = [item.get("text") for item in questionnaire["item"] if item["linkId"] != "total"]
        assert instrument.text_shipped or not any(texts)
        if not instrument.text_shipped:
            shown = [
                option["valueCoding"].get("display")
                for item in questionnaire["item"]
                for option in item.get("answerOption", ())
            ]
            assert not any(shown), questionnaire["id"]


def test_every_look_at_a_chart_is_noted_for_the_director(fhir, director, nurse, person):
    fhir.read(f"Patient/{person.pk}")
    fhir.read(f"Patient?identifier={person.mrn}")
    auditor = Fhir(director, scope="user/AuditEvent.rs", user=director, name="Auditor")
    noted = auditor.found(f"AuditEvent?patient={person.pk}")
    assert [row["subtype"][0]["code"] for row in noted] == ["read", "search-type"]
    assert noted[0]["agent"][0]["name"] == "Tester"
    assert {e["what"]["reference"] for e in noted[0]["entity"] if "what" in e} == {
        f"Patient/{person.pk}"
    }
    others = Fhir(director, scope="user/*.rs", user=nurse, name="Nosy")
    others.read("AuditEvent", status=403)


def test_resources_stand_again_as_they_were_after_a_rebuild(fhir, charted, treated):
    fhir.read("Patient")
    before = list(Resource.objects.order_by("pk").values_list("kind", "key", "content"))
    projection.rebuild()
    assert list(Resource.objects.order_by("pk").values_list("kind", "key", "content")) == before


def test_projecting_costs_the_same_queries_however_many_people(coordinator):
    def cost(numbers):
        for number in numbers:
            people.receive_referral(coordinator, referral(number), origin="a test")
        with CaptureQueriesContext(connection) as captured:
            projection.catch_up()
        return len(captured)

    cost([0])
    assert cost([1]) == cost(range(2, 12))


def test_one_chart_that_cannot_be_said_keeps_no_other_back(fhir, person, coordinator, monkeypatch):
    """What one row holds must never take the whole interface down."""
    patient = said._patient

    def broken(one):
        if one.pk == person.pk:
            raise ValueError("no such thing in FHIR")
        return patient(one)

    monkeypatch.setattr(said, "_patient", broken)
    other = people.receive_referral(coordinator, referral(2), origin="a test").person
    assert [row["id"] for row in fhir.found("Patient")] == [str(other.pk)]


def test_a_date_at_the_end_of_the_calendar_is_kept_and_found(fhir, person, nurse):
    problem = ReferredCondition("c", Coded("", "", "Odd"), "active", "disorder", date(9999, 12, 31))
    people.take_statements(nurse, person, conditions=[problem], origin="a test", source=Source.HAND)
    (row,) = fhir.found("Condition?onset-date=ge9999")
    assert row["onsetDateTime"] == "9999-12-31"


def test_a_session_can_be_told_in_every_phase():
    assert set(told._STATUS) == set(Phase)
