"""The director's page about privacy, a chart's own, the glass, and the patient's access log."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from openketamine.clinic.accounts.access import allow, staff_only
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.forms import attempt
from openketamine.clinic.outcomes.views import patient_context
from openketamine.clinic.people.models import Person
from openketamine.clinic.portal.visits import Visit, own_page

from . import queries, services
from .forms import ElsewhereForm, GlassForm, ReasonForm, RestrictForm, ReviewForm
from .models import BrokenGlass, ChartRestriction, LegalHold
from .words import page_name


@allow(Role.DIRECTOR)
@require_GET
def overview(request: HttpRequest) -> HttpResponse:
    return render(
        request,
        "privacy/privacy.html",
        {
            "glass": queries.glass_to_review(),
            "restricted": ChartRestriction.objects.filter(lifted_at=None)
            .select_related("person", "placed_by")
            .order_by("placed_at"),
            "holds": LegalHold.objects.filter(lifted_at=None)
            .select_related("person", "placed_by")
            .order_by("placed_at"),
            "years": settings.RETENTION_YEARS,
            "kept": queries.kept_too_long(),
        },
    )


@allow(Role.DIRECTOR)
@require_http_methods(["GET", "POST"])
def review(request: HttpRequest, glass_id: int) -> HttpResponse:
    glass = get_object_or_404(BrokenGlass.objects.select_related("person", "user"), pk=glass_id)
    form = ReviewForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        justified = form.cleaned_data["justified"] == "yes"
        words = form.cleaned_data["review"]

        def act() -> bool:
            services.review_glass(request.user, glass, justified=justified, review=words)
            return True

        if attempt(form, act):
            messages.success(request, _("Reviewed."))
            return redirect("privacy")
    return render(
        request,
        "privacy/review.html",
        {"glass": glass, "form": form},
        status=422 if form.errors else 200,
    )


def _chart_page(request: HttpRequest, person: Person, **forms: Form) -> HttpResponse:
    found = [form for form in forms.values() if form.errors]
    restriction = queries.restriction_of(person)
    team = restriction.team.all() if restriction else ()
    return render(
        request,
        "privacy/chart.html",
        {
            "person": person,
            "restriction": restriction,
            "others": "".join(f", {user}" for user in team),
            "hold": queries.hold_of(person),
            "readings": queries.readings(person),
            "restrict_form": forms.get("restrict", RestrictForm(prefix="restrict")),
            "lift_form": forms.get("lift", ReasonForm(prefix="lift")),
            "hold_form": forms.get("hold", ReasonForm(prefix="hold")),
            "unhold_form": forms.get("unhold", ReasonForm(prefix="unhold")),
        },
        status=422 if found else 200,
    )


@allow(Role.DIRECTOR)
@require_GET
def chart_privacy(request: HttpRequest, person_id: Any) -> HttpResponse:
    return _chart_page(request, get_object_or_404(Person, pk=person_id))


def _act(
    request: HttpRequest,
    person_id: Any,
    name: str,
    form_class: type[Form],
    service: Callable[..., object],
    said: str,
) -> HttpResponse:
    person = get_object_or_404(Person, pk=person_id)
    form = form_class(request.POST, prefix=name)
    if form.is_valid():

        def act() -> bool:
            service(request.user, person, **form.cleaned_data)
            return True

        if attempt(form, act):
            messages.success(request, said)
            return redirect("chart_privacy", person.pk)
    return _chart_page(request, person, **{name: form})


@allow(Role.DIRECTOR)
@require_POST
def restrict(request: HttpRequest, person_id: Any) -> HttpResponse:
    return _act(
        request, person_id, "restrict", RestrictForm, services.restrict_chart, _("Restricted.")
    )


@allow(Role.DIRECTOR)
@require_POST
def unrestrict(request: HttpRequest, person_id: Any) -> HttpResponse:
    return _act(request, person_id, "lift", ReasonForm, services.lift_restriction, _("Open again."))


@allow(Role.DIRECTOR)
@require_POST
def hold(request: HttpRequest, person_id: Any) -> HttpResponse:
    return _act(request, person_id, "hold", ReasonForm, services.place_hold, _("The hold stands."))


@allow(Role.DIRECTOR)
@require_POST
def unhold(request: HttpRequest, person_id: Any) -> HttpResponse:
    return _act(
        request, person_id, "unhold", ReasonForm, services.lift_hold, _("The hold is over.")
    )


@staff_only
@require_http_methods(["GET", "POST"])
def break_glass(request: HttpRequest, person_id: Any) -> HttpResponse:
    """Shows no more of a restricted chart than whose it is."""
    person = get_object_or_404(Person, pk=person_id)
    back = request.POST.get("next") or request.GET.get("next") or ""
    if not url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}):
        back = reverse("person", args=[person.pk])
    if not queries.shut_to(request.user, [person.pk]):
        return redirect(back)
    form = GlassForm(request.POST or None)
    if request.method == "POST" and form.is_valid():

        def act() -> BrokenGlass:
            return services.break_glass(request.user, person, **form.cleaned_data)

        if attempt(form, act):
            return redirect(back)
    return render(
        request,
        "privacy/glass.html",
        {"person": person, "form": form, "next": back},
        status=422 if form.errors else 200,
    )


@staff_only
@require_http_methods(["GET", "POST"])
def elsewhere(request: HttpRequest) -> HttpResponse:
    """Open the chart of another site's patient; nothing of it is shown before that is recorded."""
    form = ElsewhereForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        glass = attempt(
            form, lambda: services.break_glass_elsewhere(request.user, **form.cleaned_data)
        )
        if glass:
            return redirect("person", glass.person_id)
    return render(
        request, "privacy/elsewhere.html", {"form": form}, status=422 if form.errors else 200
    )


@dataclass(frozen=True)
class _Row:
    reading: queries.Reading
    page: str


@own_page
@require_GET
def who_read(request: HttpRequest, visit: Visit) -> HttpResponse:
    """The patient sees who has read the chart."""
    readings = queries.readings(visit.person)
    return render(
        request,
        "privacy/who_read.html",
        {
            **patient_context(),
            "visit": visit,
            "person": visit.person,
            "rows": [_Row(each, page_name(each.view)) for each in readings if not each.own],
        },
    )
