"""From a token to what its bearer may do."""

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.record import clock

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
    """What a bearer token allows; None where it is none of ours, expired or revoked. One query."""
    if not secret.startswith(PREFIX):
        return None
    token = (
        AccessToken.objects.select_related("client", "user", "user__person")
        .filter(digest=digest_of(secret), revoked_at=None)
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
    return Grant(token.client, token.user, token.person_id, token.scope)
