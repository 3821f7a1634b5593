"""Rule "names": the prompts name different places, languages, products or people."""

from __future__ import annotations

import re

from .base import Rule
from .lexicon import words
from .lexicon.languages import CONTENTLESS, FUNCTION_WORDS
from .lexicon.names import AMBIGUOUS, FAMILIES
from .lexicon.numerals import UNITS
from .lexicon.times import TIME_WORDS
from .text import Reading, stem

__all__ = ["NAMES"]

_NAME_TOKEN = re.compile(r"[^\W\d_]\w*(?:[-.&'][^\W_]+)*(?:\+\+|#)?")
_INDEX: dict[str, list[tuple[tuple[str, ...], str, str]]] = {}
_CJK_NAMES: dict[str, tuple[str, str]] = {}
for _family, _table in FAMILIES.items():
    for _words, _key in _table.items():
        if _words[0][0] >= "\u3040":
            _CJK_NAMES[_words[0]] = (_family, _key)
        else:
            _INDEX.setdefault(_words[0], []).append((_words, _family, _key))
for _entries in _INDEX.values():
    _entries.sort(key=lambda e: -len(e[0]))
_STARTS = frozenset(_INDEX) | {re.split(r"[^a-z]", word)[0] for word in _INDEX}
_CJK_PATTERN = re.compile("|".join(sorted(map(re.escape, _CJK_NAMES), key=len, reverse=True)))
# Of the ambiguous ones, those that are hardly ever the ordinary word when a prompt begins with them.
_START_OK = words(
    "apple amazon china turkey ford visa chrome windows safari gemini claude oracle washington lincoln "
    "virginia georgia phoenix austin orlando florence slack zoom jordan swift rust ruby excel"
)
_TITLES = words(
    "mr mrs ms dr pm prime minister president king queen sir saint st prof professor ceo god internet "
    "english i ok tv pc id hi ai it usa uk us pls please app phd gmt utc ii iii iv vs dr jr sr edit"
)


def _known(reading: Reading) -> dict[str, dict[str, str]]:
    """Return family -> {name as the lists have it: as written}."""
    known: dict[str, dict[str, str]] | None = reading.facts.get("names")
    if known is None:
        known = reading.facts["names"] = _find(reading)
    return known


def _find(reading: Reading) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    text = reading.text
    if reading.cjk:
        for name in _CJK_PATTERN.findall(text):
            family, key = _CJK_NAMES[name]
            found.setdefault(family, {})[key] = name
    # A name starts with a listed word, or is one that only looks so with its signs (C++, node.js, U.S.).
    if _STARTS.isdisjoint(reading.vocabulary) and "." not in text[:-1] and "-" not in text and "'" not in text:
        return found
    pieces = _NAME_TOKEN.findall(text)
    lows = [p.lower().rstrip(".") for p in pieces]
    lows = [w[:-2] if w.endswith("'s") else w for w in lows]
    at = 0
    while at < len(lows):
        entries = _INDEX.get(lows[at])
        step = 1
        if entries is not None:
            for words, family, key in entries:
                size = len(words)
                if size > 1 and tuple(lows[at : at + size]) != words:
                    continue
                if size == 1 and lows[at] in AMBIGUOUS and not _is_name(pieces, lows, at, family, reading):
                    continue
                found.setdefault(family, {})[key] = " ".join(pieces[at : at + size])
                step = max(step, size)
                if size > 1:
                    break
        at += step
    return found


def _is_name(pieces: list[str], lows: list[str], at: int, family: str, reading: Reading) -> bool:
    """Decide whether a word that is also an ordinary word is a name here."""
    piece = pieces[at]
    if lows[at] == "us":
        return piece == "US" and reading.capitals < len(pieces)
    if piece[0].isupper():
        return at > 0 or lows[at] in _START_OK
    # Nobody's capitals tell in a prompt without any; a place then shows by its preposition.
    return family == "place" and not reading.capitals and at > 0 and lows[at - 1] in ("in", "to", "from", "of")


def _compare(new: Reading, old: Reading) -> str | None:
    ours, theirs = _known(new), _known(old)
    if ours and theirs:
        for family, names in ours.items():
            others = theirs.get(family)
            if others is None or names.keys() == others.keys():
                continue
            only_new = sorted(k for k in names.keys() - others.keys() if not _written(names[k], old))
            only_old = sorted(k for k in others.keys() - names.keys() if not _written(others[k], new))
            if only_new and only_old:
                return f"{family} {names[only_new[0]]} != {others[only_old[0]]}"
    return _compare_capitals(new, old)


def _written(name: str, reading: Reading) -> bool:
    return name.isascii() and "".join(name.lower().split()) in reading.words


# --- names on no list, by their capitals --------------------------------------------------------------


def _groups(reading: Reading) -> list[list[str]]:
    """Return runs of capitalised words inside sentences; none if capitals mean nothing (titles, all capitals)."""
    known: list[list[str]] | None = reading.facts.get("groups")
    if known is None:
        known = reading.facts["groups"] = _find_groups(reading)
    return known


def _find_groups(reading: Reading) -> list[list[str]]:
    # German writes every noun with a capital.
    first = reading.tokens[0][1] if reading.tokens else ""
    if reading.capitals <= first[:1].isupper() or reading.language == "de" or reading.cjk:
        return []
    # Title case shows in the small words' neighbours: nearly every long word of it has a capital.
    lengthy = [piece[0].isupper() for kind, piece, _ in reading.tokens[1:] if kind == "word" and len(piece) > 3]
    if len(lengthy) > 3 and sum(lengthy) * 4 > len(lengthy) * 3:
        return []
    listed = {w for names in _known(reading).values() for name in names.values() for w in name.lower().split()}
    listed |= {w[:-2] for w in listed if w.endswith("'s")}
    groups: list[list[str]] = []
    fresh = True  # at the start of a sentence
    joined = False
    for kind, piece, _ in reading.tokens:
        if kind == "sym":
            fresh = fresh or piece in '.?!:"“(«„¿¡-*#'
            joined = False
            continue
        low = piece.lower()
        if low.endswith("'s"):
            low = low[:-2]
        capital = (
            kind == "word"
            and piece[0].isupper()
            and len(low) > 1
            and low not in _TITLES
            and low not in CONTENTLESS
            and low not in TIME_WORDS
            and low not in FUNCTION_WORDS["en"]
            and low not in UNITS
            and low not in listed
        )
        if capital and not fresh:
            if joined:
                groups[-1].append(low)
            else:
                groups.append([low])
            joined = True
        else:
            joined = False
        fresh = False
    return groups


def _compare_capitals(new: Reading, old: Reading) -> str | None:
    ours, theirs = _groups(new), _groups(old)
    if not ours or not theirs or ours == theirs:
        return None
    for group in ours:
        rest = _odd_half(group, theirs, old, new)
        if rest is not None:
            return f"name {' '.join(group)} != {' '.join(rest)}"
    only_new = [g for g in ours if not _known_there(g, old, theirs)]
    if not only_new:
        return None
    only_old = [g for g in theirs if not _known_there(g, new, ours)]
    if only_new and only_old:
        return f"name {' '.join(only_new[0])} != {' '.join(only_old[0])}"
    return None


def _odd_half(group: list[str], groups: list[list[str]], other: Reading, own: Reading) -> list[str] | None:
    """Find the name that shares one word with `group` and differs in the rest: Warren County, Peach County."""
    if len(group) < 2 or group in groups:
        return None
    for theirs in groups:
        if len(theirs) != len(group):
            continue
        pairs = [(a, b) for a, b in zip(group, theirs, strict=True) if a != b]
        if (
            0 < len(pairs) < len(group)
            and all(a not in other.words and b not in own.words and not _alike(a, b) for a, b in pairs)
            and all(stem(a) not in other.bag and stem(b) not in own.bag for a, b in pairs)
        ):
            return theirs
    return None


def _known_there(group: list[str], other: Reading, groups: list[list[str]]) -> bool:
    english = other.language == "en"
    if any(stem(w, english) in other.bag or w in other.words for w in group):
        return True
    joined = "".join(group)
    if joined in other.squashed:
        return True
    for theirs in groups:
        if any(_alike(a, b) for a in group for b in theirs) or _alike(joined, "".join(theirs)):
            return True
    initials = "".join(w[0] for w in other.words)
    if len(group) == 1 and 2 <= len(joined) <= 6 and joined in initials:
        return True
    # Their acronym of our words: IIT for Indian Institute of Technology.
    own = "".join(w[0] for w in group)
    return len(own) > 1 and any(len(t) == 1 and (t[0].startswith(own) or own.startswith(t[0])) for t in groups)


def _alike(a: str, b: str) -> bool:
    """Return whether two words may be spellings of one name: a few letters apart, or one the start of the other."""
    if a == b:
        return True
    short = min(len(a), len(b))
    if short >= 4 and a[: max(4, short * 2 // 3)] == b[: max(4, short * 2 // 3)]:
        return True
    if 2 <= short <= 4 and a[0] == b[0] and _within(min(a, b, key=len), max(a, b, key=len)):
        return True  # ps, playstation
    allowed = 2 if min(len(a), len(b)) >= 7 else 1 if min(len(a), len(b)) >= 5 else 0
    if not allowed or abs(len(a) - len(b)) > allowed or a[0] != b[0]:
        return False
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1] <= allowed


def _within(letters: str, word: str) -> bool:
    rest = iter(word)
    return all(c in rest for c in letters)


NAMES = Rule("names", _compare)
