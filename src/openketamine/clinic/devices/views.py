"""The screen of devices: which are heard, where they stand, what nobody could place."""

import uuid

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from openketamine.clinic.accounts.access import allow, staff_only
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.errors import Refused
from openketamine.clinic.forms import attempt
from openketamine.clinic.sessions.models import OPEN, Session

from . import forms, queries, services
from .models import Assignment, Device, DeviceToken, HeldReading, PlaceName, Why

BEDSIDE = (Role.NURSE, Role.PRESCRIBER)
MAY_ASSIGN = (*BEDSIDE, Role.DIRECTOR)


@staff_only
@never_cache
@require_GET
def devices(request: HttpRequest) -> HttpResponse:
    return _screen(request)


def _screen(request: HttpRequest, *, status: int = 200, **more: object) -> HttpResponse:
    role = request.user.role
    return render(
        request,
        "devices/devices.html",
        {
            "rows": queries.devices(),
            "chairs": queries.chairs(),
            "places": queries.place_names(),
            "place_form": forms.PlaceForm(auto_id="place_%s"),
            "tokens": queries.tokens() if role == Role.DIRECTOR else [],
            "sender_form": forms.SenderForm(),
            "may_assign": role in services.MAY_ASSIGN,
            "may_attach": role in services.BEDSIDE,
            **more,
        },
        status=status,
    )


@allow(*MAY_ASSIGN)
@require_POST
def device_assign(request: HttpRequest, device_id: int) -> HttpResponse:
    """Put a device at a chair, or at none."""
    device = get_object_or_404(Device, pk=device_id)
    form = forms.AssignForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Choose a chair."))
        return redirect("devices")
    chair = form.cleaned_data["chair"]
    try:
        if chair:
            services.assign(request.user, device, chair)
            messages.success(
                request,
                _("%(device)s stands at %(chair)s.") % {"device": device, "chair": chair},
            )
        else:
            services.unassign(request.user, device)
            messages.success(request, _("%(device)s stands at no chair.") % {"device": device})
    except Refused as refusal:
        messages.error(request, refusal.message)
    return redirect("devices")


@allow(*MAY_ASSIGN)
@never_cache
@require_POST
def place_name(request: HttpRequest) -> HttpResponse:
    """A place that monitors name is a chair."""
    form = forms.PlaceForm(request.POST, auto_id="place_%s")
    if form.is_valid():
        data = form.cleaned_data
        place = attempt(
            form, lambda: services.name_place(request.user, data["chair"], name=data["name"])
        )
        if place is not None:
            messages.success(
                request,
                _("Monitors at %(place)s stand at %(chair)s.")
                % {"place": place.name, "chair": place.chair},
            )
            return redirect("devices")
    return _screen(request, status=422, place_form=form)


@allow(*MAY_ASSIGN)
@require_POST
def place_forget(request: HttpRequest, place_id: int) -> HttpResponse:
    place = get_object_or_404(PlaceName.objects.select_related("chair"), pk=place_id)
    services.forget_place(request.user, place)
    messages.success(request, _("%(place)s is no chair's place any more.") % {"place": place.name})
    return redirect("devices")


@allow(*BEDSIDE)
@require_POST
def device_confirm(request: HttpRequest, device_id: int) -> HttpResponse:
    """The number on the monitor means the patient who sits in its chair."""
    device = get_object_or_404(Device, pk=device_id)
    standing = Assignment.objects.filter(device=device, until_at=None).first()
    session = (
        Session.objects.filter(chair=standing.chair_id, phase__in=OPEN)
        .select_related("person", "chair")
        .first()
        if standing
        else None
    )
    try:
        if session is None or str(session.pk) != request.POST.get("session"):
            raise Refused(_("Somebody else sits there by now. Look again."))
        services.confirm_patient(request.user, device, session)
        messages.success(
            request,
            _("%(device)s means %(person)s, in this session only.")
            % {"device": device, "person": session.person},
        )
    except Refused as refusal:
        messages.error(request, refusal.message)
    return redirect("devices")


@allow(*MAY_ASSIGN)
@never_cache
@require_http_methods(["GET", "POST"])
def device_held(request: HttpRequest, device_id: int, why: str) -> HttpResponse:
    """Held readings of one device and one reason: whose they are, or that they are nobody's."""
    device = get_object_or_404(Device, pk=device_id)
    group = next((g for g in queries.held_groups([device]) if g.why == why), None)
    if group is None:
        if why not in Why.values:
            raise Http404(_("There is no such reason."))
        messages.info(request, _("Nothing is held here any more."))
        return redirect("devices")
    form = forms.SettleForm(request.POST or None, held=group)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        person = data["session"] and data["session"].person
        if request.POST.get("do") == "discard":
            done = attempt(
                form,
                lambda: services.discard_held(
                    request.user,
                    device,
                    why=why,
                    last_id=data["last_id"],
                    reason=data["reason"],
                ),
            )
            said = ngettext("%(count)s readings let go.", "%(count)s readings let go.", done or 0)
        elif data["session"] is None:
            form.add_error("session", _("Choose whose readings they are."))
            done, said = None, ""
        else:
            done = attempt(
                form,
                lambda: services.attach_held(
                    request.user,
                    device,
                    why=why,
                    last_id=data["last_id"],
                    session=data["session"],
                    reason=data["reason"],
                ),
            )
            said = ngettext(
                "%(count)s readings put into the record of %(person)s.",
                "%(count)s readings put into the record of %(person)s.",
                done or 0,
            )
        if done is not None:
            messages.success(request, said % {"count": done, "person": person})
            return redirect("devices")
    shown = HeldReading.objects.filter(
        device=device, why=why, settled_at=None, pk__lte=group.last_id
    ).order_by("-at")[:50]
    return render(
        request,
        "devices/held.html",
        {
            "group": group,
            "form": form,
            "readings": shown,
            "may_attach": request.user.role in services.BEDSIDE and group.may_attach,
        },
        status=422 if form.errors else 200,
    )


@allow(*BEDSIDE)
@require_http_methods(["GET", "POST"])
def device_take_back(request: HttpRequest, device_id: int) -> HttpResponse:
    """The device stood at the wrong patient: its readings leave that record and wait again."""
    device = get_object_or_404(Device, pk=device_id)
    form = forms.TakeBackForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        count = attempt(form, lambda: services.take_back(request.user, device, **form.cleaned_data))
        if count is not None:
            messages.success(
                request,
                ngettext(
                    "%(count)s readings taken back. They wait to be put where they belong.",
                    "%(count)s readings taken back. They wait to be put where they belong.",
                    count,
                )
                % {"count": count},
            )
            return redirect("devices")
    return render(
        request,
        "devices/take_back.html",
        {"device": device, "form": form},
        status=422 if form.errors else 200,
    )


@allow(Role.DIRECTOR)
@never_cache
@require_POST
def sender_add(request: HttpRequest) -> HttpResponse:
    """Let a sender of FHIR Observations in; the secret is shown in this answer alone."""
    form = forms.SenderForm(request.POST)
    made = None
    if form.is_valid():
        made = attempt(
            form, lambda: services.make_token(request.user, name=form.cleaned_data["name"])
        )
    if made is None:
        return _screen(request, status=422, sender_form=form)
    token, secret = made
    return _screen(request, made_token=token, secret=secret)


@allow(Role.DIRECTOR)
@require_POST
def sender_revoke(request: HttpRequest, token_id: uuid.UUID) -> HttpResponse:
    token = get_object_or_404(DeviceToken.objects.select_related("device"), pk=token_id)
    try:
        services.revoke_token(request.user, token)
        messages.success(
            request,
            _("The token of %(device)s lets nobody in any more.") % {"device": token.device},
        )
    except Refused as refusal:
        messages.error(request, refusal.message)
    return redirect("devices")
