"""The label's table on the clinic's calendar: every week, every case of a missed session.

What the library proposes is tested day by day in tests/protocols; here it is what a plan puts on
the calendar, what a missed session makes of it, and what a prescriber is asked before.
"""

from collections import Counter
from datetime import datetime, time, timedelta
from itertools import pairwise

import pytest
from django.utils import timezone

from openketamine.clinic.errors import Refused
from openketamine.clinic.people.models import Course, Stage
from openketamine.clinic.plans import queries, services
from openketamine.clinic.plans.models import Consent, PlannedSession
from openketamine.clinic.record import clock


@pytest.fixture
def spray(course, nurse, prescriber, signed_policy, settings):
    """Makes a course by the spray, planned from today, in a clinic that never closes."""
    settings.OPEN_WEEKDAYS = frozenset(range(7))

    def make(condition: str = "TRD", dose_mg: float = 56, **order) -> Course:
        course.route, course.condition, course.stage = "IN_ESKETAMINE", condition, Stage.PLANNING
        course.save()
        if not queries.consent_in_force(course):
            Consent.objects.create(
                course=course,
                document_id="a-test",
                document_version="1",
                document_digest="0" * 64,
                document={},
                signed_name=str(course.person),
                presented_by=nurse,
            )
        regimen = {"TRD": "esketamine-trd-us", "MDSI": "esketamine-mdsi-us"}[condition]
        plan = services.order_plan(
            prescriber,
            course,
            regimen=regimen,
            dose_mg=dose_mg,
            first_on=clock.today(),
            **order,
        )
        services.verify_plan(nurse, plan, dose_mg=dose_mg, count=round(dose_mg / 28))
        course.refresh_from_db()
        return course

    return make


def standing(course: Course) -> list[PlannedSession]:
    return list(course.planned_sessions.filter(cancelled_at=None).order_by("number"))


def day_of(planned: PlannedSession) -> int:
    """Days from the first session of the course."""
    first = planned.course.planned_sessions.filter(missed=False).order_by("planned_for")[0]
    return (_date(planned) - _date(first)).days


def _date(planned: PlannedSession):
    return timezone.localtime(planned.planned_for).date()


def give(course: Course, up_to_day: int) -> None:
    """Everything that was planned up to a day counts as given."""
    for item in standing(course):
        if item.started_at is None and day_of(item) <= up_to_day:
            item.started_at = item.done_at = item.planned_for
            item.save()


def at_noon(course: Course, day: int):
    """The clock at noon of a day of the course."""
    first = _date(standing(course)[0])
    return clock.at(timezone.make_aware(datetime.combine(first + timedelta(days=day), time(12, 0))))


def miss(course: Course, day: int, nurse) -> None:
    """The session planned for a day is missed, and those before it were given."""
    give(course, day - 1)
    (planned,) = [item for item in standing(course) if day_of(item) == day]
    services.mark_missed(nurse, planned)


@pytest.mark.parametrize(
    ("maintenance", "later"),
    [("every 2 weeks", {9: 0, 10: 1, 11: 0, 12: 1}), ("weekly", {9: 1, 10: 1, 11: 1, 12: 1})],
)
def test_every_week_of_the_table(spray, maintenance, later):
    course = spray(rhythms={"maintenance": maintenance})
    weeks = Counter(day_of(item) // 7 + 1 for item in standing(course))
    in_table = {**dict.fromkeys(range(1, 5), 2), **dict.fromkeys(range(5, 9), 1), **later}
    assert {week: weeks.get(week, 0) for week in in_table} == in_table
    assert max(weeks) <= 12
    phases = {day_of(item) // 7 + 1: item.phase for item in standing(course)}
    assert {phases[week] for week in range(1, 5)} == {"Induction"}
    assert {phases[week] for week in range(5, 9)} == {"Once a week"}
    assert {phase for week, phase in phases.items() if week >= 9} == {"Maintenance"}
    assert {item.plan.dose_mg for item in standing(course)} == {56}


def test_day_1_is_56_mg_and_84_mg_only_where_that_was_tolerated(spray, prescriber, nurse):
    with pytest.raises(Refused, match="84 mg is not open at the next session; 56 mg is"):
        spray(dose_mg=84)
    course = spray()
    give(course, 0)
    with at_noon(course, 1):
        asked = {"regimen": "esketamine-trd-us", "first_on": clock.today()}
        for tolerated in (None, False):
            with pytest.raises(Refused, match="no rise"):
                services.order_plan(prescriber, course, dose_mg=84, tolerated=tolerated, **asked)
        plan = services.order_plan(prescriber, course, dose_mg=84, tolerated=True, **asked)
        services.verify_plan(nurse, plan, dose_mg=84, count=3)
    assert [item.plan.dose_mg for item in standing(course)][:3] == [56, 84, 84]


def test_acute_suicidality_is_84_mg_twice_a_week_for_four_weeks(spray, prescriber, nurse):
    with pytest.raises(Refused, match="56 mg is not open at the next session; 84 mg is"):
        spray("MDSI", 56)
    course = spray("MDSI", 84)
    weeks = Counter(day_of(item) // 7 + 1 for item in standing(course))
    assert weeks == {1: 2, 2: 2, 3: 2, 4: 2}
    assert not queries.is_open_ended(queries.plan_in_force(course))
    give(course, 0)
    with at_noon(course, 1):
        down = services.order_plan(
            prescriber,
            course,
            regimen="esketamine-mdsi-us",
            dose_mg=56,
            tolerated=False,
            first_on=clock.today(),
        )
        services.verify_plan(nurse, down, dose_mg=56, count=2)
    assert [item.plan.dose_mg for item in standing(course)][:2] == [84, 56]


@pytest.mark.parametrize("day", [3, 7, 10, 14, 17, 21, 24])
def test_missed_in_weeks_1_to_4_the_schedule_goes_on_as_it_is(spray, prescriber, nurse, day):
    course = spray()
    before = [day_of(item) for item in standing(course)]
    with at_noon(course, day):
        miss(course, day, nurse)
        services.plan_again(prescriber, course, from_on=clock.today() + timedelta(days=1))
    after = [day_of(item) for item in standing(course)]
    ahead = [d for d in before if d > day and d < 84]
    assert [d for d in after if day < d < 84] == ahead


@pytest.mark.parametrize("day", [28, 35, 42, 49])
def test_missed_once_a_week_without_worsening_it_goes_on_weekly(spray, prescriber, nurse, day):
    course = spray()
    with at_noon(course, day):
        miss(course, day, nurse)
        tomorrow = clock.today() + timedelta(days=1)
        with pytest.raises(Refused, match="Have symptoms worsened") as refusal:
            services.plan_again(prescriber, course, from_on=tomorrow)
        assert refusal.value.field == "worsened"
        services.plan_again(prescriber, course, from_on=tomorrow, worsened=False)
    after = [day_of(item) for item in standing(course)]
    assert [d for d in after if day < d < 56] == list(range(day + 7, 56, 7))


@pytest.mark.parametrize("day", [28, 35, 42, 49])
def test_missed_once_a_week_with_worsening_it_goes_back_to_twice(spray, prescriber, nurse, day):
    course = spray()
    with at_noon(course, day):
        miss(course, day, nurse)
        services.plan_again(
            prescriber, course, from_on=clock.today() + timedelta(days=1), worsened=True
        )
    ahead = [day_of(item) for item in standing(course) if day_of(item) > day]
    assert len(ahead) == 8  # two a week for four weeks, then the prescriber decides
    assert ahead == [day + 1 + 7 * week + step for week in range(4) for step in (0, 3)]
    statements = [r.statement for r in queries.reviews_ahead(queries.plan_in_force(course))]
    assert any("Decide on the rhythm from here on" in words for words in statements)


@pytest.mark.parametrize(
    ("rhythm", "day", "worsened", "gaps"),
    [
        ("every 2 weeks", 63, True, {7}),
        ("every 2 weeks", 63, False, {14}),
        ("weekly", 63, True, {3, 4}),
        ("weekly", 63, False, {7}),
    ],
)
def test_missed_in_maintenance(spray, prescriber, nurse, rhythm, day, worsened, gaps):
    course = spray(rhythms={"maintenance": rhythm})
    with at_noon(course, day):
        miss(course, day, nurse)
        services.plan_again(
            prescriber, course, from_on=clock.today() + timedelta(days=1), worsened=worsened
        )
    ahead = [day_of(item) for item in standing(course) if day_of(item) > day]
    assert {b - a for a, b in pairwise(ahead)} <= gaps
    assert len(ahead) >= 2


def test_the_next_step_asks_for_the_prescriber_after_a_missed_session(
    client, spray, prescriber, nurse
):
    course = spray()
    give(course, 0)
    with at_noon(course, 3):
        miss(course, 3, nurse)
        client.force_login(prescriber)
        step = client.get(f"/courses/{course.pk}/next/").content.decode()
        assert "A session was missed" in step
        page = client.post(
            f"/courses/{course.pk}/plan/again/",
            {"from_on": (clock.today() + timedelta(days=1)).isoformat(), "worsened": ""},
        )
        assert page.status_code == 302
        step = client.get(f"/courses/{course.pk}/next/").content.decode()
        assert "A session was missed" not in step


def test_a_course_without_an_end_is_planned_further_by_the_prescriber(
    client, spray, prescriber, nurse
):
    course = spray()
    give(course, 200)
    last = day_of(standing(course)[-1])
    with at_noon(course, last + 1):
        client.force_login(prescriber)
        assert "Nothing is left on the calendar" in (
            client.get(f"/courses/{course.pk}/next/").content.decode()
        )
        services.plan_again(prescriber, course, from_on=clock.today())
    ahead = [item for item in standing(course) if item.started_at is None]
    assert ahead
    assert all(item.phase == "Maintenance" for item in ahead)
    assert day_of(ahead[0]) - last == 14
