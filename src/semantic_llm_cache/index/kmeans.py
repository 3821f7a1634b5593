"""Spherical k-means: unit vectors grouped around directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from semantic_llm_cache.index.linear import Matrix, product

if TYPE_CHECKING:
    import numpy.typing as npt

    Numbers = npt.NDArray[np.intp]
else:  # numpy.typing takes half a millisecond to import
    Numbers = np.ndarray

__all__ = ["assign", "kmeans"]

_CHUNK = 1024
_ROUNDS = 5


def assign(rows: Matrix, centroids: Matrix, pause: Callable[[], None]) -> Numbers:
    """Return for each row the index of the centroid with the highest product, shape (n,).

    Args:
        rows: shape (n, d).
        centroids: shape (k, d).
        pause: called after each thousand rows.
    """
    nearest = np.empty(len(rows), dtype=np.intp)
    columns = np.ascontiguousarray(centroids.T)
    for first in range(0, len(rows), _CHUNK):
        nearest[first : first + _CHUNK] = product(rows[first : first + _CHUNK], columns).argmax(axis=1)
        pause()
    return nearest


def kmeans(
    rows: Matrix,
    k: int,
    random: np.random.Generator,
    pause: Callable[[], None],
    assign: Callable[[Matrix, Matrix, Callable[[], None]], Numbers] = assign,
) -> Matrix:
    """Return `k` centroids of length 1, shape (k, d), for unit vectors of shape (n, d), n >= k.

    Start from random rows and take five times the mean of the rows nearest to each centroid (Dhillon and Modha, 2001,
    doi:10.1023/A:1007612920971). A centroid with no rows is replaced by a random row. `assign` says for each row which
    centroid is nearest.
    """
    centroids: Matrix = rows[random.choice(len(rows), k, replace=False)].copy()
    for _ in range(_ROUNDS):
        nearest = assign(rows, centroids, pause)
        counts = np.bincount(nearest, minlength=k)
        there = np.flatnonzero(counts)
        starts = (np.cumsum(counts) - counts)[there]
        sums = np.add.reduceat(rows[np.argsort(nearest, kind="stable")], starts, axis=0)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        np.divide(sums, lengths, out=sums, where=lengths > 0)
        centroids = rows[random.choice(len(rows), k)]
        centroids[there] = sums
        pause()
    return centroids
