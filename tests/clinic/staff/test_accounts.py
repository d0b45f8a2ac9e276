"""Accounts are made and shut by the medical director."""

import pytest

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.errors import Refused
from openketamine.clinic.record.models import Event
from openketamine.clinic.staff import services

NEW = {
    "username": "nora",
    "password": "quiet-harbour-42",
    "role": "nurse",
    "display_name": "Nora Example",
    "credentials": "RN",
}


def test_it_works(client, director):
    client.force_login(director)
    response = client.post("/staff/", NEW, follow=True)
    assert "Nora Example, RN can sign in as nora." in response.content.decode()
    user = User.objects.get(username="nora")
    assert user.role == Role.NURSE
    assert user.check_password(NEW["password"])
    event = Event.objects.get()
    assert (event.kind, event.actor) == ("staff.account_created", director)
    assert NEW["password"] not in event.body


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"username": "director"}, "username", "is taken"),
        ({"username": "no spaces"}, "username", "valid username"),
        ({"role": "owner"}, "role", "There is no role 'owner'"),
        ({"password": "short"}, "password", "at least 12"),
        ({"password": "password1234"}, "password", "too common"),
        ({"display_name": "  "}, "display_name", "Enter the name"),
    ],
)
def test_a_refused_account_is_not_made(director, change, field, message):
    with pytest.raises(Refused, match=message) as refusal:
        services.create_account(director, **{**NEW, **change})
    assert refusal.value.field == field
    assert User.objects.count() == 1
    assert not Event.objects.exists()


def test_a_shut_account_is_signed_out_at_its_next_request(client, director, nurse):
    client.force_login(nurse)
    assert client.get("/today/").status_code == 200
    services.set_active(director, nurse, active=False)
    response = client.get("/today/")
    assert response.status_code == 302
    assert response.url.startswith("/account/login/")


def test_the_director_cannot_shut_the_account_in_use(director):
    with pytest.raises(Refused, match="your own"):
        services.set_active(director, director, active=False)
    director.refresh_from_db()
    assert director.is_active


def test_the_list_costs_the_same_for_ten_people_and_a_hundred(
    client, director, django_assert_max_num_queries
):
    client.force_login(director)
    User.objects.bulk_create(
        User(username=f"n{n}", role=Role.NURSE, display_name=f"Nurse {n}") for n in range(100)
    )
    with django_assert_max_num_queries(4):
        assert client.get("/staff/").status_code == 200
