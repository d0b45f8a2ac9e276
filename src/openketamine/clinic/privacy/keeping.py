"""What is deleted when its time has come, by the clinic's clock; a legal hold keeps it."""

from datetime import datetime, timedelta
from typing import Any

from django.dispatch import receiver

from openketamine.clinic.athome import photos
from openketamine.clinic.notices.signals import Every, tick

from .models import LegalHold

_round = Every(timedelta(hours=1))


@receiver(tick)
def look_at_the_clock(sender: Any, now: datetime, **kwargs: Any) -> None:
    """Once an hour."""
    if _round.is_due(now):
        clear(now)


def clear(now: datetime) -> int:
    """Delete what has been kept for as long as policy says; returns how many things that were."""
    held = LegalHold.objects.filter(lifted_at=None).values_list("person_id", flat=True)
    return photos.clear(now, held=set(held))
