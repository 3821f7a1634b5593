"""Which entries expire next."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Callable
from math import isfinite

__all__ = ["ExpiryQueue"]

_WIDTH = 16.0  # seconds


class ExpiryQueue:
    """Ids by the time at which they expire: 8 bytes each, and nothing for the garbage collector to walk.

    Ids that expire within the same 16 seconds are kept together in no order; only when their time comes are
    the live ones among them put in order. Ids whose entries were replaced or removed since stay
    until they are looked at. When there are too many of those, the live ones are moved to new lists, a few with
    every call, so that no call takes long.

    Args:
        expiry_of: gives an id's time of expiry in seconds, None when it has none or is gone.
    """

    __slots__ = ("_buckets", "_count", "_expiry_of", "_next", "_old", "_soon")

    def __init__(self, expiry_of: Callable[[int], float | None]) -> None:
        self._expiry_of = expiry_of
        self._old: list[array[int]] = []
        self._count = 0
        self._restart()

    def _restart(self) -> None:
        self._buckets: dict[int, array[int]] = {}
        self._next: list[int] = []  # numbers of buckets, a heap
        self._soon: list[tuple[float, int]] = []  # a heap

    def __len__(self) -> int:
        return self._count

    def push(self, expires_at: float, id: int, live: int) -> None:
        """Add an id. `live` is how many entries there are, to judge how many ids are stale."""
        if not isfinite(expires_at):
            return
        self._put(expires_at, id)
        if not self._old and self._count > 2 * live + 1024:
            self._old = [array("q", [id for _, id in self._soon]), *self._buckets.values()]
            self._restart()
        self._move(8)

    def pop(self, now: float, looks: int = 8) -> int | None:
        """Return the id of an entry whose time is over at `now`, or None after `looks` others."""
        self._move(looks)
        for _ in range(looks):
            if self._soon and self._soon[0][0] <= now:
                self._count -= 1
                expires_at, id = heapq.heappop(self._soon)
                if self._expiry_of(id) == expires_at:
                    return id
            elif self._next and self._next[0] * _WIDTH <= now:
                number = self._next[0]
                bucket = self._buckets[number]
                id = bucket.pop()
                if not bucket:
                    del self._buckets[number]
                    heapq.heappop(self._next)
                self._count -= 1
                expiry = self._expiry_of(id)
                if expiry is None:
                    continue
                if expiry <= now:
                    return id
                heapq.heappush(self._soon, (expiry, id))
                self._count += 1
            else:
                break
        return None

    def due(self, now: float) -> bool:
        """Return whether `pop` has anything left to look at."""
        return bool(
            self._old or (self._soon and self._soon[0][0] <= now) or (self._next and self._next[0] * _WIDTH <= now)
        )

    def _put(self, expires_at: float, id: int) -> None:
        number = int(expires_at // _WIDTH)
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = self._buckets[number] = array("q")
            heapq.heappush(self._next, number)
        bucket.append(id)
        self._count += 1

    def _move(self, count: int) -> None:
        old = self._old
        while old and count:
            if not old[-1]:
                old.pop()
                continue
            id = old[-1].pop()
            self._count -= 1
            count -= 1
            expires_at = self._expiry_of(id)
            if expires_at is not None:
                self._put(expires_at, id)
