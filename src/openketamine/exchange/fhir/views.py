"""Referrals by upload."""

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
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


class _FilesField(forms.FileField):
    """One or many files; gives a list."""

    widget = _ManyFiles

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile]:
        files = data if isinstance(data, list | tuple) else [data]
        if len(files) > MAX_FILES:
            raise forms.ValidationError(
                f"{len(files)} files are too many; send up to {MAX_FILES} at once."
            )
        return [super(_FilesField, self).clean(item, initial) for item in files or [None]]


class UploadForm(forms.Form):
    files = _FilesField(
        label="FHIR R4 bundles (JSON)",
        widget=_ManyFiles({"multiple": True, "accept": ".json,application/json"}),
        help_text=f"Up to {MAX_FILES} files, {MAX_BYTES // 2**20} MiB each; one patient a file",
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
        reason = f"{size / 2**20:.0f} MiB is more than the {MAX_BYTES // 2**20} MiB allowed"
        return ImportSummary(name, "refused", place=name, reason=reason)
    return import_referral(request.user, upload.read(), name=name)
