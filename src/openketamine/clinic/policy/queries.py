"""Which protocol library governs, and whether the clinic's policy in it is signed."""

from __future__ import annotations

from django.conf import settings

from openketamine import protocols

from .models import Approval


def library() -> protocols.Library:
    """The protocols of this clinic: the package's own, under the clinic's overlay if it has one."""
    overlay = settings.HOME / "protocols"
    return protocols.load(overlay if overlay.is_dir() else None)


def current_approval() -> Approval | None:
    """The signature under the policy as it stands now, or None where it is unsigned."""
    return (
        Approval.objects.filter(digest=library().policy_digest)
        .select_related("approved_by")
        .first()
    )
