"""The hand-over of a course as a FHIR R4 document: a Composition, and what it speaks of.

The resources are those that the server holds, as they stand; the Composition puts them in order,
with a text for people in each section. What cannot be validated is not handed out.
"""

import json
import uuid
from collections.abc import Iterable, Sequence

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import translation
from django.views.decorators.http import require_GET
from fhir.resources.R4B.bundle import Bundle

from openketamine.clinic.accounts.access import allow
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.people.models import Course
from openketamine.clinic.record import clock
from openketamine.clinic.reviews.handover import Handover, handover_of

from . import projection
from .models import Resource
from .resources.common import (
    CLINIC,
    LOINC,
    Content,
    concept,
    identifier,
    instant,
    narrative,
    patient,
    practitioner,
    refer,
    without_nothing,
)
from .rest import base_of

# Document types and sections of LOINC, as the International Patient Summary uses them.
_TYPE = (LOINC, "18761-7", "Transfer summary note")
_SECTIONS: tuple[tuple[str, tuple[str, str] | None, tuple[str, ...]], ...] = (
    ("Problems", ("11450-4", "Problem list - Reported"), ("Condition",)),
    (
        "Medicines",
        ("10160-0", "History of Medication use Narrative"),
        ("MedicationStatement", "MedicationRequest"),
    ),
    ("Allergies", ("48765-2", "Allergies and adverse reactions Document"), ("AllergyIntolerance",)),
    ("Doses", None, ("MedicationAdministration",)),
    ("Side effects", None, ("AdverseEvent",)),
    ("Scores", None, ("QuestionnaireResponse",)),
    ("Plan", ("18776-5", "Plan of care note"), ("CarePlan",)),
)


def bundle_of(handover: Handover, base: str, author: object) -> Content:
    """The document, validated.

    Args:
        base: where the server answers, without a slash at its end.
        author: the member of staff who hands over.

    Raises:
        pydantic.ValidationError: it is no valid document, and so is not handed out.
    """
    projection.catch_up()
    course, now = handover.course, clock.now()
    kinds = {kind for _, _, names in _SECTIONS for kind in names} | {"Patient"}
    rows = list(
        Resource.objects.filter(
            person_id=course.person_id, kind__in=kinds, deleted_at=None
        ).order_by("kind", "id")
    )
    standing = {kind: [row for row in rows if row.kind == kind] for kind in kinds}
    writer = practitioner(author) or refer(*CLINIC.split("/"))
    composition = without_nothing(
        {
            "resourceType": "Composition",
            "id": str(uuid.uuid4()),
            "status": "final",
            "type": concept("", _TYPE),
            "subject": patient(course.person_id),
            "date": instant(now),
            "author": [writer],
            "custodian": {"reference": CLINIC},
            "title": f"Hand-over summary of {course.person}",
            "section": [
                *(_section(title, code, names, standing) for title, code, names in _SECTIONS),
                _words("Outcome", _outcome(handover)),
                _words("What is due", _due(handover)),
                _words("Reviews and decisions", _reviews(handover)),
            ],
        }
    )
    named = {writer["reference"], CLINIC}
    beside = Resource.objects.filter(
        kind__in={name.split("/")[0] for name in named},
        key__in={name.split("/")[1] for name in named},
        deleted_at=None,
    )
    entries = [composition, *(json.loads(row.content) for row in (*rows, *beside))]
    bundle = {
        "resourceType": "Bundle",
        "type": "document",
        "identifier": identifier("urn:ietf:rfc:3986", f"urn:uuid:{uuid.uuid4()}"),
        "timestamp": instant(now),
        "entry": [
            {"fullUrl": f"{base}/{each['resourceType']}/{each['id']}", "resource": each}
            for each in entries
        ],
    }
    Bundle.model_validate(bundle)
    return bundle


def _section(
    title: str,
    code: tuple[str, str] | None,
    kinds: Iterable[str],
    standing: dict[str, list[Resource]],
) -> Content:
    rows = [row for kind in kinds for row in standing[kind]]
    empty = None
    if not rows:
        empty = concept("", ("http://terminology.hl7.org/CodeSystem/list-empty-reason", "nilknown"))
    return without_nothing(
        {
            "title": title,
            "code": concept("", (LOINC, *code)) if code else concept(title),
            "text": narrative(f"{len(rows)} entries." if rows else "None on record."),
            "entry": [refer(row.kind, row.key) for row in rows],
            "emptyReason": empty,
        }
    )


def _words(title: str, lines: Sequence[str]) -> Content:
    return {
        "title": title,
        "code": concept(title),
        "text": narrative(*(lines or ["None on record."])),
    }


def _outcome(handover: Handover) -> list[str]:
    def said(value: bool | None) -> str:
        return {True: "yes", False: "no", None: "not judged"}[value]

    lines = [
        f"{each.instrument.short_name}: {each.baseline:g} at intake, {each.last:g} last; "
        f"response {said(each.responded)}, remission {said(each.remitted)}, "
        f"important change {said(each.changed)}."
        for each in handover.page.known.outcomes
        if each.baseline is not None and each.last is not None
    ]
    borne = handover.page.known.tolerated
    return [
        *lines,
        f"{borne.sessions} sessions given, {borne.with_moderate} of them with a moderate or "
        "severe side effect.",
    ]


def _due(handover: Handover) -> list[str]:
    page = handover.page
    lines = [f"Session on {moment}." for moment in handover.ahead]
    if page.due:
        lines.append(f"Review: {page.due.rule.label}, {page.due.on.isoformat()}.")
    lines += [f"{state.check.label}: due." for state in page.checks if state.due]
    return lines


def _reviews(handover: Handover) -> list[str]:
    return [
        f"{review.held_at:%Y-%m-%d}, {review.get_decision_display()}: {review.reason} "
        f"({review.decided_by})"
        for review in handover.page.earlier
    ]


@allow(Role.NURSE, Role.PRESCRIBER, Role.DIRECTOR, Role.COORDINATOR)
@require_GET
def document(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """The hand-over summary for another system."""
    course = get_object_or_404(
        Course.objects.select_related("person", "prescriber", "therapist"), pk=course_id
    )
    with translation.override("en"):  # whoever hands over, the document speaks one language
        bundle = bundle_of(handover_of(course), base_of(request), request.user)
    return HttpResponse(
        json.dumps(bundle, ensure_ascii=False, indent=1),
        content_type="application/fhir+json",
        headers={
            "Content-Disposition": f'attachment; filename="hand-over-{course.person.mrn}.json"'
        },
    )
