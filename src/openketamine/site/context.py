"""What every template knows: the clinic, the person signed in, the theme of this device."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from openketamine import __version__

THEME_COOKIE = "theme"


def clinic(request: HttpRequest) -> dict[str, Any]:
    theme = request.COOKIES.get(THEME_COOKIE)
    return {
        "is_demo": settings.DEMO,
        "demo_password": settings.DEMO_PASSWORD if settings.DEMO else None,
        "version": __version__,
        "theme": theme if theme in {"light", "dark"} else "light",
    }
