"""`openketamine protocols propose|versions`: the clinic's own text on its way to the director."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from openketamine.console import acts_of, print_json

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def register(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add to the acts of `protocols` those that need the clinic's database."""
    acts = acts_of(subparsers.choices["protocols"])
    propose = acts.add_parser(
        "propose", help="lay the clinic's own text before the medical director for signature"
    )
    propose.add_argument("path", type=Path, metavar="PATH", help="its file, or folder of files")
    propose.add_argument("--note", required=True, help="what it is for, in a sentence")
    propose.add_argument("--json", action="store_true", help="print one JSON document")
    propose.set_defaults(run=run_propose)
    versions = acts.add_parser("versions", help="every version of the clinic's own text")
    versions.add_argument("--json", action="store_true", help="print one JSON document")
    versions.set_defaults(run=run_versions)


def run_propose(arguments: argparse.Namespace) -> int:
    from openketamine.protocols import Overlay, ProtocolError, load

    path: Path = arguments.path
    if not path.exists():
        return _refuse(f"There is no {path}.")
    try:
        load(path)  # here, so that a mistake is named by its own file and line
        text = Overlay.read(path).joined()
    except ProtocolError as error:
        return _refuse(str(error))

    from openketamine.clinic.boot import prepare_database, start_django

    start_django()
    prepare_database()
    from openketamine.clinic.errors import Refused
    from openketamine.clinic.policy import services
    from openketamine.clinic.policy.models import OverlayVersion

    try:
        made = services.propose_overlay(
            f"command line ({getpass.getuser()})",
            text=text,
            note=arguments.note,
            origin=OverlayVersion.Origin.COMMAND,
        )
    except Refused as refusal:
        return _refuse(refusal.message)
    if arguments.json:
        print_json({"version": made.number, "digest": made.digest})
    else:
        sys.stdout.write(
            f"Version {made.number} waits for the medical director, under Policy. Until it is "
            f"signed, what is in force stays in force.\n"
        )
    return 0


def run_versions(arguments: argparse.Namespace) -> int:
    from openketamine.clinic.boot import prepare_database, start_django

    start_django()
    prepare_database()
    from openketamine.clinic.policy import queries

    now, waiting = queries.governing(), queries.waiting()
    rows = [
        {
            "version": each.number,
            "proposed_at": each.proposed_at.isoformat(),
            "proposed_by": each.proposed_by,
            "note": each.note,
            "digest": each.digest,
            "state": queries.state_of(each, now, waiting),
        }
        for each in queries.versions()
    ]
    if arguments.json:
        print_json(rows)
        return 0
    sys.stdout.write(f"In force: {now.approval or 'nothing is signed'}\n")
    for row in rows:
        sys.stdout.write(
            f"{row['version']:>4}  {row['state']:<11} {row['proposed_at'][:10]}  {row['note']} "
            f"({row['proposed_by']})\n"
        )
    return 0


def _refuse(reason: str) -> int:
    sys.stderr.write(f"Not proposed. {reason}\n")
    return 1
