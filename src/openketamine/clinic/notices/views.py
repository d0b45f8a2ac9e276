"""The on-call screen, one call, the rota."""

import uuid
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from openketamine.clinic.accounts.access import allow, staff_only
from openketamine.clinic.errors import Refused
from openketamine.clinic.forms import attempt
from openketamine.clinic.record.models import Event

from . import queries, services
from .forms import AddressForm, CloseForm, ShiftForm
from .models import Address, Call, Notice, Shift


def _list(request: HttpRequest) -> dict[str, Any]:
    return {
        "calls": [(call, queries.next_step(call)) for call in queries.open_calls()],
        "may_answer": request.user.role in services.MAY_ANSWER,
    }


@staff_only
@require_GET
def on_call(request: HttpRequest) -> HttpResponse:
    """Open calls, the loudest first; who is on call; what could not be sent."""
    return render(
        request,
        "notices/on_call.html",
        {
            **_list(request),
            "lines": queries.on_call_now(),
            "failed": queries.failed_notices(),
            "closed": queries.closed_calls(),
            "not_set_up": queries.not_set_up(),
        },
    )


@staff_only
@require_GET
def on_call_list(request: HttpRequest) -> HttpResponse:
    """A fragment: the open calls."""
    return render(request, "notices/_calls.html", _list(request))


@staff_only
@require_http_methods(["GET", "POST"])
def call(request: HttpRequest, call_id: uuid.UUID) -> HttpResponse:
    """One call: what happened, whom it reached, and the words that close it."""
    found = get_object_or_404(
        Call.objects.select_related("answered_by", "closed_by", "responsible"), pk=call_id
    )
    form = CloseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        words = form.cleaned_data["words"]
        if attempt(form, lambda: services.close_call(request.user, found, words=words)):
            messages.success(request, _("The call is closed."))
            return redirect("on_call")
    return render(
        request,
        "notices/call.html",
        {
            "call": found,
            "next": queries.next_step(found),
            "reached": found.reached.select_related("user"),
            "sent": found.notices.order_by("created_at"),
            "history": Event.objects.filter(stream=found.stream).order_by("seq"),
            "form": form,
            "may_answer": request.user.role in services.MAY_ANSWER,
        },
        status=422 if form.errors else 200,
    )


def _done(request: HttpRequest, act: Callable[[], object], success: str) -> None:
    try:
        act()
        messages.success(request, success)
    except Refused as refusal:
        messages.error(request, refusal.message)


@allow(*services.MAY_ANSWER)
@require_POST
def call_answer(request: HttpRequest, call_id: uuid.UUID) -> HttpResponse:
    """I have it."""
    found = get_object_or_404(Call, pk=call_id)
    _done(
        request,
        lambda: services.answer_call(request.user, found),
        _("You have this call. Nobody else is called while you do."),
    )
    return redirect("call", found.pk)


@staff_only
@require_POST
def message_again(request: HttpRequest, notice_id: uuid.UUID) -> HttpResponse:
    notice = get_object_or_404(Notice, pk=notice_id)
    _done(request, lambda: services.try_again(request.user, notice), _("It is being sent again."))
    return redirect("on_call")


@staff_only
@require_POST
def message_aside(request: HttpRequest, notice_id: uuid.UUID) -> HttpResponse:
    notice = get_object_or_404(Notice, pk=notice_id)
    _done(request, lambda: services.set_aside(request.user, notice), _("Set aside."))
    return redirect("on_call")


@staff_only
@require_http_methods(["GET", "POST"])
def rota(request: HttpRequest) -> HttpResponse:
    """Who is on call when, where nobody is, and how oneself is reached."""
    may_keep = request.user.role in services.MAY_KEEP_ROTA
    form = ShiftForm(request.POST or None)
    if (
        request.method == "POST"
        and form.is_valid()
        and attempt(form, lambda: services.add_shift(request.user, **form.cleaned_data))
    ):
        messages.success(request, _("On the rota."))
        return redirect("rota")
    shifts = queries.coming_shifts()
    address = Address.objects.filter(user=request.user).first()
    return render(
        request,
        "notices/rota.html",
        {
            "form": form,
            "may_keep": may_keep,
            "shifts": shifts,
            "gaps": queries.gaps(shifts),
            "unreachable": queries.without_address(shifts),
            "address": AddressForm(
                initial={"phone": address.phone, "email": address.email} if address else {}
            ),
            "steps": queries.policy_rules(),
        },
        status=422 if form.errors else 200,
    )


@staff_only
@require_POST
def my_address(request: HttpRequest) -> HttpResponse:
    """Where oneself is reached away from the screen."""
    form = AddressForm(request.POST)
    if form.is_valid():
        _done(
            request,
            lambda: services.set_address(request.user, **form.cleaned_data),
            _("Kept. Calls reach you there when you are on call."),
        )
    else:
        messages.error(request, _("Enter an e-mail address such as name@clinic.example."))
    return redirect("rota")


@allow(*services.MAY_KEEP_ROTA)
@require_POST
def shift_cancel(request: HttpRequest, shift_id: int) -> HttpResponse:
    shift = get_object_or_404(Shift, pk=shift_id)
    _done(request, lambda: services.cancel_shift(request.user, shift), _("Off the rota."))
    return redirect("rota")
