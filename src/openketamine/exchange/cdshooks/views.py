"""The services of CDS Hooks 2.0. Whoever calls signs the call, and is one that was let in."""

import json
import logging
from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import RawPostDataException, UnreadablePostError
from django.utils import translation
from django.views.decorators.csrf import csrf_exempt
from joserfc import jws
from joserfc.errors import JoseError

from openketamine.clinic.accounts.access import public
from openketamine.exchange.fhir import audit
from openketamine.exchange.fhir.bundle import MEASUREMENTS, is_text
from openketamine.exchange.smart.grants import Grant
from openketamine.exchange.smart.models import ClientApp
from openketamine.exchange.smart.signed import BadSignature, claims_of, use_once

from . import cards

logger = logging.getLogger(__name__)

MAX_BYTES = 8 * 1024 * 1024
ROUTE_OF_VIEW = "IV"
_PREFETCH = {
    "patient": "Patient/{{context.patientId}}",
    "conditions": "Condition?patient={{context.patientId}}",
    "medications": "MedicationRequest?patient={{context.patientId}}&status=active",
    "allergies": "AllergyIntolerance?patient={{context.patientId}}",
    "observations": "Observation?patient={{context.patientId}}&code="
    + ",".join(f"http://loinc.org|{code}" for code in (*MEASUREMENTS, "85354-9")),
}
SERVICES = {
    "ketamine-eligibility": ("patient-view", "Ketamine by vein: what speaks against it"),
    "ketamine-order-select": ("order-select", "What speaks against a ketamine order being made"),
    "ketamine-order-sign": ("order-sign", "What speaks against a ketamine order being signed"),
}


class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


def hooks(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """An address of CDS Hooks: no session of a browser, every error in words, in English."""

    @public  # the caller signs each call, and `_caller` checks it
    @csrf_exempt
    @wraps(view)
    def answering(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            with translation.override("en"):
                return view(request, *args, **kwargs)
        except Refusal as refusal:
            return _said(refusal.status, refusal.why)
        except DatabaseError as error:
            logger.error("%s: %s", request.path, type(error).__name__)
            return _said(503, "It cannot be judged now. Try again.")
        except Exception:
            logger.exception("%s failed", request.path)
            return _said(500, "The server made a mistake; it is in its log.")

    return answering


def _said(status: int, why: str) -> HttpResponse:
    return JsonResponse({"error": why}, status=status)


@hooks
def discovery(request: HttpRequest) -> HttpResponse:
    """What is offered; anybody may ask."""
    if request.method != "GET":
        raise Refusal(405, "Only GET is answered here.")
    return JsonResponse(
        {
            "services": [
                {
                    "id": name,
                    "hook": hook,
                    "title": title,
                    "description": "Findings of the clinic's eligibility rules, each with its "
                    "rule, source and certainty. It supports a decision and makes none.",
                    "prefetch": _PREFETCH,
                    "usageRequirements": "Send the prefetch: this service fetches nothing.",
                }
                for name, (hook, title) in SERVICES.items()
            ]
        }
    )


@hooks
def service(request: HttpRequest, service: str) -> HttpResponse:
    """Judge one patient, or one order for a patient."""
    hook, _ = _offered(request, service)
    client = _caller(request)
    asked = _body(request)
    if asked.get("hook") != hook:
        raise Refusal(400, f"{service} answers the hook {hook}.")
    instance = asked.get("hookInstance")
    try:
        UUID(str(instance))
    except ValueError as error:
        raise Refusal(400, "hookInstance is a UUID.") from error
    context = asked.get("context")
    if not isinstance(context, dict) or not context.get("patientId"):
        raise Refusal(400, "context.patientId is missing.")
    prefetch = asked.get("prefetch")
    if not isinstance(prefetch, dict) or not isinstance(prefetch.get("patient"), dict):
        raise Refusal(412, "The prefetch is needed: this service fetches nothing itself.")
    routes = [ROUTE_OF_VIEW]
    if hook != "patient-view":
        try:
            routes = cards.ordered_routes(context.get("draftOrders"))
        except (cards.Unusable, TypeError, AttributeError, KeyError) as error:
            raise Refusal(400, f"draftOrders cannot be read: {error}.") from error
    try:
        known = cards.read(prefetch)
    except cards.Unusable as error:
        raise Refusal(422, f"The prefetch cannot be judged: {error}.") from error
    shown: list[dict[str, Any]] = []
    for route in routes:
        shown += cards.cards(cards.judge(known, route), route, overridable=hook == "order-sign")
    _note(request, client, service)
    return JsonResponse({"cards": shown})


@hooks
def feedback(request: HttpRequest, service: str) -> HttpResponse:
    """What became of a card at the other end; it is noted with the call."""
    _offered(request, service)
    client = _caller(request)
    if not isinstance(_body(request).get("feedback"), list):
        raise Refusal(400, "feedback is a list.")
    _note(request, client, service)
    return JsonResponse({})


def _offered(request: HttpRequest, name: str) -> tuple[str, str]:
    if name not in SERVICES:
        raise Refusal(404, f"There is no service {name[:60]!r}. /cds-services lists what is.")
    if request.method != "POST":
        raise Refusal(405, "Only POST is answered here.")
    return SERVICES[name]


def _caller(request: HttpRequest) -> ClientApp:
    """Who calls, by the signature.

    Raises:
        Refusal: there is none, or none that counts.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise Refusal(401, "Sign the call: Authorization: Bearer, with a JWT.")
    issuer = _issuer(token)
    client = ClientApp.objects.filter(
        kind=ClientApp.Kind.HOOKS, issuer=issuer, revoked_at=None
    ).first()
    if client is None:
        raise Refusal(401, "Nobody who signs so was let in.")
    try:
        claims = claims_of(token, client, [request.build_absolute_uri(request.path)])
        use_once(claims)
    except BadSignature as bad:
        raise Refusal(401, f"The signature does not count: {bad}.") from bad
    return client


def _issuer(token: str) -> str:
    """Who a token says it is from; believed only once the signature has been checked."""
    try:
        claims = json.loads(jws.extract_compact(token.strip().encode()).payload)
        issuer = claims["iss"]
    except (JoseError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refusal(401, "The token is no JWT.") from error
    if not isinstance(issuer, str) or not issuer or "\x00" in issuer:
        raise Refusal(401, "The token names no issuer.")
    return issuer


def _body(request: HttpRequest) -> dict[str, Any]:
    try:
        raw = request.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise Refusal(413, f"At most {MAX_BYTES // 2**20} MiB.")
        document = json.loads(raw)
    except (ValueError, RecursionError, UnreadablePostError, RawPostDataException) as error:
        raise Refusal(400, "The body is no JSON.") from error
    if not isinstance(document, dict) or not is_text(document):
        raise Refusal(400, "The body is no JSON object of text.")
    return document


def _note(request: HttpRequest, client: ClientApp, service: str) -> None:
    grant = Grant(client, None, None, "")
    audit.note(request, grant, interaction="operation", kind=service, status=200, people=())
