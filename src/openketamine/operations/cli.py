"""`openketamine backup`, `restore`, `doctor`, `backup-key` and `migrate-store`."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from openketamine.clinic.boot import prepare_database, start_django
from openketamine.console import print_json

if TYPE_CHECKING:
    from argparse import _SubParsersAction
    from collections.abc import Callable


def register(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    key = subparsers.add_parser("backup-key", help="make the key that opens encrypted backups")
    key.add_argument("file", type=Path, help="where to write it; keep it away from the server")
    key.set_defaults(run=run_key)

    backup = subparsers.add_parser("backup", help="back the whole clinic up, encrypted")
    backup.add_argument("folder", type=Path, help="where backups are kept")
    backup.add_argument(
        "--recipient",
        action="append",
        metavar="age1…",
        help="who can open it; may be repeated (default: OPENKETAMINE_BACKUP_RECIPIENTS)",
    )
    backup.add_argument(
        "--changes",
        action="store_true",
        help="SQLite: only what changed since the last one; once a day it is full all the same",
    )
    backup.add_argument(
        "--keep-days", type=int, metavar="DAYS", help="afterwards remove what is older"
    )
    backup.add_argument("--demo", action="store_true", help="the demonstration clinic")
    backup.add_argument("--json", action="store_true", help="print JSON")
    backup.set_defaults(run=run_backup)

    restore = subparsers.add_parser("restore", help="put a backup back, whole, or refuse it whole")
    restore.add_argument("source", type=Path, help="a backup, or the folder that holds them")
    restore.add_argument("--key", type=Path, required=True, help="the file from backup-key")
    restore.add_argument(
        "--at",
        type=_moment,
        metavar="TIME",
        help="the last backup made until then, e.g. 2026-11-25T10:30Z (with a folder)",
    )
    restore.add_argument(
        "--replace", action="store_true", help="let a SQLite database with data stand aside"
    )
    restore.add_argument(
        "--check", action="store_true", help="open and compare everything, change nothing"
    )
    restore.add_argument("--demo", action="store_true", help="the demonstration clinic")
    restore.add_argument("--json", action="store_true", help="print JSON")
    restore.set_defaults(run=run_restore)

    doctor = subparsers.add_parser("doctor", help="say what is in order here and what is not")
    doctor.add_argument(
        "--backups",
        type=Path,
        metavar="FOLDER",
        help="where backups should be (or OPENKETAMINE_BACKUPS)",
    )
    doctor.add_argument("--demo", action="store_true", help="the demonstration clinic")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.set_defaults(run=run_doctor)

    moving = subparsers.add_parser(
        "migrate-store", help="move a running clinic from SQLite to PostgreSQL, whole or not at all"
    )
    moving.add_argument("--to", required=True, metavar="URL", help="postgresql://…, empty")
    moving.add_argument("--json", action="store_true", help="print JSON")
    moving.set_defaults(run=run_move)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; write 2026-11-25T10:30Z or 2026-11-25T10:30+01:00"
        ) from None
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no zone; add Z for UTC, or e.g. +01:00")
    return moment.astimezone(UTC)


def _or_refused(act: Callable[[], int]) -> int:
    from openketamine.clinic.errors import Refused

    try:
        return act()
    except Refused as refusal:
        print(refusal.message, file=sys.stderr)  # noqa: T201
        return 1


def run_key(arguments: argparse.Namespace) -> int:
    from . import sealed

    def act() -> int:
        recipient = sealed.new_key(arguments.file)
        print(  # noqa: T201
            f"{arguments.file} opens backups made for\n{recipient}\n"
            "Without this file no backup can be opened: keep two copies of it, away from the "
            "server.\nTell the server only the recipient: OPENKETAMINE_BACKUP_RECIPIENTS."
        )
        return 0

    return _or_refused(act)


def run_backup(arguments: argparse.Namespace) -> int:
    start_django(demo=arguments.demo)
    from . import backup

    recipients = (
        arguments.recipient
        or os.environ.get("OPENKETAMINE_BACKUP_RECIPIENTS", "").replace(",", " ").split()
    )

    def act() -> int:
        made = backup.make(arguments.folder, recipients, only_changes=arguments.changes)
        gone = (
            backup.prune(arguments.folder, timedelta(days=arguments.keep_days))
            if arguments.keep_days is not None
            else []
        )
        if arguments.json:
            print_json(
                {
                    "file": str(made.path),
                    "kind": made.kind,
                    "bytes": made.bytes,
                    "rows": made.rows,
                    "events": made.events,
                    "seconds": round(made.seconds, 3),
                    "removed": [path.name for path in gone],
                }
            )
        else:
            print(  # noqa: T201
                f"{made.path}: {made.kind}, {made.bytes / 1e6:.1f} MB, {made.rows} rows, "
                f"{made.events} events, {made.seconds:.1f} s."
                + (f" {len(gone)} older ones removed." if gone else "")
            )
        return 0

    return _or_refused(act)


def run_restore(arguments: argparse.Namespace) -> int:
    start_django(demo=arguments.demo)
    from .restore import restore

    def act() -> int:
        done = restore(
            arguments.source,
            arguments.key,
            at=arguments.at,
            replace=arguments.replace,
            only_check=arguments.check,
        )
        if arguments.json:
            print_json(
                {
                    "made_at": done.made_at.isoformat(),
                    "rows": done.rows,
                    "events": done.events,
                    "backups_read": done.steps,
                    "moved_aside": str(done.moved_aside) if done.moved_aside else None,
                    "restored": not arguments.check,
                }
            )
        else:
            verb = "is whole" if arguments.check else "is restored"
            aside = f" What was there before: {done.moved_aside}." if done.moved_aside else ""
            print(  # noqa: T201
                f"The clinic as of {done.made_at:%Y-%m-%d %H:%M:%S} UTC {verb}: {done.rows} rows "
                f"in every table as counted then, {done.events} events, chain intact.{aside}"
            )
        return 0

    return _or_refused(act)


def run_doctor(arguments: argparse.Namespace) -> int:
    start_django(demo=arguments.demo)
    from .doctor import examine

    folder = arguments.backups or os.environ.get("OPENKETAMINE_BACKUPS")
    found = examine(Path(folder) if folder else None)
    if arguments.json:
        print_json([vars(finding) for finding in found])
    else:
        marks = {"ok": "ok       ", "attention": "attention", "wrong": "WRONG    "}
        for finding in found:
            print(f"{marks[finding.verdict]}  {finding.what}: {finding.said}")  # noqa: T201
            if finding.to_do:
                print(f"           → {finding.to_do}")  # noqa: T201
    return 1 if any(finding.verdict == "wrong" for finding in found) else 0


def run_move(arguments: argparse.Namespace) -> int:
    start_django()
    prepare_database()
    from .move import move

    def act() -> int:
        done = move(arguments.to)
        if arguments.json:
            print_json(vars(done))
        else:
            print(  # noqa: T201
                f"{done.rows} rows of {done.tables} tables moved and compared, {done.events} "
                f"events, chain intact, {done.seconds:.1f} s. The old database takes no more "
                "writes.\nSet OPENKETAMINE_DATABASE_URL to the new one and restart."
            )
        return 0

    return _or_refused(act)
