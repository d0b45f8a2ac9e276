"""Clinical knowledge as data: facts and protocols in, findings with their sources out.

Pure: no web, no database, no pharmacology.
"""

from . import (
    alarms,
    discharge,
    eligibility,
    ingredients,
    instruments,
    monitoring,
    regimens,
    staging,
)
from .eligibility import (
    Coding,
    Evidence,
    Finding,
    facts_from_record,
    questions_for,
    screen,
    screen_routes,
)
from .files import ProtocolError
from .ingredients import Recognised, recognise
from .instruments import Score, score, score_total
from .library import Library, PolicyEntry, load
from .overlay import Departure, Overlay
from .regimens import DoseArithmetic, check_plan, dose_arithmetic

__all__ = [
    "Coding",
    "Departure",
    "DoseArithmetic",
    "Evidence",
    "Finding",
    "Library",
    "Overlay",
    "PolicyEntry",
    "ProtocolError",
    "Recognised",
    "Score",
    "alarms",
    "check_plan",
    "discharge",
    "dose_arithmetic",
    "eligibility",
    "facts_from_record",
    "ingredients",
    "instruments",
    "load",
    "monitoring",
    "questions_for",
    "recognise",
    "regimens",
    "score",
    "score_total",
    "screen",
    "screen_routes",
    "staging",
]
