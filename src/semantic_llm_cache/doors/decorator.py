"""The result of `@cache`: a wrapper that answers from the cache, and its methods."""

from __future__ import annotations

import contextlib
import functools
import inspect
import typing
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from semantic_llm_cache.arguments import check_tags
from semantic_llm_cache.calls.context import overrides
from semantic_llm_cache.calls.evidence import Evidence, read_dependencies
from semantic_llm_cache.calls.lookup import Lookup, forget, last_lookup
from semantic_llm_cache.calls.settings import CallSettings, current
from semantic_llm_cache.engine.engine import Engine
from semantic_llm_cache.engine.options import ENGINE_OPTIONS, FUNCTION_OPTIONS, refuse_unknown
from semantic_llm_cache.engine.outcome import MISS
from semantic_llm_cache.keys.binding import BadCall, CallBinder
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.metrics.counters import CacheInfo
from semantic_llm_cache.runtime import background
from semantic_llm_cache.runtime.breaker import logger
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.key_check import require_key
from semantic_llm_cache.values.annotations import meaning
from semantic_llm_cache.values.return_types import called, part_of, returned

__all__ = ["CachedFunction", "FunctionOptions", "bind", "refuse_idle", "split"]

P = ParamSpec("P")
Q = ParamSpec("Q")
T = TypeVar("T")
S = TypeVar("S")
R = TypeVar("R", covariant=True)


class _Anything:
    """Only a parameter without a type, or of type `object`, takes this."""


class CachedFunction(Generic[P, R]):
    """What type checkers see of a cached function: called like the one it wraps, with a few methods of its own.

    If the function is async, await `cache_clear`, `cache_invalidate` and `cache_lookup`.

    At run time it is a function, or a `CachedMethod`. This is no Protocol because mypy ignores the first parameter of a
    Protocol when it chooses among the overloads of `__get__`.
    """

    __wrapped__: Callable[..., Any]
    __name__: str
    __qualname__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Answer from the cache, or call the function."""
        raise NotImplementedError

    # In this order: a function that takes anything first, from the class; a class method, from the class and from an
    # instance; any other function, from the class; a method; a static method, from an instance. Type checkers drop
    # `classmethod` and `staticmethod`: the first parameter is all they have.
    @overload
    def __get__(  # type: ignore[misc]  # this class is no first parameter of these functions
        self: Callable[Concatenate[_Anything, Q], R], instance: None, owner: type | None = None, /
    ) -> CachedFunction[P, R]: ...
    @overload
    def __get__(  # type: ignore[misc]
        self: Callable[Concatenate[type[S], Q], R], instance: None, owner: type[S], /
    ) -> CachedFunction[Q, R]: ...
    @overload
    def __get__(  # type: ignore[misc]
        self: Callable[Concatenate[type[S], Q], R], instance: S, owner: type[S] | None = None, /
    ) -> CachedFunction[Q, R]: ...
    @overload
    def __get__(self, instance: None, owner: type | None = None, /) -> CachedFunction[P, R]: ...
    @overload
    def __get__(
        self: Callable[Concatenate[S, Q], R], instance: S, owner: type | None = None, /
    ) -> CachedFunction[Q, R]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None, /) -> CachedFunction[P, R]: ...
    def __get__(self, instance: Any, owner: Any = None, /) -> Any:
        """Return the function as an attribute of a class or of an instance."""
        raise NotImplementedError

    def cache_info(self) -> CacheInfo:
        """Return the counts of hits and misses."""
        raise NotImplementedError

    @overload
    def cache_clear(self: _Waits[P]) -> Coroutine[Any, Any, int]: ...  # type: ignore[overload-overlap]
    @overload
    def cache_clear(self) -> int: ...
    def cache_clear(self) -> Any:
        """Remove the function's entries (in a shared namespace: the namespace's); return how many."""
        raise NotImplementedError

    @overload
    def cache_invalidate(self: _Waits[P], *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, bool]: ...  # type: ignore[overload-overlap]
    @overload
    def cache_invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool: ...
    def cache_invalidate(self, *args: Any, **kwargs: Any) -> Any:
        """Remove the entry of exactly this call; return True if there was one."""
        raise NotImplementedError

    @overload
    def cache_lookup(self: _Waits[P], *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, Lookup]: ...  # type: ignore[overload-overlap]
    @overload
    def cache_lookup(self, *args: P.args, **kwargs: P.kwargs) -> Lookup: ...
    def cache_lookup(self, *args: Any, **kwargs: Any) -> Any:
        """Return the `Lookup` of this call without calling the function."""
        raise NotImplementedError

    @overload
    def with_lookup(  # type: ignore[overload-overlap]  # the first that fits is meant
        self: CachedFunction[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, tuple[T, Lookup]]: ...
    @overload
    def with_lookup(self, *args: P.args, **kwargs: P.kwargs) -> tuple[R, Lookup]: ...
    def with_lookup(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Call the function, and return its answer together with the `Lookup` of this very call.

        Unlike `last_lookup`, it cannot name another call, whatever task, thread or chain it is called in.

        Raises:
            TypeError: the function is a generator. Read its stream to the end, then ask `last_lookup()`.
        """
        raise NotImplementedError


if TYPE_CHECKING:
    _Waits = CachedFunction[P, Coroutine[Any, Any, Any]] | CachedFunction[P, AsyncIterator[Any]]
    """A cached function that is async."""


class FunctionOptions:
    """The options that only a decorated function has.

    Attributes:
        binding: the arguments for `CallBinder`.
        result_type: the type to rebuild stored answers to.
        replay_delay: seconds between the chunks of a replayed stream.
        tags_of: makes labels from the call's arguments.
        depends_on: makes what the answer rests on from the call's arguments.
    """

    __slots__ = ("binding", "depends_on", "replay_delay", "result_type", "tags_of")

    def __init__(
        self,
        binding: dict[str, Any],
        result_type: Any = None,
        replay_delay: float | None = None,
        tags_of: Callable[..., Iterable[str]] | None = None,
        depends_on: Callable[..., Any] | None = None,
    ) -> None:
        self.binding = binding
        self.result_type = result_type
        self.replay_delay = replay_delay
        self.tags_of = tags_of
        self.depends_on = depends_on


def split(options: Mapping[str, Any]) -> tuple[dict[str, Any], FunctionOptions]:
    """Return the options for the engine, and those for the function.

    Raises:
        TypeError, ValueError: an option is unknown, or an option of the function cannot be used.
    """
    refuse_unknown(options, (*ENGINE_OPTIONS, *FUNCTION_OPTIONS))
    given = {name: FUNCTION_OPTIONS[name].check(options[name], name) for name in options if name in FUNCTION_OPTIONS}
    engine = {name: value for name, value in options.items() if name not in FUNCTION_OPTIONS}
    rest: dict[str, Any] = {name: given.pop(name) for name in ("result_type", "replay_delay") if name in given}
    # These two are options of the engine too, unless they are callables.
    for name, kept_as in (("tags", "tags_of"), ("depends_on", "depends_on")):
        if name in given:
            value = given.pop(name)
            if callable(value):
                rest[kept_as] = value
            else:
                engine[name] = value
    return engine, FunctionOptions(given, **rest)


def _misfit(make: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """Return why a callable does not take these arguments; None if it does, or if its signature is unknown."""
    try:
        inspect.signature(make).bind(*args, **kwargs)
    except ValueError:
        return None
    except TypeError as error:
        return str(error)
    return None


def refuse_idle(given: Mapping[str, Any], engine: Engine) -> None:
    """Raise ValueError for an embedder or verifier that a decorator names though its function matches equal text only.

    A `SemanticCache` may have one for decorators, contexts and requests to come, so this is not for its own options.
    """
    for name in ("embedder", "verify"):
        if given.get(name) is not None and engine.similarity >= 1:
            raise ValueError(
                f"{name}= has no effect with similarity=1, which matches equal text only: give similarity=0.9, say, or "
                f"leave {name}= out (a SemanticCache takes one that only some functions or contexts use)"
            )


def bind(function: Any, engine: Engine, options: FunctionOptions) -> Any:
    """Return `function` cached by `engine`, which must be its own: it counts the function's calls."""
    if isinstance(function, staticmethod):
        return staticmethod(bind(function.__func__, engine, options))
    if isinstance(function, classmethod):
        from semantic_llm_cache.doors.methods import CachedMethod

        inner = bind(function.__func__, engine, options)
        return CachedMethod(inner.__wrapped__, inner.__call__, inner.controls, of_class=True)
    if not callable(function):
        raise TypeError(f"cache() decorates functions, not {function!r}")
    controls = _Controls(function, engine, options)
    if controls.streams:
        make = _async_stream_wrapper if controls.is_async else _plain_stream_wrapper
    else:
        make = _async_wrapper if controls.is_async else _plain_wrapper
    wrapper = make(controls)
    if _in_class_body(function):
        from semantic_llm_cache.doors.methods import CachedMethod

        return CachedMethod(function, wrapper, controls)
    functools.update_wrapper(wrapper, function)
    for name in ("cache_info", "cache_clear", "cache_invalidate", "cache_lookup", "with_lookup"):
        setattr(wrapper, name, getattr(controls, name))
    wrapper.__dict__["cache_controls"] = controls
    return wrapper


def _in_class_body(function: Any) -> bool:
    if getattr(function, "__self__", None) is not None:
        return False  # already bound
    holder = getattr(function, "__qualname__", "").rpartition(".")[0]
    return bool(holder) and not holder.endswith("<locals>")


class _Controls:
    """The state of a cached function, and its methods."""

    def __init__(self, function: Any, engine: Engine, options: FunctionOptions) -> None:
        self.function = function
        self.engine = engine
        self.binder = CallBinder(function, namespace=engine.namespace, **options.binding)
        self.binder.template = engine.template
        inner = called(function)
        self.streams = inspect.isasyncgenfunction(inner) or inspect.isgeneratorfunction(inner)
        self.replay_delay = options.replay_delay
        self.tags_of = options.tags_of
        self.tag = f"function:{self.binder.name}"
        self.returned = returned(function, options.result_type)
        if self.streams and options.result_type is None:
            # For an iterator of chunks, the stored answer is the list of chunks.
            self.returned = replace(self.returned, target=part_of(self.returned.target, _list_of_chunks))
        self.is_async = inspect.isasyncgenfunction(inner) or _is_async(function, inner) or self.returned.awaitable
        self.settings = replace(engine.settings(self.returned.target, (self.tag,)), returned=self.returned)
        self.depends_on = options.depends_on
        if self.depends_on is not None and self.settings.evidence is None:
            self.settings = replace(self.settings, evidence=Evidence({}))
        self._identified: weakref.WeakSet[StorageBackend] = weakref.WeakSet()

    def now(self) -> tuple[CallSettings, str | None]:
        """Return the settings of a call made now, and the namespace if a context sets one."""
        return current(self.engine, self.settings)

    def tagged(self, settings: CallSettings, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallSettings:
        """Return the settings with what callables for `tags` and `depends_on` make for this call."""
        if self.tags_of is not None:
            settings = replace(
                settings, tags=(*settings.tags, *check_tags(self._made("tags", self.tags_of, args, kwargs)))
            )
        if self.depends_on is not None and settings.evidence is not None:
            versions = read_dependencies(self._made("depends_on", self.depends_on, args, kwargs))
            settings = replace(settings, evidence=settings.evidence.plus(versions))
        return settings

    def _made(self, name: str, make: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what the callable of an option makes from the arguments of a call."""
        try:
            return make(*args, **kwargs)
        except TypeError as error:
            wrong = _misfit(make, args, kwargs)
            if wrong is None:
                raise
            raise TypeError(
                f"{name}= is called with the arguments of the call to {self.binder.name}: {wrong}"
            ) from error

    def plan(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], request: Request | None = None
    ) -> tuple[Request | None, CallSettings]:
        """Return the request and settings of a call.

        None for the request means: call the function itself, because caching is off, or because the arguments
        do not fit and it raises its own TypeError. `request` is the request of the call, if known.
        """
        forget()  # whatever happens now, the call before this one must not pass for it
        now, namespace = self.now()
        if not now.enabled:
            self.engine.bypassed(namespace)
            return None, now
        if request is None:
            try:
                request = self.binder.bind(args, kwargs, namespace)
            except BadCall:
                return None, now
        self._identify()
        return request, self.tagged(now, args, kwargs)

    def _identify(self) -> None:
        """Warn, once per backend, if answers are shared with more or fewer functions than expected."""
        backend, state = self.engine.bound()
        if backend in self._identified:
            return
        self._identified.add(backend)
        opaque = self.binder.opaque
        if opaque and not backend.in_process:
            logger.warning(
                "semantic-llm-cache: %s closes over %r, whose value has no stable fingerprint, so it shares "
                "answers with no other process and no other function: leave it out with ignore=(%r,), or say who "
                "shares with namespace= or scope=",
                self.binder.name,
                opaque[0],
                opaque[0],
            )
        identity = self.binder.identity
        if (
            self.engine.namespace == "default"
            and identity is not None
            and state.is_taken(identity, self.binder.written)
        ):
            self.engine.notices.warn_once(
                "identity",
                f"two different functions are cached as {identity}, and answer for each other where their arguments "
                "are equal: give each its own namespace= or scope=",
            )

    def request(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the request of a call made now."""
        return self.binder.bind(args, kwargs, self.now()[1])

    def _run(self, coroutine: Any) -> Any:
        return coroutine if self.is_async else background.run(coroutine)

    def cache_info(self) -> CacheInfo:
        return self.engine.info()

    def cache_clear(self) -> Any:
        return self._run(self._clear())

    async def _clear(self) -> int:
        count = 0
        backend = await require_key(self.engine.backend)
        if self.engine.namespace != "default":
            count += await backend.clear(self.engine.namespace)
        return count + await backend.invalidate(tags=[self.tag])

    def cache_invalidate(self, *args: Any, **kwargs: Any) -> Any:
        return self._run(self.engine.remove(self.request(args, kwargs)))

    def cache_lookup(self, *args: Any, **kwargs: Any) -> Any:
        settings, namespace = self.now()
        request = self.binder.bind(args, kwargs, namespace)
        return self._run(self.engine.probe(request, self.tagged(settings, args, kwargs)))

    # Nothing here may hold the wrapper: a decorated function that is dropped is freed with its engine at once.
    def with_lookup(self, *args: Any, **kwargs: Any) -> Any:
        if self.streams:
            raise TypeError(
                f"{self.binder.name} is a generator, and its Lookup is only known once the stream has ended: read it "
                "to the end, then call last_lookup() in the same task or thread"
            )
        if self.is_async:
            return self._awaited(args, kwargs)
        return _plain_wrapper(self)(*args, **kwargs), _lookup_made(self)

    async def _awaited(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return await _async_wrapper(self)(*args, **kwargs), _lookup_made(self)


def _is_async(function: Any, inner: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(inner)


def _list_of_chunks(iterator: Any) -> Any:
    kinds = typing.get_args(meaning(iterator))
    return list[kinds[0]] if kinds else list  # type: ignore[valid-type]


def _async_wrapper(controls: _Controls) -> Any:
    # An exact hit in memory takes only these few lines and `quick`, so names are bound once. The lines are repeated in
    # `_plain_wrapper`: one more function call would add a tenth to the time.
    engine, function, settings = controls.engine, controls.function, controls.settings
    recall, quick, context = controls.binder.recall, engine.quick, overrides.get

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        request = None
        if context() is None and settings.enabled:
            try:
                request = recall(args, kwargs)
            except BaseException:  # of a callable `scope`
                forget()
                raise
            if request is not None:
                value = quick(request, settings)
                if value is not MISS:
                    return value
        request, now = controls.plan(args, kwargs, request)
        if request is None:
            return await function(*args, **kwargs)
        return await engine.get_or_call(request, lambda: function(*args, **kwargs), settings=now)

    return wrapper


def _plain_wrapper(controls: _Controls) -> Any:
    engine, function, settings = controls.engine, controls.function, controls.settings
    recall, quick, context = controls.binder.recall, engine.quick, overrides.get

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        request = None
        if context() is None and settings.enabled:
            try:
                request = recall(args, kwargs)
            except BaseException:  # of a callable `scope`
                forget()
                raise
            if request is not None:
                value = quick(request, settings)
                if value is not MISS:
                    return value
        request, now = controls.plan(args, kwargs, request)
        if request is None:
            return function(*args, **kwargs)
        return engine.get_or_call_blocking(request, lambda: function(*args, **kwargs), settings=now)

    return wrapper


def _lookup_made(controls: _Controls) -> Lookup:
    """Return the record of the call that has just ended in this context."""
    found = last_lookup()
    if found is None:  # arguments that do not fit, with a function that does not mind
        found = Lookup("bypass", "the arguments do not fit", namespace=controls.engine.namespace)
    return found


def _async_stream_wrapper(controls: _Controls) -> Any:
    from semantic_llm_cache.streams.stream import stream

    engine, function = controls.engine, controls.function

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        request, now = controls.plan(args, kwargs)
        if request is None:
            chunks = function(*args, **kwargs)
        else:
            chunks = stream(engine, request, lambda: function(*args, **kwargs), now, controls.replay_delay)
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    return wrapper


def _plain_stream_wrapper(controls: _Controls) -> Any:
    from semantic_llm_cache.streams.stream import stream_blocking

    engine, function = controls.engine, controls.function

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        request, now = controls.plan(args, kwargs)
        if request is None:
            yield from function(*args, **kwargs)
        else:
            source = functools.partial(function, *args, **kwargs)
            yield from stream_blocking(engine, request, source, now, controls.replay_delay)

    return wrapper
