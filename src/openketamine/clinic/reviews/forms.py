from datetime import timedelta
from typing import Any

from django import forms
from django.utils.formats import date_format
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

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
        label=_("Decision"), choices=Decision.choices, widget=forms.RadioSelect
    )
    reason = forms.CharField(label=_("Why"), widget=forms.Textarea({"rows": 3}))
    refer_to = forms.CharField(label=_("Referred to"), max_length=200, required=False)
    order_more = forms.BooleanField(
        label=_("Further sessions are to be ordered: the course goes back to planning"),
        required=False,
    )
    next_on = _day(_("Review it again on"))

    def __init__(self, *args: Any, in_follow_up: bool, longest_days: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        latest = clock.today() + timedelta(days=longest_days)
        self.fields["next_on"].initial = latest
        self.fields["next_on"].help_text = gettext("At the latest %(day)s: clinic policy") % {
            "day": date_format(latest, "d F Y")
        }
        if not in_follow_up:
            del self.fields["order_more"]


class MisuseForm(forms.Form):
    """A sign that somebody saw."""

    sign = forms.ChoiceField(label=_("What"))
    seen_on = _day(_("Seen on"))
    note = forms.CharField(label=_("What was seen or said"), max_length=300)

    def __init__(self, *args: Any, signs: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["sign"].choices = signs
        self.fields["seen_on"].initial = clock.today()


class CheckForm(forms.Form):
    """What a check came to."""

    check = forms.ChoiceField(label=_("Check"))
    done_on = _day(pgettext_lazy("check", "Done on"))
    result = forms.CharField(label=_("What it came to"), max_length=300)

    def __init__(self, *args: Any, checks: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["check"].choices = checks
        self.fields["done_on"].initial = clock.today()


class ReasonForm(forms.Form):
    reason = forms.CharField(label=_("Reason"), widget=forms.Textarea({"rows": 2}))


class StepForm(forms.Form):
    """What is done about a loose end."""

    step = forms.ChoiceField(label=_("What was done"), choices=Step.choices)
    words = forms.CharField(label=_("In words"), max_length=300)
    again_on = _day(
        _("Look again on"),
        required=False,
        help_text=_("Not where nothing more is to be done"),
    )
