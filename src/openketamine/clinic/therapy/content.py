"""What a visit's record in the chart holds: its fields, and what of it the patient may be shown."""

from dataclasses import dataclass

from .models import TherapyVisit


@dataclass(frozen=True)
class Field:
    """One field of a record. `team`: shown on the session screen. `shareable`: to the patient."""

    name: str
    label: str
    help_text: str = ""
    long: bool = True
    team: bool = False
    shareable: bool = True


PREPARATION = (
    Field("intention", "Intention", "In the patient's words"),
    Field("fears", "Fears", "What the patient is afraid of, and how to tell"),
    Field("what_helps", "What helps when it gets hard", "The nurse sees this", team=True),
    Field("music", "Music", "What to play, what not; or silence", team=True),
    Field("safe_word", "Safe word", "One word that stops anything", long=False, team=True),
    Field("for_team", "For the team", "For nurse and prescriber", team=True, shareable=False),
)
INTEGRATION = (
    Field("stood_out", "What stood out", "In the patient's words"),
    Field("practices", "Practices agreed"),
    Field("sleep", "Sleep", long=False),
    Field("mood", "Mood", long=False),
    Field("safety", "Safety", "What was asked and heard", shareable=False),
    Field("for_prescriber", "For the prescriber", shareable=False),
)
FIELDS = {
    TherapyVisit.Kind.PREPARATION: PREPARATION,
    TherapyVisit.Kind.INTEGRATION: INTEGRATION,
    TherapyVisit.Kind.THERAPY: INTEGRATION,
}


def fields_of(kind: str) -> tuple[Field, ...]:
    return FIELDS[TherapyVisit.Kind(kind)]
