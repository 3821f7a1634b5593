"""The two tiers under the engine: finding an answer, exact then near, and storing one.

Everything that touches storage or embedder goes through here, with its limit of time, its circuit
breaker, and the rule that such trouble does not reach the caller unless asked for.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import warnings
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.calls.settings import (
    CallSettings,
    check_callable,
    check_single_flight,
    check_tags,
    check_timeout,
)
from semantic_llm_cache.config import SCHEMA_VERSION, TTL, CacheConfig, CacheEntry, check_similarity, parse_ttl
from semantic_llm_cache.engine.state import BackendState, state_of
from semantic_llm_cache.exceptions import (
    CacheBackendError,
    CacheSerializationError,
    CacheWarning,
    EmbeddingUnavailableError,
    PromptCacheError,
)
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.matching.decider import DEFAULT_GUARDS, Choice, Trust, TrustOptions
from semantic_llm_cache.metrics.pricing import Price, make_price
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.runtime import background
from semantic_llm_cache.runtime.breaker import CircuitBreaker, logger
from semantic_llm_cache.runtime.yielding import turn
from semantic_llm_cache.similarity.base import unit
from semantic_llm_cache.similarity.cache import shared_embedder
from semantic_llm_cache.similarity.unseen import why_unreadable
from semantic_llm_cache.storage.contract import Candidate, StorageBackend
from semantic_llm_cache.storage.registry import get_default_backend, register_engine, shared_backend
from semantic_llm_cache.values.offload import is_large, off_loop, opened

if TYPE_CHECKING:
    from semantic_llm_cache.matching.online import OnlinePolicy

__all__ = ["ALONE", "Found", "Outcome", "Sentinel", "Tiers", "driven", "limited"]

T = TypeVar("T")
_LOAD_TIMEOUT = 30.0


class Sentinel:
    """A value that stands for no value."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


ALONE: Any = Sentinel("ALONE")
"""In place of a value that cannot be shared: each caller makes its own call."""


class Outage(Exception):
    """Storage or embedder failed and callers are not to know."""


class Unreadable(Outage):
    """One entry cannot be written or read back; the storage is well."""


@dataclass(slots=True)
class Found:
    """What the search before the call came to."""

    outcome: str  # exact, near, miss, error
    reason: str
    value: Any = None
    entry: CacheEntry | None = None
    entry_key: str | None = None
    similarity: float | None = None
    vector: Any = None
    embedder: str = ""
    nearest_prompt: str | None = None
    choice: Choice | None = None
    late: float = 0.0  # seconds past its time, of a stale answer
    fallback: Found | None = None  # a stale answer, in case the call fails
    unread: bool = False  # the storage could not be read: no use writing to it now
    lease: Any = None  # the `Holding` under which the function runs, with single_flight="shared"


class Outcome(NamedTuple):
    """What a flight came to, for those who waited."""

    found: Found
    original: Any  # the leader's own object; others get copies
    shared: Any  # immutable or Encoded; ALONE when the value cannot be shared
    duration_ms: float
    cost_usd: float
    stored: bool


def driven(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine that never waits comes to. Raises RuntimeError for one that waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise RuntimeError("a method of a backend that says in_process waits")


async def limited(awaitable: Awaitable[T], seconds: float | None) -> T:
    """Await with a limit; TimeoutError beyond it."""
    if seconds is None:
        return await awaitable
    if sys.version_info >= (3, 11):
        async with asyncio.timeout(seconds):
            return await awaitable
    else:
        try:
            return await asyncio.wait_for(awaitable, seconds)
        except asyncio.TimeoutError:
            raise TimeoutError from None


class Tiers:
    """Backend, embedder and policy of an engine, and what is done with them."""

    def __init__(
        self,
        backend: StorageBackend | str | None = None,
        *,
        embedder: Any = None,
        similarity: float = 1.0,
        ttl: TTL = 3600,
        namespace: str = "default",
        enabled: bool = True,
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
        on_event: Callable[[Lookup], object] | None = None,
        on_error: str = "open",
        timeout: float | None = 1.0,
        clock: Callable[[], float] | None = None,
        tags: Iterable[str] = (),
        cache_if: Callable[[Any], bool] | None = None,
        price: Price = None,
        max_prompt: int = 1_000_000,
        max_response: int = 20_000_000,
    ) -> None:
        if not isinstance(enabled, bool):
            raise TypeError(f"enabled={enabled!r} must be True or False")
        disabled = os.environ.get("SEMANTIC_LLM_CACHE_DISABLED", "").lower() in ("1", "true", "yes", "on")
        self.enabled = enabled and not disabled
        self.disabled = disabled
        self.trust = Trust(
            TrustOptions(guards, verify, verify_band, verify_mode, max_error, max_error_per_hit, same_answer, seed),
            check_similarity(similarity),
            self.need_embedder,
        )
        self.similarity = self.trust.similarity
        if mode not in ("serve", "shadow"):
            raise ValueError(f"mode={mode!r} must be 'serve' or 'shadow'")
        self.shadow = mode == "shadow"
        self._long_way = self.shadow
        self._bounded = self.trust.bounded
        self.ttl = parse_ttl(ttl)
        self.stale_while_revalidate = parse_ttl(stale_while_revalidate, "stale_while_revalidate") or 0.0
        self.stale_if_error = parse_ttl(stale_if_error, "stale_if_error") or 0.0
        self._stale_window = max(self.stale_while_revalidate, self.stale_if_error)
        self.jitter = check_similarity(jitter, "jitter") if jitter else 0.0
        self.single_flight = check_single_flight(single_flight)
        self.namespace = CacheConfig(namespace=namespace).namespace
        self.tags = check_tags(tags)
        self.on_event = check_callable(on_event, "on_event")
        self.cache_if = check_callable(cache_if, "cache_if")
        if on_error not in ("open", "raise"):
            raise ValueError(f"on_error={on_error!r} must be 'open' or 'raise'")
        self.on_error = on_error
        self.timeout = check_timeout(timeout)
        self.clock = check_callable(clock, "clock") or time.time
        self._own_clock = clock is not None
        for name, limit in (("max_prompt", max_prompt), ("max_response", max_response)):
            if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
                raise ValueError(f"{name}={limit!r} must be a number of characters of at least 1")
        self.max_prompt = max_prompt
        self.max_response = max_response
        self.price = make_price(price)
        self._backend: StorageBackend | None = None
        if backend is not None:
            self._backend = shared_backend(backend)
            self._bind_clock(self._backend)
        self._embedder_option = embedder
        self._embedder: Any = None
        if self.similarity < 1 and self.enabled:
            self.need_embedder()
        self._settings = CallSettings(self.similarity, self.ttl, self.enabled, Any, self.tags)
        self._state: BackendState | None = None
        self.reference = weakref.ref(self)
        register_engine(self)
        self._state_backend: StorageBackend | None = None
        self._warned: set[str] = set()
        self._options: dict[str, Any] = {
            "backend": self._backend, "embedder": embedder, "similarity": similarity, "ttl": ttl,
            "namespace": namespace, "enabled": enabled, "guards": guards, "verify": verify,
            "verify_band": verify_band, "verify_mode": verify_mode, "max_error": max_error,
            "max_error_per_hit": max_error_per_hit, "same_answer": same_answer, "seed": seed, "mode": mode,
            "stale_while_revalidate": stale_while_revalidate, "stale_if_error": stale_if_error, "jitter": jitter,
            "single_flight": single_flight, "on_event": on_event,
            "on_error": on_error, "timeout": timeout, "clock": clock, "tags": self.tags, "cache_if": cache_if,
            "price": price, "max_prompt": max_prompt, "max_response": max_response,
        }  # fmt: skip

    # -------------------------------------------------------------------------------- parts

    @property
    def backend(self) -> StorageBackend:
        """The backend in use: the one given, else the process's default of this moment."""
        return self._backend if self._backend is not None else get_default_backend()

    def _bind_clock(self, backend: StorageBackend) -> None:
        if self._own_clock:
            backend.clock = self.clock

    def bound(self) -> tuple[StorageBackend, BackendState]:
        """Return the backend in use and its state in this process."""
        backend = self.backend
        if self._state_backend is not backend:
            self._bind_clock(backend)
            self._state = state_of(backend)
            self._state_backend = backend
            self._backend_changed()
        assert self._state is not None
        return backend, self._state

    def _backend_changed(self) -> None:
        """Called when the backend in use has changed: the default one may at any time."""

    def need_embedder(self) -> Any:
        """Return the embedder, found but not loaded. Raises EmbeddingUnavailableError."""
        option = self._embedder_option
        if option is None or option == "auto":
            return shared_embedder("auto")  # what "auto" means may change: set_default_embedder
        if self._embedder is None:
            self._embedder = shared_embedder(option)
        return self._embedder

    # ------------------------------------------------------------------------- searching

    async def find(
        self, request: Request, settings: CallSettings, *, probing: bool = False, exact: bool = True
    ) -> Found:
        """Look for an answer, exact then near.

        `probing` moves no error budget; without `exact` an entry under the very key is passed over.
        """
        backend, state = self.bound()
        if not backend.in_process:
            await turn()  # handing over to a thread or a socket takes a twentieth of a millisecond
        found = Found("miss", "no entry under this key")
        front = backend.front
        generation = 0 if front is None else front.generation
        try:
            try:
                entry = await self._operation(state, lambda: _get(backend, request.key), backend)
            except Outage as outage:
                found.unread = not isinstance(outage, Unreadable)
                raise
            control = settings.control
            if control is not None and control.no_cache:
                found.reason = "no-cache was asked for"
                if settings.similarity < 1 and request.text:
                    await self.embed(request, found)  # the fresh answer is to be found by its meaning
                return found
            if exact and entry is not None and self._live(entry, settings):
                try:
                    large = is_large(entry.response)
                    found.value = await opened(entry.response, settings.target, large)
                except CacheSerializationError as error:
                    found.reason = str(error)
                else:
                    found.outcome, found.reason = "exact", "same text, same scope"
                    found.entry, found.entry_key, found.similarity = entry, request.key, 1.0
                    found.late = self._late(entry)
                    if found.late >= 0:
                        found.outcome, found.reason = "stale", f"{found.late:.0f} s past its time"
                        return found
                    if front is not None and not large:  # keeping one means to write it once more
                        front.put(request.key, entry, generation)
                    if self.trust.bounded and not probing:
                        (await self.online_policy()).count_exact()
                    return found
            if settings.similarity < 1:
                await self._find_near(backend, state, request, settings, found, probing)
        except Outage as outage:
            found.outcome, found.reason = "error", str(outage)
        except PromptCacheError:
            raise
        except Exception as error:  # an entry with damaged fields, a guard that fails
            if self.on_error == "raise":
                raise CacheBackendError(f"the lookup failed: {describe(error)}") from error
            self.log_once("find", f"a lookup failed ({describe(error)}); the function is called")
            found = replace(found, outcome="error", reason=f"the lookup failed: {describe(error)}", choice=None)
        return found

    async def _find_near(
        self,
        backend: StorageBackend,
        state: BackendState,
        request: Request,
        settings: CallSettings,
        found: Found,
        probing: bool,
    ) -> None:
        if not request.text:
            found.reason = "no text to compare"
            return
        await self.embed(request, found)
        if found.vector is None:
            return
        if backend.in_process:
            await turn()  # the search is done here, and a batch of embeddings lets many go on at once

        async def search(k: int, threshold: float) -> list[Candidate]:
            candidates = await self._operation(
                state,
                lambda: _candidates(
                    backend, found.vector, threshold, k=k, scope=request.scope_hash, embedder=found.embedder
                ),
                backend,
                "search",
            )
            return self._fitting(candidates, request, settings, found)

        if self.trust.bounded:
            policy = await self.online_policy()
            if probing:
                trial = self.trust.new_policy()
                trial.load(policy.to_bytes())
                policy = trial
            choice = await self.trust.choose_online(request.key, request.text, policy, search)
        else:
            choice = await self.trust.choose(
                request.key, request.text, settings.similarity, search, self._vectors, self
            )
        found.choice, found.reason = choice, choice.reason
        shown = choice.candidate or choice.nearest
        if shown is not None:
            found.similarity, found.nearest_prompt = shown.similarity, shown.entry.prompt
        chosen = choice.candidate
        if chosen is None:
            return
        try:
            found.value = await opened(chosen.entry.response, settings.target)
        except CacheSerializationError as error:
            found.reason = str(error)
            return
        found.outcome, found.entry, found.entry_key = "near", chosen.entry, chosen.key

    def _fitting(
        self, candidates: list[Candidate], request: Request, settings: CallSettings, found: Found
    ) -> list[Candidate]:
        # The scope decides who may see an answer, so it is checked here too, whatever the backend.
        def fits(entry: CacheEntry) -> bool:
            equal = entry.scope == request.scope_hash and entry.embedder == found.embedder
            return equal and self._live(entry, settings) and self._late(entry) < 0

        return [candidate for candidate in candidates if fits(candidate.entry)]

    def _late(self, entry: CacheEntry) -> float:
        """Return by how many seconds an entry has passed its time; entries are kept for the stale window."""
        if entry.ttl is None or not self._stale_window:
            return -1.0
        return self.clock() - (entry.created_at + entry.ttl - self._stale_window)

    def _live(self, entry: CacheEntry, settings: CallSettings) -> bool:
        now, control = self.clock(), settings.control
        if control is not None and control.max_age is not None and now - entry.created_at > control.max_age:
            return False
        return entry.schema_version == SCHEMA_VERSION and not entry.is_expired(now)

    async def embed(self, request: Request, found: Found) -> None:
        """Set `found.vector`; leave it None, with a reason, for text that the model does not read whole."""
        text = request.text
        name, told = "cannot be used", False
        try:
            embedder = self.need_embedder()
            name = embedder.fingerprint
            if not embedder.loaded:
                # Loading a model takes seconds once. It delays those who need it and trips no breaker.
                await limited(asyncio.to_thread(embedder.load), _LOAD_TIMEOUT)
            readable = (
                embedder.readable(text) if len(text) <= 1000 else await asyncio.to_thread(embedder.readable, text)
            )
            if not readable:
                found.reason = why_unreadable(text)
                return
            breaker = _breaker_of(embedder)
            if not breaker.allow():
                raise Outage("the embedder is failing; its circuit breaker is open")
            try:
                vector = await limited(embedder.aencode(text), self.timeout)
                # Checked here, so that a useless vector is not taken for a failure of the storage.
                found.vector = unit(vector)
            except Exception as error:
                breaker.failed(error, "Check the embedder, or set similarity=1.0 to do without.")
                told = True
                raise
            breaker.succeeded()
            found.embedder = name
        except Outage:
            raise
        except Exception as error:
            if self.on_error == "raise":
                if isinstance(error, EmbeddingUnavailableError):
                    raise
                raise EmbeddingUnavailableError(f"the embedder {name} failed: {describe(error)}") from error
            if not told:
                self.log_once("embedder", f"no embedding ({describe(error)}); near matching is off meanwhile")
            raise Outage(f"no embedding: {describe(error)}") from error

    async def _vectors(self, texts: Sequence[str]) -> Any:
        """Return the unit vectors of further texts, under the same limits."""
        try:
            return await limited(self.need_embedder().aencode_batch(list(texts)), self.timeout)
        except Exception as error:
            raise Outage(f"no embedding: {describe(error)}") from error

    async def online_policy(self) -> OnlinePolicy:
        """Return the online policy of this namespace, with what it has learned before."""
        backend, state = self.bound()
        name = self.policy_name()
        policy = state.policies.get(name)
        if policy is None:
            raw = await self._operation(state, lambda: backend.get_state(name), backend)
            policy = self.trust.new_policy()
            if raw is not None:
                try:
                    policy.load(raw)
                except CacheSerializationError as error:
                    self.log_once("policy", f"what the error budget had learned cannot be read: {describe(error)}")
            policy = state.policies.setdefault(name, policy)
        found: OnlinePolicy = policy
        return found

    def policy_name(self) -> str:
        """Name of the online policy's state in the backend."""
        options = self.trust.options
        bounds = f"{options.max_error}:{options.max_error_per_hit}"
        return f"online:{self.namespace}:{bounds}:{self.need_embedder().fingerprint}"

    async def _operation(
        self,
        state: BackendState,
        make: Callable[[], Awaitable[T]],
        backend: StorageBackend,
        kind: str = "read",
    ) -> T:
        """Run one storage operation with its limit and its breaker. Raises Outage, or what on_error says."""
        breaker = state.breakers[kind]
        if not breaker.allow():
            if self.on_error == "raise":
                raise CacheBackendError(f"{backend.url} is failing; its circuit breaker is open")
            raise Outage("the storage is failing; its circuit breaker is open")
        limit = self.timeout
        first = backend.first_search_seconds is not None and kind == "search" and not state.searched
        if first and limit is not None:
            limit = max(limit, backend.first_search_seconds or 0.0)  # an index is loaded, once
        try:
            result = await (make() if backend.in_process else limited(make(), limit))
        except CacheSerializationError as error:
            if self.on_error == "raise":
                raise
            raise Unreadable(str(error)) from error
        except Exception as error:
            breaker.failed(error, "Check that it is reachable and healthy.")
            if self.on_error == "raise":
                if isinstance(error, CacheBackendError):
                    raise
                raise CacheBackendError(f"{backend.url} failed: {describe(error)}") from error
            raise Outage(f"storage failed: {describe(error)}") from error
        if kind == "search":
            state.searched = True
        breaker.succeeded()
        return result

    def log_once(self, topic: str, text: str) -> None:
        """Log a warning, once per topic and engine."""
        if topic not in self._warned:
            self._warned.add(topic)
            logger.warning("semantic-llm-cache: %s", text)

    def _warn(self, text: str, topic: str = "unstorable") -> None:
        if topic not in self._warned:
            self._warned.add(topic)
            try:
                warnings.warn(text, CacheWarning, stacklevel=3)
            except CacheWarning:  # under -W error: a warning must not cost the caller the answer
                logger.warning("semantic-llm-cache: %s", text)


async def _get(backend: StorageBackend, key: str) -> CacheEntry | None:
    entry: Any = None
    if backend.in_process:
        entry = backend.peek(key)
    if entry is not None and is_large(entry.response):
        entry = await off_loop(driven, backend.get(key))  # which makes a copy
    else:
        entry = await backend.get(key)
    if entry is not None and not isinstance(entry, CacheEntry):
        raise TypeError(f"get() returned a {type(entry).__name__}, not a CacheEntry")
    return entry


async def _candidates(backend: StorageBackend, vector: Any, threshold: float, **limits: Any) -> list[Candidate]:
    found: Any = await backend.find_candidates(vector, threshold, **limits)
    if not isinstance(found, list) or not all(
        isinstance(c, Candidate) and isinstance(c.entry, CacheEntry) for c in found
    ):
        raise TypeError("find_candidates() returned something other than a list of Candidate")
    return found


_breakers: weakref.WeakKeyDictionary[Any, CircuitBreaker] = weakref.WeakKeyDictionary()
background.after_fork(_breakers.clear)  # a lock may be held by a thread that the child has not


def _breaker_of(embedder: Any) -> CircuitBreaker:
    breaker = _breakers.get(embedder)
    if breaker is None:
        breaker = _breakers.setdefault(embedder, CircuitBreaker(f"the embedder {embedder.fingerprint}"))
    return breaker
