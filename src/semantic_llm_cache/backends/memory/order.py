"""Orders of slots: by use, and for drawing at random, each operation in constant time; and by age."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np

__all__ = ["Draw", "Line", "by_age", "sort_by_age"]

_SORTED_INLINE = 10_000


class Line:
    """Slots in a line, linked through arrays: nothing for the garbage collector to walk.

    Example:
        >>> line = Line()
        >>> line.append(4), line.append(2), line.remove(4)
        (None, None, None)
        >>> line.first
        2
    """

    __slots__ = ("_after", "_before")

    def __init__(self) -> None:
        # Slot n is at n + 1; at 0 is the end of the line, before its first and after its last.
        self._after = array("I", [0])
        self._before = array("I", [0])

    @property
    def first(self) -> int | None:
        """The slot that was appended before all others, None when the line is empty."""
        return self._after[0] - 1 if self._after[0] else None

    def append(self, slot: int) -> None:
        """Add a slot that is not in the line, at its end."""
        place, last = slot + 1, self._before[0]
        missing = place + 1 - len(self._after)
        if missing > 0:
            self._after.extend([0] * missing)
            self._before.extend([0] * missing)
        self._after[last] = self._before[0] = place
        self._before[place], self._after[place] = last, 0

    def remove(self, slot: int) -> None:
        """Take out a slot that is in the line."""
        before, after = self._before[slot + 1], self._after[slot + 1]
        self._after[before], self._before[after] = after, before


class Draw:
    """Slots to draw from at random."""

    __slots__ = ("_place", "_slots", "random")

    def __init__(self) -> None:
        from random import Random  # not at the top: most caches evict nothing, or in order of use

        self.random = Random()
        self._slots = array("I")
        self._place = array("I")

    def add(self, slot: int) -> None:
        """Add a slot that is not there."""
        missing = slot + 1 - len(self._place)
        if missing > 0:
            self._place.extend([0] * missing)
        self._place[slot] = len(self._slots)
        self._slots.append(slot)

    def remove(self, slot: int) -> None:
        """Take out a slot that is there."""
        place, last = self._place[slot], self._slots.pop()
        if last != slot:
            self._slots[place] = last
            self._place[last] = place

    def pick(self, count: int) -> list[int]:
        """Return `count` slots, each drawn from all; all of them when there are no more than that."""
        slots, size, random = self._slots, len(self._slots), self.random.random
        if size <= count:
            return slots.tolist()
        return [slots[int(random() * size)] for _ in range(count)]


def by_age(ages: array[float]) -> Sequence[int] | None:
    """Return places in order of age, None when that takes sorting many."""
    values = np.frombuffer(ages) if ages else np.empty(0)
    if (values[1:] >= values[:-1]).all():
        return range(len(ages))
    return None if len(ages) > _SORTED_INLINE else sort_by_age(None, ages)


def sort_by_age(_: None, ages: array[float]) -> array[int]:
    """Return places in order of age, equal ones as they stood. The first argument is not used."""
    return array("q", np.argsort(np.frombuffer(ages), kind="stable").astype(np.int64).tobytes())
