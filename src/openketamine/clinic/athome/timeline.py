"""A session at home as the record tells it: events in, what is known at a moment out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from openketamine.clinic.record.models import Event
from openketamine.clinic.record.told import retold
from openketamine.protocols import monitoring
from openketamine.protocols.schema import MonitoringFile

from .gates import VITALS
from .models import Phase


@dataclass(frozen=True)
class Answered:
    """What was answered and measured before the dose, and what is in doubt about it."""

    at: datetime
    data: Mapping[str, Any]
    doubts: tuple[str, ...]
    prescriber: bool  # whether a prescriber must decide
    photo: bool
    seq: int


@dataclass(frozen=True)
class Decided:
    at: datetime
    go: bool
    by: str
    reason: str


@dataclass(frozen=True)
class CheckIn:
    """How it goes after the dose, as the patient or the adult at hand says."""

    at: datetime
    recorded_at: datetime
    by: str  # patient, adult or the clinician's name
    data: Mapping[str, Any]
    alarms: tuple[str, ...]

    @property
    def values(self) -> dict[str, float]:
        return {name: self.data[name] for name in VITALS if self.data.get(name) is not None}


@dataclass(frozen=True)
class Line:
    """One line of what happened, for the clinic's screen."""

    at: datetime
    recorded_at: datetime
    by: str
    words: str
    css: str = ""

    @property
    def late(self) -> bool:
        return self.recorded_at - self.at > timedelta(minutes=2)


@dataclass
class Timeline:
    """What the record says of one session, up to its last event."""

    phase: Phase = Phase.CHECK
    answered: Answered | None = None
    decided: Decided | None = None
    adult_here_at: datetime | None = None
    dose_at: datetime | None = None
    dose_mg: float | None = None
    pieces: dict[float, int] = field(default_factory=dict)
    outside: str = ""  # why the dose lay outside of what was allowed, if it did
    hold_min: float = 0.0
    planned_after: str = ""
    hold_ended_at: datetime | None = None
    after_hold: str = ""
    check_ins: list[CheckIn] = field(default_factory=list)
    missed_at_min: list[float] = field(default_factory=list)
    finished_at: datetime | None = None
    after: Mapping[str, Any] = field(default_factory=dict)
    closed_at: datetime | None = None
    refusals: list[tuple[datetime, str, str]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    last_seq: int = 0

    @property
    def hold_until(self) -> datetime | None:
        return self.dose_at + timedelta(minutes=self.hold_min) if self.dose_at else None

    @property
    def latest(self) -> CheckIn | None:
        return self.check_ins[-1] if self.check_ins else None

    @property
    def baseline(self) -> dict[str, float]:
        """Pressure and pulse before the dose."""
        data = self.answered.data if self.answered else {}
        return {name: data[name] for name in VITALS if data.get(name) is not None}

    def minutes(self, moment: datetime) -> float:
        """Minutes since the dose."""
        assert self.dose_at is not None
        return (moment - self.dose_at).total_seconds() / 60

    def due(self, protocol: MonitoringFile, now: datetime) -> list[monitoring.Observation]:
        """The check-ins that are still wanting, the first of those to come last.

        A check-in counts whether or not everything in it was measured: whoever says "I am well" has
        not gone missing.
        """
        if self.dose_at is None or self.finished_at:
            return []
        made = [self.minutes(each.at) for each in self.check_ins]
        quantities = {name for rule in protocol.schedule for name in rule.quantities}
        return monitoring.due(
            protocol,
            "observation",
            now_min=self.minutes(now),
            done=dict.fromkeys(quantities, made),
        )


def times_after_dose(protocol: MonitoringFile) -> list[float]:
    """When a check-in is due, in minutes from the dose."""
    rules = (rule for rule in protocol.schedule if rule.phase == "observation")
    return sorted({at for rule in rules for at in rule.at_min})


_EFFECTS = {
    "fine": gettext_noop("well"),
    "unwell": gettext_noop("a little unwell"),
    "bad": gettext_noop("not well"),
}


def pressure_in_words(data: Mapping[str, Any]) -> str:
    """ "128/79 mmHg, pulse 72", of what is there."""
    parts = []
    if data.get("systolic_mmhg") is not None and data.get("diastolic_mmhg") is not None:
        parts.append(f"{data['systolic_mmhg']:g}/{data['diastolic_mmhg']:g} mmHg")
    if data.get("heart_rate_bpm") is not None:
        parts.append(_("pulse %(rate)s /min") % {"rate": f"{data['heart_rate_bpm']:g}"})
    return ", ".join(parts)


def fold(events: Iterable[Event]) -> Timeline:
    """The timeline that these events make, in the order of the record."""
    line = Timeline()
    for event in events:
        _take(line, event)
        line.last_seq = event.seq
    return line


def _take(line: Timeline, event: Event) -> None:
    data, at = event.data, event.occurred_at
    kind = event.kind.removeprefix("athome.")
    words, css = "", ""
    match kind:
        case "session_opened":
            words = (
                _("Opened; %(name)s is the adult at hand; watched by video")
                if data["watched_live"]
                else _("Opened; %(name)s is the adult at hand")
            ) % {"name": data["adult_name"]}
        case "check_in":
            line.answered = Answered(
                at,
                data,
                tuple(data["doubts"]),
                data["prescriber"],
                bool(data.get("photo")),
                event.seq,
            )
            line.decided = None
            line.phase = Phase.DECIDE
            words = (
                _(
                    "Answered before the dose: %(pressure)s, mood %(mood)s of 10. In doubt: "
                    "%(doubts)s"
                )
                if data["doubts"]
                else _("Answered before the dose: %(pressure)s, mood %(mood)s of 10")
            ) % {
                "pressure": pressure_in_words(data),
                "mood": data["mood_0_10"],
                "doubts": "; ".join(retold(doubt) for doubt in data["doubts"]),
            }
        case "decided":
            line.decided = Decided(at, data["go"], event.actor_name, data["reason"])
            line.phase = Phase.GO if data["go"] else Phase.NO_GO
            words = _("Go") if data["go"] else _("No dose today")
            if data["reason"]:
                words = f"{words}: {retold(data['reason'])}"
        case "adult_here":
            line.adult_here_at = at
            words = _("The adult at hand is there")
        case "dose_taken":
            line.dose_at, line.dose_mg = at, data["dose_mg"]
            line.pieces = {float(mg): count for mg, count in data["pieces"]}
            line.hold_min, line.planned_after = data["hold_min"], data["after_hold"]
            line.outside = data.get("outside", "")
            line.phase = Phase.HOLD if data["hold_min"] else Phase.REST
            dose, css = {"mg": f"{data['dose_mg']:g}"}, "dose"
            words = _("Dose taken: %(mg)s mg") % dose
            if line.outside:
                words = _("Dose taken: %(mg)s mg. Outside of what was allowed: %(why)s")
                words, css = words % {**dose, "why": retold(line.outside)}, "alarm"
        case "hold_ended":
            line.hold_ended_at, line.after_hold = at, data["after_hold"]
            if line.phase == Phase.HOLD:
                line.phase = Phase.REST
            words = (
                _("Swallowed after %(minutes)s min")
                if data["after_hold"] == "swallow"
                else _("Spat out after %(minutes)s min")
            ) % {"minutes": f"{data['held_min']:.0f}"}
            if line.planned_after and data["after_hold"] != line.planned_after:
                plan = {"what": words, "plan": _(line.planned_after)}
                words = _("%(what)s (the plan says: %(plan)s)") % plan
        case "how":
            by = data["by"] if event.actor_id is None else event.actor_name
            line.check_ins.append(
                CheckIn(at, event.recorded_at, by, data, tuple(data.get("alarms", ())))
            )
            told = [_(_EFFECTS.get(data.get("feeling", ""), "")), pressure_in_words(data)]
            told += [
                f"{_(name.replace('_', ' '))} {_(grade)}" for name, grade in data.get("effects", [])
            ]
            told += [data.get("words", "")]
            parts = {"parts": ", ".join(part for part in told if part)}
            words = _("Check-in: %(parts)s") % parts
            css = "alarm" if data.get("alarms") else ""
        case "check_in_missed":
            line.missed_at_min.append(data["at_min"])
            words = _("No check-in at %(minutes)s min") % {"minutes": f"{data['at_min']:g}"}
            css = "alarm"
        case "help_asked":
            words = _("Asked for help: %(words)s") % {"words": data["words"] or _("no words")}
            css = "alarm"
        case "finished":
            line.finished_at, line.after = at, data
            line.phase = Phase.FINISHED
            words = _("Feels like before; mood %(mood)s of 10") % {"mood": data["mood_0_10"]}
        case "closed":
            line.closed_at, line.phase = at, Phase.CLOSED
            words = data["words"]
        case "cancelled":
            line.phase = Phase.CANCELLED
            words = _("Cancelled: %(reason)s") % {"reason": data["reason"]}
        case "photo_deleted":
            words = _("Picture of the cuff deleted after %(days)s days") % {
                "days": f"{data['kept_days']:g}"
            }
        case "refused":
            line.refusals.append((at, data["act"], data["reason"]))
            words = _("Refused: %(reason)s") % {"reason": retold(data["reason"])}
            css = "alarm"
    if words:
        who = event.actor_name
        line.lines.append(Line(at, event.recorded_at, who, words, css))
