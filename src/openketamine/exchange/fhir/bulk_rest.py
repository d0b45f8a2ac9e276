"""The addresses of a bulk export: begin it, ask how it is, fetch its files, delete it."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from openketamine.clinic.sites import scope as sites
from openketamine.exchange.smart.grants import Grant

from . import audit, bulk
from .index import span_of
from .kinds import IN_CHART, KINDS
from .models import Export
from .outcomes import Problem, answer, outcome
from .resources.common import instant
from .rest import authenticated, fhir, kind_of, only, sees_whole
from .tables import ROWS

_FORMATS = {"application/fhir+ndjson", "application/ndjson", "ndjson"}
PART = 256 * 1024


@fhir
def export_system(request: HttpRequest) -> HttpResponse:
    """Begin an export of everything that the token may read."""
    return _begin(request, list(KINDS))


@fhir
def export_patients(request: HttpRequest) -> HttpResponse:
    """Begin an export of every chart."""
    return _begin(request, [*IN_CHART, "Provenance"])


def _service(request: HttpRequest) -> Grant:
    grant = authenticated(request)
    if grant.user is not None or not any(s.level == "system" for s in grant.scopes):
        raise Problem(403, "forbidden", "Only a service with scopes of system/ exports in bulk.")
    return grant


def _begin(request: HttpRequest, offered: list[str]) -> HttpResponse:
    only(request, "GET")
    grant = _service(request)
    if "respond-async" not in request.headers.get("Prefer", ""):
        raise Problem(400, "required", "Send Prefer: respond-async; the answer comes as files.")
    asked = {name: values[-1] for name, values in request.GET.lists()}
    if strange := asked.keys() - {"_type", "_since", "_outputFormat"}:
        name = min(strange)
        raise Problem(400, "not-supported", f"{name!r:.60} is not known to an export.", name)
    if asked.get("_outputFormat", "ndjson") not in _FORMATS:
        raise Problem(400, "not-supported", "Only ndjson is written.", "_outputFormat")
    try:
        since = span_of(asked["_since"])[0] if "_since" in asked else None
    except ValueError as error:
        raise Problem(400, "invalid", f"_since: {error}.", "_since") from error
    kinds = [name for name in offered if grant.reach(name, "r")]
    if "_type" in asked:
        wanted = [name for name in asked["_type"].split(",") if name]
        for name in wanted:
            if name == ROWS:
                continue
            kind_of(name)
            if grant.reach(name, "r") is None:
                raise Problem(403, "forbidden", f"No scope of this token reads {name}.", "_type")
        kinds = [name for name in kinds if name in wanted]
        if ROWS in wanted:
            _require_whole(grant, since is None and offered == list(KINDS))
            kinds.append(ROWS)
    if not kinds:
        raise Problem(403, "forbidden", "No scope of this token reads anything of this.")
    export = bulk.kick_off(
        grant.client,
        request=request.build_absolute_uri(),
        kinds=kinds,
        whole=sees_whole(grant),
        since=since,
    )
    # Every chart is shown by it: the note names the kinds, not each patient.
    audit.note(request, grant, interaction="operation", kind="Bundle", status=202, people=())
    where = request.build_absolute_uri(f"/fhir/$export-status/{export.pk}")
    told = outcome("information", "informational", f"Begun. Ask at {where}")
    return answer(told, 202, {"Content-Location": where})


def _require_whole(grant: Grant, whole: bool) -> None:
    """The tables behind the resources are for a service that may read everything.

    Raises:
        Problem: it may not, or asks for a part of them.
    """
    scopes = [s for s in grant.scopes if s.level == "system" and s.covers("*", "r")]
    if not sites.current().is_whole:
        raise Problem(403, "forbidden", f"{ROWS} is of all sites; use openketamine fhir-export.")
    if not scopes:
        raise Problem(403, "forbidden", f"{ROWS} needs the scope system/*.rs.", "_type")
    if not whole:
        raise Problem(
            400, "not-supported", f"{ROWS} goes with all of the clinic: $export without _since.",
            "_type",
        )  # fmt: skip


@fhir
def export_status(request: HttpRequest, key: UUID) -> HttpResponse:
    """202 while it runs, 200 with the list of files when it is done; DELETE ends it."""
    only(request, "GET", "DELETE")
    export = bulk.of(_service(request).client, key)
    if request.method == "DELETE":
        bulk.cancel(export)
        return answer(outcome("information", "informational", "Deleted."), 202)
    if export.state == Export.State.FAILED:
        raise Problem(500, "exception", f"The export failed: {export.fault}")
    if export.state != Export.State.DONE:
        return HttpResponse(
            status=202,
            headers={"X-Progress": f"{export.written} resources written", "Retry-After": "5"},
        )
    assert export.done_at is not None
    expires = export.done_at + bulk.KEPT_FOR
    manifest = {
        "transactionTime": instant(export.as_of),
        "request": export.request,
        "requiresAccessToken": True,
        "output": [_listed(request, export, *entry) for entry in export.output],
        "deleted": [_listed(request, export, *entry) for entry in export.deleted],
        "error": [],
    }
    return HttpResponse(
        json.dumps(manifest),
        content_type="application/json",
        headers={"Expires": expires.strftime("%a, %d %b %Y %H:%M:%S GMT")},
    )


def _listed(
    request: HttpRequest, export: Export, kind: str, name: str, count: int
) -> dict[str, object]:
    where = request.build_absolute_uri(f"/fhir/$export-file/{export.pk}/{name}")
    return {"type": kind, "url": where, "count": count}


def _parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(PART):
            yield part


async def _parts_in_turn(path: Path) -> AsyncIterator[bytes]:
    """The same for an ASGI server, for which Django would read an ordinary iterator whole."""
    parts = _parts(path)
    while part := await sync_to_async(next)(parts, b""):
        yield part


@fhir
def export_file(request: HttpRequest, key: UUID, name: str) -> HttpResponseBase:
    """One file, to the program that asked for it."""
    only(request, "GET")
    grant = _service(request)
    path = bulk.file_of(bulk.of(grant.client, key), name)
    audit.note(
        request, grant, interaction="operation", kind=name.partition("-")[0], status=200, people=()
    )
    response = StreamingHttpResponse(
        _parts_in_turn(path) if isinstance(request, ASGIRequest) else _parts(path),
        content_type="application/fhir+ndjson",
        headers={"Content-Length": str(path.stat().st_size)},
    )
    response["Cache-Control"] = "no-store"
    return response
