"""Policies: decide whether a near entry asks the same question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from semantic_llm_cache.similarity.base import THRESHOLD_TOLERANCE

if TYPE_CHECKING:
    from semantic_llm_cache.storage.records import Candidate

__all__ = ["Policy", "ThresholdPolicy", "Verdict"]


class Verdict(NamedTuple):
    """A policy's choice among the candidates: the one to serve, or None, and why."""

    candidate: Candidate | None
    reason: str


class Check(Protocol):
    """Looks for a difference in meaning between a new prompt and a candidate's."""

    def check(self, prompt: str, candidate: str) -> object | None:
        """Return what differs (its `str` is the reason), or None."""
        ...


class Policy(Protocol):
    """Decides whether a near entry is the same question."""

    name: str

    def judge(self, prompt: str, candidates: Sequence[Candidate]) -> Verdict:
        """Look at candidates of the request's scope, nearest first."""
        ...


class ThresholdPolicy:
    """The nearest candidate at or above a fixed similarity in which the guards see no difference.

    Args:
        similarity: threshold on max(0, cosine), inclusive with a tolerance of 1e-6.
        guards: looks for differences that a cosine does not show; None skips that.
    """

    def __init__(self, similarity: float, guards: Check | None = None) -> None:
        self.similarity = similarity
        self.guards = guards
        self.name = f"threshold {similarity:g}"

    def same(self, prompt: str, other: str, similarity: float) -> bool:
        """Return whether two prompts at this similarity ask the same question."""
        return similarity >= self.similarity - THRESHOLD_TOLERANCE and (
            self.guards is None or self.guards.check(prompt, other) is None
        )

    def judge(self, prompt: str, candidates: Sequence[Candidate]) -> Verdict:
        """Return the first candidate that passes, else the reason against the nearest."""
        reason = ""
        for candidate in candidates:
            if candidate.similarity < self.similarity - THRESHOLD_TOLERANCE:
                return Verdict(None, reason or f"nearest {candidate.similarity:.3f} < {self.similarity:g}")
            veto = None if self.guards is None else self.guards.check(prompt, candidate.entry.prompt)
            if veto is None:
                return Verdict(candidate, f"similarity {candidate.similarity:.3f} >= {self.similarity:g}")
            reason = reason or f"veto: {veto}"
        return Verdict(None, reason or "no entries in scope")
