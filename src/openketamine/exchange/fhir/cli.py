"""FHIR from the command line: referrals in, the whole clinic out and in, resources anew."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from openketamine.clinic.boot import prepare_database, start_django
from openketamine.console import print_json

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from .referrals import ImportSummary


def register(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "import-fhir", help="import referrals, one FHIR R4 bundle (JSON) a file"
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--json", action="store_true", help="print a summary per file as JSON")
    parser.add_argument("--as", dest="username", help="the sign-in name of whoever imports")
    parser.set_defaults(run=run)
    again = subparsers.add_parser(
        "fhir-rebuild", help="work out every resource of the FHIR server anew"
    )
    again.set_defaults(run=run_rebuild)
    out = subparsers.add_parser(
        "fhir-export", help="write the whole clinic as FHIR, one resource a line, to come back"
    )
    out.add_argument("folder", type=Path, metavar="FOLDER", help="a new or empty folder")
    out.add_argument("--json", action="store_true", help="print the number of lines as JSON")
    out.set_defaults(run=run_export)
    back = subparsers.add_parser(
        "fhir-import", help="take such an export into an empty clinic, whole or not at all"
    )
    back.add_argument("folder", type=Path, metavar="FOLDER")
    back.add_argument("--json", action="store_true", help="print what came in as JSON")
    back.set_defaults(run=run_import)


def run_rebuild(arguments: argparse.Namespace) -> int:
    start_django()
    prepare_database()
    from .projection import rebuild

    _say(f"{rebuild()} people, courses and sessions said anew.")
    return 0


def run_export(arguments: argparse.Namespace) -> int:
    start_django()
    prepare_database()
    from openketamine.clinic.errors import Refused

    from .moving import export_whole

    try:
        lines = export_whole(arguments.folder)
    except (Refused, OSError) as refusal:
        _say(f"Not exported: {getattr(refusal, 'message', refusal)}")
        return 1
    if arguments.json:
        print_json(lines)
    _say(f"{sum(lines.values())} resources of {len(lines)} kinds in {arguments.folder}.")
    return 0


def run_import(arguments: argparse.Namespace) -> int:
    start_django()
    prepare_database()
    from openketamine.clinic.errors import Refused

    from .moving import import_whole

    try:
        taken = import_whole("command line", arguments.folder)
    except Refused as refusal:
        _say(f"REFUSED, and nothing was written. {refusal.message}")
        return 1
    if arguments.json:
        print_json(asdict(taken))
    _say(
        f"{taken.people} people, {taken.courses} courses, {taken.events} events and "
        f"{taken.resources} resources taken. Nobody can sign in by it: make an account with "
        "openketamine create-account."
    )
    return 0


def run(arguments: argparse.Namespace) -> int:
    start_django()
    prepare_database()
    from openketamine.clinic.accounts.models import User

    actor: User | str = "command line"
    if arguments.username:
        found = User.objects.filter(username=arguments.username).first()
        if found is None:
            _say(f"There is no account {arguments.username!r}.")
            return 1
        actor = found
    summaries = []
    for number, path in enumerate(arguments.files, start=1):
        summaries.append(_import(actor, path))
        # Progress goes to standard error, so that --json stays clean.
        _say(f"[{number}/{len(arguments.files)}] {_line(summaries[-1])}")
    if arguments.json:
        print_json([summary.as_dict() for summary in summaries])
    refused = sum(summary.status == "refused" for summary in summaries)
    _say(f"{len(summaries) - refused} imported, {refused} refused.")
    return 1 if refused else 0


def _import(actor: object, path: Path) -> ImportSummary:
    from .referrals import ImportSummary, import_referral

    try:
        raw = path.read_bytes()
    except OSError as error:
        return ImportSummary(str(path), "refused", place=str(path), reason=error.strerror or "")
    return import_referral(actor, raw, name=path.name)  # type: ignore[arg-type]


def _line(summary: ImportSummary) -> str:
    if summary.status == "refused":
        return f"{summary.name}: REFUSED at {summary.place}: {summary.reason}"
    counts = ", ".join(f"{count} {what}" for what, count in summary.counts.items() if count)
    person = summary.person
    return (
        f"{summary.name}: {summary.status}, {person}, MRN {person.mrn if person else ''}; {counts}"
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201
