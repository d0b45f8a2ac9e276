"""Small cells stay hidden, and so does whatever would give them away. Pure.

A count of 1 or 2 people can tell who they are. Hiding it alone is no use where the rest and their
sum are shown: a second count is hidden with it, so that only their sum can be worked out.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from .statistics import Proportion

K = TypeVar("K", bound=Hashable)


def is_small(count: int, fewer_than: int) -> bool:
    return 0 < count < fewer_than


def hidden(counts: Sequence[int], fewer_than: int) -> list[bool]:
    """Which of some counts stay hidden, where their sum is shown.

    Every small count is. If what is hidden comes to less than `fewer_than` in all, or is one count
    alone, the smallest of the others is hidden too, one that is not 0 if there is one.
    """
    hide = [is_small(count, fewer_than) for count in counts]
    if not any(hide):
        return hide
    while True:
        inside = [count for count, each in zip(counts, hide, strict=True) if each]
        others = [i for i, each in enumerate(hide) if not each]
        if not others or (len(inside) > 1 and sum(inside) >= fewer_than):
            return hide
        hide[min(others, key=lambda i: (counts[i] == 0, counts[i], i))] = True


def shown(counts: Mapping[K, int], fewer_than: int) -> dict[K, int | None]:
    """The same counts, None for those that stay hidden."""
    marks = hidden(list(counts.values()), fewer_than)
    return {
        key: None if hide else count
        for (key, count), hide in zip(counts.items(), marks, strict=True)
    }


@dataclass(frozen=True)
class Shown:
    """A proportion as it may be seen. `count` is None where it stays hidden.

    `under` then says how many it is fewer than; None where not even that may be said.
    """

    n: int | None
    count: int | None
    share: float | None
    low: float | None
    high: float | None
    under: int | None = None

    @property
    def is_hidden(self) -> bool:
        return self.count is None and self.n != 0


def proportion_shown(found: Proportion, fewer_than: int, *, both_sides: bool = True) -> Shown:
    """A proportion without small cells: of those who did and, with `both_sides`, the others."""
    if is_small(found.n, fewer_than):
        return Shown(None, None, None, None, None)
    if is_small(found.count, fewer_than):
        return Shown(found.n, None, None, None, None, under=fewer_than)
    if both_sides and is_small(found.n - found.count, fewer_than):
        return Shown(found.n, None, None, None, None)
    return Shown(found.n, found.count, found.share, found.low, found.high)


def may_be_shown(n: int, wider: Sequence[int], fewer_than: int) -> bool:
    """Whether a cohort of `n` may be shown beside the wider ones that it is a part of.

    What is left of a wider one must not be small either: a difference of two figures would show it.
    """
    return not is_small(n, fewer_than) and not any(is_small(each - n, fewer_than) for each in wider)
