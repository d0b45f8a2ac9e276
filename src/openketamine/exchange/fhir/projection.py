"""Bringing the resources after the record: what happened since, said once more in FHIR's words.

Every request first catches up, so that whoever has written reads what was written. What one event
touches is worked out anew as a whole (a person, a course, a session) and compared by fingerprint;
only what differs is written, under a new version.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Subquery
from django.utils import translation

from openketamine.clinic.athome.models import HomeSession
from openketamine.clinic.people.models import Course, Person
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import ChainHead, Event
from openketamine.clinic.record.services import locked_row
from openketamine.clinic.sessions.models import Session
from openketamine.clinic.sites import scope as sites

from .index import Values, values_of
from .kinds import KINDS
from .models import Cursor, Link, Moment, Quantity, Resource, Text, Token
from .resources import clinic, courses, home, people, sessions
from .resources.common import Content, Draft, instant

logger = logging.getLogger(__name__)

# Events looked at in one transaction, and units worked out at once: bounds memory and the lock.
EVENTS_AT_ONCE = 2000
UNITS_AT_ONCE = 200
# SQLite takes no condition of more than a thousand parts.
KEYS_AT_ONCE = 900

_SOURCES = {"person": people, "course": courses, "session": sessions, "home": home}
# What only adds rows to a chart, and changes nothing that stands: those rows alone are written.
_ADDS = {"person.measured", "person.statements_taken"}
# What of a session changes the course's calendar too.
_MOVES_COURSE = {
    "session.opened",
    "session.discharged",
    "session.transferred",
    "session.cancelled",
    "athome.session_opened",
    "athome.closed",
    "athome.cancelled",
}


@sites.everything()
def catch_up() -> None:
    """Bring every resource to the present. One query where nothing has happened since.

    In English, whoever asks: what is written down here is read by programs.
    """
    while _behind():
        with transaction.atomic(), translation.override("en"):
            if _advance(locked_row(Cursor)) < EVENTS_AT_ONCE:
                return  # what comes after this moment is the next request's


def _behind() -> bool:
    """Whether anything has happened since. One query."""
    head = ChainHead.objects.filter(id=1).values("seq")[:1]
    cursor = Cursor.objects.filter(id=1).annotate(head=Subquery(head)).first()
    if cursor is None:
        return True
    return cursor.seq < (cursor.head or 0) or cursor.library != library().version


def _advance(cursor: Cursor) -> int:
    """Take in the next events, and the library's questionnaires where they have changed.

    Returns:
        How many events that were.
    """
    version = library().version
    if cursor.library != version:
        _write(clinic.drafts(), [clinic.UNIT], {})
        _write(clinic.questionnaires(), [clinic.LIBRARY_UNIT], {})
        cursor.library = version
    events = list(
        Event.objects.filter(seq__gt=cursor.seq)
        .order_by("seq")
        .values_list("seq", "stream", "kind", "recorded_at")[:EVENTS_AT_ONCE]
    )
    touched: dict[str, datetime] = {}
    added: dict[int, tuple[str, datetime]] = {}
    moved: dict[UUID, datetime] = {}
    for seq, stream, kind, recorded_at in events:
        if kind in _ADDS:
            added[seq] = stream, recorded_at
        elif stream.partition(":")[0] in _SOURCES:
            touched[stream] = recorded_at
        elif kind.startswith("staff."):
            touched[clinic.UNIT] = recorded_at
        if kind in _MOVES_COURSE:
            moved[UUID(stream.partition(":")[2])] = recorded_at
    rows = [
        row
        for model in (Session, HomeSession)
        for row in model._default_manager.filter(pk__in=moved).values_list("pk", "course_id")
        if moved
    ]
    for session_id, course_id in rows:
        unit = courses.unit_of(course_id)
        touched[unit] = max(moved[session_id], touched.get(unit, moved[session_id]))
    project(touched)
    for chunk in _chunks((n for n, (unit, _) in added.items() if unit not in touched), 100):
        _write(people.added(chunk), None, dict(added[seq] for seq in chunk))
    cursor.seq = events[-1][0] if events else cursor.seq
    cursor.save()
    return len(events)


def project(touched: dict[str, datetime]) -> None:
    """Work out these units anew. `touched` says of each when it last changed."""
    if clinic.UNIT in touched:
        _write(clinic.drafts(), [clinic.UNIT], touched)
    for name, source in _SOURCES.items():
        units = [unit for unit in touched if unit.startswith(f"{name}:")]
        for chunk in _chunks(units, UNITS_AT_ONCE):
            _write_units(source, chunk, touched)


def _write_units(source: Any, units: list[str], touched: dict[str, datetime]) -> None:
    """Write some units. One that cannot be said in FHIR's words keeps none of the others back."""
    try:
        drafts = list(source.drafts([UUID(unit.partition(":")[2]) for unit in units]))
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, StopIteration):
        if len(units) == 1:
            logger.exception("%s cannot be said as FHIR; it stays as it was", units[0])
            return
        for unit in units:
            _write_units(source, [unit], touched)
        return
    _write(drafts, units, touched)


def rebuild() -> int:
    """Work out every resource anew from the clinic's tables; returns how many units that were.

    Versions go on: what has not changed keeps its own.
    """
    catch_up()
    count = 0
    for name, model in (
        ("person", Person),
        ("course", Course),
        ("session", Session),
        ("home", HomeSession),
    ):
        for chunk in _chunks(
            (f"{name}:{key}" for key in model.objects.values_list("pk", flat=True).iterator()),
            UNITS_AT_ONCE,
        ):
            with transaction.atomic():
                now = clock.now()
                project(dict.fromkeys(chunk, now))
            count += len(chunk)
    with transaction.atomic():
        _write(clinic.drafts(), [clinic.UNIT], {})
        _write(clinic.questionnaires(), [clinic.LIBRARY_UNIT], {})
    return count


def _chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    chunk: list[Any] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _write(
    drafts: Iterable[Draft], units: Sequence[str] | None, touched: dict[str, datetime]
) -> None:
    """Write what differs from what stands. A number of queries that does not grow with rows.

    Args:
        units: of which the drafts are the whole: what else stands of them is gone. None where the
            drafts only add.
    """
    rows = Resource.objects.defer("content")
    if units is None:
        drafts = list(drafts)
        keys: dict[str, list[str]] = {}
        for draft in drafts:
            keys.setdefault(draft.kind, []).append(draft.key)
        found = [row for kind in keys for row in rows.filter(kind=kind, key__in=keys[kind])]
    else:
        found = list(rows.filter(unit__in=units))
    standing = {(row.kind, row.key): row for row in found}
    fresh: list[tuple[Resource, Values]] = []
    altered: list[tuple[Resource, Values]] = []
    now = clock.now()
    for draft in drafts:
        fingerprint = fingerprint_of(draft.content)
        row = standing.pop((draft.kind, draft.key), None)
        if row and row.fingerprint == fingerprint and row.deleted_at is None:
            continue
        values = values_of(KINDS[draft.kind], draft.content)
        known = row is not None
        if row is None:
            row = Resource(kind=draft.kind, key=draft.key, version=0)
        row.unit, row.person_id, row.made_by = draft.unit, draft.person_id, draft.made_by
        row.version += 1
        row.updated_at = touched.get(draft.unit, now)
        row.fingerprint, row.deleted_at = fingerprint, None
        row.starts_at, row.ends_at = values.starts_at, values.ends_at
        row.content = rendered(draft, row)
        (altered if known else fresh).append((row, values))
    gone = [row for row in standing.values() if row.deleted_at is None]
    for row in gone:
        row.deleted_at = row.updated_at = touched.get(row.unit, now)
        row.version += 1
    if fresh:
        Resource.objects.bulk_create([row for row, _ in fresh], batch_size=500)
    if altered:
        Resource.objects.bulk_update(
            [row for row, _ in altered],
            ["unit", "person_id", "made_by", "version", "updated_at", "fingerprint", "deleted_at",
             "starts_at", "ends_at", "content"],
            batch_size=100,
        )  # fmt: skip
    if gone:
        Resource.objects.bulk_update(gone, ["deleted_at", "updated_at", "version"], batch_size=200)
    _index(fresh, altered, gone)


def _index(
    fresh: list[tuple[Resource, Values]],
    altered: list[tuple[Resource, Values]],
    gone: list[Resource],
) -> None:
    stale = [row.pk for row, _ in altered] + [row.pk for row in gone]
    for chunk in _chunks(stale, KEYS_AT_ONCE):
        for model in (Token, Text, Moment, Link, Quantity):
            model.objects.filter(resource__in=chunk).delete()
    written = fresh + altered
    for model, rows in (
        (
            Token,
            (
                Token(resource=row, param=param, system=system, code=code)
                for row, values in written
                for param, system, code in sorted(values.tokens)
            ),
        ),
        (
            Text,
            (
                Text(resource=row, param=param, value=value)
                for row, values in written
                for param, value in sorted(values.texts)
            ),
        ),
        (
            Moment,
            (
                Moment(resource=row, param=param, low=low, high=high)
                for row, values in written
                for param, low, high in sorted(values.moments)
            ),
        ),
        (
            Link,
            (
                Link(resource=row, param=param, target=target)
                for row, values in written
                for param, target in sorted(values.links)
            ),
        ),
        (
            Quantity,
            (
                Quantity(resource=row, param=param, value=value, unit=unit)
                for row, values in written
                for param, value, unit in sorted(values.quantities)
            ),
        ),
    ):
        model.objects.bulk_create(rows, batch_size=1000)  # type: ignore[attr-defined]


def fingerprint_of(content: Content) -> str:
    """Whether two contents are the same, in 32 characters."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def rendered(draft: Draft, row: Resource) -> str:
    """The resource's text as it is sent, with its version."""
    content = dict(draft.content)
    meta = {
        "versionId": str(row.version),
        "lastUpdated": instant(row.updated_at),
        **content.pop("meta", {}),
    }
    head = {"resourceType": draft.kind, "id": draft.key, "meta": meta}
    return json.dumps({**head, **content}, ensure_ascii=False, separators=(",", ":"))
