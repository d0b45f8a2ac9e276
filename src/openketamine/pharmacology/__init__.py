"""What will happen: published models, a fast exact solver, and the forecast of a session.

Names are loaded when first used, so that a command that needs none of them starts at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # models, people, doses, kinetics
    from openketamine.pharmacology.dosing import Dose, RateSegment, repeat
    from openketamine.pharmacology.kinetics import (
        EFFECT_SITE,
        Exposure,
        Kinetics,
        concentrations,
        exposure,
        population,
    )
    from openketamine.pharmacology.models import (
        DRUGS,
        ROUTES,
        Model,
        list_models,
        load_model,
        model_for,
        read_model,
    )
    from openketamine.pharmacology.people import (
        Interaction,
        Parameters,
        Person,
        interactions,
        interactions_of,
        new_occasion,
        person_warnings,
        sample_parameters,
        typical_parameters,
    )

    # effects and forecast

# Public name -> the module it lives in.
_WHERE = {
    # models, people, doses, kinetics
    "DRUGS": "models",
    "EFFECT_SITE": "kinetics",
    "ROUTES": "models",
    "Dose": "dosing",
    "Exposure": "kinetics",
    "Interaction": "people",
    "Kinetics": "kinetics",
    "Model": "models",
    "Parameters": "people",
    "Person": "people",
    "RateSegment": "dosing",
    "concentrations": "kinetics",
    "exposure": "kinetics",
    "interactions": "people",
    "interactions_of": "people",
    "list_models": "models",
    "load_model": "models",
    "model_for": "models",
    "new_occasion": "people",
    "person_warnings": "people",
    "population": "kinetics",
    "read_model": "models",
    "repeat": "dosing",
    "sample_parameters": "people",
    "typical_parameters": "people",
    # effects and forecast
}

__all__ = list(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"openketamine.pharmacology has no '{name}'")
    value = getattr(import_module(f"openketamine.pharmacology.{_WHERE[name]}"), name)
    globals()[name] = value
    return value
