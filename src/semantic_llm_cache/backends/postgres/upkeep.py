"""Removing expired rows, and rows beyond the bound, in the background of writes.

Which entries go first is decided on a sample, as in Redis: rows from many places of the primary key, whose order is
random because it is an order of digests. No order of use is kept, because each hit would then be a write.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from semantic_llm_cache.backends.eviction import Standing, score
from semantic_llm_cache.backends.postgres.link import Link
from semantic_llm_cache.backends.postgres.schema import Schema
from semantic_llm_cache.exceptions import CacheBackendError

__all__ = ["Upkeep"]

logger = logging.getLogger("semantic_llm_cache")

_SWEEP_PAGE = 500
_SWEEP_SECONDS = 60.0
_SWEEP_GRACE = 60.0
_LOOK_SECONDS = 5.0  # after which a write makes us count again: other processes write too
_SHARE = 100  # and not more than one in so many seconds is spent on counting for that
_ALL = 1_000  # up to so many entries are all weighed, of more a sample
_RUNS, _RUN = 128, 8  # a sample: rows in a row, from so many places
_KEPT = 16  # one in so many of a sample goes
_EVICT = 500  # entries that one statement removes at most
_AT_ONCE = 2_000  # and one transaction: it blocks others that write the same keys
_SLACK = 100  # one in so many more than needed goes, so that not every write counts all entries
_REMEMBERED = 10_000
_FRESH = 1_000


class Upkeep:
    """Removes expired rows, and rows beyond a bound.

    Args:
        link: to the server.
        clock: gives the wall time.
        beside: runs a coroutine in the background.
        max_size: most entries, or None.
        policy: of `eviction.POLICIES`.
        gone: called with the digests of the evicted entries.
    """

    def __init__(
        self,
        link: Link,
        clock: Callable[[], float],
        beside: Callable[[Coroutine[Any, Any, None]], None],
        max_size: int | None,
        policy: str,
        gone: Callable[[Iterable[bytes]], None],
    ) -> None:
        self.link = link
        self.clock = clock
        self.max_size = max_size
        self.policy = policy
        self.expired = 0
        self.evictions = 0
        self._beside = beside
        self._gone = gone
        self._next_sweep = 0.0
        self._trimming = False
        self._written = 0
        self._count_at = 0  # entries are counted when more than so many have been written
        self._next_look = 0.0
        self._used: dict[bytes, float] = {}  # digests read since, and when: for the order of eviction
        self._fresh: dict[bytes, None] = {}  # written while there were too many: not evicted at once

    def wrote(self, places: Iterable[bytes]) -> None:
        """Note that entries were written, by their digests; start in the background what is due."""
        now = time.monotonic()
        if now >= self._next_sweep:
            self._next_sweep = now + _SWEEP_SECONDS
            self._beside(self._sweep_quietly())
        if self.max_size is None:
            return
        for place in places:
            self._written += 1
            if self._written > self._count_at:
                self._fresh[place] = None
        while len(self._fresh) > _FRESH:
            del self._fresh[next(iter(self._fresh))]
        if not self._trimming and (self._written > self._count_at or now >= self._next_look):
            self._beside(self._trim_while_due())

    def used(self, place: bytes, now: float) -> None:
        """Note that an entry was read."""
        if self.max_size is not None and self.policy == "lru" and len(self._used) < _REMEMBERED:
            self._used[place] = now

    async def _quietly(self, work: Callable[[], Coroutine[Any, Any, int]]) -> int:
        try:
            return await work()
        except CacheBackendError as error:  # the next run will do it
            logger.debug("semantic-llm-cache: removing expired or surplus rows failed: %s", error)
            return 0

    # ------------------------------------------------------------------------------- expired

    async def _sweep_quietly(self) -> None:
        await self._quietly(self._mend)
        await self._quietly(self.sweep)

    async def _mend(self) -> int:
        await self.link.mend()
        return 0

    async def sweep(self) -> int:
        """Remove what has been expired for a minute, in batches; return how many rows went."""
        total = 0
        while True:
            now = self.clock()
            rows = await self.link.fetch(lambda schema: schema.sweep, now - _SWEEP_GRACE, now, _SWEEP_PAGE)
            total += rows[0][1]
            self.expired += rows[0][1]
            if rows[0][1] < _SWEEP_PAGE:
                await self.link.fetch(lambda schema: schema.sweep_leases)
                return int(total)

    # ------------------------------------------------------------------------------ too many

    async def _trim_while_due(self) -> None:
        if self._trimming:
            return
        self._trimming = True
        try:
            while await self._quietly(self.trim) and self._written > self._count_at:  # more was written meanwhile
                pass
        finally:
            self._trimming = False

    async def trim(self) -> int:
        """Evict what is too much, unless another process is doing it; return how many entries went."""
        total = 0
        while self.max_size is not None:
            self._next_look = time.monotonic() + _LOOK_SECONDS  # also when it fails
            gone, more = await self.link.run(self._trim, again=False)
            total += gone
            if not more:
                break
        return total

    async def _trim(self, connection: Any, schema: Schema) -> tuple[int, bool]:
        """Evict some; return how many, and whether there is more to do."""
        assert self.max_size is not None
        async with connection.transaction():
            if not await connection.fetchval(schema.try_to_trim):
                self._count_at = self._written
                return 0, False
            written, began = self._written, time.monotonic()
            count = await connection.fetchval(schema.count_all, timeout=_SWEEP_SECONDS)
            took = time.monotonic() - began
            self._next_look = began + max(_LOOK_SECONDS, _SHARE * took)
            if count <= self.max_size:
                self._count_at = written + self.max_size - count
                self._fresh = {}
                return 0, False
            excess = count - (self.max_size - self.max_size // _SLACK)
            now = self.clock()
            expired = (await connection.fetch(schema.sweep, now, now, min(excess, _AT_ONCE)))[0][1]
            wanted = min(excess, _AT_ONCE) - expired
            evicted: list[bytes] = []
            if wanted > 0:
                await self._write_uses(connection, schema)
                evicted = await self._evict(connection, schema, wanted, count - expired)
        self._gone(evicted)
        self.expired += expired
        self.evictions += len(evicted)
        self._count_at = written + self.max_size - (count - expired - len(evicted))
        return len(evicted), excess > _AT_ONCE and bool(expired or evicted)

    async def _write_uses(self, connection: Any, schema: Schema) -> None:
        used, self._used = self._used, {}
        places = sorted(used)
        for start in range(0, len(places), _AT_ONCE):
            some = places[start : start + _AT_ONCE]
            await connection.fetch(schema.record_uses, some, [used[place] for place in some])

    async def _evict(self, connection: Any, schema: Schema, wanted: int, count: int) -> list[bytes]:
        """Delete the lowest of all or of samples, those written just now last."""
        fresh, self._fresh = self._fresh, {}
        evicted: list[bytes] = []
        while len(evicted) < wanted:
            worths, sampled = await self._weigh(connection, schema, count)
            lowest = sorted(worths, key=lambda place: (place in fresh, worths[place], place))
            number = max(1, len(lowest) // _KEPT) if sampled else len(lowest)
            some = lowest[: min(number, _EVICT, wanted - len(evicted))]
            gone = [row[0] for row in await connection.fetch(schema.evict, some)] if some else []
            if not gone:  # all of them are being written
                break
            evicted += gone
            count -= len(gone)
        return evicted

    async def _weigh(self, connection: Any, schema: Schema, count: int) -> tuple[dict[bytes, float], bool]:
        """Return scores by digest, and whether these are a sample's."""
        if count <= _ALL:
            rows = await connection.fetch(schema.weights)
        else:
            rows = await connection.fetch(schema.weights_of_sample, [os.urandom(16) for _ in range(_RUNS)], _RUN)
        worths: dict[bytes, float] = {}
        for number, (place, *standing) in enumerate(rows):
            worths[place] = score(self.policy, Standing(*standing))
            if number % 256 == 255:
                await asyncio.sleep(0)
        return worths, count > _ALL
