"""Compares a fresh answer with a stored one for the engine: by the judge of answers, or by the user's own callable."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from semantic_llm_cache.matching.answers.judge import AnswerJudge, AnswerVerdict
from semantic_llm_cache.matching.answers.text import answer_text, light
from semantic_llm_cache.matching.answers.weights import JUDGE_ERROR, SUREST
from semantic_llm_cache.matching.online.labels import parse_judge_error
from semantic_llm_cache.matching.verify import as_probability, call_either
from semantic_llm_cache.redaction import describe

__all__ = ["Comparison", "Judge", "is_judge"]

_SHORT = 200  # characters: two answers up to this long are compared as text at once

Embed = Callable[[Sequence[str]], Awaitable[Any]]


class _Notices(Protocol):
    def log_once(self, topic: str, text: str) -> None: ...


class Judge(Protocol):
    """Compares two answers to a question, such as an `AnswerJudge` or a `ModelJudge`."""

    async def compare_with(self, embed: Embed | None, question: str, fresh: str, stored: str) -> AnswerVerdict:
        """Compare two texts; `embed` makes unit vectors."""
        ...


def is_judge(value: Any) -> bool:
    """Return whether a value of `same_answer` is a `Judge`, and no plain callable."""
    return callable(getattr(value, "compare_with", None))


class Comparison:
    """What decides for one engine whether two answers say the same.

    Args:
        same_answer: None for the default judge, a `Judge`, or a callable ``(fresh, stored) -> bool | float``.
        judge_error: how often it errs; None takes the measured errors of the default judge, and none for a callable.
            A `Judge` that may fail to decide asks the default judge then, so its errors count for that one too.
    """

    def __init__(self, same_answer: Any = None, judge_error: float | tuple[float, float] | None = None) -> None:
        self._judge: Judge | None = (
            AnswerJudge() if same_answer is None else same_answer if is_judge(same_answer) else None
        )
        self._own = None if self._judge is not None else same_answer
        default = JUDGE_ERROR if self._judge is not None else 0.0
        self.judge_error: float | tuple[float, float] = default if judge_error is None else judge_error

    @property
    def is_right(self) -> bool:
        """Return whether the judge is taken to make no errors."""
        return parse_judge_error(self.judge_error).is_right

    def at_once(self, fresh: Any, stored: Any) -> float | None:
        """Return the probability for short answers that are equal up to writing; None leaves it to `probability`."""
        return SUREST if self._judge is not None and self._equal(fresh, stored) else None

    def _equal(self, fresh: Any, stored: Any) -> bool:
        ours, theirs = answer_text(fresh), answer_text(stored)
        if ours == theirs:
            return True
        return (
            max(len(ours), len(theirs)) <= _SHORT
            and ours.replace("_", "").isalnum()
            and light(ours) == light(theirs) != ""
        )

    async def probability(
        self, question: str, fresh: Any, stored: Any, embed: Embed, notices: _Notices
    ) -> float | None:
        """Return the probability that two answers to a question say the same; None when that is unknown."""
        try:
            if self._judge is not None:
                ours, theirs = answer_text(fresh), answer_text(stored)
                return (await self._judge.compare_with(embed, question, ours, theirs)).probability
            return as_probability(await call_either(self._own, fresh, stored))
        except Exception as error:
            notices.log_once("same_answer", f"answers could not be compared ({describe(error)})")
            return None
