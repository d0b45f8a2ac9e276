"""The screen of devices, for those who may look and those who may act."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from openketamine.clinic.devices import services
from openketamine.clinic.devices.delivery import State
from openketamine.clinic.devices.models import Assignment, DeviceToken, HeldReading, PlaceName
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event

from .conftest import Monitor, value


@pytest.fixture
def as_nurse(client, nurse):
    client.force_login(nurse)
    return client


def page(client):
    return client.get("/devices/").content.decode()


def test_it_works(as_nurse, at_chair, running):
    now = clock.now()
    at_chair.send(
        value("heart_rate_bpm", 72, now, in_unit="/min"),
        value("spo2_percent", 0, now, state=State.OFF, value=None),
        value("systolic_mmhg", 128, now, in_unit="mmHg", assumed_unit="mmHg"),
    )
    text = page(as_nurse)
    for words in ("MONITOR", "72", "/min", "Sensor off: SpO2", "unit assumed", "Chair 1"):
        assert words in text


def test_an_empty_list_says_what_to_do(as_nurse):
    assert "monitor-feed" in page(as_nurse)


def test_a_device_that_names_its_chair_is_shown_there(as_nurse, monitor, running):
    monitor.reads(spo2_percent=98, more={"location": "WARD^Chair 1"})
    text = page(as_nurse)
    assert "as it says itself" in text
    assert str(running.person) in text


def test_a_therapist_looks_and_does_not_touch(client, therapist, at_chair):
    client.force_login(therapist)
    assert "Set<" not in page(client)
    assert client.post(f"/devices/{at_chair.device.pk}/assign/").status_code == 403


def test_a_device_is_put_at_a_chair_and_taken_away(as_nurse, monitor, running):
    monitor.send()
    address = f"/devices/{monitor.device.pk}/assign/"
    assert (
        "stands at Chair 1"
        in as_nurse.post(address, {"chair": running.chair_id}, follow=True).content.decode()
    )
    assert Assignment.objects.get(until_at=None).chair == running.chair
    assert "no chair" in as_nurse.post(address, {"chair": ""}, follow=True).content.decode()
    assert "stands at no chair" in as_nurse.post(address, {}, follow=True).content.decode()
    assert "Choose a chair" in as_nurse.post(address, {"chair": "x"}, follow=True).content.decode()


def test_held_readings_are_shown_and_put_where_they_belong(as_nurse, in_chair, monitor):
    session = in_chair(1)
    monitor.reads(spo2_percent=97)
    assert "1 held" in page(as_nurse)
    address = f"/devices/{monitor.device.pk}/held/unassigned/"
    shown = as_nurse.get(address).content.decode()
    assert "97" in shown
    assert str(session.person) in shown
    held = HeldReading.objects.get()
    form = {"last_id": held.pk, "do": "attach", "reason": "mine", "session": ""}
    assert "Choose whose" in as_nurse.post(address, form).content.decode()
    refused = as_nurse.post(address, {**form, "session": session.pk, "reason": ""})
    assert refused.status_code == 422
    done = as_nurse.post(address, {**form, "session": session.pk}, follow=True).content.decode()
    assert f"1 readings put into the record of {session.person}" in done
    assert "any more" in as_nurse.get(address, follow=True).content.decode()


def test_held_readings_are_let_go(client, director, monitor):
    monitor.reads(spo2_percent=97)
    client.force_login(director)
    address = f"/devices/{monitor.device.pk}/held/unassigned/"
    assert "Put them into" not in client.get(address).content.decode()
    form = {"last_id": HeldReading.objects.get().pk, "do": "discard", "reason": "a test of ours"}
    assert "let go" in client.post(address, form, follow=True).content.decode()
    assert client.get(f"/devices/{monitor.device.pk}/held/nonsense/").status_code == 404


def test_a_nurse_says_whom_the_number_on_the_monitor_means(as_nurse, at_chair, running):
    at_chair.reads(spo2_percent=97, more={"patient_ids": ("9999",)})
    assert f"Patient 9999 is {running.person}" in page(as_nurse)
    address = f"/devices/{at_chair.device.pk}/confirm-patient/"
    wrong = as_nurse.post(address, {"session": "somebody else"}, follow=True).content.decode()
    assert "Look again" in wrong
    as_nurse.post(address, {"session": str(running.pk)})
    assert at_chair.reads(spo2_percent=98, more={"patient_ids": ("9999",)}).stored == 1


def test_readings_of_the_wrong_patient_are_taken_back(as_nurse, at_chair, running):
    at_chair.reads(spo2_percent=97)
    address = f"/devices/{at_chair.device.pk}/take-back/"
    assert str(running.person) in as_nurse.get(address).content.decode()
    now = timezone.localtime(clock.now())
    form = {
        "session": running.pk,
        "since": f"{now - timedelta(minutes=1):%H:%M:%S}",
        "until": f"{now:%H:%M:%S}",
        "reason": "wrong chair",
    }
    assert as_nurse.post(address, {**form, "reason": ""}).status_code == 422
    assert "1 readings taken back" in as_nurse.post(address, form, follow=True).content.decode()
    assert Event.objects.filter(kind="session.corrected").count() == 1


def test_the_director_lets_a_sender_in_and_shuts_it_out(client, director):
    client.force_login(director)
    shown = client.post("/devices/senders/add/", {"name": "wearable"}).content.decode()
    token = DeviceToken.objects.get()
    assert "shown this once" in shown
    assert "shown this once" not in page(client)
    assert client.post("/devices/senders/add/", {"name": ""}).status_code == 422
    client.post(f"/devices/senders/{token.pk}/revoke/")
    assert "revoked" in page(client)
    again = client.post(f"/devices/senders/{token.pk}/revoke/", follow=True).content.decode()
    assert "already" in again


def test_the_page_costs_the_same_queries_for_many_devices(
    as_nurse, at_chair, nurse, running, django_assert_num_queries
):
    at_chair.reads(spo2_percent=97)
    page(as_nurse)
    for number in range(12):
        other = Monitor(f"00{number:02d}", f"M{number}")
        other.reads(spo2_percent=97)
        with django_assert_num_queries(13):
            page(as_nurse)
    assert services.Device.objects.count() == 13


def test_a_place_is_named_where_a_monitor_has_said_it(client, monitor, running, nurse, therapist):
    monitor.reads(spo2_percent=97, more={"location": "ICU^2^3"})
    client.force_login(nurse)
    page = client.get(reverse("devices")).content.decode()
    assert "ICU^2^3 is" in page
    client.post(reverse("place_name"), {"name": "ICU^2^3", "chair": running.chair.pk})
    page = client.get(reverse("devices")).content.decode()
    assert "as it says itself" in page
    assert "<b>ICU^2^3</b> is <b>Chair 1</b>" in page
    again = client.post(reverse("place_name"), {"name": "icu^2^3", "chair": running.chair.pk})
    assert again.status_code == 422
    assert "is Chair 1 already" in again.content.decode()
    place = PlaceName.objects.get()
    client.force_login(therapist)
    assert client.post(reverse("place_forget", args=[place.pk])).status_code == 403
    client.force_login(nurse)
    client.post(reverse("place_forget", args=[place.pk]))
    assert not PlaceName.objects.exists()
