"""`SemanticCache`: the one path that every call takes, whatever door it came through.

call -> exact: key in the backend?                                  -> hit
     -> near: embed -> nearest in the same scope -> policy says same -> hit
     -> join the same call if one is in flight                       -> coalesced
     -> run the function -> store -> answer
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from time import perf_counter
from typing import Any

from semantic_llm_cache.calls import lookup as lookups
from semantic_llm_cache.calls.context import overrides
from semantic_llm_cache.calls.control import NOT_CACHED
from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.calls.settings import CallSettings, check_tags, current
from semantic_llm_cache.config import TTL, parse_ttl
from semantic_llm_cache.engine.lead import AGAIN, MISS, Leading, maybe_await, need_asyncio
from semantic_llm_cache.engine.reporting import exact_lookup
from semantic_llm_cache.engine.search import ALONE, Found, Outage
from semantic_llm_cache.exceptions import CacheNotFoundError
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.runtime import background
from semantic_llm_cache.storage.registry import get_default_backend
from semantic_llm_cache.values.encoding import thaw
from semantic_llm_cache.values.offload import is_large
from semantic_llm_cache.values.rebuilding import rebuild

__all__ = ["MISS", "SemanticCache"]

_PLAIN = frozenset({str, int, float, bool, type(None), bytes})


class SemanticCache(Leading):
    """The engine: looks up, calls, stores. Decorators and clients are doors to it.

    Args:
        backend: a `StorageBackend` or URL (``memory://``, ``sqlite:///cache.db``); None is the process's
            default, see `get_default_backend`.
        embedder: an `EmbeddingProvider`, a name (``"auto"``, ``"onnx"``, ``"openai:..."``), or a callable from
            text to vector; None is ``"auto"``. Needed only where `similarity` is below 1.
        similarity: cosine from 0 to 1 at which a near prompt counts as the same; 1 means equal text only.
        ttl: how long an answer is served: seconds, timedelta, ``"1h30m"``; None is for ever.
        namespace: name of the entries for management; a part of the scope.
        enabled: False lets every call through. So does ``SEMANTIC_LLM_CACHE_DISABLED=1``.
        guards: what looks for differences in meaning that cosine cannot tell: ``"default"``, None, names of
            rules, or callables; see `matching.guards`.
        verify: a sync or async callable ``(prompt, candidate_prompt, response) -> bool | float`` asked about
            near candidates that passed threshold and guards; see `matching.verify` for ready-made ones.
        verify_band: ask only between these two similarities, refuse below, accept above.
        verify_mode: ``"inline"``, or ``"background"``: the caller gets a fresh answer now, and a yes makes both
            prompts aliases of one answer for the next time.
        max_error: bound on the share of all requests that are answered wrongly, learned online; `similarity`
            is then the floor under which no candidate is looked at (0.5 if not given). See
            ``docs/error-budget.md``.
        max_error_per_hit: the same for the share of hits that are wrong.
        same_answer: ``(fresh, stored) -> bool | float``, tells the online policy and shadow mode whether two
            answers say the same. Default: equal up to case and marks, or for long answers near in meaning.
        seed: makes the online policy's draws repeatable.
        mode: ``"serve"``, or ``"shadow"``: always call, and record what the cache would have answered.
        on_event: called with the `Lookup` of every call.
        on_error: ``"open"``: trouble with storage or embedder costs the caller nothing but the saving;
            ``"raise"``: it raises `CacheBackendError` or `EmbeddingUnavailableError`.
        timeout: seconds that each storage operation or embedding may take; None is no limit.
        stale_while_revalidate: how long after its TTL an answer is still served, while a fresh one is fetched in
            the background. `stale_if_error`: how long after its TTL it is served when the call fails. Both for
            equal text only; forms as for `ttl`.
        jitter: share of the TTL, up to 1, by which it is shortened at random, so that answers stored together do
            not expire together.
        single_flight: ``"process"``: of concurrent calls for one key, one in this process runs the function.
            ``"shared"``: one in all processes on the same Redis, PostgreSQL or SQLite file; the others wait for
            its answer, of streams for the whole one, which they then replay. When it fails or dies another one
            calls; when the storage fails each process calls for itself. One more round trip for each miss.
        clock: wall time in seconds, for tests; replaces the backend's too.
        tags: labels of the entries stored.
        cache_if: called with a fresh answer; False keeps it out of the cache.
        price: `CacheConfig` with rates per 1,000 tokens, or a callable ``(input_tokens, output_tokens,
            response) -> USD``.
        max_prompt, max_response: longest prompt, and longest answer in its stored form, that are stored,
            in characters.

    Raises:
        ValueError, TypeError: naming the argument.
        EmbeddingUnavailableError: `similarity` below 1 and no usable embedder.

    Example:
        >>> import asyncio
        >>> from semantic_llm_cache import Request, SemanticCache
        >>> async def main():
        ...     async with SemanticCache("memory://") as cache:
        ...         async def call():
        ...             return "42"
        ...         request = Request("demo", {"model": "m"}, "What is six times seven?")
        ...         await cache.get_or_call(request, call)
        ...         return (await cache.lookup(request)).outcome
        >>> asyncio.run(main())
        'exact'
    """

    _neutral_in_keys = True  # as a field of an instance: see `known_types`

    def settings(self, target: Any = Any, tags: tuple[str, ...] = ()) -> CallSettings:
        """Return the settings of a door's calls: what type answers are, and labels of its own."""
        return replace(self._settings, target=target, tags=(*self.tags, *tags))

    def _in_context(self, request: Request, settings: CallSettings) -> tuple[CallSettings, Request]:
        """Return settings and request as a `CacheContext` around the call has them; doors have asked already."""
        if overrides.get() is None:
            return settings, request
        settings, namespace = current(self, settings)
        return settings, request if namespace is None else request.within(namespace)

    def derive(self, **options: Any) -> SemanticCache:
        """Return an engine with some options changed, on the same backend."""
        unknown = [name for name in options if name not in self._options]
        if unknown:
            raise TypeError(f"unknown option {unknown[0]!r}: known are {', '.join(self._options)}")
        return SemanticCache(**{**self._options, **options})

    def cache(self, function: Any = None, /, **options: Any) -> Any:
        """Return a decorator (or decorate `function`) bound to this engine.

        Takes the options of `semantic_llm_cache.cache`; those not given are the engine's.
        """
        from semantic_llm_cache.doors.decorator import decorate

        return decorate(self, function, options)

    # ---------------------------------------------------------------------- the quick way

    def quick(self, request: Request, settings: CallSettings) -> Any:
        """Return the answer to an exact hit that this process holds, in memory or in a front, else `MISS`."""
        backend = self._backend if self._backend is not None else get_default_backend()
        if self._long_way or settings.control is not None:
            return MISS
        started = perf_counter()
        try:
            if backend.in_process:
                entry = backend.peek(request.key)
            elif backend.front is not None:
                entry = backend.front.get(request.key)
            else:
                return MISS
            if entry is None:
                return MISS
            now = self.clock()
            if entry.ttl is not None and now >= entry.created_at + entry.ttl - self._stale_window:
                return MISS
            value = entry.response
            if type(value) not in _PLAIN:
                if is_large(value) and asyncio._get_running_loop() is not None:
                    return MISS  # the long way copies it in a thread
                value = rebuild(thaw(value), settings.target)
        except Exception:
            return MISS  # the long way meets the same trouble and deals with it
        if self._bounded:
            _, state = self.bound()
            policy = state.policies.get(self.policy_name())
            if policy is None:
                return MISS  # what it has learned must be read first
            policy.count_exact()
        if backend.in_process:
            entry.hit_count += 1
            entry.last_accessed = now
        else:
            self.bound()[1].note_hit(request.key, now)
        counters = self._hot
        if counters is None or counters.namespace != request.namespace or self._state_backend is not backend:
            self.bound()
            counters = self._hot = self.counters(request.namespace)
        counters.exact += 1
        counters.saved_usd += entry.cost_usd
        took = (perf_counter() - started) * 1000
        counters.saved_ms += entry.duration_ms - took
        counters.hit_times.append(took)
        lookups.remember((exact_lookup, self.reference, request, entry, now, took))
        if self.on_event is not None:
            self._tell(exact_lookup(self.reference, request, entry, now, took))
        return value

    # ---------------------------------------------------------------------- public calls

    async def lookup(self, request: Request, *, result_type: Any = Any, settings: CallSettings | None = None) -> Lookup:
        """Return what the cache knows, exact then near, without calling anything. Counts as a request.

        The answer is in `Lookup.response` when `Lookup.hit`.

        Args:
            request: what is asked.
            result_type: the type that the answer is rebuilt to.
            settings: of a door that has asked the contexts around the call; None asks them here.

        Raises:
            CacheBackendError, EmbeddingUnavailableError: only with ``on_error="raise"``.
        """
        if settings is None:
            settings, request = self._in_context(request, self.settings(result_type))
        lookup = await self.probe(request, settings, counting=True)
        lookups.remember(lookup)
        self._count(lookup)
        self._tell(lookup)
        return lookup

    async def probe(self, request: Request, settings: CallSettings, *, counting: bool = False) -> Lookup:
        """`lookup` that counts nothing and tells nobody."""
        started = perf_counter()
        if not settings.enabled:
            return self._lookup(request, settings, Found("bypass", "caching is off"), started)
        found = await self.find(request, settings, probing=not counting)
        result = self._lookup(request, settings, found, started)
        result.response = found.value
        return result

    def known(self, found: Lookup) -> Any:
        """Return the answer of a call that must not reach the function, and count it.

        Raises:
            CacheNotFoundError: there is none.
        """
        self._count(found)
        self._announce(found)
        if not found.hit:
            raise CacheNotFoundError(f"{NOT_CACHED}: {found.reason}")
        return found.response

    async def get_or_call(
        self,
        request: Request,
        call: Callable[[], Any],
        *,
        result_type: Any = Any,
        settings: CallSettings | None = None,
    ) -> Any:
        """Answer from the cache, or run `call` (sync or async, no arguments), store its answer and return it.

        Raises:
            Whatever `call` raises, unchanged. With ``on_error="raise"`` also CacheBackendError and
            EmbeddingUnavailableError. CacheReentryError when the call asks for itself. CacheNotFoundError under
            ``CacheContext(cache_control="only-if-cached")`` where there is no answer.
        """
        started = perf_counter()
        if settings is None:
            settings, request = self._in_context(request, self.settings(result_type))
        if not settings.enabled:
            self.bypassed(request.namespace)
            return await maybe_await(call())
        if settings.control is not None and settings.control.only_if_cached:
            return self.known(await self.probe(request, settings, counting=True))
        value = self.quick(request, settings)
        if value is not MISS:
            self._record_quick()
            return value
        loop = need_asyncio()
        if self.shadow:
            return await self._shadow(request, call, settings, started)
        _, state = self.bound()
        while True:
            flight, leads = state.flights.join(request.key, request.scope_hash, request.text, loop)
            if leads:
                return await self._lead(state, flight, request, call, settings, started)
            await state.flights.wait(flight)
            value = self._join(flight, request, settings, started, await self._opened(flight, settings))
            if value is ALONE:
                with self._calling_alone(request, settings, started):
                    return await maybe_await(call())
            if value is not AGAIN:
                return value

    async def store(
        self,
        request: Request,
        response: Any,
        *,
        ttl: TTL | None = MISS,
        tags: Iterable[str] = (),
        duration_ms: float = 0.0,
        result_type: Any = Any,
        settings: CallSettings | None = None,
    ) -> bool:
        """Store an answer; True when it was stored. Committed when it returns.

        Args:
            request: what was asked.
            response: the answer.
            ttl: in place of the engine's, or that of a `CacheContext` around the call.
            tags: beside the engine's.
            duration_ms: how long the call took: hits are said to save this.
            result_type: the type that hits rebuild the answer to.
            settings: of a door that has asked the contexts around the call; None asks them here.
        """
        if settings is None:
            settings, request = self._in_context(request, self.settings(result_type))
        changed: dict[str, Any] = {"tags": (*settings.tags, *check_tags(tags))}
        if ttl is not MISS:
            changed["ttl"] = parse_ttl(ttl)
        settings = replace(settings, **changed)
        if not settings.enabled or (settings.control is not None and settings.control.no_store):
            return False
        found = Found("miss", "")
        if settings.similarity < 1 and request.text:
            try:
                await self.embed(request, found)
            except Outage:
                pass
        shared = await self.shared(response, settings.target)
        return (await self.put(request, settings, response, shared, found, duration_ms))[0]

    async def delete(self, request: Request) -> bool:
        """Delete the entry stored under exactly this request; True when there was one."""
        return await self.remove(self._in_context(request, self._settings)[1])

    async def remove(self, request: Request) -> bool:
        """`delete` for doors, which have asked the contexts around the call."""
        backend, _ = self.bound()
        return await backend.delete(request.key)

    async def close(self) -> None:
        """Write what is pending and close the backend, if it is this engine's own. May be used again."""
        backend, state = self.bound()
        await state.flush()
        if self._backend is not None:
            await backend.close()

    async def __aenter__(self) -> SemanticCache:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def get_or_call_blocking(
        self, request: Request, call: Callable[[], Any], settings: CallSettings | None = None
    ) -> Any:
        """`get_or_call` for plain code: `call` runs in this thread, the storage on the background loop."""
        started = perf_counter()
        if settings is None:
            settings, request = self._in_context(request, self._settings)
        if not settings.enabled:
            self.bypassed(request.namespace)
            return call()
        if settings.control is not None and settings.control.only_if_cached:
            return self.known(background.run(self.probe(request, settings, counting=True)))
        value = self.quick(request, settings)
        if value is not MISS:
            self._record_quick()
            return value
        if self.shadow:
            return self._shadow_blocking(request, call, settings, started)
        _, state = self.bound()
        while True:
            flight, leads = state.flights.join(request.key, request.scope_hash, request.text)
            if leads:
                return self._lead_blocking(state, flight, request, call, settings, started)
            waited = state.flights.wait_blocking(flight)
            value = self._join(flight, request, settings, started) if waited else ALONE
            if value is ALONE:
                with self._calling_alone(request, settings, started):
                    return call()
            if value is not AGAIN:
                return value
