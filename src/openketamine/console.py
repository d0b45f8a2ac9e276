"""What every command prints in the same way."""

import json
import sys


def print_json(value: object) -> None:
    """What `--json` prints: one document, for machines."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")
