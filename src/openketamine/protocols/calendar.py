"""The days of a course: a regimen, a first day and what has happened so far, to a calendar.

Pure and the same every time: it reads no clock and decides nothing. Each proposed day says why it
was chosen. What must hold, and is tested as such: never two sessions on a day; never more in a week
than the rhythm allows, whether weeks are counted from the first session or from Monday; never
closer together than the rhythm's least gap; never on a day that is closed; numbers and days go up
together; a course that has an end ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from openketamine.words import _, _n, _noop

from .library import Library
from .regimens import NextDose, next_dose
from .schema import MissedRule, Phase, Regimen, Rhythm
from .words import day_and_month

WEEK = 7
LONGEST_SEARCH_DAYS = 90  # for an open day, before the calendar is called closed
_DAYS = (
    _noop("Monday"),
    _noop("Tuesday"),
    _noop("Wednesday"),
    _noop("Thursday"),
    _noop("Friday"),
    _noop("Saturday"),
    _noop("Sunday"),
)


class NoOpenDayError(ValueError):
    """Every day is closed: there is nothing to propose."""


@dataclass(frozen=True)
class OpenDays:
    """When the clinic gives sessions. Weekdays as in `date.weekday`: 0 is Monday."""

    weekdays: frozenset[int] = frozenset({0, 1, 2, 3, 4})
    closed: frozenset[date] = frozenset()

    def why_closed(self, day: date) -> str | None:
        if day.weekday() not in self.weekdays:
            return _("the clinic is closed on a %(weekday)s") % {"weekday": _(_DAYS[day.weekday()])}
        if day in self.closed:
            return _("the clinic is closed on %(day)s") % {"day": day_and_month(day)}
        return None


@dataclass(frozen=True)
class PastSession:
    """A session that was given, or that the patient missed."""

    on: date
    state: Literal["done", "missed"]
    dose: float | None = None  # in the unit of the regimen, where it was given


@dataclass(frozen=True)
class Choices:
    """What the prescriber and the patient chose; what is absent is proposed.

    Attributes:
        rhythms: by phase id, one of the rhythms of that phase.
        weekdays: on which the patient can come.
        sessions: how many, in a phase that is counted in sessions.
    """

    rhythms: Mapping[str, str] = field(default_factory=dict)
    weekdays: frozenset[int] = frozenset()
    sessions: int | None = None


@dataclass(frozen=True)
class ProposedSession:
    """A day for a session. `week` counts from the first session, beginning with 1."""

    on: date
    number: int
    week: int
    phase: str
    dose: NextDose | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ProposedMeasurement:
    """A day on which questionnaires are due, by their ids."""

    on: date
    instruments: tuple[str, ...]
    occasion: str
    reason: str


@dataclass(frozen=True)
class Review:
    """A day by which the prescriber decides how to go on."""

    on: date
    phase: str
    statement: str


@dataclass(frozen=True)
class Calendar:
    """Proposals, and what is not known that could change them.

    `provisional` while a question is open: the days stand as if nothing had worsened, which is the
    slower schedule, until a clinician has answered.
    """

    sessions: tuple[ProposedSession, ...]
    measurements: tuple[ProposedMeasurement, ...]
    reviews: tuple[Review, ...]
    notes: tuple[str, ...]
    questions: tuple[str, ...]

    @property
    def provisional(self) -> bool:
        return bool(self.questions)


@dataclass(frozen=True)
class _Slot:
    """A session as the regimen would have it, before the calendar is looked at."""

    target: date
    week: int
    phase: Phase
    rhythm: Rhythm
    reason: str
    movable: bool  # counted in sessions: it may fall into a later week rather than away


def propose(
    library: Library,
    regimen: Regimen,
    *,
    start: date,
    condition: str | None = None,
    weeks: int = 12,
    choices: Choices | None = None,
    open_days: OpenDays | None = None,
    history: Sequence[PastSession] = (),
    worsened: bool | None = None,
    tolerated: bool | None = None,
    today: date | None = None,
) -> Calendar:
    """The sessions and measurements that the regimen asks for, from today on.

    Args:
        start: the first session is on this day or the next that is open.
        condition: which of the regimen's conditions is treated; its first where not given.
        weeks: how far to look ahead where the regimen has no end.
        history: what was done and missed, in any order.
        worsened: whether symptoms worsened since a missed session; None asks.
        tolerated: whether the last dose was tolerated; None keeps the next one from rising.
        today: nothing is proposed before it; without it, not before `start`.

    Raises:
        ValueError: the regimen has no schedule, a rhythm or a number was chosen that it does not
            offer, or two sessions of the history fall on one day.
        NoOpenDayError: the clinic never opens on the days chosen.
    """
    plan = _Plan(
        library,
        regimen,
        choices or Choices(),
        open_days or OpenDays(),
        sorted(history, key=lambda past: past.on),
        start,
        weeks,
        today or start,
        condition or regimen.conditions[0],
    )
    return plan.calendar(worsened, tolerated)


class _Plan:
    """One proposal in the making."""

    def __init__(
        self,
        library: Library,
        regimen: Regimen,
        choices: Choices,
        open_days: OpenDays,
        history: list[PastSession],
        start: date,
        weeks: int,
        today: date,
        condition: str,
    ) -> None:
        if not regimen.phases:
            raise ValueError(
                _("%(regimen)s has no schedule: %(reason)s")
                % {"regimen": _(regimen.name), "reason": _(regimen.unset[0].reason)}
            )
        if len({past.on for past in history}) != len(history):
            raise ValueError(_("the history has two sessions on one day"))
        self.library, self.regimen, self.choices = library, regimen, choices
        self.condition = condition
        self.open_days, self.history, self.today = open_days, history, today
        self.done = [past for past in history if past.state == "done"]
        self.notes: list[str] = []
        self.questions: list[str] = []
        # Weeks are counted from the first session: the one given, or the first that can be.
        self.anchor = self.done[0].on if self.done else self._open_from(max(start, today))
        self.earliest = max(today, self.anchor)
        if history:
            self.earliest = max(self.earliest, history[-1].on + timedelta(days=1))
        self.last_day = max(self.anchor, today) + timedelta(days=WEEK * weeks - 1)
        self._check_choices()

    def _check_choices(self) -> None:
        phases = {phase.id: phase for phase in self.regimen.phases}
        for phase_id, rhythm in self.choices.rhythms.items():
            if phase_id not in phases:
                raise ValueError(f"{self.regimen.name} has no phase {phase_id!r}")
            if rhythm not in phases[phase_id].rhythms:
                raise ValueError(
                    _("%(phase)s: %(rhythm)r is not offered; choose from %(rhythms)s")
                    % {
                        "phase": _(phases[phase_id].label),
                        "rhythm": rhythm,
                        "rhythms": ", ".join(phases[phase_id].rhythms),
                    }
                )
        if self.choices.sessions is not None and self.choices.sessions < 0:
            raise ValueError(_("the number of sessions is not below zero"))

    def _rhythm(self, phase: Phase) -> Rhythm:
        return self.library.rhythms[self.choices.rhythms.get(phase.id, phase.rhythms[0])]

    def _why_not(self, day: date) -> str | None:
        if reason := self.open_days.why_closed(day):
            return reason
        if self.choices.weekdays and day.weekday() not in self.choices.weekdays:
            return _("the patient cannot come on a %(weekday)s") % {
                "weekday": _(_DAYS[day.weekday()])
            }
        return None

    def _open_from(self, day: date) -> date:
        for ahead in range(LONGEST_SEARCH_DAYS):
            candidate = day + timedelta(days=ahead)
            if not self._why_not(candidate):
                return candidate
        raise NoOpenDayError(
            _("no open day within %(days)d days of %(day)s")
            % {"days": LONGEST_SEARCH_DAYS, "day": f"{day_and_month(day)} {day.year}"}
        )

    def _week(self, day: date) -> int:
        return (day - self.anchor).days // WEEK + 1

    def calendar(self, worsened: bool | None, tolerated: bool | None) -> Calendar:
        rule = self._missed_rule(worsened)
        slots: Iterator[_Slot]
        if rule is not None and rule.action == "step back":
            slots, reviews = self._stepped_back(rule)
        else:
            slots = self._slots()
            reviews = self._reviews()
        placed: list[tuple[date, _Slot, list[str]]] = []
        taken = [past.on for past in self.done]
        doses = [past.dose for past in self.done if past.dose is not None]
        for slot in slots:
            day, reasons = self._place(slot, taken)
            if day is None:
                self.notes.append(reasons[0])
                continue
            if slot.phase.last_week is None and slot.phase.sessions is None and day > self.last_day:
                break
            taken.append(day)
            placed.append((day, slot, reasons))
        # The second session of a week may only have found a day before the first one's: whichever
        # is given first is the earlier in number, and the next to be given has the dose.
        placed.sort(key=lambda each: each[0])
        sessions = [
            ProposedSession(
                on=day,
                number=len(self.done) + index + 1,
                week=self._week(day),
                phase=slot.phase.id,
                dose=self._dose(doses, tolerated) if index == 0 else None,
                reasons=tuple(reasons),
            )
            for index, (day, slot, reasons) in enumerate(placed)
        ]
        if rule is None or rule.action != "step back":
            reviews = [*reviews, *self._counted_reviews(sessions)]
        return Calendar(
            sessions=tuple(sessions),
            measurements=tuple(self._measurements(sessions)),
            reviews=tuple(sorted(reviews, key=lambda review: review.on)),
            notes=tuple(self.notes),
            questions=tuple(self.questions),
        )

    def _dose(self, doses: list[float], tolerated: bool | None) -> NextDose | None:
        if self.regimen.dose is None:
            return None
        return next_dose(self.regimen, doses, tolerated=tolerated)

    # What was missed

    def _missed_rule(self, worsened: bool | None) -> MissedRule | None:
        """The rule for sessions missed since the last one that was given."""
        last_done = self.done[-1].on if self.done else None
        missed = [
            past
            for past in self.history
            if past.state == "missed" and (last_done is None or past.on > last_done)
        ]
        if not missed:
            return None
        phase = self._phase_of(missed[-1].on)
        rules = [rule for rule in self.regimen.missed if phase.id in rule.phases]
        if any(rule.worsened is not None for rule in rules) and worsened is None:
            self.questions.append(
                _("Have symptoms worsened since the session missed on %(day)s?")
                % {"day": day_and_month(missed[-1].on)}
            )
            worsened = False
        for rule in rules:
            if rule.worsened is None or rule.worsened is worsened:
                self.notes.append(f"{_(rule.statement)} ({rule.id}).")
                return rule
        return None

    def _phase_of(self, day: date) -> Phase:
        """The phase in which a day lies, by weeks or by the sessions done."""
        week = self._week(day)
        counted = len([past for past in self.done if past.on < day])
        for phase in self.regimen.phases:
            if phase.sessions is not None:
                total = self._count(phase)
                if counted < total:
                    return phase
                counted -= total
            elif phase.last_week is None or week <= phase.last_week:
                return phase
        return self.regimen.phases[-1]

    def _count(self, phase: Phase) -> int:
        chosen = self.choices.sessions
        return phase.sessions or 0 if chosen is None else chosen

    def _stepped_back(self, rule: MissedRule) -> tuple[Iterator[_Slot], list[Review]]:
        """The earlier, denser rhythm for some weeks, and then a decision."""
        phase = self._phase_of(self.history[-1].on)
        rhythm = self._rhythm(phase)
        back = self.library.rhythms[rule.step_back.get(rhythm.id, rhythm.id)]
        start = self._open_from(self.earliest)
        length = WEEK * (rule.for_weeks or 0)
        end = start + timedelta(days=length)

        def slots() -> Iterator[_Slot]:
            for offset in range(0, length, back.period_days):
                for on_day in self._on_days(back, start):
                    target = start + timedelta(days=offset + on_day)
                    if target < end:
                        reason = _("%(rhythm)s, one step back from %(from)s") % {
                            "rhythm": _(back.statement),
                            "from": rhythm.id,
                        }
                        yield _Slot(target, self._week(target), phase, back, reason, False)

        statement = _noop("Decide on the rhythm from here on: stay, or return to the wider one.")
        return slots(), [Review(end, phase.id, statement)]

    # What is due

    def _on_days(self, rhythm: Rhythm, anchor: date) -> tuple[int, ...]:
        """The days of a period, moved to the weekdays on which the patient can come."""
        days, wanted = rhythm.on_days, self.choices.weekdays
        if not wanted or rhythm.period_days != WEEK or len(wanted) < len(days):
            return days
        offsets = sorted((weekday - anchor.weekday()) % WEEK for weekday in wanted)
        chosen: list[int] = []
        for offset in offsets:
            if len(chosen) < len(days) and (
                not chosen or offset - chosen[-1] >= rhythm.least_gap_days
            ):
                chosen.append(offset)
        return tuple(chosen) if len(chosen) == len(days) else days

    def _slots(self) -> Iterator[_Slot]:
        counted = len(self.done)
        for phase in self.regimen.phases:
            if phase.sessions is not None:
                total = self._count(phase)
                left, counted = max(total - counted, 0), max(counted - total, 0)
                yield from self._by_number(phase, left, total)
            else:
                yield from self._by_week(phase)

    def _by_number(self, phase: Phase, left: int, total: int) -> Iterator[_Slot]:
        rhythm = self._rhythm(phase)
        run = self.anchor
        if self.history:
            gap = rhythm.least_gap_days
            after = self.done[-1].on + timedelta(days=gap) if self.done else self.earliest
            run = self._open_from(max(self.earliest, after))
        days = self._on_days(rhythm, run)
        for index in range(left):
            period, place = divmod(index, len(days))
            target = run + timedelta(days=period * rhythm.period_days + days[place])
            number = total - left + index + 1
            reason = _("%(phase)s, session %(number)d of %(total)d: %(rhythm)s") % {
                "phase": _(phase.label),
                "number": number,
                "total": total,
                "rhythm": _(rhythm.statement),
            }
            yield _Slot(target, self._week(target), phase, rhythm, reason, True)

    def _by_week(self, phase: Phase) -> Iterator[_Slot]:
        rhythm = self._rhythm(phase)
        first = phase.first_week or 1
        last = phase.last_week or self._week(self.last_day)
        if rhythm.period_days > WEEK:
            # Two weeks after the session before, not a week after it because a phase begins.
            yield from self._spaced(phase, rhythm, first, last)
            return
        for week in range(first, last + 1):
            begin = self.anchor + timedelta(days=WEEK * (week - 1))
            used = len([past for past in self.history if self._week(past.on) == week])
            for place, on_day in enumerate(self._on_days(rhythm, self.anchor)):
                target = begin + timedelta(days=on_day)
                if place < used or begin + timedelta(days=WEEK - 1) < self.earliest:
                    continue
                reason = self._by_week_reason(phase, week, rhythm)
                yield _Slot(target, week, phase, rhythm, reason, False)

    def _spaced(self, phase: Phase, rhythm: Rhythm, first: int, last: int) -> Iterator[_Slot]:
        """Sessions wider apart than a week, from the one before the phase on."""
        step = timedelta(days=rhythm.period_days)
        in_phase = [past for past in self.history if self._week(past.on) >= first]
        previous = self.anchor + timedelta(days=WEEK * (first - 2))
        if in_phase:
            # The schedule goes on from the day that was due, whether or not it was kept.
            previous = in_phase[-1].on
            if self.choices.weekdays == frozenset():
                previous += timedelta(days=self._back_to_rhythm(previous))
        target = previous + step
        while target < self.earliest - timedelta(days=WEEK - 1):
            target += step
        while self._week(target) <= last:
            reason = self._by_week_reason(phase, self._week(target), rhythm)
            yield _Slot(target, self._week(target), phase, rhythm, reason, False)
            target += step

    @staticmethod
    def _by_week_reason(phase: Phase, week: int, rhythm: Rhythm) -> str:
        return _("%(phase)s, week %(week)d: %(rhythm)s") % {
            "phase": _(phase.label),
            "week": week,
            "rhythm": _(rhythm.statement),
        }

    def _back_to_rhythm(self, day: date) -> int:
        """Days to the weekday of the first session: at most three either way."""
        ahead = (self.anchor.weekday() - day.weekday()) % WEEK
        return ahead if ahead <= WEEK // 2 else ahead - WEEK

    # Which day

    def _place(self, slot: _Slot, taken: list[date]) -> tuple[date | None, list[str]]:
        """The first day that fits, and why; or None, and why none does."""
        end_of_week = self.anchor + timedelta(days=WEEK * slot.week - 1)
        later = slot.target + timedelta(days=LONGEST_SEARCH_DAYS) if slot.movable else end_of_week
        wanted = max(slot.target, self.earliest)
        moved: list[str] = []
        day = wanted
        while day <= later:
            if not (reason := self._why_not(day) or self._too_dense(day, slot.rhythm, taken)):
                return day, self._reasons(slot, day, moved)
            if not moved:
                moved.append(reason)
            day += timedelta(days=1)
        # No day left in this week: an earlier one of the same week, if there is one.
        day = wanted - timedelta(days=1)
        begin = self.anchor + timedelta(days=WEEK * (slot.week - 1))
        while day >= max(begin, self.earliest):
            if not self._why_not(day) and not self._too_dense(day, slot.rhythm, taken):
                return day, self._reasons(slot, day, moved)
            day -= timedelta(days=1)
        if slot.movable:
            raise NoOpenDayError(
                _("no day fits within %(days)d days of %(day)s")
                % {"days": LONGEST_SEARCH_DAYS, "day": slot.target}
            )
        if moved:
            told = _("Week %(week)d: a session falls away, no day fits: %(why)s.")
            return None, [told % {"week": slot.week, "why": moved[0]}]
        return None, [_("Week %(week)d: a session falls away, no day fits.") % {"week": slot.week}]

    @staticmethod
    def _reasons(slot: _Slot, day: date, moved: list[str]) -> list[str]:
        reasons = [f"{slot.reason}."]
        if day != slot.target and moved:
            days = abs((day - slot.target).days)
            told = (
                _n("%(days)d day later: %(why)s.", "%(days)d days later: %(why)s.", days)
                if day > slot.target
                else _n("%(days)d day earlier: %(why)s.", "%(days)d days earlier: %(why)s.", days)
            )
            reasons.append(told % {"days": days, "why": moved[0]})
        return reasons

    def _too_dense(self, day: date, rhythm: Rhythm, taken: list[date]) -> str | None:
        for other in taken:
            apart = abs((day - other).days)
            if apart < rhythm.least_gap_days:
                return _(
                    "at least %(least)d days lie between sessions and %(day)s is %(apart)d away"
                ) % {"least": rhythm.least_gap_days, "day": day_and_month(other), "apart": apart}
        monday = day - timedelta(days=day.weekday())
        by_calendar = [d for d in taken if monday <= d < monday + timedelta(days=WEEK)]
        by_treatment = [d for d in taken if self._week(d) == self._week(day)]
        most = rhythm.per_week
        if len(by_calendar) >= most or len(by_treatment) >= most:
            told = _n(
                "a week has at most %(most)d session", "a week has at most %(most)d sessions", most
            )
            return told % {"most": most}
        return None

    # What goes with it

    def _reviews(self) -> list[Review]:
        """Decisions at the end of phases that are counted in weeks."""
        return [
            Review(self.anchor + timedelta(days=WEEK * phase.last_week), phase.id, phase.review)
            for phase in self.regimen.phases
            if phase.last_week is not None
            and phase.review
            and self.anchor + timedelta(days=WEEK * phase.last_week) >= self.today
        ]

    def _counted_reviews(self, sessions: list[ProposedSession]) -> list[Review]:
        """Decisions the day after the last session of phases that are counted in sessions."""
        found = []
        for phase in self.regimen.phases:
            days = [session.on for session in sessions if session.phase == phase.id]
            if phase.sessions is not None and phase.review and days:
                found.append(Review(days[-1] + timedelta(days=1), phase.id, phase.review))
        return found

    def _measurements(self, sessions: list[ProposedSession]) -> list[ProposedMeasurement]:
        """What falls due after each session, none of it more often than its occasion allows."""
        after = [*(past.on for past in self.done), *(session.on for session in sessions)]
        due: list[ProposedMeasurement] = []
        for occasion in self.library.measurements.occasions:
            if not occasion.after_hours:
                continue
            last: date | None = None
            counted = list(enumerate(after, start=1))
            if occasion.repeats_every_days:  # only the last session is followed so long
                counted = counted[-1:]
            for number, day in counted:
                on = day + timedelta(hours=occasion.after_hours)
                often = occasion.at_most_every_days
                if last is not None and often is not None and (on - last).days < often:
                    continue
                last = on
                if on >= self.today:
                    reason = _("%(occasion)s (session %(number)d)") % {
                        "occasion": _(occasion.label),
                        "number": number,
                    }
                    asked = occasion.instruments_for(self.condition)
                    due.append(ProposedMeasurement(on, asked, occasion.id, reason))
        return sorted(due, key=lambda measurement: (measurement.on, measurement.occasion))
