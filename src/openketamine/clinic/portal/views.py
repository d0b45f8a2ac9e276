"""The patient's own page on a phone, the link that opens it, and the staff's side of both."""

import uuid
from contextlib import suppress
from typing import Any

from django.contrib import messages
from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from openketamine.clinic.accounts.access import allow, public, staff_only
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.errors import Refused
from openketamine.clinic.forms import attempt
from openketamine.clinic.outcomes import services as outcomes
from openketamine.clinic.outcomes.views import WRONG_LINKS_PER_HOUR, patient_context
from openketamine.clinic.people.language import language_for
from openketamine.clinic.people.models import Person
from openketamine.clinic.plans.models import Consent
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record.models import Source
from openketamine.clinic.sites import scope as sites
from openketamine.clinic.therapy import queries as therapy_queries
from openketamine.clinic.therapy import services as therapy
from openketamine.clinic.therapy.models import Homework

from . import expected, forms, queries, services
from .models import PatientLink
from .visits import Visit, closed, own_page, remember_link
from .visits import leave as forget_link

INVALID = 422
LINK_GIVERS = tuple(services.MAY_GIVE_LINKS)


def _page(
    request: HttpRequest, template: str, visit: Visit, *, status: int = 200, **context: Any
) -> HttpResponse:
    return render(
        request,
        f"portal/{template}.html",
        {**patient_context(), "visit": visit, "person": visit.person, **context},
        status=status,
    )


# -------------------------------------------------------------------------------------- the link


@public
@never_cache
@require_http_methods(["GET", "POST"])
def open_link(request: HttpRequest, token: str) -> HttpResponse:
    """A link asks for the date of birth before it shows anything, even the name."""
    with translation.override(language_for(request, None)):
        misses = f"wrong-links:{request.META.get('REMOTE_ADDR', '')}"
        if cache.get(misses, 0) >= WRONG_LINKS_PER_HOUR:
            return closed(request, _("Too many wrong links. Try again in an hour."), status=429)
        try:
            link = services.link_by_token(token)
            sites.narrow(sites.of_person(link.person_id))
        except Refused as refusal:
            cache.set(misses, cache.get(misses, 0) + 1, timeout=3600)
            return closed(request, refusal.message, status=404)
        user: Any = request.user
        if user.is_authenticated and user.role != Role.PATIENT:
            return closed(
                request, _("Sign out first: this page is the patient's, not yours."), status=403
            )
        form = forms.BirthDateForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            birth_date = form.cleaned_data["birth_date"]
            try:
                services.open_link(link, birth_date=birth_date)
                remember_link(request, link)
                return redirect("my_page")
            except Refused as refusal:
                cache.set(misses, cache.get(misses, 0) + 1, timeout=3600)
                form.add_error(None, refusal.message)
        return render(
            request,
            "portal/open.html",
            {**patient_context(), "form": form},
            status=INVALID if form.errors else 200,
        )


@own_page
@require_POST
def leave(request: HttpRequest, visit: Visit) -> HttpResponse:
    return forget_link(request)


@public
@require_GET
def left(request: HttpRequest) -> HttpResponse:
    with translation.override(language_for(request, None)):
        return closed(request, _("The page is closed. Your link opens it again."), status=200)


# -------------------------------------------------------------------------------------- the page


@own_page
@require_GET
def my_page(request: HttpRequest, visit: Visit) -> HttpResponse:
    """One thing at a time: the next step first."""
    home = queries.home(visit.person, visit.course)
    first = home.forms[0] if home.forms else None
    return _page(
        request,
        "home",
        visit,
        home=home,
        first=first,
        first_link=_form_link(first) if first else "",
        others=[(form, _form_link(form)) for form in home.forms[1:]],
        scale=range(11),
    )


def _form_link(form: queries.DueForm) -> str:
    return reverse("form_by_link", args=[outcomes.token_for(form.request)])


@own_page
@require_POST
def mood(request: HttpRequest, visit: Visit) -> HttpResponse:
    value = request.POST.get("mood", "")
    try:
        if not value.isdecimal():
            raise Refused(_("Choose one of the answers."))
        services.record_mood(visit.person, mood_0_10=int(value))
    except Refused as refusal:
        messages.error(request, refusal.message)
    return redirect(reverse("my_page") + "#mood")


@own_page
@require_GET
def expect(request: HttpRequest, visit: Visit) -> HttpResponse:
    """What the next session may be like, for this person, in words and as a soft curve."""
    planned = queries.next_session(visit.course)
    found = (
        expected.expected(visit.course, planned.plan)
        if visit.course and planned and planned.plan.is_verified
        else None
    )
    language = translation.get_language()
    text = library().document("education", _route(visit), language)
    return _page(
        request,
        "expect",
        visit,
        planned=planned,
        found=found,
        drawing=expected.drawn(found) if found else None,
        text=text,
        in_english_only=text.language != language,
    )


def _route(visit: Visit) -> str:
    return visit.course.route if visit.course else "IV"


@own_page
@require_POST
def side_effects(request: HttpRequest, visit: Visit) -> HttpResponse:
    """Open the checklist whenever something troubles the patient, without waiting to be asked."""
    if visit.course is None:
        messages.error(request, _("Please call the clinic."))
        return redirect("my_page")
    form = services.tell_of_side_effects(visit.course)
    return redirect("form_by_link", outcomes.token_for(form))


@own_page
@require_GET
def goals(request: HttpRequest, visit: Visit) -> HttpResponse:
    """What the therapist has shared: goals, things to do, what was spoken about, the agreement."""
    language = translation.get_language()
    shared = therapy_queries.shared_with_patient(visit.course) if visit.course else None
    kinds = {each.id: each.in_language(language) for each in library().therapy.goals}
    return _page(
        request,
        "goals",
        visit,
        shared=shared,
        goals=[(goal, kinds.get(goal.kind, "")) for goal in shared.goals] if shared else [],
        touch_words=therapy_queries.kinds_in_words(shared.touch, language)
        if shared and shared.touch
        else [],
    )


@own_page
@require_POST
def homework_done(request: HttpRequest, visit: Visit, homework_id: int) -> HttpResponse:
    homework = get_object_or_404(
        Homework.objects.select_related("course"),
        pk=homework_id,
        course__person=visit.person,
        shared=True,
    )
    therapy.finish_homework(str(visit.person), homework, source=Source.PATIENT)
    return redirect("my_goals")


@own_page
@require_POST
def touch_withdraw(request: HttpRequest, visit: Visit) -> HttpResponse:
    if visit.course:
        with suppress(Refused):  # a second tap: there is none in force
            therapy.withdraw_touch(str(visit.person), visit.course, source=Source.PATIENT)
    messages.success(request, _("Nobody will touch you, but for care that you need at once."))
    return redirect("my_goals")


@own_page
@require_http_methods(["GET", "POST"])
def my_messages(request: HttpRequest, visit: Visit) -> HttpResponse:
    form = forms.MessageForm(request.POST or None)
    if (
        request.method == "POST"
        and form.is_valid()
        and attempt(form, lambda: services.write_message(visit.person, **form.cleaned_data))
    ):
        messages.success(request, _("Sent. Your care team will answer here."))
        return redirect("my_messages")
    thread = list(visit.person.messages.order_by("-sent_at", "-pk")[:50])
    services.see_answers(visit.person)
    return _page(
        request,
        "messages",
        visit,
        form=form,
        thread=thread,
        status=INVALID if form.errors else 200,
    )


@own_page
@require_GET
def documents(request: HttpRequest, visit: Visit) -> HttpResponse:
    return _page(request, "documents", visit, consents=_consents(visit))


def _consents(visit: Visit) -> list[Consent]:
    return list(
        Consent.objects.filter(course__person=visit.person, withdrawn_at=None).order_by(
            "-signed_at"
        )
    )


@own_page
@require_GET
def document(request: HttpRequest, visit: Visit, kind: str) -> HttpResponse:
    """After-care of the own route, or a consent as it was signed."""
    language = translation.get_language()
    if kind == "aftercare":
        text: Any = library().document("aftercare", _route(visit), language)
        return _page(
            request,
            "document",
            visit,
            text=text,
            text_language=text.language,
            in_english_only=text.language != language,
        )
    signed = next((each for each in _consents(visit) if kind == f"consent-{each.pk}"), None)
    if signed is None:
        raise Http404
    return _page(
        request,
        "document",
        visit,
        text=signed.document,
        signed=signed,
        text_language=signed.document.get("language", "en"),
        in_english_only=signed.document.get("language", "en") != language,
    )


@own_page
@require_http_methods(["GET", "POST"])
def reminders(request: HttpRequest, visit: Visit) -> HttpResponse:
    """How the patient wants to be reminded, and when not."""
    choice = getattr(visit.person, "contact_choice", None)
    form = forms.ContactForm(
        request.POST or None,
        initial=forms.contact_initial(choice),
    )
    if (
        request.method == "POST"
        and form.is_valid()
        and attempt(
            form,
            lambda: services.choose_contact(
                None, visit.person, language=translation.get_language(), **form.cleaned_data
            ),
        )
    ):
        messages.success(request, _("Your choice is kept."))
        return redirect("my_reminders")
    return _page(
        request,
        "reminders",
        visit,
        form=form,
        choice=choice,
        status=INVALID if form.errors else 200,
    )


# ------------------------------------------------------------------------------------- the staff


@staff_only
@require_GET
def messages_waiting(request: HttpRequest) -> HttpResponse:
    """A fragment for the day's list: whose message nobody has answered."""
    return render(request, "portal/_waiting.html", {"waiting": queries.waiting_messages()[:8]})


@staff_only
@never_cache
@require_GET
def inbox(request: HttpRequest) -> HttpResponse:
    return render(
        request,
        "portal/inbox.html",
        {"waiting": queries.waiting_messages(), "choices": queries.contact_choices()},
    )


@staff_only
@never_cache
@require_http_methods(["GET", "POST"])
def thread(request: HttpRequest, person_id: uuid.UUID) -> HttpResponse:
    """All messages with one patient, and the answer."""
    person = get_object_or_404(Person, pk=person_id)
    form = forms.AnswerForm(request.POST or None)
    if (
        request.method == "POST"
        and form.is_valid()
        and attempt(
            form, lambda: services.answer_messages(request.user, person, **form.cleaned_data)
        )
    ):
        messages.success(request, _("The answer is on the patient's page."))
        return redirect("thread", person.pk)
    return _show_thread(request, person, form, forms.SettleForm())


def _show_thread(
    request: HttpRequest, person: Person, form: forms.AnswerForm, settle_form: forms.SettleForm
) -> HttpResponse:
    listed = list(person.messages.select_related("author", "settled_by").order_by("-sent_at")[:100])
    return render(
        request,
        "portal/thread.html",
        {
            "person": person,
            "thread": listed,
            "waits": any(each.from_patient and not each.settled_at for each in listed),
            "form": form,
            "settle_form": settle_form,
        },
        status=INVALID if form.errors or settle_form.errors else 200,
    )


@staff_only
@require_POST
def thread_settle(request: HttpRequest, person_id: uuid.UUID) -> HttpResponse:
    person = get_object_or_404(Person, pk=person_id)
    form = forms.SettleForm(request.POST)
    if form.is_valid():
        attempt(form, lambda: services.settle_messages(request.user, person, **form.cleaned_data))
    if form.errors:
        return _show_thread(request, person, forms.AnswerForm(), form)
    messages.success(request, _("No message waits any more."))
    return redirect("thread", person.pk)


@staff_only
@never_cache
@require_GET
def patient_page(request: HttpRequest, person_id: uuid.UUID) -> HttpResponse:
    return _show_patient_page(request, get_object_or_404(Person, pk=person_id))


def _show_patient_page(request: HttpRequest, person: Person, **given: Any) -> HttpResponse:
    """The staff's side of the page: its links, how the patient is written to, the daily mood."""
    choice = getattr(person, "contact_choice", None)
    may_give = request.user.role in LINK_GIVERS
    links = list(person.links.select_related("made_by", "revoked_by")[:10])
    standing = []
    for link in links:
        try:
            services.require_standing(link)
        except Refused:
            continue
        standing.append(link)
    return render(
        request,
        "portal/patient_page.html",
        {
            "person": person,
            "links": [
                (
                    link,
                    request.build_absolute_uri(
                        reverse("patient_link", args=[services.token_for(link)])
                    )
                    if may_give and link in standing
                    else "",
                )
                for link in links
            ],
            "choice": choice,
            "moods": list(person.moods.order_by("-day")[:28]),
            "may_give": may_give,
            "link_form": forms.LinkForm(),
            "send_form": forms.SendLinkForm(),
            "contact_form": forms.StaffContactForm(initial=forms.contact_initial(choice)),
            **given,
        },
        status=INVALID if given else 200,
    )


def _give(request: HttpRequest, person: Person, name: str, form: Any, act: Any, said: str) -> Any:
    if form.is_valid():
        attempt(form, lambda: act(request.user, person, **form.cleaned_data))
    if form.errors:
        return _show_patient_page(request, person, **{name: form})
    messages.success(request, said)
    return redirect("patient_page", person.pk)


@allow(*LINK_GIVERS)
@require_POST
def link_new(request: HttpRequest, person_id: uuid.UUID) -> HttpResponse:
    person = get_object_or_404(Person, pk=person_id)
    form = forms.LinkForm(request.POST)
    said = _("The link is made.")
    return _give(request, person, "link_form", form, services.make_link, said)


@allow(*LINK_GIVERS)
@require_POST
def link_send(request: HttpRequest, person_id: uuid.UUID) -> HttpResponse:
    person = get_object_or_404(Person, pk=person_id)
    form = forms.SendLinkForm(request.POST)
    said = _("The link is on its way.")
    return _give(request, person, "send_form", form, services.send_link, said)


@allow(*LINK_GIVERS)
@require_POST
def contact_set(request: HttpRequest, person_id: uuid.UUID) -> HttpResponse:
    person = get_object_or_404(Person, pk=person_id)
    form = forms.StaffContactForm(request.POST)
    said = _("The patient's choice is kept.")
    return _give(request, person, "contact_form", form, services.choose_contact, said)


@allow(*LINK_GIVERS)
@require_POST
def link_revoke(request: HttpRequest, link_id: uuid.UUID) -> HttpResponse:
    link = get_object_or_404(PatientLink.objects.select_related("person"), pk=link_id)
    try:
        services.revoke_link(request.user, link)
        messages.success(request, _("The link and every page it opened are shut."))
    except Refused as refusal:
        messages.error(request, refusal.message)
    return redirect("patient_page", link.person_id)
