"""What every resource is written with: codes, references, quantities and dates."""

import base64
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
UCUM = "http://unitsofmeasure.org"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
US_CORE = "http://hl7.org/fhir/us/core"
OWN = "urn:openketamine"  # systems of our own: no code of anybody else's says it
CLINIC = "Organization/clinic"

Content = dict[str, Any]


@dataclass(frozen=True)
class Draft:
    """One resource as it should stand, before the server numbers its versions."""

    unit: str
    kind: str
    key: str
    content: Content
    person_id: UUID | None = None
    made_by: int | None = None


def draft(
    unit: str, kind: str, key: object, person_id: UUID | None = None, made_by: int | None = None,
    **content: Any,
) -> Draft:  # fmt: skip
    """A draft with the elements that are not None, empty lists or empty text."""
    return Draft(unit, kind, str(key), without_nothing(content), person_id, made_by)


def without_nothing(content: Content) -> Content:
    """Without what says nothing: FHIR has no empty elements."""
    return {name: value for name, value in content.items() if value not in (None, "", [], {})}


def concept(text: str = "", *codings: tuple[str, str] | tuple[str, str, str]) -> Content:
    """A CodeableConcept of words and codings (system, code[, display])."""
    return without_nothing({"coding": [coding(*item) for item in codings], "text": text.strip()})


def coding(system: str, code: str, display: str = "") -> Content:
    return without_nothing({"system": system, "code": code, "display": display.strip()})


def term(system: str, code: str, text: str = "") -> Content:
    """A concept of HL7's own terminology."""
    return concept(text, (f"{TERMINOLOGY}/{system}", code))


def refer(kind: str, key: object, display: str = "") -> Content:
    return without_nothing({"reference": f"{kind}/{key}", "display": display})


def patient(person_id: UUID) -> Content:
    return {"reference": f"Patient/{person_id}"}


def practitioner(user: Any) -> Content | None:
    """A reference to a member of staff; None where nobody is named."""
    return refer("Practitioner", user.pk, str(user)) if user else None


def quantity(value: float, unit: str, code: str | None = None) -> Content:
    """A value in UCUM."""
    number = round(value, 4)
    whole = int(number) if float(number).is_integer() else number
    return {"value": whole, "unit": unit, "system": UCUM, "code": code or unit}


def instant(moment: datetime | None) -> str | None:
    """A moment as FHIR writes it, in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds") if moment else None


def day(on: date | None) -> str | None:
    return on.isoformat() if on else None


def period(start: datetime | None, end: datetime | None) -> Content:
    return without_nothing({"start": instant(start), "end": instant(end)})


def identifier(system: str, value: object) -> Content:
    return {"system": system, "value": str(value)}


def narrative(*lines: str) -> Content:
    """A generated text, for the few profiles that ask for one."""
    from django.utils.html import escape

    inner = "".join(f"<p>{escape(line)}</p>" for line in lines if line)
    return {
        "status": "generated",
        "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{inner}</div>',
    }


def attachment(text: str, *, title: str, created: datetime | None = None) -> Content:
    """A text that travels inside its resource."""
    return without_nothing(
        {
            "contentType": "text/plain; charset=utf-8",
            "data": base64.b64encode(text.encode()).decode(),
            "title": title,
            "creation": instant(created),
        }
    )


def meta(*profiles: str) -> Content:
    """The profiles that a resource claims to meet, by their last part."""
    return {"profile": [f"{US_CORE}/StructureDefinition/{name}" for name in profiles]}


# Routes as the protocols name them, in SNOMED CT.
ROUTES = {
    "IV": ("47625008", "Intravenous route"),
    "IM": ("78421000", "Intramuscular route"),
    "SC": ("34206005", "Subcutaneous route"),
    "IN_ESKETAMINE": ("46713006", "Nasal route"),
    "IN_RACEMIC": ("46713006", "Nasal route"),
    "SL": ("37839007", "Sublingual route"),
    "ORAL": ("26643006", "Oral route"),
    # As a medicine given beside the drug says it.
    "IN": ("46713006", "Nasal route"),
    "PO": ("26643006", "Oral route"),
}


def route(name: str) -> Content:
    """A route by its protocol name, e.g. "IV"; words alone where SNOMED's code is not known."""
    known = ROUTES.get(name)
    return concept(known[1] if known else name, *([(SNOMED, *known)] if known else []))
