"""The therapist's work in a browser: prepare, sign, accompany, integrate; the notes kept apart."""

import re

import pytest
from playwright.sync_api import Page, expect

from openketamine.clinic.accounts.models import Role
from openketamine.clinic.people import services as people
from openketamine.clinic.people.models import Course
from openketamine.clinic.record import clock
from openketamine.clinic.sessions import services as sessions
from openketamine.clinic.sessions.models import Session
from openketamine.clinic.therapy.models import TherapyVisit

from ..clinic.conftest import CHECK, HOME, draw_up, make_user
from ..clinic.outcomes.conftest import VITALS


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).first.click()


def says(page: Page, text: str) -> None:
    expect(page.get_by_text(text).first).to_be_visible()


@pytest.fixture
def accompanied(server, planned_course, coordinator, prescriber) -> Course:
    therapist = make_user(Role.THERAPIST)
    people.assign_team(coordinator, planned_course, prescriber=prescriber, therapist=therapist)
    planned_course.refresh_from_db()
    return planned_course


def started(course: Course, nurse, prescriber, chair) -> Session:
    session = sessions.open_session(nurse, course.planned_sessions.get(number=1), chair)
    sessions.complete_check(nurse, session, **CHECK)
    draw_up(session, nurse, prescriber)
    session.refresh_from_db()
    sessions.start_infusion(nurse, session)
    session.refresh_from_db()
    return session


def went_home(session: Session, nurse, turn_clock) -> None:
    turn_clock.forward(minutes=41)
    sessions.end_infusion(nurse, session)
    turn_clock.forward(minutes=65)
    sessions.record_vitals(nurse, session, **VITALS)
    sessions.discharge(nurse, session, answers=HOME, escort_name="Ines Example")


def test_from_the_preparation_to_the_integration(
    visitor, accompanied, nurse, prescriber, chair, turn_clock
):
    seat = visitor("desktop")
    seat.sign_in("therapist")
    page = seat.open("/therapy/")
    says(page, "Preparation")
    seat.look("therapist-list")
    page.get_by_role("link", name=re.compile("^Record")).click()
    page.locator("[name=intention]").fill("To meet the grief, not to run from it.")
    page.locator("[name=fears]").fill("To lose control.")
    page.locator("[name=what_helps]").fill("A calm voice.")
    page.locator("[name=music]").fill("Cello, nothing with words.")
    page.locator("[name=safe_word]").fill("harbour")
    page.get_by_label("The patient may read “Intention”").check()
    seat.look("preparation")
    page.get_by_role("button", name=re.compile("^Record, signed")).click()
    says(page, "Preparation is in the chart.")
    page.get_by_role("link", name="Ask and sign").click()
    page.get_by_label("Holding a hand").check()
    page.get_by_label("Full name of the patient").fill(str(accompanied.person))
    seat.look("touch-agreement")
    press(page, "Sign")
    says(page, "The touch agreement is signed.")
    page.get_by_text("Set a goal").click()
    page.get_by_label("The goal, in the patient's words").fill("“I am a burden” is not a fact.")
    press(page, "Set the goal")
    says(page, "The goal is kept.")
    page.get_by_text("Give homework").click()
    page.get_by_label("One small thing to do").fill("Write one page a day.")
    press(page, "Give it")
    says(page, "The homework is kept.")
    page.get_by_text("Record a life event").click()
    page.get_by_label("Day", exact=True).fill(clock.today().isoformat())
    page.get_by_label("What happened").fill("The mother died")
    press(page, "Record it")
    says(page, "The life event is kept.")
    seat.look("therapy")

    session = started(accompanied, nurse, prescriber, chair)
    at_the_chair = visitor("desktop")
    at_the_chair.sign_in("nurse")
    screen = at_the_chair.open(f"/sessions/{session.pk}/")
    says(screen, "harbour")
    says(screen, "Holding a hand")
    at_the_chair.look("session-support")
    beside = visitor("phone")
    beside.sign_in("therapist")
    page = beside.open(f"/sessions/{session.pk}/companion/")
    says(page, "A calm voice.")
    page.get_by_label("Note for the session").fill("Tears, then quiet. Holds the hand.")
    beside.look("companion")
    press(page, "Keep")
    says(page, "The note is in the session")
    page = beside.open(f"/sessions/{session.pk}/")
    page.get_by_role("button", name="The patient wants no touch").click()
    says(page, "withdrawn")

    went_home(session, nurse, turn_clock)
    visit = TherapyVisit.objects.get(kind="integration")
    turn_clock.forward(hours=30)
    page = seat.open("/therapy/")
    says(page, "Integration after session 1")
    seat.look("therapist-list-due")
    page.get_by_role("link", name=re.compile("^Record")).click()
    says(page, "Session 1 ended")
    says(page, "recalled")
    page.locator("[name=stood_out]").fill("The sea, and nobody angry.")
    page.get_by_label("The patient may read “What stood out”").check()
    seat.look("integration")
    page.get_by_role("button", name=re.compile("^Record, signed")).click()
    says(page, "Integration is in the chart.")
    page.get_by_text("Everything on the line, as a table").click()
    expect(page.get_by_role("cell", name="The mother died")).to_be_visible()
    seat.look("therapy-after-session")
    visit.refresh_from_db()
    assert visit.held_at


@pytest.mark.parametrize("device", ["phone", "desktop"])
def test_psychotherapy_notes_are_for_their_author_alone(visitor, accompanied, director, device):
    seat = visitor(device)
    seat.sign_in("therapist")
    page = seat.open(f"/courses/{accompanied.pk}/therapy/")
    seat.look("therapy-empty")
    page.get_by_role("link", name="Psychotherapy notes").click()
    page.get_by_label("Note").fill("Speaks of the brother who drowned.")
    press(page, "Keep")
    says(page, "apart from the record")
    seat.look("psychotherapy-notes")
    page.get_by_role("link", name=re.compile("^Read the note")).click()
    says(page, "the brother who drowned")
    seat.look("psychotherapy-note")
    where = page.url.removeprefix(seat.server)
    other = visitor(device)
    other.sign_in("director")
    page = other.open(where)
    assert "drowned" not in page.content()
    page = other.open(f"/courses/{accompanied.pk}/therapy/")
    assert page.get_by_role("link", name="Psychotherapy notes").count() == 0


def test_the_therapists_pages_fit_a_phone(visitor, accompanied):
    seat = visitor("phone")
    seat.sign_in("therapist")
    for name, where in {
        "therapist-list": "/therapy/",
        "preparation": f"/courses/{accompanied.pk}/therapy/preparation/",
        "touch": f"/courses/{accompanied.pk}/therapy/touch/",
        "plan-visit": f"/courses/{accompanied.pk}/therapy/visits/new/",
    }.items():
        seat.open(where)
        seat.look(name)
