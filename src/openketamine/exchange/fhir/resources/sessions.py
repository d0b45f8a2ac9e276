"""A session in a chair: the visit, each dose with its changes of rate, and what was seen."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from openketamine.clinic.people.models import Course
from openketamine.clinic.record.models import Source
from openketamine.clinic.sessions.kept import kept
from openketamine.clinic.sessions.models import Phase, Session
from openketamine.clinic.sessions.timeline import Line, Reading, Timeline
from openketamine.clinic.sessions.wording import describe

from .common import (
    CLINIC,
    LOINC,
    OWN,
    Content,
    Draft,
    attachment,
    concept,
    draft,
    identifier,
    instant,
    meta,
    patient,
    period,
    quantity,
    refer,
    route,
    term,
    without_nothing,
)
from .courses import ketamine, note_category
from .people import MEASURED, PRESSURE, measured, pressure

_STATUS = {
    Phase.CHECK: "arrived",
    Phase.READY: "arrived",
    Phase.INFUSION: "in-progress",
    Phase.PAUSED: "in-progress",
    Phase.SPRAYING: "in-progress",
    Phase.RECOVERY: "in-progress",
    Phase.DISCHARGED: "finished",
    Phase.TRANSFERRED: "finished",
    Phase.CANCELLED: "cancelled",
}
# How the patient was: our own codes, for none of these scales has one of LOINC's in our sources.
OBSERVED = {
    "sedation_moaas": ("Sedation, MOAA/S", 0, 5),
    "dissociation_0_10": ("Dissociation, 0 to 10", 0, 10),
    "nausea_0_10": ("Nausea, 0 to 10", 0, 10),
    "distress_0_10": ("Distress, 0 to 10", 0, 10),
}


def unit_of(session_id: UUID) -> str:
    return f"session:{session_id}"


def drafts(keys: Sequence[UUID]) -> Iterator[Draft]:
    """Everything that these sessions are. Two queries, however many sessions."""
    sessions = Session.objects.filter(pk__in=keys).select_related("planned", "course", "chair")
    sessions = sessions.order_by("opened_at", "pk")
    by_key = {session.pk: session for session in sessions}
    timelines = kept.timelines([session.stream for session in by_key.values()])
    for session in by_key.values():
        yield from _session(session, timelines[session.stream])


class _Writer:
    """Writes one session's resources, each with the chart and the visit that it belongs to."""

    def __init__(self, session: Session, timeline: Timeline) -> None:
        self.session, self.timeline = session, timeline
        self.key = session.pk.hex
        self.subject = patient(session.person_id)
        self.visit = refer("Encounter", session.pk)
        self.course: Course = session.course

    def draft(self, kind: str, key: str, made_by: int | None = None, **content: Any) -> Draft:
        return draft(
            unit_of(self.session.pk), kind, key, self.session.person_id, made_by, **content
        )


def _session(session: Session, timeline: Timeline) -> Iterator[Draft]:
    writer = _Writer(session, timeline)
    yield _encounter(writer)
    yield from _doses(writer)
    yield from _medicines(writer)
    yield from _vitals(writer)
    yield from _observed(writer)
    yield from _adverse(writer)
    yield from _documents(writer)


def _encounter(w: _Writer) -> Draft:
    transfer = w.timeline.transfer
    return w.draft(
        "Encounter", str(w.session.pk),
        meta=meta("us-core-encounter"),
        identifier=[identifier(f"{OWN}:session", w.session.pk)],
        status=_STATUS[Phase(w.session.phase)],
        **{"class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}},
        type=[
            concept(
                f"Ketamine session {w.session.planned.number} by {w.course.route}",
                (f"{OWN}:encounter-type", f"session-{w.course.route}"),
            )
        ],
        subject=w.subject,
        period=period(w.session.opened_at, w.session.closed_at),
        location=[{"location": {"display": w.session.chair.name}}],
        serviceProvider={"reference": CLINIC},
        hospitalization={
            "destination": {"display": transfer.data["where"]},
            "dischargeDisposition": concept(f"Transferred: {transfer.data['why']}"),
        }
        if transfer
        else None,
    )  # fmt: skip


def _doses(w: _Writer) -> Iterator[Draft]:
    """The infusion as one whole, and each stretch at one rate, bolus and injection as its part.

    The whole carries what the pump ran in; a stretch carries its rate alone, and a bolus its own
    dose, so that adding up doses counts nothing twice.
    """
    timeline = w.timeline
    lines = {line.seq: line for line in timeline.lines}
    whole = f"{w.key}-infusion"
    if timeline.segments and timeline.started_at:
        yield _procedure(w, timeline.started_at, timeline.ended_at)
        run = timeline.pumped_mg(timeline.ended_at or timeline.latest_at or timeline.started_at)
        first = next((x for x in timeline.lines if x.kind == "session.infusion_started"), None)
        yield _administration(
            w, whole, first,
            status=_dose_status(w),
            effectivePeriod=period(timeline.started_at, timeline.ended_at),
            statusReason=[concept(timeline.end_reason)]
            if timeline.end_reason and _dose_status(w) == "stopped"
            else None,
            dosage=_dosage(
                w,
                f"{run:.4g} mg by pump, {timeline.programmed_mg:g} mg programmed",
                dose=quantity(run, "mg"),
            ),
        )  # fmt: skip
        for number, segment in enumerate(timeline.segments, start=1):
            yield _administration(
                w, f"{w.key}-rate-{number}", _line_at(timeline, segment.start),
                status="completed" if segment.end else "in-progress",
                partOf=[refer("MedicationAdministration", whole)],
                effectivePeriod=period(segment.start, segment.end),
                dosage=_dosage(
                    w,
                    f"at {segment.rate_mg_per_h:g} mg/h",
                    rateQuantity=quantity(segment.rate_mg_per_h, "mg/h"),
                ),
            )  # fmt: skip
    elif at_once := (*timeline.injections, *timeline.sprays):
        yield _procedure(w, at_once[0].at, at_once[-1].at)
    for name, doses in (
        ("bolus", timeline.boluses),
        ("injection", timeline.injections),
        ("spray", timeline.sprays),
    ):
        for given in doses:
            known = lines.get(given.line.seq)
            yield _administration(
                w, f"{w.key}-{name}-{given.line.seq}", known,
                status="completed",
                partOf=[refer("MedicationAdministration", whole)] if name == "bolus" else None,
                effectiveDateTime=instant(given.at),
                dosage=_dosage(
                    w, f"{given.dose_mg:g} mg, {name}", dose=quantity(given.dose_mg, "mg")
                ),
            )  # fmt: skip
    for line in timeline.lines:
        if line.retracted and (name := _AT_ONCE.get(line.kind)):
            yield _administration(
                w, f"{w.key}-{name}-{line.seq}", line,
                status="entered-in-error",
                effectiveDateTime=instant(line.at),
            )  # fmt: skip


_AT_ONCE = {
    "session.bolus_given": "bolus",
    "session.injection_given": "injection",
    "session.spray_taken": "spray",
}


def _line_at(timeline: Timeline, moment: datetime) -> Line | None:
    """The pump's event that began a stretch."""
    begins = {"session.infusion_started", "session.infusion_resumed", "session.rate_changed"}
    return next((x for x in timeline.lines if x.kind in begins and x.at == moment), None)


def _dose_status(w: _Writer) -> str:
    phase = Phase(w.session.phase)
    if phase == Phase.INFUSION:
        return "in-progress"
    if phase == Phase.PAUSED:
        return "on-hold"
    short = w.timeline.programmed_mg - w.timeline.pumped_mg(
        w.timeline.ended_at or w.session.opened_at
    )
    return "stopped" if short > 0.15 else "completed"


def _dosage(w: _Writer, words: str, **more: Any) -> Content:
    return {"text": words, "route": route(w.course.route), **more}


def _administration(w: _Writer, key: str, line: Line | None, **content: Any) -> Draft:
    return w.draft(
        "MedicationAdministration", key, line.seq if line else None,
        medicationCodeableConcept=content.pop("medication", None) or ketamine(w.course.route),
        subject=w.subject,
        context=w.visit,
        performer=[{"actor": {"display": line.actor_name}}] if line else None,
        request=refer("MedicationRequest", f"plan-{w.session.planned.plan_id}"),
        **content,
    )  # fmt: skip


def _procedure(w: _Writer, start: datetime, end: datetime | None) -> Draft:
    done = Phase(w.session.phase) not in {Phase.INFUSION, Phase.PAUSED}
    return w.draft(
        "Procedure", f"{w.key}-treatment",
        meta=meta("us-core-procedure"),
        identifier=[identifier(f"{OWN}:session", w.session.pk)],
        status="completed" if done else "in-progress",
        code=concept(
            f"Ketamine treatment by {w.course.route}",
            (f"{OWN}:procedure", f"treatment-{w.course.route}"),
        ),
        subject=w.subject,
        encounter=w.visit,
        basedOn=[refer("CarePlan", w.course.pk)],
        performedPeriod=period(start, end or (start if done else None)),
        location={"display": w.session.chair.name},
    )  # fmt: skip


def _medicines(w: _Writer) -> Iterator[Draft]:
    """What was given beside the drug: for nausea, for pressure."""
    for line in w.timeline.lines:
        if line.kind != "session.medicine_given":
            continue
        data = line.data
        dosage = {
            "text": f"{data['dose']:g} {data['unit']} {data['route']}",
            "route": route(data["route"]),
            "dose": quantity(float(data["dose"]), data["unit"]),
        }
        yield w.draft(
            "MedicationAdministration", f"{w.key}-medicine-{line.seq}", line.seq,
            status="entered-in-error" if line.retracted else "completed",
            medicationCodeableConcept=concept(data["label"], (f"{OWN}:medicine", data["medicine"])),
            subject=w.subject,
            context=w.visit,
            effectiveDateTime=instant(line.at),
            performer=[{"actor": {"display": line.actor_name}}],
            reasonCode=[concept(data["reason"])],
            dosage=dosage,
        )  # fmt: skip


def _vitals(w: _Writer) -> Iterator[Draft]:
    """Every reading by hand, and of a monitor's the first of each minute.

    A monitor may read every second; nobody's chart wants that. Every reading stands in the record
    and so in a Provenance. What was taken back is kept, as entered in error.
    """
    if w.timeline.check:
        check = next(x for x in w.timeline.lines if x.kind == "session.check_completed")
        yield from _signs(w, f"e{check.seq}", check.seq, check.at, w.timeline.baseline)
    lines = {line.seq: line for line in w.timeline.lines}
    seen: set[str] = set()
    for reading in w.timeline.vitals:
        line = lines.get(reading.seq)
        if line is None or line.kind != "session.vitals_recorded" or not reading.values:
            continue
        values = reading.values
        if reading.source == Source.MONITOR:
            minute = f"{w.key}-{reading.at:%Y%m%d%H%M}"
            values = {n: v for n, v in values.items() if f"{minute}-{_sign_of(n)}" not in seen}
            seen |= {f"{minute}-{_sign_of(n)}" for n in values}
            key = minute
        else:
            key = f"e{reading.seq}"
        yield from _signs(w, key, reading.seq, reading.at, values, _device(reading, line))
    for line in w.timeline.lines:
        if line.kind == "session.vitals_recorded" and line.retracted:
            if line.source == Source.MONITOR and not _stood_before(w, line):
                continue
            values = {n: v for n, v in line.data.items() if n in (*MEASURED, *PRESSURE)}
            yield from _signs(
                w, f"e{line.seq}", line.seq, line.at, values, status="entered-in-error"
            )


def _stood_before(w: _Writer, line: Line) -> bool:
    """Whether a monitor's retracted reading is worth telling: it was the only one of its minute."""
    minute = line.at.replace(second=0, microsecond=0)
    return not any(
        r.values and r.at.replace(second=0, microsecond=0) == minute for r in w.timeline.vitals
    )


def _sign_of(name: str) -> str:
    return "bp" if name in PRESSURE else name.split("_")[0]


def _device(reading: Reading, line: Line) -> Content:
    if reading.source == Source.MONITOR:
        return {"device": {"display": line.actor_name}}
    return {"performer": [{"display": line.actor_name}]}


def _signs(
    w: _Writer,
    key: str,
    seq: int,
    at: datetime,
    values: dict[str, float],
    more: Content | None = None,
    status: str = "final",
) -> Iterator[Draft]:
    """One Observation per vital sign; both pressures in one."""
    halves = {name: value for name, value in values.items() if name in PRESSURE}
    parts = [("bp", pressure(halves))] if halves else []
    parts += [
        (_sign_of(name), measured(name, value))
        for name, value in values.items()
        if name in MEASURED
    ]
    for sign, content in parts:
        yield w.draft(
            "Observation", f"{key}-{sign}", seq,
            status=status,
            subject=w.subject,
            encounter=w.visit,
            effectiveDateTime=instant(at),
            **content,
            **(more or {}),
        )  # fmt: skip


def _observed(w: _Writer) -> Iterator[Draft]:
    """Sedation, dissociation, nausea, distress."""
    lines = {line.seq: line for line in w.timeline.lines}
    for reading in w.timeline.observations:
        for name, value in reading.values.items():
            if name not in OBSERVED:
                continue
            words, low, high = OBSERVED[name]
            line = lines[reading.seq]
            yield w.draft(
                "Observation", f"e{reading.seq}-{name.split('_')[0]}", reading.seq,
                status="final",
                category=[term("observation-category", "exam")],
                code=concept(words, (f"{OWN}:observation", name)),
                subject=w.subject,
                encounter=w.visit,
                effectiveDateTime=instant(reading.at),
                performer=[{"display": line.actor_name}],
                valueQuantity=quantity(value, "score", "{score}"),
                referenceRange=[{"text": f"{low} to {high}"}],
                note=[{"text": line.data["note"]}] if line.data.get("note") else None,
            )  # fmt: skip


def _adverse(w: _Writer) -> Iterator[Draft]:
    for line in w.timeline.lines:
        if line.kind == "session.side_effect_noted" and not line.retracted:
            severity = line.data["severity"]
            known = severity if severity in {"mild", "moderate", "severe"} else ""
            yield _event(
                w, line,
                event=concept(
                    line.data["note"] if line.data["effect"] == "other" else line.data["label"],
                    (f"{OWN}:side-effect", line.data["effect"], line.data["label"]),
                ),
                seriousness=term("adverse-event-seriousness", "non-serious"),
                severity=term("adverse-event-severity", known) if known else None,
            )  # fmt: skip
        elif line.kind == "session.emergency_called" and not line.retracted:
            over = w.timeline.emergencies_over.get(line.seq)
            yield _event(
                w, line,
                event=concept(
                    line.data["label"], (f"{OWN}:emergency", line.data["sign"], line.data["label"])
                ),
                seriousness=term("adverse-event-seriousness", "serious"),
                outcome=term("adverse-event-outcome", "resolved" if over else "ongoing"),
            )  # fmt: skip
        elif line.kind == "session.transferred":
            yield _event(
                w, line,
                event=concept(
                    f"Transferred to {line.data['where']}: {line.data['why']}",
                    (f"{OWN}:emergency", "transferred"),
                ),
                seriousness=term("adverse-event-seriousness", "serious"),
            )  # fmt: skip


def _event(w: _Writer, line: Line, **content: Any) -> Draft:
    suspect = (
        {"instance": refer("MedicationAdministration", f"{w.key}-infusion")}
        if w.timeline.segments
        else None
    )
    return w.draft(
        "AdverseEvent", f"e{line.seq}", line.seq,
        identifier=identifier(f"{OWN}:event", f"{w.session.pk}-{line.seq}"),
        actuality="actual",
        subject=w.subject,
        encounter=w.visit,
        date=instant(line.at),
        recordedDate=instant(line.recorded_at),
        suspectEntity=[suspect] if suspect else None,
        **content,
    )  # fmt: skip


def _documents(w: _Writer) -> Iterator[Draft]:
    """The note of a session that is over. As plain text here; as PDF where the Binary is asked."""
    closed = w.timeline.closed_at
    if closed is None or w.timeline.cancelled:
        return
    words = "\n".join(
        f"{line.at:%H:%M} {describe(line)}{' (taken back)' if line.retracted else ''}"
        for line in w.timeline.lines
    )
    title = f"Session {w.session.planned.number}, {w.session.opened_at:%d %B %Y}"
    yield w.draft(
        "DocumentReference", f"{w.key}-note",
        meta=meta("us-core-documentreference"),
        identifier=[identifier(f"{OWN}:session", w.session.pk)],
        status="current",
        docStatus="final",
        type=concept("Procedure note", (LOINC, "28570-0")),
        category=[note_category()],
        subject=w.subject,
        date=instant(closed),
        author=[{"reference": CLINIC}],
        custodian={"reference": CLINIC},
        context=without_nothing(
            {
                "encounter": [w.visit],
                "period": period(w.session.opened_at, w.session.closed_at),
            }
        ),
        content=[
            {"attachment": attachment(f"{title}\n\n{words}\n", title=title, created=closed)},
            {
                "attachment": {
                    "contentType": "application/pdf",
                    "url": f"Binary/session-note-{w.session.pk}",
                    "title": title,
                }
            },
        ],
    )  # fmt: skip
