"""The command `openketamine`.

Each sub-command is registered by the package that it belongs to; only those that need the clinic
load Django. Exit status: 0 done, 1 refused or failed, 2 called wrongly.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from openketamine import __version__

# Modules with a `register(subparsers)` of their own. Importing them must stay cheap.
_REGISTRARS = (
    "openketamine.site.cli",
    "openketamine.operations.cli",
    "openketamine.exchange.fhir.cli",
    "openketamine.exchange.hl7v2.cli",
    "openketamine.pharmacology.cli",
    "openketamine.protocols.cli",
    "openketamine.clinic.notices.cli",
    "openketamine.clinic.outcomes.cli",
    "openketamine.clinic.policy.cli",  # after protocols, to which it adds
)


class Parser(argparse.ArgumentParser):
    """A parser, here and of every sub-command, that refuses in one line."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{self.prog}: {message} (see {self.prog} --help)\n")
        raise SystemExit(2)


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = Parser(
        prog="openketamine",
        description="The open-source system that a ketamine-therapy programme runs on.",
    )
    parser.add_argument("--version", action="version", version=f"openketamine {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in _REGISTRARS:
        import_module(name).register(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    arguments = build_parser().parse_args(argv)
    try:
        return int(arguments.run(arguments) or 0)
    except BrokenPipeError:
        # The reader went away (`… | head`): point stdout at nothing, so that its flush is quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
