"""What a referral says about a person, whatever form it came in.

`exchange` fills these from a FHIR bundle; a coordinator fills them from a telephone call.
"""

from dataclasses import dataclass, field
from datetime import date, datetime


@dataclass(frozen=True)
class Coded:
    """One coded statement: system and code where the sender gave them, words always."""

    system: str
    code: str
    display: str


@dataclass(frozen=True)
class ReferredCondition:
    key: str  # the sender's own id of the entry: what makes a second import the same entry
    coded: Coded
    status: str  # active, inactive, resolved …
    category: str  # "disorder", "finding", "social" or "procedure"
    onset: date | None = None
    abated: date | None = None


@dataclass(frozen=True)
class ReferredMedication:
    key: str
    coded: Coded
    status: str
    authored_on: date | None = None
    dosage: str = ""


@dataclass(frozen=True)
class ReferredAllergy:
    key: str
    coded: Coded
    status: str
    criticality: str = ""
    reactions: str = ""


@dataclass(frozen=True)
class ReferredMeasurement:
    key: str
    kind: str  # a MeasurementKind value, e.g. "weight_kg"
    value: float
    taken_at: datetime


@dataclass(frozen=True)
class ReferralData:
    """A whole referral. `source_system` and `source_id` name the person at the sender's."""

    source_system: str
    source_id: str
    given_name: str
    family_name: str
    birth_date: date
    sex: str  # female, male, other or unknown: administrative
    phone: str = ""
    email: str = ""
    address: str = ""
    language: str = ""
    external_mrn: str = ""
    conditions: tuple[ReferredCondition, ...] = ()
    medications: tuple[ReferredMedication, ...] = ()
    allergies: tuple[ReferredAllergy, ...] = ()
    measurements: tuple[ReferredMeasurement, ...] = ()
    history: tuple[ReferredCondition, ...] = field(default=())  # procedures and the like
