"""Words of the record for whoever reads them: it keeps English, each reader has a language.

A refusal is both shown and written down; `say` makes it once for both. A sentence that was written
down with figures in it is known again by its pattern, and said in the reader's language.
"""

import re
from collections.abc import Callable, Sequence

from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

_PLACE = re.compile(r"%\((\w+)\)s")
_stored: list[tuple[re.Pattern[str], str]] = []


class Said(str):
    """Words in the reader's language that know what they are in the record's."""

    in_english: str


def say(english: str, **values: object) -> Said:
    """A marked English text in the reader's language, with its values filled in.

    Args:
        values: by the text's places, `%(name)s`; one that was said itself follows the language.
    """
    said = Said(_filled(_(english), values))
    said.in_english = _filled(english, {name: in_english(value) for name, value in values.items()})
    return said


def both(make: Callable[[], object]) -> Said:
    """What `make` says to the reader, and what it says in English."""
    said = Said(str(make()))
    with translation.override("en"):
        said.in_english = str(make())
    return said


def _filled(text: str, values: dict[str, object]) -> str:
    return text % values if values else text


def in_english(text: object) -> object:
    """What the record keeps of a text that was said; anything else as it is."""
    return getattr(text, "in_english", text)


def recorded(text: str) -> str:
    """The English of a text, as the record keeps it."""
    return str(in_english(text))


def keep(*texts: str) -> None:
    """Name sentences with places for figures that the record keeps filled in, in English."""
    for text in texts:
        pattern, end = "", 0
        for place in _PLACE.finditer(text):
            pattern += re.escape(text[end : place.start()]) + f"(?P<{place[1]}>.+?)"
            end = place.end()
        _stored.append((re.compile(pattern + re.escape(text[end:]), re.DOTALL), text))
    # The sentence with most words of its own is the one that is meant.
    _stored.sort(key=lambda kept: -len(_PLACE.sub("", kept[1])))


def retold(text: str) -> str:
    """A text of the record in the reader's language; as it is where nobody knows it."""
    if not text or (translation.get_language() or "en").startswith("en"):
        return text
    if (said := _(text)) != text:
        return said
    for pattern, english in _stored:
        if found := pattern.fullmatch(text):
            values = {name: retold(value) for name, value in found.groupdict().items()}
            return _(english) % values
    return "; ".join(map(retold, text.split("; "))) if "; " in text else text


def all_of(parts: Sequence[str]) -> str:
    """ "a and b"."""
    return _joined(parts, gettext_noop("%(before)s and %(after)s"))


def any_of(parts: Sequence[str]) -> str:
    """ "a or b"."""
    return _joined(parts, gettext_noop("%(before)s or %(after)s"))


def _joined(parts: Sequence[str], pattern: str) -> Said | str:
    words: Said | str = parts[0]
    for part in parts[1:]:
        words = say(pattern, before=words, after=part)
    return words
