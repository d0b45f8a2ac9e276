"""A session at home on two phones, with the line cut in the middle, watched from the clinic."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from openketamine.clinic.athome import links, queries, services
from openketamine.clinic.athome.models import HomeSession, Phase
from openketamine.clinic.notices import runner
from openketamine.clinic.notices import services as notices
from openketamine.clinic.notices.models import Call
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event

from ..clinic.athome.conftest import (  # noqa: F401  (the programme, as the other tests have it)
    enrolled,
    go,
    home_course,
    on,
    ready,
    supervised,
)
from .conftest import Visitor
from .line import Line
from .test_refusals import expect_in_view


@pytest.fixture
def now(turn_clock):
    """The journey's own clock instead of a moment that stands still."""
    return turn_clock.now()


@pytest.fixture
def planned_today(ready, home_course):  # noqa: F811
    """The first session is today, whatever weekday that is."""
    planned = home_course.planned_sessions.order_by("planned_for").first()
    planned.planned_for = clock.now()
    planned.save()
    return planned


@pytest.fixture
def phone(visitor) -> Iterator[Callable[[HomeSession, str], tuple[Visitor, Line]]]:
    """Makes a phone on a line of its own, open at the page of the patient or of the adult."""
    lines = []

    def make(session: HomeSession, who: str) -> tuple[Visitor, Line]:
        seat = visitor("phone")
        line = Line(seat.server)
        lines.append(line)
        seat.server = line.address
        path = "h" if who == "patient" else "a"
        seat.open(f"/{path}/{links.token_for(session, who)}/")
        # From then on the page opens without the line, too.
        expect(seat.page.locator("#home")).to_have_attribute("data-kept", "yes", timeout=30_000)
        return seat, line

    yield make
    for line in lines:
        line.close()


def step(page: Page, name: str) -> None:
    expect(page.locator("#home")).to_have_attribute("data-now", name, timeout=30_000)


def answer(page: Page, *, pressure: tuple[str, str, str] = ("128", "79", "72")) -> None:
    """Go through the questions before the dose, one on a screen."""
    form = page.locator("form[data-screens]")

    def next_one() -> None:
        form.get_by_role("button", name="Next").click()

    def choose(label: str) -> None:
        form.locator("[data-screen]:not([hidden])").get_by_text(label, exact=True).click()
        next_one()

    choose("Yes")
    page.get_by_label("Where are you today?").fill("12 Example Street")
    next_one()
    page.get_by_label("When did you last eat").fill("8 in the morning, toast")
    next_one()
    choose("Yes")
    choose("No")
    page.get_by_label("Which medicines").fill("sertraline")
    next_one()
    page.get_by_label("Pieces of 100 mg").fill("2")
    page.get_by_label("Pieces of 50 mg").fill("2")
    next_one()
    choose("5")
    choose("No")
    for label, value in zip(("Upper number", "Lower number", "Pulse"), pressure, strict=True):
        form.get_by_label(label).fill(value)
    next_one()
    choose("Yes")
    form.get_by_role("button", name="Send", exact=True).click()


def at_home(kind: str) -> list[Event]:
    return list(Event.objects.filter(kind=f"athome.{kind}").order_by("seq"))


def test_a_session_at_home_with_the_line_cut_in_the_middle(
    turn_clock,
    planned_today,
    home_course,  # noqa: F811
    director,
    nurse,
    visitor,
    phone,
):
    notices.add_shift(
        director,
        user=nurse,
        line=1,
        starts_at=clock.now(),
        ends_at=clock.now() + timedelta(hours=8),
    )
    desk = visitor("desktop")
    desk.sign_in("nurse")
    desk.open(f"/courses/{home_course.pk}/home/")
    desk.look("home-course")
    desk.page.get_by_label("Adult at hand").fill("Ines Example")
    desk.page.get_by_label("The adult's telephone").fill("+15550150")
    desk.page.get_by_role("button", name="Open it, and send the links").click()
    expect(desk.page.get_by_role("heading", level=1)).to_contain_text("at home")
    session = HomeSession.objects.get()

    patient, line = phone(session, "patient")
    page = patient.page
    step(page, "check")
    patient.look("home-questions")

    # The line goes while the questions are answered; they are kept, also over a reload.
    page.get_by_text("Yes", exact=True).first.click()
    page.get_by_role("button", name="Next").click()
    line.cut()
    page.reload()
    step(page, "check")
    page.get_by_role("button", name="Back").click()
    answer(page)
    step(page, "decide")
    expect(page.locator("#line")).to_contain_text("kept on this phone")
    patient.look("home-cut-off")
    assert at_home("check_in") == []
    line.mend()
    expect(page.locator("#line")).to_be_hidden(timeout=40_000)
    (checked,) = at_home("check_in")
    assert checked.data["systolic_mmhg"] == 128
    assert checked.recorded_at > checked.occurred_at

    # The clinic speaks with the patient, and decides.
    desk.open(f"/home-sessions/{session.pk}/")
    desk.look("home-decide")
    for label in ("Name and date of birth", "A clinician has spoken"):
        desk.page.get_by_label(label).check()
    desk.page.get_by_role("button", name="Go: the dose may be taken").click()
    expect(desk.page.get_by_text("Decided.")).to_be_visible()
    step(page, "go")
    dose = page.get_by_role("button", name="I put it in my mouth now")
    expect(dose).to_be_disabled()

    adult, _ = phone(session, "adult")
    adult.look("home-adult-before")
    adult.page.get_by_role("button", name="I am here").click()
    step(adult.page, "waiting")
    expect(dose).to_be_enabled(timeout=30_000)
    patient.look("home-go")

    # The dose is begun without the line: the clinic's yes is on the phone already.
    line.cut()
    dose.click()
    step(page, "hold")
    patient.look("home-hold")
    line.mend()
    expect(page.locator("#line")).to_be_hidden(timeout=40_000)
    (taken,) = at_home("dose_taken")
    assert (taken.data["dose_mg"], taken.data.get("outside")) == (150, None)

    turn_clock.forward(minutes=11)
    expect(page.locator("[data-over]")).to_be_visible(timeout=30_000)
    page.get_by_role("button", name="I have spat it out").click()
    step(page, "rest")
    patient.look("home-rest")

    # The first check-in is made while cut off: the clinic calls, for it has heard nothing.
    turn_clock.forward(minutes=20)
    expect(page.locator("[data-step=rest] [data-due]")).to_contain_text(
        "how you are now", timeout=30_000
    )
    line.cut()
    page.get_by_text("I am well", exact=True).click()
    page.locator("[data-step=rest] form[data-kind=how]").get_by_role("button", name="Send").click()
    expect(page.locator("#line")).to_contain_text("kept on this phone")
    turn_clock.forward(minutes=6)
    runner.run_once()
    call = Call.objects.get(headline__startswith="No check-in")
    assert call.priority == "red"
    desk.open("/home-sessions/")
    expect(desk.page.locator(".home-row").first).to_contain_text("No check-in since 30 min")
    expect(desk.page.locator("#calls")).to_contain_text("No check-in from home", timeout=15_000)
    desk.look("home-board-missed")
    desk.open("/on-call/")
    desk.look("on-call")
    line.mend()
    expect(page.locator("#line")).to_be_hidden(timeout=40_000)
    (how,) = at_home("how")
    assert how.data["feeling"] == "fine"
    assert call.is_open  # a person closes it, with words

    # The adult measures at an hour, and at two; the patient feels as before.
    turn_clock.forward(minutes=25)
    adult.page.reload()  # a clock that jumps is the journey's alone: the phone's own runs on
    step(adult.page, "watching")
    adult.page.get_by_text("Awake and answers").click()
    for label, value in (("Upper number", "134"), ("Lower number", "82"), ("Pulse", "76")):
        adult.page.locator("form[data-kind=how]").get_by_label(label).fill(value)
    adult.page.locator("form[data-kind=how]").get_by_role("button", name="Send").click()
    expect(adult.page.locator("#said")).to_have_text("Sent.", timeout=30_000)
    adult.look("home-adult-watching")
    turn_clock.forward(minutes=60)
    expect(page.locator("[data-finish]")).to_be_visible(timeout=30_000)
    for legend, value in (("mood", "6"), ("far away", "4"), ("sick", "1")):
        group = page.locator("form[data-kind=finish] fieldset", has_text=re.compile(legend))
        group.get_by_text(value, exact=True).click()
    patient.look("home-finish")
    page.get_by_role("button", name="I feel like myself again").click()
    step(page, "finished")
    patient.look("home-finished")

    # The clinic calls, and closes.
    desk.open(f"/home-sessions/{session.pk}/")
    for label, value in (("Systolic", "130"), ("Diastolic", "80"), ("Pulse", "74")):
        desk.page.get_by_label(label).fill(value)
    desk.page.get_by_role("button", name="Write down").click()
    expect(desk.page.get_by_text("Written down.")).to_be_visible()
    desk.look("home-session-close")
    for box in desk.page.locator("form:has([value=close]) input[type=checkbox]").all():
        box.check()
    desk.page.get_by_label("How it went", exact=True).fill(
        "Spoke with her: well, calm, the adult stays."
    )
    desk.page.get_by_role("button", name="Close", exact=True).click()
    expect(desk.page.get_by_text("The session is closed.")).to_be_visible()
    session.refresh_from_db()
    assert session.phase == Phase.CLOSED
    assert queries.counts_of(session.enrolment).held == {100: 1, 50: 1}
    assert record.verify().intact
    step(page, "closed")


def test_a_refused_answer_is_told_and_nothing_goes_on(turn_clock, planned_today, nurse, phone):
    session = services.open_session(
        nurse, planned_today, adult_name="Ines Example", adult_phone="+15550150"
    )
    patient, _ = phone(session, "patient")
    page = patient.page
    answer(page, pressure=("165", "100", "72"))
    expect(page.locator("#problem")).to_contain_text("Sit quietly for 15 minutes")
    patient.look("home-refused")
    step(page, "check")
    assert at_home("check_in") == []


def test_the_pages_speak_spanish(turn_clock, planned_today, nurse, phone):
    session = services.open_session(
        nurse, planned_today, adult_name="Ines Example", adult_phone="+15550150"
    )
    session.person.language = "es"
    session.person.save()
    patient, _ = phone(session, "patient")
    expect(patient.page.get_by_role("heading", name="Hola, Maria")).to_be_visible()
    patient.look("home-spanish")
    adult, _ = phone(session, "adult")
    expect(adult.page.get_by_role("button", name="Estoy aquí")).to_be_visible()
    adult.look("home-adult-spanish")


def test_the_pages_are_walked_by_keyboard_and_read_aloud(turn_clock, planned_today, nurse, phone):
    """Every control has a name and a role; the focus follows the step; news is announced."""
    session = services.open_session(
        nurse, planned_today, adult_name="Ines Example", adult_phone="+15550150"
    )
    patient, _ = phone(session, "patient")
    page = patient.page
    step(page, "check")
    group = page.get_by_role("group", name=re.compile("Is an adult with you"))
    expect(group.get_by_role("radio", name="Yes")).to_be_visible()
    expect(page.get_by_role("progressbar", name="How far you are")).to_be_visible()
    for role, name in (
        ("link", "Emergency: call 911"),
        ("button", "Call me now"),
        ("textbox", "Something is wrong? Tell the clinic, and we call you."),
        ("button", "Next"),
    ):
        expect(page.get_by_role(role, name=name)).to_be_visible()
    assert page.locator("[role=status]").count() >= 2
    expect(page.locator("#said")).to_have_attribute("aria-live", "polite")
    expect(page.locator("#problem")).to_have_attribute("role", "alert")

    # By keyboard alone: an open question is named, focused, then answered.
    page.get_by_role("button", name="Next").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#problem")).to_have_text("Please answer this question.")
    assert page.evaluate("document.activeElement.name") == "adult_present"
    page.keyboard.press("Space")
    assert group.get_by_role("radio", name="Yes").is_checked()
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement.textContent.trim()") != "Next":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.name") == "place"  # the focus follows
    page.keyboard.type("12 Example Street")

    # Every step's heading takes the focus when it comes.
    from openketamine.clinic.athome import from_home

    from ..clinic.athome.conftest import WELL

    from_home.check_in(session, data=WELL)
    step(page, "decide")
    assert page.evaluate("document.activeElement.id") == "decide-title"
    go(nurse, session)
    from_home.adult_here(session)
    step(page, "go")
    assert page.evaluate("document.activeElement.id") == "go-title"
    dose = page.get_by_role("button", name="I put it in my mouth now")
    expect(dose).to_be_enabled(timeout=30_000)
    dose.focus()
    page.keyboard.press("Enter")
    step(page, "hold")
    expect(page.get_by_role("timer")).to_be_visible()
    expect(page.locator("[data-timer-said]")).to_contain_text("minutes")
    assert at_home("dose_taken")


def test_an_unknown_link_opens_nothing(visitor):
    seat = visitor("phone")
    seat.open("/h/not-a-link/")
    expect(seat.page.get_by_role("heading")).to_contain_text("This link does not work")
    seat.look("home-unknown-link")


def test_a_refusal_far_down_a_page_comes_into_view_and_takes_the_focus(
    turn_clock,
    visitor,
    home_course,  # noqa: F811
    ready,  # noqa: F811
    nurse,
):
    seat = visitor("phone")
    seat.sign_in("nurse")
    page = seat.open(f"/courses/{home_course.pk}/home/")
    page.get_by_label("Hand out of 50 mg").fill("1")
    page.get_by_label("Lot").fill("L9")
    page.get_by_role("button", name="Hand out", exact=True).click()
    expect(page.get_by_role("alert").first).to_contain_text("The patient counts none")
    expect_in_view(page, ".form-errors")
    seat.look("refused-page")
