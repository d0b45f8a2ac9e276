"""Words in the reader's language, for packages that know nothing of the web.

They mark what people read with `_` and `_n`. English comes back until somebody who knows the
reader's language joins a translation, as the site does when it starts.
"""

from collections.abc import Callable

_one: Callable[[str], str] = str
_many: Callable[[str, str, int], str] | None = None


def speak_by(one: Callable[[str], str], many: Callable[[str, str, int], str]) -> None:
    """Translate by these from now on.

    Args:
        one: from an English text to the reader's.
        many: from the singular, the plural and a count.
    """
    global _one, _many
    _one, _many = one, many


def _(text: str) -> str:
    """This English text in the reader's language."""
    return _one(text)


def _n(singular: str, plural: str, count: int) -> str:
    """Whichever of the two fits the count, in the reader's language."""
    if _many is None:
        return singular if count == 1 else plural
    return _many(singular, plural, count)
