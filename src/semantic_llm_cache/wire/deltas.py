"""Putting together what a stream says in pieces, by rules for each field.

Some fields come in pieces, which are joined. Others are whole: many servers repeat them in each chunk. A rule gets
all values that a stream gave to one field, in their order and without null, and returns the whole. Where the values can
be read in two ways it raises `NotStored`: an answer that the provider never gave must not be stored.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from semantic_llm_cache.calls.refusals import NotStored, because, quoted

__all__ = [
    "Gathered",
    "Rule",
    "alone",
    "doubt",
    "encoded",
    "fragments",
    "json_pieces",
    "listed",
    "nested",
    "pieces",
    "repeated",
    "stable",
    "totals",
    "unknown",
]

Rule = Callable[[str, list[Any]], Any]
"""Takes the name of a field and its values, not empty; returns the whole value, or raises NotStored."""


def doubt(name: str, why: str) -> NotStored:
    """Return the error for a field that can be read in two ways."""
    return NotStored(because("ambiguous", f"{quoted(name)} {why}"))


def unknown(what: str) -> NotStored:
    """Return the error for something that may change the answer in a way that is not known."""
    return NotStored(because("unknown", what))


def _is_doubtful(parts: Sequence[str]) -> bool:
    """Return whether texts may be a whole that is repeated, or that grows, instead of pieces."""
    parts = [part for part in parts if part]
    if len(parts) < 2:
        return False
    if all(later.startswith(former) for former, later in pairwise(parts)):
        return True
    return len(parts[-1]) == sum(map(len, parts[:-1])) and parts[-1] == "".join(parts[:-1])


def _are_texts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _distinct(values: Iterable[Any]) -> list[Any]:
    """Return the values that are not empty, each once, in their order. Types count: 1 is not True."""
    found: list[Any] = []
    for value in values:
        if value not in ("", [], {}) and not any(type(value) is type(other) and value == other for other in found):
            found.append(value)
    return found


# ------------------------------------------------------------------------------------ rules


def pieces(name: str, values: list[Any]) -> Any:
    """Join the pieces of a text. A value that is no text may come once."""
    if not _are_texts(values):
        return alone(name, values)
    if _is_doubtful(values):
        raise doubt(name, "comes as equal or growing texts, which may be pieces or the whole each time")
    return "".join(values)


def json_pieces(name: str, values: list[Any]) -> Any:
    """Join the pieces of a JSON text. They must give JSON: repeats of a whole do not. One piece is taken as it is."""
    if not _are_texts(values):
        return alone(name, values)
    joined = "".join(values)
    if sum(1 for part in values if part) > 1 and not _is_json(joined):
        raise doubt(name, "comes in pieces that give no JSON together")
    return joined


def encoded(name: str, values: list[Any]) -> Any:
    """Join the pieces of a base64 text, each cut from the whole. Where each is coded alone, the whole is not known."""
    if _are_texts(values) and any(part.endswith("=") for part in [part for part in values if part][:-1]):
        raise doubt(name, "comes as texts in base64 that end one by one")
    return pieces(name, values)


def repeated(name: str, values: list[Any]) -> Any:
    """Return a value that is whole wherever it comes; all must be equal."""
    distinct = _distinct(values)
    if len(distinct) > 1:
        raise doubt(name, "has several values")
    return distinct[0] if distinct else values[0]


def fragments(name: str, values: list[Any]) -> Any:
    """Return a name: whole in each chunk, as most servers repeat it, or cut into unlike parts, as some do."""
    distinct = _distinct(values)
    if len(distinct) < 2:
        return distinct[0] if distinct else values[0]
    if not _are_texts(values) or len(distinct) < sum(1 for part in values if part) or _is_doubtful(values):
        raise doubt(name, "comes as several texts, which may be parts or the whole each time")
    return "".join(values)


def listed(name: str, values: list[Any]) -> Any:
    """Join lists of whole items. Items that come again may be repeats, or further ones."""
    if not all(isinstance(part, list) for part in values):
        return alone(name, values)
    full = [part for part in values if part]
    if len(full) < 2:
        return full[0] if full else values[0]
    joined = [item for part in full for item in part]
    if len(_distinct(joined)) < len(joined):
        raise doubt(name, "has items that come again")
    return joined


def alone(name: str, values: list[Any]) -> Any:
    """Return a value of a field that is not known: it comes once, or is a number or a flag that stays the same."""
    full = [value for value in values if value not in ("", [], {})]
    if len(full) < 2:
        return full[0] if full else values[0]
    if all(isinstance(value, (int, float)) for value in full) and len(_distinct(full)) == 1:
        return full[0]
    raise doubt(name, "is not a known field, and comes more than once")


def stable(name: str, values: list[Any]) -> Any:
    """Return a value of the whole answer: the same in all chunks, or a list or mapping to which later chunks add."""
    whole, *others = _distinct(values) or [values[0]]
    for value in others:
        grown = _grown(whole, value)
        if grown is None:
            raise doubt(name, "has several values")
        whole = grown
    return whole


def _grown(old: Any, new: Any) -> Any:
    if isinstance(old, list) and isinstance(new, list):
        return new if new[: len(old)] == old else None
    if isinstance(old, dict) and isinstance(new, dict):
        agree = all(new[field] == value for field, value in old.items() if field in new)
        return {**old, **new} if agree else None
    return None


def totals(old: Mapping[str, Any] | None, new: Mapping[str, Any], name: str = "usage") -> dict[str, Any]:
    """Return counts that come again: totals so far, which never fall. What is left out or null stays as it was.

    Raises:
        NotStored: a count falls, so one of the two is not a total.
    """
    if not old:
        return dict(new)
    found = dict(old)
    for field, value in new.items():
        former = found.get(field)
        if value is None:
            found.setdefault(field, None)
        elif isinstance(former, Mapping) and isinstance(value, Mapping):
            found[field] = totals(former, value, name)
        elif _is_number(former) and (not _is_number(value) or value < former):
            raise doubt(name, "comes twice, and falls")
        else:
            found[field] = value
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


# ------------------------------------------------------------------------------------ objects


class Gathered:
    """An object that comes in deltas.

    Args:
        rules: by field; the others follow `other`.
        other: the rule of the other fields.

    Example:
        >>> found = Gathered({"name": repeated, "arguments": pieces})
        >>> found.add({"name": "power", "arguments": "{"})
        >>> found.add({"name": "power", "arguments": "}"})
        >>> found.whole()
        {'name': 'power', 'arguments': '{}'}
    """

    def __init__(self, rules: Mapping[str, Rule], other: Rule = alone) -> None:
        self._rules = rules
        self._other = other
        self._values: dict[str, list[Any]] = {}

    def add(self, delta: Mapping[str, Any]) -> None:
        """Add what a delta says."""
        for name, value in delta.items():
            values = self._values.setdefault(name, [])
            if value is not None:
                values.append(value)

    def whole(self) -> dict[str, Any]:
        """Return the object. Raises NotStored."""
        return {
            name: self._rules.get(name, self._other)(name, values) if values else None
            for name, values in self._values.items()
        }


def nested(rules: Mapping[str, Rule]) -> Rule:
    """Return the rule of a field that is itself an object in deltas."""

    def rule(name: str, values: list[Any]) -> Any:
        found = Gathered(rules)
        for part in values:
            if not isinstance(part, Mapping):
                return alone(name, values)
            found.add(part)
        return found.whole()

    return rule
