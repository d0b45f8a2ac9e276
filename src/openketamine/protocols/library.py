"""Loading the library: every file checked, and refused with file, line and reason where broken."""

import hashlib
import json
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from . import catalogue, schema

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
    content: str  # SHA-256 of the whole entry: no figure can change under a signature


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
    alarms: schema.AlarmsFile
    discharge: Mapping[str, schema.DischargeFile]
    instruments: Mapping[str, schema.InstrumentFile]
    documents: Mapping[str, schema.Document]
    contacts: Mapping[str, tuple[schema.Contact, ...]]
    parts: Mapping[str, BaseModel]
    overlaid: bool = False

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the effective content."""
        return _sha256({name: part.model_dump(mode="json") for name, part in self.parts.items()})

    @property
    def version(self) -> str:
        """For people: release, overlay or not, and the beginning of the digest."""
        return f"{VERSION}{'+clinic' if self.overlaid else ''} ({self.digest[:8]})"

    @cached_property
    def policy(self) -> tuple[PolicyEntry, ...]:
        """Everything shown as clinic policy, in the order of care."""
        return tuple(
            PolicyEntry(
                entry.id,
                words,
                entry.source or "clinic",
                entry.certainty or "DESIGN",
                about,
                _sha256(entry.content),
            )
            for entry, words, about in catalogue.policy(self)
        )

    @cached_property
    def policy_digest(self) -> str:
        """SHA-256 of what the medical director signs: its words, and every figure behind them."""
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


def _sha256(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


M = TypeVar("M", bound=BaseModel)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser where there is one


@dataclass(frozen=True)
class _File:
    """One file's parse tree, kept until the library is whole, to say where a mistake stands."""

    name: str
    shown: str
    node: yaml.Node | None
    data: Any

    @property
    def folder(self) -> str:
        return self.name.rpartition("/")[0]

    def scalars(self) -> Iterator[yaml.ScalarNode]:
        """Every key and value, in the order of the file."""
        pending = [self.node]
        while pending:
            node = pending.pop()
            if isinstance(node, yaml.ScalarNode):
                yield node
            elif isinstance(node, yaml.SequenceNode):
                pending.extend(reversed(node.value))
            elif isinstance(node, yaml.MappingNode):
                pending.extend(part for pair in reversed(node.value) for part in reversed(pair))

    def error(self, node: yaml.Node | None, reason: str) -> ProtocolError:
        line = node.start_mark.line + 1 if node else 1
        return ProtocolError(f"{self.shown}:{line}: {reason}")


def _parse(name: str, shown: str, text: str) -> _File:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        file = _File(name, shown, node, loader.construct_document(node) if node else None)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ProtocolError(f"{shown}:{line}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ProtocolError(f"{shown}:1: {error}") from error
    finally:
        loader.dispose()
    _refuse_repeated_keys(file, node)
    return file


def _refuse_repeated_keys(file: _File, node: yaml.Node | None) -> None:
    """YAML would quietly let the last of two equal keys win: a limit could vanish unseen."""
    if isinstance(node, yaml.SequenceNode):
        for part in node.value:
            _refuse_repeated_keys(file, part)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise file.error(key, f"the key {key.value!r} stands here twice")
            seen.add(key.value)
            _refuse_repeated_keys(file, value)


def _read(file: _File, model: type[M]) -> M:
    try:
        return model.model_validate(file.data)
    except ValidationError as error:
        # A misspelt key is both unknown and missing; the unknown one says what to mend.
        first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        *place, last = first["loc"] or ("",)
        reason = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            reason = f"there is no key {last!r} here"
        else:
            place.append(last)
        path = ".".join(str(part) for part in place)
        where = _deepest(file.node, first["loc"])
        raise file.error(where, f"{path}: {reason}" if path else reason) from error


def _deepest(node: yaml.Node | None, location: tuple[int | str, ...]) -> yaml.Node | None:
    """The deepest part of a location that the file has."""
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
    return node


def _texts(overlay: Path | None) -> dict[str, tuple[str, str]]:
    """(Where it stands, its text) of every file, by its name relative to the library.

    A clinic's file replaces the one of its name.
    """
    texts: dict[str, tuple[str, str]] = {}

    def walk(folder: Any, prefix: str, shown: str) -> None:
        for item in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if item.is_dir():
                walk(item, f"{prefix}{item.name}/", f"{shown}{item.name}/")
            elif item.name.endswith(".yaml"):
                try:
                    text = item.read_text(encoding="utf-8")
                except UnicodeDecodeError as error:
                    raise ProtocolError(f"{shown}{item.name}:1: not UTF-8 text") from error
                texts[prefix + item.name] = (shown + item.name, text)

    walk(files("openketamine.protocols") / "library", "", "")
    if overlay is not None:
        known = set(texts)
        walk(overlay, "", f"{overlay}/")
        if strangers := sorted(set(texts) - known):
            raise ProtocolError(
                f"{overlay / strangers[0]}:1: no such file in the library. An overlay replaces "
                f"files by name, e.g. {sorted(known)[0]}"
            )
    return texts


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
    texts = _texts(overlay if stamp else None)
    files = {name: _parse(name, shown, text) for name, (shown, text) in texts.items()}
    _refuse_repeated_ids(files.values())

    parts = {name: _read(file, _model_of(file)) for name, file in sorted(files.items())}

    def every(model: type[M]) -> tuple[M, ...]:
        return tuple(part for part in parts.values() if isinstance(part, model))

    (facts,), (sources,) = every(schema.FactsFile), every(schema.SourcesFile)
    (alarms,) = every(schema.AlarmsFile)
    (measurements,), education = every(schema.MeasurementPlan), every(schema.EducationFile)
    library = Library(
        sources=sources.sources,
        facts={fact.id: fact for fact in facts.facts},
        sections=facts.sections,
        facts_file=facts,
        eligibility=every(schema.EligibilityFile),
        regimens={r.id: r for file in every(schema.RegimensFile) for r in file.regimens},
        measurements=measurements,
        monitoring={file.route: file for file in every(schema.MonitoringFile)},
        alarms=alarms,
        discharge={file.route: file for file in every(schema.DischargeFile)},
        instruments={file.id: file for file in every(schema.InstrumentFile)},
        documents={d.id: d for file in education for d in file.documents},
        contacts={region: c for file in education for region, c in file.contacts.items()},
        parts=parts,
        overlaid=bool(stamp),
    )
    _check_references(library, files)
    return library


def _model_of(file: _File) -> type[BaseModel]:
    """What a file must be, by its folder or, at the top, by its name."""
    model = schema.FILES.get(file.folder or file.name)
    if model is None:
        raise file.error(None, f"a file here must lie in one of {', '.join(schema.FILES)}")
    return model


def _refuse_repeated_ids(files: Iterable[_File]) -> None:
    """Ids are what people sign, decide on and cite: one thing each.

    An id of a list at the top of a file is unique in its folder, one deeper down (or an item of a
    questionnaire) in its list. A folder has one file per route.
    """
    seen: dict[Hashable, set[str]] = {}

    def take(file: _File, scope: Hashable, node: yaml.Node, what: str) -> None:
        taken = seen.setdefault(scope, set())
        if node.value in taken:
            raise file.error(node, f"the {what} {node.value!r} is used twice")
        taken.add(node.value)

    def walk(file: _File, node: yaml.Node | None, path: tuple[str, ...], scope: Hashable) -> None:
        if isinstance(node, yaml.SequenceNode):
            own_list = len(path) > 1 or file.folder == "instruments"
            for part in node.value:
                walk(
                    file, part, path, (file.name, node.start_mark.line, path) if own_list else path
                )
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == "id":
                    take(file, (file.folder, scope), value, "id")
                elif key.value == "route" and not path:
                    take(file, (file.folder, "route"), value, "route")
                walk(file, value, (*path, key.value), ())

    for file in files:
        walk(file, file.node, (), ())


def _check_references(library: Library, files: Mapping[str, _File]) -> None:
    """Names that point nowhere."""

    def refuse(name: str, prefix: str, reason: str) -> NoReturn:
        """At the last place where the name stands."""
        for file in reversed(list(files.values())):
            if file.name.startswith(prefix):
                for node in reversed(list(file.scalars())):
                    if node.value == name:
                        raise file.error(node, reason)
        raise ProtocolError(f"{prefix}:1: {reason}")

    def known(what: str, name: str, names: Iterable[str], prefix: str, where: str) -> None:
        if name not in names:
            refuse(name, prefix, f"{where}: there is no {what} {name!r}")

    for rules in library.eligibility:
        for need in rules.required:
            known("fact", need.fact, library.facts, "eligibility/", "required")
        for rule in rules.rules:
            for fact in schema.facts_of(rule.when):
                known("fact", fact, library.facts, "eligibility/", rule.id)
            for fact, value in schema.comparisons_of(rule.when):
                # Compared with what it can never be, a fact would let the rule pass for ever.
                if reason := schema.mismatch(library.facts[fact], value):
                    refuse(rule.id, "eligibility/", f"{rule.id}: {reason}")
    named = library.facts_file
    for names in (named.concepts, named.ingredients, named.allergens):
        for entry in names:
            known("fact", entry.fact, library.facts, "facts.yaml", "concepts")
            if library.facts[entry.fact].kind != "boolean":
                refuse(entry.fact, "facts.yaml", f"a code can only state a yes: {entry.fact}")
    bounded = {item.quantity for plan in library.monitoring.values() for item in plan.plausible}
    for item in library.alarms.settling:
        known("quantity", item.quantity, bounded, "alarms.yaml", item.id)
    for sign in library.alarms.signs:
        for quantity in sign.while_below:
            known("quantity", quantity, bounded, "alarms.yaml", sign.id)
    for definition in library.facts.values():
        if definition.section:
            known("section", definition.section, library.sections, "facts.yaml", definition.id)
    for occasion in library.measurements.occasions:
        for instrument in occasion.instruments:
            known("instrument", instrument, library.instruments, "measurements.yaml", occasion.id)
    signed: set[str] = set()
    for policy in library.policy:
        if policy.id in signed:
            refuse(policy.id, "", f"the id {policy.id!r} names two things that must be signed")
        signed.add(policy.id)
    for file in files.values():
        nodes = iter(file.scalars())
        for node in nodes:
            if node.value == "source" and file.name != "sources.yaml":
                value = next(nodes)
                if value.value not in library.sources:
                    raise file.error(value, f"there is no source {value.value!r}")
