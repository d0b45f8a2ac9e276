"""In which language a page speaks: to staff in the one that each of them chose; to everybody else
as chosen on the device, as the chart says, as the device asks.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation

from openketamine.clinic.accounts.models import User

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


def language_of_staff(user: User) -> str:
    """What they chose, else the clinic's own."""
    return user.language if user.language in dict(settings.LANGUAGES) else settings.STAFF_LANGUAGE


class LanguageMiddleware:
    """Speaks one language throughout a request. Pages opened by a link then ask the chart."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user
        if isinstance(user, User) and user.is_clinic_staff:
            language = language_of_staff(user)
        else:
            language = language_for(request, None)
        with translation.override(language):
            return self.get_response(request)
