"""Forms made from the protocols: a questionnaire and a history have the fields that they define."""

from typing import Any

from django import forms

from openketamine.protocols.schema import FactDefinition, InstrumentFile

from .models import FindingDecision, SafetyReview, Screening

_YES_NO = [("yes", "Yes"), ("no", "No"), ("", "Not known")]


class QuestionnaireForm(forms.Form):
    """One questionnaire, read to the patient or copied from paper."""

    def __init__(self, *args: Any, instrument: InstrumentFile, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for number, item in enumerate(instrument.items, start=1):
            self.fields[item.id] = forms.TypedChoiceField(
                label=f"{number}. {item.text}",
                choices=[(option.value, option.label) for option in instrument.options],
                coerce=int,
                empty_value=None,
                required=False,  # the service refuses what is missing, but never loses an alarm
                widget=forms.RadioSelect,
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
