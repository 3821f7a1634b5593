"""`VectorIndex`: ids and unit vectors by scope, nearest first by cosine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from semantic_llm_cache.index.locks import fork_safe_lock
from semantic_llm_cache.index.partition import Partition, Vector, top
from semantic_llm_cache.similarity.base import THRESHOLD_TOLERANCE, unit

__all__ = ["VectorIndex"]

# What a float32 product may be off; who passes with this much is weighed again in double precision.
_SCAN_ERROR = 1e-5
_ROW_BITS = 40
_ROW_MASK = (1 << _ROW_BITS) - 1


class VectorIndex:
    """Exact nearest-neighbour search by cosine, partitioned by scope, embedder, namespace and dimension.

    Ids are whole numbers that the caller chooses, unique over all partitions. Safe under threads: a
    search sees every vector that was there from its start to its end, and never pairs an id with
    another one's score.
    The lock is held for microseconds, never during a scan. After `fork` the child has a copy of its own.

    Example:
        >>> index = VectorIndex()
        >>> index.add(7, [1.0, 0.0], scope="a")
        >>> index.search([1.0, 0.0], k=1, threshold=0.9, scope="a")
        [(7, 1.0)]
    """

    def __init__(self) -> None:
        self._lock = fork_safe_lock()
        self._partitions: dict[tuple[str, str, str, int], Partition] = {}
        self._by_scope: dict[str, list[Partition]] = {}
        self._by_number: dict[int, Partition] = {}
        self._next_number = 0
        # id -> partition number and row in one int: nothing in it for the garbage collector to walk.
        self._where: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, id: int) -> bool:
        return id in self._where

    @property
    def nbytes(self) -> int:
        """Bytes held for vectors and ids."""
        with self._lock:
            return sum(partition.nbytes for partition in self._partitions.values())

    def add(
        self, id: int, vector: Any, *, namespace: str = "default", scope: str = "", embedder: str = ""
    ) -> None:
        """Add a vector under `id`, replacing what was there. ValueError for a zero or non-finite vector."""
        row = unit(vector)
        key = (scope, embedder, namespace, row.shape[0])
        with self._lock:
            where = self._where.get(id)
            if where is not None:
                partition = self._by_number[where >> _ROW_BITS]
                if partition.key == key:
                    partition.write(where & _ROW_MASK, row)
                    return
                self._remove(id, where)
            found = self._partitions.get(key)
            if found is None:
                found = self._create(key)
            self._where[id] = found.number << _ROW_BITS | found.append(id, row)

    def add_many(
        self,
        ids: Sequence[int],
        vectors: Vector,
        *,
        namespace: str = "default",
        scope: str = "",
        embedder: str = "",
    ) -> list[int]:
        """Add the rows of `vectors`, shape (len(ids), dimension); return the ids left out.

        Left out are rows that are not of length 1 within a thousandth.
        """
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        good = np.abs(lengths - 1.0) < 1e-3  # also False for NaN
        left_out: list[int] = []
        if not good.all():
            left_out = [id for id, fine in zip(ids, good.tolist(), strict=True) if not fine]
            ids = [id for id, fine in zip(ids, good.tolist(), strict=True) if fine]
            vectors = vectors[good]
        if ids:
            key = (scope, embedder, namespace, vectors.shape[1])
            with self._lock:
                for id in ids:
                    where = self._where.get(id)
                    if where is not None:
                        self._remove(id, where)
                partition = self._partitions.get(key)
                if partition is None:
                    partition = self._create(key)
                first = partition.number << _ROW_BITS | partition.extend(list(ids), vectors)
                self._where.update(zip(ids, range(first, first + len(ids)), strict=True))
        return left_out

    def remove(self, id: int) -> bool:
        """Remove `id`; tell whether it was there."""
        with self._lock:
            where = self._where.get(id)
            if where is None:
                return False
            self._remove(id, where)
            return True

    def clear(self) -> None:
        """Remove everything."""
        with self._lock:
            for partition in self._partitions.values():
                partition.count = 0  # for searches that are under way
            self._partitions = {}
            self._by_scope = {}
            self._by_number = {}
            self._where = {}

    def vector(self, id: int) -> Vector | None:
        """Return a copy of the vector under `id`, shape (dimension,), or None."""
        with self._lock:
            where = self._where.get(id)
            if where is None:
                return None
            row: Vector = self._by_number[where >> _ROW_BITS].row(where & _ROW_MASK).copy()
            return row

    def rows(
        self,
        dimension: int,
        *,
        namespace: str | None = None,
        scope: str | None = None,
        embedder: str | None = None,
    ) -> int:
        """Return how many vectors a search with these limits would look at."""
        with self._lock:
            return sum(p.count for p in self._matching(dimension, namespace, scope, embedder))

    def search(
        self,
        vector: Any,
        k: int,
        threshold: float,
        *,
        namespace: str | None = None,
        scope: str | None = None,
        embedder: str | None = None,
    ) -> list[tuple[int, float]]:
        """Return up to `k` (id, cosine), nearest first, among equals the highest id first.

        Args:
            vector: the query, any length but zero; vectors of another dimension are not looked at.
            k: how many at most, at least 1.
            threshold: lowest cosine, inclusive with a tolerance of 1e-6; zero or less admits all.
            namespace, scope, embedder: look only where these are equal; None does not limit.
        """
        query = unit(vector)
        lowest = threshold - THRESHOLD_TOLERANCE
        if lowest <= 0.0:
            lowest = -2.0
        with self._lock:
            partitions = self._matching(query.shape[0], namespace, scope, embedder)
        found: list[tuple[float, int]] = []
        for partition in partitions:
            found += self._search_one(partition, query, k, lowest)
        found.sort(reverse=True)
        return [(id, cosine) for cosine, id in found[:k]]

    # ------------------------------------------------------------------ with the lock held

    def _matching(
        self, dimension: int, namespace: str | None, scope: str | None, embedder: str | None
    ) -> list[Partition]:
        if scope is not None and embedder is not None and namespace is not None:
            one = self._partitions.get((scope, embedder, namespace, dimension))
            return [] if one is None else [one]
        some = self._partitions.values() if scope is None else self._by_scope.get(scope, ())
        return [
            partition
            for partition in some
            if partition.dimension == dimension
            and (embedder is None or partition.key[1] == embedder)
            and (namespace is None or partition.key[2] == namespace)
        ]

    def _create(self, key: tuple[str, str, str, int]) -> Partition:
        partition = Partition(key, self._next_number)
        self._next_number += 1
        self._partitions[key] = self._by_number[partition.number] = partition
        self._by_scope.setdefault(key[0], []).append(partition)
        return partition

    def _remove(self, id: int, where: int) -> None:
        del self._where[id]
        partition = self._by_number[where >> _ROW_BITS]
        moved = partition.remove(where & _ROW_MASK)
        if moved is not None:
            self._where[moved] = where
        elif not partition.count:
            del self._partitions[partition.key], self._by_number[partition.number]
            siblings = self._by_scope[partition.key[0]]
            siblings.remove(partition)
            if not siblings:
                del self._by_scope[partition.key[0]]

    # ------------------------------------------------------------------------------ search

    def _search_one(
        self, partition: Partition, query: Vector, k: int, lowest: float
    ) -> list[tuple[float, int]]:
        changed: set[int] = set()
        with self._lock:
            count, blocks = partition.count, partition.blocks[:]
            if not count:
                return []
            if partition.watchers is None:
                partition.watchers = {}
            partition.watchers[id(changed)] = changed
        try:
            scores = partition.scan(blocks, count, query)
            numbers = top(scores, k, lowest - _SCAN_ERROR)
        except BaseException:
            with self._lock:
                self._unwatch(partition, changed)
            raise
        with self._lock:
            self._unwatch(partition, changed)
            if changed:
                # Rows written during the scan: their scores are worthless, their present content counts.
                if not changed.isdisjoint(numbers):
                    scores[[number for number in changed if number < count]] = np.float32(-3.0)
                    numbers = [n for n in top(scores, k, lowest - _SCAN_ERROR) if n not in changed]
                numbers += changed
            numbers = [number for number in numbers if number < partition.count]
            if not numbers:
                return []
            ids = partition.ids
            pairs = zip(partition.cosines(numbers, query), numbers, strict=True)
            return [(cosine, ids[number]) for cosine, number in pairs if cosine >= lowest]

    @staticmethod
    def _unwatch(partition: Partition, changed: set[int]) -> None:
        assert partition.watchers is not None
        del partition.watchers[id(changed)]
        if not partition.watchers:
            partition.watchers = None
