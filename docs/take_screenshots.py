"""Picture the demonstration clinic for the README and the documentation.

Serves a demonstration of its own on a free port, walks through it in Chromium, and writes PNG files
to docs/images. Run it by `make screenshots`.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

IMAGES = Path(__file__).parent / "images"
COMMAND = Path(sys.executable).parent / "openketamine"
PASSWORD = "demonstration-only"  # noqa: S105 - the demonstration prints it
DESKTOP = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 844}


def _first(selector: str, at: str) -> Callable[[Page], str]:
    def find(page: Page) -> str:
        page.goto(at)
        return page.locator(selector).first.get_attribute("href") or at

    return find


def _screening_of(mrn: str) -> Callable[[Page], str]:
    def find(page: Page) -> str:
        page.goto(f"/people/?q={mrn}")
        page.goto(page.locator("tbody a").first.get_attribute("href") or "")
        return page.get_by_role("link", name="Screening").first.get_attribute("href") or ""

    return find


SESSION = _first("a[href*='/sessions/']", "/today/")
# name, who, size, theme, address (or how to find it)
PICTURES: list[tuple[str, str, dict[str, int], str, str | Callable[[Page], str]]] = [
    ("session", "nurse", DESKTOP, "light", SESSION),
    ("session-low-light", "nurse", DESKTOP, "dark", SESSION),
    ("today", "nurse", DESKTOP, "light", "/today/"),
    ("screening", "prescriber", DESKTOP, "light", _screening_of("0031")),
    ("patient", "patient", PHONE, "light", "/me/"),
    ("devices", "nurse", DESKTOP, "light", "/devices/"),
]


def _serve(home: str, port: int) -> subprocess.Popen[bytes]:
    server = subprocess.Popen(  # noqa: S603 - our own command
        [COMMAND, "serve", "--demo", "--port", str(port)],
        env={**os.environ, "OPENKETAMINE_HOME": home},
        stdout=subprocess.DEVNULL,
    )
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthy/"):
                return server
        except OSError:
            if server.poll() is not None:
                raise SystemExit("The demonstration did not start.") from None
            time.sleep(0.5)
    raise SystemExit("The demonstration did not answer within five minutes.")


def _take(browser: Browser, base: str) -> None:
    IMAGES.mkdir(exist_ok=True)
    for name, who, size, theme, address in PICTURES:
        context = browser.new_context(viewport=size, base_url=base, device_scale_factor=1)
        context.add_cookies([{"name": "theme", "value": theme, "url": base}])
        page = context.new_page()
        page.goto("/account/login/")
        page.get_by_label("Sign-in name").fill(who)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: "/login" not in url)
        found = address if isinstance(address, str) else address(page)
        page.goto(found)
        if "/sessions/" in found:
            # The sound is the reader's to turn on, and the first forecast takes a moment.
            for _ in range(90):
                if "Half worn off" in page.content():
                    break
                page.wait_for_timeout(2000)
                page.reload()
            page.evaluate("window.scrollTo(0, 0)")
        page.wait_for_timeout(1200)
        page.screenshot(path=IMAGES / f"{name}.png")
        context.close()


def main() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as home:
        server = _serve(home, port)
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=shutil.which("chromium")
                    or shutil.which("chromium-headless-shell"),
                    args=["--no-sandbox"],
                )
                _take(browser, f"http://127.0.0.1:{port}")
                browser.close()
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
