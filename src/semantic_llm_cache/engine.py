"""`SemanticCache`: the one path that every call takes, whatever door it came through.

call -> exact: key in the backend?                                  -> hit
     -> near: embed -> nearest in the same scope -> policy says same -> hit
     -> join the same call if one is in flight                       -> coalesced
     -> run the function -> store -> answer
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from time import perf_counter
from typing import Any

from semantic_llm_cache import lookup as lookups
from semantic_llm_cache import runtime
from semantic_llm_cache.durations import TTL, parse_ttl
from semantic_llm_cache.exceptions import (
    CacheBackendError,
    CacheReentryError,
    CacheSerializationError,
    PromptCacheError,
)
from semantic_llm_cache.lookup import Lookup
from semantic_llm_cache.reporting import Reporting, exact_lookup
from semantic_llm_cache.request import Request
from semantic_llm_cache.serialization import Encoded, is_immutable, rebuild, thaw
from semantic_llm_cache.settings import CallSettings, check_tags
from semantic_llm_cache.singleflight import ABANDONED, DONE, FAILED, Flight, current_chain
from semantic_llm_cache.state import BackendState, get_default_backend
from semantic_llm_cache.tiers import ALONE, Found, Outage, Outcome, Sentinel

__all__ = ["MISS", "SemanticCache"]

_PLAIN = frozenset({str, int, float, bool, type(None), bytes})
MISS: Any = Sentinel("MISS")
_AGAIN: Any = Sentinel("AGAIN")


class SemanticCache(Reporting):
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
            is then the floor under which no candidate is looked at (0.7 if not given). See
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

    def settings(self, target: Any = Any, tags: tuple[str, ...] = ()) -> CallSettings:
        """Return the settings of a door's calls: what type answers are, and labels of its own."""
        return replace(self._settings, target=target, tags=(*self.tags, *tags))

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
        from semantic_llm_cache.core import decorate

        return decorate(self, function, options)

    # ---------------------------------------------------------------------- the quick way

    def quick(self, request: Request, settings: CallSettings) -> Any:
        """Return the answer to an exact hit that this process holds, in memory or in a front, else `MISS`."""
        backend = self._backend if self._backend is not None else get_default_backend()
        if self._long_way:
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
            if entry.ttl is not None and now >= entry.created_at + entry.ttl:
                return MISS
            value = entry.response
            if type(value) not in _PLAIN:
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
        lookups.remember((exact_lookup, self, request, entry, now, took))
        if self.on_event is not None:
            self._tell(exact_lookup(self, request, entry, now, took))
        return value

    # ---------------------------------------------------------------------- public calls

    async def lookup(self, request: Request, *, result_type: Any = Any) -> Lookup:
        """Return what the cache knows, exact then near, without calling anything. Counts as a request.

        The answer is in `Lookup.response` when `Lookup.hit`.

        Raises:
            CacheBackendError, EmbeddingUnavailableError: only with ``on_error="raise"``.
        """
        lookup = await self.probe(request, self.settings(result_type), counting=True)
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
            EmbeddingUnavailableError. CacheReentryError when the call asks for itself.
        """
        started = perf_counter()
        settings = settings if settings is not None else self.settings(result_type)
        if not settings.enabled:
            self.bypassed(request.namespace)
            return await _maybe_await(call())
        value = self.quick(request, settings)
        if value is not MISS:
            self._record_quick()
            return value
        loop = _need_asyncio()
        if self.shadow:
            return await self._shadow(request, call, settings, started)
        _, state = self.bound()
        while True:
            flight, leads = state.flights.join(request.key, request.scope_hash, request.text, loop)
            if leads:
                return await self._lead(state, flight, request, call, settings, started)
            await state.flights.wait(flight)
            value = self._join(flight, request, settings, started)
            if value is ALONE:
                with self._calling_alone(request, settings, started):
                    return await _maybe_await(call())
            if value is not _AGAIN:
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
    ) -> bool:
        """Store an answer; True when it was stored. Committed when it returns.

        Args:
            request: what was asked.
            response: the answer.
            ttl: in place of the engine's.
            tags: beside the engine's.
            duration_ms: how long the call took: hits are said to save this.
            result_type: the type that hits rebuild the answer to.
        """
        settings = self.settings(result_type, check_tags(tags))
        if ttl is not MISS:
            settings.ttl = parse_ttl(ttl)
        if not settings.enabled:
            return False
        found = Found("miss", "")
        if settings.similarity < 1 and request.text:
            try:
                await self.embed(request, found)
            except Outage:
                pass
        shared = self.share(response, settings.target)
        return (await self.put(request, settings, response, shared, found, duration_ms))[0]

    async def delete(self, request: Request) -> bool:
        """Delete the entry stored under exactly this request; True when there was one."""
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
        settings = settings if settings is not None else self._settings
        if not settings.enabled:
            self.bypassed(request.namespace)
            return call()
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
            if value is not _AGAIN:
                return value

    # ---------------------------------------------------------------------------- shadow mode

    async def _shadow(self, request: Request, call: Callable[[], Any], settings: CallSettings, started: float) -> Any:
        """Call in any case; note what the cache would have answered, and whether that agrees."""
        found = await self.find(request, settings)
        began = perf_counter()
        value = await _maybe_await(call())
        took = (perf_counter() - began) * 1000
        await self._shadow_ended(request, settings, found, value, took, started)
        return value

    def _shadow_blocking(
        self, request: Request, call: Callable[[], Any], settings: CallSettings, started: float
    ) -> Any:
        found = runtime.run(self.find(request, settings))
        began = perf_counter()
        value = call()
        took = (perf_counter() - began) * 1000
        lookup = runtime.run(self._shadow_ended(request, settings, found, value, took, started))
        lookups.remember(lookup)
        return value

    async def _shadow_ended(
        self, request: Request, settings: CallSettings, found: Found, value: Any, took: float, started: float
    ) -> Lookup:
        would, right, stored = found.outcome, None, False
        if would in ("exact", "near"):
            assert found.entry is not None
            right = await self.compare(value, found.entry.response, settings)
            if self.trust.bounded and right is not None and found.choice is not None:
                await self.observe(found.choice, right)
        elif would == "miss":
            # Only what the cache would have stored is stored: its hits are then those it would have had.
            stored = (await self.admit(request, settings, value, found, took)).stored
        lookup = self._lookup(request, settings, found, started)
        lookup.outcome, lookup.would, lookup.would_be_right = "miss", would, right
        lookup.saved_ms = lookup.saved_usd = 0.0
        lookup.stored = stored
        self._count_shadow(lookup)
        return lookup

    # ---------------------------------------------------------------------------- leading

    async def _lead(
        self,
        state: BackendState,
        flight: Flight,
        request: Request,
        call: Callable[[], Any],
        settings: CallSettings,
        started: float,
    ) -> Any:
        flights = state.flights
        try:
            found = await self.find(request, settings)
            if found.outcome in ("exact", "near"):
                return self._land_hit(state, flight, request, settings, found, started)
            other = self._same_meaning(state, flight, request, settings, found)
            if other is not None:
                with contextlib.suppress(CacheReentryError):  # it waits for this one: both run
                    await flights.wait(other, flight)
                value = self._land_joined(state, flight, other, request, settings, found, started)
                if value is not _AGAIN:
                    return value
        except BaseException as error:
            self._land_trouble(state, flight, request, settings, started, error)
            raise
        loop = asyncio.get_running_loop()
        # A task of its own: the first caller may leave, and those who wait are still served.
        task = loop.create_task(self._run(state, flight, request, call, settings, found))

        def cancel() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and its tasks with it
                loop.call_soon_threadsafe(task.cancel)

        flight.cancel = cancel
        # For a task that was cancelled before its first step; in all other cases it has landed by then.
        task.add_done_callback(lambda _: flights.land(flight, ABANDONED))
        try:
            await flights.wait(flight)
        except BaseException:
            flight.led = False
            raise
        if flight.state != DONE:
            failure = flight.error if flight.error is not None else asyncio.CancelledError()
            self._finish_failed(request, settings, found, started, failure)
            raise failure
        outcome: Outcome = flight.result
        self._finish(request, settings, outcome.found, started, stored=outcome.stored)
        return outcome.original

    async def _run(
        self,
        state: BackendState,
        flight: Flight,
        request: Request,
        call: Callable[[], Any],
        settings: CallSettings,
        found: Found,
    ) -> None:
        flights = state.flights
        current_chain.set((*current_chain.get(), flight))
        try:
            began = perf_counter()
            value = call()
            if inspect.isawaitable(value):
                value = await value
            duration = (perf_counter() - began) * 1000
        except Exception as error:
            flights.land(flight, FAILED, error=error)
            return
        except BaseException as error:
            flights.land(flight, ABANDONED, error=error)
            if isinstance(error, (asyncio.CancelledError, GeneratorExit)) or not flight.led:
                raise
            return  # the first caller raises it, where it belongs
        try:
            outcome = await self.admit(request, settings, value, found, duration)
            self._spare(flight, outcome)
        except Exception as error:
            flights.land(flight, ABANDONED, error=error)
        except BaseException:
            flights.land(flight, ABANDONED)
            raise
        else:
            flights.land(flight, DONE, outcome)

    def _lead_blocking(
        self,
        state: BackendState,
        flight: Flight,
        request: Request,
        call: Callable[[], Any],
        settings: CallSettings,
        started: float,
    ) -> Any:
        flights = state.flights
        try:
            found = self._complete(lambda: self.find(request, settings), settings)
            if found.outcome in ("exact", "near"):
                return self._land_hit(state, flight, request, settings, found, started)
            other = self._same_meaning(state, flight, request, settings, found)
            if other is not None:
                with contextlib.suppress(CacheReentryError):
                    flights.wait_blocking(other, flight)
                value = self._land_joined(state, flight, other, request, settings, found, started)
                if value is not _AGAIN:
                    return value
        except BaseException as error:
            self._land_trouble(state, flight, request, settings, started, error)
            raise
        token = current_chain.set((*current_chain.get(), flight))
        try:
            began = perf_counter()
            value = call()
            duration = (perf_counter() - began) * 1000
        except BaseException as error:
            flights.land(flight, FAILED if isinstance(error, Exception) else ABANDONED, error=error)
            self._finish_failed(request, settings, found, started, error)
            raise
        finally:
            current_chain.reset(token)
        try:
            weighed = self.weigh(value, settings)  # here, as it may call the user's code
            outcome = self._complete(
                lambda: self.admit(request, settings, value, found, duration, weighed), settings, store=True
            )
            self._spare(flight, outcome)
        except BaseException as error:
            self._land_trouble(state, flight, request, settings, started, error)
            raise
        flights.land(flight, DONE, outcome)
        self._finish(request, settings, outcome.found, started, stored=outcome.stored)
        return value

    def _complete(self, make: Callable[[], Any], settings: CallSettings, store: bool = False) -> Any:
        """Run a coroutine of ours from plain code: here when nothing waits, else on the background loop."""
        if self.backend.in_process and (settings.similarity >= 1 or (store and self.trust.plain)):
            coroutine = make()
            try:
                coroutine.send(None)
            except StopIteration as stop:
                return stop.value
            coroutine.close()
            raise CacheBackendError(f"{self.backend.url} says in_process, but its methods wait")
        return runtime.run(make())

    def _land_hit(
        self,
        state: BackendState,
        flight: Flight,
        request: Request,
        settings: CallSettings,
        found: Found,
        started: float,
    ) -> Any:
        assert found.entry is not None
        shared = found.value if is_immutable(found.value) else found.entry.response
        if flight.waiters > 1 and type(shared) is not Encoded and not is_immutable(shared):
            shared = self.share(found.value, settings.target)
        state.flights.land(
            flight,
            DONE,
            Outcome(found, None, shared, found.entry.duration_ms, found.entry.cost_usd, False),
        )
        self._finish(request, settings, found, started)
        return found.value

    def _same_meaning(
        self, state: BackendState, flight: Flight, request: Request, settings: CallSettings, found: Found
    ) -> Flight | None:
        if found.vector is None:
            return None
        trust, threshold, vector = self.trust, settings.similarity, found.vector
        return state.flights.calling(
            flight,
            found.embedder,
            vector,
            lambda other: vector.shape == other.vector.shape
            and trust.same_in_flight(
                request.text, other.text, max(0.0, float(vector @ other.vector)), threshold
            ),
        )

    def _land_joined(
        self,
        state: BackendState,
        flight: Flight,
        other: Flight,
        request: Request,
        settings: CallSettings,
        found: Found,
        started: float,
    ) -> Any:
        """End `flight` with the answer of `other`, which asks the same; or say that it must be asked again."""
        if other.state == DONE and other.result.shared is not ALONE:
            outcome: Outcome = other.result
            try:
                value = rebuild(thaw(outcome.shared), settings.target)
            except CacheSerializationError:
                value = _AGAIN
            if value is not _AGAIN:
                similarity = max(0.0, float(found.vector @ other.vector))
                joined = Found(
                    "coalesced",
                    f"joined a call in flight, similarity {similarity:.3f}",
                    similarity=similarity,
                    nearest_prompt=other.text,
                )
                state.flights.land(flight, DONE, outcome._replace(found=joined))
                self._finish(request, settings, joined, started, cost=outcome.cost_usd)
                return value
        # It failed or went away: this one runs its own call, and others may join that.
        state.flights.calling(flight, found.embedder, found.vector, lambda _: False)
        return _AGAIN

    def _land_trouble(
        self,
        state: BackendState,
        flight: Flight,
        request: Request,
        settings: CallSettings,
        started: float,
        error: BaseException,
    ) -> None:
        """End a flight that met trouble of the cache, or was cancelled, before or after the function ran."""
        state.flights.land(flight, ABANDONED, error=error)
        self._finish_failed(request, settings, Found("error", ""), started, error)

    def _spare(self, flight: Flight, outcome: Outcome) -> None:
        """Have a copy of an answer that cannot be stored, before the first caller may change it."""
        if outcome.shared is ALONE and flight.waiters > flight.led:
            with contextlib.suppress(Exception):
                flight.spare = (copy.deepcopy(outcome.original),)

    @contextlib.contextmanager
    def _calling_alone(self, request: Request, settings: CallSettings, started: float) -> Iterator[None]:
        found = Found("miss", "the call in flight could not be shared")
        try:
            yield
        except BaseException as error:
            self._finish_failed(request, settings, found, started, error)
            raise
        self._finish(request, settings, found, started)

    def _join(self, flight: Flight, request: Request, settings: CallSettings, started: float) -> Any:
        """Return the answer of a flight that was waited for, `_AGAIN` to start over, `ALONE` to call alone."""
        if flight.state == FAILED or (
            flight.state == ABANDONED and isinstance(flight.error, Exception) and self.on_error == "raise"
        ):
            assert flight.error is not None
            failed = Found("miss" if flight.state == FAILED else "error", "")
            self._finish_failed(request, settings, failed, started, flight.error)
            raise flight.error
        if flight.state == ABANDONED:
            return _AGAIN
        outcome: Outcome = flight.result
        found = outcome.found
        hit = found.outcome in ("exact", "near")
        if found.similarity is not None and found.outcome in ("near", "coalesced"):
            if found.similarity < settings.similarity - 1e-6:
                return _AGAIN  # good enough for the one who asked first, not for this caller
        if outcome.shared is ALONE:
            if hit:
                return _AGAIN  # read it for oneself
            if flight.spare is None:
                return ALONE
            try:
                value = copy.deepcopy(flight.spare[0])
            except Exception:
                return ALONE
        elif hit and type(outcome.shared) is not Encoded and not is_immutable(outcome.shared):
            return _AGAIN
        else:
            try:
                value = rebuild(thaw(outcome.shared), settings.target)
            except CacheSerializationError:
                return ALONE
        if self.trust.bounded:
            policy = self.bound()[1].policies.get(self.policy_name())
            if policy is not None:
                policy.count_exact()
        if hit:
            self._finish(request, settings, found, started)
        else:
            joined = Found("coalesced", "joined the same call in flight", similarity=found.similarity)
            self._finish(request, settings, joined, started, cost=outcome.cost_usd)
        return value


async def _maybe_await(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def _need_asyncio() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise PromptCacheError(
            "semantic-llm-cache runs on asyncio, and no asyncio loop is running here: under trio, use anyio with "
            "its asyncio backend, or decorate a plain function"
        ) from None
