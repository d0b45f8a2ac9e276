"""What the screens of a session show, worked out from its timeline."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils.translation import gettext
from django.utils.translation import gettext as _

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.intake.queries import open_safety_reviews
from openketamine.clinic.record.models import Source
from openketamine.protocols import discharge, monitoring
from openketamine.protocols.schema import MonitoringFile

from . import queries
from .alerts import Alert, clock_of, history, minutes_read, observations_due, to_confirm
from .models import OPEN, UNDER_THE_DRUG, Phase, Session
from .opening import said_of
from .outlook import Outlook, outlook_of
from .services import BEDSIDE, ENTRY, ROUNDING_MG, undecided
from .spray import Sequence, sequence
from .timeline import OBSERVATIONS, VITALS, Line, Reading, Timeline
from .wording import LETTERS, describe

MONITOR_ROW_EVERY = timedelta(minutes=5)
CHARTED_AT_MOST = 600
# The bar of a session, and where in it each phase stands.
STEPS = ("check", "infusion", "recovery", "home")
_STEP = {
    Phase.CHECK: 0,
    Phase.READY: 0,
    Phase.INFUSION: 1,
    Phase.PAUSED: 1,
    Phase.SPRAYING: 1,
    Phase.RECOVERY: 2,
    Phase.DISCHARGED: 4,
    Phase.TRANSFERRED: 3,
    Phase.CANCELLED: 4,
}
_CHARTED = ("systolic_mmhg", "diastolic_mmhg", "heart_rate_bpm", "spo2_percent", *OBSERVATIONS)


@dataclass(frozen=True)
class Figure:
    """One vital sign as it stands: value, unit, age, and the last ten values."""

    label: str
    value: str
    unit: str
    at: datetime | None
    recent: list[float]
    priority: str = ""
    quantity: str = ""


@dataclass(frozen=True)
class Pump:
    """How the pump stands."""

    state: str
    rate_mg_per_h: float
    rate_ml_per_h: float
    given_mg: float
    programmed_mg: float
    percent: float
    left_min: int | None
    ends_at: datetime | None
    run_in: bool


@dataclass(frozen=True)
class FlowRow:
    """One row of the flow sheet."""

    reading: Reading
    line: Line
    given_mg: float | None
    crossed: str  # the priority of the gravest limit that it crosses, or nothing


@dataclass(frozen=True)
class LogLine:
    line: Line
    text: str


def steps(phase: Phase, home_at: datetime | None, now: datetime) -> list[tuple[str, str]]:
    """(name, "done" | "now" | "") for each step of the bar."""
    here = _STEP[phase]
    if phase == Phase.RECOVERY and home_at and now >= home_at:
        here += 1
    return [
        (name, "done" if index < here else "now" if index == here and phase in OPEN else "")
        for index, name in enumerate(STEPS)
    ]


def figures(timeline: Timeline, standing: list[Alert], protocol: MonitoringFile) -> list[Figure]:
    """Pressure, heart rate and SpO2 as last measured, each with the priority of its alert."""
    rules = {threshold.id: threshold.quantity for threshold in protocol.thresholds}
    worst: dict[str, str] = {}
    for alert in sorted(standing, key=lambda a: a.priority == "red"):
        worst[rules.get(alert.rule_id, "")] = alert.priority

    def recent(name: str) -> list[float]:
        return [r.values[name] for r in timeline.last(name, 10)]

    def latest(name: str) -> Reading | None:
        return next(iter(timeline.last(name)), None)

    pressure = next((r for r in reversed(timeline.vitals) if "systolic_mmhg" in r.values), None)
    shown = "–"
    if pressure:
        lower = pressure.values.get("diastolic_mmhg")
        shown = f"{pressure.values['systolic_mmhg']:g}/{'–' if lower is None else f'{lower:g}'}"
    either = {worst.get("systolic_mmhg", ""), worst.get("diastolic_mmhg", "")}
    found = [
        Figure(
            _("Pressure"),
            shown,
            "mmHg",
            pressure.at if pressure else None,
            recent("systolic_mmhg"),
            "red" if "red" in either else "amber" if "amber" in either else "",
            "systolic_mmhg",
        )
    ]
    for name, label, unit in (
        ("heart_rate_bpm", _("Heart rate"), "/min"),
        ("spo2_percent", "SpO2", "%"),
    ):
        reading = latest(name)
        found.append(
            Figure(
                label,
                f"{reading.values[name]:g}" if reading else "–",
                unit,
                reading.at if reading else None,
                recent(name),
                worst.get(name, ""),
                name,
            )
        )
    return found


def states(timeline: Timeline, standing: list[Alert], protocol: MonitoringFile) -> list[Figure]:
    """Sedation, dissociation, nausea, distress and breathing, where anybody has looked."""
    rules = {threshold.id: threshold.quantity for threshold in protocol.thresholds}
    by_quantity = {rules.get(a.rule_id, ""): a.priority for a in reversed(standing)}
    found = []
    for item in protocol.plausible:
        if item.quantity not in {*OBSERVATIONS, "respiratory_rate_bpm"}:
            continue
        if series := timeline.last(item.quantity):
            found.append(
                Figure(
                    gettext(item.label),
                    f"{series[-1].values[item.quantity]:g}",
                    gettext(item.unit),
                    series[-1].at,
                    [],
                    by_quantity.get(item.quantity, ""),
                )
            )
    return found


def pump(session: Session, timeline: Timeline, now: datetime) -> Pump:
    plan = session.planned.plan
    programmed = timeline.programmed_mg or plan.dose_mg
    rate = timeline.rate_mg_per_h
    left_mg = timeline.to_run_mg(now) if timeline.started_at else programmed
    in_all = timeline.planned_mg if timeline.started_at else programmed
    running = timeline.phase == Phase.INFUSION
    dry = running and left_mg <= ROUNDING_MG
    run_in = dry and programmed - timeline.pumped_mg(now) <= ROUNDING_MG
    left = timedelta(hours=left_mg / rate) if rate and not dry else None
    loaded = timeline.loaded
    strength = loaded.concentration_mg_per_ml if loaded else plan.concentration_mg_per_ml
    given = timeline.given_mg(now)
    running_as = _("Dose has run in") if run_in else _("Syringe empty") if dry else _("Running")
    state = {Phase.INFUSION: running_as, Phase.PAUSED: _("Paused")}.get(
        timeline.phase, _("Ended") if timeline.ended_at else _("Not started")
    )
    if session.is_injected:
        state = _("Injected") if timeline.injections else _("Not given")
    if session.is_sprayed:
        state = _sprayed(sequence_of(session, timeline), timeline)
    return Pump(
        state=state,
        rate_mg_per_h=rate or plan.rate_mg_per_h or 0.0,
        rate_ml_per_h=round((rate or plan.rate_mg_per_h or 0.0) / strength, 2) if strength else 0.0,
        given_mg=round(given, 1),
        programmed_mg=in_all,
        percent=round(100 * given / in_all, 1) if in_all else 0.0,
        left_min=round(left.total_seconds() / 60) if left else None,
        ends_at=now + left if left else None,
        run_in=run_in,
    )


def _sprayed(stands: Sequence, timeline: Timeline) -> str:
    if not timeline.sprays:
        return _("Not given")
    if timeline.phase == Phase.SPRAYING:
        return _("%(taken)s of %(planned)s taken") % {
            "taken": stands.taken,
            "planned": stands.planned,
        }
    return _("All taken") if stands.taken >= stands.planned else _("Ended")


def sequence_of(session: Session, timeline: Timeline) -> Sequence | None:
    """How far the devices or sprays are; None where nothing is sprayed."""
    return sequence(session, timeline) if session.is_sprayed else None


@dataclass(frozen=True)
class Due:
    """One observation of the schedule that runs by fixed minutes.

    Attributes:
        cells: for each column of the table its value, or "" with a state: "due", "late", "missed",
            "next", or "-" where it is not asked for then.
    """

    at_min: float
    at: datetime
    cells: tuple[tuple[str, str], ...]


def schedule(
    timeline: Timeline, protocol: MonitoringFile, now: datetime
) -> tuple[tuple[str, ...], list[Due]]:
    """What is watched when, with what was read then: the columns' names, and a row for each time.

    Empty where the protocol has no fixed times, or nothing has been given yet.
    """
    phase, zero = clock_of(timeline, protocol)
    fixed = [rule for rule in protocol.schedule if rule.phase == phase and rule.at_min]
    if zero is None or phase != "observation" or not fixed:
        return (), []
    columns = list(dict.fromkeys(quantity for rule in fixed for quantity in rule.quantities))
    shown = [q for q in columns if q != "diastolic_mmhg"]  # stands beside the systolic
    labels = {item.quantity: gettext(item.label) for item in protocol.plausible}
    labels["systolic_mmhg"] = _("Pressure")
    asked: dict[float, set[str]] = {}
    for rule in fixed:
        for at_min in rule.at_min:
            asked.setdefault(at_min, set()).update(rule.quantities)
    until = timeline.closed_at or now
    now_min = max((until - zero) / timedelta(minutes=1), 0.0)
    done = minutes_read(timeline, zero)
    wanting = {
        (item.at_min, quantity): item.state
        for item in monitoring.due(protocol, phase, now_min=now_min, done=done)
        for quantity in item.quantities
    }
    grace, rows = protocol.late_after_min.value, []
    for at_min in sorted(asked):
        cells = []
        for quantity in shown:
            if quantity not in asked[at_min]:
                cells.append(("", "-"))
            elif state := wanting.get((at_min, quantity)):
                cells.append(("", state))
            elif at_min - now_min > grace:
                cells.append(("", "next"))
            else:
                at = zero + timedelta(minutes=at_min)
                cells.append((_nearest(timeline, quantity, at, since=zero), "done"))
        rows.append(Due(at_min, zero + timedelta(minutes=at_min), tuple(cells)))
    return tuple(labels[q] for q in shown), rows


def _nearest(timeline: Timeline, quantity: str, at: datetime, *, since: datetime) -> str:
    """The reading nearest to a moment, the pressure as a pair; how far off, where it is far."""
    series = [reading for reading in timeline.series(quantity) if reading.at >= since]
    if not series:
        return ""
    reading = min(series, key=lambda r: abs(r.at - at))
    shown = f"{reading.values[quantity]:g}"
    if quantity == "systolic_mmhg":
        lower = reading.values.get("diastolic_mmhg")
        shown += f"/{'–' if lower is None else f'{lower:g}'}"
    off_min = round((reading.at - at) / timedelta(minutes=1))
    return shown if abs(off_min) <= 5 else f"{shown} ({off_min:+d} min)"


def next_vitals_at(timeline: Timeline, protocol: MonitoringFile, now: datetime) -> datetime | None:
    """When the clinic's policy wants the next observation."""
    due = observations_due(timeline, protocol, now) if timeline.closed_at is None else None
    return due[0] if due else None


def home_not_before(session: Session, timeline: Timeline, now: datetime) -> datetime | None:
    """The earliest moment at which the clinic's policy lets the patient go. Not a forecast."""
    wait = queries.minutes_before_home(session)
    if not wait or timeline.transfer:
        return None
    ends = timeline.ended_at or pump(session, timeline, now).ends_at
    if timeline.phase == Phase.SPRAYING and (stands := sequence_of(session, timeline)):
        # Not before what is still to come has been taken, with the rests between.
        rests = timedelta(minutes=stands.rest_min * max(stands.left - 1, 0))
        ends = max(stands.next_at or now, now) + rests
    if ends is None and timeline.phase == Phase.INFUSION:
        ends = now
    return ends + timedelta(minutes=wait) if ends else None


def flow_sheet(timeline: Timeline, protocol: MonitoringFile, now: datetime) -> list[FlowRow]:
    """The readings as now held, the latest first, with the dose given by then.

    A monitor may read every few seconds: of its readings the sheet keeps the last of every
    `MONITOR_ROW_EVERY`, and beside it the last of these with a value that does not count and the
    last that crosses a limit, of each priority. The chart and the record have them all.
    """
    readings = sorted((*timeline.vitals, *timeline.observations), key=lambda r: (r.at, r.seq))
    crossings: dict[int, tuple[Reading, str]] = timeline.memo.kept.setdefault(flow_sheet, {})
    kept: list[tuple[Reading, str]] = []
    slots: set[tuple[int, str]] = set()
    for reading in reversed(readings):
        judged = crossings.get(reading.seq)
        if judged is None or judged[0] is not reading:  # a later one may have settled it anew
            findings = monitoring.assess(protocol, reading.values, timeline.baseline)
            judged = crossings[reading.seq] = (reading, findings[0].priority if findings else "")
        crossed = judged[1]
        if reading.source == Source.MONITOR:
            slot = int(reading.at.timestamp() // MONITOR_ROW_EVERY.total_seconds())
            new = {(slot, ""), (slot, crossed)}
            if reading.artefacts:
                new.add((slot, "artefact"))
            if new <= slots:
                continue
            slots |= new
        kept.append(judged)
    by_seq = {line.seq: line for line in timeline.lines}
    rows = []
    for reading, crossed in kept:
        given = None
        if timeline.started_at and reading.at >= timeline.started_at:
            given = round(timeline.given_mg(min(reading.at, now)), 1)
        rows.append(FlowRow(reading, by_seq[reading.seq], given, crossed))
    return rows


def log(timeline: Timeline) -> list[LogLine]:
    """Every event, the latest first; what was corrected stays, struck through.

    A monitor's readings stand in the flow sheet alone, unless somebody has corrected them.
    """
    lines = [x for x in timeline.lines if x.source != Source.MONITOR or x.correction]
    lines.sort(key=lambda line: (line.at, line.seq), reverse=True)
    return [LogLine(line, describe(line)) for line in lines]


def may(user: User, session: Session) -> dict[str, bool]:
    """What this person may do now. The services decide; this only spares useless buttons."""
    phase, bedside = Phase(session.phase), user.role in BEDSIDE
    by_pump = bedside and session.way == "infusion"
    is_open = phase in OPEN
    return {
        "enter": is_open and user.role in ENTRY,
        "medicine": is_open and bedside,
        "correct": bedside,
        "read_note": user.role in BEDSIDE | {Role.DIRECTOR},
        "acknowledge": is_open and bedside,
        "check": bedside and phase in {Phase.CHECK, Phase.READY},
        "decide": user.role == Role.PRESCRIBER and phase in {Phase.CHECK, Phase.READY},
        "start": by_pump and phase == Phase.READY,
        "inject": bedside and session.is_injected and phase in {Phase.READY, Phase.RECOVERY},
        "spray": bedside
        and session.is_sprayed
        and phase in {Phase.READY, Phase.SPRAYING, Phase.RECOVERY},
        "waive": user.role == Role.PRESCRIBER and phase == Phase.READY,
        "emergency": is_open and user.role in ENTRY,
        "order": is_open and user.role == Role.PRESCRIBER and phase != Phase.CHECK,
        "bolus": bedside and phase in {Phase.INFUSION, Phase.PAUSED},
        "pause": bedside and phase == Phase.INFUSION,
        "resume": bedside and phase == Phase.PAUSED,
        "rate": bedside and phase == Phase.INFUSION,
        "stop": bedside and phase in {Phase.INFUSION, Phase.PAUSED},
        "discharge": bedside and phase == Phase.RECOVERY,
        "transfer": bedside and phase in UNDER_THE_DRUG,
        "cancel": bedside and phase in {Phase.CHECK, Phase.READY},
    }


def session_screen(
    session: Session, timeline: Timeline, user: User, now: datetime
) -> Mapping[str, Any]:
    """Everything that the session screen shows of one moment."""
    protocol = queries.protocol_of(session)
    standing = queries.alerts_of(session, timeline, now)
    home_at = home_not_before(session, timeline, now)
    columns, rows = schedule(timeline, protocol, now)
    return {
        "session": session,
        "sequence": sequence_of(session, timeline),
        "undecided": said_of(undecided(session, timeline)),
        "due_columns": columns,
        "due_rows": rows,
        "timeline": timeline,
        "phase": Phase(timeline.phase),
        "steps": steps(timeline.phase, home_at, now),
        "now": now,
        "open_alerts": [a for a in standing if not a.acknowledged],
        "answered_alerts": [a for a in standing if a.acknowledged],
        "minutes": timeline.elapsed_min(timeline.ended_at or now),
        "figures": figures(timeline, standing, protocol),
        "states": states(timeline, standing, protocol),
        "pump": pump(session, timeline, now),
        "drawn_up": timeline.drawn_up,
        "standing_orders": [o for o in timeline.orders.values() if o.used_by is None],
        "to_confirm": to_confirm(timeline, protocol, queries.library_of(session).alarms, now),
        "history": reversed(history(timeline, protocol, queries.library_of(session).alarms, now)),
        "outlook": outlook_of(session, timeline, now),
        "next_vitals_at": next_vitals_at(timeline, protocol, now),
        "home_not_before": home_at,
        "criteria": criteria(session, timeline, now),
        "flow": flow_sheet(timeline, protocol, now),
        "log": log(timeline),
        "may": may(user, session),
        "reviews": open_safety_reviews(session.course),
    }


@dataclass(frozen=True)
class BoardRow:
    """One chair of the day's list as it is shown."""

    row: queries.ChairRow
    steps: list[tuple[str, str]]
    figures: list[Figure]
    pump: Pump
    home_not_before: datetime | None
    next_vitals_at: datetime | None
    outlook: Outlook | None

    @property
    def session(self) -> Session:
        return self.row.session

    @property
    def phase(self) -> Phase:
        return Phase(self.row.timeline.phase)


def board() -> list[BoardRow]:
    """Every open session, in the order in which it needs attention."""
    rows = []
    for row in queries.todays_board():
        session, timeline = row.session, row.timeline
        protocol = queries.protocol_of(session)
        home_at = home_not_before(session, timeline, row.now)
        rows.append(
            BoardRow(
                row,
                steps(timeline.phase, home_at, row.now),
                figures(timeline, row.open_alerts, protocol),
                pump(session, timeline, row.now),
                home_at,
                next_vitals_at(timeline, protocol, row.now),
                outlook_of(session, timeline, row.now, wait_s=0.0),
            )
        )
    return rows


def criteria(
    session: Session, timeline: Timeline, now: datetime
) -> tuple[discharge.CriterionResult, ...]:
    """How the criteria for going home stand that the record itself can answer."""
    if timeline.phase != Phase.RECOVERY:
        return ()
    results = queries.assess_discharge(session, timeline, {}, now).results
    return tuple(r for r in results if not r.criterion.question)


def thinned(readings: list[Reading], quantity: str) -> list[Reading]:
    """What a chart draws of a quantity: all that people entered, and of a monitor's many readings
    the lowest and the highest of each stretch of time, so that no peak is lost; and the last.

    Args:
        readings: that hold the quantity, in time order.
    """
    if len(readings) <= CHARTED_AT_MOST:
        return readings
    span = readings[-1].at - readings[0].at
    every_s = max(span.total_seconds() / (CHARTED_AT_MOST // 2), 1.0)
    start = readings[0].at
    drawn: list[Reading] = []
    stretch, low, high = -1, readings[0], readings[0]

    def close() -> None:
        if stretch >= 0:
            drawn.extend([low] if low is high else sorted((low, high), key=lambda r: (r.at, r.seq)))

    for reading in readings:
        if reading.source != Source.MONITOR:
            close()
            drawn.append(reading)
            stretch = -1
            continue
        its = int((reading.at - start).total_seconds() // every_s)
        if its != stretch:
            close()
            stretch, low, high = its, reading, reading
        elif reading.values[quantity] < low.values[quantity]:
            low = reading
        elif reading.values[quantity] >= high.values[quantity]:
            high = reading
    close()
    return drawn if drawn[-1] is readings[-1] else [*drawn, readings[-1]]


def chart(session: Session, timeline: Timeline, now: datetime) -> dict[str, Any]:
    """The chart's data: times in seconds since 1970, limits and events with their words."""
    protocol = queries.protocol_of(session)
    plan = session.planned.plan
    ends_at = pump(session, timeline, now).ends_at
    home_at = home_not_before(session, timeline, now)
    outlook = outlook_of(session, timeline, now)

    def second(moment: datetime) -> float:
        return round(moment.timestamp(), 1)

    first = min([session.opened_at, *(r.at for r in timeline.vitals)])
    pumping = [
        {
            "from": second(segment.start),
            "to": second(min(segment.end or now, now)),
            "rate_mg_per_h": segment.rate_mg_per_h,
        }
        for segment in timeline.segments
    ]
    edges = sorted(
        {
            moment
            for segment in timeline.segments
            for moment in (segment.start, min(segment.end or now, now))
        }
        | {
            dose.at - before
            for dose in (*timeline.injections, *timeline.sprays)
            for before in (timedelta(seconds=1), timedelta())
        }
        | ({now} if timeline.phase in UNDER_THE_DRUG and timeline.phase != Phase.PAUSED else set())
    )
    baseline = timeline.baseline
    return {
        "seq": timeline.last_seq,
        "now": second(now),
        "from": second(first),
        "to": second(
            max(
                [
                    now,
                    *(m for m in (ends_at, home_at, timeline.ended_at) if m),
                    *(p[0] for band in (outlook.bands if outlook else ()) for p in band.points),
                ]
            )
        ),
        "time_zone": settings.TIME_ZONE,
        "open": session.closed_at is None,
        "programmed_mg": timeline.programmed_mg or plan.dose_mg,
        "ends_at": second(ends_at) if ends_at else None,
        "home_not_before": second(home_at) if home_at else None,
        "series": {
            name: [
                [second(r.at), r.values[name], r.source]
                for r in thinned(timeline.series(name), name)
            ]
            for name in _CHARTED
        },
        # Kept, and not counted: drawn hollow and crossed.
        "artefacts": {
            name: [
                [second(r.at), r.artefacts[name].value, r.artefacts[name].kind]
                for r in timeline.vitals
                if name in r.artefacts
            ]
            for name in VITALS
        },
        "baseline": baseline,
        # Drawn as a band behind the measured marks; where nobody forecasts, nothing.
        "forecast": {
            band.quantity: [[second(at), *quantiles] for at, *quantiles in band.points]
            for band in (outlook.bands if outlook else ())
        },
        "conc": outlook
        and {
            "title": _("Forecast of %(drug)s, %(unit)s in %(matrix)s plasma")
            % {
                "drug": gettext(outlook.conc.quantity),
                "unit": "ng/mL",
                "matrix": gettext(outlook.matrix),
            },
            "points": [[second(at), *quantiles] for at, *quantiles in outlook.conc.points],
        },
        "home": outlook
        and outlook.home
        and [second(outlook.home.earliest), second(outlook.home.at), second(outlook.home.latest)],
        "limits": [
            {
                "quantity": threshold.quantity,
                "priority": threshold.priority,
                "value": value,
                "label": f"{gettext(threshold.statement)} ({gettext(threshold.authority)})",
            }
            for threshold in protocol.thresholds
            if threshold.above_baseline_by is None
            and (
                value := next(
                    v
                    for v in (threshold.at_least, threshold.above, threshold.below)
                    if v is not None
                )
            )
            is not None
        ],
        "pump": pumping,
        "dose": [[second(moment), round(timeline.given_mg(moment), 2)] for moment in edges],
        "events": [
            {"at": second(line.at), "letter": LETTERS[line.kind][0], "label": describe(line)}
            for line in timeline.lines
            if line.kind in LETTERS and not line.retracted
        ],
    }
