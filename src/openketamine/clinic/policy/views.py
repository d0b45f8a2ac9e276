"""The page on which the medical director reads the clinic's policy and signs it."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from openketamine.clinic.accounts.access import allow
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.errors import Refused

from . import queries, services


@allow(Role.DIRECTOR)
@require_http_methods(["GET", "POST"])
def policy(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        try:
            services.sign_policy(request.user, digest=request.POST.get("digest", ""))
            messages.success(request, "Signed. The policy is in force from now on.")
        except Refused as refusal:
            messages.error(request, refusal.message)
        return redirect("policy")
    library = queries.library()
    return render(
        request,
        "policy/policy.html",
        {
            "library": library,
            "entries": library.policy,
            "approval": queries.current_approval(),
        },
    )
