"""`openketamine protocols propose|versions`."""

import json

import pytest

from openketamine.cli import main
from openketamine.clinic.policy import queries
from openketamine.clinic.policy.models import OverlayVersion

from .conftest import NOTE, STRICTER


@pytest.fixture(autouse=True)
def _database_is_ready(db, monkeypatch):
    monkeypatch.setattr("openketamine.clinic.boot.prepare_database", lambda: None)


def test_it_works(tmp_path, capsys, signed_policy):
    path = tmp_path / "own.yaml"
    path.write_text(STRICTER)
    assert main(["protocols", "propose", str(path), "--note", NOTE]) == 0
    assert "Version 1 waits for the medical director" in capsys.readouterr().out
    version = OverlayVersion.objects.get()
    assert version.text == STRICTER
    assert version.proposed_by.startswith("command line (")
    assert not queries.library().overlaid
    assert main(["protocols", "versions"]) == 0
    assert "waits" in capsys.readouterr().out
    assert main(["protocols", "versions", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["version"], row["state"], row["note"]) == (1, "waits", NOTE)


def test_a_folder_of_files_becomes_one_text(tmp_path, capsys):
    (tmp_path / "monitoring").mkdir()
    (tmp_path / "monitoring" / "iv.yaml").write_text(STRICTER.partition("\n")[2])
    (tmp_path / "other.yaml").write_text(
        "---\noverlays: sources.yaml\nsources: {our-audit: Our audit of 2025}\n"
    )
    assert main(["protocols", "propose", str(tmp_path), "--note", NOTE, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == 1
    library = queries.protocols.load(OverlayVersion.objects.get().overlay)
    assert "our-audit" in library.sources
    assert {d.entry for d in library.departures} == {"IV-SYS-A"}


def test_a_broken_file_is_refused_with_file_and_line(tmp_path, capsys):
    path = tmp_path / "own.yaml"
    path.write_text(STRICTER.replace("thresholds", "thresh"))
    assert main(["protocols", "propose", str(path), "--note", NOTE]) == 1
    assert f"{path}:2: there is no key 'thresh' here" in capsys.readouterr().err
    assert main(["protocols", "propose", str(tmp_path / "none.yaml"), "--note", NOTE]) == 1
    assert not OverlayVersion.objects.exists()


def test_a_text_without_a_purpose_is_refused(tmp_path, capsys):
    path = tmp_path / "own.yaml"
    path.write_text(STRICTER)
    assert main(["protocols", "propose", str(path), "--note", " "]) == 1
    assert "what this version is for" in capsys.readouterr().err
