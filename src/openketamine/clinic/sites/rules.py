"""PostgreSQL keeps the sites apart as well: row-level rules over what the connection was told.

They stand on every table that `separation` finds, for the tables' owner too, as soon as there is a
second site; before that there is nothing to keep apart and nothing to pay for it. Whoever connects
without saying for which sites sees no row. A superuser and a role with BYPASSRLS are bound by no
rule: the server must not be either (`openketamine doctor` looks).
"""

from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from . import separation
from .models import Site
from .scope import Scope, current

POLICY = "of_its_sites"
SITES, PEOPLE = "openketamine.sites", "openketamine.people"
ALL = "all"
# These touch no row, and must pass where a transaction has failed and takes nothing else.
_OF_TRANSACTIONS = ("SAVEPOINT", "RELEASE", "ROLLBACK")


def told(scope: Scope) -> tuple[str, str]:
    """A scope in the words of the two settings."""
    if scope.sites is None:
        return ALL, ""
    sites = ",".join(str(pk) for pk in sorted(scope.sites))
    return sites, ",".join(str(pk) for pk in sorted(scope.people))


def introduce(sender: Any, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """A new connection is told for which sites it works, and again whenever that changes."""
    if connection.vendor != "postgresql":
        return
    others = [each for each in connection.execute_wrappers if not isinstance(each, _Teller)]
    teller = _Teller(connection)
    # First: whoever has put up another takes the last one down again.
    connection.execute_wrappers = [teller, *others]
    teller.tell(told(current()))


class _Teller:
    """Tells a connection before a statement what has changed since the last."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self.said: tuple[str, str] | None = None
        # Said inside a transaction, which may yet be rolled back, and the saying with it.
        self.unsure = False

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        wanted = told(current())
        if (wanted != self.said or self.unsure) and not sql.startswith(_OF_TRANSACTIONS):
            self.tell(wanted)
        return execute(sql, params, many, context)

    def tell(self, wanted: tuple[str, str]) -> None:
        raw: Any = self.connection.connection
        with self.connection.wrap_database_errors, raw.cursor() as cursor:
            cursor.execute(
                "SELECT set_config(%s, %s, false), set_config(%s, %s, false)",
                (SITES, wanted[0], PEOPLE, wanted[1]),
            )
        self.said, self.unsure = wanted, self.connection.in_atomic_block


def condition(model: separation.Model, quote: Callable[[str], str]) -> str:
    """The rule of one table. What a row hangs on is looked for under the rule of its own table."""
    said = f"(SELECT current_setting('{SITES}', true))"
    clauses = []
    table = quote(model._meta.db_table)
    columns = separation.hangs()[model]
    for hang in columns:
        parent = hang.parent
        column, key = f"{table}.{quote(hang.column)}", quote(parent._meta.pk.column)
        # Names of tables and columns, all from the models.
        clause = (
            f"EXISTS (SELECT 1 FROM {quote(parent._meta.db_table)} s "  # noqa: S608
            f"WHERE s.{key} = {column})"
        )
        clauses.append(f"({column} IS NULL OR {clause})" if hang.optional else clause)
    if not columns:
        site = model._meta.get_field("site")
        column = f"{table}.{quote(site.column)}"
        ways = [f"{column}::text = ANY ((SELECT string_to_array({said}, ','))::text[])"]
        if site.null:
            ways.append(f"{column} IS NULL")
        if model is apps.get_model(separation.PERSON):
            people = f"(SELECT string_to_array(current_setting('{PEOPLE}', true), ','))"
            ways.append(f"{table}.{quote(model._meta.pk.column)}::text = ANY ({people}::text[])")
        clauses.append(" OR ".join(ways))
    return f"{said} = '{ALL}' OR ({said} IS NOT NULL AND ({' AND '.join(clauses)}))"


def tables(using: str) -> dict[str, str]:
    """Table -> its rule in SQL, for every separated model."""
    quote = connections[using].ops.quote_name
    return {model._meta.db_table: condition(model, quote) for model in separation.hangs()}


def follow(using: str) -> None:
    """Put the rules in force where there is more than one site; also after the schema has grown."""
    if connections[using].vendor == "postgresql" and Site.objects.using(using).count() > 1:
        put_in_force(using)


def put_in_force(using: str) -> None:
    """Every separated table under its rule, its owner included. Needs the tables' owner."""
    connection = connections[using]
    quote = connection.ops.quote_name
    with transaction.atomic(using=using), connection.cursor() as cursor:
        # No table may be altered while checks of its references are put off.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table, rule in tables(using).items():
            name = quote(table)
            cursor.execute(f"DROP POLICY IF EXISTS {POLICY} ON {name}")
            cursor.execute(f"CREATE POLICY {POLICY} ON {name} USING ({rule})")
            cursor.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
            cursor.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def without(using: str) -> list[str]:
    """Separated tables that stand under no rule, or whose owner would not be bound by it."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid "
            "WHERE c.relrowsecurity AND c.relforcerowsecurity AND p.polname = %s "
            "AND c.relnamespace = current_schema()::regnamespace",
            [POLICY],
        )
        ruled = {row[0] for row in cursor.fetchall()}
    return sorted(tables(using).keys() - ruled)


def is_bound(using: str) -> bool:
    """Whether the role of this connection is held by row-level rules at all."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT NOT (rolsuper OR rolbypassrls) FROM pg_roles WHERE rolname = current_user"
        )
        return bool(cursor.fetchone()[0])
