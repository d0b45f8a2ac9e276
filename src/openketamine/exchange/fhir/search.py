"""Search: from the words of a query to a page of resources, with a fixed number of queries.

A page is found in two steps: the keys of its rows by the indexes, then their text. The next page is
asked for by the last row of this one, not by counting, so that rows which come meanwhile neither
move nor hide any.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlencode
from uuid import UUID

from django.db import connection
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from openketamine.exchange.smart.scopes import Reach

from .index import FAR_FUTURE, at, folded, span_of
from .kinds import KINDS, REVINCLUDES, SUBJECT, Include, Kind, Param, includes_of
from .models import Link, Moment, Quantity, Resource, Text, Token
from .outcomes import Problem

COUNT, MOST = 50, 500
# What one page may bring along beside its matches.
MOST_INCLUDED = 1000
_RESULT = frozenset(
    {
        "_count", "_sort", "_include", "_revinclude", "_summary", "_total", "_elements", "_format",
        "_after", "_type", "_pretty",
    }
)  # fmt: skip
_PREFIX = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?(.*)", re.DOTALL)
_MODIFIERS = {
    "token": frozenset({"", "not"}),
    "string": frozenset({"", "exact", "contains"}),
    "reference": frozenset({"", *KINDS}),
    "date": frozenset({""}),
    "quantity": frozenset({""}),
}
_NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{1,10})?")


@dataclass(frozen=True)
class Sort:
    """By what a page is ordered: a column of the resource, and which way."""

    column: Literal["id", "starts_at", "updated_at"] = "id"
    descending: bool = False


@dataclass
class Query:
    """One search, read and checked."""

    kind: Kind
    conditions: list[Q] = field(default_factory=list)
    driver: tuple[str, str, str | None] | None = None  # param, code, system: what finds best
    count: int = COUNT
    sort: Sort = field(default_factory=Sort)
    sorted: bool = False  # by the asker's wish
    after: tuple[datetime | None, int] | None = None
    summary: str = "false"
    elements: frozenset[str] = frozenset()
    includes: list[Include] = field(default_factory=list)
    revincludes: list[tuple[str, str]] = field(default_factory=list)
    with_total: bool = False
    person_id: UUID | None = None
    nobody: bool = False  # the search can find nothing
    shut: QuerySet[Any, Any] | None = None  # whose charts are closed to the asker


@dataclass(frozen=True)
class Found:
    """One page: rows in order, where the next one starts, and what comes along."""

    rows: list[Resource]
    after: str | None
    total: int | None
    included: list[Resource] = field(default_factory=list)


def read(
    kind: Kind, pairs: Iterable[tuple[str, str]], reach: Reach, *, lenient: bool = False
) -> Query:
    """Read the parameters of a search.

    Args:
        pairs: names and values, in the order of the query.
        reach: how far the token lets it search.
        lenient: leave out parameters that are not known here, instead of refusing them.

    Raises:
        Problem: one is unknown or cannot be read; 400, with its name.
    """
    query = Query(kind)
    if reach.person_id is not None and kind.in_chart:
        _only(query, reach.person_id)
    for name, value in pairs:
        check_text(name, value)
        try:
            known = _read_one(query, name, value)
        except ValueError as error:
            raise Problem(400, "invalid", f"{name}: {error}.", name) from error
        if not known and not lenient:
            offered = ", ".join(sorted({*SUBJECT.get(kind.name, ()), *_names(kind)}))
            raise Problem(
                400,
                "not-supported",
                f"{kind.name} cannot be searched by {name!r}. It can by {offered}.",
                name,
            )
    return query


def check_text(name: str, value: str) -> None:
    """Refuse what no database can be asked for."""
    if "\x00" in name or "\x00" in value:
        raise Problem(400, "invalid", "A parameter holds a NUL character.", name.strip("\x00"))


def _names(kind: Kind) -> list[str]:
    dated = [kind.date_param] if kind.date else []
    return ["_id", "_lastUpdated", *(param.name for param in kind.params), *dated]


def _only(query: Query, person_id: UUID) -> None:
    if query.person_id not in (None, person_id):
        query.nobody = True
    query.person_id = person_id


def _read_one(query: Query, name: str, value: str) -> bool:
    """Take one parameter in; False where it is none that is known."""
    if name in _RESULT:
        _read_result(query, name, value)
        return True
    if value == "":
        return True  # FHIR: an empty parameter says nothing
    bare, _, modifier = name.partition(":")
    kind = query.kind
    if bare == "_id" and not modifier:
        query.conditions.append(Q(key__in=_split(value)))
    elif bare == "_lastUpdated" and not modifier:
        query.conditions.append(_any(_by_instant(part) for part in _split(value)))
        if not query.sorted:
            # Whoever asks what is new gets it in the order in which it came, along that index.
            query.sort = Sort("updated_at")
    elif bare in SUBJECT.get(kind.name, ()) and modifier in ("", "Patient"):
        _by_patient(query, value)
    elif bare == kind.date_param and kind.date and not modifier:
        query.conditions.append(
            _any(by_span(part, "starts_at", "ends_at") for part in _split(value))
        )
    elif (param := kind.param(bare)) and modifier in _MODIFIERS[param.type]:
        _by_param(query, param, modifier, value)
    else:
        return False
    return True


def _read_result(query: Query, name: str, value: str) -> None:
    match name:
        case "_count":
            if not (value.isascii() and value.isdigit()) or len(value) > 6:
                raise ValueError(f"{value!r} is not a number from 0 to {MOST}")
            query.count = min(int(value), MOST)
            if query.count == 0:
                query.summary = "count"
        case "_sort":
            query.sort, query.sorted = _sort(query.kind, value), True
        case "_summary":
            if value not in {"count", "false", "true", "data", "text"}:
                raise ValueError("it is count, true, data, text or false")
            query.summary = value
        case "_total":
            if value not in {"none", "estimate", "accurate"}:
                raise ValueError("it is none, estimate or accurate")
            query.with_total = value != "none"
        case "_elements":
            query.elements |= {part.split(".")[0] for part in value.split(",") if part}
        case "_include":
            query.includes.append(_include(query.kind, value))
        case "_revinclude":
            kind, _, param = value.partition(":")
            if (kind, param) not in REVINCLUDES:
                offered = ", ".join(f"{k}:{p}" for k, p in REVINCLUDES)
                raise ValueError(f"{value!r} is not offered; it is one of {offered}")
            query.revincludes.append((kind, param))
        case "_after":
            query.after = _after(value)
        case "_format":
            if value not in {"json", "application/json", "application/fhir+json"}:
                raise ValueError("only JSON is spoken here")


def _sort(kind: Kind, value: str) -> Sort:
    bare = value.removeprefix("-")
    columns = {"_id": "id", "_lastUpdated": "updated_at"}
    # Those whose moment is always there: without one, a row would fall out of its page.
    if kind.date and kind.name not in {"Condition", "Procedure", "MedicationRequest"}:
        columns[kind.date_param] = columns["date"] = "starts_at"
    if bare not in columns:
        raise ValueError(f"one of {', '.join(columns)}, with - before it for descending")
    return Sort(columns[bare], value.startswith("-"))  # type: ignore[arg-type]


def _include(kind: Kind, value: str) -> Include:
    source, _, rest = value.partition(":")
    offered = includes_of(kind)
    found = offered.get(rest.partition(":")[0])
    if source != kind.name or found is None:
        names = ", ".join(f"{kind.name}:{name}" for name in offered) or "nothing"
        raise ValueError(f"{value!r} is not offered; it is one of {names}")
    return found


def _after(value: str) -> tuple[datetime | None, int]:
    """The last row of the page before: what it was ordered by, and its number."""
    moment, _, number = value.rpartition("~")
    reached = datetime.fromisoformat(moment) if moment else None
    zoned = reached is None or reached.tzinfo is not None
    if not (zoned and number.isascii() and number.isdigit()) or len(number) > 18:
        raise ValueError("take the link of the page before as it is")
    return reached, int(number)


def _split(value: str) -> list[str]:
    """Alternatives, at commas that are not escaped."""
    parts = re.split(r"(?<!\\),", value)
    if len(parts) > 200:
        raise ValueError(f"{len(parts)} alternatives are too many; ask for up to 200 at once")
    return [re.sub(r"\\([,|$\\])", r"\1", part) for part in parts if part]


def _any(conditions: Iterable[Q]) -> Q:
    found = Q()
    for condition in conditions:
        found |= condition
    return found


def _by_patient(query: Query, value: str) -> None:
    keys = []
    for part in _split(value):
        if found := re.fullmatch(r"(?:.*/)?(?:Patient/)?([0-9a-fA-F-]{32,36})", part):
            try:
                keys.append(UUID(found[1]))
            except ValueError:
                continue
    if len(keys) == 1:
        _only(query, keys[0])
    elif keys and query.person_id is None:
        query.conditions.append(Q(person_id__in=keys))
    elif query.person_id not in keys:
        query.nobody = True


def _by_param(query: Query, param: Param, modifier: str, value: str) -> None:
    name = f"{query.kind.name}.{param.name}"
    parts = _split(value)
    match param.type:
        case "token":
            wanted = [_token(part) for part in parts]
            if len(wanted) == 1 and wanted[0][1] and not modifier and query.driver is None:
                system, code = wanted[0]
                query.driver = (name, code, system)
                return
            condition = Exists(
                Token.objects.filter(
                    _any(_token_is(*one) for one in wanted), resource=OuterRef("pk"), param=name
                )
            )
            query.conditions.append(~Q(condition) if modifier == "not" else Q(condition))
        case "string":
            texts = Text.objects.filter(
                _any(_text_is(part, modifier) for part in parts), param=name
            )
            query.conditions.append(Q(pk__in=texts.values("resource_id")))
        case "reference":
            links = Link.objects.filter(_any(_link_is(part, modifier) for part in parts))
            query.conditions.append(Q(pk__in=links.filter(param=name).values("resource_id")))
        case "date":
            moments = Moment.objects.filter(
                _any(by_span(part, "low", "high") for part in parts), param=name
            )
            query.conditions.append(Q(pk__in=moments.values("resource_id")))
        case "quantity":
            quantities = Quantity.objects.filter(
                _any(_quantity_is(part) for part in parts), resource=OuterRef("pk"), param=name
            )
            query.conditions.append(Q(Exists(quantities)))


def _token(part: str) -> tuple[str | None, str]:
    """(system or None for any, code or "" for any)."""
    system, bar, code = part.partition("|")
    return (system, code) if bar else (None, part)


def _token_is(system: str | None, code: str) -> Q:
    found = Q(code=code) if code else Q()
    return found if system is None else found & Q(system=system)


def _text_is(part: str, modifier: str) -> Q:
    words = folded(part)[:200]
    if modifier == "exact":
        return Q(value=words)
    if modifier == "contains":
        return Q(value__contains=words)
    if connection.vendor == "postgresql":
        return Q(value__startswith=words)
    # SQLite's LIKE finds no beginning in an index; the order of its index does.
    return Q(value__gte=words, value__lt=words + "\U0010ffff")


def _link_is(part: str, modifier: str) -> Q:
    # An absolute address of this server ends like the relative one.
    found = re.fullmatch(r"(?:.*/)?([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})", part)
    if found:
        return Q(target=f"{found[1]}/{found[2]}")
    kinds = [modifier] if modifier else list(KINDS)
    return Q(target__in=[f"{kind}/{part}"[:120] for kind in kinds])


def _number(text: str) -> tuple[float, float]:
    """A number and half of its last digit, which it is as exact as."""
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a number")
    digits = len(text.partition(".")[2])
    return float(text), 0.5 * 10**-digits


def _quantity_is(part: str) -> Q:
    found = _PREFIX.fullmatch(part)
    assert found is not None
    prefix, rest = found[1] or "eq", found[2]
    text, *unit = rest.split("|")
    number, exact = _number(text)
    condition = {
        "eq": Q(value__gte=number - exact, value__lt=number + exact),
        "ne": Q(value__lt=number - exact) | Q(value__gte=number + exact),
        "gt": Q(value__gt=number),
        "sa": Q(value__gt=number),
        "lt": Q(value__lt=number),
        "eb": Q(value__lt=number),
        "ge": Q(value__gte=number),
        "le": Q(value__lte=number),
        "ap": Q(value__gte=number - abs(number) * 0.1, value__lte=number + abs(number) * 0.1),
    }[prefix]
    return condition & Q(unit=unit[-1]) if unit and unit[-1] else condition


def by_span(part: str, low: str, high: str) -> Q:
    """A date with its prefix, as FHIR compares spans of time."""
    found = _PREFIX.fullmatch(part)
    assert found is not None
    prefix, text = found[1] or "eq", found[2]
    first, last = span_of(text)

    def by(column: str, comparison: str, moment: datetime) -> Q:
        return Q(**{f"{column}__{comparison}": moment})

    # What ends in time has begun in time: said too, so that an index of beginnings need not be
    # walked to its end.
    within = by(low, "gte", first) & by(low, "lte", last) & by(high, "lte", last)
    margin = timedelta(days=1)
    match prefix:
        case "eq":
            return within
        case "ne":
            return by(low, "lt", first) | by(high, "gt", last)
        case "gt":
            return by(high, "gt", last)
        case "lt":
            return by(low, "lt", first)
        case "ge":
            return by(high, "gte", first)
        case "le":
            return by(low, "lte", last)
        case "sa":
            return by(low, "gt", last)
        case "eb":
            return by(high, "lt", first)
        case _:
            near = min(last, FAR_FUTURE - margin) + margin
            return by(low, "lte", near) & by(high, "gte", first - margin)


def _by_instant(part: str) -> Q:
    found = _PREFIX.fullmatch(part)
    assert found is not None
    first, last = span_of(found[2])
    match found[1] or "eq":
        case "gt" | "sa":
            return Q(updated_at__gt=last)
        case "lt" | "eb":
            return Q(updated_at__lt=first)
        case "ge":
            return Q(updated_at__gte=first)
        case "le":
            return Q(updated_at__lte=last)
        case "ne":
            return Q(updated_at__lt=first) | Q(updated_at__gt=last)
        case _:
            return Q(updated_at__gte=first, updated_at__lte=last)


def rows_of(query: Query) -> QuerySet[Resource]:
    """Every row that a query finds, in no order."""
    rows = Resource.objects.filter(*query.conditions, kind=query.kind.name, deleted_at=None)
    if query.person_id is not None:
        rows = rows.filter(person_id=query.person_id)
    if query.shut is not None and query.kind.in_chart:
        rows = rows.exclude(person_id__in=query.shut)
    if query.driver:
        param, code, system = query.driver
        tokens = Token.objects.filter(param=param, code=code)
        if system is not None:
            tokens = tokens.filter(system=system)
        if query.person_id is not None:
            # One chart is small: walk it, and look each of its rows up.
            rows = rows.filter(Exists(tokens.filter(resource=OuterRef("pk"))))
        else:
            rows = rows.filter(pk__in=tokens.values("resource_id"))
    return rows


def page_keys(query: Query) -> QuerySet[Resource, Any]:
    """The numbers of one page's rows and of one more, in its order."""
    column, down = query.sort.column, query.sort.descending
    if column == "id" and query.driver and query.person_id is None:
        return _keys_by_token(query, *query.driver)
    rows = rows_of(query)
    if query.after:
        reached, number = query.after
        beyond = "lt" if down else "gt"
        later = Q(**{f"pk__{beyond}": number})
        if column != "id":
            if reached is None:
                raise Problem(400, "invalid", "Take the link of the page before as it is.")
            later = Q(**{f"{column}__{beyond}": reached}) | (Q(**{column: reached}) & later)
        rows = rows.filter(later)
    sign = "-" if down else ""
    order = [f"{sign}id"] if column == "id" else [f"{sign}{column}", f"{sign}id"]
    if column == "starts_at":
        rows = rows.filter(starts_at__isnull=False)
    return rows.order_by(*order).values_list("pk", column)[: query.count + 1]


def _keys_by_token(
    query: Query, param: str, code: str, system: str | None
) -> QuerySet[Resource, Any]:
    """The same, walked along the index of codes in its own order: a page costs a page.

    Asked for as "those whose number is among the numbers with this code", a database first gathers
    all of these, however many the page takes.
    """
    down = query.sort.descending
    walked = {"tokens__param": param, "tokens__code": code}
    if system is not None:
        walked["tokens__system"] = system
    if query.after:
        walked[f"tokens__resource_id__{'lt' if down else 'gt'}"] = query.after[1]  # type: ignore[assignment]
    bare = replace(query, driver=None)
    # One resource may bear a code twice, of two systems.
    rows = rows_of(bare).filter(**walked)
    rows = rows.distinct() if system is None else rows
    number = F("tokens__resource_id")
    ordered = rows.order_by(number.desc() if down else number.asc())
    return ordered.values_list("tokens__resource_id", "id")[: query.count + 1]


def run(query: Query) -> Found:
    """One page. Two queries, one more for a total, and one for each kind that comes along."""
    if query.nobody:
        return Found([], None, 0)
    total = None
    if query.summary == "count" or query.with_total:
        total = rows_of(query).count()
    if query.summary == "count":
        return Found([], None, total)
    keys = list(page_keys(query))
    more = len(keys) > query.count
    keys = keys[: query.count]
    rows = _in_order([pk for pk, _ in keys])
    after = None
    if more and keys:
        pk, value = keys[-1]
        after = f"{value.isoformat()}~{pk}" if isinstance(value, datetime) else f"~{pk}"
    return Found(rows, after, total, _included(query, rows))


def _in_order(keys: Sequence[int]) -> list[Resource]:
    by_key = Resource.objects.in_bulk(keys)
    return [by_key[key] for key in keys if key in by_key]


def _included(query: Query, rows: Sequence[Resource]) -> list[Resource]:
    """What the page's rows refer to, and what refers to them, of the same chart or of nobody's."""
    have = {row.pk for row in rows}
    found: dict[int, Resource] = {}
    wanted = references(rows, query.includes)
    if wanted:
        targets = Resource.objects.filter(
            _any(Q(kind=kind, key__in=keys) for kind, keys in wanted.items()), deleted_at=None
        )
        found |= {row.pk: row for row in targets[:MOST_INCLUDED]}
    for kind, param in query.revincludes:
        if KINDS[kind].live:
            continue
        targets_of = [f"{row.kind}/{row.key}" for row in rows]
        links = Link.objects.filter(param=f"{kind}.{param}", target__in=targets_of)
        rows_in = Resource.objects.filter(pk__in=links.values("resource_id"), deleted_at=None)
        found |= {row.pk: row for row in rows_in.order_by("pk")[:MOST_INCLUDED]}
    return [row for pk, row in found.items() if pk not in have]


def references(rows: Sequence[Resource], includes: Iterable[Include]) -> dict[str, list[str]]:
    """What these rows refer to at the paths of some includes: kind to keys."""
    paths = {path for include in includes for path in include.paths}
    wanted: dict[str, set[str]] = {}
    if not paths:
        return {}
    for row in rows:
        content = json.loads(row.content)
        for path in paths:
            for value in at(content, path):
                target = value.get("reference", "") if isinstance(value, dict) else ""
                kind, slash, key = target.partition("/")
                if slash and kind in KINDS:
                    wanted.setdefault(kind, set()).add(key)
    return {kind: sorted(keys) for kind, keys in wanted.items()}


def link(base: str, pairs: Sequence[tuple[str, str]], after: str | None = None) -> str:
    """The address of a page: the same question, and where it starts."""
    asked = [(name, value) for name, value in pairs if name != "_after"]
    return f"{base}?{urlencode([*asked, *([('_after', after)] if after else [])])}".rstrip("?")


def everything(person_id: UUID | None, kinds: Sequence[str], asked: dict[str, str]) -> Found:
    """One page of a person's chart, in the order in which it came to be. Three queries at most.

    Raises:
        Problem: a parameter cannot be read.
    """
    query = Query(KINDS["Patient"], count=COUNT)
    rows = Resource.objects.filter(person_id=person_id, kind__in=kinds, deleted_at=None)
    for name, value in asked.items():
        try:
            match name:
                case "_count" | "_after" | "_format":
                    _read_result(query, name, value)
                case "_since":
                    rows = rows.filter(updated_at__gte=span_of(value)[0])
                case "start" | "end":
                    first, last = span_of(value)
                    inside = Q(ends_at__gte=first) if name == "start" else Q(starts_at__lte=last)
                    rows = rows.filter(inside | Q(starts_at=None))
                case "_type":
                    continue
                case _:
                    raise ValueError("it is not known here")
        except ValueError as error:
            raise Problem(400, "invalid", f"{name}: {error}.", name) from error
    if query.after:
        rows = rows.filter(pk__gt=query.after[1])
    count = max(query.count, 1)
    found = list(rows.order_by("pk")[: count + 1])
    page = found[:count]
    includes = [Include("", "", _NAMED)]
    wanted = references(page, includes)
    shared = Resource.objects.filter(
        _any(Q(kind=kind, key__in=keys) for kind, keys in wanted.items()),
        kind__in=("Practitioner", "Organization"),
        deleted_at=None,
    )
    return Found(
        page,
        f"~{page[-1].pk}" if len(found) > count else None,
        None,
        list(shared) if wanted else [],
    )


# Where a chart names whom and what it does not hold itself.
_NAMED = (
    "managingOrganization", "serviceProvider", "author", "requester", "performer",
    "performer.actor", "custodian", "organization", "contributor", "source",
)  # fmt: skip
