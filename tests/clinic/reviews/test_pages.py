"""The course on one page, and its review, for everybody who may read them."""

from datetime import timedelta

import pytest

from openketamine.clinic.record import clock
from openketamine.clinic.reviews.models import CourseReview

from .conftest import score


def test_it_works(client, followed_up, prescriber, nurse):
    score(followed_up, nurse, 6, days=7)
    client.force_login(prescriber)
    with clock.at(clock.now() + timedelta(days=8)):
        page = client.get(f"/courses/{followed_up.pk}/").content.decode()
        assert "41 mg IM" in page
        assert "no response" in page  # of what was tried before, in words
        assert "Review and decide" in page
        page = client.get(f"/courses/{followed_up.pk}/review/").content.decode()
    assert "None is preferred" in page
    assert "There is a response, and not yet a remission" in page
    assert "Decide as Prescriber Example, MD" in page


def test_a_decision_is_made_on_the_page(client, followed_up, prescriber):
    client.force_login(prescriber)
    address = f"/courses/{followed_up.pk}/review/"
    bad = client.post(address, {"decision": "refer", "reason": "x", "next_on": "2000-01-01"})
    assert bad.status_code == 422
    assert not CourseReview.objects.exists()
    good = {
        "decision": "continue",
        "reason": "Better.",
        "next_on": (clock.today() + timedelta(days=20)).isoformat(),
    }
    assert client.post(address, good).url == f"/courses/{followed_up.pk}/"
    page = client.get(f"/courses/{followed_up.pk}/").content.decode()
    assert "Better." in page
    assert "Prescriber Example" in page


@pytest.mark.parametrize("role", ["nurse", "therapist", "coordinator", "director"])
def test_others_read_and_do_not_decide(client, followed_up, request, role):
    client.force_login(request.getfixturevalue(role))
    address = f"/courses/{followed_up.pk}/review/"
    assert "Decide as" not in client.get(address).content.decode()
    good = {
        "decision": "stop",
        "reason": "x",
        "next_on": (clock.today() + timedelta(days=20)).isoformat(),
    }
    client.post(address, good)
    assert not CourseReview.objects.exists()


def test_a_course_that_has_not_begun_has_a_page_too(client, course, nurse):
    client.force_login(nurse)
    page = client.get(f"/courses/{course.pk}/").content.decode()
    assert "No scores yet" in page
    assert "Due after the first dose" in page


def test_signs_and_checks_are_entered_on_their_pages(client, followed_up, nurse):
    client.force_login(nurse)
    today = clock.today().isoformat()
    sign = {"sign": "MU-LOST", "seen_on": today, "note": "Two lozenges missing"}
    back = f"/courses/{followed_up.pk}/review/"
    assert client.post(f"/courses/{followed_up.pk}/misuse/", sign).url == back
    check = {"check": "RC-SWITCH", "done_on": today, "result": "asked, nothing"}
    assert client.post(f"/courses/{followed_up.pk}/checks/", check).url == back
    page = client.get(back).content.decode()
    assert "Two lozenges missing" in page
    note = followed_up.misuse_notes.get()
    assert client.post(f"/misuse/{note.pk}/take-back/", {"reason": "Found again"}).url == back
    assert "Two lozenges missing" not in client.get(back).content.decode()


def test_the_course_page_costs_the_same_however_long_the_course(
    client, followed_up, nurse, django_assert_max_num_queries
):
    client.force_login(nurse)
    client.get(f"/courses/{followed_up.pk}/")
    with django_assert_max_num_queries(75):
        client.get(f"/courses/{followed_up.pk}/")
    for days in range(7, 70, 7):
        score(followed_up, nurse, 10, days=days)
    with clock.at(clock.now() + timedelta(days=70)), django_assert_max_num_queries(75):
        client.get(f"/courses/{followed_up.pk}/")


def test_a_day_to_come_is_told_as_such(client, followed_up, prescriber):
    client.force_login(prescriber)
    page = client.get(f"/courses/{followed_up.pk}/review/").content.decode()
    assert "in 7 days" in page
    assert "-7 days" not in page
