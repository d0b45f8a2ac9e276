"""Proposing a text: pasted, or from a file."""

from typing import Any

from django import forms

LARGEST_BYTES = 1_000_000


class ProposalForm(forms.Form):
    """The whole of the clinic's own text. A file takes the place of what is in the box."""

    text = forms.CharField(
        label="The clinic's own text",
        required=False,
        strip=False,
        widget=forms.Textarea(
            attrs={"rows": 24, "spellcheck": "false", "autocapitalize": "off", "class": "code"}
        ),
        help_text="Only what differs from the library. Empty: follow the library alone.",
    )
    file = forms.FileField(
        label="Or a file",
        required=False,
        help_text="A YAML file takes the place of what is in the box.",
        widget=forms.ClearableFileInput(attrs={"accept": ".yaml,.yml,text/yaml,text/plain"}),
    )
    note = forms.CharField(
        label="What is it for?",
        max_length=500,
        help_text="One sentence, for those who read the versions later",
        error_messages={"required": "Say in a sentence what this version is for."},
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        upload = cleaned.get("file")
        if upload is not None:
            if upload.size > LARGEST_BYTES:
                raise forms.ValidationError({"file": "This file is larger than 1 MB."})
            try:
                cleaned["text"] = upload.read().decode("utf-8-sig")
            except UnicodeDecodeError as error:
                raise forms.ValidationError(
                    {"file": "This is not a text file in UTF-8. Save it as UTF-8 and try again."}
                ) from error
        return cleaned
