"""From a monitor's reading to the nurse's screen, with many chairs at one reading a second.

    python benchmarks/monitor_feed.py [--chairs 10 100 300] [--seconds 30] [--json]
    tools/with_postgresql.sh python benchmarks/monitor_feed.py --servers 2

Starts a clinic on a home of its own (SQLite, or PostgreSQL where OPENKETAMINE_DATABASE_URL says
so), the monitor feed as a process of its own, and `--servers` web servers. Every chair has a
monitor with a line of its own, which sends one ORU^R01 a second and waits for its acknowledgment;
up to `--screens` chairs are watched as a browser watches them: the page, its chart and its sheets;
then the stream of events, which bears the figures; the screen's parts and chart every ten seconds,
each screen in its own time; and the alarms of the clinic every four seconds.

The screens open within `--opening` seconds, while the monitors send. That is told apart from the
`--seconds` after it, which are the figures of a clinic at work.

Shown: reading to acknowledgment and reading to screen (p50, p99, most); readings sent, acknowledged
and in the record (none may be lost); processor time a reading, of the feed and of the servers;
memory of each process; how the cost grows with the chairs. The monitors and the browsers of this
script use the same processors as the clinic: their share, and by how much they came too late
themselves, stand beside the figures.
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
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
COMMAND = Path(sys.executable).parent / "openketamine"
FETCH_EVERY_S = 10.0
ALARMS_EVERY_S = 4.0

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
        key, *sessions = self.run("-m", "tests.clinic.seed", str(chairs)).split()
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

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
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

    def cpu_s(self) -> dict[str, float]:
        """Processor time so far: of the feed, of all servers, and of this script."""
        used = {"feed": 0.0, "servers": 0.0, "this script": time.process_time()}
        for name, process in self.processes.items():
            fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks = int(fields[11]) + int(fields[12])
            used["feed" if name == "feed" else "servers"] += ticks / os.sysconf("SC_CLK_TCK")
        return used

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
        self.to_ack: list[tuple[float, float]] = []  # when sent, after how long
        self.to_screen: list[tuple[float, float]] = []


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
        chair.to_ack.append((began, time.monotonic() - began))
        chair.acknowledged += b"MSA|AA|" in reply
        due += 1.0
        await asyncio.sleep(max(due - time.monotonic(), 0.0))
    writer.close()


async def screen(chair: Chair, port: int, cookie: str, until: float, wait_s: float) -> None:
    """One session screen, as its browser opens and follows it."""
    await asyncio.sleep(wait_s)
    base = f"/sessions/{chair.session}"
    page = await get(chair, port, cookie, f"{base}/", htmx=False)
    shown = re.search(rb'data-seq="(\d+)"', page)
    if not shown:
        raise SystemExit(page.decode()[:2000])
    await get(chair, port, cookie, f"{base}/chart/")
    sheets = asyncio.create_task(open_sheets(chair, port, cookie, page))
    alarms = asyncio.create_task(follow_alarms(chair, port, cookie, until))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"GET {base}/stream/?after={shown[1].decode()} HTTP/1.1\r\nHost: localhost\r\n"
        f"Accept: text/event-stream\r\nCookie: sessionid={cookie}\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise SystemExit(head.decode())
    chair.under_way.clear()  # what was sent before this screen was open is not late for it
    fetching: asyncio.Task[None] | None = None
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
            on_screen(chair, int(figures["heart_rate_bpm"][0]), now)
        if (event == b"changed" or now - fetched_at > FETCH_EVERY_S) and (
            fetching is None or fetching.done()
        ):
            fetched_at = now
            fetching = asyncio.create_task(fetch(chair, port, cookie))
    writer.close()
    for task in (sheets, alarms, fetching):
        if task:
            task.cancel()


def on_screen(chair: Chair, shown: int, now: float) -> None:
    """The screen shows this heart rate: it, and all that was sent before it, has arrived."""
    if any(rate == shown for rate, _ in chair.under_way):
        while chair.under_way:
            rate, began = chair.under_way.popleft()
            chair.to_screen.append((began, now - began))
            if rate == shown:
                return


async def open_sheets(chair: Chair, port: int, cookie: str, page: bytes) -> None:
    """The sheets that the page fetches ahead, for the time when the line is cut."""
    acts = dict.fromkeys(re.findall(rb'hx-get="/sessions/[^"]+/enter/([a-z-]+)/"', page))
    asked = "&".join(f"act={act.decode()}" for act in acts)
    await get(chair, port, cookie, f"/sessions/{chair.session}/sheets/?{asked}")
    await get(chair, port, cookie, f"/sessions/{chair.session}/more/")


async def follow_alarms(chair: Chair, port: int, cookie: str, until: float) -> None:
    await asyncio.sleep(random.random() * ALARMS_EVERY_S)
    while time.monotonic() < until:
        await get(chair, port, cookie, "/alarms/")
        await asyncio.sleep(ALARMS_EVERY_S)


async def fetch(chair: Chair, port: int, cookie: str) -> None:
    for part in ("state", "chart"):
        await get(chair, port, cookie, f"/sessions/{chair.session}/{part}/")


async def get(chair: Chair, port: int, cookie: str, path: str, *, htmx: bool = True) -> bytes:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        header = "HX-Request: true\r\n" if htmx else ""
        writer.write(
            f"GET {path} HTTP/1.0\r\nHost: localhost\r\n{header}"
            f"Cookie: sessionid={cookie}\r\n\r\n".encode()
        )
        answer = await reader.read()
        writer.close()
        if b" 200 " not in answer[:15]:
            raise SystemExit(f"{path}: {answer[:300]!r}")
        chair.fetches += 1
        return answer
    return b""


async def lateness(until: float, found: list[tuple[float, float]]) -> None:
    """By how much this script itself comes too late, which every time here includes."""
    while time.monotonic() < until:
        began = time.monotonic()
        await asyncio.sleep(0.02)
        found.append((began, time.monotonic() - began - 0.02))


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


@dataclass
class Measured:
    """What one run has seen, with the moment from which the clinic is at work."""

    chairs: list[Chair]
    at_work: float
    cpu: dict[str, float]
    late: list[tuple[float, float]]


async def measure(clinic: Clinic, screens: int, opening: float, seconds: float) -> Measured:
    rng = random.Random(1)
    chairs = [Chair(n, session) for n, session in enumerate(clinic.sessions, start=1)]
    at_work = time.monotonic() + opening
    until = at_work + seconds
    late: list[tuple[float, float]] = []
    tasks = [
        asyncio.create_task(monitor(chair, clinic.feed_port, until, rng)) for chair in chairs
    ] + [
        asyncio.create_task(
            screen(
                chair,
                clinic.ports[chair.number % len(clinic.ports)],
                clinic.cookie,
                until,
                rng.random() * opening,
            )
        )
        for chair in chairs[:screens]
    ]
    tasks.append(asyncio.create_task(lateness(until, late)))
    await asyncio.sleep(opening)
    before = clinic.cpu_s()
    await asyncio.sleep(seconds)
    cpu = {name: used - before[name] for name, used in clinic.cpu_s().items()}
    await asyncio.gather(*tasks)
    return Measured(chairs, at_work, cpu, late)


def run(number: int, arguments: argparse.Namespace) -> dict[str, Any]:
    clinic = Clinic(number, arguments.servers)
    try:
        connection = http.client.HTTPConnection("127.0.0.1", clinic.ports[0], timeout=30)
        connection.request("GET", "/healthy/")
        connection.getresponse().read()
        seen = asyncio.run(measure(clinic, arguments.screens, arguments.opening, arguments.seconds))
        memory = clinic.memory_mb()
        count, intact = clinic.run("-c", COUNT).split()
    finally:
        clinic.stop()
    chairs = seen.chairs

    def times(name: str, *, opening: bool = False) -> dict[str, float]:
        pairs = seen.late if name == "late" else [t for c in chairs for t in getattr(c, name)]
        return quantiles([took for began, took in pairs if (began < seen.at_work) is opening])

    acknowledged = sum(chair.acknowledged for chair in chairs)
    at_work = sum(began >= seen.at_work for chair in chairs for began, _ in chair.to_ack)
    return {
        "chairs": number,
        "screens": min(arguments.screens, number),
        "servers": arguments.servers,
        "sent": sum(chair.sent for chair in chairs),
        "acknowledged": acknowledged,
        # A cuff whose time is the message's makes one reading of all four values.
        "in the record": int(count),
        "lost": acknowledged - int(count),
        "record intact": intact == "True",
        "to acknowledgment": times("to_ack"),
        "to screen": times("to_screen"),
        "to screen while all screens open": times("to_screen", opening=True),
        "this script late": times("late"),
        "fetches": sum(chair.fetches for chair in chairs),
        "cpu_ms a reading": {
            name: round(used / max(at_work, 1) * 1000, 2) for name, used in seen.cpu.items()
        },
        "processors used": {
            name: round(used / arguments.seconds, 2) for name, used in seen.cpu.items()
        },
        "peak memory MB": memory,
        "load of the machine": round(os.getloadavg()[0], 1),
    }


def clinic_ms(result: dict[str, Any]) -> float:
    """Processor time of the clinic a reading."""
    spent: dict[str, float] = result["cpu_ms a reading"]
    return spent["feed"] + spent["servers"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chairs", type=int, nargs="+", default=[10, 100, 300])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--opening", type=float, default=20.0, help="seconds in which screens open")
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
            ratio = clinic_ms(result) / clinic_ms(base)
            print(
                f"{result['chairs']} chairs: {ratio:.2f} times the CPU a reading of "
                f"{base['chairs']} chairs"
            )


if __name__ == "__main__":
    main()
