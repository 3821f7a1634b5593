"""Rule "quantifiers": how many, how often, and whether one may or must, in prompts that are else the same."""

from __future__ import annotations

import re

from .base import Rule
from .lexicon import words
from .lexicon.languages import CONTENTLESS
from .text import Reading

__all__ = ["QUANTIFIERS"]

_ALL, _SOME, _MOST, _ONE = "all", "some", "most", "one"
_MAY, _MUST, _SHOULD = "may", "must", "should"
_CLASSES: dict[str, tuple[str, str]] = {
    word: (family, name)
    for family, name, members in (
        ("amount", _ALL, "all every each both everyone everybody everything always entire whole full fully completely"),
        ("amount", _SOME, "some any either someone somebody anyone anybody sometimes occasionally several partial "
                          "partially partly"),
        ("amount", _MOST, "most mostly usually generally typically majority"),
        ("amount", _ONE, "one first single"),
        ("duty", _MAY, "may can could might allowed permitted optional optionally possible possibly able"),
        ("duty", _MUST, "must required mandatory obligatory compulsory obliged certain certainly necessary"),
        ("duty", _SHOULD, "should supposed recommended advisable"),
    )
    for word in members.split()
}  # fmt: skip
_TRIGGERS = frozenset(_CLASSES)
# These classes never say the same in prompts that are else alike.
_APART = frozenset(
    {
        (_ALL, _SOME), (_SOME, _ALL), (_ALL, _MOST), (_MOST, _ALL), (_SOME, _MOST), (_MOST, _SOME), (_ALL, _ONE),
        (_ONE, _ALL), (_MAY, _MUST), (_MUST, _MAY),
    }
)  # fmt: skip
_HAVE_TO = re.compile(r"\b(?:have|has|had|need|needs|needed) to\b")
_WITHOUT = words(
    "have has had need needs needed the a an of to be is are do does am been there it that who which one person people"
)
# "What must I see in Rome?" asks what is worth seeing, as "What should I see in Rome?" does.
_OPEN = words("what how which why best where")


def _compare(new: Reading, old: Reading) -> str | None:
    if new.words == old.words or new.language != "en" or old.language != "en":
        return None
    ours, theirs = _classes(new), _classes(old)
    if not ours or not theirs or ours.keys() == theirs.keys() or _rest(new) != _rest(old):
        return None
    for (family, name), word in ours.items():
        for (other_family, other), other_word in theirs.items():
            if family != other_family or (family, other) in ours or (family, name) in theirs:
                continue
            if {name, other} <= {_SOME, _MOST, _ALL} and _asks_for_a_list(new, old):
                continue
            if (name, other) in _APART or _asked_whether(new, old, {word, other_word}):
                return f"quantifier {word} != {other_word}"
    return None


def _classes(reading: Reading) -> dict[tuple[str, str], str]:
    """Return (family, class) -> the word that says it."""
    known: dict[tuple[str, str], str] | None = reading.facts.get("quantifiers")
    if known is None:
        known = {}
        for word in reading.words:
            found = _CLASSES.get(word)
            if found is not None:
                known.setdefault(found, word)
        if ("have" in reading.vocabulary or "need" in reading.vocabulary or "has" in reading.vocabulary) and (
            match := _HAVE_TO.search(reading.lower)
        ):
            known.setdefault(("duty", _MUST), match.group())
        reading.facts["quantifiers"] = known
    return known


def _rest(reading: Reading) -> frozenset[str]:
    """Return the stems of all other words that carry content."""
    known: frozenset[str] | None = reading.facts.get("unquantified")
    if known is None:
        pairs = zip(reading.words, reading.stems, strict=True)
        known = reading.facts["unquantified"] = frozenset(
            stem
            for word, stem in pairs
            if (word not in _TRIGGERS and word not in _WITHOUT and word not in CONTENTLESS) or word in _OPEN
        )
    return known


def _asked_whether(new: Reading, old: Reading, pair: set[str]) -> bool:
    """Return whether both are yes/no questions, one about what one should do and one about what one must."""
    return pair == {"should", "must"} and _OPEN.isdisjoint(new.words[:2]) and _OPEN.isdisjoint(old.words[:2])


def _asks_for_a_list(new: Reading, old: Reading) -> bool:
    """Return whether both ask what there is: "some interesting facts", "the most interesting facts"."""
    return all(reading.words[0] in ("what", "which", "who") for reading in (new, old))


QUANTIFIERS = Rule("quantifiers", _compare)
