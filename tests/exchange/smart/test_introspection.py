"""What a token allows, told to the program that it was given to, and to nobody else."""

from datetime import timedelta

import pytest

from openketamine.clinic.record import clock
from openketamine.exchange.smart import services

from .conftest import CALLBACK, Browser, ask_as_service, assertion, exchange, question, sent_back

INTROSPECT = "http://localhost:8000/smart/introspect"
REVOKE = "http://localhost:8000/smart/revoke"
BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def introspect(http, token, service, key, **changes):
    return http.post(
        "/smart/introspect",
        {
            "token": token,
            "client_assertion_type": BEARER,
            "client_assertion": assertion(service, key, aud=INTROSPECT, **changes),
        },
    )


@pytest.fixture
def token(client, service, key):
    return ask_as_service(client, assertion(service, key)).json()["access_token"]


@pytest.fixture
def portal(director):
    return services.register_client(
        director, name="Portal", kind="confidential",
        scope="openid fhirUser offline_access patient/*.rs", redirect_uris=CALLBACK,
    )  # fmt: skip


def test_it_works(client, service, key, token):
    answer = introspect(client, token, service, key)
    assert answer["Cache-Control"] == "no-store"
    told = answer.json()
    assert told["active"] is True
    assert told["scope"] == "system/*.rs"
    assert told["client_id"] == service.client_id
    assert 0 < told["exp"] - told["iat"] <= 300
    assert "patient" not in told


def test_a_token_for_a_patient_names_patient_and_user(client, portal, person, nurse):
    app, secret = portal
    desk = Browser(nurse)
    asked = question(app, scope="openid fhirUser offline_access patient/*.rs")
    code = sent_back(desk.post(asked, {"allow": "1", "person": str(person.pk)}))["code"]
    given = exchange(client, app, code, client_secret=secret).json()
    shown = {"client_id": app.client_id, "client_secret": secret}
    told = client.post("/smart/introspect", {"token": given["access_token"], **shown}).json()
    assert told["patient"] == str(person.pk)
    assert told["fhirUser"] == f"Practitioner/{nurse.pk}"
    # A refresh token is good for longer than the access token beside it.
    with clock.at(clock.now() + timedelta(hours=2)):
        over = client.post("/smart/introspect", {"token": given["access_token"], **shown}).json()
        lives = client.post("/smart/introspect", {"token": given["refresh_token"], **shown}).json()
    assert over == {"active": False}
    assert lives["active"] is True
    nurse.is_active = False
    nurse.save()
    over = client.post("/smart/introspect", {"token": given["access_token"], **shown}).json()
    assert over == {"active": False}


def test_a_token_that_is_over_says_no_more_than_that(client, service, key, token):
    gone = client.post(
        "/smart/revoke",
        {
            "token": token,
            "client_assertion_type": BEARER,
            "client_assertion": assertion(service, key, aud=REVOKE),
        },
    )
    assert gone.status_code == 200
    assert introspect(client, token, service, key).json() == {"active": False}
    assert introspect(client, "made up", service, key).json() == {"active": False}
    refused = client.get("/fhir/Patient", headers={"Authorization": f"Bearer {token}"})
    assert refused.status_code == 401


def test_another_programs_token_is_none_of_its_business(client, portal, token):
    app, secret = portal
    shown = {"client_id": app.client_id, "client_secret": secret}
    told = client.post("/smart/introspect", {"token": token, **shown}).json()
    assert told == {"active": False}
    # Nor can it be given back by another.
    client.post("/smart/revoke", {"token": token, **shown})
    read = client.get("/fhir/Patient", headers={"Authorization": f"Bearer {token}"})
    assert read.status_code == 200


def test_who_does_not_show_who_it_is_learns_nothing(client, service, phone_app, token):
    assert client.post("/smart/introspect", {"token": token}).status_code == 401
    public = {"token": token, "client_id": phone_app.client_id}
    assert client.post("/smart/introspect", public).status_code == 401


def test_where_to_ask_stands_in_the_configuration(client, db):
    told = client.get("/fhir/.well-known/smart-configuration").json()
    assert told["introspection_endpoint"] == INTROSPECT
    assert told["revocation_endpoint"] == REVOKE
