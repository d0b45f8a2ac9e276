"""The rows that are counted are what the record says, and cost the same however many there are."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from openketamine.clinic.outcomes import summaries
from openketamine.clinic.outcomes.models import CourseSummary, ScoreSummary, SummaryState
from openketamine.clinic.people.models import Course
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event
from openketamine.clinic.sessions import services as sessions
from openketamine.clinic.sessions.models import Session
from openketamine.clinic.sessions.timeline import fold
from openketamine.demo.earlier import Simulation

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def earlier(signed_policy):
    """Forty courses of earlier years."""
    with clock.at(NOW):
        Simulation(7, until=NOW).run(40)
        yield


def folded(course: Course) -> dict:
    """A course as the record alone tells it, one event after the other."""
    given, effects, any_effect, graver = [], {}, 0, 0
    streams = [
        f"session:{pk}" for pk in Session.objects.filter(course=course).values_list("pk", flat=True)
    ]
    timelines = [fold(list(Event.objects.filter(stream=s).order_by("seq"))) for s in streams]
    for timeline in timelines:
        if timeline.discharge is None and timeline.transfer is None:
            continue
        given.append(next(line.at for line in timeline.lines if line.kind == "session.opened"))
        worst: dict[str, int] = {}
        for line in timeline.side_effects:
            degree = summaries.DEGREES.index(line.data["severity"])
            worst[line.data["effect"]] = max(degree, worst.get(line.data["effect"], 0))
        for effect, degree in worst.items():
            effects.setdefault(effect, [0, 0, 0])[degree] += 1
        any_effect += bool(worst)
        graver += any(worst.values())
    first = min(given, default=None)
    baseline, points = {}, {}
    for event in Event.objects.filter(
        stream=course.stream, kind="intake.questionnaire_answered"
    ).order_by("occurred_at", "seq"):
        name, total = event.data["instrument"], event.data["total"]
        if first is None or event.occurred_at < first:
            baseline[name] = total
        elif not event.data["off_window"]:
            day = round((event.occurred_at - first) / timedelta(days=1), 3)
            points.setdefault(name, []).append([day, total])
    return {
        "first": first,
        "given": len(given),
        "effects": effects,
        "any": any_effect,
        "moderate": graver,
        "baseline": baseline,
        "points": points,
    }


def summed(course: Course) -> dict:
    summary = CourseSummary.objects.get(course=course)
    scores = ScoreSummary.objects.filter(summary=summary)
    return {
        "first": summary.first_dose_at,
        "given": summary.sessions_given,
        "effects": json.loads(summary.effects),
        "any": summary.sessions_with_effect,
        "moderate": summary.sessions_with_moderate,
        "baseline": {s.instrument: s.baseline for s in scores if s.baseline is not None},
        "points": {s.instrument: json.loads(s.points) for s in scores if s.points != "[]"},
    }


def test_it_works(earlier):
    assert summaries.rebuild() == 40
    assert CourseSummary.objects.filter(first_dose_at__isnull=False).count() == 40
    assert SummaryState.objects.get().seq == Event.objects.count()


def test_a_simulated_record_is_whole(earlier):
    assert record.verify().intact


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


def test_every_summary_is_the_fold_of_its_record(earlier):
    summaries.rebuild()
    courses = list(Course.objects.all())
    assert any(folded(course)["effects"] for course in courses)
    for course in courses:
        assert summed(course) == folded(course)


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


def test_only_what_has_changed_is_worked_out_again(earlier, django_assert_num_queries):
    summaries.rebuild()
    assert summaries.rebuild() == 0
    course = Course.objects.select_related("person").first()
    before = CourseSummary.objects.get(course=course).seq
    record.append("a test", course.stream, "test.happened", {}, person_id=course.person_id)
    with clock.at(NOW):
        assert summaries.freshen().waiting == 0
    assert CourseSummary.objects.get(course=course).seq == before + 1
    assert CourseSummary.objects.filter(seq=before + 1).count() == 1
    with django_assert_num_queries(2):
        summaries.freshen()


def test_a_page_does_not_wait_for_hundreds_of_courses(earlier, monkeypatch):
    monkeypatch.setattr(summaries, "AT_ONCE", 10)
    assert summaries.freshen().waiting == 40
    assert not CourseSummary.objects.exists()
    summaries.rebuild()
    assert summaries.freshen().waiting == 0


def test_working_out_costs_the_same_queries_for_ten_courses_as_for_forty(earlier):
    ids = list(Course.objects.values_list("pk", flat=True))
    counts = []
    for some in (ids[:10], ids):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            summaries._make(some, 1)
        counts.append(sum("SAVEPOINT" not in q["sql"] for q in queries))
    assert counts[0] == counts[1] <= 11


def test_a_course_that_has_not_begun_has_no_first_dose(course):
    summaries.rebuild()
    summary = CourseSummary.objects.get()
    assert summary.first_dose_at is None
    assert summary.age_years is None
