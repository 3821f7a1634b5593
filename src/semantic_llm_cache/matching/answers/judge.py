"""The judge of answers: whether two answers to one question say the same, as a probability with a reason."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from semantic_llm_cache.arguments import shown
from semantic_llm_cache.matching.answers.text import answer_text

if TYPE_CHECKING:
    from semantic_llm_cache.matching.answers.exact import Finding
    from semantic_llm_cache.matching.answers.meaning import Evidence
    from semantic_llm_cache.matching.answers.said import Said
    from semantic_llm_cache.similarity.base import EmbeddingProvider

__all__ = ["AnswerJudge", "AnswerVerdict", "begin"]

Embed = Callable[[Sequence[str]], "Awaitable[Any]"]

_MOST = 20_000  # characters of an answer that are read; of a longer one the head and the tail
_AT_ONCE = 64  # characters: equal answers up to this long are compared without a thread


class AnswerVerdict(NamedTuple):
    """What the judge says about two answers.

    Attributes:
        probability: that both say the same, from 0 to 1; at 0.5 or more they count as the same.
        reason: why, for people; it may quote a few words of the answers.
        layer: the layer that decided: a rule's name, "meaning", or "passages" for two long answers.
    """

    probability: float
    reason: str
    layer: str = "meaning"

    @property
    def same(self) -> bool:
        """Return whether the answers count as the same."""
        return self.probability >= 0.5


class AnswerJudge:
    """Compares two answers to one question by what they say, layer by layer, the cheap and certain layers first.

    Equal up to writing; the same JSON, code, choice, yes or no, list; one answer refuses; a short answer's words and
    values looked for in what the longer one claims; conflicts of values, names, negation, opposites and order; at last
    how much of the one the other says, sentence by sentence. See ``docs/answers.md``.

    Args:
        embedder: an `EmbeddingProvider`, or an async callable from texts to unit vectors, shape (n, dimension); None
            compares words only, with less certainty. It is asked once for each pair that the rules leave open.

    An instance is also a callable ``(fresh, stored)``, as `same_answer=` takes it; the engine gives it the question
    too.

    Example:
        >>> import asyncio
        >>> judge = AnswerJudge()
        >>> asyncio.run(judge.compare("What is the capital of France?", "Paris", "It is Paris.")).same
        True
    """

    def __init__(self, embedder: EmbeddingProvider | Embed | None = None) -> None:
        if embedder is not None and not callable(embedder) and not hasattr(embedder, "aencode_batch"):
            raise TypeError(
                f"embedder={type(embedder).__name__} must be an EmbeddingProvider, an async callable from texts to "
                "vectors, or None"
            )
        self.embedder = embedder

    async def __call__(self, fresh: Any, stored: Any) -> float:
        """Return the probability that two answers to an unknown question say the same."""
        return (await self.compare("", fresh, stored)).probability

    async def compare(self, question: str, fresh: Any, stored: Any) -> AnswerVerdict:
        """Compare two answers. Reading them takes milliseconds, in a worker thread; the loop is never held up.

        Args:
            question: what both answer; "" when unknown.
            fresh, stored: texts, or replies of a model's API.

        Raises:
            TypeError: the question is no text.
            whatever the embedder raises.
        """
        _check_question(question)
        ours, theirs = answer_text(fresh), answer_text(stored)
        if ours == theirs and len(ours) <= _AT_ONCE:
            return AnswerVerdict(_rules()["equal"], "equal text", "equal")
        return await self.compare_with(None, question, ours, theirs)

    async def compare_with(self, embed: Embed | None, question: str, fresh: str, stored: str) -> AnswerVerdict:
        """Do what `compare` does for two texts; `embed` is used where the judge has no embedder of its own."""
        begun = await asyncio.to_thread(begin, _whole(question), _whole(fresh), _whole(stored))
        if isinstance(begun, AnswerVerdict):
            return begun
        embed = embed if self.embedder is None else self._embed
        if embed is None:
            return await asyncio.to_thread(_finish, *begun, None, None)
        texts = await asyncio.to_thread(_texts, *begun)
        return await asyncio.to_thread(_finish, *begun, texts, await embed(texts.batch))

    def compare_now(self, question: str, fresh: Any, stored: Any) -> AnswerVerdict:
        """Do what `compare` does, in this thread, with an `EmbeddingProvider` or none. Blocks.

        Raises:
            TypeError: the judge's embedder is an async callable, or the question is no text.
        """
        embedder: Any = self.embedder
        if embedder is not None and not hasattr(embedder, "encode_batch"):
            raise TypeError("compare_now needs a judge whose embedder is an EmbeddingProvider or None: use compare")
        _check_question(question)
        begun = begin(_whole(question), _whole(answer_text(fresh)), _whole(answer_text(stored)))
        if isinstance(begun, AnswerVerdict):
            return begun
        texts = None if embedder is None else _texts(*begun)
        return _finish(*begun, texts, None if texts is None else embedder.encode_batch(texts.batch))

    async def _embed(self, texts: Sequence[str]) -> Any:
        embedder: Any = self.embedder
        if hasattr(embedder, "aencode_batch"):
            return await embedder.aencode_batch(texts)
        vectors = embedder(texts)
        return await vectors if inspect.isawaitable(vectors) else vectors


def _check_question(question: object) -> None:
    if not isinstance(question, str):
        raise TypeError(f'question={shown(question)} must be text: give "" if it is not known')


def _whole(text: str) -> str:
    return text if len(text) <= _MOST else f"{text[: _MOST // 2]}\n{text[-_MOST // 2 :]}"


def _rules() -> Any:
    from semantic_llm_cache.matching.answers.weights import RULES

    return RULES


def _verdict(finding: Finding) -> AnswerVerdict:
    return AnswerVerdict(_rules()[finding.rule], finding.reason, finding.rule)


def begin(question: str, fresh: str, stored: str) -> AnswerVerdict | tuple[Said, Said]:
    """Return what the rules say; or, if they say nothing, the prepared answers, the one with less content first."""
    from semantic_llm_cache.matching.answers.exact import RULES
    from semantic_llm_cache.matching.answers.said import said_by_both

    ours, theirs = said_by_both(question, fresh, stored)
    for rule in RULES:
        finding = rule(ours, theirs)
        if finding is not None:
            return _verdict(finding)
    if (ours.size, len(ours.text)) <= (theirs.size, len(theirs.text)):
        return ours, theirs
    return theirs, ours


def _texts(short: Said, long: Said) -> Any:
    from semantic_llm_cache.matching.answers.meaning import needed
    from semantic_llm_cache.matching.answers.passages import are_long, passages

    return passages(short, long) if are_long(short, long) else needed(short, long)


def _finish(short: Said, long: Said, texts: Any, vectors: Any) -> AnswerVerdict:
    from semantic_llm_cache.matching.answers.meaning import gather, settled
    from semantic_llm_cache.matching.answers.passages import Passages, judge_passages
    from semantic_llm_cache.matching.answers.weights import WITH_VECTORS, WITHOUT_VECTORS

    if isinstance(texts, Passages):
        return AnswerVerdict(*judge_passages(short, long, texts, vectors), "passages")
    evidence = gather(short, long, texts, vectors)
    finding = settled(short, long, evidence)
    if finding is not None:
        return _verdict(finding)
    model = WITHOUT_VECTORS if texts is None else WITH_VECTORS
    probability = model.probability(evidence.features)
    return AnswerVerdict(probability, _reason(evidence), "meaning")


def _reason(evidence: Evidence) -> str:
    features = evidence.features
    parts = [f"{features['covered']:.0%} of the shorter answer's words are in the longer one"]
    if "whole" in features:
        parts.append(f"cosine {features['whole']:.2f}")
    parts += [f"{kind}: {reason}" for kind, reason in evidence.conflicts.items()]
    return "; ".join(parts)
