"""What is read from the record itself: who said what (Provenance), and who looked (AuditEvent).

Neither is projected: an event is a Provenance, an access an AuditEvent.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from openketamine.clinic.record.models import Event, Source
from openketamine.clinic.sites.scope import current
from openketamine.exchange.smart.models import Access, Accessed
from openketamine.exchange.smart.scopes import Reach

from . import search
from .kinds import Kind
from .models import Resource
from .outcomes import Problem
from .resources.common import (
    CLINIC,
    OWN,
    TERMINOLOGY,
    Content,
    coding,
    concept,
    instant,
    meta,
    refer,
    term,
    without_nothing,
)

EVENT = f"{OWN}:fhir:record-event"
# What holds the place of an event that did not come along with an import.
LEFT_OUT = "record.left_out"
# What says that all before it was imported.
IMPORTED = "record.imported"
# What a therapist writes down apart from the chart leaves no trace outside; who has looked at a
# chart is an AuditEvent.
_APART = Q(kind__startswith="psychotherapy.") | Q(kind__in=("chart.read", "list.read", LEFT_OUT))


@dataclass(frozen=True)
class Live:
    """One live resource, ready to be sent."""

    kind: str
    key: str
    person_id: UUID | None
    updated_at: datetime
    content: str

    version = 1


@dataclass(frozen=True)
class FoundLive:
    """One page of live resources."""

    rows: list[Live]
    after: str | None
    total: int | None


def run(
    kind: Kind,
    pairs: Sequence[tuple[str, str]],
    reach: Reach,
    *,
    whole: bool = False,
    shut: Sequence[UUID] = (),
) -> FoundLive:
    """One page of a live kind. Four queries at most.

    Args:
        whole: with each event's own text, for those who may read everything.
        shut: whose charts are closed to the asker.

    Raises:
        Problem: a parameter is unknown or cannot be read.
    """
    count, after, summary, with_total = search.COUNT, 0, False, False
    rows: QuerySet[Any] = Event.objects.all() if kind.name == "Provenance" else accesses()
    if reach.person_id:
        rows = rows.filter(_of_person(kind, reach.person_id))
    if shut and kind.name == "Provenance":
        rows = rows.filter(Q(person_id=None) | ~Q(person_id__in=shut))
    for name, value in pairs:
        search.check_text(name, value)
        try:
            match name:
                case "_count":
                    count = min(int(value), search.MOST)
                    summary = summary or count == 0
                case "_after":
                    after = int(value.strip("~"))
                case "_summary":
                    summary = value == "count"
                case "_total":
                    with_total = value != "none"
                case "_format" | "_pretty" | "_elements" | "_include" | "_sort":
                    continue
                case _:
                    rows = rows.filter(_condition(kind, name, value))
        except ValueError as error:
            raise Problem(400, "invalid", f"{name}: {error}.", name) from error
    if count < 0 or abs(after) > 10**17:
        raise Problem(400, "invalid", "_count and _after are no such numbers.", "_count")
    total = rows.count() if summary or with_total else None
    if summary:
        return FoundLive([], None, total)
    found = list(rows.filter(pk__gt=after).order_by("pk")[: count + 1])
    page = found[:count]
    written = provenances(page, whole=whole) if kind.name == "Provenance" else audit_events(page)
    more = len(found) > count and page
    return FoundLive(written, f"~{page[-1].pk}" if more else None, total)


def accesses() -> QuerySet[Access]:
    """Who has looked. Of one's own sites only what has shown a chart of theirs."""
    if current().is_whole:
        return Access.objects.all()
    return Access.objects.filter(Exists(Accessed.objects.filter(access=OuterRef("pk"))))


def events() -> QuerySet[Event]:
    """Every event that is a Provenance."""
    return Event.objects.exclude(_APART)


def one(
    kind: Kind, key: str, reach: Reach, *, whole: bool = False, shut: Sequence[UUID] = ()
) -> Live | None:
    """One live resource by its id; None where there is none within reach."""
    found = run(kind, [("_id", key), ("_count", "1")], reach, whole=whole, shut=shut).rows
    return found[0] if found else None


def _of_person(kind: Kind, person_id: UUID) -> Q:
    if kind.name == "Provenance":
        return Q(person_id=person_id)
    return Q(pk__in=Accessed.objects.filter(person_id=person_id).values("access_id"))


def _condition(kind: Kind, name: str, value: str) -> Q:
    if name == "_id":
        numbers = [re.fullmatch(r"(?:event|access)-(\d{1,18})", part) for part in value.split(",")]
        return Q(pk__in=[int(number[1]) for number in numbers if number])
    if name in {"patient", "patient:Patient"}:
        return _of_person(kind, UUID(value.rpartition("/")[2]))
    if name in {"recorded", "date", "_lastUpdated"}:
        column = "recorded_at" if kind.name == "Provenance" else "at"
        return search.by_span(value, column, column)
    if kind.name == "Provenance" and name == "target":
        target, _, key = value.rpartition("/")
        made = Resource.objects.filter(kind=target.rpartition("/")[2], key=key)
        seqs = [seq for seq in made.values_list("made_by", flat=True) if seq]
        return Q(pk__in=seqs) | Q(corrects__in=seqs)
    if kind.name == "Provenance" and name == "agent":
        return Q(actor_id=int(value.rpartition("/")[2]))
    if kind.name == "AuditEvent" and name == "action":
        return Q(action=value)
    if kind.name == "AuditEvent" and name == "agent-name":
        return Q(user_name__icontains=value) | Q(client_name__icontains=value)
    if kind.name == "AuditEvent" and name == "outcome":
        return Q(status__lt=400) if value == "0" else Q(status__gte=400)
    offered = ["_id", "patient", *(p.name for p in kind.params), kind.date_param]
    raise ValueError(f"{kind.name} cannot be searched by it, but by {', '.join(offered)}")


def provenances(said: Sequence[Event], *, whole: bool = False) -> list[Live]:
    """Each event as a Provenance of what came of it. Two queries for all."""
    targets: dict[int, list[Content]] = defaultdict(list)
    seqs = [event.corrects_id or event.seq for event in said]
    made = Resource.objects.filter(made_by__in=seqs).order_by("pk")
    imported = _imported_until()
    for seq, kind, key in made.values_list("made_by", "kind", "key"):
        targets[seq or 0].append(refer(kind, key))
    return [
        _provenance(
            event,
            targets.get(event.corrects_id or event.seq, []),
            whole,
            imported=event.seq < imported,
        )
        for event in said
    ]


def _imported_until() -> int:
    """The number of the event that says that all before it was imported; 0 where none does."""
    found = Event.objects.filter(kind=IMPORTED).order_by("seq").values_list("seq", flat=True)
    return found.last() or 0


def provenances_of(rows: Iterable[Resource]) -> list[Live]:
    """The events behind these resources, corrections included. Three queries for all."""
    seqs = {row.made_by for row in rows if row.made_by}
    found = events().filter(Q(pk__in=seqs) | Q(corrects__in=seqs)).order_by("pk")
    return provenances(list(found[: search.MOST_INCLUDED]))


def _provenance(
    event: Event, targets: list[Content], whole: bool, *, imported: bool = False
) -> Live:
    stream, _, stream_key = event.stream.partition(":")
    of_stream = {"session": "Encounter", "course": "CarePlan", "person": "Patient"}.get(stream)
    if not targets:
        if of_stream:
            targets = [refer(of_stream, stream_key)]
        elif event.person_id:
            targets = [refer("Patient", event.person_id)]
        else:
            targets = [{"reference": CLINIC}]
    by_machine = event.source in {Source.MONITOR, Source.SYSTEM, Source.IMPORT}
    who = (
        refer("Practitioner", event.actor_id, event.actor_name)
        if event.actor_id
        else {"display": event.actor_name or "unknown"}
    )
    extension = [
        {"url": "hash", "valueString": event.hash},
        {"url": "kind", "valueCode": event.kind},
        {"url": "source", "valueCode": event.source},
    ]
    if imported:
        extension.append({"url": "imported", "valueBoolean": True})
    if whole:
        extension += [
            {"url": "stream", "valueString": event.stream},
            {"url": "body", "valueString": event.body},
            {"url": "previous-hash", "valueString": event.previous_hash},
            {"url": "actor-name", "valueString": event.actor_name or "-"},
        ]
        if event.person_id:
            extension.append({"url": "person", "valueString": str(event.person_id)})
        if event.actor_id:
            extension.append({"url": "actor", "valueString": str(event.actor_id)})
        if event.client_id:
            extension.append({"url": "client-id", "valueString": str(event.client_id)})
    content = {
        "meta": {"lastUpdated": instant(event.recorded_at), "versionId": "1"}
        | meta("us-core-provenance"),
        "extension": [{"url": EVENT, "extension": extension}],
        "target": targets,
        # To the microsecond, as the hash has it.
        "occurredDateTime": exactly(event.occurred_at),
        "recorded": exactly(event.recorded_at),
        "activity": concept("", (f"{OWN}:event", event.kind)),
        "agent": [
            {
                "type": term(
                    "provenance-participant-type", "assembler" if by_machine else "author"
                ),
                "who": who,
                "onBehalfOf": {"reference": CLINIC},
            }
        ],
        "entity": [{"role": "revision", "what": refer("Provenance", f"event-{event.corrects_id}")}]
        if event.corrects_id
        else None,
    }
    return _live("Provenance", f"event-{event.seq}", event.person_id, event.recorded_at, content)


def exactly(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def event_of(provenance: Content) -> Event:
    """The event that a whole Provenance tells, as it stood in the record. Not saved.

    Whoever holds an export can check by it that nothing in it was altered: `Event.digest`.

    Raises:
        KeyError: it was told without its text.
    """
    told = {
        part["url"]: part.get("valueString", part.get("valueCode"))
        for extension in provenance["extension"]
        if extension["url"] == EVENT
        for part in extension["extension"]
    }
    corrected = [entity["what"]["reference"] for entity in provenance.get("entity", ())]
    return Event(
        seq=int(provenance["id"].removeprefix("event-")),
        stream=told["stream"],
        person_id=UUID(told["person"]) if "person" in told else None,
        kind=told["kind"],
        body=told["body"],
        occurred_at=datetime.fromisoformat(provenance["occurredDateTime"]),
        recorded_at=datetime.fromisoformat(provenance["recorded"]),
        actor_id=int(told["actor"]) if "actor" in told else None,
        actor_name=told["actor-name"],
        source=told["source"],
        corrects_id=int(corrected[0].rpartition("-")[2]) if corrected else None,
        client_id=UUID(told["client-id"]) if "client-id" in told else None,
        previous_hash=told["previous-hash"],
        hash=told["hash"],
    )


def _live(kind: str, key: str, person_id: UUID | None, at: datetime, content: Content) -> Live:
    whole = {"resourceType": kind, "id": key, **without_nothing(content)}
    text = json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
    return Live(kind, key, person_id, at, text)


def audit_events(accesses: Sequence[Access]) -> list[Live]:
    """Each access as an AuditEvent, with whose charts it has shown. One query for all."""
    shown: dict[int, list[UUID]] = defaultdict(list)
    for access_id, person_id in Accessed.objects.filter(
        access__in=[access.pk for access in accesses]
    ).values_list("access_id", "person_id"):
        shown[access_id].append(person_id)
    return [_audit_event(access, shown[access.pk]) for access in accesses]


def _audit_event(access: Access, people: list[UUID]) -> Live:
    agents = [
        {
            "who": {"display": access.client_name},
            "name": access.client_name,
            "requestor": not access.user_name,
            "network": {"address": access.address, "type": "2"} if access.address else None,
        }
    ]
    if access.user_name:
        who = (
            refer("Practitioner", access.user_id, access.user_name)
            if access.user_id
            else {"display": access.user_name}
        )
        agents.insert(0, {"who": who, "name": access.user_name, "requestor": True})
    status = access.status
    content = {
        "meta": {"lastUpdated": instant(access.at), "versionId": "1"},
        "type": coding(f"{TERMINOLOGY}/audit-event-type", "rest", "Restful Operation"),
        "subtype": [coding("http://hl7.org/fhir/restful-interaction", access.interaction)],
        "action": access.action,
        "recorded": instant(access.at),
        "outcome": "0" if status < 400 else "4" if status < 500 else "8",
        "outcomeDesc": f"HTTP {status}",
        "agent": [without_nothing(agent) for agent in agents],
        "source": {"observer": {"reference": CLINIC}, "site": "OpenKetamine FHIR server"},
        "entity": [{"what": refer("Patient", person_id)} for person_id in people]
        # What was searched for may name somebody of another site.
        + (
            [{"description": f"{access.kind} {access.query}".strip()}]
            if access.query and current().is_whole
            else []
        ),
    }
    person_id = people[0] if len(people) == 1 else None
    return _live("AuditEvent", f"access-{access.pk}", person_id, access.at, content)
