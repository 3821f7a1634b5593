"""Possession, quantifiers, and which of two things of one name is meant: parts of the rule "swap"."""

from __future__ import annotations

import re

from .lexicon import words
from .lexicon.languages import CONTENTLESS
from .text import Reading, stem

__all__ = ["other_kind", "other_owner", "other_quantity", "other_relation"]

# --- my and your --------------------------------------------------------------------------------------

_OWNERS = words("my your his her their our")
_OBJECTS = words("me him her them us")
_OWNING = _OWNERS | _OBJECTS


def other_owner(new: Reading, old: Reading) -> str | None:
    """Return the possessives or pronouns in which two prompts differ, all other words being equal.

    "How do you reset your password?" is "How do I reset my password?": there the subject changes as well.
    """
    ours, theirs = new.words, old.words
    if _OWNING.isdisjoint(new.vocabulary) or len(ours) != len(theirs) or ours == theirs:
        return None
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if a != b]
    for group in (_OWNERS, _OBJECTS):
        if all(a in group and b in group for a, b in pairs):
            return f"swapped {pairs[0][0]} for {pairs[0][1]}"
    return None


# --- every A is a B -----------------------------------------------------------------------------------

_QUANTIFIERS = words("every each all any no most some few many only")


def other_quantity(new: Reading, old: Reading) -> str | None:
    """Return a quantifier that applies to another word: "is every A a B" and "is every B an A"."""
    shared = _QUANTIFIERS & new.vocabulary & old.vocabulary
    if not shared or new.language != "en" or old.language != "en" or _content(new) != _content(old):
        return None
    for word in sorted(shared):
        ours, theirs = _counted(new, word), _counted(old, word)
        if ours and theirs and ours != theirs and _follows(new, ours, theirs) and _follows(old, theirs, ours):
            return f"swapped what {word} is about"
    return None


def _content(reading: Reading) -> list[str]:
    pairs = zip(reading.words, reading.stems, strict=True)
    return sorted(stem for word, stem in pairs if word not in CONTENTLESS)


def _counted(reading: Reading, quantifier: str) -> str | None:
    at = reading.words.index(quantifier) + 1
    pairs = list(zip(reading.words, reading.stems, strict=True))[at : at + 3]
    return next((stem for word, stem in pairs if word not in CONTENTLESS), None)


def _follows(reading: Reading, first: str, second: str) -> bool:
    return second in reading.stems[reading.stems.index(first) :]


# --- my mother's brother ------------------------------------------------------------------------------

_OF = re.compile(r"\b([^\W\d_]+) of (?:(?:my|your|his|her|their|our|its|the|a|an) )?([^\W\d_]+)\b")
_S = re.compile(r"\b([^\W\d_]+)'s? ([^\W\d_]+)\b")


def other_relation(new: Reading, old: Reading) -> str | None:
    """Return two words that own each other: "my mother's brother" and "the mother of my brother"."""
    ours = _owned(new)
    if not ours:
        return None
    for owner, owned in _owned(old):
        if owner != owned and (owned, owner) in ours and (owner, owned) not in ours:
            return f"swapped {owned} and {owner}"
    return None


def _owned(reading: Reading) -> frozenset[tuple[str, str]]:
    known: frozenset[tuple[str, str]] | None = reading.facts.get("owned")
    if known is None:
        found = set()
        if "'" in reading.text or "of" in reading.vocabulary:
            low = reading.lower
            # What is matched may overlap: "mother's brother's wife" holds two relations.
            found = {(stem(m[1]), stem(m[2])) for m in _overlapping(_S, low)}
            found |= {(stem(m[2]), stem(m[1])) for m in _overlapping(_OF, low)}
        known = reading.facts["owned"] = frozenset(found)
    return known


def _overlapping(pattern: re.Pattern[str], text: str) -> list[re.Match[str]]:
    found = []
    match = pattern.search(text)
    while match is not None:
        found.append(match)
        match = pattern.search(text, match.end(1))
    return found


# --- Georgia the country ------------------------------------------------------------------------------

_SAME = {"movie": "film", "novel": "book", "series": "show", "firm": "company", "town": "city"}
_KINDS = words(
    "country state city town county province region island river lake mountain planet god goddess element metal "
    "language framework library software app company firm brand band singer actor film movie book novel song album "
    "game series show musical play character person fruit plant animal bird snake car phone drink food river website "
    "bank fish ship saint king queen president painter writer general programming"
)
_KIND = re.compile(rf"\b(?:[^\W\d_]+,? the|[^\W\d_]+ \((?:the )?) ?({'|'.join(sorted(_KINDS))})\b")
_KIND_OF = re.compile(rf"\bthe ({'|'.join(sorted(_KINDS))}) of\b")


# "New York City" and "New York State": no article, so only kinds that follow a name directly.
_KIND_AFTER = re.compile(r"\b[^\W\d_]+ (city|town|state|county|province)\b")


def other_kind(new: Reading, old: Reading) -> str | None:
    """Return which things of one name are meant: "Georgia the country" and "Georgia the state"."""
    ours = _kinds(new)
    if not ours:
        return None
    theirs = _kinds(old)
    if not theirs or not ours.isdisjoint(theirs):
        return None
    left = [word for word in new.stems if word not in old.bag]
    right = [word for word in old.stems if word not in new.bag]
    if len(left) > 1 or len(right) > 1:
        return None
    return f"swapped {min(ours)} for {min(theirs)}"


def _kinds(reading: Reading) -> frozenset[str]:
    known: frozenset[str] | None = reading.facts.get("kinds")
    if known is None:
        known = frozenset()
        if not _KINDS.isdisjoint(reading.vocabulary):
            low = reading.lower
            known = frozenset(_SAME.get(m[1], m[1]) for p in (_KIND, _KIND_OF, _KIND_AFTER) for m in p.finditer(low))
        reading.facts["kinds"] = known
    return known
