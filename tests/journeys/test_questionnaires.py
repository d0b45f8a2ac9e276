"""Questionnaires in the browser: in Spanish by keyboard alone, on one page, as curves."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from openketamine.clinic.accounts.models import Role
from openketamine.clinic.intake import services as intake
from openketamine.clinic.intake.models import InstrumentResponse, SafetyReview
from openketamine.clinic.outcomes import services
from openketamine.clinic.outcomes.models import FormRequest
from openketamine.clinic.people import services as people
from openketamine.clinic.people.models import Course
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock

from ..clinic.conftest import make_user, referral


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).first.click()


def says(page: Page, text: str) -> None:
    expect(page.get_by_text(text).first).to_be_visible()


@pytest.fixture
def course(server) -> Course:
    coordinator = make_user(Role.COORDINATOR)
    return people.receive_referral(coordinator, referral(), origin="a test").person.courses.get()


def due(course: Course, instrument: str, occasion: str = "7d") -> FormRequest:
    now = clock.now()
    return FormRequest.objects.create(
        course=course,
        person=course.person,
        session_number=1,
        instrument=instrument,
        occasion=occasion,
        due_at=now - timedelta(hours=1),
        closes_at=now + timedelta(days=3),
    )


def link(form: FormRequest) -> str:
    return f"/f/{services.token_for(form)}/"


@pytest.mark.parametrize("device", ["phone", "desktop"])
def test_a_form_is_answered_in_spanish_with_the_keyboard_alone(visitor, course, device):
    form = due(course, "phq9", "24h")
    seat = visitor(device)
    page = seat.open(link(form))

    def walk_to(name: str) -> None:
        """Tab until the control of this name has the focus, then press Enter."""
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent.trim()") == name:
                page.keyboard.press("Enter")
                return
        pytest.fail(f"Tab never reached {name!r}")

    seat.look("form-start-english")
    walk_to("Español")
    says(page, "Hola, Maria")
    seat.look("form-start-spanish")
    walk_to("Empezar")
    for number in range(1, 10):
        says(page, f"{number} de 9")
        if number == 1:
            seat.look("form-question-spanish")
        walk_to("Varios días" if number in (1, 9) else "Ningún día")
    says(page, "No está solo(a) con esto")
    seat.look("form-end-spanish-crisis")
    walk_to("Enviar a mi clínica")
    says(page, "Gracias")
    seat.look("form-thanks-spanish")
    kept = InstrumentResponse.objects.get(complete=True)
    assert (kept.total, kept.language) == (2, "es")
    assert SafetyReview.objects.get().closed_at is None


def test_the_suicide_screen_shows_whom_to_call_and_asks_whether_it_is_now(visitor, course):
    form = due(course, "asq")
    seat = visitor("phone")
    page = seat.open(link(form))
    page.get_by_role("link", name="Begin").click()
    seat.look("asq-question")
    press(page, "Yes")
    says(page, "You are not alone with this")
    seat.look("asq-crisis")
    for _ in range(3):
        press(page, "No")
    says(page, "right now")
    press(page, "I would rather not answer")
    press(page, "Send to my clinic")
    says(page, "You are not alone with this")
    assert InstrumentResponse.objects.get(complete=True).band == "acute positive"


@pytest.mark.parametrize("device", ["phone", "desktop"])
def test_a_number_scale_and_a_checklist_fit_the_screen(visitor, course, device):
    seat = visitor(device)
    page = seat.open(link(due(course, "peg")) + "?q=q1")
    seat.look("form-number-scale")
    press(page, "7")
    says(page, "2 of 3")
    page = seat.open(link(due(course, "bladder", "3-monthly")) + "?q=q6")
    press(page, "Often")
    says(page, "Someone from the clinic will look at what you told us")
    seat.look("form-medical-notice")


@pytest.mark.parametrize("device", ["phone", "desktop"])
def test_the_staff_enter_any_of_them_on_one_page(visitor, course, device):
    make_user(Role.NURSE)
    seat = visitor(device)
    seat.sign_in("nurse")
    page = seat.open(f"/courses/{course.pk}/questionnaires/")
    seat.look("questionnaires")
    page.get_by_role("link", name="Enter MADRS").click()
    seat.look("madrs-answers")
    page.get_by_role("link", name="Enter only the total").click()
    page.get_by_label("Total, 0 to 60").fill("24")
    page.get_by_label("Item 10, 0 to 6").fill("0")
    seat.look("madrs-total")
    press(page, "Keep")
    says(page, "MADRS: 24, moderate.")
    for name in ("asq", "bpi-sf", "moaas"):
        seat.open(f"/courses/{course.pk}/questionnaires/{name}/")
        seat.look(f"enter-{name}")
    page = seat.open(f"/courses/{course.pk}/questionnaires/phq9/?language=es")
    seat.look("enter-phq9-spanish")
    page = seat.open(f"/courses/{course.pk}/questionnaires/asq/")
    for name, value in {"q1": 1, "q2": 1, "q3": 0, "q4": 0, "q5": 0}.items():
        page.locator(f'input[name="{name}"][value="{value}"]').check()
    press(page, "Keep")
    says(page, "ASQ question 2 answered yes")
    seat.look("safety-review-of-two")
    page.get_by_label("Safety plan made, course goes on").check()
    page.get_by_label("What you asked, heard and did").fill("Spoke together; a plan is made.")
    press(page, "Record, signed Session nurse Example, RN")
    says(page, "The safety review is recorded.")
    assert not SafetyReview.objects.filter(closed_at=None).exists()


@pytest.mark.parametrize("device", ["phone", "desktop"])
def test_each_questionnaire_has_its_curve(visitor, course, device):
    nurse = make_user(Role.NURSE)
    for name, first, later in (("phq9", 2, 0), ("gad7", 2, 1), ("pcl5", 3, 1)):
        for days, value in ((0, first), (9, later)):
            answers = {item.id: value for item in library().instruments[name].items}
            if name == "phq9":
                answers["q9"] = 0
            with clock.at(clock.now() - timedelta(days=10 - days)):
                intake.record_response(
                    nurse,
                    course,
                    instrument=name,
                    answers=answers,
                    occasion="intake" if days == 0 else intake.VISIT,
                )
    seat = visitor(device)
    seat.sign_in("nurse")
    page = seat.open(f"/people/{course.person_id}/")
    says(page, "remission.")
    seat.look("trajectory-phq9")
    page.get_by_role("link", name="PCL-5").click()
    says(page, "PCL-5 60 at intake, 20")
    says(page, "important change")
    page.get_by_text("As a table").click()
    seat.look("trajectory-pcl5")


def test_follow_up_tells_who_answers_what(visitor, course):
    make_user(Role.NURSE)
    for instrument, occasion in (("phq9", "7d"), ("wsas", "4-weekly")):
        due(course, instrument, occasion)
    for device in ("phone", "desktop"):
        seat = visitor(device)
        seat.sign_in("nurse")
        page = seat.open("/follow-up/")
        seat.look("follow-up-questionnaires")
        assert page.get_by_role("link", name="The patient’s link").count() == 1
        page.get_by_role("link", name=re.compile("Ask in person.*WSAS")).click()
        seat.look("enter-wsas")
