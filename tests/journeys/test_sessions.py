"""Four sessions in a browser: calm, hypertensive, a panic, and a feed that falls silent.

Each is seen from the chair and from away: an alarm is an alarm where it is heard.
"""

import re

import pytest
from playwright.sync_api import Page, expect

from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event, Source
from openketamine.clinic.sessions import queries, services
from openketamine.clinic.sessions.models import Phase, Session

from ..clinic.conftest import CHECK, HOME, draw_up
from .conftest import Visitor
from .test_iv_course import says, sheet

CALM = {
    "systolic_mmhg": "131",
    "diastolic_mmhg": "80",
    "heart_rate_bpm": "74",
    "spo2_percent": "98",
}


@pytest.fixture(autouse=True)
def fresh_calls(monkeypatch) -> None:
    """Every look at the alarms is a new one: another test's must not be shared."""
    monkeypatch.setattr(queries, "CALLS_SHARED_S", -1.0)


@pytest.fixture
def session(turn_clock, nurse, prescriber, planned_course) -> Session:
    """A patient in the chair, checked and drawn up for."""
    chair = services.add_chair(nurse, name="Chair 1")
    found = services.open_session(nurse, planned_course.planned_sessions.get(number=1), chair)
    services.complete_check(nurse, found, **CHECK)
    draw_up(found, nurse, prescriber)
    return found


@pytest.fixture
def running(session, nurse) -> Session:
    services.start_infusion(nurse, session)
    session.refresh_from_db()
    return session


@pytest.fixture
def at_chair(visitor, session) -> Visitor:
    """The nurse at the chair's screen."""
    seat = visitor("desktop")
    seat.sign_in("nurse")
    seat.open(f"/sessions/{session.pk}/")
    return seat


@pytest.fixture
def away(visitor, session) -> Visitor:
    """The prescriber, busy with something else."""
    seat = visitor("phone")
    seat.sign_in("prescriber")
    seat.open("/people/")
    return seat


def monitor(session: Session, **values: float) -> None:
    services.record_vitals("monitor 1", session, source=Source.MONITOR, **values)


def answer(page: Page, what: str, done: str) -> None:
    """Acknowledge one alert with a reason."""
    alert = page.locator("#alerts .alert:not(.quiet)", has_text=what)
    alert.get_by_role("link", name=re.compile("Acknowledge")).click()
    dialog = page.locator("dialog.sheet[open]")
    dialog.locator('[name="reason"]').fill(done)
    dialog.get_by_role("button", name="Acknowledge").click()
    expect(page.locator("#alerts .alert.quiet", has_text=done).or_(
        page.locator("#history", has_text=done)
    ).first).to_be_visible()  # fmt: skip


def sound_is(page: Page, state: str) -> None:
    expect(page.locator("html")).to_have_attribute("data-sound", state)


def test_a_calm_session_from_the_keyboard(at_chair, session, nurse, turn_clock):
    page = at_chair.page
    at_chair.look("calm-drawn-up")
    sheet(page, "Start infusion", {})
    says(page, "Running")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_contain_text("Side effect")
    at_chair.look("keys")
    page.keyboard.press("Escape")
    turn_clock.forward(minutes=10)
    page.keyboard.press("v")
    field = page.locator('dialog.sheet [name="systolic_mmhg"]')
    expect(field).to_be_focused()
    # Letters are letters while somebody writes, and the chart and Stop stay in sight.
    page.keyboard.press("n")
    expect(page.locator("#sheet-title")).to_contain_text("Vital signs")
    at_chair.look("calm-vitals")
    boxes = {
        name: page.locator(name).bounding_box()
        for name in ("#sheet", "#chart-pressure", "#act-stop")
    }
    assert boxes["#chart-pressure"]["y"] < boxes["#sheet"]["y"]
    assert boxes["#act-stop"]["y"] >= boxes["#sheet"]["y"] + boxes["#sheet"]["height"]
    for name, value in CALM.items():
        page.locator(f'dialog.sheet [name="{name}"]').fill(value)
    page.keyboard.press("Enter")
    expect(page.locator("#log")).to_contain_text("131/80")
    page.keyboard.press("h")
    page.locator('dialog.sheet [name="dissociation_0_10"][value="6"]').check()
    page.locator('dialog.sheet [name="sedation_moaas"][value="5"]').check()
    page.locator("dialog.sheet .buttons button").click()
    expect(page.locator("#log")).to_contain_text("dissociation 6")
    for minute in (20, 30, 40):
        turn_clock.forward(minutes=10)
        services.record_vitals(nurse, session, **{n: float(v) for n, v in CALM.items()})
        assert minute
    page.reload()
    sheet(page, "End: dose has run in", {})
    says(page, "Recovery")
    for _ in range(5):
        turn_clock.forward(minutes=13)
        services.record_vitals(nurse, session, **{n: float(v) for n, v in CALM.items()})
    page.reload()
    expect(page.locator("#alerts")).to_contain_text("none open")
    page.get_by_role("link", name="Going home").click()
    for fact in HOME:
        page.locator(f'[name="{fact}"]').check()
    page.locator('[name="escort_name"]').fill("Ines Example")
    page.get_by_role("button", name="Discharge").click()
    says(page, "is discharged")
    assert not Event.objects.filter(kind="session.alert_acknowledged").exists()
    assert record.verify().intact


def test_a_hypertensive_session(at_chair, away, running, turn_clock):
    page = at_chair.page
    page.reload()
    page.locator("#now").click()  # somebody touches the screen: from now on it can sound
    sound_is(page, "ready")
    turn_clock.forward(minutes=10)
    monitor(running, systolic_mmhg=138, diastolic_mmhg=84, heart_rate_bpm=80, spo2_percent=98)
    turn_clock.forward(minutes=2)
    monitor(running, systolic_mmhg=184, diastolic_mmhg=96, heart_rate_bpm=84, spo2_percent=98)
    expect(page.locator(".to-confirm")).to_contain_text("184 mmHg")
    expect(page.locator("#alerts")).to_contain_text("none open")
    sound_is(page, "ready")
    turn_clock.forward(minutes=1)
    monitor(running, systolic_mmhg=186, diastolic_mmhg=98, heart_rate_bpm=84, spo2_percent=98)
    expect(page.locator("#alerts .alert.red")).to_contain_text("Systolic 180 mmHg or more")
    sound_is(page, "red")
    at_chair.look("hypertensive")
    # Away from the chair it is a slim line on every page.
    expect(away.page.locator("#calls .call.red")).to_contain_text("Systolic 180 mmHg or more")
    away.look("called-away")
    away.page.locator("h1").click()
    sound_is(away.page, "red")
    # The sheet of an answer covers neither the alert nor Stop.
    page.keyboard.press("a")
    expect(page.locator("#sheet")).to_be_visible()
    boxes = [page.locator(name).bounding_box() for name in ("#alerts .alert.red", "#sheet")]
    assert boxes[0]["y"] + boxes[0]["height"] <= boxes[1]["y"] or (
        boxes[0]["x"] >= boxes[1]["x"] + boxes[1]["width"]
    )
    page.keyboard.press("Escape")
    silence(page)
    sound_is(page, "silenced")
    expect(page.locator("#sound")).to_contain_text("Session nurse Example")
    assert Event.objects.get(kind="sessions.sound_silenced").data["reason"] == "speaking with her"
    monitor(running, spo2_percent=88, systolic_mmhg=186, diastolic_mmhg=98)
    turn_clock.forward(seconds=20)
    monitor(running, spo2_percent=87)
    sound_is(page, "red")  # a new alarm sounds all the same
    answer(page, "Systolic 180", "Paused, prescriber called")
    answer(page, "SpO2 below 90", "Oxygen on")
    sheet(page, "Pause", {"reason": "pressure"})
    says(page, "Paused")
    sound_is(page, "ready")
    expect(away.page.locator("#calls")).to_be_hidden()
    turn_clock.forward(minutes=1)
    for systolic in (176, 168, 150, 148):
        turn_clock.forward(seconds=40)
        monitor(running, systolic_mmhg=systolic, diastolic_mmhg=88, spo2_percent=97)
    expect(page.locator("#alerts")).to_contain_text("none open")
    sheet(page, "Resume", {})
    sheet(page, "Change rate", {"rate_mg_per_h": "30", "reason": "slower after the pressure"})
    says(page, "30 mg/h")
    at_chair.look("hypertensive-after")


def silence(page: Page) -> None:
    page.locator("#sound button", has_text="Silence").click()
    dialog = page.locator("#silence[open]")
    dialog.get_by_role("button", name=re.compile("Silence as")).click()
    says(page, "This field is required")
    dialog.locator('[name="minutes"][value="2"]').check()
    dialog.locator('[name="reason"]').fill("speaking with her")
    dialog.get_by_role("button", name=re.compile("Silence as")).click()
    expect(dialog).to_be_hidden()


def test_a_panic_ends_the_infusion_early(at_chair, away, running, turn_clock):
    page = at_chair.page
    turn_clock.forward(minutes=12)
    page.reload()
    sheet(page, "Side effect", {"effect": "panic", "severity": "severe"})
    expect(page.locator("#alerts .alert.red")).to_contain_text("Panic")
    expect(away.page.locator("#calls .call.red")).to_contain_text("Panic")
    # Stop: one tap and one confirmation.
    sheet(page, "Stop", {"reason": "panic, she asks to stop"})
    says(page, "Recovery")
    given = queries.timeline_of(running).given_mg(clock.now())
    assert given == pytest.approx(61.5 * 12 / 60, abs=0.3)
    page.keyboard.press("e")
    at_chair.look("emergency")
    page.locator("dialog.sheet").get_by_role("button", name="Chest pain").click()
    expect(page.locator("#alerts .alert.red").first).to_contain_text("chest pain")
    expect(away.page.locator("#calls")).to_contain_text("Emergency: chest pain")
    at_chair.look("panic")
    answer(page, "Panic", "Voice, light down; breathing slower")
    answer(page, "chest pain", "Prescriber here, ECG")
    page.get_by_role("link", name="It is over").click()
    page.locator('dialog.sheet [name="reason"]').fill("ECG normal, settled")
    page.locator("dialog.sheet .buttons button").click()
    expect(page.locator("#alerts")).to_contain_text("none open")
    running.refresh_from_db()
    assert running.phase == Phase.RECOVERY


def test_a_feed_that_falls_silent_is_as_loud_as_a_bad_reading(at_chair, away, running, turn_clock):
    page = at_chair.page
    turn_clock.forward(minutes=2)
    monitor(running, systolic_mmhg=130, diastolic_mmhg=80, heart_rate_bpm=75, spo2_percent=98)
    turn_clock.forward(minutes=3.5)
    page.reload()
    page.locator("#now").click()
    expect(page.locator("#alerts .alert.red")).to_contain_text("No reading from the monitor")
    sound_is(page, "red")
    expect(away.page.locator("#calls .call.red")).to_contain_text("No reading from the monitor")
    at_chair.look("feed-lost")
    answer(page, "No reading", "Cable pulled; by hand until it is back")
    sound_is(page, "ready")
    monitor(running, systolic_mmhg=131, diastolic_mmhg=80, heart_rate_bpm=75, spo2_percent=98)
    expect(page.locator("#alerts")).to_contain_text("none open")


@pytest.mark.parametrize("size", [(1280, 900), (1024, 768), (390, 844)], ids=str)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_session_screen_in_both_lights(
    visitor, browser, running, nurse, turn_clock, size, theme
):
    """Looked at by axe at three sizes; nothing is lit up white on the way in the dark."""
    turn_clock.forward(minutes=10)
    services.record_vitals(nurse, running, systolic_mmhg=165, diastolic_mmhg=92, spo2_percent=88)
    seat = visitor("desktop")
    seat.page.set_viewport_size({"width": size[0], "height": size[1]})
    seat.sign_in("nurse")
    seat.context.add_cookies([{"name": "theme", "value": theme, "url": seat.server}])
    name = f"{theme}-{size[0]}"
    seat.open("/today/")
    seat.look(f"today-{name}")
    seat.open(f"/sessions/{running.pk}/")
    expect(seat.page.locator("#chart-pressure canvas")).to_be_visible()
    seat.look(f"session-{name}")
    if size[0] < 640:  # the first alert stands whole above the dock
        below = seat.page.evaluate(
            """() => document.querySelector("#alerts .alert").getBoundingClientRect().bottom
                - document.getElementById("pump").getBoundingClientRect().top"""
        )
        assert below <= 0
    small = seat.page.evaluate(
        """() => [...document.querySelectorAll("#pump .button, #alerts .button, #sound .button")]
            .filter((b) => b.offsetHeight && b.offsetHeight < 44).map((b) => b.textContent)"""
    )
    assert not small
    if theme == "dark":
        shade = seat.page.evaluate("getComputedStyle(document.documentElement).colorScheme")
        assert shade == "dark"
    for part in ("enter/side-effect", "enter/emergency", "more", "check", "discharge"):
        seat.open(f"/sessions/{running.pk}/{part}/")
        seat.look(f"{part.replace('/', '-')}-{name}")
