"""The forecast of every route for one patient, or why it cannot be shown now."""

from typing import Any

from django.conf import settings

from openketamine.clinic.people.models import Course
from openketamine.clinic.policy.queries import library

from .queries import regimen_for


def small_multiples(course: Course) -> dict[str, Any]:
    """The drawings of every route on one scale, and why some are missing."""
    if not settings.FORECASTS:
        return {"off": True}
    # The pharmacology takes a second to load: only where it is asked for.
    from openketamine.clinic.sessions.forecasts import is_ready

    from . import multiples

    if not is_ready():
        return {"not_ready": True}
    patient = multiples.patient_of(course)
    told = [
        (route, multiples.told(patient, route.id, regimen_for(course, route.id)))
        for route in library().programmes.routes
    ]
    drawn = [(route, each) for route, each in told if not isinstance(each, str)]
    scale = multiples.scale_of([each for _, each in drawn])
    return {
        "scale": scale,
        "multiples": [(route, each, multiples.small(each, scale)) for route, each in drawn],
        "not_drawn": [(route, each) for route, each in told if isinstance(each, str)],
    }
