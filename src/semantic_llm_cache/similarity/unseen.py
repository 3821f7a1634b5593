"""What of a text its vector does not show: characters that an embedder drops, and a chat model reads all the same.

Two texts that differ only there have a cosine of 1.0. So the near tier compares it besides, at any threshold and
with or without guards: `unseen_difference`. What an embedder does not see of one text is an `Unseen`, which
`EmbeddingProvider.unseen` returns.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from semantic_llm_cache.similarity.base import EmbeddingProvider

__all__ = [
    "NOTHING",
    "Hidden",
    "Unseen",
    "default_unseen",
    "hidden_at",
    "spelled",
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

# --- the default: what some embedder may drop ---------------------------------------------------------

# Letters, digits, punctuation and spaces that are in wide use, and the marks that belong to words of their scripts.
# All else counts: formats, controls, tags, variation selectors, fillers, private use, unassigned, symbols, emoji, and
# letters that most vocabularies lack.
_SEEN = (
    r"\t\n\r -~\u00a0-\u00ac\u00ae-\u034e\u0350-\u0362\u0370-\u0556\u0559-\u058a\u0591-\u05f4\u0606-\u060f\u0610-\u061b"
    r"\u061d-\u06dc\u06de-\u06ff\u0750-\u077f\u0900-\u0df4\u0e01-\u0e5b\u10a0-\u10ff\u1100-\u115e\u1161-\u11ff"
    r"\u1e00-\u1fff\u2009\u2010-\u2027\u202f-\u205e\u20a0-\u20c0\u3000-\u3003\u3005-\u3029\u3030-\u3163\u3165-\u318e"
    r"\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufad9\uff01-\uff9f\uffa1-\uffdc\uffe0-\uffe6"
    r"\U00020000-\U000323af"
)
_ODD = re.compile(rf"[^{_SEEN}]+")
_ODD_ASCII = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]+")
INDENT = re.compile(r"(?<=\n)[ \t]+(?=\S)")
_MARK = r"\u0300-\u034e\u0350-\u0362"
# The marks that scripts in wide use write on their letters.
_MARKS = (
    rf"{_MARK}\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    r"\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u0900-\u0902\u093a\u093c\u0941-\u0948\u094d\u0951-\u0957"
    r"\u0962\u0963\u0981\u09bc\u09c1-\u09c4\u09cd\u09e2\u09e3\u09fe\u0a01\u0a02\u0a3c\u0a41\u0a42\u0a47\u0a48"
    r"\u0a4b-\u0a4d\u0a51\u0a70\u0a71\u0a75\u0a81\u0a82\u0abc\u0ac1-\u0ac5\u0ac7\u0ac8\u0acd\u0ae2\u0ae3\u0afa-\u0aff"
    r"\u0b01\u0b3c\u0b3f\u0b41-\u0b44\u0b4d\u0b55\u0b56\u0b62\u0b63\u0b82\u0bc0\u0bcd\u0c00\u0c04\u0c3c\u0c3e-\u0c40"
    r"\u0c46-\u0c48\u0c4a-\u0c4d\u0c55\u0c56\u0c62\u0c63\u0c81\u0cbc\u0cbf\u0cc6\u0ccc\u0ccd\u0ce2\u0ce3\u0d00\u0d01"
    r"\u0d3b\u0d3c\u0d41-\u0d44\u0d4d\u0d62\u0d63\u0d81\u0dca\u0dd2-\u0dd4\u0dd6\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
    r"\u3099\u309a"
)
# Marks that stand alone, or in heaps that no script writes.
_LOOSE_MARKS = re.compile(rf"(?<![^\W\d_])(?<![{_MARKS}])[{_MARKS}]+|[{_MARKS}]{{4,}}")
_WORD = re.compile(rf"[^\W\d_](?:[^\W\d_]|[{_MARKS}])*")
_AFTER_WORD = re.compile(rf"[{_MARKS}]{{0,3}}")
_NOT_SPACE = re.compile(r"[^ \t\n\r\u00a0\u2009\u202f\u3000]+")
_VOICED = re.compile(r"[\u304c-\u3094\u30ac-\u30fa\u3099\u309a]")
_GREEK = "\u0370"  # from here on some code points between letters are not assigned
_BEFORE = re.compile(r"(\w+)(\W*)$")
_AFTER = re.compile(r"(\W*)(\w+)")
_NEAR = 48  # characters looked at for the words beside a run


def default_unseen(text: str, unknown: Iterable[tuple[int, int]] = ()) -> Unseen:
    """Return what some embedder may drop of `text`: all but letters, digits, punctuation and space in wide use.

    `unknown` are further spans (start, end) of which a tokenizer is known to know nothing.

    Under a microsecond for a line of ASCII, some ten for one with accents.

    Example:
        >>> default_unseen("What is Python?") is NOTHING
        True
        >>> default_unseen("Py\\u200bthon").hidden
        (Hidden(characters='\\u200b', before='py', after='thon', placed=False),)
    """
    spans = [(start, end, True) for start, end in unknown]
    if text.isascii() and not spans:
        return unseen_ascii(text)
    spans += [(m.start(), m.end(), _is_sign(m.group())) for m in _ODD.finditer(text)]
    if max(text, default="") >= _GREEK:
        spans += [(at, at + 1, False) for at, char in enumerate(text) if unicodedata.category(char) == "Cn"]
    spans += [(m.start(), m.end(), False) for m in _LOOSE_MARKS.finditer(text)]
    spans += [(m.start(), m.end(), False) for m in INDENT.finditer(text)]
    spans += _voiced(text, 0, len(text))
    words = spelled((bare, m.group()) for m in _WORD.finditer(text) if (bare := _fold(m.group())))
    return Unseen(hidden_at(text, spans), words) if spans or words else NOTHING


def unseen_ascii(text: str) -> Unseen:
    """`default_unseen` for ASCII: control characters, and how far lines are indented."""
    if text.isprintable():
        return NOTHING
    spans = [(m.start(), m.end(), False) for pattern in (_ODD_ASCII, INDENT) for m in pattern.finditer(text)]
    return Unseen(hidden_at(text, spans)) if spans else NOTHING


def _is_sign(characters: str) -> bool:
    """Tell whether a run is of signs that are seen to stand there: symbols and letters, not formats and the like."""
    return unicodedata.category(characters[0])[0] in "SLNP"


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


def _fold(word: str) -> str:
    """Return a word without its marks, in lower case."""
    if word.isascii():
        return word.lower()
    return "".join(c for c in unicodedata.normalize("NFD", word.lower()) if unicodedata.category(c) != "Mn")


def dropped(text: str, start: int, end: int) -> list[tuple[int, int, bool]]:
    """Return the spans of what a tokenizer left out between two words, white space in common use apart."""
    if start >= end:
        return []
    return [(m.start(), m.end(), False) for m in _NOT_SPACE.finditer(text, start, end)]


def end_of_word(text: str, end: int) -> int:
    """Return where a word ends whose last letter ends at `end`: behind the marks of that letter."""
    found = _AFTER_WORD.match(text, end)
    return end if found is None or not end else found.end()


def as_read(written: str) -> str:
    """Return a word as an uncased tokenizer without accents reads it: decomposed, with nothing that it drops."""
    plain = unicodedata.normalize("NFD", written)
    return "".join(c.lower() for c in plain if (kind := unicodedata.category(c)) != "Mn" and kind[0] != "C")


def _voiced(text: str, start: int, end: int) -> list[tuple[int, int, bool]]:
    """Return the spans of kana with a voicing mark: without spaces between words, no word says where one belongs."""
    found = _VOICED.finditer(text, start, end)
    return [(m.start(), m.end(), True) for m in found if _fold(m.group()) != m.group()]


def _is_foreign(char: str) -> bool:
    """Tell whether a character is dropped inside a word and is no mark of a script's own."""
    kind = unicodedata.category(char)
    return (kind == "Mn" or kind[0] == "C") and _AFTER_WORD.fullmatch(char) is None


def inside_word(text: str, start: int, end: int) -> list[tuple[int, int, bool]]:
    """Return the spans of what is dropped inside a word and is no mark of its letters."""
    spans = _voiced(text, start, end)
    spans += [(m.start(), m.end(), False) for m in _LOOSE_MARKS.finditer(text, start, end)]
    for at in range(start, end):
        if _is_foreign(text[at]):
            spans.append((at, at + 1, False))
    return spans


def spelled(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Return `Unseen.words` of (word as read, word as written) in the order of the text."""
    found: dict[str, list[str]] = {}
    marked = set()
    for bare, written in pairs:
        low = unicodedata.normalize("NFD", "".join(c for c in written.lower() if not _is_foreign(c)))
        found.setdefault(bare, []).append(low)
        if low != unicodedata.normalize("NFD", bare):
            marked.add(bare)
    return {bare: tuple(found[bare]) for bare in marked}


# --- comparing ----------------------------------------------------------------------------------------

# Words that stay themselves without their marks, as many type them. Closed: any other word and spelling counts.
_SAME_WITHOUT_MARKS: dict[str, set[str]] = {}
for _word in re.findall(
    r"\w+",
    "café résumé resumé naïve cliché façade fiancé fiancée jalapeño piñata crème brûlée purée sauté décor entrée"
    " soufflé pokémon cómo qué cuál cuále dónde quién quiéne cuándo cuánto cuánta porqué también aquí zürich"
    " düsseldorf bogotá medellín málaga montréal québec",
):
    _SAME_WITHOUT_MARKS.setdefault(_fold(_word), {_fold(_word)}).add(unicodedata.normalize("NFD", _word))


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
        if len(spellings) == 1 or spellings <= _SAME_WITHOUT_MARKS.get(word, frozenset()):
            continue
        return f"unseen spelling {_composed(mine)} != {_composed(yours)}"
    return None


def _by_stem(unseen: Unseen, text: str) -> dict[str, tuple[str, ...]]:
    """Return stem -> spellings without their plural s, of all words of `text`."""
    found: dict[str, tuple[str, ...]] = {}
    for word in set(re.findall(r"[^\W\d_]+", _fold(text))) - unseen.words.keys():
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
