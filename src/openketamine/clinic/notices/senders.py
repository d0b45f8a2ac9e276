"""How a message leaves the house: e-mail by Django's backend, texts by what the settings name.

`OPENKETAMINE_TEXT_SENDER` names it: `console` prints texts (the demonstration), `gateway` posts
them to an HTTPS gateway, nothing means that texts are not set up. E-mail is set up by
`OPENKETAMINE_EMAIL_URL`.
"""

import json
import sys
import urllib.error
import urllib.request
from functools import cache
from typing import Protocol
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage
from django.utils.translation import gettext_noop

from .models import Channel

TIMEOUT_S = 20.0


class SendingError(Exception):
    """A message was not accepted.

    `for_good` where trying again cannot help. The reason never repeats what the message said.
    """

    def __init__(self, reason: str, *, for_good: bool = False) -> None:
        super().__init__(reason)
        self.for_good = for_good


class TextSender(Protocol):
    """Whatever can send a text."""

    def send(self, *, to: str, body: str, key: str) -> None:
        """Hand one text over.

        Args:
            key: the same for every attempt at the same text, so that a gateway sends it once.

        Raises:
            SendingError: it was not taken.
        """


class ConsoleSender:
    """Prints texts, for a demonstration or a trial run."""

    def send(self, *, to: str, body: str, key: str) -> None:
        print(f"Text to {to}: {body}", file=sys.stderr, flush=True)  # noqa: T201


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A gateway that points elsewhere would be given the token there too."""

    def redirect_request(self, *args: object, **kwargs: object) -> None:
        return None


class GatewaySender:
    """Posts a text to an HTTPS gateway, as JSON or as a form, under the names the gateway uses.

    Args:
        url: where to post; `https` only, `http` to this very machine for a gateway that runs on it.
        headers: e.g. `{"Authorization": "Bearer …"}`.
        fields: the gateway's name for each of `to`, `body`, `from` and `key`; what is not named is
            not sent.
        sender: the clinic's own number or name, as the gateway knows it.
        form: a form instead of JSON.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: dict[str, str],
        fields: dict[str, str],
        sender: str = "",
        form: bool = False,
    ) -> None:
        parts = urlsplit(url)
        local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
        if parts.scheme != "https" and not (parts.scheme == "http" and local):
            raise ImproperlyConfigured("OPENKETAMINE_TEXT_URL begins with https://")
        if not {"to", "body"} <= fields.keys():
            raise ImproperlyConfigured("OPENKETAMINE_TEXT_FIELDS names at least to and body")
        self._url, self._headers, self._fields = url, headers, fields
        self._sender, self._form = sender, form
        self._opener = urllib.request.build_opener(_NoRedirect)

    def send(self, *, to: str, body: str, key: str) -> None:
        values = {"to": to, "body": body, "from": self._sender, "key": key}
        data = {self._fields[name]: value for name, value in values.items() if name in self._fields}
        content = urlencode(data) if self._form else json.dumps(data)
        kind = "application/x-www-form-urlencoded" if self._form else "application/json"
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked above
            self._url,
            data=content.encode(),
            headers={"Content-Type": kind, "Idempotency-Key": key, **self._headers},
            method="POST",
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                answer.read(65_536)
        except urllib.error.HTTPError as error:
            # 4xx: the gateway will not take this text, whoever asks how often; 408 and 429: later.
            for_good = 400 <= error.code < 500 and error.code not in {401, 403, 408, 409, 429}
            raise SendingError(f"The gateway answered {error.code}.", for_good=for_good) from error
        except (OSError, ValueError) as error:  # URLError among them
            reason = getattr(error, "reason", error)
            raise SendingError(f"The gateway cannot be reached: {reason}.") from error


@cache
def _gateway(url: str, headers: str, fields: str, sender: str, form: bool) -> GatewaySender:
    return GatewaySender(
        url, headers=json.loads(headers), fields=json.loads(fields), sender=sender, form=form
    )


def text_sender() -> TextSender | None:
    """What sends texts here; None where nothing is set up."""
    config = settings.TEXTS
    match config["sender"]:
        case "":
            return None
        case "console":
            return ConsoleSender()
        case "gateway":
            return _gateway(
                config["url"],
                json.dumps(config["headers"]),
                json.dumps(config["fields"]),
                config["from"],
                config["form"],
            )
    raise ImproperlyConfigured(
        f"OPENKETAMINE_TEXT_SENDER is {config['sender']!r}; write console or gateway, or leave it "
        "out."
    )


def is_set_up(channel: str) -> bool:
    """Whether anything can leave by a channel."""
    return text_sender() is not None if channel == Channel.TEXT else settings.EMAIL_IS_SET_UP


def deliver(*, channel: str, to: str, subject: str, body: str, key: str) -> None:
    """Hand one message to what carries it.

    Raises:
        SendingError: it was not taken.
    """
    if not is_set_up(channel):
        texts = gettext_noop("Texts are not set up on this server.")
        emails = gettext_noop("E-mail is not set up on this server.")
        raise SendingError(texts if channel == Channel.TEXT else emails, for_good=True)
    if channel == Channel.TEXT:
        sender = text_sender()
        assert sender is not None
        sender.send(to=to, body=body, key=key)
        return
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].rstrip("> ") or "localhost"
    message = EmailMessage(subject, body, to=[to], headers={"Message-ID": f"<{key}@{domain}>"})
    try:
        message.send()
    except OSError as error:  # smtplib's errors among them
        refused = getattr(error, "recipients", None) or {}
        codes = [code for code, _ in refused.values()] or [getattr(error, "smtp_code", 0)]
        raise SendingError(
            f"The mail server did not take it: {type(error).__name__}.",
            for_good=all(500 <= code < 600 for code in codes),
        ) from error
