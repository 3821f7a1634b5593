"""`unseen_difference`: how two texts differ in ways that their vectors do not show."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

from semantic_llm_cache.similarity.runs import Hidden, Unseen, fold

if TYPE_CHECKING:
    from semantic_llm_cache.similarity.base import EmbeddingProvider

__all__ = ["unseen_difference"]

_SAME_WITHOUT_MARKS = (
    "café résumé resumé naïve cliché façade fiancé fiancée jalapeño piñata crème brûlée purée sauté décor entrée "
    "soufflé pokémon cómo qué cuál cuále dónde quién quiéne cuándo cuánto cuánta porqué también aquí zürich "
    "düsseldorf bogotá medellín málaga montréal québec NFD "
)
"""Words that mean the same when typed without their marks. A fixed list: any other word and spelling counts."""


def unseen_difference(embedder: EmbeddingProvider, prompt: str, other: str) -> str | None:
    """Return how two texts differ in ways that `embedder` does not see, or None.

    Such texts are never a near match, however close their vectors are. The comparison covers both texts completely
    and in order: hidden characters by the words beside them, unknown signs by one of those words, and
    marked words by the words that both texts contain ("año" against "ano").

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
            continue  # the vector shows a word that only one text has
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
    """Return characters in printable form: visible signs as they are, others by code point."""
    if all(unicodedata.category(c)[0] in "SLNP" for c in characters):
        return characters if len(characters) <= 20 else characters[:17] + "..."
    codes = [f"U+{ord(c):04X}" for c in characters[:4]]
    return " ".join(codes) + (" ..." if len(characters) > 4 else "")
