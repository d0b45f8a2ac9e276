"""Conditions and changed values in the words of a reader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import schema

_COMPARISONS = {"at_least": "at least", "at_most": "at most"}


def condition(facts: Mapping[str, schema.FactDefinition], when: Any) -> str:
    """A rule's condition in words. A fact that is not known keeps its own name."""
    ((key, value),) = when.items()
    if key in {"all", "any"}:
        word = " and " if key == "all" else " or "
        parts = [condition(facts, part) for part in value]
        joined = ({"all", "any"} & set(part) for part in value)
        return word.join(
            f"({words})" if inner else words for words, inner in zip(parts, joined, strict=True)
        )
    if key == "not":
        return f"not ({condition(facts, value)})"
    fact = facts.get(key)
    label, unit = (fact.label, fact.unit) if fact else (key, "")
    if isinstance(value, bool):
        return label if value else f"no {label}"
    ((operator, bound),) = value.items()
    if operator == "in":
        return f"{label} is {' or '.join(map(str, bound))}"
    return f"{label} {_COMPARISONS.get(operator, operator)} {bound:g} {unit}".rstrip()


def value(facts: Mapping[str, schema.FactDefinition], field: str, stated: Any) -> str:
    """What stands in a field of an entry, in one line; a dash where nothing does."""
    if stated is None or stated in ("", [], {}):
        return "–"
    if field.rpartition(".")[2] == "when":
        return condition(facts, stated)
    if isinstance(stated, bool):
        return "yes" if stated else "no"
    if isinstance(stated, float):
        return f"{stated:g}"
    if isinstance(stated, list):
        return ", ".join(value(facts, "", part) for part in stated)
    if isinstance(stated, dict):
        return "; ".join(f"{key}: {value(facts, key, part)}" for key, part in stated.items())
    return str(stated)
