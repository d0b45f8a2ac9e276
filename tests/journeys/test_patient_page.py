"""The patient's page on a phone: opened by a link, in English and Spanish; what the staff see."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from openketamine.clinic.accounts.models import Role
from openketamine.clinic.intake.models import SafetyReview
from openketamine.clinic.notices.models import Call
from openketamine.clinic.outcomes.models import FormRequest
from openketamine.clinic.portal import services
from openketamine.clinic.portal.models import MoodEntry
from openketamine.clinic.record import clock
from openketamine.clinic.therapy import services as therapy

from ..clinic.conftest import make_user


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).first.click()


def says(page: Page, text: str) -> None:
    expect(page.get_by_text(text).first).to_be_visible()


@pytest.fixture
def patient(server, planned_course):
    """A patient with a plan, a form that is due, something from the therapist and past moods."""
    therapist = make_user(Role.THERAPIST)
    therapy.set_goal(
        therapist, planned_course, kind="craving", text="Walk when it comes.", shared=True
    )
    therapy.give_homework(therapist, planned_course, text="Call Ines on Sunday.")
    therapy.agree_touch(
        therapist, planned_course, kinds=["hand"], signed_name=str(planned_course.person)
    )
    person = planned_course.person
    person.email = "maria@patients.example"
    person.save()
    now = clock.now()
    FormRequest.objects.create(
        course=planned_course,
        person=person,
        session_number=1,
        instrument="phq9",
        occasion="7d",
        due_at=now - timedelta(hours=1),
        closes_at=now + timedelta(days=3),
    )
    for days, mood in ((5, 3), (4, 4), (2, 4), (1, 6)):
        MoodEntry.objects.create(
            person=person, day=clock.today() - timedelta(days=days), mood_0_10=mood
        )
    return person


def link(person, nurse) -> str:
    return f"/p/{services.token_for(services.make_link(nurse, person))}/"


def open_page(seat, where: str, *labels: str) -> Page:
    page = seat.open(where)
    for label, value in zip(labels or ("Day", "Month", "Year"), ("14", "3", "1983"), strict=True):
        page.get_by_label(label).fill(value)
    return page


def test_a_patient_opens_the_page_and_does_what_is_due(visitor, patient, nurse, settings):
    settings.FORECASTS = True
    seat = visitor("phone")
    page = seat.open(link(patient, nurse))
    seat.look("link-birth-date")
    page.get_by_label("Day").fill("1")
    page.get_by_label("Month").fill("1")
    page.get_by_label("Year").fill("1980")
    press(page, "Open my page")
    says(page, "4 more tries")
    seat.look("link-wrong-date")
    for label, value in (("Day", "14"), ("Month", "3"), ("Year", "1983")):
        page.get_by_label(label).fill(value)
    press(page, "Open my page")
    says(page, "Hello Maria")
    seat.look("my-page")
    page.get_by_role("button", name="7", exact=True).click()
    says(page, "Today: 7 of 10.")
    seat.look("my-page-mood")
    page.get_by_role("link", name=re.compile("^What to expect")).click()
    says(page, "not a promise")
    seat.look("my-expect")
    page.get_by_role("link", name=re.compile("My page")).click()
    page.get_by_role("link", name=re.compile("^My goals")).click()
    says(page, "Walk when it comes.")
    seat.look("my-goals")
    page.get_by_role("button", name=re.compile("^I did it")).click()
    says(page, "done")
    press(page, "I want no touch any more")
    says(page, "Nobody will touch you")
    page.get_by_role("link", name=re.compile("My page")).click()
    page.get_by_role("link", name=re.compile("^Messages")).click()
    page.get_by_label("Your message").fill("May I eat before the session?")
    seat.look("my-messages")
    press(page, "Send")
    says(page, "Your care team will answer here.")
    page = seat.open("/me/reminders/")
    page.get_by_label("By e-mail").check()
    seat.look("my-reminders")
    press(page, "Keep my choice")
    says(page, "Your choice is kept.")
    page = seat.open("/me/documents/")
    seat.look("my-documents")
    page.get_by_role("link", name=re.compile("My consent")).click()
    says(page, "Signed by")
    seat.look("my-consent")
    page = seat.open("/me/")
    press(page, "Close my page on this device")
    says(page, "Your link opens it again")

    staff = visitor("desktop")
    staff.sign_in("nurse")
    page = staff.open("/today/")
    says(page, "Messages from patients")
    says(page, "unanswered")
    page = staff.open(f"/people/{patient.pk}/messages/")
    staff.look("thread")
    page.get_by_label("Answer", exact=True).fill("Nothing for four hours, please.")
    press(page, "Answer")
    says(page, "on the patient's page")
    staff.open(f"/people/{patient.pk}/patient-page/")
    staff.look("patient-page-staff")
    staff.open("/follow-up/")
    staff.look("follow-up-completion")


def test_the_page_in_spanish(visitor, patient, nurse, settings):
    settings.FORECASTS = True
    patient.language = "es"
    patient.save()
    seat = visitor("phone")
    page = open_page(seat, link(patient, nurse))
    press(page, "Open my page")
    says(page, "Hola, Maria")
    seat.look("my-page-spanish")
    for name in ("expect", "goals", "messages", "documents", "reminders"):
        seat.open(f"/me/{name}/")
        seat.look(f"my-{name}-spanish")


def test_an_answer_that_alarms_shows_whom_to_call_and_calls_a_clinician(visitor, patient, nurse):
    seat = visitor("phone")
    page = open_page(seat, link(patient, nurse))
    press(page, "Open my page")
    page.get_by_role("link", name=re.compile("^Answer")).first.click()
    page.get_by_role("link", name="Begin").click()
    for number in range(1, 9):
        says(page, f"{number} of 9")
        press(page, "Not at all")
    press(page, "Several days")
    says(page, "You are not alone with this")
    assert Call.objects.get().priority == "red"
    page = seat.open("/me/")
    says(page, "Someone from the clinic will speak with you")
    seat.look("my-page-worried")
    staff = visitor("desktop")
    staff.sign_in("nurse")
    page = staff.open("/on-call/")
    says(page, SafetyReview.objects.get().statement)
    staff.look("red-flag-call")
