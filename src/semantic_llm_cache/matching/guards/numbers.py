"""Rules "numbers", "versions" and "units": compare the quantities of two prompts."""

from __future__ import annotations

import re

from .base import Rule
from .lexicon import words
from .lexicon.numerals import LOOSE_UNITS, NUMBER_WORDS, UNITS
from .multiples import other_multiple
from .quantity import CURRENCIES, NUMERIC_WORDS, Quantity, quantities
from .text import Reading

__all__ = ["NUMBERS", "UNITS_RULE", "VERSIONS"]


def _compare_numbers(new: Reading, old: Reading) -> str | None:
    ours, theirs = quantities(new), quantities(old)
    if not ours and not theirs:
        return _other_number_word(new, old)
    only_new, only_old = _unmatched(ours, theirs), _unmatched(theirs, ours)
    if new.language != old.language:
        only_new, only_old = _not_said(only_new, old), _not_said(only_old, new)
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


def _not_said(quantities: list[Quantity], other: Reading) -> list[Quantity]:
    """Return the quantities in words that the other prompt does not hold as well, read in its language as no number.

    "Audi quattro price" is read as Italian, "the price of an Audi quattro" as English.
    """
    return [each for each in quantities if each.shown[:1].isdigit() or each.shown.lower() not in other.vocabulary]


def _other_number_word(new: Reading, old: Reading) -> str | None:
    """Find number words of one language where prompts differ that show no language: "once euros" and "dos euros"."""
    if len(new.words) != len(old.words) or new.language != "en" or old.language != "en":
        return None
    shown = ""
    languages = set(NUMBER_WORDS) - {"en"}
    for one, other in zip(new.words, old.words, strict=True):
        if one == other or _inflected(one, other):
            continue
        languages = {
            language
            for language in languages
            if NUMBER_WORDS[language].get(one, -1) != NUMBER_WORDS[language].get(other, -1) != -1
            and one in NUMBER_WORDS[language]
        }
        if not languages:
            return None
        shown = shown or f"number {one} != {other}"
    return shown or None


def _inflected(one: str, other: str) -> bool:
    most = max(len(one), len(other))
    return most > 4 and one[: most - 2] == other[: most - 2]


def _rounded(quantity: Quantity) -> tuple[str, str]:
    return quantity.key[0], f"{quantity.key[1]:.6g}"


def _without_numbers(reading: Reading) -> list[str]:
    words = (piece.lower() for kind, piece, _ in reading.tokens if kind == "word")
    return [word for word in words if word not in NUMERIC_WORDS]


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

_NOT_PRODUCTS = words(
    "is are was were be of to in at by from than about over under for with and or costs cost weighs "
    "equals equal times plus minus by around only between version s per only exactly nearly"
) - {"version"}


def _versions(reading: Reading) -> frozenset[str]:
    known: frozenset[str] | None = reading.facts.get("versions")
    if known is None:
        found = set()
        if reading.has_number:
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
        if LOOSE_UNITS.isdisjoint(reading.vocabulary) and CURRENCIES.isdisjoint(reading.text):
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


NUMBERS = Rule("numbers", _compare_amounts)
VERSIONS = Rule("versions", _compare_versions)
UNITS_RULE = Rule("units", _compare_units)
