"""The forms of signing in, where they differ from allauth's."""

from typing import Any

from allauth.account import forms


class ReauthenticateForm(forms.ReauthenticateForm):
    """The password again, without a link to a reset by mail, which the clinic has closed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"].help_text = ""
