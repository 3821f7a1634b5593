"""Who does it, what comes first, and what "only" applies to: parts of the rule "swap"."""

from __future__ import annotations

import re
from typing import NamedTuple

from .lexicon import words
from .lexicon.languages import CONTENTLESS
from .text import Reading, stem

__all__ = ["moved_focus", "other_doer", "other_list", "other_voice"]

# --- the order of a list ------------------------------------------------------------------------------

_ORDERED = words(
    "order sequence steps step then first next rank ranked ranking concatenate append chain pipeline priority "
    "priorities followed before after stages stage reihenfolge schritte zuerst dann ordre étapes puis orden pasos "
    "luego"
)


def other_list(new: Reading, old: Reading, ours: list[str], theirs: list[str]) -> str | None:
    """Return how two lists of the same things differ in an order that matters, or None.

    `ours` and `theirs` are the prompts' words in order, articles dropped.
    """
    if "," not in new.text or "," not in old.text or _ORDERED.isdisjoint(new.vocabulary & old.vocabulary):
        return None
    if ours == theirs or sorted(ours) != sorted(theirs):
        return None
    at = next(i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b)
    end = next(i for i, (a, b) in enumerate(zip(reversed(ours), reversed(theirs), strict=True)) if a != b)
    middle = ours[at : len(ours) - end]
    # A phrase that was moved is no list: more than half of such a stretch is function words.
    if 2 * sum(word in CONTENTLESS for word in middle) > len(middle):
        return None
    return f"swapped order of {ours[at]} and {theirs[at]}"


# --- active and passive -------------------------------------------------------------------------------

_BE = words("is are was were be been being get gets got")
_AUXILIARIES = words("do does did can could will would should may might must has have had")
_ADVERBIAL = words("when where why how")
_PARTICIPLES = words(
    "bought sold made built written taken given beaten eaten bitten known seen shown won lost led held caught "
    "taught paid sent told found founded hit cut put read driven chosen broken stolen spoken drawn thrown fought "
    "fed met hidden hurt run sung shot struck sued worn torn born"
)


class _Roles(NamedTuple):
    """Who does what a verb says, and to whom it is done; empty for "who"."""

    doer: frozenset[str]
    done: frozenset[str]


def other_voice(new: Reading, old: Reading) -> str | None:
    """Return the verb whose doer and object change places with its voice: "A bought B", "A was bought by B"."""
    if ("by" in new.vocabulary) == ("by" in old.vocabulary) or new.language != "en" or old.language != "en":
        return None
    passive, active = (new, old) if "by" in new.vocabulary else (old, new)
    for verb, theirs in _passive(passive):
        ours = _active(active, verb)
        if ours is None:
            continue
        if theirs.doer & ours.done - ours.doer or theirs.done & ours.doer - ours.done:
            return f"swapped roles of {verb}"
    return None


def _passive(reading: Reading) -> list[tuple[str, _Roles]]:
    words, stems = reading.words, reading.stems
    by = words.index("by")
    found = []
    for at, word in enumerate(words):
        if not (word.endswith("ed") or word in _PARTICIPLES):
            continue
        be = next((i for i in range(at - 1, -1, -1) if words[i] in _BE), None)
        if be is None or at - be > 6:
            continue
        front, between = _content(reading, 0, be), _content(reading, be + 1, at)
        if by > at:
            after = _content(reading, by + 1, len(words))
            doer = after or (front if between else frozenset())  # "which company was Facebook bought by"
            done = between or (front if after else frozenset())
        elif by + 1 < len(words) and words[by + 1] in ("whom", "which", "what"):
            doer, done = frozenset(), between
        else:
            continue
        found.append((stems[at], _Roles(doer, done)))
    return found


def _active(reading: Reading, verb: str) -> _Roles | None:
    words = reading.words
    at = next((i for i, stem in enumerate(reading.stems) if stem == verb and words[i] not in _BE), None)
    if at is None or not _BE.isdisjoint(words[max(0, at - 3) : at]):
        return None  # no such verb, or passive too
    auxiliary = next((i for i in range(at - 1, -1, -1) if words[i] in _AUXILIARIES), None)
    after = _content(reading, at + 1, len(words))
    if auxiliary is None:
        return _Roles(_content(reading, 0, at), after)
    between, front = _content(reading, auxiliary + 1, at), _content(reading, 0, auxiliary)
    return _Roles(between or front, after or front)


def _content(reading: Reading, start: int, end: int) -> frozenset[str]:
    pairs = list(zip(reading.words, reading.stems, strict=True))[start:end]
    return frozenset(stem for word, stem in pairs if word not in CONTENTLESS and word not in _ADVERBIAL)


# --- I and somebody else --------------------------------------------------------------------------------

_DOER = re.compile(
    r"\b(?:do|does|did|should|can|could|may|must|will|would|shall) "
    r"(?:(i|we|you|one)|(?:my|our|your|the|his|her|their) ([^\W\d_]+)) (?:(?:have|need|get) to )?([^\W\d_]+)\b"
)


def other_doer(new: Reading, old: Reading) -> str | None:
    """Return the verb that the asker does in one prompt and in the other somebody whom both name, or None.

    "Should I tip the driver?" and "Should the driver tip?" differ; "When do I get the invoice?" and "When does the
    invoice arrive?" do not.
    """
    if _AUXILIARIES.isdisjoint(new.vocabulary) or _AUXILIARIES.isdisjoint(old.vocabulary):
        return None
    ours = _does(new)
    theirs = _does(old) if ours else ()
    if not ours or not theirs or bool(ours[0]) == bool(theirs[0]) or stem(ours[2]) != stem(theirs[2]):
        return None
    somebody, other = (ours[1], old) if ours[1] else (theirs[1], new)
    return f"swapped roles of {ours[2]}" if stem(somebody) in other.bag else None


def _does(reading: Reading) -> tuple[str, ...]:
    """Return who does what: the asker or "", somebody else or "", the verb. () where the prompt does not say."""
    known: tuple[str, ...] | None = reading.facts.get("does")
    if known is None:
        match = _DOER.search(reading.lower)
        known = reading.facts["does"] = () if match is None else tuple(part or "" for part in match.groups())
    return known


# --- only, even, almost -------------------------------------------------------------------------------

_FOCUS = words("only just even almost nearly hardly barely merely solely")
_PERSON = words("me you him her them us everybody everyone nobody")
_NOT_ALL = re.compile(r"\bnot (?:all|every|everyone|everybody|always)\b")
_ALL_NOT = re.compile(r"\b(?:all|every|everyone|everybody)\b.*\b(?:not|n't)\b")


def moved_focus(new: Reading, old: Reading) -> str | None:
    """Return the word ("only", "even") that applies to the subject in one prompt and to the rest in the other."""
    here, there = new.vocabulary, old.vocabulary
    if "not" in here and "not" in there and new.language == old.language == "en":
        for one, other in ((new, old), (old, new)):
            if _NOT_ALL.search(one.lower) and _ALL_NOT.search(other.lower):
                return "swapped not and all"
    if ("only" in here) != ("only" in there):
        without = [[w for w in reading.words if w != "only"] for reading in (new, old)]
        if without[0] == without[1]:
            return f"swapped only {'not in' if 'only' in here else 'only in'} the stored prompt"
    if _FOCUS.isdisjoint(here) or _FOCUS.isdisjoint(there):
        return None
    for word in _FOCUS & here & there:
        ours, theirs = _before(new, word), _before(old, word)
        if word == "only" and _other_person(new, old):
            return "swapped place of only"
        if (ours == 0) != (theirs == 0) and _rest(new, word) == _rest(old, word):
            return f"swapped place of {word}"
    return None


def _other_person(new: Reading, old: Reading) -> bool:
    """Return whether "only" stands before a pronoun in one prompt and more follows: "told only him that she left"."""
    without = [[w for w in reading.words if w != "only"] for reading in (new, old)]
    if without[0] != without[1] or new.words == old.words:
        return False
    later = max((new.words, old.words), key=lambda words: words.index("only"))
    after = later[later.index("only") + 1 :]
    return len(after) > 2 and after[0] in _PERSON


def _before(reading: Reading, word: str) -> int:
    """Return how many words precede `word`, not counting the words that only form the question."""
    asking = _ADVERBIAL | _AUXILIARIES | _BE | {"the", "a", "an", "what", "please"}
    return sum(word not in asking for word in reading.words[: reading.words.index(word)])


def _rest(reading: Reading, word: str) -> frozenset[str]:
    return frozenset(s for w, s in zip(reading.words, reading.stems, strict=True) if w != word and w not in CONTENTLESS)
