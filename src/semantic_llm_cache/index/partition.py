"""One partition of the index: the unit vectors of one scope, in blocks for exact scans."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from semantic_llm_cache.index.inverted import InvertedLists
from semantic_llm_cache.index.linear import Vector, dots

if TYPE_CHECKING:
    import numpy.typing as npt

    Scores = npt.NDArray[np.float32]
else:  # numpy.typing takes half a millisecond to import
    Scores = np.ndarray

__all__ = ["Partition", "PartitionView", "top"]


# Rows are stored in blocks of this size, so that adding never copies more than one block (about 1 ms).
# A matrix-vector product over 4 MiB takes about 200 us, its call overhead 2 us.
_BLOCK_BYTES = 4 << 20
_FEW = 8


class PartitionView(NamedTuple):
    """A snapshot of a partition."""

    ids: array[int]
    blocks: list[Vector]
    lists: InvertedLists | None
    indexed: int


class Partition:
    """Vectors of one dimension and their ids, row by row; the last row takes the place of a removed one.

    In a large partition the first `indexed` rows are also in `lists`; the others are scanned.

    A partition has no lock: `VectorIndex` holds its own around every method except `scan`. A scan works on
    a snapshot while rows change; `watchers` are the sets in which running scans collect the rows that
    were written during the scan, to check them again.
    """

    __slots__ = ("blocks", "count", "dimension", "ids", "indexed", "key", "lists", "number", "watchers")

    def __init__(self, key: tuple[str, str, str, int], number: int) -> None:
        self.key = key
        self.number = number
        self.dimension = key[3]
        self.count = 0
        self.ids = array("q")
        self.blocks: list[Vector] = []
        self.watchers: dict[int, set[int]] | None = None
        self.lists: InvertedLists | None = None
        self.indexed = 0

    @property
    def block_rows(self) -> int:
        """Return how many rows a full block holds."""
        return max(1, _BLOCK_BYTES // (4 * self.dimension))

    @property
    def nbytes(self) -> int:
        """Return the bytes held for vectors, ids and lists."""
        lists = 0 if self.lists is None else self.lists.nbytes
        return sum(block.nbytes for block in self.blocks) + self.ids.itemsize * len(self.ids) + lists

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

    def write(self, number: int, vector: Vector) -> list[tuple[int, int]]:
        """Replace the vector in row `number`; return (id, new row) of the vectors that moved."""
        moved = []
        if number < self.indexed:
            last = self.indexed - 1
            moved = self.swap(number, last)
            self.indexed = number = last
        self.row(number)[:] = vector
        self._changed(number)
        return moved

    def swap(self, one: int, other: int) -> list[tuple[int, int]]:
        """Exchange two rows; return (id, new row) of the vectors that moved."""
        if one == other:
            return []
        ids = self.ids
        vector = self.row(one).copy()
        self.row(one)[:] = self.row(other)
        self.row(other)[:] = vector
        ids[one], ids[other] = ids[other], ids[one]
        self._changed(one)
        self._changed(other)
        return [(ids[one], one), (ids[other], other)]

    def remove(self, number: int) -> list[tuple[int, int]]:
        """Remove row `number`; return (id, new row) of the vectors that moved."""
        moved = []
        if number < self.indexed:
            # Indexed rows stay in front: the last of them moves here, and the last row of all takes its place.
            self.indexed -= 1
            moved += self._move(self.indexed, number)
            number = self.indexed
        last = self.count - 1
        moved += self._move(last, number)
        self.ids.pop()
        self.count = last
        self._changed(last)
        self._release()
        return moved

    def _move(self, source: int, target: int) -> list[tuple[int, int]]:
        if source == target:
            return []
        self.row(target)[:] = self.row(source)
        self.ids[target] = self.ids[source]
        self._changed(target)
        return [(self.ids[target], target)]

    def view(self) -> PartitionView:
        """Return a snapshot of the partition: ids copied, blocks shared."""
        return PartitionView(array("q", self.ids), self.blocks[:], self.lists, self.indexed)

    def drop_lists(self) -> None:
        """Go back to scanning all rows."""
        self.lists = None
        self.indexed = 0

    def rows(self, first: int, count: int) -> Vector:
        """Return a copy of some rows, shape (count, dimension)."""
        block, offset = divmod(first, self.block_rows)
        if len(self.blocks) == 1 or offset + count <= self.block_rows:
            copy: Vector = self.blocks[block][offset : offset + count].copy()
            return copy
        return np.stack([self.row(number) for number in range(first, first + count)])

    def adopt(self, ids: array[int], vectors: Vector) -> None:
        """Take over ids and rows, shape (len(ids), dimension), without copying full blocks.

        The partition must be empty. `vectors` must be writable, and belongs to the partition from then on.
        """
        rows, count = self.block_rows, len(ids)
        self.blocks = [vectors[start : start + rows] for start in range(0, count, rows)]
        if count % rows:  # not a full block: copy it, since rows will be added
            last = np.empty((rows if count > rows else count, self.dimension), dtype=np.float32)
            last[: count % rows] = self.blocks[-1]
            self.blocks[-1] = last
        self.ids = ids
        self.count = count

    def _changed(self, number: int) -> None:
        if self.watchers:
            for rows in self.watchers.values():
                rows.add(number)

    def _reserve(self, number: int, more: int = 1) -> None:
        """Make room for row `number`, and for `more` rows in total if the first block can hold them."""
        rows = self.block_rows
        if number >= rows:
            if number == len(self.blocks) * rows:
                self.blocks.append(np.empty((rows, self.dimension), dtype=np.float32))
            return
        capacity = self.blocks[0].shape[0] if self.blocks else 0
        if number < capacity:
            return
        # Grow in small steps: thousands of scopes with ten entries must not take twice the memory of their vectors.
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
        # Make a new array and a new list: a running scan keeps the old ones.
        block = np.empty((capacity, self.dimension), dtype=np.float32)
        if self.count:
            block[: self.count] = self.blocks[0][: self.count]
        self.blocks = [block, *self.blocks[1:]]

    @staticmethod
    def scan(blocks: list[Vector], count: int, vector: Vector, first: int = 0) -> Scores:
        """Return the dot products of rows `first` to `count` with `vector`. Needs no lock."""
        if len(blocks) == 1:
            return dots(blocks[0][first:count], vector)
        scores = np.empty(count - first, dtype=np.float32)
        rows = blocks[0].shape[0]
        number, offset = divmod(first, rows)
        done = 0
        while done < len(scores):
            block = blocks[number][offset : offset + len(scores) - done]
            dots(block, vector, scores[done : done + len(block)])
            done += len(block)
            number, offset = number + 1, 0
        return scores

    def cosines(self, numbers: list[int], vector: Vector) -> list[float]:
        """Return the cosines of some rows with `vector`, in double precision."""
        wide = vector.astype(np.float64)
        if len(numbers) <= _FEW:
            return self._few_cosines(numbers, wide)
        rows = np.array([self.row(number) for number in numbers], dtype=np.float64)
        # Lengths may differ from 1 by 1e-6, which is the whole tolerance of the threshold: divide by them.
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows) * (wide @ wide))
        values: list[float] = np.clip((rows @ wide) / lengths, -1.0, 1.0).tolist()
        return values

    def _few_cosines(self, numbers: list[int], wide: npt.NDArray[np.float64]) -> list[float]:
        """Do `cosines` row by row, which is faster for a few."""
        square, values = float(wide.dot(wide)), []
        for number in numbers:
            row = self.row(number).astype(np.float64)
            values.append(max(-1.0, min(1.0, float(row.dot(wide)) / (float(row.dot(row)) * square) ** 0.5)))
        return values


def top(scores: Scores, k: int, floor: float) -> list[int]:
    """Return the indices of up to `k` highest scores at or above `floor`, in no order."""
    if not len(scores):
        return []
    if k == 1:
        best = int(np.argmax(scores))
        return [best] if scores[best] >= floor else []
    hits = np.flatnonzero(scores >= np.float32(floor))
    if len(hits) > k:
        hits = hits[np.argpartition(scores[hits], len(hits) - k)[-k:]]
    numbers: list[int] = hits.tolist()
    return numbers
