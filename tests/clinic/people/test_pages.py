"""The pages of people: they render for whoever may see them, and cost the same as data grow."""

import pytest

from openketamine.clinic.people import services
from openketamine.clinic.people.models import Person
from openketamine.clinic.record.models import Event, Source

from ..conftest import referral


def queries_of(client, address, django_assert_max_num_queries):
    with django_assert_max_num_queries(60) as context:
        assert client.get(address).status_code == 200
    return len(context)


def test_it_works(client, nurse, course):
    client.force_login(nurse)
    page = client.get(f"/people/{course.person_id}/").content.decode()
    assert "Maria Example1" in page
    assert "MRN 0001" in page


@pytest.mark.parametrize("role", ["nurse", "prescriber", "coordinator", "therapist", "director"])
def test_every_page_of_a_course_renders_for_the_staff(client, request, planned_course, role):
    client.force_login(request.getfixturevalue(role))
    course = planned_course
    for address in (
        "/people/",
        f"/people/{course.person_id}/",
        f"/courses/{course.pk}/screening/",
        f"/courses/{course.pk}/consent/",
        f"/courses/{course.pk}/plan/",
        f"/courses/{course.pk}/calendar/",
        f"/courses/{course.pk}/next/",
        f"/courses/{course.pk}/trajectory/",
        "/today/",
        "/follow-up/",
    ):
        assert client.get(address).status_code == 200, address


def test_the_pages_cost_the_same_for_one_patient_as_for_fifty(
    client, nurse, coordinator, planned_course, django_assert_max_num_queries
):
    client.force_login(nurse)
    course = planned_course
    addresses = (
        "/people/",
        f"/people/{course.person_id}/",
        f"/courses/{course.pk}/screening/",
        f"/courses/{course.pk}/calendar/",
        f"/courses/{course.pk}/trajectory/",
        "/today/",
        "/follow-up/",
    )
    before = [queries_of(client, a, django_assert_max_num_queries) for a in addresses]
    for number in range(2, 52):
        services.receive_referral(coordinator, referral(number), origin="x")
    after = [queries_of(client, a, django_assert_max_num_queries) for a in addresses]
    assert after == before


def test_people_are_found_by_name_number_and_step(client, nurse, coordinator, course):
    for number in range(2, 40):
        services.receive_referral(coordinator, referral(number), origin="x")
    client.force_login(nurse)
    assert "Example30" not in client.get("/people/?q=Example12").content.decode()
    assert "Example12" in client.get("/people/?q=maria+Example12").content.decode()
    assert "Example5<" in client.get("/people/?q=0005").content.decode()
    assert "Nobody fits" in client.get("/people/?stage=treatment").content.decode()
    assert "Page 2 of 2" in client.get("/people/?page=2").content.decode()
    assert client.get("/people/?page=x").status_code == 200


NEW = {
    "given_name": "Nora",
    "family_name": "Example",
    "birth_date": "1980-05-05",
    "sex": "female",
    "reason": "Major depression",
}


def test_a_referral_by_telephone_is_entered_by_hand(client, coordinator):
    client.force_login(coordinator)
    response = client.post("/people/new/", NEW)
    person = Person.objects.get()
    assert response.url == f"/people/{person.pk}/"
    assert Event.objects.get().source == Source.HAND
    assert person.conditions.get().display == "Major depression"


def test_the_same_caller_twice_is_asked_about(client, coordinator):
    client.force_login(coordinator)
    client.post("/people/new/", NEW)
    response = client.post("/people/new/", NEW)
    assert response.status_code == 422
    assert "is in care already (MRN 0001)" in response.content.decode()
    assert Person.objects.count() == 1
    client.post("/people/new/", {**NEW, "is_another_person": "on"})
    assert Person.objects.count() == 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"systolic_mmhg": "1200"}, "Systolic pressure 1200 mmHg is not possible"),
        ({"systolic_mmhg": "80", "diastolic_mmhg": "120"}, "cannot be as high as systolic"),
        ({"weight_kg": "7"}, "Weight 7 kg is not possible for an adult"),
        ({"weight_kg": ""}, "Enter at least one measurement"),
    ],
)
def test_an_impossible_measurement_is_refused_at_its_field(client, nurse, course, values, message):
    client.force_login(nurse)
    before = Event.objects.count()
    response = client.post(f"/people/{course.person_id}/measure/", values)
    assert response.status_code == 422
    assert message in response.content.decode()
    assert Event.objects.count() == before


def test_a_patient_gets_one_sign_in_and_sees_the_own_page_only(client, coordinator, course):
    client.force_login(coordinator)
    form = {"username": "maria", "password": "quiet-harbour-42"}
    assert client.post(f"/people/{course.person_id}/sign-in/", form).status_code == 302
    again = client.post(f"/people/{course.person_id}/sign-in/", {**form, "username": "m2"})
    assert "can sign in already" in again.content.decode()
    course.person.refresh_from_db()
    client.force_login(course.person.user)
    assert client.get("/").url == "/me/"
    assert "Hello Maria" in client.get("/me/").content.decode()
    assert client.get(f"/people/{course.person_id}/").status_code == 403


def test_the_record_of_a_person_shows_every_event(client, prescriber, planned_course):
    client.force_login(prescriber)
    page = client.get(f"/people/{planned_course.person_id}/record/").content.decode()
    for event in Event.objects.filter(person_id=planned_course.person_id):
        assert event.hash[:10] in page
