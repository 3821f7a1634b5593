"""`Engine`: the one path that every call takes, whichever door it came through.

call -> quick: an exact hit that this process holds?                 -> hit
     -> lead: join the same call if one is in flight                 -> coalesced
     -> search: exact, then near                                     -> hit
     -> run the function -> admission: store -> answer

`get_or_call` is the entry point; `_steps` decides which part continues.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from semantic_llm_cache.arguments import check_tags
from semantic_llm_cache.calls import lookup as lookups
from semantic_llm_cache.calls.context import overrides
from semantic_llm_cache.calls.control import NOT_CACHED
from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.calls.settings import CallSettings, current
from semantic_llm_cache.config import TTL, parse_ttl
from semantic_llm_cache.engine.access import Access
from semantic_llm_cache.engine.admission import Admission
from semantic_llm_cache.engine.call import Call
from semantic_llm_cache.engine.driving import Do, Run, Steps, drive, drive_blocking
from semantic_llm_cache.engine.freshness import Freshness
from semantic_llm_cache.engine.joining import Joining
from semantic_llm_cache.engine.lead import Lead
from semantic_llm_cache.engine.learning import Learning
from semantic_llm_cache.engine.leases import Leases
from semantic_llm_cache.engine.notices import Notices
from semantic_llm_cache.engine.options import Options
from semantic_llm_cache.engine.outcome import MISS, Failure, Found, Fresh, Outage
from semantic_llm_cache.engine.quick import Quick
from semantic_llm_cache.engine.reporting import Reporter
from semantic_llm_cache.engine.search import Search
from semantic_llm_cache.engine.shadow import Shadow
from semantic_llm_cache.engine.state import BackendState
from semantic_llm_cache.exceptions import CacheNotFoundError
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.matching.decider import Decider
from semantic_llm_cache.metrics.counters import CacheInfo, Counters
from semantic_llm_cache.runtime.awaiting import need_asyncio
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.registry import register_engine

if TYPE_CHECKING:
    from semantic_llm_cache.matching.online import OnlinePolicy

__all__ = ["Engine"]

E = TypeVar("E", bound="Engine")


class Engine:
    """Looks up, calls and stores. Decorators and clients are doors to it; users create a `SemanticCache`.

    Args:
        options: the options of the cache.

    Raises:
        ValueError: two options exclude each other.
        EmbeddingUnavailableError: `similarity` is below 1 and there is no usable embedder.

    Its parts: `access` to storage and embedder, the `search`, the `admission` of fresh answers,
    `learning` from near ones, `freshness`, `leases`, the `reporter`, the `lead` of calls, and with
    ``mode="shadow"`` the `shadow`.
    """

    _neutral_in_keys = True  # as a field of an instance: see `known_types`

    def __init__(self, options: Options) -> None:
        self.options = options
        self.disabled = os.environ.get("SEMANTIC_LLM_CACHE_DISABLED", "").lower() in ("1", "true", "yes", "on")
        self.notices = notices = Notices()
        self.access = access = Access(options, notices)
        self.decider = decider = Decider(options, options.similarity, access.need_embedder)
        self._settings = CallSettings(decider.similarity, options.ttl, self.enabled, Any, options.tags)
        if self.similarity < 1 and self.enabled:
            access.need_embedder()
        reference = weakref.ref(self)
        self.learning = learning = Learning(options.namespace, access, decider, notices)
        self.search = search = Search(options, access, decider, learning, notices)
        self.admission = admission = Admission(options, access, decider, learning, notices)
        self.reporter = reporter = Reporter(options, access, decider, notices, reference)
        self.leases = leases = Leases(options, access, search, notices)
        self.freshness = freshness = Freshness(options, access, search, admission, leases, notices)
        joining = Joining(options, decider, learning, reporter)
        self.lead = Lead(search, admission, freshness, leases, joining, reporter)
        self.shadow = Shadow(search, admission, learning, reporter) if options.mode == "shadow" else None
        self.quick = Quick(options, access, learning, reporter, reference).answer
        register_engine(self)

    def derive(self: E, **options: Any) -> E:
        """Return an engine with some options changed, on the same backend.

        Raises:
            TypeError, ValueError: an option is unknown, or its value cannot be used.
        """
        made = object.__new__(type(self))
        Engine.__init__(made, self.options.changed(options))
        return made

    @staticmethod
    def of_door(cache: Engine | None, options: Mapping[str, Any], also: Iterable[str] = ()) -> Engine:
        """Return the engine of a door: a new one, or `cache` with some options changed.

        Args:
            cache: None makes a new one.
            options: the options to change.
            also: the door's own options, for the message about an unknown one.

        Raises:
            TypeError, ValueError: an argument is not valid; the message names it.
        """
        if cache is None:
            return Engine(Options.read(options, also))
        if not isinstance(cache, Engine):
            raise TypeError(f"cache={cache!r} must be a SemanticCache; options are given by name")
        if not options:
            return cache
        made = object.__new__(type(cache))
        Engine.__init__(made, cache.options.changed(options, also))
        return made

    # ---------------------------------------------------------------------- what it was given

    @property
    def enabled(self) -> bool:
        """False if caching is off, by option or by ``SEMANTIC_LLM_CACHE_DISABLED``."""
        return self.options.enabled and not self.disabled

    @property
    def similarity(self) -> float:
        """The threshold. With an error budget, the minimum below which no candidate is considered."""
        return self.decider.similarity

    @property
    def ttl(self) -> float | None:
        """How long an answer is served, in seconds. None means for ever."""
        return self.options.ttl

    @property
    def namespace(self) -> str:
        """The namespace of the entries, for management."""
        return self.options.namespace

    @property
    def tags(self) -> tuple[str, ...]:
        """Labels of the stored entries."""
        return self.options.tags

    @property
    def cache_if(self) -> Callable[[Any], bool] | None:
        """Called with a fresh answer; False keeps it out of the cache."""
        return self.options.cache_if

    @property
    def on_error(self) -> str:
        """``"open"`` or ``"raise"``."""
        return self.options.on_error

    @property
    def timeout(self) -> float | None:
        """Seconds that each storage operation or embedding may take. None means no limit."""
        return self.options.timeout

    @property
    def single_flight(self) -> str:
        """``"process"`` or ``"shared"``."""
        return self.options.single_flight

    @property
    def clock(self) -> Callable[[], float]:
        """Wall time in seconds."""
        return self.access.clock

    @property
    def backend(self) -> StorageBackend:
        """The backend in use: the one given, else the current default of the process."""
        return self.access.backend

    def bound(self) -> tuple[StorageBackend, BackendState]:
        """Return the backend in use and its state in this process."""
        return self.access.bound()

    def need_embedder(self) -> Any:
        """Return the embedder, found but not loaded. Raises EmbeddingUnavailableError."""
        return self.access.need_embedder()

    # ---------------------------------------------------------------------- for doors

    def settings(self, target: Any = Any, tags: tuple[str, ...] = ()) -> CallSettings:
        """Return the settings for a door's calls: the type of answers, and the door's own labels."""
        return replace(self._settings, target=target, tags=(*self.tags, *tags))

    def _in_context(
        self, request: Request, settings: CallSettings | None, target: Any = Any
    ) -> tuple[Request, CallSettings]:
        """Return request and settings as the `CacheContext` changes them; doors have applied it already."""
        if settings is not None:
            return request, settings
        settings = self.settings(target)
        if overrides.get() is None:
            return request, settings
        settings, namespace = current(self, settings)
        return request if namespace is None else request.within(namespace), settings

    def log_once(self, topic: str, text: str) -> None:
        """Log a warning, once per topic and engine."""
        self.notices.log_once(topic, text)

    def bypassed(self, namespace: str | None = None) -> None:
        """Count a call made while caching was off."""
        self.reporter.bypassed(namespace)

    # ---------------------------------------------------------------------- answering

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
            EmbeddingUnavailableError. CacheReentryError when the call depends on itself. CacheNotFoundError under
            ``CacheContext(cache_control="only-if-cached")`` if there is no answer.
        """
        made = Call(*self._in_context(request, settings, result_type), call)
        value = self._recall(made)
        return value if value is not MISS else await drive(self._steps(made))

    def get_or_call_blocking(
        self, request: Request, call: Callable[[], Any], settings: CallSettings | None = None
    ) -> Any:
        """Do `get_or_call` for plain code: `call` runs in this thread, the storage on the background loop."""
        made = Call(*self._in_context(request, settings), call, plain=True)
        value = self._recall(made)
        return value if value is not MISS else drive_blocking(self._steps(made))

    def _recall(self, call: Call) -> Any:
        """Return the answer of an exact hit that needs no waiting, else `MISS`."""
        value = self.quick(call.request, call.settings) if call.settings.enabled else MISS
        if value is not MISS:
            self.reporter.record_quick()
        return value

    def _steps(self, call: Call) -> Steps:
        """Return the steps that answer a call."""
        if not call.settings.enabled:
            return self._bypass(call)
        if not call.settings.asks.may_call:
            return self._only_known(call)
        if not call.plain:
            need_asyncio()
        if self.shadow is not None:
            return self.shadow.answer(call)
        return self.lead.answer(call, self.access.storage().state.flights)

    def _bypass(self, call: Call) -> Steps:
        self.reporter.bypassed(call.request.namespace)
        assert call.function is not None
        ran = yield Run(call.function)
        return ran.value if ran.error is None else Failure(ran.error)

    def _only_known(self, call: Call) -> Steps:
        found = yield Do(lambda: self.probe(call.request, call.settings, counting=True))
        return self.known(found)

    def known(self, found: Lookup) -> Any:
        """Return the answer of a call that must not reach the function, and count it.

        Raises:
            CacheNotFoundError: there is none.
        """
        self.reporter.count(found)
        self.reporter.announce(found)
        if not found.hit:
            raise CacheNotFoundError(f"{NOT_CACHED}: {found.reason}")
        return found.response

    # ---------------------------------------------------------------------- looking and storing

    async def lookup(self, request: Request, *, result_type: Any = Any, settings: CallSettings | None = None) -> Lookup:
        """Return what the cache knows, exact then near, without calling anything. Counts as a request.

        The answer is in `Lookup.response` when `Lookup.hit`.

        Args:
            request: the question.
            result_type: the type to rebuild the answer to.
            settings: from a door that has applied the contexts around the call; None applies them here.

        Raises:
            CacheBackendError, EmbeddingUnavailableError: only with ``on_error="raise"``.
        """
        request, settings = self._in_context(request, settings, result_type)
        lookup = await self.probe(request, settings, counting=True)
        lookups.remember(lookup)
        self.reporter.count(lookup)
        self.reporter.send_event(lookup)
        return lookup

    async def probe(self, request: Request, settings: CallSettings, *, counting: bool = False) -> Lookup:
        """Do a `lookup` without counts and events."""
        call = Call(request, settings)
        if not settings.enabled:
            return self.reporter.lookup(call, Found("bypass", "caching is off"))
        found = await self.search.find(call, probing=not counting)
        result = self.reporter.lookup(call, found)
        result.response = found.value
        return result

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
        """Store an answer; return True if it was stored. It is committed on return.

        Args:
            request: the question.
            response: the answer.
            ttl: replaces the TTL of the engine, or of a `CacheContext` around the call.
            tags: added to the engine's.
            duration_ms: how long the call took; reported as the time that a hit saves.
            result_type: the type to which hits rebuild the answer.
            settings: from a door that has applied the contexts around the call; None applies them here.
        """
        request, settings = self._in_context(request, settings, result_type)
        changed: dict[str, Any] = {"tags": (*settings.tags, *check_tags(tags))}
        if ttl is not MISS:
            changed["ttl"] = parse_ttl(ttl)
        call = Call(request, replace(settings, **changed)).again()
        if not call.settings.enabled or not call.settings.asks.may_store:
            return False
        if call.needs_vector:
            try:
                await self.access.embed(request.text, call.found)
            except Outage:
                pass
        shared = await self.admission.shared(response, settings.target)
        return (await self.admission.put(call, Fresh(response, shared, True, duration_ms)))[0]

    async def delete(self, request: Request) -> bool:
        """Delete the entry stored under exactly this request; return True if there was one."""
        return await self.remove(self._in_context(request, None)[0])

    async def remove(self, request: Request) -> bool:
        """Do a `delete` for doors, which have applied the contexts around the call."""
        return await self.access.storage().backend.delete(request.key)

    async def feedback(self, lookup: Lookup, right: bool) -> bool:
        """Act on feedback about a hit; return True if an entry was evicted or an alias stored."""
        self.reporter.count_feedback(lookup.namespace, right)
        return await self.learning.feedback(lookup, right)

    async def online_policy(self) -> OnlinePolicy:
        """Return the error budget of this namespace, with what it has learned so far."""
        return await self.learning.policy()

    # ---------------------------------------------------------------------- counts, and the end

    def counters(self, namespace: str | None = None) -> Counters:
        """Return this engine's counters of a namespace (default: its own)."""
        return self.reporter.counters(namespace)

    def info(self) -> CacheInfo:
        """Return the counts of hits and misses of this engine, all namespaces together."""
        return self.reporter.info()

    async def close(self) -> None:
        """Write what is pending, and close the backend if the engine owns it. The engine may be used again."""
        backend, state = self.access.bound()
        await self.learning.settled()
        await state.flush()
        if self.access.given is not None:
            await backend.close()

    async def __aenter__(self: E) -> E:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()
