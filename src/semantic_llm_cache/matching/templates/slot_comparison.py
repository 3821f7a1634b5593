"""Whether two prompts from one template ask the same: what differs is compared by itself.

In a long prompt one word of a hundred hardly moves the cosine. So the parts that differ must be alike by themselves:
no guard may object to them, one word must be a form, a spelling or a synonym of the other, and for anything longer the
cosine of the parts decides.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence, Set
from typing import Any, NamedTuple

from semantic_llm_cache.matching.guards.base import GuardSet
from semantic_llm_cache.matching.guards.lexicon.languages import CONTENTLESS, FUNCTION_WORDS
from semantic_llm_cache.matching.guards.lexicon.numerals import NUMBER_WORDS, UNITS
from semantic_llm_cache.matching.guards.lexicon.riders import FILLER
from semantic_llm_cache.matching.guards.lexicon.synonyms import SYNONYMS
from semantic_llm_cache.matching.guards.text import read, stem

from .alignment import Slot

__all__ = ["LEAST_SIMILARITY", "SlotComparison"]

LEAST_SIMILARITY = 0.6
"""Lowest cosine of two differing parts, and of the words that only one of them has."""

_WHERE = "prompts from one template"
_LEAST_WITH_MORE = 0.8  # the same where one part says in other words what the other says, and one thing more

# Letters that English (and names from other scripts) write in two ways: "colour", "realise", "centre", "Tolstoi".
_SPELLINGS = (
    ("ae", "e"), ("oe", "e"), ("ue", "u"), ("ou", "o"), ("gh", "g"), ("ph", "f"), ("yse", "yze"), ("is", "iz"),
    ("re", "er"), ("y", "i"), ("ck", "k"),
)  # fmt: skip

_ENDINGS = ("ness", "ity", "ful")  # what makes a noun of an adjective, or the reverse, and changes nothing else


def _variant(word: str) -> str:
    """Return a form that the spellings of one word share."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))
    for ending in _ENDINGS:
        if plain.endswith(ending) and len(plain) - len(ending) >= 4:
            plain = plain[: -len(ending)]
            break
    for one, other in _SPELLINGS:
        plain = plain.replace(one, other)
    return "".join(c for i, c in enumerate(plain) if not i or c != plain[i - 1])


_GROUP_OF: dict[str, frozenset[int]] = {}
for _number, _group in enumerate(SYNONYMS):
    for _word in _group:
        _name = _variant(stem(_word))
        _GROUP_OF[_name] = _GROUP_OF.get(_name, frozenset()) | {_number}

_SMALL_WORDS = CONTENTLESS | FUNCTION_WORDS["en"]
_NUMBERS = NUMBER_WORDS["en"].keys() | UNITS.keys()

_MARKS = frozenset(".,;:!?'\"`´’‘“”()-–—/&%$€£¥…")  # punctuation, and units, which the guards compare


def _apart(ours: dict[str, str], theirs: dict[str, str]) -> tuple[list[str], list[str]]:
    """Return the words that only one of two sides has, synonyms paired off."""
    left = [name for name in ours if name not in theirs]
    right = [name for name in theirs if name not in ours]
    for name in tuple(left):
        groups = _GROUP_OF.get(name, frozenset())
        partner = next((other for other in right if groups & _GROUP_OF.get(other, frozenset())), None)
        if partner is not None:
            left.remove(name)
            right.remove(partner)
    return left, right


class _Doubt(NamedTuple):
    """What the words alone do not decide: two texts, and how high their cosine must be."""

    one: str
    other: str
    least: float


def _differ(one: str, other: str) -> str:
    return f"{one!r} != {other!r}"


def _signs(ours: str, theirs: str) -> str | list[_Doubt]:
    """Return the objection to different signs ("+", "#") where the words are the same."""
    one, other = (
        Counter(piece for kind, piece, _ in read(text).tokens if kind == "sym" and piece not in _MARKS)
        for text in (ours, theirs)
    )
    return [] if one == other else f"sign {min((one - other) + (other - one))!r} differs"


class SlotComparison:
    """What the guards and the words say about the parts in which two prompts differ, and what meaning must decide.

    Attributes:
        objection: why the parts differ, or None so far.
        texts: what has to be embedded for `by_meaning`; empty if nothing has to be.
    """

    def __init__(self, slots: Sequence[Slot], guards: GuardSet) -> None:
        self._numbers = "numbers" not in guards.names  # else the guard has compared them
        self._small = _SMALL_WORDS if self._numbers else _SMALL_WORDS | _NUMBERS
        self._empty = self._small | FILLER
        self._doubts: list[_Doubt] = []
        self.objection = self._first(slots, guards)
        doubts = () if self.objection is not None else self._doubts
        self.texts = [text for doubt in doubts for text in (doubt.one, doubt.other)]

    def by_meaning(self, vectors: Any) -> str | None:
        """Return why the parts differ, or None.

        Args:
            vectors: the unit vectors of `texts`, shape (n, dimension).
        """
        for at, doubt in enumerate(self._doubts):
            cosine = max(0.0, float(vectors[2 * at] @ vectors[2 * at + 1]))
            if cosine < doubt.least:
                return f"{_WHERE}, the rest alike by {cosine:.2f} < {doubt.least:g}"
        return None

    def _content(self, text: str, without: Set[str]) -> dict[str, str]:
        """Return the words of a text that carry meaning: variant -> as written."""
        reading = read(text)
        # The guess of a few words' language is poor, so all are taken for English: what counts is that both sides are.
        found = {_variant(stem(word)): word for word in reading.words if word not in without}
        if self._numbers and reading.has_number:
            found.update((piece, piece) for kind, piece, _ in reading.tokens if kind == "num")
        return found

    def _first(self, slots: Sequence[Slot], guards: GuardSet) -> str | None:
        for slot in slots:
            veto = guards.check(slot.ours, slot.theirs) if slot.ours and slot.theirs else None
            if veto is not None:
                return str(veto)
            verdict = self._by_words(slot) if slot.ours and slot.theirs else self._alone(slot.ours or slot.theirs)
            if isinstance(verdict, str):
                return f"{_WHERE}: {verdict}"
            self._doubts += verdict
        return None

    def _alone(self, text: str) -> str | list[_Doubt]:
        """Return the objection to a part that only one prompt has, or nothing if it is mere politeness."""
        words = " ".join(self._content(text, self._empty).values())
        if not words and any(kind == "num" for kind, _, _ in read(text).tokens):
            words = text
        return f"only one has {words!r}" if words else []

    def _by_words(self, slot: Slot) -> str | list[_Doubt]:
        """Return an objection, or what to compare by meaning: nothing if the slot says the same."""
        ours, theirs = self._content(slot.ours, self._empty), self._content(slot.theirs, self._empty)
        left, right = _apart(ours, theirs)
        pieces = [self._words_of(hunk) for hunk in slot.hunks]
        for mine, yours in pieces:
            only, others = _apart(mine, yours)
            # A word that has only moved is no difference.
            only, others = [n for n in only if n not in theirs], [n for n in others if n not in ours]
            if len(only) == len(others) == len(mine) == len(yours) == 1:
                return _differ(mine[only[0]], yours[others[0]])
        if not left and not right:
            return _signs(slot.ours, slot.theirs)
        if len(left) == len(right) == 1:
            return _differ(ours[left[0]], theirs[right[0]])
        if left and right:
            rests = (" ".join(ours[name] for name in left), " ".join(theirs[name] for name in right))
            return [_Doubt(slot.ours, slot.theirs, LEAST_SIMILARITY), _Doubt(*rests, LEAST_SIMILARITY)]
        if not (any(mine for mine, _ in pieces) and any(yours for _, yours in pieces)):
            more = " ".join(ours[name] for name in left) or " ".join(theirs[name] for name in right)
            return f"only one has {more!r}"
        return [_Doubt(slot.ours, slot.theirs, _LEAST_WITH_MORE)]

    def _words_of(self, hunk: tuple[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """Return the content words of a differing piece's two sides."""
        mine, yours = self._content(hunk[0], self._empty), self._content(hunk[1], self._empty)
        if not mine and not yours:
            # "team" and "friend" are filler beside a question, but not where one stands in place of the other.
            mine, yours = self._content(hunk[0], self._small), self._content(hunk[1], self._small)
            if not (mine and yours):
                return {}, {}
        return mine, yours
