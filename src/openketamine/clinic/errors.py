"""How a clinical act is refused."""

from typing import Any

from django.utils.translation import gettext as _

from .said import in_english


class Refused(Exception):  # noqa: N818 - a refusal is an answer, not a fault
    """An act that was not done, with the reason in words for the person who tried it.

    Nothing has been written when this is raised.

    Attributes:
        message: what was wrong and what to do, in the words of whoever reads it.
        for_record: the same in English; a text that goes into the record is made with `said.say`.
        field: the form field that the message belongs to, where there is one.
    """

    def __init__(self, message: Any, *, field: str | None = None) -> None:
        self.message = str(message)
        self.for_record = in_english(message)
        super().__init__(self.message)
        self.field = field


class Barred(Refused):
    """Refused by a rule that guards the patient. That it was tried is written down, nothing else.

    Raised inside the act's transaction; whoever runs the act writes the attempt after it.
    """


def require_reason(reason: str, asked: str = "") -> str:
    """The reason without the space around it.

    Raises:
        Refused: there is none; `asked` says what to do.
    """
    if not (reason := reason.strip()):
        raise Refused(asked or _("Give the reason."), field="reason")
    return reason
