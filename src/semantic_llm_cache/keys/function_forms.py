"""Forms of functions and other callables: by code, and by all they hold."""

from __future__ import annotations

import functools
import operator
import types
from typing import Any

from semantic_llm_cache.keys.functions import EMPTY_CELL, builtin_name, children_of, code_digest, global_name, name_of
from semantic_llm_cache.keys.object_forms import write_state
from semantic_llm_cache.keys.plain_forms import write_str
from semantic_llm_cache.keys.walk import Walk, text
from semantic_llm_cache.values.introspection import held_fields, where

__all__ = ["write_callable_object", "write_function"]

_BUILTIN = (
    types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType,
    types.MethodWrapperType,
)  # fmt: skip
_BY_REDUCE = (operator.attrgetter, operator.itemgetter, operator.methodcaller)


def write_function(value: Any, kind: type, out: list[bytes], path: str, depth: int, walk: Walk) -> bool:
    """Write functions, bound methods, partials, C functions, modules, and the stand-in for an empty cell."""
    if kind is types.FunctionType:
        _write_plain(value, out, path, depth, walk)
    elif kind is types.MethodType:
        out.append(b"M")
        walk.write(value.__func__, out, path, depth + 1)
        walk.inside().write_instance(value.__self__, out, f"{path}.__self__", depth + 1)
    elif kind is functools.partial:
        walk.cannot_watch()
        out.append(b"P")
        given = [("func", value.func), ("args", value.args), ("keywords", value.keywords)]
        walk.inside().write_children([*given, *held_fields(value).items()], out, path, depth)
    elif kind in _BUILTIN:
        _write_builtin(value, out, path, depth, walk)
    elif kind in _BY_REDUCE:
        walk.cannot_watch()
        out.append(text(b"B", kind.__qualname__.encode()))
        walk.write(value.__reduce__()[1], out, path, depth + 1)
    elif kind is types.ModuleType:
        out.append(text(b"I", value.__name__.encode()))
    elif value is EMPTY_CELL:
        out.append(b"?")
    elif where(kind)[0] == "functools" and type(getattr(value, "__wrapped__", None)) is types.FunctionType:
        walk.cannot_watch()
        out.append(text(b"L", kind.__qualname__.encode()))  # lru_cache and similar wrappers
        walk.write(value.__wrapped__, out, path, depth + 1)
    else:
        return False
    return True


def _write_plain(value: types.FunctionType, out: list[bytes], path: str, depth: int, walk: Walk) -> None:
    if "cache_controls" in value.__dict__ and hasattr(value, "__wrapped__"):
        walk.cannot_watch()
        walk.write(value.__wrapped__, out, path, depth + 1)  # a function decorated with @cache counts as the original
        return
    if walk.again(value, out):
        return
    out.append(text(b"F", name_of(value).encode("utf-8", "surrogatepass")))
    out.append(code_digest(value.__code__).encode())
    inner = walk.inside()
    children = sorted(children_of(value), key=lambda pair: pair[0])
    out.append(b"%d:" % len(children))
    for label, child in children:
        write_str(label, out)
        name = global_name(child) if label.startswith("global ") else None
        if name is None:
            inner.write(child, out, f"{path}: {label}", depth + 1)
        else:
            if inner.watch is not None:
                inner.watch.keep(child)
            out.append(text(b"I", name.encode("utf-8", "surrogatepass")))
    walk.done(value)


def _write_builtin(value: Any, out: list[bytes], path: str, depth: int, walk: Walk) -> None:
    out.append(text(b"B", builtin_name(value).encode("utf-8", "surrogatepass")))
    owner = getattr(value, "__self__", None)
    if owner is not None and not isinstance(owner, (types.ModuleType, type)):
        walk.cannot_watch()
        walk.inside().write_instance(owner, out, f"{path}.__self__", depth + 1)
    elif isinstance(owner, type):
        walk.write(owner, out, path, depth + 1)


def write_callable_object(value: Any, kind: Any, out: list[bytes], path: str, depth: int, walk: Walk) -> bool:
    """Write an instance with `__call__`: all it holds."""
    if not any("__call__" in vars(base) for base in kind.__mro__):
        return False
    write_state(value, out, path, depth, walk.inside())
    return True
