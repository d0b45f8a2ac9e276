"""The patient's own page: next step, mood, side effects, goals and documents."""

from datetime import timedelta

import pytest

from openketamine.clinic.outcomes.models import FormRequest
from openketamine.clinic.portal import expected, services
from openketamine.clinic.portal.models import MoodEntry
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event, Source
from openketamine.clinic.sessions import forecasts
from openketamine.clinic.therapy import services as therapy

from .conftest import BORN, address

SPANISH = {"language": "es", "next": "/me/"}


def test_it_works(phone):
    page = phone.get("/me/").content.decode()
    assert "Hello Maria" in page
    assert "How are you today?" in page
    assert 'href="tel:988"' in page


def test_the_form_that_is_due_comes_first(at_home, client, nurse):
    form = FormRequest.objects.get(occasion="24h")
    with clock.at(form.due_at + timedelta(hours=1)):
        client.post(address(services.make_link(nurse, at_home)), BORN)
        page = client.get("/me/").content.decode()
        assert "Your mood in the last two weeks" in page
        assert "9 short questions." in page
        assert "PHQ" not in page, "the names of instruments are the clinic's"
        assert page.index("Your mood in the last") < page.index("Your next session:")
        start = client.get(page.split('class="button primary wide" href="')[1].split('"')[0])
        assert "Begin" in start.content.decode()


def test_signed_in_it_is_the_same_page(client, person, patient_user):
    client.force_login(patient_user)
    assert "not joined to a chart" in client.get("/me/").content.decode()
    person.user = patient_user
    person.save()
    assert "Hello Maria" in client.get("/me/").content.decode()


def test_mood_takes_one_tap_and_another_changes_it(phone, person):
    phone.post("/me/mood/", {"mood": "4"})
    page = phone.post("/me/mood/", {"mood": "7"}, follow=True).content.decode()
    assert "Today: 7 of 10" in page
    assert MoodEntry.objects.get().mood_0_10 == 7
    events = Event.objects.filter(kind="portal.mood_recorded")
    assert [event.data["mood_0_10"] for event in events.order_by("seq")] == [4, 7]
    assert events.first().source == Source.PATIENT


@pytest.mark.parametrize("value", ["11", "-1", "x", "", "²"])
def test_what_is_no_mood_changes_nothing(phone, value):
    phone.post("/me/mood/", {"mood": value})
    assert not MoodEntry.objects.exists()


def test_a_very_bad_day_shows_where_help_is(phone):
    page = phone.post("/me/mood/", {"mood": "1"}, follow=True).content.decode()
    assert "That sounds hard" in page


def test_the_days_are_drawn_with_their_values_in_words(phone, person):
    for days in (3, 2, 0):
        with clock.at(clock.now() - timedelta(days=days)):
            services.record_mood(person, mood_0_10=8 - days)
    page = phone.get("/me/").content.decode()
    assert "Your mood, day by day: 5, 6, 8" in page


def test_side_effects_are_told_whenever_they_trouble(at_home, client, nurse):
    with clock.at(at_home.sessions.get().closed_at + timedelta(hours=20)):
        client.post(address(services.make_link(nurse, at_home)), BORN)
        first = client.post("/me/side-effects/")
        assert first.url.startswith("/f/")
        again = client.post("/me/side-effects/")
        assert again.url == first.url, "the one that waits, and not a second"
        assert "How are you since your session?" in client.get(first.url).content.decode()
        page = client.get(first.url + "?q=dizzy").content.decode()
        assert "Dizziness" in page
    form = FormRequest.objects.get(occasion="visit")
    assert (form.instrument, form.session_number) == ("side-effects", 1)


def test_while_an_alarm_is_open_help_stays_in_sight(at_home, client, nurse):
    from openketamine.clinic.outcomes import services as outcomes

    form = FormRequest.objects.get(occasion="24h")
    with clock.at(form.due_at + timedelta(hours=1)):
        outcomes.save_answer(form, item="q9", value=1)
        client.post(address(services.make_link(nurse, at_home)), BORN)
        page = client.get("/me/").content.decode()
    assert "Someone from the clinic will speak with you" in page
    assert 'class="call" href="tel:988"' in page


def test_a_medical_alarm_does_not_speak_of_suicide(at_home, client, nurse):
    from openketamine.clinic.outcomes import services as outcomes

    form = FormRequest.objects.get(occasion="3d")
    with clock.at(form.due_at + timedelta(hours=1)):
        outcomes.save_answer(form, item="urine", value=3)
        client.post(address(services.make_link(nurse, at_home)), BORN)
        assert "hurt yourself, or cannot wait" not in client.get("/me/").content.decode()


def test_what_the_therapist_shared_and_nothing_else(phone, accompanied, prepared, therapist):
    therapy.set_goal(
        therapist, accompanied, kind="craving", text="Walk when it comes.", shared=True
    )
    therapy.set_goal(therapist, accompanied, kind="trauma", text="Not for the page.")
    task = therapy.give_homework(therapist, accompanied, text="Call Ines on Sunday.")
    page = phone.get("/me/goals/").content.decode()
    assert "Walk when it comes." in page
    assert "Coping when a craving comes" in page
    assert "To meet the grief" in page
    assert "harbour" in page
    for hidden in ("Not for the page.", "To lose control", "Startles"):
        assert hidden not in page
    phone.post(f"/me/homework/{task.pk}/done/")
    task.refresh_from_db()
    assert task.done_by_patient


def test_homework_of_somebody_else_is_not_there(phone, coordinator, therapist, prescriber):
    from openketamine.clinic.people import services as people

    from ..conftest import referral

    other = people.receive_referral(coordinator, referral(2), origin="a test").person
    course = other.courses.get()
    task = therapy.give_homework(therapist, course, text="Not Maria's.")
    assert phone.post(f"/me/homework/{task.pk}/done/").status_code == 404
    task.refresh_from_db()
    assert task.done_at is None


def test_the_patient_withdraws_the_touch_agreement(phone, accompanied, therapist):
    therapy.agree_touch(therapist, accompanied, kinds=["hand"], signed_name=str(accompanied.person))
    assert "Holding a hand" in phone.get("/me/goals/").content.decode()
    phone.post("/me/touch/withdraw/")
    phone.post("/me/touch/withdraw/")
    assert accompanied.touch_agreements.get().withdrawn


def test_the_documents_are_there_with_the_consent_as_it_was_signed(phone, planned_course):
    page = phone.get("/me/documents/").content.decode()
    consent = planned_course.consents.get()
    assert f"/me/documents/consent-{consent.pk}/" in page
    signed = phone.get(f"/me/documents/consent-{consent.pk}/").content.decode()
    assert f"Signed by {consent.signed_name}" in signed
    assert consent.document["sections"][0]["title"] in signed
    assert phone.get("/me/documents/aftercare/").status_code == 200
    assert phone.get("/me/documents/consent-999999/").status_code == 404
    assert phone.get("/me/documents/anything/").status_code == 404


def test_the_first_page_costs_the_same_for_any_history(phone, at_home, django_assert_num_queries):
    with clock.at(at_home.sessions.get().closed_at + timedelta(days=1, hours=2)):
        phone.get("/me/")
        with django_assert_num_queries(14):
            phone.get("/me/")
        for days in range(1, 9):
            with clock.at(clock.now() - timedelta(days=days)):
                services.record_mood(at_home, mood_0_10=5)
        services.write_message(at_home, text="Hello.")
        with django_assert_num_queries(14):
            phone.get("/me/")


def test_the_forecast_is_told_in_words_and_as_a_soft_curve(phone, planned_course, settings):
    settings.FORECASTS = True
    plan = planned_course.plans.get()
    found = expected.expected(planned_course, plan)
    assert found.felt_from_min < found.strongest_min < found.fading_min < found.home_min
    assert found.home_early_min <= found.home_min <= found.home_late_min
    assert found.home_min >= plan.duration_min + 60, "never before the clinic's own minimum"
    assert 0 < found.felt_of_ten <= 10
    drawing = expected.drawn(found)
    assert drawing.line.startswith("M10,")
    page = phone.get("/me/expect/").content.decode()
    assert f"It is strongest after about {found.strongest_min} minutes." in page
    assert "not a promise" in page
    phone.post("/language/", SPANISH)
    page = phone.get("/me/expect/").content.decode()
    assert f"Es más fuerte después de unos {found.strongest_min} minutos." in page


def test_a_patient_on_the_spray_is_told_when_they_may_be_ready_to_go_home(spray_planned, settings):
    settings.FORECASTS = True
    assert forecasts.is_ready()
    found = expected.expected(spray_planned, spray_planned.plans.get())
    assert 0 <= found.felt_of_ten <= 10
    # Two devices five minutes apart, and two hours from the last: never before.
    assert found.home_early_min >= 125
    assert found.home_early_min <= found.home_min <= found.home_late_min


def test_a_patient_with_a_compounded_bottle_and_one_at_home_are_told_too(
    bottle_ready, settings, monkeypatch
):
    settings.FORECASTS = True
    assert forecasts.is_ready()
    course = bottle_ready.course
    plan = bottle_ready.planned.plan
    assert expected.expected(course, plan).curve[0] == [0.0, 0.0]
    # The same person with 150 mg under the tongue at home: nobody goes home from there.
    course.setting, plan.route, plan.dose_mg, plan.given_as = "home", "SL", 150, "pieces"
    found = expected._forecast(course, plan)
    assert found.felt_of_ten >= 0
    assert found.home_min is found.home_late_min is None
    assert expected.drawn(found).home is None


def test_where_there_is_no_forecast_the_page_says_what_most_people_feel(
    phone, planned_course, settings
):
    settings.FORECASTS = False
    page = phone.get("/me/expect/").content.decode()
    assert "There is no forecast for your session" in page
    assert "soft-line" not in page


def test_a_forecast_is_made_once_and_kept(planned_course, settings, monkeypatch):
    settings.FORECASTS = True
    plan = planned_course.plans.get()
    first = expected.expected(planned_course, plan)
    monkeypatch.setattr(expected, "_forecast", lambda *a: pytest.fail("made a second time"))
    assert expected.expected(planned_course, plan) == first
