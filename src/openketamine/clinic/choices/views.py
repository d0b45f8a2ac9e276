"""The evidence behind what is said of ketamine, and the routes side by side for one patient."""

import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from openketamine.clinic.accounts.access import allow, staff_only
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.forms import attempt
from openketamine.clinic.people.models import Course
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.protocols import questions

from . import queries, services
from .forest import forest
from .forms import CoverageForm, PriceForm
from .models import RoutePrice
from .outlook import small_multiples

INVALID = 422


@staff_only
@require_GET
def evidence(request: HttpRequest) -> HttpResponse:
    """The questions that are answered by published results."""
    return render(request, "choices/evidence.html", {"questions": questions.load().questions})


@staff_only
@require_GET
def evidence_question(request: HttpRequest, question_id: str) -> HttpResponse:
    """One claim, the study behind it, and what else was published for the same question."""
    try:
        question = questions.question(question_id)
    except KeyError as error:
        raise Http404(_("There is no such question.")) from error
    return render(
        request, "choices/question.html", {"question": question, "forest": forest(question)}
    )


def _course(course_id: uuid.UUID) -> Course:
    return get_object_or_404(Course.objects.select_related("person"), pk=course_id)


def _route(route: str) -> Any:
    for each in library().programmes.routes:
        if each.id == route:
            return each
    raise Http404(_("The library has no such route."))


def side_by_side(course: Course) -> dict[str, Any]:
    """What the page and the printed sheet both show of the routes."""
    current = library()
    return {
        "course": course,
        "person": course.person,
        "condition": next(c for c in current.programmes.conditions if c.id == course.condition),
        "place": current.jurisdictions.get(settings.JURISDICTION.split("-")[0]),
        "jurisdiction": settings.JURISDICTION,
        "choices": queries.choices(course),
        "currency": settings.CURRENCY,
    }


@staff_only
@require_GET
def routes(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """Everything that bears on the choice of a route, and no choice."""
    context = side_by_side(_course(course_id))
    context["rows"] = queries.rows_of(context["choices"])
    context["may_cover"] = request.user.role in services.MAY_SET_COVERAGE
    context["may_price"] = request.user.role in services.MAY_SET_PRICES
    return render(request, "choices/routes.html", context)


@staff_only
@never_cache
@require_GET
def forecasts(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """A fragment: the forecast of every route for this patient, as small multiples."""
    context: dict[str, Any] = {"course": _course(course_id)}
    context |= small_multiples(context["course"])
    return render(request, "choices/_forecasts.html", context)


@allow(Role.DIRECTOR, Role.COORDINATOR, Role.PRESCRIBER, Role.NURSE)
@require_GET
def prices(request: HttpRequest) -> HttpResponse:
    """What each route costs at this clinic, as far as anybody has said."""
    known = {price.route: price for price in RoutePrice.objects.select_related("set_by")}
    return render(
        request,
        "choices/prices.html",
        {
            "rows": [(route, known.get(route.id)) for route in library().programmes.routes],
            "currency": settings.CURRENCY,
            "may_price": request.user.role in services.MAY_SET_PRICES,
        },
    )


@allow(Role.DIRECTOR, Role.COORDINATOR)
@require_http_methods(["GET", "POST"])
def price(request: HttpRequest, route: str) -> HttpResponse:
    found = _route(route)
    known = RoutePrice.objects.filter(route=route).first()
    offered = {True: "yes", False: "no"}.get(known.offered) if known else ""
    form = PriceForm(
        request.POST or None,
        initial={
            "offered": offered,
            "price_per_visit": known.price_per_visit if known else None,
            "note": known.note if known else "",
        },
    )
    if request.method == "POST" and form.is_valid():
        attempt(form, lambda: services.set_price(request.user, route=route, **form.cleaned_data))
        if not form.errors:
            messages.success(request, _("%(route)s: kept.") % {"route": _(found.name)})
            return redirect("route_prices")
    return render(
        request,
        "choices/price.html",
        {"form": form, "route": found, "currency": settings.CURRENCY},
        status=INVALID if form.errors else 200,
    )


@allow(Role.COORDINATOR, Role.PRESCRIBER, Role.NURSE)
@require_http_methods(["GET", "POST"])
def cover(request: HttpRequest, course_id: uuid.UUID, route: str) -> HttpResponse:
    course, found = _course(course_id), _route(route)
    known = course.coverages.filter(route=route).first()
    fields = ("cover", "payer", "patient_pays_per_visit", "asked_on", "note")
    initial = {name: getattr(known, name) for name in fields} if known else {}
    form = CoverageForm(request.POST or None, initial=initial or {"asked_on": clock.today()})
    if request.method == "POST" and form.is_valid():
        attempt(
            form,
            lambda: services.set_coverage(request.user, course, route=route, **form.cleaned_data),
        )
        if not form.errors:
            messages.success(request, _("%(route)s: coverage kept.") % {"route": _(found.name)})
            return redirect("routes", course.pk)
    return render(
        request,
        "choices/cover.html",
        {
            "form": form,
            "route": found,
            "course": course,
            "person": course.person,
            "currency": settings.CURRENCY,
        },
        status=INVALID if form.errors else 200,
    )
