"""`Unseen` and `Hidden`: what the vector of a text does not show; how it is found in ASCII."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import NamedTuple

__all__ = ["INDENT", "NOTHING", "Hidden", "Unseen", "fold", "hidden_at", "unseen_ascii"]


class Hidden(NamedTuple):
    """A run of characters that a vector does not show.

    Attributes:
        characters: the run, as written.
        before: the word before it in lower case, followed by a space unless the run touches it; "" for none.
        after: the word after it, likewise.
        placed: True when the vector shows that there is something, but not what (an unknown sign).
    """

    characters: str
    before: str = ""
    after: str = ""
    placed: bool = False


class Unseen(NamedTuple):
    """What a vector does not show of one text.

    Attributes:
        hidden: the runs of characters that are dropped or unknown, in order.
        words: words that the model reads without some of their marks: the word as it is read ("ano") to its
            spellings in order, in lower case ("año"). A word whose every spelling is the one read is left out.
    """

    hidden: tuple[Hidden, ...] = ()
    words: Mapping[str, tuple[str, ...]] = {}


NOTHING = Unseen()
"""Nothing is unseen: the usual case."""

_ODD_ASCII = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]+")
INDENT = re.compile(r"(?<=\n)[ \t]+(?=\S)")
# Compiled when first used, by `re` itself: compiling at import would cost every start.
_BEFORE = r"(\w+)(\W*)$"
_AFTER = r"(\W*)(\w+)"
_NEAR = 48  # characters looked at for the words beside a run


def unseen_ascii(text: str) -> Unseen:
    """Return `default_unseen` for ASCII text: control characters, and the indentation of lines."""
    if text.isprintable():
        return NOTHING
    spans = [(m.start(), m.end(), False) for pattern in (_ODD_ASCII, INDENT) for m in pattern.finditer(text)]
    return Unseen(hidden_at(text, spans)) if spans else NOTHING


def hidden_at(text: str, spans: Iterable[tuple[int, int, bool]]) -> tuple[Hidden, ...]:
    """Return the runs at `spans` (start, end, placed) in order, each with the words beside it."""
    found = []
    for start, end, placed in sorted(set(spans)):
        before = re.search(_BEFORE, text[max(0, start - _NEAR) : start])
        after = re.match(_AFTER, text[end : end + _NEAR])
        found.append(
            Hidden(
                text[start:end],
                before[1].lower() + (" " if before[2] else "") if before else "",
                (" " if after[1] else "") + after[2].lower() if after else "",
                placed,
            )
        )
    return tuple(found)


def fold(word: str) -> str:
    """Return a word without its marks, in lower case."""
    if word.isascii():
        return word.lower()
    return "".join(c for c in unicodedata.normalize("NFD", word.lower()) if unicodedata.category(c) != "Mn")
