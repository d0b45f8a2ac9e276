"""`openketamine protocols`: exit status 0 only on success, one JSON document for machines."""

import json
import shutil

import pytest

from openketamine.cli import main
from openketamine.protocols import load, schema

from .test_loading import OWN


@pytest.fixture(autouse=True)
def _without_a_clinic(monkeypatch, tmp_path):
    monkeypatch.setenv("OPENKETAMINE_HOME", str(tmp_path))


OVERLAY = """\
rules:
  - id: PR-1
    statement: Resting pressure above 135 systolic or 90 diastolic
    when: {any: [{systolic_mmhg: {above: 135}}, {diastolic_mmhg: {above: 90}}]}
    because: Our cardiologist asked for it
retire:
  - {id: PR-10, because: Our cardiologist decides on each of these}
"""


@pytest.fixture
def overlay(tmp_path):
    folder = tmp_path / "protocols"
    (folder / "eligibility").mkdir(parents=True)
    (folder / "eligibility" / "precautions.yaml").write_text(OVERLAY, encoding="utf-8")
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
    path = overlay / "eligibility" / "precautions.yaml"
    path.write_text(OVERLAY.replace("{above: 135}", "{over: 135}"), encoding="utf-8")
    assert main(["protocols", "check", "--json"]) == 1
    out, err = capsys.readouterr()
    assert err.startswith(f"{path}:4: ")
    report = json.loads(out)
    assert (report["ok"], report["error"]) == (False, err.strip())
    assert (report["file"], report["line"]) == (str(path), 4)
    assert "compare systolic_mmhg with one of" in report["reason"]


def test_check_takes_a_file_by_its_path(capsys, tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("overlays: eligibility/precautions.yaml\n" + OVERLAY, encoding="utf-8")
    assert main(["protocols", "check", str(path)]) == 0
    assert "depart from it in 2 entries" in capsys.readouterr().out
    assert main(["protocols", "check", str(tmp_path / "nowhere.yaml")]) == 1
    assert "There is no" in capsys.readouterr().err


def test_check_says_what_has_lapsed_soon_will_or_should_have_been_reviewed(capsys, tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(
        "overlays: monitoring/iv.yaml\n"
        "thresholds:\n"
        "  - {id: IV-SYS-A, effective_to: 2026-12-31, because: For the length of our audit}\n",
        encoding="utf-8",
    )

    def due(day):
        assert main(["protocols", "check", str(path), "--json", "--on", day]) == 0
        found = json.loads(capsys.readouterr().out)["due"]
        return {(each["entry"], each["what"], each["on"]) for each in found}

    lapse = ("IV-SYS-A", "lapses after", "2026-12-31")
    assert lapse not in due("2026-10-31")
    assert lapse in due("2026-11-01")
    assert lapse in due("2026-12-31")
    assert ("IV-SYS-A", "has lapsed since", "2026-12-31") in due("2027-01-01")
    assert not any("reviewed" in what for _, what, _ in due("2027-01-01"))
    assert any("reviewed" in what for _, what, _ in due("2028-01-01"))
    assert main(["protocols", "check", str(path), "--on", "2027-01-01"]) == 0
    assert "DUE monitoring/iv.yaml IV-SYS-A has lapsed since 2026-12-31" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["protocols", "check", "--on", "tomorrow"])
    assert "not a day like" in capsys.readouterr().err


def test_the_clinics_own_files_are_taken_without_being_named(capsys, overlay):
    assert main(["protocols", "check"]) == 0
    assert "+clinic" in capsys.readouterr().out


def test_diff_shows_what_the_clinic_changed_field_by_field_and_nothing_else(capsys, overlay):
    assert main(["protocols", "diff", "--json"]) == 0
    changes = {each["entry"]: each for each in json.loads(capsys.readouterr().out)["changes"]}
    assert changes.keys() == {"PR-1", "PR-10"}
    changed = changes["PR-1"]
    assert (changed["act"], changed["file"]) == ("changed", "eligibility/precautions.yaml")
    assert changed["because"] == "Our cardiologist asked for it"
    fields = {field["field"]: field for field in changed["fields"]}
    assert fields["when"]["before"]["any"][0] == {"systolic_mmhg": {"above": 140}}
    assert fields["when"]["after"]["any"][0] == {"systolic_mmhg": {"above": 135}}
    assert changes["PR-10"]["act"] == "retired"
    assert main(["protocols", "diff"]) == 0
    said = capsys.readouterr().out
    assert "2 entries differ" in said
    assert "Systolic pressure above 140 mmHg or Diastolic pressure above 90 mmHg → Systolic" in said
    assert "RETIRED PR-10" in said
    assert "because: Our cardiologist decides" in said


def test_diff_compares_with_another_version_of_the_library(capsys, tmp_path):
    older = tmp_path / "older"
    shutil.copytree(str(OWN), older)
    path = older / "monitoring" / "iv.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("below: 94", "below: 93", 1))
    assert main(["protocols", "diff", "--against", str(older), "--json"]) == 0
    (change,) = json.loads(capsys.readouterr().out)["changes"]
    assert (change["entry"], change["fields"]) == (
        "IV-O2-A",
        [{"field": "below", "before": 93.0, "after": 94.0}],
    )
    path.write_text("route: [")
    assert main(["protocols", "diff", "--against", str(older)]) == 1
    assert f"{path}:" in capsys.readouterr().err
    assert main(["protocols", "diff", "--against", str(tmp_path / "nowhere")]) == 1


def test_the_schema_of_a_kind_is_the_published_one(capsys):
    assert main(["protocols", "schema", "eligibility"]) == 0
    assert json.loads(capsys.readouterr().out) == schema.published("eligibility")
    assert main(["protocols", "schema", "facts"]) == 0
    capsys.readouterr()
    assert main(["protocols", "schema", "elegibility"]) == 1
    assert "eligibility" in capsys.readouterr().err


def test_diff_without_an_overlay_says_what_to_give(capsys):
    assert main(["protocols", "diff"]) == 1
    assert "--against" in capsys.readouterr().err


def test_an_overlay_that_is_not_there_is_refused(capsys, tmp_path):
    assert main(["protocols", "list", "--overlay", str(tmp_path / "nowhere")]) == 1
    assert "There is no" in capsys.readouterr().err


def test_list_names_every_contraindication(capsys):
    assert main(["protocols", "list", "--kind", "contraindication", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    barring = [
        entry.item.named(stance)
        for entry in load().screening
        if isinstance(entry.item, schema.EligibilityRule)
        for stance in entry.item.stances
        if entry.item.finding_of(stance) == "contraindication"
    ]
    assert sorted(e["id"] for e in listed) == sorted(barring)
    assert main(["protocols", "list", "--certainty", "recalled"]) == 0
    assert "CI-6" in capsys.readouterr().out


def test_list_of_a_kind_that_is_not_there_names_the_kinds(capsys):
    assert main(["protocols", "list", "--kind", "contradiction"]) == 1
    assert "contraindication" in capsys.readouterr().err


def test_show_gives_source_certainty_and_authority(capsys):
    assert main(["protocols", "show", "ci-1:all"]) == 0
    said = capsys.readouterr().out
    for words in ("Aneurysmal", "esketamine nasal spray", "DESIGN", "clinic policy", "CI-1"):
        assert words in said
    assert main(["protocols", "show", "CI-1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["content"]["when"] == {
        "aneurysmal_vascular_disease": True
    }


def test_show_of_an_unknown_id_offers_what_is_near(capsys):
    assert main(["protocols", "show", "PR-18"]) == 1
    assert "PR-1" in capsys.readouterr().err
