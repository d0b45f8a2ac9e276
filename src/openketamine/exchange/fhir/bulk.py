"""Bulk Data export: a service asks for everything, and fetches files when they are ready.

A thread of the server writes the files, row by row and never all in memory. It says that it lives
as it goes; one that does no longer (the server was stopped) is taken up again by whoever asks how
the export is.
"""

import json
import logging
import shutil
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TextIO
from uuid import UUID

from django.conf import settings
from django.db import close_old_connections
from django.db.models import Q, QuerySet

from openketamine.clinic.record import clock
from openketamine.clinic.record.models import ChainHead, Event
from openketamine.clinic.sites import scope as sites
from openketamine.clinic.sites.queries import several
from openketamine.exchange.smart.grants import Grant, scope_of
from openketamine.exchange.smart.models import Access, ClientApp

from . import live, tables
from .kinds import KINDS
from .models import Export, Resource
from .outcomes import Problem
from .projection import catch_up

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 1000
LINES_A_FILE = 100_000
AT_ONCE = 2
KEPT_FOR = timedelta(hours=24)
# A worker that has not been seen for so long is taken to be gone.
GONE_AFTER = timedelta(minutes=2)
State = Export.State
RUNS = (State.QUEUED, State.RUNNING)


def folder() -> Path:
    return Path(settings.HOME) / "fhir-exports"


def kick_off(
    client: ClientApp, *, request: str, kinds: list[str], whole: bool, since: datetime | None
) -> Export:
    """Begin an export.

    Raises:
        Problem: this program has enough of them running.
    """
    forget_old()
    running = client.exports.filter(state__in=RUNS).count()
    if running >= AT_ONCE:
        raise Problem(
            429, "throttled", f"{running} exports are running; wait for one, or delete it.",
            Retry_After="60",
        )  # fmt: skip
    export = Export.objects.create(
        client=client, request=request, kinds=kinds, whole=whole, since=since
    )
    start(export.pk)
    return export


def start(key: UUID) -> None:
    """Let a thread write an export's files."""
    threading.Thread(target=_work, args=(key,), name=f"export-{key}", daemon=True).start()


def _work(key: UUID) -> None:
    close_old_connections()
    try:
        run(key)
    finally:
        close_old_connections()


def run(key: UUID) -> None:
    """Write an export's files, from the beginning. Never raises: what fails says so."""
    mine = Export.objects.filter(pk=key, state__in=RUNS)
    if not mine.update(state=State.RUNNING, seen_at=clock.now(), written=0):
        return
    export = Export.objects.select_related("client").get(pk=key)
    scope = scope_of(Grant(export.client, None, None, "")) if several() else sites.EVERYTHING
    with sites.within(scope):
        _write(export, mine)


def _write(export: Export, mine: QuerySet[Export]) -> None:
    key = export.pk
    place = folder() / str(key)
    try:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(mode=0o700, parents=True)
        catch_up()
        head = ChainHead.objects.filter(id=1).first()
        export.as_of = clock.not_before(head.recorded_at if head else None)
        writer = Writer(export, place)
        for kind in export.kinds:
            writer.write(kind)
        writer.write_deleted()
        if tables.ROWS in export.kinds:
            _refuse_if_moved(head)
    except Cancelled:
        shutil.rmtree(place, ignore_errors=True)
        return
    except Exception as error:
        logger.exception("export %s failed", key)
        mine.update(state=State.FAILED, fault=f"{type(error).__name__}: {error}"[:300])
        return
    finished = Export.objects.filter(pk=key, state=State.RUNNING).update(
        state=State.DONE,
        done_at=clock.now(),
        as_of=export.as_of,
        output=writer.output,
        deleted=writer.deleted,
        written=writer.written,
    )
    if not finished:
        shutil.rmtree(place, ignore_errors=True)


def _refuse_if_moved(head: ChainHead | None) -> None:
    """Rows, events and resources fit together only if nothing has happened meanwhile."""
    now = ChainHead.objects.filter(id=1).first()
    if (now and now.seq) != (head and head.seq):
        raise RuntimeError(
            "The clinic went on meanwhile, so its tables and its record do not fit together. Ask "
            "again at a quiet hour, or use openketamine fhir-export on the server."
        )


class Cancelled(Exception):  # noqa: N818 - somebody's wish, not a fault
    """The export was deleted while it ran."""


class Writer:
    """Writes one export: files of so many lines, and the news that it lives."""

    def __init__(self, export: Export, place: Path) -> None:
        self.export, self.place = export, place
        self.output: list[list[str | int]] = []
        self.deleted: list[list[str | int]] = []
        self.written = 0

    def write(self, kind: str) -> None:
        if kind == tables.ROWS:
            rows = tables.rows()
        else:
            rows = self._live(kind) if KINDS[kind].live else self._projected(kind)
        self._files(kind, rows, self.output)

    def write_deleted(self) -> None:
        """What is no longer so, since the last export: as deletions."""
        if self.export.since is None:
            return
        gone = Resource.objects.filter(
            kind__in=self.export.kinds, deleted_at__gte=self.export.since
        ).order_by("pk")

        def lines() -> Iterator[str]:
            for kind, key in gone.values_list("kind", "key").iterator(ROWS_AT_ONCE):
                request = {"method": "DELETE", "url": f"{kind}/{key}"}
                yield json.dumps(
                    {
                        "resourceType": "Bundle",
                        "type": "transaction",
                        "entry": [{"request": request}],
                    }
                )

        self._files("Bundle", lines(), self.deleted)

    def _projected(self, kind: str) -> Iterator[str]:
        rows = Resource.objects.filter(
            kind=kind, deleted_at=None, updated_at__lte=self.export.as_of
        )
        if self.export.since:
            rows = rows.filter(updated_at__gte=self.export.since)
        last = 0
        while True:
            page = list(
                rows.filter(pk__gt=last).order_by("pk").values_list("pk", "content")[:ROWS_AT_ONCE]
            )
            yield from (content for _, content in page)
            if len(page) < ROWS_AT_ONCE:
                return
            last = page[-1][0]

    def _live(self, kind: str) -> Iterator[str]:
        last = 0
        while True:
            page: list[Event] | list[Access]
            if kind == "Provenance":
                when = Q(recorded_at__gte=self.export.since) if self.export.since else Q()
                page = list(live.events().filter(when, pk__gt=last).order_by("pk")[:ROWS_AT_ONCE])
                written = live.provenances(page, whole=self.export.whole)
            else:
                when = Q(at__gte=self.export.since) if self.export.since else Q()
                page = list(live.accesses().filter(when, pk__gt=last).order_by("pk")[:ROWS_AT_ONCE])
                written = live.audit_events(page)
            yield from (row.content for row in written)
            if len(page) < ROWS_AT_ONCE:
                return
            last = page[-1].pk

    def _files(self, kind: str, lines: Iterator[str], output: list[list[str | int]]) -> None:
        file: TextIO | None = None
        count = number = 0
        try:
            for line in lines:
                if file is None:
                    number += 1
                    name = f"{kind}-{number}.ndjson"
                    file = (self.place / name).open("w", encoding="utf-8")
                    output.append([kind, name, 0])
                file.write(line + "\n")
                count += 1
                output[-1][2] = count
                self.written += 1
                if self.written % ROWS_AT_ONCE == 0:
                    self._live_sign()
                if count == LINES_A_FILE:
                    file.close()
                    file, count = None, 0
        finally:
            if file:
                file.close()

    def _live_sign(self) -> None:
        alive = Export.objects.filter(pk=self.export.pk, state=State.RUNNING)
        if not alive.update(seen_at=clock.now(), written=self.written):
            raise Cancelled


def of(client: ClientApp, key: UUID) -> Export:
    """A program's own export, taken up again where its worker is gone.

    Raises:
        Problem: it has none of this id.
    """
    export = Export.objects.filter(pk=key, client=client).exclude(state=State.CANCELLED).first()
    if export is None:
        raise Problem(404, "not-found", "There is no such export, or it was deleted.")
    now = clock.now()
    if export.state in RUNS and now - export.seen_at > GONE_AFTER:
        # Whoever changes the row first takes it up; the others find it alive.
        gone = Export.objects.filter(pk=key, seen_at=export.seen_at, state__in=RUNS)
        if gone.update(seen_at=now, state=State.QUEUED):
            start(key)
    return export


def cancel(export: Export) -> None:
    """Stop it and remove its files."""
    Export.objects.filter(pk=export.pk).update(state=State.CANCELLED, output=[], deleted=[])
    shutil.rmtree(folder() / str(export.pk), ignore_errors=True)


def forget_old() -> None:
    """Remove what nobody has fetched within a day."""
    for export in Export.objects.filter(state=State.DONE, done_at__lt=clock.now() - KEPT_FOR):
        cancel(export)


def file_of(export: Export, name: str) -> Path:
    """One of its files.

    Raises:
        Problem: it has none of this name.
    """
    known = {str(entry[1]) for entry in (*export.output, *export.deleted)}
    path = folder() / str(export.pk) / name
    if export.state != State.DONE or name not in known or not path.is_file():
        raise Problem(404, "not-found", "There is no such file, or it is gone.")
    return path
