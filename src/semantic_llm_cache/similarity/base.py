"""`EmbeddingProvider`: text to unit vectors, one or a batch; and cosine similarity."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from semantic_llm_cache.exceptions import PromptCacheError

__all__ = [
    "THRESHOLD_TOLERANCE",
    "Embedder",
    "EmbeddingProvider",
    "Vector",
    "VectorError",
    "check_texts",
    "cosine_similarity",
    "unit",
]

if TYPE_CHECKING:
    import numpy.typing as npt

    from semantic_llm_cache.similarity.unseen import Unseen

    Vector = npt.NDArray[np.float32]
else:  # numpy.typing takes 2 ms to import
    Vector = np.ndarray

THRESHOLD_TOLERANCE = 1e-6
"""Tolerance of a threshold: float32 sums differ in the last digits."""


def cosine_similarity(a: Any, b: Any) -> float:
    """Return the cosine of the angle between two vectors, in [-1, 1]; 0.0 when one of them is zero.

    Args:
        a, b: sequences of floats or one-dimensional arrays, of equal length.

    Raises:
        ValueError: unequal dimensions, or not one-dimensional.

    Example:
        >>> cosine_similarity([1, 0], [1, 0])
        1.0
    """
    x = np.asarray(a, dtype=np.float64)
    y = np.asarray(b, dtype=np.float64)
    if x.ndim != 1 or y.ndim != 1:
        raise ValueError(f"vectors must be one-dimensional, not of shapes {x.shape} and {y.shape}")
    if x.shape != y.shape:
        raise ValueError(f"vectors have different dimensions: {x.shape[0]} and {y.shape[0]}")
    # Scaled by the largest component first, so that squares neither overflow nor vanish.
    scale_x = float(np.max(np.abs(x), initial=0.0))
    scale_y = float(np.max(np.abs(y), initial=0.0))
    if scale_x == 0.0 or scale_y == 0.0:
        return 0.0
    x = x / scale_x
    y = y / scale_y
    value = float(x @ y) / float(np.sqrt(x @ x) * np.sqrt(y @ y))
    return max(-1.0, min(1.0, value))


class VectorError(PromptCacheError, ValueError):
    """An invalid vector. The message gives its shape or length, never its values."""


def unit(vector: Any, name: str = "embedding") -> Vector:
    """Return `vector` as a contiguous float32 array of length 1.

    Raises:
        VectorError: (a ValueError) not numbers, not one-dimensional, empty, zero, or with a value that is not finite.
    """
    try:
        array = np.asarray(vector, dtype=np.float32, order="C")
    except (TypeError, ValueError) as error:  # its message may quote text
        raise VectorError(f"{name} must be one vector of floats, not a {type(vector).__name__}") from error
    if array.ndim == 1 and array.size and abs(float(array @ array) - 1.0) <= 1e-6:
        return array  # the usual case, four times as fast as the rest; False for infinite values and NaN
    if array.ndim != 1 or array.size == 0:
        raise VectorError(f"{name} must be one vector of floats, not of shape {array.shape}")
    norm = float(np.linalg.norm(array.astype(np.float64)))
    if not np.isfinite(norm) or norm == 0.0:
        raise VectorError(f"{name} must have a length that is finite and not zero, this one has {norm}")
    if abs(norm - 1.0) <= 1e-6:
        return array
    if norm > 1e-30:
        scaled: Vector = array / np.float32(norm)
        return scaled
    return (array.astype(np.float64) / norm).astype(np.float32)


def check_texts(texts: Iterable[str]) -> list[str]:
    """Return `texts` (a list, a generator, an array of strings) as a list of plain strings.

    Raises:
        TypeError: it is one string, cannot be iterated, or holds anything but strings.
    """
    if isinstance(texts, (str, bytes)):
        raise TypeError("texts must be a list of strings; for a single one use encode or aencode")
    try:
        found = list(texts)
    except TypeError:
        raise TypeError(f"texts must be strings that can be iterated, not {type(texts).__name__}") from None
    for text in found:
        if not isinstance(text, str):
            raise TypeError(f"an embedder takes strings, not {type(text).__name__}")
    return [text if type(text) is str else str.__str__(text) for text in found]  # numpy has a type of its own


class EmbeddingProvider(ABC):
    """Turns text into unit vectors.

    A subclass defines `encode_batch` and `fingerprint`; the rest has defaults. Providers are used
    from several threads and event loops at once, and after `fork`.

    Example:
        >>> class Letters(EmbeddingProvider):
        ...     fingerprint = "letters-v1"
        ...     def encode_batch(self, texts):
        ...         rows = np.array([[t.count(c) for c in "abcde"] for t in texts], dtype=np.float32) + 1e-3
        ...         return rows / np.linalg.norm(rows, axis=1, keepdims=True)
        >>> Letters().encode("abba").shape
        (5,)
    """

    _neutral_in_keys = True  # as a field of an instance: see `known_types`

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Return provider, model, known dimension and normalisation: equal only when vectors are comparable."""

    @abstractmethod
    def encode_batch(self, texts: Sequence[str]) -> Vector:
        """Return the unit vectors of `texts`, shape (len(texts), dimension), float32. Blocks."""

    def encode(self, text: Any) -> Vector:  # `Any`, so that a subclass may take `str` only
        """Return the unit vector of one text, shape (dimension,), float32. Blocks.

        Of several texts (a list, a generator, an array of strings) it returns what `encode_batch` does.
        """
        if not isinstance(text, str):
            return self.encode_batch(check_texts(text))
        vector: Vector = self.encode_batch(check_texts([text]))[0]
        return vector

    async def aencode(self, text: Any) -> Vector:
        """Run `encode` without blocking the event loop. The default uses a worker thread."""
        return await asyncio.to_thread(self.encode, text)

    async def aencode_batch(self, texts: Sequence[str]) -> Vector:
        """Run `encode_batch` without blocking the event loop. The default uses a worker thread."""
        return await asyncio.to_thread(self.encode_batch, texts)

    shared: bool = False
    """True for a provider that the whole process shares: `close` leaves it open."""

    def check(self) -> None:
        """Check that packages and files are present; load nothing. Raise EmbeddingUnavailableError if not."""

    @property
    def loaded(self) -> bool:
        """Return False while the first call still has to load a model: the engine then waits longer."""
        return True

    def load(self) -> None:
        """Load everything needed now. Blocks. Raise EmbeddingUnavailableError on failure."""

    def readable(self, text: str) -> bool:
        """Return whether all of `text` goes into its vector. If not, it is matched exactly only."""
        return True

    def unseen(self, text: str) -> Unseen:
        """Return what the vector of `text` does not show: characters that are dropped, unknown or folded.

        Texts that differ there are never matched near, however close their vectors are, since a chat model reads
        what an embedder drops. The default counts all that some embedder may drop (formats, controls, tags,
        symbols, emoji, rare scripts, accents); a provider that knows its tokenizer can be exact.
        It is called for both texts of every near pair, so it should take microseconds for plain text.

        Example:
            >>> from semantic_llm_cache.similarity import DummyEmbeddingProvider
            >>> DummyEmbeddingProvider().unseen("a\\u200bb").hidden[0].characters
            '\\u200b'
        """
        from semantic_llm_cache.similarity.unseen import default_unseen

        return default_unseen(text)

    async def close(self) -> None:
        """Release threads and connections. Idempotent; the provider may be used again."""


Embedder = EmbeddingProvider | str | Callable[..., Any]
"""What the option `embedder` may be."""
