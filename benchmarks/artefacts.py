"""How many values of real bedside numerics the artefact rule marks, by kind, with examples.

    python benchmarks/artefacts.py FILE [--json]

FILE is a CSV with a column `minute` and columns as `openketamine replay-vitals` reads them. The
table goes into docs/monitors.md.
"""

import argparse
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from openketamine.clinic.boot import start_django

COLUMNS = {
    "HR": "heart_rate_bpm",
    "PULSE": "heart_rate_bpm",
    "RESP": "respiratory_rate_bpm",
    "SpO2": "spo2_percent",
    "NBPSys": "systolic_mmhg",
    "NBPDias": "diastolic_mmhg",
    "ABPSys": "systolic_mmhg",
    "ABPDias": "diastolic_mmhg",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    start_django()
    from openketamine.clinic.sessions.artefacts import Sieve
    from openketamine.exchange.hl7v2.replay import read_rows
    from openketamine.protocols import load, monitoring

    protocol = load().monitoring["IV"]
    rows = read_rows(arguments.file)
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    report = []
    for column, quantity in COLUMNS.items():
        sieve, marks, values = Sieve(), {}, []
        dropouts = empty = 0
        for row in rows:
            text = row.values.get(column, "")
            if not text or float(text) == 0:
                empty += not text
                dropouts += bool(text)
                continue
            value, at = float(text), begin + timedelta(minutes=row.minute)
            values.append((row.minute, value))
            index = len(values) - 1
            if monitoring.impossible(protocol, quantity, value):
                marks[index] = "impossible"
                continue
            alone, revisions = sieve.take(index, at, {quantity: value}, by_hand=False)
            for revision in revisions:
                marks[revision.index] = revision.artefact.kind if revision.artefact else ""
            if alone:
                marks[index] = alone[quantity].kind
        kinds = [kind for kind in marks.values() if kind]
        examples = [
            f"{values[i][1]:g} at minute {values[i][0]:g} ({kind})"
            for i, kind in marks.items()
            if kind
        ]
        report.append(
            {
                "column": column,
                "values": len(values),
                "dropouts": dropouts,
                "not measured": empty,
                "impossible": kinds.count("impossible"),
                "isolated": kinds.count("isolated"),
                "confirmed": list(marks.values()).count(""),
                "examples": examples[:4],
            }
        )
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    names = ["column", "values", "dropouts", "not measured", "impossible", "isolated", "confirmed"]
    print("| " + " | ".join([*names, "examples"]) + " |")
    print("|" + "---|" * (len(names) + 1))
    for line in report:
        cells = [str(line[name]) for name in names]
        print("| " + " | ".join([*cells, "; ".join(line["examples"]) or "–"]) + " |")


if __name__ == "__main__":
    main()
