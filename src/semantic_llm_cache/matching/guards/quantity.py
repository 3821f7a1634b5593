"""The quantities of a prompt: numbers, spelled out or in digits, with what they measure."""

from __future__ import annotations

import re
from typing import NamedTuple

from .lexicon import in_order, words
from .lexicon.numerals import MULTIPLIERS, NUMBER_WORDS, ORDINAL_WORDS, UNITS
from .text import Reading
from .times import clocks

__all__ = ["CURRENCIES", "NUMERIC_WORDS", "Quantity", "may_hold_quantities", "quantities"]

_ENGLISH_NUMBERS = NUMBER_WORDS["en"]
_HAN = {"零": 0, "〇": 0, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9, "十": 10}
_HAN_ONE = {**_HAN, "一": 1}
_HAN_STEPS = {"百": 100, "千": 1000, "万": 10_000, "亿": 100_000_000, "億": 100_000_000}
_ORDINAL_ENDS = frozenset(("st", "nd", "rd", "th"))
_LIKE_FIVE = re.compile(
    r"\b(?:like|as if) i(?:'m| am| was| were) (?:a )?(?:five|5)\b|\beli5\b|\bto a (?:five|5)\b", re.IGNORECASE
)
_SHORT_STEPS = {"k": 1e3, "m": 1e6, "b": 1e9, "bn": 1e9, "mn": 1e6, "t": 1e12}
CURRENCIES = frozenset("$€£¥₹₽₩")
"""Signs of currencies, which stand before or after an amount."""
_PARTS = {"half": 0.5, "quarter": 0.25}
_NUMERALS = in_order("II III IV - VI VII VIII IX - XI XII XIII XIV XV XVI XVII XVIII XIX XX")
_ROMAN = {numeral: value for value, numeral in enumerate(_NUMERALS, 2) if numeral != "-"}


class Quantity(NamedTuple):
    """One number of a prompt.

    Attributes:
        key: the value to compare: (dimension or "", value in the dimension's base unit).
        shown: as written, for the reason.
        value: the bare number.
        unit: the unit's dimension, or "".
        listed: counts things to name ("the 8 facts"), which many leave out.
        weak: often left out without a change of meaning (a, one, two), so never decides alone.
    """

    key: tuple[str, float]
    shown: str
    value: float
    unit: str
    weak: bool
    listed: bool = False


NUMERIC_WORDS = frozenset(w for words in NUMBER_WORDS.values() for w in words) | frozenset(ORDINAL_WORDS) | {
    "hundred", "thousand", "million", "dozen", "half", "quarter", *(numeral.lower() for numeral in _ROMAN),
}  # fmt: skip
"""Words of all languages that stand for a number, in lower case."""

# No number in words begins with any other word; see `_read_word`.
_BEGIN_NUMBERS = NUMERIC_WORDS | words("a an million thousand") | _HAN_ONE.keys()


def _decimal(text: str, english: bool) -> float:
    """Read digits with separators: 1,000 and 1.5; and in other languages 1.000 and 1,5."""
    text = text.strip(".,")
    if "," in text and "." in text:
        decimal = max(text.rfind(","), text.rfind("."))
        text = text[:decimal].replace(",", "").replace(".", "") + "." + text[decimal + 1 :].replace(",", "")
    elif text.count(",") == 1:
        head, _, tail = text.partition(",")
        text = head + tail if len(tail) == 3 and head != "0" else f"{head}.{tail}"
    elif "," in text:
        text = text.replace(",", "")
    elif text.count(".") == 1 and not english:
        head, _, tail = text.partition(".")
        text = head + tail if len(tail) == 3 and head != "0" else text
    elif text.count(".") > 1:
        text = text.replace(".", "")
    try:
        return float(text)
    except ValueError:
        return float("nan")


def may_hold_quantities(reading: Reading) -> bool:
    """Return False if a prompt has no digits and no words for numbers, of any language."""
    return reading.has_number or reading.cjk or not NUMERIC_WORDS.isdisjoint(reading.vocabulary)


def quantities(reading: Reading) -> list[Quantity]:
    """Return the numbers of a prompt, with their units where one is named."""
    known: list[Quantity] | None = reading.facts.get("quantities")
    if known is None:
        known = reading.facts["quantities"] = _find(reading) if may_hold_quantities(reading) else []
    return known


def _read_digits(tokens: list[tuple[str, str, int]], at: int, text: str, english: bool) -> tuple[float, int, bool]:
    """Return the number in digits at a token, the position after it, and whether it is an ordinal."""
    _, piece, start = tokens[at]
    value, begin, at = _decimal(piece, english), at, at + 1
    if begin and tokens[begin - 1][1] == "-" and _starts_number(tokens, begin, text):
        value = -value
    if at < len(tokens) and tokens[at][0] == "word" and tokens[at][2] == start + len(piece):
        suffix = tokens[at][1].lower()
        if suffix in _ORDINAL_ENDS:
            return value, at + 1, True
        if suffix in _SHORT_STEPS and not (suffix == "m" and tokens[at][1] == "m"):
            return value * _SHORT_STEPS[suffix], at + 1, False
    return value, at, False


class _Word(NamedTuple):
    """A number in words: its value, or None, and the token after it."""

    value: float | None
    at: int
    weak: bool = False
    ordinal: bool = False


def _read_spelled(tokens: list[tuple[str, str, int]], at: int, words: dict[str, int]) -> _Word:
    begin, count = at, len(tokens)
    value, at = _spelled(tokens, at, words)
    weak = value in (0.0, 1.0, 2.0) and at == begin + 1
    if at + 1 < count and tokens[at][1] == "-" and tokens[at + 1][1].lower() in ORDINAL_WORDS:
        at += 1
    if at < count and tokens[at][1].lower() in ORDINAL_WORDS and value >= 20:
        return _Word(value + ORDINAL_WORDS[tokens[at][1].lower()], at + 1, weak, True)
    return _Word(value, at, weak)


def _read_ordinal(tokens: list[tuple[str, str, int]], at: int) -> _Word:
    low = tokens[at][1].lower()
    if low == "second" and not _is_ordinal_second(tokens, at):
        return _Word(None, at + 1)
    value = float(ORDINAL_WORDS[low])
    # "first" closing a question, or "at first", is an adverb.
    weak = value <= 1 and (not _word_follows(tokens, at) or (at > 0 and tokens[at - 1][1].lower() in ("at", "for")))
    return _Word(value, at + 1, weak, True)


def _read_part(tokens: list[tuple[str, str, int]], at: int) -> _Word:
    """Read "half", "a quarter" and the like, "half a dozen" among them."""
    count, weak = len(tokens), True
    value, at = _PARTS[tokens[at][1].lower()], at + 1
    dozen = at + (at < count and tokens[at][1].lower() == "a")
    if dozen < count and tokens[dozen][1].lower() == "dozen":
        value, at, weak = 12 * value, dozen + 1, False
    if at < count and tokens[at][1].lower() == "of":
        at += 1
    if at < count and tokens[at][1].lower() in ("a", "an") and _names_unit(tokens, at + 1):
        at += 1
    return _Word(value, at, weak)


def _read_word(reading: Reading, at: int, words: dict[str, int]) -> _Word:
    """Read the number that a word begins."""
    tokens, english = reading.tokens, reading.language == "en"
    piece = tokens[at][1]
    low = piece.lower()
    if low in words:
        return _read_spelled(tokens, at, words)
    if not english and low in _ENGLISH_NUMBERS and low not in ("six", "once", "dos"):
        return _read_spelled(tokens, at, _ENGLISH_NUMBERS)
    if english and low in ORDINAL_WORDS:
        return _read_ordinal(tokens, at)
    if reading.cjk and (piece in _HAN or (piece == "一" and _han_run(tokens, at))):
        return _Word(*_han(tokens, at), True)
    if english and low in _PARTS:
        return _read_part(tokens, at)
    if piece in _ROMAN:
        return _Word(float(_ROMAN[piece]), at + 1)
    if low == "hundred" or (low in ("million", "thousand", "dozen") and at):
        return _Word(MULTIPLIERS[low], at + 1, True)
    return _Word(None, at)


def _find(reading: Reading) -> list[Quantity]:
    tokens, text = reading.tokens, reading.text
    english = reading.language == "en"
    words = _ENGLISH_NUMBERS if english else NUMBER_WORDS.get(reading.language, _ENGLISH_NUMBERS)
    # Times of day are compared by rule "times"; "like I'm five" is a wish for simple words.
    spans = list(clocks(reading).spans)
    if "5" in text or "five" in reading.lower:
        spans += [m.span() for m in _LIKE_FIVE.finditer(text)]
    skipped = {place for first, end in spans for place in range(first, end)}
    found: list[Quantity] = []
    attached: set[int] = set()  # tokens that are units of a number
    at, count = 0, len(tokens)
    while at < count:
        kind, piece, start = tokens[at]
        value: float | None = None
        weak = ordinal = False
        begin = at
        if start in skipped or (kind != "num" and piece.lower() not in _BEGIN_NUMBERS):
            at += 1
            continue
        if kind == "num":
            value, at, ordinal = _read_digits(tokens, at, text, english)
        elif english and piece.lower() in ("a", "an") and _and_a_half(tokens, at):
            found.append(_hour_and_a_half(tokens, at, text))
            attached.add(at + 1)
            at += 5
            continue
        elif kind == "word":
            value, at, weak, ordinal = _read_word(reading, at, words)
        if value is None or value != value:
            at = max(at, begin + 1)
            continue
        while at < count and tokens[at][0] == "word" and tokens[at][1].lower() in MULTIPLIERS:
            follower = tokens[at][1].lower()
            if follower == "mil" and not english and MULTIPLIERS[follower] and value > 999:
                break
            value *= MULTIPLIERS[follower]
            at += 1
            weak = False
        unit, factor, used = _unit(tokens, begin, at, ordinal)
        if used is not None:
            attached.add(used)
            weak = False
            at = max(at, used + 1) if used >= at else at
        last = tokens[at - 1]
        shown = text[tokens[begin][2] : last[2] + len(last[1])].strip() if at > begin else piece
        if kind == "num" and begin and value < 0:
            shown = "-" + shown
        if used is not None and used < begin:
            shown = tokens[used][1] + shown
        listed = not unit and not ordinal and 2 <= value <= 20 and _lists(tokens, at)
        if kind == "num" and not begin and at < count and tokens[at][1] in ".)" and value < 100:
            continue  # the number of a list's item: "5. Is it true that ..."
        if value < 100 and begin and tokens[begin - 1][1] in "/'" and not unit:
            year = next((q.value for q in found if 1900 <= q.value < 2100), 2000.0)
            if begin > 1 and tokens[begin - 2][0] == "num" and year >= 1900:
                value += year - year % 100  # 2016/17
        found.append(Quantity((unit, round(value * factor, 9)), shown, value, unit, weak, listed))
    reading.facts["unit tokens"] = attached
    return found


def _starts_number(tokens: list[tuple[str, str, int]], at: int, text: str) -> bool:
    """Return whether the hyphen before token `at` is a sign: "-5", not "iPhone-5", "3-5" or "- 5"."""
    hyphen = tokens[at - 1][2]
    if hyphen + 1 != tokens[at][2] or (hyphen and text[hyphen - 1] not in " (=<>*/+,["):
        return False
    return at < 2 or tokens[at - 2][0] != "num" or text[hyphen - 1] != " "  # "1903 -1967" is a span


def _spelled(tokens: list[tuple[str, str, int]], at: int, words: dict[str, int]) -> tuple[float, int]:
    value = float(words[tokens[at][1].lower()])
    at += 1
    while at < len(tokens):
        low = tokens[at][1].lower()
        if low == "-" and at + 1 < len(tokens) and 20 <= value % 100 <= 90 and tokens[at + 1][1].lower() in words:
            at += 1
            continue
        if low in words and value % 100 >= 20 and value % 10 == 0 and 0 < words[low] < 10:
            value += words[low]
        elif low == "hundred" and 0 < value < 100:
            value *= 100
        elif low in ("and",) and value >= 100 and at + 1 < len(tokens) and tokens[at + 1][1].lower() in words:
            at += 1
            continue
        elif low in words and value >= 100 and value % 100 == 0 and words[low] < 100:
            value += words[low]
        else:
            break
        at += 1
    return value, at


def _names_unit(tokens: list[tuple[str, str, int]], at: int) -> bool:
    return at < len(tokens) and tokens[at][1].lower() in UNITS


def _and_a_half(tokens: list[tuple[str, str, int]], at: int) -> bool:
    tail = [piece.lower() for _, piece, _ in tokens[at + 2 : at + 5]]
    return tail == ["and", "a", "half"] and _names_unit(tokens, at + 1)


def _hour_and_a_half(tokens: list[tuple[str, str, int]], at: int, text: str) -> Quantity:
    dimension, factor = UNITS[tokens[at + 1][1].lower()]
    last = tokens[at + 4]
    shown = text[tokens[at][2] : last[2] + len(last[1])]
    return Quantity((dimension, round(1.5 * factor, 9)), shown, 1.5, dimension, False)


_LISTED = words(
    "facts tips ways things reasons examples steps ideas books movies films songs places habits mistakes "
    "rules lessons questions features benefits apps websites sites points types kinds methods tricks "
    "hacks foods exercises best most favorite favourite amazing good great main common"
)


def _lists(tokens: list[tuple[str, str, int]], at: int) -> bool:
    return any(piece.lower() in _LISTED for _, piece, _ in tokens[at : at + 2])


def _han_run(tokens: list[tuple[str, str, int]], at: int) -> bool:
    return at + 1 < len(tokens) and (tokens[at + 1][1] in _HAN_STEPS or tokens[at + 1][1] in _HAN)


def _han(tokens: list[tuple[str, str, int]], at: int) -> tuple[float, int]:
    total = section = digit = 0
    while at < len(tokens):
        char = tokens[at][1]
        if char == "十":
            section += (digit or 1) * 10
            digit = 0
        elif char in _HAN_ONE:
            digit = digit * 10 + _HAN_ONE[char]
        elif char in ("百", "千") and (digit or section):
            section += (digit or 1) * _HAN_STEPS[char]
            digit = 0
        elif char in _HAN_STEPS and (digit or section):
            total += (section + digit) * _HAN_STEPS[char]
            section = digit = 0
        else:
            break
        at += 1
    return float(total + section + digit), at


def _is_ordinal_second(tokens: list[tuple[str, str, int]], at: int) -> bool:
    before = tokens[at - 1][1].lower() if at else ""
    return before in ("the", "my", "your", "his", "her", "our", "their", "s", "every") and _word_follows(tokens, at)


def _word_follows(tokens: list[tuple[str, str, int]], at: int) -> bool:
    return at + 1 < len(tokens) and tokens[at + 1][0] == "word"


def _unit(tokens: list[tuple[str, str, int]], begin: int, at: int, ordinal: bool) -> tuple[str, float, int | None]:
    """Return (dimension, factor, index of the unit's token or None) for the number at begin..at."""
    if ordinal:
        return "", 1.0, None
    if begin and tokens[begin - 1][1] in CURRENCIES:
        dimension, factor = UNITS[tokens[begin - 1][1]]
        return dimension, factor, begin - 1
    if begin and tokens[begin - 1][1].lower() in ("rs", "usd", "eur", "gbp", "inr", "chf"):
        dimension, factor = UNITS[tokens[begin - 1][1].lower()]
        return dimension, factor, begin - 1
    if at < len(tokens):
        if tokens[at][1] == "-" and at + 1 < len(tokens) and tokens[at + 1][0] == "word":
            at += 1
        unit = tokens[at][1].lower()
        if unit == "per" and at + 1 < len(tokens) and tokens[at + 1][1].lower() == "cent":
            return "percent", 1.0, at + 1
        if unit == "°" and at + 1 < len(tokens) and tokens[at + 1][1].lower() in ("c", "f"):
            return ("celsius" if tokens[at + 1][1].lower() == "c" else "fahrenheit"), 1.0, at + 1
        if tokens[at][1] in ("C", "F"):
            return ("celsius" if tokens[at][1] == "C" else "fahrenheit"), 1.0, at
        if unit in UNITS and not (unit in ("in", "us", "an", "s", "d", "v") and tokens[at][0] == "word"):
            dimension, factor = UNITS[unit]
            return dimension, factor, at
        if unit in ("degrees", "degree") and at + 1 < len(tokens) and tokens[at + 1][1].lower() in UNITS:
            return UNITS[tokens[at + 1][1].lower()][0], 1.0, at + 1
    return "", 1.0, None
