"""What a value holds: its `__dict__`, its slots, and whether there is more that Python cannot read."""

from __future__ import annotations

import functools
import sys
import threading
import types
from collections.abc import Callable, Mapping
from typing import Any

__all__ = [
    "answers_for_itself",
    "defines",
    "held_fields",
    "hides_state",
    "known_late",
    "own_slots",
    "own_state",
    "where",
]

Where = tuple[str, str]

_WORD = tuple.__itemsize__  # size of a pointer


UNKNOWN: Where = ("", "")

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: all classes written in Python have it
_IMMUTABLE_TYPE = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE: no class written in Python has it
_UNREACHABLE = (type(threading.Lock()), type(threading.RLock()))  # not in their module under that name everywhere


def _where(kind: Any) -> Where:
    """Return module and qualified name of a type, if its module has this very type under that name.

    Any class can call itself as it likes, so a name alone proves nothing: for another type under the name of a
    known one, `UNKNOWN` is returned. Types that are built into the interpreter have no false names.
    """
    module, name = type.__getattribute__(kind, "__module__"), type.__getattribute__(kind, "__qualname__")
    if type(module) is not str or type(name) is not str:
        return UNKNOWN
    flags = type.__getattribute__(kind, "__flags__")
    if flags & _HEAP_TYPE and not flags & _IMMUTABLE_TYPE and kind not in _UNREACHABLE:
        found: Any = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is not kind:
            return UNKNOWN
    return module, name


where: Callable[[Any], Where] = functools.lru_cache(maxsize=4096)(_where)


def known_late(kind: type, late: Mapping[tuple[str, str], Any], known: dict[type, Any]) -> Any:
    """Return what `late` has for a type, by module and name, and enter it in `known`; None if it has nothing."""
    where = (kind.__module__, kind.__qualname__)
    found = late.get(where)
    if found is not None and getattr(sys.modules.get(where[0]), where[1], None) is kind:
        known[kind] = found
        return found
    return None


def defines(kind: Any, name: str) -> bool:
    """Tell whether a class or a base of it has this attribute itself; what its metaclass makes up is not asked."""
    return hasattr(kind, name) and any(name in vars(base) for base in kind.__mro__)


def held_fields(value: Any) -> dict[str, Any]:
    """Return what an instance holds in its `__dict__`, less the objects that a `cached_property` has made.

    Plain data under the name of a cached property counts: it may have been assigned, as some SDKs do with a project.
    """
    held: dict[str, Any] = getattr(value, "__dict__", {})
    kind: Any = type(value)
    derived = _cached_properties(kind)
    if not derived:
        return dict(held)
    return {name: item for name, item in held.items() if name not in derived or _is_data(item, 0)}


def _is_data(value: Any, depth: int) -> bool:
    """Tell whether a value is plain data, or a container of nothing else."""
    kind = type(value)
    if kind in _CONTAINERS:
        parts = (*value, *value.values()) if kind is dict else value
        return depth < _MAX_DEPTH and all(_is_data(item, depth + 1) for item in parts)
    return kind in _PLAIN or where(kind) in _PLAIN_LATE


_MAX_DEPTH = 16
_CONTAINERS = frozenset({list, tuple, set, frozenset, dict})
_PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes, bytearray})
_PLAIN_LATE = frozenset({
    ("decimal", "Decimal"), ("uuid", "UUID"), ("datetime", "date"), ("datetime", "datetime"), ("datetime", "time"),
    ("datetime", "timedelta"), ("pydantic.types", "SecretStr"), ("pydantic.types", "SecretBytes"),
})  # fmt: skip


@functools.lru_cache(maxsize=1024)
def _cached_properties(kind: Any) -> frozenset[str]:
    named = {name: item for base in reversed(kind.__mro__) for name, item in vars(base).items()}
    return frozenset(name for name, item in named.items() if type(item) is functools.cached_property)


@functools.lru_cache(maxsize=1024)
def own_slots(kind: Any, base: Any = object) -> tuple[tuple[str, Any], ...]:
    """Return name and descriptor of each slot that `kind` has beyond `base`, less those that are no state of it."""
    return tuple((name, slot) for name, slot in _members(kind, base) if not _is_bookkeeping(name, slot))


def _is_bookkeeping(name: str, slot: Any) -> bool:
    if name in _NO_STATE:
        return True
    return name in _OF_PYDANTIC and where(slot.__objclass__) == ("pydantic.main", "BaseModel")


_NO_STATE = frozenset({"__dict__", "__weakref__", "__dictoffset__", "__weaklistoffset__", "__vectorcalloffset__"})
"""Where C types say that they have fields, which are read as such, or weak references."""
_OF_PYDANTIC = frozenset({"__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__"})
"""Slots of pydantic's models: which fields were set, and what `object_forms` adds to the fields itself."""


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
def answers_for_itself(kind: Any) -> bool:
    """Tell whether a class written in Python decides what its instances show as their `__dict__`."""
    return any(
        type(vars(base).get("__getattribute__")) not in (type(None), types.WrapperDescriptorType)
        or type(vars(base).get("__dict__")) not in (type(None), types.GetSetDescriptorType, types.MemberDescriptorType)
        for base in kind.__mro__[:-1]
        if where(base) not in _HONEST
    )


_HONEST = frozenset({("numpy", "recarray"), ("numpy.rec", "recarray"), ("numpy", "record"), ("numpy.rec", "record")})
"""Types with a `__getattribute__` written in Python that shows more attributes, and hides none."""


@functools.lru_cache(maxsize=1024)
def hides_state(kind: Any, base: Any = object) -> bool:
    """Tell whether instances of `kind` hold more beyond `base` than we can read.

    That is data of a C type beside a dict and slots, and whatever a class hides that answers for its own
    `__dict__`: with a property of that name or a `__getattribute__`.
    """
    if answers_for_itself(kind):
        return True
    size = kind.__basicsize__ - base.__basicsize__ - _WORD * len(_members(kind, base))
    if kind.__dictoffset__ and not base.__dictoffset__ and kind.__dictoffset__ != -1:  # -1: kept in front of the object
        size -= _WORD
    if kind.__weakrefoffset__ > 0 and not base.__weakrefoffset__:
        size -= _WORD
    return bool(size > 0 or (kind.__itemsize__ and not base.__itemsize__))
