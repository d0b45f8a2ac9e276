"""A FHIR client for the tests: one token, and the answers as dictionaries."""

import json
from importlib import import_module
from typing import Any

from django.http import HttpResponse
from django.test import Client

from openketamine.exchange.smart import services as smart

EVERYTHING = "system/*.cruds"


class Fhir:
    """Asks the server as one program with one token."""

    def __init__(self, director, *, scope=EVERYTHING, user=None, person=None, name="Tester"):
        self.http = Client()
        self.app = app(director, scope=scope, name=name)
        self.token = smart.issue_token(self.app, scope=scope, user=user, person=person)

    def headers(self, more: dict[str, str]) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", **more}

    def get(self, path: str, **headers: str) -> HttpResponse:
        return self.http.get(f"/fhir/{path}", headers=self.headers(_dashed(headers)))

    def read(self, path: str, status: int = 200, **headers: str) -> Any:
        answer = self.get(path, **headers)
        assert answer.status_code == status, answer.content
        return valid(json.loads(answer.content))

    def post(self, path: str, body: Any, **headers: str) -> HttpResponse:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.post(
            f"/fhir/{path}",
            raw,
            content_type="application/fhir+json",
            headers=self.headers(_dashed(headers)),
        )

    def put(self, path: str, body: Any, **headers: str) -> HttpResponse:
        return self.http.put(
            f"/fhir/{path}",
            json.dumps(body).encode(),
            content_type="application/fhir+json",
            headers=self.headers(_dashed(headers)),
        )

    def found(self, path: str) -> list[Any]:
        """The matches of a search, page by page."""
        rows = []
        bundle = self.read(path)
        while True:
            rows += [
                e["resource"] for e in bundle.get("entry", []) if e["search"]["mode"] == "match"
            ]
            following = [x["url"] for x in bundle["link"] if x["relation"] == "next"]
            if not following:
                return rows
            bundle = self.read(following[0].partition("/fhir/")[2])


def _dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def app(director, *, scope: str, name: str = "Tester", kind: str = "public"):
    """A registered program; where it is a service, its key is nobody's."""
    from openketamine.exchange.smart.models import ClientApp

    return ClientApp.objects.create(
        client_id=f"{name}-{ClientApp.objects.count()}",
        name=name,
        kind=kind,
        scope=scope,
        redirect_uris="https://app.example/callback",
        registered_by=director,
    )


def valid(resource: Any) -> Any:
    """The resource, once FHIR's own rules have let it pass."""
    kind = resource["resourceType"]
    module = import_module(f"fhir.resources.R4B.{kind.lower()}")
    getattr(module, kind).model_validate(resource)
    return resource
