"""The patient's form: by link, one question a screen, saved as one goes, an alarm never lost."""

from datetime import timedelta

import pytest

from openketamine.clinic.errors import Refused
from openketamine.clinic.intake.models import InstrumentResponse, SafetyReview
from openketamine.clinic.outcomes import queries, services
from openketamine.clinic.outcomes.models import FormRequest
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event, Source


def link(request):
    return f"/f/{services.token_for(request)}/"


def answer(client, request, **values):
    for item, value in values.items():
        client.post(link(request), {"item": item, "value": value})


ALL = {f"q{n}": 1 for n in range(1, 9)} | {"q9": 0}


def test_it_works(client, form):
    assert "Hello Maria" in client.get(link(form)).content.decode()
    page = client.get(link(form) + "?q=q1").content.decode()
    assert "Little interest or pleasure" in page
    answer(client, form, **ALL)
    assert "That is all. Send it?" in client.get(link(form)).content.decode()
    page = client.post(link(form), {"send": "1"}, follow=True).content.decode()
    assert "Thank you" in page
    response = InstrumentResponse.objects.get(occasion="24h")
    assert (response.total, response.off_window, response.entered_by) == (8, True, None)
    event = Event.objects.filter(kind="intake.questionnaire_answered").last()
    assert event.source == Source.PATIENT
    assert event.actor_name == "Maria Example1 (by link)"


def test_discharge_asks_for_a_day_and_a_week(discharged):
    day, week = FormRequest.objects.filter(instrument="phq9").order_by("due_at")
    assert day.due_at - discharged.closed_at == timedelta(hours=24)
    assert week.due_at - discharged.closed_at == timedelta(days=7)


def test_it_goes_on_where_the_patient_left_off(client, form):
    answer(client, form, q1=2, q2=0)
    assert "3 of 9" in client.get(link(form)).content.decode()
    form.refresh_from_db()
    assert form.draft == {"q1": 2, "q2": 0}


def test_an_answer_that_is_none_changes_nothing(client, form):
    for item, value in (("q1", "7"), ("q99", "1"), ("q1", "x")):
        client.post(link(form), {"item": item, "value": value})
    form.refresh_from_db()
    assert form.draft == {}


def test_sending_an_unfinished_form_is_refused(client, form):
    answer(client, form, q1=2)
    client.post(link(form), {"send": "1"})
    form.refresh_from_db()
    assert form.completed_at is None
    with pytest.raises(Refused, match="8 questions have no answer"):
        services.submit(form)


def test_an_alarming_answer_opens_a_review_before_it_is_sent(client, form):
    answer(client, form, q9=2)
    assert SafetyReview.objects.get().statement
    page = client.get(link(form) + "?q=q1").content.decode()
    assert "You are not alone with this" in page
    assert 'href="tel:988"' in page
    assert InstrumentResponse.objects.get(occasion="24h").total is None


def test_an_alarm_that_is_sent_is_one_review_and_shows_help(client, form):
    answer(client, form, **{**ALL, "q9": 3})
    page = client.post(link(form), {"send": "1"}, follow=True).content.decode()
    assert "Thank you" in page
    assert "You are not alone with this" in page
    assert SafetyReview.objects.count() == 1


def test_a_link_works_only_while_it_is_due(client, discharged):
    request = FormRequest.objects.get(occasion="24h", instrument="phq9")
    address = link(request)
    assert "too early" in client.get(address).content.decode()
    with clock.at(request.closes_at + timedelta(hours=1)):
        assert "This form is closed" in client.get(address).content.decode()
        client.post(address, {"item": "q1", "value": "1"})
    request.refresh_from_db()
    assert request.draft == {}


def test_an_answered_form_cannot_be_answered_again(client, form):
    answer(client, form, **ALL)
    client.post(link(form), {"send": "1"})
    answer(client, form, q1=3)
    assert "answered this form already" in client.get(link(form)).content.decode()
    assert InstrumentResponse.objects.filter(occasion="24h").count() == 1


def test_a_forged_link_opens_nothing_and_guessing_is_stopped(client, form):
    token = services.token_for(form)
    forged = token[:-1] + ("A" if token[-1] != "A" else "B")
    assert client.get(f"/f/{forged}/").status_code == 404
    for _ in range(25):
        last = client.get("/f/guess/")
    assert last.status_code == 429
    assert client.get(link(form)).status_code == 429


def test_the_link_does_not_tell_who_the_patient_is(client, form):
    page = client.get(link(form)).content.decode()
    assert "Example1" not in page
    assert form.person.mrn not in page


def test_the_trajectory_judges_in_window_scores_only(client, form, nurse):
    answer(client, form, **{**ALL, **{f"q{n}": 0 for n in range(1, 9)}})
    client.post(link(form), {"send": "1"})
    line = queries.trajectories(form.course)[0]
    assert [p.off_window for p in line.points] == [False, True]
    assert not line.responded
    week = FormRequest.objects.get(occasion="7d", instrument="phq9")
    with clock.at(week.due_at + timedelta(hours=1)):
        answer(client, week, **{f"q{n}": 0 for n in range(1, 10)})
        client.post(link(week), {"send": "1"})
        line = queries.trajectories(form.course)[0]
    assert line.responded
    assert line.remitted
    assert "PHQ-9 16 at intake, 0 at the last in-window score" in line.summary
    client.force_login(nurse)
    page = client.get(f"/courses/{form.course_id}/trajectory/").content.decode()
    assert "remission" in page
    assert "<svg" in page


def test_staff_see_who_owes_an_answer_and_whom_to_call(client, nurse, discharged):
    day = FormRequest.objects.get(occasion="24h", instrument="phq9")
    client.force_login(nurse)
    assert "Nobody owes an answer" in client.get("/follow-up/").content.decode()
    with clock.at(day.due_at + timedelta(hours=30)):
        page = client.get("/follow-up/").content.decode()
        assert "overdue" in page
        assert services.token_for(day)[:20] in page
        assert "overdue" in client.get("/follow-up/summary/").content.decode()
    with clock.at(day.closes_at + timedelta(hours=1)):
        page = client.get("/follow-up/").content.decode()
    assert "closed unanswered" in page


def test_a_patient_sees_the_own_forms_and_nobody_elses(client, form, patient_user):
    form.person.user = patient_user
    form.person.save()
    client.force_login(patient_user)
    page = client.get("/me/").content.decode()
    assert "Hello Maria" in page
    assert services.token_for(form)[:20] in page
    for address in ("/today/", "/people/", "/follow-up/", f"/people/{form.person_id}/"):
        assert client.get(address).status_code == 403
    form.person.user = None
    form.person.save()
    assert services.token_for(form)[:20] not in client.get("/me/").content.decode()
