"""Inverted lists of millions of vectors: a quarter of the memory, and a build that needs little more than they keep."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from semantic_llm_cache.index.groups import Groups, assign_near
from semantic_llm_cache.index.inverted import (
    PER_CENTROID,
    WIDTH,
    InvertedLists,
    L,
    Rows,
    learn_basis,
    list_count,
    new_list,
    pick,
    shorten,
)
from semantic_llm_cache.index.kmeans import kmeans
from semantic_llm_cache.index.linear import Matrix, Vector, dots, product
from semantic_llm_cache.index.sketches import Sketches

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["CompactLists"]

_STEPS = 127.0  # a number of a short vector lies between -1 and 1
_FINER = 2  # so many times the lists of `InvertedLists`: each is shorter, and its vectors are more alike
_PROBES = ((0.9, 32), (0.8, 64), (0.7, 96), (-2.0, 160))  # as in `InvertedLists`, of lists half as long
_MARGIN = 0.12  # one this much nearer than wanted is as likely to be in the lists searched
_ROOM = 32
_CHUNK = 1024
_PIECE = 64 * _CHUNK  # vectors whose short vectors are held as float32 at one time
_SCAN_ROWS = 2048  # rows made float32 at one time: 786 KB, which stay in the cache of a core


class CompactLists(InvertedLists):
    """Inverted lists whose short vectors have 8 bits a number, with sketches to search far more than a few lists.

    A number is rounded to the nearest of 255 steps of 1/127. The product of a short vector with a query then differs
    from that of the float32 vector by 0.0023 on average (1 / 127 / sqrt(12), as both have at most length 1), which
    is little beside what the short vector leaves out. What is found is compared by exact cosine anyway.
    """

    kind: ClassVar[np.dtype[Any]] = np.dtype(np.int8)
    rounding: ClassVar[float] = 0.01  # four times the typical error

    __slots__ = ("_sketches",)

    _sketches: Sketches

    @classmethod
    def build(
        cls, ids: array[int], blocks: Sequence[Vector], count: int, pause: Callable[[], None], *, coarse: bool = False
    ) -> CompactLists:
        """Do `InvertedLists.build` in pieces. `coarse` changes nothing.

        Beside the lists and sketches (144 bytes a vector), this takes 96 bytes a vector for the codes in the order of
        the rows, and some 300 MB for ten million vectors to learn the centroids from a sample.
        """
        random = np.random.default_rng(count)
        basis = learn_basis(blocks, count, random, pause)
        k = min(count, _FINER * list_count(count))
        picked = np.sort(random.choice(count, min(count, PER_CENTROID * k), replace=False))
        some = np.empty((len(picked), min(WIDTH, blocks[0].shape[1])), dtype=np.float32)
        for first in range(0, len(picked), _CHUNK):
            some[first : first + _CHUNK] = shorten(pick(blocks, picked[first : first + _CHUNK]), basis)
            pause()
        lists = cls(blocks[0].shape[1], basis, kmeans(some, k, random, pause, assign_near))
        del some
        lists._take(np.frombuffer(ids, dtype=np.int64, count=count), blocks, pause)
        lists.trained = count
        return lists

    def _take(self, ids: npt.NDArray[np.int64], blocks: Sequence[Vector], pause: Callable[[], None]) -> None:
        """Fill the empty lists with the first `len(ids)` rows of `blocks`."""
        count, width = len(ids), self._centroids.shape[1]
        groups = Groups(self._centroids, pause)
        nearest = np.empty(count, dtype=np.uint16 if len(self._lists) <= 1 << 16 else np.uint32)
        codes = np.empty((count, width), dtype=np.int8)
        short = np.empty((min(count, _PIECE), width), dtype=np.float32)
        for first in range(0, count, _PIECE):
            end = min(count, first + _PIECE)
            for start in range(first, end, _CHUNK):
                stop = min(end, start + _CHUNK)
                short[start - first : stop - first] = shorten(_rows(blocks, start, stop), self._basis)
                codes[start:stop] = _codes(short[start - first : stop - first])
                pause()
            nearest[first:end] = groups.assign(short[: end - first])
        self._divide(ids, codes, nearest, pause)
        self._sketch(pause)

    def _sketch(self, pause: Callable[[], None]) -> None:
        """Make the sketches of all that the lists hold."""
        sketches = Sketches(self._centroids)
        for region, numbers in enumerate(sketches.lists_of()):
            lists = [self._lists[number] for number in numbers]
            made = [sketches.make(_short(codes[:length])) for codes, _, length in lists]
            if made:
                sketches.fill(region, np.concatenate(made), numbers, [length for *_, length in lists])
            pause()
        self._sketches = sketches

    def add(self, ids: Sequence[int], rows: Vector) -> None:
        """Add ids with their vectors, shape (len(ids), dimension). Only one thread at a time."""
        short = shorten(np.ascontiguousarray(rows), self._basis)
        nearest: list[int] = product(short, np.ascontiguousarray(self._centroids.T)).argmax(axis=1).tolist()
        places = []
        for id, number, row in zip(ids, nearest, _codes(short), strict=True):
            there, own, count = self._lists[number]
            if count == len(own):
                there, own, _ = new_list(there[:count], own[:count], max(_ROOM, count + count // 4))
            there[count] = row
            own[count] = id
            self._put(number, (there, own, count + 1))
            places.append(count)
        self._sketches.add(short, nearest, places)
        self.count += len(ids)

    @property
    def nbytes(self) -> int:
        """Return the number of bytes allocated."""
        return super().nbytes + self._sketches.nbytes

    @property
    def visits(self) -> int:
        """Return roughly how many whole vectors can be compared in the time of one search that uses all sketches."""
        return super().visits + self.count // 12

    # ------------------------------------------------------------------------------ searching

    def _look(self, query: Matrix, k: int, lowest: float, own: float) -> tuple[Matrix, npt.NDArray[np.int64]]:
        """Return estimates and ids: all in the nearest lists, then what sketches find in others.

        As in `InvertedLists`, lists are searched until one vector is near enough. Among millions of vectors, these
        lists are too small a part to hold the nearest one when it is not very near.
        """
        lists = self._lists
        near = dots(self._centroids, query) + self._empty
        ends = [probes for _, probes in _PROBES if probes < len(lists)]
        order = (-near).argpartition([end - 1 for end in ends]).tolist() if ends else list(range(len(lists)))
        scaled = query * np.float32(1 / _STEPS)
        scores: list[Matrix] = [np.zeros(0, dtype=np.float32)]
        ids: list[npt.NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
        done, best = 0, -1.0
        for cosine, probes in _PROBES:
            best = max(best, self._scan(order[done:probes], scaled, scores, ids) / own)
            done = min(probes, len(lists))
            if best >= max(lowest, cosine) + _MARGIN:
                break
            if lowest >= cosine - 1e-3:
                break
        if done < len(lists) and best < max(lowest, cosine) + _MARGIN:
            self._look_beyond(order[:done], query, max(lowest, best), scores, ids)
        return np.concatenate(scores), np.concatenate(ids)

    def _scan(
        self, numbers: Sequence[int], scaled: Matrix, scores: list[Matrix], ids: list[npt.NDArray[np.int64]]
    ) -> float:
        """Append the products and ids of the lists `numbers`; return the highest product."""
        lists, best = self._lists, -1.0
        whole = np.empty((_SCAN_ROWS, len(scaled)), dtype=np.float32)
        for number in numbers:
            codes, own, length = lists[number]
            for first in range(0, length, _SCAN_ROWS):
                some = codes[first : min(length, first + _SCAN_ROWS)]
                np.copyto(whole[: len(some)], some)  # numpy has no fast product of 8-bit numbers
                scores.append(dots(whole[: len(some)], scaled))
                best = max(best, float(scores[-1].max()))
            if length:
                ids.append(own[:length])
        return best

    def _look_beyond(
        self, seen: list[int], query: Matrix, cosine: float, scores: list[Matrix], ids: list[npt.NDArray[np.int64]]
    ) -> None:
        """Append what sketches find outside the lists `seen`."""
        numbers, places = self._sketches.search(query, cosine)
        known = np.zeros(len(self._lists), dtype=bool)
        known[seen] = True
        other = ~known[numbers]
        if other.any():
            lists = self._lists
            pairs = list(zip(numbers[other].tolist(), places[other].tolist(), strict=True))
            codes = np.stack([lists[number][0][place] for number, place in pairs])
            scores.append(dots(_short(codes), query))
            ids.append(np.array([lists[number][1][place] for number, place in pairs], dtype=np.int64))

    # ------------------------------------------------------------------------------ in a file

    @classmethod
    def restore(cls: type[L], dimension: int, lengths: list[int], trained: int, data: memoryview) -> L:
        """Rebuild lists from what `parts` returned, and their sketches. Raise ValueError if the sizes do not match."""
        lists: Any = super().restore(dimension, lengths, trained, data)
        lists._sketch(lambda: None)
        return lists  # type: ignore[no-any-return]


def _codes(short: Matrix) -> Rows:
    """Return short vectors as the lists hold them."""
    codes: Rows = np.rint(short * np.float32(_STEPS)).clip(-127, 127).astype(np.int8)
    return codes


def _short(codes: Rows) -> Matrix:
    """Return the short vectors of codes."""
    short: Matrix = codes.astype(np.float32)
    short *= np.float32(1 / _STEPS)
    return short


def _rows(blocks: Sequence[Vector], start: int, stop: int) -> Vector:
    """Return rows `start` to `stop` of `blocks`, copied where they lie in two of them."""
    per_block = len(blocks[0])
    number, offset = divmod(start, per_block)
    own = blocks[number][offset : offset + stop - start]
    return own if len(own) == stop - start else np.concatenate([own, _rows(blocks, start + len(own), stop)])
