from django import forms
from django.utils import timezone


class ConsentForm(forms.Form):
    """The patient's own signature."""

    agrees = forms.BooleanField(label="I have read this, could ask, and agree.", required=False)
    signed_name = forms.CharField(label="Full name of the patient", max_length=160)


class WithdrawForm(forms.Form):
    reason = forms.CharField(
        label="Reason, if the patient gives one", widget=forms.Textarea({"rows": 2}), required=False
    )


class OrderForm(forms.Form):
    """The prescriber's order; the limits are the clinic's policy and are checked by the service."""

    dose_mg_per_kg = forms.FloatField(label="Dose")
    duration_min = forms.FloatField(label="Over")
    sessions = forms.IntegerField(label="Sessions")
    concentration_mg_per_ml = forms.TypedChoiceField(label="Vial", coerce=float)
    first_on = forms.DateField(
        label="First session on", widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d")
    )

    def __init__(
        self,
        *args: object,
        vials: list[tuple[float, str]],
        stated: frozenset[str],
        **kwargs: object,
    ) -> None:
        super().__init__(*args, **kwargs)
        if "duration_min" not in stated:
            del self.fields["duration_min"]
        self.fields["concentration_mg_per_ml"].choices = vials


class VerifyForm(forms.Form):
    """The second person's own result."""

    dose_mg = forms.FloatField(label="Dose")
    volume_ml = forms.FloatField(label="Volume")


class MoveForm(forms.Form):
    """A new day and time for one session."""

    planned_for = forms.DateTimeField(
        label="Day and time",
        widget=forms.DateTimeInput({"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )

    def clean_planned_for(self) -> object:
        value = self.cleaned_data["planned_for"]
        return timezone.make_aware(value) if timezone.is_naive(value) else value


class CancelForm(forms.Form):
    reason = forms.CharField(widget=forms.Textarea({"rows": 2}))
