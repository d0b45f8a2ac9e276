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
from playwright.sync_api import Browser, BrowserContext, Page, Response, sync_playwright

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

    def look(self, name: str) -> None:
        """Check the page: no axe violation, no sideways scroll, no error.

        OPENKETAMINE_PICTURES=1 pictures every page, and otherwise only what is found wanting is.
        """
        if self.page.evaluate("typeof axe === 'undefined'"):
            self.page.evaluate(AXE)
        result = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        found = [
            f"{v['id']}: {v['help']} at {n['target']} {n['failureSummary']}"
            for v in result["violations"]
            for n in v["nodes"]
        ]
        width = self.page.viewport_size["width"]
        if (needed := self.page.evaluate("document.documentElement.scrollWidth")) > width:
            found.append(f"the page is {needed} px wide on a screen of {width}")
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
