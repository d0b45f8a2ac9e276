"""The director's acts about other programs: let one in, take its access back."""

import secrets
import uuid
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.errors import Refused
from openketamine.clinic.people.models import Person
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.sites.queries import several, sites_at_hand

from . import scopes
from .grants import PREFIX
from .keys import KeysUnavailable, public_keys
from .models import AccessToken, ClientApp, Launch, digest_of

LAUNCH_FOR = timedelta(minutes=5)
SIGNED = frozenset({ClientApp.Kind.ASYMMETRIC, ClientApp.Kind.SERVICE, ClientApp.Kind.HOOKS})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
_FORBIDDEN = frozenset({"http", "javascript", "data", "file", "vbscript", "ftp"})


@transaction.atomic
def register_client(
    director: User,
    *,
    name: str,
    kind: str,
    scope: str = "",
    redirect_uris: str = "",
    launch_url: str = "",
    jwks: str = "",
    jwks_uri: str = "",
    issuer: str = "",
) -> tuple[ClientApp, str]:
    """Let a program in, to what the scopes say and no more.

    Where there are several sites, it is bound to the one that the director has chosen, or to all
    of the director's.

    Args:
        scope: the most that it may ask for, as SMART writes scopes.
        redirect_uris: where it may be called back, one a line.
        jwks: its public keys, as a JSON Web Key Set.
        jwks_uri: or the https address at which it publishes them.
        issuer: for CDS Hooks, the `iss` of its requests.

    Returns:
        The program, and its secret, which is shown once ("" where it has none).

    Raises:
        Refused: not the director, or an entry is missing or will not do.
    """
    if director.role != Role.DIRECTOR:
        raise Refused(_("The medical director lets programs in."))
    if not name.strip():
        raise Refused(_("Name the program as it is to stand in the record."), field="name")
    if kind not in ClientApp.Kind.values:
        raise Refused(_("Choose what kind of program it is."), field="kind")
    words = _scope(kind, scope)
    addresses = _addresses(kind, redirect_uris)
    if launch_url:
        _check_address(launch_url, "launch_url")
    keys, jwks_uri = _keys(jwks, jwks_uri) if kind in SIGNED else (None, "")
    if kind == ClientApp.Kind.HOOKS and not issuer.strip():
        raise Refused(_("Enter the address by which it signs (iss)."), field="issuer")
    secret = secrets.token_urlsafe(32) if kind == ClientApp.Kind.CONFIDENTIAL else ""
    client = ClientApp(
        client_id=str(uuid.uuid4()),
        name=name.strip(),
        kind=kind,
        scope=words,
        redirect_uris="\n".join(addresses),
        launch_url=launch_url.strip(),
        secret_digest=digest_of(secret) if secret else "",
        jwks=keys,
        jwks_uri=jwks_uri,
        issuer=issuer.strip() if kind == ClientApp.Kind.HOOKS else "",
        registered_by=director,
    )
    try:
        with transaction.atomic():
            client.save()
            if several():
                client.sites.set(sites_at_hand())
    except IntegrityError as error:
        raise Refused(_("A program with this issuer is let in already."), field="issuer") from error
    record.append(
        director,
        "clinic",
        "smart.client_registered",
        {"client": client.client_id, "name": client.name, "kind": kind, "scope": words},
    )
    return client, secret


def _scope(kind: str, scope: str) -> str:
    if kind == ClientApp.Kind.HOOKS:
        return ""
    words = scope.split()
    for word in words:
        if not scopes.is_known(word):
            said = _(
                "'%(word)s' is no scope that is known here. Write scopes such as "
                "patient/Observation.rs or system/*.rs."
            )
            raise Refused(said % {"word": word}, field="scope")
    levels = {found.level for found in scopes.parse_all(scope)}
    if not levels:
        raise Refused(_("Say what it may see, e.g. patient/*.rs."), field="scope")
    if kind == ClientApp.Kind.SERVICE and levels != {"system"}:
        raise Refused(_("A service has no user: give it scopes of system/ only."), field="scope")
    if kind != ClientApp.Kind.SERVICE and "system" in levels:
        raise Refused(_("Scopes of system/ are for services without a user."), field="scope")
    return " ".join(dict.fromkeys(words))


def _addresses(kind: str, redirect_uris: str) -> list[str]:
    if kind not in ClientApp.INTERACTIVE:
        return []
    addresses = redirect_uris.split()
    if not addresses:
        raise Refused(_("Enter where the app is to be called back."), field="redirect_uris")
    for address in addresses:
        _check_address(address, "redirect_uris", own_schemes=True)
    return addresses


def _check_address(address: str, field: str, *, own_schemes: bool = False) -> None:
    """An https address; http only of the same machine; an app's own scheme where it may be."""
    parts = urlsplit(address)
    local = parts.scheme == "http" and parts.hostname in _LOOPBACK
    own = own_schemes and "." in parts.scheme and parts.scheme not in _FORBIDDEN
    if parts.fragment or "*" in address or not (parts.scheme == "https" or local or own):
        said = _("%(address)s: an address begins with https:// and has no # or *.")
        raise Refused(said % {"address": address}, field=field)
    if parts.scheme in {"https", "http"}:
        try:
            URLValidator(schemes=["https", "http"])(address)
        except ValidationError as error:
            said = _("%(address)s is no address.")
            raise Refused(said % {"address": address}, field=field) from error


def _keys(text: str, address: str) -> tuple[dict[str, Any] | None, str]:
    """The public keys that were pasted, or the address at which they are published.

    Raises:
        Refused: neither or both, no keys of the public kind, or no https address.
    """
    address = address.strip()
    if address and text.strip():
        raise Refused(
            _("Paste its keys, or name where they are published; not both."), field="jwks"
        )
    if address:
        _check_address(address, "jwks_uri")
        if urlsplit(address).scheme != "https":
            said = _("%(address)s: keys are fetched by https only.")
            raise Refused(said % {"address": address}, field="jwks_uri")
        return None, address
    try:
        return public_keys(text), ""
    except KeysUnavailable as reason:
        raise Refused(str(reason), field="jwks") from reason


@transaction.atomic
def revoke_client(director: User, client: ClientApp) -> None:
    """Take a program's access back, every token of it at once.

    Raises:
        Refused: not the director, or it is taken back already.
    """
    if director.role != Role.DIRECTOR:
        raise Refused(_("The medical director takes access back."))
    client = ClientApp.objects.select_for_update().get(pk=client.pk)
    if client.revoked_at:
        raise Refused(_("%(program)s has no access any more.") % {"program": client})
    client.revoked_at = clock.now()
    client.save(update_fields=["revoked_at"])
    client.tokens.filter(revoked_at=None).update(revoked_at=clock.now())
    record.append(
        director,
        "clinic",
        "smart.client_revoked",
        {"client": client.client_id, "name": client.name},
    )


def launch(user: User, client: ClientApp, person: Person) -> str:
    """Open an app on a patient: the token that names the patient to the authorization step.

    Raises:
        Refused: the app has no address to open, or no access any more.
    """
    if client.revoked_at or not client.launch_url:
        raise Refused(_("%(program)s cannot be opened from here.") % {"program": client})
    token = secrets.token_urlsafe(32)
    Launch.objects.create(
        digest=digest_of(token),
        client=client,
        user=user,
        person=person,
        expires_at=clock.now() + LAUNCH_FOR,
    )
    return token


def issue_token(
    client: ClientApp,
    *,
    scope: str,
    user: User | None = None,
    person: Person | None = None,
    lasts: timedelta = timedelta(hours=1),
) -> str:
    """A token of a program; returns its secret. The OAuth server calls it when all is checked."""
    secret = PREFIX + secrets.token_urlsafe(32)
    now = clock.now()
    AccessToken.objects.create(
        client=client,
        user=user,
        person=person,
        scope=scope,
        digest=digest_of(secret),
        issued_at=now,
        expires_at=now + lasts,
    )
    return secret
