"""Who may open which address: denied unless a rule says otherwise.

A view carries its rule as a decorator; the views of libraries have theirs in `LIBRARY_RULES`.
`check_every_url_has_a_rule` runs with Django's system checks, so a forgotten rule stops the start,
and the middleware would refuse such a view even then.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.urls import URLPattern, URLResolver, get_resolver

from .models import STAFF, Role

View = Callable[..., Any]


# Under this name a browser's session says which patient's link has opened it.
LINK_SESSION_KEY = "patient_link"


@dataclass(frozen=True)
class Rule:
    """Who may pass: anybody, or the people signed in with one of these roles.

    `by_link`: also a patient whose link was opened in this browser. Whether that link still holds
    is for the view to say, which knows links (`portal.visits`).
    """

    roles: frozenset[Role]
    public: bool = False
    by_link: bool = False

    def admits(self, request: HttpRequest) -> bool:
        user: Any = request.user
        if self.public:
            return True
        if user.is_authenticated:
            return user.role in self.roles
        return self.by_link and LINK_SESSION_KEY in request.session


PUBLIC = Rule(frozenset(Role), public=True)
SIGNED_IN = Rule(frozenset(Role))
STAFF_ONLY = Rule(STAFF)
NOBODY = Rule(frozenset())

# allauth's own pages, by name. Sign-up and e-mail management stay shut: the clinic makes accounts.
LIBRARY_RULES = {
    "account_login": PUBLIC,
    "account_logout": PUBLIC,
    "account_inactive": PUBLIC,
    "account_reauthenticate": SIGNED_IN,
    "account_change_password": SIGNED_IN,
    "mfa_authenticate": PUBLIC,  # the second step of signing in: nobody is signed in yet
    "mfa_reauthenticate": SIGNED_IN,
    "mfa_index": SIGNED_IN,
    "mfa_activate_totp": SIGNED_IN,
    "mfa_deactivate_totp": SIGNED_IN,
    "mfa_view_recovery_codes": SIGNED_IN,
    "mfa_generate_recovery_codes": SIGNED_IN,
    "mfa_download_recovery_codes": SIGNED_IN,
}


def _mark(rule: Rule) -> Callable[[View], View]:
    def decorate(view: View) -> View:
        view.access_rule = rule  # type: ignore[attr-defined]
        return view

    return decorate


def allow(*roles: Role) -> Callable[[View], View]:
    """The view is for people signed in with one of these roles."""
    return _mark(Rule(frozenset(roles)))


staff_only = _mark(STAFF_ONLY)
signed_in = _mark(SIGNED_IN)
public = _mark(PUBLIC)
patients_own = _mark(Rule(frozenset({Role.PATIENT}), by_link=True))


def rule_of(view: View, url_name: str | None) -> Rule | None:
    """The rule of a view, or None where nobody has given it one."""
    rule = getattr(view, "access_rule", None)
    if rule is None and view.__module__.split(".")[0] == "allauth":
        return LIBRARY_RULES.get(url_name or "", NOBODY)
    return rule


class AccessMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: View, args: list[Any], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        match = request.resolver_match
        rule = rule_of(view, match.url_name if match else None) or NOBODY
        if rule.admits(request):
            return None
        user: Any = request.user
        if user.is_authenticated or rule is NOBODY:
            raise PermissionDenied
        login = f"{resolve_url(settings.LOGIN_URL)}?next={quote(request.get_full_path())}"
        if request.headers.get("HX-Request"):
            return HttpResponse(status=401, headers={"HX-Redirect": login})
        return redirect(login)


def every_pattern(
    patterns: list[URLPattern | URLResolver] | None = None, prefix: str = ""
) -> Iterator[tuple[str, URLPattern]]:
    """Every URL pattern of the site with its whole route."""
    for item in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(item.pattern)
        if isinstance(item, URLResolver):
            yield from every_pattern(item.url_patterns, route)
        else:
            yield route, item


@register()
def check_every_url_has_a_rule(**kwargs: Any) -> list[CheckMessage]:
    return [
        Error(
            f"No access rule for {route!r}.",
            hint="Decorate its view with allow(…), staff_only, signed_in or public.",
            id="accounts.E001",
        )
        for route, pattern in every_pattern()
        if rule_of(pattern.callback, pattern.name) is None
    ]
