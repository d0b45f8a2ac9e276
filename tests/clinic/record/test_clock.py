"""Time that a dose can be integrated over: it never steps back."""

from datetime import UTC, datetime, timedelta

from django.utils import timezone

from openketamine.clinic.record import clock, services
from openketamine.clinic.record.clock import SteadyClock
from openketamine.clinic.sessions import queries
from openketamine.clinic.sessions import services as sessions

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Machine:
    """A machine whose clock may be put wrong."""

    def __init__(self) -> None:
        self.wall, self.tick = NOON, 100.0
        self.clock = SteadyClock(lambda: self.wall, lambda: self.tick)

    def pass_(self, **span: float) -> None:
        self.wall += timedelta(**span)
        self.tick += timedelta(**span).total_seconds()


def test_it_works():
    machine = Machine()
    assert machine.clock.now() == NOON
    machine.pass_(minutes=3)
    assert machine.clock.now() == NOON + timedelta(minutes=3)


def test_time_runs_on_when_the_machine_s_clock_is_put_back():
    machine = Machine()
    machine.clock.now()
    machine.pass_(minutes=10)
    machine.wall -= timedelta(hours=1)
    assert machine.clock.now() == NOON + timedelta(minutes=10)
    machine.pass_(minutes=5)
    assert machine.clock.now() == NOON + timedelta(minutes=15)
    assert machine.clock.behind == timedelta(hours=1)


def test_time_follows_when_the_machine_s_clock_is_put_forward():
    machine = Machine()
    machine.clock.now()
    machine.wall += timedelta(hours=1)
    assert machine.clock.now() == NOON + timedelta(hours=1)
    assert machine.clock.behind == timedelta()


def test_a_restart_with_a_clock_put_back_refuses_no_act_of_the_pump(running, nurse, monkeypatch):
    last = services.lock().recorded_at
    back = SteadyClock(lambda: timezone.now() - timedelta(minutes=30))
    monkeypatch.setattr(clock, "_steady", back)
    paused = sessions.pause_infusion(nurse, running, reason="bathroom")
    assert paused.recorded_at == paused.occurred_at == last
    assert queries.timeline_of(running).phase == "paused"
    assert services.verify().intact
