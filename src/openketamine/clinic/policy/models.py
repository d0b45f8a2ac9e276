"""Which protocols govern here: clinic policy counts only once the director has signed it."""

from django.conf import settings
from django.db import models

from openketamine.clinic.record import clock
from openketamine.protocols import Overlay


class OverlayVersion(models.Model):
    """The clinic's own text over the library, as it was once proposed. Never edited.

    A text that is empty proposes to follow the library alone again.
    """

    class Origin(models.TextChoices):
        SCREEN = "screen", "on screen"
        COMMAND = "command", "by the command line"

    number = models.PositiveIntegerField(unique=True)
    digest = models.CharField(max_length=64, help_text="SHA-256 of the text")
    text = models.TextField(blank=True)
    note = models.CharField(max_length=500, help_text="What it is for, in the proposer's words")
    library_version = models.CharField(max_length=80, help_text="That it was checked against")
    origin = models.CharField(max_length=8, choices=Origin.choices)
    proposed_by = models.CharField(max_length=160)
    proposed_at = models.DateTimeField(default=clock.now)
    declined_at = models.DateTimeField(null=True)
    declined_by = models.CharField(max_length=160, blank=True)
    declined_because = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(declined_at=None) | ~models.Q(declined_because=""),
                name="a_declined_version_says_why",
            )
        ]

    def __str__(self) -> str:
        return f"version {self.number}"

    @property
    def overlay(self) -> Overlay:
        """For the library. Errors name it by its number."""
        return Overlay(((f"version-{self.number}.yaml", self.text),))


class Approval(models.Model):
    """One signature of the medical director under one exact text. The last one governs."""

    digest = models.CharField(max_length=64, help_text="SHA-256 of the policy that was signed")
    library_version = models.CharField(max_length=80)
    library_digest = models.CharField(max_length=64)
    overlay = models.ForeignKey(
        OverlayVersion, null=True, on_delete=models.PROTECT, related_name="approvals"
    )
    entries = models.JSONField(help_text="Every entry as it was signed: id, words, source, mark")
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="policies_approved"
    )
    approved_at = models.DateTimeField(default=clock.now)

    class Meta:
        indexes = [models.Index(fields=["digest"])]

    def __str__(self) -> str:
        own = f", clinic's {self.overlay}" if self.overlay else ""
        return (
            f"{self.library_version}{own}, approved by {self.approved_by} "
            f"on {self.approved_at:%d %B %Y}"
        )
