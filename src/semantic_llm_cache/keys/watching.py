"""Check whether an object and all it holds are unchanged, without writing the form again.

While the form of an object is written, a `Watch` records for each thing inside how to reach it and what it
held: the identity of plain values, which the watch keeps alive, and the type of everything else. As long as all
of that is the same, so is the form. Something that cannot be watched makes the watch useless, never wrong.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

from semantic_llm_cache.keys.certificates import is_context
from semantic_llm_cache.keys.functions import children_of
from semantic_llm_cache.keys.known_types import AS_TEXT, NEUTRAL_TYPES, SENTINELS
from semantic_llm_cache.values.introspection import defines, hides_state, own_slots, where

__all__ = ["Watch"]

Read = Callable[[Any], tuple[Any, ...]]


def _nothing(value: Any) -> tuple[Any, ...]:
    return ()


def _of_dict(value: Any) -> tuple[Any, ...]:
    return (*dict.__iter__(value), *dict.values(value))


def _of_default_dict(value: Any) -> tuple[Any, ...]:
    return (value.default_factory, *_of_dict(value))


def _of_list(value: Any) -> tuple[Any, ...]:
    return (*list.__iter__(value),)


def _of_deque(value: Any) -> tuple[Any, ...]:
    return (value.maxlen, *deque.__iter__(value))


def _of_fields(value: Any) -> tuple[Any, ...]:
    held = value.__dict__
    return (*held, *held.values())


def _of_function(value: Any) -> tuple[Any, ...]:
    return (value.__code__, *(child for _, child in children_of(value)))


def _of_method(value: Any) -> tuple[Any, ...]:
    return (value.__func__, value.__self__)


_READS: dict[type, Read] = {
    dict: _of_dict,
    OrderedDict: _of_dict,
    defaultdict: _of_default_dict,
    list: _of_list,
    tuple: tuple,
    set: tuple,
    frozenset: tuple,
    deque: _of_deque,
    types.FunctionType: _of_function,
    types.MethodType: _of_method,
}
_UNCHANGING = frozenset({
    type(None), bool, int, float, str, bytes, complex, range, dt.date, dt.datetime, dt.time, dt.timedelta, dt.timezone,
    re.Pattern, types.CodeType, types.ModuleType, types.BuiltinFunctionType,
})  # fmt: skip
"""Kept alive by the watch: as long as it is the same object, it is the same value."""


_NO_STEP = -1


def _is_unchanging(value: Any, kind: Any) -> bool:
    return _is_of_unchanging(kind) or (kind is tuple and all(_is_unchanging(item, type(item)) for item in value))


@functools.lru_cache(maxsize=1024)
def _is_of_unchanging(kind: Any) -> bool:
    return (
        kind in _UNCHANGING
        or issubclass(kind, type)
        or where(kind) in AS_TEXT
        or where(kind) in SENTINELS
        or is_context(kind)
    )


@functools.lru_cache(maxsize=1024)
def _read_of(kind: Any) -> Read | None:
    """Return a function that reads all that an instance holds, or None if a tuple cannot hold it."""
    if kind in _READS:
        return _READS[kind]
    if _is_of_unchanging(kind) or where(kind) in NEUTRAL_TYPES:
        return _nothing
    content: Any = next((base for base in kind.__mro__[1:-1] if base in (dict, OrderedDict, list)), object)
    if hides_state(kind, content) or (defines(kind, "model_dump") and hasattr(kind, "model_fields")):
        return None
    slots = [slot.__get__ for _, slot in own_slots(kind, content)]
    parts: list[Read] = [lambda value: (*(get(value) for get in slots),)] if slots else []
    if kind.__dictoffset__:
        parts.append(_of_fields)
    if content is not object:
        parts.append(_READS[content])
    if len(parts) == 1:
        return parts[0]
    return lambda value: tuple(item for part in parts for item in part(value))


class Watch:
    """What was read of one object while its form was written."""

    def __init__(self, root: Any, kind: Any) -> None:
        self.useless = False
        self._steps: list[tuple[int, int, type, Read, tuple[int, ...]]] = []
        self._also: list[tuple[Callable[[], Any], Any]] = []
        self._kept: list[Any] = []
        # For each value entered: the number of the step that reads it again, and what it held.
        self._nodes: list[tuple[int, tuple[Any, ...]]] = [(0, (root,))]
        self._at = 0
        self.enter(root, kind)

    def enter(self, value: Any, kind: type) -> int:
        """Record that `value` is read now; return the argument for `leave`."""
        before = self._at
        if self.useless:
            return before
        holder, held = self._nodes[before]
        place = next((i for i, item in enumerate(held) if item is value), None)
        read = _read_of(kind)
        if read is None or place is None:
            self.useless = True
            return before
        try:
            raw = read(value)
        except (AttributeError, RuntimeError):
            self.useless = True
            return before
        self._at = len(self._nodes)
        if _is_unchanging(value, kind):
            self._kept.append(value)
            self._nodes.append((_NO_STEP, raw))
            return before
        self._kept += [item for item in raw if _is_unchanging(item, type(item))]
        self._steps.append((holder, place, kind, read, tuple(map(id, raw))))
        self._nodes.append((len(self._steps), raw))
        return before

    def need(self, values: Iterable[Any]) -> None:
        """Record that what is written of the value entered last must be part of what was read of it."""
        if not self.useless:
            raw = {id(item) for item in self._nodes[self._at][1]}
            self.useless = not all(id(value) in raw for value in values)

    def leave(self, before: int) -> None:
        """Go back to the object that holds the value that was entered."""
        self._at = before

    def keep(self, value: Any) -> None:
        """Record a value that was read. It counts as unchanged as long as it is this object."""
        self._kept.append(value)

    def also(self, read: Callable[[], Any]) -> None:
        """Record something outside the object that must stay equal."""
        self._also.append((read, read()))

    def finish(self) -> None:
        """Release everything that need not be kept alive."""
        self._nodes = []

    def unchanged(self, root: Any) -> bool:
        """Return whether nothing has changed."""
        if self.useless:
            return False
        for outside, was in self._also:
            if outside() != was:
                return False
        raws: list[tuple[Any, ...]] = [(root,)]
        for holder, place, kind, read, ids in self._steps:
            value = raws[holder][place]
            if type(value) is not kind:
                return False
            try:
                raw = read(value)
            except (AttributeError, RuntimeError):
                return False
            if tuple(map(id, raw)) != ids:
                return False
            raws.append(raw)
        return True
