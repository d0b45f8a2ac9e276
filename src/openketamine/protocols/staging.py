"""How far a depression has resisted: antidepressant trials counted, and staged.

One row for each trial; the count is derived from the rows, and says of each why it counts or not.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from openketamine.words import _

from . import schema
from .library import Library


@dataclass(frozen=True)
class Trial:
    """One antidepressant trial as the clinic knows it. None is unknown.

    `dose_mg_per_day` is the highest dose reached; `outcome` one of the library's outcomes.
    """

    drug: str
    started: date | None = None
    stopped: date | None = None
    dose_mg_per_day: float | None = None
    in_this_episode: bool | None = None
    adequate_dose: bool | None = None
    adequate_duration: bool | None = None
    outcome: str = "unknown"

    def weeks(self, on: date) -> float | None:
        """How long it lasted, up to a day where it goes on; None where its start is unknown."""
        return None if self.started is None else ((self.stopped or on) - self.started).days / 7


@dataclass(frozen=True)
class Judged:
    """Whether one trial counts (None: not to be said yet), and why."""

    trial: Trial
    counts: bool | None
    why: str


@dataclass(frozen=True)
class Count:
    """Failed adequate trials: at least `at_least`, at most `at_most`, which unknowns keep apart."""

    judged: tuple[Judged, ...]
    at_least: int
    at_most: int

    def settled(self, needed: int) -> int | None:
        """The number that a rule on `needed` trials may read, or None while that is open."""
        return self.at_least if self.at_least == self.at_most or self.at_least >= needed else None


def count_failed(library: Library, trials: Iterable[Trial], *, on: date) -> Count:
    """Count the adequate trials without response in this episode (rows TRD-1, TRD-2)."""
    judged = tuple(_judge(library.staging, trial, on) for trial in trials)
    certain = sum(item.counts is True for item in judged)
    return Count(judged, certain, certain + sum(item.counts is None for item in judged))


def _judge(rules: schema.StagingFile, trial: Trial, on: date) -> Judged:
    weeks = trial.weeks(on)
    duration = trial.adequate_duration
    if duration is None and weeks is not None:
        duration = weeks >= rules.weeks.shortest
    failed = None if trial.outcome == "unknown" else trial.outcome in rules.failing_outcomes
    answers = (
        (trial.in_this_episode, _("not in this episode"), _("whether it was in this episode")),
        (trial.adequate_dose, _("dose not adequate"), _("whether the dose was adequate")),
        (duration, _("not long enough"), _("how long it lasted")),
        (failed, _(rules.outcomes.get(trial.outcome, trial.outcome)).lower(), _("what came of it")),
    )
    if against := [words for holds, words, _open in answers if holds is False]:
        return Judged(trial, False, _("does not count: %(why)s") % {"why": ", ".join(against)})
    if open_ := [words for holds, _against, words in answers if holds is None]:
        return Judged(trial, None, _("not known: %(what)s") % {"what": ", ".join(open_)})
    return Judged(trial, True, _("counts"))


@dataclass(frozen=True)
class Stage:
    """A staging score with its parts; `total` is None while a part is unknown."""

    score: schema.StagingScore
    parts: tuple[tuple[schema.StagingPart, int | None], ...]
    total: int | None
    band: str


def stage(score: schema.StagingScore, answers: Mapping[str, float | str | None]) -> Stage:
    """Add up a staging score, e.g. Maudsley.

    Args:
        answers: by part: a number where the part has bands, one of its choices where it has points.

    Raises:
        ValueError: an answer is none of a part's choices, or negative.
    """
    parts = tuple((part, _points(part, answers.get(part.id))) for part in score.parts)
    points: Sequence[int | None] = [value for _, value in parts]
    if any(value is None for value in points):
        return Stage(score, parts, None, "")
    total = sum(value for value in points if value is not None)
    band = max((item for item in score.bands if item[0] <= total), default=(0, ""))[1]
    return Stage(score, parts, total, band)


def _points(part: schema.StagingPart, answer: float | str | None) -> int | None:
    if answer is None:
        return None
    if part.points:
        if answer not in part.points:
            raise ValueError(
                _("%(part)s: %(answer)r is not one of %(choices)s.")
                % {
                    "part": _(part.label),
                    "answer": answer,
                    "choices": ", ".join(map(_, part.points)),
                }
            )
        return part.points[str(answer)]
    if not isinstance(answer, int | float) or answer < 0:
        raise ValueError(
            _("%(part)s: %(answer)r is not a number of zero or more.")
            % {"part": _(part.label), "answer": answer}
        )
    return next((value for top, value in part.up_to if answer <= top), part.highest)
