"""What one machine serves: pages and entries a second, backup and restore, on both databases.

    python benchmarks/capacity.py [--people 10000] [--seconds 8] [--clients 8] [--postgresql]

Seeds a clinic of its own with a session in progress and many synthetic people, serves it by the
real command, and lets clients read and write over real lines. Says how busy the machine was:
figures of a busy machine are a lower bound. With `--postgresql` (run it by
tools/with_postgresql.sh) the clinic is moved there and served by two processes as well.
"""

import argparse
import http.client
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import uuid
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
COMMAND = Path(sys.executable).parent / "openketamine"
PASSWORD = "a long enough password"

MORE = """
from openketamine.clinic.boot import start_django
start_django()
import datetime, sys
from openketamine.clinic.people.models import Course, Person
from openketamine.clinic.record import services as record
number = int(sys.argv[1])
people = [Person(mrn=f"9{n:07d}", given_name=f"Given{n % 997}", family_name=f"Family{n}",
                 birth_date=datetime.date(1950 + n % 50, 1 + n % 12, 1 + n % 28), sex="female")
          for n in range(number)]
Person.objects.bulk_create(people, batch_size=500)
Course.objects.bulk_create([Course(person=p) for p in people], batch_size=500)
for start in range(0, number, 500):
    record.append_many([record.Entry("benchmark", f"person:{p.pk}", "person.referred",
        {"text": "x" * 300}, p.pk, None) for p in people[start:start + 500]])
"""


def run(home: Path, *command: str, **more: str) -> str:
    environment = {**os.environ, "OPENKETAMINE_HOME": str(home), "PYTHONPATH": str(ROOT), **more}
    if "OPENKETAMINE_DATABASE_URL" not in more:
        environment.pop("OPENKETAMINE_DATABASE_URL", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return done.stdout


class Browser:
    """One client with a line that stays open, signed in as the nurse."""

    def __init__(self, port: int) -> None:
        self.line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, data: dict[str, str] | None = None) -> tuple[int, str]:
        headers = {
            "Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items()),
            "HX-Request": "true",
        }
        body = None
        if data is not None:
            body = urllib.parse.urlencode(data)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            headers["X-CSRFToken"] = self.token
        self.line.request(method, path, body, headers)
        answer = self.line.getresponse()
        text = answer.read().decode(errors="replace")
        for value in answer.headers.get_all("Set-Cookie") or []:
            name, _, rest = value.partition("=")
            self.cookies[name] = rest.partition(";")[0]
        return answer.status, text

    def sign_in(self) -> None:
        _, page = self.ask("GET", "/account/login/")
        self.token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
        status, _ = self.ask("POST", "/account/login/", {"login": "nurse", "password": PASSWORD})
        assert status == 302, status
        _, page = self.ask("GET", "/people/new/")
        self.token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]


def measure(port: int, act, clients: int, seconds: float) -> dict[str, float]:
    """Let so many clients do the same for a while; each waits for its answer."""
    took: list[float] = []
    failed = [0]
    browsers = [Browser(port) for _ in range(clients)]
    browsers[0].sign_in()
    for browser in browsers[1:]:  # one sitting at several lines: sign-ins are limited
        browser.cookies, browser.token = dict(browsers[0].cookies), browsers[0].token
    ends = time.monotonic() + seconds

    def work(browser: Browser) -> None:
        while time.monotonic() < ends:
            started = time.perf_counter()
            status = act(browser)
            took.append(time.perf_counter() - started)
            if status not in {200, 204}:
                failed[0] += 1

    threads = [threading.Thread(target=work, args=(browser,)) for browser in browsers]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lasted = time.monotonic() - began
    cuts = statistics.quantiles(took, n=20)
    return {
        "per_s": round(len(took) / lasted, 1),
        "median_ms": round(statistics.median(took) * 1000, 1),
        "p95_ms": round(cuts[18] * 1000, 1),
        "failed": failed[0],
    }


def served(home: Path, workers: int, url: str | None):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "OPENKETAMINE_HOME": str(home), "OPENKETAMINE_FORECASTS": "0"}
    environment.pop("OPENKETAMINE_DATABASE_URL", None)
    if url:
        environment["OPENKETAMINE_DATABASE_URL"] = url
    process = subprocess.Popen(
        [str(COMMAND), "serve", "--port", str(port), "--workers", str(workers)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while True:
        try:
            Browser(port).ask("GET", "/ready/")
            return process, port
        except OSError:
            time.sleep(0.2)


def row(label: str, found: dict[str, float]) -> None:
    print(
        f"| {label} | {found['per_s']} | {found['median_ms']} | {found['p95_ms']} "
        f"| {found['failed']} |",
        flush=True,
    )


def pages(title: str, home: Path, person: str, session: str, options, workers=1, url=None) -> None:
    process, port = served(home, workers, url)
    load = os.getloadavg()[0]
    print(f"\n{title}; load of the machine {load:.1f} on {os.cpu_count()} processors\n")
    print("| what | a second | median, ms | 95th percentile, ms | failed |\n|---|---|---|---|---|")

    def get(path: str):
        return lambda browser: browser.ask("GET", path)[0]

    def enter(browser: Browser) -> int:
        data = {"client_id": str(uuid.uuid4()), "text": "A note of the benchmark"}
        return browser.ask("POST", f"/sessions/{session}/enter/note/", data)[0]

    try:
        acts = [
            ("a patient's page", get(f"/people/{person}/")),
            ("search among all people", get("/people/?q=Family77")),
            ("the session's state", get(f"/sessions/{session}/state/")),
            ("an entry into the session", enter),
        ]
        for label, act in acts:
            row(label, measure(port, act, options.clients, options.seconds))
    finally:
        process.terminate()
        process.wait(timeout=30)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--postgresql", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        # A session for each store: the page of one that has hundreds of entries is another page.
        seeded = run(home, sys.executable, "-m", "tests.clinic.seed", "3").split()
        first, second, third = seeded[-3:]
        run(home, sys.executable, "-c", MORE, str(options.people))
        person = run(
            home,
            sys.executable,
            "-c",
            "from openketamine.clinic.boot import start_django\nstart_django()\n"
            "from openketamine.clinic.people.models import Person\n"
            f"print(Person.objects.get(sessions={first!r}).pk)",
        ).strip()
        size = (home / "openketamine.sqlite3").stat().st_size / 1e6
        print(f"{options.people} people, a database of {size:.0f} MB, {options.clients} clients")
        pages("SQLite, one process", home, person, first, options)

        key = Path(folder) / "key"
        recipient = run(home, str(COMMAND), "backup-key", str(key)).split("\n")[1]
        backups = Path(folder) / "backups"

        def back_up(*more: str) -> dict:
            text = run(
                home, str(COMMAND), "backup", str(backups), "--recipient", recipient, "--json",
                *more,
            )  # fmt: skip
            return json.loads(text)

        full = back_up("--changes")
        changes = back_up("--changes")
        there = Path(folder) / "there"
        there.mkdir()
        started = time.perf_counter()
        done = json.loads(
            run(there, str(COMMAND), "restore", str(backups), "--key", str(key), "--json")
        )
        seconds = time.perf_counter() - started
        print("\n| backup and restore, SQLite | seconds | MB | rows |\n|---|---|---|---|")
        print(f"| full | {full['seconds']:.1f} | {full['bytes'] / 1e6:.1f} | {full['rows']} |")
        print(
            f"| what changed | {changes['seconds']:.1f} | {changes['bytes'] / 1e6:.2f} "
            f"| {changes['rows']} |"
        )
        lost = changes["rows"] - done["rows"]
        print(f"| restore, every row and the chain compared | {seconds:.1f} | | {done['rows']} |")
        print(f"\nRows lost: {lost}.")
        if options.postgresql:
            url = os.environ["OPENKETAMINE_DATABASE_URL"]
            moved = json.loads(run(home, str(COMMAND), "migrate-store", "--to", url, "--json"))
            print(f"\nMoved to PostgreSQL: {moved['rows']} rows in {moved['seconds']:.1f} s.")
            pages("PostgreSQL, one process", home, person, second, options, url=url)
            pages("PostgreSQL, two processes", home, person, third, options, 2, url)


if __name__ == "__main__":
    main()
