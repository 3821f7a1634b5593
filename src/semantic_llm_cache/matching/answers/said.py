"""An answer prepared for comparing: its sentences and what they hold beyond the question."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

from semantic_llm_cache.matching.answers.spelled import in_digits, is_number_word, language_of
from semantic_llm_cache.matching.answers.text import core, light, plain, sentences
from semantic_llm_cache.matching.answers.values import Value, agree, values, without_values
from semantic_llm_cache.matching.answers.wordings import canonical, expand, synonym
from semantic_llm_cache.matching.guards.lexicon import words
from semantic_llm_cache.matching.guards.lexicon.languages import CONTENTLESS, FUNCTION_WORDS, NEGATIONS
from semantic_llm_cache.matching.guards.text import stem

__all__ = ["FRAME", "Said", "Word", "alike", "content", "missing", "said_by_both"]

_EMPTY = CONTENTLESS | FUNCTION_WORDS["en"] | words(
    "called named known considered also about usually typically generally commonly often likely probably "
    "approximately roughly nearly "
    "think believe guess sure remember correctly seems indeed because since while which whose such much many more "
    "most very too only "
    "up out off over under both either each own same other another then therefore thus hence however well like make "
    "sure such "
    "you'll you're it's that's there's theirs themselves itself himself herself someone something simply according "
    "based following "
    "option answer correct result yes no true false isn't doesn't"
) | NEGATIONS["en"]  # fmt: skip
_OTHER_EMPTY = frozenset().union(*(w for language, w in FUNCTION_WORDS.items() if language != "en")) | frozenset(
    words("es ist sont est son sind heißt heisst llama называется это столица fue por escrito hat ha tiene a")
)
_PIECE = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff]|[A-Za-z]?[\w./-]{0,60}\w\.(?:[a-z]{2,5})\b|\d[\d.,]*|[^\W\d_](?:[\w'+#&]*[\w+#])?|"
    r"[\u3040-\u9fff]|[-+]?\d+|[A-Za-z]",
    re.UNICODE,
)
_ARTICLES = words("the a an this it its is be would of to for under as about with here i d")
_CATEGORY = words("intent intents label labels category categories topic topics class")
_FITTING = words("right correct best main appropriate exact")
_FRAMED = 110  # characters
_SHOWN_LANGUAGE = 600  # characters of the question and of each answer that show their language
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")


# Words that only frame a short answer: "The intent of this message is ...", "I would file it under ...".
FRAME = words(
    "i'd i'll i've say says see let list "
    "intent intents label labels labelled labeled category categories topic topics class classification classified "
    "classify type result "
    "question questions results response responses final user users customer customers message request query "
    "utterance sentence here read "
    "input purpose goal "
    "concern concerns concerning matter case match matches matching fit fits belong belongs fall falls file filed "
    "go goes express expresses "
    "mean means ask asks asking wants want judging looking reading wording view found applies apply following "
    "fitting help case concern's"
)


_NAMING = re.compile(r"(?:it|this|that)(?:'s| is| would be) ", re.IGNORECASE)
_STATEMENT = re.compile(
    r"(?:you|we|they|he|she|there|please|yes|no)\b|it (?!is\b|falls\b|belongs\b)|(?:the|a|an) [^\W\d_]+ (?!is\b|"
    r"of\b|would\b|that\b)[^\W\d_]+s\b",
    re.IGNORECASE,
)


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
    text = without_values(expand(text).replace("_", " "))
    found: list[Word] = []
    language = language_of(text)
    start = True
    at = 0
    for match in _PIECE.finditer(text):
        between = text[at : match.start()]
        start = start or bool(re.search(r"[.!?:\n]", between))
        at = match.end()
        piece = match[0]
        low = canonical(piece)
        first, start = start, False
        if piece[0].isdigit() or is_number_word(low, language):
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
        if not loud and (low in _EMPTY or (language != "en" and low in _OTHER_EMPTY)) and not coded:
            continue
        capital = piece[0].isupper() and (not first or not piece[1:].islower())
        found.append(Word(low if coded else stem(low), capital or coded, piece))
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
        language: of the question and the answers together, two letters.
    """

    def __init__(self, answer: str, question: str, language: str = "en") -> None:
        self.raw = answer
        self.question = question
        self.text = in_digits(core(_without_heading(plain(answer)), question), language)

    @cached_property
    def sentences(self) -> list[str]:
        """The sentences and lines."""
        return sentences(self.text)

    @cached_property
    def words(self) -> tuple[Word, ...]:
        """All words of content; those of a short answer without the words that only frame it."""
        found = content(self.text)
        if len(self.text) > _FRAMED:
            return found
        kept = self._unframed(found)
        if kept or values(self.text):
            return kept
        # "The label is yes.": words that say nothing elsewhere are all that is said here.
        bare = tuple(Word(w, False, w) for w in light(self.text).split() if w not in FRAME and w not in _ARTICLES)
        return bare or found

    def _unframed(self, found: tuple[Word, ...]) -> tuple[Word, ...]:
        """Return the words that do not only frame the answer; a framing word after another word is part of a name."""
        low = [w.written.casefold().removesuffix("'s") for w in found]
        kept: list[Word] = []
        for at, (word, name) in enumerate(zip(found, low, strict=True)):
            fits = name in _FITTING and at + 1 < len(low) and low[at + 1] in FRAME
            if name in FRAME:
                joined = kept and kept[-1] is found[at - 1] and name not in _CATEGORY
                named = joined and re.search(
                    rf"\b{re.escape(low[at - 1])}[ _]{re.escape(name)}\b", self.text, re.IGNORECASE
                )
                fits = fits or not named
            if not fits:
                kept.append(word)
        return tuple(kept)

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
        return new_values(values(self.text), self.question) or list(values(self.text))

    @cached_property
    def size(self) -> int:
        """How many words of content and values there are."""
        return len(self.words) + len(self.values)

    @property
    def is_short(self) -> bool:
        """Return whether the answer is one claim of a few words."""
        return len(self.sentences) == 1 and len(self.new) + len(self.values) <= 6 and len(self.text) <= 90

    @cached_property
    def is_brief(self) -> bool:
        """Return whether the answer is up to four words of content, in any frame, and no whole statement."""
        own = len(self.words) == len(content(self.text)) and not _NAMING.match(self.text)
        if own and len(self.words) > 2 and self.text.endswith("."):
            return False  # a statement in words of its own
        few = len(self.sentences) <= 2 and len(self.words) <= 4 and len(self.text) <= _FRAMED
        few = few and all(v.weak for v in self.values)
        statement = _STATEMENT.match(self.text)
        return few and (statement is None or any(word in FRAME for word in statement[0].casefold().split()))

    @cached_property
    def is_label(self) -> bool:
        """Return whether the answer is hardly more than a common name for something, such as a category."""
        names = self.words if len(self.words) == 1 and self.words[0].name else self.words[1:]
        return self.is_brief and not any(w.written[:1].isupper() for w in names)


def said_by_both(question: str, fresh: str, stored: str) -> tuple[Said, Said]:
    """Return two answers to one question, read in one language: a short answer alone seldom shows its own.

    Example:
        >>> [said.text for said in said_by_both("Quanti gatti ha?", "Due.", "Ha otto gatti.")]
        ['2.', 'Ha 8 gatti.']
    """
    language = language_of("\n".join(text[:_SHOWN_LANGUAGE] for text in (question, fresh, stored)))
    return Said(fresh, question, language), Said(stored, question, language)


def _without_heading(text: str) -> str:
    """Return a text without a first line that only frames the rest: "Result", "The category is:"."""
    head, _, rest = text.partition("\n")
    if not rest.strip() or len(head) > 60:
        return text
    return rest.strip() if all(w.written.casefold() in FRAME for w in content(head)) else text


def new_words(said: Iterable[Word], asked: Sequence[Word]) -> list[Word]:
    """Return the words that do not only repeat the question."""
    stems = {w.stem for w in asked}
    return [word for word in said if word.stem not in stems]


def new_values(said: Iterable[Value], question: str) -> list[Value]:
    """Return the values that do not only repeat the question."""
    asked = values(plain(question))
    return [v for v in said if not any(v.kind == q.kind and v.unit == q.unit and agree(v, q) for q in asked)]
