"""One reading of a prompt, shared by all rules and kept for the next comparison."""

from __future__ import annotations

import re
import unicodedata
from collections import OrderedDict
from threading import Lock
from typing import Any

from .lexicon import in_order
from .lexicon.languages import ALSO_ENGLISH, FUNCTION_WORDS
from .lexicon.more_languages import MORE_FUNCTION_WORDS, UNCOVERED_LETTERS, UNCOVERED_WORDS
from .lexicon.numerals import NUMBER_WORDS

__all__ = ["Reading", "read", "stem"]

_LISTED = {**FUNCTION_WORDS, **MORE_FUNCTION_WORDS}
# Word -> the languages that it speaks for.
_SPEAKS: dict[str, tuple[str, ...]] = {}
for _language, _known in (*_LISTED.items(), *UNCOVERED_WORDS.items()):
    if _language != "en":
        for _word in _known | NUMBER_WORDS.get(_language, {}).keys():
            _SPEAKS[_word] = (*_SPEAKS.get(_word, ()), _language)
_RANK = {language: rank for rank, language in enumerate((*_LISTED, *UNCOVERED_WORDS))}
# Letters that only one language of a script has, and the language of the script otherwise.
_BY_LETTER = (
    ("\u0400", "\u04ff", (("іїєґ", "uk"), ("ў", "be"), ("ђћљњј", "sr"), ("ѓќѕ", "mk"), ("қғүұөһәң", "kk")), "ru"),
    ("\u0600", "\u06ff", (("ےٹڈڑں", "ur"), ("پچژگکی", "fa")), "ar"),
    ("\u0590", "\u05ff", (), "he"),
    ("\u0370", "\u03ff", (), "el"),
    ("\uac00", "\ud7af", (), "ko"),
)
_TOKEN = re.compile(
    r"(?P<num>\d(?:[\d,.]*\d)?)"
    r"|(?P<word>[^\W\d_]+(?:'[^\W\d_]+)*)"
    r"|(?P<sym>[^\w\s]|_)"
)
_QUOTES = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "´": "'", "−": "-", "‐": "-", "‑": "-", "：": ":", "？": "?"})
_NON_ASCII_DIGIT = re.compile(r"[^\D0-9]")
_CONTRACTIONS = {
    "can't": ("can", "not"),
    "cannot": ("can", "not"),
    "cant": ("can", "not"),
    "won't": ("will", "not"),
    "wont": ("will", "not"),
    "shan't": ("shall", "not"),
    "ain't": ("is", "not"),
    "aint": ("is", "not"),
    "let's": ("let", "us"),
    "i'm": ("i", "am"),
    "im": ("i", "am"),
    **{
        verb + "nt": (verb, "not")
        for verb in in_order("do does did is are was were could should would have has had must need")
    },
}
_IRREGULAR = {
    variant: base
    for base, variants in {
        "buy": "bought",
        "sell": "sold sale",
        "send": "sent",
        "lose": "lost losing",
        "win": "won winning",
        "man": "men",
        "woman": "women",
        "child": "children",
        "foot": "feet",
        "mouse": "mice",
        "person": "people",
        "wife": "wives",
        "life": "lives",
        "take": "took taken",
        "give": "gave given",
        "rise": "rose risen",
        "fall": "fell fallen",
        "grow": "grew grown",
        "begin": "began begun",
        "write": "wrote written",
        "teach": "taught",
        "die": "died dying dies",
        "lie": "lying",
        "bad": "badly",
        "hide": "hid hidden",
        "freeze": "froze frozen",
        "build": "built",
        "lend": "lent",
        "leave": "left-behind leaving",
        "wake": "woke woken",
        "make": "made making",
        "beat": "beaten",
        "eat": "ate eaten",
        "bite": "bitten",
        "drive": "drove driven",
        "choose": "chose chosen",
        "steal": "stole stolen",
        "speak": "spoke spoken",
        "break": "broke broken",
        "know": "knew known",
        "see": "seen",
        "catch": "caught",
        "fight": "fought",
        "pay": "paid",
        "throw": "threw thrown",
        "draw": "drew drawn",
        "hold": "held",
        "tell": "told",
        "strike": "struck",
        "go": "went gone goes",
        "get": "got gotten",
        "does": "does",
        "his": "his",
        "this": "this",
    }.items()
    for variant in variants.split()
}
_ENDINGS = re.compile(r"[aeiouyàâáãäåąæçéèêëęíìîïóòôõöøúùûüýÿаеёийоуыьэюяśćńż]+[mnsrtмвх]?$")
_ENGLISH_STEMS: dict[str, str] = {}
_OTHER_STEMS: dict[str, str] = {}
_STEMS_LIMIT = 50_000


def stem(word: str, english: bool = True) -> str:
    """Return the word without its inflection: crude, but the same for the forms of one word.

    Example:
        >>> stem("increasing") == stem("increase") == stem("increases")
        True
    """
    known = _ENGLISH_STEMS if english else _OTHER_STEMS
    found = known.get(word)
    if found is None:
        if len(known) >= _STEMS_LIMIT:
            known.clear()
        found = known[word] = _english(word) if english and word.isascii() else _other(word)
    return found


def _english(word: str) -> str:
    if word in _IRREGULAR:
        word = _IRREGULAR[word]
    if len(word) <= 3:
        return word
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith(("sses", "shes", "ches", "xes", "zes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    if word.endswith("ly") and len(word) > 5:
        word = word[:-2]
    for ending in ("ing", "ed"):
        rest = word[: -len(ending)]
        if word.endswith(ending) and len(rest) > 2 and any(c in "aeiouy" for c in rest):
            if len(rest) > 3 and rest[-1] == rest[-2] and rest[-1] not in "lsz":
                rest = rest[:-1]
            elif rest[-1] == "i":
                rest = rest[:-1] + "y"
            word = rest
            break
    if word.endswith("e") and len(word) > 3:
        word = word[:-1]
    return word


def _other(word: str) -> str:
    if len(word) <= 4 or word[0] >= "\u3040":
        return word
    short = _ENDINGS.sub("", word)
    return short if len(short) >= 3 else word


class Reading:
    """What the rules need to know about one prompt. Facts that a rule derives are cached in `facts`.

    Attributes:
        text: the prompt, with unified quotes and dashes, and digits of all scripts as 0-9.
        tokens: (kind, text, start) with kind "num", "word" or "sym"; Han and kana one character each.
        words: the words in lower case, contractions opened ("don't" is "do", "not"), possessives dropped.
        opened: the number of `words` for each token of kind "word".
        language: two letters, a guess from the function words ("en" when nothing speaks against it).
        vocabulary: the set of `words`.
        stems: `words` without their inflections; `bag` is their set.
        capitals: how many words begin with a capital.
        has_number: whether there are digits.
    """

    __slots__ = (
        "_lower", "_squashed", "bag", "capitals", "cjk", "facts", "has_number", "language", "opened", "stems", "text",
        "tokens", "vocabulary", "words",
    )  # fmt: skip

    def __init__(self, text: str) -> None:
        raw = text if text.isascii() else unicodedata.normalize("NFC", text).translate(_QUOTES)
        if not raw.isascii():
            raw = _NON_ASCII_DIGIT.sub(lambda m: str(unicodedata.decimal(m.group(), "")), raw)
        self.text = raw
        self.facts: dict[str, Any] = {}
        self._squashed: str | None = None
        self._lower: str | None = None
        self.cjk = not raw.isascii() and any("\u3040" <= c <= "\u9fff" for c in raw)
        tokens: list[tuple[str, str, int]] = []
        words: list[str] = []
        opened: list[int] = []
        capitals = 0
        self.has_number = False
        for match in _TOKEN.finditer(raw):
            kind = match.lastgroup
            piece = match[0]
            if kind == "word":
                if self.cjk and piece[0] >= "\u3040":
                    tokens.extend(("word", c, match.start() + i) for i, c in enumerate(piece))
                    words.extend(piece)
                    opened.extend([1] * len(piece))
                    continue
                tokens.append(("word", piece, match.start()))
                low = piece.lower()
                if low != piece and piece[0].isupper():
                    capitals += 1
                if "'" in low or low in _CONTRACTIONS:
                    several = _open(low)
                    words.extend(several)
                    opened.append(len(several))
                else:
                    words.append(low)
                    opened.append(1)
            elif kind == "num":
                tokens.append(("num", piece, match.start()))
                self.has_number = True
            else:
                tokens.append(("sym", piece, match.start()))
        self.tokens = tokens
        self.words = words
        self.opened = opened
        self.capitals = capitals
        self.vocabulary = frozenset(words)
        self.language = self._guess()
        english = self.language == "en"
        known = _ENGLISH_STEMS if english else _OTHER_STEMS
        self.stems = [known.get(w) or stem(w, english) for w in words]
        self.bag = frozenset(self.stems)

    def _guess(self) -> str:
        if self.cjk:
            return "zh"
        words = self.vocabulary
        english = float(len(words & FUNCTION_WORDS["en"]))
        if english * 2 >= len(words):
            return "en"
        plain = all(w.isascii() for w in words)
        scores: dict[str, int] = {}
        unclear = words & ALSO_ENGLISH if plain else frozenset()
        sure: set[str] = set()  # languages with a word that English does not have
        for word in words - unclear:
            for language in _SPEAKS.get(word, ()):
                scores[language] = scores.get(language, 0) + 1
                if word not in FUNCTION_WORDS["en"]:
                    sure.add(language)
        sure.update(_with_two_numbers(unclear))
        for word in unclear:
            for language in sure.intersection(_SPEAKS.get(word, ())):
                scores[language] = scores.get(language, 0) + 1
        if not plain and (script := self._script()) is not None:
            # Bulgarian has no letter of its own.
            return "bg" if script == "ru" and scores.get("bg", 0) > scores.get("ru", 0) + 1 else script
        if not plain:
            for word in words:
                for language in {UNCOVERED_LETTERS[c] for c in word if c in UNCOVERED_LETTERS}:
                    scores[language] = scores.get(language, 0) + 1
        best, best_score = "en", english
        for language in sorted(scores, key=_RANK.__getitem__):
            # A letter beyond a-z speaks against English where the count does not decide.
            score = scores[language] + (0.0 if plain else 0.5)
            # What turns near matching off takes more evidence than one small word.
            if score > best_score and (language in _LISTED or scores[language] > english + 1):
                best, best_score = language, score
        return best

    def _script(self) -> str | None:
        """Return the language of the first words' script, where one script is nearly one language."""
        letters = [w[0] for w in self.words[:3] if w[0] >= "\u0370"]
        for first, last, own, language in _BY_LETTER:
            if any(first <= letter <= last for letter in letters):
                low = self.lower
                return next((other for known, other in own if any(c in low for c in known)), language)
        return None

    def may_hold(self, words: frozenset[str]) -> bool:
        """Return False if none of these words, in lower case, stands in the text between other signs than letters.

        A quick test before a pattern that needs one of them. A word with an apostrophe counts as any.
        """
        return not words.isdisjoint(self.vocabulary) or "'" in self.text

    @property
    def lower(self) -> str:
        """The text in lower case."""
        if self._lower is None:
            self._lower = self.text.lower()
        return self._lower

    @property
    def squashed(self) -> str:
        """The text in lower case without white space."""
        if self._squashed is None:
            self._squashed = "".join(self.text.casefold().split())
        return self._squashed


def _with_two_numbers(words: frozenset[str]) -> list[str]:
    """Return the languages in which two of the words are numbers, which is no coincidence."""
    if len(words) < 2:
        return []
    return [lang for lang, numbers in NUMBER_WORDS.items() if lang != "en" and len(numbers.keys() & words) > 1]


def _open(word: str) -> tuple[str, ...]:
    known = _CONTRACTIONS.get(word)
    if known is not None:
        return known
    head, _, tail = word.partition("'")
    if word.endswith("n't"):
        return (word[:-3], "not") if word != "n't" else ("not",)  # "ca n't" is how some corpora write it
    if tail in ("s", "re", "ve", "ll", "d", "m", ""):
        return (head,)
    if len(head) <= 2 or head in ("qu", "all", "dell", "nell", "sull", "dall", "jusqu", "lorsqu", "puisqu", "aujourd"):
        return (word.replace("'", ""),) if head == "aujourd" else (head, tail)
    return (word.replace("'", ""),)


_CACHE: OrderedDict[str, Reading] = OrderedDict()
_CACHE_SIZE = 2048
_CACHE_MAX_CHARS = 20_000
_LOCK = Lock()


def read(text: str) -> Reading:
    """Return the reading of `text`, from a small cache if it was read before. Thread-safe."""
    with _LOCK:
        found = _CACHE.get(text)
        if found is not None:
            _CACHE.move_to_end(text)
            return found
    reading = Reading(text)
    if len(text) <= _CACHE_MAX_CHARS:
        with _LOCK:
            _CACHE[text] = reading
            if len(_CACHE) > _CACHE_SIZE:
                _CACHE.popitem(last=False)
    return reading
