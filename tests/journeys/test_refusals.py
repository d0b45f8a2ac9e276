"""What was refused is seen and read out, on however small a screen."""

from playwright.sync_api import Page, expect


def expect_in_view(page: Page, selector: str) -> None:
    """The focus comes to it, and all of it is within the box that scrolls it and the window."""
    page.wait_for_function(
        """selector => {
          const found = document.activeElement;
          if (!found.matches(selector)) return false;
          const own = found.getBoundingClientRect();
          const box = found.closest("dialog[open]")?.getBoundingClientRect();
          const top = Math.max(box?.top ?? 0, 0);
          const bottom = Math.min(box?.bottom ?? innerHeight, innerHeight);
          return own.top >= top - 1 && own.bottom <= bottom + 1;
        }""",
        arg=selector,
    )


def test_a_refusal_on_a_sheet_comes_into_view_and_takes_the_focus(
    turn_clock, visitor, running, nurse
):
    seat = visitor("phone")
    seat.sign_in("nurse")
    page = seat.open(f"/sessions/{running.pk}/")
    page.get_by_role("link", name="Vitals").first.click()
    sheet = page.locator("dialog.sheet[open]")
    expect(sheet.locator("#sheet-title")).to_contain_text("Vital signs")
    # Nothing is entered: the form as a whole is refused. The sheet was scrolled to its end.
    sheet.evaluate("sheet => sheet.scrollTo(0, sheet.scrollHeight)")
    sheet.locator(".buttons button").first.click()
    alert = sheet.get_by_role("alert").first
    expect(alert).to_be_visible()
    expect_in_view(page, ".form-errors")
    seat.look("refused-sheet")
