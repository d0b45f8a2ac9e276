"""Pages that belong to no single journey: the door, the error pages, the account."""

from openketamine.clinic.accounts.models import Role

from ..clinic.conftest import make_user


def test_the_door_is_calm_and_a_wrong_password_says_so(visitor):
    make_user(Role.NURSE)
    for device in ("desktop", "phone"):
        seat = visitor(device)
        page = seat.open("/account/login/")
        seat.look("sign-in")
        page.get_by_label("Sign-in name").fill("nurse")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text("not correct").first.wait_for()
        seat.look("sign-in-refused")


def test_a_page_of_another_role_is_refused_in_words(visitor):
    make_user(Role.NURSE)
    seat = visitor("desktop")
    seat.sign_in("nurse")
    page = seat.open("/policy/")
    page.get_by_text("This page is not for your role").wait_for()
    seat.look("not-for-your-role")


def test_an_account_can_be_given_a_second_factor(visitor):
    make_user(Role.NURSE)
    seat = visitor("phone")
    seat.sign_in("nurse")
    seat.open("/account/2fa/")
    seat.look("second-factor")
