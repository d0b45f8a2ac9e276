from django import forms
from django.utils.translation import gettext_lazy as _

from openketamine.clinic.accounts.models import Role


class AccountForm(forms.Form):
    """A new account for somebody who works here."""

    display_name = forms.CharField(
        label=_("Name"), max_length=120, help_text=_("As it is to stand in the record")
    )
    credentials = forms.CharField(
        label=_("Credentials"),
        max_length=40,
        required=False,
        help_text=_("For example MD or RN"),
    )
    role = forms.ChoiceField(
        label=_("Role"), choices=[c for c in Role.choices if c[0] != Role.PATIENT]
    )
    username = forms.CharField(label=_("Sign-in name"), max_length=60)
    password = forms.CharField(
        widget=forms.PasswordInput,
        label=_("First password"),
        help_text=_("At least 12 characters. Its owner changes it after the first sign-in."),
    )
