"""Programs that may ask for data, and what they were given. Secrets are kept as hashes only."""

import hashlib
import secrets
import uuid
from typing import Any

from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin
from authlib.oauth2.rfc6749.models import AuthorizationCodeMixin
from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from openketamine.clinic.people.models import Person
from openketamine.clinic.record import clock
from openketamine.clinic.sites.models import Site

USER = settings.AUTH_USER_MODEL


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class ClientApp(models.Model, ClientMixin):
    """One program that the medical director has let in."""

    class Kind(models.TextChoices):
        PUBLIC = "public", _("App without a secret (in a browser or on a phone)")
        CONFIDENTIAL = "confidential", _("App with a secret (on a server)")
        ASYMMETRIC = "asymmetric", _("App with a key of its own (on a server)")
        SERVICE = "service", _("Service without a user (system to system)")
        HOOKS = "hooks", _("Another record system that asks for findings (CDS Hooks)")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    client_id = models.CharField(max_length=48, unique=True)
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    scope = models.TextField(blank=True, help_text="The most that it may ask for")
    redirect_uris = models.TextField(blank=True, help_text="One a line")
    launch_url = models.URLField(max_length=500, blank=True)
    secret_digest = models.CharField(max_length=64, blank=True)
    jwks = models.JSONField(null=True, blank=True, help_text="Its public keys")
    jwks_uri = models.URLField(max_length=500, blank=True, help_text="Where they are published")
    jwks_fetched_at = models.DateTimeField(null=True)
    jwks_tried_at = models.DateTimeField(null=True)
    issuer = models.CharField(max_length=300, blank=True, help_text="Who signs its requests")
    registered_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    registered_at = models.DateTimeField(default=clock.now)
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    # Whose charts it may see; none: those of the first site.
    sites = models.ManyToManyField(Site, related_name="+")

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["issuer"],
                condition=~models.Q(issuer="") & models.Q(revoked_at=None),
                name="one_client_per_issuer",
            )
        ]

    def __str__(self) -> str:
        return self.name

    # What Authlib asks of a client.

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str | None:
        return None  # SMART: an app always says where it wants to be called back

    def get_allowed_scope(self, scope: str) -> str:
        from .scopes import narrowed

        return narrowed(scope or "", self.scope)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.redirect_uris.split()

    def check_client_secret(self, client_secret: str) -> bool:
        return bool(self.secret_digest) and secrets.compare_digest(
            self.secret_digest, digest_of(client_secret)
        )

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        allowed = {
            self.Kind.PUBLIC: {"none"},
            self.Kind.CONFIDENTIAL: {"client_secret_basic", "client_secret_post"},
            self.Kind.ASYMMETRIC: {"private_key_jwt"},
            self.Kind.SERVICE: {"private_key_jwt"},
        }
        return method in allowed.get(self.Kind(self.kind), set())

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code" and self.kind in self.INTERACTIVE

    def check_grant_type(self, grant_type: str) -> bool:
        if self.kind == self.Kind.SERVICE:
            return grant_type == "client_credentials"
        return self.kind in self.INTERACTIVE and grant_type in {
            "authorization_code",
            "refresh_token",
        }

    INTERACTIVE = frozenset({Kind.PUBLIC, Kind.CONFIDENTIAL, Kind.ASYMMETRIC})


class Launch(models.Model):
    """An app that is being opened from a patient's page; its token names the patient once."""

    digest = models.CharField(max_length=64, unique=True)
    client = models.ForeignKey(ClientApp, on_delete=models.CASCADE)
    user = models.ForeignKey(USER, on_delete=models.CASCADE)
    person = models.ForeignKey(Person, on_delete=models.CASCADE)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.client} for {self.person}"


class Code(models.Model, AuthorizationCodeMixin):
    """What an app fetches its first token with, once, within a minute."""

    digest = models.CharField(max_length=64, unique=True)
    client = models.ForeignKey(ClientApp, on_delete=models.CASCADE)
    user = models.ForeignKey(USER, on_delete=models.CASCADE)
    person = models.ForeignKey(Person, null=True, on_delete=models.CASCADE)
    redirect_uri = models.TextField()
    scope = models.TextField()
    nonce = models.CharField(max_length=200, blank=True)
    code_challenge = models.CharField(max_length=128)
    code_challenge_method = models.CharField(max_length=8)
    auth_time = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"code of {self.client_id}"

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return self.nonce

    def get_auth_time(self) -> int:
        return int(self.auth_time.timestamp())


class AccessToken(models.Model, TokenMixin):
    """One token, and the refresh token beside it where the app may keep its access."""

    client = models.ForeignKey(ClientApp, on_delete=models.CASCADE, related_name="tokens")
    user = models.ForeignKey(USER, null=True, on_delete=models.CASCADE, related_name="+")
    person = models.ForeignKey(Person, null=True, on_delete=models.CASCADE, related_name="+")
    scope = models.TextField()
    digest = models.CharField(max_length=64, unique=True)
    refresh_digest = models.CharField(max_length=64, null=True, unique=True)  # noqa: DJ001
    issued_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    refresh_expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["client", "revoked_at"])]

    def __str__(self) -> str:
        return f"token of {self.client_id}"

    def check_client(self, client: Any) -> bool:
        return bool(self.client_id == client.pk)

    def get_scope(self) -> str:
        return self.scope

    def get_expires_in(self) -> int:
        return int((self.expires_at - self.issued_at).total_seconds())

    def is_expired(self) -> bool:
        return self.expires_at <= clock.now()

    def is_revoked(self) -> bool:
        return self.revoked_at is not None

    def get_user(self) -> Any:
        return self.user

    def get_client(self) -> ClientApp:
        return self.client


class SeenAssertion(models.Model):
    """A signed request that was shown once, and is good for no second time."""

    issuer = models.CharField(max_length=300)
    jti = models.CharField(max_length=200)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["issuer", "jti"], name="an_assertion_counts_once")
        ]
        indexes = [models.Index(fields=["expires_at"])]

    def __str__(self) -> str:
        return self.jti


class Access(models.Model):
    """One request of a program for data: who asked, for what, and what came of it."""

    at = models.DateTimeField(default=clock.now)
    client = models.ForeignKey(ClientApp, null=True, on_delete=models.PROTECT, related_name="+")
    client_name = models.CharField(max_length=120)
    user = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    user_name = models.CharField(max_length=160, blank=True)
    action = models.CharField(max_length=1, help_text="C, R, U, D or E, as FHIR's AuditEvent says")
    interaction = models.CharField(max_length=24)
    kind = models.CharField(max_length=28, blank=True)
    query = models.TextField(blank=True)
    status = models.PositiveSmallIntegerField()
    address = models.CharField(max_length=45, blank=True)

    class Meta:
        indexes = [models.Index(fields=["at"])]

    def __str__(self) -> str:
        return f"{self.client_name}: {self.interaction} {self.kind}"


class Accessed(models.Model):
    """One person whose chart a request has shown."""

    access = models.ForeignKey(Access, on_delete=models.CASCADE, related_name="accessed")
    person_id = models.UUIDField()

    class Meta:
        indexes = [models.Index(fields=["person_id", "access"])]

    def __str__(self) -> str:
        return str(self.person_id)
