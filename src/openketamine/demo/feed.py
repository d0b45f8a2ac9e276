"""The demonstration's monitors: they read whoever sits in a chair, as long as the server runs."""

import logging
import threading
import time

import numpy as np
from django.db import close_old_connections

from openketamine.clinic.errors import Refused
from openketamine.clinic.sessions.models import Phase, Session

from . import clinic
from .cast import Character

INTERVAL_S = 20.0
log = logging.getLogger(__name__)


def start() -> threading.Thread:
    """Begin to read, on a thread that ends with the process."""
    thread = threading.Thread(target=_run, name="demonstration-monitors", daemon=True)
    thread.start()
    return thread


def _run() -> None:
    rng = np.random.default_rng()
    known: dict[str, Character | None] = {}
    while True:
        try:
            read_all(rng, known)
        except Exception:
            # A demonstration monitor that trips must not stop the others for good.
            log.exception("demonstration monitor")
        finally:
            close_old_connections()
        time.sleep(INTERVAL_S)


def read_all(rng: np.random.Generator, known: dict[str, Character | None]) -> int:
    """Read every chair once; returns how many readings arrived."""
    count = 0
    running = Session.objects.filter(
        phase__in=[Phase.INFUSION, Phase.PAUSED, Phase.RECOVERY]
    ).select_related("person", "chair", "planned__plan", "course")
    for session in running:
        key = str(session.pk)
        if key not in known:
            known[key] = clinic.character_of(session)
        who = known[key]
        if who is None:
            continue
        try:
            clinic.read_monitor(who, session, rng)
            count += 1
        except Refused as refusal:
            log.warning("%s: %s", session, refusal.message)
    return count
