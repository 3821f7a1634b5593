"""What an online policy decides about one request."""

from __future__ import annotations

from dataclasses import dataclass, field

from semantic_llm_cache.matching.online.labels import JudgeError
from semantic_llm_cache.matching.online.model import Array

__all__ = ["Decision"]


@dataclass(slots=True)
class Decision:
    """What to do with one request, and why.

    Args:
        action: "serve" the entry under `key`; "explore", call the function although the entry could be served;
            or "miss", call it because no entry can be served.
        key: the candidate entry; None when there was none at or above the floor.
        probability: estimated probability that the candidate's answer is right, in [0, 1].
        propensity: the probability with which this request was to be explored; 0.0 on a miss.
        reason: an explanation for people.
        similarity: max(0, cosine) of the candidate; 0.0 without one.
        answer: the candidate's answer fingerprint.
    """

    action: str
    key: str | None
    probability: float
    propensity: float
    reason: str
    similarity: float = 0.0
    answer: str = ""
    settled: bool = False
    """True once its outcome was learned; further reports are ignored."""
    twice: bool = False
    """True where the function is to be called a second time, to measure how far its own answers differ."""
    _x: Array | None = field(default=None, repr=False)
    _raw: float = field(default=1.0, repr=False)
    _error: JudgeError = field(default_factory=JudgeError, repr=False)
    """What the judge of this outcome is taken to err, with the model's noise as it was known then."""
