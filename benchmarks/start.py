"""From nothing to the first forecast: fresh processes, with the kernels already compiled on disk.

    python benchmarks/start.py [--json] [--repeats 7]

The baseline is a fresh process that imports NumPy and Numba and does nothing; what lies above it is
the package's own. A first, unmeasured round fills the cache of compiled kernels. Beside the time on
the wall stands the processors' own, which other work on the machine does not lengthen as much.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

LIMIT_S = 2.0
CONCENTRATIONS = """
from openketamine.pharmacology import Dose, Kinetics, Person, load_model, sample_parameters
model = load_model("racemic-iv")
people = sample_parameters(model, Person(age_years=43, weight_kg=82), 4096, seed=1, route="iv")
found = Kinetics(model, people).at([Dose(0, 41, "iv", 40)], range(0, 241, 5))
assert found["ketamine"].shape == (4096, 49)
"""
SESSION = """
from openketamine.pharmacology import Dose, Forecast, Person, load_model
model = load_model("racemic-iv")
forecast = Forecast.start(
    model, Person(age_years=43, weight_kg=82), {"systolic_mmhg": 128}, [Dose(0, 41, "iv", 40)]
)
assert "systolic_mmhg" in forecast.quantiles().quantities
"""
COMMAND = (
    "forecast --drug racemic --route iv --dose 0.5mg/kg --over 40min --weight 82 --age 43 --json -"
)
PROCESSES = {
    "nothing but NumPy and Numba": [sys.executable, "-c", "import numpy, numba"],
    "concentrations of 4,096 people": [sys.executable, "-c", CONCENTRATIONS],
    "the forecast of a session": [sys.executable, "-c", SESSION],
    "the command `openketamine forecast`": [
        sys.executable,
        "-m",
        "openketamine.cli",
        *COMMAND.split(),
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    taken: dict[str, list[float]] = {name: [] for name in PROCESSES}
    worked: dict[str, list[float]] = {name: [] for name in PROCESSES}
    for command in PROCESSES.values():
        subprocess.run(command, capture_output=True, check=True)
    for _ in range(arguments.repeats):
        for name, command in PROCESSES.items():
            began, before = time.perf_counter(), os.times()
            subprocess.run(command, capture_output=True, check=True)
            after = os.times()
            taken[name].append(time.perf_counter() - began)
            worked[name].append(
                after.children_user
                + after.children_system
                - before.children_user
                - before.children_system
            )
    median_s = {name: statistics.median(times) for name, times in taken.items()}
    processor_s = {name: statistics.median(times) for name, times in worked.items()}
    base = median_s["nothing but NumPy and Numba"]
    if arguments.json:
        report = {"limit_s": LIMIT_S, "median_s": median_s, "processor_s": processor_s}
        print(json.dumps(report, indent=2))
        return
    for name, seconds in median_s.items():
        print(
            f"{name:38} {seconds:6.2f} s  {processor_s[name]:6.2f} s of processor time  "
            f"{seconds / base:5.1f} times the baseline"
        )
    print(f"limit for a first forecast: {LIMIT_S:g} s")


if __name__ == "__main__":
    main()
