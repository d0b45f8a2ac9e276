"""The director opens sites and says who works where; patients belong to one and can be moved."""

import pytest

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.devices.models import Device
from openketamine.clinic.errors import Refused
from openketamine.clinic.people import services as people
from openketamine.clinic.people.models import Person
from openketamine.clinic.record.models import Event
from openketamine.clinic.sessions import services as sessions
from openketamine.clinic.sessions.models import Chair
from openketamine.clinic.sites import services
from openketamine.clinic.sites.models import FIRST, Membership, Site
from openketamine.clinic.sites.scope import within
from openketamine.clinic.staff import services as staff
from tests.clinic.conftest import make_user, referral

from .conftest import only


def test_there_is_always_a_first_site(db):
    assert Site.objects.get().pk == FIRST


def test_with_the_second_site_everything_is_put_down_at_the_first(director, nurse, person, chair):
    device = Device.objects.create(identity="m1", name="Monitor 1")
    services.open_site(director, name="Across the River", short_name="River")
    device.refresh_from_db()
    assert (person.site_id, chair.site_id, device.site_id) == (FIRST, FIRST, FIRST)
    assert set(nurse.memberships.values_list("site", flat=True)) == {FIRST}
    assert director.memberships.count() == 2


def test_only_a_director_opens_a_site(nurse):
    with pytest.raises(Refused):
        services.open_site(nurse, name="Mine", short_name="Mine")
    assert Site.objects.count() == 1


def test_two_sites_have_two_names(director, across):
    with pytest.raises(Refused) as refused:
        services.open_site(director, name="across the river", short_name="Other")
    assert refused.value.field == "name"


def test_a_site_is_never_without_a_director(director, across, nurse):
    with pytest.raises(Refused, match="needs a medical director"):
        services.set_members(director, across, [nurse])
    services.set_members(director, across, [director, nurse])
    event = Event.objects.get(kind="sites.members_set")
    assert event.data == {"site": across.pk, "come": [nurse.pk], "gone": []}


def test_a_director_of_another_site_says_nothing_here(across, house, theirs, nurse):
    with pytest.raises(Refused):
        services.set_members(theirs[Role.DIRECTOR], house, [theirs[Role.DIRECTOR]])


def test_the_last_open_site_stays_open(director, across, house):
    services.close_site(director, house)
    with pytest.raises(Refused, match="only site"):
        services.close_site(director, across)


def test_a_new_account_works_where_it_is_made(director, across):
    with within(only(across)):
        user = staff.create_account(
            director, username="new", password="a long enough password", role="nurse",
            display_name="New Nurse",
        )  # fmt: skip
    assert list(user.memberships.values_list("site", flat=True)) == [across.pk]


def test_a_new_patient_belongs_to_the_chosen_site(coordinator, across, house):
    with within(only(across)):
        assert people.receive_referral(coordinator, referral(3), origin="x").person.site == across
    with within(only(across, house)), pytest.raises(Refused, match="Choose one of your"):
        people.receive_referral(coordinator, referral(4), origin="x")


def test_a_person_of_another_site_is_not_referred_a_second_time(coordinator, person, across):
    with within(only(across)), pytest.raises(Refused, match="another site"):
        people.receive_referral(coordinator, referral(), origin="x")


def test_the_chart_goes_along_with_a_transfer(coordinator, prescriber, course, across):
    person = course.person
    people.assign_team(coordinator, course, prescriber=prescriber)
    people.transfer(coordinator, person, across, reason="Moved to the other bank")
    person.refresh_from_db()
    course.refresh_from_db()
    assert person.site == across
    assert course.prescriber is None  # who does not work there
    event = Event.objects.get(kind="person.transferred")
    assert (event.actor, event.data["to"]) == (coordinator, across.pk)
    with within(only(across)):
        assert Person.objects.get().measurements.count() == 2
        assert Event.objects.filter(person_id=person.pk).count() >= 3
    with within(only(Site.objects.get(pk=FIRST))):
        assert not Person.objects.exists()


def test_nobody_is_transferred_out_of_a_session(coordinator, session, across):
    with pytest.raises(Refused, match="Close"):
        people.transfer(coordinator, session.person, across, reason="Moved to the other bank")


def test_nobody_takes_a_patient_away_from_another_site(theirs, person, across):
    with pytest.raises(Refused):
        people.transfer(theirs[Role.NURSE], person, across, reason="Moved to the other bank")


def test_a_patient_sits_in_a_chair_of_the_own_site(nurse, planned_course, across):
    with within(only(across)):
        chair = sessions.add_chair(nurse, name="Far chair")
    with pytest.raises(Refused, match="another site"):
        sessions.open_session(nurse, planned_course.planned_sessions.get(number=1), chair)


def test_a_chair_is_named_once_in_the_installation(nurse, chair, across):
    with within(only(across)), pytest.raises(Refused, match="already"):
        sessions.add_chair(nurse, name="Chair 1")
    assert Chair.objects.count() == 1


def test_the_team_works_at_the_patients_site(coordinator, course, theirs):
    with pytest.raises(Refused, match="does not work at"):
        people.assign_team(coordinator, course, prescriber=theirs[Role.PRESCRIBER])


# On screen


def test_one_site_shows_no_trace_of_sites(client, coordinator, person):
    client.force_login(coordinator)
    for page in ("/people/", f"/people/{person.pk}/", "/today/"):
        text = client.get(page).content.decode()
        assert "site-switch" not in text
        assert "another site" not in text


def test_the_director_opens_a_site_and_says_who_works_there(client, director, nurse):
    client.force_login(director)
    assert "Sites" in client.get("/staff/").content.decode()
    response = client.post("/sites/", {"name": "Across the River", "short_name": "River"})
    site = Site.objects.exclude(pk=FIRST).get()
    assert response.url == f"/sites/{site.pk}/"
    client.post(response.url, {"act": "members", "members": [director.pk, nurse.pk]})
    assert nurse.memberships.filter(site=site).exists()
    response = client.post(response.url, {"act": "members", "members": [nurse.pk]})
    assert response.status_code == 422
    client.post(
        f"/sites/{site.pk}/", {"act": "change", "name": "Over the River", "short_name": "Over"}
    )
    site.refresh_from_db()
    assert (site.name, site.short_name) == ("Over the River", "Over")
    client.post(f"/sites/{site.pk}/close/")
    site.refresh_from_db()
    assert site.closed_at


def test_who_works_at_two_sites_chooses_one(client, director, person, stranger, across):
    client.force_login(director)
    both = client.get("/people/").content.decode()
    assert "Farshore" in both
    assert "Example1" in both
    assert "All my sites" in both
    client.post("/sites/choose/", {"site": across.pk, "next": "/people/"})
    one = client.get("/people/").content.decode()
    assert "Farshore" in one
    assert "Example1" not in one
    # A link that leads to a chart of one's other site still opens it, and says whose it is.
    chart = client.get(f"/people/{person.pk}/").content.decode()
    assert '<span class="tag">Clinic</span>' in chart


def test_nobody_chooses_a_site_at_which_they_do_not_work(client, nurse, person, stranger, across):
    client.force_login(nurse)
    client.post("/sites/choose/", {"site": across.pk})
    assert "Farshore" not in client.get("/people/").content.decode()


def test_a_patient_is_transferred_on_screen(client, coordinator, person, across):
    client.force_login(coordinator)
    address = f"/people/{person.pk}/transfer/"
    assert "Across the River" in client.get(address).content.decode()
    assert client.post(address, {"site": across.pk, "reason": "short"}).status_code == 422
    client.post(address, {"site": across.pk, "reason": "Moved to the other bank"})
    person.refresh_from_db()
    assert person.site == across
    assert client.get(f"/people/{person.pk}/").status_code == 404


def test_the_glass_is_broken_for_a_patient_of_another_site(client, nurse, stranger, theirs):
    client.force_login(nurse)
    chart = f"/people/{stranger.pk}/"
    assert client.get(chart).status_code == 404
    said = {
        "mrn": stranger.mrn, "birth_date": "1999-01-01", "purpose": "emergency",
        "reason": "Lies unconscious in our waiting room",
    }  # fmt: skip
    wrong = client.post("/people/elsewhere/", said)
    assert wrong.status_code == 422
    assert "Farshore" not in wrong.content.decode()
    assert Event.objects.filter(kind="chart.not_found_elsewhere").count() == 1
    assert client.get(chart).status_code == 404
    opened = client.post("/people/elsewhere/", said | {"birth_date": "1983-03-14"})
    assert opened.url == chart
    page = client.get(chart).content.decode()
    assert "Farshore" in page
    assert '<span class="tag">River</span>' in page
    # The director of that site, and no other, looks at it.
    client.force_login(theirs[Role.DIRECTOR])
    assert "Farshore" in client.get("/privacy/").content.decode()


def test_a_call_rings_for_those_who_work_at_the_patients_site(
    nurse, prescriber, theirs, stranger, person
):
    from django.db import transaction

    from openketamine.clinic.notices import services as notices

    def reached(patient: Person) -> set[User]:
        with transaction.atomic():
            call = notices.raise_call(
                "a test",
                key=f"t:{patient.pk}",
                priority="red",
                headline="Look",
                person_id=patient.pk,
            )  # fmt: skip
        for _ in range(8):
            call.refresh_from_db()
            call.rings_from = call.rings_from.replace(year=2020)
            call.save()
            notices._ring(call)
        return {each.user for each in call.reached.select_related("user")}

    far, near = reached(stranger), reached(person)
    assert theirs[Role.DIRECTOR] in far
    assert nurse not in far
    assert prescriber not in far
    assert near
    assert not near & set(theirs.values())


def test_somebody_new_without_a_site_sees_nobody(client, across, person):
    adrift = make_user(Role.NURSE, username="adrift")
    Membership.objects.filter(user=adrift).delete()
    client.force_login(adrift)
    assert "Example1" not in client.get("/people/").content.decode()
    assert client.get(f"/people/{person.pk}/").status_code == 404
