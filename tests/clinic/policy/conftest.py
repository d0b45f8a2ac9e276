"""Texts that a clinic might propose."""

import pytest

from openketamine import protocols
from openketamine.clinic.policy import queries, services

STRICTER = """\
overlays: monitoring/iv.yaml
thresholds:
  - id: IV-SYS-A
    at_least: 150
    statement: Systolic 150 mmHg or more
    because: Our patients are older than those of the trials
"""
LOOSER = STRICTER.replace("150", "170").replace("older", "younger")
NOTE = "Thresholds for our patients"


def limit(library: protocols.Library, key: str = "IV-SYS-A"):
    return next(t for t in library.monitoring["IV"].thresholds if t.id == key)


@pytest.fixture
def in_force(director, signed_policy):
    """Propose a text and sign it at once."""

    def put(text: str):
        version = services.propose_overlay(director, text=text, note=NOTE)
        digest = protocols.load(version.overlay).policy_digest
        return services.sign_policy(director, digest=digest, version=version)

    return put


@pytest.fixture
def governs():
    return lambda: limit(queries.library()).at_least
