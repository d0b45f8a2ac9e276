"""The keys of a program that publishes them at an address of its own: fetched with care, and kept.

What the address may be is bounded, for whoever may name an address could have this server ask its
own neighbours: https only, a public machine only (and the very one that was looked at), no
redirect, a small answer, within seconds.
"""

import base64
import http.client
import ipaddress
import json
import socket
import ssl
import threading
from contextlib import suppress
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext as _
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from openketamine import __version__
from openketamine.clinic.record import clock

from .models import ClientApp

# Keys are asked for again after this, and when a signature names one that is not known.
KEPT_FOR = timedelta(hours=1)
# But never more often than this, whatever comes in.
AGAIN_AFTER = timedelta(minutes=1)
LONGEST_S = 5.0
MAX_BYTES = 64 * 1024


class KeysUnavailable(Exception):  # noqa: N818 - an answer, not a fault
    """The keys cannot be had or are none, with the reason."""


def public_keys(text: str | bytes) -> dict[str, Any]:
    """A set of public keys that can check a signature.

    Raises:
        KeysUnavailable: it is none, or holds a private or a symmetric key.
    """
    try:
        keys = KeySet.import_key_set(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, JoseError) as error:
        said = _("This is no JSON Web Key Set: %(error)s.")
        raise KeysUnavailable(said % {"error": error}) from error
    if not keys.keys:
        raise KeysUnavailable(_("The key set is empty."))
    for key in keys.keys:
        if key.key_type not in {"RSA", "EC"}:
            raise KeysUnavailable(_("Keys are RSA or EC (RS384 or ES384)."))
        if key.is_private:
            raise KeysUnavailable(
                _("This set holds a private key. Make a new pair, and send the public half only.")
            )
    return {"keys": [key.as_dict(private=False) for key in keys.keys]}


def keys_of(client: ClientApp, token: str) -> dict[str, Any] | None:
    """The keys by which a program's signature is checked, fetched anew where that is due.

    Raises:
        KeysUnavailable: they are due, and cannot be had.
    """
    if not client.jwks_uri:
        return client.jwks  # type: ignore[no-any-return]
    now = clock.now()
    age = now - client.jwks_fetched_at if client.jwks_fetched_at else None
    kept = client.jwks if age is not None and age < KEPT_FOR else None
    if kept and _kid(token) in {key.get("kid") for key in kept["keys"]}:
        return kept  # type: ignore[no-any-return]
    if client.jwks_tried_at and now - client.jwks_tried_at < AGAIN_AFTER:
        if kept:
            return kept  # type: ignore[no-any-return]
        raise KeysUnavailable("its keys could not be fetched a moment ago; try again in a minute")
    ClientApp.objects.filter(pk=client.pk).update(jwks_tried_at=now)
    keys = public_keys(fetch(client.jwks_uri))
    ClientApp.objects.filter(pk=client.pk).update(jwks=keys, jwks_fetched_at=now)
    return keys


def _kid(token: str) -> Any:
    """Which key a signature names, if any; believed only once it has been checked by that key."""
    head = token.partition(".")[0]
    try:
        return json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))).get("kid")
    except (ValueError, AttributeError, RecursionError):
        return None


def fetch(address: str) -> bytes:
    """What stands at an https address of a public machine.

    Raises:
        KeysUnavailable: it may not be asked, or does not answer as it should.
    """
    parts = urlsplit(address)
    host = parts.hostname
    if parts.scheme != "https" or not host:
        raise KeysUnavailable("keys are fetched by https only")
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    headers = {
        "Accept": "application/json", "User-Agent": f"OpenKetamine/{__version__}",
        "Connection": "close",
    }  # fmt: skip
    try:
        port = parts.port or 443
        machine = _public_machine(host, port)
        connection = _To(machine, host, port)
        timer = threading.Timer(LONGEST_S, connection.cut)  # a slow drip ends too
        timer.start()
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            if answer.status != 200:
                raise KeysUnavailable(f"{host} answered {answer.status}; redirects are not taken")
            body = answer.read(MAX_BYTES + 1)
        finally:
            timer.cancel()
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise KeysUnavailable(f"{host} did not answer: {error!s:.100}") from error
    if len(body) > MAX_BYTES:
        raise KeysUnavailable(f"{host} sent more than {MAX_BYTES // 1024} KiB")
    return body


def _public_machine(host: str, port: int) -> str:
    """The address behind a name, if all behind it are of the public network."""
    found = {str(row[4][0]) for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    for address in found:
        place = ipaddress.ip_address(address.partition("%")[0])
        inner = getattr(place, "ipv4_mapped", None) or place
        if not inner.is_global or inner.is_multicast:
            raise KeysUnavailable(f"{host} is no public machine; paste its keys instead")
    return min(found)


class _To(http.client.HTTPSConnection):
    """A connection to one machine that was looked at, under the name that its certificate bears."""

    def __init__(self, machine: str, host: str, port: int) -> None:
        super().__init__(host, port, timeout=LONGEST_S, context=context())
        self._machine = machine
        # Of its own: the library lets go of `sock` as soon as it has read the head of the answer.
        self._line: socket.socket | None = None

    def connect(self) -> None:
        raw = socket.create_connection((self._machine, self.port), self.timeout)
        self._line = raw  # so that it can be cut while it shakes hands
        self.sock = self._line = self._context.wrap_socket(raw, server_hostname=self.host)  # type: ignore[attr-defined]

    def cut(self) -> None:
        if self._line:
            with suppress(OSError):  # it is over already
                self._line.shutdown(socket.SHUT_RDWR)


def context() -> ssl.SSLContext:
    return ssl.create_default_context()
