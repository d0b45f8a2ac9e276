"""`openketamine migrate-store`: a running clinic moves to PostgreSQL, whole or not at all.

While it moves, the old store is held: pages can be read, and a write is answered with 503 and sent
again by the tablet. The new store gets everything in one transaction, which is compared row by row
and along the chain before it is committed. Then the old store takes no more writes, whoever tries.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from openketamine.clinic.errors import Refused
from openketamine.clinic.record.models import ChainHead
from openketamine.clinic.sites import rules

from . import stores

NEW = "new"
BATCH = 1000
MOVED = "This clinic has moved to another database."


@dataclass(frozen=True)
class Moved:
    """What is in the new store."""

    tables: int
    rows: int
    events: int
    seconds: float


def move(url: str) -> Moved:
    """Move everything from the clinic's SQLite database into an empty PostgreSQL database.

    Raises:
        Refused: the clinic is not on SQLite, the target is none, does not answer or holds anything,
            the record is not intact, or what arrived is not what was sent. The target is left
            empty and the clinic goes on where it was.
    """
    started = datetime.now(UTC)
    if connection.vendor != "sqlite":
        raise Refused("The clinic is on PostgreSQL already. Copy it with backup and restore.")
    if not url.startswith(("postgres://", "postgresql://")):
        raise Refused("The target is written postgresql://user:password@host:port/name.")
    if _has_moved():
        raise Refused(MOVED)
    connections.settings[NEW] = {
        **connections.settings[DEFAULT_DB_ALIAS],
        **settings.DATABASE_OF(url),
    }
    new = connections[NEW]
    try:
        _refuse_unless_empty(new)
        try:
            call_command("migrate", database=NEW, verbosity=0, interactive=False)
            call_command("createcachetable", database=NEW, verbosity=0)
            with _held(), transaction.atomic(using=NEW):
                stores.check_chain()
                rows = _copy(new)
                _compare(rows)
                rules.follow(NEW)
                # Until both have committed, either is given up; then the new store is the clinic.
                head = ChainHead.objects.filter(id=1).first()
                transaction.on_commit(_shut_old, using=NEW)
        except BaseException:
            _empty(new)
            raise
        events = head.seq if head else 0
        seconds = (datetime.now(UTC) - started).total_seconds()
        return Moved(len(rows), sum(rows.values()), events, seconds)
    finally:
        new.close()
        del connections[NEW]
        del connections.settings[NEW]


def _refuse_unless_empty(new: BaseDatabaseWrapper) -> None:
    try:
        with new.cursor() as cursor:
            tables = new.introspection.table_names(cursor)
    except DatabaseError as error:
        raise Refused(f"The target does not answer: {error}") from None
    if tables:
        raise Refused(
            f"The target holds {len(tables)} tables. Name an empty database, e.g. one from "
            "`createdb`."
        )


def _empty(new: BaseDatabaseWrapper) -> None:
    """Take back the schema that was made for a move that failed."""
    new.close()
    with new.cursor() as cursor:
        for table in new.introspection.table_names(cursor):
            cursor.execute(f"DROP TABLE IF EXISTS {new.ops.quote_name(table)} CASCADE")
        cursor.execute(
            "SELECT p.oid::regprocedure FROM pg_proc p "
            "WHERE p.pronamespace = current_schema()::regnamespace"
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP FUNCTION {name}")


@contextmanager
def _held() -> Iterator[None]:
    """Let nobody write to the old store until the block ends; readers go on.

    Transactions on SQLite are immediate here: the first statement takes the only writer's place.
    """
    with transaction.atomic():
        yield


def every_model() -> list[type[models.Model]]:
    """All that has a table, those that join two others among them."""
    return [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy
    ]


def _copy(new: BaseDatabaseWrapper) -> dict[str, int]:
    """Copy every row by way of the models, which know how each database writes a value."""
    found = every_model()
    with new.cursor() as cursor:
        # What the migrations themselves wrote: it comes again, with its own numbers.
        for model in found:
            cursor.execute(f"TRUNCATE {new.ops.quote_name(model._meta.db_table)} CASCADE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    rows: dict[str, int] = {}
    for model in found:
        count = 0
        batch: list[models.Model] = []
        for item in model._base_manager.order_by("pk").iterator(chunk_size=BATCH):
            batch.append(item)
            if len(batch) == BATCH:
                count += _insert(model, batch)
                batch = []
        count += _insert(model, batch)
        rows[model._meta.db_table] = count
    with new.cursor() as cursor:
        for statement in new.ops.sequence_reset_sql(no_style(), found):
            cursor.execute(statement)
    return rows


def _insert(model: type[models.Model], batch: list[models.Model]) -> int:
    """Raw: no default, no timestamp and no signal may touch what is moved."""
    if not batch:
        return 0
    query = models.sql.InsertQuery(model)
    query.insert_values(model._meta.local_concrete_fields, batch, raw=True)
    query.get_compiler(using=NEW).execute_sql()
    return len(batch)


def _compare(rows: dict[str, int]) -> None:
    """Every row on both sides, value by value, and the chain."""
    for model in every_model():
        table = model._meta.db_table
        there = model._base_manager.using(NEW).count()
        if there != rows[table]:
            raise Refused(f"{table}: {there} rows arrived of {rows[table]}. Nothing was moved.")
        if _digest(model, DEFAULT_DB_ALIAS) != _digest(model, NEW):
            raise Refused(f"{table}: what arrived is not what was sent. Nothing was moved.")
    stores.check_chain(NEW)


def _digest(model: type[models.Model], using: str) -> str:
    """One digest of all rows, by value and in whatever order, so that both databases give the same.

    The digests of the rows are added up, for databases sort texts differently.
    """
    names = [field.attname for field in model._meta.local_concrete_fields]
    total = 0
    rows = model._base_manager.using(using).values_list(*names)
    for row in rows.iterator(chunk_size=BATCH):
        text = repr(tuple(map(_plain, row)))
        total += int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    return f"{total % 2**256:064x}"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, dict | list):  # PostgreSQL keeps keys in an order of its own
        return json.dumps(value, sort_keys=True)
    return bytes(value) if isinstance(value, memoryview) else value


def _shut_old() -> None:
    """From here on the old store refuses every clinical act, also of a server that still runs."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TRIGGER clinic_has_moved BEFORE UPDATE ON {ChainHead._meta.db_table} "
            f"BEGIN SELECT RAISE(ABORT, '{MOVED}'); END"
        )


def _has_moved() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM sqlite_master WHERE name = 'clinic_has_moved'")
        return cursor.fetchone() is not None
