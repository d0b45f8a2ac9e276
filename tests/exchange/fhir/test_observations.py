"""Vital signs as FHIR Observations: the same rules, by another door."""

import json
from datetime import timedelta

import pytest
from django.db import OperationalError

from openketamine.clinic.devices import services as devices
from openketamine.clinic.devices.models import Device
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event, Source
from openketamine.exchange.fhir import views

LOINC = "http://loinc.org"


@pytest.fixture
def secret(director):
    return devices.make_token(director, name="wearable")[1]


@pytest.fixture
def at_chair(secret, running, nurse):
    devices.assign(nurse, Device.objects.get(identity="fhir:wearable"), running.chair)


def observation(code="59408-5", value=98, unit="%", **changes):
    body = {
        "resourceType": "Observation",
        "identifier": [{"system": "urn:example", "value": "o-1"}],
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "effectiveDateTime": clock.now().isoformat(timespec="milliseconds"),
        "valueQuantity": {
            "value": value, "system": "http://unitsofmeasure.org", "code": unit, "unit": unit,
        },
    }  # fmt: skip
    return {name: part for name, part in {**body, **changes}.items() if part is not None}


@pytest.fixture
def post(client, secret):
    def send(body, token=secret, **headers):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = client.post(
            "/fhir/Observation", raw, content_type="application/fhir+json", headers=headers
        )
        assert answer.json()["resourceType"] == "OperationOutcome"
        return answer

    return send


def stored():
    return list(
        Event.objects.filter(kind="session.vitals_recorded", source=Source.MONITOR).order_by("seq")
    )


def test_it_works(post, at_chair, running):
    assert post(observation()).status_code == 201
    (event,) = stored()
    assert (event.stream, event.data["spo2_percent"]) == (running.stream, 98.0)


def test_the_same_one_sent_again_is_stored_once(post, at_chair):
    same = observation()
    assert [post(same).status_code, post(same).status_code] == [201, 200]
    assert len(stored()) == 1


def test_a_blood_pressure_is_one_reading_of_two_values(post, at_chair):
    component = [
        {"code": {"coding": [{"system": LOINC, "code": code}]},
         "valueQuantity": {"value": value, "code": "mm[Hg]"}}
        for code, value in (("8480-6", 128), ("8462-4", 79))
    ]  # fmt: skip
    assert post(observation("85354-9", valueQuantity=None, component=component)).status_code == 201
    (event,) = stored()
    assert (event.data["systolic_mmhg"], event.data["diastolic_mmhg"]) == (128.0, 79.0)


def test_the_codes_of_monitors_and_other_units_are_read_too(post, at_chair):
    coding = [{"system": "urn:iso:std:iso:11073:10101", "code": "150301"}]
    assert post(observation(value=17.1, unit="kPa", code=None) | {
        "code": {"coding": coding}
    }).status_code == 201  # fmt: skip
    assert stored()[0].data["systolic_mmhg"] == 128.3


def test_one_that_cannot_be_placed_is_taken_and_held(post, running):
    answer = post(observation())
    assert answer.status_code == 202
    assert "not assigned" in answer.json()["issue"][0]["diagnostics"]
    assert stored() == []


def test_one_of_another_patient_than_the_chair_holds_is_held(post, at_chair):
    assert post(observation(subject={"reference": "Patient/9999"})).status_code == 202
    assert post(observation(subject={"identifier": {"value": "9999"}})).status_code == 202
    assert stored() == []


def test_a_code_that_is_not_charted_is_kept_as_seen(post, at_chair):
    assert post(observation("2339-0", 5.5, "mmol/L")).status_code == 202
    assert "2339-0" in Device.objects.get(identity="fhir:wearable").unknown


@pytest.mark.parametrize(
    ("body", "status", "place"),
    [
        (b"{", 422, "Observation"),
        (b"[]", 422, "Observation"),
        ({"resourceType": "Patient"}, 422, "Observation"),
        ({"status": "registered"}, 422, "Observation.status"),
        ({"status": "entered-in-error"}, 422, "Observation.status"),
        ({"identifier": None}, 422, "Observation.identifier"),
        ({"effectiveDateTime": None}, 422, "Observation.effective"),
        ({"effectiveDateTime": "2026-11-24"}, 422, "Observation.effective"),
        ({"valueQuantity": None}, 422, "Observation.value"),
        ({"nonsense": 1}, 422, "Observation.nonsense"),
        (b" " * 70_000, 413, None),
    ],
)
def test_what_is_refused_and_where(post, at_chair, body, status, place):
    if isinstance(body, dict) and "resourceType" not in body:
        body = observation(**body)
    answer = post(body)
    assert answer.status_code == status
    (issue,) = answer.json()["issue"]
    assert issue["diagnostics"]
    assert issue.get("expression", [None]) == [place]
    assert stored() == []


def test_nobody_gets_in_without_a_token_that_counts(post, client, director):
    assert post(observation(), token=None).status_code == 401
    answer = post(observation(), token="guessed")
    assert (answer.status_code, "WWW-Authenticate" in answer.headers) == (401, True)
    token, secret = devices.make_token(director, name="other")
    devices.revoke_token(director, token)
    assert post(observation(), token=secret).status_code == 401
    assert client.get("/fhir/Observation").status_code == 401


def test_a_database_that_cannot_store_says_so(post, at_chair, monkeypatch):
    def locked(_):
        raise OperationalError("database is locked")

    monkeypatch.setattr(views.devices, "receive", locked)
    assert post(observation()).status_code == 503


def test_an_old_one_stands_at_its_own_time(post, at_chair, running):
    type(running).objects.filter(pk=running.pk).update(opened_at=clock.now() - timedelta(hours=1))
    device = Device.objects.get(identity="fhir:wearable")
    device.assignments.update(from_at=clock.now() - timedelta(hours=1))
    at = clock.now() - timedelta(minutes=20)
    assert post(observation(effectiveDateTime=at.isoformat())).status_code == 201
    assert abs(stored()[0].occurred_at - at) < timedelta(seconds=1)
