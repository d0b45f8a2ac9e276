"""Reads for calls, messages and the rota."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Case, IntegerField, Prefetch, Q, QuerySet, Value, When
from django.utils import timezone

from openketamine.clinic.accounts.models import User
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.protocols.schema import Entry

from . import senders
from .models import Address, Call, Channel, Line, Notice, Reached, Shift
from .services import MAY_ANSWER


def _loudest_first(calls: QuerySet[Call]) -> QuerySet[Call]:
    red = Case(When(priority="red", then=Value(0)), default=Value(1), output_field=IntegerField())
    answered = Case(
        When(answered_at=None, then=Value(0)), default=Value(1), output_field=IntegerField()
    )
    return calls.order_by(answered, red, "-step", "raised_at")


def open_calls() -> list[Call]:
    """Every call that is not closed: unanswered before answered, red first, then by steps taken
    and by age. Three queries."""
    calls = Call.objects.filter(closed_at=None).select_related("answered_by", "responsible")
    reached = Prefetch("reached", Reached.objects.select_related("user"))
    return list(_loudest_first(calls).prefetch_related(reached, "notices"))


def calls_reaching(user: User) -> list[Call]:
    """Calls that nobody has answered and that have reached this person, the loudest first.

    A call that has reached nobody at all reaches everybody who may answer one.
    """
    waiting = Call.objects.filter(closed_at=None, answered_at=None)
    mine = waiting.filter(reached__user=user)
    if user.role in MAY_ANSWER:
        mine = waiting.filter(Q(reached__user=user) | Q(reached=None)).distinct()
    return list(_loudest_first(mine)[:10])


def closed_calls(limit: int = 20) -> list[Call]:
    return list(
        Call.objects.exclude(closed_at=None)
        .select_related("answered_by", "closed_by")
        .order_by("-closed_at")[:limit]
    )


def calls_of(person_id: object) -> list[Call]:
    """The calls about one person, the newest first."""
    return list(
        Call.objects.filter(person_id=person_id)
        .select_related("answered_by", "closed_by")
        .order_by("-raised_at")
    )


def failed_notices(limit: int = 50) -> list[Notice]:
    """Messages that could not be sent and with which nobody has dealt."""
    return list(
        Notice.objects.filter(state=Notice.State.FAILED, seen_at=None).order_by("-created_at")[
            :limit
        ]
    )


@dataclass(frozen=True)
class NextStep:
    """What happens to a call if nobody answers."""

    at: datetime
    statement: str


def next_step(call: Call) -> NextStep | None:
    """The step that comes next while a call is unanswered."""
    if call.looked_at_again is None or call.answered_at:
        return None
    policy = library().calls
    steps = policy.steps(call.priority)
    if call.step < len(steps):
        return NextStep(call.looked_at_again, steps[call.step].statement)
    again = next(rule for rule in policy.rings_again if rule.priority == call.priority)
    return NextStep(call.looked_at_again, again.statement)


@dataclass(frozen=True)
class OnCall:
    """Who is on call now on one line, and until when."""

    line: Line
    shifts: Sequence[Shift]


def on_call_now() -> list[OnCall]:
    now = clock.now()
    current = list(
        Shift.objects.filter(cancelled_at=None, starts_at__lte=now, ends_at__gt=now)
        .select_related("user__notice_address")
        .order_by("ends_at")
    )
    return [OnCall(line, [each for each in current if each.line == line]) for line in Line]


def coming_shifts(days: int = 14) -> list[Shift]:
    """Shifts that run or begin within so many days."""
    now = clock.now()
    return list(
        Shift.objects.filter(
            cancelled_at=None, ends_at__gt=now, starts_at__lt=now + timedelta(days=days)
        ).select_related("user")
    )


@dataclass(frozen=True)
class Gap:
    """A time without anybody first on call."""

    starts_at: datetime
    ends_at: datetime


def gaps(shifts: Sequence[Shift], *, days: int = 7) -> list[Gap]:
    """Times within the coming days at which nobody is first on call."""
    now = clock.now()
    end, reached, found = now + timedelta(days=days), now, []
    for shift in sorted((s for s in shifts if s.line == Line.FIRST), key=lambda s: s.starts_at):
        if shift.starts_at >= end:
            break
        if shift.starts_at > reached:
            found.append(Gap(reached, shift.starts_at))
        reached = max(reached, shift.ends_at)
    if reached < end:
        found.append(Gap(reached, end))
    return found


def without_address(shifts: Sequence[Shift]) -> list[User]:
    """People on the rota who are reached by neither text nor e-mail."""
    users = {shift.user_id: shift.user for shift in shifts}
    reachable = set(
        Address.objects.filter(user__in=users)
        .exclude(Q(phone="") & Q(email=""))
        .values_list("user_id", flat=True)
    )
    return [user for key, user in users.items() if key not in reachable]


def may_be_on_call() -> QuerySet[User]:
    return User.objects.filter(role__in=MAY_ANSWER, is_active=True).order_by("display_name")


def not_set_up() -> list[str]:
    """Channels by which nothing leaves this server."""
    return [channel.label for channel in Channel if not senders.is_set_up(channel)]


def tomorrow_morning(now: datetime | None = None) -> datetime:
    """08:00 of the next day, where a shift usually changes."""
    local = timezone.localtime(now or clock.now()) + timedelta(days=1)
    return local.replace(hour=8, minute=0, second=0, microsecond=0)


def policy_rules() -> list[Entry]:
    """What the clinic's policy says of calls, each rule with its words and its marks."""
    return [rule for _, rule, _ in library().calls.rules()]
