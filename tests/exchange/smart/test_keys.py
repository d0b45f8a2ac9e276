"""Keys that a program publishes at an address: fetched with care, kept, and asked for again."""

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from joserfc.jwk import ECKey

from openketamine.clinic.errors import Refused
from openketamine.clinic.record import clock
from openketamine.exchange.smart import keys, services
from openketamine.exchange.smart.keys import KeysUnavailable, fetch
from openketamine.exchange.smart.models import ClientApp

from .conftest import ask_as_service, assertion, public_set

ADDRESS = "https://keys.example/jwks"


@pytest.fixture
def published(monkeypatch, key):
    """What stands at the address, and how often it was asked for."""
    told = {"text": public_set(key), "asked": 0, "fault": None}

    def fetched(address):
        told["asked"] += 1
        if told["fault"]:
            raise KeysUnavailable(told["fault"])
        assert address == ADDRESS
        return told["text"].encode()

    monkeypatch.setattr(keys, "fetch", fetched)
    return told


@pytest.fixture
def warehouse(director):
    client, _ = services.register_client(
        director, name="Warehouse", kind="service", scope="system/*.rs", jwks_uri=ADDRESS
    )
    return client


def test_it_works_and_the_keys_are_fetched_once(client, warehouse, key, published):
    for _ in range(3):
        assert ask_as_service(client, assertion(warehouse, key)).status_code == 200
    assert published["asked"] == 1
    assert ClientApp.objects.get().jwks["keys"][0]["kid"] == "k1"


def test_after_an_hour_they_are_fetched_anew(client, warehouse, key, published):
    ask_as_service(client, assertion(warehouse, key))
    with clock.at(clock.now() + keys.KEPT_FOR + timedelta(seconds=1)):
        assert ask_as_service(client, assertion(warehouse, key)).status_code == 200
    assert published["asked"] == 2


def test_a_new_key_counts_at_once_and_a_withdrawn_one_no_longer(
    client, warehouse, key, published
):  # fmt: skip
    ask_as_service(client, assertion(warehouse, key))
    other = ECKey.generate_key("P-384", {"kid": "k2"})
    published["text"] = public_set(other)
    with clock.at(clock.now() + keys.AGAIN_AFTER + timedelta(seconds=1)):
        assert ask_as_service(client, assertion(warehouse, other)).status_code == 200
        assert ask_as_service(client, assertion(warehouse, key)).status_code == 400
    assert published["asked"] == 2  # and no more within the minute, whatever comes in


def test_a_stranger_cannot_have_them_fetched_over_and_over(client, warehouse, key, published):
    stranger = ECKey.generate_key("P-384", {"kid": "nobody"})
    for _ in range(5):
        assert ask_as_service(client, assertion(warehouse, stranger)).status_code == 400
    assert published["asked"] == 1


def test_keys_that_cannot_be_had_let_nobody_in_and_say_why(client, warehouse, key, published):
    published["fault"] = "keys.example did not answer: timed out"
    answer = ask_as_service(client, assertion(warehouse, key))
    assert answer.status_code == 400
    assert "did not answer" in answer.json()["error_description"]
    again = ask_as_service(client, assertion(warehouse, key))
    assert "a moment ago" in again.json()["error_description"]
    assert published["asked"] == 1


def test_old_keys_do_not_outlive_their_hour(client, warehouse, key, published):
    ask_as_service(client, assertion(warehouse, key))
    published["fault"] = "gone"
    with clock.at(clock.now() + keys.KEPT_FOR + timedelta(seconds=1)):
        assert ask_as_service(client, assertion(warehouse, key)).status_code == 400


@pytest.mark.parametrize(
    "text", ["{}", "[]", "no json", '{"keys": []}', '{"keys": [{"kty": "oct"}]}']
)
def test_what_is_no_set_of_public_keys_is_refused(client, warehouse, key, published, text):
    published["text"] = text
    assert ask_as_service(client, assertion(warehouse, key)).status_code == 400
    assert ClientApp.objects.get().jwks is None


@pytest.mark.parametrize(
    ("jwks", "jwks_uri", "field"),
    [
        ("", "http://keys.example/jwks", "jwks_uri"),
        ("", "http://localhost/jwks", "jwks_uri"),
        ("", "file:///etc/passwd", "jwks_uri"),
        ("", "https://keys.example/*", "jwks_uri"),
        ('{"keys": []}', ADDRESS, "jwks"),
    ],
)
def test_an_address_that_would_not_be_safe_is_refused(director, jwks, jwks_uri, field):
    with pytest.raises(Refused) as refusal:
        services.register_client(
            director, name="X", kind="service", scope="system/*.rs", jwks=jwks, jwks_uri=jwks_uri
        )
    assert refusal.value.field == field


# The fetching itself, against a server of our own.


@pytest.mark.parametrize(
    "place",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.5.5", "169.254.169.254", "0.0.0.0", "::1",
     "fd00::1", "fe80::1", "::ffff:10.0.0.1", "100.64.0.1", "224.0.0.1"],
)  # fmt: skip
def test_no_machine_of_the_inner_network_is_asked(monkeypatch, place):
    family = socket.AF_INET6 if ":" in place else socket.AF_INET
    found = [(family, socket.SOCK_STREAM, 6, "", (place, 443))]
    monkeypatch.setattr(keys.socket, "getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr(
        keys.socket, "create_connection", lambda *_, **__: pytest.fail("it was asked")
    )
    with pytest.raises(KeysUnavailable, match="no public machine"):
        fetch("https://inner.example/jwks")


def test_one_inner_address_among_public_ones_is_enough_to_refuse(monkeypatch):
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, 443))
        for place in ("93.184.215.14", "127.0.0.1")
    ]
    monkeypatch.setattr(keys.socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(KeysUnavailable, match="no public machine"):
        fetch("https://both.example/jwks")


@pytest.mark.parametrize("address", ["http://keys.example/", "ftp://keys.example/", "https:///x"])
def test_only_https_is_spoken(address):
    with pytest.raises(KeysUnavailable, match="https only"):
        fetch(address)


@pytest.fixture
def server(monkeypatch, tmp_path):
    """An https server on this machine that stands for a public one."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(private.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(private, hashes.SHA256())
    )  # fmt: skip
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ) + certificate.public_bytes(serialization.Encoding.PEM)
    )  # fmt: skip

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "https://localhost/keys")
                self.end_headers()
                return
            self.send_response(200)
            self.end_headers()
            if self.path == "/drip":
                try:
                    while not stop.wait(0.05):
                        self.wfile.write(b" ")
                except OSError:
                    return
            else:
                self.wfile.write(b"x" * (keys.MAX_BYTES + 1 if self.path == "/large" else 3))

        def log_message(self, *_):
            pass

    stop = threading.Event()
    web = HTTPServer(("127.0.0.1", 0), Answers)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    web.socket = context.wrap_socket(web.socket, server_side=True)
    thread = threading.Thread(target=web.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(keys, "_public_machine", lambda host, port: "127.0.0.1")
    monkeypatch.setattr(keys, "context", lambda: ssl.create_default_context(cafile=str(pem)))
    yield f"https://localhost:{web.server_port}"
    stop.set()
    web.shutdown()
    web.server_close()


def test_an_answer_comes_over_a_connection_that_is_checked(server, monkeypatch):
    assert fetch(f"{server}/keys?v=1") == b"xxx"
    monkeypatch.setattr(keys, "context", ssl.create_default_context)
    with pytest.raises(KeysUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        fetch(f"{server}/keys")


def test_no_redirect_is_followed(server):
    with pytest.raises(KeysUnavailable, match="302"):
        fetch(f"{server}/moved")


def test_a_large_answer_is_not_read_on(server):
    with pytest.raises(KeysUnavailable, match="more than 64 KiB"):
        fetch(f"{server}/large")


def test_an_answer_that_drips_is_cut_off(server, monkeypatch):
    monkeypatch.setattr(keys, "LONGEST_S", 0.5)
    try:
        body = fetch(f"{server}/drip")
    except KeysUnavailable:
        return
    assert len(body) < 100  # cut: what had come until then, which is no set of keys
