"""Which of thousands of centroids is nearest to each of millions of vectors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from semantic_llm_cache.index.kmeans import Numbers, assign, kmeans
from semantic_llm_cache.index.linear import Matrix, product

__all__ = ["Groups", "assign_near"]

_SHARE = 8  # a vector is compared with one centroid in so many
_LEAST = 64  # centroids that a vector is compared with


class Groups:
    """Centroids by the region they lie in: a vector is compared only with the centroids of its region.

    A region is a direction, found by k-means among the centroids, and the eighth of all centroids that are nearest to
    it. Regions overlap, so a vector between two of them is still compared with the centroids on both sides. Among
    1,264 centroids of generated clusters, this found the nearest of all for 86 vectors in 100.

    Args:
        centroids: unit vectors, shape (k, d).
        pause: called every few milliseconds; an exception from it ends the work.
    """

    def __init__(self, centroids: Matrix, pause: Callable[[], None]) -> None:
        count = len(centroids)
        wanted = min(count, max(_LEAST, count // _SHARE))
        self._pause = pause
        self._heads = kmeans(centroids, max(1, int(count**0.5)), np.random.default_rng(count), pause)
        scores = product(self._heads, np.ascontiguousarray(centroids.T))
        members = (-scores).argpartition(wanted - 1, axis=1)[:, :wanted]
        self._members = [(own, np.ascontiguousarray(centroids[own].T)) for own in members]
        pause()

    def assign(self, rows: Matrix) -> Numbers:
        """Return for each row, shape (n, d), the number of a centroid: the nearest one of its region."""
        nearest = np.empty(len(rows), dtype=np.intp)
        heads = assign(rows, self._heads, self._pause)
        order = np.argsort(heads, kind="stable")
        ends = np.cumsum(np.bincount(heads, minlength=len(self._members))).tolist()
        start = 0
        for (members, columns), end in zip(self._members, ends, strict=True):
            for first in range(start, end, _ROWS):
                own = order[first : min(end, first + _ROWS)]
                nearest[own] = members[product(rows[own], columns).argmax(axis=1)]
                self._pause()
            start = end
        return nearest


_ROWS = 1024


def assign_near(rows: Matrix, centroids: Matrix, pause: Callable[[], None]) -> Numbers:
    """Do `kmeans.assign` by `Groups`."""
    return Groups(centroids, pause).assign(rows)
