"""The ways through the clinic, as each role sees them."""

import re

import pytest
from django.urls import reverse

from openketamine.clinic.accounts import access
from openketamine.clinic.accounts.models import STAFF, Role
from openketamine.site.navigation import GROUPS, ROW, navigation_of
from tests.clinic.conftest import make_user


def _names(role: Role) -> list[str]:
    found = navigation_of(role)
    return [e.name for e in found.primary] + [e.name for g in found.more for e in g.entries]


def test_it_works(client, db):
    client.force_login(make_user(Role.NURSE))
    page = client.get("/today/").content.decode()
    assert re.search(r'href="/today/" aria-current="page">Today', page)
    assert "<summary>More</summary>" in page


@pytest.mark.parametrize("role", list(Role), ids=str)
def test_every_entry_opens_for_whoever_sees_it(client, db, role):
    client.force_login(make_user(role))
    for name in _names(role):
        if name != "my_page":  # which asks whose page it is, and is tried with the patient's own
            assert client.get(reverse(name)).status_code == 200, name


@pytest.mark.parametrize("role", list(Role), ids=str)
def test_no_entry_stands_twice_and_five_at_most_stand_in_the_row(role):
    names = _names(role)
    assert len(names) == len(set(names))
    assert [e.name for e in navigation_of(role).primary] == list(ROW[role])
    assert len(ROW[role]) <= 5


@pytest.mark.parametrize("role", sorted(STAFF), ids=str)
def test_whatever_a_role_may_open_it_finds_in_the_row_or_under_more(role):
    rules = {p.name: access.rule_of(p.callback, p.name) for _, p in access.every_pattern()}
    entries = [entry.name for group in GROUPS for entry in group.entries]
    assert set(_names(role)) == {name for name in entries if role in rules[name].roles}


def test_a_page_under_more_is_named_beside_it(client, db):
    client.force_login(make_user(Role.NURSE))
    page = client.get("/evidence/").content.decode()
    assert '<summary aria-current="true">More</summary>' in page
    assert '<span class="here" aria-hidden="true">Evidence</span>' in page
    assert re.search(r'href="/evidence/" aria-current="page">Evidence', page)


def test_a_page_within_an_entry_shows_where_it_belongs(client, db):
    client.force_login(make_user(Role.NURSE))
    page = client.get("/on-call/rota/").content.decode()
    assert re.search(r'href="/on-call/" aria-current="true">On call', page)


def test_a_page_about_a_patient_belongs_to_the_people(client, person):
    client.force_login(make_user(Role.NURSE))
    page = client.get(f"/people/{person.pk}/measure/").content.decode()
    assert re.search(r'href="/people/" aria-current="true">People', page)
