"""An answer prepared for comparing: its sentences and what they hold beyond the question."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

from semantic_llm_cache.matching.answers.text import core, plain, sentences
from semantic_llm_cache.matching.answers.values import Value, agree, values, without_values
from semantic_llm_cache.matching.answers.wordings import canonical, expand, synonym
from semantic_llm_cache.matching.guards.lexicon import words
from semantic_llm_cache.matching.guards.lexicon.languages import CONTENTLESS, FUNCTION_WORDS, NEGATIONS
from semantic_llm_cache.matching.guards.lexicon.numerals import NUMBER_WORDS, ORDINAL_WORDS
from semantic_llm_cache.matching.guards.text import read, stem

__all__ = ["Said", "Word", "alike", "content", "missing"]

_EMPTY = CONTENTLESS | FUNCTION_WORDS["en"] | words(
    "called named known considered also about usually typically generally commonly often likely probably "
    "approximately roughly nearly "
    "think believe guess sure remember correctly seems indeed because since while which whose such much many more "
    "most very too only "
    "up out off over under both either each own same other another then therefore thus hence however well like make "
    "sure such used use "
    "you'll you're it's that's there's theirs themselves itself himself herself someone something simply according "
    "based following "
    "option answer correct result yes no true false isn't doesn't"
) | NEGATIONS["en"]  # fmt: skip
_OTHER_EMPTY = frozenset().union(*(w for language, w in FUNCTION_WORDS.items() if language != "en")) | frozenset(
    words("es ist sont est son sind heißt heisst llama называется это столица fue por escrito hat ha tiene a")
)
_PIECE = re.compile(
    r"[A-Za-z]?[\w./-]*\w\.(?:[a-z]{2,5})\b|\d[\d.,]*|[^\W\d_](?:[\w'+#&]*[\w+#])?|[\u3040-\u9fff]|[-+]?\d+|[A-Za-z]",
    re.UNICODE,
)
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_SPELLED = frozenset(w for table in NUMBER_WORDS.values() for w in table) | frozenset(ORDINAL_WORDS)


class Word(NamedTuple):
    """One word of content.

    Attributes:
        stem: to compare.
        name: a proper name, a label such as the D of "vitamin D", or an identifier: another one is another thing.
        written: as written.
    """

    stem: str
    name: bool
    written: str


@lru_cache(maxsize=4096)
def content(text: str) -> tuple[Word, ...]:
    """Return the words of content of a plain text, in order; numbers are `values`.

    Example:
        >>> [word.stem for word in content("It is the Pacific Ocean.")]
        ['pacific', 'ocean']
    """
    text = without_values(expand(text))
    found: list[Word] = []
    english = read(text[:2000]).language == "en"
    start = True
    at = 0
    for match in _PIECE.finditer(text):
        between = text[at : match.start()]
        start = start or bool(re.search(r"[.!?:\n]", between))
        at = match.end()
        piece = match[0]
        low = canonical(piece)
        first, start = start, False
        if piece[0].isdigit() or low in _SPELLED:
            continue
        if len(piece) == 1 and piece.isascii():
            # A single capital is a label ("vitamin D"), unless it is the article or the pronoun.
            if (
                piece.isupper()
                and not (first and len(text) > 1)
                and not (piece in "AI" and re.match(r"\s+[a-z]", text[match.end() :]))
            ):
                found.append(Word(piece.lower(), True, piece))
            continue
        if low.endswith("'s"):
            low = low[:-2]
        coded = bool(re.search(r"[a-z]\d|\d[a-z]|\w[./_]\w", low)) or bool(re.search(r"[+#]$", piece))
        loud = piece.isupper() and len(piece) > 2 and not text.isupper()
        if not loud and (low in _EMPTY or (not english and low in _OTHER_EMPTY)) and not coded:
            continue
        capital = piece[0].isupper() and (not first or not piece[1:].islower())
        found.append(Word(low if coded else stem(low, english), capital or coded, piece))
    return tuple(found)


def alike(a: Word, b: Word) -> bool:
    """Return whether two words say the same: one stem, synonyms, or spellings of one word."""
    if a.stem == b.stem or synonym(a.stem, b.stem):
        return True
    x, y = sorted((a.stem, b.stem), key=len)
    if a.name and b.name:
        return len(x) >= 6 and x[0] == y[0] and _one_edit(x, y)
    if len(x) >= 4 and (y.startswith((x, x[:-1] + "i" if x[-1] == "y" else x))) and len(y) - len(x) <= 5:
        return True
    return len(x) >= 6 and x[:5] == y[:5] and not (a.name or b.name)


def _one_edit(x: str, y: str) -> bool:
    if len(y) - len(x) > 1:
        return False
    at = next((i for i, (p, q) in enumerate(zip(x, y, strict=False)) if p != q), len(x))
    return x[at:] == y[at + 1 :] or x[at + 1 :] == y[at + 1 :]


def missing(ours: Iterable[Word], theirs: Sequence[Word]) -> list[Word]:
    """Return the words of `ours` that `theirs` say in no form; an acronym stands for its words."""
    stems = {w.stem for w in theirs}
    initials = "".join(w.stem[0] for w in theirs)
    joined = "".join(w.stem for w in theirs)
    left = []
    for word in ours:
        if word.stem in stems or any(alike(word, other) for other in theirs):
            continue
        if word.written.isupper() and 2 < len(word.stem) < 7 and word.stem in initials:
            continue
        if len(word.stem) > 6 and word.stem in joined:
            continue
        left.append(word)
    acronyms = [w.stem for w in theirs if w.written.isupper() and len(w.written) > 2]
    letters = "".join(w.stem[0] for w in left)
    return [] if letters and len(letters) > 2 and letters in acronyms else left


class Said:
    """One answer to a question, read once for all layers.

    Args:
        answer: as the model wrote it.
        question: what was asked; "" when unknown.
    """

    def __init__(self, answer: str, question: str) -> None:
        self.raw = answer
        self.question = question
        self.text = core(plain(answer), question)

    @cached_property
    def sentences(self) -> list[str]:
        """The sentences and lines."""
        return sentences(self.text)

    @cached_property
    def words(self) -> tuple[Word, ...]:
        """All words of content."""
        return content(self.text)

    @cached_property
    def asked(self) -> tuple[Word, ...]:
        """The words of content of the question."""
        return content(plain(self.question))

    @cached_property
    def new(self) -> list[Word]:
        """The words of content that the question does not hold."""
        return new_words(self.words, self.asked)

    @cached_property
    def values(self) -> list[Value]:
        """The values that the question does not hold."""
        return new_values(values(self.text), self.question)

    @cached_property
    def size(self) -> int:
        """How many words of content and values there are."""
        return len(self.words) + len(self.values)

    @property
    def is_short(self) -> bool:
        """Return whether the answer is one claim of a few words."""
        return len(self.sentences) == 1 and len(self.new) + len(self.values) <= 6 and len(self.text) <= 90


def new_words(said: Iterable[Word], asked: Sequence[Word]) -> list[Word]:
    """Return the words that do not only repeat the question."""
    stems = {w.stem for w in asked}
    return [word for word in said if word.stem not in stems]


def new_values(said: Iterable[Value], question: str) -> list[Value]:
    """Return the values that do not only repeat the question."""
    asked = values(plain(question))
    return [v for v in said if not any(v.kind == q.kind and v.unit == q.unit and agree(v, q) for q in asked)]
