"""Nobody falls out of follow-up unseen: each loose end is shown until it is taken up or closed."""

from datetime import timedelta

import pytest

from openketamine.clinic.errors import Refused
from openketamine.clinic.people import services as people
from openketamine.clinic.plans import services as plans
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.reviews import queries, services

from ..conftest import referral
from .conftest import score


def kinds(**known):
    return sorted({end.rule.kind for end in queries.loose_ends(**known)})


def in_days(days):
    return clock.at(clock.now() + timedelta(days=days))


def only(kind):
    return next(end for end in queries.loose_ends() if end.rule.kind == kind)


def take_up(actor, end, **changes):
    given = {
        "rule": end.rule.id,
        "key": end.key,
        "step": "tried",
        "words": "Left a message with her sister.",
        "again_on": clock.today() + timedelta(days=3),
    }
    return services.take_up(actor, end.course, **{**given, **changes})


def test_it_works(followed_up, coordinator):
    assert kinds() == []
    with in_days(16):
        end = only("no next step")
        assert end.course == followed_up
        take_up(coordinator, end, step="booked", words="Review booked for Thursday.")
        assert kinds() == ["missed forms"]
    event = Event.objects.get(kind="reviews.loose_end_taken_up")
    assert event.actor == coordinator
    assert event.data["step"] == "booked"


def test_a_course_in_treatment_with_sessions_ahead_has_its_next_step(treated):
    assert kinds() == []


def test_a_missed_session_asks_for_contact_even_if_another_is_planned(treated, nurse):
    planned = treated.planned_sessions.get(number=2)
    with clock.at(planned.planned_for + timedelta(hours=4)):
        plans.mark_missed(nurse, planned, reason="Did not come")
    with clock.at(planned.planned_for + timedelta(days=1, hours=1)):
        assert "missed visit" in kinds()


def test_a_session_that_nobody_opened_or_cancelled_counts_as_missed(treated):
    planned = treated.planned_sessions.get(number=2)
    with clock.at(planned.planned_for + timedelta(days=2)):
        assert only("missed visit").key == str(planned.pk)


def test_one_missed_form_is_no_loose_end_and_an_answer_settles_several(followed_up, nurse):
    closes = sorted(followed_up.form_requests.values_list("closes_at", flat=True))
    with clock.at(closes[0] + timedelta(minutes=1)):
        assert "missed forms" not in kinds()
    with clock.at(closes[-1] + timedelta(minutes=1)):
        assert "missed forms" in kinds()


def test_six_weeks_without_a_word_is_a_lost_contact(followed_up, nurse):
    with in_days(41):
        assert "lost contact" not in kinds()
    with in_days(43):
        assert "lost contact" in kinds()
    score(followed_up, nurse, 6, days=40)
    with in_days(43):
        assert "lost contact" not in kinds()


def test_a_referral_that_nobody_takes_up_is_seen(course):
    with in_days(20):
        assert kinds() == []
    with in_days(22):
        assert kinds() == ["stalled before treatment"]


def test_what_was_taken_up_comes_back_on_its_day_with_what_was_done(course, coordinator):
    with in_days(22):
        take_up(coordinator, only("stalled before treatment"))
        # What somebody did is an event: the course has moved, and a new count begins.
        assert kinds() == []
    with in_days(22 + 22):
        assert kinds() == ["stalled before treatment"]


def test_a_missed_visit_taken_up_comes_back_on_its_day(treated, nurse):
    planned = treated.planned_sessions.get(number=2)
    with clock.at(planned.planned_for + timedelta(days=2)):
        take_up(nurse, only("missed visit"))
        assert "missed visit" not in kinds()
    for later in treated.planned_sessions.filter(number__gt=2).order_by("-number"):
        plans.reschedule(nurse, later, planned_for=later.planned_for + timedelta(days=28))
    with clock.at(planned.planned_for + timedelta(days=5)):
        end = only("missed visit")
    assert end.taken_up.words == "Left a message with her sister."


def test_what_is_closed_with_a_reason_stays_away_and_the_next_one_is_new(treated, nurse):
    second = treated.planned_sessions.get(number=2)
    with clock.at(second.planned_for + timedelta(days=1, hours=1)):
        end = only("missed visit")
        take_up(nurse, end, step="closed", words="Was ill; she comes on Monday.", again_on=None)
        assert "missed visit" not in kinds()
    third = treated.planned_sessions.get(number=3)
    with clock.at(third.planned_for + timedelta(days=1, hours=1)):
        assert only("missed visit").key == str(third.pk)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key": "another"}, "no loose end any more"),
        ({"step": "forgot"}, "what was done"),
        ({"words": " "}, "in words"),
        ({"again_on": None}, "on which day"),
        ({"again_on": 0}, "on which day"),
        ({"again_on": 90}, "on which day"),
    ],
)
def test_no_loose_end_disappears_without_words_or_a_day(course, coordinator, changes, message):
    with in_days(22):
        if isinstance(changes.get("again_on"), int):
            changes = {"again_on": clock.today() + timedelta(days=changes["again_on"])}
        with pytest.raises(Refused, match=message):
            take_up(coordinator, only("stalled before treatment"), **changes)
        assert kinds() == ["stalled before treatment"]
        assert not Event.objects.filter(kind="reviews.loose_end_taken_up").exists()


def test_a_closed_course_has_no_loose_ends(course):
    people.move_to("a test", course, "declined")
    with in_days(60):
        assert kinds() == []


def test_the_list_costs_the_same_for_one_patient_and_for_many(
    followed_up, coordinator, django_assert_num_queries
):
    with in_days(50), django_assert_num_queries(4):
        before = len(queries.loose_ends())
    for number in range(12):
        people.receive_referral(coordinator, referral(number + 10), origin="a test")
    with in_days(50), django_assert_num_queries(4):
        assert len(queries.loose_ends()) == before + 12


def test_the_page_shows_each_with_its_telephone_and_takes_it_up(client, followed_up, nurse):
    followed_up.person.phone = "555-0101"
    followed_up.person.save()
    client.force_login(nurse)
    with in_days(16):
        page = client.get("/continuity/").content.decode()
        assert "no next step" in page
        assert "555-0101" in page
        end = only("no next step")
        address = f"/courses/{followed_up.pk}/loose-end/?rule={end.rule.id}&key={end.key}"
        assert "Left a message" not in client.get(address).content.decode()
        bad = client.post(address, {"step": "tried", "words": ""})
        assert bad.status_code == 422
        again = (clock.today() + timedelta(days=2)).isoformat()
        done = client.post(
            address, {"step": "reached", "words": "Comes on Monday", "again_on": again}
        )
        assert done.url == "/continuity/"
        assert client.get(address).status_code == 404
