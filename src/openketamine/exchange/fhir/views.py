"""Referrals by upload, and vital signs from senders of Observations."""

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import RawPostDataException, UnreadablePostError
from django.shortcuts import render
from django.utils import translation
from django.utils.functional import lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from openketamine.clinic.accounts.access import allow, public
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.devices import services as devices
from openketamine.clinic.devices.models import DeviceToken
from openketamine.clinic.errors import Refused
from openketamine.clinic.record import clock
from openketamine.clinic.sites import scope as sites

from . import observations
from .bundle import MAX_BYTES, too_large
from .outcomes import outcome
from .referrals import ImportSummary, import_referral

MAX_FILES = 50


class _ManyFiles(forms.ClearableFileInput):
    allow_multiple_selected = True


class _FilesField(forms.FileField):
    """One or many files; gives a list."""

    widget = _ManyFiles

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile]:
        files = data if isinstance(data, list | tuple) else [data]
        if len(files) > MAX_FILES:
            raise forms.ValidationError(
                _("%(count)d files are too many; send up to %(most)d at once.")
                % {"count": len(files), "most": MAX_FILES}
            )
        return [super(_FilesField, self).clean(item, initial) for item in files or [None]]


def _how_many() -> str:
    words = _("Up to %(most)d files, %(size)d MiB each; one patient a file")
    return words % {"most": MAX_FILES, "size": MAX_BYTES // 2**20}


class UploadForm(forms.Form):
    files = _FilesField(
        label=gettext_lazy("FHIR R4 bundles (JSON)"),
        widget=_ManyFiles({"multiple": True, "accept": ".json,application/json"}),
        help_text=lazy(_how_many, str)(),
        allow_empty_file=True,  # the import itself says what is wrong with an empty file
    )


@allow(Role.COORDINATOR, Role.PRESCRIBER, Role.DIRECTOR)
@require_http_methods(["GET", "POST"])
def import_referrals(request: HttpRequest) -> HttpResponse:
    is_post = request.method == "POST"
    form = UploadForm(request.POST, request.FILES) if is_post else UploadForm()
    summaries: list[ImportSummary] = []
    if is_post and form.is_valid():
        summaries = [_import(request, upload) for upload in form.cleaned_data["files"]]
    return render(
        request,
        "fhir/import.html",
        {"form": form, "summaries": summaries},
        status=422 if form.errors else 200,
    )


def _import(request: HttpRequest, upload: UploadedFile) -> ImportSummary:
    name, size = upload.name or "file", upload.size or 0
    if size > MAX_BYTES:
        return ImportSummary(name, "refused", place=name, reason=too_large(size))
    return import_referral(request.user, upload.read(), name=name)


@public  # no session of a browser: the sender shows its own token
@csrf_exempt
@sites.everything()  # a device stands where it stands; it is told nothing of any patient
def observation(request: HttpRequest) -> HttpResponse:
    """Take one vital-signs Observation, by the rules of the monitor feed.

    201 stored; 200 known already; 202 taken and held, because it cannot be placed; 400, 401, 413,
    422 and 503 with the reason. Every answer is an OperationOutcome.
    """
    with translation.override("en"):
        return _take_in(request)


def _take_in(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return _outcome(405, "error", "not-supported", "Only POST is answered here.")
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    token = devices.token_of(secret.strip()) if scheme.lower() == "bearer" else None
    if token is None:
        answer = _outcome(401, "error", "login", "Show the token of a device that is let in.")
        answer["WWW-Authenticate"] = 'Bearer realm="OpenKetamine devices"'
        return answer
    try:
        if int(request.headers.get("Content-Length") or 0) > observations.MAX_BYTES:
            return _outcome(413, "error", "too-long", f"At most {observations.MAX_BYTES} bytes.")
        raw = request.read(observations.MAX_BYTES + 1)
    except (ValueError, OSError, UnreadablePostError, RawPostDataException):
        return _outcome(400, "error", "structure", "The request could not be read.")
    if len(raw) > observations.MAX_BYTES:
        return _outcome(413, "error", "too-long", f"At most {observations.MAX_BYTES} bytes.")
    try:
        delivery = observations.read(raw, token.device)
        (receipt,) = devices.receive([delivery])
    except observations.BadObservation as error:
        return _outcome(422, "error", error.code, error.text, error.place)
    except Refused as refusal:
        return _outcome(422, "error", "business-rule", refusal.message)
    except DatabaseError:
        return _outcome(503, "error", "transient", "It cannot be stored now. Send it again.")
    DeviceToken.objects.filter(pk=token.pk).update(last_used_at=clock.now())
    if receipt.held:
        return _outcome(202, "warning", "business-rule", f"Held: {receipt.held_because}")
    if receipt.stored:
        return _outcome(201, "information", "informational", "Stored.")
    if receipt.repeated:
        return _outcome(200, "information", "duplicate", "Stored already.")
    return _outcome(202, "warning", "not-supported", "No value that is charted here; kept as seen.")


def _outcome(status: int, severity: str, code: str, text: str, place: str = "") -> JsonResponse:
    return JsonResponse(
        outcome(severity, code, text, place),
        status=status,
        content_type="application/fhir+json",
    )
