"""A session folded from its events: the one place that says what happened and how it stands.

Pure: events in, `Timeline` out. Corrections are applied first, so that everything after sees the
record as corrected; the log keeps both.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Protocol

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from openketamine.clinic.record.models import Source
from openketamine.clinic.said import asked, retold, say

from .artefacts import UNCONFIRMED, Artefact, Sieve
from .models import UNDER_THE_DRUG, Phase

VITALS = (
    "systolic_mmhg",
    "diastolic_mmhg",
    "heart_rate_bpm",
    "spo2_percent",
    "respiratory_rate_bpm",
)
# Without these there is nothing to compare later readings with.
BASELINE = VITALS[:4]
OBSERVATIONS = ("sedation_moaas", "dissociation_0_10", "nausea_0_10", "distress_0_10")

# What a slip of the finger may have made wrong, and a correction may take back or restate.
CORRECTABLE = frozenset(
    {
        "session.vitals_recorded",
        "session.observed",
        "session.side_effect_noted",
        "session.medicine_given",
        "session.note_written",
        "session.bolus_given",
        "session.injection_given",
        "session.spray_taken",
    }
)
# The pump's events cannot be taken back, but the time at which they were tapped may be wrong.
RETIMABLE = frozenset(
    {
        "session.infusion_started",
        "session.infusion_paused",
        "session.infusion_resumed",
        "session.rate_changed",
        "session.total_changed",
        "session.syringe_changed",
        "session.infusion_ended",
        "session.spray_ended",
    }
)
# What moves the pump or the phase, or changes what did: only these can contradict the rest.
PUMP_AND_PHASE = RETIMABLE | {
    "session.bolus_given",
    "session.injection_given",
    "session.spray_taken",
    "session.opened",
    "session.check_completed",
    "session.go_decided",
    "session.corrected",
    "session.discharged",
    "session.transferred",
    "session.cancelled",
}
# Each of these adds to a list of its own, whatever the phase, and nothing before refers to it:
# where it is the latest of the session, what was folded before stands.
ADDING = frozenset(
    {
        "session.vitals_recorded",
        "session.observed",
        "session.side_effect_noted",
        "session.medicine_given",
        "session.note_written",
        "session.alert_acknowledged",
        "session.attempt_refused",
        "session.wait_waived",
    }
)

# What the record says of a monitor's value that does not count.
NOT_BELOW = gettext_noop("diastolic %(diastolic)s is not below systolic %(systolic)s mmHg")
MARKED = (
    NOT_BELOW,
    gettext_noop("%(what)s %(figure)s %(unit)s is not possible."),
    gettext_noop("the monitor calls it %(what)s"),
)
_DOUBTS = (
    gettext_noop("questionable"),
    gettext_noop("invalid"),
    gettext_noop("too early to be sure"),
)
CORRECTIONS = {
    "retract": gettext_noop("retract: %(reason)s (%(name)s)"),
    "retime": gettext_noop("retime: %(reason)s (%(name)s)"),
    "restate": gettext_noop("restate: %(reason)s (%(name)s)"),
}
# What each kind of event is called in the middle of a sentence.
_KINDS = {
    "opened": gettext_lazy("opened"),
    "check_completed": gettext_lazy("check completed"),
    "go_decided": gettext_lazy("go decided"),
    "infusion_started": gettext_lazy("infusion started"),
    "infusion_paused": gettext_lazy("infusion paused"),
    "infusion_resumed": gettext_lazy("infusion resumed"),
    "rate_changed": gettext_lazy("rate changed"),
    "total_changed": gettext_lazy("total changed"),
    "syringe_changed": gettext_lazy("syringe changed"),
    "bolus_given": gettext_lazy("bolus given"),
    "injection_given": gettext_lazy("injection given"),
    "spray_taken": gettext_lazy("spray taken"),
    "spray_ended": gettext_lazy("spray ended"),
    "infusion_ended": gettext_lazy("infusion ended"),
    "discharged": gettext_lazy("discharged"),
    "transferred": gettext_lazy("transferred"),
    "monitor_confirmed": gettext_lazy("monitor confirmed"),
    "readings_attached": gettext_lazy("readings attached"),
    "monitoring_form_answered": gettext_lazy("monitoring form answered"),
    "monitoring_form_sent": gettext_lazy("monitoring form sent"),
}


def kind_in_words(kind: str) -> str:
    """What a kind of event is called in the middle of a sentence."""
    name = kind.removeprefix("session.")
    return str(_KINDS.get(name) or name.replace("_", " "))


class EventLike(Protocol):
    """What the fold needs of an event; `record.Event` has it."""

    seq: int
    kind: str
    occurred_at: datetime
    recorded_at: datetime
    actor_name: str
    source: str
    corrects_id: int | None

    @property
    def data(self) -> dict[str, Any]: ...


class OutOfOrderError(ValueError):
    """The events contradict each other, e.g. a pause before the start."""


@dataclass(frozen=True)
class Line:
    """One event as a person reads it."""

    seq: int
    kind: str
    at: datetime
    recorded_at: datetime
    actor_name: str
    source: str
    data: dict[str, Any]
    retracted: bool = False
    correction: str = ""
    corrected_by: int = 0  # seq of the last correction, 0 where there is none

    @property
    def known(self) -> int:
        """Up to which event the record must be read to know this line as it stands."""
        return max(self.seq, self.corrected_by)

    @property
    def can_be_corrected(self) -> bool:
        return self.kind in CORRECTABLE and not self.retracted

    @property
    def can_be_retimed(self) -> bool:
        return self.kind in RETIMABLE


@dataclass(frozen=True)
class Segment:
    """A stretch of time in which the pump ran at one rate."""

    start: datetime
    end: datetime | None
    rate_mg_per_h: float


@dataclass(frozen=True)
class Dose:
    """A dose that went in at one moment: a bolus, an injection into a muscle, a nasal device."""

    at: datetime
    dose_mg: float
    line: Line

    @property
    def units(self) -> int:
        """How many devices or sprays of a bottle it was."""
        return int(self.line.data.get("units", 1))


@dataclass(frozen=True)
class Syringe:
    """What was drawn up, by whom, and who worked it out a second time."""

    line: Line
    checked: Line | None = None
    loaded_at: datetime | None = None

    @property
    def seq(self) -> int:
        return self.line.seq

    @property
    def volume_ml(self) -> float:
        return float(self.line.data["volume_ml"])

    @property
    def concentration_mg_per_ml(self) -> float:
        return float(self.line.data["concentration_mg_per_ml"])

    @property
    def amount_mg(self) -> float:
        return self.volume_ml * self.concentration_mg_per_ml

    @property
    def lot(self) -> str:
        return str(self.line.data["lot"])


@dataclass(frozen=True)
class Order:
    """A prescriber's order for something outside the plan, given on screen or by voice."""

    line: Line
    cosigned: Line | None = None
    used_by: int | None = None  # the event that it covers

    @property
    def what(self) -> str:
        return str(self.line.data["what"])

    @property
    def amount(self) -> float:
        """mg, or mg/h where it is a rate."""
        return float(self.line.data["amount"])

    @property
    def is_verbal(self) -> bool:
        return bool(self.line.data["verbal"])


@dataclass(frozen=True)
class Reading:
    """What was measured or seen at one moment.

    `values` holds what counts. What a monitor sent and does not count by itself stands in
    `artefacts`, with the reason, and nowhere else: no alert, forecast or criterion sees it.
    `settled` names the later event, if any, that has settled whether a value counts.
    """

    at: datetime
    values: dict[str, float]
    source: str
    seq: int
    known: int = 0
    artefacts: dict[str, Artefact] = field(default_factory=dict)
    settled: dict[str, int] = field(default_factory=dict)

    def may_hold(self, quantity: str) -> float | None:
        """Its value that counts, or that the next one has yet to confirm; None without."""
        if quantity in self.values:
            return self.values[quantity]
        mark = self.artefacts.get(quantity)
        return mark.value if mark and mark.kind == UNCONFIRMED else None

    def known_of(self, quantity: str) -> int:
        """Up to which event the record must be read to know this value as it stands."""
        return max(self.known, self.settled.get(quantity, 0))


class Memo:
    """What has been worked out of a timeline and holds for it and for all that extend it.

    A timeline that is folded anew begins with an empty one.
    """

    def __init__(self) -> None:
        self.kept: dict[Any, Any] = {}


@dataclass
class Timeline:
    """How a session stands."""

    phase: Phase = Phase.CHECK
    opened: dict[str, Any] = field(default_factory=dict)
    check: dict[str, Any] | None = None
    go: Line | None = None
    programmed_mg: float = 0.0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    end_reason: str = ""
    segments: list[Segment] = field(default_factory=list)
    totals: list[tuple[datetime, float]] = field(default_factory=list)  # mg programmed from then on
    syringes: dict[int, Syringe] = field(default_factory=dict)
    boluses: list[Dose] = field(default_factory=list)
    injections: list[Dose] = field(default_factory=list)
    sprays: list[Dose] = field(default_factory=list)  # devices, or sprays of a bottle
    waivers: list[Line] = field(default_factory=list)
    attempts: list[Line] = field(default_factory=list)  # refused by a rule that guards
    orders: dict[int, Order] = field(default_factory=dict)
    vitals: list[Reading] = field(default_factory=list)
    observations: list[Reading] = field(default_factory=list)
    side_effects: list[Line] = field(default_factory=list)
    medicines: list[Line] = field(default_factory=list)
    notes: list[Line] = field(default_factory=list)
    acknowledgements: list[Line] = field(default_factory=list)
    emergencies: list[Line] = field(default_factory=list)
    emergencies_over: dict[int, Line] = field(default_factory=dict)
    discharge: Line | None = None
    transfer: Line | None = None
    cancelled: Line | None = None
    lines: list[Line] = field(default_factory=list)
    last_seq: int = 0
    latest_at: datetime | None = None  # of all that counts
    sieve: Sieve = field(default_factory=Sieve, repr=False, compare=False)
    memo: Memo = field(default_factory=Memo, repr=False, compare=False)

    def copy(self) -> "Timeline":
        """The same in lists of its own; what stands in them is never changed."""
        return Timeline(**{f.name: _own(getattr(self, f.name)) for f in fields(self)})

    @property
    def baseline(self) -> dict[str, float]:
        """The vital signs taken at the check."""
        return dict(self.check["vitals"]) if self.check else {}

    @property
    def rate_mg_per_h(self) -> float:
        """The rate at which the pump runs now; 0 where it does not."""
        return self.segments[-1].rate_mg_per_h if self.phase == Phase.INFUSION else 0.0

    @property
    def closed_at(self) -> datetime | None:
        last = self.discharge or self.transfer or self.cancelled
        return last.at if last else None

    @property
    def latest_vitals(self) -> Reading | None:
        """The last reading of which anything counts."""
        return next((reading for reading in reversed(self.vitals) if reading.values), None)

    @property
    def latest_observation(self) -> Reading | None:
        return self.observations[-1] if self.observations else None

    @property
    def loaded(self) -> Syringe | None:
        """The syringe that is in the pump, where one is recorded."""
        loads = [syringe for syringe in self.syringes.values() if syringe.loaded_at]
        return max(loads, key=lambda s: (s.loaded_at, s.seq)) if loads else None

    @property
    def drawn_up(self) -> Syringe | None:
        """The last syringe or vial that was prepared and has not been used."""
        used = {dose.line.data.get("syringe") for dose in self.injections}
        waiting = [s for s in self.syringes.values() if not s.loaded_at and s.seq not in used]
        return waiting[-1] if waiting else None

    @property
    def planned_mg(self) -> float:
        """What the patient is to get in all: what was programmed or ordered, boluses included."""
        if at_once := (*self.injections, *self.sprays):
            given = sum(dose.dose_mg for dose in at_once)
            return max(float(self.opened.get("dose_mg", 0.0)), given)
        return self.programmed_mg + sum(dose.dose_mg for dose in self.boluses)

    @property
    def units_planned(self) -> int:
        """How many devices or sprays were ordered when the session was opened."""
        return sum(int(count) for _, count in self.opened.get("units", ()))

    @property
    def units_taken(self) -> int:
        """How many devices or sprays have been used, whatever came out of them."""
        return sum(dose.units for dose in self.sprays)

    def given_mg(self, at: datetime) -> float:
        """The dose that has gone in by a moment: by the pump, at once, or through the nose."""
        singly = (*self.boluses, *self.injections, *self.sprays)
        at_once = (dose for dose in singly if dose.at <= at)
        return self.pumped_mg(at) + sum(dose.dose_mg for dose in at_once)

    def pumped_mg(self, at: datetime) -> float:
        """The dose that the pump has run in by a moment.

        It was programmed with a total and delivers no more than that, and no more than its syringe
        holds, however late somebody taps that it has ended.
        """
        return self._pump(at)[0]

    def to_run_mg(self, at: datetime) -> float:
        """What the pump can still deliver at a moment: left of its total, and in its syringe."""
        pumped, left = self._pump(at)
        return max(min(self.programmed_mg - pumped, left), 0.0)

    def _pump(self, at: datetime) -> tuple[float, float]:
        """(mg run in, mg left in the syringe) at a moment; an unknown syringe never runs dry."""
        loads = {s.loaded_at: s.amount_mg for s in self.syringes.values() if s.loaded_at}
        totals = dict(self.totals)
        draws: dict[datetime, float] = {}
        for dose in self.boluses:
            draws[dose.at] = draws.get(dose.at, 0.0) + dose.dose_mg
        moments = {*loads, *totals, *draws, at}
        moments |= {m for s in self.segments for m in (s.start, s.end) if m is not None}
        edges = sorted(moment for moment in moments if moment <= at)
        pumped, left, total = 0.0, float("inf"), 0.0
        for edge, following in zip(edges, [*edges[1:], at], strict=True):
            left = loads.get(edge, left)
            total = totals.get(edge, total)
            left = max(left - draws.get(edge, 0.0), 0.0)
            rate = self._rate_from(edge)
            hours = (following - edge).total_seconds() / 3600
            ran = max(min(rate * hours, total - pumped, left), 0.0)
            pumped, left = pumped + ran, left - ran
        return pumped, left

    def _rate_from(self, moment: datetime) -> float:
        """The rate at which the pump was told to run from a moment on, mg/h."""
        for segment in reversed(self.segments):
            if segment.start <= moment and (segment.end is None or moment < segment.end):
                return segment.rate_mg_per_h
        return 0.0

    def elapsed_min(self, at: datetime) -> float | None:
        """Minutes since the infusion began."""
        return (at - self.started_at).total_seconds() / 60 if self.started_at else None

    def series(self, quantity: str) -> list[Reading]:
        """The readings that hold a quantity, in time order."""
        return [r for r in (*self.vitals, *self.observations) if quantity in r.values]

    def last(self, quantity: str, count: int = 1) -> list[Reading]:
        """The last so many readings that hold a quantity, in time order."""
        found: list[Reading] = []
        for reading in reversed(self.vitals if quantity in VITALS else self.observations):
            if quantity in reading.values:
                found.append(reading)
                if len(found) == count:
                    break
        return found[::-1]


def fold(events: Sequence[EventLike]) -> Timeline:
    """Make a session's timeline from its events.

    Args:
        events: of one session, in the order of the record.

    Raises:
        OutOfOrderError: the pump's events contradict each other.
    """
    timeline = Timeline(last_seq=events[-1].seq if events else 0)
    lines = corrected(events)
    timeline.lines = lines
    for line in lines:
        _write_down(timeline, line)
    for line in sorted((x for x in lines if not x.retracted), key=lambda x: (x.at, x.seq)):
        _step(timeline, line)
    return timeline


def extend(timeline: Timeline, events: Sequence[EventLike]) -> Timeline | None:
    """The timeline with what was added to the record since; None where it has to be folded anew.

    The result is what `fold` makes of all the events. `timeline` stays as it is.

    Args:
        events: of the same session, in the order of the record, all after `timeline.last_seq`.
    """
    grown = timeline.copy()
    for event in events:
        late = grown.latest_at is not None and event.occurred_at < grown.latest_at
        if event.kind not in ADDING or late:
            return None
        line = _line(event, event.data)
        grown.lines.append(line)
        grown.last_seq = event.seq
        _step(grown, line)
    return grown


def _own(value: Any) -> Any:
    if isinstance(value, Sieve):
        return value.copy()
    return copy(value) if isinstance(value, list | dict) else value


def _line(event: EventLike, data: dict[str, Any]) -> Line:
    return Line(
        event.seq,
        event.kind,
        event.occurred_at,
        event.recorded_at,
        event.actor_name,
        event.source,
        data,
    )


def corrected(events: Sequence[EventLike]) -> list[Line]:
    """The events as lines, each as last corrected; corrections themselves follow as lines."""
    lines: dict[int, Line] = {}
    for event in events:
        if event.kind != "session.corrected":
            lines[event.seq] = _line(event, event.data)
            continue
        target = lines[event.corrects_id or 0]
        data = event.data
        if data["action"] == "retract":
            changed = replace(target, retracted=True)
        elif data["action"] == "retime":
            changed = replace(target, at=datetime.fromisoformat(data["occurred_at"]))
        else:
            changed = replace(target, data=data["data"])
        lines[target.seq] = replace(
            changed,
            correction=say(
                CORRECTIONS[data["action"]], reason=data["reason"], name=event.actor_name
            ),
            corrected_by=event.seq,
        )
        lines[event.seq] = _line(event, {**data, "corrects": target.seq})
    return list(lines.values())


def _write_down(timeline: Timeline, line: Line) -> None:
    """What other events name and no clock orders: syringes drawn up, orders given."""
    data = line.data
    match line.kind:
        case "session.syringe_prepared":
            timeline.syringes[line.seq] = Syringe(line)
        case "session.syringe_checked":
            if syringe := timeline.syringes.get(data["syringe"]):
                timeline.syringes[syringe.seq] = replace(syringe, checked=line)
        case "session.order_given":
            timeline.orders[line.seq] = Order(line)
        case "session.order_cosigned":
            order = timeline.orders[data["order"]]
            timeline.orders[data["order"]] = replace(order, cosigned=line)


def _step(timeline: Timeline, line: Line) -> None:
    """Take the next line in, in the order in which things happened."""
    data = line.data
    timeline.latest_at = line.at
    match line.kind:
        case "session.opened":
            timeline.opened = data
        case "session.check_completed":
            _expect(timeline, line, Phase.CHECK, Phase.READY)
            timeline.check = data
            timeline.phase = Phase.CHECK if data["asks_prescriber"] else Phase.READY
            _read(timeline, line, data["vitals"])
        case "session.go_decided":
            _expect(timeline, line, Phase.CHECK, Phase.READY)
            timeline.go, timeline.phase = line, Phase.READY
        case "session.infusion_started":
            _expect(timeline, line, Phase.READY)
            timeline.phase, timeline.started_at = Phase.INFUSION, line.at
            timeline.programmed_mg = data["programmed_mg"]
            timeline.totals.append((line.at, data["programmed_mg"]))
            timeline.segments.append(Segment(line.at, None, data["rate_mg_per_h"]))
            _load(timeline, data.get("syringe"), line.at)
        case "session.infusion_paused":
            _expect(timeline, line, Phase.INFUSION)
            _close(timeline, line.at)
            timeline.phase = Phase.PAUSED
        case "session.infusion_resumed":
            _expect(timeline, line, Phase.PAUSED)
            timeline.segments.append(Segment(line.at, None, data["rate_mg_per_h"]))
            timeline.phase = Phase.INFUSION
        case "session.rate_changed":
            _expect(timeline, line, Phase.INFUSION)
            _close(timeline, line.at)
            timeline.segments.append(Segment(line.at, None, data["rate_mg_per_h"]))
            _use(timeline, line)
        case "session.total_changed":
            _expect(timeline, line, Phase.INFUSION, Phase.PAUSED)
            timeline.programmed_mg = data["programmed_mg"]
            timeline.totals.append((line.at, data["programmed_mg"]))
            _use(timeline, line)
        case "session.syringe_changed":
            _expect(timeline, line, Phase.PAUSED)
            _load(timeline, data["syringe"], line.at)
        case "session.bolus_given":
            _expect(timeline, line, Phase.INFUSION, Phase.PAUSED)
            timeline.boluses.append(Dose(line.at, data["dose_mg"], line))
            _use(timeline, line)
        case "session.injection_given":
            _expect(timeline, line, Phase.READY, Phase.RECOVERY)
            timeline.phase = Phase.RECOVERY
            timeline.started_at, timeline.ended_at = timeline.started_at or line.at, line.at
            timeline.injections.append(Dose(line.at, data["dose_mg"], line))
            _use(timeline, line)
        case "session.spray_taken":
            _expect(timeline, line, Phase.READY, Phase.SPRAYING, Phase.RECOVERY)
            timeline.started_at, timeline.ended_at = timeline.started_at or line.at, line.at
            timeline.sprays.append(Dose(line.at, data["dose_mg"], line))
            whole = timeline.units_taken >= timeline.units_planned
            timeline.phase = Phase.RECOVERY if whole else Phase.SPRAYING
            _use(timeline, line)
        case "session.spray_ended":
            _expect(timeline, line, Phase.SPRAYING)
            timeline.phase, timeline.end_reason = Phase.RECOVERY, data["reason"]
        case "session.wait_waived":
            timeline.waivers.append(line)
        case "session.attempt_refused":
            timeline.attempts.append(line)
        case "session.infusion_ended":
            _expect(timeline, line, Phase.INFUSION, Phase.PAUSED)
            if timeline.phase == Phase.INFUSION:
                _close(timeline, line.at)
            timeline.phase, timeline.ended_at = Phase.RECOVERY, line.at
            timeline.end_reason = data["reason"]
        case "session.vitals_recorded":
            _read(timeline, line, data)
        case "session.observed":
            values = {name: data[name] for name in OBSERVATIONS if data.get(name) is not None}
            timeline.observations.append(
                Reading(line.at, values, line.source, line.seq, line.known)
            )
        case "session.side_effect_noted":
            timeline.side_effects.append(line)
        case "session.medicine_given":
            timeline.medicines.append(line)
        case "session.note_written":
            timeline.notes.append(line)
        case "session.alert_acknowledged":
            timeline.acknowledgements.append(line)
        case "session.emergency_called":
            timeline.emergencies.append(line)
        case "session.emergency_over":
            timeline.emergencies_over[data["emergency"]] = line
        case "session.discharged":
            _expect(timeline, line, Phase.RECOVERY)
            timeline.discharge, timeline.phase = line, Phase.DISCHARGED
        case "session.transferred":
            _expect(timeline, line, *UNDER_THE_DRUG)
            if timeline.phase != Phase.RECOVERY:
                if timeline.phase == Phase.INFUSION:
                    _close(timeline, line.at)
                if timeline.phase != Phase.SPRAYING:
                    timeline.ended_at = line.at
                timeline.end_reason = data["why"]
            timeline.transfer, timeline.phase = line, Phase.TRANSFERRED
        case "session.cancelled":
            timeline.cancelled, timeline.phase = line, Phase.CANCELLED


def _read(timeline: Timeline, line: Line, data: dict[str, Any]) -> None:
    """Take vital signs in; what does not count by itself is set apart with its reason."""
    values = {name: data[name] for name in VITALS if data.get(name) is not None}
    marked = {
        name: Artefact(values.pop(name), mark["kind"], asked(retold, mark["reason"], *MARKED))
        for name, mark in data.get("artefacts", {}).items()
        if name in values
    }
    alone, revisions = timeline.sieve.take(
        len(timeline.vitals), line.at, values, by_hand=line.source != Source.MONITOR
    )
    for name in alone:
        del values[name]
    for revision in revisions:
        earlier = timeline.vitals[revision.index]
        artefacts = {n: a for n, a in earlier.artefacts.items() if n != revision.quantity}
        counts = dict(earlier.values)
        if revision.artefact:
            artefacts[revision.quantity] = revision.artefact
        else:
            counts[revision.quantity] = revision.value
        timeline.vitals[revision.index] = replace(
            earlier,
            values=counts,
            artefacts=artefacts,
            settled={**earlier.settled, revision.quantity: line.known},
        )
    timeline.vitals.append(
        Reading(line.at, values, line.source, line.seq, line.known, {**marked, **alone})
    )


def _load(timeline: Timeline, syringe: int | None, at: datetime) -> None:
    # One that this stream does not know holds nobody knows how much.
    if syringe in timeline.syringes:
        timeline.syringes[syringe] = replace(timeline.syringes[syringe], loaded_at=at)


def _use(timeline: Timeline, line: Line) -> None:
    """The order that covers this act is used up."""
    covered = timeline.orders.get(line.data.get("order") or 0)
    if covered:
        timeline.orders[covered.line.seq] = replace(covered, used_by=line.seq)


def _close(timeline: Timeline, at: datetime) -> None:
    timeline.segments[-1] = replace(timeline.segments[-1], end=at)


def _expect(timeline: Timeline, line: Line, *phases: Phase) -> None:
    if timeline.phase not in phases:
        raise OutOfOrderError(
            _("%(act)s at %(time)s does not fit: the session is then in %(phase)s")
            % {
                "act": kind_in_words(line.kind),
                "time": f"{line.at:%H:%M:%S}",
                "phase": str(timeline.phase.label).lower(),
            }
        )
