"""Matrix products that run only in the calling thread.

OpenBLAS uses all cores for a product above a certain size: 9,216 numbers for a matrix with a vector, 262,144
multiplications for two matrices. That halves the time on two idle cores. On busy cores the caller waits
milliseconds for threads that have not been scheduled, and each worker process on a machine starts
as many threads as there are cores. The products here are split into groups below those sizes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]
    Vector = npt.NDArray[np.float32]
else:  # numpy.typing takes half a millisecond to import
    Matrix = Vector = np.ndarray


__all__ = ["MOST_BY_VECTOR", "Matrix", "Vector", "dots", "product"]

"""One vector, or rows of vectors: shape (d,) or (n, d)."""

MOST_BY_VECTOR = 9216
"""Most numbers in a matrix whose product with a vector surely stays in the calling thread."""

_BY_MATRIX = 1 << 18
_GROUP = 8


def dots(rows: Matrix, vector: Matrix, out: Matrix | None = None) -> Matrix:
    """Return the products of `rows`, shape (n, d), contiguous, with `vector`, shape (d,): shape (n,)."""
    count, dimension = rows.shape
    if out is None:
        out = np.empty(count, dtype=np.float32)
    group = max(1, MOST_BY_VECTOR // dimension)
    whole = count - count % group
    if whole:
        np.matmul(rows[:whole].reshape(-1, group, dimension), vector, out=out[:whole].reshape(-1, group))
    if whole < count:
        np.dot(rows[whole:], vector, out=out[whole:])
    return out


def product(rows: Matrix, columns: Matrix) -> Matrix:
    """Return `rows`, shape (n, d), contiguous, times `columns`, shape (d, m): shape (n, m)."""
    count, dimension = rows.shape
    width = columns.shape[1]
    out = np.empty((count, width), dtype=np.float32)
    whole = count - count % _GROUP
    step = max(16, _BY_MATRIX // (_GROUP * dimension))
    for first in range(0, width, step):
        some = np.ascontiguousarray(columns[:, first : first + step])
        if whole:
            groups = out[:whole].reshape(-1, _GROUP, width)[:, :, first : first + step]
            np.matmul(rows[:whole].reshape(-1, _GROUP, dimension), some, out=groups)
        if whole < count:
            np.matmul(rows[whole:], some, out=out[whole:, first : first + step])
    return out
