"""Words in the same place of two sentences, and the parts of a question that an answer leaves out."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from semantic_llm_cache.matching.answers.said import FRAME, Said, content, missing
from semantic_llm_cache.matching.answers.values import Value, facing, values

__all__ = ["frame", "replaced", "replaced_values", "replaced_words", "unanswered_part"]

_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_LEAST_SHARED = 0.5
_MOST_TOKENS = 120
_BOTH = re.compile(
    r"\b([^\W\d_]+),? (?:and|und|et|y) (?:(?:the|a|an|its|der|die|das|la|le|les|el) )?([^\W\d_]+)\b", re.IGNORECASE
)


def replaced(ours: str, theirs: str, least: float = _LEAST_SHARED) -> list[tuple[str, str]]:
    """Return the words that stand in each other's place in two sentences that share `least` of their words.

    Example:
        >>> replaced("Metal expands when heated", "Metal contracts when heated")
        [('expands', 'contracts')]
    """
    a, b, matcher = _aligned(ours, theirs)
    if _shared(a, b, matcher) < least:
        return []
    found = []
    for kind, i, j, k, m in matcher.get_opcodes():
        if kind != "replace" or j - i > 3 or m - k > 3:
            continue
        x, y = content(" ".join(a[i:j])), content(" ".join(b[k:m]))
        left, right = (
            [w for w in words if w.written.casefold() not in FRAME] for words in (missing(x, y), missing(y, x))
        )
        if left and right:
            found.append((" ".join(w.written for w in left), " ".join(w.written for w in right)))
    return found


_ARTICLES = frozenset(("the", "a", "an"))


def replaced_words(ours: str, theirs: str) -> list[tuple[str, str]]:
    """Return the single words, in small letters, that stand in each other's place in two sentences of one frame.

    Unlike `replaced` it counts words such as "we" and "you". Articles are skipped.

    Example:
        >>> replaced_words("The customer must pay for it", "We must pay for it")
        [('customer', 'we')]
    """
    a, b, matcher = _aligned(ours, theirs)
    if _shared(a, b, matcher) < _LEAST_SHARED:
        return []
    found = []
    for kind, i, j, k, m in matcher.get_opcodes():
        sides = [[w.casefold() for w in words if w.casefold() not in _ARTICLES] for words in (a[i:j], b[k:m])]
        if kind == "replace" and all(sides) and max(map(len, sides)) <= 2:
            found.append((sides[0][0], sides[1][0]))
    return found


def replaced_values(ours: str, theirs: str) -> tuple[Value, Value] | None:
    """Return two values, of one word each, that stand in each other's place in two sentences of one frame, or None.

    Example:
        >>> [v.number for v in replaced_values("She has two cats.", "She has eight cats.")]
        [2.0, 8.0]
    """
    for one, other in replaced_words(ours, theirs):
        pair = facing(values(one), values(other))
        if pair:
            return pair
    return None


def frame(ours: str, theirs: str) -> float:
    """Return the share of the words of two sentences that stand in both, in the same order, from 0 to 1."""
    return _shared(*_aligned(ours, theirs))


def _aligned(ours: str, theirs: str) -> tuple[list[str], list[str], SequenceMatcher[str]]:
    a, b = _TOKEN.findall(ours)[:_MOST_TOKENS], _TOKEN.findall(theirs)[:_MOST_TOKENS]
    return a, b, SequenceMatcher(None, [t.casefold() for t in a], [t.casefold() for t in b], autojunk=False)


def _shared(a: list[str], b: list[str], matcher: SequenceMatcher[str]) -> float:
    shared = sum(block.size for block in matcher.get_matching_blocks())
    return shared / max(len(a), len(b)) if shared > 1 else 0.0


def unanswered_part(short: Said, long: Said) -> str:
    """Return a word of a question for two things that only the longer answer takes up; "" for none.

    Example:
        >>> question = "What are the causes and the treatment of scurvy?"
        >>> short, long = "It is caused by bad food.", "Its cause is bad food, its treatment fresh fruit."
        >>> unanswered_part(Said(short, question), Said(long, question))
        'treatment'
    """
    for match in _BOTH.finditer(short.question):
        pair = [content(group) for group in match.groups()]
        ours = [bool(w) and not missing(w, short.words) for w in pair]
        theirs = [bool(w) and not missing(w, long.words) for w in pair]
        if sum(ours) == 1 and all(theirs):
            return match[2 if ours[0] else 1]
    kinds = {v.kind for v in values(long.text)} - {v.kind for v in values(short.text)}
    return "date" if "date" in kinds and re.search(r"\band the (?:year|date)\b", short.question, re.IGNORECASE) else ""
