"""`openketamine notices run`: sending and escalating in a process of its own."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from openketamine.clinic.boot import prepare_database, start_django
from openketamine.console import print_json

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def register(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("notices", help="send messages and escalate calls")
    acts = parser.add_subparsers(dest="act", required=True, metavar="ACT")
    run = acts.add_parser(
        "run", help="send and escalate until told to stop; the server does so too by itself"
    )
    run.add_argument("--once", action="store_true", help="one round, then stop")
    run.add_argument("--json", action="store_true", help="with --once: print JSON")
    run.add_argument("--demo", action="store_true", help="for the demonstration clinic")
    run.set_defaults(run=run_notices)


def run_notices(arguments: argparse.Namespace) -> int:
    start_django(demo=arguments.demo)
    prepare_database()
    from . import runner

    if not arguments.once:
        print("Sending and escalating. Stop with Ctrl-C.", flush=True)  # noqa: T201
        runner.Runner().run()
        return 0
    done = runner.run_once()
    if arguments.json:
        print_json({"calls": done.calls, "messages": done.messages})
    else:
        print(f"{done.calls} calls and {done.messages} messages looked after.")  # noqa: T201
    return 0
