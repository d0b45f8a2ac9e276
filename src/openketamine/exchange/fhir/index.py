"""From a resource's content to the values by which it is found, and from a search's words to such.

Pure: dictionaries and text in, values out.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from .kinds import Kind

_DATE = re.compile(
    r"(\d{4})(?:-(\d{2})(?:-(\d{2})"
    r"(?:T(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(Z|[+-]\d{2}:\d{2})?)?)?)?"
)
FAR_PAST = datetime(1, 1, 2, tzinfo=UTC)
FAR_FUTURE = datetime(9999, 12, 30, tzinfo=UTC)
LONGEST = 200


@dataclass
class Values:
    """What one resource is found by: parameter to values."""

    tokens: set[tuple[str, str, str]] = field(default_factory=set)
    texts: set[tuple[str, str]] = field(default_factory=set)
    moments: set[tuple[str, datetime, datetime]] = field(default_factory=set)
    links: set[tuple[str, str]] = field(default_factory=set)
    quantities: set[tuple[str, float, str]] = field(default_factory=set)
    starts_at: datetime | None = None
    ends_at: datetime | None = None


def values_of(kind: Kind, content: dict[str, Any]) -> Values:
    """Everything that a resource is found by."""
    found = Values()
    for param in kind.params:
        name = f"{kind.name}.{param.name}"
        for path in param.paths:
            for value in at(content, path):
                match param.type:
                    case "token":
                        found.tokens.update(
                            (name, system[:LONGEST], code[:LONGEST])
                            for system, code in _tokens(value)
                        )
                    case "string":
                        found.texts.update(
                            (name, folded(words)[:LONGEST]) for words in _texts(value)
                        )
                    case "reference":
                        if isinstance(value, dict) and "reference" in value:
                            found.links.add((name, str(value["reference"])[:120]))
                    case "date":
                        if span := _span(value):
                            found.moments.add((name, *span))
                    case "quantity":
                        if "value" in value:
                            found.quantities.add(
                                (name, float(value["value"]), str(value.get("code", ""))[:40])
                            )
    for path in filter(None, kind.date.split(",")):
        for value in at(content, path):
            if span := _span(value):
                found.starts_at, found.ends_at = span
    return found


def at(content: Any, path: str) -> Iterator[Any]:
    """Every value at a dotted path; lists are walked. `telecom[phone]` keeps one system's."""
    name, _, rest = path.partition(".")
    name, _, system = name.partition("[")
    value = content.get(name) if isinstance(content, dict) else None
    for item in value if isinstance(value, list) else [value]:
        if item is None or (system and item.get("system") != system.rstrip("]")):
            continue
        if rest:
            yield from at(item, rest)
        else:
            yield item


def _tokens(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, bool):
        yield "", str(value).lower()
    elif isinstance(value, str):
        yield "", value
    elif "coding" in value:
        for coding in value["coding"]:
            yield from _tokens(coding)
    elif "code" in value:
        yield value.get("system", ""), value["code"]
    elif "value" in value:  # an Identifier or a ContactPoint
        yield value.get("system", ""), value["value"]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        return
    for name in ("text", "family", "given", "line", "city", "state", "postalCode"):
        part = value.get(name)
        for words in part if isinstance(part, list) else [part]:
            if words:
                yield words


def folded(words: str) -> str:
    """In lower case and without accents, as texts are compared."""
    plain = unicodedata.normalize("NFKD", words)
    return "".join(c for c in plain if not unicodedata.combining(c)).casefold()


def _span(value: Any) -> tuple[datetime, datetime] | None:
    if isinstance(value, dict):
        start = span_of(value["start"])[0] if value.get("start") else FAR_PAST
        end = span_of(value["end"])[1] if value.get("end") else FAR_FUTURE
        return start, end
    return span_of(value)


def span_of(text: str) -> tuple[datetime, datetime]:
    """The first and the last moment of a FHIR date, as precisely as it is written.

    Raises:
        ValueError: it is no date.
    """
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a date: write YYYY, YYYY-MM, YYYY-MM-DD or with a time")
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    offset = (
        UTC if zone in (None, "Z") else datetime.fromisoformat(f"2000-01-01T00:00{zone}").tzinfo
    )
    micro = int((fraction or "0").ljust(6, "0")[:6])
    start = datetime(
        int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0),
        int(second or 0), micro, tzinfo=offset,
    )  # fmt: skip
    return _in_utc(start), _in_utc(_end_of(start, month, day, hour, second, fraction), last=True)


def _end_of(start: datetime, *written: str | None) -> datetime | None:
    """The first moment that a date no longer covers; None where the calendar ends before it."""
    month, day, hour, second, fraction = written
    try:
        if not month:
            return start.replace(month=12, day=31) + timedelta(days=1)
        if not day:
            return (start + timedelta(days=32)).replace(day=1)
        if hour is None:
            return start + timedelta(days=1)
        if second is None:
            return start + timedelta(minutes=1)
        return start + (timedelta(seconds=1) if fraction is None else timedelta(milliseconds=1))
    except OverflowError:
        return None


def _in_utc(moment: datetime | None, *, last: bool = False) -> datetime:
    """A moment in UTC; at the edges of the calendar, the edge. `last` is the moment before it."""
    if moment is None:
        return FAR_FUTURE
    try:
        there = moment.astimezone(UTC) - timedelta(microseconds=last)
    except OverflowError:
        return FAR_PAST if moment.year < 1000 else FAR_FUTURE
    return min(max(there, FAR_PAST), FAR_FUTURE)
