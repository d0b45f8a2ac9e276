from django import forms

from .models import Cover

_OFFERED = [("", "Not said"), ("yes", "Offered"), ("no", "Not offered")]


class PriceForm(forms.Form):
    """What a route costs at this clinic."""

    offered = forms.TypedChoiceField(
        label="Offered here",
        choices=_OFFERED,
        coerce=lambda value: value == "yes",
        empty_value=None,
        required=False,
    )
    price_per_visit = forms.DecimalField(
        label="Price of a visit", max_digits=9, decimal_places=2, min_value=0, required=False
    )
    note = forms.CharField(label="What it includes", max_length=300, required=False)


class CoverageForm(forms.Form):
    """What the patient's insurer says of a route."""

    cover = forms.ChoiceField(label="What the insurer says", choices=Cover.choices)
    payer = forms.CharField(label="Insurer", max_length=120, required=False)
    patient_pays_per_visit = forms.DecimalField(
        label="The patient pays for a visit",
        max_digits=9,
        decimal_places=2,
        min_value=0,
        required=False,
    )
    asked_on = forms.DateField(
        label="Asked on", widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d")
    )
    note = forms.CharField(label="Note", max_length=300, required=False)
