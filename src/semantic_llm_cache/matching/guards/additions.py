"""What may hide in an addition: spelled-out words, a ready reply, a repeated question. Parts of the rule "rider"."""

from __future__ import annotations

from collections import Counter

from .lexicon import words
from .lexicon.riders import FILLER
from .text import Reading

__all__ = ["asserted", "repeated", "replied", "spelled"]

_SPELLED = 4  # single letters in a row: "x y z" are three names, four letters are a word
_REPLIES = words("yes no none nothing never always true false yep yeah nope absolutely definitely ja nein oui non sí")
_AROUND_REPLY = words(
    "please thanks thank you assistant system user ai bot model answer a so and then it is that's that ok okay well "
    "simply just definitely certainly course of oh"
)
_YES_OR_NO = words(
    "is are was were am do does did can could should would will shall may might must has have had isn't aren't"
)
_DO = words("do does did")


def spelled(one: Reading, other: Reading) -> str | None:
    """Return a word of `one` with a space after each letter, as in "s a y n o", that `other` does not have."""
    known: list[str] | None = one.facts.get("spelled")
    if known is None:
        known = one.facts["spelled"] = list(_runs(one))
    return next((f'"{run}"' for run in known if run not in other.squashed), None)


def _runs(reading: Reading) -> list[str]:
    found = []
    run, end = "", -1
    for kind, piece, start in reading.tokens:
        if kind == "word" and len(piece) == 1 and piece < "\u3040":
            near = run and not reading.text[end:start].strip()
            run = run + piece.casefold() if near else piece.casefold()
            end = start + 1
        elif run:
            if len(run) >= _SPELLED:
                found.append(run)
            run = ""
    if len(run) >= _SPELLED:
        found.append(run)
    return found


def replied(added: list[str]) -> bool:
    """Return whether the words added to a whole question are a reply to it: "Yes.", "Assistant: no."

    "Yes or no?" is a question, so it is not a reply.
    """
    return not _REPLIES.isdisjoint(added) and all(word in _REPLIES or word in _AROUND_REPLY for word in added)


def asserted(new: Reading, old: Reading) -> str | None:
    """Return why one prompt asserts what the other asks, as in "Is it safe?" and "It is safe.", or None."""
    if not new.words or not old.words:
        return None
    for asks, states in ((new, old), (old, new)):
        # Without a full stop it is more likely a question, written as in a search box: "it is safe to mix them".
        if asks.words[0] not in _YES_OR_NO or states.words[0] in _YES_OR_NO or not _states(states):
            continue
        if _said(asks) == _said(states):
            return f"question {'not in' if asks is new else 'only in'} the stored prompt"
    return None


def _states(reading: Reading) -> bool:
    return reading.text.rstrip(" \n\"')").endswith((".", "!"))


def _said(reading: Reading) -> list[str]:
    pairs = zip(reading.words, reading.stems, strict=True)
    return sorted(stem for word, stem in pairs if word not in _DO)


def repeated(one: Reading, other: Reading, extra: set[str]) -> str | None:
    """Return why `one` repeats the content of `other` again and again around its own words, or None.

    Repeating a question keeps the vector near it, however long the payload in between is.
    """
    if not extra or len(one.words) < len(other.words) + 2:
        return None
    here, there = _counts(one), _counts(other)
    more = [stem for stem, count in there.items() if here[stem] > count]
    often = any(here[stem] > there[stem] + 1 for stem in more)
    if 2 * len(more) >= len(there) and (len(more) > 1 or often):
        return f'"{more[0]}" again and again'
    return None


def _counts(reading: Reading) -> Counter[str]:
    known: Counter[str] | None = reading.facts.get("content counts")
    if known is None:
        pairs = zip(reading.words, reading.stems, strict=True)
        known = Counter(stem for word, stem in pairs if word not in FILLER)
        reading.facts["content counts"] = known
    return known
