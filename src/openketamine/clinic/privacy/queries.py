"""Who may open which chart, who has read it, what waits for the director's eye."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.conf import settings
from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django.http import HttpRequest

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.people.models import Course, Person
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.sessions.models import OPEN, Session
from openketamine.clinic.sites import queries as sites
from openketamine.clinic.sites.scope import EVERYTHING, UNKNOWN, of_person

from .models import BrokenGlass, ChartRestriction, LegalHold
from .reads import KIND, stream_of

# Those who run a session; to them a restricted chart is open while its patient sits in a chair.
TREATS = frozenset({Role.NURSE, Role.PRESCRIBER})


def here(request: HttpRequest) -> sites.Here:
    """For which sites somebody asks. Where there is one site, without a query of its own.

    Two queries otherwise, whatever there is; call it where all sites are in scope.
    """
    user: Any = request.user
    if not user.is_authenticated:
        return sites.Here(UNKNOWN)
    several = getattr(user, "several_sites", None)
    if not (sites.several() if several is None else several):
        return sites.Here(EVERYTHING)
    if user.role == Role.PATIENT:
        own = Person.objects.filter(user=user).values_list("pk", flat=True).first()
        return sites.Here(of_person(own) if own else UNKNOWN)
    glass = BrokenGlass.objects.filter(user=user, until__gt=clock.now())
    opened = frozenset(glass.values_list("person_id", flat=True))
    return sites.here(user, opened, chosen=request.session.get(sites.CHOSEN))


def shut_to(user: User, people: Iterable[uuid.UUID]) -> list[uuid.UUID]:
    """Whose charts of these this user may not open without breaking the glass. One query.

    Care never waits: while a session is open its nurses and prescribers are its team.
    """
    return list(shut_charts(user).filter(person__in=list(people)).values_list("person", flat=True))


def shut_charts(user: User) -> QuerySet[ChartRestriction]:
    """Every restriction that stands between this user and a chart."""
    mine = Q(prescriber=user) | Q(therapist=user)
    shut = ChartRestriction.objects.filter(
        ~Exists(Course.objects.filter(mine, person=OuterRef("person"), closed_at=None)),
        ~Exists(
            BrokenGlass.objects.filter(person=OuterRef("person"), user=user, until__gt=clock.now())
        ),
        ~Exists(
            ChartRestriction.team.through.objects.filter(chartrestriction=OuterRef("pk"), user=user)
        ),
        lifted_at=None,
    )
    if user.role in TREATS:
        shut = shut.filter(
            ~Exists(Session.objects.filter(person=OuterRef("person"), phase__in=OPEN))
        )
    return shut


def restriction_of(person: Person) -> ChartRestriction | None:
    return ChartRestriction.objects.filter(person=person, lifted_at=None).first()


def hold_of(person: Person) -> LegalHold | None:
    return LegalHold.objects.filter(person=person, lifted_at=None).first()


@dataclass(frozen=True)
class Reading:
    """Somebody read a chart."""

    at: datetime
    who: str
    view: str
    own: bool


def readings(person: Person, *, limit: int = 200) -> list[Reading]:
    """Who has read a chart, newest first. One query."""
    events = Event.objects.filter(stream=stream_of(person.pk), kind=KIND)
    events = events.order_by("-seq").defer("hash", "previous_hash")[:limit]
    return [
        Reading(
            event.occurred_at,
            event.actor_name,
            event.data["view"],
            event.actor_id is not None and event.actor_id == person.user_id,
        )
        for event in events
    ]


def glass_to_review() -> QuerySet[BrokenGlass]:
    return (
        BrokenGlass.objects.filter(reviewed_at=None).select_related("person", "user").order_by("at")
    )


@dataclass(frozen=True)
class Kept:
    """A person whose period of keeping is over, or whom a legal hold keeps."""

    person: Person
    last_on: date
    held: bool


def kept_too_long() -> list[Kept]:
    """Whose last course ended longer ago than the clinic keeps charts. One query.

    Empty where no period is set (`OPENKETAMINE_RETENTION_YEARS`): the law of the place sets it.
    """
    years = settings.RETENTION_YEARS
    if not years:
        return []
    today = clock.today()
    before = date(today.year - years, today.month, min(today.day, 28))
    holds = LegalHold.objects.filter(person=OuterRef("pk"), lifted_at=None)
    open_course = Course.objects.filter(person=OuterRef("pk"), closed_at=None)
    people = (
        Person.objects.annotate(
            last=Max("courses__closed_at"), held=Exists(holds), open=Exists(open_course)
        )
        .filter(open=False, last__date__lt=before)
        .order_by("last")
    )
    return [Kept(person, person.last.date(), person.held) for person in people]
