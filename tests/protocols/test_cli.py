"""`openketamine protocols`: exit status 0 only on success, one JSON document for machines."""

import json

import pytest

from openketamine.cli import main
from openketamine.protocols import load

from .test_loading import OWN


@pytest.fixture(autouse=True)
def _without_a_clinic(monkeypatch, tmp_path):
    monkeypatch.setenv("OPENKETAMINE_HOME", str(tmp_path))


@pytest.fixture
def overlay(tmp_path):
    folder = tmp_path / "protocols"
    (folder / "eligibility").mkdir(parents=True)
    text = (OWN / "eligibility/iv.yaml").read_text(encoding="utf-8")
    changed = text.replace("{above: 140}", "{above: 135}")
    (folder / "eligibility" / "iv.yaml").write_text(changed, encoding="utf-8")
    return folder


def test_check_says_that_the_library_is_sound(capsys):
    assert main(["protocols", "check"]) == 0
    said = capsys.readouterr().out
    assert "sound" in said
    assert load().digest in said


def test_check_for_machines(capsys):
    assert main(["protocols", "check", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is True
    assert report["to_sign"] == len(load().policy)


def test_check_refuses_a_broken_overlay_with_file_line_and_reason(capsys, overlay):
    path = overlay / "eligibility" / "iv.yaml"
    path.write_text(path.read_text().replace("id: IV-CI-2", "id: IV-CI-1"), encoding="utf-8")
    assert main(["protocols", "check", "--json"]) == 1
    out, err = capsys.readouterr()
    assert f"{path}:" in err
    assert "used twice" in err
    assert json.loads(out) == {"ok": False, "error": err.strip()}


def test_the_clinics_own_files_are_taken_without_being_named(capsys, overlay):
    assert main(["protocols", "check"]) == 0
    assert "+clinic" in capsys.readouterr().out


def test_diff_shows_what_the_clinic_changed_and_nothing_else(capsys, overlay):
    assert main(["protocols", "diff", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["changes"] == [
        {
            "file": "eligibility/iv.yaml",
            "where": "rules.IV-PR-1.when.any.0.systolic_mmhg.above",
            "before": 140,
            "after": 135,
        }
    ]
    assert main(["protocols", "diff"]) == 0
    said = capsys.readouterr().out
    assert "  - 140\n  + 135\n" in said


def test_diff_shows_a_rule_that_the_clinic_added_and_one_that_it_dropped(capsys, overlay):
    path = overlay / "eligibility" / "iv.yaml"
    head, first, rest = (OWN / "eligibility/iv.yaml").read_text().split("  - id: IV-", 2)
    path.write_text(f"{head}  - id: IV-{first.replace('AGE', 'ADULTS', 1)}  - id: IV-{rest}")
    assert main(["protocols", "diff", "--json"]) == 0
    changes = json.loads(capsys.readouterr().out)["changes"]
    assert [(c["where"], c["before"] is None, c["after"] is None) for c in changes] == [
        ("rules.IV-AGE", False, True),
        ("rules.IV-ADULTS", True, False),
    ]


def test_diff_without_an_overlay_says_what_to_give(capsys):
    assert main(["protocols", "diff"]) == 1
    assert "--overlay" in capsys.readouterr().err


def test_an_overlay_that_is_not_there_is_refused(capsys, tmp_path):
    assert main(["protocols", "list", "--overlay", str(tmp_path / "nowhere")]) == 1
    assert "There is no folder" in capsys.readouterr().err


def test_list_names_every_contraindication(capsys):
    assert main(["protocols", "list", "--kind", "contraindication", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    rules = [r for file in load().eligibility for r in file.rules]
    assert [e["id"] for e in listed] == [r.id for r in rules if r.finding == "contraindication"]
    assert main(["protocols", "list", "--certainty", "recalled"]) == 0
    assert "IV-CI-6" in capsys.readouterr().out


def test_list_of_a_kind_that_is_not_there_names_the_kinds(capsys):
    assert main(["protocols", "list", "--kind", "contradiction"]) == 1
    assert "contraindication" in capsys.readouterr().err


def test_show_gives_source_certainty_and_authority(capsys):
    assert main(["protocols", "show", "iv-ci-1"]) == 0
    said = capsys.readouterr().out
    for words in ("Aneurysmal", "esketamine nasal spray", "DESIGN", "clinic policy", "CI-1"):
        assert words in said
    assert main(["protocols", "show", "IV-CI-1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["content"]["when"] == {
        "aneurysmal_vascular_disease": True
    }


def test_show_of_an_unknown_id_offers_what_is_near(capsys):
    assert main(["protocols", "show", "PR-1"]) == 1
    assert "IV-PR-1" in capsys.readouterr().err
