"""Tell what kind of prompt a text is: time-bound, code, chat or facts."""

from __future__ import annotations

import re
from functools import cache

from semantic_llm_cache.calls.categories import BUILT_IN, TIME_BOUND
from semantic_llm_cache.matching.category_words import (
    CHAT,
    CODE_TEXT,
    CODE_WORDS,
    COMPANIONS,
    GREETINGS,
    NOT_TIME_BOUND,
    NOW,
    PHRASES,
    RELEASES,
)

__all__ = ["BUILT_IN", "category_of", "is_time_bound"]

_LONG, _END = 4000, 1000  # of a longer prompt only both ends are read
_SHORT, _ASKING = 300, 200  # a longer prompt holds more than the question, which stands at one of its ends
_WORD = re.compile(r"\w+(?:'\w+)?")
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”|«[^»]*»|„[^“”]*[“”]")
_QUOTE = re.compile('["“«„]')
_CHAT_WORDS = 12


def _by_word() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for words, phrases in PHRASES.items():
        for word in words.split():
            found.setdefault(word, []).extend(phrases)
    return found


_PHRASES = _by_word()
_TRIGGERS = NOW | COMPANIONS.keys() | _PHRASES.keys()


# Each is compiled when it is first needed: together they take 25 ms, which no import and no call should wait for.
@cache
def _phrases(word: str) -> re.Pattern[str]:
    return re.compile("|".join(_PHRASES[word]))


@cache
def _not_time_bound() -> re.Pattern[str]:
    return re.compile("|".join(NOT_TIME_BOUND))


@cache
def _releases() -> re.Pattern[str]:
    return re.compile(RELEASES)


@cache
def _code() -> re.Pattern[str]:
    return re.compile("|".join(CODE_TEXT), re.MULTILINE)


@cache
def _chat() -> re.Pattern[str]:
    return re.compile("|".join(CHAT))


def category_of(text: str) -> str:
    """Return the built-in category of a prompt: ``"time-bound"``, ``"code"``, ``"chat"``, or else ``"facts"``.

    Only words and phrases are looked at. Whether a prompt of more than 300 characters is time-bound is read from its
    first and its last two lines, so that a passage in it does not count; of more than 4,000, only both ends are read.

    Example:
        >>> [category_of(text) for text in ("weather in Oslo", "hi there", "How do I sort a list in Python?")]
        ['time-bound', 'chat', 'code']
    """
    text = _ends(text)
    words = _words(text)
    if _is_code(text, words):
        return "code"
    if _is_chat(words):
        return "chat"
    return TIME_BOUND if _asks_for_now(text, words) else "facts"


def is_time_bound(text: str) -> bool:
    """Return whether the right answer to a prompt soon changes: news, weather, prices, scores, "today", "latest".

    The same as ``category_of(text) == "time-bound"``, but faster for the many prompts that are not.

    Example:
        >>> is_time_bound("Who won last night?"), is_time_bound("Who won the Battle of Hastings?")
        (True, False)
    """
    text = _ends(text)
    words = _words(text)
    return _asks_for_now(text, words) and not _is_code(text, words) and not _is_chat(words)


def _ends(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[:_END]}\n{text[-_END:]}"


def _asking(text: str) -> str:
    """Return the part of a long prompt in which its question stands."""
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join([*(line[:_ASKING] for line in lines[:1]), *(line[-_ASKING:] for line in lines[-2:])])


def _words(text: str) -> list[str]:
    low = text.lower()
    return _WORD.findall(low if low.isascii() else low.replace("’", "'"))


def _asks_for_now(text: str, words: list[str]) -> bool:
    if _TRIGGERS.isdisjoint(words):
        return False
    if len(text) > _SHORT:
        text = _asking(text)
        words = _words(text)
    if _QUOTE.search(text) is not None:
        words = _words(_QUOTED.sub(" ", text))
    line = " ".join(words)
    if NOW.isdisjoint(words) and not _in_company(words) and not _has_phrase(words, line):
        return False
    return _not_time_bound().search(line) is None


def _has_phrase(words: list[str], line: str) -> bool:
    return any(word in _PHRASES and _phrases(word).search(line) is not None for word in words)


def _in_company(words: list[str]) -> bool:
    return any(word in COMPANIONS and not COMPANIONS[word].isdisjoint(words) for word in words)


def _is_code(text: str, words: list[str]) -> bool:
    if CODE_WORDS.isdisjoint(words) and _code().search(text) is None:
        return False
    return _releases().search(" ".join(words)) is None


def _is_chat(words: list[str]) -> bool:
    if len(words) > _CHAT_WORDS:
        return False
    return GREETINGS.issuperset(words) or _chat().search(" ".join(words)) is not None
