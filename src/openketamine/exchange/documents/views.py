"""Documents to hand over and to file: each as PDF, or as a page to print (`?format=html`)."""

import csv
import uuid
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import pgettext_lazy
from django.views.decorators.http import require_GET

from openketamine.clinic.accounts.access import allow, staff_only
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.choices import sheet
from openketamine.clinic.people.language import language_of
from openketamine.clinic.people.models import Course, Person
from openketamine.clinic.plans.models import Consent
from openketamine.clinic.policy.queries import contacts, library
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.reviews.handover import handover_of
from openketamine.clinic.sessions import monitoring_form
from openketamine.clinic.sessions.models import Session
from openketamine.clinic.sessions.queries import protocol_of, timeline_of
from openketamine.clinic.sessions.wording import describe

from .render import PdfUnavailable, pdf
from .sketch import vitals_sketch

SESSION_NOTE = "documents/session_note.html"
# What became of a dose of the spray that was not taken whole.
SPRAY_OUTCOMES = {
    "partial": pgettext_lazy("a dose", "partial"),
    "failed": pgettext_lazy("a dose", "failed"),
}
# The safety programme's own form is in English, and so is what goes into it.
OF_THE_FORM = "en"


def _respond(
    request: HttpRequest, template: str, context: dict[str, Any], *, name: str
) -> HttpResponse:
    context["printed_at"] = clock.now()
    context["printed_by"] = request.user
    if request.GET.get("format") == "html":
        return render(request, template, context)
    try:
        body = pdf(template, context)
    except PdfUnavailable as reason:
        return render(request, "documents/unavailable.html", {"reason": reason}, status=503)
    return HttpResponse(
        body,
        content_type="application/pdf",
        headers={"Content-Disposition": f'inline; filename="{name}.pdf"'},
    )


def session_for_documents(session_id: uuid.UUID) -> Session:
    """A session with everything that its documents name."""
    return get_object_or_404(
        Session.objects.select_related("person", "planned__plan__ordered_by", "course", "chair"),
        pk=session_id,
    )


@staff_only
@require_GET
def aftercare(request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
    """What the patient takes home, in the patient's language."""
    session = session_for_documents(session_id)
    language = _language_asked(request, session.person)
    with translation.override(language):
        return _respond(
            request,
            "documents/aftercare.html",
            {
                "session": session,
                "person": session.person,
                "document": library().document("aftercare", session.course.route, language),
                "contacts": contacts(language),
                "clinic_phone": settings.CLINIC_PHONE,
            },
            name=f"after-care-{session.person.mrn}-{session.planned.number}",
        )


def _language_asked(request: HttpRequest, person: Person) -> str:
    """In which language a patient's sheet is asked for: the patient's, where nothing is said."""
    asked = request.GET.get("language", "")
    return asked if asked in dict(settings.LANGUAGES) else language_of(person)


def session_note_context(session: Session) -> dict[str, Any]:
    """What the note of a session shows."""
    timeline = timeline_of(session)
    plan = session.planned.plan
    given_mg = timeline.given_mg(timeline.ended_at or clock.now())
    given_ml = given_mg / plan.concentration_mg_per_ml if plan.is_drawn_up else 0.0
    if timeline.injections:
        given_ml = sum(dose.line.data["volume_ml"] for dose in timeline.injections)
    confirmed = timeline.check["confirmed"] if timeline.check else []
    events = list(Event.objects.filter(stream=session.stream).order_by("seq"))
    lines = {line.seq: line for line in timeline.lines}
    return {
        "session": session,
        "person": session.person,
        "course": session.course,
        "plan": plan,
        "steps": plan.arithmetic,
        "timeline": timeline,
        "given_mg": round(given_mg, 1),
        "given_ml": round(given_ml, 2),
        "wasted_mg": round(max(timeline.planned_mg - given_mg, 0.0), 1),
        "route": _(
            next(r.name for r in library().programmes.routes if r.id == session.course.route)
        ),
        "confirmed": [
            _(item.question) for item in protocol_of(session).presession if item.item in confirmed
        ],
        # Each event as it was first entered, beside what the corrections make of it.
        "entries": [
            (
                event,
                line := lines[event.seq],
                describe(replace(line, data={**event.data, "corrects": event.corrects_id})),
                describe(line),
            )
            for event in events
        ],
        "sketch": vitals_sketch(timeline),
        "consent": session.course.consents.order_by("-signed_at").first(),
        "approval": session.approval,
        "spray_outcomes": SPRAY_OUTCOMES,
    }


@allow(Role.NURSE, Role.PRESCRIBER, Role.DIRECTOR)
@require_GET
def session_note(request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
    session = session_for_documents(session_id)
    return _respond(
        request,
        SESSION_NOTE,
        session_note_context(session),
        name=f"session-{session.person.mrn}-{session.planned.number}",
    )


@staff_only
@require_GET
def consent_document(request: HttpRequest, consent_id: int) -> HttpResponse:
    consent = get_object_or_404(
        Consent.objects.select_related("course__person", "presented_by", "withdrawn_recorded_by"),
        pk=consent_id,
    )
    return _respond(
        request,
        "documents/consent.html",
        {"consent": consent, "person": consent.course.person, "document": consent.document},
        name=f"consent-{consent.course.person.mrn}",
    )


@staff_only
@require_GET
def routes_sheet(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """The routes side by side in the patient's own words, in the language asked for."""
    course = get_object_or_404(Course.objects.select_related("person"), pk=course_id)
    language = _language_asked(request, course.person)
    with translation.override(language):
        return _respond(
            request,
            "documents/routes.html",
            sheet.routes_sheet(course, language),
            name=f"routes-{course.person.mrn}",
        )


def _owing(session_id: uuid.UUID) -> Session:
    """A session for which the safety programme is owed a form."""
    return get_object_or_404(
        Session.objects.select_related(
            "person", "course__person", "planned__plan", "chair", "monitoring_form__sent_by"
        ),
        pk=session_id,
        monitoring_form__isnull=False,
    )


@allow(*monitoring_form.MAY_SEND)
@require_GET
def monitoring(request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
    """The data sheet for the safety programme, as a person copies or sends it."""
    session = _owing(session_id)
    timeline = timeline_of(session)
    with translation.override(OF_THE_FORM):
        entries = monitoring_form.fill(session, timeline)
    return _respond(
        request,
        "documents/monitoring.html",
        {
            "session": session,
            "person": session.person,
            "owed": session.monitoring_form,
            "entries": entries,
            "missing": monitoring_form.missing(entries),
            "serious_signs": monitoring_form.serious_signs(timeline),
        },
        name=f"monitoring-{session.person.mrn}-{session.planned.number}",
    )


@allow(*monitoring_form.MAY_SEND)
@require_GET
def monitoring_data(request: HttpRequest, session_id: uuid.UUID, kind: str) -> HttpResponse:
    """The same as data: JSON with everything, or CSV with a line for each field."""
    with translation.override(OF_THE_FORM):
        return _as_data(_owing(session_id), kind)


def _as_data(session: Session, kind: str) -> HttpResponse:
    timeline = timeline_of(session)
    entries = monitoring_form.fill(session, timeline)
    name = f"monitoring-{session.person.mrn}-{session.planned.number}.{kind}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    if kind == "json":
        owed = session.monitoring_form
        return JsonResponse(
            {
                "session": str(session.pk),
                "due_on": owed.due_on.isoformat(),
                "sent_on": owed.sent_on.isoformat() if owed.sent_on else None,
                "report_as_serious": monitoring_form.serious_signs(timeline),
                "missing": [entry.key for entry in monitoring_form.missing(entries)],
                "fields": [
                    {
                        "section": entry.section,
                        "key": entry.key,
                        "label": entry.label,
                        "value": entry.value,
                        "unit": entry.unit,
                        "source": entry.source,
                        "required": entry.required,
                    }
                    for entry in entries
                ],
            },
            headers=headers,
        )
    if kind != "csv":
        raise Http404("As json or csv.")
    response = HttpResponse(content_type="text/csv; charset=utf-8", headers=headers)
    writer = csv.writer(response)
    writer.writerow(["section", "key", "label", "value", "unit", "source"])
    for entry in entries:
        value = "" if entry.value is None or entry.value == "" else entry.shown
        writer.writerow(
            [entry.section, entry.key, entry.label, _plain(value), entry.unit, entry.source]
        )
    return response


def _plain(text: str) -> str:
    """What no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


@allow(Role.NURSE, Role.PRESCRIBER, Role.DIRECTOR, Role.COORDINATOR)
@require_GET
def handover(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """What whoever takes over has to know of a course, on paper."""
    course = get_object_or_404(
        Course.objects.select_related("person", "prescriber", "therapist"), pk=course_id
    )
    return _respond(
        request,
        "documents/handover.html",
        {
            "handover": handover_of(course),
            "course": course,
            "person": course.person,
            "contacts": contacts(translation.get_language() or "en"),
        },
        name=f"hand-over-{course.person.mrn}",
    )
