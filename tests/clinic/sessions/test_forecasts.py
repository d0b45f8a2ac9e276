"""The forecast in the session: before it, during it, and from one session to the next."""

import uuid
from datetime import timedelta
from unittest.mock import Mock

import pytest

from openketamine.clinic.plans.models import PlannedSession
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.sessions import forecasts, queries, screen, services
from openketamine.clinic.sessions.models import Learned, Session
from openketamine.clinic.sessions.outlook import Outlook

from ..conftest import CHECK, HOME, draw_up


def foretold(session: Session, at=None) -> Outlook:
    session = Session.objects.select_related("person", "course", "planned__plan").get(pk=session.pk)
    at = at or clock.now()
    with clock.at(at):
        return forecasts.forecast_of(session, queries.timeline_of(session), at)


def doses(session: Session, at):
    session = Session.objects.select_related("course", "planned__plan").get(pk=session.pk)
    return forecasts._doses(queries.timeline_of(session), session, at)


def test_it_works(ready):
    before = foretold(ready)
    assert not before.started
    assert before.warnings == ()
    assert before.home.earliest <= before.home.at <= before.home.latest
    # 40 minutes of infusion and the clinic's own hour after it
    assert before.home.earliest >= before.zero + timedelta(minutes=100)
    points = before.band("systolic_mmhg").points
    assert all(list(values) == sorted(values) for _, *values in points)
    assert max(p[3] for p in points) > CHECK["vitals"]["systolic_mmhg"] + 8
    assert before.systolic.low < before.systolic.median < before.systolic.high
    assert [step.words for step in before.ahead][-1] == "Ready to go home"
    assert 0 < before.dissociation_percent <= 100
    assert before.certainty == "DESIGN"
    assert any("design" in text for text in before.cautions)


def test_the_same_record_gives_the_same_forecast(running):
    at = clock.now() + timedelta(minutes=3)
    assert foretold(running, at) == foretold(running, at)


def test_a_pause_and_a_slower_rate_move_the_way_home(running, nurse):
    start = queries.timeline_of(running).started_at
    smooth = foretold(running, start + timedelta(minutes=31))
    with clock.at(start + timedelta(minutes=10)):
        services.pause_infusion(nurse, running, reason="bathroom")
    with clock.at(start + timedelta(minutes=30)):
        services.resume_infusion(nurse, running)
    ran = [
        (round(part.start_min, 2), round(part.end_min, 2), part.rate_mg_per_h)
        for part in doses(running, start + timedelta(minutes=31))
    ]
    assert ran == [(0, 10, 61.5), (30, 60, 61.5)]
    held = foretold(running, start + timedelta(minutes=31))
    assert held.home.at - smooth.home.at == pytest.approx(
        timedelta(minutes=20), abs=timedelta(minutes=3)
    )


def test_while_paused_the_rest_of_the_dose_is_still_to_come(running, nurse):
    start = queries.timeline_of(running).started_at
    with clock.at(start + timedelta(minutes=10)):
        services.pause_infusion(nurse, running, reason="bathroom")
    given, rest = doses(running, start + timedelta(minutes=15))
    assert given.end_min == pytest.approx(10)
    assert (rest.start_min, rest.end_min) == (pytest.approx(15), pytest.approx(45))


def test_the_dose_ends_when_it_has_run_in_and_not_when_somebody_says_so(running, nurse):
    start = queries.timeline_of(running).started_at
    with clock.at(start + timedelta(minutes=55)):
        services.end_infusion(nurse, running)
    (only,) = doses(running, start + timedelta(minutes=60))
    assert only.end_min == pytest.approx(40, abs=0.1)


def test_readings_draw_the_band_to_themselves(running, nurse):
    start = queries.timeline_of(running).started_at
    blind = foretold(running, start + timedelta(minutes=20))
    for minute in (5, 10, 15, 20):
        with clock.at(start + timedelta(minutes=minute)):
            services.record_vitals(
                nurse, running, systolic_mmhg=150 + minute, diastolic_mmhg=90, heart_rate_bpm=80
            )
    seen = foretold(running, start + timedelta(minutes=20))
    after, before = (o.band("systolic_mmhg").points[5] for o in (seen, blind))
    assert after[0] == start + timedelta(minutes=25)
    assert after[3] > before[3] + 10
    assert after[5] - after[1] < before[5] - before[1]


def test_a_limit_that_may_be_passed_soon_is_foretold_and_one_that_is_passed_is_not(running, nurse):
    start = queries.timeline_of(running).started_at
    for minute, systolic in ((5, 150), (10, 162), (15, 171)):
        with clock.at(start + timedelta(minutes=minute)):
            services.record_vitals(nurse, running, systolic_mmhg=systolic, diastolic_mmhg=92)
    warned = foretold(running, start + timedelta(minutes=16)).warnings
    named = {item.rule_id: item for item in warned}
    assert "IV-SYS-A" not in named  # 160 is passed: that is an alarm, not a forecast
    assert 5 <= named["IV-SYS-R"].percent <= 95
    assert named["IV-SYS-R"].before == start + timedelta(minutes=26)
    before = Event.objects.count()
    foretold(running, start + timedelta(minutes=17))
    assert Event.objects.count() == before


def test_the_second_session_is_foretold_by_the_first(planned_course, nurse, prescriber, chair):
    first_planned, second_planned = planned_course.planned_sessions.all()[:2]
    start = clock.now() - timedelta(days=3)
    PlannedSession.objects.filter(pk=first_planned.pk).update(planned_for=start)
    with clock.at(start):
        first = services.open_session(nurse, first_planned, chair)
    with clock.at(start + timedelta(minutes=1)):
        services.complete_check(nurse, first, **CHECK)
        draw_up(first, nurse, prescriber)
        untaught = foretold(first, start + timedelta(minutes=2))
        services.start_infusion(nurse, first)
    zero = queries.timeline_of(first).started_at
    for minute in range(5, 100, 5):
        shape = minute / 40 if minute <= 40 else max(0.0, 1 - (minute - 40) / 60)
        with clock.at(zero + timedelta(minutes=minute)):
            services.record_vitals(
                nurse,
                first,
                systolic_mmhg=round(128 + 34 * shape),
                diastolic_mmhg=round(79 + 20 * shape),
                heart_rate_bpm=72,
                spo2_percent=98,
            )
    with clock.at(zero + timedelta(minutes=102)):
        services.end_infusion(nurse, first)
    with clock.at(zero + timedelta(minutes=165)):
        services.record_vitals(
            nurse, first, systolic_mmhg=128, diastolic_mmhg=79, heart_rate_bpm=72, spo2_percent=98
        )
        services.discharge(nurse, first, answers=HOME, escort_name="Ines Example")
    second = services.open_session(nurse, second_planned, chair)
    services.complete_check(nurse, second, **CHECK)
    taught = foretold(second)
    assert taught.learned_from == 1
    assert Learned.objects.get().session == first
    # What this patient's pressure did last time is expected again.
    assert taught.systolic.median > untaught.systolic.median + 3


def test_a_route_without_a_model_has_no_forecast(ready):
    ready.course.route = "IN_ESKETAMINE"
    timeline = queries.timeline_of(ready)
    assert forecasts.desk.outlook(ready, timeline, clock.now(), wait_s=0) is None


def test_a_forecast_that_fails_takes_no_screen_with_it(
    client, nurse, running, monkeypatch, settings
):
    settings.FORECASTS = True
    monkeypatch.setattr(
        forecasts.desk, "_work", lambda pk, held: forecasts.desk._coming.pop(pk, None)
    )
    client.force_login(nurse)
    page = client.get(f"/sessions/{running.pk}/")
    assert page.status_code == 200
    assert "None yet." in page.content.decode()


def test_the_screen_draws_what_is_foretold_apart_from_what_is_measured(
    client, nurse, running, monkeypatch, settings
):
    start = queries.timeline_of(running).started_at
    for minute, systolic in ((5, 150), (10, 162), (15, 171)):
        with clock.at(start + timedelta(minutes=minute)):
            services.record_vitals(nurse, running, systolic_mmhg=systolic, diastolic_mmhg=92)
    now = start + timedelta(minutes=16)
    shown = foretold(running, now)
    settings.FORECASTS = True
    monkeypatch.setattr(forecasts.desk, "outlook", lambda *args, **kwargs: shown)
    client.force_login(nurse)
    with clock.at(now):
        page = client.get(f"/sessions/{running.pk}/").content.decode()
        board = client.get("/today/board/").content.decode()
        data = screen.chart(running, queries.timeline_of(running), now)
    assert 'class="likely' in page
    assert "Ready to go home" in page
    assert shown.home.at.strftime("%H:%M") in board
    assert data["home"] == sorted(data["home"])
    assert data["forecast"]["systolic_mmhg"][0][0] == pytest.approx(start.timestamp(), abs=0.1)
    assert len(data["conc"]["points"][0]) == 6


def test_the_versions_of_a_few_people_are_kept_and_of_many_only_what_they_foretell():
    desk = forecasts.Desk(versions_kept=2)
    for number in range(5):
        held = forecasts._Held(forecast=object(), outlook=object())
        desk._held[uuid.UUID(int=number)] = held
    desk._lighten()
    kept = [held.forecast is not None for held in desk._held.values()]
    assert kept == [False, False, False, True, True]
    assert all(held.outlook for held in desk._held.values())


def test_one_forecast_a_minute_is_enough_and_of_very_many_sessions_one_now_and_then():
    desk = forecasts.Desk(a_minute=10)
    for number in range(30):
        desk._held[uuid.UUID(int=number)] = forecasts._Held(asked_s=1000.0 if number < 25 else 0.0)
    assert desk._every_s(1010.0) == 150.0
    assert forecasts.Desk()._every_s(1010.0) == 60.0


@pytest.mark.parametrize(("in_line", "rests"), [(2, 0), (3, 1)])
def test_while_many_screens_ask_at_once_their_pages_get_a_processor_too(
    running, monkeypatch, in_line, rests
):
    rested = []
    monkeypatch.setattr(forecasts.time, "sleep", rested.append)
    monkeypatch.setattr(forecasts, "connection", Mock())  # a thread would close its own
    monkeypatch.setattr(forecasts, "forecast_of", lambda *_: None)
    desk = forecasts.Desk()
    desk._coming = {uuid.UUID(int=number): Mock() for number in range(in_line)}
    desk._coming[running.pk] = Mock()
    desk._work(running.pk, forecasts._Held())
    assert len(rested) == rests
    assert all(0 <= pause <= 1 for pause in rested)
    assert running.pk not in desk._coming
