"""`MemoryBackend`: entries in this process, bounded by number and bytes, with a vector index."""

from __future__ import annotations

import weakref
from array import array
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from semantic_llm_cache.arguments import check_count, check_namespace
from semantic_llm_cache.backends.checks import check_bound
from semantic_llm_cache.backends.eviction import check_policy, score
from semantic_llm_cache.backends.expiry import ExpiryQueue
from semantic_llm_cache.backends.memory.order import by_age, sort_by_age
from semantic_llm_cache.backends.memory.records import (
    Item,
    Records,
    Stored,
    copy_of,
    created_of,
    expiry_of,
    id_of,
    key_of,
    namespace_of,
    prompt_and_tags,
    size_of,
    standing_of,
    stored_of,
    view,
)
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.index import VectorIndex
from semantic_llm_cache.runtime.fork import fork_safe_lock
from semantic_llm_cache.runtime.worker import Worker
from semantic_llm_cache.runtime.yielding import Pace
from semantic_llm_cache.similarity.base import Vector, unit
from semantic_llm_cache.storage.contract import Candidate, CandidateBackend, Text

__all__ = ["MemoryBackend"]

# A scan of this many numbers takes some 2 ms; a larger one moves to a thread.
_INLINE_NUMBERS = 20_000 * 384
_CHUNK = 64  # entries looked at under the lock at a time
_SWEEP = 8  # expired ones dropped per `set`
_DRAWN = 16


class MemoryBackend(CandidateBackend):
    """Keeps entries in memory; at a bound, those least worth keeping go first.

    Args:
        max_size: most entries; None is no bound.
        max_bytes: most bytes of keys, prompts, answers and vectors, as Python holds them; None is no
            bound. An entry larger than that by itself is not kept.
        eviction: which entries go first at a bound. ``"lru"``: the least recently used, exactly; a `get`, `peek` or
            near hit is a use. ``"lfu"``: the least often hit. ``"cost"``: what has saved the least time and
            money per byte: its hits times the duration and price of the original call. Both use the hits that
            the engine counts (other programs call `record_hits`), halve them for each week without a hit, and
            evict the worst of 16 entries drawn at random.
        clock: gives the wall time in seconds; default `time.time`.

    Raises:
        ValueError, TypeError: a bound that is not a whole number of at least 1; an unknown policy.

    All methods answer in the calling thread, except searches over some 20,000 vectors or more, which run in a
    thread of their own. Methods that go through all entries let the event loop run every millisecond; those for
    one entry or a few never wait. Expired entries go when touched, and a few with every `set`. Safe under
    threads and event loops; a forked child has a copy of its own.

    An entry takes some 500 bytes besides its prompt, answer and vector, and adds almost nothing to the time of a
    garbage collection.

    Example:
        >>> backend = MemoryBackend(max_size=10_000, max_bytes=200_000_000)
    """

    in_process = True
    url_schemes: ClassVar[tuple[str, ...]] = ("memory",)
    url_options: ClassVar[Mapping[str, Callable[[str], Any]]] = {"max_size": int, "max_bytes": int, "eviction": str}

    def __init__(
        self,
        max_size: int | None = None,
        *,
        max_bytes: int | None = None,
        eviction: str = "lru",
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.max_size = check_bound(max_size, "max_size")
        self.max_bytes = check_bound(max_bytes, "max_bytes")
        if clock is not None:
            self.clock = clock
        self.eviction = check_policy(eviction)
        bounded = max_size is not None or max_bytes is not None
        order = None if not bounded else "used" if eviction == "lru" else "drawn"
        self._lock = fork_safe_lock(outer=True)
        self._records = Records(self._lock, order)
        self._index = VectorIndex()
        self._expiry = ExpiryQueue(_expiry_by_id(self._records))
        self._bytes = 0
        self._hits = self._misses = self._evictions = self._expired = 0
        self._counters: dict[str, dict[str, float]] = {}
        self._states: dict[str, bytes] = {}
        self._worker: Worker[None] = Worker("search", lambda: None, lambda resource: None)
        weakref.finalize(self, Worker.dismiss, self._worker).atexit = False
        # On the path of every exact hit: a method of its own would double its time.
        self.peek = self._records.peek()  # type: ignore[method-assign, assignment]

    @classmethod
    def from_url(cls, url: str) -> MemoryBackend:
        """Return a backend from its URL. Raises ValueError: an unknown option or an unreadable value."""
        if url == "memory://":  # the default: reading URLs takes 2 ms to import
            return cls()
        from semantic_llm_cache.storage.urls import options_of, split

        parts = split(url)
        if parts.netloc or parts.path.strip("/"):
            raise ValueError("memory:// takes no host and no path, only options")
        return cls(**options_of(url, cls.url_options))

    @property
    def url(self) -> str:
        """``memory://``."""
        return "memory://"

    def __repr__(self) -> str:
        policy = "" if self.eviction == "lru" else f", eviction={self.eviction!r}"
        return f"MemoryBackend(max_size={self.max_size}, max_bytes={self.max_bytes}{policy})"

    # ------------------------------------------------------------------------------ by key

    async def get(self, key: str) -> CacheEntry | None:
        """Return a copy of the live entry under `key`, or None."""
        stored = self._live(key)
        if stored is None:
            self._misses += 1
            return None
        self._hits += 1
        return self._copy(stored)

    async def recall(self, key: str, text: Text) -> tuple[CacheEntry | None, Vector | None]:
        """Return a copy of the live entry under `key`; of an expired one with this text, the vector."""
        vector, item = None, self._records.find(key)
        if item is not None and _is_over(item, self.clock()):
            with self._lock:
                old = view(item)
                if Text(old.namespace, old.scope, old.embedder, old.prompt) == text:
                    vector = self._index.vector(old.id)
        return await self.get(key), vector

    async def get_many(self, keys: Sequence[str], *, touch: bool = True) -> list[CacheEntry | None]:
        """Return copies of the live entries under `keys`, in order; with `touch` False without using them."""
        found: list[CacheEntry | None] = []
        pace = Pace()
        for key in keys:
            if touch:
                found.append(await self.get(key))
            else:
                item = self._records.find(key)
                found.append(None if item is None or _is_over(item, self.clock()) else self._copy(item))
            if pace.over():
                await pace.rest()
        return found

    async def set(self, key: str, entry: CacheEntry) -> None:
        """Store `entry`; others may go, see `eviction`. ValueError for a useless vector."""
        self._store(key, entry)

    async def delete(self, key: str) -> bool:
        """Remove the entry; True when there was a live one."""
        with self._lock:
            item = self._records.find(key)
            return item is not None and self._delete(item)

    async def delete_stored(self, key: str, created_at: float) -> bool:
        """Remove the entry if it was stored at that time; True when there was a live one."""
        with self._lock:
            item = self._records.find(key)
            return item is not None and view(item).created_at == created_at and self._delete(item)

    def _delete(self, item: Item) -> bool:
        live = not _is_over(item, self.clock())
        self._drop(item)
        return live

    async def set_many(self, items: Iterable[tuple[str, CacheEntry]]) -> int:
        """Store all items; return how many. Lets the event loop run in between."""
        count, pace = 0, Pace()
        for key, entry in items:
            self._store(key, entry)
            count += 1
            if pace.over():
                await pace.rest()
        return count

    async def set_vectors(self, items: Sequence[tuple[str, str, Any]], embedder: str) -> list[bool]:
        """Give entries that still have these prompts vectors of another embedder; the order of use stays."""
        done: list[bool] = []
        pace = Pace()
        for key, prompt, vector in items:
            done.append(self._set_vector(key, prompt, unit(vector), embedder))
            if pace.over():
                await pace.rest()
        return done

    async def clear(self, namespace: str | None = None) -> int:
        """Remove all entries, or those of one namespace; return how many live ones there were."""
        check_namespace(namespace)
        count = 0
        async for item in self._items(namespace):
            count += self._remove(item)
        return count

    async def invalidate(
        self, pattern: str | None = None, *, tags: Iterable[str] | None = None, namespace: str | None = None
    ) -> int:
        """Delete entries whose prompt holds `pattern` (case-insensitive) and that carry any of `tags`."""
        from semantic_llm_cache.storage.selection import Selection

        wanted = Selection.of(pattern, tags, namespace)
        if wanted.empty:
            return 0
        count = 0
        async for item in self._items(namespace):
            if wanted.matches(*prompt_and_tags(item)):
                count += self._remove(item)
        return count

    async def iterate(self, namespace: str | None = None) -> list[tuple[str, CacheEntry]]:
        """Return copies of all live entries, oldest first."""
        check_namespace(namespace)
        ids, ages = array("q"), array("d")
        async for item in self._items(namespace):
            if not _is_over(item, self.clock()):
                ids.append(id_of(item))
                ages.append(created_of(item))
        order = by_age(ages)
        if order is None:
            # Some 10 ms at 100,000, of which numpy spends none in the interpreter.
            order = await self._worker.run(sort_by_age, ages)
        found: list[tuple[str, CacheEntry]] = []
        pace = Pace()
        for place in order:
            found_item = self._records.at(ids[place])
            if found_item is not None:
                found.append((key_of(found_item), self._copy(found_item)))
            if pace.over():
                await pace.rest()
        return found

    async def scan(self, batch_size: int = 500, namespace: str | None = None) -> AsyncIterator[tuple[str, CacheEntry]]:
        """Yield copies of all live entries, letting the event loop run in between."""
        check_count(batch_size, "batch_size")
        check_namespace(namespace)
        async for item in self._items(namespace):
            if not _is_over(item, self.clock()):
                yield key_of(item), self._copy(item)

    async def _items(self, namespace: str | None) -> AsyncIterator[Item]:
        """Yield the entries that are there from now on and were not written since, a millisecond at a time."""
        records, start = self._records, 0
        with self._lock:
            serial = records.serial
        pace = Pace()
        while start < records.slots:
            with self._lock:
                chunk = records.between(start, start + _CHUNK, serial)
            start += _CHUNK
            for item in chunk:
                if (namespace is None or namespace_of(item) == namespace) and records.at(id_of(item)) is not None:
                    yield item
                if pace.over():
                    await pace.rest()
            if pace.over():
                await pace.rest()

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
            wanted *= 4  # expired entries were counted, live ones farther away were cut off
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
            item = self._records.at(id)
            stored = None if item is None else self._live(key_of(item))
            if stored is not None and stored.id == id:
                found.append(Candidate(stored.key, self._copy(stored), max(0.0, cosine)))
        return found, len(pairs) - len(found)

    # ---------------------------------------------------------------------------- the rest

    async def record_hits(self, hits: Mapping[str, int], now: float) -> None:
        """Add to hit counts and set the access times."""
        pace = Pace()
        for key, count in list(hits.items()):
            with self._lock:
                self._records.note_hits(key, count, now)
            if pace.over():
                await pace.rest()

    async def add_counters(self, namespace: str, counters: Mapping[str, float]) -> None:
        """Add to the running counters of a namespace; they live as long as this object."""
        with self._lock:
            sums = self._counters.setdefault(namespace, {})
            for name, value in counters.items():
                sums[name] = sums.get(name, 0) + value

    async def get_counters(self) -> dict[str, dict[str, float]]:
        """Return the sums by namespace."""
        await self.settle()
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

    async def list_states(self, prefix: str = "") -> list[str]:
        """Return the names of the blobs that begin with `prefix`."""
        return sorted(name for name in list(self._states) if name.startswith(prefix))

    @property
    def evictions(self) -> int:
        """How many entries have been evicted to keep within the bounds."""
        return self._evictions

    async def get_stats(self) -> dict[str, Any]:
        """Return size, hits, misses, evictions, expired, bytes (as bounded), index_bytes (as allocated)."""
        pace = Pace()
        while self._expiry.due(now := self.clock()):  # then those that are left are those that live
            with self._lock:
                self._sweep(now)
            if pace.over():
                await pace.rest()
        return {
            "backend": "memory",
            "size": len(self._records),
            **self.tally(self._hits, self._misses),
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

    def _live(self, key: str) -> Stored | None:
        stored = self.peek(key)
        if stored is None:
            return None
        assert type(stored) is Stored
        if _is_over(stored, self.clock()):
            self._expired += self._take(stored)
            return None
        return stored

    def _take(self, item: Item) -> bool:
        """Remove an entry, if it is still there."""
        with self._lock:
            present = self._records.at(id_of(item))
            if present is None:
                return False
            self._drop(present)
            return True

    def _remove(self, item: Item) -> bool:
        """Remove an entry; return whether it was there and live."""
        return self._take(item) and not _is_over(item, self.clock())

    def _copy(self, item: Item) -> CacheEntry:
        id = id_of(item)
        with self._lock:  # an entry may be given another vector: it goes with its embedder
            stored = view(self._records.at(id) or item)
            vector, embedder = self._index.vector(id), stored.embedder
        entry = copy_of(stored, vector)
        entry.embedder = embedder
        return entry

    def _store(self, key: str, entry: CacheEntry) -> None:
        vector = None if entry.embedding is None else unit(entry.embedding)
        stored = stored_of(key, entry, 0 if vector is None else vector.nbytes)
        with self._lock:
            old = self._records.find(key)
            if old is not None:
                self._drop(old)
            self._sweep(self.clock())
            if self.max_bytes is not None and stored.size > self.max_bytes:
                self._evictions += 1
                return
            self._make_room(stored.size)
            stored.id = self._records.next_id()
            if vector is not None:
                self._index.add(
                    stored.id, vector, namespace=entry.namespace, scope=entry.scope, embedder=entry.embedder
                )
            self._records.add(stored)
            self._bytes += stored.size
            if stored.expires_at is not None:
                self._expiry.push(stored.expires_at, stored.id, len(self._records))

    def _set_vector(self, key: str, prompt: str, vector: Vector, embedder: str) -> bool:
        with self._lock:
            item = self._records.find(key)
            if item is None or _is_over(item, self.clock()):
                return False
            stored = view(item)
            old = self._index.vector(stored.id)
            if stored.prompt != prompt or (old is not None and stored.embedder == embedder):
                return False
            grown = vector.nbytes - (0 if old is None else old.nbytes)
            self._index.add(stored.id, vector, namespace=stored.namespace, scope=stored.scope, embedder=embedder)
            self._records.note_vector(item, embedder, stored.size + grown)
            self._bytes += grown
            if grown > 0 and self.max_bytes is not None:
                self._make_room(0, 0)
            return True

    def _drop(self, item: Item) -> None:
        self._bytes -= size_of(item)
        self._records.remove(key_of(item))
        self._index.remove(id_of(item))

    def _sweep(self, now: float) -> None:
        for _ in range(_SWEEP):
            id = self._expiry.pop(now)
            item = None if id is None else self._records.at(id)
            if item is None:
                return
            self._drop(item)
            self._expired += 1

    def _make_room(self, size: int, count: int = 1) -> None:
        records = self._records
        while len(records) and (
            (self.max_size is not None and len(records) + count > self.max_size)
            or (self.max_bytes is not None and self._bytes + size > self.max_bytes)
        ):
            if self.eviction == "lru":
                victim = records.find(records.oldest())
                assert victim is not None
            else:
                victim = min(records.draw(_DRAWN), key=self._worth)
            self._drop(victim)
            self._evictions += 1

    def _worth(self, item: Item) -> float:
        return score(self.eviction, standing_of(item))


def _is_over(item: Item, now: float) -> bool:
    expires_at = expiry_of(item)
    return expires_at is not None and now >= expires_at


def _expiry_by_id(records: Records) -> Callable[[int], float | None]:
    def expiry(id: int) -> float | None:
        item = records.at(id)
        return None if item is None else expiry_of(item)

    return expiry


def _search(
    _: None, index: VectorIndex, vector: Vector, k: int, threshold: float, limits: dict[str, str | None]
) -> list[tuple[int, float]]:
    return index.search(vector, k, threshold, **limits)
