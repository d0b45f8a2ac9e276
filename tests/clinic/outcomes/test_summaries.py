"""The rows that are counted are what the record says, and cost the same however many there are."""

import json
from datetime import timedelta

from django.db import connection
from django.test.utils import CaptureQueriesContext

from openketamine.clinic.outcomes import cohort, summaries
from openketamine.clinic.outcomes.models import CourseSummary, ScoreSummary, SummaryState
from openketamine.clinic.people.models import Course
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event
from openketamine.clinic.sessions.models import Session
from openketamine.clinic.sessions.timeline import fold

from .conftest import NOW


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


def test_it_works(years):
    assert summaries.rebuild(everything=True) == 110
    assert CourseSummary.objects.filter(first_dose_at__isnull=False).count() == 110
    assert SummaryState.objects.get().seq == Event.objects.count()


def test_a_simulated_record_is_whole(years):
    assert record.verify().intact


def test_every_summary_is_the_fold_of_its_record(years):
    summaries.rebuild()
    courses = list(Course.objects.order_by("pk")[:45])
    assert any(folded(course)["effects"] for course in courses)
    for course in courses:
        assert summed(course) == folded(course)


def test_only_what_has_changed_is_worked_out_again(years, django_assert_num_queries):
    summaries.rebuild()
    assert summaries.rebuild() == 0
    course = Course.objects.select_related("person").first()
    before = CourseSummary.objects.get(course=course).seq
    record.append("a test", course.stream, "test.happened", {}, person_id=course.person_id)
    assert summaries.freshen().waiting == 0
    assert CourseSummary.objects.get(course=course).seq == before + 1
    assert CourseSummary.objects.filter(seq=before + 1).count() == 1
    with django_assert_num_queries(2):
        summaries.freshen()


def test_a_page_does_not_wait_for_hundreds_of_courses(years, monkeypatch):
    monkeypatch.setattr(summaries, "AT_ONCE", 10)
    SummaryState.objects.update(seq=0)
    assert summaries.freshen().waiting == 110
    summaries.rebuild()
    assert summaries.freshen().waiting == 0


def test_working_out_costs_the_same_queries_for_ten_courses_as_for_a_hundred(years):
    ids = list(Course.objects.values_list("pk", flat=True))
    counts = []
    for some in (ids[:10], ids):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            summaries._make(some, 1)
        # Writing goes in as many statements as the database's limit of parameters asks for.
        counts.append(sum(q["sql"].startswith("SELECT") for q in queries))
    assert counts[0] == counts[1] <= 9


def test_a_cohort_is_read_as_its_summaries_say(years):
    courses = cohort.load(cohort.Filters(), NOW)
    found = cohort.load_scores(cohort.Filters(), courses, "phq9")
    rows = list(zip(found.owner.tolist(), found.day.tolist(), found.total.tolist(), strict=True))
    forms = list(zip(found.asked_owner, found.due_day, found.closing_day, strict=True))
    for place, pk in enumerate(courses.ids):
        score = ScoreSummary.objects.filter(summary=pk, instrument="phq9").first()
        points = json.loads(score.points) if score else []
        asked = json.loads(score.asked) if score else []
        assert [[day, total] for owner, day, total in rows if owner == place] == points
        assert [[d, c] for owner, d, c in forms if owner == place] == [f[:2] for f in asked]
    assert len(rows) > 300
