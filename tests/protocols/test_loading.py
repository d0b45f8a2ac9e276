"""A broken file is refused whole, with the file, the line and the reason."""

import shutil
from contextlib import suppress
from datetime import date
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openketamine import protocols
from openketamine.protocols import ProtocolError
from openketamine.protocols.files import parse_all

OWN = files("openketamine.protocols") / "library"


@pytest.fixture
def changed_library(tmp_path):
    """A copy of the library in which one text of one file is replaced."""

    def write(name: str, old: str, new: str):
        folder = tmp_path / "library"
        if not folder.exists():
            shutil.copytree(str(OWN), folder)
        text = (OWN / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")
        return folder

    return write


BROKEN = [
    # file, text, broken text, text on the line that the message names, words of the reason
    (
        "eligibility/precautions.yaml",
        "finding: caution",
        "finding: warning",
        "finding: warning",
        "caution",
    ),
    (
        "eligibility/contraindications.yaml",
        "patient: This",
        "pateint: This",
        "pateint: This",
        "no key 'pateint'",
    ),
    (
        "eligibility/precautions.yaml",
        "{psychosis: true}",
        "{psychos: true}",
        "{psychos:",
        "no fact 'psychos'",
    ),
    (
        "eligibility/precautions.yaml",
        "{psychosis: true}",
        "{psychosis: yse}",
        "{psychosis: yse}",
        "true",
    ),
    (
        "eligibility/precautions.yaml",
        "{mania: true}",
        "{mania: {above: 1}}",
        "ref: PR-4",
        "for numbers",
    ),
    (
        "eligibility/precautions.yaml",
        "in: [severe]",
        "in: [severes]",
        "id: PR-7-SEVERE",
        "no choice 'severes'",
    ),
    (
        "eligibility/contraindications.yaml",
        "{age_years: {below",
        "{age_years: {beneath",
        "beneath",
        "compare",
    ),
    (
        "eligibility/contraindications.yaml",
        "source: drug-guide",
        "source: hearsay",
        "hearsay",
        "no source",
    ),
    ("eligibility/contraindications.yaml", "id: CI-2", "id: CI-1", None, "'CI-1' is used twice"),
    (
        "eligibility/precautions.yaml",
        "    when: {psychosis: true}\n",
        "    when: {psychosis: true}\n    when: {mania: true}\n",
        None,
        "'when' stands here twice",
    ),
    (
        "eligibility/contraindications.yaml",
        "certainty: recalled, authority: clinic policy",
        "certainty: recalled, authority: guideline",
        "authority: guideline",
        "can only be shown as 'clinic policy'",
    ),
    (
        "eligibility/precautions.yaml",
        "{routes: [ORAL], certainty",
        "{routes: [IV], certainty",
        "id: PR-2",
        "the route IV has two stances",
    ),
    (
        "eligibility/precautions.yaml",
        "routes: [ORAL]",
        "routes: [RECTAL]",
        "RECTAL",
        "Input should be",
    ),
    ("eligibility/conditions.yaml", "[PTSD]", "[PTDS]", "PTDS", "no condition 'PTDS'"),
    ("jurisdictions/us.yaml", "suspended_by: TH-2", "suspended_by: TH-9", "TH-9", "no rule 'TH-9'"),
    (
        "jurisdictions/us.yaml",
        "jurisdiction: US",
        "jurisdiction: GB",
        "id: TH-1",
        "a law of US says so",
    ),
    ("ingredients.yaml", "brands: [Xanax,", "brands: [Valium,", "Valium", "is alprazolam already"),
    ("ingredients.yaml", "[benzodiazepine]", "[benzo]", "benzo", "no class 'benzo'"),
    (
        "ingredients.yaml",
        "of: [oxycodone, acetaminophen]",
        "of: [oxycodone, apap]",
        "apap",
        "no ingredient 'apap'",
    ),
    (
        "facts.yaml",
        "asked_if: {psychosis: true}",
        "asked_if: {mood_stabiliser: true}",
        "psychosis_active",
        "not asked of everybody",
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
    ("measurements.yaml", "[phq9, gad7, asq", "[phq9, gad9, asq", "gad9", "no instrument 'gad9'"),
    ("monitoring/iv.yaml", "at_least: 160, ", "", "id: IV-SYS-A,", "exactly one of"),
    ("monitoring/iv.yaml", "at_least: 160", "atleast: 160", "atleast", "no key 'atleast'"),
    ("monitoring/iv.yaml", "at_least: 160", "at_least: high", "at_least: high", "valid number"),
    ("monitoring/iv.yaml", "id: IV-SYS-A,", "id: DC-BP,", "id: DC-BP,", "must be signed"),
    ("regimens/iv-depression.yaml", "sessions: 6", "sessions: six", "sessions: six", "integer"),
    ("discharge/iv.yaml", "route: IV", "route: [IV", "criteria:", "expected"),
]


@pytest.mark.parametrize(("name", "old", "new", "line", "reason"), BROKEN)
def test_a_broken_file_is_refused_with_file_line_and_reason(
    changed_library, name, old, new, line, reason
):
    folder = changed_library(name, old, new)
    with pytest.raises(ProtocolError) as refused:
        protocols.load(base=folder)
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


def test_a_file_in_another_encoding_is_refused_with_its_name(changed_library):
    folder = changed_library("sources.yaml", "sources:", "sources:")
    (folder / "sources.yaml").write_bytes("sources: {a: Müller}".encode("latin-1"))
    with pytest.raises(ProtocolError, match=r"library/sources\.yaml:1: not UTF-8"):
        protocols.load(base=folder)


def test_an_empty_file_is_refused(changed_library):
    folder = changed_library("sources.yaml", "sources:", "sources:")
    (folder / "sources.yaml").write_text("")
    with pytest.raises(ProtocolError, match=r"sources\.yaml:1: "):
        protocols.load(base=folder)


def test_a_library_without_one_of_its_files_is_refused(changed_library):
    folder = changed_library("sources.yaml", "sources:", "sources:")
    (folder / "facts.yaml").unlink()
    with pytest.raises(ProtocolError, match=r"facts\.yaml:1: a library needs this file"):
        protocols.load(base=folder)


def test_a_file_in_a_folder_of_no_kind_is_refused(changed_library):
    folder = changed_library("sources.yaml", "sources:", "sources:")
    (folder / "recipes").mkdir()
    (folder / "recipes" / "iv.yaml").write_text("reviewed_on: 2026-11-24\n")
    with pytest.raises(ProtocolError, match=r"recipes/iv\.yaml:1: a file here must lie in one of"):
        protocols.load(base=folder)


HIDING = [
    ("a: &x [1]\nb: *x\n", 1, "alias"),
    ("a: {b: 1}\nc:\n  <<: {d: 1}\n", 3, "plain word"),
    ("? [a, b]\n: 1\n", 1, "plain word"),
    ("a: 1\n---\nb: 2\n", 3, "second document"),
    ("a: !!python/object:os.system {}\n", 1, "constructor"),
    ("a: 2026-02-31\n", 1, "day is out of range"),
    ("a: 1\nb: [1, 2\n", 3, "expected"),
    ("a: 1\nb: \x07\n", 2, "not YAML"),
    ("a: " + "[" * 60 + "]" * 60, 1, "nested deeper"),
    ("a: '" + "x" * 500_001 + "'", 1, "longer than"),
]


@pytest.mark.parametrize(("text", "line", "reason"), HIDING)
def test_text_that_hides_what_it_says_is_refused_at_its_line(changed_library, text, line, reason):
    folder = changed_library("sources.yaml", "sources:", "sources:")
    (folder / "sources.yaml").write_text(text)
    with pytest.raises(ProtocolError) as refused:
        protocols.load(base=folder)
    assert (refused.value.line, reason in refused.value.reason) == (line, True), refused.value


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text):
    """Every text is read, or refused with a line that it has."""
    with suppress(ProtocolError):
        parse_all("x.yaml", "x.yaml", text)


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


def test_no_figure_changes_under_the_directors_signature(changed_library, library):
    """The words that were signed may stay as they are: the figure behind them is signed too."""
    folder = changed_library("monitoring/iv.yaml", "above_baseline_by: 40", "above_baseline_by: 60")
    assert protocols.load(base=folder).policy_digest != library.policy_digest


def test_a_day_of_review_alone_asks_for_no_new_signature(changed_library, library):
    folder = changed_library(
        "monitoring/iv.yaml", "reviewed_on: 2026-11-24", "reviewed_on: 2026-12-24"
    )
    assert protocols.load(base=folder).policy_digest == library.policy_digest


def test_the_same_texts_are_read_once():
    assert protocols.load() is protocols.load()


def test_what_has_lapsed_is_not_there_and_stays_signed(changed_library):
    folder = changed_library(
        "monitoring/iv.yaml", "at_least: 160,", "at_least: 160, effective_to: 2026-12-31,"
    )
    whole = protocols.load(base=folder)

    def limits(on):
        return {limit.id for limit in whole.at(on).monitoring["IV"].thresholds}

    assert "IV-SYS-A" in limits(date(2026, 12, 31))
    assert "IV-SYS-A" not in limits(date(2027, 1, 1))
    assert "IV-SYS-R" in limits(date(2027, 1, 1))
    assert whole.at(date(2027, 1, 1)).policy_digest == whole.policy_digest
    assert whole.at(date(2027, 1, 1)) is whole.at(date(2027, 1, 1))
    assert whole.at(date(2027, 1, 1)).at(date(2026, 12, 31)).digest == whole.digest
