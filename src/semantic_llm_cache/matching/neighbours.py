"""Exact nearest stored rows for a stream of rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from semantic_llm_cache.similarity.base import THRESHOLD_TOLERANCE

__all__ = ["Neighbours"]

Array = npt.NDArray[np.float32]


class Neighbours:
    """Finds the stored rows nearest to each row of a stream, while rows are being stored.

    Cosines are computed for a block of rows at a time against all that is stored, in one matrix product,
    and inside the block, so that a row may be stored right before the next one asks. Memory: a copy of
    the vectors and `block` times the stored rows, in float32.

    Args:
        vectors: unit vectors, shape (rows, dimension).
        block: rows per matrix product.

    Example:
        >>> near = Neighbours(np.eye(2, dtype=np.float32)[[0, 1, 0]])
        >>> near.add(0); near.add(1)
        >>> near.nearest(2, 8, 0.5)
        [(0, 1.0)]
    """

    def __init__(self, vectors: Array, *, block: int = 256) -> None:
        self._vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        self._block = block
        self._stored = np.empty_like(self._vectors)
        self._rows = np.empty(len(vectors), dtype=np.int64)
        self._count = 0
        self._first = self._end = 0
        self._older = 0  # how many rows were stored when the block began
        self._to_older: Array = np.empty((0, 0), dtype=np.float32)
        self._inside: Array = np.empty((0, 0), dtype=np.float32)

    def add(self, row: int) -> None:
        """Store a row, so that later rows can find it."""
        self._stored[self._count] = self._vectors[row]
        self._rows[self._count] = row
        self._count += 1

    def nearest(self, row: int, k: int, floor: float) -> list[tuple[int, float]]:
        """Return up to `k` stored rows with their cosines, nearest first, at or above `floor`.

        Rows must be asked about in ascending order; some may be left out.
        """
        if row >= self._end:
            self._begin(row)
        offset = row - self._first
        line = self._to_older[offset]
        if self._count > self._older:
            new = self._rows[self._older : self._count]
            line = np.concatenate([line, self._inside[offset, new - self._first]])
        found = np.flatnonzero(line >= floor - THRESHOLD_TOLERANCE)
        if len(found) > k:
            found = found[np.argpartition(-line[found], k - 1)[:k]]
        found = found[np.lexsort((found, -line[found]))]
        cosines = np.minimum(line[found], 1.0)
        return list(zip(self._rows[found].tolist(), cosines.tolist(), strict=True))

    def _begin(self, row: int) -> None:
        self._first, self._end = row, min(row + self._block, len(self._vectors))
        self._older = self._count
        block = self._vectors[self._first : self._end]
        self._to_older = block @ self._stored[: self._count].T
        self._inside = block @ block.T
