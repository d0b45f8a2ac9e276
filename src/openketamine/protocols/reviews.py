"""When a course is reviewed, and what speaks for each decision. Rules read facts; people decide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from .eligibility import evaluate
from .library import Library
from .schema import MisuseSign, ReviewCheck, ReviewDue, ReviewOption, Says


@dataclass(frozen=True)
class Due:
    """A review that falls due on a day, by a rule."""

    rule: ReviewDue
    on: date

    def overdue_days(self, today: date) -> int:
        """Days past the day; 0 before it and on it."""
        return max((today - self.on).days, 0)


def next_review(
    library: Library,
    *,
    route: str,
    first_dose_on: date | None,
    induction_ended_on: date | None,
    last_review_on: date | None,
    next_set_for: date | None = None,
) -> Due | None:
    """The review that a course waits for next; None before its first dose.

    Before the first review the earliest of the rules counts. After one, the day that it set, or the
    regular interval where it set none; a set day never reaches past that interval.

    Args:
        induction_ended_on: the last session's day, once no further one of the plan waits.
    """
    rules = [rule for rule in library.reviews.due if not rule.routes or route in rule.routes]
    if last_review_on is not None:
        regular = min(
            (rule for rule in rules if rule.after == "review"), key=lambda rule: rule.days
        )
        on = last_review_on + timedelta(days=regular.days)
        return Due(regular, min(on, next_set_for) if next_set_for else on)
    starts = {"induction": induction_ended_on, "first dose": first_dose_on}
    waiting = [
        Due(rule, start + timedelta(days=rule.days))
        for rule in rules
        if (start := starts.get(rule.after)) is not None
    ]
    if not waiting and first_dose_on is not None:
        # A course without an end of its induction in sight is reviewed at the regular interval.
        regular = min(
            (rule for rule in rules if rule.after == "review"), key=lambda rule: rule.days
        )
        waiting = [Due(regular, first_dose_on + timedelta(days=regular.days))]
    return min(waiting, key=lambda due: due.on, default=None)


@dataclass(frozen=True)
class CheckState:
    """How a check of a review stands. `due` None: a fact that decides it is unknown."""

    check: ReviewCheck
    due: bool | None
    last_on: date | None
    unknown: tuple[str, ...] = ()


def checks(
    library: Library,
    facts: Mapping[str, Any],
    last: Mapping[str, date],
    *,
    today: date,
    jurisdiction: str,
) -> list[CheckState]:
    """Every check that concerns this course, with the day of its last result.

    Args:
        last: by the check's id, the day of the newest result; absent where there is none.
    """
    found = []
    for check in library.reviews.checks:
        if not check.applies_in(jurisdiction):
            continue
        concerns, unknown = evaluate(check.when, facts) if check.when else (True, set())
        if concerns is False:
            continue
        done = last.get(check.id)
        old = done is None or (today - done).days >= check.every_days
        due = old if concerns else (None if old else False)
        found.append(CheckState(check, due, done, tuple(sorted(unknown))))
    return found


def signs_shown(library: Library, facts: Mapping[str, Any]) -> list[MisuseSign]:
    """The signs of misuse that the record itself shows."""
    return [
        sign
        for sign in library.reviews.misuse
        if sign.when is not None and evaluate(sign.when, facts)[0]
    ]


@dataclass(frozen=True)
class Weighed:
    """One decision with what speaks for it, what against it, and what cannot be judged."""

    option: ReviewOption
    pros: tuple[Says, ...]
    cons: tuple[Says, ...]
    open: tuple[tuple[Says, tuple[str, ...]], ...]


def weigh(library: Library, facts: Mapping[str, Any]) -> list[Weighed]:
    """Every decision with what the facts say of it. None is preferred."""
    found = []
    for option in library.reviews.options:
        judged = [(says, *evaluate(says.when, facts)) for says in option.says]
        found.append(
            Weighed(
                option,
                tuple(_side(judged, "for")),
                tuple(_side(judged, "against")),
                tuple(
                    (says, tuple(sorted(needs))) for says, holds, needs in judged if holds is None
                ),
            )
        )
    return found


def _side(judged: Iterable[tuple[Says, bool | None, set[str]]], side: str) -> list[Says]:
    return [says for says, holds, _ in judged if holds and says.side == side]
