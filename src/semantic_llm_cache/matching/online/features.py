"""The online policy's features: the candidates of one request as a vector of numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

__all__ = [
    "FEATURE_NAMES",
    "CandidateView",
    "Evidence",
    "Words",
    "experience",
    "gather",
    "parse_extra_features",
    "words",
]


class CandidateView(NamedTuple):
    """One stored entry near the prompt, as the policy sees it.

    Args:
        key: the entry's key, returned in the decision.
        similarity: max(0, cosine), in [0, 1].
        answer: fingerprint of the stored answer; equal for entries that hold the same answer.
        prompt: the entry's prompt, for comparing words; "" skips that.
        features: more evidence against this candidate (1.0 where a guard sees a difference), of the
            length that the policy's `extra_features` names.
    """

    key: str
    similarity: float
    answer: str
    prompt: str = ""
    features: Sequence[float] = ()


FEATURE_NAMES = (
    "intercept",
    "similarity",
    "margin",
    "votes_for",
    "votes_against",
    "neighbours_for",
    "neighbours_against",
    "overlap",
    "overlap_for",
    "overlap_against",
    "numbers_differ",
    "negation_differs",
    "record_right",
    "record_wrong",
    "experience",
)
"""Names of the entries of the feature vector, in order. See `gather` for their scales."""

_KERNEL = 12.0  # a neighbour at cosine s votes with exp(12 (s - 0.5)): 0.06 nearer counts twice
_NO_RIVAL = 0.45  # the rival's cosine when there is no rival: just under any floor in use
_MOST_TEXT = 800  # characters compared: half from the head, half from the tail of longer prompts
_EXPERIENCE = 5000  # number of misses after which a cache counts as full

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")  # scripts without word gaps
_NEGATIONS = frozenset(
    re.findall(
        r"\S+",
        "not no never without none nor neither cannot cant dont doesnt didnt isnt arent wasnt werent wont"
        " wouldnt shouldnt couldnt hasnt havent hadnt nicht kein keine nie ohne ne pas jamais sans sin"
        " nunca senza mai não не нет без",
    )
)


class Words(NamedTuple):
    """The words of a text, those among them with a digit, and whether one of them negates."""

    all: frozenset[str]
    numbers: frozenset[str]
    negated: bool


@lru_cache(maxsize=4096)
def words(text: str) -> Words:
    """Return the words of `text`, case folded; for long texts, those of the head and the tail.

    Example:
        >>> words("Don't use 3 loops").negated
        True
    """
    if len(text) > _MOST_TEXT:
        text = f"{text[: _MOST_TEXT // 2]} {text[-_MOST_TEXT // 2 :]}"
    found: set[str] = set()
    for word in _WORD.findall(text.casefold()):
        if word.isascii() or not _UNSPACED.search(word):
            found.add(word.replace("'", "").replace("’", ""))
        else:
            found.update(word)  # one word per character
    numbers = frozenset(w for w in found if any(c.isdigit() for c in w))
    return Words(frozenset(found), numbers, not _NEGATIONS.isdisjoint(found))


class Evidence(NamedTuple):
    """The answer with the most votes, its nearest entry, and the evidence for and against it."""

    best: CandidateView
    agree: int
    """How many of the candidates hold this answer."""
    total: int
    values: list[float]
    """The feature vector up to the answer's record; see `FEATURE_NAMES`."""


def gather(prompt: str, candidates: Sequence[CandidateView]) -> Evidence:
    """Pick the answer that the neighbours vote for and return the evidence for it.

    Args:
        prompt: the new prompt.
        candidates: at least one, in any order, all at or above the floor.

    Votes are a kernel estimate: a candidate at cosine s gives exp(12 (s - 0.5)) to its answer, and the
    answer with the largest sum is proposed through its nearest entry. The features are cosines and
    margins in tenths, logarithms of votes and counts, and Jaccard overlaps of word sets (shared words
    over all words, times 3): all of size about 1, so that one prior variance fits all.
    """
    votes: dict[str, float] = {}
    total = 0.0
    for candidate in candidates:
        vote = math.exp(_KERNEL * (candidate.similarity - 0.5))
        votes[candidate.answer] = votes.get(candidate.answer, 0.0) + vote
        total += vote
    answer = max(votes, key=votes.__getitem__)
    ours = words(prompt)
    size = len(ours.all)
    best: CandidateView | None = None
    rival = _NO_RIVAL
    agree = 0
    overlap = overlap_for = overlap_against = 0.0
    for candidate in candidates:
        theirs = words(candidate.prompt).all
        shared = len(ours.all & theirs)
        jaccard = shared / (size + len(theirs) - shared) if shared else 0.0
        if candidate.answer == answer:
            agree += 1
            overlap_for = max(overlap_for, jaccard)
            if best is None or candidate.similarity > best.similarity:
                best, overlap = candidate, jaccard
        else:
            overlap_against = max(overlap_against, jaccard)
            rival = max(rival, candidate.similarity)
    assert best is not None
    other = words(best.prompt) if best.prompt else ours
    return Evidence(
        best,
        agree,
        len(candidates),
        [
            1.0,
            10.0 * (best.similarity - 0.7),
            10.0 * (best.similarity - rival),
            math.log1p(votes[answer]),
            math.log1p(max(0.0, total - votes[answer])),
            math.log(agree),
            math.log1p(len(candidates) - agree),
            3.0 * overlap,
            3.0 * overlap_for,
            3.0 * overlap_against,
            1.0 if ours.numbers != other.numbers else 0.0,
            1.0 if ours.negated != other.negated else 0.0,
        ],
    )


def experience(misses: int) -> float:
    """Return how full the cache is, from -3 (empty) to 1.3: with few entries a better answer may be missing."""
    return (math.log1p(min(misses, _EXPERIENCE)) - 6.0) / 2.0


def parse_extra_features(given: object) -> tuple[int, tuple[str, ...] | None]:
    """Return the number of the extra features and their names, None where only their number is given."""
    wrong = f"extra_features={given!r} must be a whole number, 0 or more, or a sequence of different names"
    if isinstance(given, int):
        if isinstance(given, bool) or given < 0:
            raise ValueError(wrong)
        return given, None
    if isinstance(given, str) or not isinstance(given, Sequence) or not all(isinstance(name, str) for name in given):
        raise TypeError(wrong)
    if len(set(given)) < len(given):
        raise ValueError(wrong)
    return len(given), tuple(given)
