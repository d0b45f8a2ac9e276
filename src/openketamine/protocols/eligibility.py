"""Screening: facts and rules in, findings out. Unknown is an answer of its own."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from openketamine.words import _, _noop

from . import schema
from .ingredients import facts_of as ingredients_facts
from .ingredients import recognise
from .library import Library, Screened, words_of
from .words import whole_date

SNOMED = "http://snomed.info/sct"
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"


class _NotConcerned:
    """Stands for a fact that nobody has stated because its question does not concern the person."""

    def __repr__(self) -> str:
        return "does not concern this person"


NOT_CONCERNED = _NotConcerned()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that somebody must look at, with everything needed to judge it.

    `kind` is "missing" where the rule's facts are unknown: it then asks, and never passes.
    `lapses_on` is the last day (ISO) on which the rule holds, where it is known to end.
    """

    rule_id: str
    kind: Literal["contraindication", "caution", "missing"]
    statement: str
    explanation: str
    patient_explanation: str
    facts_read: dict[str, Any]
    missing: tuple[str, ...]
    source: str
    certainty: str
    authority: str
    ref: str | None
    lapses_on: str | None = None


def evaluate(condition: schema.Condition, facts: Mapping[str, Any]) -> tuple[bool | None, set[str]]:
    """Whether a condition holds, in three-valued logic, and which unknown facts it would need.

    Returns:
        (True | False | None, the facts that would have to be known where it is None).
    """
    ((key, value),) = condition.items()
    if key in {"all", "any"}:
        decisive = key == "any"  # one True settles an any, one False an all
        unknown: set[str] = set()
        for part in value:
            result, needs = evaluate(part, facts)
            if result is decisive:
                return decisive, set()
            unknown |= needs
        return (None, unknown) if unknown else (not decisive, set())
    if key == "not":
        result, needs = evaluate(value, facts)
        return (None if result is None else not result), needs
    known = facts.get(key)
    if known is None:
        return None, {key}
    return _compare(known, value), set()


def _compare(known: Any, wanted: Any) -> bool:
    if known is NOT_CONCERNED:
        return False
    if isinstance(wanted, bool):
        return (bool(known) if isinstance(known, list | tuple) else known) is wanted
    ((operator, bound),) = wanted.items()
    match operator:
        case "above":
            return bool(known > bound)
        case "at_least":
            return bool(known >= bound)
        case "below":
            return bool(known < bound)
        case "at_most":
            return bool(known <= bound)
        case _:
            return known in bound


def screen(
    library: Library,
    facts: Mapping[str, Any],
    *,
    route: str,
    condition: str,
    on: date,
    jurisdiction: str = "US",
    dates: Mapping[str, date] | None = None,
) -> list[Finding]:
    """Every finding for one person, contraindications first, then what is missing, then cautions.

    Args:
        facts: known facts by id; a fact that is absent or None is unknown.
        on: the day on which the rules must be in force.
        jurisdiction: where the person is treated, e.g. "US".
        dates: the day of each measurement and test. One that is too old, or of no known day,
            counts as unknown. Left out, everything is taken to be of the day itself.

    Raises:
        KeyError: the library has no such route.
        ValueError: a fact is not of its kind. A rule would misread it, and might pass.
    """
    return screen_routes(
        library,
        facts,
        routes=(route,),
        condition=condition,
        on=on,
        jurisdiction=jurisdiction,
        dates=dates,
    )[route]


def screen_routes(
    library: Library,
    facts: Mapping[str, Any],
    *,
    condition: str,
    on: date,
    routes: Iterable[str] = schema.ROUTES,
    jurisdiction: str = "US",
    dates: Mapping[str, date] | None = None,
    at_home: Mapping[str, bool] | None = None,
) -> dict[str, list[Finding]]:
    """The findings for several routes side by side. Each rule is judged once, whatever the route.

    Args:
        at_home: by route, whether it would be used at home; the fact stands for routes left out.

    Raises:
        KeyError, ValueError: as `screen`.
    """
    wanted = tuple(routes)
    if strangers := [route for route in wanted if route not in schema.ROUTES]:
        raise KeyError(f"no eligibility rules for route {strangers[0]!r}")
    stated = {name: value for name, value in facts.items() if value is not None}
    for name, value in stated.items():
        if reason := why_unfit(library, name, value):
            raise ValueError(reason)
    in_force = [
        entry for entry in library.screening if _applies(entry.item, condition, on, jurisdiction)
    ]
    ids = {entry.item.key for entry in in_force}
    in_force = [e for e in in_force if getattr(e.item, "suspended_by", None) not in ids]
    judges: dict[bool | None, _Judge] = {}
    found: dict[str, list[Finding]] = {}
    for route in wanted:
        home = (at_home or {}).get(route, stated.get("at_home"))
        if home not in judges:
            own = {**stated, "at_home": home} if home is not None else stated
            judges[home] = _Judge(library, own, dates, on)
        findings = [
            finding
            for entry in in_force
            if (stance := entry.stances.get(route))
            and (finding := judges[home].finding(entry, stance))
        ]
        findings.sort(key=_by_urgency)
        found[route] = findings
    return found


_URGENCY = {"contraindication": 0, "missing": 1, "caution": 2}


def _by_urgency(finding: Finding) -> int:
    return _URGENCY[finding.kind]


class _Judge:
    """One person's facts, and every rule judged on them at most once."""

    def __init__(
        self,
        library: Library,
        stated: Mapping[str, Any],
        dates: Mapping[str, date] | None,
        on: date,
    ) -> None:
        self.known, self.depends, self.stale = _known(library, stated, dates, on)
        self.results: dict[int, tuple[bool | None, set[str]]] = {}
        # By rule and stance: routes that share a stance share the finding.
        self.findings: dict[tuple[int, int], Finding | None] = {}

    def finding(self, entry: Screened, stance: schema.Stance) -> Finding | None:
        key = id(entry), id(stance)
        if key not in self.findings:
            self.findings[key] = self._find(entry, stance)
        return self.findings[key]

    def _find(self, entry: Screened, stance: schema.Stance) -> Finding | None:
        result = self.results.get(id(entry))
        if result is None:
            result = self.results[id(entry)] = self._judge(entry.item)
        holds, needs = result
        item = entry.item
        if holds is False:
            return None
        if holds is None or isinstance(item, schema.RequiredFact):
            return self._missing(item, stance, needs)
        return Finding(
            item.key,
            item.finding_of(stance),
            item.statement,
            f"{item.explanation} {stance.note}" if stance.note else item.explanation,
            item.patient,
            {name: _shown(self.known.get(name)) for name in sorted(entry.facts)},
            (),
            stance.source or item.source,
            stance.certainty,
            stance.authority,
            item.ref,
            item.effective_to.isoformat() if item.effective_to else None,
        )

    def _judge(
        self, item: schema.EligibilityRule | schema.RequiredFact
    ) -> tuple[bool | None, set[str]]:
        if isinstance(item, schema.RequiredFact):
            there = self.known.get(item.fact) is not None
            holds, needs = (False, set()) if there else (None, {item.fact})
        else:
            holds, needs = evaluate(item.when, self.known)
        # A test of which it is not known whether it is needed asks first for what decides that.
        return holds, {part for need in needs for part in self.depends.get(need, (need,))}

    def _missing(
        self,
        item: schema.EligibilityRule | schema.RequiredFact,
        stance: schema.Stance,
        needs: set[str],
    ) -> Finding:
        names = tuple(sorted(needs))
        old = [self.stale[name] for name in names if name in self.stale]
        return Finding(
            item.key,
            "missing",
            item.statement,
            " ".join(old)
            or _noop("Not known yet, so it cannot be judged. Ask, measure or look it up."),
            _noop("We need to measure or test this again.")
            if old
            else _noop("We still need to ask you about this."),
            dict.fromkeys(names),
            names,
            stance.source or item.source,
            stance.certainty,
            stance.authority,
            item.ref,
            item.effective_to.isoformat() if item.effective_to else None,
        )


def _shown(value: Any) -> Any:
    if value is NOT_CONCERNED:
        return None
    return list(value) if isinstance(value, tuple) else value


def _known(
    library: Library,
    stated: Mapping[str, Any],
    dates: Mapping[str, date] | None,
    on: date,
) -> tuple[dict[str, Any], dict[str, set[str]], dict[str, str]]:
    """What a rule may read on a day.

    Returns:
        The facts, those included that do not concern the person; for each fact of which that is
        open, the facts that would decide it; and why a value counts as unknown, in words.
    """
    known = dict(stated)
    stale: dict[str, str] = {}
    for name, days in library.facts_file.ages.days.items():
        if dates is None or name not in known:
            continue
        day = dates.get(name)
        if day is None or (on - day).days > days:
            del known[name]
            said = {"fact": _(library.facts[name].label), "days": days}
            stale[name] = (
                _("%(fact)s of %(date)s is older than %(days)d days. Repeat it.")
                % {**said, "date": whole_date(day)}
                if day
                else _("%(fact)s has no date; at most %(days)d days. Repeat it.") % said
            )
    depends: dict[str, set[str]] = {}
    for fact in library.facts.values():
        if fact.asked_if is not None and fact.id not in known:
            concerns, needs = evaluate(fact.asked_if, known)
            if concerns is False:
                known[fact.id] = NOT_CONCERNED
            elif concerns is None:
                depends[fact.id] = needs
    return known, depends, stale


def why_unfit(library: Library, name: str, value: Any) -> str | None:
    """Why a value cannot be this fact's, in words, or None where it can (or no rule reads it)."""
    fact = library.facts.get(name)
    if fact is None:
        return None
    match fact.kind:
        case "boolean":
            fits = isinstance(value, bool)
        case "number":
            fits = not isinstance(value, bool) and isinstance(value, int | float)
            fits = fits and math.isfinite(value)
        case "list":
            fits = isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)
        case "choice":
            fits = value in fact.choices
    if fits:
        return None
    wanted = {"boolean": _("yes or no"), "number": _("a number"), "list": _("a list of names")}
    return _("%(fact)s: %(value)r is not %(wanted)s.") % {
        "fact": _(fact.label),
        "value": value,
        "wanted": wanted.get(fact.kind) or _(" or ").join(map(_, fact.choices)),
    }


def facts_asked(
    library: Library, *, route: str, condition: str, on: date, jurisdiction: str = "US"
) -> set[str]:
    """Every fact that some rule of this programme reads, or that decides whether it is read."""
    read = {
        fact
        for entry in library.screening
        if route in entry.stances and _applies(entry.item, condition, on, jurisdiction)
        for fact in entry.facts
    }
    deciding = {
        name
        for fact in read
        if (asked_if := library.facts[fact].asked_if) is not None
        for name in schema.facts_of(asked_if)
    }
    serving = {fact.id for fact in library.facts.values() if fact.serves in read}
    return read | deciding | serving


def questions_for(
    library: Library,
    facts: Mapping[str, Any],
    *,
    route: str,
    condition: str,
    on: date,
    jurisdiction: str = "US",
) -> list[tuple[str, str, list[schema.FactDefinition]]]:
    """The medical-history form for this person and programme.

    Questions that no rule of the programme reads, or that do not concern the person, are left out.
    """
    asked = facts_asked(library, route=route, condition=condition, on=on, jurisdiction=jurisdiction)
    stated = {name: value for name, value in facts.items() if value is not None}
    known, _, _ = _known(library, stated, None, on)
    sections = (
        (
            key,
            title,
            [q for q in questions if q.id in asked and known.get(q.id) is not NOT_CONCERNED],
        )
        for key, title, questions in library.history_sections()
    )
    return [section for section in sections if section[2]]


def asked_tests(
    library: Library,
    facts: Mapping[str, Any],
    *,
    route: str,
    condition: str,
    on: date,
    jurisdiction: str = "US",
) -> list[schema.FactDefinition]:
    """The measurements and tests that this programme asks of this person."""
    asked = facts_asked(library, route=route, condition=condition, on=on, jurisdiction=jurisdiction)
    stated = {name: value for name, value in facts.items() if value is not None}
    known, depends, _ = _known(library, stated, None, on)
    return [
        fact
        for fact in library.facts.values()
        if fact.test
        and fact.id in asked
        and known.get(fact.id) is not NOT_CONCERNED
        and fact.id not in depends
    ]


def rule_of(library: Library, ref: str, route: str) -> schema.EligibilityRule | None:
    """The first rule of a route that encodes a row of the reference."""
    for entry in library.screening:
        rule = entry.item
        refs = [part.strip() for part in (rule.ref or "").split(",")]
        if isinstance(rule, schema.EligibilityRule) and route in entry.stances and ref in refs:
            return rule
    return None


def standing(
    library: Library, *, route: str, condition: str, on: date, jurisdiction: str
) -> list[schema.Status]:
    """What the regulators of a place say of a route for a condition. Empty: nothing is recorded."""
    return [
        status
        for status in library.programmes.status
        if route in status.routes
        and (not status.conditions or condition in status.conditions)
        and status.applies_in(jurisdiction)
        and status.in_force(on)
    ]


@dataclass(frozen=True)
class Lapsing:
    """A law that holds today and is known to end soon."""

    rule: schema.EligibilityRule
    lapses_on: date
    days_left: int


def laws_lapsing(library: Library, *, on: date, jurisdiction: str) -> list[Lapsing]:
    """The laws of a place that lapse within its days of warning, the soonest first (TH-3)."""
    soon = [
        Lapsing(rule, rule.effective_to, (rule.effective_to - on).days)
        for file in library.jurisdictions.values()
        for rule in file.rules
        if rule.effective_to is not None
        and rule.applies_in(jurisdiction)
        and rule.in_force(on)
        and (rule.effective_to - on).days <= max(file.warn_days_before, default=0)
    ]
    return sorted(soon, key=lambda item: item.lapses_on)


def _applies(item: schema.ByRoute, condition: str, on: date, jurisdiction: str) -> bool:
    return (
        (not item.conditions or condition in item.conditions)
        and item.applies_in(jurisdiction)
        and item.in_force(on)
    )


@dataclass(frozen=True)
class Coding:
    """A coded entry of a record, as the referral gave it."""

    system: str
    code: str
    display: str
    active: bool = True


@dataclass(frozen=True)
class Evidence:
    """What a record says about a fact, and why."""

    value: bool
    because: str


def facts_from_record(
    library: Library,
    *,
    conditions: Iterable[Coding],
    medications: Iterable[Coding],
    allergies: Iterable[Coding],
) -> dict[str, Evidence]:
    """Facts that coded entries state. No code ever makes a fact False: unknown is not No."""
    found: dict[str, Evidence] = {}
    file = library.facts_file
    for coding in conditions:
        for concept in file.concepts:
            if concept.active_only and not coding.active:
                continue
            if _codes(concept, coding):
                found.setdefault(
                    concept.fact,
                    Evidence(True, _("condition: %(name)s") % {"name": coding.display}),
                )
    taken = [recognise(library, coding.display) for coding in medications if coding.active]
    for fact, text in ingredients_facts(library, taken).items():
        found.setdefault(fact, Evidence(True, _("medicine: %(name)s") % {"name": text}))
    for coding in allergies:
        if coding.active:
            words = set(words_of(coding.display))
            for names in file.allergens:
                if words.intersection(names.names):
                    found.setdefault(
                        names.fact,
                        Evidence(True, _("allergy: %(name)s") % {"name": coding.display}),
                    )
    return found


def _codes(concept: schema.Concept, coding: Coding) -> bool:
    if coding.system == SNOMED:
        return coding.code in concept.snomed
    if coding.system == ICD10:
        return coding.code.startswith(concept.icd10)
    return False
