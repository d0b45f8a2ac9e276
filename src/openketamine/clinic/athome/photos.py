"""How long a picture of a cuff is kept. The figures that were confirmed beside it stay."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from openketamine.clinic.policy.queries import library
from openketamine.clinic.record.models import Source

from . import services
from .models import CuffPhoto


def clear(now: datetime, *, held: Collection[UUID] = ()) -> int:
    """Delete the pictures that have been kept for as long as the clinic's policy says.

    Each deletion is in the record with the picture's digest, which the check-in names as well. A
    picture of a session that is still open stays.

    Args:
        held: the people under a legal hold, of whom everything stays.

    Returns:
        How many were deleted.
    """
    rule = library().athome.rule("photo_kept_days")
    old = CuffPhoto.objects.filter(
        kept_at__lt=now - timedelta(days=rule.value), session__closed_at__isnull=False
    ).exclude(session__person__in=held)
    count = 0
    for key in list(old.values_list("pk", flat=True)):
        with transaction.atomic():
            photo = (
                CuffPhoto.objects.select_for_update(of=("self",))
                .select_related("session")
                .defer("jpeg")
                .filter(pk=key)
                .first()
            )
            if photo is None:  # another process was quicker
                continue
            services.append(
                photo.session,
                "OpenKetamine",
                "photo_deleted",
                {
                    "digest": photo.digest,
                    "kept_at": photo.kept_at.isoformat(),
                    "kept_days": rule.value,
                    "rule": rule.id,
                },
                source=Source.SYSTEM,
            )
            photo.delete()
            count += 1
    return count
