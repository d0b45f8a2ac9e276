"""After a transfer to hospital: whether the course goes on, pauses or stops is somebody's decision.

Until a prescriber has decided, no further session of the course is begun and nobody is asked the
questions that usually follow a session: the patient may lie in a hospital bed.
"""

from django.db import transaction
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.errors import Refused, require_reason
from openketamine.clinic.people.models import Course, Stage
from openketamine.clinic.people.services import move_to
from openketamine.clinic.plans import queries as plans
from openketamine.clinic.plans.services import end_treatment
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record

from . import signals
from .models import Session, TransferDecision

Way = TransferDecision.Way
FINAL = (Way.GO_ON, Way.STOP)


def waiting() -> list[TransferDecision]:
    """Transfers that nobody has decided about, and courses that pause since one. One query."""
    return list(
        TransferDecision.objects.exclude(way__in=FINAL)
        .select_related("session__person", "course", "decided_by")
        .order_by("decided_at", "raised_at")
    )


def require_decided(course: Course) -> None:
    """Nothing more is given until a prescriber has decided.

    Raises:
        Refused: a transfer of this course waits for a decision, or the course pauses since one.
    """
    open_one = (
        TransferDecision.objects.filter(course=course).exclude(way__in=FINAL).order_by("pk").first()
    )
    if open_one is None:
        return
    when = date_format(open_one.raised_at, "d F Y")
    if open_one.way:
        raise Refused(
            _(
                "This course pauses since the transfer to hospital on %(day)s: %(reason)s. "
                "A prescriber lets it go on."
            )
            % {"day": when, "reason": open_one.reason}
        )
    raise Refused(
        _(
            "After the transfer to hospital on %(day)s a prescriber has to decide first whether "
            "this course goes on."
        )
        % {"day": when}
    )


@transaction.atomic
def decide(
    prescriber: User, decision: TransferDecision, *, way: str, reason: str
) -> TransferDecision:
    """The course goes on as planned, pauses until decided anew, or stops.

    Going on asks the questions that follow a session, from the time at which it ended. Stopping
    takes what is left off the calendar and begins follow-up.

    Raises:
        Refused: not a prescriber, no such way, no reason, or decided for good already.
    """
    if prescriber.role != Role.PRESCRIBER:
        raise Refused(_("Only a prescriber decides whether a course goes on."))
    if way not in Way.values:
        raise Refused(_("Choose whether the course goes on, pauses or stops."), field="way")
    reason = require_reason(reason)
    record.lock()
    decision = (
        TransferDecision.objects.select_for_update(of=("self",))
        .select_related("session__planned__plan", "session__course", "course")
        .get(pk=decision.pk)
    )
    if decision.way == way and decision.reason == reason:
        return decision  # pressed twice, or the answer was lost
    if decision.way in FINAL:
        raise Refused(
            _("This is decided already: %(way)s.")
            % {"way": str(decision.get_way_display()).lower()}
        )
    decision.way, decision.reason = way, reason
    decision.decided_by, decision.decided_at = prescriber, clock.now()
    decision.save(update_fields=["way", "reason", "decided_by", "decided_at"])
    session, course = decision.session, decision.course
    remaining = course.planned_sessions.filter(done_at=None, cancelled_at=None)
    record.append(
        prescriber,
        course.stream,
        "sessions.transfer_decided",
        {
            "session": str(session.pk),
            "way": way,
            "reason": reason,
            "sessions_left": list(remaining.values_list("number", flat=True)),
        },
        person_id=course.person_id,
    )
    in_treatment = course.stage == Stage.TREATMENT
    if way == Way.GO_ON:
        signals.discharged.send(sender=Session, session=session, actor=prescriber)
        left = remaining.exists() or plans.is_open_ended(session.planned.plan)
        if in_treatment and not left:
            move_to(prescriber, course, Stage.FOLLOW_UP)
    elif way == Way.STOP and in_treatment:
        end_treatment(prescriber, course, reason=reason)
    return decision
