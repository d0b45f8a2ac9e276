"""A dose into a muscle: one injection or a split one, from a checked syringe, on its own clock."""

from datetime import timedelta

import pytest

from openketamine.clinic.errors import Refused
from openketamine.clinic.people.models import Course
from openketamine.clinic.record import clock
from openketamine.clinic.sessions import queries, services
from openketamine.clinic.sessions.models import Phase

from ..conftest import draw_up


@pytest.fixture
def by_injection(ready):
    """The checked session, its course being one into a muscle."""
    Course.objects.filter(pk=ready.course_id).update(route="IM")
    ready.refresh_from_db()
    ready.course.refresh_from_db()
    return ready


def minutes(number):
    return timedelta(minutes=number)


def inject(session, nurse, dose_mg, **more):
    return services.give_injection(nurse, session, dose_mg=dose_mg, site="deltoid left", **more)


def test_it_works(by_injection, nurse):
    event = inject(by_injection, nurse, 41)
    assert event.data["volume_ml"] == 4.1
    timeline = queries.timeline_of(by_injection)
    assert timeline.phase == Phase.RECOVERY
    assert timeline.given_mg(clock.now()) == 41
    assert timeline.ended_at == timeline.started_at == event.occurred_at


def test_a_planned_dose_may_be_split_and_more_takes_an_order(
    by_injection, nurse, prescriber, unchanged
):
    start = clock.now()
    inject(by_injection, nurse, 20)
    with clock.at(start + minutes(15)):
        with unchanged, pytest.raises(Refused, match="Prepare the syringe first"):
            inject(by_injection, nurse, 21)
        draw_up(by_injection, nurse, prescriber)
        inject(by_injection, nurse, 21)
    with clock.at(start + minutes(30)):
        draw_up(by_injection, nurse, prescriber)
        with unchanged, pytest.raises(Refused, match="goes beyond the planned"):
            inject(by_injection, nurse, 5)
    timeline = queries.timeline_of(by_injection)
    assert timeline.given_mg(start + minutes(14)) == 20
    assert timeline.given_mg(start + minutes(31)) == 41


def test_there_is_no_pump_and_no_more_than_the_syringe_holds(by_injection, nurse, unchanged):
    with unchanged:
        with pytest.raises(Refused, match="it has no infusion"):
            services.start_infusion(nurse, by_injection)
        with pytest.raises(Refused, match="more than the syringe holds"):
            inject(by_injection, nurse, 60)


def test_observations_are_due_by_the_clock_of_the_injection(by_injection, nurse):
    start = clock.now()
    inject(by_injection, nurse, 41)
    with clock.at(start + minutes(4)):
        assert not queries.todays_board()[0].open_alerts
    with clock.at(start + minutes(11)):  # the one at 5 minutes is missed and nothing read since
        assert "late" in [alert.rule_id for alert in queries.todays_board()[0].open_alerts]
