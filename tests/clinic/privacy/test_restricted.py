"""A restricted chart: its team opens it, others break the glass, the director looks at each."""

from datetime import timedelta

import pytest
from django.urls import reverse

from openketamine.clinic.accounts.models import Role
from openketamine.clinic.errors import Refused
from openketamine.clinic.people import services as people
from openketamine.clinic.privacy import queries, services
from openketamine.clinic.privacy.models import BrokenGlass
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event
from tests.clinic.conftest import make_user, referral

WHY = "A colleague of ours is in care here."


@pytest.fixture
def restricted(director, person):
    services.restrict_chart(director, person, reason=WHY)
    return person


def chart(client, user, person):
    client.force_login(user)
    return client.get(reverse("person", args=[person.pk]))


def glass_page(person):
    return reverse("break_glass", args=[person.pk])


def test_it_works(client, nurse, restricted):
    """The chart is shut, opens with a reason, and the opening stands in the record."""
    address = reverse("person", args=[restricted.pk])
    response = chart(client, nurse, restricted)
    assert response.status_code == 302
    assert response.url.startswith(glass_page(restricted))
    page = client.get(response.url).content.decode()
    assert "is restricted" in page
    response = client.post(
        response.url,
        {"purpose": "emergency", "reason": "Collapsed in the corridor", "next": address},
    )
    assert response.url == address
    assert client.get(address).status_code == 200
    event = Event.objects.get(kind="chart.glass_broken")
    assert event.actor == nurse
    assert event.data["reason"] == "Collapsed in the corridor"
    assert record.verify().intact


@pytest.mark.parametrize(
    "name",
    ["screening", "questionnaires", "consent", "plan", "calendar", "trajectory", "therapy"],
)
def test_every_door_to_the_chart_is_shut(client, nurse, restricted, name):
    client.force_login(nurse)
    course = restricted.courses.get()
    response = client.get(reverse(name, args=[course.pk]))
    assert response.status_code == 302
    assert response.url.startswith(glass_page(restricted))


def test_a_fragment_of_a_shut_chart_leads_to_the_glass(client, nurse, restricted):
    client.force_login(nurse)
    course = restricted.courses.get()
    response = client.get(reverse("trajectory", args=[course.pk]), headers={"HX-Request": "true"})
    assert response.status_code == 403
    assert response["HX-Redirect"] == glass_page(restricted)


def test_nothing_can_be_written_into_a_shut_chart(client, nurse, restricted):
    client.force_login(nurse)
    before = Event.objects.count()
    response = client.post(reverse("measure", args=[restricted.pk]), {"weight_kg": "80"})
    assert response.status_code == 302
    assert Event.objects.count() == before


def test_other_charts_stay_open(client, nurse, restricted, coordinator):
    other = people.receive_referral(coordinator, referral(2), origin="a test").person
    assert chart(client, nurse, other).status_code == 200


def test_its_team_opens_it(client, director, person, nurse, prescriber, therapist):
    course = person.courses.get()
    course.prescriber, course.therapist = prescriber, therapist
    course.save()
    services.restrict_chart(director, person, reason=WHY, team=[nurse])
    for user in (nurse, prescriber, therapist):
        assert chart(client, user, person).status_code == 200
    stranger = make_user(Role.PRESCRIBER, username="stranger")
    assert chart(client, stranger, person).status_code == 302
    assert chart(client, director, person).status_code == 302  # not even the director


def test_care_never_waits_while_a_session_is_open(client, director, nurse, coordinator, running):
    services.restrict_chart(director, running.person, reason=WHY)
    client.force_login(nurse)
    assert client.get(reverse("session", args=[running.pk])).status_code == 200
    client.force_login(coordinator)
    assert client.get(reverse("session", args=[running.pk])).status_code == 302


def test_the_opening_ends_after_four_hours(client, nurse, restricted):
    services.break_glass(nurse, restricted, purpose="covering", reason="Covering for the team")
    assert chart(client, nurse, restricted).status_code == 200
    with clock.at(clock.now() + timedelta(hours=4, minutes=1)):
        assert chart(client, nurse, restricted).status_code == 302


@pytest.mark.parametrize(
    "answers",
    [{"next": "/"}, {"purpose": "emergency", "reason": "short"}, {"purpose": "x", "reason": WHY}],
)
def test_without_a_reason_it_stays_shut(client, nurse, restricted, answers):
    client.force_login(nurse)
    response = client.post(glass_page(restricted), answers)
    assert response.status_code == 422
    assert not BrokenGlass.objects.exists()
    for purpose, reason in (("emergency", "short"), ("x", WHY)):
        with pytest.raises(Refused):
            services.break_glass(nurse, restricted, purpose=purpose, reason=reason)


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example"])
def test_the_glass_leads_nowhere_else(client, nurse, restricted, target):
    client.force_login(nurse)
    response = client.post(
        glass_page(restricted), {"purpose": "emergency", "reason": WHY, "next": target}
    )
    assert response.url == reverse("person", args=[restricted.pk])


def test_the_director_reviews_each_opening_once_and_never_their_own(
    client, director, nurse, restricted
):
    glass = services.break_glass(nurse, restricted, purpose="emergency", reason=WHY)
    own = services.break_glass(director, restricted, purpose="other", reason=WHY)
    client.force_login(director)
    assert str(nurse) in client.get(reverse("privacy")).content.decode()
    address = reverse("review_glass", args=[glass.pk])
    assert client.post(address, {"justified": "yes"}).status_code == 422
    answers = {"justified": "yes", "review": "Emergency confirmed by the log"}
    assert client.post(address, answers).status_code == 302
    assert client.post(address, answers).status_code == 422
    assert client.post(reverse("review_glass", args=[own.pk]), answers).status_code == 422
    assert list(queries.glass_to_review()) == [own]
    assert Event.objects.get(kind="chart.glass_reviewed").data["justified"] is True


def test_a_restriction_is_placed_and_lifted_on_the_chart_s_own_page(client, director, person):
    client.force_login(director)
    address = reverse("chart_privacy", args=[person.pk])
    assert (
        client.post(
            reverse("restrict_chart", args=[person.pk]), {"restrict-reason": "no"}
        ).status_code
        == 422
    )
    client.post(reverse("restrict_chart", args=[person.pk]), {"restrict-reason": WHY})
    assert queries.restriction_of(person)
    services.break_glass(director, person, purpose="other", reason=WHY)
    assert client.get(address).status_code == 200
    client.post(reverse("unrestrict_chart", args=[person.pk]), {"lift-reason": "No longer in care"})
    assert not queries.restriction_of(person)
    kinds = list(
        Event.objects.filter(person_id=person.pk, kind__startswith="chart.").values_list(
            "kind", flat=True
        )
    )
    assert kinds == ["chart.restricted", "chart.glass_broken", "chart.restriction_lifted"]


def test_an_unrestricted_clinic_pays_no_query_for_it(
    client, nurse, person, coordinator, django_assert_num_queries
):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client.force_login(nurse)
    address = reverse("person", args=[person.pk])
    with CaptureQueriesContext(connection) as queries_made:
        client.get(address)
    assert not any("privacy_brokenglass" in query["sql"] for query in queries_made)
