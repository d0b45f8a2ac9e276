"""100,000 mutated FHIR documents against the FHIR server: no 5xx, nothing half-written.

    python benchmarks/fuzz_fhir.py [--documents 100000] [--seed 1] [--home FOLDER]

Valid documents of every kind that can be created, a whole referral and a correction of demographics
are changed at random: by structure (values replaced, removed, moved, repeated, nested) or by bytes
(replaced, cut, doubled), and sent with the methods and headers of the interface. Every answer must
be below 500 and a valid resource, an OperationOutcome or empty; a document that was refused must
have left no row and no event; one that was taken must have left an event. At the end the record's
chain is verified, and every resource that the server then serves is checked by FHIR's own rules.
"""

import argparse
import copy
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

LOINC = "http://loinc.org"
ODD = [
    None, True, False, 0, -1, 1.5, 1e308, -0.0, 10**40, "", " ", "x", "\x00", "\ud800", "é" * 300,
    "2026-13-45", "9999-12-31T23:59:59Z", "0000-00-00", "2026-01-01T00:00:00+14:00", "Patient/1",
    "urn:uuid:x", "#", "%00", "'; DROP TABLE x; --", "<script>", [], {}, [[]], [None], [{}],
    {"value": {}}, "A" * 5000, "1e400", "NaN", float("inf"),
]  # fmt: skip


def documents(person: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(method, path, document) of each act that the interface does."""
    about = {"reference": f"Patient/{person}"}

    def coded(code: str) -> dict[str, Any]:
        return {"coding": [{"system": LOINC, "code": code}], "text": "example"}

    patient = {
        "resourceType": "Patient",
        "identifier": [{"system": "https://hospital.example", "value": "H-1"}],
        "name": [{"use": "official", "family": "Sample", "given": ["Nora"]}],
        "gender": "female",
        "birthDate": "1980-02-03",
        "telecom": [{"system": "phone", "value": "555-0123"}],
        "address": [{"line": ["1 Example Street"], "city": "Sampletown"}],
        "communication": [{"language": {"coding": [{"code": "en"}]}}],
    }
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": coded("29463-7"),
        "subject": about,
        "effectiveDateTime": "2026-11-20T09:00:00Z",
        "valueQuantity": {"value": 81.5, "unit": "kg", "code": "kg"},
    }
    pressure = {
        **observation,
        "code": coded("85354-9"),
        "component": [
            {"code": coded(code), "valueQuantity": {"value": value, "code": "mm[Hg]"}}
            for code, value in (("8480-6", 131), ("8462-4", 82))
        ],
    }
    del pressure["valueQuantity"]
    condition = {
        "resourceType": "Condition",
        "identifier": [{"system": "https://h.example", "value": "c-9"}],
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "code": coded("1"),
        "subject": about,
        "onsetDateTime": "2020",
    }
    allergy = {
        "resourceType": "AllergyIntolerance",
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "code": {"text": "Latex"},
        "patient": about,
        "criticality": "high",
        "reaction": [{"manifestation": [{"text": "rash"}]}],
    }
    response = {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": "urn:openketamine:questionnaire:gad7",
        "status": "completed",
        "subject": about,
        "authored": "2026-11-20T09:00:00Z",
        "item": [
            {"linkId": f"q{n}", "answer": [{"valueCoding": {"code": "1"}}]} for n in range(1, 8)
        ],
    }
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"fullUrl": "urn:uuid:0", "resource": {**patient, "id": "p1"}},
            *(
                {"fullUrl": f"urn:uuid:{n}", "resource": {**item, "id": f"r{n}"}}
                for n, item in enumerate((observation, pressure, condition, allergy), start=1)
            ),
        ],
    }
    for entry in bundle["entry"][1:]:
        side = "patient" if "patient" in entry["resource"] else "subject"
        entry["resource"][side] = {"reference": "urn:uuid:0"}
    return [
        ("post", "Patient", patient),
        ("post", "Observation", observation),
        ("post", "Observation", pressure),
        ("post", "Condition", condition),
        ("post", "AllergyIntolerance", allergy),
        ("post", "QuestionnaireResponse", response),
        ("post", "$import-referral", bundle),
        ("put", f"Patient/{person}", {**patient, "id": person}),
    ]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    found = [path] if path else []
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, inner in list(items):
            found += places(inner, (*path, name))
    return found


def mutate(rng: random.Random, document: dict[str, Any]) -> bytes:
    """The document, changed by structure, and at times by bytes as well."""
    changed = copy.deepcopy(document)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3, 8))):
        where = places(changed)
        if not where:
            break
        *way, last = rng.choice(where)
        holder = changed
        for step in way:
            holder = holder[step]
        match rng.randrange(6):
            case 0 | 1:
                holder[last] = copy.deepcopy(rng.choice(ODD))
            case 2:
                del holder[last]
            case 3:
                *way, other = rng.choice(where)
                source: Any = changed
                try:
                    for step in (*way, other):
                        source = source[step]
                    holder[last] = copy.deepcopy(source)
                except (KeyError, IndexError, TypeError):
                    continue
            case 4:
                holder[last] = [holder[last]] * rng.randrange(1, 4)
            case 5:
                if isinstance(holder, dict):
                    holder[rng.choice(("extension", "id", "_status", "value", "x" * 20))] = (
                        copy.deepcopy(rng.choice(ODD))
                    )
    raw = json.dumps(changed).encode()
    return raw if rng.random() < 0.85 else damaged(rng, raw)


def damaged(rng: random.Random, raw: bytes) -> bytes:
    data = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(data) or 1)
        match rng.randrange(4):
            case 0:
                data[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del data[at : at + rng.randrange(1, 60)]
            case 2:
                data[at:at] = rng.randbytes(rng.randrange(1, 20))
            case 3:
                data[at:at] = data[rng.randrange(len(data) or 1) :][: rng.randrange(100)]
    return bytes(data)


def fuzz(count: int, seed: int, token: str, person: str) -> dict[str, Any]:
    """Send them, and count what became of them. Needs Django and a database of one person."""
    from django.test import Client

    from openketamine.clinic.intake.models import InstrumentResponse, SafetyReview
    from openketamine.clinic.people.models import (
        Allergy,
        Condition,
        Course,
        Measurement,
        Medication,
        Person,
    )
    from openketamine.clinic.record import services as record
    from openketamine.clinic.record.models import ChainHead

    rng = random.Random(seed)
    http = Client(raise_request_exception=False)
    tables = (
        Person, Course, Condition, Medication, Allergy, Measurement, InstrumentResponse,
        SafetyReview,
    )  # fmt: skip
    statuses: Counter[int] = Counter()
    faults: list[str] = []
    half_written = unexplained = 0
    offered = documents(person)

    def rows() -> tuple[int, ...]:
        return tuple(table.objects.count() for table in tables)

    def seq() -> int:
        return ChainHead.objects.get(id=1).seq

    before_rows, before_seq = rows(), seq()
    memory_at_tenth, began = 0, time.monotonic()
    for number in range(count):
        method, path, document = rng.choice(offered)
        raw = mutate(rng, document)
        headers = {"Authorization": f"Bearer {token}"}
        if method == "put":
            headers["If-Match"] = rng.choice(('W/"1"', f'W/"{rng.randrange(60)}"', "x", "*"))
        if rng.random() < 0.05:
            headers["If-None-Exist"] = rng.choice(
                ("identifier=H-1", "patient=x", "_id=", "nonsense=1", "&&&", "birthdate=x")
            )
        answer = getattr(http, method)(
            f"/fhir/{path}", raw, content_type="application/fhir+json", headers=headers
        )
        statuses[answer.status_code] += 1
        if answer.status_code >= 500:
            faults.append(f"{answer.status_code} {method} {path} {raw[:2000]!r}")
        if answer.status_code >= 400:
            told = json.loads(answer.content)
            issues = told.get("issue") or [{}]
            if told.get("resourceType") != "OperationOutcome" or not issues[0].get("diagnostics"):
                unexplained += 1
            # Every row that an act writes goes with an event; both are looked at now and then, and
            # the event each time.
            if seq() != before_seq or (number % 50 == 0 and rows() != before_rows):
                half_written += 1
        else:
            before_rows, before_seq = rows(), seq()
        if number % 1000 == 999:
            print(number + 1, dict(statuses), f"{len(faults)} faults", file=sys.stderr, flush=True)
        if number == count // 10:
            memory_at_tenth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if rows() != before_rows:
        half_written += 1
    seconds = time.monotonic() - began
    return {
        "documents": count,
        "statuses": {str(status): n for status, n in sorted(statuses.items())},
        "5xx": len(faults),
        "faults": faults[:5],
        "refused without a reason": unexplained,
        "half-written": half_written,
        "invalid when served": served_invalid(http, token),
        "record intact": record.verify().intact,
        "memory MB at a tenth": round(memory_at_tenth / 1024, 1),
        "memory MB at the end": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "documents a second": round(count / seconds),
    }


def served_invalid(http: Any, token: str) -> int:
    """How many of the resources that the server now serves break FHIR's own rules."""
    from openketamine.exchange.fhir.models import Resource
    from openketamine.exchange.fhir.projection import catch_up

    catch_up()
    wrong = 0
    for kind, content in Resource.objects.values_list("kind", "content").iterator():
        model = getattr(import_module(f"fhir.resources.R4B.{kind.lower()}"), kind)
        try:
            model.model_validate(json.loads(content))
        except ValueError:
            wrong += 1
    return wrong


@contextmanager
def clinic_of_one(folder: str | None = None) -> Iterator[tuple[str, str]]:
    """A clinic of its own while the block lasts, with one person: (token, person's id).

    The token may do everything.

    Args:
        folder: where its home is made; the place for temporary files where none is said.
    """
    home = tempfile.mkdtemp(prefix="openketamine-fuzz-", dir=folder)
    os.environ["OPENKETAMINE_HOME"] = home
    from openketamine.clinic.boot import prepare_database, start_django

    start_django()
    import logging

    from django.conf import settings

    settings.ALLOWED_HOSTS.append("testserver")
    logging.disable(logging.WARNING)  # each refusal would be a line
    prepare_database()
    try:
        yield _token_and_person()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _token_and_person() -> tuple[str, str]:
    from datetime import date, timedelta

    from openketamine.clinic.accounts.models import Role
    from openketamine.clinic.people.referral import ReferralData
    from openketamine.clinic.people.services import receive_referral
    from openketamine.clinic.staff.services import create_account
    from openketamine.exchange.smart.models import ClientApp
    from openketamine.exchange.smart.services import issue_token

    director = create_account(
        "fuzz", username="director", password="a long enough password", role=Role.DIRECTOR,
        display_name="Dana Example",
    )  # fmt: skip
    person = receive_referral(
        "fuzz",
        ReferralData(
            source_system="https://referrer.example", source_id="1", given_name="Maria",
            family_name="Example", birth_date=date(1983, 3, 14), sex="female",
        ),
        origin="fuzz",
    ).person  # fmt: skip
    client = ClientApp.objects.create(
        client_id="fuzz", name="Fuzz", kind="service", scope="system/*.cruds",
        registered_by=director,
    )  # fmt: skip
    token = issue_token(client, scope="system/*.cruds", lasts=timedelta(days=2))
    return token, str(person.pk)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--home", help="where the database is made; default: a temporary folder")
    arguments = parser.parse_args()
    with clinic_of_one(arguments.home) as (token, person):
        result = fuzz(arguments.documents, arguments.seed, token, person)
    print(json.dumps(result, indent=1))
    wrong = ("5xx", "refused without a reason", "half-written", "invalid when served")
    if any(result[name] for name in wrong) or not result["record intact"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
