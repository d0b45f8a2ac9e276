"""Preparation, integration, and when they fall due."""

from datetime import timedelta

import pytest

from openketamine.clinic.errors import Refused
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.therapy import queries, services
from openketamine.clinic.therapy.models import TherapyVisit

from .conftest import WORDS


def test_it_works(prepared, therapist):
    assert prepared.held_by == therapist
    assert prepared.content["topics"] == ["frame", "music"]
    event = Event.objects.get(kind="therapy.preparation_recorded")
    assert event.person_id == prepared.person_id
    assert event.data["content"]["safe_word"] == "harbour"


def test_what_is_for_the_team_alone_is_never_shared(prepared):
    assert prepared.shared == ["intention", "safe_word"]


def test_only_a_therapist_records_a_visit(accompanied, nurse, director):
    for actor in (nurse, director):
        with pytest.raises(Refused, match="role"):
            services.record_preparation(actor, accompanied, words=WORDS)


def test_an_empty_record_is_refused(accompanied, therapist):
    with pytest.raises(Refused, match="Nothing is written"):
        services.record_preparation(therapist, accompanied, words={"fears": "  "})
    with pytest.raises(Refused, match="no topic"):
        services.record_preparation(therapist, accompanied, words=WORDS, topics=["cooking"])
    assert not TherapyVisit.objects.exists()


def test_an_integration_falls_due_in_the_window_of_the_protocol(left):
    (visit,) = TherapyVisit.objects.all()
    (rule,) = [rule for rule in library().therapy.visits if rule.kind == "integration"]
    assert visit.opens_at == left.closed_at + timedelta(hours=rule.opens_hours)
    assert visit.closes_at == left.closed_at + timedelta(hours=rule.closes_hours)
    assert rule.certainty == "recalled"
    assert rule.authority == "clinic policy"
    assert "no trial fixes it" in rule.statement


@pytest.mark.parametrize(
    ("hours", "state"), [(2, "to come"), (30, "due"), (71, "due"), (73, "overdue")]
)
def test_it_is_due_inside_its_window_and_overdue_after_it(left, therapist, hours, state):
    with clock.at(left.closed_at + timedelta(hours=hours)):
        (row,) = [each for each in queries.due_visits(therapist=therapist) if each.visit]
        assert row.state == state
        assert row.session_number == 1


def test_an_integration_that_was_not_held_lapses_and_leaves_the_list_but_not_the_patients_page(
    left, therapist, client
):
    (rule,) = [rule for rule in library().therapy.visits if rule.kind == "integration"]
    assert (rule.lapses_hours, rule.certainty) == (336, "recalled")
    closes = left.closed_at + timedelta(hours=rule.closes_hours)
    with clock.at(closes + timedelta(hours=335)):
        assert [each.state for each in queries.due_visits(therapist=therapist)] == ["overdue"]
    with clock.at(closes + timedelta(hours=337)):
        assert queries.due_visits(therapist=therapist) == []
        client.force_login(therapist)
        page = client.get(f"/courses/{left.course_id}/therapy/").content.decode()
        assert "lapsed" in page


def test_where_nobody_accompanies_the_course_nothing_falls_due(discharged):
    assert not TherapyVisit.objects.exists()
    assert queries.due_visits() == []


def test_a_preparation_is_due_before_the_first_session_and_once_recorded_no_more(
    accompanied, therapist
):
    # Tomorrow, for the first session of today may be over by the hour at which this runs.
    accompanied.planned_sessions.update(planned_for=clock.now() + timedelta(days=1))
    (row,) = queries.due_visits(therapist=therapist)
    assert (row.kind, row.state, row.visit) == ("preparation", "due", None)
    services.record_preparation(therapist, accompanied, words=WORDS)
    assert queries.due_visits(therapist=therapist) == []


def test_a_colleagues_patients_are_not_on_the_own_list(accompanied, second_therapist):
    assert queries.due_visits(therapist=second_therapist) == []
    assert queries.accompanied(second_therapist) == []
    assert len(queries.due_visits()) == 1


def test_an_integration_is_recorded_once_and_never_rewritten(left, therapist):
    (visit,) = TherapyVisit.objects.all()
    with clock.at(left.closed_at + timedelta(hours=30)):
        services.record_integration(
            therapist, left.course, words={"stood_out": "The sea."}, visit=visit
        )
        with pytest.raises(Refused, match="recorded already"):
            services.record_integration(
                therapist, left.course, words={"stood_out": "Something else."}, visit=visit
            )
        assert not [each for each in queries.due_visits() if each.visit]
    visit.refresh_from_db()
    assert visit.content == {"stood_out": "The sea."}


def test_a_visit_is_planned_moved_and_cancelled_with_a_reason(accompanied, coordinator, therapist):
    tomorrow = clock.now() + timedelta(days=1)
    visit = services.plan_visit(coordinator, accompanied, planned_for=tomorrow, kind="preparation")
    services.plan_visit(
        therapist, accompanied, planned_for=tomorrow + timedelta(hours=2), visit=visit
    )
    with pytest.raises(Refused, match="reason"):
        services.cancel_visit(therapist, visit, why=" ")
    services.cancel_visit(therapist, visit, why="The patient is ill.")
    with pytest.raises(Refused, match="cancelled"):
        services.plan_visit(therapist, accompanied, planned_for=tomorrow, visit=visit)
    (row,) = queries.due_visits(therapist=therapist)
    assert row.visit is None, "the preparation is due again"


def test_an_hour_that_has_passed_is_no_appointment(accompanied, therapist):
    with pytest.raises(Refused, match="passed"):
        services.plan_visit(therapist, accompanied, planned_for=clock.now() - timedelta(hours=1))


def test_a_goal_of_another_course_is_refused(accompanied, therapist):
    with pytest.raises(Refused, match="not of this course"):
        services.record_integration(
            therapist, accompanied, words={"stood_out": "…"}, goals=[999_999]
        )


def test_the_therapists_list_costs_the_same_for_any_number_of_patients(
    client, left, therapist, coordinator, prescriber, django_assert_num_queries
):
    from openketamine.clinic.people import services as people

    from ..conftest import referral

    client.force_login(therapist)
    with django_assert_num_queries(11):
        page = client.get("/therapy/").content.decode()
    assert "Integration after session 1" in page
    for number in range(2, 8):
        other = people.receive_referral(coordinator, referral(number), origin="a test").person
        course = other.courses.get()
        people.assign_team(coordinator, course, prescriber=prescriber, therapist=therapist)
        services.plan_visit(therapist, course, planned_for=clock.now() + timedelta(hours=3))
    with django_assert_num_queries(11):
        page = client.get("/therapy/").content.decode()
    assert "Example7" in page
