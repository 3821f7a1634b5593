"""What a function closes over: two closures of one factory are two functions."""

from __future__ import annotations

import datetime as dt
import enum
import types
import uuid
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from semantic_llm_cache.exceptions import CacheKeyError
from semantic_llm_cache.functions import EMPTY_CELL, cells_of, code_digest, content_of, name_of

__all__ = ["Captured", "Captures", "is_fixed"]

Form = Callable[[Any, str], bytes]

_FIXED = (
    type(None), bool, int, float, complex, str, bytes, Decimal, uuid.UUID, dt.date, dt.datetime, dt.time,
    dt.timedelta, type,
)  # fmt: skip


def is_fixed(value: Any) -> bool:
    """Tell whether a value can never change: plain values, enum members, and tuples and frozensets of them."""
    kind = type(value)
    if kind in _FIXED or isinstance(value, (enum.Enum, type)):
        return True
    return kind in (tuple, frozenset) and all(map(is_fixed, value))


class Captured(NamedTuple):
    """What the variables hold at one moment.

    Attributes:
        cells: the variables that were read, and what each held.
        forms: name of each variable -> the canonical form of what it held.
        opaque: the variables that hold something without a stable form.
        memo: for whoever remembers things that hold as long as this does.
    """

    cells: list[tuple[types.CellType, Any]]
    forms: dict[str, Any]
    opaque: tuple[str, ...]
    memo: dict[Any, Any]


class Captures:
    """The variables that a function closes over, and those of the functions that they hold.

    A variable is read again when it holds another object. What it holds is read once: a list that the
    function appends to must not make every call another question. Variables that the function assigns to
    itself are read once too.

    Args:
        cells: name -> cell.
        form: returns the canonical form of a value; `CacheKeyError` where there is none.
        skip: names that do not count.
        once: names that are read only once.
        itself: tells whether a value is the function that closes over it.
    """

    def __init__(
        self,
        cells: Mapping[str, types.CellType],
        form: Form,
        *,
        skip: Collection[str] = (),
        once: Collection[str] = (),
        itself: Callable[[Any], bool] = lambda value: False,
    ) -> None:
        self._named = {name: cell for name, cell in cells.items() if name not in skip and name != "__class__"}
        self._form = form
        self._once = once
        self._itself = itself
        self._first: dict[str, Any] = {}
        self._formed: dict[str, tuple[Any, bytes | None]] = {}
        self._private: str | None = None
        self._now: Captured | None = None

    def __bool__(self) -> bool:
        return bool(self._named)

    def now(self) -> Captured:
        """Return what the variables hold now. Cheap while each holds the object that it held before."""
        now = self._now
        if now is not None:
            try:
                for cell, was in now.cells:
                    if cell.cell_contents is not was:
                        return self._read()
                return now
            except ValueError:  # an empty cell: there is time to look closer
                if all(content_of(cell) is was for cell, was in now.cells):
                    return now
        return self._read()

    def _read(self) -> Captured:
        cells: list[tuple[types.CellType, Any]] = []
        forms: dict[str, Any] = {}
        opaque: list[str] = []
        seen: set[int] = set()
        waiting = list(self._named.items())
        while waiting:
            name, cell = waiting.pop(0)
            held = content_of(cell)
            if name not in self._once:
                cells.append((cell, held))
            elif held is not EMPTY_CELL:
                held = self._first.setdefault(name, held)
            if held is EMPTY_CELL or self._itself(held):
                continue
            if isinstance(held, types.FunctionType):
                written = _as_written(held)
                if id(written) not in seen:
                    seen.add(id(written))
                    forms[name] = _identity(written)
                    waiting += [(f"{name}.{inner}", cell) for inner, cell in cells_of(written).items()]
                continue
            form = self._form_of(name, held)
            if form is None:
                opaque.append(name)
            else:
                forms[name] = form
        if opaque:
            # Nobody can tell what is in there, so this function shares with no other.
            self._private = self._private or uuid.uuid4().hex
            forms["private"] = self._private
        before = self._now
        memo = before.memo if before is not None and before.forms == forms else {}
        self._now = Captured(cells, forms, tuple(opaque), memo)
        return self._now

    def _form_of(self, name: str, held: Any) -> bytes | None:
        known = self._formed.get(name)
        if known is not None and known[0] is held:
            return known[1]
        try:
            form = self._form(held, f"closed-over variable {name!r}")
        except CacheKeyError:
            form = None
        self._formed[name] = (held, form)
        return form


def _as_written(function: types.FunctionType) -> types.FunctionType:
    """Return what `@cache` wraps, or the function itself."""
    if "cache_controls" in function.__dict__ and isinstance(function.__wrapped__, types.FunctionType):  # type: ignore[attr-defined]
        return function.__wrapped__  # type: ignore[attr-defined]
    return function


def _identity(function: types.FunctionType) -> tuple[str, str | None]:
    """Return what a function counts by beside its closure: its name, and the code of a lambda."""
    is_lambda = function.__name__ == "<lambda>"
    return name_of(function), code_digest(function.__code__) if is_lambda else None
