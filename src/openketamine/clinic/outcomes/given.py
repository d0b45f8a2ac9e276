"""Every dose of a course, in the clinic and at home, with what was noted of it."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext_noop

from openketamine.clinic.athome.models import Enrolment, HomeSession, Movement
from openketamine.clinic.athome.queries import PROTOCOL
from openketamine.clinic.athome.told import told_of
from openketamine.clinic.people.models import Course
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.sessions.kept import kept
from openketamine.clinic.sessions.models import Phase, Session

# The note of a side effect that the patient told; translated where it is shown, as labels are.
TOLD = gettext_noop("Told from home.")


@dataclass(frozen=True)
class Effect:
    """A side effect that was noted in the clinic, or told from home."""

    at: datetime
    label: str
    severity: str
    note: str = ""


@dataclass(frozen=True)
class Given:
    """One dose. `effects` are the side effects noted of it.

    `number` is that of its session; None for a first dose that was watched in the clinic before a
    programme at home began.
    """

    at: datetime
    dose_mg: float
    route: str
    number: int | None
    ordered_mg: float
    effects: tuple[Effect, ...] = ()
    transferred: bool = False
    emergency: bool = False
    at_home: bool = False
    url: str = ""


def doses_given(course: Course) -> list[Given]:
    """The doses of a course, the earliest first. Six queries."""
    sessions = list(
        Session.objects.filter(course=course, phase__in=(Phase.DISCHARGED, Phase.TRANSFERRED))
        .select_related("planned__plan")
        .order_by("opened_at")
    )
    timelines = kept.timelines([session.stream for session in sessions])
    now = clock.now()
    found = []
    for session in sessions:
        timeline, plan = timelines[session.stream], session.planned.plan
        found.append(
            Given(
                at=timeline.started_at or session.opened_at,
                dose_mg=timeline.given_mg(timeline.ended_at or now),
                route=plan.route,
                number=session.planned.number,
                ordered_mg=plan.dose_mg,
                effects=tuple(
                    Effect(
                        line.at,
                        line.data["label"],
                        line.data["severity"],
                        line.data.get("note", ""),
                    )
                    for line in timeline.side_effects
                    if not line.retracted
                ),
                transferred=session.phase == Phase.TRANSFERRED,
                emergency=bool(timeline.emergencies),
                url=f"/sessions/{session.pk}/",
            )
        )
    doses = [*found, *_at_home(course), *_watched_first(course)]
    return sorted(doses, key=lambda dose: dose.at)


def _watched_first(course: Course) -> list[Given]:
    """The first dose of a programme at home where it was taken in the clinic."""
    enrolment = Enrolment.objects.filter(course=course, supervised_mg__isnull=False).first()
    if enrolment is None or enrolment.supervised_at is None or enrolment.supervised_mg is None:
        return []
    mg = enrolment.supervised_mg
    return [Given(enrolment.supervised_at, mg, course.route, None, mg)]


def _at_home(course: Course) -> list[Given]:
    """What was taken at home: the pieces of one session are one dose."""
    taken = Movement.objects.filter(
        enrolment__course=course, kind=Movement.Kind.TAKEN
    ).select_related("session__planned__plan")
    by_session: dict[HomeSession, list[Movement]] = defaultdict(list)
    for movement in taken.order_by("at"):
        by_session[movement.session].append(movement)
    told = told_of(list(by_session))
    side_effects = library().monitoring[PROTOCOL].side_effects
    labels = {item.id: item.label for item in side_effects.items} if side_effects else {}
    return [
        Given(
            at=movements[0].at,
            dose_mg=sum(each.pieces * each.piece_mg for each in movements),
            route=session.planned.plan.route,
            number=session.planned.number,
            ordered_mg=session.planned.plan.dose_mg,
            effects=tuple(
                Effect(each.at, labels.get(each.id, each.id), each.severity, TOLD)
                for each in told[session.pk].effects.values()
            ),
            transferred=told[session.pk].handed_over,
            emergency=told[session.pk].emergency,
            at_home=True,
            url=f"/home-sessions/{session.pk}/",
        )
        for session, movements in by_session.items()
    ]
