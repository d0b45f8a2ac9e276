"""The acts of the therapist, and of the patient with what was shared."""

from collections.abc import Collection, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction
from django.dispatch import receiver
from django.utils.translation import gettext as _

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.athome.models import HomeSession
from openketamine.clinic.athome.models import Phase as HomePhase
from openketamine.clinic.errors import Refused
from openketamine.clinic.people.models import Course
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Source
from openketamine.clinic.sessions.models import Phase, Session
from openketamine.clinic.sessions.signals import discharged

from .content import fields_of
from .models import Goal, Homework, LifeEvent, TherapyVisit, TouchAgreement

SCHEDULERS = frozenset({Role.THERAPIST, Role.COORDINATOR})
# Whoever hears the patient say "no touch" writes it down, at once.
WITNESSES = frozenset({Role.THERAPIST, Role.NURSE, Role.PRESCRIBER})
NOT_DOSED = (Phase.CHECK, Phase.READY)
NOT_DOSED_AT_HOME = (HomePhase.CHECK, HomePhase.DECIDE, HomePhase.GO, HomePhase.NO_GO)


def _require(actor: User, roles: Collection[Role], refusal: str) -> None:
    if actor.role not in roles:
        raise Refused(refusal)


def _append(
    actor: User | str,
    course: Course,
    kind: str,
    data: dict[str, Any],
    *,
    at: datetime | None = None,
    source: Source = Source.HAND,
) -> None:
    record.append(
        actor,
        course.stream,
        f"therapy.{kind}",
        data,
        person_id=course.person_id,
        occurred_at=at,
        source=source,
    )


@receiver(discharged)
def fall_due_after_session(
    sender: type[Session | HomeSession],
    session: Session | HomeSession,
    actor: User,
    **kwargs: Any,
) -> None:
    """After a session, where there is a therapist, the integration visits of the protocol."""
    assert session.closed_at is not None
    if session.course.therapist_id is None:
        return
    for rule in library().therapy.visits:
        if rule.kind != "integration":
            continue
        visit = TherapyVisit.objects.create(
            course=session.course,
            person_id=session.person_id,
            kind=rule.kind,
            after_id=session.planned_id,
            rule=rule.id,
            opens_at=session.closed_at + timedelta(hours=rule.opens_hours),
            closes_at=session.closed_at + timedelta(hours=rule.closes_hours),
        )
        _append(
            actor,
            session.course,
            "visit_due",
            {
                "visit": str(visit.pk),
                "rule": rule.id,
                "session": str(session.pk),
                "opens_at": visit.opens_at.isoformat(),
                "closes_at": visit.closes_at.isoformat(),
            },
            source=Source.SYSTEM,
        )


@transaction.atomic
def plan_visit(
    actor: User,
    course: Course,
    *,
    planned_for: datetime,
    kind: str = TherapyVisit.Kind.THERAPY,
    visit: TherapyVisit | None = None,
) -> TherapyVisit:
    """Put a visit on the calendar: one that is due, or one out of turn.

    Raises:
        Refused: neither therapist nor coordinator, in the past, or the visit is over.
    """
    _require(actor, SCHEDULERS, _("Your role does not make appointments with the therapist."))
    if planned_for < clock.now() - timedelta(minutes=15):
        raise Refused(_("This hour has passed. Choose one to come."), field="planned_for")
    if visit is None:
        if kind not in TherapyVisit.Kind.values:
            raise Refused(_("Choose the kind of visit."), field="kind")
        visit = TherapyVisit(course=course, person_id=course.person_id, kind=kind)
    else:
        visit = _open(visit)
    visit.planned_for = planned_for
    visit.save()
    _append(
        actor,
        course,
        "visit_planned",
        {"visit": str(visit.pk), "kind": visit.kind, "planned_for": planned_for.isoformat()},
    )
    return visit


def _open(visit: TherapyVisit) -> TherapyVisit:
    visit = TherapyVisit.objects.select_for_update(of=("self",)).get(pk=visit.pk)
    if visit.held_at:
        raise Refused(_("This visit is recorded already. Write an addition as a visit of its own."))
    if visit.cancelled_at:
        raise Refused(_("This visit was cancelled."))
    return visit


@transaction.atomic
def cancel_visit(actor: User, visit: TherapyVisit, *, why: str) -> None:
    """Say that a visit does not take place, and why.

    Raises:
        Refused: neither therapist nor coordinator, no reason, or the visit is over.
    """
    _require(actor, SCHEDULERS, _("Your role does not cancel visits with the therapist."))
    visit = _open(visit)
    if not why.strip():
        raise Refused(_("Give the reason."), field="why")
    visit.cancelled_at, visit.cancel_reason = clock.now(), why.strip()[:300]
    visit.save()
    _append(
        actor,
        visit.course,
        "visit_cancelled",
        {"visit": str(visit.pk), "kind": visit.kind, "reason": visit.cancel_reason},
    )


@transaction.atomic
def record_preparation(
    actor: User,
    course: Course,
    *,
    words: Mapping[str, str],
    topics: Collection[str] = (),
    shared: Collection[str] = (),
    visit: TherapyVisit | None = None,
    held_at: datetime | None = None,
) -> TherapyVisit:
    """Write the preparation visit into the chart. The newest one is what the session screen shows.

    Args:
        words: by the field names of `content.PREPARATION`; what is left out was not spoken of.
        topics: ids of what was covered.
        shared: names of the fields that the patient may read.

    Raises:
        Refused: not a therapist, nothing written, or no such field or topic.
    """
    known = {topic.id for topic in library().therapy.preparation.topics}
    if strangers := sorted(set(topics) - known):
        raise Refused(_("There is no topic '%(id)s'.") % {"id": strangers[0]}, field="topics")
    return _hold(
        actor,
        course,
        TherapyVisit.Kind.PREPARATION,
        visit,
        words,
        {"topics": sorted(topics)} if topics else {},
        shared,
        held_at,
    )


@transaction.atomic
def record_integration(
    actor: User,
    course: Course,
    *,
    words: Mapping[str, str],
    goals: Collection[int] = (),
    shared: Collection[str] = (),
    visit: TherapyVisit | None = None,
    held_at: datetime | None = None,
) -> TherapyVisit:
    """Write an integration, or another talk-therapy visit, into the chart.

    Args:
        words: by the field names of `content.INTEGRATION`.
        goals: keys of this course's goals that it was about.

    Raises:
        Refused: not a therapist, nothing written, or a goal of another course.
    """
    own = set(course.goals.filter(pk__in=list(goals)).values_list("pk", flat=True))
    if own != set(goals):
        raise Refused(_("One of these goals is not of this course."), field="goals")
    kind = visit.kind if visit else TherapyVisit.Kind.THERAPY
    if kind == TherapyVisit.Kind.PREPARATION:
        raise Refused(_("This is a preparation. Record it as one."))
    return _hold(
        actor, course, kind, visit, words, {"goals": sorted(own)} if own else {}, shared, held_at
    )


def _hold(
    actor: User,
    course: Course,
    kind: str,
    visit: TherapyVisit | None,
    words: Mapping[str, str],
    more: dict[str, Any],
    shared: Collection[str],
    held_at: datetime | None,
) -> TherapyVisit:
    _require(actor, {Role.THERAPIST}, _("Your role does not record visits of the talk therapy."))
    fields = {field.name: field for field in fields_of(kind)}
    written = {name: text.strip() for name, text in words.items() if text.strip()}
    if strangers := sorted(set(written) - set(fields)):
        raise Refused(_("There is no field '%(id)s' here.") % {"id": strangers[0]})
    if not written and not more:
        raise Refused(_("Nothing is written yet."))
    shared = [
        name
        for name, field in fields.items()
        if name in shared and field.shareable and name in written
    ]
    if held_at and held_at > clock.now() + record.FUTURE_TOLERANCE:
        raise Refused(_("This hour lies in the future."), field="held_at")
    if visit is None:
        visit = TherapyVisit(course=course, person_id=course.person_id, kind=kind)
    else:
        visit = _open(visit)
    visit.held_at, visit.held_by = held_at or clock.now(), actor
    visit.content, visit.shared = {**written, **more}, shared
    visit.save()
    _append(
        actor,
        course,
        f"{kind}_recorded",
        {
            "visit": str(visit.pk),
            "planned_session": str(visit.after_id) if visit.after_id else None,
            "content": visit.content,
            "shared": shared,
            "library": library().version,
        },
        at=visit.held_at,
    )
    return visit


@transaction.atomic
def share_visit(actor: User, visit: TherapyVisit, *, shared: Collection[str]) -> None:
    """Choose what of a recorded visit the patient reads on the own page.

    Raises:
        Refused: not a therapist, or the visit has not been recorded.
    """
    _require(actor, {Role.THERAPIST}, _("Your role does not choose what the patient reads."))
    visit = TherapyVisit.objects.select_for_update(of=("self",)).get(pk=visit.pk)
    if not visit.held_at:
        raise Refused(_("This visit is not recorded yet."))
    visit.shared = [
        field.name
        for field in fields_of(visit.kind)
        if field.name in shared and field.shareable and field.name in visit.content
    ]
    visit.save(update_fields=["shared"])
    _append(actor, visit.course, "visit_shared", {"visit": str(visit.pk), "shared": visit.shared})


def is_dosed(course: Course) -> bool:
    """Whether the patient is in a session, here or at home, in which the drug has been started."""
    return (
        course.sessions.filter(closed_at=None).exclude(phase__in=NOT_DOSED).exists()
        or course.home_sessions.filter(closed_at=None).exclude(phase__in=NOT_DOSED_AT_HOME).exists()
    )


@transaction.atomic
def agree_touch(
    actor: User, course: Course, *, kinds: Collection[str], signed_name: str, words: str = ""
) -> TouchAgreement:
    """The patient signs which kinds of touch are welcome in the sessions; none is an answer too.

    Raises:
        Refused: not a therapist, prescriber or nurse; no such kind; not signed by the patient's
            name; or the drug has been started, and something would be added.
    """
    _require(actor, WITNESSES, _("Your role does not take a touch agreement."))
    rule = library().therapy.touch
    known = [kind.id for kind in rule.kinds]
    if strangers := sorted(set(kinds) - set(known)):
        said = _("There is no kind of touch '%(id)s'.")
        raise Refused(said % {"id": strangers[0]}, field="kinds")
    if " ".join(signed_name.split()).casefold() != str(course.person).casefold():
        said = _("Sign with the name in the chart: %(name)s.")
        raise Refused(said % {"name": course.person}, field="signed_name")
    course = Course.objects.select_for_update(of=("self",)).get(pk=course.pk)
    before = course.touch_agreements.filter(ended_at=None).first()
    added = set(kinds) - set(before.kinds if before else ())
    if added and rule.nothing_added_once_dosed and is_dosed(course):
        said = _(
            "The drug has been started: no touch can be agreed to now, only withdrawn. "
            "%(rule)s (%(authority)s)."
        )
        quoted = {"rule": _(rule.statement), "authority": _(rule.authority)}
        raise Refused(said % quoted, field="kinds")
    if before:
        before.ended_at = clock.now()
        before.save(update_fields=["ended_at"])
    agreement = TouchAgreement.objects.create(
        course=course,
        kinds=[name for name in known if name in kinds],
        words=words.strip()[:300],
        statement=rule.statement,
        signed_name=" ".join(signed_name.split()),
        presented_by=actor,
    )
    _append(
        actor,
        course,
        "touch_agreed",
        {
            "kinds": agreement.kinds,
            "words": agreement.words,
            "statement": agreement.statement,
            "signed_name": agreement.signed_name,
            "library": library().version,
        },
    )
    return agreement


@transaction.atomic
def withdraw_touch(actor: User | str, course: Course, *, source: Source = Source.HAND) -> None:
    """The patient wants no touch any more. It holds at once, in a running session as well.

    Args:
        actor: who heard it, or the patient.

    Raises:
        Refused: a role that takes no such word, or there is no agreement in force.
    """
    if isinstance(actor, User) and actor.is_clinic_staff:
        _require(actor, WITNESSES, _("Your role does not withdraw a touch agreement."))
    agreement = course.touch_agreements.select_for_update().filter(ended_at=None).first()
    if agreement is None:
        raise Refused(_("There is no touch agreement in force."))
    agreement.ended_at, agreement.withdrawn = clock.now(), True
    agreement.save(update_fields=["ended_at", "withdrawn"])
    _append(actor, course, "touch_withdrawn", {"kinds": agreement.kinds}, source=source)


@transaction.atomic
def set_goal(actor: User, course: Course, *, kind: str, text: str, shared: bool = False) -> Goal:
    """Write down what the patient works towards.

    Raises:
        Refused: not a therapist, no such kind, or empty.
    """
    _require(actor, {Role.THERAPIST}, _("Your role does not set goals of the talk therapy."))
    if kind not in {each.id for each in library().therapy.goals}:
        raise Refused(_("Choose what the goal is about."), field="kind")
    if not text.strip():
        raise Refused(_("Write the goal in the patient's words."), field="text")
    goal = Goal.objects.create(
        course=course, kind=kind, text=text.strip()[:300], shared=shared, set_by=actor
    )
    _append(
        actor,
        course,
        "goal_set",
        {"goal": goal.pk, "kind": kind, "text": goal.text, "shared": shared},
    )
    return goal


@transaction.atomic
def change_goal(
    actor: User, goal: Goal, *, state: str | None = None, shared: bool | None = None
) -> None:
    """Say that a goal is reached or let go, or whether the patient sees it.

    Raises:
        Refused: not a therapist, or no such state.
    """
    _require(actor, {Role.THERAPIST}, _("Your role does not change goals of the talk therapy."))
    goal = Goal.objects.select_for_update(of=("self",)).get(pk=goal.pk)
    if state is not None:
        if state not in Goal.State.values:
            raise Refused(_("Choose where the goal stands."), field="state")
        goal.state = state
        goal.ended_at = None if state == Goal.State.OPEN else goal.ended_at or clock.now()
    if shared is not None:
        goal.shared = shared
    goal.save()
    _append(
        actor,
        goal.course,
        "goal_changed",
        {"goal": goal.pk, "state": goal.state, "shared": goal.shared},
    )


@transaction.atomic
def give_homework(
    actor: User,
    course: Course,
    *,
    text: str,
    due_on: date | None = None,
    goal: Goal | None = None,
    shared: bool = True,
) -> Homework:
    """Agree on one small thing to do.

    Raises:
        Refused: not a therapist, empty, a day that has passed, or a goal of another course.
    """
    _require(actor, {Role.THERAPIST}, _("Your role does not give homework."))
    if not text.strip():
        raise Refused(_("Write what there is to do."), field="text")
    if due_on and due_on < clock.today():
        raise Refused(_("This day has passed."), field="due_on")
    if goal and goal.course_id != course.pk:
        raise Refused(_("This goal is not of this course."), field="goal")
    homework = Homework.objects.create(
        course=course,
        goal=goal,
        text=text.strip()[:300],
        due_on=due_on,
        shared=shared,
        set_by=actor,
    )
    _append(
        actor,
        course,
        "homework_given",
        {
            "homework": homework.pk,
            "goal": goal.pk if goal else None,
            "text": homework.text,
            "due_on": due_on and due_on.isoformat(),
            "shared": shared,
        },
    )
    return homework


@transaction.atomic
def finish_homework(actor: User | str, homework: Homework, *, source: Source = Source.HAND) -> None:
    """It is done: as the therapist heard, or as the patient says on the own page.

    Raises:
        Refused: done already, or it was never shared with the patient who says so.
    """
    homework = Homework.objects.select_for_update(of=("self",)).get(pk=homework.pk)
    by_patient = source == Source.PATIENT
    if not by_patient:
        assert isinstance(actor, User)
        _require(actor, {Role.THERAPIST}, _("Your role does not tick off homework."))
    elif not homework.shared:
        raise Refused(_("There is no such homework."))
    if homework.done_at:
        return  # a second tap
    homework.done_at, homework.done_by_patient = clock.now(), by_patient
    homework.save(update_fields=["done_at", "done_by_patient"])
    _append(actor, homework.course, "homework_done", {"homework": homework.pk}, source=source)


@transaction.atomic
def record_life_event(
    actor: User, course: Course, *, happened_on: date, title: str, detail: str = ""
) -> LifeEvent:
    """Write down something in the patient's life that the course must be read with.

    Raises:
        Refused: not a therapist, prescriber or nurse; empty; or a day to come or before birth.
    """
    _require(actor, WITNESSES, _("Your role does not record life events."))
    if not title.strip():
        raise Refused(_("Write in a few words what happened."), field="title")
    if happened_on > clock.today():
        raise Refused(_("This day lies in the future."), field="happened_on")
    if happened_on < course.person.birth_date:
        raise Refused(_("This day lies before the patient's birth."), field="happened_on")
    event = LifeEvent.objects.create(
        course=course,
        happened_on=happened_on,
        title=title.strip()[:160],
        detail=detail.strip(),
        recorded_by=actor,
    )
    _append(
        actor,
        course,
        "life_event_recorded",
        {
            "life_event": event.pk,
            "happened_on": happened_on.isoformat(),
            "title": event.title,
            "detail": event.detail,
        },
    )
    return event
