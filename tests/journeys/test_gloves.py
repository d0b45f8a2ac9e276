"""A nurse in gloves at a tablet: what is tapped in a session is large and stands apart."""

import itertools

import pytest
from playwright.sync_api import expect

from openketamine.clinic.record.models import Event
from openketamine.clinic.sessions import services

from .test_sessions import fresh_calls, running, session  # noqa: F401

# What is tapped, and how far the edges of two neighbours lie apart at least, in CSS pixels.
LEAST, APART = 48, 4
TAPPED = "a, button, select, textarea, label:has(input), input"
# The bar with Save lies over what scrolls beneath it, and is looked at apart from it.
MEASURE = """([within, tapped]) => [...document.querySelectorAll(within)]
  .flatMap((part) => [...part.querySelectorAll(tapped)])
  .filter((e) => e.getClientRects().length && (e.matches("label") || !e.closest("label")))
  .map((e) => {
    const {x, y, width, height} = e.getBoundingClientRect();
    const what = (e.innerText || e.name).trim();
    return {what, bar: !!e.closest(".buttons"), x, y, width, height};
  })"""


def wanting(page, within: str) -> list[str]:
    """Which targets are too small, or stand too near to one another."""
    found = page.evaluate(MEASURE, [within, TAPPED])
    assert found, within
    faults = [
        f"{one['what']}: {one['width']:.0f} x {one['height']:.0f}"
        for one in found
        if min(one["width"], one["height"]) < LEAST
    ]
    for a, b in itertools.combinations(found, 2):
        across = max(a["x"], b["x"]) - min(a["x"] + a["width"], b["x"] + b["width"])
        down = max(a["y"], b["y"]) - min(a["y"] + a["height"], b["y"] + b["height"])
        if a["bar"] == b["bar"] and max(across, down) < APART:
            faults.append(f"{a['what']} and {b['what']} are {max(across, down):.0f} apart")
    return faults


@pytest.mark.parametrize("size", [(1024, 768), (390, 844)], ids=str)
def test_a_session_on_a_tablet_with_gloves_on(visitor, running, nurse, turn_clock, size):  # noqa: F811
    turn_clock.forward(minutes=10)
    services.record_vitals(nurse, running, systolic_mmhg=183, diastolic_mmhg=92, spo2_percent=97)
    seat = visitor("tablet")
    seat.page.set_viewport_size({"width": size[0], "height": size[1]})
    seat.sign_in("nurse")
    page = seat.open(f"/sessions/{running.pk}/")
    expect(page.locator("#alerts .alert").first).to_be_visible()
    faults = {"screen": wanting(page, "#pump, #alerts, #sound")}
    for act in ("Vitals", "How is it?", "Side effect", "Medicine", "Note", "Emergency"):
        page.get_by_role("link", name=act, exact=True).tap()
        expect(page.locator("dialog.sheet[open] form")).to_be_visible()
        faults[act] = wanting(page, "dialog.sheet[open]")
        page.keyboard.press("Escape")
    said = [f"{where}: {what}" for where, whats in faults.items() for what in whats]
    assert not said, "\n".join(said)
    # Three taps, no keyboard, and the pump stands still.
    page.get_by_role("link", name="Pause").tap()
    expect(page.locator("dialog.sheet[open] .taps")).to_be_visible()
    assert not wanting(page, "dialog.sheet[open]")
    bottom, top = page.evaluate(
        """() => [".taps", ".buttons"].map((part, n) => document.querySelector(`#sheet ${part}`)
            .getBoundingClientRect()[n ? "top" : "bottom"])"""
    )
    assert bottom <= top  # the reasons stand whole above Save
    seat.look(f"gloves-{size[0]}")
    page.get_by_role("button", name="bathroom").tap()
    page.get_by_role("button", name="Pause now").tap()
    expect(page.locator("#pump .state")).to_have_text("Paused")
    page.get_by_role("link", name="Acknowledge").first.tap()
    page.get_by_role("button", name="measuring again").tap()
    page.locator("dialog.sheet[open] .buttons button").tap()
    expect(page.locator("#alerts .alert.quiet")).to_contain_text("measuring again")
    (paused,) = Event.objects.filter(kind="session.infusion_paused")
    assert paused.data["reason"] == "bathroom"
