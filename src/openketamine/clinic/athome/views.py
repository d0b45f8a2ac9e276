"""The clinic's screens: all sessions at home, one of them, a course there, the switch."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from openketamine.clinic.accounts.access import allow, staff_only
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.forms import attempt
from openketamine.clinic.intake.queries import findings_for, jurisdiction, standing_decisions
from openketamine.clinic.notices.queries import calls_of, next_step
from openketamine.clinic.people.models import Course, Setting
from openketamine.clinic.plans import queries as plans
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock

from . import counts, links, queries, services
from . import forms as own
from .gates import asked_of_clinician
from .models import AFTER_DOSE, AfterHold, CuffPhoto, HomeSession, Phase


def _board(request: HttpRequest) -> dict[str, Any]:
    return {"rows": queries.todays_rows(), "programme": queries.programme()}


@staff_only
@require_GET
def home_sessions(request: HttpRequest) -> HttpResponse:
    """All sessions at home of today, missed check-ins first, and those that wait to be opened."""
    return render(
        request,
        "athome/home_sessions.html",
        {
            **_board(request),
            "planned": queries.planned_today(),
            "courses": queries.courses_at_home(),
            "reviews": queries.reviews_due(),
            "jurisdiction": jurisdiction(),
        },
    )


@staff_only
@require_GET
def home_sessions_list(request: HttpRequest) -> HttpResponse:
    """A fragment: the sessions."""
    return render(request, "athome/_board.html", _board(request))


@staff_only
@require_GET
def home_reviews_due(request: HttpRequest) -> HttpResponse:
    """A fragment for the day's list: first doses at home that a prescriber has to review."""
    return render(request, "athome/_reviews.html", {"reviews": queries.reviews_due()[:6]})


@allow(Role.DIRECTOR)
@require_http_methods(["GET", "POST"])
def home_programme(request: HttpRequest) -> HttpResponse:
    """The switch, with the warnings that are signed for."""
    on = queries.programme()
    form: forms.Form = (
        own.SwitchOffForm(request.POST or None) if on else own.SwitchOnForm(request.POST or None)
    )
    if request.method == "POST" and form.is_valid():
        if on:
            done = attempt(
                form,
                lambda: (services.switch_off(request.user, **form.cleaned_data), True),
            )
        else:
            done = attempt(
                form,
                lambda: (
                    services.switch_on(
                        request.user, digest=request.POST.get("digest", ""), **form.cleaned_data
                    ),
                    True,
                ),
            )
        if done:
            messages.success(
                request,
                _("Treatment at home is off.") if on else _("Treatment at home is on."),
            )
            return redirect("home_sessions")
    return render(
        request,
        "athome/home_programme.html",
        {
            "on": on,
            "form": form,
            "jurisdiction": jurisdiction(),
            "warnings": [(each, library().source(each.source)) for each in queries.warnings()],
            "rules": library().athome.rules,
            "digest": services.warnings_digest(),
        },
        status=422 if form.errors else 200,
    )


# --------------------------------------------------------------------------- one session


def _session(session_id: uuid.UUID) -> HomeSession:
    return get_object_or_404(
        HomeSession.objects.select_related(
            "person", "planned__plan", "enrolment__doctor", "course__person", "approval"
        ),
        pk=session_id,
    )


def _now(session: HomeSession) -> dict[str, Any]:
    line = queries.timeline_of(session)
    now = clock.now()
    return {
        "session": session,
        "line": line,
        "phase": Phase(line.phase),
        "wanting": queries.wanting(session, line, now),
        "adult_here": queries.adult_is_here(session, line, now),
        "go_until": queries.go_until(session, line),
        "log": line.lines[::-1],
        "calls": [(call, next_step(call)) for call in calls_of(session.person_id) if call.is_open],
        "photos": list(session.photos.order_by("-pk").only("pk", "kept_at", "session")),
    }


@staff_only
@require_GET
def home_session_now(request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
    """A fragment: what is known now. The forms stand beside it and keep what is typed."""
    return render(request, "athome/_now.html", _now(_session(session_id)))


@staff_only
@require_http_methods(["GET", "POST"])
def home_session(request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
    """One session at home: what happened, and what the clinic has to do."""
    session = _session(session_id)
    shown = _now(session)
    line, phase = shown["line"], shown["phase"]
    act = request.POST.get("act", "")

    def bound(name: str) -> Any:
        return request.POST if act == name else None

    protocol = queries.protocol_of(session)
    criteria = queries.library_of(session).discharge[queries.PROTOCOL].criteria
    decide = own.DecideForm(
        bound("decide"), auto_id="decide_%s", items=asked_of_clinician(protocol)
    )
    told, close = (
        own.ToldForm(bound("told"), auto_id="told_%s"),
        own.CloseForm(bound("close"), auto_id="close_%s", criteria=criteria),
    )
    cancel = own.ReasonForm(bound("cancel"), auto_id="cancel_%s")
    user = request.user
    acts: dict[str, tuple[forms.Form, Callable[[], object], str]] = {
        "decide": (
            decide,
            lambda: services.decide(
                user,
                session,
                go=request.POST.get("go") == "1",
                confirmed=decide.confirmed,
                reason=decide.cleaned_data["reason"],
            ),
            _("Decided. The patient sees it now."),
        ),
        "told": (
            told,
            lambda: services.note_check_in(
                user, session, data=told.measured, words=told.cleaned_data["words"]
            ),
            _("Written down."),
        ),
        "close": (
            close,
            lambda: services.close_session(
                user,
                session,
                answers=close.answers,
                outcome=close.cleaned_data["outcome"],
                words=close.cleaned_data["words"],
            ),
            _("The session is closed."),
        ),
        "cancel": (
            cancel,
            lambda: services.cancel_session(user, session, reason=cancel.cleaned_data["reason"]),
            _("The session is cancelled."),
        ),
    }
    if request.method == "POST" and act in acts:
        form, do, words = acts[act]
        if form.is_valid() and attempt(form, do) is not None:
            messages.success(request, words)
            return redirect("home_session", session.pk)
    may = user.role in services.CLINICIANS
    return render(
        request,
        "athome/home_session.html",
        {
            **shown,
            "decide": decide if may and phase == Phase.DECIDE else None,
            "told": told if may and phase in AFTER_DOSE else None,
            "close": close if may and phase in AFTER_DOSE else None,
            "cancel": cancel
            if may and line.dose_at is None and session.closed_at is None
            else None,
            "assessment": services.assess(session, line, {}) if phase in AFTER_DOSE else None,
            "approval": session.approval,
            "links": [
                (_("The patient's page"), _link(request, "home_page", session, "patient")),
                (_("The adult's page"), _link(request, "adult_page", session, "adult")),
            ]
            if may and session.closed_at is None
            else [],
        },
        status=422 if any(form.errors for form, _do, _words in acts.values()) else 200,
    )


def _needed(pieces: Mapping[float, int]) -> str:
    """ "12 of 100 mg, 6 of 50 mg"."""
    return ", ".join(str(counts.in_words({mg: count})) for mg, count in pieces.items())


def _link(request: HttpRequest, page: str, session: HomeSession, who: Any) -> str:
    return request.build_absolute_uri(reverse(page, args=[links.token_for(session, who)]))


@allow(*services.CLINICIANS, Role.DIRECTOR)
@require_GET
def cuff_photo(request: HttpRequest, session_id: uuid.UUID, photo_id: int) -> HttpResponse:
    """The picture of a cuff, as it was kept."""
    photo = get_object_or_404(CuffPhoto, session_id=session_id, pk=photo_id)
    response = HttpResponse(bytes(photo.jpeg), content_type="image/jpeg")
    response["Cache-Control"] = "private, no-store"
    return response


# -------------------------------------------------------------------- a course in the programme


@staff_only
@require_http_methods(["GET", "POST"])
def home_course(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """One course in the programme: what stands in the way, who answers for it, what is at home."""
    course = get_object_or_404(Course.objects.select_related("person"), pk=course_id)
    enrolment, plan = queries.enrolment_of(course), plans.plan_in_force(course)
    sums = queries.counts_of(enrolment)
    strengths = sorted(
        {float(mg) for mg, _count in (plan.units if plan else [])} | set(sums.dispensed),
        reverse=True,
    )
    planned = (
        course.planned_sessions.filter(started_at=None, done_at=None, cancelled_at=None)
        .select_related("plan", "person")
        .first()
    )
    act, user = request.POST.get("act", ""), request.user

    def bound(name: str) -> Any:
        return request.POST if act == name else None

    screening = own.ScreeningForm(bound("screening"), auto_id="screening_%s")
    # What is swallowed is not held; how long a lozenge is, nothing says.
    swallowed = course.route == "ORAL"
    hold_min, after_hold = (0, AfterHold.SWALLOW) if swallowed else (None, None)
    if enrolment:
        hold_min, after_hold = enrolment.hold_min, enrolment.after_hold
    enrol = own.EnrolForm(
        bound("enrol"),
        auto_id="enrol_%s",
        initial={
            "doctor": enrolment.doctor_id if enrolment else course.prescriber_id,
            "hold_min": hold_min,
            "after_hold": after_hold,
        },
    )
    supervised = own.SupervisedForm(
        bound("supervised"),
        auto_id="supervised_%s",
        initial={"dose_mg": plan.dose_mg if plan else None},
    )
    review = own.ReviewForm(bound("review"), auto_id="review_%s")
    dispense = own.DispenseForm(bound("dispense"), auto_id="dispense_%s", strengths=strengths)
    take_back = own.TakeBackForm(
        bound("take_back"), auto_id="take_back_%s", strengths=sorted(sums.dispensed, reverse=True)
    )
    opening = own.OpenForm(bound("open"), auto_id="open_%s")
    acts: dict[str, tuple[forms.Form, Callable[[], Any], str]] = {
        "screening": (
            screening,
            lambda: services.sign_home_screening(user, course, **screening.cleaned_data),
            _("The screening for home is signed."),
        ),
        "enrol": (
            enrol,
            lambda: services.enrol(user, course, **enrol.cleaned_data),
            _("Kept."),
        ),
    }
    if enrolment:
        acts |= {
            "supervised": (
                supervised,
                lambda: services.record_supervised_dose(user, enrolment, **supervised.cleaned_data),
                _("The supervised first dose is recorded."),
            ),
            "review": (
                review,
                lambda: services.review_first_dose(user, enrolment, **review.cleaned_data),
                _("The review of the first dose is recorded."),
            ),
            "dispense": (
                dispense,
                lambda: services.dispense(
                    user,
                    enrolment,
                    pieces=dispense.counts("pieces"),
                    counted=dispense.counts("counted"),
                    lot=dispense.cleaned_data["lot"],
                ),
                _("Handed out."),
            ),
            "take_back": (
                take_back,
                lambda: services.take_back(
                    user,
                    enrolment,
                    kind=take_back.cleaned_data["kind"],
                    pieces=take_back.counts("pieces"),
                    note=take_back.cleaned_data["note"],
                ),
                _("Counted."),
            ),
        }
    if planned:
        acts["open"] = (
            opening,
            lambda: services.open_session(user, planned, **opening.cleaned_data),
            _("Open. Both links are on their way."),
        )
    if request.method == "POST" and act in acts:
        form, do, words = acts[act]
        if form.is_valid() and (done := attempt(form, do)) is not None:
            messages.success(request, words)
            if isinstance(done, HomeSession):
                return redirect("home_session", done.pk)
            return redirect("home_course", course.pk)
    findings = findings_for(course) if course.setting == Setting.HOME else []
    decided = standing_decisions(course, findings)
    return render(
        request,
        "athome/home_course.html",
        {
            "course": course,
            "person": course.person,
            "enrolment": enrolment,
            "plan": plan,
            "counts": sums,
            "newest": queries.newest_screening(course),
            "findings": [(each, decided.get(each.rule_id)) for each in findings],
            "gates": queries.gates_for(
                course, planned, watched_live=False, policy=library(), now=clock.now()
            ),
            "planned": planned,
            "needed": _needed(queries.still_needed(course, plan)) if plan else "",
            "movements": enrolment.movements.order_by("-pk")[:40] if enrolment else [],
            "sessions": course.home_sessions.order_by("-opened_at").select_related("planned"),
            "screening": screening,
            "enrol": enrol,
            "supervised": supervised,
            "review": review,
            "reviews": enrolment.reviews.select_related("held_by") if enrolment else [],
            "review_opens_on": queries.review_opens_on(enrolment.first_dose_at, library().athome)
            if enrolment and enrolment.first_dose_at
            else None,
            "today": clock.today(),
            "dispense": dispense if strengths else None,
            "take_back": take_back if sums.dispensed else None,
            "opening": opening if planned else None,
            "is_prescriber": user.role == Role.PRESCRIBER,
            "may": user.role in services.CLINICIANS,
        },
        status=422 if any(form.errors for form, _do, _words in acts.values()) else 200,
    )
