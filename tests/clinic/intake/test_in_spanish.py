"""Whoever reads Spanish screens in Spanish; what is kept is English all the same."""

import pytest
from django.utils import translation

from openketamine.clinic.intake import queries, services
from openketamine.clinic.notices.models import Call
from openketamine.clinic.people.queries import story
from openketamine.clinic.record.models import Event
from openketamine.protocols.instruments import result_in_words

from ..conftest import PHQ9, nothing_found

pytestmark = pytest.mark.django_db


@pytest.fixture
def spanish():
    with translation.override("es"):
        yield


def test_the_reasons_for_a_fact_are_shown_in_spanish_and_kept_in_english(
    course, nurse, prescriber, signed_policy, spanish
):
    nothing_found(course, nurse)
    shown = queries.facts_for(course, shown=True)
    assert shown["age_years"].because == "nacimiento: 14 Mar 1983"
    signed = services.sign_screening(prescriber, course, outcome="eligible")
    assert signed.facts["age_years"] == [43, "born 14 Mar 1983"]
    assert signed.facts["weight_kg"][1].startswith("measured ")
    told = Event.objects.get(kind="intake.screening_signed").data
    assert told["facts"]["sex"] == ["female", "demographics"]


def test_a_prescriber_who_reads_spanish_sees_findings_in_spanish(client, course, prescriber):
    prescriber.language = "es"
    prescriber.save(update_fields=["language"])
    client.force_login(prescriber)
    page = client.get(f"/courses/{course.pk}/screening/").content.decode()
    assert "<h1>Evaluación inicial</h1>" in page
    assert "Aún sin saber" in page
    assert "Still unknown" not in page


def test_a_review_is_refused_and_its_call_closed_each_in_the_right_language(
    course, nurse, prescriber, spanish
):
    services.record_response(
        nurse, course, instrument="phq9", answers={**PHQ9, "q9": 1}, occasion="visit"
    )
    review = course.safety_reviews.get()
    assert review.statement_in_words != review.statement
    with pytest.raises(services.Refused, match="Elija en qué quedó la revisión"):
        services.close_safety_review(nurse, review, outcome="", note="Hablé con ella.")
    services.close_safety_review(nurse, review, outcome="safe", note="Hablé con ella.")
    call = Call.objects.get()
    assert call.closing_words == "Safe to go on with the course: Hablé con ella."


def test_the_story_tells_a_score_in_spanish_and_a_note_as_it_was_written(course, nurse, spanish):
    services.record_response(nurse, course, instrument="phq9", answers=PHQ9, occasion="intake")
    (told,) = [m.title for m in story(course.person) if m.kind.endswith("questionnaire_answered")]
    assert told == "PHQ-9: 16, moderadamente grave"
    referred = next(m for m in story(course.person) if m.kind == "person.referred")
    assert (referred.title, referred.detail) == ("Derivado", "a test")


def test_every_part_of_a_result_is_translated(spanish):
    assert result_in_words("not complete, an answer alarmed") != "not complete, an answer alarmed"
    assert result_in_words("pain severity 3.2, 2 answers left out") == (
        "intensidad del dolor 3.2, 2 respuestas omitidas"
    )
    assert result_in_words("12.5") == "12.5"
