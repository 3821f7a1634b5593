"""The HNSW graph of one large partition: candidates for a query, to be weighed again by exact cosine."""

from __future__ import annotations

import importlib.util
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from semantic_llm_cache.index.locks import fork_safe_lock
from semantic_llm_cache.index.partition import Vector

__all__ = ["Graph", "is_installed"]

# Of HNSW (Malkov and Yashunin, arXiv:1603.09320): links a node, breadth of the search when adding and when
# searching. Measured on clustered vectors of 384 numbers, see docs/storage.md.
_CONNECTIVITY = 16
_EXPANSION_ADD = 96
_EXPANSION_SEARCH = 64

# What a cosine of 8-bit vectors may be off; only candidates within it of the threshold are weighed again.
_ROUGHNESS = 0.03


# Keys of usearch are unsigned, and the highest one is taken: ids are moved up by half the range.
_HALF = 1 << 63


# A fork waits for the end of the import: the child could not go on with it, nor begin it again.
_importing = fork_safe_lock()


def is_installed() -> bool:
    """Tell whether the extra `hnsw` is installed."""
    return importlib.util.find_spec("usearch") is not None


def coarse(rows: Vector) -> npt.NDArray[np.int8]:
    """Return rows of shape (n, dimension) in 8 bits a number, each scaled to its own largest one.

    The graph compares by cosine, which a scale does not change; rounding moves it by some .002 at 384
    dimensions.
    """
    scale = np.abs(rows).max(axis=1, keepdims=True)
    numbers: npt.NDArray[np.int8] = np.rint(rows * (np.float32(127.0) / scale)).astype(np.int8)
    return numbers


class Graph:
    """Ids by their neighbourhood, in 8 bits a number. Only one thread may change it; any may search.

    All calls of usearch but `save` run under one lock: its Python binding does not say what may run beside
    what, and a call takes less than some milliseconds.
    """

    __slots__ = ("_index", "_lock", "_waiting", "dimension", "gone", "ready", "tombstones")

    def __init__(self, dimension: int, *, ready: bool = True) -> None:
        self.dimension = dimension
        self.ready = ready
        """False until a graph that comes from a file has been read: all rows are scanned until then."""
        self.gone: deque[int] = deque()
        """Ids removed from the partition and not yet from here; guarded by the lock of the `VectorIndex`."""
        self.tombstones = 0
        self._lock = fork_safe_lock()
        self._waiting = 0
        self._index: Any = _new(dimension) if ready else None

    def __len__(self) -> int:
        return 0 if self._index is None else len(self._index)

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return 0 if self._index is None else int(self._index.memory_usage)

    def forget(self, id: int) -> None:
        """Note that `id` is not in the partition any more, or has another vector."""
        self.gone.append(id)

    def search(self, vector: Vector, count: int, lowest: float) -> tuple[list[int], bool]:
        """Return ids of up to `count` near neighbours that may reach `lowest`, and whether there may be more."""
        query = coarse(vector.reshape(1, -1))[0]
        self._waiting += 1  # not exact under threads; the one who adds only looks whether it is zero
        try:
            with self._lock:
                matches = self._index.search(query, count, threads=1)
        finally:
            self._waiting -= 1
        near = np.asarray(matches.distances) <= 1.0 - lowest + _ROUGHNESS
        keys = np.asarray(matches.keys, dtype=np.uint64)[near]
        ids: list[int] = (keys ^ np.uint64(_HALF)).view(np.int64).tolist()
        return ids, len(ids) == count

    # ------------------------------------------------- for the one thread that changes the graph

    def change(self, gone: Sequence[int], ids: Sequence[int], rows: Vector) -> float:
        """Remove the ids in `gone`, then add `ids` with their rows; return the seconds that took."""
        data = coarse(rows) if len(ids) else None
        for _ in range(50):  # a lock is not fair: let those who search go first
            if self._waiting <= 0:
                break
            time.sleep(0.0002)
        with self._lock:
            start = time.perf_counter()
            index = self._index
            for id in gone:
                self._remove(id)
            if data is not None:
                for id in ids:
                    self._remove(id)  # a key that is there already would be an error
                index.add(np.array(ids, dtype=np.int64).view(np.uint64) ^ np.uint64(_HALF), data, threads=1)
                self.tombstones = max(0, self.tombstones - len(ids))
            return time.perf_counter() - start

    def _remove(self, id: int) -> None:
        key = id + _HALF
        if key in self._index:
            self.tombstones += int(self._index.remove(key, threads=1))

    def save(self, path: str) -> None:
        """Write the graph to a file. Searches may run meanwhile, changes may not."""
        self._index.save(path)

    def load(self, data: Any) -> None:
        """Take over what `save` wrote, from a buffer. ValueError if it is not a graph of this kind."""
        index = _new(self.dimension)
        try:
            index.load(data)
        except Exception as error:  # usearch raises what it likes
            raise ValueError(f"not a graph: {error}") from error
        if index.ndim != self.dimension or str(index.dtype).rpartition(".")[2].lower() != "i8":
            raise ValueError(f"a graph of {index.ndim} dimensions in {index.dtype}")
        index.expansion_add, index.expansion_search = _EXPANSION_ADD, _EXPANSION_SEARCH
        self._index = index


def _new(dimension: int) -> Any:
    with _importing:
        from usearch.index import Index

    return Index(
        ndim=dimension,
        metric="cos",
        dtype="i8",
        connectivity=_CONNECTIVITY,
        expansion_add=_EXPANSION_ADD,
        expansion_search=_EXPANSION_SEARCH,
    )
