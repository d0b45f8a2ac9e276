"""The forecast's kernels against the same sums written plainly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from openketamine.pharmacology import forecast_kernels as kernels

LOWER = np.tril_indices(kernels.STATES)


def drawn(seed: int, n: int = 5):
    """Means and covariances of n versions, as arrays and as the kernels hold them."""
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(n, 9, 9))
    cov = factor @ factor.transpose(0, 2, 1) + 0.1 * np.eye(9)
    mean = rng.normal(100, 20, size=(n, 9))
    packed = np.ascontiguousarray(cov[:, LOWER[0], LOWER[1]].T)
    return mean, cov, np.ascontiguousarray(mean.T), packed


def unpacked(packed: np.ndarray) -> np.ndarray:
    cov = np.zeros((packed.shape[1], 9, 9))
    cov[:, LOWER[0], LOWER[1]] = packed.T
    return cov + np.tril(cov, -1).transpose(0, 2, 1)


@pytest.mark.parametrize("signal", [0, 1, 2])
@pytest.mark.parametrize("value", [110.0, 190.0, 400.0])
def test_a_reading_is_the_mixture_of_four_kalman_updates(signal, value):
    mean, cov, m, p = drawn(signal)
    n = len(mean)
    shape = np.linspace(0, 1.4, n, dtype=np.float32)
    sound, rough, jump = 16.0, 256.0, 400.0
    shares, density = np.array([0.86, 0.08, 0.03, 0.03]), 1 / 250
    log, artefact = np.zeros(n), np.empty(n)
    kernels.assimilate(
        m, p, log, shape, signal, value, sound, rough, jump, shares, density, artefact
    )
    after = unpacked(p)
    for i in range(n):
        look = np.zeros(9)
        look[signal] = look[3 + signal] = 1
        look[6 + signal] = shape[i]
        parts = []
        for share, error, extra in zip(
            shares, (sound, rough, sound), (0.0, 0.0, jump), strict=False
        ):
            prior = cov[i].copy()
            prior[signal, signal] += extra
            spread = look @ prior @ look + error
            gain = prior @ look / spread
            off = value - look @ mean[i]
            density_here = np.exp(-0.5 * off**2 / spread) / np.sqrt(2 * np.pi * spread)
            parts.append(
                (share * density_here, mean[i] + gain * off, prior - np.outer(gain, gain) * spread)
            )
        parts.append((shares[3] * density, mean[i], cov[i]))
        total = sum(part[0] for part in parts)
        middle = sum(part[0] / total * part[1] for part in parts)
        whole = sum(
            part[0] / total * (part[2] + np.outer(part[1] - middle, part[1] - middle))
            for part in parts
        )
        assert log[i] == pytest.approx(np.log(total))
        assert artefact[i] == pytest.approx(parts[3][0] / total)
        np.testing.assert_allclose(m[:, i], middle, rtol=1e-9)
        np.testing.assert_allclose(after[i], whole, rtol=1e-7, atol=1e-7)


def test_time_keeps_the_rest_and_renews_the_wandering():
    mean, cov, m, p = drawn(7)
    stationary = np.array([[25, 10, 2], [10, 12, 1], [2, 1, 16.0]])
    kernels.wander(m, p, 0.8, stationary)
    move = np.diag([0.8] * 3 + [1.0] * 6)
    fresh = np.zeros((9, 9))
    fresh[:3, :3] = (1 - 0.8**2) * stationary
    np.testing.assert_allclose(m.T, mean @ move)
    np.testing.assert_allclose(unpacked(p), move @ cov @ move + fresh)


@given(
    values=arrays.arrays(
        np.float32, (3, 257), elements=st.floats(0, 1e6, width=32, allow_subnormal=False)
    ),
    seed=st.integers(0, 100),
)
@settings(max_examples=40, deadline=None)
def test_sorted_quantiles_are_those_of_plain_sorting(values, seed):
    values = values + np.float32(0)  # No negative zero.
    order = np.empty(values.shape, dtype=np.uint16)
    ranked = np.empty_like(values)
    kernels.sort_rows(values, order, ranked)
    np.testing.assert_array_equal(ranked, np.sort(values, axis=1))
    np.testing.assert_array_equal(np.take_along_axis(values, order.astype(int), 1), ranked)
    weight = np.random.default_rng(seed).exponential(size=257).astype(np.float32)
    weight /= weight.sum()
    wanted = np.array([0.05, 0.5, 0.95])
    rows, mean = np.empty((3, 3)), np.empty(3)
    kernels.sorted_quantiles(ranked, order, weight, wanted, rows, mean)
    for row in range(3):
        assert mean[row] == pytest.approx(float(values[row] @ weight), rel=1e-4, abs=1e-6)
        reached = np.cumsum(weight[order[row]].astype(np.float64))
        for q, share in enumerate(wanted):
            # Single floats add up in another order: either side of a tie will do.
            near = ranked[row][np.abs(reached - share) < 1e-5]
            exact = ranked[row][min(np.searchsorted(reached, share), 256)]
            assert rows[q, row] in {float(exact), *(float(v) for v in near)} or np.isclose(
                rows[q, row], exact
            )


def test_quantiles_of_a_vital_sign_are_those_of_its_versions():
    n = 4096
    rng = np.random.default_rng(3)
    _, _, m, p = drawn(1, n=1)
    m = np.repeat(m, n, axis=1) + rng.normal(0, 4, size=(9, n))
    p = np.repeat(p, n, axis=1)
    m[:3], m[3:6], m[6:] = 0, 120, 15
    moments = np.empty((9, n), dtype=np.float32)
    kernels.signal_moments(m, p, 1, moments)
    shape = np.stack([np.full(n, 0.0), np.full(n, 0.9)]).astype(np.float32)
    weight = rng.exponential(size=n).astype(np.float32)
    weight /= weight.sum()
    normal = rng.standard_normal(n).astype(np.float32)
    error = np.full(n, 9.0, dtype=np.float32)
    phi = np.array([1.0, 0.3])
    wanted = np.array([0.05, 0.5, 0.95])
    rows, mean = np.empty((3, 2)), np.empty(2)
    kernels.signal_quantiles(moments, shape, phi, 30.0, error, normal, weight, wanted, rows, mean)
    full = unpacked(p[:, :1])[0]
    for t in range(2):
        look = np.zeros(9)
        look[1], look[4], look[7] = phi[t], 1, shape[t, 0]
        level = look @ m
        spread = np.sqrt(look @ full @ look + (1 - phi[t] ** 2) * 30 + 9)
        values = level + spread * normal
        order = np.argsort(values)
        reached = np.cumsum(weight[order])
        exact = values[order][np.searchsorted(reached, wanted)]
        np.testing.assert_allclose(rows[:, t], exact, atol=0.35)
        assert mean[t] == pytest.approx(float(level @ weight), rel=1e-5)


def test_a_path_is_as_high_as_its_highest_level():
    n = 2000
    rng = np.random.default_rng(4)
    moments = np.zeros((9, n), dtype=np.float32)
    moments[1], moments[2] = 120, 16
    moments[3], moments[4], moments[5] = 25, 9, 36
    shape = np.repeat(np.array([[0.0], [0.5], [1.0], [0.4]], np.float32), n, axis=1)
    highest, when = np.empty(n), np.empty(n, dtype=np.int64)
    now = rng.standard_normal((3, n)).astype(np.float32)
    ahead = rng.standard_normal((4, n)).astype(np.float32)
    steps = np.array([0.0, 10.0, 10.0, 10.0])
    kernels.paths(moments, shape, steps, 20.0, 25.0, now, ahead, highest, when)
    w = 5 * now[0].astype(float)
    levels = []
    for t in range(4):
        keep = np.exp(-steps[t] / 20)
        w = keep * w + np.sqrt((1 - keep**2) * 25) * ahead[t]
        levels.append(w + 120 + 3 * now[1] + (16 + 6 * now[2]) * shape[t])
    np.testing.assert_allclose(highest, np.max(levels, axis=0), rtol=1e-5)
    assert (when == np.argmax(levels, axis=0)).mean() > 0.999


def test_landmarks_of_a_known_curve():
    site = np.array([0, 2, 6, 10, 8, 5, 3, 1], dtype=np.float32)[:, None]
    rows = np.empty((4, 1), dtype=np.int64)
    kernels.landmarks(site, np.array([5.0]), np.array([3.0]), 0.75, rows)
    assert rows[:, 0].tolist() == [2, 3, 5, 6]
    kernels.landmarks(site, np.array([50.0]), np.array([30.0]), 0.75, rows)
    assert rows[:, 0].tolist() == [-1, 3, 5, 0]


def test_pressure_has_settled_when_its_rise_stays_within_the_share():
    moments = np.zeros((9, 1), dtype=np.float32)
    moments[1], moments[2] = 100, 30
    shape = np.array([0.0, 0.5, 1.0, 0.7, 0.6, 0.1], dtype=np.float32)[:, None]
    rows = np.empty(1, dtype=np.int64)
    kernels.settles(moments, shape, np.zeros((3, 1), np.float32), 0.2, rows)
    assert rows[0] == 4
