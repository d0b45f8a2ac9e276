"""What the record keeps in English, in the language of whoever reads it."""

from django.utils.translation import gettext as _

# How the alarm begins that stands after urgent care was arranged for another.
URGENT = "Urgent care was arranged: "


def alarm_in_words(statement: str) -> str:
    """The statement of a safety review, as it is kept."""
    if not statement.startswith(URGENT):
        return _(statement)
    what = _(statement.removeprefix(URGENT))
    return _("Urgent care was arranged: %(what)s") % {"what": what}
