"""Whose charts the work in hand may touch. Said once, at the door; every query keeps to it.

Outside a request (a command, the monitor feed, the runner of notices) the work is for all sites.
Within a request it is for what `privacy.access.SiteMiddleware` has found out about who asks, and
for nobody until that is known.
"""

from collections.abc import Iterator
from contextlib import _GeneratorContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID

from .models import FIRST


@dataclass(frozen=True)
class Scope:
    """Charts of these sites and of these people besides.

    `sites` None: of every site. `home` is where something new belongs; None: that must be said.
    """

    sites: frozenset[int] | None
    people: frozenset[UUID] = frozenset()
    home: int | None = None

    @property
    def is_whole(self) -> bool:
        return self.sites is None


EVERYTHING = Scope(None, home=FIRST)
# Of one who has not been recognised: whatever there is where there is one site, else nothing.
UNKNOWN = Scope(frozenset())

_scope: ContextVar[Scope] = ContextVar("sites", default=EVERYTHING)


def current() -> Scope:
    return _scope.get()


def narrow(scope: Scope) -> None:
    """From here to the end of the request it is this; for those who have shown who they are."""
    _scope.set(scope)


@contextmanager
def within(scope: Scope) -> Iterator[None]:
    before = _scope.get()
    _scope.set(scope)
    try:
        yield
    finally:
        _scope.set(before)


def everything() -> _GeneratorContextManager[None]:
    """All sites: for the clinic's own book-keeping, whose results are shown to nobody as such.

    Also a decorator.
    """
    return within(EVERYTHING)


def of_person(person_id: UUID) -> Scope:
    """One patient's own."""
    return Scope(frozenset(), frozenset({person_id}))
