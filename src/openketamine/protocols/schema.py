"""The form of a protocol file. Pydantic checks every file against it when the library is loaded."""

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from openketamine.words import _, _noop

Certainty = Literal[
    "verified",
    "verified (older label)",
    "verified (secondary)",
    "verified (abstract)",
    "recalled",
    "DESIGN",
]
Authority = Literal["law", "label", "regulator", "guideline", "evidence", "clinic policy"]
FindingKind = Literal["contraindication", "caution"]
Route = Literal["IV", "IM", "IN_ESKETAMINE", "IN_RACEMIC", "SL", "ORAL", "SC"]
ROUTES: tuple[str, ...] = get_args(Route)
UNCHECKED: frozenset[str] = frozenset({"recalled", "DESIGN"})


class Strict(BaseModel):
    """Unknown keys are mistakes, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Dated(Strict):
    """Where and when something holds, and when somebody last read it against its source.

    `reviewed_on` and `review_by` are inherited from the file where they are not given.
    """

    # False where the rest cannot stand without it: such an entry never lapses by itself.
    may_lapse: ClassVar[bool] = True

    jurisdiction: str = Field(default="any", pattern=r"^(any|[A-Z]{2}(-[A-Z0-9]{1,3})?)$")
    effective_from: date | None = None
    effective_to: date | None = None  # the last day on which it holds
    reviewed_on: date | None = None
    review_by: date | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "Dated":
        if self.effective_from and self.effective_to and self.effective_to < self.effective_from:
            raise ValueError("effective_to lies before effective_from")
        if not self.may_lapse and (self.effective_from or self.effective_to):
            raise ValueError("this cannot lapse by itself: date the entry that it belongs to")
        return self

    def in_force(self, on: date) -> bool:
        """Whether it holds on a day."""
        return (self.effective_from is None or self.effective_from <= on) and (
            self.effective_to is None or on <= self.effective_to
        )

    def applies_in(self, jurisdiction: str) -> bool:
        """Whether it holds in a place: what holds in US holds in US-CA, and not the reverse."""
        return self.jurisdiction == "any" or (jurisdiction + "-").startswith(
            self.jurisdiction + "-"
        )


class Sourced(Dated):
    """A statement with its source and how far it has been checked."""

    source: str
    certainty: Certainty


class Entry(Sourced):
    """A sourced statement with the authority under which it is shown."""

    authority: Authority
    ref: str | None = None

    @model_validator(mode="after")
    def _unchecked_is_policy(self) -> "Entry":
        refuse_unchecked(self.certainty, self.authority)
        return self


def refuse_unchecked(certainty: str, authority: str) -> None:
    """Nothing that has not been checked is shown as more than the clinic's own policy."""
    if certainty in UNCHECKED and authority != "clinic policy":
        raise ValueError(
            f"certainty {certainty!r} can only be shown as 'clinic policy', not as {authority!r}"
        )


# A file that names no day for its next review is due this long after the last one.
REVIEW_AFTER = timedelta(days=365)


class LibraryFile(Strict):
    """What every file of the library states about itself."""

    reviewed_on: date
    review_by: date | None = None

    @property
    def review_due(self) -> date:
        """The day by which somebody must read it against its sources again."""
        return self.review_by or self.reviewed_on + REVIEW_AFTER


Condition = dict[str, Any]


class FactDefinition(Strict):
    """Something that a rule may read.

    `asked_if`: whom the question concerns. Where that is false and nobody has stated the fact, it
    is as though it were not so. `test`: a measurement or a test, with the day on which it was done.
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    label: str
    kind: Literal["boolean", "number", "choice", "list"]
    section: str | None = None
    test: bool = False
    unit: str = ""
    question: str = ""
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    asked_if: Condition | None = None
    serves: str | None = None  # the fact that is worked out from this one

    @field_validator("asked_if")
    @classmethod
    def _form(cls, value: Condition | None) -> Condition | None:
        if value is not None:
            check_condition(value)
        return value

    @model_validator(mode="after")
    def _complete(self) -> "FactDefinition":
        if self.kind == "choice" and not self.choices:
            raise ValueError("a choice needs its choices")
        if self.section and not self.question:
            raise ValueError("a fact of the history form needs its question")
        return self


class Concept(Strict):
    fact: str
    snomed: tuple[str, ...] = ()
    icd10: tuple[str, ...] = ()
    active_only: bool = False


class Names(Strict):
    fact: str
    names: tuple[str, ...]


class CodeLists(Entry):
    """What a list, or a rule of counting, rests on, and how far it has been checked."""

    id: str
    statement: str


class TestAges(CodeLists):
    """After how many days a measurement or a test counts as unknown again."""

    days: dict[str, int]


class FactsFile(LibraryFile):
    sections: dict[str, str]
    facts: tuple[FactDefinition, ...]
    codes: CodeLists
    ages: TestAges
    concepts: tuple[Concept, ...]
    allergens: tuple[Names, ...]


class SourcesFile(LibraryFile):
    sources: dict[str, str]


class IngredientClass(Strict):
    """A class of medicines, and the facts that taking one of them states."""

    id: str
    label: str
    facts: tuple[str, ...] = ()
    ref: str | None = None
    only_if: tuple[str, ...] = ()  # words of the name without which it is another form


class Ingredient(Strict):
    """One active ingredient under every name by which a medicine list may write it."""

    name: str
    rxcui: str | None = Field(default=None, pattern=r"^[0-9]+$")
    also: tuple[str, ...] = ()
    brands: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


class CombinationProduct(Strict):
    """A brand that holds several ingredients."""

    brands: tuple[str, ...]
    of: tuple[str, ...]


class IngredientsFile(Entry, LibraryFile):
    """Medicines by ingredient. Taking none of a class is never read off this list."""

    may_lapse = False

    reviewed_on: date
    id: str
    statement: str
    codes: str
    classes: tuple[IngredientClass, ...]
    ingredients: tuple[Ingredient, ...]
    combinations: tuple[CombinationProduct, ...]
    salts: tuple[str, ...]
    not_names: tuple[str, ...]


class Stance(Strict):
    """How a rule stands for some routes: the same words, another authority or another finding.

    `all` names every route that no other stance of the rule names.
    """

    routes: tuple[Route | Literal["all"], ...] = Field(min_length=1)
    finding: FindingKind | None = None
    certainty: Certainty
    authority: Authority
    source: str | None = None
    note: str = ""

    @model_validator(mode="after")
    def _unchecked_is_policy(self) -> "Stance":
        refuse_unchecked(self.certainty, self.authority)
        return self


class ByRoute(Dated):
    """What holds for several routes on the authority that each route has for it."""

    source: str
    ref: str | None = None
    statement: str
    conditions: tuple[str, ...] = ()
    stances: tuple[Stance, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_stance_for_a_route(self) -> "ByRoute":
        named = [route for stance in self.stances for route in stance.routes]
        if twice := sorted({route for route in named if named.count(route) > 1}):
            raise ValueError(f"the route {twice[0]} has two stances")
        return self

    def stance(self, route: str) -> Stance | None:
        """The stance for a route; None where this does not concern it."""
        for stance in self.stances:
            if route in stance.routes:
                return stance
        return next((stance for stance in self.stances if "all" in stance.routes), None)

    def routes_of(self, stance: Stance) -> tuple[str, ...]:
        """The routes for which a stance stands."""
        return tuple(route for route in ROUTES if self.stance(route) is stance)

    @property
    def key(self) -> str:
        """By what findings, decisions and signatures name it."""
        raise NotImplementedError

    def named(self, stance: Stance) -> str:
        """What a stance is called where several are listed: `CI-1:IN_ESKETAMINE`, `CI-1:all`."""
        return self.key if len(self.stances) == 1 else f"{self.key}:{stance.routes[0]}"


class RequiredFact(ByRoute):
    """What must be known before anybody decides, whatever the rules make of it."""

    fact: str

    @property
    def key(self) -> str:
        return f"REQ-{self.fact}"


class EligibilityRule(ByRoute):
    id: str
    finding: FindingKind
    explanation: str
    patient: str
    when: Condition
    suspended_by: str | None = None  # the rule that, while in force, takes this one's place

    @field_validator("when")
    @classmethod
    def _form(cls, value: Condition) -> Condition:
        check_condition(value)
        return value

    @property
    def key(self) -> str:
        return self.id

    def finding_of(self, stance: Stance) -> FindingKind:
        return stance.finding or self.finding


class EligibilityFile(LibraryFile):
    required: tuple[RequiredFact, ...] = ()
    rules: tuple[EligibilityRule, ...] = ()


class JurisdictionFile(LibraryFile):
    """The law of one place, as far as it bears on who may be treated, how and where."""

    id: str
    name: str
    note: str = ""
    # How many days ahead somebody is told that a law lapses.
    warn_days_before: tuple[int, ...]
    rules: tuple[EligibilityRule, ...]


class RouteDefinition(Strict):
    id: Route
    name: str
    drug: str
    settings: tuple[Literal["clinic", "home"], ...] = Field(min_length=1)


class ConditionDefinition(Strict):
    id: str
    name: str


class Status(Entry):
    """What the authorities of a place say of a product for a condition. No conditions: for all."""

    id: str
    routes: tuple[Route, ...]
    conditions: tuple[str, ...] = ()
    standing: Literal["approved", "off-label", "not recommended", "subsidised"]
    statement: str


class ProgrammesFile(LibraryFile):
    """The routes and conditions that a course may have, and what regulators say of each."""

    routes: tuple[RouteDefinition, ...]
    conditions: tuple[ConditionDefinition, ...]
    status: tuple[Status, ...]


class StagingPart(Strict):
    """One part of a staging score: bands of a number, or points by choice."""

    id: str
    label: str
    question: str = ""
    points: dict[str, int] = {}
    up_to: tuple[tuple[float, int], ...] = ()  # (highest value, points); above the last: the last
    highest: int | None = None


class StagingScore(Entry):
    id: str
    ref: str
    name: str
    statement: str
    parts: tuple[StagingPart, ...]
    bands: tuple[tuple[int, str], ...]  # (lowest total, label)


class CountedTrials(CodeLists):
    needed: int


class TrialWeeks(CodeLists):
    shortest: float


class StagingFile(LibraryFile):
    """When an antidepressant trial counts, and how resistance is staged."""

    counted: CountedTrials
    weeks: TrialWeeks
    classes: tuple[str, ...]
    failing_outcomes: tuple[str, ...]
    outcomes: dict[str, str]
    scores: tuple[StagingScore, ...]


class Limit(Entry):
    may_lapse = False

    id: str
    quantity: str
    label: str
    unit: str
    minimum: float
    maximum: float
    statement: str


class Vial(Sourced):
    concentration_mg_per_ml: float
    dilute: bool
    note: str = ""


class Guidance(Entry):
    """What the team follows; the software shows it and does not enforce it."""

    id: str
    statement: str


class Device(Sourced):
    """A nasal spray device: what one holds, and the rest after it."""

    may_lapse = False

    content_mg: float
    salt_mg: float
    volume_ml: float
    sprays: int
    rest_min: float
    note: str = ""
    ndc: tuple[str, ...] = ()  # United States drug codes of the device and its kits


class DosePart(Strict):
    """One part of a dose that is given in steps."""

    dose_mg_per_kg: float
    duration_min: float


class Dose(Strict):
    """How much at one session. The regimen's own statement says it in words, with the source.

    `amount` is what is proposed; without it the prescriber chooses from `lowest` to `highest`, or
    one of `options`. `first` narrows the choice at the first session.
    """

    kind: Literal["by weight", "devices", "fixed", "rate"]
    unit: Literal["mg/kg", "mg", "mg/kg/h", "mg/h"]
    amount: float | None = None
    lowest: float
    highest: float
    options: tuple[float, ...] = ()
    first: tuple[float, ...] = ()
    step_least: float | None = None
    step_most: float | None = None
    duration_min: float | None = None
    parts: tuple[DosePart, ...] = ()
    bolus_at_most_mg_per_kg: float | None = None
    total_at_least_mg: float | None = None
    longer_than_min: float | None = None

    @model_validator(mode="after")
    def _hangs_together(self) -> "Dose":
        units = {
            "by weight": {"mg/kg"},
            "devices": {"mg"},
            "fixed": {"mg"},
            "rate": {"mg/kg/h", "mg/h"},
        }
        if self.unit not in units[self.kind]:
            raise ValueError(f"a dose {self.kind} is in {' or '.join(sorted(units[self.kind]))}")
        amounts = (*self.options, *self.first)
        amounts += () if self.amount is None else (self.amount,)
        if not 0 < self.lowest <= self.highest:
            raise ValueError("the lowest dose is above zero and not above the highest")
        if stray := [a for a in amounts if not self.lowest <= a <= self.highest]:
            raise ValueError(
                f"{stray[0]:g} {self.unit} lies outside {self.lowest:g} to {self.highest:g}"
            )
        if (self.kind == "devices") != bool(self.options):
            raise ValueError("options are for devices, and devices need them")
        if (self.step_least is None) != (self.step_most is None):
            raise ValueError("give both the smallest and the largest step")
        if self.parts:
            total = sum(part.dose_mg_per_kg for part in self.parts)
            minutes = sum(part.duration_min for part in self.parts)
            if self.amount is None or abs(total - self.amount) > 1e-9:
                raise ValueError("the parts do not add up to the dose")
            if self.duration_min is None or abs(minutes - self.duration_min) > 1e-9:
                raise ValueError("the parts do not add up to the duration")
        return self


class Rhythm(Entry):
    """How often sessions follow each other. Days count from the first of the period."""

    may_lapse = False

    id: str
    statement: str
    period_days: int = Field(ge=1)
    on_days: tuple[int, ...]
    least_gap_days: int = Field(ge=1)

    @property
    def per_week(self) -> int:
        """The most sessions of a week, counted by the treatment or by the calendar."""
        return max(len(self.on_days) * 7 // max(self.period_days, 1), 1)

    @model_validator(mode="after")
    def _days_of_the_period(self) -> "Rhythm":
        days = self.on_days
        if not days or days[0] != 0 or list(days) != sorted(set(days)):
            raise ValueError("on_days begin with 0 and rise")
        if days[-1] >= self.period_days:
            raise ValueError("on_days lie within the period")
        wrapped = [*days, self.period_days]
        if min(b - a for a, b in pairwise(wrapped)) < self.least_gap_days:
            raise ValueError("on_days lie closer together than the least gap")
        return self


class Phase(Entry):
    """A stretch of a course: by weeks, by a number of sessions, or without an end."""

    may_lapse = False

    id: str
    label: str
    statement: str
    rhythms: tuple[str, ...]  # the first is proposed; the prescriber may choose another
    first_week: int | None = None
    last_week: int | None = None
    sessions: int | None = None
    review: str = ""  # what is decided at its end

    @model_validator(mode="after")
    def _one_way_to_count(self) -> "Phase":
        if not self.rhythms:
            raise ValueError("a phase needs a rhythm")
        if self.sessions is not None and (self.first_week or self.last_week):
            raise ValueError("a phase is counted in weeks or in sessions, not both")
        if self.last_week is not None and (self.first_week or 0) > self.last_week:
            raise ValueError("the last week lies before the first")
        if self.last_week is not None and self.first_week is None:
            raise ValueError("a phase with a last week needs its first")
        return self


class MissedRule(Entry):
    """What happens after a missed session. `worsened` None: whether or not symptoms worsened."""

    may_lapse = False

    id: str
    statement: str
    phases: tuple[str, ...]
    worsened: bool | None = None
    action: Literal["continue", "step back", "move"]
    step_back: dict[str, str] = {}
    for_weeks: int | None = None

    @model_validator(mode="after")
    def _complete(self) -> "MissedRule":
        if (self.action == "step back") != bool(self.step_back) or bool(self.step_back) != bool(
            self.for_weeks
        ):
            raise ValueError("a step back names the rhythms from and to, and for how many weeks")
        return self


class Unset(Strict):
    """A figure that the library does not state, and why. The clinic must set it to use it."""

    quantity: str
    reason: str


class Regimen(Entry):
    """A way of giving ketamine for a condition. Without a dose it cannot be planned."""

    id: str
    name: str
    route: str
    conditions: tuple[str, ...]
    drug: Literal["racemic", "esketamine"]
    off_label: str
    statement: str
    age_at_least: float | None = None
    age_below: float | None = None
    setting: Literal["clinic", "inpatient", "home"] = "clinic"
    dose: Dose | None = None
    phases: tuple[Phase, ...] = ()
    missed: tuple[MissedRule, ...] = ()
    unset: tuple[Unset, ...] = ()
    limits: tuple[Limit, ...] = ()
    vials: tuple[Vial, ...] = ()
    device: Device | None = None
    units_mg: tuple[float, ...] = ()  # lozenges or tablets of these strengths
    stop: tuple[Guidance, ...] = ()
    guidance: tuple[Guidance, ...] = ()

    @model_validator(mode="after")
    def _unset_says_so(self) -> "Regimen":
        named = {item.quantity for item in self.unset}
        for quantity, missing in (("dose", self.dose is None), ("schedule", not self.phases)):
            if missing != (quantity in named):
                raise ValueError(f"a regimen has a {quantity}, or says under `unset` why not")
        if self.dose and (self.dose.kind == "devices") != (self.device is not None):
            raise ValueError("a dose in devices needs the device, and only such a dose")
        timed = self.dose is None or self.dose.duration_min is not None or self.route != "IV"
        if not timed and "duration" not in named:
            raise ValueError("an infusion has a duration, or says under `unset` why not")
        known = {phase.id for phase in self.phases}
        if stray := [p for rule in self.missed for p in rule.phases if p not in known]:
            raise ValueError(f"there is no phase {stray[0]!r}")
        return self

    @property
    def is_set(self) -> bool:
        """Whether a plan can be made by it as it stands."""
        return not any(item.quantity in {"dose", "schedule", "duration"} for item in self.unset)

    @property
    def dose_mg_per_kg(self) -> float | None:
        """The proposed dose by weight; None where it is not by weight or the prescriber chooses."""
        return self.dose.amount if self.dose and self.dose.unit == "mg/kg" else None

    @property
    def duration_min(self) -> float | None:
        """Over how long one dose is given; None where it is given at once or not established."""
        return self.dose.duration_min if self.dose else None

    @property
    def sessions(self) -> int | None:
        """Sessions of the first phase that is counted in sessions."""
        return next((p.sessions for p in self.phases if p.sessions is not None), None)

    def limit(self, quantity: str) -> Limit:
        """The clinic's limits of a quantity.

        Raises:
            KeyError: none are stated.
        """
        for limit in self.limits:
            if limit.quantity == quantity:
                return limit
        raise KeyError(f"{self.id} states no limits of {quantity}")


class ForCondition(Strict):
    """Instruments that are asked as well in courses for these conditions."""

    conditions: tuple[str, ...]
    instruments: tuple[str, ...]


class Occasion(Strict):
    """When instruments are asked: so long after a session, or so long before the next one.

    `at_most_every_days`: not again within so many days. `repeats_every_days`: again and again after
    the last session, until the course is closed. `call_when_missed`: whether the clinic calls a
    patient who let it pass.
    """

    id: str = Field(max_length=16)
    label: str
    instruments: tuple[str, ...] = ()
    also: tuple[ForCondition, ...] = ()
    after_hours: float = 0
    before_hours: float = 0
    closes_after_hours: float | None = None
    at_most_every_days: float | None = None
    repeats_every_days: float | None = Field(default=None, ge=1)
    off_window: bool = False
    call_when_missed: bool = True
    statement: str = ""

    @model_validator(mode="after")
    def _before_or_after(self) -> "Occasion":
        if self.before_hours and self.after_hours:
            raise ValueError("give before_hours or after_hours, not both")
        if self.repeats_every_days and not self.after_hours:
            raise ValueError("only what follows a session can repeat: give after_hours")
        if self.after_hours and (self.closes_after_hours or self.after_hours) < self.after_hours:
            raise ValueError("closes_after_hours lies before after_hours")
        return self

    def instruments_for(self, condition: str) -> tuple[str, ...]:
        """What is asked in a course for a condition, each once."""
        asked = list(self.instruments)
        for extra in self.also:
            if condition in extra.conditions:
                asked += extra.instruments
        return tuple(dict.fromkeys(asked))

    @property
    def every_instrument(self) -> tuple[str, ...]:
        """What is asked in a course for any condition, each once."""
        also = [name for extra in self.also for name in extra.instruments]
        return tuple(dict.fromkeys([*self.instruments, *also]))


class ReminderRule(Entry):
    """When a patient who has a form to answer is written to, in hours after it fell due."""

    id: str
    statement: str
    after_hours: float = Field(ge=0)


class MeasurementPlan(Entry, LibraryFile):
    """Which instruments are due, and when; when a patient is reminded of them."""

    reviewed_on: date
    occasions: tuple[Occasion, ...]
    reminders: tuple[ReminderRule, ...] = ()

    def instruments_for(self, condition: str) -> tuple[str, ...]:
        """Everything that the plan asks in a course for a condition, each once."""
        asked = [name for each in self.occasions for name in each.instruments_for(condition)]
        return tuple(dict.fromkeys(asked))


class Named(Strict):
    """A choice by its id, in words; `translations` has them by language."""

    id: str = Field(max_length=16)
    label: str
    translations: dict[str, str] = {}

    def in_language(self, language: str) -> str:
        return self.translations.get(language, self.label)


class PreparationTopics(Entry):
    """What a preparation covers."""

    may_lapse = False

    id: str
    statement: str
    topics: tuple[Named, ...]


class VisitRule(Entry):
    """When a visit with the therapist falls due: hours before the first session, or after each."""

    id: str
    kind: Literal["preparation", "integration"]
    label: str
    statement: str
    opens_hours: float = Field(ge=0)
    closes_hours: float = Field(ge=0)
    # So long after its end nobody is asked for the visit any more: it was not held.
    lapses_hours: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _a_window(self) -> "VisitRule":
        early, late = self.opens_hours, self.closes_hours
        if (early <= late) if self.kind == "preparation" else (late <= early):
            raise ValueError("the window closes before it opens")
        return self


class TouchRule(Entry):
    """How touch in a session is agreed, and which kinds of it can be."""

    may_lapse = False

    id: str
    statement: str
    nothing_added_once_dosed: bool
    kinds: tuple[Named, ...]


class TherapyFile(LibraryFile):
    """Talk therapy around the sessions."""

    preparation: PreparationTopics
    visits: tuple[VisitRule, ...]
    touch: TouchRule
    goals: tuple[Named, ...]


class ReviewDue(Entry):
    """When a review of a course falls due: days after the induction, the first dose or a review."""

    id: str
    label: str
    after: Literal["induction", "first dose", "review"]
    days: int = Field(ge=1)
    routes: tuple[Route, ...] = ()  # none: every route
    statement: str


class OverdueRule(Entry):
    """How long a review may be overdue before it is brought before somebody, and before whom."""

    may_lapse = False

    id: str
    after_days: int = Field(ge=0)
    director_after_days: int = Field(ge=0)
    statement: str

    @model_validator(mode="after")
    def _upwards(self) -> "OverdueRule":
        if self.director_after_days < self.after_days:
            raise ValueError("the director is told after the prescriber")
        return self


# What a review knows of a course: facts that its conditions may read, with how people call them.
REVIEW_FACTS: dict[str, str] = {
    "route": _noop("the route"),
    "doses_given": _noop("sessions given"),
    "doses_84_days": _noop("sessions within 12 weeks"),
    "days_since_first_dose": _noop("days since the first dose"),
    "days_since_last_dose": _noop("days since the last dose"),
    "responded": _noop("response on the leading questionnaire"),
    "remitted": _noop("remission on the leading questionnaire"),
    "important_change": _noop("important change on the leading questionnaire"),
    "worsened": _noop("worse by an important change"),
    "response_lost": _noop("a response that was lost again"),
    "tolerated": _noop("tolerated"),
    "urinary_symptoms": _noop("urinary symptoms"),
    "craving": _noop("wanting ketamine between sessions, 0 to 3"),
    "liver_risk": _noop("risk of liver disease"),
    "dose_rise_percent": _noop("rise of the dose over the course, %"),
    "misuse_signs": _noop("signs of misuse"),
    "pieces_lost": _noop("lozenges or tablets reported lost within 12 weeks"),
    "suicidal_flag": _noop("an alarming answer about suicide in the last 4 weeks"),
}


def _reads_only_review_facts(condition: Condition | None) -> Condition | None:
    if condition is not None:
        check_condition(condition)
        for fact in facts_of(condition):
            if fact not in REVIEW_FACTS:
                raise ValueError(f"a review knows no fact {fact!r}")
    return condition


class ReviewCheck(Entry):
    """Something that a review looks at: a questionnaire, or a result that somebody writes down.

    `facts`: measurements any of which counts as the result; none: only what is written down.
    """

    id: str
    label: str
    how: Literal["questionnaire", "result"]
    instrument: str = ""
    facts: tuple[str, ...] = ()
    every_days: int = Field(ge=1)
    when: Condition | None = None
    statement: str

    _form = field_validator("when")(_reads_only_review_facts)

    @model_validator(mode="after")
    def _one_way(self) -> "ReviewCheck":
        if (self.how == "questionnaire") != bool(self.instrument):
            raise ValueError("a check by questionnaire names it, and only such a check")
        return self


class MisuseSign(Entry):
    """A sign that a drug is wanted for itself: noted by somebody, or read from the record."""

    id: str
    label: str
    counts: Literal["noted", "record"]
    when: Condition | None = None
    statement: str

    _form = field_validator("when")(_reads_only_review_facts)

    @model_validator(mode="after")
    def _one_way(self) -> "MisuseSign":
        if (self.counts == "record") != (self.when is not None):
            raise ValueError("what the record shows has a condition, and only that")
        return self


class MisuseWindow(Entry):
    may_lapse = False

    id: str
    value: int = Field(ge=1)  # days
    statement: str


class Says(Entry):
    """One thing that speaks for a decision or against it, where its condition holds."""

    id: str
    side: Literal["for", "against"]
    when: Condition
    statement: str

    _form = field_validator("when")(_reads_only_review_facts)


class ReviewOption(Strict):
    """One decision that a review may come to."""

    id: Literal["continue", "space out", "change", "stop", "refer"]
    label: str
    says: tuple[Says, ...] = ()


class ContinuityRule(Entry):
    """After how many days somebody counts as about to fall out of follow-up."""

    id: str
    kind: Literal[
        "no next step", "missed visit", "missed forms", "lost contact", "stalled before treatment"
    ]
    after_days: int = Field(ge=0)
    at_least: int = 1
    statement: str


class ReviewsFile(LibraryFile):
    """How a course is reviewed, and how nobody falls out of follow-up unseen."""

    due: tuple[ReviewDue, ...]
    overdue: OverdueRule
    checks: tuple[ReviewCheck, ...]
    misuse: tuple[MisuseSign, ...]
    misuse_within_days: MisuseWindow
    options: tuple[ReviewOption, ...]
    continuity: tuple[ContinuityRule, ...]

    @property
    def longest_days(self) -> int:
        """The longest that a review may wait for the next one."""
        return min(rule.days for rule in self.due if rule.after == "review")

    @model_validator(mode="after")
    def _complete(self) -> "ReviewsFile":
        if not any(rule.after == "review" for rule in self.due):
            raise ValueError("some rule must say when the next review falls due")
        if len({option.id for option in self.options}) != 5:
            raise ValueError("every decision stands here once")
        return self


class RegimensFile(LibraryFile):
    rhythms: tuple[Rhythm, ...] = ()
    regimens: tuple[Regimen, ...] = ()
    guidance: tuple[Guidance, ...] = ()


class Wait(Strict):
    """What must lie so many minutes back when the dose is given; the check asks for its time."""

    fact: str
    label: str
    at_least_min: float = Field(gt=0)


class ChecklistItem(Entry):
    id: str
    item: str
    question: str
    note: str = ""
    waits: tuple[Wait, ...] = ()


class Shares(Entry):
    """A route that holds by another's rules, but for those named in `without`."""

    may_lapse = False

    route: str
    statement: str
    without: tuple[str, ...] = ()


class ObservationRule(Entry):
    """What is observed in a phase: at an interval, or at minutes from where the phase begins.

    The phase `observation` begins with the first dose, for routes whose dose is given at once;
    `before` is the check before it.
    """

    id: str = ""
    phase: Literal["before", "infusion", "recovery", "observation"]
    every_min: float | None = None
    at_min: tuple[float, ...] = ()
    statement: str
    quantities: tuple[str, ...] = ("systolic_mmhg", "heart_rate_bpm", "spo2_percent")

    @model_validator(mode="after")
    def _one_clock(self) -> "ObservationRule":
        if (self.every_min is None) == (not self.at_min):
            raise ValueError("give every_min or at_min, and not both")
        if self.every_min is not None and not self.every_min > 0:
            raise ValueError("every_min is above zero")
        if list(self.at_min) != sorted(set(self.at_min)) or min(self.at_min, default=0) < 0:
            raise ValueError("at_min rise from 0 on")
        return self


class Branch(Entry):
    """What to do about a reading, with alarming symptoms or without them."""

    id: str
    quantities: tuple[str, ...]
    symptoms: bool
    statement: str
    steps: tuple[str, ...] = Field(min_length=1)


class LateRule(Entry):
    may_lapse = False

    value: float
    statement: str


class Threshold(Entry):
    """A limit of clinic policy. Exactly one of the bounds is set."""

    id: str
    priority: Literal["amber", "red"]
    quantity: str
    statement: str
    at_least: float | None = None
    above: float | None = None
    below: float | None = None
    above_baseline_by: float | None = None
    source: str = "clinic"
    certainty: Certainty = "DESIGN"
    authority: Authority = "clinic policy"

    @model_validator(mode="after")
    def _one_bound(self) -> "Threshold":
        bounds = (self.at_least, self.above, self.below, self.above_baseline_by)
        if sum(bound is not None for bound in bounds) != 1:
            raise ValueError("give exactly one of at_least, above, below, above_baseline_by")
        return self

    def is_crossed(self, value: float, baseline: float | None, margin: float = 0.0) -> bool | None:
        """Whether a value crosses it; None where it needs a baseline that is not known.

        With a margin, whether it has not come back inside by more than that.
        """
        if self.at_least is not None:
            return value + margin >= self.at_least
        if self.above is not None:
            return value + margin > self.above
        if self.below is not None:
            return value - margin < self.below
        assert self.above_baseline_by is not None
        return None if baseline is None else value + margin - baseline >= self.above_baseline_by


class Plausible(Strict):
    quantity: str
    label: str
    unit: str
    minimum: float
    maximum: float


class SideEffect(Strict):
    id: str
    label: str


class SideEffects(Sourced):
    severities: tuple[str, ...]
    items: tuple[SideEffect, ...]


class Medicine(Strict):
    id: str
    ref: str | None = None
    label: str
    purpose: str
    usual: str
    unit: str
    routes: tuple[str, ...]
    maximum: float | None = None
    warn: str = ""


class Medicines(Entry):
    items: tuple[Medicine, ...]


class Preparation(Entry):
    """How a dose is drawn up before it is given."""

    id: str
    second_person: bool
    statement: str


class MonitoringFile(LibraryFile):
    """A session by one route. What a file that shares does not state holds as for the other."""

    route: str
    shares: Shares | None = None
    presession: tuple[ChecklistItem, ...]
    preparation: Preparation | None = None
    before: tuple[Threshold, ...] = ()  # readings before the dose that ask for a decision
    schedule: tuple[ObservationRule, ...]
    late_after_min: LateRule
    thresholds: tuple[Threshold, ...] = ()
    responses: dict[str, str]
    branches: tuple[Branch, ...] = ()
    plausible: tuple[Plausible, ...] = ()
    side_effects: SideEffects = SideEffects(
        source="clinic", certainty="DESIGN", severities=(), items=()
    )
    medicines: Medicines = Medicines(
        source="clinic", certainty="DESIGN", authority="clinic policy", items=()
    )
    guidance: tuple[Guidance, ...] = ()

    @model_validator(mode="after")
    def _whole_or_shared(self) -> "MonitoringFile":
        if self.shares is None and not (self.thresholds and self.plausible and self.branches):
            raise ValueError("state thresholds, branches and plausible values, or share a route's")
        return self

    def on_top_of(self, base: "MonitoringFile") -> "MonitoringFile":
        """This file with what it shares filled in."""
        without = set(self.shares.without) if self.shares else set()
        own_checks = {check.item for check in self.presession}
        lists = {
            name: getattr(self, name) or getattr(base, name)
            for name in ("thresholds", "branches", "plausible")
        }
        return self.model_copy(
            update={
                **lists,
                "preparation": self.preparation or base.preparation,
                "presession": (
                    *(c for c in base.presession if c.item not in own_checks | without),
                    *self.presession,
                ),
                "side_effects": self.side_effects if self.side_effects.items else base.side_effects,
                "medicines": self.medicines if self.medicines.items else base.medicines,
                "guidance": (*self.guidance, *(g for g in base.guidance if g.id not in without)),
            }
        )


class AlarmRule(Entry):
    """A rule on alarms. Without any one of them the others would not be safe."""

    may_lapse = False


class Settling(AlarmRule):
    """When a crossed limit of one quantity becomes an alarm, and when the alarm is over."""

    id: str
    quantity: str
    margin: float = Field(ge=0)
    confirm_s: float = Field(ge=0)
    alone_s: float = Field(ge=0)
    clear_s: float = Field(ge=0)
    statement: str

    @model_validator(mode="after")
    def _alone_after_confirmed(self) -> "Settling":
        if self.alone_s < self.confirm_s:
            raise ValueError("alone_s is at least confirm_s: waiting alone never confirms sooner")
        return self


class SignAlarm(AlarmRule):
    """A side effect, or how bad one is, that is an alarm when a person notes it."""

    id: str
    priority: Literal["amber", "red"]
    statement: str
    effect: str | None = None
    severity: str | None = None
    times: int = Field(default=1, ge=1)
    while_below: dict[str, float] = {}

    @model_validator(mode="after")
    def _says_what(self) -> "SignAlarm":
        if self.effect is None and self.severity is None:
            raise ValueError("name the effect or the severity")
        return self


class EmergencySign(Strict):
    id: str
    label: str


class Emergency(AlarmRule):
    statement: str
    response: str
    signs: tuple[EmergencySign, ...]


class FeedLost(AlarmRule):
    id: str
    priority: Literal["amber", "red"]
    after_min: float = Field(gt=0)
    statement: str
    response: str


class LateAgain(AlarmRule):
    id: str
    after_min: float = Field(gt=0)
    statement: str


class EscalationStep(AlarmRule):
    """Whom an unanswered alarm reaches after so long. Roles as the clinic's accounts name them."""

    id: str
    priority: Literal["amber", "red"]
    after_min: float = Field(ge=0)
    reaches: tuple[Literal["nurse", "prescriber", "therapist", "coordinator", "director"], ...] = (
        Field(min_length=1)
    )
    statement: str


class Quiet(AlarmRule):
    id: str
    longest_min: float = Field(gt=0)
    choices_min: tuple[float, ...] = Field(min_length=1)
    statement: str

    @model_validator(mode="after")
    def _within(self) -> "Quiet":
        if max(self.choices_min) > self.longest_min or min(self.choices_min) <= 0:
            raise ValueError("choices_min lie above 0 and at most at longest_min")
        return self


class Foretold(AlarmRule):
    """When the forecast's chance of passing a limit is shown, and when it is a warning."""

    id: str
    within_min: float = Field(gt=0, le=60)
    shown_from_percent: float = Field(gt=0, le=100)
    warns_from_percent: float = Field(gt=0, le=100)
    statement: str


class AlarmsFile(LibraryFile):
    """What makes alarms rare, unmistakable and impossible to leave unanswered."""

    settling: tuple[Settling, ...]
    signs: tuple[SignAlarm, ...]
    emergency: Emergency
    feed_lost: FeedLost
    late_again: LateAgain
    escalation: tuple[EscalationStep, ...]
    quiet: Quiet
    foretold: Foretold

    def rules(self) -> Iterator[tuple[str, Entry, str]]:
        """Every rule: its id, the rule, and what it says, with its figures, to its reader."""
        yield "AL-EMERGENCY", self.emergency, _(self.emergency.statement)
        for item in self.settling:
            figures = _(
                "margin %(margin)s, confirmed %(confirm)s s, alone %(alone)s s, over %(clear)s s"
            ) % {
                "margin": f"{item.margin:g}",
                "confirm": f"{item.confirm_s:g}",
                "alone": f"{item.alone_s:g}",
                "clear": f"{item.clear_s:g}",
            }
            yield item.id, item, f"{_(item.statement)} [{figures}]"
        for sign in self.signs:
            yield sign.id, sign, f"{_(sign.statement)} ({_(sign.priority)})"
        lost, again, quiet = self.feed_lost, self.late_again, self.quiet
        yield lost.id, lost, f"{_(lost.statement)} ({_(lost.priority)}, {lost.after_min:g} min)"
        yield again.id, again, f"{_(again.statement)} [{again.after_min:g} min]"
        for step in self.escalation:
            reaches = ", ".join(map(_, step.reaches))
            yield step.id, step, f"{_(step.statement)} [{step.after_min:g} min: {reaches}]"
        yield quiet.id, quiet, f"{_(quiet.statement)} [{quiet.longest_min:g} min]"
        soon = self.foretold
        yield soon.id, soon, f"{_(soon.statement)} [{soon.within_min:g} min]"

    @model_validator(mode="after")
    def _red_reaches_somebody_at_once(self) -> "AlarmsFile":
        if not any(step.priority == "red" and step.after_min == 0 for step in self.escalation):
            raise ValueError("a red alarm must reach somebody at once: a red step with after_min 0")
        if not any(step.priority == "amber" for step in self.escalation):
            raise ValueError("an amber alarm must reach somebody in the end: an amber step")
        return self


class CallRule(Entry):
    """A rule on calls. Without any one of them the others would not be safe."""

    may_lapse = False

    id: str
    priority: Literal["amber", "red"]
    statement: str


class CallStep(CallRule):
    """Whom an unanswered call reaches after so long, and by what beside every screen."""

    after_min: float = Field(ge=0)
    reaches: tuple[
        Literal[
            "on_call_first",
            "on_call_second",
            "responsible",
            "nurse",
            "prescriber",
            "therapist",
            "coordinator",
            "director",
        ],
        ...,
    ] = Field(min_length=1)
    by: tuple[Literal["text", "email"], ...] = ()


class CallAgain(CallRule):
    """How often a call rings again after its last step."""

    every_min: float = Field(ge=1)


class CallLeftOpen(CallRule):
    """After how long a call that was answered and not closed counts as unanswered again."""

    after_min: float = Field(gt=0)


class CallsFile(LibraryFile):
    """Whom the clinic's calls reach, so that none is left unanswered."""

    escalation: tuple[CallStep, ...]
    rings_again: tuple[CallAgain, ...]
    left_open: tuple[CallLeftOpen, ...]

    def steps(self, priority: str) -> list[CallStep]:
        """The steps of one priority, in the order in which they come."""
        return sorted(
            (step for step in self.escalation if step.priority == priority),
            key=lambda step: step.after_min,
        )

    def again_min(self, priority: str) -> float:
        """How often an unanswered call rings after its last step, in minutes."""
        return next(rule.every_min for rule in self.rings_again if rule.priority == priority)

    def left_open_min(self, priority: str) -> float:
        """How long a call may stand answered and not closed, in minutes."""
        return next(rule.after_min for rule in self.left_open if rule.priority == priority)

    def rules(self) -> Iterator[tuple[str, Entry, str]]:
        """Every rule: its id, the rule, and what it says, with its figures, to its reader."""
        for step in self.escalation:
            reaches = ", ".join(map(_, step.reaches))
            if step.by:
                reaches = _("%(people)s by %(ways)s") % {
                    "people": reaches,
                    "ways": _(" and ").join(map(_, step.by)),
                }
            yield step.id, step, f"{_(step.statement)} [{step.after_min:g} min: {reaches}]"
        for again in self.rings_again:
            yield again.id, again, f"{_(again.statement)} [{again.every_min:g} min]"
        for left in self.left_open:
            yield left.id, left, f"{_(left.statement)} [{left.after_min:g} min]"

    @model_validator(mode="after")
    def _nobody_is_forgotten(self) -> "CallsFile":
        for priority in ("red", "amber"):
            if not any(step.after_min == 0 for step in self.steps(priority)):
                raise ValueError(f"{priority} must reach somebody at once: a step with after_min 0")
            for name, rules in (("rings_again", self.rings_again), ("left_open", self.left_open)):
                if sum(rule.priority == priority for rule in rules) != 1:
                    raise ValueError(f"{name} has exactly one rule for {priority}")
        return self


class HomeWarning(Entry):
    """What somebody reads, and signs for, before treatment at home is switched on."""

    id: str
    statement: str


HomeQuantity = Literal[
    "screening_valid_days",
    "cap_mg",
    "least_days_between",
    "check_valid_min",
    "adult_valid_min",
    "mood_asks_at_most",
    "close_within_min",
    "review_from_days",
    "review_within_days",
    "photo_kept_days",
]


class HomeRule(Entry):
    """A figure of treatment at home. Without any one of them the others would not be safe."""

    may_lapse = False

    id: str
    quantity: HomeQuantity
    value: float = Field(ge=0)
    unit: str
    statement: str


class AtHomeFile(LibraryFile):
    """Treatment at home: what is read before it is switched on, and its figures."""

    warnings: tuple[HomeWarning, ...]
    rules: tuple[HomeRule, ...]

    def rule(self, quantity: HomeQuantity) -> HomeRule:
        """The rule that states a quantity."""
        return next(rule for rule in self.rules if rule.quantity == quantity)

    def warnings_in(self, jurisdiction: str) -> tuple[HomeWarning, ...]:
        """What is to be read in a place."""
        return tuple(each for each in self.warnings if each.applies_in(jurisdiction))

    @model_validator(mode="after")
    def _every_quantity_once(self) -> "AtHomeFile":
        stated = [rule.quantity for rule in self.rules]
        for quantity in get_args(HomeQuantity):
            if stated.count(quantity) != 1:
                raise ValueError(f"exactly one rule states {quantity}")
        return self


class DischargeCriterion(Entry):
    id: str
    fact: str
    statement: str
    question: str = ""
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    must_be: bool | None = Field(default=None, alias="is")


class AfterCareRule(Entry):
    """What holds for the patient after leaving, and until when."""

    id: str
    statement: str
    until: Literal["next day after sleep", "end of the day", "always"]
    contact_within_h: float | None = None  # the clinic calls within so long


class DischargeFile(LibraryFile):
    """Going home by one route. A file that shares adds its own criteria to the other's."""

    route: str
    shares: Shares | None = None
    criteria: tuple[DischargeCriterion, ...]
    aftercare: tuple[AfterCareRule, ...] = ()

    def on_top_of(self, base: "DischargeFile") -> "DischargeFile":
        """This file with what it shares filled in: its own criterion of a fact goes first."""
        without = set(self.shares.without) if self.shares else set()
        own = {criterion.fact for criterion in self.criteria}
        kept = (c for c in base.criteria if c.id not in without and c.fact not in own)
        rules = (rule for rule in base.aftercare if rule.id not in without)
        return self.model_copy(
            update={
                "criteria": (*self.criteria, *kept),
                "aftercare": (*self.aftercare, *rules),
            }
        )


class ScoreOption(Strict):
    """An answer. `within_percent`: it is earned by a change from baseline of at most so much."""

    points: int
    label: str
    within_percent: float | None = None


class ScoreItem(Strict):
    id: str
    label: str
    options: tuple[ScoreOption, ...] = Field(min_length=2)


class DischargeScore(Entry):
    """A published score of fitness to leave."""

    id: str
    name: str
    statement: str
    fit_at_least: int
    judges_home: bool  # False: it judges leaving the recovery room, not going home
    items: tuple[ScoreItem, ...]


class ScoresFile(LibraryFile):
    scores: tuple[DischargeScore, ...]


class Option(Strict):
    value: int
    label: str
    loinc: str | None = None


Scale = tuple[int, int]  # lowest and highest of a run of whole numbers


class Item(Strict):
    """One question. `options` or `scale` where its answers are not the instrument's own."""

    id: str
    text: str = ""
    label: str = ""  # what it is called where its wording may not stand here
    loinc: str | None = None
    options: tuple[Option, ...] = ()
    scale: Scale | None = None
    asked_if: tuple[str, ...] = ()  # only after another answer than 0 to one of these items
    counts: bool = True  # False: opens other items and adds nothing to the total
    reversed: bool = False  # the highest answer has the fewest points


class Band(Strict):
    low: int = Field(alias="from")
    high: int = Field(alias="to")
    label: str


class CutOff(Strict):
    """A total from which a screen counts as positive. Not a diagnosis."""

    at_least: float
    statement: str
    certainty: Certainty


class Cluster(Strict):
    """Symptoms of which a number must be present, each at a value or more."""

    id: str
    items: tuple[str, ...]
    item_at_least: int
    needed: int


class Level(Strict):
    """A level of a triage: reached by an answer of `at_least` to any of the items."""

    label: str
    any_of: tuple[str, ...]
    at_least: int = 1


class Subscale(Strict):
    """Items whose mean is a figure of its own. `needs`: how many of them must be answered."""

    id: str
    label: str
    items: tuple[str, ...]
    needs: int | None = None  # None: all of them


class ResponseRule(Strict):
    fall_percent: float
    statement: str
    certainty: Certainty


class RemissionRule(Strict):
    below: float
    statement: str
    certainty: Certainty


class ImportantChange(Strict):
    """The smallest change that matters to a patient: points, or a share of the baseline."""

    points: float | None = None
    percent: float | None = None
    statement: str
    certainty: Certainty

    @model_validator(mode="after")
    def _one_measure(self) -> "ImportantChange":
        if (self.points is None) == (self.percent is None):
            raise ValueError("give points or percent")
        return self


class RedFlagRule(Strict):
    """An answer that a clinician must look at. `suicide` also shows the patient whom to call."""

    item: str
    at_least: int
    statement: str
    demands: str
    concern: Literal["suicide", "medical"] = "suicide"


class Licence(Sourced):
    """Whether the wording may stand here. CHECK and DO NOT SHIP: scores by item number only."""

    terms: Literal["SHIP", "OWN WORDING", "CHECK", "DO NOT SHIP"]
    statement: str


class Translation(Sourced):
    """The wording in another language: a published translation, word for word.

    `options` are the labels of the instrument's own options, in their order.
    """

    prompt: str
    options: tuple[str, ...]
    items: dict[str, str]

    @property
    def statement(self) -> str:
        return _("Translated: %(prompt)s") % {"prompt": self.prompt}


class InstrumentFile(Sourced, LibraryFile):
    """A questionnaire or rating. `source` and `certainty` are those of its scoring."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    name: str
    short_name: str
    ref: str | None = None
    licence: Licence
    completed_by: Literal["patient", "clinician"] = "patient"
    reviewed_on: date
    loinc_panel: str | None = None
    loinc_total: str | None = None
    recall_days: int | None = None  # None: not established by the reference
    prompt: str = ""
    options: tuple[Option, ...] = ()
    scale: Scale | None = None
    items: tuple[Item, ...] = ()
    scoring: Literal[
        "sum", "mean", "highest of groups", "means of subscales", "triage", "total only"
    ]
    groups: tuple[tuple[str, ...], ...] = ()
    subscales: tuple[Subscale, ...] = ()
    total_scale: Scale | None = None  # where only the total can be entered
    bands: tuple[Band, ...] = ()
    bands_certainty: Certainty | None = None  # None: that of the scoring
    levels: tuple[Level, ...] = ()
    otherwise: str = "none"  # the level of a triage that reaches no other
    clusters: tuple[Cluster, ...] = ()
    cut_offs: tuple[CutOff, ...] = ()
    missing: str = "No result while an item that is asked has no answer."
    note: str = ""
    response: ResponseRule | None = None
    remission: RemissionRule | None = None
    important_change: ImportantChange | None = None
    red_flags: tuple[RedFlagRule, ...] = ()
    translations: dict[str, Translation] = {}

    @property
    def text_shipped(self) -> bool:
        """Whether the wording stands here."""
        return self.licence.terms in {"SHIP", "OWN WORDING"}

    @property
    def by_patient(self) -> bool:
        """Whether a patient can answer it alone: for patients, and in words."""
        return self.completed_by == "patient" and self.text_shipped

    @property
    def total_may_be_entered(self) -> bool:
        """A clinic with its own licensed form may enter what that form came to."""
        return not self.text_shipped and self.total_range is not None

    def options_of(self, item: Item) -> tuple[Option, ...]:
        """The answers that an item offers, in the order of the form."""
        scale = item.scale or (None if self.options else self.scale)
        if item.options or scale is None:
            return item.options or self.options
        return tuple(Option(value=value, label=str(value)) for value in range(*_span(scale)))

    def points(self, item: Item, value: int) -> int:
        """What an answer counts."""
        if not item.reversed:
            return value
        values = [option.value for option in self.options_of(item)]
        return min(values) + max(values) - value

    @property
    def total_range(self) -> tuple[float, float] | None:
        """The lowest and the highest total; None where the instrument has no total."""
        if self.total_scale:
            return self.total_scale
        if self.scoring not in {"sum", "mean", "highest of groups"}:
            return None
        counted = [item for item in self.items if item.counts]
        values = {
            item.id: [self.points(item, o.value) for o in self.options_of(item)] for item in counted
        }
        units = self.groups or tuple((name,) for name in values)
        low = sum(max(min(values[name]) for name in unit) for unit in units)
        high = sum(max(max(values[name]) for name in unit) for unit in units)
        share = len(counted) if self.scoring == "mean" else 1
        return low / share, high / share

    def in_language(self, language: str) -> "InstrumentFile":
        """The same instrument in the words of a language; as it is where it has none."""
        words = self.translations.get(language)
        if words is None:
            return self
        return self.model_copy(
            update={
                "prompt": words.prompt,
                "options": tuple(
                    option.model_copy(update={"label": label})
                    for option, label in zip(self.options, words.options, strict=True)
                ),
                "items": tuple(
                    item.model_copy(update={"text": words.items[item.id]}) for item in self.items
                ),
            }
        )

    @model_validator(mode="after")
    def _names_its_own_items(self) -> "InstrumentFile":
        known = {item.id for item in self.items}
        named = [flag.item for flag in self.red_flags]
        named += [name for item in self.items for name in item.asked_if]
        named += [name for group in self.groups for name in group]
        named += [name for cluster in self.clusters for name in cluster.items]
        named += [name for level in self.levels for name in level.any_of]
        named += [name for subscale in self.subscales for name in subscale.items]
        if strangers := [name for name in named if name not in known]:
            raise ValueError(f"there is no item {strangers[0]!r}")
        if unanswerable := [item.id for item in self.items if not self.options_of(item)]:
            raise ValueError(f"item {unanswerable[0]} has no answers: give options or a scale")
        return self

    @model_validator(mode="after")
    def _has_what_its_scoring_needs(self) -> "InstrumentFile":
        known = sorted(item.id for item in self.items)
        for scoring, what, parts in (
            ("highest of groups", "groups", self.groups),
            ("means of subscales", "subscales", [scale.items for scale in self.subscales]),
        ):
            if (self.scoring == scoring) != bool(parts) or (
                parts and sorted(name for part in parts for name in part) != known
            ):
                raise ValueError(f"{what} name every item once, where the scoring is {scoring!r}")
        if (self.scoring == "triage") != bool(self.levels):
            raise ValueError("levels belong to a triage")
        if (self.scoring == "total only") != bool(self.total_scale) or (
            bool(self.total_scale) == bool(self.items)
        ):
            raise ValueError("an instrument has items, or a total_scale and only a total")
        return self

    @model_validator(mode="after")
    def _text_only_where_it_may_be(self) -> "InstrumentFile":
        for item in self.items:
            if bool(item.text) != self.text_shipped:
                raise ValueError(
                    f"item {item.id}: wording stands here exactly where the licence allows it"
                )
        for language, words in self.translations.items():
            if (
                not self.text_shipped
                or set(words.items) != {item.id for item in self.items}
                or len(words.options) != len(self.options)
                or any(item.options for item in self.items)
            ):
                raise ValueError(
                    f"translations.{language} words every item and option of a form whose wording "
                    "may stand here"
                )
        return self

    @model_validator(mode="after")
    def _bands_cover_every_total(self) -> "InstrumentFile":
        if not self.bands:
            return self
        if self.scoring not in {"sum", "highest of groups"}:
            raise ValueError("bands are for whole totals")
        assert self.total_range is not None
        expected, highest = self.total_range
        for band in self.bands:
            if band.low != expected or band.high < band.low:
                raise ValueError(f"band {band.label!r} should begin at {expected:g}")
            expected = band.high + 1
        if expected - 1 != highest:
            raise ValueError("the bands do not reach the highest total")
        return self


def _span(scale: Scale) -> tuple[int, int]:
    return scale[0], scale[1] + 1


class Point(Sourced):
    text: str
    ref: str | None = None


class DocumentSection(Strict):
    title: str
    points: tuple[Point, ...]
    emergency: bool = False


class Document(Strict):
    id: str
    kind: Literal["consent", "aftercare", "education"]
    route: str
    language: str = "en"
    version: str
    title: str
    sections: tuple[DocumentSection, ...]


class ContactWords(Strict):
    label: str
    note: str = ""


class Contact(Strict):
    """Whom a patient can call in need. `translations`: label and note by language."""

    label: str
    phone: str
    note: str = ""
    certainty: Certainty
    translations: dict[str, ContactWords] = {}

    def in_language(self, language: str) -> "Contact":
        words = self.translations.get(language)
        return self.model_copy(update=words.model_dump()) if words else self


class EducationFile(LibraryFile):
    documents: tuple[Document, ...]
    contacts: dict[str, tuple[Contact, ...]] = {}


class Landmark(Entry):
    """A moment after the first dose at which outcomes are counted: the score nearest to `day`."""

    id: str
    label: str
    day: float
    from_day: float
    to_day: float
    main: bool = False
    statement: str

    @model_validator(mode="after")
    def _window_holds_its_day(self) -> "Landmark":
        if not 0 < self.from_day <= self.day <= self.to_day:
            raise ValueError("the window must begin after day 0 and hold its day")
        return self


class RelapseDefinition(Entry):
    id: str
    scores_in_a_row: int = Field(ge=1)
    statement: str


class SmallCells(Entry):
    """Counts from 1 to below `fewer_than` stay hidden; 1 hides nothing."""

    id: str
    fewer_than: int = Field(ge=1)
    statement: str


class FunnelLimits(Entry):
    id: str
    inner_percent: float = Field(gt=50, lt=100)
    outer_percent: float = Field(gt=50, lt=100)
    statement: str

    @model_validator(mode="after")
    def _outer_is_wider(self) -> "FunnelLimits":
        if self.outer_percent <= self.inner_percent:
            raise ValueError("outer_percent must be above inner_percent")
        return self


class OutcomesFile(LibraryFile):
    """How the clinic counts its own outcomes."""

    reviewed_on: date
    landmarks: tuple[Landmark, ...]
    relapse: RelapseDefinition
    small_cells: SmallCells
    funnel: FunnelLimits

    @model_validator(mode="after")
    def _one_main_landmark(self) -> "OutcomesFile":
        if sum(landmark.main for landmark in self.landmarks) != 1:
            raise ValueError("exactly one landmark is the main one")
        ends = sorted((each.from_day, each.to_day) for each in self.landmarks)
        if any(end > start for (_, end), (start, _) in pairwise(ends)):
            raise ValueError("two landmarks overlap: a score would count at both")
        return self

    @property
    def main(self) -> Landmark:
        """The moment of the clinic's main figure."""
        return next(landmark for landmark in self.landmarks if landmark.main)


# By the first of these that all its members have, a list is compared and overlaid by member.
NAMED_BY = ("id", "fact", "quantity", "phase", "concentration_mg_per_ml", "title")
# Compared and overlaid as one: half a condition says nothing.
WHOLE = frozenset({"when"})


def published(name: str) -> dict[str, Any]:
    """The JSON Schema of one kind of file, by its name in `FILES`."""
    where = name if name.endswith(".yaml") else f"{name}/*.yaml"
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": f"Checks {where} of the clinical library. References between files, and rules "
        f"that span entries, are checked by `openketamine protocols check`.",
    }
    return {**head, **FILES[name].model_json_schema()}


# What each file is, by folder, or by name where it lies at the top; in the order of care.
FILES: dict[str, type[BaseModel]] = {
    "facts.yaml": FactsFile,
    "sources.yaml": SourcesFile,
    "ingredients.yaml": IngredientsFile,
    "programmes.yaml": ProgrammesFile,
    "staging.yaml": StagingFile,
    "eligibility": EligibilityFile,
    "jurisdictions": JurisdictionFile,
    "regimens": RegimensFile,
    "measurements.yaml": MeasurementPlan,
    "therapy.yaml": TherapyFile,
    "reviews.yaml": ReviewsFile,
    "monitoring": MonitoringFile,
    "discharge-scores.yaml": ScoresFile,
    "alarms.yaml": AlarmsFile,
    "calls.yaml": CallsFile,
    "athome.yaml": AtHomeFile,
    "discharge": DischargeFile,
    "instruments": InstrumentFile,
    "outcomes.yaml": OutcomesFile,
    "education": EducationFile,
}

_COMPARISONS = frozenset({"above", "at_least", "below", "at_most", "in"})


def check_condition(condition: Any) -> None:
    """Refuse a `when` that the evaluator could not read.

    Raises:
        ValueError: with what is allowed.
    """
    if not isinstance(condition, dict) or len(condition) != 1:
        raise ValueError("a condition is one of all:, any:, not: or one fact")
    ((key, value),) = condition.items()
    if key in {"all", "any"}:
        if not isinstance(value, list) or not value:
            raise ValueError(f"{key}: needs a list of conditions")
        for part in value:
            check_condition(part)
    elif key == "not":
        check_condition(value)
    elif isinstance(value, dict):
        if len(value) != 1 or not _COMPARISONS.issuperset(value):
            raise ValueError(f"compare {key} with one of {', '.join(sorted(_COMPARISONS))}")
    elif not isinstance(value, bool):
        raise ValueError(f"{key} is compared with true, false or a comparison")


def facts_of(condition: Condition) -> set[str]:
    """Every fact that a condition reads."""
    ((key, value),) = condition.items()
    if key in {"all", "any"}:
        return set().union(*(facts_of(part) for part in value))
    if key == "not":
        return facts_of(value)
    return {key}


def comparisons_of(condition: Condition) -> list[tuple[str, Any]]:
    """Every (fact, what it is compared with) of a condition."""
    ((key, value),) = condition.items()
    if key in {"all", "any"}:
        return [pair for part in value for pair in comparisons_of(part)]
    if key == "not":
        return comparisons_of(value)
    return [(key, value)]


def mismatch(fact: FactDefinition, wanted: Any) -> str | None:
    """Why a fact can never be compared with this, or None where it can."""
    if isinstance(wanted, bool):
        # A list is true where anything stands in it.
        fits = fact.kind in {"boolean", "list"}
        return None if fits else f"{fact.id} is not a yes or no"
    ((operator, bound),) = wanted.items()
    if operator == "in":
        if fact.kind != "choice" or not isinstance(bound, list):
            return f"{fact.id} is compared with `in`, which is for a choice and takes a list"
        if strangers := [value for value in bound if value not in fact.choices]:
            return f"{fact.id} has no choice {strangers[0]!r}"
        return None
    if fact.kind != "number" or isinstance(bound, bool) or not isinstance(bound, int | float):
        return f"{fact.id} is compared with `{operator}`, which is for numbers"
    return None
