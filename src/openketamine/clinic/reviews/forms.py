from datetime import timedelta
from typing import Any

from django import forms

from openketamine.clinic.record import clock

from .models import Decision, Step


def _day(label: str, *, required: bool = True, help_text: str = "") -> forms.DateField:
    return forms.DateField(
        label=label,
        required=required,
        help_text=help_text,
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
    )


class ReviewForm(forms.Form):
    """The prescriber's decision."""

    decision = forms.ChoiceField(
        label="Decision", choices=Decision.choices, widget=forms.RadioSelect
    )
    reason = forms.CharField(label="Why", widget=forms.Textarea({"rows": 3}))
    refer_to = forms.CharField(label="Referred to", max_length=200, required=False)
    order_more = forms.BooleanField(
        label="Further sessions are to be ordered: the course goes back to planning",
        required=False,
    )
    next_on = _day("Review it again on")

    def __init__(self, *args: Any, in_follow_up: bool, longest_days: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        latest = clock.today() + timedelta(days=longest_days)
        self.fields["next_on"].initial = latest
        self.fields["next_on"].help_text = f"At the latest {latest:%d %B %Y}: clinic policy"
        if not in_follow_up:
            del self.fields["order_more"]


class MisuseForm(forms.Form):
    """A sign that somebody saw."""

    sign = forms.ChoiceField(label="What")
    seen_on = _day("Seen on")
    note = forms.CharField(label="What was seen or said", max_length=300)

    def __init__(self, *args: Any, signs: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["sign"].choices = signs
        self.fields["seen_on"].initial = clock.today()


class CheckForm(forms.Form):
    """What a check came to."""

    check = forms.ChoiceField(label="Check")
    done_on = _day("Done on")
    result = forms.CharField(label="What it came to", max_length=300)

    def __init__(self, *args: Any, checks: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["check"].choices = checks
        self.fields["done_on"].initial = clock.today()


class ReasonForm(forms.Form):
    reason = forms.CharField(label="Reason", widget=forms.Textarea({"rows": 2}))


class StepForm(forms.Form):
    """What is done about a loose end."""

    step = forms.ChoiceField(label="What was done", choices=Step.choices)
    words = forms.CharField(label="In words", max_length=300)
    again_on = _day(
        "Look again on", required=False, help_text="Not where nothing more is to be done"
    )
