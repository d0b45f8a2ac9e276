"""What is filled in on the patient's page, and by the staff for it."""

from datetime import date
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from openketamine.clinic.notices.models import Channel

from . import services
from .models import ContactChoice


class BirthDateForm(forms.Form):
    """The second fact. Three boxes: a phone's date picker begins at today, decades away."""

    day = forms.IntegerField(label=_("Day"), min_value=1, max_value=31)
    month = forms.IntegerField(label=_("Month"), min_value=1, max_value=12)
    year = forms.IntegerField(label=_("Year"), min_value=1900, max_value=2100)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, size in (("day", "2"), ("month", "2"), ("year", "4")):
            self.fields[name].widget = forms.TextInput(
                {"inputmode": "numeric", "autocomplete": f"bday-{name}", "maxlength": size}
            )
            self.fields[name].error_messages = {
                key: _("Enter your date of birth in numbers.")
                for key in ("required", "invalid", "min_value", "max_value")
            }

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if {"day", "month", "year"} <= data.keys():
            try:
                data["birth_date"] = date(data["year"], data["month"], data["day"])
            except ValueError:
                self.add_error("day", _("There is no such day."))
        return data


class MessageForm(forms.Form):
    text = forms.CharField(
        label=_("Your message"),
        widget=forms.Textarea({"rows": 5}),
        max_length=services.LONGEST_MESSAGE,
    )


NOT_AT_ALL = "none"  # for a radio button: an empty value would look chosen before it is


class _ChannelForm(forms.Form):
    def clean_channel(self) -> str:
        channel = str(self.cleaned_data["channel"])
        return "" if channel == NOT_AT_ALL else channel


class ContactForm(_ChannelForm):
    channel = forms.ChoiceField(label=_("How may we write to you?"), widget=forms.RadioSelect)
    quiet_from = forms.TimeField(
        label=_("Not after"), widget=forms.TimeInput({"type": "time"}, format="%H:%M")
    )
    quiet_until = forms.TimeField(
        label=_("And not before"), widget=forms.TimeInput({"type": "time"}, format="%H:%M")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["channel"].choices = [  # type: ignore[attr-defined]
            (Channel.TEXT.value, _("By text message")),
            (Channel.EMAIL.value, _("By e-mail")),
            (NOT_AT_ALL, _("Not at all")),
        ]


class AnswerForm(forms.Form):
    text = forms.CharField(
        label=_("Answer"), widget=forms.Textarea({"rows": 4}), max_length=services.LONGEST_MESSAGE
    )


class SettleForm(forms.Form):
    why = forms.CharField(
        label=_("No written answer needed, because"),
        max_length=300,
        help_text=_("E.g. telephoned"),
    )


class LinkForm(forms.Form):
    days = forms.IntegerField(
        label=_("How long it lasts"),
        min_value=1,
        max_value=services.LONGEST_LINK_DAYS,
        initial=services.LINK_DAYS,
    )


class SendLinkForm(forms.Form):
    channel = forms.ChoiceField(label=_("Send it"), choices=Channel.choices)


def contact_initial(choice: ContactChoice | None) -> dict[str, Any]:
    """What stands in the form before anybody has changed it."""
    if choice is None:
        return {"quiet_from": services.QUIET_FROM, "quiet_until": services.QUIET_UNTIL}
    return {
        "channel": choice.channel or NOT_AT_ALL,
        "quiet_from": choice.quiet_from,
        "quiet_until": choice.quiet_until,
    }


class StaffContactForm(_ChannelForm):
    """As the patient said on the telephone or at the desk."""

    channel = forms.ChoiceField(
        label=_("The patient wants reminders"),
        choices=[*Channel.choices, (NOT_AT_ALL, _("Not at all"))],
        widget=forms.RadioSelect,
    )
    quiet_from = forms.TimeField(
        label=_("Not after"), widget=forms.TimeInput({"type": "time"}, format="%H:%M")
    )
    quiet_until = forms.TimeField(
        label=_("Not before"), widget=forms.TimeInput({"type": "time"}, format="%H:%M")
    )
