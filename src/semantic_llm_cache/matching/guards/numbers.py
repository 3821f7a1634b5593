"""Rules "numbers", "versions" and "units": quantities, spelled out or in digits, with what they measure."""

from __future__ import annotations

import re
from typing import NamedTuple

from .base import Rule
from .lexicon import in_order, words
from .lexicon.numerals import LOOSE_UNITS, MULTIPLIERS, NUMBER_WORDS, ORDINAL_WORDS, UNITS
from .multiples import may_multiply, other_multiple
from .text import Reading
from .times import clocks

__all__ = ["NUMBERS", "UNITS_RULE", "VERSIONS", "quantities"]

_ENGLISH_NUMBERS = NUMBER_WORDS["en"]
_HAN = {"零": 0, "〇": 0, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9, "十": 10}
_HAN_ONE = {**_HAN, "一": 1}
_HAN_STEPS = {"百": 100, "千": 1000, "万": 10_000, "亿": 100_000_000, "億": 100_000_000}
_ORDINAL_ENDS = frozenset(("st", "nd", "rd", "th"))
_LIKE_FIVE = re.compile(
    r"\b(?:like|as if) i(?:'m| am| was| were) (?:a )?(?:five|5)\b|\beli5\b|\bto a (?:five|5)\b", re.IGNORECASE
)
_SHORT_STEPS = {"k": 1e3, "m": 1e6, "b": 1e9, "bn": 1e9, "mn": 1e6, "t": 1e12}
_CURRENCIES = frozenset("$€£¥₹₽₩")
_NOT_PRODUCTS = words(
    "is are was were be of to in at by from than about over under for with and or costs cost weighs "
    "equals equal times plus minus by around only between version s per only exactly nearly"
) - {"version"}


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


_NUMERIC_WORDS = frozenset(w for words in NUMBER_WORDS.values() for w in words) | frozenset(ORDINAL_WORDS) | {
    "hundred", "thousand", "million", "dozen", "half", "quarter", *(numeral.lower() for numeral in _ROMAN),
}  # fmt: skip


# No number in words begins with any other word; see `_read_word`.
_BEGIN_NUMBERS = _NUMERIC_WORDS | words("a an million thousand") | _HAN_ONE.keys()


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


def quantities(reading: Reading) -> list[Quantity]:
    """Return the numbers of a prompt, with their units where one is named."""
    known: list[Quantity] | None = reading.facts.get("quantities")
    if known is None:
        if reading.has_number or reading.cjk or not _NUMERIC_WORDS.isdisjoint(reading.vocabulary):
            known = _find(reading)
        else:
            known = []
        reading.facts["quantities"] = known
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
    if begin and tokens[begin - 1][1] in _CURRENCIES:
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


def _compare_numbers(new: Reading, old: Reading) -> str | None:
    ours, theirs = quantities(new), quantities(old)
    if not ours and not theirs:
        return None
    only_new, only_old = _unmatched(ours, theirs), _unmatched(theirs, ours)
    if not (only_new and only_old):
        repeated = _compare_repeats(new, old, ours, theirs)
        if repeated is not None:
            return repeated
    if only_new and only_old:
        if all(q.weak for q in only_new) and all(q.weak for q in only_old) and not (new.cjk or old.cjk):
            # Two articles and pronouns ("one", "two", "first"): only a difference where they stand for each other.
            if len(new.words) != len(old.words):
                return None
        return f"number {only_new[0].shown} != {only_old[0].shown}"
    for side, other in ((only_new, old), (only_old, new)):
        for quantity in side:
            if quantity.weak or _said_otherwise(quantity, other):
                continue
            where = "not in the stored prompt" if side is only_new else "only in the stored prompt"
            return f"number {quantity.shown} {where}"
    return None


def _compare_repeats(new: Reading, old: Reading, ours: list[Quantity], theirs: list[Quantity]) -> str | None:
    """Find a difference between prompts with the same numbers: one repeated, or in other places of the same words."""
    one, other = [_rounded(q) for q in ours], [_rounded(q) for q in theirs]
    if len(one) != len(other) or one == other or any(q.weak for q in (*ours, *theirs)):
        return None
    if sorted(q.unit for q in ours) != sorted(q.unit for q in theirs):
        return None  # a unit left out
    at = next(i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
    if sorted(one) != sorted(other):
        return f"number {ours[at].shown} != {theirs[at].shown}"
    if _without_numbers(new) == _without_numbers(old):
        return f"number {ours[at].shown} where the stored prompt has {theirs[at].shown}"
    return None


def _rounded(quantity: Quantity) -> tuple[str, str]:
    return quantity.key[0], f"{quantity.key[1]:.6g}"


def _without_numbers(reading: Reading) -> list[str]:
    words = (piece.lower() for kind, piece, _ in reading.tokens if kind == "word")
    return [word for word in words if word not in _NUMERIC_WORDS]


def _said_otherwise(quantity: Quantity, other: Reading) -> bool:
    # "the top 10 films" and "the best films" are asked alike; so are "a" and "1".
    if quantity.value == 1:
        return not quantity.unit or any(UNITS.get(w, ("",))[0] == quantity.unit for w in other.words)
    if quantity.unit:
        return False
    if quantity.listed:
        return True
    return quantity.value in (3, 5, 10, 20) and not other.bag.isdisjoint(("top", "best"))


def _unmatched(ours: list[Quantity], theirs: list[Quantity]) -> list[Quantity]:
    keys = {q.key for q in theirs}
    left = []
    for mine in ours:
        if mine.key in keys:
            continue
        for other in theirs:
            if mine.value == other.value and (not mine.unit or not other.unit):
                break
            if mine.unit and mine.unit == other.unit:
                scale = max(abs(mine.key[1]), abs(other.key[1]))
                if abs(mine.key[1] - other.key[1]) <= 1e-6 * scale:
                    break
        else:
            left.append(mine)
    return left


# --- versions -----------------------------------------------------------------------------------------

_VERSION = re.compile(
    r"(?<![\w.])v(?:ersion|er\.?)?\s?\.?(\d+(?:\.\d+)*)\b|(?<![\w.,])(\d+(?:\.\d+){2,})(?![\w])"
    r"|(?<![\w.])([A-Za-z+#]+)[ -]?(\d+\.\d+)(?![\d.]*[%\d]|,\d)",
    re.IGNORECASE,
)
_MAY_BE_VERSION = re.compile(r"\d\.\d|v(?:ersion|er\.?)?\s?\.?\d", re.IGNORECASE)  # part of whatever that matches


def _versions(reading: Reading) -> frozenset[str]:
    known: frozenset[str] | None = reading.facts.get("versions")
    if known is None:
        found = set()
        if reading.has_number and _MAY_BE_VERSION.search(reading.text) is not None:
            for match in _VERSION.finditer(reading.text):
                version, dotted, product, decimal = match.groups()
                number = version or dotted
                if number is None:
                    if product.lower() in _NOT_PRODUCTS or product.lower() in UNITS:
                        continue
                    number = decimal
                while number.endswith(".0"):
                    number = number[:-2]
                found.add(number)
        known = reading.facts["versions"] = frozenset(found)
    return known


def _compare_versions(new: Reading, old: Reading) -> str | None:
    ours, theirs = _versions(new), _versions(old)
    if ours == theirs:
        return None
    only_new = sorted(v for v in ours - theirs if not _holds(old, v))
    only_old = sorted(v for v in theirs - ours if not _holds(new, v))
    if only_new and only_old:
        return f"version {only_new[0]} != {only_old[0]}"
    if only_new:
        return f"version {only_new[0]} not in the stored prompt"
    if only_old:
        return f"version {only_old[0]} only in the stored prompt"
    return None


def _holds(reading: Reading, number: str) -> bool:
    return any(kind == "num" and piece.rstrip(".,") in (number, number + ".0") for kind, piece, _ in reading.tokens)


# --- units without a number ---------------------------------------------------------------------------


def _loose_units(reading: Reading) -> dict[str, str]:
    """Return canonical unit -> as written, for units without a number."""
    known: dict[str, str] | None = reading.facts.get("units")
    if known is None:
        quantities(reading)
        attached = reading.facts.get("unit tokens", ())
        known = {}
        if LOOSE_UNITS.isdisjoint(reading.vocabulary) and _CURRENCIES.isdisjoint(reading.text):
            reading.facts["units"] = known
            return known
        for at, (_kind, piece, _) in enumerate(reading.tokens):
            low = piece.lower()
            if low in LOOSE_UNITS and at not in attached:
                dimension, factor = UNITS[low]
                known[f"{dimension} {factor}"] = low
        reading.facts["units"] = known
    return known


def _compare_units(new: Reading, old: Reading) -> str | None:
    ours, theirs = _loose_units(new), _loose_units(old)
    if not ours or not theirs or ours.keys() == theirs.keys():
        return None
    only_new = [ours[k] for k in ours.keys() - theirs.keys()]
    only_old = [theirs[k] for k in theirs.keys() - ours.keys()]
    if only_new and only_old and not _written(only_new, old) and not _written(only_old, new):
        return f"unit {min(only_new)} != {min(only_old)}"
    return None


def _written(units: list[str], reading: Reading) -> bool:
    return any(unit in reading.words for unit in units)


def _compare_amounts(new: Reading, old: Reading) -> str | None:
    return _compare_numbers(new, old) or other_multiple(new, old)


NUMBERS = Rule("numbers", _compare_amounts, lambda reading: quantities(reading) or may_multiply(reading))
VERSIONS = Rule("versions", _compare_versions, _versions)
UNITS_RULE = Rule("units", _compare_units, _loose_units)
