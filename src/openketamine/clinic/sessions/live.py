"""Live screens: who watches which stream, and a watcher that tells them when it has grown.

The record is the truth and the only messenger: one thread per process looks at its head, so a write
by any process, a monitor's among them, reaches the screens of all. A screen is told only *that*
something happened and fetches what it shows; nothing can be shown that is not in the record.
"""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from django.db import close_old_connections, connection

from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event

logger = logging.getLogger(__name__)

POLL_S = 0.25
BEAT_S = 5.0
# A stream ends after this long and the browser opens another, so that a sign-out takes effect.
LIFE_S = 600.0
ALL_SESSIONS = "session:"


@dataclass(eq=False)
class _Watch:
    """One open screen. `prefix` is a stream, or the beginning of all that it wants to hear of."""

    prefix: str
    loop: asyncio.AbstractEventLoop
    queue: asyncio.Queue[int] = field(default_factory=asyncio.Queue)

    def tell(self, seq: int) -> None:
        try:
            self.loop.call_soon_threadsafe(self.queue.put_nowait, seq)
        except RuntimeError:  # its loop has closed: nobody is looking any more
            logger.debug("a screen went away while it was being told")


class Watcher:
    """Looks at the record's head while anybody watches, and rests when nobody does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watches: set[_Watch] = set()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    def add(self, watch: _Watch) -> None:
        with self._lock:
            self._watches.add(watch)
            if self._thread is None:
                self._wake.clear()
                self._thread = threading.Thread(
                    target=self._run, name="record-watcher", daemon=True
                )
                self._thread.start()

    def remove(self, watch: _Watch) -> None:
        with self._lock:
            self._watches.discard(watch)
        self._wake.set()

    def _run(self) -> None:
        seen: int | None = None
        while True:
            with self._lock:
                if not self._watches:
                    self._thread = None
                    connection.close()
                    return
            try:
                seen = self._look(seen)
            except Exception:  # a busy or restarting database must not end all live screens
                logger.exception("the record could not be read; trying again")
                connection.close()
            self._wake.wait(POLL_S)
            self._wake.clear()

    def _look(self, seen: int | None) -> int:
        """Tell the screens of every stream that has grown since `seen`; returns the new head."""
        close_old_connections()
        if seen is None:
            return Event.objects.order_by("-seq").values_list("seq", flat=True).first() or 0
        grown: dict[str, int] = {}
        news = Event.objects.filter(seq__gt=seen).order_by("seq").values_list("seq", "stream")
        for seq, stream in news:
            grown[stream] = seen = seq
        if grown:
            with self._lock:
                watches = list(self._watches)
            for watch in watches:
                heard = [seq for stream, seq in grown.items() if stream.startswith(watch.prefix)]
                if heard:
                    watch.tell(max(heard))
        return seen


watcher = Watcher()


def message(event: str, data: dict[str, object], *, seq: int | None = None) -> bytes:
    """One server-sent event as it goes over the wire."""
    head = f"id: {seq}\n" if seq is not None else ""
    return f"{head}event: {event}\ndata: {json.dumps(data)}\n\n".encode()


async def events(prefix: str, *, life_s: float = LIFE_S) -> AsyncIterator[bytes]:
    """The stream of one screen: "changed" when its record has grown, and a "beat" in between.

    The first beat is sent at once. A screen that hears no beat knows that it is cut off.
    """
    loop = asyncio.get_running_loop()
    watch = _Watch(prefix, loop)
    watcher.add(watch)
    ends = loop.time() + life_s
    try:
        yield message("beat", {"now": clock.now().isoformat()})
        while (left := ends - loop.time()) > 0:
            try:
                seq = await asyncio.wait_for(watch.queue.get(), min(BEAT_S, left))
            except TimeoutError:
                yield message("beat", {"now": clock.now().isoformat()})
                continue
            while not watch.queue.empty():  # a burst is one change to a screen
                seq = watch.queue.get_nowait()
            yield message("changed", {"seq": seq}, seq=seq)
    finally:
        watcher.remove(watch)
