"""Sketches of short vectors, one bit for each of 256 directions: millions can be compared in milliseconds."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from semantic_llm_cache.index.kmeans import assign, kmeans
from semantic_llm_cache.index.linear import Matrix, product

if TYPE_CHECKING:
    import numpy.typing as npt

    Positions = npt.NDArray[np.uint64]
else:  # numpy.typing takes half a millisecond to import
    Positions = np.ndarray

__all__ = ["Sketches"]

_WORDS = 4
_BITS = 64 * _WORDS
_LISTS = 32  # lists in a region, on average
_ROOM = 64  # sketches by which a region grows at least
_CHUNK = 1 << 15  # sketches compared at one time, by their first words: 256 KB
_DEVIATIONS = 2.5  # bits of more than so many standard deviations too many rule a vector out
_PLACE_BITS = 32
_MOST = 1024  # positions that a search returns at most
# How much of all is searched, by the wanted cosine. Measured on generated clusters, see docs/storage.md.
_SHARES = ((0.95, 0.1), (0.9, 0.25), (0.85, 0.5))


class _Region(NamedTuple):
    """Sketches, shape (4, room), and the position of each. Only what comes after the first `length` changes."""

    bits: npt.NDArray[np.uint64]
    positions: Positions
    length: int


class Sketches:
    """One bit per direction: whether the vector lies on its one side or the other, seen from the middle of all.

    Two vectors at an angle a differ in about 256 a / pi bits (Charikar, 2002, doi:10.1145/509907.509965), with a
    deviation of some 7. So bits say which few hundred of millions are worth comparing by more exact numbers. Bits are
    counted 64 at a time, and each time what differs in too many is left out: the first 64 rule out most.

    Sketches lie in regions: lists whose centroids are near to each other. A search looks at the regions nearest to
    the query, more of them for a lower cosine. All of this follows from the centroids, so none of it is kept in files.

    One thread may add at a time while any number search.

    Args:
        centroids: of the lists, shape (k, d).
    """

    __slots__ = ("_heads", "_middle", "_region_of", "_regions", "_rotation")

    def __init__(self, centroids: Matrix) -> None:
        count, width = centroids.shape
        random = np.random.default_rng(count)
        turns = -(-_BITS // width)
        columns = [np.linalg.qr(random.standard_normal((width, width)))[0] for _ in range(turns)]
        self._rotation: Matrix = np.ascontiguousarray(np.concatenate(columns, axis=1)[:, :_BITS], dtype=np.float32)
        self._middle: Matrix = centroids.mean(axis=0)
        self._heads = kmeans(centroids, max(1, count // _LISTS), random, _no_pause)
        self._region_of: list[int] = assign(centroids, self._heads, _no_pause).tolist()
        nothing = _Region(np.zeros((_WORDS, 0), dtype=np.uint64), np.zeros(0, dtype=np.uint64), 0)
        self._regions = [nothing] * len(self._heads)

    @property
    def nbytes(self) -> int:
        """Return the number of bytes allocated."""
        return sum(region.bits.nbytes + region.positions.nbytes for region in self._regions)

    def lists_of(self) -> list[list[int]]:
        """Return for each region the numbers of its lists."""
        lists: list[list[int]] = [[] for _ in self._regions]
        for number, region in enumerate(self._region_of):
            lists[region].append(number)
        return lists

    def make(self, short: Matrix) -> npt.NDArray[np.uint64]:
        """Return the sketches of short vectors, shape (n, d): shape (n, 4)."""
        sides = product(short - self._middle, self._rotation) > 0
        return np.packbits(sides, axis=1, bitorder="little").view(np.uint64)

    def fill(self, region: int, sketches: npt.NDArray[np.uint64], numbers: list[int], lengths: list[int]) -> None:
        """Give an empty region the sketches of its lists: those of the first list, of the second, and so on."""
        starts = np.repeat(np.asarray(numbers, dtype=np.uint64) << np.uint64(_PLACE_BITS), lengths)
        places = np.concatenate([np.arange(length, dtype=np.uint64) for length in lengths])
        self._regions[region] = _Region(np.ascontiguousarray(sketches.T), starts | places, len(places))

    def add(self, short: Matrix, numbers: list[int], places: list[int]) -> None:
        """Add vectors that have just been put into lists at these places."""
        for sketch, number, place in zip(self.make(short), numbers, places, strict=True):
            which = self._region_of[number]
            bits, positions, count = self._regions[which]
            if count == len(positions):
                room = count + max(_ROOM, count // 8)
                bits, positions = _grown(bits, room), _grown(positions, room)
            bits[:, count] = sketch
            positions[count] = number << _PLACE_BITS | place
            # Write first, then raise the count: searches need no lock.
            self._regions[which] = _Region(bits, positions, count + 1)

    def search(self, query: Matrix, cosine: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return list numbers and places of up to 1,024 vectors that may reach a cosine with a short vector."""
        sketch = self.make(query[None])[0]
        most = [_most_differing(cosine, 64 * (word + 1)) for word in range(_WORDS)]
        found: list[Positions] = []
        distances: list[npt.NDArray[np.uint16]] = []
        for which in self._nearest(query, cosine):
            bits, positions, length = self._regions[which]
            for first in range(0, length, _CHUNK):
                near, differing = _near(bits[:, first : min(length, first + _CHUNK)], sketch, most)
                if len(near):
                    found.append(positions[first:][near])
                    distances.append(differing)
        if not found:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        all_found = np.concatenate(found)
        if len(all_found) > _MOST:
            all_found = all_found[np.concatenate(distances).argpartition(_MOST - 1)[:_MOST]]
        return (
            (all_found >> np.uint64(_PLACE_BITS)).astype(np.int64),
            (all_found & np.uint64((1 << _PLACE_BITS) - 1)).astype(np.int64),
        )

    def _nearest(self, query: Matrix, cosine: float) -> list[int]:
        """Return the regions to search, nearest first."""
        share = next((share for least, share in _SHARES if cosine >= least - 1e-3), 1.0)
        order: list[int] = (-(self._heads @ query)).argsort().tolist()
        left = share * sum(region.length for region in self._regions)
        for number, which in enumerate(order):
            left -= self._regions[which].length
            if left <= 0:
                return order[: number + 1]
        return order


def _near(
    bits: npt.NDArray[np.uint64], sketch: npt.NDArray[np.uint64], most: list[int]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.uint16]]:
    """Return which sketches, shape (4, n), differ in at most so many bits after each word, and in how many of all."""
    few = _ones(bits[0] ^ sketch[0])
    near = np.flatnonzero(few <= most[0])
    differing = few[near].astype(np.uint16)
    for word in range(1, _WORDS):
        if len(near):
            differing += _ones(bits[word].take(near) ^ sketch[word])
            passed = differing <= most[word]
            near, differing = near[passed], differing[passed]
    return near, differing


def _most_differing(cosine: float, bits: int) -> int:
    """Return in how many of so many bits vectors at this cosine differ at most, in 99 cases of 100."""
    share = math.acos(max(-1.0, min(1.0, cosine))) / math.pi
    return int(bits * share + _DEVIATIONS * math.sqrt(bits * share * (1 - share)) + 1)


def _ones_by_table(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """Do `np.bitwise_count`, which numpy has since version 2, with a table."""
    halves = np.ascontiguousarray(words).view(np.uint16).reshape(*words.shape, 4)
    counts: npt.NDArray[np.uint8] = _table()[halves].sum(axis=-1, dtype=np.uint8)
    return counts


@functools.cache
def _table() -> npt.NDArray[np.uint8]:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.uint8).reshape(-1, 2)
    counts: npt.NDArray[np.uint8] = np.unpackbits(halves, axis=1).sum(1, dtype=np.uint8)
    return counts


_ones = getattr(np, "bitwise_count", _ones_by_table)


def _grown(some: npt.NDArray[np.uint64], room: int) -> npt.NDArray[np.uint64]:
    larger = np.empty((*some.shape[:-1], room), dtype=np.uint64)
    larger[..., : some.shape[-1]] = some
    return larger


def _no_pause() -> None:
    pass
