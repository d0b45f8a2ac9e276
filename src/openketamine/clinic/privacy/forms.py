from django import forms
from django.utils.translation import gettext_lazy as _

from openketamine.clinic.accounts.models import Role, User

from .models import Purpose

WHY = forms.CharField(label=_("Why"), max_length=300, min_length=10)


class GlassForm(forms.Form):
    purpose = forms.ChoiceField(
        label=_("What for"), choices=Purpose.choices, widget=forms.RadioSelect
    )
    reason = forms.CharField(label=_("Why you, and why now"), max_length=300, min_length=10)


class ElsewhereForm(GlassForm):
    """Who it is, as only somebody knows who has the patient or the papers at hand."""

    mrn = forms.CharField(label=_("MRN"), max_length=12)
    birth_date = forms.DateField(label=_("Date of birth"), widget=forms.DateInput({"type": "date"}))

    field_order = ("mrn", "birth_date", "purpose", "reason")


class RestrictForm(forms.Form):
    reason = forms.CharField(label=_("Why this chart is restricted"), max_length=300, min_length=10)
    team = forms.ModelMultipleChoiceField(
        label=_("Who may open it besides its prescriber and therapist"),
        queryset=User.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.fields["team"].queryset = (
            User.objects.filter(is_active=True).exclude(role=Role.PATIENT).order_by("display_name")
        )


class ReasonForm(forms.Form):
    reason = WHY


class ReviewForm(forms.Form):
    justified = forms.ChoiceField(
        label=_("Was it justified?"),
        choices=[("yes", _("Yes")), ("no", _("No"))],
        widget=forms.RadioSelect,
    )
    review = forms.CharField(label=_("What you found"), max_length=300, min_length=10)
