"""What a database holds, told alike for SQLite and PostgreSQL."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

from openketamine.clinic.errors import Refused
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import ChainHead
from openketamine.clinic.sites import rules


@dataclass(frozen=True)
class Contents:
    """The rows of every table, and where the chain ends."""

    tables: dict[str, int]
    events: int
    head: str
    migrations: list[str]

    def differences(self, other: "Contents") -> list[str]:
        """In words, what `other` has that is not as here."""
        found = [
            f"{table}: {self.tables.get(table, 'no table')} rows, not {other.tables.get(table)}"
            for table in sorted(self.tables.keys() | other.tables.keys())
            if self.tables.get(table) != other.tables.get(table)
        ]
        if (self.events, self.head) != (other.events, other.head):
            found.append(f"the record ends at event {other.events}, not {self.events}")
        if self.migrations != other.migrations:
            found.append("the schema is another version's")
        return found


@contextmanager
def alias(name: str, path: Path) -> Iterator[str]:
    """A SQLite file as one more database of Django's, for as long as the block lasts."""
    connections.settings[name] = {
        **connections.settings[DEFAULT_DB_ALIAS],
        **sqlite_settings(path),
    }
    try:
        yield name
    finally:
        connections[name].close()
        del connections[name]
        del connections.settings[name]


def sqlite_settings(path: Path) -> dict[str, Any]:
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "OPTIONS": {"timeout": 20}}


def contents(using: str = DEFAULT_DB_ALIAS) -> Contents:
    """Count everything. Call it where nobody else writes: in a copy, or in one snapshot."""
    connection = connections[using]
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        tables = {}
        for table in sorted(connection.introspection.table_names(cursor)):
            cursor.execute(f"SELECT count(*) FROM {quote(table)}")  # noqa: S608 - a table's name
            tables[table] = cursor.fetchone()[0]
        migrations: list[str] = []
        if "django_migrations" in tables:
            cursor.execute("SELECT app, name FROM django_migrations ORDER BY app, name")
            migrations = [f"{app}.{name}" for app, name in cursor.fetchall()]
    head = None
    if ChainHead._meta.db_table in tables:
        head = ChainHead.objects.using(using).filter(id=1).first()
    return Contents(tables, head.seq if head else 0, head.hash if head else "", migrations)


def check_chain(using: str = DEFAULT_DB_ALIAS) -> None:
    """Walk the record's chain.

    Raises:
        Refused: it is not intact.
    """
    result = record.verify(using)
    if not result.intact:
        raise Refused(f"The record is NOT intact: {result.fault}.")


def check_sqlite(path: Path) -> None:
    """Ask SQLite whether a file is whole.

    Raises:
        Refused: it is no database, a page is damaged, or a row refers to none.
    """
    try:
        with closing(sqlite3.connect(path)) as raw:
            (said,) = raw.execute("PRAGMA integrity_check(1)").fetchone()
            orphan = raw.execute("PRAGMA foreign_key_check").fetchone()
    except sqlite3.DatabaseError as error:
        raise Refused(f"{path.name} is damaged: {error}.") from None
    if said != "ok":
        raise Refused(f"{path.name} is damaged: {said}.")
    if orphan:
        raise Refused(f"{path.name}: row {orphan[1]} of {orphan[0]} refers to nothing.")


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database that is in use: one consistent moment of it, page by page.

    Readers do not wait in WAL mode, and neither do writers, for the copy is taken in one step.
    """
    with (
        closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as origin,
        closing(sqlite3.connect(target)) as copy,
    ):
        origin.backup(copy)
        # One file, without a log beside it.
        copy.execute("PRAGMA journal_mode=DELETE").fetchone()


def run_postgresql(program: str, *arguments: str, using: str = DEFAULT_DB_ALIAS) -> str:
    """Run pg_dump or pg_restore on the clinic's database; the password goes by the environment.

    Raises:
        Refused: the program is missing or failed, in its own words.
    """
    place = connections.settings[using]
    environment = {
        **os.environ,
        "PGDATABASE": str(place["NAME"]),
        "PGHOST": str(place.get("HOST") or ""),
        "PGPORT": str(place.get("PORT") or ""),
        "PGUSER": str(place.get("USER") or ""),
        "PGPASSWORD": str(place.get("PASSWORD") or ""),
    }
    for option, value in (place.get("OPTIONS") or {}).items():
        environment[f"PG{option.upper()}"] = str(value)  # sslmode is PGSSLMODE, and so on
    # The rows of all sites, also for a role that the rules bind.
    options = environment.get("PGOPTIONS", "")
    environment["PGOPTIONS"] = f"{options} -c {rules.SITES}={rules.ALL}".strip()
    environment = {name: value for name, value in environment.items() if value}
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program, arguments of our own
            [program, *arguments], env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise Refused(
            f"{program} is missing. On Debian or Ubuntu: apt install postgresql-client."
        ) from None
    if done.returncode:
        raise Refused(f"{program} failed: {done.stderr.strip().splitlines()[-1:] or 'no reason'}")
    return done.stdout
