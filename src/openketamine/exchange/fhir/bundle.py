"""Reading a FHIR R4 bundle into a referral. Pure: bytes in, `ReferralData` out.

The whole bundle is validated first (fhir.resources, R4B, which reads R4 4.0.1), so that a broken
one is refused whole, with the place and the reason.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import wraps
from typing import Any, TypeVar, cast

from fhir.resources.R4B.bundle import Bundle
from pydantic import ValidationError

from openketamine.clinic.people.referral import (
    Coded,
    ReferralData,
    ReferredAllergy,
    ReferredCondition,
    ReferredMeasurement,
    ReferredMedication,
)
from openketamine.words import _

MAX_BYTES = 32 * 1024 * 1024
LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"

# LOINC code -> (measurement kind, {unit: factor to the kind's unit}). A unit that is not listed is
# not guessed at: the value is left out.
_MMHG = {"mm[Hg]": 1.0, "mmHg": 1.0}
_ENZYME = {"U/L": 1.0, "IU/L": 1.0, "[IU]/L": 1.0}
_PERCENT = {"%": 1.0}
_RATE = {"/min": 1.0, "{beats}/min": 1.0, "beats/minute": 1.0}
MEASUREMENTS: dict[str, tuple[str, dict[str, float]]] = {
    "29463-7": ("weight_kg", {"kg": 1.0, "[lb_av]": 0.45359237, "lb": 0.45359237, "g": 0.001}),
    "3141-9": ("weight_kg", {"kg": 1.0, "[lb_av]": 0.45359237, "lb": 0.45359237, "g": 0.001}),
    "8302-2": ("height_cm", {"cm": 1.0, "m": 100.0, "[in_i]": 2.54, "in": 2.54}),
    "8480-6": ("systolic_mmhg", _MMHG),
    "8462-4": ("diastolic_mmhg", _MMHG),
    "8867-4": ("heart_rate_bpm", _RATE),
    "59408-5": ("spo2_percent", _PERCENT),
    "2708-6": ("spo2_percent", _PERCENT),
    "1742-6": ("alt_u_per_l", _ENZYME),
    "1920-8": ("ast_u_per_l", _ENZYME),
    "2324-2": ("ggt_u_per_l", _ENZYME),
    "1975-2": ("bilirubin_umol_per_l", {"umol/L": 1.0, "mg/dL": 17.104}),
    "14631-6": ("bilirubin_umol_per_l", {"umol/L": 1.0}),
    "1751-7": ("albumin_g_per_l", {"g/L": 1.0, "g/dL": 10.0}),
    "33914-3": ("egfr_ml_per_min", {"mL/min/{1.73_m2}": 1.0, "mL/min": 1.0, "mL/min/1.73m2": 1.0}),
    "44261-6": ("phq9_total", {"{score}": 1.0, "": 1.0}),
    "70274-6": ("gad7_total", {"{score}": 1.0, "": 1.0}),
}

# Synthea and others file circumstances of life as conditions; the semantic tag tells them apart.
_SOCIAL = re.compile(
    r"employment|employed|education|labor force|housing|homeless|stress|criminal|social|refugee|"
    r"transport|only received",
    re.IGNORECASE,
)


class BundleError(Exception):
    """A bundle that is refused: where it is broken, and why, in words."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason


_Reader = TypeVar("_Reader", bound=Callable[..., Any])


def _placed(read: _Reader) -> _Reader:
    """Valid FHIR can still hold what nobody writes (`"given": [null]`): say where it stands."""

    @wraps(read)
    def reading(entry: "Entry", *arguments: Any) -> Any:
        try:
            return read(entry, *arguments)
        except (TypeError, AttributeError, KeyError, IndexError, ValueError) as error:
            said = _("has a form that cannot be read: %(error)s")
            raise BundleError(entry.place, said % {"error": error}) from error

    return cast(_Reader, reading)


@dataclass(frozen=True)
class Entry:
    """One resource of the bundle and where it stands."""

    place: str
    resource: dict[str, Any]
    full_url: str


def read_bundle(raw: bytes, *, name: str = "bundle") -> ReferralData:
    """Read one patient's referral.

    Args:
        raw: the JSON text of a FHIR R4 Bundle with exactly one Patient.
        name: for messages, usually the file's name.

    Raises:
        BundleError: it is too large, no JSON, no valid bundle, holds no patient or several, or
            entries belong to somebody else.
    """
    document = _parse(raw, name)
    _validate(document)
    entries = list(_entries(document))
    patients = [e for e in entries if e.resource["resourceType"] == "Patient"]
    if len(patients) != 1:
        if not patients:
            raise BundleError("Bundle.entry", _("one Patient is expected, found none"))
        found = f"{len(patients)}: " + ", ".join(p.place for p in patients)
        said = _("one Patient is expected, found %(found)s")
        raise BundleError("Bundle.entry", said % {"found": found})
    patient = patients[0]
    _check_subjects(entries, patient)
    return referral_of(patient, entries)


def _parse(raw: bytes, name: str) -> dict[str, Any]:
    if len(raw) > MAX_BYTES:
        raise BundleError(name, too_large(len(raw)))
    try:
        document = json.loads(raw)
    except json.JSONDecodeError as error:
        place = _("line %(line)d, column %(column)d")
        raise BundleError(
            place % {"line": error.lineno, "column": error.colno},
            _("not JSON: %(error)s") % {"error": error.msg},
        ) from error
    except UnicodeDecodeError as error:
        place = _("byte %(at)d") % {"at": error.start}
        raise BundleError(place, _("not UTF-8 text")) from error
    except RecursionError as error:
        raise BundleError(name, _("nested too deeply to be a bundle")) from error
    if not is_text(document):
        raise BundleError(
            name, _("holds characters that are no text (NUL or half a surrogate pair)")
        )
    if not isinstance(document, dict) or document.get("resourceType") != "Bundle":
        kind = document.get("resourceType") if isinstance(document, dict) else None
        said = _("a Bundle is expected, not %(kind)s")
        raise BundleError("resourceType", said % {"kind": kind or _("something else")})
    return document


def too_large(size: int) -> str:
    """Why a file of so many bytes is not read."""
    words = _("%(size).0f MiB is more than the %(most)d MiB allowed")
    return words % {"size": size / 2**20, "most": MAX_BYTES // 2**20}


def is_text(document: Any) -> bool:
    """Whether every string is text that a database can keep."""
    try:
        encoded = json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return b"\\u0000" not in encoded


def _validate(document: dict[str, Any]) -> None:
    try:
        Bundle.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        reason = first["msg"].removeprefix("Value error, ")
        raise BundleError(_place(document, first["loc"]), reason) from error
    except (RecursionError, ValueError, TypeError, AttributeError, KeyError) as error:
        # What the validator itself trips over is no valid bundle either.
        raise BundleError("Bundle", _("cannot be read: %(error)s") % {"error": error}) from error


def _place(document: dict[str, Any], location: tuple[int | str, ...]) -> str:
    """A location as a person finds it: entry number, resource, path."""
    parts = [part for part in location if not (isinstance(part, str) and part[:1].isupper())]
    if parts[:1] == ["entry"] and len(parts) > 1 and isinstance(parts[1], int):
        entries = document.get("entry")
        item = entries[parts[1]] if isinstance(entries, list) else None
        resource = item.get("resource") if isinstance(item, dict) else None
        kind = resource.get("resourceType", "?") if isinstance(resource, dict) else "?"
        rest = ".".join(str(p) for p in parts[2:] if p != "resource")
        return f"entry {parts[1]} ({kind}) {rest}".strip()
    return ".".join(str(part) for part in location) or "Bundle"


def _entries(document: dict[str, Any]) -> Iterator[Entry]:
    for index, item in enumerate(document.get("entry") or []):
        resource = item.get("resource")
        if resource:
            kind, key = resource["resourceType"], resource.get("id", "without id")
            yield Entry(f"entry {index} ({kind} {key})", resource, item.get("fullUrl", ""))


def _check_subjects(entries: list[Entry], patient: Entry) -> None:
    """Everything that we would take over must be about this patient."""
    relative = f"Patient/{patient.resource.get('id')}"
    own = {patient.full_url, relative} - {""}
    for entry in entries:
        if entry.resource["resourceType"] not in _READ:
            continue
        subject = entry.resource.get("subject") or entry.resource.get("patient") or {}
        reference = subject.get("reference")
        if reference is None:
            raise BundleError(entry.place, _("does not say whom it is about"))
        if reference not in own and not reference.endswith(
            f"/Patient/{patient.resource.get('id')}"
        ):
            said = _("is about %(whom)s, who is not in this bundle")
            raise BundleError(entry.place, said % {"whom": reference})


_READ = frozenset(
    {"Condition", "MedicationRequest", "AllergyIntolerance", "Observation", "Procedure"}
)


# What a sender lists only to say that it is not so.
_DENIED = frozenset({"entered-in-error", "refuted", "not-done", "cancelled"})


@_placed
def _is_denied(entry: Entry) -> bool:
    said = {str(entry.resource.get("status"))}
    for coding in (entry.resource.get("verificationStatus") or {}).get("coding") or []:
        said.add(str(coding.get("code")))
    return not said.isdisjoint(_DENIED)


def referral_of(patient: Entry, entries: list[Entry]) -> ReferralData:
    """The referral that a patient and what is about them make.

    Raises:
        BundleError: something needed is missing or cannot be read.
    """
    resource = patient.resource
    if resource.get("deceasedBoolean") or resource.get("deceasedDateTime"):
        raise BundleError(patient.place, _("this patient is recorded as deceased"))
    if not resource.get("birthDate") or len(resource["birthDate"]) != 10:
        raise BundleError(f"{patient.place} birthDate", _("a full date of birth is needed"))
    given, family = _name(patient)
    system, key, external_mrn = _identity(patient)
    by_kind: dict[str, list[Entry]] = {kind: [] for kind in _READ}
    medications: dict[str, dict[str, Any]] = {}
    for entry in entries:
        kind = entry.resource["resourceType"]
        if kind in by_kind:
            if not _is_denied(entry):
                by_kind[kind].append(entry)
        elif kind == "Medication":
            medications[entry.full_url] = entry.resource
            medications[f"Medication/{entry.resource.get('id')}"] = entry.resource
    return ReferralData(
        source_system=system,
        source_id=key,
        given_name=given,
        family_name=family,
        birth_date=date.fromisoformat(resource["birthDate"]),
        sex=resource.get("gender", "unknown"),
        phone=_telecom(resource, "phone"),
        email=_telecom(resource, "email"),
        address=_address(resource),
        language=_language(resource),
        external_mrn=external_mrn,
        conditions=tuple(condition(entry) for entry in by_kind["Condition"]),
        medications=tuple(
            _medication(entry, medications) for entry in by_kind["MedicationRequest"]
        ),
        allergies=tuple(allergy(entry) for entry in by_kind["AllergyIntolerance"]),
        measurements=tuple(latest_measurements(by_kind["Observation"])),
        history=tuple(_procedure(entry) for entry in by_kind["Procedure"]),
    )


@_placed
def _name(patient: Entry) -> tuple[str, str]:
    names = patient.resource.get("name") or []
    preferred = next((n for n in names if n.get("use") == "official"), names[0] if names else {})
    given, family = " ".join(preferred.get("given") or []), preferred.get("family", "")
    if not given or not family:
        raise BundleError(f"{patient.place} name", _("a given and a family name are needed"))
    return given[:120], family[:120]


@_placed
def _identity(patient: Entry) -> tuple[str, str, str]:
    """The sender's system and id of the person, and the sender's medical record number."""
    identifiers = patient.resource.get("identifier") or []
    mrn = ""
    for identifier in identifiers:
        codes = {c.get("code") for c in (identifier.get("type") or {}).get("coding") or []}
        if "MR" in codes:
            mrn = identifier.get("value", "")
    for identifier in identifiers:
        if identifier.get("system") and identifier.get("value") and not identifier.get("type"):
            return identifier["system"][:200], identifier["value"][:200], mrn[:200]
    key = patient.resource.get("id") or mrn
    if not key:
        raise BundleError(f"{patient.place} id", _("an id is needed to know the patient again"))
    return "urn:fhir:patient-id", key[:200], mrn[:200]


def _telecom(resource: dict[str, Any], system: str) -> str:
    for item in resource.get("telecom") or []:
        if item.get("system") == system and item.get("value"):
            return str(item["value"])[: 40 if system == "phone" else 254]
    return ""


def _address(resource: dict[str, Any]) -> str:
    for item in resource.get("address") or []:
        if item.get("text"):
            return str(item["text"])[:300]
        parts = [*(item.get("line") or []), item.get("city"), item.get("state")]
        line = ", ".join(str(part) for part in parts if part)
        return f"{line} {item.get('postalCode', '')}".strip()[:300]
    return ""


def _language(resource: dict[str, Any]) -> str:
    for item in resource.get("communication") or []:
        for coding in (item.get("language") or {}).get("coding") or []:
            return str(coding.get("code", ""))[:20]
    return ""


def _coded(entry: Entry, concept: dict[str, Any] | None, field: str) -> Coded:
    concept = concept or {}
    codings = concept.get("coding") or []
    first = next((c for c in codings if c.get("system") == SNOMED), codings[0] if codings else {})
    display = concept.get("text") or first.get("display") or first.get("code")
    if not display:
        said = _("says neither in words nor by code what it is")
        raise BundleError(f"{entry.place} {field}", said)
    return Coded(first.get("system", "")[:200], first.get("code", "")[:40], display[:400])


def _code_of(concept: dict[str, Any] | None, otherwise: str) -> str:
    codings = (concept or {}).get("coding") or []
    return str(codings[0].get("code", otherwise))[:24] if codings else otherwise


def _key(entry: Entry) -> str:
    """What makes the entry the same entry at the next import."""
    key = entry.resource.get("id") or entry.full_url
    if not key:
        raise BundleError(entry.place, _("has no id, so it could not be known again"))
    return str(key)[:200]


@_placed
def condition(entry: Entry) -> ReferredCondition:
    resource = entry.resource
    coded = _coded(entry, resource.get("code"), "code")
    return ReferredCondition(
        key=_key(entry),
        coded=coded,
        status=_code_of(resource.get("clinicalStatus"), "unknown"),
        category=_category(coded.display),
        onset=_day(entry, "onsetDateTime"),
        abated=_day(entry, "abatementDateTime"),
    )


def _category(display: str) -> str:
    if _SOCIAL.search(display):
        return "social"
    return "finding" if "(finding)" in display or "(situation)" in display else "disorder"


@_placed
def _medication(entry: Entry, listed: dict[str, dict[str, Any]]) -> ReferredMedication:
    resource = entry.resource
    concept = resource.get("medicationCodeableConcept")
    if concept is None:
        reference = (resource.get("medicationReference") or {}).get("reference", "")
        contained = {f"#{c.get('id')}": c for c in resource.get("contained") or []}
        medication = contained.get(reference) or listed.get(reference)
        if medication is None:
            raise BundleError(
                f"{entry.place} medicationReference",
                _("%(reference)s is not in the bundle") % {"reference": reference or _("nothing")},
            )
        concept = medication.get("code")
    dosage = (resource.get("dosageInstruction") or [{}])[0].get("text", "")
    return ReferredMedication(
        key=_key(entry),
        coded=_coded(entry, concept, "medication"),
        status=str(resource.get("status", "unknown"))[:24],
        authored_on=_day(entry, "authoredOn"),
        dosage=str(dosage)[:300],
    )


@_placed
def allergy(entry: Entry) -> ReferredAllergy:
    resource = entry.resource
    reactions = [
        manifestation.get("text") or _code_of(manifestation, "")
        for reaction in resource.get("reaction") or []
        for manifestation in reaction.get("manifestation") or []
    ]
    return ReferredAllergy(
        key=_key(entry),
        coded=_coded(entry, resource.get("code"), "code"),
        status=_code_of(resource.get("clinicalStatus"), "active"),
        criticality=str(resource.get("criticality", ""))[:24],
        reactions=", ".join(reaction for reaction in reactions if reaction)[:400],
    )


@_placed
def _procedure(entry: Entry) -> ReferredCondition:
    resource = entry.resource
    period = resource.get("performedPeriod") or {}
    day = _day(entry, "performedDateTime") or _as_day(entry, period.get("start"), "performedPeriod")
    return ReferredCondition(
        key=_key(entry),
        coded=_coded(entry, resource.get("code"), "code"),
        status=str(resource.get("status", "unknown"))[:24],
        category="procedure",
        onset=day,
    )


def latest_measurements(observations: list[Entry]) -> Iterator[ReferredMeasurement]:
    """The newest value of each kind that the clinic reads."""
    latest: dict[str, ReferredMeasurement] = {}
    for entry in observations:
        resource = entry.resource
        taken_at = _moment(entry)
        if taken_at is None:
            continue
        parts = [resource, *(resource.get("component") or [])]
        for part in parts:
            found = _measurement(part)
            if found is None:
                continue
            kind, value = found
            known = latest.get(kind)
            if known is None or taken_at >= known.taken_at:
                latest[kind] = ReferredMeasurement(_key(entry), kind, value, taken_at)
    yield from latest.values()


def _measurement(part: dict[str, Any]) -> tuple[str, float] | None:
    quantity = part.get("valueQuantity") or {}
    value = quantity.get("value")
    if value is None:
        return None
    for coding in (part.get("code") or {}).get("coding") or []:
        known = MEASUREMENTS.get(coding.get("code", ""))
        if known and coding.get("system") == LOINC:
            kind, factors = known
            factor = factors.get(quantity.get("code") or quantity.get("unit") or "")
            return None if factor is None else (kind, round(float(value) * factor, 4))
    return None


@_placed
def _moment(entry: Entry) -> datetime | None:
    text = entry.resource.get("effectiveDateTime") or (
        entry.resource.get("effectivePeriod") or {}
    ).get("start")
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        if len(text) < 10:  # a year or a month alone says too little to be the latest
            return None
        said = _("'%(text)s' is not a date") % {"text": text}
        raise BundleError(f"{entry.place} effective", said) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _day(entry: Entry, field: str) -> date | None:
    return _as_day(entry, entry.resource.get(field), field)


def _as_day(entry: Entry, text: str | None, field: str) -> date | None:
    """The day of a FHIR date; a year or a month alone is its first day."""
    if not text:
        return None
    padded = {4: f"{text}-01-01", 7: f"{text}-01"}.get(len(text), text[:10])
    try:
        return date.fromisoformat(padded)
    except ValueError as error:
        said = _("'%(text)s' is not a date") % {"text": text}
        raise BundleError(f"{entry.place} {field}", said) from error
