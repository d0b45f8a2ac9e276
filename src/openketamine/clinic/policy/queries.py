"""Which protocol library governs, and whether the clinic's policy in it is signed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_noop

from openketamine import protocols
from openketamine.clinic.record import clock
from openketamine.protocols import catalogue
from openketamine.protocols.schema import Contact

from .models import Approval, OverlayVersion


@dataclass(frozen=True)
class Governing:
    """The library as it stands today, and the last signature.

    `fault` says why the clinic's own text no longer fits the library, where that is so. The library
    alone then governs, and no signature covers it: nothing starts until somebody has looked.
    """

    library: protocols.Library
    last: Approval | None
    fault: str = ""

    @property
    def approval(self) -> Approval | None:
        """The signature under this very text, or None where it is unsigned."""
        signed = self.last and self.last.digest == self.library.policy_digest
        return self.last if signed else None

    @property
    def overlay(self) -> OverlayVersion | None:
        """The clinic's own text in force."""
        return self.last.overlay if self.last and not self.fault else None


_known: ContextVar[list[Governing] | None] = ContextVar("governing", default=None)


def governing() -> Governing:
    """What governs now. One query, and one a request inside `asked_once`."""
    known = _known.get()
    if known:
        return known[0]
    last = (
        Approval.objects.select_related("approved_by", "overlay").defer("entries").order_by("-pk")
    ).first()
    overlay = last.overlay.overlay if last and last.overlay else None
    try:
        found = Governing(protocols.load(overlay).at(clock.today()), last)
    except protocols.ProtocolError as error:
        found = Governing(protocols.load().at(clock.today()), last, str(error))
    if known is not None:
        known.append(found)
    return found


def library() -> protocols.Library:
    """The protocols of this clinic as they stand today: signed overlay over the package's own."""
    return governing().library


@lru_cache(maxsize=64)  # neither a signature nor a version is ever edited
def _overlay_under(approval_id: int) -> tuple[int, protocols.Overlay | None]:
    version = OverlayVersion.objects.filter(approvals=approval_id).first()
    return (version.number, version.overlay) if version else (0, None)


def library_under(approval_id: int, on: date) -> protocols.Library:
    """The protocols under one signature, as they stood on a day.

    The clinic's own text is that of the signature; the library beneath it is this program's. Asks
    the database once in the life of the program.
    """
    try:
        return protocols.load(_overlay_under(approval_id)[1]).at(on)
    except protocols.ProtocolError:  # an upgrade since: nothing new starts, what runs goes on
        return protocols.load().at(on)


def contacts(language: str = "en") -> tuple[Contact, ...]:
    """Whom a patient in need can call, in the clinic's region, in the words of a language."""
    return tuple(each.in_language(language) for each in library().contacts[settings.REGION])


@register()
def check_that_the_region_has_crisis_lines(**kwargs: Any) -> list[CheckMessage]:
    try:
        known = protocols.load().contacts
        if not known.get(settings.REGION):
            known = library().contacts  # the clinic's own text may add its region
    except (protocols.ProtocolError, DatabaseError):
        # Said where the library is loaded, with file and line; or there is no database yet.
        return []
    if known.get(settings.REGION):
        return []
    return [
        Error(
            f"No crisis lines are known for the region {settings.REGION!r}.",
            hint=f"Set OPENKETAMINE_REGION to one of {', '.join(known)}, or add the region to the "
            "contacts in the clinic's overlay.",
            id="policy.E001",
        )
    ]


def current_approval() -> Approval | None:
    """The signature under the policy as it stands now, or None where it is unsigned."""
    return governing().approval


def stamp(approval_id: int | None = None) -> dict[str, Any]:
    """What governs a finding or an act, to be kept with it: now, or under an earlier signature."""
    if approval_id is None:
        now = governing()
        governs, number = now.library, now.overlay.number if now.overlay else 0
    else:
        governs = library_under(approval_id, clock.today())
        number = _overlay_under(approval_id)[0]
    return {
        "library": governs.version,
        "library_digest": governs.digest,
        "policy": governs.policy_digest,
        "overlay": number,
    }


def waiting() -> OverlayVersion | None:
    """The newest version that waits for the director, if it is newer than the signed one."""
    newest = OverlayVersion.objects.order_by("-number").first()
    if newest is None or newest.declined_at or newest.approvals.exists():
        return None
    return newest


def versions() -> list[OverlayVersion]:
    """Every version of the clinic's own text, the newest first."""
    return list(OverlayVersion.objects.order_by("-number").prefetch_related("approvals"))


def state_of(version: OverlayVersion, now: Governing, newest: OverlayVersion | None) -> str:
    """Where a version stands, in a word or two of English."""
    if now.overlay and version.pk == now.overlay.pk:
        return gettext_noop("in force")
    if newest and version.pk == newest.pk:
        return gettext_noop("waits")
    if version.declined_at:
        return gettext_noop("declined")
    return gettext_noop("was in force") if version.approvals.all() else gettext_noop("superseded")


@lru_cache(maxsize=8)
def differences(
    before: protocols.Library, after: protocols.Library
) -> tuple[catalogue.EntryChange, ...]:
    """What differs between two libraries, entry by entry."""
    return tuple(catalogue.diff(before, after))


@contextmanager
def asked_once() -> Iterator[None]:
    """Within it, what governs is asked of the database once."""
    token = _known.set([])
    try:
        yield
    finally:
        _known.reset(token)


def forget() -> None:
    """A signature has just changed what governs."""
    _overlay_under.cache_clear()
    if (known := _known.get()) is not None:
        known.clear()


class GoverningMiddleware:
    """One request sees one policy, and asks for it once."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with asked_once():
            return self.get_response(request)
