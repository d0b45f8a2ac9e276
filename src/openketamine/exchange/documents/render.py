"""HTML to PDF. WeasyPrint needs the system library Pango; where that is missing we say so."""

import mimetypes
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.contrib.staticfiles import finders
from django.core.exceptions import SuspiciousFileOperation
from django.template.loader import render_to_string
from django.utils.translation import gettext as _


class PdfUnavailable(Exception):  # noqa: N818 - a state of the machine, not a fault of the caller
    """This machine cannot make PDF documents; the message says what to install."""


def _fetcher() -> Any:
    from weasyprint.urls import URLFetcher, URLFetcherResponse

    class PackageFetcher(URLFetcher):  # type: ignore[misc]
        """Serves a document the project's own static files, and nothing else in the world."""

        def fetch(self, url: str, headers: Any = None) -> Any:
            parts = urlsplit(url)
            name = unquote(parts.path).lstrip("/")
            try:
                found = finders.find(name) if parts.scheme == "static" else None
            except SuspiciousFileOperation:
                found = None
            if not found:
                raise ValueError(f"documents load nothing from outside: {url}")
            kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
            return URLFetcherResponse(
                url, body=Path(found).read_bytes(), headers={"Content-Type": kind}
            )

    return PackageFetcher()


def pdf(template: str, context: dict[str, Any]) -> bytes:
    """Render a document.

    Raises:
        PdfUnavailable: Pango is not installed.
    """
    try:
        from weasyprint import HTML
    except OSError as error:
        raise PdfUnavailable(
            _(
                "PDF documents need Pango. On Debian or Ubuntu: apt install libpango-1.0-0 "
                "libpangoft2-1.0-0 libharfbuzz-subset0. Until then, print the page."
            )
        ) from error
    html = render_to_string(template, {**context, "as_pdf": True})
    return bytes(
        HTML(string=html, base_url="static:///", url_fetcher=_fetcher()).write_pdf(
            pdf_variant="pdf/ua-1"
        )
    )
