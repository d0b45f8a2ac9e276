"""Live screens: who watches which stream, and a watcher that tells them when it has grown.

The record is the truth and the only messenger: one thread per process looks at its head, so a write
by any process, a monitor's among them, reaches the screens of all. A screen is told only *that*
something happened and fetches what it shows; nothing can be shown that is not in the record.
"""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from asgiref.sync import sync_to_async
from django.db import close_old_connections, connection

from openketamine.clinic.record import clock
from openketamine.clinic.record.bell import Bell
from openketamine.clinic.record.models import Event, Source
from openketamine.clinic.sites import scope as sites

from .ticker import VITALS_KIND, Ticker

logger = logging.getLogger(__name__)

BEAT_S = 5.0
# A stream ends after this long and the browser opens another, so that a sign-out takes effect.
LIFE_S = 600.0
ALL_SESSIONS = "session:"


@dataclass(frozen=True)
class News:
    """The record has grown up to `seq`; with `readings` by nothing but a monitor's readings."""

    seq: int
    readings: dict[str, Any] | None = None

    def without_figures(self) -> "News":
        """For a screen of many sessions, where a figure would be nobody's."""
        return self if self.readings is None else News(self.seq, {**self.readings, "figures": {}})


def together(news: Sequence[News]) -> News:
    """Several pieces of news as one: figures only where all of it are readings of one session."""
    seq = max(item.seq for item in news)
    if any(item.readings is None for item in news):
        return News(seq)
    figures: dict[str, Any] = {}
    crossed = False
    for item in news:
        figures |= (item.readings or {}).get("figures", {})
        crossed = crossed or bool((item.readings or {}).get("crossed"))
    return News(seq, {"figures": figures, "crossed": crossed})


@dataclass(eq=False)
class _Watch:
    """One open screen. `prefix` is a stream, or the beginning of all that it wants to hear of."""

    prefix: str
    loop: asyncio.AbstractEventLoop
    queue: asyncio.Queue[News] = field(default_factory=asyncio.Queue)
    gone: bool = False

    def tell(self, news: News) -> None:
        try:
            self.loop.call_soon_threadsafe(self.queue.put_nowait, news)
        except RuntimeError:  # its loop has closed: nobody is looking any more
            logger.debug("a screen went away while it was being told")


class Watcher:
    """Looks at the record's head while anybody watches, and rests when nobody does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watches: set[_Watch] = set()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._tickers: dict[str, Ticker] = {}  # of the watching thread alone

    def add(self, watch: _Watch) -> None:
        """Tell this screen of all that is stored from now on."""
        with self._lock:
            if watch.gone:  # it went away while it waited for its turn here
                return
            if self._thread is None:
                # It watches for all sites; each screen then fetches what it may show.
                with sites.everything():
                    seen = Event.objects.order_by("-seq").values_list("seq", flat=True).first() or 0
                self._wake.clear()
                self._thread = threading.Thread(
                    target=self._run, args=[seen], name="record-watcher", daemon=True
                )
                self._thread.start()
            self._watches.add(watch)

    def remove(self, watch: _Watch) -> None:
        with self._lock:
            watch.gone = True
            self._watches.discard(watch)
        self._wake.set()

    def _run(self, seen: int) -> None:
        bell = Bell()
        while True:
            with self._lock:
                # A server that is stopped at once closes its loop and ends no stream.
                self._watches = {w for w in self._watches if not w.loop.is_closed()}
                if not self._watches:
                    self._thread = None
                    bell.close()
                    connection.close()
                    return
            try:
                seen = self._look(seen)
            except Exception:  # a busy or restarting database must not end all live screens
                logger.exception("the record could not be read; trying again")
                connection.close()
            bell.wait(self._wake)

    def _look(self, seen: int) -> int:
        """Tell the screens of every stream that has grown since `seen`; returns the new head."""
        close_old_connections()
        with self._lock:
            watches = list(self._watches)
        news = Event.objects.filter(seq__gt=seen).order_by("seq")
        grown: dict[str, list[Event]] = {}
        for event in news.defer("previous_hash", "hash", "actor_name"):
            grown.setdefault(event.stream, []).append(event)
            seen = event.seq
        prefixes = tuple({watch.prefix for watch in watches})
        for stream in [s for s in self._tickers if not s.startswith(prefixes)]:
            del self._tickers[stream]
        news_of = {
            stream: self._news(stream, events)
            for stream, events in grown.items()
            if stream.startswith(prefixes)
        }
        for watch in watches:
            if watch.prefix in news_of:
                watch.tell(news_of[watch.prefix])
            elif heard := [news for s, news in news_of.items() if s.startswith(watch.prefix)]:
                watch.tell(together(heard).without_figures())
        return seen

    def _news(self, stream: str, events: list[Event]) -> News:
        """What is new in one stream: the figures, where nothing but a monitor has spoken."""
        seq = events[-1].seq
        read = all(e.kind == VITALS_KIND and e.source == Source.MONITOR for e in events)
        if not read:
            self._tickers.pop(stream, None)
            return News(seq)
        ticker = self._tickers.get(stream) or Ticker.of(stream, events[0].seq - 1)
        if ticker is None:
            return News(seq)
        self._tickers[stream] = ticker
        return News(seq, ticker.take(events))


watcher = Watcher()


def message(event: str, data: dict[str, object], *, seq: int | None = None) -> bytes:
    """One server-sent event as it goes over the wire."""
    head = f"id: {seq}\n" if seq is not None else ""
    return f"{head}event: {event}\ndata: {json.dumps(data)}\n\n".encode()


def _has_grown(prefix: str, after: int) -> bool:
    return Event.objects.filter(stream__startswith=prefix, seq__gt=after).exists()


async def events(
    prefix: str, *, after: int | None = None, life_s: float = LIFE_S
) -> AsyncIterator[bytes]:
    """The stream of one screen: "changed" when its record has grown, and a "beat" in between.

    Where nothing but a monitor's readings has come, "readings" bears the figures themselves; on a
    screen of many sessions it only says that there are some.

    The first beat is sent at once. A screen that hears no beat knows that it is cut off.

    Args:
        after: the last event that the screen shows; where there are later ones already, it hears
            of a change at once.
    """
    loop = asyncio.get_running_loop()
    watch = _Watch(prefix, loop)
    ends = loop.time() + life_s
    try:
        await sync_to_async(watcher.add)(watch)
        yield message("beat", {"now": clock.now().isoformat()})
        # Only now: what is stored later than this, the watcher tells.
        if after is not None and await sync_to_async(_has_grown)(prefix, after):
            yield message("changed", {"seq": after})
        while (left := ends - loop.time()) > 0:
            try:
                heard = [await asyncio.wait_for(watch.queue.get(), min(BEAT_S, left))]
            except TimeoutError:
                yield message("beat", {"now": clock.now().isoformat()})
                continue
            while not watch.queue.empty():  # a burst is one change to a screen
                heard.append(watch.queue.get_nowait())
            news = together(heard)
            if news.readings is None:
                yield message("changed", {"seq": news.seq}, seq=news.seq)
            else:
                yield message("readings", {"seq": news.seq, **news.readings}, seq=news.seq)
    finally:
        watcher.remove(watch)
