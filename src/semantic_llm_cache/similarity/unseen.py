"""What of a text its vector does not show: characters that an embedder drops, and a chat model reads all the same.

Two texts that differ only there have a cosine of 1.0. So the near tier compares it besides, at any threshold and
with or without guards: `unseen_difference`. What an embedder does not see of one text is an `Unseen`, which
`EmbeddingProvider.unseen` returns.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from semantic_llm_cache.similarity.base import EmbeddingProvider

__all__ = [
    "INDENT",
    "NOTHING",
    "Hidden",
    "Unseen",
    "default_unseen",
    "fold",
    "hidden_at",
    "unseen_ascii",
    "unseen_difference",
    "why_unreadable",
]


class Hidden(NamedTuple):
    """A run of characters that a vector does not show.

    Attributes:
        characters: the run, as written.
        before: the word before it in lower case, followed by a space unless the run touches it; "" for none.
        after: the word after it, likewise.
        placed: True when the vector shows that something stands there, but not what (an unknown sign).
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

# --- ASCII --------------------------------------------------------------------------------------------

_ODD_ASCII = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]+")
INDENT = re.compile(r"(?<=\n)[ \t]+(?=\S)")
_BEFORE = re.compile(r"(\w+)(\W*)$")
_AFTER = re.compile(r"(\W*)(\w+)")
_NEAR = 48  # characters looked at for the words beside a run


def default_unseen(text: str, unknown: Sequence[tuple[int, int]] = ()) -> Unseen:
    """Return what some embedder may drop of `text`: all but letters, digits, punctuation and space in wide use.

    `unknown` are further spans (start, end) of which a tokenizer is known to know nothing.

    Under a microsecond for a line of ASCII, some ten for one with accents.

    Example:
        >>> default_unseen("What is Python?") is NOTHING
        True
        >>> default_unseen("Py\\u200bthon").hidden
        (Hidden(characters='\\u200b', before='py', after='thon', placed=False),)
    """
    if text.isascii() and not unknown:
        return unseen_ascii(text)
    # Its patterns take some milliseconds to compile, which a program with plain text should not wait for.
    from semantic_llm_cache.similarity.marks import unseen_beyond_ascii

    return unseen_beyond_ascii(text, unknown)


def unseen_ascii(text: str) -> Unseen:
    """`default_unseen` for ASCII: control characters, and how far lines are indented."""
    if text.isprintable():
        return NOTHING
    spans = [(m.start(), m.end(), False) for pattern in (_ODD_ASCII, INDENT) for m in pattern.finditer(text)]
    return Unseen(hidden_at(text, spans)) if spans else NOTHING


def hidden_at(text: str, spans: Iterable[tuple[int, int, bool]]) -> tuple[Hidden, ...]:
    """Return the runs at `spans` (start, end, placed) in order, each with the words beside it."""
    found = []
    for start, end, placed in sorted(set(spans)):
        before = _BEFORE.search(text[max(0, start - _NEAR) : start])
        after = _AFTER.match(text[end : end + _NEAR])
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


# --- comparing ----------------------------------------------------------------------------------------

_SAME_WITHOUT_MARKS = (
    "café résumé resumé naïve cliché façade fiancé fiancée jalapeño piñata crème brûlée purée sauté décor entrée "
    "soufflé pokémon cómo qué cuál cuále dónde quién quiéne cuándo cuánto cuánta porqué también aquí zürich "
    "düsseldorf bogotá medellín málaga montréal québec NFD "
)
"""Words that stay themselves without their marks, as many type them. Closed: any other word and spelling counts."""


def unseen_difference(embedder: EmbeddingProvider, prompt: str, other: str) -> str | None:
    """Return how two texts differ in what `embedder` does not see of them, or None.

    Such texts are never a near match, however close their vectors are. Compared are the whole of both texts, and
    in order: hidden characters by the words that they stand beside, unknown signs by one of those words, and
    marked words by the words that both texts hold ("año" against "ano").

    Example:
        >>> from semantic_llm_cache.similarity import DummyEmbeddingProvider
        >>> unseen_difference(DummyEmbeddingProvider(), "Is it safe?", "Is it\\u200b safe?")
        'unseen U+200B only in the stored prompt'
    """
    ours, theirs = embedder.unseen(prompt), embedder.unseen(other)
    if ours is theirs or (not ours.hidden and not theirs.hidden and not ours.words and not theirs.words):
        return None
    found = _compare_hidden(ours.hidden, theirs.hidden)
    return found or _compare_words(ours, theirs, prompt, other)


def _compare_hidden(ours: tuple[Hidden, ...], theirs: tuple[Hidden, ...]) -> str | None:
    for mine, yours in zip(ours, theirs, strict=False):
        if mine.characters != yours.characters:
            return f"unseen {_shown(mine.characters)} != {_shown(yours.characters)}"
        before, after = mine.before == yours.before, mine.after == yours.after
        if not (before or after if mine.placed and yours.placed else before and after):
            return f"unseen {_shown(mine.characters)} in another place"
    if len(ours) > len(theirs):
        return f"unseen {_shown(ours[len(theirs)].characters)} not in the stored prompt"
    if len(theirs) > len(ours):
        return f"unseen {_shown(theirs[len(ours)].characters)} only in the stored prompt"
    return None


def _compare_words(ours: Unseen, theirs: Unseen, prompt: str, other: str) -> str | None:
    here, there = _by_stem(ours, prompt), _by_stem(theirs, other)
    for word in sorted({_stem(word) for word in (*ours.words, *theirs.words)}):
        mine, yours = here.get(word), there.get(word)
        if mine is None or yours is None or mine == yours:
            continue  # a word of one text alone is one that the vector shows
        spellings = {*mine, *yours}
        if len(spellings) == 1 or spellings <= _same_without_marks().get(word, set()):
            continue
        return f"unseen spelling {_composed(mine)} != {_composed(yours)}"
    return None


@cache
def _same_without_marks() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for word in _SAME_WITHOUT_MARKS.split():
        found.setdefault(fold(word), {fold(word)}).add(unicodedata.normalize("NFD", word))
    return found


def _by_stem(unseen: Unseen, text: str) -> dict[str, tuple[str, ...]]:
    """Return stem -> spellings without their plural s, of all words of `text`."""
    found: dict[str, tuple[str, ...]] = {}
    for word in set(re.findall(r"[^\W\d_]+", fold(text))) - unseen.words.keys():
        found[_stem(word)] = (_stem(word),)
    for word, spellings in sorted(unseen.words.items()):
        plain = found.get(_stem(word), ())
        found[_stem(word)] = (*plain, *(_stem(spelling) for spelling in spellings))
    return found


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 2 and word.endswith("s") else word


def _composed(spellings: tuple[str, ...]) -> str:
    return unicodedata.normalize("NFC", spellings[0])


def _shown(characters: str) -> str:
    """Return characters as they can be shown: signs as they are, what cannot be seen by its number."""
    if all(unicodedata.category(c)[0] in "SLNP" for c in characters):
        return characters if len(characters) <= 20 else characters[:17] + "..."
    codes = [f"U+{ord(c):04X}" for c in characters[:4]]
    return " ".join(codes) + (" ..." if len(characters) > 4 else "")


def why_unreadable(text: str) -> str:
    """Return why an embedder that is not `readable` for `text` leaves it to exact matches."""
    if re.search("[\ud800-\udfff]", text):
        return "holds half of a surrogate pair, which no embedding model reads: exact matches only"
    return "too long for the embedding model: exact matches only"
