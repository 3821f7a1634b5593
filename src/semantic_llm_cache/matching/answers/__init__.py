"""The judge of answers: whether two answers to one question say the same. See ``docs/answers.md``.

A policy learns from fresh answers: each is compared with the stored one that would have been served. `AnswerJudge`
makes that comparison.
"""

from semantic_llm_cache.matching.answers.judge import AnswerJudge, AnswerVerdict
from semantic_llm_cache.matching.answers.text import answer_text, light

__all__ = ["AnswerJudge", "AnswerVerdict", "answer_text", "light"]
