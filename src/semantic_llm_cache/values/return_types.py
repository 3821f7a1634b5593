"""A function's annotated return type: stored answers are rebuilt as it."""

from __future__ import annotations

import functools
import inspect
import sys
import typing
from collections.abc import Awaitable
from typing import Any

__all__ = ["return_type"]

_FRAMES = 8


def return_type(function: Any) -> Any:
    """Return the type that `function` returns, or gives when awaited; `Any` when it is unknown.

    Call it while the function is being decorated: a string annotation may name a class of the enclosing
    function, which only the frames of that moment know.

    Example:
        >>> def ask(prompt: str) -> "list[int]": ...
        >>> return_type(ask)
        list[int]
    """
    while isinstance(function, functools.partial):
        function = function.func
    if not hasattr(function, "__qualname__"):
        function = type(function).__call__  # an object that is called
    try:
        found = typing.get_type_hints(function).get("return", Any)
    except Exception:  # a name that exists for type checkers only, or in an enclosing function
        found = _evaluate(function)
    if typing.get_origin(found) is Awaitable and not inspect.iscoroutinefunction(function):
        return typing.get_args(found)[0]
    return found


def _evaluate(function: Any) -> Any:
    annotation = getattr(function, "__annotations__", {}).get("return", Any)
    if not isinstance(annotation, str):
        return annotation
    known = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        return eval(annotation, known, _names_around())
    except Exception:
        return Any


def _names_around() -> dict[str, Any]:
    """Return the local names of the decorating frames; inner ones win."""
    names: dict[str, Any] = {}
    frame = sys._getframe()
    around: list[Any] = []
    while frame is not None and len(around) < _FRAMES:
        if not str(frame.f_globals.get("__name__")).startswith("semantic_llm_cache."):
            around.append(frame.f_locals)
        frame = frame.f_back  # type: ignore[assignment]
    for found in reversed(around):
        names.update(found)
    return names
