"""How far a device's clock is off, from the time that its messages bear and the time they arrive.

**The rule.** Each message is a sample: its own time less ours. The estimate is the median of the
last nine that agree with it to `AGREE_S`.

- A first sample within `AT_ONCE_S` is believed; a larger one only when `CONFIRMED_BY` samples agree
  over at least `CONFIRMED_OVER_S` of our time, because one alone may be a delayed message.
- A message that is *older* than the estimate says was delayed: its times are right by the estimate.
  When the same delay goes on for `SET_BACK_OVER_S`, the clock was set back.
- A message from *ahead* of the estimate cannot have been delayed: the clock was set. Its readings
  are held until the new offset is confirmed.

An offset of up to `TOLERATED_S` is not corrected. Pure.
"""

from dataclasses import dataclass, field
from statistics import median

AT_ONCE_S = 120.0
AGREE_S = 10.0
CONFIRMED_BY = 3
CONFIRMED_OVER_S = 20.0
SET_BACK_OVER_S = 120.0
TOLERATED_S = 5.0
KEPT = 9


@dataclass
class Clock:
    """One device's clock, as known from its messages.

    Attributes:
        skew_s: device less ours; None before it is known.
        samples: the last that agree with it.
        pending: (our time in s, offset in s) of those that do not.
    """

    skew_s: float | None = None
    samples: list[float] = field(default_factory=list)
    pending: list[tuple[float, float]] = field(default_factory=list)

    def hear(self, sent_s: float, received_s: float) -> bool:
        """Take one message in; returns whether its times can be believed, corrected by `skew_s`."""
        offset = sent_s - received_s
        if self.skew_s is None:
            if abs(offset) <= AT_ONCE_S:
                self._settle([offset])
                return True
            return self._confirmed(received_s, offset, CONFIRMED_OVER_S)
        if abs(offset - self.skew_s) <= AGREE_S:
            self._settle([*self.samples, offset])
            return True
        if offset > self.skew_s:
            return self._confirmed(received_s, offset, CONFIRMED_OVER_S)
        self._confirmed(received_s, offset, SET_BACK_OVER_S)
        return True

    def _settle(self, samples: list[float]) -> None:
        self.samples = [round(sample, 1) for sample in samples[-KEPT:]]
        self.skew_s = round(median(self.samples), 1)
        self.pending = []

    def _confirmed(self, received_s: float, offset: float, over_s: float) -> bool:
        agreeing = [item for item in self.pending if abs(item[1] - offset) <= AGREE_S]
        # The first and the last few are enough to know how long it has gone on.
        kept = agreeing[:1] + agreeing[1:][-(KEPT - 2) :]
        self.pending = [*kept, (received_s, offset)]
        if len(self.pending) < CONFIRMED_BY or received_s - self.pending[0][0] < over_s:
            return False
        self._settle([item[1] for item in self.pending])
        return True

    @property
    def correction_s(self) -> float:
        """What to take from the device's times."""
        if self.skew_s is None or abs(self.skew_s) <= TOLERATED_S:
            return 0.0
        return self.skew_s
