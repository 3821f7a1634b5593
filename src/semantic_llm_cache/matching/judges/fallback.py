"""What judges that may fail to decide have in common: then the default judge decides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from semantic_llm_cache.exceptions import PromptCacheError
from semantic_llm_cache.matching.answers.judge import AnswerJudge, AnswerVerdict
from semantic_llm_cache.matching.answers.text import answer_text

__all__ = ["FallbackJudge", "Unknown"]

Embed = Callable[[Sequence[str]], Awaitable[Any]]


class Unknown(PromptCacheError):
    """A judge cannot decide about a pair. The message says why; it quotes no text."""


class FallbackJudge:
    """Compares two answers with `ask`; where that raises `Unknown`, with another judge.

    Args:
        otherwise: the judge for what `ask` does not know; None is an `AnswerJudge`.
    """

    def __init__(self, otherwise: AnswerJudge | None = None) -> None:
        if otherwise is not None and not hasattr(otherwise, "compare_with"):
            raise TypeError(f"otherwise={type(otherwise).__name__} must be an AnswerJudge, or None for a new one")
        self.otherwise = AnswerJudge() if otherwise is None else otherwise

    async def ask(self, question: str, fresh: str, stored: str) -> AnswerVerdict:
        """Compare two texts. Raises `Unknown`."""
        raise NotImplementedError

    async def compare(self, question: str, fresh: Any, stored: Any) -> AnswerVerdict:
        """Compare two answers.

        Args:
            question: what both answer; "" when unknown.
            fresh, stored: texts, or replies of a model's API.

        Returns:
            a verdict whose `layer` names who decided.
        """
        return await self.compare_with(None, question, answer_text(fresh), answer_text(stored))

    async def compare_with(self, embed: Embed | None, question: str, fresh: str, stored: str) -> AnswerVerdict:
        """Do what `compare` does for two texts; `embed` is for the other judge if it has no embedder of its own."""
        if fresh == stored:
            return AnswerVerdict(1.0, "equal text", "equal")
        try:
            return await self.ask(question, fresh, stored)
        except Unknown as error:
            verdict = await self.otherwise.compare_with(embed, question, fresh, stored)
            return verdict._replace(reason=f"{verdict.reason} ({error})")
