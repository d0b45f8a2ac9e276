"""Loading the library: every file checked, and refused with file, line and reason where broken."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from . import schema

VERSION = "2026.11"


class ProtocolError(Exception):
    """A protocol file that cannot be used: `file:line: reason`."""


@dataclass(frozen=True)
class PolicyEntry:
    """One statement that counts only because the medical director signs it."""

    id: str
    statement: str
    source: str
    certainty: str
    about: str


@dataclass(frozen=True)
class Library:
    """The whole of the clinic's protocols as they stand, overlay included."""

    sources: Mapping[str, str]
    facts: Mapping[str, schema.FactDefinition]
    sections: Mapping[str, str]
    facts_file: schema.FactsFile
    eligibility: tuple[schema.EligibilityFile, ...]
    regimens: Mapping[str, schema.Regimen]
    measurements: schema.MeasurementPlan
    monitoring: Mapping[str, schema.MonitoringFile]
    discharge: Mapping[str, schema.DischargeFile]
    instruments: Mapping[str, schema.InstrumentFile]
    documents: Mapping[str, schema.Document]
    contacts: Mapping[str, tuple[schema.Contact, ...]]
    overlaid: bool = False

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the effective content."""
        return _sha256([part.model_dump(mode="json") for part in self._parts()])

    @property
    def version(self) -> str:
        """For people: release, overlay or not, and the beginning of the digest."""
        return f"{VERSION}{'+clinic' if self.overlaid else ''} ({self.digest[:8]})"

    @cached_property
    def policy(self) -> tuple[PolicyEntry, ...]:
        """Everything shown as clinic policy, in the order of care."""
        return tuple(self._policy_entries())

    @cached_property
    def policy_digest(self) -> str:
        """SHA-256 of what the medical director signs."""
        return _sha256([vars(entry) for entry in self.policy])

    def history_sections(self) -> list[tuple[str, str, list[schema.FactDefinition]]]:
        """The medical-history form: (id, title, questions) in order."""
        return [
            (key, title, [fact for fact in self.facts.values() if fact.section == key])
            for key, title in self.sections.items()
        ]

    def source(self, key: str) -> str:
        """A source's full name."""
        return self.sources[key]

    def occasion(self, occasion_id: str) -> schema.Occasion:
        """A measurement occasion by its id."""
        return next(o for o in self.measurements.occasions if o.id == occasion_id)

    def document(self, kind: str, route: str) -> schema.Document:
        """The one document of a kind for a route.

        Raises:
            KeyError: the library has none.
        """
        for document in self.documents.values():
            if (document.kind, document.route) == (kind, route):
                return document
        raise KeyError(f"no {kind} document for {route}")

    def document_digest(self, document: schema.Document) -> str:
        """SHA-256 of a document's text: what somebody signs is this text and no other."""
        return _sha256(document.model_dump(mode="json"))

    def _parts(self) -> Iterator[BaseModel]:
        yield self.facts_file
        yield from self.eligibility
        yield from self.regimens.values()
        yield self.measurements
        yield from self.monitoring.values()
        yield from self.discharge.values()
        yield from self.instruments.values()
        yield from self.documents.values()

    def _policy_entries(self) -> Iterator[PolicyEntry]:
        def entry(key: str, statement: str, item: Any, about: str) -> PolicyEntry:
            return PolicyEntry(key, statement, item.source, item.certainty, about)

        for file in self.eligibility:
            about = "Eligibility, " + ", ".join(file.routes)
            for need in file.required:
                yield entry(need.ref or need.fact, f"Must be known: {need.statement}", need, about)
            for rule in file.rules:
                if rule.authority == "clinic policy":
                    yield entry(rule.id, f"{rule.finding}: {rule.statement}", rule, about)
        for regimen in self.regimens.values():
            about = f"Regimen, {regimen.name}"
            if regimen.course.authority == "clinic policy":
                yield entry(f"{regimen.id}-course", regimen.course.statement, regimen.course, about)
            for limit in regimen.limits:
                if limit.authority == "clinic policy":
                    yield entry(limit.id, limit.statement, limit, about)
        for occasion in self.measurements.occasions:
            if occasion.statement:
                yield entry(occasion.id, occasion.statement, self.measurements, "Measurements")
        for monitoring in self.monitoring.values():
            about = f"Session, {monitoring.route}"
            for item in monitoring.presession:
                if item.authority == "clinic policy":
                    yield entry(item.id, f"Before the drug: {item.question}", item, about)
            for rule_ in monitoring.schedule:
                yield entry(f"{monitoring.route}-{rule_.phase}", rule_.statement, rule_, about)
            late = monitoring.late_after_min
            yield entry(f"{monitoring.route}-late", late.statement, late, about)
            for threshold in monitoring.thresholds:
                answer = monitoring.responses[threshold.priority]
                statement = f"{threshold.statement} ({threshold.priority}): {answer}"
                yield entry(threshold.id, statement, threshold, about)
            for medicine in monitoring.medicines.items:
                statement = f"Medicine at hand: {medicine.label}, {medicine.usual}"
                yield entry(medicine.id, statement, monitoring.medicines, about)
        for discharge in self.discharge.values():
            for criterion in discharge.criteria:
                if criterion.authority == "clinic policy":
                    about = f"Discharge, {discharge.route}"
                    yield entry(criterion.id, criterion.statement, criterion, about)


def _sha256(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


M = TypeVar("M", bound=BaseModel)


def _read(name: str, text: str, model: type[M]) -> M:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        return model.model_validate(yaml.safe_load(text))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ProtocolError(f"{name}:{line}: {error.problem}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise ProtocolError(f"{name}:{_line_of(node, first['loc'])}: {place}: {reason}") from error


def _line_of(node: yaml.Node | None, location: tuple[int | str, ...]) -> int:
    """The line of the deepest part of a location that the file has."""
    line = node.start_mark.line + 1 if node else 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = [value for key, value in node.value if key.value == str(part)]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            found = node.value[part : part + 1]
        else:
            break
        if not found:
            break
        node = found[0]
        line = node.start_mark.line + 1
    return line


def _texts(overlay: Path | None) -> tuple[dict[str, str], bool]:
    """File texts by name relative to the library; a clinic's file replaces the one of its name."""
    texts: dict[str, str] = {}

    def walk(folder: Any, prefix: str) -> None:
        for item in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if item.is_dir():
                walk(item, f"{prefix}{item.name}/")
            elif item.name.endswith(".yaml"):
                texts[prefix + item.name] = item.read_text(encoding="utf-8")

    walk(files("openketamine.protocols") / "library", "")
    if overlay is None:
        return texts, False
    known = set(texts)
    walk(overlay, "")
    if strangers := sorted(set(texts) - known):
        raise ProtocolError(
            f"{overlay / strangers[0]}:1: no such file in the library. An overlay replaces files "
            f"by name, e.g. {sorted(known)[0]}"
        )
    return texts, True


def load(overlay: Path | None = None) -> Library:
    """The library, under a clinic's overlay where one is given.

    The package's own library is loaded once; an overlay again whenever one of its files changes.

    Raises:
        ProtocolError: a file is broken; the message is `file:line: reason`.
    """
    stamp = (
        tuple((str(p), p.stat().st_mtime_ns) for p in sorted(overlay.rglob("*.yaml")))
        if overlay
        else ()
    )
    return _load(overlay, stamp)


@cache
def _load(overlay: Path | None, stamp: tuple[tuple[str, int], ...]) -> Library:
    texts, overlaid = _texts(overlay if stamp else None)

    def every(folder: str, model: type[M]) -> tuple[M, ...]:
        return tuple(
            _read(name, text, model)
            for name, text in texts.items()
            if name.startswith(folder + "/")
        )

    facts = _read("facts.yaml", texts["facts.yaml"], schema.FactsFile)
    regimen_files = every("regimens", schema.RegimensFile)
    education = every("education", schema.EducationFile)
    library = Library(
        sources=_read("sources.yaml", texts["sources.yaml"], schema.SourcesFile).sources,
        facts={fact.id: fact for fact in facts.facts},
        sections=facts.sections,
        facts_file=facts,
        eligibility=every("eligibility", schema.EligibilityFile),
        regimens={r.id: r for file in regimen_files for r in file.regimens},
        measurements=regimen_files[0].measurements,
        monitoring={file.route: file for file in every("monitoring", schema.MonitoringFile)},
        discharge={file.route: file for file in every("discharge", schema.DischargeFile)},
        instruments={file.id: file for file in every("instruments", schema.InstrumentFile)},
        documents={d.id: d for file in education for d in file.documents},
        contacts={region: c for file in education for region, c in file.contacts.items()},
        overlaid=overlaid,
    )
    _check_references(library)
    return library


def _check_references(library: Library) -> None:
    """Names that point nowhere, and ids used twice."""
    facts = set(library.facts)
    seen: set[str] = set()
    for file in library.eligibility:
        for need in file.required:
            _known("fact", need.fact, facts, f"required {need.fact}")
        for rule in file.rules:
            if rule.id in seen:
                raise ProtocolError(f"eligibility: the id {rule.id} is used twice")
            seen.add(rule.id)
            for fact in schema.facts_of(rule.when):
                _known("fact", fact, facts, rule.id)
    file_ = library.facts_file
    for name in (
        *(concept.fact for concept in file_.concepts),
        *(names.fact for names in (*file_.ingredients, *file_.allergens)),
    ):
        _known("fact", name, facts, "facts.yaml")
    for definition in library.facts.values():
        if definition.section:
            _known("section", definition.section, set(library.sections), definition.id)
    _known_sources(library)


def _known(what: str, name: str, known: set[str], where: str) -> None:
    if name not in known:
        raise ProtocolError(f"{where}: there is no {what} {name!r}")


def _known_sources(library: Library) -> None:
    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(value.get("source"), str):
                yield value["source"]
            for part in value.values():
                yield from walk(part)
        elif isinstance(value, list):
            for part in value:
                yield from walk(part)

    for part in library._parts():
        for source in walk(part.model_dump(mode="json")):
            _known("source", source, set(library.sources), type(part).__name__)
