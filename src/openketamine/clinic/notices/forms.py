"""Forms of the on-call screens."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from openketamine.clinic.record import clock

from . import queries
from .models import Line

_MOMENT = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


class ShiftForm(forms.Form):
    user: Any = forms.ModelChoiceField(queryset=None, label=_("Who"), empty_label=_("Choose"))
    line = forms.TypedChoiceField(choices=Line.choices, coerce=int, label=_("Line"))
    starts_at = forms.DateTimeField(label=_("From"), widget=_MOMENT)
    ends_at = forms.DateTimeField(label=_("On call until"), widget=_MOMENT)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["user"].queryset = queries.may_be_on_call()  # type: ignore[attr-defined]
        self.fields["starts_at"].initial = clock.now().replace(second=0, microsecond=0)
        self.fields["ends_at"].initial = queries.tomorrow_morning()


class AddressForm(forms.Form):
    phone = forms.CharField(
        label=_("Telephone for texts"),
        required=False,
        max_length=24,
        help_text=_("As +15550100"),
    )
    email = forms.EmailField(label=_("E-mail"), required=False)


class CloseForm(forms.Form):
    words = forms.CharField(
        label=_("What you found, and what was done"),
        widget=forms.Textarea(attrs={"rows": 4}),
        max_length=4000,
    )
