"""`DummyEmbeddingProvider`: vectors without a model, for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from semantic_llm_cache.similarity.base import EmbeddingProvider, Vector, check_texts

__all__ = ["DummyEmbeddingProvider"]


class DummyEmbeddingProvider(EmbeddingProvider):
    """Vectors from a hash of the text, for tests only: equal texts match, and no others.

    They are the same in every process and on every machine. Two different texts have a cosine near 0,
    within about 4 / sqrt(dimension).

    Args:
        dimension: length of the vectors, at least 1; None means 384.
        dim: another name for it.

    Raises:
        ValueError: dimension below 1, or both names are given.

    Example:
        >>> DummyEmbeddingProvider(dimension=8).encode("hello").shape
        (8,)
    """

    def __init__(self, dimension: int | None = None, *, dim: int | None = None) -> None:
        if dimension is not None and dim is not None:
            raise ValueError("give dimension= or dim=, which mean the same, not both")
        given = dimension if dimension is not None else dim
        dimension = 384 if given is None else given
        if isinstance(dimension, bool) or not isinstance(dimension, int) or dimension < 1:
            raise ValueError(f"dimension={dimension!r} must be a whole number of at least 1")
        self.dimension = dimension

    @property
    def fingerprint(self) -> str:
        """Return kind, dimension and normalisation."""
        return f"dummy:{self.dimension}:unit"

    def encode_batch(self, texts: Iterable[str]) -> Vector:
        """Return the unit vectors of `texts`, shape (len(texts), dimension), float32."""
        texts = check_texts(texts)
        rows = np.empty((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            digest = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(4 * self.dimension)
            # Odd whole numbers, evenly spread around zero and never zero.
            values = np.frombuffer(digest, dtype="<u4").astype(np.float64) * 2 - (2**32 - 1)
            row[:] = values / np.linalg.norm(values)
        return rows

    async def aencode(self, text: str | Iterable[str]) -> Vector:
        """Run `encode`, which takes microseconds and needs no thread."""
        return self.encode(text)

    async def aencode_batch(self, texts: Iterable[str]) -> Vector:
        """Run `encode_batch`, which takes microseconds and needs no thread."""
        return self.encode_batch(texts)
