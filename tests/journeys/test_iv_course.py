"""One patient from referral to follow-up, in a browser, on a desktop and on a phone."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from openketamine.clinic.accounts.models import Role
from openketamine.clinic.outcomes.models import FormRequest
from openketamine.clinic.people.models import Course, Person, Stage
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event
from openketamine.clinic.sessions.models import Phase, Session

from ..clinic.conftest import make_user

BUNDLE = "1238686-bundle.json"  # a young woman; one of the real referrals


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).first.click()


def choose(page: Page, **answers: object) -> None:
    for name, value in answers.items():
        page.locator(f'input[name="{name}"][value="{value}"]').check()


def says(page: Page, text: str) -> None:
    expect(page.get_by_text(text).first).to_be_visible()


class Clinic:
    """The people of one journey, each at a device of their own."""

    def __init__(self, visitor, device: str) -> None:
        self.device = device
        self.visitor = visitor
        self.seats = {}
        for role in Role:
            if role != Role.PATIENT:
                make_user(role)

    def at(self, role: str):
        if role not in self.seats:
            self.seats[role] = self.visitor(self.device)
            self.seats[role].sign_in(role)
        return self.seats[role]


@pytest.mark.parametrize("device", ["desktop", "phone"])
def test_a_patient_is_carried_from_referral_to_follow_up(
    visitor, device, turn_clock, shared_data: Path
):
    clinic = Clinic(visitor, device)
    sign_the_policy(clinic)
    course = refer(clinic, shared_data / "fhir" / BUNDLE)
    ask(clinic, course)
    review_safety(clinic, course)
    take_history(clinic, course)
    screen(clinic, course)
    consent(clinic, course)
    plan(clinic, course)
    session = open_session(clinic, course)
    infuse(clinic, session, turn_clock)
    go_home(clinic, session, turn_clock)
    follow_up(clinic, course, session, turn_clock)
    assert record.verify().intact


def sign_the_policy(clinic: Clinic) -> None:
    seat = clinic.at("director")
    page = seat.open("/policy/")
    says(page, "Not signed.")
    seat.look("policy")
    press(page, "Sign the policy")
    says(page, "In force.")


def refer(clinic: Clinic, bundle: Path) -> Course:
    seat = clinic.at("coordinator")
    page = seat.open("/referrals/import/")
    page.get_by_label("FHIR R4 bundles (JSON)").set_input_files(
        [
            {"name": name, "mimeType": "application/json", "buffer": content}
            for name, content in ((bundle.name, bundle.read_bytes()), ("broken.json", b"{"))
        ]
    )
    press(page, "Import")
    says(page, "not JSON")
    seat.look("referral-imported")
    person = Person.objects.get()
    page.get_by_role("link", name=str(person)).click()
    says(page, f"MRN {person.mrn}")
    expect(page.get_by_role("link", name="Screening").first).to_be_visible()
    seat.look("patient-referred")
    return person.courses.get()


def ask(clinic: Clinic, course: Course) -> None:
    seat = clinic.at("coordinator")
    page = seat.open(f"/people/{course.person_id}/measure/")
    page.get_by_label("Weight").fill("7")
    press(page, "Keep")
    says(page, "not possible for an adult")
    page.get_by_label("Weight").fill("82")
    page.get_by_label("Height").fill("170")
    page.get_by_label("Systolic").fill("128")
    page.get_by_label("Diastolic").fill("79")
    press(page, "Keep")
    says(page, "Measured and kept.")
    page = seat.open(f"/courses/{course.pk}/team/")
    page.get_by_label("Prescriber").select_option(label="Prescriber Example, MD")
    press(page, "Assign")
    page = seat.open(f"/courses/{course.pk}/questionnaires/gad7/")
    choose(page, **{f"q{n}": 1 for n in range(1, 8)})
    press(page, "Keep")
    says(page, "GAD-7: 7, mild.")
    page = seat.open(f"/courses/{course.pk}/questionnaires/phq9/")
    seat.look("phq9")
    choose(page, **{f"q{n}": 2 for n in range(1, 9)}, q9=1)
    press(page, "Keep")
    says(page, "Safety review")


def review_safety(clinic: Clinic, course: Course) -> None:
    """Item 9 above zero: nothing else can be done before a clinician has looked."""
    seat = clinic.at("coordinator")
    page = seat.open(f"/courses/{course.pk}/history/")
    before = Event.objects.count()
    press(page, "Keep")
    says(page, "A safety review is open")
    assert Event.objects.count() == before
    seat = clinic.at("nurse")
    page = seat.open(f"/people/{course.person_id}/")
    page.get_by_role("link", name="Record the review").first.click()
    seat.look("safety-review")
    choose(page, outcome="safe")
    page.get_by_label("What you asked, heard and did").fill(
        "Passive thoughts, no plan; safe today."
    )
    press(page, "Record, signed Session nurse Example, RN")
    says(page, "The safety review is recorded.")


def take_history(clinic: Clinic, course: Course) -> None:
    seat = clinic.at("coordinator")
    page = seat.open(f"/courses/{course.pk}/history/")
    seat.look("history")
    for radio in page.locator('input[type="radio"][value="no"]').all():
        radio.check()
    choose(page, hepatic_impairment="none", substance_use_disorder="yes")
    press(page, "Keep")
    says(page, "The history is kept.")
    for test in ("pregnancy_test", "urine_drug_screen"):
        page = seat.open(f"/courses/{course.pk}/tests/{test}/")
        choose(page, value="negative")
        press(page, "Keep")
        says(page, "is kept.")
    seat.open(f"/courses/{course.pk}/tests/")
    seat.look("tests")
    for drug in ("Sertraline", "Venlafaxine"):
        page = seat.open(f"/courses/{course.pk}/trials/new/")
        page.get_by_label("Drug", exact=True).fill(drug)
        page.get_by_label("Highest dose").fill("150")
        page.get_by_label("What came of it").select_option("no_response")
        choose(page, in_this_episode="yes", adequate_dose="yes", adequate_duration="yes")
        page.get_by_label("Known from").fill("Letter of the referrer")
        seat.look("trial-new")
        press(page, "Keep")
        says(page, "The trial is kept.")
    seat.look("trials")


def screen(clinic: Clinic, course: Course) -> None:
    seat = clinic.at("prescriber")
    page = seat.open(f"/courses/{course.pk}/screening/")
    seat.look("screening")
    page = seat.open(f"/courses/{course.pk}/routes/")
    says(page, "Routes side by side")
    seat.look("routes")
    page = seat.open(f"/courses/{course.pk}/screening/")
    choose(page, outcome="eligible")
    press(page, "Sign as Prescriber Example, MD")
    says(page, "Decide first about")
    while (waiting := page.locator("details.caution:not(:has(.signature))")).count():
        finding = waiting.first
        if finding.get_attribute("open") is None:
            finding.locator("summary").click()
        finding.get_by_label("Reason").fill("Discussed; benefit outweighs the risk.")
        with page.expect_navigation():
            finding.get_by_role("button", name="Proceed").click()
    choose(page, outcome="eligible")
    press(page, "Sign as Prescriber Example, MD")
    says(page, "The screening is signed.")
    seat.open(f"/courses/{course.pk}/screening/")
    seat.look("screening-signed")


def consent(clinic: Clinic, course: Course) -> None:
    seat = clinic.at("nurse")
    page = seat.open(f"/courses/{course.pk}/consent/")
    seat.look("consent")
    page.get_by_label("Full name of the patient").fill("Somebody Else")
    page.get_by_label("I have read this").check()
    press(page, "Sign")
    says(page, "Type the full name as it stands in the chart")
    page.get_by_label("Full name of the patient").fill(str(course.person))
    page.get_by_label("I have read this").check()
    press(page, "Sign")
    says(page, "The consent is signed.")


def plan(clinic: Clinic, course: Course) -> None:
    seat = clinic.at("prescriber")
    page = seat.open(f"/courses/{course.pk}/plan/")
    page.get_by_label("Dose").fill("2")
    press(page, "Order as Prescriber Example, MD")
    says(page, "outside the clinic's policy")
    assert not course.plans.exists()
    page.get_by_label("Dose").fill("0.5")
    press(page, "Order as Prescriber Example, MD")
    says(page, "0.5 mg/kg × 82 kg = 41 mg")
    seat.look("plan-ordered")
    seat = clinic.at("nurse")
    page = seat.open(f"/people/{course.person_id}/")
    page.get_by_role("link", name="Check the dose").click()
    page.get_by_label("Dose").fill("41")
    page.get_by_label("Volume").fill("0.41")
    press(page, "Confirm as Session nurse Example, RN")
    says(page, "is not the ordered one")
    seat.look("dose-check-failed")
    page.get_by_label("Dose").fill("41")
    page.get_by_label("Volume").fill("4.1")
    press(page, "Confirm as Session nurse Example, RN")
    says(page, "The plan is in force.")
    course.refresh_from_db()
    assert course.stage == Stage.TREATMENT
    assert course.planned_sessions.filter(cancelled_at=None).count() == 6


def open_session(clinic: Clinic, course: Course) -> Session:
    first = course.planned_sessions.first()
    seat = clinic.at("nurse")
    page = seat.open(f"/planned/{first.pk}/")  # a weekend may have pushed the first day on
    if page.get_by_label("Day and time").count():
        today = clock.today()
        page.get_by_label("Day and time").fill(f"{today:%Y-%m-%d}T12:00")
        press(page, "Move")
    page = seat.open("/today/")
    if not page.get_by_label("Name of the chair").is_visible():
        page.locator("summary", has_text="Set up a chair").click()
    page.get_by_label("Name of the chair").fill("Chair 1")
    page.get_by_label("Name of the chair").press("Enter")
    says(page, "Chair 1")
    seat.look("today-arrivals")
    page.get_by_role("button", name=re.compile("Arrived")).first.click()
    page.wait_for_url(re.compile("/sessions/"))
    return Session.objects.get()


def check(page: Page, **changes: str) -> None:
    for item in library().monitoring["IV"].presession:
        page.get_by_label(item.question).check()
    values = {
        "weight_kg": "82",
        "systolic_mmhg": "128",
        "diastolic_mmhg": "79",
        "heart_rate_bpm": "72",
        "spo2_percent": "98",
        "escort_name": "Ines Example",
        "medicines_today": "none",
        **changes,
    }
    for name, value in values.items():
        page.locator(f'[name="{name}"]').fill(value)
    page.locator('main form button:not([type="button"])').last.click()


def sheet(page: Page, button: str, fill: dict[str, str], send: str | None = None) -> None:
    """Open an entry sheet, fill it in and send it."""
    page.locator("#pump").get_by_text(button, exact=True).click()
    dialog = page.locator("dialog[open]")
    expect(dialog).to_be_visible()
    for name, value in fill.items():
        field = dialog.locator(f'[name="{name}"]')
        if field.first.get_attribute("type") == "radio":
            dialog.locator(f'[name="{name}"][value="{value}"]').check()
        else:
            field.fill(value)
    dialog.locator('button[type="submit"], form button:not([type="button"])').last.click()


def draw_up(clinic: Clinic, session: Session) -> None:
    """One draws the dose up, another reads the syringe."""
    page = clinic.at("nurse").page
    syringe = {"volume_ml": "4.1", "concentration_mg_per_ml": "10"}
    sheet(page, "Draw up the dose", {**syringe, "lot": "KX-12"})
    says(page, "has drawn up the dose")
    seat = clinic.at("prescriber")
    page = seat.open(f"/sessions/{session.pk}/")
    sheet(page, "Check the syringe", {**syringe, "volume_ml": "0.41"})
    says(page, "not what was written down")
    page.locator("dialog.sheet").get_by_role("button", name="Close").click()
    sheet(page, "Check the syringe", syringe)
    expect(page.locator("#pump")).to_contain_text("Start infusion")


def infuse(clinic: Clinic, session: Session, turn_clock) -> None:
    seat = clinic.at("nurse")
    page = seat.open(f"/sessions/{session.pk}/check/")
    seat.look("pre-session-check")
    check(page, systolic_mmhg="1200")
    says(page, "Systolic 1200 mmHg is not possible. Enter a value from 40 to 300.")
    check(page)
    page.wait_for_url(re.compile(rf"/sessions/{session.pk}/$"))
    draw_up(clinic, session)
    page.reload()
    sheet(page, "Start infusion", {})
    says(page, "Running")
    seat.look("session-started")
    turn_clock.forward(minutes=10)
    sheet(
        page,
        "Vitals",
        {
            "systolic_mmhg": "141",
            "diastolic_mmhg": "86",
            "heart_rate_bpm": "80",
            "spo2_percent": "98",
        },
    )
    expect(page.locator("#log, .log").first).to_contain_text("141/86")
    sheet(page, "Side effect", {"effect": "nausea", "severity": "mild"})
    sheet(
        page,
        "Medicine",
        {"medicine": "ondansetron", "dose": "4", "route": "IV", "reason": "nausea"},
    )
    sheet(page, "Note", {"text": "Asked for a blanket."})
    expect(page.locator("#log, .log").first).to_contain_text("Asked for a blanket.")
    sheet(page, "Pause", {"reason": "bathroom"})
    says(page, "Paused")
    turn_clock.forward(minutes=5)
    sheet(page, "Resume", {})
    says(page, "Running")
    sheet(page, "Change rate", {"rate_mg_per_h": "30", "reason": "slower, nausea"})
    expect(page.locator("#pump")).to_contain_text("30 mg/h")
    turn_clock.forward(minutes=10)
    sheet(
        page,
        "Vitals",
        {
            "systolic_mmhg": "182",
            "diastolic_mmhg": "96",
            "heart_rate_bpm": "84",
            "spo2_percent": "97",
        },
    )
    says(page, "Systolic 180 mmHg or more")
    seat.look("session-alert")
    low_light(seat)


def low_light(seat) -> None:
    press(seat.page, "Low light")
    expect(seat.page.locator("html")).to_have_attribute("data-theme", "dark")
    seat.look("session-low-light")
    press(seat.page, "Paper")


def go_home(clinic: Clinic, session: Session, turn_clock) -> None:
    seat = clinic.at("nurse")
    page = seat.page
    turn_clock.forward(minutes=70)
    page.reload()
    # The last pressure was far too high, and vital signs are late by now.
    while (waiting := page.locator("#alerts .alert:not(.quiet) a.button")).count():
        before = waiting.count()
        waiting.first.click()
        dialog = page.locator("dialog.sheet[open]")
        dialog.locator('[name="reason"]').fill("Prescriber at the chair; settled.")
        dialog.get_by_role("button", name="Acknowledge").click()
        expect(waiting).to_have_count(before - 1)
    sheet(page, "End: dose has run in", {})
    says(page, "Recovery")
    page.get_by_role("link", name="Going home").click()
    seat.look("discharge-too-early")
    page.locator('[name="escort_name"]').fill("Ines Example")
    page.locator('main form button:not([type="button"])').last.click()
    says(page, "Not yet")
    session.refresh_from_db()
    assert session.phase == Phase.RECOVERY
    turn_clock.forward(minutes=62)
    seat.open(f"/sessions/{session.pk}/")
    sheet(
        page,
        "Vitals",
        {
            "systolic_mmhg": "130",
            "diastolic_mmhg": "80",
            "heart_rate_bpm": "74",
            "spo2_percent": "98",
        },
    )
    page.get_by_role("link", name="Going home").click()
    for criterion in library().discharge["IV"].criteria:
        if criterion.question:
            page.get_by_label(criterion.question).check()
    page.locator('[name="escort_name"]').fill("Ines Example")
    page.locator('main form button:not([type="button"])').last.click()
    says(page, "Discharged")
    session.refresh_from_db()
    assert session.phase == Phase.DISCHARGED
    for name in ("note", "aftercare"):
        answer = page.request.get(f"{seat.server}/sessions/{session.pk}/{name}.pdf")
        assert answer.status == 200, answer.text()[:300]
        assert answer.body().startswith(b"%PDF")


def follow_up(clinic: Clinic, course: Course, session: Session, turn_clock) -> None:
    turn_clock.forward(hours=25)
    nurse = clinic.at("nurse")
    page = nurse.open("/follow-up/")
    nurse.look("follow-up")
    to_form = page.get_by_role("link", name=re.compile("The patient’s link.*PHQ-9"))
    link = to_form.get_attribute("href")
    patient = clinic.visitor("phone")
    page = patient.open(link)
    patient.look("form-start")
    page.get_by_role("link", name="Begin").click()
    patient.look("form-question")
    for _ in range(9):
        press(page, "Several days" if "better off dead" not in page.content() else "Not at all")
    patient.look("form-end")
    press(page, "Send to my clinic")
    says(page, "Thank you")
    patient.look("form-thanks")
    request = FormRequest.objects.get(occasion="24h", instrument="phq9")
    assert request.response.total == 8
    assert request.response.off_window
    turn_clock.forward(days=6)
    week = FormRequest.objects.get(occasion="7d", instrument="phq9")
    page = nurse.open("/follow-up/")
    to_form = page.get_by_role("link", name=re.compile("The patient’s link.*PHQ-9"))
    link = to_form.get_attribute("href")
    page = patient.open(link)
    page.get_by_role("link", name="Begin").click()
    for _ in range(9):
        press(page, "Nearly every day" if "better off dead" in page.content() else "Not at all")
    says(page, "You are not alone with this")
    patient.look("form-crisis")
    press(page, "Send to my clinic")
    says(page, "You are not alone with this")
    week.refresh_from_db()
    assert week.response.total == 3
    assert course.safety_reviews.filter(closed_at=None).count() == 1
    page = nurse.open(f"/people/{course.person_id}/")
    says(page, "Safety review open")
    says(page, "PHQ-9 17 at intake")
    nurse.look("patient-trajectory")
