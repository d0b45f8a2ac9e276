"""Words that are read by people of several languages: put into words when they are read.

What the record keeps is English. A text that goes into the record and onto a screen is made with
`say`, which waits until somebody reads it: `in_english` is what is written down. A sentence that
stands in the record already, with figures or names in it, is told in the reader's language by
`retold`.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from django.utils.functional import lazy
from django.utils.translation import get_language, gettext, override


def _say(text: str, values: dict[str, Any]) -> str:
    told = gettext(text)
    return told % values if values else told


_lazily: Any = lazy(_say, str)


def say(text: str, **values: Any) -> Any:
    """A text that is translated, and filled with its values, whenever it is read.

    Args:
        text: a marked English text, with `%(name)s` for each of `values`.
        values: what stands in it, which may itself be a text of this kind.
    """
    return _lazily(text, values)


def _ask(function: Callable[..., str], *given: Any) -> str:
    return function(*given)


# Made once: each of these is a class of its own, and of what is said there are many.
_when_read: Any = lazy(_ask, str)


def asked(function: Callable[..., str], *given: Any) -> Any:
    """What a function says, asked whenever it is read, so that it says it in the reader's words."""
    return _when_read(function, *given)


def lowered(text: str) -> Any:
    """A text of the catalogue in small letters, for the middle of a sentence."""
    return asked(lambda: gettext(text).lower())


def in_english(text: object) -> str:
    """A text as the record keeps it."""
    if isinstance(text, str):
        return text
    with override("en"):
        return str(text)


def reads_english() -> bool:
    """Whether what the record says can be shown as it stands."""
    return (get_language() or "en").startswith("en")


def retold(text: str, *forms: str, part: Callable[[str], str] | None = None) -> str:
    """What the record says in English, in the reader's language as far as it is known.

    Args:
        text: a text from the record: one of the catalogue, or a sentence of one of these forms.
        forms: marked English texts with `%(name)s` for what differs, the more particular first;
            `%(figure)s` stands for a number or a time.
        part: tells what stands in a form, where that is more than a text of the catalogue.
    """
    if reads_english():
        return text
    if (told := gettext(text)) != text:
        return told
    # In the middle of a sentence a text of the catalogue may begin with a small letter.
    if (told := gettext(text[:1].upper() + text[1:])) != text[:1].upper() + text[1:]:
        return told[:1].lower() + told[1:]
    for form in forms:
        if found := pattern_of(form).fullmatch(text):
            values = {name: (part or retold)(value) for name, value in found.groupdict().items()}
            return gettext(form) % values
    return text


@lru_cache(maxsize=256)
def pattern_of(form: str, figures: frozenset[str] = frozenset({"figure"})) -> re.Pattern[str]:
    """What matches the sentences of a form. A name that comes twice stands for the same.

    Args:
        form: a marked English text with `%(name)s` for what differs.
        figures: the names that stand for a number or a time and for nothing else.
    """
    parts, known = [], set()
    for part in re.split(r"(%\(\w+\)s)", form):
        if named := re.fullmatch(r"%\((\w+)\)s", part):
            name = named[1]
            what = r"[\d.:]+" if name in figures else ".*?"
            parts.append(f"(?P={name})" if name in known else f"(?P<{name}>{what})")
            known.add(name)
        else:
            parts.append(re.escape(part.replace("%%", "%")))
    return re.compile("".join(parts), re.DOTALL)
