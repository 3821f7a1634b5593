"""JSON written and read in pieces.

`json` keeps the interpreter's lock from the first character to the last, a sixth of a second for ten megabytes of
table rows: no other thread, and so no event loop, can run in that time. In pieces of 64 KB they can. What is read may
hold white space; what is written has none.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import json

__all__ = ["MOST", "read", "weight", "write"]

PLACES = 1_500
"""Values in an answer that take 2 ms to write, read back and compare."""
_VALUE = 400
MOST = PLACES * _VALUE
"""`weight` from which an answer is large. A value weighs as much as 400 characters: 1.3 us to 3 ns."""
_PIECE = 65_536
_FIRST_LOOK = 4_096


@functools.cache
def _blanks() -> re.Pattern[str]:
    return re.compile(r"[ \t\n\r]+")


@functools.cache
def _writer() -> Callable[[Any], str]:
    import json  # only an answer that is no text needs it

    return json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def _write(value: Any) -> str:
    return _writer()(value)


def weight(value: Any, most: int = MOST) -> int:
    """Return about how many characters a value takes to write; any number above `most` if it is more.

    It stops at `most`, so it is quick for any value.
    """
    total, stack = 0, [value]
    while stack:
        item = stack.pop()
        kind = type(item)
        total += _VALUE
        if kind is str or kind is bytes:
            total += len(item)
        elif kind is int or kind is float or kind is bool or item is None:
            continue
        elif isinstance(item, (list, tuple, set, frozenset, dict)):
            total += _VALUE * len(item)
            if total <= most:
                stack.extend(item.values() if isinstance(item, dict) else item)
                total -= _VALUE * (0 if isinstance(item, dict) else len(item))
        else:
            stack.extend(_held_by(item, kind))
        if total > most:
            break
    return total


def _held_by(item: Any, kind: type) -> list[Any]:
    held = list(getattr(item, "__dict__", {}).values())
    for base in kind.__mro__:
        names = base.__dict__.get("__slots__", ())
        held += [getattr(item, name, None) for name in ((names,) if isinstance(names, str) else names)]
    return held


# ------------------------------------------------------------------------------ writing and reading


def write(tree: Any) -> str:
    """Return what ``json.dumps`` does, compact; `tree` holds plain JSON values only."""
    if weight(tree, _PIECE * 2) <= _PIECE * 2:
        return _write(tree)
    parts: list[str] = []
    _write_parts(tree, parts)
    return "".join(parts)


def _write_parts(tree: Any, parts: list[str]) -> None:
    if type(tree) is str:
        parts.append('"')
        parts += [_write(tree[i : i + _PIECE])[1:-1] for i in range(0, len(tree), _PIECE)]
        parts.append('"')
        return
    if type(tree) not in (list, dict):
        parts.append(_write(tree))
        return
    named = type(tree) is dict
    parts.append("{" if named else "[")
    gathered: list[Any] = []
    size, comma = 0, ""

    def hand_over() -> None:
        nonlocal size, comma
        if gathered:
            parts.append(comma + _write(dict(gathered) if named else gathered)[1:-1])
            comma, size = ",", 0
            gathered.clear()

    for item in tree.items() if named else tree:
        value = item[1] if named else item
        heavy = weight(value, _PIECE) if isinstance(value, (str, list, dict)) else _VALUE
        if heavy > _PIECE:
            hand_over()
            parts.append(f"{comma}{_write(item[0])}:" if named else comma)
            comma = ","
            _write_parts(value, parts)
            continue
        gathered.append(item)
        size += heavy
        if size > _PIECE:
            hand_over()
    hand_over()
    parts.append("}" if named else "]")


def read(text: str, decoder: json.JSONDecoder) -> Any:
    """Return what ``decoder.decode(text)`` does."""
    if len(text) > _PIECE:
        try:
            reader = _Reader(text, decoder)
            value, end = reader.value(reader.past_blanks(0))
        except (StopIteration, IndexError, ValueError):
            pass  # it is no JSON, and the decoder says where
        else:
            if reader.past_blanks(end) == len(text):
                return value
    return decoder.decode(text)


class _Reader:
    """Reads JSON value by value; what is small, or a list of small things, as one."""

    def __init__(self, text: str, decoder: json.JSONDecoder) -> None:
        self.text = text
        self.scan: Any = decoder.scan_once  # type: ignore[attr-defined]  # (text, at) -> (value, end)
        hook: Any = decoder.object_pairs_hook
        self.made: Any = dict if hook is None else hook

    def past_blanks(self, at: int) -> int:
        """Return where the next thing begins that is no white space."""
        found = _blanks().match(self.text, at)
        return at if found is None else found.end()

    def value(self, at: int) -> tuple[Any, int]:
        opening = self.text[at]
        if opening not in "[{":
            found: tuple[Any, int] = self.scan(self.text, at)
            return found
        for most in (_FIRST_LOOK, _PIECE):
            # What ends within the first characters is taken as it is.
            with contextlib.suppress(StopIteration, ValueError):
                value, length = self.scan(self.text[at : at + most], 0)
                return value, at + length
        return self.items(at) if opening == "[" else self.fields(at)

    def items(self, at: int) -> tuple[list[Any], int]:
        text, found = self.text, list[Any]()
        at = self.past_blanks(at + 1)
        if text[at] == "]":
            return found, at + 1
        one_by_one = 0
        while True:
            some, end = self.several(at) if at >= one_by_one else ([], at)
            if not some:
                one_by_one = max(one_by_one, at + _PIECE)
                value, end = self.value(at)
                some = [value]
            found += some
            end = self.past_blanks(end)
            if text[end] == "]":
                return found, end + 1
            if text[end] != ",":
                raise ValueError(end)
            at = self.past_blanks(end + 1)

    def several(self, at: int) -> tuple[list[Any], int]:
        """Return the items that begin here and end within a piece, and where the comma after them is."""
        piece = self.text[at : at + _PIECE]
        for mark in ("},{", "}, {", "],[", "], [", ","):
            cut = piece.rfind(mark) + mark.index(",")
            if cut > 0 and piece[cut : cut + 1] == ",":
                # A comma inside of a string or of another value would leave that open, and this would fail.
                inside = f"[{piece[:cut]}]"
                with contextlib.suppress(StopIteration, ValueError):
                    values, length = self.scan(inside, 0)
                    if length == len(inside):
                        return values, at + cut
        return [], at

    def fields(self, at: int) -> tuple[Any, int]:
        text, found = self.text, list[tuple[str, Any]]()
        at = self.past_blanks(at + 1)
        if text[at] == "}":
            return self.made(found), at + 1
        while True:
            if text[at] != '"':
                raise ValueError(at)
            name, at = self.scan(text, at)
            at = self.past_blanks(at)
            if text[at] != ":":
                raise ValueError(at)
            value, at = self.value(self.past_blanks(at + 1))
            found.append((name, value))
            at = self.past_blanks(at)
            if text[at] == "}":
                return self.made(found), at + 1
            if text[at] != ",":
                raise ValueError(at)
            at = self.past_blanks(at + 1)
