from django import forms
from django.utils.translation import gettext_lazy as _

from .models import Cover

_OFFERED = [("", _("Not said")), ("yes", _("Offered")), ("no", _("Not offered"))]


class PriceForm(forms.Form):
    """What a route costs at this clinic."""

    offered = forms.TypedChoiceField(
        label=_("Offered here"),
        choices=_OFFERED,
        coerce=lambda value: value == "yes",
        empty_value=None,
        required=False,
    )
    price_per_visit = forms.DecimalField(
        label=_("Price of a visit"), max_digits=9, decimal_places=2, min_value=0, required=False
    )
    note = forms.CharField(label=_("What it includes"), max_length=300, required=False)


class CoverageForm(forms.Form):
    """What the patient's insurer says of a route."""

    cover = forms.ChoiceField(label=_("What the insurer says"), choices=Cover.choices)
    payer = forms.CharField(label=_("Insurer"), max_length=120, required=False)
    patient_pays_per_visit = forms.DecimalField(
        label=_("The patient pays for a visit"),
        max_digits=9,
        decimal_places=2,
        min_value=0,
        required=False,
    )
    asked_on = forms.DateField(
        label=_("Asked on"), widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d")
    )
    note = forms.CharField(label=_("Note"), max_length=300, required=False)
