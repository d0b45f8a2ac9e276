"""`openketamine protocols check|list|show|diff|schema`: the library on the command line."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openketamine.console import print_json

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from .library import Library

# The library and its parser are imported by the commands that need them: `--help` stays quick.


def register(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `protocols` and its sub-commands."""
    parser = subparsers.add_parser("protocols", help="check, read and compare the clinical library")
    acts = parser.add_subparsers(dest="act", required=True, metavar="ACT")

    def act(name: str, help_text: str, run: Any) -> argparse.ArgumentParser:
        one: argparse.ArgumentParser = acts.add_parser(name, help=help_text)
        one.add_argument(
            "--overlay",
            type=Path,
            default=_clinics_overlay(),
            metavar="FOLDER",
            help="the clinic's own files (default: protocols in OPENKETAMINE_HOME, where there)",
        )
        one.add_argument("--json", action="store_true", help="print one JSON document")
        one.set_defaults(run=run)
        return one

    checked = act("check", "refuse a broken file with file, line and reason", check)
    checked.add_argument(
        "path",
        nargs="?",
        type=Path,
        metavar="PATH",
        help="a clinic's file or folder, if not its own",
    )
    checked.add_argument(
        "--on", type=_day, default=None, metavar="DAY", help="what is due on this day (today)"
    )
    listed = act("list", "every entry with its certainty and authority", list_entries)
    listed.add_argument("--kind", help="one kind only, e.g. contraindication")
    listed.add_argument("--certainty", help="one certainty only, e.g. recalled")
    act("show", "one entry in full", show).add_argument("id", metavar="ID")
    compared = act("diff", "what the clinic's files change, entry by entry", diff)
    compared.add_argument(
        "path",
        nargs="?",
        type=Path,
        metavar="PATH",
        help="a clinic's file or folder, if not its own",
    )
    compared.add_argument(
        "--against",
        type=Path,
        metavar="FOLDER",
        help="the folder of another version of the library, to compare this one with",
    )
    form = acts.add_parser("schema", help="the JSON Schema of one kind of file")
    form.add_argument("kind", metavar="KIND", help="e.g. eligibility, facts")
    form.set_defaults(run=print_schema)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day like 2026-11-24") from error


def _clinics_overlay() -> Path | None:
    home = os.environ.get("OPENKETAMINE_HOME")
    folder = Path(home) / "protocols" if home else None
    return folder if folder and folder.is_dir() else None


def _overlay_of(arguments: argparse.Namespace) -> Path | None:
    path: Path | None = getattr(arguments, "path", None) or arguments.overlay
    return path


def _load(arguments: argparse.Namespace) -> Library | None:
    """The library under the overlay, or None after saying what is wrong."""
    from .files import ProtocolError
    from .library import load

    overlay = _overlay_of(arguments)
    if overlay is not None and not overlay.exists():
        _complain(f"There is no {overlay}. Give a clinic's file, or the folder of its files.")
        return None
    try:
        return load(overlay)
    except ProtocolError as error:
        if arguments.json:
            fault = {"file": error.file, "line": error.line, "reason": error.reason}
            print_json({"ok": False, "error": str(error), **fault})
        _complain(str(error))
        return None


def check(arguments: argparse.Namespace) -> int:
    library = _load(arguments)
    if library is None:
        return 1
    from .catalogue import coverage, due, entries

    every = entries(library)
    rows = coverage(library)
    today = arguments.on or datetime.now().astimezone().date()
    overdue = due(library, today)
    report = {
        "ok": True,
        "version": library.version,
        "digest": library.digest,
        "policy_digest": library.policy_digest,
        "files": len(library.parts),
        "entries": len(every),
        "to_sign": len(library.policy),
        "departures": len(library.departures),
        "due": [{**vars(each), "on": each.on.isoformat()} for each in overdue],
        "reviewed_on": min(entry.reviewed_on for entry in every).isoformat(),
        "reference_rows": len(rows),
        "reference_rows_encoded": sum(bool(row.entries) for row in rows),
    }
    if arguments.json:
        print_json(report)
        return 0
    _say(f"Library {library.version}: {report['files']} files, {report['entries']} entries, sound.")
    if library.overlaid:
        _say(f"The clinic's files depart from it in {report['departures']} entries, with reasons.")
    _say(f"{report['to_sign']} entries are clinic policy and need the director's signature.")
    _say(
        f"{report['reference_rows_encoded']} of {report['reference_rows']} rows of the clinical "
        f"reference are encoded, the others listed with the reason."
    )
    _say(f"Oldest review {report['reviewed_on']}. SHA-256 {report['digest']}")
    for each in overdue:
        _say(f"DUE {each.file}{f' {each.entry}' if each.entry else ''} {each.what} {each.on}")
    return 0


def list_entries(arguments: argparse.Namespace) -> int:
    library = _load(arguments)
    if library is None:
        return 1
    from .catalogue import entries

    chosen = [
        entry
        for entry in entries(library)
        if arguments.kind in {None, entry.kind} and arguments.certainty in {None, entry.certainty}
    ]
    if arguments.json:
        print_json([entry.as_dict() for entry in chosen])
        return 0
    for entry in chosen:
        marks = " · ".join(filter(None, (entry.certainty, entry.authority)))
        _say(f"{entry.id:<28} {entry.kind:<18} {entry.statement}{f'  [{marks}]' if marks else ''}")
    if not chosen:
        kinds = ", ".join(sorted({entry.kind for entry in entries(library)}))
        _complain(f"Nothing matches. The kinds are: {kinds}.")
        return 1
    return 0


def show(arguments: argparse.Namespace) -> int:
    library = _load(arguments)
    if library is None:
        return 1
    import yaml

    from .catalogue import entries, find

    entry = find(library, arguments.id)
    if entry is None:
        near = [e.id for e in entries(library) if arguments.id.lower() in e.id.lower()][:5]
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        _complain(f"There is no entry {arguments.id!r}.{hint} `protocols list` names them all.")
        return 1
    if arguments.json:
        print_json(entry.as_dict())
        return 0
    _say(f"{entry.id}: {entry.statement}")
    _say(f"{entry.kind}, {entry.area or 'all routes'}; {entry.file}")
    _say(f"Reviewed {entry.reviewed_on}, next by {entry.review_by}")
    if entry.source:
        _say(f"Source: {library.source(entry.source)}")
        _say(f"Certainty: {entry.certainty}. Shown as: {entry.authority or 'its source'}")
    if entry.effective_from or entry.effective_to or entry.jurisdiction != "any":
        days = (
            f"from {entry.effective_from or 'always'} to {entry.effective_to or 'further notice'}"
        )
        _say(f"In force in {entry.jurisdiction}, {days}")
    if entry.refs:
        _say(f"Reference rows: {', '.join(entry.refs)}")
    _say("")
    _say(yaml.safe_dump(entry.content, allow_unicode=True, sort_keys=False, width=96).rstrip())
    return 0


def diff(arguments: argparse.Namespace) -> int:
    if _overlay_of(arguments) is None and arguments.against is None:
        _complain(
            "There is nothing to compare. Give a clinic's file or folder, or another version of "
            "the library: --against FOLDER"
        )
        return 1
    if arguments.against is not None and not arguments.against.is_dir():
        _complain(f"There is no folder {arguments.against}.")
        return 1
    after = _load(arguments)
    if after is None:
        return 1
    from .catalogue import diff as compare
    from .files import ProtocolError
    from .library import load
    from .words import value

    try:
        before = load(base=arguments.against)
    except ProtocolError as error:
        _complain(str(error))
        return 1
    changes = compare(before, after)
    if arguments.json:
        print_json(
            {
                "before": before.version,
                "after": after.version,
                "changes": [change.as_dict() for change in changes],
            }
        )
        return 0
    count = f"{len(changes)} entries differ" if len(changes) != 1 else "1 entry differs"
    _say(f"{before.version} → {after.version}: {count}")
    for change in changes:
        _say("")
        _say(f"{change.act.upper()} {change.entry}  ({change.file})")
        if change.statement:
            _say(f"  {change.statement}")
        for field in change.fields:
            old, new = (
                value(library.facts, field.field, stated)
                for library, stated in ((before, field.before), (after, field.after))
            )
            _say(f"  {field.field}: {old} → {new}")
        if change.because:
            _say(f"  because: {change.because}")
    return 0


def print_schema(arguments: argparse.Namespace) -> int:
    from .schema import FILES, published

    name = next((n for n in FILES if n.removesuffix(".yaml") == arguments.kind), None)
    if name is None:
        kinds = ", ".join(kind.removesuffix(".yaml") for kind in FILES)
        _complain(f"There is no kind {arguments.kind!r}. The kinds are: {kinds}.")
        return 1
    print_json(published(name))
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _complain(line: str) -> None:
    sys.stderr.write(line + "\n")
