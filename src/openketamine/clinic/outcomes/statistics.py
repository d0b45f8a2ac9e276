"""The statistics of the outcomes pages. Pure: arrays in, figures out; days and shares, no charts.

Each function names the method it follows. The tests hold every one against an independent
computation and, where there is one, a published worked example.
"""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from django.utils.translation import gettext_noop
from scipy import special

from openketamine.protocols.evidence import wilson

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

LEVEL = 0.95
# Why a model cannot be fitted: kept with the fit that failed, translated where it is shown.
NOT_INSTALLED = gettext_noop(
    "The mixed model needs statsmodels, which is not installed here: "
    "pip install 'openketamine[statistics]'."
)
TOO_FEW_SCORES = gettext_noop(
    "Every visit needs at least two scores, and there must be two visits."
)
TOO_FEW_PEOPLE = gettext_noop("There are too few people with more than one score.")
CANNOT = gettext_noop("The model cannot be fitted to these scores.")
UNSETTLED = gettext_noop("The fit did not settle on one answer for these scores.")


@cache
def warm_up() -> None:
    """Import in the background what takes a second or two, once in the life of the process."""

    def work() -> None:
        with suppress(ImportError):
            import statsmodels.regression.mixed_linear_model  # noqa: F401

    threading.Thread(target=work, name="statistics", daemon=True).start()


@dataclass(frozen=True)
class Proportion:
    """`count` of `n` with its 95 % interval; nothing can be said of nobody."""

    count: int
    n: int
    low: float | None
    high: float | None

    @property
    def share(self) -> float | None:
        return self.count / self.n if self.n else None


def proportion(count: int, n: int) -> Proportion:
    """A proportion with Wilson's score interval, which holds its level for small `n` too."""
    return Proportion(count, n, *(wilson(count, n) if n else (None, None)))


def exact_proportion(count: int, n: int, *, level: float = LEVEL) -> Proportion:
    """A proportion with the exact interval of Clopper and Pearson (1934), for rare events.

    It never covers less than it says; a count of 0 has an upper limit all the same.
    """
    if not n:
        return Proportion(count, n, None, None)
    tail = (1 - level) / 2
    low = 0.0 if count == 0 else float(special.betaincinv(count, n - count + 1, tail))
    high = 1.0 if count == n else float(special.betaincinv(count + 1, n - count, 1 - tail))
    return Proportion(count, n, low, high)


@dataclass(frozen=True)
class Survival:
    """A Kaplan-Meier estimate as a step function: it holds from each day to the next.

    The arrays have one entry for each distinct day on which anybody's time ends, beginning with day
    0 (S = 1). Where the interval cannot be worked out (after the last person had the event) its
    limits are NaN.
    """

    days: Floats
    survival: Floats
    low: Floats
    high: Floats
    at_risk: NDArray[np.int64]  # just before each day
    events: NDArray[np.int64]
    censored: NDArray[np.int64]

    @property
    def n(self) -> int:
        return int(self.at_risk[0])

    @property
    def median(self) -> tuple[float | None, float | None, float | None]:
        """Day by which half had the event, with the interval of Brookmeyer and Crowley (1982)."""

        def first(curve: Floats) -> float | None:
            reached = np.flatnonzero(curve <= 0.5 + 1e-12)
            return float(self.days[reached[0]]) if reached.size else None

        return first(self.survival), first(self.low), first(self.high)

    def at(self, day: float) -> tuple[float, float, float, int]:
        """(S, low, high, people still at risk from then on) on a day."""
        i = int(np.searchsorted(self.days, day, side="right")) - 1
        left = self.at_risk[i] - self.events[i] - self.censored[i]
        return (float(self.survival[i]), float(self.low[i]), float(self.high[i]), int(left))


def kaplan_meier(days: ArrayLike, happened: ArrayLike) -> Survival | None:
    """The share that has not had the event yet, day by day (Kaplan and Meier 1958).

    Limits: Greenwood's variance on the log(-log) scale (Kalbfleisch and Prentice), 95 %.

    Args:
        days: shape (n,), days until the event or until the person was last seen, >= 0.
        happened: shape (n,), whether it was the event.

    Returns:
        None for nobody.

    Raises:
        ValueError: a time is negative or no number.
    """
    from scipy import stats  # here, because it takes most of a second to import

    times = np.asarray(days, dtype=np.float64)
    ended = np.asarray(happened, dtype=bool)
    if times.size == 0:
        return None
    if not np.all(np.isfinite(times)) or times.min() < 0:
        raise ValueError("a time is negative or no number")
    sample = stats.CensoredData.right_censored(times, ~ended)
    with warnings.catch_warnings():
        # Of the ends of a curve, where the variance is none or endless: said as NaN instead.
        warnings.simplefilter("ignore", RuntimeWarning)
        curve = stats.ecdf(sample).sf
        limits = curve.confidence_interval(LEVEL, method="log-log")
    moments = curve.quantiles
    at_risk = times.size - np.searchsorted(np.sort(times), moments, side="left")
    place = np.searchsorted(moments, times)
    events = np.bincount(place[ended], minlength=moments.size)
    censored = np.bincount(place[~ended], minlength=moments.size)
    low, high = limits.low.probabilities.copy(), limits.high.probabilities.copy()
    untouched = curve.probabilities == 1.0
    low[untouched] = high[untouched] = 1.0
    if moments[0] > 0:
        return Survival(
            np.concatenate([[0.0], moments]),
            np.concatenate([[1.0], curve.probabilities]),
            np.concatenate([[1.0], low]),
            np.concatenate([[1.0], high]),
            np.concatenate([[times.size], at_risk]),
            np.concatenate([[0], events]),
            np.concatenate([[0], censored]),
        )
    return Survival(moments, curve.probabilities, low, high, at_risk, events, censored)


def binomial_limits(centre: float, n: ArrayLike, level: float) -> tuple[Floats, Floats]:
    """Exact control limits of a funnel for proportions (Spiegelhalter 2005, appendix A.1.1).

    Between two counts the limit is interpolated, so that the tail beyond it has its probability.

    Args:
        centre: the share that is expected of everybody, 0 <= centre <= 1.
        n: shape (m,), denominators > 0.
        level: e.g. 0.95.

    Returns:
        (lower, upper), each of shape (m,), as shares.

    Raises:
        ValueError: the centre is no share, or a denominator is not above 0.
    """
    sizes = np.asarray(n, dtype=np.int64)
    if not 0 <= centre <= 1 or np.any(sizes <= 0):
        raise ValueError("a funnel needs a share from 0 to 1 and denominators above 0")
    tail = (1 - level) / 2
    return _limit(centre, sizes, tail), _limit(centre, sizes, 1 - tail)


def _limit(centre: float, n: NDArray[np.int64], probability: float) -> Floats:
    if centre in (0.0, 1.0):
        return np.full(n.shape, centre)
    # The quantile: the first whole count that reaches the probability. What the inverse gives may
    # be out by one, where the probability is just reached.
    count = np.ceil(np.nan_to_num(special.bdtrik(probability, n, centre))).astype(np.int64)
    count = np.clip(count, 0, n)
    count = np.where(_reached(count - 1, n, centre) >= probability, count - 1, count)
    count = np.where(_reached(count, n, centre) < probability, count + 1, count)
    reached, below = _reached(count, n, centre), _reached(count - 1, n, centre)
    limits: Floats = (count - (reached - probability) / (reached - below)) / n
    return np.clip(limits, 0.0, 1.0)


def _reached(count: NDArray[np.int64], n: NDArray[np.int64], centre: float) -> Floats:
    """P(X <= count) of a binomial."""
    reached: Floats = special.bdtr(np.clip(count, 0, n).astype(float), n, centre)
    return np.where(count < 0, 0.0, reached)


@dataclass(frozen=True)
class Mean:
    """A mean with its 95 % interval from Student's t; one person alone has no interval."""

    n: int
    mean: float | None
    low: float | None
    high: float | None


def mean(values: ArrayLike) -> Mean:
    sample = np.asarray(values, dtype=np.float64)
    n = int(sample.size)
    if n == 0:
        return Mean(0, None, None, None)
    centre = float(sample.mean())
    if n == 1:
        return Mean(1, centre, None, None)
    half = float(special.stdtrit(n - 1, 0.5 + LEVEL / 2)) * float(sample.std(ddof=1)) / math.sqrt(n)
    return Mean(n, centre, centre - half, centre + half)


class CannotFitError(ValueError):
    """The data do not carry the model; the message says why, for the person who asked."""


@dataclass(frozen=True)
class MixedFit:
    """Adjusted means at each visit, from a linear mixed model for repeated scores.

    `means`, `low` and `high` have one entry for each visit, in order; so have `change`,
    `change_low` and `change_high`, the difference from the first visit (0 at it).
    """

    visits: tuple[str, ...]
    n_people: int
    n_scores: int
    counts: tuple[int, ...]  # scores at each visit
    means: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    change: tuple[float, ...]
    change_low: tuple[float, ...]
    change_high: tuple[float, ...]
    sd_between: float  # of the people's own levels
    sd_within: float  # of the scores around them
    log_likelihood: float  # restricted


def mixed_model(
    people: Sequence[int], visits: Sequence[int], scores: ArrayLike, names: Sequence[str]
) -> MixedFit:
    """Fit score = mean of the visit + the person's own level + rest, by restricted likelihood.

    Everybody with one score or more counts. The means are those of everybody, if the missing scores
    are missing at random given the ones that are there (Laird and Ware 1982); whether they are, no
    model can tell. Fitted by `statsmodels.MixedLM`.

    Args:
        people: shape (n,), which person a score is of.
        visits: shape (n,), which visit, as an index into `names`; every one must occur.
        scores: shape (n,).
        names: of the visits, the first before treatment.

    Raises:
        CannotFitError: too little to go on, or the library is not installed.
    """
    try:
        from statsmodels.regression.mixed_linear_model import MixedLM
        from statsmodels.tools.sm_exceptions import ConvergenceWarning
    except ImportError as error:
        raise CannotFitError(NOT_INSTALLED) from error
    who, when = np.asarray(people), np.asarray(visits)
    values = np.asarray(scores, dtype=np.float64)
    counts = np.bincount(when, minlength=len(names)) if when.size else np.zeros(len(names), int)
    if len(names) < 2 or counts.min() < 2:
        raise CannotFitError(TOO_FEW_SCORES)
    n_people = len(np.unique(who))
    if n_people < 5 or values.size <= n_people or np.ptp(values) == 0:
        raise CannotFitError(TOO_FEW_PEOPLE)
    design = np.zeros((values.size, len(names)))
    design[np.arange(values.size), when] = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # judged below, and said
        warnings.simplefilter("ignore", RuntimeWarning)
        warnings.simplefilter("ignore", FutureWarning)  # the second method has no such tolerance
        try:
            # At the usual tolerance the variances are right to five digits, at this one to seven.
            fit = MixedLM(values, design, groups=who).fit(
                reml=True, method=["bfgs", "lbfgs"], gtol=1e-7
            )
        except (np.linalg.LinAlgError, ValueError) as error:
            raise CannotFitError(CANNOT) from error
    means = np.asarray(fit.fe_params, dtype=np.float64)
    between, within = float(np.asarray(fit.cov_re)[0, 0]), float(fit.scale)
    if not fit.converged or not np.all(np.isfinite([*means, between, within])):
        raise CannotFitError(UNSETTLED)
    spread = _covariance(who, design, max(between, 0.0), within)
    z = float(special.ndtri(0.5 + LEVEL / 2))
    half = z * np.sqrt(np.diag(spread))
    change = means - means[0]
    change_half = z * np.sqrt(np.maximum(np.diag(spread) + spread[0, 0] - 2 * spread[0], 0.0))
    return MixedFit(
        visits=tuple(names),
        n_people=n_people,
        n_scores=int(values.size),
        counts=tuple(int(count) for count in counts),
        means=_plain(means),
        low=_plain(means - half),
        high=_plain(means + half),
        change=_plain(change),
        change_low=_plain(change - change_half),
        change_high=_plain(change + change_half),
        sd_between=math.sqrt(max(between, 0.0)),
        sd_within=math.sqrt(within),
        log_likelihood=float(fit.llf),
    )


def _covariance(who: NDArray[np.int64], design: Floats, between: float, within: float) -> Floats:
    """Of the means, given the variances: the inverse of the sum over people of X' V^-1 X.

    This is what R's lme4 and SAS give. The library's own inverts the Hessian with the variances in
    it, which differs a little where scores are missing.
    """
    _, person = np.unique(who, return_inverse=True)
    scores = np.zeros((person.max() + 1, design.shape[1]))
    np.add.at(scores, person, design)
    shrink = between / (within * (within + scores.sum(axis=1) * between))
    information = np.diag(design.sum(axis=0)) / within - scores.T @ (scores * shrink[:, None])
    return np.linalg.inv(information)


def _plain(values: Floats) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
