"""Two long answers: compared by what they speak of as a whole, since two honest long answers differ in many details."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from semantic_llm_cache.matching.answers.conflicts import conflicts
from semantic_llm_cache.matching.answers.said import Said, missing
from semantic_llm_cache.matching.answers.slots import frame
from semantic_llm_cache.matching.answers.weights import LONG

__all__ = ["Passages", "are_long", "judge_passages", "passages"]

_LONG = 400  # characters
_MOST = 12  # passages of one answer: neighbouring sentences are joined, so that none is left out
_CLOSE = 0.75  # share of shared words from which two passages say one thing, and a conflict is a difference
_HARD = frozenset(("values", "negation", "antonyms", "direction", "swap"))


class Passages(NamedTuple):
    """The passages of two answers and the question, to be embedded in one batch."""

    ours: list[str]
    theirs: list[str]
    batch: list[str]


def are_long(ours: Said, theirs: Said) -> bool:
    """Return whether both answers are too long to be compared claim by claim."""
    return min(len(ours.text), len(theirs.text)) > _LONG


def passages(ours: Said, theirs: Said) -> Passages:
    """Return what to embed."""
    a, b = _passages(ours), _passages(theirs)
    return Passages(a, b, [*a, *b, *([ours.question] if ours.question else [])])


def _passages(said: Said) -> list[str]:
    size = -(-len(said.sentences) // _MOST)
    return [" ".join(said.sentences[i : i + size]) for i in range(0, len(said.sentences), size)]


def judge_passages(ours: Said, theirs: Said, texts: Passages, vectors: Any) -> tuple[float, str]:
    """Return the probability that two long answers say the same, and why.

    Args:
        ours, theirs: the answers.
        texts: from `passages`.
        vectors: unit vectors of `texts.batch`, shape (n, dimension).
    """
    count = len(texts.ours)
    a, b = vectors[:count], vectors[count : count + len(texts.theirs)]
    x, y = _whole(a, texts.ours), _whole(b, texts.theirs)
    features = {
        "whole": float(x @ y),
        "on topic": float(min(x @ vectors[-1], y @ vectors[-1])) if ours.question else _NO_TOPIC,
        "covered": 1.0 - min(_lacking(ours, theirs), _lacking(theirs, ours)),
        "conflicts": 0.0,
    }
    reasons = [f"cosine {features['whole']:.2f}", f"{features['covered']:.0%} of the words of one are in the other"]
    for part, row in zip(texts.ours, a @ b.T, strict=True):
        other = texts.theirs[int(row.argmax())]
        if frame(part, other) >= _CLOSE:
            clash = conflicts(part, other, ours.question, (ours.text, theirs.text))
            hard = [f"{kind}: {reason}" for kind, reason in clash.items() if kind in _HARD]
            features["conflicts"] += bool(hard)
            reasons += hard[:1]
    return LONG.probability(features), "; ".join(reasons)


_NO_TOPIC = 0.45  # where the question is unknown: neither for nor against


def _whole(vectors: Any, texts: list[str]) -> npt.NDArray[np.float32]:
    """Return the unit mean of the passages' vectors, weighed by length."""
    weights = np.array([len(text) for text in texts], dtype=np.float32)
    total: npt.NDArray[np.float32] = (vectors * weights[:, None]).sum(axis=0)
    return total / max(float(np.linalg.norm(total)), 1e-9)


def _lacking(ours: Said, theirs: Said) -> float:
    return len(missing(ours.words, theirs.words)) / max(1, len(ours.words))
