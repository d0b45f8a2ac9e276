"""What is likely to come, as the screens show it: apart from what was measured, and never as it.

`forecasts` makes it from the record. Where no forecast can be made, or none is wanted, the screens
show what was measured alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings

from .models import Session
from .timeline import Timeline


@dataclass(frozen=True)
class Likely:
    """A limit that may be passed soon: its rule, before when, how likely."""

    rule_id: str
    statement: str
    before: datetime
    percent: int
    stands_out: bool


@dataclass(frozen=True)
class Span:
    """A moment that is foretold, with the interval in which it falls nine times in ten."""

    at: datetime
    earliest: datetime
    latest: datetime


@dataclass(frozen=True)
class Ahead:
    """One step of the session, in words."""

    words: str
    span: Span
    is_past: bool


@dataclass(frozen=True)
class Band:
    """One quantity over time: (at, 5 %, 25 %, 50 %, 75 %, 95 %) in the quantity's unit."""

    quantity: str
    points: tuple[tuple[datetime, float, float, float, float, float], ...]


@dataclass(frozen=True)
class Peak:
    """The highest level from now on, with its 90 % interval."""

    median: int
    low: int
    high: int


@dataclass(frozen=True)
class Outlook:
    """One forecast of one session.

    Attributes:
        seq: the last event that it knows of.
        zero: the moment from which its minutes count: the first dose; before that, `made_at`.
        bands: systolic, diastolic and heart rate; `conc` the drug's own concentration, in ng/mL of
            the plasma that `matrix` names.
        dissociation_percent: the highest chance, along the session, that dissociation is felt.
        made_of: what it rests on, in words.
        to_know: gives what its reader has to know. As all words of it, in the language of whoever
            reads it: one forecast is shown to many.
        learned_from: earlier sessions of this patient that it has learned from.
    """

    seq: int
    made_at: datetime
    zero: datetime
    started: bool
    bands: tuple[Band, ...]
    conc: Band
    matrix: str
    warnings: tuple[Likely, ...]
    ahead: tuple[Ahead, ...]
    home: Span | None
    systolic: Peak
    diastolic: Peak
    dissociation_percent: int
    made_of: str
    certainty: str
    to_know: Callable[[], tuple[str, ...]] = field(compare=False)
    learned_from: int

    @property
    def cautions(self) -> tuple[str, ...]:
        return self.to_know()

    def band(self, quantity: str) -> Band:
        return next(band for band in self.bands if band.quantity == quantity)


def outlook_of(
    session: Session, timeline: Timeline, now: datetime, *, wait_s: float = 0.25
) -> Outlook | None:
    """The last forecast of a session, or None; a newer one is set to work where the record has
    moved on, and waited for a moment."""
    if not settings.FORECASTS:
        return None
    from .forecasts import desk  # the pharmacology takes a second to load: only where it is wanted

    return desk.outlook(session, timeline, now, wait_s=wait_s)
