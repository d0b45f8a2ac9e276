"""The list of people, the patient's page, and what is done on it."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_GET, require_http_methods

from openketamine.clinic.accounts.access import allow, staff_only
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.forms import attempt
from openketamine.clinic.record.models import Event, Source
from openketamine.clinic.sites.forms import TransferForm

from . import queries, services
from .forms import MeasureForm, ReferralForm, SignInForm, TeamForm
from .models import Course, Person, Stage
from .referral import Coded, ReferralData, ReferredCondition

INVALID = 422


@staff_only
@require_GET
def people(request: HttpRequest) -> HttpResponse:
    search, stage = request.GET.get("q", "").strip(), request.GET.get("stage", "")
    number = request.GET.get("page", "1")
    page = queries.people(search=search, stage=stage, page=int(number) if number.isdecimal() else 1)
    return render(
        request,
        "people/people.html",
        {"page": page, "search": search, "stage": stage, "stages": Stage.choices},
    )


@allow(Role.COORDINATOR, Role.PRESCRIBER, Role.NURSE, Role.DIRECTOR)
@require_http_methods(["GET", "POST"])
def person_new(request: HttpRequest) -> HttpResponse:
    form = ReferralForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        reason, is_another = data.pop("reason"), data.pop("is_another_person")
        # One key for the person at "the sender", made here since nobody else has one.
        referral = ReferralData(
            source_system="telephone",
            source_id=str(uuid.uuid4()),
            conditions=(ReferredCondition("reason", Coded("", "", reason), "active", "disorder"),),
            **data,
        )
        outcome = attempt(
            form,
            lambda: services.receive_referral(
                request.user,
                referral,
                origin=gettext_noop("entered by hand"),
                source=Source.HAND,
                is_another_person=is_another,
            ),
        )
        if outcome:
            words = _("%(person)s is referred, MRN %(mrn)s.")
            messages.success(request, words % {"person": outcome.person, "mrn": outcome.person.mrn})
            return redirect("person", outcome.person.pk)
    return render(
        request, "people/person_new.html", {"form": form}, status=INVALID if form.errors else 200
    )


@staff_only
@require_GET
def person(request: HttpRequest, person_id: uuid.UUID) -> HttpResponse:
    who = get_object_or_404(Person.objects.select_related("user"), pk=person_id)
    course = who.courses.select_related("prescriber", "therapist").order_by("-opened_at").first()
    return render(
        request,
        "people/person.html",
        {
            "person": who,
            "course": course,
            "steps": _steps(course),
            "problems": queries.problems(who),
            "medications": sorted(who.medications.all(), key=lambda m: m.status != "active"),
            "allergies": who.allergys.all(),
            "measurements": queries.latest_measurements(who),
            "story": queries.story(who),
        },
    )


def _steps(course: Course | None) -> list[tuple[Any, str]]:
    """Each step of care with "done", "now" or nothing, for the bar at the top."""
    shown = [s for s in Stage if s not in {Stage.CLOSED, Stage.DECLINED}]
    if course is None or course.stage not in shown:
        return [(stage.label, "") for stage in shown]
    here = shown.index(Stage(course.stage))
    return [
        (stage.label, "done" if index < here else "now" if index == here else "")
        for index, stage in enumerate(shown)
    ]


@allow(Role.COORDINATOR, Role.PRESCRIBER, Role.DIRECTOR)
@require_http_methods(["GET", "POST"])
def team(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    course = get_object_or_404(Course.objects.select_related("person"), pk=course_id)
    form = TeamForm(
        request.POST or None,
        initial={"prescriber": course.prescriber_id, "therapist": course.therapist_id},
        site_id=course.person.site_id,
    )
    if request.method == "POST" and form.is_valid():
        attempt(form, lambda: services.assign_team(request.user, course, **form.cleaned_data))
        if not form.errors:
            messages.success(request, _("The team is assigned."))
            return redirect("person", course.person_id)
    return render(
        request,
        "people/team.html",
        {"form": form, "course": course, "person": course.person},
        status=INVALID if form.errors else 200,
    )


@allow(Role.COORDINATOR, Role.PRESCRIBER, Role.NURSE)
@require_http_methods(["GET", "POST"])
def measure(request: HttpRequest, person_id: uuid.UUID) -> HttpResponse:
    who = get_object_or_404(Person, pk=person_id)
    form = MeasureForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        values = {name: value for name, value in form.cleaned_data.items() if value is not None}
        if not values:
            form.add_error(None, _("Enter at least one measurement."))
        else:
            attempt(form, lambda: services.record_measurements(request.user, who, values))
        if not form.errors:
            messages.success(request, _("Measured and kept."))
            return redirect("person", who.pk)
    return render(
        request,
        "people/measure.html",
        {"form": form, "person": who},
        status=INVALID if form.errors else 200,
    )


@allow(Role.COORDINATOR, Role.DIRECTOR)
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest, person_id: uuid.UUID) -> HttpResponse:
    who = get_object_or_404(Person, pk=person_id)
    form = SignInForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        attempt(form, lambda: services.give_sign_in(request.user, who, **form.cleaned_data))
        if not form.errors:
            messages.success(request, _("%(person)s can sign in.") % {"person": who})
            return redirect("person", who.pk)
    return render(
        request,
        "people/sign_in.html",
        {"form": form, "person": who},
        status=INVALID if form.errors else 200,
    )


@allow(Role.COORDINATOR, Role.PRESCRIBER, Role.DIRECTOR)
@require_http_methods(["GET", "POST"])
def transfer(request: HttpRequest, person_id: uuid.UUID) -> HttpResponse:
    """To another site, where there is one."""
    who = get_object_or_404(Person.objects.select_related("site"), pk=person_id)
    form = TransferForm(request.POST or None, away_from=who.site_id)
    if request.method == "POST" and form.is_valid():
        site, reason = form.cleaned_data["site"], form.cleaned_data["reason"]
        attempt(form, lambda: services.transfer(request.user, who, site, reason=reason))
        if not form.errors:
            words = _("%(person)s is a patient of %(site)s now.")
            messages.success(request, words % {"person": who, "site": site})
            return redirect("people")
    return render(
        request,
        "people/transfer.html",
        {"form": form, "person": who},
        status=INVALID if form.errors else 200,
    )


@allow(Role.PRESCRIBER, Role.DIRECTOR, Role.NURSE)
@require_GET
def record_of(request: HttpRequest, person_id: uuid.UUID) -> HttpResponse:
    """Every event of one person, as it stands in the record, with its links in the chain."""
    who = get_object_or_404(Person, pk=person_id)
    before = request.GET.get("before", "")
    events = Event.objects.filter(person_id=who.pk).order_by("-seq")
    if before.isdecimal():
        events = events.filter(seq__lt=int(before))
    listed = list(events[:100])
    return render(
        request,
        "people/record.html",
        {
            "person": who,
            "events": listed,
            "older": listed[-1].seq if len(listed) == 100 else None,
        },
    )
