"""Differences in meaning between two answers that a cosine hardly shows: values, names, negation, opposites, order."""

from __future__ import annotations

import re
from collections.abc import Sequence

from semantic_llm_cache.matching.answers.said import content, missing, new_values, new_words
from semantic_llm_cache.matching.answers.slots import replaced, replaced_values, replaced_words
from semantic_llm_cache.matching.answers.values import Value, agree, values
from semantic_llm_cache.matching.guards import get_guard
from semantic_llm_cache.matching.guards.text import read

__all__ = ["KINDS", "conflicts"]

KINDS = ("values", "names", "negation", "antonyms", "direction", "swap", "quantity", "slot")
"""The kinds of conflict, in the order in which they are looked for."""

_GUARDS = tuple((name, get_guard(name)) for name in ("negation", "antonyms", "direction", "swap"))
_NEGATED = re.compile(
    r"\b(?:not|no|never|cannot|nor|neither|without|nobody|nothing|none|hardly|unless)\b|n't\b", re.IGNORECASE
)
_LONGEST = 600
_NAMES_SHARED = 0.35  # share of the words of two sentences from which a name in another's place is another name


def conflicts(ours: str, theirs: str, question: str = "", whole: tuple[str, str] | None = None) -> dict[str, str]:
    """Return kind -> reason for the conflicts between two sentences, or two short texts.

    Args:
        ours, theirs: plain texts that speak of the same.
        question: what both answer; its values and names do not count.
        whole: the two answers that the sentences come from: what stands elsewhere in them is no conflict.
    """
    found: dict[str, str] = {}
    mine, other = whole or (ours, theirs)
    pair = _values_differ(values(ours), values(theirs), values(mine), values(other), question)
    pair = pair or replaced_values(ours, theirs)
    if pair is not None:
        found["values"] = f"{pair[0].shown} against {pair[1].shown}"
    names = _names_differ(ours, theirs, mine, other, question)
    if names is not None:
        found["names"] = f"{names[0]} against {names[1]}"
    said, other_said = _without_side(ours, theirs)
    if len(ours) + len(theirs) <= _LONGEST:
        for name, guard in _GUARDS:
            reason = guard(said, other_said)
            if reason is not None and not _harmless(name, said, other_said):
                found[name] = reason
    amount = _quantities_differ(ours, theirs)
    if amount:
        found["quantity"] = amount
    opposed = _opposed(said, other_said) or _other_actor(ours, theirs)
    if opposed and "antonyms" not in found and "negation" not in found:
        found["antonyms"] = opposed
    if excess := _too_much(ours, theirs):
        found["antonyms"] = excess
    slots = replaced(ours, theirs)
    facing = next(filter(_are_names, replaced(ours, theirs, _NAMES_SHARED)), None) if names is None else None
    if facing:
        found["names"] = f"{facing[0]} against {facing[1]}"
    if slots:
        exchanged = len(slots) > 1 and [_bare(w) for w in slots[0]] == [_bare(w) for w in slots[1][::-1]]
        found["swap" if exchanged else "slot"] = f"{slots[0][0]} in place of {slots[0][1]}"
    return found


_SIDE = re.compile(r"^\W*(?:yes|yeah|yep|no|nope)\s*[,.:;!–—-]\s*(?=\S+\s+\S)", re.IGNORECASE)


def _without_side(ours: str, theirs: str) -> tuple[str, str]:
    """Return two sentences without a "No," that only one begins with: the rest says it anyway."""
    if bool(_SIDE.match(ours)) == bool(_SIDE.match(theirs)):
        return ours, theirs
    return _SIDE.sub("", ours), _SIDE.sub("", theirs)


_MUCH = re.compile(r"\b(?:too (?:much|many)|excess\w*|more than enough)\b", re.IGNORECASE)
_LITTLE = re.compile(
    r"\b(?:too (?:little|few)|insufficient\w*|lacks?|lacking|(?:not|never)(?: \w+){0,2} enough)\b|"
    r"n't(?: \w+){0,2} enough\b",
    re.IGNORECASE,
)


def _too_much(ours: str, theirs: str) -> str:
    """Return "too much against too little" if one sentence says the one and one the other; "" otherwise."""
    a, b = [(bool(_MUCH.search(text)), bool(_LITTLE.search(text))) for text in (ours, theirs)]
    return "too much against too little" if {a, b} == {(True, False), (False, True)} else ""


# Who does it: those who ask and buy, and those who answer and sell.
_ASKER = frozenset(["you", "your", "yours", "customer", "customers", "buyer", "buyers", "guest", "guests"])
_SELLER = frozenset(["we", "us", "our", "ours", "seller", "sellers", "vendor", "vendors", "shop", "store", "company"])


def _other_actor(ours: str, theirs: str) -> str:
    """Return two words for who does it, one in the other's place in sentences of one frame; "" for none."""
    for one, other in replaced_words(ours, theirs):
        for a, b in ((one, other), (other, one)):
            if a in _ASKER and b in _SELLER:
                return f"{one} against {other}"
    return ""


def _are_names(slot: tuple[str, str]) -> bool:
    """Return whether both sides of a slot are capitalised words, of which one side has two: a name without doubt.

    A single capitalised word at the beginning of a sentence may be any word.
    """
    sides = [side.split() for side in slot]
    return max(map(len, sides)) > 1 and all(word[:1].isupper() for side in sides for word in side)


def _harmless(guard: str, ours: str, theirs: str) -> bool:
    """Return whether a guard's objection, made for questions, means nothing between answers."""
    if (
        guard == "negation"
    ):  # answers say "not" more or less often; one that never says it against one that does is news
        return bool(_NEGATED.search(ours)) == bool(_NEGATED.search(theirs)) and ours.isascii() and theirs.isascii()
    return guard == "swap" and _other_voice(ours, theirs)


# Opposites that turn up in answers, besides those that the guards know.
_OPPOSITE_LINES = """
toxic poisonous dangerous harmful / harmless safe nontoxic
keep retain / lose
ascending / descending
simple / compound
required mandatory obligatory compulsory / optional voluntary
allowed permitted / forbidden prohibited banned
yes / no
guilty / innocent
accept approve approved accepted / reject rejected refuse refused decline declined deny denied
increase increases raise raises / decrease decreases lower lowers reduce reduces
gain gains / lose loses loss
enabled / disabled
online / offline
win won / lose lost
pass passed / fail failed
first / last
before / after
always / never
colder / warmer hotter
east eastern / west western
absorbs absorb absorbed / releases release released emits emit emitted gives
concave / convex
always / sometimes rarely
everyone everybody all / nobody
north northern / south southern
left / right
larger bigger greater / smaller
more / less fewer
least minimum / most maximum
cheaper / pricier dearer
best / worst
better / worse
earlier / later
buy / sell
open / closed shut
public / private
credit / debit
gross / net
nominal / real
upstream / downstream
tenant / landlord
employee / employer
borrower / lender
sender / recipient
buyer / seller
patient / doctor
parents / children
little / much
few / many
father / mother
brother / sister
son / daughter
husband / wife
"""


def _sides() -> dict[str, frozenset[int]]:
    table: dict[str, set[int]] = {}
    for number, line in enumerate(_OPPOSITE_LINES.strip().splitlines()):
        for side, words in enumerate(line.split(" / ")):
            for word in words.split():
                table.setdefault(word, set()).add(2 * number + side)
    return {word: frozenset(sides) for word, sides in table.items()}


_OPPOSITES = _sides()


_QUANTITIES = {
    "all": re.compile(r"\b(?:all|every|each|always|entire(?:ly)?|everyone|everything|both)\b", re.IGNORECASE),
    "some": re.compile(
        r"\b(?:some|a few|several|sometimes|certain|part(?:ly|ially)? of|partly|partially)\b", re.IGNORECASE
    ),
    "most": re.compile(r"\b(?:most|mostly|majority)\b", re.IGNORECASE),
    "only": re.compile(r"\b(?:only|solely|exclusively)\b", re.IGNORECASE),
    "neither": re.compile(r"\b(?:neither|none)\b", re.IGNORECASE),
    "must": re.compile(r"\b(?:must|have to|has to|required|mandatory|need to|needs to|shall)\b", re.IGNORECASE),
    "may": re.compile(r"\b(?:may|might|can|could|optional(?:ly)?|need not|don't have to)\b", re.IGNORECASE),
    "at least": re.compile(r"\b(?:at least|minimum|no (?:less|fewer) than|or more)\b", re.IGNORECASE),
    "at most": re.compile(r"\b(?:at most|maximum|up to|no more than|or (?:less|fewer))\b", re.IGNORECASE),
}
_FACING = (
    ("all", "some"), ("all", "most"), ("all", "only"), ("all", "neither"), ("some", "neither"), ("some", "most"),
    ("must", "may"),
    ("at least", "at most"),
)  # fmt: skip


def _quantities_differ(ours: str, theirs: str) -> str:
    """Return two words for how many or how surely, each in one sentence only; "" for none."""
    a = {name for name, pattern in _QUANTITIES.items() if pattern.search(ours)}
    b = {name for name, pattern in _QUANTITIES.items() if pattern.search(theirs)}
    for x, y in _FACING:
        for one, other in ((x, y), (y, x)):
            if one in a - b and other in b - a:
                return f"{one} against {other}"
    return ""


def _opposed(ours: str, theirs: str) -> str:
    """Return a pair of listed opposites, each in one sentence only, if neither is negated; "" for none."""
    a, b = (set(re.findall(r"[^\W\d_]+", text.casefold())) for text in (ours, theirs))
    if bool(_NEGATED.search(ours)) != bool(_NEGATED.search(theirs)):
        return ""
    for word in sorted(a - b):
        for side in _OPPOSITES.get(word, ()):
            facing = [w for w in sorted(b - a) if side ^ 1 in _OPPOSITES.get(w, ())]
            if (
                facing
                and not any(side ^ 1 in _OPPOSITES.get(w, ()) for w in a)
                and not any(side in _OPPOSITES.get(w, ()) for w in b)
            ):
                return f"{word} against {facing[0]}"
    return ""


def _bare(word: str) -> str:
    return word.casefold().removesuffix("'s")


def _values_differ(
    ours: Sequence[Value], theirs: Sequence[Value], mine: Sequence[Value], other: Sequence[Value], question: str
) -> tuple[Value, Value] | None:
    """Return two values of one kind, each unknown to the other answer."""
    lone = [v for v in new_values(ours, question) if not v.weak and not any(agree(v, w) for w in other)]
    rest = [v for v in new_values(theirs, question) if not v.weak and not any(agree(v, w) for w in mine)]
    for value in lone:
        for facing in rest:
            if value.kind == facing.kind and value.unit == facing.unit:
                return value, facing
    return None


def _names_differ(ours: str, theirs: str, mine: str, other: str, question: str) -> tuple[str, str] | None:
    """Return two names, each unknown to the other answer."""
    asked = content(question)
    lone = [w for w in missing(new_words(content(ours), asked), content(other)) if w.name]
    rest = [w for w in missing(new_words(content(theirs), asked), content(mine)) if w.name]
    return (lone[0].written, rest[0].written) if lone and rest else None


_PASSIVE = re.compile(
    r"^(.+?)\b(?:is|are|was|were|be|been|being)\b\W+(?:\w+\W+){0,2}?(\w+)\b\W+(?:[^.;]{0,40}?\W)?by\W+(?:the |an? "
    r")?(\w+)",
    re.IGNORECASE,
)


def _other_voice(ours: str, theirs: str) -> bool:
    """Return whether one says in the passive what the other says in the active: "A beat B", "B was beaten by A"."""
    for passive, active in ((ours, theirs), (theirs, ours)):
        match = _PASSIVE.search(passive)
        if match is None or _PASSIVE.search(active):
            continue
        stems = read(active).stems
        verb, doer = read(match[2]).stems, read(match[3]).stems
        patients = [w.stem for w in content(match[1])]
        at = next((i for i, s in enumerate(stems) if s in verb), -1)
        if at > 0 and any(s in doer for s in stems[:at]) and any(p in stems[at:] for p in patients):
            return True
    return False
