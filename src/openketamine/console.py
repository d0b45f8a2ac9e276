"""What every command prints in the same way."""

import argparse
import json
import sys
from typing import Any


def print_json(value: object) -> None:
    """What `--json` prints: one document, for machines."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def acts_of(parser: argparse.ArgumentParser) -> Any:
    """Where a command takes its acts, so that another package can add one of its own."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return action
    raise ValueError(f"{parser.prog} has no acts")
