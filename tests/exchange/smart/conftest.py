"""Programs with keys, and the steps by which they come to a token."""

import base64
import hashlib
import json
import uuid
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.test import Client
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from openketamine.clinic.record import clock
from openketamine.exchange.smart import services

VERIFIER = "a-verifier-of-more-than-forty-three-characters-long"
CALLBACK = "https://app.example/callback"
BASE = "http://localhost:8000/fhir"
TOKEN = "http://localhost:8000/smart/token"


class Browser(Client):
    """A browser on the same machine: OAuth asks for https everywhere else."""

    def __init__(self, user=None):
        super().__init__(HTTP_HOST="localhost:8000")
        if user:
            self.force_login(user)


@pytest.fixture
def client():
    return Browser()


@pytest.fixture(scope="session")
def key():
    return ECKey.generate_key("P-384", {"kid": "k1"})


@pytest.fixture(scope="session")
def rsa_key():
    return RSAKey.generate_key(2048, {"kid": "r1"})


def public_set(*keys) -> str:
    return json.dumps(KeySet(list(keys)).as_dict(private=False))


@pytest.fixture
def service(director, key, rsa_key):
    client, _ = services.register_client(
        director,
        name="Research warehouse",
        kind="service",
        scope="system/*.rs",
        jwks=public_set(key, rsa_key),
    )
    return client


@pytest.fixture
def phone_app(director):
    client, _ = services.register_client(
        director,
        name="Mood diary",
        kind="public",
        scope="launch launch/patient openid fhirUser offline_access patient/*.rs user/Patient.rs",
        redirect_uris=f"{CALLBACK}\ncom.example.app:/done",
        launch_url="https://app.example/launch",
    )
    return client


def assertion(client, key, *, alg="ES384", **changes) -> str:
    now = int(clock.now().timestamp())
    claims = {
        "iss": client.client_id,
        "sub": client.client_id,
        "aud": TOKEN,
        "exp": now + 240,
        "jti": str(uuid.uuid4()),
    }
    claims = {n: v for n, v in {**claims, **changes}.items() if v is not None}
    return jwt.encode({"alg": alg, "kid": key.kid, "typ": "JWT"}, claims, key, algorithms=[alg])


def ask_as_service(http, given: str, scope="system/*.rs"):
    return http.post(
        "/smart/token",
        {
            "grant_type": "client_credentials",
            "scope": scope,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": given,
        },
    )


def question(client, **changes) -> str:
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest())
    asked = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": CALLBACK,
        "scope": "launch/patient openid fhirUser offline_access patient/*.rs",
        "state": "s-1",
        "aud": BASE,
        "code_challenge": challenge.rstrip(b"=").decode(),
        "code_challenge_method": "S256",
        "nonce": "n-1",
    }
    asked = {n: v for n, v in {**asked, **changes}.items() if v is not None}
    return f"/smart/authorize?{urlencode(asked)}"


def sent_back(answer) -> dict[str, str]:
    """What the app gets with the browser's return."""
    assert answer.status_code == 302, answer.content
    parts = urlsplit(answer["Location"])
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == CALLBACK
    return {name: values[0] for name, values in parse_qs(parts.query).items()}


def exchange(http, client, code: str, **changes):
    asked = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "client_id": client.client_id,
        "code_verifier": VERIFIER,
    }
    return http.post("/smart/token", {**asked, **changes})
