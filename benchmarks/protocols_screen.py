"""How long it takes to put one person through every rule of the library, for all routes at once.

    python benchmarks/protocols_screen.py [--json]

Three people: nothing known, everything known and nothing found, and many findings; each by every
route for one condition. Each figure is the best of several rounds, so that whatever else the
machine does is left out.
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
    healthy: dict[str, object] = {**dict.fromkeys(booleans, False), "unrecognised_medicines": []}
    poorly: dict[str, object] = {
        **dict.fromkeys(booleans, True),
        "unrecognised_medicines": ["Zorkamine 5 mg"],
    }
    for fact in library.facts.values():
        if fact.kind == "choice":
            healthy[fact.id], poorly[fact.id] = fact.choices[0], fact.choices[-1]
        elif fact.kind == "number":
            healthy[fact.id], poorly[fact.id] = fact.minimum, fact.maximum
    healthy |= {
        "age_years": 41,
        "systolic_mmhg": 124,
        "diastolic_mmhg": 78,
        "phq9_total": 17,
        "gad7_total": 9,
        "albumin_g_per_l": 42,
        "failed_adequate_trials": 3,
    }
    people = {"nothing known": {}, "nothing found": healthy, "everything found": poorly}
    report = []
    for name, facts in people.items():

        def once(facts: dict[str, object] = facts) -> dict[str, list[protocols.Finding]]:
            return protocols.screen_routes(library, facts, condition="TRD", on=date(2026, 11, 24))

        best_s = min(timeit.repeat(once, number=100, repeat=7)) / 100
        report.append(
            {"person": name, "findings": sum(map(len, once().values())), "best_ms": best_s * 1000}
        )
    rules = sum(len(entry.stances) for entry in library.screening)
    if arguments.json:
        print(json.dumps({"rules": rules, "budget_ms": BUDGET_MS, "people": report}, indent=2))
        return
    print(f"{rules} rules over all routes, {library.version}, budget {BUDGET_MS:g} ms a person")
    for row in report:
        print(f"{row['person']:<18} {row['findings']:>3} findings  {row['best_ms']:.3f} ms")


if __name__ == "__main__":
    main()
