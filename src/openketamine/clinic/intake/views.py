"""Screening: questionnaires, history, findings, decisions, safety reviews."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from openketamine import protocols
from openketamine.clinic.accounts.access import allow, staff_only
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.forms import attempt
from openketamine.clinic.people.models import Course, Stage
from openketamine.clinic.policy.queries import current_approval, library

from . import queries, services
from .forms import (
    DecisionForm,
    HistoryForm,
    QuestionnaireForm,
    SafetyReviewForm,
    SignScreeningForm,
)
from .models import FindingDecision, InstrumentResponse, SafetyReview, Screening

INVALID = 422
INTAKE = (Role.COORDINATOR, Role.PRESCRIBER, Role.NURSE, Role.THERAPIST)


def _course(course_id: uuid.UUID) -> Course:
    return get_object_or_404(
        Course.objects.select_related("person", "prescriber", "history__taken_by"), pk=course_id
    )


@dataclass(frozen=True)
class FindingRow:
    """A finding as the screen shows it: with its source in words and what was decided."""

    finding: protocols.Finding
    source: str
    facts: list[tuple[str, Any, str]]
    decision: FindingDecision | None


def _rows(course: Course) -> list[FindingRow]:
    current = library()
    facts = queries.facts_for(course)
    findings = queries.findings_for(course, facts)
    decided = queries.standing_decisions(course, findings)
    return [
        FindingRow(
            finding,
            current.source(finding.source),
            [
                (
                    current.facts[name].label,
                    "not known" if value is None else _in_words(value),
                    facts[name].because if name in facts else "",
                )
                for name, value in finding.facts_read.items()
            ],
            decided.get(finding.rule_id),
        )
        for finding in findings
    ]


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


@staff_only
@require_GET
def screening(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    return _show_screening(request, _course(course_id))


def _show_screening(
    request: HttpRequest, course: Course, *, form: Any = None, status: int = 200
) -> HttpResponse:
    rows = _rows(course)
    signed = Screening.objects.filter(course=course).select_related("signed_by").first()
    return render(
        request,
        "intake/screening.html",
        {
            "course": course,
            "person": course.person,
            "stops": [r for r in rows if r.finding.kind == "contraindication"],
            "cautions": [r for r in rows if r.finding.kind == "caution"],
            "unknown": [r for r in rows if r.finding.kind == "missing"],
            "responses": queries.latest_responses(course, occasion="intake"),
            "instruments": [
                library().instruments[name]
                for name in library().occasion("intake").instruments_for(course.condition)
            ],
            "signed": signed,
            "form": form or SignScreeningForm(),
            "library": library(),
            "approval": current_approval(),
            "reviews": queries.open_safety_reviews(course),
        },
        status=status,
    )


@allow(Role.PRESCRIBER)
@require_POST
def sign_screening(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    course = _course(course_id)
    form = SignScreeningForm(request.POST)
    if form.is_valid():
        attempt(form, lambda: services.sign_screening(request.user, course, **form.cleaned_data))
        if not form.errors:
            messages.success(request, "The screening is signed.")
            return redirect("person", course.person_id)
    return _show_screening(request, course, form=form, status=INVALID)


@allow(Role.PRESCRIBER)
@require_POST
def decide(request: HttpRequest, course_id: uuid.UUID, rule_id: str) -> HttpResponse:
    course = _course(course_id)
    form = DecisionForm(request.POST)
    if form.is_valid():
        attempt(
            form,
            lambda: services.decide_finding(
                request.user, course, rule_id=rule_id, **form.cleaned_data
            ),
        )
    if form.errors:
        messages.error(request, " ".join(e for errors in form.errors.values() for e in errors))
    return redirect("screening", course.pk)


@staff_only
@require_GET
def questionnaires(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """Every questionnaire and rating that can be entered, those of the measurement plan first."""
    course = _course(course_id)
    planned, others = queries.questionnaires_for(course)
    return render(
        request,
        "intake/questionnaires.html",
        {
            "course": course,
            "person": course.person,
            "planned": planned,
            "others": others,
            "reviews": queries.open_safety_reviews(course),
        },
    )


@allow(*INTAKE)
@require_http_methods(["GET", "POST"])
def questionnaire(request: HttpRequest, course_id: uuid.UUID, instrument_id: str) -> HttpResponse:
    """All of one questionnaire on one page; `?entry=total` for a form added up elsewhere."""
    course = _course(course_id)
    at_intake = course.stage in {Stage.REFERRED, Stage.SCREENING}
    return enter_questionnaire(
        request,
        course,
        instrument_id,
        keep=lambda **answers: services.record_response(
            request.user,
            course,
            instrument=instrument_id,
            occasion="intake" if at_intake else services.VISIT,
            **answers,
        ),
        back=reverse("screening" if at_intake else "questionnaires", args=[course.pk]),
    )


def enter_questionnaire(
    request: HttpRequest,
    course: Course,
    instrument_id: str,
    *,
    keep: Callable[..., InstrumentResponse],
    back: str,
) -> HttpResponse:
    """One questionnaire, all on one page; `keep` gets its `answers`, `total` and `language`."""
    definition = library().instruments.get(instrument_id)
    if definition is None:
        raise Http404
    asked_in = request.GET.get("language", "en")
    language = asked_in if asked_in in definition.translations else "en"
    instrument = definition.in_language(language)
    only_total = not instrument.items or (
        request.GET.get("entry") == "total" and instrument.total_may_be_entered
    )
    form = QuestionnaireForm(request.POST or None, instrument=instrument, only_total=only_total)
    if request.method == "POST" and form.is_valid():
        response = attempt(
            form,
            lambda: keep(answers=form.answers(), total=form.total(), language=language),
        )
        if response:
            tell_result(request, response)
            if reviews := queries.open_safety_reviews(course):
                return redirect("safety_review", reviews[0].pk)
            return redirect(back)
    return render(
        request,
        "intake/questionnaire.html",
        {
            "form": form,
            "instrument": instrument,
            "course": course,
            "person": course.person,
            "only_total": only_total,
            "language": language,
            "back": back,
        },
        status=INVALID if form.errors else 200,
    )


def tell_result(request: HttpRequest, response: InstrumentResponse) -> None:
    """Say what was kept, and where a form is unfinished that its alarm stands."""
    name = library().instruments[response.instrument].short_name
    if response.complete:
        messages.success(request, f"{name}: {response.result}.")
    else:
        messages.warning(request, f"{name} is incomplete. Its alarm stands all the same.")


@allow(*INTAKE)
@require_http_methods(["GET", "POST"])
def history(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    course = _course(course_id)
    facts = queries.facts_for(course)
    known = {name: fact.value for name, fact in facts.items()}
    words = {True: "yes", False: "no"}
    asked = getattr(course, "history", None)
    form = HistoryForm(
        request.POST or None,
        sections=protocols.questions_for(library(), known),
        because={
            name: f"Referral says: {fact.because}"
            for name, fact in facts.items()
            if asked is None or name not in asked.answers
        },
        initial={
            name: words[value] if isinstance(value, bool) else value
            for name, value in known.items()
        },
    )
    if request.method == "POST" and form.is_valid():
        attempt(form, lambda: services.record_history(request.user, course, form.answers()))
        if not form.errors:
            messages.success(request, "The history is kept.")
            return redirect("screening", course.pk)
    return render(
        request,
        "intake/history.html",
        {"form": form, "course": course, "person": course.person},
        status=INVALID if form.errors else 200,
    )


@staff_only
@require_http_methods(["GET", "POST"])
def safety_review(request: HttpRequest, review_id: int) -> HttpResponse:
    review = get_object_or_404(
        SafetyReview.objects.select_related("course__person", "response", "reviewer"), pk=review_id
    )
    form = SafetyReviewForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        shown = [int(key) for key in request.POST.getlist("also") if key.isdecimal()]
        attempt(
            form,
            lambda: services.close_safety_review(
                request.user, review, also=shown, **form.cleaned_data
            ),
        )
        if not form.errors:
            messages.success(request, "The safety review is recorded.")
            return redirect("person", review.course.person_id)
    return render(
        request,
        "intake/safety_review.html",
        {
            "form": form,
            "review": review,
            "beside": [] if review.closed_at else queries.open_beside(review),
            "course": review.course,
            "person": review.course.person,
            "instrument": library().instruments[review.response.instrument],
            "may_record": request.user.role in services.CLINICIANS,
        },
        status=INVALID if form.errors else 200,
    )


@staff_only
@require_GET
def safety_banner(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """A fragment: what nobody may overlook on the pages of this person."""
    return render(
        request,
        "intake/_safety_banner.html",
        {"reviews": queries.open_safety_reviews(_course(course_id))},
    )
