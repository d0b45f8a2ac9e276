"""Creates and updates: a resource taken apart into the clinical act that it stands for.

Each goes through the service of that act, in one transaction. What no act stands for is refused.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import cache
from importlib import import_module
from typing import Any
from uuid import UUID, uuid4

from pydantic import ValidationError

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.intake import services as intake
from openketamine.clinic.people import services as people
from openketamine.clinic.people.models import Course, Person
from openketamine.clinic.people.referral import ReferredMeasurement
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record.models import Source
from openketamine.exchange.smart.grants import Grant
from openketamine.exchange.smart.scopes import Reach

from . import bundle
from .bundle import BundleError
from .outcomes import Problem
from .resources.common import OWN

MAX_BYTES = 1024 * 1024


def parse(raw: bytes) -> dict[str, Any]:
    """A JSON document.

    Raises:
        Problem: it is too large, no JSON, no object, or no text that can be kept.
    """
    if len(raw) > MAX_BYTES:
        raise Problem(413, "too-long", f"At most {MAX_BYTES // 1024} KiB in one resource.")
    try:
        document = json.loads(raw)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Problem(400, "structure", f"Not JSON: {error.msg} at {place}.") from error
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise Problem(400, "structure", "Not JSON in UTF-8, or nested too deeply.") from error
    if not isinstance(document, dict):
        raise Problem(400, "structure", "A resource is a JSON object.")
    if not bundle.is_text(document):
        raise Problem(400, "structure", "It holds characters that are no text (NUL or the like).")
    return document


@cache
def _model(kind: str) -> Any:
    return getattr(import_module(f"fhir.resources.R4B.{kind.lower()}"), kind)


def validated(kind: str, document: dict[str, Any]) -> dict[str, Any]:
    """The document, if it is a resource of this kind by FHIR's own rules.

    Raises:
        Problem: it is none, with the place.
    """
    if document.get("resourceType") != kind:
        raise Problem(
            400, "structure", f"A {kind} is expected, not {document.get('resourceType')!r:.60}.",
            "resourceType",
        )  # fmt: skip
    try:
        _model(kind).model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or kind
        reason = first["msg"].removeprefix("Value error, ")
        raise Problem(422, "structure", f"{place}: {reason}", place[:300]) from error
    except Exception as error:
        # What the validator itself trips over is no valid resource either.
        raise Problem(422, "structure", f"It cannot be read: {error!r:.300}") from error
    return document


def create(grant: Grant, reach: Reach, kind: str, document: dict[str, Any]) -> tuple[str, str]:
    """Do the act that a new resource stands for.

    Returns:
        Kind and id of what came of it.

    Raises:
        Problem: it is no valid resource, or about nobody within reach.
        Refused: the clinic's rules refuse the act.
    """
    creator = _CREATORS.get(kind)
    if creator is None:
        raise Problem(
            405, "not-supported", f"Nothing done by this interface makes a {kind}; it is read only."
        )
    try:
        return creator(grant, reach, validated(kind, document))
    except (TypeError, AttributeError, KeyError, IndexError, ValueError, OverflowError) as error:
        # FHIR's rules let pass what nobody writes, such as a number for a date.
        raise Problem(
            422, "invalid", f"It has a form that cannot be read: {error!r:.200}"
        ) from error


def _placed(kind: str, document: dict[str, Any], read: Callable[[Any], Any]) -> Any:
    """Read a resource as the import of referrals reads it."""
    own = _identifier(document)
    entry = bundle.Entry(kind, {**document, "id": own or str(uuid4())}, "")
    try:
        return read(entry)
    except BundleError as error:
        raise Problem(422, "invalid", f"{error.reason} ({error.place})", error.place) from error


def _identifier(document: dict[str, Any]) -> str:
    found = document.get("identifier") or []
    for item in found if isinstance(found, list) else [found]:
        if item and item.get("value"):
            return f"{item.get('system') or ''}|{item['value']}"[:150]
    return ""


def person_in(document: dict[str, Any]) -> UUID | None:
    """Whom a document says it is about, if it says so at all."""
    for element in ("subject", "patient"):
        about = document.get(element)
        reference = about.get("reference") if isinstance(about, dict) else None
        try:
            return UUID(str(reference).rpartition("/")[2])
        except ValueError:
            continue
    return None


def _person(reach: Reach, document: dict[str, Any], element: str = "subject") -> Person:
    """Whom it is about, within reach."""
    reference = str((document.get(element) or {}).get("reference") or "")
    kind, _, key = reference.rpartition("/")
    try:
        person_id = UUID(key)
    except ValueError:
        person_id = None  # type: ignore[assignment]
    if not kind.endswith("Patient") or person_id is None:
        raise Problem(422, "required", f"Say whom it is about: {element}.reference", element)
    if reach.person_id not in (None, person_id):
        raise Problem(403, "forbidden", "This token is for another patient.", element)
    person = Person.objects.filter(pk=person_id).first()
    if person is None:
        raise Problem(422, "not-found", f"There is no Patient/{key}.", element)
    return person


def _source(grant: Grant) -> Source:
    if grant.user is None:
        return Source.IMPORT
    return Source.PATIENT if grant.user.role == Role.PATIENT else Source.HAND


def _create_patient(grant: Grant, reach: Reach, document: dict[str, Any]) -> tuple[str, str]:
    if not reach.everyone:
        raise Problem(403, "forbidden", "A token for one patient refers nobody.")
    _staff_or_program(grant)
    entry = bundle.Entry("Patient", {**document, "id": str(uuid4())}, "")
    try:
        referral = bundle.referral_of(entry, [entry])
    except BundleError as error:
        raise Problem(422, "invalid", f"{error.reason} ({error.place})", error.place) from error
    if Person.objects.filter(
        source_system=referral.source_system, source_id=referral.source_id
    ).exists():
        raise Problem(
            409, "duplicate", "A patient with this identifier is in care already.",
            "Patient.identifier",
        )  # fmt: skip
    outcome = people.receive_referral(
        grant.actor,
        referral,
        origin=f"FHIR create by {grant.client.name}",
        source=_source(grant),
        is_another_person=False,
    )
    return "Patient", str(outcome.person.pk)


def _create_observation(grant: Grant, reach: Reach, document: dict[str, Any]) -> tuple[str, str]:
    if document["status"] not in {"final", "amended", "corrected"}:
        raise Problem(422, "business-rule", "Only what is final is taken.", "Observation.status")
    person = _person(reach, document)
    taken: list[ReferredMeasurement] = _placed(
        "Observation", document, lambda entry: list(bundle.latest_measurements([entry]))
    )
    if not taken:
        raise Problem(
            422, "not-supported",
            "No value in it that is charted here: a LOINC code that is known, a quantity in a unit "
            "that is known, and when it was taken. docs/fhir.md lists them.", "Observation.code",
        )  # fmt: skip
    kept = people.take_statements(
        grant.actor, person, measurements=taken, origin=grant.client.name, source=_source(grant)
    )
    first = min(kept.measurements, key=lambda row: (row.kind != "systolic_mmhg", row.pk))
    return "Observation", f"m-{first.pk}"


def _create_condition(grant: Grant, reach: Reach, document: dict[str, Any]) -> tuple[str, str]:
    person = _person(reach, document)
    statement = _placed("Condition", document, bundle.condition)
    _asserted(document)
    kept = people.take_statements(
        grant.actor, person, conditions=[statement], origin=grant.client.name, source=_source(grant)
    )
    return "Condition", str(kept.conditions[0].pk)


def _create_allergy(grant: Grant, reach: Reach, document: dict[str, Any]) -> tuple[str, str]:
    person = _person(reach, document, "patient")
    statement = _placed("AllergyIntolerance", document, bundle.allergy)
    _asserted(document)
    kept = people.take_statements(
        grant.actor, person, allergies=[statement], origin=grant.client.name, source=_source(grant)
    )
    return "AllergyIntolerance", str(kept.allergies[0].pk)


def _asserted(document: dict[str, Any]) -> None:
    for coding in (document.get("verificationStatus") or {}).get("coding") or []:
        if coding.get("code") in {"entered-in-error", "refuted"}:
            raise Problem(
                422, "business-rule", "It says itself that it is not so; nothing is added.",
                "verificationStatus",
            )  # fmt: skip


def _create_response(grant: Grant, reach: Reach, document: dict[str, Any]) -> tuple[str, str]:
    person = _person(reach, document)
    if document["status"] not in {"completed", "amended"}:
        raise Problem(
            422, "business-rule", "Only a completed one is taken.", "QuestionnaireResponse.status"
        )
    asked = str(document.get("questionnaire") or "").partition("|")[0]
    instrument = asked.removeprefix(f"{OWN}:questionnaire:").rpartition("/")[2]
    if instrument not in library().instruments:
        raise Problem(
            422, "not-found", f"There is no questionnaire {asked!r:.100}; search Questionnaire.",
            "QuestionnaireResponse.questionnaire",
        )  # fmt: skip
    course = Course.objects.select_related("person").filter(person=person, closed_at=None).first()
    if course is None:
        raise Problem(422, "business-rule", "This patient has no open course of treatment.")
    answers, total = _answers(document.get("item") or [])
    authored = document.get("authored")
    response = intake.record_response(
        grant.actor,
        course,
        instrument=instrument,
        answers=answers,
        total=total if not answers or total is None else None,
        occasion=intake.VISIT,
        taken_at=_moment(authored) if authored else None,
        source=_source(grant),
        language=str(document.get("language") or "en")[:8],
    )
    return "QuestionnaireResponse", str(response.pk)


def _moment(text: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise Problem(422, "value", f"authored: {text!r:.40} is no date with a time.") from error
    if moment.tzinfo is None:
        raise Problem(422, "value", "authored: give the time with its zone.")
    return moment


def _answers(items: list[Any], depth: int = 0) -> tuple[dict[str, int | None], float | None]:
    """Answers by item, and the total of a form whose items may not travel."""
    answers: dict[str, int | None] = {}
    total: float | None = None
    for item in items:
        for given in item.get("answer") or []:
            if item["linkId"] == "total":
                value = given.get("valueDecimal", given.get("valueInteger"))
                total = None if value is None else float(value)
            else:
                answers[str(item["linkId"])] = _choice(item["linkId"], given)
        if depth < 5:
            inner, inner_total = _answers(item.get("item") or [], depth + 1)
            answers |= inner
            total = inner_total if total is None else total
    return answers, total


def _choice(name: str, given: dict[str, Any]) -> int:
    value = (given.get("valueCoding") or {}).get("code", given.get("valueInteger"))
    text = str(value)
    if not (text.isascii() and text.removeprefix("-").isdigit()) or len(text) > 6:
        raise Problem(
            422, "value", f"{name}: answer with the number of a choice, as a coding or an integer.",
            name,
        )  # fmt: skip
    return int(text)


def _staff_or_program(grant: Grant) -> None:
    if grant.user is not None and not grant.user.is_clinic_staff:
        raise Problem(403, "forbidden", "The staff does this.")


_CREATORS: dict[str, Callable[[Grant, Reach, dict[str, Any]], tuple[str, str]]] = {
    "Patient": _create_patient,
    "Observation": _create_observation,
    "Condition": _create_condition,
    "AllergyIntolerance": _create_allergy,
    "QuestionnaireResponse": _create_response,
}


def update_patient(grant: Grant, person: Person, document: dict[str, Any]) -> None:
    """Correct a patient's demographics to those of the resource.

    Raises:
        Problem: it is no valid Patient, or another one.
        Refused: the clinic's rules refuse it.
    """
    _staff_or_program(grant)
    validated("Patient", document)
    if document.get("id") != str(person.pk):
        raise Problem(400, "invalid", "The id in the resource is another.", "Patient.id")
    entry = bundle.Entry("Patient", document, "")
    try:
        referral = bundle.referral_of(entry, [entry])
    except BundleError as error:
        raise Problem(422, "invalid", f"{error.reason} ({error.place})", error.place) from error
    referral = replace(referral, external_mrn=person.external_mrn)
    actor: User | str = grant.actor
    people.correct_demographics(actor, person, referral, source=_source(grant))
