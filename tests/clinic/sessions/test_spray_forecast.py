"""The forecast of a session by spray: devices as they were taken, and those still to come."""

from datetime import timedelta

import pytest
from django.urls import reverse

from openketamine.clinic.plans import queries as plans
from openketamine.clinic.plans import services as planning
from openketamine.clinic.record import clock
from openketamine.clinic.sessions import doses, forecasts, queries, services, spray
from openketamine.clinic.sessions.models import Session

from ..conftest import SPRAY_CHECK, take


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def whole(session: Session) -> Session:
    return Session.objects.select_related("person", "course__person", "planned__plan").get(
        pk=session.pk
    )


def parts(session: Session, at) -> list[tuple[float, float]]:
    session = whole(session)
    found = forecasts._doses(queries.timeline_of(session), session, at)
    assert {dose.route for dose in found} == {"nasal"}
    return [(round(dose.time_min, 2), dose.dose_mg) for dose in found]


def foretold(session: Session, at):
    session = whole(session)
    with clock.at(at):
        return forecasts.forecast_of(session, queries.timeline_of(session), at)


def test_before_the_first_the_devices_come_five_minutes_apart(spray_ready):
    assert parts(spray_ready, clock.now()) == [(0, 28), (5, 28)]


def test_the_rest_moves_along_while_the_patient_waits(spray_ready, nurse):
    first = take(spray_ready, nurse).occurred_at
    assert parts(spray_ready, first + minutes(2)) == [(0, 28), (5, 28)]
    assert parts(spray_ready, first + minutes(9)) == [(0, 28), (9, 28)]
    with clock.at(first + minutes(9)):
        take(spray_ready, nurse)
    assert parts(spray_ready, first + minutes(60)) == [(0, 28), (9, 28)]


def test_what_did_not_come_out_is_not_reckoned_with(spray_ready, nurse):
    first = take(spray_ready, nurse, left="full", right="none").occurred_at
    with clock.at(first + minutes(6)):
        take(spray_ready, nurse, left="none", right="none")
    assert parts(spray_ready, first + minutes(20)) == [(0, 14)]


def test_nothing_more_is_to_come_once_the_spray_was_ended(spray_ready, nurse):
    first = take(spray_ready, nurse).occurred_at
    spray.end_spray(nurse, spray_ready, reason="Feels sick.")
    assert parts(spray_ready, first + minutes(20)) == [(0, 28)]


def test_three_devices_are_foretold_higher_than_two(
    spray_planned, nurse, prescriber, chair, spray_ready
):
    two = foretold(spray_ready, clock.now())
    assert two.home.earliest >= two.zero + minutes(125)  # five of rest and two hours after it
    assert "esketamine" in two.made_of.lower()
    services.cancel_session(nurse, spray_ready, reason="For the test.")
    first = spray_planned.planned_sessions.get(number=2)
    first.started_at = first.done_at = clock.now() - timedelta(days=3)
    first.save()
    plan = planning.order_plan(
        prescriber,
        spray_planned,
        first_on=clock.today(),
        regimen="esketamine-trd-us",
        dose_mg=84,
        tolerated=True,
    )
    planning.verify_plan(nurse, plan, dose_mg=84, count=3)
    planned = spray_planned.planned_sessions.filter(cancelled_at=None, started_at=None).first()
    session = services.open_session(nurse, planned, chair)
    services.complete_check(nurse, session, **SPRAY_CHECK)
    assert parts(session, clock.now()) == [(0, 28), (5, 28), (10, 28)]
    three = foretold(session, clock.now())

    def peak(outlook) -> float:
        return max(point[3] for point in outlook.conc.points)

    assert peak(three) > 1.15 * peak(two)
    assert three.home.earliest >= three.zero + minutes(130)


def test_the_sprays_of_a_bottle_are_one_dose_at_their_mean_time(bottle_ready, nurse):
    bottle = {"lot": "C-7", "expires_on": clock.today() + timedelta(days=20)}
    now = clock.now()
    assert parts(bottle_ready, now) == [(0, 50)]
    first = spray.take_sprays(nurse, bottle_ready, sprays=2, **bottle).occurred_at
    with clock.at(first + minutes(10)):
        spray.take_sprays(nurse, bottle_ready, sprays=3, **bottle)
    assert parts(bottle_ready, first + minutes(30)) == [(6, 50)]


def test_one_to_three_devices_are_compared_on_the_page_of_doses(client, spray_planned, prescriber):
    asked = {
        "systolic_limit_mmhg": 180.0,
        "systolic_at_most": 5.0,
        "dissociation_at_least": None,
        "strong_at_most": None,
    }
    found = doses.compare(spray_planned, plans.plannable(spray_planned)[0], asked)
    assert [row.option.dose_mg for row in found.rows] == [28, 56, 84]
    assert [row.inside for row in found.rows] == [False, True, True]
    assert [row.ordered for row in found.rows] == [False, True, False]
    assert found.unit == "mg"
    peaks = [row.option.peak_ng_per_ml[1] for row in found.rows]
    # Perez-Ruixo 2021: 43.8, 72.5 and 101.0 ng/mL in adults of 18 to 60 years.
    assert peaks == pytest.approx([43.8, 72.5, 101.0], rel=0.2)
    client.force_login(prescriber)
    page = client.get(reverse("doses_compare", args=[spray_planned.pk])).content.decode()
    assert "84.0 mg" in page
    assert "duration_min" not in page
