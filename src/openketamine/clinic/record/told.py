"""What the record keeps in English, told to whoever reads it.

A sentence that is written down with figures or names in it is known again by its form: rooms name
the forms that they write, and pages tell them without knowing whose they are.
"""

import re
from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from openketamine.clinic.said import pattern_of, reads_english, say

_PLACE = re.compile(r"%\((\w+)\)s")
# Places of these names hold a figure and nothing else.
_FIGURES = frozenset({"count", "mg", "minutes", "days", "mood", "rate", "number"})
_kept: list[tuple[re.Pattern[str], str]] = []


def keep(*forms: str) -> None:
    """Name sentences, with `%(name)s` for what differs, that the record keeps in English."""
    _kept.extend((pattern_of(form, _FIGURES), form) for form in forms)
    # The sentence with most words of its own is the one that is meant.
    _kept.sort(key=lambda kept: -len(_PLACE.sub("", kept[1])))


def retold(text: str) -> str:
    """A text of the record in the reader's language; as it is where nobody knows it."""
    if not text or reads_english():
        return text
    parts, told = text.split("; "), []
    while parts:  # sentences stand in a row; one of them may have a semicolon itself
        for size in range(len(parts), 0, -1):
            sentence = "; ".join(parts[:size])
            if (said := _sentence(sentence)) or size == 1:
                told.append(said or sentence)
                parts = parts[size:]
                break
    return "; ".join(told)


def _sentence(text: str) -> str:
    """One sentence of the record in the reader's language; nothing where nobody knows it."""
    if (said := _(text)) != text:
        return said
    for pattern, form in _kept:
        if form.count("; ") == text.count("; ") and (found := pattern.fullmatch(text)):
            return _(form) % {name: retold(value) for name, value in found.groupdict().items()}
    return ""


def all_of(parts: Sequence[Any]) -> Any:
    """ "a and b"; a text that is put into words when it is read."""
    return _joined(parts, gettext_noop("%(before)s and %(after)s"))


def any_of(parts: Sequence[Any]) -> Any:
    """ "a or b"."""
    return _joined(parts, gettext_noop("%(before)s or %(after)s"))


def _joined(parts: Sequence[Any], form: str) -> Any:
    words = parts[0]
    for part in parts[1:]:
        words = say(form, before=words, after=part)
    return words
