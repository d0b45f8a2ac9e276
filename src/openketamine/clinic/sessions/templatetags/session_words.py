"""The codes that a session's screens show as words, and several of them in a row."""

from collections.abc import Iterable
from typing import Any

from django import template
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_noop

register = template.Library()

# Codes that are words themselves, as the screens of a session show them. Marked elsewhere: what may
# be ordered (`wording.ordered`), priorities and whom an alarm reaches (`protocols.words`).
_CODES = (
    # states of a criterion for going home
    gettext_noop("met"),
    gettext_noop("not met"),
    gettext_noop("unknown"),
    # drugs
    gettext_noop("ketamine"),
    gettext_noop("esketamine"),
)


@register.filter
def all_said(texts: str | Promise | Iterable[Any]) -> str:
    """Several texts in the reader's language: a list, with commas, or what was joined by "; "."""
    if isinstance(texts, str | Promise):
        texts = str(texts)
        whole = gettext(texts) if texts else texts
        return (
            whole if whole != texts else "; ".join(gettext(str(each)) for each in texts.split("; "))
        )
    return ", ".join(gettext(str(each)) for each in texts)
