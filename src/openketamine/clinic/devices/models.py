"""The devices that have been heard, where they stand, and what nobody could place."""

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from openketamine.clinic.record import clock
from openketamine.clinic.sessions.models import Chair, Session
from openketamine.clinic.sites.models import Site

STREAM = "devices"


class Device(models.Model):
    """One monitor, known by how it names itself, and how it was heard last."""

    site = models.ForeignKey(
        Site,
        null=True,
        on_delete=models.PROTECT,
        related_name="devices",
        help_text="Of the chair at which it stood last; None: not placed yet",
    )
    identity = models.CharField(max_length=120, unique=True)
    name = models.CharField(max_length=80)
    first_heard_at = models.DateTimeField(default=clock.now)
    last_heard_at = models.DateTimeField(null=True)
    location = models.CharField(max_length=120, blank=True)
    patient_id = models.CharField(max_length=80, blank=True)
    skew_s = models.FloatField(null=True, help_text="Its clock less ours, in seconds")
    skew_samples = models.JSONField(default=list)
    skew_pending = models.JSONField(default=list)
    messages = models.PositiveBigIntegerField(default=0)
    readings = models.PositiveBigIntegerField(default=0)
    repeats = models.PositiveBigIntegerField(default=0)
    latest = models.JSONField(default=dict, help_text="The last message, by label")
    unknown = models.JSONField(default=dict, help_text="Codes that nobody knows, with last value")
    problem = models.CharField(max_length=300, blank=True)
    problem_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["name", "identity"]

    def __str__(self) -> str:
        return f"{self.name} ({self.identity[-8:]})" if self.identity != self.name else self.name


class Assignment(models.Model):
    """A device stands at a chair, from when until when, said by whom."""

    device = models.ForeignKey(Device, on_delete=models.PROTECT, related_name="assignments")
    chair = models.ForeignKey(Chair, on_delete=models.PROTECT, related_name="devices")
    from_at = models.DateTimeField(default=clock.now)
    until_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["device"],
                condition=models.Q(until_at=None),
                name="one_chair_per_device",
            )
        ]

    def __str__(self) -> str:
        return f"{self.device} at {self.chair}"


class PlaceName(models.Model):
    """What monitors call the place of a chair, where that is not the chair's own name."""

    chair = models.ForeignKey(Chair, on_delete=models.CASCADE, related_name="place_names")
    name = models.CharField(max_length=120, help_text="As the monitor says it, e.g. ICU^2^3")
    key = models.CharField(max_length=120, unique=True, help_text="The same, however written")

    class Meta:
        ordering = ["chair__position", "chair__name", "name"]

    def __str__(self) -> str:
        return f"{self.name} is {self.chair}"


class ConfirmedPatient(models.Model):
    """Somebody has said that the number on a monitor means the patient of this session."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="confirmed")
    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="confirmed")
    patient_id = models.CharField(max_length=80)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["device", "session", "patient_id"], name="one_confirmation_per_number"
            )
        ]

    def __str__(self) -> str:
        return f"{self.patient_id} on {self.device}"


class Why(models.TextChoices):
    """Why a reading could not be placed."""

    UNASSIGNED = "unassigned", _("The device is at no chair")
    EMPTY = "empty", _("Nobody sits in the chair")
    CONFLICT = "conflict", _("The device names another patient or place")
    CLOCK = "clock", _("The device's clock is off")
    EARLIER = "earlier", _("Measured before this session")
    WITHDRAWN = "withdrawn", _("The device took a value back")
    MOVED = "moved", _("Taken back from another session")


class HeldReading(models.Model):
    """A reading that nobody could place, until somebody has decided or it has expired."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="held")
    client_id = models.UUIDField(unique=True)
    why = models.CharField(max_length=12, choices=Why.choices)
    explanation = models.CharField(max_length=300)
    at = models.DateTimeField(help_text="When it was measured, as far as known")
    received_at = models.DateTimeField()
    values = models.JSONField()
    doubted = models.JSONField(default=dict)
    more = models.JSONField(default=dict)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["device", "settled_at", "why"])]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(why__in=Why.values), name="held_for_a_known_reason"
            )
        ]

    def __str__(self) -> str:
        return f"{self.device} {self.at:%H:%M:%S}"


class DeviceToken(models.Model):
    """What a sender of FHIR Observations shows to be let in; only its hash is kept."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    device = models.ForeignKey(Device, on_delete=models.PROTECT, related_name="tokens")
    digest = models.CharField(max_length=64, unique=True)
    made_at = models.DateTimeField(default=clock.now)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"token of {self.device}"
