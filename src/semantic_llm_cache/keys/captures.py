"""What a function closes over: two closures of one factory are two functions."""

from __future__ import annotations

import contextvars
import datetime as dt
import enum
import os
import threading
import types
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from semantic_llm_cache.exceptions import CacheKeyError
from semantic_llm_cache.keys.functions import (
    EMPTY_CELL,
    attributes_of,
    cells_of,
    code_digest,
    content_of,
    importable_name,
    name_of,
)
from semantic_llm_cache.values.introspection import where

__all__ = ["Captured", "Captures", "Cell", "is_fixed"]

Form = Callable[[Any, str], bytes]


class Cell(Protocol):
    """A variable. `cell_contents` is its value; reading it raises ValueError if there is none."""

    @property
    def cell_contents(self) -> Any:
        """The value of the variable."""
        ...


_FIXED = (
    type(None), bool, int, float, complex, str, bytes, dt.date, dt.datetime, dt.time, dt.timedelta, type,
)  # fmt: skip
_FIXED_LATE = {("decimal", "Decimal"), ("uuid", "UUID")}


def is_fixed(value: Any) -> bool:
    """Return whether a value can never change: plain values, enum members, and tuples and frozensets of them."""
    kind = type(value)
    if kind in _FIXED or issubclass(kind, (enum.Enum, type)) or where(kind) in _FIXED_LATE:
        return True
    return kind in (tuple, frozenset) and all(map(is_fixed, value))


class Captured:
    """The values of the variables at one moment.

    Attributes:
        cells: the variables that were read, and the value of each.
        varying: those whose value depends on the caller: context variables and thread-locals.
        forms: name of each variable -> the canonical form of what it held.
        opaque: the variables whose value has no stable form.
        memo: for callers that remember things which stay valid as long as this object does.
    """

    __slots__ = ("cells", "forms", "memo", "opaque", "varying")

    def __init__(
        self,
        cells: list[tuple[Cell, Any]],
        varying: list[tuple[str, Any]],
        forms: dict[str, Any],
        opaque: tuple[str, ...],
        memo: dict[Any, Any],
    ) -> None:
        self.cells = cells
        self.varying = varying
        self.forms = forms
        self.opaque = opaque
        self.memo = memo


class Captures:
    """The variables that a function closes over, and those of the functions in them.

    A variable is read again when it holds another object. The object itself is read once: a list that the
    function appends to must not make every call a different question. Variables that the function assigns to
    itself are also read once. Context variables and thread-locals are read each time.

    An object without a form is replaced by a random number that no other object shares.

    Args:
        cells: name -> cell.
        form: returns the canonical form of a value; raises `CacheKeyError` if there is none.
        skip: names to leave out.
        once: names that are read only once.
        itself: returns whether a value is the function that closes over it.
    """

    def __init__(
        self,
        cells: Mapping[str, Cell],
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
        self._formed: dict[str, tuple[Any, bytes, bool]] = {}
        self._now: Captured | None = None
        self._readers: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._named)

    def now(self) -> Captured:
        """Return what the variables hold now. Cheap as long as each holds the same object as before."""
        now = self._now
        if now is not None:
            try:
                for cell, was in now.cells:
                    if cell.cell_contents is not was:
                        break
                else:
                    return now if not now.varying or self._still(now) else self._read()
            except ValueError:  # an empty cell: compare again with `content_of`
                if all(content_of(cell) is was for cell, was in now.cells) and self._still(now):
                    return now
        return self._read()

    def _still(self, now: Captured) -> bool:
        return all(self._form_of(name, held)[0] == now.forms[name] for name, held in now.varying)

    def _read(self) -> Captured:
        reader = threading.get_ident()
        if reader in self._readers:  # one of the values refers back here
            return Captured([], [], {}, (), {})
        self._readers.add(reader)
        try:
            return self._read_all()
        finally:
            self._readers.discard(reader)

    def _read_all(self) -> Captured:
        cells: list[tuple[Cell, Any]] = []
        varying: list[tuple[str, Any]] = []
        forms: dict[str, Any] = {}
        opaque: list[str] = []
        seen: set[types.FunctionType] = set()
        waiting: list[tuple[str, Cell]] = list(self._named.items())
        while waiting:
            name, cell = waiting.pop(0)
            held = content_of(cell)
            if name not in self._once:
                cells.append((cell, held))
            elif held is not EMPTY_CELL:
                held = self._first.setdefault(name, held)
            if held is EMPTY_CELL or self._itself(held):
                continue
            if type(held) is types.FunctionType:
                written = _as_written(held)
                if written not in seen:
                    seen.add(written)
                    forms[name] = self._identity(name, written)
                    inside: dict[str, Cell] = {**cells_of(written)}
                    if importable_name(written) is None:
                        inside.update(attributes_of(written))
                    waiting += [(f"{name}.{inner}", cell) for inner, cell in inside.items()]
                continue
            if _varies(held):
                varying.append((name, held))
            forms[name], has_form = self._form_of(name, held)
            if not has_form:
                opaque.append(name)
        before = self._now
        memo = before.memo if before is not None and before.forms == forms else {}
        found = self._now = Captured(cells, varying, forms, tuple(opaque), memo)
        return found  # not what another thread may have stored there since

    def _form_of(self, name: str, held: Any) -> tuple[bytes, bool]:
        """Return the form of a value and True, or a random form and False if it has none."""
        known = self._formed.get(name)
        if known is not None and known[0] is held and not (known[2] and _varies(held)):
            return known[1:]
        try:
            form, has_form = self._form(held, f"closed-over variable {name!r}"), True
        except CacheKeyError:
            form, has_form = os.urandom(16), False
        self._formed[name] = (held, form, has_form)
        return form, has_form

    def _identity(self, name: str, function: types.FunctionType) -> tuple[Any, ...]:
        """Return what identifies a function in a variable, besides its closure.

        That is its name, plus its code and defaults if it cannot be imported by that name.
        """
        if importable_name(function) is not None:
            return (name_of(function),)
        defaults = (function.__defaults__, function.__kwdefaults__)
        return name_of(function), code_digest(function.__code__), self._form_of(f"defaults of {name}", defaults)[0]


def _varies(value: Any) -> bool:
    return issubclass(type(value), (contextvars.ContextVar, threading.local))


def _as_written(function: types.FunctionType) -> types.FunctionType:
    """Return what `@cache` wraps, or the function itself."""
    if "cache_controls" in function.__dict__ and isinstance(function.__wrapped__, types.FunctionType):  # type: ignore[attr-defined]
        return function.__wrapped__  # type: ignore[attr-defined]
    return function
