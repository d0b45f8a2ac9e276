"""The chart as referral and staff have filled it: who it is, problems, what was measured."""

import re
from collections.abc import Iterable, Iterator, Sequence, Set
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q

from openketamine.clinic.people.models import (
    Allergy,
    Condition,
    Measurement,
    MeasurementKind,
    Medication,
    Person,
)
from openketamine.clinic.record.models import Event

from .common import (
    CLINIC,
    LOINC,
    OWN,
    Content,
    Draft,
    concept,
    day,
    draft,
    identifier,
    instant,
    meta,
    patient,
    quantity,
    term,
)

MRN = f"{OWN}:mrn"
_CLINICAL = {"active", "recurrence", "relapse", "inactive", "remission", "resolved"}
_ORDERED = {"active", "on-hold", "cancelled", "completed", "entered-in-error", "stopped", "draft"}
_PERFORMED = {"preparation", "in-progress", "on-hold", "stopped", "completed", "entered-in-error"}
_MET = {"unconfirmed", "confirmed"}

# Kind -> LOINC codes, words, unit, UCUM code, category, profile.
MEASURED: dict[str, tuple[tuple[str, ...], str, str, str, str, str]] = {
    "weight_kg": (("29463-7",), "Body weight", "kg", "kg", "vital-signs", "us-core-body-weight"),
    "height_cm": (("8302-2",), "Body height", "cm", "cm", "vital-signs", "us-core-body-height"),
    "heart_rate_bpm": (
        ("8867-4",), "Heart rate", "beats/minute", "/min", "vital-signs", "us-core-heart-rate",
    ),
    "spo2_percent": (
        ("59408-5", "2708-6"), "Oxygen saturation by pulse oximetry", "%", "%", "vital-signs",
        "us-core-pulse-oximetry",
    ),
    "respiratory_rate_bpm": (
        ("9279-1",), "Respiratory rate", "breaths/minute", "/min", "vital-signs",
        "us-core-respiratory-rate",
    ),
    "alt_u_per_l": (("1742-6",), "ALT", "U/L", "U/L", "laboratory", "us-core-observation-lab"),
    "ast_u_per_l": (("1920-8",), "AST", "U/L", "U/L", "laboratory", "us-core-observation-lab"),
    "ggt_u_per_l": (("2324-2",), "GGT", "U/L", "U/L", "laboratory", "us-core-observation-lab"),
    "bilirubin_umol_per_l": (
        ("14631-6",), "Bilirubin", "umol/L", "umol/L", "laboratory", "us-core-observation-lab",
    ),
    "albumin_g_per_l": (
        ("1751-7",), "Albumin", "g/L", "g/L", "laboratory", "us-core-observation-lab",
    ),
    "egfr_ml_per_min": (
        ("33914-3",), "eGFR", "mL/min/1.73m2", "mL/min/{1.73_m2}", "laboratory",
        "us-core-observation-lab",
    ),
    "phq9_total": (
        ("44261-6",), "PHQ-9 total", "score", "{score}", "survey",
        "us-core-observation-screening-assessment",
    ),
    "gad7_total": (
        ("70274-6",), "GAD-7 total", "score", "{score}", "survey",
        "us-core-observation-screening-assessment",
    ),
}  # fmt: skip
PRESSURE = {"systolic_mmhg": ("8480-6", "Systolic"), "diastolic_mmhg": ("8462-4", "Diastolic")}
# What was measured together but written down one after the other.
_TOGETHER = timedelta(minutes=1)


def drafts(keys: Sequence[UUID]) -> Iterator[Draft]:
    """Everything that stands in these people's own tables. Five queries, however many people."""
    rows_of_people = Person.objects.filter(pk__in=keys).order_by("created_at", "pk")
    people = [person.pk for person in rows_of_people]
    for person in rows_of_people:
        yield _patient(person)
    yield from _listed(Q(person__in=people))


def added(seqs: Sequence[int]) -> Iterator[Draft]:
    """What these events alone have added to charts. Five queries at most, however many events."""
    events = list(Event.objects.filter(pk__in=seqs))
    made = Q(source_key__in=[f"event:{seq}" for seq in seqs])
    for seq in seqs:
        made |= Q(source_key__startswith=f"event:{seq}:")
    # Most events add a measurement and nothing else: the other tables are then not asked.
    lists = {name for event in events for name in event.data if name in _LISTS}
    if any(event.kind == "person.measured" for event in events):
        lists.add("measurements")
    yield from _listed(Q(person__in={event.person_id for event in events}) & made, lists)


_LISTS = frozenset({"conditions", "allergies", "medications", "measurements"})


def _listed(which: Q, lists: Set[str] = _LISTS) -> Iterator[Draft]:
    def rows(name: str, model: Any, *order: str) -> Iterable[Any]:
        return model.objects.filter(which).order_by(*order) if name in lists else ()

    for condition in rows("conditions", Condition, "pk"):
        yield (
            _history(condition)
            if condition.category == Condition.Category.PROCEDURE
            else _condition(condition)
        )
    for allergy in rows("allergies", Allergy, "pk"):
        yield _allergy(allergy)
    for medication in rows("medications", Medication, "pk"):
        yield _medication(medication)
    measured: dict[UUID, list[Measurement]] = {}
    for row in rows("measurements", Measurement, "person_id", "taken_at", "pk"):
        measured.setdefault(row.person_id, []).append(row)
    for person_id, taken in measured.items():
        yield from _measured(person_id, taken)


def unit_of(person_id: UUID) -> str:
    return f"person:{person_id}"


def _patient(person: Person) -> Draft:
    identifiers = [
        {"use": "usual", "type": term("v2-0203", "MR", "Medical record number")}
        | identifier(MRN, person.mrn)
    ]
    if person.source_id:
        system = person.source_system if ":" in person.source_system else f"{OWN}:referrer"
        identifiers.append(identifier(system, person.source_id))
    if person.external_mrn:
        identifiers.append(
            {"use": "secondary", "type": term("v2-0203", "MR", "The referrer's record number")}
            | identifier(f"{OWN}:external-mrn", person.external_mrn)
        )
    telecom = [
        {"system": system, "value": value}
        for system, value in (("phone", person.phone), ("email", person.email))
        if value
    ]
    language = concept("", ("urn:ietf:bcp:47", person.language)) if person.language else None
    return draft(
        unit_of(person.pk), "Patient", person.pk, person.pk,
        meta=meta("us-core-patient"),
        identifier=identifiers,
        active=True,
        name=[
            {"use": "official", "family": person.family_name, "given": person.given_name.split()}
        ],
        telecom=telecom,
        gender=person.sex,
        birthDate=day(person.birth_date),
        address=[{"text": person.address}] if person.address.strip() else None,
        communication=[{"language": language}] if language else None,
        managingOrganization={"reference": CLINIC},
    )  # fmt: skip


def _coded(item: Any) -> Content:
    """A listed item's code as the sender gave it, and its words."""
    if item.code and ":" in item.system:
        return concept(item.display, (item.system, item.code))
    return concept(item.display)


# What the record's event made here bears its number: "event:7", or "event:7:0:system|value".
_EVENT = re.compile(r"event:(\d+)(?::\d+:(.*))?", re.DOTALL)
_BARE = re.compile(r"event:(\d+)")


def _event_of(item: Any) -> int | None:
    """The event that made a row; None where a referral did."""
    found = _EVENT.fullmatch(item.source_key)
    return int(found[1]) if found else None


def _own(item: Any) -> list[Content]:
    """The identifier that the sender gave it."""
    found = _EVENT.fullmatch(item.source_key)
    key = (found[2] or "") if found else item.source_key.strip()
    system, bar, value = key.rpartition("|")
    if bar and ":" in system and value:
        return [identifier(system, value)]
    return [identifier(f"{OWN}:source-key", key)] if key.strip("|") else []


def _condition(item: Condition) -> Draft:
    status = item.status if item.status in _CLINICAL else ""
    if item.abated and status not in {"inactive", "remission", "resolved"}:
        status = "resolved"  # FHIR: what has abated is not active
    problem = item.category != Condition.Category.SOCIAL and bool(status)
    category = (
        term("condition-category", "problem-list-item")
        if problem
        else concept(
            "", ("http://hl7.org/fhir/us/core/CodeSystem/condition-category", "health-concern")
        )
    )
    return draft(
        unit_of(item.person_id), "Condition", item.pk, item.person_id,
        _event_of(item),
        meta=meta("us-core-condition-problems-health-concerns"),
        identifier=_own(item),
        clinicalStatus=term("condition-clinical", status) if status else None,
        verificationStatus=None,
        category=[category],
        code=_coded(item),
        subject=patient(item.person_id),
        onsetDateTime=day(item.onset),
        abatementDateTime=day(item.abated),
    )  # fmt: skip


def _history(item: Condition) -> Draft:
    return draft(
        unit_of(item.person_id), "Procedure", f"history-{item.pk}", item.person_id,
        _event_of(item),
        meta=meta("us-core-procedure") if item.onset else None,
        identifier=_own(item),
        status=item.status if item.status in _PERFORMED else "unknown",
        code=_coded(item),
        subject=patient(item.person_id),
        performedDateTime=day(item.onset),
    )  # fmt: skip


def _allergy(item: Allergy) -> Draft:
    status = item.status if item.status in {"active", "inactive", "resolved"} else "active"
    criticality = item.criticality if item.criticality in {"low", "high"} else ""
    if item.criticality == "unable-to-assess":
        criticality = item.criticality
    return draft(
        unit_of(item.person_id), "AllergyIntolerance", item.pk, item.person_id,
        _event_of(item),
        meta=meta("us-core-allergyintolerance"),
        identifier=_own(item),
        clinicalStatus=term("allergyintolerance-clinical", status),
        criticality=criticality,
        code=_coded(item),
        patient=patient(item.person_id),
        reaction=[{"manifestation": [concept(item.reactions)]}] if item.reactions.strip() else None,
    )  # fmt: skip


def _medication(item: Medication) -> Draft:
    return draft(
        unit_of(item.person_id), "MedicationRequest", f"referred-{item.pk}", item.person_id,
        _event_of(item),
        meta=meta("us-core-medicationrequest"),
        identifier=_own(item),
        status=item.status if item.status in _ORDERED else "unknown",
        intent="order",
        category=[term("medicationrequest-category", "community")],
        reportedBoolean=True,
        medicationCodeableConcept=_coded(item),
        subject=patient(item.person_id),
        authoredOn=day(item.authored_on),
        dosageInstruction=[{"text": item.dosage}] if item.dosage.strip() else None,
    )  # fmt: skip


def _measured(person_id: UUID, taken: list[Measurement]) -> Iterator[Draft]:
    """Each measurement as one Observation; the two pressures of one reading as one."""
    diastolics = [m for m in taken if m.kind == MeasurementKind.DIASTOLIC_MMHG]
    paired: set[int] = set()
    for row in taken:
        if row.kind == MeasurementKind.SYSTOLIC_MMHG:
            beside = next((d for d in diastolics if d.pk not in paired and _same(row, d)), None)
            if beside:
                paired.add(beside.pk)
            values = {row.kind: row.value} | ({beside.kind: beside.value} if beside else {})
            yield _observation(person_id, row, **pressure(values))
        elif row.kind in MEASURED:
            yield _observation(person_id, row, **measured(row.kind, row.value))
    for row in diastolics:
        if row.pk not in paired:
            yield _observation(person_id, row, **pressure({row.kind: row.value}))


def _same(systolic: Measurement, diastolic: Measurement) -> bool:
    """Whether two pressures are of one reading."""
    if systolic.source_key == diastolic.source_key:
        return True
    # Entered together on a screen, they are two events, one right after the other.
    one, other = _BARE.fullmatch(systolic.source_key), _BARE.fullmatch(diastolic.source_key)
    apart = abs(systolic.taken_at - diastolic.taken_at)
    return bool(one and other and abs(int(one[1]) - int(other[1])) == 1 and apart < _TOGETHER)


def _observation(person_id: UUID, row: Measurement, **content: Any) -> Draft:
    return draft(
        unit_of(person_id), "Observation", f"m-{row.pk}", person_id, _event_of(row),
        identifier=_own(row),
        status="final",
        subject=patient(person_id),
        effectiveDateTime=instant(row.taken_at),
        **content,
    )  # fmt: skip


def measured(kind: str, value: float) -> Content:
    """What says one measured value: its code, category, quantity and profile."""
    codes, words, unit, ucum, category, profile = MEASURED[kind]
    return {
        "meta": meta(profile),
        "category": [term("observation-category", category)],
        "code": concept(words, *((LOINC, code) for code in codes)),
        "valueQuantity": quantity(value, unit, ucum),
    }


def pressure(values: dict[str, float]) -> Content:
    """Blood pressure as its panel; one half that is unknown says so."""
    return {
        "meta": meta("us-core-blood-pressure"),
        "category": [term("observation-category", "vital-signs")],
        "code": concept("Blood pressure", (LOINC, "85354-9")),
        "component": [
            {
                "code": concept(words, (LOINC, code)),
                **(
                    {"valueQuantity": quantity(values[name], "mmHg", "mm[Hg]")}
                    if name in values
                    else {"dataAbsentReason": term("data-absent-reason", "unknown")}
                ),
            }
            for name, (code, words) in PRESSURE.items()
        ],
    }


def moment_of(content: Content) -> datetime:
    """When an Observation was taken, as it says itself."""
    return datetime.fromisoformat(content["effectiveDateTime"])
