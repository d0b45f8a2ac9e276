"""How long one sitting lasts: it ends without work, after a long shift, and needs both factors.

Live screens fetch themselves, and must not go dark while a session runs: fetching a session or the
day's board counts as work, for somebody is meant to look at them. The alarms that every page asks
for do not.
"""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.utils.translation import gettext as _

from .models import Role

STARTED, FACTOR = "sitting_started", "sitting_has_second_factor"
COOKIE = "seen"
_SALT = "openketamine.sitting"
# A sitting's cookie is renewed no more often than this, in seconds.
RENEW_S = 60
PASSIVE = frozenset({"alarms"})
# Where somebody without a second factor may still go: to get one, or to leave.
WITHOUT_FACTOR = frozenset(
    {
        "account_logout",
        "account_reauthenticate",
        "account_change_password",
        "mfa_activate_totp",
        "mfa_index",
        "mfa_reauthenticate",
        "script_words",
        "set_language",
        "set_theme",
    }
)


def begin(sender: Any, request: HttpRequest, user: Any, **kwargs: Any) -> None:
    """Note when a sitting began; sent by Django for every sign-in."""
    request.session[STARTED] = int(time.time())


class SittingMiddleware:
    """Ends a sitting that is over and sends staff without a second factor to get one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: list[Any], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        user: Any = request.user
        if not user.is_authenticated:
            return None
        now = int(time.time())
        if STARTED not in request.session:  # from before sittings were counted: it begins now
            request.session[STARTED] = now
        started = request.session[STARTED]
        seen = max(_seen(request), started)
        if now - started > settings.SESSION_COOKIE_AGE or now - seen > settings.IDLE_S:
            return _over(request)
        name = request.resolver_match.url_name if request.resolver_match else None
        if name not in PASSIVE and now - seen >= RENEW_S:
            request.renew_sitting = now  # type: ignore[attr-defined]
        if (
            settings.REQUIRE_MFA
            and user.role != Role.PATIENT
            and name not in WITHOUT_FACTOR
            and not _has_second_factor(request)
        ):
            messages.info(
                request, _("Set up a second factor first; then everything is open to you.")
            )
            return redirect("mfa_activate_totp")
        return None


class SittingCookieMiddleware:
    """Tells the browser when the person was last at work. Signed, and bound to the sitting."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if moment := getattr(request, "renew_sitting", None):
            response.set_cookie(
                COOKIE,
                signing.dumps([_key(request), moment], salt=_SALT),
                samesite="Lax",
                httponly=True,
                secure=settings.SESSION_COOKIE_SECURE,
            )
        return response


def _key(request: HttpRequest) -> str:
    # Not the session's key itself, which would be one more place to steal it from.
    return signing.Signer(salt=_SALT).signature(request.session.session_key or "")


def _seen(request: HttpRequest) -> int:
    try:
        key, moment = signing.loads(request.COOKIES.get(COOKIE, ""), salt=_SALT)
    except (signing.BadSignature, ValueError, TypeError):
        return 0
    return int(moment) if key == _key(request) else 0


def _over(request: HttpRequest) -> HttpResponse:
    target = request.get_full_path() if request.method == "GET" else "/"
    htmx = bool(request.headers.get("HX-Request"))
    logout(request)
    messages.info(request, _("You were signed out after a while without work. Sign in to go on."))
    login = resolve_url(settings.LOGIN_URL) + ("" if htmx else f"?next={quote(target)}")
    if htmx:
        return HttpResponse(status=401, headers={"HX-Redirect": login})
    return redirect(login)


def _has_second_factor(request: HttpRequest) -> bool:
    if request.session.get(FACTOR):
        return True
    if is_mfa_enabled(request.user):
        request.session[FACTOR] = True
        return True
    return False
