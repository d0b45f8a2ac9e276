"""FHIR over HTTP: read, search, create, update, operations. Every error is an OperationOutcome."""

import base64
import json
import logging
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from uuid import UUID

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DatabaseError, InterfaceError, transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.http.request import RawPostDataException, UnreadablePostError
from django.utils import translation
from django.views.decorators.csrf import csrf_exempt

from openketamine.clinic.accounts.access import public
from openketamine.clinic.errors import Refused
from openketamine.clinic.people.models import Person
from openketamine.clinic.privacy.queries import shut_charts, shut_to
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.exchange.documents.render import PdfUnavailable, pdf
from openketamine.exchange.documents.views import (
    SESSION_NOTE,
    session_for_documents,
    session_note_context,
)
from openketamine.exchange.smart.grants import PREFIX, Grant, grant_of
from openketamine.exchange.smart.scopes import Reach

from . import audit, capability, live, search, writes
from .bundle import MAX_BYTES as MAX_BUNDLE_BYTES
from .kinds import IN_CHART, KINDS, Kind
from .models import Resource
from .outcomes import Problem, answer, outcome, refusal
from .projection import catch_up
from .referrals import import_referral
from .resources.common import instant
from .views import observation as from_device

logger = logging.getLogger(__name__)

P = ParamSpec("P")
Row = Resource | live.Live
_STARTED = datetime.now(UTC)


def fhir(
    view: Callable[Concatenate[HttpRequest, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """An address of the FHIR server: no session of a browser, and every error in FHIR's words.

    It answers in English, whatever the caller's device asks for: programs read it.
    """

    @public  # the token is the key, and `require` asks for it
    @csrf_exempt
    @wraps(view)
    def answering(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        try:
            with translation.override("en"):
                return view(request, *args, **kwargs)
        except Problem as problem:
            return refusal(problem)
        except Refused as refused:
            return refusal(Problem(422, "business-rule", refused.message, refused.field or ""))
        except PermissionDenied:
            return refusal(Problem(403, "forbidden", "Not allowed."))
        except RequestDataTooBig:
            return refusal(Problem(413, "too-long", "The request is too large."))
        except (SuspiciousOperation, UnreadablePostError, RawPostDataException):
            return refusal(Problem(400, "structure", "The request could not be read."))
        except (DatabaseError, InterfaceError) as error:
            logger.error("%s %s: %s", request.method, request.path, type(error).__name__)
            return refusal(
                Problem(503, "transient", "It cannot be done now. Try again.", Retry_After="5")
            )
        except Exception:
            logger.exception("%s %s failed", request.method, request.path)
            return refusal(
                Problem(500, "exception", "The server made a mistake; it is in its log.")
            )

    return answering


def base_of(request: HttpRequest) -> str:
    """The server's own address, as this request sees it."""
    return request.build_absolute_uri("/fhir")


def bearer_of(request: HttpRequest) -> str:
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def authenticated(request: HttpRequest) -> Grant:
    """What this request's token allows.

    Raises:
        Problem: there is none that is good.
    """
    grant = grant_of(bearer_of(request))
    if grant is None:
        raise Problem(
            401, "login", "Show an access token: Authorization: Bearer …, from the address that "
            "/fhir/.well-known/smart-configuration names.",
            WWW_Authenticate='Bearer realm="OpenKetamine FHIR"',
        )  # fmt: skip
    return grant


def require(grant: Grant, kind: str, letter: str) -> Reach:
    """How far a token reaches.

    Raises:
        Problem: not at all.
    """
    reach = grant.reach(kind, letter)
    if reach is None:
        raise Problem(
            403, "forbidden", f"No scope of this token allows it: {kind}.{letter} is needed.",
            WWW_Authenticate='Bearer error="insufficient_scope"',
        )  # fmt: skip
    return reach


def kind_of(name: str) -> Kind:
    kind = KINDS.get(name)
    if kind is None:
        raise Problem(
            404, "not-supported", f"There is no {name[:60]!r} here. /fhir/metadata lists what is."
        )
    return kind


def only(request: HttpRequest, *methods: str) -> None:
    if request.method not in methods:
        allowed = ", ".join(methods)
        raise Problem(405, "not-supported", f"Only {allowed} is answered here.", Allow=allowed)


@fhir
def metadata(request: HttpRequest) -> HttpResponse:
    """The CapabilityStatement; anybody may ask."""
    only(request, "GET", "HEAD")
    base = base_of(request)
    smart = {
        name: request.build_absolute_uri(f"/smart/{name}")
        for name in ("authorize", "token", "revoke")
    }
    at = instant(_STARTED)
    assert at is not None
    return answer(capability.statement(base, at=at, smart=smart))


@fhir
def type_level(request: HttpRequest, kind: str) -> HttpResponse:
    """Search by GET, create by POST."""
    if request.method == "POST":
        if kind == "Observation" and not bearer_of(request).startswith(PREFIX):
            return from_device(request)
        return _create(request, kind_of(kind))
    only(request, "GET", "HEAD")
    return _search(request, kind_of(kind), list(_pairs(request.GET)))


@fhir
def search_by_post(request: HttpRequest, kind: str) -> HttpResponse:
    """The same search with its words in the body, where no log of addresses sees them."""
    only(request, "POST")
    if request.content_type != "application/x-www-form-urlencoded":
        raise Problem(415, "not-supported", "Send application/x-www-form-urlencoded.")
    return _search(request, kind_of(kind), [*_pairs(request.GET), *_pairs(request.POST)])


def _pairs(query: Any) -> list[tuple[str, str]]:
    return [(name, value) for name, values in query.lists() for value in values]


def _search(request: HttpRequest, kind: Kind, pairs: list[tuple[str, str]]) -> HttpResponse:
    grant = authenticated(request)
    reach = require(grant, kind.name, "s")
    address = f"{base_of(request)}/{kind.name}"
    if kind.live:
        shut = list(shut_of(grant) or ())
        found_live = live.run(kind, pairs, reach, whole=sees_whole(grant), shut=shut)
        text = _bundle(request, address, pairs, found_live.rows, [], found_live)
        people = {row.person_id for row in found_live.rows if row.person_id}
        _note(request, grant, "search-type", kind.name, 200, people)
        return answer(text)
    lenient = "handling=lenient" in request.headers.get("Prefer", "")
    query = search.read(kind, pairs, reach, lenient=lenient)
    query.shut = shut_of(grant)
    if kind.name == "Patient" and reach.person_id:
        query.person_id = reach.person_id
    for include in [(name, "s") for name, _ in query.revincludes]:
        require(grant, *include)
    catch_up()
    found = search.run(query)
    brought = {row.person_id for row in found.included if row.person_id}
    closed = set(shut_to(grant.user, brought)) if grant.user and brought else set()
    included: list[Row] = [
        row for row in found.included if row.person_id not in closed and _may_see(grant, row)
    ]
    if any(name == "Provenance" for name, _ in query.revincludes):
        included += live.provenances_of(found.rows)
    text = _bundle(request, address, pairs, found.rows, included, found, query.elements)
    people = {row.person_id for row in (*found.rows, *included) if row.person_id}
    _note(request, grant, "search-type", kind.name, 200, people)
    return answer(text)


def shut_of(grant: Grant) -> QuerySet[Any, Any] | None:
    """Whose charts are closed to whoever the program acts for. None for a program of its own."""
    if grant.user is None or not grant.user.is_clinic_staff:
        return None
    return shut_charts(grant.user).values_list("person", flat=True)


def require_open(grant: Grant, person_id: UUID | None) -> None:
    """Refuse a chart that only its own team opens.

    Raises:
        Problem: it is closed to whoever the program acts for.
    """
    staff = grant.user is not None and grant.user.is_clinic_staff
    if staff and grant.user and person_id and shut_to(grant.user, [person_id]):
        raise Problem(
            403, "forbidden", "This chart is open to its own team. Open it in OpenKetamine first, "
            "with the reason.",
        )  # fmt: skip


def sees_whole(grant: Grant) -> bool:
    """Whether a token reads each event's own text: a service that may read everything."""
    return any(s.level == "system" and s.covers("Provenance", "r") for s in grant.scopes)


def _may_see(grant: Grant, row: Row) -> bool:
    """Whether what a search brings along is within reach of the token by itself."""
    reach = grant.reach(row.kind, "r")
    return reach is not None and (
        reach.everyone or row.person_id is None or row.person_id == reach.person_id
    )


def _bundle(
    request: HttpRequest,
    address: str,
    pairs: Sequence[tuple[str, str]],
    rows: Sequence[Row],
    included: Sequence[Row],
    found: search.Found | live.FoundLive,
    elements: frozenset[str] = frozenset(),
) -> str:
    """A searchset as text: the resources are ready, and only their frame is written."""
    base = base_of(request)
    head: dict[str, Any] = {
        "resourceType": "Bundle",
        "type": "searchset",
        "timestamp": instant(clock.now()),
    }
    if found.total is not None:
        head["total"] = found.total
    head["link"] = [
        {"relation": "self", "url": search.link(address, pairs, dict(pairs).get("_after"))}
    ]
    if found.after:
        head["link"].append({"relation": "next", "url": search.link(address, pairs, found.after)})
    entries = [_entry(base, row, "match", elements) for row in rows]
    entries += [_entry(base, row, "include", frozenset()) for row in included]
    text = json.dumps(head, ensure_ascii=False)
    return f'{text[:-1]}, "entry": [{",".join(entries)}]}}' if entries else text


def _entry(base: str, row: Row, mode: str, elements: frozenset[str]) -> str:
    content = _only_elements(row.content, elements) if elements else row.content
    url = json.dumps(f"{base}/{row.kind}/{row.key}")
    return f'{{"fullUrl":{url},"resource":{content},"search":{{"mode":"{mode}"}}}}'


# What a resource may not lose: without them it is no valid one.
_KEPT = frozenset(
    {"resourceType", "id", "meta", "status", "code", "subject", "patient", "intent", "class",
     "clinicalStatus", "category", "content", "actuality", "scope", "policyRule",
     "medicationCodeableConcept", "text"}
)  # fmt: skip


def _only_elements(text: str, elements: frozenset[str]) -> str:
    content = json.loads(text)
    kept = {name: value for name, value in content.items() if name in _KEPT | elements}
    tag = {
        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
        "code": "SUBSETTED",
    }
    kept["meta"] = {**kept["meta"], "tag": [tag]}
    return json.dumps(kept, ensure_ascii=False)


def _note(
    request: HttpRequest,
    grant: Grant,
    interaction: str,
    kind: str,
    status: int,
    people: set[UUID],
) -> None:
    audit.note(request, grant, interaction=interaction, kind=kind, status=status, people=people)


@fhir
def instance(request: HttpRequest, kind: str, key: str) -> HttpResponse:
    """Read by GET, update by PUT."""
    found = kind_of(kind)
    if request.method == "PUT" and found.update:
        return _update(request, found, key)
    if request.method in {"PUT", "PATCH", "DELETE"}:
        allowed = "GET, PUT" if found.update else "GET"
        raise Problem(
            405, "not-supported",
            f"What happened is not changed or deleted; a {kind} answers {allowed}.", Allow=allowed,
        )  # fmt: skip
    only(request, "GET", "HEAD")
    grant = authenticated(request)
    reach = require(grant, kind, "r")
    row = _row(found, key, reach, grant)
    _note(request, grant, "read", kind, 200, {row.person_id} if row.person_id else set())
    return _unchanged(request, row) or answer(row.content, headers=_version(row))


def _row(kind: Kind, key: str, reach: Reach, grant: Grant) -> Row:
    """One resource within reach.

    Raises:
        Problem: 404 where there is none, or none for this token; 410 where there was one.
    """
    missing = Problem(404, "not-found", f"There is no {kind.name}/{key[:64]}.")
    if "\x00" in key:
        raise missing
    row: Row | None
    if kind.live:
        shut = list(shut_of(grant) or ())
        row = live.one(kind, key, reach, whole=sees_whole(grant), shut=shut)
    else:
        catch_up()
        row = Resource.objects.filter(kind=kind.name, key=key).first()
    if row is None:
        raise missing
    if kind.in_chart and not reach.everyone and row.person_id != reach.person_id:
        raise missing  # whether there is one is nobody's business
    if kind.in_chart:
        require_open(grant, row.person_id)
    if isinstance(row, Resource) and row.deleted_at:
        raise Problem(410, "deleted", f"{kind.name}/{key} is no longer so.")
    return row


def _version(row: Row) -> dict[str, str]:
    return {
        "ETag": f'W/"{row.version}"',
        "Last-Modified": format_datetime(row.updated_at.astimezone(UTC), usegmt=True),
    }


def _unchanged(request: HttpRequest, row: Row) -> HttpResponse | None:
    """304 where the asker holds this version already."""
    asked = request.headers.get("If-None-Match")
    if asked is not None:
        held = {tag.strip().removeprefix("W/").strip('"') for tag in asked.split(",")}
        same = "*" in held or str(row.version) in held
    elif since := request.headers.get("If-Modified-Since"):
        try:
            moment = parsedate_to_datetime(since)
        except (TypeError, ValueError):
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        same = row.updated_at.replace(microsecond=0) <= moment
    else:
        return None
    return HttpResponse(status=304, headers=_version(row)) if same else None


def _body(request: HttpRequest, most: int = writes.MAX_BYTES) -> bytes:
    """The body, read no further than it may be long."""
    if request.content_type not in {"application/fhir+json", "application/json"}:
        raise Problem(415, "not-supported", "Send application/fhir+json.")
    raw = request.read(most + 1)
    if len(raw) > most:
        raise Problem(413, "too-long", f"At most {most // 1024} KiB.")
    return raw


def _create(request: HttpRequest, kind: Kind) -> HttpResponse:
    grant = authenticated(request)
    if not kind.create:
        raise Problem(
            405, "not-supported", f"Nothing done by this interface makes a {kind.name}: it follows "
            "from what is done in the clinic. /fhir/metadata says what can be created.",
            Allow="GET",
        )  # fmt: skip
    reach = require(grant, kind.name, "c")
    document = writes.parse(_body(request))
    require_open(grant, writes.person_in(document))
    # One transaction for the act, its resource and the note of it: one wait for the disk. The
    # record is locked before the resources, here and wherever both are written.
    with transaction.atomic():
        record.lock()
        condition = request.headers.get("If-None-Exist")
        standing = _standing(grant, kind, condition) if condition else None
        if standing:
            _note(request, grant, "create", kind.name, 200, _about(standing))
            return _written(request, standing, 200)
        made_kind, key = writes.create(grant, reach, kind.name, document)
        catch_up()
        row = Resource.objects.get(kind=made_kind, key=key)
        _note(request, grant, "create", kind.name, 201, _about(row))
    return _written(request, row, 201)


def _about(row: Resource) -> set[UUID]:
    return {row.person_id} if row.person_id else set()


def _standing(grant: Grant, kind: Kind, condition: str) -> Resource | None:
    """What an If-None-Exist finds already.

    Raises:
        Problem: several; 412.
    """
    reach = require(grant, kind.name, "s")
    query = search.read(kind, _pairs(QueryDict(condition.removeprefix("?"))), reach)
    query.count, query.shut = 2, shut_of(grant)
    catch_up()
    found = search.run(query).rows
    if len(found) > 1:
        raise Problem(
            412, "multiple-matches", "If-None-Exist finds more than one; name it more closely."
        )
    return found[0] if found else None


def _written(request: HttpRequest, row: Resource, status: int) -> HttpResponse:
    location = f"{base_of(request)}/{row.kind}/{row.key}/_history/{row.version}"
    headers = {**_version(row), "Location": location}
    preferred = request.headers.get("Prefer", "")
    if "return=minimal" in preferred:
        return HttpResponse(status=status, headers=headers)
    if "return=OperationOutcome" in preferred:
        return answer(outcome("information", "informational", "Done."), status, headers)
    return answer(row.content, status, headers)


def _update(request: HttpRequest, kind: Kind, key: str) -> HttpResponse:
    grant = authenticated(request)
    reach = require(grant, kind.name, "u")
    document = writes.parse(_body(request))
    with transaction.atomic():
        record.lock()
        row = _row(kind, key, reach, grant)
        person = Person.objects.select_for_update().get(pk=row.person_id)
        asked = request.headers.get("If-Match")
        if asked is None:
            raise Problem(
                428, "required", 'Say which version you have seen: If-Match: W/"…", from its ETag.'
            )
        if asked.strip().removeprefix("W/").strip('"') != str(row.version):
            raise Problem(
                412, "conflict", f"It is at version {row.version} now; read it again first.",
                **_version_header(row),
            )  # fmt: skip
        writes.update_patient(grant, person, document)
        catch_up()
        updated = Resource.objects.get(kind=kind.name, key=key)
        _note(request, grant, "update", kind.name, 200, _about(updated))
    return _written(request, updated, 200)


def _version_header(row: Row) -> dict[str, str]:
    return {"ETag": f'W/"{row.version}"'}


@fhir
def everything(request: HttpRequest, key: str) -> HttpResponse:
    """One patient's whole chart, page by page, with who and what it names."""
    only(request, "GET", "HEAD")
    grant = authenticated(request)
    reach = require(grant, "Patient", "r")
    patient = _row(KINDS["Patient"], key, reach, grant)
    pairs = list(_pairs(request.GET))
    asked = dict(pairs)
    kinds = [name for name in IN_CHART if grant.reach(name, "r")]
    if "_type" in asked:
        wanted = asked["_type"].split(",")
        for name in wanted:
            kind_of(name)
        kinds = [name for name in kinds if name in wanted]
    found = search.everything(patient.person_id, kinds, asked)
    shared = [row for row in found.included if grant.reach(row.kind, "r")]
    address = f"{base_of(request)}/Patient/{patient.key}/$everything"
    text = _bundle(request, address, pairs, found.rows, shared, found)
    _note(request, grant, "operation", "Patient", 200, {UUID(str(patient.person_id))})
    return answer(text)


@fhir
def take_referral(request: HttpRequest) -> HttpResponse:
    """One patient's bundle as a referral: taken whole or not at all."""
    only(request, "POST")
    grant = authenticated(request)
    reach = require(grant, "Patient", "c")
    if not reach.everyone:
        raise Problem(403, "forbidden", "A token for one patient refers nobody.")
    if grant.user is not None and not grant.user.is_clinic_staff:
        raise Problem(403, "forbidden", "The staff does this.")
    raw = _body(request, MAX_BUNDLE_BYTES)
    summary = import_referral(grant.actor, raw, name=f"FHIR from {grant.client.name}")
    if summary.person is None:
        raise Problem(422, "invalid", f"{summary.place}: {summary.reason}", summary.place)
    catch_up()
    row = Resource.objects.get(kind="Patient", key=str(summary.person.pk))
    _note(request, grant, "operation", "Patient", 200, _about(row))
    return _written(request, row, 201 if summary.status == "created" else 200)


@fhir
def binary(request: HttpRequest, key: str) -> HttpResponse:
    """The PDF that a DocumentReference names: as it is, or as a Binary where FHIR is asked for."""
    only(request, "GET", "HEAD")
    grant = authenticated(request)
    reach = require(grant, "Binary", "r")
    found = re.fullmatch(r"session-note-([0-9a-f-]{36})", key)
    session = None
    if found:
        try:
            session = session_for_documents(UUID(found[1]))
        except (Http404, ValueError):
            session = None
    if session is None or reach.person_id not in (None, session.person_id):
        raise Problem(404, "not-found", f"There is no Binary/{key[:64]}.")
    require_open(grant, session.person_id)
    shown = {"printed_at": clock.now(), "printed_by": grant.actor}
    try:
        body = pdf(SESSION_NOTE, {**session_note_context(session), **shown})
    except PdfUnavailable as reason:
        raise Problem(503, "not-supported", str(reason)) from reason
    _note(request, grant, "read", "Binary", 200, {session.person_id})
    if "fhir+json" in request.headers.get("Accept", ""):
        data = base64.b64encode(body).decode()
        content = {"resourceType": "Binary", "id": key, "contentType": "application/pdf"}
        return answer({**content, "data": data})
    return HttpResponse(body, content_type="application/pdf", headers={"Cache-Control": "no-store"})


@fhir
def nowhere(request: HttpRequest, rest: str = "") -> HttpResponse:
    """Any other address under /fhir."""
    raise Problem(404, "not-found", "There is nothing here. /fhir/metadata lists what is.")
