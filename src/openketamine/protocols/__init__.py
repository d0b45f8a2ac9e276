"""Clinical knowledge as data: facts and protocols in, findings with their sources out.

Pure: no web, no database, no pharmacology.
"""

from . import alarms, discharge, eligibility, instruments, monitoring, regimens
from .eligibility import Coding, Evidence, Finding, facts_from_record, questions_for, screen
from .files import ProtocolError
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
    "Score",
    "alarms",
    "check_plan",
    "discharge",
    "dose_arithmetic",
    "eligibility",
    "facts_from_record",
    "instruments",
    "load",
    "monitoring",
    "questions_for",
    "regimens",
    "score",
    "score_total",
    "screen",
]
