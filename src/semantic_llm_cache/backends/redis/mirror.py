"""The copy of a server's vectors that a process searches in when the server cannot search itself."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from semantic_llm_cache.backends.redis.entries import place_of, split_place
from semantic_llm_cache.backends.redis.strategy import Limits, is_live
from semantic_llm_cache.index import VectorIndex
from semantic_llm_cache.runtime.fork import fork_safe_lock
from semantic_llm_cache.similarity.base import Vector

__all__ = ["Change", "Mirror"]

_LARGE = 20_000
"""With more vectors, a search takes milliseconds and leaves the event loop's thread."""


class Change(NamedTuple):
    """What is known of the vector of one entry. `place` is None for an entry that is gone or has none."""

    key: bytes
    place: str | None
    namespace: str = ""
    vector: bytes = b""
    expires: bytes = b""


class Mirror:
    """Vectors by key, and how far the log of changes of each shard has been followed.

    A change carries its number in the log, and an older one never overwrites a newer. Thread-safe.
    """

    def __init__(self, positions: list[tuple[bytes, int]]) -> None:
        self.index = VectorIndex()
        self.positions = positions  # of each shard: the log's epoch, the number of the last change followed
        self._lock = fork_safe_lock(outer=True)
        self._ids: dict[bytes, int] = {}
        self._known: dict[int, tuple[bytes, int, bytes]] = {}  # key, number of the change, expiry
        self._next = 1

    def __len__(self) -> int:
        return len(self._known)

    def apply(self, changes: list[Change], number: int) -> None:
        """Apply what is known as of change `number`."""
        with self._lock:
            for change in changes:
                self._apply(change, number)

    def _apply(self, change: Change, number: int) -> None:
        id = self._ids.get(change.key)
        if id is not None and self._known[id][1] > number:
            return
        if change.place is None or len(change.vector) % 4 or not change.vector:
            self._forget(id)
            return
        if id is None:
            id, self._next = self._next, self._next + 1
        scope, embedder = split_place(change.place)
        vector = np.frombuffer(change.vector, dtype="<f4")
        try:
            self.index.add(id, vector, namespace=change.namespace, scope=scope, embedder=embedder)
        except ValueError:  # damaged: not a vector
            self._forget(self._ids.get(change.key))
            return
        self._ids[change.key] = id
        self._known[id] = (change.key, number, change.expires)

    def _forget(self, id: int | None) -> None:
        if id is not None and id in self._known:
            del self._ids[self._known.pop(id)[0]]
            self.index.remove(id)

    def follow(self, shard: int, epoch: bytes, before: int, number: int) -> None:
        """Note that all changes after `before`, up to `number`, have been applied."""
        with self._lock:
            known, last = self.positions[shard]
            followed = (known == epoch and before <= last < number) or (not known and not last and not before)
            if followed:
                self.positions[shard] = (epoch, number)

    def remove(self, keys: list[bytes]) -> None:
        """Forget keys whose entries turned out to be gone; a later change brings them back."""
        with self._lock:
            for key in keys:
                self._forget(self._ids.get(key))

    def large(self, dimension: int) -> bool:
        """Return whether a search takes so long that it belongs in a thread."""
        return len(self._known) > _LARGE and self.index.rows(dimension) > _LARGE

    def search(self, query: Vector, k: int, threshold: float, limits: Limits, now: float) -> list[bytes]:
        """Return the keys of the `k` nearest that are not expired at `now`, as far as is known here."""
        embedder = None
        if limits.embedder is not None:
            embedder = split_place(place_of("", limits.embedder, query.shape[0]))[1]
        wanted = k
        while True:
            pairs = self.index.search(
                query,
                wanted,
                threshold,
                namespace=limits.namespace_digest or None,
                scope=limits.scope_digest or None,
                embedder=embedder,
            )
            keys, over = [], []
            with self._lock:
                for id, _ in pairs:
                    known = self._known.get(id)
                    if known is None:
                        continue
                    if is_live(known[2], now):
                        keys.append(known[0])
                    else:
                        over.append(id)
            if len(keys) >= k or len(pairs) < wanted:
                return keys[:k]
            wanted *= 4
