"""Outcomes where there is hardly anything to count: nothing yet, one course, a correction."""

from datetime import timedelta

from django.db import transaction

from openketamine.clinic.notices import signals
from openketamine.clinic.outcomes import summaries
from openketamine.clinic.outcomes.models import CourseSummary, SummaryState
from openketamine.clinic.people.models import Course
from openketamine.clinic.record import clock
from openketamine.clinic.sessions import services as sessions
from openketamine.demo.earlier import Simulation

from .conftest import NOW
from .test_reports import PAGES, text_of
from .test_summaries import folded, summed


def test_a_clinic_that_has_not_begun_is_told_what_to_do(client, director):
    client.force_login(director)
    for page in PAGES:
        response = client.get(page)
        assert response.status_code == 200
        assert "begins to count with its first dose" in text_of(response)


def test_a_course_that_has_not_begun_has_no_first_dose(course):
    summaries.rebuild()
    summary = CourseSummary.objects.get()
    assert summary.first_dose_at is None
    assert summary.age_years is None


def test_a_side_effect_that_is_taken_back_counts_no_longer(running, nurse):
    noted = sessions.record_side_effect(nurse, running, effect="nausea", severity="severe")
    sessions.record_side_effect(nurse, running, effect="nausea", severity="mild")
    with clock.at(clock.now() + timedelta(minutes=41)):
        sessions.end_infusion(nurse, running)
        sessions.transfer_to_hospital(
            nurse, running, where="Hospital", why="a test", accompanied_by="nurse"
        )
        summaries.rebuild()
        assert summed(running.course)["effects"] == {"nausea": [0, 0, 1]}
        assert CourseSummary.objects.get().transfers == 1
        sessions.correct_event(nurse, running, seq=noted.seq, reason="wrong patient")
        summaries.freshen()
    assert (
        summed(running.course)["effects"]
        == {"nausea": [1, 0, 0]}
        == folded(running.course)["effects"]
    )


def test_the_same_seed_simulates_the_same_courses(signed_policy):
    def one() -> list:
        with transaction.atomic(), clock.at(NOW):
            Simulation(3, until=NOW).run(6)
            summaries.rebuild()
            made = [
                (str(c.pk), c.person.family_name, summed(c))
                for c in Course.objects.select_related("person").order_by("pk")
            ]
            transaction.set_rollback(True)
        return made

    assert one() == one() != []


def test_once_a_minute_the_runner_works_out_what_has_changed(course, monkeypatch):
    monkeypatch.setattr(summaries._round, "last", None)
    signals.tick.send(sender=None, now=NOW)
    assert CourseSummary.objects.count() == 1
    CourseSummary.objects.all().delete()
    SummaryState.objects.all().delete()
    signals.tick.send(sender=None, now=NOW + timedelta(seconds=59))
    assert not CourseSummary.objects.exists()
    signals.tick.send(sender=None, now=NOW + timedelta(seconds=61))
    assert CourseSummary.objects.count() == 1
