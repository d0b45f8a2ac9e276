"""The programme's page: the site, the patients on the spray, what is still missing."""

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from openketamine.clinic.accounts.access import allow, staff_only
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.forms import attempt
from openketamine.clinic.people.models import Person
from openketamine.clinic.record import clock

from . import queries, services
from .forms import CertificationForm, EndForm, EnrolForm
from .models import Certification, Enrolment

INVALID = 422


@staff_only
@require_GET
def rems(request: HttpRequest) -> HttpResponse:
    form = CertificationForm(initial={"certified_on": clock.today()})
    return _show(request, form, EndForm(initial={"ended_on": clock.today()}))


def _show(request: HttpRequest, form: CertificationForm, end_form: EndForm) -> HttpResponse:
    return render(
        request,
        "rems/rems.html",
        {
            "applies": queries.applies(),
            "site": queries.certification(),
            "courses": queries.spray_courses(),
            "past": queries.past_certifications(),
            "form": form,
            "end_form": end_form,
            "may_certify": request.user.role == Role.DIRECTOR,
            "may_enrol": request.user.role in services.MAY_ENROL,
        },
        status=INVALID if form.errors or end_form.errors else 200,
    )


@allow(Role.DIRECTOR)
@require_POST
def record_certification(request: HttpRequest) -> HttpResponse:
    form = CertificationForm(request.POST)
    if form.is_valid():
        attempt(form, lambda: services.record_certification(request.user, **form.cleaned_data))
        if not form.errors:
            messages.success(request, _("The certification is recorded."))
            return redirect("rems")
    return _show(request, form, EndForm(initial={"ended_on": clock.today()}))


@allow(Role.DIRECTOR)
@require_POST
def end_certification(request: HttpRequest, certification_id: int) -> HttpResponse:
    site = get_object_or_404(Certification, pk=certification_id)
    form = EndForm(request.POST)
    if form.is_valid():
        attempt(form, lambda: services.end_certification(request.user, site, **form.cleaned_data))
        if not form.errors:
            messages.success(request, _("The certification has ended. No spray is given here."))
            return redirect("rems")
    return _show(request, CertificationForm(initial={"certified_on": clock.today()}), form)


@staff_only
@require_http_methods(["GET", "POST"])
def enrolment(request: HttpRequest, person_id: uuid.UUID) -> HttpResponse:
    """One patient's enrolment: recorded, or to be recorded."""
    person = get_object_or_404(Person, pk=person_id)
    form = EnrolForm(request.POST or None, initial={"enrolled_on": clock.today()})
    if request.method == "POST" and form.is_valid():
        attempt(form, lambda: services.enrol_patient(request.user, person, **form.cleaned_data))
        if not form.errors:
            messages.success(request, _("%(person)s is enrolled.") % {"person": person})
            return redirect("rems_enrolment", person.pk)
    return _show_enrolment(request, person, form, EndForm(initial={"ended_on": clock.today()}))


@allow(*services.MAY_ENROL)
@require_POST
def end_enrolment(request: HttpRequest, enrolment_id: int) -> HttpResponse:
    found = get_object_or_404(Enrolment.objects.select_related("person"), pk=enrolment_id)
    form = EndForm(request.POST)
    if form.is_valid():
        attempt(form, lambda: services.end_enrolment(request.user, found, **form.cleaned_data))
        if not form.errors:
            messages.success(request, _("The enrolment has ended."))
            return redirect("rems_enrolment", found.person_id)
    return _show_enrolment(request, found.person, EnrolForm(), form)


def _show_enrolment(
    request: HttpRequest, person: Person, form: EnrolForm, end_form: EndForm
) -> HttpResponse:
    return render(
        request,
        "rems/enrolment.html",
        {
            "person": person,
            "applies": queries.applies(),
            "site": queries.certification(),
            "enrolment": queries.enrolment_of(person),
            "past": person.rems_enrolments.exclude(ended_on=None).order_by("-ended_on"),
            "form": form,
            "end_form": end_form,
            "may_enrol": request.user.role in services.MAY_ENROL,
        },
        status=INVALID if form.errors or end_form.errors else 200,
    )
