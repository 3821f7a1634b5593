"""Near entries on a server that knows no vectors: each process searches in a copy of its own.

Every change of an entry that has a vector is written to a log: a stream with consecutive numbers, and an epoch, a
random number that changes whenever the log starts again. A search fetches two things in one round trip: the entries
that its own copy considers near, and the log since the last time. It makes a second round trip only if the log holds
changes in the scope of the search. A process that missed a part of the log (the stream is bounded, the server was
emptied or restarted) reads all vectors again in the background, and searches in the old copy meanwhile.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import os
import time
from collections.abc import Sequence
from typing import Any, ClassVar

from semantic_llm_cache.backends.redis.clients import Link, together
from semantic_llm_cache.backends.redis.entries import Names, Row
from semantic_llm_cache.backends.redis.lua import plain as lua
from semantic_llm_cache.backends.redis.mirror import Change, Mirror
from semantic_llm_cache.backends.redis.strategy import READ_CHUNK, Guard, Limits, Way, logger
from semantic_llm_cache.exceptions import CacheBackendError
from semantic_llm_cache.runtime.fork import fork_safe_lock
from semantic_llm_cache.similarity.base import Vector
from semantic_llm_cache.storage.records import Candidate

__all__ = ["Plain"]

_PATIENCE = 0.5
"""Seconds that a search waits for the first copy; after that it uses what has been read so far."""
_ROUNDS = 8


class Plain(Way):
    """A copy of all vectors in this process, kept in step through a log on the server."""

    name: ClassVar[str] = "plain"
    letter: ClassVar[str] = "p"
    cluster_shards: ClassVar[int] = 6
    write_chunk: ClassVar[int] = 50

    def __init__(self, link: Link, names: Names) -> None:
        super().__init__(link, names)
        self._lock = fork_safe_lock()
        self._mirror: Mirror | None = None
        self._filling: Mirror | None = None
        self._loading: concurrent.futures.Future[None] | None = None
        self._loader = 0  # id of the process that loads
        self._partial = False
        self.loads = 0

    # ------------------------------------------------------------------------------ writing

    async def put(self, shard: int, rows: Sequence[Row], guard: Guard | None = None) -> None:
        """Store rows of one shard and announce them."""
        arguments: list[Any] = [_epoch(), _keys_as_json([row.key for row in rows])]
        for row in rows:
            arguments += [row.data, row.vector, row.expires, row.milliseconds, row.place, row.scope, row.namespace,
                          row.hits, row.accessed]  # fmt: skip
        told = await self.put_script(lua.PUT, self._keys(shard, [row.key for row in rows]), arguments, guard)
        self._own(
            shard,
            told,
            [Change(row.key, row.place or None, row.namespace, row.vector, row.expires) for row in rows],
        )

    async def drop(self, shard: int, keys: Sequence[bytes]) -> list[bytes | None]:
        """Remove entries of one shard and announce it."""
        arguments = [_epoch(), _keys_as_json(keys)]
        found, told = await self.link.script(lua.DROP, self._keys(shard, keys), arguments)
        self._own(shard, told, [Change(key, None) for key in keys])
        return list(found)

    def _keys(self, shard: int, keys: Sequence[bytes]) -> list[bytes]:
        return [
            self.names.other("log", shard), self.names.other("stream", shard), *self.with_counts(keys)
        ]  # fmt: skip

    def _own(self, shard: int, told: Any, changes: list[Change]) -> None:
        """Apply what this process has just written, without waiting for the log."""
        if not told:
            return
        epoch, number = told[0], int(told[1])
        for mirror in (self._mirror, self._filling):
            if mirror is not None:
                mirror.apply(changes, number)
                mirror.follow(shard, epoch, number - 1, number)

    # ---------------------------------------------------------------------------- searching

    async def near(self, query: Vector, k: int, threshold: float, limits: Limits, now: float) -> list[Candidate]:
        """Return live entries, nearest first, of all that had been stored when this was called."""
        mirror = await self._ready()
        wanted = k
        for _ in range(_ROUNDS):
            if mirror.large(query.shape[0]):
                keys = await asyncio.to_thread(mirror.search, query, wanted, threshold, limits, now)
            else:
                keys = mirror.search(query, wanted, threshold, limits, now)
            rows, news = await self._fetch(mirror, keys)
            if news and await self._catch_up(mirror, news, limits.place(query.shape[0])):
                continue  # entries written meanwhile may be nearer
            gone = [key for key, fields in rows if type(fields) is list and fields[0] is None]
            if gone:
                mirror.remove(gone)
            found = self.ranked(rows, query, threshold, limits, now)
            if len(found) >= k or len(keys) < wanted:
                return found
            wanted *= 1 if gone else 4  # damaged entries are found again until they are replaced
        return self.ranked(rows, query, threshold, limits, now)

    async def _fetch(
        self, mirror: Mirror, keys: list[bytes]
    ) -> tuple[list[tuple[bytes, Any]], list[tuple[int, bytes, int, int, list[Any]]]]:
        """Return the fields of entries and the news of the logs: shard, epoch, last known, newest, messages."""
        by_shard: dict[int, list[bytes]] = {shard: [] for shard in range(self.names.shards)}
        for key in keys:
            by_shard[self.names.shard(key)].append(key)
        positions = list(mirror.positions)
        replies = await together(
            [
                self.link.script(lua.NEAR, self._keys(shard, some), [positions[shard][0], positions[shard][1]])
                for shard, some in by_shard.items()
            ]
        )
        rows: list[tuple[bytes, Any]] = []
        news = []
        for (shard, some), (epoch, top, messages, fields) in zip(by_shard.items(), replies, strict=True):
            rows += zip(some, fields, strict=True)
            if (epoch, int(top)) != positions[shard]:
                news.append((shard, epoch, positions[shard][1], int(top), messages))
        return rows, news

    async def _catch_up(
        self, mirror: Mirror, news: list[tuple[int, bytes, int, int, list[Any]]], place: str | None
    ) -> bool:
        """Apply the news; return whether `place` (None: any) has gained entries."""
        gained = False
        for shard, epoch, last, top, messages in news:
            if mirror.positions[shard][0] == epoch and top <= mirror.positions[shard][1]:
                gained = True  # another task has applied it already
                continue
            numbers = [int(message[0].split(b"-")[0]) for message in messages]
            if not numbers or numbers != list(range(last + 1, last + 1 + len(numbers))):
                self._load()  # a part is missing, or the log has started again
                continue
            keys = list(dict.fromkeys(key for message in messages for key in _keys_of(message)))
            changes = await self._changes(shard, keys)
            mirror.apply(changes, numbers[-1])
            mirror.follow(shard, epoch, last, numbers[-1])
            gained = (
                gained
                or numbers[-1] < top
                or any(change.place is not None and place in (None, change.place) for change in changes)
            )
        return gained

    async def _changes(self, shard: int, keys: Sequence[bytes]) -> list[Change]:
        changes: list[Change] = []
        for start in range(0, len(keys), READ_CHUNK):
            some = keys[start : start + READ_CHUNK]
            rows = await self.link.script(lua.VECTORS, [self.names.entry(key) for key in some], ())
            for key, row in zip(some, rows, strict=True):
                if row and row[0] and row[2]:
                    changes.append(Change(key, row[0].decode(), (row[1] or b"").decode(), row[2], row[3] or b""))
                else:
                    changes.append(Change(key, None))
        return changes

    # ------------------------------------------------------------------------------ loading

    async def _ready(self) -> Mirror:
        """Return the copy to search in; the first time, wait a little for it."""
        mirror = self._mirror
        if mirror is not None:
            return mirror
        loading = self._load()
        end = time.monotonic() + _PATIENCE
        while not loading.done() and (self._filling is None or time.monotonic() < end):  # noqa: ASYNC110 - it runs in another thread
            await asyncio.sleep(0.002)
        if loading.done():
            error = loading.exception()
            if error is not None:
                raise error
        mirror = self._filling if self._mirror is None else self._mirror
        if mirror is None:  # it was finished, and dropped by a fork or a close, in between
            raise CacheBackendError(f"{self.link.url}: the vectors have not been read yet")
        if self._mirror is None and not self._partial:
            self._partial = True
            logger.info(
                "semantic-llm-cache: %s: vectors are still being read; near matches may be missed", self.link.url
            )
        return mirror

    def _load(self) -> concurrent.futures.Future[None]:
        """Read all vectors in the background, unless that is running already. Returns its future."""
        with self._lock:
            if self._loading is not None and self._loader == os.getpid() and not self._loading.done():
                return self._loading
            future: concurrent.futures.Future[None] = concurrent.futures.Future()
            self._loading, self._loader = future, os.getpid()
        self.link.background(lambda: self._load_into(future))
        return future

    async def _load_into(self, future: concurrent.futures.Future[None]) -> None:
        try:
            began = time.monotonic()
            empty: list[tuple[bytes, int]] = [(b"", 0)] * self.names.shards
            _, heads = await self._fetch(Mirror(empty), [])
            positions = list(empty)
            for shard, epoch, _, top, _ in heads:
                positions[shard] = (epoch, top)
            mirror = Mirror(positions)
            self._filling = mirror
            at_start = [number for _, number in positions]
            for node in await self.link.primaries():
                await self._read_all(node, mirror, at_start)
            self._mirror = mirror
            self.loads += 1
            seconds = time.monotonic() - began
            logger.debug("semantic-llm-cache: %s: read %d vectors in %.2f s", self.link.url, len(mirror), seconds)
        except Exception as error:
            future.set_exception(error)
        except BaseException:
            future.set_exception(CacheBackendError(f"{self.link.url}: closed while the vectors were being read"))
            raise
        else:
            future.set_result(None)
        finally:
            self._filling = None

    async def _read_all(self, node: Any, mirror: Mirror, at_start: list[int]) -> None:
        cursor: Any = 0
        while True:
            cursor, names = await node("SCAN", cursor, "MATCH", self.names.pattern(), "COUNT", lua.AT_ONCE)
            keys = [key for key in map(self.names.key, names) if key is not None]
            for shard, some in self.chunks(keys, READ_CHUNK):
                mirror.apply(await self._changes(shard, some), at_start[shard])
            if not int(cursor):
                return

    async def stats(self) -> dict[str, Any]:
        """Return the size of the copy in this process."""
        mirror = self._mirror
        if mirror is None:
            return {"index_size": 0, "index_bytes": 0, "index_loads": self.loads}
        return {"index_size": len(mirror), "index_bytes": mirror.index.nbytes, "index_loads": self.loads}


def _epoch() -> str:
    return os.urandom(8).hex()


def _keys_as_json(keys: Sequence[bytes]) -> str:
    return json.dumps([key.decode() for key in keys])


def _keys_of(message: Any) -> list[bytes]:
    try:
        fields = message[1]
        return [key.encode() for key in json.loads(fields[fields.index(b"k") + 1])]
    except (ValueError, TypeError, IndexError, AttributeError):
        return []
