"""Exact hits that need no waiting: entries that this process holds, in memory or in a front.

This is the hot path. It takes some two microseconds, so it inlines what are methods elsewhere.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

from semantic_llm_cache.calls.lookup import latest, put
from semantic_llm_cache.calls.settings import CallSettings
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.engine.access import Access
from semantic_llm_cache.engine.learning import Learning
from semantic_llm_cache.engine.options import Options
from semantic_llm_cache.engine.outcome import MISS
from semantic_llm_cache.engine.reporting import Reporter, lookup_of_exact_hit
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.metrics.counters import Counters
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.registry import get_default_backend
from semantic_llm_cache.values.offload import is_large
from semantic_llm_cache.values.rebuilding import revived

__all__ = ["Quick"]

_PLAIN = frozenset({str, int, float, bool, type(None), bytes})


class Quick:
    """Answers exact hits of one engine at once.

    Args:
        options: the engine's options.
        access: to the backend.
        learning: counts exact hits in the error budget, where there is one.
        reporter: gives the counters.
        engine: a weak reference, kept in every `Lookup`.
    """

    def __init__(
        self, options: Options, access: Access, learning: Learning, reporter: Reporter, engine: weakref.ref[Any]
    ) -> None:
        self._backend = access.given
        self._clock = access.clock
        self._storage = access.storage
        self._off = options.mode == "shadow" or learning.categories.switched_off
        self._window = options.stale_window
        self._bounded = options.max_error is not None or options.max_error_per_hit is not None
        self.tell: Callable[[str, CacheEntry, float], None] | None = None  # set by `Hook`
        self._learning = learning
        self._reporter = reporter
        self._make = partial(lookup_of_exact_hit, engine)
        self._counters: Counters | None = None
        self._counted: StorageBackend | None = None

    def answer(self, request: Request, settings: CallSettings) -> Any:
        """Return the answer to an exact hit that this process holds, else `MISS`."""
        backend = self._backend
        if backend is None:
            backend = get_default_backend()
        if self._off or settings.control is not None or settings.evidence is not None:
            return MISS
        started = perf_counter()
        try:
            own = backend.in_process
            if own:
                entry = backend.peek(request.key)
            elif backend.front is not None:
                entry = backend.front.get(request.key)
            else:
                return MISS
            if entry is None:
                return MISS
            now = self._clock()
            created, ttl = entry.created_at, entry.ttl
            if ttl is not None and now >= created + ttl - self._window:
                return MISS
            value = entry.response
            if type(value) is not str and type(value) not in _PLAIN:
                if is_large(value) and asyncio._get_running_loop() is not None:
                    return MISS  # the full path copies it in a thread
                value = revived(value, settings.target)
        except Exception:
            return MISS  # the full path meets the same problem and handles it
        if self._bounded and not self._learning.count_exact(request.text, settings):
            return MISS  # its learned state must be read first
        if own:
            entry.hit_count += 1
            entry.last_accessed = now
        else:
            self._storage().state.note_hit(request.key, now)
        counters = self._counters
        if counters is None or counters.namespace != request.namespace or self._counted is not backend:
            counters = self._counters = self._reporter.counters(request.namespace)
            self._counted = backend
        counters.exact += 1
        cost = entry.cost_usd
        counters.saved_usd += cost
        took = (perf_counter() - started) * 1000
        duration = entry.duration_ms
        counters.saved_ms += duration - took
        counters.hit_times.append(took)
        before = latest()
        if before is not None:
            before[0] = None
        # Not the entry: its answer would live as long as this context.
        put([(self._make, request, entry.prompt, created, duration, cost, now, took)])
        if self.tell is not None:
            self.tell(request.namespace, entry, took)
        return value
