"""What is likely to come, as the screens show it: apart from what was measured, and never as it.

The forecast itself is made elsewhere; whoever makes it registers here (`provide`). Where nobody
does, or no forecast can be made, the screens show what was measured alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from .models import Session
from .timeline import Timeline


@dataclass(frozen=True)
class Likely:
    """A limit that may be passed: "systolic above 180 mmHg", before when, how likely."""

    statement: str
    before: datetime
    percent: int


@dataclass(frozen=True)
class Home:
    """When the patient will probably be ready to go home, with its 90 % interval."""

    at: datetime
    earliest: datetime
    latest: datetime


@dataclass(frozen=True)
class Band:
    """One quantity over time: (at, 5 %, 25 %, 50 %, 75 %, 95 %) in the quantity's unit."""

    quantity: str
    points: tuple[tuple[datetime, float, float, float, float, float], ...]


@dataclass(frozen=True)
class Outlook:
    """One forecast of one session. `made_of` says in words what it rests on."""

    bands: tuple[Band, ...] = ()
    warnings: tuple[Likely, ...] = ()
    home: Home | None = None
    made_of: str = ""


Provider = Callable[[Session, Timeline, datetime], Outlook | None]
_provider: Provider | None = None


def provide(provider: Provider | None) -> None:
    """From now on the screens show the forecasts of this provider."""
    global _provider
    _provider = provider


def outlook_of(session: Session, timeline: Timeline, now: datetime) -> Outlook | None:
    """The forecast of a session from what the record holds by now, or None."""
    return _provider(session, timeline, now) if _provider else None
