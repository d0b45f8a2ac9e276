"""Letting programs in: the director's list, the patient's page, and the OAuth addresses."""

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlencode, urlsplit

from authlib.oauth2 import OAuth2Error
from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from openketamine.clinic.accounts.access import allow, public, signed_in, staff_only
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.errors import Refused
from openketamine.clinic.people.language import language_for
from openketamine.clinic.people.models import Person
from openketamine.clinic.record import clock
from openketamine.clinic.sites import scope as sites

from . import scopes, services
from .forms import ClientForm
from .models import ClientApp, Launch, digest_of
from .oauth import server, signing_key
from .signed import ALGORITHMS


@allow(Role.DIRECTOR)
@require_http_methods(["GET", "POST"])
def apps(request: HttpRequest) -> HttpResponse:
    """Every program that is let in, and the form for one more."""
    form = ClientForm(request.POST or None)
    made, secret = None, ""
    if request.method == "POST" and form.is_valid():
        try:
            made, secret = services.register_client(request.user, **form.cleaned_data)  # type: ignore[arg-type]
        except Refused as refusal:
            form.add_error(refusal.field, refusal.message)
        else:
            form = ClientForm()
    return render(
        request,
        "smart/apps.html",
        {
            "form": form,
            "made": made,
            "secret": secret,
            "base": request.build_absolute_uri("/fhir"),
            "clients": [
                (client, scopes.in_words(client.scope))
                for client in ClientApp.objects.select_related("registered_by").order_by(
                    "revoked_at", "name"
                )
            ],
        },
        status=422 if form.errors else 200,
    )


@allow(Role.DIRECTOR)
@require_POST
def revoke_app(request: HttpRequest, client_id: uuid.UUID) -> HttpResponse:
    client = get_object_or_404(ClientApp, pk=client_id)
    try:
        services.revoke_client(request.user, client)  # type: ignore[arg-type]
    except Refused as refusal:
        messages.error(request, refusal.message)
    else:
        said = _("%(program)s has no access any more.")
        messages.success(request, said % {"program": client})
    return redirect("smart_apps")


@staff_only
@require_GET
def open_with(request: HttpRequest, person_id: uuid.UUID) -> HttpResponse:
    """The apps that can be opened on a patient."""
    person = get_object_or_404(Person, pk=person_id)
    clients = ClientApp.objects.filter(revoked_at=None).exclude(launch_url="")
    return render(request, "smart/open_with.html", {"person": person, "clients": clients})


@staff_only
@require_POST
@never_cache
def open_app(request: HttpRequest, person_id: uuid.UUID, client_id: uuid.UUID) -> HttpResponse:
    """One app, about to be opened on a patient: the last page of this house."""
    person = get_object_or_404(Person, pk=person_id)
    client = get_object_or_404(ClientApp, pk=client_id)
    try:
        token = services.launch(request.user, client, person)  # type: ignore[arg-type]
    except Refused as refusal:
        messages.error(request, refusal.message)
        return redirect("smart_open_with", person_id)
    asked = urlencode({"iss": request.build_absolute_uri("/fhir"), "launch": token})
    joint = "&" if "?" in client.launch_url else "?"
    return render(
        request,
        "smart/open_app.html",
        {
            "person": person,
            "client": client,
            "address": f"{client.launch_url}{joint}{asked}",
            "host": urlsplit(client.launch_url).hostname,
        },
    )


@signed_in
@never_cache
@require_http_methods(["GET", "POST"])
def authorize(request: HttpRequest) -> HttpResponse:
    """An app asks whoever is signed in for access: to what, and on which patient.

    A patient is asked in their own language, the staff in the one that they have chosen.
    """
    user: Any = request.user
    if user.role != Role.PATIENT:
        return _authorize(request)
    with translation.override(language_for(request, getattr(user, "person", None))):
        return _authorize(request)


def _authorize(request: HttpRequest) -> HttpResponse:
    try:
        grant = server().get_consent_grant(request, end_user=request.user)
    except OAuth2Error as error:
        if getattr(error, "redirect_uri", None):
            return _leave(server().handle_error_response(None, error), error.redirect_uri)
        return render(request, "smart/refused.html", {"why": _why(error)}, status=400)
    oauth: Any = grant.request
    client: ClientApp = oauth.client
    redirect_uri = oauth.payload.redirect_uri
    scope = scopes.narrowed(oauth.payload.scope or "", client.scope)
    try:
        _check(request, oauth, scope)
        context = _context(request, client, scope)
    except Refused as refusal:
        return _error(redirect_uri, "invalid_request", refusal.message, oauth)
    if request.method == "POST" and "deny" in request.POST:
        return _leave(server().create_authorization_response(oauth, None, grant), redirect_uri)
    needs_patient = context is None and _needs_patient(scope)
    if request.method == "POST" and not needs_patient:
        oauth.person, oauth.granted_scope = context, scope
        answer = server().create_authorization_response(oauth, request.user, grant)
        return _leave(answer, redirect_uri)
    page = render(
        request,
        "smart/authorize.html",
        {
            "client": client,
            "person": context,
            "words": scopes.in_words(scope),
            "host": urlsplit(redirect_uri).hostname or urlsplit(redirect_uri).scheme,
            "search": request.GET.get("search", ""),
            "choices": _choices(request.GET.get("search", "")) if needs_patient else [],
            "needs_patient": needs_patient,
            "asked": [(name, value) for name, value in request.GET.items() if name not in _OURS],
        },
    )
    return _leave(page, redirect_uri)


# What our own page adds to the app's question.
_OURS = frozenset({"search", "person"})


def _why(error: OAuth2Error) -> str:
    return str(error.description or error.error)


def _check(request: HttpRequest, oauth: Any, scope: str) -> None:
    """What SMART asks of the question beyond OAuth.

    Raises:
        Refused: in words for the app's makers.
    """
    base = request.build_absolute_uri("/fhir")
    if (request.GET.get("aud") or "").rstrip("/") != base:
        raise Refused(f"aud must be {base}")
    if not oauth.payload.state:
        raise Refused("state is missing")
    if len(oauth.payload.data.get("code_challenge") or "") > 128:
        raise Refused("code_challenge is too long")
    if not scopes.parse_all(scope):
        raise Refused("none of these scopes was given to this app")


def _context(request: HttpRequest, client: ClientApp, scope: str) -> Person | None:
    """The patient whom the app is opened on, where one is named.

    Raises:
        Refused: the launch does not count, or a patient would see another.
    """
    user: Any = request.user
    if user.role == Role.PATIENT:
        own: Person | None = getattr(user, "person", None)
        if own is None:
            raise Refused("this account belongs to nobody in care")
        return own
    if token := request.GET.get("launch"):
        launch = (
            Launch.objects.select_related("person")
            .filter(digest=digest_of(token), client=client, user=user, expires_at__gt=clock.now())
            .first()
        )
        if launch is None:
            raise Refused("this launch is over; open the app from the patient's page again")
        return launch.person
    if chosen := request.POST.get("person") or request.GET.get("person"):
        try:
            return Person.objects.filter(pk=uuid.UUID(chosen)).first()
        except ValueError:
            return None
    return None


def _needs_patient(scope: str) -> bool:
    asked = "launch/patient" in scope.split()
    return asked or any(found.level == "patient" for found in scopes.parse_all(scope))


def _choices(search: str) -> list[Person]:
    """People to choose from, by what is searched for; none where nothing is."""
    words = [word for word in search.replace("\x00", "").split() if word]
    if not words:
        return []
    found = Person.objects.order_by("family_name", "given_name", "pk")
    for word in words:
        found = found.filter(
            Q(given_name__icontains=word) | Q(family_name__icontains=word) | Q(mrn__iexact=word)
        )
    return list(found[:20])


def _error(redirect_uri: str, error: str, why: str, oauth: Any) -> HttpResponse:
    joint = "&" if urlsplit(redirect_uri).query else "?"
    said = {"error": error, "error_description": why}
    if oauth.payload.state:
        said["state"] = oauth.payload.state
    response = HttpResponse(
        status=302, headers={"Location": f"{redirect_uri}{joint}{urlencode(said)}"}
    )
    return _leave(response, redirect_uri)


def _leave(response: HttpResponse, redirect_uri: str | None) -> HttpResponse:
    """Let the browser follow a form to the app: its address stands in the registration."""
    parts = urlsplit(redirect_uri or "")
    where = f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"
    response._csp_update = {"form-action": [where]}  # type: ignore[attr-defined]
    response["Cache-Control"] = "no-store"
    return response


@public  # the app shows its code, its secret or its signature
@csrf_exempt
@require_POST
def token(request: HttpRequest) -> HttpResponse:
    """A token for a code, a refresh token or a signature."""
    return _answer(request, server().create_token_response)


@public  # the app shows who it is
@csrf_exempt
@require_POST
def revoke(request: HttpRequest) -> HttpResponse:
    """Give a token back (RFC 7009)."""
    return _answer(request, partial(server().create_endpoint_response, "revocation"))


@public  # the app shows who it is
@csrf_exempt
@require_POST
def introspect(request: HttpRequest) -> HttpResponse:
    """What one of an app's own tokens allows, and whether it still does (RFC 7662)."""
    answer = _answer(request, partial(server().create_endpoint_response, "introspection"))
    answer["Cache-Control"] = "no-store"
    return answer


def _answer(request: HttpRequest, act: Callable[[HttpRequest], HttpResponse]) -> HttpResponse:
    """What Authlib answers; over plain HTTP it refuses, and says so."""
    try:
        # It looks for tokens, and shows nothing of a patient. Programs read what it says.
        with sites.everything(), translation.override("en"):
            return act(request)
    except OAuth2Error as error:
        said = {"error": error.error, "error_description": _why(error)}
        return JsonResponse(said, status=400)


@public  # public keys
@require_GET
def jwks(request: HttpRequest) -> HttpResponse:
    """The keys that check who we say has signed in."""
    key = signing_key().as_dict(private=False)
    return JsonResponse({"keys": [{**key, "use": "sig", "alg": "RS256"}]})


def _addresses(request: HttpRequest) -> dict[str, Any]:
    return {
        "issuer": request.build_absolute_uri("/smart"),
        "jwks_uri": request.build_absolute_uri("/smart/jwks"),
        "authorization_endpoint": request.build_absolute_uri("/smart/authorize"),
        "token_endpoint": request.build_absolute_uri("/smart/token"),
        "revocation_endpoint": request.build_absolute_uri("/smart/revoke"),
        "introspection_endpoint": request.build_absolute_uri("/smart/introspect"),
        "token_endpoint_auth_methods_supported": [
            "private_key_jwt",
            "client_secret_basic",
            "client_secret_post",
        ],
        "token_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": [
            *scopes.PLAIN,
            *(f"{level}/*.{letters}" for level in ("patient", "user", "system") for letters in
              ("rs", "cruds")),
        ],
    }  # fmt: skip


@public  # what anybody must know to connect
@require_GET
def smart_configuration(request: HttpRequest) -> HttpResponse:
    """How to connect, for a program."""
    return JsonResponse(
        {
            **_addresses(request),
            "capabilities": [
                "launch-ehr",
                "launch-standalone",
                "client-public",
                "client-confidential-symmetric",
                "client-confidential-asymmetric",
                "sso-openid-connect",
                "context-ehr-patient",
                "context-standalone-patient",
                "context-banner",
                "permission-offline",
                "permission-patient",
                "permission-user",
                "permission-v1",
                "permission-v2",
            ],
        }
    )


@public  # what anybody must know to check an id token
@require_GET
def openid_configuration(request: HttpRequest) -> HttpResponse:
    return JsonResponse(
        {
            **_addresses(request),
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "claims_supported": ["iss", "sub", "aud", "exp", "iat", "nonce", "fhirUser"],
        }
    )
