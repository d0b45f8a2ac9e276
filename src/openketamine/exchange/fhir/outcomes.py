"""How the server says no: an OperationOutcome for every error, in words."""

import json
from typing import Any

from django.http import HttpResponse

JSON = "application/fhir+json"


class Problem(Exception):  # noqa: N818 - an answer, not a fault of the program
    """A request that is refused. Nothing has been written.

    Attributes:
        status: the HTTP status.
        code: one of FHIR's issue types.
        text: what was wrong and what to do.
        place: where in the document or the request.
    """

    def __init__(self, status: int, code: str, text: str, place: str = "", **headers: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text, self.place = status, code, text, place
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def outcome(severity: str, code: str, text: str, place: str = "") -> dict[str, Any]:
    """An OperationOutcome with one issue."""
    issue: dict[str, Any] = {"severity": severity, "code": code, "diagnostics": text}
    if place:
        issue["expression"] = [place]
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def answer(
    content: dict[str, Any] | str, status: int = 200, headers: dict[str, str] | None = None
) -> HttpResponse:
    """FHIR JSON, as a dictionary or as text that is ready."""
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    response = HttpResponse(text, status=status, content_type=f"{JSON}; charset=utf-8")
    response["Cache-Control"] = "no-store"
    for name, value in (headers or {}).items():
        response[name] = value
    return response


def refusal(problem: Problem) -> HttpResponse:
    """A problem as an answer."""
    content = outcome("error", problem.code, problem.text, problem.place)
    return answer(content, problem.status, problem.headers)
