"""The acts of notices: send, call, answer, close, keep the rota. The package says who uses what."""

import re
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Literal

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import connection, transaction
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from openketamine.clinic.accounts.models import STAFF, Role, User
from openketamine.clinic.errors import Refused
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Source
from openketamine.clinic.sites.queries import working_for
from openketamine.protocols.schema import CallStep

from . import senders, signals, wordings
from .models import Address, Call, Channel, Line, Notice, Reached, Shift

MAY_ANSWER = frozenset({Role.NURSE, Role.PRESCRIBER, Role.THERAPIST, Role.DIRECTOR})
MAY_KEEP_ROTA = frozenset({Role.DIRECTOR, Role.COORDINATOR, Role.PRESCRIBER, Role.NURSE})
SHORTEST_CLOSING = 10  # characters: a word or two says nothing to whoever reads it next week
LONGEST_SHIFT = timedelta(days=14)
PHONE = re.compile(r"\+?[0-9]{5,15}")

# A message that is not taken is offered again after so long, ever more patiently; then a person is
# told. Technical figures, not policy: they decide how hard a machine tries, not whom it reaches.
RETRY_AFTER_S = (15, 45, 120, 300, 900, 1800)
# Who dies while sending leaves a message claimed; after so long another takes it over.
CLAIM = timedelta(minutes=2)


# ------------------------------------------------------------------------------------- messages


def send(
    actor: User | str,
    *,
    key: str,
    channel: Literal["text", "email"],
    to: str,
    to_name: str,
    wording: str,
    values: dict[str, str | int] | None = None,
    language: str = "en",
    person_id: uuid.UUID | None = None,
    due_at: datetime | None = None,
    expires_at: datetime | None = None,
    call: Call | None = None,
) -> Notice:
    """Lay one message in the outbox; the runner sends it.

    Args:
        key: names the cause, e.g. "form-due:<id>:1"; the same key sends once.
        to: an e-mail address, or a telephone number as +15550100.
        wording: one of `wordings.WORDINGS`; `values` fills what it leaves open.
        person_id: the patient whom it is for, if it is for one.
        due_at: not to be sent before; now where left out.
        expires_at: not worth sending after.

    Raises:
        Refused: the address is none.
        ValueError: an unknown wording, or values that no message may carry.
        RuntimeError: not inside the transaction of its cause.
    """
    _require_transaction("send")
    values = values or {}
    wordings.check(wording, values)
    to = checked_address(channel, to)
    if known := Notice.objects.filter(key=key).first():
        return known
    due = due_at or clock.now()
    notice = Notice.objects.create(
        key=key,
        channel=channel,
        to=to,
        to_name=to_name[:160],
        wording=wording,
        values=values,
        language=language,
        person_id=person_id,
        call=call,
        created_at=clock.now(),
        due_at=due,
        next_attempt_at=due,
        expires_at=expires_at,
    )
    record.append(
        actor,
        f"person:{person_id}" if person_id else call.stream if call else "clinic",
        "notices.message_planned",
        {
            "notice": str(notice.pk),
            "key": key,
            "channel": channel,
            "to_name": notice.to_name,
            "wording": wording,
            "due_at": due.isoformat(),
        },
        person_id=person_id,
        source=Source.SYSTEM,
    )
    return notice


def withdraw(key: str) -> bool:
    """Take a message back that has not gone out, because its cause is gone. True where it was."""
    return bool(
        Notice.objects.filter(key=key, state=Notice.State.WAITING).update(
            state=Notice.State.WITHDRAWN, next_attempt_at=None
        )
    )


def checked_address(channel: str, to: str) -> str:
    """An address in the form in which it is kept.

    Raises:
        Refused: it is no address of this channel.
    """
    to = to.strip()
    if channel == Channel.TEXT:
        number = re.sub(r"[\s().-]", "", to)
        if not PHONE.fullmatch(number):
            raise Refused(
                _(
                    "%(text)r is no telephone number. Write it as +15550100: digits, with a plus "
                    "before the country."
                )
                % {"text": to},
                field="phone",
            )
        return number
    try:
        validate_email(to)
    except ValidationError as error:
        raise Refused(_("%(text)r is no e-mail address.") % {"text": to}, field="email") from error
    return to


def claim_due(limit: int = 50) -> list[Notice]:
    """Take messages that are due, so that no other runner sends them meanwhile."""
    now = clock.now()
    claimed = []
    with transaction.atomic():
        due = Notice.objects.filter(next_attempt_at__lte=now).order_by("next_attempt_at", "pk")
        if connection.features.has_select_for_update_skip_locked:
            due = due.select_for_update(skip_locked=True)
        for notice in due[:limit]:
            if notice.expires_at and now > notice.expires_at:
                notice.state, notice.next_attempt_at = Notice.State.EXPIRED, None
            else:
                notice.state, notice.next_attempt_at = Notice.State.SENDING, now + CLAIM
                notice.attempts += 1
                claimed.append(notice)
            notice.save(update_fields=["state", "next_attempt_at", "attempts"])
    return claimed


def deliver(notice: Notice) -> None:
    """Offer one claimed message to its sender, and keep what came of it.

    A crash between the two leaves it claimed: it is offered again under the same key, by which a
    gateway and a mail reader know it as the same.
    """
    try:
        subject, body = wordings.rendered(notice.wording, notice.values, notice.language)
        senders.deliver(
            channel=notice.channel, to=notice.to, subject=subject, body=body, key=str(notice.pk)
        )
    except senders.SendingError as error:
        _not_taken(notice, str(error), for_good=error.for_good)
    except Exception as error:
        _not_taken(notice, f"{type(error).__name__} while sending.", for_good=False)
    else:
        _settle(notice, Notice.State.SENT, sent_at=clock.now(), problem="")


def _not_taken(notice: Notice, problem: str, *, for_good: bool) -> None:
    if for_good or notice.attempts > len(RETRY_AFTER_S):
        with transaction.atomic():
            _settle(notice, Notice.State.FAILED, problem=problem[:300])
            record.append(
                "OpenKetamine",
                f"person:{notice.person_id}" if notice.person_id else "clinic",
                "notices.message_failed",
                {"notice": str(notice.pk), "attempts": notice.attempts, "problem": problem[:300]},
                person_id=notice.person_id,
                source=Source.SYSTEM,
            )
        return
    again = clock.now() + timedelta(seconds=RETRY_AFTER_S[notice.attempts - 1])
    _settle(notice, Notice.State.WAITING, next_attempt_at=again, problem=problem[:300])


def _settle(notice: Notice, state: Notice.State, **changes: Any) -> None:
    """Only while the claim still stands: whoever was overtaken changes nothing."""
    changes.setdefault("next_attempt_at", None)
    Notice.objects.filter(
        pk=notice.pk, state=Notice.State.SENDING, attempts=notice.attempts
    ).update(state=state, **changes)


@transaction.atomic
def try_again(actor: User, notice: Notice) -> None:
    """Offer a message that failed anew, after what was wrong has been mended.

    Raises:
        Refused: it has not failed.
    """
    notice = _failed(actor, notice)
    notice.state, notice.attempts, notice.problem = Notice.State.WAITING, 0, ""
    notice.next_attempt_at = clock.now()
    notice.save(update_fields=["state", "attempts", "problem", "next_attempt_at"])
    _record_failure_handled(actor, notice, "notices.message_tried_again")


@transaction.atomic
def set_aside(actor: User, notice: Notice) -> None:
    """Somebody has seen that a message failed, and has done without it.

    Raises:
        Refused: it has not failed.
    """
    notice = _failed(actor, notice)
    notice.seen_at, notice.seen_by = clock.now(), actor
    notice.save(update_fields=["seen_at", "seen_by"])
    _record_failure_handled(actor, notice, "notices.message_set_aside")


def _failed(actor: User, notice: Notice) -> Notice:
    if actor.role not in STAFF:
        raise Refused(_("Only the staff look after messages."))
    notice = Notice.objects.select_for_update().get(pk=notice.pk)
    if notice.state != Notice.State.FAILED or notice.seen_at:
        raise Refused(_("This message does not wait for anybody."))
    return notice


def _record_failure_handled(actor: User, notice: Notice, kind: str) -> None:
    record.append(
        actor,
        f"person:{notice.person_id}" if notice.person_id else "clinic",
        kind,
        {"notice": str(notice.pk)},
        person_id=notice.person_id,
    )


# ---------------------------------------------------------------------------------------- calls


def raise_call(
    actor: User | str,
    *,
    key: str,
    priority: Literal["red", "amber"],
    headline: str,
    detail: str = "",
    person_id: uuid.UUID | None = None,
    subject: str = "",
    link: str = "",
    responsible: User | None = None,
) -> Call:
    """Call a clinician: a task that stays until somebody has answered it and closed it with words.

    Args:
        key: names the cause, e.g. "form:<id>:red"; the same key gives the call that stands.
        headline: what has happened, in one line for a clinician.
        detail: the figures and words behind it.
        subject: the patient as the staff's screens name people, e.g. "Maria Example, MRN 0042".
        link: path of the page where it can be looked at, e.g. from `reverse`.
        responsible: the clinician who answers for this patient, if one is named.

    Raises:
        RuntimeError: not inside the transaction of its cause.
    """
    _require_transaction("raise_call")
    if known := Call.objects.filter(key=key).first():
        return known
    now = clock.now()
    call = Call.objects.create(
        key=key,
        priority=priority,
        headline=headline[:200],
        detail=detail,
        person_id=person_id,
        subject=subject[:200],
        link=link,
        responsible=responsible,
        raised_at=now,
        rings_from=now,
        looked_at_again=now,
    )
    record.append(
        actor,
        call.stream,
        "notices.call_raised",
        {
            "call": str(call.pk),
            "key": key,
            "priority": priority,
            "headline": call.headline,
            "detail": detail,
            "responsible": responsible.pk if responsible else None,
        },
        person_id=person_id,
        source=Source.HAND if isinstance(actor, User) else Source.SYSTEM,
    )
    _ring(call)
    return call


def escalate_due(limit: int = 50) -> int:
    """Take every step that is due of calls that nobody has answered, or answered and left open.

    Returns:
        How many calls were looked at.
    """
    due = list(
        Call.objects.filter(looked_at_again__lte=clock.now())
        .order_by("looked_at_again")
        .values_list("pk", flat=True)[:limit]
    )
    for key in due:
        with transaction.atomic():
            call = Call.objects.select_for_update().get(pk=key)
            if call.looked_at_again is None or call.looked_at_again > clock.now():
                continue  # another runner, or an answer, was quicker
            if call.answered_at:
                _open_again(call)
            _ring(call)
    return len(due)


def _open_again(call: Call) -> None:
    """Answered and left: it counts as unanswered, from the first step."""
    record.append(
        "OpenKetamine",
        call.stream,
        "notices.call_open_again",
        {"call": str(call.pk), "answered_by": call.answered_by_id},
        person_id=call.person_id,
        source=Source.SYSTEM,
    )
    call.answered_at = call.answered_by = None
    call.step = call.rung = 0
    call.round += 1
    call.rings_from = clock.now()


def _ring(call: Call) -> None:
    """Take the steps that are due now, and set the time of the next.

    A step that reaches nobody is not waited for: the next follows at once.
    """
    now, policy = clock.now(), library().calls
    steps, before = policy.steps(call.priority), call.step
    hurry = False
    while call.step < len(steps):
        step = steps[call.step]
        if not hurry and now < call.rings_from + timedelta(minutes=step.after_min):
            break
        users = _whom(call, step)
        call.step += 1
        hurry = not users
        _reach(call, users, by=step.by, rule=step.id)
    if call.step < len(steps):
        due = call.rings_from + timedelta(minutes=steps[call.step].after_min)
    else:
        if call.step == before:  # all steps were taken earlier, and still nobody has answered
            call.rung += 1
            everybody = [each.user for each in call.reached.select_related("user")]
            by = dict.fromkeys(channel for step in steps for channel in step.by)
            _reach(call, everybody, by=by, rule="again")
        due = now + timedelta(minutes=policy.again_min(call.priority))
    call.looked_at_again = due
    call.save()


def _whom(call: Call, step: CallStep) -> list[User]:
    """Whom a step reaches now: people who work at the patient's site, none twice."""
    now = clock.now()
    found: dict[int, User] = {}
    for name in step.reaches:
        if name == "responsible":
            reached: Iterable[User] = [call.responsible] if call.responsible else []
        elif name in {"on_call_first", "on_call_second"}:
            line = Line.FIRST if name == "on_call_first" else Line.SECOND
            reached = on_call_at(now, line)
        else:
            reached = User.objects.filter(role=name, is_active=True).order_by("pk")
        found |= {user.pk: user for user in reached if user.is_active and user.role in STAFF}
    users = list(found.values())
    return working_for(call.person_id, users) if call.person_id and users else users


def on_call_at(moment: datetime, line: Line) -> list[User]:
    """Who is on call at a moment, on one line."""
    return list(
        User.objects.filter(
            shifts__line=line,
            shifts__starts_at__lte=moment,
            shifts__ends_at__gt=moment,
            shifts__cancelled_at=None,
            is_active=True,
        )
        .distinct()
        .order_by("pk")
    )


def _reach(call: Call, users: list[User], *, by: Iterable[str], rule: str) -> None:
    """Bring a call before people: on every screen of theirs, and by what else the step says."""
    now = clock.now()
    known = set(call.reached.values_list("user_id", flat=True))
    Reached.objects.bulk_create(
        Reached(call=call, user=user, step=rule, at=now) for user in users if user.pk not in known
    )
    addresses = {each.user_id: each for each in Address.objects.filter(user__in=users)}
    sent: list[str] = []
    for user in users:
        address = addresses.get(user.pk)
        for channel in by:
            to = (address.phone if channel == Channel.TEXT else address.email) if address else ""
            if not to or not senders.is_set_up(channel):
                continue
            notice = send(
                "OpenKetamine",
                key=f"call:{call.pk}:{call.round}:{rule}:{call.rung}:{user.pk}:{channel}",
                channel="text" if channel == Channel.TEXT else "email",
                to=to,
                to_name=str(user),
                wording="call" if rule != "again" and call.round == 1 else "call_again",
                values={"link": wordings.link_to("on_call")},
                language=user.language or settings.STAFF_LANGUAGE,
                call=call,
            )
            sent.append(str(notice.pk))
    record.append(
        "OpenKetamine",
        call.stream,
        "notices.call_reached",
        {
            "call": str(call.pk),
            "rule": rule,
            "users": [user.pk for user in users],
            "names": [str(user) for user in users],
            "messages": sent,
        },
        person_id=call.person_id,
        source=Source.SYSTEM,
    )


@transaction.atomic
def answer_call(actor: User, call: Call) -> Call:
    """A clinician says: I have it. Nobody else is called from now on.

    Raises:
        Refused: no clinician, or it is answered or closed already.
    """
    call = _for_answer(actor, call)
    if call.answered_at:
        raise Refused(_("%(who)s has answered this call already.") % {"who": call.answered_by})
    call.answered_at, call.answered_by = clock.now(), actor
    left = library().calls.left_open_min(call.priority)
    call.looked_at_again = clock.now() + timedelta(minutes=left)
    call.save(update_fields=["answered_at", "answered_by", "looked_at_again"])
    # A text about a call that somebody has would send a second person running.
    call.notices.filter(state=Notice.State.WAITING).update(
        state=Notice.State.WITHDRAWN, next_attempt_at=None
    )
    record.append(
        actor,
        call.stream,
        "notices.call_answered",
        {"call": str(call.pk)},
        person_id=call.person_id,
    )
    return call


@transaction.atomic
def close_call(actor: User, call: Call, *, words: str) -> Call:
    """Say what was found and done. Only then is a call over.

    Raises:
        Refused: no clinician, nobody has answered it, no words, or it is closed already.
    """
    call = _for_answer(actor, call)
    if not call.answered_at:
        raise Refused(_("Answer the call first: say that you have it."))
    if len(words.strip()) < SHORTEST_CLOSING:
        raise Refused(_("Say in a sentence what you found and what was done."), field="words")
    signals.closing.send(sender=Call, call=call, actor=actor)
    call.closed_at, call.closed_by, call.closing_words = clock.now(), actor, words.strip()
    call.looked_at_again = None
    call.save(update_fields=["closed_at", "closed_by", "closing_words", "looked_at_again"])
    record.append(
        actor,
        call.stream,
        "notices.call_closed",
        {"call": str(call.pk), "words": call.closing_words},
        person_id=call.person_id,
    )
    return call


def _for_answer(actor: User, call: Call) -> Call:
    if actor.role not in MAY_ANSWER:
        raise Refused(
            _("A nurse, a prescriber, a therapist or the medical director answers calls.")
        )
    call = (
        Call.objects.select_for_update(of=("self",)).select_related("answered_by").get(pk=call.pk)
    )
    if call.closed_at:
        raise Refused(_("%(who)s has closed this call already.") % {"who": call.closed_by})
    return call


# ----------------------------------------------------------------------------------------- rota


@transaction.atomic
def add_shift(
    actor: User, *, user: User, line: int, starts_at: datetime, ends_at: datetime
) -> Shift:
    """Put somebody on call.

    Raises:
        Refused: nobody who can answer calls, a shift that is over, too long or upside down, or one
            that the same person has already.
    """
    _require_rota(actor)
    if user.role not in MAY_ANSWER or not user.is_active:
        raise Refused(_("%(who)s does not answer calls.") % {"who": user}, field="user")
    if line not in Line.values:
        raise Refused(_("Choose first or second on call."), field="line")
    if ends_at <= starts_at:
        raise Refused(_("A shift ends after it starts."), field="ends_at")
    if ends_at <= clock.now():
        raise Refused(_("This shift is over already."), field="ends_at")
    if ends_at - starts_at > LONGEST_SHIFT:
        days = LONGEST_SHIFT.days
        words = ngettext(
            "A shift lasts at most %(days)d day.", "A shift lasts at most %(days)d days.", days
        )
        raise Refused(words % {"days": days}, field="ends_at")
    record.lock()
    if Shift.objects.filter(
        Q(user=user, cancelled_at=None) & Q(starts_at__lt=ends_at, ends_at__gt=starts_at)
    ).exists():
        raise Refused(
            _("%(who)s is on call at that time already.") % {"who": user}, field="starts_at"
        )
    shift = Shift.objects.create(user=user, line=line, starts_at=starts_at, ends_at=ends_at)
    record.append(
        actor,
        "clinic",
        "notices.shift_added",
        {
            "shift": shift.pk,
            "user": user.pk,
            "line": line,
            "starts_at": starts_at.isoformat(),
            "ends_at": ends_at.isoformat(),
        },
    )
    return shift


@transaction.atomic
def cancel_shift(actor: User, shift: Shift) -> None:
    """Take somebody off the rota.

    Raises:
        Refused: it is over or cancelled.
    """
    _require_rota(actor)
    shift = Shift.objects.select_for_update().get(pk=shift.pk)
    if shift.cancelled_at or shift.ends_at <= clock.now():
        raise Refused(_("This shift is over or cancelled."))
    shift.cancelled_at = clock.now()
    shift.save(update_fields=["cancelled_at"])
    record.append(actor, "clinic", "notices.shift_cancelled", {"shift": shift.pk})


def _require_rota(actor: User) -> None:
    if actor.role not in MAY_KEEP_ROTA:
        raise Refused(_("Your role does not keep the rota."))


@transaction.atomic
def set_address(actor: User, *, phone: str, email: str) -> Address:
    """Say where oneself is reached away from the screen.

    Raises:
        Refused: not of the staff, or an address that is none.
    """
    if actor.role not in STAFF:
        raise Refused(_("Only the staff are called."))
    phone = checked_address(Channel.TEXT, phone) if phone.strip() else ""
    email = checked_address(Channel.EMAIL, email) if email.strip() else ""
    address, _made = Address.objects.update_or_create(
        user=actor, defaults={"phone": phone, "email": email}
    )
    record.append(
        actor,
        "clinic",
        "notices.address_set",
        {"user": actor.pk, "phone": bool(phone), "email": bool(email)},
    )
    return address


def _require_transaction(act: str) -> None:
    if not connection.in_atomic_block:
        raise RuntimeError(f"{act} belongs inside the transaction of its cause.")
