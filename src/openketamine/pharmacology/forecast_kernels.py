"""Compiled kernels of the forecast. n versions of a person lie side by side in the last axis.

Each version carries, besides its kinetics, a Gaussian of nine numbers: for each of the three vital
signs how it wanders now, its resting level and its gain. A reading is linear in them, so they are
updated in closed form (a Kalman filter per version) and only kinetics need weights.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from openketamine.pharmacology.kernels import compiled

Array = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Order = npt.NDArray[np.uint16]

#: Numbers in the Gaussian of one version, and in the lower triangle of its covariance.
STATES = 9
TRIANGLE = 45
# Versions at a time: their Gaussians stay in the processor's nearest caches.
_BLOCK = 128
_LANES = 16
# Sorted versions whose weight is summed at a time, to find a quantile.
_CHUNK = 64
# Bins of a vital sign, for quantiles: 0.5 mmHg (or beat) each, linear within.
_BINS = 900
_BIN_WIDTH = 0.5
_BIN_START = -50.0


@compiled
def wander(mean: Array, cov: Array, phi: float, stationary: Array) -> None:
    """Time passes: the wandering keeps the share `phi` of itself and is renewed."""
    n = mean.shape[1]
    for k in range(3):
        for i in range(n):
            mean[k, i] *= phi
    for a in range(STATES):
        for b in range(a + 1):
            c = a * (a + 1) // 2 + b
            if a < 3:
                fresh = (1.0 - phi * phi) * stationary[a, b]
                for i in range(n):
                    cov[c, i] = phi * phi * cov[c, i] + fresh
            elif b < 3:
                for i in range(n):
                    cov[c, i] *= phi


@compiled
def assimilate(
    mean: Array,
    cov: Array,
    loglik: Array,
    shape: Singles,
    signal: int,
    value: float,
    sound: float,
    rough: float,
    jump: float,
    shares: Array,
    artefact_density: float,
    artefact: Array,
) -> None:
    """One reading of one vital sign.

    A mixture of four: sound, rough, after a jump of the wandering, and artefact. Each version's
    posterior, a mixture, too, is taken for the Gaussian of the same mean and covariance.

    Args:
        mean, cov, loglik: (9, n), (45, n) and (n,), changed.
        shape: (n,) the curve that the gain multiplies, now.
        sound, rough, jump: variances.
        shares: of sound, rough, jump and artefact.
        artefact: (n,) written, the probability that this was one.
    """
    n = mean.shape[1]
    r = signal
    rest = 3 + signal
    gain = 6 + signal
    rr = r * (r + 1) // 2 + r
    reach = np.empty((STATES, _BLOCK))
    one = np.empty(_BLOCK)
    two = np.empty(_BLOCK)
    three = np.empty(_BLOCK)
    alpha = np.empty(_BLOCK)
    beta = np.empty(_BLOCK)
    for lo in range(0, n, _BLOCK):
        size = min(_BLOCK, n - lo)
        for j in range(STATES):
            cr = j * (j + 1) // 2 + r if j >= r else r * (r + 1) // 2 + j
            cb = j * (j + 1) // 2 + rest if j >= rest else rest * (rest + 1) // 2 + j
            cg = j * (j + 1) // 2 + gain if j >= gain else gain * (gain + 1) // 2 + j
            for i in range(size):
                reach[j, i] = cov[cr, lo + i] + cov[cb, lo + i] + shape[lo + i] * cov[cg, lo + i]
        for i in range(size):
            u = shape[lo + i]
            off = value - (mean[r, lo + i] + mean[rest, lo + i] + u * mean[gain, lo + i])
            spread = reach[r, i] + reach[rest, i] + u * reach[gain, i]
            s1 = spread + sound
            s2 = spread + rough
            s3 = spread + jump + sound
            square = off * off
            l1 = shares[0] * math.exp(-0.5 * square / s1) / math.sqrt(2.0 * math.pi * s1)
            l2 = shares[1] * math.exp(-0.5 * square / s2) / math.sqrt(2.0 * math.pi * s2)
            l3 = shares[2] * math.exp(-0.5 * square / s3) / math.sqrt(2.0 * math.pi * s3)
            l4 = shares[3] * artefact_density
            total = l1 + l2 + l3 + l4
            loglik[lo + i] += math.log(total)
            p1 = l1 / total
            p2 = l2 / total
            p3 = l3 / total
            artefact[lo + i] = l4 / total
            a = p1 / s1 + p2 / s2 + p3 / s3
            b = p3 * jump / s3
            one[i] = -a + square * (p1 / (s1 * s1) + p2 / (s2 * s2) + p3 / (s3 * s3) - a * a)
            two[i] = -b + square * (p3 * jump / (s3 * s3) - a * b)
            three[i] = b * s3 - b * jump + square * (b * jump / s3 - b * b)
            alpha[i] = a * off
            beta[i] = b * off
        for j in range(STATES):
            for i in range(size):
                mean[j, lo + i] += alpha[i] * reach[j, i]
        for i in range(size):
            mean[r, lo + i] += beta[i]
        for a_ in range(STATES):
            for b_ in range(a_ + 1):
                c = a_ * (a_ + 1) // 2 + b_
                for i in range(size):
                    cov[c, lo + i] += one[i] * reach[a_, i] * reach[b_, i]
        for j in range(STATES):
            c = j * (j + 1) // 2 + r if j >= r else r * (r + 1) // 2 + j
            for i in range(size):
                cov[c, lo + i] += two[i] * reach[j, i]
        for i in range(size):
            cov[rr, lo + i] += two[i] * reach[r, i] + three[i]


@compiled
def signal_moments(mean: Array, cov: Array, signal: int, out: Singles) -> None:
    """What one vital sign needs of each Gaussian, as single floats.

    Args:
        out: (9, n) written: means of wandering, rest and gain; variances of them; covariances
            of wandering and rest, wandering and gain, rest and gain.
    """
    r = signal
    b = 3 + signal
    g = 6 + signal
    n = mean.shape[1]
    for i in range(n):
        out[0, i] = mean[r, i]
        out[1, i] = mean[b, i]
        out[2, i] = mean[g, i]
        out[3, i] = cov[r * (r + 1) // 2 + r, i]
        out[4, i] = cov[b * (b + 1) // 2 + b, i]
        out[5, i] = cov[g * (g + 1) // 2 + g, i]
        out[6, i] = cov[b * (b + 1) // 2 + r, i]
        out[7, i] = cov[g * (g + 1) // 2 + r, i]
        out[8, i] = cov[g * (g + 1) // 2 + b, i]


@compiled
def _dot(weight: Singles, values: Singles, part: Singles) -> float:
    """Sum of products, in lanes that do not wait for one another."""
    n = weight.shape[0]
    whole = n - n % _LANES
    part[:] = np.float32(0.0)
    for i in range(0, whole, _LANES):
        for z in range(_LANES):
            part[z] += weight[i + z] * values[i + z]
    total = 0.0
    for z in range(_LANES):
        total += float(part[z])
    for i in range(whole, n):
        total += float(weight[i] * values[i])
    return total


@compiled
def signal_quantiles(
    moments: Singles,
    shape: Singles,
    phi: Array,
    wandering: float,
    error: Singles,
    normal: Singles,
    weight: Singles,
    probabilities: Array,
    out: Array,
    mean_out: Array,
) -> None:
    """Quantiles of a vital sign at times ahead.

    Args:
        moments: of `signal_moments`.
        shape: (t, n) the curve that the gain multiplies; phi: (t,) share of the wandering kept.
        wandering: variance of the wandering when settled.
        error: (n,) variance of a reading in each version; normal: (n,) standard normals.
        out: (q, t) written; mean_out: (t,) written.
    """
    count, n = shape.shape
    place = np.empty(n, dtype=np.int32)
    level = np.empty(n, dtype=np.float32)
    bins = np.empty((4, _BINS), dtype=np.float32)
    inverse = np.float32(1.0 / _BIN_WIDTH)
    start = np.float32(_BIN_START)
    last = np.float32(_BINS - 1)
    zero = np.float32(0.0)
    two = np.float32(2.0)
    part = np.empty(_LANES, dtype=np.float32)
    total = 0.0
    for i in range(n):
        total += float(weight[i])
    for t in range(count):
        keep = np.float32(phi[t])
        fresh = np.float32((1.0 - phi[t] * phi[t]) * wandering)
        keep2 = keep * keep
        for i in range(n):
            u = shape[t, i]
            mid = keep * moments[0, i] + moments[1, i] + u * moments[2, i]
            variance = (
                keep2 * moments[3, i]
                + moments[4, i]
                + u * u * moments[5, i]
                + two * (keep * (moments[6, i] + u * moments[7, i]) + u * moments[8, i])
                + fresh
                + error[i]
            )
            spread = np.sqrt(max(variance, zero))
            level[i] = mid
            place[i] = np.int32(min(max((mid + spread * normal[i] - start) * inverse, zero), last))
        for b in range(_BINS):
            bins[0, b] = zero
            bins[1, b] = zero
            bins[2, b] = zero
            bins[3, b] = zero
        whole = n - n % 4
        # Four heaps, so that one addition need not wait for the one before.
        for i in range(0, whole, 4):
            bins[0, place[i]] += weight[i]
            bins[1, place[i + 1]] += weight[i + 1]
            bins[2, place[i + 2]] += weight[i + 2]
            bins[3, place[i + 3]] += weight[i + 3]
        for i in range(whole, n):
            bins[0, place[i]] += weight[i]
        mean_out[t] = _dot(weight, level, part) / total
        reached = 0.0
        q = 0
        for b in range(_BINS):
            held = bins[0, b] + bins[1, b] + bins[2, b] + bins[3, b]
            while q < probabilities.shape[0] and reached + held >= probabilities[q] * total:
                inside = (probabilities[q] * total - reached) / held if held > 0.0 else 0.5
                out[q, t] = _BIN_START + (b + inside) * _BIN_WIDTH
                q += 1
            reached += held
        while q < probabilities.shape[0]:
            out[q, t] = _BIN_START + _BINS * _BIN_WIDTH
            q += 1


@compiled
def sort_rows(values: Singles, order: Order, ranked: Singles) -> None:
    """The order of each row of values that are not negative, and the row in it; by radix."""
    rows, n = values.shape
    radix = 2048
    first = np.empty(n, dtype=np.uint16)
    second = np.empty(n, dtype=np.uint16)
    count = np.empty(radix + 1, dtype=np.int64)
    for row in range(rows):
        bits = values[row].view(np.uint32)
        for i in range(n):
            first[i] = i
        for digit in range(3):
            shift = np.uint32(11 * digit)
            count[:] = 0
            for i in range(n):
                count[((bits[i] >> shift) & np.uint32(radix - 1)) + 1] += 1
            for b in range(radix):
                count[b + 1] += count[b]
            for i in range(n):
                item = first[i]
                key = (bits[item] >> shift) & np.uint32(radix - 1)
                second[count[key]] = item
                count[key] += 1
            first, second = second, first
        for i in range(n):
            order[row, i] = first[i]
            ranked[row, i] = values[row, first[i]]


@compiled
def sorted_quantiles(
    ranked: Singles,
    order: Order,
    weight: Singles,
    probabilities: Array,
    out: Array,
    mean_out: Array,
) -> None:
    """Weighted quantiles of sorted rows, the first value that reaches each share, and means.

    Args:
        ranked, order: (t, n) of `sort_rows`; weight: (n,).
        out: (q, t) written; mean_out: (t,) written.
    """
    rows, n = ranked.shape
    chunks = (n + _CHUNK - 1) // _CHUNK
    held = np.empty(chunks)
    light = np.empty(_CHUNK, dtype=np.float32)
    total = 0.0
    for i in range(n):
        total += float(weight[i])
    for row in range(rows):
        if ranked[row, 0] == ranked[row, n - 1]:
            # All alike: nothing yet, or nothing any more.
            out[:, row] = ranked[row, 0]
            mean_out[row] = ranked[row, 0]
            continue
        middle = 0.0
        for c in range(chunks):
            lo = c * _CHUNK
            size = min(_CHUNK, n - lo)
            for i in range(size):
                light[i] = weight[order[row, lo + i]]
            for i in range(size, _CHUNK):
                light[i] = np.float32(0.0)
            s0 = np.float32(0.0)
            s1 = np.float32(0.0)
            s2 = np.float32(0.0)
            s3 = np.float32(0.0)
            m0 = np.float32(0.0)
            m1 = np.float32(0.0)
            m2 = np.float32(0.0)
            m3 = np.float32(0.0)
            for i in range(0, size - size % 4, 4):
                s0 += light[i]
                s1 += light[i + 1]
                s2 += light[i + 2]
                s3 += light[i + 3]
                m0 += light[i] * ranked[row, lo + i]
                m1 += light[i + 1] * ranked[row, lo + i + 1]
                m2 += light[i + 2] * ranked[row, lo + i + 2]
                m3 += light[i + 3] * ranked[row, lo + i + 3]
            for i in range(size - size % 4, size):
                s0 += light[i]
                m0 += light[i] * ranked[row, lo + i]
            held[c] = (s0 + s1) + (s2 + s3)
            middle += float((m0 + m1) + (m2 + m3))
        mean_out[row] = middle / total
        c = 0
        reached = 0.0
        for q in range(probabilities.shape[0]):
            aim = probabilities[q] * total
            while c < chunks - 1 and reached + held[c] < aim:
                reached += float(held[c])
                c += 1
            at = c * _CHUNK
            hi = min(at + _CHUNK, n)
            within = reached + float(weight[order[row, at]])
            while at < hi - 1 and within < aim:
                at += 1
                within += float(weight[order[row, at]])
            out[q, row] = ranked[row, at]


@compiled
def paths(
    moments: Singles,
    shape: Singles,
    steps_min: Array,
    pace_min: float,
    wandering: float,
    now: Singles,
    ahead: Singles,
    highest: Array,
    when: npt.NDArray[np.int64],
) -> None:
    """The highest level of a vital sign over times ahead, one path for each version.

    Args:
        shape: (t, n); steps_min: (t,) time since the state for the first, then between them.
        now: (3, n) and ahead: (t, n) standard normals; highest, when: (n,) written.
    """
    count, n = shape.shape
    for i in range(n):
        # Wandering, rest and gain of this version, drawn together.
        l00 = math.sqrt(max(moments[3, i], 1e-9))
        l10 = moments[6, i] / l00
        l20 = moments[7, i] / l00
        l11 = math.sqrt(max(moments[4, i] - l10 * l10, 1e-9))
        l21 = (moments[8, i] - l20 * l10) / l11
        l22 = math.sqrt(max(moments[5, i] - l20 * l20 - l21 * l21, 1e-9))
        w = moments[0, i] + l00 * now[0, i]
        rest = moments[1, i] + l10 * now[0, i] + l11 * now[1, i]
        gain = moments[2, i] + l20 * now[0, i] + l21 * now[1, i] + l22 * now[2, i]
        top = -1e30
        at = 0
        for t in range(count):
            keep = math.exp(-steps_min[t] / pace_min)
            w = keep * w + math.sqrt((1.0 - keep * keep) * wandering) * ahead[t, i]
            level = w + rest + gain * shape[t, i]
            if level > top:
                top = level
                at = t
        highest[i] = top
        when[i] = at


@compiled
def settles(
    moments: Singles, shape: Singles, now: Singles, share: float, out: npt.NDArray[np.int64]
) -> None:
    """The first row from which the rise stays within a share of the resting level.

    Args:
        shape: (t, n); now: (3, n) standard normals; out: (n,) written, t where it never does.
    """
    count, n = shape.shape
    for i in range(n):
        l11 = math.sqrt(max(moments[4, i], 1e-9))
        l21 = moments[8, i] / l11
        l22 = math.sqrt(max(moments[5, i] - l21 * l21, 1e-9))
        rest = moments[1, i] + l11 * now[1, i]
        gain = moments[2, i] + l21 * now[1, i] + l22 * now[2, i]
        t = count
        while t > 0 and gain * shape[t - 1, i] <= share * rest:
            t -= 1
        out[i] = t


@compiled
def landmarks(
    site: Singles, felt: Array, clear: Array, left: float, out: npt.NDArray[np.int64]
) -> None:
    """Where each version's effect-site curve first and last passes its levels.

    Args:
        site: (t, n); felt, clear: (n,) levels.
        out: (4, n) written: first row above `felt` (-1 never), row of the peak, first row after it
            at or below `left` of the peak, first row from which it stays at or below `clear`.
    """
    count, n = site.shape
    for i in range(n):
        out[0, i] = -1
        top = np.float32(-1.0)
        for t in range(count):
            if site[t, i] > top:
                top = site[t, i]
                out[1, i] = t
            if out[0, i] < 0 and site[t, i] > felt[i]:
                out[0, i] = t
        t = out[1, i]
        while t < count and site[t, i] > left * top:
            t += 1
        out[2, i] = t
        t = count
        while t > 0 and site[t - 1, i] <= clear[i]:
            t -= 1
        out[3, i] = t
