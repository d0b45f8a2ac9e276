"""Screening: facts and rules in, findings out. Unknown is an answer of its own."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, SupportsFloat

from . import schema
from .library import Library

SNOMED = "http://snomed.info/sct"
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"


@dataclass(frozen=True)
class Finding:
    """One thing that somebody must look at, with everything needed to judge it.

    `kind` is "missing" where the rule's facts are unknown: it then asks, and never passes.
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


def evaluate(condition: schema.Condition, facts: Mapping[str, Any]) -> tuple[bool | None, set[str]]:
    """Whether a condition holds, in three-valued logic, and which unknown facts it would need.

    Returns:
        (True | False | None, the facts that would have to be known where it is None).
    """
    ((key, value),) = condition.items()
    if key in {"all", "any"}:
        results = [evaluate(part, facts) for part in value]
        decisive = key == "any"  # one True settles an any, one False an all
        if any(result is decisive for result, _ in results):
            return decisive, set()
        unknown = set().union(*(needs for _, needs in results))
        return (None, unknown) if unknown else (not decisive, set())
    if key == "not":
        result, needs = evaluate(value, facts)
        return (None if result is None else not result), needs
    known = facts.get(key)
    if known is None:
        return None, {key}
    return _compare(known, value), set()


def _compare(known: Any, wanted: Any) -> bool:
    if isinstance(wanted, bool):
        return known is wanted
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
) -> list[Finding]:
    """Every finding for one person, contraindications first, then what is missing, then cautions.

    Args:
        facts: known facts by id; a fact that is absent or None is unknown.
        on: the day on which the rules must be in force.

    Raises:
        KeyError: the library has no rules for the route.
        ValueError: a fact is not of its kind. A rule would misread it, and might pass.
    """
    stated = {name: value for name, value in facts.items() if value is not None}
    for name, value in stated.items():
        if reason := why_unfit(library, name, value):
            raise ValueError(reason)
    known = {**_not_concerned(library, stated), **stated}
    rules = [file for file in library.eligibility if route in file.routes]
    if not rules:
        raise KeyError(f"no eligibility rules for route {route!r}")
    findings = [
        _missing_finding(f"REQ-{need.fact}", need.statement, need, [need.fact], known)
        for file in rules
        for need in file.required
        if known.get(need.fact) is None
    ]
    for file in rules:
        for rule in file.rules:
            if _applies(rule, condition, on, jurisdiction):
                findings.extend(_judge(rule, known))
    order = {"contraindication": 0, "missing": 1, "caution": 2}
    return sorted(findings, key=lambda finding: order[finding.kind])


def why_unfit(library: Library, name: str, value: Any) -> str | None:
    """Why a value cannot be this fact's, in words, or None where it can (or no rule reads it)."""
    fact = library.facts.get(name)
    if fact is None:
        return None
    match fact.kind:
        case "boolean":
            fits = isinstance(value, bool)
        case "number":
            fits = not isinstance(value, bool) and isinstance(value, SupportsFloat)
            fits = fits and math.isfinite(value)
        case "choice":
            fits = value in fact.choices
    if fits:
        return None
    wanted = {"boolean": "yes or no", "number": "a number"}
    return f"{fact.label}: {value!r} is not {wanted.get(fact.kind) or ' or '.join(fact.choices)}."


def _not_concerned(library: Library, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts that are False because the question does not concern this person."""
    sex, age = facts.get("sex"), facts.get("age_years")
    if sex is None or age is None:
        return {}
    return {
        fact.id: False
        for fact in library.facts.values()
        if fact.asked_of and (sex not in fact.asked_of.sex or age >= fact.asked_of.age_below)
    }


def questions_for(
    library: Library, facts: Mapping[str, Any]
) -> list[tuple[str, str, list[schema.FactDefinition]]]:
    """The medical-history form for this person: questions that do not concern them left out."""
    settled = _not_concerned(library, facts)
    sections = (
        (key, title, [q for q in questions if q.id not in settled])
        for key, title, questions in library.history_sections()
    )
    return [section for section in sections if section[2]]


def _applies(rule: schema.EligibilityRule, condition: str, on: date, jurisdiction: str) -> bool:
    return (
        (not rule.conditions or condition in rule.conditions)
        and rule.applies_in(jurisdiction)
        and rule.in_force(on)
    )


def _judge(rule: schema.EligibilityRule, facts: Mapping[str, Any]) -> list[Finding]:
    holds, needs = evaluate(rule.when, facts)
    if holds is None:
        return [_missing_finding(rule.id, rule.statement, rule, sorted(needs), facts)]
    if not holds:
        return []
    read = {name: facts.get(name) for name in sorted(schema.facts_of(rule.when))}
    return [
        Finding(
            rule_id=rule.id,
            kind=rule.finding,
            statement=rule.statement,
            explanation=rule.explanation,
            patient_explanation=rule.patient,
            facts_read=read,
            missing=(),
            source=rule.source,
            certainty=rule.certainty,
            authority=rule.authority,
            ref=rule.ref,
        )
    ]


def _missing_finding(
    key: str, statement: str, entry: schema.Entry, needs: list[str], facts: Mapping[str, Any]
) -> Finding:
    return Finding(
        rule_id=key,
        kind="missing",
        statement=statement,
        explanation="Not known yet, so it cannot be judged. Ask, measure or look it up.",
        patient_explanation="We still need to ask you about this.",
        facts_read={name: facts.get(name) for name in needs},
        missing=tuple(needs),
        source=entry.source,
        certainty=entry.certainty,
        authority=entry.authority,
        ref=entry.ref,
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
                found.setdefault(concept.fact, Evidence(True, f"condition: {coding.display}"))
    for what, codings, lists in (
        ("medicine", medications, file.ingredients),
        ("allergy", allergies, file.allergens),
    ):
        for coding in codings:
            if not coding.active:
                continue
            words = set(re.findall(r"[a-z]+", coding.display.lower()))
            for names in lists:
                if words.intersection(names.names):
                    found.setdefault(names.fact, Evidence(True, f"{what}: {coding.display}"))
    return found


def _codes(concept: schema.Concept, coding: Coding) -> bool:
    if coding.system == SNOMED:
        return coding.code in concept.snomed
    if coding.system == ICD10:
        return coding.code.startswith(concept.icd10)
    return False
