"""Rule "swap": the same words in other positions, where the position says who does what to whom."""

from __future__ import annotations

from typing import NamedTuple

from .base import Rule
from .lexicon import in_order, words
from .lexicon.languages import CONTENTLESS, COORDINATORS, DROPPED
from .lexicon.numerals import LOOSE_UNITS, UNITS
from .polarity import from_both_ends
from .relations import other_kind, other_owner, other_quantity, other_relation
from .roles import moved_focus, other_doer, other_list, other_voice
from .text import Reading, stem

__all__ = ["SWAP"]

_PREPOSITIONS = words(
    "in on at for from to of by with into onto over under about after before during since until through "
    "without within between among against than as like via per near using if when while because although "
    "though where who which that whose auf mit für von zu nach bei aus über unter vor dans avec pour sur "
    "par de à en chez con por para desde hasta em com da do na no per su nel voor met op van naar uit w z "
    "na dla od po przez в на с для из от по у к от до einen"
)
# Relations that hold both ways: swapping what they join changes nothing.
_SYMMETRIC = frozenset(
    stem(w)
    for w in in_order(
        "difference differences different differ differs differentiate distinguish distinguishing similar "
        "similarity similarities same distance far equal equals equivalent related relation relationship "
        "relate compare compared comparison comparing correlation correlate between both versus vs "
        "confuse confused mix combine combined married dating friends common intersect intersection "
        "overlap rhyme sibling siblings link connection connected unterschied différence diferencia "
        "diferença differenza verschil różnica разница"
    )
)
_LINKS = words("from to with than as of a à au del al zu z od от mit con com con avec met et und y e i и")
_LONGEST = 120  # tokens; a longer prompt's word order is compared on what is left by `residual`
_START = "^"
_Parts = tuple[list[str], list[str], list[str], list[str], list[str]]
_DO = words("do does did")
_WHAT_FIRST = words("after before while without")
# "And" and "or" of other languages that are words of their own in English.
_ENGLISH_COORDINATORS = COORDINATORS - words("i y e o u et ou en a")


def _sequences(reading: Reading) -> tuple[list[str], list[str], list[str]]:
    """Return stems and numbers in order, articles and auxiliaries dropped.

    The second list has punctuation in between, the third is the second with words as written.
    """
    known: tuple[list[str], list[str], list[str]] | None = reading.facts.get("sequences")
    if known is None:
        plain: list[str] = []
        full: list[str] = []
        surface: list[str] = []
        english = reading.language == "en"
        for kind, piece, start in reading.tokens:
            if kind == "sym":
                if piece in ",()/&;:、，":
                    full.append(piece)
                    surface.append(piece)
                continue
            low = piece.lower()
            if kind == "word":
                if "'" in low:
                    head, _, tail = low.partition("'")
                    low = head if tail in ("s", "re", "ve", "ll", "d", "m", "") or english else tail
                # "A" inside a sentence is a thing's name: does A beat B.
                if low in DROPPED or (piece == "a" and english) or (piece == "A" and not start):
                    continue
                if piece == "A":
                    low = piece
                surface.append(low)
                low = _unit(low) if low in LOOSE_UNITS else stem(low, english)
            else:
                surface.append(low)
            plain.append(low)
            full.append(low)
        known = reading.facts["sequences"] = (plain, full, surface)
    return known


def _unit(word: str) -> str:
    dimension, factor = UNITS[word]
    return f"{dimension}:{factor}"


def _templates(a: list[str], b: list[str]) -> list[_Parts]:
    """Return every (p, x, m, y, s) with a = p x m y s and b = p y m x s; p and s as long as possible."""
    start = 0
    while start < len(a) and a[start] == b[start]:
        start += 1
    end = len(a)
    while end > start and a[end - 1] == b[end - 1]:
        end -= 1
    left, right = a[start:end], b[start:end]
    size = len(left)
    found = []
    for i in range(1, size):
        # x is what `left` begins with and `right` ends with.
        if left[:i] != right[size - i :]:
            continue
        for j in range(1, size - i + 1):
            if left[size - j :] == right[:j] and left[i : size - j] == right[j : size - i]:
                found.append((a[:start], left[:i], left[i : size - j], left[size - j :], a[end:]))
    return found


def _benign(parts: _Parts, bag: frozenset[str], coordinators: frozenset[str]) -> bool:
    before, x, middle, y, after = parts
    if not middle:
        # A phrase moved past its neighbour: "in Python, sort a list" and "sort a list in Python". But not what comes
        # first: "after eating can I swim" and "after swimming can I eat".
        return not (before and before[-1] in _WHAT_FIRST)
    if all(w in coordinators for w in middle):
        return True
    if len(middle) == 1 and middle[0] in _PREPOSITIONS and before[-1:] == middle:
        return True  # in Boston in 1923, in 1923 in Boston
    if middle[0] in coordinators and middle[-1] in coordinators and len(middle) < 8:
        return True  # ends of a list: A, B and C
    for at, word in enumerate(middle):
        if word in coordinators:
            # real gas and ideal gas; type A and type B
            head, tail = middle[:at], middle[at + 1 :]
            if after[: len(head)] == head and (not tail or before[-len(tail) :] == tail):
                return True
    # Pronouns and the like; the names of things compared may be single letters.
    if all(w in CONTENTLESS for w in x) or all(w in CONTENTLESS for w in y):
        return True
    if not bag.isdisjoint(_SYMMETRIC) and all(w in coordinators or w in _LINKS or w in _SYMMETRIC for w in middle):
        return True
    return x[0] in _PREPOSITIONS and y[0] in _PREPOSITIONS


def _compare(new: Reading, old: Reading) -> str | None:
    # Cheap first: a swap needs most of the words on both sides.
    common = new.bag & old.bag
    if len(common) < 2 or 2 * len(common) < max(len(new.bag), len(old.bag)):
        return None
    ours, theirs = _sequences(new)[0], _sequences(old)[0]
    if max(len(ours), len(theirs)) > _LONGEST:
        return None
    if from_both_ends(new, old):
        return None
    found = (
        other_list(new, old, ours, theirs)
        or other_voice(new, old)
        or moved_focus(new, old)
        or other_owner(new, old)
        or other_quantity(new, old)
        or other_relation(new, old)
        or other_doer(new, old)
        or other_kind(new, old)
    )
    return found or (None if ours == theirs else _swapped(new, old, common))


def _swapped(new: Reading, old: Reading, common: frozenset[str]) -> str | None:
    (ours, ours_full, _), (theirs, theirs_full, _) = _sequences(new), _sequences(old)
    if len(ours) == len(theirs) and sorted(ours) == sorted(theirs):
        if _asks_object(new) != _asks_object(old) and ours[0] == theirs[0] in ("who", "what", "which"):
            # "Who did Ann pay?" asks for the object, "Who paid Ann?" for the subject.
            return f"swapped roles of {ours[-1]}"
        found = _templates(ours, theirs)
        coordinators = _ENGLISH_COORDINATORS if new.language == old.language == "en" else COORDINATORS
        if found:
            if any(_benign(parts, common, coordinators) for parts in found):
                return None
            if sorted(ours_full) == sorted(theirs_full) and any(
                _benign(parts, common, coordinators) for parts in _templates(ours_full, theirs_full)
            ):
                return None
            _, x, _, y, _ = min(found, key=lambda parts: len(parts[1]) + len(parts[3]))
            glue = "" if new.cjk else " "
            return f"swapped {glue.join(x)} and {glue.join(y)}"
    if new.cjk or old.cjk:
        return None
    who = {*ours[:1], *theirs[:1]} == {"who", "whom"} and _asks_object(new) != _asks_object(old)
    if who and sorted(ours[1:]) == sorted(theirs[1:]):
        return f"swapped roles of {ours[-1]}"
    return _exchanged(new, old, common)


def _asks_object(reading: Reading) -> bool:
    """Return whether a question such as "who did", "which pages does" asks for the object of its verb."""
    return not _DO.isdisjoint(reading.words[1:3])


def _exchanged(new: Reading, old: Reading, common: frozenset[str]) -> str | None:
    """Find two words that changed places: each is where the other was, after the same word."""
    ours, theirs = _spots(new), _spots(old)
    shared = [word for word in ours if word in theirs]
    if len(shared) < 2 or len(shared) > 60 or not common.isdisjoint(_SYMMETRIC):
        return None
    content = len({*_sequences(new)[1], *_sequences(old)[1]})
    if 2 * len(shared) < content - len(shared):
        return None
    for side in (_PLACE, _WIDE):
        before_ours = {word: ours[word][side] for word in shared}
        before_theirs = {word: theirs[word][side] for word in shared}
        holders = {before_theirs[w]: w for w in shared if before_ours[w] != before_theirs[w]}
        for word in shared if holders else ():
            place = before_ours[word]
            other = holders.get(place)
            if (
                other is not None
                and other != word
                and before_theirs[word] == before_ours[other]
                and place is not None
                and before_ours[other] is not None
                and abs(ours[word].at - ours[other].at) > 1
                and (side == _WIDE or (ours[word].at < ours[other].at) != (theirs[word].at < theirs[other].at))
            ):
                first, second = (word, other) if ours[word].at < ours[other].at else (other, word)
                return f"swapped {first} and {second}"
    return None


class _Spot(NamedTuple):
    """Where a word stands that a prompt has once: its position, and what `_place` and `_wide_place` return."""

    at: int
    place: str | None
    wide: str | None


_PLACE, _WIDE = 1, 2  # fields of a `_Spot`


def _spots(reading: Reading) -> dict[str, _Spot]:
    """Return word -> where it stands, of the words with content that a prompt has once."""
    known: dict[str, _Spot] | None = reading.facts.get("spots")
    if known is None:
        _, full, said = _sequences(reading)
        known = reading.facts["spots"] = {
            word: _Spot(at, _place(said, at), _wide_place(said, at))
            for word, at in _unique(full).items()
            if word not in CONTENTLESS and word not in COORDINATORS and len(word) > 1
        }
    return known


def _place(said: list[str], at: int) -> str | None:
    """Return the word before position `at`; None after a coordinator, where order is free."""
    if not at:
        return _START
    return None if said[at - 1] in COORDINATORS else said[at - 1]


def _wide_place(said: list[str], at: int) -> str | None:
    """Return a preposition with the word it belongs to ("designed by"), or None."""
    if at < 2 or said[at - 1] not in _PREPOSITIONS:
        return None
    holder = said[at - 2]
    if holder in COORDINATORS or holder in CONTENTLESS or holder in _PREPOSITIONS:
        return None
    return f"{holder} {said[at - 1]}"


def _unique(sequence: list[str]) -> dict[str, int]:
    at: dict[str, int] = {}
    twice = set()
    for i, word in enumerate(sequence):
        if word in at:
            twice.add(word)
        at[word] = i
    return {w: i for w, i in at.items() if w not in twice}


SWAP = Rule("swap", _compare)
