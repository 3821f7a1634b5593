"""Counting and telling: what every call that has ended goes through."""

from __future__ import annotations

import weakref
from time import perf_counter
from typing import Any

from semantic_llm_cache.calls import lookup as lookups
from semantic_llm_cache.calls.context import overrides
from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.calls.settings import CallSettings
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.engine.admission import Admission
from semantic_llm_cache.engine.search import Found
from semantic_llm_cache.engine.state import BackendState
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.metrics import counters as counting
from semantic_llm_cache.metrics.counters import CacheInfo, Counters
from semantic_llm_cache.redaction import describe

__all__ = ["Reporting", "exact_lookup"]


class Reporting(Admission):
    """An engine's counters, lookups and events."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._counters: dict[str, Counters] = {}
        self._closings: list[Any] = []
        self._hot: Counters | None = None
        super().__init__(*args, **options)

    def _backend_changed(self) -> None:
        for close in self._closings:
            close()
        self._closings = []
        self._counters = {}
        self._hot = None

    def counters(self, namespace: str | None = None) -> Counters:
        """Return this engine's counters of a namespace (default: its own)."""
        name = namespace or self.namespace
        found = self._counters.get(name)
        if found is None:
            _, state = self.bound()
            found = self._counters[name] = Counters(name)
            counting.register(found)
            state.counters.add(found)
            closing = weakref.finalize(self, _retire, found, state)
            closing.atexit = False
            self._closings.append(closing)
        return found

    def info(self) -> CacheInfo:
        """Return the counts of hits and misses of this engine, all namespaces together."""
        total = Counters(self.namespace)
        for counters in self._counters.values():
            total.add(counters)
        return total.info()

    def note_identity(self, name: str, function: Any) -> None:
        """Warn when another living function goes by the same name on the same backend."""
        _, state = self.bound()
        known = state.identities.get(name)
        other = known() if known is not None else None
        if other is not None and other is not function:
            self._warn(
                f"two different functions are cached as {name}, and answer for each other where their arguments "
                "are equal: give each its own namespace= or scope=",
                "identity",
            )
            return
        try:
            state.identities[name] = weakref.ref(function)
        except TypeError:
            pass

    # ------------------------------------------------------------------------- reporting

    def bypassed(self, namespace: str | None = None) -> None:
        """Count a call made while caching was off."""
        name = namespace or self.namespace
        self.counters(name).bypassed += 1
        self._announce(Lookup("bypass", "caching is off", namespace=name))

    def _note_hit(self, key: str) -> None:
        backend, state = self.bound()
        now = self.clock()
        if backend.in_process:
            entry = backend.peek(key)
            if entry is not None:
                entry.hit_count += 1
                entry.last_accessed = now
        else:
            state.note_hit(key, now)

    def _finish(
        self,
        request: Request,
        settings: CallSettings,
        found: Found,
        started: float,
        *,
        stored: bool = False,
        cost: float = 0.0,
    ) -> None:
        """Count a call that has ended and tell who listens."""
        lookup = self._lookup(request, settings, found, started)
        lookup.stored = stored
        if lookup.outcome == "coalesced":
            lookup.saved_usd = cost
        self._count(lookup)
        self._announce(lookup)

    def _finish_failed(
        self, request: Request, settings: CallSettings, found: Found, started: float, error: BaseException
    ) -> None:
        """`_finish` for a call that raised. One that was cancelled or interrupted is not counted."""
        if isinstance(error, Exception):
            if found.outcome != "error":
                found.reason = f"the function raised {type(error).__name__}"
            elif not found.reason:
                found.reason = str(error)
            self._finish(request, settings, found, started)

    def _count(self, lookup: Lookup) -> None:
        counters = self.counters(lookup.namespace)
        outcome = lookup.outcome
        if lookup.hit:
            setattr(counters, outcome, getattr(counters, outcome) + 1)
            counters.saved_ms += lookup.saved_ms
            counters.saved_usd += lookup.saved_usd
            counters.hit_times.append(lookup.duration_ms)
            if lookup.entry_key is not None:
                self._note_hit(lookup.entry_key)
        elif outcome == "bypass":
            counters.bypassed += 1
        else:
            counters.misses += 1
            counters.miss_times.append(lookup.duration_ms)
            if outcome == "error":
                counters.errors += 1
        backend, state = self.bound()
        if not backend.in_process:
            state.schedule()

    def _record_quick(self) -> None:
        """Have a `CacheContext` see an exact hit that `quick` has just answered."""
        context = overrides.get()
        if context is not None:
            lookup = lookups.last_lookup()
            assert lookup is not None
            context.record(lookup)

    def _count_shadow(self, lookup: Lookup) -> None:
        """Count a call made in shadow mode and tell who listens."""
        counters = self.counters(lookup.namespace)
        counters.misses += 1
        counters.miss_times.append(lookup.duration_ms)
        counters.shadow_requests += 1
        if lookup.would in ("exact", "near"):
            counters.shadow_hits += 1
            if lookup.would_be_right is not None:
                counters.shadow_judged += 1
                counters.shadow_wrong += not lookup.would_be_right
        self._announce(lookup)

    def _announce(self, lookup: Lookup) -> None:
        lookups.remember(lookup)
        context = overrides.get()
        if context is not None:
            context.record(lookup)
        self._tell(lookup)

    def _tell(self, lookup: Lookup) -> None:
        if self.on_event is not None:
            try:
                self.on_event(lookup)
            except Exception as error:
                self.log_once("on_event", f"on_event raised {describe(error)}")

    def _lookup(self, request: Request, settings: CallSettings, found: Found, started: float) -> Lookup:
        took = (perf_counter() - started) * 1000
        result = Lookup(
            found.outcome,
            found.reason,
            similarity=found.similarity,
            matched_prompt=found.nearest_prompt,
            key=request.key,
            entry_key=found.entry_key,
            namespace=request.namespace,
            scope=request.scope_hash,
            prompt=request.text,
            duration_ms=took,
            policy=self.trust.name(settings.similarity) if settings.similarity < 1 else "exact",
            handle=(self.reference, request, found.choice),
        )
        entry = found.entry
        if entry is not None:
            result.matched_prompt = entry.prompt
            result.age = max(0.0, self.clock() - entry.created_at)
            result.saved_ms = entry.duration_ms - took
            result.saved_usd = entry.cost_usd
        return result


def _retire(counters: Counters, state: BackendState) -> None:
    state.owe(counters)
    counting.retire(counters)


def exact_lookup(engine: Any, request: Request, entry: CacheEntry, now: float, took: float) -> Lookup:
    """Return the record of an exact hit on the short way."""
    return Lookup(
        "exact",
        "same text, same scope",
        similarity=1.0,
        matched_prompt=entry.prompt,
        age=max(0.0, now - entry.created_at),
        key=request.key,
        entry_key=request.key,
        namespace=request.namespace,
        scope=request.scope_hash,
        prompt=request.text,
        duration_ms=took,
        saved_ms=entry.duration_ms - took,
        saved_usd=entry.cost_usd,
        policy="exact",
        handle=(engine, request, None),
    )
