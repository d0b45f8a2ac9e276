from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from openketamine.clinic.accounts.models import Role, User

from .models import Site


class SiteForm(forms.Form):
    """What a site is called and where it is."""

    name = forms.CharField(label=_("Name"), max_length=80)
    short_name = forms.CharField(
        label=_("Short name"),
        max_length=16,
        help_text=_("As it stands beside a patient's name, in up to 16 letters"),
    )
    address = forms.CharField(label=_("Address"), max_length=300, required=False)


class MembersForm(forms.Form):
    """Who works at a site."""

    members = forms.ModelMultipleChoiceField(
        User.objects.exclude(role=Role.PATIENT).order_by("-is_active", "role", "display_name"),
        label=_("Who works here"),
        widget=forms.CheckboxSelectMultiple,
    )


class TransferForm(forms.Form):
    """To which site a patient goes, and why."""

    site = forms.ModelChoiceField(
        Site.objects.none(), label=pgettext_lazy("a site", "To"), empty_label=_("Choose")
    )
    reason = forms.CharField(label=_("Why"), max_length=300, min_length=10)

    def __init__(self, *args: Any, away_from: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        open_ones = Site.objects.filter(closed_at=None).exclude(pk=away_from)
        self.fields["site"].queryset = open_ones  # type: ignore[attr-defined]
