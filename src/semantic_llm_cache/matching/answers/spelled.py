"""Number words in answers: which words of a text are numbers depends on its language."""

from __future__ import annotations

import re

from semantic_llm_cache.matching.guards.lexicon import words
from semantic_llm_cache.matching.guards.lexicon.languages import ALSO_ENGLISH
from semantic_llm_cache.matching.guards.lexicon.numerals import MULTIPLIERS, NUMBER_WORDS, ORDINAL_WORDS
from semantic_llm_cache.matching.guards.text import Reading, read

__all__ = ["in_digits", "is_number_word", "language_of", "reading_of"]

# Alone they do not show that a text is in another language. Where question and answers show it together, `in_digits`
# writes them in digits. "To" is two in Danish.
_ALSO_ENGLISH = ALSO_ENGLISH | {"to"}
_AMBIGUOUS = re.compile(rf"\b(?:{'|'.join(sorted(_ALSO_ENGLISH))})\b", re.IGNORECASE)
_PLAIN_NUMBERS = {
    language: frozenset(filter(str.isascii, numbers)) for language, numbers in NUMBER_WORDS.items() if language != "en"
}
_JOINED = words("y et und en e i og och și ja")  # "treinta y cinco"
_LETTERS = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(rf"([^\W\d_]+)(?: ({'|'.join(word for word in MULTIPLIERS if len(word) > 2)})\b)?", re.IGNORECASE)
_LAST = re.compile(r"(?:^|\W)([^\W\d_]+)[ -]+$")
_FIRST = re.compile(r"[ -]+([^\W\d_]+)")
_ENGLISH = frozenset(NUMBER_WORDS["en"]) | frozenset(ORDINAL_WORDS)
_BESIDE = 40  # characters before and after a number word that show whether it is part of a longer number
_MOST = 2000  # characters that are read for the language


def language_of(text: str) -> str:
    """Return the language of a text, two letters, as `is_number_word` takes it.

    A number word beside other words needs one of them as a witness: "Audi Quattro" is no Italian.

    Example:
        >>> language_of("Lima."), language_of("Fünf."), language_of("Audi Quattro"), language_of("Quattro.")
        ('en', 'de', 'en', 'it')
    """
    text = text[:_MOST]
    guessed = read(text).language
    if guessed != "en" and _AMBIGUOUS.search(text):
        text = _AMBIGUOUS.sub(" ", text)
        guessed = read(text).language
    numbers = _PLAIN_NUMBERS.get(guessed)
    if not numbers:
        return guessed
    pieces = _LETTERS.findall(text)
    rest = [word for word in pieces if word.lower() not in numbers]
    return read(" ".join(rest)).language if rest and len(rest) < len(pieces) else guessed


def reading_of(text: str) -> Reading:
    """Return what the number rules need to know about a text."""
    reading = Reading(text)
    reading.language = language_of(text)
    return reading


def in_digits(text: str, language: str) -> str:
    """Return a text in another language than English with its number words in digits.

    A part of a longer number stays as it is: the rules for numbers read it as a whole.

    Example:
        >>> in_digits("Due gatti.", "it"), in_digits("Rent due.", "en"), in_digits("cinco mil", "es")
        ('2 gatti.', 'Rent due.', '5000')
    """
    numbers = NUMBER_WORDS.get(language, {})
    if language == "en":
        return text

    def digits(match: re.Match[str]) -> str:
        number = numbers.get(match[1].lower())
        if number is None:
            return match[0]
        start, end = match.span()
        beside = _LAST.search(text[max(0, start - _BESIDE) : start]), _FIRST.match(text[end : end + _BESIDE])
        if any(word and (word[1].lower() in numbers or word[1].lower() in _JOINED) for word in beside):
            return match[0]
        times = MULTIPLIERS.get((match[2] or "").lower(), 0.0)
        return f"{number * times:.0f}" if times else f"{number:g}{match[0][len(match[1]) :]}"

    return _NUMBER.sub(digits, text)


def is_number_word(word: str, language: str) -> bool:
    """Return whether a word, in lower case, is nothing but a number in a text of that language.

    Example:
        >>> is_number_word("cinco", "es"), is_number_word("cinco", "en"), is_number_word("five", "es")
        (True, False, True)
    """
    if word in _ENGLISH:
        return True
    return word not in _ALSO_ENGLISH and word in NUMBER_WORDS.get(language, ())
