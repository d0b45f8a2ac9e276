"""What was told from home of how the doses were borne: side effects, emergencies, hospitals.

Folded from the record for many sessions at once, for the timeline of a course, its review and the
outcomes of the clinic.
"""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from openketamine.clinic.record.models import Event

from .models import HomeSession

DEGREES = ("mild", "moderate", "severe")


@dataclass(frozen=True)
class HomeEffect:
    """A side effect of one session at its worst, and when it was first that bad."""

    id: str
    severity: str
    at: datetime


@dataclass
class Told:
    """How one session at home was borne.

    Attributes:
        effects: by the side effect's id.
        emergency: an emergency sign was told, or somebody was hard to wake.
        handed_over: it ended in an ambulance or a hospital.
    """

    effects: dict[str, HomeEffect] = field(default_factory=dict)
    emergency: bool = False
    handed_over: bool = False


def told_of(sessions: Sequence[HomeSession]) -> dict[uuid.UUID, Told]:
    """By session, what was told in its check-ins and at its end. One query."""
    found: dict[uuid.UUID, Told] = defaultdict(Told)
    by_stream = {session.stream: session.pk for session in sessions}
    if not by_stream:
        return found
    for event in Event.objects.filter(
        stream__in=by_stream, kind__in=("athome.how", "athome.closed")
    ).order_by("seq"):
        told, data = found[by_stream[event.stream]], event.data
        if event.kind == "athome.closed":
            told.handed_over = data["outcome"] == "handed over"
            continue
        told.emergency |= bool(data.get("signs")) or data.get("awake") == "hard to wake"
        for name, severity in data.get("effects", ()):
            known = told.effects.get(name)
            if known is None or DEGREES.index(severity) > DEGREES.index(known.severity):
                told.effects[name] = HomeEffect(name, severity, event.occurred_at)
    return found
