"""A real server, a real browser, and a clock that a journey may turn forward.

The server is uvicorn on a thread of the test's own process, so that server-sent events work as they
do in a clinic and the test can look into the database.
"""

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import uvicorn
from django.utils import timezone
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    Response,
    sync_playwright,
)

from openketamine.clinic.record import clock
from openketamine.site.asgi import Handler

from ..clinic.conftest import (  # noqa: F401  (the small clinic of the other tests)
    certified,
    chair,
    coordinator,
    course,
    director,
    im_consented,
    im_drawn,
    im_injected,
    im_opened,
    im_planned,
    nurse,
    patient_user,
    person,
    planned_course,
    prescriber,
    ready,
    running,
    screened,
    second_nurse,
    session,
    signed_policy,
    spray_consented,
    spray_planned,
    therapist,
)

AXE = (Path(__file__).parent.parent / "vendor" / "axe-core" / "axe.min.js").read_text()
# What axe looks for by itself; and WCAG 2.2 AA, with the size of targets that it leaves out.
USUAL = '{resultTypes: ["violations"]}'
WCAG_22_AA = """{
  resultTypes: ["violations"],
  runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
  rules: {"target-size": {enabled: true}},
}"""
SCREENSHOTS = Path(__file__).parent / "screenshots"
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.journey)


def _chromium() -> str | None:
    """Debian's Chromium or another on the path; None leaves the choice to Playwright."""
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    # Playwright's own event loop runs in the test's thread, where Django would refuse the database.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        path = _chromium()
        if not path and not Path(playwright.chromium.executable_path).exists():
            message = "No Chromium here: apt install chromium, or playwright install chromium."
            if os.environ.get("CI") == "true":
                pytest.fail(message)
            pytest.skip(message)
        browser = playwright.chromium.launch(
            executable_path=path,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture
def server(transactional_db) -> Iterator[str]:
    """The address of the clinic, served from the test database."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    handler = Handler()
    server = uvicorn.Server(
        uvicorn.Config(
            handler,
            port=port,
            log_level="error",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(timeout=10)
    handler.close()


class Clock:
    """The clinic's time: it runs on, from wherever the journey has set it."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return timezone.now() + self.ahead

    def forward(self, **step: float) -> None:
        self.ahead += timedelta(**step)


@pytest.fixture
def turn_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    turned = Clock()
    monkeypatch.setattr(clock, "now", turned.now)
    return turned


class Visitor:
    """One person at one device, whose every page is checked for accessibility and errors."""

    def __init__(self, context: BrowserContext, server: str, name: str) -> None:
        self.context, self.server, self.name = context, server, name
        self.page: Page = context.new_page()
        self.page.set_default_timeout(30_000)
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        self.page.on("response", self._see)

    def _see(self, response: Response) -> None:
        if response.status >= 500:
            self.problems.append(f"{response.status} at {response.url}")

    def open(self, path: str) -> Page:
        self.page.goto(self.server + path if path.startswith("/") else path)
        return self.page

    def sign_in(self, username: str, password: str = "a long enough password") -> Page:
        self.open("/account/login/")
        self.page.get_by_label("Sign-in name").fill(username)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(lambda url: "/account/login" not in url)
        return self.page

    def too_wide(self) -> str:
        """What is wrong with the width of the page, once its charts have found theirs; or ""."""
        for _ in range(15):  # the page's own policy forbids a browser that evaluates while it waits
            if self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
                return ""
            self.page.wait_for_timeout(200)
        return self.page.evaluate(
            """() => `the page is ${document.documentElement.scrollWidth} px wide on a screen
            of ${innerWidth}: ` + [...document.querySelectorAll("body *")].filter((each) =>
              each.getBoundingClientRect().right > innerWidth + 1)
              .slice(0, 8).map((each) => `${each.tagName}#${each.id}.${each.className}`)"""
        )

    def look(self, name: str, rules: str = USUAL) -> None:
        """Check the page: no axe violation, no sideways scroll, no error.

        OPENKETAMINE_PICTURES=1 pictures every page, and otherwise only what is found wanting is.
        """
        if self.page.evaluate("typeof axe === 'undefined'"):
            self.page.evaluate(AXE)
        result = self.page.evaluate(f"axe.run(document, {rules})")
        found = [
            f"{v['id']}: {v['help']} at {n['target']} {n['failureSummary']}"
            for v in result["violations"]
            for n in v["nodes"]
        ]
        if wide := self.too_wide():
            found.append(wide)
        if found or os.environ.get("OPENKETAMINE_PICTURES"):
            SCREENSHOTS.mkdir(exist_ok=True)
            self.page.screenshot(path=SCREENSHOTS / f"{name}-{self.name}.png", full_page=True)
        assert not found, f"{name}, {self.name}:\n" + "\n".join(found)
        assert not self.problems, f"{name}, {self.name}: {self.problems}"


@pytest.fixture
def visitor(browser: Browser, server: str) -> Iterator[Callable[..., Visitor]]:
    """Makes a person at a device: `visitor("phone")`, `visitor("tablet")`, `visitor("desktop")`."""
    contexts: list[BrowserContext] = []

    def make(device: str = "desktop") -> Visitor:
        context = browser.new_context(
            viewport=PHONE if device == "phone" else DESKTOP,
            has_touch=device in {"phone", "tablet"},
            # axe runs through the debugger; the strict CSP stays in force for the page itself.
            bypass_csp=False,
        )
        contexts.append(context)
        return Visitor(context, server, device)

    yield make
    for context in contexts:
        context.close()
