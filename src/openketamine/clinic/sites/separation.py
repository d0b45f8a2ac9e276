"""Which tables hang on a patient or a site, found from the models, and the filter of each.

A row is admitted where its own site is (`ROOTS`), or where the row is that it hangs on. `install`
gives every such model a manager that keeps to the scope, so nobody can forget it. A model's base
manager does not filter: from a row that one may see, its own parts can always be reached.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.apps import apps
from django.core.exceptions import FullResultSet
from django.db import models
from django.db.models.expressions import Col, Expression

from .models import FIRST, Site
from .scope import UNKNOWN, Scope, current

PERSON = "people.Person"
# Each has a field `site`; a device that has not been placed yet is of no site, and known to all.
ROOTS = (PERSON, "treatment_sessions.Chair", "devices.Device")
# Tables that name a patient without a reference, so that a fact outlives what it is about.
_BY_ID = "person_id"

Model = type[models.Model]


@dataclass(frozen=True)
class Hang:
    """One column by which a row hangs on another that is separated."""

    column: str
    parent: Model
    optional: bool


@cache
def hangs() -> dict[Model, tuple[Hang, ...]]:
    """Every model that is separated, roots first, with what its rows hang on (a root: nothing).

    By one column that is always filled, the nearest to the patient, where there is one; else by all
    that may be filled, and a row with none of them is nobody's, and known to all.
    """
    person, *others = (apps.get_model(label) for label in ROOTS)
    found: dict[Model, tuple[Hang, ...]] = {person: ()}
    every = [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy
    ]
    _place(every, found, person)
    found |= dict.fromkeys(others, ())
    _place(every, found, person)
    return found


def _place(every: list[Model], found: dict[Model, tuple[Hang, ...]], person: Model) -> None:
    waiting = _reaching([model for model in every if model not in found], found, person)
    while waiting:
        placed: dict[Model, tuple[Hang, ...]] = {}
        for model in waiting:
            sure = [hang for hang in _hangs_of(model, found, person) if not hang.optional]
            if sure:
                placed[model] = (sure[0],)
        if not placed:
            for model in waiting:
                might = tuple(_hangs_of(model, found, person))
                # What else it may hang on has its turn first.
                if might and not any(_hangs_of(model, waiting, None)):
                    placed[model] = might
        if not placed:
            raise TypeError(f"These hang on each other: {waiting}. Say which hangs on which.")
        found |= placed
        waiting = [model for model in waiting if model not in placed]


def _reaching(models_: list[Model], found: dict[Model, tuple[Hang, ...]], person: Model) -> list:
    """Those from which a chain of references, filled or not, leads to what was found."""
    reaching: list[Model] = []
    while fresh := [
        model
        for model in models_
        if model not in reaching and any(_hangs_of(model, [*found, *reaching], person))
    ]:
        reaching += fresh
    return reaching


def _hangs_of(model: Model, parents: Any, person: Model | None) -> Iterator[Hang]:
    """By which columns it hangs on these, in the order in which they were found."""
    if person is not None:
        for field in model._meta.concrete_fields:
            if field.name == _BY_ID and isinstance(field, models.UUIDField):
                yield Hang(field.column, person, field.null)
    places = {parent: place for place, parent in enumerate(parents)}
    references = [
        field
        for field in model._meta.concrete_fields
        if field.is_relation and field.related_model in places and field.related_model is not model
    ]
    for field in sorted(references, key=lambda each: places[each.related_model]):
        yield Hang(field.column, field.related_model, field.null)


def admits(model: Model, row: str, scope: Scope, quote: Any) -> str:
    """SQL that is true of the rows of a model that a scope reaches. `row` names them."""
    return _condition(model, row, scope, quote, 1)


def _condition(model: Model, row: str, scope: Scope, quote: Any, depth: int) -> str:
    columns = hangs()[model]
    if not columns:
        return _of_root(model, row, scope, quote)
    clauses = []
    for hang in columns:
        column, parent = f"{row}.{quote(hang.column)}", hang.parent
        other, key = quote(f"S{depth}"), quote(parent._meta.pk.column)
        rest = _condition(parent, other, scope, quote, depth + 1)
        # Names of tables and columns, all from the models, and keys that are numbers.
        clause = (
            f"EXISTS (SELECT 1 FROM {quote(parent._meta.db_table)} {other} "  # noqa: S608
            f"WHERE {other}.{key} = {column} AND {rest})"
        )
        clauses.append(f"({column} IS NULL OR {clause})" if hang.optional else clause)
    return " AND ".join(clauses)


def _of_root(model: Model, row: str, scope: Scope, quote: Any) -> str:
    site = model._meta.get_field("site")
    column = f"{row}.{quote(site.column)}"
    if scope == UNKNOWN:
        table = quote(Site._meta.db_table)
        return f"NOT EXISTS (SELECT 1 FROM {table} WHERE {quote('id')} <> {FIRST})"  # noqa: S608
    ids = ", ".join(str(int(pk)) for pk in sorted(scope.sites or ()))
    clauses = [f"{column} IN ({ids})"] if ids else []
    if site.null:
        clauses.append(f"{column} IS NULL")
    if scope.people and model is apps.get_model(PERSON):
        keys = ", ".join(f"'{pk.hex}'" for pk in sorted(scope.people))
        clauses.append(f"{row}.{quote(model._meta.pk.column)} IN ({keys})")
    return f"({' OR '.join(clauses)})" if clauses else "1 = 0"


class Admitted(Expression):
    """True of the rows that the scope reaches, as it is when the query runs.

    No SQL at all where it reaches every row.
    """

    conditional = True

    def __init__(self, model: Model, column: Col | None = None) -> None:
        super().__init__(output_field=models.BooleanField())
        self.model = model
        self.column = column or Col(model._meta.db_table, model._meta.pk)

    def get_source_expressions(self) -> list[Any]:
        return [self.column]

    def set_source_expressions(self, exprs: list[Any]) -> None:
        (self.column,) = exprs

    def as_sql(self, compiler: Any, connection: Any, **kwargs: Any) -> tuple[str, list[Any]]:
        scope = current()
        if scope.is_whole:
            raise FullResultSet
        row = compiler.quote_name_unless_alias(self.column.alias)
        return admits(self.model, row, scope, connection.ops.quote_name), []


@cache
def _admitted(model: Model) -> Admitted:
    return Admitted(model)


class SeparateManager(models.Manager[Any]):
    """Gives the rows that the scope reaches, and no others."""

    def get_queryset(self) -> models.QuerySet[Any]:
        queryset = super().get_queryset()
        query: Any = queryset.query
        query.get_initial_alias()
        # Without a `filter`, which would cost more than the rest of the queryset.
        query.where.children.append(_admitted(self.model))
        return queryset


def install() -> None:
    """Give every separated model its manager. Once, when all models are known."""
    for model in hangs():
        if isinstance(model._default_manager, SeparateManager):
            continue
        if [manager.name for manager in model._meta.managers] != ["objects"] or (
            type(model._default_manager) is not models.Manager
        ):
            raise TypeError(f"{model.__name__} has a manager of its own; build it on ours.")
        model._meta.local_managers = []
        model.add_to_class("objects", SeparateManager())
