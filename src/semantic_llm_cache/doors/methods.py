"""Cached functions in class bodies: each instance gets one that is bound to it."""

from __future__ import annotations

import functools
import inspect
import types
from typing import Any

from semantic_llm_cache.metrics.counters import CacheInfo

__all__ = ["CachedMethod"]


class _FunctionLike:
    """The mark that `inspect` checks, so that `iscoroutinefunction` stays true for a wrapped async function."""

    def _look_like(self, function: Any) -> None:
        for name in ("__code__", "__defaults__", "__kwdefaults__", "__globals__", "__closure__"):
            setattr(self, name, getattr(function, name, None))
        marker = getattr(inspect, "_is_coroutine_mark", None)  # Python 3.12 and later
        if marker is not None and inspect.iscoroutinefunction(function):
            self._is_coroutine_marker = marker


def _seen_as(kind: type) -> Any:
    # pydantic and others distinguish methods from fields by whether they are functions.
    return property(lambda self: kind)


class CachedMethod(_FunctionLike):
    """A cached function in a class body; gives each instance one that is bound to it."""

    __class__ = _seen_as(types.FunctionType)

    def __init__(self, function: Any, wrapper: Any, controls: Any, of_class: bool = False) -> None:
        functools.update_wrapper(self, function)
        self._look_like(function)
        self._wrapper = wrapper
        self._of_class = of_class
        self._held_by_class = False
        self.controls = controls
        self.cache_info = controls.cache_info
        self.cache_clear = controls.cache_clear

    def __set_name__(self, owner: type, name: str) -> None:
        self._held_by_class = True
        self.controls.binder.treat_first_as_instance()

    def cache_invalidate(self, *args: Any, **kwargs: Any) -> Any:
        """Remove the entry of exactly this call (instance or class first); return True if there was one."""
        self._know_class("cache_invalidate", args)
        return self.controls.cache_invalidate(*args, **kwargs)

    def cache_lookup(self, *args: Any, **kwargs: Any) -> Any:
        """Return the `Lookup` of a call (instance or class first) without calling the function."""
        self._know_class("cache_lookup", args)
        return self.controls.cache_lookup(*args, **kwargs)

    def with_lookup(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function (instance or class first); return its answer and the `Lookup` of this call."""
        self._know_class("with_lookup", args)
        return self.controls.with_lookup(*args, **kwargs)

    def _know_class(self, asked: str, args: tuple[Any, ...]) -> None:
        # From Python 3.13 on, a classmethod no longer passes its class to what it wraps when an attribute is read:
        # with @classmethod outside, this object cannot find out the class.
        if self._held_by_class or (args and isinstance(args[0], type)):
            return
        if next(iter(inspect.signature(self.controls.function).parameters), None) == "cls":
            raise TypeError(
                f"{self.__qualname__}.{asked}() cannot know its class, since @classmethod stands above @cache: "  # type: ignore[attr-defined]
                "write @cache above @classmethod"
            )

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if self._of_class:
            instance = owner
        return self if instance is None else _BoundMethod(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Answer from the cache, or call the function."""
        return self._wrapper(*args, **kwargs)

    def __cache_scope__(self) -> Any:
        return self.__wrapped__  # type: ignore[attr-defined]  # as a value, it counts as the function that it wraps

    def __repr__(self) -> str:
        return f"<cached function {self.__qualname__}>"  # type: ignore[attr-defined]

    def __reduce__(self) -> str:
        return str(self.__qualname__)  # type: ignore[attr-defined]  # pickled by name, like a function


class _BoundMethod(_FunctionLike):
    __class__ = _seen_as(types.MethodType)
    # A cached method of one instance. Its documentation is that of the function.
    __doc__ = property(lambda self: self.__func__.__doc__)
    __module__ = property(lambda self: self.__func__.__module__)

    def __init__(self, method: CachedMethod, instance: Any) -> None:
        self.__func__ = method
        self.__self__ = instance
        self._wrapper = method._wrapper

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._wrapper(self.__self__, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        # For attributes that `inspect` and people read; calls do not come here.
        if name == "__signature__":
            signature = inspect.signature(self.__func__.controls.function)
            return signature.replace(parameters=list(signature.parameters.values())[1:])
        return getattr(self.__func__, name)

    def __cache_scope__(self) -> Any:
        return types.MethodType(self.__func__.__wrapped__, self.__self__)  # type: ignore[attr-defined]

    def __reduce__(self) -> Any:
        return getattr, (self.__self__, self.__func__.__name__)  # type: ignore[attr-defined]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BoundMethod) and other.__func__ is self.__func__ and other.__self__ is self.__self__

    def __hash__(self) -> int:
        return hash((id(self.__self__), id(self.__func__)))

    def __repr__(self) -> str:
        return f"<cached method {self.__qualname__} of {self.__self__!r}>"

    def cache_info(self) -> CacheInfo:
        info: CacheInfo = self.__func__.controls.cache_info()
        return info

    def cache_clear(self) -> Any:
        return self.__func__.controls.cache_clear()

    def cache_invalidate(self, *args: Any, **kwargs: Any) -> Any:
        return self.__func__.controls.cache_invalidate(self.__self__, *args, **kwargs)

    def cache_lookup(self, *args: Any, **kwargs: Any) -> Any:
        return self.__func__.controls.cache_lookup(self.__self__, *args, **kwargs)

    def with_lookup(self, *args: Any, **kwargs: Any) -> Any:
        return self.__func__.controls.with_lookup(self.__self__, *args, **kwargs)
