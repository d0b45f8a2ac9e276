"""The library as one list: what it holds, what an overlay changes, which rows it encodes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from openketamine.words import _, _noop, in_english

from . import schema
from .files import parse, read

if TYPE_CHECKING:
    from .library import Library


@dataclass(frozen=True)
class CatalogueEntry:
    """One thing that the library says. What an entry does not state is empty or None."""

    kind: str
    id: str
    area: str
    statement: str
    source: str
    certainty: str
    authority: str
    refs: tuple[str, ...]
    jurisdiction: str
    effective_from: date | None
    effective_to: date | None
    reviewed_on: date
    review_by: date
    file: str
    content: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """For machines, dates as ISO text."""
        dates = ("effective_from", "effective_to", "reviewed_on", "review_by")
        iso = {name: value and value.isoformat() for name in dates if (value := vars(self)[name])}
        return {**vars(self), "refs": list(self.refs), **iso}


def entries(library: Library) -> list[CatalogueEntry]:
    """Every entry, in the order of care, in English."""
    with in_english():
        return [found.as_entry() for found in _walk(library)]


def policy(library: Library) -> list[tuple[CatalogueEntry, str, str]]:
    """What counts only once the director has signed it: (entry, words to sign, what about).

    In the reader's language; what is signed is the English (see `Library.policy`).
    """
    signed = []
    for found in _walk(library):
        entry = found.as_entry()
        if isinstance(found.item, schema.Document):
            if not any(point.certainty in schema.UNCHECKED for point in _points(found.item)):
                continue
        elif entry.authority != "clinic policy":
            continue
        signed.append((entry, _to_sign(found, entry), _about(found)))
    return signed


ALL_ROUTES = "all routes"
# Headings that are made of the name of a file.
HEADINGS = (
    _noop("Eligibility, conditions"),
    _noop("Eligibility, contraindications"),
    _noop("Eligibility, home"),
    _noop("Eligibility, medicines"),
    _noop("Eligibility, precautions"),
    _noop("Eligibility, tests"),
    _noop("Alarms"),
    _noop("At home"),
    _noop("Calls"),
    _noop("Outcomes"),
    _noop("Reviews"),
    _noop("Staging"),
    _noop("Therapy"),
)
# Tests by the name under which their ages are signed.
TESTS = (
    _noop("weight_kg"),
    _noop("systolic_mmhg"),
    _noop("diastolic_mmhg"),
    _noop("ecg"),
    _noop("alt_u_per_l"),
    _noop("ast_u_per_l"),
    _noop("ggt_u_per_l"),
    _noop("bilirubin_umol_per_l"),
    _noop("alp_u_per_l"),
    _noop("albumin_g_per_l"),
    _noop("pregnancy_test"),
    _noop("urine_drug_screen"),
    _noop("thyroid_test"),
    _noop("urinalysis"),
)
# Lists whose members carry no marks of their own: they stand under those of their list.
_CONTAINERS = (schema.Medicines, schema.SideEffects, schema.MeasurementPlan)
_UNDER_A_LIST = (schema.Medicine, schema.SideEffect, schema.Occasion)
# Questions state nothing, and a text marks each of its sentences.
_UNMARKED = (schema.FactDefinition, schema.Document)

# What an entry is called, where the name of its class does not say it.
_KINDS: dict[type[BaseModel], str] = {
    schema.FactDefinition: "fact",
    schema.CodeLists: "codes",
    schema.MissedRule: "missed session",
    schema.Branch: "what to do",
    schema.AfterCareRule: "after-care",
    schema.ChecklistItem: "pre-session check",
    schema.ObservationRule: "observation",
    schema.LateRule: "observation",
    schema.DischargeCriterion: "discharge",
    schema.InstrumentFile: "instrument",
    schema.Occasion: "measurement",
    schema.Says: "what speaks for a decision",
}


@dataclass(frozen=True)
class _Found:
    """An entry where it stands."""

    name: str
    file: Any
    item: Any
    area: str
    parent: Any  # the entry that it belongs to
    place: str  # the field in which it stands, with its number in a list
    origin: Any  # the list whose marks it carries

    def stated(self, what: str, default: Any = "") -> Any:
        return getattr(self.item, what, None) or getattr(self.origin, what, None) or default

    def as_entry(self) -> CatalogueEntry:
        refs = refs_of(self.stated("ref", None))
        if isinstance(self.item, schema.Document):
            named = (ref for point in _points(self.item) for ref in refs_of(point.ref))
            refs = tuple(dict.fromkeys(named))
        return CatalogueEntry(
            kind=_kind(self.item, self.parent),
            id=_key(self),
            area=self.area,
            statement=_statement(self),
            source=self.stated("source"),
            certainty=self.stated("certainty"),
            authority=self.stated("authority"),
            refs=refs,
            jurisdiction=self.stated("jurisdiction", "any"),
            effective_from=self.stated("effective_from", None),
            effective_to=self.stated("effective_to", None),
            reviewed_on=getattr(self.item, "reviewed_on", None) or self.file.reviewed_on,
            review_by=getattr(self.item, "review_by", None) or self.file.review_due,
            file=self.name,
            content=_content(self),
        )


def _walk(library: Library) -> Iterator[_Found]:
    order = list(schema.FILES.values())
    for name, file in sorted(
        library.parts.items(), key=lambda part: (order.index(type(part[1])), part[0])
    ):
        yield from _within(_Found(name, file, file, getattr(file, "route", ""), None, "", None))


def _within(here: _Found) -> Iterator[_Found]:
    """The entry itself, where it is one, then those that stand in it."""
    item = here.item
    parent, area, origin = here.parent, here.area, here.origin
    if _is_entry(item):
        area = area or getattr(item, "route", "") or getattr(item, "section", "") or ""
        area = area or ", ".join(getattr(item, "routes", ()))
        if isinstance(item, schema.Stance):
            routes = parent.routes_of(item)
            area = ALL_ROUTES if len(routes) == len(schema.ROUTES) else ", ".join(routes)
        here = replace(here, area=area)
        yield here
        parent = item
    elif isinstance(item, _CONTAINERS):
        origin = item
    elif isinstance(item, schema.ByRoute):  # each of its stances is an entry
        parent = origin = item
    for field in type(item).model_fields:
        value = getattr(item, field)
        several = value.values() if isinstance(value, dict) else value
        members = several if isinstance(value, tuple | list | dict) else (value,)
        for number, member in enumerate(members, 1):
            if isinstance(member, BaseModel):
                place = field if member is value else f"{field}-{number}"
                yield from _within(
                    _Found(here.name, here.file, member, area, parent, place, origin)
                )


def _is_entry(item: Any) -> bool:
    if isinstance(item, (*_UNDER_A_LIST, *_UNMARKED, schema.Stance)):
        return True
    return isinstance(item, schema.Sourced) and not isinstance(item, (*_CONTAINERS, schema.Point))


def _content(found: _Found) -> dict[str, Any]:
    item = found.parent if isinstance(found.item, schema.Stance) else found.item
    content: dict[str, Any] = item.model_dump(mode="json", exclude_defaults=True, by_alias=True)
    return content


def _kind(item: Any, parent: Any) -> str:
    match item:
        case schema.Stance():
            rule = isinstance(parent, schema.EligibilityRule)
            return parent.finding_of(item) if rule else "required fact"
        case schema.Threshold():
            return f"{item.priority} threshold"
        case schema.Document():
            return item.kind
        case schema.AlarmRule():
            return "alarm"
        case schema.CallRule():
            return "call"
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(item).__name__).lower()
    return _KINDS.get(type(item), words)


def _key(found: _Found) -> str:
    """Its own id, or one made of what it belongs to."""
    item, area = found.item, found.area.replace(", ", "-")
    match item:
        case schema.Emergency():
            return "AL-EMERGENCY"
        case schema.Stance():
            return str(found.parent.named(item))
        case schema.Occasion():
            return f"measure-{item.id}"
        case schema.SideEffect() | schema.Medicine():
            return f"{area}-{item.id}"
        case schema.Shares():
            return f"{area}-shares-{found.name.partition('/')[0]}"
        case schema.Rhythm():
            return f"rhythm-{item.id}"
        case schema.Phase():
            return f"{found.parent.id}-{item.id}"
        case schema.Vial():
            return f"{found.parent.id} {item.concentration_mg_per_ml:g} mg/mL"
    if own := getattr(item, "id", None):
        return str(own)
    if isinstance(item, schema.ObservationRule):
        return f"{area}-{item.phase}"
    above = getattr(found.parent, "id", None) or area or found.name.removesuffix(".yaml")
    return f"{above}-{found.place}"


def _statement(found: _Found) -> str:
    item = found.item
    match item:
        case schema.FactDefinition():
            return _(item.question or item.label)
        case schema.ChecklistItem():
            return _(item.question)
        case schema.Device():
            device = _("Device of %(content)s mg in %(volume)s mL.") % {
                "content": f"{item.content_mg:g}",
                "volume": f"{item.volume_ml:g}",
            }
            return f"{device} {_(item.note)}".strip()
        case schema.Vial():
            vial = _("Vial of %(strength)s mg/mL.") % {
                "strength": f"{item.concentration_mg_per_ml:g}"
            }
            return f"{vial} {_(item.note)}".strip()
        case schema.SideEffect():
            return _(item.label)
        case schema.Medicine():
            return f"{_(item.label)} ({_(item.purpose)}), {_(item.usual)}"
        case schema.Occasion():
            if item.statement:
                return _(item.statement)
            return _("%(occasion)s: %(forms)s") % {
                "occasion": _(item.label),
                "forms": ", ".join(item.every_instrument),
            }
        case schema.Document():
            return _("%(title)s, version %(version)s") % {
                "title": _(item.title),
                "version": item.version,
            }
        case schema.InstrumentFile():
            return _(item.name)
        case schema.Stance():
            return _(found.parent.statement)
    return _(str(getattr(item, "statement", "") or getattr(item, "label", "") or found.place))


def _to_sign(found: _Found, entry: CatalogueEntry) -> str:
    item = found.item
    match item:
        case schema.Stance():
            rule = isinstance(found.parent, schema.EligibilityRule)
            routes = f" ({found.area})" if found.area != ALL_ROUTES else ""
            return f"{_(entry.kind) if rule else _('Must be known')}: {entry.statement}{routes}"
        case schema.TestAges():
            limits = ", ".join(f"{_(name)} {days}" for name, days in item.days.items())
            return f"{entry.statement}: {limits}"
        case schema.ChecklistItem():
            return _("Before the drug: %(question)s") % {"question": _(item.question)}
        case schema.Shares():
            answers = found.file.responses if hasattr(found.file, "responses") else {}
            words = [f"{_(priority)}: {_(answer)}" for priority, answer in answers.items()]
            return " ".join([f"{_(item.statement)}.", *words])
        case schema.Threshold():
            if item in getattr(found.file, "before", ()):
                return _("Before the drug: %(limit)s: the prescriber decides") % {
                    "limit": _(item.statement)
                }
            answer = found.file.responses[item.priority]
            return f"{_(item.statement)} ({_(item.priority)}): {_(answer)}"
        case schema.HomeRule():
            return f"{_(item.statement)} [{item.value:g} {_(item.unit)}]"
        case schema.AlarmRule() | schema.CallRule():
            return str(next(words for _key, rule, words in found.file.rules() if rule is item))
        case schema.Medicine():
            return _("Medicine at hand: %(medicine)s, %(usual)s") % {
                "medicine": _(item.label),
                "usual": _(item.usual),
            }
        case schema.Document():
            proposed = sum(point.certainty in schema.UNCHECKED for point in _points(item))
            return _(
                "The text “%(title)s”, version %(version)s, in which %(count)d statements rest on "
                "clinic policy"
            ) % {"title": _(item.title), "version": item.version, "count": proposed}
    return entry.statement


def _about(found: _Found) -> str:
    """The heading under which the director reads it."""
    match found.file:
        case schema.FactsFile() | schema.IngredientsFile():
            return _("Referrals")
        case schema.EligibilityFile():
            about = found.name.partition("/")[2].removesuffix(".yaml")
            return _(f"Eligibility, {about}")
        case schema.JurisdictionFile():
            return _("Law, %(place)s") % {"place": _(found.file.name)}
        case schema.ProgrammesFile():
            return _("Programmes")
        case schema.RegimensFile():
            regimen = found.item if found.parent is None else found.parent
            name = getattr(regimen, "name", "")
            if not name:
                return _("Rhythms, talk therapy and long-term care")
            return _("Regimen, %(name)s") % {"name": _(name)}
        case schema.MonitoringFile():
            return _("Session, %(route)s") % {"route": found.area}
        case schema.DischargeFile():
            return _("Discharge, %(route)s") % {"route": found.area}
        case schema.MeasurementPlan():
            return _("Measurements")
        case schema.EducationFile():
            return _("Documents, %(route)s") % {"route": found.area}
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(found.file).__name__.removesuffix("File"))
    return _(words.capitalize()) + (f", {found.area}" if found.area else "")


def _points(document: schema.Document) -> Iterator[schema.Point]:
    for section in document.sections:
        yield from section.points


def refs_of(ref: str | None) -> tuple[str, ...]:
    """The reference rows that an entry names."""
    return tuple(part.strip() for part in (ref or "").split(",") if part.strip())


def find(library: Library, key: str) -> CatalogueEntry | None:
    """An entry by its id, whatever its kind and however it is capitalised."""
    wanted, found = key.lower(), entries(library)
    exact = (e for e in found if e.id.lower() == wanted)
    # A rule with several stances by its own id: the first of them, whose content is the whole rule.
    whole = (e for e in found if e.id.lower().split(":")[0] == wanted)
    return next(exact, None) or next(whole, None)


@dataclass(frozen=True)
class FieldChange:
    """One value that differs; None stands for "not there"."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True)
class EntryChange:
    """One entry that differs between two libraries. `entry` is the file where no entry is named."""

    file: str
    entry: str
    act: str  # changed, added or retired
    statement: str
    because: str
    fields: tuple[FieldChange, ...]

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "fields": [vars(field) for field in self.fields]}


def diff(before: Library, after: Library) -> list[EntryChange]:
    """Everything that differs, entry by entry, in the order of the files, down to the field.

    A condition is one value: half of it says nothing.
    """
    reasons = {(gone.file, gone.entry): gone.because for gone in after.departures}
    changes = []
    for name in sorted({*before.parts, *after.parts}):
        found: dict[str, list[FieldChange]] = {}
        _compare("", "", _plain(before, name), _plain(after, name), found)
        for entry, fields in found.items():
            act, said = _act(fields)
            key = entry or name
            changes.append(
                EntryChange(
                    name,
                    key,
                    act,
                    said or _said_by(after, before, name, entry),
                    reasons.get((name, key), ""),
                    tuple(fields) if act == "changed" else (),
                )
            )
    return changes


def _act(fields: list[FieldChange]) -> tuple[str, str]:
    """Whether an entry is new, gone or changed, and what a whole one says."""
    if len(fields) == 1 and not fields[0].field:
        there, gone = fields[0].after, fields[0].before
        whole = gone if there is None else there
        said = whole if isinstance(whole, dict) else {}
        words = said.get("statement") or said.get("question") or said.get("label")
        return ("retired" if there is None else "added", str(words or said.get("name") or ""))
    return "changed", ""


def _said_by(after: Library, before: Library, file: str, entry: str) -> str:
    for library in (before, after):
        for each in entries(library):
            if (each.file, each.id) == (file, entry):
                return each.statement
    return ""


def _plain(library: Library, name: str) -> Any:
    part = library.parts.get(name)
    return None if part is None else part.model_dump(mode="json", by_alias=True)


def _compare(
    entry: str, field: str, before: Any, after: Any, found: dict[str, list[FieldChange]]
) -> None:
    """Note what differs under the entry in whose field it stands."""
    if before == after:
        return
    old, new = _members(before), _members(after)
    if old is None or new is None or field in schema.WHOLE:
        found.setdefault(entry, []).append(FieldChange(field, before, after))
        return
    in_list = isinstance(before, list)
    for key in dict.fromkeys((*old, *new)):
        if in_list and not key.isdigit():
            _compare(key, "", old.get(key), new.get(key), found)
        else:
            path = f"{field}.{key}" if field else key
            _compare(entry, path, old.get(key), new.get(key), found)


def _members(value: Any) -> dict[str, Any] | None:
    """What a value is compared by: keys, the names of a list's members, or their places."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        return None
    for key in schema.NAMED_BY:
        names = [str(part.get(key) or "") for part in value]
        if names and all(names) and len(set(names)) == len(names):
            return dict(zip(names, value, strict=True))
    return {str(number): part for number, part in enumerate(value, 1)}


@dataclass(frozen=True)
class Due:
    """Something in the library that a day has overtaken, or soon will."""

    file: str
    entry: str
    on: date
    what: str


def due(library: Library, on: date, *, within: timedelta = timedelta(days=60)) -> list[Due]:
    """What has lapsed or soon will, and what should have been reviewed, the most pressing first."""
    found = []
    for entry in entries(library):
        if entry.effective_to and entry.effective_to < on:
            found.append(Due(entry.file, entry.id, entry.effective_to, _noop("has lapsed since")))
        elif entry.effective_to and entry.effective_to <= on + within:
            found.append(Due(entry.file, entry.id, entry.effective_to, _noop("lapses after")))
    files = {entry.file: library.parts[entry.file] for entry in entries(library)}
    own = {(e.file, e.id): e.review_by for e in entries(library)}
    for name, file in files.items():
        limit = getattr(file, "review_due", None)
        if limit and limit < on:
            found.append(Due(name, "", limit, _noop("should have been reviewed by")))
        for (where, entry_id), day in own.items():
            if where == name and day != limit and day < on:
                found.append(Due(name, entry_id, day, _noop("should have been reviewed by")))
    return sorted(found, key=lambda each: each.on)


class CoverageRow(schema.Strict):
    """One row of the clinical reference. `left_out` says why, where no entry encodes it."""

    id: str
    about: str
    certainty: str
    left_out: str = ""


class CoverageFile(schema.Strict):
    reviewed_on: date
    rows: tuple[CoverageRow, ...]


@dataclass(frozen=True)
class Coverage:
    row: CoverageRow
    entries: tuple[str, ...]


def coverage(library: Library) -> list[Coverage]:
    """Every row of the clinical reference with the entries that encode it."""
    text = (files("openketamine.protocols") / "coverage.yaml").read_text(encoding="utf-8")
    rows = read(parse("coverage.yaml", "coverage.yaml", text), CoverageFile).rows
    encoded: dict[str, list[str]] = {}
    for entry in entries(library):
        for ref in entry.refs:
            encoded.setdefault(ref, []).append(entry.id)
    return [Coverage(row, tuple(encoded.pop(row.id, ()))) for row in rows]
