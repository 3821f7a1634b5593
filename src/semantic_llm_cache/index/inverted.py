"""Inverted lists of one large partition: they give candidates, which are then compared by exact cosine."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

import numpy as np

from semantic_llm_cache.index.kmeans import assign, kmeans
from semantic_llm_cache.index.linear import MOST_BY_VECTOR, Matrix, Vector, dots, product

if TYPE_CHECKING:
    import numpy.typing as npt

    Rows = npt.NDArray[Any]
    List = tuple[Rows, npt.NDArray[np.int64], int]
    """Short vectors, ids, and how many of both are valid. Only the rows after those change."""
else:  # numpy.typing takes half a millisecond to import
    Rows = np.ndarray
    List = tuple

__all__ = ["WIDTH", "Candidates", "InvertedLists"]

# Measured on Quora questions, clinc150 and generated clusters; see docs/storage.md.
WIDTH = 96
"""Length of a short vector; vectors of at most this length are kept whole."""
_SAMPLE = 4096  # number of vectors used to learn the directions
PER_CENTROID = 32
"""Number of vectors used to learn one centroid."""
_BLOCK = 32  # rows of a list allocated together
_ROOT = 2.0  # number of lists = this times the square root of the number of vectors
_COARSER = 4  # coarse lists are this many times fewer
# How much the remainders of two near vectors, which their short vectors leave out, typically agree: 1 is the most.
_ALIKE = 0.6
_PROBES = ((0.9, 16), (0.8, 32), (0.7, 48), (-2.0, 80))  # number of lists searched, by the wanted cosine
# Of few lists, the first ones are enough once a vector this near was found in them. Where a model gives all texts
# similar vectors, the estimates of others are too high by some hundredths, so this asks for more than `_PROBES` do.
_FEW_LISTS = 256
_FIRST = (0.96, 8)
_PROBES_OF_FEW = (_FIRST, *_PROBES)
_ROUNDING = 1e-4
_SEARCHED = np.float32(-99.0)  # below every product, also of an empty list
_CHUNK = 1024


L = TypeVar("L", bound="InvertedLists")


class Candidates(NamedTuple):
    """The result of a search of the lists, highest estimate first.

    No cosine exceeds its estimate by more than `slack`. An id may occur twice, or belong to a removed vector.
    """

    ids: list[int]
    estimates: list[float]
    slack: float


class InvertedLists:
    """Ids grouped by the neighbourhood of their vectors. One thread may add at a time while any number search.

    An inverted file (Sivic and Zisserman, 2003; Jegou, Douze and Schmid, 2011, doi:10.1109/TPAMI.2010.57): the
    vectors are divided among centroids, and a search looks only at the lists of the centroids nearest to the query.
    Unlike in a graph, every vector can be reached: it is in the list of its nearest centroid, and all
    centroids are compared with every query.

    A list holds short vectors: the products with the 95 directions in which the vectors differ most, and the length
    of the remainder. The product of two short vectors, with the last number weighted by how much the remainders of
    near vectors have in common, estimates the cosine.

    A removed vector stays in its list as a ghost until the lists are rebuilt: the caller knows which ids are valid.
    """

    kind: ClassVar[np.dtype[Any]] = np.dtype(np.float32)
    """Type of the numbers of a short vector in a list."""
    rounding: ClassVar[float] = _ROUNDING
    """Most by which an estimate typically differs from the product of the short vectors."""

    __slots__ = ("_across", "_basis", "_centroids", "_empty", "_lists", "count", "dimension", "trained")

    def __init__(self, dimension: int, basis: Matrix | None, centroids: Matrix) -> None:
        self.dimension = dimension
        self._basis = basis
        self._across = None if basis is None else np.ascontiguousarray(basis.T)  # one query needs no matrix product
        self._centroids = centroids
        k, width = centroids.shape
        nothing = np.zeros((0, width), dtype=self.kind)
        self._lists: list[List] = [(nothing, np.zeros(0, dtype=np.int64), 0)] * k
        self._empty = np.full(k, -9.0, dtype=np.float32)  # added to the products, so that empty lists are searched last
        self.count = 0
        """Number of vectors in the lists, ghosts included."""
        self.trained = 0
        """Number of vectors when the centroids were computed."""

    @property
    def nbytes(self) -> int:
        """Return the number of bytes allocated."""
        basis = 0 if self._basis is None else 2 * self._basis.nbytes
        lists = sum(rows.nbytes + ids.nbytes for rows, ids, _ in self._lists)
        return basis + self._centroids.nbytes + lists

    @property
    def visits(self) -> int:
        """Return roughly how many whole vectors can be compared in the time of one search."""
        share = min(1.0, _PROBES[-1][1] / len(self._lists))
        return int((self.count * share + len(self._lists)) * self._centroids.shape[1] / self.dimension) + 200

    # ------------------------------------------------------------------------------ building

    @classmethod
    def build(
        cls, ids: array[int], blocks: Sequence[Vector], count: int, pause: Callable[[], None], *, coarse: bool = False
    ) -> InvertedLists:
        """Build lists from the first `count` rows of `blocks`.

        Args:
            ids: ids of the rows, at least `count`.
            blocks: unit vectors, shape (rows, dimension) each; all but the last have the same number of rows.
                Rows may be overwritten during the build; the caller must add those again.
            count: at least 1.
            pause: called every few milliseconds; an exception from it ends the work.
            coarse: make fewer, longer lists, which takes a third of the time. A search of them takes longer. `trained`
                then says that they are outdated.
        """
        random = np.random.default_rng(count)
        dimension = blocks[0].shape[1]
        basis = learn_basis(blocks, count, random, pause)
        short = _shorten_all(blocks, count, basis, pause)
        k = list_count(count) if not coarse else max(1, list_count(count) // _COARSER)
        some: Matrix = short
        if count > PER_CENTROID * k:
            some = short[np.sort(random.choice(count, PER_CENTROID * k, replace=False))]
        lists = cls(dimension, basis, kmeans(some, k, random, pause))
        lists._fill(np.frombuffer(ids, dtype=np.int64, count=count), short, pause)
        lists.trained = count // _COARSER if coarse else count
        return lists

    def _fill(self, ids: npt.NDArray[np.int64], short: Matrix, pause: Callable[[], None]) -> None:
        self._divide(ids, short, assign(short, self._centroids, pause), pause)

    def _divide(
        self, ids: npt.NDArray[np.int64], rows: Rows, nearest: npt.NDArray[Any], pause: Callable[[], None]
    ) -> None:
        """Put each row into the list of its nearest centroid."""
        order = np.argsort(nearest, kind="stable")
        counts = np.bincount(nearest, minlength=len(self._lists)).tolist()
        start = 0
        for number, count in enumerate(counts):
            if count:
                own = order[start : start + count]
                self._put(number, new_list(rows[own], ids[own]))
                start += count
            if not number % 64:
                pause()
        self.count = len(ids)

    def _put(self, number: int, some: List) -> None:
        self._lists[number] = some
        self._empty[number] = 0.0

    def add(self, ids: Sequence[int], rows: Vector) -> None:
        """Add ids with their vectors, shape (len(ids), dimension). Only one thread at a time."""
        short = shorten(np.ascontiguousarray(rows), self._basis)
        nearest = product(short, np.ascontiguousarray(self._centroids.T)).argmax(axis=1).tolist()
        for id, number, row in zip(ids, nearest, short, strict=True):
            there, own, count = self._lists[number]
            if count == len(own):
                wanted = max(_BLOCK, count + count // 4)
                there, own, _ = new_list(there[:count], own[:count], wanted)
            there[count] = row
            own[count] = id
            # Write the row first, then raise the count: searches need no lock.
            self._put(number, (there, own, count + 1))
        self.count += len(ids)

    # ------------------------------------------------------------------------------ searching

    def search(self, vector: Vector, k: int, count: int, lowest: float) -> Candidates:
        """Return near neighbours that may reach `lowest`, with estimates of their cosines.

        Args:
            vector: unit vector, shape (dimension,).
            k: how many neighbours are wanted: the nearer the k-th one found, the fewer lists are searched.
            count: how many to return at most, the highest estimates first.
            lowest: lowest cosine wanted.
        """
        query = self._short(vector)
        slack, own = self.rounding, 1.0
        if self._basis is not None:
            rest = float(query[-1])
            slack += (1.0 - _ALIKE) * rest
            own -= (1.0 - _ALIKE) * rest * rest  # the estimate for the query itself
            query[-1] *= _ALIKE
        scores, ids = self._look(query, k, lowest, own)
        if len(scores) > count:
            kept = scores.argpartition(len(scores) - count)[-count:]
            scores, ids = scores[kept], ids[kept]
        order = (-scores).argsort()
        found: list[int] = ids[order].tolist()
        estimates: list[float] = scores[order].tolist()
        if estimates and estimates[-1] < lowest - slack:  # `slack` is the most that the remainders can add
            end = next(place for place, estimate in enumerate(estimates) if estimate < lowest - slack)
            del found[end:], estimates[end:]
        return Candidates(found, estimates, slack)

    def _short(self, vector: Vector) -> Vector:
        """Return the short vector of a unit vector, a copy."""
        if self._across is None:
            whole: Vector = vector.copy()
            return whole
        short = np.empty(len(self._across) + 1, dtype=np.float32)
        main = dots(self._across, vector, short[:-1])
        short[-1] = max(0.0, 1.0 - float(main.dot(main))) ** 0.5
        return short

    def _look(self, query: Matrix, k: int, lowest: float, own: float) -> tuple[Matrix, npt.NDArray[np.int64]]:
        """Return the estimates and the ids of all vectors in the lists nearest to the short vector `query`.

        A vector at cosine c has an estimate of about c times `own`.
        """
        lists = self._lists
        near = dots(self._centroids, query)
        near += self._empty
        scores: list[Matrix] = [np.zeros(0, dtype=np.float32)]
        ids: list[npt.NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
        done, direct = 0, MOST_BY_VECTOR // len(query)
        for cosine, probes in _PROBES_OF_FEW if len(lists) <= _FEW_LISTS else _PROBES:
            for number in _nearest(near, probes - done) if probes < len(lists) else _all_left(near):
                rows, numbers, length = lists[number]
                if not length:
                    continue
                ids.append(numbers[:length])
                # `dots` does the same for any length; plain products take half the time for a short list.
                if length <= direct:
                    scores.append(rows[:length].dot(query))
                else:
                    for first in range(0, length, direct):
                        scores.append(rows[first : min(first + direct, length)].dot(query))
            done = probes
            if (lowest >= cosine - 1e-3 and probes > _FIRST[1]) or done >= len(lists):
                break
            scores, ids = [np.concatenate(scores)], [np.concatenate(ids)]
            found = scores[0]
            # A vector this near is as likely to be in these lists as one at the wanted cosine.
            if len(found) >= k and (found.max() if k == 1 else np.partition(found, -k)[-k]) >= (cosine + 0.03) * own:
                break
        return (scores[0], ids[0]) if len(scores) == 1 else (np.concatenate(scores), np.concatenate(ids))

    # ------------------------------------------------------------------------------ in a file

    def parts(self) -> tuple[list[int], list[Any]]:
        """Return the lengths of the lists, and the buffers from which `restore` rebuilds them."""
        # A list may grow while it is written: return only what it holds now.
        lists = list(self._lists)
        buffers: list[Any] = [] if self._basis is None else [self._basis.data.cast("B")]
        buffers.append(self._centroids.data.cast("B"))
        buffers += [own[:length].data.cast("B") for _, own, length in lists if length]
        buffers += [rows[:length].data.cast("B") for rows, _, length in lists if length]
        return [length for *_, length in lists], buffers

    @classmethod
    def restore(cls: type[L], dimension: int, lengths: list[int], trained: int, data: memoryview) -> L:
        """Rebuild lists from what `parts` returned. Raise ValueError if the sizes do not match."""
        width = min(WIDTH, dimension)
        total = sum(lengths)
        directions = dimension * (width - 1) if dimension > WIDTH else 0
        if (
            len(data) != 4 * (directions + len(lengths) * width) + (cls.kind.itemsize * width + 8) * total
            or min(lengths, default=-1) < 0
        ):
            raise ValueError("its lists are damaged")
        place = 4 * directions
        basis = np.frombuffer(data[:place], np.float32).reshape(dimension, width - 1) if directions else None
        end = place + 4 * len(lengths) * width
        lists = cls(dimension, basis, np.frombuffer(data[place:end], np.float32).reshape(-1, width))
        ids = np.frombuffer(data[end : end + 8 * total], np.int64).copy()
        rows = np.frombuffer(data[end + 8 * total :], cls.kind).reshape(-1, width)
        start = 0
        for number, length in enumerate(lengths):
            if length:
                lists._put(number, new_list(rows[start : start + length], ids[start : start + length]))
                start += length
        lists.count, lists.trained = total, trained
        return lists


def _nearest(near: Matrix, count: int) -> list[int]:
    """Return the numbers of the `count` lists with the highest products, and mark them as searched."""
    chosen = near.argpartition(len(near) - count)[len(near) - count :]
    near[chosen] = _SEARCHED
    numbers: list[int] = chosen.tolist()
    return numbers


def _all_left(near: Matrix) -> list[int]:
    """Return the numbers of all lists that have not been searched."""
    numbers: list[int] = np.flatnonzero(near != _SEARCHED).tolist()
    return numbers


def new_list(rows: Rows, ids: npt.NDArray[np.int64], room: int = 0) -> List:
    """Return a list with copies of rows and ids, and with room for `room` of both."""
    count, width = rows.shape
    room = -(-max(count, room) // _BLOCK) * _BLOCK
    own = np.empty((room, width), dtype=rows.dtype)
    own[:count] = rows
    numbers = np.empty(room, dtype=np.int64)
    numbers[:count] = ids
    return own, numbers, count


def shorten(rows: Vector, basis: Matrix | None) -> Matrix:
    """Return the short vectors of unit vectors, shape (n, dimension): shape (n, up to `WIDTH`)."""
    if basis is None:
        whole: Matrix = rows.copy()
        return whole
    short = np.empty((len(rows), basis.shape[1] + 1), dtype=np.float32)
    short[:, :-1] = product(rows, basis)
    lengths = np.einsum("ij,ij->i", short[:, :-1], short[:, :-1])
    np.sqrt(np.maximum(0.0, 1.0 - lengths), out=short[:, -1])
    return short


def _shorten_all(blocks: Sequence[Vector], count: int, basis: Matrix | None, pause: Callable[[], None]) -> Matrix:
    """Return the short vectors of the first `count` rows of `blocks`; call `pause` after each thousand."""
    per_block, dimension = blocks[0].shape
    short = np.empty((count, min(WIDTH, dimension)), dtype=np.float32)
    for first in range(0, count, _CHUNK):
        done = first
        while done < min(first + _CHUNK, count):
            block, offset = divmod(done, per_block)
            rows = blocks[block][offset : min(offset + first + _CHUNK, offset + count) - done]
            short[done : done + len(rows)] = shorten(rows, basis)
            done += len(rows)
        pause()
    return short


def list_count(count: int) -> int:
    """Return how many lists `count` vectors are divided into."""
    return max(1, min(count, int(_ROOT * count**0.5)))


def pick(blocks: Sequence[Vector], numbers: npt.NDArray[np.int64]) -> Matrix:
    """Return copies of the rows `numbers` of `blocks`."""
    per_block = len(blocks[0])
    return np.stack([blocks[number // per_block][number % per_block] for number in numbers.tolist()])


def learn_basis(
    blocks: Sequence[Vector], count: int, random: np.random.Generator, pause: Callable[[], None]
) -> Matrix | None:
    """Return the directions in which the first `count` rows differ most; None when whole vectors are short enough."""
    sample = pick(blocks, np.sort(random.choice(count, min(count, _SAMPLE), replace=False)))
    dimension = sample.shape[1]
    return _directions(sample, WIDTH - 1, random, pause) if dimension > WIDTH else None


def _directions(sample: Matrix, count: int, random: np.random.Generator, pause: Callable[[], None]) -> Matrix:
    """Return `count` orthonormal columns, shape (d, count), that capture most of the squared norm of `sample`.

    Subspace iteration (Halko, Martinsson and Tropp, 2011, doi:10.1137/090771806, algorithm 4.4).
    """
    across = np.ascontiguousarray(sample.T)
    basis = random.standard_normal((sample.shape[1], count), dtype=np.float32)
    for _ in range(4):
        basis = np.linalg.qr(product(across, product(sample, basis)))[0]
        pause()
    columns: Matrix = np.ascontiguousarray(basis, dtype=np.float32)
    return columns
