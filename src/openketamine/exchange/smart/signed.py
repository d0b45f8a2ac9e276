"""Requests that a program signs with a key of its own: checked against the keys it registered."""

from datetime import UTC, datetime, timedelta
from typing import Any

from authlib.oauth2.rfc6749 import InvalidClientError
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from django.db import IntegrityError, transaction
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from openketamine.clinic.record import clock

from .keys import KeysUnavailable, keys_of
from .models import ClientApp, SeenAssertion

# SMART asks for these two; the other two are what many keys are made for. Never a shared secret.
ALGORITHMS = ["RS384", "ES384", "RS256", "ES256"]
LONGEST = timedelta(minutes=5)
LEEWAY_S = 60


class BadSignature(Exception):  # noqa: N818 - an answer, not a fault
    """A signed request that does not count, with the reason."""


def claims_of(token: str, client: ClientApp, audiences: list[str]) -> dict[str, Any]:
    """The claims of a signed request of a program, once all of them have been checked.

    Args:
        audiences: whom it may be meant for.

    Raises:
        BadSignature: signature, times or audience do not hold, or its keys cannot be had.
    """
    try:
        jwks = keys_of(client, token)
    except KeysUnavailable as reason:
        raise BadSignature(str(reason)) from reason
    try:
        keys = KeySet.import_key_set(jwks or {"keys": []})  # type: ignore[arg-type]
        decoded = jwt.decode(token, keys, algorithms=ALGORITHMS)
        registry = jwt.JWTClaimsRegistry(
            now=int(clock.now().timestamp()),
            leeway=LEEWAY_S,
            iss={"essential": True},
            aud={"essential": True, "values": audiences},
            exp={"essential": True},
            jti={"essential": True},
        )
        registry.validate(decoded.claims)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = getattr(error, "description", "") or str(error) or type(error).__name__
        raise BadSignature(reason) from error
    claims = dict(decoded.claims)
    if not (isinstance(claims["jti"], str) and isinstance(claims["iss"], str)):
        raise BadSignature("jti and iss are text")
    latest = clock.now() + LONGEST + timedelta(seconds=LEEWAY_S)
    if float(claims["exp"]) > latest.timestamp():
        raise BadSignature("exp lies more than five minutes ahead")
    return claims


def use_once(claims: dict[str, Any]) -> None:
    """Let a signed request count this once.

    Raises:
        BadSignature: it was shown before.
    """
    jti, issuer = claims["jti"], claims["iss"]
    if not jti or "\x00" in jti + issuer or len(jti) > 200 or len(issuer) > 300:
        raise BadSignature("jti is no short text")
    now = clock.now()
    SeenAssertion.objects.filter(expires_at__lt=now - timedelta(minutes=5)).delete()
    until = datetime.fromtimestamp(float(claims["exp"]), UTC)
    try:
        with transaction.atomic():
            SeenAssertion.objects.create(issuer=issuer, jti=jti, expires_at=until)
    except IntegrityError as error:
        raise BadSignature("this jti was used before") from error


class SignedClient(JWTBearerClientAssertion):  # type: ignore[misc]
    """`private_key_jwt`: the program signs who it is, for the token address, once."""

    CLIENT_AUTH_METHOD = "private_key_jwt"

    def __call__(self, query_client: Any, request: Any) -> Any:
        data = request.form
        given = data.get("client_assertion")
        if data.get("client_assertion_type") != self.CLIENT_ASSERTION_TYPE or not given:
            return None
        _, claims = self.extract_assertion(given)
        subject = claims.get("sub")
        client = query_client(subject) if isinstance(subject, str) else None
        if client is None:
            raise InvalidClientError(description="The client does not exist on this server.")
        try:
            here = request.uri.partition("?")[0]
            token_address = f"{here.rpartition('/')[0]}/token"
            checked = claims_of(given, client, [here, token_address])
            if checked.get("sub") != checked["iss"]:
                raise BadSignature("iss and sub are the client's id, both")
            use_once(checked)
        except BadSignature as bad:
            raise InvalidClientError(description=str(bad)) from bad
        request.client = client
        return self.authenticate_client(client)
