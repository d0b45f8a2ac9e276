"""A course of the esketamine spray in a browser, every gate tried from the wrong side.

On a desktop and on a phone: the site is certified and the patient enrolled, the plan ordered and
worked out a second time, two devices are taken, the patient is watched and goes home, and the
safety programme's form is filled and sent.
"""

import re

import pytest
from playwright.sync_api import Page, expect

from openketamine.clinic.intake import services as intake
from openketamine.clinic.people.models import Course, Stage
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event
from openketamine.clinic.rems import services as rems
from openketamine.clinic.sessions import services
from openketamine.clinic.sessions.models import MonitoringForm, Phase, Session

from ..clinic.conftest import PACK, nothing_found
from .conftest import Visitor
from .test_iv_course import press, says

CALM = {
    "systolic_mmhg": 138,
    "diastolic_mmhg": 82,
    "heart_rate_bpm": 74,
    "spo2_percent": 98,
    "respiratory_rate_bpm": 14,
}


@pytest.fixture(params=["desktop", "phone"])
def seats(request, visitor, turn_clock, nurse, prescriber, director, signed_policy):
    """The director, the prescriber and a nurse, each at a device."""
    found = {name: visitor(request.param) for name in ("director", "prescriber", "nurse")}
    for name, seat in found.items():
        seat.sign_in(name)
    return found


@pytest.fixture
def on_the_spray(course, prescriber, signed_policy) -> Course:
    intake.choose_programme(
        prescriber, course, condition="TRD", route="IN_ESKETAMINE", setting="clinic"
    )
    course.refresh_from_db()
    return course


def refused(page: Page, words: str) -> None:
    """The sheet stays open and says why."""
    expect(page.locator("dialog[open]")).to_contain_text(words)


def device(page: Page, *, scan: str = PACK, left: str = "full", right: str = "full") -> None:
    page.locator("#act-device").click()
    dialog = page.locator("dialog[open]")
    expect(dialog.locator('[name="scan"]')).to_be_visible()
    dialog.locator('[name="scan"]').fill(scan)
    dialog.locator(f'input[name="left"][value="{left}"]').check()
    dialog.locator(f'input[name="right"][value="{right}"]').check()
    dialog.get_by_role("button", name="Taken").click()


def certify_and_enrol(seats: dict[str, Visitor], course: Course, prescriber) -> None:
    seat = seats["director"]
    page = seat.open("/rems/")
    says(page, "Not certified.")
    for label, text in (
        ("Number of the certificate", "REMS-0001"),
        ("Name of the site", "Example Clinic"),
        ("Address", "1 Example Street"),
        ("Authorised representative", "Dana Example"),
    ):
        page.get_by_label(label).fill(text)
    press(page, "Record the certification")
    says(page, "Certified")
    seat = seats["nurse"]
    page = seat.open("/rems/")
    says(page, "not enrolled")
    seat.look("spray-rems")
    page.get_by_role("link", name=re.compile("Enrol")).first.click()
    page.get_by_label("Enrolment form signed by").select_option(str(prescriber.pk))
    press(page, "Record the enrolment")
    says(page, "Counsel the patient first")
    seat.look("spray-enrolment")
    page.get_by_label("Told of sedation").check()
    press(page, "Record the enrolment")
    says(page, "is enrolled.")


def agree_and_order(seats: dict[str, Visitor], course: Course) -> None:
    seat = seats["nurse"]
    page = seat.open(f"/courses/{course.pk}/consent/")
    says(page, "The safety programme (United States)")
    seat.look("spray-consent")
    page.get_by_label("I have read this").check()
    page.get_by_label("Full name of the patient").fill(str(course.person))
    press(page, "Sign")
    says(page, "The consent is signed.")
    seat = seats["prescriber"]
    page = seat.open(f"/courses/{course.pk}/plan/")
    page.get_by_label("Dose").select_option("84")
    press(page, "Order as Prescriber Example, MD")
    says(page, "84 mg is not open at the next session; 56 mg is.")
    page.get_by_label("Dose").select_option("56")
    press(page, "Order as Prescriber Example, MD")
    says(page, "56 mg ÷ 28 mg a device = 2 devices")
    seat.look("spray-plan")
    seat = seats["nurse"]
    page = seat.open(f"/people/{course.person_id}/")
    page.get_by_role("link", name="Check the dose").click()
    page.get_by_label("Dose").fill("56")
    page.get_by_label("Devices", exact=True).fill("2")
    seat.look("spray-verify")
    press(page, "Confirm as Session nurse Example, RN")
    says(page, "The plan is in force.")


def take_a_chair(seats: dict[str, Visitor], course: Course, nurse) -> Session:
    services.add_chair(nurse, name="Chair 1")
    planned = course.planned_sessions.get(number=1)
    planned.planned_for = planned.plan.ordered_at  # a weekend may have pushed the day on
    planned.save(update_fields=["planned_for"])
    seat = seats["nurse"]
    page = seat.open("/today/")
    says(page, "in 2 devices of 28 mg")
    page.get_by_role("button", name=re.compile("Arrived")).first.click()
    page.wait_for_url(re.compile("/sessions/"))
    for item in library().monitoring["IN_ESKETAMINE"].presession:
        page.get_by_label(item.question).check()
        for wait in item.waits:
            page.locator(f'[name="none_{wait.fact}"]').check()
    high = {**CALM, "systolic_mmhg": 165, "diastolic_mmhg": 100, "weight_kg": 82}
    for name, value in {
        **high,
        "escort_name": "Ines Example",
        "medicines_today": "none",
    }.items():
        page.locator(f'[name="{name}"]').fill(str(value))
    seat.look("spray-check")
    press(page, "Complete the check")
    session = Session.objects.get()
    page.wait_for_url(re.compile(rf"/sessions/{session.pk}/$"))
    expect(page.locator("#pump")).to_contain_text("the prescriber decides before the start")
    expect(page.locator("#act-device")).to_have_count(0)
    seat.look("spray-high-pressure")
    return session


def decide(seats: dict[str, Visitor], session: Session) -> None:
    seat = seats["prescriber"]
    page = seat.open(f"/sessions/{session.pk}/")
    page.locator("#act-go-on").click()
    dialog = page.locator("dialog[open]")
    dialog.locator('[name="reason"]').fill("Rested; 138/86 by hand.")
    dialog.get_by_role("button", name="Go on").click()
    expect(page.locator("#log")).to_contain_text("Prescriber: go on. Rested; 138/86 by hand.")


def take_the_devices(seats: dict[str, Visitor], session: Session, turn_clock) -> None:
    seat = seats["nurse"]
    page = seat.open(f"/sessions/{session.pk}/")
    device(page, scan=PACK.replace("290131", "200131"))
    refused(page, "Expired on 31 January 2020")
    page.keyboard.press("Escape")
    device(page)
    expect(page.locator("#pump")).to_contain_text("1 of 2 taken")
    expect(page.locator("#pump .countdown")).to_have_text(re.compile(r"^[45]:\d\d$"))
    seat.look("spray-one-taken")
    turn_clock.forward(minutes=2)
    device(page, scan=PACK.replace("S1", "S2"))
    refused(page, "Too early: 2 min since the device before")
    seat.look("spray-too-early")
    turn_clock.forward(minutes=3)
    page.locator("dialog[open]").get_by_role("button", name="Taken").click()
    expect(page.locator("#pump")).to_contain_text("All taken")
    attempts = Event.objects.filter(stream=session.stream, kind="session.attempt_refused")
    assert [event.data["act"] for event in attempts] == ["device 1", "device 2"]


def watch_and_go_home(seats: dict[str, Visitor], session: Session, nurse, turn_clock) -> None:
    seat = seats["nurse"]
    page = seat.page

    def read(*waits: float) -> None:
        for wait in waits:
            turn_clock.forward(minutes=wait)
            services.record_vitals(nurse, session, **CALM)
            services.record_observation(
                nurse, session, sedation_moaas=5, dissociation_0_10=0, nausea_0_10=0
            )

    read(20, 20, 20, 20, 10)
    page = seat.open(f"/sessions/{session.pk}/")
    expect(page.locator("#due")).to_contain_text("138/82")
    seat.look("spray-watched")
    press(page, "Low light")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    seat.look("spray-watched-low-light")
    press(page, "Paper")
    for words in ("At least 2 hours since the first device", "is discharged"):
        page = seat.open(f"/sessions/{session.pk}/discharge/")
        for criterion in library().discharge["IN_ESKETAMINE"].criteria:
            if criterion.question:
                page.get_by_label(criterion.question).check()
        page.locator('[name="escort_name"]').fill("Ines Example")
        press(page, "Discharge")
        says(page, words)
        if "discharged" not in words:
            seat.look("spray-too-early-home")
            read(10, 21)
    session.refresh_from_db()
    assert session.phase == Phase.DISCHARGED


def send_the_form(seats: dict[str, Visitor], session: Session) -> None:
    seat = seats["nurse"]
    page = seat.open("/rems/")
    page.get_by_role("link", name=re.compile("the form of")).first.click()
    page.wait_for_url(re.compile("monitoring-form"))
    seat.look("spray-form")
    for name, value in {
        "opioid": "no",
        "sedative_hypnotic": "no",
        "vitals_ok_before": "yes",
        "vitals_ok_after": "yes",
    }.items():
        page.locator(f'input[name="{name}"][value="{value}"]').check()
    page.locator('[name="ready_after_min"]').fill("90")
    page.locator('[name="provider_telephone"]').fill("555-0100")
    page.locator('[name="provider_email"]').fill("nurse@clinic.example")
    press(page, "Answer as Session nurse Example, RN")
    says(page, "Answered. Now it can be sent.")
    seat.look("spray-form-answered")
    for kind in ("monitoring.pdf", "monitoring/data.json", "monitoring/data.csv", "note.pdf"):
        answer = page.request.get(f"{seat.server}/sessions/{session.pk}/{kind}")
        assert answer.status == 200, answer.text()[:300]
    page.get_by_label("How, with the number of the confirmation").fill("online, 4711")
    press(page, "It was sent")
    says(page, "Kept: the form was sent.")
    assert MonitoringForm.objects.get().sent_how == "online, 4711"


def test_a_course_of_the_spray_from_enrolment_to_the_form(
    seats, on_the_spray, nurse, prescriber, turn_clock
):
    course = on_the_spray
    certify_and_enrol(seats, course, prescriber)
    nothing_found(course, nurse)
    intake.sign_screening(prescriber, course, outcome="eligible")
    course.refresh_from_db()
    agree_and_order(seats, course)
    session = take_a_chair(seats, course, nurse)
    decide(seats, session)
    take_the_devices(seats, session, turn_clock)
    watch_and_go_home(seats, session, nurse, turn_clock)
    send_the_form(seats, session)
    course.refresh_from_db()
    assert course.stage == Stage.TREATMENT
    assert record.verify().intact


def test_who_is_not_enrolled_gets_no_chair(visitor, spray_planned, nurse, turn_clock):
    course = spray_planned
    services.add_chair(nurse, name="Chair 1")
    planned = course.planned_sessions.get(number=1)
    planned.planned_for = clock.now()
    planned.save(update_fields=["planned_for"])
    seat = visitor("phone")
    seat.sign_in("nurse")
    page = seat.open("/today/")
    expect(page.get_by_role("button", name=re.compile("Arrived"))).to_be_visible()
    enrolment = course.person.rems_enrolments.get()
    rems.end_enrolment(nurse, enrolment, ended_on=clock.today(), reason="Asked to leave.")
    page.get_by_role("button", name=re.compile("Arrived")).first.click()
    says(page, "not enrolled in the esketamine REMS")
    expect(page.get_by_role("link", name="Not enrolled")).to_be_visible()
    seat.look("spray-not-enrolled")
    assert not Session.objects.exists()
    assert Event.objects.filter(kind="sessions.open_refused").count() == 1
