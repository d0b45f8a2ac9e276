"""The one place that says what time it is, so that a demonstration or a test can set it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime

from django.utils import timezone

_set: ContextVar[datetime | None] = ContextVar("clock", default=None)


def now() -> datetime:
    """The present moment, aware."""
    return _set.get() or timezone.now()


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
