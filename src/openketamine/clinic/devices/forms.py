from datetime import timedelta

from django import forms
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from openketamine.clinic.record import clock
from openketamine.clinic.sessions.models import Chair, Session

from . import queries
from .queries import Held


class AssignForm(forms.Form):
    chair = forms.ModelChoiceField(Chair.objects.all(), label=_("Chair"), required=False)


class PlaceForm(forms.Form):
    """What monitors call the place of a chair."""

    name = forms.CharField(
        label=_("Place, as the monitor says it"),
        help_text=_("whole, as it stands above (ICU^2^3), or the part that tells it apart"),
        max_length=120,
    )
    chair = forms.ModelChoiceField(Chair.objects.all(), label=_("is"), empty_label=None)


class _SessionField(forms.ModelChoiceField):
    def label_from_instance(self, session: Session) -> str:
        opened = timezone.localtime(session.opened_at)
        return gettext("%(person)s, %(chair)s, since %(time)s") % {
            "person": session.person,
            "chair": session.chair,
            "time": f"{opened:%H:%M}",
        }


class SettleForm(forms.Form):
    """What becomes of held readings."""

    session = _SessionField(
        Session.objects.none(), required=False, label=_("They are readings of"), empty_label="–"
    )
    reason = forms.CharField(label=_("Reason"), max_length=300, widget=forms.Textarea({"rows": 2}))
    last_id = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, *args: object, held: Held, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        fitting = [session.pk for session in queries.sessions_around(held)]
        self.fields["session"].queryset = Session.objects.filter(  # type: ignore[attr-defined]
            pk__in=fitting
        ).select_related("person", "chair")
        self.fields["last_id"].initial = held.last_id


class TakeBackForm(forms.Form):
    """The readings of a device that stood at the wrong patient."""

    session = _SessionField(Session.objects.none(), label=_("Whose session they went into"))
    since = forms.TimeField(
        label=_("Measured from"), widget=forms.TimeInput({"type": "time", "step": 1})
    )
    until = forms.TimeField(label=_("until"), widget=forms.TimeInput({"type": "time", "step": 1}))
    reason = forms.CharField(label=_("Reason"), max_length=300, widget=forms.Textarea({"rows": 2}))

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        recent = [session.pk for session in queries.recent_sessions()]
        self.fields["session"].queryset = Session.objects.filter(  # type: ignore[attr-defined]
            pk__in=recent
        ).select_related("person", "chair")
        self.fields["until"].initial = timezone.localtime(clock.now()).replace(microsecond=0).time()

    def clean(self) -> dict[str, object]:
        """Times of day become moments: the last such ones that have passed."""
        data = super().clean() or {}
        now = timezone.localtime(clock.now())
        for name in ("since", "until"):
            if (time := data.get(name)) is not None:
                moment = now.replace(
                    hour=time.hour, minute=time.minute, second=time.second, microsecond=0
                )
                data[name] = moment - timedelta(days=1) if moment > now else moment
        if "since" in data and "until" in data and data["since"] > data["until"]:
            self.add_error("until", _("This lies before the beginning."))
        if "until" in data:
            data["until"] += timedelta(seconds=1)  # the last second is meant whole
        return data


class SenderForm(forms.Form):
    name = forms.CharField(max_length=60, label=_("Name of the sender"))
