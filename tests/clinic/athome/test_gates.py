"""Every gate of a dose at home, tried from the wrong side."""

from datetime import timedelta

import pytest

from openketamine.clinic.athome import from_home, queries, services
from openketamine.clinic.athome.models import HomeScreening, HomeSession, Movement, Phase
from openketamine.clinic.errors import Refused
from openketamine.clinic.intake import services as intake
from openketamine.clinic.notices.models import Call, Notice
from openketamine.clinic.plans import services as plans
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event

from .conftest import DOSE, START, WELL, go, line_of, minutes, open_today

pytestmark = pytest.mark.django_db


class _Kept:
    """What is in the record and the tables before an attempt, to be compared with after it."""

    def __init__(self) -> None:
        self.before = self.look()

    def look(self):
        return (
            Event.objects.count(),
            HomeSession.objects.count(),
            Movement.objects.count(),
            Notice.objects.count(),
            Call.objects.count(),
        )

    def nothing_but_the_attempt(self) -> Event:
        events, *rest = self.look()
        assert rest == list(self.before[1:])
        assert events == self.before[0] + 1
        last = Event.objects.order_by("-seq").first()
        assert last.kind == "athome.refused"
        return last


def test_it_works(taken):
    assert taken.phase == Phase.HOLD
    line = line_of(taken)
    assert (line.dose_mg, line.dose_at, line.outside) == (150, START, "")
    assert queries.counts_of(taken.enrolment).held == {100: 1, 50: 1}


def test_no_session_without_a_doctor(ready, home_course, nurse, prescriber):
    services.enrol(prescriber, home_course, doctor=None, hold_min=10, after_hold="spit")
    kept = _Kept()
    with pytest.raises(Refused, match="No doctor is assigned"):
        open_today(nurse, home_course)
    assert "No doctor" in kept.nothing_but_the_attempt().data["reason"]


def test_no_session_with_a_doctor_who_has_left(ready, home_course, nurse, prescriber):
    prescriber.is_active = False
    prescriber.save()
    with pytest.raises(Refused, match="no longer works here"):
        open_today(nurse, home_course)


@pytest.mark.parametrize(("days", "admitted"), [(60, True), (61, False)])
def test_a_screening_holds_for_sixty_days(ready, home_course, nurse, days, admitted):
    HomeScreening.objects.update(signed_at=START - timedelta(days=days))
    kept = _Kept()
    if admitted:
        assert open_today(nurse, home_course).phase == Phase.CHECK
        return
    with pytest.raises(Refused, match="61 days old, and holds for 60"):
        open_today(nurse, home_course)
    assert "clinic policy" in kept.nothing_but_the_attempt().data["reason"]


def test_no_session_without_any_screening_for_home(on, supervised, home_course, nurse):
    HomeScreening.objects.all().delete()
    with pytest.raises(Refused, match="Nobody has signed a screening for home"):
        open_today(nurse, home_course)


def test_no_session_while_the_programme_is_off(ready, home_course, nurse, director):
    services.switch_off(director, because="The law has changed.")
    kept = _Kept()
    with pytest.raises(Refused, match="not switched on in US"):
        open_today(nurse, home_course)
    kept.nothing_but_the_attempt()


def test_no_session_in_another_jurisdiction(ready, home_course, nurse, settings):
    settings.JURISDICTION = "US-CA"
    with pytest.raises(Refused, match="not switched on in US-CA"):
        open_today(nurse, home_course)


def test_no_session_before_the_first_dose_was_watched(on, enrolled, home_course, nurse):
    services.dispense(nurse, enrolled, pieces=DOSE, counted={}, lot="L7")
    kept = _Kept()
    with pytest.raises(Refused, match="first dose is taken while a clinician watches"):
        open_today(nurse, home_course)
    kept.nothing_but_the_attempt()
    assert open_today(nurse, home_course, watched_live=True).watched_live


def test_no_session_without_an_adult(ready, home_course, nurse):
    for adult, words in (
        ({"adult_name": " "}, "Name the adult"),
        ({"adult_phone": "none"}, "no telephone number"),
    ):
        kept = _Kept()
        with pytest.raises(Refused, match=words):
            open_today(nurse, home_course, **adult)
        kept.nothing_but_the_attempt()


def test_no_session_beside_another(ready, home_course, nurse):
    session = open_today(nurse, home_course)
    second = home_course.planned_sessions.order_by("planned_for")[1]
    second.planned_for = START
    second.save()
    with pytest.raises(Refused, match="is open"):
        services.open_session(nurse, second, adult_name="Ines", adult_phone="+15550150")
    services.cancel_session(nurse, session, reason="The adult is late.")
    with pytest.raises(Refused, match="opened or cancelled already"):
        services.open_session(nurse, session.planned, adult_name="Ines", adult_phone="+15550150")


@pytest.mark.parametrize(("days", "admitted"), [(2, False), (3, True)])
def test_days_lie_between_two_doses(on, enrolled, home_course, nurse, days, admitted):
    services.record_supervised_dose(
        nurse,
        enrolled,
        taken_at=START - timedelta(days=days),
        dose_mg=150,
        note="Watched in the clinic, nothing of note.",
    )
    services.dispense(nurse, enrolled, pieces=DOSE, counted={}, lot="L7")
    kept = _Kept()
    if admitted:
        assert open_today(nurse, home_course)
        return
    with pytest.raises(Refused, match="3 days lie between"):
        open_today(nurse, home_course)
    kept.nothing_but_the_attempt()


def test_no_session_without_the_pieces_at_home(on, supervised, home_course, nurse):
    kept = _Kept()
    with pytest.raises(Refused, match="The dose needs 1 of 100 mg and 1 of 50 mg, and none"):
        open_today(nurse, home_course)
    kept.nothing_but_the_attempt()


def test_no_session_above_the_ceiling(ready, home_course, nurse, monkeypatch):
    from openketamine.clinic.plans.models import Plan

    Plan.objects.update(dose_mg=450, units=[[100, 4], [50, 1]])
    kept = _Kept()
    with pytest.raises(Refused, match="450 mg is above the ceiling of 400 mg"):
        open_today(nurse, home_course)
    kept.nothing_but_the_attempt()


def test_no_session_while_a_safety_review_is_open_or_consent_is_withdrawn(
    ready, home_course, nurse
):
    plans.withdraw_consent(nurse, home_course.consents.get(), reason="")
    with pytest.raises(Refused, match="No consent is in force"):
        open_today(nurse, home_course)
    answers = {f"q{n}": 1 for n in range(1, 10)}
    intake.record_response(nurse, home_course, instrument="phq9", answers=answers, occasion="visit")
    with pytest.raises(Refused, match="A safety review is open"):
        open_today(nurse, home_course)


def test_a_coordinator_opens_no_session(ready, home_course, coordinator):
    kept = _Kept()
    with pytest.raises(Refused, match="nurse or a prescriber"):
        open_today(coordinator, home_course)
    kept.nothing_but_the_attempt()


# ---------------------------------------------------------------- the patient's own answers


def test_a_pressure_of_165_over_100_is_no_dose_today(session):
    kept = _Kept()
    with pytest.raises(Refused, match="Sit quietly for 15 minutes"):
        from_home.check_in(session, data={**WELL, "systolic_mmhg": 165, "diastolic_mmhg": 100})
    attempt = kept.nothing_but_the_attempt()
    assert "Systolic 160 mmHg or more" in attempt.data["reason"]
    assert "clinic policy" in attempt.data["reason"]
    assert attempt.data["data"]["systolic_mmhg"] == 165
    session.refresh_from_db()
    assert session.phase == Phase.CHECK
    from_home.check_in(session, data=WELL)  # after a rest it may be well
    assert line_of(session).phase == Phase.DECIDE


def test_a_pressure_of_182_calls_the_clinic_as_well(session):
    with pytest.raises(Refused):
        from_home.check_in(session, data={**WELL, "systolic_mmhg": 182})
    assert Call.objects.get().priority == "red"


def test_an_answer_that_means_no_dose(session):
    for answer, words in (
        ({"adult_present": False}, "Without an adult"),
        ({"no_plans": False}, "Without your promise not to drive"),
        ({"no_depressant": False}, "After alcohol, an opioid"),
    ):
        kept = _Kept()
        with pytest.raises(Refused, match=words):
            from_home.check_in(session, data={**WELL, **answer})
        kept.nothing_but_the_attempt()


@pytest.mark.parametrize(
    ("answer", "doubt", "priority", "by_prescriber"),
    [
        ({"systolic_mmhg": 145}, "Systolic above 140 mmHg", "amber", True),
        ({"fasting": False}, "Has eaten or drunk", "amber", False),
        ({"safety_question": "yes"}, "Thoughts of death or self-harm: says yes", "red", True),
        ({"safety_question": "rather not say"}, "rather say it to a person", "red", True),
        ({"mood_0_10": 2}, "Mood 2 of 10", "amber", True),
        ({"counted": [[100, 2]]}, "Counts 2 of 100 mg at home", "amber", True),
    ],
)
def test_whatever_is_in_doubt_is_for_a_person_to_decide(
    session, nurse, prescriber, answer, doubt, priority, by_prescriber
):
    from_home.check_in(session, data={**WELL, **answer})
    session.refresh_from_db()
    assert session.phase == Phase.DECIDE
    call = Call.objects.get()
    assert call.priority == priority
    assert doubt in call.detail
    assert call.responsible == prescriber
    if by_prescriber:
        with pytest.raises(Refused, match="A prescriber decides"):
            go(nurse, session, reason="I think so.")
    who = prescriber if by_prescriber else nurse
    with pytest.raises(Refused, match="Give the reason"):
        go(who, session)
    go(who, session, reason="Spoke with her, it was coffee at noon.")
    call.refresh_from_db()
    assert not call.is_open
    assert call.closed_by == who
    assert line_of(session).phase == Phase.GO


def test_even_where_nothing_is_in_doubt_a_clinician_speaks_with_the_patient(session, nurse):
    from_home.check_in(session, data=WELL)
    assert Call.objects.get().detail.startswith("Nothing in doubt")
    kept = _Kept()
    with pytest.raises(Refused, match="A clinician has spoken with the patient"):
        go(nurse, session, confirmed={"identity": True})
    kept.nothing_but_the_attempt()
    assert go(nurse, session).phase == Phase.GO


def test_a_clinic_that_asks_no_person_lets_a_clear_answer_through(session, monkeypatch):
    from openketamine.clinic.athome import gates

    monkeypatch.setattr(gates, "asked_of_clinician", lambda protocol: [])
    from_home.check_in(session, data=WELL)
    line = line_of(session)
    assert line.phase == Phase.GO
    assert line.decided.by == "OpenKetamine"
    assert not Call.objects.exists()


def test_no_dose_is_decided_with_a_reason_and_ends_the_session(session, nurse):
    from_home.check_in(session, data=WELL)
    with pytest.raises(Refused, match="Say why there is no dose"):
        go(nurse, session, go=False)
    go(nurse, session, go=False, reason="A cold, and a temperature.")
    session.refresh_from_db()
    assert (session.phase, session.closed_at) == (Phase.NO_GO, START)
    with pytest.raises(Refused, match="over"):
        from_home.check_in(session, data=WELL)


def test_what_was_not_answered_is_no_good_answer(session):
    for name in WELL.keys() - {"counted"}:
        kept = _Kept()
        with pytest.raises(Refused, match="not answered yet") as refusal:
            from_home.check_in(session, data={**WELL, name: None})
        assert refusal.value.field == name
        kept.nothing_but_the_attempt()


def test_an_impossible_value_is_refused(session):
    for values, words in (
        ({"systolic_mmhg": 1200}, "1200 cannot be right"),
        ({"systolic_mmhg": 80, "diastolic_mmhg": 90}, "90 cannot be right"),
    ):
        with pytest.raises(Refused, match=words):
            from_home.check_in(session, data={**WELL, **values})
    assert line_of(session).answered is None


# --------------------------------------------------------------------------------- the dose


def test_no_dose_before_the_questions(session):
    kept = _Kept()
    with pytest.raises(Refused, match="Answer the questions first"):
        from_home.take_dose(session, pieces=DOSE)
    kept.nothing_but_the_attempt()


def test_no_dose_before_the_clinic_says_yes(session):
    from_home.check_in(session, data=WELL)
    kept = _Kept()
    with pytest.raises(Refused, match="Wait for the clinic"):
        from_home.take_dose(session, pieces=DOSE)
    kept.nothing_but_the_attempt()


def test_no_dose_before_the_adult_says_i_am_here(session, nurse):
    from_home.check_in(session, data=WELL)
    go(nurse, session)
    kept = _Kept()
    with pytest.raises(Refused, match="I am here"):
        from_home.take_dose(session, pieces=DOSE)
    assert "adult at hand has not said" in kept.nothing_but_the_attempt().data["reason"]


def test_nobody_raises_a_dose_at_home(may_take):
    for pieces, words in (
        ({100.0: 2}, "more than was ordered"),
        ({100.0: 1, 50.0: 2}, "more than was ordered"),
        ({100.0: 5}, "more than anybody takes at home"),
        ({}, "which pieces"),
    ):
        kept = _Kept()
        with pytest.raises(Refused, match=words):
            from_home.take_dose(may_take, pieces=pieces)
        kept.nothing_but_the_attempt()


def test_less_than_ordered_may_be_taken(may_take):
    from_home.take_dose(may_take, pieces={50.0: 1})
    assert line_of(may_take).dose_mg == 50
    assert queries.counts_of(may_take.enrolment).held == {100: 2, 50: 1}


def test_no_more_than_was_handed_out(may_take, nurse):
    services.take_back(
        nurse, may_take.enrolment, kind="lost", pieces={100: 2}, note="Fell into the sink."
    )
    kept = _Kept()
    with pytest.raises(Refused, match="more pieces than the clinic has given"):
        from_home.take_dose(may_take, pieces=DOSE)
    kept.nothing_but_the_attempt()


def test_answers_that_have_grown_old_are_asked_again(may_take):
    with clock.at(minutes(61)):
        from_home.adult_here(may_take)
        kept = _Kept()
        with pytest.raises(Refused, match="Take nothing now"):
            from_home.take_dose(may_take, pieces=DOSE)
        assert "older than 60 minutes" in kept.nothing_but_the_attempt().data["reason"]
    with clock.at(minutes(62)):
        from_home.check_in(may_take, data=WELL)
        assert line_of(may_take).phase == Phase.DECIDE


def test_never_a_second_dose(taken):
    kept = _Kept()
    with pytest.raises(Refused, match="Never take a second one"):
        from_home.take_dose(taken, pieces={50.0: 1})
    kept.nothing_but_the_attempt()


def test_a_dose_taken_while_cut_off_is_kept_as_it_happened(may_take):
    with clock.at(minutes(30)):
        from_home.take_dose(may_take, pieces=DOSE, made_at=minutes(5))
    line = line_of(may_take)
    assert (line.dose_at, line.outside) == (minutes(5), "")
    assert not Call.objects.filter(priority="red").exists()


def test_a_dose_taken_while_cut_off_and_not_allowed_is_kept_and_calls(session, nurse):
    from_home.check_in(session, data=WELL)  # nobody has said go
    with clock.at(minutes(30)):
        from_home.take_dose(session, pieces={100.0: 2}, made_at=minutes(10))
    line = line_of(session)
    assert (line.dose_at, line.dose_mg) == (minutes(10), 200)
    assert "no self-escalation" in line.outside
    call = Call.objects.get(priority="red")
    assert call.headline == "A dose was taken at home that was not allowed"
    assert queries.counts_of(session.enrolment).held == {50: 2}


def test_a_dose_reported_for_a_session_that_was_cancelled_calls(may_take, nurse):
    services.cancel_session(nurse, may_take, reason="No answer by telephone.")
    with clock.at(minutes(20)), pytest.raises(Refused, match="over"):
        from_home.take_dose(may_take, pieces=DOSE, made_at=minutes(5))
    assert Call.objects.get(priority="red").detail.startswith("This session is over")


# -------------------------------------------------------------- the switch and the screening


def test_only_the_director_switches_on_by_the_own_name_under_what_was_read(
    home_course, director, prescriber
):
    digest = services.warnings_digest()
    with pytest.raises(Refused, match="Only the medical director"):
        services.switch_on(prescriber, signed_name="x", digest=digest)
    with pytest.raises(Refused, match="Sign with your full name"):
        services.switch_on(director, signed_name="Dr Else", digest=digest)
    with pytest.raises(Refused, match="warnings have changed"):
        services.switch_on(director, signed_name=director.display_name, digest="0")
    made = services.switch_on(director, signed_name=director.display_name, digest=digest)
    assert any("10 October 2023" in each["statement"] for each in made.warnings)
    with pytest.raises(Refused, match="on in US already"):
        services.switch_on(director, signed_name=director.display_name, digest=digest)
    with pytest.raises(Refused, match="Say why"):
        services.switch_off(director, because=" ")


def test_a_contraindication_cannot_be_overridden_for_home(home_course, nurse, prescriber):
    history = home_course.history
    history.answers = {**history.answers, "takes_cns_depressant": True}
    history.save()
    with pytest.raises(Refused, match="at home none can be overridden"):
        services.sign_home_screening(prescriber, home_course, how="video")
    with pytest.raises(Refused, match="Only a prescriber"):
        services.sign_home_screening(nurse, home_course, how="video")
    assert not HomeScreening.objects.exists()


def test_what_is_unknown_is_no_screening_for_home(home_course, prescriber):
    history = home_course.history
    history.answers = {k: v for k, v in history.answers.items() if k != "home_adult_present"}
    history.save()
    with pytest.raises(Refused, match="Not known"):
        services.sign_home_screening(prescriber, home_course, how="video")


def test_the_hold_is_the_prescribers_to_say(home_course, prescriber, nurse):
    for hold_min, after in ((-1, "spit"), (61, "spit"), (10, "chew"), (0, "spit")):
        with pytest.raises(Refused):
            services.enrol(
                prescriber, home_course, doctor=prescriber, hold_min=hold_min, after_hold=after
            )
    with pytest.raises(Refused, match="The doctor is a prescriber"):
        services.enrol(prescriber, home_course, doctor=nurse, hold_min=10, after_hold="spit")
