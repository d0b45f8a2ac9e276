"""What is where: every piece that was handed out is taken, brought back, lost, or still held.

dispensed = taken + returned + lost + held, for each strength, at every moment.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from django.utils.translation import gettext_noop as _

from openketamine.clinic.record.told import all_of
from openketamine.clinic.said import say

Pieces = Mapping[float, int]  # mg of one piece -> how many


@dataclass(frozen=True)
class Moved:
    """One movement: `kind` is dispensed, taken, returned or lost."""

    kind: str
    piece_mg: float
    pieces: int


@dataclass(frozen=True)
class Counts:
    """The sums of all movements, by strength."""

    dispensed: Pieces = field(default_factory=dict)
    taken: Pieces = field(default_factory=dict)
    returned: Pieces = field(default_factory=dict)
    lost: Pieces = field(default_factory=dict)

    @property
    def held(self) -> dict[float, int]:
        """What the patient has at home, as far as the clinic knows; no strength with none."""
        left = Counter(self.dispensed)
        for gone in (self.taken, self.returned, self.lost):
            left.subtract(gone)
        return {mg: count for mg, count in sorted(left.items(), reverse=True) if count}

    @property
    def rows(self) -> list[tuple[float, int, int, int, int, int]]:
        """(mg, dispensed, taken, returned, lost, held), the strongest first."""
        held = self.held
        return [
            (
                mg,
                self.dispensed.get(mg, 0),
                self.taken.get(mg, 0),
                self.returned.get(mg, 0),
                self.lost.get(mg, 0),
                held.get(mg, 0),
            )
            for mg in sorted(self.dispensed, reverse=True)
        ]


def fold(movements: Iterable[Moved]) -> Counts:
    """The sums of movements.

    Raises:
        ValueError: a movement of nothing, of an unknown kind, or of more than was held then.
    """
    sums: dict[str, Counter[float]] = {
        kind: Counter() for kind in ("dispensed", "taken", "returned", "lost")
    }
    held: Counter[float] = Counter()
    for moved in movements:
        if moved.pieces <= 0 or moved.piece_mg <= 0:
            raise ValueError("a movement moves at least one piece")
        if moved.kind not in sums:
            raise ValueError(f"there is no movement {moved.kind!r}")
        if moved.kind != "dispensed" and moved.pieces > held[moved.piece_mg]:
            there = held[moved.piece_mg]
            raise ValueError(
                f"{moved.pieces} of {moved.piece_mg:g} mg {moved.kind}, and {there} held"
            )
        sums[moved.kind][moved.piece_mg] += moved.pieces
        held[moved.piece_mg] += moved.pieces if moved.kind == "dispensed" else -moved.pieces
    return Counts(**{kind: dict(count) for kind, count in sums.items()})


def needed(units: Iterable[tuple[float, int]], sessions: int) -> dict[float, int]:
    """The pieces that so many sessions of a plan need."""
    return {float(mg): count * sessions for mg, count in units if count * sessions}


def in_words(pieces: Pieces) -> str:
    """ "2 of 100 mg and 1 of 50 mg"; "none" where there are none."""
    parts = [
        say(_("%(count)s of %(mg)s mg"), count=count, mg=f"{mg:g}")
        for mg, count in sorted(pieces.items(), reverse=True)
        if count
    ]
    return all_of(parts) if parts else say(_("none"))


def mg_of(pieces: Pieces) -> float:
    """The milligrams of so many pieces together."""
    return sum(mg * count for mg, count in pieces.items())
