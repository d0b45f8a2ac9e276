"""A session by nasal spray: device after device, every gate tried from the wrong side."""

import uuid
from datetime import date, timedelta

import pytest

from openketamine import protocols
from openketamine.clinic.errors import Barred, Refused
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.rems import queries as programme
from openketamine.clinic.rems import services as rems
from openketamine.clinic.sessions import alerts, queries, screen, services, spray
from openketamine.clinic.sessions.models import MonitoringForm, Phase

from ..conftest import PACK, SPRAY_CHECK, SPRAY_HOME, take


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


@pytest.fixture
def barred():
    """Runs an act that a guarding rule bars, and sees that nothing but the attempt was written."""

    def run(session, match, act):
        before = list(Event.objects.order_by("seq").values_list("seq", flat=True))
        phase = session.phase
        with pytest.raises(Barred, match=match) as refusal:
            act()
        (written,) = Event.objects.exclude(seq__in=before)
        assert written.kind in {"session.attempt_refused", "sessions.open_refused"}
        assert written.data["because"] == refusal.value.message
        session.refresh_from_db()
        assert session.phase == phase
        return refusal.value

    return run


def test_it_works(spray_ready, nurse):
    first = take(spray_ready, nurse)
    assert first.data["number"] == 1
    timeline = queries.timeline_of(spray_ready)
    assert (timeline.phase, timeline.given_mg(clock.now())) == (Phase.SPRAYING, 28)
    with clock.at(first.occurred_at + minutes(5)):
        take(spray_ready, nurse)
    spray_ready.refresh_from_db()
    timeline = queries.timeline_of(spray_ready)
    assert (spray_ready.phase, timeline.given_mg(clock.now() + minutes(6))) == (Phase.RECOVERY, 56)
    assert timeline.ended_at - timeline.started_at == minutes(5)


def test_the_second_device_is_refused_after_two_minutes(spray_ready, nurse, barred):
    first = take(spray_ready, nurse)
    spray_ready.refresh_from_db()
    with clock.at(first.occurred_at + minutes(2)):
        barred(
            spray_ready,
            r"Too early: 2 min since the device before, and 5 min of rest lie between two",
            lambda: take(spray_ready, nurse),
        )
    assert queries.timeline_of(spray_ready).units_taken == 1
    with clock.at(first.occurred_at + minutes(5)):
        assert take(spray_ready, nurse).data["number"] == 2


def test_a_device_that_was_taken_too_early_is_recorded_as_it_happened(spray_ready, nurse):
    first = take(spray_ready, nurse)
    with clock.at(first.occurred_at + minutes(2)):
        event = take(spray_ready, nurse, deviation="The patient took it unasked.")
    assert event.data["deviation"] == "The patient took it unasked."
    assert queries.timeline_of(spray_ready).units_taken == 2


def test_no_device_before_the_check_or_with_an_expired_pack(spray_opened, nurse, barred):
    barred(spray_opened, "Do the pre-session check first", lambda: take(spray_opened, nurse))
    services.complete_check(nurse, spray_opened, **SPRAY_CHECK)
    spray_opened.refresh_from_db()
    yesterday = clock.today() - timedelta(days=1)
    barred(
        spray_opened,
        "Expired on .* Set it aside",
        lambda: take(spray_opened, nurse, expires_on=yesterday),
    )
    assert take(spray_opened, nurse, expires_on=clock.today()).data["dose_mg"] == 28


@pytest.mark.parametrize(
    ("systolic", "diastolic", "words"),
    [(165, 100, "Systolic above 140.*Diastolic above 90"), (141, 80, "Systolic"), (128, 91, "Dia")],
)
def test_a_high_pressure_before_the_dose_waits_for_the_prescriber(
    spray_opened, nurse, prescriber, barred, systolic, diastolic, words
):
    vitals = {**SPRAY_CHECK["vitals"], "systolic_mmhg": systolic, "diastolic_mmhg": diastolic}
    services.complete_check(nurse, spray_opened, **{**SPRAY_CHECK, "vitals": vitals})
    spray_opened.refresh_from_db()
    barred(spray_opened, words, lambda: take(spray_opened, nurse))
    with pytest.raises(Refused, match="Your role does not"):
        services.decide_go(nurse, spray_opened, reason="x")
    with pytest.raises(Refused, match="Give the reason"):
        services.decide_go(prescriber, spray_opened, reason=" ")
    decided = services.decide_go(prescriber, spray_opened, reason="White coat; 138/86 at home.")
    assert "above 1" in decided.data["about"] or "above 9" in decided.data["about"]
    assert take(spray_opened, nurse).data["number"] == 1


def test_the_limit_itself_asks_nobody(spray_opened, nurse):
    vitals = {**SPRAY_CHECK["vitals"], "systolic_mmhg": 140, "diastolic_mmhg": 90}
    services.complete_check(nurse, spray_opened, **{**SPRAY_CHECK, "vitals": vitals})
    assert take(spray_opened, nurse)


def test_a_pressure_that_rose_after_the_check_waits_for_the_prescriber(
    spray_ready, nurse, prescriber, barred
):
    services.record_vitals(nurse, spray_ready, systolic_mmhg=165, diastolic_mmhg=100)
    barred(spray_ready, "prescriber has to decide", lambda: take(spray_ready, nurse))
    services.decide_go(prescriber, spray_ready, reason="Rested; benefit outweighs.")
    assert take(spray_ready, nurse)


@pytest.mark.parametrize(
    ("fact", "ago", "wait"), [("food", 90, 30), ("drink", 20, 10), ("nasal", 30, 30)]
)
def test_food_drink_and_other_nose_sprays_lie_some_time_back(
    spray_opened, nurse, prescriber, barred, fact, ago, wait
):
    now = clock.now()
    waits = {**SPRAY_CHECK["waits"], fact: now - minutes(ago)}
    services.complete_check(nurse, spray_opened, **{**SPRAY_CHECK, "waits": waits})
    spray_opened.refresh_from_db()
    barred(spray_opened, "Too early: last", lambda: take(spray_opened, nurse))
    until, _ = spray.first_not_before(spray_opened, queries.timeline_of(spray_opened))
    assert abs((until - now) - minutes(wait)) < timedelta(seconds=1)
    with clock.at(until):
        assert take(spray_opened, nurse)


def test_the_prescriber_alone_waives_the_wait(spray_opened, nurse, prescriber):
    waits = {**SPRAY_CHECK["waits"], "food": clock.now() - minutes(100)}
    services.complete_check(nurse, spray_opened, **{**SPRAY_CHECK, "waits": waits})
    with pytest.raises(Refused, match="Your role does not"):
        spray.waive_wait(nurse, spray_opened, reason="x")
    spray.waive_wait(prescriber, spray_opened, reason="A biscuit.")
    assert take(spray_opened, nurse)
    with pytest.raises(Refused, match="nothing to wait for"):
        spray.waive_wait(prescriber, spray_opened, reason="again")


def test_a_wait_that_nobody_asked_about_is_refused(spray_opened, nurse, unchanged):
    waits = {k: v for k, v in SPRAY_CHECK["waits"].items() if k != "nasal"}
    with unchanged, pytest.raises(Refused, match="nasal steroid or decongestant: enter") as why:
        services.complete_check(nurse, spray_opened, **{**SPRAY_CHECK, "waits": waits})
    assert why.value.field == "wait_nasal"


def test_the_site_and_the_patient_are_known_to_the_programme(
    spray_planned, nurse, chair, director, prescriber, barred
):
    course = spray_planned
    planned = course.planned_sessions.get(number=1)

    class Standing:
        phase = None

        def refresh_from_db(self):
            pass

    enrolment = course.person.rems_enrolments.get()
    rems.end_enrolment(nurse, enrolment, ended_on=clock.today(), reason="Asked to leave.")
    barred(
        Standing(),
        "not enrolled in the esketamine REMS",
        lambda: services.open_session(nurse, planned, chair),
    )
    rems.enrol_patient(
        nurse, course.person, prescriber=prescriber, enrolled_on=clock.today(), counselled=True
    )
    rems.end_certification(
        director, programme.certification(), ended_on=clock.today(), reason="Lapsed."
    )
    barred(
        Standing(),
        "This site is not certified",
        lambda: services.open_session(nurse, planned, chair),
    )
    assert not hasattr(planned, "session")


def test_a_certification_that_ends_bars_the_next_device(spray_ready, nurse, director, barred):
    first = take(spray_ready, nurse)
    spray_ready.refresh_from_db()
    rems.end_certification(
        director, programme.certification(), ended_on=clock.today(), reason="Lapsed."
    )
    with clock.at(first.occurred_at + minutes(6)):
        barred(spray_ready, "not certified", lambda: take(spray_ready, nurse))


def test_outside_the_united_states_no_programme_is_asked_for(spray_planned, settings, nurse, chair):
    spray_planned.person.rems_enrolments.all().delete()
    settings.JURISDICTION = "EU"
    assert programme.what_is_missing(spray_planned) == ""


def test_going_home_at_ninety_minutes_is_refused(spray_taken, nurse, barred):
    last = queries.timeline_of(spray_taken).ended_at
    with clock.at(last + minutes(90)):
        calm(spray_taken, nurse)
        refusal = barred(
            spray_taken,
            "At least 2 hours since the first device .95 min.*since the last device as well",
            lambda: home(spray_taken, nurse),
        )
        assert refusal.message.startswith("Not yet")


def test_two_hours_count_from_the_last_device(spray_taken, nurse, barred):
    last = queries.timeline_of(spray_taken).ended_at
    with clock.at(last + minutes(116)):  # two hours and a minute since the first
        calm(spray_taken, nurse)
        barred(spray_taken, r"^Not yet: At least 2 hours since the last device as well", lambda: (
            home(spray_taken, nurse)
        ))  # fmt: skip
    with clock.at(last + minutes(120)):
        calm(spray_taken, nurse)
        home(spray_taken, nurse)
    spray_taken.refresh_from_db()
    assert spray_taken.phase == Phase.DISCHARGED
    owed = MonitoringForm.objects.get()
    assert owed.due_on == clock.today() + timedelta(days=7)


@pytest.mark.parametrize("fact", ["clinician_judges_ready", "dissociation_resolved"])
def test_the_timer_alone_never_releases_anybody(spray_taken, nurse, barred, fact):
    last = queries.timeline_of(spray_taken).ended_at
    with clock.at(last + minutes(150)):
        calm(spray_taken, nurse)
        barred(
            spray_taken,
            "Not yet",
            lambda: home(spray_taken, nurse, answers={**SPRAY_HOME, fact: False}),
        )


def calm(session, nurse) -> None:
    services.record_vitals(
        nurse,
        session,
        systolic_mmhg=130,
        diastolic_mmhg=80,
        heart_rate_bpm=74,
        spo2_percent=98,
        respiratory_rate_bpm=14,
    )
    services.record_observation(
        nurse, session, sedation_moaas=5, dissociation_0_10=0, nausea_0_10=0
    )
    timeline = queries.timeline_of(session)
    for alert in queries.alerts_of(session, timeline, clock.now()):
        if not alert.acknowledged:
            services.acknowledge_alert(nurse, session, rule_id=alert.rule_id, reason="Done now.")


def home(session, nurse, answers=SPRAY_HOME):
    return services.discharge(nurse, session, answers=answers, escort_name="Ines Example")


def test_what_is_due_runs_from_the_last_device(spray_taken, nurse):
    timeline, protocol = queries.timeline_of(spray_taken), queries.protocol_of(spray_taken)
    last = timeline.ended_at
    columns, rows = screen.schedule(timeline, protocol, last + minutes(10))
    assert columns == (
        "Pressure",
        "SpO2",
        "Respiratory rate",
        "Sedation (MOAA/S)",
        "Dissociation",
        "Nausea",
    )
    assert [row.at_min for row in rows] == [20, 40, 60, 80, 100, 120]
    assert rows[1].at == last + minutes(40)
    # What was read before the dose is no answer to what is to come.
    assert {cell for row in rows for cell in row.cells} == {("", "next")}
    with clock.at(last + minutes(41)):
        calm(spray_taken, nurse)
        timeline = queries.timeline_of(spray_taken)
        _, rows = screen.schedule(timeline, protocol, clock.now())
    assert rows[1].cells[0] == ("130/80", "done")
    # One pressure is asked for between 20 and 60 minutes beside that at 40: it came late.
    assert rows[0].cells[0] == ("130/80 (+21 min)", "done")
    assert {state for _, state in rows[0].cells[1:]} == {"missed"}
    with clock.at(last + minutes(66)):
        due = alerts.observations_due(timeline, protocol, clock.now())
        assert due[0] == last + minutes(60)
        assert "late" in {a.rule_id for a in queries.alerts_of(spray_taken, timeline, clock.now())}


def test_the_check_at_forty_minutes_stays_due_whatever_was_read_before(spray_taken, nurse):
    last = queries.timeline_of(spray_taken).ended_at
    with clock.at(last + minutes(31)):
        calm(spray_taken, nurse)
    timeline, protocol = queries.timeline_of(spray_taken), queries.protocol_of(spray_taken)
    due = alerts.observations_due(timeline, protocol, last + minutes(42))
    assert due[0] == last + minutes(40)


def test_a_failed_device_is_not_topped_up_without_the_prescriber(spray_ready, nurse, prescriber):
    first = take(spray_ready, nurse, left="full", right="partial")
    assert (first.data["outcome"], first.data["dose_mg"]) == ("partial", 28)
    with clock.at(first.occurred_at + minutes(6)):
        second = take(spray_ready, nurse, left="none", right="none")
        assert (second.data["outcome"], second.data["dose_mg"]) == ("failed", 0)
    spray_ready.refresh_from_db()
    assert spray_ready.phase == Phase.RECOVERY
    with clock.at(first.occurred_at + minutes(12)):
        with pytest.raises(Refused, match="A prescriber has to order it"):
            take(spray_ready, nurse)
        with pytest.raises(Refused, match="outside the plan"):
            take(spray_ready, nurse, reason="device 2 gave nothing")
        third = take(
            spray_ready,
            nurse,
            reason="device 2 gave nothing",
            ordered_by=prescriber,
            read_back=True,
        )
        assert third.data["order"]
    assert queries.timeline_of(spray_ready).given_mg(clock.now() + minutes(20)) == 56


def test_never_more_than_the_label_allows(spray_ready, prescriber):
    start = clock.now()
    for number in range(3):
        with clock.at(start + minutes(6 * number)):
            reason = {"reason": "partial effect"} if number > 1 else {}
            take(spray_ready, prescriber, **reason)
    limit = pytest.raises(Refused, match="112 mg, above the limit of 84 mg")
    with clock.at(start + minutes(20)), limit:
        take(spray_ready, prescriber, reason="more")


def test_the_spray_can_be_ended_before_all_devices_are_taken(spray_ready, nurse):
    with pytest.raises(Refused, match="nothing has been taken yet"):
        spray.end_spray(nurse, spray_ready, reason="x")
    take(spray_ready, nurse)
    with pytest.raises(Refused, match="Give the reason"):
        spray.end_spray(nurse, spray_ready, reason=" ")
    with pytest.raises(Refused, match="take them, or end the spray first"):
        home(spray_ready, nurse)
    event = spray.end_spray(nurse, spray_ready, reason="Feels sick.")
    assert event.data["not_taken"] == 1
    spray_ready.refresh_from_db()
    assert spray_ready.phase == Phase.RECOVERY
    timeline = queries.timeline_of(spray_ready)
    assert timeline.ended_at == timeline.started_at  # watched from the last device, not the stop


def test_a_red_alert_holds_the_next_device_until_it_is_answered(spray_ready, nurse, barred):
    first = take(spray_ready, nurse)
    spray_ready.refresh_from_db()
    with clock.at(first.occurred_at + minutes(6)):
        services.record_vitals(nurse, spray_ready, systolic_mmhg=185, diastolic_mmhg=100)
        barred(spray_ready, "red alert is unanswered", lambda: take(spray_ready, nurse))
        red = next(
            a
            for a in queries.alerts_of(spray_ready, queries.timeline_of(spray_ready), clock.now())
            if a.priority == "red"
        )
        services.acknowledge_alert(
            nurse, spray_ready, rule_id=red.rule_id, reason="Prescriber here; no signs; goes on."
        )
        assert take(spray_ready, nurse)


@pytest.mark.parametrize(
    ("change", "kind", "match"),
    [
        ({"scan": "hello"}, Refused, "not the code of a package"),
        ({"scan": PACK.replace("(01)00350458028003", "(01)00350458028004")}, Refused, "add up"),
        ({"scan": PACK, "lot": "OTHER"}, Refused, "The code says 21LK, and OTHER was typed"),
        ({"scan": "", "lot": ""}, Refused, "Enter the lot"),
        ({"scan": "", "lot": "A", "expires_on": None}, Refused, "Enter the expiry"),
        ({"left": ""}, Refused, "what came out on this side"),
        ({"scan": "(01)00300091017018(17)290131(10)A1"}, Barred, "another product"),
        ({"scan": PACK.replace("290131", "200131"), "expires_on": None}, Barred, "Expired on"),
    ],
)
def test_a_package_that_is_not_right_is_refused(spray_ready, nurse, change, kind, match):
    with pytest.raises(kind, match=match):
        take(spray_ready, nurse, **change)
    assert not queries.timeline_of(spray_ready).sprays


def test_what_the_code_says_is_kept_and_a_device_is_used_once(spray_ready, nurse, barred):
    event = take(spray_ready, nurse, scan=PACK, lot="", expires_on=None)
    kept = {name: event.data[name] for name in ("lot", "expires_on", "serial", "gtin")}
    assert kept == {
        "lot": "21LK",
        "expires_on": "2029-01-31",
        "serial": "S1",
        "gtin": "00350458028003",
    }
    spray_ready.refresh_from_db()
    with clock.at(event.occurred_at + minutes(6)):
        barred(
            spray_ready,
            "serial number S1 has been used",
            lambda: take(spray_ready, nurse, scan=PACK, lot="", expires_on=None),
        )


def test_an_entry_sent_twice_counts_once(spray_ready, nurse):
    client_id = uuid.uuid4()
    first = take(spray_ready, nurse, client_id=client_id)
    assert take(spray_ready, nurse, client_id=client_id).seq == first.seq
    assert queries.timeline_of(spray_ready).units_taken == 1


def test_a_spray_has_no_pump_and_no_injection(spray_ready, nurse, unchanged):
    with unchanged:
        with pytest.raises(Refused, match="it has no infusion"):
            services.start_infusion(nurse, spray_ready)
        with pytest.raises(Refused, match="it has no injection"):
            services.give_injection(nurse, spray_ready, dose_mg=28, site="deltoid left")
        with pytest.raises(Refused, match="enter each of them"):
            spray.take_sprays(nurse, spray_ready, sprays=2, lot="A", expires_on=date(2030, 1, 1))


def test_the_rule_of_five_minutes_is_the_label_s():
    for regimen in protocols.load().regimens.values():
        if regimen.device:
            assert (regimen.device.rest_min, regimen.device.content_mg) == (5, 28)


# The compounded bottle


def test_the_bottle_s_sprays_are_taken_in_parts(bottle_ready, nurse, barred):
    bottle = {"lot": "C-7", "expires_on": clock.today() + timedelta(days=20)}
    first = spray.take_sprays(nurse, bottle_ready, sprays=2, **bottle)
    assert (first.data["dose_mg"], first.data["units"]) == (20, 2)
    with clock.at(first.occurred_at + minutes(1)):  # no rest between them is published
        spray.take_sprays(nurse, bottle_ready, sprays=3, **bottle)
    bottle_ready.refresh_from_db()
    assert bottle_ready.phase == Phase.RECOVERY
    with clock.at(first.occurred_at + minutes(2)):
        with pytest.raises(Refused, match="A prescriber has to order it"):
            spray.take_sprays(nurse, bottle_ready, sprays=1, **bottle)
        with pytest.raises(Refused, match="it has no devices"):
            take(bottle_ready, nurse)
    assert not MonitoringForm.objects.exists()


def test_a_bottle_past_its_date_is_refused(bottle_ready, nurse, barred):
    barred(
        bottle_ready,
        "Expired on",
        lambda: spray.take_sprays(
            nurse,
            bottle_ready,
            sprays=1,
            lot="C-7",
            expires_on=clock.today() - timedelta(days=1),
        ),
    )


def test_the_compounded_spray_is_marked_off_label_wherever_it_is_shown(client, bottle_ready, nurse):
    client.force_login(nurse)
    course = bottle_ready.course
    for path in (
        f"/sessions/{bottle_ready.pk}/",
        "/today/",
        f"/courses/{course.pk}/plan/",
        f"/courses/{course.pk}/consent/",
        f"/sessions/{bottle_ready.pk}/note.pdf?format=html",
    ):
        text = client.get(path).content.decode().lower()
        assert "off-label" in text, path
        assert "compounded" in text, path
