"""One session at two tablets, each in the language of the nurse who holds it."""

from playwright.sync_api import expect

from openketamine.clinic.sessions import services

from .test_sessions import fresh_calls, running, session  # noqa: F401


def test_two_nurses_watch_one_session_each_in_their_own_language(
    visitor,
    running,  # noqa: F811
    nurse,
    second_nurse,
):
    second_nurse.language = "es"
    second_nurse.save()
    seats = visitor("desktop"), visitor("phone")
    for seat, username in zip(seats, ("nurse", "nurse2"), strict=True):
        seat.sign_in(username)
        seat.open(f"/sessions/{running.pk}/")
        expect(seat.page.locator("#sound")).to_be_visible()
    english, spanish = (seat.page for seat in seats)
    for page in (english, spanish):
        page.locator("#sound button").click()
    expect(english.locator("#sound")).to_contain_text("alarms are heard on this device")
    expect(spanish.locator("#sound")).to_contain_text("las alarmas se oyen en este dispositivo")
    services.call_emergency(second_nurse, running, sign="chest_pain")
    expect(english.locator("#alerts")).to_contain_text("Emergency: chest pain")
    expect(spanish.locator("#alerts")).to_contain_text("Emergencia: ")
    expect(english.locator("#sound button")).to_have_text("Silence…")
    expect(spanish.locator("#sound button")).to_have_text("Silenciar…")
    spanish.locator("#sound button").click()
    expect(spanish.locator("#silence")).to_contain_text("Silenciar")
    spanish.locator("#silence label", has_text="2 min").first.click()
    spanish.locator("#silence [name=reason]").fill("junto al paciente")
    spanish.locator("#silence .primary").click()
    expect(spanish.locator("#sound")).to_contain_text("En silencio hasta las ")
    expect(spanish.locator("#sound")).to_contain_text(second_nurse.display_name)
    for seat in seats:
        seat.look("in-two-languages")
