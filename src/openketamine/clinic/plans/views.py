"""Consent, plan, double-check, calendar, and what comes next."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.defaultfilters import floatformat
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from openketamine.clinic.accounts.access import allow, staff_only
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.forms import attempt
from openketamine.clinic.intake.queries import open_safety_reviews
from openketamine.clinic.people.language import language_of
from openketamine.clinic.people.models import Course, Stage
from openketamine.clinic.policy.queries import current_approval, library
from openketamine.clinic.record import clock
from openketamine.protocols import regimens
from openketamine.protocols.regimens import NextDose
from openketamine.protocols.schema import Regimen

from . import queries, services
from .forms import (
    AgainForm,
    CancelForm,
    ConsentForm,
    MissedForm,
    MoveForm,
    OrderForm,
    VerifyForm,
    WithdrawForm,
)
from .models import Consent, Plan, PlannedSession

INVALID = 422
SCHEDULERS = services.MAY_SCHEDULE


def _course(course_id: uuid.UUID) -> Course:
    return get_object_or_404(Course.objects.select_related("person"), pk=course_id)


@staff_only
@require_GET
def consent(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    return _show_consent(request, _course(course_id), ConsentForm())


def _show_consent(request: HttpRequest, course: Course, form: ConsentForm) -> HttpResponse:
    texts = queries.consent_texts_for(course)
    if not texts:
        return _no_regimen(request, course, _("Consent"), lacks_consent=True)
    # The patient reads it: in the language that was asked for, else in that of the chart.
    asked_in = request.POST.get("language") or request.GET.get("language")
    wanted = (asked_in or language_of(course.person), "en", *texts)
    document = next(texts[language] for language in wanted if language in texts)
    return render(
        request,
        "plans/consent.html",
        {
            "course": course,
            "person": course.person,
            "document": document,
            "languages": texts,
            "digest": library().document_digest(document),
            "form": form,
            "withdraw_form": WithdrawForm(),
            "in_force": queries.consent_in_force(course),
            "withdrawn": course.consents.exclude(withdrawn_at=None).select_related(
                "withdrawn_recorded_by"
            ),
            "may_present": request.user.role in services.MAY_PRESENT
            and course.stage in {Stage.CONSENT, Stage.PLANNING, Stage.TREATMENT},
        },
        status=INVALID if form.errors else 200,
    )


@allow(*services.MAY_PRESENT)
@require_POST
def sign_consent(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    course = _course(course_id)
    form = ConsentForm(request.POST)
    if form.is_valid():
        digest = request.POST.get("digest", "")
        attempt(
            form,
            lambda: services.sign_consent(
                request.user, course, document_digest=digest, **form.cleaned_data
            ),
        )
        if not form.errors:
            messages.success(request, _("The consent is signed."))
            return redirect("person", course.person_id)
    return _show_consent(request, course, form)


@allow(*services.MAY_PRESENT, Role.DIRECTOR)
@require_POST
def withdraw_consent(request: HttpRequest, consent_id: int) -> HttpResponse:
    given = get_object_or_404(Consent.objects.select_related("course"), pk=consent_id)
    form = WithdrawForm(request.POST)
    if form.is_valid():
        attempt(form, lambda: services.withdraw_consent(request.user, given, **form.cleaned_data))
        for error in form.non_field_errors():
            messages.error(request, error)
        if not form.errors:
            messages.success(request, _("The consent is withdrawn. No further session can start."))
    return redirect("consent", given.course_id)


@staff_only
@require_http_methods(["GET", "POST"])
def plan(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    course = _course(course_id)
    offered = queries.plannable(course)
    if not offered:
        return _no_regimen(request, course, _("Plan"))
    wanted = request.GET.get("regimen")
    current = queries.current_plan(course)
    wanted = wanted or (current.regimen if current else "")
    regimen = next((r for r in offered if r.id == wanted), offered[0])
    may_order = request.user.role == Role.PRESCRIBER and course.stage in {
        Stage.PLANNING,
        Stage.TREATMENT,
    }
    form = OrderForm(
        request.POST or None,
        regimen=regimen,
        following=(following := queries.following_dose(course, regimen)),
        asks_worsened=queries.asks_worsened(course, regimen),
        rhythms=queries.rhythm_choices(regimen),
        initial=_initial(regimen, current, following),
    )
    if request.method == "POST" and form.is_valid():
        made = attempt(
            form,
            lambda: services.order_plan(request.user, course, regimen=regimen.id, **form.entry()),
        )
        if made:
            messages.success(
                request,
                _("Ordered. A second person has to check the dose before it is in force."),
            )
            return redirect("plan", course.pk)
    in_force = current if current and current.is_verified else None
    return render(
        request,
        "plans/plan.html",
        {
            "course": course,
            "person": course.person,
            "regimen": regimen,
            "others": [other for other in offered if other.id != regimen.id],
            "route": _route_name(course),
            "source": _(library().source(regimen.source)),
            "following_shown": _following_shown(following) if following else "",
            "plan": current,
            "may_order": may_order,
            "may_verify": current
            and not current.is_verified
            and request.user.role in services.MAY_VERIFY
            and request.user.pk != current.ordered_by_id,
            "form": form,
            "following": following,
            "weight": queries.latest_weight(course),
            "approval": current_approval(),
            "earlier": course.plans.exclude(superseded_at=None).select_related("ordered_by"),
            "reviews": queries.reviews_ahead(in_force) if in_force else (),
            "may_lay_out": may_order and in_force and course.stage == Stage.TREATMENT,
        },
        status=INVALID if form.errors else 200,
    )


def _following_shown(following: NextDose) -> str:
    """The doses open at the next session, in a sentence."""

    def figure(words: str) -> str:
        return format_html('<b class="num">{} mg</b>', words)

    shown = [floatformat(option, "-1") for option in following.options]
    if shown:
        doses = figure(shown[0])
        for each in shown[1:]:
            doses = format_html(_("{before} or {after}"), before=doses, after=figure(each))
    elif following.lowest != following.highest:
        low, high = floatformat(following.lowest, "-1"), floatformat(following.highest, "-1")
        doses = figure(_("%(low)s to %(high)s") % {"low": low, "high": high})
    else:
        doses = figure(floatformat(following.lowest, "-1"))
    return format_html(_("Next session: {doses}."), doses=doses)


def _initial(regimen: Regimen, current: Plan | None, following: NextDose | None) -> dict[str, Any]:
    """What stands in the order form: as ordered last, or as the regimen proposes."""
    found: dict[str, Any] = {
        "dose_mg_per_kg": regimen.dose_mg_per_kg,
        "dose_mg": f"{following.proposed:g}" if following and following.proposed else None,
        "duration_min": regimen.duration_min,
        "sessions": regimen.sessions,
        "concentration_mg_per_ml": 10.0 if regimen.vials else None,
        "first_on": clock.today(),
    }
    if current and current.regimen == regimen.id:
        names = ("dose_mg_per_kg", "duration_min", "sessions", "concentration_mg_per_ml")
        found |= {name: getattr(current, name) for name in names}
        found["mg_per_spray"] = current.unit_mg or None
        found |= {f"rhythm_{phase}": rhythm for phase, rhythm in current.rhythms.items()}
    return found


@allow(Role.PRESCRIBER)
@require_http_methods(["GET", "POST"])
def plan_again(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """Lay the days of the plan in force anew: after a missed session, or further ahead."""
    course = _course(course_id)
    in_force = queries.plan_in_force(course)
    regimen = library().regimens.get(in_force.regimen) if in_force else None
    form = AgainForm(
        request.POST or None,
        asks_worsened=regimen is not None and queries.asks_worsened(course, regimen),
        initial={"from_on": clock.today()},
    )
    end_form = CancelForm()
    if request.method == "POST" and form.is_valid():
        attempt(form, lambda: services.plan_again(request.user, course, **form.cleaned_data))
        if not form.errors:
            messages.success(request, _("The days are laid out anew."))
            return redirect("person", course.person_id)
    return _show_again(request, course, form, end_form)


@allow(Role.PRESCRIBER)
@require_POST
def end_treatment(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """No further session is given: follow-up begins."""
    course = _course(course_id)
    form = CancelForm(request.POST)
    if form.is_valid():
        attempt(form, lambda: services.end_treatment(request.user, course, **form.cleaned_data))
        if not form.errors:
            messages.success(request, _("The course is in follow-up."))
            return redirect("person", course.person_id)
    again = AgainForm(asks_worsened=False, initial={"from_on": clock.today()})
    return _show_again(request, course, again, form)


def _show_again(
    request: HttpRequest, course: Course, form: AgainForm, end_form: CancelForm
) -> HttpResponse:
    in_force = queries.plan_in_force(course)
    regimen = library().regimens.get(in_force.regimen) if in_force else None
    return render(
        request,
        "plans/again.html",
        {
            "course": course,
            "person": course.person,
            "plan": in_force,
            "regimen": regimen,
            "form": form,
            "end_form": end_form,
            "missed": course.planned_sessions.filter(missed=True).order_by("planned_for"),
            "reviews": queries.reviews_ahead(in_force) if in_force else (),
        },
        status=INVALID if form.errors or end_form.errors else 200,
    )


@allow(*SCHEDULERS)
@require_POST
def mark_missed(request: HttpRequest, planned_id: uuid.UUID) -> HttpResponse:
    """Nobody came."""
    planned = get_object_or_404(PlannedSession.objects.select_related("person"), pk=planned_id)
    form = MissedForm(request.POST)
    if form.is_valid():
        attempt(form, lambda: services.mark_missed(request.user, planned, **form.cleaned_data))
        if not form.errors:
            messages.success(
                request,
                _(
                    "Session %(number)s is marked as missed. Call the patient; the prescriber "
                    "looks at the schedule."
                )
                % {"number": planned.number},
            )
            return redirect("person", planned.person_id)
    unmoved = MoveForm(initial={"planned_for": planned.planned_for})
    return _show_move(request, planned, unmoved, CancelForm(), form)


def _route_name(course: Course) -> str:
    return next(r.name for r in library().programmes.routes if r.id == course.route)


def _no_regimen(
    request: HttpRequest, course: Course, title: str, *, lacks_consent: bool = False
) -> HttpResponse:
    """Say plainly what this clinic can plan today, and what the library has for this course."""
    programmes = library().programmes
    return render(
        request,
        "plans/no_regimen.html",
        {
            "course": course,
            "person": course.person,
            "title": title,
            "lacks_consent": lacks_consent,
            "plannable": queries.plannable(course),
            "condition": next(c.name for c in programmes.conditions if c.id == course.condition),
            "route": _route_name(course),
            "others": regimens.suited(library(), route=course.route, condition=course.condition),
        },
    )


@allow(*services.MAY_VERIFY)
@require_http_methods(["GET", "POST"])
def verify_plan(request: HttpRequest, plan_id: int) -> HttpResponse:
    ordered = get_object_or_404(
        Plan.objects.select_related("course__person", "ordered_by"), pk=plan_id
    )
    form = VerifyForm(request.POST or None, plan=ordered)
    if request.method == "POST" and form.is_valid():
        attempt(form, lambda: services.verify_plan(request.user, ordered, **form.cleaned_data))
        if not form.errors:
            messages.success(request, _("Your result agrees. The plan is in force."))
            return redirect("person", ordered.course.person_id)
    return render(
        request,
        "plans/verify.html",
        {
            "form": form,
            "plan": ordered,
            "course": ordered.course,
            "person": ordered.course.person,
        },
        status=INVALID if form.errors else 200,
    )


@staff_only
@require_GET
def calendar(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """A fragment: the sessions of a course."""
    course = _course(course_id)
    return render(
        request,
        "plans/_calendar.html",
        {
            "course": course,
            "planned": course.planned_sessions.order_by("number", "planned_for"),
            "may_move": request.user.role in SCHEDULERS,
        },
    )


@allow(*SCHEDULERS)
@require_http_methods(["GET", "POST"])
def move_session(request: HttpRequest, planned_id: uuid.UUID) -> HttpResponse:
    planned = get_object_or_404(PlannedSession.objects.select_related("person"), pk=planned_id)
    form = MoveForm(request.POST or None, initial={"planned_for": planned.planned_for})
    if request.method == "POST" and form.is_valid():
        attempt(form, lambda: services.reschedule(request.user, planned, **form.cleaned_data))
        if not form.errors:
            messages.success(request, _("The session is moved."))
            return redirect("person", planned.person_id)
    return _show_move(request, planned, form, CancelForm())


@allow(*SCHEDULERS)
@require_POST
def cancel_planned(request: HttpRequest, planned_id: uuid.UUID) -> HttpResponse:
    planned = get_object_or_404(PlannedSession.objects.select_related("person"), pk=planned_id)
    form = CancelForm(request.POST)
    if form.is_valid():
        attempt(form, lambda: services.cancel_planned(request.user, planned, **form.cleaned_data))
        if not form.errors:
            messages.success(request, _("The session is cancelled."))
            return redirect("person", planned.person_id)
    unmoved = MoveForm(initial={"planned_for": planned.planned_for})
    return _show_move(request, planned, unmoved, form)


def _show_move(
    request: HttpRequest,
    planned: PlannedSession,
    form: MoveForm,
    cancel_form: CancelForm,
    missed_form: MissedForm | None = None,
) -> HttpResponse:
    missed_form = missed_form or MissedForm()
    return render(
        request,
        "plans/move.html",
        {
            "form": form,
            "cancel_form": cancel_form,
            "missed_form": missed_form,
            "is_past": planned.planned_for <= clock.now(),
            "planned": planned,
            "person": planned.person,
        },
        status=INVALID if form.errors or cancel_form.errors or missed_form.errors else 200,
    )


@staff_only
@require_GET
def next_step(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """A fragment: the one thing to do next for this course, and who does it."""
    course = _course(course_id)
    return render(request, "plans/_next_step.html", {"course": course, **_next(course)})


def _next(course: Course) -> dict[str, Any]:
    def step(text: str, who: str, name: str = "", *args: Any, label: str = "") -> dict[str, Any]:
        return {"text": text, "who": who, "url": name and reverse(name, args=args), "label": label}

    if reviews := open_safety_reviews(course):
        return step(
            _("A safety review is open. Nothing else can be done before it is recorded."),
            _("A clinician"),
            "safety_review",
            reviews[0].pk,
            label=_("Record the review"),
        )
    if course.stage in {Stage.CONSENT, Stage.PLANNING} and not queries.plannable(course):
        return step(
            _("The screening is signed for a programme that this clinic cannot plan or run yet."),
            _("Prescriber"),
            "plan",
            course.pk,
            label=_("What can be planned"),
        )
    match course.stage:
        case Stage.REFERRED | Stage.SCREENING:
            return step(
                _("Ask the questionnaires and the history, then decide about the findings."),
                _("Coordinator or nurse, then the prescriber"),
                "screening",
                course.pk,
                label=_("Screening"),
            )
        case Stage.CONSENT:
            return step(
                _("Go through the consent with the patient."),
                _("Whoever presents it"),
                "consent",
                course.pk,
                label=_("Consent"),
            )
        case Stage.PLANNING:
            ordered = queries.current_plan(course)
            if ordered and not ordered.is_verified:
                return step(
                    _("The dose waits for a second person's check."),
                    _("A nurse or another prescriber"),
                    "verify_plan",
                    ordered.pk,
                    label=_("Check the dose"),
                )
            return step(_("Order the plan."), _("Prescriber"), "plan", course.pk, label=_("Plan"))
        case Stage.TREATMENT:
            ordered = queries.current_plan(course)
            if ordered and not ordered.is_verified:
                return step(
                    _("The changed dose waits for a second person's check."),
                    _("A nurse or another prescriber"),
                    "verify_plan",
                    ordered.pk,
                    label=_("Check the dose"),
                )
            if queries.consent_in_force(course) is None:
                return step(
                    _("No consent is in force."),
                    _("Whoever presents it"),
                    "consent",
                    course.pk,
                    label=_("Consent"),
                )
            if queries.has_missed_lately(course):
                return step(
                    _("A session was missed. Ask how the patient is, then lay the days out anew."),
                    _("Prescriber"),
                    "plan_again",
                    course.pk,
                    label=_("Look at the schedule"),
                )
            if not course.planned_sessions.filter(cancelled_at=None, done_at=None).exists():
                return step(
                    _(
                        "Nothing is left on the calendar. Is the treatment still needed? Plan on, "
                        "or end the course."
                    ),
                    _("Prescriber"),
                    "plan_again",
                    course.pk,
                    label=_("Plan on, or end"),
                )
            return step(
                _("Sessions go on as planned; a new session is opened on the day's list."),
                _("Nurse"),
                "today",
                label=_("Today"),
            )
        case Stage.FOLLOW_UP:
            return step(
                _("All planned sessions are done. Watch the answers, then review the course."),
                _("Prescriber"),
                "course_review",
                course.pk,
                label=_("Course review"),
            )
    return step(_("This course is closed."), _("Nobody"))
