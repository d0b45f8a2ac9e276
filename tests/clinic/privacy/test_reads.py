"""Who has read a chart stands in the record, chained, and nobody waits for it."""

import json
import os
import re

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from openketamine.clinic.accounts import access
from openketamine.clinic.people import services as people
from openketamine.clinic.privacy import queries, reads, subjects
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event
from tests.clinic.conftest import referral


def read_by(client, user, *addresses):
    client.force_login(user)
    for address in addresses:
        assert client.get(address).status_code == 200, address


def test_it_works(client, nurse, person):
    read_by(client, nurse, reverse("person", args=[person.pk]))
    assert reads.drain() == 1
    (reading,) = queries.readings(person)
    assert (reading.who, reading.view, reading.own) == (str(nurse), "person", False)
    assert record.verify().intact


def test_every_page_of_a_chart_leads_to_the_person_by_whatever_its_address_names(
    client, nurse, prescriber, running, person
):
    course = running.course
    for address in (
        reverse("screening", args=[course.pk]),
        reverse("session", args=[running.pk]),
        reverse("session_state", args=[running.pk]),
        reverse("plan", args=[course.pk]),
        reverse("record_of", args=[person.pk]),
    ):
        read_by(client, nurse, address)
    reads.drain()
    assert {reading.view for reading in queries.readings(person)} == {
        "screening", "session", "session_state", "plan", "record_of",
    }  # fmt: skip


def test_every_parameter_of_every_address_is_known_to_name_a_chart_or_none():
    """A new address with a new parameter stops here until somebody says whose chart it shows.

    The interfaces for programs keep their readings themselves (`note`), and allauth has none.
    """
    found = {
        name
        for route, pattern in access.every_pattern()
        if pattern.callback.__module__.startswith(("openketamine.clinic", "openketamine.site"))
        or "documents" in pattern.callback.__module__
        for name in re.findall(r"<(?:\w+:)?(\w+)>", route)
    }
    assert {"person_id", "course_id", "session_id"} <= found
    unknown = found - subjects.CHARTS.keys() - subjects.NO_CHART
    assert not unknown, f"add {sorted(unknown)} to CHARTS or NO_CHART in privacy/subjects.py"


@pytest.mark.django_db
@pytest.mark.parametrize("name", subjects.CHARTS)
def test_each_way_from_an_address_to_a_person_can_be_walked(name):
    assert subjects.people_of({name: 2**70}) == set()
    assert subjects.people_of({name: "00000000-0000-0000-0000-000000000007"}) == set()
    assert subjects.people_of({name: "none"}) == set()


def test_a_page_that_fetches_itself_is_one_reading(client, nurse, person, monkeypatch):
    address = reverse("person", args=[person.pk])
    read_by(client, nurse, *[address] * 5)
    assert reads.drain() == 1
    monkeypatch.setattr(reads, "SAME_READING_S", 0)
    read_by(client, nurse, address)
    assert reads.drain() == 1


def test_a_refused_page_is_no_reading(client, coordinator, person):
    client.force_login(coordinator)
    assert client.get(reverse("record_of", args=[person.pk])).status_code == 403
    assert Client().get(reverse("person", args=[person.pk])).status_code == 302
    assert reads.drain() == 0


def test_a_list_of_patients_is_noted_without_naming_them(client, nurse, person):
    read_by(client, nurse, reverse("people") + "?q=Example")
    reads.drain()
    event = Event.objects.get(kind=reads.LIST_KIND)
    assert event.data == {"view": "people"}
    assert event.actor == nurse
    assert queries.readings(person) == []


def test_a_reading_costs_the_page_no_query(
    client, nurse, person, django_assert_num_queries, monkeypatch
):
    address = reverse("person", args=[person.pk])
    read_by(client, nurse, address)
    with CaptureQueriesContext(connection) as with_reading:
        client.get(address)
    monkeypatch.setattr(reads, "note", lambda *args, **kwargs: None)
    with django_assert_num_queries(len(with_reading)):
        client.get(address)


def test_a_busy_database_loses_no_reading(client, nurse, person, monkeypatch):
    read_by(client, nurse, reverse("person", args=[person.pk]))

    def fail(entries):
        raise OperationalError("database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(reads.record, "append_many", fail)
        with pytest.raises(OperationalError):
            reads.drain()
    assert reads.drain() == 1
    assert len(queries.readings(person)) == 1


def test_a_reading_that_is_moved_twice_counts_once(client, nurse, person, spool):
    """The process may die after the commit and before the file is removed."""
    read_by(client, nurse, reverse("person", args=[person.pk]))
    (path,) = spool.folder.iterdir()
    kept = path.read_text()
    reads.drain()
    path.write_text(kept)
    reads.drain()
    assert len(queries.readings(person)) == 1


def test_what_a_dead_process_left_is_moved_and_a_living_one_s_is_left_alone(nurse, person, spool):
    reads.note(nurse, "person", people=[person.pk])
    (path,) = spool.folder.iterdir()
    path.replace(spool.folder / "99999999.jsonl")
    reads.note(nurse, "plan", people=[person.pk])
    path.replace(spool.folder / f"{os.getppid()}.jsonl")
    with open(spool.folder / "99999999.jsonl", "a") as file:
        file.write('{"cut off')
    assert reads.drain() == 1
    assert [reading.view for reading in queries.readings(person)] == ["person"]
    assert (spool.folder / f"{os.getppid()}.jsonl").exists()


def test_a_full_disk_hides_no_chart(client, nurse, person, spool, monkeypatch):
    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool, "add", fail)
    read_by(client, nurse, reverse("person", args=[person.pk]))


def test_a_program_s_readings_of_several_charts_are_kept_by_its_name(person, coordinator):
    other = people.receive_referral(coordinator, referral(2), origin="a test").person
    reads.note("an interface", "FHIR Patient", people=[person.pk, other.pk])
    assert reads.drain() == 2
    for each in (person, other):
        (reading,) = queries.readings(each)
        assert (reading.who, reading.view) == ("an interface", "FHIR Patient")


def test_what_waits_is_its_owner_s_alone(nurse, person, spool):
    reads.note(nurse, "person", people=[person.pk])
    (path,) = spool.folder.iterdir()
    assert path.stat().st_mode & 0o077 == 0
    assert spool.folder.stat().st_mode & 0o077 == 0
    assert "Example1" not in path.read_text()
    assert json.loads(path.read_text())["user"] == nurse.pk


def test_the_patient_sees_who_has_read_the_chart_and_not_their_own_visits(
    client, nurse, person, patient_user
):
    person.user = patient_user
    person.save()
    read_by(client, nurse, reverse("person", args=[person.pk]))
    reads.drain()
    read_by(client, patient_user, reverse("my_page"))
    reads.drain()
    page = client.get(reverse("who_read")).content.decode()
    assert str(nurse) in page
    assert "Overview of your chart" in page
    assert "Your own page" not in page
    client.cookies["django_language"] = "es"
    page = client.get(reverse("who_read")).content.decode()
    assert "Quién ha leído mi expediente" in page
    assert "Resumen de su expediente" in page


def test_another_patient_s_readings_are_shown_to_nobody_else(client, nurse, person, patient_user):
    read_by(client, nurse, reverse("person", args=[person.pk]))
    reads.drain()
    client.force_login(patient_user)  # joined to no chart
    page = client.get(reverse("who_read")).content.decode()
    assert str(nurse) not in page
