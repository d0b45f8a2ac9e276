from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openketamine.protocols.regimens import NextDose
from openketamine.protocols.schema import Phase, Regimen, Rhythm

from .models import DRAWN_UP, GivenAs, Plan
from .queries import stated_by, way_of

_WORSENED = gettext_lazy("Have symptoms worsened since the missed session?")


class ConsentForm(forms.Form):
    """The patient's own signature."""

    agrees = forms.BooleanField(
        label=gettext_lazy("I have read this, could ask, and agree."), required=False
    )
    signed_name = forms.CharField(label=gettext_lazy("Full name of the patient"), max_length=160)


class WithdrawForm(forms.Form):
    reason = forms.CharField(
        label=gettext_lazy("Reason, if the patient gives one"),
        widget=forms.Textarea({"rows": 2}),
        required=False,
    )


def _answer(label: Any) -> forms.TypedChoiceField:
    """Yes, no, or not known, which is neither."""
    return forms.TypedChoiceField(
        label=label,
        choices=[("", _("not known")), ("yes", _("yes")), ("no", _("no"))],
        coerce=lambda value: value == "yes",
        empty_value=None,
        required=False,
    )


class OrderForm(forms.Form):
    """The prescriber's order by one regimen; the service checks the limits of clinic policy.

    Its fields are what the regimen asks for.

    Args:
        following: the doses open at the next session, where the regimen lists its doses.
    """

    units = {
        "dose_mg_per_kg": "mg/kg",
        "dose_mg": "mg",
        "duration_min": "min",
        "mg_per_spray": "mg",
        "concentration_mg_per_ml": "mg/mL",
    }

    def __init__(
        self,
        *args: Any,
        regimen: Regimen,
        following: NextDose | None,
        asks_worsened: bool,
        rhythms: list[tuple[Phase, list[Rhythm]]],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        stated, way = stated_by(regimen), way_of(regimen)
        if "dose_mg_per_kg" in stated:
            self.fields["dose_mg_per_kg"] = forms.FloatField(label=_("Dose"))
        elif regimen.dose and regimen.dose.options:
            self.fields["dose_mg"] = forms.TypedChoiceField(
                label=_("Dose"),
                coerce=float,
                choices=[(f"{o:g}", f"{o:g} mg") for o in regimen.dose.options],
            )
        else:
            self.fields["dose_mg"] = forms.FloatField(label=_("Dose"))
        if following and following.questions:
            self.fields["tolerated"] = _answer(_("Was the last dose tolerated?"))
        if "duration_min" in stated:
            self.fields["duration_min"] = forms.FloatField(label=_("Over"))
        if way == GivenAs.SPRAYS:
            self.fields["mg_per_spray"] = forms.FloatField(
                label=_("One spray holds, by the pharmacy's label")
            )
        if "sessions" in stated:
            self.fields["sessions"] = forms.IntegerField(label=_("Sessions"))
        for phase, offered in rhythms:
            self.fields[f"rhythm_{phase.id}"] = forms.ChoiceField(
                label=_("How often: %(phase)s") % {"phase": _(phase.label).lower()},
                choices=[(rhythm.id, _(rhythm.id)) for rhythm in offered],
                required=False,
            )
        if asks_worsened:
            self.fields["worsened"] = _answer(_WORSENED)
        if way in DRAWN_UP and regimen.vials:
            self.fields["concentration_mg_per_ml"] = forms.TypedChoiceField(
                label=_("Vial"),
                coerce=float,
                choices=[
                    (
                        vial.concentration_mg_per_ml,
                        f"{vial.concentration_mg_per_ml:g} mg/mL {_(vial.note)}".strip(),
                    )
                    for vial in regimen.vials
                ],
            )
        elif way in DRAWN_UP:
            self.fields["concentration_mg_per_ml"] = forms.FloatField(
                label=_("Strength on the label")
            )
        self.fields["first_on"] = forms.DateField(
            label=_("First session on"),
            widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
        )

    def rows(self) -> list[tuple[forms.BoundField, str]]:
        """The fields with their units."""
        return [
            # A choice says its unit itself.
            (bound, "" if hasattr(bound.field, "choices") else self.units.get(bound.name, ""))
            for bound in self
        ]

    def entry(self) -> dict[str, Any]:
        """What the service takes."""
        plain = {k: v for k, v in self.cleaned_data.items() if not k.startswith("rhythm_")}
        rhythms = {
            name.removeprefix("rhythm_"): value
            for name, value in self.cleaned_data.items()
            if name.startswith("rhythm_") and value
        }
        return {**plain, "rhythms": rhythms}


class VerifyForm(forms.Form):
    """The second person's own result."""

    dose_mg = forms.FloatField(label=gettext_lazy("Dose"))
    volume_ml = forms.FloatField(label=gettext_lazy("Volume"))
    count = forms.IntegerField(label=gettext_lazy("How many"), min_value=1)

    def __init__(self, *args: Any, plan: Plan, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if plan.is_drawn_up:
            del self.fields["count"]
        else:
            del self.fields["volume_ml"]
            self.fields["count"].label = {
                GivenAs.DEVICES: _("Devices"),
                GivenAs.SPRAYS: _("Sprays"),
            }.get(GivenAs(plan.given_as), _("Pieces"))

    def rows(self) -> list[tuple[forms.BoundField, str]]:
        """The fields with their units."""
        units = {"dose_mg": "mg", "volume_ml": "mL"}
        return [(bound, units.get(bound.name, "")) for bound in self]


class AgainForm(forms.Form):
    """Lay the days of the plan in force anew, from a day on."""

    from_on = forms.DateField(
        label=gettext_lazy("From"), widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d")
    )

    def __init__(self, *args: Any, asks_worsened: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if asks_worsened:
            self.fields["worsened"] = _answer(_WORSENED)


class MoveForm(forms.Form):
    """A new day and time for one session."""

    planned_for = forms.DateTimeField(
        label=gettext_lazy("Day and time"),
        widget=forms.DateTimeInput({"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )

    def clean_planned_for(self) -> object:
        value = self.cleaned_data["planned_for"]
        return timezone.make_aware(value) if timezone.is_naive(value) else value


class CancelForm(forms.Form):
    reason = forms.CharField(label=gettext_lazy("Reason"), widget=forms.Textarea({"rows": 2}))


class MissedForm(forms.Form):
    reason = forms.CharField(
        label=gettext_lazy("What is known of why"),
        widget=forms.Textarea({"rows": 2}),
        required=False,
    )
