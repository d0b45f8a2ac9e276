"""How long one stays signed in: not without work, not beyond a shift, not without both factors."""

import time

import pytest
from allauth.mfa.models import Authenticator
from django.urls import reverse

from openketamine.clinic.accounts import sittings


@pytest.fixture
def turned(monkeypatch):
    """A clock that a test turns forward, in seconds."""
    ahead = [0.0]
    real = time.time
    monkeypatch.setattr(sittings.time, "time", lambda: real() + ahead[0])
    return ahead


PEOPLE = "/people/"


def test_it_works(client, nurse, turned):
    client.force_login(nurse)
    assert client.get(PEOPLE).status_code == 200


def test_without_work_one_signs_in_again_and_comes_back_to_the_page(client, nurse, turned):
    client.force_login(nurse)
    turned[0] += 31 * 60
    response = client.get(PEOPLE)
    assert (response.status_code, response.url) == (302, "/account/login/?next=/people/")
    assert client.get(PEOPLE).status_code == 302
    assert "after a while without work" in client.get("/account/login/").content.decode()


def test_whoever_works_stays_signed_in_but_not_beyond_a_long_shift(client, nurse, turned):
    client.force_login(nurse)
    for _ in range(35):
        turned[0] += 20 * 60
        assert client.get(PEOPLE).status_code == 200
    turned[0] += 20 * 60 + 60
    assert client.get(PEOPLE).status_code == 302


def test_a_page_left_open_is_no_work_but_the_day_s_board_is(client, nurse, turned):
    client.force_login(nurse)
    client.get(PEOPLE)
    for _ in range(5):
        turned[0] += 8 * 60
        response = client.get(reverse("alarms"))
    assert response.status_code == 302
    client.force_login(nurse)
    for _ in range(8):
        turned[0] += 8 * 60
        assert client.get(reverse("today_board")).status_code == 200


def test_a_fragment_of_an_ended_sitting_leads_to_the_door(client, nurse, turned):
    client.force_login(nurse)
    turned[0] += 31 * 60
    response = client.get(reverse("today_board"), headers={"HX-Request": "true"})
    assert response.status_code == 401
    assert response["HX-Redirect"] == "/account/login/"


def test_another_sitting_s_cookie_or_a_forged_one_lengthens_nothing(client, nurse, turned):
    client.force_login(nurse)
    turned[0] += 25 * 60
    client.get(PEOPLE)
    stolen = client.cookies[sittings.COOKIE].value
    client.logout()
    turned[0] -= 25 * 60
    client.force_login(nurse)
    turned[0] += 31 * 60
    for value in (stolen, "forged", "", "a:b:c"):
        client.cookies[sittings.COOKIE] = value
        assert client.get(PEOPLE).status_code == 302


def test_staff_without_a_second_factor_go_no_further_where_it_is_required(client, nurse, settings):
    settings.REQUIRE_MFA = True
    client.force_login(nurse)
    response = client.get(PEOPLE)
    assert response.url == reverse("mfa_activate_totp")
    assert client.get(reverse("account_change_password")).status_code == 200
    Authenticator.objects.create(user=nurse, type=Authenticator.Type.TOTP, data={})
    assert client.get(PEOPLE).status_code == 200


def test_a_patient_may_sign_in_with_a_password_alone(client, patient_user, settings):
    settings.REQUIRE_MFA = True
    client.force_login(patient_user)
    assert client.get(reverse("my_page")).status_code == 200


def test_many_wrong_passwords_shut_the_door_for_a_while_even_to_the_right_one(client, nurse):
    answers = {"login": nurse.username, "password": "wrong wrong wrong"}
    for _ in range(5):
        page = client.post("/account/login/", answers).content.decode()
    page = client.post(
        "/account/login/", {**answers, "password": "a long enough password"}
    ).content.decode()
    assert "Too many failed login attempts" in page
    assert client.get(PEOPLE).status_code == 302


def test_signing_in_gives_a_new_session_and_signing_out_ends_it(client, nurse):
    client.get("/account/login/")
    answers = {"login": nurse.username, "password": "a long enough password"}
    assert client.post("/account/login/", answers).status_code == 302
    first = client.cookies["sessionid"].value
    assert client.get(PEOPLE).status_code == 200
    client.post("/account/logout/")
    client.cookies["sessionid"] = first
    assert client.get(PEOPLE).status_code == 302


@pytest.mark.parametrize(
    "password",
    ["short", "password1234", "Session nurse Example"],
    ids=["short", "common", "own name"],
)
def test_a_weak_password_is_refused(client, nurse, password):
    client.force_login(nurse)
    response = client.post(
        reverse("account_change_password"),
        {"oldpassword": "a long enough password", "password1": password, "password2": password},
    )
    assert response.status_code == 200
    nurse.refresh_from_db()
    assert nurse.check_password("a long enough password")


def test_a_long_password_of_any_letters_is_taken_whole(client, nurse):
    client.force_login(nurse)
    password = "pferd batterie ὑπέρ 🐎 " * 4
    client.post(
        reverse("account_change_password"),
        {
            "oldpassword": "a long enough password",
            "password1": password,
            "password2": password,
        },
    )
    nurse.refresh_from_db()
    assert nurse.check_password(password)
    assert not nurse.check_password(password[:72])


def test_the_old_password_is_asked_for(client, nurse):
    client.force_login(nurse)
    client.post(
        reverse("account_change_password"),
        {"oldpassword": "wrong", "password1": "quiet-harbour-42", "password2": "quiet-harbour-42"},
    )
    nurse.refresh_from_db()
    assert nurse.check_password("a long enough password")
