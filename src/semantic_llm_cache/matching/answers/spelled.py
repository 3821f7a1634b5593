"""Number words in answers: which words of a text are numbers depends on its language."""

from __future__ import annotations

import re

from semantic_llm_cache.matching.guards.lexicon import words
from semantic_llm_cache.matching.guards.lexicon.languages import ALSO_ENGLISH
from semantic_llm_cache.matching.guards.lexicon.numerals import NUMBER_WORDS, ORDINAL_WORDS
from semantic_llm_cache.matching.guards.text import Reading, read

__all__ = ["is_number_word", "language_of", "reading_of"]

# Number words, and other small words, of other languages that are English words or names too: alone they do not show
# that a text is in another language. Where it is, the numbers are read both as a word and as a number.
_ALSO_ENGLISH = ALSO_ENGLISH | words("ba cent elva firs hai ni opt sis sto to tri")
_AMBIGUOUS = re.compile(rf"\b(?:{'|'.join(sorted(_ALSO_ENGLISH))})\b", re.IGNORECASE)
_ENGLISH = frozenset(NUMBER_WORDS["en"]) | frozenset(ORDINAL_WORDS)
_MOST = 2000  # characters that are read for the language


def language_of(text: str) -> str:
    """Return the language of a text, two letters, as `is_number_word` takes it.

    Example:
        >>> language_of("Lima."), language_of("Fünf.")
        ('en', 'de')
    """
    text = text[:_MOST]
    guessed = read(text).language
    if guessed == "en" or not _AMBIGUOUS.search(text):
        return guessed
    return read(_AMBIGUOUS.sub(" ", text)).language


def reading_of(text: str) -> Reading:
    """Return what the number rules need to know about a text."""
    reading = Reading(text)
    reading.language = language_of(text)
    return reading


def is_number_word(word: str, language: str) -> bool:
    """Return whether a word, in lower case, is nothing but a number in a text of that language.

    Example:
        >>> is_number_word("cinco", "es"), is_number_word("cinco", "en"), is_number_word("five", "es")
        (True, False, True)
    """
    if word in _ENGLISH:
        return True
    return word not in _ALSO_ENGLISH and word in NUMBER_WORDS.get(language, ())
