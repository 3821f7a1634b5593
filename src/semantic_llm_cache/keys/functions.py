"""The parts of functions: their names, their code, and what they hold and read."""

from __future__ import annotations

import builtins
import dis
import functools
import inspect
import os
import sys
import types
from collections.abc import Iterator
from typing import Any

__all__ = [
    "EMPTY_CELL",
    "AttributeCell",
    "attributes_of",
    "brought_along",
    "builtin_name",
    "cells_of",
    "children_of",
    "code_digest",
    "content_of",
    "global_name",
    "importable_name",
    "innermost",
    "is_of_other_globals",
    "is_wrapper_of_cache",
    "module_name",
    "name_of",
    "rebound_names",
    "written_function",
]


class _Empty:
    """Stands for the content of a cell that has no value yet."""


EMPTY_CELL = _Empty()


# ------------------------------------------------------------------------------------- names


def innermost(function: Any) -> Any:
    """Return the function that nested partials finally call."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def written_function(function: Any) -> Any:
    """Return the original function, without partials and instances; for a callable object, its class."""
    inner = innermost(function)
    if type(inner) is functools._lru_cache_wrapper:
        return written_function(inner.__wrapped__)
    return getattr(inner, "__func__", inner if hasattr(inner, "__qualname__") else type(inner))


def name_of(function: Any) -> str:
    """Return module and qualified name of a function, or of the class of a callable object."""
    inner = innermost(function)
    module = getattr(inner, "__module__", None) or type(inner).__module__
    return f"{module_name(module)}.{getattr(inner, '__qualname__', None) or type(inner).__qualname__}"


def module_name(module: str) -> str:
    """Return a module's name; for the main module of the program, its name when imported."""
    return _main_name() if module in ("__main__", "__mp_main__") else module


@functools.lru_cache(maxsize=1)
def _main_name() -> str:
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None:  # python -m package.module
        return str(spec.name).removesuffix(".__main__")
    file = getattr(main, "__file__", None)
    return os.path.splitext(os.path.basename(file))[0] if file else "__main__"


def brought_along(function: Any) -> tuple[Any, dict[str, Any]]:
    """Return the instance of a bound method or callable object, and the arguments that partials hold."""
    given: dict[str, Any] = {}
    partials = []
    while isinstance(function, functools.partial):
        partials.append(function)
        function = function.func
    # From the inside out, in the order in which the call gets them.
    for partial in reversed(partials):
        bound = inspect.signature(partial.func).bind_partial(*partial.args, **partial.keywords)
        for name, value in bound.arguments.items():
            if bound.signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
                given.update(value)
            else:
                given[name] = value
    owner = getattr(function, "__self__", None)
    if owner is None and not hasattr(function, "__qualname__"):
        owner = function  # an object with __call__
    return (None if inspect.ismodule(owner) else owner), given


def importable_name(value: Any) -> str | None:
    """Return module and qualified name of a function or class that can be imported by them, else None."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or "<" in name:
        return None
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    while found is not None and found is not value:
        found = getattr(found, "__wrapped__", None)  # decorated there
    return None if found is None else f"{module_name(module)}.{name}"


def attributes_of(function: Any) -> dict[str, AttributeCell]:
    """Return the attributes set on a function, each readable like a variable.

    Attributes set by `functools.wraps` and `@cache` are left out.
    """
    if type(function) is not types.FunctionType or is_wrapper_of_cache(function):
        return {}
    return {f"attribute {name}": AttributeCell(function, name) for name in function.__dict__ if name != "__wrapped__"}


class AttributeCell:
    """An attribute of a class or function, readable like a variable."""

    __slots__ = ("_name", "_owner")

    def __init__(self, owner: Any, name: str) -> None:
        self._owner = owner
        self._name = name

    @property
    def cell_contents(self) -> Any:
        """The owner's own value under this name. Raises ValueError when it is gone."""
        try:
            return vars(self._owner)[self._name]
        except KeyError:
            raise ValueError(self._name) from None


def is_of_other_globals(function: types.FunctionType) -> bool:
    """Return whether a function was made by `exec` with its own globals, so that its name does not identify it."""
    held = function.__globals__
    module = held.get("__name__", "")
    if module == "__mp_main__":  # multiprocessing runs the main script with globals of their own; its parent does not
        return False
    return getattr(sys.modules.get(module), "__dict__", None) is not held


def is_wrapper_of_cache(function: Any) -> bool:
    """Return whether this is a function decorated with `@cache`."""
    return "cache_controls" in getattr(function, "__dict__", {})


# -------------------------------------------------------------------------------------- code


@functools.lru_cache(maxsize=4096)
def code_digest(code: types.CodeType) -> str:
    """Return a digest of what a code object does, without its file, line numbers and name.

    It covers the bytecode of the running Python, so another minor version gives another digest.
    """
    import hashlib

    made = hashlib.blake2b(digest_size=20)
    for piece in _pieces(code):
        made.update(b"%d:" % len(piece))
        made.update(piece)
    return made.hexdigest()


def _pieces(code: types.CodeType) -> Iterator[bytes]:
    yield code.co_code
    yield getattr(code, "co_exceptiontable", b"")
    numbers = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    yield ",".join(map(str, numbers)).encode()
    for names in (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars):
        yield "\0".join(names).encode("utf-8", "surrogatepass")
    for constant in code.co_consts:
        yield _constant(constant)


def _constant(value: Any) -> bytes:
    """Return the form of a constant in a code object."""
    kind: type = type(value)
    if isinstance(value, types.CodeType):
        return b"code " + value.co_name.encode("utf-8", "surrogatepass") + b" " + code_digest(value).encode()
    if kind is tuple:
        return b"tuple %d:" % len(value) + b"".join(_sized(_constant(item)) for item in value)
    if kind is frozenset:
        return b"frozenset %d:" % len(value) + b"".join(sorted(_sized(_constant(item)) for item in value))
    if kind is slice:
        return b"slice " + b"".join(_sized(_constant(item)) for item in (value.start, value.stop, value.step))
    if isinstance(value, str):
        return b"str " + value.encode("utf-8", "surrogatepass")
    if isinstance(value, bytes):
        return b"bytes " + value
    # None, Ellipsis, bool, int, float, complex: their repr is their value.
    return f"{kind.__name__} {value!r}".encode()


def _sized(piece: bytes) -> bytes:
    return b"%d:%s" % (len(piece), piece)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


@functools.lru_cache(maxsize=4096)
def _globals_read(code: types.CodeType) -> tuple[str, ...]:
    """Return the names that a code object, and the functions inside it, look up in their module."""
    return tuple(
        sorted(
            {
                step.argval
                for inner in _codes(code)
                for step in dis.get_instructions(inner)
                if step.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
            }
        )
    )


@functools.lru_cache(maxsize=4096)
def rebound_names(code: types.CodeType) -> frozenset[str]:
    """Return the closed-over names that a function, or one inside it, assigns to (`nonlocal`)."""
    return frozenset(
        step.argval
        for inner in _codes(code)
        for step in dis.get_instructions(inner)
        if step.opname in ("STORE_DEREF", "DELETE_DEREF")
    )


# ------------------------------------------------------------------------- what a function holds


def cells_of(function: Any) -> dict[str, types.CellType]:
    """Return the closure of a function: the name and cell of each outer variable."""
    if not isinstance(function, types.FunctionType) or function.__closure__ is None:
        return {}
    return dict(zip(function.__code__.co_freevars, function.__closure__, strict=True))


def content_of(cell: Any) -> Any:
    """Return what a cell holds, or `EMPTY_CELL` when it has no value yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return EMPTY_CELL


def children_of(function: types.FunctionType) -> list[tuple[str, Any]]:
    """Return everything besides its code that decides what a function does now, each item with a label.

    Defaults, the values of its closure, its attributes, and the globals of its module that it reads.
    """
    found: list[tuple[str, Any]] = [("defaults", function.__defaults__), ("kwdefaults", function.__kwdefaults__)]
    found += [(f"closure {name}", content_of(cell)) for name, cell in cells_of(function).items()]
    found += [(f"attribute {name}", value) for name, value in function.__dict__.items()]
    held = function.__globals__
    found += [(f"global {name}", held[name]) for name in _globals_read(function.__code__) if name in held]
    return found


def global_name(value: Any) -> str | None:
    """Return the name that stands for a global (a module, or a function or class of one), else None."""
    if isinstance(value, types.ModuleType):
        return f"module {value.__name__}"
    if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
        return importable_name(value)
    return None


def builtin_name(value: Any) -> str:
    """Return the full name of a C function: its module or class, and its name."""
    owner = getattr(value, "__objclass__", None)
    if owner is not None:
        return f"{owner.__module__}.{owner.__qualname__}.{value.__name__}"
    return f"{getattr(value, '__module__', None) or builtins.__name__}.{value.__qualname__}"
