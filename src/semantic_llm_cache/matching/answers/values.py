"""The values in an answer: quantities in base units, dates, times of day, ratios and versions, with their precision."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from semantic_llm_cache.matching.answers.spelled import reading_of
from semantic_llm_cache.matching.guards.lexicon.numerals import NUMBER_WORDS, ORDINAL_WORDS, UNITS
from semantic_llm_cache.matching.guards.quantity import quantities

__all__ = ["Value", "agree", "facing", "values", "without_values"]

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan januar janvier enero gennaio janeiro",
            "february feb februar février febrero febbraio fevereiro",
            "march mar märz mars marzo março",
            "april apr avril abril aprile",
            "may mai mayo maggio maio",
            "june jun juni juin junio giugno junho",
            "july jul juli juillet julio luglio julho",
            "august aug août agosto",
            "september sep sept septembre septiembre settembre setembro",
            "october oct oktober okt octobre octubre ottobre outubro",
            "november nov novembre noviembre novembro",
            "december dec dezember dez décembre diciembre dicembre dezembro",
        ),
        1,
    )
    for name in names.split()
}
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_DAY = r"(\d{1,2})(?:st|nd|rd|th|\.)?"
_YEAR = r"(\d{4})"
_DATES = (
    re.compile(rf"\b{_YEAR}-(\d{{2}})-(\d{{2}})\b"),
    re.compile(rf"\b({_MONTH})\b\.?,? (?:the )?{_DAY}(?:,? {_YEAR})?(?![\d%])", re.IGNORECASE),
    re.compile(rf"\b{_DAY} (?:of |de )?({_MONTH})\b\.?(?:,? (?:of |de )?{_YEAR})?", re.IGNORECASE),
    re.compile(rf"\b({_MONTH})\b\.?,? (?:of |de )?{_YEAR}\b", re.IGNORECASE),
    re.compile(r"\b(\d{1,2})[/.](\d{1,2})(?:[/.](\d{4}))?\b(?!\s*(?:cup|teaspoon|tablespoon|of|inch|mile|hour))"),
)
_ERA = re.compile(r"\b(\d{1,4}) ?(bce?|b\.c\.(?:e\.)?|ad|ce|a\.d\.)(?!\w)", re.IGNORECASE)
_BARE_YEAR = re.compile(
    r"(?<![\d.,$€£:/-])\b(1[0-9]{3}|20[0-9]{2}|21[0-9]{2})\b(?![.,]?\d|\s*(?:%|°|[a-z]?m\b|kg|g\b|km|miles|metres|"
    r"meters|feet|"
    r"people|dollars|euros|mg|kcal|calories|words|years|bytes|mb|gb|steps|employees|users|hours|days|minutes|times|"
    r"points))",
    re.IGNORECASE,
)
_CLOCK = re.compile(
    r"\b(\d{1,2})(?:[:.h](\d{2}))?\s*(a\.?m\.?|p\.?m\.?|o'clock)(?!\w)(?:\s+in the (morning|afternoon|evening))?|"
    r"\b(\d{1,2}):(\d{2})(?::\d{2})?(?:\s*(?:uhr|hours?))?\b(?:\s+(?:in the |at )(morning|afternoon|evening|night))?",
    re.IGNORECASE,
)
_NAMED_TIMES = {"noon": 720, "midday": 720, "midnight": 0}
_RATIO = re.compile(
    r"(?<![\d:])\b(\d+(?:\.\d+)?)\s?:\s?(\d+(?:\.\d+)?)\b(?![\d:])|\b(\d+)[-–](\d+)\b(?=[^%]{0,3}(?:for|in favou?r|"
    r"win|score)\b)"
)
_VERSION = re.compile(
    r"\b(?:version|release|v|python|java|node|django|php|ruby|go|ios|android|ubuntu|"
    r"windows)[ -]?(\d{1,9}(?:\.\d{1,9}){0,5})\b",
    re.IGNORECASE,
)
_FRACTION = re.compile(r"(?<![\d/.])(-?\d{1,12})\s?/\s?(\d{1,12})(?![\d/.])")
_POWER = re.compile(
    r"(\d+(?:\.\d+)?)\s?(?:\*\*|\^)\s?(-?\d+)\b|(\d+(?:\.\d+)?)\s?(?:e|x ?10\^|× ?10\^|\* ?10\^)([+-]?\d{1,3})\b",
    re.IGNORECASE,
)
_DEGREES = re.compile(
    r"\s*(?:degrees?|°)\s*(celsius|centigrade|fahrenheit|c\b|f\b)|(?<=\d)\s?(celsius|fahrenheit)\b", re.IGNORECASE
)
_SQUARE = re.compile(
    r"(\d[\d.,]{0,24}|\b[a-z]+)\s*(?:(square|sq\.?|cubic) (kilomet(?:er|re)s?|km|met(?:er|re)s?|m|centimet(?:er|"
    r"re)s?|cm|"
    r"feet|foot|ft|miles?|inch(?:es)?)"
    r"|(km|m|cm|ft|mi|in)(\^?[23]))(?!\w)",
    re.IGNORECASE,
)  # fmt: skip
_IN_METRES = {"k": 1000.0, "m": 1.0, "c": 0.01, "f": 0.3048, "mi": 1609.344, "i": 0.0254}
_COMPOUND = re.compile(
    r"\b(\d+) ?(?:hours?|hrs?|h) (?:and )?(\d+) ?(?:minutes?|mins?|m)\b|\b(\d+) ?(?:feet|foot|ft) (?:and "
    r")?(\d+) ?(?:inches|inch|in)\b",
    re.IGNORECASE,
)
_RANGE = re.compile(
    r"\b(\d[\d.,]{0,24}|two|three|four|five|six|seven|eight|nine|ten)\s?(?:-|–|to)\s?(?=(\d[\d.,]{0,24}|two|three|"
    r"four|five|"
    r"six|seven|eight|nine|ten|twelve)\b)",
    re.IGNORECASE,
)
_ABOUT = re.compile(
    r"(?:\babout|\baround|\broughly|\bapprox(?:imately|\.)?|\bnearly|\balmost|\bsome|\bca\.?|\bcirca|~|≈|\bover|"
    r"\bmore than|\bjust (?:over|under)|"
    r"\bungefähr|\betwa|\benviron|\bunos|\bcirca)\s*(?:the\s+)?[$€£]?\s*$",
    re.IGNORECASE,
)
_NUMBER_WORD = "|".join(sorted(NUMBER_WORDS["en"], key=len, reverse=True))
_UNIT = "|".join(sorted((re.escape(unit) for unit in UNITS), key=len, reverse=True))
_AMOUNT = re.compile(
    rf"(?<![\w.])[-+$€£]?(?:\d[\d.,]{{0,24}}|(?:{_NUMBER_WORD})\b(?=[ -]))(?:st|nd|rd|th)?(?:\s(?:thousand|million|"
    rf"billion|"
    rf"trillion))?"
    rf"(?:[ -]?(?:°\s?[CF]|{_UNIT})(?:/s|/h)?[23²³]?)?(?!\w)|°\s?[CF]\b",
    re.IGNORECASE,
)
_CENTURY = re.compile(
    rf"\b(\d{{1,2}})(?:st|nd|rd|th)[ -](?:century|siècle|jahrhundert)|\b({'|'.join(ORDINAL_WORDS)})[ -]century",
    re.IGNORECASE,
)
_DECADE = re.compile(r"\b(\d{3,4})'?s\b")
_PER_YEAR = {
    "second": 31_536_000, "minute": 525_600, "hour": 8760, "day": 365, "night": 365, "week": 365 / 7,
    "fortnight": 365 / 14, "month": 12, "quarter": 4, "year": 1,
    "hourly": 8760, "daily": 365, "nightly": 365, "weekly": 365 / 7, "monthly": 12, "quarterly": 4, "yearly": 1,
    "annually": 1,
}  # fmt: skip
_PERIOD = "second|minute|hour|day|night|week|fortnight|month|quarter|year"
_REGULARLY = "hourly|daily|nightly|weekly|monthly|quarterly|yearly|annually"
_TIMES = rf"(?:(once|twice|thrice)|(\d{{1,4}}|{_NUMBER_WORD}) times?)"
_OFTEN = re.compile(
    rf"\b(?:{_TIMES} (?:(?:a|an|per|each|every) ({_PERIOD})|({_REGULARLY}))"
    rf"|(?:every|each) (?:(other|second|\d{{1,4}}|{_NUMBER_WORD}) )?({_PERIOD})s?"
    rf"|({_REGULARLY})(?=\W*$))\b",
    re.IGNORECASE,
)
_ENOUGH = re.compile(rf"\b(?:\d+|{_NUMBER_WORD}) [^\W\d_]+ $", re.IGNORECASE)  # "two tablets daily"
_NAME = re.compile(r"\b[^\W\d_]+-?\d[\w.]*")  # CO2, B12, COVID-19: the number is part of a name
_MOST_TEXT = 8000  # characters that are read for values, and
_MOST = 120  # values that are kept: what is more than that is a table
_CLOSE = 0.025  # rounding may move a number by this share at most: "12 million" is no rounding of "12.4 million"


class Value(NamedTuple):
    """One value of an answer.

    Attributes:
        kind: "number", "date", "time", "ratio", "version", "century", "decade" or "frequency".
        unit: for a number, the dimension whose base unit it is in; "" for a bare number.
        number: for a number, a time of day (in minutes), or a frequency (times a year).
        parts: for a date (year, month, day), 0 where not given; for a ratio or a version its numbers.
        digits: significant digits of a number, trailing zeros of whole numbers not counted.
        bare: the number as written, without its unit.
        about: written as approximate.
        shown: as written.
        weak: a word such as "one" or "first", which is often no count.
    """

    kind: str
    unit: str
    number: float
    parts: tuple[float, ...]
    digits: int
    bare: float
    about: bool
    shown: str
    weak: bool = False


@lru_cache(maxsize=4096)
def values(text: str) -> tuple[Value, ...]:
    """Return the values in a plain text, in no order.

    Example:
        >>> [v.number for v in values("It is 1.5 km away.")]
        [1500.0]
    """
    found: list[Value] = []
    rest = _take(text[:_MOST_TEXT].rstrip(" .\n"), found)
    rest = _NAME.sub(" ", rest)
    rest = _DEGREES.sub(lambda m: " °" + (m[1] or m[2])[0].upper(), rest)
    rest = _RANGE.sub(lambda m: f"{m[1]} {_unit_after(rest, m.end(2))} to ", rest)
    for quantity in quantities(reading_of(rest)):
        at = rest.find(quantity.shown)
        about = at >= 0 and _ABOUT.search(rest[:at]) is not None
        unit, number = quantity.key
        if unit == "fahrenheit":
            unit, number = "celsius", (number - 32) / 1.8
        found.append(
            Value(
                "number",
                unit,
                number,
                (),
                _digits(quantity.shown),
                quantity.value,
                about,
                quantity.shown,
                quantity.weak,
            )
        )
    return tuple(found[:_MOST])


def without_values(text: str) -> str:
    """Return a plain text without its values and their units, for reading the words that are left.

    Example:
        >>> without_values("It weighs 5 kg or so.")
        'It weighs  ;  or so.'
    """
    return _AMOUNT.sub(" ; ", _DEGREES.sub(" ", _take(text, [])))


def _unit_after(text: str, at: int) -> str:
    """Return the unit that a range such as "2 to 3 weeks" gives both of its ends."""
    match = re.match(r"\s*(%|°\s?[CF]\b|[^\W\d_]+)", text[at:])
    return match[1] if match else ""


def _take(text: str, found: list[Value]) -> str:
    """Append the values that are more than a number with a unit; return the text without them."""

    def took(kind: str, parts: tuple[float, ...], match: re.Match[str], number: float = 0.0, unit: str = "") -> str:
        found.append(Value(kind, unit, number, parts, _digits(match[0]), number, False, match[0].strip()))
        return " ; "

    text = _OFTEN.sub(lambda m: took("frequency", (), m, often) if (often := _times_a_year(m)) else m[0], text)
    text = _CENTURY.sub(lambda m: took("century", (float(m[1] or ORDINAL_WORDS[m[2].lower()]),), m), text)
    text = _DECADE.sub(lambda m: took("decade", (float(m[1]),), m), text)
    text = re.sub(_COMPOUND, lambda m: took("number", (), m, *_compound(m)), text)
    for pattern in _DATES:
        text = pattern.sub(lambda m: took("date", parts, m) if (parts := _date(m)) else m[0], text)
    text = _ERA.sub(lambda m: took("date", ((-1 if m[2].lower()[0] == "b" else 1) * float(m[1]), 0, 0), m), text)
    text = _VERSION.sub(lambda m: took("version", tuple(map(float, m[1].split("."))), m), text)
    text = _CLOCK.sub(lambda m: took("time", (), m, minutes) if (minutes := _clock(m)) is not None else m[0], text)
    text = _RATIO.sub(lambda m: took("ratio", tuple(float(x) for x in m.groups() if x), m), text)
    text = _POWER.sub(lambda m: took("number", (), m, _power(m)), text)
    text = _FRACTION.sub(lambda m: took("number", (), m, float(m[1]) / float(m[2])) if float(m[2]) else m[0], text)
    text = _SQUARE.sub(lambda m: took("number", (), m, *area) if (area := _area(m)) else m[0], text)
    text = _BARE_YEAR.sub(lambda m: took("date", (float(m[1]), 0, 0), m), text)
    for name, minutes in _NAMED_TIMES.items():
        text = re.sub(rf"\b{name}\b", lambda m, at=minutes: took("time", (), m, at), text, flags=re.IGNORECASE)  # type: ignore[misc]
    return text


def _date(match: re.Match[str]) -> tuple[float, float, float] | None:
    groups = [g for g in match.groups() if g is not None]
    month = next((_MONTHS[g.lower()] for g in groups if g.lower() in _MONTHS), 0)
    numbers = [int(g) for g in groups if g.isdigit()]
    year = next((n for n in numbers if n > 999), 0)
    small = [n for n in numbers if n < 1000]
    if not month:
        if len(small) < 2:
            return None
        if "." in match[0] and not year:
            return None  # 3.10 is a number
        first, second = small[:2]
        if "-" in match[0] or first <= 12:
            month, day = first, second
        else:
            month, day = second, first
        if "." in match[0]:
            month, day = second, first
        if not 1 <= month <= 12 or not 1 <= day <= 31 or ("/" in match[0] and not year and (day < 13 or second < 13)):
            return None  # 3/2 is a fraction
        return float(year), float(month), float(day)
    day = small[0] if small else 0
    return (float(year), float(month), float(day)) if 0 <= day <= 31 else None


def _times_a_year(match: re.Match[str]) -> float:
    """Return how often "twice a month" or "every two weeks" is; 0 if it does not say that."""
    word, times, period, adverb, between, interval, alone = (group and group.lower() for group in match.groups())
    if alone and _ENOUGH.search(match.string[: match.start()]):
        return 0.0
    count = {"once": 1.0, "twice": 2.0, "thrice": 3.0}.get(word or "") or (_count(times) if times else 1.0)
    gap = 2.0 if between in ("other", "second") else _count(between) if between else 1.0
    return count * _PER_YEAR[str(period or adverb or interval or alone)] / gap if gap else 0.0


def _count(word: str) -> float:
    return float(word) if word.isdigit() else float(NUMBER_WORDS["en"][word])


def _clock(match: re.Match[str]) -> float | None:
    hour, minute = int(match[1] or match[5]), int(match[2] or match[6] or 0)
    half = (match[3] or "").replace(".", "").lower()
    part = (match[4] or match[7] or "").lower()
    if hour > 24 or minute > 59:
        return None
    if half == "pm" or part in ("afternoon", "evening"):
        hour = hour % 12 + 12
    elif half == "am" or part == "morning":
        hour = hour % 12
    return float(60 * hour + minute)


def _power(match: re.Match[str]) -> float:
    try:
        return float(match[1]) ** int(match[2]) if match[1] else float(match[3]) * 10.0 ** int(match[4])
    except (OverflowError, ZeroDivisionError):
        return math.inf


def _compound(match: re.Match[str]) -> tuple[float, str]:
    if match[1]:
        return 3600.0 * int(match[1]) + 60.0 * int(match[2]), "time"
    return 0.3048 * int(match[3]) + 0.0254 * int(match[4]), "length"


def _area(match: re.Match[str]) -> tuple[float, str] | None:
    written = list(quantities(reading_of(match[1])))
    if len(written) != 1:
        return None
    name = (match[3] or match[4]).lower()
    metres = _IN_METRES["mi" if name.startswith("mi") else name[0]]
    power = 3 if (match[2] or "").lower() == "cubic" or (match[5] or "").endswith("3") else 2
    return written[0].value * metres**power, "area" if power == 2 else "volume"


def _digits(shown: str) -> int:
    written = re.search(r"\d[\d,]{0,24}(?:\.\d+)?", shown)
    if written is None:
        return 3
    number = written[0].replace(",", "")
    return max(1, len((number.replace(".", "") if "." in number else number.rstrip("0")).lstrip("0")))


def facing(ours: Iterable[Value], theirs: Iterable[Value]) -> tuple[Value, Value] | None:
    """Return two values of one kind and unit, each of which the other side lacks; None for none.

    Example:
        >>> [value.number for value in facing(values("two cats"), values("eight cats"))]
        [2.0, 8.0]
    """
    ours, theirs = tuple(ours), tuple(theirs)
    lone = [v for v in ours if not any(agree(v, w) for w in theirs)]
    rest = [w for w in theirs if not any(agree(w, v) for v in ours)]
    return next(((v, w) for v in lone for w in rest if (v.kind, v.unit) == (w.kind, w.unit)), None)


def agree(a: Value, b: Value) -> bool:
    """Return whether two values may be the same one: equal, one a rounding of the other, or one less exact.

    Example:
        >>> agree(values("8,849 m")[0], values("about 8.85 km")[0])
        True
    """
    if a.kind != b.kind:
        bare, date = (a, b) if b.kind == "date" else (b, a)  # 1024 reads like a year
        return bare.kind == "number" and not bare.unit and date.parts == (bare.number, 0, 0)
    if a.kind == "date":
        shared = [(x, y) for x, y in zip(a.parts, b.parts, strict=True) if x and y]
        return bool(shared) and all(x == y for x, y in shared)
    if a.kind in ("ratio", "version", "century", "decade"):
        return a.parts == b.parts
    if a.kind == "frequency":  # a month is 28 to 31 days
        return abs(a.number - b.number) <= 0.05 * max(a.number, b.number)
    if a.kind == "time":
        return a.number % 1440 == b.number % 1440
    if a.unit != b.unit and a.unit and b.unit:
        return False
    if a.unit != b.unit:
        return a.bare == b.bare  # "8" where the other says "8 bits"
    return _rounds(a, b)


def _rounds(a: Value, b: Value) -> bool:
    x, y = a.number, b.number
    if x == y:
        return True
    largest = max(abs(x), abs(y))
    if not math.isfinite(largest) or x * y < 0:
        return False
    gap = abs(x - y) / largest
    if gap < 1e-9:
        return True
    if gap > _CLOSE:
        return False
    if a.about or b.about:
        return True
    if a.unit.isupper():  # money is exact unless it says otherwise
        return False
    fewer = min(a.digits, b.digits)
    if a.digits == b.digits and a.unit == b.unit and a.shown[-3:] == b.shown[-3:]:
        return False  # written alike, so not a rounding of one another
    exact = max(a, b, key=lambda v: v.digits)
    other = b if exact is a else a
    if other.digits < 2 and largest < 1000 and "." not in other.shown:
        return False
    scale = 10.0 ** (fewer - 1 - math.floor(math.log10(largest)))
    return abs(round(exact.number * scale) - other.number * scale) < 0.6 or (a.unit == b.unit != "" and gap < 0.005)
