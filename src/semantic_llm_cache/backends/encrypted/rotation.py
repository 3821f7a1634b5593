"""A secret rotation of vectors: it keeps every cosine, and hides the directions that an embedding model gives.

Three rounds of a permutation and a block-diagonal orthogonal matrix, all drawn from the key with SHAKE-256. Blocks
keep it cheap: some 20 us for a vector of 384 numbers, where a full matrix of 3,072 x 3,072 would take milliseconds.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

import numpy as np
import numpy.typing as npt

__all__ = ["Rotation"]

_ROUNDS = 3
_BLOCK = 64
_KEPT = 8  # numbers of dimensions whose matrices are kept

_Floats = npt.NDArray[np.float32]


class Rotation:
    """The rotation of one key, for vectors of any length.

    Args:
        seed: 32 secret bytes.
    """

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._rounds: OrderedDict[int, list[tuple[npt.NDArray[np.intp], _Floats]]] = OrderedDict()
        self._lock = threading.Lock()

    def is_made(self, size: int) -> bool:
        """Return whether vectors of this length can be rotated at once; else the first takes up to half a second."""
        return size in self._rounds

    def apply(self, vector: _Floats) -> _Floats:
        """Return the rotated vector."""
        size = len(vector)
        for order, blocks in self._of(size):
            vector = (blocks @ vector[order].reshape(len(blocks), -1, 1)).reshape(size)
        return vector

    def undo(self, vector: _Floats) -> _Floats:
        """Return the vector that `apply` was given, but for rounding."""
        size = len(vector)
        for order, blocks in reversed(self._of(size)):
            mixed = (blocks.transpose(0, 2, 1) @ vector.reshape(len(blocks), -1, 1)).reshape(size)
            vector = np.empty_like(mixed)
            vector[order] = mixed
        return vector

    def _of(self, size: int) -> list[tuple[npt.NDArray[np.intp], _Floats]]:
        found = self._rounds.get(size)
        if found is None:
            found = [_round(self._seed, size, number) for number in range(_ROUNDS)]
            with self._lock:
                self._rounds[size] = found
                while len(self._rounds) > _KEPT:
                    self._rounds.popitem(last=False)
        return found


def _round(seed: bytes, size: int, number: int) -> tuple[npt.NDArray[np.intp], _Floats]:
    block = max(width for width in range(1, _BLOCK + 1) if size % width == 0)
    if block < min(size, 8):  # few blocks fit a length such as a prime number: mix all numbers in one
        block = size
    count = size // block
    numbers = count * block * block
    drawn = hashlib.shake_256(seed + f"{size}:{number}".encode()).digest(8 * (size + 2 * numbers))
    raw = np.frombuffer(drawn, dtype="<u8")
    order = np.argsort(raw[:size], kind="stable")
    even = (raw[size:] >> np.uint64(11)).astype(np.float64) * 2.0**-53
    # Box-Muller: pairs of even numbers to normal ones. The Q of a normal matrix is evenly distributed over rotations.
    normal = np.sqrt(-2 * np.log1p(-even[:numbers])) * np.cos(2 * np.pi * even[numbers:])
    q, r = np.linalg.qr(normal.reshape(count, block, block))
    q *= np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]
    return order, np.ascontiguousarray(q, dtype=np.float32)
