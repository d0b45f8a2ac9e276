"""What is entered after it happened: by a tablet that was cut off, or around midnight."""

import uuid
from datetime import datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from openketamine.clinic.errors import Refused
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.sessions import forms, queries, services
from openketamine.clinic.sessions.models import Phase

from ..conftest import HOME


@pytest.fixture
def gone_home(running, nurse):
    """A session whose patient has gone home; yields it and the moment of leaving."""
    start = clock.now()
    with clock.at(start + timedelta(minutes=41)):
        services.end_infusion(nurse, running)
    leaves = start + timedelta(minutes=110)
    with clock.at(leaves - timedelta(minutes=1)):
        services.record_vitals(
            nurse,
            running,
            systolic_mmhg=128,
            diastolic_mmhg=79,
            heart_rate_bpm=72,
            spo2_percent=98,
        )
    with clock.at(leaves):
        services.discharge(nurse, running, answers=HOME, escort_name="Ines Example")
    running.refresh_from_db()
    assert running.phase == Phase.DISCHARGED
    return running, start, leaves


def test_it_works(client, nurse, running):
    client.force_login(nurse)
    made_at = clock.now() - timedelta(seconds=40)
    data = {
        "client_id": str(uuid.uuid4()),
        "systolic_mmhg": "141",
        "diastolic_mmhg": "86",
        "made_at": made_at.isoformat(),
    }
    address = reverse("session_enter", args=[running.pk, "vitals"])
    for _ in range(2):
        assert client.post(address, data, headers={"HX-Request": "true"}).status_code == 204
    (event,) = Event.objects.filter(kind="session.vitals_recorded")
    assert event.occurred_at == made_at
    assert event.recorded_at > made_at + timedelta(seconds=30)


def test_a_reading_of_the_session_arrives_after_it_has_closed(gone_home, nurse):
    session, start, leaves = gone_home
    taken_at = start + timedelta(minutes=30)
    with clock.at(leaves + timedelta(minutes=20)):
        services.record_vitals(nurse, session, at=taken_at, systolic_mmhg=150, diastolic_mmhg=90)
        timeline = queries.timeline_of(session)
    assert timeline.phase == Phase.DISCHARGED
    assert taken_at in [reading.at for reading in timeline.vitals]


def test_nothing_of_after_the_session_is_added_to_it(gone_home, nurse):
    session, _, leaves = gone_home
    with clock.at(leaves + timedelta(minutes=20)):
        for at in (None, leaves + timedelta(minutes=1)):
            with pytest.raises(Refused, match="discharged"):
                services.write_note(nurse, session, text="Too late.", at=at)


def test_what_the_pump_did_cannot_be_added_after_the_session_has_closed(gone_home, nurse):
    session, start, leaves = gone_home
    with clock.at(leaves + timedelta(minutes=20)), pytest.raises(Refused, match="discharged"):
        services.pause_infusion(nurse, session, reason="x", at=start + timedelta(minutes=5))


@pytest.mark.parametrize(
    ("now", "typed", "meant"),
    [
        ("2026-03-02T14:10", "14:05", "2026-03-02T14:05"),
        ("2026-03-02T00:10", "23:55", "2026-03-01T23:55"),
        ("2026-03-02T00:10", "00:05", "2026-03-02T00:05"),
        ("2026-03-02T14:10", "14:30", "2026-03-02T14:30"),  # refused later: it lies in the future
    ],
)
def test_a_time_of_day_is_the_nearest_that_can_be_meant(now, typed, meant):
    moment = timezone.make_aware(datetime.fromisoformat(now))
    with clock.at(moment):
        form = forms.NoteForm({"text": "x", "at": typed})
        assert form.is_valid()
        assert form.entry()["at"] == timezone.make_aware(datetime.fromisoformat(meant))
