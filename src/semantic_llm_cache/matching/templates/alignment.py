"""The words that two texts share in one order, and the parts in which they differ."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from typing import NamedTuple

__all__ = ["Hunk", "Slot", "WordList", "matches", "slots"]

_WORD = re.compile(r"\S+")
_MARKS = ".,;:!?\"'`()[]{}<>«»“”‘’"
_CLOSE = 4  # differences with at most so many equal words between them belong together
_SMALL = 16_000  # product of two lengths up to which every way to align is tried: some milliseconds
_LONG_SLOT = 60  # words; a longer slot is cut down to the parts that differ


class WordList:
    """The white-space separated words of a text.

    Attributes:
        text: the text.
        forms: its words as they are compared: lower case, without punctuation around them.
        places: start and end of each word in `text`.
    """

    __slots__ = ("forms", "places", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        found = list(_WORD.finditer(text))
        self.forms = [match[0].casefold().strip(_MARKS) or match[0] for match in found]
        self.places = [match.span() for match in found]

    def part(self, first: int, end: int) -> str:
        """Return the text from word `first` up to, not including, word `end`."""
        return self.text[self.places[first][0] : self.places[end - 1][1]].strip(_MARKS + " ") if first < end else ""


class Hunk(NamedTuple):
    """A difference: words `a` to `a_end` of one text stand where the other has words `b` to `b_end`."""

    a: int
    a_end: int
    b: int
    b_end: int


class Slot(NamedTuple):
    """A part in which two texts differ.

    Attributes:
        ours: the part of the first text; "" where the second has something inserted.
        theirs: the part of the second.
        hunks: the differing pieces in it, as pairs of texts.
    """

    ours: str
    theirs: str
    hunks: tuple[tuple[str, str], ...]


def matches(ours: Sequence[str], theirs: Sequence[str]) -> list[tuple[int, int]]:
    """Return the places of words that two lists share in the same order, as increasing pairs.

    Example:
        >>> matches("a red cat".split(), "a blue cat".split())
        [(0, 0), (2, 2)]
    """
    found: list[tuple[int, int]] = []
    waiting = [(0, len(ours), 0, len(theirs))]
    while waiting:
        a, a_end, b, b_end = waiting.pop()
        while a < a_end and b < b_end and ours[a] == theirs[b]:
            found.append((a, b))
            a, b = a + 1, b + 1
        while a < a_end and b < b_end and ours[a_end - 1] == theirs[b_end - 1]:
            a_end, b_end = a_end - 1, b_end - 1
            found.append((a_end, b_end))
        if a == a_end or b == b_end:
            continue
        if (a_end - a) * (b_end - b) <= _SMALL:
            matcher = SequenceMatcher(None, ours[a:a_end], theirs[b:b_end], autojunk=False)
            for block in matcher.get_matching_blocks():
                found += [(a + block.a + i, b + block.b + i) for i in range(block.size)]
            continue
        anchors = _anchors(ours, theirs, Hunk(a, a_end, b, b_end))
        if anchors:
            found += anchors
            ends = [(a - 1, b - 1), *anchors, (a_end, b_end)]
            waiting += [(i + 1, k, j + 1, m) for (i, j), (k, m) in pairwise(ends)]
    return sorted(found)


def _anchors(ours: Sequence[str], theirs: Sequence[str], part: Hunk) -> list[tuple[int, int]]:
    """Return the longest increasing run of words that occur once in each of two parts."""
    counts = Counter(ours[part.a : part.a_end]), Counter(theirs[part.b : part.b_end])
    where = {word: j for j, word in enumerate(theirs[part.b : part.b_end], part.b) if counts[1][word] == 1}
    pairs = [
        (i, where[word])
        for i, word in enumerate(ours[part.a : part.a_end], part.a)
        if counts[0][word] == 1 and word in where
    ]
    tails: list[int] = []
    chosen: list[int] = []
    before: list[int] = []
    for n, (_, j) in enumerate(pairs):
        at = bisect_left(tails, j)
        tails[at:] = [j, *tails[at + 1 :]]
        before.append(chosen[at - 1] if at else -1)
        chosen[at:] = [n, *chosen[at + 1 :]]
    run: list[tuple[int, int]] = []
    n = chosen[-1] if chosen else -1
    while n >= 0:
        run.append(pairs[n])
        n = before[n]
    return run[::-1]


def slots(
    ours: WordList, theirs: WordList, shared: Sequence[tuple[int, int]], known: Collection[int] = ()
) -> list[Slot]:
    """Return the parts in which two texts differ.

    Args:
        ours, theirs: the two texts.
        shared: their `matches`.
        known: places in `ours` of words that belong to a known template: a slot reaches from one to the next. Without
            any, only differences that are close to each other are one slot.
    """
    ends = [(-1, -1), *shared, (len(ours.forms), len(theirs.forms))]
    hunks = [Hunk(i + 1, k, j + 1, m) for (i, j), (k, m) in pairwise(ends) if k - i > 1 or m - j > 1]
    groups: list[list[Hunk]] = []
    for hunk in hunks:
        if groups and _together(groups[-1][-1], hunk, known):
            groups[-1].append(hunk)
        else:
            groups.append([hunk])
    partners = dict(shared)
    return [_slot(ours, theirs, group, partners, known) for group in groups]


def _together(one: Hunk, other: Hunk, known: Collection[int]) -> bool:
    between = range(one.a_end, other.a)
    if len(between) <= _CLOSE:
        return True
    return bool(known) and other.a_end - one.a <= _LONG_SLOT and not any(i in known for i in between)


def _slot(
    ours: WordList, theirs: WordList, group: list[Hunk], partners: dict[int, int], known: Collection[int]
) -> Slot:
    a, a_end, b, b_end = group[0].a, group[-1].a_end, group[0].b, group[-1].b_end
    if known:  # the rest of the slot, up to the template's own words
        while a_end - a <= _LONG_SLOT and partners.get(a - 1) == b - 1 and a - 1 not in known and a > 0:
            a, b = a - 1, b - 1
        while a_end - a <= _LONG_SLOT and partners.get(a_end) == b_end and a_end not in known:
            a_end, b_end = a_end + 1, b_end + 1
    pieces = tuple((ours.part(hunk.a, hunk.a_end), theirs.part(hunk.b, hunk.b_end)) for hunk in group)
    return Slot(ours.part(a, a_end), theirs.part(b, b_end), pieces)
