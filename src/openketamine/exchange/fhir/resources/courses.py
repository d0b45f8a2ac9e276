"""A course of treatment: its plan, its orders, what was signed, what was asked and scored."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Prefetch
from django.utils import translation

from openketamine.clinic.intake.models import InstrumentResponse
from openketamine.clinic.people.models import Course, Stage
from openketamine.clinic.plans.models import Consent, Plan, PlannedSession
from openketamine.clinic.policy.queries import library
from openketamine.protocols.schema import InstrumentFile

from .clinic import answer, canonical
from .common import (
    CLINIC,
    LOINC,
    OWN,
    US_CORE,
    Content,
    Draft,
    attachment,
    concept,
    draft,
    identifier,
    instant,
    meta,
    narrative,
    patient,
    period,
    practitioner,
    quantity,
    refer,
    route,
    term,
    without_nothing,
)

_PLANNED = {Stage.REFERRED, Stage.SCREENING, Stage.CONSENT, Stage.PLANNING}


def unit_of(course_id: UUID) -> str:
    return f"course:{course_id}"


def drafts(keys: Sequence[UUID]) -> Iterator[Draft]:
    """Everything of these courses but their sessions. Five queries, however many courses."""
    plans = Plan.objects.select_related("ordered_by", "verified_by")
    consents = Consent.objects.select_related("presented_by")
    responses = InstrumentResponse.objects.select_related("entered_by")
    courses = (
        Course.objects.filter(pk__in=keys)
        .order_by("opened_at", "pk")
        .select_related("prescriber", "therapist")
        .prefetch_related(
            Prefetch("plans", plans.order_by("pk")),
            Prefetch("planned_sessions", PlannedSession.objects.order_by("planned_for", "pk")),
            Prefetch("consents", consents.order_by("pk")),
            Prefetch("responses", responses.order_by("pk")),
        )
    )
    instruments = library().instruments
    for course in courses:
        yield _care_plan(course)
        for plan in course.plans.all():
            yield _order(course, plan)
        for consent in course.consents.all():
            yield _consent(course, consent)
            yield _signed_text(course, consent)
        for response in course.responses.all():
            if instrument := instruments.get(response.instrument):
                yield _response(course, response, instrument)
                yield from _score(course, response, instrument)


def ketamine(route_name: str) -> Content:
    """The drug of a course. By its name: no code of it is established in our sources."""
    return concept("Esketamine" if route_name == "IN_ESKETAMINE" else "Ketamine")


def _care_plan(course: Course) -> Draft:
    stage = Stage(course.stage)
    status = (
        "revoked"
        if stage == Stage.DECLINED
        else "completed"
        if stage == Stage.CLOSED
        else "draft"
        if stage in _PLANNED
        else "active"
    )
    sessions = list(course.planned_sessions.all())
    title = f"Ketamine course for {course.condition} by {course.route}"
    with translation.override("en"):  # whoever's act it is that changes the resource
        where = str(stage.label)
    return draft(
        unit_of(course.pk), "CarePlan", course.pk, course.person_id,
        meta=meta("us-core-careplan"),
        text=narrative(title, f"Stage: {where}", f"Sessions planned: {len(sessions)}"),
        identifier=[identifier(f"{OWN}:course", course.pk)],
        status=status,
        intent="plan",
        category=[
            concept("", (f"{US_CORE}/CodeSystem/careplan-category", "assess-plan")),
            concept(where, (f"{OWN}:stage", str(stage), where)),
        ],
        title=title,
        subject=patient(course.person_id),
        period=period(course.opened_at, course.closed_at),
        created=instant(course.opened_at),
        author=practitioner(course.prescriber),
        contributor=[practitioner(u) for u in (course.prescriber, course.therapist) if u],
        activity=[{"detail": _planned(course, session)} for session in sessions],
    )  # fmt: skip


def _planned(course: Course, session: PlannedSession) -> Content:
    status = (
        "cancelled"
        if session.cancelled_at
        else "completed"
        if session.done_at
        else "in-progress"
        if session.started_at
        else "scheduled"
    )
    return without_nothing(
        {
            "kind": "MedicationRequest",
            "code": concept(f"Session {session.number}"),
            "status": status,
            "statusReason": concept(session.cancel_reason),
            "scheduledPeriod": period(session.planned_for, None),
            "productCodeableConcept": ketamine(course.route),
            "description": f"Session {session.number} by {course.route}",
        }
    )


def _order(course: Course, plan: Plan) -> Draft:
    status = (
        "stopped"
        if plan.superseded_at
        else "draft"
        if not plan.is_verified
        else "completed"
        if course.stage in {Stage.FOLLOW_UP, Stage.CLOSED}
        else "active"
    )
    words = _order_in_words(plan)
    rate = {"rateQuantity": quantity(plan.rate_mg_per_h, "mg/h")} if plan.rate_mg_per_h else {}
    repeat = without_nothing(
        {"count": plan.sessions, "duration": plan.duration_min}
        | ({"durationUnit": "min"} if plan.duration_min else {})
    )
    return draft(
        unit_of(course.pk), "MedicationRequest", f"plan-{plan.pk}", course.person_id,
        meta=meta("us-core-medicationrequest"),
        identifier=[identifier(f"{OWN}:plan", f"{course.pk}-{plan.version}")],
        status=status,
        intent="order",
        category=[term("medicationrequest-category", "outpatient")],
        reportedBoolean=False,
        medicationCodeableConcept=ketamine(plan.route),
        subject=patient(course.person_id),
        authoredOn=instant(plan.ordered_at),
        requester=practitioner(plan.ordered_by),
        basedOn=[refer("CarePlan", course.pk)],
        note=[{"text": f"Checked by {plan.verified_by}"}] if plan.verified_by else None,
        dosageInstruction=[
            {
                "text": words,
                **({"timing": {"repeat": repeat}} if repeat else {}),
                "route": route(plan.route),
                "doseAndRate": [{"doseQuantity": quantity(plan.dose_mg, "mg"), **rate}],
            }
        ],
    )  # fmt: skip


def _order_in_words(plan: Plan) -> str:
    """The order as a person reads it; what this way of giving does not have is left out."""
    how = "" if plan.how_recorded == plan.route else f" {plan.how_recorded}"
    by_weight = (
        f" ({plan.dose_mg_per_kg:g} mg/kg at {plan.weight_kg:g} kg)"
        if plan.dose_mg_per_kg is not None and plan.weight_kg is not None
        else ""
    )
    count = f"{plan.sessions} sessions from" if plan.sessions else "from"
    return f"{plan.dose_mg:g} mg {plan.route}{how}{by_weight}, {count} {plan.first_on:%d %b %Y}"


def _consent(course: Course, consent: Consent) -> Draft:
    return draft(
        unit_of(course.pk), "Consent", consent.pk, course.person_id,
        identifier=[identifier(f"{OWN}:consent", consent.pk)],
        status="inactive" if consent.withdrawn_at else "active",
        scope=term("consentscope", "treatment", "Treatment"),
        category=[concept("Patient consent", (LOINC, "59284-0"))],
        patient=patient(course.person_id),
        dateTime=instant(consent.signed_at),
        performer=[patient(course.person_id)],
        organization=[{"reference": CLINIC}],
        sourceReference=refer("DocumentReference", f"consent-{consent.pk}"),
        policyRule=concept(
            f"{consent.document_id}, version {consent.document_version}",
            (f"{OWN}:document", consent.document_id),
        ),
        verification=[
            {
                "verified": True,
                "verifiedWith": patient(course.person_id),
                "verificationDate": instant(consent.signed_at),
            }
        ],
        provision={"type": "permit", "period": period(consent.signed_at, consent.withdrawn_at)},
    )  # fmt: skip


def _signed_text(course: Course, consent: Consent) -> Draft:
    words = _plain(consent.document)
    return draft(
        unit_of(course.pk), "DocumentReference", f"consent-{consent.pk}", course.person_id,
        meta=meta("us-core-documentreference"),
        identifier=[identifier(f"{OWN}:document-digest", consent.document_digest)],
        status="current",
        type=concept("Patient consent", (LOINC, "59284-0")),
        category=[note_category()],
        subject=patient(course.person_id),
        date=instant(consent.signed_at),
        author=[practitioner(consent.presented_by)],
        custodian={"reference": CLINIC},
        description=f"Signed by {consent.signed_name}",
        content=[
            {
                "attachment": attachment(
                    f"{words}\n\nSigned by {consent.signed_name} on {consent.signed_at:%d %B %Y}\n",
                    title=f"{consent.document_id} {consent.document_version}",
                    created=consent.signed_at,
                )
            }
        ],
    )  # fmt: skip


def note_category() -> Content:
    system = f"{US_CORE}/CodeSystem/us-core-documentreference-category"
    return concept("Clinical note", (system, "clinical-note"))


def _plain(document: Any) -> str:
    """Every sentence of a document, in its order, whatever its structure."""
    if isinstance(document, str):
        return document
    parts = document.values() if isinstance(document, dict) else document
    if not isinstance(document, dict | list):
        return ""
    return "\n".join(filter(None, (_plain(part) for part in parts)))


def _response(course: Course, response: InstrumentResponse, instrument: InstrumentFile) -> Draft:
    items = {item.id: item for item in instrument.items}
    answered = [
        {
            "linkId": name,
            "text": items[name].text if instrument.text_shipped else None,
            "answer": [{"valueCoding": answer(instrument, items[name], int(value))}],
        }
        for name, value in response.answers.items()
        if value is not None and name in items
    ]
    if response.total is not None and instrument.total_range is not None:
        answered.append({"linkId": "total", "answer": [{"valueDecimal": response.total}]})
    return draft(
        unit_of(course.pk), "QuestionnaireResponse", response.pk, course.person_id,
        identifier=identifier(f"{OWN}:response", response.pk),
        basedOn=[refer("CarePlan", course.pk)],
        questionnaire=canonical(response.instrument),
        status="completed" if response.complete else "in-progress",
        language=response.language,
        subject=patient(course.person_id),
        authored=instant(response.taken_at),
        author=practitioner(response.entered_by) or patient(course.person_id),
        source=patient(course.person_id) if instrument.completed_by == "patient" else None,
        item=[without_nothing(item) for item in answered],
    )  # fmt: skip


def _score(
    course: Course, response: InstrumentResponse, instrument: InstrumentFile
) -> Iterator[Draft]:
    """What a complete questionnaire came to."""
    if not response.complete:
        return
    code = (
        (LOINC, instrument.loinc_total)
        if instrument.loinc_total
        else (f"{OWN}:score", instrument.id)
    )
    scores = {
        name: value for name, value in response.subscores.items() if isinstance(value, int | float)
    }
    value: Content = (
        {"valueQuantity": quantity(response.total, "score", "{score}")}
        if response.total is not None
        else {"valueString": response.result}
    )
    yield draft(
        unit_of(course.pk), "Observation", f"score-{response.pk}", course.person_id,
        meta=meta("us-core-observation-screening-assessment"),
        status="final",
        category=[term("observation-category", "survey")],
        code=concept(f"{instrument.short_name}, total", code),
        subject=patient(course.person_id),
        effectiveDateTime=instant(response.taken_at),
        performer=[practitioner(response.entered_by) or patient(course.person_id)],
        interpretation=[concept(response.band)] if response.band else None,
        note=[{"text": f"{response.result} (scored by {response.library_version})"}],
        derivedFrom=[refer("QuestionnaireResponse", response.pk)],
        component=[
            {
                "code": concept(name, (f"{OWN}:subscore:{instrument.id}", name)),
                "valueQuantity": quantity(float(number), "score", "{score}"),
            }
            for name, number in scores.items()
        ],
        **value,
    )  # fmt: skip
