"""`PostgresBackend`: entries and vectors in PostgreSQL with pgvector, shared by many machines."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from semantic_llm_cache.arguments import check_count, check_namespace
from semantic_llm_cache.backends.checks import check_whole
from semantic_llm_cache.backends.damage import DamageLog
from semantic_llm_cache.backends.postgres.lease import PostgresLeases
from semantic_llm_cache.backends.postgres.link import Link
from semantic_llm_cache.backends.postgres.listen import PostgresListener
from semantic_llm_cache.backends.postgres.near import Near, Place
from semantic_llm_cache.backends.postgres.rows import Damage, decode, digest, encode, escape, unescape
from semantic_llm_cache.backends.postgres.settings import Settings
from semantic_llm_cache.backends.postgres.upkeep import Upkeep
from semantic_llm_cache.backends.postgres.url import OPTIONS, SCHEMES
from semantic_llm_cache.backends.postgres.vectors import TextVectors, read
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.runtime.yielding import Pace
from semantic_llm_cache.similarity.base import Vector, unit
from semantic_llm_cache.storage.records import Candidate, Text
from semantic_llm_cache.storage.selection import Selection

__all__ = ["PostgresBackend"]

_PAGE = 500
_DELETE_PAGE = 2000
_LONG = 300.0


class PostgresBackend(PostgresLeases):
    """Keeps entries in a PostgreSQL database; every process and machine that names it shares them.

    Args:
        url: ``postgresql://[user:password@]host[:port][,host2...]/database``. The arguments below that are
            numbers, names or yes and no, and libpq's settings (``sslmode``, ``sslrootcert``,
            ``target_session_attrs``, ...), may follow as options; what is given here wins. What is left out
            comes from the environment (``PGHOST``, ``PGUSER``, ...), as with libpq.
        schema: of the database, in which the tables are; created if needed.
        prefix: what the names of the tables begin with, for a schema that holds other tables too.
        pool_min, pool_max: connections that one event loop keeps open when they are idle, and that it has
            at most; a call that finds none free waits. Keep the sum over all processes below the server's
            ``max_connections``, or put pgbouncer in between.
        timeout, connect_timeout: seconds to wait for a reply, for a connection.
        prepared_statements: False behind pgbouncer in transaction mode before version 1.21, or with its
            ``max_prepared_statements = 0``; each statement then takes two round trips instead of one.
        exact_limit: up to how many vectors a near lookup compares one by one. A scope with more is searched
            through an HNSW index, made in the background when the first such lookup comes.
        front_size, front_seconds: bounds of the `Front`, what is kept in this process of entries just read
            by key: how many, and for how long at most a change by another process may go unnoticed. 0 turns it
            off. With more than 2 seconds the backend listens to the server, which reports changes at once; that
            takes one more connection.
        max_size: most entries. Entries beyond it are evicted in the background of writes, so for a moment there may be
            more. From 100 entries on, one percent more than needed is evicted at a time. None is no bound.
        eviction: which entries go first at the bound: ``"lru"``, the least recently used; ``"lfu"``, the least
            often hit; ``"cost"``, those that save the least per byte: time and money of the original call,
            times the hits. Beyond 1,000 entries they are chosen from samples.
        clock: gives the wall time in seconds; default `time.time`.

    Raises:
        ValueError, TypeError: an argument that is not possible.
        CacheBackendError: the package asyncpg is not installed; and from every method, when the server cannot
            be reached or refuses, lacks pgvector 0.8 or later, or holds tables of a newer version. The message
            says what to do, and never holds a password.

    An exact hit, a near hit (after the embedding) and a write each take one round trip. The first process to
    connect creates the tables and brings them up to date. Entry and vector are one row. `clock`, not the server's
    time, decides whether an entry is expired; entries that expired more than a minute ago are removed in batches
    beside writes, or by `sweep`. Hits are counted in a table of their own and touch no entry.

    Example:
        >>> backend = PostgresBackend("postgresql://user:secret@db.example/app?pool_max=4")
        >>> backend.url
        'postgresql://db.example/app'
    """

    vector_seconds = 7200.0
    url_schemes: ClassVar[tuple[str, ...]] = SCHEMES
    url_options: ClassVar[Mapping[str, Callable[[str], Any]]] = OPTIONS

    def __init__(
        self,
        url: str,
        *,
        schema: str | None = None,
        prefix: str | None = None,
        pool_min: int | None = None,
        pool_max: int | None = None,
        timeout: float | None = None,
        connect_timeout: float | None = None,
        prepared_statements: bool | None = None,
        exact_limit: int = 1000,
        front_size: int | None = None,
        front_seconds: float | None = None,
        max_size: int | None = None,
        eviction: str | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        given: dict[str, Any] = {
            "schema": schema, "prefix": prefix, "pool_min": pool_min, "pool_max": pool_max, "timeout": timeout,
            "connect_timeout": connect_timeout, "prepared_statements": prepared_statements, "front_size": front_size,
            "front_seconds": front_seconds, "max_size": max_size, "eviction": eviction,
        }  # fmt: skip
        settings = Settings.read(url, given)
        self.exact_limit = check_whole(exact_limit, "exact_limit", 1)
        self.schema, self.prefix = settings.names.schema, settings.names.prefix
        self.front = settings.front
        self.max_size, self.eviction = settings.max_size, settings.eviction
        self.clock = clock or time.time
        self._url = settings.url
        self._link = Link(settings.connecting, self._url, settings.names)
        self.front.name_of = digest
        self._listener = PostgresListener(self._link, self.front)
        weakref.finalize(self, self._listener.stop).atexit = False
        self._near = Near(self._link, self.exact_limit, self._entry, self._beside)
        self._tasks: set[asyncio.Task[None]] = set()
        self._upkeep = Upkeep(
            self._link,
            lambda: self.clock(),
            self._beside,
            self.max_size,
            self.eviction,
            self._evicted,
        )
        self._texts = TextVectors(self._link, self._beside)
        self._hits = self._misses = 0
        self._damage = DamageLog(self._url)

    @classmethod
    def from_url(cls, url: str) -> PostgresBackend:
        """Return a backend from its URL. Raises ValueError: what is wrong with it."""
        return cls(url)

    @property
    def url(self) -> str:
        """The address without credentials and options."""
        return self._url

    def __repr__(self) -> str:
        return f"PostgresBackend({self._url!r}, schema={self.schema!r})"

    # ------------------------------------------------------------------------------ by key

    async def ping(self) -> bool:
        """Check that the server answers, and that the tables are there. CacheBackendError when it does not answer."""
        await self._link.fetch(lambda schema: "SELECT 1")
        return True

    async def get(self, key: str) -> CacheEntry | None:
        """Return the live entry under `key`, or None."""
        now = self.clock()
        rows = await self._link.fetch(lambda schema: schema.get, digest(key), now)
        entry = self._read(rows[0]) if rows else None
        self._damage.tell()
        self._count(entry is not None)
        if entry is not None:
            self._upkeep.used(digest(key), now)
        return entry

    async def recall(self, key: str, text: Text) -> tuple[CacheEntry | None, Vector | None]:
        """Return the live entry under `key`, else the vector of a text if it is known."""
        now = self.clock()
        row = await self._texts.row(key, text, now)
        if row is None:
            return await self.get(key), None
        stored = None if row[0] is None else self._read(row)
        entry = None if stored is None or stored.is_expired(now) else stored
        self._damage.tell()
        self._count(entry is not None)
        if entry is not None:
            self._upkeep.used(digest(key), now)
            return entry, None
        if stored is not None and Text(stored.namespace, stored.scope, stored.embedder, stored.prompt) == text:
            return None, stored.embedding
        return None, read(row[-1])

    async def keep_vectors(self, vectors: Mapping[Text, Any]) -> None:
        """Keep the vectors of texts; of some 10,000, the oldest go first."""
        now = self.clock()
        await self._texts.keep(list(vectors.items()), now + self.vector_seconds, now)

    async def get_many(self, keys: Sequence[str], *, touch: bool = True) -> list[CacheEntry | None]:
        """Return the live entries under `keys`, in order; with `touch` False without using them."""
        if not touch:
            await self.settle()
        places = [digest(key) for key in keys]
        wanted = list(dict.fromkeys(places))
        found: dict[bytes, Any] = {}
        for start in range(0, len(wanted), _PAGE):
            some = wanted[start : start + _PAGE]
            for row in await self._link.fetch(lambda schema: schema.get_many, some, self.clock()):
                found[row[0]] = row
        entries = [self._entry(found[place]) if place in found else None for place in places]
        self._damage.tell()
        if touch:
            now = self.clock()
            for place, entry in zip(places, entries, strict=True):
                self._count(entry is not None)
                if entry is not None:
                    self._upkeep.used(place, now)
        return entries

    async def set(self, key: str, entry: CacheEntry) -> None:
        """Store `entry`; it is committed, with its vector, when this returns."""
        await self._put([encode(key, entry)], key)

    async def set_many(self, items: Iterable[tuple[str, CacheEntry]]) -> int:
        """Store all items, some hundred in a transaction; return how many."""
        count, pace = 0, Pace()
        rows: dict[bytes, tuple[Any, ...]] = {}
        for key, entry in items:
            row = encode(key, entry)
            rows[row[0]] = row
            count += 1
            if pace.over():
                await pace.rest()
            if len(rows) == _PAGE:
                await self._put(list(rows.values()), None)
                rows = {}
        if rows:
            await self._put(list(rows.values()), None)
        return count

    async def _put(self, rows: list[tuple[Any, ...]], key: str | None) -> None:
        rows.sort(key=_first)  # so that two writers lock the same rows in the same order
        with self._changing(None if key is None else [key]):
            await self._link.write(lambda schema: schema.put, rows)
        self._upkeep.wrote(row[0] for row in rows)

    async def set_vectors(self, items: Sequence[tuple[str, str, Any]], embedder: str) -> list[bool]:
        """Give entries with these prompts vectors of another embedder; return for each whether it was done."""
        rows = []
        for key, prompt, vector in items:
            new = unit(vector)
            rows.append((digest(key), escape(prompt), new.tolist(), len(new), escape(embedder), self.clock()))
        order = sorted(range(len(rows)), key=lambda place: rows[place][0])  # all writers lock in this order
        done = [False] * len(rows)
        with self._changing([key for key, _, _ in items]):
            for start in range(0, len(order), _PAGE):
                some = order[start : start + _PAGE]
                found = await self._link.fetch_each(lambda schema: schema.set_vector, [rows[place] for place in some])
                for place, reply in zip(some, found, strict=True):
                    done[place] = bool(reply)
        return done

    async def delete(self, key: str) -> bool:
        """Remove the entry; True when there was a live one."""
        return bool(await self.delete_many([key]))

    async def delete_stored(self, key: str, created_at: float) -> bool:
        """Remove the entry if it was stored at that time; True when there was a live one."""
        with self._changing():
            rows = await self._link.fetch(
                lambda schema: schema.delete_stored, digest(key), float(created_at), self.clock()
            )
        return bool(rows[0][0])

    async def delete_many(self, keys: Iterable[str]) -> int:
        """Delete each key; return how many live ones there were."""
        wanted = sorted({digest(key) for key in keys})
        count = 0
        with self._changing():
            for start in range(0, len(wanted), _PAGE):
                some = wanted[start : start + _PAGE]
                count += (await self._link.fetch(lambda schema: schema.delete, some, self.clock()))[0][0]
        return count

    # ---------------------------------------------------------------------------- all of them

    async def clear(self, namespace: str | None = None) -> int:
        """Remove all entries, or those of one namespace; return how many were live.

        All go at once (TRUNCATE) when the user may do that and no long statement is under way, else in steps.
        """
        check_namespace(namespace)
        await self._texts.clear(namespace)
        if namespace is None:
            with self._changing():
                count = await self._link.empty(self.clock())
            if count is not None:
                return count
        return await self._delete_where(namespace, Selection(None, None))

    async def invalidate(
        self,
        pattern: str | None = None,
        *,
        tags: Iterable[str] | None = None,
        namespace: str | None = None,
    ) -> int:
        """Delete entries whose prompt holds `pattern` and that carry any of `tags`; return how many."""
        wanted = Selection.of(pattern, tags, namespace)
        return 0 if wanted.empty else await self._delete_where(namespace, wanted)

    async def _delete_where(self, namespace: str | None, wanted: Selection) -> int:
        """Go once through all entries, a step at a time, and delete those that fulfil all conditions."""
        count, after = 0, b""
        needle = None if wanted.needle is None else escape(wanted.needle)
        tags = None if wanted.tags is None else [escape(tag) for tag in wanted.tags]
        space = None if namespace is None else escape(namespace)
        while True:
            with self._changing():
                rows = await self._link.fetch(
                    lambda schema: schema.delete_page,
                    after, self.clock(), space, needle, tags, _DELETE_PAGE, timeout=_LONG,
                )  # fmt: skip
            last, found, live = rows[0]
            count += live
            if found < _DELETE_PAGE:
                return int(count)
            after = last

    async def scan(self, batch_size: int = 500, namespace: str | None = None) -> AsyncIterator[tuple[str, CacheEntry]]:
        """Yield all live entries, in the order of their keys' digests."""
        check_namespace(namespace)
        check_count(batch_size, "batch_size")
        await self.settle()
        after, pace = b"", Pace()
        space = None if namespace is None else escape(namespace)
        with self._damage.together():
            while True:
                rows = await self._link.fetch(
                    lambda schema: schema.page, after, self.clock(), space, batch_size, timeout=_LONG
                )
                for row in rows:
                    entry = self._entry(row)
                    if entry is not None:
                        yield unescape(row[1]), entry
                    if pace.over():
                        await pace.rest()
                if len(rows) < batch_size:
                    return
                after = rows[-1][0]

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
        query = unit(embedding)
        place = Place(scope, embedder, namespace, len(query))
        now = self.clock()
        found = await self._near.find(query, k, threshold, place, now)
        self._damage.tell()
        self._count(bool(found))
        if found:
            self._upkeep.used(digest(found[0].key), now)
        return found

    # ---------------------------------------------------------------------------- the rest

    async def record_hits(self, hits: Mapping[str, int], now: float) -> None:
        """Add to hit counts and set the access times. Times to live stay as they are."""
        counts = sorted((digest(key), count) for key, count in hits.items())
        for start in range(0, len(counts), _DELETE_PAGE):
            some = counts[start : start + _DELETE_PAGE]
            await self._link.change(
                lambda schema: schema.record_hits, [one[0] for one in some], [one[1] for one in some], float(now)
            )

    async def add_counters(self, namespace: str, counters: Mapping[str, float]) -> None:
        """Add to the running counters of a namespace."""
        if counters:
            await self._link.change(
                lambda schema: schema.add_counters,
                escape(namespace), [escape(name) for name in counters], [float(value) for value in counters.values()],
            )  # fmt: skip

    async def get_counters(self) -> dict[str, dict[str, float]]:
        """Return the sums by namespace, of all processes."""
        await self.settle()
        sums: dict[str, dict[str, float]] = {}
        for namespace, name, value in await self._link.fetch(lambda schema: schema.get_counters):
            sums.setdefault(unescape(namespace), {})[unescape(name)] = value
        return sums

    async def get_state(self, name: str) -> bytes | None:
        """Return a named blob, or None."""
        return (await self.get_states([name]))[0]

    async def get_states(self, names: Sequence[str]) -> list[bytes | None]:
        """Return the named blobs, in order; None for those that are not there."""
        wanted = [escape(name) for name in names]
        found = dict(await self._link.fetch(lambda schema: schema.get_states, wanted))
        return [found.get(name) for name in wanted]

    async def set_state(self, name: str, value: bytes | None) -> None:
        """Store a named blob, or remove it with None."""
        if value is None:
            await self._link.fetch(lambda schema: schema.drop_state, escape(name))
        else:
            await self._link.fetch(lambda schema: schema.set_state, escape(name), bytes(value))

    async def list_states(self, prefix: str = "") -> list[str]:
        """Return the names of the blobs that begin with `prefix`."""
        rows = await self._link.fetch(lambda schema: schema.list_states, escape(prefix))
        return sorted(unescape(row[0]) for row in rows)

    async def sweep(self) -> int:
        """Remove what has been expired for a minute, in batches; return how many rows went.

        Writes start this by themselves, once a minute at most. A minute is left for clocks that differ.
        """
        return await self._upkeep.sweep()

    async def trim(self) -> int:
        """Evict what `max_size` does not allow, unless another process is doing it; return how many entries went.

        Writes start this by themselves.
        """
        return await self._upkeep.trim()

    @property
    def evictions(self) -> int:
        """How many entries this instance has evicted to keep within its bound."""
        return self._upkeep.evictions

    async def get_stats(self) -> dict[str, Any]:
        """Return size and bytes (tables and indexes); hits, misses, evictions and expired of this process."""
        size = await self._link.fetch(lambda schema: schema.count, self.clock(), timeout=_LONG)
        used = await self._link.fetch(lambda schema: schema.bytes, self._link.names.entries)
        return {
            "backend": "postgres",
            "url": self._url,
            "schema": self.schema,
            "size": size[0][0],
            "bytes": used[0][0],
            **self.tally(self._hits, self._misses),
            "evictions": self.evictions,
            "expired": self._upkeep.expired,
            "max_size": self.max_size,
            "eviction": self.eviction,
            "indexed_dimensions": sorted(self._link.graphs),
        }

    async def close(self) -> None:
        """Close the connections of all event loops. The next use makes new ones."""
        here = asyncio.get_running_loop()
        tasks = [task for task in list(self._tasks) if task.get_loop() is here]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._listener.close()
        await self._link.pools.close()
        self._damage.tell(at_once=True)

    # -------------------------------------------------------------------------------- helpers

    def _evicted(self, places: Iterable[bytes]) -> None:
        if self.front is not None:
            self.front.told(places)

    def _entry(self, row: Any) -> CacheEntry | None:
        """Return the entry of a row that has something before its columns."""
        return self._read(row[1:])

    def _read(self, row: Any) -> CacheEntry | None:
        try:
            return decode(row)
        except Damage as damage:
            key = unescape(row[0])
            self._damage.note(key, key, str(damage))
            return None

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _count(self, hit: bool) -> None:
        if hit:
            self._hits += 1
        else:
            self._misses += 1


def _first(row: tuple[Any, ...]) -> bytes:
    place: bytes = row[0]
    return place
