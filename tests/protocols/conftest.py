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
    """Facts of somebody whom no rule for treatment in the clinic concerns."""
    return {
        **{fact.id: False for fact in library.facts.values() if fact.kind == "boolean"},
        **{fact.id: fact.choices[0] for fact in library.facts.values() if fact.kind == "choice"},
        "unrecognised_medicines": [],
        "age_years": 41,
        "sex": "female",
        "weight_kg": 72.5,
        "systolic_mmhg": 124,
        "diastolic_mmhg": 78,
        "alt_u_per_l": 20,
        "ast_u_per_l": 20,
        "ggt_u_per_l": 20,
        "bilirubin_umol_per_l": 8,
        "alp_u_per_l": 70,
        "albumin_g_per_l": 42,
        "phq9_total": 17,
        "phq9_item9": 0,
        "gad7_total": 9,
        "pcl5_total": 40,
        "failed_adequate_trials": 3,
        "alcohol_free_24_h": True,
        "mood_stabiliser": True,
        "rems_enrolled": True,
        "oral_antidepressant": "SSRI or SNRI",
        **dict.fromkeys(AT_HOME_ALL_IS_WELL, True),
    }


AT_HOME_ALL_IS_WELL = (
    "home_adult_present",
    "home_first_dose_supervised",
    "home_cuff",
    "home_contact_known",
    "home_lockable_storage",
    "pdmp_checked",
    "state_rules_checked",
)


@pytest.fixture
def screened(library: protocols.Library) -> Callable[..., list[protocols.Finding]]:
    """Findings for the healthy person with some facts changed; None makes one unknown."""

    def screen(
        route: str = "IV",
        condition: str = "TRD",
        on: date = TODAY,
        place: str = "US",
        **changes: Any,
    ) -> list[protocols.Finding]:
        facts = {**healthy(library), **changes}
        return protocols.screen(
            library, facts, route=route, condition=condition, on=on, jurisdiction=place
        )

    return screen
