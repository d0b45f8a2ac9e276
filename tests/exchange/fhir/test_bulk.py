"""Everything at once, for a service: begun, waited for, fetched, deleted."""

import asyncio
import json
import time
from datetime import timedelta

import pytest

from openketamine.clinic.record import clock
from openketamine.clinic.sessions.queries import timeline_of
from openketamine.clinic.sessions.timeline import fold
from openketamine.clinic.sites.services import open_site
from openketamine.exchange.fhir import bulk, bulk_rest, live
from openketamine.exchange.fhir.kinds import IN_CHART, KINDS
from openketamine.exchange.fhir.live import event_of
from openketamine.exchange.fhir.models import Export

from .server import Fhir, valid


@pytest.fixture
def at_once(monkeypatch, settings, tmp_path):
    """The work is done by the request itself, where a test's transaction reaches it."""
    settings.HOME = tmp_path
    monkeypatch.setattr(bulk, "start", bulk.run)


@pytest.fixture
def service(director):
    return Fhir(director, scope="system/*.rs", name="Warehouse")


def begin(fhir, path="$export"):
    answer = fhir.get(path, Prefer="respond-async")
    assert answer.status_code == 202, answer.content
    return answer["Content-Location"].partition("/fhir/")[2]


def manifest(fhir, where):
    answer = fhir.get(where)
    assert answer.status_code == 200, answer.content
    return answer.json()


def lines(fhir, entry):
    answer = fhir.get(entry["url"].partition("/fhir/")[2])
    assert answer["Content-Type"] == "application/fhir+ndjson"
    found = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert len(found) == entry["count"]
    return found


def test_it_works(service, at_once, charted, treated):
    told = manifest(service, begin(service))
    assert told["requiresAccessToken"] is True
    kinds = {entry["type"] for entry in told["output"]}
    assert kinds >= set(IN_CHART) | {"Provenance", "Practitioner", "Organization", "Questionnaire"}
    for entry in told["output"]:
        searched = service.found(f"{entry['type']}?_count=500")
        exported = lines(service, entry)
        assert all(valid(row)["resourceType"] == entry["type"] for row in exported)
        if entry["type"] != "AuditEvent":  # asking is itself an access
            assert {row["id"] for row in exported} == {row["id"] for row in searched}


def test_only_what_is_asked_for_is_exported(service, at_once, charted):
    told = manifest(service, begin(service, "Patient/$export?_type=Condition,Patient"))
    assert {entry["type"] for entry in told["output"]} == {"Condition", "Patient"}
    later = (clock.now() + timedelta(days=1)).isoformat().replace("+", "%2B")
    told = manifest(service, begin(service, f"$export?_type=Condition&_since={later}"))
    assert told["output"] == []


def test_long_files_are_cut(service, at_once, charted, monkeypatch):
    monkeypatch.setattr(bulk, "LINES_A_FILE", 2)
    told = manifest(service, begin(service, "$export?_type=Observation"))
    assert len(told["output"]) > 1
    assert all(entry["count"] <= 2 for entry in told["output"])
    keys = [row["id"] for entry in told["output"] for row in lines(service, entry)]
    assert len(set(keys)) == len(keys) == len(service.found("Observation?_count=500"))


def test_a_deleted_export_is_gone_with_its_files(service, at_once, charted):
    where = begin(service, "$export?_type=Condition")
    (entry,) = manifest(service, where)["output"]
    gone = service.http.delete(f"/fhir/{where}", headers=service.headers({}))
    assert gone.status_code == 202
    assert service.get(where).status_code == 404
    assert service.get(entry["url"].partition("/fhir/")[2]).status_code == 404
    assert not list(bulk.folder().iterdir())


def test_another_program_fetches_nothing_of_it(service, at_once, charted, director):
    where = begin(service, "$export?_type=Condition")
    (entry,) = manifest(service, where)["output"]
    other = Fhir(director, scope="system/*.rs", name="Other")
    assert other.get(where).status_code == 404
    assert other.get(entry["url"].partition("/fhir/")[2]).status_code == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("$export?_outputFormat=csv", 400),
        ("$export?_type=Claim", 404),
        ("$export?_since=soon", 400),
        ("$export?colour=red", 400),
        ("$export-status/00000000-0000-4000-8000-000000000000", 404),
        ("$export-file/00000000-0000-4000-8000-000000000000/..%2F..%2Fsecret.key", 404),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(service, at_once, path, status):
    answer = service.get(path, Prefer="respond-async")
    assert answer.status_code == status
    assert valid(answer.json())["resourceType"] == "OperationOutcome"
    assert not Export.objects.exists()


def test_an_export_is_asked_for_as_such(service, at_once):
    assert service.get("$export").status_code == 400


def test_only_a_service_exports_and_only_what_it_may_read(director, nurse, at_once, charted):
    user = Fhir(director, scope="user/*.rs", user=nurse, name="App")
    assert user.get("$export", Prefer="respond-async").status_code == 403
    narrow = Fhir(director, scope="system/Condition.rs", name="Narrow")
    told = manifest(narrow, begin(narrow))
    assert {entry["type"] for entry in told["output"]} == {"Condition"}
    answer = narrow.get("$export?_type=Patient", Prefer="respond-async")
    assert answer.status_code == 403


def test_too_many_at_once_wait(service, at_once, monkeypatch):
    monkeypatch.setattr(bulk, "start", lambda key: None)
    for _ in range(bulk.AT_ONCE):
        begin(service)
    answer = service.get("$export", Prefer="respond-async")
    assert answer.status_code == 429
    assert answer["Retry-After"]


def test_an_export_whose_server_was_stopped_is_taken_up_again(
    service, at_once, charted, monkeypatch
):
    monkeypatch.setattr(bulk, "start", lambda key: None)
    where = begin(service, "$export?_type=Condition")
    waiting = service.get(where)
    assert waiting.status_code == 202
    assert waiting["X-Progress"] == "0 resources written"
    monkeypatch.setattr(bulk, "start", bulk.run)
    with clock.at(clock.now() + bulk.GONE_AFTER + timedelta(seconds=1)):
        service.get(where)
    assert manifest(service, where)["output"]


def test_an_export_that_fails_says_so(service, at_once, monkeypatch):
    def full(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr(bulk.Writer, "write", full)
    where = begin(service)
    answer = service.get(where)
    assert answer.status_code == 500
    assert "No space left" in answer.json()["issue"][0]["diagnostics"]


def test_what_nobody_fetched_is_removed_after_a_day(service, at_once, charted):
    where = begin(service, "$export?_type=Condition")
    with clock.at(clock.now() + bulk.KEPT_FOR + timedelta(hours=1)):
        bulk.forget_old()
    assert service.get(where).status_code == 404
    assert not list(bulk.folder().iterdir())


@pytest.mark.django_db(transaction=True)
def test_a_thread_writes_it_beside_the_server(director, coordinator, person, settings, tmp_path):
    settings.HOME = tmp_path
    service = Fhir(director, scope="system/*.rs", name="Warehouse")
    where = begin(service)
    for _ in range(600):
        answer = service.get(where)
        if answer.status_code != 202:
            break
        time.sleep(0.05)
    assert answer.status_code == 200, answer.content
    kinds = {entry["type"] for entry in answer.json()["output"]}
    assert {"Patient", "Practitioner", "Questionnaire"} <= kinds <= set(KINDS)


def test_a_session_read_from_an_export_alone_is_the_same_session(service, at_once, treated):
    """What left the clinic tells the whole course, and proves that nobody has altered it."""
    told = manifest(service, begin(service, "$export?_type=Provenance"))
    events = [event_of(row) for entry in told["output"] for row in lines(service, entry)]
    assert [event.digest() for event in events] == [event.hash for event in events]
    assert [e.hash for e in events] == list(
        live.events().order_by("seq").values_list("hash", flat=True)
    )
    mine = [event for event in events if event.stream == treated.stream]
    assert fold(mine) == timeline_of(treated)


def test_a_file_reaches_an_asgi_server_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(bulk_rest, "PART", 7)
    path = tmp_path / "Patient-1.ndjson"
    path.write_bytes(b'{"a": 1}\n' * 5)

    async def read():
        return [part async for part in bulk_rest._parts_in_turn(path)]

    parts = asyncio.run(read())
    assert len(parts) == 7
    assert b"".join(parts) == path.read_bytes() == b"".join(bulk_rest._parts(path))


def refused(fhir, path):
    answer = fhir.get(path, Prefer="respond-async")
    assert not Export.objects.exists()
    return answer.status_code, answer.json()["issue"][0]["diagnostics"]


def test_the_tables_behind_it_are_for_a_service_of_the_whole_clinic(director, service, at_once):
    status, why = refused(service, "$export?_type=Basic&_since=2026-01-01")
    assert (status, "without _since" in why) == (400, True)
    narrower = Fhir(director, scope="system/Patient.rs", name="Count of patients")
    status, why = refused(narrower, "$export?_type=Basic")
    assert (status, "needs the scope system/*.rs" in why) == (403, True)
    begin(service, "$export?_type=Basic")
    Export.objects.all().delete()
    open_site(director, name="Across the River", short_name="River")
    # A program that no director has bound to all of them sees the first alone.
    status, why = refused(service, "$export?_type=Basic")
    assert (status, "is of all sites" in why) == (403, True)
