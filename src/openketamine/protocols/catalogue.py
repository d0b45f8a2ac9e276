"""The library as one list: what it holds, what an overlay changes, which rows it encodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from importlib.resources import files
from typing import Any

import yaml
from pydantic import BaseModel

from . import schema
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
    """Every entry, in the order of care."""
    return list(_entries(library))


def _entries(library: Library) -> Iterator[CatalogueEntry]:
    by_model: dict[type[BaseModel], list[tuple[str, Any]]] = {}
    for name, part in library.parts.items():
        by_model.setdefault(type(part), []).append((name, part))

    def entry(
        file: tuple[str, Any],
        kind: str,
        key: str,
        item: BaseModel,
        statement: str,
        area: str = "",
        origin: Any = None,
    ) -> CatalogueEntry:
        def stated(name: str, default: Any = "") -> Any:
            return getattr(item, name, None) or getattr(origin, name, None) or default

        return CatalogueEntry(
            kind=kind,
            id=key,
            area=area,
            statement=statement,
            source=stated("source"),
            certainty=stated("certainty"),
            authority=stated("authority"),
            refs=refs_of(stated("ref", None)),
            jurisdiction=stated("jurisdiction", "any"),
            effective_from=stated("effective_from", None),
            effective_to=stated("effective_to", None),
            reviewed_on=getattr(item, "reviewed_on", None) or file[1].reviewed_on,
            review_by=getattr(item, "review_by", None) or file[1].review_due,
            file=file[0],
            content=item.model_dump(mode="json", exclude_none=True, by_alias=True),
        )

    for file in by_model[schema.FactsFile]:
        for fact in file[1].facts:
            yield entry(file, "fact", fact.id, fact, fact.question or fact.label, fact.section)
        codes = file[1].codes
        yield entry(file, "codes", "CODES", codes, codes.statement)
    for file in by_model[schema.EligibilityFile]:
        area = ", ".join(file[1].routes)
        for need in file[1].required:
            yield entry(file, "required fact", f"REQ-{need.fact}", need, need.statement, area)
        for rule in file[1].rules:
            yield entry(file, rule.finding, rule.id, rule, rule.statement, area)
    for file in by_model[schema.RegimensFile]:
        for regimen in file[1].regimens:
            area = regimen.route
            yield entry(file, "regimen", regimen.id, regimen, regimen.statement, area)
            course = regimen.course
            yield entry(file, "course", f"{regimen.id}-course", course, course.statement, area)
            for limit in regimen.limits:
                yield entry(file, "limit", limit.id, limit, limit.statement, area)
            for vial in regimen.vials:
                strength = f"{vial.concentration_mg_per_ml:g} mg/mL"
                statement = f"Vial of {strength}. {vial.note}".strip()
                yield entry(file, "vial", f"{regimen.id} {strength}", vial, statement, area)
            for advice in regimen.guidance:
                yield entry(file, "guidance", advice.id, advice, advice.statement, area)
    for file in by_model[schema.MonitoringFile]:
        plan, area = file[1], file[1].route
        for item in plan.presession:
            yield entry(file, "pre-session check", item.id, item, item.question, area)
        for due in plan.schedule:
            yield entry(file, "observation", f"{area}-{due.phase}", due, due.statement, area)
        late = plan.late_after_min
        yield entry(file, "observation", f"{area}-late", late, late.statement, area)
        for limit in plan.thresholds:
            yield entry(file, f"{limit.priority} threshold", limit.id, limit, limit.statement, area)
        for effect in plan.side_effects.items:
            key, origin = f"{area}-{effect.id}", plan.side_effects
            yield entry(file, "side effect", key, effect, effect.label, area, origin)
        for medicine in plan.medicines.items:
            statement = f"{medicine.label} ({medicine.purpose}), {medicine.usual}"
            yield entry(file, "medicine", medicine.id, medicine, statement, area, plan.medicines)
        for advice in plan.guidance:
            yield entry(file, "guidance", advice.id, advice, advice.statement, area)
    for file in by_model[schema.AlarmsFile]:
        for key, rule_, statement in file[1].rules():
            yield entry(file, "alarm", key, rule_, statement)
    for file in by_model[schema.DischargeFile]:
        for criterion in file[1].criteria:
            yield entry(
                file, "discharge", criterion.id, criterion, criterion.statement, file[1].route
            )
    for file in by_model[schema.InstrumentFile]:
        yield entry(file, "instrument", file[1].id, file[1], file[1].name)
    for file in by_model[schema.MeasurementPlan]:
        for occasion in file[1].occasions:
            statement = occasion.statement or ", ".join(
                library.instruments[name].short_name for name in occasion.instruments
            )
            key = f"measure-{occasion.id}"
            yield entry(file, "measurement", key, occasion, statement, "", file[1])
    for file in by_model[schema.EducationFile]:
        for document in file[1].documents:
            statement = f"{document.title}, version {document.version}"
            document_entry = entry(
                file, document.kind, document.id, document, statement, document.route
            )
            points = [point for section in document.sections for point in section.points]
            refs = dict.fromkeys(ref for point in points for ref in refs_of(point.ref))
            yield replace(document_entry, refs=tuple(refs))


def refs_of(ref: str | None) -> tuple[str, ...]:
    """The reference rows that an entry names."""
    return tuple(part.strip() for part in (ref or "").split(",") if part.strip())


def find(library: Library, key: str) -> CatalogueEntry | None:
    """An entry by its id, whatever its kind and however it is capitalised."""
    return next((e for e in entries(library) if e.id.lower() == key.lower()), None)


@dataclass(frozen=True)
class Change:
    """One difference between two libraries; None stands for "not there"."""

    file: str
    where: str
    before: Any
    after: Any


def diff(before: Library, after: Library) -> list[Change]:
    """Everything that differs, down to the single value."""
    changes: list[Change] = []
    for name in sorted({*before.parts, *after.parts}):
        _compare(name, "", _plain(before, name), _plain(after, name), changes)
    return changes


def _plain(library: Library, name: str) -> Any:
    part = library.parts.get(name)
    return None if part is None else part.model_dump(mode="json", by_alias=True)


def _compare(file: str, where: str, before: Any, after: Any, changes: list[Change]) -> None:
    if before == after:
        return
    old, new = _members(before), _members(after)
    if old is None or new is None:
        changes.append(Change(file, where, before, after))
        return
    for key in dict.fromkeys((*old, *new)):
        path = f"{where}.{key}" if where else key
        _compare(file, path, old.get(key), new.get(key), changes)


def _members(value: Any) -> dict[str, Any] | None:
    """What a value is compared by: keys, the ids of a list's members, or their places."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        return None
    names = [str(part.get("id", number)) for number, part in enumerate(value)]
    return dict(zip(names, value, strict=True)) if len(set(names)) == len(names) else None


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
    rows = CoverageFile.model_validate(yaml.safe_load(text)).rows
    encoded: dict[str, list[str]] = {}
    for entry in entries(library):
        for ref in entry.refs:
            encoded.setdefault(ref, []).append(entry.id)
    return [Coverage(row, tuple(encoded.pop(row.id, ()))) for row in rows]
