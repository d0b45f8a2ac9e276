"""What a monitor's readings change on a live screen, worked out once for all who watch.

A monitor may read every second. Folding a whole session for each reading and each screen would cost
more than the readings; so a screen is told the figures themselves, and fetches everything anew only
now and then, or at once where a limit is crossed or anything else has happened.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from openketamine.clinic.record.models import Event, Source
from openketamine.protocols import monitoring
from openketamine.protocols.schema import MonitoringFile

from . import queries
from .artefacts import Sieve
from .models import Session
from .timeline import VITALS

VITALS_KIND = "session.vitals_recorded"
# Enough to judge the next value by: `artefacts` compares with the last few.
WARM_UP = 20


@dataclass
class Ticker:
    """One session's latest figures, from what is new in its record."""

    protocol: MonitoringFile
    baseline: dict[str, float]
    sieve: Sieve = field(default_factory=Sieve)
    count: int = 0

    @classmethod
    def of(cls, stream: str, before: int) -> "Ticker | None":
        """Warm with the last readings up to the event `before`. None where it is no session."""
        session = (
            Session.objects.filter(pk=uuid.UUID(stream.removeprefix("session:")))
            .select_related("course", "approval")
            .first()
        )
        if session is None:
            return None
        mine = Event.objects.filter(stream=stream, seq__lte=before)
        check = mine.filter(kind="session.check_completed").order_by("-seq").first()
        ticker = cls(queries.protocol_of(session), dict(check.data["vitals"]) if check else {})
        last = list(mine.filter(kind=VITALS_KIND).order_by("-seq")[:WARM_UP])
        ticker.take(last[::-1])
        return ticker

    def take(self, events: Sequence[Event]) -> dict[str, Any]:
        """The figures that these readings leave on the screen.

        Returns:
            `figures`: quantity to [value, when it was measured], the latest of those that count;
            `crossed`: whether a limit is crossed, also by a value that waits to be confirmed.
        """
        figures: dict[str, list[Any]] = {}
        crossed = False
        for event in events:
            data = event.data
            values = {
                name: data[name]
                for name in VITALS
                if data.get(name) is not None and name not in data.get("artefacts", {})
            }
            crossed = crossed or bool(monitoring.assess(self.protocol, values, self.baseline))
            alone, revisions = self.sieve.take(
                self.count, event.occurred_at, values, by_hand=event.source != Source.MONITOR
            )
            self.count += 1
            confirmed = {r.quantity: r.value for r in revisions if r.artefact is None}
            for name, value in {**confirmed, **values}.items():
                if name not in alone:
                    figures[name] = [value, event.occurred_at.isoformat()]
        return {"figures": figures, "crossed": crossed}
