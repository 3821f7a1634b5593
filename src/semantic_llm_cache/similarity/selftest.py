"""Self-test of embedders: a broken one matches everything, so test it before it is used."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from semantic_llm_cache.exceptions import EmbeddingUnavailableError
from semantic_llm_cache.similarity.base import Vector

__all__ = ["PRECISION_TEXTS", "precision_test", "self_test"]

_TEXTS = ["How do I reset my password?", "The recipe calls for two cups of flour."]
PRECISION_TEXTS = [
    *_TEXTS,
    "Compare the prices of three phones for me, please.",
    "SELECT name FROM users WHERE id = 42 ORDER BY created_at DESC;",
    "Wie wird das Wetter morgen in München?",
    "Our refund policy: items can be returned within 30 days, unused, in the original package, with the receipt. "
    "Gift cards, downloads and opened cosmetics cannot be returned. Write to support if your parcel came damaged.",
]
"""Texts with stored vectors, for `precision_test`."""
_PRECISE = 0.999
_ALIKE = 0.9
"""Cosine that no two unrelated sentences reach with a model that works (here: all-MiniLM-L6-v2, -0.01)."""


def self_test(encode_batch: Callable[[list[str]], Vector], name: str) -> None:
    """Encode three short texts and judge the vectors.

    They must be finite and of length 1, similar for equal texts and not similar for unrelated ones.

    Args:
        encode_batch: as `EmbeddingProvider.encode_batch`.
        name: of the embedder, for the message.

    Raises:
        EmbeddingUnavailableError: saying what is wrong. Errors of `encode_batch` pass through.

    Example:
        >>> self_test(lambda texts: np.ones((3, 4), dtype=np.float32) / 2, "constant")
        Traceback (most recent call last):
        ...
        semantic_llm_cache.exceptions.EmbeddingUnavailableError: constant fails its self-test: ...
    """
    texts = [*_TEXTS, _TEXTS[0]]
    vectors = np.asarray(encode_batch(texts), dtype=np.float64)

    def fail(what: str) -> EmbeddingUnavailableError:
        return EmbeddingUnavailableError(
            f"{name} fails its self-test: {what}. Its vectors would match the wrong questions, so it is not used."
        )

    if vectors.ndim != 2 or vectors.shape[0] != len(texts):
        raise fail(f"{len(texts)} texts gave an array of shape {vectors.shape}")
    if not np.isfinite(vectors).all():
        raise fail("vectors hold values that are not finite")
    norms = np.linalg.norm(vectors, axis=1)
    if np.abs(norms - 1).max() > 1e-3:
        raise fail(f"vectors have lengths {norms.round(4).tolist()}, not 1")
    unrelated, equal = float(vectors[0] @ vectors[1]), float(vectors[0] @ vectors[2])
    if unrelated > _ALIKE:
        raise fail(f"two unrelated sentences have cosine {unrelated:.4f}")
    if equal < 1 - 1e-4:
        raise fail(f"one sentence encoded twice has cosine {equal:.4f} to itself")


def precision_test(encode_batch: Callable[[list[str]], Vector], stored: Vector) -> str:
    """Compare the vectors of a less precise model with those stored for `PRECISION_TEXTS`.

    Returns:
        what is wrong, when a cosine is below .999; else "".
    """
    vectors = np.asarray(encode_batch(PRECISION_TEXTS), dtype=np.float64)
    expected = np.asarray(stored, dtype=np.float64)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    least = float((vectors * expected).sum(axis=1).min())
    return "" if least >= _PRECISE else f"its vectors have a cosine of {least:.4f} to those of the full precision"
