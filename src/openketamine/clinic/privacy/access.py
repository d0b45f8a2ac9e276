"""A restricted chart opens to its team, to whoever treats the patient now, and to broken glass."""

import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from openketamine.clinic.accounts.models import Role

from . import queries, subjects

# These must answer while the chart is shut.
EXEMPT = frozenset({"break_glass"})


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
