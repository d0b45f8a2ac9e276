"""What is published of the library: pages, JSON Schemas, coverage. None may lag behind it."""

import importlib.util
import itertools
import json
import re
from datetime import date
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
import yaml

from openketamine import protocols
from openketamine.protocols import catalogue, schema

DOCS = Path(__file__).parents[2] / "docs"
LIBRARY = protocols.load()
OWN = files("openketamine.protocols") / "library"


def generator():
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate_protocols.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_and_schemas_are_those_of_the_library(capsys):
    assert generator().main(["--check"]) == 0, capsys.readouterr().out


def test_every_rule_stands_on_its_page():
    pages = (DOCS / "protocols").glob("*.md")
    page = "".join(path.read_text(encoding="utf-8") for path in pages)
    for file in (*LIBRARY.eligibility, *LIBRARY.jurisdictions.values()):
        for rule in file.rules:
            assert f"### {rule.id}: {rule.statement}" in page
            assert rule.explanation in page
            assert rule.patient in page


@pytest.mark.parametrize("name", sorted(LIBRARY.parts))
def test_every_file_fits_its_published_schema(name):
    folder, _, file = name.rpartition("/")
    published = DOCS / "protocols" / "schema" / f"{(folder or file).split('.')[0]}.schema.json"
    form = json.loads(published.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(form)
    data = yaml.safe_load((OWN / name).read_text(encoding="utf-8"))
    plain = json.loads(json.dumps(data, default=date.isoformat))
    validator = jsonschema.Draft202012Validator(form)
    assert [error.message for error in validator.iter_errors(plain)] == []
    assert list(validator.iter_errors({**plain, "unheard_of": 1}))


def test_every_row_of_the_reference_is_encoded_or_left_out_with_a_reason():
    for row in catalogue.coverage(LIBRARY):
        assert bool(row.entries) != bool(row.row.left_out), row.row.id


def test_no_entry_names_a_row_that_the_reference_does_not_have():
    rows = {row.row.id for row in catalogue.coverage(LIBRARY)}
    for entry in catalogue.entries(LIBRARY):
        assert set(entry.refs) <= rows, entry.id


HEADING = re.compile(r"#{2,3} (S?[0-9]+(?:\.[0-9]+)?)\.? ")


@pytest.fixture(scope="session")
def reference(shared_data):
    """The two clinical files from which the library was written, kept outside the project."""
    folder = shared_data.parent / "reference"
    if not folder.is_dir():
        pytest.skip(f"no clinical reference at {folder}")
    return [
        (folder / name).read_text(encoding="utf-8").splitlines()
        for name in ("clinical.md", "clinical-2.md")
    ]


def rows_and_sections(reference):
    """The ids of all rows, and the sections that state something without giving it an id."""
    rows: list[str] = []
    sections: dict[str, bool] = {}
    for lines in reference:
        section, has_ids = "", False
        for before, line in itertools.pairwise(["", *lines]):
            if found := HEADING.match(line):
                section, has_ids = found[1], False
                sections[section] = False
            elif line.lower().startswith("| id |"):
                has_ids = True
            elif not line.startswith("|"):
                has_ids = False
            if has_ids and line.startswith("| ") and not line.lower().startswith("| id |"):
                rows.append(line.split("|")[1].strip())
                sections.pop(section, None)
            elif section in sections and (
                line.startswith(("| ", "- ", "1. ")) or (line and not before and "→" in line)
            ):
                sections[section] = True
    return rows, {section for section, states in sections.items() if states}


def test_every_row_of_the_reference_files_is_in_the_table(reference):
    rows, _ = rows_and_sections(reference)
    assert len(rows) == len(set(rows)) > 140
    known = {row.row.id for row in catalogue.coverage(LIBRARY)}
    assert [row for row in rows if row not in known] == []


def test_every_section_without_rows_of_its_own_is_in_the_table_too(reference):
    """Section 0 says how to read the others."""
    _, sections = rows_and_sections(reference)
    assert len(sections) > 15
    known = {row.row.id for row in catalogue.coverage(LIBRARY)}
    assert sections - known - {"0"} == set()


def test_a_reason_for_leaving_a_row_out_says_more_than_that_it_is_left_out():
    for row in catalogue.coverage(LIBRARY):
        if row.row.left_out:
            assert len(row.row.left_out.split()) >= 6, row.row.id
            assert "not written yet" not in row.row.left_out, row.row.id


def test_every_contraindication_precaution_and_discharge_row_is_encoded():
    left_out = {row.row.id for row in catalogue.coverage(LIBRARY) if not row.entries}
    must = {f"CI-{n}" for n in range(1, 7)} | {f"PR-{n}" for n in range(1, 18)} | {"DC-1", "4.3"}
    assert not must & left_out


def test_every_entry_has_an_id_a_statement_and_a_day_of_review():
    entries = catalogue.entries(LIBRARY)
    assert len({(entry.kind, entry.id) for entry in entries}) == len(entries)
    for entry in entries:
        assert entry.id
        assert entry.statement
        assert entry.reviewed_on <= date(2100, 1, 1)
        # A question states nothing, and a text has a source for each of its sentences.
        if entry.kind not in {"fact", "consent", "aftercare", "education"}:
            assert entry.source, entry.id
            assert entry.certainty, entry.id


def test_the_form_of_a_condition_is_checked_in_words():
    for broken in ({}, {"a": True, "b": True}, {"all": []}, {"a": {"over": 1}}, {"a": "yes"}):
        with pytest.raises(ValueError, match=r"condition|needs a list|compare"):
            schema.check_condition(broken)
