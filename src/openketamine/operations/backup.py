"""`openketamine backup`: one consistent moment of the whole clinic, checked, sealed and complete.

A backup is one file: an age-encrypted tar of `manifest.json`, the database and the installation's
key. The manifest carries a checksum of each file, the rows of every table and the end of the
record's chain. Between two full backups of SQLite, `changes` keeps only the pages that differ.
"""

import gzip
import hashlib
import json
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection, connections

from openketamine import __version__
from openketamine.clinic.errors import Refused

from . import pages, sealed, stores

FORMAT = 1
SUFFIX = ".okb"
MANIFEST, SQLITE, DUMP, CHANGES, KEY = (
    "manifest.json",
    "database.sqlite3",
    "database.dump",
    "database.pages",
    "secret.key",
)
STATE = "backup.state"
# After this long a full backup is made even where only the changes were asked for.
FULL_EVERY = timedelta(hours=24)
_NAME = re.compile(r"openketamine-(\d{8}T\d{6}\.\d{6}Z)-(full|changes)\.okb$")


@dataclass(frozen=True)
class Made:
    """A backup that is on the disk."""

    path: Path
    kind: str
    bytes: int
    rows: int
    events: int
    seconds: float


def listed(folder: Path) -> list[tuple[datetime, str, Path]]:
    """The backups in a folder, oldest first: when, whether full or changes, which file."""
    found = []
    for path in folder.glob(f"*{SUFFIX}"):
        if match := _NAME.search(path.name):
            moment = datetime.strptime(match[1], "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
            found.append((moment, match[2], path))
    return sorted(found)


def make(folder: Path, recipients: list[str], *, only_changes: bool = False) -> Made:
    """Make a backup in a folder; it appears there whole or not at all.

    Args:
        recipients: age public keys; whoever has one of their keys can open the backup.
        only_changes: keep what changed since the last one, where that is possible.

    Raises:
        Refused: no recipient, no room, or the database is damaged (then no backup is better than
            one that pretends).
    """
    sealed_for = sealed.read_recipients(recipients)
    sqlite = connection.vendor == "sqlite"
    if only_changes and not sqlite:
        raise Refused(
            "On PostgreSQL the changes are kept by WAL archiving; see docs/operations.md. "
            "Leave --changes out for a full backup."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(f"{folder} cannot be made: {error.strerror}.") from None
    started = datetime.now(UTC)
    seen = pages.Seen.read(settings.HOME / STATE) if only_changes else None
    if seen and not _continues(folder, seen, started):
        seen = None
    kind = "changes" if seen else "full"
    name = f"openketamine-{started:%Y%m%dT%H%M%S.%fZ}-{kind}{SUFFIX}"
    with workshop() as work:
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "version": __version__,
            "engine": connection.vendor,
            "kind": kind,
            "made_at": started.isoformat(),
        }
        if sqlite:
            kind, name, now_seen = _sqlite(work, manifest, seen, name)
        else:
            _postgresql(work, manifest)
        shutil.copyfile(settings.HOME / KEY, work / KEY)
        rows = sum(manifest["contents"]["tables"].values())
        path = _pack(work, manifest, folder / name, sealed_for)
    if sqlite:
        now_seen.write(settings.HOME / STATE)
    seconds = (datetime.now(UTC) - started).total_seconds()
    events = manifest["contents"]["events"]
    return Made(path, kind, path.stat().st_size, rows, events, seconds)


def _continues(folder: Path, seen: pages.Seen, now: datetime) -> bool:
    """Whether the folder holds what the changes would be changes of, and not too many of them."""
    fresh = now - datetime.fromisoformat(seen.full_at) < FULL_EVERY
    return fresh and (folder / seen.backup).exists() and (folder / seen.full).exists()


def _sqlite(
    work: Path, manifest: dict[str, Any], seen: pages.Seen | None, name: str
) -> tuple[str, str, pages.Seen]:
    copy = work / SQLITE
    stores.copy_sqlite(Path(connection.settings_dict["NAME"]), copy)
    page_bytes = pages.page_bytes_of(copy)
    digests = pages.digests(copy, page_bytes)
    if seen and seen.page_bytes != page_bytes:  # rebuilt by VACUUM: nothing to compare with
        seen = None
        manifest["kind"] = "full"
        name = name.replace("-changes", "-full")
    with stores.alias("copy", copy) as using:
        manifest["contents"] = asdict(stores.contents(using))
        if not seen:
            stores.check_sqlite(copy)
            stores.check_chain(using)
    manifest["page_bytes"], manifest["pages"] = page_bytes, len(digests)
    manifest["database_sha256"] = sha256(copy)
    if seen:
        pages.write_changes(copy, work / CHANGES, page_bytes, digests, seen.digests)
        copy.unlink()
        manifest["follows"] = seen.backup
        manifest["full"] = seen.full
        full, full_at = seen.full, seen.full_at
    else:
        full, full_at = name, manifest["made_at"]
    return manifest["kind"], name, pages.Seen(name, full, full_at, page_bytes, digests)


def _postgresql(work: Path, manifest: dict[str, Any]) -> None:
    """Count and dump in one snapshot, so that the manifest tells of exactly what is dumped."""
    dump = connections.create_connection(DEFAULT_DB_ALIAS)
    with closing(dump):
        dump.set_autocommit(False)
        with dump.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute("SELECT pg_export_snapshot()")
            snapshot = cursor.fetchone()[0]
        connections["snapshot"] = dump
        connections.settings["snapshot"] = connections.settings[DEFAULT_DB_ALIAS]
        try:
            manifest["contents"] = asdict(stores.contents("snapshot"))
            stores.check_chain("snapshot")
            stores.run_postgresql(
                "pg_dump",
                "--format=custom",
                "--compress=0",  # the whole archive is compressed once
                "--no-owner",
                "--no-privileges",
                "--enable-row-security",
                f"--snapshot={snapshot}",
                f"--file={work / DUMP}",
            )
        finally:
            del connections["snapshot"]
            del connections.settings["snapshot"]
            dump.rollback()


def _pack(work: Path, manifest: dict[str, Any], target: Path, recipients: list[Any]) -> Path:
    files = sorted(path for path in work.iterdir() if path.name != MANIFEST)
    manifest["files"] = {
        path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in files
    }
    (work / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True))
    archive = work / "archive.tar.gz"
    with (
        gzip.open(archive, "wb", compresslevel=1) as packed,
        tarfile.open(fileobj=packed, mode="w|") as tar,
    ):
        for path in (work / MANIFEST, *files):
            tar.add(path, arcname=path.name)
    partial = target.with_suffix(".partial")
    try:
        sealed.seal(archive, partial, recipients)
        partial.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise Refused(f"No backup was made in {target.parent}: {error.strerror}.") from None
    return target


def prune(folder: Path, keep: timedelta) -> list[Path]:
    """Remove backups older than `keep`, never one that a kept one builds on, nor the last full one.

    A full backup goes together with its changes once the next full one is old enough, too: so every
    moment of the kept time can still be gone back to.
    """
    before = datetime.now(UTC) - keep
    found = listed(folder)
    fulls = [moment for moment, kind, _ in found if kind == "full" and moment <= before]
    if not fulls:
        return []
    gone = [path for moment, _, path in found if moment < fulls[-1]]
    for path in gone:
        path.unlink()
    return gone


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def workshop() -> Iterator[Path]:
    """A folder beside the data that nobody else may read, gone when the work is done."""
    with tempfile.TemporaryDirectory(prefix="backup-", dir=settings.HOME) as folder:
        yield Path(folder)


def _sync_folder(folder: Path) -> None:
    """Put a new name on the disk, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
