"""Forms made from the protocols: a questionnaire and a history have the fields that they define."""

from typing import Any

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from openketamine.clinic.people.models import Setting
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.protocols.schema import FactDefinition, InstrumentFile, Item, StagingScore

from .models import FindingDecision, SafetyReview, Screening

_YES_NO = [("yes", _lazy("Yes")), ("no", _lazy("No")), ("", _lazy("Not known"))]


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
                label=_("Total, %(low)s to %(high)s") % {"low": f"{low:g}", "high": f"{high:g}"},
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
        other.id: _(other.label) or _("question %(number)d") % {"number": place}
        for place, other in enumerate(instrument.items, start=1)
    }
    before = _(" or ").join(names[name] for name in item.asked_if)
    only = _("Only where there is another answer than 0 or No to %(questions)s")
    common: dict[str, Any] = {
        "label": f"{number}. {item.text}" if item.text else _(item.label),
        "required": False,
        "help_text": only % {"questions": before} if before else "",
    }
    options = instrument.options_of(item)
    if item.scale or (instrument.scale and not item.options):
        low, high = options[0].value, options[-1].value
        common["label"] = _("%(question)s, %(low)d to %(high)d") % {
            "question": common["label"],
            "low": low,
            "high": high,
        }
        widget = forms.NumberInput({"inputmode": "numeric"})
        return forms.IntegerField(min_value=low, max_value=high, widget=widget, **common)
    return forms.TypedChoiceField(
        choices=[
            (option.value, option.label if instrument.text_shipped else _(option.label))
            for option in options
        ],
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
        for _key, title, facts in sections:
            for fact in facts:
                self.fields[fact.id] = _question(fact, because.get(fact.id, ""))
            self.sections.append((_(title), [self[fact.id] for fact in facts]))

    def answers(self) -> dict[str, Any]:
        """Known answers only, in the protocols' own types."""
        values = {"yes": True, "no": False}
        return {
            name: values.get(value, value)
            for name, value in self.cleaned_data.items()
            if value not in (None, "")
        }


def _question(fact: FactDefinition, because: str) -> forms.Field:
    common: dict[str, Any] = {"label": _(fact.question), "required": False, "help_text": because}
    if fact.kind == "number":
        return forms.IntegerField(min_value=0, max_value=int(fact.maximum or 1000), **common)
    choices = (
        _YES_NO
        if fact.kind == "boolean"
        else [*((c, capitalised(c)) for c in fact.choices), ("", _("Not known"))]
    )
    return forms.ChoiceField(choices=choices, widget=forms.RadioSelect, **common)


def capitalised(choice: str) -> str:
    """One of a fact's choices, as a form offers it."""
    translated = _(choice)
    return choice.capitalize() if translated == choice else capfirst(translated)


class ProgrammeForm(forms.Form):
    """What the patient is screened for."""

    condition = forms.ChoiceField(label=_lazy("Condition"))
    route = forms.ChoiceField(label=_lazy("Route"))
    setting = forms.ChoiceField(label=_lazy("Where"), choices=Setting.choices)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        programmes = library().programmes
        self.fields["condition"].choices = [(c.id, _(c.name)) for c in programmes.conditions]
        self.fields["route"].choices = [
            (r.id, f"{_(r.name)}, {_(r.drug)}") for r in programmes.routes
        ]


class TestForm(forms.Form):
    """One test: its result and its day."""

    value = forms.CharField()
    done_on = forms.DateField(label=_lazy("Done on"), widget=forms.DateInput({"type": "date"}))
    note = forms.CharField(label=_lazy("Note"), required=False, max_length=300)

    def __init__(self, *args: Any, fact: FactDefinition, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if fact.kind == "choice":
            choices = [(choice, capitalised(choice)) for choice in fact.choices]
            self.fields["value"] = forms.ChoiceField(
                label=_("Result"), choices=choices, widget=forms.RadioSelect
            )
        else:
            self.fields["value"] = forms.FloatField(label=_("Result"))
        self.fields["done_on"].initial = clock.today()


def _yes_no(label: Any, help_text: Any = "") -> forms.TypedChoiceField:
    return forms.TypedChoiceField(
        label=label,
        help_text=help_text,
        choices=_YES_NO,
        coerce=lambda answer: answer == "yes",
        empty_value=None,
        required=False,
        widget=forms.RadioSelect,
    )


class TrialForm(forms.Form):
    """One antidepressant trial."""

    drug = forms.CharField(label=_lazy("Drug"), max_length=120)
    drug_class = forms.ChoiceField(label=_lazy("Class"), required=False)
    dose_mg_per_day = forms.FloatField(label=_lazy("Highest dose"), required=False)
    started = forms.DateField(
        label=_lazy("Started"), required=False, widget=forms.DateInput({"type": "date"})
    )
    stopped = forms.DateField(
        label=_lazy("Stopped"),
        required=False,
        widget=forms.DateInput({"type": "date"}),
        help_text=_lazy("Empty: goes on"),
    )
    outcome = forms.ChoiceField(label=_lazy("What came of it"))
    in_this_episode = _yes_no(_lazy("In this episode?"))
    adequate_dose = _yes_no(_lazy("Dose adequate?"))
    adequate_duration = _yes_no(_lazy("Long enough?"))
    reason_stopped = forms.CharField(
        label=_lazy("Why it was stopped"), required=False, max_length=200
    )
    source = forms.CharField(
        label=_lazy("Known from"),
        max_length=120,
        help_text=_lazy("The patient, a letter, a pharmacy's list"),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rules = library().staging
        self.fields["drug_class"].choices = [
            ("", _("Not known")),
            *((c, _(c)) for c in rules.classes),
        ]
        self.fields["outcome"].choices = [
            ("", _("Choose")),
            *((key, _(words)) for key, words in rules.outcomes.items()),
        ]
        self.fields["adequate_duration"].help_text = _(
            "Left open, %(weeks)s weeks or more count as long enough (%(authority)s, %(certainty)s)"
        ) % {
            "weeks": f"{rules.weeks.shortest:g}",
            "authority": _(rules.weeks.authority),
            "certainty": _(rules.weeks.certainty),
        }


class StagingForm(forms.Form):
    """What a staging score needs beside the trials. Left empty: not known."""

    def __init__(self, *args: Any, score: StagingScore, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for part in score.parts:
            if not part.question:
                continue  # counted from the trials
            common: dict[str, Any] = {"label": _(part.question), "required": False}
            self.fields[part.id] = (
                forms.ChoiceField(
                    choices=[("", _("Not known")), *((p, capitalised(p)) for p in part.points)],
                    **common,
                )
                if part.points
                else forms.FloatField(min_value=0, **common)
            )


class DecisionForm(forms.Form):
    decision = forms.ChoiceField(choices=FindingDecision.Decision.choices)
    reason = forms.CharField(label=_lazy("Reason"), widget=forms.Textarea({"rows": 2}))


class SignScreeningForm(forms.Form):
    outcome = forms.ChoiceField(
        choices=Screening.Outcome.choices,
        widget=forms.RadioSelect,
        label=_lazy("This person is"),
    )
    note = forms.CharField(label=_lazy("Note"), widget=forms.Textarea({"rows": 2}), required=False)


class SafetyReviewForm(forms.Form):
    outcome = forms.ChoiceField(
        choices=SafetyReview.Outcome.choices,
        widget=forms.RadioSelect,
        label=_lazy("What came of it"),
    )
    note = forms.CharField(
        widget=forms.Textarea({"rows": 4}), label=_lazy("What you asked, heard and did")
    )
