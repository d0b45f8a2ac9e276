"""A monitor at the wrong chair: seen, taken back and put right, by MLLP over a real line."""

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from openketamine.clinic.devices.models import HeldReading
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event, Source
from openketamine.clinic.sessions.models import Session
from openketamine.exchange.hl7v2.replay import Sender, code_of, oru

from ..clinic.sessions import conftest as sessions_conftest
from ..exchange.hl7v2.test_listener import listening

arrive = sessions_conftest.arrive
in_chair = sessions_conftest.in_chair


class Monitor:
    """One bedside monitor on its line."""

    def __init__(self, line: Sender) -> None:
        self.line, self.sent = line, 0

    def reads(self, heart_rate: int) -> None:
        self.sent += 1
        message = oru(
            {"HR": str(heart_rate), "SpO2": "97"},
            device="WARD-7",
            control_id=str(self.sent),
            at=clock.now(),
        )
        assert code_of(self.line.send(message))[0] == "AA"


@pytest.fixture
def monitor(server):
    with listening() as feed, Sender("127.0.0.1", feed.port, attempts=1, timeout_s=10) as line:
        yield Monitor(line)


def put_at(page: Page, chair: str) -> None:
    page.get_by_label("Stands at").select_option(label=chair)
    page.get_by_role("button", name="Set").click()
    expect(page.locator("body")).to_contain_text(f"WARD-7 stands at {chair}.")


def in_record_of(session: Session) -> list[float]:
    """Heart rates that the monitor has left in a patient's record, also those taken back."""
    events = Event.objects.filter(
        stream=session.stream, kind="session.vitals_recorded", source=Source.MONITOR
    )
    return [event.data["heart_rate_bpm"] for event in events.order_by("seq")]


def heart_rate(page: Page):
    return page.locator('#now [data-figure="heart_rate_bpm"] b')


@pytest.mark.parametrize("device", ["desktop", "phone"])
def test_a_monitor_at_the_wrong_chair_is_put_right(device, visitor, monitor, in_chair, nurse):
    right, wrong = in_chair(1), in_chair(2)
    seat = visitor(device)
    page = seat.sign_in("nurse")
    monitor.reads(71)  # heard for the first time: nobody knows yet where it stands
    seat.open("/devices/")
    put_at(page, "Chair 2")

    seat.open(f"/sessions/{wrong.pk}/")
    expect(heart_rate(page)).to_have_text("75")
    for rate in (92, 93):
        monitor.reads(rate)
    expect(heart_rate(page)).to_have_text("93")
    seat.look("wrong-chair-session")

    # The nurse sees that these are not this patient's: first the device, then its readings.
    seat.open("/devices/")
    put_at(page, "Chair 1")
    seat.look("wrong-chair-devices")
    page.get_by_role("link", name="Wrong patient").click()
    page.get_by_label("Whose session they went into").select_option(str(wrong.pk))
    page.get_by_label("Measured from").fill(
        f"{timezone.localtime(clock.now()) - timedelta(minutes=1):%H:%M:%S}"
    )
    page.get_by_label("Reason").fill("The monitor stood beside chair 1")
    seat.look("wrong-chair-take-back")
    page.get_by_role("button", name="Take them back").click()
    expect(page.locator("body")).to_contain_text("2 readings taken back")
    assert HeldReading.objects.filter(why="moved", settled_at=None).count() == 2

    # They wait to be put where they belong.
    page.get_by_role("link", name="Taken back from another session").click()
    page.get_by_label("They are readings of").select_option(str(right.pk))
    page.get_by_label("Reason").fill("Chair 1 was measured")
    seat.look("wrong-chair-held")
    page.get_by_role("button", name="Put them into").click()
    expect(page.locator("body")).to_contain_text(f"put into the record of {right.person}")

    seat.open(f"/sessions/{right.pk}/")
    expect(heart_rate(page)).to_have_text("93")
    monitor.reads(88)
    expect(heart_rate(page)).to_have_text("88")
    seat.look("right-chair-session")

    # Both records keep what happened: struck through here, counting there.
    assert in_record_of(wrong) == [92, 93]
    assert in_record_of(right) == [92, 93, 88]
    seat.open(f"/sessions/{wrong.pk}/")
    expect(heart_rate(page)).to_have_text("75")
    expect(page.locator("#log")).to_contain_text("The monitor stood beside chair 1")
    seat.look("wrong-chair-struck")
    assert record.verify().intact
