"""From a token to what its bearer may do."""

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.record import clock
from openketamine.clinic.sites import scope as sites
from openketamine.clinic.sites.models import FIRST
from openketamine.clinic.sites.queries import several_sites

from . import scopes as rules
from .models import AccessToken, ClientApp, digest_of

PREFIX = "okt_"  # so that a token is known for one of ours, and from a device's
# Noting every use would write with every read.
_NOTED_EVERY = timedelta(minutes=5)


@dataclass(frozen=True)
class Grant:
    """What one token allows."""

    client: ClientApp
    user: User | None
    patient: UUID | None
    scope: str

    @cached_property
    def scopes(self) -> list[rules.Scope]:
        return rules.parse_all(self.scope)

    @cached_property
    def own_person(self) -> UUID | None:
        if self.user is None or self.user.role != Role.PATIENT:
            return None
        person: Any = getattr(self.user, "person", None)
        return person.pk if person else None

    def reach(self, kind: str, letter: str) -> rules.Reach | None:
        """How far it reaches for one interaction; None refuses it."""
        return rules.reach(
            self.scopes,
            kind,
            letter,
            role=self.user.role if self.user else None,
            own_person=self.own_person,
            patient=self.patient,
        )

    @property
    def actor(self) -> User | str:
        """Who acts, as the record names it: the user, or the program itself."""
        return self.user or f"{self.client.name} (program)"


def grant_of(secret: str) -> Grant | None:
    """What a bearer token allows; None where it is none of ours, expired or revoked. One query,
    and two more where there are several sites.

    From here on the request works for the sites of the program, and of the user behind it.
    """
    if not secret.startswith(PREFIX):
        return None
    with sites.everything():
        token = (
            AccessToken.objects.select_related("client", "user", "user__person")
            .filter(digest=digest_of(secret), revoked_at=None)
            .annotate(several_sites=several_sites())
            .first()
        )
    if token is None or token.is_expired() or token.client.revoked_at:
        return None
    if token.user and not token.user.is_active:
        return None
    now = clock.now()
    used = token.client.last_used_at
    if used is None or now - used > _NOTED_EVERY:
        ClientApp.objects.filter(pk=token.client_id).update(last_used_at=now)
    grant = Grant(token.client, token.user, token.person_id, token.scope)
    sites.narrow(scope_of(grant) if token.several_sites else sites.EVERYTHING)
    return grant


def scope_of(grant: Grant) -> sites.Scope:
    """Whose charts a program may see where there are several sites: those at which both it and the
    user behind it are at work, or the patient's own.
    """
    if grant.user and grant.user.role == Role.PATIENT:
        return sites.of_person(grant.own_person) if grant.own_person else sites.UNKNOWN
    admitted = frozenset(grant.client.sites.values_list("pk", flat=True)) or frozenset({FIRST})
    if grant.user:
        admitted &= frozenset(grant.user.memberships.values_list("site_id", flat=True))
    return sites.Scope(admitted, home=next(iter(admitted)) if len(admitted) == 1 else None)
