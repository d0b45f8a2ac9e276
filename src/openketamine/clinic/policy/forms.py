"""Proposing a text: pasted, or from a file."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

LARGEST_BYTES = 1_000_000


class ProposalForm(forms.Form):
    """The whole of the clinic's own text. A file takes the place of what is in the box."""

    text = forms.CharField(
        label=_("The clinic's own text"),
        required=False,
        strip=False,
        widget=forms.Textarea(
            attrs={"rows": 24, "spellcheck": "false", "autocapitalize": "off", "class": "code"}
        ),
        help_text=_("Only what differs from the library. Empty: follow the library alone."),
    )
    file = forms.FileField(
        label=_("Or a file"),
        required=False,
        help_text=_("A YAML file takes the place of what is in the box."),
        widget=forms.ClearableFileInput(attrs={"accept": ".yaml,.yml,text/yaml,text/plain"}),
    )
    note = forms.CharField(
        label=_("What is it for?"),
        max_length=500,
        help_text=_("One sentence, for those who read the versions later"),
        error_messages={"required": _("Say in a sentence what this version is for.")},
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        upload = cleaned.get("file")
        if upload is not None:
            if upload.size > LARGEST_BYTES:
                raise forms.ValidationError({"file": _("This file is larger than 1 MB.")})
            try:
                cleaned["text"] = upload.read().decode("utf-8-sig")
            except UnicodeDecodeError as error:
                words = _("This is not a text file in UTF-8. Save it as UTF-8 and try again.")
                raise forms.ValidationError({"file": words}) from error
        return cleaned
