"""The server is killed again and again while vital signs are entered, and loses none of them.

A real server process on a home of its own, driven over HTTP as a browser drives it, ended by
SIGKILL at random instants.
"""

import http.client
import json
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.parse
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COMMAND = Path(sys.executable).parent / "openketamine"
PASSWORD = "a long enough password"
KILLS = 20
TABLETS = 3

# Runs in a process of its own, because this process's Django has the test database.
SEED = """
from openketamine.clinic.boot import prepare_database, start_django
start_django()
prepare_database()
from tests.clinic import conftest as clinic
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.intake import services as intake
from openketamine.clinic.people import services as people
from openketamine.clinic.plans import services as plans
from openketamine.clinic.policy import services as policy
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.sessions import services as sessions

nurse, prescriber = clinic.make_user(Role.NURSE), clinic.make_user(Role.PRESCRIBER)
director = clinic.make_user(Role.DIRECTOR)
policy.sign_policy(director, digest=library().policy_digest)
course = people.receive_referral(nurse, clinic.referral(), origin="test").person.courses.get()
clinic.nothing_found(course, nurse)
intake.sign_screening(prescriber, course, outcome="eligible")
course.refresh_from_db()
clinic.consent(course, nurse)
plan = plans.order_plan(prescriber, course, first_on=clock.today(), **clinic.ORDER)
plans.verify_plan(nurse, plan, dose_mg=plan.dose_mg, volume_ml=plan.volume_ml)
chair = sessions.add_chair(nurse, name="Chair 1")
session = sessions.open_session(nurse, course.planned_sessions.get(number=1), chair)
sessions.complete_check(nurse, session, **clinic.CHECK)
clinic.draw_up(session, nurse, prescriber)
sessions.start_infusion(nurse, session)
print(session.pk)
"""


class Clinic:
    """A clinic's server process, which can be killed and started again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {**os.environ, "OPENKETAMINE_HOME": str(home)}
        for name in ("OPENKETAMINE_DEMO", "OPENKETAMINE_DATABASE_URL"):
            self.environment.pop(name, None)
        seeded = self.run(sys.executable, "-c", SEED)
        self.session = seeded.stdout.strip().splitlines()[-1]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, text=True, capture_output=True, check=True
        )

    def start(self) -> None:
        self.process = subprocess.Popen(
            [COMMAND, "serve", "--port", str(self.port)],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                if self.request("GET", "/healthy/").status == 200:
                    return
            except OSError:
                time.sleep(0.05)
        pytest.fail("the server did not start")

    def kill(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def request(
        self, method: str, path: str, data: dict[str, str] | None = None, cookies: str = ""
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        token = re.search(r"csrftoken=(\w+)", cookies)
        headers = {"Cookie": cookies, "HX-Request": "true"} if cookies else {}
        if token:
            headers["X-CSRFToken"] = token[1]
        if data is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        body = urllib.parse.urlencode(data) if data is not None else None
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        response.body = response.read()  # type: ignore[attr-defined]
        connection.close()
        return response

    def sign_in(self, username: str) -> str:
        """The cookies of a signed-in browser; they outlive the server process."""
        page = self.request("GET", "/account/login/")
        cookies = _cookies(page)
        answer = self.request(
            "POST", "/account/login/", {"login": username, "password": PASSWORD}, cookies
        )
        cookies = "; ".join([cookies, _cookies(answer)])
        return "; ".join({c.split("=")[0]: c for c in cookies.split("; ")}.values())


def _cookies(response: http.client.HTTPResponse) -> str:
    set_cookies = response.headers.get_all("Set-Cookie") or []
    return "; ".join(cookie.split(";")[0] for cookie in set_cookies)


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    clinic = Clinic(tmp_path)
    yield clinic
    clinic.kill()


class Tablet(threading.Thread):
    """Enters vital signs without pause. What is not acknowledged is sent again, by the same id."""

    def __init__(self, clinic: Clinic, cookies: str) -> None:
        super().__init__(daemon=True)
        self.clinic, self.cookies = clinic, cookies
        self.path = f"/sessions/{clinic.session}/enter/vitals/"
        self.acknowledged: list[str] = []
        self.resent = 0
        self.refused: list[str] = []
        self.done = threading.Event()

    def run(self) -> None:
        waiting: dict[str, str] | None = None
        while not self.done.is_set():
            entry = waiting or {
                "client_id": str(uuid.uuid4()),
                "systolic_mmhg": str(random.randint(120, 150)),
                "diastolic_mmhg": str(random.randint(70, 90)),
            }
            self.resent += waiting is not None
            waiting = entry
            try:
                response = self.clinic.request("POST", self.path, entry, self.cookies)
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)
                continue
            if response.status == 204:
                self.acknowledged.append(entry["client_id"])
            else:
                self.refused.append(f"{response.status} {response.body[:200]!r}")
            waiting = None


def test_twenty_kills_lose_no_acknowledged_entry(clinic: Clinic):
    clinic.start()
    cookies = clinic.sign_in("nurse")
    tablets = [Tablet(clinic, cookies) for _ in range(TABLETS)]
    for tablet in tablets:
        tablet.start()
    chance = random.Random(20261124)
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.05, 0.5))
        clinic.kill()
        clinic.start()
    time.sleep(0.5)
    for tablet in tablets:
        tablet.done.set()
    for tablet in tablets:
        tablet.join(timeout=15)
    clinic.kill()

    acknowledged = [entry for tablet in tablets for entry in tablet.acknowledged]
    assert not [words for tablet in tablets for words in tablet.refused]
    assert len(acknowledged) > KILLS
    assert sum(tablet.resent for tablet in tablets) >= KILLS  # the kills did hit entries

    with sqlite3.connect(clinic.home / "openketamine.sqlite3") as database:
        rows = database.execute(
            "SELECT client_id, COUNT(*) FROM record_event WHERE kind = ? GROUP BY client_id",
            ["session.vitals_recorded"],
        ).fetchall()
    stored = {str(uuid.UUID(client_id)): count for client_id, count in rows}
    assert not set(acknowledged) - set(stored)
    assert set(stored.values()) == {1}
    verified = json.loads(clinic.run(COMMAND, "verify-record", "--json").stdout)
    assert verified["intact"]
    assert verified["events"] >= len(acknowledged)
