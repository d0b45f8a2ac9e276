"""Follow-up: the clinic's list, the patient's forms by link, the patient's own page."""

import uuid
from dataclasses import dataclass

from django.contrib import messages
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from openketamine.clinic.accounts.access import allow, public, staff_only
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.errors import Refused
from openketamine.clinic.intake.queries import all_open_safety_reviews
from openketamine.clinic.people.models import Course
from openketamine.clinic.policy.queries import library

from . import plot, queries, services
from .models import FormRequest

REGION = "US"
WRONG_LINKS_PER_HOUR = 20


@dataclass(frozen=True)
class FormRow:
    """A form as the staff see it, with the link to hand over."""

    request: FormRequest
    state: str
    link: str
    name: str


def _rows(request: HttpRequest, forms: list[FormRequest]) -> list[FormRow]:
    return [
        FormRow(
            form,
            queries.state_of(form),
            request.build_absolute_uri(reverse("form_by_link", args=[services.token_for(form)])),
            library().instruments[form.instrument].short_name,
        )
        for form in forms
    ]


@staff_only
@require_GET
def follow_ups(request: HttpRequest) -> HttpResponse:
    return render(
        request,
        "outcomes/follow_ups.html",
        {
            "reviews": all_open_safety_reviews(),
            "waiting": _rows(request, queries.waiting_forms()),
            "coming": _rows(request, queries.coming_forms()),
            "missed": _rows(request, queries.missed_forms()),
        },
    )


@staff_only
@require_GET
def follow_up_summary(request: HttpRequest) -> HttpResponse:
    """A fragment for the day's list: forms still missing, and calls to make."""
    return render(
        request,
        "outcomes/_summary.html",
        {
            "overdue": [f for f in queries.waiting_forms() if queries.state_of(f) == "overdue"],
            "missed": queries.missed_forms(limit=5),
        },
    )


@staff_only
@require_GET
def trajectory(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """A fragment: the scores of a course as a chart and a table, and its forms."""
    course = get_object_or_404(Course, pk=course_id)
    line = queries.trajectory(course)
    return render(
        request,
        "outcomes/_trajectory.html",
        {
            "trajectory": line,
            "plot": plot.scores(line),
            "forms": _rows(request, list(course.form_requests.select_related("person"))),
        },
    )


@public
@require_http_methods(["GET", "POST"])
def form_by_link(request: HttpRequest, token: str) -> HttpResponse:
    """The patient's form: one question a screen, saved as one goes, with no need to sign in."""
    address = request.META.get("REMOTE_ADDR", "")
    misses = f"wrong-links:{address}"
    if cache.get(misses, 0) >= WRONG_LINKS_PER_HOUR:
        return _closed(request, "Too many wrong links. Try again in an hour.", status=429)
    try:
        form = services.request_by_token(token)
    except Refused as refusal:
        cache.set(misses, cache.get(misses, 0) + 1, timeout=3600)
        return _closed(request, refusal.message, status=404)
    try:
        services.require_answerable(form)
    except Refused as refusal:
        return _closed(request, refusal.message, form=form)
    if request.method == "POST":
        return _take_answer(request, form, token)
    return _show_question(request, form)


def _closed(
    request: HttpRequest, message: str, *, form: FormRequest | None = None, status: int = 200
) -> HttpResponse:
    answered = bool(form and form.completed_at)
    flagged = bool(form and form.response_id and _is_flagged(form))
    return render(
        request,
        "outcomes/form_closed.html",
        {
            "message": message,
            "form_request": form,
            "answered": answered,
            "flagged": flagged,
            "contacts": library().contacts[REGION],
        },
        status=status,
    )


def _is_flagged(form: FormRequest) -> bool:
    assert form.response is not None
    rules = library().instruments[form.instrument].red_flags
    return any(form.response.answers.get(rule.item, 0) >= rule.at_least for rule in rules)


def _take_answer(request: HttpRequest, form: FormRequest, token: str) -> HttpResponse:
    here = reverse("form_by_link", args=[token])
    try:
        if "send" in request.POST:
            services.submit(form)
            return redirect(here)
        item, value = request.POST.get("item", ""), request.POST.get("value", "")
        if not value.isdecimal():
            raise Refused("Choose one of the answers.")
        services.save_answer(form, item=item, value=int(value))
    except Refused as refusal:
        messages.error(request, refusal.message)
        return redirect(f"{here}?q={request.POST.get('item', '')}")
    items = [i.id for i in library().instruments[form.instrument].items]
    following = items.index(item) + 1
    return redirect(f"{here}?q={items[following] if following < len(items) else 'end'}")


def _show_question(request: HttpRequest, form: FormRequest) -> HttpResponse:
    instrument = library().instruments[form.instrument]
    items = list(instrument.items)
    asked = request.GET.get("q", "")
    ids = [item.id for item in items]
    if asked == "start" or (not asked and not form.draft):
        page = "start"
    elif asked in ids:
        page = asked
    else:
        # Where the patient left off; the end once everything is answered.
        page = next((i for i in ids if i not in form.draft), "end")
    context = {
        "form_request": form,
        "instrument": instrument,
        "first": ids[0],
        "total": len(items),
        "contacts": library().contacts[REGION],
        "occasion": library().occasion(form.occasion),
    }
    if page in ids:
        index = ids.index(page)
        context |= {
            "item": items[index],
            "number": index + 1,
            "previous": ids[index - 1] if index else "start",
            "chosen": form.draft.get(page),
            "flagged": any(
                rule.item in form.draft and form.draft[rule.item] >= rule.at_least
                for rule in instrument.red_flags
            ),
        }
    elif page == "end":
        context |= {
            "answers": [
                (item, next(o.label for o in instrument.options if o.value == form.draft[item.id]))
                for item in items
            ],
            "flagged": any(
                form.draft.get(rule.item, 0) >= rule.at_least for rule in instrument.red_flags
            ),
        }
    return render(request, f"outcomes/form_{'question' if page in ids else page}.html", context)


@allow(Role.PATIENT)
@require_GET
def my_page(request: HttpRequest) -> HttpResponse:
    """The patient's own page, and nobody else's."""
    person = getattr(request.user, "person", None)
    page = queries.patient_page(person) if person else None
    return render(
        request,
        "outcomes/my_page.html",
        {
            "page": page,
            "forms": _rows(request, page.forms) if page else [],
            "expect": library().document("education", "IV"),
            "aftercare": library().document("aftercare", "IV"),
            "contacts": library().contacts[REGION],
        },
    )
