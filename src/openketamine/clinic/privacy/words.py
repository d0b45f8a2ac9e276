"""What a page of the chart is called, in a patient's words."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

_WORDS = {
    "person": gettext_noop("Overview of your chart"),
    "record_of": gettext_noop("The whole record"),
    "screening": gettext_noop("Screening"),
    "questionnaires": gettext_noop("Questionnaires"),
    "questionnaire": gettext_noop("A questionnaire"),
    "history": gettext_noop("Medical history"),
    "tests": gettext_noop("Test results"),
    "trials": gettext_noop("Earlier treatments"),
    "consent": gettext_noop("Consent"),
    "consent_document": gettext_noop("Consent"),
    "plan": gettext_noop("Treatment plan"),
    "session": gettext_noop("A session"),
    "session_note_pdf": gettext_noop("A session's note"),
    "aftercare_pdf": gettext_noop("After-care sheet"),
    "trajectory": gettext_noop("Your scores over time"),
    "thread": gettext_noop("Messages"),
    "therapy": gettext_noop("Talk therapy"),
    "my_page": gettext_noop("Your own page"),
}


def page_name(view: str) -> str:
    return _(_WORDS.get(view, gettext_noop("A part of your chart")))
