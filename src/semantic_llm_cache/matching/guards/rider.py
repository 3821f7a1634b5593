"""Rule "rider": one prompt contains the other's question and also tells how to answer it.

"How do I pay?" and "How do I pay? Be sarcastic." have a cosine of .9: the question is most of both. An answer to the
second, once stored, would be served to all who ask the first. So what one prompt adds to the other must be harmless
(a closed list of politeness and filler), or at least not be a separate clause, a command or an address, and say nothing
about the manner of the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .additions import asserted, repeated, replied, spelled
from .base import Rule
from .lexicon import words
from .lexicon.riders import (
    ADVERBS,
    ANSWERS,
    ASKING,
    COMMANDS,
    FILLER,
    LEADS,
    MANNERS,
    ORDINARY,
    PHRASE_WORDS,
    PHRASES,
    STYLES,
    WRITINGS,
)
from .text import Reading

__all__ = ["RIDER"]

_HARD = frozenset(".?!;—–|。？！；…¿¡")
_SOFT = frozenset(",:()[]{}<>，、：（）")
_ADDRESS = re.compile(
    r"[\w.+-]+@[\w-]+\.\w|(?<![\w.@])(?:[\w-]{2,}\.)+[a-z]{2,}(?:/\S*)?(?!\w)|\b\w+://\S+", re.IGNORECASE
)
_NO_ADDRESS = re.compile(r".*\.(?:js|net|py|ts|io|etc|ph|dr|vs|eg|ie|tech|sc|com)$|.*[a-z]\.[A-Z][a-z]+$")
_PHRASES = tuple(re.compile(pattern) for pattern in PHRASES)
_MANNERS = re.compile("|".join(sorted(MANNERS, key=len, reverse=True)))
_QUESTIONS = words(
    "what who whom whose which how why when where is are was were do does did can could should would will has have had "
    "am if"
)
_BEFORE_VERB = words(
    "to you i we they he she it one who that which can could would should will shall may might must do does did not "
    "please don't never always people anyone someone help let me us just"
)
_PERSONS = words("i you your")
_OPEN_QUESTIONS = words("what who whom whose which how why when where")
_REFERRING = words("it its they them their this that these those there")
_VERBS, _ORDERS = COMMANDS - FILLER, COMMANDS - ASKING
_JOINTS = words("and then but or also please just kindly so ideally ps pps nb")
_WISHES = words("want need hope expect wish love prefer seem use")
_AS_BEFORE = words("of per in for at soon long far well")
_CONDITIONS = words("if when where while")
_PREPOSITIONS = words("in on at for from of during to around than after before within near under")
_REPLIES = words("yes no nothing none true false whatever")
_ROLE = words("a an the if though my some")
_COVERED = 0.5  # share of the other prompt's content that must lie outside a clause for the clause to be an addition
_STRANGE = 0.7  # share of a clause's content that the other prompt lacks for the clause to be one of its own
_MUCH = 4  # words of content that one prompt may not have beyond all of the other's
_PLENTY = 3  # such words that make a clause between softer marks one of its own


class _Clause(NamedTuple):
    """A part of a prompt between punctuation marks.

    Attributes:
        content: its words other than filler, with their stems.
        words: all its words.
        hard: whether it is bounded by ends of sentences.
        asks: whether it is a question of its own.
    """

    content: tuple[tuple[str, str], ...]
    words: tuple[str, ...]
    hard: bool
    asks: bool


def _clauses(reading: Reading) -> list[_Clause]:
    known: list[_Clause] | None = reading.facts.get("clauses")
    if known is None:
        known = reading.facts["clauses"] = list(_split(reading))
    return known


def _split(reading: Reading) -> Iterator[_Clause]:
    held: list[tuple[str, str]] = []
    begun = True  # after the end of a sentence
    lines = "\n" in reading.text
    pairs = zip(reading.words, reading.stems, strict=True)
    counts = iter(reading.opened)
    end = 0
    for kind, piece, start in reading.tokens:
        if lines and held and "\n" in reading.text[end:start]:
            yield _clause(held, begun, "\n")
            held, begun = [], True
        end = start + len(piece)
        if kind == "word":
            held.extend(next(pairs) for _ in range(next(counts)))
        elif kind == "sym" and _parts(piece, reading.text[end : end + 1]):
            if held:
                yield _clause(held, begun and piece in _HARD, piece)
                held = []
            begun = piece in _HARD
    if held:
        yield _clause(held, begun, "")


def _parts(mark: str, after: str) -> bool:
    """Return whether a mark before the character `after` ends a clause: not those in "3:30", "1,000" and "a.com"."""
    if mark == ".":
        return not after.islower() and not after.isdigit()
    return mark in _HARD or (mark in _SOFT and not after.isdigit() and after != "/")


def _clause(held: list[tuple[str, str]], hard: bool, mark: str) -> _Clause:
    words = tuple(word for word, _ in held)
    asks = mark in ("?", "？") and not _QUESTIONS.isdisjoint(words[:2])
    return _Clause(_with_content(held), words, hard, asks)


def _with_content(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return those pairs of a word and its stem whose word is no filler."""
    return tuple(pair for pair in pairs if pair[0] not in FILLER and (len(pair[0]) > 1 or pair[0] >= "\u3040"))


def _content(reading: Reading) -> tuple[tuple[str, str], ...]:
    """Return the content of all clauses."""
    known: tuple[tuple[str, str], ...] | None = reading.facts.get("content")
    if known is None:
        known = reading.facts["content"] = _with_content(zip(reading.words, reading.stems, strict=True))
    return known


def _compare(new: Reading, old: Reading) -> str | None:
    found = asserted(new, old)
    if found is not None:
        return f"rider {found}"
    found = _beyond(new, old)
    if found is not None:
        return f"rider {found} not in the stored prompt"
    found = _beyond(old, new)
    return None if found is None else f"rider {found} only in the stored prompt"


def _beyond(one: Reading, other: Reading) -> str | None:
    """Return what `one` adds to `other` but should not, or None."""
    known, squashed = other.bag, other.squashed
    extra = {stem for word, stem in _content(one) if stem not in known and word not in squashed}
    found = _address(one, other) or _phrase(one, other)
    found = found or spelled(one, other) or repeated(one, other, extra)
    if found is not None:
        return found
    around = _around(one.words, other.words)
    for added in around:
        if replied(added):
            return _shown(added)
    if not extra:
        return None
    clauses = _clauses(one)
    theirs = {stem for clause in _clauses(other) for _, stem in clause.content}
    if theirs and len(extra) >= _MUCH and theirs <= one.bag:
        return _shown([word for clause in clauses for word, stem in clause.content if stem in extra])
    for added in around:
        if _stranger(added):
            return _shown(added)
    for clause in clauses:
        strange = [word for word, stem in clause.content if stem in extra]
        if not strange:
            continue
        manner = next((word for word in strange if (m := _MANNERS.match(word)) and m.group() not in squashed), None)
        if manner is not None:
            return _shown([manner])
        if clause.words[0] in ("as", "like") and clause.words[1:2] and clause.words[1] in _ROLE:
            return _shown(clause.words)
        style = next((word for word in strange if word in STYLES), None)
        if style is not None and not WRITINGS.isdisjoint(other.vocabulary):
            return _shown([style])
        rest = {stem for c in clauses if c is not clause for _, stem in c.content}
        answered = len(strange) == 1 and clause.words[0] == strange[0] and not theirs <= one.bag
        if not answered and _rides(clause, strange) and _covers(rest, theirs):
            return _shown(clause.words)
        at = _command(clause, extra)
        if at and _covers(rest.union(stem for word, stem in clause.content if word in clause.words[:at]), theirs):
            return _shown(clause.words[at:])
    return None


def _around(ours: list[str], theirs: list[str]) -> list[list[str]]:
    """Return the words before and after the other prompt's words, if those are contiguous in this one."""
    size = len(theirs)
    if not size:
        return []
    for at in range(len(ours) - size + 1):
        if ours[at] == theirs[0] and ours[at : at + size] == theirs:
            return [part for part in (ours[:at], ours[at + size :]) if part]
    return []


def _stranger(added: list[str]) -> bool:
    """Return whether words that are added to a whole question are more than a detail of it."""
    content = [word for word in added if word not in FILLER]
    if not ANSWERS.isdisjoint(added):
        return True
    while added and (added[0] in _JOINTS or added[:2] == ["if", "possible"]):
        added = added[1:] if added[0] in _JOINTS else added[2:]
    if not content or not added:
        return False
    if added[0] in _VERBS and (added[0] not in ASKING or len(content) > 1):
        return True
    if added[0] in ("be", "while", "like") or added[0] in _WISHES:
        return True
    if added[0] == "as":
        return added[1:2] != [] and added[1] not in _AS_BEFORE
    told = not _PERSONS.isdisjoint(added)
    if added[0] in _QUESTIONS and added[0] not in _CONDITIONS:
        open_ = added[0] in _OPEN_QUESTIONS or not _REFERRING.isdisjoint(added)
        return not open_ or len(content) > _PLENTY or (told and not _ORDERS.isdisjoint(added))
    if len(content) == 1 and content[0].endswith("ly"):
        return content[0] not in ADVERBS
    return len(content) >= _PLENTY or (told and added[0] not in _PREPOSITIONS)


def _covers(words: set[str], theirs: set[str]) -> bool:
    return bool(theirs) and len(theirs & words) >= _COVERED * len(theirs)


def _rides(clause: _Clause, strange: list[str]) -> bool:
    """Return whether a clause is a command or unrelated, given that the question is complete without it."""
    share = len(strange) / len(clause.content)
    head = next((word for word in clause.words if word not in LEADS), "")
    if head in COMMANDS and share >= 0.5 and (head not in ASKING or len(strange) > 1 or share == 1):
        return True
    return share >= _STRANGE and (len(strange) >= _PLENTY or (clause.hard and not clause.asks))


def _command(clause: _Clause, extra: set[str]) -> int:
    """Return where a command without punctuation before it begins, or 0: "exercises for the back recommend pills"."""
    stems = dict(clause.content)
    words = clause.words
    for at, word in enumerate(words):
        joined = at > 0 and words[at - 1] in ("and", "then", "but", "also")
        if not at or word not in COMMANDS or (word in ORDINARY and not joined):
            continue
        if stems.get(word, "") not in extra and word not in FILLER:
            continue
        if words[at - 1] in _BEFORE_VERB and not joined:
            continue  # "how to recommend", "can you reply"
        after = [stems[w] for w in words[at + 1 :] if w in stems]
        if (after and extra.issuperset(after)) or (not after and not _REPLIES.isdisjoint(words[at + 1 :])):
            return at
    return 0


def _address(one: Reading, other: Reading) -> str | None:
    for shown, bare in _addresses(one):
        if bare not in other.lower:
            return shown[:40]
    return None


def _addresses(reading: Reading) -> list[tuple[str, str]]:
    """Return the addresses of a prompt: as written, and without their optional parts."""
    known: list[tuple[str, str]] | None = reading.facts.get("addresses")
    if known is None:
        known = reading.facts["addresses"] = []
        if "." in reading.text[:-1] or "@" in reading.text:
            for match in _ADDRESS.finditer(reading.text):
                shown = match.group().rstrip(".,;:!?")
                if not _NO_ADDRESS.match(shown):
                    known.append((shown, shown.lower().split("://")[-1].removeprefix("www.").rstrip("/")))
    return known


def _phrase(one: Reading, other: Reading) -> str | None:
    for shown in _phrases(one):
        if shown not in other.lower:
            return f'"{shown}"'
    return None


def _phrases(reading: Reading) -> list[str]:
    known: list[str] | None = reading.facts.get("phrases")
    if known is None:
        low, patterns = reading.lower, _PHRASES
        if not reading.may_hold(PHRASE_WORDS):
            patterns = () if low.isascii() else _PHRASES[-1:]
        known = reading.facts["phrases"] = [
            match.group().strip(" .?!:;,([{\n") for pattern in patterns for match in pattern.finditer(low)
        ]
    return known


def _shown(words: list[str] | tuple[str, ...]) -> str:
    return f'"{" ".join(words[:6])}"'


RIDER = Rule("rider", _compare)
