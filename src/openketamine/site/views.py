"""The front door, and what belongs to the device and not to a patient."""

import hmac

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils import translation
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import cache_control
from django.views.decorators.http import conditional_page, require_GET, require_POST
from django.views.i18n import JavaScriptCatalog

from openketamine.clinic.accounts.access import public, signed_in
from openketamine.clinic.accounts.models import Role

from . import metrics
from .context import THEME_COOKIE


@signed_in
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Each role begins where its work is."""
    role: Role = request.user.role
    return redirect({Role.PATIENT: "my_page", Role.RESEARCHER: "outcomes"}.get(role, "today"))


@public
@require_POST
def set_theme(request: HttpRequest) -> HttpResponse:
    """Choose paper or low light for this device."""
    target = request.POST.get("next", "/")
    if not url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()}):
        target = "/"
    response = redirect(target)
    theme = "dark" if request.POST.get("theme") == "dark" else "light"
    response.set_cookie(
        THEME_COOKIE,
        theme,
        max_age=365 * 86400,
        samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )
    return response


_script_words = JavaScriptCatalog.as_view(packages=["openketamine.site"])


@public
@require_GET
@cache_control(max_age=settings.WHITENOISE_MAX_AGE)  # as long as the scripts themselves
@conditional_page
def script_words(request: HttpRequest, language: str) -> HttpResponse:
    """The words of the scripts in one language; its address says which, so that it can be kept."""
    if language not in dict(settings.LANGUAGES):
        raise Http404
    with translation.override(language):
        return _script_words(request)


@public
@require_GET
def healthy(request: HttpRequest) -> HttpResponse:
    """The process answers. Says nothing about anybody."""
    return JsonResponse({"status": "ok"})


@public
@require_GET
def ready(request: HttpRequest) -> HttpResponse:
    """This process can serve: the database answers and has this version's schema."""
    try:
        connection.ensure_connection()
        executor = MigrationExecutor(connection)
        waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return JsonResponse({"status": "the database does not answer"}, status=503)
    if waiting:
        return JsonResponse({"status": "the schema is another version's"}, status=503)
    return JsonResponse({"status": "ready"})


@public
@require_GET
def figures(request: HttpRequest) -> HttpResponse:
    """Figures for Prometheus, for whoever shows the token; there is nothing here for others."""
    offered = request.headers.get("Authorization", "").removeprefix("Bearer ")
    token = settings.METRICS_TOKEN
    if not token or not hmac.compare_digest(offered.encode(), token.encode()):
        return HttpResponse(status=404)
    return HttpResponse(metrics.page(), content_type="text/plain; version=0.0.4; charset=utf-8")
