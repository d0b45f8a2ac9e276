"""The prescriber chooses the programme; tests, trials and decisions follow it."""

from datetime import timedelta

import pytest

from openketamine.clinic.errors import Refused
from openketamine.clinic.intake import queries, services
from openketamine.clinic.people.referral import Coded, ReferredMedication
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event

from ..conftest import FAILED, NO_HISTORY, nothing_found, referral


def kinds(course):
    return {finding.rule_id: finding.kind for finding in queries.findings_for(course)}


@pytest.fixture
def asked(course, nurse, signed_policy):
    nothing_found(course, nurse)
    return course


def test_it_works(asked, prescriber):
    services.choose_programme(
        prescriber, asked, condition="PTSD", route="IN_ESKETAMINE", setting="clinic"
    )
    assert kinds(asked)["REMS-ENROL"] == "missing"
    assert kinds(asked)["REQ-pcl5_total"] == "missing"
    event = Event.objects.filter(kind="intake.programme_chosen").get()
    assert '"route":"IN_ESKETAMINE"' in event.body


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"condition": "FLU"}, "Choose a condition"),
        ({"route": "RECTAL"}, "Choose a route"),
        ({"route": "IV", "setting": "home"}, "in the clinic only"),
    ],
)
def test_what_does_not_exist_is_refused(course, prescriber, choice, message):
    programme = {"condition": "TRD", "route": "SL", "setting": "home", **choice}
    with pytest.raises(Refused, match=message):
        services.choose_programme(prescriber, course, **programme)
    course.refresh_from_db()
    assert (course.condition, course.route, course.setting) == ("TRD", "IV", "clinic")


def test_only_a_prescriber_chooses(course, nurse):
    with pytest.raises(Refused, match="Only a prescriber"):
        services.choose_programme(nurse, course, condition="TRD", route="SL", setting="home")


def test_a_decision_for_one_route_is_none_for_another(asked, nurse, prescriber):
    services.record_history(nurse, asked, {**NO_HISTORY, "takes_maoi": True})
    services.decide_finding(
        prescriber, asked, rule_id="DI-3", decision="proceed", reason="Watched."
    )
    findings = queries.findings_for(asked)
    assert "DI-3" in queries.standing_decisions(asked, findings)
    services.choose_programme(prescriber, asked, condition="TRD", route="IM", setting="clinic")
    assert "DI-3" not in queries.standing_decisions(asked, queries.findings_for(asked))


def test_a_test_grows_too_old(asked, nurse):
    old = clock.today() - timedelta(days=31)
    asked.person.test_results.update(done_on=old)
    assert kinds(asked)["REQ-pregnancy_test"] == "missing"
    with pytest.raises(Refused, match="future"):
        services.record_test_result(
            nurse,
            asked,
            fact="pregnancy_test",
            value="negative",
            done_on=clock.today() + timedelta(days=1),
        )


def test_what_rests_on_memory_can_be_gone_on_without_and_nothing_else(asked, nurse, prescriber):
    asked.person.test_results.all().delete()
    with pytest.raises(Refused, match="cannot be judged yet"):
        services.sign_screening(prescriber, asked, outcome="eligible")
    services.decide_finding(
        prescriber, asked, rule_id="REQ-pregnancy_test", decision="waive", reason="Hysterectomy."
    )
    with pytest.raises(Refused, match="Ask for it first"):
        services.decide_finding(prescriber, asked, rule_id="PR-5", decision="waive", reason="x")


def test_the_count_follows_the_rows(course, nurse):
    assert "failed_adequate_trials" not in queries.facts_for(course)
    first = services.record_trial(nurse, course, drug="Sertraline", **FAILED)
    assert queries.facts_for(course)["failed_adequate_trials"].value == 1
    services.record_trial(nurse, course, drug="Venlafaxine", **{**FAILED, "outcome": "unknown"})
    assert "failed_adequate_trials" not in queries.facts_for(course)
    services.withdraw_trial(nurse, first)
    assert Event.objects.filter(kind="intake.antidepressant_trial_withdrawn").count() == 1


def test_a_medicine_that_nobody_knows_is_a_caution_with_its_name(coordinator):
    from openketamine.clinic.people import services as people

    stranger = ReferredMedication("m", Coded("", "", "Zorkamine 5 MG"), "active", None, "")
    person = people.receive_referral(
        coordinator, referral(medications=(stranger,)), origin="x"
    ).person
    findings = {f.rule_id: f for f in queries.findings_for(person.courses.get())}
    assert findings["DI-0"].facts_read == {"unrecognised_medicines": ["Zorkamine 5 MG"]}


def test_the_pages_cost_the_same_however_much_is_known(
    client, prescriber, asked, nurse, django_assert_max_num_queries
):
    client.force_login(prescriber)
    for path in ("screening", "routes", "tests", "trials"):
        with django_assert_max_num_queries(40):
            assert client.get(f"/courses/{asked.pk}/{path}/").status_code == 200
