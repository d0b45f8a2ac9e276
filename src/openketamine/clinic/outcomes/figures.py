"""What comes out of a cohort: pure functions of its arrays and of the rules that count it.

People count by their own first dose. Who began, who has come far enough to be counted, who was
measured, and why the others were not, always belong to a figure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from django.utils.translation import gettext_noop

from openketamine.protocols.schema import InstrumentFile, Landmark

from .cohort import Cohort, Scores
from .statistics import Mean, Proportion, Survival, kaplan_meier, mean, proportion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]

# Why somebody has no figure at a landmark, in the order in which the reasons are looked for. Like
# all words here they are keys, and translated where they are shown.
NO_BASELINE = gettext_noop("No score before the first dose")
UNANSWERED = gettext_noop("Asked, not answered")
OTHER_TIME = gettext_noop("Answered, but outside the window")
LEFT = gettext_noop("Not asked: the course had been closed")
NOT_ASKED = gettext_noop("Not asked in the window")
ALREADY = gettext_noop("Below the cut of remission before treatment")
NO_SCORE_YET = gettext_noop("No score after the first dose yet")
NOT_RESPONDED = gettext_noop("Not responded, so nothing to lose")
NOT_SEEN_SINCE = gettext_noop("Responded, no score since")


def fall_percent(baseline: Floats, total: Floats) -> Floats:
    """Improvement in percent of the baseline, rounded as the protocols round it; 0 from 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        fall = np.round(100 * (baseline - total) / baseline, 6)
    return np.where(baseline > 0, fall, np.where(np.isnan(baseline), np.nan, 0.0))


def responds(instrument: InstrumentFile, baseline: Floats, total: Floats) -> Mask:
    """As `protocols.instruments.has_responded`, for arrays; False where a score is missing."""
    assert instrument.response is not None
    with np.errstate(invalid="ignore"):
        return fall_percent(baseline, total) >= instrument.response.fall_percent


def remits(instrument: InstrumentFile, total: Floats) -> Mask:
    assert instrument.remission is not None
    with np.errstate(invalid="ignore"):
        return total < instrument.remission.below


def changes(instrument: InstrumentFile, baseline: Floats, total: Floats) -> Mask:
    change = instrument.important_change
    assert change is not None
    with np.errstate(invalid="ignore"):
        if change.points is not None:
            return np.round(baseline - total, 6) >= change.points
        return fall_percent(baseline, total) >= (change.percent or 0.0)


MEASURES = {
    "response": gettext_noop("Response"),
    "remission": gettext_noop("Remission"),
    "important_change": gettext_noop("Important change"),
}


def measures_of(instrument: InstrumentFile) -> list[str]:
    """What is counted with an instrument: what it has a rule for.

    An important change is counted where there is no response: it is less, and would be a third
    figure for the same question.
    """
    found = [name for name in MEASURES if getattr(instrument, name) is not None]
    return found if "response" not in found else [n for n in found if n != "important_change"]


@dataclass(frozen=True)
class At:
    """A cohort at one landmark. Masks and values have shape (n,)."""

    landmark: Landmark
    reached: Mask  # the window is over
    total: Floats  # NaN where there is none
    measured: Mask  # reached, with a score before and one in the window
    missing: dict[str, Mask]  # of those who reached it: why there is none

    @property
    def began(self) -> int:
        return len(self.reached)


def at_landmark(cohort: Cohort, scores: Scores, landmark: Landmark) -> At:
    """Find the score nearest to the landmark's day within its window, and why others have none.

    Whoever has not come to the end of the window is not counted yet, measured or not: else those
    who answer early would count before those who do not answer.
    """
    n = len(cohort)
    reached = cohort.followed_days >= landmark.to_day
    inside = (scores.day >= landmark.from_day) & (scores.day < landmark.to_day)
    owner, day = scores.owner[inside], scores.day[inside]
    order = np.lexsort((np.abs(day - landmark.day), owner))
    found, place = np.unique(owner[order], return_index=True)
    total = np.full(n, np.nan)
    total[found] = scores.total[inside][order][place]
    has_baseline, has_score = ~np.isnan(scores.baseline), ~np.isnan(total)
    measured = reached & has_baseline & has_score
    left = reached & ~measured
    missing: dict[str, Mask] = {}

    def because(reason: str, mask: Mask) -> None:
        nonlocal left
        missing[reason] = left & mask
        left = left & ~mask

    because(NO_BASELINE, ~has_baseline)
    asked = (scores.due_day < landmark.to_day) & (scores.closing_day > landmark.from_day)
    because(UNANSWERED, _any(n, scores.asked_owner, asked & ~scores.answered))
    because(OTHER_TIME, _any(n, scores.asked_owner, asked & scores.answered))
    with np.errstate(invalid="ignore"):
        because(LEFT, cohort.closed_day < landmark.to_day)
    because(NOT_ASKED, np.ones(n, bool))
    return At(landmark, reached, total, measured, missing)


def _any(n: int, owner: NDArray[np.int64], mask: Mask) -> Mask:
    found = np.zeros(n, bool)
    found[owner[mask]] = True
    return found


@dataclass(frozen=True)
class Figure:
    """One share at one landmark, with everybody who is not in it.

    `if_none` and `if_all` are the share of all who reached the landmark, had nobody and had
    everybody of the missing improved: the truth lies between them.
    """

    measure: str
    landmark: Landmark
    began: int
    reached: int
    counted: Proportion
    missing: dict[str, int]

    @property
    def measured(self) -> int:
        return self.counted.n

    @property
    def unmeasured(self) -> int:
        return sum(self.missing.values())

    @property
    def if_none(self) -> float | None:
        all_reached = self.measured + self.unmeasured
        return self.counted.count / all_reached if all_reached else None

    @property
    def if_all(self) -> float | None:
        all_reached = self.measured + self.unmeasured
        return (self.counted.count + self.unmeasured) / all_reached if all_reached else None


def improved(measure: str, instrument: InstrumentFile, scores: Scores, at: At) -> Mask:
    """Who of a cohort meets a measure at a landmark."""
    match measure:
        case "response":
            met = responds(instrument, scores.baseline, at.total)
        case "remission":
            met = remits(instrument, at.total)
        case _:
            met = changes(instrument, scores.baseline, at.total)
    return met & at.measured


def countable(measure: str, instrument: InstrumentFile, scores: Scores, at: At) -> Mask:
    """Of whom the measure can be said: nobody comes into remission who was never above its cut."""
    if measure != "remission":
        return at.measured
    return at.measured & ~remits(instrument, scores.baseline)


def figure(measure: str, instrument: InstrumentFile, scores: Scores, at: At) -> Figure:
    counted = countable(measure, instrument, scores, at)
    met = improved(measure, instrument, scores, at) & counted
    missing = {reason: int(mask.sum()) for reason, mask in at.missing.items()}
    return Figure(
        measure,
        at.landmark,
        at.began,
        int(at.reached.sum()),
        proportion(int(met.sum()), int(counted.sum())),
        missing,
    )


@dataclass(frozen=True)
class MeanAt:
    """Scores before treatment and at a landmark, of those who have both."""

    landmark: Landmark
    baseline: Mean
    total: Mean
    change: Mean


def mean_change(scores: Scores, at: At) -> MeanAt:
    before, after = scores.baseline[at.measured], at.total[at.measured]
    return MeanAt(at.landmark, mean(before), mean(after), mean(after - before))


@dataclass(frozen=True)
class TimeTo:
    """A time until something, of those whose time can be told, and why the others' cannot."""

    n: int
    events: int
    survival: Survival | None
    left_out: dict[str, int]


def time_to_response(instrument: InstrumentFile, cohort: Cohort, scores: Scores) -> TimeTo:
    """Days from the first dose to the first score that meets the rule of response.

    Whoever has not responded is followed until the last score. A response is seen when it is asked
    for, so it may have come earlier, since the score before.
    """
    n = len(cohort)
    first = _first_response(instrument, scores, n)
    last = _last_score(scores, n)
    has_baseline, followed = ~np.isnan(scores.baseline), ~np.isnan(last)
    told = has_baseline & followed
    happened = ~np.isnan(first)
    days = np.where(happened, first, last)
    return TimeTo(
        int(told.sum()),
        int((happened & told).sum()),
        kaplan_meier(days[told], happened[told]),
        {
            NO_BASELINE: int((~has_baseline).sum()),
            NO_SCORE_YET: int((has_baseline & ~followed).sum()),
        },
    )


def _first_response(instrument: InstrumentFile, scores: Scores, n: int) -> Floats:
    met = responds(instrument, scores.baseline[scores.owner], scores.total)
    first = np.full(n, np.inf)
    np.minimum.at(first, scores.owner[met], scores.day[met])
    return np.where(np.isinf(first), np.nan, first)


def _last_score(scores: Scores, n: int) -> Floats:
    last = np.full(n, -np.inf)
    np.maximum.at(last, scores.owner, scores.day)
    return np.where(np.isinf(last), np.nan, last)


def time_to_relapse(
    instrument: InstrumentFile, cohort: Cohort, scores: Scores, *, in_a_row: int
) -> TimeTo:
    """Days from the first response to the first of so many scores in a row that do not meet it.

    Only people who responded are in it: it says nothing of those who began. Whoever has not
    relapsed is followed until the last score.
    """
    n = len(cohort)
    first, last = _first_response(instrument, scores, n), _last_score(scores, n)
    lost = ~responds(instrument, scores.baseline[scores.owner], scores.total)
    with np.errstate(invalid="ignore"):
        lost &= scores.day > first[scores.owner]
    run = lost.copy()
    for step in range(1, in_a_row):
        following = np.zeros_like(lost)
        following[:-step] = lost[step:] & (scores.owner[step:] == scores.owner[:-step])
        run &= following
    relapse = np.full(n, np.inf)
    np.minimum.at(relapse, scores.owner[run], scores.day[run])
    responded = ~np.isnan(first)
    happened = responded & ~np.isinf(relapse)
    days = np.where(happened, relapse, last) - first
    followed = responded & (days > 0)
    return TimeTo(
        int(followed.sum()),
        int((happened & followed).sum()),
        kaplan_meier(days[followed], happened[followed]),
        {
            NOT_RESPONDED: int((~responded).sum()),
            NOT_SEEN_SINCE: int((responded & ~followed).sum()),
        },
    )
