"""The acts around a choice: say what a route costs here, and what an insurer pays."""

from datetime import date
from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext as _

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.errors import Refused
from openketamine.clinic.people.models import Course
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record

from .models import Cover, RouteCoverage, RoutePrice

MAY_SET_PRICES = frozenset({Role.DIRECTOR, Role.COORDINATOR})
MAY_SET_COVERAGE = frozenset({Role.COORDINATOR, Role.PRESCRIBER, Role.NURSE})


def _money(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _check_route(route: str) -> None:
    if route not in {each.id for each in library().programmes.routes}:
        raise Refused(_("The library has no such route."))


@transaction.atomic
def set_price(
    actor: User,
    *,
    route: str,
    offered: bool | None,
    price_per_visit: Decimal | None,
    note: str = "",
) -> RoutePrice:
    """Say whether the clinic offers a route, and what a visit costs. What is left open stays so.

    Raises:
        Refused: another role's, an unknown route, or a price below zero.
    """
    if actor.role not in MAY_SET_PRICES:
        raise Refused(_("The coordinator or the medical director says what a route costs."))
    _check_route(route)
    if price_per_visit is not None and price_per_visit < 0:
        raise Refused(_("A price is zero or more."), field="price_per_visit")
    price, _made = RoutePrice.objects.update_or_create(
        route=route,
        defaults={
            "offered": offered,
            "price_per_visit": price_per_visit,
            "note": note.strip(),
            "set_by": actor,
            "set_at": clock.now(),
        },
    )
    record.append(
        actor,
        "clinic",
        "choices.price_set",
        {
            "route": route,
            "offered": offered,
            "price_per_visit": _money(price_per_visit),
            "note": note.strip(),
        },
    )
    return price


@transaction.atomic
def set_coverage(
    actor: User,
    course: Course,
    *,
    route: str,
    cover: str,
    asked_on: date,
    payer: str = "",
    patient_pays_per_visit: Decimal | None = None,
    note: str = "",
) -> RouteCoverage:
    """Write down what the patient's insurer says of a route.

    Raises:
        Refused: another role's, an unknown route or answer, a day to come, a share below zero.
    """
    if actor.role not in MAY_SET_COVERAGE:
        raise Refused(_("Your role does not write down coverage."))
    _check_route(route)
    if cover not in Cover.values:
        raise Refused(_("Choose one of the answers."), field="cover")
    if asked_on > clock.today():
        raise Refused(_("Enter the day on which the insurer was asked."), field="asked_on")
    if patient_pays_per_visit is not None and patient_pays_per_visit < 0:
        raise Refused(_("A share is zero or more."), field="patient_pays_per_visit")
    coverage, _made = RouteCoverage.objects.update_or_create(
        course=course,
        route=route,
        defaults={
            "payer": payer.strip(),
            "cover": cover,
            "patient_pays_per_visit": patient_pays_per_visit,
            "note": note.strip(),
            "asked_on": asked_on,
            "set_by": actor,
            "set_at": clock.now(),
        },
    )
    record.append(
        actor,
        course.stream,
        "choices.coverage_set",
        {
            "route": route,
            "payer": payer.strip(),
            "cover": cover,
            "patient_pays_per_visit": _money(patient_pays_per_visit),
            "asked_on": asked_on.isoformat(),
            "note": note.strip(),
        },
        person_id=course.person_id,
    )
    return coverage
