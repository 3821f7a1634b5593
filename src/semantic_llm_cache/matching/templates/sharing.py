"""Whether two prompts are made from one template, and where they differ."""

from __future__ import annotations

from collections.abc import Sequence

from .alignment import Slot, WordList, matches, slots
from .skeletons import LEAST_WORDS, Skeletons

__all__ = ["given_slots", "is_long", "learn", "shared_slots"]

_SHORT = 2 * LEAST_WORDS  # characters: below this there are not so many words
_SHARED = 0.6  # share of the longer prompt's words that two prompts of one template have in common
_SHARED_OF_KNOWN = 0.8  # the same of a learned template's words


def is_long(text: str) -> bool:
    """Return whether a text may be made from a template: short ones are compared whole."""
    return len(text) >= _SHORT and len(text.split()) >= LEAST_WORDS


def learn(skeletons: Skeletons, scope: str, prompt: str, other: str) -> None:
    """Learn the template of two prompts of one scope, if both are long."""
    if prompt != other and is_long(prompt) and is_long(other):
        skeletons.learn(scope, WordList(prompt).forms, WordList(other).forms)


def shared_slots(prompt: str, other: str, skeletons: Skeletons | None = None, scope: str = "") -> list[Slot] | None:
    """Return the parts in which two long prompts from one template differ.

    Args:
        prompt: the new prompt.
        other: the stored one.
        skeletons: the templates learned so far.
        scope: the scope of both prompts.

    Returns:
        The parts; None if both prompts are short, are equal, or share too little to be made from one template.

    Example:
        >>> page = "word " * 50
        >>> [slot[:2] for slot in shared_slots(page + "Summarise it.", page + "Translate it.")]
        [('Summarise', 'Translate')]
    """
    if prompt == other or not (is_long(prompt) or is_long(other)):
        return None
    ours, theirs = WordList(prompt), WordList(other)
    known = frozenset[int]() if skeletons is None else skeletons.known(scope, ours.forms)
    shared = matches(ours.forms, theirs.forms)
    enough = len(shared) >= _SHARED * max(len(ours.forms), len(theirs.forms))
    if known and sum(i in known for i, _ in shared) < _SHARED_OF_KNOWN * len(known):
        known = frozenset()
    if not enough and not known:
        return None
    return slots(ours, theirs, shared, known)


def given_slots(ours: Sequence[str], theirs: Sequence[str]) -> list[Slot]:
    """Return the parts in which the slots of two prompts from a given template differ.

    A slot that differs counts as a whole, whatever its length; a long one that is mostly the same, by its differing
    parts.

    Args:
        ours, theirs: the texts of the slots, in the same order.
    """
    found: list[Slot] = []
    for one, other in zip(ours, theirs, strict=True):
        if one == other:
            continue
        parts = shared_slots(one, other)
        if parts is None:
            mine, yours = WordList(one), WordList(other)
            pieces = slots(mine, yours, matches(mine.forms, yours.forms))
            parts = [Slot(one, other, tuple(hunk for piece in pieces for hunk in piece.hunks))]
        found += parts
    return found
