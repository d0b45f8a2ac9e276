"""How a program comes to a token: a service by its key, an app by a person's leave."""

import json
from datetime import timedelta

import pytest
from django.test import Client
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey

from openketamine.clinic.accounts.models import Role
from openketamine.clinic.errors import Refused
from openketamine.clinic.people.services import give_sign_in
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.exchange.smart import services
from openketamine.exchange.smart.models import AccessToken, ClientApp

from .conftest import (
    CALLBACK,
    Browser,
    ask_as_service,
    assertion,
    exchange,
    public_set,
    question,
    sent_back,
)


def read(client, token, path):
    return client.get(f"/fhir/{path}", headers={"Authorization": f"Bearer {token}"})


def test_it_works(client, service, key, person):
    answer = ask_as_service(client, assertion(service, key))
    assert answer.status_code == 200, answer.content
    given = answer.json()
    assert (given["token_type"], given["expires_in"]) == ("Bearer", 300)
    assert given["scope"] == "system/*.rs"
    assert read(client, given["access_token"], f"Patient/{person.pk}").status_code == 200
    # What was not given is refused.
    refused = client.post(
        "/fhir/Patient",
        "{}",
        content_type="application/fhir+json",
        headers={"Authorization": f"Bearer {given['access_token']}"},
    )
    assert refused.status_code == 403


def test_a_service_may_sign_with_rsa_too(client, service, rsa_key):
    assert ask_as_service(client, assertion(service, rsa_key, alg="RS384")).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "http://elsewhere/token"},
        {"exp": 1_000_000_000},
        {"exp": 4_000_000_000},
        {"iss": "somebody else"},
        {"sub": "nobody"},
        {"jti": None},
        {"exp": None},
        {"jti": 7},
        {"jti": "a\x00b"},
    ],
    ids=lambda changes: "-".join(f"{k}={v}" for k, v in changes.items()),
)
def test_a_signature_over_anything_else_is_refused(client, service, key, changes):
    answer = ask_as_service(client, assertion(service, key, **changes))
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_client"
    assert not AccessToken.objects.exists()


def test_a_signature_counts_once(client, service, key):
    once = assertion(service, key)
    assert ask_as_service(client, once).status_code == 200
    assert ask_as_service(client, once).status_code == 400


def test_a_foreign_key_or_a_shared_secret_signs_nothing(client, service, key):
    stranger = ECKey.generate_key("P-384", {"kid": "k1"})
    assert ask_as_service(client, assertion(service, stranger)).status_code == 400
    public = json.dumps(key.as_dict(private=False)).encode()
    forged = assertion(service, OctKey.import_key(public, {"kid": "k1"}), alg="HS256")
    assert ask_as_service(client, forged).status_code == 400
    for nonsense in ("", "a.b.c", "x" * 5000, "e30.e30."):
        assert ask_as_service(client, nonsense).status_code in (400, 401)


def test_a_service_gets_no_scope_that_it_was_not_given(client, service, key):
    answer = ask_as_service(client, assertion(service, key), scope="system/Patient.cruds")
    assert answer.json()["scope"] == "system/Patient.rs"
    answer = ask_as_service(client, assertion(service, key), scope="user/Patient.rs")
    assert answer.json()["error"] == "invalid_scope"


@pytest.fixture
def at_desk(nurse):
    return Browser(nurse)


def test_an_app_opened_on_a_patient_sees_that_patient_alone(
    at_desk, client, phone_app, person, coordinator, director
):
    from openketamine.clinic.people.services import receive_referral
    from tests.clinic.conftest import referral

    other = receive_referral(coordinator, referral(2), origin="a test").person
    page = at_desk.post(f"/people/{person.pk}/apps/{phone_app.pk}/")
    launch = page.content.decode().partition("launch=")[2].partition('"')[0]
    asked = question(phone_app, scope="launch openid fhirUser patient/*.rs", launch=launch)
    shown = at_desk.get(asked)
    assert b"Mood diary asks for access" in shown.content
    assert str(person) in shown.content.decode()
    back = sent_back(at_desk.post(asked, {"allow": "1"}))
    assert back["state"] == "s-1"
    given = exchange(client, phone_app, back["code"]).json()
    assert given["patient"] == str(person.pk)
    assert "refresh_token" not in given  # it did not ask for offline access
    token = given["access_token"]
    assert read(client, token, f"Patient/{person.pk}").status_code == 200
    assert read(client, token, f"Patient/{other.pk}").status_code == 404
    found = read(client, token, "Patient").json()
    assert [e["resource"]["id"] for e in found["entry"]] == [str(person.pk)]
    assert "entry" not in read(client, token, f"Observation?patient={other.pk}").json()
    assert read(client, token, f"Patient/{other.pk}/$everything").status_code == 404


def test_an_app_that_stands_alone_asks_which_patient(at_desk, client, phone_app, person):
    asked = question(phone_app)
    assert b"On which patient?" in at_desk.get(asked).content
    assert b"On which patient?" in at_desk.post(asked, {"allow": "1"}).content
    assert str(person.pk) in at_desk.get(f"{asked}&search=example1").content.decode()
    back = sent_back(at_desk.post(asked, {"allow": "1", "person": str(person.pk)}))
    given = exchange(client, phone_app, back["code"]).json()
    keys = KeySet.import_key_set(client.get("/smart/jwks").json())
    claims = jwt.decode(given["id_token"], keys).claims
    assert claims["nonce"] == "n-1"
    assert claims["aud"] == phone_app.client_id
    assert claims["fhirUser"].startswith("http://localhost:8000/fhir/Practitioner/")
    assert claims["iss"] == "http://localhost:8000/smart"


def test_a_patient_gives_access_to_the_own_chart_only(client, phone_app, person, coordinator):
    user = give_sign_in(coordinator, person, username="maria", password="a long enough password")
    at_home = Browser(user)
    asked = question(phone_app, scope="patient/*.rs user/Patient.rs")
    back = sent_back(at_home.post(asked, {"allow": "1", "person": "00000000-0000-4000-8000-0"}))
    token = exchange(client, phone_app, back["code"]).json()["access_token"]
    found = read(client, token, "Patient").json()["entry"]
    assert [entry["resource"]["id"] for entry in found] == [str(person.pk)]


def test_a_code_counts_once_for_its_app_and_its_verifier(at_desk, client, phone_app, person):
    def fresh():
        allowed = at_desk.post(question(phone_app), {"allow": "1", "person": str(person.pk)})
        return sent_back(allowed)["code"]

    code = fresh()
    assert exchange(client, phone_app, code).status_code == 200
    assert exchange(client, phone_app, code).json()["error"] == "invalid_grant"
    wrong = exchange(client, phone_app, fresh(), code_verifier="w" * 50)
    assert wrong.json()["error"] == "invalid_grant"
    elsewhere = exchange(client, phone_app, fresh(), redirect_uri="https://evil.example/")
    assert elsewhere.json()["error"] == "invalid_grant"
    code = fresh()
    with clock.at(clock.now() + timedelta(minutes=2)):
        assert exchange(client, phone_app, code).json()["error"] == "invalid_grant"


def test_access_that_is_kept_is_renewed_once_with_each_token(at_desk, client, phone_app, person):
    allowed = at_desk.post(question(phone_app), {"allow": "1", "person": str(person.pk)})
    first = exchange(client, phone_app, sent_back(allowed)["code"]).json()

    def renew(token):
        return client.post(
            "/smart/token",
            {
                "grant_type": "refresh_token",
                "refresh_token": token,
                "client_id": phone_app.client_id,
            },
        )

    second = renew(first["refresh_token"]).json()
    assert second["patient"] == str(person.pk)
    assert read(client, second["access_token"], f"Patient/{person.pk}").status_code == 200
    assert read(client, first["access_token"], f"Patient/{person.pk}").status_code == 401
    assert renew(first["refresh_token"]).status_code == 400
    with clock.at(clock.now() + timedelta(hours=2)):
        assert read(client, second["access_token"], f"Patient/{person.pk}").status_code == 401


def test_access_given_back_or_taken_back_is_over(at_desk, client, phone_app, person, director):
    allowed = at_desk.post(question(phone_app), {"allow": "1", "person": str(person.pk)})
    token = exchange(client, phone_app, sent_back(allowed)["code"]).json()["access_token"]
    given_back = client.post("/smart/revoke", {"token": token, "client_id": phone_app.client_id})
    assert given_back.status_code == 200
    assert read(client, token, "Patient").status_code == 401
    allowed = at_desk.post(question(phone_app), {"allow": "1", "person": str(person.pk)})
    token = exchange(client, phone_app, sent_back(allowed)["code"]).json()["access_token"]
    services.revoke_client(director, phone_app)
    assert read(client, token, "Patient").status_code == 401
    assert at_desk.get(question(phone_app)).status_code == 400
    assert Event.objects.filter(kind="smart.client_revoked").exists()


def test_a_user_who_is_shut_out_takes_the_apps_along(at_desk, client, phone_app, person, nurse):
    allowed = at_desk.post(question(phone_app), {"allow": "1", "person": str(person.pk)})
    token = exchange(client, phone_app, sent_back(allowed)["code"]).json()["access_token"]
    nurse.is_active = False
    nurse.save()
    assert read(client, token, "Patient").status_code == 401


def test_whoever_does_not_allow_sends_the_app_away(at_desk, phone_app, person):
    assert sent_back(at_desk.post(question(phone_app), {"deny": "1"}))["error"] == "access_denied"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"aud": "https://evil.example/fhir"}, "invalid_request"),
        ({"aud": None}, "invalid_request"),
        ({"state": None}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "system/*.rs"}, "invalid_request"),
        ({"launch": "made up"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
    ],
    ids=str,
)
def test_a_question_that_smart_does_not_allow_is_sent_back(at_desk, phone_app, changes, error):
    assert sent_back(at_desk.get(question(phone_app, **changes)))["error"] == error


@pytest.mark.parametrize(
    "changes", [{"client_id": "nobody"}, {"redirect_uri": "https://evil.example/callback"},
                {"redirect_uri": CALLBACK + "/more"}, {"client_id": "a\x00b"}]
)  # fmt: skip
def test_nobody_is_sent_to_an_address_that_was_not_registered(at_desk, phone_app, changes):
    answer = at_desk.get(question(phone_app, **changes))
    assert answer.status_code == 400
    assert b"cannot be given access" in answer.content


def test_who_is_not_signed_in_signs_in_first(client, phone_app, db):
    answer = client.get(question(phone_app))
    assert answer.status_code == 302
    assert answer["Location"].startswith("/account/login/?next=")


def test_an_app_with_a_secret_shows_it(at_desk, client, director, person):
    app, secret = services.register_client(
        director, name="Portal", kind="confidential", scope="patient/*.rs", redirect_uris=CALLBACK
    )
    asked = question(app, scope="patient/*.rs")
    code = sent_back(at_desk.post(asked, {"allow": "1", "person": str(person.pk)}))["code"]
    assert exchange(client, app, code, client_secret="wrong").status_code in (400, 401)
    assert exchange(client, app, code).status_code in (400, 401)
    assert exchange(client, app, code, client_secret=secret).status_code == 200
    assert secret not in str(ClientApp.objects.filter(pk=app.pk).values())


def test_the_director_lets_in_and_takes_back_on_a_screen(client, director, key):
    client.force_login(director)
    answer = client.post(
        "/apps/",
        {"name": "Warehouse", "kind": "service", "scope": "system/*.rs", "jwks": public_set(key)},
    )
    made = ClientApp.objects.get()
    assert made.client_id in answer.content.decode()
    assert Event.objects.get(kind="smart.client_registered").data["name"] == "Warehouse"
    client.post(f"/apps/{made.pk}/revoke/")
    made.refresh_from_db()
    assert made.revoked_at


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": " "}, "name"),
        ({"kind": "spy"}, "kind"),
        ({"scope": ""}, "scope"),
        ({"scope": "everything please"}, "scope"),
        ({"scope": "patient/*.rs"}, "scope"),
        ({"jwks": "no keys"}, "jwks"),
        ({"jwks": '{"keys": []}'}, "jwks"),
        ({"jwks": '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}'}, "jwks"),
        ({"kind": "public", "scope": "system/*.rs"}, "scope"),
        ({"kind": "public", "scope": "patient/*.rs"}, "redirect_uris"),
        (
            {"kind": "public", "scope": "patient/*.rs", "redirect_uris": "http://app.example/"},
            "redirect_uris",
        ),
        (
            {"kind": "public", "scope": "patient/*.rs", "redirect_uris": "javascript:alert(1)"},
            "redirect_uris",
        ),
        ({"kind": "hooks", "issuer": ""}, "issuer"),
    ],
    ids=str,
)
def test_a_registration_that_would_not_be_safe_is_refused(director, key, changes, field):
    wanted = {"name": "X", "kind": "service", "scope": "system/*.rs", "jwks": public_set(key)}
    with pytest.raises(Refused) as refusal:
        services.register_client(director, **{**wanted, **changes})
    assert refusal.value.field == field
    assert not ClientApp.objects.exists()


def test_a_private_key_is_not_taken(director, key):
    whole = json.dumps(KeySet([key]).as_dict(private=True))
    with pytest.raises(Refused, match="private key"):
        services.register_client(
            director, name="X", kind="service", scope="system/*.rs", jwks=whole
        )


def test_only_the_director_lets_programs_in(nurse, key):
    assert nurse.role == Role.NURSE
    with pytest.raises(Refused):
        services.register_client(
            nurse, name="X", kind="service", scope="system/*.rs", jwks=public_set(key)
        )


def test_how_to_connect_stands_where_smart_looks_for_it(client, db):
    told = client.get("/fhir/.well-known/smart-configuration").json()
    assert told["token_endpoint"] == "http://localhost:8000/smart/token"
    assert "permission-v2" in told["capabilities"]
    openid = client.get("/smart/.well-known/openid-configuration").json()
    assert openid["issuer"] == told["issuer"]
    (shown,) = client.get("/smart/jwks").json()["keys"]
    assert "d" not in shown


def test_over_plain_http_nobody_gets_a_token(db):
    answer = Client().post("/smart/token", {"grant_type": "client_credentials"})
    assert answer.status_code == 400
    assert answer.json()["error"] == "insecure_transport"
