"""Forms of the clinic's screens for treatment at home."""

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.record import clock
from openketamine.protocols.schema import ChecklistItem, DischargeCriterion

from .gates import VITALS
from .models import AfterHold, FirstDoseReview, HomeScreening, Movement


class SwitchOnForm(forms.Form):
    signed_name = forms.CharField(label=_("Sign with your full name"), max_length=160)


class SwitchOffForm(forms.Form):
    because = forms.CharField(label=_("Why is it switched off?"), max_length=500)


class ScreeningForm(forms.Form):
    how = forms.ChoiceField(
        label=_("How you saw the patient"),
        choices=HomeScreening.How.choices,
        widget=forms.RadioSelect,
    )
    note = forms.CharField(
        label=_("Note"), required=False, widget=forms.Textarea(attrs={"rows": 2}), max_length=2000
    )


class EnrolForm(forms.Form):
    doctor: Any = forms.ModelChoiceField(
        queryset=None,
        label=_("Doctor who answers for every session"),
        required=False,
        empty_label=_("Nobody: no session starts"),
    )
    hold_min = forms.FloatField(
        label=_("Hold in the mouth for (minutes)"),
        min_value=0,
        max_value=60,
        help_text=_("No source fixes it. 0: swallowed at once."),
    )
    after_hold = forms.ChoiceField(
        label=_("Then"), choices=AfterHold.choices, widget=forms.RadioSelect
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        doctors = User.objects.filter(role=Role.PRESCRIBER, is_active=True)
        self.fields["doctor"].queryset = doctors.order_by("display_name")  # type: ignore[attr-defined]


class SupervisedForm(forms.Form):
    taken_at = forms.DateTimeField(
        label=_("Taken at"),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    dose_mg = forms.FloatField(label=_("Dose (mg)"), min_value=0)
    note = forms.CharField(
        label=_("How it was tolerated"), widget=forms.Textarea(attrs={"rows": 2}), max_length=2000
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["taken_at"].initial = clock.now().replace(second=0, microsecond=0)


class ReviewForm(forms.Form):
    how = forms.ChoiceField(
        label=_("How you saw the patient"),
        choices=FirstDoseReview.How.choices,
        widget=forms.RadioSelect,
    )
    may_go_on = forms.TypedChoiceField(
        label=_("What follows"),
        choices=[
            ("yes", _("Further sessions at home as planned")),
            ("no", _("No further session")),
        ],
        coerce=lambda value: value == "yes",
        widget=forms.RadioSelect,
    )
    words = forms.CharField(
        label=_("How the dose and the days since were"),
        widget=forms.Textarea(attrs={"rows": 2}),
        max_length=2000,
    )


class _PiecesForm(forms.Form):
    """A number for each strength; `pieces` gives those that are there."""

    groups: Mapping[str, str] = {"pieces": gettext_noop("Pieces of %(mg)s mg")}

    def __init__(self, *args: Any, strengths: Iterable[float], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._strengths = list(strengths)
        own = dict(self.fields)
        self.fields.clear()
        for group, label in self.groups.items():
            self._add(group, label)
        self.fields.update(own)

    def _add(self, group: str, label: str) -> None:
        for mg in self._strengths:
            self.fields[f"{group}_{mg:g}"] = forms.IntegerField(
                label=gettext(label) % {"mg": f"{mg:g}"}, min_value=0, max_value=200, required=False
            )

    def counts(self, group: str) -> dict[float, int]:
        return {mg: self.cleaned_data.get(f"{group}_{mg:g}") or 0 for mg in self._strengths}


class DispenseForm(_PiecesForm):
    lot = forms.CharField(label=_("Lot"), max_length=40)
    groups = {
        "counted": gettext_noop("Patient has left of %(mg)s mg"),
        "pieces": gettext_noop("Hand out of %(mg)s mg"),
    }


class TakeBackForm(_PiecesForm):
    kind = forms.ChoiceField(
        label=_("What happened"),
        choices=[
            (Movement.Kind.RETURNED.value, _("Brought back")),
            (Movement.Kind.LOST.value, _("Reported lost")),
        ],
        widget=forms.RadioSelect,
    )
    note = forms.CharField(label=_("How that came about"), max_length=300)


class OpenForm(forms.Form):
    adult_name = forms.CharField(label=_("Adult at hand"), max_length=120)
    adult_phone = forms.CharField(
        label=_("The adult's telephone"), max_length=24, help_text=_("As +15550100")
    )
    watched_live = forms.BooleanField(
        label=_("A clinician watches this one by video"), required=False
    )


class DecideForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        max_length=1000,
        help_text=_("Needed for no dose, and where anything is in doubt."),
    )

    def __init__(self, *args: Any, items: Iterable[ChecklistItem], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        own = dict(self.fields)
        self.fields.clear()
        self.items = [item.item for item in items]
        for item in items:
            self.fields[item.item] = forms.BooleanField(
                label=gettext(item.question), required=False
            )
        self.fields.update(own)

    @property
    def confirmed(self) -> Mapping[str, bool]:
        return {name: self.cleaned_data.get(name, False) for name in self.items}


class ToldForm(forms.Form):
    systolic_mmhg = forms.FloatField(label=_("Systolic (mmHg)"), required=False)
    diastolic_mmhg = forms.FloatField(label=_("Diastolic (mmHg)"), required=False)
    heart_rate_bpm = forms.FloatField(label=_("Pulse (/min)"), required=False)
    words = forms.CharField(label=_("What you were told or saw"), required=False, max_length=1000)

    @property
    def measured(self) -> dict[str, float | None]:
        return {name: self.cleaned_data[name] for name in VITALS}


class CloseForm(forms.Form):
    outcome = forms.ChoiceField(
        label=_("How it ended"),
        choices=[
            ("well", _("Well at home")),
            ("handed over", _("Handed over to an ambulance or hospital")),
        ],
        widget=forms.RadioSelect,
        initial="well",
    )
    words = forms.CharField(
        label=_("How it went"), widget=forms.Textarea(attrs={"rows": 3}), max_length=2000
    )

    def __init__(self, *args: Any, criteria: Iterable[DischargeCriterion], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        own = dict(self.fields)
        self.fields.clear()
        self.asked = [c for c in criteria if c.question]
        for criterion in self.asked:
            self.fields[criterion.fact] = forms.BooleanField(
                label=gettext(criterion.question), required=False
            )
        self.fields.update(own)

    @property
    def answers(self) -> dict[str, bool]:
        return {c.fact: self.cleaned_data.get(c.fact, False) for c in self.asked}


class ReasonForm(forms.Form):
    reason = forms.CharField(label=_("Reason"), max_length=500)
