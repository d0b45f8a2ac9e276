"""Conditions and changed values in the words of a reader."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from openketamine.words import _, _noop

from . import schema

# Marks of an entry and kinds of a finding, as people read them: translated where they are shown.
MARKS = (
    _noop("verified"),
    _noop("verified (older label)"),
    _noop("verified (secondary)"),
    _noop("verified (abstract)"),
    _noop("recalled"),
    _noop("DESIGN"),
    _noop("law"),
    _noop("label"),
    _noop("regulator"),
    _noop("guideline"),
    _noop("evidence"),
    _noop("clinic policy"),
    _noop("contraindication"),
    _noop("caution"),
    _noop("missing"),
    _noop("changed"),
    _noop("added"),
    _noop("retired"),
    _noop("amber"),
    _noop("red"),
)
# Whom an alarm or a call reaches, and by what.
REACHED = (
    _noop("nurse"),
    _noop("prescriber"),
    _noop("therapist"),
    _noop("coordinator"),
    _noop("director"),
    _noop("on_call_first"),
    _noop("on_call_second"),
    _noop("responsible"),
    _noop("text"),
    _noop("email"),
)
_MONTHS = (
    _noop("January"),
    _noop("February"),
    _noop("March"),
    _noop("April"),
    _noop("May"),
    _noop("June"),
    _noop("July"),
    _noop("August"),
    _noop("September"),
    _noop("October"),
    _noop("November"),
    _noop("December"),
)


def day_and_month(day: date) -> str:
    """A day without its year, as "05 March"."""
    return _("%(day)02d %(month)s") % {"day": day.day, "month": _(_MONTHS[day.month - 1])}


def whole_date(day: date) -> str:
    """A day with its year, as "5 March 2026"."""
    return _("%(day)d %(month)s %(year)d") % {
        "day": day.day,
        "month": _(_MONTHS[day.month - 1]),
        "year": day.year,
    }


def condition(facts: Mapping[str, schema.FactDefinition], when: Any) -> str:
    """A rule's condition in words. A fact that is not known keeps its own name."""
    ((key, value),) = when.items()
    if key in {"all", "any"}:
        word = _(" and ") if key == "all" else _(" or ")
        parts = [condition(facts, part) for part in value]
        joined = ({"all", "any"} & set(part) for part in value)
        return word.join(
            f"({words})" if inner else words for words, inner in zip(parts, joined, strict=True)
        )
    if key == "not":
        return _("not (%(condition)s)") % {"condition": condition(facts, value)}
    fact = facts.get(key)
    label, unit = (_(fact.label), _(fact.unit)) if fact else (key, "")
    if isinstance(value, bool):
        return label if value else _("no %(fact)s") % {"fact": label}
    ((operator, bound),) = value.items()
    if operator == "in":
        choices = _(" or ").join(_(str(each)) for each in bound)
        return _("%(fact)s is %(choices)s") % {"fact": label, "choices": choices}
    compared = {
        "above": _("%(fact)s above %(bound)s"),
        "below": _("%(fact)s below %(bound)s"),
        "at_least": _("%(fact)s at least %(bound)s"),
        "at_most": _("%(fact)s at most %(bound)s"),
    }
    return compared[operator] % {"fact": label, "bound": f"{bound:g} {unit}".rstrip()}


def value(facts: Mapping[str, schema.FactDefinition], field: str, stated: Any) -> str:
    """What stands in a field of an entry, in one line; a dash where nothing does."""
    if stated is None or stated in ("", [], {}):
        return "–"
    if field.rpartition(".")[2] == "when":
        return condition(facts, stated)
    if isinstance(stated, bool):
        return _("Yes").lower() if stated else _("No").lower()
    if isinstance(stated, float):
        return f"{stated:g}"
    if isinstance(stated, list):
        return ", ".join(value(facts, "", part) for part in stated)
    if isinstance(stated, dict):
        return "; ".join(f"{key}: {value(facts, key, part)}" for key, part in stated.items())
    return _(str(stated))
