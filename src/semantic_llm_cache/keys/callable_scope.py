"""What counts of a function that is passed to a call, besides the call's arguments."""

from __future__ import annotations

import types
import weakref
from collections.abc import MutableMapping
from typing import Any

from semantic_llm_cache.exceptions import CacheKeyError
from semantic_llm_cache.keys.captures import Captures, is_fixed
from semantic_llm_cache.keys.fingerprint import canonical_field, fingerprint_instance
from semantic_llm_cache.keys.functions import (
    attributes_of,
    brought_along,
    cells_of,
    children_of,
    code_digest,
    is_wrapper_of_cache,
    name_of,
    rebound_names,
    written_function,
)

__all__ = ["CallableScope"]

_MOST = 256  # a closure may refer back to the function, and would then never be freed on its own


class CallableScope:
    """Distinguishes functions, and remembers what their closures held when first seen.

    A function counts by name, code, defaults, closure, and the plain values among the globals that it
    reads; a method or callable object also by its instance, a partial by its arguments. As with decorated
    functions, the contents of a closed-over variable are read once: a list that the function appends to must not
    make every call a different question.

    Args:
        argument: what errors call the function.

    Example:
        >>> scope = CallableScope("llm_func")
        >>> def make(tenant):
        ...     return lambda prompt: tenant
        >>> scope.of(make("a")) == scope.of(make("a")), scope.of(make("a")) == scope.of(make("b"))
        (True, False)
    """

    def __init__(self, argument: str) -> None:
        self._argument = argument
        self._advice = (
            f"say what counts of it with register_fingerprint() or a __cache_scope__(), or pass it to {argument} as "
            "a keyword of the call that has a stable fingerprint"
        )
        self._captures: MutableMapping[Any, Captures] = weakref.WeakKeyDictionary()

    def of(self, function: Any) -> dict[str, Any]:
        """Return what counts of `function`.

        Raises:
            CacheKeyError: the function holds something without a stable fingerprint.
        """
        owner, given = brought_along(function)
        parts: dict[str, Any] = {"function": name_of(function)}
        written = written_function(function)
        if is_wrapper_of_cache(written):
            written = written.__wrapped__
        if isinstance(written, types.FunctionType):
            parts["code"] = code_digest(written.__code__)
            parts["closure"] = self._closure(written)
            parts["held"] = {
                label: canonical_field(value, f"{self._argument}: {label}", self._advice)
                for label, value in children_of(written)
                if label in ("defaults", "kwdefaults") or (label.startswith("global ") and is_fixed(value))
            }
        if owner is not None:
            parts["owner"] = fingerprint_instance(owner, self._argument, self._advice)
        if given:
            parts["given"] = {
                name: canonical_field(value, f"argument {name!r} of {self._argument}", self._advice)
                for name, value in given.items()
            }
        return parts

    def _closure(self, function: types.FunctionType) -> dict[str, Any]:
        captures = self._captures.get(function)
        if captures is None:
            captures = Captures(
                {**cells_of(function), **attributes_of(function)},
                canonical_field,
                once=rebound_names(function.__code__),
                itself=lambda value: getattr(value, "__wrapped__", value) is reference(),
            )
            reference = weakref.ref(function)
            if len(self._captures) >= _MOST:
                self._captures.clear()
            self._captures[function] = captures
        found = captures.now()
        if found.opaque:
            raise CacheKeyError(
                f"{self._argument}={name_of(function)} closes over {found.opaque[0]!r}, which has no stable "
                f"fingerprint: {self._advice}"
            )
        return found.forms
