"""A broken file is refused whole, with the file, the line and the reason."""

from importlib.resources import files

import pytest

from openketamine import protocols
from openketamine.protocols import ProtocolError

OWN = files("openketamine.protocols") / "library"


@pytest.fixture
def overlay(tmp_path):
    """Write one file of a clinic's overlay: the library's own with one text replaced."""

    def write(name: str, old: str, new: str):
        text = (OWN / name).read_text(encoding="utf-8")
        assert old in text
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return tmp_path

    return write


BROKEN = [
    # file, text, broken text, text on the line that the message names, words of the reason
    ("eligibility/iv.yaml", "finding: caution", "finding: warning", "finding: warning", "caution"),
    ("eligibility/iv.yaml", "patient: This", "pateint: This", "pateint: This", "no key 'pateint'"),
    (
        "eligibility/iv.yaml",
        "{psychosis: true}",
        "{psychos: true}",
        "{psychos:",
        "no fact 'psychos'",
    ),
    ("eligibility/iv.yaml", "{psychosis: true}", "{psychosis: yse}", "{psychosis: yse}", "true"),
    ("eligibility/iv.yaml", "{mania: true}", "{mania: {above: 1}}", "id: IV-PR-4", "for numbers"),
    ("eligibility/iv.yaml", "in: [severe]", "in: [severes]", "id: IV-PR-7A", "no choice 'severes'"),
    ("eligibility/iv.yaml", "{age_years: {below", "{age_years: {beneath", "beneath", "compare"),
    ("eligibility/iv.yaml", "source: drug-guide", "source: hearsay", "hearsay", "no source"),
    ("eligibility/iv.yaml", "id: IV-CI-2", "id: IV-CI-1", None, "'IV-CI-1' is used twice"),
    (
        "eligibility/iv.yaml",
        "    when: {psychosis: true}\n",
        "    when: {psychosis: true}\n    when: {mania: true}\n",
        None,
        "'when' stands here twice",
    ),
    (
        "eligibility/iv.yaml",
        "    certainty: recalled\n    authority: clinic policy",
        "    certainty: recalled\n    authority: guideline",
        "- id: IV-CI-4",
        "can only be shown as 'clinic policy'",
    ),
    ("facts.yaml", "fact: mania,", "fact: manai,", "manai", "no fact 'manai'"),
    ("facts.yaml", "{fact: mania,", "{fact: age_years,", "{fact: age_years,", "state a yes"),
    (
        "facts.yaml",
        "section: mind, label: Acute",
        "section: mood, label: Acute",
        "mood",
        "no section",
    ),
    ("facts.yaml", "choices: [none, mild", "chioces: [none, mild", "chioces", "no key 'chioces'"),
    ("instruments/phq9.yaml", "{from: 5,", "{from: 6,", "id: phq9", "should begin at 5"),
    ("instruments/phq9.yaml", "to: 27", "to: 26", "id: phq9", "do not reach the highest total"),
    ("instruments/phq9.yaml", "{id: q2,", "{id: q1,", None, "'q1' is used twice"),
    ("measurements.yaml", "[phq9, gad7]", "[phq9, gad9]", "gad9", "no instrument 'gad9'"),
    ("monitoring/iv.yaml", "at_least: 160, ", "", "id: IV-SYS-A,", "exactly one of"),
    ("monitoring/iv.yaml", "at_least: 160", "atleast: 160", "atleast", "no key 'atleast'"),
    ("monitoring/iv.yaml", "at_least: 160", "at_least: high", "at_least: high", "valid number"),
    ("monitoring/iv.yaml", "id: IV-SYS-A,", "id: DC-BP,", "id: DC-BP,", "must be signed"),
    ("regimens/iv-depression.yaml", "sessions: 6", "sessions: six", "sessions: six", "integer"),
    ("discharge/iv.yaml", "route: IV", "route: [IV", "criteria:", "expected"),
]


@pytest.mark.parametrize(("name", "old", "new", "line", "reason"), BROKEN)
def test_a_broken_file_is_refused_with_file_line_and_reason(overlay, name, old, new, line, reason):
    folder = overlay(name, old, new)
    with pytest.raises(ProtocolError) as refused:
        protocols.load(folder)
    file, number, said = str(refused.value).split(":", 2)
    assert file == str(folder / name)
    assert reason in said
    lines = (folder / name).read_text(encoding="utf-8").splitlines()
    there = lines[int(number) - 1]
    if line is not None:
        assert line in there
    else:
        # A repetition: the second of the two is named.
        assert sum(there.strip() == text.strip() for text in lines) >= 1
        word = said.split("'")[1]
        assert word in there
        assert any(word in text for text in lines[: int(number) - 1])


def test_a_file_that_the_library_does_not_have_is_refused(tmp_path):
    (tmp_path / "eligibility").mkdir()
    (tmp_path / "eligibility" / "vi.yaml").write_text("rules: []\n")
    with pytest.raises(ProtocolError, match=r"vi\.yaml:1: no such file in the library"):
        protocols.load(tmp_path)


def test_a_file_in_another_encoding_is_refused_with_its_name(tmp_path):
    (tmp_path / "sources.yaml").write_bytes("sources: {a: Müller}".encode("latin-1"))
    with pytest.raises(ProtocolError, match=r"sources\.yaml:1: not UTF-8"):
        protocols.load(tmp_path)


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "sources.yaml").write_text("")
    with pytest.raises(ProtocolError, match=r"sources\.yaml:1: "):
        protocols.load(tmp_path)


def test_an_overlay_changes_version_digest_and_what_must_be_signed(overlay, library):
    folder = overlay("eligibility/iv.yaml", "{above: 140}", "{above: 135}")
    changed = protocols.load(folder)
    assert changed.overlaid
    assert "+clinic" in changed.version
    assert changed.digest != library.digest
    # The limit stands in the statement that the director signs, not in the rule alone.
    folder = overlay(
        "monitoring/iv.yaml",
        'at_least: 160, statement: "Systolic 160 mmHg or more"',
        'at_least: 155, statement: "Systolic 155 mmHg or more"',
    )
    assert protocols.load(folder).policy_digest != changed.policy_digest


def test_a_changed_overlay_is_read_again(overlay):
    first = protocols.load(overlay("eligibility/iv.yaml", "{above: 140}", "{above: 135}"))
    second = protocols.load(overlay("eligibility/iv.yaml", "{above: 140}", "{above: 138}"))
    assert first.digest != second.digest


def test_an_empty_overlay_is_the_librarys_own(tmp_path, library):
    assert protocols.load(tmp_path).version == library.version


def test_whatever_is_recalled_or_proposed_waits_for_the_directors_signature(library):
    from openketamine.protocols import catalogue

    signed = {entry.id for entry in library.policy}
    waiting = {
        entry.id for entry in catalogue.entries(library) if entry.authority == "clinic policy"
    }
    assert waiting <= signed
    assert {"measure-24h", "measure-7d", "consent-iv"} <= signed
    for entry in catalogue.entries(library):
        if entry.certainty in {"recalled", "DESIGN"} and entry.authority:
            assert entry.authority == "clinic policy", entry.id


def test_no_figure_changes_under_the_directors_signature(overlay, library):
    """The words that were signed may stay as they are: the figure behind them is signed too."""
    folder = overlay("monitoring/iv.yaml", "above_baseline_by: 40", "above_baseline_by: 60")
    assert protocols.load(folder).policy_digest != library.policy_digest


def test_a_reviewed_day_alone_asks_for_no_new_signature(overlay, library):
    folder = overlay("monitoring/iv.yaml", "reviewed_on: 2026-11-24", "reviewed_on: 2026-12-24")
    assert protocols.load(folder).policy_digest == library.policy_digest
