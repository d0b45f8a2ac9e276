"""Referrals by upload."""

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from openketamine.clinic.accounts.access import allow
from openketamine.clinic.accounts.models import Role

from .bundle import MAX_BYTES
from .referrals import ImportSummary, import_referral

MAX_FILES = 50


class _ManyFiles(forms.ClearableFileInput):
    allow_multiple_selected = True


class UploadForm(forms.Form):
    files = forms.FileField(
        label="FHIR R4 bundles (JSON)",
        widget=_ManyFiles({"multiple": True, "accept": ".json,application/json"}),
        help_text=f"Up to {MAX_FILES} files, {MAX_BYTES // 2**20} MiB each; one patient a file",
    )


@allow(Role.COORDINATOR, Role.PRESCRIBER, Role.DIRECTOR)
@require_http_methods(["GET", "POST"])
def import_referrals(request: HttpRequest) -> HttpResponse:
    form = UploadForm(request.POST or None, request.FILES or None)
    summaries: list[ImportSummary] = []
    if request.method == "POST" and form.is_valid():
        uploads = request.FILES.getlist("files")
        if len(uploads) > MAX_FILES:
            form.add_error("files", f"{len(uploads)} files are too many; send up to {MAX_FILES}.")
        else:
            summaries = [_import(request, upload) for upload in uploads]
    return render(
        request,
        "fhir/import.html",
        {"form": form, "summaries": summaries},
        status=422 if form.errors else 200,
    )


def _import(request: HttpRequest, upload: object) -> ImportSummary:
    name, size = upload.name, upload.size  # type: ignore[attr-defined]
    if size > MAX_BYTES:
        reason = f"{size / 2**20:.0f} MiB is more than the {MAX_BYTES // 2**20} MiB allowed"
        return ImportSummary(name, "refused", place=name, reason=reason)
    return import_referral(request.user, upload.read(), name=name)  # type: ignore[attr-defined]
