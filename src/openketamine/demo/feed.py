"""The demonstration's monitors: one at each chair that is in use, as long as the server runs.

They speak as bedside monitors do, HL7 v2 over MLLP to a listener on this machine, so that what the
demonstration shows has come the way of real readings. A cuff measures every minute and is repeated
with its time in between.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

import numpy as np
from django.db import close_old_connections

from openketamine.clinic.record import clock
from openketamine.clinic.sessions.models import UNDER_THE_DRUG, Session
from openketamine.exchange.hl7v2.listener import Listener
from openketamine.exchange.hl7v2.replay import Sender, code_of, oru

from . import clinic
from .cast import Character

INTERVAL_S = 20.0
CUFF_EVERY = 3
log = logging.getLogger(__name__)
_numbers = count(1)


@dataclass
class Monitors:
    """What the monitors remember between two messages."""

    rng: np.random.Generator = field(default_factory=np.random.default_rng)
    known: dict[str, Character | None] = field(default_factory=dict)
    cuffs: dict[str, tuple[datetime, str, str]] = field(default_factory=dict)
    rounds: int = 0


def start(port: int) -> int:
    """Listen, and begin to send; both end with the process. Returns the port.

    Where `port` is taken, any free one serves.
    """
    listening: list[int] = []
    ready = threading.Event()
    threading.Thread(
        target=_listen, args=(port, listening, ready), name="monitor-feed", daemon=True
    ).start()
    ready.wait(10)
    if not listening:
        raise OSError("the demonstration's monitor feed did not start")
    threading.Thread(
        target=_send_for_ever, args=(listening[0],), name="demonstration-monitors", daemon=True
    ).start()
    return listening[0]


def _listen(port: int, listening: list[int], ready: threading.Event) -> None:
    async def serve() -> None:
        listener = Listener(port=port)
        try:
            await listener.start()
        except OSError:
            listener = Listener(port=0)
            await listener.start()
        listening.append(listener.port)
        ready.set()
        await asyncio.Event().wait()

    try:
        asyncio.run(serve())
    finally:
        ready.set()


def _send_for_ever(port: int) -> None:
    monitors = Monitors()
    with Sender("127.0.0.1", port) as sender:
        while True:
            try:
                read_all(monitors, sender.send)
            except Exception:
                # A demonstration monitor that trips must not stop the others for good.
                log.exception("demonstration monitor")
            finally:
                close_old_connections()
            time.sleep(INTERVAL_S)


def read_all(monitors: Monitors, send: Callable[[bytes], bytes]) -> int:
    """Send one message for every chair; returns how many were taken."""
    taken = 0
    running = Session.objects.filter(phase__in=UNDER_THE_DRUG).select_related(
        "person", "chair", "planned__plan", "course"
    )
    for session in running:
        key = str(session.pk)
        if key not in monitors.known:
            monitors.known[key] = clinic.character_of(session)
        who = monitors.known[key]
        if who is None:
            continue
        now = clock.now()
        _, read = clinic.vitals_now(who, session, monitors.rng)
        if key not in monitors.cuffs or monitors.rounds % CUFF_EVERY == 0:
            monitors.cuffs[key] = now, f"{read.systolic_mmhg:g}", f"{read.diastolic_mmhg:g}"
        cuff_at, systolic, diastolic = monitors.cuffs[key]
        message = oru(
            {
                "HR": f"{read.heart_rate_bpm:g}",
                "SpO2": f"{read.spo2_percent:g}",
                "NBPSys": systolic,
                "NBPDias": diastolic,
            },
            device=clinic.device_of(session.chair),
            control_id=f"{now:%m%d%H%M%S}-{next(_numbers)}",
            at=now,
            cuff_at=cuff_at,
            location=session.chair.name,
            patient_id=session.person.mrn,
        )
        code, note = code_of(send(message))
        if code == "AA" and not note:
            taken += 1
        else:
            log.warning("%s: %s %s", session, code, note)
    monitors.rounds += 1
    return taken
