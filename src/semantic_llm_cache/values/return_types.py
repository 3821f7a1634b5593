"""What a function says that it returns: stored answers are rebuilt as that."""

from __future__ import annotations

import collections.abc
import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from semantic_llm_cache.values.annotations import LateType, evaluate, meaning, remember_names
from semantic_llm_cache.values.rebuilding import NoSuchType

__all__ = ["Returned", "called", "part_of", "returned"]

_FRAMES = 8
_PACKAGE = __name__.partition(".")[0]
_AWAITED = (collections.abc.Awaitable, collections.abc.Coroutine)


@dataclass(slots=True, eq=False, repr=False)
class Returned:
    """What a function returns, and where it is written.

    Attributes:
        target: the type, or annotation; of an async function what it gives when awaited. `Any` if unknown.
        source: ``"annotation"`` or ``"result_type"``; empty if there is neither.
        name: of the function.
        file, line: where it is defined; empty and 0 if that is unknown.
        module: its module.
        awaitable: whether the annotation says that the function returns something to await.
    """

    target: Any = Any
    source: str = ""
    name: str = ""
    file: str = ""
    line: int = 0
    module: str = ""
    awaitable: bool = False

    def advice(self, error: NoSuchType) -> str:
        """Return what to do so that answers of a type that `target` does not name can be stored."""
        if isinstance(self.target, LateType) and not self.target.is_known:
            return (
                f"{self._what} ({self.target.annotation!r}) names something that does not exist at run time: "
                "import it outside `if TYPE_CHECKING:`, or pass result_type= with the type itself"
            )
        if self.source:
            kind, other = meaning(self.target), error.type_name.rpartition(".")[2]
            is_plain = isinstance(kind, type) and get_origin(kind) is None
            how = f"such as result_type={kind.__name__} | {other}" if is_plain else f"in a union with {other}"
            return f"{self._what} does not name {error.type_name}: add it, {how}"
        if not self.name:
            return "pass result_type="
        return f"annotate the function's return type or pass result_type= ({self.name})"

    @property
    def _what(self) -> str:
        return "result_type=" if self.source == "result_type" else f"the return annotation of {self.name}"


def returned(function: Any, result_type: Any = None) -> Returned:
    """Return what `function` returns.

    Call it while the function is being decorated: a string annotation may name a class of the enclosing
    function, which only the frames of that moment know.

    Args:
        function: the function; also a partial one, or an object with `__call__`.
        result_type: replaces the return annotation; None takes the annotation.

    Example:
        >>> def ask(prompt: str) -> "list[int]": ...
        >>> returned(ask).target
        list[int]
    """
    inner = called(function)
    written = inspect.unwrap(inner)
    code = getattr(written, "__code__", None)
    known = getattr(written, "__globals__", {})
    annotation = getattr(inner, "__annotations__", {}).get("return", Any)
    target = _evaluated(annotation, known)
    source = "annotation" if annotation is not Any else ""
    awaited = _awaited(target) if not inspect.iscoroutinefunction(inner) else None
    if awaited is not None:
        target = awaited
    if result_type is not None:
        target, source = _evaluated(result_type, known), "result_type"
    remember_names(target, _names_around)
    return Returned(
        target=target,
        source=source,
        name=getattr(inner, "__qualname__", "the function"),
        file=code.co_filename if code is not None else "",
        line=code.co_firstlineno if code is not None else 0,
        module=getattr(written, "__module__", None) or "",
        awaitable=awaited is not None,
    )


def _awaited(target: Any) -> Any:
    """Return what a target such as ``Awaitable[City]`` gives when it is awaited; None if it is nothing to await."""
    if isinstance(target, LateType):
        return None
    stands_for = meaning(target)
    if (get_origin(stands_for) or stands_for) not in _AWAITED:
        return None
    return get_args(stands_for)[-1] if get_args(stands_for) else Any


def called(function: Any) -> Any:
    """Return the function that runs when `function` is called: of a partial one, or of an object with `__call__`."""
    while isinstance(function, functools.partial):
        function = function.func
    if hasattr(function, "__qualname__"):
        return function
    return called(type(function).__call__)


def part_of(target: Any, part: Callable[[Any], Any]) -> Any:
    """Return a part of an annotation, which may be a `LateType`."""
    return target.then(part) if isinstance(target, LateType) else part(target)


def _evaluated(annotation: Any, known: Mapping[str, Any]) -> Any:
    if annotation is Any or (isinstance(annotation, type) and get_origin(annotation) is None):
        return annotation
    try:
        return evaluate(annotation, known, {})
    except Exception:  # a name of an enclosing function
        around = _names_around()
    try:
        return evaluate(annotation, known, around)
    except Exception:  # a name that is defined later, or exists for type checkers only
        return LateType(annotation, known, around)


def _names_around() -> dict[str, Any]:
    """Return the local names of the decorating frames; inner ones win.

    A frame that was asked for its names keeps what they hold alive, so it is asked only where that is needed.
    """
    names: dict[str, Any] = {}
    frame = sys._getframe()
    around: list[Any] = []
    while frame is not None and len(around) < _FRAMES:
        if str(frame.f_globals.get("__name__")).partition(".")[0] != _PACKAGE:
            around.append(frame.f_locals)
        frame = frame.f_back  # type: ignore[assignment]
    for found in reversed(around):
        names.update(found)
    return names
