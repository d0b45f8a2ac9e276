"""The course on one page, its review, and everybody who may fall out of follow-up."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from openketamine.clinic.accounts.access import allow, staff_only
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.forms import attempt
from openketamine.clinic.intake import queries as intake
from openketamine.clinic.outcomes.lifeline import lifeline
from openketamine.clinic.people.models import Course, Stage
from openketamine.clinic.people.queries import problems
from openketamine.clinic.policy.queries import current_approval, library
from openketamine.protocols import schema

from . import forms, measures, queries, services
from .handover import tried_before
from .models import Decision, MisuseNote

INVALID = 422
AHEAD_DAYS = 14


def _course(course_id: uuid.UUID) -> Course:
    return get_object_or_404(
        Course.objects.select_related("person", "prescriber", "therapist"), pk=course_id
    )


@staff_only
@require_GET
def course(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """One patient's life with the programme on one line, what is due, and what was decided."""
    found = _course(course_id)
    page = queries.review_page(found)
    names = [each.instrument for each in page.known.outcomes if each.instrument.total_range]
    findings = [
        finding
        for finding in intake.findings_for(found)
        if finding.kind in {"contraindication", "caution"}
    ]
    return render(
        request,
        "reviews/course.html",
        {
            "course": found,
            "person": found.person,
            "condition": _named(library().programmes.conditions, found.condition),
            "route": _named(library().programmes.routes, found.route),
            "page": page,
            "line": lifeline(
                found,
                instrument=request.GET.get("instrument", ""),
                also=(queries.review_marks,),
                # Who makes appointments need not know what happens in the patient's life.
                without=("life",) if request.user.role == Role.COORDINATOR else (),
            ),
            "instruments": names,
            "problems": problems(found.person)[:8],
            "trials": tried_before(found),
            "findings": findings[:12],
            "may_review": request.user.role == Role.PRESCRIBER and not found.closed_at,
            "may_close": request.user.role == Role.PRESCRIBER
            and found.stage == Stage.FOLLOW_UP
            and bool(page.earlier)
            and page.earlier[0].decision in {Decision.STOP, Decision.REFER},
            "ends": queries.loose_ends(courses=[found.pk]) if not found.closed_at else [],
            "leading": measures.leading(page.known.outcomes),
        },
    )


def _named(entries: Any, wanted: str) -> Any:
    return next((each for each in entries if each.id == wanted), None)


@staff_only
@require_http_methods(["GET", "POST"])
def course_review(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """What a review looks at, and the prescriber's decision. Everybody else may read it."""
    found = _course(course_id)
    may_decide = request.user.role == Role.PRESCRIBER and not found.closed_at
    form = forms.ReviewForm(
        request.POST or None,
        in_follow_up=found.stage == Stage.FOLLOW_UP,
        longest_days=library().reviews.longest_days,
    )
    if request.method == "POST":
        if not may_decide:
            messages.error(request, _("Only a prescriber decides a review of an open course."))
            return redirect("course_review", found.pk)
        if form.is_valid():
            held = attempt(
                form, lambda: services.hold_review(request.user, found, **form.cleaned_data)
            )
            if held:
                messages.success(
                    request,
                    _("Decided: %(decision)s.") % {"decision": held.get_decision_display().lower()},
                )
                return redirect("course", found.pk)
    page = queries.review_page(found)
    return render(
        request,
        "reviews/review.html",
        {
            "course": found,
            "person": found.person,
            "page": page,
            "form": form,
            "may_decide": may_decide and page.known.first_dose is not None,
            "facts": {name: _(words) for name, words in schema.REVIEW_FACTS.items()},
            "approval": current_approval(),
            "misuse_form": _misuse_form(),
            "check_form": _check_form(),
            "may_note": request.user.role in services.MAY_NOTE and not found.closed_at,
            "may_check": request.user.role in services.MAY_CHECK and not found.closed_at,
            "overdue": library().reviews.overdue,
        },
        status=INVALID if form.errors else 200,
    )


def _misuse_form(data: Any = None) -> forms.MisuseForm:
    signs = [
        (sign.id, _(sign.label)) for sign in library().reviews.misuse if sign.counts == "noted"
    ]
    return forms.MisuseForm(data, signs=signs)


def _check_form(data: Any = None) -> forms.CheckForm:
    listed = [(c.id, _(c.label)) for c in library().reviews.checks if c.how == "result"]
    return forms.CheckForm(data, checks=listed)


def _entered(
    request: HttpRequest, found: Course, form: Any, act: Any, *, title: str, done: str
) -> HttpResponse:
    """One small form on a page of its own; kept, back to the review."""
    if request.method == "POST" and form.is_valid():
        attempt(form, act)
        if not form.errors:
            messages.success(request, done)
            return redirect("course_review", found.pk)
    return render(
        request,
        "reviews/entry.html",
        {"course": found, "person": found.person, "form": form, "title": title},
        status=INVALID if form.errors else 200,
    )


@allow(Role.NURSE, Role.PRESCRIBER, Role.THERAPIST, Role.COORDINATOR)
@require_http_methods(["GET", "POST"])
def note_misuse(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    found = _course(course_id)
    form = _misuse_form(request.POST or None)
    return _entered(
        request,
        found,
        form,
        lambda: services.note_misuse(request.user, found, **form.cleaned_data),
        title=_("Note a sign of misuse"),
        done=_("Noted for the next review."),
    )


@allow(Role.NURSE, Role.PRESCRIBER, Role.THERAPIST, Role.COORDINATOR)
@require_http_methods(["GET", "POST"])
def take_back_misuse(request: HttpRequest, misuse_id: int) -> HttpResponse:
    note = get_object_or_404(MisuseNote.objects.select_related("course__person"), pk=misuse_id)
    form = forms.ReasonForm(request.POST or None)
    return _entered(
        request,
        note.course,
        form,
        lambda: services.take_back_misuse(request.user, note, **form.cleaned_data),
        title=_("This was no sign of misuse"),
        done=_("It counts no longer."),
    )


@allow(Role.NURSE, Role.PRESCRIBER)
@require_http_methods(["GET", "POST"])
def record_check(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    found = _course(course_id)
    form = _check_form(request.POST or None)
    if not form.is_bound and request.GET.get("check"):
        form.initial["check"] = request.GET["check"]
    return _entered(
        request,
        found,
        form,
        lambda: services.record_check(request.user, found, **form.cleaned_data),
        title=_("Write down a check"),
        done=_("The check is kept."),
    )


@allow(Role.PRESCRIBER)
@require_http_methods(["GET", "POST"])
def close_course(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    found = _course(course_id)
    form = forms.ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        attempt(form, lambda: services.close_course(request.user, found, **form.cleaned_data))
        if not form.errors:
            messages.success(request, _("The course is closed. Print the hand-over summary."))
            return redirect("course", found.pk)
    return render(
        request,
        "reviews/entry.html",
        {
            "course": found,
            "person": found.person,
            "form": form,
            "title": _("Close the course"),
            "lead": _("Say who looks after the patient from now on, and how. The record stays."),
        },
        status=INVALID if form.errors else 200,
    )


@staff_only
@require_GET
def continuity(request: HttpRequest) -> HttpResponse:
    """Everybody who may fall out of follow-up, and the reviews that are due."""
    ends = queries.loose_ends()
    return render(
        request,
        "reviews/continuity.html",
        {
            "ends": ends,
            "due": queries.reviews_due(AHEAD_DAYS),
            "rules": library().reviews.continuity,
            "overdue": library().reviews.overdue,
        },
    )


@staff_only
@require_GET
def due_summary(request: HttpRequest) -> HttpResponse:
    """A fragment for the day's list: reviews due, and how many loose ends there are."""
    return render(
        request,
        "reviews/_due.html",
        {"due": queries.reviews_due(), "ends": len(queries.loose_ends())},
    )


@staff_only
@require_http_methods(["GET", "POST"])
def take_up(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """Take up one loose end of a patient, or close it with the reason."""
    found = _course(course_id)
    rule, key = request.GET.get("rule", ""), request.GET.get("key", "")
    end = next(
        (
            each
            for each in queries.loose_ends(courses=[found.pk])
            if (each.rule.id, each.key) == (rule, key)
        ),
        None,
    )
    if end is None and request.method == "GET":
        raise Http404(_("This is no loose end any more."))
    form = forms.StepForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        attempt(
            form,
            lambda: services.take_up(request.user, found, rule=rule, key=key, **form.cleaned_data),
        )
        if not form.errors:
            messages.success(request, _("%(person)s: kept.") % {"person": found.person})
            return redirect("continuity")
    return render(
        request,
        "reviews/take_up.html",
        {"course": found, "person": found.person, "form": form, "end": end},
        status=INVALID if form.errors else 200,
    )
