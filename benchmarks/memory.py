"""A million people in bounded memory: concentrations in chunks, peaks kept, the rest let go.

    python benchmarks/memory.py [--json] [--people 1000000]

Each size runs in a process of its own, whose peak memory is that of the whole process, interpreter
and libraries included. That it does not grow with the people is what chunking is for.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

LIMIT_MB = 1000


def measure(people: int) -> dict[str, float]:
    """Peak memory and time of this process; called in a fresh one."""
    import resource

    import numpy as np

    from openketamine.pharmacology import Dose, Person, load_model, population

    began = time.perf_counter()
    peaks = []
    for chunk in population(
        load_model("racemic-iv"),
        Person(age_years=40, weight_kg=70),
        people,
        [Dose(0, 35, "iv", 40)],
        np.arange(289) * 5.0,
        seed=1,
    ):
        peaks.append(chunk["ketamine"].max(axis=1))
    cmax = np.concatenate(peaks)
    assert cmax.shape == (people,)
    low, middle, high = np.quantile(cmax, (0.05, 0.5, 0.95))
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "people": people,
        "peak_mb": rss / (1024 if sys.platform != "darwin" else 1024**2),
        "seconds": time.perf_counter() - began,
        "cmax_5": float(low),
        "cmax_50": float(middle),
        "cmax_95": float(high),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure(arguments.child)))
        return
    rows = []
    for people in (1_000, 100_000, arguments.people):
        done = subprocess.run(
            [sys.executable, __file__, "--child", str(people)],
            capture_output=True,
            text=True,
            check=True,
        )
        rows.append(json.loads(done.stdout))
    if arguments.json:
        print(json.dumps({"limit_mb": LIMIT_MB, "sizes": rows}, indent=2))
        return
    print("289 times, two analytes; peak memory of the whole process")
    for row in rows:
        print(
            f"{row['people']:>10,.0f} people {row['peak_mb']:8.0f} MB {row['seconds']:8.1f} s   "
            f"Cmax {row['cmax_50']:.0f} ({row['cmax_5']:.0f}-{row['cmax_95']:.0f}) ng/mL"
        )
    within = "within" if rows[-1]["peak_mb"] <= LIMIT_MB else "ABOVE"
    print(f"{within} the limit of {LIMIT_MB} MB")


if __name__ == "__main__":
    main()
