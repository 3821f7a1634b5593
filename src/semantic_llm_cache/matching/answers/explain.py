"""Why the judge says what it says about two answers: what `semantic-llm-cache judge A B` prints."""

from __future__ import annotations

from typing import NamedTuple

from semantic_llm_cache.matching.answers.exact import RULES
from semantic_llm_cache.matching.answers.judge import AnswerJudge, AnswerVerdict
from semantic_llm_cache.matching.answers.meaning import gather, needed, settled
from semantic_llm_cache.matching.answers.said import said_by_both

__all__ = ["Explanation", "explain"]


class Explanation(NamedTuple):
    """A verdict and how it came about.

    Attributes:
        verdict: what the judge says.
        fresh, stored: the answers as the judge reads them, without markdown, openings and closings.
        layers: (layer, what it said) in the order in which the layers were asked, up to the one that decided.
        features: what the last layer weighs, by name; empty when a rule decided before.
    """

    verdict: AnswerVerdict
    fresh: str
    stored: str
    layers: list[tuple[str, str]]
    features: dict[str, float]


def explain(judge: AnswerJudge, question: str, fresh: str, stored: str) -> Explanation:
    """Return the judge's verdict about two answers with what each layer said. Blocks.

    Args:
        judge: with an `EmbeddingProvider` or none.
        question: what both answer; "" when unknown.
        fresh, stored: the answers.

    Example:
        >>> found = explain(AnswerJudge(), "What is six times seven?", "42", "The answer is 42.")
        >>> found.verdict.same, found.layers[-1]
        (True, ('writing', 'equal up to writing'))
    """
    verdict = judge.compare_now(question, fresh, stored)
    ours, theirs = said_by_both(question, fresh, stored)
    layers: list[tuple[str, str]] = []
    for rule in RULES:
        finding = rule(ours, theirs)
        layers.append((_NAMES.get(rule.__name__, rule.__name__), "says nothing" if finding is None else finding.reason))
        if finding is not None:
            return Explanation(verdict, ours.text, theirs.text, layers, {})
    short, long = (ours, theirs) if (ours.size, len(ours.text)) <= (theirs.size, len(theirs.text)) else (theirs, ours)
    if verdict.layer == "passages":
        return Explanation(verdict, ours.text, theirs.text, [*layers, ("passages", verdict.reason)], {})
    embedder = judge.embedder
    texts = None if embedder is None else needed(short, long)
    vectors = None if texts is None else embedder.encode_batch(texts.batch)  # type: ignore[union-attr]
    evidence = gather(short, long, texts, vectors)
    layers += [(f"conflict: {kind}", reason) for kind, reason in evidence.conflicts.items()]
    finding = settled(short, long, evidence)
    layers.append(("claims", "undecided" if finding is None else finding.reason))
    if finding is None:
        layers.append(("meaning", verdict.reason))
    return Explanation(verdict, ours.text, theirs.text, layers, evidence.features)


_NAMES = {
    "as_json": "JSON",
    "written": "writing",
    "refused": "refusals",
    "as_code": "code",
    "yes_or_no": "yes or no",
    "as_list": "lists",
    "named": "names of things",
}
