"""One patient from referral to follow-up, through the services alone."""

from datetime import timedelta

from openketamine.clinic.outcomes import queries as outcomes
from openketamine.clinic.outcomes import services as follow_up
from openketamine.clinic.outcomes.models import FormRequest
from openketamine.clinic.people.models import Stage
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.sessions import queries, services
from openketamine.clinic.sessions.models import Phase

from .conftest import HOME


def test_it_works(running, nurse):
    start = queries.timeline_of(running).started_at
    for minute in (10, 20, 30, 40):
        with clock.at(start + timedelta(minutes=minute)):
            services.record_vitals(
                nurse,
                running,
                systolic_mmhg=130 + minute / 4,
                diastolic_mmhg=82,
                heart_rate_bpm=75,
                spo2_percent=97,
            )
    with clock.at(start + timedelta(minutes=40)):
        services.end_infusion(nurse, running)
    with clock.at(start + timedelta(minutes=105)):
        services.record_vitals(
            nurse, running, systolic_mmhg=126, diastolic_mmhg=80, heart_rate_bpm=72, spo2_percent=98
        )
        services.discharge(nurse, running, answers=HOME, escort_name="Ines Example")
    running.refresh_from_db()
    assert running.phase == Phase.DISCHARGED
    timeline = queries.timeline_of(running)
    assert timeline.given_mg(clock.now() + timedelta(hours=5)) == 41.0
    assert running.course.stage == Stage.TREATMENT

    day, week = FormRequest.objects.filter(instrument="phq9").order_by("due_at")
    assert day.due_at - running.closed_at == timedelta(hours=24)
    assert week.due_at - running.closed_at == timedelta(days=7)
    with clock.at(day.due_at + timedelta(hours=1)):
        request = follow_up.request_by_token(follow_up.token_for(day))
        for number in range(1, 10):
            follow_up.save_answer(request, item=f"q{number}", value=int(number < 5))
        response = follow_up.submit(request)
        assert (response.total, response.off_window) == (4, True)
        assert len(outcomes.trajectories(running.course)[0].points) == 2
    assert record.verify().intact
