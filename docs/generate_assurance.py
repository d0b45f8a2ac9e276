"""Writes docs/hazards.md and docs/security-asvs.md from their data files.

`tests/test_assurance.py` sees to it that each test named in them exists, and that they are current.
"""

from pathlib import Path
from typing import Any

import yaml

DOCS = Path(__file__).parent
TESTS = DOCS.parent / "tests"

STATUS = {
    "met": "met",
    "partly": "partly met",
    "operator": "for whoever runs it",
    "open": "not met",
    "none": "does not apply",
}


def load(name: str) -> dict[str, Any]:
    return yaml.safe_load((DOCS / f"{name}.yaml").read_text())


def named(tests: list[str]) -> str:
    """Each test as a link to its file."""
    return "<br>".join(
        f"[{name.split('::')[1].removeprefix('test_').replace('_', ' ')}]"
        f"(../tests/{name.split('::')[0]})"
        if not name.endswith("::*")
        else f"[all of {name.split('::')[0]}](../tests/{name.split('::')[0]})"
        for name in tests
    )


def hazards() -> str:
    data = load("hazards")["hazards"]
    lines = [(DOCS / "hazards_front.md").read_text().rstrip(), "", "## The hazards", ""]
    lines += ["| id | area | hazard | severity |", "|---|---|---|---|"]
    lines += [f"| {h['id']} | {h['area']} | {h['hazard']} | {h['severity']} |" for h in data]
    for hazard in data:
        lines += [
            "",
            f"### {hazard['id']}: {hazard['hazard']}",
            "",
            f"Harm: {hazard['harm']}. Severity: **{hazard['severity']}**. "
            f"Causes: {'; '.join(hazard['causes'])}.",
            "",
            "| control | proved by |",
            "|---|---|",
        ]
        lines += [f"| {c['what']} | {named(c['tests'])} |" for c in hazard["controls"]]
    return "\n".join(lines) + "\n"


def asvs() -> str:
    data = load("security-asvs")
    rows = data["lines"]
    counts = {
        status: sum(len(row["ids"]) for row in rows if row["status"] == status) for status in STATUS
    }
    lines = [
        "# Security, line by line: OWASP ASVS 4.0.3, level 2",
        "",
        "Every requirement of levels 1 and 2 of the",
        "[OWASP Application Security Verification Standard 4.0.3]"
        "(https://owasp.org/www-project-application-security-verification-standard/)",
        "by its number, in our own words, with the test that shows it. A self-assessment by the",
        "developers, not an audit. The page is generated from",
        "[security-asvs.yaml](security-asvs.yaml) by `make docs`. A named test that is not there,",
        "a missing line, or one said to be met without a test or a place to look breaks the build.",
        "",
        "| " + " | ".join(STATUS.values()) + " |",
        "|" + "---|" * len(STATUS),
        "| " + " | ".join(str(counts[status]) for status in STATUS) + " |",
    ]
    chapter = ""
    for row in rows:
        if row["chapter"] != chapter:
            chapter = row["chapter"]
            lines += [
                "",
                f"## {chapter}",
                "",
                "| lines | what is asked | | how | shown by |",
                "|---|---|---|---|---|",
            ]
        shown = named(row.get("tests", []))
        lines.append(
            f"| {', '.join(row['ids'])} | {row['asks']} | {STATUS[row['status']]} | {row['how']} "
            f"| {shown} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (DOCS / "hazards.md").write_text(hazards())
    (DOCS / "security-asvs.md").write_text(asvs())
