"""Texts for the embedding model: of given lengths, and questions with many wordings."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

# Common words that the model's vocabulary holds whole: one token each.
_WORD_LIST = (
    "time year people way day man thing woman life child world school state family student group country "
    "problem hand part place case week company system program question work government number night point home "
    "water room mother area money story fact month lot right study book eye job word business issue side kind "
    "head house service friend father power hour game line end member law car city name president team minute "
    "idea body back parent face others level office door health person art war history party result change "
    "morning reason research girl guy moment air teacher force education"
)
_WORDS = _WORD_LIST.split()

_SUBJECT_LIST = (
    "France Japan Brazil Canada Egypt Norway India Kenya Mexico Poland Spain Turkey Vietnam Peru Chile Greece "
    "Sweden Finland Ireland Portugal Austria Hungary Denmark Belgium Thailand"
)
SUBJECTS = _SUBJECT_LIST.split()
_QUESTIONS = (
    "What is the capital city of {}?",
    "Which languages do people speak in {}?",
    "What are the most popular dishes in {}?",
    "When is the best season to travel to {}?",
    "How large is the population of {}?",
    "What is the currency of {} called?",
    "Which rivers are the longest in {}?",
    "What does the flag of {} look like?",
)
_BEFORE = (
    "", "Hello, ", "Please tell me: ", "Quick question: ", "Hi! ", "I would like to know: ", "Hey there, ",
    "A question: ", "Good morning, ", "Just asking: ", "Tell me, ", "One question: ",
)  # fmt: skip
_AFTER = ("", " Thanks!", " Please answer.", " Thank you.", " Many thanks!", " Please tell me.", " Thx", " Cheers!")
QUESTION_LENGTHS = (
    7, 8, 9, 9, 10, 10, 11, 11, 11, 12, 12, 12, 13, 13, 13, 14, 14, 14, 15, 15, 16, 16, 17, 18, 19, 20,
    21, 22, 24, 27, 32, 40,
)  # fmt: skip
"""Tokens of 32 questions: the quantiles of 6,000 questions of the Quora pairs."""
SIMILARITY = 0.75
"""At which all wordings below are near hits."""


def text_of(tokens: int, seed: int) -> str:
    """Return a text that the model reads as `tokens` pieces, the two that mark its ends included."""
    return " ".join(_WORDS[(seed * 7 + i * 13 + i * i * seed) % len(_WORDS)] for i in range(tokens - 2))


def questions(count: int = 200) -> list[str]:
    """Return different questions, at most 200."""
    return [q.format(s) for s in SUBJECTS for q in _QUESTIONS][:count]


def wordings(count: int = 200) -> Iterator[str]:
    """Yield 95 different wordings of each of those questions, then begin again."""
    asked = questions(count)
    while True:
        for after, before in itertools.product(_AFTER, _BEFORE):
            if before or after:
                for question in asked:
                    yield before + question + after
