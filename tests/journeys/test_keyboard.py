"""The main acts of a day by keyboard alone: the focus is always seen, and never lost."""

import re

from playwright.sync_api import Page, expect

# The element in focus: its words, whether its outline is seen, and whether something lies over it.
FOCUS = """() => {
  const on = document.activeElement;
  if (!on || on === document.body) return {name: "", lost: true};
  const box = on.getBoundingClientRect(), style = getComputedStyle(on);
  const label = on.labels?.[0]?.textContent ?? "";
  const inset = Math.min(6, box.height / 2);
  const points = [[0.5, 0.5], [0.1, 0.5], [0.9, 0.5]].map(([x, y]) =>
    document.elementFromPoint(box.x + box.width * x, box.y + inset + (box.height - 2 * inset) * y));
  return {
    name: (on.getAttribute("aria-label") ?? (label || on.textContent)).trim().replace(/\\s+/g, " "),
    id: on.id, lost: false,
    outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    seen: points.some((p) => p && (on.contains(p) || p.contains(on))),
    tag: on.tagName,
  };
}"""


def focus(page: Page) -> dict[str, object]:
    """What has the focus, after it was seen that it has it and can be seen to."""
    found = page.evaluate(FOCUS)
    for _ in range(15):  # an entry that was just made may still be on its way back
        if found["lost"] or not found["seen"]:
            page.wait_for_timeout(200)
            found = page.evaluate(FOCUS)
    assert not found["lost"], "the focus is lost"
    if found["tag"] != "IFRAME":
        assert found["outlined"], f"no outline on {found}"
        assert found["seen"], f"hidden behind something: {found}"
    return found


def tab_to(page: Page, name: str, *, key: str = "Tab", at_most: int = 120) -> None:
    """Press Tab until what is named has the focus; every stop on the way must be visible."""
    stops = []
    for _ in range(at_most):
        page.keyboard.press(key)
        stops.append(page.evaluate(FOCUS)["name"])
        if stops[-1] and re.search(name, stops[-1]):
            focus(page)
            return
        if stops[-1]:
            focus(page)
    raise AssertionError(f"{name} is not reached by {key}: {stops}")


def sign_in(seat, username: str) -> Page:
    page = seat.open("/account/login/")
    page.emulate_media(reduced_motion="reduce")  # and so scrolled at once
    tab_to(page, "Sign-in name")
    page.keyboard.type(username)
    tab_to(page, "Password")
    page.keyboard.type("a long enough password")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/account/login" not in url)
    return page


def test_a_nurse_runs_a_session_by_keyboard_alone(visitor, ready, nurse, person):
    page = sign_in(visitor("desktop"), "nurse")
    page.keyboard.press("Tab")
    assert focus(page)["name"] == "Skip to the content"
    page.keyboard.press("Enter")
    tab_to(page, re.escape(str(ready.chair)))
    # To a patient and back, by the row and by the menu.
    tab_to(page, "^People$", key="Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/people/")
    tab_to(page, f"{person.family_name}, {person.given_name}")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/people/{person.pk}/")
    tab_to(page, "^More$")
    page.keyboard.press("Enter")
    tab_to(page, "^Evidence$")
    page.keyboard.press("Escape")
    assert focus(page)["name"] == "More"
    tab_to(page, "^Today$", key="Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/today/")
    tab_to(page, re.escape(str(ready.chair)))
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/sessions/{ready.pk}/")

    tab_to(page, "Start infusion")
    page.keyboard.press("Enter")
    sheet = page.locator("dialog.sheet[open]")
    expect(sheet).to_be_visible()
    expect(sheet.locator(":focus")).to_have_count(1)
    focus(page)
    tab_to(page, "^Start", at_most=6) if "Start" not in str(focus(page)["name"]) else None
    page.keyboard.press("Enter")
    expect(page.locator("#pump")).to_contain_text("Running")
    expect(page.locator("#pump .button:focus")).to_have_count(1)

    page.keyboard.press("v")
    expect(sheet.locator('[name="systolic_mmhg"]')).to_be_focused()
    page.keyboard.press("Escape")
    expect(sheet).to_have_count(0)
    assert focus(page)["id"] == "act-vitals"
    page.keyboard.press("Enter")
    expect(sheet.locator('[name="systolic_mmhg"]')).to_be_focused()
    for value in ("192", "112", "96", "97"):
        page.keyboard.type(value)
        page.keyboard.press("Tab")
        focus(page)
    page.keyboard.press("Enter")
    alert = page.locator("#alerts .alert:not(.quiet)").first
    expect(alert).to_be_visible()
    expect(page.locator("#act-vitals")).to_be_focused()

    open_alerts = page.locator("#alerts .alert:not(.quiet)").count()
    page.keyboard.press("a")
    reason = sheet.locator('[name="reason"]')
    expect(reason).to_be_focused()
    page.keyboard.type("Labetalol given, cuff moved")
    tab_to(page, "^Acknowledge", at_most=6)
    page.keyboard.press("Enter")
    expect(page.locator("#alerts .alert:not(.quiet)")).to_have_count(open_alerts - 1)
    expect(page.locator("#alerts a:focus, #pump .button:focus")).to_have_count(1)
    focus(page)

    # The list of keys holds the focus while it is open, and gives it back.
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    for _ in range(6):
        page.keyboard.press("Tab")
        assert page.evaluate(
            "document.activeElement === document.body || !!document.activeElement.closest('#keys')"
        )
    page.keyboard.press("Escape")
    expect(page.locator("#alerts a:focus, #pump .button:focus")).to_have_count(1)

    page.keyboard.press("x")
    expect(sheet).to_be_visible()
    page.keyboard.type("Blood pressure")
    tab_to(page, "^Stop", at_most=12)
    page.keyboard.press("Enter")
    expect(page.locator("#pump")).to_contain_text("Ended")
    focus(page)


def test_single_keys_can_be_turned_off_for_a_device(visitor, ready, nurse):
    seat = visitor("desktop")
    seat.sign_in("nurse")
    page = seat.open(f"/sessions/{ready.pk}/")
    page.get_by_role("button", name="Keys of this screen").press("Enter")
    page.get_by_role("button", name="Turn the single keys off").press("Enter")
    page.keyboard.press("Escape")
    page.reload()
    page.keyboard.press("v")
    page.keyboard.press("?")
    expect(page.locator("dialog[open]")).to_have_count(0)
    page.get_by_role("button", name="Keys of this screen").press("Enter")
    page.get_by_role("button", name="Turn the single keys on").press("Enter")
    page.keyboard.press("Escape")
    page.locator("body").press("v")
    expect(page.locator("dialog.sheet[open]")).to_be_visible()


def test_a_patient_walks_the_own_pages_by_keyboard_alone(
    visitor, planned_course, patient_user, person
):
    person.user = patient_user
    person.save()
    page = sign_in(visitor("phone"), "patient")
    page.wait_for_url("**/me/")
    tab_to(page, "^7")
    page.keyboard.press("Enter")
    expect(page.get_by_text("7 of 10").or_(page.get_by_role("status")).first).to_be_visible()
    for name in ("What to expect", "Messages to my care team", "Documents", "Reminders"):
        page.goto(page.url.split("/me/")[0] + "/me/")
        tab_to(page, name)
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: not url.endswith("/me/"))
        tab_to(page, "My page")
        tab_to(page, "Help now")
        page.keyboard.press("Enter")
        expect(page.locator(".help-here[open]")).to_be_visible()
        tab_to(page, r"\d")
