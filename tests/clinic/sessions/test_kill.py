"""A server and a monitor feed are killed again and again, and the record loses nothing.

Both are real processes on a home of their own, spoken to over real lines and ended by SIGKILL at
random instants, while monitors send, tablets enter vital signs and a nurse works the pump. Several
monitors' readings share each transaction, so that kills hit in the middle of it.
`OPENKETAMINE_KILLS=200` makes it a long run; `pytest -s` shows the figures.
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
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from openketamine import protocols
from openketamine.clinic.record.models import GENESIS, Event
from openketamine.clinic.sessions import alerts
from openketamine.clinic.sessions.timeline import VITALS, Timeline, fold
from openketamine.exchange.hl7v2.mllp import frame
from openketamine.exchange.hl7v2.replay import Sender, code_of, oru

ROOT = Path(__file__).parents[3]
COMMAND = Path(sys.executable).parent / "openketamine"
PASSWORD = "a long enough password"
KILLS = int(os.environ.get("OPENKETAMINE_KILLS", "20"))
TABLETS = 3
# So many that several readings wait for each transaction.
MONITORS = 6
# Every so many kills nobody writes while the screen is looked at before and after.
GLANCE_EVERY = 5
ANSWER_LOST = 0.05
# A long run has no more entries than a session may have, but more kills among them.
PAUSE_S = 0.04 * max(KILLS / 20, 1)
ENTERED = {
    f"session.{act}"
    for act in ("vitals_recorded", "infusion_paused", "infusion_resumed", "rate_changed")
}
ORDERED_MG, ORDERED_MG_PER_H = 41.0, 61.5


class Clinic:
    """A clinic's server and monitor feed, which can be killed and started again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {**os.environ, "OPENKETAMINE_HOME": str(home)}
        for name in ("OPENKETAMINE_DEMO", "OPENKETAMINE_DATABASE_URL"):
            self.environment.pop(name, None)
        # In a process of its own, because this process's Django has the test database.
        seeded = self.run(sys.executable, "-m", "tests.clinic.seed", "1")
        seeded.check_returncode()
        self.session = seeded.stdout.split()[-1]
        self.ports = {"serve": _free_port(), "monitor-feed": _free_port()}
        self.processes: dict[str, int] = {}
        self.nursery = subprocess.Popen(
            [sys.executable, "-m", "tests.clinic.nursery"],
            cwd=ROOT,
            env=self.environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._told() == "ready"

    def _told(self) -> str:
        assert self.nursery.stdout
        return self.nursery.stdout.readline().strip()

    def close(self) -> None:
        self.kill(*self.processes)
        self.nursery.communicate("")

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, text=True, capture_output=True, check=False
        )

    def start(self, *names: str) -> None:
        for name in names:
            assert self.nursery.stdin
            print(name, "--port", self.ports[name], file=self.nursery.stdin, flush=True)
            self.processes[name] = int(self._told())
        until = time.monotonic() + 60
        waiting = set(names)
        while waiting and time.monotonic() < until:
            waiting = {name for name in waiting if not self._answers(name)}
            time.sleep(0.02)
        if waiting:
            pytest.fail(f"did not start: {', '.join(waiting)}")

    def _answers(self, name: str) -> bool:
        try:
            if name == "serve":
                return self.request("GET", "/healthy/").status == 200
            socket.create_connection(("127.0.0.1", self.ports[name]), 1).close()
        except OSError:
            return False
        return True

    def kill(self, *names: str) -> None:
        for name in names:
            os.kill(self.processes[name], signal.SIGKILL)
        for name in names:
            gone = self.processes.pop(name)
            until = time.monotonic() + 30
            while _lives(gone):
                assert time.monotonic() < until
                time.sleep(0.001)

    def request(
        self,
        method: str,
        path: str,
        data: dict[str, str] | None = None,
        cookies: dict[str, str] | None = None,
    ) -> http.client.HTTPResponse:
        """One request of a browser, whose cookies are kept as the answer sets them."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["serve"], timeout=120)
        headers = {}
        if cookies:
            pairs = list(cookies.items())
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in pairs)
            headers["X-CSRFToken"] = cookies["csrftoken"]
        if data is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            if cookies:
                headers["HX-Request"] = "true"
        body = urllib.parse.urlencode(data) if data is not None else None
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        response.body = response.read()  # type: ignore[attr-defined]
        connection.close()
        if cookies is not None:  # in one step, for other threads read it
            cookies.update(_cookies(response))
        return response

    def sign_in(self, username: str) -> dict[str, str]:
        """The cookies of a signed-in browser; they outlive the server process."""
        cookies: dict[str, str] = {}
        self.request("GET", "/account/login/", None, cookies)
        self.request("POST", "/account/login/", {"login": username, "password": PASSWORD}, cookies)
        assert "sessionid" in cookies
        return cookies

    def alarms_on_screen(self, cookies: dict[str, str]) -> set[str]:
        """The alerts that sound on the session's screen, each by the name of its episode."""
        page = self.request("GET", f"/sessions/{self.session}/", None, cookies)
        assert page.status == 200
        return set(re.findall(r'data-alert="([^"]+)"', page.body.decode()))


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _cookies(response: http.client.HTTPResponse) -> dict[str, str]:
    set_cookies = response.headers.get_all("Set-Cookie") or []
    pairs = (cookie.split(";")[0].split("=", 1) for cookie in set_cookies)
    return {name.strip(): value for name, value in pairs}


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    clinic = Clinic(tmp_path)
    yield clinic
    clinic.close()


@dataclass(frozen=True)
class Sent:
    """One entry or reading on its way: how the record names it, and what it is to say."""

    key: str
    says: dict[str, float]
    at: datetime


class BusyError(OSError):
    """The answer is "not stored, send it again" (503 or AE): as good as none."""


class Writer(threading.Thread):
    """Sends without pause. What is not acknowledged is sent again, just as it was."""

    speaks_to = "serve"

    def __init__(self, clinic: Clinic, seed: int) -> None:
        super().__init__(daemon=True)
        self.clinic = clinic
        self.chance = random.Random(seed)
        self.sent: dict[str, Sent] = {}
        self.acknowledged: set[str] = set()
        self.resent: set[str] = set()
        self.answered_twice = self.busy = 0
        self.refused: list[str] = []
        self.hold, self.idle, self.done = threading.Event(), threading.Event(), threading.Event()

    def prepare(self) -> tuple[Sent, Callable[[], str | None]]:
        """The next entry, and what sends it: it returns nothing when acknowledged, or why not.

        Raises:
            OSError, HTTPException: there is no answer.
        """
        raise NotImplementedError

    def run(self) -> None:
        while not self.done.is_set():
            if self.hold.is_set():
                self.idle.set()
                time.sleep(0.01)
                continue
            self.idle.clear()
            entry, send = self.prepare()
            self.sent[entry.key] = entry
            while True:
                try:
                    refusal = send()
                except (OSError, http.client.HTTPException) as error:
                    self.busy += isinstance(error, BusyError)
                    self.resent.add(entry.key)
                    time.sleep(0.03)
                    continue
                break
            if refusal is not None:
                self.refused.append(refusal)
                continue
            self.acknowledged.add(entry.key)
            if self.chance.random() < ANSWER_LOST:
                self.again(send)
            time.sleep(self.chance.uniform(0, PAUSE_S))

    def again(self, send: Callable[[], str | None]) -> None:
        """As if the answer had been lost on its way: sent again, it is answered as before."""
        try:
            if (refusal := send()) is not None:
                self.refused.append(f"sent again: {refusal}")
            self.answered_twice += 1
        except (OSError, http.client.HTTPException):
            return


class Tablet(Writer):
    """Enters vital signs in the browser's way, each with an id of its own."""

    def __init__(self, clinic: Clinic, seed: int, cookies: dict[str, str]) -> None:
        super().__init__(clinic, seed)
        self.cookies = cookies

    def prepare(self) -> tuple[Sent, Callable[[], str | None]]:
        values = {
            "systolic_mmhg": float(self.chance.randint(165, 210)),
            "diastolic_mmhg": float(self.chance.randint(70, 105)),
        }
        return self.entry("vitals", values, {name: f"{v:g}" for name, v in values.items()})

    def entry(
        self, act: str, says: dict[str, float], data: dict[str, str]
    ) -> tuple[Sent, Callable[[], str | None]]:
        sent = Sent(str(uuid.uuid4()), says, datetime.now(UTC))
        path = f"/sessions/{self.clinic.session}/enter/{act}/"
        data = {**data, "client_id": sent.key, "made_at": sent.at.isoformat()}

        def send() -> str | None:
            answer = self.clinic.request("POST", path, data, self.cookies)
            if answer.status == 503:
                raise BusyError
            return None if answer.status == 204 else f"{act}: {answer.status} {answer.body[:300]!r}"

        return sent, send


class Pump(Tablet):
    """A nurse pauses, resumes and slows the pump, and keeps her own log of it."""

    rate, runs = ORDERED_MG_PER_H, True

    def prepare(self) -> tuple[Sent, Callable[[], str | None]]:
        if not self.runs:
            self.runs = True
            return self.entry("resume", {"rate_mg_per_h": self.rate}, {})
        if self.chance.random() < 0.4:
            self.runs = False
            return self.entry("pause", {"rate_mg_per_h": 0.0}, {"reason": "bathroom"})
        self.rate = float(self.chance.randint(5, int(ORDERED_MG_PER_H)))
        data = {"rate_mg_per_h": f"{self.rate:g}", "reason": "drowsy"}
        return self.entry("rate", {"rate_mg_per_h": self.rate}, data)


class Monitor(Writer):
    """A bedside monitor at the chair: one line, one message at a time, its answer awaited."""

    speaks_to = "monitor-feed"

    def __init__(self, clinic: Clinic, seed: int, name: str, attempts: int = 1) -> None:
        super().__init__(clinic, seed)
        self.device = name
        self.number = 0
        self.line = Sender("127.0.0.1", clinic.ports["monitor-feed"], attempts=attempts)

    def message(self) -> tuple[Sent, bytes]:
        self.number += 1
        now = datetime.now(UTC)
        at = now.replace(microsecond=now.microsecond // 1000 * 1000)  # as HL7 writes it
        values = {"HR": self.chance.randint(55, 130), "SpO2": self.chance.randint(86, 100)}
        raw = oru(
            {name: str(value) for name, value in values.items()},
            device=self.device,
            control_id=f"{self.device}-{self.number}",
            at=at,
            location="Chair 1",
        )
        says = {"heart_rate_bpm": float(values["HR"]), "spo2_percent": float(values["SpO2"])}
        return Sent(f"{self.device} {at.isoformat()}", says, at), raw

    def prepare(self) -> tuple[Sent, Callable[[], str | None]]:
        sent, raw = self.message()
        return sent, lambda: self.send(raw)

    def send(self, raw: bytes) -> str | None:
        try:
            code, note = code_of(self.line.send(raw))
        except OSError:
            self.line.close()
            raise
        if code == "AE":
            raise BusyError
        return None if (code, note) == ("AA", "") else f"{self.device}: {code} {note}"

    def cut_off(self) -> tuple[Sent, bytes]:
        """Begin a message of which the end never comes; it is to be sent whole one day."""
        # Two are prompt: of a device whose every message comes late, the clock would seem slow.
        for _ in range(2):
            prompt, raw = self.message()
            self.sent[prompt.key] = prompt
            assert self.send(raw) is None
            self.acknowledged.add(prompt.key)
            time.sleep(0.002)
        sent, raw = self.message()
        self.sent[sent.key] = sent
        whole = frame(raw)
        with socket.create_connection(("127.0.0.1", self.clinic.ports["monitor-feed"]), 5) as line:
            line.sendall(whole[: self.chance.randint(1, len(whole) - 1)])
            time.sleep(self.chance.uniform(0, 0.02))
        return sent, raw


@dataclass
class Record:
    """The record as it lies in the file, read without the program that wrote it."""

    path: Path
    events: list[Event] = field(default_factory=list)

    def read_on(self) -> None:
        """Read what is new, and check that each event is the link after the one before it."""
        with closing(sqlite3.connect(self.path)) as database:
            database.row_factory = sqlite3.Row
            database.execute("BEGIN")
            head = database.execute("SELECT seq, hash FROM record_chainhead").fetchone()
            rows = database.execute(
                "SELECT * FROM record_event WHERE seq > ? ORDER BY seq", [len(self.events)]
            ).fetchall()
        for row in rows:
            event = _event(row)
            link = self.events[-1].hash if self.events else GENESIS
            assert (event.seq, event.previous_hash) == (len(self.events) + 1, link)
            assert event.digest() == event.hash
            self.events.append(event)
        assert (head["seq"], head["hash"]) == (len(self.events), self.events[-1].hash)

    def stored(self) -> dict[str, Event]:
        """Every entry and reading by its name; a second one of the same name is a fault."""
        found: dict[str, Event] = {}
        for event in self.events:
            if event.source == "monitor" and event.kind == "session.vitals_recorded":
                key = f"{event.data['device']} {event.occurred_at.isoformat()}"
            elif event.client_id and event.kind in ENTERED:
                key = str(event.client_id)
            else:
                continue
            assert key not in found
            found[key] = event
        return found

    def timeline(self, session: str, upto: int | None = None) -> Timeline:
        stream = f"session:{session}"
        return fold([e for e in self.events[:upto] if e.stream == stream])


def _event(row: sqlite3.Row) -> Event:
    values = dict(row)
    for name in ("occurred_at", "recorded_at"):
        values[name] = datetime.fromisoformat(values[name]).replace(tzinfo=UTC)
    for name in ("person_id", "client_id"):
        values[name] = uuid.UUID(values[name]) if values[name] else None
    return Event(**values)


def given_mg(started_at: datetime, acts: list[Sent], at: datetime) -> float:
    """What has gone in by the nurse's own log: the time at each rate, added up."""
    total, rate, since = 0.0, ORDERED_MG_PER_H, started_at
    for act in sorted(acts, key=lambda act: act.at):
        total += rate * (act.at - since).total_seconds() / 3600
        rate, since = act.says["rate_mg_per_h"], act.at
    return min(total + rate * (at - since).total_seconds() / 3600, ORDERED_MG)


def sounding(timeline: Timeline, now: datetime) -> set[str]:
    """The alerts that sound at a moment, worked out from the record alone."""
    library = protocols.load()
    standing = alerts.alerts(timeline, library.monitoring["IV"], library.alarms, now)
    return {alert.key for alert in standing if alert.sounds}


class Check:
    """What must hold after every restart, and at the end."""

    def __init__(self, clinic: Clinic, writers: list[Writer], pump: Pump) -> None:
        self.clinic, self.writers, self.pump = clinic, writers, pump
        self.record = Record(clinic.home / "openketamine.sqlite3")
        self.alarms_compared = 0

    def holds(self, *, ended: bool = False) -> None:
        acknowledged = [(w, key) for w in self.writers for key in list(w.acknowledged)]
        self.record.read_on()
        stored = self.record.stored()
        lost = [key for _, key in acknowledged if key not in stored]
        assert not lost
        for writer, key in acknowledged:
            said = stored[key].data
            values = {n: said[n] for n in (*VITALS, "rate_mg_per_h") if said.get(n) is not None}
            if stored[key].kind == "session.infusion_paused":
                values["rate_mg_per_h"] = 0.0
            assert values == writer.sent[key].says
            assert stored[key].occurred_at == writer.sent[key].at
        assert not [words for writer in self.writers for words in writer.refused]
        if ended:
            assert {key for _, key in acknowledged} == set(stored)
        self._given_is_right(stored)

    def _given_is_right(self, stored: dict[str, Event]) -> None:
        timeline = self.record.timeline(self.clinic.session)
        assert timeline.started_at is not None
        acts = [act for key, act in list(self.pump.sent.items()) if key in stored]
        now = max([*(act.at for act in acts), timeline.started_at]) + timedelta(seconds=1)
        assert timeline.given_mg(now) == pytest.approx(given_mg(timeline.started_at, acts, now))

    def stored_unanswered(self, names: list[str]) -> set[str]:
        """What processes that are dead now have stored without having said so."""
        writers = [writer for writer in self.writers if writer.speaks_to in names]
        sent = {
            key for writer in writers for key in list(writer.sent) if key not in writer.acknowledged
        }
        self.record.read_on()
        return sent & set(self.record.stored())

    def glance(self, cookies: dict[str, str]) -> set[str]:
        """The screen shows the alerts that the record tells of, whoever worked them out."""
        asked_at = datetime.now(UTC)
        shown = self.clinic.alarms_on_screen(cookies)
        answered_at = datetime.now(UTC)
        self.record.read_on()
        timeline = self.record.timeline(self.clinic.session)
        told = [sounding(timeline, now) for now in (asked_at, answered_at)]
        assert shown in told
        self.alarms_compared += len(shown)
        return shown


def hold(writers: list[Writer]) -> None:
    for writer in writers:
        writer.hold.set()
    for writer in writers:
        assert writer.idle.wait(60)


def go_on(writers: list[Writer]) -> None:
    for writer in writers:
        writer.idle.clear()
        writer.hold.clear()


def some_progress(writers: list[Writer]) -> None:
    """Until each has been answered once more."""
    before = [len(writer.acknowledged) for writer in writers]
    until = time.monotonic() + 60
    while any(len(w.acknowledged) <= n for w, n in zip(writers, before, strict=True)):
        assert time.monotonic() < until, "nothing is acknowledged any more"
        assert not [words for writer in writers for words in writer.refused]
        time.sleep(0.01)


@pytest.mark.own_clinic
def test_kills_lose_no_acknowledged_reading_entry_or_dose(clinic: Clinic):
    clinic.start("serve", "monitor-feed")
    nurse, prescriber = clinic.sign_in("nurse"), clinic.sign_in("prescriber")
    pump = Pump(clinic, 1, nurse)
    tablets: list[Writer] = [
        Tablet(clinic, 10 + n, nurse if n % 2 else prescriber) for n in range(TABLETS)
    ]
    monitors: list[Writer] = [Monitor(clinic, 20 + n, f"MON{n}") for n in range(MONITORS)]
    half_sent = Monitor(clinic, 30, "CUT", attempts=5)
    going = [pump, *tablets, *monitors]
    check = Check(clinic, [*going, half_sent], pump)
    chance = random.Random(20261124)
    began = time.monotonic()
    unheard: set[str] = set()
    for writer in going:
        writer.start()
    for number in range(1, KILLS + 1):
        look = number % GLANCE_EVERY == 0
        names = ["serve", "monitor-feed"] if look else [chance.choice(["serve", "monitor-feed"])]
        if number % 4:  # else at once, while it still starts up
            some_progress(going)
        time.sleep(chance.uniform(0, 0.3))
        if look:
            hold(going)
            check.glance(nurse)
        cut = half_sent.cut_off() if "monitor-feed" in names else None
        clinic.kill(*names)
        unheard |= check.stored_unanswered(names)
        clinic.start(*names)
        if cut:
            sent, raw = cut
            check.record.read_on()
            assert sent.key not in check.record.stored()
            assert half_sent.send(raw) is None
            half_sent.acknowledged.add(sent.key)
        if look:
            check.glance(nurse)
            go_on(going)
        check.holds()
    some_progress(going)
    for writer in going:
        writer.done.set()
    for writer in going:
        writer.join(timeout=60)
        assert not writer.is_alive()
    took_s = time.monotonic() - began
    clinic.kill("serve", "monitor-feed")
    check.holds(ended=True)

    readings = sum(len(w.acknowledged) for w in [*monitors, half_sent])
    entries = sum(len(w.acknowledged) for w in [pump, *tablets])
    resent: set[str] = set().union(*(w.resent for w in going))
    assert len(resent) >= KILLS  # the kills did hit readings and entries
    assert check.alarms_compared
    verified = clinic.run(COMMAND, "verify-record", "--json")
    assert verified.returncode == 0
    assert json.loads(verified.stdout) == {
        "events": len(check.record.events),
        "intact": True,
        "fault": None,
    }
    forged = min(check.record.stored().values(), key=lambda event: event.seq)
    with closing(sqlite3.connect(check.record.path)) as database, database:
        database.execute("DROP TRIGGER record_event_no_update")
        database.execute(
            "UPDATE record_event SET actor_name = 'Nobody' WHERE seq >= ?", [forged.seq]
        )
    verified = clinic.run(COMMAND, "verify-record")
    assert verified.returncode == 1
    assert f"event {forged.seq} ({forged.kind}) was altered" in verified.stderr
    print(
        f"\n{KILLS} kills in {took_s:.0f} s: {readings} readings and {entries} entries "
        f"acknowledged ({len(pump.acknowledged)} of the pump), {len(resent)} sent again as they "
        f"had no answer ({len(resent & unheard)} were stored already), "
        f"{sum(w.answered_twice for w in going)} although they had one; "
        f"{sum(w.busy for w in going)} told to send again; "
        f"{check.alarms_compared} alerts compared, {len(check.record.events)} events, lost 0"
    )
