"""The OAuth 2 server of SMART App Launch, on Authlib: codes with PKCE, refresh, services."""

import os
import secrets
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from authlib.integrations.django_oauth2 import AuthorizationServer, RevocationEndpoint
from authlib.oauth2.rfc6749 import InvalidRequestError, InvalidScopeError, grants
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from django.conf import settings
from django.db import transaction
from joserfc import jwt
from joserfc.jwk import RSAKey

from openketamine.clinic.accounts.models import User
from openketamine.clinic.people.models import Person
from openketamine.clinic.record import clock

from . import scopes
from .grants import PREFIX
from .models import AccessToken, ClientApp, Code, digest_of
from .signed import SignedClient

CODE_FOR = timedelta(minutes=1)
TOKEN_FOR_S = {"authorization_code": 3600, "refresh_token": 3600, "client_credentials": 300}
REFRESH_FOR = timedelta(days=90)
METHODS = ["private_key_jwt", "client_secret_basic", "client_secret_post", "none"]


class SmartServer(AuthorizationServer):  # type: ignore[misc]
    """Authlib's server over our tables."""

    def query_client(self, client_id: str) -> ClientApp | None:
        if not client_id or "\x00" in client_id:
            return None
        return ClientApp.objects.filter(client_id=client_id, revoked_at=None).first()

    def create_bearer_token_generator(self) -> BearerTokenGenerator:
        def fresh(**_: Any) -> str:
            return PREFIX + secrets.token_urlsafe(32)

        def refresh(*, scope: str, **_: Any) -> str | None:
            return secrets.token_urlsafe(48) if "offline_access" in scope.split() else None

        return BearerTokenGenerator(
            fresh, refresh, lambda client, grant_type: TOKEN_FOR_S[grant_type]
        )

    def save_token(self, token: dict[str, Any], request: Any) -> None:
        """Keep a token's hash, and add to the answer whom it is about."""
        if not token.get("refresh_token"):
            token.pop("refresh_token", None)
        origin = getattr(request, "authorization_code", None) or getattr(
            request, "refresh_token", None
        )
        person = origin.person if origin else None
        now = clock.now()
        refresh = token.get("refresh_token")
        AccessToken.objects.create(
            client=request.client,
            user=request.user or None,
            person=person,
            scope=token.get("scope", ""),
            digest=digest_of(token["access_token"]),
            refresh_digest=digest_of(refresh) if refresh else None,
            issued_at=now,
            expires_at=now + timedelta(seconds=token["expires_in"]),
            refresh_expires_at=now + REFRESH_FOR if refresh else None,
        )
        if person:
            token |= {"patient": str(person.pk), "need_patient_banner": True}
        if request.user and "openid" in token.get("scope", "").split():
            nonce = origin.nonce if isinstance(origin, Code) else ""
            token["id_token"] = id_token(request, request.user, request.client, nonce)


class CodeGrant(grants.AuthorizationCodeGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def save_authorization_code(self, code: str, request: Any) -> None:
        data = request.payload.data
        Code.objects.filter(expires_at__lt=clock.now()).delete()
        Code.objects.create(
            digest=digest_of(code),
            client=request.client,
            user=request.user,
            person=request.person,
            redirect_uri=request.payload.redirect_uri,
            scope=request.granted_scope,
            nonce=(data.get("nonce") or "")[:200],
            code_challenge=data["code_challenge"],
            code_challenge_method="S256",
            expires_at=clock.now() + CODE_FOR,
        )

    def query_authorization_code(self, code: str, client: ClientApp) -> Code | None:
        """The code, taken out of the table at once: two askers at the same time get one token."""
        with transaction.atomic():
            found = (
                Code.objects.select_for_update(of=("self",))
                .select_related("user", "person")
                .filter(digest=digest_of(code), client=client)
                .first()
            )
            if found is None:
                return None
            found.delete()
        return found if found.expires_at > clock.now() else None

    def delete_authorization_code(self, authorization_code: Code) -> None:
        """It is gone already."""

    def authenticate_user(self, authorization_code: Code) -> User | None:
        user = authorization_code.user
        return user if user.is_active else None


class RefreshGrant(grants.RefreshTokenGrant):  # type: ignore[misc]
    """A refresh token counts once; the answer brings the next one."""

    TOKEN_ENDPOINT_AUTH_METHODS = METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> AccessToken | None:
        """The token, taken back at once: two askers at the same time get one answer."""
        digest, now = digest_of(refresh_token), clock.now()
        standing = AccessToken.objects.filter(
            refresh_digest=digest, revoked_at=None, refresh_expires_at__gt=now
        )
        if standing.update(revoked_at=now) != 1:
            return None
        return AccessToken.objects.select_related("user", "person").get(refresh_digest=digest)

    def authenticate_user(self, refresh_token: AccessToken) -> User | None:
        user: User | None = refresh_token.user
        return user if user and user.is_active else None

    def revoke_old_credential(self, refresh_token: AccessToken) -> None:
        """It is taken back already."""


class ServiceGrant(grants.ClientCredentialsGrant):  # type: ignore[misc]
    """SMART Backend Services: a service that signs who it is."""

    TOKEN_ENDPOINT_AUTH_METHODS = ["private_key_jwt"]

    def validate_token_request(self) -> None:
        super().validate_token_request()
        if not scopes.narrowed(self.request.payload.scope or "", self.request.client.scope):
            raise InvalidScopeError(description="None of these scopes was given to this service.")


class Challenge(CodeChallenge):  # type: ignore[misc]
    """PKCE for every app, by SHA-256 only."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        data = grant.request.payload.data
        if not data.get("code_challenge") or data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("Send code_challenge with code_challenge_method=S256.")
        super().validate_code_challenge(grant, redirect_uri)


def _token_of(token: str) -> AccessToken | None:
    """The row of an access token or of the refresh token beside it."""
    digest = digest_of(token)
    rows = AccessToken.objects.select_related("client", "user", "user__person")
    return rows.filter(digest=digest).first() or rows.filter(refresh_digest=digest).first()


class Revocation(RevocationEndpoint):  # type: ignore[misc]
    """RFC 7009: a program gives its own token back."""

    CLIENT_AUTH_METHODS = METHODS

    def query_token(self, token: str, token_type_hint: str | None) -> AccessToken | None:
        return _token_of(token)

    def revoke_token(self, token: AccessToken, request: Any) -> None:
        token.revoked_at = token.revoked_at or clock.now()
        token.save(update_fields=["revoked_at"])


class Introspection(IntrospectionEndpoint):  # type: ignore[misc]
    """RFC 7662: what a token allows and whether it still does, told to its own program alone."""

    # Whoever keeps no secret cannot show who it is.
    CLIENT_AUTH_METHODS = [method for method in METHODS if method != "none"]

    def query_token(self, token: str, token_type_hint: str | None) -> AccessToken | None:
        found = _token_of(token)
        if found is None or found.client.revoked_at or (found.user and not found.user.is_active):
            return None
        if found.refresh_digest == digest_of(token):
            # A refresh token lives longer than the access token beside it.
            assert found.refresh_expires_at
            found.expires_at = found.refresh_expires_at
        return found

    def check_permission(self, token: AccessToken, client: ClientApp, request: Any) -> bool:
        return token.check_client(client)

    def introspect_token(self, token: AccessToken) -> dict[str, Any]:
        told: dict[str, Any] = {
            "active": True,
            "token_type": "Bearer",
            "client_id": token.client.client_id,
            "scope": token.scope,
            "exp": int(token.expires_at.timestamp()),
            "iat": int(token.issued_at.timestamp()),
        }
        if token.user:
            told |= {"sub": str(token.user.pk), "fhirUser": who_in_fhir(token.user)}
        if token.person_id:
            told["patient"] = str(token.person_id)
        return told


@cache
def server() -> SmartServer:
    """The one server of this process."""
    made = SmartServer(ClientApp, AccessToken)
    made.register_client_auth_method("private_key_jwt", SignedClient())
    made.register_grant(CodeGrant, [Challenge(required=True)])
    made.register_grant(RefreshGrant)
    made.register_grant(ServiceGrant)
    made.register_endpoint(Revocation)
    made.register_endpoint(Introspection)
    return made


@cache
def signing_key() -> RSAKey:
    """The key with which this installation says who somebody is; made once, beside the data."""
    path = settings.HOME / "smart.key"
    if not path.exists():
        made = RSAKey.generate_key(2048)
        try:
            with open(path, "xb", opener=_private) as file:
                file.write(made.as_pem(private=True))
        except FileExistsError:
            pass  # another process was first
    key = RSAKey.import_key(path.read_bytes())
    key.ensure_kid()
    return key


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def who_in_fhir(user: User) -> str:
    """A user as the FHIR server names them."""
    person: Person | None = getattr(user, "person", None)
    return f"Patient/{person.pk}" if person else f"Practitioner/{user.pk}"


def id_token(request: Any, user: User, client: ClientApp, nonce: str) -> str:
    """Who has signed in, for the app alone."""
    origin = request.uri.partition("/smart/")[0]
    now = datetime.now(UTC)
    claims = {
        "iss": f"{origin}/smart",
        "sub": str(user.pk),
        "aud": client.client_id,
        "iat": int(now.timestamp()),
        "exp": int((now + timedelta(minutes=5)).timestamp()),
        "fhirUser": f"{origin}/fhir/{who_in_fhir(user)}",
        **({"nonce": nonce} if nonce else {}),
    }
    key = signing_key()
    return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)
