"""Reviews fall due, are shown on the day's list, and climb while nobody holds them."""

from datetime import timedelta

import pytest

from openketamine.clinic.notices import services as notices
from openketamine.clinic.notices import signals
from openketamine.clinic.notices.models import Notice
from openketamine.clinic.people import services as people
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event
from openketamine.clinic.reviews import queries, services


def in_days(days):
    return clock.at(clock.now() + timedelta(days=days))


def test_it_works(followed_up):
    assert queries.reviews_due() == []
    with in_days(7):
        (row,) = queries.reviews_due()
    assert (row.course, row.due.rule.id, row.overdue_days) == (followed_up, "RV-INDUCTION", 0)
    assert row.level == 0


def test_a_course_in_the_middle_of_its_induction_is_not_due(treated):
    with in_days(30):
        assert queries.reviews_due() == []


def test_before_the_first_dose_nothing_is_due(planned_course):
    with in_days(200):
        assert queries.reviews_due() == []


def test_the_days_list_shows_it_to_everybody_who_works_here(client, followed_up, nurse):
    client.force_login(nurse)
    with in_days(9):
        page = client.get("/continuity/due/").content.decode()
    assert str(followed_up.person) in page
    assert "overdue" in page


def test_overdue_it_climbs_from_the_prescriber_to_the_director(
    followed_up, prescriber, director, coordinator, settings
):
    people.assign_team(coordinator, followed_up, prescriber=prescriber, therapist=None)
    for user in (prescriber, director):
        notices.set_address(user, phone="", email=f"{user.username}@clinic.example")
    with in_days(7 + 7):
        assert services.escalate_overdue() == 0
    with in_days(7 + 8):
        assert services.escalate_overdue() == 1
        assert services.escalate_overdue() == 0
    (notice,) = Notice.objects.all()
    assert (notice.to, notice.wording) == ("prescriber@clinic.example", "review_overdue")
    with in_days(7 + 15):
        assert services.escalate_overdue() == 1
        page = queries.reviews_due()
    assert [row.level for row in page] == [2]
    assert Notice.objects.filter(to="director@clinic.example").count() == 1
    told = Event.objects.filter(kind=queries.TOLD).order_by("seq")
    assert [event.data["names"] for event in told] == [[str(prescriber)], [str(director)]]
    assert record.verify().intact


def test_a_clinic_that_slept_takes_both_steps_at_once(followed_up, prescriber, director):
    with in_days(60):
        assert services.escalate_overdue() == 2
    told = Event.objects.filter(kind=queries.TOLD).order_by("seq")
    assert told[0].data["names"] == [str(prescriber)]  # nobody is assigned: every prescriber


def test_a_review_that_is_held_ends_it(followed_up, prescriber):
    with in_days(40):
        services.escalate_overdue()
        services.hold_review(
            prescriber,
            followed_up,
            decision="continue",
            reason="Well.",
            next_on=clock.today() + timedelta(days=30),
        )
        assert services.escalate_overdue() == 0
        assert queries.reviews_due() == []


def test_the_clinics_clock_looks_every_few_minutes(followed_up, monkeypatch):
    looked = []
    monkeypatch.setattr(services._round, "last", None)
    monkeypatch.setattr(services, "escalate_overdue", lambda: looked.append(1))
    start = clock.now()
    for seconds in (0, 2, 300, 601, 602):
        signals.tick.send(sender=None, now=start + timedelta(seconds=seconds))
    assert len(looked) == 2


@pytest.mark.parametrize("more", [0, 3])
def test_the_list_of_reviews_costs_two_queries(
    followed_up, coordinator, more, django_assert_num_queries
):
    from ..conftest import referral

    for number in range(more):
        people.receive_referral(coordinator, referral(number + 10), origin="a test")
    with in_days(9), django_assert_num_queries(2):
        assert len(queries.reviews_due()) == 1
