"""What a visit's record in the chart holds: its fields, and what of it the patient may be shown."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from .models import TherapyVisit


@dataclass(frozen=True)
class Field:
    """One field of a record. `team`: shown on the session screen. `shareable`: to the patient."""

    name: str
    label: str | Promise
    help_text: str | Promise = ""
    long: bool = True
    team: bool = False
    shareable: bool = True


PREPARATION = (
    Field("intention", _("Intention"), _("In the patient's words")),
    Field("fears", _("Fears"), _("What the patient is afraid of, and how to tell")),
    Field("what_helps", _("What helps when it gets hard"), _("The nurse sees this"), team=True),
    Field("music", _("Music"), _("What to play, what not; or silence"), team=True),
    Field("safe_word", _("Safe word"), _("One word that stops anything"), long=False, team=True),
    Field("for_team", _("For the team"), _("For nurse and prescriber"), team=True, shareable=False),
)
INTEGRATION = (
    Field("stood_out", _("What stood out"), _("In the patient's words")),
    Field("practices", _("Practices agreed")),
    Field("sleep", _("Sleep"), long=False),
    Field("mood", _("Mood"), long=False),
    Field("safety", _("Safety"), _("What was asked and heard"), shareable=False),
    Field("for_prescriber", _("For the prescriber"), shareable=False),
)
FIELDS = {
    TherapyVisit.Kind.PREPARATION: PREPARATION,
    TherapyVisit.Kind.INTEGRATION: INTEGRATION,
    TherapyVisit.Kind.THERAPY: INTEGRATION,
}


def fields_of(kind: str) -> tuple[Field, ...]:
    return FIELDS[TherapyVisit.Kind(kind)]
