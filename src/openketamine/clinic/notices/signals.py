"""What the clinic's calls and clock tell the steps of care."""

from datetime import datetime, timedelta

from django.dispatch import Signal

# Sent on every round of the runner, with `now`. A receiver does its work in transactions of its own
# and can be run again at any time: what it has done already it must not do twice.
tick = Signal()


class Every:
    """Of a receiver of `tick` that need not work on every round: whether its time has come."""

    def __init__(self, period: timedelta) -> None:
        self.period = period
        self.last: datetime | None = None  # in this process; None: never yet

    def is_due(self, now: datetime) -> bool:
        """True once a period. A clock that has gone back makes it due as well."""
        if self.last is not None and timedelta() <= now - self.last < self.period:
            return False
        self.last = now
        return True


# Sent before a call is closed, with `call` and `actor`. A receiver whose own task must be done
# first raises `Refused`, and the call stays.
closing = Signal()
