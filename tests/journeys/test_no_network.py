"""Two tablets at one chair, and a tablet that loses the line to the server."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event
from openketamine.clinic.sessions import services
from openketamine.clinic.sessions.models import Session

from ..clinic.conftest import CHECK, draw_up
from .conftest import Visitor
from .line import Line
from .test_iv_course import says, sheet


@pytest.fixture
def infusion(turn_clock, nurse, prescriber, planned_course) -> Session:
    """An infusion that runs."""
    chair = services.add_chair(nurse, name="Chair 1")
    session = services.open_session(nurse, planned_course.planned_sessions.get(number=1), chair)
    services.complete_check(nurse, session, **CHECK)
    draw_up(session, nurse, prescriber)
    services.start_infusion(nurse, session)
    return session


@dataclass
class Tablet:
    """A tablet on a line of its own."""

    seat: Visitor
    line: Line
    address: str

    @property
    def page(self) -> Page:
        return self.seat.page

    def sign_in(self, username: str) -> None:
        self.seat.context.clear_cookies()
        self.seat.sign_in(username)


@pytest.fixture
def tablet(visitor, infusion: Session) -> Iterator[Callable[..., Tablet]]:
    lines = []

    def make(username: str = "nurse") -> Tablet:
        seat = visitor("desktop")
        line = Line(seat.server)
        lines.append(line)
        seat.server = line.address
        seat.sign_in(username)
        with seat.page.expect_response(re.compile("/more/")):  # the last sheet it keeps
            seat.open(f"/sessions/{infusion.pk}/")
        return Tablet(seat, line, seat.page.url)

    yield make
    for line in lines:
        line.close()


def entered(kind: str = "session.vitals_recorded") -> list[Event]:
    return list(Event.objects.filter(kind=kind).order_by("seq"))


def test_an_entry_made_without_network_is_sent_once_with_its_own_time(tablet, turn_clock):
    device = tablet()
    page = device.page
    device.line.cut()
    expect(page.locator("#cut-off")).to_contain_text("Cut off from the server", timeout=30_000)
    made_at = clock.now()
    sheet(page, "Vitals", {"systolic_mmhg": "141", "diastolic_mmhg": "86"})
    sheet(page, "Note", {"text": "Asked for a blanket."})
    waiting = page.locator("#outbox")
    expect(waiting).to_contain_text("Kept on this device, sent when the line is back (2)")
    expect(waiting).to_contain_text("Systolic")
    device.seat.look("session-cut-off")
    assert entered() == []
    page.wait_for_timeout(2_500)
    device.line.mend()
    expect(waiting).to_contain_text("in the record now", timeout=30_000)
    expect(page.locator("#log")).to_contain_text("Asked for a blanket.")
    expect(page.locator("#cut-off")).to_be_hidden(timeout=30_000)
    (vitals,) = entered()
    (note,) = entered("session.note_written")
    assert vitals.data == {"systolic_mmhg": 141, "diastolic_mmhg": 86}
    assert abs(vitals.occurred_at - made_at) < timedelta(seconds=15)
    assert vitals.recorded_at - vitals.occurred_at > timedelta(seconds=2)
    assert vitals.seq < note.seq
    assert record.verify().intact


def test_what_is_kept_outlives_the_page(tablet):
    device = tablet()
    page, address = device.page, device.address
    device.line.cut()
    sheet(page, "Vitals", {"heart_rate_bpm": "77"})
    expect(page.locator("#outbox")).to_contain_text("77")
    page.goto("about:blank")
    device.line.mend()
    page.goto(address)
    expect(page.locator("#log")).to_contain_text("HR 77", timeout=30_000)
    assert len(entered()) == 1


def test_an_answer_lost_on_the_way_does_not_make_two_entries(tablet):
    device = tablet()
    page = device.page

    def swallow(route) -> None:
        route.fetch()
        route.abort()

    page.route(re.compile("/enter/vitals/"), swallow, times=1)
    page.locator("#pump").get_by_text("Vitals", exact=True).click()
    # The sheet's own GET is what the route took; the next is the entry itself.
    dialog = page.locator("dialog[open]")
    expect(dialog).to_be_visible()
    dialog.locator('[name="spo2_percent"]').fill("97")
    page.route(re.compile("/enter/vitals/"), swallow, times=1)
    dialog.locator("form button:not([type=button])").last.click()
    expect(page.locator("#outbox")).to_contain_text("97")
    expect(page.locator("#outbox")).to_contain_text("in the record now", timeout=30_000)
    assert [event.data for event in entered()] == [{"spo2_percent": 97}]


def test_what_the_record_refuses_waits_to_be_put_right(tablet):
    device = tablet()
    page = device.page
    device.line.cut()
    sheet(page, "Vitals", {"systolic_mmhg": "1200"})
    expect(page.locator("#outbox")).to_contain_text("1200")
    device.line.mend()
    expect(page.locator("#outbox")).to_contain_text("1200 mmHg is not possible", timeout=30_000)
    device.seat.look("session-entry-refused")
    page.locator("#outbox").get_by_role("button", name="Put it right").click()
    page.locator("dialog[open] [name=systolic_mmhg]").fill("120")
    page.locator("dialog[open] form button:not([type=button])").last.click()
    expect(page.locator("#outbox")).to_be_hidden()
    assert [event.data for event in entered()] == [{"systolic_mmhg": 120}]


def test_two_tablets_write_at_once_and_both_entries_stand_in_order(
    tablet, second_nurse, transactional_db
):
    device = tablet("nurse2")
    one, two = tablet().page, device.page
    device.line.cut()
    sheet(two, "Pause", {"reason": "bathroom"})
    expect(two.locator("#outbox")).to_contain_text("bathroom")
    one.wait_for_timeout(1_500)
    sheet(one, "Vitals", {"heart_rate_bpm": "81"})
    expect(one.locator("#log")).to_contain_text("HR 81")
    device.line.mend()
    expect(one.locator("#log")).to_contain_text("Infusion paused: bathroom", timeout=30_000)
    expect(two.locator("#log")).to_contain_text("HR 81", timeout=30_000)
    says(one, "Paused")
    (pause,) = entered("session.infusion_paused")
    (vitals,) = entered()
    assert pause.actor_name.startswith("Session nurse Example")
    assert pause.occurred_at < vitals.occurred_at
    assert vitals.seq < pause.seq


def test_entries_wait_for_the_person_who_made_them(tablet, second_nurse):
    device = tablet()
    page, address = device.page, device.address
    device.line.cut()
    sheet(page, "Vitals", {"heart_rate_bpm": "77"})
    expect(page.locator("#outbox")).to_contain_text("77")
    page.goto("about:blank")
    device.line.mend()
    device.sign_in("nurse2")
    page.goto(address)
    expect(page.locator("#outbox")).to_contain_text("of another person")
    page.wait_for_timeout(1_500)
    assert entered() == []
    device.sign_in("nurse")
    page.goto(address)
    expect(page.locator("#log")).to_contain_text("HR 77", timeout=30_000)


def test_an_entry_that_the_server_could_not_store_is_sent_again(tablet):
    page = tablet().page
    page.locator("#pump").get_by_text("Vitals", exact=True).click()
    dialog = page.locator("dialog[open]")
    dialog.locator('[name="heart_rate_bpm"]').fill("77")
    page.route(
        re.compile("/enter/vitals/"), lambda route: route.fulfill(status=503, body="full"), times=2
    )
    dialog.locator("form button:not([type=button])").last.click()
    expect(page.locator("#outbox")).to_contain_text("77")
    expect(page.locator("#outbox")).to_contain_text("in the record now", timeout=30_000)
    assert [event.data for event in entered()] == [{"heart_rate_bpm": 77}]
