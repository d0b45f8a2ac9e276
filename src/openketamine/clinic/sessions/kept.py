"""Timelines kept from one request to the next, so that a reading costs its own fold and no more.

A monitor may read every second for hours, and many screens look at what it read. Kept are, for each
session, its facts, its timeline and the hash of the last event. That hash covers all that came
before, so one query for this event and those after it shows whether the record still begins as it
was folded: another process may have written, and a transaction may have been rolled back.
"""

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q

from openketamine.clinic.record.models import Event

from .timeline import Timeline, extend, fold

# Some 1.5 KB each, so 300 MB at most. What was looked at longest ago is forgotten first.
FACTS_KEPT = 200_000
# SQLite takes no condition of more than a thousand parts.
ASKED_AT_ONCE = 400


@dataclass(slots=True)
class Fact:
    """What the fold needs of an event, written or not yet, and no more: of these there are many."""

    seq: int
    kind: str
    occurred_at: datetime
    recorded_at: datetime
    actor_name: str
    source: str
    corrects_id: int | None
    data: dict[str, Any]

    @classmethod
    def of(cls, event: Event) -> "Fact":
        return cls(
            event.seq,
            event.kind,
            event.occurred_at,
            event.recorded_at,
            event.actor_name,
            event.source,
            event.corrects_id,
            event.data,
        )


@dataclass(frozen=True)
class _Held:
    """One session up to the event that bears `last_hash`."""

    last_hash: str
    facts: tuple[Fact, ...]
    timeline: Timeline

    @classmethod
    def of(cls, events: Sequence[Event]) -> "_Held":
        facts = tuple(Fact.of(event) for event in events)
        return cls(events[-1].hash if events else "", facts, fold(facts))

    def with_news(self, events: Sequence[Event]) -> "_Held | None":
        """With the events from the last known one on; None where the record does not go on so."""
        if not events or events[0].hash != self.last_hash:
            return None
        if len(events) == 1:
            return self
        news = tuple(Fact.of(event) for event in events[1:])
        facts = self.facts + news
        return _Held(events[-1].hash, facts, extend(self.timeline, news) or fold(facts))


class Kept:
    """The timelines of one process. Safe for threads: what is kept is never changed."""

    def __init__(self, facts_kept: int = FACTS_KEPT) -> None:
        self._facts_kept = facts_kept
        self._lock = threading.Lock()
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._facts = 0

    def timelines(self, streams: Sequence[str]) -> dict[str, Timeline]:
        """How these sessions stand, each timeline the caller's own.

        One query, and a second where the record does not go on from what was kept.

        Raises:
            OutOfOrderError: the events of one contradict each other.
        """
        held = self._look(streams)
        news: dict[str, list[Event]] = {}
        for first in range(0, len(streams), ASKED_AT_ONCE):
            asked = (
                Q(stream=s, seq__gte=held[s].facts[-1].seq) if s in held else Q(stream=s)
                for s in streams[first : first + ASKED_AT_ONCE]
            )
            news |= _by_stream(reduce(or_, asked))
        now = {
            stream: held[stream].with_news(news.get(stream, []))
            if stream in held
            else _Held.of(news.get(stream, []))
            for stream in streams
        }
        if gone := [stream for stream, one in now.items() if one is None]:
            whole = _by_stream(Q(stream__in=gone))
            now |= {stream: _Held.of(whole.get(stream, [])) for stream in gone}
        return {stream: self._keep(stream, one).copy() for stream, one in now.items() if one}

    def _look(self, streams: Iterable[str]) -> dict[str, _Held]:
        with self._lock:
            return {stream: self._held[stream] for stream in streams if stream in self._held}

    def _keep(self, stream: str, one: _Held) -> Timeline:
        with self._lock:
            if earlier := self._held.pop(stream, None):
                self._facts -= len(earlier.facts)
            if one.facts:
                self._held[stream] = one
                self._facts += len(one.facts)
            while self._facts > self._facts_kept:
                self._facts -= len(self._held.popitem(last=False)[1].facts)
        return one.timeline


def _by_stream(asked: Q) -> dict[str, list[Event]]:
    events: dict[str, list[Event]] = defaultdict(list)
    for event in Event.objects.filter(asked).order_by("seq"):
        events[event.stream].append(event)
    return events


kept = Kept()
