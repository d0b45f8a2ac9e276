"""A patient and a prescriber weigh the routes; the coordinator fills in what they cost."""

from openketamine.clinic.people import services as people

LOOKED_AT = {"weight_kg": 82.0, "systolic_mmhg": 128, "diastolic_mmhg": 79}


def test_the_routes_are_weighed_side_by_side(
    visitor, course, nurse, prescriber, coordinator, settings
):
    settings.FORECASTS = True
    people.record_measurements(nurse, course.person, LOOKED_AT)
    for device in ("desktop", "phone"):
        office = visitor(device)
        office.sign_in("coordinator")
        page = office.open("/routes/prices/IV/")
        page.get_by_label("Offered here").select_option("yes")
        page.get_by_label("Price of a visit").fill("450")
        office.look("route-price")
        page.get_by_role("button", name="Keep").click()
        page.get_by_text("450.00 USD").first.wait_for()
        office.look("route-prices")
        page = office.open(f"/courses/{course.pk}/routes/IN_ESKETAMINE/cover/")
        page.get_by_label("What the insurer says").select_option("approval")
        page.locator("[name=payer]").fill("Example Mutual")
        office.look("route-cover")
        page.get_by_role("button", name="Keep").click()
        page.get_by_text("Needs prior approval").first.wait_for()
        seat = visitor(device)
        seat.sign_in("prescriber")
        page = seat.open(f"/courses/{course.pk}/routes/")
        page.locator(".multiples").wait_for(timeout=120_000)
        seat.look("routes-side-by-side")


def test_a_claim_is_traced_to_its_study(visitor, nurse):
    for device in ("desktop", "phone"):
        seat = visitor(device)
        seat.sign_in("nurse")
        page = seat.open("/evidence/")
        seat.look("evidence")
        page.get_by_role("link", name="How many people").click()
        page.locator("svg.forest").first.wait_for()
        seat.look("evidence-forest")
