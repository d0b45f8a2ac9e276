"""Goals, homework and life events, and how much of them the patient is shown."""

from datetime import timedelta

import pytest

from openketamine.clinic.errors import Refused
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Source
from openketamine.clinic.therapy import queries, services


@pytest.fixture
def goal(accompanied, therapist):
    return services.set_goal(
        therapist, accompanied, kind="belief", text="“I am a burden” is not a fact.", shared=True
    )


def test_it_works(accompanied, goal, therapist):
    services.give_homework(therapist, accompanied, text="Call Ines.", goal=goal)
    shared = queries.shared_with_patient(accompanied)
    assert shared.goals == [goal]
    assert [item.text for item in shared.homework] == ["Call Ines."]


def test_the_patient_sees_only_what_is_shared(accompanied, goal, therapist, prepared):
    services.change_goal(therapist, goal, shared=False)
    services.give_homework(therapist, accompanied, text="For us alone.", shared=False)
    shared = queries.shared_with_patient(accompanied)
    assert (shared.goals, shared.homework) == ([], [])
    ((visit, rows),) = shared.visits
    assert [field.name for field, _ in rows] == ["intention", "safe_word"]
    services.share_visit(therapist, visit, shared=["fears", "for_team"])
    ((_, rows),) = queries.shared_with_patient(accompanied).visits
    assert [field.name for field, _ in rows] == ["fears"]


def test_the_patient_ticks_off_what_was_shared_and_nothing_else(accompanied, therapist):
    shown = services.give_homework(therapist, accompanied, text="Walk by the sea.")
    hidden = services.give_homework(therapist, accompanied, text="Hidden.", shared=False)
    services.finish_homework("Maria Example1", shown, source=Source.PATIENT)
    services.finish_homework("Maria Example1", shown, source=Source.PATIENT)
    with pytest.raises(Refused):
        services.finish_homework("Maria Example1", hidden, source=Source.PATIENT)
    shown.refresh_from_db()
    assert shown.done_by_patient


def test_a_goal_is_reached_and_taken_up_again(goal, therapist):
    services.change_goal(therapist, goal, state="reached")
    goal.refresh_from_db()
    assert goal.ended_at
    services.change_goal(therapist, goal, state="open")
    goal.refresh_from_db()
    assert goal.ended_at is None


def test_what_cannot_be_is_refused_with_the_reason(accompanied, goal, therapist, coordinator):
    with pytest.raises(Refused, match="about"):
        services.set_goal(therapist, accompanied, kind="money", text="…")
    with pytest.raises(Refused, match="passed"):
        services.give_homework(
            therapist, accompanied, text="…", due_on=clock.today() - timedelta(days=1)
        )
    with pytest.raises(Refused, match="future"):
        services.record_life_event(
            therapist, accompanied, happened_on=clock.today() + timedelta(days=1), title="…"
        )
    with pytest.raises(Refused, match="role"):
        services.record_life_event(
            coordinator, accompanied, happened_on=clock.today(), title="Moved house"
        )


def test_visits_life_events_and_goals_are_marks_on_a_timeline(accompanied, goal, therapist, nurse):
    services.record_life_event(nurse, accompanied, happened_on=clock.today(), title="Moved house")
    services.change_goal(therapist, goal, state="reached")
    services.record_preparation(therapist, accompanied, words={"intention": "Rest."})
    assert {mark.kind for mark in queries.marks(accompanied)} == {"life", "goal", "visit"}


def test_the_page_keeps_what_was_typed_where_something_was_wrong(client, accompanied, therapist):
    client.force_login(therapist)
    address = f"/courses/{accompanied.pk}/therapy/"
    response = client.post(
        f"{address}life-events/", {"life-title": "Moved house", "life-happened_on": "2999-01-01"}
    )
    assert response.status_code == 422
    page = response.content.decode()
    assert "lies in the future" in page
    assert 'value="Moved house"' in page
    client.post(f"{address}goals/", {"goal-kind": "trauma", "goal-text": "Sleep with no light on."})
    client.post(f"{address}homework/", {"homework-text": "Write to Jo.", "homework-shared": "on"})
    page = client.get(address).content.decode()
    assert "Sleep with no light on." in page
    assert "not shown to the patient" in page
    assert "Write to Jo." in page


def test_the_page_costs_the_same_however_long_the_therapy(
    client, accompanied, therapist, django_assert_num_queries
):
    client.force_login(therapist)

    def fill(count):
        for _ in range(count):
            goal = services.set_goal(therapist, accompanied, kind="other", text="A goal.")
            services.give_homework(therapist, accompanied, text="A thing.", goal=goal)
            services.record_integration(therapist, accompanied, words={"mood": "Fine."})

    fill(1)
    with django_assert_num_queries(12):
        client.get(f"/courses/{accompanied.pk}/therapy/")
    fill(5)
    with django_assert_num_queries(12):
        client.get(f"/courses/{accompanied.pk}/therapy/")


def test_the_line_shows_doses_visits_symptoms_and_life_events_together(
    client, prepared, left, therapist, nurse, coordinator
):
    services.record_life_event(
        nurse, left.course, happened_on=clock.today(), title="The mother died"
    )
    client.force_login(therapist)
    page = client.get(f"/courses/{left.course_id}/therapy/").content.decode()
    assert f"/courses/{left.course_id}/line/" in page
    line = client.get(f"/courses/{left.course_id}/line/").content.decode()
    for words in ("41 mg", "Preparation", "The mother died", "Life events"):
        assert words in line
    client.force_login(coordinator)
    assert client.get(f"/courses/{left.course_id}/line/").status_code == 403
    course = client.get(f"/courses/{left.course_id}/").content.decode()
    assert "The mother died" not in course
