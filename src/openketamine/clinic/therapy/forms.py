"""What the therapist fills in."""

from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import get_language, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from openketamine.clinic.accounts.models import STAFF, Role, User
from openketamine.protocols.schema import Named, TherapyFile

from .content import Field, fields_of
from .models import Goal, TherapyVisit


def _named(choice: Named) -> str:
    return choice.in_language(get_language() or "en")


def _moment_widget() -> forms.DateTimeInput:
    return forms.DateTimeInput({"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


class MomentField(forms.DateTimeField):
    """A day and hour in the clinic's time zone."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(widget=_moment_widget(), **kwargs)

    def clean(self, value: Any) -> Any:
        moment = super().clean(value)
        return timezone.make_aware(moment) if moment and timezone.is_naive(moment) else moment


class PlanForm(forms.Form):
    planned_for = MomentField(label=_("Day and time"))


class NewVisitForm(PlanForm):
    kind = forms.ChoiceField(
        label=_("What for"),
        choices=[
            (kind.value, kind.label)
            for kind in TherapyVisit.Kind
            if kind != TherapyVisit.Kind.INTEGRATION
        ],
        widget=forms.RadioSelect,
    )


class CancelForm(forms.Form):
    why = forms.CharField(label=_("Why it does not take place"), max_length=300)


class RecordForm(forms.Form):
    """A visit's record: its fields, each beside the choice whether the patient may read it."""

    held_at = MomentField(
        label=_("When it took place"), required=False, help_text=_("Now if left blank")
    )

    def __init__(
        self, kind: str, *args: Any, therapy: TherapyFile, goals: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.kind = kind
        for field in fields_of(kind):
            self.fields[field.name] = forms.CharField(
                label=field.label,
                help_text=field.help_text,
                required=False,
                max_length=4000 if field.long else 120,
                widget=forms.Textarea({"rows": 3}) if field.long else forms.TextInput(),
            )
            if field.shareable:
                self.fields[f"share_{field.name}"] = forms.BooleanField(
                    label=_("The patient may read “%(field)s”") % {"field": field.label},
                    required=False,
                )
        if kind == TherapyVisit.Kind.PREPARATION:
            self.fields["topics"] = forms.MultipleChoiceField(
                label=pgettext_lazy("a preparation", "Covered"),
                required=False,
                widget=forms.CheckboxSelectMultiple,
                choices=[(topic.id, _(topic.label)) for topic in therapy.preparation.topics],
            )
        elif goals is not None and goals.exists():
            self.fields["goals"] = forms.ModelMultipleChoiceField(
                goals,
                label=_("About the goals"),
                required=False,
                widget=forms.CheckboxSelectMultiple,
            )

    def rows(self) -> list[tuple[Any, Any]]:
        """Each field of the record with its choice to share, or None."""
        return [
            (self[field.name], self[f"share_{field.name}"] if field.shareable else None)
            for field in self._fields()
        ]

    def _fields(self) -> tuple[Field, ...]:
        return fields_of(self.kind)

    def act(self) -> dict[str, Any]:
        """The cleaned data as the arguments of a service."""
        data = self.cleaned_data
        given = {
            "held_at": data["held_at"],
            "words": {field.name: data.get(field.name, "") for field in self._fields()},
            "shared": [field.name for field in self._fields() if data.get(f"share_{field.name}")],
        }
        if "topics" in data:
            given["topics"] = data["topics"]
        if "goals" in data:
            given["goals"] = [goal.pk for goal in data["goals"]]
        return given


class ShareForm(forms.Form):
    shared = forms.MultipleChoiceField(
        label=_("The patient may read"), required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, visit: TherapyVisit, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, initial={"shared": visit.shared}, **kwargs)
        self.fields["shared"].choices = [  # type: ignore[attr-defined]
            (field.name, field.label)
            for field in fields_of(visit.kind)
            if field.shareable and field.name in visit.content
        ]


class TouchForm(forms.Form):
    """The patient's own signature under the kinds of touch that are welcome."""

    kinds = forms.MultipleChoiceField(
        label=_("Welcome in my sessions"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Nothing ticked means: no touch, but for care that is needed at once"),
    )
    words = forms.CharField(
        label=_("Limits, in the patient's words"), max_length=300, required=False
    )
    signed_name = forms.CharField(label=_("Full name of the patient"), max_length=160)

    def __init__(self, therapy: TherapyFile, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["kinds"].choices = [  # type: ignore[attr-defined]
            (kind.id, _named(kind)) for kind in therapy.touch.kinds
        ]


class GoalForm(forms.Form):
    kind = forms.ChoiceField(label=_("About"))
    text = forms.CharField(label=_("The goal, in the patient's words"), max_length=300)
    shared = forms.BooleanField(label=_("The patient sees it"), required=False, initial=True)

    def __init__(self, therapy: TherapyFile, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, prefix="goal", **kwargs)
        self.fields["kind"].choices = [  # type: ignore[attr-defined]
            (kind.id, _named(kind)) for kind in therapy.goals
        ]


class HomeworkForm(forms.Form):
    text = forms.CharField(label=_("One small thing to do"), max_length=300)
    goal = forms.ModelChoiceField(
        Goal.objects.none(),
        required=False,
        label=_("For the goal"),
        empty_label=pgettext_lazy("a goal", "None of them"),
    )
    due_on = forms.DateField(
        label=pgettext_lazy("a day", "Until"),
        required=False,
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
    )
    shared = forms.BooleanField(label=_("The patient sees it"), required=False, initial=True)

    def __init__(self, goals: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, prefix="homework", **kwargs)
        self.fields["goal"].queryset = goals  # type: ignore[attr-defined]


class LifeEventForm(forms.Form):
    happened_on = forms.DateField(
        label=_("Day"), widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d")
    )
    title = forms.CharField(label=_("What happened"), max_length=160)
    detail = forms.CharField(
        label=_("More"), required=False, widget=forms.Textarea({"rows": 2}), max_length=2000
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, prefix="life", **kwargs)


class NoteForm(forms.Form):
    text = forms.CharField(label=_("Note"), widget=forms.Textarea({"rows": 8}), max_length=20_000)


class CompanionForm(forms.Form):
    text = forms.CharField(
        label=_("Note for the session"), widget=forms.Textarea({"rows": 3}), max_length=2000
    )


class GrantForm(forms.Form):
    reader = forms.ModelChoiceField(
        User.objects.none(), label=_("Colleague"), empty_label=_("Choose")
    )
    reason = forms.CharField(
        label=_("Why"),
        max_length=300,
        help_text=_("The patient's authorisation, supervision, cover"),
    )

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        colleagues = User.objects.filter(role__in=STAFF - {Role.COORDINATOR}, is_active=True)
        self.fields["reader"].queryset = colleagues.exclude(pk=user.pk).order_by(  # type: ignore[attr-defined]
            "display_name"
        )
