"""Everything that an e-mail or a text may say.

Messages cross networks that anybody may read, and light up on a locked phone that lies on a table.
So nothing is written freely: each wording is fixed here, and leaves open only what `_OPEN` names.
None names a drug, a condition, a questionnaire or an answer, and none names the patient.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

# `link`: an address of this clinic. `when`: a time as people say it. `clinic_phone`: the clinic's
# own number. `minutes`: a whole number.
_OPEN = frozenset({"link", "when", "clinic_phone", "minutes"})


@dataclass(frozen=True)
class Wording:
    """`subject` stands over an e-mail only; `body` is what both say."""

    subject: str | Promise
    body: str | Promise


WORDINGS: dict[str, Wording] = {
    "call": Wording(
        _("A call waits for you"),
        _("OpenKetamine: a call waits for your answer. Open %(link)s"),
    ),
    "call_again": Wording(
        _("A call is still unanswered"),
        _("OpenKetamine: a call is still unanswered. Open %(link)s"),
    ),
    "review_overdue": Wording(
        _("A course review is overdue"),
        _("OpenKetamine: a course review is overdue. Open %(link)s"),
    ),
    "home_check_in": Wording(
        _("Your clinic asks how you are"),
        _("Please tell your clinic how you are: %(link)s"),
    ),
    "home_page": Wording(
        _("The page for your session today"),
        _("Your clinic: the page for today's session is %(link)s"),
    ),
    "adult_page": Wording(
        _("You are the adult at hand today"),
        _("You are asked to stay with somebody today. What to do, and whom to call: %(link)s"),
    ),
    "form_due": Wording(
        _("Your clinic has a form for you"),
        _("Your clinic: a form waits for you at %(link)s"),
    ),
    "patient_page": Wording(
        _("Your page at the clinic"),
        _("Your clinic: your own page is %(link)s"),
    ),
    "message_answered": Wording(
        _("Your clinic has answered you"),
        _("Your clinic has answered you: %(link)s"),
    ),
    "visit_reminder": Wording(
        _("Your visit to the clinic"),
        _("Your clinic expects you %(when)s. If you cannot come, call %(clinic_phone)s."),
    ),
}


def link_to(name: str, *arguments: object) -> str:
    """The address of one of the clinic's pages as it stands in a message."""
    return f"{settings.ORIGIN}{reverse(name, args=arguments)}"


def check(wording: str, values: Mapping[str, Any]) -> None:
    """Whether a message can be made of a wording and its values.

    Raises:
        ValueError: there is no such wording, or a value is one that no message may carry.
    """
    if wording not in WORDINGS:
        raise ValueError(f"There is no wording {wording!r}; add it to clinic/notices/wordings.py.")
    if strangers := values.keys() - _OPEN:
        raise ValueError(f"No message carries {sorted(strangers)[0]!r}.")
    for name, value in values.items():
        if not isinstance(value, str | int) or (isinstance(value, str) and "\n" in value):
            raise ValueError(f"{name} is one line of text or a whole number.")
    rendered(wording, values, "en")


def rendered(wording: str, values: Mapping[str, Any], language: str) -> tuple[str, str]:
    """(Subject, body) in a language, or in English where it is not translated.

    Raises:
        ValueError: a value that the wording needs is missing.
    """
    found = WORDINGS[wording]
    with translation.override(language):
        try:
            return str(found.subject), str(found.body) % values
        except KeyError as error:
            raise ValueError(f"The wording {wording!r} needs {error.args[0]!r}.") from error
