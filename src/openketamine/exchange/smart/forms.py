from django import forms

from .models import ClientApp

_AREA = forms.Textarea(attrs={"rows": 3, "spellcheck": "false"})


class ClientForm(forms.Form):
    """A program that is to be let in."""

    name = forms.CharField(max_length=120, help_text="As it is to stand in the record")
    kind = forms.ChoiceField(label="What it is", choices=ClientApp.Kind.choices)
    scope = forms.CharField(
        label="What it may see, at most",
        required=False,
        widget=_AREA,
        help_text="SMART scopes with a space between, for example: launch patient/*.rs, or "
        "system/*.rs for a service. Not for CDS Hooks.",
    )
    redirect_uris = forms.CharField(
        label="Where an app is called back",
        required=False,
        widget=_AREA,
        help_text="One address a line, exactly as the app sends it",
    )
    launch_url = forms.CharField(
        label="Where it is opened from a patient's page",
        required=False,
        max_length=500,
        help_text="Leave empty if the app is opened elsewhere",
    )
    jwks = forms.CharField(
        label="Its public keys",
        required=False,
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false"}),
        help_text="A JSON Web Key Set, for whatever signs its requests",
    )
    jwks_uri = forms.CharField(
        label="Or where its public keys are published",
        required=False,
        max_length=500,
        help_text="An https address; its keys are fetched when it signs in, and kept for an hour",
    )
    issuer = forms.CharField(
        label="By what address it signs (iss)",
        required=False,
        max_length=300,
        help_text="CDS Hooks only",
    )
