"""What falls due after a session: by condition, not too often, to the patient or to the staff."""

from datetime import timedelta

import pytest

from openketamine.clinic.errors import Refused
from openketamine.clinic.intake.models import InstrumentResponse, SafetyReview
from openketamine.clinic.outcomes import services
from openketamine.clinic.outcomes.models import FormRequest
from openketamine.clinic.portal import queries as portal
from openketamine.clinic.record import clock


def link(request):
    return f"/f/{services.token_for(request)}/"


def asked():
    return {(form.occasion, form.instrument) for form in FormRequest.objects.all()}


def due(form):
    return clock.at(form.due_at + timedelta(hours=1))


def test_it_works(discharged):
    assert asked() == {
        ("2h", "side-effects"),
        ("24h", "phq9"),
        ("3d", "side-effects"),
        ("7d", "phq9"),
        ("weekly", "gad7"),
        ("weekly", "side-effects"),
        ("4-weekly", "wsas"),
        ("3-monthly", "bladder"),
    }


@pytest.mark.parametrize(
    ("condition", "more"),
    [
        ("PTSD", {("4-weekly", "pcl5")}),
        ("PAIN", {("24h", "nrs-pain"), ("7d", "peg")}),
        ("AUD", {("4-weekly", "audit-c")}),
        ("SUD", {("4-weekly", "audit-c"), ("4-weekly", "dast-10")}),
        ("SUI", {("7d", "asq")}),
    ],
)
def test_the_condition_adds_its_own(running, discharged, nurse, condition, more):
    before = asked()
    FormRequest.objects.all().delete()
    discharged.course.condition = condition
    services.ask_after_session(type(discharged), session=discharged, actor=nurse)
    assert asked() - before == more


def test_a_second_session_in_the_week_asks_the_weekly_ones_no_second_time(discharged, nurse):
    discharged.closed_at += timedelta(days=3)
    discharged.planned.number = 2
    services.ask_after_session(type(discharged), session=discharged, actor=nurse)
    counts = {}
    for form in FormRequest.objects.all():
        counts[form.instrument] = counts.get(form.instrument, 0) + 1
    assert counts == {"phq9": 4, "gad7": 1, "side-effects": 5, "wsas": 1, "bladder": 1}


def test_a_week_later_they_are_asked_again_and_the_monthly_ones_not(discharged, nurse):
    discharged.closed_at += timedelta(days=7)
    discharged.planned.number = 3
    services.ask_after_session(type(discharged), session=discharged, actor=nurse)
    assert FormRequest.objects.filter(instrument="gad7").count() == 2
    assert FormRequest.objects.filter(instrument="wsas").count() == 1


def test_the_clinics_own_form_falls_due_to_the_staff(client, discharged, nurse, patient_user):
    form = FormRequest.objects.get(instrument="wsas")
    form.person.user = patient_user
    form.person.save()
    with due(form):
        assert "asks you these questions in person" in client.get(link(form)).content.decode()
        client.force_login(patient_user)
        assert "WSAS" not in client.get("/me/").content.decode()
        client.force_login(nurse)
        page = client.get("/follow-up/").content.decode()
        assert f"/forms/{form.pk}/enter/" in page
        assert services.token_for(form)[:20] not in page
        answers = {f"q{n}": 4 for n in range(1, 6)}
        client.post(f"/forms/{form.pk}/enter/", answers)
    form.refresh_from_db()
    assert (form.response.total, form.response.occasion) == (20, "4-weekly")
    assert form.response.entered_by == nurse


def test_a_missed_form_can_still_be_asked_on_the_telephone(client, form, nurse):
    client.force_login(nurse)
    with clock.at(form.closes_at + timedelta(days=1)):
        assert f"/forms/{form.pk}/enter/" in client.get("/follow-up/").content.decode()
        answers = {f"q{n}": 1 for n in range(1, 9)} | {"q9": 0}
        client.post(f"/forms/{form.pk}/enter/", answers)
    form.refresh_from_db()
    assert form.response.total == 8


def test_an_unfinished_form_with_an_alarm_keeps_the_alarm_and_stays_due(client, form, nurse):
    client.force_login(nurse)
    page = client.post(f"/forms/{form.pk}/enter/", {"q9": 2}, follow=True).content.decode()
    assert "Safety review" in page
    form.refresh_from_db()
    assert form.completed_at is None
    assert SafetyReview.objects.get(closed_at=None).response.complete is False


def test_what_is_answered_or_not_due_is_not_entered(form, nurse):
    answers = {f"q{n}": 1 for n in range(1, 9)} | {"q9": 0}
    later = FormRequest.objects.get(occasion="7d")
    with pytest.raises(Refused, match="not due yet"):
        services.enter(nurse, later, answers=answers)
    services.enter(nurse, form, answers=answers)
    with pytest.raises(Refused, match="answered already"):
        services.enter(nurse, form, answers=answers)
    assert InstrumentResponse.objects.filter(occasion="24h").count() == 1


def asq(discharged):
    form = FormRequest.objects.get(occasion="7d")
    form.instrument = "asq"
    form.save()
    return form


def test_the_fifth_question_of_the_asq_comes_only_after_a_yes(client, discharged):
    form = asq(discharged)
    with due(form):
        assert "Question 1 of 4" in client.get(link(form) + "?q=q1").content.decode()
        for item in ("q1", "q2", "q3", "q4"):
            response = client.post(link(form), {"item": item, "value": 0})
        assert response.url.endswith("?q=end")
        response = client.post(link(form), {"item": "q4", "value": 1})
        assert response.url.endswith("?q=q5")
        page = client.get(link(form) + "?q=q5").content.decode()
    assert "Question 5 of 5" in page
    assert "right now" in page
    assert "You are not alone with this" in page


def test_each_further_alarm_is_raised_when_it_is_answered(client, discharged):
    """A yes opens a review; “right now” does not wait until the form is sent."""
    form = asq(discharged)
    with due(form):
        client.post(link(form), {"item": "q1", "value": 1})
        assert SafetyReview.objects.count() == 1
        for item in ("q2", "q3", "q4"):
            client.post(link(form), {"item": item, "value": 0})
        client.post(link(form), {"item": "q5", "value": 1})
        assert {r.demands[:9] for r in SafetyReview.objects.all()} == {"A clinici", "The emerg"}
        client.post(link(form), {"send": "1"})
    assert SafetyReview.objects.count() == 2
    assert InstrumentResponse.objects.get(complete=True, occasion="7d").band == "acute positive"


def test_blood_in_the_urine_calls_a_clinician_and_no_crisis_line(client, discharged):
    form = FormRequest.objects.get(instrument="bladder")
    with due(form):
        client.post(link(form), {"item": "q6", "value": 1})
        page = client.get(link(form) + "?q=q1").content.decode()
    assert SafetyReview.objects.get().statement == "Blood in the urine"
    assert "Someone from the clinic will look at what you told us" in page
    assert "You are not alone with this" not in page


def test_a_pain_score_of_the_day_is_in_its_window_where_the_phq9_is_not(discharged, nurse):
    discharged.course.condition = "PAIN"
    FormRequest.objects.all().delete()
    services.ask_after_session(type(discharged), session=discharged, actor=nurse)
    pain = FormRequest.objects.get(instrument="nrs-pain")
    with due(pain):
        services.save_answer(pain, item="q1", value=6)
        response = services.submit(pain)
    assert (response.total, response.off_window) == (6, False)


def test_the_large_answers_of_a_number_scale(client, discharged, nurse):
    form = FormRequest.objects.get(occasion="7d")
    form.instrument = "peg"
    form.save()
    with due(form):
        page = client.get(link(form) + "?q=q1").content.decode()
    assert 'class="answers scale"' in page
    assert page.count('name="value"') == 11


def test_the_patients_page_lists_only_what_the_patient_answers(discharged):
    with clock.at(discharged.closed_at + timedelta(days=8)):
        names = {form.request.instrument for form in portal.due_forms(discharged.person)}
    assert names == {"phq9", "gad7", "side-effects", "bladder"}
