"""Small bundles of an obviously invented patient, and the real ones, each read once."""

import json
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from openketamine.clinic.people import services as people
from openketamine.clinic.people.referral import (
    Coded,
    ReferredAllergy,
    ReferredCondition,
    ReferredMeasurement,
    ReferredMedication,
)
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Source
from openketamine.clinic.sessions import services as sessions
from openketamine.exchange.fhir.bundle import read_bundle
from tests.clinic.conftest import HOME

from .server import Fhir

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


@pytest.fixture
def fhir(director) -> Fhir:
    return Fhir(director)


@pytest.fixture
def charted(course, nurse):
    """A chart with problems, allergies, medicines, a procedure and laboratory values."""
    snomed = "http://snomed.info/sct"
    return people.take_statements(
        nurse,
        course.person,
        origin="a letter",
        source=Source.HAND,
        conditions=[
            ReferredCondition(
                "c1", Coded(snomed, "370143000", "Major depressive disorder"), "active",
                "disorder", date(2019, 5, 1),
            ),
            ReferredCondition(
                "c2", Coded("", "", "Fracture of wrist"), "active", "disorder",
                date(2010, 1, 1), date(2010, 4, 1),
            ),
            ReferredCondition("c3", Coded("", "", "Unemployed"), "unknown", "social"),
            ReferredCondition(
                "p1", Coded(snomed, "80146002", "Appendectomy"), "completed", "procedure",
                date(2001, 2, 3),
            ),
        ],
        medications=[
            ReferredMedication(
                "m1", Coded("", "", "Sertraline 100 MG Oral Tablet"), "active",
                date(2025, 1, 1), "100 mg daily",
            )
        ],
        allergies=[
            ReferredAllergy("a1", Coded("", "", "Penicillin"), "active", "high", "rash")
        ],
        measurements=[
            ReferredMeasurement("l1", kind, value, datetime(2026, 11, 1, 9, tzinfo=UTC))
            for kind, value in (("alt_u_per_l", 22.0), ("egfr_ml_per_min", 95.0))
        ]
        + [
            ReferredMeasurement("bp", kind, value, datetime(2026, 11, 2, 9, tzinfo=UTC))
            for kind, value in (("systolic_mmhg", 133.0), ("diastolic_mmhg", 84.0))
        ],
    )  # fmt: skip


@pytest.fixture
def treated(ready, nurse, prescriber):
    """A whole session: rates changed, a pause, a medicine, a side effect, home."""
    session = ready
    start = clock.now()

    def after(minutes):
        return clock.at(start + timedelta(minutes=minutes))

    with after(1):
        sessions.start_infusion(nurse, session)
    with after(5):
        sessions.record_vitals(
            nurse, session, systolic_mmhg=141, diastolic_mmhg=86, heart_rate_bpm=80, spo2_percent=98
        )
        sessions.record_observation(
            nurse, session, sedation_moaas=4, dissociation_0_10=6, nausea_0_10=2
        )
    with after(10):
        sessions.record_side_effect(nurse, session, effect="nausea", severity="mild")
        sessions.give_medicine(
            nurse, session, medicine="ondansetron", dose=4, route="IV", reason="nausea"
        )
    with after(15):
        sessions.change_rate(nurse, session, rate_mg_per_h=30, reason="sedated")
    with after(20):
        sessions.pause_infusion(nurse, session, reason="patient asks")
    with after(22):
        sessions.resume_infusion(nurse, session)
    with after(70):
        sessions.end_infusion(nurse, session)
    with after(200):
        sessions.record_vitals(
            nurse, session, systolic_mmhg=128, diastolic_mmhg=80, heart_rate_bpm=72, spo2_percent=98
        )
        sessions.record_observation(nurse, session, sedation_moaas=5, dissociation_0_10=0)
        sessions.discharge(nurse, session, answers=HOME, escort_name="Ines Example")
    session.refresh_from_db()
    return session
