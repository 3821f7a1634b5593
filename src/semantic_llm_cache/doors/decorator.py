"""`@cache`: the door for functions."""

from __future__ import annotations

import contextlib
import functools
import inspect
import typing
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from semantic_llm_cache.calls.context import overrides
from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.calls.settings import CallSettings, check_tags, current
from semantic_llm_cache.config import TTL
from semantic_llm_cache.doors.methods import CachedMethod
from semantic_llm_cache.engine.engine import MISS, SemanticCache
from semantic_llm_cache.keys.binding import BadCall, CallBinder
from semantic_llm_cache.matching.decider import DEFAULT_GUARDS
from semantic_llm_cache.metrics.counters import CacheInfo
from semantic_llm_cache.metrics.pricing import Price
from semantic_llm_cache.runtime import background
from semantic_llm_cache.runtime.breaker import logger
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.values.return_types import return_type

__all__ = ["CachedFunction", "cache", "decorate"]

P = ParamSpec("P")
Q = ParamSpec("Q")
S = TypeVar("S", contravariant=True)
R = TypeVar("R", covariant=True)
F = TypeVar("F", bound=Callable[..., Any])

_BINDING = ("prompt", "ignore", "scope", "version", "normalizer", "key_func")


class CachedFunction(Protocol[P, R]):
    """A cached function: called like the one it wraps, with a few methods of its own.

    Where the function is async, `cache_clear`, `cache_invalidate` and `cache_lookup` are awaited.
    """

    __wrapped__: Callable[..., Any]
    __name__: str
    __qualname__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Answer from the cache, or call the function."""
        ...

    @overload
    def __get__(self, instance: None, owner: type | None = None, /) -> CachedFunction[P, R]: ...
    @overload
    def __get__(
        self: CachedFunction[Concatenate[S, Q], R], instance: S, owner: type | None = None, /
    ) -> CachedFunction[Q, R]: ...

    def cache_info(self) -> CacheInfo:
        """Return the counts of hits and misses."""
        ...

    def cache_clear(self) -> Any:
        """Remove the function's entries (in a shared namespace: the namespace's); return how many."""
        ...

    def cache_invalidate(self, *args: Any, **kwargs: Any) -> Any:
        """Remove the entry of exactly this call; True when there was one."""
        ...

    def cache_lookup(self, *args: Any, **kwargs: Any) -> Any:
        """Return the `Lookup` of this call without calling the function."""
        ...


@overload
def cache(function: Callable[P, R], /) -> CachedFunction[P, R]: ...
@overload
def cache(
    similarity: float = 1.0,
    ttl: TTL = 3600,
    backend: StorageBackend | str | None = None,
    namespace: str = "default",
    enabled: bool = True,
    key_func: Callable[..., str] | None = None,
    *,
    embedder: Any = None,
    prompt: str | None = None,
    ignore: Iterable[str] = (),
    scope: Mapping[str, Any] | Callable[[], Any] | None = None,
    version: str | int | None = None,
    normalizer: Callable[[str], str] | None = None,
    tags: Iterable[str] | Callable[..., Iterable[str]] = (),
    cache_if: Callable[[Any], bool] | None = None,
    result_type: Any = None,
    replay_delay: float | None = None,
    on_event: Callable[[Lookup], object] | None = None,
    on_error: str = "open",
    timeout: float | None = 1.0,
    guards: Any = DEFAULT_GUARDS,
    verify: Any = None,
    verify_band: tuple[float, float] | None = None,
    verify_mode: str = "inline",
    max_error: float | None = None,
    max_error_per_hit: float | None = None,
    same_answer: Any = None,
    seed: int | None = None,
    mode: str = "serve",
    stale_while_revalidate: TTL = None,
    stale_if_error: TTL = None,
    jitter: float = 0.0,
    single_flight: str = "process",
    price: Price = None,
) -> Callable[[Callable[P, R]], CachedFunction[P, R]]: ...
def cache(
    similarity: Any = 1.0,
    ttl: TTL = 3600,
    backend: StorageBackend | str | None = None,
    namespace: str = "default",
    enabled: bool = True,
    key_func: Callable[..., str] | None = None,
    *,
    embedder: Any = None,
    prompt: str | None = None,
    ignore: Iterable[str] = (),
    scope: Mapping[str, Any] | Callable[[], Any] | None = None,
    version: str | int | None = None,
    normalizer: Callable[[str], str] | None = None,
    tags: Iterable[str] | Callable[..., Iterable[str]] = (),
    cache_if: Callable[[Any], bool] | None = None,
    result_type: Any = None,
    replay_delay: float | None = None,
    on_event: Callable[[Lookup], object] | None = None,
    on_error: str = "open",
    timeout: float | None = 1.0,
    guards: Any = DEFAULT_GUARDS,
    verify: Any = None,
    verify_band: tuple[float, float] | None = None,
    verify_mode: str = "inline",
    max_error: float | None = None,
    max_error_per_hit: float | None = None,
    same_answer: Any = None,
    seed: int | None = None,
    mode: str = "serve",
    stale_while_revalidate: TTL = None,
    stale_if_error: TTL = None,
    jitter: float = 0.0,
    single_flight: str = "process",
    price: Price = None,
) -> Any:
    """Cache the answers of a function that calls a model. Use bare (`@cache`) or with options.

    Works on `async def` and `def`, on methods, classmethods and staticmethods (with `@cache` above `@classmethod`:
    the other way round `cache_lookup` and `cache_invalidate` raise TypeError from Python 3.13 on). The function
    keeps its signature, its type and its exceptions; exceptions are never cached, `None`, `""` and `[]` are.

    Args:
        similarity: cosine from 0 to 1 at which a near prompt counts as the same; 1 means equal text only.
        ttl: how long an answer is served: seconds, timedelta, ``"90s"``, ``"1h30m"``, ``"7d"``; None is for
            ever. Counted from the store; a hit does not extend it.
        backend: a `StorageBackend` or URL (``"sqlite:///cache.db"``); None is the process's default.
        namespace: name of the entries for management. In "default" each function has its own entries;
            functions that name the same other namespace share theirs.
        enabled: False lets every call through.
        key_func: called with the function's arguments, returns the exact key as a string. All other
            arguments are then your own responsibility: they no longer keep answers apart, in the near tier
            neither. Name what must with `scope`.
        embedder: an `EmbeddingProvider`, a name (``"auto"``, ``"onnx"``, ``"openai:text-embedding-3-small"``),
            or a sync or async callable from text to vector.
        prompt: the parameter that holds the prompt; else the first of `prompt`, `messages`, `question`,
            `query`, `input`, `text`, `message`, else the only `str` parameter.
        ignore: parameters that do not matter for the answer (a client, a callback), and variables that the
            function closes over. All others must be equal for an answer to serve.
        scope: what else must be equal: a mapping, or a callable that returns it for each call.
        version: starts a fresh space when it changes, e.g. with the prompt template.
        normalizer: applied to the text before both tiers, e.g. `utils.normalize_prompt`.
        tags: labels for `invalidate(tags=...)`, or a callable that makes them from the call's arguments.
        cache_if: called with a fresh answer; False keeps it out of the cache.
        replay_delay: for generators: seconds between the chunks of a hit; None replays at once.
        result_type: the type stored answers are rebuilt to, where the return annotation does not say.
        on_event: called with the `Lookup` of every call.
        on_error: ``"open"``, or ``"raise"`` to see trouble of storage and embedder.
        timeout: seconds that each storage operation or embedding may take.
        guards: what looks for differences that cosine cannot tell; None for none.
        verify, verify_band, verify_mode: a second opinion about near candidates; see `SemanticCache`.
        max_error, max_error_per_hit, same_answer, seed: a bound on wrong answers, learned online; see
            `SemanticCache`.
        mode: ``"shadow"`` always calls and records what the cache would have answered.
        stale_while_revalidate, stale_if_error, jitter: how long past its TTL an answer may still serve, and how
            much TTLs vary; see `SemanticCache`.
        single_flight: ``"process"``: concurrent calls for one key run the function once in this process;
            ``"shared"``: once in all processes that use the backend. See `SemanticCache`.
        price: `CacheConfig` with rates per 1,000 tokens, or ``(input_tokens, output_tokens, response) -> USD``.

    Raises:
        TypeError, ValueError: when decorating, naming the argument.
        EmbeddingUnavailableError: when decorating with `similarity` below 1 and no usable embedder.
        CacheKeyError: when calling with an argument that has no stable fingerprint.

    Example:
        >>> import asyncio
        >>> @cache(ttl="1h")
        ... async def ask(prompt: str, model: str = "small") -> str:
        ...     return f"{model}: {len(prompt)}"
        >>> asyncio.run(ask("hello"))
        'small: 5'
    """
    bare = similarity if callable(similarity) or isinstance(similarity, (classmethod, staticmethod)) else None
    engine = SemanticCache(
        backend,
        embedder=embedder,
        similarity=1.0 if bare is not None else similarity,
        ttl=ttl,
        namespace=namespace,
        enabled=enabled,
        guards=guards,
        verify=verify,
        verify_band=verify_band,
        verify_mode=verify_mode,
        max_error=max_error,
        max_error_per_hit=max_error_per_hit,
        same_answer=same_answer,
        seed=seed,
        mode=mode,
        stale_while_revalidate=stale_while_revalidate,
        stale_if_error=stale_if_error,
        jitter=jitter,
        single_flight=single_flight,
        on_event=on_event,
        on_error=on_error,
        timeout=timeout,
        tags=() if callable(tags) else tags,
        cache_if=cache_if,
        price=price,
    )
    options = {
        "prompt": prompt, "ignore": ignore, "scope": scope, "version": version, "normalizer": normalizer,
        "key_func": key_func,
    }  # fmt: skip
    door = {"result_type": result_type, "replay_delay": replay_delay, "tags_of": tags if callable(tags) else None}
    if bare is not None:
        return _wrap(bare, engine, options, door)
    return lambda function: _wrap(function, engine.derive(), options, door)


def decorate(engine: SemanticCache, function: Any, options: dict[str, Any]) -> Any:
    """`cache` bound to an engine: options of the call's binding, the rest overrides the engine's."""
    rest = dict(options)
    binding = {name: rest.pop(name) for name in _BINDING if name in rest}
    door: dict[str, Any] = {name: rest.pop(name) for name in ("result_type", "replay_delay") if name in rest}
    if callable(rest.get("tags")):
        door["tags_of"] = rest.pop("tags")
    derived = engine.derive(**rest)
    if function is None:
        return lambda f: _wrap(f, derived.derive(), binding, door)
    return _wrap(function, derived, binding, door)


def _wrap(
    function: Any,
    engine: SemanticCache,
    options: Mapping[str, Any],
    door: Mapping[str, Any],
) -> Any:
    if isinstance(function, staticmethod):
        return staticmethod(_wrap(function.__func__, engine, options, door))
    if isinstance(function, classmethod):
        inner = _wrap(function.__func__, engine, options, door)
        return CachedMethod(inner.__wrapped__, inner.__call__, inner.controls, of_class=True)
    if not callable(function):
        raise TypeError(f"cache() decorates functions, not {function!r}")
    replay_delay = door.get("replay_delay")
    if replay_delay is not None and (isinstance(replay_delay, bool) or not isinstance(replay_delay, (int, float))):
        raise TypeError(f"replay_delay={replay_delay!r} must be seconds between chunks, or None")
    if replay_delay is not None and replay_delay < 0:
        raise ValueError(f"replay_delay={replay_delay!r} must not be negative")
    for name in ("version",):
        value = options.get(name)
        if value is not None and not isinstance(value, (str, int)):
            raise TypeError(f"{name}={value!r} must be a string or a number")
    for name in ("normalizer", "key_func"):
        value = options.get(name)
        if value is not None and not callable(value):
            raise TypeError(f"{name}={value!r} must be callable, or None")
    binder = CallBinder(function, namespace=engine.namespace, **options)
    controls = _Controls(function, engine, binder, door)
    if controls.streams:
        make = _async_stream_wrapper if controls.is_async else _plain_stream_wrapper
    else:
        make = _async_wrapper if controls.is_async else _plain_wrapper
    wrapper = make(controls)
    if _in_class_body(function):
        return CachedMethod(function, wrapper, controls)
    functools.update_wrapper(wrapper, function)
    for name in ("cache_info", "cache_clear", "cache_invalidate", "cache_lookup"):
        setattr(wrapper, name, getattr(controls, name))
    wrapper.__dict__["cache_controls"] = controls
    return wrapper


def _in_class_body(function: Any) -> bool:
    if getattr(function, "__self__", None) is not None:
        return False  # bound already
    holder = getattr(function, "__qualname__", "").rpartition(".")[0]
    return bool(holder) and not holder.endswith("<locals>")


class _Controls:
    """What a cached function knows of itself, and the methods it offers."""

    def __init__(
        self,
        function: Any,
        engine: SemanticCache,
        binder: CallBinder,
        door: Mapping[str, Any],
    ) -> None:
        self.function = function
        self.engine = engine
        self.binder = binder
        inner = function
        while isinstance(inner, functools.partial):
            inner = inner.func
        self.streams = inspect.isasyncgenfunction(inner) or inspect.isgeneratorfunction(inner)
        self.is_async = inspect.isasyncgenfunction(inner) or _is_async(function)
        self.replay_delay: float | None = door.get("replay_delay")
        self.tags_of: Callable[..., Iterable[str]] | None = door.get("tags_of")
        result_type = door.get("result_type")
        self.tag = f"function:{binder.name}"
        target = result_type if result_type is not None else return_type(function)
        if self.streams and result_type is None:
            # Of an iterator of chunks the stored answer is the list of them.
            kinds = typing.get_args(target)
            target = list[kinds[0]] if kinds else list  # type: ignore[valid-type]
        self.settings = engine.settings(target, (self.tag,))
        self._identified: weakref.WeakSet[StorageBackend] = weakref.WeakSet()

    def now(self) -> tuple[CallSettings, str | None]:
        """Return the settings of a call made at this moment, and the namespace of a context if one names it."""
        return current(self.engine, self.settings)

    def tagged(self, settings: CallSettings, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallSettings:
        """Return the settings with the labels that a callable `tags` makes of this call."""
        if self.tags_of is None:
            return settings
        return replace(settings, tags=(*settings.tags, *check_tags(self.tags_of(*args, **kwargs))))

    def identify(self) -> None:
        """Have the backend notice two different functions that go by one name."""
        backend = self.engine.backend
        if backend not in self._identified:
            self._identified.add(backend)
            identity = self.binder.identity
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
            if self.engine.namespace == "default" and identity is not None:
                self.engine.note_identity(identity, self.binder.written)

    def request(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the request of a call as it would be made now."""
        return self.binder.bind(args, kwargs, self.now()[1])

    def _run(self, coroutine: Any) -> Any:
        return coroutine if self.is_async else background.run(coroutine)

    def cache_info(self) -> CacheInfo:
        return self.engine.info()

    def cache_clear(self) -> Any:
        return self._run(self._clear())

    async def _clear(self) -> int:
        count = 0
        backend = self.engine.backend
        if self.engine.namespace != "default":
            count += await backend.clear(self.engine.namespace)
        return count + await backend.invalidate(tags=[self.tag])

    def cache_invalidate(self, *args: Any, **kwargs: Any) -> Any:
        return self._run(self.engine.remove(self.request(args, kwargs)))

    def cache_lookup(self, *args: Any, **kwargs: Any) -> Any:
        settings, namespace = self.now()
        return self._run(self.engine.probe(self.binder.bind(args, kwargs, namespace), settings))


def _is_async(function: Any) -> bool:
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(getattr(inner, "__call__", None))


def _async_wrapper(controls: _Controls) -> Any:
    # Bound once: the way of an exact hit in memory is these few lines and `quick`.
    engine, function, settings = controls.engine, controls.function, controls.settings
    recall, quick, context = controls.binder.recall, engine.quick, overrides.get

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        now, namespace, request = settings, None, None
        if context() is None:
            if settings.enabled:
                request = recall(args, kwargs)
                if request is not None:
                    value = quick(request, settings)
                    if value is not MISS:
                        return value
        else:
            now, namespace = controls.now()
        if not now.enabled:
            engine.bypassed(namespace)
            return await function(*args, **kwargs)
        if request is None:
            try:
                request = controls.binder.bind(args, kwargs, namespace)
            except BadCall:
                return await function(*args, **kwargs)  # raises the function's own TypeError
        controls.identify()
        now = controls.tagged(now, args, kwargs)
        return await engine.get_or_call(request, lambda: function(*args, **kwargs), settings=now)

    return wrapper


def _plain_wrapper(controls: _Controls) -> Any:
    engine, function, settings = controls.engine, controls.function, controls.settings
    recall, quick, context = controls.binder.recall, engine.quick, overrides.get

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        now, namespace, request = settings, None, None
        if context() is None:
            if settings.enabled:
                request = recall(args, kwargs)
                if request is not None:
                    value = quick(request, settings)
                    if value is not MISS:
                        return value
        else:
            now, namespace = controls.now()
        if not now.enabled:
            engine.bypassed(namespace)
            return function(*args, **kwargs)
        if request is None:
            try:
                request = controls.binder.bind(args, kwargs, namespace)
            except BadCall:
                return function(*args, **kwargs)
        controls.identify()
        now = controls.tagged(now, args, kwargs)
        return engine.get_or_call_blocking(request, lambda: function(*args, **kwargs), settings=now)

    return wrapper


def _stream_request(controls: _Controls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, CallSettings]:
    """Return the request and settings of a streaming call; None for one that does not fit or is not cached."""
    now, namespace = controls.now()
    if not now.enabled:
        controls.engine.bypassed(namespace)
        return None, now
    try:
        request = controls.binder.bind(args, kwargs, namespace)
    except BadCall:
        return None, now
    controls.identify()
    return request, controls.tagged(now, args, kwargs)


def _async_stream_wrapper(controls: _Controls) -> Any:
    from semantic_llm_cache.streams.stream import stream

    engine, function = controls.engine, controls.function

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        request, now = _stream_request(controls, args, kwargs)
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
        request, now = _stream_request(controls, args, kwargs)
        if request is None:
            yield from function(*args, **kwargs)
        else:
            source = functools.partial(function, *args, **kwargs)
            yield from stream_blocking(engine, request, source, now, controls.replay_delay)

    return wrapper
