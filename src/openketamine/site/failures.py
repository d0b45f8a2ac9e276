"""When the database cannot take a write: the person hears that nothing was stored, and why."""

import logging
from collections.abc import Callable

from django.db import IntegrityError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _noop

from .logs import view_of

logger = logging.getLogger(__name__)

_REASONS = (
    ("full", _noop("The disk of the server is full.")),
    ("no space", _noop("The disk of the server is full.")),
    ("locked", _noop("The database is busy with another write.")),
    (
        "has moved",
        _noop("The clinic has moved to another database; this server is to be restarted."),
    ),
    ("readonly", _noop("The database can only be read.")),
    ("read-only", _noop("The database can only be read.")),
)


class DatabaseFailureMiddleware:
    """A full disk, a lock or a lost database is a 503 in words; the transaction is undone."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        moved = isinstance(error, IntegrityError) and "has moved" in str(error)
        if not (moved or isinstance(error, OperationalError | InterfaceError)):
            return None
        logger.error("the database could not serve %s: %s", view_of(request), type(error).__name__)
        said = str(error).lower()
        reason = next((words for part, words in _REASONS if part in said), None)
        context = {"reason": _(reason) if reason else _("The database does not answer.")}
        # Without the request: its context would ask the database who this is.
        response = render(None, "503.html", context, status=503)
        response["Retry-After"] = "5"
        return response
