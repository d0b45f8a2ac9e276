"""A session at home: the visit that it is, the dose, and what was measured before and after."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from uuid import UUID

from openketamine.clinic.athome.models import HomeSession, Phase
from openketamine.clinic.athome.timeline import fold
from openketamine.clinic.record.models import Event

from .common import (
    CLINIC,
    OWN,
    Draft,
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
)
from .courses import ketamine
from .people import MEASURED, PRESSURE, measured, pressure

_STATUS = {
    Phase.CHECK: "arrived",
    Phase.DECIDE: "arrived",
    Phase.GO: "arrived",
    Phase.HOLD: "in-progress",
    Phase.REST: "in-progress",
    Phase.FINISHED: "in-progress",
    Phase.CLOSED: "finished",
    Phase.NO_GO: "cancelled",
    Phase.CANCELLED: "cancelled",
}


def drafts(keys: Sequence[UUID]) -> Iterator[Draft]:
    """Everything that these sessions at home are. Two queries, however many."""
    sessions = HomeSession.objects.filter(pk__in=keys).select_related("planned", "course")
    by_stream = {session.stream: session for session in sessions.order_by("opened_at", "pk")}
    events: dict[str, list[Event]] = defaultdict(list)
    for event in Event.objects.filter(stream__in=by_stream).order_by("seq"):
        events[event.stream].append(event)
    for stream, session in by_stream.items():
        yield from _session(session, events[stream])


def _session(session: HomeSession, events: list[Event]) -> Iterator[Draft]:
    timeline = fold(events)
    key, subject, visit = session.pk.hex, patient(session.person_id), session.pk
    where = session.course.route
    yield draft(
        session.stream, "Encounter", visit, session.person_id,
        meta=meta("us-core-encounter"),
        identifier=[identifier(f"{OWN}:session", session.pk)],
        status=_STATUS[Phase(session.phase)],
        **{"class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HH"}},
        type=[
            concept(
                f"Ketamine session {session.planned.number} at home",
                (f"{OWN}:encounter-type", f"home-{where}"),
            )
        ],
        subject=subject,
        period=period(session.opened_at, session.closed_at),
        serviceProvider={"reference": CLINIC},
    )  # fmt: skip
    taken = next((event for event in events if event.kind == "athome.dose_taken"), None)
    if taken and timeline.dose_at and timeline.dose_mg is not None:
        words = f"{timeline.dose_mg:g} mg, taken by the patient"
        yield draft(
            session.stream, "MedicationAdministration", f"{key}-dose", session.person_id, taken.seq,
            status="completed",
            medicationCodeableConcept=ketamine(where),
            subject=subject,
            context=refer("Encounter", visit),
            effectiveDateTime=instant(timeline.dose_at),
            performer=[{"actor": subject}],
            request=refer("MedicationRequest", f"plan-{session.planned.plan_id}"),
            note=[{"text": timeline.outside}] if timeline.outside else None,
            dosage={
                "text": words, "route": route(where), "dose": quantity(timeline.dose_mg, "mg"),
            },
        )  # fmt: skip
    for event in events:
        if event.kind not in {"athome.check_in", "athome.how"}:
            continue
        data = event.data
        halves = {name: data[name] for name in PRESSURE if data.get(name) is not None}
        parts = [("bp", pressure(halves))] if halves else []
        parts += [
            (name.split("_")[0], measured(name, data[name]))
            for name in MEASURED
            if data.get(name) is not None
        ]
        for sign, content in parts:
            yield draft(
                session.stream, "Observation", f"e{event.seq}-{sign}", session.person_id, event.seq,
                status="final",
                subject=subject,
                encounter=refer("Encounter", visit),
                effectiveDateTime=instant(event.occurred_at),
                performer=[{"display": event.actor_name}],
                **content,
            )  # fmt: skip
