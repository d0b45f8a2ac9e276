"""In which language a patient's page speaks: as chosen here, as the chart says, as the device asks.

The staff's pages stay in English, so no middleware decides for all of them.
"""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation

from .models import Person

# The chart's language is a code where the referral had one, or a word.
_WORDS = {"spanish": "es", "español": "es", "english": "en"}


def language_of(person: Person | None, otherwise: str = "en") -> str:
    """The language that the chart states, where the patient's pages speak it."""
    known = dict(settings.LANGUAGES)
    stated = person.language.strip().lower() if person else ""
    code = _WORDS.get(stated, stated.replace("_", "-").split("-")[0])
    return code if code in known else otherwise


def language_for(request: HttpRequest, person: Person | None) -> str:
    """One of `settings.LANGUAGES`."""
    known = dict(settings.LANGUAGES)
    chosen = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME)
    if chosen in known:
        return chosen
    return language_of(person, translation.get_language_from_request(request))


def remember(response: HttpResponse, language: str) -> None:
    """Keep the choice on this device."""
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=365 * 86400,
        samesite="Lax",
        httponly=True,
        secure=settings.SESSION_COOKIE_SECURE,
    )
