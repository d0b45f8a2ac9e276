"""Reads for the screen of devices, with a fixed number of queries."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max, Min, Prefetch
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from openketamine.clinic.record import clock
from openketamine.clinic.said import retold
from openketamine.clinic.sessions.acts import SESSION_IS
from openketamine.clinic.sessions.models import OPEN, Chair, Session
from openketamine.clinic.sessions.readings import LONG_BEFORE

from .models import Assignment, Device, DeviceToken, HeldReading, PlaceName, Why
from .skew import TOLERATED_S

SILENT_AFTER = timedelta(minutes=3)
SHOWN = 200
# Why a reading is held: kept in English, told to whoever reads it (`Held.told`).
ELSEWHERE = gettext_noop(
    "The device is assigned to %(chair)s and says that it stands at %(named)s."
)
SEVERAL = gettext_noop("The device names several patients at once.")
AT_NO_CHAIR = gettext_noop("The device is not assigned to a chair.")
NOBODY_IN = gettext_noop("There is no open session in %(chair)s.")
ANOTHER = gettext_noop(
    "The device names patient %(number)s, who is the patient in %(other)s; in %(chair)s sits "
    "somebody else."
)
NOBODY_HERE = gettext_noop(
    "The device names patient %(number)s, who is nobody here; in %(chair)s sits somebody else."
)
TAKEN_BACK = gettext_noop("The device says that an earlier value was wrong. Correct it by hand.")
CLOCK_AHEAD = gettext_noop(
    "The device's clock is %(figure)s %(unit)s ahead and nothing has confirmed it yet. Set its "
    "clock."
)
CLOCK_BEHIND = gettext_noop(
    "The device's clock is %(figure)s %(unit)s behind and nothing has confirmed it yet. Set its "
    "clock."
)
MEASURED_AHEAD = gettext_noop("Measured %(figure)s %(unit)s ahead by the device.")
BEFORE_IT_SAT = gettext_noop("Measured before %(person)s sat in %(chair)s with this device.")
MOVED = gettext_noop("Taken back from another session: %(reason)s")
EXPLANATIONS = (
    ELSEWHERE,
    ANOTHER,
    NOBODY_HERE,
    NOBODY_IN,
    CLOCK_AHEAD,
    CLOCK_BEHIND,
    MEASURED_AHEAD,
    BEFORE_IT_SAT,
    MOVED,
    LONG_BEFORE,
    *SESSION_IS.values(),
)
UNIT_ASSUMED = gettext_noop("%(unit)s (unit assumed)")
_UNITS = (gettext_noop("days"), gettext_noop("h"), gettext_noop("min"), gettext_noop("s"))


@dataclass(frozen=True)
class Held:
    """The readings of one device that wait for one reason."""

    device: Device
    why: Why
    explanation: str
    count: int
    first_at: datetime
    last_at: datetime
    last_id: int

    @property
    def told(self) -> str:
        """Why they are held, in the words of whoever reads it."""
        return retold(self.explanation, *EXPLANATIONS)

    @property
    def may_attach(self) -> bool:
        return self.why != Why.WITHDRAWN


@dataclass(frozen=True)
class DeviceRow:
    """One device as the screen shows it."""

    device: Device
    assignment: Assignment | None
    session: Session | None
    held: list[Held]
    now: datetime
    named: Chair | None = None  # where it says itself that it stands, while nobody has put it there

    @property
    def silent(self) -> bool:
        heard = self.device.last_heard_at
        return heard is None or self.now - heard > SILENT_AFTER

    @property
    def off(self) -> list[str]:
        """What the last message had no reading of."""
        return [label for label, (_, _, state) in self.device.latest.items() if state == "off"]

    @property
    def values(self) -> list[tuple[str, str, str]]:
        """(label, value, unit) of the last message, as far as it could be read."""
        return [
            (label, value, retold(unit, UNIT_ASSUMED))
            for label, (value, unit, state) in self.device.latest.items()
            if state == "value"
        ]

    @property
    def clock(self) -> str:
        """How far the device's clock is off, in words, and what is done about it."""
        skew = self.device.skew_s
        if skew is None:
            pending = self.device.skew_pending
            return _("not known yet: its times are held") if pending else _("not known")
        if abs(skew) <= TOLERATED_S:
            return _("right")
        return _("%(off)s: times are corrected") % {"off": words(skew)}

    @property
    def clock_is_off(self) -> bool:
        skew = self.device.skew_s
        return (skew is None and bool(self.device.skew_pending)) or (
            skew is not None and abs(skew) > TOLERATED_S
        )

    @property
    def unknown_place(self) -> str:
        """The place that it names and that is no chair's, while nobody has put it at one."""
        known = self.assignment or self.named
        return "" if known else self.device.location

    @property
    def unconfirmed_number(self) -> bool:
        """Whether the device names a patient in a way that keeps its readings from the chair."""
        return self.session is not None and any(group.why == Why.CONFLICT for group in self.held)


def words(skew_s: float) -> str:
    """A clock's offset as people say it: "4 min 10 s slow"."""
    left = round(abs(skew_s))
    parts = []
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min"), (1, "s")):
        if left >= size and len(parts) < 2:
            many = ngettext("%(count)s days", "%(count)s days", left // size)
            parts.append(
                many % {"count": left // size} if unit == "days" else f"{left // size} {unit}"
            )
            left %= size
    span = " ".join(parts) or "0 s"
    return (_("%(span)s fast") if skew_s > 0 else _("%(span)s slow")) % {"span": span}


def held_groups(devices: Iterable[Device] | None = None) -> list[Held]:
    """What is held, by device and reason, the latest first. Two queries."""
    waiting = HeldReading.objects.filter(settled_at=None)
    if devices is not None:
        waiting = waiting.filter(device__in=devices)
    groups = list(
        waiting.values("device", "why").annotate(
            count=Count("pk"), first=Min("at"), last=Max("at"), last_id=Max("pk")
        )
    )
    latest = {
        held.pk: held
        for held in HeldReading.objects.filter(
            pk__in=[group["last_id"] for group in groups]
        ).select_related("device")
    }
    found = [
        Held(
            latest[group["last_id"]].device,
            Why(group["why"]),
            latest[group["last_id"]].explanation,
            group["count"],
            group["first"],
            group["last"],
            group["last_id"],
        )
        for group in groups
    ]
    return sorted(found, key=lambda group: group.last_at, reverse=True)


def devices() -> list[DeviceRow]:
    """Every device, those that need somebody first. Seven queries."""
    held: dict[int, list[Held]] = {}
    for group in held_groups():
        held.setdefault(group.device.pk, []).append(group)
    standing = Assignment.objects.filter(until_at=None).select_related("chair")
    found = Device.objects.order_by("-last_heard_at").prefetch_related(
        Prefetch("assignments", standing, to_attr="standing")
    )[:SHOWN]
    sessions = {s.chair_id: s for s in open_sessions()}
    known = places()
    now = clock.now()
    rows = []
    for device in found:
        assignment = next(iter(device.standing), None)
        named = None if assignment else chair_named(device.location, known)
        session = sessions.get(assignment.chair_id) if assignment else None
        if named:
            session = sessions.get(named.pk)
        rows.append(DeviceRow(device, assignment, session, held.get(device.pk, []), now, named))
    return sorted(
        rows,
        key=lambda row: (not row.held, not (row.assignment or row.named), row.device.name),
    )


def place_key(location: str) -> str:
    """One spelling of a place or a part of it: "Room 2^ bed  3^" is "room 2^bed 3"."""
    parts = [" ".join(part.split()) for part in location.split("^")]
    return "^".join(parts).strip("^").casefold()


def places() -> dict[str, Chair]:
    """The chairs by their own names, and by what monitors call their places. Two queries."""
    named = {place.key: place.chair for place in place_names()}
    return named | {place_key(chair.name): chair for chair in chairs()}


def place_names() -> list[PlaceName]:
    return list(PlaceName.objects.select_related("chair"))


def chair_named(location: str, places: dict[str, Chair]) -> Chair | None:
    """The chair that a location (point of care^room^bed) names: as a whole, else the bed first."""
    for part in (location, *reversed(location.split("^"))):
        if chair := places.get(place_key(part)):
            return chair
    return None


def open_sessions() -> list[Session]:
    return list(
        Session.objects.filter(phase__in=OPEN)
        .select_related("person", "chair")
        .order_by("chair__position", "chair__name")
    )


def sessions_around(held: Held) -> list[Session]:
    """The sessions into which held readings may fall: those that ran while they were measured."""
    return [
        session
        for session in Session.objects.filter(opened_at__lte=held.first_at)
        .select_related("person", "chair")
        .order_by("-opened_at")[:50]
        if session.closed_at is None or session.closed_at >= held.last_at
    ]


def recent_sessions() -> list[Session]:
    """Sessions from which readings may have to be taken back: open, or of the last day."""
    since = clock.now() - timedelta(hours=24)
    return list(
        Session.objects.filter(opened_at__gte=since)
        .select_related("person", "chair")
        .order_by("-opened_at")[:100]
    )


def tokens() -> list[DeviceToken]:
    return list(DeviceToken.objects.select_related("device", "made_by").order_by("-made_at")[:100])


def chairs() -> list[Chair]:
    return list(Chair.objects.all())
