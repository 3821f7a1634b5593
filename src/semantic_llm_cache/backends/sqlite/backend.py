"""`SQLiteBackend`: entries and vectors in one file, shared by several processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from semantic_llm_cache.arguments import (
    check_count,
    check_namespace,
    check_number,
    check_path,
    shown,
)
from semantic_llm_cache.backends.eviction import check_policy
from semantic_llm_cache.backends.sqlite import lease as leases
from semantic_llm_cache.backends.sqlite import vectors as texts
from semantic_llm_cache.backends.sqlite.evict import Evictor
from semantic_llm_cache.backends.sqlite.listen import SQLiteListener
from semantic_llm_cache.backends.sqlite.read import Reader, Step
from semantic_llm_cache.backends.sqlite.rows import encode, pack_vector
from semantic_llm_cache.backends.sqlite.schema import close, must_reconnect, open_reader, open_writer, translate
from semantic_llm_cache.backends.sqlite.search import Searcher, Wanted
from semantic_llm_cache.backends.sqlite.watch import Connection, Watch
from semantic_llm_cache.backends.sqlite.write import Writer
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.exceptions import CacheBackendError
from semantic_llm_cache.runtime.worker import BatchWorker, Worker
from semantic_llm_cache.runtime.yielding import Pace
from semantic_llm_cache.similarity.base import Vector, unit
from semantic_llm_cache.storage.contract import Candidate, CandidateBackend, Held, Lease, Text
from semantic_llm_cache.storage.front import Front
from semantic_llm_cache.storage.selection import Selection

__all__ = ["SQLiteBackend"]

_CHUNK = 200  # entries written in one job of `set_many`
_PAGE = 500
_TOUCHED = 10_000


class SQLiteBackend(CandidateBackend):
    """Keeps entries in one SQLite file, with a vector index in this process.

    Args:
        db_path: the file; created when missing. Its folder must exist.
        clock: gives the wall time in seconds; default `time.time`.
        max_size: most entries. None is no bound.
        max_bytes: most bytes in use in the file, beyond what an empty one has; deleted entries free pages of 4 KB,
            not bytes. None is no bound. The files beside it come on top: see docs/storage.md.
        eviction: which entries go first at a bound: ``"lru"``, the least recently used; ``"lfu"``, the least
            often hit; ``"cost"``, those that save the least per byte: time and money of the original call,
            times the hits. Beyond 1,000 entries, the last two choose from a sample.
        busy_timeout: seconds to wait for another process that is writing.
        front_size, front_seconds: entries just read by key are kept in this process and served from there by the
            engine: how many, and for how long. Changes by this process are noticed at once, changes by *another*
            one within front_seconds. With more than 2 seconds the backend polls the file and notices them within
            a quarter of a second. 0 turns it off.

    Raises:
        ValueError, TypeError: a path that names no file, a bound below 1.
        CacheBackendError: from every method, when the file cannot be opened, read or written; the
            message names the file and what to do.

    A `set` that has returned survives the death of the process; a power cut may lose the last commits,
    never the file (WAL, ``synchronous=NORMAL``). Writes that wait are committed together. One thread
    writes, one reads by key, one searches: they start when needed, end with `close` or the process, and
    a process may end without `close`. Several processes on one file see each other's entries at once, by
    key and by meaning. Expired entries are removed a few at a time behind later writes. With a bound, reading an
    entry counts as its use.

    From some thousand vectors on, ``<db_path>-index`` keeps them ready for the next start. It is written in the
    background, checked against the database when opened, and created again when it is missing or damaged: it
    can be deleted at any time.

    Example:
        >>> backend = SQLiteBackend("cache.db", max_size=100_000)
    """

    first_search_seconds = 30.0
    vector_seconds = 7200.0
    gives_leases = True
    one_step = True
    url_schemes: ClassVar[tuple[str, ...]] = ("sqlite",)
    url_options: ClassVar[Mapping[str, Callable[[str], Any]]] = {
        "max_size": int,
        "max_bytes": int,
        "eviction": str,
        "busy_timeout": float,
        "front_size": int,
        "front_seconds": float,
    }

    def __init__(
        self,
        db_path: str | os.PathLike[str] = "semantic_cache.db",
        *,
        clock: Callable[[], float] | None = None,
        max_size: int | None = None,
        max_bytes: int | None = None,
        eviction: str = "lru",
        busy_timeout: float = 5.0,
        front_size: int = 1024,
        front_seconds: float = 1.0,
    ) -> None:
        try:
            path = check_path(db_path, "db_path")
        except ValueError as error:
            raise ValueError(f"{error}: give one, such as 'cache.db', or use MemoryBackend()") from None
        if "://" in path:  # not shown: it may hold a password
            raise ValueError(
                "db_path= is the path of a file, and this is a URL: give it as backend=, or to resolve_backend()"
            )
        if path.startswith(":memory:"):
            raise ValueError(f"db_path={db_path!r} names no file: give one, such as 'cache.db', or use MemoryBackend()")
        for name, bound in (("max_size", max_size), ("max_bytes", max_bytes)):
            if bound is not None and (isinstance(bound, bool) or not isinstance(bound, int) or bound < 1):
                raise ValueError(f"{name}={shown(bound)} must be a whole number of at least 1, or None")
        busy_timeout = check_number(busy_timeout, "busy_timeout", "seconds, zero or more", least=0)
        self.db_path = path
        self.max_size = max_size
        self.max_bytes = max_bytes
        self.eviction = eviction
        self._path = path = os.path.abspath(path)  # a later change of directory changes nothing
        self._now = now = _Clock(clock or time.time)
        self.front: Front = Front(front_size, front_seconds)
        self._reader = Reader(path)
        self._searcher = Searcher(path)
        evictor = Evictor(check_policy(eviction), max_size, max_bytes)
        self._bounded = evictor.bounded
        self._writer = writer = Writer(now, evictor)
        self._hits = self._misses = 0

        # None of these may refer to `self`: the threads of a forgotten backend must end.
        def to_caller(error: Exception) -> Exception:
            return translate(error, path)

        watch = Watch(path, self.front.drop)

        def write() -> Connection:
            connection = open_writer(path, busy_timeout)
            watch.opens(connection)
            try:
                evictor.opened(connection)
            except BaseException:
                connection.close()
                raise
            return connection

        self._writing: BatchWorker[Connection] = BatchWorker(
            "write", write, close, writer.batch, writer.idle, to_caller
        )
        self._reading = _reading_worker("read", watch, busy_timeout)
        self._searching = _reading_worker("search", watch, busy_timeout)
        self._writing.useless = watch.replaced
        self._workers = [self._writing, self._reading, self._searching]
        self._listener = SQLiteListener(self.url, self.front, self._reading)
        weakref.finalize(self, self._listener.stop).atexit = False
        weakref.finalize(self, _dismiss, self._workers).atexit = False

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        # One step would bypass methods of the subclass, or of a class that it is mixed with.
        if any(getattr(cls, name) is not getattr(SQLiteBackend, name) for name in ("get", "recall", "find_candidates")):
            cls.one_step = False

    @classmethod
    def from_url(cls, url: str) -> SQLiteBackend:
        """Return a backend from its URL. Raises ValueError: an unknown option or an unreadable value."""
        from urllib.parse import unquote

        from semantic_llm_cache.storage.urls import options_of, split

        parts = split(url)
        if parts.netloc:
            raise ValueError(
                "sqlite://... has a host: write three slashes before a relative path, sqlite:///cache.db, and four "
                "before an absolute one"
            )
        path = unquote(parts.path[1:])
        if not path or path == ":memory:":
            raise ValueError("this sqlite:// URL names no file: write sqlite:///cache.db, or memory:// for no file")
        return cls(path, **options_of(url, cls.url_options))

    @property
    def clock(self) -> Callable[[], float]:
        """Wall time in seconds."""
        return self._now.function

    @clock.setter
    def clock(self, clock: Callable[[], float]) -> None:
        self._now.function = clock

    @property
    def url(self) -> str:
        """``sqlite:///`` and the path as given."""
        return f"sqlite:///{self.db_path}"

    def __repr__(self) -> str:
        return f"SQLiteBackend({self.db_path!r}, max_size={self.max_size})"

    # ------------------------------------------------------------------------------ by key

    async def get(self, key: str) -> CacheEntry | None:
        """Return the live entry under `key`, or None."""
        now = self._now()
        entry = await self._reading.run(self._reader.get, key, now)
        self._count(entry is not None)
        if entry is not None:
            self._touch(key, now)
        return entry

    async def recall(self, key: str, text: Text) -> tuple[CacheEntry | None, Vector | None]:
        """Return the live entry under `key`, else the vector of a text if it is known."""
        now = self._now()
        entry, vector = await self._reading.run(self._reader.recall, key, text, now)
        self._count(entry is not None)
        if entry is not None:
            self._touch(key, now)
        return entry, vector

    async def keep_vectors(self, vectors: Mapping[Text, Any]) -> None:
        """Keep the vectors of texts; of some 10,000, the oldest go first."""
        until = self._now() + self.vector_seconds
        rows = [(text.digest, text.namespace, until, pack_vector(vector)) for text, vector in vectors.items()]
        for start in range(0, len(rows), _CHUNK):
            await self._writing.run(texts.keep, rows[start : start + _CHUNK])

    async def get_many(self, keys: Sequence[str], *, touch: bool = True) -> list[CacheEntry | None]:
        """Return the live entries under `keys`, in order; with `touch` False without using them."""
        if not touch:
            await self.settle()
        now = self._now()
        entries = await self._reading.run(self._reader.get_many, list(keys), now)
        if touch:
            for key, entry in zip(keys, entries, strict=True):
                self._count(entry is not None)
                if entry is not None:
                    self._touch(key, now)
        return entries

    async def set(self, key: str, entry: CacheEntry) -> None:
        """Store `entry`; it is committed, with its vector, when this returns."""
        try:
            await self._writing.run(self._writer.set, encode(key, entry))
        finally:
            self.front.drop(key)

    async def set_many(self, items: Iterable[tuple[str, CacheEntry]]) -> int:
        """Store all items, some hundred in a transaction; return how many."""
        count, pace = 0, Pace()
        rows: list[tuple[Any, ...]] = []
        for key, entry in items:
            rows.append(encode(key, entry))
            if pace.over():
                await pace.rest()
            if len(rows) == _CHUNK:
                await self._set_rows(rows)
                count += len(rows)
                rows = []
        if rows:
            await self._set_rows(rows)
        return count + len(rows)

    async def _set_rows(self, rows: list[tuple[Any, ...]]) -> None:
        try:
            await self._writing.run(self._writer.set_many, rows)
        finally:
            self.front.drop()

    async def set_vectors(self, items: Sequence[tuple[str, str, Any]], embedder: str) -> list[bool]:
        """Give entries with these prompts vectors of another embedder; return for each whether it was done."""
        packed = [(key, prompt, pack_vector(vector)) for key, prompt, vector in items]
        done: list[bool] = []
        try:
            for start in range(0, len(packed), _CHUNK):
                some = packed[start : start + _CHUNK]
                done += await self._writing.run(self._writer.set_vectors, some, embedder, self._now())
        finally:
            for key, _, _ in packed:
                self.front.drop(key)
        return done

    async def delete(self, key: str) -> bool:
        """Remove the entry; True when there was a live one."""
        try:
            return bool(await self._writing.run(self._writer.delete, (key,), self._now()))
        finally:
            self.front.drop(key)

    async def delete_stored(self, key: str, created_at: float) -> bool:
        """Remove the entry if it was stored at that time; True when there was a live one."""
        try:
            return bool(await self._writing.run(self._writer.delete_stored, key, created_at, self._now()))
        finally:
            self.front.drop(key)

    async def delete_many(self, keys: Iterable[str]) -> int:
        """Delete each key; return how many live ones there were."""
        wanted = list(dict.fromkeys(keys))
        count = 0
        try:
            for start in range(0, len(wanted), _PAGE):
                count += await self._writing.run(self._writer.delete, wanted[start : start + _PAGE], self._now())
        finally:
            self.front.drop()
        return count

    async def clear(self, namespace: str | None = None) -> int:
        """Remove the entries there are now, or those of one namespace; return how many were live.

        Works in steps, so that other writes do not wait. If the process is killed meanwhile, the rest remains.
        """
        check_namespace(namespace)
        count, after = 0, 0
        until = await self._reading.run(self._reader.last_id)
        while True:
            after, ids = await self._reading.run(self._reader.ids, Step(after, until, namespace, _PAGE))
            if ids:
                count += await self._delete_ids(ids)
            if not after:
                await self._writing.run(texts.clear, namespace)
                return count

    async def _delete_ids(self, ids: Sequence[int]) -> int:
        try:
            return int(await self._writing.run(self._writer.delete_ids, ids, self._now()))
        finally:
            self.front.drop()

    async def scan(self, batch_size: int = 500, namespace: str | None = None) -> AsyncIterator[tuple[str, CacheEntry]]:
        """Yield all live entries there are now, in the order in which they were written."""
        check_namespace(namespace)
        check_count(batch_size, "batch_size")
        await self.settle()
        after, until = 0, await self._reading.run(self._reader.last_id)
        with self._reader.damage.together():
            while True:
                after, entries = await self._reading.run(
                    self._reader.page, Step(after, until, namespace, batch_size), self._now()
                )
                for item in entries:
                    yield item
                if not after:
                    return

    async def invalidate(
        self,
        pattern: str | None = None,
        *,
        tags: Iterable[str] | None = None,
        namespace: str | None = None,
    ) -> int:
        """Delete entries whose prompt holds `pattern` and that carry any of `tags`; return how many."""
        wanted = Selection.of(pattern, tags, namespace)
        if wanted.empty:
            return 0
        count, after = 0, 0
        until = await self._reading.run(self._reader.last_id)
        while True:
            after, ids = await self._reading.run(self._reader.matching, Step(after, until, namespace, _PAGE), wanted)
            if ids:
                count += await self._delete_ids(ids)
            if not after:
                return count

    # --------------------------------------------------------------------------- by vector

    async def find_candidates(
        self,
        embedding: Vector | Sequence[float],
        threshold: float,
        *,
        k: int = 8,
        namespace: str | None = None,
        scope: str | None = None,
        embedder: str | None = None,
    ) -> list[Candidate]:
        """Return up to `k` live entries at or above `threshold`, nearest first."""
        limits = {"namespace": namespace, "scope": scope, "embedder": embedder}
        now = self._now()
        wanted = Wanted(unit(embedding), k, threshold, limits, now)
        found = await self._searching.run(self._searcher.candidates, wanted)
        self._count(bool(found))
        if found:
            self._touch(found[0].key, now)
        return found

    async def get_or_find(
        self, key: str, embedding: Any, threshold: float, *, k: int, scope: str, embedder: str
    ) -> tuple[CacheEntry | None, list[Candidate]]:
        """Return the live entry under `key`, else up to `k` near ones: see `storage.one_step`."""
        now = self._now()
        wanted = Wanted(unit(embedding), k, threshold, {"namespace": None, "scope": scope, "embedder": embedder}, now)
        entry, found = await self._searching.run(self._searcher.get_or_candidates, key, wanted)
        self._count(entry is not None)
        if entry is not None:
            self._touch(key, now)
        else:
            self._count(bool(found))
            if found:
                self._touch(found[0].key, now)
        return entry, found

    # ---------------------------------------------------------------------------- the rest

    async def record_hits(self, hits: Mapping[str, int], now: float) -> None:
        """Add to hit counts and set the access times."""
        if hits:
            await self._writing.run(self._writer.record_hits, dict(hits), now)

    async def add_counters(self, namespace: str, counters: Mapping[str, float]) -> None:
        """Add to the running counters of a namespace."""
        rows = [(namespace, name, float(value)) for name, value in counters.items()]
        if rows:
            await self._writing.run(self._writer.add_counters, rows)

    async def get_counters(self) -> dict[str, dict[str, float]]:
        """Return the sums by namespace, of all processes."""
        await self.settle()
        return await self._reading.run(self._reader.counters)

    async def get_state(self, name: str) -> bytes | None:
        """Return a named blob, or None."""
        return (await self.get_states([name]))[0]

    async def get_states(self, names: Sequence[str]) -> list[bytes | None]:
        """Return the named blobs, in order; None for those that are not there."""
        return await self._reading.run(self._reader.states, list(names))

    async def set_state(self, name: str, value: bytes | None) -> None:
        """Store a named blob, or remove it with None."""
        await self._writing.run(self._writer.set_state, name, None if value is None else bytes(value))

    async def list_states(self, prefix: str = "") -> list[str]:
        """Return the names of the blobs that begin with `prefix`."""
        return await self._reading.run(self._reader.state_names, prefix)

    # ------------------------------------------------------------------------------ leases

    async def acquire_lease(self, key: str, token: str, seconds: float) -> Lease | Held:
        """Take the lease on `key` if it is free."""
        return await self._writing.run(leases.acquire, key, token, seconds, self._now())

    async def renew_lease(self, lease: Lease, seconds: float) -> bool:
        """Have the lease run from now; False when another one was given since."""
        return await self._writing.run(leases.renew, lease, seconds)

    async def release_lease(self, lease: Lease) -> None:
        """Give the lease back."""
        await self._writing.run(leases.release, lease)

    async def wait_for_lease(self, key: str, seconds: float) -> None:
        """Look at the lease until it is given back or has run out; a quarter of a second apart at most."""
        end = time.monotonic() + seconds
        pause, first = leases.FIRST_LOOK, None
        while True:
            held = await self._reading.run(leases.holder, key)
            left = end - time.monotonic()
            if held is None or left <= 0 or (first is not None and held.token != first):
                return
            first = held.token
            await asyncio.sleep(min(pause, left))
            pause = min(1.5 * pause, leases.LAST_LOOK)

    async def set_leased(self, lease: Lease, entry: CacheEntry) -> bool:
        """Store the entry and give the lease back; False when it is no longer the last one given."""
        try:
            return bool(await self._writing.run(leases.store, lease, encode(lease.key, entry)))
        finally:
            self.front.drop(lease.key)

    @property
    def evictions(self) -> int:
        """How many entries this instance has evicted to keep within its bounds."""
        return self._writer.evictions

    async def get_stats(self) -> dict[str, Any]:
        """Return size and bytes of the file; hits, misses, evictions, expired and index of this process."""
        stored = await self._reading.run(self._reader.stats, self._now())
        return {
            "backend": "sqlite",
            "path": self.db_path,
            **stored,
            **self.tally(self._hits, self._misses),
            "evictions": self._writer.evictions,
            "expired": self._writer.expired,
            "index_size": len(self._searcher.index),
            "index_bytes": self._searcher.index.nbytes,
            "indexed": self._searcher.index.indexed,
            "max_size": self.max_size,
            "max_bytes": self.max_bytes,
            "eviction": self.eviction,
        }

    async def close(self) -> None:
        """Finish what is queued, close the file, end the threads. The next use opens it again."""
        await self._listener.close()
        if len(self._searcher.index):
            with contextlib.suppress(CacheBackendError):  # the file, or its folder, is gone
                await self._searching.run(self._searcher.finish)
        # One after the other: of connections that close at once, none may see itself as the last one, which empties
        # the WAL. Where nothing was written, there is no writer to be the last.
        for worker in (self._reading, self._searching, self._writing):
            await worker.close()
        self._reader.damage.tell(at_once=True)
        self._searcher.damage.tell(at_once=True)

    def _count(self, hit: bool) -> None:
        if hit:
            self._hits += 1
        else:
            self._misses += 1

    def _touch(self, key: str, now: float) -> None:
        if self._bounded and len(self._writer.touched) < _TOUCHED:
            self._writer.touched[key] = now


class _Clock:
    """The wall time, from a function that the engine may replace."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[[], float]) -> None:
        self.function = function

    def __call__(self) -> float:
        return self.function()


def _reading_worker(name: str, watch: Watch, timeout: float) -> Worker[Connection]:
    path = watch.path

    def acquire() -> Connection:
        connection, worker.transient = open_reader(path, timeout)
        watch.opens(connection)
        return connection

    def to_caller(error: Exception) -> Exception:
        if must_reconnect(error):
            worker.let_go()
        return translate(error, path)

    worker: Worker[Connection] = Worker(name, acquire, close, to_caller)
    worker.useless = watch.replaced
    return worker


def _dismiss(workers: list[Worker[Any]]) -> None:
    for worker in workers:
        worker.dismiss()
