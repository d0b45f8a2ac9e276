"""The one place that says what time it is, so that a demonstration or a test can set it."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime, timedelta

from django.utils import timezone

_set: ContextVar[datetime | None] = ContextVar("clock", default=None)
logger = logging.getLogger(__name__)


class SteadyClock:
    """Wall time that never steps back while the process lives.

    A dose is the integral of a rate over time, and an event must not lie before the one it follows.
    When the machine's clock is put back, this one runs on as if nothing had happened, and says so
    in the log; when it is put forward, this one follows.
    """

    # Less is the ordinary slewing of a synchronised clock.
    TOLERANCE = timedelta(seconds=1)

    def __init__(
        self,
        wall: Callable[[], datetime] = timezone.now,
        ticks_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall, self._ticks_s = wall, ticks_s
        self._lock = threading.Lock()
        self._base: tuple[datetime, float] | None = None
        self.behind = timedelta()

    def now(self) -> datetime:
        wall, tick = self._wall(), self._ticks_s()
        with self._lock:
            if self._base is not None:
                expected = self._base[0] + timedelta(seconds=tick - self._base[1])
                if wall < expected - self.TOLERANCE:
                    if not self.behind:
                        logger.error(
                            "The machine's clock was put back by %s. Time runs on as before; "
                            "restart the server once the clock is right.",
                            expected - wall,
                        )
                    self.behind = expected - wall
                    return expected
            self._base, self.behind = (wall, tick), timedelta()
            return wall


_steady = SteadyClock()


def now() -> datetime:
    """The present moment, aware."""
    return _set.get() or _steady.now()


def not_before(moment: datetime | None) -> datetime:
    """The present moment, but never before one that is in the record already.

    A machine whose clock was put back, and restarted since, may not have caught up with its own
    record yet. A clock that was set on purpose (`at`) is believed.
    """
    present = now()
    return present if moment is None or _set.get() else max(present, moment)


def today() -> date:
    """The present day in the clinic's time zone."""
    return timezone.localtime(now()).date()


@contextmanager
def at(moment: datetime) -> Iterator[None]:
    """Within this block it is `moment`, in this thread or task only."""
    token = _set.set(moment)
    try:
        yield
    finally:
        _set.reset(token)
