"""What a value holds: its `__dict__`, its slots, and whether it holds more that Python cannot read."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Mapping
from typing import Any

__all__ = ["held_fields", "hides_state", "known_late", "own_slots", "own_state"]

_WORD = tuple.__itemsize__  # size of a pointer


def known_late(kind: type, late: Mapping[tuple[str, str], Any], known: dict[type, Any]) -> Any:
    """Return what `late` has for a type, by module and name, and enter it in `known`; None if it has nothing."""
    where = (kind.__module__, kind.__qualname__)
    found = late.get(where)
    if found is not None and getattr(sys.modules.get(where[0]), where[1], None) is kind:
        known[kind] = found
        return found
    return None


def held_fields(value: Any) -> dict[str, Any]:
    """Return what an instance holds in its `__dict__`, without the results of `cached_property`."""
    held: dict[str, Any] = getattr(value, "__dict__", {})
    kind: Any = type(value)
    derived = _cached_properties(kind)
    return {name: item for name, item in held.items() if name not in derived} if derived else dict(held)


@functools.lru_cache(maxsize=1024)
def _cached_properties(kind: Any) -> frozenset[str]:
    named = {name: item for base in reversed(kind.__mro__) for name, item in vars(base).items()}
    return frozenset(name for name, item in named.items() if type(item) is functools.cached_property)


@functools.lru_cache(maxsize=1024)
def own_slots(kind: Any, base: Any = object) -> tuple[tuple[str, Any], ...]:
    """Return name and descriptor of each slot that `kind` has beyond `base`.

    Names with two underscores at both ends are left out: pydantic keeps its own bookkeeping there.
    """
    return tuple((name, slot) for name, slot in _members(kind, base) if not (name[:2] == name[-2:] == "__"))


def _members(kind: Any, base: Any) -> list[tuple[str, Any]]:
    return [
        (name, item)
        for owner in kind.__mro__
        if owner not in base.__mro__
        for name, item in vars(owner).items()
        if type(item) is types.MemberDescriptorType
    ]


def own_state(value: Any, kind: Any, base: Any = object) -> dict[str, Any]:
    """Return what an instance holds beyond its `base`: its `__dict__` and its slots that are set."""
    state = held_fields(value)
    for name, slot in own_slots(kind, base):
        try:
            found = slot.__get__(value, kind)
        except AttributeError:
            continue  # a slot not set
        # Two classes may have a slot of one name, and each instance then has both.
        state[name if name not in state else f"{slot.__objclass__.__qualname__}.{name}"] = found
    return state


@functools.lru_cache(maxsize=1024)
def hides_state(kind: Any, base: Any = object) -> bool:
    """Return whether instances of `kind` hold more beyond `base` than a dict and slots: data of a C type."""
    size = kind.__basicsize__ - base.__basicsize__ - _WORD * len(_members(kind, base))
    if kind.__dictoffset__ and not base.__dictoffset__ and kind.__dictoffset__ != -1:  # -1: kept in front of the object
        size -= _WORD
    if kind.__weakrefoffset__ > 0 and not base.__weakrefoffset__:
        size -= _WORD
    return bool(size > 0 or (kind.__itemsize__ and not base.__itemsize__))
