"""The append-only record: what happened, who said so, when, chained by hash."""

import hashlib
import json
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

GENESIS = "0" * 64


class Source(models.TextChoices):
    HAND = "hand", _("entered by hand")
    MONITOR = "monitor", _("from a monitor")
    PATIENT = "patient", _("from the patient")
    IMPORT = "import", _("imported")
    SYSTEM = "system", _("by the system")


def canonical(data: dict[str, Any]) -> str:
    """The one text of `data` that is hashed and stored.

    Raises:
        ValueError: a number is not finite, and so has no JSON form.
    """
    return json.dumps(
        data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


class Event(models.Model):
    """One fact. Never changed, never deleted: database triggers refuse both.

    `seq` counts without gaps, and `hash` covers this event and the hash before it, so that an
    altered, removed or inserted event shows (`openketamine verify-record`).
    """

    seq = models.BigIntegerField(primary_key=True)
    stream = models.CharField(max_length=64, help_text="session:<id>, person:<id> or clinic")
    person_id = models.UUIDField(null=True)
    kind = models.CharField(max_length=48)
    body = models.TextField(help_text="Canonical JSON")
    occurred_at = models.DateTimeField(help_text="When it happened to the patient")
    recorded_at = models.DateTimeField(help_text="When it was stored")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="events"
    )
    actor_name = models.CharField(max_length=160, help_text="The actor as named at the time")
    source = models.CharField(max_length=8, choices=Source.choices)
    corrects = models.ForeignKey(
        "self", null=True, on_delete=models.PROTECT, related_name="corrections"
    )
    client_id = models.UUIDField(null=True, unique=True, help_text="So that a resend counts once")
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        ordering = ["seq"]  # PostgreSQL gives rows in any order unless asked for one
        indexes = [
            models.Index(fields=["stream", "seq"]),
            models.Index(fields=["person_id", "seq"]),
            models.Index(fields=["kind", "seq"]),
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.kind}"

    @cached_property
    def data(self) -> dict[str, Any]:
        return json.loads(self.body)  # type: ignore[no-any-return]

    def digest(self) -> str:
        """The hash that this event's own columns give, whatever the `hash` column says."""
        header = canonical(
            {
                "seq": self.seq,
                "stream": self.stream,
                "person": str(self.person_id) if self.person_id else None,
                "kind": self.kind,
                "occurred_at": _utc(self.occurred_at),
                "recorded_at": _utc(self.recorded_at),
                "actor": self.actor_id,
                "actor_name": self.actor_name,
                "source": self.source,
                "corrects": self.corrects_id,
                "client_id": str(self.client_id) if self.client_id else None,
            }
        )
        return hashlib.sha256(
            "\n".join((self.previous_hash, header, self.body)).encode()
        ).hexdigest()


class ChainHead(models.Model):
    """The last link, in one row: writers lock it, and a cut-off tail shows against it."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    seq = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, default=GENESIS)
    recorded_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_chain_head")]

    def __str__(self) -> str:
        return f"{self.seq} {self.hash[:12]}"


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
