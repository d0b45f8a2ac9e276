"""Structured logs without patients' data: one line of JSON for each thing that happened.

An address may hold a patient's link, an exception's text a patient's name, a database's detail a
whole row. So a line names the view and not the address, and an exception by its kind and the places
it passed, not by its text.
"""

import json
import logging
import re
import time
import traceback
import uuid
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from http.client import responses
from typing import Any

from django.http import HttpRequest, HttpResponse

request_id: ContextVar[str] = ContextVar("request_id", default="")
access = logging.getLogger("openketamine.access")
_ID = re.compile(r"[A-Za-z0-9-]{8,64}$")
# What may stand beside the message: numbers and names of our own.
_FIELDS = ("view", "method", "status", "duration_ms", "user", "role")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: when, how grave, who says it, what, in which request."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._said(record),
        }
        if identity := request_id.get():
            line["request"] = identity
        line |= {name: getattr(record, name) for name in _FIELDS if hasattr(record, name)}
        if (answered := _answered(record)) is not None:
            request, status = answered
            line |= {"view": view_of(request), "method": request.method, "status": status}
        if record.exc_info and record.exc_info[0]:
            line["exception"] = record.exc_info[0].__name__
            line["where"] = [
                f"{frame.filename.rsplit('/site-packages/', 1)[-1]}:{frame.lineno} {frame.name}"
                for frame in traceback.extract_tb(record.exc_info[2])[-12:]
            ]
        return json.dumps(line, ensure_ascii=False, default=lambda value: type(value).__name__)

    def _said(self, record: logging.LogRecord) -> str:
        """The program's own message; of a library's only the words that it was built of.

        Django's `Not Found: %s` is filled with an address, a driver's error with a row.
        """
        if not isinstance(record.msg, str):
            return type(record.msg).__name__
        if record.name.split(".")[0] == "openketamine":
            shown = _each(record.args, lambda v: _kind(v) if isinstance(v, BaseException) else v)
            return record.msg % shown if shown else record.msg
        if (answered := _answered(record)) is not None:
            # "Not Found: %s", "Forbidden (%s): %s", "%s: %s": what it was, and no address.
            words = record.msg.partition("%")[0].strip(" :(")
            return words or responses.get(answered[1], "answered")
        shown = _each(record.args, lambda v: v if isinstance(v, int | float) else _Hidden())
        try:
            return record.msg % shown if shown else record.msg
        except (TypeError, ValueError, KeyError):
            return record.msg


class _Hidden:
    """Stands for what a library would have put into its message."""

    def __str__(self) -> str:
        return "…"

    __repr__ = __str__


def _kind(value: object) -> str:
    return type(value).__name__


def _each(args: Any, shown: Callable[[Any], Any]) -> Any:
    """The arguments of a message, each as it is shown."""
    if isinstance(args, Mapping):
        return {name: shown(value) for name, value in args.items()}
    return tuple(shown(value) for value in args or ())


def _answered(record: logging.LogRecord) -> tuple[HttpRequest, int] | None:
    """The request of which Django logs that it was refused or failed, and the status."""
    request, status = getattr(record, "request", None), getattr(record, "status_code", None)
    if isinstance(request, HttpRequest) and isinstance(status, int):
        return request, status
    return None


class PlainFormatter(JsonFormatter):
    """The same for a person at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        line = json.loads(super().format(record))
        head = f"{line.pop('time')} {line.pop('level').upper()} {line.pop('logger')}: "
        return head + " ".join([line.pop("message"), *(f"{k}={v}" for k, v in line.items())])


class RequestLogMiddleware:
    """Gives each request a number and, when it has been answered, one line."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        offered = request.headers.get("X-Request-ID", "")
        identity = offered if _ID.match(offered) else uuid.uuid4().hex
        token = request_id.set(identity)
        started = time.perf_counter()
        try:
            response = self.get_response(request)
            response["X-Request-ID"] = identity
            seconds = time.perf_counter() - started
            self._note(request, response, seconds)
            return response
        finally:
            request_id.reset(token)

    def _note(self, request: HttpRequest, response: HttpResponse, seconds: float) -> None:
        from . import metrics

        view = view_of(request)
        metrics.REQUESTS.labels(view, request.method or "", str(response.status_code)).inc()
        metrics.DURATION.labels(view).observe(seconds)
        user: Any = getattr(request, "user", None)
        # Where nobody has asked yet who this is, asking now would cost a query.
        known = getattr(request, "_cached_user", None)
        who = {"user": known.pk, "role": known.role} if user and known and known.pk else {}
        access.info(
            "answered",
            extra={
                "view": view,
                "method": request.method,
                "status": response.status_code,
                "duration_ms": round(seconds * 1000, 1),
                **who,
            },
        )


def view_of(request: HttpRequest) -> str:
    """What was asked for, without whom it is about: the view's name."""
    match = request.resolver_match
    return (match.view_name or match._func_path) if match else "none"
