"""A course by injection from consent to follow-up: what is ordered, given, and left open."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from openketamine.clinic.errors import Refused
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

from ..conftest import HOME, IM_ORDER, IM_SYRINGE, draw_up

CALM = {"systolic_mmhg": 130, "diastolic_mmhg": 80, "heart_rate_bpm": 72, "spo2_percent": 98}


def minutes(number):
    return timedelta(minutes=number)


def order(prescriber, course, **changes):
    values = {**IM_ORDER, "first_on": clock.today(), **changes}
    return plans.order_plan(prescriber, course, **values)


def test_an_injection_is_ordered_in_mg_and_ml_without_a_pump(im_planned):
    plan = planning.plan_in_force(im_planned)
    assert (plan.dose_mg, plan.volume_ml) == (41.0, 0.82)
    assert (plan.duration_min, plan.rate_mg_per_h, plan.rate_ml_per_h) == (None, None, None)
    assert plan.arithmetic == [
        "0.5 mg/kg × 82 kg = 41 mg",
        "41.0 mg ÷ 50 mg/mL = 0.82 mL",
    ]
    assert str(plan) == "41 mg IM, 1 session"
    assert im_planned.planned_sessions.count() == 1
    assert im_planned.stage == Stage.TREATMENT


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
def test_an_order_outside_policy_is_refused(im_consented, prescriber, unchanged, change, field):
    with unchanged, pytest.raises(Refused) as refusal:
        order(prescriber, im_consented, **change)
    assert refusal.value.field == field
    assert not Plan.objects.exists()


def test_the_database_holds_no_injection_with_a_rate_and_no_infusion_without(im_planned):
    plan = Plan.objects.filter(course=im_planned)
    for wrong in ({"rate_mg_per_h": 60.0}, {"duration_min": 40.0}, {"given_as": "infusion"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            plan.update(**wrong)


def test_the_second_person_works_it_out_blind(client, im_consented, prescriber, nurse):
    plan = order(prescriber, im_consented)
    client.force_login(nurse)
    for path in (f"/plans/{plan.pk}/verify/", f"/courses/{im_consented.pk}/plan/"):
        page = client.get(path).content.decode()
        assert "0.82" not in page
        assert "mg/h" not in page
    with pytest.raises(Refused, match="is not the ordered one"):
        plans.verify_plan(nurse, plan, dose_mg=41, volume_ml=8.2)


def test_every_figure_of_going_home_comes_from_the_record(im_injected, nurse):
    start = queries.timeline_of(im_injected).started_at
    with clock.at(start + minutes(119)):
        services.record_vitals(nurse, im_injected, **CALM)
        assert screen.home_not_before(
            im_injected, queries.timeline_of(im_injected), clock.now()
        ) == (start + minutes(120))
        with pytest.raises(Refused, match="At least 2 hours since the injection"):
            services.discharge(nurse, im_injected, answers=HOME, escort_name="Ines Example")
    with clock.at(start + minutes(121)):
        timeline = queries.timeline_of(im_injected)
        facts = queries.discharge_facts(timeline, clock.now())
        for route in ("IV", "IM"):
            file = queries.library_of(im_injected).discharge[route]
            assert {c.fact for c in file.criteria if not c.question} <= facts.keys()
            assert discharge.assess(file, {**HOME, **facts}).ready


def test_what_was_not_measured_stays_unknown(im_drawn, im_injected):
    timeline = queries.timeline_of(im_injected)
    assessed = queries.assess_discharge(im_injected, timeline, {}, clock.now())
    state = {r.criterion.fact: r.state for r in assessed.results}
    assert state["minutes_since_dose"] == "not met"
    assert state["systolic_change_percent"] == state["oriented"] == "unknown"


def test_a_split_dose_counts_from_its_last_part(im_drawn, nurse, prescriber):
    services.give_injection(nurse, im_drawn, dose_mg=20, site="deltoid left")
    start = queries.timeline_of(im_drawn).started_at
    with clock.at(start + minutes(15)):
        draw_up(im_drawn, nurse, prescriber, **IM_SYRINGE)
        services.give_injection(nurse, im_drawn, dose_mg=21, site="deltoid right")
        facts = queries.discharge_facts(queries.timeline_of(im_drawn), start + minutes(60))
    assert facts["minutes_since_dose"] == pytest.approx(45, abs=0.1)


def test_the_session_ends_in_follow_up(im_injected, nurse, client):
    start = queries.timeline_of(im_injected).started_at
    for minute in (5, 10, 15, 30, 45, 60, 90, 120):
        with clock.at(start + minutes(minute)):
            services.record_vitals(nurse, im_injected, **CALM)
            services.record_observation(
                nurse, im_injected, sedation_moaas=5, dissociation_0_10=1, nausea_0_10=0
            )
    with clock.at(start + minutes(121)):
        services.discharge(nurse, im_injected, answers=HOME, escort_name="Ines Example")
    im_injected.course.refresh_from_db()
    assert im_injected.course.stage == Stage.FOLLOW_UP
    assert FormRequest.objects.filter(course=im_injected.course).exists()
    assert "41 mg injected" in {m.title.split(": ")[-1] for m in story(im_injected.person)}
    client.force_login(nurse)
    note = client.get(f"/sessions/{im_injected.pk}/note.pdf?format=html").content.decode()
    for words in ("Into the muscle", "as an injection", "0.82 mL", "deltoid left", "not given 0"):
        assert words in note
    assert "by vein" not in note
    assert "None" not in note
    sheet = client.get(f"/sessions/{im_injected.pk}/aftercare.pdf?format=html").content.decode()
    assert "You get a short form by link" in sheet


def test_every_page_of_it_says_nothing_of_a_pump(client, im_planned, nurse, prescriber, im_opened):
    client.force_login(prescriber)
    for path in (
        f"/courses/{im_planned.pk}/plan/",
        f"/courses/{im_planned.pk}/consent/",
        f"/courses/{im_planned.pk}/doses/",
        f"/people/{im_planned.person_id}/",
        f"/sessions/{im_opened.pk}/",
        f"/sessions/{im_opened.pk}/chart/",
        "/today/",
    ):
        answer = client.get(path)
        assert answer.status_code == 200, path
        text = answer.content.decode()
        assert "None min" not in text, path
        assert "mg/h" not in text, path


def test_the_forecast_holds_before_and_after_the_injection(im_drawn, nurse):
    before = forecasts.forecast_of(im_drawn, queries.timeline_of(im_drawn), clock.now())
    assert before is not None
    assert not before.started
    services.give_injection(nurse, im_drawn, dose_mg=41, site="deltoid left")
    im_drawn.refresh_from_db()
    moment = clock.now() + minutes(10)
    after = forecasts.forecast_of(im_drawn, queries.timeline_of(im_drawn), moment)
    assert after is not None
    assert after.started
    # Nobody is foretold home before the two hours of the clinic's policy.
    assert after.home.earliest >= queries.timeline_of(im_drawn).ended_at + minutes(120)


def test_a_route_without_consent_says_so_in_words(client, course, nurse, prescriber):
    type(course).objects.filter(pk=course.pk).update(route="SC", stage=Stage.CONSENT)
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
    # Nobody is asked how they feel while they may lie in a hospital bed: see test_transfers.
    assert not FormRequest.objects.filter(course=running.course).exists()


def test_a_transfer_from_recovery_and_from_a_pause_and_none_before_the_drug(
    im_injected, nurse, unchanged
):
    for missing in TRANSFER:
        with unchanged, pytest.raises(Refused) as refusal:
            services.transfer_to_hospital(nurse, im_injected, **{**TRANSFER, missing: " "})
        assert refusal.value.field == missing
    services.transfer_to_hospital(nurse, im_injected, **TRANSFER)
    assert queries.timeline_of(im_injected).given_mg(clock.now()) == 41
    im_injected.course.refresh_from_db()
    assert im_injected.course.stage == Stage.TREATMENT  # until a prescriber has decided
    with unchanged, pytest.raises(Refused, match="transferred to hospital"):
        services.transfer_to_hospital(nurse, im_injected, **TRANSFER)


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
