"""The pages on which the medical director reads, changes and signs the clinic's policy."""

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from openketamine import protocols
from openketamine.clinic.accounts.access import allow
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.errors import Refused
from openketamine.clinic.record import clock
from openketamine.protocols import catalogue, words

from . import queries, services
from .forms import ProposalForm
from .models import OverlayVersion

# A law that lapses is to be seen well before it does (TH-3: 90, 30 and 7 days ahead).
LOOK_AHEAD = timedelta(days=90)
# What may have been done to an entry.
ACTS = (gettext_noop("changed"), gettext_noop("added"), gettext_noop("retired"))
# Lines of the text shown on either side of a mistake.
AROUND = 3


def _shown(
    before: protocols.Library, after: protocols.Library
) -> list[tuple[catalogue.EntryChange, list[tuple[str, str, str]]]]:
    """Every entry that differs, its fields in words."""
    return [
        (
            change,
            [
                (
                    field.field.replace("_", " "),
                    _said(before, field, field.before),
                    _said(after, field, field.after),
                )
                for field in change.fields
            ],
        )
        for change in queries.differences(before, after)
    ]


def _said(library: protocols.Library, field: catalogue.FieldChange, stated: Any) -> str:
    if field.field == "source":
        return _(library.sources.get(stated, stated or "–"))
    return words.value(library.facts, field.field, stated)


@allow(Role.DIRECTOR)
@require_http_methods(["GET", "POST"])
def policy(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        number = request.POST.get("version", "")
        version = OverlayVersion.objects.filter(number=number).first() if number.isdigit() else None
        try:
            services.sign_policy(
                request.user, digest=request.POST.get("digest", ""), version=version
            )
            messages.success(request, _("Signed. The policy is in force from now on."))
        except Refused as refusal:
            messages.error(request, refusal.message)
        return redirect("policy")
    now = queries.governing()
    waiting = queries.waiting()
    proposed, fault = None, ""
    if waiting:
        try:
            proposed = protocols.load(waiting.overlay)
        except protocols.ProtocolError as error:
            fault = str(error)
    to_read = proposed or now.library
    return render(
        request,
        "policy/policy.html",
        {
            "now": now,
            "library": to_read,
            "entries": to_read.policy_in_words(),
            "approval": now.approval,
            "waiting": waiting,
            "waiting_fault": fault,
            "changes": _shown(now.library, proposed) if proposed else [],
            "due": catalogue.due(now.library, clock.today(), within=LOOK_AHEAD),
            "versions": queries.versions(),
            "departures": now.library.departures,
        },
    )


@allow(Role.DIRECTOR)
@require_http_methods(["GET", "POST"])
def propose(request: HttpRequest) -> HttpResponse:
    latest = queries.waiting() or queries.governing().overlay
    if request.method == "GET":
        form = ProposalForm(initial={"text": latest.text if latest else ""})
        return render(request, "policy/propose.html", {"form": form, "latest": latest})
    form = ProposalForm(request.POST, request.FILES)
    form.fields["note"].required = "check" not in request.POST
    told: dict[str, Any] = {}
    if form.is_valid():
        text, note = form.cleaned_data["text"], form.cleaned_data["note"]
        try:
            if "check" in request.POST:
                checked = services.check_text(text)
                told = {"changes": _shown(protocols.load(), checked), "checked": True}
            else:
                services.propose_overlay(request.user, text=text, note=note)
                messages.success(
                    request,
                    _("Proposed. Read what it changes below; nothing changes until you sign."),
                )
                return redirect("policy")
        except services.BrokenText as refusal:
            told = {"fault": refusal, "lines": _around(text, refusal.line)}
        except Refused as refusal:
            form.add_error(refusal.field if refusal.field in form.fields else None, refusal.message)
        # What was uploaded stands in the box now, where it can be mended.
        form.data = form.data.copy()
        form.data["text"] = text
    status = 422 if form.errors or "fault" in told else 200
    return render(
        request, "policy/propose.html", {"form": form, "latest": latest, **told}, status=status
    )


def _around(text: str, line: int) -> list[tuple[int, str, bool]]:
    """The lines about a mistake: number, text, whether it is the one."""
    lines = text.splitlines()
    first = max(line - AROUND, 1)
    return [
        (number, lines[number - 1], number == line)
        for number in range(first, min(line + AROUND, len(lines)) + 1)
    ]


@allow(Role.DIRECTOR)
@require_GET
def version(request: HttpRequest, number: int) -> HttpResponse:
    found = get_object_or_404(
        OverlayVersion.objects.prefetch_related("approvals__approved_by"), number=number
    )
    changes: list[Any] = []
    fault = ""
    try:
        changes = _shown(protocols.load(), protocols.load(found.overlay))
    except protocols.ProtocolError as error:
        fault = str(error)
    return render(
        request,
        "policy/version.html",
        {"proposal": found, "changes": changes, "fault": fault},
    )


@allow(Role.DIRECTOR)
@require_GET
def version_text(request: HttpRequest, number: int) -> HttpResponse:
    """The text as a file, to be changed elsewhere and proposed again."""
    found = get_object_or_404(OverlayVersion, number=number)
    response = HttpResponse(found.text, content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="policy-version-{number}.yaml"'
    return response


@allow(Role.DIRECTOR)
@require_POST
def decline(request: HttpRequest, number: int) -> HttpResponse:
    found = get_object_or_404(OverlayVersion, number=number)
    try:
        services.decline_overlay(request.user, found, because=request.POST.get("because", ""))
        messages.success(request, _("Declined. What was in force stays in force."))
    except Refused as refusal:
        messages.error(request, refusal.message)
    return redirect("policy")
