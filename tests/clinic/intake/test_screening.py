"""Screening: unknown is not no, the prescriber decides, and the signature keeps what was read."""

import pytest

from openketamine.clinic.errors import Refused
from openketamine.clinic.intake import queries, services
from openketamine.clinic.intake.models import FindingDecision, Screening
from openketamine.clinic.people import services as people
from openketamine.clinic.people.models import Stage
from openketamine.clinic.people.referral import Coded, ReferredCondition
from openketamine.clinic.record.models import Event

from ..conftest import NO_HISTORY, PHQ9, nothing_found, referral

HYPERTENSION = ReferredCondition(
    "c1", Coded("http://snomed.info/sct", "38341003", "Hypertensive disorder"), "active", "disorder"
)


@pytest.fixture
def asked(course, nurse, signed_policy):
    """A course with everything asked and nothing found."""
    nothing_found(course, nurse)
    return course


def kinds(course):
    return {finding.rule_id: finding.kind for finding in queries.findings_for(course)}


def test_it_works(asked, prescriber):
    screening = services.sign_screening(prescriber, asked, outcome="eligible")
    assert asked.stage == Stage.CONSENT
    assert asked.prescriber == prescriber
    assert screening.facts["weight_kg"][0] == 82
    assert screening.library_digest
    kinds_of_events = list(Event.objects.values_list("kind", flat=True))
    assert "course.team_assigned" in kinds_of_events


def test_nothing_asked_means_nothing_passes(course):
    found = set(kinds(course).values())
    assert found == {"missing"}


def test_a_missing_fact_holds_the_signature(asked, nurse, prescriber):
    history = {name: value for name, value in NO_HISTORY.items() if name != "psychosis"}
    services.record_history(nurse, asked, history)
    with pytest.raises(Refused, match="cannot be judged yet: Psychosis"):
        services.sign_screening(prescriber, asked, outcome="eligible")
    assert not Screening.objects.exists()


def test_a_contraindication_is_overridden_with_a_reason_or_stands(asked, nurse, prescriber):
    services.record_history(nurse, asked, {**NO_HISTORY, "aneurysmal_vascular_disease": True})
    with pytest.raises(Refused, match="Decide first about: Aneurysmal"):
        services.sign_screening(prescriber, asked, outcome="eligible")
    with pytest.raises(Refused, match="only be overridden"):
        services.decide_finding(prescriber, asked, rule_id="CI-1", decision="proceed", reason="x")
    with pytest.raises(Refused, match="Give the reason"):
        services.decide_finding(prescriber, asked, rule_id="CI-1", decision="override", reason=" ")
    assert not FindingDecision.objects.exists()
    services.decide_finding(
        prescriber, asked, rule_id="CI-1", decision="override", reason="Repaired in 2015."
    )
    services.sign_screening(prescriber, asked, outcome="eligible")


def test_a_decision_holds_only_for_the_facts_it_was_made_on(asked, nurse, prescriber):
    people.record_measurement(nurse, asked.person, kind="systolic_mmhg", value=144)
    services.decide_finding(
        prescriber, asked, rule_id="PR-1", decision="proceed", reason="White coat."
    )
    people.record_measurement(nurse, asked.person, kind="systolic_mmhg", value=178)
    with pytest.raises(Refused, match="Decide first about: Resting pressure"):
        services.sign_screening(prescriber, asked, outcome="eligible")


def test_a_no_does_not_erase_what_the_referral_says(coordinator, nurse, signed_policy):
    person = people.receive_referral(
        coordinator, referral(conditions=(HYPERTENSION,)), origin="x"
    ).person
    course = person.courses.get()
    assert kinds(course)["PR-2"] == "caution"
    services.record_history(nurse, course, NO_HISTORY)
    course.refresh_from_db()
    assert kinds(course)["PR-2"] == "caution"
    fact = queries.facts_for(course)["cardiovascular_disease"]
    assert "Hypertensive disorder" in fact.because
    assert "“no” was asked" in fact.because


def test_only_a_prescriber_decides_and_signs(asked, nurse):
    with pytest.raises(Refused, match="Only a prescriber signs"):
        services.sign_screening(nurse, asked, outcome="eligible")
    with pytest.raises(Refused, match="Only a prescriber decides"):
        services.decide_finding(nurse, asked, rule_id="PR-1", decision="proceed", reason="x")


def test_not_eligible_needs_words_and_closes_the_course(asked, prescriber):
    with pytest.raises(Refused, match="Write why"):
        services.sign_screening(prescriber, asked, outcome="not_eligible")
    services.sign_screening(prescriber, asked, outcome="not_eligible", note="Other care fits.")
    assert asked.stage == Stage.DECLINED
    assert asked.closed_at


def test_what_was_signed_cannot_be_changed(screened, nurse):
    with pytest.raises(Refused, match="is signed"):
        services.record_history(nurse, screened, NO_HISTORY)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"psychosis": "perhaps"}, "answer yes or no"),
        ({"hepatic_impairment": "much"}, "choose one of"),
        ({"shoe_size": 42}, "no question 'shoe_size'"),
    ],
)
def test_an_impossible_answer_is_refused(course, nurse, answers, message):
    with pytest.raises(Refused, match=message):
        services.record_history(nurse, course, answers)
    assert not Event.objects.filter(kind="intake.history_taken").exists()


@pytest.mark.parametrize(
    ("instrument", "occasion", "answers", "message"),
    [
        ("phq99", "intake", PHQ9, "no questionnaire"),
        ("phq9", "someday", PHQ9, "no occasion"),
        ("phq9", "intake", {**PHQ9, "q1": 7}, "7 is not one of"),
    ],
)
def test_an_impossible_questionnaire_is_refused(
    course, nurse, instrument, occasion, answers, message
):
    with pytest.raises(Refused, match=message):
        services.record_response(
            nurse, course, instrument=instrument, answers=answers, occasion=occasion
        )


def test_the_screen_shows_rule_source_and_certainty(client, prescriber, asked, nurse):
    services.record_history(
        nurse, asked, {**NO_HISTORY, "psychosis": True, "psychosis_active": False}
    )
    client.force_login(prescriber)
    page = client.get(f"/courses/{asked.pk}/screening/").content.decode()
    for said in ("Psychosis, current or past", "PR-3", "guideline", "verified", "ASRA"):
        assert said in page, said
    response = client.post(
        f"/courses/{asked.pk}/findings/PR-3/", {"decision": "proceed", "reason": "Long ago."}
    )
    assert response.status_code == 302
    response = client.post(f"/courses/{asked.pk}/screening/sign/", {"outcome": "eligible"})
    assert response.url == f"/people/{asked.person_id}/"


def test_the_form_shows_a_refusal_in_its_place(client, prescriber, course, signed_policy):
    client.force_login(prescriber)
    response = client.post(f"/courses/{course.pk}/screening/sign/", {"outcome": "eligible"})
    assert response.status_code == 422
    assert "cannot be judged yet" in response.content.decode()


def test_history_is_filled_in_from_the_referral_with_its_evidence(client, coordinator):
    person = people.receive_referral(
        coordinator, referral(conditions=(HYPERTENSION,)), origin="x"
    ).person
    client.force_login(coordinator)
    page = client.get(f"/courses/{person.courses.get().pk}/history/").content.decode()
    assert "Referral says: condition: Hypertensive disorder" in page
