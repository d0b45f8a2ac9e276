"""Compiled kernels of the linear compartment solver. Times in minutes, rates per minute.

Two exact ways, chosen person by person:

- **Modal.** Strongly connected groups of compartments that exchange in a tree (every published
  mammillary model) are similar to a symmetric matrix, so their eigenvalues are real: in closed
  form for up to three compartments around a centre, by Jacobi rotations beyond. The groups feed one
  another downstream, so the whole is triangular in their eigenbases, and its eigenvectors follow
  by substitution. Between two changes of input every concentration is a constant plus a sum of
  decaying exponentials, evaluated on an even grid by multiplication alone.
- **Matrix exponential.** Where modes nearly coincide, exchange goes round a cycle, or nothing is
  eliminated: scaling and squaring of the shifted matrix, in which no term is ever negative, so
  nothing cancels (Sidje and Stewart 1999, Comput Stat Data Anal 29:345-368).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
P = ParamSpec("P")
R = TypeVar("R")

# Points of an even grid that share one table of powers; a power of two.
LANES = 32
# Two equal compartments that are only ever passed through one after the other are told apart by
# this much, symmetrically about their mean: the error is of its square, (1e-5 k t)^2 / 6, and the
# rounding it costs is near 1e-16 / 1e-5.
_SPLIT = 1e-5
# Largest sum of magnitudes of modal coefficients, relative to a lower bound of the curve's peak.
_CONDITION = 1e7


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile once and keep on disk; run without the interpreter's lock."""
    kernel: Callable[P, R] = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return kernel


def compiled_fma(function: Callable[P, R]) -> Callable[P, R]:
    """As `compiled`, with a multiply and an add made one instruction, which only adds accuracy."""
    kernel: Callable[P, R] = numba.njit(
        cache=True, nogil=True, error_model="numpy", fastmath={"contract"}
    )(function)
    return kernel


@compiled
def _jacobi(a: Array, size: int, u: Array) -> None:
    """Eigenvalues of a symmetric matrix onto its diagonal, eigenvectors into the columns of u."""
    for i in range(size):
        for j in range(size):
            u[i, j] = 1.0 if i == j else 0.0
    for _ in range(60):
        off = 0.0
        scale = 0.0
        for i in range(size):
            scale += a[i, i] * a[i, i]
            for j in range(i):
                off += a[i, j] * a[i, j]
        if off <= 1e-60 * scale:
            return
        for p in range(size - 1):
            for q in range(p + 1, size):
                apq = a[p, q]
                if apq == 0.0:
                    continue
                theta = (a[q, q] - a[p, p]) / (2.0 * apq)
                t = 1.0 / (abs(theta) + math.sqrt(theta * theta + 1.0))
                if theta < 0.0:
                    t = -t
                cosine = 1.0 / math.sqrt(t * t + 1.0)
                sine = t * cosine
                for k in range(size):
                    x = a[k, p]
                    y = a[k, q]
                    a[k, p] = cosine * x - sine * y
                    a[k, q] = sine * x + cosine * y
                for k in range(size):
                    x = a[p, k]
                    y = a[q, k]
                    a[p, k] = cosine * x - sine * y
                    a[q, k] = sine * x + cosine * y
                for k in range(size):
                    x = u[k, p]
                    y = u[k, q]
                    u[k, p] = cosine * x - sine * y
                    u[k, q] = sine * x + cosine * y


@compiled
def _star3(a: Array, u: Array) -> bool:
    """Eigenvalues of minus a 3 x 3 symmetric star with its centre first, in closed form.

    Cubic by the trigonometric formula, then two Newton steps on the secular equation written so
    that nothing cancels for the slowest mode. False where a peripheral is all but a mode itself.
    """
    centre = -a[0, 0]
    b1 = -a[1, 1]
    b2 = -a[2, 2]
    s1 = a[0, 1] * a[0, 1]
    s2 = a[0, 2] * a[0, 2]
    if not (s1 > 0.0 and s2 > 0.0 and b1 > 0.0 and b2 > 0.0):
        return False
    c2 = centre + b1 + b2
    c1 = centre * b1 + centre * b2 + b1 * b2 - s1 - s2
    c0 = centre * b1 * b2 - s1 * b2 - s2 * b1
    mean = c2 / 3.0
    p = c1 - c2 * mean
    q = -2.0 * mean * mean * mean + mean * c1 - c0
    if not p < 0.0:
        return False
    radius = math.sqrt(-p / 3.0)
    angle = math.acos(max(-1.0, min(1.0, -q / (2.0 * radius * radius * radius)))) / 3.0
    net = centre - s1 / b1 - s2 / b2
    for i in range(3):
        lam = mean + 2.0 * radius * math.cos(angle - 2.0943951023931953 * i)
        for _ in range(2):
            g1 = 1.0 / (b1 - lam)
            g2 = 1.0 / (b2 - lam)
            f = net - lam * (1.0 + s1 * g1 / b1 + s2 * g2 / b2)
            slope = -(1.0 + s1 * g1 * g1 + s2 * g2 * g2)
            step = f / slope
            # Near a pole Newton may leave the root's own interval: then the cubic's root stands.
            if abs(step) < 1e-4 * abs(lam):
                lam -= step
        d1 = b1 - lam
        d2 = b2 - lam
        if abs(d1) < 1e-5 * b1 or abs(d2) < 1e-5 * b2 or not lam > 0.0:
            return False
        v1 = a[0, 1] / d1
        v2 = a[0, 2] / d2
        norm = 1.0 / math.sqrt(1.0 + v1 * v1 + v2 * v2)
        u[0, i] = norm
        u[1, i] = v1 * norm
        u[2, i] = v2 * norm
        a[i, i] = -lam
    return True


@compiled
def rate_matrix(rates: Array, person: int, source: Ints, to: Ints, loses: Ints, k: Array) -> None:
    """Fill the matrix of dx/dt = k x for one person."""
    k[:, :] = 0.0
    for f in range(source.shape[0]):
        r = rates[f, person]
        if loses[f] == 1:
            k[source[f], source[f]] -= r
        if to[f] >= 0:
            k[to[f], source[f]] += r


@compiled
def decompose(
    rates: Array,
    source: Ints,
    to: Ints,
    loses: Ints,
    blocks: Ints,
    parent: Ints,
    star: Ints,
    twin: Ints,
    targets: Ints,
    observed: Ints,
    scale: Array,
    first: int,
    lam: Array,
    b: Array,
    c: Array,
    good: Ints,
) -> None:
    """Modes of each person from `first` on: rates lam, entry b and exit c (see `Kinetics`).

    Args:
        rates: (flows, n) per minute.
        blocks: (groups + 1,) first state of each group, states in downstream order.
        parent: (states,) the neighbour each state of a tree hangs on, -1 for its root.
        star: (groups,) 1 where every state hangs on the first.
        twin: (states,) the state that alone feeds this one and feeds nothing else, -1 for none.
        targets: (p,) states that inputs enter; observed: (a,) states seen, with scale (a, n).
        lam: (n, m), b: (n, m, p), c: (n, a, m) are written; good: (n,) 1 where the modes serve.
    """
    m = parent.shape[0]
    k = np.zeros((m, m))
    s = np.zeros((m, m))
    u = np.zeros((m, m))
    t = np.zeros((m, m))
    ti = np.zeros((m, m))
    x = np.zeros((m, m))
    y = np.zeros((m, m))
    below = np.zeros((m, m))
    d = np.zeros(m)
    group = np.zeros(m, dtype=np.int64)
    split = np.zeros(m, dtype=np.int64)
    for g in range(blocks.shape[0] - 1):
        for i in range(blocks[g], blocks[g + 1]):
            group[i] = g
    for row in range(lam.shape[0]):
        person = first + row
        rate_matrix(rates, person, source, to, loses, k)
        ok = True
        for g in range(blocks.shape[0] - 1):
            lo = blocks[g]
            size = blocks[g + 1] - lo
            if size == 1:
                lam[row, lo] = -k[lo, lo]
                t[lo, lo] = 1.0
                ti[lo, lo] = 1.0
                continue
            d[lo] = 1.0
            for i in range(lo + 1, lo + size):
                up = k[i, parent[i]]
                down = k[parent[i], i]
                if not (up > 0.0 and down > 0.0):
                    ok = False
                    break
                d[i] = d[parent[i]] * math.sqrt(up / down)
            if not ok:
                break
            solved = False
            if size == 3 and star[g] == 1:
                for i in range(3):
                    s[i, i] = k[lo + i, lo + i]
                s[0, 1] = math.sqrt(k[lo + 1, lo] * k[lo, lo + 1])
                s[0, 2] = math.sqrt(k[lo + 2, lo] * k[lo, lo + 2])
                solved = _star3(s, u)
            if not solved:
                for i in range(size):
                    s[i, i] = k[lo + i, lo + i]
                    for j in range(i):
                        s[i, j] = math.sqrt(k[lo + i, lo + j] * k[lo + j, lo + i])
                        s[j, i] = s[i, j]
                _jacobi(s, size, u)
            for i in range(size):
                lam[row, lo + i] = -s[i, i]
                for j in range(size):
                    t[lo + j, lo + i] = d[lo + j] * u[j, i]
                    ti[lo + i, lo + j] = u[j, i] / d[lo + j]
        for i in range(m):
            if not (ok and lam[row, i] > 1e-9):
                ok = False
                break
        if ok:
            for i in range(m):
                split[i] = 0
            for i in range(m):
                for j in range(i):
                    mean = 0.5 * (lam[row, i] + lam[row, j])
                    if group[i] != group[j] and abs(lam[row, i] - lam[row, j]) < _SPLIT * mean:
                        if twin[i] != j or split[i] == 1 or split[j] == 1:
                            ok = False
                        lam[row, i] = mean * (1.0 + _SPLIT)
                        lam[row, j] = mean * (1.0 - _SPLIT)
                        split[i] = 1
                        split[j] = 1
        if not ok:
            good[row] = 0
            continue
        # Between groups, in their eigenbases: lower triangular.
        for i in range(m):
            hi = blocks[group[i] + 1]
            for j in range(m):
                below[j, i] = 0.0
                x[j, i] = 0.0
                y[j, i] = 0.0
            x[i, i] = 1.0
            y[i, i] = 1.0
            for j in range(hi, m):
                total = 0.0
                for p in range(blocks[group[j]], blocks[group[j] + 1]):
                    for q in range(blocks[group[i]], hi):
                        if k[p, q] != 0.0:
                            total += ti[j, p] * k[p, q] * t[q, i]
                below[j, i] = total
        for i in range(m):
            for j in range(blocks[group[i] + 1], m):
                total = below[j, i]
                for p in range(blocks[group[i] + 1], blocks[group[j]]):
                    total += below[j, p] * x[p, i]
                if total != 0.0:
                    x[j, i] = total / (lam[row, j] - lam[row, i])
        for i in range(m):
            for j in range(blocks[group[i] + 1], m):
                total = x[j, i]
                for p in range(blocks[group[i] + 1], blocks[group[j]]):
                    total += x[j, p] * y[p, i]
                y[j, i] = -total
        for p in range(targets.shape[0]):
            lo = blocks[group[targets[p]]]
            hi = blocks[group[targets[p]] + 1]
            for i in range(m):
                total = 0.0
                for q in range(lo, min(hi, m)):
                    if i >= lo:
                        total += y[i, q] * ti[q, targets[p]]
                b[row, i, p] = total
        for o in range(observed.shape[0]):
            lo = blocks[group[observed[o]]]
            hi = blocks[group[observed[o]] + 1]
            for i in range(m):
                total = 0.0
                for q in range(lo, hi):
                    total += t[observed[o], q] * x[q, i]
                c[row, o, i] = total * scale[o, person]
        for o in range(observed.shape[0]):
            for p in range(targets.shape[0]):
                size_of_terms = 0.0
                area = 0.0
                moment = 0.0
                for i in range(m):
                    r = c[row, o, i] * b[row, i, p]
                    size_of_terms += abs(r)
                    area += r / lam[row, i]
                    moment += r / (lam[row, i] * lam[row, i])
                # A curve of this area and first moment peaks at or above area^2 / (2 moment).
                if size_of_terms > 0.0 and not (
                    area > 0.0
                    and moment > 0.0
                    and size_of_terms * 2.0 * moment <= _CONDITION * area * area
                ):
                    ok = False
        good[row] = 1 if ok else 0


@compiled
def _sorted_events(
    person: int, start: Array, duration: Array, when: Array, which: Ints, kind: Ints
) -> int:
    """Events of one person in time order: 0 at once, 1 a rate begins, 2 a rate ends."""
    count = 0
    for e in range(start.shape[0]):
        column = person if start.shape[1] > 1 else 0
        begins = start[e, column]
        lasts = duration[e, column]
        for part in range(2 if lasts > 0.0 else 1):
            moment = begins + lasts * part
            at = count
            while at > 0 and when[at - 1] > moment:
                when[at] = when[at - 1]
                which[at] = which[at - 1]
                kind[at] = kind[at - 1]
                at -= 1
            when[at] = moment
            which[at] = e
            kind[at] = 0 if lasts <= 0.0 else 1 + part
            count += 1
    return count


@compiled_fma
def _run(
    weights: Array,
    rate: Array,
    elapsed: float,
    c: Array,
    constant: Array,
    power: Array,
    ahead: Array,
    now: Array,
    total: Array,
    out: Array,
    person: int,
    lo: int,
    hi: int,
) -> None:
    """Constant plus decaying exponentials at even points lo..hi-1, for every analyte.

    A block of points at a time: what each mode is worth at its first point, times the powers that
    all blocks share. Two modes go together, so that sums are stored half as often. Rounding below
    nothing is written as nothing.
    """
    modes = rate.shape[0]
    analytes = c.shape[0]
    for i in range(modes):
        now[i] = weights[i] if elapsed == 0.0 else weights[i] * math.exp(-rate[i] * elapsed)
    j = lo
    while j < hi:
        points = min(LANES, hi - j)
        for a in range(analytes):
            level = constant[a]
            for z in range(points):
                total[z] = level
            for i in range(0, modes - 1, 2):
                one = c[a, i] * now[i]
                two = c[a, i + 1] * now[i + 1]
                if one != 0.0 or two != 0.0:
                    for z in range(points):
                        total[z] += one * power[i, z] + two * power[i + 1, z]
            if modes % 2 == 1:
                one = c[a, modes - 1] * now[modes - 1]
                if one != 0.0:
                    for z in range(points):
                        total[z] += one * power[modes - 1, z]
            for z in range(points):
                out[a, person, j + z] = max(total[z], 0.0)
        for i in range(modes):
            now[i] *= ahead[i]
        j += points


@compiled
def simulate_modal(
    lam: Array,
    b: Array,
    c: Array,
    good: Ints,
    slot: Ints,
    start: Array,
    duration: Array,
    amount: Array,
    every: Array,
    times: Array,
    step: float,
    first: int,
    out: Array,
) -> None:
    """Concentrations at sorted times by modes, for people `first`.. whose modes serve.

    Args:
        lam, b, c, good: of `decompose`, for these people alone.
        slot: (e,) which of b's entries each input uses.
        start, duration, amount: (e, n), over all people; every: (e,), 0 for none.
        times: (t,) sorted; step: their spacing where even, else 0.
        out: (a, n, t) over all people, written.
    """
    modes = lam.shape[1]
    analytes = c.shape[1]
    count = times.shape[0]
    inputs = start.shape[0]
    when = np.empty(2 * inputs)
    which = np.empty(2 * inputs, dtype=np.int64)
    kind = np.empty(2 * inputs, dtype=np.int64)
    z = np.zeros(modes)
    flow = np.zeros(modes)
    w = np.zeros(modes)
    constant = np.zeros(analytes)
    power = np.zeros((modes, LANES))
    ahead = np.zeros(modes)
    now = np.zeros(modes)
    total = np.zeros(LANES)
    for row in range(lam.shape[0]):
        if good[row] == 0:
            continue
        person = first + row
        rate = lam[row]
        events = _sorted_events(person, start, duration, when, which, kind)
        for i in range(modes):
            z[i] = 0.0
            flow[i] = 0.0
        if step > 0.0:
            for i in range(modes):
                q = math.exp(-rate[i] * step)
                power[i, 0] = 1.0
                power[i, 1] = q
                # By doubling: few roundings, and a loop that the processor takes many at a time.
                size = 2
                while size < LANES:
                    leap = power[i, size - 1] * q
                    for y in range(size):
                        power[i, size + y] = power[i, y] * leap
                    size *= 2
                ahead[i] = power[i, LANES - 1] * q
        j = 0
        # Before the first input there is nothing.
        limit = when[0] if events > 0 else np.inf
        while j < count and times[j] < limit:
            for a in range(analytes):
                out[a, person, j] = 0.0
            j += 1
        for e in range(events):
            x = which[e]
            p = slot[x]
            if kind[e] == 0:
                for i in range(modes):
                    z[i] += b[row, i, p] * amount[x, person]
            else:
                sign = 1.0 if kind[e] == 1 else -1.0
                for i in range(modes):
                    flow[i] += sign * b[row, i, p] * (amount[x, person] / duration[x, person])
            if every[x] > 0.0 and kind[e] < 2:
                lasts = duration[x, person]
                for i in range(modes):
                    gone = -math.expm1(-rate[i] * every[x])
                    share = math.exp(-rate[i] * (every[x] - lasts)) / gone
                    if lasts > 0.0:
                        share *= -math.expm1(-rate[i] * lasts) / (rate[i] * lasts)
                    z[i] += b[row, i, p] * amount[x, person] * share
            begins = when[e]
            ends = when[e + 1] if e + 1 < events else np.inf
            if ends == begins:
                continue
            for a in range(analytes):
                constant[a] = 0.0
            for i in range(modes):
                level = flow[i] / rate[i]
                w[i] = z[i] - level
                for a in range(analytes):
                    constant[a] += c[row, a, i] * level
            lo = j
            # A dose at the moment of a reading counts as given: the reading is of just after it.
            if step > 0.0 and ends > times[count - 1]:
                j = count
            elif step > 0.0:
                j = max(j, int((ends - times[0]) / step) - 1)
            while j < count and times[j] < ends:
                j += 1
            if j > lo:
                if step > 0.0:
                    _run(
                        w,
                        rate,
                        times[lo] - begins,
                        c[row],
                        constant,
                        power,
                        ahead,
                        now,
                        total,
                        out,
                        person,
                        lo,
                        j,
                    )
                else:
                    for at in range(lo, j):
                        for a in range(analytes):
                            out[a, person, at] = constant[a]
                        for i in range(modes):
                            decayed = w[i] * math.exp(-rate[i] * (times[at] - begins))
                            for a in range(analytes):
                                out[a, person, at] += c[row, a, i] * decayed
                        for a in range(analytes):
                            out[a, person, at] = max(out[a, person, at], 0.0)
            if e + 1 < events:
                for i in range(modes):
                    # Written so that a high rate over a short time cancels nothing.
                    gone = -math.expm1(-rate[i] * (ends - begins))
                    z[i] += (flow[i] / rate[i] - z[i]) * gone


@compiled
def expm_nonnegative(
    k: Array, span: float, size: int, result: Array, a: Array, work: Array
) -> None:
    """exp(k * span) of a matrix whose off-diagonal terms are not negative."""
    shift = 0.0
    for i in range(size):
        shift = max(shift, -k[i, i])
    norm = 0.0
    for j in range(size):
        column = 0.0
        for i in range(size):
            column += k[i, j] + (shift if i == j else 0.0)
        norm = max(norm, column)
    squarings = 0
    reach = max(norm, shift) * span
    while reach > 0.5:
        reach *= 0.5
        squarings += 1
    h = span * 0.5**squarings
    for i in range(size):
        for j in range(size):
            a[i, j] = (k[i, j] + (shift if i == j else 0.0)) * h
            result[i, j] = 1.0 if i == j else 0.0
    # Horner on the exponential series: 1 + a (1 + a/2 (1 + a/3 (...))), norm of a at most 1/2.
    for n in range(16, 0, -1):
        for i in range(size):
            for j in range(size):
                total = 0.0
                for q in range(size):
                    total += a[i, q] * result[q, j]
                work[i, j] = total / n + (1.0 if i == j else 0.0)
        result[:size, :size] = work[:size, :size]
    decay = math.exp(-shift * h)
    for i in range(size):
        for j in range(size):
            result[i, j] *= decay
    for _ in range(squarings):
        for i in range(size):
            for j in range(size):
                total = 0.0
                for q in range(size):
                    total += result[i, q] * result[q, j]
                work[i, j] = total
        result[:size, :size] = work[:size, :size]


@compiled
def simulate_exponential(
    rates: Array,
    source: Ints,
    to: Ints,
    loses: Ints,
    states: int,
    observed: Ints,
    scale: Array,
    chosen: Ints,
    target: Ints,
    start: Array,
    duration: Array,
    amount: Array,
    every: Array,
    times: Array,
    out: Array,
) -> None:
    """Concentrations at sorted times by matrix exponentials, for the people `chosen`."""
    inputs = start.shape[0]
    size = states + 1
    k = np.zeros((states, states))
    augmented = np.zeros((size, size))
    phi = np.zeros((size, size))
    a = np.zeros((size, size))
    work = np.zeros((size, size))
    x = np.zeros(size)
    moved = np.zeros(size)
    flow = np.zeros(states)
    when = np.empty(2 * inputs)
    which = np.empty(2 * inputs, dtype=np.int64)
    kind = np.empty(2 * inputs, dtype=np.int64)
    for person in chosen:
        rate_matrix(rates, person, source, to, loses, k)
        events = _sorted_events(person, start, duration, when, which, kind)
        x[:] = 0.0
        x[states] = 1.0
        flow[:] = 0.0
        j = 0
        now = times[0] if events == 0 else min(times[0], when[0])
        e = 0
        made_for = -1.0
        while j < times.shape[0]:
            following = times[j]
            at_event = e < events and when[e] <= following
            if at_event:
                following = when[e]
            span = following - now
            if span > 0.0:
                if abs(span - made_for) > 1e-13 * max(abs(now), abs(following)):
                    augmented[:states, :states] = k
                    for i in range(states):
                        # A rate that has ended leaves rounding behind, of either sign.
                        augmented[i, states] = max(flow[i], 0.0)
                    expm_nonnegative(augmented, span, size, phi, a, work)
                    made_for = span
                for i in range(size):
                    total = 0.0
                    for q in range(size):
                        total += phi[i, q] * x[q]
                    moved[i] = total
                x[:] = moved
                now = following
            if at_event:
                made_for = -1.0
                i = which[e]
                if kind[e] == 0:
                    x[target[i]] += amount[i, person]
                elif kind[e] == 1:
                    flow[target[i]] += amount[i, person] / duration[i, person]
                else:
                    flow[target[i]] -= amount[i, person] / duration[i, person]
                    if flow[target[i]] < 1e-13 * amount[i, person] / duration[i, person]:
                        flow[target[i]] = 0.0
                if every[i] > 0.0 and kind[e] < 2:
                    # What all earlier doses have left: (1 - exp(k every))^-1 of what one leaves.
                    one = np.zeros(size)
                    lasts = duration[i, person]
                    if lasts > 0.0:
                        augmented[:states, :states] = k
                        augmented[:states, states] = 0.0
                        augmented[target[i], states] = amount[i, person] / lasts
                        expm_nonnegative(augmented, lasts, size, phi, a, work)
                        one[:states] = phi[:states, states]
                    else:
                        one[target[i]] = amount[i, person]
                    augmented[:states, :states] = k
                    augmented[:states, states] = 0.0
                    expm_nonnegative(augmented, every[i] - lasts, size, phi, a, work)
                    left = np.dot(np.ascontiguousarray(phi[:states, :states]), one[:states])
                    expm_nonnegative(augmented, every[i], size, phi, a, work)
                    system = np.eye(states) - phi[:states, :states]
                    x[:states] += np.linalg.solve(system, left)
                e += 1
                continue
            for o in range(observed.shape[0]):
                out[o, person, j] = x[observed[o]] * scale[o, person]
            j += 1
