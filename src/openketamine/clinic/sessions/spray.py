"""The acts of a session by nasal spray: devices one after the other, sprays of a bottle.

Patients spray themselves while staff look on. Each act is one transaction and one event. Where a
rule that guards the patient bars one, nothing is written but that it was tried; where the device
has been used already, it is recorded as it happened, as a deviation with its reason.
"""

import uuid
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.errors import Barred, Refused, require_reason
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.said import asked, in_english, lowered, say
from openketamine.protocols.schema import Regimen, Wait

from . import queries
from .acts import (
    BEDSIDE,
    act,
    append,
    require_open,
    require_programme,
    require_role,
    require_same_plan,
    require_treatable,
    require_way,
    tried,
)
from .models import Phase, Session
from .opening import said_of, undecided
from .orders import covering_order, require_within_policy
from .scan import Package, UnreadableCodeError, read
from .timeline import Timeline

# What came out at one side of the nose.
CAME_OUT = ("full", "partial", "none")
WHAT_AT = gettext_noop("%(what)s at %(figure)s")
DEVICE_NUMBER = gettext_noop("device %(figure)s")
DECIDE_FIRST = gettext_noop("%(statement)s: the prescriber has to decide first.")
USED_BEFORE = gettext_noop("The device with the serial number %(serial)s has been used.")
TOO_EARLY = gettext_noop(
    "Too early: %(what)s. Not before %(time)s; or the prescriber decides that there is no need to "
    "wait."
)
RED_UNANSWERED = gettext_noop(
    "A red alert is unanswered (%(alert)s). %(response)s Answer it with what was done before "
    "anything more is taken."
)
NO_REST = gettext_noop(
    "Too early: %(since)s min since the device before, and %(rest)s min of rest lie between two. "
    "Not before %(time)s."
)
EXPIRED = gettext_noop("Expired on %(day)s (lot %(lot)s). Set it aside and take another.")
OTHER_PRODUCT = gettext_noop(
    "The code is of another product (drug code %(code)s), not of this spray. Set it aside and look "
    "at the package."
)
# What the record says of an attempt that a rule has barred.
BARRED = (
    DECIDE_FIRST,
    USED_BEFORE,
    NO_REST,
    TOO_EARLY,
    RED_UNANSWERED,
    EXPIRED,
    OTHER_PRODUCT,
)


@dataclass(frozen=True)
class Sequence:
    """How far the devices or sprays of a session are.

    Attributes:
        next_number: of the device or spray that comes next; None where none does.
        next_at: the earliest moment for it, where one has been taken; None without a rest between.
        waits_until: the earliest moment for the first, by what was eaten, drunk or sprayed before.
        waits_for: what it waits for, in words.
    """

    unit: str
    unit_mg: float
    planned: int
    taken: int
    rest_min: float
    next_number: int | None
    next_at: datetime | None
    waits_until: datetime | None
    waits_for: str

    @property
    def is_device(self) -> bool:
        return self.unit == "device"

    @property
    def next_label(self) -> str:
        """What the button for the next device says."""
        return _("Device %(number)s of %(planned)s") % {
            "number": self.next_number,
            "planned": self.planned,
        }

    @property
    def left(self) -> int:
        return max(self.planned - self.taken, 0)


def regimen_of(session: Session) -> Regimen:
    """The regimen by which this session's dose was ordered, as it governs the session."""
    return queries.library_of(session).regimens[session.planned.plan.regimen]


def sequence(session: Session, timeline: Timeline) -> Sequence:
    """Where the session stands between its devices."""
    device = regimen_of(session).device
    plan = session.planned.plan
    planned = timeline.units_planned or plan.unit_count
    rest_min = device.rest_min if device else 0.0
    last = timeline.sprays[-1].at if timeline.sprays else None
    ends = timeline.phase in {Phase.RECOVERY, Phase.DISCHARGED, Phase.TRANSFERRED, Phase.CANCELLED}
    until, what = (None, "") if timeline.sprays else first_not_before(session, timeline)
    return Sequence(
        unit="device" if device else "spray",
        unit_mg=plan.unit_mg,
        planned=planned,
        taken=timeline.units_taken,
        rest_min=rest_min,
        next_number=None if ends else timeline.units_taken + 1,
        next_at=last + timedelta(minutes=rest_min) if last and rest_min and not ends else None,
        waits_until=until,
        waits_for=what,
    )


def first_not_before(session: Session, timeline: Timeline) -> tuple[datetime | None, str]:
    """The earliest moment for the first spray by the check's waits, and what it waits for."""
    if timeline.check is None or timeline.waivers:
        return None, ""
    told = timeline.check.get("waits", {})
    found: list[tuple[datetime, Wait]] = []
    for item in queries.protocol_of(session).presession:
        for wait in item.waits:
            if last := told.get(wait.fact):
                moment = datetime.fromisoformat(last) + timedelta(minutes=wait.at_least_min)
                found.append((moment, wait))
    if not found:
        return None, ""
    until, wait = max(found, key=lambda pair: pair[0])
    since = timezone.localtime(until - timedelta(minutes=wait.at_least_min))
    return until, say(WHAT_AT, what=lowered(wait.label), figure=f"{since:%H:%M}")


def take_device(
    actor: User,
    session: Session,
    *,
    left: str,
    right: str,
    scan: str = "",
    lot: str = "",
    expires_on: date | None = None,
    serial: str = "",
    deviation: str = "",
    reason: str = "",
    ordered_by: User | None = None,
    read_back: bool = False,
    at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """The patient has sprayed one device, or tried to.

    A spray that came out in part counts in full: that is the most it can have been. A device
    beyond those ordered, also one in place of another that failed, takes a prescriber's order.

    Args:
        left, right: what came out on each side: "full", "partial" or "none".
        scan: the code on the device; lot, expiry and serial number are read off it.
        deviation: why it was used although a rule bars it: it was, and that is recorded.

    Raises:
        Refused: not a spray session, the package is not identified, or no order covers it.
        Barred: before the check or the prescriber's decision, too soon after food, drink, another
            nose spray or the device before, expired, another product, used before, or a red alert
            is unanswered.
    """
    number = queries.timeline_of(session).units_taken + 1

    def take() -> Event:
        found, timeline = _begin(actor, session, _("Your role does not take devices."))
        device = regimen_of(found).device
        if device is None:
            raise Refused(_("This course is by a compounded bottle: it has no devices."))
        for side, came_out in (("left", left), ("right", right)):
            if came_out not in CAME_OUT:
                raise Refused(_("Say what came out on this side."), field=side)
        package = _package(scan, lot, expires_on, serial, device.ndc)
        moment = at or clock.now()
        each_mg = device.content_mg / device.sprays
        dose_mg = each_mg * sum(side != "none" for side in (left, right))
        _require_clear(found, timeline, moment)
        _require_rest(found, timeline, moment, deviation)
        _require_good(package, moment, deviation)
        if package.serial and package.serial in {
            dose.line.data["serial"] for dose in timeline.sprays
        }:
            raise Barred(say(USED_BEFORE, serial=package.serial))
        order = _order_beyond(
            actor, found, timeline, 1, device.content_mg, reason, ordered_by, read_back
        )
        whole = left == right == "full"
        return _write(
            actor,
            found,
            timeline,
            package,
            {
                "unit": "device",
                "units": 1,
                "dose_mg": dose_mg,
                "nominal_mg": device.content_mg,
                "left": left,
                "right": right,
                "outcome": "complete" if whole else "partial" if dose_mg else "failed",
                **order,
            },
            deviation,
            at,
            client_id,
        )

    return tried(actor, session, DEVICE_NUMBER % {"figure": number}, take, client_id)


def take_sprays(
    actor: User,
    session: Session,
    *,
    sprays: int,
    lot: str,
    expires_on: date | None,
    deviation: str = "",
    reason: str = "",
    ordered_by: User | None = None,
    read_back: bool = False,
    at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """The patient has taken some sprays of the compounded bottle. An ordered dose may be divided.

    Raises:
        Refused: not such a session, no sprays, lot or date missing, or no order covers it.
        Barred: before the check or the prescriber's decision, too soon after food, drink or another
            nose spray, past the date of use, or a red alert is unanswered.
    """

    def take() -> Event:
        found, timeline = _begin(actor, session, _("Your role does not take sprays."))
        plan = found.planned.plan
        if regimen_of(found).device is not None:
            raise Refused(_("This course is by devices: enter each of them."))
        if not 0 < sprays <= 20:
            raise Refused(_("Say how many sprays it was."), field="sprays")
        package = _package("", lot, expires_on, "", ())
        moment = at or clock.now()
        _require_clear(found, timeline, moment)
        _require_good(package, moment, deviation)
        order = _order_beyond(
            actor, found, timeline, sprays, plan.unit_mg, reason, ordered_by, read_back
        )
        return _write(
            actor,
            found,
            timeline,
            package,
            {
                "unit": "spray",
                "units": sprays,
                "dose_mg": round(sprays * plan.unit_mg, 3),
                "nominal_mg": round(sprays * plan.unit_mg, 3),
                "outcome": "complete",
                **order,
            },
            deviation,
            at,
            client_id,
        )

    return tried(actor, session, gettext_noop("sprays of the bottle"), take, client_id)


@act
def end_spray(
    actor: User,
    session: Session,
    *,
    reason: str,
    at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """No further device or spray is taken today, although more were ordered.

    Raises:
        Refused: none has been taken or none is left, or no reason is given.
    """
    require_role(actor, BEDSIDE, _("Your role does not end the spray."))
    session = require_open(session)
    if session.phase != Phase.SPRAYING:
        raise Refused(_("Nothing is left to take, or nothing has been taken yet."))
    reason = require_reason(reason)
    timeline = queries.timeline_of(session)
    return append(
        actor,
        session,
        "session.spray_ended",
        {
            "reason": reason,
            "not_taken": max(timeline.units_planned - timeline.units_taken, 0),
        },
        at=at,
        client_id=client_id,
    )


@act
def waive_wait(
    prescriber: User, session: Session, *, reason: str, client_id: uuid.UUID | None = None
) -> Event:
    """The prescriber lets the first spray be taken before the time since food or drink has passed.

    Raises:
        Refused: not a prescriber, nothing to wait for, or no reason.
    """
    require_role(prescriber, frozenset({Role.PRESCRIBER}), _("Your role does not decide this."))
    session = require_open(session)
    timeline = queries.timeline_of(session)
    until, what = first_not_before(session, timeline)
    if timeline.sprays or until is None or until <= clock.now():
        raise Refused(_("There is nothing to wait for."))
    reason = require_reason(reason)
    return append(
        prescriber,
        session,
        "session.wait_waived",
        {"about": in_english(what), "until": until.isoformat(), "reason": reason},
        client_id=client_id,
    )


def _begin(actor: User, session: Session, refusal: str) -> tuple[Session, Timeline]:
    """The session, locked, with its timeline, where a spray may be taken at all."""
    require_role(actor, BEDSIDE, refusal)
    session = require_open(session)
    require_way(session, "spray")
    require_treatable(session.course)
    require_programme(session.course)
    require_same_plan(session)
    return session, queries.timeline_of(session)


def _package(
    scan: str, lot: str, expires_on: date | None, serial: str, ndc: tuple[str, ...]
) -> Package:
    """The package as scanned, as typed, or as both where they agree; of one of these products."""
    read_off = Package()
    if scan.strip():
        try:
            read_off = read(scan)
        except UnreadableCodeError as error:
            raise Refused(str(error), field="scan") from error
        _require_product(read_off, ndc)
    typed = {"lot": lot.strip(), "expires_on": expires_on, "serial": serial.strip()}
    for name, value in typed.items():
        scanned = getattr(read_off, name)
        if value and scanned and value != scanned:
            raise Refused(
                _("The code says %(code)s, and %(typed)s was typed. Look at the package again.")
                % {"code": scanned, "typed": value},
                field=name,
            )
    package = Package(
        gtin=read_off.gtin,
        lot=read_off.lot or str(typed["lot"]),
        expires_on=read_off.expires_on or expires_on,
        serial=read_off.serial or str(typed["serial"]),
    )
    if not package.lot:
        raise Refused(_("Enter the lot that stands on the package, or scan it."), field="lot")
    if package.expires_on is None:
        raise Refused(_("Enter the expiry that stands on the package."), field="expires_on")
    return package


def _require_clear(session: Session, timeline: Timeline, moment: datetime) -> None:
    """Check, decision and waits before the first; before any, no red alert without an answer."""
    if timeline.phase in {Phase.CHECK, Phase.READY}:
        if timeline.check is None:
            raise Barred(say(gettext_noop("Do the pre-session check first.")))
        if about := undecided(session, timeline):
            raise Barred(say(DECIDE_FIRST, statement=asked(said_of, about)))
        until, what = first_not_before(session, timeline)
        if until is not None and moment < until:
            raise Barred(say(TOO_EARLY, what=what, time=f"{timezone.localtime(until):%H:%M}"))
    red = [
        alert
        for alert in queries.alerts_of(session, timeline, clock.now())
        if alert.priority == "red" and not alert.acknowledged
    ]
    if red:
        raise Barred(say(RED_UNANSWERED, alert=red[0].statement, response=red[0].response))


def _require_rest(session: Session, timeline: Timeline, moment: datetime, deviation: str) -> None:
    device = regimen_of(session).device
    if device is None or not timeline.sprays or deviation.strip():
        return
    last = timeline.sprays[-1].at
    earliest = last + timedelta(minutes=device.rest_min)
    if moment < earliest:
        since_min = (moment - last).total_seconds() / 60
        raise Barred(
            say(
                NO_REST,
                since=f"{max(since_min, 0):.0f}",
                rest=f"{device.rest_min:g}",
                time=f"{timezone.localtime(earliest):%H:%M:%S}",
            ),
            field="scan",  # the first of the sheet: where it is read at once
        )


def _require_good(package: Package, moment: datetime, deviation: str) -> None:
    assert package.expires_on is not None
    if package.expires_on < timezone.localtime(moment).date() and not deviation.strip():
        raise Barred(
            say(EXPIRED, day=asked(date_format, package.expires_on, "d F Y"), lot=package.lot),
            field="expires_on",
        )


def _require_product(package: Package, known: tuple[str, ...]) -> None:
    """A United States drug code that is not one of the regimen's is another product."""
    if not package.ndc or not known:
        return
    if package.ndc not in {ndc.replace("-", "") for ndc in known}:
        raise Barred(
            say(OTHER_PRODUCT, code=package.ndc),
            field="scan",
        )


def _order_beyond(
    actor: User,
    session: Session,
    timeline: Timeline,
    units: int,
    unit_mg: float,
    reason: str,
    ordered_by: User | None,
    read_back: bool,
) -> dict[str, Any]:
    """The order that covers what goes beyond the plan; nothing where it lies within."""
    if timeline.phase != Phase.RECOVERY and (
        timeline.units_taken + units <= timeline.units_planned
    ):
        return {}
    if not reason.strip():
        raise Refused(
            _(
                "%(planned)s were ordered and %(taken)s taken; this goes beyond, or the spray was "
                "ended. A prescriber has to order it, with the reason."
            )
            % {"planned": timeline.units_planned, "taken": timeline.units_taken},
            field="reason",
        )
    amount = units * unit_mg
    require_within_policy(session, "device", amount, field="reason")
    return {
        "order": covering_order(
            actor, session, "device", amount, reason, ordered_by, read_back, "reason"
        )
    }


def _write(
    actor: User,
    session: Session,
    timeline: Timeline,
    package: Package,
    data: dict[str, Any],
    deviation: str,
    at: datetime | None,
    client_id: uuid.UUID | None,
) -> Event:
    assert package.expires_on is not None
    return append(
        actor,
        session,
        "session.spray_taken",
        {
            "number": timeline.units_taken + 1,
            **data,
            "lot": package.lot,
            "expires_on": package.expires_on.isoformat(),
            "serial": package.serial,
            "gtin": package.gtin,
            "deviation": deviation.strip(),
        },
        at=at,
        client_id=client_id,
    )
