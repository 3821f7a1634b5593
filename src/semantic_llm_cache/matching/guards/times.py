"""Rule "times": days, months, seasons, clock times, and words such as tomorrow and last week."""

from __future__ import annotations

import re
from typing import NamedTuple

from .base import Rule
from .lexicon import words
from .lexicon.times import CJK_TIME_WORDS, FOREIGN_ONLY, OPTIONAL_TIMES, TIME_PHRASES, TIME_WORDS
from .text import Reading

__all__ = ["TIMES", "Clocks", "clocks"]

_LONGEST: dict[str, int] = {}
for _phrase in TIME_PHRASES:
    _LONGEST[_phrase[0]] = max(_LONGEST.get(_phrase[0], 0), len(_phrase))
_STARTS = frozenset(_LONGEST) | frozenset(TIME_WORDS)
_CJK = re.compile("|".join(sorted(CJK_TIME_WORDS, key=len, reverse=True)))
_CLOCK = re.compile(
    r"(?<![\w:.])(?P<h12>1[0-2]|0?[1-9])(?:[:.](?P<m12>[0-5]\d))?\s?(?P<half>[ap])\.?m\b\.?"
    r"|(?<![\w:])(?P<h24>[01]?\d|2[0-3]):(?P<m24>[0-5]\d)(?![\w:])",
    re.IGNORECASE,
)
_MAY_BE_CLOCK = re.compile(r"\d(?::\d|\s?[ap]\.?m)", re.IGNORECASE)  # part of whatever `_CLOCK` matches


class Clocks(NamedTuple):
    """The clock times of a prompt, as HH:MM, and where in the text they stand."""

    times: frozenset[str]
    spans: tuple[tuple[int, int], ...]


_NO_CLOCKS = Clocks(frozenset(), ())


def clocks(reading: Reading) -> Clocks:
    """Return the clock times of a prompt."""
    known: Clocks | None = reading.facts.get("clocks")
    if known is None:
        known = _NO_CLOCKS
        if reading.has_number and _MAY_BE_CLOCK.search(reading.text) is not None:
            matches = list(_CLOCK.finditer(reading.text))
            known = Clocks(frozenset(map(_hour, matches)), tuple(match.span() for match in matches))
        reading.facts["clocks"] = known
    return known


def _hour(match: re.Match[str]) -> str:
    if match["h12"]:
        hour = int(match["h12"]) % 12 + (12 if match["half"] in "pP" else 0)
        return f"{hour:02}:{int(match['m12'] or 0):02}"
    return f"{int(match['h24']):02}:{int(match['m24']):02}"


def _times(reading: Reading) -> frozenset[str]:
    known: frozenset[str] | None = reading.facts.get("times")
    if known is None:
        known = reading.facts["times"] = _find(reading)
    return known


def _find(reading: Reading) -> frozenset[str]:
    found: set[str] = set()
    if reading.cjk:
        found.update(CJK_TIME_WORDS[m] for m in _CJK.findall(reading.text))
    words = reading.words
    foreign = FOREIGN_ONLY.get(reading.language, {})
    if foreign or not _STARTS.isdisjoint(words):
        at = 0
        while at < len(words):
            word = words[at]
            for size in range(min(_LONGEST.get(word, 0), len(words) - at), 1, -1):
                key = TIME_PHRASES.get(tuple(words[at : at + size]))
                if key is not None:
                    found.add(key)
                    at += size
                    break
            else:
                key = foreign.get(word) or TIME_WORDS.get(word)
                if key is not None:
                    found.add(key)
                at += 1
    if "May" in reading.text or "March" in reading.text:
        found.update(_capital_months(reading))
    return frozenset(found)


_MONTH_AFTER = words("in of by until since last next from to")
_IN_FUTURE = re.compile(r"\bin \w+ (?:day|week|month|year|hour|minute)s?\b")


def _capital_months(reading: Reading) -> set[str]:
    """Count May and March as months if a capital inside the sentence, a number or "in" indicates it."""
    found = set()
    tokens = reading.tokens
    for at, (_, piece, _) in enumerate(tokens):
        if piece in ("May", "March"):
            beside = (at and tokens[at - 1][0] == "num") or (at + 1 < len(tokens) and tokens[at + 1][0] == "num")
            if beside or (at and tokens[at - 1][1].lower() in _MONTH_AFTER):
                found.add(piece.lower())
    return found


def _compare(new: Reading, old: Reading) -> str | None:
    ours, theirs = _times(new), _times(old)
    if ours != theirs:
        only_new, only_old = ours - theirs, theirs - ours
        if only_new and only_old:
            return f"time {min(only_new)} != {min(only_old)}"
        for key in sorted(only_new - OPTIONAL_TIMES):
            if not key.startswith("this "):
                return f"time {key} not in the stored prompt"
        for key in sorted(only_old - OPTIONAL_TIMES):
            if not key.startswith("this "):
                return f"time {key} only in the stored prompt"
    zones_new, zones_old = _zones(new), _zones(old)
    if zones_new and zones_old and zones_new != zones_old:
        return f"time {min(zones_new - zones_old or zones_new)} != {min(zones_old - zones_new or zones_old)}"
    if new.has_number or old.has_number:
        clocks_new, clocks_old = clocks(new).times, clocks(old).times
        if clocks_new != clocks_old:
            a, b = clocks_new - clocks_old, clocks_old - clocks_new
            if a and b:
                return f"time {min(a)} != {min(b)}"
            if a:
                return f"time {min(a)} not in the stored prompt"
            return f"time {min(b)} only in the stored prompt"
        past_new, past_old = _side(new), _side(old)
        if past_new and past_old and past_new != past_old:
            return f"time {past_new} != {past_old}"
    return None


_ZONE = re.compile(
    r"\b(?:(?:UTC|GMT)(?:\s?[+-]\s?\d{1,2}(?::?\d\d)?)?|CES?T|[ECMP][SD]T|AK[SD]T|HST|BST|WES?T|EES?T|MSK|IST|JST|KST|SGT|HKT|"
    r"AE[SD]T|AC[SD]T|AWST|NZ[SD]T|SAST|AoE)\b|\blocal time\b"
)
_ZONE_NAME = re.compile(
    r"\b(?:(eastern|central|mountain|pacific) (standard|daylight)|(central|eastern|western) european( summer)?|"
    r"(british) summer|(greenwich) mean|(coordinated) universal) time\b",
    re.IGNORECASE,
)
# Whatever the two patterns match holds one of these.
_ZONE_WORDS = words(
    "time utc gmt cet cest est edt cst cdt mst mdt pst pdt akst akdt hst bst wet west eet eest msk ist jst kst sgt hkt "
    "aest aedt acst acdt awst nzst nzdt sast aoe"
)
_NAMED_ZONES = {"british": "BST", "greenwich": "UTC", "coordinated": "UTC"}


def _zones(reading: Reading) -> frozenset[str]:
    """Return the named time zones by their codes. UTC and GMT count as the same."""
    known: frozenset[str] | None = reading.facts.get("zones")
    if known is None:
        found = set()
        if reading.may_hold(_ZONE_WORDS):
            found = {re.sub(r"\s", "", zone).replace("GMT", "UTC") for zone in _ZONE.findall(reading.text)}
            for american, saving, european, summer, *others in _ZONE_NAME.findall(reading.text):
                if american:
                    found.add(american[0].upper() + saving[0].upper() + "T")
                elif european:
                    found.add(european[0].upper() + ("EST" if summer else "ET"))
                else:
                    found.add(_NAMED_ZONES[next(filter(None, others)).lower()])
        known = reading.facts["zones"] = frozenset(found)
    return known


def _side(reading: Reading) -> str:
    """Return "ago" or "from now" if a number of time units is given in that direction."""
    known: str | None = reading.facts.get("side")
    if known is None:
        known = ""
        if "ago" in reading.words:
            known = "ago"
        elif "from now" in reading.lower or _IN_FUTURE.search(reading.text):
            known = "from now"
        reading.facts["side"] = known
    return known


def _concerns(reading: Reading) -> bool:
    return reading.has_number or bool(_times(reading) or _zones(reading))


TIMES = Rule("times", _compare, _concerns)
