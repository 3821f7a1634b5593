"""`StorageBackend`: the contract that every place to keep entries fulfils.

Seven methods are abstract: a backend written against them alone works with the engine and with a
cache of one's own. The others have defaults written in terms of those seven; a backend overrides
them where it can do better in one step.

Rules for all of them:

- *Keys* are opaque strings. *Entries* are `CacheEntry`; what a method returns is a private copy: changing it
  changes nothing that is stored.
- *Text*: keys, prompts, names and labels hold whatever a Python string can, U+0000 and halves of surrogate pairs
  included, and come back unchanged. Those have no UTF-8 form; ``text.encode("utf-8", "surrogatepass")`` gives one.
- *Failure*: every failure of the storage (connection, disk, damaged file) is raised as
  `CacheBackendError` with the cause chained; a response that cannot be stored or read back is
  `CacheSerializationError`. One damaged entry is a miss and a warning, never an error for its
  neighbours.
- *Atomicity*: an entry and its vector are written together or not at all. An awaited `set` returns
  after the entry is committed: killing the process then loses nothing.
- *Expiry*: an expired entry is never returned, counted, or allowed to hide a live one that is a little
  farther away. `clock` gives the time.
- *Figures*: `get_stats`, `get_counters` and hits of entries include what the engines of this process have counted: see
  `settle` and `tally`.
- *Hits*: `get` and the near lookups may give `hit_count` and `last_accessed` as they were when the entry was
  stored; `get_many`, `scan` and `iterate` give what `record_hits` has counted since, where it is kept.
- *Loops and forks*: one instance serves several event loops, threads and, after `fork`, the child.
  Nothing blocks the loop; nothing is opened in the constructor that a forked child could not reopen.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from semantic_llm_cache.arguments import check_namespace
from semantic_llm_cache.storage.notes import last_of, note, note_names
from semantic_llm_cache.storage.records import Candidate, Held, Lease, Text

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from semantic_llm_cache.config import CacheEntry
    from semantic_llm_cache.storage.front import Front

    Vector = npt.NDArray[np.float32] | Sequence[float]

__all__ = ["Candidate", "Held", "Lease", "StorageBackend", "Text"]


class Observer(Protocol):
    """What the engines of this process know of a backend. The engine puts one on each backend that it uses."""

    async def flush(self) -> None:
        """Write what was counted and not yet written. Never raises."""

    def tally(self, hits: int, misses: int) -> tuple[int, int]:
        """Return hits and misses as callers met them, from those that the backend's own reads had."""


class StorageBackend(ABC):
    """Keeps entries by key and finds the nearest ones by vector. See the module's text for the rules.

    Example:
        >>> import asyncio
        >>> from semantic_llm_cache.backends import MemoryBackend
        >>> from semantic_llm_cache.config import CacheEntry
        >>> async def main():
        ...     backend = MemoryBackend()
        ...     await backend.set("k", CacheEntry(prompt="2+2?", response="4"))
        ...     return (await backend.get("k")).response
        >>> asyncio.run(main())
        '4'
    """

    _neutral_in_keys = True  # as a field of an instance: see `known_types`

    url_schemes: ClassVar[tuple[str, ...]] = ()
    """What a URL that names this backend may begin with, without ``://``; see `storage.registry.SCHEMES`."""

    url_options: ClassVar[Mapping[str, Callable[[str], Any]]] = {}
    """The constructor's arguments that such a URL may give as options, and how each is read from text."""

    in_process: ClassVar[bool] = False
    """True when `peek` answers for every entry without waiting, and no other process has the entries (the memory
    backend)."""

    first_search_seconds: ClassVar[float | None] = None
    """How long the first search in a process may take, where it loads an index; None where it loads nothing."""

    front: Front | None = None
    """Entries just read by key, for backends whose `get` needs a file or a server. A backend that has one drops from it
    what its own methods write or delete."""

    gives_leases: ClassVar[bool] = False
    """True when the five methods for leases are there: ``single_flight="shared"`` then works over all processes."""

    lease_seconds: float = 10.0
    """How long a lease runs, in seconds. Its holder renews it three times in that span, so the others wait at most
    this long for a process that has died."""

    vector_seconds: float = 0.0
    """How long `keep_vectors` keeps the vector of a text, in seconds; 0 keeps none. May be changed on the instance."""

    observer: Observer | None = None
    """Set by the engine; see `settle` and `tally`."""

    key_checked: bool = False
    """Set once it is known that this storage is not encrypted, or that its key was given: see `storage.key_check`."""

    clock: Callable[[], float] = staticmethod(time.time)
    """Wall time in seconds. The engine replaces it on the instance when it was given a `clock=`."""

    @property
    def url(self) -> str:
        """A short name for logs and messages, without credentials, e.g. ``sqlite:///cache.db``."""
        return type(self).__name__

    # ---------------------------------------------------------------- the seven

    @abstractmethod
    async def get(self, key: str) -> CacheEntry | None:
        """Return the live entry under `key`, or None. Never writes to the storage on the caller's time."""

    @abstractmethod
    async def set(self, key: str, entry: CacheEntry) -> None:
        """Store `entry` under `key`, replacing what was there. Committed when it returns.

        The vector, when `entry.embedding` has one, is stored with it as unit-length float32; a zero or
        non-finite vector is a ValueError. May evict other entries to keep within the backend's bounds.
        """

    @abstractmethod
    async def delete(self, key: str) -> bool:
        """Remove the entry; True when there was a live one."""

    @abstractmethod
    async def clear(self, namespace: str | None = None) -> int:
        """Remove all entries, or those of one namespace; return how many."""

    @abstractmethod
    async def iterate(self, namespace: str | None = None) -> list[tuple[str, CacheEntry]]:
        """Return all live entries, oldest first. For large caches use `scan`."""

    @abstractmethod
    async def find_similar(
        self,
        embedding: Vector,
        threshold: float,
        namespace: str | None = None,
        *,
        scope: str | None = None,
    ) -> tuple[str, CacheEntry, float] | None:
        """Return the live entry nearest to `embedding`, if its similarity reaches `threshold`.

        Similarity is max(0, cosine); the threshold is inclusive with a tolerance of 1e-6. Entries
        without a vector, or with one of another dimension, are not considered. `namespace` and `scope`
        limit the search to entries whose fields are equal; None searches all.
        """

    @abstractmethod
    async def get_stats(self) -> dict[str, Any]:
        """Return at least ``size`` (live entries), ``hits`` and ``misses``.

        Those are of `get` and `find_similar` here and, where the backend asks `tally`, of the requests of the
        engines of this process.
        """

    # ------------------------------------------- for backends that show what engines count

    async def settle(self) -> None:
        """Have the engines of this process write what they have counted. Never raises.

        A backend calls it before it shows hits of entries or counters, so that they are up to date.
        """
        if self.observer is not None:
            await self.observer.flush()

    def tally(self, hits: int, misses: int) -> dict[str, int]:
        """Return ``hits`` and ``misses`` for `get_stats`: requests of engines count once, as they ended.

        Args:
            hits, misses: of all `get`, `find_similar` and `find_candidates` here, the engines' own included.
        """
        if self.observer is not None:
            hits, misses = self.observer.tally(hits, misses)
        return {"hits": hits, "misses": misses}

    # ------------------------------------------- what the engine would like better

    def peek(self, key: str) -> CacheEntry | None:
        """Return the stored entry without waiting; only with `in_process`. Counts as a read of `key`.

        The entry is the backend's own: do not change it. Its response may be an `Encoded`.
        Expiry is not checked.
        """
        raise NotImplementedError

    async def recall(self, key: str, text: Text) -> tuple[CacheEntry | None, Vector | None]:
        """`get`, and where it finds no entry, the vector of a text if it is known: from `keep_vectors`, or from an
        entry under `key` that has expired.

        With this a text that was embedded once, by any process, need not be embedded again. An entry that is found
        costs no more round trips than by `get`. The default knows no vectors.
        """
        return await self.get(key), None

    async def keep_vectors(self, vectors: Mapping[Text, Vector]) -> None:
        """Keep the vectors of texts for `recall`, for `vector_seconds`. `clear` drops them, of its namespace or all.

        The engine calls this in batches, off the caller's path, where `vector_seconds` is above 0. Vectors are not
        entries: they are in no count and no search. The default does nothing.
        """

    async def find_candidates(
        self,
        embedding: Vector,
        threshold: float,
        *,
        k: int = 8,
        namespace: str | None = None,
        scope: str | None = None,
        embedder: str | None = None,
    ) -> list[Candidate]:
        """Return up to `k` live entries at or above `threshold`, nearest first.

        `embedder` limits the search to vectors made by that embedder (its fingerprint). The default asks
        `find_similar`, and so gives one at most. Where that is an entry outside the limits, which may hide others
        that are within them, it goes through all entries instead (`scan`).
        """
        found = await self.find_similar(embedding, threshold, namespace, scope=scope)
        if found is None:
            return []
        limits = {"namespace": namespace, "scope": scope, "embedder": embedder}
        if _within(found[1], limits, self.clock()):
            return [Candidate(*found)]
        return await self._scan_for(embedding, threshold, k, limits)

    async def _scan_for(
        self, embedding: Vector, threshold: float, k: int, limits: Mapping[str, str | None]
    ) -> list[Candidate]:
        """`find_candidates` by comparing all entries, one after the other."""
        from semantic_llm_cache.runtime.yielding import Pace
        from semantic_llm_cache.similarity.base import THRESHOLD_TOLERANCE, cosine_similarity, unit

        query = unit(embedding)
        found: list[Candidate] = []
        pace = Pace()
        async for key, entry in self.scan(namespace=limits["namespace"]):
            if entry.embedding is not None and _within(entry, limits, self.clock()):
                vector = unit(entry.embedding)
                if vector.shape == query.shape:
                    similarity = max(0.0, cosine_similarity(query, vector))
                    if similarity >= threshold - THRESHOLD_TOLERANCE:
                        found.append(Candidate(key, entry, similarity))
            if pace.over():
                found = sorted(found, key=_farness)[:k]
                await pace.rest()
        return sorted(found, key=_farness)[:k]

    async def get_many(self, keys: Sequence[str], *, touch: bool = True) -> list[CacheEntry | None]:
        """`get` for each key, in order.

        With `touch` False, meant for maintenance, the reads count neither as a use of the entries (`eviction="lru"`)
        nor as hits and misses, where the backend makes that difference; the default does not.
        """
        return [await self.get(key) for key in keys]

    async def set_many(self, items: Iterable[tuple[str, CacheEntry]]) -> int:
        """Store all items, each atomically; return how many."""
        count = 0
        for key, entry in items:
            await self.set(key, entry)
            count += 1
        return count

    async def delete_many(self, keys: Iterable[str]) -> int:
        """Delete each key; return how many there were."""
        return sum([await self.delete(key) for key in keys])

    async def delete_stored(self, key: str, created_at: float) -> bool:
        """`delete` only the entry that was stored at `created_at`; True when there was one, and it was live.

        A newer entry under the key stays. Looking and deleting are one step where the storage can do that; the default
        takes two.
        """
        (entry,) = await self.get_many([key], touch=False)
        return entry is not None and entry.created_at == created_at and await self.delete(key)

    async def set_vectors(self, items: Sequence[tuple[str, str, Vector]], embedder: str) -> list[bool]:
        """Give entries vectors of another embedder; nothing else about them changes.

        Each item is a key, the text that the vector was made of, and the vector. It is written only if the live entry
        under the key has exactly this prompt, and no vector of `embedder` yet; a zero or non-finite vector is a
        ValueError. Looking and writing are one step, so that what was deleted, replaced or moved before that is
        never brought back. The default takes two: it looks, and then writes.

        Returns for each item whether it was written.
        """
        from dataclasses import replace

        present = await self.get_many([key for key, _, _ in items], touch=False)
        fitting = [
            entry is not None
            and entry.prompt == prompt
            and not (entry.embedder == embedder and entry.embedding is not None)
            for entry, (_, prompt, _) in zip(present, items, strict=True)
        ]
        await self.set_many(
            [
                (key, replace(entry, embedding=vector, embedder=embedder))
                for entry, (key, _, vector), fits in zip(present, items, fitting, strict=True)
                if fits and entry is not None
            ]
        )
        return fitting

    async def scan(self, batch_size: int = 500, namespace: str | None = None) -> AsyncIterator[tuple[str, CacheEntry]]:
        """Yield all live entries, `batch_size` at a time in memory.

        Entries written or deleted meanwhile may or may not be seen; no entry is seen twice. Being seen does not count
        as a use of an entry.
        """
        for item in await self.iterate(namespace):
            yield item

    async def invalidate(
        self,
        pattern: str | None = None,
        *,
        tags: Iterable[str] | None = None,
        namespace: str | None = None,
    ) -> int:
        """Delete entries whose prompt holds `pattern` (case-insensitive) and that carry any of `tags`.

        A condition that is None does not restrict; with both None nothing is deleted. Returns how many.
        """
        from semantic_llm_cache.storage.selection import Selection

        wanted = Selection.of(pattern, tags, namespace)
        if wanted.empty:
            return 0
        keys = [key async for key, entry in self.scan(namespace=namespace) if wanted.matches(entry.prompt, entry.tags)]
        return await self.delete_many(keys)

    async def record_hits(self, hits: Mapping[str, int], now: float) -> None:
        """Add to the hit counts of entries and set their access time to `now`.

        The engine calls this in batches, off the caller's path. Unknown keys are skipped. The default
        does nothing.
        """

    async def add_counters(self, namespace: str, counters: Mapping[str, float]) -> None:
        """Add to the running counters of a namespace, which outlive the process. Default: not kept."""

    async def get_counters(self) -> dict[str, dict[str, float]]:
        """Return what `add_counters` has summed up, by namespace."""
        return {}

    async def get_state(self, name: str) -> bytes | None:
        """Return a named blob (the state of a policy), or None."""
        return None

    async def set_state(self, name: str, value: bytes | None) -> None:
        """Store a named blob, or remove it with None. Default: not kept."""

    async def get_states(self, names: Sequence[str]) -> list[bytes | None]:
        """`get_state` for each name, in order. The default asks for one after the other."""
        return [await self.get_state(name) for name in names]

    async def list_states(self, prefix: str = "") -> list[str]:
        """Return the names of the blobs of `set_state` that begin with `prefix`, in order."""
        return []

    # -------------------------------------------------------------------------- calls in flight elsewhere

    # `invalidate` deletes what is stored. A call in flight may store its answer after that, although it was made from
    # what has been withdrawn. Calls of this process are known to the engine; those of others look at these notes. With
    # `in_process` there are no others, and the engine uses neither method.

    async def note_withdrawal(self, labels: Iterable[str], at: float, by: str) -> None:
        """Note that the entries with any of these labels are being removed. Others see it when this returns.

        The default keeps notes as named states. Where those are not kept, calls in flight in other processes still
        store their answers.

        Args:
            labels: tags of entries.
            at: the time, by `clock`.
            by: the name of the process, for `last_withdrawal`.
        """
        value = note(at, by)
        for name in note_names(labels):
            await self.set_state(name, value)

    async def last_withdrawal(self, labels: Iterable[str], but_by: str | None = None) -> float:
        """Return the time of the last note on any of these labels, apart from those of the process `but_by`.

        It is never too early. It may be too late, as labels may share a note. -inf means that there is none.
        """
        return last_of(await self.get_states(note_names(labels)), but_by)

    # ------------------------------------------------------------------------------ leases

    # With leases, one process at a time answers for a key. These five exist where `gives_leases` is True. They use
    # the storage's own time, not `clock`, because leases are about processes that are alive now. A lease is apart
    # from the entry: `get`, `clear` and `scan` do not see it, and plain `set` and `delete` do not need one.

    async def acquire_lease(self, key: str, token: str, seconds: float) -> Lease | Held:
        """Take the lease on `key` for `seconds`, if it is free. One step: of many callers one gets it.

        `token` is the caller's own, unique. Asking again with the token that has the lease gives it again, so a
        request whose reply was lost may be repeated.
        """
        raise NotImplementedError

    async def renew_lease(self, lease: Lease, seconds: float) -> bool:
        """Renew the lease for `seconds` from now; False when it is no longer the last one given for its key.

        A lease that has run out, and that no other process took since, is renewed like any other.
        """
        raise NotImplementedError

    async def release_lease(self, lease: Lease) -> None:
        """Give the lease back and wake the callers that wait. Does nothing when it is not the last one given."""
        raise NotImplementedError

    async def wait_for_lease(self, key: str, seconds: float) -> None:
        """Return once the lease on `key` is given back, after `seconds` at the latest.

        Returns at once when it is free, and may return early for no reason. It does not return when the
        lease runs out: `Held.seconds` says when to ask again.
        """
        raise NotImplementedError

    async def set_leased(self, lease: Lease, entry: CacheEntry) -> bool:
        """`set`, and give the lease back, in one step; False, with nothing stored, when it is not the last one.

        Raises as `set` does; the lease is then still held.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Flush and release what is held. Idempotent; the instance may be used again and reopens."""

    async def __aenter__(self) -> StorageBackend:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


def _within(entry: CacheEntry, limits: Mapping[str, str | None], now: float) -> bool:
    return not entry.is_expired(now) and all(
        limit is None or getattr(entry, name) == limit for name, limit in limits.items()
    )


def _age(item: tuple[str, CacheEntry]) -> float:
    return item[1].created_at


def _farness(candidate: Candidate) -> float:
    return -candidate.similarity


class CandidateBackend(StorageBackend):
    """A backend with its own `find_candidates` and `scan`, which give `find_similar` and `iterate`."""

    async def iterate(self, namespace: str | None = None) -> list[tuple[str, CacheEntry]]:
        """Return all live entries, oldest first."""
        check_namespace(namespace)
        found = [item async for item in self.scan(namespace=namespace)]
        found.sort(key=_age)
        return found

    def _changing(self, keys: Sequence[str] | None = None) -> AbstractContextManager[None]:
        """`Front.changing`, where there is a front."""
        return nullcontext() if self.front is None else self.front.changing(keys)

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
