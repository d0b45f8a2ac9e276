"""What is published of the library: pages, JSON Schemas, coverage. None may lag behind it."""

import importlib.util
import json
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
    page = (DOCS / "protocols" / "eligibility-iv.md").read_text(encoding="utf-8")
    for file in LIBRARY.eligibility:
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
