"""`openketamine restore`: put a backup back, whole and checked, or refuse it whole.

Everything is opened, checked and compared with the manifest in a folder of its own first. Only what
has passed takes the place of the clinic's database, in one step.
"""

import json
import os
import sqlite3
import tarfile
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from openketamine.clinic.boot import Serving, claim_home
from openketamine.clinic.errors import Refused

from . import pages, sealed, stores
from .backup import CHANGES, DUMP, FORMAT, KEY, MANIFEST, SQLITE, listed, sha256, workshop


@dataclass(frozen=True)
class Restored:
    """What was put back, or, with `only_check`, would have been."""

    made_at: datetime
    rows: int
    events: int
    steps: int
    moved_aside: Path | None


def restore(
    source: Path,
    key: Path,
    *,
    at: datetime | None = None,
    replace: bool = False,
    only_check: bool = False,
) -> Restored:
    """Restore a backup file, or the last one in a folder that was made until `at`.

    Args:
        replace: let a SQLite database that holds something stand aside; it is kept under another
            name. A PostgreSQL database must be empty.
        only_check: open and compare everything, and leave the clinic as it is.

    Raises:
        Refused: nothing suitable, a wrong key, a broken file, a clinic that is being served or that
            holds data; nothing is changed then.
    """
    keys = sealed.read_key(key)
    path = _choose(source, at)
    with workshop() as work:
        chain = _open_chain(path, work, keys)
        manifest = chain[-1].manifest
        if only_check and manifest["engine"] != "sqlite":
            return _told(chain, None)
        if manifest["engine"] != connection.vendor and not only_check:
            raise Refused(
                f"This is a backup of {manifest['engine']}, and the clinic is set to "
                f"{connection.vendor}. Restore it there, then move it with "
                "`openketamine migrate-store`."
            )
        if manifest["engine"] == "sqlite":
            database = _rebuild(chain, work)
            _compare(database, manifest)
            if only_check:
                return _told(chain, None)
            try:
                with claim_home(alone=True):
                    aside = _put_in_place(database, replace=replace)
                    _put_key(chain[-1].folder / KEY)
            except Serving:
                raise Refused("The clinic is being served. Stop it first, then restore.") from None
            return _told(chain, aside)
        try:
            with claim_home(alone=True):
                _into_postgresql(chain[-1].folder / DUMP, manifest)
                _put_key(chain[-1].folder / KEY)
        except Serving:
            raise Refused("The clinic is being served. Stop it first, then restore.") from None
        return _told(chain, None)


@dataclass(frozen=True)
class _Opened:
    manifest: dict[str, Any]
    folder: Path


def _told(chain: list[_Opened], aside: Path | None) -> Restored:
    manifest = chain[-1].manifest
    return Restored(
        datetime.fromisoformat(manifest["made_at"]),
        sum(manifest["contents"]["tables"].values()),
        manifest["contents"]["events"],
        len(chain),
        aside,
    )


def _choose(source: Path, at: datetime | None) -> Path:
    if not source.is_dir():
        if at:
            raise Refused("A moment needs the folder of all backups, not one file.")
        if not source.exists():
            raise Refused(f"There is no {source}.")
        return source
    found = [(moment, path) for moment, _, path in listed(source) if at is None or moment <= at]
    if not found:
        until = f" made until {at:%Y-%m-%d %H:%M:%S %Z}" if at else ""
        raise Refused(f"There is no backup{until} in {source}.")
    return found[-1][1]


def _open_chain(path: Path, work: Path, keys: list[Any]) -> list[_Opened]:
    """The backup and all that it builds on, a full one first, each opened and checked."""
    chain = [_open(path, work / "0", keys)]
    while chain[0].manifest["kind"] == "changes":
        before = path.parent / chain[0].manifest["follows"]
        if not before.exists():
            raise Refused(
                f"{path.name} builds on {before.name}, which is missing. Choose an earlier moment."
            )
        chain.insert(0, _open(before, work / str(len(chain)), keys))
    return chain


def _open(path: Path, folder: Path, keys: list[Any]) -> _Opened:
    folder.mkdir()
    archive = folder / "archive.tar.gz"
    sealed.unseal(path, archive, keys)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            tar.extractall(folder, filter="data")
        manifest = json.loads((folder / MANIFEST).read_text())
        files = manifest["files"]
    except (tarfile.TarError, OSError, EOFError, ValueError, KeyError) as error:
        raise Refused(f"{path.name} is no backup of OpenKetamine: {error}.") from None
    archive.unlink()
    if manifest.get("format") != FORMAT:
        raise Refused(
            f"{path.name} was made by a newer OpenKetamine ({manifest.get('version')}). "
            "Install that version, then restore."
        )
    for name, known in files.items():
        if not (folder / name).is_file() or sha256(folder / name) != known["sha256"]:
            raise Refused(f"{path.name}: {name} is not as it was when the backup was made.")
    return _Opened(manifest, folder)


def _rebuild(chain: list[_Opened], work: Path) -> Path:
    """The database of the last backup: the full copy with all later changes."""
    database = chain[0].folder / SQLITE
    for step in chain[1:]:
        pages.apply_changes(
            database,
            step.folder / CHANGES,
            step.manifest["page_bytes"],
            step.manifest["pages"],
        )
    if sha256(database) != chain[-1].manifest["database_sha256"]:
        raise Refused("The rebuilt database is not the one that was backed up.")
    return database


def _compare(database: Path, manifest: dict[str, Any]) -> None:
    """Every table, every row count and the whole chain, against what the manifest says."""
    stores.check_sqlite(database)
    with stores.alias("restored", database) as using:
        _same(stores.contents(using), manifest)
        stores.check_chain(using)


def _same(found: stores.Contents, manifest: dict[str, Any]) -> None:
    if differing := stores.Contents(**manifest["contents"]).differences(found):
        raise Refused("The backup does not hold what it says: " + "; ".join(differing) + ".")


def _put_in_place(database: Path, *, replace: bool) -> Path | None:
    target = Path(connection.settings_dict["NAME"])
    connection.close()
    aside = None
    if target.exists() and target.stat().st_size:
        if not replace:
            raise Refused(
                f"{target} holds data already. With --replace it is kept under another name and "
                "the backup takes its place."
            )
        _fold_in_log(target)
        aside = target.with_name(f"{target.name}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        target.replace(aside)
    with database.open("rb") as file:
        os.fsync(file.fileno())
    database.replace(target)
    return aside


def _fold_in_log(target: Path) -> None:
    """Write the log of a database that is to stand aside into its one file."""
    try:
        with closing(sqlite3.connect(target, timeout=1)) as raw:
            (mode,) = raw.execute("PRAGMA journal_mode=DELETE").fetchone()
    except sqlite3.OperationalError as error:
        raise Refused(f"{target} is in use ({error}). Stop what uses it first.") from None
    except sqlite3.DatabaseError:
        return  # damaged: it stands aside as it is, which may be why the backup is put back
    if mode != "delete":
        raise Refused(f"{target} is in use. Stop what uses it first.")


def _put_key(stored: Path) -> None:
    """The installation's key belongs to the data: links that patients hold stay good."""
    target = settings.HOME / KEY
    if target.read_bytes() != stored.read_bytes():
        stored.chmod(0o600)
        stored.replace(target)


def _into_postgresql(dump: Path, manifest: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        if tables := connection.introspection.table_names(cursor):
            raise Refused(
                f"The database holds {len(tables)} tables. Make an empty one, name it in "
                "OPENKETAMINE_DATABASE_URL and restore into that."
            )
    stores.run_postgresql(
        "pg_restore",
        "--single-transaction",
        "--exit-on-error",
        "--no-owner",
        "--no-privileges",
        f"--dbname={connection.settings_dict['NAME']}",
        str(dump),
    )
    try:
        _same(stores.contents(), manifest)
        stores.check_chain()
    except Refused:
        _empty_postgresql()
        raise


def _empty_postgresql() -> None:
    """Leave the database as empty as it was found."""
    with transaction.atomic(), connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"DROP TABLE {connection.ops.quote_name(table)} CASCADE")
        cursor.execute(
            "SELECT p.oid::regprocedure FROM pg_proc p "
            "WHERE p.pronamespace = current_schema()::regnamespace"
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP FUNCTION {name}")
