"""A course by injection from consent to follow-up: what is ordered, given, and left open."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from openketamine import protocols
from openketamine.clinic.errors import Refused
from openketamine.clinic.intake import services as intake
from openketamine.clinic.outcomes.models import FormRequest
from openketamine.clinic.people.models import Stage
from openketamine.clinic.people.queries import story
from openketamine.clinic.plans import queries as planning
from openketamine.clinic.plans import services as plans
from openketamine.clinic.plans.models import Plan
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.sessions import forecasts, queries, screen, services
from openketamine.clinic.sessions.models import Phase
from openketamine.protocols import discharge

from ..conftest import CHECK, HOME, consent, draw_up, nothing_found

ORDER = {"dose_mg_per_kg": 0.5, "sessions": 1, "concentration_mg_per_ml": 50.0}
CHECKED = {
    **CHECK,
    "confirmed": {item.item: True for item in protocols.load().monitoring["IM"].presession},
}
SYRINGE = {"volume_ml": 0.82, "concentration_mg_per_ml": 50.0}
CALM = {"systolic_mmhg": 130, "diastolic_mmhg": 80, "heart_rate_bpm": 72, "spo2_percent": 98}


def minutes(number):
    return timedelta(minutes=number)


def order(prescriber, course, **changes):
    values = {**ORDER, "first_on": clock.today(), "regimen": "im-depression", **changes}
    return plans.order_plan(prescriber, course, **values)


@pytest.fixture
def consented(course, nurse, prescriber, signed_policy):
    """A course screened and signed for an injection, with its own consent."""
    intake.choose_programme(prescriber, course, condition="TRD", route="IM", setting="clinic")
    course.refresh_from_db()
    nothing_found(course, nurse)
    intake.sign_screening(prescriber, course, outcome="eligible")
    course.refresh_from_db()
    consent(course, nurse)
    course.refresh_from_db()
    return course


@pytest.fixture
def planned(consented, nurse, prescriber):
    plan = order(prescriber, consented)
    plans.verify_plan(nurse, plan, dose_mg=41.0, volume_ml=0.82)
    consented.refresh_from_db()
    return consented


@pytest.fixture
def opened(planned, nurse):
    chair = services.add_chair(nurse, name="Chair 1")
    return services.open_session(nurse, planned.planned_sessions.get(), chair)


@pytest.fixture
def drawn(opened, nurse, prescriber):
    services.complete_check(nurse, opened, **CHECKED)
    draw_up(opened, nurse, prescriber, **SYRINGE)
    opened.refresh_from_db()
    return opened


@pytest.fixture
def injected(drawn, nurse):
    services.give_injection(nurse, drawn, dose_mg=41, site="deltoid left")
    drawn.refresh_from_db()
    return drawn


def test_an_injection_is_ordered_in_mg_and_ml_without_a_pump(planned):
    plan = planning.plan_in_force(planned)
    assert (plan.dose_mg, plan.volume_ml) == (41.0, 0.82)
    assert (plan.duration_min, plan.rate_mg_per_h, plan.rate_ml_per_h) == (None, None, None)
    assert list(plans.arithmetic(plan).steps) == [
        "0.5 mg/kg × 82 kg = 41 mg",
        "41.0 mg ÷ 50 mg/mL = 0.82 mL",
    ]
    assert str(plan) == "41 mg IM, 1 session"
    assert planned.planned_sessions.count() == 1
    assert planned.stage == Stage.TREATMENT


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"duration_min": 40}, "duration_min"),
        ({"dose_mg_per_kg": 0.75}, "dose_mg_per_kg"),
        ({"sessions": 6}, "sessions"),
        ({"concentration_mg_per_ml": 7}, "concentration_mg_per_ml"),
        ({"regimen": "iv-depression"}, "regimen"),
        ({"regimen": "im-kap"}, "regimen"),
    ],
)
def test_an_order_outside_policy_is_refused(consented, prescriber, unchanged, change, field):
    with unchanged, pytest.raises(Refused) as refusal:
        order(prescriber, consented, **change)
    assert refusal.value.field == field
    assert not Plan.objects.exists()


def test_the_database_holds_no_injection_with_a_rate_and_no_infusion_without(planned):
    plan = Plan.objects.filter(course=planned)
    for wrong in ({"rate_mg_per_h": 60.0}, {"duration_min": 40.0}, {"route": "IV"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            plan.update(**wrong)


def test_the_second_person_works_it_out_blind(client, consented, prescriber, nurse):
    plan = order(prescriber, consented)
    client.force_login(nurse)
    for path in (f"/plans/{plan.pk}/verify/", f"/courses/{consented.pk}/plan/"):
        page = client.get(path).content.decode()
        assert "0.82" not in page
        assert "mg/h" not in page
    with pytest.raises(Refused, match="is not the ordered one"):
        plans.verify_plan(nurse, plan, dose_mg=41, volume_ml=8.2)


def test_every_figure_of_going_home_comes_from_the_record(injected, nurse):
    start = queries.timeline_of(injected).started_at
    with clock.at(start + minutes(119)):
        services.record_vitals(nurse, injected, **CALM)
        assert screen.home_not_before(injected, queries.timeline_of(injected), clock.now()) == (
            start + minutes(120)
        )
        with pytest.raises(Refused, match="At least 2 hours since the injection"):
            services.discharge(nurse, injected, answers=HOME, escort_name="Ines Example")
    with clock.at(start + minutes(121)):
        timeline = queries.timeline_of(injected)
        facts = queries.discharge_facts(timeline, clock.now())
        for route in ("IV", "IM"):
            file = queries.library_of(injected).discharge[route]
            assert {c.fact for c in file.criteria if not c.question} <= facts.keys()
            assert discharge.assess(file, {**HOME, **facts}).ready


def test_what_was_not_measured_stays_unknown(drawn, injected):
    timeline = queries.timeline_of(injected)
    assessed = queries.assess_discharge(injected, timeline, {}, clock.now())
    state = {r.criterion.fact: r.state for r in assessed.results}
    assert state["minutes_since_dose"] == "not met"
    assert state["systolic_change_percent"] == state["oriented"] == "unknown"


def test_a_split_dose_counts_from_its_last_part(drawn, nurse, prescriber):
    services.give_injection(nurse, drawn, dose_mg=20, site="deltoid left")
    start = queries.timeline_of(drawn).started_at
    with clock.at(start + minutes(15)):
        draw_up(drawn, nurse, prescriber, **SYRINGE)
        services.give_injection(nurse, drawn, dose_mg=21, site="deltoid right")
        facts = queries.discharge_facts(queries.timeline_of(drawn), start + minutes(60))
    assert facts["minutes_since_dose"] == pytest.approx(45, abs=0.1)


def test_the_session_ends_in_follow_up(injected, nurse, client):
    start = queries.timeline_of(injected).started_at
    for minute in (5, 10, 15, 30, 45, 60, 90, 120):
        with clock.at(start + minutes(minute)):
            services.record_vitals(nurse, injected, **CALM)
            services.record_observation(
                nurse, injected, sedation_moaas=5, dissociation_0_10=1, nausea_0_10=0
            )
    with clock.at(start + minutes(121)):
        services.discharge(nurse, injected, answers=HOME, escort_name="Ines Example")
    injected.course.refresh_from_db()
    assert injected.course.stage == Stage.FOLLOW_UP
    assert FormRequest.objects.filter(course=injected.course).exists()
    assert "41 mg injected" in {m.title.split(": ")[-1] for m in story(injected.person)}
    client.force_login(nurse)
    note = client.get(f"/sessions/{injected.pk}/note.pdf?format=html").content.decode()
    for words in ("Into the muscle", "as an injection", "0.82 mL", "deltoid left", "not given 0"):
        assert words in note
    assert "by vein" not in note
    assert "None" not in note
    sheet = client.get(f"/sessions/{injected.pk}/aftercare.pdf?format=html").content.decode()
    assert "You get a short form by link" in sheet


def test_every_page_of_it_says_nothing_of_a_pump(client, planned, nurse, prescriber, opened):
    client.force_login(prescriber)
    for path in (
        f"/courses/{planned.pk}/plan/",
        f"/courses/{planned.pk}/consent/",
        f"/courses/{planned.pk}/doses/",
        f"/people/{planned.person_id}/",
        f"/sessions/{opened.pk}/",
        f"/sessions/{opened.pk}/chart/",
        "/today/",
    ):
        answer = client.get(path)
        assert answer.status_code == 200, path
        text = answer.content.decode()
        assert "None min" not in text, path
        assert "mg/h" not in text, path


def test_the_forecast_holds_before_and_after_the_injection(drawn, nurse):
    before = forecasts.forecast_of(drawn, queries.timeline_of(drawn), clock.now())
    assert before and not before.started
    services.give_injection(nurse, drawn, dose_mg=41, site="deltoid left")
    drawn.refresh_from_db()
    moment = clock.now() + minutes(10)
    after = forecasts.forecast_of(drawn, queries.timeline_of(drawn), moment)
    assert after and after.started
    # Nobody is foretold home before the two hours of the clinic's policy.
    assert after.home.earliest >= queries.timeline_of(drawn).ended_at + minutes(120)


@pytest.mark.parametrize("route", ["SL", "ORAL", "IN_ESKETAMINE", "IN_RACEMIC"])
def test_a_route_without_consent_says_so_in_words(client, course, nurse, prescriber, route):
    type(course).objects.filter(pk=course.pk).update(route=route, stage=Stage.CONSENT)
    course.refresh_from_db()
    client.force_login(prescriber)
    page = client.get(f"/courses/{course.pk}/consent/").content.decode()
    assert "no consent text for this route" in page
    assert client.get(f"/courses/{course.pk}/plan/").status_code == 200
    with pytest.raises(Refused, match="no consent text for this route"):
        plans.sign_consent(
            nurse, course, signed_name=str(course.person), document_digest="", agrees=True
        )


TRANSFER = {
    "where": "Example General, emergency department",
    "why": "chest pain",
    "accompanied_by": "ambulance crew and the nurse",
}


def test_a_transfer_ends_a_running_infusion_whatever_is_open(running, nurse, prescriber, client):
    start = queries.timeline_of(running).started_at
    with clock.at(start + minutes(10)):
        services.call_emergency(nurse, running, sign="chest_pain")
        services.transfer_to_hospital(nurse, running, **TRANSFER)
    running.refresh_from_db()
    assert running.phase == Phase.TRANSFERRED
    timeline = queries.timeline_of(running)
    assert timeline.given_mg(start + minutes(40)) == pytest.approx(61.5 / 6, abs=0.1)
    assert timeline.closed_at == timeline.ended_at
    assert queries.todays_board() == []
    running.planned.refresh_from_db()
    assert running.planned.done_at
    client.force_login(prescriber)
    screen_text = client.get(f"/sessions/{running.pk}/").content.decode()
    note = client.get(f"/sessions/{running.pk}/note.pdf?format=html").content.decode()
    for words in ("Example General", "ambulance crew", "chest pain"):
        assert words in screen_text
        assert words in note
    assert any(m.title.startswith("Transferred to Example") for m in story(running.person))
    assert FormRequest.objects.filter(course=running.course).exists()


def test_a_transfer_from_recovery_and_from_a_pause_and_none_before_the_drug(
    injected, nurse, unchanged
):
    for missing in TRANSFER:
        with unchanged, pytest.raises(Refused) as refusal:
            services.transfer_to_hospital(nurse, injected, **{**TRANSFER, missing: " "})
        assert refusal.value.field == missing
    services.transfer_to_hospital(nurse, injected, **TRANSFER)
    assert queries.timeline_of(injected).given_mg(clock.now()) == 41
    injected.course.refresh_from_db()
    assert injected.course.stage == Stage.FOLLOW_UP
    with unchanged, pytest.raises(Refused, match="transferred to hospital"):
        services.transfer_to_hospital(nurse, injected, **TRANSFER)


def test_a_paused_infusion_may_end_in_a_transfer(running, nurse):
    services.pause_infusion(nurse, running, reason="chest pain")
    services.transfer_to_hospital(nurse, running, **TRANSFER)
    assert queries.timeline_of(running).phase == Phase.TRANSFERRED


def test_before_the_drug_there_is_nothing_to_transfer_from(ready, nurse, therapist, unchanged):
    with unchanged:
        with pytest.raises(Refused, match="cancel the session"):
            services.transfer_to_hospital(nurse, ready, **TRANSFER)
        with pytest.raises(Refused, match="Your role"):
            services.transfer_to_hospital(therapist, ready, **TRANSFER)
    assert not Event.objects.filter(kind="session.transferred").exists()
