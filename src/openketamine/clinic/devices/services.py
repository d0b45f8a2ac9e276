"""Where what a device sends belongs, and the acts by which staff say so.

A reading is stored under a patient only where nothing contradicts it; everything else is held and
shown, never guessed. See docs/monitors.md for the rules in words.
"""

import hashlib
import secrets
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.errors import Refused, require_reason
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event, Source
from openketamine.clinic.sessions import services as sessions
from openketamine.clinic.sessions.models import OPEN, Chair, Session
from openketamine.clinic.sessions.services import BEDSIDE, MonitorReading
from openketamine.clinic.sessions.timeline import VITALS
from openketamine.clinic.sites import scope as sites

from . import queries
from .delivery import Delivery, Measured, State
from .models import (
    STREAM,
    Assignment,
    ConfirmedPatient,
    Device,
    DeviceToken,
    HeldReading,
    PlaceName,
    Why,
)
from .skew import Clock

MAY_ASSIGN = BEDSIDE | {Role.DIRECTOR}
# What waits for somebody to decide: so many of a device, for so long.
HELD_AT_MOST = 1000
HELD_KEPT = 500
HELD_FOR = timedelta(hours=24)
UNKNOWN_KEPT = 40
# A device is not a source of endless new rows: more of them need somebody to look.
DEVICES_AT_MOST = 2000
# A second's rounding and the way through the network.
AHEAD = timedelta(seconds=10)
_NAMES = uuid.UUID("6f0a7d0e-2f7e-5a53-9d39-0a4b7a3f5a01")
_FIELDS = (
    "name", "last_heard_at", "location", "patient_id", "skew_s", "skew_samples", "skew_pending",
    "messages", "readings", "repeats", "latest", "unknown", "problem", "problem_at",
)  # fmt: skip


@dataclass
class Receipt:
    """What became of one message: all of it is in the database when this is returned."""

    device: Device | None = None
    stored: int = 0
    repeated: int = 0
    held: list[tuple[Why, str]] = field(default_factory=list)

    @property
    def held_because(self) -> str:
        return "; ".join(dict.fromkeys(text for _, text in self.held))


@dataclass
class _Group:
    """The values of one message that were measured at one moment."""

    at: datetime
    client_id: uuid.UUID
    values: dict[str, float] = field(default_factory=dict)
    doubted: dict[str, str] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    withdrawn: bool = False


@dataclass
class _Waiting:
    """One group on its way into a session."""

    receipt: Receipt
    device: Device
    group: _Group
    session: Session


class _House:
    """Who sits where and which device is where, read once for many messages."""

    def __init__(self, identities: Iterable[str]) -> None:
        self.devices = {d.identity: d for d in Device.objects.filter(identity__in=set(identities))}
        self.assignments = {
            a.device_id: a
            for a in Assignment.objects.filter(
                device__in=self.devices.values(), until_at=None
            ).select_related("chair")
        }
        self.places = queries.places()
        self.by_chair: dict[int, Session] = {}
        self.by_number: dict[str, Session] = {}
        for session in Session.objects.filter(phase__in=OPEN).select_related("person", "chair"):
            self.by_chair[session.chair_id] = session
            for number in (session.person.mrn, session.person.external_mrn):
                if number:
                    self.by_number[number.casefold()] = session
        self.confirmed = {
            (c.device_id, c.session_id, c.patient_id.casefold())
            for c in ConfirmedPatient.objects.filter(
                device__in=self.devices.values(), session__phase__in=OPEN
            )
        }

    def place(self, device: Device, delivery: Delivery) -> Session | tuple[Why, str]:
        """Where the readings of a message belong; or why that cannot be said.

        A device that staff have put at a chair belongs there; else the place that it names; else
        the patient. What it says beyond that must not contradict.
        """
        assignment = self.assignments.get(device.pk)
        named = queries.chair_named(delivery.location, self.places)
        numbers = [n for n in delivery.patient_ids if n]
        if assignment and named and named.pk != assignment.chair_id:
            return Why.CONFLICT, queries.ELSEWHERE % {"chair": assignment.chair, "named": named}
        chair = assignment.chair if assignment else named
        if chair is None:
            found = {s.pk: s for n in numbers if (s := self.by_number.get(n.casefold()))}
            if len(found) == 1:
                return next(iter(found.values()))
            if found:
                return Why.CONFLICT, queries.SEVERAL
            return Why.UNASSIGNED, queries.AT_NO_CHAIR
        session = self.by_chair.get(chair.pk)
        if session is None:
            return Why.EMPTY, queries.NOBODY_IN % {"chair": chair}
        for number in numbers:
            if self.by_number.get(number.casefold()) == session:
                continue
            if (device.pk, session.pk, number.casefold()) in self.confirmed:
                continue
            other = self.by_number.get(number.casefold())
            said = {"number": number, "chair": chair, "other": other and other.chair}
            return Why.CONFLICT, (queries.ANOTHER if other else queries.NOBODY_HERE) % said
        return session

    def since(self, device: Device, session: Session) -> datetime:
        """Before this a measurement may be somebody else's."""
        assignment = self.assignments.get(device.pk)
        if assignment and assignment.chair_id == session.chair_id:
            return max(session.opened_at, assignment.from_at)
        return session.opened_at


@sites.everything()
def receive(deliveries: Sequence[Delivery]) -> list[Receipt]:
    """Take messages in: each reading is stored under its patient, held, or known already.

    One transaction, with a number of queries that does not grow with the messages. When it returns
    and the caller's transaction ends, everything is durable; when it raises, nothing is written.
    """
    with transaction.atomic():
        record.lock()
        house = _House(delivery.identity for delivery in deliveries)
        _meet(house, deliveries)
        receipts = [Receipt() for _ in deliveries]
        waiting: list[_Waiting] = []
        holding: list[HeldReading] = []
        touched: dict[int, Device] = {}
        for receipt, delivery in zip(receipts, deliveries, strict=True):
            device = house.devices[delivery.identity]
            receipt.device = touched[device.pk] = device
            believed = _hear(device, delivery)
            _sort(house, device, delivery, believed, receipt, waiting, holding)
        _drop_known(waiting, holding)
        _store(waiting, holding)
        HeldReading.objects.bulk_create(holding)
        # As an upsert: bulk_update builds a case for each field of each device.
        Device.objects.bulk_create(
            touched.values(), update_conflicts=True, unique_fields=["id"], update_fields=_FIELDS
        )
        _expire(holding)
    return receipts


def _meet(house: _House, deliveries: Sequence[Delivery]) -> None:
    """Make known the devices that have not been heard before."""
    fresh = {d.identity: d for d in deliveries if d.identity not in house.devices}
    if not fresh:
        return
    if Device.objects.count() + len(fresh) > DEVICES_AT_MOST:
        raise Refused(
            _("%(count)s devices have been heard already: something sends under ever new names.")
            % {"count": DEVICES_AT_MOST}
        )
    Device.objects.bulk_create(
        [Device(identity=d.identity, name=d.name or d.identity) for d in fresh.values()]
    )
    for device in Device.objects.filter(identity__in=fresh):
        house.devices[device.identity] = device
    record.append_many(
        [
            record.Entry(
                d.name or d.identity,
                STREAM,
                "device.heard",
                {"device": d.identity, "name": d.name},
                None,
                None,
                Source.MONITOR,
            )
            for d in fresh.values()
        ]
    )


def _hear(device: Device, delivery: Delivery) -> bool:
    """What a message says of the device itself; returns whether its times can be believed."""
    device.name = delivery.name or device.name
    device.last_heard_at = delivery.received_at
    device.location = delivery.location
    device.patient_id = ", ".join(delivery.patient_ids)[:80]
    device.messages += 1
    device.latest = {
        item.label: [
            item.raw if item.value is None else f"{item.value:g}",
            (item.in_unit or item.unit) + (" (unit assumed)" if item.assumed_unit else ""),
            item.state,
        ]
        for item in delivery.measured[:60]
    }
    problems = []
    for item in delivery.measured:
        if item.state == State.UNKNOWN:
            device.unknown.pop(item.code, None)  # the latest comes last, the oldest is forgotten
            device.unknown[item.code] = [item.label, item.raw, item.unit]
        elif item.state == State.UNREADABLE:
            problems.append(f"{item.label} {item.raw} {item.problem}")
    while len(device.unknown) > UNKNOWN_KEPT:
        del device.unknown[next(iter(device.unknown))]
    believed = True
    if delivery.sent_at is not None:
        held = Clock(device.skew_s, device.skew_samples, [(a, b) for a, b in device.skew_pending])
        believed = held.hear(delivery.sent_at.timestamp(), delivery.received_at.timestamp())
        device.skew_s, device.skew_samples = held.skew_s, held.samples
        device.skew_pending = [list(item) for item in held.pending]
    if problems:
        device.problem, device.problem_at = "; ".join(problems)[:300], delivery.received_at
    return believed


def _sort(
    house: _House,
    device: Device,
    delivery: Delivery,
    believed: bool,
    receipt: Receipt,
    waiting: list[_Waiting],
    holding: list[HeldReading],
) -> None:
    """Each group of a message to its session, or to those that are held."""
    groups = _groups(device, delivery)
    if not groups:
        return
    placed = house.place(device, delivery)
    for group in groups:
        why: tuple[Why, str] | None = None
        if group.withdrawn:
            why = (Why.WITHDRAWN, queries.TAKEN_BACK)
        elif not isinstance(placed, Session):
            why = placed
        elif not believed:
            off = (delivery.sent_at or delivery.received_at) - delivery.received_at
            form = queries.CLOCK_AHEAD if off > timedelta(0) else queries.CLOCK_BEHIND
            why = (Why.CLOCK, form % _span(off))
        elif group.at > delivery.received_at + AHEAD:
            ahead = _span(group.at - delivery.received_at)
            why = Why.CLOCK, queries.MEASURED_AHEAD % ahead
        elif group.at < house.since(device, placed):
            said = {"person": placed.person, "chair": placed.chair}
            why = (Why.EARLIER, queries.BEFORE_IT_SAT % said)
        if why is None:
            assert isinstance(placed, Session)
            group.at = min(group.at, delivery.received_at)
            waiting.append(_Waiting(receipt, device, group, placed))
            continue
        receipt.held.append(why)
        holding.append(
            HeldReading(
                device=device,
                client_id=group.client_id,
                why=why[0],
                explanation=why[1][:300],
                at=group.at,
                received_at=delivery.received_at,
                values=group.values,
                doubted=group.doubted,
                more=group.more,
            )
        )


def _span(offset: timedelta) -> dict[str, str]:
    """How far off a time is: figure and unit of a sentence."""
    seconds = int(abs(offset).total_seconds())
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min"), (1, "s")):
        if seconds >= 2 * size or size == 1:
            return {"figure": str(seconds // size), "unit": unit}
    raise AssertionError("unreachable")


def _groups(device: Device, delivery: Delivery) -> list[_Group]:
    """The values of a message by the moment at which they were measured."""
    correction = timedelta(seconds=Clock(device.skew_s).correction_s)
    timeless = f"{delivery.control_id}|{delivery.digest}"
    best: dict[str, dict[str, Measured]] = {}
    others: dict[str, list[list[str]]] = {}
    groups: dict[str, _Group] = {}
    for item in delivery.measured:
        withdrawn = item.state == State.WITHDRAWN
        # The text of the device's own time names a measurement: its repetition is the same one.
        name = (item.at_text or timeless) + ("|withdrawn" if withdrawn else "")
        if item.state in {State.OFF, State.NOT_PATIENT}:
            continue
        if not item.quantity or item.value is None:
            others.setdefault(name, []).append(_raw(item))
            continue
        if name not in groups:
            at = item.at - correction if item.at else delivery.received_at
            groups[name] = _Group(at, uuid.UUID(int=0), withdrawn=withdrawn)
            best[name] = {}
        known = best[name].get(item.quantity)
        if known is None or item.rank < known.rank:
            best[name][item.quantity] = item
            item, known = known or item, best[name][item.quantity]
        if item is not known and (item.code, item.value) != (known.code, known.value):
            others.setdefault(name, []).append(_raw(item))
    for name, group in groups.items():
        chosen = best[name]
        group.values = {quantity: item.value or 0.0 for quantity, item in chosen.items()}
        group.doubted = {quantity: item.doubt for quantity, item in chosen.items() if item.doubt}
        said = (f"{quantity}={value:g}" for quantity, value in sorted(group.values.items()))
        group.client_id = uuid.uuid5(_NAMES, "|".join((device.identity, name, *said)))
        group.more = {
            "device": device.identity,
            "from": {quantity: item.label for quantity, item in chosen.items()},
        }
        if assumed := {q: item.assumed_unit for q, item in chosen.items() if item.assumed_unit}:
            group.more["unit_assumed"] = assumed
        if kept := others.get(name):
            group.more["other"] = kept[:20]
    return list(groups.values())


def _raw(item: Measured) -> list[str]:
    return [item.code, item.label, item.raw, item.unit]


def _drop_known(waiting: list[_Waiting], holding: list[HeldReading]) -> None:
    """Take out what is stored or held already: a monitor that repeats itself says nothing new.

    What was held before the device came to its chair stays held, and the sender hears so again.
    """
    ids = {w.group.client_id for w in waiting} | {h.client_id for h in holding}
    known = set(Event.objects.filter(client_id__in=ids).values_list("client_id", flat=True))
    held = {h.client_id: h for h in HeldReading.objects.filter(client_id__in=ids)}
    known |= set(held)
    fresh: list[_Waiting] = []
    for item in waiting:
        if item.group.client_id in known:
            item.receipt.repeated += 1
            item.device.repeats += 1
            before = held.get(item.group.client_id)
            if before is not None and before.settled_at is None:
                item.receipt.held.append((Why(before.why), before.explanation))
        else:
            known.add(item.group.client_id)
            fresh.append(item)
    waiting[:] = fresh
    unheld = [h for h in holding if h.client_id not in known]
    holding[:] = list({h.client_id: h for h in unheld}.values())


def _store(waiting: list[_Waiting], holding: list[HeldReading]) -> None:
    outcomes = sessions.record_from_monitors(
        [
            MonitorReading(
                actor=str(item.device),
                session=item.session,
                at=item.group.at,
                values=item.group.values,
                client_id=item.group.client_id,
                doubted=item.group.doubted,
                more=item.group.more,
            )
            for item in waiting
        ]
    )
    for item, outcome in zip(waiting, outcomes, strict=True):
        if isinstance(outcome, Event):
            item.receipt.stored += 1
            item.device.readings += 1
            continue
        item.receipt.held.append((Why.EMPTY, outcome.for_record))
        holding.append(
            HeldReading(
                device=item.device,
                client_id=item.group.client_id,
                why=Why.EMPTY,
                explanation=outcome.for_record[:300],
                at=item.group.at,
                received_at=clock.now(),
                values=item.group.values,
                doubted=item.group.doubted,
                more=item.group.more,
            )
        )


def _expire(holding: list[HeldReading]) -> None:
    """Keep what is held within bounds; what is let go is counted in the record."""
    devices = {held.device_id for held in holding}
    counts = (
        HeldReading.objects.filter(device__in=devices, settled_at=None)
        .values("device", "device__identity")
        .annotate(held=Count("pk"))
    )
    for row in counts if devices else ():
        if row["held"] <= HELD_AT_MOST:
            continue
        expire_held(row["device"], keep=HELD_KEPT)


def expire_held(device_id: int, *, keep: int = HELD_KEPT) -> int:
    """Let go of the oldest held readings of a device, beyond `keep` and beyond `HELD_FOR`."""
    with transaction.atomic():
        held = HeldReading.objects.filter(device_id=device_id, settled_at=None).order_by("-pk")
        oldest_kept = held.values_list("pk", flat=True)[keep - 1 : keep].first()
        gone = HeldReading.objects.filter(device_id=device_id, settled_at=None).filter(
            Q(received_at__lt=clock.now() - HELD_FOR)
            | (Q(pk__lt=oldest_kept) if oldest_kept else Q(pk__in=[]))
        )
        count, _ = gone.delete()
        if count:
            device = Device.objects.get(pk=device_id)
            record.append(
                "held readings",
                STREAM,
                "device.held_expired",
                {"device": device.identity, "readings": count},
                source=Source.SYSTEM,
            )
    return count


# -- what staff do ---------------------------------------------------------------------------------


def _require(actor: User, roles: frozenset[Role], refusal: str) -> None:
    if actor.role not in roles:
        raise Refused(refusal)


@transaction.atomic
def assign(actor: User, device: Device, chair: Chair) -> Assignment:
    """This device stands at this chair from now on.

    Raises:
        Refused: not a role that may say so, or it stands there already.
    """
    _require(actor, MAY_ASSIGN, _("Your role does not assign devices."))
    record.lock()
    standing = (
        Assignment.objects.filter(device=device, until_at=None).select_related("chair").first()
    )
    if standing and standing.chair_id == chair.pk:
        raise Refused(
            _("%(device)s stands at %(chair)s already.") % {"device": device, "chair": chair},
            field="chair",
        )
    now = clock.now()
    if standing:
        _end(actor, standing, now)
    assignment = Assignment.objects.create(device=device, chair=chair, from_at=now)
    Device.objects.filter(pk=device.pk).update(site=chair.site_id)
    record.append(
        actor, STREAM, "device.assigned", {"device": device.identity, "chair": chair.name}
    )
    return assignment


@transaction.atomic
def unassign(actor: User, device: Device) -> None:
    """This device stands at no chair any more.

    Raises:
        Refused: not a role that may say so, or it stands at none.
    """
    _require(actor, MAY_ASSIGN, _("Your role does not assign devices."))
    record.lock()
    standing = (
        Assignment.objects.filter(device=device, until_at=None).select_related("chair").first()
    )
    if standing is None:
        raise Refused(_("%(device)s stands at no chair.") % {"device": device})
    _end(actor, standing, clock.now())


def _end(actor: User, assignment: Assignment, now: datetime) -> None:
    assignment.until_at = now
    assignment.save(update_fields=["until_at"])
    record.append(
        actor,
        STREAM,
        "device.unassigned",
        {"device": assignment.device.identity, "chair": assignment.chair.name},
    )


@transaction.atomic
def name_place(actor: User, chair: Chair, *, name: str) -> PlaceName:
    """Monitors that say they stand at this place stand at this chair.

    Args:
        name: the place as the monitor says it, whole (ICU^2^3) or the part that tells it apart.

    Raises:
        Refused: not a role that may say so, no name, a chair's own name, or another chair's place.
    """
    _require(actor, MAY_ASSIGN, _("Your role does not name places."))
    key = queries.place_key(name)
    if not key:
        raise Refused(_("Enter the place as the monitor says it."), field="name")
    if len(name.strip()) > 120:
        raise Refused(_("A place has at most 120 letters."), field="name")
    record.lock()
    with sites.everything():
        known = queries.places().get(key)
    if known is not None:
        raise Refused(
            _("%(place)s is %(chair)s already.") % {"place": name.strip(), "chair": known},
            field="name",
        )
    place = PlaceName.objects.create(chair=chair, name=name.strip(), key=key)
    record.append(actor, STREAM, "device.place_named", {"chair": chair.name, "place": name.strip()})
    return place


@transaction.atomic
def forget_place(actor: User, place: PlaceName) -> None:
    """This place is this chair no more; a monitor that names it is at no chair by that.

    Raises:
        Refused: not a role that may say so.
    """
    _require(actor, MAY_ASSIGN, _("Your role does not name places."))
    record.lock()
    place.delete()
    record.append(
        actor, STREAM, "device.place_forgotten", {"chair": place.chair.name, "place": place.name}
    )


@transaction.atomic
def confirm_patient(actor: User, device: Device, session: Session) -> None:
    """The number on the monitor means the patient of this session, for this session only.

    Raises:
        Refused: the device names no number, or one of another patient who is here now.
    """
    _require(actor, BEDSIDE, _("Your role does not confirm who a monitor means."))
    record.lock()
    device.refresh_from_db()
    numbers = [number for number in device.patient_id.split(", ") if number]
    if not numbers:
        raise Refused(_("The device names no patient."))
    if session.phase not in OPEN:
        raise Refused(_("This session has ended."))
    for number in numbers:
        other = (
            Session.objects.filter(phase__in=OPEN)
            .exclude(pk=session.pk)
            .filter(Q(person__mrn__iexact=number) | Q(person__external_mrn__iexact=number))
            .first()
        )
        if other:
            raise Refused(
                _("%(number)s is %(person)s, who sits in %(chair)s.")
                % {"number": number, "person": other.person, "chair": other.chair}
            )
        ConfirmedPatient.objects.get_or_create(device=device, session=session, patient_id=number)
    record.append(
        actor,
        session.stream,
        "session.monitor_confirmed",
        {"device": device.identity, "patient_id": device.patient_id},
        person_id=session.person_id,
    )


def _held(device: Device, why: str, last_id: int) -> list[HeldReading]:
    found = list(
        HeldReading.objects.filter(
            device=device, why=why, settled_at=None, pk__lte=last_id
        ).order_by("at")
    )
    if not found:
        raise Refused(_("Nothing is held here any more. Somebody may have decided already."))
    return found


@transaction.atomic
def attach_held(
    actor: User, device: Device, *, why: str, last_id: int, session: Session, reason: str
) -> int:
    """These readings are this patient's. Returns how many were stored.

    Args:
        last_id: the last one that the person has seen; later ones stay held.

    Raises:
        Refused: no reason, nothing is held, or a reading does not fall into the session.
    """
    _require(actor, BEDSIDE, _("Your role does not attach readings to a session."))
    reason = require_reason(reason)[:300]
    record.lock()
    held = _held(device, why, last_id)
    if why == Why.WITHDRAWN:
        raise Refused(_("The device took these back. Discard them here and correct the session."))
    early = [h for h in held if h.at < session.opened_at]
    late = [h for h in held if session.closed_at and h.at > session.closed_at]
    if early or late:
        raise Refused(
            ngettext(
                "%(count)s of these readings were not measured during this session.",
                "%(count)s of these readings were not measured during this session.",
                len(early) + len(late),
            )
            % {"count": len(early) + len(late)},
            field="session",
        )
    outcomes = sessions.record_from_monitors(
        [
            MonitorReading(
                actor=actor,
                session=session,
                at=min(h.at, clock.now()),
                values=h.values,
                client_id=h.client_id,
                doubted=h.doubted,
                more={**h.more, "attached": reason},
            )
            for h in held
        ]
    )
    for outcome in outcomes:
        if isinstance(outcome, Refused):
            raise outcome
    _settle(held)
    record.append(
        actor,
        session.stream,
        "session.readings_attached",
        {"device": device.identity, "readings": len(held), "reason": reason},
        person_id=session.person_id,
    )
    return len(held)


@transaction.atomic
def discard_held(actor: User, device: Device, *, why: str, last_id: int, reason: str) -> int:
    """These readings are nobody's here. Returns how many were let go.

    Raises:
        Refused: no reason, or nothing is held.
    """
    _require(actor, MAY_ASSIGN, _("Your role does not discard readings."))
    reason = require_reason(reason)[:300]
    record.lock()
    held = _held(device, why, last_id)
    _settle(held)
    record.append(
        actor,
        STREAM,
        "device.held_discarded",
        {
            "device": device.identity,
            "readings": len(held),
            "why": why,
            "from": held[0].at.isoformat(),
            "to": held[-1].at.isoformat(),
            "reason": reason,
        },
    )
    return len(held)


def _settle(held: list[HeldReading]) -> None:
    HeldReading.objects.filter(pk__in=[h.pk for h in held]).update(settled_at=clock.now())


@transaction.atomic
def take_back(
    actor: User, device: Device, session: Session, *, since: datetime, until: datetime, reason: str
) -> int:
    """The device stood at the wrong patient: its readings leave that record and are held.

    Each reading stays in the record, retracted by a correction of its own. Returns how many.

    Raises:
        Refused: no reason, or no reading of the device in this time.
    """
    _require(actor, BEDSIDE, _("Your role does not take readings back."))
    reason = require_reason(reason)[:300]
    record.lock()
    events = [
        event
        for event in Event.objects.filter(
            stream=session.stream,
            kind="session.vitals_recorded",
            source=Source.MONITOR,
            occurred_at__gte=since,
            occurred_at__lte=until,
            corrections=None,
        ).order_by("seq")
        if event.data.get("device") == device.identity
    ]
    if not events:
        raise Refused(_("There is no reading of this device in this time."), field="since")
    sessions.retract_readings(actor, session, events, reason=reason)
    plain = ("device", "from", "unit_assumed", "other")
    HeldReading.objects.bulk_create(
        HeldReading(
            device=device,
            client_id=uuid.uuid5(_NAMES, f"moved|{event.seq}"),
            why=Why.MOVED,
            explanation=(queries.MOVED % {"reason": reason})[:300],
            at=event.occurred_at,
            received_at=clock.now(),
            values={k: v for k, v in event.data.items() if k in VITALS},
            doubted={
                k: m["reason"]
                for k, m in event.data.get("artefacts", {}).items()
                if m["kind"] == "questionable"
            },
            more={k: event.data[k] for k in plain if k in event.data},
        )
        for event in events
    )
    return len(events)


# -- senders of FHIR Observations ------------------------------------------------------------------


@transaction.atomic
def make_token(actor: User | str, *, name: str) -> tuple[DeviceToken, str]:
    """Let a sender in. Returns its token, and the secret, which is shown this once.

    Raises:
        Refused: not the director's to do, or no name.
    """
    if isinstance(actor, User):
        _require(actor, frozenset({Role.DIRECTOR}), _("Your role does not let senders in."))
    name = " ".join(name.split())
    if not name or len(name) > 60:
        raise Refused(_("Name the sender, in up to 60 characters."), field="name")
    record.lock()
    with sites.everything():
        device = Device.objects.get_or_create(identity=f"fhir:{name}", defaults={"name": name})[0]
    secret = secrets.token_urlsafe(32)
    token = DeviceToken.objects.create(
        device=device,
        digest=digest_of(secret),
        made_by=actor if isinstance(actor, User) else None,
    )
    record.append(
        actor, STREAM, "device.token_made", {"device": device.identity, "token": str(token.pk)}
    )
    return token, secret


@transaction.atomic
def revoke_token(actor: User, token: DeviceToken) -> None:
    """Let a sender in no longer.

    Raises:
        Refused: not the director's to do, or done already.
    """
    _require(actor, frozenset({Role.DIRECTOR}), _("Your role does not revoke tokens."))
    record.lock()
    token.refresh_from_db()
    if token.revoked_at:
        raise Refused(_("This token is revoked already."))
    token.revoked_at = clock.now()
    token.save(update_fields=["revoked_at"])
    record.append(
        actor,
        STREAM,
        "device.token_revoked",
        {"device": token.device.identity, "token": str(token.pk)},
    )


def digest_of(secret: str) -> str:
    """What is kept of a token. It is random and long, so that one round of SHA-256 is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def token_of(secret: str) -> DeviceToken | None:
    """The token that a sender shows, if it lets in."""
    return (
        DeviceToken.objects.filter(digest=digest_of(secret), revoked_at=None)
        .select_related("device")
        .first()
    )


def renamed(delivery: Delivery, device: Device) -> Delivery:
    """A delivery under the name of the device whose token let it in, whatever it calls itself."""
    return replace(delivery, identity=device.identity, name=device.name)
