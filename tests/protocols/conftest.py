"""The library, and one person about whom everything is known and nothing is found."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from openketamine import protocols

TODAY = date(2026, 11, 24)


@pytest.fixture(scope="session")
def library() -> protocols.Library:
    return protocols.load()


def healthy(library: protocols.Library) -> dict[str, Any]:
    """Facts of somebody whom no rule concerns."""
    return {
        **{fact.id: False for fact in library.facts.values() if fact.kind == "boolean"},
        "age_years": 41,
        "sex": "female",
        "weight_kg": 72.5,
        "systolic_mmhg": 124,
        "diastolic_mmhg": 78,
        "phq9_total": 17,
        "phq9_item9": 0,
        "gad7_total": 9,
        "hepatic_impairment": "none",
        "failed_adequate_trials": 3,
    }


@pytest.fixture
def screened(library: protocols.Library) -> Callable[..., list[protocols.Finding]]:
    """Findings for the healthy person with some facts changed; None makes one unknown."""

    def screen(**changes: Any) -> list[protocols.Finding]:
        facts = {**healthy(library), **changes}
        return protocols.screen(library, facts, route="IV", condition="TRD", on=TODAY)

    return screen
