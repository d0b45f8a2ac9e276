from django import forms
from django.utils.translation import gettext_lazy as _

from .models import ClientApp

_AREA = forms.Textarea(attrs={"rows": 3, "spellcheck": "false"})


class ClientForm(forms.Form):
    """A program that is to be let in."""

    name = forms.CharField(
        label=_("Name"), max_length=120, help_text=_("As it is to stand in the record")
    )
    kind = forms.ChoiceField(label=_("What it is"), choices=ClientApp.Kind.choices)
    scope = forms.CharField(
        label=_("What it may see, at most"),
        required=False,
        widget=_AREA,
        help_text=_(
            "SMART scopes with a space between, for example: launch patient/*.rs, or "
            "system/*.rs for a service. Not for CDS Hooks."
        ),
    )
    redirect_uris = forms.CharField(
        label=_("Where an app is called back"),
        required=False,
        widget=_AREA,
        help_text=_("One address a line, exactly as the app sends it"),
    )
    launch_url = forms.CharField(
        label=_("Where it is opened from a patient's page"),
        required=False,
        max_length=500,
        help_text=_("Leave empty if the app is opened elsewhere"),
    )
    jwks = forms.CharField(
        label=_("Its public keys"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false"}),
        help_text=_("A JSON Web Key Set, for whatever signs its requests"),
    )
    jwks_uri = forms.CharField(
        label=_("Or where its public keys are published"),
        required=False,
        max_length=500,
        help_text=_(
            "An https address; its keys are fetched when it signs in, and kept for an hour"
        ),
    )
    issuer = forms.CharField(
        label=_("By what address it signs (iss)"),
        required=False,
        max_length=300,
        help_text=_("CDS Hooks only"),
    )
