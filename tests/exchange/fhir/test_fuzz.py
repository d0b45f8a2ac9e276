"""A short run of the fuzzing benchmark, and a walk through all that the server says it can do."""

import importlib.util
from pathlib import Path
from urllib.parse import quote

import pytest

from openketamine.exchange.fhir.kinds import KINDS

from .server import Fhir, valid

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "fuzz_fhir.py"
# For each type of parameter: what may be asked, and what nobody should.
ASKED = {
    "token": ["active", "http://x|", "a,b", "|", "\x00"],
    "string": ["maria", "%", "\\", "x" * 500],
    "date": ["2026", "ge2026-11", "ap2026-01-01", "9999-12-31", "x"],
    "reference": ["Patient/x", "x", "http://x/Patient/y", "/", "a,b"],
    "quantity": ["80", "gt80|http://x|kg", "ap80.00", "1e400", "x|y|z"],
}


@pytest.fixture(autouse=True)
def quiet(caplog):
    caplog.set_level("CRITICAL", logger="django.request")


def test_many_mutated_documents(fhir, course):
    spec = importlib.util.spec_from_file_location("fuzz_fhir", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    result = script.fuzz(300, seed=7, token=fhir.token, person=str(course.person_id))
    assert result["5xx"] == 0, result["faults"]
    assert result["half-written"] == 0
    assert result["refused without a reason"] == 0
    assert result["invalid when served"] == 0
    assert result["record intact"]
    assert result["statuses"]["201"] > 15
    assert result["statuses"]["422"] > 60


def test_everything_that_it_says_it_can_do_is_answered(fhir, charted, treated):
    """Each kind, each parameter, each sort of value: found, nothing found, or refused in words."""
    capabilities = fhir.read("metadata")
    listed = capabilities["rest"][0]["resource"]
    assert {entry["type"] for entry in listed} == {*KINDS, "Binary"}
    walked = 0
    for entry in listed:
        kind = entry["type"]
        for param in entry.get("searchParam", ()):
            for value in ASKED[param["type"]]:
                answer = fhir.get(f"{kind}?{param['name']}={quote(value)}&_count=2")
                walked += 1
                assert answer.status_code in (200, 400), (kind, param, value, answer.content)
                told = answer.json()
                expected = "Bundle" if answer.status_code == 200 else "OperationOutcome"
                assert told["resourceType"] == expected
        brought = [f"_include={include}" for include in entry.get("searchInclude", ())]
        brought += [f"_revinclude={one}" for one in entry.get("searchRevInclude", ())]
        valid(fhir.get(f"{kind}?_count=2&{'&'.join(brought)}").json())
        if kind != "Binary":
            fhir.read(f"{kind}/nobody-here", status=404)
    assert walked > 400


def test_a_program_without_a_scope_is_refused_everywhere(director, charted):
    narrow = Fhir(director, scope="system/Organization.r", name="Narrow")
    for kind in KINDS:
        expected = 200 if kind == "Organization" else 403
        path = f"{kind}/clinic" if kind == "Organization" else f"{kind}/1"
        assert narrow.get(path).status_code == expected
        assert narrow.get(kind).status_code == 403
