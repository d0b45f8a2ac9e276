"""The one thing that works while nobody does: it sends, tries again, escalates and looks at clocks.

A thread of the server, or a process of its own (`openketamine notices run`); several at once do no
harm, for each piece of work is claimed in the database. What one leaves undone the next one finds.
"""

import logging
import threading
from dataclasses import dataclass

from django.db import close_old_connections, connection

from openketamine.clinic.record import clock

from . import services, signals

logger = logging.getLogger(__name__)

ROUND_S = 2.0


@dataclass(frozen=True)
class Round:
    """What one round did."""

    calls: int
    messages: int

    @property
    def idle(self) -> bool:
        return not (self.calls or self.messages)


def run_once() -> Round:
    """One round: clocks, then steps of calls, then messages, so that what a clock raises goes out
    in the same round."""
    for receiver, outcome in signals.tick.send_robust(sender=None, now=clock.now()):
        if isinstance(outcome, Exception):
            logger.error("%s failed at its clock", receiver, exc_info=outcome)
    calls = services.escalate_due()
    messages = services.claim_due()
    for notice in messages:
        services.deliver(notice)
    return Round(calls, len(messages))


class Runner:
    """`run_once` for ever, in a thread of its own."""

    def __init__(self, round_s: float = ROUND_S) -> None:
        self._round_s = round_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self.run, name="notices", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the round that is running."""
        self._stop.set()
        if self._thread:
            self._thread.join(timeout=30)

    def run(self) -> None:
        while not self._stop.is_set():
            close_old_connections()
            try:
                done = run_once()
            except Exception:  # a busy or restarting database must not end the calling
                logger.exception("a round of notices failed; trying again")
                connection.close()
                done = Round(0, 0)
            if done.idle:
                self._stop.wait(self._round_s)
        connection.close()
