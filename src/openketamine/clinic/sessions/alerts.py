"""What on a session asks for attention now: limits crossed, observations late.

An alert belongs to an episode: it opens with the first reading beyond a limit and ends with the
first one within it. Acknowledging it, with a name and a reason, quiets this episode only.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from openketamine.protocols import monitoring
from openketamine.protocols.schema import MonitoringFile

from .models import Phase
from .timeline import OBSERVATIONS, VITALS, Line, Timeline

LATE = "late"
_MINUTE = timedelta(minutes=1)
_WATCHED = {Phase.INFUSION: "infusion", Phase.PAUSED: "infusion", Phase.RECOVERY: "recovery"}


@dataclass(frozen=True)
class Alert:
    rule_id: str
    priority: monitoring.Priority
    statement: str
    detail: str
    response: str
    since: datetime
    certainty: str
    authority: str
    at: datetime | None = None  # of the reading that it rests on
    acknowledged: Line | None = None


def alerts(timeline: Timeline, protocol: MonitoringFile, now: datetime) -> list[Alert]:
    """Every alert of a session, unacknowledged red ones first."""
    if timeline.phase not in _WATCHED:
        return []
    found = [
        alert
        for quantity in (*VITALS, *OBSERVATIONS)
        if (alert := _crossed(timeline, protocol, quantity))
    ]
    if late := _late(timeline, protocol, now):
        found.append(late)
    return sorted(found, key=lambda a: (a.acknowledged is not None, a.priority != "red"))


def _crossed(timeline: Timeline, protocol: MonitoringFile, quantity: str) -> Alert | None:
    series = timeline.series(quantity)
    current: monitoring.MonitoringFinding | None = None
    since: datetime | None = None
    for reading in reversed(series):
        findings = monitoring.assess(
            protocol, {quantity: reading.values[quantity]}, timeline.baseline
        )
        if not findings or (current and findings[0].priority != current.priority):
            break
        current, since = current or findings[0], reading.at
    if current is None or since is None:
        return None
    return Alert(
        rule_id=current.rule_id,
        priority=current.priority,
        statement=current.statement,
        detail=f"{current.value:g} {_unit(protocol, quantity)}",
        response=current.response,
        since=since,
        at=series[-1].at,
        certainty=current.certainty,
        authority=current.authority,
        acknowledged=_acknowledgement(timeline, current.rule_id, since),
    )


def _unit(protocol: MonitoringFile, quantity: str) -> str:
    return next(item.unit for item in protocol.plausible if item.quantity == quantity)


def _late(timeline: Timeline, protocol: MonitoringFile, now: datetime) -> Alert | None:
    last = timeline.latest_vitals
    phase = _WATCHED[timeline.phase]
    reference = last.at if last else timeline.started_at
    if reference is None:
        return None
    late_min = monitoring.late_by_min(protocol, phase, (now - reference).total_seconds() / 60)
    if not late_min:
        return None
    interval = monitoring.every_min(protocol, phase) or 0
    since = reference + timedelta(minutes=interval)
    return Alert(
        rule_id=LATE,
        priority="amber",
        statement="Vital signs are late",
        detail=f"last {(now - reference) // _MINUTE} min ago, due every {interval:g} min",
        response="Take them now.",
        since=since,
        certainty=protocol.late_after_min.certainty,
        authority=protocol.late_after_min.authority,
        acknowledged=_acknowledgement(timeline, LATE, since),
    )


def _acknowledgement(timeline: Timeline, rule_id: str, since: datetime) -> Line | None:
    for line in reversed(timeline.acknowledgements):
        if line.data["rule_id"] == rule_id and line.at >= since:
            return line
    return None
