"""Small bundles of an obviously invented patient, and the real ones, each read once."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from openketamine.exchange.fhir.bundle import read_bundle

PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "name": [{"use": "official", "family": "Example", "given": ["Maria"]}],
    "gender": "female",
    "birthDate": "1983-03-14",
}


def bundle(*resources: dict[str, Any], patient: dict[str, Any] | None = PATIENT) -> dict[str, Any]:
    listed = [patient, *resources] if patient else [*resources]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": f"urn:uuid:{n}", "resource": r} for n, r in enumerate(listed)],
    }


def about_her(kind: str, **content: Any) -> dict[str, Any]:
    return {
        "resourceType": kind,
        "id": content.pop("id", "x1"),
        "subject": {"reference": "urn:uuid:0"},
        **content,
    }


def observation(code: str, value: float, unit: str, **content: Any) -> dict[str, Any]:
    return about_her(
        "Observation",
        status="final",
        code={"coding": [{"system": "http://loinc.org", "code": code}]},
        effectiveDateTime=content.pop("at", "2026-10-01T09:00:00Z"),
        valueQuantity={"value": value, "unit": unit, "code": unit},
        **content,
    )


def raw(document: Any) -> bytes:
    return json.dumps(document).encode()


@cache
def real(path: Path) -> Any:
    """One real bundle as its raw document and as we read it."""
    content = path.read_bytes()
    return json.loads(content), read_bundle(content)


@pytest.fixture(scope="session")
def real_bundles(shared_data: Path) -> list[Path]:
    return sorted((shared_data / "fhir").glob("*.json"))
