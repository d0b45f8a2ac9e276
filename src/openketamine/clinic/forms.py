"""How a form meets a service: a refusal lands at the field it belongs to."""

from collections.abc import Callable
from typing import Any, TypeVar

from django import forms

from .errors import Refused

T = TypeVar("T")


def attempt(form: forms.Form, act: Callable[[], T]) -> T | None:
    """Do the act; a refusal becomes an error of the form, at its field where it names one."""
    try:
        return act()
    except Refused as refusal:
        field: Any = refusal.field if refusal.field in form.fields else None
        form.add_error(field, refusal.message)
        return None
