"""What falls due by the clock alone: before a session that comes, and long after the last one.

What follows a session is planned when it ends (`services.ask_after_session`). A session that comes
may be moved, and nobody knows which session was the last; so these forms are made when their time
has come, as often as the runner looks (`plan_due_forms`), and always the same whoever looks first.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Max, Q

from openketamine.clinic.people.models import Course
from openketamine.clinic.plans.models import PlannedSession
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Source
from openketamine.protocols.schema import Occasion

from .models import FormRequest

ACTOR = "schedule of forms"
_DONE = Q(planned_sessions__done_at__isnull=False)


@transaction.atomic
def plan_due_forms() -> int:
    """Make the forms whose time has come, and move those whose session was moved.

    Returns:
        How many were made.
    """
    now = clock.now()
    made = [*_before_sessions(now), *_after_the_last(now)]
    if not made:
        return 0
    record.lock()  # two that look at once make one form
    keys = {_key(form) for form in made}
    known = {
        _key(form)
        for form in FormRequest.objects.filter(course__in={form.course_id for form in made})
    }
    fresh = [form for form in made if _key(form) in keys - known]
    FormRequest.objects.bulk_create(fresh)
    by_course: dict[Course, list[FormRequest]] = {}
    for form in fresh:
        by_course.setdefault(form.course, []).append(form)
    record.append_many(
        [
            record.Entry(
                ACTOR,
                course.stream,
                "outcomes.forms_planned",
                {"forms": [[form.instrument, form.occasion, form.round] for form in forms]},
                course.person_id,
                None,
                Source.SYSTEM,
            )
            for course, forms in by_course.items()
        ]
    )
    return len(fresh)


def _key(form: FormRequest) -> tuple[object, ...]:
    return form.course_id, form.session_number, form.instrument, form.occasion, form.round


def _before_sessions(now: datetime) -> list[FormRequest]:
    """For every session within reach: what is asked before it. Two queries."""
    occasions = [each for each in library().measurements.occasions if each.before_hours]
    if not occasions:
        return []
    reach = max(timedelta(hours=each.before_hours) for each in occasions)
    coming = list(
        PlannedSession.objects.filter(
            planned_for__gt=now,
            planned_for__lte=now + reach,
            cancelled_at=None,
            done_at=None,
            session__isnull=True,
            home_session__isnull=True,
            course__closed_at=None,
        ).select_related("course")
    )
    if not coming:
        return []
    hours = {(item.course_id, item.number): item.planned_for for item in coming}
    asked = FormRequest.objects.filter(
        course__in=[item.course_id for item in coming],
        occasion__in=[each.id for each in occasions],
        completed_at=None,
    )
    by_id = {each.id: each for each in occasions}
    moved, known = [], set()
    for form in asked:
        known.add(_key(form))
        planned_for = hours.get((form.course_id, form.session_number or 0))
        if planned_for and form.closes_at != planned_for:
            form.closes_at = planned_for
            form.due_at = planned_for - timedelta(hours=by_id[form.occasion].before_hours)
            moved.append(form)
    FormRequest.objects.bulk_update(moved, ["due_at", "closes_at"])
    made = []
    for item in coming:
        for occasion in occasions:
            due_at = item.planned_for - timedelta(hours=occasion.before_hours)
            if due_at <= now:
                made += _forms(
                    occasion, item.course, item.number, due_at=due_at, closes_at=item.planned_for
                )
    return [form for form in made if _key(form) not in known]


def _after_the_last(now: datetime) -> list[FormRequest]:
    """For every open course whose last session lies far enough back: what repeats. Two queries."""
    occasions = [each for each in library().measurements.occasions if each.repeats_every_days]
    if not occasions:
        return []
    first = min(timedelta(hours=each.after_hours) for each in occasions)
    courses = (
        Course.objects.filter(closed_at=None)
        .annotate(
            last_at=Max("planned_sessions__done_at"),
            last_number=Max("planned_sessions__number", filter=_DONE),
        )
        .filter(last_at__lte=now - first)
    )
    made = []
    for course in courses:
        for occasion in occasions:
            begin = course.last_at + timedelta(hours=occasion.after_hours)
            if begin > now:
                continue
            every = timedelta(days=occasion.repeats_every_days or 1)
            number = (now - begin) // every
            due_at = begin + number * every
            length = timedelta(hours=(occasion.closes_after_hours or 0) - occasion.after_hours)
            # Before the next one falls due, this one is over.
            closes_at = min(due_at + length, due_at + every)
            if closes_at <= now:
                continue
            made += _forms(
                occasion,
                course,
                course.last_number,
                due_at=due_at,
                closes_at=closes_at,
                number=number,
            )
    known = {
        _key(form)
        for form in FormRequest.objects.filter(
            course__in={form.course_id for form in made},
            occasion__in=[each.id for each in occasions],
        )
    }
    return [form for form in made if _key(form) not in known]


def _forms(
    occasion: Occasion,
    course: Course,
    session_number: int,
    *,
    due_at: datetime,
    closes_at: datetime,
    number: int = 0,
) -> Iterable[FormRequest]:
    return [
        FormRequest(
            course=course,
            person_id=course.person_id,
            session_number=session_number,
            instrument=instrument,
            occasion=occasion.id,
            round=number,
            due_at=due_at,
            closes_at=closes_at,
        )
        for instrument in occasion.instruments_for(course.condition)
    ]
