"""What will happen: published models, a fast exact solver, and the forecast of a session.

Names are loaded when first used, so that a command that needs none of them starts at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # models, people, doses, kinetics
    from openketamine.pharmacology.dosing import (
        Dose as Dose,
    )
    from openketamine.pharmacology.dosing import (
        RateSegment as RateSegment,
    )
    from openketamine.pharmacology.dosing import (
        repeat as repeat,
    )

    # effects and forecast
    from openketamine.pharmacology.effects import (
        SIGNALS as SIGNALS,
    )
    from openketamine.pharmacology.effects import (
        SYMPTOMS as SYMPTOMS,
    )
    from openketamine.pharmacology.effects import (
        Effects as Effects,
    )
    from openketamine.pharmacology.effects import (
        effect_site as effect_site,
    )
    from openketamine.pharmacology.effects import (
        load_effects as load_effects,
    )
    from openketamine.pharmacology.ensemble import (
        Reading as Reading,
    )
    from openketamine.pharmacology.forecast import (
        Curves as Curves,
    )
    from openketamine.pharmacology.forecast import (
        Forecast as Forecast,
    )
    from openketamine.pharmacology.forecast import (
        Judged as Judged,
    )
    from openketamine.pharmacology.forecast import (
        Milestone as Milestone,
    )
    from openketamine.pharmacology.forecast import (
        Peak as Peak,
    )
    from openketamine.pharmacology.forecast import (
        Quantity as Quantity,
    )
    from openketamine.pharmacology.guidance import (
        DoseRange as DoseRange,
    )
    from openketamine.pharmacology.guidance import (
        Guidance as Guidance,
    )
    from openketamine.pharmacology.guidance import (
        Option as Option,
    )
    from openketamine.pharmacology.guidance import (
        Target as Target,
    )
    from openketamine.pharmacology.guidance import (
        guide as guide,
    )
    from openketamine.pharmacology.kinetics import (
        EFFECT_SITE as EFFECT_SITE,
    )
    from openketamine.pharmacology.kinetics import (
        Exposure as Exposure,
    )
    from openketamine.pharmacology.kinetics import (
        Kinetics as Kinetics,
    )
    from openketamine.pharmacology.kinetics import (
        concentrations as concentrations,
    )
    from openketamine.pharmacology.kinetics import (
        exposure as exposure,
    )
    from openketamine.pharmacology.kinetics import (
        population as population,
    )
    from openketamine.pharmacology.models import (
        DRUGS as DRUGS,
    )
    from openketamine.pharmacology.models import (
        ROUTES as ROUTES,
    )
    from openketamine.pharmacology.models import (
        Model as Model,
    )
    from openketamine.pharmacology.models import (
        list_models as list_models,
    )
    from openketamine.pharmacology.models import (
        load_model as load_model,
    )
    from openketamine.pharmacology.models import (
        model_for as model_for,
    )
    from openketamine.pharmacology.models import (
        read_model as read_model,
    )
    from openketamine.pharmacology.people import (
        Interaction as Interaction,
    )
    from openketamine.pharmacology.people import (
        Parameters as Parameters,
    )
    from openketamine.pharmacology.people import (
        Person as Person,
    )
    from openketamine.pharmacology.people import (
        interactions as interactions,
    )
    from openketamine.pharmacology.people import (
        interactions_of as interactions_of,
    )
    from openketamine.pharmacology.people import (
        new_occasion as new_occasion,
    )
    from openketamine.pharmacology.people import (
        person_warnings as person_warnings,
    )
    from openketamine.pharmacology.people import (
        sample_parameters as sample_parameters,
    )
    from openketamine.pharmacology.people import (
        typical_parameters as typical_parameters,
    )

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
    "SIGNALS": "effects",
    "SYMPTOMS": "effects",
    "Curves": "forecast",
    "DoseRange": "guidance",
    "Effects": "effects",
    "Forecast": "forecast",
    "Guidance": "guidance",
    "Judged": "forecast",
    "Milestone": "forecast",
    "Option": "guidance",
    "Peak": "forecast",
    "Quantity": "forecast",
    "Reading": "ensemble",
    "Target": "guidance",
    "effect_site": "effects",
    "guide": "guidance",
    "load_effects": "effects",
}

__all__ = list(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"openketamine.pharmacology has no '{name}'")
    value = getattr(import_module(f"openketamine.pharmacology.{_WHERE[name]}"), name)
    globals()[name] = value
    return value
