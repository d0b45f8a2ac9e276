"""A monitor beside a chair."""

from dataclasses import replace
from datetime import timedelta

import pytest

from openketamine.clinic.devices import services
from openketamine.clinic.devices.delivery import Delivery, Measured, State
from openketamine.clinic.devices.models import Device
from openketamine.clinic.record import clock

from ..sessions import conftest as sessions_conftest

# The fixtures by which more than one patient sits in a chair.
arrive = sessions_conftest.arrive
in_chair = sessions_conftest.in_chair

LABELS = {
    "systolic_mmhg": "Cuff systolic",
    "diastolic_mmhg": "Cuff diastolic",
    "heart_rate_bpm": "Heart rate (ECG)",
    "spo2_percent": "SpO2",
    "respiratory_rate_bpm": "Breaths",
}


def value(quantity, number, at, **more):
    fields = {
        "state": State.VALUE,
        "code": quantity,
        "label": LABELS[quantity],
        "raw": f"{number:g}",
        "quantity": quantity,
        "value": float(number),
        "at": at,
        "at_text": at.isoformat() if at else "",
        "rank": 1,
    }
    return Measured(**{**fields, **more})


class Monitor:
    """Sends messages as a bedside monitor would; its clock may be off."""

    def __init__(self, identity="00AA", name="MONITOR", *, fast_s=0.0):
        self.identity, self.name, self.fast = identity, name, timedelta(seconds=fast_s)
        self.number = 0

    def message(self, *measured, ago_s=0.0, delayed_s=0.0, **more):
        """A message that arrives `ago_s` ago, made `delayed_s` before that."""
        self.number += 1
        received_at = clock.now() - timedelta(seconds=ago_s)
        sent_at = received_at + self.fast - timedelta(seconds=delayed_s)
        fields = {
            "identity": self.identity,
            "name": self.name,
            "control_id": str(self.number),
            "digest": f"{self.identity}{self.number}",
            "received_at": received_at,
            "sent_at": sent_at,
            "measured": tuple(replace(m, at=m.at + self.fast if m.at else None) for m in measured),
        }
        return Delivery(**{**fields, **more})

    def send(self, *measured, **more):
        return services.receive([self.message(*measured, **more)])[0]

    def reads(self, *, ago_s=0.0, delayed_s=0.0, more=None, **values):
        """Send values measured when the message was made."""
        at = clock.now() - timedelta(seconds=ago_s + delayed_s)
        measured = [value(quantity, number, at) for quantity, number in values.items()]
        return self.send(*measured, ago_s=ago_s, delayed_s=delayed_s, **(more or {}))

    @property
    def device(self):
        return Device.objects.get(identity=self.identity)


@pytest.fixture
def monitor(db):
    return Monitor()


@pytest.fixture
def at_chair(monitor, running, nurse):
    """The monitor stands at the chair in which the infusion runs."""
    monitor.send()
    services.assign(nurse, monitor.device, running.chair)
    return monitor


@pytest.fixture
def in_another_chair(in_chair):
    """Another patient, in another chair, whose infusion runs."""
    return in_chair(7)
