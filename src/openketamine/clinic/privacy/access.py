"""Which charts a request may touch: those of the sites at which somebody works, and of these a
restricted one only for its team, for whoever treats the patient now, and for broken glass.
"""

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.parse import quote

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from openketamine.clinic.accounts.models import Role
from openketamine.clinic.people.models import Person
from openketamine.clinic.sites import scope as sites
from openketamine.clinic.sites.queries import Here

from . import queries, subjects

# These must answer while the chart is shut.
EXEMPT = frozenset({"break_glass"})


class SiteMiddleware:
    """The door: finds out for which sites this request works, and holds all of it to them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with sites.everything():
            here = queries.here(request)
        request.here = here  # type: ignore[attr-defined]
        with sites.within(here.scope):
            response = self.get_response(request)
            scope = sites.current()
        if response.streaming and not scope.is_whole:
            # It is read when this has long returned, and must keep to the same sites.
            parts: Any = response.streaming_content  # type: ignore[attr-defined]
            later = _later if response.is_async else _later_sync  # type: ignore[attr-defined]
            response.streaming_content = later(scope, parts)  # type: ignore[attr-defined]
        return response

    def process_view(
        self, request: HttpRequest, view: Any, args: list[Any], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        here: Here = request.here  # type: ignore[attr-defined]
        if here.scope.is_whole or not here.is_staff or not subjects.about_a_chart(kwargs):
            return None
        # A chart opens at whichever of one's sites it is; the choice of one is for lists.
        sites.narrow(here.reach)
        with sites.everything():
            people = subjects.people_of(kwargs)
        if people and Person.objects.filter(pk__in=people).count() < len(people):
            raise Http404
        return None


async def _later(scope: sites.Scope, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    sites.narrow(scope)  # of the task that serves this request
    try:
        async for part in parts:
            yield part
    finally:
        await parts.aclose()  # type: ignore[attr-defined]


def _later_sync(scope: sites.Scope, parts: Iterator[bytes]) -> Iterator[bytes]:
    while True:
        with sites.within(scope):
            part = next(parts, None)
        if part is None:
            return
        yield part


class RestrictionMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: list[Any], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        user: Any = request.user
        match = request.resolver_match
        if (
            not getattr(user, "some_charts_are_restricted", False)
            or user.role == Role.PATIENT
            or not subjects.about_a_chart(kwargs)
            or (match and match.url_name in EXEMPT)
        ):
            return None
        shut = queries.shut_to(user, subjects.people_of(kwargs))
        return turned_away(request, shut[0]) if shut else None


def turned_away(request: HttpRequest, person_id: uuid.UUID) -> HttpResponse:
    """To the page on which the glass is broken, and back from there."""
    # A fragment's own address would be no page to come back to.
    back = request.get_full_path() if request.method == "GET" else ""
    if request.headers.get("HX-Request"):
        back = ""
    address = reverse("break_glass", args=[person_id]) + (f"?next={quote(back)}" if back else "")
    if request.headers.get("HX-Request"):
        return HttpResponse(status=403, headers={"HX-Redirect": address})
    return redirect(address)
