"""`CrossEncoderJudge`: a small model in this process compares two answers, or two prompts."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any

from semantic_llm_cache.exceptions import EmbeddingUnavailableError
from semantic_llm_cache.matching.answers.judge import AnswerJudge, AnswerVerdict
from semantic_llm_cache.matching.judges.fallback import FallbackJudge, Unknown
from semantic_llm_cache.matching.verify import CrossEncoderVerifier
from semantic_llm_cache.redaction import describe

__all__ = ["CrossEncoderJudge"]

logger = logging.getLogger("semantic_llm_cache")

_ANSWERS: Any = object()  # no response given: the two texts are answers


class CrossEncoderJudge(FallbackJudge):
    """Compares with a cross-encoder or a model for natural language inference, in this process.

    As ``same_answer=`` it compares two answers, each after its question; as ``verify=`` two prompts. A model with the
    labels entailment, neutral and contradiction is asked in both directions: each text must follow from the other.
    Texts that are longer than the model reads are not cut: answers are then compared by `otherwise`, and prompts
    count as different.

    Args:
        model, threshold, max_tokens: as in `CrossEncoderVerifier`.
        otherwise: the judge of answers where the model has no verdict; None is an `AnswerJudge`.

    Raises:
        ValueError, TypeError: naming the argument. The model is loaded with the first comparison.

    Example:
        >>> judge = CrossEncoderJudge("models/nli")                              # doctest: +SKIP
        >>> (await judge.compare("Capital of France?", "Paris", "Rome")).same    # doctest: +SKIP
        False
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        threshold: float = 0.5,
        max_tokens: int | None = None,
        otherwise: AnswerJudge | None = None,
    ) -> None:
        super().__init__(otherwise)
        self._verifier = CrossEncoderVerifier(model, threshold=threshold, max_tokens=max_tokens)
        self._logged = False

    async def __call__(self, one: Any, other: Any, response: Any = _ANSWERS) -> float:
        """Compare two answers; or two prompts, when called with a stored response too, as `verify` is."""
        if response is not _ANSWERS:
            return await asyncio.to_thread(self._verifier, one, other, response)
        return (await self.compare("", one, other)).probability

    async def ask(self, question: str, fresh: str, stored: str) -> AnswerVerdict:
        """Ask the model about two answers. Raises `Unknown`."""
        ours, theirs = (f"{question}\n{answer}" if question else answer for answer in (fresh, stored))
        try:
            score = await asyncio.to_thread(self._verifier, ours, theirs)
        except EmbeddingUnavailableError as error:
            if not self._logged:
                self._logged = True
                logger.warning("semantic-llm-cache: answers are compared without the model: %s", describe(error))
            raise Unknown("the model is not available") from error
        return AnswerVerdict(score, f"the model gives {score:.2f}", "cross-encoder")
