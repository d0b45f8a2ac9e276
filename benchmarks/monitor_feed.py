"""From a monitor's reading to the nurse's screen, with many chairs at one reading a second.

    python benchmarks/monitor_feed.py [--chairs 10 100 300] [--seconds 30] [--json]
    tools/with_postgresql.sh python benchmarks/monitor_feed.py --servers 2

Starts a clinic on a home of its own (SQLite, or PostgreSQL where OPENKETAMINE_DATABASE_URL says
so), the monitor feed as a process of its own, and `--servers` web servers. Every chair has a
monitor with a line of its own, which sends one ORU^R01 a second and waits for its acknowledgment;
up to `--screens` chairs are watched as a browser watches them: the stream of events, which bears
the figures, and the screen's parts and chart, which are fetched once the stream is open and then
every ten seconds, each screen in its own time.

Shown: reading to acknowledgment and reading to screen (p50, p99, most), readings sent,
acknowledged and in the record (none may be lost), memory of each process, and how the cost grows.
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
COMMAND = Path(sys.executable).parent / "openketamine"
FETCH_EVERY_S = 10.0

SEED = """
import copy, sys, uuid
from openketamine.clinic.boot import prepare_database, start_django
start_django()
prepare_database()
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from tests.clinic import conftest as clinic
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.intake import services as intake
from openketamine.clinic.people import services as people
from openketamine.clinic.plans import services as plans
from openketamine.clinic.policy import services as policy
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock, services as record
from openketamine.clinic.record.models import Event, Source
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
first = sessions.open_session(nurse, course.planned_sessions.get(number=1), chair)
sessions.complete_check(nurse, first, **clinic.CHECK)
clinic.draw_up(first, nurse, prescriber)
sessions.start_infusion(nurse, first)
first.refresh_from_db()
template = list(Event.objects.filter(stream=first.stream).order_by("seq"))

def clone(thing, **changes):
    new = copy.copy(thing)
    new._state = copy.copy(thing._state)
    new._state.adding = True
    new._state.fields_cache = {}
    new.pk = uuid.uuid4() if isinstance(thing.pk, uuid.UUID) else None
    for name, value in changes.items():
        setattr(new, name, value)
    new.save(force_insert=True)
    return new

# The others are copies of the first: how patients come to a chair is not measured here.
made = [first]
for number in range(2, int(sys.argv[1]) + 1):
    person = clone(first.person, mrn=f"B{number:05d}", source_id=f"bench-{number}", user=None)
    its_course = clone(course, person=person)
    its_plan = clone(first.planned.plan, course=its_course, **(
        {"person": person} if hasattr(first.planned.plan, "person_id") else {}))
    planned = clone(first.planned, course=its_course, person=person, plan=its_plan)
    its_chair = clone(chair, name=f"Chair {number}", position=number)
    made.append(clone(first, planned=planned, course=its_course, person=person, chair=its_chair))
record.append_many([
    record.Entry(nurse, s.stream, e.kind, e.data, s.person_id, e.occurred_at, e.source)
    for s in made[1:] for e in template
])
store = SessionStore()
store[SESSION_KEY] = str(nurse.pk)
from django.conf import settings
store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
store[HASH_SESSION_KEY] = nurse.get_session_auth_hash()
store.create()
print(store.session_key, *[s.pk for s in made])
"""
COUNT = """
from openketamine.clinic.boot import start_django
start_django()
from openketamine.clinic.record import services
from openketamine.clinic.record.models import Event
print(Event.objects.filter(kind="session.vitals_recorded", source="monitor").count(),
      services.verify().intact)
"""


class Clinic:
    """The processes of one clinic."""

    def __init__(self, chairs: int, servers: int) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="openketamine-bench-"))
        self.environment = {
            **os.environ,
            "OPENKETAMINE_HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
        }
        key, *sessions = self.run(SEED, str(chairs)).split()
        self.cookie, self.sessions = key, sessions
        self.ports = [free_port() for _ in range(servers)]
        self.feed_port = free_port()
        self.processes = {
            f"server {n}": self._start("serve", "--port", str(port))
            for n, port in enumerate(self.ports, start=1)
        }
        self.processes["feed"] = self._start("monitor-feed", "--port", str(self.feed_port))
        for port in (*self.ports, self.feed_port):
            wait_for(port)

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [COMMAND, *arguments], env=self.environment, stdout=subprocess.DEVNULL
        )

    def run(self, code: str, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env=self.environment, cwd=ROOT, text=True, capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(done.stderr[-3000:])
        return done.stdout.strip().splitlines()[-1]

    def memory_mb(self) -> dict[str, float]:
        found = {}
        for name, process in self.processes.items():
            status = Path(f"/proc/{process.pid}/status").read_text()
            match = re.search(r"VmHWM:\s+(\d+)", status)
            found[name] = round(int(match[1]) / 1024, 1) if match else 0.0
        return found

    def cpu_s(self) -> float:
        ticks = 0
        for process in self.processes.values():
            fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(30)
        shutil.rmtree(self.home, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"nothing listens on port {port}")


class Chair:
    """One chair: what its monitor has sent, and when that was on the screen."""

    def __init__(self, number: int, session: str) -> None:
        self.number, self.session = number, session
        self.under_way: deque[tuple[int, float]] = deque()  # heart rate sent, when
        self.sent = self.acknowledged = self.fetches = 0
        self.to_ack: list[float] = []
        self.to_screen: list[float] = []


async def monitor(chair: Chair, port: int, until: float, rng: random.Random) -> None:
    from openketamine.exchange.hl7v2.mllp import frame
    from openketamine.exchange.hl7v2.replay import oru

    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.sleep(rng.random())
    due = time.monotonic()
    while time.monotonic() < until:
        rate = 60 + chair.sent % 15  # the same on no two messages in a row
        message = oru(
            {"HR": str(rate), "SpO2": "97", "NBPSys": "128", "NBPDias": "79"},
            device=f"BENCH{chair.number}",
            control_id=f"{chair.number}-{chair.sent}",
            at=datetime.now(UTC),
            location=f"Chair {chair.number}",
        )
        began = time.monotonic()
        chair.under_way.append((rate, began))
        chair.sent += 1
        writer.write(frame(message))
        reply = await reader.readuntil(b"\x1c\x0d")
        chair.to_ack.append(time.monotonic() - began)
        chair.acknowledged += b"MSA|AA|" in reply
        due += 1.0
        await asyncio.sleep(max(due - time.monotonic(), 0.0))
    writer.close()


async def screen(chair: Chair, port: int, cookie: str, until: float) -> None:
    """The stream of one session screen, read as the browser reads it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"GET /sessions/{chair.session}/stream/ HTTP/1.1\r\nHost: localhost\r\n"
        f"Cookie: sessionid={cookie}\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise SystemExit(head.decode())
    # As in live.js: caught up soon after the stream is open, and then each in its own time.
    fetching = asyncio.create_task(fetch(chair, port, cookie, wait_s=0.25 + random.random()))
    fetched_at = time.monotonic() - random.random() * FETCH_EVERY_S
    event = b""
    while time.monotonic() < until + 3:
        try:
            line = await asyncio.wait_for(reader.readline(), 6)
        except TimeoutError:
            continue
        if line.startswith(b"event: "):
            event = line[7:].strip()
        if not line.startswith(b"data: ") or event not in {b"readings", b"changed"}:
            continue
        now = time.monotonic()
        figures = json.loads(line[6:]).get("figures", {})
        if "heart_rate_bpm" in figures:
            shown = int(figures["heart_rate_bpm"][0])
            if any(rate == shown for rate, _ in chair.under_way):
                while chair.under_way:
                    rate, began = chair.under_way.popleft()
                    chair.to_screen.append(now - began)
                    if rate == shown:
                        break
        if now - fetched_at > FETCH_EVERY_S and fetching.done():
            fetched_at = now
            fetching = asyncio.create_task(fetch(chair, port, cookie))
    writer.close()


async def fetch(chair: Chair, port: int, cookie: str, *, wait_s: float = 0.0) -> None:
    await asyncio.sleep(wait_s)
    for part in ("state", "chart"):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                f"GET /sessions/{chair.session}/{part}/ HTTP/1.0\r\nHost: localhost\r\n"
                f"HX-Request: true\r\nCookie: sessionid={cookie}\r\n\r\n".encode()
            )
            await reader.read()
            writer.close()
            chair.fetches += 1


def quantiles(values: list[float]) -> dict[str, float]:
    """p50, p99 and the most, in milliseconds."""
    if not values:
        return {"p50_ms": float("nan"), "p99_ms": float("nan"), "most_ms": float("nan")}
    ordered = sorted(values)
    return {
        "p50_ms": round(statistics.median(ordered) * 1000, 1),
        "p99_ms": round(ordered[min(int(0.99 * len(ordered)), len(ordered) - 1)] * 1000, 1),
        "most_ms": round(ordered[-1] * 1000, 1),
    }


async def measure(clinic: Clinic, screens: int, seconds: float) -> list[Chair]:
    rng = random.Random(1)
    chairs = [Chair(n, session) for n, session in enumerate(clinic.sessions, start=1)]
    until = time.monotonic() + seconds
    watched = [
        screen(chair, clinic.ports[chair.number % len(clinic.ports)], clinic.cookie, until)
        for chair in chairs[:screens]
    ]
    tasks = [asyncio.create_task(each) for each in watched]
    await asyncio.sleep(1.5)
    await asyncio.gather(*(monitor(chair, clinic.feed_port, until, rng) for chair in chairs))
    await asyncio.gather(*tasks)
    return chairs


def run(number: int, arguments: argparse.Namespace) -> dict[str, Any]:
    clinic = Clinic(number, arguments.servers)
    try:
        connection = http.client.HTTPConnection("127.0.0.1", clinic.ports[0], timeout=30)
        connection.request("GET", "/healthy/")
        connection.getresponse().read()
        cpu = clinic.cpu_s()
        chairs = asyncio.run(measure(clinic, arguments.screens, arguments.seconds))
        cpu = clinic.cpu_s() - cpu
        memory = clinic.memory_mb()
        count, intact = clinic.run(COUNT).split()
    finally:
        clinic.stop()
    sent = sum(chair.sent for chair in chairs)
    acknowledged = sum(chair.acknowledged for chair in chairs)
    return {
        "chairs": number,
        "screens": min(arguments.screens, number),
        "sent": sent,
        "acknowledged": acknowledged,
        # A cuff whose time is the message's makes one reading of all four values.
        "in the record": int(count),
        "lost": acknowledged - int(count),
        "record intact": intact == "True",
        "to acknowledgment": quantiles([t for chair in chairs for t in chair.to_ack]),
        "to screen": quantiles([t for chair in chairs for t in chair.to_screen]),
        "fetches": sum(chair.fetches for chair in chairs),
        "cpu_s of the clinic a second": round(cpu / arguments.seconds, 2),
        "cpu_ms a reading": round(cpu / max(sent, 1) * 1000, 2),
        "peak memory MB": memory,
        "load of the machine": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chairs", type=int, nargs="+", default=[10, 100, 300])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--screens", type=int, default=100, help="watched chairs at most")
    parser.add_argument("--servers", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results = []
    for number in arguments.chairs:
        results.append(run(number, arguments))
        if not arguments.json:
            print(json.dumps(results[-1], indent=1), flush=True)
    if arguments.json:
        print(json.dumps(results, indent=1))
    elif len(results) > 1:
        base = results[0]
        for result in results[1:]:
            ratio = result["cpu_ms a reading"] / base["cpu_ms a reading"]
            print(
                f"{result['chairs']} chairs: {ratio:.2f} times the CPU a reading of "
                f"{base['chairs']} chairs"
            )


if __name__ == "__main__":
    main()
