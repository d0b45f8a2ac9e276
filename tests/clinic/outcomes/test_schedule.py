"""What falls due by the clock: the day before a session, and every month after the last one."""

from datetime import timedelta

import pytest

from openketamine.clinic.errors import Refused
from openketamine.clinic.outcomes import queries, schedule, services
from openketamine.clinic.outcomes.models import FormRequest
from openketamine.clinic.plans import services as plans
from openketamine.clinic.record import clock


def second(discharged):
    return discharged.course.planned_sessions.get(number=2)


def before(**wanted):
    return list(FormRequest.objects.filter(occasion="before", **wanted))


def test_it_works(discharged):
    planned = second(discharged)
    with clock.at(planned.planned_for - timedelta(hours=23)):
        assert schedule.plan_due_forms() == 1
        (form,) = before()
        assert (form.instrument, form.session_number) == ("asq", 2)
        assert form.closes_at == planned.planned_for
        assert queries.state_of(form) == "due"


def test_nothing_is_asked_too_early_and_nothing_twice(discharged):
    planned = second(discharged)
    with clock.at(planned.planned_for - timedelta(hours=25)):
        assert schedule.plan_due_forms() == 0
    for hours in (23, 22, 1):
        with clock.at(planned.planned_for - timedelta(hours=hours)):
            schedule.plan_due_forms()
    assert len(before()) == 1


def test_a_session_that_is_moved_takes_its_form_along(discharged, coordinator):
    planned = second(discharged)
    with clock.at(planned.planned_for - timedelta(hours=20)):
        schedule.plan_due_forms()
        plans.reschedule(coordinator, planned, planned_for=planned.planned_for + timedelta(hours=3))
        schedule.plan_due_forms()
    planned.refresh_from_db()
    (form,) = before()
    assert form.closes_at == planned.planned_for


def test_pain_is_asked_where_it_is_treated(discharged):
    discharged.course.condition = "PAIN"
    discharged.course.save()
    with clock.at(second(discharged).planned_for - timedelta(hours=2)):
        schedule.plan_due_forms()
    assert {form.instrument for form in before()} == {"asq", "nrs-pain"}


def test_every_month_after_the_last_session_until_the_course_is_closed(discharged):
    end = discharged.closed_at

    def asked(days):
        with clock.at(end + timedelta(days=days)):
            schedule.plan_due_forms()
        return FormRequest.objects.filter(occasion="monthly", instrument="phq9").count()

    assert [asked(days) for days in (27, 28.1, 40, 56.1, 84.1)] == [0, 1, 1, 2, 3]
    rounds = FormRequest.objects.filter(occasion="monthly", instrument="phq9")
    assert [form.round for form in rounds] == [0, 1, 2]
    discharged.course.closed_at = end + timedelta(days=90)
    discharged.course.save()
    assert asked(112.1) == 3


def test_a_month_that_nobody_looked_at_is_not_asked_for_afterwards(discharged):
    with clock.at(discharged.closed_at + timedelta(days=28 * 4 + 1)):
        schedule.plan_due_forms()
        (form,) = FormRequest.objects.filter(occasion="monthly", instrument="phq9")
        assert form.round == 3
        assert queries.state_of(form) == "due"


def test_what_nobody_is_called_for_is_no_call_to_make(discharged):
    FormRequest.objects.exclude(occasion__in=["2h", "24h"]).delete()
    with clock.at(discharged.closed_at + timedelta(days=5)):
        assert [form.occasion for form in queries.missed_forms()] == ["24h"]


def test_a_patient_who_has_had_the_drug_is_asked_nothing(discharged, nurse, chair):
    form = FormRequest.objects.get(occasion="24h")
    discharged.phase, discharged.closed_at = "infusion", None
    discharged.save()
    later = clock.at(form.due_at + timedelta(hours=1))
    with later, pytest.raises(Refused, match="session is going on"):
        services.require_answerable(form)


def test_the_schedule_costs_the_same_for_any_number_of_courses(
    discharged, django_assert_num_queries
):
    with clock.at(second(discharged).planned_for - timedelta(hours=2)):
        schedule.plan_due_forms()
        with django_assert_num_queries(7):
            schedule.plan_due_forms()


def test_how_often_forms_are_answered_counts_neither_for_nor_against_what_is_open(
    client, discharged, nurse, django_assert_num_queries
):
    FormRequest.objects.exclude(occasion__in=["2h", "24h", "7d"]).delete()
    day = FormRequest.objects.get(occasion="24h")
    with clock.at(day.due_at + timedelta(hours=1)):
        services.enter(nurse, day, answers={f"q{n}": 1 for n in range(1, 9)} | {"q9": 0})
    with clock.at(discharged.closed_at + timedelta(days=7, hours=1)):
        with django_assert_num_queries(2):  # the policy, and the counts
            found = {row.label: row for row in queries.completion()}
        client.force_login(nurse)
        page = client.get("/follow-up/").content.decode()
    counts = {label: (row.answered, row.asked, row.waiting) for label, row in found.items()}
    assert counts == {
        "2 to 4 hours after the session": (0, 1, 0),
        "24 hours after the session": (1, 1, 0),
        "7 days after the session": (0, 0, 1),
    }
    assert found["24 hours after the session"].percent == 100
    assert found["7 days after the session"].percent is None
    assert "1 of 1" in page
