"""What the server offers: each kind of resource with its search parameters, in one table.

The CapabilityStatement, the index that searches use, and the search itself all read this table.
"""

from dataclasses import dataclass, field
from typing import Literal

ParamType = Literal["token", "string", "date", "reference", "quantity"]
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition"
BASE_SPEC = "http://hl7.org/fhir"


@dataclass(frozen=True)
class Param:
    """One search parameter: where its values stand in the resource, as dotted paths."""

    name: str
    type: ParamType
    paths: tuple[str, ...]
    says: str = ""


@dataclass(frozen=True)
class Kind:
    """One kind of resource.

    Attributes:
        date: the path of the moment by which `date` searches and sorts; "" where there is none.
        in_chart: whether each belongs to one patient's chart.
        live: read from the record itself, and not projected.
        create: what a create does here, in words; "" refuses it.
    """

    name: str
    params: tuple[Param, ...] = ()
    date: str = ""
    date_param: str = "date"
    in_chart: bool = True
    live: bool = False
    create: str = ""
    update: str = ""
    profiles: tuple[str, ...] = ()
    about: str = ""

    def param(self, name: str) -> Param | None:
        return next((p for p in self.params if p.name == name), None)


def _token(name: str, *paths: str, says: str = "") -> Param:
    return Param(name, "token", paths or (name,), says)


def _ref(name: str, *paths: str, says: str = "") -> Param:
    return Param(name, "reference", paths or (name,), says)


def _string(name: str, *paths: str, says: str = "") -> Param:
    return Param(name, "string", paths or (name,), says)


_IDENTIFIER = _token("identifier", says="a business identifier")
_STATUS = _token("status")
_CODE = _token("code")
_CATEGORY = _token("category")
_ENCOUNTER = _ref("encounter")

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "Patient",
            (
                _IDENTIFIER,
                _string("name"),
                _string("family", "name.family"),
                _string("given", "name.given"),
                _token("gender"),
                Param("birthdate", "date", ("birthDate",)),
                _string("address"),
                _token("telecom"),
                _token("phone", "telecom[phone]"),
                _token("email", "telecom[email]"),
                _token("active"),
            ),
            create="refers a new person, who gets an open course",
            update="corrects demographics; needs If-Match",
            profiles=(f"{US_CORE}/us-core-patient",),
            about="one person in care",
        ),
        Kind(
            "Practitioner",
            (
                _IDENTIFIER,
                _string("name"),
                _string("family", "name.family"),
                _string("given", "name.given"),
                _token("active"),
            ),
            in_chart=False,
            profiles=(f"{US_CORE}/us-core-practitioner",),
            about="one member of staff who signs in",
        ),
        Kind(
            "Organization",
            (_IDENTIFIER, _string("name"), _token("active")),
            in_chart=False,
            profiles=(f"{US_CORE}/us-core-organization",),
            about="the clinic itself",
        ),
        Kind(
            "Condition",
            (
                _CODE,
                _CATEGORY,
                _IDENTIFIER,
                _token("clinical-status", "clinicalStatus"),
                Param("abatement-date", "date", ("abatementDateTime",)),
            ),
            date="onsetDateTime",
            date_param="onset-date",
            create="adds to the list of problems",
            profiles=(f"{US_CORE}/us-core-condition-problems-health-concerns",),
            about="a problem on the patient's list",
        ),
        Kind(
            "AllergyIntolerance",
            (
                _CODE,
                _IDENTIFIER,
                _token("clinical-status", "clinicalStatus"),
                _token("criticality"),
            ),
            create="adds to the list of allergies",
            profiles=(f"{US_CORE}/us-core-allergyintolerance",),
            about="an allergy on the patient's list",
        ),
        Kind(
            "MedicationRequest",
            (
                _STATUS,
                _token("intent"),
                _token("code", "medicationCodeableConcept"),
                _CATEGORY,
                _IDENTIFIER,
                _ref("requester"),
            ),
            date="authoredOn",
            date_param="authoredon",
            profiles=(f"{US_CORE}/us-core-medicationrequest",),
            about="a medicine that a referral lists, or the order of a course here",
        ),
        Kind(
            "MedicationAdministration",
            (
                _STATUS,
                _token("code", "medicationCodeableConcept"),
                _IDENTIFIER,
                _ref("context", says="the session in which it was given"),
                _ref("request"),
                _ref("part-of", "partOf", says="the dose of which this is a stretch at one rate"),
                _ref("performer", "performer.actor"),
            ),
            date="effectivePeriod,effectiveDateTime",
            date_param="effective-time",
            about="a dose, each stretch of it at one rate, or a medicine given beside it",
        ),
        Kind(
            "Observation",
            (
                _CODE,
                _CATEGORY,
                _STATUS,
                _IDENTIFIER,
                _ENCOUNTER,
                _token("component-code", "component.code"),
                _token("combo-code", "code", "component.code"),
                Param("value-quantity", "quantity", ("valueQuantity",)),
                Param("component-value-quantity", "quantity", ("component.valueQuantity",)),
                _ref("derived-from", "derivedFrom"),
                _ref("performer"),
            ),
            date="effectiveDateTime",
            create="adds a measurement to the chart",
            profiles=(
                f"{US_CORE}/us-core-blood-pressure",
                f"{US_CORE}/us-core-heart-rate",
                f"{US_CORE}/us-core-respiratory-rate",
                f"{US_CORE}/us-core-pulse-oximetry",
                f"{US_CORE}/us-core-body-weight",
                f"{US_CORE}/us-core-body-height",
                f"{US_CORE}/us-core-observation-lab",
                f"{US_CORE}/us-core-observation-screening-assessment",
            ),
            about="a measurement, a vital sign, how the patient was, or a score",
        ),
        Kind(
            "Questionnaire",
            (
                _IDENTIFIER,
                _STATUS,
                _token("code"),
                _token("url"),
                _string("title"),
                _string("name"),
            ),
            in_chart=False,
            about="an instrument of the library, with its wording only where it may be passed on",
        ),
        Kind(
            "QuestionnaireResponse",
            (
                _STATUS,
                _token("identifier"),
                _token("questionnaire"),
                _ref("author"),
                _ref("source"),
            ),
            date="authored",
            date_param="authored",
            create="keeps a filled-in questionnaire, scores it and opens a safety review if it "
            "alarms",
            about="a filled-in questionnaire",
        ),
        Kind(
            "Consent",
            (_STATUS, _CATEGORY, _token("scope"), _IDENTIFIER),
            date="dateTime",
            about="a signature under one exact text",
        ),
        Kind(
            "CarePlan",
            (_STATUS, _CATEGORY, _IDENTIFIER, _ref("care-team", "careTeam")),
            date="period",
            profiles=(f"{US_CORE}/us-core-careplan",),
            about="one course of treatment",
        ),
        Kind(
            "Encounter",
            (
                _STATUS,
                _token("class"),
                _token("type"),
                _IDENTIFIER,
                _ref("participant", "participant.individual"),
            ),
            date="period",
            profiles=(f"{US_CORE}/us-core-encounter",),
            about="one session in a chair",
        ),
        Kind(
            "Procedure",
            (_STATUS, _CODE, _CATEGORY, _IDENTIFIER, _ENCOUNTER),
            date="performedPeriod,performedDateTime",
            profiles=(f"{US_CORE}/us-core-procedure",),
            about="a treatment here, or one that a referral lists",
        ),
        Kind(
            "AdverseEvent",
            (
                _token("event"),
                _token("severity"),
                _token("seriousness"),
                _token("actuality"),
                _IDENTIFIER,
                _ENCOUNTER,
            ),
            date="date",
            about="a side effect or an emergency in a session",
        ),
        Kind(
            "DocumentReference",
            (
                _STATUS,
                _token("type"),
                _CATEGORY,
                _IDENTIFIER,
                _ref("encounter", "context.encounter"),
            ),
            date="date",
            profiles=(f"{US_CORE}/us-core-documentreference",),
            about="a note, a consent or an after-care sheet; its PDF is a Binary",
        ),
        Kind(
            "Provenance",
            (_ref("target", says="what came of it"), _ref("agent", "agent.who")),
            date="recorded",
            date_param="recorded",
            live=True,
            profiles=(f"{US_CORE}/us-core-provenance",),
            about="one event of the record: who said what, when, and its link in the chain",
        ),
        Kind(
            "AuditEvent",
            (_token("action"), _token("outcome"), _string("agent-name", "agent.name")),
            date="recorded",
            live=True,
            about="one access to a chart",
        ),
    )
}

# What a person's chart consists of, for compartments, $everything and Patient/$export.
IN_CHART = tuple(name for name, kind in KINDS.items() if kind.in_chart and not kind.live)

# A patient's own parameters: `patient` everywhere, `subject` beside it where FHIR has both.
SUBJECT = {
    "Condition": ("patient", "subject"),
    "AllergyIntolerance": ("patient",),
    "MedicationRequest": ("patient", "subject"),
    "MedicationAdministration": ("patient", "subject"),
    "Observation": ("patient", "subject"),
    "QuestionnaireResponse": ("patient", "subject"),
    "Consent": ("patient",),
    "CarePlan": ("patient", "subject"),
    "Encounter": ("patient", "subject"),
    "Procedure": ("patient", "subject"),
    "AdverseEvent": ("subject", "patient"),
    "DocumentReference": ("patient", "subject"),
    "Provenance": ("patient",),
    "AuditEvent": ("patient",),
}

# Where a reference to each patient's chart stands in the resource.
SUBJECT_PATH = {
    "AllergyIntolerance": "patient",
    "Consent": "patient",
}


def subject_of(kind: str) -> str:
    """The element of a resource that names its patient."""
    return SUBJECT_PATH.get(kind, "subject")


@dataclass(frozen=True)
class Include:
    """One `_include`: the paths of the references that it follows, by kind of what includes."""

    source: str
    param: str
    paths: tuple[str, ...] = field(default=())


def includes_of(kind: Kind) -> dict[str, Include]:
    """Every `_include` that a kind offers, by name."""
    found = {}
    for param in SUBJECT.get(kind.name, ()):
        if not kind.live:
            found[param] = Include(kind.name, param, (subject_of(kind.name),))
    for item in kind.params:
        if item.type == "reference" and not kind.live:
            found[item.name] = Include(kind.name, item.name, item.paths)
    return found


# What may be asked along with a page, towards it: kind and parameter.
REVINCLUDES = (
    ("Provenance", "target"),
    ("Observation", "encounter"),
    ("MedicationAdministration", "context"),
    ("AdverseEvent", "encounter"),
    ("Procedure", "encounter"),
    ("DocumentReference", "encounter"),
    ("Observation", "derived-from"),
    ("MedicationAdministration", "request"),
)
