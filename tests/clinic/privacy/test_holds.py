"""How long charts are kept, and what a legal hold keeps longer."""

from datetime import timedelta

import pytest
from django.urls import reverse

from openketamine.clinic.errors import Refused
from openketamine.clinic.privacy import queries, services
from openketamine.clinic.record import clock

WHY = "Letter of the court of 3 March"


@pytest.fixture
def long_ago(person):
    course = person.courses.get()
    course.closed_at = clock.now() - timedelta(days=8 * 366)
    course.save()
    return person


def test_whose_period_is_over_is_told_and_a_hold_is_told_with_it(
    client, director, long_ago, settings
):
    settings.RETENTION_YEARS = 7
    (kept,) = queries.kept_too_long()
    assert (kept.person, kept.held) == (long_ago, False)
    services.place_hold(director, long_ago, reason=WHY)
    (kept,) = queries.kept_too_long()
    assert kept.held
    client.force_login(director)
    assert "Legal hold: keep" in client.get(reverse("privacy")).content.decode()
    services.lift_hold(director, long_ago, reason="The case was closed")
    assert not queries.kept_too_long()[0].held


def test_a_period_is_never_assumed(director, long_ago, settings, client):
    settings.RETENTION_YEARS = 0
    assert queries.kept_too_long() == []
    client.force_login(director)
    assert "No period is set" in client.get(reverse("privacy")).content.decode()


def test_an_open_course_is_never_over(person, settings):
    settings.RETENTION_YEARS = 1
    assert queries.kept_too_long() == []


def test_a_hold_is_placed_once_with_a_reason_and_lifted_once(client, director, person):
    client.force_login(director)
    place, lift = reverse("place_hold", args=[person.pk]), reverse("lift_hold", args=[person.pk])
    assert client.post(place, {"hold-reason": ""}).status_code == 422
    assert client.post(place, {"hold-reason": WHY}).status_code == 302
    assert client.post(place, {"hold-reason": WHY}).status_code == 422
    assert client.post(lift, {"unhold-reason": "The case was closed"}).status_code == 302
    with pytest.raises(Refused, match="no legal hold"):
        services.lift_hold(director, person, reason="The case was closed")
