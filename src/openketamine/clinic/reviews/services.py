"""The acts of reviewing: decide, look at what is due, note what was seen, take up a loose end."""

from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction
from django.dispatch import receiver
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from openketamine.clinic.accounts.models import STAFF, Role, User
from openketamine.clinic.errors import Refused, require_reason
from openketamine.clinic.intake.services import require_no_open_safety_review
from openketamine.clinic.notices import services as notices
from openketamine.clinic.notices import signals, wordings
from openketamine.clinic.notices.models import Address
from openketamine.clinic.people.language import language_of_staff
from openketamine.clinic.people.models import Course, Stage
from openketamine.clinic.people.services import move_to
from openketamine.clinic.plans import services as plans
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Source

from . import queries
from .models import CheckResult, CourseReview, Decision, LooseEndStep, MisuseNote, Step

MAY_NOTE = frozenset({Role.NURSE, Role.PRESCRIBER, Role.THERAPIST, Role.COORDINATOR})
MAY_CHECK = frozenset({Role.NURSE, Role.PRESCRIBER})
MAY_TAKE_UP = STAFF
ACTOR = "course reviews"
# How often the clock looks for overdue reviews. Technical: the policy counts in days.
LOOK_EVERY = timedelta(minutes=10)


@transaction.atomic
def hold_review(
    prescriber: User,
    course: Course,
    *,
    decision: str,
    reason: str,
    next_on: date,
    refer_to: str = "",
    order_more: bool = False,
) -> CourseReview:
    """Decide how a course goes on, with the reason, and keep what was known when it was decided.

    Args:
        next_on: when the course is reviewed again; within the clinic's regular interval.
        refer_to: whom to, where the decision is to refer.
        order_more: further sessions are to be ordered; a course in follow-up goes back to planning.

    Raises:
        Refused: not a prescriber, a closed course, no dose yet, a safety review is open, no reason,
            a day outside the interval, or a stop while a session is in progress.
    """
    if prescriber.role != Role.PRESCRIBER:
        raise Refused(_("Only a prescriber decides a review."))
    course = Course.objects.select_for_update().select_related("person").get(pk=course.pk)
    if course.closed_at:
        raise Refused(_("This course is closed."))
    require_no_open_safety_review(course)
    if decision not in Decision.values:
        raise Refused(_("Choose a decision."), field="decision")
    reason = require_reason(reason, _("Give the reason in your own words."))
    if decision == Decision.REFER and not refer_to.strip():
        raise Refused(_("Say where the patient is referred to."), field="refer_to")
    current, today = library(), clock.today()
    latest = today + timedelta(days=current.reviews.longest_days)
    if not today < next_on <= latest:
        raise Refused(
            _(
                "Review it again after today and by %(day)s: the clinic's policy is every "
                "%(days)d days."
            )
            % {"day": date_format(latest, "d F Y"), "days": current.reviews.longest_days},
            field="next_on",
        )
    if order_more and decision in {Decision.STOP, Decision.REFER}:
        raise Refused(_("Who stops or refers orders no further sessions."), field="order_more")
    page = queries.review_page(course)
    if page.known.first_dose is None:
        raise Refused(_("Nothing was given yet, so there is nothing to review."))
    review = CourseReview.objects.create(
        course=course,
        rule=page.due.rule.id if page.due and page.due.on <= today else "",
        due_on=page.due.on if page.due else None,
        decided_by=prescriber,
        decision=decision,
        reason=reason,
        refer_to=refer_to.strip() if decision == Decision.REFER else "",
        next_on=next_on,
        known=page.as_kept(),
        library_version=current.version,
    )
    record.append(
        prescriber,
        course.stream,
        "reviews.held",
        {
            "review": str(review.pk),
            "decision": decision,
            "reason": review.reason,
            "refer_to": review.refer_to,
            "next_on": next_on.isoformat(),
            "due_on": review.due_on.isoformat() if review.due_on else None,
            "rule": review.rule,
            "order_more": order_more,
            "known": review.known,
            "library": current.version,
        },
        person_id=course.person_id,
    )
    if decision == Decision.STOP and course.stage == Stage.TREATMENT:
        plans.end_treatment(prescriber, course, reason=review.reason)
    elif order_more and course.stage == Stage.FOLLOW_UP:
        move_to(prescriber, course, Stage.PLANNING, reason=review.reason)
    return review


@transaction.atomic
def close_course(prescriber: User, course: Course, *, reason: str) -> None:
    """End a course for good, once a review has decided to stop or to refer.

    Raises:
        Refused: not a prescriber, still in treatment, no such decision, an open safety review, or
            no reason.
    """
    if prescriber.role != Role.PRESCRIBER:
        raise Refused(_("Only a prescriber closes a course."))
    course = Course.objects.select_for_update().get(pk=course.pk)
    if course.closed_at:
        raise Refused(_("This course is closed already."))
    require_no_open_safety_review(course)
    if course.stage != Stage.FOLLOW_UP:
        raise Refused(_("A course is closed from follow-up. Stop the treatment first."))
    last = course.reviews.order_by("-held_at").first()
    if last is None or last.decision not in {Decision.STOP, Decision.REFER}:
        raise Refused(_("Hold a review first that decides to stop or to refer."))
    reason = require_reason(reason, _("Say how the patient is looked after from now on."))
    record.append(
        prescriber,
        course.stream,
        "reviews.course_closed",
        {"reason": reason, "review": str(last.pk)},
        person_id=course.person_id,
    )
    move_to(prescriber, course, Stage.CLOSED, reason=reason)


def _open_course(course: Course) -> None:
    if course.closed_at:
        raise Refused(_("This course is closed."))


def _past(day: date, field: str) -> None:
    if day > clock.today():
        raise Refused(_("That day has not come yet."), field=field)


@transaction.atomic
def note_misuse(actor: User, course: Course, *, sign: str, seen_on: date, note: str) -> MisuseNote:
    """Keep a sign of misuse that somebody saw, for the next review to weigh.

    Raises:
        Refused: another role's, a closed course, an unknown sign, a day to come, or no words.
    """
    if actor.role not in MAY_NOTE:
        raise Refused(_("Your role does not note this."))
    _open_course(course)
    if sign not in {each.id for each in library().reviews.misuse if each.counts == "noted"}:
        raise Refused(_("Choose a sign from the list."), field="sign")
    _past(seen_on, "seen_on")
    if not note.strip():
        raise Refused(_("Say what was seen or said."), field="note")
    kept = MisuseNote.objects.create(
        course=course, sign=sign, seen_on=seen_on, note=note.strip(), noted_by=actor
    )
    record.append(
        actor,
        course.stream,
        "reviews.misuse_noted",
        {"note_id": kept.pk, "sign": sign, "seen_on": seen_on.isoformat(), "note": kept.note},
        person_id=course.person_id,
    )
    return kept


@transaction.atomic
def take_back_misuse(actor: User, note: MisuseNote, *, reason: str) -> None:
    """A sign was none: it counts no longer, and both stay in the record.

    Raises:
        Refused: another role's, taken back already, or no reason.
    """
    if actor.role not in MAY_NOTE:
        raise Refused(_("Your role does not note this."))
    note = MisuseNote.objects.select_for_update().select_related("course").get(pk=note.pk)
    if note.taken_back_at:
        raise Refused(_("This was taken back already."))
    reason = require_reason(reason, _("Say why it was none."))
    note.taken_back_at, note.taken_back_by = clock.now(), actor
    note.taken_back_reason = reason
    note.save(update_fields=["taken_back_at", "taken_back_by", "taken_back_reason"])
    record.append(
        actor,
        note.course.stream,
        "reviews.misuse_taken_back",
        {"note_id": note.pk, "sign": note.sign, "reason": note.taken_back_reason},
        person_id=note.course.person_id,
    )


@transaction.atomic
def record_check(
    actor: User, course: Course, *, check: str, done_on: date, result: str
) -> CheckResult:
    """Write down what a check of a review came to.

    Raises:
        Refused: another role's, a closed course, no check of that name that is written down, a day
            to come, or no words.
    """
    if actor.role not in MAY_CHECK:
        raise Refused(_("A nurse or a prescriber writes down a check."))
    _open_course(course)
    if check not in {each.id for each in library().reviews.checks if each.how == "result"}:
        raise Refused(_("Choose a check from the list."), field="check")
    _past(done_on, "done_on")
    if not result.strip():
        raise Refused(_("Say what it came to."), field="result")
    kept = CheckResult.objects.create(
        course=course, check_id=check, done_on=done_on, result=result.strip(), done_by=actor
    )
    record.append(
        actor,
        course.stream,
        "reviews.check_done",
        {"check": check, "done_on": done_on.isoformat(), "result": kept.result},
        person_id=course.person_id,
    )
    return kept


@transaction.atomic
def take_up(
    actor: User,
    course: Course,
    *,
    rule: str,
    key: str,
    step: str,
    words: str,
    again_on: date | None = None,
) -> LooseEndStep:
    """Do something about a loose end, or close it with the reason. It comes back on its day.

    Args:
        key: names what the loose end is about, as the list gives it.
        again_on: when it is looked at again; none where it is closed.

    Raises:
        Refused: no such loose end now, no words, or a day that does not fit.
    """
    if actor.role not in MAY_TAKE_UP:
        raise Refused(_("Your role does not take this up."))
    standing = {(end.rule.id, end.key) for end in queries.loose_ends(courses=[course.pk])}
    if (rule, key) not in standing:
        raise Refused(
            _("This is no loose end any more. Somebody has taken it up, or it is settled.")
        )
    if step not in Step.values:
        raise Refused(_("Choose what was done."), field="step")
    if not words.strip():
        raise Refused(_("Say in words what was done, or why nothing more is to do."), field="words")
    if step == Step.CLOSED:
        again_on = None
    elif again_on is None or not clock.today() < again_on <= clock.today() + timedelta(days=84):
        raise Refused(
            _("Say on which day it is looked at again: after today, within 12 weeks."),
            field="again_on",
        )
    kept = LooseEndStep.objects.create(
        course=course,
        rule=rule,
        key=key,
        step=step,
        words=words.strip(),
        again_on=again_on,
        taken_by=actor,
    )
    record.append(
        actor,
        course.stream,
        "reviews.loose_end_taken_up",
        {
            "rule": rule,
            "key": key,
            "step": step,
            "words": kept.words,
            "again_on": again_on.isoformat() if again_on else None,
        },
        person_id=course.person_id,
    )
    return kept


_round = signals.Every(LOOK_EVERY)


@receiver(signals.tick)
def look_for_overdue(sender: Any, now: datetime, **kwargs: Any) -> None:
    """On the clinic's clock: bring long overdue reviews before the prescriber and the director."""
    if _round.is_due(now):
        escalate_overdue()


def escalate_overdue() -> int:
    """Tell the prescriber, and later the medical director, of each review that is long overdue.

    By e-mail, once for each step of one review; every screen of the clinic shows it anyway. It is
    no call: nobody is woken for it.

    Returns:
        How many steps were taken.
    """
    late = [row for row in queries.reviews_due() if row.level]
    told = queries.steps_told([row.course for row in late])
    taken = 0
    for row in late:
        for level in range(1, row.level + 1):
            key = f"{row.due.on.isoformat()}:{level}"
            if (row.course.pk, key) not in told:
                _tell(row, key, level)
                taken += 1
    return taken


@transaction.atomic
def _tell(row: queries.DueRow, key: str, level: int) -> None:
    """One step: whom it reaches is kept, and who of them has an address is written to."""
    working = User.objects.filter(is_active=True)
    if level > 1:
        users = list(working.filter(role=Role.DIRECTOR))
    elif row.course.prescriber:
        users = [row.course.prescriber]
    else:
        users = list(working.filter(role=Role.PRESCRIBER))
    for address in Address.objects.filter(user__in=users).exclude(email=""):
        notices.send(
            ACTOR,
            key=f"review:{row.course.pk}:{key}:{address.user_id}",
            channel="email",
            to=address.email,
            to_name=str(address.user),
            wording="review_overdue",
            values={"link": wordings.link_to("continuity")},
            language=language_of_staff(address.user),
        )
    record.append(
        ACTOR,
        row.course.stream,
        queries.TOLD,
        {
            "key": key,
            "rule": row.due.rule.id,
            "due_on": row.due.on.isoformat(),
            "overdue_days": row.overdue_days,
            "users": [user.pk for user in users],
            "names": [str(user) for user in users],
        },
        person_id=row.course.person_id,
        source=Source.SYSTEM,
    )
