"""After a transfer to hospital a prescriber decides whether the course goes on, pauses or stops."""

from datetime import timedelta

import pytest
from django.urls import reverse

from openketamine.clinic.errors import Refused
from openketamine.clinic.outcomes.models import FormRequest
from openketamine.clinic.people.models import Stage
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.sessions import queries, services, transfers
from openketamine.clinic.sessions.models import TransferDecision

TRANSFER = {"where": "Example General", "why": "chest pain", "accompanied_by": "ambulance crew"}


@pytest.fixture
def decision(running, nurse) -> TransferDecision:
    services.transfer_to_hospital(nurse, running, **TRANSFER)
    return TransferDecision.objects.get()


@pytest.fixture
def following(decision):
    """The next session of the course, which is planned for today."""
    planned = decision.course.planned_sessions.get(number=2)
    planned.planned_for = clock.now()
    planned.save()
    return planned


def asked(course) -> bool:
    return FormRequest.objects.filter(course=course).exists()


def remaining(course) -> int:
    return course.planned_sessions.filter(done_at=None, cancelled_at=None).count()


def test_until_then_nothing_begins_and_nothing_is_asked(decision, following, nurse, unchanged):
    assert transfers.waiting() == [decision]
    assert not asked(decision.course)
    chair = decision.session.chair
    with unchanged, pytest.raises(Refused, match="prescriber has to decide first"):
        services.open_session(nurse, following, chair)
    (arrival,) = queries.arrivals()
    assert arrival.waits_after_transfer


def test_going_on_asks_what_follows_a_session_and_lets_the_next_begin(
    decision, following, nurse, prescriber
):
    transfers.decide(prescriber, decision, way="go_on", reason="ruled out; cardiologist agrees")
    assert transfers.waiting() == []
    form = FormRequest.objects.filter(course=decision.course).first()
    assert form.due_at >= decision.session.closed_at
    assert services.open_session(nurse, following, decision.session.chair)
    event = Event.objects.get(kind="sessions.transfer_decided")
    assert event.actor == prescriber
    assert event.data["way"] == "go_on"
    assert event.data["reason"] == "ruled out; cardiologist agrees"


def test_a_pause_holds_everything_until_decided_anew(decision, following, nurse, prescriber):
    transfers.decide(prescriber, decision, way="pause", reason="until the echo")
    (paused,) = transfers.waiting()
    assert (paused.way, paused.decided_by) == ("pause", prescriber)
    assert not asked(decision.course)
    with pytest.raises(Refused, match=r"pauses since the transfer to hospital .*until the echo"):
        services.open_session(nurse, following, decision.session.chair)
    transfers.decide(prescriber, decision, way="go_on", reason="the echo is normal")
    assert asked(decision.course)
    assert Event.objects.filter(kind="sessions.transfer_decided").count() == 2


def test_stopping_clears_the_calendar_and_begins_follow_up(decision, prescriber):
    assert remaining(decision.course)
    transfers.decide(prescriber, decision, way="stop", reason="myocardial infarction")
    assert remaining(decision.course) == 0
    decision.course.refresh_from_db()
    assert decision.course.stage == Stage.FOLLOW_UP
    assert not asked(decision.course)


def test_after_the_last_session_going_on_begins_follow_up(im_injected, nurse, prescriber):
    services.transfer_to_hospital(nurse, im_injected, **TRANSFER)
    decision = TransferDecision.objects.get()
    transfers.decide(prescriber, decision, way="go_on", reason="home after an hour")
    im_injected.course.refresh_from_db()
    assert im_injected.course.stage == Stage.FOLLOW_UP
    assert asked(im_injected.course)


def test_only_a_prescriber_decides_with_a_reason_and_once(decision, nurse, prescriber, unchanged):
    with unchanged:
        with pytest.raises(Refused, match="Only a prescriber"):
            transfers.decide(nurse, decision, way="go_on", reason="fine")
        with pytest.raises(Refused, match="Give the reason"):
            transfers.decide(prescriber, decision, way="go_on", reason=" ")
        with pytest.raises(Refused, match="Choose whether"):
            transfers.decide(prescriber, decision, way="perhaps", reason="x")
    transfers.decide(prescriber, decision, way="stop", reason="infarction")
    with unchanged:
        transfers.decide(prescriber, decision, way="stop", reason="infarction")
        with pytest.raises(Refused, match="decided already"):
            transfers.decide(prescriber, decision, way="go_on", reason="x")


def test_the_decision_stands_on_the_day_s_list_and_is_taken_there(
    client, decision, nurse, prescriber
):
    address = reverse("transfer_decide", args=[decision.session_id])
    client.force_login(nurse)
    page = client.get(reverse("today")).content.decode()
    assert "After a transfer to hospital" in page
    assert "a prescriber decides" in page
    assert client.get(address).status_code == 403
    client.force_login(prescriber)
    page = client.get(address).content.decode()
    assert "Example General" in page
    assert "session 2 on" in page
    assert client.post(address, {"way": "go_on", "reason": ""}).status_code == 422
    answer = client.post(address, {"way": "pause", "reason": "until the echo"}, follow=True)
    assert "pauses until decided anew" in answer.content.decode()
    assert "until the echo" in answer.content.decode()
    with clock.at(clock.now() + timedelta(days=2)):
        client.post(address, {"way": "go_on", "reason": "normal"})
        assert "After a transfer" not in client.get(reverse("today")).content.decode()
