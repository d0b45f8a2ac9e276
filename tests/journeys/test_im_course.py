"""An injection in a browser, from the order to follow-up, and one that ends in hospital.

On a desktop and on a phone.
"""

import re

import pytest
from playwright.sync_api import expect

from openketamine.clinic.people.models import Course, Stage
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import services as record
from openketamine.clinic.sessions import services
from openketamine.clinic.sessions.models import Phase, Session

from .conftest import Visitor
from .test_iv_course import press, says, sheet

CALM = {
    "systolic_mmhg": 130,
    "diastolic_mmhg": 80,
    "heart_rate_bpm": 74,
    "spo2_percent": 98,
}
SYRINGE = {"volume_ml": "0.82", "concentration_mg_per_ml": "50"}


@pytest.fixture(params=["desktop", "phone"])
def seats(request, visitor, turn_clock, im_consented, second_nurse) -> dict[str, Visitor]:
    """The prescriber and two nurses, each at a device."""
    found = {name: visitor(request.param) for name in ("prescriber", "nurse", "nurse2")}
    for name, seat in found.items():
        seat.sign_in(name)
    return found


def order(seats: dict[str, Visitor], course: Course) -> None:
    seat = seats["prescriber"]
    page = seat.open(f"/courses/{course.pk}/consent/")
    says(page, "Consent to ketamine into a muscle for depression")
    seat.look("im-consent")
    page = seat.open(f"/courses/{course.pk}/plan/")
    expect(page.locator('[name="duration_min"]')).to_have_count(0)
    page.get_by_label("Dose").fill("2")
    press(page, "Order as Prescriber Example, MD")
    says(page, "outside the clinic's policy")
    page.get_by_label("Dose").fill("0.5")
    page.get_by_label("Vial").select_option("50.0")
    press(page, "Order as Prescriber Example, MD")
    says(page, "41.0 mg ÷ 50 mg/mL = 0.82 mL")
    seat.look("im-plan-ordered")
    seat = seats["nurse"]
    page = seat.open(f"/people/{course.person_id}/")
    page.get_by_role("link", name="Check the dose").click()
    expect(page.locator("main")).not_to_contain_text("0.82")
    page.get_by_label("Dose").fill("41")
    page.get_by_label("Volume").fill("0.82")
    seat.look("im-check")
    press(page, "Confirm as Session nurse Example, RN")
    says(page, "The plan is in force.")


def take_a_chair(seats: dict[str, Visitor], course: Course, nurse) -> Session:
    services.add_chair(nurse, name="Chair 1")
    planned = course.planned_sessions.get()
    planned.planned_for = planned.plan.ordered_at  # a weekend may have pushed the day on
    planned.save(update_fields=["planned_for"])
    seat = seats["nurse"]
    page = seat.open("/today/")
    says(page, "41 mg IM")
    page.get_by_role("button", name=re.compile("Arrived")).first.click()
    page.wait_for_url(re.compile("/sessions/"))
    for item in library().monitoring["IM"].presession:
        page.get_by_label(item.question).check()
    before = {
        **CALM,
        "weight_kg": 82,
        "escort_name": "Ines Example",
        "medicines_today": "none",
    }
    for name, value in before.items():
        page.locator(f'[name="{name}"]').fill(str(value))
    page.locator('main form button:not([type="button"])').last.click()
    session = Session.objects.get()
    page.wait_for_url(re.compile(rf"/sessions/{session.pk}/$"))
    return session


def inject(seats: dict[str, Visitor], session: Session) -> None:
    seat = seats["nurse"]
    page = seat.page
    sheet(page, "Draw up the dose", {**SYRINGE, "lot": "KX-12"})
    says(page, "has drawn up the dose")
    second = seats["nurse2"]
    second.open(f"/sessions/{session.pk}/")
    sheet(second.page, "Check the syringe", SYRINGE)
    expect(second.page.locator("#pump")).to_contain_text("Inject")
    page.reload()
    sheet(page, "Inject", {"dose_mg": "41", "site": "deltoid left"})
    expect(page.locator("#pump")).to_contain_text("Injected")
    expect(page.locator("#log")).to_contain_text("Injected 41 mg = 0.82 mL, deltoid left")
    seat.look("im-injected")


def test_an_injection_from_the_order_to_follow_up(seats, im_consented, nurse, turn_clock):
    course = im_consented
    order(seats, course)
    session = take_a_chair(seats, course, nurse)
    inject(seats, session)
    for wait in (5, 5, 5, 15, 15, 15, 30, 29):  # the times of the schedule
        turn_clock.forward(minutes=wait)
        services.record_vitals(nurse, session, **CALM)
        services.record_observation(
            nurse, session, sedation_moaas=5, dissociation_0_10=1, nausea_0_10=0
        )
    seat = seats["nurse"]
    page = seat.open(f"/sessions/{session.pk}/discharge/")
    says(page, "At least 2 hours since the injection")
    seat.look("im-discharge-too-early")
    press(page, "Discharge")
    says(page, "Not yet")
    turn_clock.forward(minutes=2)
    page = seat.open(f"/sessions/{session.pk}/discharge/")
    for criterion in library().discharge["IM"].criteria:
        if criterion.question:
            page.get_by_label(criterion.question).check()
    page.locator('[name="escort_name"]').fill("Ines Example")
    press(page, "Discharge")
    says(page, "is discharged")
    seat.look("im-discharged")
    for name in ("note", "aftercare"):
        answer = page.request.get(f"{seat.server}/sessions/{session.pk}/{name}.pdf")
        assert answer.status == 200, answer.text()[:300]
        assert answer.body().startswith(b"%PDF")
    course.refresh_from_db()
    assert course.stage == Stage.FOLLOW_UP
    assert record.verify().intact


@pytest.mark.parametrize("device", ["desktop", "phone"])
def test_an_injection_that_ends_in_hospital(visitor, device, turn_clock, im_injected, nurse):
    session = im_injected
    turn_clock.forward(minutes=4)
    services.call_emergency(nurse, session, sign="chest_pain")
    seat = visitor(device)
    seat.sign_in("nurse")
    page = seat.open(f"/sessions/{session.pk}/")
    page.locator("#act-more").click()
    dialog = page.locator("dialog[open]")
    dialog.get_by_text("Transfer to hospital").click()
    expect(dialog.locator('[name="accompanied_by"]')).to_be_visible()
    seat.look("im-transfer")
    dialog.locator('[name="where"]').fill("Example General")
    dialog.locator('[name="why"]').fill("chest pain after the injection")
    dialog.locator('[name="accompanied_by"]').fill("ambulance crew, sister")
    dialog.get_by_role("button", name="Transferred").click()
    expect(page.locator("#home")).to_contain_text("to Example General, with ambulance crew, sister")
    page.reload()
    seat.look("im-transferred")
    session.refresh_from_db()
    assert session.phase == Phase.TRANSFERRED
    assert record.verify().intact
