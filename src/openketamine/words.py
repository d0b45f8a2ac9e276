"""Words in the reader's language, for packages that know nothing of the web.

They mark what people read with `_` and `_n`, or with `_noop` what is put into `_` later. English
comes back until somebody who knows the reader's language joins a translation, as the site does when
it starts.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_one: Callable[[str], str] = str
_many: Callable[[str, str, int], str] | None = None
_plain: ContextVar[bool] = ContextVar("plain", default=False)


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
    return text if _plain.get() else _one(text)


def _n(singular: str, plural: str, count: int) -> str:
    """Whichever of the two fits the count, in the reader's language."""
    if _many is None or _plain.get():
        return singular if count == 1 else plural
    return _many(singular, plural, count)


def _noop(text: str) -> str:
    """This English text, as it is: marked here, and translated where it is shown."""
    return text


@contextmanager
def in_english() -> Iterator[None]:
    """English inside, whoever reads: for what is signed, and for what a record keeps."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)
