"""Forms made from the protocols: a questionnaire and a history have the fields that they define."""

from typing import Any

from django import forms

from openketamine.clinic.people.models import Setting
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.protocols.schema import FactDefinition, InstrumentFile, Item, StagingScore

from .models import FindingDecision, SafetyReview, Screening

_YES_NO = [("yes", "Yes"), ("no", "No"), ("", "Not known")]


class QuestionnaireForm(forms.Form):
    """One questionnaire on one page, read to the patient or copied from paper.

    `only_total`: what the clinic's own form came to, with the items that can raise an alarm.
    No answer is required here: the service refuses what is missing, but never loses an alarm.
    """

    def __init__(
        self, *args: Any, instrument: InstrumentFile, only_total: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        if only_total:
            assert instrument.total_range is not None
            low, high = instrument.total_range
            self.fields["total"] = forms.FloatField(
                label=f"Total, {low:g} to {high:g}",
                min_value=low,
                max_value=high,
                required=False,
                widget=forms.NumberInput({"step": "any" if instrument.scoring == "mean" else 1}),
            )
            self.fields["total"].is_answer = True  # type: ignore[attr-defined]
        flagged = {rule.item for rule in instrument.red_flags}
        for number, item in enumerate(instrument.items, start=1):
            if not only_total or item.id in flagged:
                field = _answer(instrument, item, number)
                field.is_answer = True  # type: ignore[attr-defined]  # and so is not "optional"
                self.fields[item.id] = field

    def answers(self) -> dict[str, int | None]:
        return {name: value for name, value in self.cleaned_data.items() if name != "total"}

    def total(self) -> float | None:
        return self.cleaned_data.get("total")


def _answer(instrument: InstrumentFile, item: Item, number: int) -> forms.Field:
    names = {
        other.id: other.label or f"question {place}"
        for place, other in enumerate(instrument.items, start=1)
    }
    common: dict[str, Any] = {
        "label": f"{number}. {item.text}" if item.text else item.label,
        "required": False,
        "help_text": "Only where there is another answer than 0 or No to "
        + " or ".join(names[name] for name in item.asked_if)
        if item.asked_if
        else "",
    }
    options = instrument.options_of(item)
    if item.scale or (instrument.scale and not item.options):
        low, high = options[0].value, options[-1].value
        common["label"] += f", {low} to {high}"
        widget = forms.NumberInput({"inputmode": "numeric"})
        return forms.IntegerField(min_value=low, max_value=high, widget=widget, **common)
    return forms.TypedChoiceField(
        choices=[(option.value, option.label) for option in options],
        coerce=int,
        empty_value=None,
        widget=forms.RadioSelect,
        **common,
    )


class HistoryForm(forms.Form):
    """The medical history that the rules need. A question left at "not known" stays unknown."""

    def __init__(
        self,
        *args: Any,
        sections: list[tuple[str, str, list[FactDefinition]]],
        because: dict[str, str],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.sections = []
        for _, title, facts in sections:
            for fact in facts:
                self.fields[fact.id] = _question(fact, because.get(fact.id, ""))
            self.sections.append((title, [self[fact.id] for fact in facts]))

    def answers(self) -> dict[str, Any]:
        """Known answers only, in the protocols' own types."""
        values = {"yes": True, "no": False}
        return {
            name: values.get(value, value)
            for name, value in self.cleaned_data.items()
            if value not in (None, "")
        }


def _question(fact: FactDefinition, because: str) -> forms.Field:
    common: dict[str, Any] = {"label": fact.question, "required": False, "help_text": because}
    if fact.kind == "number":
        return forms.IntegerField(min_value=0, max_value=int(fact.maximum or 1000), **common)
    choices = (
        _YES_NO
        if fact.kind == "boolean"
        else [*((c, c.capitalize()) for c in fact.choices), ("", "Not known")]
    )
    return forms.ChoiceField(choices=choices, widget=forms.RadioSelect, **common)


class ProgrammeForm(forms.Form):
    """What the patient is screened for."""

    condition = forms.ChoiceField()
    route = forms.ChoiceField()
    setting = forms.ChoiceField(label="Where", choices=Setting.choices)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        programmes = library().programmes
        self.fields["condition"].choices = [(c.id, c.name) for c in programmes.conditions]
        self.fields["route"].choices = [(r.id, f"{r.name}, {r.drug}") for r in programmes.routes]


class TestForm(forms.Form):
    """One test: its result and its day."""

    value = forms.CharField()
    done_on = forms.DateField(label="Done on", widget=forms.DateInput({"type": "date"}))
    note = forms.CharField(required=False, max_length=300)

    def __init__(self, *args: Any, fact: FactDefinition, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if fact.kind == "choice":
            choices = [(choice, choice.capitalize()) for choice in fact.choices]
            self.fields["value"] = forms.ChoiceField(
                label="Result", choices=choices, widget=forms.RadioSelect
            )
        else:
            self.fields["value"] = forms.FloatField(label="Result")
        self.fields["done_on"].initial = clock.today()


_KNOWN = [("yes", "Yes"), ("no", "No"), ("", "Not known")]


def _yes_no(label: str, help_text: str = "") -> forms.TypedChoiceField:
    return forms.TypedChoiceField(
        label=label,
        help_text=help_text,
        choices=_KNOWN,
        coerce=lambda answer: answer == "yes",
        empty_value=None,
        required=False,
        widget=forms.RadioSelect,
    )


class TrialForm(forms.Form):
    """One antidepressant trial."""

    drug = forms.CharField(max_length=120)
    drug_class = forms.ChoiceField(label="Class", required=False)
    dose_mg_per_day = forms.FloatField(label="Highest dose", required=False)
    started = forms.DateField(required=False, widget=forms.DateInput({"type": "date"}))
    stopped = forms.DateField(
        required=False, widget=forms.DateInput({"type": "date"}), help_text="Empty: goes on"
    )
    outcome = forms.ChoiceField(label="What came of it")
    in_this_episode = _yes_no("In this episode?")
    adequate_dose = _yes_no("Dose adequate?")
    adequate_duration = _yes_no("Long enough?")
    reason_stopped = forms.CharField(label="Why it was stopped", required=False, max_length=200)
    source = forms.CharField(
        label="Known from", max_length=120, help_text="The patient, a letter, a pharmacy's list"
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rules = library().staging
        self.fields["drug_class"].choices = [("", "Not known"), *((c, c) for c in rules.classes)]
        self.fields["outcome"].choices = [("", "Choose"), *rules.outcomes.items()]
        self.fields["adequate_duration"].help_text = (
            f"Left open, {rules.weeks.shortest:g} weeks or more count as long enough "
            f"({rules.weeks.authority}, {rules.weeks.certainty})"
        )


class StagingForm(forms.Form):
    """What a staging score needs beside the trials. Left empty: not known."""

    def __init__(self, *args: Any, score: StagingScore, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for part in score.parts:
            if not part.question:
                continue  # counted from the trials
            common: dict[str, Any] = {"label": part.question, "required": False}
            self.fields[part.id] = (
                forms.ChoiceField(
                    choices=[("", "Not known"), *((p, p.capitalize()) for p in part.points)],
                    **common,
                )
                if part.points
                else forms.FloatField(min_value=0, **common)
            )


class DecisionForm(forms.Form):
    decision = forms.ChoiceField(choices=FindingDecision.Decision.choices)
    reason = forms.CharField(widget=forms.Textarea({"rows": 2}))


class SignScreeningForm(forms.Form):
    outcome = forms.ChoiceField(
        choices=Screening.Outcome.choices, widget=forms.RadioSelect, label="This person is"
    )
    note = forms.CharField(widget=forms.Textarea({"rows": 2}), required=False)


class SafetyReviewForm(forms.Form):
    outcome = forms.ChoiceField(
        choices=SafetyReview.Outcome.choices, widget=forms.RadioSelect, label="What came of it"
    )
    note = forms.CharField(
        widget=forms.Textarea({"rows": 4}), label="What you asked, heard and did"
    )
