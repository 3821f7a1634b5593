"""Half, double, dozen: words that multiply, part of the rule "numbers"."""

from __future__ import annotations

from .lexicon import words
from .lexicon.numerals import ORDINAL_WORDS
from .text import Reading

__all__ = ["may_multiply", "other_multiple"]

_MULTIPLES = {
    "half": "half", "halve": "half", "double": "double", "twice": "double", "doubled": "double", "triple": "triple",
    "thrice": "triple", "tripled": "triple", "quadruple": "quadruple", "dozen": "dozen", "dozens": "dozen",
    "halb": "half", "halbe": "half", "halbes": "half", "halber": "half", "halben": "half", "doppelt": "double",
    "dutzend": "dozen", "demi": "half", "moitié": "half", "mitad": "half", "medio": "half", "media": "half",
    "docena": "dozen", "douzaine": "dozen", "metà": "half", "mezzo": "half", "metade": "half", "dúzia": "dozen",
}  # fmt: skip
_WORDS = frozenset(_MULTIPLES)
_IDIOMS = words(
    "past hour hours year years way life time breed baked hearted brother sister price check click bed room"
)
"""Words next to which "half" and "double" are part of a name or have other common wordings."""


def may_multiply(reading: Reading) -> bool:
    """Return False if `other_multiple` finds nothing in a prompt."""
    return not _WORDS.isdisjoint(reading.vocabulary)


def other_multiple(new: Reading, old: Reading) -> str | None:
    """Return a multiplying word that only one prompt has, or None.

    Prompts that also have a number are left to the comparison of numbers: half an hour is thirty minutes.
    """
    if _WORDS.isdisjoint(new.vocabulary) and _WORDS.isdisjoint(old.vocabulary):
        return None
    if new.has_number != old.has_number or new.language != old.language:
        return None
    ours, theirs = _multiples(new), _multiples(old)
    if ours == theirs or (len(ours & theirs) != min(len(ours), len(theirs)) and not (ours and theirs)):
        return None
    longer, shorter = (new, old) if len(ours) >= len(theirs) else (old, new)
    if not (shorter.vocabulary - longer.vocabulary).isdisjoint(_NUMBERS):
        return None
    if ours - theirs and theirs - ours:
        return f"number {min(ours - theirs)} != {min(theirs - ours)}"
    if ours - theirs:
        return f"number {min(ours - theirs)} not in the stored prompt"
    return f"number {min(theirs - ours)} only in the stored prompt"


_NUMBERS = words(
    "one two three four five six seven eight nine ten eleven twelve fifteen twenty thirty fifty hundred"
) | set(ORDINAL_WORDS)


def _multiples(reading: Reading) -> frozenset[str]:
    found = set()
    words = reading.words
    for at, word in enumerate(words):
        name = _MULTIPLES.get(word)
        if name is None or (word in ("media", "medio", "demi") and reading.language == "en"):
            continue
        beside = {*words[at + 1 : at + 3], *words[max(at - 1, 0) : at]}
        if name in ("half", "double") and (not _IDIOMS.isdisjoint(beside) or "in" in words[max(at - 1, 0) : at]):
            continue
        found.add(name)
    return frozenset(found)
