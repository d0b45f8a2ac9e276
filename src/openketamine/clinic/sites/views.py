"""The sites, one of them, and which of one's own a browser looks at."""

from django.contrib import messages
from django.db.models import Count, Q
from django.forms.models import model_to_dict
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from openketamine.clinic.accounts.access import allow, signed_in
from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.errors import Refused
from openketamine.clinic.forms import attempt

from . import services
from .forms import MembersForm, SiteForm
from .models import Site
from .queries import CHOSEN, Here

INVALID = 422


@allow(Role.DIRECTOR)
@require_http_methods(["GET", "POST"])
def sites(request: HttpRequest) -> HttpResponse:
    form = SiteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        opened = attempt(form, lambda: services.open_site(request.user, **form.cleaned_data))
        if opened:
            said = _("%(site)s is open. Say who works there.")
            messages.success(request, said % {"site": opened})
            return redirect("site", opened.pk)
    active = Count("memberships", filter=Q(memberships__user__is_active=True))
    return render(
        request,
        "sites/sites.html",
        {"form": form, "listed": Site.objects.annotate(staff=active).order_by("closed_at", "name")},
        status=INVALID if form.errors else 200,
    )


@allow(Role.DIRECTOR)
@require_http_methods(["GET", "POST"])
def site(request: HttpRequest, site_id: int) -> HttpResponse:
    here: Here = request.here  # type: ignore[attr-defined]
    found = get_object_or_404(Site, pk=site_id)
    act = request.POST.get("act")
    form = SiteForm(
        request.POST if act == "change" else None,
        initial=model_to_dict(found, ["name", "short_name", "address"]),
    )
    members = MembersForm(
        request.POST if act == "members" else None,
        initial={"members": User.objects.filter(memberships__site=found)},
    )
    if act == "change" and form.is_valid():
        attempt(form, lambda: services.change_site(request.user, found, **form.cleaned_data))
    if act == "members" and members.is_valid():
        users = members.cleaned_data["members"]
        attempt(members, lambda: services.set_members(request.user, found, users))
    wrong = form.errors or members.errors
    if act and not wrong:
        messages.success(request, _("Kept."))
        return redirect("site", found.pk)
    return render(
        request,
        "sites/site.html",
        {"site": found, "form": form, "members": members, "several": bool(here.names)},
        status=INVALID if wrong else 200,
    )


@allow(Role.DIRECTOR)
@require_POST
def close(request: HttpRequest, site_id: int) -> HttpResponse:
    found = get_object_or_404(Site, pk=site_id)
    try:
        services.close_site(request.user, found)
        messages.success(request, _("%(site)s is closed.") % {"site": found})
    except Refused as refusal:
        messages.error(request, refusal.message)
    return redirect("site", found.pk)


@signed_in
@require_POST
def choose(request: HttpRequest) -> HttpResponse:
    """Look at one of one's sites, or at all of them, in this browser."""
    here: Here = request.here  # type: ignore[attr-defined]
    wanted = request.POST.get("site", "")
    chosen = next((each.pk for each in here.own if str(each.pk) == wanted), None)
    request.session[CHOSEN] = chosen
    target = request.POST.get("next", "/")
    if not url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()}):
        target = "/"
    return redirect(target)
