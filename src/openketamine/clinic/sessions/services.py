"""The acts of a session, as a nurse or a prescriber would name them.

Each is one transaction and one event in the record.
"""

from .acts import BEDSIDE, ENTRY, LONGEST_BACKDATING, act, stored, tried
from .ending import MONITORING_FORM_WITHIN, cancel_session, discharge, transfer_to_hospital
from .entries import (
    acknowledge_alert,
    call_emergency,
    correct_event,
    end_emergency,
    give_medicine,
    record_observation,
    record_side_effect,
    silence_sound,
    write_note,
)
from .opening import (
    MAY_ADD_CHAIRS,
    add_chair,
    complete_check,
    decide_go,
    open_session,
    pressure_asks,
    said_of,
    undecided,
)
from .orders import cosign_order, give_order
from .pump import (
    ROUNDING_MG,
    change_rate,
    change_syringe,
    change_total,
    check_syringe,
    end_infusion,
    give_bolus,
    give_injection,
    pause_infusion,
    prepare_syringe,
    resume_infusion,
    start_infusion,
)
from .readings import MonitorReading, record_from_monitors, record_vitals, retract_readings

__all__ = [
    "BEDSIDE",
    "ENTRY",
    "LONGEST_BACKDATING",
    "MAY_ADD_CHAIRS",
    "MONITORING_FORM_WITHIN",
    "ROUNDING_MG",
    "MonitorReading",
    "acknowledge_alert",
    "act",
    "add_chair",
    "call_emergency",
    "cancel_session",
    "change_rate",
    "change_syringe",
    "change_total",
    "check_syringe",
    "complete_check",
    "correct_event",
    "cosign_order",
    "decide_go",
    "discharge",
    "end_emergency",
    "end_infusion",
    "give_bolus",
    "give_injection",
    "give_medicine",
    "give_order",
    "open_session",
    "pause_infusion",
    "prepare_syringe",
    "pressure_asks",
    "record_from_monitors",
    "record_observation",
    "record_side_effect",
    "record_vitals",
    "resume_infusion",
    "retract_readings",
    "said_of",
    "silence_sound",
    "start_infusion",
    "stored",
    "transfer_to_hospital",
    "tried",
    "undecided",
    "write_note",
]
