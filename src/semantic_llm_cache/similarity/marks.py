"""What an embedder may drop from non-ASCII text: marks, symbols, scripts. Imported only when needed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from semantic_llm_cache.similarity.runs import INDENT, NOTHING, Unseen, fold, hidden_at

__all__ = ["as_read", "dropped", "end_of_word", "inside_word", "spelled", "unseen_beyond_ascii"]

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
# Marks without a letter, or in longer runs than any script uses.
_LOOSE_MARKS = re.compile(rf"(?<![^\W\d_])(?<![{_MARKS}])[{_MARKS}]+|[{_MARKS}]{{4,}}")
_WORD = re.compile(rf"[^\W\d_](?:[^\W\d_]|[{_MARKS}])*")
_AFTER_WORD = re.compile(rf"[{_MARKS}]{{0,3}}")
_NOT_SPACE = re.compile(r"[^ \t\n\r\u00a0\u2009\u202f\u3000]+")
_VOICED = re.compile(r"[\u304c-\u3094\u30ac-\u30fa\u3099\u309a]")
_GREEK = "\u0370"  # from here on some code points between letters are not assigned


def unseen_beyond_ascii(text: str, unknown: Sequence[tuple[int, int]] = ()) -> Unseen:
    """Return what some embedder may drop of `text`; see `default_unseen`."""
    spans = [(start, end, True) for start, end in unknown]
    spans += [(m.start(), m.end(), _is_sign(m.group())) for m in _ODD.finditer(text)]
    if max(text, default="") >= _GREEK:
        spans += [(at, at + 1, False) for at, char in enumerate(text) if unicodedata.category(char) == "Cn"]
    spans += [(m.start(), m.end(), False) for m in _LOOSE_MARKS.finditer(text)]
    spans += [(m.start(), m.end(), False) for m in INDENT.finditer(text)]
    spans += _voiced(text, 0, len(text))
    words = spelled((bare, m.group()) for m in _WORD.finditer(text) if (bare := fold(m.group())))
    return Unseen(hidden_at(text, spans), words) if spans or words else NOTHING


def _is_sign(characters: str) -> bool:
    """Return whether a run consists of visible signs: symbols and letters, not formats and the like."""
    return unicodedata.category(characters[0])[0] in "SLNP"


def dropped(text: str, start: int, end: int) -> list[tuple[int, int, bool]]:
    """Return the spans that a tokenizer dropped between two words, except common white space."""
    if start >= end:
        return []
    return [(m.start(), m.end(), False) for m in _NOT_SPACE.finditer(text, start, end)]


def end_of_word(text: str, end: int) -> int:
    """Return where the word with its last letter at `end` ends: after that letter's marks."""
    found = _AFTER_WORD.match(text, end)
    return end if found is None or not end else found.end()


def as_read(written: str) -> str:
    """Return a word as an uncased tokenizer without accents reads it: decomposed, without what it drops."""
    plain = unicodedata.normalize("NFD", written)
    return "".join(c.lower() for c in plain if (kind := unicodedata.category(c)) != "Mn" and kind[0] != "C")


def _voiced(text: str, start: int, end: int) -> list[tuple[int, int, bool]]:
    """Return the spans of kana with a voicing mark: without spaces between words, no word says where one belongs."""
    found = _VOICED.finditer(text, start, end)
    return [(m.start(), m.end(), True) for m in found if fold(m.group()) != m.group()]


def _is_foreign(char: str) -> bool:
    """Return whether a character is dropped inside a word and is not a mark of its script."""
    kind = unicodedata.category(char)
    return (kind == "Mn" or kind[0] == "C") and _AFTER_WORD.fullmatch(char) is None


def inside_word(text: str, start: int, end: int) -> list[tuple[int, int, bool]]:
    """Return the spans that are dropped inside a word, except its letters' own marks."""
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
