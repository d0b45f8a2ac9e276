"""What may be done in a session, by whom, and what is refused with which words."""

import uuid
from datetime import timedelta

import pytest

from openketamine.clinic.errors import Refused
from openketamine.clinic.intake import services as intake
from openketamine.clinic.plans import queries as plan_queries
from openketamine.clinic.plans import services as plans
from openketamine.clinic.policy.models import Approval
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event, Source
from openketamine.clinic.sessions import queries, services, signals
from openketamine.clinic.sessions.models import Chair, Phase, Session

from ..conftest import CHECK, HOME, ORDER, PHQ9, draw_up


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


@pytest.fixture
def recovered(running, nurse):
    """A patient an hour after the end, with fresh vital signs; `clock.at` its `home_at`."""
    start = queries.timeline_of(running).started_at
    with clock.at(start + minutes(40)):
        services.end_infusion(nurse, running)
    with clock.at(start + minutes(102)):
        services.record_vitals(
            nurse, running, systolic_mmhg=126, diastolic_mmhg=80, heart_rate_bpm=72, spo2_percent=98
        )
    running.home_at = start + minutes(105)
    return running


def test_it_works(running):
    timeline = queries.timeline_of(running)
    assert timeline.phase == running.phase == Phase.INFUSION
    assert timeline.baseline["systolic_mmhg"] == 128
    assert timeline.programmed_mg == 41.0


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        (
            {"systolic_mmhg": 1200},
            "systolic_mmhg",
            "Systolic 1200 mmHg is not possible. Enter a value from 40 to 300.",
        ),
        ({"systolic_mmhg": 120, "diastolic_mmhg": 120}, "diastolic_mmhg", "cannot be as high"),
        ({"systolic_mmhg": 90, "diastolic_mmhg": 120}, "diastolic_mmhg", "cannot be as high"),
        ({"heart_rate_bpm": 0}, "heart_rate_bpm", "not possible"),
        ({"spo2_percent": 101}, "spo2_percent", "not possible"),
        ({"spo2_percent": float("nan")}, "spo2_percent", "not possible"),
        ({}, None, "at least one"),
    ],
)
def test_impossible_vital_signs_are_refused_and_change_nothing(
    running, nurse, unchanged, values, field, words
):
    with unchanged, pytest.raises(Refused, match=words) as refusal:
        services.record_vitals(nurse, running, **values)
    assert refusal.value.field == field


def test_an_observation_beyond_its_scale_is_refused(running, nurse, unchanged):
    with unchanged, pytest.raises(Refused, match="Dissociation"):
        services.record_observation(nurse, running, dissociation_0_10=11)


@pytest.mark.parametrize("kind", ["identity", "fasting", "escort", "no_plans"])
def test_a_check_with_an_item_open_is_refused(session, nurse, unchanged, kind):
    check = {**CHECK, "confirmed": {**CHECK["confirmed"], kind: False}}
    with unchanged, pytest.raises(Refused, match="Not confirmed") as refusal:
        services.complete_check(nurse, session, **check)
    assert refusal.value.field == kind


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"escort_name": " "}, "escort_name"),
        ({"medicines_today": ""}, "medicines_today"),
        ({"safety_concern": True}, "safety_concern"),
        ({"weight_kg": 7}, "weight_kg"),
        ({"weight_kg": 50}, "weight_kg"),  # 41 mg would be 0.82 mg/kg
        ({"vitals": {**CHECK["vitals"], "spo2_percent": None}}, "spo2_percent"),
    ],
)
def test_a_check_that_does_not_hold_is_refused(session, nurse, unchanged, change, field):
    with unchanged, pytest.raises(Refused) as refusal:
        services.complete_check(nurse, session, **{**CHECK, **change})
    assert refusal.value.field == field


def test_nothing_starts_before_the_check(session, nurse, unchanged):
    with unchanged, pytest.raises(Refused, match="check first"):
        services.start_infusion(nurse, session)


def test_a_high_pressure_before_the_drug_waits_for_the_prescriber(
    session, nurse, prescriber, unchanged
):
    high = {**CHECK["vitals"], "systolic_mmhg": 150}
    services.complete_check(nurse, session, **{**CHECK, "vitals": high})
    with unchanged:
        with pytest.raises(Refused, match="prescriber has to decide"):
            services.start_infusion(nurse, session)
        with pytest.raises(Refused, match="role"):
            services.decide_go(nurse, session, reason="looks well")
        with pytest.raises(Refused, match="reason"):
            services.decide_go(prescriber, session, reason=" ")
    services.decide_go(prescriber, session, reason="usual for her, took her tablet late")
    draw_up(session, nurse, prescriber)
    services.start_infusion(nurse, session)
    assert queries.timeline_of(session).phase == Phase.INFUSION


def test_nothing_starts_without_a_signed_policy(ready, nurse, unchanged):
    Approval.objects.update(digest="of another text")
    with unchanged, pytest.raises(Refused, match="not signed"):
        services.start_infusion(nurse, ready)


def test_nothing_starts_while_a_safety_review_is_open(ready, nurse):
    intake.record_response(
        nurse, ready.course, instrument="phq9", answers={**PHQ9, "q9": 1}, occasion="intake"
    )
    before = Event.objects.count()
    with pytest.raises(Refused, match="safety review is open"):
        services.start_infusion(nurse, ready)
    assert Event.objects.count() == before


def test_nothing_starts_after_consent_is_withdrawn(ready, nurse):
    plans.withdraw_consent(nurse, plan_queries.consent_in_force(ready.course), reason="")
    before = Event.objects.count()
    with pytest.raises(Refused, match="No consent is in force"):
        services.start_infusion(nurse, ready)
    assert Event.objects.count() == before


def test_nothing_starts_on_a_plan_that_nobody_has_checked(ready, prescriber, nurse):
    plans.order_plan(prescriber, ready.course, first_on=clock.today(), **ORDER)
    with pytest.raises(Refused, match="second person"):
        services.start_infusion(nurse, ready)


def test_the_dose_of_a_replaced_order_is_not_given(ready, prescriber, nurse):
    lower = {**ORDER, "dose_mg_per_kg": 0.4}
    plan = plans.order_plan(prescriber, ready.course, first_on=clock.today(), **lower)
    plans.verify_plan(nurse, plan, dose_mg=plan.dose_mg, volume_ml=plan.volume_ml)
    with pytest.raises(Refused, match="ordered anew"):
        services.start_infusion(nurse, ready)


def test_a_taken_chair_and_a_session_still_open_are_refused(
    running, planned_course, arrive, nurse, unchanged
):
    other = arrive(2)
    with unchanged:
        with pytest.raises(Refused, match="is taken by"):
            services.open_session(nurse, other, running.chair)
        second = planned_course.planned_sessions.get(number=2)
        with pytest.raises(Refused, match="still open"):
            services.open_session(nurse, second, Chair.objects.create(name="free"))


def test_a_rate_beyond_the_order_needs_the_prescriber_and_never_passes_policy(
    arrive, nurse, prescriber, planned_course, chair, unchanged
):
    planned = planned_course.planned_sessions.get(number=1)
    slow = plans.order_plan(
        prescriber, planned_course, first_on=clock.today(), **{**ORDER, "duration_min": 60}
    )
    plans.verify_plan(nurse, slow, dose_mg=slow.dose_mg, volume_ml=slow.volume_ml)
    planned = planned_course.planned_sessions.get(number=1, cancelled_at=None)
    session = services.open_session(nurse, planned, chair)
    services.complete_check(nurse, session, **CHECK)
    draw_up(session, nurse, prescriber)
    services.start_infusion(nurse, session)
    with unchanged:
        with pytest.raises(Refused, match="A rate of 50 mg/h is outside the plan"):
            services.change_rate(nurse, session, rate_mg_per_h=50, reason="behind time")
        with pytest.raises(Refused, match=r"policy for this dose: at most 61\.5"):
            services.change_rate(prescriber, session, rate_mg_per_h=70, reason="behind time")
        with pytest.raises(Refused, match="above zero"):
            services.change_rate(prescriber, session, rate_mg_per_h=0, reason="hold")
        with pytest.raises(Refused, match="reason"):
            services.change_rate(nurse, session, rate_mg_per_h=30, reason="")
    services.change_rate(nurse, session, rate_mg_per_h=30, reason="too deep")
    services.change_rate(prescriber, session, rate_mg_per_h=50, reason="going well")
    assert queries.timeline_of(session).rate_mg_per_h == 50


def test_stopping_with_drug_left_asks_why_and_keeps_what_ran_in(running, nurse, unchanged):
    start = queries.timeline_of(running).started_at
    with clock.at(start + minutes(10)):
        with unchanged, pytest.raises(Refused, match="have not run in"):
            services.end_infusion(nurse, running)
        services.end_infusion(nurse, running, reason="panic")
    timeline = queries.timeline_of(running)
    assert timeline.given_mg(clock.now() + minutes(600)) == pytest.approx(10.25)
    assert timeline.phase == Phase.RECOVERY


def test_the_pump_cannot_do_what_it_is_not_in_a_state_to_do(running, nurse, unchanged):
    with unchanged:
        with pytest.raises(Refused, match="Not possible"):
            services.resume_infusion(nurse, running)
        with pytest.raises(Refused, match="Not possible"):
            services.start_infusion(nurse, running)
    services.pause_infusion(nurse, running, reason="needs the bathroom")
    with unchanged, pytest.raises(Refused, match="Not possible"):
        services.pause_infusion(nurse, running, reason="again")


def test_an_entry_in_the_future_is_refused(running, nurse, unchanged):
    with unchanged, pytest.raises(Refused, match="future"):
        services.record_vitals(nurse, running, heart_rate_bpm=70, at=clock.now() + minutes(10))


def test_a_resend_counts_once(running, nurse):
    sent = uuid.uuid4()
    first = services.record_vitals(nurse, running, heart_rate_bpm=70, client_id=sent)
    again = services.record_vitals(nurse, running, heart_rate_bpm=70, client_id=sent)
    assert first == again
    assert Event.objects.filter(client_id=sent).count() == 1


def test_a_monitor_is_named_as_the_source(running):
    event = services.record_vitals(
        "monitor bed 3", running, source=Source.MONITOR, systolic_mmhg=131, diastolic_mmhg=84
    )
    assert (event.actor, event.actor_name, event.source) == (None, "monitor bed 3", "monitor")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"medicine": "propofol"}, "clinic's list"),
        ({"dose": 16}, "above the clinic's policy of 8 mg"),
        ({"dose": 0}, "above zero"),
        ({"dose": float("inf")}, "above zero"),
        ({"route": "IM"}, "listed for"),
        ({"reason": ""}, "given for"),
    ],
)
def test_a_medicine_outside_policy_is_refused(running, nurse, unchanged, change, words):
    given = {"medicine": "ondansetron", "dose": 4, "route": "IV", "reason": "nausea", **change}
    with unchanged, pytest.raises(Refused, match=words):
        services.give_medicine(nurse, running, **given)


def test_a_therapist_writes_but_does_not_touch_the_pump(running, therapist, unchanged):
    services.write_note(therapist, running, text="calm, eyes closed")
    services.record_observation(therapist, running, dissociation_0_10=5)
    with unchanged:
        for act in (services.pause_infusion, services.end_infusion):
            with pytest.raises(Refused, match="role"):
                act(therapist, running, reason="because")
        with pytest.raises(Refused, match="role"):
            services.give_medicine(
                therapist, running, medicine="ondansetron", dose=4, route="IV", reason="nausea"
            )


def test_a_correction_is_a_new_event_and_the_entry_stays(running, nurse, second_nurse, unchanged):
    wrong = services.record_vitals(nurse, running, systolic_mmhg=214, diastolic_mmhg=90)
    with unchanged:
        with pytest.raises(Refused, match="reason"):
            services.correct_event(second_nurse, running, seq=wrong.seq, reason="")
        with pytest.raises(Refused, match="not possible"):
            services.correct_event(
                nurse, running, seq=wrong.seq, reason="typed", data={"systolic_mmhg": 1400}
            )
    services.correct_event(
        second_nurse,
        running,
        seq=wrong.seq,
        reason="digits swapped",
        data={"systolic_mmhg": 124, "diastolic_mmhg": 90},
    )
    timeline = queries.timeline_of(running)
    assert timeline.latest_vitals.values == {"systolic_mmhg": 124, "diastolic_mmhg": 90}
    assert Event.objects.get(seq=wrong.seq).data["systolic_mmhg"] == 214
    services.correct_event(nurse, running, seq=wrong.seq, reason="not this patient")
    assert queries.timeline_of(running).latest_vitals.values == CHECK["vitals"]


def test_what_the_pump_did_cannot_be_taken_back_but_its_time_put_right(running, nurse, unchanged):
    started = queries.timeline_of(running).lines[-1]
    assert started.kind == "session.infusion_started"
    with unchanged, pytest.raises(Refused, match="cannot be taken back"):
        services.correct_event(nurse, running, seq=started.seq, reason="wrong")
    with clock.at(started.at + minutes(20)):
        services.correct_event(
            nurse,
            running,
            seq=started.seq,
            reason="tapped late",
            occurred_at=started.at + minutes(5),
        )
        assert queries.timeline_of(running).given_mg(clock.now()) == pytest.approx(15.375)


def test_a_correction_that_contradicts_the_rest_is_refused(running, nurse, unchanged):
    start = queries.timeline_of(running).started_at
    with clock.at(start + minutes(10)):
        pause = services.pause_infusion(nurse, running, reason="cough")
    with clock.at(start + minutes(12)):
        services.resume_infusion(nurse, running)
    with clock.at(start + minutes(20)), unchanged, pytest.raises(Refused, match="Not possible"):
        services.correct_event(
            nurse, running, seq=pause.seq, reason="later", occurred_at=start + minutes(15)
        )


def test_an_alert_is_acknowledged_with_name_and_reason(running, nurse, unchanged):
    services.record_vitals(nurse, running, systolic_mmhg=165, diastolic_mmhg=85)
    with unchanged:
        with pytest.raises(Refused, match="reason"):
            services.acknowledge_alert(nurse, running, rule_id="IV-SYS-A", reason="")
        with pytest.raises(Refused, match="no longer"):
            services.acknowledge_alert(nurse, running, rule_id="IV-SYS-R", reason="seen")
    services.acknowledge_alert(nurse, running, rule_id="IV-SYS-A", reason="prescriber told")
    (row,) = queries.todays_board()
    assert not row.open_alerts
    assert row.alerts[0].acknowledged.actor_name == str(nurse)


def test_an_acknowledged_alert_opens_again_when_the_limit_is_crossed_anew(running, nurse):
    start = queries.timeline_of(running).started_at
    for minute, systolic in ((1, 165), (5, 150), (9, 166)):
        with clock.at(start + minutes(minute)):
            services.record_vitals(nurse, running, systolic_mmhg=systolic)
            if minute == 1:
                services.acknowledge_alert(nurse, running, rule_id="IV-SYS-A", reason="told")
    with clock.at(start + minutes(9)):
        (row,) = queries.todays_board()
    assert [alert.rule_id for alert in row.open_alerts] == ["IV-SYS-A"]


def test_vital_signs_that_are_late_ask_for_attention(running):
    start = queries.timeline_of(running).started_at
    with clock.at(start + minutes(14)):
        assert not queries.todays_board()[0].open_alerts
    with clock.at(start + minutes(16)):
        (alert,) = queries.todays_board()[0].open_alerts
    assert (alert.rule_id, alert.authority) == ("late", "clinic policy")


def test_home_is_refused_while_a_criterion_is_open_and_says_which(
    recovered, nurse, only_the_attempt
):
    with clock.at(recovered.home_at), only_the_attempt:
        with pytest.raises(Refused, match="Walks steadily, without dizziness"):
            services.discharge(
                nurse, recovered, answers={**HOME, "steady_gait": False}, escort_name="Ines"
            )
        with pytest.raises(Refused, match="who takes the patient home"):
            services.discharge(nurse, recovered, answers=HOME, escort_name="")
    early = recovered.home_at - minutes(10)
    with clock.at(early), only_the_attempt, pytest.raises(Refused, match="At least 60 minutes"):
        services.discharge(nurse, recovered, answers=HOME, escort_name="Ines")
    late = recovered.home_at + minutes(30)
    with (
        clock.at(late),
        only_the_attempt,
        pytest.raises(Refused, match="within the last 15 minutes"),
    ):
        services.discharge(nurse, recovered, answers=HOME, escort_name="Ines")


def test_home_is_refused_far_from_baseline_whatever_is_ticked(recovered, nurse, only_the_attempt):
    with clock.at(recovered.home_at):
        services.record_vitals(nurse, recovered, systolic_mmhg=170, diastolic_mmhg=80)
        with only_the_attempt, pytest.raises(Refused, match="Systolic pressure within 20 %"):
            services.discharge(nurse, recovered, answers=HOME, escort_name="Ines")


def test_nobody_goes_home_with_the_pump_running(running, nurse, unchanged):
    with unchanged, pytest.raises(Refused, match="not in recovery"):
        services.discharge(nurse, running, answers=HOME, escort_name="Ines")


def test_discharge_frees_the_chair_and_tells_the_later_steps(recovered, nurse):
    told = []
    signals.discharged.connect(lambda **kw: told.append(kw["session"]), weak=False, dispatch_uid=7)
    try:
        with clock.at(recovered.home_at):
            services.discharge(nurse, recovered, answers=HOME, escort_name="Ines Example")
    finally:
        signals.discharged.disconnect(dispatch_uid=7)
    session = Session.objects.get(pk=recovered.pk)
    assert (session.phase, session.closed_at) == (Phase.DISCHARGED, recovered.home_at)
    assert told == [session]
    assert recovered.chair in queries.free_chairs()
    with pytest.raises(Refused, match="discharged"):
        services.record_vitals(nurse, session, heart_rate_bpm=70)


def test_a_session_is_cancelled_only_before_the_drug(running, nurse, unchanged):
    with unchanged, pytest.raises(Refused, match="has started"):
        services.cancel_session(nurse, running, reason="fever")


def test_a_cancelled_session_frees_the_chair(ready, nurse):
    services.cancel_session(nurse, ready, reason="fever")
    assert queries.timeline_of(ready).phase == Phase.CANCELLED
    assert ready.chair in queries.free_chairs()
