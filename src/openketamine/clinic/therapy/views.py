"""The therapist's list and pages, what the team sees at the chair, and the notes kept apart."""

import uuid
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from openketamine.clinic.accounts.access import allow, staff_only
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.errors import Refused
from openketamine.clinic.forms import attempt
from openketamine.clinic.people.models import Course, Person
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.sessions import queries as session_queries
from openketamine.clinic.sessions import services as session_services
from openketamine.clinic.sessions.wording import describe

from . import forms, notes, queries, services
from .models import Goal, Homework, NoteGrant, PsychotherapyNote, TherapyVisit

INVALID = 422
# Who reads the chart of the talk therapy. Appointments alone are for the coordinator as well.
CLINICIANS = (Role.THERAPIST, Role.PRESCRIBER, Role.NURSE, Role.DIRECTOR)
SCHEDULERS = tuple(services.SCHEDULERS)
WITNESSES = tuple(services.WITNESSES)
DUE = (queries.State.DUE, queries.State.OVERDUE)


def _course(course_id: uuid.UUID) -> Course:
    return get_object_or_404(Course.objects.select_related("person", "therapist"), pk=course_id)


def _visit(visit_id: uuid.UUID) -> TherapyVisit:
    return get_object_or_404(
        TherapyVisit.objects.select_related(
            "course__person", "course__therapist", "after", "held_by"
        ),
        pk=visit_id,
    )


@staff_only
@never_cache
@require_GET
def therapist_list(request: HttpRequest) -> HttpResponse:
    """What is due, and who is accompanied: for a therapist one's own, for the others all."""
    mine = request.user.role == Role.THERAPIST and "all" not in request.GET
    therapist: Any = request.user if mine else None
    return render(
        request,
        "therapy/list.html",
        {
            "mine": mine,
            "due": queries.due_visits(therapist=therapist),
            "courses": queries.accompanied(therapist),
            "may_plan": request.user.role in SCHEDULERS,
        },
    )


@staff_only
@require_GET
def therapy_due(request: HttpRequest) -> HttpResponse:
    """A fragment for the day's list: visits with a therapist that are due now."""
    found = [each for each in queries.due_visits(ahead_days=0) if each.state in DUE]
    if request.user.role == Role.THERAPIST:
        found = [each for each in found if each.course.therapist_id == request.user.pk]
    return render(request, "therapy/_due.html", {"due": found[:6], "more": len(found) > 6})


@allow(*CLINICIANS)
@never_cache
@require_GET
def therapy(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    return _show(request, _course(course_id))


def _show(request: HttpRequest, course: Course, **given: Any) -> HttpResponse:
    now = clock.now()
    visits = list(course.therapy_visits.select_related("after", "held_by"))
    goals = list(course.goals.select_related("set_by"))
    therapy = library().therapy
    words = {kind.id: kind.in_language(get_language() or "en") for kind in therapy.goals}
    return render(
        request,
        "therapy/therapy.html",
        {
            "course": course,
            "person": course.person,
            "support": queries.support_of(course),
            "prepared": queries.preparation_of(course),
            "visits": [
                (visit, queries.state_of(visit, now), queries.rule_of(visit)) for visit in visits
            ],
            "goals": [(goal, words.get(goal.kind, goal.kind)) for goal in goals],
            "homework": list(course.homework.select_related("goal")),
            "life_events": list(course.life_events.select_related("recorded_by")),
            "goal_form": forms.GoalForm(therapy),
            "homework_form": forms.HomeworkForm(course.goals.filter(state=Goal.State.OPEN)),
            "life_form": forms.LifeEventForm(),
            "touch_rule": therapy.touch,
            "is_therapist": request.user.role == Role.THERAPIST,
            "may_plan": request.user.role in SCHEDULERS,
            "may_witness": request.user.role in WITNESSES,
            "may_read_notes": request.user.role == Role.THERAPIST
            or NoteGrant.objects.filter(
                reader=request.user, person=course.person, revoked_at=None
            ).exists(),
            "invalid": bool(given),
            **given,
        },
        status=INVALID if given else 200,
    )


def _take(
    request: HttpRequest, course: Course, name: str, form: Any, act: Callable[..., Any], said: str
) -> HttpResponse:
    """One of the small forms of the page: done, or the page again with what was wrong."""
    if form.is_valid():
        attempt(form, lambda: act(request.user, course, **form.cleaned_data))
    if form.errors:
        return _show(request, course, **{name: form})
    messages.success(request, said)
    return redirect("therapy", course.pk)


@allow(Role.THERAPIST)
@require_POST
def goal_new(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    form = forms.GoalForm(library().therapy, request.POST)
    said = _("The goal is kept.")
    return _take(request, _course(course_id), "goal_form", form, services.set_goal, said)


@allow(Role.THERAPIST)
@require_POST
def homework_new(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    course = _course(course_id)
    form = forms.HomeworkForm(course.goals.all(), request.POST)
    said = _("The homework is kept.")
    return _take(request, course, "homework_form", form, services.give_homework, said)


@allow(*WITNESSES)
@require_POST
def life_event_new(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    form = forms.LifeEventForm(request.POST)
    said = _("The life event is kept.")
    return _take(request, _course(course_id), "life_form", form, services.record_life_event, said)


@allow(Role.THERAPIST)
@require_POST
def goal_change(request: HttpRequest, goal_id: int) -> HttpResponse:
    """Reached, let go, taken up again; shown to the patient or not."""
    goal = get_object_or_404(Goal.objects.select_related("course"), pk=goal_id)
    shared = {"yes": True, "no": False}.get(request.POST.get("shared", ""))
    try:
        services.change_goal(
            request.user, goal, state=request.POST.get("state") or None, shared=shared
        )
    except Refused as refusal:
        messages.error(request, refusal.message)
    return redirect("therapy", goal.course_id)


@allow(Role.THERAPIST)
@require_POST
def homework_done(request: HttpRequest, homework_id: int) -> HttpResponse:
    homework = get_object_or_404(Homework.objects.select_related("course"), pk=homework_id)
    services.finish_homework(request.user, homework)
    return redirect("therapy", homework.course_id)


@allow(Role.THERAPIST)
@require_http_methods(["GET", "POST"])
def prepare(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """A preparation visit: the planned one, or one that was not planned."""
    course = _course(course_id)
    planned = course.therapy_visits.filter(
        kind=TherapyVisit.Kind.PREPARATION, held_at=None, cancelled_at=None
    ).first()
    return _record(request, course, TherapyVisit.Kind.PREPARATION, planned)


@allow(Role.THERAPIST)
@require_http_methods(["GET", "POST"])
def visit_record(request: HttpRequest, visit_id: uuid.UUID) -> HttpResponse:
    found = _visit(visit_id)
    return _record(request, found.course, found.kind, found)


@allow(Role.THERAPIST)
@require_http_methods(["GET", "POST"])
def visit_out_of_turn(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """A talk-therapy visit that nobody had planned."""
    return _record(request, _course(course_id), TherapyVisit.Kind.THERAPY, None)


def _record(
    request: HttpRequest, course: Course, kind: str, planned: TherapyVisit | None
) -> HttpResponse:
    therapy = library().therapy
    before = queries.preparation_of(course) if kind == TherapyVisit.Kind.PREPARATION else None
    # A second preparation starts from the first: what still holds need not be typed again.
    initial: dict[str, Any] = {}
    if before:
        initial = {name: before.content[name] for name in before.content}
        initial |= {f"share_{name}": True for name in before.shared}
    form = forms.RecordForm(
        kind,
        request.POST or None,
        initial=initial,
        therapy=therapy,
        goals=course.goals.filter(state=Goal.State.OPEN),
    )
    if request.method == "POST" and form.is_valid():
        act = (
            services.record_preparation
            if kind == TherapyVisit.Kind.PREPARATION
            else services.record_integration
        )
        kept = attempt(form, lambda: act(request.user, course, visit=planned, **form.act()))
        if kept:
            said = _("%(kind)s is in the chart.")
            messages.success(request, said % {"kind": kept.get_kind_display()})
            return redirect("therapy", course.pk)
    return render(
        request,
        "therapy/record.html",
        {
            "course": course,
            "person": course.person,
            "visit": planned,
            "title": TherapyVisit.Kind(kind).label,
            "form": form,
            "since": planned.after if planned else None,
            "rule": queries.rule_of(planned) if planned else None,
            "topics": therapy.preparation,
        },
        status=INVALID if form.errors else 200,
    )


@allow(*CLINICIANS)
@require_GET
def visit(request: HttpRequest, visit_id: uuid.UUID) -> HttpResponse:
    """One visit as it stands in the chart."""
    return _show_visit(request, _visit(visit_id))


def _show_visit(request: HttpRequest, found: TherapyVisit, **given: Any) -> HttpResponse:
    topics = {topic.id: _(topic.label) for topic in library().therapy.preparation.topics}
    return render(
        request,
        "therapy/visit.html",
        {
            "visit": found,
            "course": found.course,
            "person": found.course.person,
            "state": queries.state_of(found, clock.now()),
            "rule": queries.rule_of(found),
            "rows": queries.written(found),
            "topics": [topics.get(name, name) for name in found.content.get("topics", [])],
            "goals": found.course.goals.filter(pk__in=found.content.get("goals", [])),
            "share_form": forms.ShareForm(found),
            "plan_form": forms.PlanForm(initial={"planned_for": found.planned_for}),
            "cancel_form": forms.CancelForm(),
            "is_therapist": request.user.role == Role.THERAPIST,
            "may_plan": request.user.role in SCHEDULERS,
            **given,
        },
        status=INVALID if given else 200,
    )


@allow(Role.THERAPIST)
@require_POST
def visit_share(request: HttpRequest, visit_id: uuid.UUID) -> HttpResponse:
    found = _visit(visit_id)
    form = forms.ShareForm(found, request.POST)
    if form.is_valid():
        attempt(form, lambda: services.share_visit(request.user, found, **form.cleaned_data))
    if form.errors:
        return _show_visit(request, found, share_form=form)
    messages.success(request, _("What the patient may read is changed."))
    return redirect("therapy_visit", found.pk)


@allow(*SCHEDULERS)
@require_http_methods(["GET", "POST"])
def visit_plan(request: HttpRequest, visit_id: uuid.UUID) -> HttpResponse:
    found = _visit(visit_id)
    form = forms.PlanForm(request.POST or None, initial={"planned_for": found.planned_for})
    return _plan(
        request,
        found.course,
        form,
        lambda: services.plan_visit(request.user, found.course, visit=found, **form.cleaned_data),
        found,
    )


@allow(*SCHEDULERS)
@require_http_methods(["GET", "POST"])
def visit_new(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    course = _course(course_id)
    kind = request.GET.get("kind", TherapyVisit.Kind.THERAPY)
    form = forms.NewVisitForm(request.POST or None, initial={"kind": kind})
    return _plan(
        request,
        course,
        form,
        lambda: services.plan_visit(request.user, course, **form.cleaned_data),
    )


def _plan(
    request: HttpRequest,
    course: Course,
    form: forms.PlanForm,
    act: Callable[[], TherapyVisit],
    found: TherapyVisit | None = None,
) -> HttpResponse:
    if request.method == "POST" and form.is_valid() and attempt(form, act):
        messages.success(request, _("The visit is on the calendar."))
        return redirect("therapist_list")
    return render(
        request,
        "therapy/plan.html",
        {
            "course": course,
            "person": course.person,
            "visit": found,
            "form": form,
            "cancel_form": forms.CancelForm(),
            "rule": queries.rule_of(found) if found else None,
        },
        status=INVALID if form.errors else 200,
    )


@allow(*SCHEDULERS)
@require_POST
def visit_cancel(request: HttpRequest, visit_id: uuid.UUID) -> HttpResponse:
    found = _visit(visit_id)
    form = forms.CancelForm(request.POST)
    if form.is_valid():
        attempt(form, lambda: services.cancel_visit(request.user, found, **form.cleaned_data))
    if form.errors:
        messages.error(request, " ".join(e for errors in form.errors.values() for e in errors))
        return redirect("visit_plan", found.pk)
    messages.success(request, _("The visit is cancelled."))
    return redirect("therapist_list")


@allow(*WITNESSES)
@require_http_methods(["GET", "POST"])
def touch(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """The patient signs which kinds of touch are welcome."""
    course = _course(course_id)
    before = queries.touch_of(course)
    in_force = before if before and not before.ended_at else None
    form = forms.TouchForm(
        library().therapy,
        request.POST or None,
        initial={"kinds": in_force.kinds, "words": in_force.words} if in_force else None,
    )
    if (
        request.method == "POST"
        and form.is_valid()
        and attempt(form, lambda: services.agree_touch(request.user, course, **form.cleaned_data))
    ):
        messages.success(request, _("The touch agreement is signed."))
        return _back_to_course(request, course)
    return render(
        request,
        "therapy/touch.html",
        {
            "course": course,
            "person": course.person,
            "form": form,
            "rule": library().therapy.touch,
            "in_force": in_force,
            "in_words": queries.kinds_in_words(in_force) if in_force else [],
            "dosed": services.is_dosed(course),
        },
        status=INVALID if form.errors else 200,
    )


def _back_to_course(request: HttpRequest, course: Course) -> HttpResponse:
    """To the running session where there is one: at the chair nobody wants the chart."""
    session = course.sessions.filter(closed_at=None).first()
    return redirect("session", session.pk) if session else redirect("therapy", course.pk)


@allow(*WITNESSES)
@require_POST
def touch_withdraw(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    course = _course(course_id)
    try:
        services.withdraw_touch(request.user, course)
        messages.success(request, _("No touch from now on. It is in the chart and at the chair."))
    except Refused as refusal:
        messages.error(request, refusal.message)
    return _back_to_course(request, course)


@staff_only
@never_cache
@require_GET
def session_support(request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
    """A fragment for the session screen: what helps, the safe word, the touch agreement."""
    session = session_queries.session_for_screen(session_id)
    return render(
        request,
        "therapy/_support.html",
        {
            "session": session,
            "support": queries.support_of(session.course),
            "may_witness": request.user.role in WITNESSES,
            "is_therapist": request.user.role == Role.THERAPIST,
        },
    )


@allow(Role.THERAPIST)
@never_cache
@require_http_methods(["GET", "POST"])
def companion(request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
    """The therapist beside the chair: what was prepared, and notes into the session's own log."""
    session = session_queries.session_for_screen(session_id)
    form = forms.CompanionForm(request.POST or None)
    if (
        request.method == "POST"
        and form.is_valid()
        and attempt(
            form,
            lambda: session_services.write_note(request.user, session, **form.cleaned_data),
        )
    ):
        messages.success(request, _("The note is in the session's log."))
        return redirect("companion", session.pk)
    timeline = session_queries.timeline_of(session)
    written = [line for line in timeline.lines if line.kind == "session.note_written"]
    prepared = queries.preparation_of(session.course)
    return render(
        request,
        "therapy/companion.html",
        {
            "session": session,
            "course": session.course,
            "person": session.person,
            "form": form,
            "support": queries.support_of(session.course),
            "rows": queries.written(prepared) if prepared else [],
            "written": [(line, describe(line)) for line in written][::-1],
            "started_at": timeline.started_at,
            "may_witness": True,
            "is_therapist": False,
        },
        status=INVALID if form.errors else 200,
    )


@staff_only
@never_cache
@require_http_methods(["GET", "POST"])
def psychotherapy_notes(request: HttpRequest, person_id: uuid.UUID) -> HttpResponse:
    """The own notes on a patient and those one was let into; for anybody else there are none."""
    person = get_object_or_404(Person, pk=person_id)
    user = request.user
    authors = notes.authors_open_to(user, person)
    if user.role != Role.THERAPIST and not (authors - {user.pk}):
        raise Http404(_("There is nothing here for you."))
    form = forms.NoteForm(request.POST or None)
    if (
        request.method == "POST"
        and form.is_valid()
        and attempt(form, lambda: notes.write(user, person, **form.cleaned_data))
    ):
        messages.success(request, _("The note is kept, apart from the record."))
        return redirect("psychotherapy_notes", person.pk)
    return _show_notes(request, person, authors, form, forms.GrantForm(user))


def _show_notes(
    request: HttpRequest,
    person: Person,
    authors: set[int],
    form: forms.NoteForm,
    grant_form: forms.GrantForm,
) -> HttpResponse:
    listed = (
        PsychotherapyNote.objects.filter(person=person, author__in=authors)
        .select_related("author")
        .defer("text")
    )
    return render(
        request,
        "therapy/notes.html",
        {
            "person": person,
            "notes": listed,
            "form": form,
            "grant_form": grant_form,
            "grants": NoteGrant.objects.filter(
                author=request.user, person=person, revoked_at=None
            ).select_related("reader"),
            "may_write": request.user.role == Role.THERAPIST,
        },
        status=INVALID if form.errors or grant_form.errors else 200,
    )


@staff_only
@never_cache
@require_GET
def psychotherapy_note(request: HttpRequest, note_id: uuid.UUID) -> HttpResponse:
    """One note. Whoever may not read it is told that there is none."""
    found = notes.read(request.user, note_id)
    if found is None:
        raise Http404(_("There is nothing here for you."))
    return render(
        request,
        "therapy/note.html",
        {"note": found.note, "untouched": found.untouched, "person": found.note.person},
    )


@allow(Role.THERAPIST)
@require_POST
def note_grant(request: HttpRequest, person_id: uuid.UUID) -> HttpResponse:
    person = get_object_or_404(Person, pk=person_id)
    form = forms.GrantForm(request.user, request.POST)
    if form.is_valid():
        attempt(form, lambda: notes.grant(request.user, person, **form.cleaned_data))
    if form.errors:
        authors = notes.authors_open_to(request.user, person)
        return _show_notes(request, person, authors, forms.NoteForm(), form)
    said = _("%(reader)s may read your notes now.")
    messages.success(request, said % {"reader": form.cleaned_data["reader"]})
    return redirect("psychotherapy_notes", person.pk)


@allow(Role.THERAPIST)
@require_POST
def note_revoke(request: HttpRequest, grant_id: int) -> HttpResponse:
    grant = get_object_or_404(NoteGrant, pk=grant_id, author=request.user)
    try:
        notes.revoke(request.user, grant.pk)
        said = _("%(reader)s may no longer read your notes.")
        messages.success(request, said % {"reader": grant.reader})
    except Refused as refusal:
        messages.error(request, refusal.message)
    return redirect("psychotherapy_notes", grant.person_id)
