"""The gauges: read off the engines when somebody asks, never on a caller's time."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Iterable, Iterator
from time import monotonic
from typing import Any

from semantic_llm_cache.metrics.counters import Counters
from semantic_llm_cache.metrics.statistics import wilson
from semantic_llm_cache.redaction import describe, scheme_of
from semantic_llm_cache.runtime import background
from semantic_llm_cache.runtime.awaiting import driven
from semantic_llm_cache.runtime.breaker import logger
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.registry import SCHEMES, default_in_use
from semantic_llm_cache.telemetry.measures import OTHER, Measure, Names

__all__ = ["Sizes", "gauges", "kind_of_backend"]

_PATIENCE = 0.5
"""Seconds that a plain thread waits for the number of entries."""
_LEAST_REST = 10.0
_REST = 50.0
"""Counting is repeated after this many times the time that it took, and after `_LEAST_REST` seconds at least."""
_GIVE_UP = 30.0


def kind_of_backend(backend: StorageBackend) -> str:
    """Return the value of the label `backend`: the folder of its class in ``backends/``, or ``"other"``."""
    place = SCHEMES.get(scheme_of(backend.url).removesuffix("://"))
    return OTHER if place is None else place.split(".")[-2]


class _Size:
    """What is known of the size of one backend."""

    def __init__(self) -> None:
        self.entries: int | None = None
        self.due = 0.0
        self.counting = False


class Sizes:
    """How many entries backends hold. Counting may take long, so it runs in the background."""

    def __init__(self) -> None:
        self._known: weakref.WeakKeyDictionary[StorageBackend, _Size] = weakref.WeakKeyDictionary()

    def of(self, backend: StorageBackend) -> int | None:
        """Return the number of entries as last counted; None while it is not known.

        It is counted again in the background when that is due. A thread without a running event loop waits for that
        for half a second; one with a running loop never waits.
        """
        size = self._known.get(backend)
        if size is None:
            size = self._known.setdefault(backend, _Size())
        if backend.in_process:
            try:
                return int(driven(backend.get_stats())["size"])
            except Exception:  # much has expired, and removing that takes several steps; or a foreign backend fails
                pass
        if not size.counting and monotonic() >= size.due:
            size.counting = True
            self._count(backend, size)
        return size.entries

    def _count(self, backend: StorageBackend, size: _Size) -> None:
        counted = _count(weakref.ref(backend), size)
        if asyncio._get_running_loop() is not None:
            background.spawn(counted)
            return
        try:
            # A count that takes longer goes on, for the next time.
            background.run(_within(counted, _PATIENCE))
        except Exception:  # the background loop has ended with the interpreter
            size.counting = False
            with contextlib.suppress(Exception):
                counted.close()

    def reset_after_fork(self) -> None:
        """Forget the counts under way: they do not end in the child."""
        for size in list(self._known.values()):
            size.counting = False


async def _within(counted: Any, seconds: float) -> None:
    task = asyncio.ensure_future(counted)
    _counts.add(task)
    task.add_done_callback(_counts.discard)
    await asyncio.wait([task], timeout=seconds)


_counts: set[asyncio.Future[None]] = set()


async def _count(reference: weakref.ref[StorageBackend], size: _Size) -> None:
    began = monotonic()
    try:
        backend = reference()
        if backend is not None:
            size.entries = int((await asyncio.wait_for(backend.get_stats(), _GIVE_UP))["size"])
    except Exception:  # an outage, which the breakers show
        size.entries = None
    finally:
        took = monotonic() - began
        size.due = monotonic() + max(_LEAST_REST, _REST * took)
        size.counting = False


# -------------------------------------------------------------------------------------- reading


def gauges(engines: Iterable[Any], names: Names, sizes: Sizes) -> list[Measure]:
    """Return the present values of all gauges, each series once.

    Args:
        engines: whose gauges to read.
        names: the namespaces as values of a label.
        sizes: the backends' sizes.
    """
    found: dict[tuple[str, tuple[str, ...]], float] = {}

    def put(key: str, value: float, *labels: str, add: bool = False) -> None:
        place = (key, labels)
        found[place] = found.get(place, 0.0) + value if add else max(found.get(place, 0.0), value)

    engines = [engine for engine in engines if _in_use(engine)]
    backends: dict[int, StorageBackend] = {}
    for engine in engines:
        try:
            kind = kind_of_backend(engine.backend)
            backends[id(engine.backend)] = engine.backend
            for operation, is_open in engine.access.outages().items():
                put("breaker_open", float(is_open), kind, operation)
            spent = engine.learning.spent()
            if spent is not None:
                put("error_budget_spent_ratio", spent, names.label(engine.namespace))
        except Exception as error:  # a foreign backend or embedder must not cost the process all its metrics
            logger.debug("semantic-llm-cache: the gauges of a cache could not be read: %s", describe(error))
    for backend in backends.values():
        entries = sizes.of(backend)
        if entries is not None:
            put("entries", entries, kind_of_backend(backend), add=True)
    for label, counters in _judged(engines, names):
        low, high = wilson(counters.shadow_wrong, counters.shadow_judged)
        put("wrong_hit_ratio", counters.shadow_wrong / counters.shadow_judged, label)
        put("wrong_hit_ratio_lower", low, label)
        put("wrong_hit_ratio_upper", high, label)
    return [Measure(key, value, labels) for (key, labels), value in found.items()]


def _in_use(engine: Any) -> bool:
    """Return whether an engine has a backend by now: looking must not make the process's default one."""
    return bool(engine.enabled) and (engine.access.given is not None or default_in_use() is not None)


def _judged(engines: Iterable[Any], names: Names) -> Iterator[tuple[str, Counters]]:
    """Return the counts of each label's namespaces together, where shadow mode has compared answers."""
    sums: dict[str, Counters] = {}
    for engine in engines:
        for counters in engine.reporter.all_counters():
            if counters.shadow_judged:
                label = names.label(counters.namespace)
                total = sums.setdefault(label, Counters(label))
                total.shadow_judged += counters.shadow_judged
                total.shadow_wrong += counters.shadow_wrong
    return iter(sums.items())
