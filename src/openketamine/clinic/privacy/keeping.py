"""What is deleted when its time has come, by the clinic's clock; a legal hold keeps it."""

from datetime import datetime, timedelta
from typing import Any

from django.dispatch import receiver

from openketamine.clinic.athome import photos
from openketamine.clinic.notices.signals import tick

from .models import LegalHold

EVERY = timedelta(hours=1)
_looked_at: datetime | None = None


@receiver(tick)
def look_at_the_clock(sender: Any, now: datetime, **kwargs: Any) -> None:
    """Once an hour."""
    global _looked_at
    if _looked_at is not None and timedelta() <= now - _looked_at < EVERY:
        return
    _looked_at = now
    clear(now)


def clear(now: datetime) -> int:
    """Delete what has been kept for as long as policy says; returns how many things that were."""
    held = LegalHold.objects.filter(lifted_at=None).values_list("person_id", flat=True)
    return photos.clear(now, held=set(held))
