from django import forms

from openketamine.clinic.accounts.models import Role


class AccountForm(forms.Form):
    """A new account for somebody who works here."""

    display_name = forms.CharField(
        label="Name", max_length=120, help_text="As it is to stand in the record"
    )
    credentials = forms.CharField(max_length=40, required=False, help_text="For example MD or RN")
    role = forms.ChoiceField(choices=[c for c in Role.choices if c[0] != Role.PATIENT])
    username = forms.CharField(label="Sign-in name", max_length=60)
    password = forms.CharField(
        widget=forms.PasswordInput,
        label="First password",
        help_text="At least 12 characters. Its owner changes it after the first sign-in.",
    )
