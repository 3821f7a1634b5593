"""Which entries expire next."""

from __future__ import annotations

import heapq
from collections.abc import Callable

__all__ = ["ExpiryQueue"]


class ExpiryQueue:
    """Keys by the time at which they expire.

    Items of entries that were since replaced or removed stay until looked at. When those are too many,
    the live ones move over to a new heap, a few with every `push`: no call ever takes long.

    Args:
        expiry_of: gives a key's present time of expiry, None when it has none or is gone.
    """

    __slots__ = ("_expiry_of", "_heap", "_old")

    def __init__(self, expiry_of: Callable[[str], float | None]) -> None:
        self._expiry_of = expiry_of
        self._heap: list[tuple[float, str]] = []
        self._old: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._heap) + len(self._old)

    def push(self, expires_at: float, key: str, live: int) -> None:
        """Add a key. `live` is how many entries there are, to judge how many items are stale."""
        heapq.heappush(self._heap, (expires_at, key))
        if not self._old and len(self._heap) > 2 * live + 1024:
            self._old, self._heap = self._heap, []
        for _ in range(8):
            if not self._old:
                break
            item = self._old.pop()
            if self._expiry_of(item[1]) == item[0]:
                heapq.heappush(self._heap, item)

    def pop(self, now: float, looks: int = 8) -> str | None:
        """Return the key of an entry whose time is over at `now`, or None after `looks` stale items."""
        heap = self._heap
        for _ in range(looks):
            if not heap or heap[0][0] > now:
                return None
            item = heapq.heappop(heap)
            if self._expiry_of(item[1]) == item[0]:
                return item[1]
        return None
