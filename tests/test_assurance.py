"""The pages on hazards and security say what is so: each test that they name is there."""

import ast
import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
_spec = importlib.util.spec_from_file_location(
    "generate_assurance", ROOT / "docs" / "generate_assurance.py"
)
generate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generate)

HAZARDS = generate.load("hazards")["hazards"]
ASVS = generate.load("security-asvs")
SEVERITIES = {"negligible", "minor", "serious", "critical", "catastrophic"}


@cache
def names_in(file: str) -> frozenset[str]:
    path = ROOT / "tests" / file
    if not path.is_file():
        return frozenset()
    return frozenset(
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")
    )


def missing(named: list[str]) -> list[str]:
    found = []
    for name in named:
        file, _, test = name.partition("::")
        known = names_in(file)
        if not known or (test != "*" and test not in known):
            found.append(name)
    return found


@pytest.mark.parametrize("hazard", HAZARDS, ids=lambda hazard: hazard["id"])
def test_every_hazard_has_controls_and_every_control_a_test_that_exists(hazard):
    assert hazard["severity"] in SEVERITIES
    assert hazard["causes"]
    assert hazard["harm"]
    assert hazard["controls"]
    for control in hazard["controls"]:
        assert control["tests"], control["what"]
        assert missing(control["tests"]) == []


def test_hazards_are_numbered_without_gaps():
    assert [h["id"] for h in HAZARDS] == [f"H-{n:02d}" for n in range(1, len(HAZARDS) + 1)]


@pytest.mark.parametrize("line", ASVS["lines"], ids=lambda line: line["ids"][0])
def test_every_line_of_the_checklist_that_is_met_is_shown_by_something_that_exists(line):
    assert line["status"] in generate.STATUS
    assert line["how"]
    assert missing(line.get("tests", [])) == []
    if line["status"] == "met":
        # A document or a setting shows what no test can: then the text says where.
        places = re.findall(r"`([^`]+)`", line["how"])
        assert line.get("tests") or places, line["ids"]


def test_every_requirement_of_levels_1_and_2_has_its_line_once():
    """The numbers of the standard, level 2 (which holds level 1), by section."""
    wanted = [
        f"{section}.{number}"
        for section, numbers in ASVS["requirements"].items()
        for number in _numbers(str(numbers))
    ]
    said = [each for line in ASVS["lines"] for each in line["ids"]]
    assert sorted(said) == sorted(set(said)), "a line stands twice"
    assert set(said) == set(wanted), set(said) ^ set(wanted)


def _numbers(text: str) -> list[int]:
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return found


@pytest.mark.parametrize("page", ["hazards", "security-asvs"])
def test_the_page_is_the_one_that_the_data_give(page):
    written = {"hazards": generate.hazards, "security-asvs": generate.asvs}[page]()
    assert (ROOT / "docs" / f"{page}.md").read_text() == written, "run: make docs"


def test_a_test_that_is_gone_is_noticed():
    assert missing(["site/test_access.py::test_it_works"]) == []
    assert missing(["site/test_access.py::test_gone", "site/gone.py::test_it_works"]) == [
        "site/test_access.py::test_gone",
        "site/gone.py::test_it_works",
    ]
