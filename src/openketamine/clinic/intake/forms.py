"""Forms made from the protocols: a questionnaire and a history have the fields that they define."""

from typing import Any

from django import forms

from openketamine.protocols.schema import FactDefinition, InstrumentFile, Item

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
