"""Taking the outcomes elsewhere: chosen, made, and written down in the record."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_http_methods

from openketamine.clinic.accounts.access import allow
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.errors import Refused
from openketamine.clinic.record.models import Event

from . import exports as service
from .reports import READERS, page_of

# How many of the exports taken so far are listed.
LISTED = 20


def _kinds(request: HttpRequest) -> dict[str, str]:
    everything = request.user.role == Role.DIRECTOR
    return {k: v for k, v in service.KINDS.items() if everything or k == "registry"}


@allow(*READERS)
@require_http_methods(["GET", "POST"])
def exports(request: HttpRequest) -> HttpResponse:
    """Choose and take an export; below, who took what before."""
    page = page_of(request, "outcomes_exports")
    status = 200
    if request.method == "POST":
        try:
            made = service.export(
                request.user,
                kind=request.POST.get("kind", ""),
                file_format=request.POST.get("format", ""),
                filters=page.filters,
            )
        except Refused as refusal:
            messages.error(request, refusal.message)
            status = 422
        else:
            response = HttpResponse(made.content, content_type="application/zip")
            response["Content-Disposition"] = f'attachment; filename="{made.name}"'
            response["Cache-Control"] = "no-store"
            return response
    taken = Event.objects.filter(kind="outcomes.exported").order_by("-seq")[:LISTED]
    return render(
        request,
        "outcomes/report_exports.html",
        {
            "report": page,
            "rules": page.rules,
            "kinds": _kinds(request),
            "formats": service.FORMATS,
            "taken": [
                {
                    "at": event.occurred_at,
                    "who": event.actor_name,
                    "what": service.KINDS.get(event.data["kind"], event.data["kind"]),
                    "format": event.data["format"],
                    "courses": event.data["rows"]["courses"],
                    "digest": event.data["sha256"][:12],
                }
                for event in taken
            ],
        },
        status=status,
    )


@allow(*READERS)
@require_GET
def dictionary(request: HttpRequest) -> HttpResponse:
    """What every column of an export means."""
    kind = "clinic" if request.GET.get("kind") == "clinic" else "registry"
    return render(
        request,
        "outcomes/report_dictionary.html",
        {"title": service.KINDS[kind], "words": service.dictionary(kind)},
    )
