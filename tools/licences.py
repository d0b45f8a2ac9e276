"""Which licence each installed package of a clinic is under; fails where one is not among ours."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Licences under which a package may be used beside an Apache-2.0 program that does not change it.
ALLOWED = (
    "0BSD", "apache", "bsd", "cc0", "cnri", "hpnd", "isc", "lgpl", "lesser general public",
    "mit", "mozilla public license 2.0", "mpl-2.0", "mpl 2.0", "psf",
    "python software foundation", "unlicense", "zlib",
)  # fmt: skip
# Whose metadata name none; read in the licence file that the package brings along.
READ = {"pyrage": "MIT"}


def wanted() -> set[str]:
    """The packages that a clinic installs, by their normalised names."""
    lines = (ROOT / "requirements" / "base.txt").read_text().splitlines()
    found = {match[1] for line in lines if (match := re.match(r"([A-Za-z0-9_.-]+)==", line))}
    return {normal(name) for name in found}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def report() -> list[tuple[str, str, str]]:
    """Name, version and licence of each installed package that a clinic installs."""
    told = subprocess.run(
        [sys.executable, "-m", "piplicenses", "--format=json", "--from=mixed", "--with-system"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = wanted()
    return sorted(
        (item["Name"], item["Version"], READ.get(item["Name"], item["License"]))
        for item in json.loads(told)
        if normal(item["Name"]) in names
    )


def strangers(found: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Those whose licence is not among those that are known to fit."""
    return [item for item in found if not any(part.lower() in item[2].lower() for part in ALLOWED)]


if __name__ == "__main__":
    found = report()
    for name, version, licence in found:
        sys.stdout.write(f"{name} {version}: {licence.splitlines()[0]}\n")
    if unknown := strangers(found):
        sys.exit(f"Not among the licences that fit: {unknown}")
