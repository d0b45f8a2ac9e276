"""`openketamine protocols check|list|show|diff`: the clinical library on the command line."""

from __future__ import annotations

import argparse
import os
import sys
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

    act("check", "refuse a broken file with file, line and reason", check)
    listed = act("list", "every entry with its certainty and authority", list_entries)
    listed.add_argument("--kind", help="one kind only, e.g. contraindication")
    listed.add_argument("--certainty", help="one certainty only, e.g. recalled")
    act("show", "one entry in full", show).add_argument("id", metavar="ID")
    act("diff", "what the clinic's files change", diff)


def _clinics_overlay() -> Path | None:
    home = os.environ.get("OPENKETAMINE_HOME")
    folder = Path(home) / "protocols" if home else None
    return folder if folder and folder.is_dir() else None


def _load(arguments: argparse.Namespace) -> Library | None:
    """The library under the overlay, or None after saying what is wrong."""
    from .library import ProtocolError, load

    if arguments.overlay is not None and not arguments.overlay.is_dir():
        _complain(f"There is no folder {arguments.overlay}. Give the folder of the clinic's files.")
        return None
    try:
        return load(arguments.overlay)
    except ProtocolError as error:
        if arguments.json:
            print_json({"ok": False, "error": str(error)})
        _complain(str(error))
        return None


def check(arguments: argparse.Namespace) -> int:
    library = _load(arguments)
    if library is None:
        return 1
    from .catalogue import coverage, entries

    every = entries(library)
    rows = coverage(library)
    report = {
        "ok": True,
        "version": library.version,
        "digest": library.digest,
        "policy_digest": library.policy_digest,
        "files": len(library.parts),
        "entries": len(every),
        "to_sign": len(library.policy),
        "reviewed_on": min(entry.reviewed_on for entry in every).isoformat(),
        "reference_rows": len(rows),
        "reference_rows_encoded": sum(bool(row.entries) for row in rows),
    }
    if arguments.json:
        print_json(report)
        return 0
    _say(f"Library {library.version}: {report['files']} files, {report['entries']} entries, sound.")
    _say(f"{report['to_sign']} entries are clinic policy and need the director's signature.")
    _say(
        f"{report['reference_rows_encoded']} of {report['reference_rows']} rows of the clinical "
        f"reference are encoded, the others listed with the reason."
    )
    _say(f"Oldest review {report['reviewed_on']}. SHA-256 {report['digest']}")
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
    _say(f"{entry.kind}, {entry.area or 'all routes'}; {entry.file}, reviewed {entry.reviewed_on}")
    if entry.source:
        _say(f"Source: {library.source(entry.source)}")
        _say(f"Certainty: {entry.certainty}. Shown as: {entry.authority or 'its source'}")
    if entry.refs:
        _say(f"Reference rows: {', '.join(entry.refs)}")
    _say("")
    _say(yaml.safe_dump(entry.content, allow_unicode=True, sort_keys=False, width=96).rstrip())
    return 0


def diff(arguments: argparse.Namespace) -> int:
    if arguments.overlay is None:
        _complain("There is no overlay to compare. Give its folder: --overlay FOLDER")
        return 1
    library = _load(arguments)
    if library is None:
        return 1
    from .catalogue import diff as compare
    from .library import load

    own = load()
    changes = compare(own, library)
    if arguments.json:
        print_json(
            {
                "before": own.version,
                "after": library.version,
                "changes": [vars(change) for change in changes],
            }
        )
        return 0
    _say(f"{own.version} → {library.version}: {len(changes)} differences")
    for change in changes:
        _say(f"{change.file}: {change.where}")
        if change.before is not None:
            _say(f"  - {change.before}")
        if change.after is not None:
            _say(f"  + {change.after}")
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _complain(line: str) -> None:
    sys.stderr.write(line + "\n")
