"""Forms of plain values and containers, and of what a subclass of one holds as that."""

from __future__ import annotations

import datetime as dt
import functools
import math
import sys
import threading
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Any

from semantic_llm_cache.keys.walk import LATE_WRITERS, LEAVES, WRITERS, Walk, text
from semantic_llm_cache.values.introspection import known_late, where

__all__ = ["content_base", "is_plain_path", "plain_token", "write_content", "write_str"]


def write_str(value: str, out: list[bytes], *_: Any) -> None:
    """Append the form of a string."""
    data = value.encode("utf-8", "surrogatepass")
    out.append(b"s%d:%s" % (len(data), data))


def _write_float(value: float, out: list[bytes], *_: Any) -> None:
    if value == 0:
        value = 0.0  # -0.0 is the same question
    out.append(text(b"f", (b"nan" if math.isnan(value) else repr(value).encode())))


def _write_int(value: int, out: list[bytes], *_: Any) -> None:
    out.append(b"i%x;" % value if value >= 0 else b"i-%x;" % -value)


def _write_sequence(tag: bytes) -> Any:
    def write(value: Any, out: list[bytes], path: str, depth: int, walk: Walk) -> None:
        out.append(b"%s%d:" % (tag, len(value)))
        for i, item in enumerate(value):
            if type(item) in LEAVES:  # these cannot fail, so no path is needed
                WRITERS[type(item)](item, out)
            else:
                walk.write(item, out, f"{path}[{i}]", depth + 1)

    return write


def _write_set(value: Any, out: list[bytes], path: str, depth: int, walk: Walk) -> None:
    members = []
    for item in value:
        member: list[bytes] = []
        walk.write(item, member, f"member of {path}", depth + 1)
        members.append(b"".join(member))
    out.append(b"S%d:" % len(members))
    out.extend(sorted(members))


def _write_mapping(value: Mapping[Any, Any], out: list[bytes], path: str, depth: int, walk: Walk) -> None:
    out.append(b"d%d:" % len(value))
    for pair in sorted(_pairs(value, path, depth, walk)):
        out.extend(pair)


def _pairs(value: Mapping[Any, Any], path: str, depth: int, walk: Walk) -> list[tuple[bytes, bytes]]:
    pairs = []
    for key, item in value.items():
        name: list[bytes] = []
        content: list[bytes] = []
        if type(key) is str:
            write_str(key, name)
        else:
            walk.write(key, name, f"key of {path}", depth + 1)
        if type(item) in LEAVES:
            WRITERS[type(item)](item, content)
        else:
            walk.write(item, content, f"{path}[{key!r}]" if type(key) in (str, int) else f"value in {path}", depth + 1)
        pairs.append((b"".join(name), b"".join(content)))
    return pairs


def _write_ordered(value: Mapping[Any, Any], out: list[bytes], path: str, depth: int, walk: Walk) -> None:
    out.append(b"O%d:" % len(value))
    for pair in _pairs(value, path, depth, walk):
        out.extend(pair)


def _write_deque(value: Any, out: list[bytes], path: str, depth: int, walk: Walk) -> None:
    out.append(b"q")
    WRITERS[type(value.maxlen)](value.maxlen, out)
    _SEQUENCE([*deque.__iter__(value)], out, path, depth, walk)


def _write_text(tag: bytes, read: Callable[[Any], str]) -> Any:
    def write(value: Any, out: list[bytes], *_: Any) -> None:
        out.append(text(tag, read(value).encode("utf-8", "surrogatepass")))

    return write


def _write_time(tag: bytes, read: Callable[[Any], str]) -> Any:
    def write(value: Any, out: list[bytes], path: str, depth: int, walk: Walk) -> None:
        zone, kind = value.tzinfo, type(value.tzinfo)
        if zone is None or kind is dt.timezone or where(kind) in _KNOWN_ZONES:
            named = "" if zone is None else f"{getattr(zone, 'key', '')}|{value.tzname() or ''}"
            out.append(text(tag, f"{read(value)}|{named}|{value.fold}".encode("utf-8", "surrogatepass")))
            return
        # Any other zone may compute anything, so it counts by all that it holds.
        plain = value.replace(tzinfo=None)
        out.append(text(tag, f"{read(plain)}|@|{value.fold}".encode()))
        walk.inside().write_instance(zone, out, f"{path}.tzinfo", depth + 1)

    return write


_KNOWN_ZONES = frozenset({("zoneinfo", "ZoneInfo"), ("pydantic_core._pydantic_core", "TzInfo")})
"""Types of time zones that are identified by their key, or else by their offset, which the time shows."""


def _write_timedelta(value: Any, out: list[bytes], *_: Any) -> None:
    out.append(b"e%d,%d,%d;" % (value.days, value.seconds, value.microseconds))


def _write_timezone(value: dt.timezone, out: list[bytes], *_: Any) -> None:
    out.append(b"z")
    _write_timedelta(value.utcoffset(None), out)
    write_str(value.tzname(None), out)


def _write_zone(value: Any, out: list[bytes], path: str, depth: int, walk: Walk) -> None:
    if value.key is None:  # made from a file
        walk.refuse(path, type(value))
    out.append(text(b"Z", value.key.encode()))


_SEQUENCE = _write_sequence(b"l")
WRITERS.update({
    type(None): lambda value, out, *_: out.append(b"n"),
    bool: lambda value, out, *_: out.append(b"T" if value else b"F"),
    int: _write_int,
    float: _write_float,
    str: write_str,
    bytes: lambda value, out, *_: out.append(text(b"b", value)),
    bytearray: lambda value, out, *_: out.append(text(b"b", bytes(value))),
    list: _SEQUENCE,
    tuple: _write_sequence(b"t"),
    set: _write_set,
    frozenset: _write_set,
    dict: _write_mapping,
    OrderedDict: _write_ordered,
    deque: _write_deque,
    complex: _write_text(b"c", complex.__repr__),
    range: _write_text(b"g", range.__repr__),
    dt.datetime: _write_time(b"m", dt.datetime.isoformat),
    dt.time: _write_time(b"h", dt.time.isoformat),
    dt.date: _write_text(b"a", dt.date.isoformat),
    dt.timedelta: _write_timedelta,
    dt.timezone: _write_timezone,
})  # fmt: skip
LATE_WRITERS.update({
    ("decimal", "Decimal"): _write_text(b"D", lambda value: sys.modules["decimal"].Decimal.__str__(value)),
    ("uuid", "UUID"): _write_text(b"u", lambda value: f"{value.int:032x}"),
    ("zoneinfo", "ZoneInfo"): _write_zone,
})  # fmt: skip


# ------------------------------------------------------------- what a subclass holds as one of these

_EXACT: dict[type, Callable[[Any], Any]] = {
    int: lambda value: int.__add__(value, 0),
    float: lambda value: float.__add__(value, 0.0),
    complex: lambda value: complex.__add__(value, 0),
    str: str.__str__,
    bytes: lambda value: bytes.__getitem__(value, slice(None)),
    bytearray: lambda value: bytes(memoryview(value)),
    list: lambda value: list.__getitem__(value, slice(None)),
    tuple: lambda value: tuple.__getitem__(value, slice(None)),
    set: lambda value: {*set.__iter__(value)},
    frozenset: lambda value: {*frozenset.__iter__(value)},
    dict: lambda value: dict(dict.items(value)),
    OrderedDict: lambda value: dict(OrderedDict.items(value)),
}
"""Base type -> makes a plain copy, bypassing the overrides of a subclass."""

_PLAIN_PATHS = frozenset(
    (module, name)
    for module in ("pathlib", "pathlib._local")
    for name in ("PurePosixPath", "PureWindowsPath", "PosixPath", "WindowsPath")
)


def _path_base(kind: Any) -> Any:
    pathlib = sys.modules.get("pathlib")
    if pathlib is not None:
        for base in (pathlib.PurePosixPath, pathlib.PureWindowsPath):
            if issubclass(kind, base):
                return base
    return None


@functools.lru_cache(maxsize=4096)
def content_base(kind: Any) -> Any:
    """Return the first base whose content has a form of its own (`dict` for a subclass of it), or None."""
    from semantic_llm_cache.keys.known_types import AS_TEXT

    path = _path_base(kind)
    if path is not None:
        return path
    for base in kind.__mro__[:-1]:
        if base in WRITERS or known_late(base, LATE_WRITERS, WRITERS) or where(base) in AS_TEXT:
            return base
        if base is _local or base is types.MappingProxyType:
            return base
    return None


_local = threading.local


def is_plain_path(kind: type) -> bool:
    """Return whether this is one of pathlib's own classes, whose paths count without the class name."""
    return where(kind) in _PLAIN_PATHS


def write_content(value: Any, base: Any, out: list[bytes], path: str, depth: int, walk: Walk) -> None:
    """Append the form of what `value` holds as an instance of `base`, as `content_base` found it."""
    exact = _EXACT.get(base)
    if exact is not None:
        WRITERS[base](exact(value), out, path, depth, walk)
    elif base in WRITERS:
        WRITERS[base](value, out, path, depth, walk)
    elif base is types.MappingProxyType:
        _write_mapping(dict(value), out, path, depth, walk)
    elif base is not _local:  # whose only content is the state of this thread
        flavour = b"windows" if base.__name__ == "PureWindowsPath" else b"posix" if base is _path_base(base) else b""
        out.append(text(b"p" + flavour if flavour else b"x", base.__str__(value).encode("utf-8", "surrogatepass")))


def plain_token(value: Any) -> Any:
    """Return a hashable stand-in for a value made of plain immutable parts, or None."""
    kind = type(value)
    if kind in LEAVES:
        return (kind, value)
    if kind is dict:
        types = tuple(map(type, value.values()))
        if LEAVES.issuperset(types) and all(type(key) is str for key in value):
            return (kind, tuple(value.items()), types)
    elif kind is tuple and LEAVES.issuperset(map(type, value)):
        return (kind, value, tuple(map(type, value)))
    return None
