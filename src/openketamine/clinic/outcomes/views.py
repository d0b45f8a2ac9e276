"""Follow-up: the clinic's list, the patient's forms by link, the patient's own page."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings
from django.contrib import messages
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import translation
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import pgettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from openketamine import protocols
from openketamine.clinic.accounts.access import allow, public, staff_only
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.errors import Refused
from openketamine.clinic.intake.queries import all_open_safety_reviews
from openketamine.clinic.intake.views import INTAKE, enter_questionnaire
from openketamine.clinic.people.language import language_for, remember
from openketamine.clinic.people.models import Course
from openketamine.clinic.policy.queries import contacts, library
from openketamine.clinic.sites import scope as sites
from openketamine.clinic.staff.services import choose_language
from openketamine.protocols.instruments import asked, is_off_window
from openketamine.protocols.schema import InstrumentFile

from . import plot, queries, services
from .lifeline import lifeline
from .models import FormRequest

WRONG_LINKS_PER_HOUR = 20
STATES = {
    "not due": pgettext_lazy("form", "not due"),
    "due": pgettext_lazy("form", "due"),
    "overdue": pgettext_lazy("form", "overdue"),
    "answered": pgettext_lazy("form", "answered"),
    "missed": pgettext_lazy("form", "missed"),
}


@dataclass(frozen=True)
class FormRow:
    """A form as the staff see it, with the link to hand over."""

    request: FormRequest
    state: str
    link: str
    instrument: InstrumentFile
    occasion: str

    @property
    def name(self) -> str:
        return _(self.instrument.short_name)

    @property
    def state_in_words(self) -> str:
        return str(STATES[self.state])


def _rows(request: HttpRequest, forms: list[FormRequest]) -> list[FormRow]:
    occasions = {each.id: each.label for each in library().measurements.occasions}
    return [
        FormRow(
            form,
            queries.state_of(form),
            request.build_absolute_uri(reverse("form_by_link", args=[services.token_for(form)])),
            library().instruments[form.instrument],
            _(occasions.get(form.occasion, form.occasion)),
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
            "completion": queries.completion(),
            "completion_days": queries.COMPLETION_DAYS,
        },
    )


@staff_only
@require_GET
def follow_up_summary(request: HttpRequest) -> HttpResponse:
    """A fragment for the day's list: forms still missing, and calls to make."""
    overdue = [form for form in queries.waiting_forms() if queries.state_of(form) == "overdue"]
    return render(
        request,
        "outcomes/_summary.html",
        {
            "overdue": _rows(request, overdue[:5]),
            "missed": _rows(request, queries.missed_forms(limit=5)),
        },
    )


@staff_only
@require_GET
def trajectory(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """A fragment: one questionnaire of a course as a chart and a table, and the course's forms."""
    course = get_object_or_404(Course, pk=course_id)
    lines = queries.trajectories(course)
    wanted = request.GET.get("instrument")
    line = next((each for each in lines if each.instrument.id == wanted), None)
    line = line or next(iter(lines), None)
    return render(
        request,
        "outcomes/_trajectory.html",
        {
            "course": course,
            "trajectories": lines,
            "trajectory": line,
            "plot": plot.scores(line) if line else None,
            "forms": _rows(request, list(course.form_requests.select_related("person"))),
        },
    )


@allow(Role.THERAPIST, Role.PRESCRIBER, Role.NURSE, Role.DIRECTOR)
@require_GET
def course_line(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """A fragment: doses, therapy visits, symptoms and life events of a course on one line."""
    course = get_object_or_404(Course.objects.select_related("person"), pk=course_id)
    return render(request, "outcomes/_lifeline.html", {"line": lifeline(course)})


@allow(*INTAKE)
@require_http_methods(["GET", "POST"])
def enter_form(request: HttpRequest, form_id: uuid.UUID) -> HttpResponse:
    """A form that is due, asked in person or copied from the clinic's own."""
    form = get_object_or_404(FormRequest.objects.select_related("course__person"), pk=form_id)
    return enter_questionnaire(
        request,
        form.course,
        form.instrument,
        keep=lambda **answers: services.enter(request.user, form, **answers),
        back=reverse("follow_ups"),
    )


@public
@require_POST
def set_language(request: HttpRequest) -> HttpResponse:
    """Choose the language: of a member of staff for them, of everybody else for this device."""
    target = request.POST.get("next", "/")
    if not url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()}):
        target = "/"
    response = redirect(target)
    if (language := request.POST.get("language", "")) in dict(settings.LANGUAGES):
        if request.user.is_authenticated and request.user.is_clinic_staff:
            choose_language(request.user, language)
        else:
            remember(response, language)
    return response


@public
@require_http_methods(["GET", "POST"])
def form_by_link(request: HttpRequest, token: str) -> HttpResponse:
    """The patient's form: one question a screen, saved as one goes, with no need to sign in."""
    with translation.override(language_for(request, None)):
        address = request.META.get("REMOTE_ADDR", "")
        misses = f"wrong-links:{address}"
        if cache.get(misses, 0) >= WRONG_LINKS_PER_HOUR:
            return _closed(request, _("Too many wrong links. Try again in an hour."), status=429)
        try:
            form = services.request_by_token(token)
            sites.narrow(sites.of_person(form.person_id))
        except Refused as refusal:
            cache.set(misses, cache.get(misses, 0) + 1, timeout=3600)
            return _closed(request, refusal.message, status=404)
    with translation.override(language_for(request, form.person)):
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
    given = form.response.answers if form and form.response_id else {}
    return render(
        request,
        "outcomes/form_closed.html",
        {
            **patient_context(),
            "message": message,
            "form_request": form,
            "answered": answered,
            "concern": _concern(library().instruments[form.instrument], given) if form else "",
        },
        status=status,
    )


def patient_context() -> dict[str, object]:
    """What every page for a patient shows: its language, the others, and whom to call."""
    language = translation.get_language()
    return {
        "language": language,
        "languages": settings.LANGUAGES,
        "contacts": contacts(language),
    }


def _concern(instrument: InstrumentFile, answers: Mapping[str, int]) -> str:
    """What the answers so far are about: "suicide", "medical" or nothing that alarms."""
    concerns = {rule.concern for rule in protocols.score(instrument, answers).red_flags}
    return "suicide" if "suicide" in concerns else next(iter(concerns), "")


def _take_answer(request: HttpRequest, form: FormRequest, token: str) -> HttpResponse:
    here = reverse("form_by_link", args=[token])
    language = translation.get_language()
    try:
        if "send" in request.POST:
            services.submit(form, language=language)
            return redirect(here)
        item, value = request.POST.get("item", ""), request.POST.get("value", "")
        if not value.isdecimal():
            raise Refused(_("Choose one of the answers."))
        services.save_answer(form, item=item, value=int(value), language=language)
    except Refused as refusal:
        messages.error(request, refusal.message)
        return redirect(f"{here}?q={request.POST.get('item', '')}")
    form.refresh_from_db(fields=["draft"])
    items = asked(library().instruments[form.instrument], form.draft)
    following = items.index(item) + 1
    return redirect(f"{here}?q={items[following] if following < len(items) else 'end'}")


def _show_question(request: HttpRequest, form: FormRequest) -> HttpResponse:
    page_context = patient_context()
    definition = library().instruments[form.instrument]
    instrument = definition.in_language(str(page_context["language"]))
    items = {item.id: item for item in instrument.items}
    # What an earlier answer has closed is not asked; what it may still open is not counted yet.
    ids = [
        name
        for name in asked(instrument, form.draft)
        if not items[name].asked_if or any(form.draft.get(other) for other in items[name].asked_if)
    ]
    wanted = request.GET.get("q", "")
    if wanted == "start" or (not wanted and not form.draft):
        page = "start"
    elif wanted in ids:
        page = wanted
    else:
        # Where the patient left off; the end once everything is answered.
        page = next((name for name in ids if name not in form.draft), "end")
    occasion = next((o for o in library().measurements.occasions if o.id == form.occasion), None)
    context = {
        **page_context,
        "form_request": form,
        "instrument": instrument,
        "text_language": page_context["language"]
        if page_context["language"] in definition.translations
        else "en",
        "first": ids[0],
        "total": len(ids),
        "off_window": bool(occasion and occasion.off_window)
        and is_off_window(definition, after_hours=occasion.after_hours if occasion else 0),
        "concern": _concern(definition, form.draft),
    }
    if page in ids:
        index = ids.index(page)
        options = instrument.options_of(items[page])
        context |= {
            "item": items[page],
            "options": options,
            "short_options": all(len(option.label) <= 2 for option in options),
            "number": index + 1,
            "previous": ids[index - 1] if index else "start",
            "chosen": form.draft.get(page),
        }
    elif page == "end":
        context["answers"] = [
            (
                items[name],
                next(
                    option.label
                    for option in instrument.options_of(items[name])
                    if option.value == form.draft[name]
                ),
            )
            for name in ids
        ]
    return render(request, f"outcomes/form_{'question' if page in ids else page}.html", context)
