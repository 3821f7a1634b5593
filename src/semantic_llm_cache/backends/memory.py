"""`MemoryBackend`: entries in this process, bounded by number and bytes, with an exact vector index."""

from __future__ import annotations

import asyncio
import weakref
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from sys import getsizeof
from typing import Any

from semantic_llm_cache.backends._expiry import ExpiryQueue
from semantic_llm_cache.backends._worker import Worker
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.index import VectorIndex
from semantic_llm_cache.index.locks import fork_safe_lock
from semantic_llm_cache.serialization import Encoded, freeze, thaw
from semantic_llm_cache.similarity.base import Vector, unit
from semantic_llm_cache.storage import Candidate, StorageBackend

__all__ = ["MemoryBackend"]

# A scan of this many numbers takes some 2 ms; a larger one moves to a thread.
_INLINE_NUMBERS = 20_000 * 384
# Entries handled between two looks at the event loop, and expired ones dropped per `set`.
_CHUNK = 128
_SWEEP = 8


class _Stored(CacheEntry):
    """An entry as kept: response frozen, vector in the index under `id` (0 when it has none)."""

    __slots__ = ("expires_at", "id", "key", "size")

    expires_at: float | None
    id: int
    key: str
    size: int


class MemoryBackend(StorageBackend):
    """Keeps entries in memory; the least recently used go first when a bound is reached.

    Args:
        max_size: most entries; None is no bound.
        max_bytes: most bytes of keys, prompts, answers and vectors, as Python holds them; None is no
            bound. An entry larger than that by itself is not kept.
        clock: gives the wall time in seconds; default `time.time`.

    Raises:
        ValueError, TypeError: a bound that is not a whole number of at least 1.

    Every method but searches over some 20,000 vectors and more answers in the calling thread, without
    waiting; those run in a thread of their own. Expired entries go when touched, and a few with every
    `set`. Safe under threads and event loops; a forked child has a copy of its own.

    Example:
        >>> backend = MemoryBackend(max_size=10_000, max_bytes=200_000_000)
    """

    in_process = True

    def __init__(
        self,
        max_size: int | None = None,
        *,
        max_bytes: int | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.max_size = _check_bound(max_size, "max_size")
        self.max_bytes = _check_bound(max_bytes, "max_bytes")
        if clock is not None:
            self.clock = clock
        self._lock = fork_safe_lock(outer=True)
        self._entries: OrderedDict[str, _Stored] = OrderedDict()
        self._index = VectorIndex()
        self._keys: dict[int, str] = {}  # vector id -> key
        self._next_id = 1
        self._expiry = ExpiryQueue(_expiry_of(self._entries))
        self._bytes = 0
        self._hits = self._misses = self._evictions = self._expired = 0
        self._counters: dict[str, dict[str, float]] = {}
        self._states: dict[str, bytes] = {}
        self._worker: Worker[None] = Worker("search", lambda: None, lambda resource: None)
        weakref.finalize(self, Worker.dismiss, self._worker).atexit = False
        # `peek` is on the path of every exact hit: one C call when nothing can be evicted.
        bounded = max_size is not None or max_bytes is not None
        peek = _touching(self._entries) if bounded else self._entries.get
        self.peek = peek  # type: ignore[method-assign, assignment]

    @property
    def url(self) -> str:
        """``memory://``."""
        return "memory://"

    def __repr__(self) -> str:
        return f"MemoryBackend(max_size={self.max_size}, max_bytes={self.max_bytes})"

    # ------------------------------------------------------------------------------ by key

    async def get(self, key: str) -> CacheEntry | None:
        """Return a copy of the live entry under `key`, or None."""
        stored = self._live(key)
        if stored is None:
            self._misses += 1
            return None
        self._hits += 1
        return self._copy(stored)

    async def set(self, key: str, entry: CacheEntry) -> None:
        """Store `entry`; the least recently used others may go. ValueError for a useless vector."""
        self._store(key, entry)

    async def delete(self, key: str) -> bool:
        """Remove the entry; True when there was a live one."""
        with self._lock:
            stored = self._entries.get(key)
            if stored is None:
                return False
            live = not self._is_over(stored, self.clock())
            self._drop(key, stored)
            return live

    async def set_many(self, items: Iterable[tuple[str, CacheEntry]]) -> int:
        """Store all items; return how many. Lets the event loop run in between."""
        count = 0
        for key, entry in items:
            self._store(key, entry)
            count += 1
            if count % _CHUNK == 0:
                await asyncio.sleep(0)
        return count

    async def clear(self, namespace: str | None = None) -> int:
        """Remove all entries, or those of one namespace; return how many live ones there were."""
        count = 0
        async for chunk in self._chunks(namespace):
            with self._lock:
                for stored in chunk:
                    if self._entries.get(stored.key) is stored:
                        count += not self._is_over(stored, self.clock())
                        self._drop(stored.key, stored)
        return count

    async def iterate(self, namespace: str | None = None) -> list[tuple[str, CacheEntry]]:
        """Return copies of all live entries, oldest first."""
        found = [item async for item in self.scan(namespace=namespace)]
        found.sort(key=_age)
        return found

    async def scan(
        self, batch_size: int = 500, namespace: str | None = None
    ) -> AsyncIterator[tuple[str, CacheEntry]]:
        """Yield copies of all live entries, letting the event loop run in between."""
        async for chunk in self._chunks(namespace):
            for stored in chunk:
                if self._entries.get(stored.key) is stored and not self._is_over(stored, self.clock()):
                    yield stored.key, self._copy(stored)

    async def _chunks(self, namespace: str | None) -> AsyncIterator[list[_Stored]]:
        # One C call: no other thread can change it meanwhile. Not `items()`: that many new pairs would
        # set the garbage collector to work.
        entries = list(self._entries.values())
        for start in range(0, len(entries), _CHUNK):
            if start:
                await asyncio.sleep(0)
            chunk = entries[start : start + _CHUNK]
            yield [stored for stored in chunk if namespace is None or stored.namespace == namespace]

    # --------------------------------------------------------------------------- by vector

    async def find_similar(
        self,
        embedding: Vector | Sequence[float],
        threshold: float,
        namespace: str | None = None,
        *,
        scope: str | None = None,
    ) -> tuple[str, CacheEntry, float] | None:
        """Return the nearest live entry at or above `threshold`, with its similarity."""
        found = await self.find_candidates(embedding, threshold, k=1, namespace=namespace, scope=scope)
        return (found[0].key, found[0].entry, found[0].similarity) if found else None

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
        vector = unit(embedding)
        index, limits = self._index, {"namespace": namespace, "scope": scope, "embedder": embedder}
        rows = index.rows(vector.shape[0], **limits)
        far = rows * vector.shape[0] > _INLINE_NUMBERS
        wanted = k
        while rows:
            if far:
                pairs = await self._worker.run(_search, index, vector, wanted, threshold, limits)
            else:
                pairs = index.search(vector, wanted, threshold, **limits)
            found, gone = self._candidates(pairs)
            if not gone or len(found) >= k or len(pairs) < wanted:
                break
            wanted *= 4  # expired ones took the places of live ones that are farther
        else:
            found = []
        if found:
            self._hits += 1
        else:
            self._misses += 1
        return found[:k]

    def _candidates(self, pairs: list[tuple[int, float]]) -> tuple[list[Candidate], int]:
        found: list[Candidate] = []
        for id, cosine in pairs:
            key = self._keys.get(id)
            stored = None if key is None else self._live(key)
            if stored is not None and stored.id == id:
                assert key is not None
                found.append(Candidate(key, self._copy(stored), max(0.0, cosine)))
        return found, len(pairs) - len(found)

    # ---------------------------------------------------------------------------- the rest

    async def record_hits(self, hits: Mapping[str, int], now: float) -> None:
        """Add to hit counts and set the access times."""
        for key, count in list(hits.items()):
            stored = self._entries.get(key)
            if stored is not None:
                stored.hit_count += count
                stored.last_accessed = now

    async def add_counters(self, namespace: str, counters: Mapping[str, float]) -> None:
        """Add to the running counters of a namespace; they live as long as this object."""
        with self._lock:
            sums = self._counters.setdefault(namespace, {})
            for name, value in counters.items():
                sums[name] = sums.get(name, 0) + value

    async def get_counters(self) -> dict[str, dict[str, float]]:
        """Return the sums by namespace."""
        with self._lock:
            return {namespace: dict(sums) for namespace, sums in self._counters.items()}

    async def get_state(self, name: str) -> bytes | None:
        """Return a named blob, or None."""
        return self._states.get(name)

    async def set_state(self, name: str, value: bytes | None) -> None:
        """Store a named blob, or remove it with None."""
        if value is None:
            self._states.pop(name, None)
        else:
            self._states[name] = bytes(value)

    @property
    def evictions(self) -> int:
        """How many entries have been evicted to keep within the bounds."""
        return self._evictions

    async def get_stats(self) -> dict[str, Any]:
        """Return size, hits, misses, evictions, expired, bytes (as bounded), index_bytes (as allocated)."""
        now, size = self.clock(), 0
        async for chunk in self._chunks(None):
            size += sum(not self._is_over(stored, now) for stored in chunk)
        return {
            "backend": "memory",
            "size": size,
            "hits": self._hits,
            "misses": self._misses,
            "evictions": self._evictions,
            "expired": self._expired,
            "bytes": self._bytes,
            "index_bytes": self._index.nbytes,
            "max_size": self.max_size,
            "max_bytes": self.max_bytes,
        }

    async def close(self) -> None:
        """End the search thread, if there is one. The entries stay."""
        await self._worker.close()

    # ------------------------------------------------------------------------------ inside

    @staticmethod
    def _is_over(stored: _Stored, now: float) -> bool:
        return stored.expires_at is not None and now >= stored.expires_at

    def _live(self, key: str) -> _Stored | None:
        stored = self.peek(key)
        if stored is None:
            return None
        assert type(stored) is _Stored
        if self._is_over(stored, self.clock()):
            with self._lock:
                if self._entries.get(key) is stored:
                    self._drop(key, stored)
                    self._expired += 1
            return None
        return stored

    def _copy(self, stored: _Stored) -> CacheEntry:
        return CacheEntry(
            stored.prompt,
            thaw(stored.response),
            self._index.vector(stored.id) if stored.id else None,
            stored.created_at,
            stored.ttl,
            stored.namespace,
            stored.hit_count,
            stored.input_tokens,
            stored.output_tokens,
            stored.last_accessed,
            stored.scope,
            stored.embedder,
            stored.kind,
            stored.tags,
            stored.aliases,
            stored.duration_ms,
            stored.cost_usd,
            stored.schema_version,
        )

    def _store(self, key: str, entry: CacheEntry) -> None:
        vector = None if entry.embedding is None else unit(entry.embedding)
        stored = _Stored(
            entry.prompt,
            freeze(entry.response),
            None,
            entry.created_at,
            entry.ttl,
            entry.namespace,
            entry.hit_count,
            entry.input_tokens,
            entry.output_tokens,
            entry.last_accessed,
            entry.scope,
            entry.embedder,
            entry.kind,
            tuple(entry.tags),
            tuple(entry.aliases),
            entry.duration_ms,
            entry.cost_usd,
            entry.schema_version,
        )
        stored.key = key
        stored.expires_at = None if entry.ttl is None else entry.created_at + entry.ttl
        stored.size = _size(key, stored) + (0 if vector is None else vector.nbytes)
        with self._lock:
            old = self._entries.get(key)
            if old is not None:
                self._drop(key, old)
            self._sweep(self.clock())
            if self.max_bytes is not None and stored.size > self.max_bytes:
                self._evictions += 1
                return
            self._make_room(stored.size)
            stored.id = 0
            if vector is not None:
                stored.id = self._next_id
                self._next_id += 1
                self._index.add(
                    stored.id, vector, namespace=entry.namespace, scope=entry.scope, embedder=entry.embedder
                )
                self._keys[stored.id] = key
            self._entries[key] = stored
            self._bytes += stored.size
            if stored.expires_at is not None:
                self._expiry.push(stored.expires_at, key, len(self._entries))

    def _drop(self, key: str, stored: _Stored) -> None:
        del self._entries[key]
        self._bytes -= stored.size
        if stored.id:
            self._index.remove(stored.id)
            del self._keys[stored.id]

    def _sweep(self, now: float) -> None:
        for _ in range(_SWEEP):
            key = self._expiry.pop(now)
            if key is None:
                return
            self._drop(key, self._entries[key])
            self._expired += 1

    def _make_room(self, size: int) -> None:
        while self._entries and (
            (self.max_size is not None and len(self._entries) >= self.max_size)
            or (self.max_bytes is not None and self._bytes + size > self.max_bytes)
        ):
            key = next(iter(self._entries))
            self._drop(key, self._entries[key])
            self._evictions += 1


def _touching(entries: OrderedDict[str, _Stored]) -> Callable[[str], CacheEntry | None]:
    get, move_to_end = entries.get, entries.move_to_end

    def peek(key: str) -> CacheEntry | None:
        stored = get(key)
        if stored is not None:
            try:  # `suppress` would cost three times the rest of this function
                move_to_end(key)
            except KeyError:  # evicted by another thread just now
                pass
        return stored

    return peek


def _expiry_of(entries: Mapping[str, _Stored]) -> Callable[[str], float | None]:
    def expiry_of(key: str) -> float | None:
        stored = entries.get(key)
        return None if stored is None else stored.expires_at

    return expiry_of


def _search(
    _: None, index: VectorIndex, vector: Vector, k: int, threshold: float, limits: dict[str, str | None]
) -> list[tuple[int, float]]:
    return index.search(vector, k, threshold, **limits)


def _age(item: tuple[str, CacheEntry]) -> float:
    return item[1].created_at


def _size(key: str, stored: _Stored) -> int:
    return getsizeof(key) + getsizeof(stored.prompt) + _payload(stored.response)


def _payload(value: Any) -> int:
    if type(value) is Encoded:
        return getsizeof(value.text)
    if type(value) is tuple:
        return getsizeof(value) + sum(map(_payload, value))
    return getsizeof(value)


def _check_bound(value: int | None, name: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}={value!r} must be a whole number, or None for no bound")
    if value < 1:
        raise ValueError(f"{name}={value!r} must be at least 1, or None for no bound")
    return value
