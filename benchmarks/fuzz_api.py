"""Schemathesis over the FHIR server: no 5xx, every refusal an OperationOutcome, the record intact.

    python benchmarks/fuzz_api.py [--examples 200] [--seed 1]

FHIR describes itself by a CapabilityStatement and not by OpenAPI. The statement that the server
gives is put into OpenAPI here (each kind's read, search with its parameters, create), and
Schemathesis makes requests of it, such as keep to it and such as do not. Needs `schemathesis`.
"""

import argparse
import json
from collections import Counter
from typing import Any

import hypothesis
import schemathesis
from hypothesis import HealthCheck, given, settings

from fuzz_fhir import clinic_of_one

CODES = {"read": ("get", "/{id}"), "search-type": ("get", ""), "create": ("post", "")}


def openapi(capability: dict[str, Any]) -> dict[str, Any]:
    """What a CapabilityStatement offers, as OpenAPI 3.0."""
    paths: dict[str, Any] = {"/metadata": {"get": {"responses": {"200": {"description": "ok"}}}}}
    for kind in capability["rest"][0]["resource"]:
        for code in (each["code"] for each in kind["interaction"]):
            if code not in CODES:
                continue
            method, tail = CODES[code]
            act: dict[str, Any] = {"responses": {"200": {"description": "ok"}}}
            if tail:
                act["parameters"] = [
                    {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
                ]
            elif method == "get":
                names = [each["name"] for each in kind.get("searchParam", [])]
                act["parameters"] = [
                    {"name": name, "in": "query", "schema": {"type": "string"}}
                    for name in [*names, "_count", "_sort", "_include", "_lastUpdated"]
                ]
            else:
                body = {"type": "object", "properties": {"resourceType": {"enum": [kind["type"]]}}}
                act["requestBody"] = {"content": {"application/fhir+json": {"schema": body}}}
            paths.setdefault(f"/{kind['type']}{tail}", {})[method] = act
    return {"openapi": "3.0.3", "info": {"title": "FHIR", "version": "4.0.1"}, "paths": paths}


def fuzz(examples: int, seed: int, token: str) -> dict[str, Any]:
    """Ask each operation so many times. Needs Django and a database of one person."""
    from django.test import Client

    from openketamine.clinic.record import services as record

    http = Client(raise_request_exception=False)
    statement = json.loads(http.get("/fhir/metadata").content)
    schema = schemathesis.openapi.from_dict(openapi(statement))
    statuses: Counter[int] = Counter()
    faults: list[str] = []
    unexplained = operations = 0

    def ask(case: Any) -> None:
        nonlocal unexplained
        query = {name: value for name, value in (case.query or {}).items() if value is not None}
        path = f"/fhir{case.formatted_path}"
        headers = {"Authorization": f"Bearer {token}"}
        if case.method.lower() == "get":
            answer = http.get(path, query, headers=headers)
        else:
            raw = json.dumps(case.body if isinstance(case.body, dict | list) else str(case.body))
            answer = http.post(path, raw, content_type="application/fhir+json", headers=headers)
        statuses[answer.status_code] += 1
        if answer.status_code >= 500:
            faults.append(f"{answer.status_code} {case.method} {path} {query} {case.body!r:.500}")
        elif answer.status_code >= 400 and b"OperationOutcome" not in answer.content:
            unexplained += 1

    for found in schema.get_all_operations():
        operations += 1
        strategy = found.ok().as_strategy()
        quiet = settings(
            max_examples=examples, deadline=None, database=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        hypothesis.seed(seed)(quiet(given(case=strategy)(ask)))()
    return {
        "operations": operations,
        "requests": sum(statuses.values()),
        "statuses": {str(status): n for status, n in sorted(statuses.items())},
        "5xx": len(faults),
        "faults": faults[:5],
        "refused without a reason": unexplained,
        "record intact": record.verify().intact,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=200, help="for each operation")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with clinic_of_one() as (token, _person):
        result = fuzz(arguments.examples, arguments.seed, token)
    print(json.dumps(result, indent=1))
    if result["5xx"] or result["refused without a reason"] or not result["record intact"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
