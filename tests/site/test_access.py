"""Access is denied by default: every URL, every role."""

import re
import uuid

import pytest
from django.core.management import call_command
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import URLPattern, path

from openketamine.clinic.accounts import access
from openketamine.clinic.accounts.models import Role, User

ROLES = [None, *Role]

# A value for every kind of parameter that an address may have.
SAMPLES = {
    "uuid": str(uuid.UUID(int=7)),
    "int": "7",
    "str": "sample",
    "slug": "sample",
    "path": "a/b",
}


def every_address() -> list[tuple[str, URLPattern]]:
    found = []
    for route, pattern in access.every_pattern():
        address = re.sub(r"\(\?P<\w+>[^)]*\)", "1-sample", route)
        address = re.sub(r"<(?:(\w+):)?\w+>", lambda m: SAMPLES[m[1] or "str"], address)
        found.append(("/" + address.replace("^", "").replace("$", "").replace("\\", ""), pattern))
    return found


@pytest.fixture
def users(db):
    return {
        role: User.objects.create(username=f"walk-{role}", role=role, display_name=role.label)
        for role in Role
    }


def test_it_works():
    call_command("check")
    assert len(every_address()) > 20


@pytest.mark.parametrize("role", ROLES, ids=str)
def test_every_address_admits_exactly_the_roles_of_its_rule(client, users, role, monkeypatch):
    """Whoever the rule does not name is turned away before the view runs; the others reach it."""
    reached = []

    def spy(original):
        def view(request, *args, **kwargs):
            reached.append(True)
            return HttpResponse("reached")

        view.__module__ = original.__module__
        if hasattr(original, "access_rule"):
            view.access_rule = original.access_rule
        return view

    for _, pattern in every_address():
        monkeypatch.setattr(pattern, "callback", spy(pattern.callback))
    if role:
        client.force_login(users[role])
    for address, pattern in every_address():
        rule = access.rule_of(pattern.callback, pattern.name)
        reached.clear()
        response = client.get(address)
        admitted = rule.public or (role in rule.roles)
        assert bool(reached) == admitted, f"{role} at {address}: {response.status_code}"
        if not admitted:
            anonymous = role is None and rule.roles
            assert response.status_code == (302 if anonymous else 403), address


def test_a_view_without_a_rule_is_refused_even_to_the_director(users, settings):
    def forgotten(request):
        return HttpResponse("secret")

    request = RequestFactory().get("/forgotten/")
    request.user = users[Role.DIRECTOR]
    request.resolver_match = None
    middleware = access.AccessMiddleware(forgotten)
    with pytest.raises(access.PermissionDenied):
        middleware.process_view(request, forgotten, [], {})


def test_a_view_without_a_rule_stops_the_start(monkeypatch):
    def forgotten(request):
        return HttpResponse("secret")

    patterns = [("forgotten/", path("forgotten/", forgotten))]
    monkeypatch.setattr(access, "every_pattern", lambda: iter(patterns))
    (error,) = access.check_every_url_has_a_rule()
    assert error.id == "accounts.E001"


def test_htmx_is_sent_to_the_sign_in_page(client, db):
    response = client.get("/today/", headers={"HX-Request": "true"})
    assert response.status_code == 401
    assert response.headers["HX-Redirect"].startswith("/account/login/?next=")


def test_nobody_can_sign_up(client, db):
    response = client.get("/account/signup/")
    assert response.status_code == 403
