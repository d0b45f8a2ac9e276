"""The staff list: who may sign in, as what."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from openketamine.clinic.accounts.access import allow
from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.errors import Refused

from . import services
from .forms import AccountForm


@allow(Role.DIRECTOR)
@require_http_methods(["GET", "POST"])
def staff(request: HttpRequest) -> HttpResponse:
    form = AccountForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            user = services.create_account(request.user, **form.cleaned_data)
        except Refused as refusal:
            form.add_error(refusal.field, refusal.message)
        else:
            said = _("%(person)s can sign in as %(name)s.")
            messages.success(request, said % {"person": user, "name": user.username})
            return redirect("staff")
    return render(
        request,
        "staff/staff.html",
        {
            "form": form,
            "accounts": User.objects.exclude(role=Role.PATIENT).order_by(
                "-is_active", "role", "display_name"
            ),
        },
        status=422 if form.errors else 200,
    )


@allow(Role.DIRECTOR)
@require_POST
def set_account_active(request: HttpRequest, user_id: int) -> HttpResponse:
    user = get_object_or_404(User.objects.exclude(role=Role.PATIENT), pk=user_id)
    try:
        services.set_active(request.user, user, active=request.POST.get("active") == "1")
    except Refused as refusal:
        messages.error(request, refusal.message)
    return redirect("staff")
