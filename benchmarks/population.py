"""10,000 people x 289 times: from parameters to concentrations, against other solvers and floors.

    python benchmarks/population.py [--json] [--repeats 9]

Three compartments and a metabolite, a 40-minute infusion, a reading every 5 minutes for 24 hours.
Everybody starts from the same parameters, and what every solver gives is compared with the others
before it is timed. Rounds are interleaved, so that whatever else the machine does falls on all
alike; figures are medians of wall time, and every ratio is of one run.

Compilation is left out for all. libRoadRunner and SciPy go person by person, so they do a share of
the people and are scaled up; that flatters them, if anything.

Two floors: writing the result array and nothing else, and the multiplications and additions that
its values need, done in registers on as many processors.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import jax
import numba
import numpy as np
from scipy.integrate import solve_ivp

from openketamine.pharmacology import Dose, Kinetics, Model, Parameters, Person, sample_parameters

jax.config.update("jax_enable_x64", True)
import diffrax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import roadrunner  # noqa: E402

PEOPLE = 10_000
TIMES_MIN = np.arange(289) * 5.0
DOSE_MG = 35.0
OVER_MIN = 40.0
SHARE = {"libroadrunner": 400, "scipy": 100}
# Tight enough for a millionth of the peak, no tighter.
RTOL, ATOL = 1e-6, 1e-6

NAMES = ("V1", "CL", "Q2", "V2", "Q3", "V3", "Vm", "CLm")


def _parameter(value: float, unit: str) -> dict[str, object]:
    return {"value": value, "unit": unit, "meaning": "of the benchmark", "certainty": "DESIGN"}


MODEL = Model.model_validate(
    {
        "id": "benchmark",
        "title": "Three compartments and a metabolite",
        "drugs": ["racemic"],
        "matrix": "venous",
        "population": "made up",
        "source": {"citation": "none"},
        "summary": "Of the size of the published models.",
        "time_unit": "h",
        "reference": {},
        "s_fraction": 0.5,
        "parameters": {
            "V1": _parameter(80, "L"),
            "CL": _parameter(79, "L/h"),
            "Q2": _parameter(157, "L/h"),
            "V2": _parameter(60, "L"),
            "Q3": _parameter(23, "L/h"),
            "V3": _parameter(112, "L"),
            "Vm": _parameter(150, "L"),
            "CLm": _parameter(58, "L/h"),
        },
        "variability": [
            {"parameters": [name], "omega": [[0.09]], "certainty": "DESIGN"} for name in NAMES
        ],
        "states": ["central", "second", "third", "metabolite"],
        "flows": [
            {"from": "central", "to": "second", "rate": "Q2 / V1"},
            {"from": "second", "to": "central", "rate": "Q2 / V2"},
            {"from": "central", "to": "third", "rate": "Q3 / V1"},
            {"from": "third", "to": "central", "rate": "Q3 / V3"},
            {"from": "central", "to": "metabolite", "rate": "CL / V1"},
            {"from": "metabolite", "rate": "CLm / Vm"},
        ],
        "routes_of_dose": {"iv": {"paths": [{"to": "central", "fraction": "1"}]}},
        "analytes": {
            name: {
                "state": state,
                "volume": volume,
                "meaning": name,
                "residual": {"certainty": "DESIGN"},
            }
            for name, state, volume in (
                ("drug", "central", "V1"),
                ("metabolite", "metabolite", "Vm"),
            )
        },
    }
)
PERSON = Person(age_years=40, weight_kg=70)


def ours(parameters: Parameters) -> np.ndarray:
    """(2, n, t) ng/mL: eigenvalues and all."""
    found = Kinetics(MODEL, parameters).at([Dose(0, DOSE_MG, "iv", OVER_MIN)], TIMES_MIN)
    return np.stack([found["drug"], found["metabolite"]])


def ours_timed(parameters: Parameters) -> None:
    # As a user calls it: two arrays in one piece of memory, not copied once more.
    Kinetics(MODEL, parameters).at([Dose(0, DOSE_MG, "iv", OVER_MIN)], TIMES_MIN)


def ours_again(kinetics: Kinetics) -> None:
    """The eigenvalues known from an earlier question."""
    kinetics.at([Dose(0, DOSE_MG, "iv", OVER_MIN)], TIMES_MIN)


def _field(t: object, x: jax.Array, args: tuple[jax.Array, float]) -> jax.Array:
    p, rate = args
    v1, cl, q2, v2, q3, v3, vm, clm = p
    central, second, third, metabolite = x
    out = (cl + q2 + q3) / v1 * central
    return (
        jnp.stack(
            [
                rate + q2 / v2 * second + q3 / v3 * third - out,
                q2 / v1 * central - q2 / v2 * second,
                q3 / v1 * central - q3 / v3 * third,
                cl / v1 * central - clm / vm * metabolite,
            ]
        )
        / 60.0
    )


def _diffrax(solver: diffrax.AbstractSolver) -> Callable[[jax.Array], jax.Array]:
    """Two solves, so that the end of the infusion is met exactly; over all people at once."""
    during = TIMES_MIN[TIMES_MIN <= OVER_MIN]
    after = TIMES_MIN[TIMES_MIN > OVER_MIN]
    term = diffrax.ODETerm(_field)
    controller = diffrax.PIDController(rtol=RTOL, atol=ATOL)

    def solve(
        x: jax.Array, p: jax.Array, rate: float, times: np.ndarray, start: float
    ) -> jax.Array:
        return diffrax.diffeqsolve(
            term,
            solver,
            t0=start,
            t1=float(times[-1]),
            dt0=0.5,
            y0=x,
            args=(p, rate),
            saveat=diffrax.SaveAt(ts=jnp.asarray(times)),
            stepsize_controller=controller,
            max_steps=4096,
            adjoint=diffrax.ForwardMode(),
        ).ys

    def one(p: jax.Array) -> jax.Array:
        first = solve(jnp.zeros(4), p, DOSE_MG / OVER_MIN * 60.0, during, 0.0)
        second = solve(first[-1], p, 0.0, after, OVER_MIN)
        x = jnp.concatenate([first, second])
        return 1000.0 * jnp.stack([x[:, 0] / p[0], x[:, 3] / p[6]])

    return jax.jit(jax.vmap(one, out_axes=1))


def _sbml() -> str:
    species = "".join(
        f'<species id="{s}" compartment="c" initialAmount="0" hasOnlySubstanceUnits="true" '
        f'boundaryCondition="false" constant="false"/>'
        for s in ("x1", "x2", "x3", "x4")
    )
    constants = "".join(
        f'<parameter id="{p}" value="1" constant="false"/>' for p in (*NAMES, "infused")
    )

    def times(*names: str) -> str:
        return "<apply><times/>" + "".join(f"<ci>{n}</ci>" for n in names) + "</apply>"

    def over(top: str, bottom: str) -> str:
        return f"<apply><divide/>{top}<ci>{bottom}</ci></apply>"

    def reaction(name: str, source: str | None, to: str | None, rate: str) -> str:
        def side(tag: str, species: str | None) -> str:
            if species is None:
                return ""
            return (
                f'<{tag}><speciesReference species="{species}" stoichiometry="1" '
                f'constant="true"/></{tag}>'
            )

        return (
            f'<reaction id="{name}" reversible="false" fast="false">'
            f"{side('listOfReactants', source)}{side('listOfProducts', to)}<kineticLaw>"
            f'<math xmlns="http://www.w3.org/1998/Math/MathML">{rate}</math></kineticLaw></reaction>'
        )

    reactions = "".join(
        [
            reaction("r0", None, "x1", "<ci>infused</ci>"),
            reaction("r1", "x1", "x2", over(times("Q2", "x1"), "V1")),
            reaction("r2", "x2", "x1", over(times("Q2", "x2"), "V2")),
            reaction("r3", "x1", "x3", over(times("Q3", "x1"), "V1")),
            reaction("r4", "x3", "x1", over(times("Q3", "x3"), "V3")),
            reaction("r5", "x1", "x4", over(times("CL", "x1"), "V1")),
            reaction("r6", "x4", None, over(times("CLm", "x4"), "Vm")),
        ]
    )
    return (
        '<?xml version="1.0"?><sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" '
        'level="3" version="1"><model id="m"><listOfCompartments><compartment id="c" size="1" '
        'spatialDimensions="3" constant="true"/></listOfCompartments>'
        f"<listOfSpecies>{species}</listOfSpecies>"
        f"<listOfParameters>{constants}</listOfParameters>"
        f"<listOfReactions>{reactions}</listOfReactions></model></sbml>"
    )


def _libroadrunner(values: np.ndarray) -> Callable[[], np.ndarray]:
    # It reads XML without a network, from a string.
    runner = roadrunner.RoadRunner(_sbml())
    runner.integrator.relative_tolerance = RTOL
    runner.integrator.absolute_tolerance = ATOL
    runner.timeCourseSelections = ["time", "x1", "x4"]
    during = int((TIMES_MIN <= OVER_MIN).sum())
    after = TIMES_MIN.size - during

    def run() -> np.ndarray:
        out = np.empty((2, len(values), TIMES_MIN.size))
        for i, row in enumerate(values):
            runner.reset()
            for name, value in zip(NAMES, row, strict=True):
                runner[name] = value
            runner["infused"] = DOSE_MG / OVER_MIN * 60.0
            first = np.array(runner.simulate(0, OVER_MIN / 60.0, during))
            runner["infused"] = 0.0
            second = np.array(runner.simulate(OVER_MIN / 60.0, TIMES_MIN[-1] / 60.0, after + 1))
            x = np.concatenate([first, second[1:]])
            out[0, i] = 1000.0 * x[:, 1] / row[0]
            out[1, i] = 1000.0 * x[:, 2] / row[6]
        return out

    return run


def _scipy(values: np.ndarray) -> np.ndarray:
    out = np.empty((2, len(values), TIMES_MIN.size))
    split = TIMES_MIN <= OVER_MIN
    for i, (v1, cl, q2, v2, q3, v3, vm, clm) in enumerate(values):
        k = (
            np.array(
                [
                    [-(cl + q2 + q3) / v1, q2 / v2, q3 / v3, 0],
                    [q2 / v1, -q2 / v2, 0, 0],
                    [q3 / v1, 0, -q3 / v3, 0],
                    [cl / v1, 0, 0, -clm / vm],
                ]
            )
            / 60.0
        )
        x = np.zeros(4)
        start = 0.0
        parts = []
        for times, rate in ((TIMES_MIN[split], DOSE_MG / OVER_MIN), (TIMES_MIN[~split], 0.0)):
            given = np.array([rate, 0, 0, 0])
            found = solve_ivp(
                lambda t, y, given=given, k=k: k @ y + given,
                (start, times[-1]),
                x,
                method="LSODA",
                jac=lambda t, y, k=k: k,
                t_eval=times,
                rtol=RTOL,
                atol=ATOL,
            )
            x, start = found.y[:, -1], float(times[-1])
            parts.append(found.y)
        y = np.concatenate(parts, axis=1)
        out[0, i] = 1000.0 * y[0] / v1
        out[1, i] = 1000.0 * y[3] / vm
    return out


def _write() -> None:
    out = np.empty((2, PEOPLE, TIMES_MIN.size))
    halves = np.array_split(np.arange(PEOPLE), WORKERS)

    def fill(part: np.ndarray) -> None:
        out[:, part[0] : part[-1] + 1] = 1.0

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(fill, halves))


@numba.njit(nogil=True, fastmath=True)
def _multiply_add(people: int, blocks: int) -> float:
    """What 8 values of the drug (3 modes) and 8 of the metabolite (4) need, in registers.

    Each of 4 modes is multiplied on by its own step, and added up with its coefficient.
    """
    total = np.zeros(8)
    for person in range(people):
        a = np.full(8, 1.0 + person * 1e-9)
        b, c, d = a * 0.9, a * 0.8, a * 0.7
        for _ in range(blocks):
            for z in range(8):
                drug = 0.5 * a[z] + 0.3 * b[z] + 0.2 * c[z] + 0.1
                made = 0.5 * a[z] + 0.3 * b[z] + 0.2 * c[z] + 0.4 * d[z] + 0.1
                a[z] *= 0.99
                b[z] *= 0.98
                c[z] *= 0.97
                d[z] *= 0.96
                total[z] += max(drug, made)
    return total.sum()


def _arithmetic() -> None:
    blocks = -(-TIMES_MIN.size // 8)
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda n: _multiply_add(n, blocks), [PEOPLE // WORKERS] * WORKERS))


WORKERS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument(
        "--quick", action="store_true", help="only the fastest of the others and the floors"
    )
    arguments = parser.parse_args()

    parameters = sample_parameters(MODEL, PERSON, PEOPLE, seed=1)
    values = np.stack([parameters.column(name) for name in NAMES], axis=1)
    on_device = jnp.asarray(values)
    few = {name: np.ascontiguousarray(values[:n]) for name, n in SHARE.items()}
    explicit = _diffrax(diffrax.Tsit5())
    higher = _diffrax(diffrax.Dopri8())
    implicit = _diffrax(diffrax.Kvaerno5())
    roadrunner_run = _libroadrunner(few["libroadrunner"])

    wanted = ours(parameters)
    peak = wanted.max(axis=2, keepdims=True)
    others = {"diffrax Tsit5": np.asarray(explicit(on_device))}
    if not arguments.quick:
        others |= {
            "diffrax Dopri8": np.asarray(higher(on_device)),
            "diffrax Kvaerno5": np.asarray(implicit(on_device)),
            "libroadrunner": roadrunner_run(),
            "scipy": _scipy(few["scipy"]),
        }
    apart = {
        name: float((np.abs(got - wanted[:, : got.shape[1]]) / peak[:, : got.shape[1]]).max())
        for name, got in others.items()
    }
    assert max(apart.values()) < 2e-3, apart
    del others

    known = Kinetics(MODEL, parameters)
    ours_again(known)
    _write()
    _arithmetic()
    contestants: dict[str, tuple[Callable[[], object], float]] = {
        "openketamine, end to end": (lambda: ours_timed(parameters), 1.0),
        "openketamine, eigenvalues known": (lambda: ours_again(known), 1.0),
        "diffrax Tsit5": (lambda: explicit(on_device).block_until_ready(), 1.0),
        "diffrax Dopri8": (lambda: higher(on_device).block_until_ready(), 1.0),
        "diffrax Kvaerno5": (lambda: implicit(on_device).block_until_ready(), 1.0),
        "libroadrunner": (lambda: roadrunner_run(), PEOPLE / SHARE["libroadrunner"]),
        "scipy": (lambda: _scipy(few["scipy"]), PEOPLE / SHARE["scipy"]),
        "floor: writing the result": (_write, 1.0),
        "floor: multiply-adds": (_arithmetic, 1.0),
    }
    for name in ("diffrax Dopri8", "diffrax Kvaerno5", "libroadrunner", "scipy"):
        if arguments.quick:
            del contestants[name]
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(arguments.repeats):
        for name, (act, scale) in contestants.items():
            # The quick ones more often: a hiccup of the machine is longer than they are.
            for _ in range(5 if "diffrax" not in name and scale == 1.0 else 1):
                began = time.perf_counter()
                act()
                taken[name].append((time.perf_counter() - began) * scale)
    median_ms = {name: 1000 * statistics.median(t) for name, t in taken.items()}
    best_ms = {name: 1000 * min(t) for name, t in taken.items()}
    own = median_ms["openketamine, end to end"]
    floor = max(ms for name, ms in median_ms.items() if name.startswith("floor"))
    fastest = min(ms for name, ms in median_ms.items() if name.startswith("diffrax"))
    report = {
        "people": PEOPLE,
        "times": int(TIMES_MIN.size),
        "processors": WORKERS,
        "median_ms": median_ms,
        "best_ms": best_ms,
        "farthest_from_ours": apart,
        "times_the_fastest_diffrax": fastest / own,
        "times_the_floor": own / floor,
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{PEOPLE:,} people x {TIMES_MIN.size} times, {WORKERS} processors; milliseconds")
    print(f"{'':34}{'median':>10}{'best':>10}{'ratio':>8}{'apart':>10}")
    for name, ms in median_ms.items():
        off = f"{apart[name]:.0e}" if name in apart else ""
        print(f"{name:34}{ms:10.1f}{best_ms[name]:10.1f}{ms / own:8.2f}{off:>10}")
    print(
        f"end to end: {fastest / own:.0f} times diffrax, {own / floor:.1f} times the larger floor"
    )


if __name__ == "__main__":
    main()
