"""How long a forecast takes to learn from a new reading, with every quantity drawn anew.

    python benchmarks/forecast_update.py [--json] [--rounds N]

4,096 versions of a person, a 40-minute infusion, a cuff reading (systolic, diastolic, heart rate)
every five minutes. Measured on one core after warm-up, with medians of many rounds, by the clock
and by the processor's own count, which other programs disturb less and of which the ratio is:

- one value: `update` with one new value and `quantiles` of all eleven quantities at 49 times;
- one cuff: the same with the three values of a cuff reading;
- new doses: `update` after a pause of the pump, which works the session out anew, and `quantiles`.

Against them, in the same run and with the same numbers, the plain way: solve the kinetics of all
versions again, run a Kalman filter in NumPy through every reading so far, and sort each column for
its weighted quantiles. Both must agree.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from openketamine.pharmacology import (
    SIGNALS,
    SYMPTOMS,
    Forecast,
    Person,
    RateSegment,
    Reading,
    load_model,
)
from openketamine.pharmacology.effects import (
    EFFECT_NORMALS,
    effect_site,
    members,
    rise_shape,
    symptom_probability,
)
from openketamine.pharmacology.kinetics import Kinetics
from openketamine.pharmacology.people import individual_parameters

BUDGET_MS = 5.0
PLAN = [RateSegment(0, 40, 61.5)]
TIMES = np.arange(0, 241, 5.0)
CUFFS = [
    Reading(5.0 * i, name, value + (i * 7 % 5) - 2)
    for i in range(1, 13)
    for name, value in zip(SIGNALS, (128 + 18 * min(i / 8, 1), 86, 78), strict=True)
]


def start() -> Forecast:
    person = Person(age_years=43, weight_kg=82, sex="female")
    return Forecast.start(
        load_model("racemic-iv"), person, dict(zip(SIGNALS, (128, 79, 72), strict=True)), PLAN
    )


class Spent:
    """Time spent in each round, by the clock and by the processor's own count."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def on(self, act: Callable[[], object]) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        act()
        self.cpu.append(1000 * (time.process_time() - cpu))
        self.wall.append(1000 * (time.perf_counter() - wall))

    def row(self, what: str) -> dict[str, object]:
        return {
            "what": what,
            "median_ms": statistics.median(self.wall),
            "p95_ms": float(np.quantile(self.wall, 0.95)),
            "cpu_median_ms": statistics.median(self.cpu),
        }


def updates(values_each: int, rounds: int) -> Spent:
    """Take in so many new values at a time, session after session."""
    spent = Spent()
    forecast = start()

    def learn(count: int) -> None:
        forecast.update(PLAN, CUFFS[:count])
        forecast.quantiles(TIMES)

    while len(spent.wall) < rounds:
        forecast.update(PLAN, [])  # Back to before the first reading.
        forecast.quantiles(TIMES)
        for count in range(values_each, len(CUFFS) + 1, values_each):
            spent.on(partial(learn, count))
    return spent


def plainly(forecast: Forecast, readings: list[Reading]) -> dict[str, np.ndarray]:
    """The same forecast from nothing, in NumPy."""
    ensemble = forecast._ensemble
    model, effects, vital = ensemble.model, ensemble.effects, ensemble.signals
    n, drawn = ensemble.n, ensemble._drawn
    own = drawn[:, : -len(EFFECT_NORMALS)]
    parameters = individual_parameters(model, ensemble.person, own, ensemble.route)
    plasma = Kinetics(model, parameters).at(PLAN, ensemble.grid_min, threads=1)
    versions = members(effects, drawn[:, -len(EFFECT_NORMALS) :])
    site = effect_site(effects, model, plasma[model.parent], 1.0, versions.pace)
    shape = rise_shape(effects, site)
    mean = np.zeros((n, 9))
    mean[:, 3:6], mean[:, 6:] = vital.resting_mean, vital.gain_mean
    cov = np.zeros((9, 9))
    cov[:3, :3] = vital.wandering_cov
    np.fill_diagonal(cov[:3, :3], ensemble.wandering_var)
    cov[3:6, 3:6] = vital.resting_cov
    cov[6:, 6:] = vital.gain_person_cov + vital.gain_occasion_cov
    cov = np.repeat(cov[None], n, axis=0)
    log = np.zeros(n)
    at = None
    share = {k: p.value for k, p in effects["readings"].parameters.items()}
    for reading in readings:
        k = SIGNALS.index(reading.quantity)
        passed = 0.0 if at is None else reading.time_min - at
        at = reading.time_min
        keep = np.exp(-passed / vital.wandering_min)
        mean[:, :3] *= keep
        cov[:, :3, :] *= keep
        cov[:, :, :3] *= keep
        cov[:, :3, :3] += (1 - keep**2) * vital.wandering_cov
        look = np.zeros((n, 9))
        look[:, k] = look[:, 3 + k] = 1
        place = int(reading.time_min - ensemble.grid_min[0])
        look[:, 6 + k] = shape[:, place] if reading.time_min >= 0 else 0
        off = reading.value - np.einsum("ni,ni->n", look, mean)
        reach = np.einsum("nij,nj->ni", cov, look)
        spread = np.einsum("ni,ni->n", look, reach)
        sound = vital.reading_sd[k] ** 2
        jump = vital.wandering_cov[k, k] * share["jump_factor"] ** 2
        jumped = -np.expm1(-max(passed, 2.0) / share["jump_every_min"])
        unit = np.eye(9)[k]
        ways = [
            (1 - share["rough_share"] - share["artefact_share"] - jumped, spread + sound, 0.0),
            (share["rough_share"], spread + sound * share["rough_factor"] ** 2, 0.0),
            (jumped, spread + sound + jump, jump),
        ]
        part = [p * np.exp(-0.5 * off**2 / s) / np.sqrt(2 * np.pi * s) for p, s, _ in ways] + [
            np.full(n, share["artefact_share"] / share["artefact_range"])
        ]
        total = sum(part)
        log += np.log(total)
        new_mean = mean * (part[3] / total)[:, None]
        moved, kept = [], [(part[3] / total, mean, cov)]
        for (_, s, extra), weight in zip(ways, part, strict=False):
            gain = (reach + extra * unit) / s[:, None]
            m = mean + gain * off[:, None]
            c = (
                cov
                + extra * np.outer(unit, unit)
                - gain[:, :, None] * gain[:, None, :] * (s[:, None, None])
            )
            new_mean = new_mean + (weight / total)[:, None] * m
            kept.append((weight / total, m, c))
        moved = [
            w[:, None, None] * (c + (m - new_mean)[:, :, None] * (m - new_mean)[:, None, :])
            for w, m, c in kept
        ]
        mean, cov = new_mean, sum(moved)
    weights = np.exp(log - log.max())
    weights /= weights.sum()
    columns = {name: plasma[name][:, ::5] for name in model.analytes}
    columns["effect_site"] = site[:, ::5] * model.s_fraction
    for row, symptom in enumerate(SYMPTOMS):
        columns["p_" + symptom.replace(" ", "_")] = symptom_probability(
            columns["effect_site"],
            versions.thresholds[row][:, None],
            float(ensemble.moment_sd[row]),
        )
    columns["p_clear"] = (1 - columns["p_dissociation"]) * (1 - columns["p_sedation"])
    keep = np.exp(-np.abs(TIMES - (at or 0.0)) / vital.wandering_min)
    for k, name in enumerate(SIGNALS):
        look = np.zeros((n, len(TIMES), 9))
        look[:, :, k], look[:, :, 3 + k], look[:, :, 6 + k] = keep, 1, shape[:, ::5]
        level = np.einsum("nti,ni->nt", look, mean)
        variance = np.einsum("nti,nij,ntj->nt", look, cov, look, optimize=True)
        variance += (1 - keep**2) * ensemble.wandering_var[k]
        variance += forecast._errors(k, True)[:, None]
        columns[name] = level + np.sqrt(variance) * forecast._normals(k, 1)[0][:, None]
    found = {}
    for name, values in columns.items():
        order = np.argsort(values, axis=0)
        reached = np.cumsum(weights[order], axis=0)
        rows = [
            np.take_along_axis(order, (reached < q).sum(axis=0, keepdims=True).clip(0, n - 1), 0)
            for q in (0.05, 0.25, 0.5, 0.75, 0.95)
        ]
        found[name] = np.vstack([np.take_along_axis(values, row, 0) for row in rows])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--rounds", type=int, default=240)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    forecast = start().update(PLAN, CUFFS)
    ours = forecast.quantiles(TIMES).quantities
    theirs = plainly(forecast, list(forecast._ensemble.taken))
    if forecast._ensemble.moves:
        raise SystemExit("This session was resampled; the plain way cannot follow.")
    for name, values in theirs.items():
        apart = np.abs(values - ours[name].values) / (np.abs(values).max() or 1)
        if apart.max() > 0.005:
            raise SystemExit(f"{name} differs by {apart.max():.3g} of its greatest value.")
    rows = [
        updates(1, arguments.rounds).row("one value"),
        updates(3, arguments.rounds).row("one cuff (three values)"),
    ]
    pauses = Spent()
    for length in range(1, 21):
        doses = [RateSegment(0, 15, 61.5), RateSegment(15 + length, 40 + length, 61.5)]

        def pause(doses: list[RateSegment] = doses) -> None:
            forecast.update(doses, CUFFS[:15])
            forecast.quantiles(TIMES)

        pauses.on(pause)
    rows.append(pauses.row("new doses, 15 values"))
    plain = Spent()
    for _ in range(3):
        plain.on(lambda: plainly(forecast, [*forecast._baseline, *CUFFS]))
    rows.append(plain.row("the plain way"))
    for row in rows:
        row["times_faster"] = statistics.median(plain.cpu) / float(row["cpu_median_ms"])
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'':26}{'median':>10}{'95 %':>10}{'processor':>12}{'ratio':>8}")
    for row in rows:
        print(
            f"{row['what']:26}{row['median_ms']:7.2f} ms{row['p95_ms']:7.2f} ms"
            f"{row['cpu_median_ms']:9.2f} ms{row['times_faster']:7.0f}x"
        )
    print(f"aim: one value within {BUDGET_MS:g} ms")


if __name__ == "__main__":
    main()
