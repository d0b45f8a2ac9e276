"""How long it takes to put one person through every rule of the library.

    python benchmarks/protocols_screen.py [--json]

Three people: nothing known, everything known and nothing found, and many findings. Each figure is
the best of several rounds, so that whatever else the machine does is left out.
"""

import argparse
import json
import timeit
from datetime import date

from openketamine import protocols

BUDGET_MS = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    library = protocols.load()
    booleans = [fact.id for fact in library.facts.values() if fact.kind == "boolean"]
    measured = {
        "age_years": 71,
        "sex": "female",
        "weight_kg": 72.5,
        "systolic_mmhg": 158,
        "diastolic_mmhg": 94,
        "phq9_total": 17,
        "gad7_total": 9,
        "hepatic_impairment": "moderate",
        "failed_adequate_trials": 1,
    }
    people = {
        "nothing known": {},
        "nothing found": {
            **dict.fromkeys(booleans, False),
            **measured,
            "age_years": 41,
            "systolic_mmhg": 124,
            "diastolic_mmhg": 78,
            "hepatic_impairment": "none",
            "failed_adequate_trials": 3,
        },
        "everything found": {**dict.fromkeys(booleans, True), **measured},
    }
    report = []
    for name, facts in people.items():

        def once(facts: dict[str, object] = facts) -> list[protocols.Finding]:
            return protocols.screen(
                library, facts, route="IV", condition="TRD", on=date(2026, 11, 24)
            )

        best_s = min(timeit.repeat(once, number=100, repeat=7)) / 100
        report.append({"person": name, "findings": len(once()), "best_ms": best_s * 1000})
    rules = sum(len(file.rules) for file in library.eligibility)
    if arguments.json:
        print(json.dumps({"rules": rules, "budget_ms": BUDGET_MS, "people": report}, indent=2))
        return
    print(f"{rules} rules, library {library.version}, budget {BUDGET_MS:g} ms a person")
    for row in report:
        print(f"{row['person']:<18} {row['findings']:>3} findings  {row['best_ms']:.3f} ms")


if __name__ == "__main__":
    main()
