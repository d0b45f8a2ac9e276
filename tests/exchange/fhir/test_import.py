"""Referrals arrive by upload and by command; twice changes nothing, a broken one leaves nothing."""

import io
import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from openketamine import cli
from openketamine.clinic.people.models import (
    Allergy,
    Condition,
    Course,
    Measurement,
    Medication,
    Person,
)
from openketamine.clinic.record.models import Event
from openketamine.exchange.fhir.referrals import import_referral

from .conftest import PATIENT, bundle, observation, raw, real
from .test_bundle import DEPRESSION

TABLES = (Person, Course, Condition, Medication, Allergy, Measurement, Event)


def rows():
    return {table.__name__: table.objects.count() for table in TABLES}


def test_it_works(coordinator):
    summary = import_referral(coordinator, raw(bundle(DEPRESSION)), name="maria.json")
    assert summary.status == "created"
    assert str(summary.person) == "Maria Example"
    assert Event.objects.get().actor == coordinator


def test_every_real_bundle_is_taken_in_and_a_second_time_changes_nothing(coordinator, real_bundles):
    files = [(path.name, path.read_bytes()) for path in real_bundles]
    statuses = {import_referral(coordinator, content, name=n).status for n, content in files}
    assert statuses == {"created"}
    assert Person.objects.count() == 38
    before = rows()
    expected = sum(len(real(path)[1].medications) for path in real_bundles)
    assert before["Medication"] == expected
    again = {import_referral(coordinator, content, name=n).status for n, content in files}
    assert again == {"unchanged"}
    assert rows() == before


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        raw(bundle(observation("29463-7", 7, "kg"))),
        raw(bundle(patient={**PATIENT, "birthDate": "2020-01-01"})),
    ],
)
def test_a_refused_bundle_leaves_nothing_behind(coordinator, content):
    summary = import_referral(coordinator, content, name="broken.json")
    assert summary.status == "refused"
    assert summary.place
    assert summary.reason
    assert not any(rows().values())


def test_a_newer_bundle_updates_and_says_what(coordinator):
    import_referral(coordinator, raw(bundle(DEPRESSION)), name="a")
    resolved = {**DEPRESSION, "clinicalStatus": {"coding": [{"code": "resolved"}]}}
    summary = import_referral(coordinator, raw(bundle(resolved)), name="b")
    assert summary.status == "updated"
    assert Condition.objects.get().status == "resolved"


def upload(name, content):
    return SimpleUploadedFile(name, content, content_type="application/json")


def test_a_good_file_is_taken_beside_a_broken_one(client, coordinator):
    client.force_login(coordinator)
    files = [upload("good.json", raw(bundle())), upload("broken.json", b"{")]
    page = client.post("/referrals/import/", {"files": files}).content.decode()
    assert "Maria Example" in page
    assert "line 1, column 2: not JSON" in page
    assert Person.objects.count() == 1


def test_no_file_is_refused_in_words(client, coordinator):
    client.force_login(coordinator)
    response = client.post("/referrals/import/", {})
    assert response.status_code == 422
    assert "This field is required." in response.content.decode()


def test_a_nurse_does_not_import(client, nurse):
    client.force_login(nurse)
    assert client.get("/referrals/import/").status_code == 403


@pytest.fixture
def command(monkeypatch, capsys):
    """Run `openketamine import-fhir` on the test's own database."""
    monkeypatch.setattr("openketamine.exchange.fhir.cli.prepare_database", lambda: None)

    def run(*arguments):
        status = cli.main(["import-fhir", *map(str, arguments)])
        return status, *capsys.readouterr()

    return run


def test_the_command_says_what_became_of_each_file(db, command, tmp_path):
    (tmp_path / "good.json").write_bytes(raw(bundle(DEPRESSION)))
    (tmp_path / "broken.json").write_bytes(b"{")
    status, out, err = command(tmp_path / "good.json", tmp_path / "broken.json", "--json")
    assert status == 1
    good, broken = json.load(io.StringIO(out))
    assert (good["status"], good["counts"]["conditions"]) == ("created", 1)
    assert (broken["status"], broken["place"]) == ("refused", "line 1, column 2")
    assert "[2/2] broken.json: REFUSED" in err


def test_the_command_succeeds_only_if_every_file_was_taken(db, command, tmp_path):
    (tmp_path / "good.json").write_bytes(raw(bundle()))
    assert command(tmp_path / "good.json")[0] == 0
    assert command(tmp_path / "missing.json")[0] == 1


def test_the_command_names_its_actor(coordinator, command, tmp_path):
    (tmp_path / "good.json").write_bytes(raw(bundle()))
    assert command(tmp_path / "good.json", "--as", "nobody")[0] == 1
    assert not Person.objects.exists()
    assert command(tmp_path / "good.json", "--as", "coordinator")[0] == 0
    assert Event.objects.get().actor == coordinator
