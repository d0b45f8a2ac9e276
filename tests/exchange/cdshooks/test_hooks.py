"""Another record system asks what speaks against ketamine, and is answered with sources."""

import json
import uuid

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from openketamine.clinic.record import clock
from openketamine.exchange.smart import services
from openketamine.exchange.smart.models import Access

ISSUER = "https://ehr.example"
AT = "http://testserver/cds-services/"


@pytest.fixture(scope="session")
def key():
    return ECKey.generate_key("P-384", {"kid": "k1"})


@pytest.fixture
def caller(director, key):
    client, _ = services.register_client(
        director,
        name="Example hospital",
        kind="hooks",
        jwks=json.dumps(KeySet([key]).as_dict(private=False)),
        issuer=ISSUER,
    )
    return client


def signature(key, service, **changes):
    now = int(clock.now().timestamp())
    claims = {
        "iss": ISSUER, "aud": AT + service, "exp": now + 200, "iat": now, "jti": str(uuid.uuid4()),
        **changes,
    }  # fmt: skip
    header = {"alg": "ES384", "kid": "k1", "typ": "JWT"}
    return jwt.encode(header, claims, key, algorithms=["ES384"])


def concept(text):
    return {"text": text}


def patient(**changes):
    return {"resourceType": "Patient", "id": "p1", "gender": "male", "birthDate": "1980-01-01",
            **changes}  # fmt: skip


def listed(*resources):
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "entry": [
            {"resource": {"subject": {"reference": "Patient/p1"}, **resource}}
            for resource in resources
        ],
    }


def condition(text):
    return {
        "resourceType": "Condition",
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "code": {
            "coding": [{"system": "http://snomed.info/sct", "code": "58214004", "display": text}]
        },
    }


def order(name="ketamine 50 mg/mL injection", route="intravenous"):
    return {
        "resourceType": "Bundle",
        "entry": [
            {
                "resource": {
                    "resourceType": "MedicationRequest",
                    "status": "draft",
                    "medicationCodeableConcept": concept(name),
                    "dosageInstruction": [{"route": concept(route)}],
                }
            }
        ],
    }


@pytest.fixture
def ask(client, key):
    def asking(service="ketamine-eligibility", hook="patient-view", *, context=None, token=None,
               **changes):  # fmt: skip
        body = {
            "hook": hook,
            "hookInstance": str(uuid.uuid4()),
            "context": {"userId": "Practitioner/1", "patientId": "p1", **(context or {})},
            "prefetch": {"patient": patient()},
            **changes,
        }
        body = {name: value for name, value in body.items() if value is not None}
        given = signature(key, service) if token is None else token
        return client.post(
            f"/cds-services/{service}",
            json.dumps(body),
            content_type="application/json",
            headers={"Authorization": f"Bearer {given}"} if given else {},
        )

    return asking


def test_it_works(ask, caller):
    answer = ask(
        prefetch={
            "patient": patient(),
            "conditions": listed(condition("Schizophrenia")),
            "medications": listed(),
        }
    )
    assert answer.status_code == 200, answer.content
    cards = answer.json()["cards"]
    assert "psychos" in cards[0]["detail"].lower()
    assert "psychosis: True" in cards[0]["detail"]
    for card in cards:
        assert len(card["summary"]) <= 140
        assert card["indicator"] in {"info", "warning", "critical"}
        assert card["source"]["label"]
    unknown = cards[-1]
    assert "Unknown is not No" in unknown["detail"]


def test_every_finding_names_its_rule_its_source_and_how_sure_that_is(ask, caller):
    answer = ask(prefetch={"patient": patient(), "c": listed(condition("Schizophrenia"))})
    for card in answer.json()["cards"][:-1]:
        assert "Rule " in card["detail"]
        assert "Source: " in card["detail"]
        if "recalled" in card["detail"] or "DESIGN" in card["detail"]:
            assert card["indicator"] != "critical"
            assert "clinic policy" in card["detail"]


def test_a_high_pressure_that_was_measured_lately_is_seen(ask, caller):
    pressure = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]},
        "effectiveDateTime": clock.now().isoformat(timespec="seconds"),
        "component": [
            {
                "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
                "valueQuantity": {"value": value, "code": "mm[Hg]"},
            }
            for code, value in (("8480-6", 195), ("8462-4", 118))
        ],
    }
    cards = ask(prefetch={"patient": patient(), "o": listed(pressure)}).json()["cards"]
    assert any("systolic mmhg: 195" in card["detail"] for card in cards)


@pytest.mark.parametrize(
    ("name", "route", "expected"),
    [
        ("ketamine 50 mg/mL injection", "intravenous", "IV"),
        ("Ketamine", "Intramuscular route", "IM"),
        ("Spravato", "nasal", "IN_ESKETAMINE"),
        ("esketamine nasal spray 28 mg", "", "IN_ESKETAMINE"),
        ("Ketamine nasal spray", "nasal", "IN_RACEMIC"),
        ("Ketamine troche 100 mg", "sublingual", "SL"),
    ],
)
def test_an_order_is_judged_for_its_own_route(ask, caller, name, route, expected):
    answer = ask("ketamine-order-sign", "order-sign", context={"draftOrders": order(name, route)})
    cards = answer.json()["cards"]
    assert cards
    assert all(card["summary"].startswith(f"Ketamine {expected}:") for card in cards)


def test_a_finding_at_signing_may_be_overridden_with_a_reason(ask, caller):
    answer = ask(
        "ketamine-order-sign",
        "order-sign",
        context={"draftOrders": order()},
        prefetch={"patient": patient(), "c": listed(condition("Schizophrenia"))},
    )
    assert answer.json()["cards"][0]["overrideReasons"]


def test_an_order_of_another_drug_is_no_concern(ask, caller):
    answer = ask(
        "ketamine-order-select", "order-select",
        context={"draftOrders": order("Sertraline 50 mg tablet", "oral"), "selections": []},
    )  # fmt: skip
    assert answer.json() == {"cards": []}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"prefetch": None}, 412),
        ({"prefetch": {"patient": {"resourceType": "Patient"}}}, 422),
        ({"prefetch": {"patient": patient(birthDate="19")}}, 422),
        ({"prefetch": {"patient": patient(), "x": {"resourceType": "Bundle", "entry": 7}}}, 422),
        ({"prefetch": {"patient": patient(), "x": listed({"resourceType": "Condition"})}}, 422),
        ({"hook": "order-sign"}, 400),
        ({"hookInstance": "1"}, 400),
        ({"context": {"patientId": ""}}, 400),
    ],
    ids=str,
)
def test_what_cannot_be_judged_is_refused_in_words(ask, caller, changes, status):
    answer = ask(**changes)
    assert answer.status_code == status
    assert answer.json()["error"]


@pytest.mark.parametrize(
    "changes",
    [{"aud": "https://elsewhere.example"}, {"exp": 1_000_000_000}, {"iss": "https://stranger"}],
    ids=str,
)
def test_only_who_was_let_in_is_answered(ask, caller, key, changes):
    token = signature(key, "ketamine-eligibility", **changes)
    assert ask(token=token).status_code == 401


def test_no_signature_a_foreign_one_or_a_used_one_is_refused(ask, caller, key, director):
    assert ask(token="").status_code == 401
    assert ask(token="nonsense").status_code == 401
    stranger = ECKey.generate_key("P-384", {"kid": "k1"})
    assert ask(token=signature(stranger, "ketamine-eligibility")).status_code == 401
    once = signature(key, "ketamine-eligibility")
    assert ask(token=once).status_code == 200
    assert ask(token=once).status_code == 401
    services.revoke_client(director, caller)
    assert ask().status_code == 401


def test_what_is_offered_is_told_to_anybody(client, db):
    offered = client.get("/cds-services").json()["services"]
    assert {s["hook"] for s in offered} == {"patient-view", "order-select", "order-sign"}
    assert all(s["prefetch"]["patient"] == "Patient/{{context.patientId}}" for s in offered)
    assert client.post("/cds-services/nothing", "{}", content_type="text/json").status_code == 404


def test_each_call_and_what_became_of_its_cards_is_noted(ask, caller, client, key):
    ask()
    where = "ketamine-eligibility/feedback"
    answer = client.post(
        f"/cds-services/{where}",
        json.dumps({"feedback": [{"card": "x", "outcome": "accepted"}]}),
        content_type="application/json",
        headers={"Authorization": f"Bearer {signature(key, where)}"},
    )
    assert answer.status_code == 200
    assert Access.objects.filter(client=caller).count() == 2
