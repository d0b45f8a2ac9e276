"""Concentrations over time from a model, individual parameters and doses.

The solver is exact (see `kernels`): no step size, no tolerance. It knows states and flows, never
a drug's name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from openketamine.pharmacology import kernels
from openketamine.pharmacology.dosing import (
    Dose,
    Inputs,
    RateSegment,
    begins_min,
    elementary_inputs,
    ends_min,
)
from openketamine.pharmacology.expressions import evaluate
from openketamine.pharmacology.models import Model
from openketamine.pharmacology.people import Parameters, Person, sample_parameters

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: The analyte that `Kinetics` adds when it is given ke0: the concentration at the effect site.
EFFECT_SITE = "effect site"

# People per piece of work: its modes and results stay in the processor's cache.
_PIECE = 256
_NG_PER_ML = 1000.0  # of mg/L


@dataclass(frozen=True, slots=True)
class _Structure:
    """States in downstream order, and the groups that exchange among themselves."""

    order: Ints
    blocks: Ints
    parent: Ints
    star: Ints
    trees: bool
    source: Ints
    to: Ints
    loses: Ints


def _structure(states: int, source: Ints, to: Ints, loses: Ints) -> _Structure:
    inside = to >= 0
    reach = np.eye(states, dtype=bool)
    reach[source[inside], to[inside]] = True
    for _ in range(states.bit_length()):
        reach = reach @ reach
    # States that reach one another are one group; it is known by its first state.
    label = (reach & reach.T).argmax(axis=1)
    count = states
    feeds = np.zeros((count, count), dtype=bool)
    for s, t in zip(source[inside], to[inside], strict=True):
        if label[s] != label[t]:
            feeds[label[s], label[t]] = True
    waiting = sorted({int(g) for g in label})
    groups: list[int] = []
    while waiting:
        ready = next(g for g in waiting if not feeds[waiting, g].any())
        waiting.remove(ready)
        groups.append(ready)
    edges = {(int(s), int(t)) for s, t in zip(source[inside], to[inside], strict=True)}
    order: list[int] = []
    blocks = [0]
    parent: list[int] = []
    star: list[int] = []
    trees = True
    for g in groups:
        members = [i for i in range(states) if label[i] == g]
        near = {i: [j for j in members if (i, j) in edges or (j, i) in edges] for i in members}
        mutual = all((j, i) in edges for i in members for j in near[i] if (i, j) in edges)
        links = sum(len(n) for n in near.values()) // 2
        trees = trees and mutual and links == len(members) - 1
        # The best connected state first: the centre of a star.
        root = max(members, key=lambda i: len(near[i]))
        walk, hung = [root], {root: -1}
        for i in walk:
            for j in near[i]:
                if j not in hung:
                    hung[j] = i
                    walk.append(j)
        base = len(order)
        place = {i: base + k for k, i in enumerate(walk)}
        order += walk
        parent += [-1 if hung[i] == -1 else place[hung[i]] for i in walk]
        star.append(int(all(hung[i] in (-1, root) for i in walk)))
        blocks.append(len(order))
    position = np.empty(states, dtype=np.int64)
    position[order] = np.arange(states)
    return _Structure(
        order=position,
        blocks=np.array(blocks, dtype=np.int64),
        parent=np.array(parent, dtype=np.int64),
        star=np.array(star, dtype=np.int64),
        trees=trees,
        source=position[source],
        to=np.where(inside, position[to], -1),
        loses=loses,
    )


def _twins(s: _Structure, targets: Ints, observed: Ints) -> Ints:
    """For each state, the one that alone feeds it and feeds nothing else, -1 for none.

    What leaves the second of such a pair depends on the two rates alike, so that equal ones may be
    told apart symmetrically; which holds only where no dose enters between and nothing is seen.
    """
    twin = np.full(len(s.order), -1, dtype=np.int64)
    for state in range(len(s.order)):
        feeds = np.flatnonzero(s.to == state)
        if len(feeds) != 1 or state in targets or not s.loses[feeds[0]]:
            continue
        before = s.source[feeds[0]]
        if (s.source == before).sum() == 1 and before not in observed and before != state:
            twin[state] = before
    return twin


@dataclass(frozen=True, slots=True)
class _Modes:
    lam: Array
    b: Array
    c: Array
    good: Ints

    def take(self, indices: Ints) -> _Modes:
        return _Modes(self.lam[indices], self.b[indices], self.c[indices], self.good[indices])


class Kinetics:
    """A model with the parameters of n people, ready to be asked for concentrations.

    Eigenvalues and coefficients are worked out once, on the first question, and serve any doses
    and times after that.

    Args:
        model: structure and units.
        parameters: individual values, n people.
        ke0_per_min: rate of the effect site, shape (n,) or a number; adds the analyte
            `EFFECT_SITE`, which follows the parent's concentration.
    """

    def __init__(
        self,
        model: Model,
        parameters: Parameters,
        ke0_per_min: npt.ArrayLike | None = None,
    ) -> None:
        if parameters.names != tuple(model.parameters):
            raise ValueError(f"These parameters are not of model {model.id}.")
        self.model = model
        self.parameters = parameters
        people = len(parameters)
        named = parameters.named()
        states = list(model.all_states)
        flows = model.all_flows
        unit = model.minutes_per_unit
        rates = [evaluate(flow.rate, named, people) / unit for flow in flows]
        source = [states.index(flow.from_) for flow in flows]
        to = [-1 if flow.to is None else states.index(flow.to) for flow in flows]
        loses = [1] * len(flows)
        names = list(model.analytes)
        observed = [states.index(a.state) for a in model.analytes.values()]
        scale = [
            _NG_PER_ML * a.factor / evaluate(a.volume, named, people)
            for a in model.analytes.values()
        ]
        if ke0_per_min is not None:
            ke0 = np.broadcast_to(np.asarray(ke0_per_min, dtype=np.float64), (people,))
            states.append(EFFECT_SITE)
            site = len(states) - 1
            # The site takes nothing from the blood: it follows the parent's concentration.
            source += [observed[0], site]
            to += [site, -1]
            loses += [0, 1]
            rates += [ke0 * scale[0], ke0]
            names.append(EFFECT_SITE)
            observed.append(site)
            scale.append(np.ones(people))
        self.analytes = tuple(names)
        self._rates = np.ascontiguousarray(np.array(rates))
        if not (np.isfinite(self._rates).all() and (self._rates >= 0).all()):
            raise ValueError(f"A rate of model {model.id} is negative or not a number.")
        structure = _structure(
            len(states),
            np.array(source, dtype=np.int64),
            np.array(to, dtype=np.int64),
            np.array(loses, dtype=np.int64),
        )
        self._structure = structure
        self._observed = structure.order[np.array(observed, dtype=np.int64)]
        self._scale = np.array(scale)
        if not (np.isfinite(self._scale).all() and (self._scale > 0).all()):
            raise ValueError(f"A volume of model {model.id} is not above 0.")
        entries = sorted(
            {
                states.index(model.entry(path))
                for route in model.routes_of_dose.values()
                for path in route.paths
            }
        )
        self._entries = np.array(entries, dtype=np.int64)
        self._targets = structure.order[self._entries]
        self._twin = _twins(structure, self._targets, self._observed)
        self._modes: _Modes | None = None

    def __len__(self) -> int:
        return len(self.parameters)

    def take(self, indices: Ints) -> Kinetics:
        """The people of these indices (repeats allowed), with what was worked out for them."""
        other = object.__new__(Kinetics)
        other.__dict__.update(self.__dict__)
        other.parameters = self.parameters.take(indices)
        other._rates = self._rates[:, indices]
        other._scale = self._scale[:, indices]
        other._modes = None if self._modes is None else self._modes.take(indices)
        return other

    def at(
        self,
        doses: Sequence[Dose | RateSegment],
        times_min: npt.ArrayLike,
        *,
        threads: int | None = None,
    ) -> dict[str, Array]:
        """Concentrations of every analyte.

        A dose at the very moment of a time counts as given. With a dose in steady state, times
        before it show only what other doses left.

        Args:
            doses: doses and rate segments, of routes the model covers.
            times_min: shape (t,), any order.
            threads: at most this many; by default the processors at hand for large questions.

        Returns:
            analyte name -> ng/mL, shape (n, t).
        """
        result = self._solve(doses, times_min, threads)
        return {name: result[i] for i, name in enumerate(self.analytes)}

    def auc_inf(self, doses: Sequence[Dose | RateSegment]) -> dict[str, Array]:
        """Area under each concentration from the doses' start for ever, ng*h/mL, shape (n,)."""
        inputs = elementary_inputs(self.model, self.parameters, doses)
        area = self._areas()
        given = self._given(inputs, np.inf)
        return {
            name: np.einsum("nm,mn->n", area[:, i, :], given)
            for i, name in enumerate(self.analytes)
        }

    def auc_until(self, doses: Sequence[Dose | RateSegment], time_min: float) -> dict[str, Array]:
        """Area under each concentration up to a time, ng*h/mL, shape (n,).

        All that was given by then, less what the amounts still in the body will yet make.
        """
        inputs = elementary_inputs(self.model, self.parameters, doses)
        area = self._areas()
        given = self._given(inputs, time_min)
        left = self._amounts(inputs, time_min)
        return {
            name: np.einsum("nm,mn->n", area[:, i, :], given - left)
            for i, name in enumerate(self.analytes)
        }

    def clearance_l_per_h(self, analyte: str) -> Array:
        """Dose over area of an analyte whose own state a dose enters at once, L/h, shape (n,)."""
        area, _ = self._moments(analyte)
        return _NG_PER_ML / area

    def steady_state_volume_l(self, analyte: str) -> Array:
        """Clearance times mean residence time after an injection, L, shape (n,)."""
        area, moment = self._moments(analyte)
        volume: Array = _NG_PER_ML * moment / (area * area)
        return volume

    def _moments(self, analyte: str) -> tuple[Array, Array]:
        """Area (ng*h/mL) and first moment (ng*h^2/mL) after 1 mg into the analyte's state."""
        if analyte not in self.analytes:
            raise ValueError(
                f"Model {self.model.id} has no analyte '{analyte}'. It has: "
                f"{', '.join(self.analytes)}."
            )
        i = self.analytes.index(analyte)
        state = self._observed[i]
        k = np.swapaxes(self._rate_matrices(), 1, 2)
        seen = np.zeros((len(self), k.shape[1], 1))
        seen[:, state, 0] = self._scale[i]
        once = -np.linalg.solve(k, seen)
        twice = -np.linalg.solve(k, once)
        area = np.asarray(once[:, state, 0] / 60.0, dtype=np.float64)
        return area, np.asarray(twice[:, state, 0] / 3600.0, dtype=np.float64)

    def _areas(self) -> Array:
        """Area (ng*h/mL) that one mg in each state makes, shape (n, a, m)."""
        people, states = len(self), len(self._structure.order)
        k = self._rate_matrices()
        seen = np.zeros((people, states, len(self.analytes)))
        for i, state in enumerate(self._observed):
            seen[:, state, i] = self._scale[i]
        area = -np.linalg.solve(np.swapaxes(k, 1, 2), seen)
        return np.swapaxes(area, 1, 2) / 60.0

    def _rate_matrices(self) -> Array:
        """Of dx/dt = k x for each person, shape (n, m, m)."""
        s = self._structure
        states = len(s.order)
        k = np.zeros((len(self), states, states))
        for f in range(len(s.source)):
            if s.loses[f]:
                k[:, s.source[f], s.source[f]] -= self._rates[f]
            if s.to[f] >= 0:
                k[:, s.to[f], s.source[f]] += self._rates[f]
        return k

    def _given(self, inputs: Inputs, until_min: float) -> Array:
        """Amount put into each state by a time, shape (m, n)."""
        given = np.zeros((len(self._structure.order), len(self)))
        for e, target in enumerate(inputs.target):
            begun = until_min - inputs.start_min[e]
            lasts = inputs.duration_min[e]
            share = np.where(
                lasts > 0, np.clip(begun / np.where(lasts > 0, lasts, 1), 0, 1), begun >= 0
            )
            given[self._structure.order[target]] += inputs.amount_mg[e] * share
        return given

    def _amounts(self, inputs: Inputs, time_min: float) -> Array:
        """Amount in each state at a time, shape (m, n)."""
        states = len(self._structure.order)
        other = object.__new__(Kinetics)
        other.__dict__.update(self.__dict__)
        other.analytes = tuple(str(i) for i in range(states))
        other._observed = np.arange(states, dtype=np.int64)
        other._scale = np.ones((states, len(self)))
        other._modes = None
        amounts: Array = other._solve_inputs(inputs, np.array([time_min]), None)[:, :, 0]
        return amounts

    def _solve(
        self,
        doses: Sequence[Dose | RateSegment],
        times_min: npt.ArrayLike,
        threads: int | None,
    ) -> Array:
        times = np.asarray(times_min, dtype=np.float64)
        if times.ndim != 1 or not np.isfinite(times).all():
            raise ValueError("Times must be a row of numbers, in minutes.")
        inputs = elementary_inputs(self.model, self.parameters, doses)
        if times.size > 1 and (np.diff(times) < 0).any():
            order = np.argsort(times, kind="stable")
            result = np.empty((len(self.analytes), len(self), times.size))
            result[:, :, order] = self._solve_inputs(inputs, times[order], threads)
            return result
        return self._solve_inputs(inputs, times, threads)

    def _solve_inputs(self, inputs: Inputs, times: Array, threads: int | None) -> Array:
        people = len(self)
        out = np.empty((len(self.analytes), people, times.size))
        if times.size == 0:
            return out
        if inputs.target.size == 0:
            out[:] = 0.0
            return out
        late = inputs.every_min[:, None] - inputs.duration_min
        if ((late < 0) & (inputs.every_min[:, None] > 0)).any():
            raise ValueError("In steady state each dose must have entered before the next begins.")
        step = _even_step(times)
        if self._modes is None:
            modes = self._empty_modes(people)
            fresh = True
        else:
            modes, fresh = self._modes, False
        slot = np.searchsorted(self._entries, inputs.target)
        s = self._structure

        def piece(first: int) -> None:
            part = slice(first, min(first + _PIECE, people))
            lam, b, c, good = modes.lam[part], modes.b[part], modes.c[part], modes.good[part]
            if fresh and s.trees:
                kernels.decompose(
                    self._rates,
                    s.source,
                    s.to,
                    s.loses,
                    s.blocks,
                    s.parent,
                    s.star,
                    self._twin,
                    self._targets,
                    self._observed,
                    self._scale,
                    first,
                    lam,
                    b,
                    c,
                    good,
                )
            kernels.simulate_modal(
                lam,
                b,
                c,
                good,
                slot,
                inputs.start_min,
                inputs.duration_min,
                inputs.amount_mg,
                inputs.every_min,
                times,
                step,
                first,
                out,
            )
            rest = first + np.flatnonzero(good == 0)
            if rest.size:
                kernels.simulate_exponential(
                    self._rates,
                    s.source,
                    s.to,
                    s.loses,
                    len(s.order),
                    self._observed,
                    self._scale,
                    rest,
                    s.order[inputs.target],
                    inputs.start_min,
                    inputs.duration_min,
                    inputs.amount_mg,
                    inputs.every_min,
                    times,
                    out,
                )

        pieces = range(0, people, _PIECE)
        workers = _workers(threads, people * times.size)
        if workers == 1 or len(pieces) == 1:
            for first in pieces:
                piece(first)
        else:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(piece, pieces))
        if fresh:
            self._modes = modes
        return out

    def _empty_modes(self, people: int) -> _Modes:
        m = len(self._structure.order)
        return _Modes(
            lam=np.empty((people, m)),
            b=np.empty((people, m, len(self._targets))),
            c=np.empty((people, len(self.analytes), m)),
            good=np.zeros(people, dtype=np.int64),
        )


def _even_step(times: Array) -> float:
    """The spacing of an even grid, or 0."""
    if times.size < 3:
        return 0.0
    step = float(times[-1] - times[0]) / (times.size - 1)
    # Not farther off its place than rounding puts it.
    even = times[0] + step * np.arange(times.size)
    tolerance = 8 * np.finfo(np.float64).eps * max(abs(times[0]), abs(times[-1]))
    return step if step > 0 and bool((np.abs(times - even) <= tolerance).all()) else 0.0


def _workers(threads: int | None, size: int) -> int:
    if threads is not None:
        return max(1, threads)
    if size < 200_000:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def concentrations(
    model: Model,
    parameters: Parameters,
    doses: Sequence[Dose | RateSegment],
    times_min: npt.ArrayLike,
) -> dict[str, Array]:
    """Concentrations of every analyte of a model.

    Args:
        parameters: n people (`typical_parameters`, `sample_parameters`).
        doses: doses and rate segments; minutes from the start of the session.
        times_min: shape (t,).

    Returns:
        analyte name -> ng/mL, shape (n, t).

    Raises:
        ValueError: the model lacks a route, or a value is impossible.
    """
    return Kinetics(model, parameters).at(doses, times_min)


def population(
    model: Model,
    person: Person,
    n: int,
    doses: Sequence[Dose | RateSegment],
    times_min: npt.ArrayLike,
    *,
    seed: int,
    chunk: int = 20_000,
) -> Iterator[Mapping[str, Array]]:
    """Concentrations of very many plausible people, a chunk at a time, in bounded memory.

    Yields:
        analyte name -> ng/mL, shape (up to `chunk`, t); the chunks make n people together.
    """
    route = doses[0].route if doses else None
    for number, first in enumerate(range(0, n, chunk)):
        size = min(chunk, n - first)
        # A seed for each chunk from one: the draw does not depend on how many are asked for.
        own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        parameters = sample_parameters(model, person, size, seed=own, route=route)
        yield concentrations(model, parameters, doses, times_min)


@dataclass(frozen=True, slots=True)
class Exposure:
    """Peak, its time, and areas of one analyte, each of shape (n,)."""

    cmax_ng_per_ml: Array
    tmax_min: Array
    auc_inf_ng_h_per_ml: Array
    auc_0_24h_ng_h_per_ml: Array


def exposure(
    kinetics: Kinetics, doses: Sequence[Dose | RateSegment], *, step_min: float = 0.5
) -> dict[str, Exposure]:
    """Peak, time of the peak and areas of each analyte, per person.

    The peak is looked for every `step_min` from the first dose to 8 h after the last, more coarsely
    for another 16 h and where doses span days (times count from the session's start); the areas are
    exact.
    """
    begin = min(begins_min(d) for d in doses)
    last = max(ends_min(d) for d in doses) + 480.0
    fine = np.arange(begin, last, max(step_min, (last - begin) / 5000.0))
    coarse = np.arange(last, last + 960.0 + 5, 10.0)
    peak = {name: np.full(len(kinetics), -1.0) for name in kinetics.analytes}
    when = {name: np.zeros(len(kinetics)) for name in kinetics.analytes}
    for times in (fine, coarse):
        for name, conc in kinetics.at(doses, times).items():
            at = conc.argmax(axis=1)
            top = conc[np.arange(len(kinetics)), at]
            higher = top > peak[name]
            peak[name] = np.where(higher, top, peak[name])
            when[name] = np.where(higher, times[at], when[name])
    # Once more at the very end of each infusion, where its peak is.
    for at_min in sorted({ends_min(d) for d in doses}):
        for name, conc in kinetics.at(doses, [at_min]).items():
            higher = conc[:, 0] > peak[name]
            peak[name] = np.where(higher, conc[:, 0], peak[name])
            when[name] = np.where(higher, at_min, when[name])
    whole = kinetics.auc_inf(doses)
    day = kinetics.auc_until(doses, begin + 1440.0)
    return {
        name: Exposure(peak[name], when[name], whole[name], day[name]) for name in kinetics.analytes
    }
