"""Rule "coverage": no near match in a language that the other rules have no word lists for.

An embedding model that reads such a language a little finds a question and its negation alike (cosines of .9 to .99 in
the default model), and nothing else would tell them apart.
"""

from __future__ import annotations

import re

from .base import Rule
from .lexicon.more_languages import SCRIPTS, UNCOVERED
from .text import Reading

__all__ = ["COVERAGE"]

_IN_SCRIPT = re.compile("[" + "".join(f"{first}-{last}" for first, last, _ in SCRIPTS) + "]+")
_NOTHING: frozenset[str] = frozenset()


def _uncovered(reading: Reading) -> frozenset[str]:
    """Return the pieces of a prompt that are written in a script without word lists."""
    known: frozenset[str] | None = reading.facts.get("uncovered")
    if known is None:
        known = _NOTHING if reading.text.isascii() else frozenset(_IN_SCRIPT.findall(reading.text))
        reading.facts["uncovered"] = known
    return known


def _compare(new: Reading, old: Reading) -> str | None:
    if new.text == old.text:
        return None
    for reading in (new, old):
        if reading.language in UNCOVERED:
            return f"no guards for {UNCOVERED[reading.language]}"
    ours, theirs = _uncovered(new), _uncovered(old)
    if ours != theirs:
        return f"no guards for {_name(min(ours ^ theirs))}"
    return None


def _name(piece: str) -> str:
    return next(name for first, last, name in SCRIPTS if first <= piece[0] <= last)


def _concerns(reading: Reading) -> bool:
    return reading.language in UNCOVERED or bool(_uncovered(reading))


COVERAGE = Rule("coverage", _compare, _concerns)
