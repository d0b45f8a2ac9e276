"""Which protocols govern here: clinic policy counts only once the director has signed it."""

from django.conf import settings
from django.db import models


class Approval(models.Model):
    """One signature of the medical director under one exact text of the clinic's policy."""

    digest = models.CharField(max_length=64, help_text="SHA-256 of the policy that was signed")
    library_version = models.CharField(max_length=80)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="policies_approved"
    )
    approved_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["digest"], name="one_approval_per_policy_text")
        ]

    def __str__(self) -> str:
        return (
            f"{self.library_version}, approved by {self.approved_by} on {self.approved_at:%d %B %Y}"
        )
