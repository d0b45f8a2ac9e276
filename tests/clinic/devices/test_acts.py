"""What staff say of devices and of what is held: each an event with a name and a reason."""

from datetime import timedelta

import pytest

from openketamine.clinic.devices import services
from openketamine.clinic.devices.models import Assignment, HeldReading, Why
from openketamine.clinic.errors import Refused
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event
from openketamine.clinic.sessions import queries

from .conftest import Monitor


def last_event():
    return Event.objects.order_by("-seq").first()


def last_id():
    return HeldReading.objects.order_by("-pk").values_list("pk", flat=True).first()


def test_assigning_and_moving_a_device(monitor, running, in_another_chair, nurse):
    monitor.send()
    services.assign(nurse, monitor.device, running.chair)
    services.assign(nurse, monitor.device, in_another_chair.chair)
    assert [(a.chair, a.until_at is None) for a in Assignment.objects.order_by("pk")] == [
        (running.chair, False),
        (in_another_chair.chair, True),
    ]
    assert last_event().kind == "device.assigned"
    assert last_event().actor == nurse
    services.unassign(nurse, monitor.device)
    assert last_event().kind == "device.unassigned"
    assert monitor.reads(spo2_percent=98).held[0][0] == Why.UNASSIGNED


def test_assigning_twice_or_by_somebody_who_may_not_is_refused(at_chair, running, nurse, therapist):
    with pytest.raises(Refused, match="already"):
        services.assign(nurse, at_chair.device, running.chair)
    with pytest.raises(Refused, match="role"):
        services.assign(therapist, at_chair.device, running.chair)
    services.unassign(nurse, at_chair.device)
    with pytest.raises(Refused, match="no chair"):
        services.unassign(nurse, at_chair.device)


@pytest.fixture
def waiting(in_chair, monitor):
    """A session, and three readings of an unassigned monitor that were measured during it."""
    session = in_chair(1)
    for ago_s, spo2 in ((30, 97), (20, 98), (10, 99)):
        monitor.reads(ago_s=ago_s, spo2_percent=spo2)
    return session


def test_held_readings_are_put_into_the_session_to_which_they_belong(waiting, monitor, nurse):
    count = services.attach_held(
        nurse,
        monitor.device,
        why=Why.UNASSIGNED,
        last_id=last_id(),
        session=waiting,
        reason="was not assigned yet",
    )
    assert count == 3
    timeline = queries.timeline_of(waiting)
    assert [r.values["spo2_percent"] for r in timeline.series("spo2_percent")][-3:] == [97, 98, 99]
    event = Event.objects.filter(kind="session.vitals_recorded").order_by("-seq").first()
    assert (event.actor, event.data["attached"]) == (nurse, "was not assigned yet")
    assert not HeldReading.objects.filter(settled_at=None).exists()
    with pytest.raises(Refused, match="any more"):
        services.discard_held(
            nurse, monitor.device, why=Why.UNASSIGNED, last_id=last_id(), reason="x"
        )


def test_what_came_after_the_nurse_looked_stays_held(waiting, monitor, nurse):
    seen = last_id()
    monitor.reads(spo2_percent=80)
    services.attach_held(
        nurse, monitor.device, why=Why.UNASSIGNED, last_id=seen, session=waiting, reason="x"
    )
    assert [h.values["spo2_percent"] for h in HeldReading.objects.filter(settled_at=None)] == [80.0]


def test_a_reading_that_was_attached_is_known_when_it_is_sent_again(waiting, monitor, nurse):
    message = monitor.message()
    services.attach_held(
        nurse, monitor.device, why=Why.UNASSIGNED, last_id=last_id(), session=waiting, reason="x"
    )
    services.receive([message])
    assert not HeldReading.objects.filter(settled_at=None).exists()


def test_readings_from_before_a_session_are_not_put_into_it(running, monitor, nurse):
    monitor.reads(ago_s=3600, spo2_percent=97)
    with pytest.raises(Refused, match="not measured during"):
        services.attach_held(
            nurse,
            monitor.device,
            why=Why.UNASSIGNED,
            last_id=last_id(),
            session=running,
            reason="x",
        )
    assert HeldReading.objects.filter(settled_at=None).count() == 1


def test_attaching_and_discarding_take_a_reason_and_the_right_role(
    waiting, monitor, nurse, director, therapist
):
    act = {"why": Why.UNASSIGNED, "last_id": last_id()}
    with pytest.raises(Refused, match="reason"):
        services.attach_held(nurse, monitor.device, session=waiting, reason=" ", **act)
    with pytest.raises(Refused, match="role"):
        services.attach_held(director, monitor.device, session=waiting, reason="x", **act)
    with pytest.raises(Refused, match="reason"):
        services.discard_held(nurse, monitor.device, reason="", **act)
    with pytest.raises(Refused, match="role"):
        services.discard_held(therapist, monitor.device, reason="x", **act)
    assert services.discard_held(nurse, monitor.device, reason="biomed test", **act) == 3
    assert last_event().kind == "device.held_discarded"
    assert last_event().data["reason"] == "biomed test"


def test_a_device_at_the_wrong_patient_is_put_right_afterwards(
    at_chair, running, in_another_chair, nurse
):
    """Its readings leave the wrong record by corrections, and go into the right one."""
    since = clock.now()
    for spo2 in (88, 89):
        at_chair.reads(spo2_percent=spo2)
    services.assign(nurse, at_chair.device, in_another_chair.chair)
    count = services.take_back(
        nurse,
        at_chair.device,
        running,
        since=since,
        until=clock.now(),
        reason="stood at the other chair",
    )
    assert count == 2
    assert not queries.timeline_of(running).series("spo2_percent")[1:]  # the check's own is left
    struck = [line for line in queries.timeline_of(running).lines if line.retracted]
    assert len(struck) == 2
    assert "stood at the other chair" in struck[0].correction
    services.attach_held(
        nurse,
        at_chair.device,
        why=Why.MOVED,
        last_id=last_id(),
        session=in_another_chair,
        reason="stood here",
    )
    right = queries.timeline_of(in_another_chair).series("spo2_percent")
    assert [r.values["spo2_percent"] for r in right][-2:] == [88.0, 89.0]
    assert record.verify().intact
    with pytest.raises(Refused, match="no reading"):
        services.take_back(
            nurse, at_chair.device, running, since=since, until=clock.now(), reason="again"
        )


def test_taking_back_leaves_other_devices_and_other_times_alone(at_chair, running, nurse):
    other = Monitor("00BB", "OTHER")
    other.send()
    services.assign(nurse, other.device, running.chair)
    at_chair.reads(spo2_percent=90)
    other.reads(spo2_percent=98)
    after = clock.now()
    at_chair.reads(spo2_percent=91)
    services.take_back(nurse, at_chair.device, running, since=after, until=clock.now(), reason="x")
    kept = [
        e.data["spo2_percent"]
        for e in Event.objects.filter(kind="session.vitals_recorded", corrections=None).order_by(
            "seq"
        )
    ]
    assert kept == [90.0, 98.0]


def test_a_sender_is_let_in_by_the_director_and_only_a_hash_is_kept(director, nurse):
    with pytest.raises(Refused, match="role"):
        services.make_token(nurse, name="wearable")
    with pytest.raises(Refused, match="Name"):
        services.make_token(director, name=" ")
    token, secret = services.make_token(director, name="wearable")
    assert secret not in (token.digest, str(last_event().data))
    assert services.token_of(secret) == token
    assert services.token_of(secret + "x") is None
    services.revoke_token(director, token)
    assert services.token_of(secret) is None
    with pytest.raises(Refused, match="already"):
        services.revoke_token(director, token)


def test_an_assignment_says_since_when(at_chair, running):
    """What was measured before the device came to the chair may be somebody else's."""
    at_chair.device.assignments.update(from_at=clock.now() - timedelta(seconds=5))
    assert at_chair.reads(ago_s=10, spo2_percent=98).held[0][0] == Why.EARLIER


def test_a_place_that_monitors_name_is_a_chair(monitor, running, nurse, therapist, director):
    at_bed = {"location": "ICU^ 2^Bed  3"}
    assert monitor.reads(spo2_percent=97, more=at_bed).held[0][0] == Why.UNASSIGNED
    place = services.name_place(nurse, running.chair, name="icu^2^bed 3")
    assert last_event().kind == "device.place_named"
    assert monitor.reads(spo2_percent=98, more=at_bed).stored == 1
    other = Monitor(identity="00BB")
    assert other.reads(spo2_percent=96, more={"location": "ICU^2^Bed 4"}).held
    with pytest.raises(Refused, match="is Chair 1 already"):
        services.name_place(director, running.chair, name="ICU^2^BED 3^^")
    with pytest.raises(Refused, match="role"):
        services.name_place(therapist, running.chair, name="ICU^2^Bed 4")
    services.forget_place(director, place)
    assert last_event().kind == "device.place_forgotten"
    assert monitor.reads(spo2_percent=99, more=at_bed).held[0][0] == Why.UNASSIGNED


def test_no_place_is_two_chairs_and_a_chair_s_own_name_is_its_own(
    monitor, running, in_another_chair, nurse
):
    services.name_place(nurse, running.chair, name="Bed 3")
    for name in ("bed 3", in_another_chair.chair.name.upper(), " ^ "):
        with pytest.raises(Refused):
            services.name_place(nurse, in_another_chair.chair, name=name)
    # The whole of a place tells more than its part.
    services.name_place(nurse, in_another_chair.chair, name="ICU^2^Bed 3")
    monitor.reads(heart_rate_bpm=81, more={"location": "ICU^2^Bed 3"})
    monitor.reads(heart_rate_bpm=82, more={"location": "ICU^1^Bed 3"})
    assert queries.timeline_of(in_another_chair).vitals[-1].values["heart_rate_bpm"] == 81
    assert queries.timeline_of(running).vitals[-1].values["heart_rate_bpm"] == 82


def test_a_device_that_was_put_at_one_chair_and_names_the_place_of_another_is_held(
    at_chair, in_another_chair, nurse
):
    services.name_place(nurse, in_another_chair.chair, name="Bed 7")
    (held,) = at_chair.reads(spo2_percent=98, more={"location": "Bed 7"}).held
    assert held[0] == Why.CONFLICT
