"""Every dose of a course, in the clinic and at home, with what was noted of it."""

from dataclasses import dataclass
from datetime import datetime

from openketamine.clinic.athome.models import Movement
from openketamine.clinic.people.models import Course
from openketamine.clinic.record import clock
from openketamine.clinic.sessions.kept import kept
from openketamine.clinic.sessions.models import Phase, Session
from openketamine.clinic.sessions.timeline import Line


@dataclass(frozen=True)
class Given:
    """One session's dose. `effects` are the side effects noted in it."""

    at: datetime
    dose_mg: float
    route: str
    number: int
    ordered_mg: float
    effects: tuple[Line, ...] = ()
    transferred: bool = False
    emergency: bool = False
    at_home: bool = False
    url: str = ""


def doses_given(course: Course) -> list[Given]:
    """The doses of a course, the earliest first. Three queries."""
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
                effects=tuple(line for line in timeline.side_effects if not line.retracted),
                transferred=session.phase == Phase.TRANSFERRED,
                emergency=bool(timeline.emergencies),
                url=f"/sessions/{session.pk}/",
            )
        )
    return sorted([*found, *_at_home(course)], key=lambda dose: dose.at)


def _at_home(course: Course) -> list[Given]:
    """What was taken at home: the pieces of one session are one dose."""
    taken = Movement.objects.filter(
        enrolment__course=course, kind=Movement.Kind.TAKEN
    ).select_related("session__planned__plan")
    doses: dict[object, Given] = {}
    for movement in taken.order_by("at"):
        planned = movement.session.planned
        earlier = doses.get(movement.session_id)
        doses[movement.session_id] = Given(
            at=earlier.at if earlier else movement.at,
            dose_mg=(earlier.dose_mg if earlier else 0.0) + movement.pieces * movement.piece_mg,
            route=planned.plan.route,
            number=planned.number,
            ordered_mg=planned.plan.dose_mg,
            at_home=True,
        )
    return list(doses.values())
