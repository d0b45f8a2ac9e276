"""`openketamine outcomes refresh|export|dictionary`: the clinic's figures from the command line."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from openketamine.console import print_json

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def register(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    outcomes = subparsers.add_parser("outcomes", help="the clinic's outcomes: count, and take away")
    acts = outcomes.add_subparsers(dest="act", required=True, metavar="ACT")
    refresh = acts.add_parser("refresh", help="work out the counted rows of what has changed")
    refresh.add_argument("--all", action="store_true", help="of every course, changed or not")
    refresh.set_defaults(run=run_refresh)
    export = acts.add_parser("export", help="write the outcomes as CSV or Parquet, in one archive")
    export.add_argument("folder", type=Path, metavar="FOLDER", help="where the archive is put")
    export.add_argument(
        "--kind", choices=("registry", "clinic"), default="registry",
        help="registry: de-identified (the default); clinic: with dates and keys",
    )  # fmt: skip
    export.add_argument("--format", choices=("csv", "parquet"), default="csv")
    export.add_argument("--condition", default="", help="only of this condition, e.g. TRD")
    export.add_argument("--route", default="", help="only by this route, e.g. IV")
    export.add_argument("--regimen", default="", help="only of this regimen")
    export.set_defaults(run=run_export)
    dictionary = acts.add_parser("dictionary", help="what every column of an export means")
    dictionary.add_argument("--kind", choices=("registry", "clinic"), default="registry")
    dictionary.add_argument("--json", action="store_true", help="print one JSON document")
    dictionary.set_defaults(run=run_dictionary)
    for act in (refresh, export):
        act.add_argument("--demo", action="store_true", help="of the demonstration clinic")


def _start(demo: bool = False) -> None:
    from openketamine.clinic.boot import prepare_database, start_django

    start_django(demo=demo)
    prepare_database()


def run_refresh(arguments: argparse.Namespace) -> int:
    _start(arguments.demo)
    from openketamine.clinic.outcomes import summaries

    done = summaries.rebuild(everything=arguments.all)
    sys.stdout.write(f"{done} course{'s' * (done != 1)} worked out anew.\n")
    return 0


def run_export(arguments: argparse.Namespace) -> int:
    if not arguments.folder.is_dir():
        sys.stderr.write(f"Nothing exported. There is no folder {arguments.folder}.\n")
        return 1
    _start(arguments.demo)
    from openketamine.clinic.errors import Refused
    from openketamine.clinic.outcomes import exports, summaries
    from openketamine.clinic.outcomes.cohort import Filters

    summaries.rebuild()
    try:
        made = exports.export(
            f"command line ({getpass.getuser()})",
            kind=arguments.kind,
            file_format=arguments.format,
            filters=Filters(
                condition=arguments.condition, route=arguments.route, regimen=arguments.regimen
            ),
        )
    except Refused as refusal:
        sys.stderr.write(f"Nothing exported. {refusal.message}\n")
        return 1
    path = arguments.folder / made.name
    # Health data: for this user alone, de-identified or not.
    path.touch(mode=0o600)
    path.write_bytes(made.content)
    counted = ", ".join(f"{n} {table}" for table, n in made.rows.items())
    sys.stdout.write(
        f"{path}\n{counted}; smallest group of people who are alike: {made.smallest_group}\n"
        f"SHA-256 {made.digest}\n"
    )
    return 0


def run_dictionary(arguments: argparse.Namespace) -> int:
    _start()
    from openketamine.clinic.outcomes import exports

    words = exports.dictionary(arguments.kind)
    if arguments.json:
        print_json(words)
        return 0
    for each in words:
        unit = f", {each['unit']}" if each["unit"] else ""
        sys.stdout.write(
            f"{each['table']}.{each['column']} ({each['type']}{unit}): {each['about']}\n"
        )
    return 0
