"""What on a session asks for attention: limits crossed, signs seen, readings late or lost.

Everything is derived from the timeline, the clinic's policy and the time, so that it is the same on
every screen and after any crash, and so that whom an unanswered alert reached, and when, can be
worked out again at any later moment. Only the answer to an alert, by a named person with a reason,
is an event of its own.

An alert belongs to an episode. Answering it quiets this episode only: it opens anew when the
limit is crossed anew, and when amber becomes red. A red one that passed by itself stays on the
screen, without sound, until somebody has answered it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext, gettext_noop

from openketamine.clinic.record.models import Source
from openketamine.clinic.said import asked, lowered, say
from openketamine.protocols import alarms, monitoring
from openketamine.protocols.schema import AlarmsFile, EscalationStep, MonitoringFile

from .artefacts import UNCONFIRMED
from .models import OPEN, Phase
from .timeline import OBSERVATIONS, VITALS, Line, Timeline

LATE = "late"
FEED_LOST = "feed-lost"
EMERGENCY = "emergency"
EMERGENCY_OF = gettext_noop("Emergency: %(sign)s")
WHAT_IS_LATE = gettext_noop("%(what)s late")
_MINUTE = timedelta(minutes=1)
_WATCHED = {
    Phase.INFUSION: "infusion",
    Phase.PAUSED: "infusion",
    Phase.SPRAYING: "recovery",
    Phase.RECOVERY: "recovery",
}
_RANK = {"amber": 1, "red": 2}


@dataclass(frozen=True)
class Alert:
    """One episode. `known` is the event up to which the record had to be read to raise it.

    Its words are put into the language of whoever reads them: screens of several languages share
    one episode, and the record keeps English.
    """

    rule_id: str
    kind: str  # "limit", "sign", "late", "feed" or "emergency"
    priority: monitoring.Priority
    statement: str
    detail: str
    response: str
    since: datetime
    raised_at: datetime
    certainty: str
    authority: str
    known: int
    quantity: str = ""
    at: datetime | None = None  # of the reading that it rests on
    over_at: datetime | None = None
    acknowledged: Line | None = None
    steps: tuple[tuple[datetime, EscalationStep], ...] = ()

    @property
    def key(self) -> str:
        """Names this episode, also on a device that has been told to be quiet about it."""
        return f"{self.rule_id}.{self.known}"

    @property
    def sounds(self) -> bool:
        return self.acknowledged is None and self.over_at is None

    @property
    def reaches(self) -> frozenset[str]:
        """The roles on whose every screen it stands."""
        if not self.sounds:
            return frozenset()
        return frozenset(role for _, step in self.steps for role in step.reaches)

    @property
    def stands(self) -> bool:
        """Whether it is on the screen: not over, or grave and not answered."""
        latched = self.priority == "red" and self.kind in {"limit", "sign"}
        return self.over_at is None or (latched and self.acknowledged is None)


@dataclass(frozen=True)
class ToConfirm:
    """A monitor's reading beyond a limit, alone so far: measure again."""

    statement: str
    detail: str
    at: datetime
    counts_at: datetime


def alerts(
    timeline: Timeline, protocol: MonitoringFile, policy: AlarmsFile, now: datetime
) -> list[Alert]:
    """Every alert that stands now, unanswered red ones first."""
    if timeline.phase not in OPEN:
        return []
    standing = [alert for alert in history(timeline, protocol, policy, now) if alert.stands]
    graver = {a.quantity for a in standing if a.priority == "red" and a.over_at is None}
    shown = [
        alert
        for alert in standing
        if not (alert.kind == "limit" and alert.priority == "amber" and alert.quantity in graver)
    ]
    return sorted(
        shown,
        key=lambda a: (
            a.acknowledged is not None,
            a.priority != "red",
            a.kind != "emergency",
            not a.sounds,
            a.raised_at,
        ),
    )


def history(
    timeline: Timeline, protocol: MonitoringFile, policy: AlarmsFile, now: datetime
) -> list[Alert]:
    """Every alert that the session has had by now, in the order in which they were raised."""
    if timeline.phase not in OPEN:
        now = min(now, timeline.closed_at or now)
    found = list(_emergencies(timeline, policy))
    if timeline.started_at is not None:
        found += _limits(timeline, protocol, policy, now)
        found += _signs(timeline, protocol, policy)
        found += _late(timeline, protocol, policy, now)
        found += _feed_lost(timeline, policy, now)
    return sorted(
        (_climbed(alert, policy, now) for alert in found if alert.raised_at <= now),
        key=lambda alert: (alert.raised_at, alert.known),
    )


def to_confirm(
    timeline: Timeline, protocol: MonitoringFile, policy: AlarmsFile, now: datetime
) -> list[ToConfirm]:
    """Single readings of a monitor beyond a limit that nothing has confirmed or refuted yet."""
    if timeline.phase not in _WATCHED:
        return []
    return [
        ToConfirm(
            say(item.threshold.statement),
            _amount(item.value, _unit(protocol, quantity)),
            item.at,
            item.counts_at,
        )
        for quantity in (*VITALS, *OBSERVATIONS)
        for item in _episodes(timeline, protocol, policy, quantity, now)[1]
    ]


@dataclass(frozen=True)
class _Read:
    """How far one quantity has been read, kept with the timeline.

    Settled is all but its last value: only that one can still turn out to have stood alone.
    """

    policy: AlarmsFile
    protocol: MonitoringFile
    watch: alarms.Watch
    count: int  # readings of which all values of the quantity are settled and read
    until: datetime | None  # of the last value that was read
    seen: int  # readings that the timeline had


def _episodes(
    timeline: Timeline,
    protocol: MonitoringFile,
    policy: AlarmsFile,
    quantity: str,
    now: datetime,
) -> tuple[list[alarms.Episode], list[alarms.Unconfirmed]]:
    """As `alarms.episodes`, reading only what is new since this timeline was last looked at.

    A latest value that jumped is among what is read: an alarm waits for a second reading anyway.
    """
    readings = timeline.vitals if quantity in VITALS else timeline.observations
    kept = timeline.memo.kept
    known: _Read | None = kept.get((_episodes, quantity))
    if (
        known is None
        or known.policy is not policy
        or known.protocol is not protocol
        or known.seen > len(readings)
        or (known.until is not None and known.until > now)
    ):
        fresh = alarms.Watch(policy, protocol, quantity, timeline.baseline.get(quantity))
        known = _Read(policy, protocol, fresh, 0, None, 0)
    watch, count, until = known.watch.copy(), known.count, known.until
    last: alarms.Sample | None = None
    for index in range(known.count, len(readings)):
        reading = readings[index]
        value = reading.may_hold(quantity)
        if value is None:
            continue
        if reading.at > now:
            break
        if last is not None:
            watch.take(last)
            until = last.at
        count = index
        by_hand = reading.source != Source.MONITOR
        last = alarms.Sample(reading.at, value, by_hand, reading.known_of(quantity))
    kept[_episodes, quantity] = _Read(policy, protocol, watch, count, until, len(readings))
    if last is not None:
        watch = watch.copy()
        watch.take(last)
    return watch.at(now)


def _limits(
    timeline: Timeline, protocol: MonitoringFile, policy: AlarmsFile, now: datetime
) -> Iterator[Alert]:
    for quantity in (*VITALS, *OBSERVATIONS):
        for episode in _episodes(timeline, protocol, policy, quantity, now)[0]:
            limit, unit = episode.threshold, _unit(protocol, quantity)
            detail = _amount(episode.value, unit)
            if episode.worst != episode.value:
                detail = say(
                    gettext_noop("%(value)s, at worst %(worst)s"),
                    value=detail,
                    worst=f"{episode.worst:g}",
                )
            yield Alert(
                rule_id=limit.id,
                kind="limit",
                priority=limit.priority,
                statement=say(limit.statement),
                detail=detail,
                response=say(protocol.responses[limit.priority]),
                since=episode.since,
                raised_at=episode.raised_at,
                certainty=limit.certainty,
                authority=limit.authority,
                known=episode.known,
                quantity=quantity,
                at=episode.at,
                over_at=episode.over_at,
                acknowledged=_answer(timeline, limit.id, episode.known, quantity, limit.priority),
            )


def _unit(protocol: MonitoringFile, quantity: str) -> str:
    return next(item.unit for item in protocol.plausible if item.quantity == quantity)


def _amount(value: float, unit: str) -> Any:
    """A value with its unit, which may be words: "8 of 10"."""
    return asked(lambda: f"{value:g} {gettext(unit)}")


def _sign(line: Line) -> Any:
    """A side effect with what was noted of it."""
    effect, note = line.data["label"], line.data["note"]
    return asked(lambda: ", ".join(filter(None, (gettext(effect).lower(), note))))


def _signs(timeline: Timeline, protocol: MonitoringFile, policy: AlarmsFile) -> Iterator[Alert]:
    """Side effects that are alarms. Nothing measures their end: they stand until answered."""
    rules = {sign.id: sign for sign in policy.signs}
    times: dict[str, int] = {}
    for line in timeline.side_effects:
        effect = line.data["effect"]
        times[effect] = times.get(effect, 0) + 1
        state: dict[str, float | None] = {}
        for reading in timeline.observations:
            if reading.at <= line.at:
                state |= reading.values
        told = alarms.signs_told(
            policy,
            effect=effect,
            severity=line.data["severity"],
            times=times[effect],
            state=state,
        )
        if told is None:
            continue
        sign = rules[told]
        answer = _answer(timeline, sign.id, line.known)
        yield Alert(
            rule_id=sign.id,
            kind="sign",
            priority=sign.priority,
            statement=say(sign.statement),
            detail=_sign(line),
            response=say(protocol.responses[sign.priority]),
            since=line.at,
            raised_at=line.at,
            certainty=sign.certainty,
            authority=sign.authority,
            known=line.known,
            over_at=answer.at if answer else None,
            acknowledged=answer,
        )


def _emergencies(timeline: Timeline, policy: AlarmsFile) -> Iterator[Alert]:
    rule = policy.emergency
    for line in timeline.emergencies:
        over = timeline.emergencies_over.get(line.seq)
        yield Alert(
            rule_id=f"{EMERGENCY}-{line.seq}",
            kind="emergency",
            priority="red",
            statement=say(EMERGENCY_OF, sign=lowered(line.data["label"])),
            detail=say(gettext_noop("called by %(name)s"), name=line.actor_name),
            response=say(rule.response),
            since=line.at,
            raised_at=line.at,
            certainty=rule.certainty,
            authority=rule.authority,
            known=line.seq,
            over_at=over.at if over else None,
            acknowledged=_answer(timeline, f"{EMERGENCY}-{line.seq}", line.seq),
        )


def _late(
    timeline: Timeline, protocol: MonitoringFile, policy: AlarmsFile, now: datetime
) -> Iterator[Alert]:
    """The observation that is late now. An answer quiets it for a while, a reading ends it."""
    if timeline.phase not in _WATCHED:
        return
    due = observations_due(timeline, protocol, now)
    if due is None:
        return
    due_at, what = due
    raised_at = due_at + protocol.late_after_min.value * _MINUTE
    if now <= raised_at:
        return
    answer = _answer(timeline, LATE, 0, since=raised_at)
    while answer and now > answer.at + policy.late_again.after_min * _MINUTE:
        raised_at = answer.at + policy.late_again.after_min * _MINUTE
        answer = _answer(timeline, LATE, answer.seq, since=raised_at)
    yield Alert(
        rule_id=LATE,
        kind="late",
        priority="amber",
        statement=say(WHAT_IS_LATE, what=what),
        detail=say(gettext_noop("due %(minutes)s min ago"), minutes=(now - due_at) // _MINUTE),
        response=say(gettext_noop("Measure now.")),
        since=due_at,
        raised_at=raised_at,
        certainty=protocol.late_after_min.certainty,
        authority=protocol.late_after_min.authority,
        known=int(raised_at.timestamp()),  # nothing in the record raised it: its time names it
        acknowledged=answer,
    )


def observations_due(
    timeline: Timeline, protocol: MonitoringFile, now: datetime
) -> tuple[datetime, str] | None:
    """When the next observation is due, and of what, in words. None where none is."""
    phase, zero = clock_of(timeline, protocol)
    if zero is None:
        return None
    # Only times that are fixed ask for every reading; what repeats asks for the last.
    fixed = any(rule.at_min for rule in protocol.schedule if rule.phase == phase)
    done = minutes_read(timeline, zero, every=fixed)
    now_min = max((now - zero) / _MINUTE, 0.0)
    wanting = [
        item
        for item in monitoring.due(protocol, phase, now_min=now_min, done=done)
        # What was missed is over once it was measured later, and overdue until then.
        if item.state != "missed"
        or not any(minute >= item.at_min for name in item.quantities for minute in done[name])
    ]
    if not wanting:
        return None
    first = wanting[0]
    vitals = next(rule for rule in protocol.schedule if rule.phase == phase).quantities
    if set(first.quantities) == set(vitals):
        what = say(gettext_noop("Vital signs"))
    else:
        labels = {item.quantity: item.label for item in protocol.plausible}
        what = asked(lambda: ", ".join(gettext(labels[quantity]) for quantity in first.quantities))
    return zero + first.at_min * _MINUTE, what


def minutes_read(
    timeline: Timeline, zero: datetime, *, every: bool = True
) -> dict[str, list[float]]:
    """When each quantity was read, in minutes from a moment on: every time, or only the last."""
    return {
        quantity: [
            minute
            for reading in (timeline.series(quantity) if every else timeline.last(quantity))
            if (minute := (reading.at - zero) / _MINUTE) >= 0
        ]
        for quantity in (*VITALS, *OBSERVATIONS)
    }


def clock_of(timeline: Timeline, protocol: MonitoringFile) -> tuple[str, datetime | None]:
    """The phase of the protocol in which the session is, and when that began."""
    phase = _WATCHED.get(timeline.phase, "")
    if phase and any(rule.phase == "observation" for rule in protocol.schedule):
        # A spray is watched from its last device on: its peak follows that, not the first.
        return "observation", timeline.ended_at if timeline.sprays else timeline.started_at
    return phase, timeline.ended_at if phase == "recovery" else timeline.started_at


def _feed_lost(timeline: Timeline, policy: AlarmsFile, now: datetime) -> Iterator[Alert]:
    """Every gap in what a monitor sent while the drug worked. Silence is not safety."""
    rule = policy.feed_lost
    assert timeline.started_at is not None
    wait = rule.after_min * _MINUTE
    until = now if timeline.phase in _WATCHED else (timeline.closed_at or now)
    gaps, last_heard = _gaps(timeline, wait)
    for last, known, back in [*gaps, *([(*last_heard, None)] if last_heard else [])]:
        raised_at = max(last, timeline.started_at) + wait
        if (back or until) <= raised_at:
            continue
        answer = _answer(timeline, FEED_LOST, known, since=raised_at)
        yield Alert(
            rule_id=FEED_LOST,
            kind="feed",
            priority=rule.priority,
            statement=say(rule.statement),
            detail=say(
                gettext_noop("last reading %(minutes)s min ago"),
                minutes=((back or until) - last) // _MINUTE,
            ),
            response=say(rule.response),
            since=last,
            raised_at=raised_at,
            certainty=rule.certainty,
            authority=rule.authority,
            known=known,
            at=last,
            over_at=back,
            acknowledged=answer if answer and (back is None or answer.at <= back) else None,
        )


@dataclass(frozen=True)
class _Heard:
    """The silences of a monitor among the readings that are settled, kept with the timeline."""

    wait: timedelta
    gaps: tuple[tuple[datetime, int, datetime], ...]
    last: tuple[datetime, int] | None
    count: int
    seen: int


def _gaps(
    timeline: Timeline, wait: timedelta
) -> tuple[tuple[tuple[datetime, int, datetime], ...], tuple[datetime, int] | None]:
    """(last heard, what was known, heard again) of every longer silence; and the last heard."""
    kept, readings = timeline.memo.kept, timeline.vitals
    known: _Heard | None = kept.get(_gaps)
    if known is None or known.wait != wait or known.seen > len(readings):
        known = _Heard(wait, (), None, 0, 0)
    gaps, last = known.gaps, known.last
    keeping: _Heard | None = None
    for index in range(known.count, len(readings)):
        reading = readings[index]
        waits = any(mark.kind == UNCONFIRMED for mark in reading.artefacts.values())
        if waits and keeping is None:  # it may turn out to be nothing that was heard
            keeping = _Heard(wait, gaps, last, index, len(readings))
        if reading.source != Source.MONITOR or not (waits or reading.values):
            continue
        if last is not None and reading.at - last[0] > wait:
            gaps = (*gaps, (*last, reading.at))
        last = (reading.at, reading.known)
    kept[_gaps] = keeping or _Heard(wait, gaps, last, len(readings), len(readings))
    return gaps, last


def _answer(
    timeline: Timeline,
    rule_id: str,
    known: int,
    quantity: str = "",
    priority: str = "amber",
    since: datetime | None = None,
) -> Line | None:
    """The first acknowledgement of an episode: written after the record knew of the episode.

    One of a red alert answers for the amber one of the same quantity beneath it, never the reverse.
    """
    for line in sorted(timeline.acknowledgements, key=lambda line: line.seq):
        data = line.data
        same = data["rule_id"] == rule_id
        graver = (
            quantity
            and data.get("quantity") == quantity
            and _RANK[data["priority"]] >= _RANK[priority]
        )
        if (same or graver) and line.seq > known and (since is None or line.at >= since):
            return line
    return None


def _climbed(alert: Alert, policy: AlarmsFile, now: datetime) -> Alert:
    ends = [now]
    if alert.acknowledged:
        ends.append(alert.acknowledged.at)
    if alert.over_at:
        ends.append(alert.over_at)
    steps = alarms.steps_reached(policy, alert.priority, alert.raised_at, min(ends))
    return replace(alert, steps=tuple(steps))
