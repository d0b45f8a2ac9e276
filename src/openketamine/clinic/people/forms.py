from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.sites.queries import at

from .models import Sex


class ReferralForm(forms.Form):
    """A referral by telephone or letter."""

    given_name = forms.CharField(label=_("Given name"), max_length=120)
    family_name = forms.CharField(label=_("Family name"), max_length=120)
    birth_date = forms.DateField(label=_("Date of birth"), widget=forms.DateInput({"type": "date"}))
    sex = forms.ChoiceField(label=_("Sex (administrative)"), choices=Sex.choices)
    phone = forms.CharField(label=_("Phone"), max_length=40, required=False)
    email = forms.EmailField(label=_("E-mail"), required=False)
    is_another_person = forms.BooleanField(
        label=_("Somebody else of the same name and date of birth"), required=False
    )
    reason = forms.CharField(
        label=_("Reason for referral"),
        max_length=400,
        help_text=_("For example: major depression"),
    )


class TeamForm(forms.Form):
    """The one prescriber who answers for the course, and its therapist: of the patient's site."""

    prescriber = forms.ModelChoiceField(
        User.objects.filter(role=Role.PRESCRIBER, is_active=True),
        label=_("Prescriber"),
        empty_label=_("Choose"),
    )
    therapist = forms.ModelChoiceField(
        User.objects.filter(role=Role.THERAPIST, is_active=True),
        label=_("Therapist"),
        required=False,
        empty_label=_("None"),
    )

    def __init__(self, *args: Any, site_id: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.queryset = at(field.queryset, site_id)  # type: ignore[attr-defined]


class MeasureForm(forms.Form):
    """Weight, height and resting pressure, as measured now."""

    weight_kg = forms.FloatField(label=_("Weight"), required=False)
    height_cm = forms.FloatField(label=_("Height"), required=False)
    systolic_mmhg = forms.FloatField(label=_("Systolic"), required=False)
    diastolic_mmhg = forms.FloatField(label=_("Diastolic"), required=False)


class SignInForm(forms.Form):
    """A patient's own sign-in."""

    username = forms.CharField(label=_("Sign-in name"), max_length=60)
    password = forms.CharField(
        widget=forms.PasswordInput,
        label=_("First password"),
        help_text=_("At least 12 characters"),
    )
