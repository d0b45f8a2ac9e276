"""A clinic's whole export, and its way back into an empty clinic.

FHIR has words for what happened to a patient, not for all that a clinic keeps: which chair, what is
still owed, who has yet to sign. So a whole export tells the same thing twice. The resources are for
everybody. Beside them stands what they are worked out from: each event of the record inside its
Provenance, and each row of the clinic's tables as a Basic.

The way back writes events and rows, works all resources out anew, and compares them with those in
the export. Any difference, and nothing at all is taken: so a resource, a row and an event that do
not fit together cannot come in.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.core.management.color import no_style
from django.db import DataError, IntegrityError, connection, models, transaction

from openketamine import __version__
from openketamine.clinic.accounts.models import User
from openketamine.clinic.errors import Refused
from openketamine.clinic.people.models import Course, Person
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import GENESIS, ChainHead, Event, Source
from openketamine.clinic.sites.models import FIRST, Site

from .bulk import Writer
from .kinds import IN_CHART, KINDS
from .live import IMPORTED, LEFT_OUT, event_of
from .models import Export, Resource
from .projection import catch_up, rebuild
from .resources.common import Content
from .tables import AT_ONCE, CONTENTS, ROWS, carried, columns_of

# What is compared on the way back. Questionnaires come with the library, accesses stay behind.
COMPARED = (*IN_CHART, "Practitioner", "Organization")


class Broken(Refused):
    """An export that is not taken, with the place and the reason. Nothing was written."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place, self.reason = place, reason


@dataclass(frozen=True)
class Taken:
    """What came in."""

    people: int
    courses: int
    events: int
    left_out: int
    rows: int
    resources: int


class _HeldWriter(Writer):
    """Writes while nobody else does, and tells nobody that it lives."""

    def _live_sign(self) -> None:
        pass


def export_whole(folder: Path) -> dict[str, int]:
    """Write everything into an empty folder, as a bulk export has it. Others wait to write.

    Returns:
        How many lines of each kind.

    Raises:
        Refused: the folder is not empty.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise Refused(f"{folder} is not empty. Name a new folder.")
    rebuild()
    with transaction.atomic():
        head = record.lock()
        catch_up()
        as_of = clock.not_before(head.recorded_at)
        export = Export(kinds=[*KINDS, ROWS], whole=True, as_of=as_of)
        writer = _HeldWriter(export, folder)
        for kind in export.kinds:
            writer.write(kind)
    lines: Counter[str] = Counter()
    for kind, _, count in writer.output:
        lines[str(kind)] += int(count)
    return dict(lines)


def import_whole(actor: User | str, folder: Path) -> Taken:
    """Take a whole export into an empty clinic; whole, or not at all.

    Every event keeps its number, text and times; the chain is made anew, for some events do not
    travel: each of those leaves its place to one that says so. The last event of the record then
    says that all before it was imported, and from what.

    Raises:
        Broken: it is damaged, incomplete, altered or of another release, with the place.
        Refused: the clinic is not empty.
    """
    told = _Export(folder)
    with transaction.atomic():
        head = record.lock()
        # The one row that every installation begins with: the export brings its own.
        opened = Site._base_manager.filter(pk=FIRST)
        if not head.seq and Site._base_manager.count() == opened.count():
            opened.delete()
        if head.seq or any(model._base_manager.exists() for model in carried()):
            raise Refused(
                "This clinic is not empty. A whole export comes into a new one only: start with an "
                "empty OPENKETAMINE_HOME or database."
            )
        try:
            with transaction.atomic():
                _store_rows(told.tables)
                left_out = _store_events(told.events)
                # The databases ask at the end of a transaction whether what is referred to exists.
                connection.check_constraints()
        except (IntegrityError, DataError) as error:
            raise Broken(str(folder), f"its parts do not fit together: {error}") from error
        rebuild()
        compared = _compare(told)
        _reset_sequences()
        record.append(
            actor,
            "clinic",
            IMPORTED,
            {
                "events": len(told.events),
                "left_out": left_out,
                "last": told.contents["last"],
                "hash": told.contents["hash"],
            },
            source=Source.IMPORT,
        )
        verified = record.verify()
        if not verified.intact:
            raise Broken(str(folder), f"the record would not be intact: {verified.fault}")
    return Taken(
        Person.objects.count(),
        Course.objects.count(),
        len(told.events),
        left_out,
        sum(told.contents["rows"].values()),
        compared,
    )


class _Export:
    """The files of an export, read and checked as far as they can be by themselves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.resources: dict[tuple[str, str], tuple[str, Content]] = {}
        self.tables: dict[str, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
        self.events: list[tuple[str, Event]] = []
        self.contents: dict[str, Any] = {}
        files = sorted(folder.glob("*.ndjson")) if folder.is_dir() else []
        if not files:
            raise Broken(str(folder), "there is no export here (files such as Patient-1.ndjson).")
        for path in files:
            self._read(path)
        self._check()

    def _read(self, path: Path) -> None:
        kind = path.name.partition("-")[0]
        try:
            with path.open("rb") as file:
                for number, raw in enumerate(file, start=1):
                    place = f"{path.name}, line {number}"
                    self._take(kind, place, _line(kind, place, raw))
        except OSError as error:
            raise Broken(path.name, error.strerror or "it cannot be read") from error

    def _take(self, kind: str, place: str, resource: Content) -> None:
        key = (kind, resource["id"])
        if key in self.resources:
            raise Broken(place, f"{kind}/{resource['id']} comes twice.")
        self.resources[key] = place, resource
        try:
            if kind == "Provenance":
                event = event_of(resource)
                if event.digest() != event.hash:
                    raise Broken(place, f"event {event.seq} ({event.kind}) was altered.")
                self.events.append((place, event))
            elif kind == ROWS:
                (told,) = resource["extension"]
                content = json.loads(told["valueString"])
                if told["url"] == CONTENTS:
                    self.contents = content
                else:
                    table = resource["code"]["coding"][0]["code"]
                    self.tables[table].append((place, content))
        except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
            raise Broken(
                place, f"it is not told whole ({error!r:.100}). Only a whole export comes back: "
                "openketamine fhir-export, or a service that may read everything and asks for "
                "Basic as well.",
            ) from error  # fmt: skip

    def _check(self) -> None:
        """Whether all is there that the export says of itself, and the events follow each other."""
        if not self.contents:
            raise Broken(
                str(self.folder), "it holds no Basic resources with the clinic's tables. Only a "
                "whole export comes back: openketamine fhir-export.",
            )  # fmt: skip
        if self.contents.get("release") != __version__:
            raise Broken(
                str(self.folder), f"it was made by release {self.contents.get('release')}, and "
                f"this is {__version__}. Take it into its own release and upgrade that.",
            )  # fmt: skip
        try:
            expected = dict(self.contents["rows"])
            last, count = int(self.contents["last"]), int(self.contents["events"])
            str(self.contents["hash"])
        except (KeyError, ValueError, TypeError) as error:
            raise Broken("Basic contents", f"it cannot be read: {error!r:.100}") from error
        found = {table: len(lines) for table, lines in self.tables.items()}
        for table in sorted(expected.keys() | found.keys()):
            if expected.get(table, 0) != found.get(table, 0):
                raise Broken(
                    f"Basic of {table}",
                    f"{found.get(table, 0)} rows of {expected.get(table, 0)} are here.",
                )
        if len(self.events) != count:
            raise Broken("Provenance", f"{len(self.events)} events of {count} are here.")
        self.events.sort(key=lambda item: item[1].seq)
        before: Event | None = None
        for place, event in self.events:
            if before and before.seq + 1 == event.seq and before.hash != event.previous_hash:
                raise Broken(place, f"event {event.seq} does not follow the one before it.")
            before = event
        if before and (before.seq > last or before.seq < 1):
            raise Broken("Provenance", f"event {before.seq} lies behind the last, {last}.")
        if before and before.seq == last and before.hash != self.contents["hash"]:
            raise Broken("Provenance", "the last event is not the one that the export names.")


def _line(kind: str, place: str, raw: bytes) -> Content:
    try:
        resource = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Broken(place, f"this is no JSON: {error!s:.200}") from error
    if not isinstance(resource, dict) or resource.get("resourceType") != kind:
        raise Broken(place, f"a {kind} is expected here.")
    if not isinstance(resource.get("id"), str):
        raise Broken(place, "it has no id.")
    return resource


def _store_rows(tables: dict[str, list[tuple[str, dict[str, Any]]]]) -> None:
    known = {model._meta.label_lower: model for model in carried()}
    if strange := sorted(tables.keys() - known.keys()):
        raise Broken(tables[strange[0]][0][0], f"there is no table {strange[0]!r:.80} here.")
    for label, model in known.items():
        items = [_row(model, place, content) for place, content in tables.get(label, ())]
        for start in range(0, len(items), AT_ONCE):
            _insert(model, items[start : start + AT_ONCE])


def _row(model: type[models.Model], place: str, content: dict[str, Any]) -> models.Model:
    columns = {column.attname: column for column in columns_of(model)}
    if not isinstance(content, dict) or content.keys() != columns.keys():
        raise Broken(place, f"a row of {model._meta.label_lower} has other columns.")
    try:
        item = model(**{name: columns[name].to_python(value) for name, value in content.items()})
    except (ValidationError, ValueError, TypeError) as error:
        raise Broken(place, f"it cannot be read: {error!s:.200}") from error
    if isinstance(item, User):
        item.password = make_password(None)  # nobody signs in by an import
    return item


def _insert(model: type[models.Model], items: list[Any]) -> None:
    """Raw: no default, timestamp or signal touches what is brought back."""
    query = models.sql.InsertQuery(model)
    query.insert_values(model._meta.local_concrete_fields, items, raw=True)
    query.get_compiler(connection=connection).execute_sql()


def _store_events(told: list[tuple[str, Event]]) -> int:
    """Every event at its own number, in a new chain; returns how many numbers were left out."""
    previous, seq, left_out = GENESIS, 0, 0
    last: datetime | None = None
    chunk: list[Event] = []
    for _, event in told:
        for number in range(seq + 1, event.seq):
            chunk.append(_placeholder(number, last or event.recorded_at, previous))
            previous = chunk[-1].hash
            left_out += 1
        event.previous_hash = previous
        event.hash = previous = event.digest()
        seq, last = event.seq, event.recorded_at
        chunk.append(event)
        if len(chunk) >= AT_ONCE:
            Event.objects.bulk_create(chunk)
            chunk = []
    Event.objects.bulk_create(chunk)
    ChainHead.objects.filter(id=1).update(seq=seq, hash=previous, recorded_at=last)
    return left_out


def _placeholder(seq: int, at: datetime, previous_hash: str) -> Event:
    event = Event(
        seq=seq,
        stream="clinic",
        kind=LEFT_OUT,
        body="{}",
        occurred_at=at,
        recorded_at=at,
        actor_name="import",
        source=Source.IMPORT,
        previous_hash=previous_hash,
    )
    event.hash = event.digest()
    return event


def _compare(told: _Export) -> int:
    """Whether what follows from rows and events is what the export says; returns how many.

    What is the same then bears its old version and moment.
    """
    expected = {key: place for key, (place, _) in told.resources.items() if key[0] in COMPARED}
    count = 0
    behind: list[Resource] = []
    standing = Resource.objects.filter(kind__in=COMPARED, deleted_at=None)
    for row in standing.order_by("pk").iterator(chunk_size=AT_ONCE):
        count += 1
        key = (row.kind, row.key)
        if expected.pop(key, None) is None:
            raise Broken(f"{row.kind} files", f"{row} is missing: it follows from the record.")
        place, resource = told.resources[key]
        if path := _difference(json.loads(row.content), resource):
            raise Broken(place, f"{row} does not follow from the record: {path} is another.")
        try:
            row.version = int(resource["meta"]["versionId"])
            row.updated_at = datetime.fromisoformat(resource["meta"]["lastUpdated"])
        except (KeyError, ValueError, TypeError) as error:
            raise Broken(place, f"{row}: meta cannot be read: {error!r:.100}") from error
        row.content = json.dumps(resource, ensure_ascii=False, separators=(",", ":"))
        behind.append(row)
        if len(behind) == AT_ONCE:
            _keep(behind)
            behind = []
    _keep(behind)
    if expected:
        (kind, key), place = next(iter(expected.items()))
        raise Broken(place, f"{kind}/{key} does not follow from the record.")
    return count


def _keep(changed: Iterable[Resource]) -> None:
    Resource.objects.bulk_update(changed, ["version", "updated_at", "content"], batch_size=100)


def _difference(one: Any, other: Any, path: str = "") -> str:
    """Where two resources first differ; "" where only their version does."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys()):
            below = f"{path}.{name}" if path else name
            if below in {"meta.versionId", "meta.lastUpdated"}:
                continue
            if name not in one or name not in other:
                return below
            if found := _difference(one[name], other[name], below):
                return found
        return ""
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return path
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            if found := _difference(left, right, f"{path}[{number}]"):
                return found
        return ""
    return "" if one == other and type(one) is type(other) else path


def _reset_sequences() -> None:
    """The next row of each table gets a number behind those that came."""
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), carried()):
            cursor.execute(statement)
