from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from openketamine.clinic.accounts.models import Role, User

from .models import Site


def _day(label: Any) -> forms.DateField:
    return forms.DateField(label=label, widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"))


class CertificationForm(forms.Form):
    """What the programme's certificate says of this site."""

    kind = forms.ChoiceField(label=_("Setting"), choices=Site.choices)
    reference = forms.CharField(label=_("Number of the certificate"), max_length=60)
    setting_name = forms.CharField(label=_("Name of the site"), max_length=160)
    address = forms.CharField(label=_("Address"), max_length=300)
    representative = forms.CharField(label=_("Authorised representative"), max_length=160)
    certified_on = _day(_("Certified on"))


class EndForm(forms.Form):
    ended_on = _day(_("Ended on"))
    reason = forms.CharField(label=_("Reason"), max_length=300)


class EnrolForm(forms.Form):
    """What was signed with the programme."""

    prescriber = forms.ModelChoiceField(
        User.objects.none(), label=_("Enrolment form signed by (prescriber)")
    )
    enrolled_on = _day(_("Enrolled on"))
    reference = forms.CharField(
        label=_("Number, where the programme gave one"), max_length=60, required=False
    )
    counselled = forms.BooleanField(
        label=_(
            "Told of sedation, dissociation, slowed breathing and changes of vital signs, of the "
            "two hours of watching, and that somebody has to take the patient home"
        ),
        required=False,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["prescriber"].queryset = User.objects.filter(
            role=Role.PRESCRIBER, is_active=True
        ).order_by("display_name")
