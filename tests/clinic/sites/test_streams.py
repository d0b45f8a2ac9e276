"""A live stream keeps to the sites of whoever opened it, for as long as it lasts."""

import asyncio

import pytest
from django.test import AsyncClient
from django.urls import reverse

from openketamine.clinic.accounts.models import Role
from openketamine.clinic.sessions import views
from openketamine.clinic.sites import services
from openketamine.clinic.sites.models import Membership
from openketamine.clinic.sites.scope import EVERYTHING, current
from tests.clinic.conftest import make_user


@pytest.mark.django_db(transaction=True)
def test_a_stream_opens_to_those_of_the_site_and_stays_with_it(
    running, nurse, director, monkeypatch
):
    river = services.open_site(director, name="Across the River", short_name="River")
    stranger = make_user(Role.NURSE, username="stranger")
    Membership.objects.filter(user=stranger).delete()
    Membership.objects.create(user=stranger, site=river)
    scopes = []

    async def events(prefix, *, after=None):
        for _ in range(2):
            scopes.append(current())
            yield b"event: beat\n\n"

    monkeypatch.setattr(views.live, "events", events)
    address = reverse("session_stream", args=[running.pk])

    async def ask():
        theirs = AsyncClient()
        await theirs.aforce_login(stranger)
        assert (await theirs.get(address)).status_code == 404
        own = AsyncClient()
        await own.aforce_login(nurse)
        response = await own.get(address)
        assert current() == EVERYTHING  # the request is over
        return [part async for part in response.streaming_content]

    assert len(asyncio.run(ask())) == 2
    assert [scope.sites for scope in scopes] == [frozenset({1}), frozenset({1})]
    assert current() == EVERYTHING
