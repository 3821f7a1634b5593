"""`VectorIndex`: nearest-neighbour search by cosine over ids and unit vectors, by scope."""

from __future__ import annotations

import contextlib
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from semantic_llm_cache.index.indexer import Indexer
from semantic_llm_cache.index.inverted import Candidates, InvertedLists
from semantic_llm_cache.index.linear import Vector
from semantic_llm_cache.index.partition import SCAN_ERROR, Partition, PartitionView, top
from semantic_llm_cache.index.places import Places
from semantic_llm_cache.runtime.fork import fork_safe_lock
from semantic_llm_cache.similarity.base import THRESHOLD_TOLERANCE, unit

__all__ = ["VectorIndex"]


def _rows_from(variable: str, default: int) -> int | None:
    """Return a number of vectors from the environment; None for 0."""
    text = os.environ.get(variable, "")
    if not text.isdigit():
        return default
    return int(text) or None


_LIST_ROWS = _rows_from("SEMANTIC_LLM_CACHE_LIST_ROWS", 8192)
# By default, where full lists would take 768 MB. A search of compact ones takes longer and finds more; see
# docs/storage.md.
_COMPACT_ROWS = _rows_from("SEMANTIC_LLM_CACHE_COMPACT_ROWS", 2_000_000)
_CANDIDATES = 32  # fewest candidates to request: the nearest does not always have the highest estimate
_FIRST_WEIGHED = 1  # what follows is compared with the cosine of the best so far
_MOST_CANDIDATES = 1024  # a search that needs more scans all vectors vectors
_NO_SCORES = np.zeros(0, dtype=np.float32)
_ROW_BITS = 40
_ROW_MASK = (1 << _ROW_BITS) - 1


class _Query(NamedTuple):
    """The query of a search: unit vector, number of neighbours, lowest cosine (-2 admits all)."""

    vector: Vector
    k: int
    lowest: float


class VectorIndex:
    """Nearest-neighbour search by cosine, partitioned by scope, embedder, namespace and dimension.

    Ids are integers that the caller chooses, unique over all partitions. Thread-safe: a search sees
    every vector that is present from its start to its end, and never pairs an id with the score of
    another.
    The lock is held for microseconds, never during a scan. After `fork` the child has a copy of its own.

    With fewer than `list_rows` vectors, a partition is scanned, which is exact. Beyond that, a background thread puts
    its vectors into inverted lists; a search then takes candidates from the lists nearest to the query, scans the
    vectors that are in no list yet, and compares all of them by their exact cosine. It finds the nearest in more than
    99 of 100 searches for a cosine of 0.7 or more, and never returns a vector below the threshold.

    Args:
        list_rows: number of vectors at which a partition gets inverted lists; None means never.
        compact_rows: number of vectors at which its lists are compact, with less memory and sketches; None means never.

    Example:
        >>> index = VectorIndex()
        >>> index.add(7, [1.0, 0.0], scope="a")
        >>> index.search([1.0, 0.0], k=1, threshold=0.9, scope="a")
        [(7, 1.0)]
    """

    def __init__(self, *, list_rows: int | None = _LIST_ROWS, compact_rows: int | None = _COMPACT_ROWS) -> None:
        self.lock = fork_safe_lock()
        """Protects the index and its partitions; never held during a scan."""
        self._partitions: dict[tuple[str, str, str, int], Partition] = {}
        self._by_scope: dict[str, list[Partition]] = {}
        self._by_number: dict[int, Partition] = {}
        self._next_number = 0
        self._where = Places()  # partition number and row in one int
        self.indexer = Indexer(self, list_rows, compact_rows)

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, id: int) -> bool:
        return id in self._where

    @property
    def nbytes(self) -> int:
        """Return the bytes held for vectors, ids and lists."""
        with self.lock:
            return sum(partition.nbytes for partition in self._partitions.values())

    @property
    def indexed(self) -> int:
        """Return how many vectors are in lists."""
        with self.lock:
            return sum(partition.indexed for partition in self._partitions.values())

    def add(self, id: int, vector: Any, *, namespace: str = "default", scope: str = "", embedder: str = "") -> None:
        """Add or replace the vector under `id`. Raise ValueError for a zero or non-finite vector."""
        row = unit(vector)
        key = (scope, embedder, namespace, row.shape[0])
        with self.lock:
            where = self._where.get(id)
            if where >= 0:
                partition = self._by_number[where >> _ROW_BITS]
                if partition.key == key:
                    if np.array_equal(partition.row(where & _ROW_MASK), row):
                        return
                    self._moved(partition, partition.write(where & _ROW_MASK, row))
                    return
                self._remove(id, where)
            found = self._partitions.get(key)
            if found is None:
                found = self._create(key)
            self._where[id] = found.number << _ROW_BITS | found.append(id, row)
            self.indexer.look(found)

    def add_many(
        self,
        ids: Sequence[int],
        vectors: Vector,
        *,
        namespace: str = "default",
        scope: str = "",
        embedder: str = "",
    ) -> list[int]:
        """Add the rows of `vectors`, shape (len(ids), dimension); return the ids that were not added.

        A row is not added when its length differs from 1 by 0.001 or more.
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
            with self.lock:
                for id in ids:
                    where = self._where.get(id)
                    if where >= 0:
                        self._remove(id, where)
                partition = self._partitions.get(key)
                if partition is None:
                    partition = self._create(key)
                first = partition.number << _ROW_BITS | partition.extend(list(ids), vectors)
                self._where.put(ids, first)
                self.indexer.look(partition)
        return left_out

    def remove(self, id: int) -> bool:
        """Remove `id`; return whether it was there."""
        with self.lock:
            where = self._where.get(id)
            if where < 0:
                return False
            self._remove(id, where)
            return True

    def clear(self) -> None:
        """Remove everything."""
        with self.lock:
            for partition in self._partitions.values():
                partition.count = 0  # for running searches
            self._partitions = {}
            self._by_scope = {}
            self._by_number = {}
            self._where = Places()

    def ids(self) -> list[int]:
        """Return all ids, in no order."""
        with self.lock:
            return list(self._where)

    def vector(self, id: int) -> Vector | None:
        """Return a copy of the vector under `id`, shape (dimension,), or None."""
        with self.lock:
            where = self._where.get(id)
            if where < 0:
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
        """Return roughly how many vectors a search with these limits would compare."""
        with self.lock:
            return sum(
                p.count if p.lists is None else p.count - p.indexed + p.lists.visits
                for p in self._matching(dimension, namespace, scope, embedder)
            )

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
        """Return up to `k` (id, cosine) pairs, nearest first; equal cosines by descending id.

        Args:
            vector: the query, of any length except zero; vectors of another dimension are ignored.
            k: the most pairs to return, at least 1.
            threshold: lowest cosine, inclusive with a tolerance of 1e-6; zero or less admits all.
            namespace, scope, embedder: search only where these are equal; None does not limit.
        """
        row = unit(vector)
        lowest = threshold - THRESHOLD_TOLERANCE
        query = _Query(row, k, lowest if lowest > 0.0 else -2.0)
        with self.lock:
            partitions = self._matching(row.shape[0], namespace, scope, embedder)
            self.indexer.resume()
        found: list[tuple[float, int]] = []
        for partition in partitions:
            found += self._search_one(partition, query)
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
        self._moved(partition, partition.remove(where & _ROW_MASK))
        self.indexer.look(partition)
        if not partition.count:
            del self._partitions[partition.key], self._by_number[partition.number]
            siblings = self._by_scope[partition.key[0]]
            siblings.remove(partition)
            if not siblings:
                del self._by_scope[partition.key[0]]

    def _moved(self, partition: Partition, pairs: Iterable[tuple[int, int]]) -> None:
        base = partition.number << _ROW_BITS
        for id, row in pairs:
            self._where[id] = base | row

    # ------------------------------------------- for the background, and for what keeps an index in a file

    def partitions(self) -> list[Partition]:
        """Return all partitions."""
        with self.lock:
            return list(self._partitions.values())

    def adopt(
        self,
        key: tuple[str, str, str, int],
        ids: array[int],
        vectors: Vector,
        lists: InvertedLists | None = None,
        indexed: int = 0,
    ) -> Partition:
        """Add a new partition without copying its rows; the first `indexed` of them are in `lists`."""
        with self.lock:
            partition = self._create(key)
            partition.adopt(ids, vectors)
            partition.lists, partition.indexed = lists, indexed
            first = partition.number << _ROW_BITS
            self._where.put(ids, first)
            self.indexer.look(partition)
        return partition

    @contextlib.contextmanager
    def watching(self, partition: Partition, changed: set[int]) -> Iterator[PartitionView | None]:
        """Yield a view of a partition as it is now; rows that change during its use are put in `changed`.

        The view is None when the partition is gone. Rows that are not in `changed` keep their content in its blocks.
        """
        with self.lock:
            if not partition.count or not self.is_current(partition):
                view = None
            else:
                view = partition.view()
                self._watch(partition, changed)
        try:
            yield view
        finally:
            if view is not None:
                with self.lock:
                    self._unwatch(partition, changed)

    def rows_now(self, partition: Partition, numbers: Iterable[int]) -> tuple[array[int], Vector]:
        """Return ids and vectors of those rows in `numbers` that still exist."""
        with self.lock:
            there = [number for number in numbers if number < partition.count]
            vectors = np.empty((len(there), partition.dimension), dtype=np.float32)
            for place, number in enumerate(there):
                vectors[place] = partition.row(number)
            return array("q", [partition.ids[number] for number in there]), vectors

    def take_changed(self, partition: Partition, changed: set[int], count: int) -> list[int]:
        """Empty `changed`; return its rows that are among the first `count`. Call with the lock held."""
        numbers = sorted(number for number in changed if number < min(count, partition.count))
        changed.clear()
        return numbers

    def drop_lists(self) -> None:
        """Go back to scanning every partition. Call with the lock held."""
        for partition in self._partitions.values():
            partition.drop_lists()

    def is_current(self, partition: Partition) -> bool:
        """Return whether the partition still belongs to this index. Call with the lock held."""
        return self._by_number.get(partition.number) is partition

    def take_in(self, partition: Partition, lists: InvertedLists, ids: Sequence[int], rows: Vector) -> None:
        """Mark vectors that were added to lists as indexed, where they have not changed since."""
        with self.lock:
            if partition.lists is not lists or not self.is_current(partition):
                return
            for id, vector in zip(ids, rows, strict=True):
                where = self._where.get(id)
                number = where & _ROW_MASK
                # A changed vector is added again and replaces this one.
                if (
                    where >> _ROW_BITS == partition.number
                    and number >= partition.indexed
                    and np.array_equal(partition.row(number), vector)
                ):
                    self._moved(partition, partition.swap(number, partition.indexed))
                    partition.indexed += 1

    # ------------------------------------------------------------------------------ search

    def _search_one(self, partition: Partition, query: _Query) -> list[tuple[float, int]]:
        wanted = max(_CANDIDATES, 2 * query.k)
        while True:
            found = self._look(partition, query, wanted if wanted <= _MOST_CANDIDATES else 0)
            if found is not None:
                return found
            wanted *= 4

    def _look(self, partition: Partition, query: _Query, wanted: int) -> list[tuple[float, int]] | None:
        """Search once; return None when removed vectors displaced candidates that are farther.

        Args:
            partition: the partition to search.
            query: the query.
            wanted: number of candidates to take from the lists; 0 scans every vector instead.
        """
        changed: set[int] = set()
        with self.lock:
            count, blocks = partition.count, partition.blocks[:]
            if not count:
                return []
            lists, first = partition.lists, partition.indexed if wanted else 0
            self._watch(partition, changed)
        candidates = None
        try:
            if first:
                assert lists is not None
                candidates = lists.search(query.vector, query.k, wanted, query.lowest)
            scores, numbers = _NO_SCORES, []
            if first < count:
                scores = partition.scan(blocks, count, query.vector, first)
                numbers = [first + number for number in top(scores, query.k, query.lowest - SCAN_ERROR)]
        except BaseException:
            with self.lock:
                self._unwatch(partition, changed)
            raise
        with self.lock:
            self._unwatch(partition, changed)
            if changed:
                numbers = _with_changed(numbers, changed, scores, first, query)
            numbers = [number for number in numbers if number < partition.count]
            found = self._weigh(partition, numbers, query)
            if candidates is None or not candidates.ids:
                return found
            found, there = self._weigh_candidates(partition, candidates, query, found)
            return None if there < query.k and len(candidates.ids) == wanted else found

    def _weigh_candidates(
        self, partition: Partition, candidates: Candidates, query: _Query, found: list[tuple[float, int]]
    ) -> tuple[list[tuple[float, int]], int]:
        """Return `found` plus the near candidates, and how many of these still exist. Call with the lock held.

        Candidates are skipped that cannot be among the k nearest, once k of them are known to exist.
        """
        known = {id for _, id in found}
        there: set[int] = set()
        ids, estimates, slack = candidates
        first_few = max(query.k, _FIRST_WEIGHED)
        for first, end in ((0, first_few), (first_few, len(ids))):
            rows: list[int] = []
            least = query.lowest - slack
            for id, estimate in zip(ids[first:end], estimates[first:end], strict=True):
                if estimate < least and len(there) >= query.k:
                    break  # the estimates fall
                where = self._where.get(id)
                if where >> _ROW_BITS != partition.number or id in there:
                    continue
                there.add(id)
                if id not in known:
                    rows.append(where & _ROW_MASK)
            found = found + self._weigh(partition, rows, query)
            if len(found) >= query.k:
                kth = sorted(cosine for cosine, _ in found)[-query.k]
                query = _Query(query.vector, query.k, max(query.lowest, kth))
        return found, len(there)

    @staticmethod
    def _weigh(partition: Partition, numbers: list[int], query: _Query) -> list[tuple[float, int]]:
        """Return (cosine, id) of the rows whose cosine reaches `query.lowest`. Call with the lock held."""
        if not numbers:
            return []
        near = partition.cosines(numbers, query.vector, query.lowest)
        return [(cosine, partition.ids[number]) for cosine, number in near]

    @staticmethod
    def _watch(partition: Partition, changed: set[int]) -> None:
        if partition.watchers is None:
            partition.watchers = {}
        partition.watchers[id(changed)] = changed

    @staticmethod
    def _unwatch(partition: Partition, changed: set[int]) -> None:
        assert partition.watchers is not None
        del partition.watchers[id(changed)]
        if not partition.watchers:
            partition.watchers = None


def _with_changed(numbers: list[int], changed: set[int], scores: Vector, first: int, query: _Query) -> list[int]:
    """Return the nearest rows of a scan, plus all rows that were written while it ran.

    The scores of rows written during the scan are invalid: their current content must be compared.
    """
    if not changed.isdisjoint(numbers):
        end = first + len(scores)
        scores[[number - first for number in changed if first <= number < end]] = np.float32(-3.0)
        again = [first + number for number in top(scores, query.k, query.lowest - SCAN_ERROR)]
        numbers = [number for number in again if number not in changed]
    return [*numbers, *changed]
