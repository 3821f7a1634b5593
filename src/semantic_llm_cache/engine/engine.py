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
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from semantic_llm_cache.arguments import check_tags, kind_of
from semantic_llm_cache.calls import lookup as lookups
from semantic_llm_cache.calls.context import overrides
from semantic_llm_cache.calls.control import NOT_CACHED
from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.calls.settings import CallSettings, current
from semantic_llm_cache.config import TTL, TTLFunction, check_ttl
from semantic_llm_cache.engine.access import Access
from semantic_llm_cache.engine.admission import Admission
from semantic_llm_cache.engine.call import Call
from semantic_llm_cache.engine.categories import Categories
from semantic_llm_cache.engine.driving import Do, Run, Steps, drive, drive_blocking
from semantic_llm_cache.engine.freshness import Freshness
from semantic_llm_cache.engine.grounds import Grounds
from semantic_llm_cache.engine.joining import Joining
from semantic_llm_cache.engine.lead import Lead
from semantic_llm_cache.engine.learning import Learning, Verdict
from semantic_llm_cache.engine.leases import Leases
from semantic_llm_cache.engine.listening import Audience, Hook, watched
from semantic_llm_cache.engine.notices import Notices
from semantic_llm_cache.engine.options import OnError, Options, SingleFlight
from semantic_llm_cache.engine.outcome import MISS, Failure, Found, Outage
from semantic_llm_cache.engine.quick import Quick
from semantic_llm_cache.engine.reporting import Reporter, off_because
from semantic_llm_cache.engine.search import Search
from semantic_llm_cache.engine.state import BackendState
from semantic_llm_cache.exceptions import CacheNotFoundError
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.matching.decider import Decider
from semantic_llm_cache.metrics.counters import CacheInfo, Counters
from semantic_llm_cache.runtime import background
from semantic_llm_cache.runtime.awaiting import need_asyncio
from semantic_llm_cache.storage.contract import Candidate, StorageBackend
from semantic_llm_cache.storage.key_check import require_key
from semantic_llm_cache.storage.registry import register_engine

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from semantic_llm_cache.engine.keywords import EngineOptions
    from semantic_llm_cache.matching.online import OnlinePolicy

__all__ = ["Engine"]

E = TypeVar("E", bound="Engine")

_INTERNAL = frozenset(
    """access admission categories changes decider disabled freshness grounds held hook lead learn learning leases
    notices options quick reporter search shadow template bound bypassed fitted known log_once
    need_embedder of_door probe redacted remove settings store_alias""".split()  # noqa: SIM905
)
"""Names of parts, and of methods for doors: not for users, so `dir` leaves them out."""


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
        self.changes: Mapping[str, Any] = {}
        self.disabled = os.environ.get("SEMANTIC_LLM_CACHE_DISABLED", "").lower() in ("1", "true", "yes", "on")
        self.notices = notices = Notices()
        self.template = options.template
        self._redaction = None
        if options.redact is not None:
            from semantic_llm_cache.engine.redacting import Redaction

            self._redaction = Redaction(options.redact, notices)
        self.access = access = Access(options, notices)
        self.decider = decider = Decider(options, options.similarity, access.need_embedder)
        self._settings = CallSettings(
            decider.similarity, options.ttl, self.enabled, Any, options.tags, evidence=options.evidence
        )
        self.categories = categories = Categories(options, notices)
        if (self.similarity < 1 or categories.may_be_near) and self.enabled:
            access.need_embedder()
        if categories.may_be_near:
            decider.guards  # noqa: B018 - load the word lists now: no call should wait for them
        reference = weakref.ref(self)
        self.learning = learning = Learning(options.namespace, access, decider, categories, notices)
        self.grounds = grounds = Grounds(notices, options.timeout)
        self.search = search = Search(options, access, decider, learning, grounds, notices)
        self.admission = admission = Admission(options, access, decider, learning, notices)
        self.hook = hook = Hook(options.on_event, notices, Audience())
        self.reporter = reporter = Reporter(options, access, decider, notices, hook, reference)
        self.leases = leases = Leases(options, access, search, notices)
        self.freshness = freshness = Freshness(options, access, search, admission, leases, notices)
        joining = Joining(options, decider, learning, reporter)
        self.lead = Lead(search, admission, freshness, leases, joining, reporter)
        self.shadow = None
        if options.mode == "shadow":
            from semantic_llm_cache.engine.shadow import Shadow

            self.shadow = Shadow(search, admission, learning, reporter)
        quick = Quick(options, access, learning, reporter, reference)
        self.quick = quick.answer
        hook.open(quick)
        register_engine(self)

    def derive(self: E, **options: Unpack[EngineOptions]) -> E:
        """Return an engine with some options changed, on the same backend.

        Raises:
            TypeError, ValueError: an option is unknown, or its value cannot be used.
        """
        made = object.__new__(type(self))
        Engine.__init__(made, self.options.changed(options))
        made.notices.share_refused(self.notices)
        made.hook.follow(self.hook)
        return made

    def adjust(self, *, similarity: float = MISS, ttl: TTL | TTLFunction = MISS) -> None:
        """Change the threshold or the TTL of a cache in use. All calls from now on see it; stored entries stay.

        A `CacheContext`, a request or a category that gives its own value still decides. Engines derived from this one
        keep theirs. `options` holds what the cache was made with.

        Args:
            similarity, ttl: as for `SemanticCache`. What is not given stays.

        Raises:
            ValueError, TypeError: the value cannot be used, or something else decides in place of the threshold.
                Nothing has changed then.
            EmbeddingUnavailableError: `similarity` is below 1 and there is no usable embedder.

        Example:
            >>> from semantic_llm_cache import SemanticCache
            >>> cache = SemanticCache("memory://")
            >>> cache.adjust(ttl="10m")
            >>> cache.ttl
            600.0
        """
        given = {name: value for name, value in (("similarity", similarity), ("ttl", ttl)) if value is not MISS}
        checked = Options.read(given)
        if "similarity" in given:
            self.decider.refuse_other_threshold()
            if checked.similarity < 1:
                self.access.need_embedder()
                self.decider.guards  # noqa: B018 - load the word lists now: no call should wait for them
        self.changes = {**self.changes, **{name: getattr(checked, name) for name in given}}
        self._settings = replace(self._settings, **self.changes)

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
            raise TypeError(
                f"cache= must be a SemanticCache, not {kind_of(cache)}: give options by name, such as "
                "backend='memory://'"
            )
        if not options:
            return cache
        made = object.__new__(type(cache))
        Engine.__init__(made, cache.options.changed(options, also))
        made.hook.follow(cache.hook)
        return made

    # ---------------------------------------------------------------------- what it was given

    @property
    def enabled(self) -> bool:
        """False if caching is off, by option or by ``SEMANTIC_LLM_CACHE_DISABLED``."""
        return self.options.enabled and not self.disabled

    @property
    def similarity(self) -> float:
        """The threshold. With an error budget, the minimum below which no candidate is considered."""
        changed: float = self.changes.get("similarity", self.decider.similarity)
        return changed

    @property
    def ttl(self) -> float | TTLFunction | None:
        """How long an answer is served, in seconds. None means for ever."""
        changed: float | TTLFunction | None = self.changes.get("ttl", self.options.ttl)
        return changed

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
    def on_error(self) -> OnError:
        """``"open"`` or ``"raise"``."""
        return self.options.on_error

    @property
    def timeout(self) -> float | None:
        """Seconds that each storage operation or embedding may take. None means no limit."""
        return self.options.timeout

    @property
    def single_flight(self) -> SingleFlight:
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

    def settings(self, target: Any = Any, own_tags: tuple[str, ...] = ()) -> CallSettings:
        """Return the settings for a door's calls: the type of answers, and the door's own labels."""
        if target is self._settings.target and own_tags == self._settings.own_tags:
            return self._settings
        return replace(self._settings, target=target, own_tags=own_tags)

    def _in_context(
        self, request: Request, settings: CallSettings | None, target: Any = Any
    ) -> tuple[Request, CallSettings]:
        """Return request and settings as the `CacheContext` changes them; doors have applied it already."""
        if settings is None:
            request, settings = self.fitted(request), self.settings(target)
            if overrides.get() is not None:
                settings, namespace = current(self, settings)
                request = request if namespace is None else request.within(namespace)
        return request if self._redaction is None else self._redaction.applied(request), settings

    def redacted(self, request: Request) -> Request:
        """Return a request as `redact=` lets it be kept. For doors that make a `Call` themselves."""
        return request if self._redaction is None else self._redaction.applied(request)

    def fitted(self, request: Request) -> Request:
        """Return a request whose text is the slots of `prompt_template=`, if it is given and the text fits."""
        return request if self.template is None else self.template.applied(request)

    def log_once(self, topic: str, text: str) -> None:
        """Log a warning, once per topic and engine."""
        self.notices.log_once(topic, text)

    def bypassed(self, namespace: str | None = None, reason: str = "") -> None:
        """Count a call that bypasses the cache: for a reason as `because` makes it, else as caching is off."""
        self.reporter.bypassed(namespace, reason)

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
        value = self.held(made.request, made.settings)
        return value if value is not MISS else await drive(self._steps(made))

    def get_or_call_blocking(
        self, request: Request, call: Callable[[], Any], settings: CallSettings | None = None
    ) -> Any:
        """Do `get_or_call` for plain code: `call` runs in this thread, the storage on the background loop."""
        made = Call(*self._in_context(request, settings), call, plain=True)
        value = self.held(made.request, made.settings)
        return value if value is not MISS else drive_blocking(self._steps(made))

    def held(self, request: Request, settings: CallSettings) -> Any:
        """Return the answer of an exact hit that needs no waiting, and count it; else return `MISS`."""
        value = self.quick(request, settings) if settings.enabled else MISS
        if value is not MISS:
            self.reporter.record_quick(settings.category)
        return value

    def _steps(self, call: Call) -> Steps:
        """Return the steps that answer a call."""
        lookups.forget()  # if this call is cut off, the one before it must not pass for it
        watch = self.hook.begin(call)
        return self._answer(call) if watch is None else watched(self._answering(call), watch)

    def _answering(self, call: Call) -> Steps:
        """Do `_answer` within the steps themselves, so that what it raises is seen there."""
        return (yield from self._answer(call))

    def _answer(self, call: Call) -> Steps:
        self.categories.apply(call)
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
        self.reporter.bypassed_by(call)
        assert call.function is not None
        ran = yield Run(call.function, call.watch)
        return ran.value if ran.error is None else Failure(ran.error)

    def _only_known(self, call: Call) -> Steps:
        found = yield Do(lambda: self._probe(call, counting=True))
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
        lookups.forget()
        call = Call(*self._in_context(request, settings, result_type))
        watch = self.hook.begin(call)
        error: BaseException | None = None
        try:
            lookup = await self._probe(call, counting=True)
            self.reporter.count(lookup)
            self.reporter.announce(lookup)
            return lookup
        except BaseException as raised:
            error = raised
            raise
        finally:
            if watch is not None:
                watch.end(error)
            del error

    async def probe(self, request: Request, settings: CallSettings) -> Lookup:
        """Do a `lookup` without counts and events."""
        return await self._probe(Call(self.redacted(request), settings))

    async def _probe(self, call: Call, *, counting: bool = False) -> Lookup:
        self.categories.apply(call)
        if not call.settings.enabled:
            return self.reporter.lookup(call, Found("bypass", off_because(call)))
        found = await self.search.find(call, probing=not counting)
        result = self.reporter.lookup(call, found)
        result.response = found.value
        return result

    async def store(
        self,
        request: Request,
        response: Any,
        *,
        ttl: TTL | TTLFunction = MISS,
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
            duration_ms: how long the call took; reported as the time that a hit saves. Nothing is stored if
                `invalidate` has named one of the labels in that time.
            result_type: the type to which hits rebuild the answer.
            settings: from a door that has applied the contexts around the call; None applies them here.
        """
        request, settings = self._in_context(request, settings, result_type)
        changed: dict[str, Any] = {"tags": (*settings.tags, *check_tags(tags))}
        if ttl is not MISS:
            changed["ttl"], changed["fixed"] = check_ttl(ttl), settings.fixed | {"ttl"}
        call = Call(request, replace(settings, **changed)).again()
        call.started -= duration_ms / 1000
        self.categories.apply(call)
        await self.grounds.resolve(call)
        if not call.settings.enabled or not call.settings.asks.may_store:
            return False
        if call.needs_vector:
            try:
                await self.access.embed(call.request.text, call.found)
            except Outage:
                pass
        put = await self.admission.put(call, await self.admission.form(call, response, duration_ms))
        self.notices.refused(put.refused)
        return put.stored

    async def delete(self, request: Request) -> bool:
        """Delete the entry stored under exactly this request; return True if there was one."""
        return await self.remove(self._in_context(request, None)[0])

    async def remove(self, request: Request) -> bool:
        """Do a `delete` for doors, which have applied the contexts around the call."""
        backend = await require_key(self.access.storage().backend)
        return await backend.delete(self.redacted(request).key)

    async def learn(self, verdict: Verdict) -> None:
        """Count a person's verdict on an answer, and tell the error budget."""
        near = verdict.lookup if verdict.near else None
        self.reporter.count_feedback(verdict.namespace, verdict.right, None if near is None else near.key)
        await self.learning.learn(verdict)

    async def store_alias(self, lookup: Lookup, of: Candidate) -> bool:
        """Store the answer of a near hit under the prompt of the hit too; return True if it was stored."""
        return await self.learning.store_alias(lookup, of)

    async def online_policy(self, category: str | None = None) -> OnlinePolicy:
        """Return the error budget of this namespace, with what it has learned so far.

        Args:
            category: one that has a `max_error` of its own; None returns the budget of all others.

        Raises:
            ValueError: the category has no budget of its own.
        """
        if category is not None and category not in self.categories.budgets:
            raise ValueError(f"category={category!r} has no max_error= of its own in categories=")
        return await self.learning.policy(category)

    # ---------------------------------------------------------------------- counts, and the end

    def counters(self, namespace: str | None = None) -> Counters:
        """Return this engine's counters of a namespace (default: its own)."""
        return self.reporter.counters(namespace)

    def info(self) -> CacheInfo:
        """Return the counts of hits and misses of this engine, all namespaces together.

        A function that `cache` decorates has counts of its own, which are not in these: `ask.cache_info()`.
        `get_stats` has those of the process by namespace.
        """
        return self.reporter.info()

    async def preload(self) -> bool:
        """Do now what the first request would wait for; return True if the cache is ready.

        Opens the backend, and for near matching loads the model, the index and the error budget. No entry is read or
        written, and nothing is counted. Connections belong to an event loop, so await it on the loop that serves.

        Returns:
            False if the storage or the model failed; the log says why.

        Raises:
            CacheBackendError, EmbeddingUnavailableError: only with ``on_error="raise"``.

        Example:
            >>> import asyncio
            >>> from semantic_llm_cache import SemanticCache
            >>> asyncio.run(SemanticCache("memory://").preload())
            True
        """
        if not self.enabled:
            return True
        call = Call(Request(self.namespace, {"preload": True}, "preload"), self._settings)
        found = await self.search.find(call, probing=True)
        if found.vector is not None:
            try:
                # The storage may have known the vector of this text, and the model is then not loaded yet.
                await self.access.embed(call.request.text, found)
            except Outage:
                return False
        return found.outcome != "error"

    def preload_blocking(self) -> bool:
        """Do `preload` for plain code: it prepares the connections that plain functions use.

        Raises:
            RuntimeError: an event loop runs in this thread.
        """
        background.refuse_running_loop("preload_blocking()", "`await engine.preload()`")
        return background.run(self.preload())

    async def close(self) -> None:
        """Write what is pending, and close the backend if the engine owns it. The engine may be used again."""
        backend, state = self.access.bound()
        await self.learning.settled()
        await state.flush_all()
        await state.settle()
        if self.access.given is not None:
            await backend.close()

    async def __aenter__(self: E) -> E:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def close_blocking(self) -> None:
        """Do `close` for plain code.

        Raises:
            RuntimeError: an event loop runs in this thread.
        """
        background.refuse_running_loop("close_blocking()", "`await engine.close()`")
        background.run(self.close())

    def __enter__(self: E) -> E:
        background.refuse_running_loop("`with SemanticCache(...)`", "`async with SemanticCache(...)`")
        return self

    def __exit__(self, *exc: object) -> None:
        self.close_blocking()

    # ---------------------------------------------------------------------- as a Python object

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self.access.described(self.similarity)}>"

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in _INTERNAL]

    def __copy__(self: E) -> E:
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)  # what a subclass has added; the parts are new
        Engine.__init__(made, self.options)
        made.hook.follow(self.hook)
        return made

    def __deepcopy__(self: E, memo: dict[int, Any]) -> E:
        return self.__copy__()  # storage and embedder are shared: there is one of each

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} cannot be pickled: it holds connections and locks of this process. Create one in "
            "each process, with the same URL and options. A decorated function of a module is pickled by its name"
        )
