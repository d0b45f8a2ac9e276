"""Which of a monitor's values do not count by themselves. Pure.

A value that is marked here is kept, drawn crossed and listed with its reason, but it drives no
alert, forecast or criterion by itself.

**The rule.** A value is compared with the last five that counted, if the latest of them is at most
`WINDOW` old. Further from their median than its `JUMP`, it is *unconfirmed* until the next value of
that quantity. Where the next one agrees with it, or lies as far out on the same side, both count: a
true change costs one reading of delay, a fast fall no more than that. Where the next one is back,
it was *isolated*. Without a value in the window there is nothing to compare with and a value counts
at once, so a cuff that measures every few minutes is never held up by this rule.

What a value cannot be at all (outside what the protocol calls plausible, pressures that contradict
each other, doubted by the device itself) is marked when it is recorded; see
`services.record_vitals`. Limits: certainty DESIGN, tuned on bedside numerics; see docs/monitors.md.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from statistics import median

from django.utils.translation import gettext_noop

from openketamine.clinic.said import say

WINDOW = timedelta(seconds=90)
COMPARED = 5
# How far a value may lie from those before it within `WINDOW`.
JUMP: dict[str, tuple[float, str]] = {
    "systolic_mmhg": (40.0, "mmHg"),
    "diastolic_mmhg": (30.0, "mmHg"),
    "heart_rate_bpm": (20.0, "/min"),
    "spo2_percent": (4.0, "%"),
    "respiratory_rate_bpm": (12.0, "/min"),
}
UNCONFIRMED = "unconfirmed"
ISOLATED = "isolated"


@dataclass(frozen=True)
class Artefact:
    """A value that does not count by itself, and why.

    `kind` is "impossible", "contradictory", "questionable", "isolated" or, for a latest value that
    the next one may still confirm, "unconfirmed".
    """

    value: float
    kind: str
    reason: str


@dataclass(frozen=True)
class Revision:
    """The next value has settled what an earlier one was: `artefact` None means that it counts."""

    index: int
    quantity: str
    value: float
    artefact: Artefact | None


@dataclass
class _Quantity:
    counted: deque[float] = field(default_factory=lambda: deque(maxlen=COMPARED))
    counted_at: datetime | None = None
    waiting: tuple[int, datetime, float] | None = None


class Sieve:
    """Takes a session's readings in time order and says of each value whether it counts."""

    def __init__(self) -> None:
        self._quantities: dict[str, _Quantity] = {}

    def copy(self) -> "Sieve":
        """One that knows the same and goes its own way."""
        other = Sieve()
        other._quantities = {
            quantity: replace(state, counted=state.counted.copy())
            for quantity, state in self._quantities.items()
        }
        return other

    def take(
        self, index: int, at: datetime, values: Mapping[str, float], *, by_hand: bool
    ) -> tuple[dict[str, Artefact], list[Revision]]:
        """Judge one reading.

        Args:
            index: what `Revision.index` names it by later.
            values: those that could be true, by quantity.

        Returns:
            The values that do not count (yet), and what has become of earlier ones.
        """
        marked: dict[str, Artefact] = {}
        revisions: list[Revision] = []
        for quantity, value in values.items():
            state = self._quantities.get(quantity)
            if state is None:
                state = self._quantities[quantity] = _Quantity()
            self._judge(state, index, at, quantity, value, by_hand, marked, revisions)
        return marked, revisions

    def _judge(
        self,
        state: _Quantity,
        index: int,
        at: datetime,
        quantity: str,
        value: float,
        by_hand: bool,
        marked: dict[str, Artefact],
        revisions: list[Revision],
    ) -> None:
        limit, unit = JUMP[quantity]
        waiting, state.waiting = state.waiting, None
        # What a value was compared with stays the measure until the next value has settled it.
        last_at = waiting[1] if waiting else state.counted_at
        recent = last_at is not None and at - last_at <= WINDOW
        usual = median(state.counted) if recent and state.counted else None
        fits = usual is None or abs(value - usual) <= limit
        if waiting:
            was_index, _, was = waiting
            alike = abs(value - was) <= limit
            if usual is not None:
                # Within reach of the old level it is back there, unless somebody has looked.
                alike = (not fits and (value > usual) == (was > usual)) or (
                    alike and (by_hand or not fits)
                )
            if alike:
                # A second value says the same: the change is true, and the old level is history.
                revisions.append(Revision(was_index, quantity, was, None))
                state.counted.clear()
                state.counted.append(was)
                fits = True
            else:
                reason = say(
                    gettext_noop(
                        "%(was)s %(unit)s stands alone: the next value was %(value)s %(unit)s"
                    ),
                    was=f"{was:g}",
                    value=f"{value:g}",
                    unit=unit,
                )
                revisions.append(
                    Revision(was_index, quantity, was, Artefact(was, ISOLATED, reason))
                )
        if fits or by_hand:
            if not recent or (by_hand and not fits):
                state.counted.clear()
            state.counted.append(value)
            state.counted_at = at
            return
        reason = say(
            gettext_noop(
                "from %(usual)s to %(value)s %(unit)s at once; the next value confirms it or not"
            ),
            usual=f"{usual:g}",
            value=f"{value:g}",
            unit=unit,
        )
        marked[quantity] = Artefact(value, UNCONFIRMED, reason)
        state.waiting = (index, at, value)
