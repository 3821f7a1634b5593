"""Near entries by the vector sets of Redis 8: one set for each scope and embedder.

A set's member is the key of an entry. Entries expire and members do not, so a member counts only if its entry exists
and names this set as its own. Reads that find other members report them, and they are removed in the background.
Vectors in the sets have 8 bits per component (the server's default); the entries hold them whole, and similarities
are computed from those. Inside a script the server searches on its main thread, as with NOTHREAD, so the `VSIM` of
Redis 8.0 is enough.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from typing import Any, ClassVar

from semantic_llm_cache.backends.redis.clients import Link, together
from semantic_llm_cache.backends.redis.entries import Names, Row
from semantic_llm_cache.backends.redis.lua import vectorset as lua
from semantic_llm_cache.backends.redis.strategy import Guard, Limits, Way, logger
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.runtime import background
from semantic_llm_cache.runtime.fork import fork_safe_lock
from semantic_llm_cache.similarity.base import Vector
from semantic_llm_cache.storage.records import Candidate

__all__ = ["VectorSets"]

_EF = 100
_SHORTENING = 0.02
"""What a score may be off by 8 bits per component; measured at 384 dimensions: 0.004."""
_SWEEP_AFTER = 0.25
_SWEEP_CHUNK = 50
_MOST_DEAD = 10_000
_RESTORE_SECONDS = 60.0
_MOST_RESTORED = 4096


class VectorSets(Way):
    """One vector set per scope, embedder and dimension, in each shard."""

    name: ClassVar[str] = "vectorset"
    letter: ClassVar[str] = "v"
    cluster_shards: ClassVar[int] = 6
    write_chunk: ClassVar[int] = 16

    def __init__(self, link: Link, names: Names) -> None:
        super().__init__(link, names)
        self._lock = fork_safe_lock()
        self._dead: dict[tuple[int, str], set[bytes]] = {}
        self._sweeper = 0  # id of the process that has a sweep ahead of it
        self._wrong = False
        self.swept = 0
        self.restored = 0
        self._restoring: dict[tuple[int, str], float] = {}  # and when it may be done again

    async def put(self, shard: int, rows: Sequence[Row], guard: Guard | None = None) -> None:
        """Write entries and their vectors."""
        arguments: list[Any] = [
            self.names.other("v", shard), self.names.other("sets", shard), self.names.entries(shard)
        ]  # fmt: skip
        for row in rows:
            arguments += [row.key, row.data, row.vector, row.expires, row.milliseconds, row.place, row.scope,
                          row.namespace, row.hits, row.accessed]  # fmt: skip
        for place in (
            await self.put_script(lua.PUT, self.with_counts([row.key for row in rows]), arguments, guard) or ()
        ):
            self._restore_later(shard, place.decode())

    async def drop(self, shard: int, keys: Sequence[bytes]) -> list[bytes | None]:
        """Remove entries; return what each held."""
        names = self.with_counts(keys)
        found: list[bytes | None] = await self.link.script(
            lua.DROP, names, [self.names.other("v", shard), self.names.other("sets", shard), *keys]
        )
        return found

    async def near(self, query: Vector, k: int, threshold: float, limits: Limits, now: float) -> list[Candidate]:
        """Return the nearest live entries."""
        place = limits.place(query.shape[0])
        if place is not None:
            searches = [(shard, place) for shard in range(self.names.shards)]
        else:
            searches = await self._places(query.shape[0], limits)
        raw = query.astype("<f4", copy=False).tobytes()
        wanted = k + 2  # a little more than asked for: the whole vectors decide the order
        while True:
            found = await together([self._search(one, raw, wanted, threshold, limits, now) for one in searches])
            rows = [row for some in found for row in some]
            candidates = self.ranked(rows, query, threshold, limits, now)
            if len(candidates) >= k or all(len(some) < wanted for some in found):
                return candidates
            if all(self.entry(*row, now) is not None for row in rows):
                return candidates
            wanted *= 4  # damaged entries were counted, others were cut off

    async def _search(
        self, which: tuple[int, str], raw: bytes, wanted: int, threshold: float, limits: Limits, now: float
    ) -> list[tuple[bytes, Any]]:
        shard, place = which
        # The score is (1 + cosine) / 2.
        lowest = (1.0 + threshold - _SHORTENING) / 2 if threshold > _SHORTENING else -1.0
        prefix = self.names.entries(shard)
        arguments = [raw, wanted, lowest, int(now * 1000), place, prefix, limits.namespace_digest, _EF,
                     self.names.hits(shard), self._mark(shard, place)]  # fmt: skip
        found, dead, wrong = await self.link.script(lua.NEAR, [self.names.other("v", shard, place)], arguments)
        if dead:
            self._bury(shard, place, dead)
        if wrong == 2:
            self._restore_later(shard, place)
        if wrong == 1 and not self._wrong:
            self._wrong = True
            logger.warning(
                "semantic-llm-cache: %s: another program has stored something else under the name of a vector set; "
                "it is replaced when an entry of its scope is stored",
                self.link.url,
            )
        return [(member, fields) for member, fields in found]

    async def _places(self, dimension: int, limits: Limits) -> list[tuple[int, str]]:
        """Return the sets to look in when scope or embedder are not given. Reads the registry in steps."""
        pattern = f"{limits.scope_digest}*d{dimension}"
        found = []
        for shard in range(self.names.shards):
            cursor: Any = 0
            while True:
                cursor, names = await self.link.execute(
                    "SSCAN", self.names.other("sets", shard), cursor, "MATCH", pattern, "COUNT", 500
                )
                found += [(shard, name.decode()) for name in names]
                if not int(cursor):
                    break
        return list(dict.fromkeys(found))

    # ------------------------------------------------------------------------- deleted sets

    def _mark(self, shard: int, place: str) -> bytes:
        return self.names.other("sets", shard, f":{place}")

    def _restore_later(self, shard: int, place: str) -> None:
        """Fill a deleted set again from its entries, in the background; once a minute at most."""
        now = time.monotonic()
        with self._lock:
            if now < self._restoring.get((shard, place), 0.0):
                return
            if len(self._restoring) >= _MOST_RESTORED:
                self._restoring.clear()
            first = not any(now < until for until in self._restoring.values())
            self._restoring[shard, place] = now + _RESTORE_SECONDS
        if first:
            logger.warning(
                "semantic-llm-cache: %s: a vector set was deleted or evicted; it is filled again from its entries",
                self.link.url,
            )
        self.link.background(lambda: self._restore(shard, place))

    async def _restore(self, shard: int, place: str) -> None:
        set_, mark = self.names.other("v", shard, place), self._mark(shard, place)
        try:
            for node in await self.link.primaries():
                cursor: Any = 0
                while True:
                    cursor, names = await node("SCAN", cursor, "MATCH", self.names.pattern(), "COUNT", 500)
                    keys = [key for key in map(self.names.key, names) if key is not None]
                    for owner, some in self.chunks(keys, self.write_chunk):
                        if owner == shard:
                            entries = [self.names.entry(key) for key in some]
                            self.restored += await self.link.script(lua.RESTORE, entries, [set_, mark, place, *some])
                    if not int(cursor):
                        break
        except Exception as error:  # a search that meets it has it done again
            logger.debug("semantic-llm-cache: a vector set could not be filled again: %s", describe(error))

    # ------------------------------------------------------------------------- dead members

    def _bury(self, shard: int, place: str, members: Sequence[bytes]) -> None:
        with self._lock:
            if sum(map(len, self._dead.values())) < _MOST_DEAD:
                self._dead.setdefault((shard, place), set()).update(members)
            before, self._sweeper = self._sweeper, os.getpid()
        if before != self._sweeper:
            background.call_later(_SWEEP_AFTER, self._sweep_soon)

    async def _sweep_soon(self) -> None:
        self._sweeper = 0
        if self._dead:
            self.link.background(self.sweep)

    def rest(self) -> None:
        """Leave the dead for another time."""
        with self._lock:
            self._dead = {}

    async def sweep(self) -> None:
        """Remove the members whose entries are gone."""
        with self._lock:
            dead, self._dead = self._dead, {}
        try:
            for (shard, place), members in dead.items():
                waiting = list(members)
                while waiting:
                    some, waiting = waiting[:_SWEEP_CHUNK], waiting[_SWEEP_CHUNK:]
                    arguments = [self.names.entries(shard), place, *some]
                    keys = [self.names.other("v", shard, place), self._mark(shard, place)]
                    self.swept += await self.link.script(lua.SWEEP, keys, arguments)
                    await asyncio.sleep(0)
        except Exception as error:  # the next read reports them again
            logger.debug("semantic-llm-cache: dead members could not be removed: %s", describe(error))

    async def stats(self) -> dict[str, Any]:
        """Return figures about the indexes."""
        return {"swept": self.swept, "restored": self.restored}
