"""One partition of the index: the unit vectors of one scope, scanned exactly."""

from __future__ import annotations

from array import array

import numpy as np
import numpy.typing as npt

__all__ = ["Partition", "top"]

Vector = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float32]

# Rows live in blocks of this size, so that growth never copies more than one block (about 1 ms) on
# the thread that adds. A matrix-vector product over 4 MiB takes some 200 us, its call 2 us.
_BLOCK_BYTES = 4 << 20


class Partition:
    """Vectors of one dimension and their ids, row by row, the last row moving into a removed one's place.

    A partition has no lock: `VectorIndex` holds its own around every method but `scan`. A scan works on
    a snapshot while rows change; `watchers` are the sets in which running scans collect the rows that
    were written meanwhile, to be looked at again.
    """

    __slots__ = ("blocks", "count", "dimension", "ids", "key", "number", "watchers")

    def __init__(self, key: tuple[str, str, str, int], number: int) -> None:
        self.key = key
        self.number = number
        self.dimension = key[3]
        self.count = 0
        self.ids = array("q")
        self.blocks: list[Vector] = []
        self.watchers: dict[int, set[int]] | None = None

    @property
    def block_rows(self) -> int:
        """How many rows a full block holds."""
        return max(1, _BLOCK_BYTES // (4 * self.dimension))

    @property
    def nbytes(self) -> int:
        """Bytes held for vectors and ids."""
        return sum(block.nbytes for block in self.blocks) + self.ids.itemsize * len(self.ids)

    def row(self, number: int) -> Vector:
        """Return row `number`, a view of shape (dimension,)."""
        if len(self.blocks) == 1:
            view: Vector = self.blocks[0][number]
        else:
            block, offset = divmod(number, self.block_rows)
            view = self.blocks[block][offset]
        return view

    def append(self, id: int, vector: Vector) -> int:
        """Add a row and return its number."""
        number = self.count
        self._reserve(number)
        self.row(number)[:] = vector
        self.ids.append(id)
        self.count = number + 1
        self._changed(number)
        return number

    def extend(self, ids: list[int], vectors: Vector) -> int:
        """Add rows, shape (len(ids), dimension); return the number of the first."""
        first, rows, end = self.count, self.block_rows, self.count + len(ids)
        while self.count < end:
            self._reserve(self.count, end - self.count)
            block, offset = divmod(self.count, rows)
            space = self.blocks[block][offset : offset + end - self.count]
            done = self.count - first
            space[:] = vectors[done : done + len(space)]
            self.count += len(space)
        self.ids.extend(ids)
        for number in range(first, end) if self.watchers else ():
            self._changed(number)
        return first

    def write(self, number: int, vector: Vector) -> None:
        """Replace the vector in row `number`."""
        self.row(number)[:] = vector
        self._changed(number)

    def remove(self, number: int) -> int | None:
        """Take row `number` out; return the id that now lies there, None when it was the last row."""
        last = self.count - 1
        moved = None
        if number != last:
            self.row(number)[:] = self.row(last)
            moved = self.ids[number] = self.ids[last]
            self._changed(number)
        self.ids.pop()
        self.count = last
        self._changed(last)
        self._release()
        return moved

    def _changed(self, number: int) -> None:
        if self.watchers:
            for rows in self.watchers.values():
                rows.add(number)

    def _reserve(self, number: int, more: int = 1) -> None:
        """Make room for row `number`, and for `more` in all if the first block can hold them."""
        rows = self.block_rows
        if number >= rows:
            if number == len(self.blocks) * rows:
                self.blocks.append(np.empty((rows, self.dimension), dtype=np.float32))
            return
        capacity = self.blocks[0].shape[0] if self.blocks else 0
        if number < capacity:
            return
        # Small steps: thousands of scopes of ten entries must not cost twice their vectors.
        wanted = max(1, 2 * capacity) if capacity < 8 else capacity + max(4, capacity // 4)
        self._resize_first(min(rows, max(wanted, number + more)))

    def _release(self) -> None:
        rows = self.block_rows
        if len(self.blocks) > 1:
            if self.count <= (len(self.blocks) - 1) * rows:
                self.blocks.pop()
        elif self.blocks[0].shape[0] > 4 and 4 * self.count < self.blocks[0].shape[0]:
            self._resize_first(max(2, 2 * self.count))

    def _resize_first(self, capacity: int) -> None:
        # A new array and a new list: a running scan keeps the old ones.
        block = np.empty((capacity, self.dimension), dtype=np.float32)
        if self.count:
            block[: self.count] = self.blocks[0][: self.count]
        self.blocks = [block, *self.blocks[1:]]

    @staticmethod
    def scan(blocks: list[Vector], count: int, vector: Vector) -> Scores:
        """Return the dot products of the first `count` rows with `vector`, shape (count,). Needs no lock."""
        if len(blocks) == 1:
            scores: Scores = blocks[0][:count] @ vector
            return scores
        scores = np.empty(count, dtype=np.float32)
        start = 0
        for block in blocks:
            stop = min(start + block.shape[0], count)
            np.dot(block[: stop - start], vector, out=scores[start:stop])
            start = stop
        return scores

    def cosines(self, numbers: list[int], vector: Vector) -> list[float]:
        """Return the cosines of some rows with `vector`, in double precision."""
        wide = vector.astype(np.float64)
        rows = np.array([self.row(number) for number in numbers], dtype=np.float64)
        # Lengths may be off 1 by 1e-6, which is all of the threshold's tolerance: divide by them.
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows) * (wide @ wide))
        values: list[float] = np.clip((rows @ wide) / lengths, -1.0, 1.0).tolist()
        return values


def top(scores: Scores, k: int, floor: float) -> list[int]:
    """Return the numbers of the (up to) `k` highest scores at or above `floor`, in no order."""
    if k == 1:
        best = int(scores.argmax())
        return [best] if scores[best] >= floor else []
    hits = np.flatnonzero(scores >= np.float32(floor))
    if len(hits) > k:
        hits = hits[np.argpartition(scores[hits], len(hits) - k)[-k:]]
    numbers: list[int] = hits.tolist()
    return numbers
