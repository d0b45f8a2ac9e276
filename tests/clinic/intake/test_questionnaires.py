"""Every questionnaire on one page: by answers or by total, and an alarm from any of them."""

from html import escape

import pytest

from openketamine import protocols
from openketamine.clinic.errors import Refused
from openketamine.clinic.intake import queries, services
from openketamine.clinic.intake.models import InstrumentResponse, SafetyReview
from openketamine.clinic.policy.queries import library

INSTRUMENTS = protocols.load().instruments
ALARMING = [(name, rule) for name, item in sorted(INSTRUMENTS.items()) for rule in item.red_flags]


def page(client, course, name, query=""):
    response = client.get(f"/courses/{course.pk}/questionnaires/{name}/{query}")
    assert response.status_code == 200
    return response.content.decode()


def enter(client, course, name, answers, query=""):
    return client.post(f"/courses/{course.pk}/questionnaires/{name}/{query}", answers, follow=True)


def test_it_works(client, course, nurse):
    client.force_login(nurse)
    enter(client, course, "peg", {"q1": 3, "q2": 4, "q3": 4})
    kept = InstrumentResponse.objects.get()
    assert kept.total == pytest.approx(11 / 3)
    assert (kept.result, kept.complete, kept.entered_by) == ("3.67", True, nurse)
    assert kept.library_version == library().version


@pytest.mark.parametrize("name", sorted(INSTRUMENTS))
def test_every_instrument_has_its_page(client, course, nurse, name):
    client.force_login(nurse)
    text = page(client, course, name)
    instrument = INSTRUMENTS[name]
    why = "" if instrument.text_shipped else "the wording may not stand here. "
    if instrument.licence.terms == "OWN WORDING":
        why = "this software’s own wording. "
    assert f"Licence: {why}{escape(instrument.licence.statement)}." in text
    assert ("The wording may not stand here" in text) is not instrument.text_shipped
    fields = [item.id for item in instrument.items] or ["total"]
    assert all(f'name="{field}"' in text for field in fields)


@pytest.mark.parametrize(("name", "rule"), ALARMING, ids=lambda part: getattr(part, "item", part))
def test_every_answer_that_demands_a_look_opens_its_review(course, nurse, name, rule):
    """Alone on an unfinished sheet, behind whatever answer opens the question."""
    item = next(each for each in INSTRUMENTS[name].items if each.id == rule.item)
    answers = dict.fromkeys(item.asked_if, 1) | {rule.item: rule.at_least}
    services.record_response(nurse, course, instrument=name, answers=answers, occasion="intake")
    assert rule.statement in {review.statement for review in queries.open_safety_reviews(course)}
    with pytest.raises(Refused, match="safety review is open"):
        services.require_no_open_safety_review(course)


def test_one_word_answers_every_alarm_of_one_questionnaire(client, course, nurse):
    client.force_login(nurse)
    shown = enter(client, course, "asq", {"q1": 1, "q2": 0, "q3": 1, "q4": 0, "q5": 1})
    assert SafetyReview.objects.filter(closed_at=None).count() == 3
    text = shown.content.decode()
    assert "ASQ question 5 (right now)" in text
    review = SafetyReview.objects.order_by("pk").first()
    others = [str(r.pk) for r in SafetyReview.objects.exclude(pk=review.pk)]
    answers = {"outcome": "safety_plan", "note": "Spoke together, plan made.", "also": others}
    client.post(f"/safety-reviews/{review.pk}/", answers)
    assert not SafetyReview.objects.filter(closed_at=None).exists()


def test_an_alarm_that_the_clinician_was_not_shown_stays_open(course, nurse):
    for answers in ({"q1": 1}, {"q3": 1}):
        services.record_response(
            nurse, course, instrument="asq", answers=answers, occasion="intake"
        )
    first, second = SafetyReview.objects.order_by("pk")
    services.close_safety_review(nurse, first, outcome="safe", note="Spoke.")
    second.refresh_from_db()
    assert second.closed_at is None


def test_a_total_is_entered_with_the_item_that_can_alarm(client, course, nurse):
    client.force_login(nurse)
    text = page(client, course, "madrs", "?entry=total")
    assert 'name="total"' in text
    assert 'name="q10"' in text
    assert 'name="q9"' not in text
    enter(client, course, "madrs", {"total": 24, "q10": 0}, "?entry=total")
    kept = InstrumentResponse.objects.get()
    assert (kept.total, kept.band, kept.total_entered) == (24, "moderate", True)
    assert kept.answers == {"q10": 0}


def test_a_total_without_that_item_is_refused_and_an_alarm_without_a_total_kept(
    client, course, nurse
):
    client.force_login(nurse)
    url = f"/courses/{course.pk}/questionnaires/madrs/?entry=total"
    assert client.post(url, {"total": 24}).status_code == 422
    assert not InstrumentResponse.objects.exists()
    client.post(url, {"q10": 4})
    assert InstrumentResponse.objects.get().complete is False
    assert SafetyReview.objects.get().statement.startswith("Suicidal thoughts")


def test_an_impossible_total_names_the_range(client, course, nurse):
    client.force_login(nurse)
    response = client.post(f"/courses/{course.pk}/questionnaires/bpic-ss/", {"total": 39})
    assert response.status_code == 422
    assert "less than or equal to 38" in response.content.decode()


def test_a_form_with_an_answer_missing_is_refused_whole(client, course, nurse):
    client.force_login(nurse)
    response = client.post(f"/courses/{course.pk}/questionnaires/pcl5/", {"q1": 2})
    assert response.status_code == 422
    assert "19 questions not answered" in response.content.decode()
    assert not InstrumentResponse.objects.exists()


def test_a_clinicians_rating_is_refused_from_the_coordinator(course, coordinator):
    with pytest.raises(Refused, match="The MADRS is a clinician's rating"):
        services.record_response(
            coordinator,
            course,
            instrument="madrs",
            answers={f"q{n}": 1 for n in range(1, 11)},
            occasion="intake",
        )


def test_the_staff_may_put_the_questions_in_spanish(client, course, nurse):
    client.force_login(nurse)
    text = page(client, course, "phq9", "?language=es")
    assert 'lang="es"' in text
    assert "Poco interés o placer en hacer cosas" in text
    answers = {f"q{n}": 1 for n in range(1, 9)} | {"q9": 0}
    enter(client, course, "phq9", answers, "?language=es")
    assert InstrumentResponse.objects.get().language == "es"


def test_the_screening_offers_what_the_plan_names_for_the_condition(client, course, nurse):
    client.force_login(nurse)
    assert "PCL-5" not in client.get(f"/courses/{course.pk}/screening/").content.decode()
    course.condition = "PTSD"
    course.save()
    text = client.get(f"/courses/{course.pk}/screening/").content.decode()
    for name in ("PHQ-9", "GAD-7", "ASQ", "PC-PTSD-5", "PCL-5"):
        assert name in text


def test_every_instrument_can_be_found_from_the_patients_page(
    client, course, nurse, django_assert_num_queries
):
    client.force_login(nurse)
    assert (
        f"/courses/{course.pk}/questionnaires/"
        in client.get(f"/people/{course.person_id}/").content.decode()
    )
    services.record_response(
        nurse, course, instrument="moaas", answers={"q1": 5}, occasion=services.VISIT
    )
    with django_assert_num_queries(6):
        text = client.get(f"/courses/{course.pk}/questionnaires/").content.decode()
    assert all(instrument.short_name in text for instrument in INSTRUMENTS.values())
    assert "5, alert" in text


def test_a_course_out_of_screening_takes_a_rating_at_a_visit(client, screened, nurse):
    client.force_login(nurse)
    answers = {f"q{n}": 2 for n in range(1, 10)} | {"q10": 0}
    enter(client, screened, "madrs", answers)
    kept = InstrumentResponse.objects.get(instrument="madrs")
    assert (kept.occasion, kept.off_window) == (services.VISIT, False)


def test_an_unknown_questionnaire_has_no_page(client, course, nurse):
    client.force_login(nurse)
    assert client.get(f"/courses/{course.pk}/questionnaires/eq-5d/").status_code == 404
