"""May this dose be taken at home: facts and policy in, what stands in the way out. Pure.

A stop means no dose. A doubt means that somebody at the clinic decides. What is not known is never
taken for well. What it says goes into the record, in English; `words` has it for other readers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from openketamine.clinic.said import in_english
from openketamine.protocols import monitoring
from openketamine.protocols.schema import AtHomeFile, MonitoringFile

from .counts import Pieces, in_words

VITALS = ("systolic_mmhg", "diastolic_mmhg", "heart_rate_bpm")

# What the patient's own page can answer of the questions before the dose; a clinician answers the
# others, those that the clinic's own text adds among them.
BY_PATIENT = frozenset(
    {
        "adult_present",
        "place",
        "no_depressant",
        "fasting",
        "counted",
        "medicines_today",
        "safety_question",
        "no_plans",
    }
)


@dataclass(frozen=True)
class Stop:
    """Why there is no dose: `code` names it for the patient's page, which has its own words."""

    code: str
    words: str
    alarming: bool = False


@dataclass(frozen=True)
class Doubt:
    """What somebody at the clinic must decide about."""

    words: str
    prescriber: bool = True
    alarming: bool = False


@dataclass(frozen=True)
class Verdict:
    stops: tuple[Stop, ...]
    doubts: tuple[Doubt, ...]


def judge(
    home: AtHomeFile,
    protocol: MonitoringFile,
    data: Mapping[str, Any],
    *,
    held: Pieces,
) -> Verdict:
    """What the answers before the dose come to.

    Args:
        data: the answers, plausible and complete; see `from_home.check_in`.
        held: what the patient should have at home.
    """
    reading = {name: data.get(name) for name in VITALS}
    stops, doubts = [], []
    crossed = monitoring.assess(protocol, reading)
    if crossed:
        first = crossed[0]
        alarming = any(finding.priority == "red" for finding in crossed)
        stops.append(
            Stop(
                "pressure" if first.quantity != "heart_rate_bpm" else "pulse",
                f"{'; '.join(finding.statement for finding in crossed)} before the dose "
                f"(clinic policy, {', '.join(finding.rule_id for finding in crossed)})",
                alarming,
            )
        )
    if not data["adult_present"]:
        stops.append(Stop("adult", "No adult is at hand for the whole session"))
    if not data["no_plans"]:
        stops.append(Stop("promise", "Does not promise not to drive until the next day"))
    if not data["no_depressant"]:
        stops.append(Stop("depressant", "Alcohol, an opioid, a sleeping pill or a sedative today"))
    asked, unknown = monitoring.before_dose(protocol, reading)
    if not crossed:
        doubts += [Doubt(threshold.statement) for threshold in asked]
    doubts += [Doubt(f"{name.replace('_', ' ')} is not known") for name in unknown]
    if not data["fasting"]:
        doubts.append(Doubt("Has eaten or drunk later than the clinic asks", prescriber=False))
    if data["safety_question"] != "no":
        told = "says yes" if data["safety_question"] == "yes" else "would rather say it to a person"
        doubts.append(Doubt(f"Thoughts of death or self-harm: {told}", alarming=True))
    low = home.rule("mood_asks_at_most")
    if data["mood_0_10"] <= low.value:
        doubts.append(Doubt(f"Mood {data['mood_0_10']} of 10"))
    counted = {float(mg): count for mg, count in data["counted"] if count}
    if counted != dict(held):
        there, due = in_english(in_words(counted)), in_english(in_words(held))
        doubts.append(Doubt(f"Counts {there} at home; {due} should be there"))
    return Verdict(tuple(stops), tuple(doubts))


def asked_of_clinician(protocol: MonitoringFile) -> list[Any]:
    """The questions before the dose that a clinician answers."""
    return [item for item in protocol.presession if item.item not in BY_PATIENT]


@dataclass(frozen=True)
class Gate:
    """One thing that must be so before a dose at home. `why` says what is wrong where it is not."""

    id: str
    statement: str
    met: bool
    why: str = ""


def first_open(gates: Sequence[Gate]) -> Gate | None:
    """The first gate that is shut."""
    return next((gate for gate in gates if not gate.met), None)


def screening_is_valid(home: AtHomeFile, signed_at: datetime | None, now: datetime) -> bool:
    """Whether a screening for home still holds."""
    if signed_at is None:
        return False
    return now - signed_at <= timedelta(days=home.rule("screening_valid_days").value)


def is_fresh(signed_at: datetime | None, now: datetime, valid_min: float) -> bool:
    """Whether something said so many minutes ago still holds."""
    return signed_at is not None and now - signed_at <= timedelta(minutes=valid_min)
