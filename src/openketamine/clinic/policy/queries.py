"""Which protocol library governs, and whether the clinic's policy in it is signed."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from openketamine import protocols
from openketamine.protocols.schema import Contact

from .models import Approval


def library() -> protocols.Library:
    """The protocols of this clinic: the package's own, under the clinic's overlay if it has one."""
    overlay = settings.HOME / "protocols"
    return protocols.load(overlay if overlay.is_dir() else None)


def contacts(language: str = "en") -> tuple[Contact, ...]:
    """Whom a patient in need can call, in the clinic's region, in the words of a language."""
    return tuple(each.in_language(language) for each in library().contacts[settings.REGION])


@register()
def check_that_the_region_has_crisis_lines(**kwargs: Any) -> list[CheckMessage]:
    try:
        known = library().contacts
    except protocols.ProtocolError:
        return []  # said where the library is loaded, with file and line
    if known.get(settings.REGION):
        return []
    return [
        Error(
            f"No crisis lines are known for the region {settings.REGION!r}.",
            hint=f"Set OPENKETAMINE_REGION to one of {', '.join(known)}, or add the region to the "
            "contacts in the clinic's overlay.",
            id="policy.E001",
        )
    ]


def current_approval() -> Approval | None:
    """The signature under the policy as it stands now, or None where it is unsigned."""
    return (
        Approval.objects.filter(digest=library().policy_digest)
        .select_related("approved_by")
        .first()
    )
