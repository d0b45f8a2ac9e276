"""Do the intervals of a forecast hold? Many simulated patients, two sessions each.

    python benchmarks/forecast_calibration.py [--patients 300] [--people 1024] [--json]

Each patient is drawn from the population of the models and relations, has a day of its own in each
session, and is read as a clinic reads: every 10 to 20 minutes, with rough readings, artefacts,
dropouts and true jumps. The forecast is given the readings up to a time, and its 90 % intervals are
held against those after it. Then the same where the world is not as the forecast believes.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.pharmacology import simulated

from openketamine.pharmacology import Dose, Forecast, Person, RateSegment, load_model

AT = [10.0, 20.0, 30.0, 40.0, 55.0, 70.0, 90.0, 120.0]
KNOWN_UNTIL = (0.0, 25.0, 60.0)
PERSON = Person(age_years=43, weight_kg=82, sex="female")
REGIMENS = {
    "infusion, 0.5 mg/kg over 40 min": ("racemic-iv", [RateSegment(0, 40, 61.5)]),
    "infusion with a pause": (
        "racemic-iv",
        [RateSegment(0, 15, 61.5), RateSegment(25, 50, 61.5)],
    ),
    "spray, 84 mg": (
        "perez-ruixo-2021-esketamine",
        [Dose(0, 28, "nasal"), Dose(5, 28, "nasal"), Dose(10, 28, "nasal")],
    ),
}


def study(model_id: str, doses: list, patients: int, people: int, **world: float) -> dict:
    """Share of held-back readings inside their 90 % interval, and its width."""
    model = load_model(model_id)
    rng = np.random.default_rng(11)
    inside: dict[str, list[bool]] = {}
    width: dict[int, list[float]] = {0: [], 1: []}
    for number in range(patients):
        patient = simulated.Patient.drawn(model, PERSON, rng)
        carried = None
        for which in (0, 1):
            done = simulated.session(patient, doses, AT, rng, **world)
            forecast = Forecast.start(
                model, PERSON, done.baseline, doses, seed=number, n=people, carried=carried
            )
            before = forecast.quantiles([40.0], of_readings=False).quantities["systolic_mmhg"]
            width[which].append(float(before.values[4, 0] - before.values[0, 0]))
            for known_until in KNOWN_UNTIL:
                forecast.update(doses, [r for r in done.readings if r.time_min <= known_until])
                curves = forecast.quantiles(AT)
                for reading, sound in zip(done.readings, done.sound, strict=True):
                    if reading.value is None or reading.time_min <= known_until:
                        continue
                    rows = curves.quantities[reading.quantity].values
                    at = AT.index(reading.time_min)
                    holds = bool(rows[0, at] <= reading.value <= rows[4, at])
                    groups = ["all readings", f"after those of {known_until:g} min"]
                    groups += [f"session {which + 1}", reading.quantity]
                    groups += ["sound readings"] if sound else []
                    for group in groups:
                        inside.setdefault(group, []).append(holds)
            carried = forecast.update(doses, done.readings).carry_over()
    return {
        "coverage": {k: round(float(np.mean(v)), 4) for k, v in sorted(inside.items())},
        "readings": len(inside["all readings"]),
        "systolic_width_at_40_min": [round(float(np.mean(width[k])), 2) for k in (0, 1)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=300)
    parser.add_argument("--people", type=int, default=1024)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    size = (arguments.patients, arguments.people)
    report = {name: study(model, doses, *size) for name, (model, doses) in REGIMENS.items()}
    model, doses = REGIMENS["infusion, 0.5 mg/kg over 40 min"]
    report["a quieter world: no artefacts, no jumps"] = study(
        model, doses, *size, artefacts=False, dropout=0.0
    )
    report["half of all readings lost"] = study(model, doses, *size, dropout=0.5)
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    for name, found in report.items():
        first, second = found["systolic_width_at_40_min"]
        print(f"{name} ({found['readings']} readings)")
        for group, share in found["coverage"].items():
            print(f"  {group:28}{100 * share:6.1f} %")
        print(f"  systolic at 40 min, width before session 1: {first:.1f}, 2: {second:.1f} mmHg")


if __name__ == "__main__":
    main()
