"""Loading the library: every file checked, and refused with file, line and reason where broken."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml
from pydantic import BaseModel

from openketamine.words import _, in_english

from . import catalogue, schema
from .files import File, ProtocolError, parse, read
from .overlay import OWN_SOURCE, Departure, Overlay, lay_over

VERSION = "2026.11"


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
class Screened:
    """A rule, or a fact that must be known: how it stands by route, and the facts that it reads."""

    item: schema.EligibilityRule | schema.RequiredFact
    stances: Mapping[str, schema.Stance]
    facts: frozenset[str]


def words_of(text: str) -> tuple[str, ...]:
    """The words of a medicine's name, without figures: what names are compared by."""
    return tuple(re.findall(r"[^\W\d_](?:[\w'-]*\w)?", text.lower().replace("’", "'")))


@dataclass(frozen=True, eq=False)
class Library:
    """The whole of the clinic's protocols as they stand, overlay included."""

    sources: Mapping[str, str]
    facts: Mapping[str, schema.FactDefinition]
    sections: Mapping[str, str]
    facts_file: schema.FactsFile
    eligibility: tuple[schema.EligibilityFile, ...]
    jurisdictions: Mapping[str, schema.JurisdictionFile]
    programmes: schema.ProgrammesFile
    ingredients: schema.IngredientsFile
    staging: schema.StagingFile
    regimens: Mapping[str, schema.Regimen]
    rhythms: Mapping[str, schema.Rhythm]
    practice: tuple[schema.Guidance, ...]
    measurements: schema.MeasurementPlan
    therapy: schema.TherapyFile
    reviews: schema.ReviewsFile
    monitoring: Mapping[str, schema.MonitoringFile]
    alarms: schema.AlarmsFile
    calls: schema.CallsFile
    athome: schema.AtHomeFile
    discharge: Mapping[str, schema.DischargeFile]
    scores: Mapping[str, schema.DischargeScore]
    instruments: Mapping[str, schema.InstrumentFile]
    outcomes: schema.OutcomesFile
    documents: Mapping[str, schema.Document]
    contacts: Mapping[str, tuple[schema.Contact, ...]]
    parts: Mapping[str, BaseModel]
    overlay_digest: str = ""
    departures: tuple[Departure, ...] = ()  # where the clinic's overlay differs, and why
    whole: Library | None = None  # with what is not in force on the day, where this is of a day

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the effective content."""
        if self.whole:
            return self.whole.digest
        return _sha256({name: part.model_dump(mode="json") for name, part in self.parts.items()})

    @property
    def overlaid(self) -> bool:
        """Whether a clinic's overlay lies over it."""
        return bool(self.overlay_digest)

    @property
    def version(self) -> str:
        """For people: release, overlay or not, and the beginning of the digest."""
        return f"{VERSION}{'+clinic' if self.overlaid else ''} ({self.digest[:8]})"

    @cached_property
    def policy(self) -> tuple[PolicyEntry, ...]:
        """Everything shown as clinic policy, in the order of care, then what the clinic left out.

        Entries that are not in force yet, or no longer, are among them: what was signed stays
        signed when a day passes.
        """
        with in_english():
            return self.policy_in_words()

    def policy_in_words(self) -> tuple[PolicyEntry, ...]:
        """The same in the reader's language. What is signed is the English."""
        if self.whole:
            return self.whole.policy_in_words()
        entries = [
            PolicyEntry(
                entry.id,
                words,
                entry.source or "clinic",
                entry.certainty or "DESIGN",
                about,
                _sha256(entry.content),
            )
            for entry, words, about in catalogue.policy(self)
        ]
        return tuple(entries) + tuple(
            PolicyEntry(
                f"{gone.entry} (retired)",
                _("Left out: %(what)s. Because: %(why)s")
                % {"what": _(gone.said or gone.entry), "why": gone.because},
                OWN_SOURCE,
                "DESIGN",
                _("Left out of %(file)s") % {"file": gone.file},
                _sha256([gone.file, gone.entry]),
            )
            for gone in self.departures
            if gone.act == "retired"
        )

    @cached_property
    def policy_digest(self) -> str:
        """SHA-256 of what the medical director signs: its words, and every figure behind them."""
        return _sha256([self.overlay_digest, [vars(entry) for entry in self.policy]])

    def at(self, on: date) -> Library:
        """The library as it stands on a day: what has lapsed, or does not hold yet, is not there.

        Rules of eligibility stay, for a screening judges them on its own day.
        """
        whole = self.whole or self
        return _at(whole, on) if whole._dated else whole

    @cached_property
    def _dated(self) -> bool:
        return any(entry.effective_from or entry.effective_to for entry in catalogue.entries(self))

    @cached_property
    def screening(self) -> tuple[Screened, ...]:
        """All that screening judges, with its stance for each route, in the order of care."""
        needs = [need for file in self.eligibility for need in file.required]
        rules = [rule for file in self.eligibility for rule in file.rules]
        laws = [rule for place in self.jurisdictions.values() for rule in place.rules]
        items: list[tuple[schema.EligibilityRule | schema.RequiredFact, set[str]]] = [
            *((need, {need.fact}) for need in needs),
            *((rule, schema.facts_of(rule.when)) for rule in (*rules, *laws)),
        ]
        return tuple(
            Screened(
                item,
                {route: stance for route in schema.ROUTES if (stance := item.stance(route))},
                frozenset(facts),
            )
            for item, facts in items
        )

    @cached_property
    def medicine_names(self) -> Mapping[tuple[str, ...], tuple[str, ...]]:
        """Every known name of a medicine, in words, with the ingredients that it holds."""
        names: dict[tuple[str, ...], tuple[str, ...]] = {}
        for item in self.ingredients.ingredients:
            for name in (item.name, *item.also, *item.brands):
                names[words_of(name)] = (item.name,)
        for product in self.ingredients.combinations:
            for brand in product.brands:
                names[words_of(brand)] = product.of
        return names

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

    def document(self, kind: str, route: str, language: str = "en") -> schema.Document:
        """The one document of a kind for a route, in a language, or in English where it is not.

        Raises:
            KeyError: the library has none.
        """
        for wanted in (language, "en"):
            for document in self.documents.values():
                if (document.kind, document.route, document.language) == (kind, route, wanted):
                    return document
        raise KeyError(f"no {kind} document for {route}")

    def document_digest(self, document: schema.Document) -> str:
        """SHA-256 of a document's text: what somebody signs is this text and no other."""
        return _sha256(document.model_dump(mode="json"))


def _sha256(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


@cache
def _own_texts() -> tuple[tuple[str, str], ...]:
    return _texts(resources.files("openketamine.protocols") / "library")


def _texts(folder: Any, prefix: str = "") -> tuple[tuple[str, str], ...]:
    """(Name, text) of every file of a library."""
    found: list[tuple[str, str]] = []
    for item in sorted(folder.iterdir(), key=lambda entry: str(entry.name)):
        if item.is_dir():
            found += _texts(item, f"{prefix}{item.name}/")
        elif item.name.endswith(".yaml"):
            try:
                found.append((prefix + item.name, item.read_text(encoding="utf-8")))
            except UnicodeDecodeError as error:
                raise ProtocolError(prefix + item.name, 1, "not UTF-8 text") from error
    return tuple(found)


def load(overlay: Path | Overlay | None = None, *, base: Path | None = None) -> Library:
    """The library, under a clinic's overlay where one is given.

    The same texts are read once.

    Args:
        overlay: a clinic's text, or the file or folder in which it lies.
        base: the folder of another library; the package's own where left out.

    Raises:
        ProtocolError: a file is broken; the message is `file:line: reason`.
    """
    if isinstance(overlay, Path):
        return _load_folder(overlay, base)
    if base is None:
        return _load(_own_texts(), overlay) if overlay else _own()
    return _in_folder(base, lambda: _load(_texts(base), overlay or None))


def _load_folder(path: Path, base: Path | None) -> Library:
    overlay = _in_folder(path, lambda: Overlay.read(path))
    try:
        return load(overlay, base=base)
    except ProtocolError as error:
        if error.file not in dict(overlay.files):
            raise
        broken = path if path.is_file() else path / error.file
        raise ProtocolError(str(broken), error.line, error.reason) from error


def _in_folder(folder: Path | None, act: Callable[[], T]) -> T:
    """Name a broken file by its whole path where it lies in a folder."""
    try:
        return act()
    except ProtocolError as error:
        if folder is None or not (folder / error.file).is_file():
            raise
        raise ProtocolError(str(folder / error.file), error.line, error.reason) from error


@cache
def _own() -> Library:
    return _load(_own_texts(), None)


@lru_cache(maxsize=256)
def _parsed(name: str, text: str) -> File:
    return parse(name, name, text)


@lru_cache(maxsize=256)
def _read_alone(name: str, text: str) -> BaseModel:
    file = _parsed(name, text)
    return read(file, _model_of(file))


@lru_cache(maxsize=16)
def _load(texts: tuple[tuple[str, str], ...], overlay: Overlay | None) -> Library:
    files = own = {name: _parsed(name, text) for name, text in texts}
    departures: list[Departure] = []
    if overlay:
        files, departures = lay_over(files, overlay)
    _refuse_repeated_ids(files.values())
    texts_by_name = dict(texts)
    parts = {
        # What no overlay touches is read once for all of them.
        name: _read_alone(name, texts_by_name[name])
        if file is own.get(name)
        else read(file, _model_of(file))
        for name, file in sorted(files.items())
    }
    if missing := [name for name in schema.FILES if name.endswith(".yaml") and name not in parts]:
        raise ProtocolError(missing[0], 1, "a library needs this file")
    library = _assemble(parts, overlay.digest if overlay else "", tuple(departures))
    _check_references(library, files)
    return library


def _assemble(
    parts: Mapping[str, BaseModel],
    overlay_digest: str,
    departures: tuple[Departure, ...],
    whole: Library | None = None,
) -> Library:
    def every(model: type[M]) -> tuple[M, ...]:
        return tuple(part for part in parts.values() if isinstance(part, model))

    (facts,), (sources,) = every(schema.FactsFile), every(schema.SourcesFile)
    (alarms,), (scores,) = every(schema.AlarmsFile), every(schema.ScoresFile)
    (calls,), (athome,) = every(schema.CallsFile), every(schema.AtHomeFile)
    (programmes,), (ingredients,) = every(schema.ProgrammesFile), every(schema.IngredientsFile)
    (staging,), (outcomes,) = every(schema.StagingFile), every(schema.OutcomesFile)
    (measurements,), education = every(schema.MeasurementPlan), every(schema.EducationFile)
    (therapy,), (reviews,) = every(schema.TherapyFile), every(schema.ReviewsFile)
    courses = every(schema.RegimensFile)
    return Library(
        sources=sources.sources,
        facts={fact.id: fact for fact in facts.facts},
        sections=facts.sections,
        facts_file=facts,
        eligibility=every(schema.EligibilityFile),
        jurisdictions={file.id: file for file in every(schema.JurisdictionFile)},
        programmes=programmes,
        ingredients=ingredients,
        staging=staging,
        regimens={r.id: r for file in courses for r in file.regimens},
        rhythms={r.id: r for file in courses for r in file.rhythms},
        practice=tuple(g for file in courses for g in file.guidance),
        measurements=measurements,
        therapy=therapy,
        reviews=reviews,
        monitoring=_resolved(every(schema.MonitoringFile)),
        alarms=alarms,
        calls=calls,
        athome=athome,
        discharge=_resolved(every(schema.DischargeFile)),
        scores={score.id: score for score in scores.scores},
        instruments={file.id: file for file in every(schema.InstrumentFile)},
        outcomes=outcomes,
        documents={d.id: d for file in education for d in file.documents},
        contacts={region: c for file in education for region, c in file.contacts.items()},
        parts=parts,
        overlay_digest=overlay_digest,
        departures=departures,
        whole=whole,
    )


R = TypeVar("R", schema.MonitoringFile, schema.DischargeFile)


def _resolved(files: tuple[R, ...]) -> dict[str, R]:
    """By route, each with what it shares filled in; that a shared route exists is checked later."""
    by_route = {file.route: file for file in files}
    return {
        route: file.on_top_of(by_route[file.shares.route])
        if file.shares and file.shares.route in by_route
        else file
        for route, file in by_route.items()
    }


@lru_cache(maxsize=8)
def _at(library: Library, on: date) -> Library:
    parts = {
        name: part if isinstance(part, _JUDGED_ON_THEIR_DAY) else _in_force(part, on)
        for name, part in library.parts.items()
    }
    return _assemble(parts, library.overlay_digest, library.departures, whole=library)


# A screening judges these on its own day, and says what will lapse.
_JUDGED_ON_THEIR_DAY = (schema.EligibilityFile, schema.JurisdictionFile, schema.ProgrammesFile)
# A plan, an answer or a signature may refer to one of these long after it has lapsed.
_REFERRED_TO = (schema.Regimen, schema.InstrumentFile, schema.Document)


def _in_force(model: M, on: date) -> M:
    """A model without the members of its lists that do not hold on a day."""
    changed: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, tuple) and any(isinstance(member, BaseModel) for member in value):
            kept = tuple(
                _in_force(member, on)
                for member in value
                if not isinstance(member, schema.Dated)
                or isinstance(member, _REFERRED_TO)
                or member.in_force(on)
            )
            if kept != value:
                changed[name] = kept
        elif isinstance(value, BaseModel):
            inner = _in_force(value, on)
            if inner is not value:
                changed[name] = inner
    return model.model_copy(update=changed) if changed else model


def _model_of(file: File) -> type[BaseModel]:
    """What a file must be, by its folder or, at the top, by its name."""
    model = schema.FILES.get(file.folder or file.name)
    if model is None:
        raise file.error(None, f"a file here must lie in one of {', '.join(schema.FILES)}")
    return model


def _refuse_repeated_ids(files: Iterable[File]) -> None:
    """Ids are what people sign, decide on and cite: one thing each.

    An id of a list at the top of a file is unique in its folder, one deeper down (or an item of a
    questionnaire) in its list. A folder has one file per route.
    """
    seen: dict[Hashable, set[str]] = {}

    def take(file: File, scope: Hashable, node: yaml.Node, what: str) -> None:
        taken = seen.setdefault(scope, set())
        if node.value in taken:
            raise file.error(node, f"the {what} {node.value!r} is used twice")
        taken.add(node.value)

    def walk(file: File, node: yaml.Node | None, path: tuple[str, ...], scope: Hashable) -> None:
        if isinstance(node, yaml.SequenceNode):
            own_list = len(path) > 1 or file.folder == "instruments"
            for part in node.value:
                walk(file, part, path, id(node) if own_list else path)
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == "id":
                    take(file, (file.folder, scope), value, "id")
                elif key.value == "route" and not path:
                    take(file, (file.folder, "route"), value, "route")
                walk(file, value, (*path, key.value), ())

    for file in files:
        walk(file, file.node, (), ())


def _check_shares(
    files: Mapping[str, R], folder: str, known: Callable[[str, str, Iterable[str], str, str], None]
) -> None:
    """A shared route exists and shares nothing itself, and what is left out of it is there."""
    lenders = {route: file for route, file in files.items() if file.shares is None}
    for route, file in files.items():
        if file.shares is None:
            continue
        known("route of its own", file.shares.route, lenders, folder, route)
        lender = lenders[file.shares.route]
        members = [
            member
            for name in type(lender).model_fields
            if isinstance(value := getattr(lender, name), tuple)
            for member in value
        ]
        ids = {str(getattr(member, "id", "")) for member in members}
        ids |= {str(getattr(member, "item", "")) for member in members}
        for left_out in file.shares.without:
            known("entry", left_out, ids, folder, route)


Refuse = Callable[[str, str, str], NoReturn]
Known = Callable[[str, str, Iterable[str], str, str], None]


def _check_screening(library: Library, refuse: Refuse, known: Known) -> None:
    """What the screening names is there, and is compared with what it can be."""

    def readable(where: str, prefix: str, condition: schema.Condition) -> None:
        for fact in schema.facts_of(condition):
            known("fact", fact, library.facts, prefix, where)
        for fact, value in schema.comparisons_of(condition):
            # Compared with what it can never be, a fact would let the rule pass for ever.
            if reason := schema.mismatch(library.facts[fact], value):
                refuse(where, prefix, f"{where}: {reason}")

    conditions = [condition.id for condition in library.programmes.conditions]
    files: list[tuple[schema.EligibilityFile | schema.JurisdictionFile, str]] = [
        *((file, "eligibility/") for file in library.eligibility),
        *((file, "jurisdictions/") for file in library.jurisdictions.values()),
    ]
    ids = [entry.item.key for entry in library.screening]
    for file, prefix in files:
        for need in getattr(file, "required", ()):
            known("fact", need.fact, library.facts, prefix, "required")
        for rule in file.rules:
            readable(rule.id, prefix, rule.when)
            if rule.suspended_by:
                known("rule", rule.suspended_by, ids, prefix, rule.id)
            if isinstance(file, schema.JurisdictionFile) and rule.jurisdiction != file.id:
                refuse(rule.id, prefix, f"{rule.id}: a law of {file.id} says so (jurisdiction)")
    for key in sorted({key for key in ids if ids.count(key) > 1}):
        refuse(key.removeprefix("REQ-"), "", f"the id {key!r} is used twice")
    for item in (*(entry.item for entry in library.screening), *library.programmes.status):
        for condition in item.conditions:
            known("condition", condition, conditions, "", getattr(item, "id", "required"))
    for definition in library.facts.values():
        if definition.asked_if is not None:
            readable(definition.id, "facts.yaml", definition.asked_if)
            for fact in schema.facts_of(definition.asked_if):
                if library.facts[fact].asked_if is not None:
                    reason = f"asked_if reads {fact}, which is not asked of everybody itself"
                    refuse(definition.id, "facts.yaml", f"{definition.id}: {reason}")
        if definition.serves:
            known("fact", definition.serves, library.facts, "facts.yaml", definition.id)
    for fact in library.facts_file.ages.days:
        known("fact", fact, library.facts, "facts.yaml", "ages")
    stated = [
        (entry.fact, "facts.yaml")
        for part in (library.facts_file.concepts, library.facts_file.allergens)
        for entry in part
    ]
    stated += [(f, "ingredients.yaml") for c in library.ingredients.classes for f in c.facts]
    for fact, name in stated:
        known("fact", fact, library.facts, name, "concepts")
        if library.facts[fact].kind != "boolean":
            refuse(fact, name, f"a code can only state a yes: {fact}")


def _check_ingredients(library: Library, refuse: Refuse, known: Known) -> None:
    """A name of a medicine means one thing, and every class and part of a product is there."""
    file, name_of = library.ingredients, "ingredients.yaml"
    classes = [item.id for item in file.classes]
    ingredients = [item.name for item in file.ingredients]
    meaning: dict[tuple[str, ...], str] = {}

    def means(name: str, what: str) -> None:
        if (already := meaning.setdefault(words_of(name), what)) != what:
            refuse(name, name_of, f"{name!r} is {already} already")

    for item in file.ingredients:
        for one in item.classes:
            known("class", one, classes, name_of, item.name)
        for name in (item.name, *item.also, *item.brands):
            means(name, item.name)
    for product in file.combinations:
        for part in product.of:
            known("ingredient", part, ingredients, name_of, product.brands[0])
        for brand in product.brands:
            means(brand, " with ".join(product.of))


def _check_references(library: Library, files: Mapping[str, File]) -> None:
    """Names that point nowhere."""

    def refuse(name: str, prefix: str, reason: str) -> NoReturn:
        """At the last place where the name stands."""
        for file in reversed(list(files.values())):
            if file.name.startswith(prefix):
                for node in reversed(list(file.scalars())):
                    if node.value == name:
                        raise file.error(node, reason)
        raise ProtocolError(prefix, 1, reason)

    def known(what: str, name: str, names: Iterable[str], prefix: str, where: str) -> None:
        if name not in names:
            refuse(name, prefix, f"{where}: there is no {what} {name!r}")

    _check_shares(library.monitoring, "monitoring/", known)
    _check_shares(library.discharge, "discharge/", known)
    _check_screening(library, refuse, known)
    _check_ingredients(library, refuse, known)
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
        for instrument in occasion.every_instrument:
            known("instrument", instrument, library.instruments, "measurements.yaml", occasion.id)
    for check in library.reviews.checks:
        if check.instrument:
            known("instrument", check.instrument, library.instruments, "reviews.yaml", check.id)
        for fact in check.facts:
            known("fact", fact, library.facts, "reviews.yaml", check.id)
    for regimen in library.regimens.values():
        for phase in regimen.phases:
            for rhythm in phase.rhythms:
                known("rhythm", rhythm, library.rhythms, "regimens/", f"{regimen.id}, {phase.id}")
        for missed in regimen.missed:
            for rhythm in (*missed.step_back, *missed.step_back.values()):
                known("rhythm", rhythm, library.rhythms, "regimens/", missed.id)
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
