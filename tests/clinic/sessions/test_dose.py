"""The dose: drawn up by two, given as ordered, and the dose given so far right whatever happens."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openketamine.clinic.errors import Refused
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.sessions import queries, services
from openketamine.clinic.sessions.models import VerbalOrder
from openketamine.clinic.sessions.timeline import OutOfOrderError, fold

from ..conftest import CHECK, draw_up
from .test_timeline import START, Story


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


@pytest.fixture
def start(running) -> datetime:
    return queries.timeline_of(running).started_at


def given_mg(session, at) -> float:
    return queries.timeline_of(session).given_mg(at)


def test_it_works(running, nurse, prescriber, start):
    with clock.at(start + minutes(10)):
        services.give_bolus(prescriber, running, dose_mg=5, reason="too light")
    assert given_mg(running, start + minutes(20)) == pytest.approx(61.5 / 3 + 5)
    assert queries.timeline_of(running).planned_mg == 46


# --- drawing up ---------------------------------------------------------------------------------


def test_nothing_starts_before_two_people_have_seen_the_syringe(
    session, nurse, second_nurse, unchanged
):
    services.complete_check(nurse, session, **CHECK)
    with unchanged, pytest.raises(Refused, match="Prepare the syringe first"):
        services.start_infusion(nurse, session)
    services.prepare_syringe(nurse, session, volume_ml=4.1, concentration_mg_per_ml=10, lot="KX12")
    with unchanged:
        with pytest.raises(Refused, match="not been checked by a second person"):
            services.start_infusion(nurse, session)
        with pytest.raises(Refused, match="You prepared this syringe"):
            services.check_syringe(nurse, session, volume_ml=4.1, concentration_mg_per_ml=10)
    services.check_syringe(second_nurse, session, volume_ml=4.1, concentration_mg_per_ml=10)
    services.start_infusion(nurse, session)
    loaded = queries.timeline_of(session).loaded
    assert (loaded.amount_mg, loaded.lot) == (41.0, "KX12")
    assert loaded.checked.actor_name == str(second_nurse)


def test_another_reading_of_the_syringe_is_recorded_and_stops_the_start(
    session, nurse, second_nurse
):
    services.complete_check(nurse, session, **CHECK)
    services.prepare_syringe(nurse, session, volume_ml=4.1, concentration_mg_per_ml=10, lot="KX12")
    with pytest.raises(Refused, match="not what was written down"):
        services.check_syringe(second_nurse, session, volume_ml=4.1, concentration_mg_per_ml=50)
    assert Event.objects.filter(kind="session.syringe_check_failed").count() == 1
    with pytest.raises(Refused, match="not been checked"):
        services.start_infusion(nurse, session)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"volume_ml": 0}, "above zero"),
        ({"concentration_mg_per_ml": float("nan")}, "above zero"),
        ({"lot": " "}, "lot"),
        ({"concentration_mg_per_ml": 100}, "Dilute"),
    ],
)
def test_a_syringe_that_cannot_be_given_is_not_written_down(
    session, nurse, unchanged, change, words
):
    drawn = {"volume_ml": 4.1, "concentration_mg_per_ml": 10, "lot": "K", **change}
    with unchanged, pytest.raises(Refused, match=words):
        services.prepare_syringe(nurse, session, **drawn)


def test_a_syringe_is_changed_in_the_paused_pump_and_its_waste_kept(
    running, nurse, second_nurse, start, unchanged
):
    with clock.at(start + minutes(10)):
        draw_up(running, nurse, second_nurse, volume_ml=6.2, concentration_mg_per_ml=5)
        with unchanged, pytest.raises(Refused, match="Pause the pump first"):
            services.change_syringe(nurse, running, wasted_mg=30.7, reason="cracked")
        services.pause_infusion(nurse, running, reason="syringe cracked")
    with clock.at(start + minutes(12)):
        services.change_syringe(nurse, running, wasted_mg=30.7, reason="cracked")
        services.resume_infusion(nurse, running)
    timeline = queries.timeline_of(running)
    assert timeline.loaded.concentration_mg_per_ml == 5
    assert timeline.given_mg(start + minutes(22)) == pytest.approx(2 * 10.25)
    # 31 mg are in the new syringe, so all of the programmed dose can run in.
    assert timeline.given_mg(start + minutes(90)) == pytest.approx(41)


def test_a_pump_gives_no_more_than_its_syringe_holds(session, nurse, prescriber):
    services.complete_check(nurse, session, **CHECK)
    draw_up(session, nurse, prescriber, volume_ml=2)
    services.start_infusion(nurse, session)
    timeline = queries.timeline_of(session)
    assert timeline.given_mg(timeline.started_at + minutes(40)) == pytest.approx(20)
    assert timeline.to_run_mg(timeline.started_at + minutes(10)) == pytest.approx(9.75)


# --- orders -------------------------------------------------------------------------------------


def test_a_dose_outside_the_plan_needs_the_prescribers_order(running, nurse, start, unchanged):
    with clock.at(start + minutes(5)), unchanged:
        for act, amount in (
            (services.give_bolus, {"dose_mg": 5}),
            (services.change_total, {"total_mg": 50}),
        ):
            with pytest.raises(Refused, match="is outside the plan"):
                act(nurse, running, reason="too light", **amount)


def test_an_order_by_voice_is_read_back_and_signed_later(
    running, nurse, second_nurse, prescriber, start, unchanged
):
    with clock.at(start + minutes(5)):
        order = {"reason": "too light", "ordered_by": prescriber}
        with unchanged:
            with pytest.raises(Refused, match="Read the order back"):
                services.give_bolus(nurse, running, dose_mg=5, **order)
            with pytest.raises(Refused, match="Name the prescriber"):
                services.give_bolus(
                    nurse, running, dose_mg=5, read_back=True, reason="x", ordered_by=second_nurse
                )
        services.give_bolus(nurse, running, dose_mg=5, read_back=True, **order)
    (waiting,) = queries.orders_to_cosign()
    assert waiting.prescriber == prescriber
    assert waiting.statement == "A bolus of 5 mg: too light"
    with unchanged, pytest.raises(Refused, match="Only Prescriber Example, MD can sign"):
        services.cosign_order(nurse, waiting)
    with clock.at(start + minutes(6)):
        services.end_infusion(nurse, running, reason="enough")
        services.cosign_order(prescriber, waiting)
    assert queries.orders_to_cosign() == []
    with unchanged:
        services.cosign_order(prescriber, waiting)  # pressed twice
    (order,) = queries.timeline_of(running).orders.values()
    assert (order.is_verbal, order.cosigned.actor_name) == (True, str(prescriber))


def test_an_order_on_the_screen_covers_one_act_up_to_its_amount(
    running, nurse, prescriber, start, unchanged
):
    with clock.at(start + minutes(5)):
        services.give_order(prescriber, running, what="bolus", amount=5, reason="if too light")
        with unchanged, pytest.raises(Refused, match="outside the plan"):
            services.give_bolus(nurse, running, dose_mg=6, reason="too light")
        services.give_bolus(nurse, running, dose_mg=4, reason="too light")
        with unchanged, pytest.raises(Refused, match="outside the plan"):
            services.give_bolus(nurse, running, dose_mg=1, reason="too light")
    assert not VerbalOrder.objects.exists()


def test_no_order_passes_the_clinics_policy(running, prescriber, start, unchanged):
    with clock.at(start + minutes(5)), unchanged:
        with pytest.raises(Refused, match=r"0\.80 mg/kg"):
            services.give_bolus(prescriber, running, dose_mg=25, reason="x")
        with pytest.raises(Refused, match=r"at most 61\.5 mg/h"):
            services.give_order(prescriber, running, what="rate", amount=90, reason="x")
        with pytest.raises(Refused, match="To give no more, stop"):
            services.change_total(prescriber, running, total_mg=2, reason="x")


def test_less_than_ordered_is_the_nurses_to_set(running, nurse, start):
    with clock.at(start + minutes(5)):
        services.change_total(nurse, running, total_mg=30, reason="light-headed last time")
    assert given_mg(running, start + minutes(60)) == pytest.approx(30)


def test_a_bolus_typed_wrongly_is_restated_or_taken_back(running, nurse, prescriber, start):
    with clock.at(start + minutes(5)):
        bolus = services.give_bolus(prescriber, running, dose_mg=8, reason="too light")
    with clock.at(start + minutes(6)):
        services.correct_event(
            nurse, running, seq=bolus.seq, reason="it was 3", data={"dose_mg": 3}
        )
        assert given_mg(running, start + minutes(6)) == pytest.approx(6.15 + 3)
        services.correct_event(nurse, running, seq=bolus.seq, reason="another patient's")
        assert given_mg(running, start + minutes(6)) == pytest.approx(6.15)


# --- the integral, against one that knows nothing of the fold -----------------------------------

STEP_S = 10
moves = st.lists(
    st.tuples(
        st.integers(1, 60),
        st.sampled_from(["pause", "resume", "rate", "bolus", "total", "syringe", "end"]),
        st.integers(1, 60),
    ),
    max_size=12,
)
retimes = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 600)), max_size=4)


def by_small_steps(acts: list[tuple[int, int, str, float]], until: int) -> float | None:
    """The dose by stepping through time `STEP_S` seconds at once; None where the acts do not fit.

    Args:
        acts: (step, order written, what, amount), in any order.
    """
    state, rate, total, left, pumped, boluses = "ready", 0.0, 0.0, 0.0, 0.0, 0.0
    queue = sorted(acts)
    for step in range(max([until, *(a[0] for a in acts)]) + 1):
        while queue and queue[0][0] == step:
            _, _, what, amount = queue.pop(0)
            allowed = {
                "start": {"ready"},
                "pause": {"running"},
                "resume": {"paused"},
                "rate": {"running"},
                "bolus": {"running", "paused"},
                "total": {"running", "paused"},
                "syringe": {"paused"},
                "end": {"running", "paused"},
            }[what]
            if state not in allowed:
                return None
            if what == "start":
                state, rate, total, left = "running", amount, 41.0, 30.0
            elif what == "pause":
                state = "paused"
            elif what == "resume":
                state, rate = "running", amount
            elif what == "rate":
                rate = amount
            elif what == "total":
                total = amount
            elif what == "syringe":
                left = amount
            elif what == "end":
                state = "ended"
            elif what == "bolus":
                if step <= until:
                    boluses += amount
                left = max(left - amount, 0.0)
        if state == "running" and step < until:
            ran = max(min(rate * STEP_S / 3600, total - pumped, left), 0.0)
            pumped, left = pumped + ran, left - ran
    return pumped + boluses


KINDS = {
    "start": "infusion_started",
    "pause": "infusion_paused",
    "resume": "infusion_resumed",
    "rate": "rate_changed",
    "bolus": "bolus_given",
    "total": "total_changed",
    "syringe": "syringe_changed",
    "end": "infusion_ended",
}


@given(moves, retimes, st.integers(0, 900))
def test_the_dose_given_is_the_integral_of_whatever_happened(told, moved, until):
    story = Story()
    first = story.tell(
        -4, "syringe_prepared", volume_ml=3.0, concentration_mg_per_ml=10.0, amount_mg=30, lot="a"
    )
    acts: list[tuple[int, int, str, float]] = []
    facts = []

    def tell(step: int, what: str, amount: float) -> None:
        data: dict[str, object] = {"reason": "r"}
        if what == "start":
            data = {"programmed_mg": 41.0, "rate_mg_per_h": amount, "syringe": first.seq}
        elif what in {"rate", "resume"}:
            data["rate_mg_per_h"] = amount
        elif what == "total":
            data["programmed_mg"] = amount
        elif what == "bolus":
            data["dose_mg"] = amount
        elif what == "syringe":
            drawn = story.tell(
                -3,
                "syringe_prepared",
                volume_ml=amount / 10,
                concentration_mg_per_ml=10.0,
                amount_mg=amount,
                lot="b",
            )
            data |= {"syringe": drawn.seq, "wasted_mg": 0.0}
        elif what == "end":
            data |= {"given_mg": 0, "wasted_mg": 0}
        fact = story.tell(step * STEP_S / 60, KINDS[what], **data)
        facts.append(fact)
        acts.append((step, fact.seq, what, amount))

    tell(0, "start", 61.5)
    step = 0
    for wait, what, amount in told:
        step += wait
        tell(step, what, float(amount))
        if by_small_steps(acts, until) is None:  # what does not fit is refused and leaves no trace
            story.facts.remove(facts.pop())
            acts.pop()
    for index, to in moved:
        fact, act = facts[index % len(facts)], acts[index % len(acts)]
        corrected = [(to, *a[1:]) if a is act else a for a in acts]
        at = START + timedelta(seconds=to * STEP_S)
        correction = story.tell(
            200, "corrected", corrects=fact.seq, action="retime", reason="r",
            occurred_at=at.isoformat(),
        )  # fmt: skip
        if by_small_steps(corrected, until) is None:
            with pytest.raises(OutOfOrderError):
                fold(story.facts)
            story.facts.remove(correction)
        else:
            acts = corrected
    moment = START + timedelta(seconds=until * STEP_S)
    expected = by_small_steps(acts, until)
    assert fold(story.facts).given_mg(moment) == pytest.approx(expected, abs=1e-6)
    assert moment.tzinfo is UTC
